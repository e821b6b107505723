//! Reading one connection.

use std::rc::Rc;
use std::time::Duration;

use super::grant;
use super::kinds::GrantKind;
use super::limits::{Bounds, DEFAULT_EXPIRES_IN, EXPIRY_SKEW, REPLAY_BYTES, TIMEOUT_MS};
use super::provider::{self, Preset, Provider};
use super::reader::Reader;
use super::rules::Subjects;
use super::secrets::{Secrets, is_id};
use super::webhook::WEBHOOK;
use super::{Callers, Connection, TokenHeader, headers, rules, syntax};
use crate::http::{EndpointUrl, HeaderName};

/// The fields of a connection besides [`grant::FIELDS`].
const FIELDS: &[&str] = &[
    "provider",
    "base_url",
    "grant",
    "header",
    "scheme",
    "subject",
    "timeout_ms",
    "replay_bytes",
    "default_accept",
    "request_headers",
    "response_headers",
    "labels",
    "rules",
    WEBHOOK,
];

/// Reads the connection called `id`; `None` where any field is wrong, except those of its webhook.
pub(super) fn read(
    id: &str,
    secrets: &Secrets<'_>,
    reader: &mut Reader<'_, '_>,
    callers: &Callers,
) -> Option<Rc<Connection>> {
    const HEADER_NAMES: &str = "must be an array of header field names";
    let before = reader.count();
    let provider = read_provider(reader);
    let preset = provider.map(Provider::preset);
    let base_url = read_base_url(reader, preset);
    let kind = grant::read_kind(reader, preset);
    let for_people = read_subject(reader, kind);
    let grant = grant::read(reader, secrets, kind, preset, base_url.as_ref(), for_people);
    let token_header = read_token_header(reader, preset, kind);
    let default_expires_in = read_lifetime("default_expires_in", &DEFAULT_EXPIRES_IN, reader, kind);
    let expiry_skew = read_lifetime("expiry_skew", &EXPIRY_SKEW, reader, kind);
    let timeout = Duration::from_millis(reader.number("timeout_ms", &TIMEOUT_MS));
    let replay_bytes = reader.number("replay_bytes", &REPLAY_BYTES);
    let default_accept = read_default_accept(reader, preset);
    let request_headers = reader.list("request_headers", false, HEADER_NAMES, &|name| {
        headers::request_field(name, token_header.as_ref().map(|header| &header.name))
    });
    let response_headers = reader.list("response_headers", false, HEADER_NAMES, &headers::response_field);
    let labels = if reader.has("labels") { read_labels(reader) } else { Vec::new() };
    let of = Subjects { connection: id, labels: &labels, are_people: for_people == Some(true) };
    let rules = rules::read(reader, callers, &of);
    let known: Vec<&str> = FIELDS.iter().chain(grant::FIELDS).copied().collect();
    reader.only(&known);
    if reader.count() > before {
        return None;
    }
    let grant = grant?;
    Some(Rc::new(Connection {
        id: id.to_owned(),
        provider: provider?,
        base_url: base_url?,
        identity: grant.identity(),
        grant,
        token_header: token_header?,
        default_expires_in,
        expiry_skew,
        timeout,
        replay_bytes: usize::try_from(replay_bytes).ok()?,
        default_accept,
        request_headers,
        response_headers,
        labels,
        rules,
    }))
}

// Most connections have none: an isolate compiles only what it runs.
#[inline(never)]
fn read_labels(reader: &mut Reader<'_, '_>) -> Vec<(String, String)> {
    let Some(mut table) = reader.table("labels") else { return Vec::new() };
    if table.names().count() > 32 {
        table.report_table("must have at most 32 labels");
    }
    let mut labels = Vec::new();
    for name in table.names() {
        let value = table.parse(name, &syntax::label);
        if is_id(name) {
            labels.extend(value.map(|value| (name.to_owned(), value)));
        } else {
            table.report(name, "must have a name of 1 to 64 letters, digits, - and _");
        }
    }
    labels
}

fn read_provider(reader: &mut Reader<'_, '_>) -> Option<Provider> {
    let provider = provider::named(reader);
    if provider.is_none() {
        reader.report("provider", "must be guru, hubsoft, v8 or custom");
    }
    provider
}

fn read_base_url(reader: &mut Reader<'_, '_>, preset: Option<&Preset>) -> Option<EndpointUrl> {
    if reader.has("base_url") {
        return reader.parse("base_url", &syntax::address);
    }
    let Some(default) = preset?.base_url else {
        reader.report("base_url", "is missing: write the API's https address");
        return None;
    };
    EndpointUrl::parse(default).ok()
}

fn read_token_header(
    reader: &mut Reader<'_, '_>,
    preset: Option<&Preset>,
    kind: Option<GrantKind>,
) -> Option<TokenHeader> {
    let name = if reader.has("header") {
        reader.parse("header", &headers::token_field)
    } else {
        HeaderName::parse("authorization")
    };
    // A configured token has no token type.
    let bearer = || (kind == Some(GrantKind::Static)).then_some("Bearer");
    let scheme = reader
        .parse("scheme", &syntax::scheme)
        .or_else(|| preset.and_then(|preset| preset.scheme).or_else(bearer).map(str::to_owned));
    Some(TokenHeader { name: name?, scheme })
}

/// The default `Accept` field; an empty text stands for none.
fn read_default_accept(reader: &mut Reader<'_, '_>, preset: Option<&Preset>) -> Option<String> {
    if reader.has("default_accept") {
        return reader.parse("default_accept", &syntax::media_ranges).flatten();
    }
    preset.and_then(|preset| preset.accept).map(str::to_owned)
}

/// A number of seconds of a token's life; for a static token, the grant reports the field.
fn read_lifetime(
    name: &str,
    bounds: &Bounds,
    reader: &mut Reader<'_, '_>,
    kind: Option<GrantKind>,
) -> Duration {
    Duration::from_secs(match kind {
        Some(GrantKind::Static) => bounds.default,
        _ => reader.number(name, bounds),
    })
}

/// Whether each person has a token set of their own; `None` where the field is wrong.
fn read_subject(reader: &mut Reader<'_, '_>, kind: Option<GrantKind>) -> Option<bool> {
    const MESSAGE: &str = "must be service or user";
    if !reader.has("subject") {
        return Some(false);
    }
    let for_people = reader.choice("subject", &[("service", false), ("user", true)], MESSAGE)?;
    if for_people && kind.is_some_and(|kind| kind != GrantKind::Password) {
        reader.report("subject", "must be service: people sign in with the password grant only");
    }
    Some(for_people)
}
