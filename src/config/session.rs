//! Reading the session policy.

use std::time::Duration;

use serde_json::Value;

use super::limits::{Bounds, SESSION_IDLE, SESSION_MAX};
use super::secrets::Lookup;
use super::session_caller::CONNECTION;
use super::tables::LazyTables;
use super::{Caller, Callers, Configured, Problem, SessionCaller};

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

/// Reads the variables about sessions; `None` where no caller is a session, and
/// nobody just signs in by one of the `connections`.
pub(super) fn read(
    variables: Lookup<'_>,
    callers: &Callers,
    connections: &LazyTables,
    problems: &mut Vec<Problem>,
) -> Option<SessionPolicy> {
    let policy = SessionPolicy {
        idle: read_seconds(variables, "SESSION_IDLE_SECONDS", &SESSION_IDLE, problems),
        longest: read_seconds(variables, "SESSION_MAX_SECONDS", &SESSION_MAX, problems),
        cross_site: read_cross_site(variables, problems),
    };
    let mut callers = callers.values();
    let has_sessions = callers.any(|caller| matches!(caller, Configured::Usable(Caller::Session(_))));
    (has_sessions || connections.sign_people_in()).then_some(policy)
}

/// Marks sessions as broken whose connection signs nobody in: they have no claims.
pub(super) fn drop_nameless(callers: &mut Callers, connections: &LazyTables, problems: &mut Vec<Problem>) {
    const MESSAGE: &str = "must be the id of a connection in CONNECTIONS with grant authorization_code, \
         subject user, an issuer, and openid in its scope";
    for (name, caller) in callers.iter_mut() {
        if let Configured::Usable(Caller::Session(SessionCaller { connection: Some(id), .. })) = caller
            && !connections.tells_who_signs_in(id)
        {
            problems.push(Problem::new(format!("CALLERS.{name}.{CONNECTION}"), MESSAGE));
            *caller = Configured::Broken;
        }
    }
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
