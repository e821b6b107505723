//! The parser of JSON texts (RFC 8259).

use serde_json::{Map, Number, Value};

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
    Parser::run(bytes, true).ok_or(NotJson)
}

/// Reads one JSON text; of duplicate members the last one counts.
///
/// # Errors
/// As [`parse`].
pub fn parse_last(bytes: &[u8]) -> Result<Value, NotJson> {
    Parser::run(bytes, false).ok_or(NotJson)
}

/// The text without a leading byte order mark, which a parser may ignore (RFC 8259 §8.1). Not for
/// texts that are signed or compared byte by byte.
#[must_use]
pub fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes)
}

/// A text, and how far it is read.
struct Parser<'a> {
    text: &'a str,
    at: usize,
    refuses_duplicates: bool,
}

impl Parser<'_> {
    fn run(bytes: &[u8], refuses_duplicates: bool) -> Option<Value> {
        let mut parser = Parser { text: std::str::from_utf8(bytes).ok()?, at: 0, refuses_duplicates };
        let value = parser.value(MAX_DEPTH)?;
        parser.peek().is_none().then_some(value)
    }

    /// The next byte that is no blank, unread.
    fn peek(&mut self) -> Option<u8> {
        loop {
            let byte = *self.text.as_bytes().get(self.at)?;
            if !matches!(byte, b' ' | b'\n' | b'\t' | b'\r') {
                return Some(byte);
            }
            self.at += 1;
        }
    }

    /// The next byte that is no blank.
    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    fn rest(&self) -> Option<&str> {
        self.text.get(self.at..)
    }

    fn value(&mut self, depth: u8) -> Option<Value> {
        match self.peek()? {
            b'"' => {
                self.at += 1;
                self.string().map(Value::String)
            }
            b'[' => self.array(depth.checked_sub(1)?),
            b'{' => self.object(depth.checked_sub(1)?),
            b't' => self.word("true", Value::Bool(true)),
            b'f' => self.word("false", Value::Bool(false)),
            b'n' => self.word("null", Value::Null),
            _ => self.number(),
        }
    }

    fn word(&mut self, word: &str, value: Value) -> Option<Value> {
        self.rest()?.starts_with(word).then_some(())?;
        self.at += word.len();
        Some(value)
    }

    fn number(&mut self) -> Option<Value> {
        let rest = self.rest()?;
        let is_part = |c: char| matches!(c, '0'..='9' | '-' | '+' | '.' | 'e' | 'E');
        let length = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        let number: Number = rest.get(..length)?.parse().ok()?;
        self.at += length;
        Some(Value::Number(number))
    }

    /// The string whose quotation mark is read.
    fn string(&mut self) -> Option<String> {
        let mut string = String::new();
        loop {
            let rest = self.rest()?;
            let run = rest.bytes().position(|byte| matches!(byte, b'"' | b'\\' | 0..b' '))?;
            string.push_str(rest.get(..run)?);
            let end = rest.as_bytes().get(run).copied();
            self.at += run + 1;
            match end? {
                b'"' => return Some(string),
                b'\\' => string.push(self.escaped()?),
                _ => return None,
            }
        }
    }

    /// The character whose backslash is read.
    fn escaped(&mut self) -> Option<char> {
        let letter = *self.text.as_bytes().get(self.at)?;
        self.at += 1;
        Some(match letter {
            b'"' | b'\\' | b'/' => char::from(letter),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let mut unit = self.unit()?;
                if let 0xD800..0xDC00 = unit {
                    self.word("\\u", Value::Null)?;
                    let low = self.unit()?.checked_sub(0xDC00).filter(|low| *low < 0x400)?;
                    unit = 0x1_0000 + ((unit - 0xD800) << 10) + low;
                }
                return char::from_u32(unit);
            }
            _ => return None,
        })
    }

    /// The code unit in the next four hexadecimal digits.
    fn unit(&mut self) -> Option<u32> {
        let digits = self.text.get(self.at..self.at + 4)?;
        self.at += 4;
        digits.chars().try_fold(0, |unit, digit| Some(unit << 4 | digit.to_digit(16)?))
    }

    /// The array whose bracket is not read.
    fn array(&mut self, depth: u8) -> Option<Value> {
        let mut items = Vec::new();
        self.at += 1;
        if self.peek()? == b']' {
            self.at += 1;
            return Some(Value::Array(items));
        }
        loop {
            items.push(self.value(depth)?);
            match self.next()? {
                b',' => {}
                b']' => return Some(Value::Array(items)),
                _ => return None,
            }
        }
    }

    /// The object whose brace is not read.
    fn object(&mut self, depth: u8) -> Option<Value> {
        let mut members = Map::new();
        self.at += 1;
        if self.peek()? == b'}' {
            self.at += 1;
            return Some(Value::Object(members));
        }
        loop {
            (self.next()? == b'"').then_some(())?;
            let name = self.string()?;
            (self.next()? == b':').then_some(())?;
            let value = self.value(depth)?;
            if members.insert(name, value).is_some() && self.refuses_duplicates {
                return None;
            }
            match self.next()? {
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
