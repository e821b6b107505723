//! Webhooks, and the operator's key.

use super::*;

const TABLE: &str = "CONNECTIONS/guru/webhook";
const WEBHOOK_SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// The sound configuration whose `guru` has webhooks, with changes.
fn with_webhooks(changes: &[(&str, Value)]) -> Value {
    let mut all = changed(&[
        (TABLE, json!({"forward_to": "https://app.example.com/hooks?from=guru"})),
        ("GURU_ACCOUNT_TOKEN", json!("first, second")),
        ("GURU_WEBHOOK_SECRET", json!(WEBHOOK_SECRET)),
    ]);
    for (place, value) in changes {
        put(&mut all, place, Some(value.clone()).filter(|value| !value.is_null()));
    }
    all
}

/// The webhook of `guru` with changes, where all of it is sound.
fn webhook(changes: &[(&str, Value)]) -> Rc<Webhook> {
    let (config, problems) = read(&with_webhooks(changes));
    assert_eq!(problems, [], "{changes:?}");
    config.webhook("guru").unwrap().clone().into_usable().unwrap()
}

/// Checks that `changes` break the webhooks of `guru` by exactly the problems
/// `expected`, and nothing else.
fn check_broken(changes: &[(&str, Value)], expected: &[&str]) {
    let (config, problems) = read(&with_webhooks(changes));
    let found: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(found, expected, "{changes:?}");
    assert!(
        !config.webhook("guru").unwrap().is_usable() && config.connection("guru").unwrap().is_usable(),
        "{changes:?}"
    );
}

#[test]
fn knows_how_gurus_webhooks_come() {
    let webhook = webhook(&[]);
    assert!(matches!(&webhook.proof, Proof::Member(name) if name == "api_token"));
    assert_eq!(webhook.receiver.address, "https://app.example.com/hooks?from=guru");
    // Guru takes no status but 200 for success.
    assert_eq!((webhook.max_bytes, webhook.accepted_status), (262_144, 200));
    // Each change of a transaction comes under the same id: all of an event
    // makes it unique.
    assert!(webhook.id_members.is_empty());
    let accepts =
        |token: &str| webhook.account_tokens.place(Secret::new(token.to_owned()).fingerprint()).is_some();
    assert!(accepts("first") && accepts("second") && !accepts("first, second"));
}

#[test]
fn reads_every_field_of_a_webhook() {
    let table = json!({
        "token_header": "X-Hook-Token",
        "id_field": ["event", "kind"],
        "forward_to": "http://127.0.0.1:8790/",
        "max_bytes": 1000,
        "accepted_status": 201
    });
    let header = webhook(&[(TABLE, table)]);
    assert!(matches!(&header.proof, Proof::Header(name) if name.as_str() == "x-hook-token"));
    assert_eq!(header.accepted_status, 201);
    assert_eq!(
        (header.id_members.clone(), header.max_bytes),
        (vec!["event".to_owned(), "kind".to_owned()], 1000)
    );
    let member = webhook(&[
        ("CONNECTIONS/guru/webhook/token_field", json!("token")),
        ("CONNECTIONS/guru/webhook/id_field", json!("event")),
    ]);
    assert!(matches!(&member.proof, Proof::Member(name) if name == "token"));
    assert_eq!(member.id_members, ["event"]);
    let other = self::webhook(&[("CONNECTIONS/guru/webhook/accepted_status", json!(204))]);
    assert_eq!(other.accepted_status, 204);
}

#[test]
fn has_no_webhooks_unless_they_are_configured() {
    let (config, _) = read(&sound());
    assert!(config.ids().all(|id| config.webhook(id).is_none()));
}

#[test]
fn expects_the_place_of_the_token_of_unknown_senders() {
    let changes = [
        ("CONNECTIONS/api/webhook", json!({"forward_to": "https://app.example.com"})),
        ("API_ACCOUNT_TOKEN", json!("token")),
        ("API_WEBHOOK_SECRET", json!(WEBHOOK_SECRET)),
    ];
    let message = "CONNECTIONS.api.webhook.token_field: is missing: name the member that carries the account \
                   token, or write token_header, hmac or secret_path instead";
    check(&changes, &[message], &[]);
    let mut named = changes.to_vec();
    named.push(("CONNECTIONS/api/webhook/token_field", json!("token")));
    check(&named, &[], &[]);
    let (config, _) = read(&changed(&named));
    let webhook = config.webhook("api").unwrap().usable().unwrap();
    assert!(webhook.id_members.is_empty() && webhook.accepted_status == 202);
}

#[test]
fn reports_what_is_wrong_with_webhooks_without_breaking_the_connection() {
    let field = |name: &str| format!("CONNECTIONS/guru/webhook/{name}");
    let check_field = |name: &str, value: Value, message: &str| {
        check_broken(&[(&field(name), value)], &[&format!("CONNECTIONS.guru.webhook.{name}: {message}")]);
    };
    check_broken(&[(TABLE, json!("x"))], &["CONNECTIONS.guru.webhook: must be a table"]);
    check_field("forward_to", Value::Null, "is missing: write the https address of your receiver");
    for address in ["http://app.example.com", "ftp://a.example"] {
        check_field("forward_to", json!(address), "must be an https address, or http on a loopback host");
    }
    check_field(
        "forward_to",
        json!("https://a:b@app.example.com"),
        "must be an address without user name and password",
    );
    for bytes in [json!(0), json!(1_048_577), json!("1"), json!(1.5)] {
        check_field("max_bytes", bytes, "must be a whole number from 1 to 1048576 (bytes)");
    }
    for status in [json!(199), json!(300), json!("200")] {
        check_field("accepted_status", status, "must be a whole number from 200 to 299 (status)");
    }
    check_field("token_field", json!(""), "must not be empty");
    check_field("token_field", json!(1), "must be a text");
    check_broken(
        &[(&field("token_field"), json!("t")), (&field("token_header"), json!("X-A"))],
        &[
            "CONNECTIONS.guru.webhook.token_header: is a second proof: keep one of token_field, token_header, hmac and secret_path",
        ],
    );
    check_field("token_header", json!("a b"), "must be a header field's name");
    for id in [json!(1), json!({})] {
        check_field("id_field", id, "must be a text");
    }
    check_field("id_field", json!([]), "must be the name of a member, or an array of names");
    check_broken(
        &[(&field("id_field"), json!(["id", ""]))],
        &["CONNECTIONS.guru.webhook.id_field[1]: must not be empty"],
    );
    check_field("forward", json!("x"), "is not a known field");
}

#[test]
fn takes_webhooks_in_while_the_rest_of_the_connection_is_broken() {
    let (config, problems) = read(&with_webhooks(&[("GURU_TOKEN", Value::Null)]));
    assert_eq!(problems.len(), 1);
    assert!(!config.connection("guru").unwrap().is_usable() && config.webhook("guru").unwrap().is_usable());
    let twin = with_webhooks(&[("CONNECTIONS/GURU", sound()["CONNECTIONS"]["guru"].clone())]);
    assert!(!read(&twin).0.webhook("guru").unwrap().is_usable());
    let account = with_webhooks(&[("CONNECTIONS/Guru-Account", sound()["CONNECTIONS"]["fixed"].clone())]);
    let (config, problems) = read(&account);
    assert_eq!(
        problems[0].to_string(),
        "CONNECTIONS.guru.webhook: must be a connection of another name: its account token is another one's token"
    );
    assert!(!config.webhook("guru").unwrap().is_usable() && problems.len() == 1);
}

#[test]
fn reports_what_is_wrong_with_the_secrets_of_webhooks() {
    for (name, message) in [
        ("GURU_ACCOUNT_TOKEN", "is missing: set this secret"),
        ("GURU_WEBHOOK_SECRET", "is missing: set this secret"),
    ] {
        for nothing in [Value::Null, json!("")] {
            check_broken(&[(name, nothing)], &[&format!("{name}: {message}")]);
        }
        check_broken(&[(name, json!(1))], &[&format!("{name}: must be a text")]);
    }
    check_broken(
        &[("GURU_ACCOUNT_TOKEN", json!(" , "))],
        &["GURU_ACCOUNT_TOKEN: must hold at least one token"],
    );
    for bad in ["secret", "whsec_", "whsec_c2hvcnQ="] {
        check_broken(
            &[("GURU_WEBHOOK_SECRET", json!(bad))],
            &[
                "GURU_WEBHOOK_SECRET: must be whsec_ and 24 to 64 bytes in base64, several separated by commas",
            ],
        );
    }
}

#[test]
fn takes_an_operators_key_that_nobody_guesses() {
    let key = |key: Value| {
        let (config, problems) = read(&changed(&[("ADMIN_KEY", key)]));
        (config.admin_keys.is_some(), problems.iter().map(ToString::to_string).collect::<Vec<_>>())
    };
    assert_eq!(key(json!("0123456789abcdef")), (true, vec![]));
    assert_eq!(key(json!("")), (false, vec![]));
    let short = vec!["ADMIN_KEY: must be 16 characters or more, each key of several".to_owned()];
    assert_eq!(key(json!("0123456789abcde")), (false, short));
    assert_eq!(key(json!(1)), (false, vec!["ADMIN_KEY: must be a text".to_owned()]));
}

#[test]
fn takes_several_operators_keys_or_none_of_them() {
    let read = |keys: &str| read(&changed(&[("ADMIN_KEY", json!(keys))]));
    let [old, new] = ["an old operator!", "0123456789abcdef"];
    let (config, problems) = read(&format!("{old}, {new}"));
    let knows = |key: &str| config.is_operator(&Secret::new(key.to_owned()));
    assert!(problems.is_empty() && knows(old) && knows(new));
    for wrong in ["", old.trim_end_matches('!'), &format!("{old}, {new}"), &format!(" {new}")] {
        assert!(!knows(wrong), "{wrong}");
    }
    for (keys, message) in [
        (format!("{old},{}", &new[1..]), "must be 16 characters or more, each key of several"),
        (format!("{old},{new},{old}"), "must hold each key once"),
        (format!("{old},{new}\u{e9}"), "must be visible ASCII, several keys separated by commas"),
        (" ,".to_owned(), "must hold at least one key"),
    ] {
        let (config, problems) = read(&keys);
        assert_eq!(
            problems.iter().map(ToString::to_string).collect::<Vec<_>>(),
            [format!("ADMIN_KEY: {message}")]
        );
        assert!(!config.is_operator(&Secret::new(old.to_owned())));
    }
}
