//! Registered connections, as an isolate reads them: from memory, else the cache, else the keeper,
//! which alone writes them.
//!
//! An isolate uses its copy for half a minute without a check, and for up to a minute while it
//! refreshes the copy in the background; an older copy is read again first. Without an operator's
//! key there are no registrations, and no keeper is asked.

pub(in crate::edge) mod held;

use super::Code;
use super::answer::Refused;
use super::context::Edge;
use crate::config::{Configured, Registered, is_id};
use crate::ports::{EdgePorts, report};
use crate::protocol::{ReadRegistration, Registration, registration_record};
use held::Found;

/// The connection called `id`.
///
/// # Errors
/// `unknown_connection` where no connection has this id; `connection_unavailable` where the keeper
/// cannot be reached.
pub(super) async fn find<P: EdgePorts>(edge: &Edge<P>, id: &str) -> Result<Found, Refused> {
    let config = edge.config();
    if let Some((id, connection)) = config.configured(id) {
        let connection = connection.clone();
        return Ok(Found { id: id.as_str().into(), connection, webhook: None, version: None });
    }
    if !config.takes_registrations() || !is_id(id) {
        return Err(Code::UnknownConnection.into());
    }
    let Some((found, is_due)) = edge.isolate.connections.held(id, edge.now()) else {
        return read(edge, id, false).await;
    };
    if is_due {
        let id = id.to_owned();
        edge.in_background(|edge| async move {
            let held = &edge.isolate.connections;
            match read(&edge, &id, true).await {
                Err(refused) if refused.code == Code::UnknownConnection => held.forget(&id),
                // The copy stays usable until it is a minute old.
                Ok(_) | Err(_) => held.end_refresh(&id),
            }
        });
    }
    Ok(found)
}

/// Whether an unauthenticated request may cause [`reread`].
pub(super) fn may_reread<P: EdgePorts>(edge: &Edge<P>, id: &str) -> bool {
    let (held, now) = (&edge.isolate.connections, edge.now());
    held.is_reread_due(id, now) && held.admit_lookup(now)
}

/// Reads the connection called `id` from its keeper, because the copy proved stale.
///
/// # Errors
/// As [`find`].
pub(super) async fn reread<P: EdgePorts>(edge: &Edge<P>, id: &str) -> Result<Found, Refused> {
    edge.isolate.connections.forget(id);
    from_keeper(edge, id).await
}

/// Reads the connection called `id` from the cache, else from its keeper. `is_known` says that the
/// isolate holds a copy.
async fn read<P: EdgePorts>(edge: &Edge<P>, id: &str, is_known: bool) -> Result<Found, Refused> {
    let (ports, held) = (&*edge.ports, &edge.isolate.connections);
    match ports.read(&registration_record(id)).await {
        Ok(Some(sealed)) => {
            let found = open(edge, id, &sealed);
            let keys = edge.config().sealing_keys.as_ref();
            if found.is_none() {
                report::unopened_record(ports, &registration_record(id));
            }
            match (found, keys.is_some_and(|keys| keys.is_current(&sealed))) {
                (Some(found), true) => return Ok(held.hold(found, edge.now())),
                // Sealed with an older key: the keeper reseals it.
                (Some(found), false) => {
                    let anew = from_keeper(edge, id).await;
                    return match anew {
                        Err(refused) if refused.code != Code::UnknownConnection => {
                            Ok(held.hold(found, edge.now()))
                        }
                        anew => anew,
                    };
                }
                (None, _) => {}
            }
        }
        Ok(None) if !is_known && !held.admit_lookup(edge.now()) => {
            return Err(Refused::unavailable(Code::Internal, 1));
        }
        Ok(None) => {}
        Err(_) => report::cache_failed(ports, "read"),
    }
    from_keeper(edge, id).await
}

async fn from_keeper<P: EdgePorts>(edge: &Edge<P>, id: &str) -> Result<Found, Refused> {
    let sealed = edge.ports.ask(ReadRegistration(id)).await?.ok_or(Code::UnknownConnection)?;
    let found = open(edge, id, &sealed).unwrap_or_else(|| Found::unusable(id, None));
    Ok(edge.isolate.connections.hold(found, edge.now()))
}

/// Opens and reads a sealed registration; `None` where it does not open.
fn open<P: EdgePorts>(edge: &Edge<P>, id: &str, sealed: &str) -> Option<Found> {
    let config = edge.config();
    let registration = Registration::open(sealed, id, config.sealing_keys.as_ref()?).ok()?;
    let version = Some(registration.version);
    Some(match registration.read(id, config) {
        Ok(Registered { connection, webhook }) => Found {
            id: id.into(),
            connection: Configured::Usable(connection),
            webhook: webhook.map(Configured::Usable),
            version,
        },
        Err(problems) => {
            for problem in problems {
                let line = report::configuration_problem(Some(id), problem.field(), problem.message());
                edge.ports.log(&line);
            }
            Found::unusable(id, version)
        }
    })
}
