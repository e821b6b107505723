//! Reading the rules of a connection.

use serde_json::Value;

use super::additions::Additions;
use super::binding::{Binding, ClaimValue};
use super::caller;
use super::jwt;
use super::limits::{CACHE_SECONDS, RATE_REQUESTS, RATE_SECONDS, STALE_SECONDS};
use super::reader::Reader;
use super::template::{NO_CLAIMS, Names};
use super::{CacheTerms, Caller, Callers, Configured, RateLimit, Rule, syntax};
use crate::http::{ParameterName, QueryBinding, Template};

const FIELDS: &[&str] =
    &["callers", "methods", "paths", "rate_limit", "cache", "claims", "query", "query_allowed", "body"];

/// Why a rule cannot name a parameter.
const ADDED: &str = "is a parameter that the connection's query adds to each call: no caller can send it";

/// How many of the fields bind nothing.
const UNBOUND: usize = 5;

/// Whom the rules of a connection are for.
pub(super) struct Subjects<'c> {
    pub connection: &'c str,
    pub labels: &'c [(String, String)],
    /// Whether each person has a token set of their own, so that only sessions can call.
    pub are_people: bool,
    /// What the connection adds to each call.
    pub added: Option<&'c Additions>,
    /// Whether each caller's own token is exchanged, so that only those who have one can call.
    pub are_callers: bool,
}

/// Reads the rules of a connection. They may name `callers`, and those that need no configuration.
pub(super) fn read(reader: &mut Reader<'_, '_>, callers: &Callers, of: &Subjects<'_>) -> Vec<Rule> {
    const ITEM: &str = "must be a table of callers, methods and paths";
    let before = reader.count();
    let mut rules = Vec::new();
    let items = reader.array("rules", true, "must be an array of at least one rule");
    for (at, item) in items.iter().enumerate() {
        if let Some(mut rule) = reader.item("rules", at, item, ITEM) {
            rules.push(read_rule(&mut rule, callers, of));
        }
    }
    let is_usable = |name: &String| caller::find(name, callers).is_ok_and(Configured::is_usable);
    if reader.count() == before && !rules.iter().flat_map(|rule| &rule.callers).any(is_usable) {
        reader.report("rules", "name no caller that can be used");
    }
    rules
}

fn read_rule(reader: &mut Reader<'_, '_>, callers: &Callers, of: &Subjects<'_>) -> Rule {
    const NO_TOKEN: &str =
        "must be a caller of kind jwt or cloudflare-access: the caller's own token is exchanged";
    const NO_SESSION: &str = "must be a caller of kind session: the token sets belong to people";
    let named = reader.list("callers", true, "must be an array of at least one caller's name", &|name| {
        let fits = match caller::find(name, callers)? {
            Configured::Broken => true,
            Configured::Usable(Caller::Session(_)) => !of.are_callers,
            Configured::Usable(Caller::Jwt(_)) => !of.are_people,
            Configured::Usable(Caller::Key(_) | Caller::Anyone) => !of.are_people && !of.are_callers,
        };
        match of.are_callers {
            _ if fits => Ok(name.to_owned()),
            true => Err(NO_TOKEN),
            false => Err(NO_SESSION),
        }
    });
    let has_none = |name: &String| match caller::find(name, callers) {
        Ok(Configured::Usable(Caller::Key(_) | Caller::Anyone)) => true,
        Ok(Configured::Usable(Caller::Session(session))) => session.connection.is_none(),
        Ok(Configured::Usable(Caller::Jwt(_)) | Configured::Broken) | Err(_) => false,
    };
    let have_claims = !named.iter().any(has_none);
    let terms = Names { connection: of.connection, labels: of.labels, have_claims, added: of.added };
    let mut rule = Rule {
        callers: named,
        methods: reader.list("methods", true, "must be an array of at least one method", &syntax::method),
        paths: reader
            .list("paths", true, "must be an array of at least one path", &|text| terms.path_pattern(text)),
        rate_limit: reader.has("rate_limit").then(|| read_rate_limit(reader)).flatten(),
        cache: None,
        binding: read_binding(reader, &terms),
    };
    if reader.has("cache") {
        rule.cache = read_cache(reader, &rule, of);
    }
    if reader.has("body") && rule.methods.iter().any(|method| matches!(method.as_str(), "GET" | "HEAD")) {
        reader.report("body", "needs methods that have a body: name neither GET nor HEAD in this rule");
    }
    reader.only(FIELDS);
    rule
}

fn read_binding(reader: &mut Reader<'_, '_>, names: &Names<'_>) -> Option<Box<Binding>> {
    let is_bound = FIELDS.iter().skip(UNBOUND).any(|field| reader.has(field));
    is_bound.then(|| Box::new(read_bound(reader, names)))
}

// Few rules bind anything: an isolate compiles only what it runs.
#[inline(never)]
fn read_bound(reader: &mut Reader<'_, '_>, names: &Names<'_>) -> Binding {
    let claims = read_claims(reader, names);
    let query = read_query(reader, names);
    let body = read_templates(reader, "body", names, &mut |pointer| {
        if syntax::is_json_pointer(pointer) {
            Ok(())
        } else {
            Err("must have a JSON Pointer as its name, such as /customer/id")
        }
    });
    Binding { claims, query, body }
}

fn read_claims(reader: &mut Reader<'_, '_>, names: &Names<'_>) -> Vec<(String, Vec<ClaimValue>)> {
    if reader.has("claims") && !names.have_claims {
        reader.report("claims", NO_CLAIMS);
    }
    let mut claims = Vec::new();
    for (name, values) in jwt::read_claims(reader) {
        let mut accepted = Vec::new();
        for value in values {
            match value.as_str().map(|text| names.template(text)) {
                Some(Ok(Template::Text(text))) => accepted.push(ClaimValue::Fixed(Value::String(text))),
                Some(Ok(Template::Claim(name))) => accepted.push(ClaimValue::Own(name)),
                Some(Err(message)) => reader.report(&format!("claims.{name}"), message),
                None => accepted.push(ClaimValue::Fixed(value)),
            }
        }
        claims.push((name, accepted));
    }
    claims
}

/// The query; `None` where the rule does not look at queries.
fn read_query(reader: &mut Reader<'_, '_>, names: &Names<'_>) -> Option<QueryBinding> {
    const ALLOWED: &str = "must be an array of at most 64 names, or [\"*\"]";
    let mut bound = Vec::new();
    for (name, template) in read_templates(reader, "query", names, &mut |_| Ok(())) {
        match syntax::parameter_name(&name) {
            Ok(parsed) if names.adds(&parsed) => reader.report(&format!("query.{name}"), ADDED),
            Ok(parsed) if !is_among(&parsed, &bound) => bound.push((parsed, template)),
            Ok(_) => reader.report(
                &format!("query.{name}"),
                "must be one name: a server can read another bound one as the same",
            ),
            Err(message) => reader.report(&format!("query.{name}"), message),
        }
    }
    let Some(value) = reader.value("query_allowed") else {
        return reader.has("query").then(|| QueryBinding { bound, allowed: Some(Vec::new()) });
    };
    let items = value.as_array().map_or(&[][..], Vec::as_slice);
    if matches!(items, [Value::String(any)] if any == "*") {
        return Some(QueryBinding { bound, allowed: None });
    }
    if items.len() > 64 {
        reader.report("query_allowed", ALLOWED);
    }
    let allowed = reader.list("query_allowed", false, ALLOWED, &|text| match syntax::parameter_name(text) {
        Ok(_) if text == "*" => Err("must stand alone where it means any name"),
        Ok(name) if names.adds(&name) => Err(ADDED),
        Ok(name) if is_among(&name, &bound) => {
            Err("must not be a bound name, nor what a server can read as one")
        }
        parsed => parsed,
    });
    Some(QueryBinding { bound, allowed: Some(allowed) })
}

fn is_among(name: &ParameterName, bound: &[(ParameterName, Template)]) -> bool {
    bound.iter().any(|(known, _)| known.conflicts_with(name))
}

/// Reads the table called `field` of templates by names that `check` accepts.
fn read_templates(
    reader: &mut Reader<'_, '_>,
    field: &str,
    names: &Names<'_>,
    check: &mut dyn FnMut(&str) -> Result<(), &'static str>,
) -> Vec<(String, Template)> {
    let Some(mut table) = reader.table(field) else { return Vec::new() };
    if !(1..=32).contains(&table.names().count()) {
        table.report_table("must be a table of 1 to 32 entries");
    }
    let mut templates = Vec::new();
    for name in table.names() {
        if let Err(message) = check(name) {
            table.report(name, message);
        }
        if let Some(template) = table.parse(name, &|text| names.template(text)) {
            templates.push((name.to_owned(), template));
        }
    }
    templates
}

// Few rules have one: an isolate compiles only what it runs.
#[inline(never)]
fn read_cache(reader: &mut Reader<'_, '_>, rule: &Rule, of: &Subjects<'_>) -> Option<CacheTerms> {
    let is_claim = |(_, template): &(ParameterName, Template)| matches!(template, Template::Claim(_));
    let binding = rule.binding.as_deref();
    let is_bound = rule.paths.iter().any(|path| path.as_str().contains("{claims."))
        || binding.is_some_and(|binding| {
            !binding.claims.is_empty()
                || binding.query.as_ref().is_some_and(|query| query.bound.iter().any(is_claim))
        });
    if !rule.methods.is_empty() && !rule.methods.iter().any(|method| method.as_str() == "GET") {
        reader.report("cache", "needs the method GET in this rule: no other answer is kept");
    }
    let mut table = reader.table("cache")?;
    if !table.has("seconds") {
        table.report("seconds", CACHE_SECONDS.what);
    }
    let (seconds, stale) =
        (table.number("seconds", &CACHE_SECONDS), table.number("stale_seconds", &STALE_SECONDS));
    let shared = table.flag("shared");
    if shared && (of.are_people || of.are_callers) {
        table.report("shared", "must be false: each person has a token of their own here");
    } else if shared && is_bound {
        table.report("shared", "must be false: this rule binds what each caller may see to their claims");
    }
    table.only(&["seconds", "stale_seconds", "shared"]);
    Some(CacheTerms {
        seconds: u32::try_from(seconds).ok()?,
        stale_seconds: u32::try_from(stale).ok()?,
        shared,
    })
}

#[inline(never)]
fn read_rate_limit(reader: &mut Reader<'_, '_>) -> Option<RateLimit> {
    let mut table = reader.table("rate_limit")?;
    let (requests, seconds) =
        (table.needed_number("requests", &RATE_REQUESTS), table.needed_number("seconds", &RATE_SECONDS));
    table.only(&["requests", "seconds"]);
    Some(RateLimit { requests: u32::try_from(requests).ok()?, seconds: u32::try_from(seconds).ok()? })
}
