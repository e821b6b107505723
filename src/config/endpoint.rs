//! Reading the token endpoint of a connection.

use std::time::Duration;

use super::kinds::ClientMethod;
use super::limits::TOKEN_TIMEOUT_MS;
use super::provider::needs;
use super::provider_address::{CERTIFICATE, read_address};
use super::reader::Reader;
use super::secrets::Secrets;
use super::signing_key::{self, ASSERTION};
use super::{BasicEncoding, BodyEncoding, ClientAuthentication, TokenEndpoint, exchange, login, syntax};

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
    "assertion",
    "client_assertion",
    "client_assertion_type",
];

const ENCODINGS: &[(&str, BodyEncoding)] = &[("form", BodyEncoding::Form), ("json", BodyEncoding::Json)];

const CLIENT_METHODS: &[(&str, ClientMethod)] = &[
    ("none", ClientMethod::None),
    ("post", ClientMethod::Post),
    ("basic", ClientMethod::Basic),
    ("private_key_jwt", ClientMethod::PrivateKeyJwt),
    ("client_secret_jwt", ClientMethod::ClientSecretJwt),
    ("tls", ClientMethod::Tls),
];

const WHICH_METHOD: &str = "must be post, basic, private_key_jwt, client_secret_jwt, tls or none";

const UNSIGNED: &str = "has no meaning unless grant is jwt_bearer or client_auth is private_key_jwt";

const BASIC_ENCODINGS: &[(&str, BasicEncoding)] =
    &[("form", BasicEncoding::Form), ("none", BasicEncoding::None)];

/// Reads the token endpoint; checks only the form of its fields unless the provider `is_known`.
pub(super) fn read_endpoint(
    reader: &mut Reader<'_, '_>,
    secrets: &Secrets<'_>,
    parts: &[(&str, String)],
    is_known: bool,
) -> Option<TokenEndpoint> {
    let url = read_address(reader, "token_url", parts);
    let encoding = reader.choice("body", ENCODINGS, "must be form or json");
    let method = reader.choice("client_auth", CLIENT_METHODS, WHICH_METHOD);
    let basic = reader.choice("basic_encoding", BASIC_ENCODINGS, "must be form or none");
    let client_id = reader.parse("client_id", &syntax::copied);
    let audience = reader.parse("audience", &syntax::copied);
    let scope = reader.parse("scope", &syntax::scope);
    let resource = reader.parse("resource", &syntax::resource);
    let params = if reader.has("params") { read_params(reader) } else { Vec::new() };
    let timeout = Duration::from_millis(reader.number("token_timeout_ms", &TOKEN_TIMEOUT_MS));
    let proof_audience = reader.parse("assertion_audience", &syntax::copied);

    if !is_known {
        return None;
    }
    if !reader.has("token_url") {
        reader.report("token_url", "is missing: write the token endpoint's https address");
    }
    if reader.has_own(login::LOGIN) {
        reader.report(login::LOGIN, "has no meaning unless grant is login");
    }
    exchange::refuse_type(reader);
    let method = method.unwrap_or(ClientMethod::Post);
    if method != ClientMethod::Basic && reader.has_own("basic_encoding") {
        reader.report("basic_encoding", "has no meaning unless client_auth is basic");
    }
    refuse_unsigned(reader, method);
    // A provider without client authentication may need the client's id all the same.
    // So does whoever sends people there to consent (RFC 6749 §4.1.1).
    let asks_people = reader.value("grant").is_some_and(|grant| grant == "authorization_code");
    let needs_id = asks_people || (!reader.has_own("client_auth") && needs(reader, "CLIENT_ID"));
    let proof_audience = proof_audience.or_else(|| Some(url.as_ref()?.as_str().to_owned()));
    let client = read_client(reader, secrets, method, basic, needs_id, client_id, proof_audience);
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
        certificate: reader.value(CERTIFICATE).and_then(serde_json::Value::as_str).map(str::to_owned),
    })
}

/// Reports the fields of signatures that nothing makes.
fn refuse_unsigned(reader: &mut Reader<'_, '_>, method: ClientMethod) {
    let signs_grant = reader.value("grant").is_some_and(|grant| grant == "jwt_bearer");
    let signs = signs_grant || method == ClientMethod::PrivateKeyJwt;
    let proves = matches!(method, ClientMethod::PrivateKeyJwt | ClientMethod::ClientSecretJwt);
    for (field, has_meaning, message) in [
        (ASSERTION, signs_grant, "has no meaning unless grant is jwt_bearer"),
        ("algorithm", signs, UNSIGNED),
        ("key_id", signs, UNSIGNED),
        (
            "assertion_audience",
            proves,
            "has no meaning unless client_auth is private_key_jwt or client_secret_jwt",
        ),
    ] {
        if !has_meaning && reader.has_own(field) {
            reader.report(field, message);
        }
    }
}

fn read_client(
    reader: &mut Reader<'_, '_>,
    secrets: &Secrets<'_>,
    method: ClientMethod,
    basic: Option<BasicEncoding>,
    needs_client_id: bool,
    client_id: Option<String>,
    proof_audience: Option<String>,
) -> Option<ClientAuthentication> {
    let missing = missing(reader, "client_id", needs_client_id || method != ClientMethod::None);
    let client_id = secrets.or_field("CLIENT_ID", client_id, missing, reader);
    let client_secret = match method {
        ClientMethod::None => return Some(ClientAuthentication::None { client_id }),
        ClientMethod::PrivateKeyJwt => {
            let key = signing_key::read(reader, secrets);
            let (client_id, key, audience) = (client_id?, key?, proof_audience?);
            return Some(ClientAuthentication::PrivateKeyJwt { client_id, key, audience });
        }
        ClientMethod::Tls => {
            if !reader.has(CERTIFICATE) {
                reader.report(CERTIFICATE, "is missing: client_auth tls proves the client by it");
            }
            return Some(ClientAuthentication::Tls { client_id: client_id? });
        }
        ClientMethod::ClientSecretJwt => secrets.token("CLIENT_SECRET", None, reader),
        ClientMethod::Post | ClientMethod::Basic => secrets.possibly_empty("CLIENT_SECRET", reader),
    };
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
        ClientMethod::ClientSecretJwt => {
            ClientAuthentication::ClientSecretJwt { client_id, client_secret, audience: proof_audience? }
        }
        ClientMethod::Post | ClientMethod::None | ClientMethod::PrivateKeyJwt | ClientMethod::Tls => {
            ClientAuthentication::Post { client_id, client_secret }
        }
    })
}

/// The problem to report where neither a field nor the secret of its name is set. A wrong field was
/// already reported.
fn missing(reader: &Reader<'_, '_>, field: &str, required: bool) -> Option<&'static str> {
    (required && !reader.has(field))
        .then_some("is missing: set this secret, or the connection's field of that name")
}

#[inline(never)]
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
