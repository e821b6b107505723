//! Access tokens as an isolate sees them: from memory, else the cache, else
//! the keeper.
//!
//! Memory and cache only copy what the keeper wrote; each copy tells its own
//! expiry, so that a stale one is recognised. An upstream that refuses a copy
//! sends its generation to the keeper, which alone knows whether a newer one
//! is there.

use std::cell::RefCell;
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

#[derive(Default)]
struct Entry {
    access: Option<Rc<AccessToken>>,
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
    fn held(&self, connection: &str, now: UnixTime) -> Option<Rc<AccessToken>> {
        let entries = self.0.borrow();
        let access = entries.get(connection)?.access.as_ref()?;
        (access.lifetime.freshness(now) > Freshness::Stale).then(|| Rc::clone(access))
    }

    /// Holds `access`, unless a newer one is held or the upstream refuses it.
    fn remember(&self, connection: &str, access: &Rc<AccessToken>) {
        let mut entries = self.0.borrow_mut();
        let entry = entries.entry(connection.to_owned()).or_default();
        let held = entry.access.as_ref().map_or(0, |held| held.generation);
        if access.generation >= held.max(entry.floor) {
            entry.access = Some(Rc::clone(access));
            entry.asked_behind = None;
        }
    }

    /// Forgets the token of `generation`, which the upstream refused, and all
    /// before it.
    fn forget(&self, connection: &str, generation: u64) {
        let mut entries = self.0.borrow_mut();
        let entry = entries.entry(connection.to_owned()).or_default();
        entry.floor = entry.floor.max(generation.saturating_add(1));
        entry.access = entry.access.take().filter(|held| held.generation > generation);
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
) -> Result<(Rc<AccessToken>, Source), Refused> {
    let now = ports.now();
    let (access, source) = match broker.access_tokens.held(&connection.id, now) {
        Some(access) => (access, Source::Memory),
        None => match cached(broker, ports, connection).await {
            Some(access) => (access, Source::Cache),
            None => return ask(broker, ports, connection, Ask::new(&connection.grant.identity())).await,
        },
    };
    if broker.access_tokens.takes_turn_behind(&connection.id, &access, now) {
        renew_behind(broker, ports, connection);
    }
    Ok((access, source))
}

/// An access token after the upstream refused the one of `generation`.
///
/// # Errors
/// Why none can be had.
pub(super) async fn after_refusal<P: Ports>(
    broker: &Rc<Broker>,
    ports: &Rc<P>,
    connection: &Connection,
    generation: u64,
) -> Result<(Rc<AccessToken>, Source), Refused> {
    let newer = broker.access_tokens.held(&connection.id, ports.now());
    if let Some(access) = newer.filter(|access| access.generation > generation) {
        return Ok((access, Source::Memory));
    }
    let about = Ask::new(&connection.grant.identity()).refusing(generation);
    let answered = ask(broker, ports, connection, about).await;
    if answered.as_ref().is_err_and(|refused| refused.code != Code::UpstreamUnauthorized) {
        broker.access_tokens.forget(&connection.id, generation);
    }
    answered
}

async fn cached<P: Ports>(
    broker: &Broker,
    ports: &Rc<P>,
    connection: &Connection,
) -> Option<Rc<AccessToken>> {
    let keys = broker.config.sealing_keys.as_ref()?;
    let name = access_token_record(&connection.id);
    let sealed = match ports.read(&name).await {
        Ok(sealed) => sealed?,
        Err(_) => {
            report::cache_failed(&**ports, "read");
            return None;
        }
    };
    let access = match AccessTokenRecord::open(&sealed, &connection.grant.identity(), &name, keys) {
        Ok(access) => Rc::new(access?),
        Err(_) => {
            report::unopened_record(&**ports, &name);
            return None;
        }
    };
    let good = access.lifetime.freshness(ports.now()) > Freshness::Stale;
    if !good || !broker.access_tokens.accepts(&connection.id, &access) {
        return None;
    }
    broker.access_tokens.remember(&connection.id, &access);
    Some(access)
}

async fn ask<P: Ports>(
    broker: &Broker,
    ports: &Rc<P>,
    connection: &Connection,
    ask: Ask,
) -> Result<(Rc<AccessToken>, Source), Refused> {
    let keys = broker.config.sealing_keys.as_ref().ok_or(Code::Misconfigured)?;
    match ports.ask(&connection.id, &ask).await {
        Ok(Reply::Token { record, granted }) => {
            let name = access_token_record(&connection.id);
            let opened = AccessTokenRecord::open(&record, &connection.grant.identity(), &name, keys);
            let access = Rc::new(opened.ok().flatten().ok_or(Code::Internal)?);
            broker.access_tokens.remember(&connection.id, &access);
            Ok((access, if granted { Source::Grant } else { Source::Keeper }))
        }
        Ok(Reply::Failed { cause }) => Err(Code::from(cause).into()),
        Ok(Reply::Waiting { cause, retry_after }) => Err(Refused::unavailable(cause.into(), retry_after)),
        Ok(Reply::UpstreamRefuses) => Err(Code::UpstreamUnauthorized.into()),
        Ok(Reply::Misconfigured) => Err(Code::Misconfigured.into()),
        Ok(Reply::Unavailable) | Err(KeeperUnreachable) => Err(Refused::unavailable(Code::Internal, 1)),
    }
}

/// Has an ageing token renewed while nobody waits for it.
fn renew_behind<P: Ports>(broker: &Rc<Broker>, ports: &Rc<P>, connection: &Connection) {
    let (broker, behind, id) = (Rc::clone(broker), Rc::clone(ports), connection.id.clone());
    let task = async move {
        if let Some(Some(connection)) = broker.config.connections.get(&id) {
            let about = Ask::new(&connection.grant.identity()).waiting_for_renewal();
            // A failure shows where the token is needed.
            let _ = ask(&broker, &behind, connection, about).await;
        }
    };
    ports.spawn(Box::pin(task));
}
