//! Connections, webhooks and templates, each read when it is first asked for.
//!
//! An isolate is cold more often than it needs them all, and each takes a quarter of a millisecond to
//! read there. Only the ids are known from the start. No part depends on what was read of another one,
//! so the order in which they are asked for changes nothing.

use std::cell::OnceCell;
use std::fmt;
use std::rc::Rc;

use super::problem::shown;
use super::reader::Reader;
use super::secrets::{Secrets, is_id, owners};
use super::webhook::{self, WEBHOOK};
use super::{
    Config, Configured, Connection, Entries, Problem, Variables, Webhook, connection, connection_template,
};

pub(super) const CONNECTIONS: &str = "CONNECTIONS";
pub(super) const TEMPLATES: &str = "TEMPLATES";

pub(super) const NO_TABLE: &str = "must be a table";

/// What is told of a problem when it is found: each is told once.
pub type Report = Box<dyn Fn(&Problem)>;

/// The tables in one variable, and what was read of each that has a valid id.
pub(super) struct Tables<T> {
    tables: Variables,
    read: Entries<T>,
}

// The tables may hold identifiers that are kept out of texts.
impl<T: fmt::Debug> fmt::Debug for Tables<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.read.iter()).finish()
    }
}

impl<T: Default> Tables<T> {
    pub(super) fn new(tables: Variables) -> Self {
        let mut read = Entries::new();
        for id in tables.keys().filter(|id| is_id(id)) {
            read.insert(id.clone(), T::default());
        }
        Self { tables, read }
    }
}

/// What was read of a connection.
#[derive(Default, Debug)]
pub(super) struct LazyConnection {
    connection: OnceCell<Part<Rc<Connection>>>,
    webhook: OnceCell<Part<Rc<Webhook>>>,
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
        self.connections.read.keys()
    }

    /// Whether a configured connection is called `id`, usable or not.
    #[must_use]
    pub fn is_configured(&self, id: &str) -> bool {
        self.connections.read.contains_key(id)
    }

    /// The configured connection called `id`. Calls of a broken one are answered 503 `misconfigured`.
    #[must_use]
    pub fn connection(&self, id: &str) -> Option<&Configured<Rc<Connection>>> {
        self.configured(id).map(|(_, connection)| connection)
    }

    /// The same, and its id as it is kept here.
    #[must_use]
    pub fn configured(&self, id: &str) -> Option<(&String, &Configured<Rc<Connection>>)> {
        let read = &self.connections.read;
        let (id, lazy) = read.find_index(id).ok().and_then(|at| read.get_indexed(at))?;
        Some((id, &self.read_connection(id, lazy).read))
    }

    /// Whether the configured connection called `id` has a webhook, usable or not.
    #[must_use]
    pub fn takes_webhooks(&self, id: &str) -> bool {
        self.is_configured(id) && self.fields(id).is_some_and(|fields| fields.contains_key(WEBHOOK))
    }

    /// The webhook of the configured connection called `id`, if it has one. Events of a broken one are
    /// answered 503, so that their sender retries.
    #[must_use]
    pub fn webhook(&self, id: &str) -> Option<&Configured<Rc<Webhook>>> {
        self.read_webhook(id, self.connections.read.get(id)?).map(|part| &part.read)
    }

    /// Every problem, in a fixed order: it reads whatever was not read yet.
    #[must_use]
    pub fn problems(&self) -> Vec<Problem> {
        let (mut problems, mut of_ids) = (self.problems_before.clone(), Vec::new());
        for id in self.connections.tables.keys() {
            problems.extend(wrong_id(CONNECTIONS, id));
            self.collect(id, &mut problems, &mut of_ids);
        }
        problems.extend(of_ids);
        for name in self.templates.tables.keys() {
            problems.extend(wrong_id(TEMPLATES, name));
            problems.extend(self.template_problems(name).into_iter().flatten().cloned());
        }
        problems.extend_from_slice(&self.problems_behind);
        problems
    }

    /// The problems of the configured connection called `id`: each field with its message.
    #[must_use]
    pub fn problems_of(&self, id: &str) -> Vec<(String, String)> {
        let (mut problems, mut of_id) = (Vec::new(), Vec::new());
        self.collect(id, &mut problems, &mut of_id);
        problems.iter().chain(&of_id).map(Problem::to_pair).collect()
    }

    /// Adds the problems of the connection called `id` to `problems`, and that of its webhook's id to
    /// `of_webhooks`.
    fn collect(&self, id: &str, problems: &mut Vec<Problem>, of_webhooks: &mut Vec<Problem>) {
        let Some(lazy) = self.connections.read.get(id) else { return };
        let connection = self.read_connection(id, lazy);
        problems.extend_from_slice(&connection.problems);
        if let Some(webhook) = self.read_webhook(id, lazy) {
            problems.extend_from_slice(&webhook.problems);
            of_webhooks.extend(webhook.of_id.clone());
        }
        problems.extend(connection.of_id.clone());
    }

    fn fields(&self, id: &str) -> Option<&Variables> {
        self.connections.tables.get(id)?.as_object()
    }

    fn read_connection<'c>(&'c self, id: &str, lazy: &'c LazyConnection) -> &'c Part<Rc<Connection>> {
        lazy.connection.get_or_init(|| {
            let (mut problems, path) = (Vec::new(), format!("{CONNECTIONS}.{id}"));
            let Some(fields) = self.fields(id) else {
                problems.push(Problem::new(path, NO_TABLE));
                self.report(id, &mut problems, None);
                return Part::new(None, problems, None);
            };
            let mut of_id = (owners(self.connections.tables.keys(), id) > 1).then(|| {
                let message = "must have another name: its secrets have the same names as another one's";
                Problem::new(path.clone(), message)
            });
            let mut reader = Reader::new(path, fields, &mut problems);
            let read = connection::read(id, &Secrets::new(&self.secrets, id), &mut reader, &self.callers);
            self.report(id, &mut problems, of_id.as_mut());
            Part::new(read, problems, of_id)
        })
    }

    /// The webhook of the connection called `id`, if it has one.
    fn read_webhook<'c>(&'c self, id: &str, lazy: &'c LazyConnection) -> Option<&'c Part<Rc<Webhook>>> {
        let fields = self.fields(id).filter(|fields| fields.contains_key(WEBHOOK))?;
        Some(lazy.webhook.get_or_init(|| {
            let (mut problems, path) = (Vec::new(), format!("{CONNECTIONS}.{id}"));
            let mut of_id = (owners(self.ids(), &format!("{id}_account")) > 0).then(|| {
                let message =
                    "must be a connection of another name: its account token is another one's token";
                Problem::new(format!("{path}.{WEBHOOK}"), message)
            });
            let mut reader = Reader::new(path, fields, &mut problems);
            let read = webhook::read(&mut reader, &Secrets::new(&self.secrets, id));
            self.report(id, &mut problems, of_id.as_mut());
            // Other secrets of the same names are the connection's problem.
            let read = read.filter(|_| owners(self.ids(), id) == 1);
            Part::new(read.map(Rc::new), problems, of_id)
        }))
    }

    /// Reports problems of the connection called `id`, and notes that they are its.
    fn report(&self, id: &str, problems: &mut [Problem], of_id: Option<&mut Problem>) {
        for problem in problems.iter_mut().chain(of_id) {
            problem.note_connection(id);
            (self.report)(problem);
        }
    }

    /// The fields of the template called `name`, if usable.
    pub(super) fn template(&self, name: &str) -> Option<&Variables> {
        let is_sound = self.template_problems(name)?.is_empty();
        self.templates.tables.get(name).filter(|_| is_sound)?.as_object()
    }

    fn template_problems(&self, name: &str) -> Option<&Vec<Problem>> {
        let Tables { tables, read } = &self.templates;
        Some(read.get(name)?.get_or_init(|| {
            let problems = connection_template::read(name, tables.get(name), &self.callers);
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
