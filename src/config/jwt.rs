//! Reading callers that authenticate by a token of an external issuer.

use serde_json::Value;

use super::reader::Reader;
use super::{Caller, Callers, Configured, headers, syntax};
use crate::http::HeaderName;
use crate::jose::{Algorithm, Expectation};

/// A caller that is authenticated by a JSON Web Token (RFC 7519).
#[derive(Debug)]
pub struct JwtCaller {
    /// The source of the issuer's keys.
    pub keys: KeySource,
    /// The accepted signature algorithms.
    pub algorithms: Vec<Algorithm>,
    /// The header field that carries the token: a Bearer credential in
    /// `Authorization`, the bare token in any other.
    pub header: HeaderName,
    /// The claims that the token must have.
    pub expectation: Expectation,
}

/// The source of an issuer's keys.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum KeySource {
    /// The address in the issuer's metadata (RFC 8414).
    Issuer(String),
    /// The JWK set at this address (RFC 7517 §5).
    Document(String),
}

pub(super) const JWT_FIELDS: &[&str] =
    &["kind", "issuer", "audience", "jwks_url", "algorithms", "claims", "header"];

pub(super) const ACCESS_FIELDS: &[&str] = &["kind", "team_domain", "audience"];

const DEFAULT_ALGORITHMS: [Algorithm; 2] = [Algorithm::RS256, Algorithm::ES256];

/// Reads a caller of kind `jwt`.
#[inline(never)]
pub(super) fn read(reader: &mut Reader<'_, '_>) -> Option<JwtCaller> {
    let audience = read_audience(reader);
    let jwks_url = reader.parse("jwks_url", &syntax::document_url);
    // An issuer that is not an address needs `jwks_url`.
    let parse_issuer = if reader.has("jwks_url") { syntax::filled } else { syntax::issuer };
    let issuer = read_required(reader, "issuer", "is missing: write the issuer's address", parse_issuer);
    let algorithms = read_algorithms(reader);
    let claims = read_claims(reader);
    let header = if reader.has("header") {
        reader.parse("header", &headers::credential_field)?
    } else {
        HeaderName::parse("authorization")?
    };
    let issuer = issuer?;
    let keys = jwks_url.map_or_else(|| KeySource::Issuer(issuer.clone()), KeySource::Document);
    Some(JwtCaller { keys, algorithms, header, expectation: Expectation { issuer, audience, claims } })
}

/// Reads a caller of kind `cloudflare-access`: a `jwt` caller preset for Cloudflare Access.
#[inline(never)]
pub(super) fn read_access(reader: &mut Reader<'_, '_>) -> Option<JwtCaller> {
    let missing = "is missing: write the team's domain, as acme.cloudflareaccess.com";
    let issuer = read_required(reader, "team_domain", missing, syntax::team_domain);
    let audience = read_audience(reader);
    let issuer = issuer?;
    Some(JwtCaller {
        keys: KeySource::Document(format!("{issuer}/cdn-cgi/access/certs")),
        algorithms: vec![Algorithm::RS256],
        header: HeaderName::parse("cf-access-jwt-assertion")?,
        expectation: Expectation { issuer, audience, claims: Vec::new() },
    })
}

/// The distinct header fields that carry callers' tokens.
pub(super) fn fields(callers: &Callers) -> Vec<HeaderName> {
    let mut fields = Vec::new();
    for caller in callers.values() {
        if let Configured::Usable(Caller::Jwt(caller)) = caller
            && !fields.contains(&caller.header)
        {
            fields.push(caller.header.clone());
        }
    }
    fields
}

fn read_required<T>(
    reader: &mut Reader<'_, '_>,
    name: &str,
    missing: &'static str,
    parse: fn(&str) -> Result<T, &'static str>,
) -> Option<T> {
    if !reader.has(name) {
        reader.report(name, missing);
    }
    reader.parse(name, &parse)
}

/// The accepted audiences.
fn read_audience(reader: &mut Reader<'_, '_>) -> Vec<String> {
    const MESSAGE: &str = "must be the audience of the caller's tokens, or an array of several";
    match reader.value("audience") {
        Some(Value::Array(_)) => reader.list("audience", true, MESSAGE, &syntax::filled),
        Some(Value::String(text)) if !text.is_empty() => vec![text.clone()],
        Some(_) | None => {
            reader.report("audience", MESSAGE);
            Vec::new()
        }
    }
}

fn read_algorithms(reader: &mut Reader<'_, '_>) -> Vec<Algorithm> {
    const MESSAGE: &str = "must be an array of at least one signature algorithm";
    const NAME: &str = "must be RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512 or EdDSA";
    if !reader.has("algorithms") {
        return DEFAULT_ALGORITHMS.to_vec();
    }
    reader.list("algorithms", true, MESSAGE, &|name| Algorithm::parse(name).ok_or(NAME))
}

/// The required claims, each with its accepted values.
pub(super) fn read_claims(reader: &mut Reader<'_, '_>) -> Vec<(String, Vec<Value>)> {
    const MESSAGE: &str = "must be a text, a number, true or false, or an array of several";
    let Some(mut table) = reader.table("claims") else { return Vec::new() };
    let mut claims = Vec::new();
    for name in table.names() {
        let values = match table.value(name) {
            Some(Value::Array(values)) => values.clone(),
            Some(value) => vec![value.clone()],
            None => Vec::new(),
        };
        let is_plain = |value: &Value| value.is_string() || value.is_number() || value.is_boolean();
        if values.is_empty() || !values.iter().all(is_plain) {
            table.report(name, MESSAGE);
        } else {
            claims.push((name.to_owned(), values));
        }
    }
    claims
}
