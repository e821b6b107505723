//! The browser's boundary: which pages may call, and what they may read.
//!
//! Source: the Fetch standard's CORS protocol.

use super::Code;
use super::people::cookie;
use crate::config::{Config, is_override};
use crate::http::{FieldLines, HeaderName, Origin, RequestHead};

/// Seconds for which a browser may keep a preflight's answer: what Chromium
/// caps it at.
const MAX_AGE: &str = "7200";

/// Fields that a page may read without their being exposed.
const SAFELISTED: [&str; 6] =
    ["cache-control", "content-language", "content-length", "content-type", "expires", "last-modified"];

/// Where a request says that it comes from, and what that lets it do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Cors<'a> {
    page: Page<'a>,
    /// Whether pages may call with the session's cookie.
    credentials: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Page<'a> {
    /// No page's origin is told.
    Untold,
    /// A page of the broker's own origin, by a request that needs no `Origin`.
    Own,
    /// A page of an allowed origin.
    Allowed(&'a str),
    /// A page that may not call.
    Refused,
}

impl<'a> Cors<'a> {
    /// Reads where a request comes from. The origin is compared exactly;
    /// `null` is never allowed.
    pub fn read(head: &RequestHead<'a>, config: &Config) -> Self {
        Self { page: Page::read(head, config), credentials: config.session.is_some() }
    }

    /// That of an address which is no page's: whatever calls may not read the
    /// answer from a page.
    pub const fn none() -> Self {
        Self { page: Page::Untold, credentials: false }
    }

    /// Whether the request comes from a page that may call.
    pub const fn is_known_page(&self) -> bool {
        matches!(self.page, Page::Own | Page::Allowed(_))
    }

    /// Fails where the origin may not call.
    pub const fn check(&self) -> Result<(), Code> {
        if matches!(self.page, Page::Refused) { Err(Code::OriginNotAllowed) } else { Ok(()) }
    }

    /// Fails where another site may have made the browser send the session's
    /// cookie, or the one of Cloudflare Access or another proxy that puts a
    /// caller's token in its place. A call
    /// that may change something comes provably from a page that may call; one
    /// that reads is no other site's image, script or frame.
    pub fn check_cookie(&self, head: &RequestHead<'_>, config: &Config) -> Result<(), Code> {
        let field = |name: &str| head.headers.value(name);
        let has_cookie = cookie::has_cookie(&head.headers);
        let is_ambient = has_cookie
            || config.token_fields.iter().map(HeaderName::as_str).any(|name| {
                // A page itself puts its token there.
                name != "authorization" && field(name).is_some()
            });
        if self.is_known_page() || !is_ambient {
            return Ok(());
        }
        let is_fine = match head.method {
            "GET" | "HEAD" | "OPTIONS" => {
                let is_link = head.method == "GET"
                    && field("sec-fetch-mode") == Some("navigate")
                    && field("sec-fetch-dest") == Some("document")
                    // Nobody followed it: any page of the site may have it loaded ahead.
                    && field("sec-purpose").is_none();
                let is_elsewheres = matches!(field("sec-fetch-site"), Some("cross-site" | "same-site"));
                is_link || !(is_elsewheres || field("sec-purpose").is_some())
            }
            // A program behind such a proxy is no browser, and has no cookie.
            _ => !has_cookie && field("sec-fetch-site").is_none(),
        };
        if is_fine { Ok(()) } else { Err(Code::CrossSiteRequest) }
    }

    /// Fails where a browser would run or apply the answer as a part of a page:
    /// mounted on the application's own host, whatever an upstream sends would
    /// act as that application, and a service worker would outlive the page.
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

    /// Fails where another site may have made the browser sign somebody in or
    /// out. A browser names the origin of every such request.
    pub fn check_signing(&self, head: &RequestHead<'_>, config: &Config) -> Result<(), Code> {
        self.check_cookie(head, config)?;
        let is_browsers = head.headers.value("sec-fetch-site").is_some();
        if self.is_known_page() || !is_browsers { Ok(()) } else { Err(Code::CrossSiteRequest) }
    }

    /// Lets an allowed origin's page read the answer that has `fields`.
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
    fn read(head: &RequestHead<'a>, config: &Config) -> Self {
        let Some(origin) = head.headers.value("origin") else {
            // Browsers send no Origin on same-origin GET requests; pages
            // cannot set Sec-Fetch-Site.
            let own = head.headers.value("sec-fetch-site") == Some("same-origin");
            return if own && has_sound_origin(head) { Self::Own } else { Self::Untold };
        };
        let allowed = config.allowed_origins.iter().any(|allowed| allowed.as_str() == origin)
            || (origin == head.own_origin() && has_sound_origin(head));
        if allowed { Self::Allowed(origin) } else { Self::Refused }
    }
}

/// Whether the broker was called at an address that can be its own: `https`,
/// or on this machine. A page of another name that resolves to this machine
/// (DNS rebinding) does not count.
pub(super) fn has_sound_origin(head: &RequestHead<'_>) -> bool {
    Origin::parse(head.own_origin()).is_some()
}

/// Whether the request is a preflight.
pub(super) fn is_preflight(head: &RequestHead<'_>) -> bool {
    head.method == "OPTIONS"
        && head.headers.value("origin").is_some()
        && head.headers.value("access-control-request-method").is_some()
}

/// How many of the headers asked for are looked at.
const MOST_ASKED: usize = 64;

/// The fields that answer a preflight: the method asked for, and the headers asked
/// for. What does not pass is dropped from the call, so that it may come: what
/// a page's monitoring adds is no reason not to serve it. A header that would
/// have another method or path carried out may not: without it the call is
/// another one than the page meant.
pub(super) fn preflight_fields(head: &RequestHead<'_>) -> FieldLines {
    let mut lines = FieldLines::default();
    let method = head.headers.value("access-control-request-method").and_then(crate::http::Method::parse);
    if let Some(method) = method.filter(|method| !method.is_never_allowed()) {
        lines.push("access-control-allow-methods", method.as_str());
    }
    let wanted = head.headers.value("access-control-request-headers").unwrap_or_default();
    let wanted = wanted.split(',').take(MOST_ASKED).filter_map(|name| HeaderName::parse(name.trim()));
    let allowed: Vec<String> =
        wanted.filter(|name| !is_override(name)).map(|name| name.as_str().to_owned()).collect();
    if !allowed.is_empty() {
        lines.push("access-control-allow-headers", &allowed.join(", "));
    }
    lines.push("access-control-max-age", MAX_AGE);
    lines
}
