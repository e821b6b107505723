//! Access tokens as an isolate sees them: from memory, else the cache, else
//! the keeper. A person's come from their session's keeper each time.
//!
//! Memory and cache only copy what the keeper wrote; each copy tells its own
//! expiry, so that a stale one is recognised. An upstream that refuses a copy
//! sends its generation to the keeper, which alone knows whether a newer one
//! is there.

use std::rc::Rc;

use super::memory::{Source, TokenCopy};
use crate::config::Connection;
use crate::edge::answer::Refused;
use crate::edge::caller::person::Subject;
use crate::edge::{Broker, Code};
use crate::ports::{KeeperUnreachable, Ports, report};
use crate::protocol::{SERVICE, TokenAsk, TokenReply, access_token_record};
use crate::secret::Fingerprint;
use crate::token::{AccessTokenRecord, Freshness};

/// An access token of `subject` for a new call.
///
/// # Errors
/// Why none can be had.
pub(in crate::edge) async fn current<P: Ports>(
    broker: &Rc<Broker>,
    ports: &Rc<P>,
    connection: &Rc<Connection>,
    subject: &Subject,
) -> Result<(Rc<TokenCopy>, Source), Refused> {
    if matches!(subject, Subject::Person(_)) {
        return from_keeper(broker, ports, connection, subject).await;
    }
    let now = ports.now();
    let (copy, source) = match broker.access_tokens.held(connection, now) {
        Some(copy) => (copy, Source::Memory),
        None => match cached(broker, ports, connection).await {
            Some(copy) => (copy, Source::Cache),
            None => return from_keeper(broker, ports, connection, subject).await,
        },
    };
    if broker.access_tokens.takes_turn_behind(&connection.id, &copy.access, now) {
        renew_behind(broker, ports, connection);
    }
    Ok((copy, source))
}

/// A call whose token the upstream refused.
pub(in crate::edge) struct RefusedCall {
    /// What tells it from calls of other addresses.
    pub call: Fingerprint,
    /// Whether that the token worked before counts. Not where a call was sent
    /// again: an address that the account may not use answers 401 to every
    /// token, and must not cause a grant each time.
    pub is_first: bool,
}

/// An access token of `subject` after the upstream refused `refused`: another
/// one, or the same where no other can be had and it is known to have worked.
/// What is refused is forgotten only where there is a better one: the refusal
/// may be about the call.
///
/// # Errors
/// Why none can be had.
pub(in crate::edge) async fn after_refusal<P: Ports>(
    broker: &Rc<Broker>,
    ports: &Rc<P>,
    connection: &Rc<Connection>,
    subject: &Subject,
    refused: &TokenCopy,
    call: &RefusedCall,
) -> Result<(Rc<TokenCopy>, Source), Refused> {
    let generation = refused.access.generation;
    let worked = refused.note_refused() && call.is_first;
    let about = TokenAsk::new(&connection.identity).refusing(generation, worked).calling(call.call);
    if matches!(subject, Subject::Person(_)) {
        return told(ask_for_valid(broker, ports, connection, subject, about).await, refused);
    }
    let newer = broker.access_tokens.held(connection, ports.now());
    if let Some(copy) = newer.filter(|copy| copy.access.generation > generation) {
        broker.access_tokens.forget(connection, generation);
        return Ok((copy, Source::Memory));
    }
    let answered = ask_for_valid(broker, ports, connection, subject, about).await;
    if answered.as_ref().is_ok_and(|(copy, _)| copy.access.generation > generation) {
        broker.access_tokens.forget(connection, generation);
    }
    told(answered, refused)
}

/// What the call is told that met a refusal of `refused`. Where the keeper could
/// not be asked the call alone fails, since the token is known to work.
fn told<T>(answered: Result<T, Refused>, refused: &TokenCopy) -> Result<T, Refused> {
    answered.map_err(|failure| match failure.cause {
        Some(Code::Internal) if refused.worked() => Code::UpstreamUnauthorized.into(),
        _ => failure,
    })
}

/// Tells the keeper, behind the answer, that the upstream refused even
/// `refused`, which was just obtained.
pub(in crate::edge) fn report_refusal<P: Ports>(
    broker: &Rc<Broker>,
    ports: &Rc<P>,
    connection: &Rc<Connection>,
    subject: &Subject,
    refused: &TokenCopy,
    call: Fingerprint,
) {
    refused.note_refused();
    let about = TokenAsk::new(&connection.identity).refusing(refused.access.generation, false).calling(call);
    ask_behind(broker, ports, connection, subject, about);
}

/// Tells the keeper, behind the answer, that the upstream refuses a static
/// token; once for each isolate, since only another token changes that.
pub(in crate::edge) fn report_static_refusal<P: Ports>(
    broker: &Rc<Broker>,
    ports: &Rc<P>,
    connection: &Rc<Connection>,
) {
    if broker.access_tokens.notes_refusal(connection) {
        let about = TokenAsk::new(&connection.identity).refusing(0, false);
        ask_behind(broker, ports, connection, &Subject::Service, about);
    }
}

/// Tells the keeper, behind the answer, that the upstream takes `copy`, which
/// replaced a refused one or was refused itself.
pub(in crate::edge) fn confirm<P: Ports>(
    broker: &Rc<Broker>,
    ports: &Rc<P>,
    connection: &Rc<Connection>,
    subject: &Subject,
    copy: &TokenCopy,
) {
    let about = TokenAsk::new(&connection.identity).confirming(copy.access.generation);
    ask_behind(broker, ports, connection, subject, about);
}

async fn cached<P: Ports>(broker: &Broker, ports: &Rc<P>, connection: &Connection) -> Option<Rc<TokenCopy>> {
    let keys = broker.config.sealing_keys.as_ref()?;
    let name = access_token_record(SERVICE, &connection.id);
    let Ok(sealed) = ports.read(&name).await else {
        report::cache_failed(&**ports, "read");
        return None;
    };
    let opened = AccessTokenRecord::open(&sealed?, &connection.identity, &name, keys);
    let Ok(access) = opened else {
        report::unopened_record(&**ports, &name);
        return None;
    };
    let access = access?;
    let good = access.lifetime.freshness(ports.now()) > Freshness::Stale;
    if !good || !broker.access_tokens.accepts(connection, &access) {
        return None;
    }
    Some(broker.access_tokens.remember(connection, access))
}

/// An access token from the keeper.
async fn from_keeper<P: Ports>(
    broker: &Broker,
    ports: &Rc<P>,
    connection: &Rc<Connection>,
    subject: &Subject,
) -> Result<(Rc<TokenCopy>, Source), Refused> {
    ask_for_valid(broker, ports, connection, subject, TokenAsk::new(&connection.identity)).await
}

/// Asks the keeper. A token that expired on its way here is asked for again,
/// once, as for a new call.
async fn ask_for_valid<P: Ports>(
    broker: &Broker,
    ports: &Rc<P>,
    connection: &Rc<Connection>,
    subject: &Subject,
    about: TokenAsk,
) -> Result<(Rc<TokenCopy>, Source), Refused> {
    let (copy, source) = ask(broker, ports, connection, subject, about).await?;
    if copy.access.lifetime.freshness(ports.now()) > Freshness::Expired {
        return Ok((copy, source));
    }
    ask(broker, ports, connection, subject, TokenAsk::new(&connection.identity)).await
}

async fn ask<P: Ports>(
    broker: &Broker,
    ports: &Rc<P>,
    connection: &Rc<Connection>,
    subject: &Subject,
    ask: TokenAsk,
) -> Result<(Rc<TokenCopy>, Source), Refused> {
    let keys = broker.config.sealing_keys.as_ref().ok_or(Code::Misconfigured)?;
    let (answered, name) = match subject {
        Subject::Service => {
            (ports.ask(&connection.id, &ask).await, access_token_record(SERVICE, &connection.id))
        }
        Subject::Person(person) => (
            person.ask(&**ports, connection, ask).await,
            access_token_record(person.session(), &connection.id),
        ),
    };
    match answered {
        Ok(TokenReply::Token { record, granted, in_doubt }) => {
            let opened = AccessTokenRecord::open(&record, &connection.identity, &name, keys);
            let access = opened.ok().flatten().ok_or(Code::Internal)?;
            let copy = match subject {
                Subject::Service => broker.access_tokens.remember(connection, access),
                Subject::Person(_) => TokenCopy::new(access),
            };
            if in_doubt {
                copy.note_refused();
            }
            Ok((copy, if granted { Source::Grant } else { Source::Keeper }))
        }
        Ok(TokenReply::Failed { cause, retry_after }) => {
            Err(Refused { retry_after: Some(retry_after), ..Refused::from(Code::from(cause)) })
        }
        Ok(TokenReply::Waiting { cause, retry_after }) => {
            Err(Refused::unavailable(cause.into(), retry_after))
        }
        Ok(TokenReply::UpstreamRefuses) => Err(Code::UpstreamUnauthorized.into()),
        Ok(TokenReply::SignedOut) => Err(Code::CallerUnauthenticated.into()),
        Ok(TokenReply::Misconfigured) => Err(Code::Misconfigured.into()),
        Ok(TokenReply::Unavailable) | Err(KeeperUnreachable) => Err(Refused::unavailable(Code::Internal, 1)),
    }
}

/// Has an ageing token renewed while nobody waits for it.
fn renew_behind<P: Ports>(broker: &Rc<Broker>, ports: &Rc<P>, connection: &Rc<Connection>) {
    let about = TokenAsk::new(&connection.identity).waiting_for_renewal();
    ask_behind(broker, ports, connection, &Subject::Service, about);
}

/// Asks behind the answer. A failure shows where a token is needed.
fn ask_behind<P: Ports>(
    broker: &Rc<Broker>,
    ports: &Rc<P>,
    connection: &Rc<Connection>,
    subject: &Subject,
    about: TokenAsk,
) {
    let (broker, behind) = (Rc::clone(broker), Rc::clone(ports));
    let (connection, subject) = (Rc::clone(connection), subject.clone());
    let task = async move {
        drop(ask(&broker, &behind, &connection, &subject, about).await);
    };
    ports.spawn(Box::pin(task));
}
