//! A JSON text that keeps its bytes: numbers are not rounded and members not reordered.

use std::borrow::Cow;

use serde::de::IgnoredAny;

use super::account_tokens::AccountTokens;
use super::proof::EventRejection;
use crate::json::{Member, NotMembers, decoded, members, strings};

/// The replacement of a string that contained an account token.
const REMOVED: &str = r#""[account token]""#;

/// A JSON text (RFC 8259), and the members of its outermost object.
pub(super) struct Text<'a> {
    text: &'a str,
    members: Vec<Member<'a>>,
}

impl<'a> Text<'a> {
    /// Reads one JSON text.
    ///
    /// # Errors
    /// [`EventRejection::NotJson`], also where the text nests too deep;
    /// [`EventRejection::NotProven`] where an object at any depth has two members of one
    /// name, which parsers read differently.
    pub fn read(bytes: &'a [u8]) -> Result<Self, EventRejection> {
        let text = std::str::from_utf8(bytes).map_err(|_| EventRejection::NotJson)?;
        serde_json::from_slice::<IgnoredAny>(bytes).map_err(|_| EventRejection::NotJson)?;
        let members = members(text).map_err(|reason| match reason {
            NotMembers::TooDeep => EventRejection::NotJson,
            NotMembers::Doubled => EventRejection::NotProven,
        })?;
        Ok(Self { text, members })
    }

    /// The value of a member of the outermost object, in its notation.
    pub fn member(&self, name: &str) -> Option<&'a str> {
        self.members.iter().find(|member| member.name == name).map(|member| member.value)
    }

    /// The text without the member called `name`, and with strings that contain one of `tokens`
    /// replaced.
    pub fn without(&self, name: Option<&str>, tokens: &AccountTokens) -> String {
        self.rewritten(name, tokens, |_| REMOVED.to_owned())
    }

    /// The same, with only the tokens replaced within those strings: the identity of an event,
    /// independent of the token that it carries.
    pub fn identity(&self, name: Option<&str>, tokens: &AccountTokens) -> String {
        self.rewritten(name, tokens, |string| {
            let text = decoded(string);
            let text = if tokens.stand_in(&text) { text } else { Cow::Owned(text.replace('\\', "")) };
            format!("{:?}", tokens.taken_out(&text))
        })
    }

    /// The text without the member called `name`, and with each string that contains one of
    /// `tokens` replaced by `replace`.
    fn rewritten(
        &self,
        name: Option<&str>,
        tokens: &AccountTokens,
        replace: impl Fn(&str) -> String,
    ) -> String {
        let at = name.and_then(|name| self.members.iter().position(|member| member.name == name));
        let (start, end) = at.map_or((0, 0), |at| self.removal(at));
        let mut out = String::with_capacity(self.text.len());
        for part in [self.text.get(..start), self.text.get(end..)].into_iter().flatten() {
            let mut from = 0;
            for (start, end) in strings(part) {
                let string = part.get(start..end).unwrap_or_default();
                if reveals(string, tokens) {
                    out.push_str(part.get(from..start).unwrap_or_default());
                    out.push_str(&replace(string));
                    from = end;
                }
            }
            out.push_str(part.get(from..).unwrap_or_default());
        }
        out
    }

    /// The byte range to remove for the member number `at`, including one comma.
    fn removal(&self, at: usize) -> (usize, usize) {
        let member = |at: usize| self.members.get(at);
        let (start, end) = member(at).map(|member| member.span).unwrap_or_default();
        match (member(at + 1), at.checked_sub(1).and_then(member)) {
            (Some(next), _) => (start, next.span.0),
            (None, Some(before)) => (before.closed_at, end),
            (None, None) => (start, end),
        }
    }
}

/// Whether a string contains one of `tokens`, also within nested JSON with escaped slashes.
fn reveals(string: &str, tokens: &AccountTokens) -> bool {
    if !string.contains('\\') {
        return tokens.stand_in(string);
    }
    let decoded = decoded(string);
    tokens.stand_in(&decoded) || (decoded.contains('\\') && tokens.stand_in(&decoded.replace('\\', "")))
}

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod tests {
    use super::*;
    use crate::json;
    use crate::secret::Secret;

    fn without(text: &str) -> String {
        let tokens =
            AccountTokens::parse(&Secret::new("s3cret-token,qu\"o\\te!,ünïcödé,12|ab/cd-ef".to_owned()))
                .unwrap();
        Text::read(text.as_bytes()).unwrap().without(Some("t"), &tokens)
    }

    fn check(text: &str, kept: &str) {
        assert_eq!(without(text), kept, "{text}");
        let mut rest = json::parse(text.as_bytes()).unwrap();
        if let Some(members) = rest.as_object_mut() {
            members.remove("t");
        }
        let kept = json::parse(kept.as_bytes()).unwrap();
        assert!(kept == rest || kept.to_string().contains("[account token]"));
    }

    #[test]
    fn takes_one_member_out_wherever_it_stands() {
        check(r#"{"t":"x"}"#, "{}");
        check(r#"{ "t" : "x" }"#, "{  }");
        check(r#"{"t":"x","a":1}"#, r#"{"a":1}"#);
        check(r#"{"t":"x" , "a":1}"#, r#"{"a":1}"#);
        check(r#"{"a":1,"t":"x"}"#, r#"{"a":1}"#);
        check("{\"a\":1 ,\n  \"t\":\"x\"\n}", "{\"a\":1 \n}");
        check(r#"{"a":1, "t":"x", "b":2}"#, r#"{"a":1, "b":2}"#);
        check(r#"{"a":{"t":"x"},"\u0074":"x","b":["t",{"t":1}]}"#, r#"{"a":{"t":"x"},"b":["t",{"t":1}]}"#);
        check(r#"{"a":"t","b":"\"t\":1,","t":"x"}"#, r#"{"a":"t","b":"\"t\":1,"}"#);
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
        // What other readers refuse.
        let text = r#"{"a":1e400,"b":"\ud83d x","c":"\udc00\ud83d","\ud800":1,"\ud801":2}"#;
        assert_eq!(without(text), text);
    }

    #[test]
    fn nests_as_deep_as_common_readers_do() {
        let arrays = |depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        let objects = |depth| format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
        for text in [arrays(127), objects(127)] {
            assert!(Text::read(text.as_bytes()).is_ok());
        }
        for text in [arrays(128), objects(128), arrays(100_000), "[".repeat(1_000_000)] {
            assert_eq!(Text::read(text.as_bytes()).err(), Some(EventRejection::NotJson));
        }
    }

    #[test]
    fn takes_the_token_out_of_every_string() {
        check(r#"{"t":1,"a":"s3cret-token"}"#, r#"{"a":"[account token]"}"#);
        check(r#"{"a":["x s3cret-token y"],"t":1}"#, r#"{"a":["[account token]"]}"#);
        check(r#"{"t":1,"a":{"b":"\u00733cret-token"}}"#, r#"{"a":{"b":"[account token]"}}"#);
        check(
            r#"{"t":1,"a":"qu\"o\\te!","b":"qu\u0022o\u005cte!"}"#,
            r#"{"a":"[account token]","b":"[account token]"}"#,
        );
        check(
            r#"{"t":1,"a":"ünïcödé","b":"\u00fcn\u00efc\u00F6d\u00e9","c":"unicode"}"#,
            r#"{"a":"[account token]","b":"[account token]","c":"unicode"}"#,
        );
        check(r#"{"t":1,"s3cret-token":1}"#, r#"{"[account token]":1}"#);
        assert_eq!(without(r#"{"a":"\ud83d\u00733cret-token"}"#), r#"{"a":"[account token]"}"#);
        assert_eq!(without(r#"{"a":"{\"b\":\"12|ab\\/cd-ef\"}"}"#), r#"{"a":"[account token]"}"#);
    }

    #[test]
    fn gives_values_as_they_are_written() {
        let text = Text::read(br#" {"a" : 1.0 ,"b":{"a":[2] },"\u0063":"\n"} "#).unwrap();
        assert_eq!(text.member("a"), Some("1.0"));
        assert_eq!(text.member("b"), Some(r#"{"a":[2] }"#));
        assert_eq!(text.member("c"), Some(r#""\n""#));
        assert_eq!(text.member("d"), None);
        assert_eq!(Text::read(b"[1]").unwrap().member("a"), None);
    }

    #[test]
    fn refuses_a_member_that_comes_twice_at_any_depth() {
        for text in [
            r#"{"a":1,"a":2}"#,
            r#"{"a":1,"\u0061":2}"#,
            r#"{"a":{"b":1,"b":1}}"#,
            r#"[[{"x":[{"a":1,"b":[],"a":2}]}]]"#,
            r#"{"😀":1,"\ud83d\ude00":2}"#,
            r#"{"":1,"":2}"#,
        ] {
            assert_eq!(Text::read(text.as_bytes()).err(), Some(EventRejection::NotProven), "{text}");
        }
        assert!(Text::read(br#"{"a":{"a":{"a":["a","a"]}},"A":"a","b":"a"}"#).is_ok());
    }
}
