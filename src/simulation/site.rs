//! One deployment of the broker and all that is around it.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use futures_channel::oneshot;
use serde_json::{Value, json};

use super::cache::Cache;
use super::call::{Answered, Call};
use super::crowd_watch::{CrowdWatch, Visit};
use super::isolate::CallPorts;
use super::issuer::Issuers;
use super::object::ObjectPorts;
use super::objects::Objects;
use super::provider::{Grants, Person, Provider};
use super::watch::Watch;
use super::world::{Process, World};
use crate::broker::keeper::{Ask, Keeper, Reply, SERVICE};
use crate::broker::ports::{KeeperUnreachable, UpstreamCall};
use crate::broker::{self, Body, Broker};
use crate::config::Config;
use crate::http::{Headers, RequestHead};
use crate::time::UnixTime;
use crate::token;

/// The provider's process; isolates count from 1, lives of the keeper from 1000.
pub const PROVIDER: Process = 0;

/// What isolates, keeper and provider share.
pub struct Shared {
    pub world: World,
    pub cache: Cache,
    pub provider: Provider,
    pub storage: RefCell<Option<String>>,
    /// How often a write to the keeper's storage fails, per mille.
    pub storage_failures: Cell<u64>,
    pub asks: Cell<u64>,
    alarm: Cell<Option<UnixTime>>,
    /// Whether the keeper's alarm is ever called.
    pub alarms: Cell<bool>,
    pub logs: RefCell<Vec<String>>,
    pub watch: Watch,
    /// Whether the connection has nothing but a refresh token.
    pub refresh_token_only: Cell<bool>,
    /// The sessions, and the counters of refused sign-ins.
    pub objects: Objects,
    pub crowd: CrowdWatch,
    pub issuers: Issuers,
    config: RefCell<Rc<Config>>,
    keeper: RefCell<Option<(Process, Rc<Keeper<ObjectPorts>>)>>,
    lives: Cell<Process>,
    in_flight: Cell<u32>,
    pub most_in_flight: Cell<u32>,
    /// Each call that the upstream got: its address and fields.
    pub upstream_calls: RefCell<Vec<(String, String)>>,
    /// What the upstream answers instead of 200.
    pub upstream_script: RefCell<Option<(u16, String)>>,
}

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
        if !self.provider.takes(&bearer(call)) {
            return (401, "www-authenticate:Bearer".to_owned());
        }
        let scripted = self.upstream_script.borrow().clone();
        scripted.unwrap_or_else(|| (200, "content-type:application/json".to_owned()))
    }

    /// The keeper's state became durable.
    pub fn note_stored(&self, state: &str) {
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
    pub async fn ask(site: &Rc<Self>, connection: &str, ask: Ask) -> Result<Reply, KeeperUnreachable> {
        let (process, keeper) = Self::keeper(site, connection);
        let (sender, receiver) = oneshot::channel();
        site.world.spawn(process, async move {
            let _ = sender.send(keeper.answer(&ask).await);
        });
        receiver.await.map_err(|_| KeeperUnreachable)
    }

    fn keeper(site: &Rc<Self>, connection: &str) -> (Process, Rc<Keeper<ObjectPorts>>) {
        let mut keeper = site.keeper.borrow_mut();
        let (process, keeper) = keeper.get_or_insert_with(|| {
            let process = site.next_life();
            let ports = ObjectPorts { site: Rc::clone(site), process };
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

    /// Ends the keeper's life wherever it is.
    pub fn kill_keeper(&self) {
        let keeper = self.keeper.borrow_mut().take();
        if let Some((process, keeper)) = keeper {
            self.watch.keeper_failed();
            self.world.kill(process);
            drop(keeper);
        }
    }
}

/// A deployment.
pub struct Site {
    pub shared: Rc<Shared>,
    isolates: RefCell<BTreeMap<Process, Rc<Broker>>>,
}

impl Site {
    pub const CALLER_KEY: &'static str = "caller-key-0123456789-0123456789-0123456789";
    pub const ADDRESS: &'static str = "https://broker.example";

    /// A site with one connection, `acme`, at a provider that grants so.
    pub fn new(seed: u64, grants: Grants) -> Self {
        Self::with_variables(seed, grants, &Self::variables())
    }

    /// A site with other variables.
    pub fn with_variables(seed: u64, grants: Grants, variables: &Value) -> Self {
        let world = World::new(seed);
        let shared = Rc::new(Shared {
            cache: Cache::new(&world),
            provider: Provider::new(&world, grants),
            storage: RefCell::default(),
            storage_failures: Cell::new(0),
            asks: Cell::new(0),
            alarm: Cell::new(None),
            alarms: Cell::new(true),
            logs: RefCell::default(),
            watch: Watch::default(),
            refresh_token_only: Cell::new(false),
            config: RefCell::new(Rc::new(read(variables))),
            keeper: RefCell::default(),
            lives: Cell::new(0),
            in_flight: Cell::new(0),
            most_in_flight: Cell::new(0),
            upstream_calls: RefCell::default(),
            upstream_script: RefCell::default(),
            objects: Objects::default(),
            crowd: CrowdWatch::default(),
            issuers: Issuers::new(&world),
            world,
        });
        Self { shared, isolates: RefCell::default() }
    }

    /// The variables of a site: change them before use.
    pub fn variables() -> Value {
        json!({
            "ALLOWED_ORIGINS": ["https://app.example"],
            "CALLERS": { "backend": { "kind": "key" }, "page": { "kind": "anyone" } },
            "CONNECTIONS": {
                "acme": {
                    "provider": "custom",
                    "base_url": "https://api.acme.example/v2",
                    "token_url": "https://login.acme.example/token",
                    "grant": "password",
                    "client_auth": "none",
                    "client_id": "client",
                    "rules": [{
                        "callers": ["backend", "page"],
                        "methods": ["GET", "POST"],
                        "paths": ["/things", "/things/*"],
                    }],
                },
            },
            "BACKEND_KEY": Self::CALLER_KEY,
            "ACME_USERNAME": "ana@example.com",
            "ACME_PASSWORD": "pass word",
            "SEALING_KEYS": "k1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        })
    }

    /// A site for people, with two connections: `acme` and `bolt`.
    pub fn for_people(seed: u64, grants: Grants) -> Self {
        let site = Self::with_variables(seed, grants, &Self::variables_for_people());
        for person in ["ana", "bia", "caio"] {
            site.shared.provider.enrol(&format!("{person}@example.com"), &format!("{person}'s password"));
        }
        site
    }

    /// The variables of a site for people: change them before use.
    pub fn variables_for_people() -> Value {
        let connection = |id: &str| {
            json!({
                "provider": "custom",
                "base_url": format!("https://api.{id}.example/v2"),
                "token_url": format!("https://login.{id}.example/token"),
                "grant": "password",
                "subject": "user",
                "client_auth": "none",
                "client_id": "client",
                "rules": [{ "callers": ["session"], "methods": ["GET", "POST"], "paths": ["/things"] }],
            })
        };
        json!({
            "ALLOWED_ORIGINS": ["https://app.example"],
            "CONNECTIONS": { "acme": connection("acme"), "bolt": connection("bolt") },
            "SEALING_KEYS": "k1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        })
    }

    /// Deploys a connection that has nothing but a refresh token.
    pub fn redeploy_with_refresh_token_only(&self) {
        let mut variables = Self::variables();
        let connection = &mut variables["CONNECTIONS"]["acme"];
        connection["grant"] = "refresh_token".into();
        variables["ACME_REFRESH_TOKEN"] = "refresh-0".into();
        self.shared.provider.sign_in("refresh-0");
        self.shared.refresh_token_only.set(true);
        self.redeploy(&variables);
    }

    /// Deploys other variables: every isolate and the keeper start anew.
    pub fn redeploy(&self, variables: &Value) {
        *self.shared.config.borrow_mut() = Rc::new(read(variables));
        for process in std::mem::take(&mut *self.isolates.borrow_mut()).into_keys() {
            self.shared.world.kill(process);
        }
        self.shared.kill_keeper();
        Objects::kill_all(&self.shared);
    }

    /// Ends an isolate: what it held in memory is lost.
    pub fn kill_isolate(&self, isolate: Process) {
        self.isolates.borrow_mut().remove(&isolate);
        self.shared.world.kill(isolate);
        self.shared.watch.ended(isolate);
    }

    /// Makes a call in an isolate and waits for the answer.
    pub fn call(&self, isolate: Process, call: &Call) -> Answered {
        self.shared.world.block_on(isolate, self.calling(isolate, call))
    }

    /// A call in an isolate, to be run as a task.
    pub fn calling(&self, isolate: Process, call: &Call) -> impl Future<Output = Answered> + use<> {
        let config = Rc::clone(&self.shared.config.borrow());
        let broker = Rc::clone(
            self.isolates.borrow_mut().entry(isolate).or_insert_with(|| Rc::new(Broker::new(config))),
        );
        let cookie = call.fields.iter().find(|(name, _)| *name == "cookie").map(|(_, value)| value.as_str());
        let ports = Rc::new(CallPorts {
            site: Rc::clone(&self.shared),
            process: isolate,
            body: call.body,
            text: call.text.clone(),
            visit: Visit::new(cookie, self.shared.world.now()),
            sent: Cell::new(0),
        });
        let mut head = format!("{}\n{}{}", call.method, Self::ADDRESS, call.target);
        for (name, value) in &call.fields {
            head.extend(["\n", name, ":", value]);
        }
        async move {
            let answer = broker::answer(&broker, &ports, &RequestHead::new(&head)).await;
            let body = match answer.body {
                Body::Empty => String::new(),
                Body::Text(text) | Body::Upstream(text) => text,
            };
            Answered { status: answer.status, fields: answer.fields, body, sent: ports.sent.get() }
        }
    }

    /// Makes `count` calls at once, spread over `isolates` isolates.
    pub fn storm(&self, isolates: u32, count: u32, call: &Call) -> Vec<Answered> {
        let calls: Vec<_> = (0..count).map(|n| self.calling(1 + n % isolates, call)).collect();
        self.shared.world.block_on(PROVIDER, futures_util::future::join_all(calls))
    }
}

/// The token that a call carries.
pub fn bearer(call: &UpstreamCall<'_>) -> String {
    let value = Headers::new(call.fields).value("authorization").expect("every call carries its token");
    value.strip_prefix("Bearer ").expect("a Bearer token").to_owned()
}

fn read(variables: &Value) -> Config {
    Config::read(variables.as_object().expect("variables are an object")).0
}
