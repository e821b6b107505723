//! Where a browser goes after a flow or a sign-out: an address of the application.

use form_urlencoded::parse;

use crate::http::{Origin, WebAddress, origin_of};

/// The longest address, in bytes.
const MAX_BYTES: usize = 2048;

/// The parameter by which the application gets the outcome. Names that begin with it and `_` are the
/// broker's, too.
const OWN: &str = "porteiro";

/// An address at the broker's own origin, or at an allowed one.
#[derive(Clone, Debug)]
pub(in crate::edge) struct ReturnTo(String);

impl ReturnTo {
    /// Reads an absolute address, or a path at `own`, the broker's origin; `None` where its origin is
    /// neither `own` nor allowed, or where it could be read as another address.
    pub fn parse(text: &str, own: &str, allowed: &[Origin]) -> Option<Self> {
        // A browser removes some of these, and reads a backslash as a slash.
        if text.len() > MAX_BYTES
            || text.contains(|c: char| c.is_control() || c == '\\')
            || text.trim() != text
        {
            return None;
        }
        let whole = if text.starts_with('/') && !text.starts_with("//") {
            [own, text].concat()
        } else {
            text.to_owned()
        };
        let address = WebAddress::parse(&whole).ok()?;
        let origin = address.origin();
        let is_known = origin == own || allowed.iter().any(|allowed| allowed.as_str() == origin);
        is_known.then(|| Self::known(address.as_str()))
    }

    /// The page of the broker's own origin.
    pub fn own(own: &str) -> Self {
        Self([own, "/"].concat())
    }

    /// Reads an address that [`ReturnTo::as_str`] wrote.
    pub fn known(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The absolute address, in ASCII.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The address's origin, as browsers send it.
    pub fn origin(&self) -> &str {
        origin_of(&self.0)
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
            ("https://app.example?y#z", "https://app.example/?y#z"),
            ("https://app.example/a/%2e%2E/b c", "https://app.example/b%20c"),
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
            "https://app.example:/",
            "https://app.example:8443@evil.example",
            "https://app.example./",
            "https://app.example;evil.example",
            "https://app.example\u{3002}evil.example",
            "https://app.example\u{200b}/",
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
    fn leads_where_a_browser_goes_however_it_is_changed() {
        const PIECES: [&str; 32] = [
            "/",
            "//",
            "\\",
            "?",
            "#",
            "@",
            ":",
            ":443",
            ":8443",
            ".",
            "..",
            "%2e",
            "%40",
            "%00",
            "a",
            "A",
            "evil.example",
            "app.example",
            "broker.example",
            "https:",
            "http://",
            "javascript:",
            "\t",
            "\n",
            " ",
            "\0",
            "\u{a0}",
            "\u{3002}",
            "\u{ff0f}",
            "\u{200b}",
            "é",
            "[::1]",
        ];
        const STARTS: [&str; 6] = [
            "",
            "/",
            "/a/b?c#d",
            "https://app.example",
            "https://broker.example/a",
            "http://localhost:5173/a",
        ];
        let known = [BROKER, "https://app.example", "http://localhost:5173"];
        let mut state: u32 = 1;
        let mut drawn = |below: usize| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 16) as usize % below
        };
        let mut taken = 0;
        for _ in 0..60_000 {
            let mut text: Vec<char> = STARTS[drawn(STARTS.len())].chars().collect();
            for _ in 0..=drawn(4) {
                let at = drawn(text.len() + 1);
                let end = text.len().min(at + drawn(3));
                text.splice(at..end, PIECES[drawn(PIECES.len())].chars());
            }
            // `idna_adapter` asserts in debug builds that no host has other characters and capital letters.
            let text = String::from_iter(text).replace('A', if drawn(2) == 0 { "A" } else { "a" });
            let text = if text.is_ascii() { text } else { text.to_lowercase() };
            let Some(address) = read(&text) else { continue };
            let gone_to = url::Url::parse(BROKER).unwrap().join(&text).unwrap();
            assert_eq!(address, gone_to.as_str(), "{text:?}");
            assert!(known.contains(&&*gone_to.origin().ascii_serialization()), "{text:?}");
            assert!(gone_to.username().is_empty() && gone_to.password().is_none(), "{text:?}");
            assert_eq!(ReturnTo::known(&address).origin(), gone_to.origin().ascii_serialization());
            taken += 1;
        }
        assert!(taken > 5_000, "{taken}");
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
