//! The sender of webhooks, its events, and a site that receives them.

use std::rc::Rc;

use hmac::{Hmac, Mac as _};
use porteiro::time::UnixTime;
use serde_json::{Value, json};
use sha2::Sha256;

use super::call::{Answered, Call};
use super::events_watch::EventsWatch;
use super::provider::Grants;
use super::receiver::Receiver;
use super::site::Site;
use super::world::Process;

/// An event as sent, and the body that the receiver is to get.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Event {
    /// The text that the sender sends.
    pub text: String,
    /// The body that the receiver is to get.
    pub body: String,
}

impl Event {
    /// The account token, known only to the sender and the broker.
    pub const TOKEN: &'static str = "account-token-0123456789";
    /// The person in the events, whom only the receiver may know.
    pub const PERSON: &'static str = "Ana Maria of Olinda";

    /// The event with this number; no two numbers give the same event.
    pub fn new(number: u64) -> Self {
        let (token, person) = (Self::TOKEN, Self::PERSON);
        let rest = format!(r#""contact":{{"name":"{person}"}},  "value": 1.50"#);
        let (text, body) = match number % 3 {
            0 => (
                format!(r#"{{"api_token":"{token}","id":{number},{rest}}}"#),
                format!(r#"{{"id":{number},{rest}}}"#),
            ),
            1 => (
                format!(r#"{{ "id":{number}, {rest}, "api_token" : "{token}" }}"#),
                format!(r#"{{ "id":{number}, {rest} }}"#),
            ),
            _ => (
                format!(r#"{{"id":{number},"api_token":"{token}","note":"it is {token}!",{rest}}}"#),
                format!(r#"{{"id":{number},"note":"[account token]",{rest}}}"#),
            ),
        };
        Self { text, body }
    }

    /// The event of a sender that signs: it has no account token, and is delivered as it is.
    #[must_use]
    pub fn without_token(self) -> Self {
        Self { text: self.body.clone(), body: self.body }
    }

    /// The signature of `text` at `now`: the account token is its key.
    fn signature(text: &str, now: UnixTime) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(Self::TOKEN.as_bytes()).expect("a key");
        mac.update(format!("{}.{text}", now.as_millis()).as_bytes());
        let signed_at = format!("t={},v1=", now.as_millis());
        mac.finalize().into_bytes().iter().fold(signed_at, |text, byte| format!("{text}{byte:02x}"))
    }
}

impl Site {
    /// An operator's key.
    pub const OPERATOR_KEY: &'static str = "operator-key-0123456789";

    /// A site whose connection `acme` takes webhooks.
    pub fn for_webhooks(seed: u64) -> Self {
        let grants = Grants { expires_in: 3600, refresh_tokens: true, rotation: true, reuse_detection: true };
        Self::with_variables(seed, grants, &Self::variables_for_webhooks())
    }

    /// The variables of such a site, to be changed before use.
    pub fn variables_for_webhooks() -> Value {
        let mut variables = Self::variables();
        variables["CONNECTIONS"]["acme"]["webhook"] =
            json!({ "forward_to": Receiver::ADDRESS, "token_field": "api_token", "id_field": "id" });
        variables["ACME_ACCOUNT_TOKEN"] = Event::TOKEN.into();
        variables["ACME_WEBHOOK_SECRET"] = Receiver::SECRET.into();
        variables["ADMIN_KEY"] = Self::OPERATOR_KEY.into();
        variables
    }

    /// The same where the operator is told of events.
    pub fn variables_for_events() -> Value {
        let mut variables = Self::variables_for_webhooks();
        variables["EVENTS"] = json!({ "to": EventsWatch::ADDRESS });
        variables["EVENTS_SECRET"] = Receiver::SECRET.into();
        variables
    }

    /// The same where the sender signs its events.
    pub fn variables_for_signed_webhooks() -> Value {
        let mut variables = Self::variables_for_webhooks();
        variables["CONNECTIONS"]["acme"]["webhook"] = json!({
            "forward_to": Receiver::ADDRESS,
            "hmac": {
                "header": "x-signature",
                "part": "v1",
                "timestamp_part": "t",
                "signed": "{timestamp}.{body}",
                "tolerance_seconds": 5
            },
            "id_field": "id"
        });
        variables
    }

    /// A future that sends an event, signed, to an isolate, to be spawned as a task.
    pub fn sending(&self, isolate: Process, event: &Event) -> impl Future<Output = Answered> + use<> {
        let (shared, body) = (Rc::clone(&self.shared), event.body.clone());
        shared.delivery_watch.sends(&body);
        let signature = Event::signature(&event.text, shared.world.now());
        let call = Call::event("acme", &event.text).field("x-signature", &signature);
        let calling = self.calling(isolate, &call);
        async move {
            let answered = calling.await;
            if answered.status == 202 {
                shared.delivery_watch.acknowledged(&body);
            }
            answered
        }
    }

    /// Sends an event to an isolate, and waits for the answer.
    pub fn send(&self, isolate: Process, event: &Event) -> Answered {
        self.shared.world.block_on(isolate, self.sending(isolate, event))
    }

    /// Searches everything that was stored, sent or logged, except the deliveries, for secrets and
    /// personal data.
    pub fn secret_written(&self) -> Option<&'static str> {
        let shared = &self.shared;
        let (logs, written) = (shared.logs.borrow(), shared.objects.written.borrow());
        let secrets = [Event::TOKEN, Event::PERSON, Receiver::SECRET, Self::OPERATOR_KEY];
        let seen = |secret: &&str| logs.iter().chain(written.iter()).any(|text| text.contains(secret));
        let arrivals = shared.receiver.arrivals.borrow();
        let sent = || arrivals.iter().any(|arrival| arrival.body.contains(Event::TOKEN));
        secrets.into_iter().find(seen).or_else(|| sent().then_some(Event::TOKEN))
    }
}

impl Call {
    /// The request that carries an event.
    pub fn event(connection: &str, text: &str) -> Self {
        Self::get(&format!("/webhooks/{connection}")).method("POST").field("authorization", "").text(text)
    }

    /// An operator's request about the webhooks of `acme`.
    pub fn operator(method: &'static str, below: &str) -> Self {
        Self::get(&format!("/admin/connections/acme/webhooks{below}"))
            .method(method)
            .field("authorization", &format!("Bearer {}", Site::OPERATOR_KEY))
    }
}
