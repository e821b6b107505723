//! Reading what a connection adds to each call besides the field that carries the token.

use std::fmt;

use serde_json::Value;

use super::kinds::GrantKind;
use super::reader::Reader;
use super::secrets::Secrets;
use super::token_template::places_token;
use super::{Callers, Grant, TokenTemplate, headers, jwt, syntax};
use crate::form;
use crate::http::{HeaderName, ParameterName, is_field_value};
use crate::secret::{Fingerprint, Secret};

/// The fields of a connection that are read here.
pub(super) const FIELDS: &[&str] = &[HEADERS, QUERY];

const HEADERS: &str = "headers";
const QUERY: &str = "query";

/// The largest number of fields, and of parameters.
const MOST: usize = 16;

/// The header field that carries the token upstream.
#[derive(Debug)]
pub struct TokenHeader {
    /// The field's name.
    pub name: HeaderName,
    /// The scheme before the token. `None` stands for the token's own type, an empty text for no
    /// scheme.
    pub scheme: Option<String>,
}

/// The header fields and the query parameters that a connection adds to each call; one at least.
pub struct Additions {
    /// The header fields, in the order of their names.
    headers: Vec<(HeaderName, TokenTemplate)>,
    /// The query parameters, in the order of their names.
    query: Vec<(ParameterName, TokenTemplate)>,
}

impl Additions {
    /// The header fields with `token` filled in.
    pub fn fields(&self, token: &str) -> impl Iterator<Item = (&HeaderName, Secret)> {
        self.headers.iter().map(move |(name, template)| (name, template.fill(token)))
    }

    /// The query parameters with `token` filled in, encoded as a form; `None` where there are none.
    #[must_use]
    pub fn query(&self, token: &str) -> Option<Secret> {
        let filled: Vec<(&str, Secret)> =
            self.query.iter().map(|(name, template)| (name.as_str(), template.fill(token))).collect();
        let fields = filled.iter().map(|(name, value)| (*name, value.expose()));
        (!filled.is_empty()).then(|| Secret::new(form::encode(fields)))
    }

    /// Whether a server could read the header field `name` as one of these.
    #[must_use]
    pub fn has_field(&self, name: &str) -> bool {
        self.headers.iter().any(|(known, _)| headers::is_same(known.as_str(), name))
    }

    /// Whether parameters are added.
    #[must_use]
    pub fn has_query(&self) -> bool {
        !self.query.is_empty()
    }

    /// Whether a server could read a parameter called `name`, as sent, as one of these.
    #[must_use]
    pub fn has_parameter(&self, name: &str) -> bool {
        self.query.iter().any(|(known, _)| known.is_spelled(name))
    }

    /// Whether a segment of `path` could have one of these parameters.
    #[must_use]
    pub fn is_in_path(&self, path: &str) -> bool {
        self.query.iter().any(|(known, _)| known.is_in_path(path))
    }

    /// Every text that tells a secret which was put on a call with `token`: the secrets themselves,
    /// and each value with a secret or the token in it.
    #[must_use]
    pub fn secrets(&self, token: &str) -> Vec<Secret> {
        let mut secrets: Vec<Secret> = Vec::new();
        self.each_template(&mut |template| {
            let before = secrets.len();
            secrets.extend(template.secrets().cloned());
            if template.has_token() || secrets.len() > before {
                secrets.push(template.fill(token));
            }
        });
        for at in 0..secrets.len() {
            // As a form writes blanks, and servers that repeat an address.
            let with_blanks = secrets.get(at).filter(|secret| secret.expose().contains(' '));
            secrets.extend(with_blanks.map(|secret| Secret::new(secret.expose().replace(' ', "+"))));
        }
        secrets
    }

    fn each_template(&self, take: &mut dyn FnMut(&TokenTemplate)) {
        self.headers.iter().for_each(|(_, template)| take(template));
        self.query.iter().for_each(|(_, template)| take(template));
    }

    /// The names of the query parameters.
    pub(super) fn parameters(&self) -> impl Iterator<Item = &ParameterName> {
        self.query.iter().map(|(name, _)| name)
    }
}

// The secrets are filled in.
impl fmt::Debug for Additions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Additions(redacted)")
    }
}

/// The fields beside which additions are read.
pub(super) struct Beside<'c> {
    /// The field that carries the token.
    pub token: Option<&'c HeaderName>,
    /// Fields of the caller that are forwarded.
    pub forwarded: &'c [HeaderName],
    /// The callers, whose tokens come in fields, too.
    pub callers: &'c Callers,
}

/// Reads what a connection adds to each call; `None` for nothing.
pub(super) fn read(
    reader: &mut Reader<'_, '_>,
    secrets: &Secrets<'_>,
    kind: Option<GrantKind>,
    beside: &Beside<'_>,
) -> Option<Box<Additions>> {
    if kind.is_some_and(|kind| kind != GrantKind::Static) && !places_any_token(reader) {
        reader.report("header", "must not be empty unless {token} stands in headers or in query");
    }
    let headers = read_headers(reader, secrets, beside);
    let query = read_query(reader, secrets);
    (!headers.is_empty() || !query.is_empty()).then(|| Box::new(Additions { headers, query }))
}

/// Whether the token is put on calls in any place.
pub(super) fn places_any_token(reader: &Reader<'_, '_>) -> bool {
    let table = |value: Option<_>| value.and_then(Value::as_object);
    let places = |field: &&str| {
        let (own, defaults) = (table(reader.value(field)), table(reader.default(field)));
        let is_own = |name: &String| own.is_some_and(|own| own.contains_key(name));
        own.is_some_and(|own| own.values().any(places_token))
            || defaults.is_some_and(|all| all.iter().any(|(name, text)| places_token(text) && !is_own(name)))
    };
    reader.value("header").is_none_or(|header| header != "") || FIELDS.iter().any(places)
}

/// The identity of the account of `grant`: where no token is obtained, the secrets that are added are
/// credentials, too.
pub(super) fn identity(grant: &Grant, additions: Option<&Additions>) -> Fingerprint {
    let identity = grant.identity();
    let Some(additions) = additions.filter(|_| matches!(grant, Grant::Static { .. } | Grant::Basic { .. }))
    else {
        return identity;
    };
    let mut parts = vec![identity.to_hex()];
    additions.each_template(&mut |template| {
        parts.extend(template.secrets().map(|secret| secret.fingerprint().to_hex()));
    });
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    if parts.len() > 1 { Fingerprint::of(&parts) } else { identity }
}

fn read_headers(
    reader: &mut Reader<'_, '_>,
    secrets: &Secrets<'_>,
    beside: &Beside<'_>,
) -> Vec<(HeaderName, TokenTemplate)> {
    const VALUE: &str = "must be visible ASCII without spaces around it";
    let Some(mut table) = reader.table(HEADERS) else { return Vec::new() };
    if table.names().count() > MOST {
        table.report_table("must have at most 16 fields");
    }
    let of_callers = jwt::fields(beside.callers);
    let mut read: Vec<(HeaderName, Option<TokenTemplate>)> = Vec::new();
    for name in table.names() {
        let template = TokenTemplate::read_field(name, secrets, &mut table, is_field_value, VALUE);
        let is_among = |names: &[HeaderName], own: &HeaderName| {
            names.iter().any(|known| headers::is_same(known.as_str(), own.as_str()))
        };
        let checked = headers::token_field(name).and_then(|own| {
            if beside.token.is_some_and(|token| headers::is_same(token.as_str(), own.as_str())) {
                Err("carries the token already: name another one, or write header = \"\"")
            } else if is_among(beside.forwarded, &own) {
                Err("must not stand in request_headers: no caller can send it")
            } else if own.as_str() != headers::AUTHORIZATION && is_among(&of_callers, &own) {
                Err("is a header field in which a caller sends a token: name another one")
            } else if read.iter().any(|(known, _)| headers::is_same(known.as_str(), own.as_str())) {
                Err("must be one name: a server can read another one as the same")
            } else {
                Ok(own)
            }
        });
        match checked {
            Ok(own) => read.push((own, template)),
            Err(message) => table.report(name, message),
        }
    }
    sound(read)
}

/// What has a template that is not wrong.
fn sound<N>(read: Vec<(N, Option<TokenTemplate>)>) -> Vec<(N, TokenTemplate)> {
    read.into_iter().filter_map(|(name, template)| Some((name, template?))).collect()
}

fn read_query(reader: &mut Reader<'_, '_>, secrets: &Secrets<'_>) -> Vec<(ParameterName, TokenTemplate)> {
    const VALUE: &str = "must have no control characters";
    let Some(mut table) = reader.table(QUERY) else { return Vec::new() };
    if table.names().count() > MOST {
        table.report_table("must have at most 16 parameters");
    }
    let has_none = |text: &str| !text.contains(char::is_control);
    let mut read: Vec<(ParameterName, Option<TokenTemplate>)> = Vec::new();
    for name in table.names() {
        let template = TokenTemplate::read_field(name, secrets, &mut table, has_none, VALUE);
        match syntax::parameter_name(name) {
            Ok(own) if read.iter().any(|(known, _)| known.conflicts_with(&own)) => {
                table.report(name, "must be one name: a server can read another one as the same");
            }
            Ok(own) => read.push((own, template)),
            Err(message) => table.report(name, message),
        }
    }
    sound(read)
}
