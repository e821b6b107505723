//! Reading the grant `token_exchange` (RFC 8693).

use serde_json::Value;

use super::reader::Reader;
use super::{Grant, TokenEndpoint, syntax};
use crate::secret::Secret;

/// The grant's name.
pub(super) const TOKEN_EXCHANGE: &str = "token_exchange";

/// The field that names the type of the callers' tokens.
pub(super) const SUBJECT_TOKEN_TYPE: &str = "subject_token_type";

/// The parameter that says what kind of grant is requested.
const GRANT_TYPE: &str = "grant_type";

/// The parameter that has the caller's token in Entra's on-behalf-of flow.
const ASSERTION: &str = "assertion";

/// What stands for the caller's token in `params`.
const SUBJECT_TOKEN: &str = "{subject_token}";

/// The parameters that the broker sets itself unless `params` place the caller's token.
const OWN_PARAMS: [&str; 2] = ["subject_token", SUBJECT_TOKEN_TYPE];

/// How a token endpoint is asked to exchange a caller's token (RFC 8693 §2.1).
#[derive(Debug)]
pub struct Exchange {
    /// The value of `grant_type`.
    pub grant_type: String,
    /// The type of the callers' tokens; `None` where further parameters place the token, so that
    /// neither `subject_token` nor `subject_token_type` is sent besides.
    pub token_type: Option<String>,
}

/// The parameters of every token request that a connection may set all the same.
pub(super) fn free_params(reader: &Reader<'_, '_>) -> &'static [&'static str] {
    if is_exchange(reader) { &[GRANT_TYPE, ASSERTION] } else { &[] }
}

fn is_exchange(reader: &Reader<'_, '_>) -> bool {
    reader.value("grant").and_then(Value::as_str) == Some(TOKEN_EXCHANGE)
}

/// Reports the field of this grant where the grant is another one.
pub(super) fn refuse_type(reader: &mut Reader<'_, '_>) {
    if reader.has_own(SUBJECT_TOKEN_TYPE) && !is_exchange(reader) {
        reader.report(SUBJECT_TOKEN_TYPE, "has no meaning unless grant is token_exchange");
    }
}

/// Reads the grant, whose token endpoint was read before.
pub(super) fn read(reader: &mut Reader<'_, '_>, endpoint: Option<TokenEndpoint>) -> Option<Grant> {
    let token_type = reader.parse(SUBJECT_TOKEN_TYPE, &syntax::resource);
    let mut endpoint = endpoint?;
    let mut grant_type = None;
    endpoint.params.retain(|(name, value)| {
        let is_other = name != GRANT_TYPE;
        if !is_other {
            grant_type = Some(value.clone());
        }
        is_other
    });
    let is_placed = endpoint.params.iter().any(|(_, value)| value.contains(SUBJECT_TOKEN));
    if is_placed && reader.has_own(SUBJECT_TOKEN_TYPE) {
        reader.report(SUBJECT_TOKEN_TYPE, "has no meaning where params place {subject_token}");
    }
    for name in OWN_PARAMS.iter().filter(|_| !is_placed) {
        if endpoint.params.iter().any(|(set, _)| set == name) {
            let message = "is a parameter that the broker sets itself, unless params place {subject_token}";
            reader.report(&format!("params.{name}"), message);
        }
    }
    let usual = |name: &str| format!("urn:ietf:params:oauth:{name}");
    let token_type = token_type.unwrap_or_else(|| usual("token-type:jwt"));
    let exchange = Exchange {
        grant_type: grant_type.unwrap_or_else(|| usual("grant-type:token-exchange")),
        token_type: Some(token_type).filter(|_| !is_placed),
    };
    Some(Grant::TokenExchange { endpoint, exchange })
}

impl Exchange {
    /// The value of a parameter with the caller's `token` in each place of it; `None` where it has
    /// no place for one.
    #[must_use]
    pub fn fill(value: &str, token: &Secret) -> Option<Secret> {
        let is_template = value.contains(SUBJECT_TOKEN);
        is_template.then(|| Secret::new(value.replace(SUBJECT_TOKEN, token.expose())))
    }
}
