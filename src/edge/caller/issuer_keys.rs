//! The keys of the issuers of callers' tokens: from memory, else the cache,
//! else the issuer.
//!
//! Keys are fresh for ten minutes, then fetched again; while the issuer is unreachable, stale keys
//! serve until a day after their fetch. A token with an unknown key id also causes a fetch, at most
//! once a minute: otherwise anyone could have the broker flood the issuer.

use std::rc::Rc;
use std::time::Duration;

use super::key_sets::{KnownKeys, Step};
use crate::config::KeySource;
use crate::discovery;
use crate::edge::context::Edge;
use crate::jose::KeySet;
use crate::ports::{EdgePorts, report};
use crate::time::UnixTime;

/// How often a request polls for the end of another request's fetch.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// The issuer's keys from `source`, with the key `kid` if the issuer has it. `None` where no keys
/// can be fetched; the log line names `caller`.
pub(in crate::edge) async fn obtain<P: EdgePorts>(
    edge: &Edge<P>,
    source: &KeySource,
    kid: Option<&str>,
    caller: &str,
) -> Option<Rc<KeySet>> {
    let known = &edge.isolate.key_sets;
    loop {
        let now = edge.now();
        match known.change(source, |entry| entry.step(kid, now)) {
            Step::Use(keys) => return keys,
            Step::Wait => edge.ports.sleep(POLL_INTERVAL).await,
            Step::LookInCache => {
                known.change(source, |entry| entry.fetching_since = Some(now));
                let cached = cached(edge, source).await;
                known.change(source, |entry| {
                    (entry.looked_in_cache, entry.fetching_since) = (true, None);
                    entry.known = cached;
                });
            }
            Step::Fetch => {
                known.change(source, |entry| entry.begin_fetch(kid, now));
                let fetched = discovery::fetch_keys(&*edge.ports, source).await.map(Rc::new);
                match &fetched {
                    Some(keys) => cache(edge, source, keys, now),
                    None => report::issuer_unreachable(&*edge.ports, caller),
                }
                let ended_at = edge.now();
                return known.change(source, |entry| entry.end_fetch(fetched, now, ended_at));
            }
        }
    }
}

async fn cached<P: EdgePorts>(edge: &Edge<P>, source: &KeySource) -> Option<KnownKeys> {
    let sealing_keys = edge.config().sealing_keys.as_ref()?;
    let cached = discovery::cached_keys(&*edge.ports, sealing_keys, source).await?;
    Some(KnownKeys { keys: Rc::new(cached.keys), fetched_at: cached.fetched_at })
}

/// Copies keys into the cache in the background.
fn cache<P: EdgePorts>(edge: &Edge<P>, source: &KeySource, keys: &Rc<KeySet>, now: UnixTime) {
    let (source, keys) = (source.clone(), Rc::clone(keys));
    edge.in_background(|edge| async move {
        if let Some(sealing_keys) = &edge.config().sealing_keys {
            discovery::cache_keys(&*edge.ports, sealing_keys, &source, &keys, now).await;
        }
    });
}
