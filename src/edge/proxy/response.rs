//! The upstream's response, as the caller gets it.

use super::address;
use super::fields;
use super::sent::Sent;
use crate::config::Connection;
use crate::edge::Code;
use crate::edge::answer::{Body, Draft, Refused};
use crate::edge::context::Context;
use crate::http::QueryBinding;
use crate::ports::{EdgePorts, UpstreamAnswer};

/// The answer to the caller, from the upstream's to a call of `url` with the secrets `sent`, by a rule
/// that has `bound` parameters.
///
/// # Errors
/// `upstream_unreachable` where the status is none of HTTP; `upstream_redirect` where the upstream
/// leads elsewhere.
pub(super) fn hand_back<P: EdgePorts>(
    context: &Context<'_, P>,
    connection: &Connection,
    (url, bound): (&str, Option<&QueryBinding>),
    sent: &Sent,
    answer: UpstreamAnswer<P::Response>,
) -> Result<Draft<P::Response>, Refused> {
    let ports = &context.edge.ports;
    if !(200..600).contains(&answer.status) {
        ports.discard(answer.response);
        return Err(Code::UpstreamUnreachable.into());
    }
    let headers = answer.headers();
    let mut fields = fields::caller_fields(&headers, connection, sent);
    let vary = headers.value("vary").filter(|vary| !sent.is_disclosed(vary)).map(str::to_owned);
    if let Some(location) = headers.value("location") {
        let redirects = (300..400).contains(&answer.status) && answer.status != 304;
        let path = || address::path_within(connection, url, location, bound);
        let within = (!fields::is_mangled(location)).then(path).flatten();
        match within.filter(|path| !sent.is_disclosed(path)) {
            Some(path) => {
                let (own, id) = (context.address(), &connection.id);
                fields.push("location", &format!("{own}/api/{id}{path}"));
            }
            None if redirects => {
                ports.discard(answer.response);
                return Err(Code::UpstreamRedirect.into());
            }
            None => {}
        }
    }
    let body = if sent.has_any() && fields::may_disclose(answer.status, &headers) {
        Body::Veiled(answer.response, sent.to_lines())
    } else {
        Body::Upstream(answer.response)
    };
    Ok(Draft { status: answer.status, fields, vary, body })
}
