//! A call to a site, and the broker's answer.

use serde_json::Value;

use super::issuer::Subject;
use super::site::Site;
use porteiro::edge::COMMON_FIELDS;
use porteiro::edge::people::cookie::COOKIE;
use porteiro::http::Headers;

/// A request to the broker.
#[derive(Clone, Debug)]
pub struct Call {
    /// The method.
    pub method: &'static str,
    /// The address of the broker: scheme and authority.
    pub address: &'static str,
    /// The path and the query.
    pub target: String,
    /// The header fields.
    pub fields: Vec<(&'static str, String)>,
    /// The size of the body, in bytes.
    pub body: usize,
    /// The body, if the broker itself reads it.
    pub text: Option<String>,
}

/// An answer of the broker.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answered {
    /// The status.
    pub status: u16,
    /// The header fields, as [`Headers`] writes them.
    pub fields: String,
    /// The body.
    pub body: String,
    /// How many times the call was sent to the upstream.
    pub sent: u32,
    /// Whether the broker redacts the token in the upstream's body.
    pub veiled: bool,
}

/// The complete header fields of an answer whose own fields are `fields`. Fields of the same name
/// are joined into one line, as a runtime reports them.
pub fn whole_fields(fields: &str) -> String {
    const POLICY: &str = "content-security-policy";
    let mut whole: Vec<(&str, String)> = Vec::new();
    let has_own_policy = Headers::new(fields).value(POLICY).is_some();
    let common = COMMON_FIELDS.into_iter().filter(|(name, _)| !(has_own_policy && *name == POLICY));
    for (name, value) in common.chain(Headers::new(fields).iter()) {
        match whole.iter_mut().find(|(known, _)| *known == name && name != "set-cookie") {
            Some((_, known)) => known.extend([", ", value]),
            None => whole.push((name, value.to_owned())),
        }
    }
    whole.iter().map(|(name, value)| format!("{name}:{value}")).collect::<Vec<_>>().join("\n")
}

impl Answered {
    /// The value of a field.
    pub fn field(&self, name: &str) -> Option<&str> {
        Headers::new(&self.fields).value(name)
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("a JSON body")
    }

    /// The error code in the body; empty if there is none.
    pub fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }

    /// The value of the cookie that the answer sets.
    pub fn cookie(&self) -> Option<&str> {
        let (name, value) = self.field("set-cookie")?.split(';').next()?.split_once('=')?;
        assert_eq!(name, COOKIE);
        Some(value).filter(|value| !value.is_empty())
    }

    /// All cookies that the answer sets, by name; a value is empty where one is deleted.
    pub fn cookies(&self) -> Vec<(String, String)> {
        let fields = Headers::new(&self.fields);
        let set = fields.iter().filter(|(name, _)| *name == "set-cookie");
        let pairs = set.filter_map(|(_, value)| value.split(';').next()?.split_once('='));
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    /// The source of the token, from `Server-Timing`.
    pub fn token_source(&self) -> &str {
        self.field("server-timing").and_then(|timing| timing.split('"').nth(1)).unwrap_or_default()
    }
}

impl Call {
    /// A `GET` by the caller `backend`.
    pub fn get(target: &str) -> Self {
        Self {
            method: "GET",
            address: Site::ADDRESS,
            target: target.to_owned(),
            fields: vec![("authorization", format!("Bearer {}", Site::CALLER_KEY))],
            body: 0,
            text: None,
        }
    }

    /// A `GET` by whoever this token of an issuer is of.
    pub fn with_token(target: &str, token: &str) -> Self {
        Self::get(target).field("authorization", &format!("Bearer {token}"))
    }

    /// Whom the call's token names, if it has one of an issuer.
    pub fn subject(&self) -> Option<Subject> {
        let (_, sent) = self.fields.iter().find(|(name, _)| *name == "authorization")?;
        Subject::of(sent.strip_prefix("Bearer ")?)
    }

    /// A sign-in from a page of an allowed origin.
    pub fn sign_in(connection: &str, username: &str, password: &str) -> Self {
        let body = serde_json::json!({ "username": username, "password": password });
        Self::from_page("POST", &format!("/auth/{connection}/login"))
            .field("content-type", "application/json")
            .text(&body.to_string())
    }

    /// A call without credentials from a page of an allowed origin.
    pub fn from_page(method: &'static str, target: &str) -> Self {
        Self::get(target).method(method).field("authorization", "").field("origin", "https://app.example")
    }

    /// The same call with a body that the broker itself reads.
    #[must_use]
    pub fn text(self, text: &str) -> Self {
        Self { text: Some(text.to_owned()), ..self }
    }

    /// The same call with the session's cookie, if given.
    #[must_use]
    pub fn cookie(self, value: Option<&str>) -> Self {
        let cookie = value.map(|value| format!("{COOKIE}={value}")).unwrap_or_default();
        self.field("cookie", &cookie)
    }

    /// The same call to another address of the broker.
    #[must_use]
    pub fn at(self, address: &'static str) -> Self {
        Self { address, ..self }
    }

    /// The same call with another method.
    #[must_use]
    pub fn method(self, method: &'static str) -> Self {
        Self { method, ..self }
    }

    /// The same call with a body of `bytes` bytes.
    #[must_use]
    pub fn body(self, body: usize) -> Self {
        Self { body, ..self }
    }

    /// Sets a header field, or removes it if `value` is empty.
    #[must_use]
    pub fn field(mut self, name: &'static str, value: &str) -> Self {
        self.fields.retain(|(known, _)| *known != name);
        if !value.is_empty() {
            self.fields.push((name, value.to_owned()));
        }
        self
    }
}
