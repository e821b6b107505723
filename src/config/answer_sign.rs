//! Signs in an answer that say more than its status does, such as those of refused credentials.

use std::fmt;

use serde_json::Value;

use super::limits::SIGN_STATUS;
use super::reader::Reader;
use super::syntax;
use crate::http::HeaderName;

/// A sign: a status, and a value in the answer where that matters.
pub struct AnswerSign {
    /// The status of the answer.
    pub status: u16,
    /// Where the answer is looked at besides.
    pub place: SignPlace,
    /// The values of which one must stand there; if empty, any does.
    pub accepted: Vec<Value>,
}

/// Where a sign stands in an answer.
#[derive(Debug)]
pub enum SignPlace {
    /// Nowhere: the status is the whole sign.
    Status,
    /// At a JSON Pointer (RFC 6901) in the body.
    Json(String),
    /// In a header field.
    Header(HeaderName),
}

impl AnswerSign {
    /// Whether an answer has the sign. `header` finds the value of a header field; `body` is the
    /// answer's JSON, if it is any. Values are compared as JSON values, type included; null is absent.
    pub fn matches<'a>(
        &self,
        status: u16,
        header: impl Fn(&str) -> Option<&'a str>,
        body: Option<&Value>,
    ) -> bool {
        let accepts = |found: &Value| self.accepted.is_empty() || self.accepted.contains(found);
        status == self.status
            && match &self.place {
                SignPlace::Status => true,
                SignPlace::Json(pointer) => body
                    .and_then(|body| body.pointer(pointer))
                    .is_some_and(|found| !found.is_null() && accepts(found)),
                SignPlace::Header(name) => {
                    header(name.as_str()).is_some_and(|value| accepts(&Value::from(value)))
                }
            }
    }

    /// Reads the array of signs in the field called `name`.
    pub(super) fn read_all(name: &str, reader: &mut Reader<'_, '_>) -> Vec<Self> {
        const MESSAGE: &str = "must be an array of tables of status, json or header, and in";
        let mut signs = Vec::new();
        for (at, item) in reader.array(name, false, MESSAGE).iter().enumerate() {
            signs.extend(reader.item(name, at, item, MESSAGE).and_then(|mut table| Self::read(&mut table)));
        }
        signs
    }

    fn read(table: &mut Reader<'_, '_>) -> Option<Self> {
        const VALUES: &str = "must be an array of at least one text, number, true or false";
        if !table.has("status") {
            table.report("status", SIGN_STATUS.what);
        }
        let status = u16::try_from(table.number("status", &SIGN_STATUS)).ok()?;
        let json = table.parse("json", syntax::pointer).map(SignPlace::Json);
        let header = table.parse("header", syntax::field_name).map(SignPlace::Header);
        let accepted = table.array("in", table.has("in"), VALUES);
        if accepted.iter().any(|value| !(value.is_string() || value.is_number() || value.is_boolean())) {
            table.report("in", VALUES);
        }
        if table.has("json") && table.has("header") {
            table.report_table("must have json or header, not both");
        } else if table.has("in") && !(table.has("json") || table.has("header")) {
            table.report("in", "has no meaning without json or header");
        }
        table.only(&["status", "json", "header", "in"]);
        let place = json.or(header).unwrap_or(SignPlace::Status);
        Some(Self { status, place, accepted: accepted.to_vec() })
    }
}

// The values are the operator's.
impl fmt::Debug for AnswerSign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnswerSign")
            .field("status", &self.status)
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config::Variables;

    fn read(signs: Value) -> (Vec<AnswerSign>, Vec<String>) {
        let fields: Variables = [("rejected".to_owned(), signs)].into_iter().collect();
        let mut problems = Vec::new();
        let signs =
            AnswerSign::read_all("rejected", &mut Reader::new("x".to_owned(), &fields, &mut problems));
        (signs, problems.iter().map(ToString::to_string).collect())
    }

    #[track_caller]
    fn check(sign: &Value, status: u16, header: Option<&str>, body: Option<&Value>, expected: bool) {
        let (signs, problems) = read(json!([sign]));
        assert_eq!(problems, [""; 0]);
        let header = |name: &str| header.filter(|_| name == "x-error");
        assert_eq!(signs[0].matches(status, header, body), expected, "{signs:?} {body:?}");
    }

    #[test]
    fn is_a_status_alone() {
        check(&json!({"status": 403}), 403, None, None, true);
        check(&json!({"status": 403}), 401, None, None, false);
    }

    #[test]
    fn compares_values_of_the_body_with_their_types() {
        let code = json!({"status": 200, "json": "/errcode", "in": [40001, "42", false]});
        for (body, expected) in [
            (json!({"errcode": 40001}), true),
            (json!({"errcode": "42"}), true),
            (json!({"errcode": false}), true),
            (json!({"errcode": "40001"}), false),
            (json!({"errcode": 42}), false),
            (json!({"errcode": "false"}), false),
            (json!({"errcode": 0}), false),
            (json!({"errcode": null}), false),
            (json!({"errcode": [40001]}), false),
            (json!({"error": {"errcode": 40001}}), false),
            (json!([]), false),
        ] {
            check(&code, 200, None, Some(&body), expected);
            check(&code, 400, None, Some(&body), false);
        }
        check(&code, 200, None, None, false);
        let nested = json!({"status": 200, "json": "/errors/0/a~1b", "in": ["x"]});
        check(&nested, 200, None, Some(&json!({"errors": [{"a/b": "x"}]})), true);
        check(&json!({"status": 200, "json": "", "in": ["no"]}), 200, None, Some(&json!("no")), true);
    }

    #[test]
    fn counts_presence_where_no_values_are_named() {
        let error = json!({"status": 200, "json": "/error"});
        for (body, expected) in [
            (json!({"error": {}}), true),
            (json!({"error": false}), true),
            (json!({"error": null}), false),
            (json!({}), false),
        ] {
            check(&error, 200, None, Some(&body), expected);
        }
        check(&json!({"status": 400, "header": "X-Error"}), 400, Some(""), None, true);
        check(&json!({"status": 400, "header": "X-Error"}), 400, None, None, false);
    }

    #[test]
    fn compares_header_fields_as_texts() {
        let expired = json!({"status": 400, "header": "X-Error", "in": ["expired", 7]});
        for (value, expected) in [("expired", true), ("Expired", false), ("7", false)] {
            check(&expired, 400, Some(value), None, expected);
        }
    }

    #[test]
    fn says_what_to_write() {
        let status = "must be a whole number from 200 to 599 (status)";
        let values = "must be an array of at least one text, number, true or false";
        for (sign, expected) in [
            (
                json!(1),
                "x.rejected[0]: must be an array of tables of status, json or header, and in".to_owned(),
            ),
            (json!({}), format!("x.rejected[0].status: {status}")),
            (json!({"status": 99}), format!("x.rejected[0].status: {status}")),
            (json!({"status": "200"}), format!("x.rejected[0].status: {status}")),
            (
                json!({"status": 200, "json": "error"}),
                "x.rejected[0].json: must be a JSON Pointer, as /data/token".to_owned(),
            ),
            (
                json!({"status": 200, "json": "/a~2"}),
                "x.rejected[0].json: must be a JSON Pointer, as /data/token".to_owned(),
            ),
            (
                json!({"status": 200, "header": "a b"}),
                "x.rejected[0].header: must be a header field's name".to_owned(),
            ),
            (json!({"status": 200, "json": "/a", "in": []}), format!("x.rejected[0].in: {values}")),
            (json!({"status": 200, "json": "/a", "in": "b"}), format!("x.rejected[0].in: {values}")),
            (json!({"status": 200, "json": "/a", "in": [null]}), format!("x.rejected[0].in: {values}")),
            (
                json!({"status": 200, "in": [1]}),
                "x.rejected[0].in: has no meaning without json or header".to_owned(),
            ),
            (
                json!({"status": 200, "json": "/a", "header": "b"}),
                "x.rejected[0]: must have json or header, not both".to_owned(),
            ),
            (json!({"status": 200, "body": "/a"}), "x.rejected[0].body: is not a known field".to_owned()),
        ] {
            assert_eq!(read(json!([sign])).1, [expected], "{sign}");
        }
        let message = "x.rejected: must be an array of tables of status, json or header, and in";
        assert_eq!(read(json!({})).1, [message]);
    }
}
