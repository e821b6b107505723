//! ID tokens (`OpenID` Connect Core 1.0 §2, §3.1.3.7).

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256, Sha384, Sha512};

use super::algorithm::Algorithm;
use super::audience::{is_for_client, is_subject, sid};
use super::claims::{Claims, TOLERANCE, numeric_date};
use super::{Invalid, text};
use crate::time::UnixTime;

/// Who signed in, as a valid ID token says.
#[derive(Clone, PartialEq, Eq)]
pub struct Identity {
    /// The issuer: `iss`.
    pub issuer: String,
    /// The subject: `sub`.
    pub subject: String,
    /// The provider's session, if the token names it: `sid`.
    pub sid: Option<String>,
    /// All claims, as [`Claims`] has them.
    pub claims: Map<String, Value>,
}

/// What an ID token must say.
#[derive(Clone, Copy)]
pub struct IdentityExpectation<'e> {
    /// The issuer, compared exactly.
    pub issuer: &'e str,
    /// The client's id.
    pub client_id: &'e str,
    /// The nonce of the authorization request.
    pub nonce: &'e str,
    /// The `max_age` of the authorization request, if it had one: how long ago the person may have
    /// authenticated.
    pub max_age: Option<Duration>,
    /// The access token of the same response, which `at_hash` is compared with.
    pub access_token: Option<&'e str>,
}

impl Identity {
    /// Reads the `claims` of an ID token that was signed by `algorithm`. Call this also before the
    /// signature is verified: the keys of an issuer need not be fetched for a token that is not as
    /// expected.
    ///
    /// # Errors
    /// [`Invalid`]: the first claim that is not as expected.
    pub fn read(
        claims: &Claims,
        algorithm: Algorithm,
        expectation: &IdentityExpectation<'_>,
        now: UnixTime,
    ) -> Result<Self, Invalid> {
        let IdentityExpectation { issuer, client_id, nonce, max_age, access_token } = *expectation;
        is_for_client(claims, issuer, client_id, now)?;
        let member = |name| text(&claims.members, name).map_err(|_| Invalid::Claims);
        if nonce.is_empty() || member("nonce")? != Some(nonce) {
            return Err(Invalid::RequiredClaim);
        }
        if let Some(max_age) = max_age {
            let since = claims.members.get("auth_time").ok_or(Invalid::RequiredClaim)?;
            let since = numeric_date(since).ok_or(Invalid::Claims)?;
            if since > now + TOLERANCE || since + max_age + TOLERANCE < now {
                return Err(Invalid::RequiredClaim);
            }
        }
        if let Some(hash) = member("at_hash")?
            && access_token.is_some_and(|token| hash != half_hash(algorithm, token))
        {
            return Err(Invalid::RequiredClaim);
        }
        let subject = claims.subject.clone().filter(|subject| is_subject(subject)).ok_or(Invalid::Claims)?;
        Ok(Self {
            issuer: claims.issuer.clone(),
            subject,
            sid: sid(claims)?.map(str::to_owned),
            claims: claims.members.clone(),
        })
    }
}

/// The left half of the digest of `token` (`OpenID` Connect Core 1.0 §3.1.3.6), by the hash of the ID
/// token's algorithm: with Ed25519 that is SHA-512 (RFC 8032 §5.1).
fn half_hash(algorithm: Algorithm, token: &str) -> String {
    let digest = match algorithm {
        Algorithm::RS256 | Algorithm::PS256 | Algorithm::ES256 => Sha256::digest(token).to_vec(),
        Algorithm::RS384 | Algorithm::PS384 | Algorithm::ES384 => Sha384::digest(token).to_vec(),
        Algorithm::RS512 | Algorithm::PS512 | Algorithm::ES512 | Algorithm::EdDSA => {
            Sha512::digest(token).to_vec()
        }
    };
    URL_SAFE_NO_PAD.encode(digest.get(..digest.len() / 2).unwrap_or_default())
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity(redacted)")
    }
}

impl fmt::Debug for IdentityExpectation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IdentityExpectation(redacted)")
    }
}

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod tests {
    use serde_json::json;

    use super::*;

    /// The ID token of `OpenID` Connect Core 1.0 §2.
    const CLAIMS: &str = r#"{
        "iss": "https://server.example.com", "sub": "24400320", "aud": "s6BhdRkqt3",
        "nonce": "n-0S6_WzA2Mj", "exp": 1311281970, "iat": 1311280970, "auth_time": 1311280969,
        "acr": "urn:mace:incommon:iap:silver"
    }"#;
    const NOW: UnixTime = UnixTime::from_millis(1_311_280_970_000);
    const EXPECTED: IdentityExpectation<'static> = IdentityExpectation {
        issuer: "https://server.example.com",
        client_id: "s6BhdRkqt3",
        nonce: "n-0S6_WzA2Mj",
        max_age: None,
        access_token: None,
    };

    fn read_as(
        claims: &Value,
        algorithm: Algorithm,
        expectation: &IdentityExpectation<'_>,
        now: UnixTime,
    ) -> Result<Identity, Invalid> {
        Identity::read(&Claims::parse(claims.to_string().as_bytes())?, algorithm, expectation, now)
    }

    /// The example's claims with these in their place; null takes one out.
    fn with(changes: Value) -> Value {
        let mut claims: Value = serde_json::from_str(CLAIMS).unwrap();
        let Value::Object(changes) = changes else { panic!("an object") };
        for (name, value) in changes {
            if value.is_null() {
                claims.as_object_mut().unwrap().remove(&name);
            } else {
                claims[name] = value;
            }
        }
        claims
    }

    fn refusal(changes: Value) -> Option<Invalid> {
        read_as(&with(changes), Algorithm::RS256, &EXPECTED, NOW).err()
    }

    #[test]
    fn reads_who_signed_in() {
        let claims = with(json!({"sid": "s 1"}));
        let identity = read_as(&claims, Algorithm::RS256, &EXPECTED, NOW).unwrap();
        assert_eq!((identity.issuer.as_str(), identity.subject.as_str()), (EXPECTED.issuer, "24400320"));
        assert_eq!(identity.sid.as_deref(), Some("s 1"));
        assert_eq!(Value::Object(identity.claims.clone()), claims);
        assert_eq!(format!("{identity:?} {EXPECTED:?}"), "Identity(redacted) IdentityExpectation(redacted)");
        assert_eq!(refusal(json!({})), None, "without sid");
    }

    #[test]
    fn compares_issuer_and_nonce_exactly() {
        for issuer in
            ["https://server.example.com/", "http://server.example.com", "https://Server.example.com"]
        {
            assert_eq!(refusal(json!({"iss": issuer})), Some(Invalid::Issuer), "{issuer}");
        }
        for nonce in
            [json!(null), json!(""), json!("n-0S6_WzA2M"), json!("N-0S6_WzA2Mj"), json!("n-0S6_WzA2Mj ")]
        {
            assert_eq!(refusal(json!({"nonce": nonce})), Some(Invalid::RequiredClaim), "{nonce}");
        }
        assert_eq!(refusal(json!({"nonce": 7})), Some(Invalid::Claims));
        let unasked = IdentityExpectation { nonce: "", ..EXPECTED };
        for claims in [with(json!({"nonce": ""})), with(json!({"nonce": null}))] {
            let read = read_as(&claims, Algorithm::RS256, &unasked, NOW);
            assert_eq!(read.err(), Some(Invalid::RequiredClaim), "an empty nonce is none");
        }
    }

    #[test]
    fn takes_tokens_for_this_client_alone() {
        for (audience, user, is_ours) in [
            (json!("s6BhdRkqt3"), json!(null), true),
            (json!("s6BhdRkqt3"), json!("s6BhdRkqt3"), true),
            (json!(["s6BhdRkqt3"]), json!(null), true),
            (json!(["other", "s6BhdRkqt3"]), json!("s6BhdRkqt3"), true),
            (json!(["other", "s6BhdRkqt3"]), json!(null), false),
            (json!(["s6BhdRkqt3", "other"]), json!("other"), false),
            (json!("s6BhdRkqt3"), json!("other"), false),
            (json!("s6BhdRkqt3"), json!(""), false),
            (json!("other"), json!("s6BhdRkqt3"), false),
            (json!([]), json!("s6BhdRkqt3"), false),
            (json!("s6BhdRkqt3 "), json!(null), false),
        ] {
            let refused = refusal(json!({"aud": audience, "azp": user}));
            assert_eq!(refused, (!is_ours).then_some(Invalid::Audience), "{audience} {user}");
        }
        assert_eq!(refusal(json!({"azp": ["s6BhdRkqt3"]})), Some(Invalid::Claims));
    }

    #[test]
    fn needs_times_that_are_right_now() {
        let at = |seconds: i64| 1_311_280_970 + seconds;
        for (changes, why) in [
            (json!({"exp": at(-60)}), Some(Invalid::Expired)),
            (json!({"exp": at(-59)}), None),
            (json!({"exp": null}), Some(Invalid::Claims)),
            (json!({"iat": null}), Some(Invalid::Claims)),
            (json!({"iat": at(61)}), Some(Invalid::IssuedInFuture)),
            (json!({"iat": at(60)}), None),
            (json!({"nbf": at(61)}), Some(Invalid::NotYetValid)),
            (json!({"nbf": at(60)}), None),
            (json!({"iat": "1311280970"}), Some(Invalid::Claims)),
        ] {
            assert_eq!(refusal(changes.clone()), why, "{changes}");
        }
    }

    #[test]
    fn needs_a_late_enough_sign_in_where_that_was_asked() {
        let expectation = IdentityExpectation { max_age: Some(Duration::from_mins(5)), ..EXPECTED };
        for (time, why) in [
            (json!(1_311_280_969), None),
            (json!(1_311_280_970 - 360), None),
            (json!(1_311_280_970 - 361), Some(Invalid::RequiredClaim)),
            (json!(1_311_280_970 + 61), Some(Invalid::RequiredClaim)),
            (json!(null), Some(Invalid::RequiredClaim)),
            (json!("1311280969"), Some(Invalid::Claims)),
            (json!(-1), Some(Invalid::Claims)),
        ] {
            let read = read_as(&with(json!({"auth_time": time})), Algorithm::RS256, &expectation, NOW);
            assert_eq!(read.err(), why, "{time}");
        }
        assert_eq!(refusal(json!({"auth_time": "ignored"})), None);
    }

    #[test]
    fn compares_the_hash_of_the_access_token() {
        // OpenID Connect Core 1.0 §A.3, §A.4.
        let token = "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y";
        let hash = "77QmUPtjPfzWtF2AnpK9RQ";
        let expectation = IdentityExpectation { access_token: Some(token), ..EXPECTED };
        let check = |hash: Value, algorithm| {
            read_as(&with(json!({"at_hash": hash})), algorithm, &expectation, NOW).err()
        };
        for algorithm in [Algorithm::RS256, Algorithm::PS256, Algorithm::ES256] {
            assert_eq!(check(json!(hash), algorithm), None);
        }
        let lengths = [(Algorithm::ES384, 32), (Algorithm::RS512, 43), (Algorithm::EdDSA, 43)];
        for (algorithm, length) in lengths {
            assert_eq!(half_hash(algorithm, token).len(), length);
            assert_eq!(check(json!(half_hash(algorithm, token)), algorithm), None);
            assert_eq!(check(json!(hash), algorithm), Some(Invalid::RequiredClaim));
        }
        for wrong in [json!(""), json!("77QmUPtjPfzWtF2AnpK9RR"), json!("77QmUPtjPfzWtF2AnpK9RQ==")] {
            assert_eq!(check(wrong.clone(), Algorithm::RS256), Some(Invalid::RequiredClaim), "{wrong}");
        }
        assert_eq!(check(json!(1), Algorithm::RS256), Some(Invalid::Claims));
        assert_eq!(check(json!(null), Algorithm::RS256), None);
        assert_eq!(refusal(json!({"at_hash": "of no token here"})), None);
    }

    #[test]
    fn needs_a_subject_that_is_one() {
        let long = "a".repeat(255);
        for good in ["1", "a b", "auth0|5f~", long.as_str()] {
            assert_eq!(refusal(json!({"sub": good})), None, "{good}");
        }
        for bad in [json!(null), json!(""), json!("é"), json!("a\n"), json!("a".repeat(256)), json!(7)] {
            assert_eq!(refusal(json!({"sub": bad})), Some(Invalid::Claims), "{bad}");
        }
        for bad in [json!(""), json!(7), json!(["a"])] {
            assert_eq!(refusal(json!({"sid": bad})), Some(Invalid::Claims), "{bad}");
        }
    }
}
