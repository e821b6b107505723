//! One request to the token endpoint.

use std::time::Duration;

use zeroize::Zeroizing;

use super::LiveTokenSet;
use crate::config::TokenEndpoint;
use crate::oauth::{self, MAX_RESPONSE_BYTES, RefusedAnswer, TokenRefusal, TokenRequest, TokenResponse};
use crate::ports::{HttpAnswer, HttpFailure, HttpRequest, ObjectPorts};
use crate::protocol::Cause;
use crate::token::TokenTypes;

/// Why a token request yielded no token response.
pub(super) enum ExchangeFailure {
    Refused(TokenRefusal, Option<Duration>),
    Unanswered(HttpFailure),
    /// No request was made, since the connection's key signs nothing.
    KeyUnusable,
}

impl ExchangeFailure {
    /// The answer that granted nothing, if there was one.
    pub(super) fn answer(&self) -> Option<RefusedAnswer> {
        match self {
            Self::Refused(refused, _) => Some(refused.answer),
            Self::Unanswered(_) | Self::KeyUnusable => None,
        }
    }

    /// Why there was no request.
    pub(super) fn reason(&self) -> Option<&'static str> {
        match self {
            Self::KeyUnusable => Cause::KeyUnusable.reason(),
            Self::Refused(..) | Self::Unanswered(_) => None,
        }
    }
}

impl<P: ObjectPorts> LiveTokenSet<P> {
    /// Sends one token request and reads the response.
    pub(super) async fn exchange(
        &self,
        request: &TokenRequest,
        endpoint: &TokenEndpoint,
        types: TokenTypes,
    ) -> Result<TokenResponse, ExchangeFailure> {
        let answer = self.post(request, endpoint).await.map_err(ExchangeFailure::Unanswered)?;
        oauth::read(answer.status, &answer.body, types).map_err(|refused| {
            let now = self.ports.now();
            let retry_after = answer.retry_after.and_then(|value| oauth::retry_after(&value, now));
            ExchangeFailure::Refused(refused, retry_after)
        })
    }

    async fn post(
        &self,
        request: &TokenRequest,
        endpoint: &TokenEndpoint,
    ) -> Result<HttpAnswer, HttpFailure> {
        let mut fields = Zeroizing::new(format!(
            "content-type:{}\naccept:application/json\nuser-agent:porteiro",
            request.content_type
        ));
        if let Some(authorization) = &request.authorization {
            fields.push_str("\nauthorization:");
            fields.push_str(authorization.expose());
        }
        let request = HttpRequest {
            method: "POST",
            url: &request.url,
            fields: &fields,
            body: Some(request.body.expose()),
            timeout: endpoint.timeout,
            max_bytes: Some(MAX_RESPONSE_BYTES),
            certificate: endpoint.certificate.as_deref(),
        };
        self.ports.send(&request).await
    }
}
