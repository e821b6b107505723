//! What isolates, keeper and provider share.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use futures_channel::oneshot;
use serde_json::Value;

use super::{PROVIDER, bearer};
use crate::config::Config;
use crate::objects::keeper::Keeper;
use crate::ports::{KeeperUnreachable, UpstreamCall};
use crate::protocol::{OperatorAsk, OperatorReply, SERVICE, TokenAsk, TokenReply};
use crate::simulation::cache::Cache;
use crate::simulation::crowd_watch::{CrowdWatch, Visit};
use crate::simulation::deliveries::DeliveryObjects;
use crate::simulation::issuer::Issuers;
use crate::simulation::object::{ObjectPorts, STATE};
use crate::simulation::objects::Objects;
use crate::simulation::provider::{Person, Provider};
use crate::simulation::receiver::Receiver;
use crate::simulation::watch::Watch;
use crate::simulation::world::{Process, World};
use crate::time::UnixTime;
use crate::token;

/// What isolates, keeper and provider share.
pub struct Shared {
    pub world: World,
    pub cache: Cache,
    pub provider: Provider,
    pub storage: RefCell<Option<String>>,
    /// The storage of the keepers, but for the state of `acme`, by connection and key.
    pub others: RefCell<BTreeMap<(String, String), String>>,
    /// The ids of registered connections.
    pub index: RefCell<BTreeSet<String>>,
    /// How often a write to the keeper's storage fails, per mille.
    pub storage_failures: Cell<u64>,
    pub asks: Cell<u64>,
    pub(super) alarm: Cell<Option<UnixTime>>,
    /// Whether the keeper's alarm is ever called.
    pub alarms: Cell<bool>,
    pub logs: RefCell<Vec<String>>,
    pub watch: Watch,
    /// Whether the connection has nothing but a refresh token.
    pub refresh_token_only: Cell<bool>,
    /// The sessions, and the counters of refused sign-ins.
    pub objects: Objects,
    pub crowd: CrowdWatch,
    /// Those who deliver webhooks, and the application that gets them.
    pub deliveries: DeliveryObjects,
    pub receiver: Receiver,
    pub issuers: Issuers,
    pub(super) config: RefCell<Rc<Config>>,
    pub(super) keepers: RefCell<BTreeMap<String, Life>>,
    pub(super) lives: Cell<Process>,
    pub(super) in_flight: Cell<u32>,
    pub most_in_flight: Cell<u32>,
    /// Each call that the upstream got: its address and fields.
    pub upstream_calls: RefCell<Vec<(String, String)>>,
    /// What the upstream answers instead of 200.
    pub upstream_script: RefCell<Option<(u16, String)>>,
}

/// A life of a keeper.
type Life = (Process, Rc<Keeper<ObjectPorts>>);

/// A token request under way from a living keeper.
pub struct Flight(Rc<Shared>);

impl Drop for Flight {
    fn drop(&mut self) {
        self.0.in_flight.set(self.0.in_flight.get() - 1);
    }
}

impl Shared {
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        std::array::from_fn(|_| self.world.random().to_le_bytes()[0])
    }

    pub fn log(&self, line: &str) {
        let parsed: Result<Value, _> = serde_json::from_str(line);
        assert!(parsed.is_ok_and(|line| line.is_object()), "a log line is a JSON object: {line}");
        self.logs.borrow_mut().push(line.to_owned());
    }

    pub fn config(&self) -> Rc<Config> {
        Rc::clone(&self.config.borrow())
    }

    /// The process of another life of an object.
    pub fn next_life(&self) -> Process {
        self.lives.set(self.lives.get() + 1);
        1000 + self.lives.get()
    }

    /// A living keeper begins a token request.
    pub fn enter_token_endpoint(self: &Rc<Self>, refresh_token: Option<&str>) -> Flight {
        let only_grant = self.refresh_token_only.get();
        self.watch.token_request(self.in_flight.get(), refresh_token, only_grant, self.world.now());
        self.in_flight.set(self.in_flight.get() + 1);
        self.most_in_flight.set(self.most_in_flight.get().max(self.in_flight.get()));
        Flight(Rc::clone(self))
    }

    /// An isolate sends a call on.
    pub fn note_upstream_call(&self, isolate: Process, call: &UpstreamCall<'_>) {
        let token = bearer(call);
        self.watch.sends(isolate, &token, self.provider.expiry(&token), self.world.now());
        self.upstream_calls.borrow_mut().push((call.url.to_owned(), call.fields.to_owned()));
    }

    /// An isolate sends a person's call on.
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

    /// Something of a session or a counter became durable.
    pub fn note_persons_state(&self, object: &str, key: &str, text: &str) {
        let config = self.config();
        let (Some(keys), Some(connection)) = (&config.sealing_keys, key.strip_prefix("session/")) else {
            return;
        };
        let name = format!("keeper/{object}/{connection}");
        let state = token::open(text, &name, keys).expect("a sealed state");
        self.crowd.stored(&name, &state, &self.provider);
    }

    /// What the upstream answers to a call of an isolate.
    pub fn upstream_answer(&self, call: &UpstreamCall<'_>) -> (u16, String) {
        let calls = self.provider.calls.get() + 1;
        self.provider.calls.set(calls);
        let nodes = self.provider.bad_node.get();
        let is_flaky =
            self.world.happens(self.provider.flaky.get()) || (nodes > 0 && calls.is_multiple_of(nodes));
        if Self::is_forbidden(call.url) {
            return (401, "www-authenticate:Bearer".to_owned());
        }
        if is_flaky || !self.provider.takes(&bearer(call)) {
            return match self.provider.refuses_by.get() {
                401 => (401, "www-authenticate:Bearer".to_owned()),
                status => {
                    (status, "www-authenticate:Basic realm=\"a\", Bearer error=\"invalid_token\"".to_owned())
                }
            };
        }
        let scripted = self.upstream_script.borrow().clone();
        scripted.unwrap_or_else(|| (200, "content-type:application/json".to_owned()))
    }

    /// Whether the account may not call this address: the API answers 401 to
    /// every token.
    pub fn is_forbidden(url: &str) -> bool {
        url.contains("/forbidden")
    }

    /// What the keeper of `connection` has stored under `key`.
    pub fn stored(&self, connection: &str, key: &str) -> Option<String> {
        if (connection, key) == ("acme", STATE) {
            return self.storage.borrow().clone();
        }
        self.others.borrow().get(&(connection.to_owned(), key.to_owned())).cloned()
    }

    /// What a keeper stores, or deletes, became durable.
    pub fn note_stored(&self, connection: &str, key: &str, text: Option<&str>) {
        if (connection, key) != ("acme", STATE) {
            let name = (connection.to_owned(), key.to_owned());
            match text {
                Some(text) => drop(self.others.borrow_mut().insert(name, text.to_owned())),
                None => drop(self.others.borrow_mut().remove(&name)),
            }
            return;
        }
        *self.storage.borrow_mut() = text.map(str::to_owned);
        if let Some(state) = text {
            self.note_state(state);
        }
    }

    fn note_state(&self, state: &str) {
        let config = Rc::clone(&self.config.borrow());
        let Some(keys) = &config.sealing_keys else { return };
        let state = token::open(state, "keeper/service/acme", keys).expect("a sealed state");
        self.watch.stored(&state, |refresh_token| self.provider.would_refresh(refresh_token));
    }

    /// The keeper writes to the cache.
    pub fn note_cached(&self, name: &str, record: &str) {
        let config = Rc::clone(&self.config.borrow());
        let Some(keys) = &config.sealing_keys else { return };
        if let Ok(record) = token::open(record, name, keys) {
            self.watch.cached(&record);
        }
    }

    /// Asks the keeper that lives now, or a new one.
    pub async fn ask(
        site: &Rc<Self>,
        connection: &str,
        ask: TokenAsk,
    ) -> Result<TokenReply, KeeperUnreachable> {
        let (process, keeper) = Self::keeper(site, connection);
        let (sender, receiver) = oneshot::channel();
        site.world.spawn(process, async move {
            let _ = sender.send(keeper.answer(&ask).await);
        });
        receiver.await.map_err(|_| KeeperUnreachable)
    }

    /// The same for an operator, in the words that go over the wire.
    pub async fn ask_operator(
        site: &Rc<Self>,
        connection: &str,
        ask: &OperatorAsk,
    ) -> Result<OperatorReply, KeeperUnreachable> {
        let (process, keeper) = Self::keeper(site, connection);
        let ask: OperatorAsk = site.objects.deliver(ask);
        let (sender, receiver) = oneshot::channel();
        site.world.spawn(process, async move {
            let _ = sender.send(keeper.serve_operator(&ask).await);
        });
        let reply = receiver.await.map_err(|_| KeeperUnreachable)?;
        Ok(site.objects.deliver(&reply))
    }

    fn keeper(site: &Rc<Self>, connection: &str) -> Life {
        let mut keepers = site.keepers.borrow_mut();
        let (process, keeper) = keepers.entry(connection.to_owned()).or_insert_with(|| {
            let process = site.next_life();
            let ports = ObjectPorts { site: Rc::clone(site), process, connection: connection.into() };
            (process, Keeper::new(ports, Rc::clone(&site.config.borrow()), connection.to_owned(), SERVICE))
        });
        (*process, Rc::clone(keeper))
    }

    /// Has the keeper's alarm called at `at`, and again where it was cut off.
    pub fn set_alarm(site: &Rc<Self>, at: UnixTime) {
        site.alarm.set(Some(at));
        let site = Rc::clone(site);
        let world = site.world.clone();
        world.clone().spawn(PROVIDER, async move {
            world.sleep(at.since(world.now())).await;
            if site.alarm.get() != Some(at) || !site.alarms.get() {
                return;
            }
            site.alarm.set(None);
            loop {
                let (process, keeper) = Self::keeper(&site, "acme");
                let (sender, receiver) = oneshot::channel();
                world.spawn(process, async move {
                    keeper.alarm().await;
                    let _ = sender.send(());
                });
                if receiver.await.is_ok() {
                    return;
                }
                world.sleep(std::time::Duration::from_secs(2)).await;
            }
        });
    }

    /// Ends the life of every keeper wherever it is.
    pub fn kill_keeper(&self) {
        let keepers = std::mem::take(&mut *self.keepers.borrow_mut());
        for (process, keeper) in keepers.into_values() {
            self.watch.keeper_failed();
            self.world.kill(process);
            drop(keeper);
        }
    }
}
