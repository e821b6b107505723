//! Addresses of providers.

use std::fmt;

use super::is_private;
use super::web_address::{AddressError, WebAddress};

/// The absolute address of a token endpoint or of an upstream.
///
/// The scheme is `https`, or `http` on a loopback host; the address has neither credentials nor a
/// query nor a fragment.
#[derive(Clone, PartialEq, Eq)]
pub struct EndpointUrl(WebAddress);

impl EndpointUrl {
    /// Reads an address.
    ///
    /// # Errors
    /// [`AddressError`]: why the address is refused.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        parse_secure(text, &['?', '#']).map(Self)
    }

    /// The address.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The address without a trailing slash: no path in `{base}/{path}` can change the origin.
    #[must_use]
    pub fn as_base(&self) -> &str {
        self.as_str().trim_end_matches('/')
    }

    /// The part of `location` below this address, `/path?query#fragment`; `None` where `location`
    /// is outside, or is not of the strict form of [`WebAddress`]. It is resolved against `current`,
    /// the address of the response (RFC 9110 §10.2.2).
    #[must_use]
    pub fn path_within(&self, current: &str, location: &str) -> Option<String> {
        let target = WebAddress::parse(current).ok()?.resolve(location).ok()?;
        // The base begins with the whole origin, so what follows it cannot belong to a host or a port.
        let rest = target.as_str().strip_prefix(self.as_base())?;
        match rest.as_bytes().first() {
            Some(b'/') => Some(rest.to_owned()),
            None | Some(b'?' | b'#') => Some(["/", rest].concat()),
            Some(_) => None,
        }
    }
}

/// Checks the address of a document: as an [`EndpointUrl`], with an optional query.
///
/// # Errors
/// [`AddressError`]: why the address is refused.
pub fn check_document_url(text: &str) -> Result<(), AddressError> {
    parse_secure(text, &['#']).map(drop)
}

fn parse_secure(text: &str, without: &[char]) -> Result<WebAddress, AddressError> {
    let address = WebAddress::parse(text)?;
    if !is_private(address.origin()) {
        return Err(AddressError::NotSecure);
    }
    if address.as_str().contains(without) {
        return Err(AddressError::HasQuery);
    }
    Ok(address)
}

impl fmt::Debug for EndpointUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EndpointUrl({})", self.as_str())
    }
}

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod tests {
    use super::*;

    #[test]
    fn takes_https_anywhere_and_http_on_loopback() {
        let address = EndpointUrl::parse("https://api.example.com/v2/").unwrap();
        assert_eq!(
            (address.as_str(), address.as_base()),
            ("https://api.example.com/v2/", "https://api.example.com/v2")
        );
        assert_eq!(
            EndpointUrl::parse("https://api.example.com").unwrap().as_base(),
            "https://api.example.com"
        );
        for loopback in
            ["http://localhost:1", "http://127.0.0.1:8080/x", "http://[::1]:2", "http://api.localhost"]
        {
            assert!(EndpointUrl::parse(loopback).is_ok(), "{loopback}");
        }
        let address = EndpointUrl::parse("HTTPS://API.Example.com:443/a/./b/%2e%2E/é c").unwrap();
        assert_eq!(address.as_str(), "https://api.example.com/a/%C3%A9%20c");
    }

    #[test]
    fn says_what_is_wrong_with_an_address() {
        for (text, why) in [
            ("api.example.com", AddressError::NotAbsolute),
            ("/path", AddressError::NotAbsolute),
            ("https://exämple.com", AddressError::NotAbsolute),
            ("https:/api.example.com", AddressError::NotAbsolute),
            ("https:api.example.com", AddressError::NotAbsolute),
            ("https:///api.example.com", AddressError::NotAbsolute),
            ("https://", AddressError::NotAbsolute),
            (" https://api.example.com", AddressError::NotAbsolute),
            ("https://api.example.com ", AddressError::NotAbsolute),
            ("https://api.exa\tmple.com", AddressError::NotAbsolute),
            ("https://api.example.com/\n", AddressError::NotAbsolute),
            ("https://api.example.com\\x", AddressError::NotAbsolute),
            ("https://api.example.com/\\x", AddressError::NotAbsolute),
            ("https://api%2eexample.com", AddressError::NotAbsolute),
            ("https://api.example.com.", AddressError::NotAbsolute),
            ("https://api..example.com", AddressError::NotAbsolute),
            ("https://api.example.com:", AddressError::NotAbsolute),
            ("https://api.example.com:0", AddressError::NotAbsolute),
            ("https://api.example.com:0444", AddressError::NotAbsolute),
            ("https://api.example.com:65536", AddressError::NotAbsolute),
            ("https://2130706433", AddressError::NotAbsolute),
            ("http://0x7f.1", AddressError::NotAbsolute),
            ("http://127.1", AddressError::NotAbsolute),
            ("http://0177.0.0.1", AddressError::NotAbsolute),
            ("http://[::ffff:127.0.0.1]", AddressError::NotAbsolute),
            ("http://[0:0:0:0:0:0:0:1]", AddressError::NotAbsolute),
            ("http://[::1%25lo]", AddressError::NotAbsolute),
            ("http://[::2]", AddressError::NotSecure),
            ("http://api.example.com", AddressError::NotSecure),
            ("http://127.0.0.1.example.com", AddressError::NotSecure),
            ("http://localhost.example.com", AddressError::NotSecure),
            ("ftp://localhost/x", AddressError::NotSecure),
            ("https://user:pw@example.com", AddressError::HasCredentials),
            ("https://user@example.com", AddressError::HasCredentials),
            ("https://example.com/?x=1", AddressError::HasQuery),
            ("https://example.com/#x", AddressError::HasQuery),
        ] {
            assert_eq!(EndpointUrl::parse(text).unwrap_err(), why, "{text}");
        }
    }

    #[test]
    fn tells_a_redirect_within_from_one_that_leads_away() {
        let base = EndpointUrl::parse("https://api.example.com/v2").unwrap();
        let within = |location| base.path_within("https://api.example.com/v2/a/b", location);
        assert_eq!(within("https://api.example.com/v2/c?x=1"), Some("/c?x=1".into()));
        assert_eq!(within("/v2/c#top"), Some("/c#top".into()));
        assert_eq!(within("c"), Some("/a/c".into()));
        assert_eq!(within("?page=2"), Some("/a/b?page=2".into()));
        assert_eq!(within("https://api.example.com/v2"), Some("/".into()));
        assert_eq!(within("/v2?x"), Some("/?x".into()));
        for away in [
            "https://evil.example/v2/c",
            "//evil.example/v2/c",
            "http://api.example.com/v2/c",
            "https://api.example.com:444/v2/c",
            "https://api.example.com/v3",
            "https://api.example.com/v2x",
            "/v2/../v3/c",
            "https://x@api.example.com/v2/c",
            "https://api.example.com.evil.example/v2",
            "\\\\evil.example/v2",
            "/v2\\..\\..\\v3",
            "/v2/a\n",
            "https:/v2/c",
            "https:c",
            "///api.example.com/v2/c",
            " /v2/c",
            "https://api.example.com./v2/c",
            "javascript:alert(1)",
        ] {
            assert_eq!(within(away), None, "{away}");
        }
    }
}
