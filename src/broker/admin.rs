//! What the operator asks.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::answer::{Draft, Refused};
use super::deliveries::{DeliveriesAsk, DeliveriesReply, List, Record};
use super::log::write_admin;
use super::ports::{Log, Ports};
use super::{Broker, Code};
use crate::config::Config;
use crate::http::RequestHead;
use crate::secret::Secret;
use crate::time::UnixTime;

/// How many entries a page of a list has.
const PAGE: usize = 100;

/// Answers the operator; `path` is what follows `/admin/`.
pub(super) async fn answer<P: Ports>(
    broker: &Broker,
    ports: &P,
    head: &RequestHead<'_>,
    path: &str,
    request_id: &str,
) -> Result<Draft<P::Response>, Refused> {
    check_operator(head, broker.config())?;
    let mut segments = path.split('/');
    let (Some("connections"), Some(id)) = (segments.next(), segments.next()) else {
        return Err(Code::NotFound.into());
    };
    let config = broker.config();
    if !config.connections.contains_key(id) {
        return Err(Code::UnknownConnection.into());
    }
    let webhooks = || config.webhooks.get(id).map(drop).ok_or(Code::NotFound);
    let rest: Vec<&str> = segments.collect();
    let ask = match rest.as_slice() {
        ["webhooks"] => {
            Refused::other_methods(head, "GET, HEAD")?;
            webhooks()?;
            let listed = list(ports, head, id).await;
            write_line(ports, request_id, "list_webhooks", id, &listed);
            return listed;
        }
        ["webhooks", "send"] => DeliveriesAsk::SendAgain { id: None },
        ["webhooks", webhook, "send"] => DeliveriesAsk::SendAgain { id: Some((*webhook).to_owned()) },
        _ => return Err(Code::NotFound.into()),
    };
    Refused::other_methods(head, "POST")?;
    webhooks()?;
    let sent = match ports.ask_deliveries(id, &ask).await {
        Ok(DeliveriesReply::SentAgain) => Ok(Draft::empty(202)),
        Ok(DeliveriesReply::Unknown) => Err(Code::NotFound.into()),
        _ => Err(Refused::unavailable(Code::Internal, 1)),
    };
    write_line(ports, request_id, "send_again", id, &sent);
    sent
}

fn write_line<T>(
    log: &impl Log,
    request_id: &str,
    action: &str,
    connection: &str,
    done: &Result<T, Refused>,
) {
    let outcome = done.as_ref().map_or_else(|refused| refused.code.as_str(), |_| "done");
    write_admin(log, request_id, action, Some(connection), outcome);
}

/// A page of the webhooks that failed, or are still to be delivered.
async fn list<P: Ports>(
    ports: &P,
    head: &RequestHead<'_>,
    connection: &str,
) -> Result<Draft<P::Response>, Refused> {
    let parameter = |name: &str| {
        let mut pairs = head.query().unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
        pairs.find(|(found, _)| *found == name).map(|(_, value)| value)
    };
    let list = match parameter("state") {
        None | Some("failed") => List::Failed,
        Some("pending") => List::Pending,
        Some(_) => return Err(Code::BadRequest.into()),
    };
    let after = parameter("after").map(read_cursor).transpose()?;
    match ports.ask_deliveries(connection, &DeliveriesAsk::List { list, after, most: PAGE }).await {
        Ok(DeliveriesReply::Listed(records)) => {
            let next = records.get(PAGE - 1).map(|last| format!("{}.{}", last.due.as_millis(), last.id));
            let webhooks: Vec<_> = records.iter().map(entry).collect();
            let page = json!({ "webhooks": webhooks, "next": next });
            Ok(Draft::text(200, "application/json", page.to_string()))
        }
        _ => Err(Refused::unavailable(Code::Internal, 1)),
    }
}

fn entry(record: &Record) -> serde_json::Value {
    json!({
        "id": record.id,
        "state": record.list,
        "accepted_at": record.accepted_at.to_rfc3339(),
        "attempts": record.attempts,
        "outcome": record.outcome,
        "status": record.status,
        "next_at": (record.list == List::Pending).then(|| record.due.to_rfc3339()),
    })
}

fn read_cursor(text: &str) -> Result<(UnixTime, String), Code> {
    let (at, id) = text.split_once('.').ok_or(Code::BadRequest)?;
    let at = at.parse().map_err(|_| Code::BadRequest)?;
    Ok((UnixTime::from_millis(at), id.to_owned()))
}

/// Fails where the request does not prove the operator: by the key as a Bearer
/// token, or as the password of Basic, which a browser sends by itself, so that
/// it counts only from the broker's own pages.
fn check_operator(head: &RequestHead<'_>, config: &Config) -> Result<(), Refused> {
    let unproven =
        |wrong_credential| Refused { wrong_credential, ..Refused::from(Code::CallerUnauthenticated) };
    let authorization = head.headers.value("authorization").ok_or_else(|| unproven(false))?;
    let (scheme, credential) = authorization.split_once(' ').ok_or_else(|| unproven(true))?;
    let is_basic = scheme.eq_ignore_ascii_case("basic");
    let key = if is_basic {
        password(credential.trim())
    } else {
        Some(Secret::new(credential.trim().to_owned())).filter(|_| scheme.eq_ignore_ascii_case("bearer"))
    };
    let is_operator = key.is_some_and(|key| config.admin_key == Some(key.fingerprint()));
    if !is_operator {
        return Err(unproven(true));
    }
    let is_own = |origin| origin == head.own_origin();
    let is_own_page = matches!(head.headers.value("sec-fetch-site"), None | Some("same-origin" | "none"))
        && head.headers.value("origin").is_none_or(is_own);
    if is_basic && !is_own_page { Err(Code::CrossSiteRequest.into()) } else { Ok(()) }
}

/// The password of Basic credentials (RFC 7617 §2), whoever is the user.
fn password(credential: &str) -> Option<Secret> {
    let decoded = Secret::new(String::from_utf8(STANDARD.decode(credential).ok()?).ok()?);
    decoded.expose().split_once(':').map(|(_, password)| Secret::new(password.to_owned()))
}
