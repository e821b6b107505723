//! The end of all sessions of one person, by the word of the provider or of an operator.

use std::collections::BTreeSet;

use futures_util::FutureExt as _;

use crate::edge::Code;
use crate::edge::answer::Refused;
use crate::edge::context::Edge;
use crate::edge::together::together;
use crate::ports::EdgePorts;
use crate::protocol::{ExpelSession, Expulsion, ListSessions, person_indices, sid_indices};

/// How many sessions are asked at once.
const AT_ONCE: usize = 16;

/// Ends the sessions of `expulsion`; gives how many there were. Each session compares for itself.
///
/// # Errors
/// `connection_unavailable` where an index or a session cannot be reached.
pub(in crate::edge) async fn expel<P: EdgePorts>(
    edge: &Edge<P>,
    expulsion: &Expulsion,
) -> Result<usize, Refused> {
    let keys = edge.config().sealing_keys.as_ref().ok_or(Code::Misconfigured)?;
    let Expulsion { connection, subject, sid } = expulsion;
    let by_sid = sid.iter().flat_map(|sid| sid_indices(keys, connection, sid));
    let by_subject = subject.iter().flat_map(|subject| person_indices(keys, connection, subject));
    let mut sessions = BTreeSet::new();
    for name in by_sid.chain(by_subject) {
        sessions.extend(edge.ports.ask(ListSessions { name: &name }).await?);
    }
    let sessions: Vec<String> = sessions.into_iter().collect();
    let mut ended = 0;
    for some in sessions.chunks(AT_ONCE) {
        let asks = some.iter().map(|session| {
            edge.ports.ask(ExpelSession { session, expulsion: expulsion.clone() }).boxed_local()
        });
        for was in together(asks.collect()).await {
            ended += usize::from(was?);
        }
    }
    Ok(ended)
}
