//! A deployment of the broker and its surroundings.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use serde_json::Value;

use super::budget_watch::BudgetWatch;
use super::cache::Cache;
use super::call::{Answered, Call, whole_fields};
use super::consent_watch::ConsentWatch;
use super::crowd_watch::{CrowdWatch, Visit};
use super::delivery_watch::DeliveryWatch;
use super::durable_object::Objects;
use super::events_watch::EventsWatch;
use super::exchange_watch::ExchangeWatch;
use super::isolate::CallPorts;
use super::issuer::Issuers;
use super::provider::consents::{SIGN_IN_KEY, issuer};
use super::provider::proofs::Proof;
use super::provider::{Grants, Provider};
use super::receiver::Receiver;
use super::registry_watch::RegistryWatch;
use super::watch::Watch;
use super::world::{Process, World};
use porteiro::config::Config;
use porteiro::edge::{self, Body, Isolate};
use porteiro::http::{Headers, RequestHead};
use porteiro::json::{self, FromJson};
use porteiro::ports::UpstreamCall;
use porteiro::protocol::Envelope;

/// The provider's process. Isolates count from 1, the lives of objects from 1000.
pub const PROVIDER: Process = 0;

mod consents;
mod shared;
mod variables;

pub use shared::{Flight, Shared};

/// A deployment.
pub struct Site {
    /// The state that isolates, objects and servers share.
    pub shared: Rc<Shared>,
    isolates: RefCell<BTreeMap<Process, Rc<Isolate>>>,
}

impl Site {
    /// The key of the caller `backend`.
    pub const CALLER_KEY: &'static str = "caller-key-0123456789-0123456789-0123456789";
    /// The address of the broker.
    pub const ADDRESS: &'static str = "https://broker.example";

    /// A site with one connection, `acme`, at a provider that issues tokens according to `grants`.
    pub fn new(seed: u64, grants: Grants) -> Self {
        Self::with_variables(seed, grants, &Self::variables())
    }

    /// A site with these variables.
    pub fn with_variables(seed: u64, grants: Grants, variables: &Value) -> Self {
        let world = World::new(seed);
        let shared = Rc::new(Shared {
            cache: Cache::new(&world),
            provider: Provider::new(&world, grants),
            asks: Cell::new(0),
            logs: RefCell::default(),
            watch: Watch::default(),
            refresh_token_only: Cell::new(false),
            configs: RefCell::new(vec![Rc::new(read(variables))]),
            lives: Cell::new(0),
            in_flight: Cell::new(0),
            most_in_flight: Cell::new(0),
            upstream_calls: RefCell::default(),
            landed: RefCell::default(),
            echoes: Cell::new(false),
            upload_takes: Cell::default(),
            upstream_script: RefCell::default(),
            upstream_body: RefCell::default(),
            objects: Objects::default(),
            delivery_watch: DeliveryWatch::default(),
            events: EventsWatch::default(),
            registry_watch: RegistryWatch::default(),
            receiver: Receiver::new(&world),
            crowd: CrowdWatch::default(),
            budget: BudgetWatch::default(),
            skews: RefCell::default(),
            lag: Cell::default(),
            signs: Cell::new(true),
            certificates: RefCell::default(),
            consents: ConsentWatch::default(),
            exchanges: ExchangeWatch::default(),
            issuers: Issuers::new(&world),
            world,
        });
        Self { shared, isolates: RefCell::default() }
    }

    /// A site with such variables.
    pub fn proving(seed: u64, grants: Grants, proof: Proof) -> Self {
        Self::proving_with(seed, grants, proof, |_| {})
    }

    /// The same, whose connection `change` changes.
    pub fn proving_with(seed: u64, grants: Grants, proof: Proof, change: impl FnOnce(&mut Value)) -> Self {
        let mut variables = Self::variables_proving(proof);
        change(&mut variables["CONNECTIONS"]["acme"]);
        let site = Self::with_variables(seed, grants, &variables);
        site.shared.provider.proof.set(proof);
        site
    }

    /// A site where people sign in, with two connections, `acme` and `bolt`.
    pub fn for_people(seed: u64, grants: Grants) -> Self {
        let site = Self::with_variables(seed, grants, &Self::variables_for_people());
        for person in ["ana", "bia", "caio"] {
            site.shared.provider.enrol(&format!("{person}@example.com"), &format!("{person}'s password"));
        }
        site
    }

    /// A site where callers' tokens are exchanged, with two connections, `acme` and `bolt`, which
    /// have the same client at the same token endpoint.
    pub fn for_exchanges(seed: u64, grants: Grants) -> Self {
        let site = Self::with_variables(seed, grants, &Self::variables_for_exchanges());
        for issuer in Self::ISSUERS {
            site.shared.issuers.publish(issuer, &[Self::ISSUER_KEY]);
        }
        site
    }

    /// A site where people consent at the provider, and somebody does for all callers.
    pub fn for_consents(seed: u64, grants: Grants) -> Self {
        let site = Self::with_variables(seed, grants, &Self::variables_for_consents());
        for connection in ["acme", "bolt"] {
            site.shared.issuers.publish_sign_in(&issuer(connection), &[SIGN_IN_KEY]);
        }
        site.shared.consents.is_on.set(true);
        site
    }

    /// Deploys a connection whose only credential is a refresh token.
    pub fn redeploy_with_refresh_token_only(&self) {
        let mut variables = Self::variables();
        let connection = &mut variables["CONNECTIONS"]["acme"];
        connection["grant"] = "refresh_token".into();
        variables["ACME_REFRESH_TOKEN"] = "refresh-0".into();
        self.shared.provider.sign_in("refresh-0");
        self.shared.refresh_token_only.set(true);
        self.shared.provider.proof.set(Proof::None);
        self.redeploy(&variables);
    }

    /// Deploys a connection whose token comes from a login.
    pub fn redeploy_with_login(&self) {
        self.redeploy(&Self::variables_with_login());
    }

    /// Deploys `variables` for isolates and objects that start from now on. Running ones keep their
    /// configuration.
    pub fn release(&self, variables: &Value) {
        self.shared.configs.borrow_mut().push(Rc::new(read(variables)));
    }

    /// Deploys `variables`; every isolate and object restarts.
    pub fn redeploy(&self, variables: &Value) {
        self.release(variables);
        for process in std::mem::take(&mut *self.isolates.borrow_mut()).into_keys() {
            self.shared.world.kill(process);
        }
        Objects::kill_all(&self.shared, "");
    }

    /// Ends an isolate; its memory is lost.
    pub fn kill_isolate(&self, isolate: Process) {
        self.isolates.borrow_mut().remove(&isolate);
        self.shared.world.kill(isolate);
        self.shared.watch.ended(isolate);
    }

    /// Makes a call in an isolate, and waits for the answer.
    pub fn call(&self, isolate: Process, call: &Call) -> Answered {
        self.shared.world.block_on(isolate, self.calling(isolate, call))
    }

    /// A future that makes a call in an isolate, to be spawned as a task.
    pub fn calling(&self, isolate: Process, call: &Call) -> impl Future<Output = Answered> + use<> {
        let config = self.shared.config();
        let new = || Rc::new(Isolate::new(config.base_path.clone(), Box::new(move || config)));
        let copies = Rc::clone(self.isolates.borrow_mut().entry(isolate).or_insert_with(new));
        let cookie = call.fields.iter().find(|(name, _)| *name == "cookie").map(|(_, value)| value.as_str());
        let own = |name: &&(&str, String)| matches!(name.0, "authorization" | "cookie");
        let credentials: Vec<&str> =
            call.fields.iter().filter(own).map(|(_, value)| value.as_str()).collect();
        let ports = Rc::new(CallPorts {
            site: Rc::clone(&self.shared),
            process: isolate,
            body: call.body,
            text: call.text.clone(),
            visit: Visit::new(cookie, self.shared.world.now()),
            subject: call.subject(),
            credentials: credentials.concat(),
            sent: Cell::new(0),
        });
        let mut head = format!("{}\n{}{}", call.method, call.address, call.target);
        for (name, value) in &call.fields {
            head.extend(["\n", name, ":", value]);
        }
        async move {
            let answer = edge::answer(&copies, &ports, &RequestHead::new(&head)).await;
            let veiled = matches!(answer.body, Body::Veiled(..));
            let body = match answer.body {
                Body::Empty => String::new(),
                Body::Text(text) | Body::Upstream(text) => text,
                Body::Page(text) => text.into_owned(),
                Body::Veiled(text, secrets) => {
                    secrets.expose().lines().fold(text, |text, secret| text.replace(secret, "***"))
                }
            };
            Answered {
                status: answer.status,
                fields: whole_fields(&answer.fields),
                body,
                sent: ports.sent.get(),
                veiled,
            }
        }
    }

    /// Sends a message to an object, without network delay; returns the answer, if any.
    pub fn exchange<A: FromJson>(&self, name: &str, envelope: &Envelope) -> Option<A> {
        let (shared, name) = (Rc::clone(&self.shared), name.to_owned());
        let envelope = json::text(envelope);
        let exchanging = async move { Objects::exchange(&shared, &name, &envelope).await.ok() };
        let answer = self.shared.world.block_on(PROVIDER, exchanging)?;
        Some(json::read(answer.as_bytes()).expect("it can be read"))
    }

    /// Makes `count` concurrent calls, spread over `isolates` isolates.
    pub fn storm(&self, isolates: u32, count: u32, call: &Call) -> Vec<Answered> {
        let calls: Vec<_> = (0..count).map(|n| self.calling(1 + n % isolates, call)).collect();
        self.shared.world.block_on(PROVIDER, futures_util::future::join_all(calls))
    }
}

impl Drop for Site {
    /// The tasks of a site own references to it: ending them breaks the cycle.
    fn drop(&mut self) {
        if !std::thread::panicking() {
            Objects::kill_all(&self.shared, "");
            self.shared.world.end();
        }
    }
}

/// The access token in a call: in its own field, or where the connection puts it.
pub fn bearer(call: &UpstreamCall<'_>) -> String {
    let headers = Headers::new(call.fields);
    if let Some(value) = headers.value("authorization") {
        return value.strip_prefix("Bearer ").expect("a Bearer token").to_owned();
    }
    let in_query = || call.url.split_once("access=").map(|(_, rest)| rest.split('&').next().expect("a part"));
    let token = headers.value("x-access").or_else(in_query);
    token.expect("every call carries its token").to_owned()
}

fn read(variables: &Value) -> Config {
    Config::from_variables(variables.as_object().expect("variables are an object").clone())
}
