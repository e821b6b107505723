//! Web origins.

use std::fmt;
use std::net::Ipv4Addr;

use super::web_address::{AddressError, WebAddress, is_authority};

/// The longest origin that a log line shows, in bytes: `https://`, a host name of 253 bytes, and a port.
const MAX_SHOWN: usize = 267;

/// The origin of a front end, compared exactly and never by pattern
/// (RFC 6454 §6.2).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Origin(String);

impl Origin {
    /// Reads an origin in the exact form that browsers send: scheme, host in lower case, and port
    /// unless it is the scheme's default; `https`, or `http` on a loopback host. No path, no
    /// trailing slash, not `null`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let address = WebAddress::parse(text).ok()?;
        (is_private(text) && address.origin() == text).then(|| Self(text.to_owned()))
    }

    /// The origin in the form that browsers send.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The origin that a request names, as a log line may show it: one of any scheme in the form of
/// RFC 6454 §6.2, or `null`. Any other text may be anything, and is shown as `none`.
#[must_use]
pub fn shown_origin(sent: &str) -> &str {
    if sent == "null" || is_serialized(sent) { sent } else { "none" }
}

fn is_serialized(text: &str) -> bool {
    let is_origin = match WebAddress::parse(text) {
        Ok(address) => address.origin() == text,
        // The scheme is another one, written as a scheme is.
        Err(AddressError::NotSecure) => text.split_once("://").is_some_and(|(scheme, authority)| {
            is_authority(authority) && !scheme.contains(|c: char| c.is_ascii_uppercase())
        }),
        Err(_) => false,
    };
    text.len() <= MAX_SHOWN && is_origin
}

/// Whether requests to `origin`, in the runtime's notation, are safe from eavesdropping: `https`,
/// or a loopback host (W3C Secure Contexts §3.1).
#[must_use]
pub fn is_private(origin: &str) -> bool {
    let Some(authority) = origin.strip_prefix("http://") else { return origin.starts_with("https://") };
    if let Some(port) = authority.strip_prefix("[::1]") {
        return port.is_empty() || port.starts_with(':');
    }
    let host = authority.split(':').next().unwrap_or_default();
    host == "localhost"
        || host.ends_with(".localhost")
        || host.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod tests {
    use super::*;

    #[test]
    fn tells_where_nobody_between_can_read() {
        for private in [
            "https://broker.example",
            "https://broker.example:8443",
            "http://localhost",
            "http://localhost:8787",
            "http://broker.localhost:1",
            "http://127.0.0.1:8787",
            "http://127.9.8.7",
            "http://[::1]",
            "http://[::1]:8787",
        ] {
            assert!(is_private(private), "{private}");
        }
        for public in [
            "",
            "http://broker.example",
            "http://broker.example:443",
            "http://192.168.0.2:8787",
            "http://localhost.example",
            "http://notlocalhost",
            "http://127.0.0.1.example",
            "http://127.0.0.1@evil.example",
            "http://[::1].example",
            "http://[::2]",
            "http://[::ffff:127.0.0.1]",
            "http://0.0.0.0:8787",
            "ftp://localhost",
            "HTTP://localhost",
        ] {
            assert!(!is_private(public), "{public}");
        }
    }

    #[test]
    fn shows_an_origin_and_no_other_text() {
        for shown in [
            "https://app.example.com",
            "http://app.example.com",
            "https://app.example.com:8443",
            "http://localhost:5173",
            "http://[::1]:3000",
            "https://xn--caf-dma.example",
            "https://my_app.example",
            "capacitor://localhost",
            "chrome-extension://abcdefghijklmnopabcdefghijklmnop",
            "null",
        ] {
            assert_eq!(shown_origin(shown), shown);
        }
        let long = format!("https://{}.example", "a".repeat(253));
        for hidden in [
            "",
            "*",
            "none",
            "app.example.com",
            "https://app.example.com/",
            "https://app.example.com/maria",
            "https://app.example.com?cpf=12345678900",
            "https://app.example.com#maria",
            "https://maria:secret@app.example.com",
            "https://app.example.com https://maria.example",
            "https://App.example.com",
            "https://maria%40.example",
            "https://caf\u{e9}.example",
            "https://a\",\"b\":\"c.example",
            "https://a\n.example",
            "https://app.example.com:maria",
            "https://app.example.com:",
            "https://app.example.com:123456",
            "https://[maria]",
            "https://[::1]maria",
            "https://[::1",
            "https://",
            "://app.example.com",
            "1https://app.example.com",
            "eyJhbGciOiJub25lIn0.e30.",
            "Bearer secret",
            &long,
        ] {
            assert_eq!(shown_origin(hidden), "none", "{hidden:?}");
        }
    }

    #[test]
    fn takes_what_a_browser_sends() {
        for good in [
            "https://app.example.com",
            "https://app.example.com:8443",
            "http://localhost:5173",
            "http://127.0.0.1:3000",
            "http://[::1]:3000",
        ] {
            assert!(Origin::parse(good).is_some(), "{good}");
        }
    }

    #[test]
    fn refuses_what_no_browser_sends() {
        for bad in [
            "null",
            "*",
            "",
            "https://app.example.com/",
            "https://app.example.com:443",
            "https://APP.example.com",
            "http://app.example.com",
            "https://app.example.com/path",
            "https://user@app.example.com",
            "app.example.com",
            "https://*.example.com",
            "file:///x",
        ] {
            assert!(Origin::parse(bad).is_none(), "{bad:?}");
        }
    }
}
