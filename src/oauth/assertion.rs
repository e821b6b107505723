//! The assertions of token requests: JSON Web Tokens (RFC 7523) in compact form (RFC 7515 §7.1).
//!
//! The claims and the signing input are made here, and signatures with a client's secret. Whoever has
//! a [port](crate::ports::Signer) for it signs with a private key.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac as _};
use serde_json::{Map, Value};
use sha2::Sha256;

use crate::config::{ClientAuthentication, Grant, SigningKey};
use crate::json::{self, Members, ToJson};
use crate::secret::Secret;
use crate::time::UnixTime;

/// The type of a client's assertion (RFC 7523 §2.2).
pub(super) const CLIENT_ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// The grant of an assertion (RFC 7523 §2.1).
pub(super) const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

/// Seconds that a client's assertion is valid.
const CLIENT_LIFETIME: u64 = 60;

/// The assertions of one token request. Each request has its own: their ids are used once.
#[derive(Default, Debug)]
pub struct Assertions {
    /// The proof of the client, if it authenticates by one.
    pub client: Option<Secret>,
    /// The grant, if it is one.
    pub grant: Option<Secret>,
}

/// An assertion without its signature.
pub struct UnsignedAssertion<'a> {
    input: String,
    signature: SignatureKind<'a>,
}

/// What makes the signature of an assertion.
pub enum SignatureKind<'a> {
    /// This key does, elsewhere.
    Key(&'a SigningKey),
    /// This is the signature.
    Made(Vec<u8>),
}

/// The random bytes of an assertion's `jti`, fresh for each (RFC 7523 §3).
pub type AssertionId = [u8; 16];

impl<'a> UnsignedAssertion<'a> {
    /// The proof of `client` at `now` (RFC 7523 §2.2, `OpenID` Connect Core 1.0 §9), if it is an assertion.
    #[must_use]
    pub fn of_client(client: &'a ClientAuthentication, now: UnixTime, id: AssertionId) -> Option<Self> {
        let (client_id, audience, proof) = match client {
            ClientAuthentication::PrivateKeyJwt { client_id, key, audience } => {
                (client_id, audience, Ok(&**key))
            }
            ClientAuthentication::ClientSecretJwt { client_id, client_secret, audience } => {
                (client_id, audience, Err(client_secret))
            }
            ClientAuthentication::None { .. }
            | ClientAuthentication::Post { .. }
            | ClientAuthentication::Basic { .. }
            | ClientAuthentication::Tls { .. } => return None,
        };
        let issued_at = seconds(now);
        let claims = Members(&[
            ("iss", client_id),
            ("sub", client_id),
            ("aud", audience),
            ("iat", &issued_at),
            ("exp", &(issued_at + CLIENT_LIFETIME)),
            ("jti", &jti(id)),
        ]);
        Some(match proof {
            Ok(key) => Self::with_key(key, &claims),
            Err(secret) => {
                let input = input("HS256", None, &claims);
                let signature = SignatureKind::Made(hs256(secret.expose().as_bytes(), &input));
                Self { input, signature }
            }
        })
    }

    /// The assertion that `grant` consists of at `now`, if it does.
    #[must_use]
    pub fn of_grant(grant: &'a Grant, now: UnixTime, id: AssertionId) -> Option<Self> {
        let assertion = match grant {
            Grant::JwtBearer { assertion, .. } => assertion,
            Grant::Static { .. }
            | Grant::Basic { .. }
            | Grant::Password { .. }
            | Grant::SignIn { .. }
            | Grant::ClientCredentials { .. }
            | Grant::RefreshToken { .. }
            | Grant::Login { .. }
            | Grant::TokenExchange { .. }
            | Grant::AuthorizationCode { .. } => return None,
        };
        let issued_at = seconds(now);
        let mut claims: Map<String, Value> = assertion.claims.clone();
        claims.insert("iat".to_owned(), issued_at.into());
        claims.insert("exp".to_owned(), (issued_at + assertion.lifetime.as_secs()).into());
        if assertion.has_id {
            claims.insert("jti".to_owned(), jti(id).into());
        }
        Some(Self::with_key(&assertion.key, &claims))
    }

    fn with_key(key: &'a SigningKey, claims: &dyn ToJson) -> Self {
        let input = input(key.algorithm.as_str(), key.id.as_deref(), claims);
        Self { input, signature: SignatureKind::Key(key) }
    }

    /// The signing input (RFC 7515 §5.1).
    #[must_use]
    pub fn input(&self) -> &str {
        &self.input
    }

    /// What makes the signature.
    #[must_use]
    pub const fn signature(&self) -> &SignatureKind<'a> {
        &self.signature
    }

    /// The assertion with its `signature`, as RFC 7518 §3 has it.
    #[must_use]
    pub fn signed(&self, signature: &[u8]) -> Secret {
        Secret::new([&self.input, ".", &URL_SAFE_NO_PAD.encode(signature)].concat())
    }
}

impl fmt::Debug for UnsignedAssertion<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UnsignedAssertion(redacted)")
    }
}

impl fmt::Debug for SignatureKind<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SignatureKind(redacted)")
    }
}

fn input(algorithm: &str, key_id: Option<&str>, claims: &dyn ToJson) -> String {
    let header = Members(&[("alg", &algorithm), ("kid", &key_id), ("typ", &"JWT")]).lean_text();
    [&URL_SAFE_NO_PAD.encode(header), ".", &URL_SAFE_NO_PAD.encode(json::text(claims))].concat()
}

/// HMAC with SHA-256 (RFC 7518 §3.2).
fn hs256(key: &[u8], input: &str) -> Vec<u8> {
    // It takes keys of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return Vec::new() };
    mac.update(input.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

/// Whole seconds since 1970 (RFC 7519 §2).
const fn seconds(time: UnixTime) -> u64 {
    time.as_millis() / 1000
}

fn jti(id: AssertionId) -> String {
    URL_SAFE_NO_PAD.encode(id)
}

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod tests {
    use std::rc::Rc;
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::config::{Assertion, KeyFormat};
    use crate::jose::Algorithm;
    use crate::oauth::TokenRequest;
    use crate::oauth::request::tests::endpoint_of;

    const NOW: UnixTime = UnixTime::from_millis(1_300_819_380_999);

    fn key(id: Option<&str>) -> Rc<SigningKey> {
        Rc::new(SigningKey {
            format: KeyFormat::Pkcs8,
            text: Secret::new("key".to_owned()),
            algorithm: Algorithm::ES384,
            id: id.map(str::to_owned),
        })
    }

    fn private_key_jwt() -> ClientAuthentication {
        let audience = "https://as.example/token".to_owned();
        ClientAuthentication::PrivateKeyJwt {
            client_id: "s6BhdRkqt3".to_owned(),
            key: key(Some("16")),
            audience,
        }
    }

    fn bearer(has_id: bool) -> Grant {
        let claims =
            json!({"iss": "https://jwt-idp.example.com", "sub": "mailto:mike@example.com", "aud": "a"});
        let claims = claims.as_object().unwrap().clone();
        let assertion = Assertion { claims, lifetime: Duration::from_mins(10), has_id, key: key(None) };
        Grant::JwtBearer { endpoint: endpoint_of(ClientAuthentication::None { client_id: None }), assertion }
    }

    /// Header and claims of a signing input.
    fn parts(input: &str) -> [Value; 2] {
        let (header, claims) = input.split_once('.').unwrap();
        [header, claims].map(|part| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap())
    }

    #[test]
    fn authenticates_as_the_standard_does() {
        // RFC 7515 A.1.
        let key = "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
        let input = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
        let unsigned = UnsignedAssertion {
            input: input.to_owned(),
            signature: SignatureKind::Made(hs256(&URL_SAFE_NO_PAD.decode(key).unwrap(), input)),
        };
        let SignatureKind::Made(signature) = unsigned.signature() else { panic!("it is made") };
        let expected = format!("{input}.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
        assert_eq!(unsigned.signed(signature).expose(), expected);
    }

    #[test]
    fn proves_a_client_with_its_key() {
        // RFC 7523 §2.2, §3.
        let client = private_key_jwt();
        let unsigned = UnsignedAssertion::of_client(&client, NOW, [0; 16]).unwrap();
        assert!(matches!(unsigned.signature(), SignatureKind::Key(key) if key.text.expose() == "key"));
        let [header, claims] = parts(unsigned.input());
        assert_eq!(header, json!({"alg": "ES384", "kid": "16", "typ": "JWT"}));
        let expected = json!({
            "iss": "s6BhdRkqt3",
            "sub": "s6BhdRkqt3",
            "aud": "https://as.example/token",
            "iat": 1_300_819_380,
            "exp": 1_300_819_440,
            "jti": "AAAAAAAAAAAAAAAAAAAAAA"
        });
        assert_eq!(claims, expected);
        assert_eq!(unsigned.signed(&[0xfb, 0xff]).expose(), format!("{}.-_8", unsigned.input()));
    }

    #[test]
    fn proves_a_client_with_its_secret() {
        let client = ClientAuthentication::ClientSecretJwt {
            client_id: "c".to_owned(),
            client_secret: Secret::new("é".to_owned()),
            audience: "https://as.example".to_owned(),
        };
        let unsigned = UnsignedAssertion::of_client(&client, NOW, [255; 16]).unwrap();
        let [header, claims] = parts(unsigned.input());
        assert_eq!(header, json!({"alg": "HS256", "typ": "JWT"}));
        assert_eq!(
            (&claims["aud"], &claims["jti"]),
            (&"https://as.example".into(), &"_____________________w".into())
        );
        let SignatureKind::Made(signature) = unsigned.signature() else { panic!("it is made") };
        assert_eq!(*signature, hs256("é".as_bytes(), unsigned.input()));
    }

    #[test]
    fn asserts_a_grant() {
        // RFC 7523 §2.1, §3.
        let (grant, with_id) = (bearer(false), bearer(true));
        let unsigned = UnsignedAssertion::of_grant(&grant, NOW, [0; 16]).unwrap();
        let [header, claims] = parts(unsigned.input());
        assert_eq!(header, json!({"alg": "ES384", "typ": "JWT"}));
        let mut expected = json!({
            "iss": "https://jwt-idp.example.com",
            "sub": "mailto:mike@example.com",
            "aud": "a",
            "iat": 1_300_819_380,
            "exp": 1_300_819_980
        });
        assert_eq!(claims, expected);
        let unsigned = UnsignedAssertion::of_grant(&with_id, NOW, [0; 16]).unwrap();
        expected["jti"] = "AAAAAAAAAAAAAAAAAAAAAA".into();
        assert_eq!(parts(unsigned.input())[1], expected);
    }

    #[test]
    fn signs_nothing_for_other_clients_and_grants() {
        let secret = || Secret::new("s".to_owned());
        for client in [
            ClientAuthentication::None { client_id: None },
            ClientAuthentication::Post { client_id: "c".to_owned(), client_secret: secret() },
            ClientAuthentication::Tls { client_id: "c".to_owned() },
        ] {
            assert!(UnsignedAssertion::of_client(&client, NOW, [0; 16]).is_none());
            let endpoint = endpoint_of(client);
            let grant = Grant::ClientCredentials { endpoint };
            assert!(UnsignedAssertion::of_grant(&grant, NOW, [0; 16]).is_none());
        }
    }

    #[test]
    fn goes_with_the_request() {
        let assertions = Assertions {
            client: Some(Secret::new("a.b.c".to_owned())),
            grant: Some(Secret::new("d.e.f".to_owned())),
        };
        let proof = "client_id=s6BhdRkqt3&client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer&client_assertion=a.b.c";
        let proving = || endpoint_of(private_key_jwt());
        let (name, word) = (Secret::new("ann".to_owned()), Secret::new("pw".to_owned()));
        for (request, expected) in [
            (
                TokenRequest::refresh(&proving(), &name, &assertions),
                format!("grant_type=refresh_token&refresh_token=ann&{proof}"),
            ),
            (
                TokenRequest::sign_in(&proving(), &name, &word, &assertions),
                format!("grant_type=password&username=ann&password=pw&{proof}"),
            ),
            (
                TokenRequest::acquire(&Grant::ClientCredentials { endpoint: proving() }, &assertions)
                    .unwrap(),
                format!("grant_type=client_credentials&{proof}"),
            ),
            (
                TokenRequest::acquire(&bearer(false), &assertions).unwrap(),
                "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=d.e.f".to_owned(),
            ),
            (
                TokenRequest::acquire(
                    &Grant::ClientCredentials {
                        endpoint: endpoint_of(ClientAuthentication::Tls { client_id: "c".to_owned() }),
                    },
                    &Assertions::default(),
                )
                .unwrap(),
                "grant_type=client_credentials&client_id=c".to_owned(),
            ),
        ] {
            assert_eq!(request.body.as_ref().map(Secret::expose), Some(expected.as_str()));
            assert!(request.authorization.is_none());
        }
        assert!(TokenRequest::acquire(&bearer(false), &Assertions::default()).is_none());
        assert!(!format!("{assertions:?}").contains("a.b.c"));
    }
}
