//! A provider: a token endpoint, and an API that knows its own tokens.

pub mod consents;
mod exchanges;
mod fault;
mod login;
pub mod proofs;
mod tokens;
mod wire;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::time::Duration;

use serde_json::json;
use zeroize::Zeroizing;

use super::issuer::Subject;
use super::network::Sent;
use super::world::World;
use consents::Consents;
pub use fault::{Effect, Fault};
use login::is_login;
pub use login::refuses_login;
use porteiro::ports::HttpAnswer;
use porteiro::time::UnixTime;
use proofs::Proof;
use wire::{answer, check_fields, connection, fields, knows, refused};

/// How a provider issues tokens.
#[derive(Clone, Copy, Debug)]
pub struct Grants {
    /// The lifetime of an access token, in seconds.
    pub expires_in: u64,
    /// Whether the provider issues refresh tokens.
    pub refresh_tokens: bool,
    /// Whether a refresh token works only once.
    pub rotation: bool,
    /// Whether a refresh token used twice revokes all tokens of the same sign-in.
    pub reuse_detection: bool,
}

/// The owner of a token.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Person {
    /// The user name.
    pub username: String,
    /// The connection of the token.
    pub connection: String,
}

impl fmt::Display for Person {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.username)
    }
}

/// The provider.
pub struct Provider {
    world: World,
    /// How the provider issues tokens.
    pub grants: Cell<Grants>,
    /// Whether the provider accepts the account's password.
    pub knows_credentials: Cell<bool>,
    /// The passwords of the account.
    pub account_passwords: RefCell<Vec<&'static str>>,
    /// The client's secrets; empty if the client has none.
    pub client_secrets: RefCell<Vec<&'static str>>,
    /// The faults in the next token requests.
    pub faults: RefCell<VecDeque<Fault>>,
    /// How often a random fault occurs, per mille.
    pub chaos: Cell<u64>,
    /// How often an answer takes some seconds, per mille.
    pub slow: Cell<u64>,
    /// While set, every token request fails in one of several ways.
    pub down: Cell<bool>,
    /// Whether random faults have no effect at the provider.
    pub harmless: Cell<bool>,
    /// While set, the API refuses every token.
    pub refuses_all: Cell<bool>,
    /// How often the API refuses a call regardless of its token, per mille.
    pub flaky: Cell<u64>,
    /// The API refuses every call whose number is a multiple of this; 0 for none.
    pub bad_node: Cell<u64>,
    /// The number of calls to the API.
    pub calls: Cell<u64>,
    /// The status with which the API refuses a token.
    pub refuses_by: Cell<u16>,
    /// The body of such a refusal, if it has one, which then says it in place of a header field.
    pub refusal_body: Cell<&'static str>,
    /// How long the API takes for a body, behind the head.
    pub body_takes: Cell<Duration>,
    /// The provider's own answer to refused credentials and dead refresh tokens: the status, the
    /// body and how many times it is given.
    pub words: RefCell<Option<(u16, Vec<u8>, u32)>>,
    /// The longest time that the API takes for a call.
    pub api_takes: Cell<Duration>,
    /// The passwords of people by user name, if people sign in themselves.
    passwords: RefCell<BTreeMap<String, String>>,
    /// The owner, by family.
    people: RefCell<BTreeMap<u64, Person>>,
    /// The refused sign-ins that were answered: the time, the person, and the password.
    pub refusals: RefCell<Vec<(UnixTime, Person, String)>>,
    /// Who gets no token for theirs, by issuer and name.
    pub denied: RefCell<BTreeSet<String>>,
    /// The tokens that are refused, whoever they are of.
    pub refused_tokens: RefCell<BTreeSet<String>>,
    /// Whom each exchanged token is of, and the end of the token that it was exchanged for.
    exchanged: RefCell<BTreeMap<String, Subject>>,
    access_tokens: RefCell<BTreeMap<String, (u64, UnixTime)>>,
    expiries: RefCell<BTreeMap<String, UnixTime>>,
    refresh_tokens: RefCell<BTreeMap<String, u64>>,
    /// The sign-in that a token comes from, by token, valid or not.
    families: RefCell<BTreeMap<String, u64>>,
    dead_families: RefCell<BTreeSet<u64>>,
    used: RefCell<BTreeSet<String>>,
    /// What token requests are proven by.
    pub proof: Cell<Proof>,
    /// The ids of all assertions so far.
    used_ids: RefCell<BTreeSet<String>>,
    /// The body of every token request.
    pub requests: RefCell<Vec<String>>,
    /// How many requests were answered with a new token set.
    pub granted: Cell<u64>,
    /// How many requests sent refused credentials.
    pub rejected: Cell<u64>,
    /// How many requests reused a refresh token.
    pub reused: Cell<u64>,
    /// Every token that the provider issued.
    pub issued: RefCell<Vec<String>>,
    /// What people consented to.
    pub consents: Consents,
}

impl Provider {
    /// A provider that issues tokens according to `grants`.
    pub fn new(world: &World, grants: Grants) -> Self {
        Self {
            world: world.clone(),
            grants: Cell::new(grants),
            knows_credentials: Cell::new(true),
            account_passwords: RefCell::new(vec!["pass word"]),
            client_secrets: RefCell::default(),
            faults: RefCell::default(),
            chaos: Cell::new(0),
            slow: Cell::new(0),
            down: Cell::new(false),
            harmless: Cell::new(false),
            refuses_all: Cell::new(false),
            flaky: Cell::new(0),
            bad_node: Cell::new(0),
            calls: Cell::new(0),
            refuses_by: Cell::new(401),
            refusal_body: Cell::new(""),
            body_takes: Cell::new(Duration::ZERO),
            words: RefCell::default(),
            api_takes: Cell::new(Duration::ZERO),
            passwords: RefCell::default(),
            people: RefCell::default(),
            refusals: RefCell::default(),
            denied: RefCell::default(),
            refused_tokens: RefCell::default(),
            exchanged: RefCell::default(),
            access_tokens: RefCell::default(),
            expiries: RefCell::default(),
            refresh_tokens: RefCell::default(),
            families: RefCell::default(),
            dead_families: RefCell::default(),
            used: RefCell::default(),
            proof: Cell::default(),
            used_ids: RefCell::default(),
            requests: RefCell::default(),
            granted: Cell::new(0),
            rejected: Cell::new(0),
            reused: Cell::new(0),
            issued: RefCell::default(),
            consents: Consents::default(),
        }
    }

    /// Answers a token request that arrived over the network; `None` if the connection breaks.
    pub async fn token(&self, request: &Sent) -> Option<HttpAnswer> {
        if is_login(&request.body) {
            login::check_fields(request);
        } else {
            check_fields(request);
        }
        let body = request.body.clone();
        let came_at = self.world.now();
        self.requests.borrow_mut().push(body.clone());
        let fault = self.faults.borrow_mut().pop_front().or_else(|| self.draw_fault());
        self.world.hop().await;
        let answer = match fault {
            Some(Fault::Answer { status, body, retry_after }) => answer(status, body, retry_after),
            Some(Fault::Reset(Effect::None)) => return None,
            Some(Fault::Reset(Effect::Taken)) => {
                self.grant(&body, &request.url);
                return None;
            }
            Some(Fault::Slow(span)) => {
                let answer = self.grant(&body, &request.url);
                self.world.sleep(span).await;
                answer
            }
            None if self.down.get() && self.world.happens(500) => answer(503, "", None),
            None if self.down.get() => return None,
            None => self.grant(&body, &request.url),
        };
        self.note_refusal(request, &answer, came_at);
        let answer = self.worded(answer);
        self.world.hop().await;
        Some(answer)
    }

    /// The answer in the provider's own words, if it has any.
    fn worded(&self, answer: HttpAnswer) -> HttpAnswer {
        match self.words.borrow_mut().as_mut().filter(|_| matches!(answer.status, 400 | 401)) {
            Some((status, body, times)) => {
                *times += 1;
                HttpAnswer {
                    status: *status,
                    fields: Zeroizing::default(),
                    body: Zeroizing::new(body.clone()),
                }
            }
            None => answer,
        }
    }

    fn note_refusal(&self, request: &Sent, answer: &HttpAnswer, came_at: UnixTime) {
        let mut fields = fields(&request.body);
        if answer.status == 400
            && let (Some(username), Some(password)) = (fields.remove("username"), fields.remove("password"))
        {
            let person = Person { username, connection: connection(&request.url) };
            self.refusals.borrow_mut().push((came_at, person, password));
        }
    }

    fn grant(&self, body: &str, url: &str) -> HttpAnswer {
        if is_login(body) {
            return self.login(body);
        }
        let fields = fields(body);
        assert_eq!(
            fields.get("client_id").map(String::as_str),
            Some("client"),
            "an unexpected request: {body}"
        );
        if !knows(&self.client_secrets, fields.get("client_secret")) {
            self.rejected.set(self.rejected.get() + 1);
            return answer(401, r#"{"error":"invalid_client"}"#, None);
        }
        if !self.takes_proof(&fields, url) {
            return answer(401, r#"{"error":"invalid_client"}"#, None);
        }
        match fields.get("grant_type").map(String::as_str) {
            Some("password")
                if self.passwords.borrow().get(&fields["username"]) == Some(&fields["password"]) =>
            {
                let person = Person { username: fields["username"].clone(), connection: connection(url) };
                let family = self.world.unique();
                self.people.borrow_mut().insert(family, person);
                self.issue(family, None)
            }
            Some("password")
                if self.knows_credentials.get() && knows(&self.account_passwords, fields.get("password")) =>
            {
                self.issue(self.world.unique(), None)
            }
            Some("client_credentials") => self.issue(self.world.unique(), None),
            Some("urn:ietf:params:oauth:grant-type:jwt-bearer") if self.knows_credentials.get() => {
                self.issue(self.world.unique(), None)
            }
            Some("password" | "urn:ietf:params:oauth:grant-type:jwt-bearer") => {
                self.rejected.set(self.rejected.get() + 1);
                refused("invalid_grant")
            }
            Some("authorization_code") => self.exchange_code(&fields, url),
            Some("refresh_token") => self.refresh(&fields["refresh_token"]),
            Some(exchanges::TOKEN_EXCHANGE) => self.exchange(&fields),
            _ => panic!("an unexpected request: {body}"),
        }
    }

    fn refresh(&self, token: &str) -> HttpAnswer {
        let grants = self.grants.get();
        let family = self.refresh_tokens.borrow().get(token).copied();
        let Some(family) = family.filter(|family| !self.dead_families.borrow().contains(family)) else {
            return refused("invalid_grant");
        };
        if grants.rotation && !self.used.borrow_mut().insert(token.to_owned()) {
            self.reused.set(self.reused.get() + 1);
            if grants.reuse_detection {
                self.dead_families.borrow_mut().insert(family);
            }
            return refused("invalid_grant");
        }
        self.issue(family, (!grants.rotation).then_some(token))
    }

    /// Issues an access token; returns it with its expiry.
    fn issue_access(&self, family: u64) -> (String, UnixTime) {
        self.granted.set(self.granted.get() + 1);
        let access = format!("access-{}", self.world.unique());
        let expires_at = self.world.now() + Duration::from_secs(self.grants.get().expires_in);
        self.access_tokens.borrow_mut().insert(access.clone(), (family, expires_at));
        self.expiries.borrow_mut().insert(access.clone(), expires_at);
        self.families.borrow_mut().insert(access.clone(), family);
        self.issued.borrow_mut().push(access.clone());
        (access, expires_at)
    }

    fn issue(&self, family: u64, same_refresh_token: Option<&str>) -> HttpAnswer {
        let grants = self.grants.get();
        let (access, _) = self.issue_access(family);
        let mut response =
            json!({ "access_token": access, "token_type": "Bearer", "expires_in": grants.expires_in });
        if grants.refresh_tokens && same_refresh_token.is_none() {
            let refresh = format!("refresh-{}", self.world.unique());
            self.refresh_tokens.borrow_mut().insert(refresh.clone(), family);
            self.families.borrow_mut().insert(refresh.clone(), family);
            self.issued.borrow_mut().push(refresh.clone());
            response["refresh_token"] = refresh.into();
        }
        answer(200, &response.to_string(), None)
    }
}
