//! The documents of issuers, as they are fetched.

use std::time::Duration;

use serde_json::{Map, Value};

use crate::http::check_document_url;
use crate::json;
use crate::ports::{Http, HttpAnswer, HttpRequest};

/// The time limit for a document of an issuer.
const DOCUMENT_TIMEOUT: Duration = Duration::from_secs(5);

/// The largest document of an issuer, in bytes.
const MAX_DOCUMENT_BYTES: usize = 512 * 1024;

/// The header fields of a document request.
const DOCUMENT_FIELDS: &str =
    "accept:application/json, application/jwk-set+json, */*;q=0.1\nuser-agent:porteiro";

/// Fetches a document of an issuer; `None` where the issuer is unreachable or slow, or the document
/// is too large.
pub(super) async fn document<P: Http>(ports: &P, url: &str) -> Option<HttpAnswer> {
    let request = HttpRequest {
        method: "GET",
        url,
        fields: DOCUMENT_FIELDS,
        body: None,
        timeout: DOCUMENT_TIMEOUT,
        max_bytes: Some(MAX_DOCUMENT_BYTES),
        certificate: None,
    };
    ports.send(&request).await.ok().filter(|answer| answer.body.len() <= MAX_DOCUMENT_BYTES)
}

/// Fetches the metadata of `issuer` (`OpenID` Connect Discovery 1.0 §4, RFC 8414 §3). Metadata that
/// names another issuer is ignored.
pub(super) async fn discover<P: Http>(ports: &P, issuer: &str) -> Option<Map<String, Value>> {
    let mut found = document(ports, &openid_metadata(issuer)).await?;
    if found.status == 404 {
        found = document(ports, &oauth_metadata(issuer)?).await?;
    }
    let HttpAnswer { status: 200, body, .. } = found else { return None };
    let Ok(Value::Object(members)) = json::parse(json::without_mark(&body)) else { return None };
    (members.get("issuer")? == issuer).then_some(members)
}

/// The address in the member `name` of metadata, if it is a safe one.
pub(super) fn address(members: &Map<String, Value>, name: &str) -> Option<String> {
    let url = members.get(name)?.as_str()?;
    check_document_url(url).ok().map(|()| url.to_owned())
}

fn openid_metadata(issuer: &str) -> String {
    format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'))
}

/// The well-known segment goes between the host and the issuer's path (RFC 8414 §3.1).
fn oauth_metadata(issuer: &str) -> Option<String> {
    let (scheme, rest) = issuer.split_once("://")?;
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let path = path.trim_end_matches('/');
    let slash = if path.is_empty() { "" } else { "/" };
    Some(format!("{scheme}://{host}/.well-known/oauth-authorization-server{slash}{path}"))
}

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod tests {
    use super::*;

    #[test]
    fn finds_the_metadata_of_issuers_with_and_without_a_path() {
        for issuer in ["https://a.example", "https://a.example/"] {
            assert_eq!(openid_metadata(issuer), "https://a.example/.well-known/openid-configuration");
            let oauth = "https://a.example/.well-known/oauth-authorization-server";
            assert_eq!(oauth_metadata(issuer).as_deref(), Some(oauth));
        }
        let oauth = "https://a.example:1/.well-known/oauth-authorization-server/t/1";
        assert_eq!(oauth_metadata("https://a.example:1/t/1/").as_deref(), Some(oauth));
        assert_eq!(
            openid_metadata("https://a.example/t/1"),
            "https://a.example/t/1/.well-known/openid-configuration"
        );
    }
}
