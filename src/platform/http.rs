//! Requests of the broker's own: to token endpoints, to issuers, to receivers of
//! webhooks.

use wasm_bindgen::JsCast as _;
use wasm_bindgen_futures::JsFuture;
use worker::Env;
use zeroize::Zeroizing;

use super::{glue, runtime};
use crate::ports::{HttpAnswer, HttpFailure, HttpRequest};

/// Sends `request` from the Worker of `env`, without following redirects.
///
/// # Errors
/// Why there is no answer.
pub async fn send(env: &Env, request: &HttpRequest<'_>) -> Result<HttpAnswer, HttpFailure> {
    let HttpRequest { method, url, fields, body, timeout, max_bytes, certificate } = *request;
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    let max_bytes = max_bytes.map_or(-1.0, |bytes| bytes as f64);
    let timeout = runtime::millis(timeout);
    let sent = glue::send(method, url, fields, body, timeout, max_bytes, env, certificate);
    let answer = JsFuture::from(sent).await.map_err(|reason| match reason.as_string().as_deref() {
        Some("timeout") => HttpFailure::Timeout,
        _ => HttpFailure::Unreachable,
    })?;
    let answer: glue::HttpResponse = answer.unchecked_into();
    Ok(HttpAnswer {
        status: answer.status(),
        fields: Zeroizing::new(answer.fields()),
        body: Zeroizing::new(answer.body().to_vec()),
    })
}
