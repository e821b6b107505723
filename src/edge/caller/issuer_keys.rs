//! The keys of the issuers of callers' tokens: from memory, else the cache,
//! else the issuer.
//!
//! Keys are fresh for ten minutes, then fetched again; while the issuer is unreachable, stale keys
//! serve until a day after their fetch. A token with an unknown key id also causes a fetch, at most
//! once a minute: otherwise anyone could have the broker flood the issuer.

use std::rc::Rc;
use std::time::Duration;

use serde_json::Value;

use super::key_sets::{KnownKeys, Step, USABLE};
use crate::config::KeySource;
use crate::edge::context::Edge;
use crate::http::check_document_url;
use crate::jose::KeySet;
use crate::json::{self, record};
use crate::ports::{EdgePorts, HttpAnswer, HttpRequest, report};
use crate::secret::Fingerprint;
use crate::time::UnixTime;
use crate::token::{Nonce, open, seal};

/// How often a request polls for the end of another request's fetch.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// The time limit for a document of an issuer.
const DOCUMENT_TIMEOUT: Duration = Duration::from_secs(5);

/// The largest document of an issuer, in bytes.
const MAX_DOCUMENT_BYTES: usize = 512 * 1024;

/// The header fields of a document request.
const DOCUMENT_FIELDS: &str =
    "accept:application/json, application/jwk-set+json, */*;q=0.1\nuser-agent:porteiro";

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
                let fetched = fetch(&*edge.ports, source).await.map(Rc::new);
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

/// Fetches the keys from the issuer.
async fn fetch<P: EdgePorts>(ports: &P, source: &KeySource) -> Option<KeySet> {
    let url = match source {
        KeySource::Document(url) => url.clone(),
        KeySource::Issuer(issuer) => discover(ports, issuer).await?,
    };
    let document = document(ports, &url).await?;
    (document.status == 200).then_some(())?;
    // An empty key set is a fault of the issuer: keep the previous keys.
    KeySet::parse(&document.body).filter(|keys| !keys.is_empty())
}

/// Fetches a document of an issuer; `None` where the issuer is unreachable or slow, or the document
/// is too large.
async fn document<P: EdgePorts>(ports: &P, url: &str) -> Option<HttpAnswer> {
    let request = HttpRequest {
        method: "GET",
        url,
        fields: DOCUMENT_FIELDS,
        body: None,
        timeout: DOCUMENT_TIMEOUT,
        max_bytes: Some(MAX_DOCUMENT_BYTES),
        certificate: None,
    };
    ports.send(&request).await.ok().filter(|answer| answer.body.len() <= MAX_DOCUMENT_BYTES)
}

/// The `jwks_uri` of the issuer's metadata (RFC 8414 §3, `OpenID` Connect Discovery §4). Metadata
/// that names another issuer is ignored.
async fn discover<P: EdgePorts>(ports: &P, issuer: &str) -> Option<String> {
    let mut found = document(ports, &openid_metadata(issuer)).await?;
    if found.status == 404 {
        found = document(ports, &oauth_metadata(issuer)?).await?;
    }
    let HttpAnswer { status: 200, body, .. } = found else { return None };
    let metadata: Value = json::parse(json::without_mark(&body)).ok()?;
    let text = |name| metadata.get(name).and_then(Value::as_str);
    text("issuer").filter(|named| *named == issuer)?;
    text("jwks_uri").filter(|url| check_document_url(url).is_ok()).map(str::to_owned)
}

fn openid_metadata(issuer: &str) -> String {
    format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'))
}

/// The well-known segment goes between the host and the issuer's path (RFC 8414 §3.1).
fn oauth_metadata(issuer: &str) -> Option<String> {
    let (scheme, rest) = issuer.split_once("://")?;
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let path = path.trim_end_matches('/');
    let slash = if path.is_empty() { "" } else { "/" };
    Some(format!("{scheme}://{host}/.well-known/oauth-authorization-server{slash}{path}"))
}

/// The cached record of an issuer's keys. It is sealed, so that write access to the cache is not
/// enough to add a key.
struct KeysRecord {
    fetched_at: UnixTime,
    keys: String,
}

record!(KeysRecord { fetched_at, keys });

async fn cached<P: EdgePorts>(edge: &Edge<P>, source: &KeySource) -> Option<KnownKeys> {
    let Edge { isolate, ports } = edge;
    let keys = isolate.config().sealing_keys.as_ref()?;
    let name = record_name(source);
    let Ok(sealed) = ports.read(&name).await else {
        report::cache_failed(&**ports, "read");
        return None;
    };
    let Ok(record) = open::<KeysRecord>(&sealed?, &name, keys) else {
        report::unopened_record(&**ports, &name);
        return None;
    };
    let keys = Rc::new(KeySet::parse(record.keys.as_bytes())?);
    Some(KnownKeys { keys, fetched_at: record.fetched_at })
}

/// Copies keys into the cache in the background.
fn cache<P: EdgePorts>(edge: &Edge<P>, source: &KeySource, keys: &KeySet, now: UnixTime) {
    let Some(sealing_keys) = &edge.config().sealing_keys else { return };
    let name = record_name(source);
    let record = KeysRecord { fetched_at: now, keys: keys.to_text() };
    let nonce = Nonce(edge.ports.bytes());
    let Ok(sealed) = seal(&record, &name, sealing_keys, &nonce) else { return };
    edge.in_background(|Edge { ports, .. }| async move {
        if ports.write(&name, &sealed, now + USABLE).await.is_err() {
            report::cache_failed(&*ports, "write");
        }
    });
}

fn record_name(source: &KeySource) -> String {
    let (kind, address) = match source {
        KeySource::Issuer(issuer) => ("issuer", issuer),
        KeySource::Document(url) => ("document", url),
    };
    format!("issuer-keys/{}", Fingerprint::of(&[kind, address]).to_hex())
}

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod tests {
    use super::*;

    #[test]
    fn finds_the_metadata_of_issuers_with_and_without_a_path() {
        for issuer in ["https://a.example", "https://a.example/"] {
            assert_eq!(openid_metadata(issuer), "https://a.example/.well-known/openid-configuration");
            let oauth = "https://a.example/.well-known/oauth-authorization-server";
            assert_eq!(oauth_metadata(issuer).as_deref(), Some(oauth));
        }
        let oauth = "https://a.example:1/.well-known/oauth-authorization-server/t/1";
        assert_eq!(oauth_metadata("https://a.example:1/t/1/").as_deref(), Some(oauth));
        assert_eq!(
            openid_metadata("https://a.example/t/1"),
            "https://a.example/t/1/.well-known/openid-configuration"
        );
    }
}
