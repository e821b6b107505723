//! Authorization responses: what the query of the redirect address says (RFC 6749 §4.1.2, RFC 9207).

use std::borrow::Cow;

use form_urlencoded::parse;

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

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod tests {
    use super::*;

    /// State, code or error, and issuer.
    fn read(query: &str) -> Option<(String, Result<String, String>, Option<String>)> {
        Some(match AuthorizationResponse::read(query).ok()? {
            AuthorizationResponse::Code { state, code, iss } => {
                (state.expose().to_owned(), Ok(code.expose().to_owned()), iss)
            }
            AuthorizationResponse::Error { state, error, iss } => {
                (state.expose().to_owned(), Err(error), iss)
            }
        })
    }

    #[test]
    fn reads_the_responses_of_the_standards() {
        let code = |code: &str| Ok(code.to_owned());
        let error = |error: &str| Err(error.to_owned());
        // RFC 6749 §4.1.2, §4.1.2.1.
        assert_eq!(
            read("code=SplxlOBeZQQYbYS6WxSbIA&state=xyz"),
            Some(("xyz".into(), code("SplxlOBeZQQYbYS6WxSbIA"), None))
        );
        assert_eq!(read("error=access_denied&state=xyz"), Some(("xyz".into(), error("access_denied"), None)));
        // RFC 9207 §2.1, §2.2.
        assert_eq!(
            read(
                "code=x1848ZT64p4IirMPT0R-X3141MFPTuBX-VFL_cvaplMH58&state=ZWVlND&iss=https%3A%2F%2Fhonest.as.example"
            ),
            Some((
                "ZWVlND".into(),
                code("x1848ZT64p4IirMPT0R-X3141MFPTuBX-VFL_cvaplMH58"),
                Some("https://honest.as.example".into())
            ))
        );
        assert_eq!(
            read("error=access_denied&state=N2JjND&iss=https%3A%2F%2Fhonest.as.example"),
            Some(("N2JjND".into(), error("access_denied"), Some("https://honest.as.example".into())))
        );
    }

    #[test]
    fn ignores_parameters_that_it_does_not_know() {
        for query in [
            "code=4%2F0A&state=s&scope=email+profile&authuser=0&prompt=none&scope=b",
            "session_state=1&session_state=2&state=s&code=4%2f0A&CODE=x&State=t",
            "&&state=s&code=4/0A&x&=y&iss.=%FF&error_description=no",
            "%73tate=s&co%64e=4/0A",
        ] {
            let read = read(query).map(|(state, code, _)| (state, code));
            assert_eq!(read, Some(("s".into(), Ok("4/0A".into()))), "{query}");
        }
        assert_eq!(read("state=a+b&code=a+b%2B").unwrap(), ("a b".into(), Ok("a b+".into()), None));
    }

    #[test]
    fn refuses_what_could_be_read_in_two_ways() {
        for query in [
            "state=s&state=s&code=c",
            "state=s&st%61te=t&code=c",
            "state=s&code=c&code=c",
            "state=s&code=c&code=",
            "state=s&code=c&c%6Fde=d",
            "state=s&code=c&iss=a&iss=a",
            "state=s&error=a&error=b",
            "state=s&code=c&error=access_denied",
            "state=s&code=&error=access_denied",
            "state=s&code=c&error=",
            "",
            "state=s",
            "code=c",
            "error=access_denied",
            "state=&code=c",
            "state&code=c",
            "state=s&code=",
            "state=s&error=",
            "state=s&iss=a",
        ] {
            assert!(read(query).is_none(), "{query}");
        }
    }

    #[test]
    fn refuses_what_is_not_plain_or_too_long() {
        for value in ["%FF", "%C3%A9", "%00", "a%0D%0Ab", "%7F", "é", "\u{fffd}"] {
            for query in [
                format!("state={value}&code=c"),
                format!("state=s&code={value}"),
                format!("state=s&code=c&iss={value}"),
                format!("state=s&error={value}"),
            ] {
                assert!(read(&query).is_none(), "{query}");
            }
        }
        let long = |length| "a".repeat(length);
        for (longest, before) in
            [(512, "code=c&state="), (2048, "code=c&state=s&iss="), (256, "state=s&error=")]
        {
            assert!(read(&[before, &long(longest)].concat()).is_some(), "{before}");
            assert!(read(&[before, &long(longest + 1)].concat()).is_none(), "{before}");
        }
        let query = |length| format!("state=s&code={}", long(length));
        assert!(read(&query(MAX_QUERY_BYTES - 13)).is_some());
        assert!(read(&query(MAX_QUERY_BYTES - 12)).is_none());
    }

    #[test]
    fn shows_neither_code_nor_state_when_debugged() {
        let shown = format!("{:?}", AuthorizationResponse::read("state=s3&code=c0de").unwrap());
        assert!(!shown.contains("s3") && !shown.contains("c0de"), "{shown}");
    }
}
