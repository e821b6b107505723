//! What is kept of flows, links and tickets until it is used, once.

use crate::edge::Code;
use crate::edge::answer::Refused;
use crate::edge::context::Edge;
use crate::json::{FromJson, ToJson, record};
use crate::ports::EdgePorts;
use crate::protocol::{KeepOnce, OneTimeFound, ReadOnce};
use crate::secret::Fingerprint;
use crate::time::UnixTime;
use crate::token::{Exposed, Nonce, open, seal};

/// The kinds of one-time records, in the names of their objects.
pub(in crate::edge) const FLOW: &str = "flow";
pub(in crate::edge) const LINK: &str = "link";
pub(in crate::edge) const TICKET: &str = "ticket";

/// A flow.
pub(in crate::edge) struct FlowRecord {
    pub connection: String,
    /// The identity of the connection's account when the flow began.
    pub identity: Fingerprint,
    /// The code verifier (RFC 7636 §4.1).
    pub verifier: Exposed,
    /// The nonce, if an ID token must come.
    pub nonce: Option<String>,
    pub redirect_uri: String,
    /// The issuer that the browser was sent to, if it has one.
    pub issuer: Option<String>,
    /// Whether that issuer's responses name it (RFC 9207 §3).
    pub has_iss: bool,
    /// Where the outcome goes; none for the page of a link.
    pub return_to: Option<String>,
    /// Whether the outcome goes there from a window of its own.
    pub is_popup: bool,
    /// The cookie of the session that goes on.
    pub session: Option<Exposed>,
    /// The challenge of the page that gets a ticket.
    pub ticket_challenge: Option<String>,
    /// The name of the object of the link that the flow came by.
    pub link: Option<String>,
}

record!(FlowRecord {
    connection,
    identity,
    verifier,
    nonce,
    redirect_uri,
    issuer,
    has_iss,
    return_to,
    is_popup,
    session,
    ticket_challenge,
    link,
});

/// A link by which somebody may consent for a connection of all callers.
pub(in crate::edge) struct LinkRecord {
    pub connection: String,
    /// Where the browser goes afterwards; none for a page of the broker's.
    pub return_to: Option<String>,
}

record!(LinkRecord { connection, return_to });

impl LinkRecord {
    /// What whoever uses a link proves: the link's own secret is in the name of its object.
    pub fn proof() -> Fingerprint {
        Fingerprint::of(&[LINK])
    }
}

/// A ticket, for which a page gets the cookie of a session.
pub(in crate::edge) struct TicketRecord {
    pub session: Exposed,
    /// The origin of the page.
    pub origin: String,
}

record!(TicketRecord { session, origin });

impl TicketRecord {
    /// What whoever uses a ticket proves: that they know what this is the challenge of.
    pub fn proof(challenge: &str) -> Fingerprint {
        Fingerprint::of(&[challenge])
    }
}

/// What there is of a record.
pub(in crate::edge) enum Once<T> {
    Found(T),
    /// There is a record of another browser.
    WrongProof,
    /// The record is unknown, was used or has ended.
    Absent,
}

/// Keeps `record` in the object called `name`.
///
/// # Errors
/// `connection_unavailable` where the object cannot be reached.
pub(in crate::edge) async fn keep<P: EdgePorts>(
    edge: &Edge<P>,
    name: &str,
    record: &dyn ToJson,
    proof: Fingerprint,
    ends_at: UnixTime,
) -> Result<(), Refused> {
    let keys = edge.config().sealing_keys.as_ref().ok_or(Code::Misconfigured)?;
    let record = seal(record, name, keys, &Nonce(edge.ports.bytes())).map_err(|_| Code::Internal)?;
    let is_kept = edge.ports.ask(KeepOnce { name, record, proof, ends_at }).await?;
    if is_kept { Ok(()) } else { Err(Code::Internal.into()) }
}

/// Reads the record in the object called `name`, and with `takes` uses it up.
///
/// # Errors
/// `connection_unavailable` where the object cannot be reached.
pub(in crate::edge) async fn find<T: FromJson, P: EdgePorts>(
    edge: &Edge<P>,
    name: &str,
    proof: Fingerprint,
    takes: bool,
) -> Result<Once<T>, Refused> {
    let keys = edge.config().sealing_keys.as_ref().ok_or(Code::Misconfigured)?;
    Ok(match edge.ports.ask(ReadOnce { name, proof, takes }).await? {
        OneTimeFound::Record(sealed) => open(&sealed, name, keys).map_or(Once::Absent, Once::Found),
        OneTimeFound::WrongProof => Once::WrongProof,
        OneTimeFound::Absent => Once::Absent,
    })
}
