//! Reading the grant of a connection.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::connection::read_address;
use super::kinds::{ClientMethod, GrantKind};
use super::limits::TOKEN_TIMEOUT_MS;
use super::provider::NEEDS;
use super::reader::Reader;
use super::secrets::Secrets;
use super::{BasicEncoding, BodyEncoding, ClientAuthentication, Grant, TokenEndpoint, exchange, syntax};
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
    exchange::SUBJECT_TOKEN_TYPE,
];

/// The parameters of a token request that the broker sets itself.
const OWN_PARAMS: &[&str] = &[
    "grant_type",
    "client_id",
    "client_secret",
    "username",
    "password",
    "refresh_token",
    "scope",
    "audience",
    "resource",
];

const GRANTS: &[(&str, GrantKind)] = &[
    ("static", GrantKind::Static),
    ("basic", GrantKind::Basic),
    ("password", GrantKind::Password),
    ("client_credentials", GrantKind::ClientCredentials),
    ("refresh_token", GrantKind::RefreshToken),
    (exchange::TOKEN_EXCHANGE, GrantKind::TokenExchange),
];

const ENCODINGS: &[(&str, BodyEncoding)] = &[("form", BodyEncoding::Form), ("json", BodyEncoding::Json)];

const CLIENT_METHODS: &[(&str, ClientMethod)] =
    &[("none", ClientMethod::None), ("post", ClientMethod::Post), ("basic", ClientMethod::Basic)];

const BASIC_ENCODINGS: &[(&str, BasicEncoding)] =
    &[("form", BasicEncoding::Form), ("none", BasicEncoding::None)];

/// Reads the kind of a connection's grant; `None` where it is wrong or missing. A missing one is no
/// problem of its own unless the provider `is_known`.
pub(super) fn read_kind(reader: &mut Reader<'_, '_>, is_known: bool) -> Option<GrantKind> {
    const MESSAGE: &str =
        "must be static, basic, password, client_credentials, refresh_token or token_exchange";
    if is_known && !reader.has("grant") {
        reader.report("grant", MESSAGE);
    }
    reader.choice("grant", GRANTS, MESSAGE)
}

/// Reads the grant of a connection, whose `parts` the provider's token endpoint may have. Without a
/// kind, or where the provider is not known, only the form of each field is checked. `for_people`
/// says that the credentials are those of each person; `None` says that this is unknown.
pub(super) fn read(
    reader: &mut Reader<'_, '_>,
    secrets: &Secrets<'_>,
    kind: Option<GrantKind>,
    parts: &[(&str, String)],
    is_known: bool,
    for_people: Option<bool>,
) -> Option<Grant> {
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
        Some(GrantKind::TokenExchange) => {
            let endpoint = read_endpoint(reader, secrets, parts, is_known);
            exchange::read(reader, endpoint)
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

/// Basic credentials in UTF-8 (RFC 7617 §2), whose user name has no colon.
fn read_basic(reader: &mut Reader<'_, '_>, secrets: &Secrets<'_>) -> Option<Grant> {
    refuse_token_request(reader);
    let username = secrets.possibly_empty("USERNAME", reader);
    let password = secrets.possibly_empty("PASSWORD", reader);
    let (username, password) = (username?, password?);
    for (name, text) in [("USERNAME", &username), ("PASSWORD", &password)] {
        let message = if text.expose().contains(char::is_control) {
            "must have no control characters"
        } else if name == "USERNAME" && text.expose().contains(':') {
            "must have no colon, where the password would begin"
        } else {
            continue;
        };
        reader.report_variable(secrets.variable(name), message);
        return None;
    }
    let pair = Secret::new(format!("{}:{}", username.expose(), password.expose()));
    Some(Grant::Basic { token: Secret::new(STANDARD.encode(pair.expose())) })
}

fn read_static(reader: &mut Reader<'_, '_>, secrets: &Secrets<'_>) -> Option<Grant> {
    refuse_token_request(reader);
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

fn read_endpoint(
    reader: &mut Reader<'_, '_>,
    secrets: &Secrets<'_>,
    parts: &[(&str, String)],
    is_known: bool,
) -> Option<TokenEndpoint> {
    let url = read_address(reader, "token_url", parts);
    let encoding = reader.choice("body", ENCODINGS, "must be form or json");
    let method = reader.choice("client_auth", CLIENT_METHODS, "must be post, basic or none");
    let basic = reader.choice("basic_encoding", BASIC_ENCODINGS, "must be form or none");
    let client_id = reader.parse("client_id", syntax::copied);
    let audience = reader.parse("audience", syntax::copied);
    let scope = reader.parse("scope", syntax::scope);
    let resource = reader.parse("resource", syntax::resource);
    let params = read_params(reader);
    let timeout = Duration::from_millis(reader.number("token_timeout_ms", &TOKEN_TIMEOUT_MS));

    if !is_known {
        return None;
    }
    if !reader.has("token_url") {
        reader.report("token_url", "is missing: write the token endpoint's https address");
    }
    exchange::refuse_type(reader);
    let method = method.unwrap_or(ClientMethod::Post);
    if method != ClientMethod::Basic && reader.has_own("basic_encoding") {
        reader.report("basic_encoding", "has no meaning unless client_auth is basic");
    }
    // A provider without client authentication may need the client's id all the same.
    let needs_id = !reader.has_own("client_auth") && needs(reader, "CLIENT_ID");
    let client = read_client(reader, secrets, method, basic, needs_id, client_id);
    let missing = missing(reader, "audience", needs(reader, "AUDIENCE"));
    let audience = secrets.or_field("AUDIENCE", audience, missing, reader);
    Some(TokenEndpoint {
        url: url?,
        encoding: encoding.unwrap_or(BodyEncoding::Form),
        client: client?,
        audience,
        scope,
        resource,
        params,
        timeout,
    })
}

/// Whether the provider needs the secret called `name`.
fn needs(reader: &Reader<'_, '_>, name: &str) -> bool {
    let needs = reader.default(NEEDS).and_then(serde_json::Value::as_array);
    needs.is_some_and(|needs| needs.iter().any(|need| need == name))
}

fn read_client(
    reader: &mut Reader<'_, '_>,
    secrets: &Secrets<'_>,
    method: ClientMethod,
    basic: Option<BasicEncoding>,
    needs_client_id: bool,
    client_id: Option<String>,
) -> Option<ClientAuthentication> {
    let missing = missing(reader, "client_id", needs_client_id || method != ClientMethod::None);
    let client_id = secrets.or_field("CLIENT_ID", client_id, missing, reader);
    if method == ClientMethod::None {
        return Some(ClientAuthentication::None { client_id });
    }
    let client_secret = secrets.possibly_empty("CLIENT_SECRET", reader);
    let (client_id, client_secret) = (client_id?, client_secret?);
    let encoding = basic.unwrap_or(BasicEncoding::Form);
    if method == ClientMethod::Basic && encoding == BasicEncoding::None && client_id.contains(':') {
        reader.report(
            "basic_encoding",
            "must be form: the client id has a colon, where the secret would begin",
        );
        return None;
    }
    Some(match method {
        ClientMethod::Basic => ClientAuthentication::Basic { client_id, client_secret, encoding },
        ClientMethod::Post | ClientMethod::None => ClientAuthentication::Post { client_id, client_secret },
    })
}

/// The problem to report where neither a field nor the secret of its name is set. A wrong field was
/// already reported.
fn missing(reader: &Reader<'_, '_>, field: &str, required: bool) -> Option<&'static str> {
    (required && !reader.has(field))
        .then_some("is missing: set this secret, or the connection's field of that name")
}

fn read_params(reader: &mut Reader<'_, '_>) -> Vec<(String, String)> {
    let free = exchange::free_params(reader);
    let Some(mut table) = reader.table("params") else { return Vec::new() };
    let mut params = Vec::new();
    for name in table.names() {
        if name.is_empty() {
            table.report(name, "must have a name");
        } else if OWN_PARAMS.contains(&name) && !free.contains(&name) {
            table.report(name, "is a parameter that the broker sets itself");
        } else if let Some(value) = table.text(name) {
            params.push((name.to_owned(), value.to_owned()));
        }
    }
    params
}
