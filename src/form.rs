//! `application/x-www-form-urlencoded`, the encoding of token requests.
//!
//! Source: RFC 6749 appendix B, the WHATWG URL standard's form serializer.

use form_urlencoded::{Serializer, byte_serialize, parse};

/// Appends `text`, encoded, to `out`.
pub fn encode_into(out: &mut String, text: &str) {
    out.extend(byte_serialize(text.as_bytes()));
}

/// Encodes `fields` in their order: `name=value&name=value`.
#[must_use]
pub fn encode<'a>(fields: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    Serializer::new(String::new()).extend_pairs(fields).finish()
}

/// The values of the parameters called `name` in the query `text`.
#[must_use]
pub fn parameters(text: &str, name: &str) -> Vec<String> {
    parse(text.as_bytes()).filter(|(found, _)| found == name).map(|(_, value)| value.into_owned()).collect()
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
            assert_eq!(parameters(query, "a").first().map(String::as_str), Some(value), "{query}");
        }
        assert!(parameters("A=1&aa=1&x=a", "a").is_empty());
        assert_eq!(parameters("a=1&b=2&%61", "a"), ["1", ""]);
    }
}
