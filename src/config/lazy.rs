//! Connections, webhooks and templates, each read when it is first asked for.
//!
//! A cold isolate takes 50 µs to read a connection, and its first call needs one of them. The ids alone are
//! known from the start. No part depends on what was read of another one, so the order in which they are
//! asked for changes nothing.

use std::rc::Rc;

use super::reader::Reader;
use super::secrets::{Secrets, owners, value};
use super::tables::{CONNECTIONS, LazyTable, NO_TABLE, Part, SHARED_SECRETS, TEMPLATES, wrong_id};
use super::webhook::{self, WEBHOOK};
use super::{
    Config, Configured, Connection, EVENTS, Grant, Problem, Variables, Webhook, authorization, connection,
    connection_template,
};

/// What reads another connection, by its id and its table.
type Other<'c> = dyn Fn(&str, &LazyTable) -> Option<Rc<Connection>> + 'c;

impl Config {
    /// The ids of the configured connections, in order.
    pub fn ids(&self) -> impl Iterator<Item = &String> {
        self.connections.tables.keys()
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
        for id in self.connections.names() {
            problems.extend(wrong_id(CONNECTIONS, id));
            self.collect(id, &mut problems, &mut of_webhooks);
        }
        problems.append(&mut of_webhooks);
        for name in self.templates.names() {
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

    /// The problems of the operator's events: each field with its message.
    #[must_use]
    pub fn problems_of_events(&self) -> Vec<(String, String)> {
        let of_events = self.problems_behind.iter().filter(|problem| problem.field().starts_with(EVENTS));
        of_events.map(Problem::to_pair).collect()
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

    fn read_connection<'c>(&'c self, id: &str, table: &'c LazyTable) -> &'c Part<Rc<Connection>> {
        table.connection.get_or_init(|| {
            let fields = table.fields();
            let is_shared = fields.is_some() && owners(&mut self.ids(), id) > 1;
            let reserved = authorization::is_reserved(id).then_some(authorization::RESERVED_NAME);
            let wrong_name = reserved.or(is_shared.then_some(SHARED_SECRETS));
            let of_id = wrong_name.map(|message| Problem::new(format!("{CONNECTIONS}.{id}"), message));
            let mut connection = None;
            let mut read = |secrets: &Secrets<'_>, reader: &mut Reader<'_, '_>| {
                connection = connection::read(id, secrets, reader, &self.callers);
                let own = connection.as_deref();
                if let Some(message) =
                    own.and_then(|own| self.conflict(own, &|id, table| self.peek(id, table)))
                {
                    reader.report(authorization::CALLBACK, message);
                    connection = None;
                }
            };
            let (problems, of_id) = self.read_part(id, fields, of_id, &mut read);
            Part::new(connection, problems, of_id)
        })
    }

    /// Why `own` cannot have its callback, if another configured connection has the same and is unlike
    /// it. Only those are read whose fields say so, by `read`.
    fn conflict(&self, own: &Connection, read: &Other<'_>) -> Option<&'static str> {
        let Grant::AuthorizationCode { authorization, .. } = &own.grant else { return None };
        let mut others = self.connections.of_callback(&own.id, &authorization.callback);
        others.find_map(|(id, table)| authorization::conflict(own, &*read(id, table)?))
    }

    /// Reads the connection called `id` for another one, without telling its problems: which of them is
    /// asked for first changes nothing.
    fn peek(&self, id: &str, table: &LazyTable) -> Option<Rc<Connection>> {
        let mut problems = Vec::new();
        let variables = |name: &str| value(&self.variables, name);
        let mut reader = Reader::new(String::new(), table.fields()?, &mut problems);
        connection::read(id, &Secrets::new(&variables, id), &mut reader, &self.callers)
    }

    /// Why the registered connection `own` cannot have its callback, if a configured one has the same and
    /// is unlike it.
    pub(super) fn conflict_of_registered(&self, own: &Connection) -> Option<&'static str> {
        self.conflict(own, &|id, table| self.read_connection(id, table).read.usable().cloned())
    }

    /// The webhook of the connection called `id`, if it has one.
    fn read_webhook<'c>(&'c self, id: &str, table: &'c LazyTable) -> Option<&'c Part<Rc<Webhook>>> {
        let read = || {
            let fields = table.fields().filter(|fields| fields.contains_key(WEBHOOK))?;
            let is_others = owners(&mut self.ids(), &format!("{id}_account")) > 0;
            let of_id = is_others.then(|| {
                let message =
                    "must be a connection of another name: its account token is another one's token";
                Problem::new(format!("{CONNECTIONS}.{id}.{WEBHOOK}"), message)
            });
            let mut webhook = None;
            let mut read = |secrets: &Secrets<'_>, reader: &mut Reader<'_, '_>| {
                webhook = webhook::read(reader, secrets).map(Rc::new);
            };
            let (problems, of_id) = self.read_part(id, Some(fields), of_id, &mut read);
            // Other secrets of the same names are the connection's problem.
            let webhook = webhook.filter(|_| owners(&mut self.ids(), id) == 1);
            Some(Part::new(webhook, problems, of_id))
        };
        table.webhook.get_or_init(read).as_ref()
    }

    /// Lets `read` read a part of the connection called `id`. Returns the problems of that and `of_id`, both
    /// noted as the connection's and reported.
    fn read_part(
        &self,
        id: &str,
        fields: Option<&Variables>,
        mut of_id: Option<Problem>,
        read: &mut dyn FnMut(&Secrets<'_>, &mut Reader<'_, '_>),
    ) -> (Vec<Problem>, Option<Problem>) {
        let mut problems = Vec::new();
        let path = format!("{CONNECTIONS}.{id}");
        match fields {
            Some(fields) => {
                let variables = |name: &str| value(&self.variables, name);
                read(&Secrets::new(&variables, id), &mut Reader::new(path, fields, &mut problems));
            }
            None => problems.push(Problem::new(path, NO_TABLE)),
        }
        for problem in problems.iter_mut().chain(&mut of_id) {
            problem.note_connection(id);
            (self.report)(problem);
        }
        (problems, of_id)
    }

    /// Reports the problems of what is read at once.
    pub(super) fn report_general(&self) {
        self.problems_before.iter().for_each(&self.report);
        for (name, tables) in [(CONNECTIONS, &self.connections), (TEMPLATES, &self.templates)] {
            tables
                .wrong
                .iter()
                .filter_map(|id| wrong_id(name, id))
                .for_each(|problem| (self.report)(&problem));
        }
        self.problems_behind.iter().for_each(&self.report);
    }

    /// The fields of the template called `name`, if usable.
    pub(super) fn template(&self, name: &str) -> Option<&Variables> {
        let is_sound = self.template_problems(name)?.is_empty();
        self.templates.find(name).filter(|_| is_sound)?.1.fields()
    }

    fn template_problems(&self, name: &str) -> Option<&Vec<Problem>> {
        let (name, table) = self.templates.find(name)?;
        Some(table.template.get_or_init(|| {
            let problems = connection_template::read(name, table.fields(), &self.callers);
            problems.iter().for_each(&self.report);
            problems
        }))
    }
}
