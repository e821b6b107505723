//! The Worker's secrets, by the connection or caller that they belong to.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use zeroize::Zeroizing;

use super::provider::needs;
use super::reader::{Parse, Reader};
use super::{FETCHERS, pasted};
use crate::json;
use crate::secret::Secret;

/// What stands in a text for user name and password as Basic credentials.
pub(super) const BASIC: &str = "basic";

const MISSING: &str = "is missing: set this secret";

/// What gives the variable or secret of a name, as JSON. It is asked for each when that is needed: the
/// configuration keeps no secret that nobody uses.
pub type VariableSource = Box<dyn Fn(&str) -> Option<String>>;

/// The variable called `name`. What cannot be parsed is null, which no variable may be.
pub(super) fn value(variables: &VariableSource, name: &str) -> Option<Value> {
    let text = Zeroizing::new(variables(name)?);
    Some(json::parse(text.as_bytes()).unwrap_or_default())
}

/// The same, without saying where from.
pub(super) type Lookup<'c> = &'c dyn Fn(&str) -> Option<Value>;

/// The secrets of one connection or caller.
pub(super) struct Secrets<'c> {
    variables: Lookup<'c>,
    prefix: String,
}

impl<'c> Secrets<'c> {
    /// The secrets of the connection or caller called `id`.
    pub(super) fn new(variables: Lookup<'c>, id: &str) -> Self {
        Self { variables, prefix: prefix(id) }
    }

    /// The variable that holds the secret called `field`.
    pub(super) fn variable(&self, field: &str) -> String {
        format!("{}_{field}", self.prefix)
    }

    /// The secret called `field`; reports a missing secret, and text pasted around it.
    pub(super) fn required(&self, field: &str, reader: &mut Reader<'_, '_>) -> Option<Secret> {
        let secret = self.find(field, Some(MISSING), reader)?;
        self.sound(field, secret, &pasted::check, reader)
    }

    /// The same for a password, which may begin and end with blanks.
    pub(super) fn password(&self, field: &str, reader: &mut Reader<'_, '_>) -> Option<Secret> {
        let secret = self.find(field, Some(MISSING), reader)?;
        self.sound(field, secret, &pasted::check_password, reader)
    }

    /// The same for a text of several lines; reports `missing` where it is absent.
    pub(super) fn multiline(
        &self,
        field: &str,
        missing: &'static str,
        reader: &mut Reader<'_, '_>,
    ) -> Option<Secret> {
        self.find(field, Some(missing), reader)
    }

    /// The secret called `field`, where it is a text that is not empty.
    pub(super) fn peek(&self, field: &str) -> Option<Secret> {
        find(self.variables, &self.variable(field)).ok().flatten()
    }

    /// Whether the secret called `field` is set, valid or not.
    pub(super) fn has(&self, field: &str) -> bool {
        (self.variables)(&self.variable(field)).is_some_and(|value| value != "")
    }

    /// User name and password as Basic credentials in UTF-8 (RFC 7617 §2), where a user name has no
    /// colon. A provider whose user name is a key needs no password: it is empty then.
    #[inline(never)]
    pub(super) fn basic(&self, reader: &mut Reader<'_, '_>) -> Option<Secret> {
        let username = self.possibly_empty("USERNAME", reader);
        let has_none = needs(reader, "USERNAME") && !needs(reader, "PASSWORD") && !self.has("PASSWORD");
        let password =
            if has_none { Some(Secret::new(String::new())) } else { self.possibly_empty("PASSWORD", reader) };
        let (username, password) = (username?, password?);
        for (name, text) in [("USERNAME", &username), ("PASSWORD", &password)] {
            let message = if text.expose().contains(char::is_control) {
                "must have no control characters"
            } else if name == "USERNAME" && text.expose().contains(':') {
                "must have no colon, where the password would begin"
            } else {
                continue;
            };
            reader.report_variable(self.variable(name), message);
            return None;
        }
        let pair = Secret::new([username.expose(), ":", password.expose()].concat());
        Some(Secret::new(STANDARD.encode(pair.expose())))
    }

    /// The secret whose name stands in a text in lower case; [`BASIC`] stands for two.
    pub(super) fn placed(&self, name: &str, reader: &mut Reader<'_, '_>) -> Option<Secret> {
        if name == BASIC {
            return self.basic(reader);
        }
        let field = name.to_ascii_uppercase();
        if field == "PASSWORD" { self.password(&field, reader) } else { self.required(&field, reader) }
    }

    /// The same for a token, which must not begin with a scheme.
    pub(super) fn token(
        &self,
        field: &str,
        scheme: Option<&str>,
        reader: &mut Reader<'_, '_>,
    ) -> Option<Secret> {
        let secret = self.required(field, reader)?;
        self.sound(field, secret, &|text| pasted::check_scheme(text, scheme), reader)
    }

    /// The same for a secret that may be set to an empty text (RFC 6749 appendix A.2).
    pub(super) fn possibly_empty(&self, field: &str, reader: &mut Reader<'_, '_>) -> Option<Secret> {
        if (self.variables)(&self.variable(field)).is_some_and(|value| value == "") {
            return Some(Secret::new(String::new()));
        }
        self.token(field, None, reader)
    }

    /// Several secrets in one, separated by commas; where they `are_bare`, none may begin with a
    /// scheme.
    pub(super) fn list(&self, field: &str, are_bare: bool, reader: &mut Reader<'_, '_>) -> Option<Secret> {
        let secret = self.find(field, Some(MISSING), reader)?;
        self.sound(field, secret, &|text| pasted::check_each(text, are_bare), reader)
    }

    /// `secret`, unless `check` finds a problem, which is reported.
    fn sound(
        &self,
        field: &str,
        secret: Secret,
        check: Parse<'_, ()>,
        reader: &mut Reader<'_, '_>,
    ) -> Option<Secret> {
        match check(secret.expose()) {
            Ok(()) => Some(secret),
            Err(message) => {
                reader.report_variable(self.variable(field), message);
                None
            }
        }
    }

    /// The secrets called `field`, as [`Secrets::list`], parsed by `parse`; reports `message` where
    /// they do not parse.
    pub(super) fn parsed<T>(
        &self,
        field: &str,
        are_bare: bool,
        reader: &mut Reader<'_, '_>,
        parse: impl FnOnce(&Secret) -> Option<T>,
        message: &'static str,
    ) -> Option<T> {
        let parsed = parse(&self.list(field, are_bare, reader)?);
        if parsed.is_none() {
            reader.report_variable(self.variable(field), message);
        }
        parsed
    }

    /// The secret called `field`, else `value`, the field of that name; reports `missing` where
    /// both are absent.
    pub(super) fn or_field(
        &self,
        field: &str,
        value: Option<String>,
        missing: Option<&'static str>,
        reader: &mut Reader<'_, '_>,
    ) -> Option<String> {
        let missing = missing.filter(|_| value.is_none());
        let Some(secret) = self.find(field, missing, reader) else { return value };
        self.sound(field, secret, &pasted::check, reader).map(|secret| secret.expose().to_owned())
    }

    /// Whether the Worker has a binding called `name` that fetches; `None` where its bindings are not
    /// known.
    pub(super) fn is_bound(&self, name: &str) -> Option<bool> {
        let bound = (self.variables)(FETCHERS)?;
        Some(bound.as_array()?.iter().any(|known| known == name))
    }

    fn find(
        &self,
        field: &str,
        missing: Option<&'static str>,
        reader: &mut Reader<'_, '_>,
    ) -> Option<Secret> {
        let variable = self.variable(field);
        match find(self.variables, &variable) {
            Ok(Some(secret)) => return Some(secret),
            Ok(None) => reader.report_missing_secret(variable, missing?),
            Err(message) => reader.report_variable(variable, message),
        }
        None
    }
}

/// The secret in the variable called `name`; an empty one counts as absent.
///
/// # Errors
/// The problem, and what to write instead.
pub(super) fn find(variables: Lookup<'_>, name: &str) -> Result<Option<Secret>, &'static str> {
    match variables(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok((!text.is_empty()).then(|| Secret::new(text))),
        Some(_) => Err("must be a text"),
    }
}

/// Whether `id` is a valid id of a connection or caller.
#[must_use]
pub fn is_id(id: &str) -> bool {
    id.len() <= 64
        && id.starts_with(|first: char| first.is_ascii_alphanumeric())
        && id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

/// How many of `ids` have secrets whose names are those of `id`'s secrets.
pub(super) fn owners(ids: &mut dyn Iterator<Item = &String>, id: &str) -> usize {
    let prefix = prefix(id);
    ids.filter(|known| known.len() == id.len() && self::prefix(known) == prefix).count()
}

/// The name of the secret called `field` (`PASSWORD`) of the connection or caller
/// called `id`.
#[must_use]
pub fn secret_name(id: &str, field: &str) -> String {
    format!("{}_{field}", prefix(id))
}

/// The prefix of the names of an id's secrets.
fn prefix(id: &str) -> String {
    let in_name = |c: char| if c == '-' { '_' } else { c.to_ascii_uppercase() };
    id.chars().map(in_name).collect()
}

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod tests {
    use super::*;

    #[test]
    fn names_secrets_in_upper_case() {
        assert_eq!(Secrets::new(&|_| None, "my-Api_2").variable("TOKEN"), "MY_API_2_TOKEN");
        let ids = ["my-api", "MY_api", "other"].map(str::to_owned);
        assert_eq!(["my_API", "other", "myapi"].map(|id| owners(&mut ids.iter(), id)), [2, 1, 0]);
    }

    #[test]
    fn takes_ids_that_fit_in_paths_and_secret_names() {
        for good in ["a", "0", "Guru", "my-api_2", &"x".repeat(64)] {
            assert!(is_id(good), "{good}");
        }
        for bad in ["", "-a", "_a", "a.b", "a/b", "a b", "é", "a\n", &"x".repeat(65)] {
            assert!(!is_id(bad), "{bad:?}");
        }
    }
}
