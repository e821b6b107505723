//! The authorization code grant at the provider (RFC 6749 §4.1, RFC 7636): what people consent to, what
//! comes of a code, and what is revoked (RFC 7009).

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use url::{Url, form_urlencoded};
use zeroize::Zeroizing;

use super::wire::{answer, connection, fields, refused};
use super::{Effect, Fault, Provider};
use crate::issuer::Key;
use crate::network::Sent;
use porteiro::ports::HttpAnswer;
use porteiro::time::UnixTime;

/// The key of the issuers that people sign in at.
pub const SIGN_IN_KEY: Key = Key("sign-in");

/// How long a code is good.
const CODE_LIFE: Duration = Duration::from_mins(1);

/// Whoever consents: a browser, and the person in it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Consenting<'a> {
    /// The browser.
    pub browser: u64,
    /// The subject.
    pub subject: &'a str,
    /// The person's session at the provider.
    pub sid: &'a str,
}

/// A consent of which there are tokens.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Consented {
    /// The connection.
    pub connection: String,
    /// Who consented.
    pub subject: String,
    /// Their session at the provider.
    pub sid: String,
    /// The browser.
    pub browser: u64,
    /// When the code was exchanged.
    pub since: UnixTime,
}

struct Code {
    connection: String,
    subject: String,
    sid: String,
    browser: u64,
    redirect_uri: String,
    challenge: String,
    nonce: Option<String>,
    issued_at: UnixTime,
    family: Option<u64>,
}

/// The consents at the provider.
#[derive(Default)]
pub struct Consents {
    codes: RefCell<BTreeMap<String, Code>>,
    /// Each code that was sent, with its verifier.
    sent: RefCell<BTreeSet<(String, String)>>,
    families: RefCell<BTreeMap<u64, Consented>>,
    /// Who got a refresh token, by connection, where only the first consent brings one.
    refreshing: RefCell<BTreeSet<(String, String)>>,
    /// How many requests for its revocation came for each token.
    revocations: RefCell<BTreeMap<String, u32>>,
    /// Codes, verifiers, states and ID tokens so far.
    pub secrets: RefCell<Vec<String>>,
    /// Whether a person's first consent alone brings a refresh token.
    pub first_only: Cell<bool>,
    /// The first rule of codes and revocations that the broker broke.
    pub violation: RefCell<Option<String>>,
}

impl Consents {
    fn demand(&self, holds: bool, what: &str) {
        if !holds {
            self.violation.borrow_mut().get_or_insert_with(|| what.to_owned());
        }
    }
}

impl Provider {
    /// Consents to the authorization request at `url`: where the browser goes from there.
    pub fn consent(&self, url: &str, who: Consenting<'_>) -> String {
        let url = Url::parse(url).expect("an address");
        let asked: BTreeMap<String, String> = url.query_pairs().into_owned().collect();
        let connection = connection(url.as_str());
        let is = |name: &str, value: &str| assert_eq!(asked.get(name).map(String::as_str), Some(value));
        is("response_type", "code");
        is("client_id", "client");
        is("code_challenge_method", "S256");
        let is_openid = asked["scope"].split(' ').any(|scope| scope == "openid");
        assert_eq!(asked.contains_key("nonce"), is_openid, "a nonce with openid, and only then");
        let code = format!("code-{}", self.world.unique());
        let state = asked["state"].clone();
        self.consents.secrets.borrow_mut().extend([code.clone(), state.clone()]);
        let issued = Code {
            connection: connection.clone(),
            subject: who.subject.to_owned(),
            sid: who.sid.to_owned(),
            browser: who.browser,
            redirect_uri: asked["redirect_uri"].clone(),
            challenge: asked["code_challenge"].clone(),
            nonce: asked.get("nonce").cloned(),
            issued_at: self.world.now(),
            family: None,
        };
        self.consents.codes.borrow_mut().insert(code.clone(), issued);
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("code", &code).append_pair("state", &state);
        if is_openid {
            query.append_pair("iss", &issuer(&connection));
        }
        format!("{}?{}", asked["redirect_uri"], query.finish())
    }

    /// Exchanges a code, which is good for one use by whoever has the verifier. A second one revokes
    /// what the first brought (RFC 6749 §4.1.2).
    pub(super) fn exchange_code(&self, fields: &BTreeMap<String, String>, url: &str) -> HttpAnswer {
        let known = ["client_id", "code", "code_verifier", "grant_type", "redirect_uri"];
        assert!(fields.keys().eq(known), "the fields of an exchange: {:?}", fields.keys());
        let consents = &self.consents;
        let (name, verifier) = (fields["code"].clone(), fields["code_verifier"].clone());
        consents.secrets.borrow_mut().push(verifier.clone());
        let is_first = consents.sent.borrow_mut().insert((name.clone(), verifier.clone()));
        consents.demand(is_first, "code-once: a code is sent to the token endpoint twice");
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(&verifier));
        let mut codes = consents.codes.borrow_mut();
        let code = codes.get_mut(&name).expect("a code that was issued");
        if let Some(family) = code.family {
            self.dead_families.borrow_mut().insert(family);
            return refused("invalid_grant");
        }
        let is_good = code.connection == connection(url)
            && code.redirect_uri == fields["redirect_uri"]
            && code.challenge == challenge
            && self.world.now() < code.issued_at + CODE_LIFE;
        if !is_good {
            return refused("invalid_grant");
        }
        let family = self.world.unique();
        code.family = Some(family);
        let consented = Consented {
            connection: code.connection.clone(),
            subject: code.subject.clone(),
            sid: code.sid.clone(),
            browser: code.browser,
            since: self.world.now(),
        };
        let id_token = code.nonce.as_ref().map(|nonce| self.id_token(&consented, nonce));
        let own = (consented.connection.clone(), consented.subject.clone());
        consents.families.borrow_mut().insert(family, consented);
        let is_first = consents.refreshing.borrow_mut().insert(own);
        let none = (consents.first_only.get() && !is_first).then_some("");
        let mut answer = self.issue(family, none);
        if let Some(id_token) = id_token {
            let mut response: Value = serde_json::from_slice(&answer.body).expect("a token response");
            consents.secrets.borrow_mut().push(id_token.clone());
            response["id_token"] = id_token.into();
            answer.body = Zeroizing::new(response.to_string().into_bytes());
        }
        answer
    }

    fn id_token(&self, consented: &Consented, nonce: &str) -> String {
        let now = self.world.now().as_millis() / 1000;
        SIGN_IN_KEY.sign(&json!({
            "iss": issuer(&consented.connection),
            "aud": "client",
            "sub": consented.subject,
            "sid": consented.sid,
            "nonce": nonce,
            "iat": now,
            "exp": now + 300,
        }))
    }

    /// A logout token of a person, or of their session at the provider (`OpenID` Connect Back-Channel
    /// Logout 1.0 §2.4).
    pub fn logout_token(&self, connection: &str, subject: Option<&str>, sid: Option<&str>) -> String {
        let now = self.world.now().as_millis() / 1000;
        let mut claims = json!({
            "iss": issuer(connection),
            "aud": "client",
            "iat": now,
            "exp": now + 120,
            "jti": format!("jti-{}", self.world.unique()),
            "events": { "http://schemas.openid.net/event/backchannel-logout": {} },
        });
        for (name, value) in [("sub", subject), ("sid", sid)] {
            if let Some(value) = value {
                claims[name] = value.into();
            }
        }
        SIGN_IN_KEY.sign(&claims)
    }

    /// Answers a request to revoke a token; `None` if the connection breaks.
    pub async fn revocation(&self, request: &Sent) -> Option<HttpAnswer> {
        let sent = fields(&request.body);
        assert!(sent.keys().eq(["client_id", "token", "token_type_hint"]), "{:?}", sent.keys());
        let token = &sent["token"];
        assert!(self.families.borrow().contains_key(token), "a token that was issued");
        let times = {
            let mut revocations = self.consents.revocations.borrow_mut();
            let times = revocations.entry(token.clone()).or_default();
            *times += 1;
            *times
        };
        self.consents.demand(times <= 2, "revoked-twice: a token is revoked a third time");
        let fault = self.draw_fault();
        self.world.hop().await;
        let done = match fault {
            Some(Fault::Answer { status, body, .. }) if status != 200 => answer(status, body, None),
            Some(Fault::Reset(Effect::None)) => return None,
            None if self.down.get() => answer(503, "", None),
            fault => {
                self.revoke(token);
                match fault {
                    Some(Fault::Reset(_)) => return None,
                    Some(Fault::Slow(span)) => self.world.sleep(span).await,
                    _ => {}
                }
                answer(200, "", None)
            }
        };
        self.world.hop().await;
        Some(done)
    }

    fn revoke(&self, token: &str) {
        if self.access_tokens.borrow_mut().remove(token).is_none() {
            let family = self.families.borrow().get(token).copied();
            self.dead_families.borrow_mut().extend(family);
        }
    }

    /// Whether somebody asked for the token's revocation.
    pub fn was_revoked(&self, token: &str) -> bool {
        self.consents.revocations.borrow().contains_key(token)
    }

    /// The consent that `token` comes from, an access token or a refresh token.
    pub fn consented(&self, token: &str) -> Option<Consented> {
        let family = self.family(token)?;
        self.consents.families.borrow().get(&family).cloned()
    }

    /// Ends what a person consented to, for one connection.
    pub fn withdraw(&self, subject: &str, connection: &str) {
        let families = self.consents.families.borrow();
        let theirs = families.iter().filter(|(_, of)| of.subject == subject && of.connection == connection);
        self.dead_families.borrow_mut().extend(theirs.map(|(family, _)| *family));
        // They consent for the first time again.
        self.consents.refreshing.borrow_mut().remove(&(connection.to_owned(), subject.to_owned()));
    }
}

/// The issuer of a connection's people.
pub fn issuer(connection: &str) -> String {
    format!("https://login.{connection}.example")
}
