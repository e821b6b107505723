use porteiro::form;
use porteiro::http::{carries_token, overrides_method};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use url::form_urlencoded::{self, Serializer};

use super::generate;

const PIECES: &[&str] = &[
    "a", "Z", "9", "&", "=", "+", " ", "%", "%26", "%3D", "%2", "*-._", "~", "é", "€", "\u{0}", "\r\n", "\"",
];

const QUERY_PIECES: &[&str] = &[
    "&",
    "&",
    "=",
    "access_token",
    "ACCESS_Token",
    "access",
    "token",
    "_",
    "%5F",
    "%5f",
    "%61ccess",
    "%",
    "x",
    ";",
    "%26",
    "%3D",
];

proptest! {
    #![proptest_config(generate::run(2_000))]

    #[test]
    fn is_read_back_as_it_was_written(
        fields in vec((generate::text(PIECES), generate::text(PIECES)), 0..5),
    ) {
        let text = form::encode(fields.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        let read: Vec<(String, String)> = form_urlencoded::parse(text.as_bytes()).into_owned().collect();
        prop_assert_eq!(&read, &fields);
        prop_assert_eq!(text, Serializer::new(String::new()).extend_pairs(&fields).finish());
    }

    #[test]
    fn finds_a_token_that_a_reader_of_forms_finds(text in generate::text(QUERY_PIECES)) {
        let found = form_urlencoded::parse(text.as_bytes()).any(|(key, _)| key.eq_ignore_ascii_case("access_token"));
        prop_assert!(carries_token(&text) || !found, "{text}");
    }

    #[test]
    fn finds_a_parameter_however_it_is_spelled(
        before in generate::text(&["a", "=", "&", ";", "%"]),
        method in any::<bool>(),
        spelling in vec(0..8_u8, 12),
        around in select(&[("", ""), ("+", ""), ("%20", "%20"), ("", "[]"), ("", "[a]"), ("[", "]"), ("", "%00x"), ("%2B", "")]),
        value in "(=[a-z%&=]{0,5})?",
    ) {
        let spell = |(letter, spelling): (char, u8)| {
            let upper = letter.to_ascii_uppercase();
            match spelling {
                0 => letter.to_string(),
                1 => upper.to_string(),
                2 => format!("%{:02x}", u32::from(letter)),
                3 => format!("%{:02X}", u32::from(upper)),
                4 => format!("%25{:02x}", u32::from(letter)),
                5 => format!("%u{:04x}", u32::from(letter)),
                // What becomes an underscore to PHP, and letters of the full width.
                6 if letter == '_' => [".", "%2E", "+", "%20", "-"][usize::from(method) + before.len() % 4].to_owned(),
                _ if letter == '_' => "%EF%BC%BF".to_owned(),
                _ => char::from_u32(u32::from(letter) - 0x61 + 0xFF41).unwrap().to_string(),
            }
        };
        let name = if method { "_method" } else { "access_token" };
        let spelled: String = name.chars().zip(spelling).map(spell).collect();
        // A blank at the beginning is none of the name.
        prop_assume!(!(method && spelled.starts_with(['+', ' ']) || spelled.starts_with("%20")));
        let text = format!("{before}&{}{spelled}{}{value}", around.0, around.1);
        let finds = if method { overrides_method } else { carries_token };
        prop_assert!(finds(&text), "{text}");
    }

    #[test]
    fn survives_any_text_in_a_querys_place(text in generate::any_text()) {
        let _ = (carries_token(&text), overrides_method(&text));
    }
}
