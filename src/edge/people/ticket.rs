//! Tickets. A cookie that is set while the browser shows the broker or the provider is not the cookie
//! of a page of another site that calls the broker: browsers keep one for each site that they show. The
//! page gets a ticket instead, and exchanges it for its cookie. What it proves is that it began the flow.

use serde_json::Value;

use super::cookie::{SessionId, clear_stray};
use super::listing;
use super::records::{Once, TICKET, TicketRecord, find};
use crate::edge::Code;
use crate::edge::answer::{Draft, Refused};
use crate::edge::context::Context;
use crate::json;
use crate::oauth::challenge;
use crate::ports::{EdgePorts, Sender};
use crate::protocol::one_time_name;
use crate::secret::Secret;

/// The largest body, in bytes.
const MAX_BODY_BYTES: usize = 4 * 1024;

/// Exchanges a ticket for the session's cookie, and answers as the list of sign-ins does.
pub(in crate::edge) async fn redeem<P: EdgePorts>(
    context: &Context<'_, P>,
) -> Result<Draft<P::Response>, Refused> {
    let (head, config) = (context.head, context.config());
    let policy = config.session.ok_or(Code::NotFound)?;
    context.cors.check_signing(head, config)?;
    let (ticket, verifier) = read(context).await?;
    let unproven = || Refused { wrong_credential: true, ..Refused::from(Code::CallerUnauthenticated) };
    let name = one_time_name(TICKET, ticket.expose());
    let proof = TicketRecord::proof(&challenge(&verifier));
    let Once::Found(record) = find::<TicketRecord, P>(context.edge, &name, proof, true).await? else {
        return Err(unproven());
    };
    if head.headers.value("origin") != Some(&*record.origin) {
        return Err(unproven());
    }
    let session = SessionId::parse(record.session.0.expose()).ok_or(Code::Internal)?;
    let mut draft = listing::list(context, &session).await?;
    draft.fields.push("set-cookie", &session.set_cookie(&policy));
    if let Some(stray) = clear_stray(head, &policy) {
        draft.fields.push("set-cookie", &stray);
    }
    Ok(draft)
}

/// Reads the ticket and the verifier from the body. It must be JSON, which another site's page cannot
/// send without a preflight.
async fn read<P: EdgePorts>(context: &Context<'_, P>) -> Result<(Secret, Secret), Refused> {
    let content_type = context.head.headers.value("content-type").unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    if !media_type.eq_ignore_ascii_case("application/json") {
        return Err(Code::BadRequest.into());
    }
    let body = context.edge.ports.body(MAX_BODY_BYTES, Sender::Unproven).await?;
    let mut members = json::parse(json::without_mark(&body)).map_err(|_| Code::BadRequest)?;
    let mut take = |name| match members.get_mut(name).map(Value::take) {
        Some(Value::String(text)) if !text.is_empty() => Ok(Secret::new(text)),
        _ => Err(Code::BadRequest),
    };
    Ok((take("ticket")?, take("verifier")?))
}
