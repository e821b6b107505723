//! ID tokens and logout tokens, validated whole.

use std::time::Duration;

use super::cached_keys::keys_at;
use super::signature::check_signature;
use crate::jose::{Algorithm, Claims, Identity, IdentityExpectation, Invalid, LogoutToken, UnverifiedToken};
use crate::ports::{Cache, Host, Http, Verifier};
use crate::secret::Secret;
use crate::token::SealingKeys;

/// How long an issuer is not asked again for a key that a logout token names: anybody may send one.
const PAUSE: Duration = Duration::from_mins(1);

/// The claims of `token` if one of `algorithms` and a key at `jwks_uri` signed it.
///
/// # Errors
/// [`Invalid`]: [`Invalid::UnknownKey`] also where no keys can be had.
pub async fn verify<P: Host + Cache + Http + Verifier>(
    ports: &P,
    keys: &SealingKeys,
    jwks_uri: &str,
    token: &UnverifiedToken<'_>,
    algorithms: &[Algorithm],
) -> Result<Claims, Invalid> {
    verify_after(ports, keys, jwks_uri, token, algorithms, Duration::ZERO).await
}

async fn verify_after<P: Host + Cache + Http + Verifier>(
    ports: &P,
    keys: &SealingKeys,
    jwks_uri: &str,
    token: &UnverifiedToken<'_>,
    algorithms: &[Algorithm],
    pause: Duration,
) -> Result<Claims, Invalid> {
    if !algorithms.contains(&token.algorithm()) {
        return Err(Invalid::Algorithm);
    }
    let found = keys_at(ports, keys, jwks_uri, token.kid(), pause).await;
    check_signature(ports, found.as_ref(), token).await?;
    Ok(token.clone().into_proven_claims())
}

/// Validates an ID token whole (`OpenID` Connect Core 1.0 §3.1.3.7): its form and its claims, then its
/// signature.
///
/// # Errors
/// [`Invalid`]: the first fault.
pub async fn identity<P: Host + Cache + Http + Verifier>(
    ports: &P,
    keys: &SealingKeys,
    jwks_uri: &str,
    algorithms: &[Algorithm],
    id_token: &Secret,
    expectation: &IdentityExpectation<'_>,
) -> Result<Identity, Invalid> {
    let token = UnverifiedToken::parse_identity(id_token.expose())?;
    let algorithm = token.algorithm();
    Identity::read(token.unproven_claims(), algorithm, expectation, ports.now())?;
    let claims = verify(ports, keys, jwks_uri, &token, algorithms).await?;
    Identity::read(&claims, algorithm, expectation, ports.now())
}

/// Validates a logout token of `issuer` for the client whole (`OpenID` Connect Back-Channel Logout 1.0
/// §2.6), but for whether it was used before. No key is fetched for a token that is not as expected.
///
/// # Errors
/// [`Invalid`]: the first fault.
pub async fn logout<P: Host + Cache + Http + Verifier>(
    ports: &P,
    keys: &SealingKeys,
    jwks_uri: &str,
    algorithms: &[Algorithm],
    logout_token: &str,
    (issuer, client_id): (&str, &str),
) -> Result<LogoutToken, Invalid> {
    let token = UnverifiedToken::parse_logout(logout_token)?;
    LogoutToken::read(token.unproven_claims(), issuer, client_id, ports.now())?;
    let claims = verify_after(ports, keys, jwks_uri, &token, algorithms, PAUSE).await?;
    LogoutToken::read(&claims, issuer, client_id, ports.now())
}
