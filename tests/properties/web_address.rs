//! The broker's reading of addresses beside that of the `url` crate, which reads as browsers do.

use porteiro::http::{WebAddress, origin_of, shown_origin};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use url::{ParseError, Url};

use super::generate;

/// What readers of addresses have read in different ways, among plain pieces.
const PIECES: &[&str] = &[
    "/",
    "//",
    "///",
    "\\",
    "?",
    "#",
    "@",
    ":",
    ":80",
    ":443",
    ":0443",
    ":65536",
    ":0",
    ":+8",
    ".",
    "..",
    "%2e",
    "%2E.",
    "%00",
    "%2f",
    "%40",
    "%",
    "a",
    "B",
    "a.example",
    "b.example.",
    "..example",
    "localhost",
    "my_host-1",
    "xn--caf-dma",
    "xn--a",
    "127.0.0.1",
    "127.1",
    "0x7f.1",
    "0x",
    "0177.0.0.1",
    "2130706433",
    "256.0.0.1",
    "1.2.3",
    "[::1]",
    "[::1%25eth0]",
    "[::ffff:1.2.3.4]",
    "[0:0:0:0:0:0:0:1]",
    "[2001:db8::A]",
    "[2001:db8:0:1::]",
    "[1:0:0:2:0:0:0:3]",
    "[",
    "]",
    "https:",
    "http://",
    "https://",
    "HTTPS://",
    "javascript:",
    " ",
    "\t",
    "\n",
    "\r",
    "\0",
    "\u{7f}",
    "\u{a0}",
    "\u{ad}",
    "\u{200b}",
    "\u{2024}",
    "\u{3002}",
    "\u{ff0e}",
    "\u{ff0f}",
    "é",
    "'",
    "\"",
    "<",
    ">",
    "`",
    "{",
    "}",
    "^",
    "|",
    "*",
    "!",
    "$",
    "~",
    ";",
    "+",
];

/// `text` without capital letters where it has other characters than ASCII: `idna_adapter` asserts in
/// debug builds that no host has both.
fn parsable(text: String) -> String {
    if cfg!(debug_assertions) && !text.is_ascii() { text.to_ascii_lowercase() } else { text }
}

fn hostile() -> impl Strategy<Value = String> {
    let start = select(&["", "https://", "https://", "http://", "https://a.example", "https:", " https://"]);
    (start, generate::text(PIECES)).prop_map(|(start, text)| parsable([start, &text].concat()))
}

/// A host in its one notation.
fn host() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-z0-9_]{1,3}(-[a-z]{1,2})?\\.[a-z]{2,4}",
        1 => any::<[u8; 4]>().prop_map(|bytes| std::net::Ipv4Addr::from(bytes).to_string()),
        1 => proptest::collection::vec(select(&[0_u16, 0, 0, 1, 0xdb8, 0xffff]), 8).prop_map(|groups| {
            let groups: [u16; 8] = groups.try_into().unwrap();
            format!("[{}]", std::net::Ipv6Addr::from(groups))
        }),
    ]
    .prop_filter("is no IPv4 address within IPv6", |host| !(host.contains(':') && host.contains('.')))
}

/// An address without anything that readers mend.
fn plain() -> impl Strategy<Value = String> {
    let scheme = select(&["https", "http"]);
    let rest = "(:[1-9][0-9]{0,3})?((/([a-zA-Z0-9.;~!$&'()*+,=:@|^`{} -]|%2[eEfF]|é){0,3}){1,4})?\
                (\\?[a-z/?'`{}\\\\ é%]{0,5}x)?(#[a-z/?#'`{}\\\\ é%]{0,5}x)?";
    (scheme, host(), rest).prop_map(|(scheme, host, rest)| {
        let text = format!("{scheme}://{host}{rest}");
        parsable(text.trim_end_matches(' ').to_owned())
    })
}

/// `text` with `piece` at a place of its characters, in the place of as many as `removed`.
fn changed(text: &str, place: Index, piece: &str, removed: usize) -> String {
    let characters: Vec<char> = text.chars().collect();
    let at = place.index(characters.len() + 1);
    let after = characters.iter().skip(at + removed);
    parsable(characters.iter().take(at).copied().chain(piece.chars()).chain(after.copied()).collect())
}

/// Checks that `read` is what a browser reads, `whole`.
fn same(read: &WebAddress, whole: Result<Url, ParseError>) -> Result<(), TestCaseError> {
    let Ok(whole) = whole else {
        // Labels that no internationalised name has: the runtime calls nobody then.
        prop_assert!(read.origin().contains("xn--"), "{read:?}");
        return Ok(());
    };
    prop_assert_eq!(read.as_str(), whole.as_str());
    prop_assert_eq!(read.origin(), whole.origin().ascii_serialization());
    prop_assert_eq!(origin_of(read.as_str()), read.origin());
    prop_assert!(whole.username().is_empty() && whole.password().is_none() && read.as_str().is_ascii());
    // What was read is read again as it is.
    prop_assert_eq!(WebAddress::parse(read.as_str()), Ok(read.clone()));
    Ok(())
}

proptest! {
    #![proptest_config(generate::run(20_000))]

    #[test]
    fn takes_every_plain_address_as_browsers_do(text in plain()) {
        let read = WebAddress::parse(&text);
        prop_assert!(read.is_ok(), "{text:?} {read:?}");
        same(&read.unwrap(), Url::parse(&text))?;
    }

    #[test]
    fn takes_no_hostile_address_for_another(text in hostile()) {
        if let Ok(read) = WebAddress::parse(&text) {
            same(&read, Url::parse(&text))?;
        }
    }

    #[test]
    fn takes_no_changed_address_for_another(
        text in plain(),
        changes in proptest::collection::vec((any::<Index>(), select(PIECES), 0..3_usize), 1..4),
    ) {
        let change = |text: String, (place, piece, removed): &(Index, &str, usize)| {
            changed(&text, *place, piece, *removed)
        };
        let text = changes.iter().fold(text, change);
        if let Ok(read) = WebAddress::parse(&text) {
            same(&read, Url::parse(&text))?;
        }
    }

    #[test]
    fn resolves_a_reference_as_browsers_do(
        base in plain(),
        reference in prop_oneof![
            hostile(),
            generate::text(PIECES).prop_map(parsable),
            "(//a\\.example|/)?([a-z.]{0,3}/){0,3}[a-z.]{0,2}(\\?[a-z/.:]{0,4})?(#[a-z/.:]{0,4})?",
        ],
    ) {
        let read = WebAddress::parse(&base).unwrap().resolve(&reference);
        if let Ok(read) = &read {
            same(read, Url::parse(&base).unwrap().join(&reference))?;
        }
        let is_plain = reference.bytes().all(|b| matches!(b, b'a'..=b'z' | b'/' | b'.' | b'?' | b'#'));
        if is_plain && !reference.starts_with("//") {
            prop_assert!(read.is_ok(), "{base:?} {reference:?} {read:?}");
        }
    }

    #[test]
    fn shows_an_origin_in_the_form_of_browsers_alone(text in prop_oneof![hostile(), plain()]) {
        let shown = shown_origin(&text);
        if shown != "none" && shown != "null" {
            let url = Url::parse(&text);
            let is_origin = url.is_ok_and(|url| url.path().trim_matches('/').is_empty() && url.username().is_empty());
            prop_assert!(is_origin || text.contains("xn--"), "{text:?}");
        }
    }
}
