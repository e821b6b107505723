//! Reading a connection that is registered at run time.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::caller::ANYONE;
use super::problem::Problem;
use super::reader::Reader;
use super::secrets::{Secrets, is_id};
use super::{Config, Connection, Variables, Webhook, connection};
use crate::secret::Fingerprint;

/// The secrets that a connection can have, as a registration names them.
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

/// What to write in the place of a name that no connection can have.
pub const WRONG_ID: &str = "must have 1 to 64 letters, digits, - and _ and begin with a letter or digit";

/// A connection that was registered at run time.
#[derive(Clone, Debug)]
pub struct Registered {
    /// The connection.
    pub connection: Rc<Connection>,
    /// How its webhooks come in, where they do.
    pub webhook: Option<Rc<Webhook>>,
}

impl Config {
    /// Reads a connection that is registered as `id`: the `fields` are those of
    /// a configured one, and `secrets` holds its secrets by the names of their
    /// variables, in lower case and without the connection's. It is wrong where
    /// any of it is: there is somebody to be told at once.
    ///
    /// # Errors
    /// Every problem, by the field, or as `secrets.password`.
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
        // The configuration's callers are those that calls are checked against.
        if callers.keys().any(|name| name != ANYONE && !self.callers.contains_key(name)) {
            reader.report(
                "rules",
                "must name callers of the configuration: session, too, stands in CALLERS there",
            );
        }
        match (read, problems.is_empty()) {
            (Some(mut connection), true) => {
                // A token goes to the address only that it was obtained for.
                if let Some(own) = Rc::get_mut(&mut connection) {
                    own.identity = Fingerprint::of(&[&own.identity.to_hex(), own.base_url.as_base()]);
                }
                Ok(Registered { connection, webhook: webhooks.remove(id).flatten() })
            }
            _ => Err(problems.into_iter().map(|problem| problem.within(path, &own)).collect()),
        }
    }
}

impl Problem {
    /// The same where the fields of `path` are all that there is, and the
    /// variables that begin with `own` are its secrets.
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
