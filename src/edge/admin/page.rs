//! The operators' page.

use super::{AdminRequest, READING};
use crate::edge::answer::{Body, Draft, Refused};
use crate::http::Language;
use crate::ports::EdgePorts;

/// The page's policy: it loads its own files and calls this interface, nothing else.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
    img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

// `scripts/build.mjs` makes the page's files: the modules bundled into one script, and a document in
// each language.
const SCRIPT: &str = made(option_env!("PORTEIRO_ADMIN_SCRIPT"), include_str!("page/page.js"));
const STYLE: &str = made(option_env!("PORTEIRO_ADMIN_STYLE"), include_str!("page/page.css"));
const ENGLISH: &str = made(option_env!("PORTEIRO_ADMIN_ENGLISH"), include_str!("page/index.html"));
const PORTUGUESE: &str = made(option_env!("PORTEIRO_ADMIN_PORTUGUESE"), include_str!("page/index.html"));

/// What the build made, or the source: a native build never serves the page.
const fn made(built: Option<&'static str>, source: &'static str) -> &'static str {
    match built {
        Some(text) => text,
        None => source,
    }
}

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
        let language = self.0.language();
        let (content_type, text) = match (name, language) {
            ("page.css", _) => ("text/css; charset=utf-8", STYLE),
            ("page.js", _) => ("text/javascript; charset=utf-8", SCRIPT),
            (_, Language::English) => ("text/html; charset=utf-8", ENGLISH),
            (_, Language::Portuguese) => ("text/html; charset=utf-8", PORTUGUESE),
        };
        let mut draft = Draft::text(200, content_type, String::new());
        if name.is_empty() {
            draft.fields.push("content-language", language.tag());
            draft.vary = Some("Accept-Language".to_owned());
        }
        draft.fields.push("content-security-policy", POLICY);
        // Only the page has this field: a document with both it and a sandbox policy is a network
        // error.
        draft.fields.push("cross-origin-opener-policy", "same-origin");
        draft.body = Body::Page(text.into());
        Ok(draft)
    }
}
