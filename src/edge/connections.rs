//! Connections registered at run time, as an isolate sees them: from memory,
//! else the cache, else the keeper, which alone writes them.
//!
//! An isolate goes on with what it read for half a minute, and a little longer
//! while it reads it anew behind a call; after a minute it reads first. Where
//! there is no operator's key nothing is registered, and nobody is asked.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use super::answer::Refused;
use super::proxy::memory::make_room;
use super::{Broker, Code};
use crate::config::{Connection, Registered, Webhook, is_id};
use crate::ports::{Ports, report};
use crate::protocol::{OperatorAsk, OperatorReply, Registration, registration_record};
use crate::time::UnixTime;

/// How long what was read is not read again.
const FRESH: Duration = Duration::from_secs(30);

/// How long what was read is used at most.
const USABLE: Duration = Duration::from_mins(1);

/// How soon what was just read may be read anew.
const READ_AGAIN: Duration = Duration::from_secs(1);

/// How often within a second an isolate asks for what the cache does not know:
/// any stranger can name connections that are none.
const MOST_ASKS: u32 = 200;

/// A connection that a request names.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub id: Rc<str>,
    /// Nothing where it cannot be used.
    pub connection: Option<Rc<Connection>>,
    pub webhook: Inlet,
    /// The version of its registration; none where it is configured.
    pub version: Option<u64>,
}

/// How a connection's webhooks come in.
#[derive(Clone, Debug)]
pub(super) enum Inlet {
    /// Not at all.
    None,
    /// They would, and what was configured cannot be used.
    Unusable,
    /// So.
    Open(Rc<Webhook>),
}

impl Found {
    /// One that is registered, and cannot be used.
    fn unusable(id: &str, version: Option<u64>) -> Self {
        Self { id: id.into(), connection: None, webhook: Inlet::Unusable, version }
    }
}

/// The registered connections that an isolate holds.
#[derive(Default)]
pub(super) struct Registry {
    held: RefCell<HashMap<String, Held>>,
    /// A second, and how often was asked within it.
    asks: Cell<(u64, u32)>,
}

struct Held {
    found: Found,
    read_at: UnixTime,
    is_being_read: bool,
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Registry")
    }
}

impl Registry {
    /// Forgets what was read of `id`.
    pub fn forget(&self, id: &str) {
        self.held.borrow_mut().remove(id);
    }

    /// Notes that `id` is being read no more.
    fn note_read(&self, id: &str) {
        if let Some(entry) = self.held.borrow_mut().get_mut(id) {
            entry.is_being_read = false;
        }
    }

    /// What is held of `id` and may be used at `now`, and whether it is to be read
    /// anew behind the call.
    fn held(&self, id: &str, now: UnixTime) -> Option<(Found, bool)> {
        let mut held = self.held.borrow_mut();
        let entry = held.get_mut(id).filter(|entry| now < entry.read_at + USABLE)?;
        let is_due = now >= entry.read_at + FRESH && !entry.is_being_read;
        entry.is_being_read |= is_due;
        Some((entry.found.clone(), is_due))
    }

    /// Holds `found`, unless a newer version is held.
    fn hold(&self, found: Found, now: UnixTime) -> Found {
        let mut held = self.held.borrow_mut();
        make_room(&mut held, &found.id);
        let newer = held.get(&*found.id).filter(|entry| entry.found.version > found.version);
        let found = newer.map_or(found, |entry| entry.found.clone());
        let entry = Held { found: found.clone(), read_at: now, is_being_read: false };
        held.insert(found.id.to_string(), entry);
        found
    }

    /// Whether what is held of `id` was read a while ago.
    fn is_older(&self, id: &str, now: UnixTime) -> bool {
        self.held.borrow().get(id).is_none_or(|entry| now >= entry.read_at + READ_AGAIN)
    }

    fn may_ask(&self, now: UnixTime) -> bool {
        let second = now.as_millis() / 1_000;
        let (asked_in, asks) = self.asks.get();
        let asks = if asked_in == second { asks + 1 } else { 1 };
        self.asks.set((second, asks));
        asks <= MOST_ASKS
    }
}

/// The connection called `id`.
///
/// # Errors
/// `unknown_connection` where there is none; `connection_unavailable` where that
/// cannot be known.
pub(super) async fn find<P: Ports>(broker: &Rc<Broker>, ports: &Rc<P>, id: &str) -> Result<Found, Refused> {
    let config = broker.config();
    if let Some((id, connection)) = config.connections.get_key_value(id) {
        let webhook = match config.webhooks.get(id) {
            None => Inlet::None,
            Some(None) => Inlet::Unusable,
            Some(Some(webhook)) => Inlet::Open(Rc::clone(webhook)),
        };
        return Ok(Found { id: id.as_str().into(), connection: connection.clone(), webhook, version: None });
    }
    if !config.takes_registrations() || !is_id(id) {
        return Err(Code::UnknownConnection.into());
    }
    let now = ports.now();
    let Some((found, is_due)) = broker.registry.held(id, now) else {
        return read(broker, &**ports, id, false).await;
    };
    if is_due {
        let (broker, behind, id) = (Rc::clone(broker), Rc::clone(ports), id.to_owned());
        ports.spawn(Box::pin(async move {
            match read(&broker, &*behind, &id, true).await {
                Err(refused) if refused.code == Code::UnknownConnection => broker.registry.forget(&id),
                // What is held is good for a little longer.
                Ok(_) | Err(_) => broker.registry.note_read(&id),
            }
        }));
    }
    Ok(found)
}

/// Whether [`read_anew`] may be done for what anybody may have sent.
pub(super) fn may_read_anew<P: Ports>(broker: &Broker, ports: &P, id: &str) -> bool {
    let now = ports.now();
    broker.registry.is_older(id, now) && broker.registry.may_ask(now)
}

/// The connection called `id`, as its keeper has it: what was read elsewhere
/// proved old.
///
/// # Errors
/// As [`find`].
pub(super) async fn read_anew<P: Ports>(broker: &Broker, ports: &P, id: &str) -> Result<Found, Refused> {
    broker.registry.forget(id);
    from_keeper(broker, ports, id).await
}

/// The connection called `id`, from the cache, else from its keeper. `is_known`
/// tells that there was one.
async fn read<P: Ports>(broker: &Broker, ports: &P, id: &str, is_known: bool) -> Result<Found, Refused> {
    match ports.read(&registration_record(id)).await {
        Ok(Some(sealed)) => {
            let found = open(broker, ports, id, &sealed);
            let keys = broker.config().sealing_keys.as_ref();
            if found.is_none() {
                report::unopened_record(ports, &registration_record(id));
            }
            // Of one that an older key sealed the keeper seals another.
            match (found, keys.is_some_and(|keys| keys.is_current(&sealed))) {
                (Some(found), true) => return Ok(broker.registry.hold(found, ports.now())),
                (Some(found), false) => {
                    let anew = from_keeper(broker, ports, id).await;
                    return match anew {
                        Err(refused) if refused.code != Code::UnknownConnection => {
                            Ok(broker.registry.hold(found, ports.now()))
                        }
                        anew => anew,
                    };
                }
                (None, _) => {}
            }
        }
        Ok(None) if !is_known && !broker.registry.may_ask(ports.now()) => {
            return Err(Refused::unavailable(Code::Internal, 1));
        }
        Ok(None) => {}
        Err(_) => report::cache_failed(ports, "read"),
    }
    from_keeper(broker, ports, id).await
}

async fn from_keeper<P: Ports>(broker: &Broker, ports: &P, id: &str) -> Result<Found, Refused> {
    match ports.ask_operator(id, &OperatorAsk::Registration).await {
        Ok(OperatorReply::Registration(None)) => Err(Code::UnknownConnection.into()),
        Ok(OperatorReply::Registration(Some(sealed))) => {
            let found = open(broker, ports, id, &sealed).unwrap_or_else(|| Found::unusable(id, None));
            Ok(broker.registry.hold(found, ports.now()))
        }
        _ => Err(Refused::unavailable(Code::Internal, 1)),
    }
}

/// What a sealed registration says; nothing where it does not open.
fn open<P: Ports>(broker: &Broker, ports: &P, id: &str, sealed: &str) -> Option<Found> {
    let config = broker.config();
    let registration = Registration::open(sealed, id, config.sealing_keys.as_ref()?).ok()?;
    let version = Some(registration.version);
    Some(match registration.read(id, config) {
        Ok(Registered { connection, webhook }) => Found {
            id: id.into(),
            connection: Some(connection),
            webhook: webhook.map_or(Inlet::None, Inlet::Open),
            version,
        },
        Err(problems) => {
            for problem in problems {
                let field = format!("{id}: {}", problem.field());
                report::configuration_problem(ports, &field, problem.message());
            }
            Found::unusable(id, version)
        }
    })
}
