//! The core compiled to wasm, on a real JavaScript engine: it seals, digests and
//! reads as it does natively. The border to the host is tested in
//! `platform::tests`, fetch and bodies end to end in workerd.
#![cfg(target_arch = "wasm32")]
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test draws its own entropy")]

use porteiro::config::{Config, Variables};
use porteiro::http::{Headers, RequestHead};
use porteiro::secret::{Fingerprint, Secret};
use porteiro::token::{Nonce, SealError, SealingKeys};
use wasm_bindgen_test::wasm_bindgen_test;

const KEY: &str = "k1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).unwrap();
    bytes
}

fn keys() -> SealingKeys {
    SealingKeys::parse(&Secret::new(KEY.to_owned())).unwrap()
}

#[wasm_bindgen_test]
fn seals_and_opens_with_host_entropy() {
    let keys = keys();
    let first = keys.seal("name", b"token", &Nonce(random())).unwrap();
    let second = keys.seal("name", b"token", &Nonce(random())).unwrap();
    assert_ne!(first, second);
    assert_eq!(keys.open("name", &first).unwrap().as_slice(), b"token");
    assert_eq!(keys.open("other", &first), Err(SealError::Forged));
}

#[wasm_bindgen_test]
fn opens_what_was_sealed_natively() {
    // The record that `token::sealing::tests` has.
    let sealed = NATIVE_RECORD;
    assert_eq!(keys().open("name", sealed).unwrap().as_slice(), b"token");
    assert_eq!(keys().seal("name", b"token", &Nonce([7; 24])).unwrap(), sealed);
}

#[wasm_bindgen_test]
fn digests_as_it_does_natively() {
    // The digest that `secret::tests` has.
    assert_eq!(Fingerprint::of(&["a", "b"]).to_hex(), NATIVE_DIGEST);
}

#[wasm_bindgen_test]
fn reads_heads_and_configuration() {
    let head = RequestHead::new("GET\nhttps://b.example/api/x?y\naccept:*/*");
    assert_eq!((head.path(), head.query()), ("/api/x", Some("y")));
    assert_eq!(Headers::new("a:1\nb:2").value("b"), Some("2"));
    let config = Config::from_variables(Variables::new());
    let problems = config.problems();
    assert!(config.sealing_keys.is_none());
    assert!(problems.iter().any(|problem| problem.field() == "SEALING_KEYS"));
}

const NATIVE_RECORD: &str = "1.k1.BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHPOxdx0fP6hJ0rIC-cK6Rrmj-biBU";
const NATIVE_DIGEST: &str = "3c9d591045bc8876f9d0399bbfb05c6a412096e906f73278f98406cd5dca86df";
