//! Reading the whole configuration.

use std::mem;
use std::rc::Rc;

use serde_json::Value;

use super::caller::{ANYONE, SESSION};
use super::reader::Reader;
use super::secrets::{self, Lookup, Secrets, VariableSource, owners, value};
use super::tables::{CONNECTIONS, LazyTables, NO_TABLE, SHARED_SECRETS, TEMPLATES, wrong_id};
use super::{
    Caller, Callers, Config, Configured, Keys, Problem, Receiver, Report, SessionCaller, Variables, caller,
    jwt, pasted, session, syntax, webhook,
};
use crate::http::Origin;
use crate::json;
use crate::secret::Secret;
use crate::token::{SealingKeys, SealingKeysError};

/// The variable that says where the broker is mounted.
pub const BASE_PATH: &str = "BASE_PATH";
const SEALING_KEYS: &str = "SEALING_KEYS";
const ADMIN_KEY: &str = "ADMIN_KEY";
/// The table that says where the operator's events go; the names of its secrets begin with it, too.
pub const EVENTS: &str = "EVENTS";

impl Config {
    /// Reads the Worker's variables and secrets, except connections, webhooks and templates, which are
    /// read when they are first asked for. A table or an array may also be given as a JSON text.
    ///
    /// `report` is told each problem once, when it is found.
    #[must_use]
    pub fn read(variables: VariableSource, report: Report) -> Self {
        let mut problems = Vec::new();
        let lookup: Lookup<'_> = &|name| value(&variables, name);
        let allowed_origins = read_origins(lookup, &mut problems);
        let base_path = read_base_path(lookup, &mut problems);
        let mut callers = read_callers(lookup, &mut problems);
        let connections = LazyTables::new(structure(lookup, CONNECTIONS), CONNECTIONS, &mut problems);
        for (name, caller) in [(ANYONE, Caller::Anyone), (SESSION, Caller::Session(SessionCaller::ANY))] {
            if !callers.contains_key(name) && connections.name_caller(name) {
                callers.insert(name.to_owned(), Configured::Usable(caller));
            }
        }
        session::drop_nameless(&mut callers, &connections, &mut problems);
        let problems_before = mem::take(&mut problems);
        let templates = LazyTables::new(structure(lookup, TEMPLATES), TEMPLATES, &mut problems);
        let session = session::read(lookup, &callers, &connections, &mut problems);
        let sealing_keys = read_sealing_keys(lookup, &mut problems).map(Rc::new);
        let token_fields = jwt::fields(&callers);
        let admin_keys = read_admin_keys(lookup, &mut problems);
        let events = read_events(lookup, &mut problems).map(Rc::new);
        // An invalid key admits no operator, but registered connections keep working.
        let has_admin_key = lookup(ADMIN_KEY).is_some_and(|key| key != "");
        let config = Self {
            allowed_origins,
            base_path,
            callers,
            connections,
            templates,
            token_fields,
            session,
            sealing_keys,
            admin_keys,
            has_admin_key,
            events,
            problems_before,
            problems_behind: problems,
            variables,
            report,
        };
        config.report_general();
        config
    }

    /// The same, of variables that are all at hand, as programs for operators and tests have them. They
    /// ask for the [problems](Config::problems).
    #[must_use]
    pub fn from_variables(variables: Variables) -> Self {
        let variables = move |name: &str| variables.get(name).map(Value::to_string);
        Self::read(Box::new(variables), Box::new(|_| {}))
    }

    /// Whether the operator can register connections at run time.
    #[must_use]
    pub const fn takes_registrations(&self) -> bool {
        self.has_admin_key && self.sealing_keys.is_some()
    }
}

/// The table or array called `name`, parsed if given as JSON text.
fn structure(variables: Lookup<'_>, name: &str) -> Option<Value> {
    let value = variables(name)?;
    let parsed = value.as_str().and_then(|text| json::parse_last(text.as_bytes()).ok());
    Some(parsed.unwrap_or(value))
}

/// Reads the callers by name. One with an invalid name is left out.
fn read_callers(variables: Lookup<'_>, problems: &mut Vec<Problem>) -> Callers {
    const NAME: &str = "CALLERS";
    let mut callers = Callers::new();
    let Some(value) = structure(variables, NAME) else { return callers };
    let Some(tables) = value.as_object() else {
        problems.push(Problem::new(NAME.to_owned(), NO_TABLE));
        return callers;
    };
    for (name, table) in tables {
        if let Some(problem) = wrong_id(NAME, name) {
            problems.push(problem);
            continue;
        }
        let path = format!("{NAME}.{name}");
        let caller = if let Some(fields) = table.as_object() {
            let mut reader = Reader::new(path, fields, problems);
            let caller = caller::read(&Secrets::new(variables, name), &mut reader);
            let is_ambiguous = owners(&mut tables.keys(), name) > 1;
            if is_ambiguous {
                reader.report_table(SHARED_SECRETS);
            }
            caller.filter(|_| !is_ambiguous)
        } else {
            problems.push(Problem::new(path, NO_TABLE));
            None
        };
        callers.insert(name.clone(), caller.into());
    }
    caller::drop_ambiguous(&mut callers, problems);
    callers
}

fn read_origins(variables: Lookup<'_>, problems: &mut Vec<Problem>) -> Vec<Origin> {
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

fn read_base_path(variables: Lookup<'_>, problems: &mut Vec<Problem>) -> String {
    let Some(value) = variables(BASE_PATH) else { return String::new() };
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

fn read_sealing_keys(variables: Lookup<'_>, problems: &mut Vec<Problem>) -> Option<SealingKeys> {
    const MISSING: &str = "is missing: set this secret to id:key, the key being 32 bytes in base64";
    let wrong = |message| Problem::new(SEALING_KEYS.to_owned(), message);
    let keys = match secrets::find(variables, SEALING_KEYS) {
        Ok(Some(text)) => SealingKeys::parse(&text).map_err(|error| match error {
            SealingKeysError::Empty => wrong(MISSING),
            SealingKeysError::NotAKey => wrong(
                "must be id:key, several separated by commas; an id has 1 to 32 letters, digits, - and _",
            ),
            SealingKeysError::WrongLength => wrong("must have keys of 32 bytes in base64"),
            SealingKeysError::DuplicateId => wrong("must have another id for each key"),
        }),
        Ok(None) => Err(Problem::missing_secret(SEALING_KEYS.to_owned(), MISSING)),
        Err(message) => Err(wrong(message)),
    };
    keys.map_err(|problem| problems.push(problem)).ok()
}

/// Reads the receiver of the operator's events, which is optional.
fn read_events(variables: Lookup<'_>, problems: &mut Vec<Problem>) -> Option<Receiver> {
    let value = structure(variables, EVENTS)?;
    let Some(fields) = value.as_object() else {
        problems.push(Problem::new(EVENTS.to_owned(), NO_TABLE));
        return None;
    };
    let before = problems.len();
    let mut reader = Reader::new(EVENTS.to_owned(), fields, problems);
    reader.only(&["to"]);
    let address = webhook::read_address(&mut reader, "to");
    let receiver = webhook::read_receiver(&mut reader, address, &Secrets::new(variables, EVENTS), "SECRET");
    receiver.filter(|_| problems.len() == before)
}

/// Reads the operators' keys, which are optional.
fn read_admin_keys(variables: Lookup<'_>, problems: &mut Vec<Problem>) -> Option<Keys> {
    let keys = secrets::find(variables, ADMIN_KEY).and_then(|keys| {
        let parse = |keys: Secret| {
            pasted::check_each(keys.expose(), true)?;
            Keys::parse(&keys, 16, "must be 16 characters or more, each key of several")
        };
        keys.map(parse).transpose()
    });
    keys.map_err(|message| problems.push(Problem::new(ADMIN_KEY.to_owned(), message))).ok().flatten()
}
