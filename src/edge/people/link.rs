//! Links: a one-time address by which somebody without any key consents for a connection of all
//! callers. Its page has a form, so that the preview of a link uses nothing up.

use super::begin::{NewFlow, admit, is_navigation};
use super::outcome::{self, Destination, paragraph};
use super::page;
use super::records::{LINK, LinkRecord, Once, find};
use super::return_to::ReturnTo;
use super::words::words;
use crate::config::{Connection, Grant};
use crate::edge::Code;
use crate::edge::answer::{Draft, Refused};
use crate::edge::connections::held::Found;
use crate::edge::context::Context;
use crate::edge::route::SecretSegment;
use crate::ports::EdgePorts;
use crate::protocol::one_time_name;

/// The label of a connection that names it to people.
const NAME: &str = "name";

/// Shows a link's page, or begins its flow.
pub(in crate::edge) async fn answer<'a, P: EdgePorts>(
    context: &Context<'a, P>,
    found: Result<&'a Found, Refused>,
    secret: SecretSegment<'_>,
) -> Result<Draft<P::Response>, Refused> {
    let head = context.head;
    Refused::check_method(head, "GET, HEAD, POST")?;
    let Found { id, connection, .. } = found?;
    context.note(|line| line.connection = Some(id));
    let connection = connection.usable().ok_or(Code::Misconfigured)?;
    let Grant::AuthorizationCode { endpoint, authorization } = &connection.grant else {
        return Err(Code::NotFound.into());
    };
    if authorization.for_people {
        return Err(Code::NotFound.into());
    }
    admit(context, "link").await?;
    let secret = secret.decoded().ok_or(Code::NotFound)?;
    let name = one_time_name(LINK, secret.expose());
    let link = match find::<LinkRecord, P>(context.edge, &name, LinkRecord::proof(), false).await? {
        Once::Found(link) if link.connection == connection.id => link,
        Once::Found(_) | Once::WrongProof | Once::Absent => return Ok(over(context)),
    };
    if head.method != "POST" {
        return Ok(form(context, connection));
    }
    // A form of another page would lead people past what this one says: some providers ask nobody twice.
    let is_own = head.headers.value("sec-fetch-site").is_none_or(|site| site == "same-origin");
    if !is_own || !is_navigation(head) {
        return Err(Code::BadRequest.into());
    }
    let return_to = link.return_to.as_deref().map(ReturnTo::known);
    let destination = Destination { return_to, is_popup: false };
    let flow = NewFlow {
        connection,
        endpoint,
        authorization,
        return_to: destination.return_to.as_ref(),
        is_popup: false,
        session: None,
        ticket_challenge: None,
        link: Some(name),
    };
    Ok(match flow.begin(context).await {
        Ok(draft) => draft,
        Err(failure) => outcome::answer(context, Some(id), &destination, Err(failure)),
    })
}

/// The page of a link: one button, without any script.
fn form<P: EdgePorts>(context: &Context<'_, P>, connection: &Connection) -> Draft<P::Response> {
    let words = words(context.language());
    let label = connection.labels.iter().find(|(name, _)| name == NAME);
    let name = label.map_or(connection.id.as_str(), |(_, value)| value);
    let button = page::escaped(words.button);
    let form = format!(r#"{}<form method="post"><button>{button}</button></form>"#, paragraph(words.explain));
    page::draft(context, 200, &format!("{} {name}", words.connect), &form, None)
}

/// The page of a link that is used up or late, or never was one.
fn over<P: EdgePorts>(context: &Context<'_, P>) -> Draft<P::Response> {
    context.note(|line| line.note_code(Code::NotFound));
    let words = words(context.language());
    page::draft(context, 404, words.link_over, &paragraph(words.ask_again), None)
}
