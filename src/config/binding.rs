//! What a rule binds to who calls, and whether a call fits it.

use std::slice;

use serde_json::Value;

use crate::http::{QueryBinding, Template};
use crate::jose::OwnClaimSet;

/// What a rule binds besides segments of its paths.
#[derive(Debug)]
pub struct Binding {
    /// What the caller's claims must be besides what the caller itself demands: each with its
    /// accepted values.
    pub claims: Vec<(String, Vec<ClaimValue>)>,
    /// The query.
    pub query: Option<QueryBinding>,
    /// Values that the body must have, by JSON Pointer (RFC 6901).
    pub body: Vec<(String, Template)>,
}

/// An accepted value of a claim.
#[derive(Clone, PartialEq, Debug)]
pub enum ClaimValue {
    /// A text, a number or a boolean.
    Fixed(Value),
    /// The value of another claim of the same caller.
    Own(String),
}

impl Binding {
    /// Whether the claims of a caller are as the rule demands; `own` is `None` for a caller that has
    /// none.
    #[must_use]
    pub fn claims_fit(&self, own: Option<&OwnClaimSet>) -> bool {
        let has = |own: &OwnClaimSet, name: &str, value: &ClaimValue| match value {
            ClaimValue::Fixed(value) => own.has(name, slice::from_ref(value)),
            ClaimValue::Own(other) => {
                own.value(other).is_some_and(|value| own.has(name, slice::from_ref(value)))
            }
        };
        self.claims
            .iter()
            .all(|(name, values)| own.is_some_and(|own| values.iter().any(|value| has(own, name, value))))
    }

    /// Whether a JSON body has the values that the rule binds.
    #[must_use]
    pub fn body_fits(&self, body: &Value, own: Option<&OwnClaimSet>) -> bool {
        self.body.iter().all(|(pointer, template)| {
            let Some(found) = pointed_at(body, pointer) else { return false };
            match template {
                Template::Text(text) => found == text,
                Template::Claim(name) => own.is_some_and(|own| match found {
                    Value::String(text) => own.text(name).is_some_and(|claim| claim == *text),
                    // A body's decimals may not be kept as they are written.
                    Value::Number(number) => !number.is_f64() && own.value(name) == Some(found),
                    Value::Bool(_) => own.value(name) == Some(found),
                    Value::Null | Value::Array(_) | Value::Object(_) => false,
                }),
            }
        })
    }
}

/// The value at a JSON Pointer, which may lead through objects and arrays (RFC 6901 §4).
pub(super) fn pointed_at<'v>(value: &'v Value, pointer: &str) -> Option<&'v Value> {
    pointer.split('/').skip(1).try_fold(value, |value, token| match value {
        Value::Object(members) if !token.contains('~') => members.get(token),
        Value::Object(members) => {
            let mut name = String::new();
            for (at, part) in token.split('~').enumerate() {
                let rest = part.get(1..).filter(|_| at > 0);
                if rest.is_some() {
                    name.push(if part.starts_with('0') { '~' } else { '/' });
                }
                name.push_str(rest.unwrap_or(part));
            }
            members.get(&name)
        }
        Value::Array(items) => {
            let is_index = token == "0" || !token.starts_with(['0', '+']);
            items.get(token.parse::<usize>().ok().filter(|_| is_index)?)
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    })
}
