use serde_json::json;

use super::*;

/// RFC 8410 §10.3, without and with the public key.
const ED25519: [&str; 2] = [
    "MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC",
    "MHICAQEwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhCoB8wHQYKKoZIhvcNAQkJFDEPDA1DdXJkbGUgQ2hhaXJzgSEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=",
];

/// The first bytes of keys, as OpenSSL writes them.
const HEADS: [(&str, Option<KeyType>); 8] = [
    ("308204bd020100300d06092a864886f70d0101010500048204a7308204a3", Some(KeyType::Rsa)),
    ("308187020100301306072a8648ce3d020106082a8648ce3d030107046d30", Some(KeyType::P256)),
    ("3081b6020100301006072a8648ce3d020106052b8104002204819e30819b", Some(KeyType::P384)),
    ("3081ee020100301006072a8648ce3d020106052b810400230481d63081d3", Some(KeyType::P521)),
    // Ed448, secp256k1, an RSA key for PSS alone, and the older form of RSA.
    ("3047020100300506032b6571043b043962f1137989597636d0e5f8ebdc47", None),
    ("308184020100301006072a8648ce3d020106052b8104000a046d306b0201", None),
    ("308204ba020100300b06092a864886f70d01010a048204a6308204a20201", None),
    ("308204a30201000282010100ceb4bd31378004b9501e097849ae655a89c1", None),
];

fn pem(label: &str, body: &str) -> String {
    let lines: Vec<&str> = body.as_bytes().chunks(64).map(|line| str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

#[track_caller]
fn refuses(text: &str, message: &str) {
    assert_eq!(parse(text).err(), Some(message), "{text}");
}

#[test]
fn knows_the_kind_of_a_key_by_its_first_bytes() {
    for (hex, kind) in HEADS {
        let bytes = hex
            .as_bytes()
            .chunks(2)
            .map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap());
        assert_eq!(kind_of_der(&bytes.collect::<Vec<u8>>()), kind, "{hex}");
    }
    for text in ED25519 {
        let der = STANDARD.decode(text).unwrap();
        assert_eq!(kind_of_der(&der), Some(KeyType::Ed25519));
        for end in 0..12 {
            assert_eq!(kind_of_der(&der[..end]), None, "{end} bytes");
        }
    }
}

#[test]
fn takes_a_pem_however_its_line_breaks_are_written() {
    let key = pem("PRIVATE KEY", ED25519[1]);
    for text in [
        key.clone(),
        key.replace('\n', "\\n"),
        key.replace('\n', "\r\n"),
        key.replace('\n', "\\r\\n"),
        key.replace('\n', " "),
        format!("  {key}\n\n"),
        format!("{}{key}", pem("CERTIFICATE", "AAAA")),
        format!("Bag Attributes\n    friendlyName: key\n{key}"),
    ] {
        let parsed = parse(&text).unwrap_or_else(|message| panic!("{text}: {message}"));
        assert_eq!((parsed.format, parsed.kind), (KeyFormat::Pkcs8, KeyType::Ed25519));
        assert_eq!(parsed.text.expose(), ED25519[1]);
    }
}

#[test]
fn says_what_to_make_of_another_pem() {
    refuses(&pem("RSA PRIVATE KEY", "AAAA"), OTHER_PEM);
    refuses(&format!("{}{}", pem("EC PARAMETERS", "AAAA"), pem("EC PRIVATE KEY", "AAAA")), OTHER_PEM);
    refuses(&pem("ENCRYPTED PRIVATE KEY", "AAAA"), ENCRYPTED);
    let old = pem("RSA PRIVATE KEY", "AAAA").replace("AAAA", "Proc-Type: 4,ENCRYPTED\nDEK-Info: x\n\nAAAA");
    refuses(&old, ENCRYPTED);
    refuses(&old.replace('\n', "\\n"), ENCRYPTED);
    refuses(&pem("OPENSSH PRIVATE KEY", "AAAA"), OPENSSH);
    for label in ["CERTIFICATE", "PUBLIC KEY", "RSA PUBLIC KEY", "CERTIFICATE REQUEST"] {
        refuses(&pem(label, "AAAA"), PUBLIC);
    }
    refuses(ED25519[0], NO_KEY);
    refuses("key.pem", NO_KEY);
    let whole = pem("PRIVATE KEY", ED25519[0]);
    refuses(&whole[..60], DAMAGED);
    refuses(&whole.replace("MC4C", "MC4!"), DAMAGED);
    refuses(&pem("PRIVATE KEY", "AAAA"), UNKNOWN_KIND);
    refuses(&format!("\"{whole}\""), "looks pasted wrong: it stands in quotes; set it again without them");
}

fn jwk() -> Value {
    // RFC 8037 A.1.
    json!({
        "kty": "OKP",
        "crv": "Ed25519",
        "d": "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
        "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
    })
}

#[test]
fn keeps_of_a_jwk_what_webcrypto_needs() {
    let mut full = jwk();
    for (name, value) in [("use", json!("enc")), ("key_ops", json!(["verify"])), ("ext", json!(false))] {
        full[name] = value;
    }
    full["kid"] = "k1".into();
    full["alg"] = "Ed25519".into();
    let key = parse(&format!(" {full}\n")).unwrap_or_else(|message| panic!("{message}"));
    assert_eq!(
        (key.format, key.kind, key.algorithm),
        (KeyFormat::Jwk, KeyType::Ed25519, Some(Algorithm::EdDSA))
    );
    assert_eq!(key.id.as_deref(), Some("k1"));
    assert_eq!(serde_json::from_str::<Value>(key.text.expose()).unwrap(), jwk());
    full["alg"] = "RS256".into();
    assert_eq!(parse(&full.to_string()).unwrap_or_else(|_| panic!()).usual_algorithm(), Algorithm::EdDSA);
}

#[test]
fn says_what_a_jwk_lacks() {
    let with = |name: &str, value: Value| {
        let mut jwk = jwk();
        jwk[name] = value;
        jwk.to_string()
    };
    let without = |name: &str| {
        let mut jwk = jwk();
        jwk.as_object_mut().unwrap().remove(name);
        jwk.to_string()
    };
    refuses(&without("d"), PUBLIC);
    refuses(&without("x"), DAMAGED_JWK);
    refuses(&without("crv"), UNKNOWN_KIND);
    refuses(&without("kty"), NO_KEY);
    refuses(&with("crv", "X25519".into()), UNKNOWN_KIND);
    refuses(&with("kty", "oct".into()), UNKNOWN_KIND);
    refuses(&with("d", "a+b=".into()), NOT_BASE64);
    refuses(&with("d", 7.into()), PUBLIC);
    refuses("{", NO_KEY);
    refuses(r#"{"type":"service_account","private_key":"x"}"#, IN_ACCOUNT);
}

#[test]
fn reads_the_file_of_a_service_account() {
    let file = json!({
        "type": "service_account",
        "client_email": "a@b.example",
        "private_key_id": "k1",
        "private_key": pem("PRIVATE KEY", ED25519[0]),
        "token_uri": "https://oauth2.example/token",
    });
    let account = ServiceAccount::parse(&format!("{file:#}\n")).unwrap_or_else(|message| panic!("{message}"));
    assert_eq!(account.issuer, "a@b.example");
    assert_eq!(account.token_url.unwrap().as_str(), "https://oauth2.example/token");
    assert_eq!(account.key.id.as_deref(), Some("k1"));
    for (name, value, message) in [
        ("client_email", Value::Null, NO_ACCOUNT),
        ("private_key", Value::Null, ACCOUNT_KEY),
        ("private_key", pem("RSA PRIVATE KEY", "AAAA").into(), ACCOUNT_KEY),
        ("token_uri", "http://oauth2.example/token".into(), ACCOUNT_ADDRESS),
    ] {
        let mut broken = file.clone();
        broken[name] = value;
        assert_eq!(ServiceAccount::parse(&broken.to_string()).err(), Some(message), "{name}");
    }
    assert_eq!(ServiceAccount::parse("account.json").err(), Some(NO_ACCOUNT));
}

#[test]
fn shows_no_key() {
    let key = SigningKey {
        format: KeyFormat::Pkcs8,
        text: Secret::new(ED25519[0].to_owned()),
        algorithm: Algorithm::EdDSA,
        id: Some("canary".to_owned()),
    };
    assert_eq!(format!("{key:?}"), "SigningKey { algorithm: EdDSA, .. }");
}
