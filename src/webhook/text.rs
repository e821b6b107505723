//! Taking a secret out of a JSON text, all else staying byte for byte.

use serde_json::Value;

use super::AccountTokens;
use crate::json;

/// What stands for a string in which an account token stood.
const REMOVED: &str = r#""[account token]""#;

/// `text` without the member called `member` of its outermost object, and
/// without the strings in which one of `tokens` stands.
///
/// `text` is JSON: [`json::parse`] takes it.
pub(super) fn without(text: &str, member: Option<&str>, tokens: &AccountTokens) -> String {
    let (kept, rest) = member
        .and_then(|member| span_of(text, member))
        .and_then(|(start, end)| Some((text.get(..start)?, text.get(end..)?)))
        .unwrap_or((text, ""));
    let mut out = String::with_capacity(text.len());
    for part in [kept, rest] {
        let mut from = 0;
        for (start, end) in strings(part) {
            let Some(string) = part.get(start..end).filter(|string| reveals(string, tokens)) else {
                continue;
            };
            debug_assert!(string.len() >= 2, "it has its quotes");
            out.push_str(part.get(from..start).unwrap_or_default());
            out.push_str(REMOVED);
            from = end;
        }
        out.push_str(part.get(from..).unwrap_or_default());
    }
    out
}

/// Whether one of `tokens` stands in a string, which is given with its quotes.
fn reveals(string: &str, tokens: &AccountTokens) -> bool {
    tokens.stand_in(string)
        || (string.contains('\\') && decoded(string).is_none_or(|decoded| tokens.stand_in(&decoded)))
}

fn decoded(string: &str) -> Option<String> {
    match json::parse(string.as_bytes()) {
        Ok(Value::String(decoded)) => Some(decoded),
        _ => None,
    }
}

/// Where the strings of `text` begin and end, their quotes included.
fn strings(text: &str) -> impl Iterator<Item = (usize, usize)> + use<'_> {
    let bytes = text.as_bytes();
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = at + bytes.get(at..)?.iter().position(|b| *b == b'"')?;
        at = start + 1;
        while let Some(b) = bytes.get(at) {
            at += if *b == b'\\' { 2 } else { 1 };
            if *b == b'"' {
                break;
            }
        }
        Some((start, at))
    })
}

/// What has to go for the member called `name` to be gone, with a comma.
fn span_of(text: &str, name: &str) -> Option<(usize, usize)> {
    let bytes = text.as_bytes();
    let mut strings = strings(text).peekable();
    let (mut depth, mut at, mut is_name) = (0, 0, true);
    // The member that is being read: where it began, and the comma before it.
    let (mut found, mut comma) = (None, None);
    while let Some(b) = bytes.get(at) {
        if let Some((start, end)) = strings.next_if(|(start, _)| *start == at) {
            if depth == 1 && is_name && decoded(text.get(start..end)?)? == name {
                found = Some(start);
            }
            at = end;
            continue;
        }
        match b {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth -= 1,
            b':' if depth == 1 => is_name = false,
            b',' if depth == 1 => is_name = true,
            _ => {}
        }
        match (b, found) {
            // Up to where the next member begins.
            (b',', Some(start)) if depth == 1 => {
                let (next, _) = strings.peek()?;
                return Some((start, *next));
            }
            // The last one takes the comma before it along.
            (b'}', Some(start)) if depth == 0 => {
                let end = at - trailing_space(bytes.get(..at)?);
                return Some((comma.unwrap_or(start), end));
            }
            (b',', None) if depth == 1 => comma = Some(at),
            _ => {}
        }
        at += 1;
    }
    None
}

fn trailing_space(bytes: &[u8]) -> usize {
    bytes.iter().rev().take_while(|b| b.is_ascii_whitespace()).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    fn check(text: &str, kept: &str) {
        let tokens = AccountTokens::parse(&Secret::new("s3cret,qu\"o\\te,ünï".to_owned())).unwrap();
        assert_eq!(without(text, Some("t"), &tokens), kept, "{text}");
        let mut rest = json::parse(text.as_bytes()).unwrap();
        if let Some(members) = rest.as_object_mut() {
            members.remove("t");
        }
        let kept = json::parse(kept.as_bytes()).unwrap();
        assert!(kept == rest || kept.to_string().contains("[account token]"));
    }

    #[test]
    fn takes_one_member_out_wherever_it_stands() {
        check(r#"{"t":"s3cret"}"#, "{}");
        check(r#"{ "t" : "s3cret" }"#, "{  }");
        check(r#"{"t":"s3cret","a":1}"#, r#"{"a":1}"#);
        check(r#"{"t":"s3cret" , "a":1}"#, r#"{"a":1}"#);
        check(r#"{"a":1,"t":"s3cret"}"#, r#"{"a":1}"#);
        check("{\"a\":1 ,\n  \"t\":\"s3cret\"\n}", "{\"a\":1 \n}");
        check(r#"{"a":1, "t":"s3cret", "b":2}"#, r#"{"a":1, "b":2}"#);
        check(
            r#"{"a":{"t":"x"},"\u0074":"s3cret","b":["t",{"t":1}]}"#,
            r#"{"a":{"t":"x"},"b":["t",{"t":1}]}"#,
        );
        check(r#"{"a":"t","b":"\"t\":1,","t":"s3cret"}"#, r#"{"a":"t","b":"\"t\":1,"}"#);
        check(r#"{"a":"}],{","t":{"x":[1,"},"]},"b":"\\"}"#, r#"{"a":"}],{","b":"\\"}"#);
    }

    #[test]
    fn leaves_all_else_byte_for_byte() {
        for text in [
            "{}",
            " [ ] ",
            "\"t\"",
            "17",
            r#"{"b":1.0,"a":1e2 , "n":123456789012345678901234567890,"u":"\u00e9\/é😀"}"#,
            "\t{\r\n\"a\" :\t[ true,null ,{} ] } ",
            r#"[{"t":1}]"#,
            r#"{"T":1,"tt":2,"":3}"#,
        ] {
            check(text, text);
        }
    }

    #[test]
    fn takes_the_token_out_of_every_string() {
        check(r#"{"t":"s3cret","a":"s3cret"}"#, r#"{"a":"[account token]"}"#);
        check(r#"{"a":["x s3cret y"],"t":"s3cret"}"#, r#"{"a":["[account token]"]}"#);
        check(r#"{"t":1,"a":{"b":"\u00733cret"}}"#, r#"{"a":{"b":"[account token]"}}"#);
        check(
            r#"{"t":1,"a":"qu\"o\\te","b":"qu\u0022o\u005cte"}"#,
            r#"{"a":"[account token]","b":"[account token]"}"#,
        );
        check(
            r#"{"t":1,"a":"ünï","b":"\u00fcn\u00ef","c":"uni"}"#,
            r#"{"a":"[account token]","b":"[account token]","c":"uni"}"#,
        );
        check(r#"{"t":1,"s3cret":1}"#, r#"{"[account token]":1}"#);
    }
}
