mod assertions;
mod authorization;
mod bindings;
mod callers;
mod calls;
mod events;
mod exchange;
mod hostile;
mod lazy;
mod login;
mod people;
mod presets;
mod problems;
mod templates;
mod tokens;
mod webhook_proofs;
mod webhooks;

use serde_json::{Value, json};

use super::*;
use crate::secret::{Fingerprint, Place};

const KEY: &str = "0123456789abcdef0123456789abcdef";
const SEALING_KEYS: &str = "k1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

/// A configuration without problems: every field, every grant.
fn sound() -> Value {
    let rules = json!([{"callers": ["backend"], "methods": ["GET"], "paths": ["/a/*"]}]);
    json!({
        "ALLOWED_ORIGINS": ["https://app.example.com"],
        "BASE_PATH": "/broker",
        "SEALING_KEYS": SEALING_KEYS,
        "CALLERS": {"backend": {"kind": "key"}, "web": {"kind": "anyone"}},
        "BACKEND_KEY": KEY,
        "CONNECTIONS": {
            "api": {
                "provider": "custom",
                "base_url": "https://api.example.com/v2",
                "grant": "client_credentials",
                "token_url": "https://login.example.com/token",
                "body": "json",
                "client_auth": "basic",
                "client_id": "api-client",
                "audience": "https://api.example.com",
                "scope": "read write",
                "resource": "urn:example:api",
                "params": {"tenant": "acme", "account": "1"},
                "header": "X-Api-Key",
                "scheme": "Token",
                "default_expires_in": 600,
                "expiry_skew": 30,
                "subject": "service",
                "timeout_ms": 5000,
                "token_timeout_ms": 4000,
                "replay_bytes": 1000,
                "default_accept": "text/csv, */*;q=0.1",
                "request_headers": ["X-Tenant"],
                "response_headers": ["X-Total-Count"],
                "rules": rules
            },
            "fixed": {"provider": "custom", "base_url": "https://b.example", "grant": "static", "rules": rules},
            "guru": {"provider": "guru", "rules": rules},
            "hubsoft": {"provider": "hubsoft", "base_url": "https://api.acme.hubsoft.com.br", "rules": rules},
            "renewed": {
                "provider": "custom",
                "base_url": "http://localhost:9000",
                "grant": "refresh_token",
                "token_url": "http://127.0.0.1:9000/token",
                "client_auth": "none",
                "headers": {"X-App": "app {app_key}"},
                "query": {"format": "json"},
                "dead_token": [{"status": 200, "json": "/errcode", "in": [40001]}, {"status": 400, "header": "X-Error"}],
                "rules": rules
            },
            "v8": {"provider": "v8", "rules": rules}
        },
        "API_CLIENT_SECRET": "api client secret",
        "FIXED_TOKEN": "fixed-token",
        "GURU_TOKEN": "guru-token",
        "HUBSOFT_CLIENT_ID": "7",
        "HUBSOFT_CLIENT_SECRET": "hubsoft client secret",
        "HUBSOFT_USERNAME": "ann@acme.com.br",
        "HUBSOFT_PASSWORD": " hubsoft password ",
        "RENEWED_REFRESH_TOKEN": "first refresh token",
        "RENEWED_APP_KEY": "app key",
        "V8_CLIENT_ID": "v8-client",
        "V8_AUDIENCE": "https://v8.example",
        "V8_USERNAME": "bob",
        "V8_PASSWORD": "v8 password"
    })
}

/// The configuration and all its problems, which are the same in whatever order its parts are asked for.
fn read(variables: &Value) -> (Config, Vec<Problem>) {
    let (config, told) = lazy::unread(variables);
    let problems = config.problems();
    lazy::check_any_order(variables, &problems, &told);
    (config, problems)
}

/// The connections of `config`, by id.
fn connections(config: &Config) -> impl Iterator<Item = (&String, &Configured<Rc<Connection>>)> {
    config.ids().filter_map(|id| config.configured(id))
}

/// The sound configuration with values put at places like `CONNECTIONS/api/scope`.
fn changed(changes: &[(&str, Value)]) -> Value {
    let mut all = sound();
    for (place, value) in changes {
        put(&mut all, place, Some(value.clone()));
    }
    all
}

/// Puts `value` at `place`, or takes away what is there.
fn put(all: &mut Value, place: &str, value: Option<Value>) {
    let (parent, name) = place.rsplit_once('/').map_or((String::new(), place), |(p, n)| (format!("/{p}"), n));
    match (all.pointer_mut(&parent).unwrap(), value) {
        (Value::Object(fields), Some(value)) => drop(fields.insert(name.to_owned(), value)),
        (Value::Object(fields), None) => drop(fields.remove(name)),
        (Value::Array(items), Some(value)) => items[name.parse::<usize>().unwrap()] = value,
        (Value::Array(items), None) => drop(items.remove(name.parse().unwrap())),
        (other, _) => panic!("{place} is below {other}"),
    }
}

/// Checks that the sound configuration with `changes` has exactly the problems
/// `expected`, and which connections are broken then.
fn check(changes: &[(&str, Value)], expected: &[&str], broken: &[&str]) {
    let (config, problems) = read(&changed(changes));
    let found: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(found, expected, "{changes:?}");
    let unusable: Vec<&String> =
        connections(&config).filter(|(_, c)| !c.is_usable()).map(|(id, _)| id).collect();
    assert_eq!(unusable, broken, "{changes:?}");
}

#[test]
fn finds_no_problem_in_a_sound_configuration() {
    check(&[], &[], &[]);
}

#[test]
fn finds_no_problem_where_nothing_is_configured_but_sealing_keys() {
    let (config, problems) =
        read(&json!({"SEALING_KEYS": SEALING_KEYS, "ADMIN_KEY": KEY, "SESSION_CROSS_SITE": true}));
    assert_eq!(problems, []);
    assert!(config.allowed_origins.is_empty() && config.base_path.is_empty());
    assert!(config.callers.is_empty() && config.ids().next().is_none());
}

#[test]
fn finds_nothing_wrong_with_the_documented_example() {
    let all = json!({
        "SEALING_KEYS": SEALING_KEYS,
        "ALLOWED_ORIGINS": ["https://app.example.com"],
        "BASE_PATH": "",
        "CALLERS": {
            "backend": {"kind": "key"},
            "staff": {"kind": "jwt", "issuer": "https://acme.us.auth0.com/", "audience": "https://broker.acme.com"}
        },
        "BACKEND_KEY": KEY,
        "CONNECTIONS": {
            "guru": {"provider": "guru", "rules": [
                {"callers": ["staff"], "methods": ["GET"], "paths": ["/transactions", "/transactions/*"]}
            ]},
            "hubsoft": {"provider": "hubsoft", "base_url": "https://api.acme.hubsoft.com.br", "rules": [
                {"callers": ["staff", "backend"], "methods": ["GET", "POST"], "paths": ["/api/v1/**"]}
            ]},
            "v8": {"provider": "v8", "rules": [
                {"callers": ["backend"], "methods": ["GET", "POST"], "paths": ["/**"]}
            ]}
        },
        "GURU_TOKEN": "a", "GURU_ACCOUNT_TOKEN": "b",
        "HUBSOFT_CLIENT_ID": "c", "HUBSOFT_CLIENT_SECRET": "d", "HUBSOFT_USERNAME": "e", "HUBSOFT_PASSWORD": "f",
        "V8_CLIENT_ID": "g", "V8_USERNAME": "h", "V8_PASSWORD": "i", "V8_AUDIENCE": "j"
    });
    let (config, problems) = read(&all);
    assert_eq!(problems, []);
    assert!(connections(&config).all(|(_, connection)| connection.is_usable()));
    assert_eq!(
        config.connection("hubsoft").unwrap().usable().unwrap().rules[0].callers,
        ["staff", "backend"]
    );
    assert!(
        config.callers.get("staff").unwrap().is_usable()
            && config.callers.get("backend").unwrap().is_usable()
    );
}

#[test]
fn takes_tables_and_arrays_that_come_as_json_texts() {
    let mut all = sound();
    for name in ["ALLOWED_ORIGINS", "CALLERS", "CONNECTIONS"] {
        let text = all[name].to_string();
        put(&mut all, name, Some(text.into()));
    }
    let (config, problems) = read(&all);
    assert_eq!(problems, []);
    assert_eq!((config.allowed_origins.len(), config.callers.len(), config.ids().count()), (1, 2, 6));
}

#[test]
fn reads_every_field() {
    let (config, _) = read(&sound());
    assert_eq!(config.allowed_origins[0].as_str(), "https://app.example.com");
    assert_eq!(config.base_path, "/broker");
    let api = config.connection("api").unwrap().clone().into_usable().unwrap();
    assert_eq!((api.id.as_str(), api.provider), ("api", Provider::find("custom").unwrap()));
    assert_eq!(api.base_url.as_base(), "https://api.example.com/v2");
    assert_eq!(api.token_header.as_ref().unwrap().name.as_str(), "x-api-key");
    assert_eq!(api.token_header.as_ref().unwrap().scheme.as_deref(), Some("Token"));
    assert_eq!(api.default_expires_in, Duration::from_mins(10));
    assert_eq!(api.expiry_skew, Duration::from_secs(30));
    assert_eq!(api.timeout, Duration::from_secs(5));
    assert_eq!(api.replay_bytes, 1000);
    assert_eq!(api.default_accept.as_deref(), Some("text/csv, */*;q=0.1"));
    assert_eq!(api.request_headers[0].as_str(), "x-tenant");
    assert_eq!(api.response_headers[0].as_str(), "x-total-count");
    assert!(api.rules[0].methods[0].allows("GET"));
    assert_eq!(api.rules[0].paths[0].as_str(), "/a/*");
    assert_eq!(api.grant.name(), "client_credentials");
    let endpoint = api.grant.endpoint().unwrap();
    assert_eq!(endpoint.url.as_str(), "https://login.example.com/token");
    assert_eq!(endpoint.encoding, BodyEncoding::Json);
    assert_eq!(endpoint.audience.as_deref(), Some("https://api.example.com"));
    assert_eq!(endpoint.scope.as_deref(), Some("read write"));
    assert_eq!(endpoint.resource.as_deref(), Some("urn:example:api"));
    assert_eq!(endpoint.params, [("account".into(), "1".into()), ("tenant".into(), "acme".into())]);
    assert_eq!(endpoint.timeout, Duration::from_secs(4));
    let ClientAuthentication::Basic { client_id, client_secret, encoding } = &endpoint.client else {
        panic!("{:?}", endpoint.client)
    };
    assert_eq!((client_id.as_str(), client_secret.expose()), ("api-client", "api client secret"));
    assert_eq!(*encoding, BasicEncoding::Form);
}

#[test]
fn writes_basic_credentials_as_they_are_where_it_is_asked_to() {
    let with = |client_id: &str, client_auth: &str| {
        let mut all = changed(&[("API_CLIENT_ID", json!(client_id))]);
        all["CONNECTIONS"]["api"]["basic_encoding"] = json!("none");
        all["CONNECTIONS"]["api"]["client_auth"] = json!(client_auth);
        read(&all)
    };
    let (config, problems) = with("id", "basic");
    assert_eq!(problems, []);
    let endpoint = config.connection("api").unwrap().usable().unwrap().grant.endpoint().unwrap();
    let is_bare =
        matches!(&endpoint.client, ClientAuthentication::Basic { encoding: BasicEncoding::None, .. });
    assert!(is_bare, "{:?}", endpoint.client);
    for (client_id, client_auth) in [("id:1", "basic"), ("id", "post")] {
        let (config, problems) = with(client_id, client_auth);
        assert!(!config.connection("api").unwrap().is_usable());
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].to_string().contains("basic_encoding"), "{}", problems[0]);
    }
}

#[test]
fn prefers_the_secret_to_the_field_of_its_name() {
    let all = changed(&[("API_CLIENT_ID", json!("secret id")), ("API_AUDIENCE", json!("secret audience"))]);
    let (config, problems) = read(&all);
    assert_eq!(problems, []);
    let endpoint = config.connection("api").unwrap().usable().unwrap().grant.endpoint().unwrap();
    assert_eq!(endpoint.audience.as_deref(), Some("secret audience"));
    assert!(
        matches!(&endpoint.client, ClientAuthentication::Basic { client_id, .. } if client_id == "secret id")
    );
}

#[test]
fn keeps_passwords_byte_for_byte() {
    let (config, _) = read(&sound());
    let Grant::Password { password, username, .. } =
        &config.connection("hubsoft").unwrap().usable().unwrap().grant
    else {
        panic!("not a password grant")
    };
    assert_eq!((username.expose(), password.expose()), ("ann@acme.com.br", " hubsoft password "));
}
