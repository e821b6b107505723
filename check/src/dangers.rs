//! Settings that are allowed but seldom intended.

use porteiro::config::{
    Authorization, Caller, Config, Configured, Connection, Grant, KeySource, Rule, Variables, shown,
};
use porteiro::http::{EndpointUrl, Method, Origin, PathPattern, RequestPath};
use serde_json::Value;

use crate::report::Report;
use crate::scope::Scope;
use crate::sharing::SharedRule;
use crate::variables::structure;

/// The number of origins above which the check warns.
const MAX_ORIGINS: usize = 10;

const LOOPBACK: &str =
    "is a loopback address: write the https address, for on Cloudflare nothing answers at this one";

/// The address that `porteiro add` writes where each customer has their own: nothing is at a name of
/// RFC 2606.
const PLACEHOLDER: &str = "https://your-server.example";

const UNFILLED: &str = "is no address yet: write that of your own server";

const LOOPBACK_ORIGIN: &str = "is a loopback origin, and any program on a visitor's machine may serve it: remove it here, and for development write ALLOWED_ORIGINS='[\"http://localhost:5173\"]' in .dev.vars, which is not deployed";

/// Warns of dangerous settings in `config`, which was read from `variables`. With `local`, loopback
/// addresses are allowed.
pub(crate) fn check(
    scope: &Scope<'_>,
    variables: &Variables,
    config: &Config,
    local: bool,
    report: &mut Report,
) {
    let mut warnings = Warnings { scope, report, local };
    warnings.origins(&structure(variables, "ALLOWED_ORIGINS"), config);
    if structure(variables, "SESSION_CROSS_SITE") == Value::Bool(true) {
        warnings.add(
            "SESSION_CROSS_SITE",
            "lets pages of other sites use the session's cookie: write false unless a page must be on another site",
        );
    }
    let callers = structure(variables, "CALLERS");
    for (id, caller) in config.callers.iter() {
        warnings.caller(&format!("CALLERS.{}", shown(id)), callers.get(id), caller.usable());
    }
    let connections = structure(variables, "CONNECTIONS");
    for id in config.ids() {
        if let Some(connection) = config.connection(id).and_then(Configured::usable) {
            warnings.connection(
                &format!("CONNECTIONS.{}", shown(id)),
                connections.get(id),
                connection,
                config,
            );
        }
    }
    for (name, fields) in structure(variables, "TEMPLATES").as_object().into_iter().flatten() {
        let provider = fields.get("provider").and_then(Value::as_str).unwrap_or_default();
        if fields.get("grant").is_none_or(|grant| grant != "token_exchange") {
            warnings.shared(&format!("TEMPLATES.{}", shown(name)), Some(fields), provider, config);
        }
    }
    for id in config.ids() {
        if let Some(webhook) = config.webhook(id).and_then(Configured::usable) {
            let address = &webhook.receiver.address;
            warnings.address(&format!("CONNECTIONS.{}.webhook.forward_to", shown(id)), address);
        }
    }
    if let Some(events) = &config.events {
        warnings.address("EVENTS.to", &events.address);
    }
}

struct Warnings<'a, 't> {
    scope: &'a Scope<'t>,
    report: &'a mut Report,
    local: bool,
}

impl Warnings<'_, '_> {
    fn add(&mut self, field: &str, message: &str) {
        self.report.warnings.push(self.scope.variable(field, message));
    }

    fn address(&mut self, field: &str, address: &str) {
        // Only loopback hosts may use http.
        if !self.local && address.starts_with("http://") {
            self.add(field, LOOPBACK);
        }
        if address.starts_with(PLACEHOLDER) {
            self.add(field, UNFILLED);
        }
    }

    fn origins(&mut self, origins: &Value, config: &Config) {
        const NAME: &str = "ALLOWED_ORIGINS";
        let origins = origins.as_array().map(Vec::as_slice).unwrap_or_default();
        if origins.len() > MAX_ORIGINS {
            self.add(
                NAME,
                "are more than 10: each page on them may call as its visitors, so keep those that somebody looks after",
            );
        }
        for (at, origin) in origins.iter().enumerate() {
            let origin = origin.as_str().and_then(Origin::parse);
            if !self.local && origin.is_some_and(|origin| is_on_this_machine(&origin)) {
                self.add(&format!("{NAME}[{at}]"), LOOPBACK_ORIGIN);
            }
        }
        let is_page = |name: &String| {
            matches!(config.callers.get(name), Some(Configured::Usable(Caller::Anyone | Caller::Session(_))))
        };
        let mut connections = config.ids().filter_map(|id| config.connection(id)?.usable());
        let has_pages = connections.any(|connection| {
            connection.is_for_signing_in_only
                || connection.rules.iter().flat_map(|rule| &rule.callers).any(is_page)
        });
        if has_pages && origins.is_empty() && config.base_path.is_empty() {
            self.add(
                NAME,
                "is empty: name the origins of the pages, unless they are on the broker's own host",
            );
        }
    }

    /// `fields` are the caller's fields in the file, without presets.
    fn caller(&mut self, path: &str, fields: Option<&Value>, caller: Option<&Caller>) {
        let Some(Caller::Jwt(caller)) = caller else { return };
        for name in ["issuer", "team_domain"].into_iter().filter(|name| has(fields, name)) {
            self.address(&format!("{path}.{name}"), &caller.expectation.issuer);
        }
        if let KeySource::Document(address) = &caller.keys
            && has(fields, "jwks_url")
        {
            self.address(&format!("{path}.jwks_url"), address);
        }
    }

    fn connection(&mut self, path: &str, fields: Option<&Value>, connection: &Connection, config: &Config) {
        if !connection.is_for_signing_in_only {
            self.address(&format!("{path}.base_url"), connection.base_url.as_str());
        }
        if let Grant::AuthorizationCode { authorization, .. } = &connection.grant {
            let Authorization { issuer, authorize_url, revocation_url, .. } = &**authorization;
            let [authorize_url, revocation_url] =
                [authorize_url, revocation_url].map(|url| url.as_ref().map(EndpointUrl::as_str));
            for (name, address) in [
                ("issuer", issuer.as_deref()),
                ("authorize_url", authorize_url),
                ("revocation_url", revocation_url),
            ] {
                if let Some(address) = address {
                    self.address(&format!("{path}.{name}"), address);
                }
            }
        }
        if let Some(endpoint) = connection.grant.endpoint()
            && has(fields, "token_url")
        {
            self.address(&format!("{path}.token_url"), endpoint.url.as_str());
        }
        if connection.provider.as_str() == "v8"
            && connection.grant.endpoint().is_some()
            && !has(fields, "token_url")
        {
            self.add(
                &format!("{path}.token_url"),
                "is the address that V8 documents, https://api.v8digital.com/oauth/token, which others found dead: \
                 where it does not answer, write https://auth.v8sistema.com/oauth/token",
            );
        }
        if matches!(connection.grant, Grant::SignIn { .. }) {
            self.add(
                &format!("{path}.subject"),
                "sends people's own passwords through your page: use it only where the API has no better grant",
            );
        }
        if let Some(at) = connection.rules.iter().position(posts_alone) {
            self.add(
                &format!("{path}.rules[{at}].methods"),
                "allow POST without PUT, PATCH and DELETE, and where the API reads a method in a form or JSON body (_method, as Laravel, Symfony and Rails do) a POST is any of them: allow POST only where the callers may do all of that",
            );
        }
        for (at, rule) in connection.rules.iter().enumerate() {
            let path = format!("{path}.rules[{at}]");
            self.rule(&path, rule, config);
            for acting in &connection.acting_gets {
                self.acting_get(&path, rule, acting, config);
            }
        }
        if connection.grant.is_shared() {
            self.shared(path, fields, connection.provider.as_str(), config);
        }
    }

    /// Warns of each rule that opens a shared account to people without binding them.
    fn shared(&mut self, path: &str, fields: Option<&Value>, provider: &str, config: &Config) {
        let rules = fields.and_then(|fields| fields.get("rules")).and_then(Value::as_array);
        for (at, rule) in rules.into_iter().flatten().enumerate() {
            if let Some(warning) = (SharedRule { rule, provider, config }).warning() {
                self.add(&format!("{path}.rules[{at}]"), &warning);
            }
        }
    }

    /// Warns if a browser's caller may use `acting`, a `GET` with a side effect: a link could trigger it.
    fn acting_get(&mut self, path: &str, rule: &Rule, acting: &PathPattern, config: &Config) {
        let by_browser = |name: &String| {
            matches!(config.callers.get(name), Some(Configured::Usable(Caller::Anyone | Caller::Session(_))))
        };
        if !rule.methods.iter().any(|method| method.allows("GET")) || !rule.callers.iter().any(by_browser) {
            return;
        }
        let example = acting.as_str().replace('*', "1");
        let Ok(example) = RequestPath::parse(&example) else { return };
        for (at, _) in rule.paths.iter().enumerate().filter(|(_, pattern)| pattern.matches(example)) {
            self.add(
                &format!("{path}.paths[{at}]"),
                &format!(
                    "has a GET that changes something, {}: name the paths that are needed",
                    acting.as_str()
                ),
            );
        }
    }

    fn rule(&mut self, path: &str, rule: &Rule, config: &Config) {
        let is_anyone =
            |name: &String| matches!(config.callers.get(name), Some(Configured::Usable(Caller::Anyone)));
        for (at, _) in rule.callers.iter().enumerate().filter(|(_, name)| is_anyone(name)) {
            self.add(
                &format!("{path}.callers[{at}]"),
                "is whoever calls, for an origin is no credential: allow nothing here that may not be public",
            );
        }
        if rule.rate_limit.is_none() && rule.callers.iter().any(is_anyone) {
            self.add(
                path,
                "has no rate_limit, and anyone may call: write one, such as { requests = 30, seconds = 60 }",
            );
        }
        if !rule.methods.iter().any(writes) {
            return;
        }
        for (at, _) in rule.paths.iter().enumerate().filter(|(_, pattern)| is_everything(pattern)) {
            self.add(
                &format!("{path}.paths[{at}]"),
                "is every path, by methods that write: name the paths that the callers need",
            );
        }
    }
}

/// Whether `origin` is on a loopback host; `http` is allowed on no other.
fn is_on_this_machine(origin: &Origin) -> bool {
    let (scheme, host) = origin.as_str().split_once("://").unwrap_or_default();
    scheme == "http" || Origin::parse(&format!("http://{host}")).is_some()
}

fn has(fields: Option<&Value>, name: &str) -> bool {
    fields.is_some_and(|fields| fields.get(name).is_some())
}

fn writes(method: &Method) -> bool {
    !matches!(method.as_str(), "GET" | "HEAD" | "OPTIONS")
}

/// Whether a rule allows `POST`, but not every method that a body can turn a `POST` into.
fn posts_alone(rule: &Rule) -> bool {
    let allows = |name: &str| rule.methods.iter().any(|method| method.as_str() == name);
    allows("POST") && !["PUT", "PATCH", "DELETE"].into_iter().all(allows)
}

fn is_everything(pattern: &PathPattern) -> bool {
    let has = |path| RequestPath::parse(path).is_ok_and(|path| pattern.matches(path));
    has("/") && has("/a/b")
}
