use porteiro::form;
use proptest::collection::vec;
use proptest::prelude::*;
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
    fn finds_a_parameter_that_a_reader_of_forms_finds(
        text in generate::text(QUERY_PIECES),
        name in prop_oneof![4 => Just("access_token".to_owned()), 1 => "[a-z_]{1,3}"],
    ) {
        let found = form_urlencoded::parse(text.as_bytes()).any(|(key, _)| key.eq_ignore_ascii_case(&name));
        prop_assert_eq!(form::has_parameter(&text, &name), found);
    }

    #[test]
    fn finds_a_parameter_however_it_is_spelled(
        before in generate::text(&["a", "=", "&", "%"]),
        spelling in vec(0..4_u8, 12),
        value in "(=[a-z%&=]{0,5})?",
    ) {
        let spell = |(letter, spelling): (char, u8)| match spelling {
            0 => letter.to_string(),
            1 => letter.to_ascii_uppercase().to_string(),
            2 => format!("%{:02x}", u32::from(letter)),
            _ => format!("%{:02X}", u32::from(letter.to_ascii_uppercase())),
        };
        let name: String = "access_token".chars().zip(spelling).map(spell).collect();
        let text = format!("{before}&{name}{value}");
        prop_assert!(form::has_parameter(&text, "access_token"), "{text}");
    }

    #[test]
    fn survives_any_text_in_a_querys_place(text in generate::any_text(), name in generate::any_text()) {
        let _ = form::has_parameter(&text, &name);
    }
}
