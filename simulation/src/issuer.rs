//! Issuers of callers' tokens: the documents they publish, and the tokens they sign.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::network::Sent;
use super::world::World;
use porteiro::jose::Algorithm;
use porteiro::ports::{HttpAnswer, SignatureCheck};
use porteiro::secret::Fingerprint;
use porteiro::time::UnixTime;

/// The issuers' documents.
pub struct Issuers {
    world: World,
    documents: RefCell<BTreeMap<String, String>>,
    /// While set, no issuer is reachable.
    pub down: Cell<bool>,
    /// How long an issuer takes to send a document, besides the network.
    pub slow: Cell<Duration>,
    /// The addresses that were fetched.
    pub fetched: RefCell<Vec<String>>,
    /// The number of signatures checked.
    pub verified: Cell<u64>,
}

/// Whom a token names, and until when.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Subject {
    /// The issuer.
    pub issuer: String,
    /// The subject.
    pub name: String,
    /// When the token expires.
    pub expires_at: UnixTime,
}

impl Subject {
    /// Reads the claims of a token; `None` where it is none, or lacks a subject.
    pub fn of(token: &str) -> Option<Self> {
        let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
        let claims: Value = serde_json::from_slice(&claims).ok()?;
        let text = |name: &str| claims[name].as_str().map(str::to_owned);
        let expires_at = UnixTime::from_millis(claims["exp"].as_u64()? * 1000);
        Some(Self { issuer: text("iss")?, name: text("sub")?, expires_at })
    }

    /// Issuer and name.
    pub fn who(&self) -> String {
        format!("{} {}", self.issuer, self.name)
    }
}

/// An issuer's signing key.
#[derive(Clone, Copy)]
pub struct Key(pub &'static str);

impl Key {
    /// The public key.
    pub fn jwk(self) -> Value {
        let coordinate = |name| URL_SAFE_NO_PAD.encode(&Fingerprint::of(&[name, self.0]).to_hex()[..32]);
        json!({ "kty": "EC", "crv": "P-256", "kid": self.0, "x": coordinate("x"), "y": coordinate("y") })
    }

    /// A token with these claims.
    pub fn sign(self, claims: &Value) -> String {
        let header = json!({ "alg": "ES256", "kid": self.0 });
        let [header, claims] = [&header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
        let input = format!("{header}.{claims}");
        let signature = signature(&self.jwk(), &input);
        format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

fn signature(jwk: &Value, input: &str) -> String {
    Fingerprint::of(&["signature", jwk["x"].as_str().expect("a coordinate"), input]).to_hex()
}

impl Issuers {
    /// Issuers that publish nothing yet.
    pub fn new(world: &World) -> Self {
        Self {
            world: world.clone(),
            documents: RefCell::default(),
            down: Cell::new(false),
            slow: Cell::new(Duration::ZERO),
            fetched: RefCell::default(),
            verified: Cell::new(0),
        }
    }

    /// Publishes the keys of `issuer`, in place of the earlier ones.
    pub fn publish(&self, issuer: &str, keys: &[Key]) {
        let jwks_uri = format!("{issuer}/keys");
        self.publish_metadata(issuer, keys, &json!({ "issuer": issuer, "jwks_uri": jwks_uri }));
    }

    /// Publishes the keys and the endpoints of `issuer`, at which people sign in.
    pub fn publish_sign_in(&self, issuer: &str, keys: &[Key]) {
        let at = |path: &str| format!("{issuer}/{path}");
        let metadata = json!({
            "issuer": issuer,
            "jwks_uri": at("keys"),
            "authorization_endpoint": at("authorize"),
            "token_endpoint": at("token"),
            "revocation_endpoint": at("revoke"),
            "authorization_response_iss_parameter_supported": true,
            "id_token_signing_alg_values_supported": ["ES256"],
        });
        self.publish_metadata(issuer, keys, &metadata);
    }

    fn publish_metadata(&self, issuer: &str, keys: &[Key], metadata: &Value) {
        let jwks_uri = format!("{issuer}/keys");
        let keys: Vec<Value> = keys.iter().map(|key| key.jwk()).collect();
        let mut documents = self.documents.borrow_mut();
        documents.insert(format!("{issuer}/.well-known/openid-configuration"), metadata.to_string());
        documents.insert(jwks_uri, json!({ "keys": keys }).to_string());
    }

    /// Sends a document over the network; `None` if the issuer is unreachable.
    pub async fn fetch(&self, request: &Sent) -> Option<HttpAnswer> {
        assert_eq!((request.method, request.body.as_str()), ("GET", ""));
        self.fetched.borrow_mut().push(request.url.clone());
        self.world.hop().await;
        self.world.sleep(self.slow.get()).await;
        if self.down.get() {
            return None;
        }
        let document = self.documents.borrow().get(&request.url).cloned();
        self.world.hop().await;
        let status = if document.is_some() { 200 } else { 404 };
        let body = Zeroizing::new(document.unwrap_or_default().into_bytes());
        Some(HttpAnswer { status, fields: Zeroizing::default(), body })
    }

    /// Whether a signature is valid.
    pub fn verify(&self, check: &SignatureCheck<'_>) -> bool {
        assert_eq!(check.algorithm, Algorithm::ES256);
        self.verified.set(self.verified.get() + 1);
        let jwk: Value = serde_json::from_str(check.jwk).expect("a JWK");
        signature(&jwk, check.input).as_bytes() == check.signature
    }
}
