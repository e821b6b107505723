//! What came of a flow, as the page that began it gets it.

use super::page;
use super::return_to::ReturnTo;
use super::words::words;
use crate::edge::Code;
use crate::edge::answer::{Draft, Refused};
use crate::edge::context::Context;
use crate::edge::log;
use crate::json::{self, Members};
use crate::ports::EdgePorts;
use crate::secret::Secret;

/// The code of a refusal by the person, or by the provider for them.
pub(super) const ACCESS_DENIED: &str = "access_denied";
/// The code of a flow that is unknown, used or late.
pub(super) const FLOW_EXPIRED: &str = "flow_expired";
/// The code of a flow that another browser began.
pub(super) const FLOW_MISMATCH: &str = "flow_mismatch";
/// The code of an answer of another issuer, or at the redirect address of another connection.
pub(super) const ISSUER_MISMATCH: &str = "issuer_mismatch";

/// Why a flow failed.
#[derive(Clone, Copy, Debug)]
pub(super) struct FlowFailure {
    /// The code that the page gets.
    pub code: &'static str,
    /// What the log says besides.
    pub reason: Option<&'static str>,
}

impl FlowFailure {
    pub const fn new(code: &'static str, reason: &'static str) -> Self {
        Self { code, reason: Some(reason) }
    }
}

impl From<Code> for FlowFailure {
    fn from(code: Code) -> Self {
        Self { code: code.as_str(), reason: None }
    }
}

impl From<Refused> for FlowFailure {
    fn from(refused: Refused) -> Self {
        refused.code.into()
    }
}

/// Where the outcome of a flow goes.
#[derive(Debug)]
pub(super) struct Destination {
    /// The page; none for whoever came by a link.
    pub return_to: Option<ReturnTo>,
    /// Whether the flow has a window of its own, whose opener is the page.
    pub is_popup: bool,
}

/// A flow that succeeded.
#[derive(Default, Debug)]
pub(super) struct Connected {
    /// The ticket for the page.
    pub ticket: Option<Secret>,
    /// The values of `Set-Cookie`.
    pub cookies: Vec<String>,
}

/// Writes the log line of a flow, and answers the browser.
pub(super) fn answer<P: EdgePorts>(
    context: &Context<'_, P>,
    connection: Option<&str>,
    destination: &Destination,
    outcome: Result<Connected, FlowFailure>,
) -> Draft<P::Response> {
    let failure = outcome.as_ref().err().copied();
    let (name, code) = match failure {
        None => ("connected", None),
        Some(failure) => ("failed", Some(failure.code)),
    };
    let reason = failure.and_then(|failure| failure.reason);
    log::write_connect(&*context.edge.ports, context.request_id, connection, code.unwrap_or(name), reason);
    let Connected { ticket, cookies } = outcome.unwrap_or_default();
    let mut draft = match &destination.return_to {
        None => link_page(context, code),
        Some(page) if destination.is_popup => popup(context, connection, page, (name, code), ticket.as_ref()),
        Some(page) => {
            let mut own = vec![("porteiro", name)];
            own.extend(code.map(|code| ("porteiro_code", code)));
            own.extend(ticket.as_ref().map(|ticket| ("porteiro_ticket", ticket.expose())));
            let mut draft = Draft::empty(303);
            draft.fields.push("location", &page.with(&own));
            draft
        }
    };
    for cookie in cookies {
        draft.fields.push("set-cookie", &cookie);
    }
    draft
}

/// The page that tells the opener of its window, at the origin of `page` alone.
fn popup<P: EdgePorts>(
    context: &Context<'_, P>,
    connection: Option<&str>,
    page: &ReturnTo,
    (outcome, code): (&str, Option<&str>),
    ticket: Option<&Secret>,
) -> Draft<P::Response> {
    let ticket = ticket.map(Secret::expose);
    let mut members: Vec<(&str, &dyn json::ToJson)> =
        vec![("source", &"porteiro"), ("connection", &connection), ("outcome", &outcome), ("code", &code)];
    if ticket.is_some() {
        members.push(("ticket", &ticket));
    }
    let message = page::in_script(&json::text(&Members(&members)));
    let origin = page::in_script(&json::text(&page.origin()));
    let script = format!("if(window.opener)window.opener.postMessage({message},{origin});window.close();");
    let words = words(context.language());
    let title = if code.is_none() { words.connected } else { words.not_connected };
    page::draft(context, 200, title, &paragraph(words.close), Some(&script))
}

/// The page for whoever came by a link.
fn link_page<P: EdgePorts>(context: &Context<'_, P>, code: Option<&str>) -> Draft<P::Response> {
    let words = words(context.language());
    let (title, body) = match code {
        None => (words.connected, paragraph(words.close)),
        Some(ACCESS_DENIED) => (words.not_connected, paragraph(words.denied)),
        Some(FLOW_EXPIRED | FLOW_MISMATCH) => (words.not_connected, paragraph(words.over)),
        Some(code) => (words.not_connected, paragraph(&format!("{} {code}", words.failed))),
    };
    page::draft(context, 200, title, &body, None)
}

pub(super) fn paragraph(text: &str) -> String {
    format!("<p>{}</p>", page::escaped(text))
}
