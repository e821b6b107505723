//! Callers with a token of an issuer elsewhere.
//!
//! A token that was verified once is remembered until it expires, by its
//! digest: the same token costs no second look at its signature.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::rc::Rc;

use super::issuer_keys;
use crate::config::{Caller, JwtCaller, KeySource};
use crate::edge::Broker;
use crate::jose::{Invalid, KeySet, MAX_CANDIDATES, TOLERANCE, UnverifiedToken};
use crate::ports::{Ports, SignatureCheck};
use crate::secret::Fingerprint;
use crate::time::UnixTime;

/// How many tokens an isolate remembers. When there are more, the expired ones
/// go; where none is, all go.
const MOST_REMEMBERED: usize = 10_000;

/// Whom a token proves.
#[derive(Debug)]
pub(in crate::edge) struct Bearer {
    /// The callers.
    pub callers: Vec<String>,
    /// The person or thing that the token is about, for counting.
    pub subject: Fingerprint,
    expires_at: UnixTime,
}

/// The tokens that an isolate has verified, by their digests and the numbers of
/// the fields that they came in.
#[derive(Default)]
pub(in crate::edge) struct Remembered(RefCell<HashMap<(Fingerprint, usize), Rc<Bearer>>>);

impl fmt::Debug for Remembered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Remembered")
    }
}

impl Remembered {
    fn get(&self, token: &(Fingerprint, usize), now: UnixTime) -> Option<Rc<Bearer>> {
        self.0.borrow().get(token).filter(|bearer| now < bearer.expires_at).cloned()
    }

    fn insert(&self, token: (Fingerprint, usize), bearer: Rc<Bearer>, now: UnixTime) {
        let mut tokens = self.0.borrow_mut();
        if tokens.len() >= MOST_REMEMBERED {
            tokens.retain(|_, bearer| now < bearer.expires_at);
            if tokens.len() >= MOST_REMEMBERED {
                tokens.clear();
            }
        }
        tokens.insert(token, bearer);
    }
}

/// Finds out whom `token` proves, which came in the header field of the number
/// `field` and has this `digest`.
///
/// # Errors
/// Why it proves nobody.
pub(in crate::edge) async fn prove<P: Ports>(
    broker: &Rc<Broker>,
    ports: &Rc<P>,
    (field, header): (usize, &str),
    token: &str,
    digest: Fingerprint,
) -> Result<Rc<Bearer>, Invalid> {
    let known_as = (digest, field);
    if let Some(bearer) = broker.remembered.get(&known_as, ports.now()) {
        return Ok(bearer);
    }
    let token = UnverifiedToken::parse(token)?;
    let fitting = fitting_callers(broker, header, &token, ports.now())?;
    let mut callers = Vec::new();
    let mut verified: Option<&KeySource> = None;
    let mut failure = Invalid::UnknownKey;
    for (name, caller) in fitting {
        if verified != Some(&caller.keys) {
            let keys = issuer_keys::obtain(broker, ports, &caller.keys, token.kid(), name).await;
            match verify(&**ports, keys.as_deref(), &token).await {
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
    let bearer = Rc::new(Bearer {
        callers,
        subject: Fingerprint::of(&[&claims.issuer, subject]),
        expires_at: claims.expires_at + TOLERANCE,
    });
    broker.remembered.insert(known_as, Rc::clone(&bearer), ports.now());
    Ok(bearer)
}

/// The callers that the token would prove, were its signature right.
fn fitting_callers<'b>(
    broker: &'b Broker,
    header: &str,
    token: &UnverifiedToken<'_>,
    now: UnixTime,
) -> Result<Vec<(&'b str, &'b JwtCaller)>, Invalid> {
    let mut fitting = Vec::new();
    let mut failure = Invalid::Issuer;
    for (name, caller) in &broker.config.callers {
        let Some(Caller::Jwt(caller)) = caller else { continue };
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

/// Verifies a signature with each key that may have made it.
async fn verify<P: Ports>(
    ports: &P,
    keys: Option<&KeySet>,
    token: &UnverifiedToken<'_>,
) -> Result<(), Invalid> {
    let mut failure = Invalid::UnknownKey;
    for key in keys.iter().flat_map(|keys| keys.candidates(token)).take(MAX_CANDIDATES) {
        let jwk = key.jwk();
        let check = SignatureCheck {
            algorithm: token.algorithm(),
            jwk: &jwk,
            input: token.signing_input(),
            signature: token.signature(),
        };
        if ports.verify(&check).await {
            return Ok(());
        }
        failure = Invalid::Signature;
    }
    Err(failure)
}
