use porteiro::http::RequestHead;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::generate;

const PIECES: &[&str] = &[
    "https://",
    "http://",
    "://",
    "/",
    "?",
    "#",
    "a",
    "broker.example",
    ":",
    ":8787",
    "@",
    "%2e",
    "..",
    "é",
    "&=",
    " ",
];

/// Text that is one line.
fn line(pieces: &'static [&'static str]) -> impl Strategy<Value = String> {
    generate::text(pieces).prop_map(|text| text.replace('\n', ""))
}

fn field() -> impl Strategy<Value = (String, String)> {
    ("[a-z]{1,2}|host", line(&["a", ":", " ", "=", ",", "\r", "é", "http://x"]))
}

proptest! {
    #![proptest_config(generate::run(2_000))]

    #[test]
    fn is_taken_apart_without_losing_a_byte(
        method in line(&["GET", "POST", "get", " ", ":"]),
        (start, rest) in (select(&["", "https://broker.example"]), line(PIECES)),
        fields in vec(field(), 0..5),
    ) {
        let url = format!("{start}{rest}");
        let lines: Vec<String> = fields.iter().map(|(name, value)| format!("{name}:{value}")).collect();
        let text = format!("{method}\n{url}\n{}", lines.join("\n"));
        let head = RequestHead::new(&text);
        prop_assert_eq!((head.method, head.url), (&*method, &*url));

        let query = head.query().map_or_else(String::new, |query| format!("?{query}"));
        let joined = format!("{}{}{query}", head.own_origin(), head.path());
        prop_assert_eq!(&joined, url.split('#').next().unwrap());
        prop_assert!(head.path().is_empty() || head.path().starts_with('/'));
        prop_assert!(!head.path().contains(['?', '#']));
        if !start.is_empty() {
            let authority = head.own_origin().strip_prefix("https://").unwrap();
            prop_assert!(!authority.contains(['/', '?', '#']), "{authority}");
        }

        let read: Vec<(&str, &str)> = head.headers.iter().collect();
        let written: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (&**name, &**value)).collect();
        prop_assert_eq!(&read, &written);
        for (name, _) in &written {
            let first = written.iter().find(|(other, _)| other == name).map(|(_, value)| *value);
            prop_assert_eq!(head.headers.value(name), first);
        }
    }

    #[test]
    fn agrees_with_browsers_on_where_a_call_goes(
        host in "[a-z]{1,5}\\.example(:[1-9][0-9]{3})?",
        rest in "(/[a-z0-9:@.]{1,4}){0,3}/?(\\?[a-z0-9/?:@=&]{0,8})?(#[a-z/?#]{0,4})?",
    ) {
        let address = url::Url::parse(&format!("https://{host}{rest}")).unwrap();
        let text = format!("GET\n{address}\n");
        let head = RequestHead::new(&text);
        prop_assert_eq!(head.own_origin(), address.origin().ascii_serialization());
        prop_assert_eq!((head.path(), head.query()), (address.path(), address.query()));
    }

    #[test]
    fn survives_any_text_in_a_heads_place(text in generate::text(&["\n", ":", "://", "/", "?", "#", "é"])) {
        let head = RequestHead::new(&text);
        let _ = (head.own_origin(), head.path(), head.query(), head.headers.iter().count());
    }
}
