use serde_json::json;

use super::*;
use crate::config::{Config, Grant};
use crate::oauth::{Assertions, TokenRequest};

/// 2026-11-29T12:00:00Z.
const SENT_AT: UnixTime = UnixTime::from_millis(1_795_953_600_000);

/// The grant with this table `login`, as it is configured.
fn grant(login: &Value) -> Grant {
    let variables = json!({
        "SEALING_KEYS": "k1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        "CALLERS": {"web": {"kind": "anyone"}},
        "CONNECTIONS": {"x": {
            "provider": "custom",
            "base_url": "https://api.example",
            "token_url": "https://api.example/login",
            "grant": "login",
            "login": login,
            "rules": [{"callers": ["web"], "methods": ["GET"], "paths": ["/**"]}]
        }},
        "X_USERNAME": "ana@example.com",
        "X_PASSWORD": " +&%é\"{username} ",
        "X_SITE": ""
    });
    let config = Config::from_variables(variables.as_object().unwrap().clone());
    assert_eq!(config.problems(), []);
    let connection = config.connection("x").unwrap().clone().into_usable().unwrap();
    drop(config);
    std::rc::Rc::into_inner(connection).unwrap().grant
}

#[track_caller]
fn check_request(login: &Value, method: &str, url: &str, headers: &str, body: Option<(&str, &str)>) {
    let request = TokenRequest::acquire(&grant(login), &Assertions::default()).unwrap();
    assert_eq!((request.method, request.url.expose(), request.headers.expose()), (method, url, headers));
    let sent = request.body.as_ref().map(|body| (request.content_type, body.expose()));
    assert_eq!(sent, body);
    assert!(request.authorization.is_none());
    let shown = format!("{request:?}");
    assert!(!shown.contains("ana") && !shown.contains('é'), "{shown}");
}

#[test]
fn asks_tableau_as_its_maker_documents() {
    let login = json!({
        "fields": {"credentials": {
            "name": "{username}", "password": "{password}", "site": {"contentUrl": ""}
        }},
        "token": "/credentials/token"
    });
    let body = r#"{"credentials":{"name":"ana@example.com","password":" +&%é\"{username} ","site":{"contentUrl":""}}}"#;
    check_request(&login, "POST", "https://api.example/login", "", Some(("application/json", body)));
}

#[test]
fn keeps_the_types_of_fields_in_json_and_fills_texts_at_any_depth() {
    let login = json!({
        "method": "PUT",
        "headers": {"X-User": "u={username}", "Accept": "application/vnd.a+json"},
        "fields": {"a": [1, true, null, 1.5, {"b": "{username}-{username}"}], "c": {}, "d": false, "e": "{ {A} {"},
        "token": "/t"
    });
    let headers = "accept:application/vnd.a+json\nx-user:u=ana@example.com";
    let body =
        r#"{"a":[1,true,null,1.5,{"b":"ana@example.com-ana@example.com"}],"c":{},"d":false,"e":"{ {A} {"}"#;
    let body = Some(("application/json", body));
    check_request(&login, "PUT", "https://api.example/login", headers, body);
}

#[test]
fn encodes_a_form_and_a_query_alike() {
    let fields = json!({"login": "{username}", "senha": "{password}", "dias": 7, "manter": true});
    let form = "dias=7&login=ana%40example.com&manter=true&senha=+%2B%26%25%C3%A9%22%7Busername%7D+";
    let login = json!({"body": "form", "fields": fields, "token": "/t"});
    let body = Some(("application/x-www-form-urlencoded", form));
    check_request(&login, "POST", "https://api.example/login", "", body);
    let login = json!({"method": "GET", "fields": fields, "token": "/t"});
    check_request(&login, "GET", &format!("https://api.example/login?{form}"), "", None);
}

#[test]
fn sends_no_body_where_there_are_no_fields() {
    for login in [json!({"token": "/t"}), json!({"method": "GET", "fields": {}, "token": "/t"})] {
        let method = login["method"].as_str().unwrap_or("POST");
        check_request(&login, method, "https://api.example/login", "", None);
    }
}

fn read(login: &Value, status: u16, headers: &str, body: &[u8]) -> Result<TokenResponse, TokenRefusal> {
    let Grant::Login { login, .. } = grant(login) else { panic!("it is a login") };
    read_login(&login, &LoginAnswer { status, headers: Headers::new(headers), body }, SENT_AT)
}

#[track_caller]
fn check_token(login: &Value, headers: &str, body: &str, expected: &str) {
    let response = read(login, 200, headers, body.as_bytes()).unwrap();
    assert_eq!(response.access_token.expose(), expected, "{body}");
    assert!(response.refresh_token.is_none() && response.scope.is_none() && response.expires_in.is_none());
}

#[test]
fn finds_the_token_wherever_it_stands() {
    check_token(&json!({"token": "/credentials/token"}), "", r#"{"credentials":{"token":"a|b"}}"#, "a|b");
    check_token(&json!({"token": "/a~1b/1/m~0n"}), "", r#"{"a/b":[0,{"m~n":"t"}]}"#, "t");
    check_token(&json!({"token": ""}), "", "\u{feff} \"t\"", "t");
    check_token(&json!({"token": "/"}), "", r#"{"":"t"}"#, "t");
    check_token(&json!({"token": "header:X-Token"}), "a:b\nx-token:Bearer t", "<html>", "Bearer t");
    let large = "x".repeat(MAX_RESPONSE_BYTES + 1);
    check_token(&json!({"token": "header:X-Token"}), "x-token:t", &large, "t");
    check_token(&json!({"token": "/t"}), "", "{\"a\":\"\u{1}\",\"t\":\"t\"}", "t");
}

#[track_caller]
fn check_refusal(
    login: &Value,
    (status, headers, body): (u16, &str, &str),
    refusal: Refusal,
    reason: RefusalReason,
) {
    let refused = read(login, status, headers, body.as_bytes()).unwrap_err();
    assert_eq!(
        (refused.refusal, refused.answer),
        (refusal, RefusedAnswer { status, reason }),
        "{status} {body}"
    );
}

#[test]
fn says_what_an_answer_lacks() {
    use RefusalReason::{NoAccessToken, NoFinalStatus, NotJson, Redirect, TooLarge, UnusableAccessToken};
    let json = json!({"token": "/data/token"});
    let large = [r#"{"data":{"token":"t"}}"#, &" ".repeat(MAX_RESPONSE_BYTES)].concat();
    for (status, body, reason) in [
        (200, "", NotJson),
        (200, "<html>", NotJson),
        (200, large.as_str(), TooLarge),
        (200, "{}", NoAccessToken),
        (200, "[]", NoAccessToken),
        (204, r#"{"data":null}"#, NoAccessToken),
        (200, r#"{"data":"token"}"#, NoAccessToken),
        (200, r#"{"data":{"token":null}}"#, NoAccessToken),
        (200, r#"{"data":{"token":""}}"#, NoAccessToken),
        (200, r#"{"data":{"token":7}}"#, UnusableAccessToken),
        (200, r#"{"data":{"token":{}}}"#, UnusableAccessToken),
        (200, r#"{"data":{"token":" t"}}"#, UnusableAccessToken),
        (200, r#"{"data":{"token":"a\nb"}}"#, UnusableAccessToken),
        (200, r#"{"data":{"token":"é"}}"#, UnusableAccessToken),
        (302, r#"{"data":{"token":"t"}}"#, Redirect),
        (101, r#"{"data":{"token":"t"}}"#, NoFinalStatus),
    ] {
        check_refusal(&json, (status, "", body), Refusal::Invalid, reason);
    }
    let header = json!({"token": "header:x-token"});
    check_refusal(&header, (200, "x-other:t", "{}"), Refusal::Invalid, NoAccessToken);
    check_refusal(&header, (200, "x-token:", "{}"), Refusal::Invalid, NoAccessToken);
    check_refusal(&header, (200, "x-token:é", "{}"), Refusal::Invalid, UnusableAccessToken);
}

#[test]
fn takes_any_4xx_for_refused_credentials_but_those_that_ask_to_wait() {
    let login = json!({"token": "/t"});
    let granted = r#"{"t":"t"}"#;
    for (status, refusal) in [
        (400, Refusal::Denied),
        (401, Refusal::Denied),
        (403, Refusal::Denied),
        (404, Refusal::Denied),
        (422, Refusal::Denied),
        (499, Refusal::Denied),
        (408, Refusal::Busy),
        (425, Refusal::Busy),
        (429, Refusal::Busy),
        (503, Refusal::Busy),
        (500, Refusal::Failed),
        (599, Refusal::Failed),
    ] {
        check_refusal(&login, (status, "", granted), refusal, RefusalReason::Other);
    }
    let told = r#"{"error":"invalid_grant"}"#;
    check_refusal(&login, (400, "", told), Refusal::Denied, RefusalReason::InvalidGrant);
}

#[test]
fn knows_refused_credentials_by_the_configured_signs() {
    let login = json!({
        "token": "/token",
        "rejected": [
            {"status": 200, "json": "/success", "in": [false]},
            {"status": 200, "json": "/code", "in": [40001, "E1"]},
            {"status": 500, "header": "x-error", "in": ["login"]},
            {"status": 302},
            {"status": 429, "json": "/locked"}
        ]
    });
    for (status, headers, body) in [
        (200, "", r#"{"success":false,"token":"t"}"#),
        (200, "", r#"{"code":40001}"#),
        (200, "", r#"{"code":"E1"}"#),
        (500, "x-error:login", "<html>"),
        (302, "", ""),
        (429, "", r#"{"locked":true}"#),
    ] {
        check_refusal(&login, (status, headers, body), Refusal::Denied, RefusalReason::Other);
    }
    check_refusal(
        &login,
        (200, "", r#"{"success":"false"}"#),
        Refusal::Invalid,
        RefusalReason::NoAccessToken,
    );
    check_refusal(&login, (500, "x-error:other", ""), Refusal::Failed, RefusalReason::Other);
    check_refusal(&login, (429, "", r#"{"locked":null}"#), Refusal::Busy, RefusalReason::Other);
    assert!(read(&login, 200, "", br#"{"success":true,"token":"t"}"#).is_ok());
}

#[track_caller]
fn check_life(body: &Value, seconds: Option<u64>) {
    let login = json!({"token": "/t", "expires_in": "/e/in", "expires_at": "/e/at"});
    let body = json!({"t": "t", "e": body});
    let response = read(&login, 200, "", body.to_string().as_bytes()).unwrap();
    assert_eq!(response.expires_in, seconds.map(Duration::from_secs), "{body}");
}

#[test]
fn reads_a_life_in_seconds() {
    const YEAR: u64 = 366 * 86_400;
    for (value, seconds) in [
        (json!(600), Some(600)),
        (json!("600"), Some(600)),
        (json!(600.9), Some(600)),
        (json!(0), None),
        (json!(-1), None),
        (json!("soon"), None),
        (json!(null), None),
        (json!([600]), None),
        (json!(1e300), Some(YEAR)),
    ] {
        check_life(&json!({"in": value}), seconds);
    }
    check_life(&json!({"in": 600, "at": "2026-11-29T13:00:00Z"}), Some(600));
    check_life(&json!({"in": "", "at": "2026-11-29T13:00:00Z"}), Some(3600));
    check_life(&json!(null), None);
}

#[test]
fn reads_the_time_of_an_expiry_in_every_notation() {
    const YEAR: u64 = 366 * 86_400;
    for (value, seconds) in [
        (json!(1_795_957_200), Some(3600)),
        (json!("1795957200"), Some(3600)),
        (json!(1_795_957_200_000_u64), Some(3600)),
        (json!("1795957200999"), Some(3600)),
        (json!(1_795_957_200.5), Some(3600)),
        (json!("2026-11-29T13:00:00Z"), Some(3600)),
        (json!("2026-11-29t13:00:00z"), Some(3600)),
        (json!("2026-11-29 13:00:00Z"), Some(3600)),
        (json!(" 2026-11-29T13:00:00.1234567Z "), Some(3600)),
        (json!("2026-11-29T13:00:00+00:00"), Some(3600)),
        (json!("2026-11-29T13:00:00-00:00"), Some(3600)),
        (json!("2026-11-29T10:00:00-03:00"), Some(3600)),
        (json!("2026-11-29T10:00:00.000-03:00"), Some(3600)),
        (json!("2026-11-29T18:30:00+05:30"), Some(3600)),
        (json!("2026-11-30T00:30:00+11:30"), Some(3600)),
        // No offset, so no known time.
        (json!("2026-11-29T13:00:00"), None),
        (json!("2026-11-29 13:00:00.000"), None),
        (json!("2026-11-29"), None),
        // What is past, or is no time.
        (json!("2026-11-29T12:00:00Z"), None),
        (json!("1994-11-06T08:49:37Z"), None),
        (json!("0001-01-01T00:00:00Z"), None),
        (json!(0), None),
        (json!(-1), None),
        (json!(3600), None),
        (json!(""), None),
        (json!("29/11/2026 13:00:00"), None),
        (json!("2026-11-31T13:00:00Z"), None),
        (json!("2026-11-29T13:00:00+0000"), None),
        (json!("2026-11-29T13:00:00+25"), None),
        (json!("2026-11-29T13:00:00é0:00"), None),
        (json!("+00:00"), None),
        (json!(true), None),
        (json!({}), None),
        // Nonsense is clamped.
        (json!("9999-12-31T23:59:59Z"), Some(YEAR)),
        (json!(1e300), Some(YEAR)),
        (json!(99_999_999_999_u64), Some(YEAR)),
    ] {
        check_life(&json!({"at": value}), seconds);
    }
}
