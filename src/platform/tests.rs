//! The border to the host, on a real JavaScript engine.

use std::collections::HashSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use js_sys::Uint8Array;
use wasm_bindgen::{JsCast as _, JsValue};
use wasm_bindgen_futures::JsFuture;
use wasm_bindgen_test::wasm_bindgen_test;
use worker::web_sys::Headers;

use super::request::CallPorts;
use super::{glue, runtime};
use crate::ports::Host as _;
use crate::time::UnixTime;

#[wasm_bindgen_test]
fn reads_variables_and_leaves_bindings_out() {
    let env = js_sys::Object::new();
    let set = |name: &str, value: &JsValue| js_sys::Reflect::set(&env, &name.into(), value).unwrap();
    set("TEXT", &"a".into());
    set("TABLE", &js_sys::JSON::parse(r#"{"a":{"b":[1,true]}}"#).unwrap());
    set("LIST", &js_sys::JSON::parse(r#"["x"]"#).unwrap());
    set("BINDING", &Headers::new().unwrap().into());
    set("NULL", &JsValue::NULL);
    set("CERT", &js_sys::eval("new (class { fetch() {} })()").unwrap());
    let env: worker::Env = JsValue::from(env).into();
    let variable = |name| glue::variable(&env, name);
    assert_eq!(variable("TEXT").as_deref(), Some(r#""a""#));
    assert_eq!(variable("TABLE").as_deref(), Some(r#"{"a":{"b":[1,true]}}"#));
    assert_eq!(variable("LIST").as_deref(), Some(r#"["x"]"#));
    assert_eq!(["BINDING", "CERT", "NULL", "OTHER"].map(variable), [const { None }; 4]);
    assert_eq!(variable("(fetchers)").as_deref(), Some(r#"["CERT"]"#));
    assert!(glue::has_binding(&env, "BINDING") && !glue::has_binding(&env, "OTHER"));
}

/// The signatures of RFC 7515 A.3 and RFC 8037 A.4.
const SIGNED: [(&str, &str, &str, &str); 2] = [
    (
        "ES256",
        r#"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#,
        "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ",
        "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
    ),
    (
        "EdDSA",
        r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#,
        "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc",
        "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
    ),
];

async fn verifies(algorithm: &str, jwk: &str, input: &str, signature: &[u8]) -> bool {
    let verified = JsFuture::from(glue::verify_signature(algorithm, jwk, input, signature)).await;
    verified.is_ok_and(|verified| verified == JsValue::TRUE)
}

/// The private keys of [`SIGNED`].
const PRIVATE: [&str; 2] =
    ["jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI", "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"];

async fn signature(algorithm: &str, format: &str, text: &str, input: &str) -> Option<Vec<u8>> {
    let signed = JsFuture::from(glue::sign(algorithm, format, text, input)).await.ok()?;
    Some(signed.unchecked_into::<Uint8Array>().to_vec())
}

#[wasm_bindgen_test]
async fn signs_as_the_standards_do() {
    for ((algorithm, jwk, input, expected), d) in SIGNED.into_iter().zip(PRIVATE) {
        let private = jwk.replace('}', &format!(r#","d":"{d}"}}"#));
        let signed = signature(algorithm, "jwk", &private, input).await.unwrap();
        assert!(verifies(algorithm, jwk, input, &signed).await, "{algorithm}");
        // A signature by ECDSA is another one each time.
        assert_eq!(URL_SAFE_NO_PAD.encode(&signed) == expected, algorithm == "EdDSA", "{algorithm}");
    }
    // RFC 8410 §10.3.
    let pkcs8 = "MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC";
    assert_eq!(signature("EdDSA", "pkcs8", pkcs8, "x").await.unwrap().len(), 64);
    for (algorithm, format, text) in
        [("ES256", "pkcs8", pkcs8), ("EdDSA", "pkcs8", "MC4CAQAwBQYDK2VwBCIEIA=="), ("EdDSA", "jwk", "{}")]
    {
        assert!(signature(algorithm, format, text, "x").await.is_none(), "{algorithm} {text}");
    }
}

#[wasm_bindgen_test]
async fn verifies_the_signatures_of_the_standards_and_no_others() {
    for (algorithm, jwk, input, signature) in SIGNED {
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        assert!(verifies(algorithm, jwk, input, &signature).await, "{algorithm}");
        assert!(!verifies(algorithm, jwk, &format!("{input}x"), &signature).await, "{algorithm}");
        for at in 0..signature.len() {
            let mut changed = signature.clone();
            changed[at] ^= 1;
            assert!(!verifies(algorithm, jwk, input, &changed).await, "{algorithm}, byte {at}");
        }
        assert!(!verifies(algorithm, jwk, input, &[]).await, "{algorithm}");
        assert!(!verifies("RS256", jwk, input, &signature).await, "{algorithm}");
    }
}

#[wasm_bindgen_test]
fn draws_entropy_that_never_repeats() {
    // Not a divisor of what is drawn at once.
    let drawn: HashSet<[u8; 24]> = (0..10_000).map(|_| runtime::bytes()).collect();
    assert_eq!(drawn.len(), 10_000);
    let ones: u32 = drawn.iter().flatten().map(|byte| byte.count_ones()).sum();
    let share = f64::from(ones) / (10_000.0 * 24.0 * 8.0);
    assert!((0.49..0.51).contains(&share), "{share}");
}

#[wasm_bindgen_test]
fn keeps_time_and_log_lines_for_the_shim_only_while_it_polls() {
    let began = UnixTime::from_millis(5);
    let call = js_sys::Object::new();
    let log = js_sys::Function::new_with_args("line", "this.logged = line");
    js_sys::Reflect::set(&call, &"log".into(), &log).unwrap();
    let ports = CallPorts::new(JsValue::from(call.clone()).unchecked_into());
    let (now, ()) = ports.in_shim(began, || (ports.now(), ports.log("{}")));
    assert_eq!((now, ports.take_lines().as_str()), (began, "{}\n"));
    // A task that the call spawned goes on later, when nobody takes lines over.
    assert!(ports.now() > UnixTime::from_millis(1_760_000_000_000));
    ports.log(r#"{"event":"test"}"#);
    assert_eq!(ports.take_lines(), "");
    let logged = js_sys::Reflect::get(&call, &"logged".into()).unwrap();
    assert_eq!(logged.as_string().as_deref(), Some(r#"{"event":"test"}"#));
}

#[wasm_bindgen_test]
fn reads_a_clock_that_tells_the_present() {
    assert!(runtime::now() > UnixTime::from_millis(1_760_000_000_000));
}
