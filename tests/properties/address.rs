use porteiro::http::{EndpointUrl, Origin, WebAddress};
use proptest::prelude::*;
use proptest::sample::select;
use url::{Position, Url};

use super::generate;

const PIECES: &[&str] = &[
    "/",
    "/",
    "//",
    ".",
    "..",
    "%2e",
    "%2E%2e",
    "\\",
    "a",
    "v2",
    "v2x",
    "é",
    ";",
    "?",
    "#",
    "@",
    ":",
    ":443",
    ":444",
    "https:",
    "http:",
    "https://",
    "api.example",
    "API.example",
    "evil.example",
    "user",
    "\t",
    "\n",
    " ",
    "%2f",
    "[::1]",
    "127.1",
    "javascript:",
    "%",
    "\u{ff0e}",
    "\u{3002}",
    "x@",
];

const BASES: &[&str] = &[
    "https://api.example",
    "https://api.example/v2",
    "https://api.example/v2/",
    "https://api.example:444/v2/a",
    "https://api.example/v2//",
    "https://api.example/a/../v2",
    "https://api.example/%2e%2e/v2",
    "https://api.example/%76%32;a",
    "http://localhost:1/é",
    "http://127.0.0.1/v2",
    "http://[::1]:2/v2",
];

fn base() -> impl Strategy<Value = EndpointUrl> {
    let generated = "https://[a-z]{1,3}\\.example(:[1-9][0-9]{0,3})?(/([a-z0-9.;%~-]|%2e|é){0,4}){0,3}";
    prop_oneof![2 => select(BASES).prop_map(str::to_owned), 1 => generated]
        .prop_filter_map("is an address", |text| EndpointUrl::parse(&text).ok())
}

/// `text` without capital letters where it has other characters than ASCII:
/// `idna_adapter` asserts in debug builds that no host has both.
fn parsable(text: String) -> String {
    if cfg!(debug_assertions) && !text.is_ascii() { text.to_ascii_lowercase() } else { text }
}

/// Text of pieces of addresses.
fn text() -> impl Strategy<Value = String> {
    generate::text(PIECES).prop_map(parsable)
}

/// The path that every address within `base` begins with.
fn base_path(base: &EndpointUrl) -> String {
    Url::parse(base.as_str()).unwrap().path().trim_end_matches('/').to_owned()
}

fn is_within(base: &EndpointUrl, url: &Url) -> bool {
    let rest = url.path().strip_prefix(&base_path(base));
    url.origin() == Url::parse(base.as_str()).unwrap().origin()
        && url.username().is_empty()
        && url.password().is_none()
        && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Whether `text`, an address or a reference, has nothing that readers of addresses mend: such a
/// `Location` is never lost.
fn is_plain(text: &str) -> bool {
    let is_mended = |c: char| c.is_ascii_control() || c == '\\';
    let whole = if text.starts_with("//") { format!("https:{text}") } else { text.to_owned() };
    let first = whole.split(['/', '?', '#']).next().unwrap_or_default();
    let has_own_form = Url::parse(&whole).is_ok_and(|url| {
        let is_bare = url.username().is_empty() && url.password().is_none();
        let origin = url.origin().ascii_serialization();
        is_bare && whole.starts_with(&origin) && WebAddress::parse(&origin).is_ok()
    });
    !text.contains(is_mended) && text.trim_matches(' ') == text && (!first.contains(':') || has_own_form)
}

proptest! {
    #![proptest_config(generate::run(4_000))]

    #[test]
    fn leads_nowhere_but_below_its_base(
        base in base(),
        current in text(),
        location in text(),
        spelled_out in any::<(bool, bool)>(),
    ) {
        let below = |text: &str| format!("{}{text}", base.as_base());
        let current = below(&if spelled_out.0 { format!("/{current}") } else { current });
        let location = if spelled_out.1 { below(&location) } else { location };
        let target = Url::parse(&current).and_then(|url| url.join(&location));
        let Some(path) = base.path_within(&current, &location) else {
            // Nothing that is within is lost.
            let is_lost = is_plain(&current) && is_plain(&location);
            let is_lost = is_lost && target.is_ok_and(|url| is_within(&base, &url));
            prop_assert!(!is_lost, "{current:?} {location:?}");
            return Ok(());
        };
        prop_assert!(path.starts_with('/'));
        let mut target = target.unwrap();
        let mut led_to = Url::parse(&below(&path)).unwrap();
        prop_assert!(is_within(&base, &led_to), "{led_to}");
        if target.path() == base_path(&base) {
            target.set_path(&format!("{}/", base_path(&base)));
        }
        prop_assert_eq!(&led_to, &target);
        // It is harmless behind any other prefix, too.
        led_to = Url::parse(&format!("https://broker.example/api/x{path}")).unwrap();
        prop_assert!(led_to.path().starts_with("/api/x/"), "{led_to}");
        prop_assert_eq!(led_to.origin().ascii_serialization(), "https://broker.example");
    }

    #[test]
    fn keeps_a_way_below_its_base_as_it_is(
        base in base(),
        way in "(/[a-z0-9~;=-]{1,4}){1,4}/?(\\?[a-z0-9=&/?%-]{0,8})?(#[a-z0-9/?]{0,8})?",
    ) {
        let location = format!("{}{way}", base.as_base());
        prop_assert_eq!(base.path_within(base.as_str(), &location), Some(way.clone()));
        let parsed = Url::parse(&location).unwrap();
        let rooted = &parsed[Position::BeforePath..];
        if !rooted.starts_with("//") {
            prop_assert_eq!(base.path_within(&location, rooted), Some(way));
        }
    }

    #[test]
    fn survives_any_text_in_an_addresses_place(
        base in base(),
        texts in (generate::any_text(), generate::any_text()),
    ) {
        let texts = (parsable(texts.0), parsable(texts.1));
        let _ = base.path_within(&texts.0, &texts.1);
        let _ = base.path_within(base.as_str(), &texts.1);
        let _ = EndpointUrl::parse(&texts.0);
    }

    #[test]
    fn is_secure_and_free_of_credentials_whatever_it_was_read_from(
        text in text(),
        scheme in select(&["", "https://", "http://", "https:", "http://localhost", "https://a.example"]),
    ) {
        let text = format!("{scheme}{text}");
        if let Ok(address) = EndpointUrl::parse(&text) {
            let url = Url::parse(address.as_str()).unwrap();
            let is_local = url.host_str().is_some_and(|host| {
                let starts_or_ends = host.starts_with("127.") || host.ends_with(".localhost");
                starts_or_ends || host == "localhost" || host == "[::1]"
            });
            prop_assert!(url.scheme() == "https" || (url.scheme() == "http" && is_local), "{url}");
            prop_assert!(is_within(&address, &url) && url.query().is_none() && url.fragment().is_none());
            prop_assert!(!address.as_base().ends_with('/') && address.as_str().is_ascii());
        }
        if let Some(origin) = Origin::parse(&text) {
            prop_assert_eq!(origin.as_str(), &text);
            prop_assert_eq!(Url::parse(&text).unwrap().origin().ascii_serialization(), text);
        }
    }
}
