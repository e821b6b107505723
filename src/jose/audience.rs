//! The issuer, the audience and the times of tokens that an issuer makes for its client.

use super::claims::{Claims, Expectation};
use super::{Invalid, text};
use crate::time::UnixTime;

/// The largest subject, in bytes (`OpenID` Connect Core 1.0 §2).
const MAX_SUBJECT_BYTES: usize = 255;

/// Checks what an ID token and a logout token have in common, at `now`: the issuer, exactly; that the
/// token is for the client, and for nobody else unless the issuer made it for the client to use; its
/// times, with `iat` required (`OpenID` Connect Core 1.0 §3.1.3.7, Back-Channel Logout 1.0 §2.6).
pub(super) fn is_for_client(
    claims: &Claims,
    issuer: &str,
    client_id: &str,
    now: UnixTime,
) -> Result<(), Invalid> {
    let expectation =
        Expectation { issuer: issuer.to_owned(), audience: vec![client_id.to_owned()], claims: Vec::new() };
    claims.meets(&expectation, now)?;
    if claims.issued_at.is_none() {
        return Err(Invalid::Claims);
    }
    let user = text(&claims.members, "azp").map_err(|_| Invalid::Claims)?;
    let is_ours = match user {
        Some(user) => user == client_id,
        None => claims.audience.iter().all(|name| name == client_id),
    };
    if is_ours { Ok(()) } else { Err(Invalid::Audience) }
}

/// Whether a text is a subject: up to 255 visible characters or blanks, all ASCII (`OpenID` Connect
/// Core 1.0 §2).
pub(super) fn is_subject(subject: &str) -> bool {
    (1..=MAX_SUBJECT_BYTES).contains(&subject.len()) && subject.bytes().all(|b| (b' '..=b'~').contains(&b))
}

/// The provider's session: `sid`, a text that is not empty, if present.
pub(super) fn sid(claims: &Claims) -> Result<Option<&str>, Invalid> {
    let sid = text(&claims.members, "sid").map_err(|_| Invalid::Claims)?;
    if sid == Some("") { Err(Invalid::Claims) } else { Ok(sid) }
}
