//! The secrets that were put on a call: none of them comes back.

use percent_encoding::percent_decode_str;

use crate::config::Connection;
use crate::secret::Secret;

/// The length in bytes from which a secret does not occur in a text by chance.
const MIN_BYTES: usize = 8;

/// The secrets that were put on the call that was sent last.
#[derive(Debug)]
pub(in crate::edge) struct Sent {
    /// The token as its header field has it, with its scheme.
    token: Secret,
    /// The secrets in what the connection adds.
    further: Vec<Secret>,
}

impl Sent {
    /// The secrets of a call with `token`, which its header field has as `value`.
    pub fn new(connection: &Connection, token: &Secret, value: Option<Secret>) -> Self {
        let further = connection.additions.as_deref();
        Self {
            further: further.map(|added| added.secrets(token.expose())).unwrap_or_default(),
            token: value.unwrap_or_else(|| token.clone()),
        }
    }

    /// Whether a secret that is long enough to be looked for `is_meant`.
    fn any(&self, is_meant: &mut dyn FnMut(&str) -> bool) -> bool {
        let token = self.token.expose();
        // Its scheme is no secret.
        let token = token.split_once(' ').map_or(token, |(_, token)| token);
        let mut is_one = |secret: &str| secret.len() >= MIN_BYTES && is_meant(secret);
        is_one(token) || self.further.iter().any(|secret| is_one(secret.expose()))
    }

    /// Whether `value` contains a secret, plain or percent-encoded once or twice: echo services and
    /// debug pages send request fields back.
    pub fn is_disclosed(&self, value: &str) -> bool {
        self.any(&mut |secret| discloses(value, secret))
    }

    /// Whether there is a secret to be looked for.
    pub fn has_any(&self) -> bool {
        self.any(&mut |_| true)
    }

    /// The secrets to be looked for, one in each line: none has a control character.
    pub fn to_lines(&self) -> Secret {
        let mut lines = Secret::new(String::new());
        self.any(&mut |secret| {
            let mark = if lines.expose().is_empty() { "" } else { "\n" };
            lines = Secret::new([lines.expose(), mark, secret].concat());
            false
        });
        lines
    }
}

/// Whether `value` contains `secret`.
fn discloses(value: &str, secret: &str) -> bool {
    if value.len() < secret.len() {
        return false;
    }
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    value.contains(secret)
        || (value.contains('%') && {
            let once = decoded(value);
            once.contains(secret) || decoded(&once).contains(secret)
        })
}

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod tests {
    use super::*;

    fn sent(token: &str, further: &[&str]) -> Sent {
        let secret = |text: &str| Secret::new(text.to_owned());
        Sent { token: secret(token), further: further.iter().map(|text| secret(text)).collect() }
    }

    #[test]
    fn finds_the_token_as_it_is_and_percent_encoded() {
        let sent = sent("Bearer 12|a+b/c=d.e", &[]);
        for value in [
            "12|a+b/c=d.e",
            "Bearer 12|a+b/c=d.e",
            "<https://a.example/?t=12%7Ca%2Bb%2Fc%3Dd.e>; rel=next",
            "12%7ca%2bb%2fc%3dd%2Ee",
            "12%257Ca%252Bb%252Fc%253Dd.e",
        ] {
            assert!(sent.is_disclosed(value), "{value}");
        }
        for value in ["", "12|a+b/c=d.", "12|A+b/c=d.e", "%", "12%7"] {
            assert!(!sent.is_disclosed(value), "{value}");
        }
    }

    #[test]
    fn finds_every_secret_that_does_not_stand_there_by_chance() {
        let short = sent("short", &["ann", ""]);
        assert!(!short.has_any() && !short.is_disclosed("a short one by ann"));
        let both = sent("short", &["a secret's text", "another-secret"]);
        assert!(both.has_any() && !both.is_disclosed("a short one"));
        assert!(both.is_disclosed("x=another-secret") && both.is_disclosed("a%20secret%27s%20text"));
        assert_eq!(both.to_lines().expose(), "a secret's text\nanother-secret");
    }
}
