//! The body of a problem (RFC 9457 §3.1).

use serde::Serialize;

use super::Code;

impl Code {
    /// The problem details of one occurrence, as JSON. `cause` is the failure that the connection
    /// backs off from.
    #[must_use]
    pub fn details(self, broker: &str, request_id: &str, cause: Option<Self>) -> String {
        let (status, code, title, detail, _) = self.entry();
        let kind = format!("{broker}/problems/{code}");
        let cause = cause.map(Self::as_str);
        let details = Details { kind, title, status, code, detail, request_id, cause };
        // Texts and numbers always serialise.
        serde_json::to_string(&details).unwrap_or_default()
    }
}

#[derive(Serialize)]
struct Details<'a> {
    #[serde(rename = "type")]
    kind: String,
    title: &'static str,
    status: u16,
    code: &'static str,
    detail: &'static str,
    request_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<&'static str>,
}
