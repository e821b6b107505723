//! How the events of real senders are configured and proven.

use super::*;
use crate::http::RequestHead;
use crate::time::UnixTime;
use crate::webhook::{EventHmac, HmacAlgorithm, HmacEncoding, Signed, TimePlace};

const TABLE: &str = "CONNECTIONS/api/webhook";

/// The sound configuration whose `api` has webhooks with these fields and keys.
fn with_fields(fields: &Value, keys: &str) -> Value {
    let mut all = changed(&[
        (TABLE, json!({"forward_to": "https://app.example.com/hooks"})),
        ("API_ACCOUNT_TOKEN", json!(keys)),
        ("API_WEBHOOK_SECRET", json!("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")),
    ]);
    for (name, value) in fields.as_object().unwrap() {
        put(&mut all, &format!("{TABLE}/{name}"), Some(value.clone()));
    }
    all
}

fn webhook(fields: &Value, keys: &str) -> Rc<Webhook> {
    let (config, problems) = read(&with_fields(fields, keys));
    assert_eq!(problems, [], "{fields}");
    config.webhook("api").unwrap().clone().into_usable().unwrap()
}

fn hmac(webhook: &Webhook) -> &EventHmac {
    let Proof::Hmac(hmac) = &webhook.proof else { panic!("{:?}", webhook.proof) };
    hmac
}

/// Checks that a table `webhook` with these fields has exactly the problems `expected`, each below
/// the table.
fn check_problems(fields: &Value, expected: &[&str]) {
    let (config, problems) = read(&with_fields(fields, "a key"));
    let found: Vec<String> = problems.iter().map(ToString::to_string).collect();
    let expected: Vec<String> =
        expected.iter().map(|problem| format!("CONNECTIONS.api.webhook.{problem}")).collect();
    assert_eq!(found, expected, "{fields}");
    assert!(!config.webhook("api").unwrap().is_usable() && config.connection("api").unwrap().is_usable());
}

/// A request of a sender: its address and header fields, its body, and its time in milliseconds.
struct Sent<'a> {
    lines: &'a str,
    body: &'a str,
    at: u64,
}

impl Sent<'_> {
    /// Whether the request proves its sender, who has the key `key`, by the table `hmac`.
    fn proves(&self, table: &Value, key: &str) -> bool {
        let webhook = webhook(&json!({"hmac": table}), key);
        let text = format!("POST\n{}", self.lines);
        let presented = hmac(&webhook).presented(&RequestHead::new(&text), UnixTime::from_millis(self.at));
        presented.is_some_and(|signed| signed.token(self.body.as_bytes(), &webhook.account_tokens).is_some())
    }

    /// Checks that the request proves its sender, and not with any other byte in the body (if that
    /// `is_signed`) or the key, and not later.
    fn check(&self, table: &Value, key: &str, is_signed: bool, is_timed: bool) {
        assert!(self.proves(table, key), "{table}");
        assert!(!self.proves(table, &format!("{key}x")), "{table}");
        for body in [format!("{} ", self.body), self.body.replacen('o', "0", 1), String::new()] {
            assert_eq!(Sent { body: &body, ..*self }.proves(table, key), !is_signed, "{table} {body}");
        }
        for at in [self.at - 301_000, self.at + 301_000] {
            assert_eq!(Sent { at, ..*self }.proves(table, key), !is_timed, "{table}");
        }
    }
}

/// The example of <https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries>.
#[test]
fn proves_events_of_github() {
    let sent = Sent {
        lines: "https://b.example/webhooks/api\nx-hub-signature-256:\
                sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
        body: "Hello, World!",
        at: 1_000_000,
    };
    let table = json!({"header": "X-Hub-Signature-256", "prefix": "sha256="});
    sent.check(&table, "It's a Secret to Everybody", true, false);
}

/// The example of <https://docs.slack.dev/authentication/verifying-requests-from-slack>.
#[test]
fn proves_requests_of_slack() {
    let sent = Sent {
        lines: "https://b.example/webhooks/api\nx-slack-request-timestamp:1531420618\nx-slack-signature:\
                v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503",
        body: "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V\
               &channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=\
               &response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN\
               &trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c",
        at: 1_531_420_618_000,
    };
    let table = json!({
        "header": "X-Slack-Signature",
        "prefix": "v0=",
        "timestamp_header": "X-Slack-Request-Timestamp",
        "signed": "v0:{timestamp}:{body}"
    });
    sent.check(&table, "8f742231b10e8888abcd99yyyzzz85a5", true, true);
}

/// By <https://shopify.dev/docs/apps/build/webhooks/subscribe/https>, which has no example to
/// compute: the base64 of HMAC-SHA256 over the body, under the app's client secret.
#[test]
fn proves_events_of_shopify() {
    let sent = Sent {
        lines: "https://b.example/webhooks/api\n\
                x-shopify-hmac-sha256:D0UMXmhjwBRi4y66TmhJrDlhQABD7zI2fm3p6/QLMo8=",
        body: r#"{"id":820982911946154508,"email":"jon@example.com"}"#,
        at: 1_000_000,
    };
    let table = json!({"header": "X-Shopify-Hmac-Sha256", "encoding": "base64"});
    sent.check(&table, "hush", true, false);
}

/// By <https://docs.stripe.com/webhooks#verify-manually>, whose example has no secret: the time and
/// the scheme `v0` are those of the example. A secret that is being rolled signs, too.
#[test]
fn proves_events_of_stripe() {
    const V0: &str = "v0=6ffbb59b2300aae63f272406069a9788598b792a944a07aba816edb039989a39";
    let old = "v1=654b43d3508ecadb3f8cefc4bc7d3d2bdc5ba9e03bf2c89b2d0657a8e24e4543";
    let next = "v1=e58be054674d9352a5857cbc7de7848833233209dda182f7c07975b382293c1a";
    let table = json!({
        "header": "Stripe-Signature",
        "part": "v1",
        "timestamp_part": "t",
        "signed": "{timestamp}.{body}"
    });
    for signatures in [format!("{old},{next}"), format!("{next},{old}")] {
        let lines =
            format!("https://b.example/webhooks/api\nstripe-signature:t=1492774577,{signatures},{V0}");
        let sent = Sent { lines: &lines, body: r#"{"id":"evt_1","object":"event"}"#, at: 1_492_774_577_000 };
        for key in ["whsec_test_secret", "whsec_next_secret"] {
            sent.check(&table, key, true, true);
        }
    }
}

/// By <https://www.mercadopago.com.br/developers/en/docs/your-integrations/notifications/webhooks>: the
/// id of the query in lower case, the field `x-request-id`, and a time in milliseconds. The body is
/// not signed.
#[test]
fn proves_notifications_of_mercado_pago() {
    let table = json!({
        "header": "x-signature",
        "part": "v1",
        "timestamp_part": "ts",
        "signed": "id:{query_lower:data.id};request-id:{header:x-request-id};ts:{timestamp};"
    });
    let lines = |id: &str, request: &str| {
        format!(
            "https://b.example/webhooks/api?data.id={id}&type=order\nx-request-id:{request}\nx-signature:\
             ts=1742505638683,v1=5743841c0b4414994bd2ca95a1733f5617ed7ee5176231a6643f5869a06d34a9"
        )
    };
    let (id, request) = ("ORD01JQ4S4KY8HWQ6NA5PXB65B3D3", "bb56a2f1-6aae-46ac-982e-9dcd3581d08e");
    let body = r#"{"action":"order.processed","data":{"id":"ORD01JQ4S4KY8HWQ6NA5PXB65B3D3"}}"#;
    let sent = |lines: &str| Sent { lines, body, at: 1_742_505_638_683 }.proves(&table, "mp-secret");
    let right = lines(id, request);
    Sent { lines: &right, body, at: 1_742_505_638_683 }.check(&table, "mp-secret", false, true);
    assert!(sent(&lines(&id.to_ascii_lowercase(), request)));
    assert!(!sent(&lines("ORD01JQ4S4KY8HWQ6NA5PXB65B3D4", request)));
    assert!(!sent(&lines(id, "bb56a2f1-6aae-46ac-982e-9dcd3581d08f")));
    assert!(!sent(&right.replace("data.id", "id")) && !sent(&right.replace("x-request-id", "x-id")));
}

/// By <https://tiendanube.github.io/api-documentation/resources/webhook>, which has no example to
/// compute: hexadecimal HMAC-SHA256 over the body, under the app's client secret.
#[test]
fn proves_events_of_nuvemshop() {
    let sent = Sent {
        lines: "https://b.example/webhooks/api\nx-linkedstore-hmac-sha256:\
                1da39a76b16392574a316eb32a348ef350d7d2e48567cd9f514eb4acc11fbc95",
        body: r#"{"store_id":123,"event":"order/paid","id":456}"#,
        at: 1_000_000,
    };
    sent.check(&json!({"header": "x-linkedstore-hmac-sha256"}), "app-secret", true, false);
}

/// <https://docs.asaas.com/docs/receive-asaas-events-at-your-webhook-endpoint>
#[test]
fn knows_events_of_asaas_by_their_header() {
    let webhook = webhook(&json!({"token_header": "asaas-access-token", "accepted_status": 200}), "token");
    assert!(matches!(&webhook.proof, Proof::Header(name) if name.as_str() == "asaas-access-token"));
}

#[test]
fn reads_every_field_of_an_hmac() {
    let all = webhook(
        &json!({"hmac": {
            "header": "X-Sig",
            "part": "s",
            "prefix": "HMAC ",
            "algorithm": "sha512",
            "encoding": "base64url",
            "signed": "{timestamp}{header:X-A}:{query:a b}{query_lower:c:d}\n{body}",
            "timestamp_part": "t",
            "tolerance_seconds": 60
        }}),
        "one, two",
    );
    let all = hmac(&all);
    assert_eq!(
        (all.header.as_str(), all.part.as_deref(), all.prefix.as_str()),
        ("x-sig", Some("s"), "HMAC ")
    );
    assert_eq!((all.algorithm, all.encoding), (HmacAlgorithm::Sha512, HmacEncoding::Base64Url));
    let text = |text: &str| Signed::Text(text.to_owned());
    assert_eq!(
        all.signed,
        [
            Signed::Time,
            Signed::Header(HeaderName::parse("x-a").unwrap()),
            text(":"),
            Signed::Query("a b".to_owned()),
            Signed::QueryLower("c:d".to_owned()),
            text("\n"),
            Signed::Body
        ]
    );
    let time = all.time.clone().unwrap();
    assert_eq!((time.place, time.tolerance.as_secs()), (TimePlace::Part("t".to_owned()), 60));
    let least = webhook(&json!({"hmac": {"header": "X-Sig"}}), "Basic words of a key");
    let least = hmac(&least);
    assert_eq!((least.algorithm, least.encoding), (HmacAlgorithm::Sha256, HmacEncoding::Hex));
    assert_eq!((least.signed.as_slice(), least.part.as_deref()), ([Signed::Body].as_slice(), None));
    assert!(least.prefix.is_empty() && least.time.is_none());
    let timed = json!({"header": "X-Sig", "timestamp_header": "X-Time", "signed": "{timestamp}.{body}"});
    let timed = webhook(&json!({"hmac": timed}), "key");
    assert_eq!(hmac(&timed).time.as_ref().unwrap().tolerance.as_secs(), 300);
}

#[test]
fn reports_what_is_wrong_with_an_hmac() {
    const BRACES: &str = "signed: must have no braces but {body}, {timestamp}, {query:name}, \
                          {query_lower:name} and {header:name}";
    const NOTHING: &str =
        "signed: must have {body}, or {query:name} or {header:name}: else nothing of the event is signed";
    const UNSIGNED: &str = "signed: must have {timestamp}: a time that is not signed proves nothing";
    let check = |fields: Value, expected: &[&str]| {
        let mut table = json!({"header": "X-Sig"});
        for (name, value) in fields.as_object().unwrap() {
            put(&mut table, name, Some(value.clone()).filter(|value| !value.is_null()));
        }
        let expected: Vec<String> = expected.iter().map(|problem| format!("hmac.{problem}")).collect();
        let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
        check_problems(&json!({"hmac": table}), &expected);
    };
    check_problems(&json!({"hmac": "X-Sig"}), &["hmac: must be a table"]);
    check(json!({"header": null}), &["header: is missing: name the header field that carries the signature"]);
    check(json!({"header": "a b"}), &["header: must be a header field's name"]);
    for kept in ["Host", "Cookie", "Content-Length"] {
        check(
            json!({"header": kept}),
            &["header: is a header field that the broker keeps to itself: name another one"],
        );
    }
    for wrong in [json!("md5"), json!("SHA256"), json!(256)] {
        check(json!({"algorithm": wrong}), &["algorithm: must be sha1, sha256 or sha512"]);
    }
    for wrong in [json!("base32"), json!("Hex"), json!(null).to_string().into()] {
        check(json!({"encoding": wrong}), &["encoding: must be hex, base64 or base64url"]);
    }
    check(json!({"prefix": "é="}), &["prefix: must be visible ASCII"]);
    check(json!({"prefix": 1}), &["prefix: must be a text"]);
    for wrong in ["", "a b", "v1=", "a,b"] {
        check(json!({"part": wrong}), &["part: must be the name of a part, such as v1 in t=1,v1=a"]);
    }
    for wrong in [
        "{",
        "}",
        "{body",
        "body}",
        "{body}}",
        "{{body}}",
        "{}",
        "{Body}",
        "{body:x}",
        "{bodys}",
        "{query}",
        "{query:}",
        "{query_lower:}",
        "{header:}",
        "{header:a b}",
        "{timestamp:x}",
        "{id}",
        "{body}{x}",
    ] {
        check(json!({"signed": wrong}), &[BRACES]);
    }
    for wrong in ["", "v0", "{timestamp}"] {
        check(json!({"signed": wrong}), &[NOTHING]);
    }
    check(
        json!({"signed": "{timestamp}.{body}"}),
        &["signed: has {timestamp}: name its place as timestamp_header, or as timestamp_part of the header"],
    );
    check(json!({"timestamp_header": "X-Time"}), &[UNSIGNED]);
    check(json!({"part": "v1", "timestamp_part": "t", "signed": "{body}"}), &[UNSIGNED]);
    let signed = json!("{timestamp}.{body}");
    check(
        json!({"timestamp_header": "X Time", "signed": signed}),
        &["timestamp_header: must be a header field's name"],
    );
    check(
        json!({"timestamp_part": "t", "signed": signed}),
        &["part: is missing: name the part that is the signature"],
    );
    check(
        json!({"part": "v1", "timestamp_part": "t", "timestamp_header": "X-Time", "signed": signed}),
        &["timestamp_part: must not stand beside timestamp_header: the time has one place"],
    );
    check(
        json!({"tolerance_seconds": 10}),
        &["tolerance_seconds: has no meaning without timestamp_header or timestamp_part"],
    );
    for wrong in [json!(0), json!(86_401), json!("300")] {
        check(
            json!({"timestamp_header": "X-Time", "signed": signed, "tolerance_seconds": wrong}),
            &["tolerance_seconds: must be a whole number from 1 to 86400 (seconds)"],
        );
    }
    check(json!({"key": "x"}), &["key: is not a known field"]);
}

const SECOND: &str = "is a second proof: keep one of token_field, token_header, hmac and secret_path";

#[test]
fn wants_one_proof() {
    let all = json!({
        "token_field": "t", "token_header": "X-T", "hmac": {"header": "X-S"}, "secret_path": true
    });
    let all = all.as_object().unwrap();
    for (one, value) in all {
        let mut fields = json!({});
        fields[one] = value.clone();
        webhook(&fields, "a key");
    }
    let order = ["token_field", "token_header", "hmac", "secret_path"];
    for (at, first) in order.iter().enumerate() {
        for second in &order[at + 1..] {
            let mut fields = json!({});
            fields[*first] = all[*first].clone();
            fields[*second] = all[*second].clone();
            check_problems(&fields, &[&format!("{second}: {SECOND}")]);
        }
    }
    check_problems(
        &Value::Object(all.clone()),
        &[&format!("token_header: {SECOND}"), &format!("hmac: {SECOND}"), &format!("secret_path: {SECOND}")],
    );
    for none in [json!({}), json!({"secret_path": false})] {
        check_problems(
            &none,
            &[
                "token_field: is missing: name the member that carries the account token, or write token_header, \
             hmac or secret_path instead",
            ],
        );
    }
    for wrong in [json!("true"), json!(1), json!("a-token")] {
        check_problems(&json!({"secret_path": wrong}), &["secret_path: must be true or false"]);
    }
    assert!(matches!(webhook(&json!({"secret_path": true}), "a key").proof, Proof::Path));
}

/// The webhook of `id` with these fields, where all of it is sound.
fn webhook_of(id: &str, fields: &Value) -> Rc<Webhook> {
    let name = id.to_ascii_uppercase();
    let mut table = json!({"forward_to": "https://app.example.com/hooks"});
    for (name, value) in fields.as_object().unwrap() {
        table[name] = value.clone();
    }
    let (config, problems) = read(&changed(&[
        (&format!("CONNECTIONS/{id}/webhook"), table),
        (&format!("{name}_ACCOUNT_TOKEN"), json!("token")),
        (&format!("{name}_WEBHOOK_SECRET"), json!("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")),
    ]));
    assert_eq!(problems, [], "{fields}");
    config.webhook(id).unwrap().clone().into_usable().unwrap()
}

#[test]
fn lets_a_proof_of_its_own_stand_for_the_providers() {
    let is_member =
        |webhook: &Webhook, name: &str| matches!(&webhook.proof, Proof::Member(own) if own == name);
    assert!(is_member(&webhook_of("guru", &json!({})), "api_token"));
    assert!(is_member(&webhook_of("guru", &json!({"secret_path": false})), "api_token"));
    assert!(is_member(&webhook_of("guru", &json!({"token_field": "t"})), "t"));
    assert!(matches!(webhook_of("guru", &json!({"secret_path": true})).proof, Proof::Path));
    let signed = webhook_of("guru", &json!({"hmac": {"header": "X-S"}}));
    assert_eq!(hmac(&signed).header.as_str(), "x-s");
    assert!(matches!(webhook_of("v8", &json!({})).proof, Proof::Path));
    assert!(is_member(&webhook_of("v8", &json!({"token_field": "t"})), "t"));
}

#[test]
fn knows_the_tests_of_senders() {
    // <https://docs.v8digital.com/>: V8 tests an address, and tells it that it was registered.
    let v8 = webhook_of("v8", &json!({}));
    let is_test = |webhook: &Webhook, event: &str| {
        webhook.handshake.as_ref().is_some_and(|handshake| handshake.is_met(event))
    };
    assert!(is_test(&v8, r#"{"type":"webhook.test"}"#) && is_test(&v8, r#"{"type":"webhook.registered"}"#));
    assert!(!is_test(&v8, r#"{"type":"private.consignment.consult.updated"}"#));
    // GitHub's event `ping`, whose body has the member `zen`. None of the default's values count.
    let own = webhook_of("v8", &json!({"handshake": {"json": "/zen"}}));
    assert!(is_test(&own, r#"{"zen":"Keep it logically awesome."}"#));
    assert!(!is_test(&own, r#"{"type":"webhook.test"}"#));
    assert!(webhook_of("guru", &json!({})).handshake.is_none());
    let check = |handshake: Value, problem: &str| {
        check_problems(&json!({"secret_path": true, "handshake": handshake}), &[problem]);
    };
    check(json!("x"), "handshake: must be a table");
    check(
        json!({"in": ["x"]}),
        "handshake.json: is missing: name the place in the event as a JSON Pointer, such as /type",
    );
    for wrong in ["type", "/a~2", "~"] {
        check(json!({"json": wrong}), "handshake.json: must be a JSON Pointer, such as /type");
    }
    check(json!({"json": 1}), "handshake.json: must be a text");
    for wrong in [json!([]), json!("x"), json!(null)] {
        check(json!({"json": "/a", "in": wrong}), "handshake.in: must be an array of at least one value");
    }
    check(json!({"json": "/a", "values": [1]}), "handshake.values: is not a known field");
}
