//! The cache of sealed records: Workers KV, by functions of `glue.js`. A cold
//! start waits for [`read`], and the `worker` crate's own KV weighs 3.8 KiB more.

use wasm_bindgen_futures::JsFuture;
use worker::Env;

use crate::ports::CacheFailed;
use crate::time::UnixTime;

use super::{glue, runtime};

/// The shortest life that KV takes, in seconds.
const SHORTEST_LIFE: u64 = 60;

/// Reads the record called `name`.
pub async fn read(env: &Env, name: &str) -> Result<Option<String>, CacheFailed> {
    let read = glue::read_record(env, name).map_err(|_| CacheFailed)?;
    Ok(JsFuture::from(read).await.map_err(|_| CacheFailed)?.as_string())
}

/// Stores `record` until `expires_at`, or for the shortest life that KV takes:
/// the record itself says when it expires, too.
pub async fn write(env: &Env, name: &str, record: &str, expires_at: UnixTime) -> Result<(), CacheFailed> {
    let life = expires_at.since(runtime::now()).as_secs().max(SHORTEST_LIFE);
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    let written = glue::write_record(env, name, record, life as f64).map_err(|_| CacheFailed)?;
    JsFuture::from(written).await.map(drop).map_err(|_| CacheFailed)
}

/// Deletes the record called `name`.
pub async fn delete(env: &Env, name: &str) -> Result<(), CacheFailed> {
    let deleted = glue::delete_record(env, name).map_err(|_| CacheFailed)?;
    JsFuture::from(deleted).await.map(drop).map_err(|_| CacheFailed)
}
