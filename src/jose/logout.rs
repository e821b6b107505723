//! Logout tokens (`OpenID` Connect Back-Channel Logout 1.0 §2.4 to §2.6).

use std::fmt;

use super::audience::{is_for_client, is_subject, sid};
use super::claims::Claims;
use super::{Invalid, text};
use crate::time::UnixTime;

/// The event that a logout token tells of.
const LOGOUT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// What a valid logout token says: at least one of `subject` and `sid` is there.
#[derive(Clone, PartialEq, Eq)]
pub struct LogoutToken {
    /// The issuer: `iss`.
    pub issuer: String,
    /// Whose sessions end: `sub`.
    pub subject: Option<String>,
    /// The provider's session that ends: `sid`.
    pub sid: Option<String>,
    /// The token's own id, good for one use: `jti`.
    pub id: String,
    /// When the token expires: `exp`.
    pub expires_at: UnixTime,
}

impl LogoutToken {
    /// Reads the `claims` of a logout token of `issuer` for the client. Call this also before the
    /// signature is verified, as [`Identity::read`](super::Identity::read). It does not check that the
    /// token was not used before.
    ///
    /// # Errors
    /// [`Invalid`]: the first claim that is not as expected.
    pub fn read(claims: &Claims, issuer: &str, client_id: &str, now: UnixTime) -> Result<Self, Invalid> {
        is_for_client(claims, issuer, client_id, now)?;
        let Claims { subject, members, .. } = claims;
        // It would be an ID token (§2.4).
        if members.contains_key("nonce") {
            return Err(Invalid::RequiredClaim);
        }
        let events = members.get("events").ok_or(Invalid::RequiredClaim)?;
        let events = events.as_object().ok_or(Invalid::Claims)?;
        if !events.get(LOGOUT).ok_or(Invalid::RequiredClaim)?.is_object() {
            return Err(Invalid::Claims);
        }
        let id = text(members, "jti").ok().flatten().filter(|id| !id.is_empty());
        let id = id.ok_or(Invalid::RequiredClaim)?.to_owned();
        if subject.as_deref().is_some_and(|subject| !is_subject(subject)) {
            return Err(Invalid::Claims);
        }
        let sid = sid(claims)?.map(str::to_owned);
        if subject.is_none() && sid.is_none() {
            return Err(Invalid::RequiredClaim);
        }
        let (issuer, subject, expires_at) = (claims.issuer.clone(), subject.clone(), claims.expires_at);
        Ok(Self { issuer, subject, sid, id, expires_at })
    }
}

impl fmt::Debug for LogoutToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LogoutToken(redacted)")
    }
}

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod tests {
    use std::time::Duration;

    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use serde_json::{Value, json};

    use super::super::UnverifiedToken;
    use super::*;

    const ISSUER: &str = "https://server.example.com";
    const CLIENT: &str = "s6BhdRkqt3";
    const NOW: UnixTime = UnixTime::from_millis(1_471_566_154_000);

    /// The logout token of Back-Channel Logout 1.0 §2.4, with these claims in their place; null takes
    /// one out.
    fn with(changes: Value) -> Value {
        let mut claims = json!({
            "iss": ISSUER, "sub": "248289761001", "aud": CLIENT, "iat": 1_471_566_154_u64,
            "exp": 1_471_569_754_u64, "jti": "bWJq", "sid": "08a5019c-17e1-4977-8f42-65a12843ea02",
            "events": {LOGOUT: {}},
        });
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

    fn text(header: &Value, claims: &Value) -> String {
        let [header, claims] = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
        [header, claims, URL_SAFE_NO_PAD.encode([7; 64])].join(".")
    }

    fn read(changes: Value) -> Result<LogoutToken, Invalid> {
        let text = text(&json!({"alg": "ES256", "typ": "logout+jwt"}), &with(changes));
        let token = UnverifiedToken::parse_logout(&text)?;
        LogoutToken::read(token.unproven_claims(), ISSUER, CLIENT, NOW)
    }

    #[test]
    fn reads_whose_sessions_end() {
        let token = read(json!({})).unwrap();
        assert_eq!(token.issuer, ISSUER);
        assert_eq!(token.subject.as_deref(), Some("248289761001"));
        assert_eq!(token.sid.as_deref(), Some("08a5019c-17e1-4977-8f42-65a12843ea02"));
        assert_eq!((token.id.as_str(), token.expires_at), ("bWJq", NOW + Duration::from_hours(1)));
        assert_eq!(format!("{token:?}"), "LogoutToken(redacted)");
        assert!(read(json!({"sub": null})).unwrap().subject.is_none());
        assert!(read(json!({"sid": null})).unwrap().sid.is_none());
        assert_eq!(read(json!({"sub": null, "sid": null})), Err(Invalid::RequiredClaim));
    }

    #[test]
    fn refuses_what_is_no_logout_token_for_this_client() {
        for (changes, why) in [
            (json!({"iss": "https://other.example"}), Invalid::Issuer),
            (json!({"aud": "other"}), Invalid::Audience),
            (json!({"aud": [CLIENT, "other"]}), Invalid::Audience),
            (json!({"aud": [CLIENT, "other"], "azp": "other"}), Invalid::Audience),
            (json!({"iat": null}), Invalid::Claims),
            (json!({"iat": null, "exp": null}), Invalid::Claims),
            (json!({"iat": 1_471_566_215_u64}), Invalid::IssuedInFuture),
            (json!({"exp": 1_471_566_094_u64}), Invalid::Expired),
            (json!({"jti": null}), Invalid::RequiredClaim),
            (json!({"jti": ""}), Invalid::RequiredClaim),
            (json!({"jti": 7}), Invalid::Claims),
            (json!({"nonce": "n"}), Invalid::RequiredClaim),
            (json!({"nonce": 0}), Invalid::RequiredClaim),
            (json!({"events": null}), Invalid::RequiredClaim),
            (json!({"events": {}}), Invalid::RequiredClaim),
            (json!({"events": {"http://schemas.openid.net/event/other": {}}}), Invalid::RequiredClaim),
            (json!({"events": [LOGOUT]}), Invalid::Claims),
            (json!({"events": LOGOUT}), Invalid::Claims),
            (json!({"events": {LOGOUT: true}}), Invalid::Claims),
            (json!({"sub": ""}), Invalid::Claims),
            (json!({"sid": ""}), Invalid::Claims),
            (json!({"sid": ["a"]}), Invalid::Claims),
        ] {
            assert_eq!(read(changes.clone()), Err(why), "{changes}");
        }
        let more = json!({LOGOUT: {"x": 1}, "https://other.example/event": {}});
        assert!(read(json!({"events": more})).is_ok(), "other events beside it");
    }

    #[test]
    fn gives_a_token_without_expiry_two_minutes() {
        let token = read(json!({"exp": null})).unwrap();
        assert_eq!(token.expires_at, NOW + Duration::from_mins(2));
        let issued = |seconds_ago: u64| read(json!({"exp": null, "iat": 1_471_566_154 - seconds_ago})).err();
        assert_eq!((issued(179), issued(180)), (None, Some(Invalid::Expired)));
        assert_eq!(read(json!({"exp": "soon"})), Err(Invalid::Claims));
    }

    #[test]
    fn tells_the_kinds_of_tokens_apart() {
        let parse = |kind: &str, header: Value| {
            let text = text(&header, &with(json!({})));
            match kind {
                "caller" => UnverifiedToken::parse(&text).err(),
                "identity" => UnverifiedToken::parse_identity(&text).err(),
                _ => UnverifiedToken::parse_logout(&text).err(),
            }
        };
        for (typ, kinds) in [
            (json!(null), &["caller", "identity", "logout"][..]),
            (json!("JWT"), &["caller", "identity", "logout"]),
            (json!("application/jwt"), &["caller", "identity", "logout"]),
            (json!("at+jwt"), &["caller"]),
            (json!("application/at+jwt"), &["caller"]),
            (json!("logout+jwt"), &["logout"]),
            (json!("Application/Logout+JWT"), &["logout"]),
            (json!("secevent+jwt"), &[]),
            (json!("dpop+jwt"), &[]),
        ] {
            for kind in ["caller", "identity", "logout"] {
                let refused = parse(kind, json!({"alg": "ES256", "typ": typ}));
                let expected = (!kinds.contains(&kind)).then_some(Invalid::Header);
                assert_eq!(refused, expected, "{typ} as {kind}");
            }
        }
        for algorithm in ["none", "HS256"] {
            for kind in ["identity", "logout"] {
                assert_eq!(parse(kind, json!({"alg": algorithm})), Some(Invalid::Algorithm));
            }
        }
        let endless = text(&json!({"alg": "ES256"}), &with(json!({"exp": null})));
        assert_eq!(UnverifiedToken::parse(&endless).err(), Some(Invalid::Claims));
        assert_eq!(UnverifiedToken::parse_identity(&endless).err(), Some(Invalid::Claims));
    }
}
