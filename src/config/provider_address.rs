//! The addresses of a provider, which may have parts of each customer's own.

use serde_json::Value;

use super::reader::Reader;
use super::syntax;
use crate::http::EndpointUrl;

/// The field of the address that paths are appended to.
pub(super) const BASE_URL: &str = "base_url";

/// The fields with the addresses of the authorization code grant, besides the token endpoint.
pub(super) const ISSUER: &str = "issuer";
pub(super) const AUTHORIZE_URL: &str = "authorize_url";
pub(super) const REVOCATION_URL: &str = "revocation_url";

/// The field that names the binding with a client certificate.
pub(super) const CERTIFICATE: &str = "certificate";

/// The parts of the provider's addresses that each customer of it has for their own, by the names of
/// the connection's fields.
pub(super) fn read_own_parts<'c>(reader: &mut Reader<'c, '_>) -> Vec<(&'c str, String)> {
    let default = |name| reader.default(name).filter(|_| !reader.has_own(name)).and_then(Value::as_str);
    let addresses = [BASE_URL, "token_url", ISSUER, AUTHORIZE_URL, REVOCATION_URL].map(default);
    let asks_people = reader.value("grant").is_some_and(|grant| grant == "authorization_code");
    let addresses = addresses.into_iter().take(if asks_people { 5 } else { 2 });
    let mut parts: Vec<(&str, String)> = Vec::new();
    for part in addresses.flatten().flat_map(placeholders) {
        if part == BASE_URL || parts.iter().any(|(known, _)| *known == part) {
            continue;
        }
        if !reader.has(part) {
            reader.report(part, "is missing: the provider's address has it for each customer");
        }
        parts.push((part, reader.parse(part, &syntax::host_label).unwrap_or_default()));
    }
    parts
}

/// The names in braces in an address.
fn placeholders(address: &str) -> impl Iterator<Item = &str> {
    address.split('{').skip(1).filter_map(|rest| Some(rest.split_once('}')?.0))
}

/// The address in the field called `name`; else the provider's, with the connection's `parts`.
pub(super) fn read_address(
    reader: &mut Reader<'_, '_>,
    name: &str,
    parts: &[(&str, String)],
) -> Option<EndpointUrl> {
    if reader.has_own(name) {
        return reader.parse(name, &syntax::address);
    }
    EndpointUrl::parse(&filled_address(reader, name, parts)?).ok()
}

/// The provider's address in the field called `name`, with the connection's `parts`.
pub(super) fn filled_address(
    reader: &Reader<'_, '_>,
    name: &str,
    parts: &[(&str, String)],
) -> Option<String> {
    let mut address = reader.default(name)?.as_str()?.to_owned();
    for (part, value) in parts {
        address = address.replace(&format!("{{{part}}}"), value);
    }
    Some(address)
}
