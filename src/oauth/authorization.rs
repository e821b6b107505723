//! Authorization requests (RFC 6749 §4.1.1, RFC 7636, RFC 9126), and the other addresses that a
//! browser is sent to.

mod pushed;
mod response;

pub use pushed::{PushedRequest, read_pushed};
pub use response::{AuthorizationResponse, BadResponse};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use crate::config::{Authorization, TokenEndpoint};
use crate::form;
use crate::secret::Secret;

/// 256 bits as a text: a state, a nonce or a code verifier (RFC 7636 §4.1).
#[must_use]
pub fn unguessable(bytes: [u8; 32]) -> Secret {
    Secret::new(URL_SAFE_NO_PAD.encode(bytes))
}

/// The code challenge of a code verifier by S256 (RFC 7636 §4.2).
#[must_use]
pub fn challenge(verifier: &Secret) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.expose()))
}

/// The parameters of an authorization request (RFC 6749 §4.1.1, RFC 7636 §4.3, RFC 8707 §2.1, `OpenID`
/// Connect Core 1.0 §3.1.2.1) with the challenge of `verifier`, and with a nonce where an ID token must
/// come.
#[must_use]
pub fn authorization_request(
    endpoint: &TokenEndpoint,
    authorization: &Authorization,
    redirect_uri: &str,
    state: &str,
    verifier: &Secret,
    nonce: Option<&str>,
) -> Vec<(String, String)> {
    let challenge = challenge(verifier);
    let own = [
        ("response_type", Some("code")),
        ("client_id", endpoint.client.id()),
        ("redirect_uri", Some(redirect_uri)),
        ("scope", endpoint.scope.as_deref()),
        ("state", Some(state)),
        ("code_challenge", Some(challenge.as_str())),
        ("code_challenge_method", Some("S256")),
        ("nonce", nonce),
        ("audience", endpoint.audience.as_deref()),
        ("resource", endpoint.resource.as_deref()),
    ];
    let own = own.into_iter().filter_map(|(name, value)| Some((name, value?)));
    let further = authorization.params.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    own.chain(further).map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// The address of an authorization request at the endpoint `url`, which may have a query (RFC 6749
/// §3.1).
#[must_use]
pub fn authorization_url(url: &str, params: &[(String, String)]) -> String {
    with_query(url, params.iter().map(|(name, value)| (name.as_str(), value.as_str())))
}

/// The address of a pushed authorization request at the endpoint `url` (RFC 9126 §4).
#[must_use]
pub fn pushed_url(url: &str, client_id: &str, request_uri: &str) -> String {
    with_query(url, [("client_id", client_id), ("request_uri", request_uri)])
}

/// The address at which a person signs out at the provider (`OpenID` Connect RP-Initiated Logout 1.0
/// §2).
#[must_use]
pub fn end_session_url(
    url: &str,
    client_id: &str,
    post_logout_redirect_uri: &str,
    state: Option<&str>,
) -> String {
    let own = [("client_id", client_id), ("post_logout_redirect_uri", post_logout_redirect_uri)];
    with_query(url, own.into_iter().chain(state.map(|state| ("state", state))))
}

/// `url` with these parameters behind those that it has. A blank becomes `%20`, which every server
/// reads: the `+` of forms is one in some of them.
fn with_query<'a>(url: &str, params: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mark = match url.split_once('?') {
        None => "?",
        Some((_, query)) if query.is_empty() || query.ends_with('&') => "",
        Some(_) => "&",
    };
    [url, mark, &form::encode(params).replace('+', "%20")].concat()
}
