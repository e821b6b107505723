//! The verification of a token's signature with the keys of its issuer.

use crate::jose::{Invalid, KeySet, MAX_CANDIDATES, UnverifiedToken};
use crate::ports::{SignatureCheck, Verifier};

/// Verifies the signature of `token` with each candidate key (RFC 7515 §5.2).
///
/// # Errors
/// [`Invalid::UnknownKey`] or [`Invalid::Signature`].
pub async fn check_signature<P: Verifier>(
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
