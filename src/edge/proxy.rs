//! Proxied calls: the checks, the token, the upstream's response, and the answer.

mod address;
mod again;
pub(super) mod cache;
mod dead_token;
pub(super) mod fields;
pub(super) mod limit;
pub(super) mod memory;
pub(super) mod quota;
pub(super) mod rates;
mod response;
mod sent;
pub(super) mod tokens;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use futures_util::FutureExt as _;

use super::Code;
use super::answer::{Draft, Refused};
use super::caller::{CallerProof, permission};
use super::connections::held::Found;
use super::context::Context;
use super::cors::Cors;
use crate::config::{Connection, Grant};
use crate::http::{RequestHead, RequestPath, Trace, carries_token, overrides_method};
use crate::jose::Invalid;
use crate::ports::{CallRole, EdgePorts, UpstreamAnswer, UpstreamCall, report};
use crate::protocol::{ObtainToken, TokenAsk};
use crate::secret::{Fingerprint, Secret};
use crate::time::UnixTime;
use crate::token::AccessToken;
use cache::CachedCall;
use limit::take_rate;
use memory::Source;
use quota::Gate;
use sent::Sent;
use tokens::{RefusedCall, Tokens};

/// Forwards a call to its upstream, and the upstream's response to the caller.
pub(super) async fn pass_on<'a, P: EdgePorts>(
    context: &Context<'a, P>,
    found: Result<&'a Found, Refused>,
    path: &str,
) -> Result<Draft<P::Response>, Refused> {
    let Context { edge, head, cors, .. } = context;
    let trace = Trace::read(&head.headers);
    context.note(|line| line.trace_id = trace.map(Trace::id));
    cors.check_cookie(head, context.config())?;
    let path = RequestPath::parse(path).map_err(|_| Code::BadPath)?;
    let found = found?;
    let Found { id, connection, .. } = found;
    context.note(|line| line.connection = Some(id));
    let connection = connection.usable().ok_or(Code::Misconfigured)?;
    let acts = connection.acts(path);
    if acts {
        cors.check_acting(head, context.config())?;
    }
    let proof = CallerProof::read(context, connection, path).await.map_err(|unproven| {
        context.note(|line| line.reason = unproven.reason.map(Invalid::as_str));
        unproven.refused
    })?;
    let permission = permission::obtain(context, &proof, connection, path).await;
    let permission = permission.inspect_err(|refused| {
        if refused.code == Code::OperationNotAllowed {
            proof.note_refused(context, connection, path);
        }
    })?;
    context.note(|line| {
        line.caller = Some(permission.caller.into());
        line.key = permission.key;
        line.path = Some(permission.pattern.as_str());
    });
    let subject = proof.subject(context, connection, permission.caller)?;
    if let Some((number, limit)) = permission.rate_limit {
        let (rule, rate_key) = (number.to_string(), proof.rate_key(permission.caller, head));
        let standing = proof.standing(permission.caller, head);
        take_rate(context, limit, &[id, &rule, permission.caller, &rate_key], &standing).await?;
    }
    Cors::check_destination(head)?;
    check_request(head, path, connection)?;
    let url = address::upstream_url(connection, path, head, &permission.added);
    let bound = permission.query.filter(|query| !query.bound.is_empty());
    let mut cached = CachedCall::read(context, (found, connection), &proof, &permission, (path, &url));
    let mut role = CallRole::Alone;
    if let Some(cached) = &mut cached {
        let answer = match cached.look_up() {
            Some(Ok(draft)) => Some(draft),
            Some(Err(leader)) => cached.wait(leader).boxed_local().await?,
            None => None,
        };
        if let Some(draft) = answer {
            return Ok(draft);
        }
        role = cached.role();
    }
    // Only a caller with a key may have its traces sampled: sampling costs the operator.
    let trace = trace.map(|trace| if proof.has_key() { trace } else { trace.unsampled() });
    let trace = trace.unwrap_or_else(|| Trace::new(context.request_id));
    let gate = Gate::of(context, connection, &proof, permission.caller);
    let call = ProxiedCall { context, connection, url, acts, trace, gate, role, sent: RefCell::default() };
    let outdate = || {
        if !matches!(head.method, "GET" | "HEAD" | "OPTIONS") || acts {
            edge.isolate.copies.outdate(|| cache::place(id, path));
        }
    };
    outdate();
    let answered = call.answer(&Tokens::of(edge, connection, subject)).await;
    outdate();
    if let (Some(cached), Ok(answer)) = (&mut cached, &answered) {
        cached.judge(answer);
    }
    let came = answered.and_then(|answer| {
        let sent = call.sent.take().ok_or(Code::Internal)?;
        response::hand_back(context, connection, (&call.url, bound), &sent, answer)
    });
    if let Some(cached) = cached { cached.end(came) } else { came }
}

/// Fails where an upstream could read the request as another one than the rule allowed, or where
/// the request cannot be forwarded as it is.
fn check_request(head: &RequestHead<'_>, path: RequestPath<'_>, connection: &Connection) -> Result<(), Code> {
    let is_other = |query| carries_token(query) || overrides_method(query);
    let is_added = |added| fields::has_added(&head.headers, added) || address::has_added(head, path, added);
    let is_refused = head.query().is_some_and(is_other)
        || fields::has_stray_body(head.method, &head.headers)
        || fields::is_loop(&head.headers)
        || fields::has_stray_control(&head.headers, connection)
        || connection.additions.as_deref().is_some_and(is_added);
    if is_refused { Err(Code::BadRequest) } else { Ok(()) }
}

/// One proxied call.
struct ProxiedCall<'c, 'a, P> {
    context: &'c Context<'a, P>,
    connection: &'c Connection,
    url: String,
    /// Whether it changes something though its method is `GET`.
    acts: bool,
    trace: Trace<'c>,
    /// What guards the upstream.
    gate: Option<Rc<Gate<P>>>,
    /// The call's role among equal ones.
    role: CallRole,
    /// The secrets that were sent last.
    sent: RefCell<Option<Sent>>,
}

impl<P: EdgePorts> ProxiedCall<'_, '_, P> {
    /// The upstream's response, by the connection's grant.
    async fn answer(&self, tokens: &Tokens<P>) -> Result<UpstreamAnswer<P::Response>, Refused> {
        match &self.connection.grant {
            Grant::Static { token } | Grant::Basic { token } => self.send_static(token, tokens).await,
            Grant::Password { .. }
            | Grant::SignIn { .. }
            | Grant::ClientCredentials { .. }
            | Grant::RefreshToken { .. }
            | Grant::JwtBearer { .. }
            | Grant::Login { .. }
            | Grant::TokenExchange { .. }
            | Grant::AuthorizationCode { .. } => self.send_with(tokens).await,
        }
    }

    /// Sends the call with a static token. A refused static token cannot be renewed.
    async fn send_static(
        &self,
        token: &Secret,
        tokens: &Tokens<P>,
    ) -> Result<UpstreamAnswer<P::Response>, Refused> {
        let ports = &self.context.edge.ports;
        self.context.note(|line| line.note_token(Source::Static, Duration::ZERO));
        let answer = self.send("Bearer", token, None).await?;
        let works = !self.is_refused(&answer).await;
        self.note_static(works);
        if works {
            return Ok(answer);
        }
        ports.discard(answer.response);
        report::static_token_refused(&**ports, &self.connection.id);
        tokens.report_static_refusal();
        Err(Code::UpstreamUnauthorized.into())
    }

    /// Notes whether the upstream takes the static token. Where the operator is told of events, the keeper
    /// learns of an isolate's first success, too: the one that saw a refusal may be gone.
    fn note_static(&self, works: bool) {
        let (edge, Connection { id, identity, .. }) = (self.context.edge, self.connection);
        let tells_first = edge.isolate.config().events.is_some();
        if !edge.isolate.static_tokens.note(id, works, tells_first, edge.now()) {
            return;
        }
        if !works {
            // The next report goes out again.
            return edge.isolate.access_tokens.forget_refusal(id);
        }
        let (ports, id, ask) = (edge.clone().ports, id.clone(), TokenAsk::new(identity).confirming(0));
        edge.ports.spawn(Box::pin(async move {
            drop(ports.ask(ObtainToken { connection: &id, ask, caller: None }).await);
        }));
    }

    /// Sends the call with an access token, and replays it if the upstream refuses the token: with
    /// another token, or with the same one if no other can be obtained and it is known to work. If
    /// that other token was not newly granted, it may be revoked like the first: the call is then
    /// replayed once more with a new one.
    async fn send_with(&self, tokens: &Tokens<P>) -> Result<UpstreamAnswer<P::Response>, Refused> {
        let ports = &self.context.edge.ports;
        let asked_at = ports.now();
        let (mut copy, source) = tokens.current().await?;
        self.note_token(source, asked_at);
        let answer = self.send_access(&copy.access).await?;
        if !self.is_refused(&answer).await {
            copy.note_worked();
            if copy.settle_doubt() {
                tokens.confirm(&copy);
            }
            return Ok(answer);
        }
        ports.discard(answer.response);
        for is_first in [true, false] {
            let refused = RefusedCall { call: self.fingerprint(), is_first };
            let asked_at = ports.now();
            let (next, source) = tokens.after_refusal(&copy, refused).await?;
            self.note_token(source, asked_at);
            let is_same = next.access.generation == copy.access.generation;
            copy = next;
            let answer = self.send_access(&copy.access).await;
            let is_gone = matches!(&answer, Err(refused) if refused.code == Code::UpstreamUnauthorized);
            self.context.note(|line| line.replayed = !is_gone);
            let answer = answer?;
            if !self.is_refused(&answer).await {
                if copy.note_worked() | copy.settle_doubt() {
                    tokens.confirm(&copy);
                }
                return Ok(answer);
            }
            ports.discard(answer.response);
            if is_same {
                return Err(Code::UpstreamUnauthorized.into());
            }
            if source == Source::Grant {
                break;
            }
        }
        tokens.report_refusal(&copy, self.fingerprint());
        Err(Code::UpstreamUnauthorized.into())
    }

    fn note_token(&self, source: Source, asked_at: UnixTime) {
        let took = self.context.edge.now().since(asked_at);
        self.context.note(|line| line.note_token(source, took));
    }

    /// The digest of the call's method and address, without its query.
    fn fingerprint(&self) -> Fingerprint {
        let address = self.url.split('?').next().unwrap_or_default();
        Fingerprint::of(&[self.context.head.method, address])
    }

    async fn is_refused(&self, answer: &UpstreamAnswer<P::Response>) -> bool {
        dead_token::is_refused(&*self.context.edge.ports, self.connection, answer).await
    }

    fn send_access(
        &self,
        access: &AccessToken,
    ) -> impl Future<Output = Result<UpstreamAnswer<P::Response>, Refused>> {
        self.send(access.token_type.scheme(), &access.token, Some(self.connection.replay_bytes))
    }

    /// Sends the call with `token`, whose own scheme is `scheme`.
    async fn send(
        &self,
        scheme: &str,
        token: &Secret,
        replay_bytes: Option<usize>,
    ) -> Result<UpstreamAnswer<P::Response>, Refused> {
        let Context { head, request_id, line, .. } = self.context;
        // A static token is not replaced, but the call may be repeated.
        let is_repeated = self.connection.guard.as_ref().is_some_and(|guard| guard.attempts > 1);
        let replay_bytes = replay_bytes.or(is_repeated.then_some(self.connection.replay_bytes));
        let is_replay = line.borrow().upstream_ms.is_some();
        let value = self.header_value(scheme, token);
        let url = address::with_added(self.connection, &self.url, token);
        let fields = fields::upstream_fields(
            &head.headers,
            self.connection,
            &self.context.config().token_fields,
            token,
            value.as_ref(),
            &self.trace.traceparent(request_id, is_replay),
        );
        let call = UpstreamCall {
            method: head.method,
            url: &url,
            fields: fields.as_str(),
            timeout: self.connection.timeout,
            replay_bytes,
            certificate: self.connection.certificate.as_deref(),
            at_once: self.gate.is_some(),
            role: self.role,
        };
        self.sent.replace(Some(Sent::new(self.connection, token, value)));
        self.send_on(call).await
    }

    /// The value of the token's own header field; `None` where there is no such field.
    fn header_value(&self, scheme: &str, token: &Secret) -> Option<Secret> {
        let header = self.connection.token_header.as_ref()?;
        Some(match header.scheme.as_deref().unwrap_or(scheme) {
            "" => token.clone(),
            scheme => Secret::new(format!("{scheme} {}", token.expose())),
        })
    }
}
