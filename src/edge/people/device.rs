//! Known browsers: those that a person signed in with before.
//!
//! An attacker who knows a user name can fail sign-ins until the counter of that name refuses
//! further attempts. A browser that the person signed in with before has a counter of its own, so
//! this does not lock the person out. The device cookie authenticates nothing else.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::cookie::{cookie_values, set_cookie};
use crate::config::SessionPolicy;
use crate::http::Headers;
use crate::secret::{Fingerprint, Secret};
use crate::token::SealingKeys;

/// The cookie's name.
pub const DEVICE_COOKIE: &str = "__Host-Http-porteiro-device";

/// How long a browser is known, in seconds: the longest life that browsers give a cookie.
const LIFE_SECONDS: u32 = 400 * 24 * 60 * 60;

/// The largest number of accounts for which one browser is known.
const MAX_ENTRIES: usize = 8;

/// The length of an entry's code, in hexadecimal digits.
const CODE_DIGITS: usize = 32;

/// A person's user name at a connection, for which a browser may be known.
#[derive(Debug)]
pub(in crate::edge) struct SignInAccount<'a> {
    pub keys: &'a SealingKeys,
    pub connection: &'a str,
    /// The user name, folded.
    pub name: &'a Secret,
}

impl SignInAccount<'_> {
    /// The code that authenticates the entry with this `number`.
    fn code(&self, number: &str) -> Option<String> {
        let code = self.keys.blind_name(&["device", self.connection, self.name.expose(), number]);
        code.get(..CODE_DIGITS).map(str::to_owned)
    }

    fn owns(&self, entry: &str) -> bool {
        let Some((number, code)) = entry.split_once('-') else { return false };
        // Comparing digests takes the same time wherever the codes differ.
        self.code(number).is_some_and(|own| Fingerprint::of(&[&own]) == Fingerprint::of(&[code]))
    }
}

/// The entries of the device cookie: each a random number, and a keyed digest of the number and the
/// account.
#[derive(Debug)]
pub(in crate::edge) struct Devices<'h>(Vec<&'h str>);

impl<'h> Devices<'h> {
    /// Reads the entries of a request, authentic or not. A browser may send two such cookies, one
    /// of them partitioned.
    pub fn read(headers: &Headers<'h>) -> Self {
        let entries = cookie_values(headers, DEVICE_COOKIE).take(2);
        Self(
            entries
                .flat_map(|value| value.split('.').take(MAX_ENTRIES))
                .filter(|entry| is_entry(entry))
                .collect(),
        )
    }

    /// The authentic entry of `account`, by which its sign-ins from this browser are counted.
    pub fn entry(&self, account: &SignInAccount<'_>) -> Option<&'h str> {
        self.0.iter().copied().find(|entry| account.owns(entry))
    }

    /// The value of `Set-Cookie` that makes the browser known for `account`, too.
    pub fn remember(&self, account: &SignInAccount<'_>, random: [u8; 16], policy: &SessionPolicy) -> String {
        let own = self.entry(account).map(str::to_owned).or_else(|| {
            let number = URL_SAFE_NO_PAD.encode(random).replace('-', "~");
            let code = account.code(&number)?;
            Some(format!("{number}-{code}"))
        });
        let others = self.0.iter().copied().filter(|entry| own.as_deref() != Some(*entry));
        let entries: Vec<&str> = own.as_deref().into_iter().chain(others).take(MAX_ENTRIES).collect();
        set_cookie(DEVICE_COOKIE, &entries.join("."), &format!("; Max-Age={LIFE_SECONDS}"), policy)
    }
}

/// Whether `text` has the form of an entry: anything else is not echoed to the browser.
fn is_entry(text: &str) -> bool {
    let is_number = |text: &str| {
        text.len() == 22
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'~'))
    };
    let is_code = |text: &str| text.len() == CODE_DIGITS && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    text.split_once('-').is_some_and(|(number, code)| is_number(number) && is_code(code))
}

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod tests {
    use super::*;

    const POLICY: SessionPolicy = SessionPolicy {
        idle: std::time::Duration::ZERO,
        longest: std::time::Duration::ZERO,
        cross_site: false,
    };

    fn keys(byte: u8) -> SealingKeys {
        use base64::engine::general_purpose::STANDARD;
        SealingKeys::parse(&Secret::new(format!("k:{}", STANDARD.encode([byte; 32])))).unwrap()
    }

    /// The cookie's value after a sign-in of `name` with what `cookie` says.
    fn signed_in(keys: &SealingKeys, connection: &str, name: &str, random: u8, cookie: &str) -> String {
        let name = Secret::new(name.to_owned());
        let account = SignInAccount { keys, connection, name: &name };
        let head = format!("cookie:{DEVICE_COOKIE}={cookie}");
        let set = Devices::read(&Headers::new(&head)).remember(&account, [random; 16], &POLICY);
        let (pair, attributes) = set.split_once("; ").unwrap();
        assert_eq!(attributes, "Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=34560000");
        pair.strip_prefix(&format!("{DEVICE_COOKIE}=")).unwrap().to_owned()
    }

    fn knows(keys: &SealingKeys, connection: &str, name: &str, cookie: &str) -> bool {
        let name = Secret::new(name.to_owned());
        let head = format!("cookie:a=b; {DEVICE_COOKIE}={cookie}");
        let account = SignInAccount { keys, connection, name: &name };
        Devices::read(&Headers::new(&head)).entry(&account).is_some()
    }

    #[test]
    fn knows_a_browser_for_who_signed_in_with_it_and_for_nobody_else() {
        let own = keys(1);
        let cookie = signed_in(&own, "acme", "ana", 250, "");
        assert!(knows(&own, "acme", "ana", &cookie));
        assert!(!knows(&own, "acme", "bia", &cookie) && !knows(&own, "bolt", "ana", &cookie));
        assert!(!knows(&keys(2), "acme", "ana", &cookie));
        let (number, code) = cookie.split_once('-').unwrap();
        for forged in [
            format!("{}-{code}", "A".repeat(22)),
            format!("{number}-{}", "0".repeat(32)),
            number.to_owned(),
            String::new(),
            format!("{cookie}0"),
        ] {
            assert!(!knows(&own, "acme", "ana", &forged), "{forged}");
        }
    }

    #[test]
    fn knows_as_many_people_of_a_browser_as_it_may_the_last_ones() {
        let own = keys(1);
        let mut cookie = "ana-was-here; x".to_owned();
        for person in 0..10_u8 {
            cookie = signed_in(&own, "acme", &person.to_string(), person, &cookie);
        }
        let known: Vec<u8> =
            (0..10).filter(|person| knows(&own, "acme", &person.to_string(), &cookie)).collect();
        assert_eq!(known, [2, 3, 4, 5, 6, 7, 8, 9]);
        let again = signed_in(&own, "acme", "5", 99, &cookie);
        assert_eq!(again.split('.').count(), 8, "an entry that is known stays the same");
        assert!(knows(&own, "acme", "2", &again));
    }
}
