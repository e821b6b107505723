//! Configuration problems.

use std::fmt;

/// One problem of the configuration.
///
/// Invariant: it holds names and fixed text, never a configured value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem {
    field: String,
    message: &'static str,
    is_missing_secret: bool,
    /// The configured connection that it is a problem of, if it is one's.
    connection: Option<String>,
}

/// What is told of a problem when it is found.
pub type Report = Box<dyn Fn(&Problem)>;

impl Problem {
    pub(super) const fn new(field: String, message: &'static str) -> Self {
        Self { field, message, is_missing_secret: false, connection: None }
    }

    pub(super) const fn missing_secret(name: String, message: &'static str) -> Self {
        Self { field: name, message, is_missing_secret: true, connection: None }
    }

    /// The variable, secret or field: `CONNECTIONS.hubsoft.rules[0].paths[1]`
    /// or `HUBSOFT_CLIENT_SECRET`.
    #[must_use]
    pub fn field(&self) -> &str {
        &self.field
    }

    /// The problem, and what to write instead.
    #[must_use]
    pub const fn message(&self) -> &'static str {
        self.message
    }

    /// The field and the message.
    #[must_use]
    pub fn to_pair(&self) -> (String, String) {
        (self.field.clone(), self.message.to_owned())
    }

    /// Makes it a problem of the configured connection called `id`.
    pub(super) fn note_connection(&mut self, id: &str) {
        self.connection = Some(id.to_owned());
    }

    /// The configured connection whose fields, secrets or webhook have the problem.
    #[must_use]
    pub fn connection(&self) -> Option<&str> {
        self.connection.as_deref()
    }

    /// Whether the problem is a missing secret, named by [`Problem::field`].
    #[must_use]
    pub const fn is_missing_secret(&self) -> bool {
        self.is_missing_secret
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.message)
    }
}

/// `name` as shown in log lines and in [`Problem::field`]: the first 64 characters, control
/// characters escaped.
#[must_use]
pub fn shown(name: &str) -> String {
    let mut out = String::new();
    for c in name.chars().take(64) {
        if c.is_control() {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod tests {
    use super::*;

    #[test]
    fn shows_the_field_then_the_message() {
        let problem = Problem::new("A.b".to_owned(), "must be a text");
        assert_eq!(problem.to_string(), "A.b: must be a text");
        assert_eq!((problem.field(), problem.message()), ("A.b", "must be a text"));
    }

    #[test]
    fn shows_names_that_cannot_break_a_log_line() {
        assert_eq!(shown("base_ur"), "base_ur");
        assert_eq!(shown("a\nb\u{1b}[0m\u{85}"), "a\\nb\\u{1b}[0m\\u{85}");
        assert_eq!(shown(&"x".repeat(65)), "x".repeat(64));
    }
}
