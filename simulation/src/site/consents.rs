//! What the consent watch is told by objects and isolates.

use super::{Shared, bearer};
use crate::consent_watch::Held;
use crate::crowd_watch::Visit;
use crate::durable_object::SESSION;
use porteiro::json;
use porteiro::ports::UpstreamCall;
use porteiro::protocol::{Envelope, OneTimeAsk, OneTimeReply, SessionAsk, SessionReply};
use porteiro::token;

impl Shared {
    /// The consents that the message may end.
    #[expect(clippy::wildcard_enum_match_arm, reason = "other messages do not matter here")]
    pub fn consents_at_stake(&self, envelope: &Envelope) -> Vec<u64> {
        match envelope {
            Envelope::Session { name, ask: SessionAsk::SignOut { .. } | SessionAsk::Expel(_) } => {
                self.consents.asked_to_end(name, None);
                Vec::new()
            }
            Envelope::Session { name, ask: SessionAsk::Disconnect { connection, .. } } => {
                self.consents.asked_to_end(name, Some(connection));
                self.consents.families(name, connection, &self.provider)
            }
            _ => Vec::new(),
        }
    }

    /// Called when an object has answered a message.
    #[expect(clippy::wildcard_enum_match_arm, reason = "other messages do not matter here")]
    pub fn note_consent_reply(&self, envelope: &Envelope, at_stake: Vec<u64>, answer: &str) {
        let now = self.world.now();
        match envelope {
            Envelope::OneTime { name, ask } => match (ask, json::read(answer.as_bytes()).expect("a reply")) {
                (OneTimeAsk::Keep { ends_at, .. }, OneTimeReply::Kept) => self.consents.kept(name, *ends_at),
                (ask, OneTimeReply::Found(_)) => {
                    self.consents.found(name, matches!(ask, OneTimeAsk::Take { .. }), now);
                }
                _ => {}
            },
            Envelope::Session { name, ask } => {
                let is_over = json::read::<SessionReply>(answer.as_bytes()).expect("a reply")
                    == SessionReply::SignedOut;
                match ask {
                    SessionAsk::SignOut { .. } | SessionAsk::Expel(_) if is_over => {
                        self.consents.ended(name, now);
                    }
                    SessionAsk::Disconnect { .. } if is_over => self.consents.given_up(at_stake, now),
                    _ => {}
                }
            }
            _ => {}
        }
    }

    /// Called when texts of a session are about to become durable; of a consent if `with_session`.
    pub fn note_consents(&self, session: &str, texts: &[(String, String)], with_session: bool) {
        let now = self.world.now();
        for (key, text) in texts {
            if let Some(connection) = key.strip_prefix("session/") {
                let name = format!("keeper/{session}/{connection}");
                let state = self.open_with(|keys| token::open(text, &name, keys).ok());
                let held = Held::read(&state.expect("a sealed state"));
                let of = (session, connection);
                self.consents.set_stored(of, &held, with_session, now, &self.provider);
            }
        }
        if let Some((_, text)) = texts.iter().find(|(key, _)| key == SESSION) {
            let state = self.open_with(|keys| token::open(text, session, keys).ok());
            let state = state.expect("a sealed session");
            self.consents.session_stored(session, &state, now, &self.provider);
        }
        self.consents.check_session(session, &self.provider);
    }

    /// Called when the state of a keeper of a consent became durable.
    pub fn note_service_consent(&self, connection: &str, text: &str) {
        let name = format!("keeper/service/{connection}");
        let state = self.open_with(|keys| token::open(text, &name, keys).ok()).expect("a sealed state");
        self.consents.keeper_stored(connection, &Held::read(&state), &self.provider);
    }

    /// Called when an isolate sends a call with the token of a consent.
    pub fn note_consented_call(&self, visit: &Visit, call: &UpstreamCall<'_>) {
        let token = bearer(call);
        let path = call.url.strip_prefix("https://api.").expect("an API's address");
        let connection = path.split('.').next().unwrap_or_default();
        if visit.cookie().is_none() {
            return self.consents.service_sends(connection, &token, &self.provider);
        }
        let is_valid = self.provider.expiry(&token).is_none_or(|expires_at| self.world.now() < expires_at);
        self.consents.sends(visit, connection, &token, is_valid, &self.provider);
    }
}
