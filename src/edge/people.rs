//! Persons: their sign-in, their sessions, and their consent at a provider.
//!
//! A *flow* is one authorization request (RFC 6749 §4.1.1) of one browser: it begins at `connect`, or
//! at a `link` that somebody was sent, and ends at the `callback`, whose `outcome` goes to the page
//! that began it. A `ticket` hands the session to a page of another site.

mod attempts;
pub(super) mod backchannel;
mod begin;
pub(super) mod callback;
pub(super) mod connect;
pub mod cookie;
pub(super) mod device;
pub(super) mod expel;
mod flow_cookie;
pub(super) mod leave;
pub(super) mod link;
pub(super) mod listing;
mod outcome;
mod page;
pub(super) mod records;
pub(super) mod return_to;
pub(super) mod ticket;
mod words;

use serde_json::Value;
use zeroize::Zeroize as _;

use super::Code;
use super::answer::{Draft, Refused};
use super::context::Context;
use super::log;
use crate::config::Connection;
use crate::http::RequestHead;
use crate::json::{self, Members};
use crate::ports::{EdgePorts, Sender};
use crate::protocol::{Credentials, SignIn, SignInPerson, SignInRefusal};
use crate::secret::Secret;
use crate::time::UnixTime;
use crate::token::{Nonce, SealingKeys};
use attempts::CountedAttempts;
use cookie::SessionId;
use device::{Devices, SignInAccount};

/// The largest body of a sign-in, in bytes.
const MAX_BODY_BYTES: usize = 16 * 1024;

/// The longest user name, in characters; an e-mail address has at most 254. It bounds the work on a
/// name before the attempt is counted.
const MAX_NAME_CHARS: usize = 256;

/// Signs a person in to a connection.
pub(super) async fn sign_in<P: EdgePorts>(
    context: &Context<'_, P>,
    connection: &str,
) -> Result<Draft<P::Response>, Refused> {
    let (head, ports, config) = (context.head, &context.edge.ports, context.config());
    Refused::check_method(head, "POST")?;
    context.cors.check_signing(head, config)?;
    let (id, connection) = config.configured(connection).ok_or(Code::UnknownConnection)?;
    context.note(|line| line.connection = Some(id));
    let connection = connection.usable().ok_or(Code::Misconfigured)?;
    let policy = config.session.filter(|_| connection.grant.is_for_people()).ok_or(Code::NotFound)?;
    let keys = config.sealing_keys.as_ref().ok_or(Code::Misconfigured)?;
    let credentials = read_credentials(&**ports, head).await?;
    let name = Secret::new(ports.folded(credentials.username.expose()));
    let account = SignInAccount { keys, connection: id, name: &name };
    let devices = Devices::read(&head.headers);
    let attempts = CountedAttempts::begin(context.edge, &account, devices.entry(&account), head).await?;
    let request = SignInRequest { ports: &**ports, keys, connection, credentials };
    let answered = request.send(SessionId::read(&head.headers)).await;
    attempts.end(context.edge, &answered);
    let outcome = answered.as_ref().map_or_else(|refused| refused.code.as_str(), |_| "granted");
    log::write_sign_in(&**ports, context.request_id, id, outcome);
    let (session, expires_at) = answered?;
    let body = json::text(&Members(&[("connection", &id), ("expires_at", &expires_at.to_rfc3339())]));
    let mut draft = Draft::text(200, "application/json", body);
    draft.fields.push("set-cookie", &session.set_cookie(&policy));
    if let Some(stray) = cookie::clear_stray(head, &policy) {
        draft.fields.push("set-cookie", &stray);
    }
    draft.fields.push("set-cookie", &devices.remember(&account, ports.bytes(), &policy));
    Ok(draft)
}

/// Reads the user name and the password from the body. It must be JSON, which another site's page
/// cannot send without a preflight.
async fn read_credentials<P: EdgePorts>(ports: &P, head: &RequestHead<'_>) -> Result<Credentials, Refused> {
    let content_type = head.headers.value("content-type").unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    if !media_type.eq_ignore_ascii_case("application/json") {
        return Err(Code::BadRequest.into());
    }
    let body = ports.body(MAX_BODY_BYTES, Sender::Unproven).await?;
    let mut members = json::parse(json::without_mark(&body)).map_err(|_| Code::BadRequest)?;
    let mut take = |name| match members.get_mut(name).map(Value::take) {
        Some(Value::String(text)) if !text.is_empty() => Ok(Secret::new(text)),
        Some(Value::String(mut text)) => {
            text.zeroize();
            Err(Code::BadRequest)
        }
        _ => Err(Code::BadRequest),
    };
    let (username, password) = (take("username"), take("password"));
    let credentials = Credentials { username: username?, password: password? };
    let name = credentials.username.expose();
    // Some servers truncate a name at a NUL character.
    if name.chars().nth(MAX_NAME_CHARS).is_some() || name.contains('\0') {
        return Err(Code::BadRequest.into());
    }
    Ok(credentials)
}

/// One sign-in.
struct SignInRequest<'r, P> {
    ports: &'r P,
    keys: &'r SealingKeys,
    connection: &'r Connection,
    credentials: Credentials,
}

impl<P: EdgePorts> SignInRequest<'_, P> {
    /// Signs in to the cookie's session if it lives, else to a new one. Either way the sign-in sets
    /// a new cookie.
    async fn send(&self, cookie: Option<SessionId>) -> Result<(SessionId, UnixTime), Refused> {
        if let Some(id) = cookie {
            let next = id.rotated(self.ports.bytes()).ok_or(Code::Internal)?;
            if let Some(signed_in) = self.ask(Some(&id), next).await? {
                return Ok(signed_in);
            }
        }
        let signed_in = self.ask(None, SessionId::new(self.ports.bytes())).await?;
        signed_in.ok_or_else(|| Refused::unavailable(Code::Internal, 1))
    }

    /// Asks the session to sign the person in; `None` where it has ended.
    async fn ask(
        &self,
        id: Option<&SessionId>,
        next: SessionId,
    ) -> Result<Option<(SessionId, UnixTime)>, Refused> {
        let nonce = Nonce(self.ports.bytes());
        let credentials =
            self.credentials.seal(next.name(), self.keys, &nonce).map_err(|_| Code::Internal)?;
        let sign_in = SignIn {
            connection: self.connection.id.clone(),
            identity: self.connection.identity,
            proof: id.map(SessionId::proof),
            next_proof: next.proof(),
            credentials,
        };
        let signed_in = self.ports.ask(SignInPerson { session: next.name(), sign_in }).await?;
        match signed_in {
            Ok(expires_at) => Ok(expires_at.map(|expires_at| (next, expires_at))),
            Err(SignInRefusal::Rejected) => Err(Code::LoginRejected.into()),
            Err(SignInRefusal::ClientRejected) => Err(Code::CredentialsRejected.into()),
            Err(SignInRefusal::Failed(cause)) => {
                Err(Refused { retry_after: Some(1), ..Refused::from(Code::from(cause)) })
            }
            Err(SignInRefusal::Misconfigured) => Err(Code::Misconfigured.into()),
        }
    }
}
