//! Reading the grant `login`: a token endpoint that is not OAuth.

use std::time::Duration;

use serde_json::Value;

use super::answer_sign::{self, AnswerSign};
use super::limits::TOKEN_TIMEOUT_MS;
use super::provider_address::CERTIFICATE;
use super::reader::Reader;
use super::secrets::Secrets;
use super::{
    BodyEncoding, ClientAuthentication, Grant, TokenEndpoint, TokenTemplate, Variables, headers, syntax,
    token_template,
};
use crate::form;
use crate::http::{EndpointUrl, FieldLines, HeaderName, is_field_value};
use crate::json::{self, ToJson as _};
use crate::secret::Secret;

/// What a login sends to its token endpoint, with the secrets filled in, and where the token stands in
/// the answer.
#[derive(Debug)]
pub struct Login {
    /// The method.
    pub method: &'static str,
    /// The header fields, as [`Headers`](crate::http::Headers) reads them; they take the place of the
    /// usual ones.
    pub headers: Secret,
    /// The query, encoded; with [`GET`], the fields among it. `None` where there is none.
    pub query: Option<Secret>,
    /// The fields in the body, encoded. `None` where there are none.
    pub fields: Option<Secret>,
    /// The token in the answer.
    pub token: TokenPlace,
    /// A JSON Pointer to the token's life in the answer, in seconds.
    pub expires_in: Option<String>,
    /// A JSON Pointer to the time of the token's expiry in the answer.
    pub expires_at: Option<String>,
    /// The signs of refused credentials besides those of the status alone.
    pub rejected: Vec<AnswerSign>,
    /// What stands for the account that the tokens belong to: see [`account`].
    pub(super) account: Secret,
}

/// Where the token stands in the answer.
#[derive(Debug)]
pub enum TokenPlace {
    /// At a JSON Pointer (RFC 6901) in the body.
    Json(String),
    /// In a header field.
    Header(HeaderName),
}

/// The method that has the fields in its query.
pub const GET: &str = "GET";

/// The field of a connection that has the login.
pub(super) const LOGIN: &str = "login";

/// The fields of a connection that only a token request of OAuth has.
const OAUTH_FIELDS: [&str; 8] =
    ["body", "client_auth", "basic_encoding", "client_id", "audience", "scope", "resource", "params"];

/// Reads the grant of a connection whose token endpoint is at `url`. Unless the provider `is_known`,
/// fields may be missing.
pub(super) fn read(
    reader: &mut Reader<'_, '_>,
    secrets: &Secrets<'_>,
    url: Option<EndpointUrl>,
    is_known: bool,
) -> Option<Grant> {
    for field in OAUTH_FIELDS {
        if reader.has_own(field) {
            reader.report(field, "has no meaning with the grant login: write the table login");
        }
    }
    let timeout = Duration::from_millis(reader.number("token_timeout_ms", &TOKEN_TIMEOUT_MS));
    for (field, message) in [
        ("token_url", "is missing: write the token endpoint's https address"),
        (LOGIN, "is missing: write the table of the login's request and answer"),
    ] {
        if is_known && !reader.has(field) {
            reader.report(field, message);
        }
    }
    let (login, encoding) = read_table(&mut reader.table(LOGIN)?, secrets)?;
    let endpoint = TokenEndpoint {
        url: url?,
        encoding,
        client: ClientAuthentication::None { client_id: None },
        audience: None,
        scope: None,
        resource: None,
        params: Vec::new(),
        timeout,
        certificate: reader.value(CERTIFICATE).and_then(Value::as_str).map(str::to_owned),
    };
    Some(Grant::Login { endpoint, login })
}

/// The fields of the table.
const FIELDS: &[&str] =
    &["method", "body", "headers", "query", "fields", "token", "expires_in", "expires_at", "rejected"];

fn read_table(table: &mut Reader<'_, '_>, secrets: &Secrets<'_>) -> Option<(Login, BodyEncoding)> {
    const METHODS: &[(&str, &str)] = &[("POST", "POST"), ("PUT", "PUT"), (GET, GET)];
    const ENCODINGS: &[(&str, BodyEncoding)] = &[("json", BodyEncoding::Json), ("form", BodyEncoding::Form)];
    let method = table.choice("method", METHODS, "must be POST, PUT or GET").unwrap_or("POST");
    let encoding = table.choice("body", ENCODINGS, "must be json or form").unwrap_or(BodyEncoding::Json);
    if method == GET && table.has_own("body") {
        table.report("body", "has no meaning with the method GET, whose fields are the query");
    }
    let is_flat = method == GET || encoding == BodyEncoding::Form;
    let (configured_headers, headers) = read_headers(table.table("headers"), secrets);
    let (configured_query, mut query) = read_fields(table.table("query"), secrets, true);
    let (configured_fields, mut fields) = read_fields(table.table("fields"), secrets, is_flat);
    if method == GET {
        query = match (fields.take(), query) {
            (Some(fields), Some(query)) => Some(Secret::new([fields.expose(), "&", query.expose()].concat())),
            (fields, query) => fields.or(query),
        };
    }
    if !table.has("token") {
        table.report("token", "is missing: write where the answer has the token, as /data/token");
    }
    let place = table.text("token").unwrap_or_default();
    let token = table.parse("token", &token_place);
    let expires_in = table.parse("expires_in", &syntax::json_pointer);
    let expires_at = table.parse("expires_at", &syntax::json_pointer);
    let rejected = answer_sign::read(table, "rejected");
    table.only(FIELDS);
    let account = account(place, [configured_headers, configured_query, configured_fields], secrets, table);
    Some((
        Login { method, headers, query, fields, token: token?, expires_in, expires_at, rejected, account },
        encoding,
    ))
}

fn token_place(text: &str) -> Result<TokenPlace, &'static str> {
    let place = match text.strip_prefix("header:") {
        Some(name) => HeaderName::parse(name).map(TokenPlace::Header),
        None => syntax::json_pointer(text).ok().map(TokenPlace::Json),
    };
    place.ok_or("must be a JSON Pointer, as /data/token, or header: and the name of a header field")
}

/// A table of header fields as it is configured, and the fields with the secrets filled in. What is
/// reported is left out.
fn read_headers(table: Option<Reader<'_, '_>>, secrets: &Secrets<'_>) -> (Variables, Secret) {
    let Some(mut table) = table else { return (Variables::new(), Secret::new(String::new())) };
    let configured = members(&table);
    let mut lines = FieldLines::default();
    for name in configured.keys() {
        let field = headers::login_field(name).map_err(|message| table.report(name, message));
        let Some(text) = table.text(name) else { continue };
        let Some(value) = TokenTemplate::read_secret(name, text, secrets, &mut table) else { continue };
        if !is_field_value(value.expose()) {
            table.report(name, "must be visible ASCII without spaces around it, secrets included");
        } else if let Ok(field) = field {
            lines.push_sound(field.as_str(), &[value.expose()]);
        }
    }
    (configured, Secret::new(lines.into_text()))
}

/// A table of fields as it is configured, and all of them with the secrets filled in: as a form where
/// they must be `flat`, else as JSON. `None` where there are none.
fn read_fields(
    table: Option<Reader<'_, '_>>,
    secrets: &Secrets<'_>,
    flat: bool,
) -> (Variables, Option<Secret>) {
    let Some(mut table) = table else { return (Variables::new(), None) };
    let configured = members(&table);
    let mut filled = configured.clone();
    for (name, value) in &mut filled {
        if flat && (value.is_null() || value.is_array() || value.is_object()) {
            table.report(name, "must be a text, a number, true or false: only a JSON body nests fields");
        }
        fill(name, value, secrets, &mut table);
    }
    let encoded = (!filled.is_empty()).then(|| if flat { form_of(&filled) } else { json::text(&filled) });
    filled.values_mut().for_each(json::wipe);
    (configured, encoded.map(Secret::new))
}

fn form_of(fields: &Variables) -> String {
    let mut form = String::new();
    for (name, value) in fields {
        if !form.is_empty() {
            form.push('&');
        }
        form::encode_into(&mut form, name);
        form.push('=');
        match value.as_str() {
            Some(text) => form::encode_into(&mut form, text),
            None => form::encode_into(&mut form, &json::text(value)),
        }
    }
    form
}

/// The members of `table`, its defaults among them.
fn members(table: &Reader<'_, '_>) -> Variables {
    let mut members = Variables::new();
    for name in table.names() {
        members.extend(table.value(name).map(|value| (name.to_owned(), value.clone())));
    }
    members
}

/// Fills the secrets in the texts of `value` at any depth, in the field called `name` of `table`.
fn fill(name: &str, value: &mut Value, secrets: &Secrets<'_>, table: &mut Reader<'_, '_>) {
    match value {
        Value::String(text) => {
            if let Some(filled) = TokenTemplate::read_secret(name, text, secrets, table) {
                filled.expose().clone_into(text);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| fill(name, item, secrets, table)),
        Value::Object(members) => members.values_mut().for_each(|item| fill(name, item, secrets, table)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// What stands for the account: all that is `configured` to be sent, the secrets in it but for
/// passwords and client secrets, and the `place` that the token is taken from.
///
/// A login may name its account in any field, so no other secret is known to be a mere proof: keeping
/// one account's token for another is worse than one login more. A password or a client secret can be
/// changed without one.
fn account(
    place: &str,
    configured: [Variables; 3],
    secrets: &Secrets<'_>,
    reader: &mut Reader<'_, '_>,
) -> Secret {
    let mut account = String::new();
    place.write_json(&mut account);
    let mut placed = Vec::new();
    for table in configured {
        table.write_json(&mut account);
        token_template::collect(&Value::Object(table), &mut placed);
    }
    for name in placed.iter().filter(|name| !["client_secret", "password"].contains(&name.as_str())) {
        if let Some(secret) = secrets.placed(name, reader) {
            secret.expose().write_json(&mut account);
        }
    }
    Secret::new(account)
}
