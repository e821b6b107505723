//! Connections, webhooks and templates, each read when it is first asked for.
//!
//! An isolate is cold more often than it needs them all, and each takes a quarter of a millisecond to
//! read there. Only the ids are known from the start. No part depends on what was read of another one,
//! so the order in which they are asked for changes nothing.

use std::cell::OnceCell;
use std::fmt;
use std::rc::Rc;

use serde_json::Value;

use super::problem::shown;
use super::read::value;
use super::reader::Reader;
use super::secrets::{Secrets, is_id, owners};
use super::webhook::{self, WEBHOOK};
use super::{
    Config, Configured, Connection, Entries, Problem, Variables, Webhook, caller, connection,
    connection_template,
};
use crate::json;

pub(super) const CONNECTIONS: &str = "CONNECTIONS";
pub(super) const TEMPLATES: &str = "TEMPLATES";

pub(super) const NO_TABLE: &str = "must be a table";

/// The problem of ids whose secrets have the same names.
pub(super) const SHARED_SECRETS: &str =
    "must have another name: its secrets have the same names as another one's";

/// What gives the variable or secret of a name, as JSON. It is asked for each secret when that is needed:
/// the configuration keeps none that nobody uses.
pub type Source = Box<dyn Fn(&str) -> Option<String>>;

/// What is told of a problem when it is found.
pub type Report = Box<dyn Fn(&Problem)>;

/// The tables in one variable, by their names, valid or not.
pub(super) struct Tables<T>(Entries<Table<T>>);

/// One table, as JSON, and what was read of it. Most tables of most isolates are never read, and the text
/// is smaller than its values.
struct Table<T> {
    text: String,
    read: T,
}

impl<T: Default> Tables<T> {
    /// The tables in the variable called `name`.
    pub(super) fn read(variables: &Source, name: &str, problems: &mut Vec<Problem>) -> Self {
        let mut tables = Entries::new();
        let text = variables(name);
        let text = text.map(|text| if text.starts_with('"') { unquoted(&text) } else { Some(text) });
        match text.as_ref().map(|text| json::split(text.as_deref()?)) {
            Some(Some(members)) => {
                for (name, text) in members {
                    tables.insert(name.into_owned(), Table { text: text.to_owned(), read: T::default() });
                }
            }
            Some(None) => problems.push(Problem::new(name.to_owned(), NO_TABLE)),
            None => {}
        }
        Self(tables)
    }
}

/// The JSON text in a JSON string, if it is one.
fn unquoted(text: &str) -> Option<String> {
    let Ok(Value::String(inner)) = json::parse(text.as_bytes()) else { return None };
    json::parse_last(inner.as_bytes()).is_ok().then_some(inner)
}

impl<T> Tables<T> {
    /// Whether a rule of a connection names the caller `name`. Only what may hold that name is parsed.
    pub(super) fn name_caller(&self, name: &str) -> bool {
        let may_name = |text: &str| text.contains('\\') || text.split('"').any(|part| part == name);
        self.0.iter().any(|(id, table)| {
            is_id(id)
                && may_name(&table.text)
                && table.fields().is_some_and(|fields| caller::is_named(name, &fields))
        })
    }

    /// The table called `id`, and its id as it is kept here.
    fn find(&self, id: &str) -> Option<(&String, &Table<T>)> {
        let at = self.0.find_index(id).ok().filter(|_| is_id(id))?;
        self.0.get_indexed(at)
    }

    /// The problems of the ids in the variable called `name`.
    fn wrong_ids(&self, name: &str) -> impl Iterator<Item = Problem> {
        self.0.keys().filter_map(move |id| wrong_id(name, id))
    }
}

impl<T> Table<T> {
    /// The fields; `None` where it is no table.
    fn fields(&self) -> Option<Variables> {
        match json::parse_last(self.text.as_bytes()) {
            Ok(Value::Object(fields)) => Some(fields),
            _ => None,
        }
    }
}

// The tables may hold identifiers that are kept out of texts.
impl<T: fmt::Debug> fmt::Debug for Tables<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.0.iter().map(|(id, table)| (id, &table.read))).finish()
    }
}

/// What was read of a connection. The inner `None` is one without a webhook.
#[derive(Default, Debug)]
pub(super) struct LazyConnection {
    connection: OnceCell<Part<Rc<Connection>>>,
    webhook: OnceCell<Option<Part<Rc<Webhook>>>>,
}

/// What was read of a template: its problems.
pub(super) type LazyTemplate = OnceCell<Vec<Problem>>;

/// A connection or its webhook.
#[derive(Debug)]
struct Part<T> {
    read: Configured<T>,
    /// The problems of its fields and secrets.
    problems: Vec<Problem>,
    /// The problem of its id, where the names of its secrets are those of another one's.
    of_id: Option<Problem>,
}

impl<T> Part<T> {
    fn new(read: Option<T>, problems: Vec<Problem>, of_id: Option<Problem>) -> Self {
        Self { read: read.filter(|_| of_id.is_none()).into(), problems, of_id }
    }
}

impl Config {
    /// The ids of the configured connections, in order.
    pub fn ids(&self) -> impl Iterator<Item = &String> {
        self.connections.0.keys().filter(|id| is_id(id))
    }

    /// Whether a configured connection is called `id`, usable or not.
    #[must_use]
    pub fn is_configured(&self, id: &str) -> bool {
        self.connections.find(id).is_some()
    }

    /// The configured connection called `id`. Calls of a broken one are answered 503 `misconfigured`.
    #[must_use]
    pub fn connection(&self, id: &str) -> Option<&Configured<Rc<Connection>>> {
        self.configured(id).map(|(_, connection)| connection)
    }

    /// The same, and its id as it is kept here.
    #[must_use]
    pub fn configured(&self, id: &str) -> Option<(&String, &Configured<Rc<Connection>>)> {
        let (id, table) = self.connections.find(id)?;
        Some((id, &self.read_connection(id, table).read))
    }

    /// The webhook of the configured connection called `id`, if it has one. Events of a broken one are
    /// answered 503, so that their sender retries.
    #[must_use]
    pub fn webhook(&self, id: &str) -> Option<&Configured<Rc<Webhook>>> {
        let (id, table) = self.connections.find(id)?;
        self.read_webhook(id, table).map(|part| &part.read)
    }

    /// Every problem, in a fixed order: it reads whatever was not read yet.
    #[must_use]
    pub fn problems(&self) -> Vec<Problem> {
        let (mut problems, mut of_webhooks) = (self.problems_before.clone(), Vec::new());
        for id in self.connections.0.keys() {
            problems.extend(wrong_id(CONNECTIONS, id));
            self.collect(id, &mut problems, &mut of_webhooks);
        }
        problems.append(&mut of_webhooks);
        for name in self.templates.0.keys() {
            problems.extend(wrong_id(TEMPLATES, name));
            problems.extend(self.template_problems(name).into_iter().flatten().cloned());
        }
        problems.extend_from_slice(&self.problems_behind);
        problems
    }

    /// The problems of the configured connection called `id`: each field with its message.
    #[must_use]
    pub fn problems_of(&self, id: &str) -> Vec<(String, String)> {
        let (mut problems, mut of_webhook) = (Vec::new(), Vec::new());
        self.collect(id, &mut problems, &mut of_webhook);
        problems.iter().chain(&of_webhook).map(Problem::to_pair).collect()
    }

    /// Adds the problems of the connection called `id` to `problems`, and that of its webhook's id to
    /// `of_webhooks`.
    fn collect(&self, id: &str, problems: &mut Vec<Problem>, of_webhooks: &mut Vec<Problem>) {
        let Some((id, table)) = self.connections.find(id) else { return };
        let connection = self.read_connection(id, table);
        problems.extend_from_slice(&connection.problems);
        if let Some(webhook) = self.read_webhook(id, table) {
            problems.extend_from_slice(&webhook.problems);
            of_webhooks.extend(webhook.of_id.clone());
        }
        problems.extend(connection.of_id.clone());
    }

    fn read_connection<'c>(&'c self, id: &str, table: &'c Table<LazyConnection>) -> &'c Part<Rc<Connection>> {
        table.read.connection.get_or_init(|| {
            let (mut problems, path) = (Vec::new(), format!("{CONNECTIONS}.{id}"));
            let mut of_id = None;
            let read = if let Some(fields) = table.fields() {
                of_id = (owners(self.ids(), id) > 1).then(|| Problem::new(path.clone(), SHARED_SECRETS));
                let variables = |name: &str| value(&self.variables, name);
                let mut reader = Reader::new(path, &fields, &mut problems);
                connection::read(id, &Secrets::new(&variables, id), &mut reader, &self.callers)
            } else {
                problems.push(Problem::new(path, NO_TABLE));
                None
            };
            self.report(id, &mut problems, of_id.as_mut());
            Part::new(read, problems, of_id)
        })
    }

    /// The webhook of the connection called `id`, if it has one.
    fn read_webhook<'c>(
        &'c self,
        id: &str,
        table: &'c Table<LazyConnection>,
    ) -> Option<&'c Part<Rc<Webhook>>> {
        let read = || {
            let fields = table.fields().filter(|fields| fields.contains_key(WEBHOOK))?;
            let (mut problems, path) = (Vec::new(), format!("{CONNECTIONS}.{id}"));
            let mut of_id = (owners(self.ids(), &format!("{id}_account")) > 0).then(|| {
                let message =
                    "must be a connection of another name: its account token is another one's token";
                Problem::new(format!("{path}.{WEBHOOK}"), message)
            });
            let variables = |name: &str| value(&self.variables, name);
            let mut reader = Reader::new(path, &fields, &mut problems);
            let read = webhook::read(&mut reader, &Secrets::new(&variables, id));
            self.report(id, &mut problems, of_id.as_mut());
            // Other secrets of the same names are the connection's problem.
            let read = read.filter(|_| owners(self.ids(), id) == 1);
            Some(Part::new(read.map(Rc::new), problems, of_id))
        };
        table.read.webhook.get_or_init(read).as_ref()
    }

    /// Reports problems of the connection called `id`, and notes that they are its.
    fn report(&self, id: &str, problems: &mut [Problem], of_id: Option<&mut Problem>) {
        for problem in problems.iter_mut().chain(of_id) {
            problem.note_connection(id);
            (self.report)(problem);
        }
    }

    /// Reports the problems of what is read at once.
    pub(super) fn report_general(&self) {
        self.problems_before.iter().for_each(&self.report);
        for problem in self.connections.wrong_ids(CONNECTIONS).chain(self.templates.wrong_ids(TEMPLATES)) {
            (self.report)(&problem);
        }
        self.problems_behind.iter().for_each(&self.report);
    }

    /// The fields of the template called `name`, if usable.
    pub(super) fn template(&self, name: &str) -> Option<Variables> {
        let is_sound = self.template_problems(name)?.is_empty();
        self.templates.find(name).filter(|_| is_sound)?.1.fields()
    }

    fn template_problems(&self, name: &str) -> Option<&Vec<Problem>> {
        let (name, table) = self.templates.find(name)?;
        Some(table.read.get_or_init(|| {
            let problems = connection_template::read(name, table.fields().as_ref(), &self.callers);
            problems.iter().for_each(&self.report);
            problems
        }))
    }
}

/// The problem of a table called `id` in the variable `name`, if its id is invalid.
pub(super) fn wrong_id(name: &str, id: &str) -> Option<Problem> {
    let message = "must have a name of 1 to 64 letters, digits, - and _ that begins with a letter or digit";
    (!is_id(id)).then(|| Problem::new(format!("{name}.{}", shown(id)), message))
}
