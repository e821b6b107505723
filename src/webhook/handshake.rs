//! The tests that senders send to an address before they use it.

use serde_json::Value;

use crate::json;

/// What makes an event a test of its sender.
#[derive(Debug)]
pub struct Handshake {
    /// The place of a value in the event, as a JSON Pointer (RFC 6901).
    pub pointer: String,
    /// The values of a test; `None` where any value is one's.
    pub values: Option<Vec<Value>>,
}

impl Handshake {
    /// Whether `event`, a JSON text, is a test. Values are compared with their types.
    #[must_use]
    pub fn is_met(&self, event: &str) -> bool {
        let Ok(event) = json::parse(event.as_bytes()) else { return false };
        let found = event.pointer(&self.pointer);
        found.is_some_and(|found| self.values.as_ref().is_none_or(|values| values.contains(found)))
    }
}

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod tests {
    use serde_json::json;

    use super::*;

    fn is_met(pointer: &str, values: Option<Value>, event: &str) -> bool {
        let values = values.map(|values| values.as_array().unwrap().clone());
        Handshake { pointer: pointer.to_owned(), values }.is_met(event)
    }

    #[test]
    fn knows_a_test_by_its_value_and_type() {
        let tests = || Some(json!(["webhook.test", 1, true, null]));
        for value in [r#""webhook.test""#, r#""webhook\u002etest""#, "1", "true", "null"] {
            assert!(is_met("/type", tests(), &format!(r#"{{"type":{value}}}"#)), "{value}");
        }
        for value in [r#""webhook.tests""#, r#""1""#, "1.0", "2", "false", "[1]", r#"{"type":1}"#] {
            assert!(!is_met("/type", tests(), &format!(r#"{{"type":{value}}}"#)), "{value}");
        }
    }

    #[test]
    fn looks_where_the_pointer_leads() {
        let event = r#"{"a":[{"b/c":"x"}],"zen":null}"#;
        let x = || Some(json!(["x"]));
        assert!(is_met("/a/0/b~1c", x(), event) && is_met("", x(), r#""x""#));
        for pointer in ["/a", "/a/1", "/b", "", "/a/0/b"] {
            assert!(!is_met(pointer, x(), event), "{pointer}");
        }
        assert!(is_met("/zen", None, event) && !is_met("/Zen", None, event));
    }
}
