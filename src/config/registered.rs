//! Reading registered connections.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::caller::ANYONE;
use super::problem::Problem;
use super::reader::Reader;
use super::secrets::{Secrets, is_id};
use super::{Config, Configured, Connection, Variables, Webhook, connection};
use crate::secret::Fingerprint;

/// The secrets of a connection, by their names in a registration.
const SECRETS: [&str; 9] = [
    "client_id",
    "client_secret",
    "username",
    "password",
    "token",
    "refresh_token",
    "audience",
    "account_token",
    "webhook_secret",
];

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
    /// prefix. Unlike a configured connection, it is refused for any problem, since the operator
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
        let mut problems = Vec::new();
        let mut variables = Variables::new();
        let own = Secrets::new(&Variables::new(), id).variable("");
        for (name, value) in secrets {
            if SECRETS.contains(&name.as_str()) {
                variables.insert(format!("{own}{}", name.to_ascii_uppercase()), value.clone());
            } else {
                problems.push(Problem::new(
                    format!("secrets.{}", super::problem::shown(name)),
                    "is not a known secret",
                ));
            }
        }
        let mut callers = self.callers.clone();
        let mut webhooks = BTreeMap::new();
        let path = "connection";
        let mut reader = Reader::new(path.to_owned(), fields, &mut problems);
        if fields.get("subject").is_some_and(|subject| subject == "user") {
            reader.report("subject", "must be service: people sign in to configured connections only");
        }
        let read =
            connection::read(id, &Secrets::new(&variables, id), &mut reader, &mut callers, &mut webhooks);
        // Calls are checked only against callers of the configuration.
        if callers.keys().any(|name| name != ANYONE && !self.callers.contains_key(name)) {
            reader.report(
                "rules",
                "must name callers of the configuration: session, too, stands in CALLERS there",
            );
        }
        match (read, problems.is_empty()) {
            (Some(mut connection), true) => {
                // A token is sent only to the address that it was obtained for.
                if let Some(own) = Rc::get_mut(&mut connection) {
                    own.identity = Fingerprint::of(&[&own.identity.to_hex(), own.base_url.as_base()]);
                }
                Ok(Registered { connection, webhook: webhooks.remove(id).and_then(Configured::into_usable) })
            }
            _ => Err(problems.into_iter().map(|problem| problem.within(path, &own)).collect()),
        }
    }
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
