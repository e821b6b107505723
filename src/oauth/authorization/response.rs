//! Authorization responses: what the query of the redirect address says (RFC 6749 §4.1.2, RFC 9207).

use std::borrow::Cow;

use url::form_urlencoded::parse;

use crate::secret::Secret;

/// The longest query that is read, in bytes.
const MAX_QUERY_BYTES: usize = 16 * 1024;

/// The longest state, issuer and error code, in bytes. Those of the broker and of the standards are
/// shorter.
const MAX_STATE_BYTES: usize = 512;
const MAX_ISSUER_BYTES: usize = 2048;
const MAX_ERROR_BYTES: usize = 256;

/// What a provider says to the broker through the browser.
#[derive(Debug)]
pub enum AuthorizationResponse {
    /// Somebody consented (RFC 6749 §4.1.2).
    Code {
        /// The state of the request.
        state: Secret,
        /// The authorization code.
        code: Secret,
        /// The issuer, if the response names it (RFC 9207 §2).
        iss: Option<String>,
    },
    /// Nobody did (RFC 6749 §4.1.2.1).
    Error {
        /// The state of the request.
        state: Secret,
        /// The error code.
        error: String,
        /// The issuer, if the response names it (RFC 9207 §2).
        iss: Option<String>,
    },
}

/// A query is no authorization response, or could be read as several.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BadResponse;

impl AuthorizationResponse {
    /// Reads a query without its question mark. Parameters that it does not know are ignored (RFC 6749
    /// §4.1.2); a known one that comes twice is refused (§3.1), as is a code beside an error.
    ///
    /// # Errors
    /// [`BadResponse`].
    pub fn read(query: &str) -> Result<Self, BadResponse> {
        if query.len() > MAX_QUERY_BYTES {
            return Err(BadResponse);
        }
        let one = |name: &str, most: usize| {
            let mut values = parse(query.as_bytes()).filter(|(found, _)| found == name);
            match (values.next(), values.next()) {
                (None, _) => Ok(None),
                (Some((_, value)), None) if value.len() <= most && !has_strange(&value) => Ok(Some(value)),
                (Some(_), _) => Err(BadResponse),
            }
        };
        let filled = |text: Cow<'_, str>| Some(text.into_owned()).filter(|text| !text.is_empty());
        let state = one("state", MAX_STATE_BYTES)?.and_then(filled).map(Secret::new).ok_or(BadResponse)?;
        let iss = one("iss", MAX_ISSUER_BYTES)?.map(Cow::into_owned);
        let (code, error) = (one("code", MAX_QUERY_BYTES)?, one("error", MAX_ERROR_BYTES)?);
        match (code, error) {
            (Some(code), None) => {
                let code = filled(code).map(Secret::new).ok_or(BadResponse)?;
                Ok(Self::Code { state, code, iss })
            }
            (None, Some(error)) => Ok(Self::Error { state, error: filled(error).ok_or(BadResponse)?, iss }),
            (Some(_), Some(_)) | (None, None) => Err(BadResponse),
        }
    }
}

/// Whether a value has what none of these parameters has (RFC 6749 appendix A): characters that are
/// not ASCII or not visible. Bytes that are no UTF-8 are among them.
fn has_strange(value: &str) -> bool {
    !value.bytes().all(|b| (b' '..=b'~').contains(&b))
}
