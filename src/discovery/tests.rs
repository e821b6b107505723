use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::FutureExt as _;
use futures_util::future::LocalBoxFuture;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::*;
use crate::config::KeySource;
use crate::jose::{Algorithm, IdentityExpectation, Invalid, UnverifiedToken};
use crate::ports::{
    Cache, CacheFailed, Host, Http, HttpAnswer, HttpFailure, HttpRequest, SignatureCheck, Verifier,
};
use crate::secret::{Fingerprint, Secret};
use crate::time::UnixTime;
use crate::token::SealingKeys;

const ISSUER: &str = "https://server.example.com";
const OPENID: &str = "https://server.example.com/.well-known/openid-configuration";
const OAUTH: &str = "https://server.example.com/.well-known/oauth-authorization-server";
const JWKS: &str = "https://server.example.com/jwks.json";
const CLIENT: &str = "s6BhdRkqt3";
const BEGIN: UnixTime = UnixTime::from_millis(1_311_280_970_000);

/// Issuers that answer at once, and a cache. A key signs with its own number.
struct Ports {
    now: Cell<UnixTime>,
    documents: RefCell<BTreeMap<String, (u16, String)>>,
    asked: RefCell<Vec<String>>,
    records: RefCell<BTreeMap<String, (String, UnixTime)>>,
    is_cache_broken: Cell<bool>,
    lines: RefCell<Vec<String>>,
}

impl Host for Ports {
    fn now(&self) -> UnixTime {
        self.now.get()
    }

    fn bytes<const N: usize>(&self) -> [u8; N] {
        [7; N]
    }

    fn log(&self, line: &str) {
        self.lines.borrow_mut().push(line.to_owned());
    }

    fn spawn(&self, _task: LocalBoxFuture<'static, ()>) {}

    async fn sleep(&self, _span: Duration) {}
}

impl Cache for Ports {
    async fn read(&self, name: &str) -> Result<Option<String>, CacheFailed> {
        if self.is_cache_broken.get() {
            return Err(CacheFailed);
        }
        Ok(self.records.borrow().get(name).map(|(record, _)| record.clone()))
    }

    async fn write(&self, name: &str, record: &str, expires_at: UnixTime) -> Result<(), CacheFailed> {
        if self.is_cache_broken.get() {
            return Err(CacheFailed);
        }
        self.records.borrow_mut().insert(name.to_owned(), (record.to_owned(), expires_at));
        Ok(())
    }

    async fn delete(&self, _name: &str) -> Result<(), CacheFailed> {
        Ok(())
    }
}

impl Http for Ports {
    async fn send(&self, request: &HttpRequest<'_>) -> Result<HttpAnswer, HttpFailure> {
        self.asked.borrow_mut().push(request.url.to_owned());
        let documents = self.documents.borrow();
        let (status, body) = documents.get(request.url).ok_or(HttpFailure::Unreachable)?;
        Ok(HttpAnswer {
            status: *status,
            fields: Zeroizing::default(),
            body: Zeroizing::new(body.clone().into_bytes()),
        })
    }
}

impl Verifier for Ports {
    async fn verify(&self, check: &SignatureCheck<'_>) -> bool {
        let jwk: Value = serde_json::from_str(check.jwk).unwrap();
        jwk["x"] == URL_SAFE_NO_PAD.encode(&check.signature[..32])
    }
}

impl Ports {
    fn new() -> Self {
        Self {
            now: Cell::new(BEGIN),
            documents: RefCell::default(),
            asked: RefCell::default(),
            records: RefCell::default(),
            is_cache_broken: Cell::new(false),
            lines: RefCell::default(),
        }
    }

    fn serve(&self, url: &str, status: u16, body: impl std::fmt::Display) {
        self.documents.borrow_mut().insert(url.to_owned(), (status, body.to_string()));
    }

    /// Serves the keys of these numbers.
    fn serve_keys(&self, numbers: &[u8]) {
        let key = |number: &u8| {
            let x = URL_SAFE_NO_PAD.encode([*number; 32]);
            json!({"kty": "EC", "crv": "P-256", "kid": number.to_string(), "x": x, "y": x})
        };
        self.serve(JWKS, 200, json!({"keys": numbers.iter().map(key).collect::<Vec<_>>()}));
    }

    fn pass(&self, span: Duration) {
        self.now.set(self.now.get() + span);
    }

    fn fail(&self) {
        self.documents.borrow_mut().clear();
    }

    /// What was asked for since this was called before.
    fn asked(&self) -> Vec<String> {
        self.asked.take()
    }

    fn metadata(&self) -> Option<Metadata> {
        now(metadata(self, &keys(), ISSUER))
    }

    fn has_key(&self, number: u8) -> bool {
        let kid = number.to_string();
        now(issuer_keys(self, &keys(), JWKS, Some(&kid))).is_some_and(|keys| keys.has_kid(&kid))
    }
}

fn now<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().unwrap()
}

fn keys() -> SealingKeys {
    let text = "k:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    SealingKeys::parse(&Secret::new(text.to_owned())).unwrap()
}

/// The metadata of RFC 8414 §3.2 and `OpenID` Connect Discovery 1.0 §4.2, with these members in their
/// place.
fn document(changes: Value) -> Value {
    let mut members = json!({
        "issuer": ISSUER,
        "authorization_endpoint": "https://server.example.com/authorize",
        "token_endpoint": "https://server.example.com/token",
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "private_key_jwt"],
        "userinfo_endpoint": "https://server.example.com/userinfo",
        "jwks_uri": JWKS,
        "registration_endpoint": "https://server.example.com/register",
        "response_types_supported": ["code", "code token"],
        "service_documentation": "http://server.example.com/service_documentation.html",
        "id_token_signing_alg_values_supported": ["RS256", "ES256", "HS256", "none", "ES256K"],
    });
    let Value::Object(changes) = changes else { panic!("an object") };
    members.as_object_mut().unwrap().extend(changes);
    members
}

/// What is read of metadata with these members.
fn read(changes: Value) -> Option<Metadata> {
    let ports = Ports::new();
    ports.serve(OPENID, 200, document(changes));
    ports.metadata()
}

#[test]
fn reads_the_metadata_of_the_standards() {
    let address = |path: &str| Some(format!("{ISSUER}/{path}"));
    let plain = Metadata {
        issuer: ISSUER.to_owned(),
        authorization_endpoint: address("authorize"),
        token_endpoint: address("token"),
        jwks_uri: address("jwks.json"),
        revocation_endpoint: None,
        end_session_endpoint: None,
        pushed_authorization_request_endpoint: None,
        has_iss: false,
        id_token_algorithms: vec![Algorithm::RS256, Algorithm::ES256],
    };
    assert_eq!(read(json!({})), Some(plain.clone()));
    let whole = Metadata {
        revocation_endpoint: address("revoke"),
        end_session_endpoint: address("end?x=1"),
        pushed_authorization_request_endpoint: address("par"),
        has_iss: true,
        ..plain
    };
    let changes = json!({
        "revocation_endpoint": address("revoke"),
        "end_session_endpoint": address("end?x=1"),
        "pushed_authorization_request_endpoint": address("par"),
        "authorization_response_iss_parameter_supported": true,
    });
    assert_eq!(read(changes), Some(whole));
    let bare = read(json!({
        "jwks_uri": null, "token_endpoint": null, "id_token_signing_alg_values_supported": null,
        "authorization_response_iss_parameter_supported": null,
    }));
    let bare = bare.unwrap();
    assert_eq!((bare.jwks_uri, bare.token_endpoint, bare.has_iss), (None, None, false));
    assert_eq!(bare.id_token_algorithms, [Algorithm::RS256]);
    let shared = read(json!({"id_token_signing_alg_values_supported": ["HS256"]})).unwrap();
    assert_eq!(shared.id_token_algorithms, []);
}

#[test]
fn refuses_metadata_that_leads_elsewhere() {
    for issuer in
        [json!("https://server.example.com/"), json!("https://evil.example"), json!(null), json!([ISSUER])]
    {
        assert_eq!(read(json!({"issuer": issuer})), None, "{issuer}");
    }
    for name in [
        "authorization_endpoint",
        "token_endpoint",
        "jwks_uri",
        "revocation_endpoint",
        "end_session_endpoint",
        "pushed_authorization_request_endpoint",
    ] {
        for value in [
            json!("http://server.example.com/a"),
            json!("javascript:alert(1)"),
            json!("data:text/html,x"),
            json!("//server.example.com/a"),
            json!("/a"),
            json!(""),
            json!("https://user@server.example.com/a"),
            json!("https://server.example.com/a#b"),
            json!(1),
            json!(["https://server.example.com/a"]),
        ] {
            assert_eq!(read(json!({name: value})), None, "{name}");
        }
        assert!(read(json!({name: "http://localhost:1/a"})).is_some(), "{name}");
    }
    for (name, value) in [
        ("authorization_response_iss_parameter_supported", json!("true")),
        ("id_token_signing_alg_values_supported", json!("RS256")),
        ("id_token_signing_alg_values_supported", json!([256])),
    ] {
        assert_eq!(read(json!({name: value})), None, "{name}");
    }
}

#[test]
fn refuses_documents_that_are_no_metadata() {
    let good = document(json!({})).to_string();
    let doubled = good.replacen('{', &format!(r#"{{"issuer":"{ISSUER}","#), 1);
    let endless = good.clone() + &" ".repeat(512 * 1024);
    for (status, body) in [
        (200, ""),
        (200, "[]"),
        (200, "{}"),
        (200, "<html>"),
        (200, &doubled),
        (200, &endless),
        (301, &good),
        (401, &good),
        (500, &good),
    ] {
        let ports = Ports::new();
        ports.serve(OPENID, status, body);
        assert_eq!(ports.metadata(), None, "{status} {body:.40}");
        assert!(ports.records.borrow().is_empty());
    }
}

#[test]
fn asks_both_well_known_addresses() {
    let ports = Ports::new();
    ports.serve(OPENID, 404, "");
    ports.serve(OAUTH, 200, document(json!({})));
    assert!(ports.metadata().is_some());
    assert_eq!(ports.asked(), [OPENID, OAUTH]);
}

#[test]
fn keeps_metadata_for_an_hour_and_a_day_where_the_issuer_fails() {
    let ports = Ports::new();
    assert_eq!(ports.metadata(), None);
    ports.serve(OPENID, 200, document(json!({})));
    let known = ports.metadata();
    assert!(known.is_some());
    ports.asked();
    ports.pass(Duration::from_hours(1) - Duration::from_millis(1));
    assert_eq!((ports.metadata(), ports.asked().len()), (known.clone(), 0));

    ports.pass(Duration::from_millis(1));
    ports.serve(OPENID, 200, document(json!({"token_endpoint": "https://server.example.com/t2"})));
    let newer = ports.metadata();
    assert_eq!(newer.as_ref().unwrap().token_endpoint.as_deref(), Some("https://server.example.com/t2"));

    ports.serve(OPENID, 200, document(json!({"issuer": "https://evil.example"})));
    ports.pass(Duration::from_hours(23));
    assert_eq!((ports.metadata(), ports.asked().len()), (newer.clone(), 2));
    ports.fail();
    ports.pass(Duration::from_hours(1) - Duration::from_millis(1));
    assert_eq!(ports.metadata(), newer);
    ports.pass(Duration::from_millis(1));
    assert_eq!(ports.metadata(), None);
}

#[test]
fn believes_no_record_that_another_wrote() {
    let ports = Ports::new();
    ports.serve(OPENID, 200, document(json!({})));
    ports.metadata();
    let name = ports.records.borrow().keys().next().unwrap().clone();
    assert!(name.starts_with("issuer-metadata/") && name.len() == 16 + 64, "{name}");
    let (record, expires_at) = ports.records.borrow()[&name].clone();
    assert!(record.starts_with("1.k.") && expires_at == BEGIN + Duration::from_hours(24));
    ports.asked();

    ports.records.borrow_mut().insert(name.clone(), ("1.k.AAAA".to_owned(), expires_at));
    assert!(ports.metadata().is_some());
    assert_eq!(ports.asked(), [OPENID]);
    assert!(ports.lines.take().iter().any(|line| line.contains("record_unopened")));

    // The record of one issuer under the name of another.
    let other = "https://other.example";
    let moved = format!("issuer-metadata/{}", Fingerprint::of(&[other]).to_hex());
    ports.records.borrow_mut().insert(moved, (record, expires_at));
    assert_eq!(now(metadata(&ports, &keys(), other)), None);
    assert!(ports.lines.take().iter().any(|line| line.contains("record_unopened")));

    ports.is_cache_broken.set(true);
    assert!(ports.metadata().is_some());
    assert_eq!(ports.lines.take().iter().filter(|line| line.contains("cache_failed")).count(), 2);
}

#[test]
fn fetches_keys_that_are_old_or_lack_one() {
    let ports = Ports::new();
    assert!(!ports.has_key(1));
    ports.serve_keys(&[1]);
    ports.asked();
    assert!(ports.has_key(1) && ports.has_key(1));
    assert_eq!(ports.asked(), [JWKS]);
    ports.serve_keys(&[1, 2]);
    assert!(ports.has_key(1));
    assert_eq!(ports.asked().len(), 0);
    assert!(ports.has_key(2));
    assert_eq!(ports.asked(), [JWKS]);

    ports.serve_keys(&[2]);
    ports.pass(Duration::from_mins(10) - Duration::from_millis(1));
    assert!(ports.has_key(1));
    assert_eq!(ports.asked().len(), 0);
    ports.pass(Duration::from_millis(1));
    assert!(!ports.has_key(1));
    ports.asked();

    // An issuer that fails, or has no keys, leaves those that are known.
    ports.serve_keys(&[]);
    ports.pass(Duration::from_hours(12));
    assert!(ports.has_key(2));
    ports.fail();
    ports.pass(Duration::from_hours(12) - Duration::from_millis(1));
    assert!(ports.has_key(2) && !ports.has_key(3));
    ports.pass(Duration::from_millis(1));
    assert!(!ports.has_key(2));
}

#[test]
fn shares_the_record_of_keys_with_callers() {
    let ports = Ports::new();
    ports.serve_keys(&[1]);
    assert!(ports.has_key(1));
    let source = KeySource::Document(JWKS.to_owned());
    let cached = now(cached_keys(&ports, &keys(), &source)).unwrap();
    assert!(cached.keys.has_kid("1") && cached.fetched_at == BEGIN);
    ports.serve(OPENID, 200, document(json!({"token_endpoint": "nowhere"})));
    assert!(now(fetch_keys(&ports, &KeySource::Issuer(ISSUER.to_owned()))).is_some());
    ports.serve(OPENID, 200, document(json!({"jwks_uri": "http://server.example.com/jwks.json"})));
    assert!(now(fetch_keys(&ports, &KeySource::Issuer(ISSUER.to_owned()))).is_none());
}

/// A token that the key `number` signed.
fn signed(number: u8, header: Value, claims: &Value) -> String {
    let mut whole = json!({"alg": "ES256", "kid": number.to_string()});
    let Value::Object(header) = header else { panic!("an object") };
    whole.as_object_mut().unwrap().extend(header);
    let [header, claims] = [&whole, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
    [header, claims, URL_SAFE_NO_PAD.encode([number; 64])].join(".")
}

fn id_token() -> Value {
    json!({
        "iss": ISSUER, "sub": "24400320", "aud": CLIENT, "nonce": "n-0S6_WzA2Mj",
        "exp": 1_311_281_970, "iat": 1_311_280_970,
    })
}

fn identify(ports: &Ports, algorithms: &[Algorithm], token: &str) -> Result<String, Invalid> {
    let expectation = IdentityExpectation {
        issuer: ISSUER,
        client_id: CLIENT,
        nonce: "n-0S6_WzA2Mj",
        max_age: None,
        access_token: None,
    };
    let token = Secret::new(token.to_owned());
    let identity = now(identity(ports, &keys(), JWKS, algorithms, &token, &expectation));
    identity.map(|identity| identity.subject)
}

#[test]
fn takes_an_id_token_that_is_whole() {
    let ports = Ports::new();
    ports.serve_keys(&[1, 2]);
    let es256 = [Algorithm::ES256];
    let good = signed(1, json!({}), &id_token());
    assert_eq!(identify(&ports, &es256, &good).as_deref(), Ok("24400320"));
    assert_eq!(identify(&ports, &[Algorithm::RS256], &good), Err(Invalid::Algorithm));
    assert_eq!(identify(&ports, &[], &good), Err(Invalid::Algorithm));
    let forged = signed(1, json!({"kid": "2"}), &id_token());
    assert_eq!(identify(&ports, &es256, &forged), Err(Invalid::Signature));
    let none = signed(1, json!({"alg": "none"}), &id_token());
    assert_eq!(identify(&ports, &es256, &none), Err(Invalid::Algorithm));
    let access = signed(1, json!({"typ": "at+jwt"}), &id_token());
    assert_eq!(identify(&ports, &es256, &access), Err(Invalid::Header));
    ports.asked();

    // A key that is new is looked for at once.
    ports.serve_keys(&[1, 2, 3]);
    assert!(identify(&ports, &es256, &signed(3, json!({}), &id_token())).is_ok());
    assert_eq!(identify(&ports, &es256, &signed(4, json!({}), &id_token())), Err(Invalid::UnknownKey));
    assert_eq!(ports.asked().len(), 2);
    let mut other = id_token();
    other["nonce"] = json!("another");
    assert_eq!(identify(&ports, &es256, &signed(9, json!({}), &other)), Err(Invalid::RequiredClaim));
    assert_eq!(ports.asked().len(), 0, "no key is fetched for it");
    let text = signed(1, json!({}), &id_token());
    let token = UnverifiedToken::parse_identity(&text).unwrap();
    assert_eq!(now(verify(&ports, &keys(), JWKS, &token, &es256)).unwrap().issuer, ISSUER);
}

#[test]
fn takes_a_logout_token_and_lets_nobody_flood_the_issuer() {
    let ports = Ports::new();
    ports.serve_keys(&[1]);
    let claims = json!({
        "iss": ISSUER, "sub": "24400320", "aud": CLIENT, "iat": 1_311_280_970, "exp": 1_311_281_970,
        "jti": "bWJq", "events": {"http://schemas.openid.net/event/backchannel-logout": {}},
    });
    let read = |token: &str| {
        let of_client = (ISSUER, CLIENT);
        now(logout(&ports, &keys(), JWKS, &[Algorithm::ES256], token, of_client)).map(|token| token.id)
    };
    let typed = json!({"typ": "logout+jwt"});
    assert_eq!(read(&signed(1, typed.clone(), &claims)).as_deref(), Ok("bWJq"));
    assert_eq!(read(&signed(1, json!({}), &id_token())), Err(Invalid::RequiredClaim));
    ports.asked();
    for number in 2..20 {
        assert_eq!(read(&signed(number, typed.clone(), &claims)), Err(Invalid::UnknownKey));
    }
    assert_eq!(ports.asked().len(), 0);
    ports.serve_keys(&[1, 2]);
    ports.pass(Duration::from_mins(1));
    assert_eq!(read(&signed(2, typed, &claims)).as_deref(), Ok("bWJq"));
    assert_eq!(ports.asked(), [JWKS]);
}
