//! Incoming webhooks: events of a connection's provider.

use zeroize::Zeroizing;

use super::Code;
use super::answer::{Draft, Refused};
use super::connections::held::Found;
use super::context::Context;
use super::route::SecretSegment;
use crate::config::Webhook;
use crate::http::RequestHead;
use crate::ports::{EdgePorts, Sender};
use crate::protocol::{AcceptEvent, event_record};
use crate::secret::{Fingerprint, Place, Secret};
use crate::token::Nonce;
use crate::webhook::{Event, EventRejection, Proof};

/// Whether a newer registration of the connection may accept an event that was refused with `code`.
pub(super) const fn may_succeed_after_reread(code: Code) -> bool {
    matches!(code, Code::WebhookRejected | Code::Misconfigured | Code::NotFound)
}

/// Receives an event: authenticates it, has the delivery queue store it without its account token,
/// and then acknowledges it. The delivery queue checks the account token against the connection as
/// it knows it. `segment` is the one below the connection's address, if there is one. `body` keeps
/// the bytes that were read, for a second call after the registration is read again.
///
/// # Errors
/// [`Refused`]; `misconfigured` also where the delivery queue does not accept the account token.
pub(super) async fn receive<'a, P: EdgePorts>(
    context: &Context<'a, P>,
    found: Result<&'a Found, Refused>,
    segment: Option<SecretSegment<'_>>,
    body: &mut Option<Zeroizing<Vec<u8>>>,
) -> Result<Draft<P::Response>, Refused> {
    let (head, ports, config) = (context.head, &context.edge.ports, context.config());
    Refused::check_method(head, "POST")?;
    let found = found?;
    let Found { id, version, .. } = found;
    context.note(|line| line.connection = Some(id));
    let webhook = found.webhook(config).ok_or(Code::NotFound)?.usable().ok_or(Code::Misconfigured)?;
    let keys = config.sealing_keys.as_ref().ok_or(Code::Misconfigured)?;
    if segment.is_some() && !matches!(webhook.proof, Proof::Path) {
        return Err(Code::NotFound.into());
    }
    // What does not need the body is checked before it is read.
    let (by_head, signed) = match &webhook.proof {
        Proof::Header(name) => (Some(check_field(head, name.as_str(), webhook)?), None),
        Proof::Path => (Some(check_segment(segment, webhook)?), None),
        Proof::Hmac(hmac) => (None, Some(hmac.presented(head, ports.now()).ok_or(Code::WebhookRejected)?)),
        Proof::Member(_) => (None, None),
    };
    let sender = if by_head.is_some() { Sender::Proven } else { Sender::Unproven };
    let read = match body.take() {
        Some(read) if read.len() > webhook.max_bytes => return Err(Code::BodyTooLarge.into()),
        Some(read) => read,
        None => ports.body(webhook.max_bytes, sender).await?,
    };
    let by_signature = match signed {
        Some(signed) => Some(signed.token(&read, &webhook.account_tokens).ok_or(Code::WebhookRejected)?),
        None => None,
    };
    let event = Event::read(&read, &webhook.proof, &webhook.account_tokens, &webhook.id_members, id);
    // Free the body before the next wait: events may be large, and others arrive meanwhile.
    *body = version.map(|_| read);
    let Event { id: webhook_id, body: event, token } = event.map_err(|rejection| match rejection {
        EventRejection::NotJson => Code::BadRequest,
        EventRejection::NotProven => Code::WebhookRejected,
    })?;
    let (place, proof) = by_head.or(by_signature).or(token).ok_or(Code::WebhookRejected)?;
    context.note(|line| line.account_token = place.number());
    if webhook.handshake.as_ref().is_some_and(|handshake| handshake.is_met(&event)) {
        return Ok(Draft::empty(webhook.accepted_status));
    }
    let name = event_record(id, &webhook_id);
    let sealed = keys.seal(&name, event.as_bytes(), &Nonce(ports.bytes())).map_err(|_| Code::Internal)?;
    drop(event);
    context.note(|line| line.webhook_id = Some(webhook_id.clone()));
    // If this fails, the sender retries.
    let accepted = ports.ask(AcceptEvent { connection: id, id: webhook_id, event: sealed, proof }).await?;
    if accepted { Ok(Draft::empty(webhook.accepted_status)) } else { Err(Code::Misconfigured.into()) }
}

/// The place and the digest of the account token in the header field called
/// `name`.
///
/// # Errors
/// `webhook_rejected` where the token is none of the connection's.
fn check_field(head: &RequestHead<'_>, name: &str, webhook: &Webhook) -> Result<(Place, Fingerprint), Code> {
    let value = head.headers.value(name).unwrap_or_default();
    let token = match value.split_once(' ') {
        Some((scheme, token)) if name == "authorization" && scheme.eq_ignore_ascii_case("bearer") => token,
        _ => value,
    };
    check_token(&Secret::new(token.to_owned()), webhook)
}

/// The same of the account token in the address.
fn check_segment(
    segment: Option<SecretSegment<'_>>,
    webhook: &Webhook,
) -> Result<(Place, Fingerprint), Code> {
    check_token(&segment.and_then(SecretSegment::decoded).ok_or(Code::WebhookRejected)?, webhook)
}

fn check_token(token: &Secret, webhook: &Webhook) -> Result<(Place, Fingerprint), Code> {
    let presented = token.fingerprint();
    let place = webhook.account_tokens.place(presented).ok_or(Code::WebhookRejected)?;
    Ok((place, presented))
}
