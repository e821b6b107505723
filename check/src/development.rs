//! The variables for running locally, which are never deployed.
//!
//! The Worker's own code reads them, over those of the file. A finding has names and fixed texts.

use std::fmt;

use porteiro::config::{Variables, secret_name, shown};
use serde::Deserialize;
use serde_json::Value;

use crate::report::{DevFinding, Report};
use crate::scope::Scope;
use crate::variables::{ADMIN_KEY, Completed, EVENTS_SECRET, SEALING_KEYS, distance, placed};

const FILE: &str = ".dev.vars";
const MADE: &str = "`npm run setup` makes it in .dev.vars";
const COPIED: &str = "copy it from .dev.vars, where `npm run setup` makes it";
const PLACEHOLDER: &str = "looks like a placeholder: write the value itself";
const BROKEN: &str = "looks pasted wrong: it begins or ends with a line break; set it again without";
const ORIGINS: &str = "ALLOWED_ORIGINS";
const SECRET_ENDS: [&str; 11] = [
    "ACCOUNT_TOKEN",
    "WEBHOOK_SECRET",
    "TOKEN",
    "USERNAME",
    "PASSWORD",
    "REFRESH_TOKEN",
    "CLIENT_SECRET",
    "CLIENT_ID",
    "AUDIENCE",
    "PRIVATE_KEY",
    "SERVICE_ACCOUNT",
];

/// The variables of a `.dev.vars`, as wrangler reads them.
#[derive(Clone, Deserialize)]
pub struct DevVars {
    /// The environment; empty for the top level.
    pub environment: String,
    /// The file's name in findings.
    pub file: String,
    /// The variables.
    pub variables: Variables,
}

impl fmt::Debug for DevVars {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DevVars").field("file", &self.file).finish_non_exhaustive()
    }
}

/// Checks the Worker of `scope`, whose file has the variables `fields`, with `vars`.
pub(crate) fn check(scope: &Scope<'_>, fields: &Variables, vars: &DevVars, report: &mut Report) {
    let mut merged = fields.clone();
    merged.extend(vars.variables.clone());
    let deployed = Completed::of(fields);
    let whole = Completed::of(&merged);
    let mut add = |field: &str, message: String| {
        let (environment, file) = (scope.name.as_deref().map(shown), vars.file.clone());
        report.development.push(DevFinding { environment, file, field: field.to_owned(), message });
    };

    let is_empty = |name: &str| merged.get(name).is_none_or(|value| value == "");
    let missing = || whole.absent.iter().map(String::as_str);
    let last = is_empty(ADMIN_KEY).then_some(ADMIN_KEY);
    let first = missing().filter(|name| *name == SEALING_KEYS);
    let is_used = |name: &str| deployed.absent.iter().any(|used| used == name) || name == ADMIN_KEY;
    for name in first.chain(missing().filter(|name| *name != SEALING_KEYS)).chain(last) {
        let near = vars.variables.keys().find(|key| !is_used(key) && distance(key, name) <= 2);
        let near = near.map(|key| format!("; {}, which is there, is not read", shown(key)));
        let what = lost(name, &whole, &merged, vars);
        add(name, format!("is not set: {what}{}", near.unwrap_or_default()));
    }

    // What follows from a problem of theirs, elsewhere in the file, is not told as well.
    let is_theirs =
        |field: &str| vars.variables.contains_key(field.split(['.', '[']).next().unwrap_or(field));
    let own = whole
        .problems
        .iter()
        .filter(|it| !it.is_missing_secret() && is_theirs(it.field()) && !deployed.problems.contains(it));
    let mut wrong = Vec::new();
    for problem in own {
        let hint = if problem.field().starts_with(ORIGINS) {
            ", as JSON: ALLOWED_ORIGINS='[\"http://localhost:5173\"]'"
        } else {
            ""
        };
        add(problem.field(), format!("{}{hint}", problem.message()));
        wrong.push(problem.field());
    }
    for (name, value) in &vars.variables {
        if !is_used(name) || wrong.contains(&name.as_str()) || is_file(name) {
            continue;
        }
        if is_placeholder(name, value) {
            add(name, PLACEHOLDER.to_owned());
        } else if value.as_str().is_some_and(is_broken) {
            add(name, BROKEN.to_owned());
        }
    }
}

/// What does not work without the secret called `name`.
fn lost(name: &str, whole: &Completed, fields: &Variables, vars: &DevVars) -> String {
    let made = if vars.file == FILE { MADE } else { COPIED };
    match name {
        SEALING_KEYS => return format!("every call is answered 503 misconfigured; {made}"),
        EVENTS_SECRET => return "no event is told the operator".to_owned(),
        ADMIN_KEY => return format!("nobody is an operator, and no connection can be registered; {made}"),
        _ => {}
    }
    if let Some(caller) = whole.config.callers.keys().find(|id| secret_name(id, "KEY") == name) {
        return format!("nobody can call as {}", shown(caller));
    }
    if let Some((id, _)) = placed(fields).find(|(_, secret)| secret == name) {
        return format!("calls to {} are answered 503 misconfigured", shown(&id));
    }
    for id in whole.config.ids() {
        let end = SECRET_ENDS.into_iter().find(|end| secret_name(id, end) == name);
        match end {
            Some("ACCOUNT_TOKEN" | "WEBHOOK_SECRET") => {
                return format!("events at /webhooks/{} are answered 503 misconfigured", shown(id));
            }
            Some(_) => return format!("calls to {} are answered 503 misconfigured", shown(id)),
            None => {}
        }
    }
    "what needs it does not work".to_owned()
}

/// Whether a secret is the text of a file, which the Worker's own code checks in full.
fn is_file(name: &str) -> bool {
    ["_PRIVATE_KEY", "_SERVICE_ACCOUNT"].into_iter().any(|end| name.ends_with(end))
}

/// Whether a line break was copied along. The broker itself ignores one around a list of keys.
fn is_broken(text: &str) -> bool {
    text.starts_with(['\n', '\r']) || text.ends_with(['\n', '\r'])
}

/// Whether a value stands for one that is still to be written: `...`, `<token>`, `changeme`, or
/// the words with which a page says what belongs there.
fn is_placeholder(name: &str, value: &Value) -> bool {
    const WORDS: [&str; 8] =
        ["changeme", "change-me", "change_me", "placeholder", "replaceme", "secret", "todo", "token"];
    let text = value.as_str().unwrap_or_default().trim();
    let lower = text.to_ascii_lowercase();
    let has_blanks = !name.ends_with("_PASSWORD") && text.split_whitespace().count() > 2;
    !text.is_empty()
        && (has_blanks
            || WORDS.contains(&lower.as_str())
            || text.ends_with("...")
            || text.ends_with('…')
            || ["your-", "your_"].into_iter().any(|start| lower.starts_with(start))
            || (text.starts_with('<') && text.ends_with('>'))
            || text.chars().all(|c| matches!(c, '.' | '*' | 'x' | 'X' | '?')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sees_what_stands_for_a_value() {
        for text in [
            "...",
            "…",
            "xxxx",
            "****",
            "<token>",
            "changeme",
            "TODO",
            "your-token",
            "gu_ut_abc...",
            "the user token from your Guru profile",
        ] {
            assert!(is_placeholder("GURU_TOKEN", &Value::from(text)), "{text}");
        }
        for good in ["", "a", "gu_ut_abc", "Token token=abc", "a.b", "x1", "<", "yours"] {
            assert!(!is_placeholder("GURU_TOKEN", &Value::from(good)), "{good}");
        }
        assert!(!is_placeholder("HUBSOFT_PASSWORD", &Value::from("correct horse battery staple")));
    }

    #[test]
    fn sees_a_line_break_that_was_copied_along() {
        assert!(["a\n", "a\r\n", "\na", "a,b\n"].into_iter().all(is_broken));
        assert!(["", "a", "a\nb", "a, b "].into_iter().all(|good| !is_broken(good)));
    }

    #[test]
    fn shows_no_value_in_debug_output() {
        let variables = [("GURU_TOKEN".to_owned(), Value::from("canary"))].into_iter().collect();
        let vars = DevVars { environment: String::new(), file: ".dev.vars".to_owned(), variables };
        assert!(!format!("{vars:?}").contains("canary"));
    }
}
