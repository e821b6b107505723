//! Access tokens as an isolate sees them: from memory, else the cache, else
//! the keeper.
//!
//! Memory and cache only copy what the keeper wrote; each copy tells its own
//! expiry, so that a stale one is recognised. An upstream that refuses a copy
//! sends its generation to the keeper, which alone knows whether a newer one
//! is there.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use super::answer::Refused;
use super::call::Ports;
use super::keeper::{Ask, Reply, access_token_record};
use super::ports::KeeperUnreachable;
use super::{Broker, Code, report};
use crate::config::Connection;
use crate::time::UnixTime;
use crate::token::{AccessToken, AccessTokenRecord, Freshness};

/// How long an isolate leaves an ageing token to a renewal that it asked for.
const BEHIND: Duration = Duration::from_secs(15);

/// Where an access token came from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Source {
    Static,
    Memory,
    Cache,
    Keeper,
    Grant,
}

impl Source {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Static => "static",
            Self::Memory => "memory",
            Self::Cache => "kv",
            Self::Keeper => "keeper",
            Self::Grant => "grant",
        }
    }
}

/// The access tokens that an isolate holds, by connection.
#[derive(Default)]
pub struct AccessTokens(RefCell<HashMap<String, Entry>>);

/// An isolate's copy of an access token.
#[derive(Debug)]
pub(super) struct Copy {
    /// The token.
    pub access: AccessToken,
    worked: Cell<bool>,
}

impl Copy {
    fn new(access: AccessToken) -> Rc<Self> {
        Rc::new(Self { access, worked: Cell::new(false) })
    }

    /// Notes that the upstream took the token; whether that is news.
    pub fn note_worked(&self) -> bool {
        !self.worked.replace(true)
    }

    /// Whether the upstream took the token at least once.
    pub fn worked(&self) -> bool {
        self.worked.get()
    }
}

#[derive(Default)]
struct Entry {
    access: Option<Rc<Copy>>,
    /// The oldest generation that the upstream is not known to refuse.
    floor: u64,
    /// When a renewal was last asked for behind a call.
    asked_behind: Option<UnixTime>,
}

impl fmt::Debug for AccessTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessTokens")
    }
}

impl AccessTokens {
    /// The token held for `connection`, good for a new call at `now`.
    fn held(&self, connection: &str, now: UnixTime) -> Option<Rc<Copy>> {
        let entries = self.0.borrow();
        let copy = entries.get(connection)?.access.as_ref()?;
        (copy.access.lifetime.freshness(now) > Freshness::Stale).then(|| Rc::clone(copy))
    }

    /// Holds `access`, unless one as new is held or the upstream refuses it;
    /// gives the copy to use for this call.
    fn remember(&self, connection: &str, access: AccessToken) -> Rc<Copy> {
        let mut entries = self.0.borrow_mut();
        let entry = entries.entry(connection.to_owned()).or_default();
        if let Some(held) = entry.access.as_ref().filter(|held| held.access.generation == access.generation) {
            return Rc::clone(held);
        }
        let newer = entry.access.as_ref().is_none_or(|held| access.generation > held.access.generation);
        let accepted = access.generation >= entry.floor;
        let copy = Copy::new(access);
        if newer && accepted {
            entry.access = Some(Rc::clone(&copy));
            entry.asked_behind = None;
        }
        copy
    }

    /// Forgets the token of `generation`, which the upstream refused, and all
    /// before it.
    fn forget(&self, connection: &str, generation: u64) {
        let mut entries = self.0.borrow_mut();
        let entry = entries.entry(connection.to_owned()).or_default();
        entry.floor = entry.floor.max(generation.saturating_add(1));
        entry.access = entry.access.take().filter(|held| held.access.generation > generation);
    }

    /// Notes that the upstream refuses a static token; whether that is new.
    fn notes_refusal(&self, connection: &str) -> bool {
        let mut entries = self.0.borrow_mut();
        let entry = entries.entry(connection.to_owned()).or_default();
        std::mem::replace(&mut entry.floor, u64::MAX) != u64::MAX
    }

    fn accepts(&self, connection: &str, access: &AccessToken) -> bool {
        self.0.borrow().get(connection).is_none_or(|entry| access.generation >= entry.floor)
    }

    /// Whether a renewal of the ageing `access` is to be asked for now, behind
    /// the call.
    fn takes_turn_behind(&self, connection: &str, access: &AccessToken, now: UnixTime) -> bool {
        if access.lifetime.freshness(now) != Freshness::Ageing {
            return false;
        }
        let mut entries = self.0.borrow_mut();
        let Some(entry) = entries.get_mut(connection) else { return false };
        if entry.asked_behind.is_some_and(|asked| now < asked + BEHIND) {
            return false;
        }
        entry.asked_behind = Some(now);
        true
    }
}

/// An access token for a new call.
///
/// # Errors
/// Why none can be had.
pub(super) async fn current<P: Ports>(
    broker: &Rc<Broker>,
    ports: &Rc<P>,
    connection: &Connection,
) -> Result<(Rc<Copy>, Source), Refused> {
    let now = ports.now();
    let (copy, source) = match broker.access_tokens.held(&connection.id, now) {
        Some(copy) => (copy, Source::Memory),
        None => match cached(broker, ports, connection).await {
            Some(copy) => (copy, Source::Cache),
            None => return from_keeper(broker, ports, connection).await,
        },
    };
    if broker.access_tokens.takes_turn_behind(&connection.id, &copy.access, now) {
        renew_behind(broker, ports, connection);
    }
    Ok((copy, source))
}

/// An access token after the upstream refused `refused`.
///
/// # Errors
/// Why none can be had.
pub(super) async fn after_refusal<P: Ports>(
    broker: &Rc<Broker>,
    ports: &Rc<P>,
    connection: &Connection,
    refused: &Copy,
) -> Result<(Rc<Copy>, Source), Refused> {
    let generation = refused.access.generation;
    let newer = broker.access_tokens.held(&connection.id, ports.now());
    if let Some(copy) = newer.filter(|copy| copy.access.generation > generation) {
        return Ok((copy, Source::Memory));
    }
    let about = Ask::new(&connection.grant.identity()).refusing(generation, refused.worked());
    let answered = ask(broker, ports, connection, about).await;
    // While the upstream refuses even new tokens, this one is as good as another.
    if !matches!(&answered, Err(refused) if refused.code == Code::UpstreamUnauthorized) {
        broker.access_tokens.forget(&connection.id, generation);
    }
    answered
}

/// Tells the keeper, behind the answer, that the upstream refused even
/// `refused`, which was just obtained. That it may have worked for other calls
/// meanwhile does not count: an address that the account may not use answers
/// 401 to every token, and must not cause a grant each time.
pub(super) fn report_refusal<P: Ports>(
    broker: &Rc<Broker>,
    ports: &Rc<P>,
    connection: &Connection,
    refused: &Copy,
) {
    let about = Ask::new(&connection.grant.identity()).refusing(refused.access.generation, false);
    ask_behind(broker, ports, connection, about);
}

/// Tells the keeper, behind the answer, that the upstream refuses a static
/// token; once for each isolate, since only another token changes that.
pub(super) fn report_static_refusal<P: Ports>(broker: &Rc<Broker>, ports: &Rc<P>, connection: &Connection) {
    if broker.access_tokens.notes_refusal(&connection.id) {
        let about = Ask::new(&connection.grant.identity()).refusing(0, false);
        ask_behind(broker, ports, connection, about);
    }
}

/// Tells the keeper, behind the answer, that the upstream takes `copy`, which
/// replaced a refused one.
pub(super) fn confirm<P: Ports>(broker: &Rc<Broker>, ports: &Rc<P>, connection: &Connection, copy: &Copy) {
    let about = Ask::new(&connection.grant.identity()).confirming(copy.access.generation);
    ask_behind(broker, ports, connection, about);
}

async fn cached<P: Ports>(broker: &Broker, ports: &Rc<P>, connection: &Connection) -> Option<Rc<Copy>> {
    let keys = broker.config.sealing_keys.as_ref()?;
    let name = access_token_record(&connection.id);
    let Ok(sealed) = ports.read(&name).await else {
        report::cache_failed(&**ports, "read");
        return None;
    };
    let opened = AccessTokenRecord::open(&sealed?, &connection.grant.identity(), &name, keys);
    let Ok(access) = opened else {
        report::unopened_record(&**ports, &name);
        return None;
    };
    let access = access?;
    let good = access.lifetime.freshness(ports.now()) > Freshness::Stale;
    if !good || !broker.access_tokens.accepts(&connection.id, &access) {
        return None;
    }
    Some(broker.access_tokens.remember(&connection.id, access))
}

/// An access token from the keeper. One that expired on its way here is asked
/// for again, once.
async fn from_keeper<P: Ports>(
    broker: &Broker,
    ports: &Rc<P>,
    connection: &Connection,
) -> Result<(Rc<Copy>, Source), Refused> {
    let about = Ask::new(&connection.grant.identity());
    let (copy, source) = ask(broker, ports, connection, about.clone()).await?;
    if copy.access.lifetime.freshness(ports.now()) > Freshness::Expired {
        return Ok((copy, source));
    }
    ask(broker, ports, connection, about).await
}

async fn ask<P: Ports>(
    broker: &Broker,
    ports: &Rc<P>,
    connection: &Connection,
    ask: Ask,
) -> Result<(Rc<Copy>, Source), Refused> {
    let keys = broker.config.sealing_keys.as_ref().ok_or(Code::Misconfigured)?;
    match ports.ask(&connection.id, &ask).await {
        Ok(Reply::Token { record, granted }) => {
            let name = access_token_record(&connection.id);
            let opened = AccessTokenRecord::open(&record, &connection.grant.identity(), &name, keys);
            let access = opened.ok().flatten().ok_or(Code::Internal)?;
            let copy = broker.access_tokens.remember(&connection.id, access);
            Ok((copy, if granted { Source::Grant } else { Source::Keeper }))
        }
        Ok(Reply::Failed { cause, retry_after }) => {
            Err(Refused { retry_after: Some(retry_after), ..Refused::from(Code::from(cause)) })
        }
        Ok(Reply::Waiting { cause, retry_after }) => Err(Refused::unavailable(cause.into(), retry_after)),
        Ok(Reply::UpstreamRefuses) => Err(Code::UpstreamUnauthorized.into()),
        Ok(Reply::Misconfigured) => Err(Code::Misconfigured.into()),
        Ok(Reply::Unavailable) | Err(KeeperUnreachable) => Err(Refused::unavailable(Code::Internal, 1)),
    }
}

/// Has an ageing token renewed while nobody waits for it.
fn renew_behind<P: Ports>(broker: &Rc<Broker>, ports: &Rc<P>, connection: &Connection) {
    let about = Ask::new(&connection.grant.identity()).waiting_for_renewal();
    ask_behind(broker, ports, connection, about);
}

/// Asks behind the answer. A failure shows where a token is needed.
fn ask_behind<P: Ports>(broker: &Rc<Broker>, ports: &Rc<P>, connection: &Connection, about: Ask) {
    let (broker, behind, id) = (Rc::clone(broker), Rc::clone(ports), connection.id.clone());
    let task = async move {
        if let Some(Some(connection)) = broker.config.connections.get(&id) {
            drop(ask(&broker, &behind, connection, about).await);
        }
    };
    ports.spawn(Box::pin(task));
}
