//! The tables of connections and templates, each read when it is first asked for.

use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::fmt;
use std::rc::Rc;

use serde_json::Value;

use super::authorization::{AUTHORIZATION_CODE, CALLBACK, has_openid};
use super::problem::shown;
use super::provider_address::{BASE_URL, ISSUER};
use super::secrets::is_id;
use super::{Configured, Connection, Entries, Problem, Provider, Variables, Webhook, caller};

pub(super) const CONNECTIONS: &str = "CONNECTIONS";
pub(super) const TEMPLATES: &str = "TEMPLATES";

pub(super) const NO_TABLE: &str = "must be a table";

/// The problem of ids whose secrets have the same names.
pub(super) const SHARED_SECRETS: &str =
    "must have another name: its secrets have the same names as another one's";

/// The tables in one variable, each read when it is first asked for.
#[derive(Default)]
pub struct LazyTables {
    /// The tables by their ids.
    pub(super) tables: Entries<LazyTable>,
    /// The ids that no table may have.
    pub(super) wrong: Vec<String>,
}

/// One table, and what was read of it as a connection, as its webhook or as a template. The table is kept
/// for the webhook, and for whom a template is merged with: the platform takes 5 KB of all tables together.
#[derive(Default)]
pub(super) struct LazyTable {
    table: Value,
    pub connection: OnceCell<Part<Rc<Connection>>>,
    /// `None` where the connection has none.
    pub webhook: OnceCell<Option<Part<Rc<Webhook>>>>,
    pub template: OnceCell<Vec<Problem>>,
}

/// A connection or its webhook.
#[derive(Debug)]
pub(super) struct Part<T> {
    pub read: Configured<T>,
    /// The problems of its fields and secrets.
    pub problems: Vec<Problem>,
    /// The problem of its id, where the names of its secrets are those of another one's.
    pub of_id: Option<Problem>,
}

impl LazyTables {
    /// The tables in `value`, the variable called `name`.
    pub(super) fn new(value: Option<Value>, name: &str, problems: &mut Vec<Problem>) -> Self {
        let mut tables = Self::default();
        match value {
            Some(Value::Object(members)) => {
                for (id, table) in members {
                    if is_id(&id) {
                        tables.tables.insert(id, LazyTable { table, ..LazyTable::default() });
                    } else {
                        tables.wrong.push(id);
                    }
                }
            }
            Some(_) => problems.push(Problem::new(name.to_owned(), NO_TABLE)),
            None => {}
        }
        tables
    }

    /// Whether a rule of a connection names the caller `name`.
    pub(super) fn name_caller(&self, name: &str) -> bool {
        self.tables.values().filter_map(LazyTable::fields).any(|fields| caller::is_named(name, fields))
    }

    /// Whether people may just sign in by a connection: it is theirs, and has neither an API nor rules.
    /// A connection for people with rules names sessions in them. Its other fields are not looked at: an
    /// isolate reads each connection when it is asked for.
    pub(super) fn sign_people_in(&self) -> bool {
        self.tables.values().filter_map(LazyTable::fields).any(|fields| {
            fields.get("subject").is_some_and(|subject| subject == "user")
                && !fields.contains_key("rules")
                && !fields.contains_key(BASE_URL)
        })
    }

    /// Whether the connection called `id` tells who signs in, as far as its fields and its provider say.
    pub(super) fn tells_who_signs_in(&self, id: &str) -> bool {
        let Some(fields) = self.find(id).and_then(|(_, table)| table.fields()) else { return false };
        let provider = fields.get("provider").and_then(Value::as_str).and_then(Provider::find);
        let defaults = provider.map(Provider::defaults).unwrap_or_default();
        let text = |name: &str| fields.get(name).or_else(|| defaults.get(name)).and_then(Value::as_str);
        text("grant") == Some(AUTHORIZATION_CODE)
            && text("subject") == Some("user")
            && text(ISSUER).is_some()
            && has_openid(text("scope"))
    }

    /// The connections but the one called `id` whose redirect address may end in `callback`, as their
    /// fields say.
    pub(super) fn of_callback(
        &self,
        id: &str,
        callback: &str,
    ) -> impl Iterator<Item = (&String, &LazyTable)> {
        self.tables.iter().filter(move |(other, table)| {
            let own = table.fields().and_then(|fields| fields.get(CALLBACK));
            *other != id && own.map_or(*other == callback, |own| own == callback)
        })
    }

    /// The names of all tables in their order, wrong ones too.
    pub(super) fn names(&self) -> BTreeSet<&String> {
        self.tables.keys().chain(&self.wrong).collect()
    }

    /// The table called `id`, and its id as it is kept here.
    pub(super) fn find(&self, id: &str) -> Option<(&String, &LazyTable)> {
        self.tables.find_index(id).ok().and_then(|at| self.tables.get_indexed(at))
    }
}

impl LazyTable {
    /// The fields; `None` where it is no table.
    pub(super) fn fields(&self) -> Option<&Variables> {
        self.table.as_object()
    }
}

impl<T> Part<T> {
    pub(super) fn new(read: Option<T>, problems: Vec<Problem>, of_id: Option<Problem>) -> Self {
        Self { read: read.filter(|_| of_id.is_none()).into(), problems, of_id }
    }
}

// The tables may hold identifiers that are kept out of texts.
impl fmt::Debug for LazyTables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let read = self.tables.iter().map(|(id, table)| (id, (&table.connection, &table.webhook)));
        f.debug_map().entries(read).finish()
    }
}

/// The problem of a table called `id` in the variable `name`, if its id is invalid.
pub(super) fn wrong_id(name: &str, id: &str) -> Option<Problem> {
    let message = "must have a name of 1 to 64 letters, digits, - and _ that begins with a letter or digit";
    (!is_id(id)).then(|| Problem::new(format!("{name}.{}", shown(id)), message))
}
