//! CORS: which pages may call, and what they may read.
//!
//! Source: the Fetch standard's CORS protocol.

use super::Code;
use super::people::cookie;
use crate::config::{Config, is_override};
use crate::http::{FieldLines, HeaderName, Origin, RequestHead};

/// Seconds for which a browser may cache a preflight's answer: Chromium's cap.
const MAX_AGE: &str = "7200";

/// Response fields that a page may read without `Access-Control-Expose-Headers`.
const SAFELISTED: [&str; 6] =
    ["cache-control", "content-language", "content-length", "content-type", "expires", "last-modified"];

/// The page that a request comes from, and what it may do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Cors<'a> {
    page: Page<'a>,
    /// Whether pages may send the session's cookie.
    credentials: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Page<'a> {
    /// The request names no origin.
    Unnamed,
    /// A page of the broker's own origin, in a request without `Origin`.
    Own,
    /// A page of an allowed origin.
    Allowed(&'a str),
    /// A page of another origin.
    Refused,
}

impl<'a> Cors<'a> {
    /// Reads the page that a request comes from. Origins are compared exactly; `null` is never
    /// allowed.
    pub fn read<'c>(head: &RequestHead<'a>, config: impl Fn() -> &'c Config) -> Self {
        let page = Page::read(head, &config);
        Self { page, credentials: matches!(page, Page::Allowed(_)) && config().session.is_some() }
    }

    /// For an address that is not for pages: no page may read the answer.
    pub const fn none() -> Self {
        Self { page: Page::Unnamed, credentials: false }
    }

    /// Whether the request comes from a page of an allowed origin.
    pub const fn is_known_page(&self) -> bool {
        matches!(self.page, Page::Own | Page::Allowed(_))
    }

    /// Fails where the page's origin is not allowed.
    pub const fn check(&self) -> Result<(), Code> {
        if matches!(self.page, Page::Refused) { Err(Code::OriginNotAllowed) } else { Ok(()) }
    }

    /// Fails where another site may have caused the browser to attach an ambient credential: the
    /// session's cookie, or the cookie of Cloudflare Access or another proxy, which replaces it by
    /// a caller's token. A call that may change something must provably come from an allowed page;
    /// a reading call must not be another site's image, script or frame.
    pub fn check_cookie(&self, head: &RequestHead<'_>, config: &Config) -> Result<(), Code> {
        self.check_ambient(head, config, matches!(head.method, "GET" | "HEAD" | "OPTIONS"))
    }

    /// The same for a call that may change something, whatever its method.
    pub fn check_acting(&self, head: &RequestHead<'_>, config: &Config) -> Result<(), Code> {
        self.check_ambient(head, config, false)
    }

    fn check_ambient(&self, head: &RequestHead<'_>, config: &Config, reads: bool) -> Result<(), Code> {
        let field = |name: &str| head.headers.value(name);
        let has_cookie = cookie::has_cookie(&head.headers);
        let is_ambient = has_cookie
            || config.token_fields.iter().map(HeaderName::as_str).any(|name| {
                // Pages set this field themselves.
                name != "authorization" && field(name).is_some()
            });
        if self.is_known_page() || !is_ambient {
            return Ok(());
        }
        let is_fine = if reads {
            let is_link = head.method == "GET"
                && field("sec-fetch-mode") == Some("navigate")
                && field("sec-fetch-dest") == Some("document")
                // A prefetch is no navigation by the person: any page of the site can cause
                // one.
                && field("sec-purpose").is_none();
            let is_cross_origin = matches!(field("sec-fetch-site"), Some("cross-site" | "same-site"));
            is_link || !(is_cross_origin || field("sec-purpose").is_some())
        } else {
            // A program behind such a proxy sends neither a cookie nor fetch metadata.
            !has_cookie && field("sec-fetch-site").is_none()
        };
        if is_fine { Ok(()) } else { Err(Code::CrossSiteRequest) }
    }

    /// Fails where a browser would run the answer, or apply it to a page: if the broker is mounted
    /// on the application's host, an upstream's response would act as the application, and as a
    /// service worker it would outlive the page.
    pub fn check_destination(head: &RequestHead<'_>) -> Result<(), Code> {
        let is_code = matches!(
            head.headers.value("sec-fetch-dest"),
            Some(
                "script"
                    | "style"
                    | "xslt"
                    | "worker"
                    | "sharedworker"
                    | "serviceworker"
                    | "audioworklet"
                    | "paintworklet"
            )
        );
        let is_code = is_code || head.headers.value("service-worker").is_some();
        if is_code { Err(Code::BadRequest) } else { Ok(()) }
    }

    /// Fails where another site may have caused the browser to sign the person in or out. Browsers
    /// send the origin of every such request.
    pub fn check_signing(&self, head: &RequestHead<'_>, config: &Config) -> Result<(), Code> {
        self.check_cookie(head, config)?;
        let is_from_browser = head.headers.value("sec-fetch-site").is_some();
        if self.is_known_page() || !is_from_browser { Ok(()) } else { Err(Code::CrossSiteRequest) }
    }

    /// Lets a page of an allowed origin read the answer with these `fields`.
    pub fn add_to(&self, fields: &mut FieldLines) {
        let Page::Allowed(origin) = self.page else { return };
        let is_hidden = |name: &&str| *name != "set-cookie" && !SAFELISTED.contains(name);
        let exposed: Vec<&str> = fields.headers().iter().map(|(name, _)| name).filter(is_hidden).collect();
        let exposed = exposed.join(", ");
        fields.push("access-control-allow-origin", origin);
        if self.credentials {
            fields.push("access-control-allow-credentials", "true");
        }
        fields.push("access-control-expose-headers", &exposed);
        fields.push("timing-allow-origin", origin);
    }
}

impl<'a> Page<'a> {
    fn read<'c>(head: &RequestHead<'a>, config: impl Fn() -> &'c Config) -> Self {
        let Some(origin) = head.headers.value("origin") else {
            // Browsers send no `Origin` on same-origin GET requests; pages cannot set
            // `Sec-Fetch-Site`.
            let own = head.headers.value("sec-fetch-site") == Some("same-origin");
            return if own && has_sound_origin(head) { Self::Own } else { Self::Unnamed };
        };
        let allowed = config().allowed_origins.iter().any(|allowed| allowed.as_str() == origin)
            || (origin == head.own_origin() && has_sound_origin(head));
        if allowed { Self::Allowed(origin) } else { Self::Refused }
    }
}

/// Whether the request's own origin is trustworthy: `https`, or a loopback name. Another name that
/// resolves to this machine is not (DNS rebinding).
pub(super) fn has_sound_origin(head: &RequestHead<'_>) -> bool {
    Origin::parse(head.own_origin()).is_some()
}

/// Whether the request is a preflight.
pub(super) fn is_preflight(head: &RequestHead<'_>) -> bool {
    head.method == "OPTIONS"
        && head.headers.value("origin").is_some()
        && head.headers.value("access-control-request-method").is_some()
}

/// How many of the requested headers are read.
const MAX_REQUESTED_HEADERS: usize = 64;

/// The fields that answer a preflight: the requested method and headers. A header that is not
/// forwarded is allowed all the same and dropped from the call, so that headers added by a page's
/// monitoring do not fail it. A header that overrides the method or the path is not allowed:
/// dropping it would change the call's meaning.
pub(super) fn preflight_fields(head: &RequestHead<'_>) -> FieldLines {
    let mut lines = FieldLines::default();
    let method = head.headers.value("access-control-request-method").and_then(crate::http::Method::parse);
    if let Some(method) = method.filter(|method| !method.is_never_allowed()) {
        lines.push("access-control-allow-methods", method.as_str());
    }
    let wanted = head.headers.value("access-control-request-headers").unwrap_or_default();
    let wanted =
        wanted.split(',').take(MAX_REQUESTED_HEADERS).filter_map(|name| HeaderName::parse(name.trim()));
    let allowed: Vec<String> =
        wanted.filter(|name| !is_override(name)).map(|name| name.as_str().to_owned()).collect();
    if !allowed.is_empty() {
        lines.push("access-control-allow-headers", &allowed.join(", "));
    }
    lines.push("access-control-max-age", MAX_AGE);
    lines
}
