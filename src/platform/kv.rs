//! The cache of sealed records: Workers KV.

use worker::Env;

use crate::broker::ports::CacheFailed;
use crate::time::UnixTime;

use super::runtime;

/// The shortest life that KV takes, in seconds.
const SHORTEST_LIFE: u64 = 60;

/// Reads the record called `name`.
pub async fn read(env: &Env, name: &str) -> Result<Option<String>, CacheFailed> {
    env.kv("TOKENS").map_err(|_| CacheFailed)?.get(name).text().await.map_err(|_| CacheFailed)
}

/// Stores `record` until `expires_at`, which the record itself tells, too:
/// KV keeps it for a minute at least.
pub async fn write(env: &Env, name: &str, record: &str, expires_at: UnixTime) -> Result<(), CacheFailed> {
    let life = expires_at.since(runtime::now()).as_secs().max(SHORTEST_LIFE);
    let put = env.kv("TOKENS").and_then(|kv| Ok(kv.put(name, record)?));
    put.map_err(|_| CacheFailed)?.expiration_ttl(life).execute().await.map_err(|_| CacheFailed)
}
