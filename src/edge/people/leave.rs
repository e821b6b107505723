//! The end of a person's session, or of one sign-in of it.

use super::cookie::{SessionId, clear_cookie, clear_stray};
use super::return_to::ReturnTo;
use crate::config::{Configured, Grant};
use crate::discovery::metadata;
use crate::edge::Code;
use crate::edge::answer::{Draft, Refused};
use crate::edge::context::Context;
use crate::edge::log;
use crate::form;
use crate::json::{self, Members};
use crate::oauth::end_session_url;
use crate::ports::EdgePorts;
use crate::protocol::{DisconnectSession, EndSession, ListSignIns, SignIns};

/// Ends the person's session, if there is one. With `provider=true` the answer has the address at which
/// they sign out at the provider, too, if it has one.
pub(in crate::edge) async fn sign_out<P: EdgePorts>(
    context: &Context<'_, P>,
) -> Result<Draft<P::Response>, Refused> {
    let (head, ports, config) = (context.head, &context.edge.ports, context.config());
    Refused::check_method(head, "POST")?;
    let policy = config.session.ok_or(Code::NotFound)?;
    context.cors.check_signing(head, config)?;
    let return_to = read_provider(context)?;
    let mut logout_url = None;
    if let Some(id) = SessionId::read(&head.headers) {
        if let Some(return_to) = &return_to {
            logout_url = provider_address(context, &id, return_to).await?;
        }
        if ports.ask(EndSession { session: id.name(), proof: id.proof() }).await? {
            log::write_sign_out(&**ports, context.request_id, None);
        }
    }
    let mut draft = match &logout_url {
        Some(url) => Draft::text(200, "application/json", json::text(&Members(&[("logout_url", url)]))),
        None => Draft::empty(204),
    };
    draft.fields.push("set-cookie", &clear_cookie(&policy));
    if let Some(stray) = clear_stray(head, &policy) {
        draft.fields.push("set-cookie", &stray);
    }
    Ok(draft)
}

/// The address to come back to from the provider, where the person signs out there, too.
fn read_provider<P: EdgePorts>(context: &Context<'_, P>) -> Result<Option<ReturnTo>, Code> {
    let query = context.head.query().unwrap_or_default();
    let one = |name| {
        let mut values = form::parameters(query, name).into_iter();
        let first = values.next();
        if values.next().is_some() { Err(Code::BadRequest) } else { Ok(first) }
    };
    match one("provider")?.as_deref() {
        None | Some("false") => return Ok(None),
        Some("true") => {}
        Some(_) => return Err(Code::BadRequest),
    }
    let return_to = one("return_to")?.unwrap_or_else(|| "/".to_owned());
    let known = &context.config().allowed_origins;
    ReturnTo::parse(&return_to, context.head.own_origin(), known).map(Some).ok_or(Code::BadRequest)
}

/// The address at which the person signs out where they signed in first (`OpenID` Connect RP-Initiated
/// Logout 1.0 §2).
async fn provider_address<P: EdgePorts>(
    context: &Context<'_, P>,
    id: &SessionId,
    return_to: &ReturnTo,
) -> Result<Option<String>, Refused> {
    let (ports, config) = (&context.edge.ports, context.config());
    let keys = config.sealing_keys.as_ref().ok_or(Code::Misconfigured)?;
    let listed = ports.ask(ListSignIns { session: id.name(), proof: id.proof() }).await?;
    let Some(SignIns { people, .. }) = listed else { return Ok(None) };
    let Some(person) = people.first() else { return Ok(None) };
    let connection = config.connection(&person.connection).and_then(Configured::usable);
    let Some(Grant::AuthorizationCode { endpoint, authorization }) =
        connection.map(|connection| &connection.grant)
    else {
        return Ok(None);
    };
    // The connection may have another issuer now.
    if authorization.issuer.as_ref() != Some(&person.issuer) {
        return Ok(None);
    }
    let found = metadata(&**ports, keys, &person.issuer).await;
    let url = found.and_then(|found| found.end_session_endpoint);
    Ok(url
        .zip(endpoint.client.id())
        .map(|(url, client)| end_session_url(&url, client, return_to.as_str(), None)))
}

/// Ends the person's sign-in to one connection, if there is one.
pub(in crate::edge) async fn disconnect<P: EdgePorts>(
    context: &Context<'_, P>,
    connection: &str,
) -> Result<Draft<P::Response>, Refused> {
    let (head, ports, config) = (context.head, &context.edge.ports, context.config());
    let (id, connection) = config.configured(connection).ok_or(Code::UnknownConnection)?;
    context.note(|line| line.connection = Some(id));
    Refused::check_method(head, "DELETE")?;
    context.cors.check_signing(head, config)?;
    let connection = connection.usable().ok_or(Code::Misconfigured)?;
    config.session.filter(|_| connection.grant.is_for_people()).ok_or(Code::NotFound)?;
    if let Some(session) = SessionId::read(&head.headers) {
        let ask = DisconnectSession { session: session.name(), proof: session.proof(), connection: id };
        if ports.ask(ask).await? {
            log::write_sign_out(&**ports, context.request_id, Some(id));
        }
    }
    Ok(Draft::empty(204))
}
