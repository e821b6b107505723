//! The settings that the Worker needs from wrangler besides its variables.

use serde_json::{Map, Value};

use crate::report::{Finding, Report};
use crate::scope::Scope;

const NAMESPACE: &str = "TOKENS";
const OBJECT: &str = "KEEPER";
const CLASS: &str = "Keeper";
const FLAG: &str = "global_fetch_strictly_public";

/// Checks the settings of `scope` that are not variables.
pub(crate) fn check(scope: &Scope<'_>, top: &Scope<'_>, report: &mut Report) {
    let found = [
        check_texts(scope, top),
        check_flags(scope, top),
        check_namespace(scope),
        check_object(scope),
        check_migrations(scope, top),
        check_logs(scope, top),
    ];
    report.problems.extend(found.into_iter().flatten());
    report.warnings.extend(check_rate_limits(scope));
}

/// Checks the texts without which wrangler deploys nothing.
fn check_texts(scope: &Scope<'_>, top: &Scope<'_>) -> Vec<Finding> {
    let needed = [
        ("name", "must be the Worker's name, such as \"porteiro\""),
        ("main", "must be \"build/index.js\""),
        ("compatibility_date", "must be a date in quotes, such as \"2026-11-01\""),
    ];
    let check = |(name, message)| {
        let (owner, value) = scope.inherited(top, name);
        (!value.is_some_and(Value::is_string)).then(|| owner.setting(name, message))
    };
    needed.into_iter().filter_map(check).collect()
}

/// Whether the broker is a module of another Worker, which has variables of its own.
pub(crate) fn is_mounted(scope: &Scope<'_>, top: &Scope<'_>) -> bool {
    let (_, main) = scope.inherited(top, "main");
    let is_broker = |main: &str| main.starts_with("build/") || main.ends_with("porteiro/worker/index.js");
    main.and_then(Value::as_str).is_some_and(|main| !is_broker(main))
}

fn check_flags(scope: &Scope<'_>, top: &Scope<'_>) -> Vec<Finding> {
    const NAME: &str = "compatibility_flags";
    let (owner, value) = scope.inherited(top, NAME);
    let has = items(value).iter().any(|flag| flag.as_str() == Some(FLAG));
    let message = format!("must name {FLAG}: addresses could be fetched inside the zone without it");
    if has { Vec::new() } else { vec![owner.setting(NAME, message)] }
}

fn check_namespace(scope: &Scope<'_>) -> Vec<Finding> {
    const NAME: &str = "kv_namespaces";
    let value = scope.settings.fields.get(NAME);
    let has = items(value).iter().any(|item| text(item, "binding") == Some(NAMESPACE));
    let message = format!(
        "must have the binding {NAMESPACE}: write [[{}{NAME}]] with binding = \"{NAMESPACE}\"{}",
        scope.prefix(),
        not_inherited(scope)
    );
    if has { Vec::new() } else { vec![scope.setting(NAME, message)] }
}

fn check_object(scope: &Scope<'_>) -> Vec<Finding> {
    const NAME: &str = "durable_objects.bindings";
    let value = scope.settings.fields.get("durable_objects").and_then(|table| table.get("bindings"));
    let found = items(value).iter().enumerate().find(|(_, item)| text(item, "name") == Some(OBJECT));
    match found {
        Some((_, item)) if text(item, "class_name") == Some(CLASS) => Vec::new(),
        Some((at, _)) => {
            vec![scope.setting(&format!("{NAME}[{at}].class_name"), format!("must be \"{CLASS}\""))]
        }
        None => {
            let message = format!(
                "must have the binding {OBJECT}: write [[{}{NAME}]] with name = \"{OBJECT}\" and class_name = \"{CLASS}\"{}",
                scope.prefix(),
                not_inherited(scope)
            );
            vec![scope.setting(NAME, message)]
        }
    }
}

/// A migration creates the class, or the newer table `exports` does.
fn check_migrations(scope: &Scope<'_>, top: &Scope<'_>) -> Vec<Finding> {
    const NAME: &str = "migrations";
    if scope.inherited(top, "exports").1.is_some_and(|exports| exports.get(CLASS).is_some()) {
        return Vec::new();
    }
    let (owner, value) = scope.inherited(top, NAME);
    let names = |item: &Value, list| items(item.get(list)).iter().any(|class| class.as_str() == Some(CLASS));
    if items(value).iter().any(|item| names(item, "new_sqlite_classes")) {
        return Vec::new();
    }
    let old = items(value).iter().position(|item| names(item, "new_classes"));
    let (field, message) = match old {
        Some(at) => (
            format!("{NAME}[{at}].new_classes"),
            format!("must not name {CLASS}: name it in new_sqlite_classes, its storage is SQLite"),
        ),
        None => (
            NAME.to_owned(),
            format!(
                "must make the class {CLASS}: write [[{}{NAME}]] with tag = \"v1\" and new_sqlite_classes = [\"{CLASS}\"]",
                owner.prefix()
            ),
        ),
    };
    vec![owner.setting(&field, message)]
}

/// If logs are kept, invocation logs must not be.
fn check_logs(scope: &Scope<'_>, top: &Scope<'_>) -> Vec<Finding> {
    const NAME: &str = "observability.logs.invocation_logs";
    let (owner, value) = scope.inherited(top, "observability");
    let none = Map::new();
    let table = value.and_then(Value::as_object).unwrap_or(&none);
    let logs = table.get("logs");
    let is = |value: Option<&Value>, answer| value.and_then(Value::as_bool) == Some(answer);
    let is_kept = is(table.get("enabled"), true) || is(logs.and_then(|logs| logs.get("enabled")), true);
    if !is_kept || is(logs.and_then(|logs| logs.get("invocation_logs")), false) {
        return Vec::new();
    }
    vec![
        owner.setting(
            NAME,
            "must be false: these logs hold the address of every call, with its path and query",
        ),
    ]
}

/// The Worker finds the binding of a rate limit by the numbers in its name.
fn check_rate_limits(scope: &Scope<'_>) -> Vec<Finding> {
    const NAME: &str = "ratelimits";
    let check = |(at, item): (usize, &Value)| {
        let (limit, period) = text(item, "name")?.strip_prefix("RATE_")?.split_once('_')?;
        let counts = |name, wanted: &str| {
            let number = item.get("simple").and_then(|simple| simple.get(name)).and_then(Value::as_u64);
            number.is_some_and(|number| wanted.parse() == Ok(number))
        };
        let message = "must count what the binding's name says: RATE_30_60 has { limit = 30, period = 60 }";
        let is_right = counts("limit", limit) && counts("period", period);
        (!is_right).then(|| scope.setting(&format!("{NAME}[{at}].simple"), message))
    };
    items(scope.settings.fields.get(NAME)).iter().enumerate().filter_map(check).collect()
}

/// The names of the bindings that have `fetch`, as the Worker learns of them.
pub(crate) fn fetchers(scope: &Scope<'_>) -> Value {
    let tables = ["mtls_certificates", "services"].into_iter();
    let bound = tables.flat_map(|name| items(scope.settings.fields.get(name)));
    bound.filter_map(|item| text(item, "binding")).collect()
}

fn not_inherited(scope: &Scope<'_>) -> &'static str {
    if scope.name.is_some() { "; environments do not inherit it" } else { "" }
}

fn items(value: Option<&Value>) -> &[Value] {
    value.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn text<'v>(item: &'v Value, name: &str) -> Option<&'v str> {
    item.get(name).and_then(Value::as_str)
}
