//! JSON texts as they are written.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::parse;

/// The deepest accepted nesting of objects and arrays, which common parsers accept, too.
const DEEPEST: usize = 127;

/// A member of the outermost object.
pub(crate) struct Member<'a> {
    /// The name, as [`exact`] reads it.
    pub(crate) name: Cow<'a, str>,
    /// The byte range from the start of the name to the end of the value.
    pub(crate) span: (usize, usize),
    /// The position of the comma or brace that follows.
    pub(crate) closed_at: usize,
    /// The value, in its notation.
    pub(crate) value: &'a str,
}

/// Why the members of a JSON text cannot be told apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum NotMembers {
    /// The text nests too deep.
    TooDeep,
    /// An object, at any depth, has two members of one name.
    Doubled,
}

/// The text of a quoted string, distinct for distinct strings.
pub(crate) fn exact(string: &str) -> Cow<'_, str> {
    // A string with a lone surrogate keeps its notation.
    Some(decoded(string)).filter(|text| !text.contains('\u{fffd}')).unwrap_or(Cow::Borrowed(string))
}

/// The text of a quoted string. A lone surrogate, which JSON permits, becomes U+FFFD.
pub(crate) fn decoded(string: &str) -> Cow<'_, str> {
    let inner = string.get(1..string.len().saturating_sub(1)).unwrap_or_default();
    if !inner.contains('\\') {
        return Cow::Borrowed(inner);
    }
    let mut units = Vec::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(char) = chars.next() {
        let char = match char {
            '\\' => match chars.next() {
                Some('u') => {
                    let digits = chars.as_str().get(..4).unwrap_or_default();
                    units.push(u16::from_str_radix(digits, 16).unwrap_or(0xFFFD));
                    chars = chars.as_str().get(4..).unwrap_or_default().chars();
                    continue;
                }
                Some('b') => '\u{8}',
                Some('f') => '\u{c}',
                Some('n') => '\n',
                Some('r') => '\r',
                Some('t') => '\t',
                Some(other) => other,
                None => break,
            },
            plain => plain,
        };
        units.extend_from_slice(char.encode_utf16(&mut [0; 2]));
    }
    Cow::Owned(String::from_utf16_lossy(&units))
}

/// Whether each number in a JSON text is written as it is kept. Whole numbers of up to 64 bits are
/// kept exactly, and have one form in JSON.
pub(crate) fn has_exact_numbers(text: &str) -> bool {
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(b) = bytes.get(at) {
        let start = at;
        at += 1;
        if *b == b'"' {
            at = string_end(text, start);
        } else if *b == b'-' || b.is_ascii_digit() {
            while bytes.get(at).is_some_and(|b| matches!(b, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E')) {
                at += 1;
            }
            let written = text.get(start..at).unwrap_or_default();
            let kept = parse(written.as_bytes()).map(|kept| super::text(&kept));
            if kept.as_deref() != Ok(written) {
                return false;
            }
        }
    }
    true
}

/// The byte ranges of the strings of a JSON text, including their quotes.
pub(crate) fn strings(text: &str) -> impl Iterator<Item = (usize, usize)> {
    let mut from = 0;
    std::iter::from_fn(move || {
        let start = from + text.get(from..)?.find('"')?;
        from = string_end(text, start);
        Some((start, from))
    })
}

/// The end of the string that begins at `start`.
fn string_end(text: &str, start: usize) -> usize {
    let mut is_escaped = false;
    let rest = text.bytes().enumerate().skip(start + 1);
    for (at, b) in rest {
        match b {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// The members of the outermost object of a JSON text, in order.
///
/// # Errors
/// [`NotMembers`].
pub(crate) fn members(text: &str) -> Result<Vec<Member<'_>>, NotMembers> {
    let bytes = text.as_bytes();
    let mut members = Vec::new();
    // The names in each open object; `None` for an array.
    let mut open: Vec<Option<BTreeSet<Cow<'_, str>>>> = Vec::new();
    let (mut at, mut is_name) = (0, false);
    // The outermost member being read: its name, its start, and its value's start.
    let mut reading: Option<(Cow<'_, str>, usize, usize)> = None;
    while let Some(b) = bytes.get(at) {
        let ends_member = open.len() == 1 && matches!(b, b',' | b'}');
        if ends_member && let Some((name, start, value)) = reading.take() {
            let value = text.get(value..at).unwrap_or_default();
            let end = at - (value.len() - value.trim_end().len());
            members.push(Member { name, span: (start, end), closed_at: at, value: value.trim() });
        }
        match b {
            b'"' => {
                let end = string_end(text, at);
                if is_name && let Some(Some(names)) = open.last_mut() {
                    let name = exact(text.get(at..end).unwrap_or_default());
                    if !names.insert(name.clone()) {
                        return Err(NotMembers::Doubled);
                    }
                    if open.len() == 1 {
                        reading = Some((name, at, end));
                    }
                }
                at = end;
                continue;
            }
            b'{' => open.push(Some(BTreeSet::new())),
            b'[' => open.push(None),
            b'}' | b']' => drop(open.pop()),
            b':' if open.len() == 1 => {
                if let Some((_, _, value)) = &mut reading {
                    *value = at + 1;
                }
            }
            _ => {}
        }
        match b {
            b'{' => is_name = true,
            b',' => is_name = matches!(open.last(), Some(Some(_))),
            b':' | b'[' => is_name = false,
            _ => {}
        }
        if open.len() > DEEPEST {
            return Err(NotMembers::TooDeep);
        }
        at += 1;
    }
    Ok(members)
}

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod tests {
    use super::*;

    #[test]
    fn tells_numbers_that_are_kept_as_written() {
        for text in [
            "7",
            "-7",
            "1.5",
            "18446744073709551615",
            "[1,{\"a\":-2.25}]",
            "true",
            "null",
            r#""1.50""#,
            r#"{"1.50":"\"1e5"}"#,
        ] {
            assert!(has_exact_numbers(text), "{text}");
        }
        for text in [
            "1.50",
            "-0",
            "1e3",
            "1E2",
            "18446744073709551616",
            "[1,1.0e0]",
            r#"{"a":"1.5","b":1.50}"#,
            r#"["\\",1.50]"#,
            "0.1234567890123456789",
            "123456789012345678901234567890",
        ] {
            assert!(!has_exact_numbers(text), "{text}");
        }
    }

    #[test]
    fn decodes_what_serde_json_decodes() {
        for string in
            [r#""""#, r#""a""#, r#""\"\\\/\b\f\n\r\t""#, r#""\u00e9é\ud83d\ude00😀\u0000""#, r#""\\u0061""#]
        {
            let expected: String = serde_json::from_str(string).unwrap();
            assert_eq!(decoded(string), expected, "{string}");
        }
        assert_eq!(decoded(r#""a\ud83db""#), "a\u{fffd}b");
        assert_eq!((exact(r#""\u0061""#), exact(r#""\ud83d""#)), ("a".into(), r#""\ud83d""#.into()));
    }
}
