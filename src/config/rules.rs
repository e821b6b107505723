//! Reading the rules of a connection.

use super::caller;
use super::limits::{RATE_REQUESTS, RATE_SECONDS};
use super::reader::Reader;
use super::{Caller, Callers, Configured, RateLimit, Rule, syntax};

const FIELDS: &[&str] = &["callers", "methods", "paths", "rate_limit"];

/// Reads the rules of a connection. Rules may name the callers that need no configuration; these
/// are added to `callers`. `for_people` says that each person has a token set of their own, so that
/// only sessions can call.
pub(super) fn read(reader: &mut Reader<'_, '_>, callers: &mut Callers, for_people: bool) -> Vec<Rule> {
    const ITEM: &str = "must be a table of callers, methods and paths";
    let before = reader.count();
    let mut rules = Vec::new();
    let items = reader.array("rules", true, "must be an array of at least one rule");
    for (at, item) in items.iter().enumerate() {
        if let Some(mut rule) = reader.item("rules", at, item, ITEM) {
            rules.push(read_rule(&mut rule, callers, for_people));
        }
    }
    let is_usable = |name: &String| callers.get(name).is_some_and(Configured::is_usable);
    if reader.count() == before && !rules.iter().flat_map(|rule| &rule.callers).any(is_usable) {
        reader.report("rules", "name no caller that can be used");
    }
    rules
}

fn read_rule(reader: &mut Reader<'_, '_>, callers: &mut Callers, for_people: bool) -> Rule {
    const NO_SESSION: &str = "must be a caller of kind session: the token sets belong to people";
    let rule = Rule {
        callers: reader.list("callers", true, "must be an array of at least one caller's name", |name| {
            let name = caller::resolve(name, callers)?;
            let fits = !for_people
                || matches!(
                    callers.get(&name),
                    Some(Configured::Broken | Configured::Usable(Caller::Session))
                );
            if fits { Ok(name) } else { Err(NO_SESSION) }
        }),
        methods: reader.list("methods", true, "must be an array of at least one method", syntax::method),
        paths: reader.list("paths", true, "must be an array of at least one path", syntax::path_pattern),
        rate_limit: read_rate_limit(reader),
    };
    reader.only(FIELDS);
    rule
}

fn read_rate_limit(reader: &mut Reader<'_, '_>) -> Option<RateLimit> {
    let mut table = reader.table("rate_limit")?;
    for (name, bounds) in [("requests", &RATE_REQUESTS), ("seconds", &RATE_SECONDS)] {
        if !table.has(name) {
            table.report(name, bounds.what);
        }
    }
    let (requests, seconds) =
        (table.number("requests", &RATE_REQUESTS), table.number("seconds", &RATE_SECONDS));
    table.only(&["requests", "seconds"]);
    Some(RateLimit { requests: u32::try_from(requests).ok()?, seconds: u32::try_from(seconds).ok()? })
}
