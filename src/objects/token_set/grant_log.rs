//! The log lines of token requests.

use super::LiveTokenSet;
use super::exchange::ExchangeFailure;
use super::renewal::{GrantOutcome, TokenAttempt};
use crate::config::Connection;
use crate::oauth::TokenResponse;
use crate::objects::log::GrantLine;
use crate::ports::ObjectPorts;
use crate::time::UnixTime;

impl<P: ObjectPorts> LiveTokenSet<P> {
    /// Writes the log line of a token request for a person, or by a code.
    pub(super) fn log_exchange(
        &self,
        connection: &Connection,
        answered: &Result<TokenResponse, ExchangeFailure>,
        outcome_of: impl FnOnce(&ExchangeFailure) -> &'static str,
        sent_at: UnixTime,
    ) {
        let failure = answered.as_ref().err();
        let line = GrantLine {
            connection: &connection.id,
            grant: connection.grant.name(),
            outcome: failure.map_or("granted", outcome_of),
            refused: failure.and_then(ExchangeFailure::answer),
            reason: failure.and_then(ExchangeFailure::reason),
            took: self.ports.now().since(sent_at),
            narrowed: false,
        };
        line.write(&*self.ports);
    }

    /// Writes the log line of a token request of a renewal.
    pub(super) fn log_grant(
        &self,
        connection: &Connection,
        attempt: &TokenAttempt,
        outcome: &GrantOutcome,
        sent_at: UnixTime,
    ) {
        let asked = connection.grant.endpoint().and_then(|endpoint| endpoint.scope.as_deref());
        let (outcome, refused, reason, narrowed) = match outcome {
            GrantOutcome::Granted(response) => {
                ("granted", None, None, is_narrowed(asked, response.scope.as_deref()))
            }
            GrantOutcome::RefreshRefused { answer, .. } => ("refresh_refused", Some(*answer), None, false),
            GrantOutcome::Failed { cause, answer, .. } => (cause.as_str(), *answer, cause.reason(), false),
        };
        let grant = if attempt.is_refresh { "refresh_token" } else { connection.grant.name() };
        let took = self.ports.now().since(sent_at);
        GrantLine { connection: &connection.id, grant, outcome, refused, reason, took, narrowed }
            .write(&*self.ports);
    }
}

/// Whether the granted scope lacks part of the requested one (RFC 6749 §3.3); an absent scope is as
/// requested (§5.1).
fn is_narrowed(asked: Option<&str>, granted: Option<&str>) -> bool {
    let (Some(asked), Some(granted)) = (asked, granted) else { return false };
    asked.split(' ').any(|wanted| granted.split(' ').all(|scope| scope != wanted))
}
