//! Reading what guards a connection's upstream from too many requests.

use std::rc::Rc;

use super::limits::{BUDGET_QUEUE_MS, RATE_REQUESTS, RATE_SECONDS, RETRY_ATTEMPTS};
use super::reader::Reader;

/// The fields of a connection that guard its upstream.
pub(super) const FIELDS: &[&str] = &["budget", "cool_down", "retry"];

/// What guards a connection's upstream from too many requests.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Guard {
    /// How many requests leave.
    pub budget: Option<Budget>,
    /// Whether all calls wait after the upstream said that there were too many.
    pub cool_down: bool,
    /// How many times a call is sent that can be repeated, at least 1.
    pub attempts: u64,
}

/// How many requests leave for the upstream, from everywhere together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Budget {
    /// The number of requests in any window.
    pub requests: u64,
    /// The length of the window, in seconds.
    pub seconds: u64,
    /// How long a call waits for its turn, in milliseconds.
    pub queue_ms: u64,
    /// Whether each caller, and each person of one, gets a fair part.
    pub per_caller: bool,
    /// Whether requests are only counted.
    pub observe: bool,
}

/// Reads the guard of a connection, if it has one.
pub(super) fn read(reader: &mut Reader<'_, '_>) -> Option<Rc<Guard>> {
    FIELDS.iter().any(|name| reader.has(name)).then(|| Rc::new(read_guard(reader)))
}

// Most connections have none: an isolate compiles only what it runs.
#[inline(never)]
fn read_guard(reader: &mut Reader<'_, '_>) -> Guard {
    let budget = reader.table("budget").map(|mut table| read_budget(&mut table));
    let cool_down = reader.flag("cool_down");
    let attempts = reader.table("retry").map_or(1, |mut table| {
        table.only(&["attempts"]);
        table.needed_number("attempts", &RETRY_ATTEMPTS)
    });
    Guard { budget, cool_down, attempts }
}

fn read_budget(table: &mut Reader<'_, '_>) -> Budget {
    let (requests, seconds) =
        (table.needed_number("requests", &RATE_REQUESTS), table.needed_number("seconds", &RATE_SECONDS));
    let queue_ms = table.number("queue_ms", &BUDGET_QUEUE_MS);
    if seconds > 0 && queue_ms > seconds.saturating_mul(2_000) {
        table.report(
            "queue_ms",
            "must not be longer than twice the budget's seconds: all of it is free again before",
        );
    }
    let shares = [("none", "none"), ("caller", "caller")];
    let per_caller = table.choice("share", &shares, "must be none or caller") == Some("caller");
    let observe = table.flag("observe");
    table.only(&["requests", "seconds", "queue_ms", "share", "observe"]);
    Budget { requests, seconds, queue_ms, per_caller, observe }
}
