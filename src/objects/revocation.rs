//! The revocation of tokens that are given up (RFC 7009): behind the reply, and repeated once.

use std::rc::Rc;
use std::time::Duration;

use futures_util::FutureExt as _;

use super::lock::task;
use super::log;
use crate::client::{assertions, transmit};
use crate::config::{Connection, Grant};
use crate::discovery;
use crate::oauth::TokenRequest;
use crate::ports::ObjectPorts;
use crate::secret::Secret;
use crate::token::SealingKeys;

/// How long after a failure a revocation is repeated.
const PAUSE: Duration = Duration::from_secs(2);

/// A token that its provider can revoke.
#[allow(missing_debug_implementations, reason = "it holds a token")]
pub struct Revocable {
    /// The connection.
    pub connection: Rc<Connection>,
    /// The sealing keys, for the issuer's metadata.
    pub keys: Rc<SealingKeys>,
    /// The token.
    pub token: Secret,
    /// Whether it is a refresh token.
    pub is_refresh_token: bool,
}

/// Revokes `tokens` in the background, where their providers have an address for it.
pub fn revoke<P: ObjectPorts>(ports: &Rc<P>, tokens: Vec<Revocable>) {
    if tokens.is_empty() {
        return;
    }
    let own = Rc::clone(ports);
    ports.spawn(
        task(async move {
            for token in tokens {
                revoke_one(&own, &token).await;
            }
        })
        .boxed_local(),
    );
}

async fn revoke_one<P: ObjectPorts>(ports: &Rc<P>, token: &Revocable) {
    let connection = &*token.connection;
    let Grant::AuthorizationCode { endpoint, authorization } = &connection.grant else { return };
    let url = match (&authorization.revocation_url, &authorization.issuer) {
        (Some(url), _) => Some(url.as_str().to_owned()),
        (None, Some(issuer)) => discovery::metadata(&**ports, &token.keys, issuer)
            .await
            .and_then(|metadata| metadata.revocation_endpoint),
        (None, None) => None,
    };
    let Some(url) = url else { return };
    let hint = if token.is_refresh_token { "refresh_token" } else { "access_token" };
    for is_last in [false, true] {
        let sent_at = ports.now();
        let Ok(own) = assertions(&**ports, &endpoint.client, None).await else { return };
        let request = TokenRequest::revocation(endpoint, &url, &token.token, hint, &own);
        let answered = transmit(&**ports, &request, endpoint).await;
        let status = answered.as_ref().ok().map(|answer| answer.status);
        let is_done = status.is_some_and(|status| (200..300).contains(&status));
        log::write_revocation(&**ports, &connection.id, status, is_done, ports.now().since(sent_at));
        // Another answer than a temporary one would come again (RFC 7009 §2.2.1).
        let is_temporary = status.is_none_or(|status| status >= 500 || status == 429);
        if is_done || !is_temporary || is_last {
            return;
        }
        ports.sleep(PAUSE).await;
    }
}
