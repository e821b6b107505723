//! Reading the grant `jwt_bearer`: its assertion is signed with the connection's key.

use std::rc::Rc;
use std::time::Duration;

use serde_json::{Map, Value};

use super::endpoint::read_endpoint;
use super::limits::ASSERTION_LIFETIME;
use super::reader::Reader;
use super::secrets::Secrets;
use super::signing_key::{self, ASSERTION, SERVICE_ACCOUNT, ServiceAccount};
use super::{ClientAuthentication, Grant, SigningKey, syntax};

/// What a connection's assertions say, and the key that signs them (RFC 7523 §3).
pub struct Assertion {
    /// The claims, but for those of time and `jti`.
    pub claims: Map<String, Value>,
    /// How long an assertion is valid.
    pub lifetime: Duration,
    /// Whether each assertion has an id: `jti`.
    pub has_id: bool,
    /// The key.
    pub key: Rc<SigningKey>,
}

const FIELDS: &[&str] = &["issuer", "subject", "audience", "lifetime", "jti", "claims"];

/// The claims that the broker sets itself.
const OWN_CLAIMS: &[&str] = &["iss", "sub", "aud", "iat", "exp", "jti"];

/// Reads the grant (RFC 7523 §2.1). Its client authenticates by nothing else, unless a field says so;
/// the file of a service account has the token endpoint and the issuer, unless fields have them.
pub(super) fn read(
    reader: &mut Reader<'_, '_>,
    secrets: &Secrets<'_>,
    parts: &[(&str, String)],
    is_known: bool,
) -> Option<Grant> {
    let account = secrets.peek(SERVICE_ACCOUNT).and_then(|file| ServiceAccount::parse(file.expose()).ok());
    // Without the file it is not known what is missing.
    let is_lost = account.is_none() && signing_key::wants_account(reader, secrets);
    let mut defaults = reader.defaults().cloned().unwrap_or_default();
    let token_url = account.as_ref().and_then(|account| account.token_url.as_ref());
    let presets = [
        ("client_auth", Some("none".into())),
        (ASSERTION, Some(Map::new().into())),
        ("token_url", token_url.map(|url| url.as_str().into())),
    ];
    for (name, value) in presets {
        let value: Option<Value> = value.filter(|_| !defaults.contains_key(name));
        defaults.extend(value.map(|value| (name.to_owned(), value)));
    }
    let reader = &mut reader.with_defaults(&defaults);
    let endpoint = read_endpoint(reader, secrets, parts, is_known && !is_lost);
    // The key may prove the client as well, and was read then.
    let signs_client = reader.value("client_auth").is_some_and(|method| method == "private_key_jwt");
    let key = match endpoint.as_ref().map(|endpoint| &endpoint.client) {
        Some(ClientAuthentication::PrivateKeyJwt { key, .. }) => Some(Rc::clone(key)),
        _ if signs_client && is_known && !is_lost => None,
        _ => signing_key::read(reader, secrets),
    };
    let issuer = account.map(|account| account.issuer);
    let claims = read_claims(&mut reader.table(ASSERTION)?, issuer, is_lost);
    let (endpoint, key, mut claims) = (endpoint?, key?, claims?);
    claims.set.entry("aud").or_insert_with(|| endpoint.url.as_str().into());
    let AssertionClaims { set, lifetime, has_id } = claims;
    Some(Grant::JwtBearer { endpoint, assertion: Assertion { claims: set, lifetime, has_id, key } })
}

struct AssertionClaims {
    set: Map<String, Value>,
    lifetime: Duration,
    has_id: bool,
}

/// Reads the table `assertion`, whose issuer may be that of a service account. Where that `is_lost`,
/// nothing is missing here.
fn read_claims(table: &mut Reader<'_, '_>, issuer: Option<String>, is_lost: bool) -> Option<AssertionClaims> {
    const ISSUER: &str = "is missing: write who signs the assertion, or set the secret that ends in \
        _SERVICE_ACCOUNT";
    const SUBJECT: &str = "is missing: write whose token it is, or an empty text for no such claim";
    let before = table.count();
    table.only(FIELDS);
    let mut set: Map<String, Value> = Map::new();
    if let Some(mut own) = table.table("claims") {
        for name in own.names() {
            if OWN_CLAIMS.contains(&name) {
                own.report(name, "is a claim that the broker sets itself");
            }
            set.extend(own.value(name).map(|value| (name.to_owned(), value.clone())));
        }
    }
    if issuer.is_none() && !is_lost {
        for (name, message) in [("issuer", ISSUER), ("subject", SUBJECT)] {
            if !table.has(name) {
                table.report(name, message);
            }
        }
    }
    let issuer = table.parse("issuer", &syntax::copied).or(issuer);
    // An empty text stands for none.
    let has_subject = table.value("subject").is_some_and(|subject| subject != "");
    let subject = if has_subject { table.parse("subject", &syntax::copied) } else { None };
    let audience = table.parse("audience", &syntax::copied);
    let lifetime = Duration::from_secs(table.number("lifetime", &ASSERTION_LIFETIME));
    let has_id = table.flag("jti");
    for (name, value) in [("iss", issuer), ("sub", subject), ("aud", audience)] {
        set.extend(value.map(|value| (name.to_owned(), value.into())));
    }
    (table.count() == before).then_some(AssertionClaims { set, lifetime, has_id })
}
