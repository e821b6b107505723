use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::*;
use crate::time::UnixTime;

/// 2026-01-01T00:00:00Z.
const NOW_SECONDS: u64 = 1_767_225_600;
const NOW: UnixTime = UnixTime::from_millis(NOW_SECONDS * 1000);
const MILLISECOND: Duration = Duration::from_millis(1);
const CLAIMS: &str = r#"{"iss":"https://id.example","aud":"porteiro","exp":1767229200}"#;

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn token(header: &str, claims: &str, signature_bytes: usize) -> String {
    format!("{}.{}.{}", encode(header), encode(claims), encode(vec![7; signature_bytes]))
}

/// The reason why a token with this header is refused.
fn header(header: &str) -> Option<Invalid> {
    refusal(&token(header, CLAIMS, 64))
}

fn claims(claims: &str) -> Result<Claims, Invalid> {
    UnverifiedToken::parse(&token(r#"{"alg":"ES256"}"#, claims, 64)).map(UnverifiedToken::into_proven_claims)
}

/// Good claims with `member` changed.
fn with(member: &str, value: impl Into<Value>) -> Result<Claims, Invalid> {
    let mut members: Value = serde_json::from_str(CLAIMS).unwrap();
    members[member] = value.into();
    claims(&members.to_string())
}

fn refusal(token: &str) -> Option<Invalid> {
    UnverifiedToken::parse(token).err()
}

fn expectation() -> Expectation {
    Expectation {
        issuer: "https://id.example".to_owned(),
        audience: vec!["other".to_owned(), "porteiro".to_owned()],
        claims: Vec::new(),
    }
}

fn set(keys: &[Value]) -> KeySet {
    KeySet::parse(json!({ "keys": keys }).to_string().as_bytes()).unwrap()
}

fn usable(key: &Value) -> bool {
    !set(std::slice::from_ref(key)).is_empty()
}

fn rsa(modulus: &[u8]) -> Value {
    json!({"kty": "RSA", "n": encode(modulus), "e": "AQAB"})
}

fn ec(curve: &str, length: usize) -> Value {
    json!({"kty": "EC", "crv": curve, "x": encode(vec![1; length]), "y": encode(vec![0; length])})
}

fn ed25519() -> Value {
    json!({"kty": "OKP", "crv": "Ed25519", "x": encode([1; 32])})
}

fn and(mut key: Value, member: &str, value: impl Into<Value>) -> Value {
    key[member] = value.into();
    key
}

/// How many keys are tried on a token with this header.
fn tried(keys: &KeySet, header: &str) -> usize {
    let algorithm = serde_json::from_str::<Value>(header).unwrap()["alg"].as_str().unwrap().to_owned();
    let bytes = *Algorithm::parse(&algorithm).unwrap().signature_bytes().start();
    let token = token(header, CLAIMS, bytes);
    keys.candidates(&UnverifiedToken::parse(&token).unwrap()).count()
}

#[test]
fn knows_asymmetric_algorithms_by_their_exact_names() {
    for algorithm in Algorithm::ALL {
        assert_eq!(Algorithm::parse(algorithm.as_str()), Some(algorithm));
        assert_eq!(Algorithm::parse(&format!("{} ", algorithm.as_str())), None);
        assert_eq!(Algorithm::parse(&algorithm.as_str().to_lowercase()), None);
    }
    for name in ["", "none", "None", "NONE", "HS256", "HS384", "HS512", "ES256K", "EDDSA", "ed25519", "RS1"] {
        assert_eq!(Algorithm::parse(name), None, "{name}");
    }
    assert_eq!(Algorithm::parse("Ed25519"), Some(Algorithm::EdDSA), "its newer name");
}

#[test]
fn reads_a_token() {
    let text = token(r#"{"typ":"JWT","alg":"RS256","kid":"k 1"}"#, CLAIMS, 256);
    let token = UnverifiedToken::parse(&text).unwrap();
    assert_eq!((token.algorithm(), token.kid()), (Algorithm::RS256, Some("k 1")));
    assert_eq!(token.signing_input(), text.rsplit_once('.').unwrap().0);
    assert_eq!(token.signature(), [7; 256]);
    assert_eq!(token.unproven_claims().issuer, "https://id.example");
    let claims = token.into_proven_claims();
    assert_eq!(claims.expires_at, NOW + Duration::from_hours(1));
    assert_eq!((claims.subject, claims.not_before, claims.issued_at), (None, None, None));
}

#[test]
fn refuses_an_algorithm_that_needs_no_private_key() {
    for name in ["none", "None", "NONE", "nOnE", "", "HS256", "hs256", "HS512", "es256", "ES256 ", "RSA-OAEP"]
    {
        let text = format!(r#"{{"alg":"{name}"}}"#);
        for bytes in [0, 32, 64] {
            assert_eq!(refusal(&token(&text, CLAIMS, bytes)), Some(Invalid::Algorithm), "{name:?}");
        }
    }
}

#[test]
fn refuses_a_header_that_is_not_one_of_a_signed_token() {
    for text in [
        "",
        "null",
        "[]",
        "\"ES256\"",
        "{",
        "{}",
        r#"{"alg":null}"#,
        r#"{"alg":["ES256"]}"#,
        r#"{"alg":256}"#,
        r#"{"ALG":"ES256"}"#,
        r#"{"alg":"ES256"}{}"#,
        r#"{"alg":"none","alg":"ES256"}"#,
        r#"{"alg":"ES256","alg":"ES256"}"#,
        r#"{"alg":"ES256","\u0061lg":"none"}"#,
        r#"{"alg":"ES256","kid":"a","kid":"b"}"#,
        r#"{"alg":"ES256","kid":1}"#,
        r#"{"alg":"ES256","kid":["a"]}"#,
        r#"{"alg":"ES256","kid":{"$ne":""}}"#,
        r#"{"alg":"ES256","jwk":{"kty":"oct","kty":"RSA"}}"#,
    ] {
        assert_eq!(header(text), Some(Invalid::Header), "{text}");
    }
}

#[test]
fn refuses_extensions() {
    for member in [
        r#""crit":[]"#,
        r#""crit":["exp"]"#,
        r#""crit":["b64"],"b64":false"#,
        r#""crit":null"#,
        r#""b64":true"#,
        r#""b64":false"#,
    ] {
        assert_eq!(header(&format!(r#"{{"alg":"ES256",{member}}}"#)), Some(Invalid::Header), "{member}");
    }
}

#[test]
fn ignores_members_that_mean_nothing_in_a_signed_token() {
    for member in [
        r#""zip":"DEF""#,
        r#""zip":"GZIP""#,
        r#""zip":null"#,
        r#""cty":"JWT""#,
        r#""cty":"json""#,
        r#""cty":null"#,
        r#""enc":"A256GCM""#,
        r#""enc":null"#,
        r#""b64":null"#,
        r#""kid":null"#,
        r#""typ":null"#,
        r#""jwk":null,"x5c":null,"jku":null,"x5t#S256":null"#,
        r#""epk":{},"apu":"a","iv":"b","tag":1,"p2c":1000"#,
        r#""iss":"https://evil.example","aud":"x","exp":0"#,
        r#""nonce":"n","ver":1,"":[]"#,
    ] {
        assert_eq!(header(&format!(r#"{{"alg":"ES256",{member}}}"#)), None, "{member}");
    }
    let token = token(r#"{"alg":"ES256","kid":null}"#, CLAIMS, 64);
    assert_eq!(UnverifiedToken::parse(&token).unwrap().kid(), None);
}

#[test]
fn takes_every_header_that_was_refused_for_nothing() {
    let cases: Value = serde_json::from_str(include_str!("../../tests/data/jwt-headers.json")).unwrap();
    for case in cases.as_array().unwrap() {
        let refused = refusal(&token(&case["header"].to_string(), CLAIMS, 256));
        assert_eq!(refused.is_none(), case["right"] == "taken", "{case}");
    }
}

#[test]
fn takes_the_types_of_access_tokens_only() {
    let typed = |value: &str| header(&format!(r#"{{"alg":"ES256","typ":{value}}}"#));
    for good in [
        r#""JWT""#,
        r#""jwt""#,
        r#""at+jwt""#,
        r#""AT+JWT""#,
        r#""application/at+jwt""#,
        r#""Application/JWT""#,
    ] {
        assert_eq!(typed(good), None, "{good}");
    }
    for bad in [
        "1",
        r#"["JWT"]"#,
        r#""""#,
        r#""JWT ""#,
        r#""JOSE""#,
        r#""dpop+jwt""#,
        r#""logout+jwt""#,
        r#""text/jwt""#,
        r#""application/application/jwt""#,
    ] {
        assert_eq!(typed(bad), Some(Invalid::Header), "{bad}");
    }
}

#[test]
fn ignores_what_a_header_brings_or_points_to() {
    let text =
        r#"{"alg":"ES256","jku":"https://evil.example","x5u":"x","x5c":[],"jwk":{"kty":"EC"},"x5t":"t"}"#;
    assert_eq!(header(text), None);
}

#[test]
fn refuses_what_is_not_three_parts() {
    let good = token(r#"{"alg":"ES256"}"#, CLAIMS, 64);
    assert_eq!(refusal(&good), None);
    let parts: Vec<&str> = good.split('.').collect();
    for bad in [
        String::new(),
        ".".to_owned(),
        "..".to_owned(),
        "not a token".to_owned(),
        parts[0].to_owned(),
        parts[..2].join("."),
        format!("{good}."),
        format!(".{good}"),
        format!("{good}.{}.{}", parts[1], parts[2]),
        format!("{}..{}.{}", parts[0], parts[1], parts[2]),
        format!("Bearer {good}"),
        format!("{good}\n"),
        format!("{good},{good}"),
        json!({"protected": parts[0], "payload": parts[1], "signature": parts[2]}).to_string(),
    ] {
        assert!(refusal(&bad).is_some(), "{bad}");
        let empty_header = bad == "..";
        assert_eq!(refusal(&bad) == Some(Invalid::Format), !empty_header, "{bad}");
    }
    let without = |part: usize| {
        let mut parts = parts.clone();
        parts[part] = "";
        refusal(&parts.join("."))
    };
    assert_eq!(without(0), Some(Invalid::Header));
    assert_eq!(without(1), Some(Invalid::Claims));
    assert_eq!(without(2), Some(Invalid::Signature));
}

#[test]
fn refuses_base64url_in_any_other_form() {
    let (header, claims, signature) = (r#"{"alg":"ES256"} "#, CLAIMS, [0xfb; 64]);
    let good = [encode(header), encode(claims), encode(signature)];
    assert_eq!(refusal(&good.join(".")), None);
    let bad_parts = [
        (0, URL_SAFE.encode(header)),
        (2, URL_SAFE.encode(signature)),
        (2, STANDARD.encode(signature).trim_end_matches('=').to_owned()),
        (2, format!("{}=", good[2])),
        (2, good[2][..85].to_owned()),
        (2, format!(" {}", good[2])),
        (2, format!("{}\n", good[2])),
        (2, format!("{}\0", good[2])),
        (1, format!("{}é", good[1])),
        (0, format!("{}%3D", good[0])),
    ];
    for (at, bad) in bad_parts {
        let mut parts = good.clone();
        assert_ne!(parts[at], bad);
        parts[at] = bad;
        assert_eq!(refusal(&parts.join(".")), Some(Invalid::Format), "{}", parts[at]);
    }
}

#[test]
fn refuses_bits_that_are_left_over() {
    let good = token(r#"{"alg":"ES256"}"#, CLAIMS, 64);
    let (start, last) = good.split_at(good.len() - 1);
    assert_eq!(last, "w");
    for twin in ["x", "y", "z", "_"] {
        assert_eq!(refusal(&format!("{start}{twin}")), Some(Invalid::Format), "{twin}");
    }
}

#[test]
fn reads_no_endless_token() {
    let padded = |spaces| {
        let header = encode(format!(r#"{{"alg":"ES256"{}}}"#, " ".repeat(spaces)));
        format!("{header}.{}.{}", encode(CLAIMS), encode([7; 64]))
    };
    let longest = (0..MAX_TOKEN_BYTES).rfind(|spaces| padded(*spaces).len() <= MAX_TOKEN_BYTES).unwrap();
    assert!(padded(longest).len() > MAX_TOKEN_BYTES - 2);
    assert_eq!(refusal(&padded(longest)), None);
    assert_eq!(refusal(&padded(longest + 2)), Some(Invalid::Format));
    assert_eq!(refusal(&padded(1_000_000)), Some(Invalid::Format));
    let nested = format!(r#"{{"alg":"ES256","x":{}{}}}"#, "[".repeat(3000), "]".repeat(3000));
    assert_eq!(header(&nested), Some(Invalid::Header));
}

#[test]
fn refuses_a_signature_of_a_wrong_length() {
    for (name, good, bad) in [
        ("ES256", &[64][..], &[0, 63, 65, 70, 71, 72, 96][..]),
        ("ES384", &[96], &[0, 64, 95, 97, 104]),
        ("ES512", &[132], &[0, 128, 131, 133, 139]),
        ("EdDSA", &[64], &[0, 32, 63, 65, 114]),
        ("RS256", &[256, 384, 512, 1024], &[0, 1, 128, 255, 1025]),
        ("PS512", &[256, 1024], &[0, 255, 1025]),
    ] {
        let check = |bytes| refusal(&token(&format!(r#"{{"alg":"{name}"}}"#), CLAIMS, bytes));
        assert!(good.iter().all(|bytes| check(*bytes).is_none()), "{name}");
        assert!(bad.iter().all(|bytes| check(*bytes) == Some(Invalid::Signature)), "{name}");
    }
}

#[test]
fn refuses_claims_that_are_no_object_or_ambiguous() {
    for text in [
        "",
        "null",
        "[]",
        "\"x\"",
        "{}",
        r#"{"iss":"i","aud":"a","exp":1}x"#,
        r#"{"iss":"evil","iss":"i","aud":"a","exp":1}"#,
        r#"{"iss":"i","aud":"a","exp":1,"e\u0078p":9999999999}"#,
        r#"{"iss":"i","aud":"a","exp":1,"roles":[{"a":1,"a":2}]}"#,
    ] {
        assert_eq!(claims(text), Err(Invalid::Claims), "{text}");
    }
    let mut bytes = CLAIMS.as_bytes().to_vec();
    bytes[9] = 0xff;
    assert_eq!(Claims::parse(&bytes), Err(Invalid::Claims));
}

#[test]
fn needs_issuer_audience_and_expiry() {
    for missing in ["iss", "aud", "exp"] {
        let mut members: Value = serde_json::from_str(CLAIMS).unwrap();
        members.as_object_mut().unwrap().remove(missing);
        assert_eq!(claims(&members.to_string()), Err(Invalid::Claims), "{missing}");
    }
}

#[test]
fn refuses_registered_claims_of_a_wrong_type() {
    for name in ["iss", "sub", "jti"] {
        for value in [json!(null), json!(1), json!(true), json!(["https://id.example"]), json!({})] {
            assert_eq!(with(name, value.clone()), Err(Invalid::Claims), "{name} {value}");
        }
    }
    for value in
        [json!(null), json!(1), json!({"0": "porteiro"}), json!(["porteiro", 1]), json!([["porteiro"]])]
    {
        assert_eq!(with("aud", value.clone()), Err(Invalid::Claims), "aud {value}");
    }
    for name in ["exp", "nbf", "iat"] {
        for value in [json!(null), json!("1767229200"), json!(true), json!([1_767_229_200]), json!({})] {
            assert_eq!(with(name, value.clone()), Err(Invalid::Claims), "{name} {value}");
        }
    }
}

#[test]
fn keeps_what_a_token_claims() {
    let claims =
        claims(r#"{"iss":"i","sub":"s","aud":["a","b"],"exp":3,"nbf":1,"iat":2.5,"jti":"j","x":[null]}"#);
    let claims = claims.unwrap();
    assert_eq!((claims.issuer.as_str(), claims.subject.as_deref()), ("i", Some("s")));
    assert_eq!(claims.audience, ["a", "b"]);
    assert_eq!(claims.expires_at.as_millis(), 3000);
    assert_eq!(claims.not_before.unwrap().as_millis(), 1000);
    assert_eq!(claims.issued_at.unwrap().as_millis(), 2500);
    assert_eq!(claims.members["x"], json!([null]));
    assert_eq!(claims.members["sub"], "s");
}

#[test]
fn reads_dates_with_fractions_up_to_the_year_9999() {
    let millis = |text: &str| {
        let claims = claims(&format!(r#"{{"iss":"i","aud":"a","exp":{text}}}"#));
        claims.ok().map(|claims| claims.expires_at.as_millis())
    };
    for (text, expected) in [
        ("0", 0),
        ("-0", 0),
        ("0.0", 0),
        ("1.001", 1001),
        ("1767229200.123", 1_767_229_200_123),
        ("1.7672292e9", 1_767_229_200_000),
        ("253402300799", 253_402_300_799_000),
        ("253402300799.5", 253_402_300_799_500),
    ] {
        assert_eq!(millis(text), Some(expected), "{text}");
    }
    for text in [
        "-1",
        "-0.001",
        "-1e300",
        "253402300800",
        "1767229200000",
        "9007199254740993",
        "18446744073709551615",
        "18446744073709551616",
        "1e300",
        "1e400",
        "NaN",
        "Infinity",
    ] {
        assert_eq!(millis(text), None, "{text}");
    }
}

#[test]
fn compares_the_issuer_exactly() {
    let meets = |issuer: &str| with("iss", issuer).unwrap().meets(&expectation(), NOW);
    assert_eq!(meets("https://id.example"), Ok(()));
    for issuer in
        ["", "https://id.example/", "https://ID.example", "http://id.example", "https://id.example.evil"]
    {
        assert_eq!(meets(issuer), Err(Invalid::Issuer), "{issuer}");
    }
}

#[test]
fn wants_one_audience_of_those_configured() {
    let meets = |audience: Value| with("aud", audience).unwrap().meets(&expectation(), NOW);
    for good in [json!("porteiro"), json!("other"), json!(["x", "porteiro"]), json!(["porteiro", "other"])] {
        assert_eq!(meets(good.clone()), Ok(()), "{good}");
    }
    for bad in [json!(""), json!([]), json!("Porteiro"), json!("porteiro other"), json!(["x"]), json!("port")]
    {
        assert_eq!(meets(bad.clone()), Err(Invalid::Audience), "{bad}");
    }
    let nobody = Expectation { audience: Vec::new(), ..expectation() };
    assert_eq!(with("aud", "").unwrap().meets(&nobody, NOW), Err(Invalid::Audience));
}

#[test]
fn tolerates_clocks_to_the_millisecond() {
    let meets = |claim: &str, at: UnixTime| with(claim, NOW_SECONDS).unwrap().meets(&expectation(), at);
    assert_eq!(meets("exp", NOW), Ok(()));
    assert_eq!(meets("exp", NOW + TOLERANCE - MILLISECOND), Ok(()));
    assert_eq!(meets("exp", NOW + TOLERANCE), Err(Invalid::Expired));
    assert_eq!(meets("exp", NOW + TOLERANCE + MILLISECOND), Err(Invalid::Expired));
    for (claim, reason) in [("nbf", Invalid::NotYetValid), ("iat", Invalid::IssuedInFuture)] {
        assert_eq!(meets(claim, NOW), Ok(()));
        assert_eq!(meets(claim, NOW - TOLERANCE), Ok(()));
        assert_eq!(meets(claim, NOW - TOLERANCE - MILLISECOND), Err(reason));
    }
}

#[test]
fn wants_every_required_claim_by_equality_or_membership() {
    let meets = |claim: Value, wanted: Value| {
        let wanted = wanted.as_array().unwrap().clone();
        let expectation = Expectation { claims: vec![("role".to_owned(), wanted)], ..expectation() };
        with("role", claim).unwrap().meets(&expectation, NOW).is_ok()
    };
    for (claim, wanted) in [
        (json!("admin"), json!(["admin"])),
        (json!("admin"), json!(["user", "admin"])),
        (json!(["user", "admin"]), json!(["admin"])),
        (json!([1, "x"]), json!([1])),
        (json!(1), json!([1])),
        (json!(true), json!([true])),
        (json!(""), json!([""])),
    ] {
        assert!(meets(claim.clone(), wanted.clone()), "{claim} {wanted}");
    }
    for (claim, wanted) in [
        (json!("admin"), json!([])),
        (json!("Admin"), json!(["admin"])),
        (json!("admin user"), json!(["admin"])),
        (json!("true"), json!([true])),
        (json!(true), json!(["true", 1])),
        (json!("1"), json!([1])),
        (json!(1), json!(["1", true])),
        (json!(0), json!([false, ""])),
        (json!(null), json!(["", false, 0])),
        (json!([]), json!(["admin"])),
        (json!([["admin"]]), json!(["admin"])),
        (json!({"admin": "admin"}), json!(["admin"])),
    ] {
        assert!(!meets(claim.clone(), wanted.clone()), "{claim} {wanted}");
    }
}

#[test]
fn wants_all_required_claims_and_those_registered_too() {
    let wants = |claims: &[(&str, &str)]| Expectation {
        claims: claims.iter().map(|(name, value)| ((*name).to_owned(), vec![json!(value)])).collect(),
        ..expectation()
    };
    let claims = with("sub", "alice").unwrap();
    assert_eq!(claims.meets(&wants(&[("sub", "alice")]), NOW), Ok(()));
    assert_eq!(claims.meets(&wants(&[("sub", "alice"), ("aud", "porteiro")]), NOW), Ok(()));
    assert_eq!(claims.meets(&wants(&[("sub", "bob")]), NOW), Err(Invalid::RequiredClaim));
    assert_eq!(claims.meets(&wants(&[("sub", "alice"), ("role", "x")]), NOW), Err(Invalid::RequiredClaim));
}

#[test]
fn takes_a_scope_apart() {
    let meets = |scope: Value, wanted: Value| {
        let expectation = Expectation { claims: vec![("scope".to_owned(), vec![wanted])], ..expectation() };
        with("scope", scope).unwrap().meets(&expectation, NOW).is_ok()
    };
    for (scope, wanted) in
        [("read", "read"), ("read write", "write"), ("a read b", "read"), ("a  b", "b"), ("a b c", "c a")]
    {
        assert!(meets(json!(scope), json!(wanted)), "{scope:?} {wanted:?}");
    }
    for (scope, wanted) in [
        ("", "read"),
        ("", ""),
        ("read", ""),
        ("read", " "),
        ("reader", "read"),
        ("a", "a b"),
        ("a\tread", "read"),
    ] {
        assert!(!meets(json!(scope), json!(wanted)), "{scope:?} {wanted:?}");
    }
    assert!(meets(json!(["read", "write"]), json!("write")));
    assert!(!meets(json!(["read write"]), json!("write")));
    assert!(!meets(json!("1"), json!(1)));
}

#[test]
fn tells_the_first_reason() {
    let late = NOW + Duration::from_hours(2);
    let mut other =
        Expectation { issuer: "x".to_owned(), audience: Vec::new(), claims: vec![("a".to_owned(), vec![])] };
    let claims = claims(CLAIMS).unwrap();
    assert_eq!(claims.meets(&other, late), Err(Invalid::Issuer));
    other.issuer.clone_from(&claims.issuer);
    assert_eq!(claims.meets(&other, late), Err(Invalid::Audience));
    other.audience.clone_from(&claims.audience);
    assert_eq!(claims.meets(&other, late), Err(Invalid::Expired));
    assert_eq!(claims.meets(&other, NOW), Err(Invalid::RequiredClaim));
}

#[test]
fn reads_keys_and_keeps_their_public_members_only() {
    let keys = [
        and(and(rsa(&[0xff; 256]), "d", "AQAB"), "x5c", json!(["MII"])),
        and(and(and(ec("P-256", 32), "kid", "e"), "alg", "ES256"), "use", "sig"),
        ec("P-384", 48),
        ec("P-521", 66),
        and(and(ed25519(), "key_ops", json!(["sign", "verify"])), "y", "AA"),
    ];
    let set = set(&keys);
    let jwks: Vec<Value> = set.0.iter().map(|key| serde_json::from_str(&key.jwk()).unwrap()).collect();
    assert_eq!(jwks, [rsa(&[0xff; 256]), ec("P-256", 32), ec("P-384", 48), ec("P-521", 66), ed25519()]);
    let second = &set.0[1];
    assert_eq!((second.kid(), second.algorithm()), (Some("e"), Some(Algorithm::ES256)));
    assert_eq!(second.key_type(), KeyType::P256);
    assert!(set.has_kid("e") && !set.has_kid("E") && !set.has_kid(""));
}

#[test]
fn reads_again_what_it_wrote() {
    let keys = [
        and(and(rsa(&[0xff; 300]), "kid", "\"\\\u{0}é{}"), "alg", "PS384"),
        and(ec("P-521", 66), "kid", ""),
        and(ed25519(), "alg", "EdDSA"),
        rsa(&[[0].as_slice(), &[0xff; 256]].concat()),
    ];
    for set in [set(&keys), set(&[])] {
        assert_eq!(KeySet::parse(set.to_text().as_bytes()), Some(set.clone()));
    }
    assert_eq!(set(&keys).len(), 4);
    assert_eq!(set(&[]).to_text(), r#"{"keys":[]}"#);
}

#[test]
fn refuses_what_is_no_key_set() {
    for text in [
        "",
        "null",
        "[]",
        "{}",
        r#"{"keys":{}}"#,
        r#"{"keys":null}"#,
        r#"{"keys":[]}x"#,
        r#"{"keys":[],"keys":[]}"#,
    ] {
        assert_eq!(KeySet::parse(text.as_bytes()), None, "{text}");
    }
    let marked = b"\xEF\xBB\xBF{\"keys\":[]}";
    assert!(KeySet::parse(marked).is_some() && KeySet::parse(&marked[1..]).is_none());
    assert!(KeySet::parse(br#"{"keys":[null,1,"x",[],{}],"more":1}"#).unwrap().is_empty());
}

#[test]
fn leaves_out_keys_that_are_not_for_verifying() {
    for (member, good) in [
        ("use", json!("sig")),
        ("key_ops", json!(["verify"])),
        ("alg", json!("ES256")),
        ("kid", json!("")),
        ("x5t", json!(1)),
        // Written so where they are absent.
        ("use", json!(null)),
        ("key_ops", json!([])),
        ("key_ops", json!(null)),
        ("alg", json!(null)),
        ("kid", json!(null)),
    ] {
        assert!(usable(&and(ec("P-256", 32), member, good.clone())), "{member} {good}");
    }
    for (member, bad) in [
        ("use", json!("enc")),
        ("use", json!("SIG")),
        ("use", json!(["sig"])),
        ("key_ops", json!(["sign"])),
        ("key_ops", json!("verify")),
        ("key_ops", json!(["verify", 1])),
        ("alg", json!("ES384")),
        ("alg", json!("RS256")),
        ("alg", json!("ECDH-ES")),
        ("alg", json!("none")),
        ("kid", json!(1)),
    ] {
        assert!(!usable(&and(ec("P-256", 32), member, bad.clone())), "{member} {bad}");
    }
}

#[test]
fn leaves_out_keys_of_other_types() {
    let oct = json!({"kty": "oct", "k": encode([1; 64]), "kid": "k"});
    for key in [
        oct.clone(),
        and(oct.clone(), "alg", "HS256"),
        and(oct.clone(), "alg", "RS256"),
        and(ec("P-256", 32), "kty", "oct"),
        and(ec("P-256", 32), "kty", "ec"),
        and(ec("P-256", 32), "kty", json!(["EC"])),
        and(ec("P-256", 32), "kty", "OKP"),
        and(ec("P-256", 32), "crv", "P-384"),
        and(ec("P-256", 32), "crv", "secp256k1"),
        and(ec("P-256", 32), "crv", "p-256"),
        and(ec("P-256", 32), "crv", "Ed25519"),
        and(ec("P-256", 32), "crv", json!(null)),
        and(ed25519(), "crv", "X25519"),
        and(ed25519(), "crv", "Ed448"),
        json!({"kty": "RSA"}),
        json!({"kty": "EC", "crv": "P-256"}),
    ] {
        assert!(!usable(&key), "{key}");
    }
    let keys = set(&[oct]);
    assert!(!keys.has_kid("k"));
    assert_eq!(tried(&keys, r#"{"alg":"RS256","kid":"k"}"#), 0);
}

#[test]
fn leaves_out_coordinates_of_a_wrong_length_or_form() {
    for (member, bad) in [
        ("x", json!(encode([1; 31]))),
        ("x", json!(encode([1; 33]))),
        ("y", json!("")),
        ("y", json!(URL_SAFE.encode([1; 32]))),
        ("y", json!(STANDARD.encode([0xff; 32]).trim_end_matches('='))),
        ("y", json!(1)),
        ("y", json!(null)),
    ] {
        assert!(!usable(&and(ec("P-256", 32), member, bad.clone())), "{member} {bad}");
    }
    assert!(!usable(&and(ed25519(), "x", encode([1; 64]))));
    assert!(!usable(&and(ed25519(), "x", json!([1]))));
}

#[test]
fn leaves_out_rsa_keys_that_are_weak_or_huge() {
    let modulus = |first: u8, bytes: usize| [&[first][..], &vec![0xff; bytes - 1]].concat();
    for (first, bytes, good) in [
        (0xff, 128, false),
        (0xff, 255, false),
        (0x7f, 256, false),
        (0x80, 256, true),
        (0x01, 257, true),
        (0xff, 512, true),
        (0xff, 1024, true),
        (0x01, 1025, false),
        (0xff, 4096, false),
        (0x00, 256, false),
        (0x00, 257, true),
        (0x00, 1025, true),
    ] {
        assert_eq!(usable(&rsa(&modulus(first, bytes))), good, "{first:x} {bytes}");
    }
    assert!(!usable(&rsa(&[])) && !usable(&rsa(&[0; 256])));
    let zero_first = set(&[rsa(&modulus(0, 257))]);
    assert_eq!(zero_first, set(&[rsa(&[0xff; 256])]));
    for (exponent, good) in [
        (&[3][..], true),
        (&[1, 0, 1], true),
        (&[0, 1, 0, 1], true),
        (&[0xff; 4], true),
        (&[], false),
        (&[0], false),
        (&[1], false),
        (&[0, 1], false),
        (&[4], false),
        (&[1, 0, 0, 0, 1], false),
    ] {
        assert_eq!(usable(&and(rsa(&[0xff; 256]), "e", encode(exponent))), good, "{exponent:?}");
    }
    assert!(!usable(&and(rsa(&[0xff; 256]), "n", 1)) && !usable(&and(rsa(&[0xff; 256]), "e", 65537)));
}

#[test]
fn considers_a_hundred_keys() {
    let mut keys = vec![json!({"kty": "oct"}); MAX_KEYS - 1];
    keys.extend([and(ed25519(), "kid", "last"), and(ed25519(), "kid", "beyond")]);
    let set = set(&keys);
    assert_eq!(set.len(), 1);
    assert!(set.has_kid("last") && !set.has_kid("beyond"));
}

#[test]
fn tries_keys_of_the_type_that_the_algorithm_asks_for() {
    let keys = set(&[rsa(&[0xff; 256]), ec("P-256", 32), ec("P-384", 48), ec("P-521", 66), ed25519()]);
    for algorithm in Algorithm::ALL {
        let header = format!(r#"{{"alg":"{}"}}"#, algorithm.as_str());
        let text = token(&header, CLAIMS, *algorithm.signature_bytes().start());
        let token = UnverifiedToken::parse(&text).unwrap();
        let types: Vec<KeyType> = keys.candidates(&token).map(VerifyingKey::key_type).collect();
        assert_eq!(types, [algorithm.key_type()], "{}", algorithm.as_str());
    }
    let wrong_curve = set(&[and(ec("P-384", 48), "kid", "k")]);
    assert_eq!(tried(&wrong_curve, r#"{"alg":"ES256","kid":"k"}"#), 0);
    assert_eq!(tried(&wrong_curve, r#"{"alg":"ES384","kid":"k"}"#), 1);
}

#[test]
fn tries_no_key_that_is_meant_for_another_algorithm() {
    let keys = set(&[and(rsa(&[0xff; 256]), "alg", "RS256"), and(rsa(&[0xfe; 256]), "alg", "PS256")]);
    for (name, count) in [("RS256", 1), ("PS256", 1), ("RS384", 0), ("PS512", 0)] {
        assert_eq!(tried(&keys, &format!(r#"{{"alg":"{name}"}}"#)), count, "{name}");
    }
}

#[test]
fn tries_only_keys_of_the_name_that_a_token_tells() {
    let keys =
        set(&[ed25519(), and(ed25519(), "kid", "a"), and(ed25519(), "kid", ""), and(ed25519(), "kid", "a")]);
    for (kid, count) in [
        ("a", 2),
        ("", 1),
        ("A", 0),
        ("a ", 0),
        ("../../x", 0),
        ("../../dev/null", 0),
        ("' OR 1=1", 0),
        ("a\\u0000", 0),
        ("https://evil.example/jwks", 0),
        ("__proto__", 0),
    ] {
        assert_eq!(tried(&keys, &format!(r#"{{"alg":"EdDSA","kid":"{kid}"}}"#)), count, "{kid}");
    }
    assert_eq!(tried(&keys, r#"{"alg":"EdDSA"}"#), 4);
}

#[test]
fn tries_at_most_four_keys() {
    let keys = set(&vec![and(ed25519(), "kid", "a"); 9]);
    assert_eq!(keys.len(), 9);
    assert_eq!(tried(&keys, r#"{"alg":"EdDSA"}"#), MAX_CANDIDATES);
    assert_eq!(tried(&keys, r#"{"alg":"EdDSA","kid":"a"}"#), MAX_CANDIDATES);
}

#[test]
fn names_each_reason_once() {
    let reasons = [
        Invalid::Format,
        Invalid::Header,
        Invalid::Algorithm,
        Invalid::UnknownKey,
        Invalid::Signature,
        Invalid::Claims,
        Invalid::Issuer,
        Invalid::Audience,
        Invalid::Expired,
        Invalid::NotYetValid,
        Invalid::IssuedInFuture,
        Invalid::RequiredClaim,
    ];
    let names: std::collections::BTreeSet<&str> = reasons.into_iter().map(Invalid::as_str).collect();
    assert_eq!(names.len(), reasons.len());
    assert!(names.iter().all(|name| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')));
}

#[test]
fn shows_nothing_of_a_token() {
    let text = token(r#"{"alg":"ES256","kid":"marker"}"#, &CLAIMS.replace("porteiro", "marker"), 64);
    let token = UnverifiedToken::parse(&text).unwrap();
    assert_eq!(format!("{token:?}"), "UnverifiedToken(redacted)");
    assert_eq!(format!("{:?}", token.unproven_claims()), "Claims(redacted)");
}

#[test]
fn matches_no_number_that_is_not_kept_as_written() {
    let own = |claims: &str| {
        let text = format!(r#"{{"iss":"i","aud":"a","exp":1700000000.50,{claims}}}"#);
        Claims::parse(text.as_bytes()).unwrap().into_own()
    };
    for (claims, text) in [
        (r#""v":7"#, Some("7")),
        (r#""v":1.5"#, Some("1.5")),
        (r#""v":18446744073709551615"#, Some("18446744073709551615")),
        (r#""v":1.50"#, None),
        (r#""v":1.50,"w":1.5"#, None),
        (r#""w":1.5,"v":1.50"#, None),
        (r#""v":1.50,"nick":" 1.5 ""#, None),
        (r#""v":1.50,"\":1.5,":{"v":1.5}"#, None),
        (r#""v":1.5,"w":1.50"#, Some("1.5")),
        (r#""\u0076":1e0"#, None),
        (r#""v":18446744073709551617,"w":18446744073709552000.0"#, None),
        (r#""v":123456789012345678901234567890,"nick":" 1.2345678901234568e+29 ""#, None),
        (r#""v":-0,"w":-0.0"#, None),
    ] {
        assert_eq!(own(claims).text("v").as_deref(), text, "{claims}");
    }
    for (claims, value, has) in [
        (r#""v":[1.5,2]"#, json!(1.5), true),
        (r#""v":[1.50,2]"#, json!(1.5), false),
        (r#""v":[1.50,2],"w":[1.5]"#, json!(1.5), false),
        (r#""v":[18446744073709551617]"#, json!(18_446_744_073_709_551_617.0), false),
        (r#""v":1.4999999999999999999999"#, json!(1.5), false),
        (r#""v":"1.50""#, json!("1.50"), true),
        (r#""w":1.50,"v":["a",1]"#, json!(1), true),
    ] {
        assert_eq!(own(claims).has("v", &[value]), has, "{claims}");
    }
    let claims = Claims::parse(br#"{"iss":"i","aud":"a","exp":1.7e9}"#).unwrap();
    assert_eq!(claims.expires_at, UnixTime::from_millis(1_700_000_000_000));
}
