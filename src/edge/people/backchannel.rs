//! A provider's word that a person signed out there (`OpenID` Connect Back-Channel Logout 1.0).

use super::expel::expel;
use crate::config::{Grant, KeySource};
use crate::discovery;
use crate::edge::Code;
use crate::edge::answer::{Draft, Refused};
use crate::edge::context::Context;
use crate::edge::log;
use crate::form;
use crate::jose::{Invalid, LogoutToken, TOLERANCE};
use crate::json::{self, Members};
use crate::ports::{EdgePorts, Sender};
use crate::protocol::{Expulsion, KeepOnce, OneTimeFound, ReadOnce};
use crate::secret::Fingerprint;
use crate::token::Nonce;

/// The largest body, in bytes: a token, encoded.
const MAX_BODY_BYTES: usize = 32 * 1024;

/// A logout token was used before.
const REPLAY: &str = "replay";

/// Ends the sessions that a logout token names (§2.5 to §2.8).
pub(in crate::edge) async fn log_out<P: EdgePorts>(
    context: &Context<'_, P>,
    connection: &str,
) -> Result<Draft<P::Response>, Refused> {
    let (head, edge, config) = (context.head, context.edge, context.config());
    let (id, connection) = config.configured(connection).ok_or(Code::UnknownConnection)?;
    context.note(|line| line.connection = Some(id));
    Refused::check_method(head, "POST")?;
    let connection = connection.usable().ok_or(Code::Misconfigured)?;
    let Grant::AuthorizationCode { endpoint, authorization } = &connection.grant else {
        return Err(Code::NotFound.into());
    };
    let issuer =
        authorization.issuer.as_deref().filter(|_| authorization.for_people).ok_or(Code::NotFound)?;
    let client_id = endpoint.client.id().ok_or(Code::NotFound)?;
    let content_type = head.headers.value("content-type").unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    if !media_type.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return Ok(refused(context, id, "no_form"));
    }
    let body = edge.ports.body(MAX_BODY_BYTES, Sender::Unproven).await?;
    let tokens = form::parameters(std::str::from_utf8(&body).unwrap_or_default(), "logout_token");
    let [token] = tokens.as_slice() else { return Ok(refused(context, id, "no_token")) };
    let token = match validate(context, token, issuer, client_id).await? {
        Ok(token) => token,
        Err(invalid) => return Ok(refused(context, id, invalid.as_str())),
    };
    match end_sessions(context, id, token).await {
        Ok(Some(ended)) => {
            log::write_expulsion(&*edge.ports, context.request_id, id, "ended", (Some(ended), None));
            Ok(Draft::empty(200))
        }
        Ok(None) => Ok(refused(context, id, REPLAY)),
        Err(failed) => {
            let outcome = failed.code.as_str();
            log::write_expulsion(&*edge.ports, context.request_id, id, outcome, (None, None));
            Err(failed)
        }
    }
}

async fn validate<P: EdgePorts>(
    context: &Context<'_, P>,
    token: &str,
    issuer: &str,
    client_id: &str,
) -> Result<Result<LogoutToken, Invalid>, Refused> {
    let ports = &*context.edge.ports;
    let keys = context.config().sealing_keys.as_ref().ok_or(Code::Misconfigured)?;
    let unavailable = || Refused::unavailable(Code::TokenEndpointUnreachable, 1);
    let metadata = discovery::metadata(ports, keys, issuer).await.ok_or_else(unavailable)?;
    let jwks_uri = metadata.jwks_uri.ok_or(Code::Misconfigured)?;
    let algorithms = &metadata.id_token_algorithms;
    let read = discovery::logout(ports, keys, &jwks_uri, algorithms, token, (issuer, client_id)).await;
    // Without any keys nothing is known of the token: the provider may repeat it.
    if read.as_ref().err() == Some(&Invalid::UnknownKey)
        && discovery::cached_keys(ports, keys, &KeySource::Document(jwks_uri)).await.is_none()
    {
        return Err(unavailable());
    }
    Ok(read)
}

/// Ends the sessions, and gives how many there were; `None` where the token was used before. It counts
/// as used once they have ended, so that the provider may repeat a logout that failed.
async fn end_sessions<P: EdgePorts>(
    context: &Context<'_, P>,
    connection: &str,
    token: LogoutToken,
) -> Result<Option<usize>, Refused> {
    let edge = context.edge;
    let keys = edge.config().sealing_keys.as_ref().ok_or(Code::Misconfigured)?;
    let LogoutToken { subject, sid, id, expires_at, .. } = token;
    let name = format!("one-time/{}", keys.blind_name(&["jti", connection, &id]));
    let proof = Fingerprint::of(&["jti"]);
    if edge.ports.ask(ReadOnce { name: &name, proof, takes: false }).await? != OneTimeFound::Absent {
        return Ok(None);
    }
    let ended = expel(edge, &Expulsion { connection: connection.to_owned(), subject, sid }).await?;
    let record = keys.seal(&name, b"", &Nonce(edge.ports.bytes())).map_err(|_| Code::Internal)?;
    // Within the tolerance for clocks the token is good beyond its end.
    let ends_at = expires_at + TOLERANCE;
    edge.ports.ask(KeepOnce { name: &name, record, proof, ends_at }).await?;
    Ok(Some(ended))
}

/// The answer to an invalid logout token (§2.8).
fn refused<P: EdgePorts>(context: &Context<'_, P>, connection: &str, reason: &str) -> Draft<P::Response> {
    let code = Code::BadRequest;
    context.note(|line| line.note_code(code));
    log::write_expulsion(
        &*context.edge.ports,
        context.request_id,
        connection,
        code.as_str(),
        (None, Some(reason)),
    );
    Draft::text(400, "application/json", json::text(&Members(&[("error", &"invalid_request")])))
}
