//! Reading one table field by field, past every problem.
//!
//! Every method reports a wrong value and continues as if the field were absent. To learn whether a
//! table is valid, compare [`Reader::count`] before and after reading it.

use serde_json::Value;

use super::Variables;
use super::limits::Bounds;
use super::problem::{Problem, shown};

/// What parses a text of the configuration.
///
/// # Errors
/// The problem, and what to write instead.
pub(super) type Parse<'a, T> = &'a dyn Fn(&str) -> Result<T, &'static str>;

/// One table of the configuration, with its path, and the defaults of its absent fields.
pub(super) struct Reader<'c, 'p> {
    path: String,
    fields: &'c Variables,
    defaults: Option<&'c Variables>,
    problems: &'p mut Vec<Problem>,
}

impl<'c, 'p> Reader<'c, 'p> {
    /// A reader of the table `fields` at `path`, which adds to `problems`.
    pub(super) const fn new(path: String, fields: &'c Variables, problems: &'p mut Vec<Problem>) -> Self {
        Self { path, fields, defaults: None, problems }
    }

    /// A reader of the same table, in which `defaults` stand for absent fields, and for those of
    /// tables in it.
    pub(super) fn with_defaults<'d>(&mut self, defaults: &'d Variables) -> Reader<'d, '_>
    where
        'c: 'd,
    {
        let Self { path, fields, problems, .. } = self;
        Reader { path: path.clone(), fields, defaults: Some(defaults), problems }
    }

    /// The number of problems so far in the whole configuration.
    pub(super) const fn count(&self) -> usize {
        self.problems.len()
    }

    /// Reports a problem of the table itself.
    pub(super) fn report_table(&mut self, message: &'static str) {
        self.problems.push(Problem::new(self.path.clone(), message));
    }

    /// Reports a problem of the field called `name`.
    pub(super) fn report(&mut self, name: &str, message: &'static str) {
        self.report_variable(format!("{}.{}", self.path, shown(name)), message);
    }

    /// Reports a problem of a variable or secret of the Worker.
    pub(super) fn report_variable(&mut self, variable: String, message: &'static str) {
        self.report_once(Problem::new(variable, message));
    }

    /// Reports a problem unless it is known: a secret may be read at several places.
    fn report_once(&mut self, problem: Problem) {
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }

    /// Reports a missing secret, once however often it is asked for.
    pub(super) fn report_missing_secret(&mut self, variable: String, message: &'static str) {
        self.report_once(Problem::missing_secret(variable, message));
    }

    fn report_item(&mut self, name: &str, at: usize, message: &'static str) {
        self.report_variable(format!("{}.{name}[{at}]", self.path), message);
    }

    /// Whether the field is present or has a default, valid or not.
    pub(super) fn has(&self, name: &str) -> bool {
        self.value(name).is_some()
    }

    /// Whether the field itself is present, valid or not.
    pub(super) fn has_own(&self, name: &str) -> bool {
        self.fields.contains_key(name)
    }

    /// The names of the fields that are present.
    pub(super) fn own_names(&self) -> impl Iterator<Item = &'c str> + use<'c> {
        self.fields.keys().map(String::as_str)
    }

    /// The names of all fields, those that are present first.
    pub(super) fn names(&self) -> impl Iterator<Item = &'c str> + use<'c> {
        let fields = self.fields;
        let defaults = self.defaults.into_iter().flat_map(Variables::keys);
        self.own_names().chain(defaults.map(String::as_str).filter(|name| !fields.contains_key(*name)))
    }

    /// Reports every field that is not one of `known`.
    pub(super) fn only(&mut self, known: &[&str]) {
        for name in self.own_names().filter(|name| !known.contains(name)) {
            self.report(name, "is not a known field");
        }
    }

    /// The field called `name`, of any type.
    pub(super) fn value(&self, name: &str) -> Option<&'c Value> {
        self.fields.get(name).or_else(|| self.default(name))
    }

    /// The defaults of absent fields.
    pub(super) const fn defaults(&self) -> Option<&'c Variables> {
        self.defaults
    }

    /// The default of the field called `name`.
    pub(super) fn default(&self, name: &str) -> Option<&'c Value> {
        self.defaults?.get(name)
    }

    /// A text.
    pub(super) fn text(&mut self, name: &str) -> Option<&'c str> {
        let text = self.value(name)?.as_str();
        if text.is_none() {
            self.report(name, "must be a text");
        }
        text
    }

    /// A text, parsed by `parse`.
    // Each type has one copy, where each field would have its own: the first call of an isolate compiles
    // what it runs.
    #[inline(never)]
    pub(super) fn parse<T>(&mut self, name: &str, parse: Parse<'_, T>) -> Option<T> {
        match parse(self.text(name)?) {
            Ok(value) => Some(value),
            Err(message) => {
                self.report(name, message);
                None
            }
        }
    }

    /// One of the words in `choices`.
    #[inline(never)]
    pub(super) fn choice<T: Copy>(
        &mut self,
        name: &str,
        choices: &[(&str, T)],
        message: &'static str,
    ) -> Option<T> {
        let word = self.value(name)?.as_str();
        let choice = choices.iter().find(|(name, _)| Some(*name) == word).map(|(_, value)| *value);
        if choice.is_none() {
            self.report(name, message);
        }
        choice
    }

    /// True or false; false where the field is absent.
    pub(super) fn flag(&mut self, name: &str) -> bool {
        let Some(value) = self.value(name) else { return false };
        value.as_bool().unwrap_or_else(|| {
            self.report(name, "must be true or false");
            false
        })
    }

    /// A whole number within `bounds`; their default where the field is absent.
    pub(super) fn number(&mut self, name: &str, bounds: &Bounds) -> u64 {
        let Some(value) = self.value(name) else { return bounds.default };
        match value.as_u64() {
            Some(number) if (bounds.least..=bounds.most).contains(&number) => number,
            _ => {
                self.report(name, bounds.what);
                bounds.default
            }
        }
    }

    /// The same, of a field that must be there.
    pub(super) fn needed_number(&mut self, name: &str, bounds: &Bounds) -> u64 {
        if !self.has(name) {
            self.report(name, bounds.what);
        }
        self.number(name, bounds)
    }

    /// An array; an absent or empty one counts as wrong where it is `required`.
    pub(super) fn array(&mut self, name: &str, required: bool, message: &'static str) -> &'c [Value] {
        let items = match self.value(name) {
            None => Some([].as_slice()),
            Some(value) => value.as_array().map(Vec::as_slice),
        };
        match items {
            Some(items) if !(required && items.is_empty()) => items,
            _ => {
                self.report(name, message);
                &[]
            }
        }
    }

    /// An array, as [`Reader::array`], of texts parsed by `parse`.
    #[inline(never)]
    pub(super) fn list<T>(
        &mut self,
        name: &str,
        required: bool,
        message: &'static str,
        parse: Parse<'_, T>,
    ) -> Vec<T> {
        let mut list = Vec::new();
        for (at, item) in self.array(name, required, message).iter().enumerate() {
            match item.as_str().ok_or("must be a text").and_then(parse) {
                Ok(value) => list.push(value),
                Err(message) => self.report_item(name, at, message),
            }
        }
        list
    }

    /// The table in the field called `name`.
    pub(super) fn table(&mut self, name: &str) -> Option<Reader<'c, '_>> {
        let Some(fields) = self.value(name)?.as_object() else {
            self.report(name, "must be a table");
            return None;
        };
        let defaults = self.default(name).and_then(Value::as_object);
        Some(Reader { path: format!("{}.{name}", self.path), fields, defaults, problems: self.problems })
    }

    /// The table that is the item number `at` of the array called `name`.
    pub(super) fn item(
        &mut self,
        name: &str,
        at: usize,
        item: &'c Value,
        message: &'static str,
    ) -> Option<Reader<'c, '_>> {
        let Some(fields) = item.as_object() else {
            self.report_item(name, at, message);
            return None;
        };
        Some(Reader::new(format!("{}.{name}[{at}]", self.path), fields, self.problems))
    }
}
