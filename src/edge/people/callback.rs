//! The return from the provider.

use std::time::Duration;

use super::begin::{admit, is_navigation, no_proof};
use super::cookie::{SessionId, clear_stray};
use super::flow_cookie::FlowCookies;
use super::outcome::{
    self, ACCESS_DENIED, Connected, Destination, FLOW_EXPIRED, FLOW_MISMATCH, FlowFailure, ISSUER_MISMATCH,
};
use super::records::{FLOW, FlowRecord, LinkRecord, Once, TICKET, TicketRecord, find, keep};
use super::return_to::ReturnTo;
use crate::config::{Connection, Grant};
use crate::edge::answer::{Draft, Refused};
use crate::edge::context::Context;
use crate::edge::{Code, connections, log};
use crate::oauth::{AuthorizationResponse, unguessable};
use crate::ports::EdgePorts;
use crate::protocol::{
    AcceptConsent, ConnectPerson, ConnectService, ConnectSession, Consent, ConsentRefusal, SERVICE,
    one_time_name,
};
use crate::secret::{Fingerprint, Secret};
use crate::token::{Exposed, Nonce};

/// How long a ticket is good.
const TICKET_LIFE: Duration = Duration::from_mins(1);

/// Ends a flow: `name` is the last segment of the redirect address.
pub(in crate::edge) async fn callback<P: EdgePorts>(
    context: &Context<'_, P>,
    name: &str,
) -> Result<Draft<P::Response>, Refused> {
    let (head, ports) = (context.head, &context.edge.ports);
    Refused::check_method(head, "GET")?;
    // A prefetch would use the flow up before the person comes.
    if !is_navigation(head) {
        let code = Code::BadRequest;
        log::write_connect(&**ports, context.request_id, None, code.as_str(), Some("no_navigation"));
        return Err(code.into());
    }
    let Ok(response) = AuthorizationResponse::read(head.query().unwrap_or_default()) else {
        let code = Code::BadRequest;
        log::write_connect(&**ports, context.request_id, None, code.as_str(), Some("no_response"));
        return Err(code.into());
    };
    admit(context, "end").await?;
    let (AuthorizationResponse::Code { state, .. } | AuthorizationResponse::Error { state, .. }) = &response;
    let flow = match take_flow(context, state).await? {
        Ok(flow) => flow,
        Err(failure) => {
            let own = Destination { return_to: Some(ReturnTo::own(head.own_origin())), is_popup: false };
            return Ok(outcome::answer(context, None, &own, Err(failure)));
        }
    };
    if let Some((id, _)) = context.config().configured(&flow.connection) {
        context.note(|line| line.connection = Some(id));
    }
    let return_to = flow.return_to.as_deref().map(ReturnTo::known);
    let destination = Destination { return_to, is_popup: flow.is_popup };
    let ended = end(context, name, &flow, response, destination.return_to.as_ref()).await;
    Ok(outcome::answer(context, Some(&flow.connection), &destination, ended))
}

/// Uses up the flow of `state`, if this browser began it.
async fn take_flow<P: EdgePorts>(
    context: &Context<'_, P>,
    state: &Secret,
) -> Result<Result<FlowRecord, FlowFailure>, Refused> {
    let cookies = FlowCookies::read(&context.head.headers);
    if cookies.is_empty() {
        return Ok(Err(FlowFailure::new(FLOW_MISMATCH, "no_cookie")));
    }
    let name = one_time_name(FLOW, state.expose());
    let proof = cookies.value(&name).map_or_else(no_proof, |value| Fingerprint::of(&[value]));
    Ok(match find(context.edge, &name, proof, true).await? {
        Once::Found(flow) => Ok(flow),
        Once::WrongProof => Err(FlowFailure::new(FLOW_MISMATCH, "another_browser")),
        Once::Absent => Err(FlowFailure::new(FLOW_EXPIRED, "no_flow")),
    })
}

/// Checks the provider's response, and has the code exchanged.
async fn end<P: EdgePorts>(
    context: &Context<'_, P>,
    name: &str,
    flow: &FlowRecord,
    response: AuthorizationResponse,
    return_to: Option<&ReturnTo>,
) -> Result<Connected, FlowFailure> {
    let found = connections::find(context.edge, &flow.connection).await?;
    let connection = found.connection.usable().ok_or(Code::Misconfigured)?;
    let Grant::AuthorizationCode { authorization, .. } = &connection.grant else {
        return Err(FlowFailure::new(Code::Misconfigured.as_str(), "another_grant"));
    };
    if connection.identity != flow.identity || authorization.for_people != flow.link.is_none() {
        return Err(FlowFailure::new(Code::Misconfigured.as_str(), "another_account"));
    }
    if name != authorization.callback {
        return Err(FlowFailure::new(ISSUER_MISMATCH, "another_callback"));
    }
    let (AuthorizationResponse::Code { iss, .. } | AuthorizationResponse::Error { iss, .. }) = &response;
    check_issuer(flow, iss.as_deref())?;
    let code = match response {
        AuthorizationResponse::Code { code, .. } => code,
        AuthorizationResponse::Error { error, .. } => return Err(failure_of(&error)),
    };
    if let Some(link) = &flow.link {
        // The first code that comes back uses it up.
        match find::<LinkRecord, P>(context.edge, link, LinkRecord::proof(), true).await? {
            Once::Found(_) => {}
            Once::WrongProof | Once::Absent => return Err(FlowFailure::new(FLOW_EXPIRED, "no_link")),
        }
    }
    let consent = Consent {
        code,
        verifier: flow.verifier.0.clone(),
        redirect_uri: flow.redirect_uri.clone(),
        nonce: flow.nonce.clone(),
    };
    let ending = EndingFlow { context, flow, connection, consent };
    if authorization.for_people {
        ending.connect_person(return_to).await
    } else {
        ending.connect_service().await
    }
}

/// Fails where the response names another issuer than the flow's, or none though it must (RFC 9207
/// §2.4).
fn check_issuer(flow: &FlowRecord, iss: Option<&str>) -> Result<(), FlowFailure> {
    match (&flow.issuer, iss) {
        (Some(issuer), Some(iss)) if issuer != iss => {
            Err(FlowFailure::new(ISSUER_MISMATCH, "another_issuer"))
        }
        (Some(_), None) if flow.has_iss => Err(FlowFailure::new(ISSUER_MISMATCH, "no_issuer")),
        _ => Ok(()),
    }
}

/// What a provider's error code means to the page (RFC 6749 §4.1.2.1, `OpenID` Connect Core 1.0
/// §3.1.2.6).
fn failure_of(error: &str) -> FlowFailure {
    const DENIED: [&str; 5] = [
        ACCESS_DENIED,
        "login_required",
        "consent_required",
        "interaction_required",
        "account_selection_required",
    ];
    const UNAVAILABLE: [&str; 2] = ["server_error", "temporarily_unavailable"];
    const WRONG: [&str; 8] = [
        "invalid_request",
        "unauthorized_client",
        "unsupported_response_type",
        "invalid_scope",
        "invalid_request_uri",
        "invalid_request_object",
        "invalid_target",
        "request_not_supported",
    ];
    let groups: [(&'static str, &[&'static str]); 3] = [
        (ACCESS_DENIED, &DENIED),
        (Code::ConnectionUnavailable.as_str(), &UNAVAILABLE),
        (Code::Misconfigured.as_str(), &WRONG),
    ];
    for (code, errors) in groups {
        if let Some(reason) = errors.iter().find(|known| **known == error) {
            return FlowFailure::new(code, reason);
        }
    }
    FlowFailure::new(Code::Misconfigured.as_str(), "other")
}

fn failure_of_refusal(refusal: ConsentRefusal) -> FlowFailure {
    match refusal {
        ConsentRefusal::Failed(cause) => FlowFailure::new(Code::from(cause).as_str(), "exchange"),
        ConsentRefusal::IdToken => FlowFailure::new(Code::TokenResponseInvalid.as_str(), "id_token"),
        ConsentRefusal::SessionEnded => FlowFailure::new(FLOW_EXPIRED, "session_ended"),
        ConsentRefusal::Misconfigured => FlowFailure::new(Code::Misconfigured.as_str(), "another_account"),
    }
}

/// A flow whose response is in order.
struct EndingFlow<'e, 'a, P> {
    context: &'e Context<'a, P>,
    flow: &'e FlowRecord,
    connection: &'e Connection,
    consent: Consent,
}

impl<P: EdgePorts> EndingFlow<'_, '_, P> {
    /// Has the session that the flow came with take the consent, if it lives, else a new one. Either
    /// way the consent sets a new cookie.
    async fn connect_person(self, return_to: Option<&ReturnTo>) -> Result<Connected, FlowFailure> {
        let (edge, flow) = (self.context.edge, self.flow);
        let policy = edge.config().session.ok_or(Code::Misconfigured)?;
        let known = flow.session.as_ref().and_then(|session| SessionId::parse(session.0.expose()));
        let mut session = None;
        if let Some(known) = &known {
            let next = known.rotated(edge.ports.bytes()).ok_or(Code::Internal)?;
            session = self.ask_session(Some(known), next).await?;
        }
        if session.is_none() {
            session = self.ask_session(None, SessionId::new(edge.ports.bytes())).await?;
        }
        let session = session.ok_or(Code::ConnectionUnavailable)?;
        let ticket = match (&flow.ticket_challenge, return_to) {
            (Some(challenge), Some(page)) => Some(self.make_ticket(&session, challenge, page).await?),
            _ => None,
        };
        let stray = clear_stray(self.context.head, &policy);
        let cookies = [session.set_cookie(&policy)].into_iter().chain(stray).collect();
        Ok(Connected { ticket, cookies })
    }

    /// Asks the session to take the consent; `None` where it has ended.
    async fn ask_session(
        &self,
        known: Option<&SessionId>,
        next: SessionId,
    ) -> Result<Option<SessionId>, FlowFailure> {
        let ask = ConnectPerson {
            connection: self.connection.id.clone(),
            identity: self.connection.identity,
            proof: known.map(SessionId::proof),
            next_proof: next.proof(),
            consent: self.seal(next.name())?,
        };
        let asked = self.context.edge.ports.ask(ConnectSession { session: next.name(), ask }).await;
        match asked.map_err(Refused::from)? {
            Ok(expires_at) => Ok(expires_at.map(|_| next)),
            Err(refusal) => Err(failure_of_refusal(refusal)),
        }
    }

    /// A ticket for the page at `return_to`, which is of another site than the cookie.
    async fn make_ticket(
        &self,
        session: &SessionId,
        challenge: &str,
        return_to: &ReturnTo,
    ) -> Result<Secret, FlowFailure> {
        let edge = self.context.edge;
        let ticket = unguessable(edge.ports.bytes());
        let record =
            TicketRecord { session: Exposed(session.value().clone()), origin: return_to.origin().to_owned() };
        let name = one_time_name(TICKET, ticket.expose());
        keep(edge, &name, &record, TicketRecord::proof(challenge), edge.now() + TICKET_LIFE).await?;
        Ok(ticket)
    }

    /// Has the connection's keeper take the consent.
    async fn connect_service(self) -> Result<Connected, FlowFailure> {
        let edge = self.context.edge;
        let id = self.connection.id.as_str();
        let consent = self.seal(&format!("{SERVICE}/{id}"))?;
        let ask = ConnectService { identity: self.connection.identity, consent };
        let asked = edge.ports.ask(AcceptConsent { connection: id, ask }).await;
        let generation = asked.map_err(Refused::from)?.map_err(failure_of_refusal)?;
        edge.isolate.access_tokens.forget_id(id, generation.saturating_sub(1));
        Ok(Connected::default())
    }

    fn seal(&self, object: &str) -> Result<String, Code> {
        let edge = self.context.edge;
        let keys = edge.config().sealing_keys.as_ref().ok_or(Code::Misconfigured)?;
        self.consent.seal(object, keys, &Nonce(edge.ports.bytes())).map_err(|_| Code::Internal)
    }
}

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod tests {
    use super::*;

    #[test]
    fn tells_the_page_what_the_provider_says() {
        for (error, code, reason) in [
            ("access_denied", "access_denied", "access_denied"),
            ("login_required", "access_denied", "login_required"),
            ("account_selection_required", "access_denied", "account_selection_required"),
            ("server_error", "connection_unavailable", "server_error"),
            ("temporarily_unavailable", "connection_unavailable", "temporarily_unavailable"),
            ("invalid_scope", "misconfigured", "invalid_scope"),
            ("Access_Denied", "misconfigured", "other"),
            ("maria@example.com", "misconfigured", "other"),
        ] {
            let failure = failure_of(error);
            assert_eq!((failure.code, failure.reason), (code, Some(reason)), "{error}");
        }
    }

    #[test]
    fn takes_a_response_of_the_issuer_alone() {
        let flow = |issuer: Option<&str>, has_iss| FlowRecord {
            connection: "acme".to_owned(),
            identity: Fingerprint::of(&[]),
            verifier: Exposed(Secret::new(String::new())),
            nonce: None,
            redirect_uri: String::new(),
            issuer: issuer.map(str::to_owned),
            has_iss,
            return_to: None,
            is_popup: false,
            session: None,
            ticket_challenge: None,
            link: None,
        };
        let issuer = Some("https://id.example");
        for (flow, iss, fits) in [
            (flow(issuer, true), issuer, true),
            (flow(issuer, false), issuer, true),
            (flow(issuer, false), None, true),
            (flow(issuer, true), None, false),
            (flow(issuer, false), Some("https://id.example/"), false),
            (flow(issuer, false), Some(""), false),
            (flow(None, false), issuer, true),
            (flow(None, false), None, true),
        ] {
            assert_eq!(check_issuer(&flow, iss).is_ok(), fits, "{iss:?}");
        }
    }
}
