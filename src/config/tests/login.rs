use super::*;

/// A connection with this table `login`.
fn with_login(login: &Value) -> Value {
    json!({
        "provider": "custom",
        "base_url": "https://x.example",
        "token_url": "https://x.example/login",
        "grant": "login",
        "login": login,
        "rules": [{"callers": ["backend"], "methods": ["GET"], "paths": ["/*"]}]
    })
}

/// The whole of a login: everything that can be configured.
fn whole() -> Value {
    json!({
        "method": "PUT",
        "body": "json",
        "headers": {"X-Key": "{app_key}", "Accept": "application/json"},
        "fields": {"user": {"name": "{username}", "secrets": ["{password}", "{client_secret}"]}, "days": 7},
        "token": "/token",
        "expires_in": "/life",
        "expires_at": "/until",
        "rejected": [{"status": 200, "json": "/ok", "in": [false]}]
    })
}

const SECRETS: [(&str, &str); 4] =
    [("X_USERNAME", "ana"), ("X_PASSWORD", " pass word "), ("X_CLIENT_SECRET", "s"), ("X_APP_KEY", "key")];

/// The connection `x` with `fields`, and the problems of the configuration.
fn with_x(fields: Value, secrets: &[(&str, &str)]) -> (Option<Rc<Connection>>, Vec<String>) {
    let mut all = sound();
    all["CONNECTIONS"]["x"] = fields;
    for (name, value) in secrets {
        all[*name] = json!(value);
    }
    let (config, problems) = read(&all);
    let connection = config.connection("x").unwrap().clone().into_usable();
    (connection, problems.iter().map(ToString::to_string).collect())
}

/// A usable connection `x` with this login.
fn usable(login: &Value, secrets: &[(&str, &str)]) -> Rc<Connection> {
    let (connection, problems) = with_x(with_login(login), secrets);
    assert_eq!(problems, [""; 0]);
    connection.unwrap()
}

#[test]
fn reads_a_login_and_sends_its_token_as_bearer_unless_told_otherwise() {
    let x = usable(&whole(), &SECRETS);
    let Grant::Login { endpoint, login } = &x.grant else { panic!("{:?}", x.grant) };
    assert_eq!((x.grant.name(), endpoint.url.as_str()), ("login", "https://x.example/login"));
    assert_eq!(login.headers.expose(), "accept:application/json\nx-key:key");
    let fields = r#"{"days":7,"user":{"name":"ana","secrets":[" pass word ","s"]}}"#;
    assert_eq!(login.fields.as_ref().map(Secret::expose), Some(fields));
    assert_eq!((login.expires_in.as_deref(), login.expires_at.as_deref()), (Some("/life"), Some("/until")));
    assert_eq!(
        (x.token_header.as_ref().unwrap().scheme.as_deref(), x.token_types()),
        (Some("Bearer"), TokenTypes::Any)
    );
    let shown = format!("{x:?}");
    assert!(!["ana", "pass word", "key\""].iter().any(|secret| shown.contains(secret)), "{shown}");
    let mut other = with_login(&json!({"token": "header:x-token"}));
    other["scheme"] = json!("");
    let other = with_x(other, &[]).0.unwrap();
    assert_eq!(other.token_header.as_ref().unwrap().scheme.as_deref(), Some(""));
    let Grant::Login { endpoint, login } = &other.grant else { panic!("{:?}", other.grant) };
    assert_eq!((login.method, endpoint.encoding), ("POST", BodyEncoding::Json));
    assert!(matches!(&login.token, TokenPlace::Header(name) if name.as_str() == "x-token"));
    assert!(login.fields.is_none() && login.headers.expose().is_empty());
}

/// Checks the one problem of a login in which `field` is `value`.
#[track_caller]
fn check_login(field: &str, value: Value, expected: &str) {
    let mut login = whole();
    put(&mut login, field, Some(value));
    assert_eq!(
        with_x(with_login(&login), &SECRETS).1,
        [format!("CONNECTIONS.x.login.{expected}")],
        "{field}"
    );
}

#[test]
fn says_what_to_write_in_each_field_of_a_login() {
    check_login("method", json!("post"), "method: must be POST, PUT or GET");
    check_login("body", json!("xml"), "body: must be json or form");
    check_login("headers", json!("a"), "headers: must be a table");
    check_login("headers/X-A", json!(1), "headers.X-A: must be a text");
    check_login("headers/a b", json!("x"), "headers.a b: must be a header field's name");
    let kept = "is a header field that the broker keeps to itself: name another one";
    for name in ["Host", "Content-Length", "Connection", "Transfer-Encoding"] {
        check_login(&format!("headers/{name}"), json!("x"), &format!("headers.{name}: {kept}"));
    }
    let ascii = "must be visible ASCII without spaces around it, secrets included";
    for value in ["é", "", "a\r\nb: c", "{password}"] {
        check_login("headers/X-A", json!(value), &format!("headers.X-A: {ascii}"));
    }
    check_login("fields", json!(["a"]), "fields: must be a table");
    let token = "must not have {token}: there is no token yet";
    check_login("fields/user/secrets/0", json!("a {token}"), &format!("fields.user: {token}"));
    check_login("headers/X-A", json!("a{token}"), &format!("headers.X-A: {token}"));
    let place = "must be a JSON Pointer, as /data/token, or header: and the name of a header field";
    for wrong in ["token", "header:", "header:a b", "header: x", "/a~", "/a~2"] {
        check_login("token", json!(wrong), &format!("token: {place}"));
    }
    check_login("token", json!(1), "token: must be a text");
    for field in ["expires_in", "expires_at"] {
        check_login(field, json!("life"), &format!("{field}: must be a JSON Pointer, such as /error/code"));
        check_login(field, json!(3600), &format!("{field}: must be a text"));
    }
    check_login(
        "rejected/0/status",
        json!("200"),
        "rejected[0].status: must be a whole number from 200 to 599 (status)",
    );
    check_login("expires", json!("/a"), "expires: is not a known field");
}

#[test]
fn has_nested_fields_in_json_alone() {
    let message = "must be a text, a number, true or false: only a JSON body nests fields";
    for way in [json!({"body": "form"}), json!({"method": "GET"})] {
        let mut login = way;
        login["token"] = json!("/t");
        login["fields"] = json!({"a": {"b": 1}, "c": ["x"], "d": 1, "e": null});
        let expected = ["a", "c", "e"].map(|name| format!("CONNECTIONS.x.login.fields.{name}: {message}"));
        assert_eq!(with_x(with_login(&login), &[]).1, expected);
    }
    let login = json!({"method": "GET", "body": "form", "token": "/t"});
    let message = "has no meaning with the method GET, whose fields are the query";
    assert_eq!(with_x(with_login(&login), &[]).1, [format!("CONNECTIONS.x.login.body: {message}")]);
}

#[test]
fn reports_everything_that_a_login_lacks_once() {
    let (x, problems) = with_x(with_login(&whole()), &[]);
    assert!(x.is_none());
    let missing = ["APP_KEY", "CLIENT_SECRET", "PASSWORD", "USERNAME"]
        .map(|name| format!("X_{name}: is missing: set this secret"));
    let mut found = problems.clone();
    found.sort();
    assert_eq!(found, missing);
    let bare = json!({
        "provider": "custom", "base_url": "https://x.example", "grant": "login",
        "rules": [{"callers": ["backend"], "methods": ["GET"], "paths": ["/*"]}]
    });
    assert_eq!(
        with_x(bare, &[]).1,
        [
            "CONNECTIONS.x.token_url: is missing: write the token endpoint's https address",
            "CONNECTIONS.x.login: is missing: write the table of the login's request and answer"
        ]
    );
    let token = "CONNECTIONS.x.login.token: is missing: write where the answer has the token, as /data/token";
    assert_eq!(with_x(with_login(&json!({})), &[]).1, [token]);
    assert_eq!(with_x(with_login(&json!("POST")), &[]).1, ["CONNECTIONS.x.login: must be a table"]);
}

#[test]
fn takes_no_field_of_another_grant_and_serves_no_people() {
    let message = "has no meaning with the grant login: write the table login";
    for (field, value) in [
        ("body", json!("json")),
        ("client_auth", json!("none")),
        ("client_id", json!("x")),
        ("audience", json!("x")),
        ("scope", json!("x")),
        ("resource", json!("urn:x")),
        ("params", json!({"a": "b"})),
    ] {
        let mut fields = with_login(&json!({"token": "/t"}));
        fields[field] = value;
        assert_eq!(with_x(fields, &[]).1, [format!("CONNECTIONS.x.{field}: {message}")]);
    }
    let mut people = with_login(&json!({"token": "/t"}));
    people["subject"] = json!("user");
    let (x, problems) = with_x(people, &[]);
    assert!(x.is_none());
    assert_eq!(
        problems[0],
        "CONNECTIONS.x.subject: must be service: people sign in with the grants password and authorization_code only"
    );
    check(
        &[("CONNECTIONS/api/login", json!({"token": "/t"}))],
        &["CONNECTIONS.api.login: has no meaning unless grant is login"],
        &["api"],
    );
    check(
        &[("CONNECTIONS/fixed/login", json!({"token": "/t"}))],
        &["CONNECTIONS.fixed.login: has no meaning with a grant that makes no token request"],
        &["fixed"],
    );
}

#[test]
fn tells_accounts_of_logins_apart_and_lets_their_passwords_change() {
    type Change<'a> = &'a dyn Fn(&mut Value, &mut Vec<(&str, &str)>);
    let grants = |change: Change<'_>| {
        let (mut login, mut secrets) = (whole(), SECRETS.to_vec());
        change(&mut login, &mut secrets);
        let x = usable(&login, &secrets);
        (x.grant.identity(), x.grant.credentials())
    };
    let (identity, credentials) = grants(&|_, _| {});
    let check = |what: &str, same: [bool; 2], change: Change<'_>| {
        let (other_identity, other_credentials) = grants(change);
        assert_eq!([identity == other_identity, credentials == other_credentials], same, "{what}");
    };
    check("password", [true, false], &|_, secrets| secrets.push(("X_PASSWORD", "new")));
    check("client secret", [true, false], &|_, secrets| secrets.push(("X_CLIENT_SECRET", "new")));
    check("user name", [false, false], &|_, secrets| secrets.push(("X_USERNAME", "bia")));
    check("another secret", [false, false], &|_, secrets| secrets.push(("X_APP_KEY", "new")));
    check("unused secret", [true, true], &|_, secrets| secrets.push(("X_TOKEN", "new")));
    check("constant", [false, false], &|login, _| login["fields"]["days"] = json!(8));
    check("header", [false, false], &|login, _| login["headers"]["X-Site"] = json!("a"));
    check("place of the token", [false, true], &|login, _| login["token"] = json!("/admin_token"));
    check("method", [true, false], &|login, _| login["method"] = json!("POST"));
    check("expiry", [true, true], &|login, _| login["expires_in"] = json!("/other"));
    check("signs", [true, true], &|login, _| login["rejected"] = json!([]));
    let form = |encoding: &str| {
        let login = json!({"body": encoding, "fields": {"a": "{username}"}, "token": "/t"});
        let x = usable(&login, &SECRETS);
        (x.grant.identity(), x.grant.credentials())
    };
    let ((json, sent), (form, sent_as_form)) = (form("json"), form("form"));
    assert!(json == form && sent != sent_as_form);
}

#[test]
fn takes_the_secrets_of_a_registered_login() {
    let (config, _) = read(&sound());
    let secrets: Vec<(String, Value)> = SECRETS
        .iter()
        .map(|(name, value)| (name.trim_start_matches("X_").to_ascii_lowercase(), json!(value)))
        .collect();
    let secrets: Variables = secrets.into_iter().collect();
    let fields = with_login(&whole());
    let registered = config.read_registered("x", fields.as_object().unwrap(), &secrets).unwrap();
    assert_eq!(registered.connection.grant.name(), "login");
    let mut few = secrets.clone();
    few.remove("app_key");
    few.insert("other".to_owned(), json!("x"));
    let problems = config.read_registered("x", fields.as_object().unwrap(), &few).unwrap_err();
    let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(
        problems,
        ["secrets.other: is not a known secret", "secrets.app_key: is missing: set this secret"]
    );
}
