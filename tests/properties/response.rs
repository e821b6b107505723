use std::time::Duration;

use porteiro::config::MAX_LIFETIME;
use porteiro::oauth::{MAX_RESPONSE_BYTES, TokenRefusal, TokenResponse};
use porteiro::token::TokenTypes;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value, json};

use super::generate;

const CANARY: &str = "c4n4ry";

const NAMES: &[&str] = &[
    "access_token",
    "token_type",
    "expires_in",
    "refresh_token",
    "scope",
    "error",
    "error_description",
    "Bearer",
    "invalid_grant",
];

fn read(status: u16, body: &[u8]) -> Result<TokenResponse, TokenRefusal> {
    porteiro::oauth::read(status, body, TokenTypes::Bearer)
}

/// Whether `token` can stand in a header field.
fn can_be_sent(token: &str) -> bool {
    let bytes = token.as_bytes();
    let is_blank = |byte: Option<&u8>| matches!(byte, None | Some(b' ' | b'\t'));
    !is_blank(bytes.first())
        && !is_blank(bytes.last())
        && bytes.iter().all(|byte| *byte == b'\t' || (0x20..0x7f).contains(byte))
}

/// Whether a token endpoint that answers so grants a token.
fn grants(status: u16, body: &Value) -> bool {
    let is_bearer = match &body["token_type"] {
        Value::Null => true,
        Value::String(name) => name.eq_ignore_ascii_case("bearer"),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => false,
    };
    (200..300).contains(&status) && body["access_token"].as_str().is_some_and(can_be_sent) && is_bearer
}

fn check_granted(status: u16, granted: &TokenResponse) {
    assert!((200..300).contains(&status), "granted by {status}");
    assert!(can_be_sent(granted.access_token.expose()), "{:?}", granted.access_token.expose());
    if let Some(life) = granted.expires_in {
        assert!((Duration::from_secs(1)..=MAX_LIFETIME).contains(&life), "lives for {life:?}");
    }
    assert!(granted.refresh_token.as_ref().is_none_or(|token| !token.expose().is_empty()));
}

fn status() -> impl Strategy<Value = u16> {
    prop_oneof![Just(200), 200..300_u16, select(&[199, 300, 302, 400, 401, 403, 429, 500, 503]), any::<u16>()]
}

/// A token, with a mark where it can be taken for one.
fn token() -> impl Strategy<Value = Value> {
    prop_oneof![
        4 => "[!-~]{0,20}".prop_map(|text| Value::from(format!("{CANARY}{text}"))),
        2 => generate::text(&["a", " ", "\t", "\r\n", "\u{0}", "\u{7f}", "é", CANARY]).prop_map(Value::from),
        1 => generate::json(NAMES),
    ]
}

fn body() -> impl Strategy<Value = Value> {
    let token_type = prop_oneof![
        3 => Just(json!("Bearer")),
        1 => select(&["bearer", "BEARER", "bEaReR", "mac", "", "Bearer "]).prop_map(Value::from),
        1 => generate::json(NAMES),
    ];
    let expires_in = prop_oneof![any::<i64>().prop_map(Value::from), generate::json(NAMES)];
    let other = select(NAMES).prop_map(str::to_owned);
    (
        option::weighted(0.9, token()),
        option::weighted(0.7, token_type),
        option::of(expires_in),
        option::of(token()),
        option::of(generate::json(NAMES)),
        vec((other, generate::json(NAMES)), 0..2),
    )
        .prop_map(|(access_token, token_type, expires_in, refresh_token, scope, others)| {
            let mut members: Map<String, Value> = others.into_iter().collect();
            let told = [
                ("access_token", access_token),
                ("token_type", token_type),
                ("expires_in", expires_in),
                ("refresh_token", refresh_token),
                ("scope", scope),
            ];
            for (name, value) in told {
                if let Some(value) = value {
                    members.insert(name.to_owned(), value);
                }
            }
            Value::Object(members)
        })
}

proptest! {
    #![proptest_config(generate::run(2_000))]

    #[test]
    fn survives_any_bytes_at_any_status(status in status(), body in vec(any::<u8>(), 0..200)) {
        if let Ok(granted) = read(status, &body) {
            check_granted(status, &granted);
        }
    }

    #[test]
    fn survives_an_answer_that_was_cut_or_changed(
        status in status(),
        body in body(),
        (at, byte) in (any::<prop::sample::Index>(), any::<u8>()),
        cut in any::<bool>(),
    ) {
        let mut bytes = body.to_string().into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if cut {
            bytes.truncate(at);
        }
        if let Ok(granted) = read(status, &bytes) {
            check_granted(status, &granted);
        }
    }

    #[test]
    fn survives_any_json(status in status(), body in generate::json(NAMES)) {
        prop_assert_eq!(read(status, body.to_string().as_bytes()).is_ok(), grants(status, &body));
    }

    #[test]
    fn grants_a_usable_bearer_token_of_a_2xx_and_nothing_else(status in status(), body in body()) {
        let text = body.to_string();
        let read = read(status, text.as_bytes());
        prop_assert_eq!(read.is_ok(), text.len() <= MAX_RESPONSE_BYTES && grants(status, &body));
        let Ok(granted) = read else { return Ok(()) };
        check_granted(status, &granted);
        prop_assert_eq!(Some(granted.access_token.expose()), body["access_token"].as_str());
        let refresh_token = body["refresh_token"].as_str().filter(|token| !token.is_empty());
        prop_assert_eq!(granted.refresh_token.as_ref().map(porteiro::secret::Secret::expose), refresh_token);
        prop_assert_eq!(granted.scope.as_deref(), body["scope"].as_str());
    }

    #[test]
    fn never_shows_a_token(status in status(), mut body in body()) {
        // A scope is no secret.
        body["scope"] = Value::Null;
        let shown = format!("{:?}", read(status, body.to_string().as_bytes()));
        prop_assert!(!shown.contains(CANARY), "{}", shown);
    }

    #[test]
    fn believes_a_life_of_seconds_up_to_the_longest(
        seconds in prop_oneof![0..5_i64, 0..40_000_000_i64, any::<i64>()],
        fraction in 0..1000_u32,
        as_text in any::<bool>(),
    ) {
        let number = if fraction == 0 { seconds.to_string() } else { format!("{seconds}.{fraction:03}") };
        let number = if as_text { format!("\" {number} \"") } else { number };
        let body = format!(r#"{{"access_token":"t","expires_in":{number}}}"#);
        let life = match u64::try_from(seconds) {
            Err(_) | Ok(0) => None,
            Ok(seconds) => Some(Duration::from_secs(seconds).min(MAX_LIFETIME)),
        };
        prop_assert_eq!(read(200, body.as_bytes()).unwrap().expires_in, life);
    }
}
