//! The header fields that no configuration can forward, and why.
//!
//! Each list is one text of names separated by spaces; a name that ends in `*` is a prefix.

use crate::http::HeaderName;

/// Hop-by-hop fields (RFC 9110 §7.6.1).
const HOP_BY_HOP: &str = "connection http2-settings keep-alive proxy-* te trailer transfer-encoding upgrade";

/// Fields of routing and framing, which the runtime sets.
const FRAMING: &str = "content-length expect host";

/// Fields that identify the client of a call: the broker does not disclose it to the upstream.
const ORIGIN_OF_CALL: &str = "\
    access-control-* cdn-loop cf-* cookie cookie2 forwarded origin referer sec-* true-client-ip \
    user-agent via x-forwarded-* x-real-ip";

/// Trace fields: the broker writes `traceparent` itself, and the others may disclose details of the
/// operator's systems to the provider.
const TRACE: &str = "traceparent tracestate baggage";

/// The caller's own credential, consumed by the broker.
const CREDENTIALS: &str = AUTHORIZATION;

/// The field of callers' credentials (RFC 9110 §11.6.2).
pub(super) const AUTHORIZATION: &str = "authorization";

/// Fields that a browser sends by itself.
const PAGE: &str = "access-control-* cookie cookie2 origin referer sec-* user-agent via";

/// Fields that override the method or the path at some servers, and so would bypass the rules.
const OVERRIDES: &str = "\
    http-method* method-override x-http-destinationurl x-http-method* x-http-override x-http-path-override \
    x-method* x-original-host x-original-method x-original-path x-original-uri x-original-url \
    x-override-* x-rewrite-* x-tunnel-* x-tunneled-*";

/// Fields that describe a call's body, preferences and conditions; a token header of that name
/// would replace them.
const REPRESENTATION: &str = "accept accept-* content-* date if-* range";

/// Response fields that would act on the broker's own origin, in the browser or in a cache.
const BROKERS_ORIGIN: &str = "\
    accept-ch access-control-* activate-storage-access alt-svc authentication-info cache-control \
    cdn-cache-control clear-site-data cloudflare-cdn-cache-control content-security-policy \
    content-security-policy-report-only critical-ch cross-origin-* document-policy \
    document-policy-report-only expect-ct expires feature-policy integrity-policy \
    integrity-policy-report-only nel origin-agent-cluster permissions-policy \
    permissions-policy-report-only pragma public-key-pins public-key-pins-report-only \
    referrer-policy refresh report-to reporting-endpoints sec-* service-worker-allowed set-cookie \
    set-cookie2 set-login sourcemap speculation-rules strict-transport-security \
    supports-loading-mode surrogate-control timing-allow-origin www-authenticate \
    x-content-type-options x-frame-options x-sourcemap x-xss-protection";

/// Fields that the broker itself sets on its answers.
const BROKERS_OWN: &str = "location server-timing vary x-request-id";

/// Checks the name of the field that carries the token upstream.
///
/// # Errors
/// The problem, and what to write instead.
pub(super) fn token_field(name: &str) -> Result<HeaderName, &'static str> {
    checked(name, &[HOP_BY_HOP, FRAMING, ORIGIN_OF_CALL, TRACE, OVERRIDES, REPRESENTATION, "set-cookie"])
}

/// Checks the name of a field of a login.
///
/// # Errors
/// The problem, and what to write instead.
pub(super) fn login_field(name: &str) -> Result<HeaderName, &'static str> {
    checked(name, &[HOP_BY_HOP, FRAMING])
}

/// Checks the name of the field in which a caller sends its credential.
///
/// # Errors
/// The problem, and what to write instead.
pub(super) fn credential_field(name: &str) -> Result<HeaderName, &'static str> {
    checked(name, &[HOP_BY_HOP, FRAMING, TRACE, OVERRIDES, REPRESENTATION, PAGE])
}

/// Checks the name of a further field forwarded to the upstream; `token` is the field that carries
/// the token, if known.
///
/// # Errors
/// The problem, and what to write instead.
pub(super) fn request_field(name: &str, token: Option<&HeaderName>) -> Result<HeaderName, &'static str> {
    let token = token.map_or("authorization", HeaderName::as_str);
    checked(name, &[HOP_BY_HOP, FRAMING, ORIGIN_OF_CALL, TRACE, CREDENTIALS, OVERRIDES, token])
}

/// Checks the name of a further field forwarded from the upstream.
///
/// # Errors
/// The problem, and what to write instead.
pub(super) fn response_field(name: &str) -> Result<HeaderName, &'static str> {
    checked(name, &[HOP_BY_HOP, BROKERS_ORIGIN, BROKERS_OWN])
}

fn checked(name: &str, forbidden: &[&str]) -> Result<HeaderName, &'static str> {
    let name = HeaderName::parse(name).ok_or("must be a header field's name")?;
    if forbidden.iter().any(|list| is_among(list, name.as_str())) {
        return Err("is a header field that the broker keeps to itself: name another one");
    }
    Ok(name)
}

/// Whether the field `name` overrides the method or the path at some servers.
#[must_use]
pub fn is_override(name: &HeaderName) -> bool {
    is_among(OVERRIDES, name.as_str())
}

/// Whether a server could read one name, in lower case, as the other.
pub(super) fn is_same(one: &str, other: &str) -> bool {
    one.len() == other.len() && one.bytes().map(read).eq(other.bytes().map(read))
}

/// Whether `list` covers `name`. Behind a gateway (CGI, WSGI, Rack) `X_Y` and
/// `X-Y` are one field.
fn is_among(list: &str, name: &str) -> bool {
    list.split(' ').any(|pattern| covers(pattern, name))
}

fn covers(pattern: &str, name: &str) -> bool {
    let (start, is_whole) = pattern.strip_suffix('*').map_or((pattern, true), |start| (start, false));
    name.len() >= start.len()
        && (!is_whole || name.len() == start.len())
        && name.bytes().map(read).zip(start.bytes().map(read)).all(|(one, other)| one == other)
}

/// A byte of a name as a gateway reads it.
const fn read(b: u8) -> u8 {
    if b == b'_' { b'-' } else { b }
}

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod tests {
    use super::*;

    #[test]
    fn carries_the_token_in_a_field_of_its_own() {
        for good in ["Authorization", "X-Api-Key"] {
            assert!(token_field(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "a b",
            "a:",
            "Host",
            "Cookie",
            "Content-Length",
            "Content-Type",
            "Via",
            "User-Agent",
            "Connection",
            "Transfer-Encoding",
            "Proxy-Authorization",
            "X-Forwarded-For",
            "Sec-Fetch-Site",
            "Accept",
            "If-Match",
            "traceparent",
        ] {
            assert!(token_field(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn lets_nothing_through_that_tells_on_the_caller_or_goes_around_the_rules() {
        let token = HeaderName::parse("X-Api-Key").unwrap();
        for good in ["X-Tenant", "Accept-Version", "Content-MD5"] {
            assert!(request_field(good, Some(&token)).is_ok(), "{good}");
        }
        for bad in [
            "",
            "é",
            "Cookie",
            "Authorization",
            "Proxy-Authorization",
            "X-API-KEY",
            "Origin",
            "Referer",
            "Forwarded",
            "X-Forwarded-Host",
            "CF-Connecting-IP",
            "Sec-Fetch-Mode",
            "Via",
            "Host",
            "Content-Length",
            "User-Agent",
            "Connection",
            "Keep-Alive",
            "TE",
            "Trailer",
            "Transfer-Encoding",
            "Upgrade",
            "X-HTTP-Method-Override",
            "X_HTTP_Method_Override",
            "X-HTTP-Method",
            "X-Method-Override",
            "X-Original-URL",
            "X-Original-URI",
            "X-Rewrite-URL",
            "x_forwarded_for",
            "X_Api_Key",
            "cf_connecting_ip",
            "transfer_encoding",
            "traceparent",
            "tracestate",
            "Baggage",
        ] {
            assert!(request_field(bad, Some(&token)).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn lets_nothing_back_that_acts_on_the_brokers_origin() {
        for good in ["X-Total-Count", "Content-Length", "X-Powered-By"] {
            assert!(response_field(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "Set-Cookie",
            "Set-Cookie2",
            "WWW-Authenticate",
            "Proxy-Authenticate",
            "Access-Control-Allow-Origin",
            "Strict-Transport-Security",
            "Content-Security-Policy",
            "Content-Security-Policy-Report-Only",
            "Clear-Site-Data",
            "Alt-Svc",
            "NEL",
            "Report-To",
            "Reporting-Endpoints",
            "Service-Worker-Allowed",
            "Refresh",
            "X-Frame-Options",
            "X-Request-Id",
            "Server-Timing",
            "Cache-Control",
            "Timing-Allow-Origin",
            "Cross-Origin-Opener-Policy",
            "Origin-Agent-Cluster",
            "Permissions-Policy",
            "Connection",
            "Trailer",
        ] {
            assert!(response_field(bad).is_err(), "{bad:?}");
        }
    }
}
