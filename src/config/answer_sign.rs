//! Signs in an API's answers that mean something which the status alone does not say.

use std::fmt;

use serde_json::Value;

use super::binding::pointed_at;
use super::limits::ANSWER_STATUS;
use super::reader::Reader;
use super::syntax;
use crate::http::{HeaderName, Headers};

/// The largest number of signs in a field.
const MOST: usize = 16;

/// A sign in an answer.
#[derive(Clone)]
pub struct AnswerSign {
    /// The answer's status.
    status: u16,
    /// What else the answer must have.
    place: SignPlace,
    /// The values of which it must have one; `None` for any.
    values: Option<Vec<Value>>,
}

/// Where a sign stands in an answer.
#[derive(Clone, Debug)]
enum SignPlace {
    /// The status is all.
    Status,
    /// A header field.
    Header(HeaderName),
    /// A JSON Pointer into the body (RFC 6901).
    Body(String),
}

impl AnswerSign {
    /// Whether an answer with this head has the sign, whatever its body.
    #[must_use]
    pub fn is_in_head(&self, status: u16, headers: &Headers<'_>) -> bool {
        self.status == status
            && match &self.place {
                SignPlace::Status => true,
                SignPlace::Header(name) => headers.value(name.as_str()).is_some_and(|value| {
                    self.is_any(|known| known.as_str().is_some_and(|known| known == value.trim()))
                }),
                SignPlace::Body(_) => false,
            }
    }

    /// Whether the body of an answer with this status may have the sign.
    #[must_use]
    pub const fn may_be_in_body(&self, status: u16) -> bool {
        self.status == status && matches!(self.place, SignPlace::Body(_))
    }

    /// Whether `body` has the sign. Values are equal if their types are, too.
    #[must_use]
    pub fn is_in_body(&self, body: &Value) -> bool {
        match &self.place {
            // Many APIs write null for what is not there.
            SignPlace::Body(pointer) => pointed_at(body, pointer).is_some_and(|found| {
                self.is_any(|known| known == found) && (self.values.is_some() || !found.is_null())
            }),
            SignPlace::Status | SignPlace::Header(_) => false,
        }
    }

    /// Whether an answer has the sign; `body` is its JSON, if it is any.
    #[must_use]
    pub fn is_in(&self, status: u16, headers: &Headers<'_>, body: Option<&Value>) -> bool {
        self.is_in_head(status, headers)
            || (self.may_be_in_body(status) && body.is_some_and(|body| self.is_in_body(body)))
    }

    fn is_any(&self, is_found: impl FnMut(&Value) -> bool) -> bool {
        self.values.as_ref().is_none_or(|values| values.iter().any(is_found))
    }
}

// The values are the operator's.
impl fmt::Debug for AnswerSign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { status, place, .. } = self;
        f.debug_struct("AnswerSign").field("status", status).field("place", place).finish_non_exhaustive()
    }
}

/// Reads the signs in the field called `name`.
pub(super) fn read(reader: &mut Reader<'_, '_>, name: &str) -> Vec<AnswerSign> {
    const MESSAGE: &str = "must be an array of at most 16 tables, such as { status = 403 }";
    let mut signs = Vec::new();
    let items = reader.array(name, false, MESSAGE);
    if items.len() > MOST {
        reader.report(name, MESSAGE);
    }
    for (at, item) in items.iter().enumerate() {
        if let Some(mut table) = reader.item(name, at, item, "must be a table, such as { status = 403 }") {
            signs.extend(read_sign(&mut table));
        }
    }
    signs
}

fn read_sign(table: &mut Reader<'_, '_>) -> Option<AnswerSign> {
    const IN: &str = "must be an array of at least one value";
    if !table.has("status") {
        table.report("status", ANSWER_STATUS.what);
    }
    let status = table.number("status", &ANSWER_STATUS);
    let pointer = table.parse("json", &syntax::json_pointer);
    let header =
        table.parse("header", &|name| HeaderName::parse(name).ok_or("must be a header field's name"));
    if table.has("json") && table.has("header") {
        table.report("header", "must not stand beside json: write two tables");
    }
    let values = table.array("in", table.has("in"), IN);
    if table.has("in") && !table.has("json") && !table.has("header") {
        table.report("in", "has no meaning without json or header");
    } else if table.has("header") && values.iter().any(|value| !value.is_string()) {
        table.report("in", "must be texts: the value of a header field is one");
    }
    table.only(&["status", "json", "header", "in"]);
    Some(AnswerSign {
        status: u16::try_from(status).ok()?,
        place: match (pointer, header) {
            (Some(pointer), _) => SignPlace::Body(pointer),
            (None, Some(header)) => SignPlace::Header(header),
            (None, None) => SignPlace::Status,
        },
        values: (!values.is_empty()).then(|| values.to_vec()),
    })
}

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod tests {
    use serde_json::json;

    use super::super::Variables;
    use super::*;

    fn sign(fields: &Value) -> AnswerSign {
        let signs: Variables = [("signs".to_owned(), json!([fields]))].into_iter().collect();
        let mut problems = Vec::new();
        let sign = read(&mut Reader::new("x".into(), &signs, &mut problems), "signs").pop();
        assert_eq!(problems, []);
        sign.unwrap()
    }

    #[test]
    fn finds_a_sign_in_a_head() {
        let status = sign(&json!({"status": 403}));
        assert!(status.is_in_head(403, &Headers::new("")) && !status.is_in_head(401, &Headers::new("")));
        let any = sign(&json!({"status": 400, "header": "X-Error"}));
        let one = sign(&json!({"status": 400, "header": "X-Error", "in": ["expired", "a, b", ""]}));
        for (fields, has_one) in [
            ("x-error:expired", true),
            ("x-error: expired ", true),
            ("x-error:a, b", true),
            ("x-error:", true),
            ("x-error:Expired", false),
            ("x-error:expired, b", false),
        ] {
            let headers = Headers::new(fields);
            assert!(any.is_in_head(400, &headers) && !any.is_in_head(200, &headers), "{fields}");
            assert_eq!(one.is_in_head(400, &headers), has_one, "{fields}");
        }
        assert!(!any.is_in_head(400, &Headers::new("x-errors:1")));
        for not_in_body in [status, any, one] {
            assert!(!not_in_body.may_be_in_body(400) && !not_in_body.is_in_body(&json!({"": 1})));
        }
    }

    #[test]
    fn finds_a_sign_in_a_body_by_value_and_type() {
        let values = json!([40001, "40002", true, null, 1.5, ["a"], 18_446_744_073_709_551_615_u64]);
        let one = sign(&json!({"status": 200, "json": "/a/0/~1b", "in": values}));
        assert!(one.may_be_in_body(200) && !one.may_be_in_body(400));
        assert!(!one.is_in_head(200, &Headers::new("")));
        let body = |value: &str| serde_json::from_str(&format!(r#"{{"a":[{{"/b":{value}}}]}}"#)).unwrap();
        for found in ["40001", r#""40002""#, "true", "null", "1.5", r#"["a"]"#, "18446744073709551615"] {
            assert!(one.is_in_body(&body(found)), "{found}");
        }
        for other in [
            r#""40001""#,
            "40002",
            "40001.0",
            "-40001",
            r#""true""#,
            "false",
            r#""""#,
            "18446744073709551616",
            "{}",
        ] {
            assert!(!one.is_in_body(&body(other)), "{other}");
        }
        assert!(!one.is_in_body(&json!({"a": []})) && !one.is_in_body(&json!(40001)));
        let any = sign(&json!({"status": 200, "json": "/a"}));
        assert!(any.is_in_body(&json!({"a": false})) && !any.is_in_body(&json!({"b": {"a": 1}})));
        assert!(!any.is_in_body(&json!({"a": null})));
        assert!(sign(&json!({"status": 200, "json": "", "in": ["dead"]})).is_in_body(&json!("dead")));
    }
}
