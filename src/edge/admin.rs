//! The admin interface.

mod connections;
mod page;
mod people;
mod registrations;
mod webhooks;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::Code;
use super::answer::{Draft, Refused};
use super::context::Context;
use super::cors::has_sound_origin;
use super::log;
use crate::config::{Config, is_id};
use crate::form;
use crate::http::RequestHead;
use crate::ports::EdgePorts;
use crate::protocol::OPERATOR;
use crate::secret::Secret;

const READING: &str = "GET, HEAD";

/// One request to the admin interface.
struct AdminRequest<'c, 'a, P>(&'c Context<'a, P>);

/// Answers a request to the admin interface; `path` is the part of the address after `/admin/`.
pub(super) async fn answer<P: EdgePorts>(
    context: &Context<'_, P>,
    path: &str,
) -> Result<Draft<P::Response>, Refused> {
    let head = context.head;
    check_operator(head, context.config())?;
    let segments: Vec<&str> = path.split('/').collect();
    let request = AdminRequest(context);
    match segments.as_slice() {
        [name @ ("" | "page.css" | "page.js")] => request.page(name),
        ["connections"] => request.list().await,
        ["events"] => request.events().await,
        ["connections", "", ..] => Err(Code::NotFound.into()),
        ["connections", id] => match head.method {
            "PUT" | "PATCH" => request.put(id).await,
            "DELETE" => request.delete(id).await,
            _ => request.show(id).await,
        },
        ["connections", id, "refresh"] => request.refresh(id).await,
        ["connections", id, "token"] => request.drop_token(id).await,
        ["connections", id, "connect-link"] => request.connect_link(id).await,
        ["people", "sign-out"] => request.sign_out_person().await,
        ["connections", queue, "webhooks", rest @ ..] | [queue @ "events", "webhooks", rest @ ..] => {
            let queue = if segments.len() == rest.len() + 2 { OPERATOR } else { queue };
            match rest {
                [] => request.webhooks(queue).await,
                ["send"] => request.send_again(queue, None).await,
                [webhook, "send"] => request.send_again(queue, Some(webhook)).await,
                _ => Err(Code::NotFound.into()),
            }
        }
        _ => Err(Code::NotFound.into()),
    }
}

impl<P: EdgePorts> AdminRequest<'_, '_, P> {
    /// Refuses a request whose method is not in `allow`, the value of `Allow`.
    fn check_method(&self, allow: &'static str) -> Result<(), Refused> {
        Refused::check_method(self.0.head, allow)
    }

    /// The value of the query's parameter `name`.
    fn parameter(&self, name: &str) -> Option<String> {
        self.parameters(name).into_iter().next()
    }

    fn parameters(&self, name: &str) -> Vec<String> {
        form::parameters(self.0.head.query().unwrap_or_default(), name)
    }

    /// Writes the log line of `action` on `connection`: done, or the error code.
    fn log_action<T>(&self, action: &str, connection: &str, done: Result<T, Refused>) -> Result<T, Refused> {
        let outcome = done.as_ref().map_or_else(|refused| refused.code.as_str(), |_| "done");
        // An invalid id may hold any text: keep it out of the log.
        let known = is_id(connection).then_some(connection);
        log::write_admin(&*self.0.edge.ports, self.0.request_id, action, known, outcome);
        done
    }
}

/// Fails unless the request carries an operator's key: as a Bearer token, or as the password of
/// Basic credentials. A browser adds Basic credentials to any request by itself, so they count only
/// on requests of the broker's own pages.
fn check_operator(head: &RequestHead<'_>, config: &Config) -> Result<(), Refused> {
    let unproven = |wrong_credential| Refused {
        wrong_credential,
        needs_operator_key: true,
        ..Refused::from(Code::CallerUnauthenticated)
    };
    let authorization = head.headers.value("authorization").ok_or_else(|| unproven(false))?;
    let (scheme, credential) = authorization.split_once(' ').ok_or_else(|| unproven(true))?;
    let is_basic = scheme.eq_ignore_ascii_case("basic");
    let key = if is_basic {
        password(credential.trim())
    } else {
        Some(Secret::new(credential.trim().to_owned())).filter(|_| scheme.eq_ignore_ascii_case("bearer"))
    };
    let is_operator = key.is_some_and(|key| config.is_operator(&key));
    if !is_operator {
        return Err(unproven(true));
    }
    let is_own = |origin| origin == head.own_origin();
    let is_own_page = has_sound_origin(head)
        && matches!(head.headers.value("sec-fetch-site"), None | Some("same-origin" | "none"))
        && head.headers.value("origin").is_none_or(is_own);
    if is_basic && !is_own_page { Err(Code::CrossSiteRequest.into()) } else { Ok(()) }
}

/// The password of Basic credentials (RFC 7617 §2); the user name is ignored.
fn password(credential: &str) -> Option<Secret> {
    let decoded = Secret::new(String::from_utf8(STANDARD.decode(credential).ok()?).ok()?);
    decoded.expose().split_once(':').map(|(_, password)| Secret::new(password.to_owned()))
}
