//! The keys of issuers: their record in the cache, and the way to the issuer.

use std::time::Duration;

use super::document::{address, discover, document};
use crate::config::KeySource;
use crate::jose::KeySet;
use crate::json::record;
use crate::ports::{Cache, Host, Http, report};
use crate::secret::Fingerprint;
use crate::time::UnixTime;
use crate::token::{Nonce, SealingKeys, open, seal};

/// How long keys are fresh.
pub const FRESH: Duration = Duration::from_mins(10);

/// How long stale keys serve while the issuer is unreachable.
pub const USABLE: Duration = Duration::from_hours(24);

/// Keys of an issuer out of the cache.
#[derive(Debug)]
pub struct CachedKeys {
    /// The keys.
    pub keys: KeySet,
    /// When they were fetched.
    pub fetched_at: UnixTime,
}

/// The cached record of an issuer's keys.
struct KeysRecord {
    fetched_at: UnixTime,
    keys: String,
}

record!(KeysRecord { fetched_at, keys });

/// The keys of the JWK set at `jwks_uri` (RFC 7517 §5): those in the cache, unless they are more than
/// ten minutes old or lack the key `kid`; else those that the issuer has now; else, if it fails, the
/// cached ones for a day.
pub async fn issuer_keys<P: Host + Cache + Http>(
    ports: &P,
    keys: &SealingKeys,
    jwks_uri: &str,
    kid: Option<&str>,
) -> Option<KeySet> {
    keys_at(ports, keys, jwks_uri, kid, Duration::ZERO).await
}

/// The same. Keys that were fetched less than a `pause` ago are not fetched again for an unknown
/// `kid`.
pub(super) async fn keys_at<P: Host + Cache + Http>(
    ports: &P,
    keys: &SealingKeys,
    jwks_uri: &str,
    kid: Option<&str>,
    pause: Duration,
) -> Option<KeySet> {
    let source = KeySource::Document(jwks_uri.to_owned());
    let now = ports.now();
    let known = cached_keys(ports, keys, &source).await.filter(|known| now < known.fetched_at + USABLE);
    let suits = |known: &CachedKeys| {
        let has_key = kid.is_none_or(|kid| known.keys.has_kid(kid));
        now < known.fetched_at + if has_key { FRESH } else { pause }
    };
    if known.as_ref().is_some_and(suits) {
        return known.map(|known| known.keys);
    }
    let Some(fetched) = fetch_keys(ports, &source).await else { return known.map(|known| known.keys) };
    cache_keys(ports, keys, &source, &fetched, now).await;
    Some(fetched)
}

/// Fetches the keys from the issuer.
pub async fn fetch_keys<P: Http>(ports: &P, source: &KeySource) -> Option<KeySet> {
    let url = match source {
        KeySource::Document(url) => url.clone(),
        KeySource::Issuer(issuer) => address(&discover(ports, issuer).await?, "jwks_uri")?,
    };
    let document = document(ports, &url).await?;
    (document.status == 200).then_some(())?;
    // An empty key set is a fault of the issuer: keep the previous keys.
    KeySet::parse(&document.body).filter(|keys| !keys.is_empty())
}

/// The keys from `source` in the cache, however old.
pub async fn cached_keys<P: Host + Cache>(
    ports: &P,
    keys: &SealingKeys,
    source: &KeySource,
) -> Option<CachedKeys> {
    let name = record_name(source);
    let Ok(sealed) = ports.read(&name).await else {
        report::cache_failed(ports, "read");
        return None;
    };
    let Ok(record) = open::<KeysRecord>(&sealed?, &name, keys) else {
        report::unopened_record(ports, &name);
        return None;
    };
    Some(CachedKeys { keys: KeySet::parse(record.keys.as_bytes())?, fetched_at: record.fetched_at })
}

/// Copies keys that were fetched at `fetched_at` into the cache.
pub async fn cache_keys<P: Host + Cache>(
    ports: &P,
    keys: &SealingKeys,
    source: &KeySource,
    fetched: &KeySet,
    fetched_at: UnixTime,
) {
    let name = record_name(source);
    let record = KeysRecord { fetched_at, keys: fetched.to_text() };
    let Ok(sealed) = seal(&record, &name, keys, &Nonce(ports.bytes())) else { return };
    if ports.write(&name, &sealed, fetched_at + USABLE).await.is_err() {
        report::cache_failed(ports, "write");
    }
}

fn record_name(source: &KeySource) -> String {
    let (kind, address) = match source {
        KeySource::Issuer(issuer) => ("issuer", issuer),
        KeySource::Document(url) => ("document", url),
    };
    format!("issuer-keys/{}", Fingerprint::of(&[kind, address]).to_hex())
}
