//! Reading registered connections.

use std::borrow::Cow;
use std::rc::Rc;

use super::caller::{self, SESSION};
use super::problem::{Problem, shown};
use super::reader::Reader;
use super::secrets::{Secrets, is_id, secret_name, value};
use super::template::UNKNOWN_LABEL;
use super::webhook::{self, WEBHOOK};
use super::{
    Callers, Config, Connection, FETCHERS, Variables, Webhook, authorization, connection, token_template,
};
use crate::secret::Fingerprint;

/// The secrets of a connection, by their names in a registration.
pub const SECRETS: [&str; 11] = [
    "client_id",
    "client_secret",
    "username",
    "password",
    "token",
    "refresh_token",
    "audience",
    "account_token",
    "webhook_secret",
    "private_key",
    "service_account",
];

/// The field of a registered connection that names its template.
const TEMPLATE: &str = "template";

/// The message for an invalid id.
pub const WRONG_ID: &str = "must have 1 to 64 letters, digits, - and _ and begin with a letter or digit";

/// A registered connection.
#[derive(Clone, Debug)]
pub struct Registered {
    /// The connection.
    pub connection: Rc<Connection>,
    /// The connection's webhook, if it has one.
    pub webhook: Option<Rc<Webhook>>,
}

impl Config {
    /// Reads a connection registered as `id`: `fields` are those of a configured connection,
    /// `secrets` its secrets by their variables' names, in lower case and without the connection's
    /// prefix. A field that `fields` lacks is its template's. Unlike a configured connection, it is refused for any problem, since the operator
    /// receives the answer at once.
    ///
    /// # Errors
    /// Every problem, by its field or by `secrets.` and the secret's name.
    pub fn read_registered(
        &self,
        id: &str,
        fields: &Variables,
        secrets: &Variables,
    ) -> Result<Registered, Vec<Problem>> {
        if !is_id(id) {
            return Err(vec![Problem::new("id".to_owned(), WRONG_ID)]);
        }
        if authorization::is_reserved(id) {
            return Err(vec![Problem::new("id".to_owned(), authorization::RESERVED_NAME)]);
        }
        let mut problems = Vec::new();
        let mut variables = Variables::new();
        let own = secret_name(id, "");
        let merged = self.with_template(fields);
        let placed = token_template::names(merged.as_deref().unwrap_or(fields));
        for (name, value) in secrets {
            if SECRETS.contains(&name.as_str()) || placed.contains(name) {
                variables.insert(format!("{own}{}", name.to_ascii_uppercase()), value.clone());
            } else {
                problems.push(Problem::new(format!("secrets.{}", shown(name)), "is not a known secret"));
            }
        }
        variables.extend(value(&self.variables, FETCHERS).map(|bound| (FETCHERS.to_owned(), bound)));
        let path = "connection";
        let has_template = merged.is_some();
        let fields = merged.unwrap_or_else(|| {
            let mut fields = fields.clone();
            fields.remove(TEMPLATE);
            Cow::Owned(fields)
        });
        let mut read = read_fields(id, path, &fields, &variables, &self.callers, &mut problems);
        if !has_template {
            problems.retain(|problem| is_own_problem(problem, path, &fields));
            let message = "must name a template that stands in TEMPLATES and has no problems";
            problems.push(Problem::new(format!("{path}.{TEMPLATE}"), message));
        }
        let conflict = read.as_ref().and_then(|read| self.conflict_of_registered(&read.connection));
        if let Some(message) = conflict {
            problems.push(Problem::new(format!("{path}.{}", authorization::CALLBACK), message));
        }
        // A token is sent only to the address that it was obtained for.
        let connection = read.as_mut().and_then(|read| Rc::get_mut(&mut read.connection));
        if let Some(own) = connection {
            own.identity = Fingerprint::of(&[&own.identity.to_hex(), own.base_url.as_base()]);
        }
        read.filter(|_| problems.is_empty())
            .ok_or_else(|| problems.into_iter().map(|problem| problem.within(path, &own)).collect())
    }

    /// The fields of a registered connection and, where it has none of its own, those of the
    /// template that it names; `None` where that template is unknown or has problems.
    #[must_use]
    pub fn with_template<'v>(&self, fields: &'v Variables) -> Option<Cow<'v, Variables>> {
        let Some(name) = fields.get(TEMPLATE) else { return Some(Cow::Borrowed(fields)) };
        let mut merged = self.template(name.as_str()?)?.clone();
        for (name, value) in fields.iter().filter(|(name, _)| *name != TEMPLATE) {
            merged.insert(name.clone(), value.clone());
        }
        Some(Cow::Owned(merged))
    }
}

/// Reads the fields of a connection that is not configured, at `path`, with `variables` for its
/// secrets.
pub(super) fn read_fields(
    id: &str,
    path: &str,
    fields: &Variables,
    variables: &Variables,
    known: &Callers,
    problems: &mut Vec<Problem>,
) -> Option<Registered> {
    let variables = |name: &str| variables.get(name).cloned();
    let secrets = Secrets::new(&variables, id);
    let mut reader = Reader::new(path.to_owned(), fields, problems);
    if fields.get("subject").is_some_and(|subject| subject == "user") {
        reader.report("subject", "must be service: people sign in to configured connections only");
    }
    let read = connection::read(id, &secrets, &mut reader, known);
    let webhook = reader.has(WEBHOOK).then(|| webhook::read(&mut reader, &secrets)).flatten();
    // Calls are checked only against callers of the configuration.
    if !known.contains_key(SESSION) && caller::is_named(SESSION, fields) {
        reader
            .report("rules", "must name callers of the configuration: session, too, stands in CALLERS there");
    }
    read.map(|connection| Registered { connection, webhook: webhook.map(Rc::new) })
}

/// Whether a problem is one of `fields` at `path` alone, and not of what another table adds to them:
/// a field, a secret or a label.
pub(super) fn is_own_problem(problem: &Problem, path: &str, fields: &Variables) -> bool {
    let below = problem.field().strip_prefix(path).and_then(|field| field.strip_prefix('.'));
    let is_of = |below: &str, name: &str| {
        below.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    };
    !problem.is_missing_secret()
        && problem.message() != UNKNOWN_LABEL
        && below.is_none_or(|below| fields.keys().any(|name| is_of(below, &shown(name))))
}

impl Problem {
    /// Renames the problem's field for a registration: fields without `path`, variables with the
    /// prefix `own` as `secrets`.
    fn within(self, path: &str, own: &str) -> Self {
        let field = self.field();
        let below = field.strip_prefix(path).and_then(|field| field.strip_prefix('.'));
        let secret = || Some(format!("secrets.{}", field.strip_prefix(own)?.to_ascii_lowercase()));
        match below.map(str::to_owned).or_else(secret) {
            Some(field) => Self::new(field, self.message()),
            None => self,
        }
    }
}
