//! Addresses of providers.

use std::fmt;

use url::{Host, Url};

/// The absolute address of a token endpoint or of an upstream.
///
/// The scheme is `https`, or `http` on a loopback host; the address has neither credentials nor a
/// query nor a fragment.
#[derive(Clone, PartialEq, Eq)]
pub struct EndpointUrl {
    url: Url,
    base: String,
}

/// Why an address is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AddressError {
    /// The address is not an absolute URL with an ASCII host.
    NotAbsolute,
    /// The address is neither `https` nor `http` on a loopback host.
    NotSecure,
    /// The address has a user name or a password.
    HasCredentials,
    /// The address has a query or a fragment.
    HasQuery,
}

impl EndpointUrl {
    /// Reads an address.
    ///
    /// # Errors
    /// [`AddressError`]: why the address is refused.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let url = parse_secure(text)?;
        if url.query().is_some() {
            return Err(AddressError::HasQuery);
        }
        let base = url.as_str().trim_end_matches('/').to_owned();
        Ok(Self { url, base })
    }

    /// The address.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.url.as_str()
    }

    /// The address without a trailing slash: no path in `{base}/{path}` can change the origin.
    #[must_use]
    pub fn as_base(&self) -> &str {
        &self.base
    }

    /// The part of `location` below this address, `/path?query#fragment`; `None` where `location`
    /// is outside. It is resolved against `current`, the address of the response (RFC 9110
    /// §10.2.2).
    #[must_use]
    pub fn path_within(&self, current: &str, location: &str) -> Option<String> {
        let target = Url::parse(current).ok()?.join(location).ok()?;
        let elsewhere = target.origin() != self.url.origin()
            || !target.username().is_empty()
            || target.password().is_some();
        if elsewhere {
            return None;
        }
        let rest = target.as_str().strip_prefix(&self.base)?;
        match rest.as_bytes().first() {
            None => Some("/".to_owned()),
            Some(b'/') => Some(rest.to_owned()),
            Some(b'?' | b'#') => Some(format!("/{rest}")),
            Some(_) => None,
        }
    }
}

/// Checks the address of a document: as an [`EndpointUrl`], with an optional query.
///
/// # Errors
/// [`AddressError`]: why the address is refused.
pub fn check_document_url(text: &str) -> Result<(), AddressError> {
    parse_secure(text).map(drop)
}

fn parse_secure(text: &str) -> Result<Url, AddressError> {
    let url = Url::parse(text).map_err(|_| AddressError::NotAbsolute)?;
    let host = url.host().ok_or(AddressError::NotAbsolute)?;
    match url.scheme() {
        "https" => {}
        "http" if is_loopback(&host) => {}
        _ => return Err(AddressError::NotSecure),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(AddressError::HasCredentials);
    }
    if url.fragment().is_some() {
        return Err(AddressError::HasQuery);
    }
    Ok(url)
}

impl fmt::Debug for EndpointUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EndpointUrl({})", self.url)
    }
}

/// Whether `host` is loopback: `localhost`, a name below it, `127.0.0.0/8` or `::1`.
pub(super) fn is_loopback(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => *name == "localhost" || name.ends_with(".localhost"),
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
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
    }

    #[test]
    fn says_what_is_wrong_with_an_address() {
        for (text, why) in [
            ("api.example.com", AddressError::NotAbsolute),
            ("/path", AddressError::NotAbsolute),
            ("https://exämple.com", AddressError::NotAbsolute),
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
            "javascript:alert(1)",
        ] {
            assert_eq!(within(away), None, "{away}");
        }
    }
}
