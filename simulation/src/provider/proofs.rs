//! The assertions that a provider wants: a client's proof, or the grant itself.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac as _};
use serde_json::Value;
use sha2::Sha256;

use super::Provider;
use super::wire::connection;
use porteiro::config::SigningKey;
use porteiro::secret::Fingerprint;

/// What a token request is proven by, besides what else is in it.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Proof {
    /// Nothing.
    #[default]
    None,
    /// An assertion of the client, signed with its key.
    PrivateKeyJwt,
    /// An assertion of the client, authenticated with its secret.
    ClientSecretJwt,
    /// The grant, signed with the client's key.
    JwtBearer,
}

/// The client's private key, as the broker keeps it.
pub const PRIVATE_KEY: &str = r#"{"kty":"OKP","crv":"Ed25519","x":"AAAA","d":"BBBB"}"#;

/// The client's secret.
pub const CLIENT_SECRET: &str = "client secret";

/// The signature of the simulation, which stands for any algorithm's.
pub fn signature(key: &SigningKey, input: &str) -> Vec<u8> {
    signed(key.text.expose(), key.algorithm.as_str(), input)
}

fn signed(key: &str, algorithm: &str, input: &str) -> Vec<u8> {
    Fingerprint::of(&["signature", key, algorithm, input]).to_hex().into_bytes()
}

impl Provider {
    /// Whether the request's assertions are the ones that the provider wants, and were not used
    /// before. Fails where they are not even of the standard's form.
    pub(super) fn takes_proof(&self, fields: &BTreeMap<String, String>, url: &str) -> bool {
        let field = |name: &str| fields.get(name).map(String::as_str);
        let is_refresh = field("grant_type") == Some("refresh_token");
        let proof = self.proof.get();
        let (assertion, issuer) = match proof {
            Proof::None => {
                assert_eq!((field("assertion"), field("client_assertion")), (None, None), "nobody asked");
                return true;
            }
            Proof::JwtBearer if is_refresh => panic!("no refresh token is kept of this grant"),
            Proof::JwtBearer => {
                assert_eq!(field("grant_type"), Some("urn:ietf:params:oauth:grant-type:jwt-bearer"));
                (field("assertion"), "service@acme.example")
            }
            Proof::PrivateKeyJwt | Proof::ClientSecretJwt => {
                let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
                assert_eq!(field("client_assertion_type"), Some(kind));
                (field("client_assertion"), "client")
            }
        };
        let assertion = assertion.expect("an assertion");
        let (header, claims) = parts(assertion);
        let (input, found) = assertion.rsplit_once('.').expect("three parts");
        let found = URL_SAFE_NO_PAD.decode(found).expect("base64url");
        let expected = if proof == Proof::ClientSecretJwt {
            assert_eq!(header["alg"], "HS256");
            let mut mac = Hmac::<Sha256>::new_from_slice(CLIENT_SECRET.as_bytes()).expect("a key");
            mac.update(input.as_bytes());
            mac.finalize().into_bytes().to_vec()
        } else {
            assert_eq!((&header["alg"], &header["kid"]), (&"EdDSA".into(), &"key-1".into()));
            signed(PRIVATE_KEY, "EdDSA", input)
        };
        assert_eq!((&claims["iss"], &claims["sub"]), (&issuer.into(), &issuer.into()), "{}", connection(url));
        assert_eq!(claims["aud"], url);
        let (now, until) = (self.world.now().as_millis(), claims["exp"].as_u64().expect("a time"));
        let is_new = self.used_ids.borrow_mut().insert(claims["jti"].to_string());
        is_new && found == expected && now < until * 1000
    }
}

/// The assertions in the body of a token request.
pub fn assertions(body: &str) -> Vec<Value> {
    let fields = super::wire::fields(body);
    let named = ["assertion", "client_assertion"].into_iter().filter_map(|name| fields.get(name));
    named.map(|assertion| parts(assertion).1).collect()
}

/// Header and claims.
fn parts(assertion: &str) -> (Value, Value) {
    let mut parts = assertion.split('.').map(|part| URL_SAFE_NO_PAD.decode(part).expect("base64url"));
    let mut next = || serde_json::from_slice(&parts.next().expect("a part")).expect("JSON");
    (next(), next())
}
