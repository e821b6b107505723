use std::time::Duration;

use porteiro::config::{Config, Grant, Login, MAX_LIFETIME};
use porteiro::http::Headers;
use porteiro::oauth::{LoginAnswer, TokenRefusal, TokenResponse, read_login};
use porteiro::time::UnixTime;
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::generate;

const NAMES: &[&str] = &["token", "data", "in", "at", "ok", "2026-11-29T10:00:00-03:00", "1795957200"];

/// 2026-11-29T12:00:00Z.
const SENT_AT: UnixTime = UnixTime::from_millis(1_795_953_600_000);

/// Runs `check` with the login of a configured connection.
fn with_login<T>(check: impl FnOnce(&Login) -> T) -> T {
    let variables = json!({
        "SEALING_KEYS": "k1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        "CALLERS": {"web": {"kind": "anyone"}},
        "CONNECTIONS": {"x": {
            "provider": "custom",
            "base_url": "https://x.example",
            "token_url": "https://x.example/login",
            "grant": "login",
            "login": {
                "token": "/data/token",
                "expires_in": "/data/in",
                "expires_at": "/data/at",
                "rejected": [{"status": 200, "json": "/ok", "in": [false]}]
            },
            "rules": [{"callers": ["web"], "methods": ["GET"], "paths": ["/**"]}]
        }}
    });
    let config = Config::from_variables(variables.as_object().unwrap().clone());
    let problems = config.problems();
    assert_eq!(problems, []);
    let grant = &config.connection("x").unwrap().usable().unwrap().grant;
    let Grant::Login { login, .. } = grant else { panic!("{grant:?}") };
    check(login)
}

fn read(status: u16, body: &[u8]) -> Result<TokenResponse, TokenRefusal> {
    with_login(|login| read_login(login, &LoginAnswer { status, headers: Headers::new(""), body }, SENT_AT))
}

/// Checks what was granted; returns the token's life.
fn check_granted(status: u16, granted: &TokenResponse) -> Option<Duration> {
    assert!((200..300).contains(&status), "granted by {status}");
    let token = granted.access_token.expose();
    assert!(!token.is_empty() && token.trim() == token);
    assert!(token.bytes().all(|byte| byte == b'\t' || (b' '..=b'~').contains(&byte)), "{token:?}");
    let life = granted.expires_in;
    assert!(life.is_none_or(|life| (Duration::from_secs(1)..=MAX_LIFETIME).contains(&life)), "{life:?}");
    life
}

proptest! {
    #![proptest_config(generate::run(1_000))]

    #[test]
    fn survives_any_bytes_at_any_status(status in any::<u16>(), body in vec(any::<u8>(), 0..200)) {
        if let Ok(granted) = read(status, &body) {
            check_granted(status, &granted);
        }
    }

    #[test]
    fn survives_any_json(
        status in prop_oneof![4 => Just(200_u16), 1 => any::<u16>()],
        token in prop_oneof![3 => generate::any_text().prop_map(Value::from), 1 => generate::json(NAMES)],
        (life, until) in (generate::json(NAMES), generate::json(NAMES)),
        other in generate::json(NAMES),
    ) {
        let body = json!({"data": {"token": token, "in": life, "at": until}, "ok": other});
        if let Ok(granted) = read(status, body.to_string().as_bytes()) {
            check_granted(status, &granted);
            prop_assert_eq!(body["data"]["token"].as_str(), Some(granted.access_token.expose()));
            prop_assert!(other != false);
        }
        let other = other.to_string();
        if let Ok(granted) = read(status, other.as_bytes()) {
            check_granted(status, &granted);
        }
    }

    #[test]
    fn survives_any_text_as_a_time(
        text in generate::text(&["2026", "-", "11", "29", "T", "t", " ", "10", ":", "00", "Z", "+", "-03:00", ".", "é"]),
    ) {
        let body = json!({"data": {"token": "t", "at": text}});
        check_granted(200, &read(200, body.to_string().as_bytes()).unwrap());
    }

    #[test]
    fn reads_one_instant_in_every_notation(
        seconds in 1..30_000_000_u64,
        (is_ahead, hours, minutes) in (any::<bool>(), 0..24_u64, 0..60_u64),
    ) {
        let at = SENT_AT + Duration::from_secs(seconds);
        let offset = Duration::from_secs(hours * 3600 + minutes * 60);
        let (local, sign) = if is_ahead { (at + offset, '+') } else { (at - offset, '-') };
        let local = local.to_rfc3339().replace('Z', &format!("{sign}{hours:02}:{minutes:02}"));
        let millis = at.as_millis();
        for value in [
            json!(millis),
            json!(millis / 1000),
            json!(millis.to_string()),
            json!((millis / 1000).to_string()),
            json!(at.to_rfc3339()),
            json!(local),
        ] {
            let body = json!({"data": {"token": "t", "at": value}});
            let life = check_granted(200, &read(200, body.to_string().as_bytes()).unwrap());
            prop_assert_eq!(life, Some(Duration::from_secs(seconds)), "{}", value);
        }
    }
}
