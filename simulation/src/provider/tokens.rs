//! The provider's records of the tokens it issued, and their revocation.

use std::time::Duration;

use serde_json::Value;

use super::{Person, Provider};
use porteiro::ports::HttpAnswer;
use porteiro::time::UnixTime;

impl Provider {
    /// Creates the account of a person.
    pub fn enrol(&self, username: &str, password: &str) {
        self.passwords.borrow_mut().insert(username.to_owned(), password.to_owned());
    }

    /// The owner of `token`, an access token or a refresh token.
    pub fn person(&self, token: &str) -> Option<Person> {
        let issued = self.families.borrow().get(token).copied()?;
        self.people.borrow().get(&issued).cloned()
    }

    /// The sign-in that `token` comes from.
    pub fn family(&self, token: &str) -> Option<u64> {
        self.families.borrow().get(token).copied()
    }

    /// Ends all sign-ins of `username` to `connection`.
    pub fn sign_out(&self, username: &str, connection: &str) {
        let people = self.people.borrow();
        let theirs = people
            .iter()
            .filter(|(_, person)| person.username == username && person.connection == connection);
        self.dead_families.borrow_mut().extend(theirs.map(|(family, _)| *family));
    }

    /// Whether the API currently accepts `token`.
    pub fn takes(&self, token: &str) -> bool {
        !self.refuses_all.get()
            && self.access_tokens.borrow().get(token).is_some_and(|(family, expires_at)| {
                self.world.now() < *expires_at && !self.dead_families.borrow().contains(family)
            })
    }

    /// When an access token expires, revoked or not.
    pub fn expiry(&self, token: &str) -> Option<UnixTime> {
        self.expiries.borrow().get(token).copied()
    }

    /// The access token that a token endpoint's answer brings, if the provider issued it.
    pub fn issued_in(&self, answer: &HttpAnswer) -> Option<String> {
        let body: Value = serde_json::from_slice(&answer.body).ok()?;
        let token = ["/access_token", "/session/token"].iter().find_map(|at| body.pointer(at)?.as_str())?;
        (answer.status == 200 && self.expiry(token).is_some()).then(|| token.to_owned())
    }

    /// Whether the provider would currently accept a refresh token.
    pub fn would_refresh(&self, token: &str) -> bool {
        let family = self.refresh_tokens.borrow().get(token).copied();
        family.is_some_and(|family| !self.dead_families.borrow().contains(&family))
            && !self.used.borrow().contains(token)
    }

    /// Makes the API refuse all tokens issued so far.
    pub fn revoke_access_tokens(&self) {
        self.access_tokens.borrow_mut().clear();
    }

    /// Makes the API accept an access token that no token request of the simulation yields.
    pub fn knows(&self, token: &str, life: Duration) {
        let expires_at = self.world.now() + life;
        self.access_tokens.borrow_mut().insert(token.to_owned(), (self.world.unique(), expires_at));
        self.expiries.borrow_mut().insert(token.to_owned(), expires_at);
    }

    /// Creates a refresh token, as if a person had signed in elsewhere.
    pub fn sign_in(&self, token: &str) {
        self.refresh_tokens.borrow_mut().insert(token.to_owned(), self.world.unique());
    }

    /// Revokes all tokens issued so far.
    pub fn revoke_everything(&self) {
        self.revoke_access_tokens();
        self.refresh_tokens.borrow_mut().clear();
    }
}
