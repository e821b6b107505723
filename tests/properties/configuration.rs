use std::rc::Rc;

use porteiro::config::{Config, Configured, Connection, FETCHERS, Problem, Variables};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Value, json};

use super::generate;

/// Stands in every value that must not be seen.
const CANARY: &str = "c4n4ry";

/// What no field takes whose value is no secret, and what secrets do take.
const HIDDEN: &str = "\u{a7} c4n4ry \u{a7}";

/// The canary as a sealing key, a caller's key or a token.
const HIDDEN_KEY: &str = "c4n4ryc4n4ryc4n4ryc4n4ryc4n4ryc4n4ryc4n4ryc=";

const NAMES: &[&str] = &[
    "ALLOWED_ORIGINS",
    "BASE_PATH",
    "CALLERS",
    "CONNECTIONS",
    "SEALING_KEYS",
    "ADMIN_KEY",
    "API_TOKEN",
    "API_KEY",
    "API_USERNAME",
    "API_PASSWORD",
    "API_CLIENT_ID",
    "API_CLIENT_SECRET",
    "API_REFRESH_TOKEN",
    "API_AUDIENCE",
    "api",
    "API",
    "guru",
    "kind",
    "key",
    "jwt",
    "session",
    "anyone",
    "provider",
    "custom",
    "hubsoft",
    "v8",
    "base_url",
    "grant",
    "static",
    "password",
    "client_credentials",
    "refresh_token",
    "header",
    "scheme",
    "subject",
    "service",
    "timeout_ms",
    "replay_bytes",
    "default_accept",
    "request_headers",
    "response_headers",
    "rules",
    "callers",
    "methods",
    "GET",
    "paths",
    "/**",
    "rate_limit",
    "webhook",
    "token_field",
    "token_header",
    "hmac",
    "part",
    "prefix",
    "algorithm",
    "encoding",
    "signed",
    "{timestamp}.{body}",
    "timestamp_header",
    "timestamp_part",
    "tolerance_seconds",
    "secret_path",
    "handshake",
    "in",
    "id_field",
    "forward_to",
    "max_bytes",
    "accepted_status",
    "token_url",
    "https://api.example.com",
    "body",
    "form",
    "json",
    "client_auth",
    "none",
    "post",
    "basic",
    "client_id",
    "audience",
    "scope",
    "resource",
    "params",
    "default_expires_in",
    "expiry_skew",
    "token_timeout_ms",
    "login",
    "fields",
    "headers",
    "query",
    "token",
    "{token}",
    "{password}",
    "x{app_key}",
    "/data/token",
    "expires_at",
    "rejected",
    "dead_token",
    "status",
    "in",
    "/a",
    "API_APP_KEY",
    "grant",
    "jwt_bearer",
    "private_key_jwt",
    "tls",
    "assertion",
    "issuer",
    "claims",
    "algorithm",
    "key_id",
    "certificate",
    "BANK_PRIVATE_KEY",
    "ROBOT_SERVICE_ACCOUNT",
    FETCHERS,
];

/// A configuration without problems: every grant, every kind of secret, every
/// secret marked.
fn sound() -> Value {
    let rules = json!([{"callers": ["backend", "anyone"], "methods": ["GET"], "paths": ["/a/*"]}]);
    let custom = |grant: &str, client_auth: &str| {
        json!({
            "provider": "custom",
            "base_url": "https://api.example.com/v2",
            "grant": grant,
            "token_url": "https://login.example.com/token",
            "body": "json",
            "client_auth": client_auth,
            "scope": "read write",
            "resource": "urn:example:api",
            "params": {"tenant": HIDDEN},
            "header": "X-Api-Key",
            "scheme": "Token",
            "default_expires_in": 600,
            "expiry_skew": 30,
            "subject": "service",
            "timeout_ms": 5000,
            "token_timeout_ms": 4000,
            "replay_bytes": 1000,
            "default_accept": "text/csv",
            "request_headers": ["X-Tenant"],
            "response_headers": ["X-Total-Count"],
            "rules": rules
        })
    };
    let mut all = json!({
        "ALLOWED_ORIGINS": ["https://app.example.com"],
        "BASE_PATH": "/broker",
        "SEALING_KEYS": format!("k1:{HIDDEN_KEY}"),
        "CALLERS": {"backend": {"kind": "key"}, "web": {"kind": "anyone"}},
        "BACKEND_KEY": HIDDEN_KEY,
        "CONNECTIONS": {
            "api": custom("client_credentials", "basic"),
            "bank": {
                "provider": "custom",
                "base_url": "https://bank.example",
                "token_url": "https://bank.example/token",
                "grant": "jwt_bearer",
                "client_auth": "private_key_jwt",
                "client_id": HIDDEN_KEY,
                "assertion": {"issuer": HIDDEN_KEY, "subject": HIDDEN_KEY, "jti": true, "claims": {"a": HIDDEN}},
                "algorithm": "EdDSA",
                "key_id": HIDDEN_KEY,
                "certificate": "BANK_CERT",
                "rules": rules
            },
            "robot": {"provider": "custom", "base_url": "https://b.example", "grant": "jwt_bearer", "rules": rules},
            "fixed": {"provider": "custom", "base_url": "http://[::1]", "grant": "static", "rules": rules,
                "headers": {"X-App": "{app_key}"}, "query": {"access": "{token}", "name": "{name}"},
                "dead_token": [{"status": 200, "json": "/code", "in": [1, "a"]}, {"status": 400, "header": "X-A"}]
            },
            "guru": {
                "provider": "guru",
                "webhook": {"forward_to": "https://app.example.com", "max_bytes": 1000, "id_field": ["id"]},
                "rules": rules
            },
            "person": custom("password", "post"),
            "logged": {
                "provider": "custom",
                "base_url": "https://api.example.com",
                "token_url": "https://api.example.com/login",
                "grant": "login",
                "login": {
                    "fields": {"user": ["{username}", HIDDEN], "{password}": {"a": "{password}"}},
                    "token": "/token",
                    "rejected": [{"status": 200, "json": "/error", "in": [HIDDEN]}]
                },
                "rules": rules
            },
            "renewed": custom("refresh_token", "none"),
            "v8": {"provider": "v8", "rules": rules}
        },
        FETCHERS: ["BANK_CERT"],
        "BANK_PRIVATE_KEY": format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"AAAA","d":"{0}","kid":"{0}"}}"#, &HIDDEN_KEY[..43]),
        "ROBOT_SERVICE_ACCOUNT": json!({
            "client_email": HIDDEN_KEY,
            "private_key_id": HIDDEN_KEY,
            "private_key": format!("-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIA{}\n-----END PRIVATE KEY-----", &HIDDEN_KEY[..42]),
            "token_uri": "https://as.example/token"
        }).to_string(),
        "FIXED_TOKEN": HIDDEN_KEY,
        "FIXED_APP_KEY": HIDDEN_KEY,
        "FIXED_NAME": HIDDEN,
        "GURU_TOKEN": HIDDEN_KEY,
        "GURU_ACCOUNT_TOKEN": HIDDEN_KEY,
        "GURU_WEBHOOK_SECRET": format!("whsec_{HIDDEN_KEY}"),
        "ADMIN_KEY": HIDDEN_KEY
    });
    for id in ["API", "PERSON", "LOGGED", "RENEWED", "V8"] {
        for name in ["CLIENT_ID", "CLIENT_SECRET", "USERNAME", "PASSWORD", "REFRESH_TOKEN", "AUDIENCE"] {
            all[format!("{id}_{name}")] = HIDDEN.into();
        }
    }
    all
}

/// One change to a configuration, somewhere below it.
#[derive(Clone, Debug)]
enum Change {
    /// Another value.
    Put(Value),
    /// A secret in the wrong place.
    Plant,
    /// Another member or item beside it.
    Add(String, Value),
    /// What is there, as a JSON text.
    Quote,
    /// Nothing.
    Remove,
}

fn change() -> impl Strategy<Value = (Vec<Index>, Change)> {
    let name = prop_oneof![
        2 => select(NAMES).prop_map(str::to_owned),
        1 => generate::text(&["a", " ", ".", "\n", "\u{1b}[0m", "\u{85}"]),
    ];
    let change = prop_oneof![
        3 => generate::json(NAMES).prop_map(Change::Put),
        2 => Just(Change::Plant),
        2 => (name, generate::json(NAMES)).prop_map(|(name, value)| Change::Add(name, value)),
        1 => Just(Change::Quote),
        1 => Just(Change::Remove),
    ];
    (vec(any::<Index>(), 1..5), change)
}

/// Does `change` at the place that `way` leads to, each step of it to one of
/// the values below.
fn apply(value: &mut Value, way: &[Index], change: &Change) {
    let below =
        if let Value::Object(fields) = value { fields.len() } else { value.as_array().map_or(0, Vec::len) };
    let Some((index, rest)) = way.split_first().filter(|_| below > 0) else {
        return put(value, change);
    };
    let at = index.index(below);
    let removes = rest.is_empty() && matches!(change, Change::Remove);
    if let Value::Object(fields) = value {
        let name = fields.keys().nth(at).unwrap().clone();
        if removes {
            fields.remove(&name);
        } else {
            apply(&mut fields[&name], rest, change);
        }
    } else if let Value::Array(items) = value {
        if removes {
            items.remove(at);
        } else {
            apply(&mut items[at], rest, change);
        }
    }
}

/// Does `change` to `value` itself.
fn put(value: &mut Value, change: &Change) {
    match change {
        Change::Put(new) => *value = new.clone(),
        Change::Plant => *value = HIDDEN.into(),
        Change::Quote => *value = value.to_string().into(),
        Change::Add(name, new) => {
            if let Value::Object(fields) = value {
                fields.insert(name.clone(), new.clone());
            } else if let Value::Array(items) = value {
                items.push(new.clone());
            }
        }
        Change::Remove => {}
    }
}

fn read(variables: &Value) -> (Config, Vec<Problem>) {
    let variables: &Variables = variables.as_object().unwrap();
    let config = Config::from_variables(variables.clone());
    let problems = config.problems();
    (config, problems)
}

fn connections(config: &Config) -> impl Iterator<Item = &Configured<Rc<Connection>>> {
    config.ids().filter_map(|id| config.connection(id))
}

fn check_hides_what_it_read(variables: &Value) {
    let (config, problems) = read(variables);
    let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
    let shown = format!("{config:?} {problems:?} {told:?}");
    assert!(!shown.contains(CANARY), "{shown}");
    let unread = format!("{:?}", Config::from_variables(variables.as_object().unwrap().clone()));
    assert!(!unread.contains(CANARY), "{unread}");
    assert!(told.iter().all(|problem| !problem.contains(char::is_control)), "{told:?}");
    let is_whole = connections(&config).all(Configured::is_usable)
        && config.callers.values().all(Configured::is_usable)
        && config.sealing_keys.is_some();
    assert!(is_whole || !problems.is_empty(), "something is missing, and nobody is told: {shown}");
    for connection in connections(&config).filter_map(Configured::usable) {
        assert!(!connection.rules.is_empty());
    }
    // The same text gives the same configuration.
    let again = read(variables);
    assert_eq!(format!("{:?} {:?} {told:?}", again.0, again.1), shown);
}

#[test]
fn reads_every_marked_secret_of_a_sound_configuration() {
    let (config, problems) = read(&sound());
    assert_eq!(problems, []);
    assert_eq!(connections(&config).filter_map(Configured::usable).count(), 9);
    check_hides_what_it_read(&sound());
}

proptest! {
    #![proptest_config(generate::run(400))]

    #[test]
    fn survives_any_variables(
        names in vec(select(NAMES), 0..12),
        values in vec(generate::json(NAMES), 12),
        quoted in any::<u16>(),
    ) {
        let mut variables = Variables::new();
        for (at, (name, value)) in names.into_iter().zip(values).enumerate() {
            let value = if quoted >> at & 1 == 1 { value.to_string().into() } else { value };
            variables.insert(name.to_owned(), value);
        }
        check_hides_what_it_read(&Value::Object(variables));
    }

    #[test]
    fn survives_changes_to_a_sound_configuration_and_shows_no_secret(changes in vec(change(), 0..8)) {
        let mut all = sound();
        for (way, change) in &changes {
            apply(&mut all, way, change);
        }
        check_hides_what_it_read(&all);
    }

    #[test]
    fn shows_no_secret_of_any_text(
        secret in "[!-~]{0,8}",
        end in generate::any_text(),
        broken in vec(change(), 0..2),
    ) {
        let mut all = sound();
        for (name, value) in all.as_object_mut().unwrap() {
            if !["ALLOWED_ORIGINS", "BASE_PATH", "CALLERS", "CONNECTIONS"].contains(&name.as_str()) {
                *value = format!("{CANARY}{secret}{name}{end}").into();
            }
        }
        for (way, change) in &broken {
            apply(&mut all, way, change);
        }
        check_hides_what_it_read(&all);
    }

    #[test]
    fn survives_any_text_in_a_tables_place(
        text in generate::text(&["{", "}", "[", "]", "\"api\"", ":", ",", "null"]),
    ) {
        let mut all = sound();
        for name in ["ALLOWED_ORIGINS", "BASE_PATH", "CALLERS", "CONNECTIONS", "SEALING_KEYS"] {
            all[name] = text.as_str().into();
        }
        check_hides_what_it_read(&all);
    }
}
