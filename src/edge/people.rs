//! Signing in and out.

pub mod cookie;
pub(super) mod device;

use std::rc::Rc;
use std::time::Duration;

use serde_json::{Value, json};
use zeroize::Zeroize as _;

use super::answer::{Draft, Refused};
use super::cors::Cors;
use super::log::{self, CallLine};
use super::network::Network;
use super::{Broker, Code};
use crate::config::{Connection, SessionPolicy};
use crate::http::RequestHead;
use crate::json;
use crate::ports::{KeeperUnreachable, Ports, Sender};
use crate::protocol::{
    Credentials, RefusalsAsk, RefusalsReply, SessionAsk, SessionReply, SignIn, SignInRefusal,
};
use crate::secret::Secret;
use crate::time::UnixTime;
use crate::token::{Nonce, SealingKeys};
use cookie::{SessionId, clear_cookie};
use device::{Account, Devices};

/// The largest body of a sign-in, in bytes.
const MAX_BODY_BYTES: usize = 16 * 1024;

/// The longest user name, in characters: an e-mail address has 254 at most. What
/// a name costs before anybody is asked has a bound by it.
const MAX_NAME_CHARS: usize = 256;

/// How long a sign-in waits for others of the same name or address to end.
const LONGEST_WAIT: Duration = Duration::from_secs(20);

const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Signs a person in to a connection.
pub(super) async fn sign_in<'a, P: Ports>(
    broker: &'a Rc<Broker>,
    ports: &Rc<P>,
    head: &RequestHead<'_>,
    cors: &Cors<'_>,
    connection: &str,
    line: &mut CallLine<'a>,
) -> Result<Draft<P::Response>, Refused> {
    let config = broker.config();
    Refused::other_methods(head, "POST")?;
    cors.check_signing(head, broker.config())?;
    let (id, connection) = config.connections.get_key_value(connection).ok_or(Code::UnknownConnection)?;
    line.connection = Some(id);
    let connection = connection.as_ref().ok_or(Code::Misconfigured)?;
    let policy = config.session.filter(|_| connection.grant.is_for_people()).ok_or(Code::NotFound)?;
    let keys = config.sealing_keys.as_ref().ok_or(Code::Misconfigured)?;
    let credentials = read_credentials(&**ports, head).await?;
    let name = Secret::new(ports.folded(credentials.username.expose()));
    let account = Account { keys, connection: id, name: &name };
    let devices = Devices::read(&head.headers);
    let turns = Turns::take(ports, &account, devices.entry(&account), head).await?;
    let request = Request { ports: &**ports, keys, connection, credentials };
    let answered = request.send(SessionId::read(&head.headers)).await;
    turns.give_back(ports, &answered);
    let outcome = answered.as_ref().map_or_else(|refused| refused.code.as_str(), |_| "granted");
    log::write_sign_in(&**ports, line.request_id, id, outcome);
    let (session, expires_at) = answered?;
    let body = json!({ "connection": id, "expires_at": expires_at.to_rfc3339() });
    let mut draft = Draft::text(200, "application/json", body.to_string());
    draft.fields.push("set-cookie", &session.set_cookie(&policy));
    clear_stray(head, &policy, &mut draft);
    draft.fields.push("set-cookie", &devices.remember(&account, ports.bytes(), &policy));
    Ok(draft)
}

/// Tells which connections the person is signed in to.
pub(super) async fn session<P: Ports>(
    broker: &Broker,
    ports: &Rc<P>,
    head: &RequestHead<'_>,
    cors: &Cors<'_>,
) -> Result<Draft<P::Response>, Refused> {
    Refused::other_methods(head, "GET, HEAD")?;
    broker.config().session.ok_or(Code::NotFound)?;
    cors.check_cookie(head, broker.config())?;
    let id = SessionId::read(&head.headers).ok_or(Code::CallerUnauthenticated)?;
    match ports.ask_session(id.name(), &SessionAsk::List { proof: id.proof() }).await {
        Ok(SessionReply::Connections(connections)) => {
            let list: Vec<Value> = connections
                .iter()
                .map(|(id, expires_at)| json!({ "id": id, "expires_at": expires_at.to_rfc3339() }))
                .collect();
            Ok(Draft::text(200, "application/json", json!({ "connections": list }).to_string()))
        }
        Ok(SessionReply::Nobody) => Err(Code::CallerUnauthenticated.into()),
        answered => Err(unforeseen(answered)),
    }
}

/// Ends the person's session, where there is one.
pub(super) async fn sign_out<P: Ports>(
    broker: &Broker,
    ports: &Rc<P>,
    head: &RequestHead<'_>,
    cors: &Cors<'_>,
    line: &CallLine<'_>,
) -> Result<Draft<P::Response>, Refused> {
    Refused::other_methods(head, "POST")?;
    let policy: SessionPolicy = broker.config().session.ok_or(Code::NotFound)?;
    cors.check_signing(head, broker.config())?;
    if let Some(id) = SessionId::read(&head.headers) {
        match ports.ask_session(id.name(), &SessionAsk::SignOut { proof: id.proof() }).await {
            Ok(SessionReply::SignedOut) => {
                log::write_sign_out(&**ports, line.request_id);
            }
            Ok(SessionReply::Nobody) => {}
            answered => return Err(unforeseen(answered)),
        }
    }
    let mut draft = Draft::empty(204);
    draft.fields.push("set-cookie", &clear_cookie(&policy));
    clear_stray(head, &policy, &mut draft);
    Ok(draft)
}

/// Takes away the cookie that was set while `SESSION_CROSS_SITE` was another:
/// a browser keeps both kinds, and two cookies prove nobody.
fn clear_stray<R>(head: &RequestHead<'_>, policy: &SessionPolicy, draft: &mut Draft<R>) {
    if cookie::has_several_cookies(&head.headers) {
        let other = SessionPolicy { cross_site: !policy.cross_site, ..*policy };
        draft.fields.push("set-cookie", &clear_cookie(&other));
    }
}

/// The session did not answer, or something else than it was asked.
fn unforeseen(_: Result<SessionReply, KeeperUnreachable>) -> Refused {
    Refused::unavailable(Code::Internal, 1)
}

/// The user name and the password in the body: a JSON object, so that no form
/// of another site can send it without being asked first.
async fn read_credentials<P: Ports>(ports: &P, head: &RequestHead<'_>) -> Result<Credentials, Refused> {
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
    // Some servers take a name to end where such a character is.
    if name.chars().nth(MAX_NAME_CHARS).is_some() || name.contains('\0') {
        return Err(Code::BadRequest.into());
    }
    Ok(credentials)
}

/// One sign-in on its way.
struct Request<'r, P> {
    ports: &'r P,
    keys: &'r SealingKeys,
    connection: &'r Connection,
    credentials: Credentials,
}

impl<P: Ports> Request<'_, P> {
    /// Signs in to the session of the cookie, where that lives, else to a new
    /// one. Either way the cookie is another one from then on.
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

    /// Asks the session to sign the person in; nothing where it is no more.
    async fn ask(
        &self,
        id: Option<&SessionId>,
        next: SessionId,
    ) -> Result<Option<(SessionId, UnixTime)>, Refused> {
        let nonce = Nonce(self.ports.bytes());
        let credentials =
            self.credentials.seal(next.name(), self.keys, &nonce).map_err(|_| Code::Internal)?;
        let ask = SessionAsk::SignIn(SignIn {
            connection: self.connection.id.clone(),
            identity: self.connection.identity,
            proof: id.map(SessionId::proof),
            next_proof: next.proof(),
            credentials,
        });
        match self.ports.ask_session(next.name(), &ask).await {
            Ok(SessionReply::SignedIn { expires_at }) => Ok(Some((next, expires_at))),
            Ok(SessionReply::Nobody) => Ok(None),
            Ok(SessionReply::Refused(refused)) => Err(match refused {
                SignInRefusal::Rejected => Code::LoginRejected.into(),
                SignInRefusal::ClientRejected => Code::CredentialsRejected.into(),
                SignInRefusal::Failed(cause) => {
                    Refused { retry_after: Some(1), ..Refused::from(Code::from(cause)) }
                }
                SignInRefusal::Misconfigured => Code::Misconfigured.into(),
            }),
            answered => Err(unforeseen(answered)),
        }
    }
}

/// The turns of one sign-in at the counters of refusals.
#[derive(Default)]
struct Turns(Vec<Turn>);

struct Turn {
    counter: String,
    attempt: u64,
    /// Whether it counts what the provider may have counted against the account,
    /// whatever the broker saw.
    is_accounts: bool,
}

impl Turns {
    /// Takes a turn for the network and one for the user name; where the browser
    /// is known for that name, by its entry `device`, one for the browser instead.
    ///
    /// # Errors
    /// `rate_limited` where there were too many refusals.
    async fn take<P: Ports>(
        ports: &Rc<P>,
        account: &Account<'_>,
        device: Option<&str>,
        head: &RequestHead<'_>,
    ) -> Result<Self, Refused> {
        let Account { keys, connection, name } = *account;
        let mut turns = Self::default();
        if let Some(device) = device {
            let counter = keys.blind_name(&["sign-in device", connection, name.expose(), device]);
            turns.take_one(ports, &counter, 0, true).await?;
            return Ok(turns);
        }
        // One after the other: who may try no more makes no counter for a name.
        let network = Network::of(head);
        let counter = keys.blind_name(&["sign-in network", &network.around]);
        let own = keys.blind_name(&["sign-in address", &network.own]);
        let part = own.get(..16).and_then(|digits| u64::from_str_radix(digits, 16).ok()).unwrap_or_default();
        turns.take_one(ports, &counter, part, false).await?;
        let counter = keys.blind_name(&["sign-in name", connection, name.expose()]);
        if let Err(refused) = turns.take_one(ports, &counter, 0, true).await {
            turns.give_back::<P, ()>(ports, &Err(refused));
            return Err(refused);
        }
        Ok(turns)
    }

    async fn take_one<P: Ports>(
        &mut self,
        ports: &Rc<P>,
        counter: &str,
        part: u64,
        is_accounts: bool,
    ) -> Result<(), Refused> {
        let counter = format!("refusals/{counter}");
        let attempt = begin(&**ports, &counter, part).await?;
        self.0.push(Turn { counter, attempt, is_accounts });
        Ok(())
    }

    /// Tells how the sign-in ended, behind the answer. Until then it counts as
    /// under way.
    fn give_back<P: Ports, T>(self, ports: &Rc<P>, answered: &Result<T, Refused>) {
        let code = answered.as_ref().err().map(|refused| refused.code);
        // Some providers refuse in words that are no error response.
        let rejected = matches!(code, Some(Code::LoginRejected | Code::TokenResponseInvalid));
        // Whatever the broker saw, the provider may have counted it against the account.
        let counted = matches!(
            code,
            Some(Code::CredentialsRejected | Code::TokenEndpointTimeout | Code::ConnectionUnavailable)
        );
        for Turn { counter, attempt, is_accounts } in self.0 {
            end(ports, counter, attempt, rejected || (is_accounts && counted));
        }
    }
}

async fn begin<P: Ports>(ports: &P, counter: &str, part: u64) -> Result<u64, Refused> {
    let limited = |seconds| Refused { retry_after: Some(seconds), ..Refused::from(Code::RateLimited) };
    let asked_at = ports.now();
    loop {
        match ports.ask_refusals(counter, &RefusalsAsk::Begin { part }).await {
            Ok(RefusalsReply::Begun(attempt)) => return Ok(attempt),
            Ok(RefusalsReply::Busy(_)) if ports.now() < asked_at + LONGEST_WAIT => {
                ports.pause(LOOK_AGAIN).await;
            }
            Ok(RefusalsReply::Full(seconds) | RefusalsReply::Busy(seconds)) => return Err(limited(seconds)),
            Ok(RefusalsReply::Noted | RefusalsReply::Unavailable) | Err(KeeperUnreachable) => {
                return Err(Refused::unavailable(Code::Internal, 1));
            }
        }
    }
}

fn end<P: Ports>(ports: &Rc<P>, counter: String, attempt: u64, refused: bool) {
    let behind = Rc::clone(ports);
    ports.spawn(Box::pin(async move {
        // Where this fails the attempt counts as under way for a while.
        let _ = behind.ask_refusals(&counter, &RefusalsAsk::End { attempt, refused }).await;
    }));
}
