//! Rules by which people reach a shared account without being bound to their own data (OWASP
//! API1:2023, broken object level authorization).

use porteiro::config::{Caller, Config, Configured, SessionCaller};
use serde_json::Value;

/// One rule of a connection, as in the file.
pub(crate) struct SharedRule<'c> {
    pub rule: &'c Value,
    /// The provider's name.
    pub provider: &'c str,
    pub config: &'c Config,
}

impl SharedRule<'_> {
    /// The warning about a rule that lets a person or `anyone` in, and binds nothing to who calls.
    pub(crate) fn warning(&self) -> Option<String> {
        let is_named =
            |is_kind: fn(&Caller) -> bool| self.texts("callers").any(|name| self.is(name, is_kind));
        let is_for_anyone = is_named(|caller| matches!(caller, Caller::Anyone));
        let is_for_session = is_named(|caller| matches!(caller, Caller::Session(_)));
        let is_for_nameless =
            is_named(|caller| matches!(caller, Caller::Session(session) if session.connection.is_none()));
        let is_for_token = is_named(|caller| matches!(caller, Caller::Jwt(_)));
        if !(is_for_anyone || is_for_session || is_for_token) || self.binds(is_for_anyone) {
            return None;
        }
        let hint = if is_for_anyone || is_named(|caller| matches!(caller, Caller::Key(_))) {
            " in a rule whose callers all have a token: no key and not anyone"
        } else if is_for_nameless {
            " in a rule for callers of kind jwt, or session with a connection, for any other session has no claims; or give the connection subject = \"user\""
        } else {
            ""
        };
        Some(format!(
            "binds nothing to who calls, and the account is shared: whoever it lets in reaches everybody's data; \
             write, as fits the API, {}{hint}",
            self.example()
        ))
    }

    /// Whether the rule binds anything to who calls. What is the same for everybody, a fixed text, a
    /// label or the connection, does so in `claims` alone; for those without claims, in a query or a
    /// body, too.
    fn binds(&self, is_for_anyone: bool) -> bool {
        let values = |field| self.rule.get(field).and_then(Value::as_object).into_iter().flatten();
        let is_bound = |value: &Value| is_for_anyone || value.as_str().is_some_and(has_claim);
        values("claims").any(|(name, value)| !is_always_true(name, value))
            || (self.texts("paths").next().is_some() && self.texts("paths").all(has_claim))
            || values("query").chain(values("body")).any(|(_, value)| is_bound(value))
    }

    /// The field that would bind the rule. It holds none of the file's own values.
    fn example(&self) -> &'static str {
        const TENANT: &str = "claims = { tenant = \"{connection}\" }";
        let all_methods = |wanted: &[&str]| self.texts("methods").all(|method| wanted.contains(&method));
        let all_paths = |part: &str| self.texts("paths").all(|path| path.contains(part));
        // What a `*` stands for, a parameter beside it does not choose; V8 documents none of a seller.
        if self.provider == "v8" || self.texts("paths").any(|path| path.contains('*')) {
            TENANT
        } else if all_methods(&["POST", "PUT", "PATCH"]) {
            "body = { \"/customer\" = \"{claims.sub}\" }"
        } else if !all_methods(&["GET", "HEAD"]) {
            TENANT
        } else if self.provider == "hubsoft" && all_paths("/cliente") {
            "query = { busca = \"cpf_cnpj\", termo_busca = \"{claims.cpf}\" }"
        } else if self.provider == "guru" && all_paths("/transactions") {
            "query = { contact_email = \"{claims.email}\" }"
        } else {
            "query = { customer = \"{claims.sub}\" }"
        }
    }

    fn texts(&self, field: &str) -> impl Iterator<Item = &str> {
        self.rule.get(field).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
    }

    /// Whether a caller is of a kind. `anyone` and `session` need no entry.
    fn is(&self, name: &str, is_kind: fn(&Caller) -> bool) -> bool {
        match (self.config.callers.get(name), name) {
            (Some(Configured::Usable(caller)), _) => is_kind(caller),
            (None, "anyone") => is_kind(&Caller::Anyone),
            (None, "session") => is_kind(&Caller::Session(SessionCaller::default())),
            _ => false,
        }
    }
}

fn has_claim(text: &str) -> bool {
    text.contains("{claims.")
}

/// Whether a demanded claim is compared with itself.
fn is_always_true(name: &str, value: &Value) -> bool {
    let is_itself = |value: &Value| {
        value.as_str().and_then(|text| text.strip_prefix("{claims.")?.strip_suffix('}')) == Some(name)
    };
    is_itself(value) || value.as_array().is_some_and(|values| values.iter().any(is_itself))
}
