//! The session's cookie.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::config::SessionPolicy;
use crate::http::{Headers, RequestHead};
use crate::secret::{Fingerprint, Secret};

/// The cookie's name. By its prefix, browsers accept it only in a `Set-Cookie` field, over a secure
/// connection, for this host alone (RFC 6265bis §4.1.3).
pub const COOKIE: &str = "__Host-Http-porteiro";

const HANDLE_BYTES: usize = 16;

/// The value of a session's cookie: a handle of 16 random bytes that names the session, and a proof
/// of 16 random bytes; base64url without padding, 43 characters.
#[derive(Clone, Debug)]
pub struct SessionId {
    value: Secret,
    name: String,
}

impl SessionId {
    /// The id of a new session.
    #[must_use]
    pub fn new(random: [u8; 32]) -> Self {
        let (handle, _) = random.split_at(HANDLE_BYTES);
        Self::build(&random, handle)
    }

    /// The same session's id with a new proof.
    #[must_use]
    pub fn rotated(&self, random: [u8; 32]) -> Option<Self> {
        let mut bytes = zeroize::Zeroizing::new(URL_SAFE_NO_PAD.decode(self.value.expose()).ok()?);
        let (_, proof) = bytes.split_at_mut_checked(HANDLE_BYTES)?;
        proof.copy_from_slice(random.get(HANDLE_BYTES..)?);
        let handle = bytes.get(..HANDLE_BYTES)?;
        Some(Self::build(&bytes, handle))
    }

    /// Reads the id from the request; `None` unless it has exactly one cookie of this name,
    /// well-formed.
    #[must_use]
    pub fn read(headers: &Headers<'_>) -> Option<Self> {
        let mut values = cookie_values(headers, COOKIE);
        let value = values.next().filter(|_| values.next().is_none())?;
        Self::parse(value)
    }

    /// Reads the id from a cookie's `value`; `None` unless it is well-formed.
    #[must_use]
    pub fn parse(value: &str) -> Option<Self> {
        let bytes = zeroize::Zeroizing::new(URL_SAFE_NO_PAD.decode(value).ok()?);
        let handle = bytes.get(..HANDLE_BYTES).filter(|_| bytes.len() == 2 * HANDLE_BYTES)?;
        Some(Self::build(&bytes, handle))
    }

    fn build(bytes: &[u8], handle: &[u8]) -> Self {
        let handle = zeroize::Zeroizing::new(URL_SAFE_NO_PAD.encode(handle));
        Self {
            value: Secret::new(URL_SAFE_NO_PAD.encode(bytes)),
            name: format!("session/{}", Fingerprint::of(&["session", &handle]).to_hex()),
        }
    }

    /// The name of the session's object: a digest, which does not reveal the cookie.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The cookie's value.
    #[must_use]
    pub const fn value(&self) -> &Secret {
        &self.value
    }

    /// The digest by which the session knows the cookie.
    #[must_use]
    pub fn proof(&self) -> Fingerprint {
        self.value.fingerprint()
    }

    /// The value of `Set-Cookie` that sets the cookie until the browser closes.
    #[must_use]
    pub fn set_cookie(&self, policy: &SessionPolicy) -> String {
        set_cookie(COOKIE, self.value.expose(), "", policy)
    }
}

/// The value of `Set-Cookie` that deletes the cookie.
pub(in crate::edge) fn clear_cookie(policy: &SessionPolicy) -> String {
    set_cookie(COOKIE, "", "; Max-Age=0", policy)
}

/// Whether the request has a session's cookie, valid or not.
pub(in crate::edge) fn has_cookie(headers: &Headers<'_>) -> bool {
    cookie_values(headers, COOKIE).next().is_some()
}

/// Whether the request has more than one session's cookie.
pub(in crate::edge) fn has_several_cookies(headers: &Headers<'_>) -> bool {
    cookie_values(headers, COOKIE).nth(1).is_some()
}

/// The value of `Set-Cookie` that deletes the cookie which was set under the other value of
/// `SESSION_CROSS_SITE`, if the request has both: a browser keeps both, and a request with two cookies
/// is unauthenticated.
pub(in crate::edge) fn clear_stray(head: &RequestHead<'_>, policy: &SessionPolicy) -> Option<String> {
    let other = SessionPolicy { cross_site: !policy.cross_site, ..*policy };
    has_several_cookies(&head.headers).then(|| clear_cookie(&other))
}

/// The value of `Set-Cookie` for the cookie called `name`.
pub(in crate::edge) fn set_cookie(name: &str, value: &str, life: &str, policy: &SessionPolicy) -> String {
    let site = if policy.cross_site { "SameSite=None; Partitioned" } else { "SameSite=Strict" };
    format!("{name}={value}; Path=/; Secure; HttpOnly; {site}{life}")
}

/// The values of the cookies called `name` (RFC 6265 §4.2.1).
pub(in crate::edge) fn cookie_values<'h>(headers: &Headers<'h>, name: &str) -> impl Iterator<Item = &'h str> {
    cookies(headers).filter(move |(own, _)| *own == name).map(|(_, value)| value)
}

/// The names and values of all cookies.
pub(in crate::edge) fn cookies<'h>(headers: &Headers<'h>) -> impl Iterator<Item = (&'h str, &'h str)> {
    let pairs = headers.iter().filter(|(name, _)| *name == "cookie").flat_map(|(_, value)| value.split(';'));
    pairs.filter_map(|pair| pair.trim().split_once('='))
}

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod tests {
    use super::*;

    const SAME_SITE: SessionPolicy = SessionPolicy {
        idle: std::time::Duration::ZERO,
        longest: std::time::Duration::ZERO,
        cross_site: false,
    };

    fn bytes(handle: u8, proof: u8) -> [u8; 32] {
        let mut bytes = [handle; 32];
        bytes[HANDLE_BYTES..].fill(proof);
        bytes
    }

    fn read(cookies: &str) -> Option<SessionId> {
        SessionId::read(&Headers::new(&format!("accept:*/*\ncookie:{cookies}")))
    }

    #[test]
    fn reads_back_what_it_set_among_other_cookies() {
        let id = SessionId::new(bytes(1, 2));
        let cookie = id.set_cookie(&SAME_SITE);
        let (pair, attributes) = cookie.split_once("; ").unwrap();
        assert_eq!(attributes, "Path=/; Secure; HttpOnly; SameSite=Strict");
        assert_eq!(pair.split_once('=').unwrap().1.len(), 43);
        for cookies in [pair.to_owned(), format!("a=b; {pair}; c=d"), format!("{pair};x=\"y\"")] {
            let back = read(&cookies).unwrap();
            assert_eq!((back.name(), back.proof()), (id.name(), id.proof()));
        }
    }

    #[test]
    fn keeps_the_session_and_changes_the_proof_at_a_rotation() {
        let id = SessionId::new(bytes(1, 2));
        let next = id.rotated(bytes(3, 4)).unwrap();
        assert_eq!(next.name(), id.name());
        assert_ne!(next.proof(), id.proof());
        assert_eq!(next.proof(), SessionId::new(bytes(1, 4)).proof());
        assert_ne!(SessionId::new(bytes(3, 2)).name(), id.name());
    }

    #[test]
    fn takes_nothing_but_one_whole_id() {
        let value = "A".repeat(43);
        let cookie = format!("{COOKIE}={value}");
        assert!(read(&cookie).is_some());
        for bad in [
            String::new(),
            format!("{COOKIE}="),
            format!("{COOKIE}={}", "A".repeat(42)),
            format!("{COOKIE}={}", "A".repeat(44)),
            format!("{cookie}="),
            format!("{COOKIE}={}B", "A".repeat(42)),
            format!("{cookie}; {cookie}"),
            format!("porteiro={value}"),
            cookie.to_lowercase(),
        ] {
            assert!(read(&bad).is_none(), "{bad}");
        }
        assert!(has_cookie(&Headers::new(&format!("cookie:{COOKIE}=x"))));
        assert!(!has_cookie(&Headers::new("cookie:a=b")));
        assert!(has_several_cookies(&Headers::new(&format!("cookie:{COOKIE}=x; {COOKIE}=y"))));
        assert!(!has_several_cookies(&Headers::new(&format!("cookie:{COOKIE}=x; a={COOKIE}"))));
    }

    #[test]
    fn names_the_object_without_telling_the_cookie() {
        let id = SessionId::new([0; 32]);
        assert!(id.name().starts_with("session/") && !id.name().contains("AAAA"));
        assert!(!format!("{id:?}").contains("AAAA"));
    }

    #[test]
    fn goes_to_other_sites_where_it_is_asked_for() {
        let policy = SessionPolicy { cross_site: true, ..SAME_SITE };
        assert!(SessionId::new([0; 32]).set_cookie(&policy).ends_with("; SameSite=None; Partitioned"));
        assert_eq!(
            clear_cookie(&SAME_SITE),
            format!("{COOKIE}=; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=0")
        );
    }
}
