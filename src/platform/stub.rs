//! The way to a Durable Object, by `glue.js`: the `worker` crate's own stubs and
//! requests weigh 4 KiB more.

use wasm_bindgen_futures::JsFuture;
use worker::Env;

use super::glue;
use crate::ports::ObjectUnreachable;

/// What the object called `name` answers to `envelope`.
///
/// # Errors
/// [`ObjectUnreachable`] where it does not.
pub async fn exchange(env: &Env, name: &str, envelope: &str) -> Result<String, ObjectUnreachable> {
    let answer = glue::exchange(env, name, envelope).map_err(|_| ObjectUnreachable)?;
    let answer = JsFuture::from(answer).await.map_err(|_| ObjectUnreachable)?;
    answer.as_string().ok_or(ObjectUnreachable)
}
