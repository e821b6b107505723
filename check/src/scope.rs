//! The file's environments, and the settings that they inherit.

use serde_json::Value;
use toml::de::{DeTable, DeValue};

use crate::report::{Finding, Report};
use crate::tree::{Tree, position};
use porteiro::config::shown;

/// The whole file.
pub(crate) struct File<'t> {
    pub top: Scope<'t>,
    environments: Vec<Scope<'t>>,
}

/// The top level of the file or one of its environments.
pub(crate) struct Scope<'t> {
    /// The environment's name; `None` for the top level.
    pub name: Option<String>,
    /// All settings except the variables.
    pub settings: Tree,
    /// The variables; `None` if the file has no table of them.
    pub variables: Option<Tree>,
    text: &'t str,
    /// The offset of the scope.
    start: usize,
    variables_start: usize,
}

impl<'t> File<'t> {
    /// Reads the file's `text`, parsed as `root`.
    pub(crate) fn read(text: &'t str, root: &DeTable<'_>, report: &mut Report) -> Self {
        let top = Scope::read(text, None, 0, root, report);
        let mut environments = Vec::new();
        let none = DeTable::new();
        let tables = match root.get_key_value("env").map(|(key, value)| (key.span().start, value.get_ref())) {
            Some((_, DeValue::Table(tables))) => tables,
            Some((at, _)) => {
                report.problems.push(top.at(at, "env".to_owned(), "must be a table"));
                &none
            }
            None => &none,
        };
        for (key, value) in tables {
            let (name, at): (&str, usize) = (key.get_ref(), key.span().start);
            if let DeValue::Table(table) = value.get_ref() {
                environments.push(Scope::read(text, Some(name.to_owned()), at, table, report));
            } else {
                report.problems.push(top.at(at, format!("env.{}", shown(name)), "must be a table"));
            }
        }
        Self { top, environments }
    }

    /// The top level, followed by the environments.
    pub(crate) fn scopes(&self) -> impl Iterator<Item = &Scope<'t>> {
        std::iter::once(&self.top).chain(&self.environments)
    }
}

impl<'t> Scope<'t> {
    fn read(
        text: &'t str,
        name: Option<String>,
        start: usize,
        table: &DeTable<'_>,
        report: &mut Report,
    ) -> Self {
        let settings = Tree::read(table, &["vars", "env"]);
        let mut scope = Self { name, settings, variables: None, text, start, variables_start: start };
        for (field, message) in &scope.settings.refused {
            report.problems.push(scope.setting(field, *message));
        }
        if let Some((key, value)) = table.get_key_value("vars") {
            scope.variables_start = key.span().start;
            if let DeValue::Table(table) = value.get_ref() {
                scope.variables = Some(Tree::read(table, &[]));
            } else {
                scope.variables = Some(Tree::default());
                report.problems.push(scope.at(scope.variables_start, "vars".to_owned(), "must be a table"));
            }
        }
        scope
    }

    /// Whether `--env` with `name` selects this scope; the empty name selects the top level.
    pub(crate) fn is_called(&self, name: &str) -> bool {
        self.name.as_deref().unwrap_or_default() == name
    }

    /// The effective setting called `name`, and the scope that defines it: the environment itself,
    /// or else the `top` level, for settings that environments inherit.
    pub(crate) fn inherited<'s>(&'s self, top: &'s Self, name: &str) -> (&'s Self, Option<&'s Value>) {
        let owner = if self.settings.fields.contains_key(name) { self } else { top };
        (owner, owner.settings.fields.get(name))
    }

    /// The prefix of the scope's table names, such as `env.staging.`.
    pub(crate) fn prefix(&self) -> String {
        let is_bare = |name: &str| {
            !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
        };
        match &self.name {
            None => String::new(),
            Some(name) if is_bare(name) => format!("env.{name}."),
            Some(name) => format!("env.{}.", Value::from(name.as_str())),
        }
    }

    /// A finding about a setting.
    pub(crate) fn setting(&self, field: &str, message: impl Into<String>) -> Finding {
        self.at(self.settings.place(field).unwrap_or(self.start), field.to_owned(), message)
    }

    /// A finding about a variable or a field of one.
    pub(crate) fn variable(&self, field: &str, message: impl Into<String>) -> Finding {
        let place = self.variables.as_ref().and_then(|tree| tree.place(field));
        self.at(place.unwrap_or(self.variables_start), field.to_owned(), message)
    }

    fn at(&self, offset: usize, field: String, message: impl Into<String>) -> Finding {
        let (line, column) = position(self.text, offset);
        let environment = self.name.as_deref().map(shown);
        Finding { environment, line, column, field, message: message.into() }
    }
}
