//! Webhooks in: an event of a connection's provider.

use std::rc::Rc;

use zeroize::Zeroizing;

use super::answer::{Draft, Refused};
use super::connections::{Found, Inlet};
use super::log::CallLine;
use super::{Broker, Code};
use crate::config::Webhook;
use crate::http::RequestHead;
use crate::ports::{Ports, Sender};
use crate::protocol::{DeliveriesAsk, DeliveriesReply, event_record};
use crate::secret::{Fingerprint, Place, Secret};
use crate::token::Nonce;
use crate::webhook::{Event, Proof, Rejection};

/// Whether an event that was refused so may be taken by a newer registration of
/// its connection.
pub(super) const fn may_be_otherwise(code: Code) -> bool {
    matches!(code, Code::WebhookRejected | Code::Misconfigured | Code::NotFound)
}

/// Takes an event in: it is proven, stored without its proof, and then
/// acknowledged. Who delivers it comes to that later, and looks whether what
/// proved it counts there. The `body` that was read stays where a registered
/// connection may have to be read anew.
///
/// # Errors
/// `misconfigured` also where who delivers knows the connection otherwise.
pub(super) async fn receive<'a, P: Ports>(
    broker: &'a Rc<Broker>,
    ports: &Rc<P>,
    head: &RequestHead<'_>,
    found: Result<&'a Found, Refused>,
    body: &mut Option<Zeroizing<Vec<u8>>>,
    line: &mut CallLine<'a>,
) -> Result<Draft<P::Response>, Refused> {
    Refused::other_methods(head, "POST")?;
    let config = broker.config();
    let Found { id, webhook, version, .. } = found?;
    line.connection = Some(id);
    let webhook = match webhook {
        Inlet::None => return Err(Code::NotFound.into()),
        Inlet::Unusable => return Err(Code::Misconfigured.into()),
        Inlet::Open(webhook) => webhook,
    };
    let keys = config.sealing_keys.as_ref().ok_or(Code::Misconfigured)?;
    let by_field = match &webhook.proof {
        Proof::Header(name) => Some(check_field(head, name.as_str(), webhook)?),
        Proof::Member(_) => None,
    };
    let sender = if by_field.is_some() { Sender::Proven } else { Sender::Unproven };
    let read = match body.take() {
        Some(read) if read.len() > webhook.max_bytes => return Err(Code::BodyTooLarge.into()),
        Some(read) => read,
        None => ports.body(webhook.max_bytes, sender).await?,
    };
    let event = Event::read(&read, &webhook.proof, &webhook.account_tokens, &webhook.id_members, id);
    // Each copy may be long, and others come in meanwhile.
    *body = version.map(|_| read);
    let Event { id: webhook_id, body: event, token } = event.map_err(|rejection| match rejection {
        Rejection::NotJson => Code::BadRequest,
        Rejection::NotProven => Code::WebhookRejected,
    })?;
    let (place, proof) = by_field.or(token).ok_or(Code::WebhookRejected)?;
    line.account_token = place.number();
    let name = event_record(id, &webhook_id);
    let sealed = keys.seal(&name, event.as_bytes(), &Nonce(ports.bytes())).map_err(|_| Code::Internal)?;
    drop(event);
    line.webhook_id = Some(webhook_id.clone());
    let ask = DeliveriesAsk::Accept { id: webhook_id, event: sealed, proof };
    match ports.ask_deliveries(id, &ask).await {
        Ok(DeliveriesReply::Accepted) => Ok(Draft::empty(webhook.accepted_status)),
        Ok(DeliveriesReply::NotProven) => Err(Code::Misconfigured.into()),
        // The sender comes again.
        _ => Err(Refused::unavailable(Code::Internal, 1)),
    }
}

/// The place and the digest of the account token in the header field called
/// `name`.
///
/// # Errors
/// `webhook_rejected` where it does not prove the sender.
fn check_field(head: &RequestHead<'_>, name: &str, webhook: &Webhook) -> Result<(Place, Fingerprint), Code> {
    let value = head.headers.value(name).unwrap_or_default();
    let token = match value.split_once(' ') {
        Some((scheme, token)) if name == "authorization" && scheme.eq_ignore_ascii_case("bearer") => token,
        _ => value,
    };
    let presented = Secret::new(token.to_owned()).fingerprint();
    let place = webhook.account_tokens.place(presented).ok_or(Code::WebhookRejected)?;
    Ok((place, presented))
}
