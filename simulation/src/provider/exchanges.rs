//! Token exchange (RFC 8693) at the provider.

use std::collections::BTreeMap;

use serde_json::Value;

use super::wire::refused;
use super::{Provider, Subject};
use porteiro::ports::HttpAnswer;

pub(super) const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";

impl Provider {
    /// Exchanges a token of an issuer for one of the same person.
    pub(super) fn exchange(&self, fields: &BTreeMap<String, String>) -> HttpAnswer {
        let known = ["client_id", "grant_type", "subject_token", "subject_token_type"];
        assert!(fields.keys().eq(known), "the fields of an exchange: {:?}", fields.keys());
        assert_eq!(fields["subject_token_type"], "urn:ietf:params:oauth:token-type:jwt");
        let token = &fields["subject_token"];
        let subject = Subject::of(token).expect("a token of an issuer");
        let is_refused = self.denied.borrow().contains(&subject.who())
            || self.refused_tokens.borrow().contains(token)
            || self.world.now() >= subject.expires_at;
        if is_refused {
            self.rejected.set(self.rejected.get() + 1);
            return refused("invalid_request");
        }
        let answer = self.issue(self.world.unique(), None);
        let response: Value = serde_json::from_slice(&answer.body).expect("a token response");
        let access = response["access_token"].as_str().expect("an access token").to_owned();
        self.exchanged.borrow_mut().insert(access, subject);
        answer
    }

    /// Whom an exchanged token is of, with the end of the token that it was exchanged for.
    pub fn exchanged_for(&self, token: &str) -> Option<Subject> {
        self.exchanged.borrow().get(token).cloned()
    }
}
