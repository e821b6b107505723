//! Callers that authenticate with a token of an external issuer.
//!
//! An isolate remembers a verified token by its digest until it expires: the signature is verified
//! once.

use std::rc::Rc;

use super::bearers::Bearer;
use super::issuer_keys;
use crate::config::{Caller, Config, Configured, JwtCaller, KeySource};
use crate::discovery::check_signature;
use crate::edge::context::Edge;
use crate::jose::{Invalid, TOLERANCE, UnverifiedToken};
use crate::ports::EdgePorts;
use crate::secret::Fingerprint;
use crate::time::UnixTime;

/// Authenticates the callers of `token`, whose digest is `digest` and which came in the header
/// field number `field`.
///
/// # Errors
/// [`Invalid`]: why the token authenticates no caller.
pub(in crate::edge) async fn prove<P: EdgePorts>(
    edge: &Edge<P>,
    (field, header): (usize, &str),
    token: &str,
    digest: Fingerprint,
) -> Result<Rc<Bearer>, Invalid> {
    let known_as = (digest, field);
    if let Some(bearer) = edge.isolate.bearers.get(&known_as, edge.now()) {
        return Ok(bearer);
    }
    let token = UnverifiedToken::parse(token)?;
    let fitting = fitting_callers(edge.config(), header, &token, edge.now())?;
    let mut callers = Vec::new();
    let mut verified: Option<&KeySource> = None;
    let mut failure = Invalid::UnknownKey;
    for (name, caller) in fitting {
        if verified != Some(&caller.keys) {
            let keys = issuer_keys::obtain(edge, &caller.keys, token.kid(), name).await;
            match check_signature(&*edge.ports, keys.as_deref(), &token).await {
                Ok(()) => verified = Some(&caller.keys),
                Err(invalid) => {
                    failure = invalid;
                    continue;
                }
            }
        }
        callers.push(name.to_owned());
    }
    if callers.is_empty() {
        return Err(failure);
    }
    let claims = token.into_proven_claims();
    let subject = claims.subject.as_deref().unwrap_or_default();
    // Cloudflare Access names a service by an empty subject.
    let has_subject = !subject.is_empty();
    let subject = Fingerprint::of(&[&claims.issuer, subject]).to_hex();
    let expires_at = claims.expires_at + TOLERANCE;
    let bearer = Rc::new(Bearer { callers, subject, has_subject, claims: claims.into_own(), expires_at });
    edge.isolate.bearers.insert(known_as, Rc::clone(&bearer), edge.now());
    Ok(bearer)
}

/// The callers whose expectations the unverified claims meet.
fn fitting_callers<'c>(
    config: &'c Config,
    header: &str,
    token: &UnverifiedToken<'_>,
    now: UnixTime,
) -> Result<Vec<(&'c str, &'c JwtCaller)>, Invalid> {
    let mut fitting = Vec::new();
    let mut failure = Invalid::Issuer;
    for (name, caller) in config.callers.iter() {
        let Configured::Usable(Caller::Jwt(caller)) = caller else { continue };
        if caller.header.as_str() != header {
            continue;
        }
        if !caller.algorithms.contains(&token.algorithm()) {
            failure = Invalid::Algorithm;
            continue;
        }
        match token.unproven_claims().meets(&caller.expectation, now) {
            Ok(()) => fitting.push((name.as_str(), &**caller)),
            Err(Invalid::Issuer) => {}
            Err(invalid) => failure = invalid,
        }
    }
    if fitting.is_empty() { Err(failure) } else { Ok(fitting) }
}
