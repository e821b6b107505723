//! The provider's logins, which are not OAuth.

use std::time::Duration;

use serde_json::{Value, json};

use super::Provider;
use super::wire::{answer, knows};
use crate::network::Sent;
use porteiro::ports::HttpAnswer;

/// The body of an answer that refuses a login.
const REFUSED: &str = r#"{"ok":false,"error":"wrong user or password"}"#;

/// Whether `body` is that of a login.
pub(super) fn is_login(body: &str) -> bool {
    body.starts_with('{')
}

/// Whether `answer` refuses a login.
pub fn refuses_login(answer: &HttpAnswer) -> bool {
    *answer.body == *REFUSED.as_bytes()
}

/// Fails unless the fields are those of a login.
pub(super) fn check_fields(request: &Sent) {
    assert_eq!(request.method, "POST");
    assert_eq!(request.field("content-type"), Some("application/json"));
    assert_eq!(request.field("accept"), Some("application/json"));
    assert_eq!(request.field("user-agent"), Some("porteiro"));
    assert_eq!(request.field("x-api-version"), Some("2"));
}

impl Provider {
    /// Answers a login: a refusal by 200 or 422, an expiry in any notation.
    pub(super) fn login(&self, body: &str) -> HttpAnswer {
        let sent: Value = serde_json::from_str(body).expect("a login is JSON");
        assert_eq!(sent["remember"], true, "an unexpected login: {body}");
        let password = sent["user"]["password"].as_str().map(str::to_owned);
        if !self.knows_credentials.get() || !knows(&self.account_passwords, password.as_ref()) {
            self.rejected.set(self.rejected.get() + 1);
            return answer(if self.world.happens(500) { 200 } else { 422 }, REFUSED, None);
        }
        let (token, expires_at) = self.issue_access(self.world.unique());
        let millis = expires_at.as_millis();
        let (name, life): (&str, Value) = match self.world.below(6) {
            0 => ("seconds", self.grants.get().expires_in.into()),
            1 => ("until", (millis / 1000).into()),
            2 => ("until", millis.to_string().into()),
            3 => ("until", expires_at.to_rfc3339().into()),
            4 => ("until", (expires_at - OFFSET).to_rfc3339().replace('Z', "-03:00").into()),
            _ => ("until", (expires_at + OFFSET).to_rfc3339().replace('Z', "+03:00").into()),
        };
        let session = json!({ "token": token, name: life });
        answer(200, &json!({ "ok": true, "session": session }).to_string(), None)
    }
}

const OFFSET: Duration = Duration::from_hours(3);
