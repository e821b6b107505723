//! What connections add to calls, and which answers say that a token is dead.

use super::*;

const HEADERS: &str = "CONNECTIONS/fixed/headers";
const QUERY: &str = "CONNECTIONS/fixed/query";
const HEADER: &str = "CONNECTIONS/fixed/header";
const DEAD: &str = "CONNECTIONS/fixed/dead_token";

/// The connection called `id`, in a configuration without problems.
fn connection(id: &str, changes: &[(&str, Value)]) -> Rc<Connection> {
    let (config, problems) = read(&changed(changes));
    assert_eq!(problems, [], "{changes:?}");
    config.connection(id).unwrap().clone().into_usable().unwrap()
}

fn additions(connection: &Connection) -> &Additions {
    connection.additions.as_deref().unwrap()
}

fn fields(connection: &Connection, token: &str) -> Vec<(String, String)> {
    let fields = additions(connection).fields(token);
    fields.map(|(name, value)| (name.as_str().to_owned(), value.expose().to_owned())).collect()
}

/// Checks the one problem of `fixed` with `changes`.
fn check_fixed(changes: &[(&str, Value)], problem: &str) {
    check(changes, &[&format!("CONNECTIONS.fixed.{problem}")], &["fixed"]);
}

#[test]
fn adds_fields_and_parameters_with_secrets_and_token() {
    let fixed = connection(
        "fixed",
        &[
            (HEADERS, json!({"X-Key": "{app_key}", "x-both": "a {token}:{app_key}{", "X-Fixed": "1"})),
            (QUERY, json!({"na me": "{app_key}&é", "b[c]": "{token}", "a": ""})),
            ("FIXED_APP_KEY", json!("k {token}")),
        ],
    );
    assert_eq!(
        fields(&fixed, "t"),
        [
            ("x-fixed".to_owned(), "1".to_owned()),
            ("x-key".to_owned(), "k {token}".to_owned()),
            ("x-both".to_owned(), "a t:k {token}{".to_owned()),
        ]
    );
    let query = additions(&fixed).query("t+").unwrap();
    assert_eq!(query.expose(), "a=&b%5Bc%5D=t%2B&na+me=k+%7Btoken%7D%26%C3%A9");
    let secrets = additions(&fixed).secrets("t");
    let secrets: Vec<&str> = secrets.iter().map(Secret::expose).collect();
    for told in ["k {token}", "k+{token}", "a t:k {token}{", "k {token}&é", "t"] {
        assert!(secrets.contains(&told), "{told}: {secrets:?}");
    }
    assert!(!secrets.contains(&"1") && !secrets.contains(&""), "{secrets:?}");
    let shown = format!("{fixed:?}");
    assert!(!shown.contains("k {token}"), "{shown}");
    assert!(connection("fixed", &[]).additions.is_none());
    assert!(connection("fixed", &[(HEADERS, json!({})), (QUERY, json!({}))]).additions.is_none());
}

#[test]
fn knows_its_own_names_in_every_spelling() {
    let fixed =
        connection("fixed", &[(HEADERS, json!({"X-App-Key": "1"})), (QUERY, json!({"api_key": "1"}))]);
    let added = additions(&fixed);
    for name in ["x-app-key", "x_app_key", "x-app_key"] {
        assert!(added.has_field(name), "{name}");
    }
    assert!(!added.has_field("x-app-keys") && !added.has_field("api_key") && !added.has_field("x-app*"));
    for name in ["api_key", "API_KEY", "api.key", "api%5Fkey", "api_key[]", "+api_key"] {
        assert!(added.has_parameter(name), "{name}");
    }
    assert!(!added.has_parameter("api_keys") && !added.has_parameter("x-app-key"));
    assert!(added.is_in_path("/a;api_key=1") && !added.is_in_path("/api_key/a;b=1"));
}

#[test]
fn sends_the_token_in_a_field_of_its_own_or_not() {
    let api = |changes: &[(&str, Value)]| {
        let mut all = vec![("CONNECTIONS/api/header", json!(""))];
        all.extend_from_slice(changes);
        let mut all = changed(&all);
        put(&mut all, "CONNECTIONS/api/scheme", None);
        read(&all)
    };
    let none = "CONNECTIONS.api.header: must not be empty unless {token} stands in headers or in query";
    for elsewhere in [json!({}), json!({"X-A": "{client_id}"}), json!({"X-A": "{Token}"})] {
        let secret = ("API_CLIENT_ID", json!("id"));
        let (_, problems) = api(&[("CONNECTIONS/api/headers", elsewhere), secret]);
        assert_eq!(problems.iter().map(ToString::to_string).collect::<Vec<_>>(), [none]);
    }
    for place in ["headers", "query"] {
        let (config, problems) =
            api(&[(&format!("CONNECTIONS/api/{place}"), json!({"x-access": "{token}"}))]);
        assert_eq!(problems, []);
        let api = config.connection("api").unwrap().usable().unwrap();
        assert!(api.token_header.is_none() && api.token_types() == TokenTypes::Any);
    }
    let scheme = [("CONNECTIONS/api/header", json!("")), ("CONNECTIONS/api/query", json!({"a": "{token}"}))];
    check(&scheme, &["CONNECTIONS.api.scheme: has no meaning without a header"], &["api"]);
    let basic = [
        ("CONNECTIONS/fixed/grant", json!("basic")),
        ("FIXED_USERNAME", json!("ann")),
        ("FIXED_PASSWORD", json!("pw")),
        (HEADER, json!("")),
    ];
    check_fixed(&basic, "header: must not be empty unless {token} stands in headers or in query");
}

#[test]
fn needs_no_token_where_none_is_sent() {
    let (vtex, secrets) = (
        json!({"X-VTEX-API-AppKey": "{app_key}", "X-VTEX-API-AppToken": "{app_token}"}),
        [("FIXED_APP_KEY", json!("key")), ("FIXED_APP_TOKEN", json!("token"))],
    );
    let with = |changes: &[(&str, Value)]| {
        let mut all = changed(&[&[(HEADERS, vtex.clone())][..], &secrets, changes].concat());
        put(&mut all, "FIXED_TOKEN", None);
        read(&all)
    };
    let (config, problems) = with(&[(HEADER, json!(""))]);
    assert_eq!(problems, []);
    let fixed = config.connection("fixed").unwrap().usable().unwrap();
    assert!(matches!(&fixed.grant, Grant::Static { token } if token.expose().is_empty()));
    assert_eq!(
        fields(fixed, ""),
        [
            ("x-vtex-api-appkey".to_owned(), "key".to_owned()),
            ("x-vtex-api-apptoken".to_owned(), "token".to_owned()),
        ]
    );
    // Other secrets are another account.
    let (other, _) = with(&[(HEADER, json!("")), ("FIXED_APP_TOKEN", json!("another"))]);
    assert!(other.connection("fixed").unwrap().usable().unwrap().identity != fixed.identity);
    let missing = "FIXED_TOKEN: is missing: set this secret";
    for needing in [
        &[][..],
        &[(HEADER, json!("")), (QUERY, json!({"a": "x{token}"}))],
        &[(HEADER, json!("X-Key")), (QUERY, json!({"a": "{app_key}"}))],
    ] {
        let (_, problems) = with(needing);
        assert_eq!(problems.iter().map(ToString::to_string).collect::<Vec<_>>(), [missing], "{needing:?}");
    }
    let (open, problems) = with(&[(HEADER, json!("")), (HEADERS, json!({}))]);
    assert_eq!(problems, []);
    assert!(open.connection("fixed").unwrap().usable().unwrap().additions.is_none());
}

#[test]
fn keeps_the_identity_where_nothing_secret_is_added() {
    let plain = connection("fixed", &[]).identity;
    assert!(connection("fixed", &[(HEADERS, json!({"X-A": "1 {token}"}))]).identity == plain);
    let renewed = connection("renewed", &[]).identity;
    let changes = [("RENEWED_APP_KEY", json!("another"))];
    assert!(connection("renewed", &changes).identity == renewed, "the token set is the same");
}

#[test]
fn keeps_added_names_apart_from_all_others() {
    let kept = "is a header field that the broker keeps to itself: name another one";
    for (name, problem) in [
        ("", "must be a header field's name"),
        ("a b", "must be a header field's name"),
        ("Cookie", kept),
        ("Content-Type", kept),
        ("Host", kept),
        ("X-Forwarded-For", kept),
        ("x_http_method_override", kept),
        ("traceparent", kept),
        ("Authorization", "carries the token already: name another one, or write header = \"\""),
    ] {
        check_fixed(&[(HEADERS, json!({name: "1"}))], &format!("headers.{name}: {problem}"));
    }
    check_fixed(
        &[(HEADERS, json!({"X_Api_Key": "1"})), (HEADER, json!("X-Api-Key"))],
        "headers.X_Api_Key: carries the token already: name another one, or write header = \"\"",
    );
    check_fixed(
        &[(HEADERS, json!({"X_a": "1"})), ("CONNECTIONS/fixed/request_headers", json!(["X-B", "X-A"]))],
        "headers.X_a: must not stand in request_headers: no caller can send it",
    );
    let one = "must be one name: a server can read another one as the same";
    check_fixed(&[(HEADERS, json!({"X-A": "1", "x_a": "2"}))], &format!("headers.x_a: {one}"));
    check_fixed(&[(QUERY, json!({"a_b": "1", "a.B": "2", "c": "3"}))], &format!("query.a_b: {one}"));
    let jwt = |header: &str| {
        let caller = json!({"kind": "jwt", "issuer": "https://i.example", "audience": "a", "header": header});
        ("CALLERS/staff", caller)
    };
    check_fixed(
        &[(HEADERS, json!({"X_User": "1"})), jwt("X-User")],
        "headers.X_User: is a header field in which a caller sends a token: name another one",
    );
    // The caller's own credential never goes upstream: the field is free.
    connection(
        "fixed",
        &[(HEADERS, json!({"Authorization": "Own {token}"})), (HEADER, json!("")), jwt("Authorization")],
    );
    let name = "must be a parameter's name of at most 256 bytes, without & = ; + % # and control characters";
    for wrong in ["", "a&b", "a=b", "[]"] {
        check_fixed(&[(QUERY, json!({wrong: "1"}))], &format!("query.{wrong}: {name}"));
    }
}

#[test]
fn takes_values_that_fit_their_place() {
    let visible = "must be visible ASCII without spaces around it";
    for wrong in ["", " a", "a ", "é", "a\nb", "{token} "] {
        check_fixed(&[(HEADERS, json!({"X-A": wrong}))], &format!("headers.X-A: {visible}"));
    }
    for wrong in ["é", "a\nb"] {
        let changes = [(HEADERS, json!({"X-A": "x{app_key}{b}"})), ("FIXED_APP_KEY", json!(wrong))];
        let changes = [&changes[..], &[("FIXED_B", json!("b"))]].concat();
        check(&changes, &[&format!("FIXED_APP_KEY: {visible}")], &["fixed"]);
    }
    let control = "must have no control characters";
    check_fixed(&[(QUERY, json!({"a": "b\n"}))], &format!("query.a: {control}"));
    let changes = [(QUERY, json!({"a": "{app_key}"})), ("FIXED_APP_KEY", json!("a\nb"))];
    check(&changes, &[&format!("FIXED_APP_KEY: {control}")], &["fixed"]);
    check_fixed(&[(HEADERS, json!({"X-A": 1}))], "headers.X-A: must be a text");
    for (place, field) in [(HEADERS, "headers"), (QUERY, "query")] {
        check_fixed(&[(place, json!("a"))], &format!("{field}: must be a table"));
        let missing = "is missing: set this secret";
        check(
            &[(place, json!({"a": "{one}{two}", "b": "{one}"}))],
            &[&format!("FIXED_ONE: {missing}"), &format!("FIXED_TWO: {missing}")],
            &["fixed"],
        );
    }
    let many = |most: usize| (0..most).map(|n| (format!("x{n}"), json!("1"))).collect::<Variables>();
    connection("fixed", &[(HEADERS, json!(many(16))), (QUERY, json!(many(16)))]);
    check_fixed(&[(HEADERS, json!(many(17)))], "headers: must have at most 16 fields");
    check_fixed(&[(QUERY, json!(many(17)))], "query: must have at most 16 parameters");
}

#[test]
fn lets_no_rule_name_a_parameter_that_is_added() {
    let added = "is a parameter that the connection's query adds to each call: no caller can send it";
    let rules = "CONNECTIONS/fixed/rules/0";
    check_fixed(
        &[(QUERY, json!({"api_key": "1"})), (&format!("{rules}/query"), json!({"API.key": "x", "b": "y"}))],
        &format!("rules[0].query.API.key: {added}"),
    );
    check_fixed(
        &[(QUERY, json!({"api_key": "1"})), (&format!("{rules}/query_allowed"), json!(["a", "api_key[]"]))],
        &format!("rules[0].query_allowed[1]: {added}"),
    );
    connection(
        "fixed",
        &[(QUERY, json!({"api_key": "1"})), (&format!("{rules}/query_allowed"), json!(["*"]))],
    );
}

#[test]
fn reads_the_signs_of_a_dead_token() {
    let signs = json!([
        {"status": 403},
        {"status": 200, "json": "/errcode", "in": [40001]},
        {"status": 400, "header": "x-error", "in": ["expired"]}
    ]);
    assert_eq!(connection("fixed", &[(DEAD, signs)]).dead_token.len(), 3);
    assert!(connection("fixed", &[]).dead_token.is_empty());
    let array = "dead_token: must be an array of at most 16 tables, such as { status = 403 }";
    let status = "status: must be a whole number from 200 to 599 (status)";
    check_fixed(&[(DEAD, json!({"status": 403}))], array);
    check_fixed(&[(DEAD, json!(vec![json!({"status": 403}); 17]))], array);
    check_fixed(&[(DEAD, json!([403]))], "dead_token[0]: must be a table, such as { status = 403 }");
    for (sign, problem) in [
        (json!({}), status),
        (json!({"status": 199}), status),
        (json!({"status": "403"}), status),
        (json!({"status": 200, "json": "errcode"}), "json: must be a JSON Pointer, such as /error/code"),
        (json!({"status": 200, "json": 1}), "json: must be a text"),
        (json!({"status": 200, "header": "a b"}), "header: must be a header field's name"),
        (json!({"status": 200, "json": "/a", "in": []}), "in: must be an array of at least one value"),
        (json!({"status": 200, "json": "/a", "in": 1}), "in: must be an array of at least one value"),
        (json!({"status": 200, "in": [1]}), "in: has no meaning without json or header"),
        (
            json!({"status": 200, "header": "X-A", "in": ["a", 1]}),
            "in: must be texts: the value of a header field is one",
        ),
        (
            json!({"status": 200, "header": "X-A", "json": "/a"}),
            "header: must not stand beside json: write two tables",
        ),
        (json!({"status": 200, "body": "/a"}), "body: is not a known field"),
    ] {
        check_fixed(&[(DEAD, json!([{"status": 403}, sign]))], &format!("dead_token[1].{problem}"));
    }
}

#[test]
fn takes_the_secrets_of_a_registered_connection_by_their_names() {
    let (config, _) = read(&changed(&[(
        "TEMPLATES",
        json!({"shop": {
            "provider": "custom", "grant": "static", "header": "",
            "headers": {"X-Key": "{app_key}"}, "query": {"k": "{other}"},
            "rules": [{"callers": ["backend"], "methods": ["GET"], "paths": ["/a"]}]
        }}),
    )]));
    assert_eq!(config.problems(), []);
    let read = |secrets: Value| {
        let fields = json!({"template": "shop", "base_url": "https://a.example"});
        config.read_registered("acme", fields.as_object().unwrap(), secrets.as_object().unwrap())
    };
    let acme = read(json!({"app_key": "key", "other": "o"})).unwrap();
    assert_eq!(fields(&acme.connection, ""), [("x-key".to_owned(), "key".to_owned())]);
    let problems = read(json!({"app_key": "é", "app_token": "x"})).unwrap_err();
    assert_eq!(
        problems.iter().map(ToString::to_string).collect::<Vec<_>>(),
        [
            "secrets.app_token: is not a known secret",
            "secrets.app_key: must be visible ASCII without spaces around it",
            "secrets.other: is missing: set this secret",
        ]
    );
}
