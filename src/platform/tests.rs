//! The border to the host, on a real JavaScript engine.

use std::collections::HashSet;

use wasm_bindgen::JsValue;
use wasm_bindgen_futures::JsFuture;
use wasm_bindgen_test::wasm_bindgen_test;
use worker::web_sys::{Headers, Request, RequestInit, Response};

use super::{glue, runtime};
use crate::http::{Headers as Fields, RequestHead};
use crate::time::UnixTime;

fn request(fields: &[(&str, &str)]) -> Request {
    let headers = Headers::new().unwrap();
    for (name, value) in fields {
        headers.append(name, value).unwrap();
    }
    let init = RequestInit::new();
    init.set_method("PATCH");
    init.set_headers(&headers);
    Request::new_with_str_and_init("https://broker.example/api/x/a%20b?c='|'", &init).unwrap()
}

#[wasm_bindgen_test]
fn takes_a_request_head_over_in_one_text() {
    let request =
        request(&[("X-Two", "a"), ("Accept", "a, b;q=0.5"), ("x-two", "b"), ("X-Latin", "caf\u{e9}")]);
    let text = glue::request_head(&request);
    let head = RequestHead::new(&text);
    assert_eq!((head.method, head.path()), ("PATCH", "/api/x/a%20b"));
    assert_eq!(head.headers.value("x-two"), Some("a, b"));
    assert_eq!(head.headers.value("accept"), Some("a, b;q=0.5"));
    assert_eq!(head.headers.value("x-latin"), Some("caf\u{e9}"));
}

#[wasm_bindgen_test]
async fn makes_a_response_with_exactly_the_fields_it_is_given() {
    let response = glue::respond(418, "x-a:1\nx-colon:a:b\netag:\"x\"", Some("text")).unwrap();
    assert_eq!(response.status(), 418);
    let head = glue::response_head(&response);
    let (status, fields) = head.split_once('\n').unwrap();
    assert_eq!(status, "418");
    let fields = Fields::new(fields);
    assert_eq!((fields.value("x-a"), fields.value("x-colon")), (Some("1"), Some("a:b")));
    assert_eq!(fields.value("etag"), Some("\"x\""));
    let text = JsFuture::from(response.text().unwrap()).await.unwrap();
    assert_eq!(text.as_string().as_deref(), Some("text"));
}

#[wasm_bindgen_test]
fn makes_responses_without_a_body_or_fields() {
    let response = glue::respond(204, "", None).unwrap();
    assert_eq!(glue::response_head(&response), "204");
    assert!(response.body().is_none());
    assert!(glue::respond(700, "", None).is_err());
    assert!(glue::respond(200, "bad name:x", None).is_err());
}

#[wasm_bindgen_test]
async fn streams_an_upstream_body_under_another_head() {
    let upstream = Response::new_with_opt_str(Some("body")).unwrap();
    let response = glue::respond_with(&upstream, 201, "x-a:1").unwrap();
    assert_eq!(response.headers().get("content-type").unwrap(), None);
    let text = JsFuture::from(response.text().unwrap()).await.unwrap();
    assert_eq!((response.status(), text.as_string().as_deref()), (201, Some("body")));
    glue::discard(&upstream);
}

#[wasm_bindgen_test]
fn reads_variables_and_leaves_bindings_out() {
    let env = js_sys::Object::new();
    let set = |name: &str, value: &JsValue| js_sys::Reflect::set(&env, &name.into(), value).unwrap();
    set("TEXT", &"a".into());
    set("TABLE", &js_sys::JSON::parse(r#"{"a":{"b":[1,true]}}"#).unwrap());
    set("LIST", &js_sys::JSON::parse(r#"["x"]"#).unwrap());
    set("BINDING", &Headers::new().unwrap().into());
    let env: worker::Env = JsValue::from(env).into();
    assert_eq!(glue::variables(&env), r#"{"TEXT":"a","TABLE":{"a":{"b":[1,true]}},"LIST":["x"]}"#);
    assert!(glue::has_binding(&env, "BINDING") && !glue::has_binding(&env, "OTHER"));
}

#[wasm_bindgen_test]
fn draws_entropy_that_never_repeats() {
    let drawn: HashSet<[u8; 24]> = (0..10_000).map(|_| runtime::bytes()).collect();
    assert_eq!(drawn.len(), 10_000);
    let ones: u32 = drawn.iter().flatten().map(|byte| byte.count_ones()).sum();
    let share = f64::from(ones) / (10_000.0 * 24.0 * 8.0);
    assert!((0.49..0.51).contains(&share), "{share}");
}

#[wasm_bindgen_test]
fn reads_a_clock_that_tells_the_present() {
    assert!(runtime::now() > UnixTime::from_millis(1_760_000_000_000));
}
