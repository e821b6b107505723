//! The pages that people see: small, with words in their language, and with a policy of their own.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::edge::answer::{Body, Draft};
use crate::edge::context::Context;
use crate::ports::EdgePorts;

const STYLE: &str = "body{font:1rem/1.5 system-ui,sans-serif;max-width:34rem;margin:4rem auto;padding:0 1rem;\
    color-scheme:light dark}h1{font-size:1.4rem;overflow-wrap:anywhere}button{font:inherit;padding:.6rem 1.2rem}";

/// Where a form leads. Chromium holds the redirect that answers a form to this directive, too, and
/// providers are anywhere.
const FORM_ACTION: &str = "'self' https: http://localhost:* http://127.0.0.1:*";

/// A page with this title, and `body` as HTML behind it.
pub(super) fn draft<P: EdgePorts>(
    context: &Context<'_, P>,
    status: u16,
    title: &str,
    body: &str,
    script: Option<&str>,
) -> Draft<P::Response> {
    let nonce = URL_SAFE_NO_PAD.encode(context.edge.ports.bytes::<16>());
    let language = context.language();
    let title = escaped(title);
    let mut page = format!(
        r#"<!doctype html><html lang="{}"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><meta name="robots" content="noindex"><title>{title}</title><style nonce="{nonce}">{STYLE}</style></head><body><h1>{title}</h1>{body}"#,
        language.tag(),
    );
    let mut policy = format!(
        "default-src 'none'; style-src 'nonce-{nonce}'; base-uri 'none'; frame-ancestors 'none'; form-action {FORM_ACTION}"
    );
    if let Some(script) = script {
        page.extend([r#"<script nonce=""#, &nonce, r#"">"#, script, "</script>"]);
        policy.extend(["; script-src 'nonce-", &nonce, "'"]);
    }
    page.push_str("</body></html>\n");
    let mut draft = Draft::worded(status, "text/html; charset=utf-8", String::new(), language);
    draft.fields.push("content-security-policy", &policy);
    draft.body = Body::Page(page.into());
    draft
}

/// `text` as HTML.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// `json` for a script within a page: nothing in it ends the script.
pub(super) fn in_script(json: &str) -> String {
    json.replace('<', "\\u003c").replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029")
}

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod tests {
    use super::*;

    #[test]
    fn puts_no_markup_of_a_text_into_a_page() {
        let text = r#"<img src=x onerror="a('&')">"#;
        assert_eq!(escaped(text), "&lt;img src=x onerror=&quot;a(&#39;&amp;&#39;)&quot;&gt;");
        assert_eq!(escaped("Padaria São João"), "Padaria São João");
    }

    #[test]
    fn ends_no_script_early() {
        let json = crate::json::text(&"</script><!--\u{2028}");
        let written = in_script(&json);
        assert!(!written.contains(['<', '\u{2028}']), "{written}");
        assert_eq!(serde_json::from_str::<String>(&written).unwrap(), "</script><!--\u{2028}");
    }
}
