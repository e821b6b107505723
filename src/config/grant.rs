//! Reading the grant of a connection.

use super::endpoint::read_endpoint;
use super::kinds::GrantKind;
use super::provider_address::read_address;
use super::reader::Reader;
use super::secrets::Secrets;
use super::signing_key::ASSERTION;
use super::{Grant, additions, authorization, exchange, jwt_bearer, login};
use crate::http::is_field_value;
use crate::secret::Secret;

/// The fields of a connection that configure token requests.
pub(super) const FIELDS: &[&str] = &[
    "token_url",
    "body",
    "client_auth",
    "basic_encoding",
    "client_id",
    "audience",
    "scope",
    "resource",
    "params",
    "default_expires_in",
    "expiry_skew",
    "token_timeout_ms",
    ASSERTION,
    "assertion_audience",
    "algorithm",
    "key_id",
    login::LOGIN,
    exchange::SUBJECT_TOKEN_TYPE,
];

const GRANTS: &[(&str, GrantKind)] = &[
    ("static", GrantKind::Static),
    ("basic", GrantKind::Basic),
    ("password", GrantKind::Password),
    ("client_credentials", GrantKind::ClientCredentials),
    ("refresh_token", GrantKind::RefreshToken),
    ("jwt_bearer", GrantKind::JwtBearer),
    (login::LOGIN, GrantKind::Login),
    (exchange::TOKEN_EXCHANGE, GrantKind::TokenExchange),
    (authorization::AUTHORIZATION_CODE, GrantKind::AuthorizationCode),
];

/// Reads the kind of a connection's grant; `None` where it is wrong or missing. A missing one is no
/// problem of its own unless the provider `is_known`.
pub(super) fn read_kind(reader: &mut Reader<'_, '_>, is_known: bool) -> Option<GrantKind> {
    const MESSAGE: &str = "must be static, basic, password, client_credentials, refresh_token, jwt_bearer, login, token_exchange or authorization_code";
    if is_known && !reader.has("grant") {
        reader.report("grant", MESSAGE);
    }
    reader.choice("grant", GRANTS, MESSAGE)
}

/// Reads the grant of a connection, whose `parts` the provider's token endpoint may have. Without a
/// kind, or where the provider is not known, only the form of each field is checked. `for_people`
/// says that the credentials are those of each person; `None` says that this is unknown. The
/// connection is called `id`.
pub(super) fn read(
    reader: &mut Reader<'_, '_>,
    secrets: &Secrets<'_>,
    kind: Option<GrantKind>,
    parts: &[(&str, String)],
    is_known: bool,
    for_people: Option<bool>,
    id: &str,
) -> Option<Grant> {
    if is_known && kind.is_some_and(|kind| kind != GrantKind::AuthorizationCode) {
        authorization::refuse_fields(reader);
    }
    match kind {
        Some(GrantKind::Password) if for_people != Some(false) => {
            let endpoint = read_endpoint(reader, secrets, parts, is_known)?;
            for_people.map(|_| Grant::SignIn { endpoint })
        }
        Some(GrantKind::Static) => read_static(reader, secrets),
        Some(GrantKind::Basic) => read_basic(reader, secrets),
        Some(GrantKind::Password) => {
            let endpoint = read_endpoint(reader, secrets, parts, is_known);
            let username = secrets.required("USERNAME", reader);
            let password = secrets.password("PASSWORD", reader);
            Some(Grant::Password { endpoint: endpoint?, username: username?, password: password? })
        }
        Some(GrantKind::ClientCredentials) => {
            let endpoint = read_endpoint(reader, secrets, parts, is_known)?;
            Some(Grant::ClientCredentials { endpoint })
        }
        Some(GrantKind::RefreshToken) => {
            let endpoint = read_endpoint(reader, secrets, parts, is_known);
            let refresh_token = secrets.token("REFRESH_TOKEN", None, reader);
            Some(Grant::RefreshToken { endpoint: endpoint?, refresh_token: refresh_token? })
        }
        Some(GrantKind::JwtBearer) => jwt_bearer::read(reader, secrets, parts, is_known),
        Some(GrantKind::Login) => {
            let url = read_address(reader, "token_url", parts);
            login::read(reader, secrets, url, is_known)
        }
        Some(GrantKind::TokenExchange) => {
            let endpoint = read_endpoint(reader, secrets, parts, is_known);
            exchange::read(reader, endpoint)
        }
        Some(GrantKind::AuthorizationCode) => {
            authorization::read(reader, secrets, parts, is_known, for_people, id)
        }
        None => {
            read_endpoint(reader, secrets, parts, false);
            None
        }
    }
}

/// Reports the fields of token requests, of which there are none.
fn refuse_token_request(reader: &mut Reader<'_, '_>) {
    for field in FIELDS {
        if reader.has_own(field) {
            reader.report(field, "has no meaning with a grant that makes no token request");
        }
    }
}

#[inline(never)]
fn read_basic(reader: &mut Reader<'_, '_>, secrets: &Secrets<'_>) -> Option<Grant> {
    refuse_token_request(reader);
    secrets.basic(reader).map(|token| Grant::Basic { token })
}

#[inline(never)]
fn read_static(reader: &mut Reader<'_, '_>, secrets: &Secrets<'_>) -> Option<Grant> {
    refuse_token_request(reader);
    if !additions::places_any_token(reader) {
        // The secrets that are added to each call are its credentials, if any.
        return Some(Grant::Static { token: Secret::new(String::new()) });
    }
    let token = match reader.value("scheme").and_then(serde_json::Value::as_str) {
        // The secret is the whole field value, including a scheme.
        Some("") => secrets.required("TOKEN", reader)?,
        scheme => secrets.token("TOKEN", scheme, reader)?,
    };
    if !is_field_value(token.expose()) {
        reader.report_variable(secrets.variable("TOKEN"), "must be visible ASCII without spaces around it");
        return None;
    }
    Some(Grant::Static { token })
}
