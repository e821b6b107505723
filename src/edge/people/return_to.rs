//! Where a browser goes after a flow or a sign-out: an address of the application.

use url::Url;
use url::form_urlencoded::parse;

use crate::http::Origin;

/// The longest address, in bytes.
const MAX_BYTES: usize = 2048;

/// The parameter by which the application gets the outcome. Names that begin with it and `_` are the
/// broker's, too.
const OWN: &str = "porteiro";

/// An address at the broker's own origin, or at an allowed one.
#[derive(Clone, Debug)]
pub(in crate::edge) struct ReturnTo(Url);

impl ReturnTo {
    /// Reads an absolute address, or a path at `own`, the broker's origin; `None` where its origin is
    /// neither `own` nor allowed, or where it could be read as another address.
    pub fn parse(text: &str, own: &str, allowed: &[Origin]) -> Option<Self> {
        // A URL parser removes some of these, and reads a backslash as a slash.
        if text.len() > MAX_BYTES
            || text.contains(|c: char| c.is_control() || c == '\\')
            || text.trim() != text
        {
            return None;
        }
        let url = if text.starts_with('/') && !text.starts_with("//") {
            Url::parse(own).ok()?.join(text).ok()?
        } else {
            let (scheme, _) = text.split_once("://")?;
            let is_web = scheme.eq_ignore_ascii_case("https") || scheme.eq_ignore_ascii_case("http");
            Url::parse(text).ok().filter(|_| is_web)?
        };
        let origin = url.origin().ascii_serialization();
        let is_known = origin == own || allowed.iter().any(|allowed| allowed.as_str() == origin);
        let is_bare = url.username().is_empty() && url.password().is_none();
        (is_known && is_bare).then_some(Self(url))
    }

    /// The page of the broker's own origin.
    pub fn own(own: &str) -> Option<Self> {
        Url::parse(own).ok().map(Self)
    }

    /// Reads an address that [`ReturnTo::as_str`] wrote.
    pub fn known(text: &str) -> Option<Self> {
        Url::parse(text).ok().map(Self)
    }

    /// The absolute address, in ASCII.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The address's origin, as browsers send it.
    pub fn origin(&self) -> String {
        self.0.origin().ascii_serialization()
    }

    /// The address with these parameters of the broker's own instead of all that it has; the rest of
    /// its query stays as it is written, and its fragment stays.
    pub fn with(&self, own: &[(&str, &str)]) -> String {
        let (before, fragment) =
            self.as_str().split_at(self.as_str().find('#').unwrap_or(self.as_str().len()));
        let (path, query) = before.split_once('?').unwrap_or((before, ""));
        let is_others = |field: &&str| !field.is_empty() && !is_own(field);
        let mut fields: Vec<&str> = query.split('&').filter(is_others).collect();
        let own = crate::form::encode(own.iter().copied());
        fields.push(&own);
        [path, "?", &fields.join("&"), fragment].concat()
    }
}

fn is_own(field: &str) -> bool {
    let name = parse(field.as_bytes()).next().map(|(name, _)| name).unwrap_or_default();
    name.strip_prefix(OWN).is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
}

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod tests {
    use super::*;

    const BROKER: &str = "https://broker.example";

    fn read(text: &str) -> Option<String> {
        let allowed =
            [Origin::parse("https://app.example").unwrap(), Origin::parse("http://localhost:5173").unwrap()];
        ReturnTo::parse(text, BROKER, &allowed).map(|url| url.as_str().to_owned())
    }

    #[test]
    fn takes_addresses_of_known_origins() {
        for (text, url) in [
            ("/", "https://broker.example/"),
            ("/a/b?c=d#e", "https://broker.example/a/b?c=d#e"),
            ("/a/../b", "https://broker.example/b"),
            ("https://broker.example", "https://broker.example/"),
            ("https://app.example/x?y=z", "https://app.example/x?y=z"),
            ("HTTPS://APP.example:443/x", "https://app.example/x"),
            ("http://localhost:5173/#/route", "http://localhost:5173/#/route"),
            ("https://app.example/é?é=é#é", "https://app.example/%C3%A9?%C3%A9=%C3%A9#%C3%A9"),
            ("/@evil.example", "https://broker.example/@evil.example"),
        ] {
            assert_eq!(read(text).as_deref(), Some(url), "{text}");
        }
    }

    #[test]
    fn takes_no_other_address_however_it_is_disguised() {
        let long = format!("/{}", "a".repeat(MAX_BYTES));
        for text in [
            "",
            "a",
            "?a",
            "#a",
            "//evil.example",
            "//broker.example",
            "///evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "/\t/evil.example",
            "/\n/evil.example",
            " //evil.example",
            " https://app.example",
            "https://app.example\u{a0}",
            "https:evil.example",
            "https:/evil.example",
            "https:///evil.example",
            "https:\\\\evil.example",
            "https://app.example\\@evil.example",
            "https://app.example@evil.example",
            "https://user@app.example/",
            "https://:pass@app.example/",
            "https://app.example.evil.example",
            "https://app.example:8443/",
            "http://app.example/",
            "http://broker.example/",
            "https://evil.example/https://app.example",
            "https://app.example%2eevil.example",
            "https://app.example%00.evil.example",
            "https://аpp.example",
            "javascript://app.example/%0aalert(1)",
            "javascript:alert(1)",
            "data:text/html,x",
            "blob:https://app.example/1",
            "filesystem:https://app.example/1",
            "app://https://app.example",
            "null",
            &long,
        ] {
            assert_eq!(read(text), None, "{text:?}");
        }
    }

    #[test]
    fn puts_the_outcome_in_the_place_of_another() {
        let with = |text: &str| {
            let url = ReturnTo::parse(text, BROKER, &[]).unwrap();
            url.with(&[("porteiro", "failed"), ("porteiro_code", "access_denied")])
        };
        for (text, rest) in [
            ("/a", "/a?OUT"),
            ("/a?", "/a?OUT"),
            ("/a?b=c&&d", "/a?b=c&d&OUT"),
            ("/a?b=%2F+%26#f?g=h", "/a?b=%2F+%26&OUT#f?g=h"),
            ("/a?porteiro=connected&b=1&porteiro_ticket=x#f", "/a?b=1&OUT#f"),
            ("/a?%70orteiro=connected&porteiro%5Fcode=x&porteiro", "/a?OUT"),
            ("/a?porteiros=1&x_porteiro=2&Porteiro=3", "/a?porteiros=1&x_porteiro=2&Porteiro=3&OUT"),
            ("/#porteiro=connected", "/?OUT#porteiro=connected"),
        ] {
            let outcome = "porteiro=failed&porteiro_code=access_denied";
            assert_eq!(with(text), format!("{BROKER}{}", rest.replace("OUT", outcome)), "{text}");
        }
    }
}
