//! Proxied calls: the checks, the token, the upstream, and what comes back.

pub(super) mod fields;
pub(super) mod memory;
pub(super) mod rates;
pub(super) mod tokens;

use std::cell::RefCell;
use std::rc::Rc;

use super::answer::{Body, Draft, Refused};
use super::caller::Proof;
use super::caller::person::Subject;
use super::connections::Found;
use super::cors::Cors;
use super::log::CallLine;
use super::{Broker, Code};
use crate::config::{Config, Connection, Grant};
use crate::http::{RequestHead, RequestPath, Trace, carries_token, overrides_method, says_invalid_token};
use crate::jose::Invalid;
use crate::ports::{Ports, UpstreamAnswer, UpstreamCall, UpstreamFailure, report};
use crate::secret::{Fingerprint, Secret};
use crate::token::AccessToken;
use memory::Source;
use tokens::RefusedCall;

/// Passes a call on to its upstream, and the upstream's answer back.
pub(super) async fn pass_on<'a, P: Ports>(
    broker: &'a Rc<Broker>,
    ports: &Rc<P>,
    head: &RequestHead<'a>,
    cors: &Cors<'_>,
    found: Result<&'a Found, Refused>,
    path: &str,
    line: &mut CallLine<'a>,
) -> Result<Draft<P::Response>, Refused> {
    let config = broker.config();
    let trace = Trace::read(&head.headers);
    line.trace_id = trace.map(Trace::id);
    cors.check_cookie(head, config)?;
    let path = RequestPath::parse(path).map_err(|_| Code::BadPath)?;
    let Found { id, connection, .. } = found?;
    line.connection = Some(id);
    let connection = connection.as_ref().ok_or(Code::Misconfigured)?;
    let proof = Proof::read(broker, ports, head, cors, connection, path).await.map_err(|unproven| {
        line.reason = unproven.reason.map(Invalid::as_str);
        unproven.refused
    })?;
    let permission = proof.permission(connection, head.method, path)?;
    line.caller = Some(permission.caller);
    line.key = permission.key;
    line.path = Some(permission.pattern.as_str());
    if let Some((number, limit)) = permission.rate_limit {
        let (rule, who) = (number.to_string(), proof.who(permission.caller, head));
        let standing = proof.standing(permission.caller, head);
        rates::take(broker, ports, limit, &[id, &rule, permission.caller, &who], &standing).await?;
    }
    Cors::check_destination(head)?;
    check_request(head, connection)?;
    let url = upstream_url(connection, path, head);
    // Whoever else calls has nothing recorded at the operator's expense.
    let trace = trace.map(|trace| if proof.has_key() { trace } else { trace.unsampled() });
    let trace = trace.unwrap_or_else(|| Trace::new(line.request_id));
    let call = Call { ports, head, config, connection, url: &url, trace, sent: RefCell::default() };
    let answer = match &connection.grant {
        Grant::Static { token } => call.send_static(broker, token, line).await?,
        Grant::SignIn { .. } => {
            let person = proof.person().ok_or(Code::CallerUnauthenticated)?;
            call.send_with_access_token(broker, &Subject::Person(Rc::clone(person)), line).await?
        }
        Grant::Password { .. } | Grant::ClientCredentials { .. } | Grant::RefreshToken { .. } => {
            call.send_with_access_token(broker, &Subject::Service, line).await?
        }
    };
    call.hand_back(answer, config.base_path.as_str())
}

/// Whether the upstream refuses the token: by 401, or by another 4xx that says
/// in plain words that the token is invalid (RFC 6750 §3.1).
fn refuses_token<R>(answer: &UpstreamAnswer<R>) -> bool {
    let is_plain = || {
        let headers = answer.headers();
        let mut challenges = headers.iter().filter(|(name, _)| *name == "www-authenticate");
        challenges.any(|(_, value)| says_invalid_token(value))
    };
    answer.status == 401 || ((400..500).contains(&answer.status) && is_plain())
}

/// Fails where an upstream could take the request for another one than a rule
/// allowed, or where it cannot be passed on as it is.
fn check_request(head: &RequestHead<'_>, connection: &Connection) -> Result<(), Code> {
    let is_other = |query| carries_token(query) || overrides_method(query);
    let is_refused = head.query().is_some_and(is_other)
        || fields::has_stray_body(head.method, &head.headers)
        || fields::is_loop(&head.headers)
        || fields::has_stray_control(&head.headers, connection);
    if is_refused { Err(Code::BadRequest) } else { Ok(()) }
}

fn upstream_url(connection: &Connection, path: RequestPath<'_>, head: &RequestHead<'_>) -> String {
    let query = head.query();
    let mut url = String::with_capacity(connection.base_url.as_base().len() + head.url.len());
    url.push_str(connection.base_url.as_base());
    url.push_str(path.as_str());
    if let Some(query) = query {
        url.push('?');
        url.push_str(query);
    }
    url
}

/// One call on its way.
struct Call<'c, P> {
    ports: &'c Rc<P>,
    head: &'c RequestHead<'c>,
    config: &'c Config,
    connection: &'c Rc<Connection>,
    url: &'c str,
    trace: Trace<'c>,
    /// The value of the field that carried the token last.
    sent: RefCell<Option<Secret>>,
}

impl<P: Ports> Call<'_, P> {
    /// Sends the call with a static token. One that is refused stays refused.
    async fn send_static(
        &self,
        broker: &Rc<Broker>,
        token: &Secret,
        line: &mut CallLine<'_>,
    ) -> Result<UpstreamAnswer<P::Response>, Refused> {
        line.note_token(Source::Static, std::time::Duration::ZERO);
        let answer = self.send(&self.header_value("Bearer", token), None, line).await?;
        if !refuses_token(&answer) {
            return Ok(answer);
        }
        self.ports.discard(answer.response);
        report::static_token_refused(&**self.ports, &self.connection.id);
        tokens::report_static_refusal(broker, self.ports, self.connection);
        Err(Code::UpstreamUnauthorized.into())
    }

    /// Sends the call with an access token, and once more where the upstream
    /// refuses it: with another one, or with the same where no other can be had
    /// and it is known to work. Where that other one was not obtained for this
    /// refusal, it may have died with the first: once more with a new one then.
    async fn send_with_access_token(
        &self,
        broker: &Rc<Broker>,
        subject: &Subject,
        line: &mut CallLine<'_>,
    ) -> Result<UpstreamAnswer<P::Response>, Refused> {
        let asked_at = self.ports.now();
        let (mut copy, source) = tokens::current(broker, self.ports, self.connection, subject).await?;
        line.note_token(source, self.ports.now().since(asked_at));
        let replay_bytes = Some(self.connection.replay_bytes);
        let answer = self.send(&self.access_header_value(&copy.access), replay_bytes, line).await?;
        if !refuses_token(&answer) {
            copy.note_worked();
            if copy.settle_doubt() {
                tokens::confirm(broker, self.ports, self.connection, subject, &copy);
            }
            return Ok(answer);
        }
        self.ports.discard(answer.response);
        for is_first in [true, false] {
            let refused = RefusedCall { call: self.fingerprint(), is_first };
            let asked_at = self.ports.now();
            let (next, source) =
                tokens::after_refusal(broker, self.ports, self.connection, subject, &copy, &refused).await?;
            line.note_token(source, self.ports.now().since(asked_at));
            let is_same = next.access.generation == copy.access.generation;
            copy = next;
            let answer = self.send(&self.access_header_value(&copy.access), replay_bytes, line).await;
            line.replayed = !matches!(&answer, Err(refused) if refused.code == Code::UpstreamUnauthorized);
            let answer = answer?;
            if !refuses_token(&answer) {
                if copy.note_worked() | copy.settle_doubt() {
                    tokens::confirm(broker, self.ports, self.connection, subject, &copy);
                }
                return Ok(answer);
            }
            self.ports.discard(answer.response);
            if is_same {
                return Err(Code::UpstreamUnauthorized.into());
            }
            if source == Source::Grant {
                break;
            }
        }
        tokens::report_refusal(broker, self.ports, self.connection, subject, &copy, self.fingerprint());
        Err(Code::UpstreamUnauthorized.into())
    }

    /// What tells this call from those of other addresses.
    fn fingerprint(&self) -> Fingerprint {
        let address = self.url.split('?').next().unwrap_or_default();
        Fingerprint::of(&[self.head.method, address])
    }

    async fn send(
        &self,
        token: &Secret,
        replay_bytes: Option<usize>,
        line: &mut CallLine<'_>,
    ) -> Result<UpstreamAnswer<P::Response>, Refused> {
        let is_replay = line.upstream_ms.is_some();
        let fields = fields::upstream_fields(
            &self.head.headers,
            self.connection,
            &self.config.token_fields,
            token.expose(),
            &self.trace.traceparent(line.request_id, is_replay),
        );
        let call = UpstreamCall {
            method: self.head.method,
            url: self.url,
            fields: fields.as_str(),
            timeout: self.connection.timeout,
            replay_bytes,
        };
        self.sent.replace(Some(token.clone()));
        let sent_at = self.ports.now();
        let answer = self.ports.send(&call).await;
        line.note_upstream(self.ports.now().since(sent_at));
        answer.map_err(|failure| match failure {
            UpstreamFailure::Unreachable => Code::UpstreamUnreachable.into(),
            UpstreamFailure::Timeout => Code::UpstreamTimeout.into(),
            UpstreamFailure::BodyGone => Code::UpstreamUnauthorized.into(),
        })
    }

    fn access_header_value(&self, access: &AccessToken) -> Secret {
        self.header_value(access.token_type.scheme(), &access.token)
    }

    fn header_value(&self, scheme: &str, token: &Secret) -> Secret {
        match self.connection.token_header.scheme.as_deref().unwrap_or(scheme) {
            "" => token.clone(),
            scheme => Secret::new(format!("{scheme} {}", token.expose())),
        }
    }

    /// What the caller gets of the upstream's answer.
    fn hand_back(
        &self,
        answer: UpstreamAnswer<P::Response>,
        base_path: &str,
    ) -> Result<Draft<P::Response>, Refused> {
        if !(200..600).contains(&answer.status) {
            self.ports.discard(answer.response);
            return Err(Code::UpstreamUnreachable.into());
        }
        let sent = self.sent.take().unwrap_or_else(|| Secret::new(String::new()));
        let token = bare(sent.expose());
        let headers = answer.headers();
        let mut fields = fields::caller_fields(&headers, self.connection, token);
        let vary = headers.value("vary").filter(|vary| !fields::tells(vary, token)).map(str::to_owned);
        if let Some(location) = headers.value("location") {
            let redirects = (300..400).contains(&answer.status) && answer.status != 304;
            let is_safe = !fields::is_mangled(location) && !fields::tells(location, token);
            let within = is_safe.then(|| self.connection.base_url.path_within(self.url, location)).flatten();
            match within {
                Some(path) => {
                    let (own, id) = (self.head.own_origin(), &self.connection.id);
                    fields.push("location", &format!("{own}{base_path}/api/{id}{path}"));
                }
                None if redirects => {
                    self.ports.discard(answer.response);
                    return Err(Code::UpstreamRedirect.into());
                }
                None => {}
            }
        }
        let body = if fields::may_tell(answer.status, &headers, token) {
            Body::Veiled(answer.response, Secret::new(token.to_owned()))
        } else {
            Body::Upstream(answer.response)
        };
        Ok(Draft { status: answer.status, fields, vary, body })
    }
}

/// The token in the value of its field, without a scheme.
fn bare(value: &str) -> &str {
    value.split_once(' ').map_or(value, |(_, token)| token)
}
