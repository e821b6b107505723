//! The Worker's secrets, by the connection or caller that they belong to.

use super::reader::Reader;
use super::{Variables, pasted};
use crate::secret::Secret;

const MISSING: &str = "is missing: set this secret";

/// The secrets of one connection or caller.
pub(super) struct Secrets<'c> {
    variables: &'c Variables,
    prefix: String,
}

impl<'c> Secrets<'c> {
    /// The secrets of the connection or caller called `id`.
    pub(super) fn new(variables: &'c Variables, id: &str) -> Self {
        Self { variables, prefix: prefix(id) }
    }

    /// The variable that holds the secret called `field`.
    pub(super) fn variable(&self, field: &str) -> String {
        format!("{}_{field}", self.prefix)
    }

    /// The secret called `field`; reports a missing secret, and text pasted around it.
    pub(super) fn required(&self, field: &str, reader: &mut Reader<'_, '_>) -> Option<Secret> {
        let secret = self.find(field, Some(MISSING), reader)?;
        self.sound(field, secret, pasted::check, reader)
    }

    /// The same for a password, which may begin and end with blanks.
    pub(super) fn password(&self, field: &str, reader: &mut Reader<'_, '_>) -> Option<Secret> {
        let secret = self.find(field, Some(MISSING), reader)?;
        self.sound(field, secret, pasted::check_password, reader)
    }

    /// The secret whose name stands in a text in lower case.
    pub(super) fn placed(&self, name: &str, reader: &mut Reader<'_, '_>) -> Option<Secret> {
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
        self.sound(field, secret, |text| pasted::check_scheme(text, scheme), reader)
    }

    /// The same for a secret that may be set to an empty text (RFC 6749 appendix A.2).
    pub(super) fn possibly_empty(&self, field: &str, reader: &mut Reader<'_, '_>) -> Option<Secret> {
        if self.variables.get(&self.variable(field)).is_some_and(|value| value == "") {
            return Some(Secret::new(String::new()));
        }
        self.token(field, None, reader)
    }

    /// Several secrets in one, separated by commas; where they `are_bare`, none may begin with a
    /// scheme.
    pub(super) fn list(&self, field: &str, are_bare: bool, reader: &mut Reader<'_, '_>) -> Option<Secret> {
        let secret = self.find(field, Some(MISSING), reader)?;
        self.sound(field, secret, |text| pasted::check_each(text, are_bare), reader)
    }

    /// `secret`, unless `check` finds a problem, which is reported.
    fn sound(
        &self,
        field: &str,
        secret: Secret,
        check: impl FnOnce(&str) -> Result<(), &'static str>,
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
        self.sound(field, secret, pasted::check, reader).map(|secret| secret.expose().to_owned())
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
pub(super) fn find(variables: &Variables, name: &str) -> Result<Option<Secret>, &'static str> {
    let Some(value) = variables.get(name) else { return Ok(None) };
    let text = value.as_str().ok_or("must be a text")?;
    Ok((!text.is_empty()).then(|| Secret::new(text.to_owned())))
}

/// Whether `id` is a valid id of a connection or caller.
#[must_use]
pub fn is_id(id: &str) -> bool {
    id.len() <= 64
        && id.starts_with(|first: char| first.is_ascii_alphanumeric())
        && id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

/// The prefixes of secrets' names of all ids, in order.
pub(super) struct Owners(Vec<String>);

impl Owners {
    /// Counts `ids`.
    pub(super) fn count<'i>(ids: impl Iterator<Item = &'i String>) -> Self {
        let mut prefixes: Vec<String> = ids.map(|id| prefix(id)).collect();
        prefixes.sort_unstable();
        Self(prefixes)
    }

    /// The number of ids whose secrets have the names of `id`'s.
    pub(super) fn of(&self, id: &str) -> usize {
        let prefix = prefix(id);
        let first = self.0.partition_point(|known| *known < prefix);
        self.0.iter().skip(first).take_while(|known| **known == prefix).count()
    }
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
        let variables = Variables::new();
        assert_eq!(Secrets::new(&variables, "my-Api_2").variable("TOKEN"), "MY_API_2_TOKEN");
        let ids = ["my-api", "MY_api", "other"].map(str::to_owned);
        let owners = Owners::count(ids.iter());
        assert_eq!(["my_API", "other", "myapi"].map(|id| owners.of(id)), [2, 1, 0]);
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
