//! How a provider reads a request and words its answers.

use std::cell::RefCell;
use std::collections::BTreeMap;

use serde_json::json;
use url::form_urlencoded;
use zeroize::Zeroizing;

use crate::network::Sent;
use porteiro::ports::HttpAnswer;

/// Whether `sent` is one of `secrets`, or `secrets` is empty.
pub(super) fn knows(secrets: &RefCell<Vec<&'static str>>, sent: Option<&String>) -> bool {
    let secrets = secrets.borrow();
    secrets.is_empty() || sent.is_some_and(|sent| secrets.contains(&sent.as_str()))
}

/// The connection whose token endpoint is at `url`.
pub(super) fn connection(url: &str) -> String {
    let host = url.strip_prefix("https://login.").expect("a token endpoint's address");
    host.split('.').next().unwrap_or_default().to_owned()
}

/// Fails unless the fields are those of a token request (RFC 6749 §4.3.2, §6).
pub(super) fn check_fields(request: &Sent) {
    assert_eq!(request.method, "POST");
    assert_eq!(request.field("content-type"), Some("application/x-www-form-urlencoded"));
    assert_eq!(request.field("accept"), Some("application/json"));
    assert_eq!(request.field("user-agent"), Some("porteiro"));
}

pub(super) fn fields(body: &str) -> BTreeMap<String, String> {
    form_urlencoded::parse(body.as_bytes()).into_owned().collect()
}

pub(super) fn refused(error: &str) -> HttpAnswer {
    answer(400, &json!({ "error": error }).to_string(), None)
}

pub(super) fn answer(status: u16, body: &str, retry_after: Option<&str>) -> HttpAnswer {
    HttpAnswer {
        status,
        fields: Zeroizing::new(retry_after.map_or_else(String::new, |value| format!("retry-after:{value}"))),
        body: Zeroizing::new(body.as_bytes().to_vec()),
    }
}
