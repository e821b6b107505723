//! Records and messages as JSON texts.

use std::time::Duration;

use serde_json::{Map, Number, Value};

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
        let mut out = String::new();
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
        out.push('"');
        let mut rest = self;
        while let Some(at) = rest.bytes().position(|byte| matches!(byte, b'"' | b'\\' | 0..b' ')) {
            let (plain, special) = rest.split_at(at);
            out.push_str(plain);
            let byte = special.bytes().next().unwrap_or_default();
            out.push('\\');
            match byte {
                b'"' | b'\\' => out.push(byte.into()),
                0x8 => out.push('b'),
                0xC => out.push('f'),
                b'\n' => out.push('n'),
                b'\r' => out.push('r'),
                b'\t' => out.push('t'),
                _ => {
                    out.push_str(if byte < 0x10 { "u000" } else { "u001" });
                    out.extend(char::from_digit(u32::from(byte % 0x10), 16));
                }
            }
            rest = special.get(1..).unwrap_or_default();
        }
        out.push_str(rest);
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

impl ToJson for Number {
    fn write_json(&self, out: &mut String) {
        if let Some(number) = self.as_u64() {
            number.write_json(out);
        } else if let Some(number) = self.as_i64() {
            out.push('-');
            number.unsigned_abs().write_json(out);
        } else {
            write_float(self.as_f64().unwrap_or_default(), out);
        }
    }
}

/// Writes the fewest digits that are read as the same float, as `serde_json` does.
fn write_float(number: f64, out: &mut String) {
    let text = format!("{:e}", number.abs());
    let (digits, exponent) = text.split_once('e').unwrap_or_default();
    let exponent: i32 = exponent.parse().unwrap_or_default();
    let digits = digits.replace('.', "");
    if number.is_sign_negative() {
        out.push('-');
    }
    match usize::try_from(exponent) {
        Ok(point @ 0..16) => {
            let (whole, rest) = digits.split_at_checked(point + 1).unwrap_or((&digits, ""));
            out.push_str(whole);
            out.extend(std::iter::repeat_n('0', point + 1 - whole.len()));
            out.push('.');
            out.push_str(if rest.is_empty() { "0" } else { rest });
        }
        Err(_) if exponent >= -5 => {
            out.push_str("0.");
            out.extend((exponent..-1).map(|_| '0'));
            out.push_str(&digits);
        }
        Ok(_) | Err(_) => {
            let sign = if exponent > 0 { "e+" } else { "e" };
            let (first, rest) = digits.split_at_checked(1).unwrap_or_default();
            let point = if rest.is_empty() { "" } else { "." };
            out.extend([first, point, rest, sign, &exponent.to_string()]);
        }
    }
}

impl ToJson for Value {
    fn write_json(&self, out: &mut String) {
        match self {
            Self::Null => out.push_str("null"),
            Self::Bool(value) => value.write_json(out),
            Self::Number(number) => number.write_json(out),
            Self::String(text) => text.write_json(out),
            Self::Array(items) => items.write_json(out),
            Self::Object(members) => members.write_json(out),
        }
    }
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

    #[track_caller]
    fn check(value: impl Into<Value>) {
        let value = value.into();
        assert_eq!(text(&value), serde_json::to_string(&value).unwrap());
    }

    #[test]
    fn writes_numbers_as_serde_json_does() {
        for exponent in -330..310 {
            for digits in ["1", "-1", "1.5", "1.234567890123456", "9.999999999999999", "12345678901234567"] {
                check(format!("{digits}e{exponent}").parse::<f64>().unwrap());
            }
        }
        for number in
            [0.0, -0.0, 0.1, 1.0, 100.0, 1e15, 1e16, 1e17, 1e-5, 1e-6, f64::MAX, f64::MIN_POSITIVE, 5e-324]
        {
            check(number);
        }
        for number in [0, 1, -1, i64::MAX, i64::MIN] {
            check(number);
        }
        check(u64::MAX);
    }

    #[test]
    fn writes_texts_as_serde_json_does() {
        for code in 0..0x500_u32 {
            check(format!("a{}b", char::from_u32(code).unwrap()));
        }
        for value in ["", "\"", "\\", "\u{2028}😀", "a\n\n\"b\\"] {
            check(value);
        }
    }

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
