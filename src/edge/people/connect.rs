//! The begin of a person's consent, by a navigation of a page.

use super::begin::{NewFlow, admit, is_navigation};
use super::cookie::SessionId;
use super::outcome::{self, Destination};
use super::return_to::ReturnTo;
use crate::config::Grant;
use crate::edge::Code;
use crate::edge::answer::{Draft, Refused};
use crate::edge::context::Context;
use crate::edge::log;
use crate::form;
use crate::ports::{EdgePorts, Host};

/// What a page asks for.
struct ConnectQuery {
    destination: Destination,
    ticket_challenge: Option<String>,
}

/// Leads a person to the provider.
pub(in crate::edge) async fn connect<P: EdgePorts>(
    context: &Context<'_, P>,
    connection: &str,
) -> Result<Draft<P::Response>, Refused> {
    let (head, config) = (context.head, context.config());
    Refused::check_method(head, "GET")?;
    let (id, connection) = config.configured(connection).ok_or(Code::UnknownConnection)?;
    context.note(|line| line.connection = Some(id));
    let connection = connection.usable().ok_or(Code::Misconfigured)?;
    let Grant::AuthorizationCode { endpoint, authorization } = &connection.grant else {
        return Err(Code::NotFound.into());
    };
    let policy = config.session.filter(|_| authorization.for_people).ok_or(Code::NotFound)?;
    let refused = |refused: Refused, reason: Option<&str>| {
        log::write_connect(&*context.edge.ports, context.request_id, Some(id), refused.code.as_str(), reason);
        refused
    };
    if !is_navigation(head) {
        return Err(refused(Code::BadRequest.into(), Some("no_navigation")));
    }
    let ConnectQuery { destination, ticket_challenge } = ConnectQuery::read(context, policy.cross_site)
        .map_err(|reason| refused(Code::BadRequest.into(), Some(reason)))?;
    admit(context, "begin").await.map_err(|limited| refused(limited, None))?;
    let session = SessionId::read(&head.headers);
    let flow = NewFlow {
        connection,
        endpoint,
        authorization,
        return_to: destination.return_to.as_ref(),
        is_popup: destination.is_popup,
        session: session.as_ref().map(SessionId::value),
        ticket_challenge,
        link: None,
    };
    Ok(match flow.begin(context).await {
        Ok(draft) => draft,
        Err(failure) => outcome::answer(context, Some(id), &destination, Err(failure)),
    })
}

impl ConnectQuery {
    /// Reads the query. Where the cookie goes to other sites, a page of another origin needs a ticket.
    ///
    /// # Errors
    /// The parameter that is wrong.
    fn read<P: Host>(context: &Context<'_, P>, is_cross_site: bool) -> Result<Self, &'static str> {
        let query = context.head.query().unwrap_or_default();
        let one = |name: &'static str| {
            let mut values = form::parameters(query, name).into_iter();
            let first = values.next();
            if values.next().is_some() { Err(name) } else { Ok(first) }
        };
        let own = context.head.own_origin();
        let return_to = one("return_to")?.unwrap_or_else(|| "/".to_owned());
        let return_to = ReturnTo::parse(&return_to, own, &context.config().allowed_origins);
        let return_to = return_to.ok_or("return_to")?;
        let is_popup = match one("display")?.as_deref() {
            None | Some("page") => false,
            Some("popup") => true,
            Some(_) => return Err("display"),
        };
        let ticket_challenge = one("ticket_challenge")?;
        let ticket_challenge = if is_cross_site && return_to.origin() != own {
            Some(ticket_challenge.filter(|challenge| is_challenge(challenge)).ok_or("ticket_challenge")?)
        } else {
            None
        };
        Ok(Self { destination: Destination { return_to: Some(return_to), is_popup }, ticket_challenge })
    }
}

/// Whether a text has the form of a challenge by S256 (RFC 7636 §4.2).
fn is_challenge(text: &str) -> bool {
    text.len() == 43 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}
