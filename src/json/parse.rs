//! JSON texts with and without duplicate members (RFC 8259 §4, RFC 7515 §4).

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// The text is not JSON, or has an object with two members of one name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NotJson;

/// Reads one JSON text. Objects with duplicate members are refused at any depth: parsers differ in
/// which member they return (RFC 7515 §4).
///
/// # Errors
/// [`NotJson`], also for trailing characters and for too deep nesting.
pub fn parse(bytes: &[u8]) -> Result<Value, NotJson> {
    let is_doubled = Cell::new(false);
    let value = read(bytes, ValueSeed { is_doubled: &is_doubled })?;
    if is_doubled.get() { Err(NotJson) } else { Ok(value) }
}

/// Reads one JSON text; of duplicate members the last one counts.
///
/// # Errors
/// As [`parse`].
pub fn parse_last(bytes: &[u8]) -> Result<Value, NotJson> {
    read(bytes, ValueSeed { is_doubled: &Cell::new(false) })
}

/// The text without a leading byte order mark, which a parser may ignore (RFC 8259 §8.1). Not for
/// texts that are signed or compared byte by byte.
#[must_use]
pub fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes)
}

fn read(bytes: &[u8], seed: ValueSeed<'_>) -> Result<Value, NotJson> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = seed.deserialize(&mut deserializer).map_err(|_| NotJson)?;
    deserializer.end().map_err(|_| NotJson)?;
    Ok(value)
}

/// Makes a value, in which the last of duplicate members counts, and notes that there were some.
#[derive(Clone, Copy)]
struct ValueSeed<'a> {
    is_doubled: &'a Cell<bool>,
}

impl<'de> DeserializeSeed<'de> for ValueSeed<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ValueSeed<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        // The parser itself refuses a number that is out of range.
        Ok(Value::from(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut array = Vec::new();
        while let Some(item) = items.next_element_seed(self)? {
            array.push(item);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            let value = members.next_value_seed(self)?;
            if object.insert(name, value).is_some() {
                self.is_doubled.set(true);
            }
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod tests {
    use super::*;

    #[test]
    fn reads_what_serde_json_reads() {
        for text in [
            "null",
            " true\r\n\t",
            "0",
            "-1",
            "18446744073709551615",
            "-9223372036854775808",
            "1.5e3",
            "-0",
            "123456789012345678901234567890",
            r#""""#,
            r#""\u0061\ud83d\ude00\n\u0000""#,
            "[]",
            "{}",
            r#"[1,[2,{"a":[3]}],null]"#,
            r#"{"a":{"a":{"a":1}},"A":2,"":3,"\u00e1":4,"a\u0301":5}"#,
            r#"[{"a":1},{"a":1}]"#,
            r#"{"__proto__":1,"$serde_json::private::Number":"1"}"#,
        ] {
            assert_eq!(parse(text.as_bytes()), Ok(serde_json::from_str(text).unwrap()), "{text}");
        }
    }

    #[test]
    fn refuses_a_member_that_comes_twice() {
        for text in [
            r#"{"a":1,"a":2}"#,
            r#"{"a":1,"b":2,"a":1}"#,
            r#"{"a":null,"a":null}"#,
            r#"{"a":1,"\u0061":2}"#,
            r#"{"\u0061lg":"RS256","a\u006Cg":"none"}"#,
            r#"{"/":1,"\/":2}"#,
            r#"{"😀":1,"\ud83d\ude00":2}"#,
            r#"{"":1,"":2}"#,
            r#"[[{"x":[{"a":1,"a":2}]}]]"#,
            r#"{"x":{"y":{"a":1,"a":2}}}"#,
            r#"{"a":{"b":1,"b":2},"c":3}"#,
        ] {
            assert!(serde_json::from_str::<Value>(text).is_ok(), "{text}");
            assert_eq!(parse(text.as_bytes()), Err(NotJson), "{text}");
        }
    }

    #[test]
    fn refuses_what_follows_the_text() {
        for text in ["{}{}", "{} x", "{},", "1 2", "null\0", "[]]", "{}//", "\"a\"\"b\""] {
            assert_eq!(parse(text.as_bytes()), Err(NotJson), "{text:?}");
        }
    }

    #[test]
    fn refuses_what_is_no_json() {
        for text in [
            "",
            " ",
            "{",
            "{\"a\"}",
            "{\"a\":1,}",
            "{a:1}",
            "{'a':1}",
            "{1:1}",
            "[1,]",
            "01",
            "1.",
            "+1",
            "1e400",
            "NaN",
            "Infinity",
            "nul",
            "\"\n\"",
            r#""\ud800""#,
            r#""\x""#,
            "\u{feff}{}",
        ] {
            assert_eq!(parse(text.as_bytes()), Err(NotJson), "{text:?}");
        }
    }

    #[test]
    fn leaves_out_one_byte_order_mark_where_it_may() {
        let marked = "\u{feff}\u{feff}{}".as_bytes();
        assert_eq!(parse(without_mark("\u{feff}{}".as_bytes())), Ok(serde_json::json!({})));
        assert_eq!(parse(without_mark(marked)), Err(NotJson));
        assert_eq!(without_mark(b"{}"), b"{}");
    }

    #[test]
    fn refuses_invalid_utf_8() {
        for bytes in [&b"\"\xff\""[..], b"\"\xc0\xaf\"", b"\"\xed\xa0\x80\"", b"{\"\xff\":1}", b"\xff{}"] {
            assert_eq!(parse(bytes), Err(NotJson), "{bytes:?}");
        }
    }

    #[test]
    fn nests_no_deeper_than_serde_json_does() {
        let arrays = |depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        let objects = |depth| format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
        assert!(parse(arrays(127).as_bytes()).is_ok() && parse(objects(127).as_bytes()).is_ok());
        for text in [arrays(128), objects(128), arrays(100_000), objects(100_000), "[".repeat(1_000_000)] {
            assert_eq!(parse(text.as_bytes()), Err(NotJson));
        }
    }
}
