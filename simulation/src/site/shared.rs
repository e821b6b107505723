//! The state that isolates, objects and servers share.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use futures_channel::oneshot;
use serde_json::Value;

use super::{PROVIDER, bearer};
use crate::budget_watch::BudgetWatch;
use crate::cache::Cache;
use crate::consent_watch::ConsentWatch;
use crate::crowd_watch::{CrowdWatch, Visit};
use crate::delivery_watch::DeliveryWatch;
use crate::durable_object::{Objects, STATE, keeper};
use crate::events_watch::EventsWatch;
use crate::exchange_watch::ExchangeWatch;
use crate::issuer::{Issuers, Subject};
use crate::network::Sent;
use crate::provider::proofs::assertions;
use crate::provider::{Person, Provider};
use crate::receiver::Receiver;
use crate::registry_watch::RegistryWatch;
use crate::watch::Watch;
use crate::world::{Process, World};
use porteiro::config::Config;
use porteiro::ports::{ObjectUnreachable, UpstreamCall};
use porteiro::protocol::Registration;
use porteiro::time::UnixTime;
use porteiro::token::{self, SealingKeys};

/// The state that isolates, objects and servers share.
pub struct Shared {
    /// Time, randomness and tasks.
    pub world: World,
    /// The replicated cache.
    pub cache: Cache,
    /// The provider of all connections.
    pub provider: Provider,
    /// The number of asks for a token that keepers got.
    pub asks: Cell<u64>,
    /// All log lines.
    pub logs: RefCell<Vec<String>>,
    /// The invariants of the token set of `acme`.
    pub watch: Watch,
    /// Whether a refresh token is the connection's only credential.
    pub refresh_token_only: Cell<bool>,
    /// The Durable Objects.
    pub objects: Objects,
    /// The invariants of people's sessions.
    pub crowd: CrowdWatch,
    /// The invariants of consents.
    pub consents: ConsentWatch,
    /// The invariants of budgets.
    pub budget: BudgetWatch,
    /// How many milliseconds the clocks of isolates are ahead.
    pub skews: RefCell<BTreeMap<Process, i64>>,
    /// How many milliseconds the clocks of objects have gone back.
    pub lag: Cell<u64>,
    /// The invariants of exchanged tokens.
    pub exchanges: ExchangeWatch,
    /// The invariants of webhooks.
    pub delivery_watch: DeliveryWatch,
    /// The operator's receiver, and the invariants of what the operator is told.
    pub events: EventsWatch,
    /// The invariants of the registry.
    pub registry_watch: RegistryWatch,
    /// The application's receiver of webhooks.
    pub receiver: Receiver,
    /// Whether WebCrypto takes the connection's private key.
    pub signs: Cell<bool>,
    /// The bindings whose certificates went with token requests and with calls.
    pub certificates: RefCell<Vec<Option<String>>>,
    /// The issuers of callers' tokens.
    pub issuers: Issuers,
    /// All deployed configurations; isolates and objects start with the last one.
    pub(super) configs: RefCell<Vec<Rc<Config>>>,
    pub(super) lives: Cell<Process>,
    pub(super) in_flight: Cell<u32>,
    /// The largest number of concurrent token requests of keepers.
    pub most_in_flight: Cell<u32>,
    /// The calls that the upstream got: the address and the header fields of each.
    pub upstream_calls: RefCell<Vec<(String, String)>>,
    /// The flights that are over: the isolate and the number of each.
    pub landed: RefCell<BTreeSet<(Process, u32)>>,
    /// Whether the upstream's answers have their number, the credentials of whom they are made for, and
    /// what the upstream got, a line each.
    pub echoes: Cell<bool>,
    /// How long callers take to send a body.
    pub upload_takes: Cell<Duration>,
    /// The upstream's answer, if not 200; the status 0 is none.
    pub upstream_script: RefCell<Option<(u16, String)>>,
    /// The body of the upstream's answer, if scripted.
    pub upstream_body: RefCell<Option<String>>,
}

/// A token request in flight from a live keeper.
pub struct Flight(Rc<Shared>);

impl Drop for Flight {
    fn drop(&mut self) {
        self.0.in_flight.set(self.0.in_flight.get() - 1);
    }
}

impl Shared {
    /// Random bytes.
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        std::array::from_fn(|_| self.world.random().to_le_bytes()[0])
    }

    /// Records a log line, which must be a JSON object.
    pub fn log(&self, line: &str) {
        let parsed: Result<Value, _> = serde_json::from_str(line);
        assert!(parsed.is_ok_and(|line| line.is_object()), "a log line is a JSON object: {line}");
        self.logs.borrow_mut().push(line.to_owned());
    }

    /// The configuration that isolates and objects now start with.
    pub fn config(&self) -> Rc<Config> {
        Rc::clone(self.configs.borrow().last().expect("there is always one"))
    }

    /// The first result of `open` with the keys of any deployment: a record sealed by an isolate
    /// may arrive after the next deployment.
    pub fn open_with<T>(&self, open: impl Fn(&SealingKeys) -> Option<T>) -> Option<T> {
        let configs = self.configs.borrow();
        configs.iter().rev().find_map(|config| open(config.sealing_keys.as_ref()?))
    }

    /// The process number of an object's next life.
    pub fn next_life(&self) -> Process {
        self.lives.set(self.lives.get() + 1);
        1000 + self.lives.get()
    }

    /// Called when a live keeper begins a token request.
    pub fn enter_token_endpoint(self: &Rc<Self>, refresh_token: Option<&str>) -> Flight {
        let only_grant = self.refresh_token_only.get();
        self.watch.token_request(self.in_flight.get(), refresh_token, only_grant, self.world.now());
        self.in_flight.set(self.in_flight.get() + 1);
        self.most_in_flight.set(self.most_in_flight.get().max(self.in_flight.get()));
        Flight(Rc::clone(self))
    }

    /// Called when a live keeper sends a token request.
    pub fn note_token_request(&self, sent: &Sent) {
        self.certificates.borrow_mut().push(sent.certificate.clone());
        for claims in assertions(&sent.body) {
            self.watch.asserts(&claims, self.world.now());
        }
    }

    /// Called when an isolate sends a call to the upstream.
    pub fn note_upstream_call(&self, isolate: Process, begun_at: UnixTime, call: &UpstreamCall<'_>) {
        let (token, now) = (bearer(call), self.world.now());
        self.watch.sends(isolate, &token, self.provider.expiry(&token), now);
        if let Some((_, path)) = call.url.split_once("/of/") {
            self.registry_watch.served(path.split('/').next().unwrap_or_default(), begun_at);
        }
        self.certificates.borrow_mut().push(call.certificate.map(str::to_owned));
        self.upstream_calls.borrow_mut().push((call.url.to_owned(), call.fields.to_owned()));
    }

    /// Called when an isolate sends a person's call to the upstream.
    pub fn note_persons_call(&self, visit: &Visit, person: &Person, call: &UpstreamCall<'_>) {
        let token = bearer(call);
        let at = self.world.now();
        let usable = self.provider.expiry(&token).is_none_or(|expires_at| at < expires_at);
        let path = call.url.strip_prefix("https://api.").expect("an API's address");
        let connection = path.split('.').next().unwrap_or_default();
        assert_eq!(connection, person.connection, "a token goes to its own API only");
        self.crowd.sends(visit, person, &token, usable, at);
        self.upstream_calls.borrow_mut().push((call.url.to_owned(), call.fields.to_owned()));
    }

    /// Called when an isolate sends the call of a caller whose token is exchanged.
    pub fn note_exchanged_call(&self, who: Option<&Subject>, call: &UpstreamCall<'_>) {
        let path = call.url.strip_prefix("https://api.").expect("an API's address");
        let connection = path.split('.').next().unwrap_or_default();
        let token = bearer(call);
        let expires_at = self.provider.expiry(&token);
        self.exchanges.sends(connection, who, &token, expires_at, self.world.now());
        self.upstream_calls.borrow_mut().push((call.url.to_owned(), call.fields.to_owned()));
    }

    /// Called when the state of an exchanged token set became durable.
    pub fn note_exchanged(&self, connection: &str, object: &str, state: &str) {
        let name = format!("keeper/{object}/{connection}");
        let state = self.open_with(|keys| token::open(state, &name, keys).ok()).expect("a sealed state");
        self.exchanges.stored(connection, object, &state);
    }

    /// Called when a record of a session or a counter became durable.
    pub fn note_persons_state(&self, object: &str, key: &str, text: &str) {
        let Some(connection) = key.strip_prefix("session/") else { return };
        let name = format!("keeper/{object}/{connection}");
        let state = self.open_with(|keys| token::open(text, &name, keys).ok()).expect("a sealed state");
        self.crowd.stored(&name, &state, &self.provider);
    }

    /// The upstream's answer to a call of an isolate, and the body of a refusal, empty for any.
    pub fn upstream_answer(&self, call: &UpstreamCall<'_>) -> (u16, String, Option<&'static str>) {
        let calls = self.provider.calls.get() + 1;
        self.provider.calls.set(calls);
        let nodes = self.provider.bad_node.get();
        let is_flaky =
            self.world.happens(self.provider.flaky.get()) || (nodes > 0 && calls.is_multiple_of(nodes));
        if Self::is_forbidden(call.url) {
            return (401, "www-authenticate:Bearer".to_owned(), Some(""));
        }
        if is_flaky || !self.provider.takes(&bearer(call)) {
            let body = self.provider.refusal_body.get();
            let fields = match self.provider.refuses_by.get() {
                _ if !body.is_empty() => "content-type:application/json",
                401 => "www-authenticate:Bearer",
                _ => "www-authenticate:Basic realm=\"a\", Bearer error=\"invalid_token\"",
            };
            return (self.provider.refuses_by.get(), fields.to_owned(), Some(body));
        }
        let scripted = self.upstream_script.borrow().clone();
        let (status, fields) = scripted.unwrap_or_else(|| (200, "content-type:application/json".to_owned()));
        (status, fields, None)
    }

    /// Whether the account lacks permission for this address: the API then answers 401 to every
    /// token.
    pub fn is_forbidden(url: &str) -> bool {
        url.contains("/forbidden")
    }

    /// Called when the state of the keeper of `connection` became durable.
    pub fn note_state(&self, connection: &str, state: &str) {
        // The watch covers one token set.
        if connection != "acme" {
            return;
        }
        let name = "keeper/service/acme";
        let state = self.open_with(|keys| token::open(state, name, keys).ok()).expect("a sealed state");
        self.watch.stored(&state, |refresh_token| self.provider.would_refresh(refresh_token));
    }

    /// Called when the registration of `connection` became durable.
    pub fn note_registration(&self, connection: &str, record: &str) {
        let opened = self.open_with(|keys| Registration::open(record, connection, keys).ok());
        let registration = opened.expect("a sealed registration");
        self.registry_watch.registered(connection, registration.version, self.world.now());
    }

    /// The stored state of the keeper of `acme`.
    pub fn stored_state(&self) -> Option<String> {
        self.objects.text(&keeper("acme"), STATE)
    }

    /// Called when the keeper writes to the cache.
    pub fn note_cached(&self, name: &str, record: &str) {
        let opened = self.open_with(|keys| token::open(record, name, keys).ok());
        if let Some(record) = opened.filter(|_| name.starts_with("access-token/")) {
            self.watch.cached(&record);
        }
    }

    /// Sends a message to an object over the network, and returns the answer. The message arrives
    /// even if its sender ends.
    ///
    /// # Errors
    /// As [`Objects::exchange`].
    pub async fn send_message(
        self: &Rc<Self>,
        name: &str,
        envelope: &str,
    ) -> Result<String, ObjectUnreachable> {
        let (sender, receiver) = oneshot::channel();
        let (site, name, envelope) = (Rc::clone(self), name.to_owned(), envelope.to_owned());
        self.world.spawn(PROVIDER, async move {
            site.world.hop().await;
            let answer = Objects::exchange(&site, &name, &envelope).await;
            site.world.hop().await;
            let _ = sender.send(answer);
        });
        receiver.await.unwrap_or(Err(ObjectUnreachable))
    }

    /// Ends the life of every keeper, at any point.
    pub fn kill_keeper(self: &Rc<Self>) {
        Objects::kill_all(self, "service/");
    }
}
