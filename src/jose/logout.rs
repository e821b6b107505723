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
