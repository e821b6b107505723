use super::*;
use crate::secret::Secret;

const JEFE: &str = "what do ya want for nothing?";
const SHA256: &str = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
const NOW: UnixTime = UnixTime::from_millis(1_492_774_577_000);

fn plain() -> EventHmac {
    EventHmac {
        header: HeaderName::parse("x-signature").unwrap(),
        part: None,
        prefix: String::new(),
        algorithm: HmacAlgorithm::Sha256,
        encoding: HmacEncoding::Hex,
        signed: vec![Signed::Body],
        time: None,
    }
}

fn tokens(text: &str) -> AccountTokens {
    AccountTokens::parse(&Secret::new(text.to_owned())).unwrap()
}

/// The number of the token of `keys` that signed the request with these `lines`, which are its
/// address and its fields.
fn signer(hmac: &EventHmac, lines: &str, body: &str, keys: &str) -> Option<usize> {
    let text = format!("POST\n{lines}");
    let presented = hmac.presented(&RequestHead::new(&text), NOW)?;
    let (place, _) = presented.token(body.as_bytes(), &tokens(keys))?;
    Some(place.number().unwrap_or(1))
}

fn proves(hmac: &EventHmac, value: &str, body: &str) -> bool {
    signer(hmac, &format!("https://b.example/\nx-signature:{value}"), body, "Jefe").is_some()
}

/// Test case 2 of RFC 2202 section 3 and of RFC 4231 section 4.3.
#[test]
fn signs_by_each_algorithm_in_each_notation() {
    use HmacAlgorithm::{Sha1, Sha256, Sha512};
    use HmacEncoding::{Base64, Base64Url, Hex};
    for (algorithm, encoding, signature) in [
        (Sha1, Hex, "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"),
        (Sha1, Base64, "7/zfauXrL6LSdBbV8YTfnCWafHk="),
        (Sha1, Base64Url, "7_zfauXrL6LSdBbV8YTfnCWafHk="),
        (Sha1, Base64Url, "7_zfauXrL6LSdBbV8YTfnCWafHk"),
        (Sha256, Hex, SHA256),
        (Sha256, Hex, &SHA256.to_uppercase()),
        (Sha256, Base64, "W9zBRr9gdU5qBCQmCJV1x1oAPwidJzmDnexYuWTsOEM="),
        (
            Sha512,
            Hex,
            "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554\
             9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737",
        ),
        (
            Sha512,
            Base64,
            "Fkt6e/z4GeLjlfvnO1bgo4e9ZCIugx/WECcM1+olBVSXWL91wFqZSm0DT2X48Ob9yuqxo01Ka0tjbgcKOLznNw==",
        ),
    ] {
        let hmac = EventHmac { algorithm, encoding, ..plain() };
        assert!(proves(&hmac, signature, JEFE), "{signature}");
        assert!(!proves(&hmac, signature, "what do ya want for nothing!"), "{signature}");
    }
}

#[test]
fn refuses_whatever_is_not_the_signature() {
    let hmac = plain();
    assert!(proves(&hmac, SHA256, JEFE));
    let upper_half = format!("{}{}", &SHA256[..32], SHA256[32..].to_uppercase());
    assert!(proves(&hmac, &upper_half, JEFE));
    for wrong in [
        "",
        "=",
        "0",
        &"0".repeat(64),
        &SHA256[1..],
        &SHA256[..63],
        &format!("{SHA256}0"),
        &format!(" {SHA256}"),
        &format!("0x{SHA256}"),
        &format!("sha256={SHA256}"),
        &format!("{SHA256}, {SHA256}"),
        &format!("{SHA256},"),
        &format!("{SHA256}="),
        "W9zBRr9gdU5qBCQmCJV1x1oAPwidJzmDnexYuWTsOEM=",
        // Full-width digits, and a letter whose lower case is ASCII.
        &SHA256.replace('5', "\u{FF15}"),
        &SHA256.replace('b', "\u{212A}"),
    ] {
        assert!(!proves(&hmac, wrong, JEFE), "{wrong:?}");
    }
    assert_eq!(signer(&hmac, "https://b.example/", JEFE, "Jefe"), None);
    assert_eq!(signer(&hmac, &format!("https://b.example/\nx-other:{SHA256}"), JEFE, "Jefe"), None);
    // Base64 has no other case, and no other last character.
    let base64 = EventHmac { encoding: HmacEncoding::Base64, ..plain() };
    for wrong in [
        "w9zbrr9gdu5qbcqmcjv1x1oapwidjzmdnexyuwtsoem=",
        "W9zBRr9gdU5qBCQmCJV1x1oAPwidJzmDnexYuWTsOEN=",
        "W9zBRr9gdU5qBCQmCJV1x1oAPwidJzmDnexYuWTsOE",
        SHA256,
    ] {
        assert!(!proves(&base64, wrong, JEFE), "{wrong}");
    }
}

#[test]
fn wants_the_prefix_as_it_is() {
    let hmac = EventHmac { prefix: "sha256=".to_owned(), ..plain() };
    assert!(proves(&hmac, &format!("sha256={SHA256}"), JEFE));
    for wrong in ["", "SHA256=", "sha1=", "sha256= ", " sha256=", "sha256=sha256="] {
        assert!(!proves(&hmac, &format!("{wrong}{SHA256}"), JEFE), "{wrong:?}");
    }
    assert!(!proves(&hmac, "sha256=", JEFE));
    // What the runtime makes of a field that came twice.
    assert!(!proves(&hmac, &format!("sha256={SHA256}, sha256={SHA256}"), JEFE));
}

#[test]
fn tries_each_key_of_a_rotation() {
    let lines = format!("https://b.example/\nx-signature:{SHA256}");
    let found = ["Jefe", "other, Jefe", "Jefe,other", "other", "jefe", "Jef,Jefee"]
        .map(|keys| signer(&plain(), &lines, JEFE, keys));
    assert_eq!(found, [Some(1), Some(2), Some(1), None, None, None]);
}

/// A sender of the form `t=1,v1=a`, with the time in the field.
fn with_parts() -> EventHmac {
    let place = TimePlace::Part("t".to_owned());
    EventHmac {
        part: Some("v1".to_owned()),
        signed: vec![Signed::Time, Signed::Text(".".to_owned()), Signed::Body],
        time: Some(SigningTime { place, tolerance: Duration::from_mins(5) }),
        ..plain()
    }
}

fn sign(hmac: &EventHmac, text: &str) -> String {
    hmac.sign(b"Jefe", &[SignedPart::Text(text.into())], b"").unwrap()
}

#[test]
fn takes_one_of_several_signatures_of_the_time_in_the_field() {
    let (hmac, time) = (with_parts(), "1492774577");
    let right = sign(&hmac, &format!("{time}.{{}}"));
    let wrong = "0".repeat(64);
    for good in [
        format!("t={time},v1={right}"),
        format!("t={time}, v1={right}"),
        format!("v1={right},t={time}"),
        format!("t={time},v1={wrong},v1={right},v0={wrong}"),
        format!("t={time},v1={right},v1={wrong}"),
        format!("t={time},v1=,v2,,=,v1={right}"),
        // A second field with a further signature.
        format!("t={time},v1={wrong}, v1={right}"),
    ] {
        assert!(proves(&hmac, &good, "{}"), "{good}");
    }
    for bad in [
        String::new(),
        right.clone(),
        format!("v1={right}"),
        format!("t={time}"),
        format!("t={time},v1="),
        format!("t={time},v0={right}"),
        format!("t={time},V1={right}"),
        format!("t={time},v1={wrong}"),
        format!("t={time};v1={right}"),
        format!("t=1492774578,v1={right}"),
        // Two times: one may be signed, the other one near.
        format!("t={time},t={time},v1={right}"),
        format!("t={time},v1={right}, t=1492774578,v1={right}"),
        format!("t=,t={time},v1={right}"),
    ] {
        assert!(!proves(&hmac, &bad, "{}"), "{bad}");
    }
    assert!(!proves(&hmac, &format!("t={time},v1={right}"), "{ }"));
}

#[test]
fn takes_no_time_that_is_not_near_in_seconds_or_milliseconds() {
    let hmac = with_parts();
    let takes = |time: &str| {
        let right = sign(&hmac, &format!("{time}.{{}}"));
        proves(&hmac, &format!("t={time},v1={right}"), "{}")
    };
    for good in [
        "1492774577",
        "1492774277",
        "1492774877",
        "01492774577",
        "1492774577000",
        "1492774277000",
        "1492774877000",
    ] {
        assert!(takes(good), "{good}");
    }
    for bad in [
        "",
        "0",
        "1492774276",
        "1492774878",
        "1492774276999",
        "1492774877001",
        "1492774577000000",
        "99999999999999999999",
        "+1492774577",
        "-1492774577",
        "1492774577.0",
        "1492774577 ",
        "0x58fa4a31",
        "1.492774577e9",
        "2017-04-21T11:36:17Z",
        "\u{FF11}492774577",
    ] {
        assert!(!takes(bad), "{bad:?}");
    }
}

/// The border between the time and the body is where the digits end.
#[test]
fn reads_no_body_as_a_part_of_the_time() {
    let hmac = with_parts();
    let right = sign(&hmac, "1492774577.1.{}");
    assert!(proves(&hmac, &format!("t=1492774577,v1={right}"), "1.{}"));
    assert!(!proves(&hmac, &format!("t=1492774577.1,v1={right}"), "{}"));
}

#[test]
fn signs_fields_and_parameters_of_the_request() {
    let name = |name: &str| HeaderName::parse(name).unwrap();
    let hmac = EventHmac {
        signed: vec![
            Signed::Query("a.b".to_owned()),
            Signed::Text("|".to_owned()),
            Signed::QueryLower("c".to_owned()),
            Signed::Text("|".to_owned()),
            Signed::Header(name("x-id")),
        ],
        ..plain()
    };
    let right = sign(&hmac, "É /|é x|ID");
    let check = |target: &str, id: &str| {
        let lines = format!("https://b.example{target}\n{id}\nx-signature:{right}");
        signer(&hmac, &lines, "whatever", "Jefe").is_some()
    };
    // Only ASCII has another case here: what the sender signs is told of that alone.
    let right_lower = "c=%C3%A9+X";
    assert!(check(&format!("/?a.b=%C3%89+%2F&{right_lower}"), "x-id:ID"));
    assert!(check(&format!("/hook?{right_lower}&%61.b=%C3%89%20/&d=1"), "x-id:ID"));
    for (target, id) in [
        ("/", "x-id:ID"),
        ("/?a.b=%C3%89+/", "x-id:ID"),
        ("/?a.b=%C3%89+/&c=%C3%A9+x", "x-id:id"),
        ("/?a.b=%C3%89+/&c=%C3%A9+x", "x-other:ID"),
        ("/?a.b=%C3%89+/&c=%C3%A9+x&c=%C3%A9+x", "x-id:ID"),
        ("/?A.B=%C3%89+/&c=%C3%A9+x", "x-id:ID"),
        ("/?a.b=%C3%A9+/&c=%C3%A9+x", "x-id:ID"),
    ] {
        assert!(!check(target, id), "{target} {id}");
    }
}

#[test]
fn shows_no_signature_when_debugged() {
    let text = format!("POST\nhttps://b.example/\nx-signature:{SHA256}");
    let hmac = plain();
    let presented = hmac.presented(&RequestHead::new(&text), NOW).unwrap();
    assert_eq!(format!("{presented:?}"), "Presented(redacted)");
}
