//! The begin of a flow.

use super::flow_cookie::{FlowCookies, LIFE_SECONDS};
use super::outcome::FlowFailure;
use super::records::{FLOW, FlowRecord, keep};
use super::return_to::ReturnTo;
use crate::client::{KeyUnusable, assertions, transmit};
use crate::config::{Authorization, Connection, RateLimit, TokenEndpoint};
use crate::discovery::{Metadata, metadata};
use crate::edge::Code;
use crate::edge::answer::{Draft, Refused};
use crate::edge::context::{Context, Edge};
use crate::edge::network::Network;
use crate::edge::proxy;
use crate::edge::proxy::rates::Standing;
use crate::http::{EndpointUrl, RequestHead};
use crate::oauth::{
    TokenRequest, authorization_request, authorization_url, pushed_url, read_pushed, unguessable,
};
use crate::ports::EdgePorts;
use crate::protocol::{Cause, one_time_name};
use crate::secret::{Fingerprint, Secret};
use crate::token::Exposed;

/// How many flows one network may begin, and end.
const FLOWS: RateLimit = RateLimit { requests: 120, seconds: 60 };

/// A flow that is to begin.
pub(super) struct NewFlow<'f> {
    pub connection: &'f Connection,
    pub endpoint: &'f TokenEndpoint,
    pub authorization: &'f Authorization,
    pub return_to: Option<&'f ReturnTo>,
    pub is_popup: bool,
    /// The cookie of the session that goes on.
    pub session: Option<&'f Secret>,
    pub ticket_challenge: Option<String>,
    /// The name of the object of the link.
    pub link: Option<String>,
}

/// Whether a request is a person's navigation to a document, as far as their browser says so: neither
/// a frame nor a prefetch is one.
pub(super) fn is_navigation(head: &RequestHead<'_>) -> bool {
    let is = |name: &str, value: &str| head.headers.value(name).is_none_or(|sent| sent == value);
    is("sec-fetch-mode", "navigate")
        && is("sec-fetch-dest", "document")
        && head.headers.value("sec-purpose").is_none()
}

/// Counts one `step` of a flow against the limit of its network.
///
/// # Errors
/// `rate_limited` where the limit is used up.
pub(super) async fn admit<P: EdgePorts>(context: &Context<'_, P>, step: &str) -> Result<(), Refused> {
    let network = Network::of(context.head);
    let own = network.own.clone();
    proxy::limit::take_rate(context, FLOWS, &["flow", step, &own], &Standing::Anonymous(network)).await
}

impl NewFlow<'_> {
    /// Begins the flow: the answer leads the browser to the provider.
    pub async fn begin<P: EdgePorts>(
        self,
        context: &Context<'_, P>,
    ) -> Result<Draft<P::Response>, FlowFailure> {
        let (edge, authorization) = (context.edge, self.authorization);
        let metadata = self.metadata(edge).await?;
        let found = metadata.as_ref();
        if authorization.discovers_token_url && found.is_none_or(|found| found.token_endpoint.is_none()) {
            return Err(FlowFailure::new(Code::Misconfigured.as_str(), "no_token_endpoint"));
        }
        let url = authorization.authorize_url.as_ref().map(EndpointUrl::as_str);
        let url = url.or_else(|| found?.authorization_endpoint.as_deref());
        let url = url.ok_or(FlowFailure::new(Code::Misconfigured.as_str(), "no_authorization_endpoint"))?;
        let [state, verifier, secret] = [(); 3].map(|()| unguessable(edge.ports.bytes()));
        let is_sign_in = self.connection.grant.has_id_tokens();
        let nonce = is_sign_in.then(|| unguessable(edge.ports.bytes()).expose().to_owned());
        let redirect_uri = format!("{}/auth/callback/{}", context.address(), authorization.callback);
        let params = authorization_request(
            self.endpoint,
            authorization,
            &redirect_uri,
            state.expose(),
            &verifier,
            nonce.as_deref(),
        );
        let pushed = found.and_then(|found| found.pushed_authorization_request_endpoint.as_deref());
        let location = match (pushed, self.endpoint.client.id()) {
            (Some(pushed), Some(client_id)) => {
                pushed_url(url, client_id, &self.push(edge, pushed, &params).await?)
            }
            _ => authorization_url(url, &params),
        };
        let name = one_time_name(FLOW, state.expose());
        let record = FlowRecord {
            connection: self.connection.id.clone(),
            identity: self.connection.identity,
            verifier: Exposed(verifier),
            nonce,
            redirect_uri,
            issuer: authorization.issuer.clone(),
            has_iss: found.is_some_and(|found| found.has_iss),
            return_to: self.return_to.map(|page| page.as_str().to_owned()),
            is_popup: self.is_popup,
            session: self.session.cloned().map(Exposed),
            ticket_challenge: self.ticket_challenge,
            link: self.link,
        };
        let ends_at = edge.now() + std::time::Duration::from_secs(LIFE_SECONDS);
        keep(edge, &name, &record, secret.fingerprint(), ends_at).await?;
        let mut draft = Draft::empty(303);
        draft.fields.push("location", &location);
        for cookie in FlowCookies::read(&context.head.headers).begin(&name, &secret) {
            draft.fields.push("set-cookie", &cookie);
        }
        Ok(draft)
    }

    /// What the issuer says of itself, where there is one.
    async fn metadata<P: EdgePorts>(&self, edge: &Edge<P>) -> Result<Option<Metadata>, FlowFailure> {
        let Some(issuer) = &self.authorization.issuer else { return Ok(None) };
        let keys = edge.config().sealing_keys.as_ref().ok_or(Code::Misconfigured)?;
        let found = metadata(&*edge.ports, keys, issuer).await;
        found.map(Some).ok_or(FlowFailure::new(Code::ConnectionUnavailable.as_str(), "metadata"))
    }

    /// Pushes the authorization request (RFC 9126 §2.1); gives the reference to it.
    async fn push<P: EdgePorts>(
        &self,
        edge: &Edge<P>,
        url: &str,
        params: &[(String, String)],
    ) -> Result<String, FlowFailure> {
        let failed = |cause: Cause| FlowFailure::new(Code::from(cause).as_str(), "pushed_request");
        let own = assertions(&*edge.ports, &self.endpoint.client, None).await;
        let own = own.map_err(|KeyUnusable| failed(Cause::KeyUnusable))?;
        let request = TokenRequest::pushed(self.endpoint, url, params, &own);
        let answer = transmit(&*edge.ports, &request, self.endpoint).await;
        let answer = answer.map_err(|failure| failed(failure.into()))?;
        match read_pushed(answer.status, &answer.body) {
            Ok(pushed) => Ok(pushed.request_uri),
            Err(refused) => Err(failed(refused.refusal.into())),
        }
    }
}

/// What a browser proves that has no cookie of the flow: nothing.
pub(super) fn no_proof() -> Fingerprint {
    Fingerprint::of(&[])
}
