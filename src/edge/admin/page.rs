//! The operators' page.

use super::{AdminRequest, READING};
use crate::edge::answer::{Body, Draft, Refused};
use crate::ports::EdgePorts;

/// The page's policy: it loads its own files and calls this interface, nothing else.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
    img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The page's script: its modules, bundled into one file by `scripts/build.mjs`.
const SCRIPT: &str = match option_env!("PORTEIRO_ADMIN_SCRIPT") {
    Some(script) => script,
    // A native build never serves the page.
    None => include_str!("page/page.js"),
};

impl<P: EdgePorts> AdminRequest<'_, '_, P> {
    /// A file of the page; the page itself has an empty name.
    pub(in crate::edge) fn page(&self, name: &str) -> Result<Draft<P::Response>, Refused> {
        self.check_method(READING)?;
        if name.is_empty() && !self.0.head.path().ends_with('/') {
            // The page refers to its files by relative addresses.
            let mut draft = Draft::empty(308);
            let address = format!("{}{}/", self.0.head.own_origin(), self.0.head.path());
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
        // Only the page has this field: a document with both it and a sandbox policy is a network
        // error.
        draft.fields.push("cross-origin-opener-policy", "same-origin");
        draft.body = Body::Page(text);
        Ok(draft)
    }
}
