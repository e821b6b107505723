//! Reading the session policy.

use std::time::Duration;

use serde_json::Value;

use super::limits::{Bounds, SESSION_IDLE, SESSION_MAX};
use super::secrets::Lookup;
use super::{Caller, Callers, Configured, Problem};

/// The policy of sessions.
#[derive(Clone, Copy, Debug)]
pub struct SessionPolicy {
    /// How long an unused session lasts.
    pub idle: Duration,
    /// How long a session lasts at most.
    pub longest: Duration,
    /// Whether front ends on other sites use the cookie.
    pub cross_site: bool,
}

/// Reads the variables about sessions; `None` where no caller is a session.
pub(super) fn read(
    variables: Lookup<'_>,
    callers: &Callers,
    problems: &mut Vec<Problem>,
) -> Option<SessionPolicy> {
    let policy = SessionPolicy {
        idle: read_seconds(variables, "SESSION_IDLE_SECONDS", &SESSION_IDLE, problems),
        longest: read_seconds(variables, "SESSION_MAX_SECONDS", &SESSION_MAX, problems),
        cross_site: read_cross_site(variables, problems),
    };
    callers.values().any(|caller| matches!(caller, Configured::Usable(Caller::Session))).then_some(policy)
}

/// A number, or a text with one, since the dashboard has only texts.
fn read_seconds(variables: Lookup<'_>, name: &str, bounds: &Bounds, problems: &mut Vec<Problem>) -> Duration {
    let number = match variables(name) {
        None => Some(bounds.default),
        Some(value) => value.as_u64().or_else(|| value.as_str()?.parse().ok()),
    };
    let seconds =
        number.filter(|number| (bounds.least..=bounds.most).contains(number)).unwrap_or_else(|| {
            problems.push(Problem::new(name.to_owned(), bounds.what));
            bounds.default
        });
    Duration::from_secs(seconds)
}

fn read_cross_site(variables: Lookup<'_>, problems: &mut Vec<Problem>) -> bool {
    const NAME: &str = "SESSION_CROSS_SITE";
    match variables(NAME) {
        None => false,
        Some(Value::Bool(answer)) => answer,
        Some(Value::String(text)) if text == "true" => true,
        Some(Value::String(text)) if text == "false" => false,
        Some(_) => {
            problems.push(Problem::new(NAME.to_owned(), "must be true or false"));
            false
        }
    }
}
