//! Reading one connection.

use std::rc::Rc;
use std::time::Duration;

use super::additions::{self, Beside};
use super::kinds::GrantKind;
use super::limits::{Bounds, DEFAULT_EXPIRES_IN, EXPIRY_SKEW, REPLAY_BYTES, TIMEOUT_MS};
use super::provider::{self, Provider};
use super::provider_address::{BASE_URL, CERTIFICATE, read_address, read_own_parts};
use super::reader::Reader;
use super::rules::Subjects;
use super::secrets::{Secrets, is_id};
use super::webhook::WEBHOOK;
use super::{
    Callers, Connection, TokenHeader, answer_sign, authorization, budget, grant, headers, rules, syntax,
};
use crate::http::{HeaderName, PathPattern};

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
    "acting_gets",
    "probe",
    CERTIFICATE,
    "dead_token",
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
    let defaults = provider.map(Provider::defaults).unwrap_or_default();
    let reader = &mut reader.with_defaults(&defaults);
    let is_known = provider.is_some();
    let mut parts = read_own_parts(reader);
    let own_parts: Vec<&str> = parts.iter().map(|(name, _)| *name).collect();
    let base_url = read_address(reader, BASE_URL, &parts);
    parts.extend(base_url.as_ref().map(|url| (BASE_URL, url.as_base().to_owned())));
    let kind = grant::read_kind(reader, is_known);
    let for_people = read_subject(reader, kind);
    let is_for_signing_in_only = authorization::is_for_signing_in_only(reader, kind, for_people);
    if is_known && !is_for_signing_in_only && !reader.has(BASE_URL) {
        reader.report(BASE_URL, "is missing: write the API's https address");
    }
    let grant = grant::read(reader, secrets, kind, &parts, is_known, for_people, id);
    let token_header = read_token_header(reader, kind);
    let default_expires_in = read_lifetime("default_expires_in", &DEFAULT_EXPIRES_IN, reader, kind);
    let expiry_skew = read_lifetime("expiry_skew", &EXPIRY_SKEW, reader, kind);
    let timeout = Duration::from_millis(reader.number("timeout_ms", &TIMEOUT_MS));
    let replay_bytes = reader.number("replay_bytes", &REPLAY_BYTES);
    // An empty text stands for none.
    let default_accept = reader.parse("default_accept", &syntax::media_ranges).flatten();
    let request_headers = reader.list("request_headers", false, HEADER_NAMES, &|name| {
        headers::request_field(name, token_header.as_ref().map(|header| &header.name))
    });
    let response_headers = reader.list("response_headers", false, HEADER_NAMES, &headers::response_field);
    let beside = Beside {
        token: token_header.as_ref().map(|header| &header.name),
        forwarded: &request_headers,
        callers,
    };
    let additions = additions::read(reader, secrets, kind, &beside);
    let dead_token = answer_sign::read(reader, "dead_token");
    let acting_gets = reader.list("acting_gets", false, "must be an array of paths", &|text| {
        PathPattern::parse(&text.to_ascii_lowercase()).ok_or(syntax::PATH_PATTERN)
    });
    // The broker never calls it: a check before deployment does.
    reader.parse("probe", &syntax::probe);
    let certificate = read_certificate(reader, secrets);
    let guard = budget::read(reader);
    let labels = if reader.has("labels") { read_labels(reader) } else { Vec::new() };
    let of = Subjects {
        connection: id,
        labels: &labels,
        are_people: for_people == Some(true),
        are_callers: kind == Some(GrantKind::TokenExchange),
        added: additions.as_deref(),
    };
    let rules = if is_for_signing_in_only { Vec::new() } else { rules::read(reader, callers, &of) };
    let known = [FIELDS, grant::FIELDS, authorization::FIELDS, additions::FIELDS, budget::FIELDS]
        .into_iter()
        .flatten();
    let known: Vec<&str> = known.copied().chain(own_parts).collect();
    reader.only(&known);
    if reader.count() > before {
        return None;
    }
    let grant = grant?;
    let base_url = base_url.or_else(|| authorization::own_address(&grant));
    Some(Rc::new(Connection {
        id: id.to_owned(),
        provider: provider?,
        base_url: base_url?,
        identity: additions::identity(&grant, additions.as_deref()),
        grant,
        token_header,
        additions,
        dead_token,
        default_expires_in,
        expiry_skew,
        timeout,
        replay_bytes: usize::try_from(replay_bytes).ok()?,
        default_accept,
        request_headers,
        response_headers,
        acting_gets,
        certificate,
        guard,
        labels,
        rules,
        is_for_signing_in_only,
    }))
}

/// The name of a binding that has `fetch`, as one of `mtls_certificates` has.
fn read_certificate(reader: &mut Reader<'_, '_>, secrets: &Secrets<'_>) -> Option<String> {
    let name = reader.text(CERTIFICATE)?;
    if secrets.is_bound(name) == Some(false) || name.is_empty() || name.contains(char::is_whitespace) {
        reader.report(CERTIFICATE, "must be the name of an mtls_certificates binding of the Worker");
        return None;
    }
    Some(name.to_owned())
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
        reader.report("provider", "must be a provider of the catalogue, as guru, or custom");
    }
    provider
}

/// The field that carries the token; `None` for none, and where it is wrong.
fn read_token_header(reader: &mut Reader<'_, '_>, kind: Option<GrantKind>) -> Option<TokenHeader> {
    if reader.value("header").is_some_and(|name| name == "") {
        if reader.has_own("scheme") {
            reader.report("scheme", "has no meaning without a header");
        }
        return None;
    }
    let name = if reader.has("header") {
        reader.parse("header", &headers::token_field)
    } else {
        HeaderName::parse("authorization")
    };
    // A configured token has no token type, nor has the answer of a login.
    let usual = || match kind? {
        GrantKind::Static | GrantKind::Login => Some("Bearer".to_owned()),
        GrantKind::Basic => Some("Basic".to_owned()),
        GrantKind::Password
        | GrantKind::ClientCredentials
        | GrantKind::RefreshToken
        | GrantKind::JwtBearer
        | GrantKind::TokenExchange
        | GrantKind::AuthorizationCode => None,
    };
    let scheme = reader.parse("scheme", &syntax::scheme).or_else(usual);
    Some(TokenHeader { name: name?, scheme })
}

/// A number of seconds of a token's life; for a static token, the grant reports the field.
fn read_lifetime(
    name: &str,
    bounds: &Bounds,
    reader: &mut Reader<'_, '_>,
    kind: Option<GrantKind>,
) -> Duration {
    Duration::from_secs(match kind {
        Some(kind) if kind.has_configured_token() => bounds.default,
        _ => reader.number(name, bounds),
    })
}

/// Whether each person has a token set of their own; `None` where the field is wrong.
fn read_subject(reader: &mut Reader<'_, '_>, kind: Option<GrantKind>) -> Option<bool> {
    const MESSAGE: &str = "must be service, user or caller";
    let is_exchange = kind == Some(GrantKind::TokenExchange);
    if !reader.has("subject") {
        return Some(false);
    }
    let subjects = [("service", "service"), ("user", "user"), ("caller", "caller")];
    let subject = reader.choice("subject", &subjects, MESSAGE)?;
    let for_people = subject == "user";
    if is_exchange && subject != "caller" {
        reader.report("subject", "must be caller: token_exchange gives each caller a token of their own");
    } else if for_people
        && kind.is_some_and(|kind| !matches!(kind, GrantKind::Password | GrantKind::AuthorizationCode))
    {
        let message = "must be service: people sign in with the grants password and authorization_code only";
        reader.report("subject", message);
    } else if subject == "caller" && kind.is_some() && !is_exchange {
        reader.report("subject", "must be service or user: only token_exchange exchanges callers' tokens");
    }
    Some(for_people && !is_exchange)
}
