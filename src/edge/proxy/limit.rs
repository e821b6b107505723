//! The count of a call against a limit, in the isolate and at the platform.

use std::time::Duration;

use super::rates::Standing;
use crate::config::RateLimit;
use crate::edge::Code;
use crate::edge::answer::Refused;
use crate::edge::context::Context;
use crate::ports::EdgePorts;
use crate::secret::Fingerprint;

/// Counts one call against `limit`. `parts` identify the counter: connection, rule, caller, and
/// last the party behind the caller.
///
/// # Errors
/// `rate_limited` where the limit is used up.
pub(in crate::edge) async fn take_rate<P: EdgePorts>(
    context: &Context<'_, P>,
    limit: RateLimit,
    parts: &[&str],
    standing: &Standing,
) -> Result<(), Refused> {
    let around = match (standing, parts.split_last()) {
        (Standing::Anonymous(network), Some((_, of))) => {
            Some(Fingerprint::of(&[of, &[network.around.as_str()]].concat()))
        }
        _ => None,
    };
    let key = Fingerprint::of(parts);
    let refused = |seconds| Refused { retry_after: Some(seconds), ..Refused::from(Code::RateLimited) };
    let edge = context.edge;
    edge.isolate
        .rates
        .take(key, limit, around, standing, edge.now())
        .map_err(|left| refused((left + Duration::from_millis(999)).as_secs().max(1)))?;
    if edge.ports.take(limit, &key.to_hex()).await { Ok(()) } else { Err(refused(limit.seconds.into())) }
}
