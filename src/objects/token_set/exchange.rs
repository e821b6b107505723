//! One request to the token endpoint.

use std::time::Duration;

use super::LiveTokenSet;
use crate::client::transmit;
use crate::config::{Connection, Grant, TokenEndpoint};
use crate::oauth::{self, LoginAnswer, RefusedAnswer, TokenRefusal, TokenRequest, TokenResponse};
use crate::ports::{HttpAnswer, HttpFailure, ObjectPorts};
use crate::protocol::Cause;

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
    /// Sends one token request of `connection` and reads the response.
    pub(super) async fn exchange(
        &self,
        request: &TokenRequest,
        endpoint: &TokenEndpoint,
        connection: &Connection,
    ) -> Result<TokenResponse, ExchangeFailure> {
        let sent_at = self.ports.now();
        let answer = transmit(&*self.ports, request, endpoint).await.map_err(ExchangeFailure::Unanswered)?;
        let read = if let Grant::Login { login, .. } = &connection.grant {
            let HttpAnswer { status, body, .. } = &answer;
            let told = LoginAnswer { status: *status, headers: answer.headers(), body };
            oauth::read_login(login, &told, sent_at)
        } else {
            oauth::read(answer.status, &answer.body, connection.token_types())
        };
        read.map_err(|refused| {
            let now = self.ports.now();
            let retry_after = answer.retry_after().and_then(|value| oauth::retry_after(value, now));
            ExchangeFailure::Refused(refused, retry_after)
        })
    }
}
