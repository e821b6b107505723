//! The operators' page.

use super::{Asked, READING};
use crate::edge::answer::{Body, Draft, Refused};
use crate::ports::Ports;

/// What the page may load and do: its own parts, and this interface.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
    img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The page's script: its modules joined into one, which `scripts/build.mjs` hands over.
const SCRIPT: &str = match option_env!("PORTEIRO_ADMIN_SCRIPT") {
    Some(script) => script,
    // No browser ever loads it from a native build.
    None => include_str!("page/page.js"),
};

impl<P: Ports> Asked<'_, '_, P> {
    /// A part of the page; the page itself has no name.
    pub(in crate::edge) fn page(&self, name: &str) -> Result<Draft<P::Response>, Refused> {
        self.allow(READING)?;
        if name.is_empty() && !self.head.path().ends_with('/') {
            // The page's own parts stand below it.
            let mut draft = Draft::empty(308);
            let address = format!("{}{}/", self.head.own_origin(), self.head.path());
            draft.fields.push("location", &address);
            return Ok(draft);
        }
        let (content_type, text) = match name {
            "page.css" => ("text/css; charset=utf-8", include_str!("page/page.css")),
            "page.js" => ("text/javascript; charset=utf-8", SCRIPT),
            _ => ("text/html; charset=utf-8", include_str!("page/index.html")),
        };
        let mut draft = Draft::text(200, content_type, String::new());
        draft.fields.push("content-security-policy", POLICY);
        // Other answers have none: a document with this and a sandbox is a network error.
        draft.fields.push("cross-origin-opener-policy", "same-origin");
        draft.body = Body::Page(text);
        Ok(draft)
    }
}
