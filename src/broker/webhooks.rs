//! Webhooks in: an event of a connection's provider.

use std::rc::Rc;

use super::answer::{Draft, Refused};
use super::deliveries::{DeliveriesAsk, DeliveriesReply, event_record};
use super::log::CallLine;
use super::ports::{Ports, Sender};
use super::registry::{Found, Inlet};
use super::{Broker, Code};
use crate::config::Webhook;
use crate::http::RequestHead;
use crate::secret::{Place, Secret};
use crate::token::Nonce;
use crate::webhook::{Event, Proof, Rejection};

/// Takes an event in: it is proven, stored without its proof, and then
/// acknowledged. Who delivers it comes to that later.
pub(super) async fn receive<'a, P: Ports>(
    broker: &'a Rc<Broker>,
    ports: &Rc<P>,
    head: &RequestHead<'_>,
    found: Result<&'a Found, Refused>,
    line: &mut CallLine<'a>,
) -> Result<Draft<P::Response>, Refused> {
    Refused::other_methods(head, "POST")?;
    let config = broker.config();
    let Found { id, webhook, .. } = found?;
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
    let body = ports.body(webhook.max_bytes, sender).await?;
    let event = Event::read(&body, &webhook.proof, &webhook.account_tokens, &webhook.id_members, id);
    // Each copy may be long, and others come in meanwhile.
    drop(body);
    let Event { id: webhook_id, body, token } = event.map_err(|rejection| match rejection {
        Rejection::NotJson => Code::BadRequest,
        Rejection::NotProven => Code::WebhookRejected,
    })?;
    line.account_token = by_field.or(token).and_then(Place::number);
    let name = event_record(id, &webhook_id);
    let event = keys.seal(&name, body.as_bytes(), &Nonce(ports.bytes())).map_err(|_| Code::Internal)?;
    drop(body);
    line.webhook_id = Some(webhook_id.clone());
    match ports.ask_deliveries(id, &DeliveriesAsk::Accept { id: webhook_id, event }).await {
        Ok(DeliveriesReply::Accepted) => Ok(Draft::empty(webhook.accepted_status)),
        // The sender comes again.
        _ => Err(Refused::unavailable(Code::Internal, 1)),
    }
}

/// The place of the account token in the header field called `name`.
///
/// # Errors
/// `webhook_rejected` where it does not prove the sender.
fn check_field(head: &RequestHead<'_>, name: &str, webhook: &Webhook) -> Result<Place, Code> {
    let value = head.headers.value(name).unwrap_or_default();
    let token = match value.split_once(' ') {
        Some((scheme, token)) if name == "authorization" && scheme.eq_ignore_ascii_case("bearer") => token,
        _ => value,
    };
    webhook.account_tokens.place(&Secret::new(token.to_owned())).ok_or(Code::WebhookRejected)
}
