//! Addresses as browsers and the runtime read them (WHATWG URL), without all that they read in their own way.

use std::net::{Ipv4Addr, Ipv6Addr};

use percent_encoding::percent_encode_byte;

/// Where an `https` or `http` address of this form has its path at the earliest.
const AUTHORITY: usize = "https://".len();

/// An absolute `https` or `http` address in the one notation that the URL standard gives it: scheme and
/// host in lower case, no default port, a path without dot segments, all in ASCII.
///
/// It is strict, where the standard mends what it can: whatever one reader mends and another does not
/// is refused.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WebAddress(String);

/// Why an address is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AddressError {
    /// The address is not an absolute URL with an ASCII host, in the strict form of [`WebAddress`].
    NotAbsolute,
    /// The address is neither `https` nor `http` on a loopback host.
    NotSecure,
    /// The address has a user name or a password.
    HasCredentials,
    /// The address has a query or a fragment.
    HasQuery,
}

impl WebAddress {
    /// Reads an address: `https://host:port/path?query#fragment`, of which port, path, query and
    /// fragment may be missing.
    ///
    /// The host is a name of ASCII letters, digits, `-`, `_` and `.`, without empty labels, or four
    /// decimal numbers, or an IPv6 address as RFC 5952 writes it. Control characters, and backslashes
    /// before the query, are refused, as are blanks around the address.
    ///
    /// # Errors
    /// [`AddressError`], never [`AddressError::HasQuery`].
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let (scheme, rest) = text.split_once("://").ok_or(AddressError::NotAbsolute)?;
        let default_port = match &*scheme.to_ascii_lowercase() {
            "https" => "443",
            "http" => "80",
            other if is_scheme(other) => return Err(AddressError::NotSecure),
            _ => return Err(AddressError::NotAbsolute),
        };
        let (before, after) = rest.split_at(rest.find(['?', '#']).unwrap_or(rest.len()));
        let (authority, path) = before.split_at(before.find('/').unwrap_or(before.len()));
        if text.ends_with(' ') || text.contains(|c: char| c.is_ascii_control()) || before.contains('\\') {
            return Err(AddressError::NotAbsolute);
        }
        if authority.contains('@') {
            return Err(AddressError::HasCredentials);
        }
        let authority = authority.to_ascii_lowercase();
        if !is_authority(&authority) {
            return Err(AddressError::NotAbsolute);
        }
        let mut out = String::with_capacity(text.len() + 1);
        out.push_str(if default_port == "80" { "http://" } else { "https://" });
        let without_port = authority.strip_suffix(default_port).and_then(|host| host.strip_suffix(':'));
        out.push_str(without_port.unwrap_or(&authority));
        push_path(&mut out, path);
        let (query, fragment) = after.split_at(after.find('#').unwrap_or(after.len()));
        push_encoded(&mut out, query, b"'");
        push_encoded(&mut out, fragment, b"`");
        Ok(Self(out))
    }

    /// The address that `reference` stands for in a document or an answer at this one (RFC 3986 §5.2).
    ///
    /// # Errors
    /// As [`WebAddress::parse`].
    pub fn resolve(&self, reference: &str) -> Result<Self, AddressError> {
        let text = &*self.0;
        let path_end = text.find(['?', '#']).unwrap_or(text.len());
        let first = reference.split(['/', '?', '#']).next().unwrap_or_default();
        let end = match reference.as_bytes() {
            // Readers differ in what a colon ends, if not a scheme, and in the blanks that they drop.
            _ if first.contains(':') || first.starts_with(' ') => 0,
            [b'/', b'/', ..] => text.find('/').unwrap_or_default(),
            [b'/', ..] => self.origin().len(),
            [b'?', ..] => path_end,
            [] | [b'#', ..] => text.find('#').unwrap_or(text.len()),
            _ => text.get(..path_end).and_then(|whole| whole.rfind('/')).map_or(0, |slash| slash + 1),
        };
        Self::parse(&[text.get(..end).unwrap_or_default(), reference].concat())
    }

    /// The address.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The address's origin as browsers send it (RFC 6454 §6.2).
    #[must_use]
    pub fn origin(&self) -> &str {
        origin_of(&self.0)
    }
}

/// The origin of the address `text`, which [`WebAddress::as_str`] wrote.
#[must_use]
pub fn origin_of(text: &str) -> &str {
    let path = text.get(AUTHORITY..).and_then(|rest| rest.find('/'));
    path.and_then(|path| text.get(..AUTHORITY + path)).unwrap_or(text)
}

/// Whether `text` is the name of a scheme (RFC 3986 §3.1).
#[must_use]
pub fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'))
}

/// Whether `text` is a host, perhaps with a port, in the one notation of [`WebAddress`]; the port may be
/// the scheme's default.
pub(super) fn is_authority(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port),
        _ => (text, "1"),
    };
    if port.starts_with(['0', '+']) || port.parse::<u16>().is_err() {
        return false;
    }
    if let Some(inner) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        // The standard library writes IPv4 addresses within IPv6 in their own notation.
        return inner
            .parse::<Ipv6Addr>()
            .is_ok_and(|address| address.to_ipv4_mapped().is_none() && address.to_string() == inner);
    }
    let is_in_label = |b: u8| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_');
    let is_label = |label: &str| !label.is_empty() && label.bytes().all(is_in_label);
    // A name whose last label is a number is read as an IPv4 address, in several notations.
    let last = host.rsplit('.').next().unwrap_or_default();
    let is_number = last.starts_with("0x") || last.bytes().all(|b| b.is_ascii_digit());
    host.split('.').all(is_label) && (!is_number || host.parse::<Ipv4Addr>().is_ok())
}

/// Appends `path`, which is empty or begins with `/`, without its dot segments (RFC 3986 §5.2.4).
fn push_path(out: &mut String, path: &str) {
    let start = out.len();
    let mut is_open = true;
    for segment in path.split('/').skip(1) {
        match dots(segment) {
            1 => is_open = true,
            2 => {
                let before = out.get(start..).and_then(|path| path.rfind('/')).unwrap_or_default();
                out.truncate(start + before);
                is_open = true;
            }
            _ => {
                out.push('/');
                push_encoded(out, segment, b"`{}");
                is_open = false;
            }
        }
    }
    if is_open {
        out.push('/');
    }
}

/// The number of dots, plain or percent-encoded, that `segment` consists of; 0 where it has anything else.
fn dots(mut segment: &str) -> usize {
    let mut count = 0;
    while let Some(rest) = [".", "%2e", "%2E"].iter().find_map(|dot| segment.strip_prefix(dot)) {
        segment = rest;
        count += 1;
    }
    if segment.is_empty() { count } else { 0 }
}

/// Appends `text`, with the characters that no part of an address has, and the bytes of `also`,
/// percent-encoded (the URL standard's percent-encode sets).
fn push_encoded(out: &mut String, text: &str, also: &[u8]) {
    for b in text.bytes() {
        if matches!(b, b' ' | b'"' | b'<' | b'>' | 0x80..) || also.contains(&b) {
            out.push_str(percent_encode_byte(b));
        } else {
            out.push(char::from(b));
        }
    }
}
