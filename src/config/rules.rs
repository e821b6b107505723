//! Reading what is allowed on a connection.

use super::caller::{self, Callers};
use super::reader::Reader;
use super::{Rule, syntax};

const FIELDS: &[&str] = &["callers", "methods", "paths", "rate_limit"];

/// Reads the rules of a connection. The kinds of callers that need no
/// configuration may be named without any: those named are added to `callers`.
pub(super) fn read(reader: &mut Reader<'_, '_>, callers: &mut Callers) -> Vec<Rule> {
    const ITEM: &str = "must be a table of callers, methods and paths";
    let before = reader.count();
    let mut rules = Vec::new();
    let items = reader.array("rules", true, "must be an array of at least one rule");
    for (at, item) in items.iter().enumerate() {
        if let Some(mut rule) = reader.item("rules", at, item, ITEM) {
            rules.push(read_rule(&mut rule, callers));
        }
    }
    let is_usable = |name: &String| callers.get(name).is_some_and(Option::is_some);
    if reader.count() == before && !rules.iter().flat_map(|rule| &rule.callers).any(is_usable) {
        reader.report("rules", "name no caller that can be used");
    }
    rules
}

fn read_rule(reader: &mut Reader<'_, '_>, callers: &mut Callers) -> Rule {
    let rule = Rule {
        callers: reader.list("callers", true, "must be an array of at least one caller's name", |name| {
            caller::resolve(name, callers)
        }),
        methods: reader.list("methods", true, "must be an array of at least one method", syntax::method),
        paths: reader.list("paths", true, "must be an array of at least one path", syntax::path_pattern),
    };
    // A limit that nothing enforces must not be believed in.
    if reader.has("rate_limit") {
        reader.report("rate_limit", "rate limits are not available yet");
    }
    reader.only(FIELDS);
    rule
}
