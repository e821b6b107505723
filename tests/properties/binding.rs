//! Whatever the call, an upstream reads for a bound parameter the caller's own value and no other,
//! as models of how frameworks read queries have it.

use porteiro::http::{ParameterName, PathPattern, QueryBinding, RequestPath, Template};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::generate;

/// A form's decoding: `+` is a blank, what is no escape stays (WHATWG URL §5.1).
fn lenient(text: &str) -> Vec<u8> {
    let (bytes, mut out, mut at) = (text.as_bytes(), Vec::new(), 0);
    while at < bytes.len() {
        let hex = text.get(at + 1..at + 3).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match (bytes[at], hex) {
            (b'%', Some(byte)) if bytes[at + 1] != b'+' => {
                out.push(byte);
                at += 3;
            }
            (b'+', _) => {
                out.push(b' ');
                at += 1;
            }
            (byte, _) => {
                out.push(byte);
                at += 1;
            }
        }
    }
    out
}

fn lossy(text: &str) -> String {
    String::from_utf8_lossy(&lenient(text)).into_owned()
}

/// The same, `None` for an escape that is none.
fn strict(text: &str) -> Option<String> {
    let is_sound = text.split('%').skip(1).all(|rest| {
        rest.len() >= 2 && rest.is_char_boundary(2) && rest[..2].bytes().all(|b| b.is_ascii_hexdigit())
    });
    is_sound.then(|| lossy(text))
}

fn pair(field: &str) -> (&str, &str) {
    field.split_once('=').unwrap_or((field, ""))
}

/// What `parse_str` makes of a query in PHP: the last value of a name counts.
fn php(query: &str, name: &str) -> Vec<String> {
    let mut value = None;
    for field in query.split('&').take(1_000) {
        let (raw, found) = pair(field);
        let decoded = lossy(raw);
        let decoded = decoded.split('\0').next().unwrap().trim_start_matches(' ');
        let (base, index) = match decoded.find('[') {
            Some(0) => continue,
            Some(at) if decoded[at..].contains(']') => (&decoded[..at], true),
            _ => (decoded, false),
        };
        let base: String = base.chars().map(|c| if matches!(c, ' ' | '.' | '[') { '_' } else { c }).collect();
        if base == name {
            value = Some(if index { "an array".to_owned() } else { lossy(found) });
        }
    }
    value.into_iter().collect()
}

/// `Rack::Utils.parse_nested_query`: the first run of characters without brackets is the name.
fn rack(query: &str, name: &str, separators: &[char]) -> Vec<String> {
    let mut values = Vec::new();
    for field in query.split(separators) {
        let (raw, found) = pair(field.trim_start());
        let decoded = lossy(raw);
        let base = decoded.trim_start_matches(['[', ']']).split(['[', ']']).next().unwrap();
        if base == name {
            values.push(if base == decoded { lossy(found) } else { "nested".to_owned() });
        }
    }
    values
}

/// `qs.parse` of Express: all values of a name; what stands in brackets is below it.
fn qs(query: &str, name: &str, dots: bool) -> Vec<String> {
    let decode = |text: &str| strict(text).unwrap_or_else(|| text.replace('+', " "));
    let query = query.replace("%5B", "[").replace("%5b", "[").replace("%5D", "]").replace("%5d", "]");
    let mut values = Vec::new();
    for part in query.split('&').take(1_000) {
        let end = part.find("]=").map(|at| at + 1).or_else(|| part.find('='));
        let (raw, found) = end.map_or((part, ""), |at| (&part[..at], &part[at + 1..]));
        let key = decode(raw);
        let end = key.find('[').filter(|at| key[*at..].contains(']'));
        let end = if dots { [end, key.find('.')].into_iter().flatten().min() } else { end };
        let parent = &key[..end.unwrap_or(key.len())];
        let inner = key.strip_prefix('[').and_then(|rest| rest.split(']').next());
        let root = if parent.is_empty() { inner.unwrap_or_default() } else { parent };
        if root == name {
            values.push(if root == key { decode(found) } else { "nested".to_owned() });
        }
    }
    values
}

/// ASP.NET: names without regard to case; model binders also read what begins with the name and `.`
/// or `[`. The old `HttpUtility` knows `%uXXXX`.
fn aspnet(query: &str, name: &str) -> Vec<String> {
    let mut values = Vec::new();
    for field in query.split('&') {
        let (raw, found) = pair(field);
        let decoded = lossy(&unicode_escapes(raw)).to_lowercase().replace('\u{17F}', "s");
        if decoded == name {
            values.push(lossy(&unicode_escapes(found)));
        } else if decoded.strip_prefix(name).is_some_and(|rest| rest.starts_with(['.', '['])) {
            values.push("nested".to_owned());
        }
    }
    values
}

fn unicode_escapes(text: &str) -> String {
    let mut parts = text.split("%u");
    let mut out = parts.next().unwrap().to_owned();
    for part in parts {
        let unit = part.get(..4).and_then(|hex| u32::from_str_radix(hex, 16).ok()).and_then(char::from_u32);
        match unit {
            Some(c) => {
                out.extend(c.to_string().bytes().map(|byte| format!("%{byte:02X}")));
                out.push_str(&part[4..]);
            }
            None => out.extend(["%u", part]),
        }
    }
    out
}

/// Tomcat's parameters, and Spring's binder, which takes `name.x`, `name[x]` and `name[]` below it.
fn spring(query: &str, name: &str) -> Vec<String> {
    let mut values = Vec::new();
    for field in query.split('&') {
        let (raw, found) = pair(field);
        // A name or value that does not decode is dropped.
        let (Some(decoded), Some(found)) = (strict(raw), strict(found)) else { continue };
        if decoded == name {
            values.push(found);
        } else if decoded.strip_prefix(name).is_some_and(|rest| rest.starts_with(['.', '['])) {
            values.push("nested".to_owned());
        }
    }
    values
}

/// Go's `url.ParseQuery`: a pair with `;` or a wrong escape is dropped. Before Go 1.17 a `;` separated.
fn go(query: &str, name: &str, is_old: bool) -> Vec<String> {
    let mut values = Vec::new();
    for field in query.split(|c| c == '&' || (is_old && c == ';')) {
        let (raw, found) = pair(field);
        match (strict(raw), strict(found)) {
            (Some(decoded), Some(found)) if decoded == name && !field.contains(';') => values.push(found),
            _ => {}
        }
    }
    values
}

/// `URLSearchParams`: a leading `?` is no part of the query.
fn search_params(query: &str, name: &str) -> Vec<String> {
    let pairs = query.strip_prefix('?').unwrap_or(query).split('&').map(pair);
    pairs.filter(|(raw, _)| lossy(raw) == name).map(|(_, found)| lossy(found)).collect()
}

/// The names of path parameters that a server reads which decodes a segment so often before it
/// splits it.
fn path_parameters(segment: &str, rounds: usize) -> Vec<String> {
    let decoded = (0..rounds).fold(segment.to_owned(), |text, _| lossy(&unicode_escapes(&text)));
    let names = decoded.split([';', '?', '&', '\u{37E}', '\u{FF1B}']).skip(1);
    names.map(|parameter| lossy(pair(parameter).0).trim().to_lowercase()).collect()
}

fn readings(query: &str, name: &str) -> Vec<(&'static str, Vec<String>)> {
    vec![
        ("PHP", php(query, name)),
        ("Rack 3", rack(query, name, &['&'])),
        ("Rack 2", rack(query, name, &['&', ';'])),
        ("qs", qs(query, name, false)),
        ("qs with dots", qs(query, name, true)),
        ("ASP.NET", aspnet(query, name)),
        ("Spring", spring(query, name)),
        ("Go", go(query, name, false)),
        ("Go before 1.17", go(query, name, true)),
        ("URLSearchParams", search_params(query, name)),
    ]
}

const PIECES: &[&str] = &[
    "a_b",
    "a_b",
    "a_b=",
    "A_B",
    "a.b",
    "a%2Eb",
    "a+b",
    "a%20b",
    "a[b",
    "a%5Fb",
    "%61_b",
    "a",
    "_b",
    "b",
    "x",
    "x=",
    "=",
    "==",
    "&",
    "&",
    "&",
    "?",
    "?a_b=",
    "%3F",
    "&a_b=",
    "&a_b=own",
    "a_b=own",
    "a_b=other",
    "&amp;",
    ";",
    ";a_b=",
    "[]",
    "[0]",
    "[",
    "]",
    "]=",
    "%5B",
    "%5D",
    "%5d=",
    ".",
    ".x",
    "+",
    "%20",
    "%2B",
    "%00",
    "%26",
    "%3B",
    "%3D",
    "%25",
    "%",
    "%u005F",
    "%FF",
    "%C1%A1",
    "%EF%BC%BF",
    "%E2%80%8B",
    "own",
    "other",
    "o%77n",
    "%zz",
    "#",
    "1",
    "a%CC%81_b",
    "\u{17F}",
    "%09",
    "-",
];

proptest! {
    #![proptest_config(generate::run(20_000))]

    #[test]
    fn gives_no_framework_another_value_than_the_callers_own(
        query in generate::text(PIECES),
        own in prop_oneof![
            3 => Just("own".to_owned()),
            1 => select(&["a b", "a+b", "x&a_b=other", "]=x", "é", "%6F", "a;b", "[]", "100%", "="][..]).prop_map(str::to_owned),
        ],
        any in any::<bool>(),
    ) {
        // A call's address has no other characters than a server's parser leaves.
        let query: String = query.chars().filter(|c| !c.is_control() && !matches!(c, '#' | ' ')).collect();
        let name = |text: &str| ParameterName::parse(text).unwrap();
        let allowed = (!any).then(|| vec![name("x"), name("1"), name("own")]);
        let binding =
            QueryBinding { bound: vec![(name("a_b"), Template::Claim("of".to_owned()))], allowed };
        let claims = |claim: &str| (claim == "of").then(|| own.clone());
        let Some(added) = binding.fit(&query, &claims) else { return Ok(()) };
        let sent = if added.is_empty() { query.clone() } else { format!("{query}&{added}") };
        for (framework, values) in readings(&sent, "a_b") {
            prop_assert_eq!(&values[..], std::slice::from_ref(&own), "{} reads {:?}", framework, sent);
        }
        prop_assert_eq!(binding.without_bound(&format!("/p?{sent}")).contains("a_b"), sent.split('&').any(|field| {
            field.contains("a_b") && !binding.is_bound(pair(field).0)
        }));
    }

    #[test]
    fn leaves_no_path_parameter_with_a_bound_name(
        segment in generate::text(&[
            "x", "/", ";", ";", "%3B", "%253B", "%25253b", "%u003B", "%EF%BC%9B", "%CD%BE", "\u{FF1B}", "?", "%3F", "&", "%26",
            "a_b", "a_b", "A_b=", "a%5Fb", "%61_b=other", "a.b", "=", "%3D", "%", "%zz", "%ff", "%C0%BB", "1", " ", "+", "#",
        ]),
    ) {
        let name = ParameterName::parse("a_b").unwrap();
        let bound = vec![(name, Template::Text("own".to_owned()))];
        let binding = QueryBinding { bound, allowed: None };
        if !binding.is_in_path(&segment) {
            for (part, rounds) in segment.split('/').flat_map(|part| (0..4).map(move |rounds| (part, rounds))) {
                let names = path_parameters(part, rounds);
                prop_assert!(!names.contains(&"a_b".to_owned()), "{segment} after {rounds} rounds: {names:?}");
            }
        }
    }

    #[test]
    fn fits_queries_that_keep_to_the_rule(
        before in vec(select(&["x=1", "1=a_b", "own=%26", "x", ""][..]), 0..4),
        how in select(&["", "a_b=own", "a_b=o%77n", "a_b=%6fwn"][..]),
        after in vec(select(&["x=2", "own"][..]), 0..3),
    ) {
        let name = |text: &str| ParameterName::parse(text).unwrap();
        let allowed = Some(vec![name("x"), name("1"), name("own")]);
        let binding = QueryBinding { bound: vec![(name("a_b"), Template::Text("own".to_owned()))], allowed };
        let query = [before, vec![how], after].concat().join("&");
        let expected = if how.is_empty() { "a_b=own" } else { "" };
        let added = binding.fit(&query, &|_| None);
        prop_assert_eq!(added.as_deref(), Some(expected), "{}", query);
    }

    #[test]
    fn fits_no_segment_but_the_callers_own(
        path in generate::text(&["/", "/", "/c/", "/c/own", "own", "o%77n", "%2f", "..", "%2e", ";", "%3b", "%25", "other", "\\", "+", "%00", "."]),
        own in prop_oneof![
            2 => Just("own".to_owned()),
            1 => generate::text(&["own", "/", "..", "%2f", ";", "?", "#", "\\", "é", " ", "."]),
        ],
    ) {
        let mut template = |segment: &str| (segment == "{claims.of}").then(|| Template::Claim("of".to_owned()));
        let pattern = PathPattern::parse_with("/c/{claims.of}/**", &mut template).unwrap();
        let path = format!("/c/{path}");
        let Ok(checked) = RequestPath::parse(&path) else { return Ok(()) };
        if pattern.fits(checked, &|_| Some(own.clone())) {
            let segment = path.split('/').nth(2).unwrap();
            let plus = segment.replace('+', "%2B");
            prop_assert_eq!(strict(&plus), Some(own.clone()), "{}", path);
            prop_assert!(!own.is_empty() && own != "." && own != ".." && !own.contains(['/', '\\', ';', '%', '?', '#']));
        }
    }
}
