//! The authorization code grant (RFC 6749 §4.1): where people consent, and what is asked for.

use super::endpoint::read_endpoint;
use super::kinds::GrantKind;
use super::provider_address::{
    AUTHORIZE_URL, BASE_URL, ISSUER, REVOCATION_URL, filled_address, read_address,
};
use super::reader::Reader;
use super::secrets::{Secrets, is_id};
use super::{Connection, Grant, TokenEndpoint, syntax};
use crate::http::EndpointUrl;

/// What the authorization code grant needs besides its token endpoint.
#[derive(Debug)]
pub struct Authorization {
    /// The issuer, compared exactly; its metadata has what is not configured (RFC 8414, `OpenID`
    /// Connect Discovery 1.0).
    pub issuer: Option<String>,
    /// The authorization endpoint, if configured.
    pub authorize_url: Option<EndpointUrl>,
    /// Whether the token endpoint is the one in the metadata. The configured address is the issuer's
    /// then.
    pub discovers_token_url: bool,
    /// The revocation endpoint (RFC 7009), if configured.
    pub revocation_url: Option<EndpointUrl>,
    /// Further parameters of the authorization request, in the order of their names.
    pub params: Vec<(String, String)>,
    /// The last segment of the redirect address.
    pub callback: String,
    /// The claims of a person that their page may read.
    pub person_claims: Vec<String>,
    /// Whether each person consents for themselves.
    pub for_people: bool,
}

/// The grant's name.
pub(super) const AUTHORIZATION_CODE: &str = "authorization_code";

/// The field with the last segment of the redirect address.
pub(super) const CALLBACK: &str = "callback";

const AUTHORIZE_PARAMS: &str = "authorize_params";
const PERSON_CLAIMS: &str = "person_claims";

/// The fields of a connection that only this grant has.
pub(super) const FIELDS: &[&str] =
    &[ISSUER, AUTHORIZE_URL, AUTHORIZE_PARAMS, REVOCATION_URL, CALLBACK, PERSON_CLAIMS];

/// The parameters of an authorization request that the broker sets itself, and those that would tell a
/// secret to browsers or ask for what the broker cannot do (RFC 6749 §4.1.1, RFC 7636 §4.3, RFC 9101
/// §5, RFC 9126 §4, RFC 9449 §10).
const OWN_PARAMS: [&str; 14] = [
    "client_assertion",
    "client_assertion_type",
    "client_id",
    "client_secret",
    "code_challenge",
    "code_challenge_method",
    "dpop_jkt",
    "nonce",
    "redirect_uri",
    "request",
    "request_uri",
    "response_type",
    "scope",
    "state",
];

/// The parameters of a token request that the broker sets itself with this grant alone (RFC 6749
/// §4.1.3, RFC 7636 §4.5).
const OWN_TOKEN_PARAMS: [&str; 3] = ["code", "code_verifier", "redirect_uri"];

const OWN_PARAM: &str = "is a parameter that the broker sets itself";

/// The names of the broker's own below `/auth/`.
const RESERVED: [&str; 3] = [CALLBACK, "logout", "session"];

/// Why no connection can have one of these names.
pub(super) const RESERVED_NAME: &str =
    "must have another name: callback, logout and session are addresses of the broker's own";

/// Why connections cannot have the same `callback`: an answer of one provider would be taken for
/// another's (RFC 9700 §4.4.2).
const OTHER_ENDPOINTS: &str = "must be another one, or all connections that have it must have the same issuer, \
     authorize_url and token_url: an answer of one provider would be taken for another's";

/// The same, where only the clients differ.
pub const OTHER_CLIENT: &str =
    "must be another one, or all connections that have it must have the same client_id and client_auth";

/// Whether `id` is a name of the broker's own below `/auth/`.
pub(super) fn is_reserved(id: &str) -> bool {
    RESERVED.contains(&id)
}

/// Reports the fields of this grant where the grant is another one.
pub(super) fn refuse_fields(reader: &mut Reader<'_, '_>) {
    for field in FIELDS.iter().filter(|field| reader.has_own(field)).collect::<Vec<_>>() {
        reader.report(field, "has no meaning unless grant is authorization_code");
    }
}

/// Whether people just sign in by the connection: there is no API to call.
pub(super) fn is_for_signing_in_only(
    reader: &Reader<'_, '_>,
    kind: Option<GrantKind>,
    for_people: Option<bool>,
) -> bool {
    let scope = reader.value("scope").and_then(serde_json::Value::as_str);
    kind == Some(GrantKind::AuthorizationCode)
        && for_people == Some(true)
        && !reader.has(BASE_URL)
        && !reader.has("rules")
        && has_openid(scope)
}

/// Whether `scope` asks for an ID token (`OpenID` Connect Core 1.0 §3.1.2.1).
pub(super) fn has_openid(scope: Option<&str>) -> bool {
    scope.is_some_and(|scope| scope.split(' ').any(|name| name == "openid"))
}

/// Reads the grant of the connection called `id`.
// Few connections have it: an isolate compiles only what it runs.
#[inline(never)]
pub(super) fn read(
    reader: &mut Reader<'_, '_>,
    secrets: &Secrets<'_>,
    parts: &[(&str, String)],
    is_known: bool,
    for_people: Option<bool>,
    id: &str,
) -> Option<Grant> {
    let issuer = read_issuer(reader, parts);
    let authorize_url = read_address(reader, AUTHORIZE_URL, parts);
    let revocation_url = read_address(reader, REVOCATION_URL, parts);
    let has_issuer = reader.has(ISSUER);
    if is_known && !has_issuer {
        if !reader.has(AUTHORIZE_URL) {
            let message =
                "is missing: write the address where people consent, or the issuer, whose metadata has it";
            reader.report(AUTHORIZE_URL, message);
        }
        if is_for_signing_in_only(reader, Some(GrantKind::AuthorizationCode), for_people) {
            let message = "is missing: people just sign in here, by ID tokens of the issuer; or write base_url and rules";
            reader.report(ISSUER, message);
        }
    }
    let discovers_token_url = has_issuer && !reader.has("token_url");
    let mut defaults = reader.defaults().cloned().unwrap_or_default();
    if discovers_token_url {
        // Until the metadata is read, the issuer is all that is known of its token endpoint.
        defaults.insert("token_url".to_owned(), issuer.clone().unwrap_or_default().into());
        if let Some(issuer) = &issuer {
            defaults.entry("assertion_audience").or_insert_with(|| issuer.as_str().into());
        }
    }
    let reader = &mut reader.with_defaults(&defaults);
    let endpoint = read_endpoint(reader, secrets, parts, is_known);
    let params = read_params(reader, endpoint.as_ref());
    for (name, _) in endpoint.iter().flat_map(|endpoint| &endpoint.params) {
        if OWN_TOKEN_PARAMS.contains(&name.as_str()) {
            reader.report(&format!("params.{name}"), OWN_PARAM);
        }
    }
    let callback = reader.parse(CALLBACK, &|text| {
        let fits = is_id(text) && !is_reserved(text);
        fits.then(|| text.to_owned()).ok_or(
            "must be 1 to 64 letters, digits, - and _, beginning with a letter or digit, \
             and not callback, logout or session",
        )
    });
    let has_person = has_issuer
        && for_people == Some(true)
        && has_openid(endpoint.as_ref().and_then(|endpoint| endpoint.scope.as_deref()));
    if endpoint.is_some() && !has_person && reader.has_own(PERSON_CLAIMS) {
        let message = "has no meaning unless subject is user, scope has openid, and there is an issuer";
        reader.report(PERSON_CLAIMS, message);
    }
    let person_claims =
        reader.list(PERSON_CLAIMS, false, "must be an array of names of claims", &syntax::filled);
    let authorization = Box::new(Authorization {
        issuer,
        authorize_url,
        discovers_token_url,
        revocation_url,
        params,
        callback: callback.unwrap_or_else(|| id.to_owned()),
        person_claims,
        for_people: for_people?,
    });
    Some(Grant::AuthorizationCode { endpoint: endpoint?, authorization })
}

/// The issuer, unchanged, since issuers are compared exactly (RFC 8414 §3.3, RFC 9207 §2.4).
fn read_issuer(reader: &mut Reader<'_, '_>, parts: &[(&str, String)]) -> Option<String> {
    if reader.has_own(ISSUER) {
        return reader.parse(ISSUER, &syntax::issuer);
    }
    filled_address(reader, ISSUER, parts).filter(|address| syntax::issuer(address).is_ok())
}

fn read_params(reader: &mut Reader<'_, '_>, endpoint: Option<&TokenEndpoint>) -> Vec<(String, String)> {
    let is_set = |name: &str| {
        endpoint.is_some_and(|endpoint| match name {
            "audience" => endpoint.audience.is_some(),
            "resource" => endpoint.resource.is_some(),
            _ => false,
        })
    };
    let Some(mut table) = reader.table(AUTHORIZE_PARAMS) else { return Vec::new() };
    let mut params = Vec::new();
    for name in table.names() {
        // Some servers read names in any case.
        let lower = name.to_ascii_lowercase();
        let message = match lower.as_str() {
            "" => "must have a name",
            own if OWN_PARAMS.contains(&own) => OWN_PARAM,
            own if is_set(own) => {
                "is a parameter that the broker sets itself, as the field of that name says"
            }
            "response_mode" if table.value(name).is_some_and(|mode| mode != "query") => {
                "must be query: the broker reads no other answer"
            }
            _ => {
                params.extend(table.text(name).map(|value| (name.to_owned(), value.to_owned())));
                continue;
            }
        };
        table.report(name, message);
    }
    params
}

/// The address that stands for an API where people just sign in, which is never called.
pub(super) fn own_address(grant: &Grant) -> Option<EndpointUrl> {
    let Grant::AuthorizationCode { authorization, .. } = grant else { return None };
    EndpointUrl::parse(authorization.issuer.as_deref()?).ok()
}

/// Why two connections cannot have the same `callback`, if they have the same and cannot.
pub(super) fn conflict(one: &Connection, other: &Connection) -> Option<&'static str> {
    let (callback, endpoints, client) = consent_of(one)?;
    let others = consent_of(other)?;
    if callback != others.0 {
        None
    } else if endpoints != others.1 {
        Some(OTHER_ENDPOINTS)
    } else {
        (client != others.2).then_some(OTHER_CLIENT)
    }
}

/// The callback of a connection, its endpoints, and its client with its method of authentication.
#[expect(clippy::type_complexity, reason = "compared at one place")]
fn consent_of(connection: &Connection) -> Option<(&str, [Option<&str>; 3], (&str, &str))> {
    let Grant::AuthorizationCode { endpoint, authorization } = &connection.grant else { return None };
    let endpoints = [
        authorization.issuer.as_deref(),
        authorization.authorize_url.as_ref().map(EndpointUrl::as_str),
        Some(endpoint.url.as_str()),
    ];
    Some((&authorization.callback, endpoints, endpoint.client.name()))
}

impl Grant {
    /// Whether an ID token comes with a consent, and is validated: it is asked for, and the keys of its
    /// issuer are known (`OpenID` Connect Core 1.0 §3.1.3.3).
    #[must_use]
    pub fn has_id_tokens(&self) -> bool {
        let Self::AuthorizationCode { endpoint, authorization } = self else { return false };
        authorization.issuer.is_some() && has_openid(endpoint.scope.as_deref())
    }
}
