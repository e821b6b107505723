//! `application/x-www-form-urlencoded`, the encoding of token requests.
//!
//! Source: RFC 6749 appendix B, the WHATWG URL standard's form serializer.

use url::form_urlencoded::{Serializer, byte_serialize, parse};

/// Appends `text`, encoded, to `out`.
pub fn encode_into(out: &mut String, text: &str) {
    out.extend(byte_serialize(text.as_bytes()));
}

/// Encodes `fields` in their order: `name=value&name=value`.
#[must_use]
pub fn encode<'a>(fields: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    Serializer::new(String::new()).extend_pairs(fields).finish()
}

/// The value of the first parameter called `name` in the query `text`.
#[must_use]
pub fn parameter(text: &str, name: &str) -> Option<String> {
    let mut pairs = parse(text.as_bytes());
    pairs.find(|(found, _)| found == name).map(|(_, value)| value.into_owned())
}

/// Whether the query `text` has several parameters called `name`.
#[must_use]
pub fn is_doubled(text: &str, name: &str) -> bool {
    parse(text.as_bytes()).filter(|(found, _)| found == name).nth(1).is_some()
}

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod tests {
    use super::*;

    #[test]
    fn encodes_what_forms_encode() {
        assert_eq!(encode([("password", "+&%é€ ~*-._")]), "password=%2B%26%25%C3%A9%E2%82%AC+%7E*-._");
        assert_eq!(encode([("a", "1"), ("b c", "=")]), "a=1&b+c=%3D");
        assert_eq!(encode([]), "");
    }

    #[test]
    fn reads_a_parameter_however_it_is_written() {
        for (query, value) in [("a=b", "b"), ("x=1&%61=%62&a=c", "b"), ("a=%C3%A9+%2B", "é +"), ("a", "")] {
            assert_eq!(parameter(query, "a").as_deref(), Some(value), "{query}");
        }
        assert_eq!(parameter("A=1&aa=1&x=a", "a"), None);
        assert!(is_doubled("a=1&b=2&%61", "a") && !is_doubled("a=1&b=2&b=a", "a"));
    }
}
