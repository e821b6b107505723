//! Records and messages as JSON texts.

use std::time::Duration;

use serde::Serialize;
use serde_json::{Map, Value};

/// What can be written as JSON.
pub trait ToJson {
    /// Appends the value to `out`.
    fn write_json(&self, out: &mut String);
}

/// `value` as a JSON text.
#[must_use]
pub fn text(value: &dyn ToJson) -> String {
    let mut out = String::new();
    value.write_json(&mut out);
    out
}

/// An object of these members, in this order.
#[allow(missing_debug_implementations, reason = "the members have no Debug")]
pub struct Members<'a>(pub &'a [(&'a str, &'a dyn ToJson)]);

impl Members<'_> {
    /// The object as a text, without the members that are null or false.
    #[must_use]
    pub fn lean_text(&self) -> String {
        let mut out = String::with_capacity(512);
        write_members(self.0, true, &mut out);
        out
    }
}

impl ToJson for Members<'_> {
    fn write_json(&self, out: &mut String) {
        write_members(self.0, false, out);
    }
}

fn write_members(members: &[(&str, &dyn ToJson)], is_lean: bool, out: &mut String) {
    out.push('{');
    let begin = out.len();
    for (name, value) in members {
        let before = out.len();
        write_name(name, before > begin, out);
        value.write_json(out);
        // No text ends like this: it ends with a quotation mark.
        if is_lean && (out.ends_with(":null") || out.ends_with(":false")) {
            out.truncate(before);
        }
    }
    out.push('}');
}

fn write_name(name: &str, is_later: bool, out: &mut String) {
    if is_later {
        out.push(',');
    }
    name.write_json(out);
    out.push(':');
}

fn write_items<'a>(items: impl Iterator<Item = &'a dyn ToJson>, out: &mut String) {
    out.push('[');
    for (at, item) in items.enumerate() {
        if at > 0 {
            out.push(',');
        }
        item.write_json(out);
    }
    out.push(']');
}

impl ToJson for str {
    fn write_json(&self, out: &mut String) {
        // Most texts need no escapes (RFC 8259 §7), and each name and value of a log line is one.
        if self.bytes().any(|b| b < b' ' || matches!(b, b'"' | b'\\')) {
            return push(self, out);
        }
        out.push('"');
        out.push_str(self);
        out.push('"');
    }
}

impl ToJson for String {
    fn write_json(&self, out: &mut String) {
        self.as_str().write_json(out);
    }
}

impl ToJson for bool {
    fn write_json(&self, out: &mut String) {
        out.push_str(if *self { "true" } else { "false" });
    }
}

impl ToJson for u64 {
    fn write_json(&self, out: &mut String) {
        out.push_str(&self.to_string());
    }
}

impl ToJson for usize {
    fn write_json(&self, out: &mut String) {
        (*self as u64).write_json(out);
    }
}

impl ToJson for u32 {
    fn write_json(&self, out: &mut String) {
        u64::from(*self).write_json(out);
    }
}

impl ToJson for u16 {
    fn write_json(&self, out: &mut String) {
        u64::from(*self).write_json(out);
    }
}

impl ToJson for u8 {
    fn write_json(&self, out: &mut String) {
        u64::from(*self).write_json(out);
    }
}

impl<T: ToJson + ?Sized> ToJson for &T {
    fn write_json(&self, out: &mut String) {
        (**self).write_json(out);
    }
}

impl<T: ToJson> ToJson for Option<T> {
    fn write_json(&self, out: &mut String) {
        match self {
            Some(value) => value.write_json(out),
            None => out.push_str("null"),
        }
    }
}

impl<T: ToJson> ToJson for [T] {
    fn write_json(&self, out: &mut String) {
        write_items(self.iter().map(|item| item as &dyn ToJson), out);
    }
}

impl<T: ToJson> ToJson for Vec<T> {
    fn write_json(&self, out: &mut String) {
        self.as_slice().write_json(out);
    }
}

impl<A: ToJson, B: ToJson> ToJson for (A, B) {
    fn write_json(&self, out: &mut String) {
        write_items([&self.0 as &dyn ToJson, &self.1].into_iter(), out);
    }
}

impl ToJson for Duration {
    fn write_json(&self, out: &mut String) {
        Members(&[("secs", &self.as_secs()), ("nanos", &self.subsec_nanos())]).write_json(out);
    }
}

impl ToJson for Map<String, Value> {
    fn write_json(&self, out: &mut String) {
        out.push('{');
        for (at, (name, value)) in self.iter().enumerate() {
            write_name(name, at > 0, out);
            value.write_json(out);
        }
        out.push('}');
    }
}

impl ToJson for Value {
    fn write_json(&self, out: &mut String) {
        push(self, out);
    }
}

/// Appends what `serde_json` writes, which cannot fail: nothing here has keys that are no texts.
fn push<T: Serialize + ?Sized>(value: &T, out: &mut String) {
    out.push_str(&serde_json::to_string(value).unwrap_or_default());
}

/// Writes the object whose only member is the value called `name`.
#[inline(never)]
pub(crate) fn write_tagged(name: &str, value: &dyn ToJson, out: &mut String) {
    Members(&[(name, value)]).write_json(out);
}

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod tests {
    use super::*;

    #[test]
    fn leaves_out_what_is_null_or_false() {
        let (none, members) = (None::<bool>, Members(&[("no", &false)]));
        let line = Members(&[
            ("a", &none),
            ("b", &":null"),
            ("c", &false),
            ("d", &":false"),
            ("e", &members),
            ("f", &true),
            ("g", &none),
        ]);
        assert_eq!(line.lean_text(), r#"{"b":":null","d":":false","e":{"no":false},"f":true}"#);
        assert_eq!(Members(&[("a", &none)]).lean_text(), "{}");
        assert_eq!(
            text(&line),
            r#"{"a":null,"b":":null","c":false,"d":":false","e":{"no":false},"f":true,"g":null}"#
        );
    }
}
