//! What an issuer says of itself (RFC 8414 §2, `OpenID` Connect Discovery 1.0 §3).

use std::time::Duration;

use serde_json::{Map, Value};

use super::document::{address, discover};
use crate::jose::Algorithm;
use crate::json::record;
use crate::ports::{Cache, Host, Http, report};
use crate::secret::Fingerprint;
use crate::time::UnixTime;
use crate::token::{Nonce, SealingKeys, open, seal};

/// How long metadata is fresh.
const FRESH: Duration = Duration::from_hours(1);

/// How long stale metadata serves while the issuer fails.
const USABLE: Duration = Duration::from_hours(24);

/// The metadata of an issuer. Each address is `https`, or `http` on a loopback host.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Metadata {
    /// The issuer, exactly as it was asked for.
    pub issuer: String,
    /// Where people consent. It may have a query.
    pub authorization_endpoint: Option<String>,
    /// The token endpoint.
    pub token_endpoint: Option<String>,
    /// The issuer's keys.
    pub jwks_uri: Option<String>,
    /// Where tokens are revoked (RFC 7009).
    pub revocation_endpoint: Option<String>,
    /// Where people sign out (`OpenID` Connect RP-Initiated Logout 1.0 §2.1).
    pub end_session_endpoint: Option<String>,
    /// Where authorization requests are pushed (RFC 9126).
    pub pushed_authorization_request_endpoint: Option<String>,
    /// Whether authorization responses name the issuer (RFC 9207 §3).
    pub has_iss: bool,
    /// The algorithms of ID tokens that the broker knows; RS256 where the issuer names none.
    pub id_token_algorithms: Vec<Algorithm>,
}

record!(Metadata {
    issuer,
    authorization_endpoint,
    token_endpoint,
    jwks_uri,
    revocation_endpoint,
    end_session_endpoint,
    pushed_authorization_request_endpoint,
    has_iss,
    id_token_algorithms,
});

/// The cached record of an issuer's metadata.
struct MetadataRecord {
    fetched_at: UnixTime,
    metadata: Metadata,
}

record!(MetadataRecord { fetched_at, metadata });

/// The metadata of `issuer`: that in the cache for an hour; else what the issuer says now; else, if it
/// fails, the cached one for a day.
pub async fn metadata<P: Host + Cache + Http>(
    ports: &P,
    keys: &SealingKeys,
    issuer: &str,
) -> Option<Metadata> {
    let name = format!("issuer-metadata/{}", Fingerprint::of(&[issuer]).to_hex());
    let now = ports.now();
    let known = cached(ports, keys, &name).await;
    let known = known.filter(|known| known.metadata.issuer == issuer && now < known.fetched_at + USABLE);
    if known.as_ref().is_some_and(|known| now < known.fetched_at + FRESH) {
        return known.map(|known| known.metadata);
    }
    let fetched = discover(ports, issuer).await.and_then(|members| Metadata::read(issuer, &members));
    let Some(metadata) = fetched else { return known.map(|known| known.metadata) };
    let record = MetadataRecord { fetched_at: now, metadata };
    if let Ok(sealed) = seal(&record, &name, keys, &Nonce(ports.bytes()))
        && ports.write(&name, &sealed, now + USABLE).await.is_err()
    {
        report::cache_failed(ports, "write");
    }
    Some(record.metadata)
}

async fn cached<P: Host + Cache>(ports: &P, keys: &SealingKeys, name: &str) -> Option<MetadataRecord> {
    let Ok(sealed) = ports.read(name).await else {
        report::cache_failed(ports, "read");
        return None;
    };
    let opened = open(&sealed?, name, keys);
    if opened.is_err() {
        report::unopened_record(ports, name);
    }
    opened.ok()
}

impl Metadata {
    /// Reads the members of metadata whose `issuer` was compared. Metadata with a member of a wrong
    /// type, or an unsafe address, counts for nothing.
    fn read(issuer: &str, members: &Map<String, Value>) -> Option<Self> {
        let is_there = |name: &str| members.get(name).is_some_and(|value| !value.is_null());
        let endpoint = |name| if is_there(name) { address(members, name).map(Some) } else { Some(None) };
        Some(Self {
            issuer: issuer.to_owned(),
            authorization_endpoint: endpoint("authorization_endpoint")?,
            token_endpoint: endpoint("token_endpoint")?,
            jwks_uri: endpoint("jwks_uri")?,
            revocation_endpoint: endpoint("revocation_endpoint")?,
            end_session_endpoint: endpoint("end_session_endpoint")?,
            pushed_authorization_request_endpoint: endpoint("pushed_authorization_request_endpoint")?,
            has_iss: is_there(HAS_ISS) && members.get(HAS_ISS)?.as_bool()?,
            id_token_algorithms: if is_there(ALGORITHMS) {
                algorithms(members.get(ALGORITHMS)?)?
            } else {
                vec![Algorithm::RS256]
            },
        })
    }
}

const HAS_ISS: &str = "authorization_response_iss_parameter_supported";
const ALGORITHMS: &str = "id_token_signing_alg_values_supported";

/// The algorithms in a list that the broker knows: neither `none` nor those of a shared secret.
fn algorithms(list: &Value) -> Option<Vec<Algorithm>> {
    let names: Option<Vec<&str>> = list.as_array()?.iter().map(Value::as_str).collect();
    Some(names?.into_iter().filter_map(Algorithm::parse).collect())
}
