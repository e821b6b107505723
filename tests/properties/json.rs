//! What is read and written as JSON, against `serde_json`.

use porteiro::json;
use proptest::prelude::*;
use serde::de::IgnoredAny;
use serde_json::Value;

use crate::generate;

const NAMES: &[&str] = &["a", "b", "\"", "\u{1}", "é"];

/// Texts that are almost JSON.
fn text() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        "[0-9.eE+-]{1,8}",
        "-?(0|[1-9][0-9]{0,25})(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?",
        "\"[a-c\\\\\"/bfnrtu0-9A-F\u{1}é😀]{0,12}\"",
        "\"(\\\\u[dD][89a-fA-F][0-9a-f]{2}){1,3}\"",
        Just("true".to_owned()),
        Just("false".to_owned()),
        Just("null".to_owned()),
        Just("nul".to_owned()),
        "[\\[\\]{},: \\n\\t\\r\u{b}\u{a0}]{1,3}",
    ];
    prop_oneof![
        word.clone(),
        (word.clone(), word.clone()).prop_map(|(one, other)| format!("[{one},{other}]")),
        (word.clone(), word.clone()).prop_map(|(one, other)| format!("{{\"a\":{one} , \"b\" :{other}}}")),
        proptest::collection::vec(word, 0..6).prop_map(|words| words.concat()),
    ]
}

/// The value but for the last digits of floats, where `serde_json` is not exact.
fn rounded(value: &Value) -> String {
    match value {
        Value::Number(number) if number.is_f64() => format!("{:.13e}", number.as_f64().unwrap()),
        Value::Array(items) => format!("{:?}", items.iter().map(rounded).collect::<Vec<_>>()),
        Value::Object(members) => {
            format!("{:?}", members.iter().map(|(name, value)| (name, rounded(value))).collect::<Vec<_>>())
        }
        other => other.to_string(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn reads_what_serde_json_reads(text in text()) {
        let expected = serde_json::from_str::<Value>(&text).ok();
        let found = json::parse_last(text.as_bytes()).ok();
        prop_assert_eq!(found.as_ref().map(rounded), expected.as_ref().map(rounded), "{}", text);
        prop_assert_eq!(json::is_json(&text), serde_json::from_str::<IgnoredAny>(&text).is_ok(), "{}", text);
    }

    #[test]
    fn writes_what_serde_json_writes(value in generate::json(NAMES), number in any::<f64>(), text in any::<String>()) {
        for value in [value, number.into(), text.into()] {
            let written = json::text(&value);
            prop_assert_eq!(&written, &serde_json::to_string(&value).unwrap());
            prop_assert_eq!(json::parse(written.as_bytes()), Ok(value));
        }
    }

    #[test]
    fn refuses_what_is_no_text(bytes in proptest::collection::vec(any::<u8>(), 0..8)) {
        let expected = serde_json::from_slice::<Value>(&bytes).ok();
        prop_assert_eq!(json::parse_last(&bytes).ok(), expected);
    }
}
