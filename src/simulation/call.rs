//! A call to a site, and its answer.

use serde_json::Value;

use super::site::Site;
use crate::http::Headers;

/// A request to the broker.
#[derive(Clone, Debug)]
pub struct Call {
    pub method: &'static str,
    pub target: String,
    pub fields: Vec<(&'static str, String)>,
    pub body: usize,
}

/// An answer of the broker.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answered {
    pub status: u16,
    pub fields: String,
    pub body: String,
    /// How often the call was sent to the upstream.
    pub sent: u32,
}

impl Answered {
    pub fn field(&self, name: &str) -> Option<&str> {
        Headers::new(&self.fields).value(name)
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("a JSON body")
    }

    pub fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }

    /// Where the token came from, as `Server-Timing` tells it.
    pub fn token_source(&self) -> &str {
        self.field("server-timing").and_then(|timing| timing.split('"').nth(1)).unwrap_or_default()
    }
}

impl Call {
    /// A `GET` by the caller `backend`.
    pub fn get(target: &str) -> Self {
        Self {
            method: "GET",
            target: target.to_owned(),
            fields: vec![("authorization", format!("Bearer {}", Site::CALLER_KEY))],
            body: 0,
        }
    }

    pub fn method(self, method: &'static str) -> Self {
        Self { method, ..self }
    }

    pub fn body(self, body: usize) -> Self {
        Self { body, ..self }
    }

    /// Sets a field, or removes it where `value` is empty.
    pub fn field(mut self, name: &'static str, value: &str) -> Self {
        self.fields.retain(|(known, _)| *known != name);
        if !value.is_empty() {
            self.fields.push((name, value.to_owned()));
        }
        self
    }
}
