//! Answers of token endpoints.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::*;

/// Answers as servers give them; the bodies are in base64, so that every byte is told.
const REFUSALS: &str = include_str!("../../../tests/data/refusals.json");
const RESPONSES: &str = include_str!("../../../tests/data/token-responses.json");

fn read(status: u16, body: &[u8]) -> Result<TokenResponse, Refusal> {
    super::read(status, body, TokenTypes::Bearer).map_err(|refused| refused.refusal)
}

/// What an operator is told of an answer that grants nothing.
fn reason(status: u16, body: &[u8]) -> &'static str {
    let refused = super::read(status, body, TokenTypes::Bearer).unwrap_err();
    assert_eq!(refused.answer.status, status);
    refused.answer.reason.as_str()
}

fn expires_in(json: &str) -> Option<u64> {
    let body = format!(r#"{{"access_token":"t","token_type":"Bearer","expires_in":{json}}}"#);
    read(200, body.as_bytes()).unwrap().expires_in.map(|life| life.as_secs())
}

fn cases(text: &str) -> Vec<(Value, Vec<u8>)> {
    let cases: Vec<Value> = serde_json::from_str(text).unwrap();
    let body = |case: &Value| STANDARD.decode(case["body_base64"].as_str().unwrap()).unwrap();
    cases.into_iter().map(|case| (case.clone(), body(&case))).collect()
}

#[test]
fn reads_what_the_makers_document() {
    let hubsoft =
        br#"{"token_type":"Bearer","expires_in":2592000,"access_token":"a.b-c","refresh_token":"r"}"#;
    let granted = read(200, hubsoft).unwrap();
    assert_eq!(granted.access_token.expose(), "a.b-c");
    assert_eq!(granted.expires_in, Some(Duration::from_hours(720)));
    assert_eq!(granted.refresh_token.unwrap().expose(), "r");
    assert_eq!(granted.scope, None);
    let marked = [b"\xEF\xBB\xBF".as_slice(), hubsoft].concat();
    assert!(read(200, &marked).is_ok());
}

#[test]
fn reads_a_life_however_it_is_written_and_takes_nonsense_for_none() {
    for (told, seconds) in [("3600", 3600), ("\"3600\"", 3600), ("3600.9", 3600), ("30", 30), ("1", 1)] {
        assert_eq!(expires_in(told), Some(seconds), "{told}");
    }
    for endless in ["1e12", "1e300", "18446744073709551615", "\"1e300\""] {
        assert_eq!(expires_in(endless), Some(MAX_LIFETIME.as_secs()), "{endless}");
    }
    // Some servers write the first of these for a token that does not expire.
    for untold in ["0", "\"0\"", "-1", "0.5", "-1e300", "\"-5\"", "\"never\""] {
        assert_eq!(expires_in(untold), None, "{untold}");
    }
    for untold in ["null", "\"soon\"", "true", "{}", "[]", "\"\"", "\"NaN\"", "\"inf\""] {
        assert_eq!(expires_in(untold), None, "{untold}");
    }
}

#[test]
fn knows_bearer_in_any_case_and_nothing_else_where_the_type_decides() {
    for known in [r#","token_type":"bEaReR""#, r#","token_type":null"#, ""] {
        assert!(read(200, format!(r#"{{"access_token":"t"{known}}}"#).as_bytes()).is_ok(), "{known}");
    }
    for unknown in ["\"mac\"", "\"\"", "1", "\"BearerToken\"", "\"Bearer \"", "[]"] {
        let body = format!(r#"{{"access_token":"t","token_type":{unknown}}}"#);
        assert_eq!(read(200, body.as_bytes()).unwrap_err(), Refusal::Invalid, "{unknown}");
        assert!(super::read(200, body.as_bytes(), TokenTypes::Any).is_ok(), "{unknown}");
    }
}

#[test]
fn reads_the_responses_of_servers() {
    for (case, body) in cases(RESPONSES) {
        let has_scheme = case["connection"].get("scheme").is_some();
        let types = if has_scheme { TokenTypes::Any } else { TokenTypes::Bearer };
        let granted = super::read(200, &body, types).map_err(|refused| refused.refusal);
        let is_invalid = case["right"] == "token_response_invalid";
        assert_eq!(granted.as_ref().err(), is_invalid.then_some(&Refusal::Invalid), "{case}");
        if case["right"].as_str().unwrap().ends_with("no token request a minute") {
            assert_eq!(granted.unwrap().expires_in, None, "the connection's default counts");
        }
    }
}

#[test]
fn minds_no_byte_of_a_member_that_nobody_needs() {
    for member in [
        &b"\"name\":\"Jo\xe3o\""[..],
        b"\"nom\xe9\":1",
        b"\"name\":\"\xff\xfe\xc3\"",
        b"\"name\":\"cut \\ud83d\"",
        b"\"name\":\"cut \\ude00 \\ud83d\\ude00\"",
        b"\"name\":\"two\nlines and a\ttab\"",
        b"\"name\":\"nul \0\"",
        b"\"scope\":\"l\xea\"",
        b"\"refresh_token\":\"r\xe9\"",
    ] {
        let body = [b"{\"access_token\":\"t\\\\u\",\n".as_slice(), member, b",\"expires_in\":60}"].concat();
        let granted = read(200, &body).unwrap();
        assert_eq!(granted.access_token.expose(), r"t\u", "{}", String::from_utf8_lossy(member));
        assert_eq!(granted.expires_in, Some(Duration::from_mins(1)));
        assert!(granted.scope.is_none() && granted.refresh_token.is_none(), "what is not whole is no use");
    }
    for token in [&b"t\xe9"[..], b"\xff", b"t\nx", b"t\\ud800", b"t\0"] {
        let body = [b"{\"access_token\":\"".as_slice(), token, b"\",\"name\":\"\xe3\"}"].concat();
        assert_eq!(read(200, &body).unwrap_err(), Refusal::Invalid, "{token:?}");
    }
}

#[test]
fn takes_no_token_that_could_end_a_header_field() {
    for token in ["", " t", "t\\nX: 1", "t\\u0000", "é"] {
        let body = format!(r#"{{"access_token":"{token}"}}"#);
        assert_eq!(read(200, body.as_bytes()).unwrap_err(), Refusal::Invalid, "{token:?}");
    }
    let long = format!(r#"{{"access_token":"{}"}}"#, "a".repeat(8 * 1024));
    assert!(read(200, long.as_bytes()).is_ok());
}

#[test]
fn tells_refusals_apart() {
    for (status, body, why) in [
        (400, r#"{"error":"invalid_grant"}"#, Refusal::Grant),
        (401, r#"{"error":"invalid_grant"}"#, Refusal::Grant),
        (401, r#"{"error":"invalid_client"}"#, Refusal::Client),
        (400, r#"{"error":"invalid_client","error_description":"x"}"#, Refusal::Client),
        (400, r#"{"error":"unauthorized_client"}"#, Refusal::Client),
        (401, "", Refusal::Denied),
        (403, "<html>", Refusal::Denied),
        (400, r#"{"error":"access_denied"}"#, Refusal::Denied),
        (400, r#"{"error":"invalid_scope"}"#, Refusal::Setup),
        (401, r#"{"error":"unsupported_grant_type"}"#, Refusal::Setup),
        (400, r#"{"error":"invalid_request"}"#, Refusal::Request),
        (400, "[1]", Refusal::Request),
        (422, r#"{"message":"The given data was invalid."}"#, Refusal::Request),
        (404, "not here", Refusal::Address),
        (405, "", Refusal::Address),
        (415, "", Refusal::Address),
        (408, r#"{"error":"invalid_grant"}"#, Refusal::Busy),
        (425, "", Refusal::Busy),
        (429, r#"{"error":"invalid_grant"}"#, Refusal::Busy),
        (503, "", Refusal::Busy),
        (500, "<html>", Refusal::Failed),
        (502, r#"{"error":"server_error"}"#, Refusal::Failed),
        (302, "", Refusal::Invalid),
        (302, r#"{"error":"invalid_grant"}"#, Refusal::Invalid),
        (307, r#"{"access_token":"t"}"#, Refusal::Invalid),
        (200, "", Refusal::Invalid),
        (200, "<html>", Refusal::Invalid),
        (200, "{}", Refusal::Invalid),
        (200, r#"{"error":null}"#, Refusal::Invalid),
        (200, r#"[{"access_token":"t"}]"#, Refusal::Invalid),
        (200, r#"{"access_token":1}"#, Refusal::Invalid),
        (204, "", Refusal::Invalid),
    ] {
        assert_eq!(read(status, body.as_bytes()).unwrap_err(), why, "{status} {body}");
    }
}

#[test]
fn knows_the_code_of_an_error_however_it_is_told() {
    for body in [
        &br#"{"error":"invalid_grant"}"#[..],
        b"\xEF\xBB\xBF{\"error\":\"invalid_grant\"}",
        br#"{"error":" Invalid_Grant "}"#,
        b"{\"error\":\"invalid_grant\",\"error_description\":\"Usu\xe1rio\"}",
        b"{\"error\":\"invalid_grant\",\"error_description\":\"two\nlines\"}",
        br#"{"error":"invalid_grant","error_description":"cut \ud83d"}"#,
        br#"{"error":"invalid\u005fgrant"}"#,
        br#"{"error":{"code":"invalid_grant"}}"#,
        br#"{"error":{"error":"invalid_grant"}}"#,
        br#"{"error":{"code":400,"type":"invalid_grant"}}"#,
        br#"{"error":{"status":400,"errors":[{"code":"invalid_grant"}]}}"#,
        br#"{"error":["invalid_grant"]}"#,
        br#"{"error":true,"code":"invalid_grant"}"#,
        br#"{"errors":[{"error":"invalid_grant"}]}"#,
        br#"{"error":"bad request","message":"invalid_grant"}"#,
        br#"[{"error":"invalid_grant"}]"#,
        br#""invalid_grant""#,
        b"error=invalid_grant&error_description=x",
        b"error_description=a+b&error=invalid%5Fgrant\r\n",
        b"invalid_grant",
        b" invalid_grant\r\n",
        b"invalid_grant: wrong password",
        b"<oauth><error>invalid_grant</error></oauth>",
        b"{\"error\":\"invalid_grant\",\"error_descr",
        b"{'error': 'invalid_grant'}",
    ] {
        for status in [200, 400, 401, 403, 404, 422, 500, 502, 503] {
            let text = String::from_utf8_lossy(body);
            assert_eq!(read(status, body).unwrap_err(), Refusal::Grant, "{status} {text}");
        }
    }
    for (body, why) in [
        (r#"{"error":"invalid_client"}"#, Refusal::Client),
        (r#"{"error":"incorrect_client_credentials"}"#, Refusal::Client),
        (r#"{"error":"bad_refresh_token"}"#, Refusal::Grant),
        (r#"{"error":"something else"}"#, Refusal::Request),
        (r#"{"error":{"message":"no"}}"#, Refusal::Request),
        (r#"{"error":"invalid_client","error_description":"not invalid_grant"}"#, Refusal::Client),
        ("error=invalid_client", Refusal::Client),
    ] {
        assert_eq!(read(200, body.as_bytes()).unwrap_err(), why, "{body}");
    }
    for no_code in
        ["not_invalid_grant", "invalid_grants", "xinvalid_grant", "invalid-grant", "invalid_grant_x"]
    {
        assert_eq!(read(500, no_code.as_bytes()).unwrap_err(), Refusal::Failed, "{no_code}");
    }
}

#[test]
fn tells_the_error_code_of_the_standard_and_no_other_word() {
    let codes = "invalid_request invalid_client invalid_grant unauthorized_client unsupported_grant_type invalid_scope";
    for code in codes.split(' ') {
        for status in [200, 400, 401, 404, 408, 422, 429, 500, 503] {
            for body in [
                format!(r#"{{"error":"{code}"}}"#),
                format!(r#"{{"error":" {} ","error_description":"c4n4ry"}}"#, code.to_uppercase()),
                format!(r#"{{"error":{{"code":"{code}"}}}}"#),
                format!(r#"{{"error":"{code}","error_description":"not invalid_grant"}}"#),
            ] {
                assert_eq!(reason(status, body.as_bytes()), code, "{status} {body}");
            }
            let form = format!("error={code}&error_description=x");
            let is_told = status != 200 || code != "invalid_request";
            assert_eq!(reason(status, form.as_bytes()), if is_told { code } else { "not_json" });
        }
    }
    for (status, body) in [
        (400, r#"{"error":"access_denied"}"#),
        (400, r#"{"error":"access_denied","error_description":"invalid_client"}"#),
        (400, r#"{"error":"bad_refresh_token"}"#),
        (400, r#"{"error":"c4n4ry"}"#),
        (200, r#"{"error":"c4n4ry"}"#),
        (401, ""),
        (404, "<html>"),
        (429, ""),
        (503, "invalid_grants"),
    ] {
        assert_eq!(reason(status, body.as_bytes()), "other", "{status} {body}");
    }
}

#[test]
fn tells_what_an_answer_lacks_to_be_a_token_response() {
    for (status, body, why) in [
        (301, "", "redirect"),
        (302, r#"{"error":"invalid_grant"}"#, "redirect"),
        (399, r#"{"access_token":"t"}"#, "redirect"),
        (199, "", "no_final_status"),
        (0, "", "no_final_status"),
        (200, "", "not_json"),
        (204, "", "not_json"),
        (200, "<html>", "not_json"),
        (200, "access_token=t", "not_json"),
        (200, r#"{"access_token":"t""#, "not_json"),
        (200, r#"[{"access_token":"t"}]"#, "not_an_object"),
        (200, r#""t""#, "not_an_object"),
        (200, "{}", "no_access_token"),
        (200, r#"{"error":null}"#, "no_access_token"),
        (200, r#"{"accessToken":"t"}"#, "no_access_token"),
        (200, r#"{"access_token":null}"#, "no_access_token"),
        (200, r#"{"access_token":""}"#, "no_access_token"),
        (200, r#"{"access_token":1}"#, "unusable_access_token"),
        (200, r#"{"access_token":" t"}"#, "unusable_access_token"),
        (200, r#"{"access_token":"é"}"#, "unusable_access_token"),
        (200, r#"{"access_token":"t","token_type":"mac"}"#, "unknown_token_type"),
        (200, r#"{"access_token":"t","token_type":1}"#, "unknown_token_type"),
        (200, r#"{"message":"invalid_request"}"#, "no_access_token"),
    ] {
        assert_eq!(reason(status, body.as_bytes()), why, "{status} {body}");
        assert_eq!(read(status, body.as_bytes()).unwrap_err(), Refusal::Invalid, "{status} {body}");
    }
    let long = format!(r#"{{"access_token":"t","x":"{}"}}"#, "a".repeat(MAX_RESPONSE_BYTES));
    assert_eq!((reason(200, long.as_bytes()), reason(400, long.as_bytes())), ("too_large", "other"));
}

#[test]
fn has_a_word_of_its_own_for_each_reason() {
    for reason in RefusalReason::ALL {
        let answer = RefusedAnswer { status: 400, reason };
        assert_eq!(RefusedAnswer::parse(&answer.to_text()), Some(answer));
        assert_eq!(answer.to_text(), format!("400 {}", reason.as_str()));
    }
    for unknown in ["", "400", "400 ", "400 of_a_later_version", "x other", "70000 other", "400 other more"] {
        assert_eq!(RefusedAnswer::parse(unknown), None, "{unknown}");
    }
}

#[test]
fn takes_the_refusals_of_servers_for_what_they_are() {
    for (case, body) in cases(REFUSALS) {
        let status = u16::try_from(case["status"].as_u64().unwrap()).unwrap();
        let about_client = case["case"].as_str().unwrap().contains("client");
        let refusal = read(status, &body).unwrap_err();
        assert_eq!(refusal == Refusal::Client, about_client, "{case}");
        let is_about_credentials =
            matches!(refusal, Refusal::Grant | Refusal::Client | Refusal::Denied | Refusal::Request);
        assert!(is_about_credentials, "{case}: {refusal:?}");
    }
}

#[test]
fn reads_no_endless_response() {
    let long = format!(r#"{{"access_token":"t","x":"{}"}}"#, "a".repeat(MAX_RESPONSE_BYTES));
    assert_eq!(read(200, long.as_bytes()).unwrap_err(), Refusal::Invalid);
    assert_eq!(read(400, long.as_bytes()).unwrap_err(), Refusal::Request);
}

#[test]
fn reads_an_id_token_that_is_a_text() {
    let id_token = |json: &str| {
        let body = format!(r#"{{"access_token":"t","token_type":"Bearer","id_token":{json}}}"#);
        read(200, body.as_bytes()).unwrap().id_token.map(|token| token.expose().to_owned())
    };
    assert_eq!(id_token(r#""e30.e30.AA""#).as_deref(), Some("e30.e30.AA"));
    for json in ["null", r#""""#, "1", r#"["e30.e30.AA"]"#, r#"{"a":"b"}"#, "true", r#""a\ud800""#] {
        assert_eq!(id_token(json), None, "{json}");
    }
    assert!(read(200, br#"{"access_token":"t"}"#).unwrap().id_token.is_none());
}
