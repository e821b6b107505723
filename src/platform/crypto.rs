//! WebCrypto: signatures of tokens, made and verified.

use js_sys::Uint8Array;
use wasm_bindgen::{JsCast as _, JsValue};
use wasm_bindgen_futures::JsFuture;

use super::glue;
use crate::config::SigningKey;
use crate::ports::SignatureCheck;

/// The signature of `input` in the form of RFC 7518 §3; `None` where the key cannot be used.
pub async fn sign(key: &SigningKey, input: &str) -> Option<Vec<u8>> {
    let SigningKey { algorithm, format, text, .. } = key;
    let signed = glue::sign(algorithm.as_str(), format.as_str(), text.expose(), input);
    let signature = JsFuture::from(signed).await.ok()?;
    Some(signature.unchecked_into::<Uint8Array>().to_vec())
}

/// Whether the signature is valid.
pub async fn verify(check: &SignatureCheck<'_>) -> bool {
    let verified = glue::verify_signature(check.algorithm.as_str(), check.jwk, check.input, check.signature);
    // A key that WebCrypto rejects has signed nothing.
    JsFuture::from(verified).await.is_ok_and(|verified| verified == JsValue::TRUE)
}
