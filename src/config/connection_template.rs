//! Templates of registered connections: fields that many connections share.

use std::fmt;

use serde_json::Value;

use super::reader::Reader;
use super::registered::{is_own_problem, read_fields};
use super::secrets::is_id;
use super::{Callers, Configured, Entries, Problem, Variables};

/// The name of the variable.
pub(super) const TEMPLATES: &str = "TEMPLATES";

/// The templates of registered connections, by name.
#[derive(Default)]
pub struct ConnectionTemplates(Entries<Configured<Variables>>);

impl ConnectionTemplates {
    /// The fields of the template called `name`, if usable.
    pub(super) fn find(&self, name: &str) -> Option<&Variables> {
        self.0.get(name)?.usable()
    }
}

// The fields may hold identifiers that are kept out of texts.
impl fmt::Debug for ConnectionTemplates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// Reads the templates in `tables`. What a connection has to add, a missing field, a secret or a
/// label, is no problem of its template.
pub(super) fn read(tables: &Value, callers: &Callers, problems: &mut Vec<Problem>) -> ConnectionTemplates {
    let mut templates = ConnectionTemplates::default();
    let Some(tables) = tables.as_object() else {
        problems.push(Problem::new(TEMPLATES.to_owned(), "must be a table"));
        return templates;
    };
    let mut reader = Reader::new(TEMPLATES.to_owned(), tables, problems);
    for name in reader.names() {
        if !is_id(name) {
            reader.report(
                name,
                "must have a name of 1 to 64 letters, digits, - and _ that begins with a letter or digit",
            );
            continue;
        }
        let fields = reader.table(name).and(tables.get(name)).and_then(Value::as_object);
        let template = fields.and_then(|fields| {
            let path = format!("{TEMPLATES}.{name}");
            let mut found = Vec::new();
            read_fields(name, &path, fields, &Variables::new(), callers, &mut found);
            found.retain(|problem| is_own_problem(problem, &path, fields));
            if fields.contains_key("labels") {
                let message = "must stand in each connection: labels are its own";
                found.push(Problem::new(format!("{path}.labels"), message));
            }
            let is_sound = found.is_empty();
            reader.report_all(found);
            is_sound.then(|| fields.clone())
        });
        templates.0.insert(name.to_owned(), template.into());
    }
    templates
}
