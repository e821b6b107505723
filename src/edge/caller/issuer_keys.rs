//! The keys of the issuers of callers' tokens: from memory, else the cache,
//! else the issuer.
//!
//! They count as fresh for [`FRESH`]. After that they are fetched again; while
//! the issuer cannot be reached the old ones serve, up to [`USABLE`] after they
//! were fetched. A key that is not known has them fetched again, too, at most
//! once in [`PAUSE`]: otherwise any stranger could make the broker ask.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::config::KeySource;
use crate::edge::Broker;
use crate::http::check_document_url;
use crate::jose::KeySet;
use crate::json;
use crate::ports::{Document, Ports, report};
use crate::secret::Fingerprint;
use crate::time::UnixTime;
use crate::token::{Nonce, open, seal};

/// How long keys are fresh.
const FRESH: Duration = Duration::from_mins(10);

/// How long keys serve while the issuer cannot be reached.
const USABLE: Duration = Duration::from_hours(24);

/// How long an issuer whose keys are known is left alone after an attempt.
const PAUSE: Duration = Duration::from_mins(1);

/// The same where no keys are known.
const SHORT_PAUSE: Duration = Duration::from_secs(2);

/// After how long a fetch by another request counts as given up.
const LONGEST_FETCH: Duration = Duration::from_secs(15);

/// How often a request looks whether another one's fetch is done.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// The key sets that an isolate knows, by where they come from.
#[derive(Debug, Default)]
pub(in crate::edge) struct IssuerKeys(RefCell<Vec<(KeySource, Entry)>>);

#[derive(Clone, Debug, Default)]
struct Entry {
    known: Option<Known>,
    looked_in_cache: bool,
    /// When they were last fetched because a key was not among those known.
    searched_at: Option<UnixTime>,
    /// When the issuer last gave none.
    failed_at: Option<UnixTime>,
    /// Since when a request is fetching.
    fetching_since: Option<UnixTime>,
}

#[derive(Clone, Debug)]
struct Known {
    keys: Rc<KeySet>,
    fetched_at: UnixTime,
}

/// What to do about an issuer's keys.
enum Step {
    Use(Option<Rc<KeySet>>),
    /// Another request fetches them.
    Wait,
    LookInCache,
    Fetch,
}

impl Entry {
    fn step(&self, kid: Option<&str>, now: UnixTime) -> Step {
        let (suits, fresh) = (self.suits(kid, now), self.is_fresh(now));
        if suits && fresh {
            return Step::Use(self.usable(now));
        }
        if self.fetching_since.is_some_and(|since| now < since + LONGEST_FETCH) {
            return if suits { Step::Use(self.usable(now)) } else { Step::Wait };
        }
        let knows = self.usable(now).is_some();
        if !knows && !self.looked_in_cache {
            return Step::LookInCache;
        }
        let lately = |at: Option<UnixTime>, pause| at.is_some_and(|at| now < at + pause);
        let failed_lately = lately(self.failed_at, if knows { PAUSE } else { SHORT_PAUSE });
        let searched_lately = fresh && lately(self.searched_at, PAUSE);
        if failed_lately || searched_lately { Step::Use(self.usable(now)) } else { Step::Fetch }
    }

    fn usable(&self, now: UnixTime) -> Option<Rc<KeySet>> {
        let known = self.known.as_ref().filter(|known| now < known.fetched_at + USABLE)?;
        Some(Rc::clone(&known.keys))
    }

    fn is_fresh(&self, now: UnixTime) -> bool {
        self.known.as_ref().is_some_and(|known| now < known.fetched_at + FRESH)
    }

    fn suits(&self, kid: Option<&str>, now: UnixTime) -> bool {
        self.usable(now).is_some_and(|keys| kid.is_none_or(|kid| keys.has_kid(kid)))
    }

    fn begin_fetch(&mut self, kid: Option<&str>, now: UnixTime) {
        self.fetching_since = Some(now);
        if self.is_fresh(now) && !self.suits(kid, now) {
            self.searched_at = Some(now);
        }
    }

    /// Takes over what a fetch that began at `began_at` brought; tells what can
    /// be used now.
    fn end_fetch(
        &mut self,
        fetched: Option<Rc<KeySet>>,
        began_at: UnixTime,
        now: UnixTime,
    ) -> Option<Rc<KeySet>> {
        self.fetching_since = None;
        match fetched {
            Some(keys) => self.known = Some(Known { keys, fetched_at: began_at }),
            None => self.failed_at = Some(now),
        }
        self.usable(now)
    }
}

impl IssuerKeys {
    fn change<T>(&self, source: &KeySource, change: impl FnOnce(&mut Entry) -> T) -> T {
        let mut entries = self.0.borrow_mut();
        if let Some((_, entry)) = entries.iter_mut().find(|(known, _)| known == source) {
            return change(entry);
        }
        let mut entry = Entry::default();
        let changed = change(&mut entry);
        entries.push((source.clone(), entry));
        changed
    }
}

/// The keys of the issuer at `source`, `kid` among them where it has that key.
/// None where no keys can be had; that is logged as about `caller`.
pub(in crate::edge) async fn obtain<P: Ports>(
    broker: &Rc<Broker>,
    ports: &Rc<P>,
    source: &KeySource,
    kid: Option<&str>,
    caller: &str,
) -> Option<Rc<KeySet>> {
    loop {
        let now = ports.now();
        match broker.issuer_keys.change(source, |entry| entry.step(kid, now)) {
            Step::Use(keys) => return keys,
            Step::Wait => ports.pause(LOOK_AGAIN).await,
            Step::LookInCache => {
                broker.issuer_keys.change(source, |entry| entry.fetching_since = Some(now));
                let cached = cached(broker, ports, source).await;
                broker.issuer_keys.change(source, |entry| {
                    (entry.looked_in_cache, entry.fetching_since) = (true, None);
                    entry.known = cached;
                });
            }
            Step::Fetch => {
                broker.issuer_keys.change(source, |entry| entry.begin_fetch(kid, now));
                let fetched = fetch(&**ports, source).await.map(Rc::new);
                match &fetched {
                    Some(keys) => cache(broker, ports, source, keys, now),
                    None => report::issuer_unreachable(&**ports, caller),
                }
                let ended_at = ports.now();
                return broker.issuer_keys.change(source, |entry| entry.end_fetch(fetched, now, ended_at));
            }
        }
    }
}

/// Fetches the keys from the issuer.
async fn fetch<P: Ports>(ports: &P, source: &KeySource) -> Option<KeySet> {
    let url = match source {
        KeySource::Document(url) => url.clone(),
        KeySource::Issuer(issuer) => discover(ports, issuer).await?,
    };
    let document = ports.fetch_document(&url).await.ok()?;
    (document.status == 200).then_some(())?;
    // An issuer without keys is out of order: the old ones are better than none.
    KeySet::parse(&document.body).filter(|keys| !keys.is_empty())
}

/// Where the issuer's metadata says that its keys are (RFC 8414 §3, `OpenID`
/// Connect Discovery §4). Metadata of another issuer counts for nothing.
async fn discover<P: Ports>(ports: &P, issuer: &str) -> Option<String> {
    let mut document = ports.fetch_document(&openid_metadata(issuer)).await.ok()?;
    if document.status == 404 {
        document = ports.fetch_document(&oauth_metadata(issuer)?).await.ok()?;
    }
    let Document { status: 200, body } = document else { return None };
    let metadata: Value = json::parse(json::without_mark(&body)).ok()?;
    let text = |name| metadata.get(name).and_then(Value::as_str);
    text("issuer").filter(|named| *named == issuer)?;
    text("jwks_uri").filter(|url| check_document_url(url).is_ok()).map(str::to_owned)
}

fn openid_metadata(issuer: &str) -> String {
    format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'))
}

/// The well-known part stands between the host and the issuer's path
/// (RFC 8414 §3.1).
fn oauth_metadata(issuer: &str) -> Option<String> {
    let (scheme, rest) = issuer.split_once("://")?;
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let path = path.trim_end_matches('/');
    let slash = if path.is_empty() { "" } else { "/" };
    Some(format!("{scheme}://{host}/.well-known/oauth-authorization-server{slash}{path}"))
}

/// Keys as they are cached: under seal, so that nobody can slip in their own.
#[derive(Serialize, Deserialize)]
struct Record {
    fetched_at: UnixTime,
    keys: String,
}

async fn cached<P: Ports>(broker: &Broker, ports: &Rc<P>, source: &KeySource) -> Option<Known> {
    let keys = broker.config.sealing_keys.as_ref()?;
    let name = record_name(source);
    let Ok(sealed) = ports.read(&name).await else {
        report::cache_failed(&**ports, "read");
        return None;
    };
    let Ok(record) = open::<Record>(&sealed?, &name, keys) else {
        report::unopened_record(&**ports, &name);
        return None;
    };
    let keys = Rc::new(KeySet::parse(record.keys.as_bytes())?);
    Some(Known { keys, fetched_at: record.fetched_at })
}

/// Copies keys into the cache, behind the answer.
fn cache<P: Ports>(broker: &Broker, ports: &Rc<P>, source: &KeySource, keys: &KeySet, now: UnixTime) {
    let Some(sealing_keys) = &broker.config.sealing_keys else { return };
    let name = record_name(source);
    let record = Record { fetched_at: now, keys: keys.to_text() };
    let nonce = Nonce(ports.bytes());
    let Ok(sealed) = seal(&record, &name, sealing_keys, &nonce) else { return };
    let behind = Rc::clone(ports);
    ports.spawn(Box::pin(async move {
        if behind.write(&name, &sealed, now + USABLE).await.is_err() {
            report::cache_failed(&*behind, "write");
        }
    }));
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
