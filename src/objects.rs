//! The objects, each a Durable Object that exists once worldwide and is the only writer of its
//! data.
//!
//! An object knows no request, no header and no public error. It accepts further messages while it
//! waits for storage or for a provider: locks serialise what must not interleave.

pub mod deliveries;
pub mod exchanged;
pub mod index;
pub mod keeper;
mod lock;
mod log;
pub mod one_time;
pub mod people;
pub mod refusals;
mod revocation;
pub mod session;
mod telling;
pub mod token_set;

use std::rc::Rc;

use futures_util::FutureExt as _;

use crate::config::Config;
use crate::json::{self, ToJson};
use crate::ports::{ObjectPorts, StorageFailed};
use crate::protocol::{Envelope, ObjectKind};
use deliveries::Deliveries;
use exchanged::Exchanged;
use index::Index;
use keeper::Keeper;
use one_time::OneTime;
use people::People;
use refusals::Refusals;
use session::Session;

/// The storage key of the [`ObjectKind`], as JSON, of an object that uses the alarm: an alarm event
/// does not carry it.
pub const KIND: &str = "role";

/// An object of any kind.
#[allow(missing_debug_implementations, reason = "it holds token sets")]
pub enum Object<P> {
    /// The keeper of a connection's own token set.
    Keeper(Rc<Keeper<P>>),
    /// The session of a person.
    Session(Rc<Session<P>>),
    /// A counter of refused sign-ins.
    Refusals(Rc<Refusals<P>>),
    /// The delivery queue of a connection's webhooks.
    Deliveries(Rc<Deliveries<P>>),
    /// The index of registered connections.
    Index(Rc<Index<P>>),
    /// The exchanged token set of a caller.
    Exchanged(Rc<Exchanged<P>>),
    /// A one-time record.
    OneTime(Rc<OneTime<P>>),
    /// The index of one person's sessions.
    People(Rc<People<P>>),
}

impl<P> Clone for Object<P> {
    fn clone(&self) -> Self {
        match self {
            Self::Keeper(keeper) => Self::Keeper(Rc::clone(keeper)),
            Self::Session(session) => Self::Session(Rc::clone(session)),
            Self::Refusals(refusals) => Self::Refusals(Rc::clone(refusals)),
            Self::Deliveries(deliveries) => Self::Deliveries(Rc::clone(deliveries)),
            Self::Index(index) => Self::Index(Rc::clone(index)),
            Self::Exchanged(exchanged) => Self::Exchanged(Rc::clone(exchanged)),
            Self::OneTime(record) => Self::OneTime(Rc::clone(record)),
            Self::People(people) => Self::People(Rc::clone(people)),
        }
    }
}

impl<P: ObjectPorts> Object<P> {
    /// Instantiates the object `kind`, over the storage in `ports`.
    #[must_use]
    pub fn open(kind: &ObjectKind, ports: Rc<P>, config: Rc<Config>) -> Self {
        match kind {
            ObjectKind::Service(connection) => Self::Keeper(Keeper::new(ports, config, connection.clone())),
            ObjectKind::Session(name) => Self::Session(Session::new(ports, config, name.clone())),
            ObjectKind::Refusals => Self::Refusals(Refusals::new(ports)),
            ObjectKind::Deliveries(connection) => {
                Self::Deliveries(Deliveries::new(ports, config, connection.clone()))
            }
            ObjectKind::Index => Self::Index(Rc::new(Index::new(ports))),
            ObjectKind::Exchanged { connection, name } => {
                Self::Exchanged(Rc::new(Exchanged::new(ports, config, connection.clone(), name.clone())))
            }
            ObjectKind::OneTime(_) => Self::OneTime(Rc::new(OneTime::new(ports))),
            ObjectKind::People(_) => Self::People(Rc::new(People::new(ports))),
        }
    }

    /// Answers a message, in wire form; `None` where the message is addressed to another kind of
    /// object.
    pub async fn answer(&self, envelope: &Envelope) -> Option<String> {
        lock::task(self.reply(envelope)).await
    }

    async fn reply(&self, envelope: &Envelope) -> Option<String> {
        // A boxed future is a function of its own: a cold object compiles that of its message alone.
        let reply = match (envelope, self) {
            (Envelope::Service { ask, .. }, Self::Keeper(keeper)) => {
                text_of(keeper.answer(ask)).boxed_local()
            }
            (Envelope::Operator { ask, .. }, Self::Keeper(keeper)) => {
                text_of(keeper.serve_operator(ask)).boxed_local()
            }
            (Envelope::Session { ask, .. }, Self::Session(session)) => {
                text_of(session.answer(ask)).boxed_local()
            }
            (Envelope::Refusals { ask }, Self::Refusals(refusals)) => {
                text_of(refusals.answer(*ask)).boxed_local()
            }
            (Envelope::Deliveries { ask, .. }, Self::Deliveries(deliveries)) => {
                text_of(deliveries.answer(ask)).boxed_local()
            }
            (Envelope::Index { ask }, Self::Index(index)) => text_of(index.answer(ask)).boxed_local(),
            (Envelope::Exchanged { ask, .. }, Self::Exchanged(exchanged)) => {
                text_of(exchanged.answer(ask)).boxed_local()
            }
            (Envelope::Consent { ask, .. }, Self::Keeper(keeper)) => {
                text_of(keeper.accept(ask)).boxed_local()
            }
            (Envelope::Quota { ask, .. }, Self::Keeper(keeper)) => text_of(keeper.lease(ask)).boxed_local(),
            (Envelope::OneTime { ask, .. }, Self::OneTime(record)) => {
                text_of(record.answer(ask)).boxed_local()
            }
            (Envelope::People { ask, .. }, Self::People(people)) => text_of(people.answer(ask)).boxed_local(),
            _ => return None,
        };
        let reply = reply.await;
        if let Self::Keeper(keeper) = self {
            keeper.tell_in_background();
        }
        Some(reply)
    }

    /// Handles the object's alarm.
    ///
    /// # Errors
    /// [`StorageFailed`]: the platform retries the alarm.
    pub async fn alarm(&self) -> Result<(), StorageFailed> {
        let serving = async {
            match self {
                Self::Keeper(keeper) => {
                    keeper.alarm().await;
                    // The platform repeats an alarm whose object is evicted.
                    return keeper.tell().await;
                }
                Self::Session(session) => return session.alarm().await,
                Self::Refusals(refusals) => return refusals.alarm().await,
                Self::Deliveries(deliveries) => return deliveries.alarm().await,
                Self::Index(_) => {}
                Self::Exchanged(exchanged) => return exchanged.alarm().await,
                Self::OneTime(record) => return record.alarm().await,
                Self::People(people) => return people.alarm().await,
            }
            Ok(())
        };
        lock::task(serving).await
    }
}

/// The reply in wire form.
async fn text_of<R: ToJson>(reply: impl Future<Output = R>) -> String {
    json::text(&reply.await)
}
