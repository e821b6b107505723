//! Proxied calls: the checks, the token, the upstream, and what comes back.

use std::rc::Rc;

use super::access_tokens;
use super::answer::{Body, Draft, Refused};
use super::caller::Proof;
use super::cors::Cors;
use super::fields;
use super::log::CallLine;
use super::memory::Source;
use super::person::Subject;
use super::ports::{Ports, UpstreamAnswer, UpstreamCall, UpstreamFailure};
use super::registry::Found;
use super::{Broker, Code, rates, report};
use crate::config::{Config, Connection, Grant};
use crate::form;
use crate::http::{RequestHead, RequestPath, Trace};
use crate::jose::Invalid;
use crate::secret::Secret;
use crate::token::AccessToken;

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
    let carries_token = head.query().is_some_and(|query| form::has_parameter(query, "access_token"));
    let stray_body = fields::has_stray_body(head.method, &head.headers);
    if carries_token || stray_body || fields::is_loop(&head.headers) {
        return Err(Code::BadRequest.into());
    }
    let url = upstream_url(connection, path, head);
    // Whoever else calls has nothing recorded at the operator's expense.
    let trace = trace.map(|trace| if proof.has_key() { trace } else { trace.unsampled() });
    let trace = trace.unwrap_or_else(|| Trace::new(line.request_id));
    let call = Call { ports, head, config, connection, url: &url, trace };
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
        if answer.status != 401 {
            return Ok(answer);
        }
        self.ports.discard(answer.response);
        report::static_token_refused(&**self.ports, &self.connection.id);
        access_tokens::report_static_refusal(broker, self.ports, self.connection);
        Err(Code::UpstreamUnauthorized.into())
    }

    /// Sends the call with an access token, and once more with a new one where
    /// the upstream refuses the first.
    async fn send_with_access_token(
        &self,
        broker: &Rc<Broker>,
        subject: &Subject,
        line: &mut CallLine<'_>,
    ) -> Result<UpstreamAnswer<P::Response>, Refused> {
        let asked_at = self.ports.now();
        let (copy, source) = access_tokens::current(broker, self.ports, self.connection, subject).await?;
        line.note_token(source, self.ports.now().since(asked_at));
        let replay_bytes = Some(self.connection.replay_bytes);
        let answer = self.send(&self.access_header_value(&copy.access), replay_bytes, line).await?;
        if answer.status != 401 {
            copy.note_worked();
            return Ok(answer);
        }
        self.ports.discard(answer.response);
        let asked_at = self.ports.now();
        let renewed = access_tokens::after_refusal(broker, self.ports, self.connection, subject, &copy).await;
        let (copy, source) = renewed?;
        line.note_token(source, self.ports.now().since(asked_at));
        let answer = self.send(&self.access_header_value(&copy.access), replay_bytes, line).await;
        line.replayed = !matches!(&answer, Err(refused) if refused.code == Code::UpstreamUnauthorized);
        let answer = answer?;
        if answer.status != 401 {
            if copy.note_worked() {
                access_tokens::confirm(broker, self.ports, self.connection, subject, &copy);
            }
            return Ok(answer);
        }
        self.ports.discard(answer.response);
        access_tokens::report_refusal(broker, self.ports, self.connection, subject, &copy);
        Err(Code::UpstreamUnauthorized.into())
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
        let headers = answer.headers();
        let mut fields = fields::caller_fields(&headers, self.connection);
        let vary = headers.value("vary").map(str::to_owned);
        if let Some(location) = headers.value("location") {
            let redirects = (300..400).contains(&answer.status) && answer.status != 304;
            match self.connection.base_url.path_within(self.url, location) {
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
        Ok(Draft { status: answer.status, fields, vary, body: Body::Upstream(answer.response) })
    }
}
