//! What the operator asks.

mod connections;
mod page;
mod registrations;
mod webhooks;

use std::rc::Rc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::answer::{Draft, Refused};
use super::cors::has_sound_origin;
use super::log::{self, CallLine};
use super::{Broker, Code};
use crate::config::{Config, is_id};
use crate::form;
use crate::http::RequestHead;
use crate::ports::Ports;
use crate::secret::Secret;

const READING: &str = "GET, HEAD";

/// One request of the operator.
struct Asked<'a, 'l, P> {
    broker: &'a Rc<Broker>,
    ports: &'a Rc<P>,
    head: &'a RequestHead<'a>,
    line: &'a mut CallLine<'l>,
}

/// Answers the operator; `path` is what follows `/admin/`.
pub(super) async fn answer<P: Ports>(
    broker: &Rc<Broker>,
    ports: &Rc<P>,
    head: &RequestHead<'_>,
    path: &str,
    line: &mut CallLine<'_>,
) -> Result<Draft<P::Response>, Refused> {
    check_operator(head, broker.config())?;
    let segments: Vec<&str> = path.split('/').collect();
    let mut asked = Asked { broker, ports, head, line };
    match segments.as_slice() {
        [name @ ("" | "page.css" | "page.js")] => asked.page(name),
        ["connections"] => asked.list().await,
        ["connections", "", ..] => Err(Code::NotFound.into()),
        ["connections", id] => match head.method {
            "PUT" => asked.put(id).await,
            "DELETE" => asked.delete(id).await,
            _ => asked.show(id).await,
        },
        ["connections", id, "refresh"] => asked.refresh(id).await,
        ["connections", id, "token"] => asked.drop_token(id).await,
        ["connections", id, "webhooks"] => asked.webhooks(id).await,
        ["connections", id, "webhooks", "send"] => asked.send_again(id, None).await,
        ["connections", id, "webhooks", webhook, "send"] => asked.send_again(id, Some(webhook)).await,
        _ => Err(Code::NotFound.into()),
    }
}

impl<P: Ports> Asked<'_, '_, P> {
    /// Refuses a request whose method is none of `allow`, which `Allow` lists.
    fn allow(&self, allow: &'static str) -> Result<(), Refused> {
        Refused::other_methods(self.head, allow)
    }

    /// The value of the query's parameter `name`.
    fn parameter(&self, name: &str) -> Option<String> {
        form::parameter(self.head.query()?, name)
    }

    /// Writes the line of what was done to `connection`, or why it was not.
    fn note<T>(&self, action: &str, connection: &str, done: Result<T, Refused>) -> Result<T, Refused> {
        let outcome = done.as_ref().map_or_else(|refused| refused.code.as_str(), |_| "done");
        // A name that no connection can have may be anything.
        let known = is_id(connection).then_some(connection);
        log::write_admin(&**self.ports, self.line.request_id, action, known, outcome);
        done
    }
}

/// Fails where the request does not prove the operator: by the key as a Bearer
/// token, or as the password of Basic, which a browser sends by itself, so that
/// it counts only from the broker's own pages.
fn check_operator(head: &RequestHead<'_>, config: &Config) -> Result<(), Refused> {
    let unproven = |wrong_credential| Refused {
        wrong_credential,
        is_operators: true,
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

/// The password of Basic credentials (RFC 7617 §2), whoever is the user.
fn password(credential: &str) -> Option<Secret> {
    let decoded = Secret::new(String::from_utf8(STANDARD.decode(credential).ok()?).ok()?);
    decoded.expose().split_once(':').map(|(_, password)| Secret::new(password.to_owned()))
}
