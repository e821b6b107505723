//! A table of the file as JSON, with the position of each field.

use std::collections::BTreeMap;

use porteiro::config::shown;
use serde_json::{Map, Number, Value};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The largest whole number that JavaScript holds exactly.
const MAX_SAFE: i64 = (1 << 53) - 1;

/// A table as wrangler reads it.
#[derive(Default)]
pub(crate) struct Tree {
    pub fields: Map<String, Value>,
    /// The fields that wrangler refuses, with the reason.
    pub refused: Vec<(String, &'static str)>,
    /// The byte offset of each field and item, by its name as in
    /// [`porteiro::config::Problem::field`].
    places: BTreeMap<String, usize>,
}

impl Tree {
    /// Reads `table` except the fields in `without`.
    pub(crate) fn read(table: &DeTable<'_>, without: &[&str]) -> Self {
        let mut tree = Self::default();
        for (key, value) in table {
            let name: &str = key.get_ref();
            if !without.contains(&name) {
                let value = tree.read_field(shown(name), key.span().start, value);
                tree.fields.insert(name.to_owned(), value);
            }
        }
        tree
    }

    fn read_field(&mut self, path: String, at: usize, value: &Spanned<DeValue<'_>>) -> Value {
        let read = self.read_value(&path, value.get_ref());
        self.places.entry(path).or_insert(at);
        read
    }

    fn read_value(&mut self, path: &str, value: &DeValue<'_>) -> Value {
        match value {
            DeValue::String(text) => Value::String(text.to_string()),
            DeValue::Boolean(answer) => Value::Bool(*answer),
            DeValue::Integer(number) => {
                let number = i64::from_str_radix(number.as_str(), number.radix()).ok();
                let number = number.filter(|number| (-MAX_SAFE..=MAX_SAFE).contains(number));
                if number.is_none() {
                    self.refuse(
                        path,
                        "is a number that wrangler does not read: write a smaller one, or a text",
                    );
                }
                number.map_or(Value::Null, Value::from)
            }
            DeValue::Float(number) => read_float(number.as_str()),
            DeValue::Datetime(date) => {
                self.refuse(path, "is a date, which wrangler does not take: write it as a text, in quotes");
                Value::String(date.to_string())
            }
            DeValue::Array(items) => {
                let items = items.iter().enumerate();
                Value::Array(
                    items
                        .map(|(at, item)| self.read_field(format!("{path}[{at}]"), item.span().start, item))
                        .collect(),
                )
            }
            DeValue::Table(fields) => {
                let mut table = Map::new();
                for (key, value) in fields {
                    let name: &str = key.get_ref();
                    let value = self.read_field(format!("{path}.{}", shown(name)), key.span().start, value);
                    table.insert(name.to_owned(), value);
                }
                Value::Object(table)
            }
        }
    }

    fn refuse(&mut self, path: &str, message: &'static str) {
        self.refused.push((path.to_owned(), message));
    }

    /// The offset of the field, or of its closest existing parent; `None` if that is this table.
    pub(crate) fn place(&self, field: &str) -> Option<usize> {
        let mut field = field;
        loop {
            if let Some(at) = self.places.get(field) {
                return Some(*at);
            }
            field = field.get(..field.rfind(['.', '['])?)?;
        }
    }
}

/// A number with a fraction: wrangler reads `1.0` as 1, and numbers that JSON cannot express as
/// null.
fn read_float(text: &str) -> Value {
    let Some(number) = text.parse::<f64>().ok().and_then(Number::from_f64) else { return Value::Null };
    let whole = number.to_string().strip_suffix(".0").and_then(|whole| whole.parse::<i64>().ok());
    whole.map_or(Value::Number(number), Value::from)
}

/// The line, and the character in the line, of the byte at `offset`; both count from 1.
pub(crate) fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let start = before.rfind('\n').map_or(0, |end| end + 1);
    let column = before.get(start..).map_or(0, |line| line.chars().count());
    (before.matches('\n').count() + 1, column + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Tree {
        Tree::read(DeTable::parse(text).unwrap().get_ref(), &[])
    }

    #[test]
    fn reads_values_as_wrangler_does() {
        let tree =
            read("a = 1\nb = 1.0\nc = 0.5\nd = nan\ne = 0x1F\nf = 1_000\ng = [true, 'x']\nh.i = -0.0\n");
        let json = Value::Object(tree.fields).to_string();
        assert_eq!(json, r#"{"a":1,"b":1,"c":0.5,"d":null,"e":31,"f":1000,"g":[true,"x"],"h":{"i":0}}"#);
        assert!(tree.refused.is_empty());
        let tree = read("a = 9007199254740992\nb = [2026-01-01]\nc = 99999999999999999999\n");
        let refused: Vec<&str> = tree.refused.iter().map(|(field, _)| field.as_str()).collect();
        assert_eq!(refused, ["a", "b[0]", "c"]);
    }

    #[test]
    fn tells_where_a_missing_field_would_stand() {
        let tree = read("[a]\n'b.c' = [1,\n 2]\n");
        assert_eq!(tree.place("a.b.c[1]"), Some(17));
        assert_eq!(tree.place("a.b.c[2]"), tree.place("a.b.c"));
        assert_eq!(tree.place("a.x"), Some(1));
        assert_eq!(tree.place("x"), None);
    }

    #[test]
    fn counts_lines_and_characters() {
        let text = "a\né = 1\r\n\nb";
        for (offset, expected) in
            [(0, (1, 1)), (2, (2, 1)), (4, (2, 2)), (10, (3, 1)), (11, (4, 1)), (99, (4, 2))]
        {
            assert_eq!(position(text, offset), expected, "{offset}");
        }
    }
}
