//! Reading the grant `login`: a token endpoint that is not OAuth.

use std::time::Duration;

use serde_json::Value;
use zeroize::Zeroizing;

use super::answer_sign::AnswerSign;
use super::limits::TOKEN_TIMEOUT_MS;
use super::reader::Reader;
use super::secrets::Secrets;
use super::{
    BodyEncoding, ClientAuthentication, Grant, TokenEndpoint, TokenTemplate, Variables, headers, syntax,
    token_template,
};
use crate::http::{EndpointUrl, HeaderName, is_field_value};
use crate::secret::{Fingerprint, Secret};
use crate::{form, json};

/// What a login sends to its token endpoint, with the secrets filled in, and where the token stands in
/// the answer.
#[derive(Debug)]
pub struct Login {
    /// The method.
    pub method: &'static str,
    /// The header fields, as [`Headers`](crate::http::Headers) reads them; they take the place of the
    /// usual ones.
    pub headers: Secret,
    /// The fields, encoded: the body or, with [`GET`], the query. `None` where there are none.
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

/// What stands before the name of a header field in a token's place.
const HEADER: &str = "header:";

/// The field of a connection that has the login.
pub(super) const LOGIN: &str = "login";

/// The fields of a connection that only a token request of OAuth has.
const OAUTH_FIELDS: [&str; 8] =
    ["body", "client_auth", "basic_encoding", "client_id", "audience", "scope", "resource", "params"];

/// The members of a table, in the order of their names.
type NamedValues<'c> = Vec<(&'c str, &'c Value)>;

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
    };
    Some(Grant::Login { endpoint, login })
}

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
    let (configured_fields, fields) = read_fields(table.table("fields"), secrets, is_flat);
    if !table.has("token") {
        table.report("token", "is missing: write where the answer has the token, as /data/token");
    }
    let token = table.parse("token", token_place);
    let expires_in = table.parse("expires_in", syntax::pointer);
    let expires_at = table.parse("expires_at", syntax::pointer);
    let rejected = AnswerSign::read_all("rejected", table);
    table.only(&["method", "body", "headers", "fields", "token", "expires_in", "expires_at", "rejected"]);
    let token = token?;
    let account = account(&token, &configured_headers, &configured_fields, secrets, table);
    Some((Login { method, headers, fields, token, expires_in, expires_at, rejected, account }, encoding))
}

fn token_place(text: &str) -> Result<TokenPlace, &'static str> {
    let place = match text.strip_prefix(HEADER) {
        Some(name) => HeaderName::parse(name).map(TokenPlace::Header),
        None => syntax::pointer(text).ok().map(TokenPlace::Json),
    };
    place.ok_or("must be a JSON Pointer, as /data/token, or header: and the name of a header field")
}

/// The members of a table of header fields, and the fields with the secrets filled in.
fn read_headers<'c>(table: Option<Reader<'c, '_>>, secrets: &Secrets<'_>) -> (NamedValues<'c>, Secret) {
    let Some(mut table) = table else { return (NamedValues::new(), Secret::new(String::new())) };
    let members = members(&table);
    let mut lines = Vec::new();
    for (name, _) in &members {
        let field = headers::login_field(name).map_err(|message| table.report(name, message));
        let value =
            table.text(name).and_then(|text| TokenTemplate::read_secret(name, text, secrets, &mut table));
        match (field, value) {
            (_, Some(value)) if !is_field_value(value.expose()) => {
                table.report(name, "must be visible ASCII without spaces around it, secrets included");
            }
            (Ok(field), Some(value)) => {
                lines.push(Zeroizing::new(format!("{}:{}", field.as_str(), value.expose())));
            }
            _ => {}
        }
    }
    let lines: Vec<&str> = lines.iter().map(|line| line.as_str()).collect();
    (members, Secret::new(lines.join("\n")))
}

/// The members of a table of fields, and all of them with the secrets filled in: as a form where they
/// must be `flat`, else as JSON. `None` where there are none.
fn read_fields<'c>(
    table: Option<Reader<'c, '_>>,
    secrets: &Secrets<'_>,
    flat: bool,
) -> (NamedValues<'c>, Option<Secret>) {
    let Some(mut table) = table else { return (NamedValues::new(), None) };
    let members = members(&table);
    let mut filled = Variables::new();
    for (name, value) in &members {
        if flat && (value.is_null() || value.is_array() || value.is_object()) {
            table.report(name, "must be a text, a number, true or false: only a JSON body nests fields");
        } else if let Some(value) = fill_all(name, value, secrets, &mut table) {
            filled.insert((*name).to_owned(), value);
        }
    }
    let encoded = (!filled.is_empty()).then(|| encode(&filled, flat));
    filled.values_mut().for_each(json::wipe);
    (members, encoded)
}

fn encode(fields: &Variables, flat: bool) -> Secret {
    if !flat {
        return Secret::new(json::text(fields));
    }
    let text = |value: &Value| value.as_str().map_or_else(|| json::text(value), str::to_owned);
    let texts: Vec<(&str, Secret)> =
        fields.iter().map(|(name, value)| (name.as_str(), Secret::new(text(value)))).collect();
    Secret::new(form::encode(texts.iter().map(|(name, text)| (*name, text.expose()))))
}

fn members<'c>(table: &Reader<'c, '_>) -> NamedValues<'c> {
    let mut members: NamedValues<'c> =
        table.names().filter_map(|name| Some((name, table.value(name)?))).collect();
    members.sort_unstable_by_key(|(name, _)| *name);
    members
}

/// `value`, which stands at `place` in `table`, with the secrets filled in its texts at any depth.
fn fill_all(place: &str, value: &Value, secrets: &Secrets<'_>, table: &mut Reader<'_, '_>) -> Option<Value> {
    Some(match value {
        Value::String(text) => Value::from(TokenTemplate::read_secret(place, text, secrets, table)?.expose()),
        // Every problem is reported, not the first alone.
        Value::Array(items) => items
            .iter()
            .enumerate()
            .filter_map(|(at, item)| fill_all(&format!("{place}[{at}]"), item, secrets, table))
            .collect(),
        Value::Object(members) => members
            .iter()
            .filter_map(|(name, member)| {
                Some((name.clone(), fill_all(&format!("{place}.{name}"), member, secrets, table)?))
            })
            .collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    })
}

/// What stands for the account: all that is configured to be sent, the secrets in it but for passwords
/// and client secrets, and where the token is taken from.
///
/// A login may name its account in any field, so no other secret is known to be a mere proof: keeping
/// one account's token for another is worse than one login more. A password or a client secret can be
/// changed without one.
fn account(
    token: &TokenPlace,
    headers: &NamedValues<'_>,
    fields: &NamedValues<'_>,
    secrets: &Secrets<'_>,
    reader: &mut Reader<'_, '_>,
) -> Secret {
    const PROOFS: [&str; 2] = ["client_secret", "password"];
    let mut parts = match token {
        TokenPlace::Json(pointer) => vec![Secret::new(pointer.clone())],
        TokenPlace::Header(name) => vec![Secret::new([HEADER, name.as_str()].concat())],
    };
    let mut placed = Vec::new();
    for members in [headers, fields] {
        parts.push(Secret::new(members.len().to_string()));
        for (name, value) in members {
            parts.extend([(*name).to_owned(), json::text(*value)].map(Secret::new));
            token_template::collect(value, &mut placed);
        }
    }
    placed.sort_unstable();
    placed.dedup();
    for name in placed.into_iter().filter(|name| !PROOFS.contains(&name.as_str())) {
        parts.extend(secrets.placed(&name, reader));
        parts.push(Secret::new(name));
    }
    let parts: Vec<&str> = parts.iter().map(Secret::expose).collect();
    Secret::new(Fingerprint::of(&parts).to_hex())
}
