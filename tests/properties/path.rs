use porteiro::http::RequestPath;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use url::Url;

use super::generate;

const PIECES: &[&str] = &[
    "/",
    "/",
    "/",
    ".",
    "..",
    "...",
    "%2e",
    "%2E",
    ";",
    "%3b",
    "%3B",
    "a",
    "b",
    "%41",
    "é",
    "%c3%a9",
    "%",
    "%2",
    "%zz",
    "%25",
    "2e",
    "2f",
    "\\",
    "%2f",
    "%2F",
    "%5c",
    "%5C",
    "%00",
    "%0d",
    "%1F",
    "%7f",
    "%c0%ae",
    "%c0%af",
    "%e0%80%ae",
    "%f0%80%80%af",
    "%252e",
    "%25",
    "%u002e",
    "%u002f",
    "%uff0e",
    "%ef%bc%8e",
    "%ef%bc%8f",
    "%ef%bc%85",
    "%e2%80%a4",
    "%e2%80%a5",
    "%e2%88%95",
    "%c2%a0",
    "%e3%80%80",
    "%e2%80%8b",
    "%c2%85",
    "%a0",
    "%ff",
    "%3f",
    "%23",
    "?",
    "#",
    "@",
    ":",
    "+",
    "~",
    "*",
    " ",
];

/// `segment` after one round of percent-decoding.
fn decoded(segment: &[u8]) -> Vec<u8> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    match segment {
        [] => Vec::new(),
        [b'%', high, low, rest @ ..] if digit(high).is_some() && digit(low).is_some() => {
            let byte = digit(high).unwrap() * 16 + digit(low).unwrap();
            [vec![u8::try_from(byte).unwrap()], decoded(rest)].concat()
        }
        [byte, rest @ ..] => [vec![*byte], decoded(rest)].concat(),
    }
}

/// `bytes` as a decoder of UTF-8 reads them that does not mind overlong forms and
/// leaves out what it cannot read.
fn leniently(bytes: &[u8]) -> String {
    let low = |byte: u8| u32::from(byte & 0x3f);
    let (scalar, rest) = match *bytes {
        [] => return String::new(),
        [a @ 0xc0..=0xdf, b @ 0x80..=0xbf, ref rest @ ..] => (u32::from(a & 0x1f) << 6 | low(b), rest),
        [a @ 0xe0..=0xef, b @ 0x80..=0xbf, c @ 0x80..=0xbf, ref rest @ ..] => {
            (u32::from(a & 0xf) << 12 | low(b) << 6 | low(c), rest)
        }
        [a @ 0xf0..=0xf7, b @ 0x80..=0xbf, c @ 0x80..=0xbf, d @ 0x80..=0xbf, ref rest @ ..] => {
            (u32::from(a & 7) << 18 | low(b) << 12 | low(c) << 6 | low(d), rest)
        }
        [byte, ref rest @ ..] => (if byte.is_ascii() { u32::from(byte) } else { 0xfffd }, rest),
    };
    char::from_u32(scalar).map(String::from).unwrap_or_default() + &leniently(rest)
}

/// `text` after one round of decoding `%uXXXX`.
fn without_units(text: &str) -> String {
    let mut parts = text.split("%u");
    let first = parts.next().unwrap().to_owned();
    parts.fold(first, |out, part| match part.get(..4).and_then(|hex| u32::from_str_radix(hex, 16).ok()) {
        Some(unit) if !part.starts_with('+') => {
            out + &char::from_u32(unit).map(String::from).unwrap_or_default() + &part[4..]
        }
        _ => out + "%u" + part,
    })
}

/// What Unicode has in the place of characters that mean something in a path.
const LIKENESSES: &[(&str, &str)] = &[
    ("\u{ff0e}", "."),
    ("\u{2024}", "."),
    ("\u{fe52}", "."),
    ("\u{2025}", ".."),
    ("\u{ff0f}", "/"),
    ("\u{2215}", "/"),
    ("\u{2044}", "/"),
    ("\u{ff3c}", "\\"),
    ("\u{fe68}", "\\"),
    ("\u{ff1b}", ";"),
    ("\u{ff1f}", "?"),
    ("\u{a0}", " "),
    ("\u{3000}", " "),
    ("\u{2003}", " "),
    ("\u{200b}", ""),
    ("\u{feff}", ""),
    ("\u{ad}", ""),
    ("\u{85}", " "),
];

/// What a server may see of `segment` that decodes up to four times, by each of
/// its habits.
fn seen(segment: &str) -> Vec<String> {
    let mut seen = vec![segment.to_owned()];
    let mut bytes = segment.as_bytes().to_vec();
    for _ in 0..4 {
        bytes = decoded(&bytes);
        let text = leniently(&bytes);
        seen.push(without_units(&text));
        seen.push(text);
    }
    let likened = |text: &String| {
        LIKENESSES.iter().fold(text.clone(), |text, (likeness, meant)| text.replace(likeness, meant))
    };
    let more: Vec<String> = seen.iter().map(likened).collect();
    let again: Vec<String> = more.iter().map(|text| leniently(&decoded(text.as_bytes()))).collect();
    [seen, more, again].concat()
}

/// Whether no server, however it decodes, sees anything but one plain segment.
fn is_plain(segment: &str) -> bool {
    // Three dots are a name where they were sent as such.
    let is_name =
        segment.split(';').next().is_some_and(|name| name.len() > 2 && name.bytes().all(|b| b == b'.'));
    seen(segment).iter().all(|text| {
        let is_bad = |c: char| c.is_ascii_control() || c == '/' || c == '\\';
        let name = text.split([';', '?', '#']).next().unwrap_or_default().trim_matches([' ', '+']);
        let read = name.replace('\u{fffd}', "");
        let is_dots =
            matches!(read.trim_matches([' ', '+']), "." | "..") || (name.is_empty() && !text.contains('+'));
        !text.chars().any(is_bad) && (is_name || !is_dots)
    })
}

/// The segments of `path`, whose last one is no segment where it is empty.
fn segments(path: &str) -> Vec<&str> {
    let mut segments: Vec<&str> = path.split('/').skip(1).collect();
    if segments.last() == Some(&"") {
        segments.pop();
    }
    segments
}

fn plain_segment() -> impl Strategy<Value = String> {
    "[a-z0-9~@:!$&'()*+,=_-]([a-z0-9.;-]|%[2-7][0-9a-b]|%C3%A9|é){0,6}"
        .prop_filter("is no attack by chance", |segment| is_plain(segment) && !ends_a_path(segment))
}

/// Whether a server that decodes first ends the path within `segment`.
fn ends_a_path(segment: &str) -> bool {
    seen(segment).iter().any(|text| text.contains(['?', '#']))
}

/// A spelling of one or two dots, with something behind that is cut off or without.
fn dots() -> impl Strategy<Value = String> {
    let dot = select(&[
        ".",
        ".",
        "%2e",
        "%2E",
        "%252e",
        "%25252E",
        "%u002e",
        "%U002E",
        "%uff0e",
        "%ef%bc%8e",
        "%e2%80%a4",
        "%ef%b9%92",
        "%%32%65",
        "%25u002e",
        "%ef%bc%852e",
    ]);
    let blank = || {
        select(&[
            "",
            "",
            "",
            "%20",
            "%c2%a0",
            "%a0",
            "%e3%80%80",
            "%e2%80%8b",
            "%ef%bb%bf",
            "%ff",
            "+",
            "%2520",
        ])
    };
    let parameters =
        (select(&[";", "%3b", "%3B", "%253b", "%3f", "%23", "%253F", "%ef%bc%9b"]), "([a-z=.]|%2e){0,6}");
    let dots = vec((dot, blank()), 1..=2);
    (blank(), dots, proptest::option::of(parameters)).prop_map(|(blank, dots, parameters)| {
        let dots: String = dots.into_iter().flat_map(|(dot, blank)| [dot, blank]).collect();
        let parameters = parameters.map_or_else(String::new, |(start, rest)| format!("{start}{rest}"));
        format!("{blank}{dots}{parameters}")
    })
}

/// A slash, a backslash or a control character that must not be in a segment.
fn smuggled() -> impl Strategy<Value = String> {
    let byte = prop_oneof![Just(b'/'), Just(b'\\'), 0..0x20_u8, Just(0x7f)];
    let encoded = (byte, any::<bool>(), any::<bool>()).prop_map(|(byte, upper, raw)| match (upper, raw) {
        (_, true) if byte != b'/' => char::from(byte).to_string(),
        (true, _) => format!("%{byte:02X}"),
        (false, _) => format!("%{byte:02x}"),
    });
    let overlong = select(&["%c0%ae", "%C0%AF", "%c1%9C", "%e0%80%AE", "%E0%81%9c", "%f0%80%80%ae"]);
    let more =
        select(&["%252f", "%255C", "%25250a", "%u002f", "%u005c", "%ef%bc%8f", "%ef%bc%bc", "%e2%88%95"]);
    prop_oneof![
        4 => encoded,
        1 => overlong.prop_map(str::to_owned),
        2 => more.prop_map(str::to_owned),
    ]
}

/// One segment of an attack.
fn attack() -> impl Strategy<Value = String> {
    let smuggling = (plain_segment(), smuggled(), proptest::option::of(plain_segment()));
    prop_oneof![
        3 => dots(),
        1 => Just(String::new()),
        3 => smuggling.prop_map(|(start, bad, end)| format!("{start}{bad}{}", end.unwrap_or_default())),
    ]
}

proptest! {
    #![proptest_config(generate::run(3_000))]

    #[test]
    fn takes_no_segment_that_a_server_could_read_otherwise(path in generate::text(PIECES)) {
        for path in [path.clone(), format!("/{path}")] {
            let Ok(taken) = RequestPath::parse(&path) else { continue };
            prop_assert_eq!(taken.as_str(), if path.is_empty() { "/" } else { &path });
            prop_assert!(path.is_empty() || path.starts_with('/'));
            prop_assert!(taken.segments().eq(segments(&path)), "{path:?}");
            for segment in taken.segments() {
                prop_assert!(is_plain(segment), "{segment:?} in {path:?}");
            }
            let count = taken.segments().count();
            for segment in taken.segments().take(count.saturating_sub(1)) {
                prop_assert!(!ends_a_path(segment), "{segment:?} in {path:?}");
            }
        }
    }

    #[test]
    fn takes_every_path_of_plain_segments(plain in vec(plain_segment(), 0..6), slash in any::<bool>()) {
        let end = if slash && !plain.is_empty() { "/" } else { "" };
        let path = format!("/{}{end}", plain.join("/"));
        prop_assert_eq!(RequestPath::parse(&path).map(RequestPath::as_str), Ok(path.as_str()));
    }

    #[test]
    fn refuses_an_attack_however_it_is_written(
        before in vec(plain_segment(), 0..3),
        attack in attack(),
        after in vec(plain_segment(), 0..3),
        slash in any::<bool>(),
    ) {
        let end = if slash || (attack.is_empty() && after.is_empty()) { "/" } else { "" };
        let path = [before, vec![attack], after].concat().join("/");
        prop_assert!(RequestPath::parse(&format!("/{path}{end}")).is_err(), "/{path}{end}");
    }

    #[test]
    fn leaves_the_upstream_and_its_base_path_behind_no_path(
        path in prop_oneof![
            generate::text(PIECES),
            generate::text(&["/", "/..", "..", ".", "%2e", ";", " ", "\\", "a", "é", ":", "@", "%"]),
        ],
    ) {
        for path in [path.clone(), format!("/{path}")] {
            // The runtime has parsed the address: no query, no fragment, no blanks.
            let path = path.replace(['?', '#', ' '], "");
            let Ok(taken) = RequestPath::parse(&path) else { continue };
            let address = format!("https://up.example:8443/base{}", taken.as_str());
            let url = Url::parse(&address).unwrap();
            let origin = url.origin().ascii_serialization();
            prop_assert_eq!(origin, "https://up.example:8443");
            prop_assert!(url.path().starts_with("/base/"), "{path:?} leads to {url}");
            prop_assert!(url.username().is_empty() && url.password().is_none());
            // The address is what was checked: nothing is resolved away.
            let segments = taken.as_str().split('/').count();
            prop_assert_eq!(url.path_segments().unwrap().count(), segments);
        }
    }

    #[test]
    fn survives_any_text_in_a_paths_place(path in generate::any_text()) {
        let _ = RequestPath::parse(&path);
        let _ = RequestPath::parse(&format!("/{path}"));
    }
}
