//! The syntax of single values; the error of each check says what to write.

use super::pasted;
use crate::http::{
    AddressError, EndpointUrl, HeaderName, Method, Origin, ParameterName, RequestPath, WebAddress,
    check_document_url, is_field_value, is_scheme,
};

type Checked<T> = Result<T, &'static str>;

/// An address of a provider.
pub(super) fn address(text: &str) -> Checked<EndpointUrl> {
    EndpointUrl::parse(text).map_err(address_problem)
}

const fn address_problem(error: AddressError) -> &'static str {
    match error {
        AddressError::NotAbsolute => "must be an absolute address with an ASCII host",
        AddressError::NotSecure => "must be an https address, or http on a loopback host",
        AddressError::HasCredentials => "must be an address without user name and password",
        AddressError::HasQuery => "must be an address without query and fragment",
    }
}

/// An issuer of tokens, unchanged, since issuers are compared exactly (RFC 8414 §2, RFC 9207 §2.4).
pub(super) fn issuer(text: &str) -> Checked<String> {
    address(text).map(|_| text.to_owned())
}

/// The address of a document, which may have a query.
pub(super) fn document_url(text: &str) -> Checked<String> {
    check_document_url(text).map(|()| text.to_owned()).map_err(address_problem)
}

/// The issuer of a Cloudflare Access team: its name, its domain or its address.
pub(super) fn team_domain(text: &str) -> Checked<String> {
    let address = if text.contains("://") {
        text.strip_suffix('/').unwrap_or(text).to_owned()
    } else if text.contains('.') {
        format!("https://{text}")
    } else {
        format!("https://{text}.cloudflareaccess.com")
    };
    // An origin only, without a path.
    Origin::parse(&address)
        .filter(|_| !text.is_empty() && !text.starts_with('.'))
        .map(|_| address)
        .ok_or("must be the team's domain, as acme.cloudflareaccess.com, in lower case")
}

/// The origin of a front end.
pub(super) fn origin(text: &str) -> Checked<Origin> {
    Origin::parse(text).ok_or(
        "must be an https origin as browsers send it, or http on a loopback host: \
         lower case, no default port, no path, no slash at the end",
    )
}

/// The path that the broker is mounted at; a trailing slash is dropped.
pub(super) fn base_path(text: &str) -> Checked<String> {
    let as_sent = text.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'?' | b'#') && is_in_uri(b));
    match RequestPath::parse(text) {
        Ok(_) if as_sent => Ok(text.strip_suffix('/').unwrap_or(text).to_owned()),
        _ => Err("must be empty or a path like /broker"),
    }
}

/// A text that is not empty.
pub(super) fn filled(text: &str) -> Checked<String> {
    if text.is_empty() { Err("must not be empty") } else { Ok(text.to_owned()) }
}

/// The same for a text issued by a provider, which may be pasted wrong.
pub(super) fn copied(text: &str) -> Checked<String> {
    pasted::check(text)?;
    filled(text)
}

/// The media ranges of an `Accept` field (RFC 9110 §12.5.1); `None` for an empty text.
pub(super) fn media_ranges(text: &str) -> Checked<Option<String>> {
    let is_range = |item: &str| {
        let range = item.split(';').next().unwrap_or_default().trim();
        let is_token = |part: &str| HeaderName::parse(part).is_some();
        range.split_once('/').is_some_and(|(kind, subtype)| is_token(kind) && is_token(subtype))
    };
    match text {
        "" => Ok(None),
        _ if is_field_value(text) && text.split(',').all(is_range) => Ok(Some(text.to_owned())),
        _ => Err("must be media types as in Accept, such as application/json, or empty"),
    }
}

/// Scope tokens (RFC 6749 §3.3).
pub(super) fn scope(text: &str) -> Checked<String> {
    let is_token = |token: &str| {
        !token.is_empty() && token.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'"' | b'\\'))
    };
    if text.split(' ').all(is_token) {
        Ok(text.to_owned())
    } else {
        Err(
            "must be scope names of visible ASCII, without quotes and backslashes, separated by single spaces",
        )
    }
}

/// A resource indicator (RFC 8707 §2).
pub(super) fn resource(text: &str) -> Checked<String> {
    let is_absolute = match text.split_once(':') {
        Some((_, rest)) if rest.starts_with("//") => {
            WebAddress::parse(text) != Err(AddressError::NotAbsolute)
        }
        Some((scheme, rest)) => is_scheme(scheme) && !rest.is_empty(),
        None => false,
    };
    if is_absolute && text.bytes().all(|b| is_in_uri(b) && b != b'#') {
        Ok(text.to_owned())
    } else {
        Err("must be an absolute URI without a fragment")
    }
}

/// The scheme before the token in its header field (RFC 9110 §11.1).
pub(super) fn scheme(text: &str) -> Checked<String> {
    if text.is_empty() || HeaderName::parse(text).is_some() {
        Ok(text.to_owned())
    } else {
        Err("must be one word, or empty for no scheme at all")
    }
}

/// A method that a rule may allow.
pub(super) fn method(text: &str) -> Checked<Method> {
    let method = Method::parse(text).ok_or("must be a method in capital letters")?;
    if method.is_never_allowed() { Err("is a method that is never allowed") } else { Ok(method) }
}

/// What to write in place of what is no path pattern of a rule.
pub(super) const PATH_PATTERN: &str =
    "must be a path that begins with /, * standing for one whole segment and ** for any number at its end";

/// A label of a host name (RFC 1123 §2.1), which stands in an address of the provider.
pub(super) fn host_label(text: &str) -> Checked<String> {
    let is_in_label = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    let is_label = (1..=63).contains(&text.len()) && text.bytes().all(is_in_label);
    if is_label && !text.starts_with('-') && !text.ends_with('-') {
        Ok(text.to_owned())
    } else {
        Err("must be one part of a host name: 1 to 63 letters, digits and hyphens")
    }
}

/// The path of a harmless `GET`, which may have a query.
pub(super) fn probe(text: &str) -> Checked<()> {
    let path = text.split_once('?').map_or(text, |(path, _)| path);
    RequestPath::parse(path).map(drop).map_err(|_| "must be a path of the API")
}

/// A JSON Pointer (RFC 6901 §3).
pub(super) fn json_pointer(text: &str) -> Checked<String> {
    if is_json_pointer(text) {
        Ok(text.to_owned())
    } else {
        Err("must be a JSON Pointer, such as /error/code")
    }
}

/// The name of a query parameter.
pub(super) fn parameter_name(text: &str) -> Checked<ParameterName> {
    ParameterName::parse(text)
        .filter(|_| text.len() <= 256)
        .ok_or("must be a parameter's name of at most 256 bytes, without & = ; + % # and control characters")
}

/// The value of a label.
pub(super) fn label(text: &str) -> Checked<String> {
    if text.is_empty() || text.len() > 256 || text.contains(char::is_control) {
        return Err("must be a text of 1 to 256 bytes without control characters");
    }
    Ok(text.to_owned())
}

/// Whether `text` is a JSON Pointer (RFC 6901 §3).
pub(super) fn is_json_pointer(text: &str) -> bool {
    (text.is_empty() || text.starts_with('/'))
        && text.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']))
}

/// Whether the byte may occur unescaped in a URI (RFC 3986 §2).
const fn is_in_uri(b: u8) -> bool {
    b.is_ascii_graphic() && !matches!(b, b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}')
}

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod tests {
    use super::*;

    #[test]
    fn takes_base_paths_that_a_request_can_begin_with() {
        for (text, path) in
            [("", ""), ("/", ""), ("/broker", "/broker"), ("/broker/", "/broker"), ("/a/b.c", "/a/b.c")]
        {
            assert_eq!(base_path(text).as_deref(), Ok(path));
        }
        for bad in [
            "broker",
            "//",
            "/a//b",
            "/a//",
            "/../a",
            "/%2e%2e",
            "/a?b",
            "/a#b",
            "/a b",
            "/é",
            "/a\\b",
            "/a\n",
            "https://a.example/b",
        ] {
            assert!(base_path(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn takes_scopes_of_the_standards_form() {
        for good in ["offline_access", "a b", "https://x.example/a:b !#$"] {
            assert_eq!(scope(good).as_deref(), Ok(good));
        }
        for bad in ["", " ", "a  b", " a", "a ", "a\tb", "a\"b", "a\\b", "é"] {
            assert!(scope(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn takes_resources_of_the_standards_form() {
        for good in ["https://api.example.com/", "https://api.example.com/a?b=c", "urn:example:api"] {
            assert_eq!(resource(good).as_deref(), Ok(good));
        }
        for bad in [
            "",
            "api",
            "/api",
            "https://a.example/#x",
            "https://a.example/#",
            " https://a.example",
            "https://a.example/{x}",
        ] {
            assert!(resource(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn takes_one_word_or_none_as_scheme() {
        for good in ["", "Bearer", "Token"] {
            assert_eq!(scheme(good).as_deref(), Ok(good));
        }
        for bad in [" ", "Bearer ", "a b", "a:b", "é", "a\n"] {
            assert!(scheme(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn takes_methods_that_can_be_allowed() {
        assert!(method("GET").is_ok() && method("PROPFIND").is_ok());
        for bad in ["", "get", "*", "TRACE", "CONNECT"] {
            assert!(method(bad).is_err(), "{bad}");
        }
    }
}
