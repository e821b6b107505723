//! The broker as a client of providers (RFC 6749 §1.1): the assertions that prove it, and the sending of
//! its requests.

use zeroize::Zeroizing;

use crate::config::{ClientAuthentication, Grant, TokenEndpoint};
use crate::http::Headers;
use crate::oauth::{Assertions, MAX_RESPONSE_BYTES, SignatureKind, TokenRequest, UnsignedAssertion};
use crate::ports::{Host, Http, HttpAnswer, HttpFailure, HttpRequest, Signer};
use crate::secret::Secret;

/// A connection's key signs nothing, and so no request was made.
#[derive(Debug)]
pub struct KeyUnusable;

/// What proves `client` in the next request, and the `grant` where that is an assertion. Each
/// request has assertions of its own, whose ids are used once.
///
/// # Errors
/// [`KeyUnusable`]: no request can be made.
pub async fn assertions<P: Host + Signer>(
    ports: &P,
    client: &ClientAuthentication,
    grant: Option<&Grant>,
) -> Result<Assertions, KeyUnusable> {
    let now = ports.now();
    let client = UnsignedAssertion::of_client(client, now, ports.bytes());
    let grant = grant.and_then(|grant| UnsignedAssertion::of_grant(grant, now, ports.bytes()));
    Ok(Assertions { client: signed(ports, client).await?, grant: signed(ports, grant).await? })
}

async fn signed<P: Signer>(
    ports: &P,
    assertion: Option<UnsignedAssertion<'_>>,
) -> Result<Option<Secret>, KeyUnusable> {
    let Some(assertion) = assertion else { return Ok(None) };
    let signed = match assertion.signature() {
        SignatureKind::Made(signature) => assertion.signed(signature),
        SignatureKind::Key(key) => {
            let signature = ports.sign(key, assertion.input()).await;
            assertion.signed(&signature.ok_or(KeyUnusable)?)
        }
    };
    Ok(Some(signed))
}

/// Sends `request` to the token endpoint, or to another endpoint with the same client.
///
/// # Errors
/// [`HttpFailure`] where the server does not answer.
pub async fn transmit<P: Http>(
    ports: &P,
    request: &TokenRequest,
    endpoint: &TokenEndpoint,
) -> Result<HttpAnswer, HttpFailure> {
    let headers = request.headers.expose();
    let own = Headers::new(headers);
    let mut fields = Zeroizing::new(headers.to_owned());
    for (name, value) in [
        ("content-type", request.body.as_ref().map(|_| request.content_type)),
        ("accept", Some("application/json")),
        ("user-agent", Some("porteiro")),
        ("authorization", request.authorization.as_ref().map(Secret::expose)),
    ] {
        let Some(value) = value.filter(|_| own.value(name).is_none()) else { continue };
        let end = if fields.is_empty() { "" } else { "\n" };
        fields.extend([end, name, ":", value]);
    }
    let request = HttpRequest {
        method: request.method,
        url: request.url.expose(),
        fields: &fields,
        body: request.body.as_ref().map(Secret::expose),
        timeout: endpoint.timeout,
        max_bytes: Some(MAX_RESPONSE_BYTES),
        certificate: endpoint.certificate.as_deref(),
    };
    ports.send(&request).await
}
