//! The parser of JSON texts (RFC 8259).

use serde_json::{Map, Value};

use super::scan::Scanner;

/// The text is not JSON, or has an object with two members of one name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NotJson;

/// How deep arrays and objects may nest, which keeps the stack from being exhausted.
const MAX_DEPTH: u8 = 127;

/// Reads one JSON text. Objects with duplicate members are refused at any depth: parsers differ in
/// which member they return (RFC 7515 §4).
///
/// # Errors
/// [`NotJson`], also for trailing characters and for too deep nesting.
pub fn parse(bytes: &[u8]) -> Result<Value, NotJson> {
    text(bytes, true).ok_or(NotJson)
}

/// Reads one JSON text; of duplicate members the last one counts.
///
/// # Errors
/// As [`parse`].
pub fn parse_last(bytes: &[u8]) -> Result<Value, NotJson> {
    text(bytes, false).ok_or(NotJson)
}

/// The text without a leading byte order mark, which a parser may ignore (RFC 8259 §8.1). Not for
/// texts that are signed or compared byte by byte.
#[must_use]
pub fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes)
}

fn text(bytes: &[u8], refuses_duplicates: bool) -> Option<Value> {
    let mut parser = Parser { scanner: Scanner::new(std::str::from_utf8(bytes).ok()?), refuses_duplicates };
    let value = parser.value(MAX_DEPTH)?;
    parser.scanner.peek().is_none().then_some(value)
}

struct Parser<'a> {
    scanner: Scanner<'a>,
    refuses_duplicates: bool,
}

impl Parser<'_> {
    /// A value that nests at most this deep.
    fn value(&mut self, depth: u8) -> Option<Value> {
        let scanner = &mut self.scanner;
        match scanner.peek()? {
            b'"' => {
                scanner.accept(b'"')?;
                scanner.string().map(Value::String)
            }
            b'[' => self.array(depth.checked_sub(1)?),
            b'{' => self.object(depth.checked_sub(1)?),
            b't' => scanner.word("true").map(|()| Value::Bool(true)),
            b'f' => scanner.word("false").map(|()| Value::Bool(false)),
            b'n' => scanner.word("null").map(|()| Value::Null),
            _ => scanner.number().map(Value::Number),
        }
    }

    fn array(&mut self, depth: u8) -> Option<Value> {
        let mut items = Vec::new();
        self.scanner.accept(b'[')?;
        if self.scanner.accept(b']').is_some() {
            return Some(Value::Array(items));
        }
        loop {
            items.push(self.value(depth)?);
            match self.scanner.next()? {
                b',' => {}
                b']' => return Some(Value::Array(items)),
                _ => return None,
            }
        }
    }

    fn object(&mut self, depth: u8) -> Option<Value> {
        let mut members = Map::new();
        self.scanner.accept(b'{')?;
        if self.scanner.accept(b'}').is_some() {
            return Some(Value::Object(members));
        }
        loop {
            self.scanner.accept(b'"')?;
            let name = self.scanner.string()?;
            self.scanner.accept(b':')?;
            let value = self.value(depth)?;
            if members.insert(name, value).is_some() && self.refuses_duplicates {
                return None;
            }
            match self.scanner.next()? {
                b',' => {}
                b'}' => return Some(Value::Object(members)),
                _ => return None,
            }
        }
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
