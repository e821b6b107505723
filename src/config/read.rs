//! Reading the whole configuration.

use std::borrow::Cow;
use std::rc::Rc;

use serde_json::Value;

use super::problem::shown;
use super::reader::Reader;
use super::secrets::{self, Owners, Secrets, is_id};
use super::{
    Config, Configured, Entries, FETCHERS, Keys, Problem, Variables, caller, connection, connection_template,
    jwt, pasted, session, syntax, webhook,
};
use crate::http::Origin;
use crate::json;
use crate::secret::Secret;
use crate::token::{SealingKeys, SealingKeysError};

/// The variable that says where the broker is mounted.
pub const BASE_PATH: &str = "BASE_PATH";
const CONNECTIONS: &str = "CONNECTIONS";

impl Config {
    /// Reads the Worker's variables and secrets; returns the configuration and every problem, in a
    /// fixed order. A table or an array may also be given as a JSON text.
    #[must_use]
    pub fn read(variables: &Variables) -> (Self, Vec<Problem>) {
        let mut problems = Vec::new();
        let allowed_origins = read_origins(variables, &mut problems);
        let base_path = read_base_path(variables, &mut problems);
        let mut callers = read_entries(variables, "CALLERS", &mut problems, |_, secrets, reader| {
            caller::read(secrets, reader)
        });
        caller::drop_ambiguous(&mut callers, variables, &mut problems);
        let mut webhooks = Entries::new();
        let connections = read_entries(variables, CONNECTIONS, &mut problems, |id, secrets, reader| {
            connection::read(id, secrets, reader, &mut callers, &mut webhooks)
        });
        webhook::drop_ambiguous(&mut webhooks, &connections, &mut problems);
        let templates = structure(variables, connection_template::TEMPLATES)
            .map(|tables| connection_template::read(&tables, &callers, &mut problems))
            .unwrap_or_default();
        let session = session::read(variables, &callers, &mut problems);
        let sealing_keys = read_sealing_keys(variables, &mut problems).map(Rc::new);
        let token_fields = jwt::fields(&callers);
        let admin_keys = read_admin_keys(variables, &mut problems);
        // An invalid key admits no operator, but registered connections keep working.
        let has_admin_key = variables.get("ADMIN_KEY").is_some_and(|key| key != "");
        let config = Self {
            allowed_origins,
            base_path,
            callers,
            connections,
            templates,
            webhooks,
            token_fields,
            session,
            sealing_keys,
            admin_keys,
            has_admin_key,
            fetchers: variables.get(FETCHERS).cloned(),
            problems: problems.clone(),
        };
        (config, problems)
    }

    /// Whether the operator can register connections at run time.
    #[must_use]
    pub const fn takes_registrations(&self) -> bool {
        self.has_admin_key && self.sealing_keys.is_some()
    }
}

/// Reads the tables in the table called `name`, by id. A table with an invalid id is left out.
fn read_entries<T>(
    variables: &Variables,
    name: &str,
    problems: &mut Vec<Problem>,
    mut read: impl FnMut(&str, &Secrets<'_>, &mut Reader<'_, '_>) -> Option<T>,
) -> Entries<Configured<T>> {
    let mut entries = Entries::new();
    let Some(value) = structure(variables, name) else { return entries };
    let Some(tables) = value.as_object() else {
        problems.push(Problem::new(name.to_owned(), "must be a table"));
        return entries;
    };
    let owners = Owners::count(tables.keys());
    for (id, value) in tables {
        let path = format!("{name}.{}", shown(id));
        if !is_id(id) {
            let message =
                "must have a name of 1 to 64 letters, digits, - and _ that begins with a letter or digit";
            problems.push(Problem::new(path, message));
            continue;
        }
        let before = problems.len();
        let entry = if let Some(fields) = value.as_object() {
            let mut reader = Reader::new(path, fields, problems);
            let entry = read(id, &Secrets::new(variables, id), &mut reader);
            let is_ambiguous = owners.of(id) > 1;
            if is_ambiguous {
                reader
                    .report_table("must have another name: its secrets have the same names as another one's");
            }
            entry.filter(|_| !is_ambiguous)
        } else {
            problems.push(Problem::new(path, "must be a table"));
            None
        };
        note_owner(problems, before, name, id);
        entries.insert(id.clone(), entry.into());
    }
    entries
}

/// Makes the problems behind the first `before` those of the entry called `id` in the table `name`, if
/// that is a connection.
fn note_owner(problems: &mut [Problem], before: usize, name: &str, id: &str) {
    if name == CONNECTIONS {
        problems.iter_mut().skip(before).for_each(|problem| problem.note_connection(id));
    }
}

/// The table or array called `name`, parsed if given as JSON text.
fn structure<'v>(variables: &'v Variables, name: &str) -> Option<Cow<'v, Value>> {
    let value = variables.get(name)?;
    let parsed = value.as_str().and_then(|text| json::parse_last(text.as_bytes()).ok());
    Some(parsed.map_or(Cow::Borrowed(value), Cow::Owned))
}

fn read_origins(variables: &Variables, problems: &mut Vec<Problem>) -> Vec<Origin> {
    const NAME: &str = "ALLOWED_ORIGINS";
    let mut origins = Vec::new();
    let Some(value) = structure(variables, NAME) else { return origins };
    let Some(items) = value.as_array() else {
        problems.push(Problem::new(NAME.to_owned(), "must be an array of origins"));
        return origins;
    };
    for (at, item) in items.iter().enumerate() {
        match item.as_str().ok_or("must be a text").and_then(syntax::origin) {
            Ok(origin) => origins.push(origin),
            Err(message) => problems.push(Problem::new(format!("{NAME}[{at}]"), message)),
        }
    }
    origins
}

fn read_base_path(variables: &Variables, problems: &mut Vec<Problem>) -> String {
    let Some(value) = variables.get(BASE_PATH) else { return String::new() };
    value.as_str().ok_or("must be a text").and_then(syntax::base_path).unwrap_or_else(|message| {
        problems.push(Problem::new(BASE_PATH.to_owned(), message));
        String::new()
    })
}

/// The base path of this value of [`BASE_PATH`], which alone tells a health check from other requests;
/// empty if it is wrong, as [`Config::read`] reports.
#[must_use]
pub fn base_path(text: Option<&str>) -> String {
    text.and_then(|text| syntax::base_path(text).ok()).unwrap_or_default()
}

fn read_sealing_keys(variables: &Variables, problems: &mut Vec<Problem>) -> Option<SealingKeys> {
    const NAME: &str = "SEALING_KEYS";
    const MISSING: &str = "is missing: set this secret to id:key, the key being 32 bytes in base64";
    let wrong = |message| Problem::new(NAME.to_owned(), message);
    let keys = match secrets::find(variables, NAME) {
        Ok(Some(text)) => SealingKeys::parse(&text).map_err(|error| match error {
            SealingKeysError::Empty => wrong(MISSING),
            SealingKeysError::NotAKey => wrong(
                "must be id:key, several separated by commas; an id has 1 to 32 letters, digits, - and _",
            ),
            SealingKeysError::WrongLength => wrong("must have keys of 32 bytes in base64"),
            SealingKeysError::DuplicateId => wrong("must have another id for each key"),
        }),
        Ok(None) => Err(Problem::missing_secret(NAME.to_owned(), MISSING)),
        Err(message) => Err(wrong(message)),
    };
    keys.map_err(|problem| problems.push(problem)).ok()
}

/// Reads the operators' keys, which are optional.
fn read_admin_keys(variables: &Variables, problems: &mut Vec<Problem>) -> Option<Keys> {
    const NAME: &str = "ADMIN_KEY";
    let keys = secrets::find(variables, NAME).and_then(|keys| {
        let parse = |keys: Secret| {
            pasted::check_each(keys.expose(), true)?;
            Keys::parse(&keys, 16, "must be 16 characters or more, each key of several")
        };
        keys.map(parse).transpose()
    });
    keys.map_err(|message| problems.push(Problem::new(NAME.to_owned(), message))).ok().flatten()
}
