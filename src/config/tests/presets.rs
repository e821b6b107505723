use super::*;

/// The connection called `id` of the sound configuration with `changes`, which
/// must be sound too.
fn connection(id: &str, changes: &[(&str, Value)]) -> Rc<Connection> {
    let (config, problems) = read(&changed(changes));
    assert_eq!(problems, [], "{changes:?}");
    config.connection(id).unwrap().clone().into_usable().unwrap()
}

fn token_header(connection: &Connection) -> (&str, Option<&str>) {
    let header = connection.token_header.as_ref().unwrap();
    (header.name.as_str(), header.scheme.as_deref())
}

#[test]
fn knows_guru() {
    let guru = connection("guru", &[]);
    assert_eq!((guru.provider, guru.provider.as_str()), (Provider::find("guru").unwrap(), "guru"));
    assert_eq!(guru.base_url.as_base(), "https://digitalmanager.guru/api/v2");
    assert_eq!(token_header(&guru), ("authorization", Some("Bearer")));
    assert!(matches!(&guru.grant, Grant::Static { token } if token.expose() == "guru-token"));
    assert_eq!(guru.default_accept.as_deref(), Some("application/json"));
}

#[test]
fn knows_hubsoft() {
    let hubsoft = connection("hubsoft", &[]);
    assert_eq!(
        (hubsoft.provider, hubsoft.provider.as_str()),
        (Provider::find("hubsoft").unwrap(), "hubsoft")
    );
    assert_eq!(hubsoft.base_url.as_base(), "https://api.acme.hubsoft.com.br");
    assert_eq!(token_header(&hubsoft), ("authorization", None));
    assert_eq!(hubsoft.default_accept.as_deref(), Some("application/json"));
    let Grant::Password { endpoint, username, .. } = &hubsoft.grant else { panic!("{:?}", hubsoft.grant) };
    assert_eq!(username.expose(), "ann@acme.com.br");
    assert_eq!(endpoint.url.as_str(), "https://api.acme.hubsoft.com.br/oauth/token");
    assert_eq!(endpoint.encoding, BodyEncoding::Json);
    assert_eq!((&endpoint.scope, &endpoint.audience, &endpoint.resource), (&None, &None, &None));
    let ClientAuthentication::Post { client_id, client_secret } = &endpoint.client else {
        panic!("{:?}", endpoint.client)
    };
    assert_eq!((client_id.as_str(), client_secret.expose()), ("7", "hubsoft client secret"));
}

#[test]
fn knows_v8() {
    let v8 = connection("v8", &[]);
    assert_eq!((v8.provider, v8.provider.as_str()), (Provider::find("v8").unwrap(), "v8"));
    assert_eq!(v8.base_url.as_base(), "https://bff.v8sistema.com");
    assert_eq!(v8.default_accept, None);
    assert_eq!(token_header(&v8), ("authorization", Some("Bearer")));
    let Grant::Password { endpoint, username, password } = &v8.grant else { panic!("{:?}", v8.grant) };
    assert_eq!((username.expose(), password.expose()), ("bob", "v8 password"));
    assert_eq!(endpoint.url.as_str(), "https://api.v8digital.com/oauth/token");
    assert_eq!(endpoint.encoding, BodyEncoding::Form);
    assert_eq!(endpoint.scope.as_deref(), Some("offline_access"));
    assert_eq!(endpoint.audience.as_deref(), Some("https://v8.example"));
    assert!(
        matches!(&endpoint.client, ClientAuthentication::None { client_id: Some(id) } if id == "v8-client")
    );
}

#[test]
fn takes_documented_defaults() {
    for id in ["fixed", "guru", "hubsoft", "renewed", "v8"] {
        let connection = connection(id, &[]);
        assert_eq!(connection.default_expires_in, Duration::from_hours(1), "{id}");
        assert_eq!(connection.expiry_skew, Duration::from_mins(1), "{id}");
        assert_eq!(connection.timeout, Duration::from_secs(30), "{id}");
        assert_eq!(connection.replay_bytes, 1_048_576, "{id}");
        assert!(connection.request_headers.is_empty() && connection.response_headers.is_empty(), "{id}");
        if let Some(endpoint) = connection.grant.endpoint() {
            assert_eq!(endpoint.timeout, Duration::from_secs(10), "{id}");
            assert!(endpoint.params.is_empty(), "{id}");
        }
    }
}

#[test]
fn takes_custom_tokens_by_their_type_and_static_ones_as_bearer() {
    assert_eq!(token_header(&connection("fixed", &[])), ("authorization", Some("Bearer")));
    let renewed = connection("renewed", &[]);
    assert_eq!(token_header(&renewed), ("authorization", None));
    let Grant::RefreshToken { endpoint, refresh_token } = &renewed.grant else {
        panic!("{:?}", renewed.grant)
    };
    assert_eq!(refresh_token.expose(), "first refresh token");
    assert_eq!(endpoint.encoding, BodyEncoding::Form);
    assert!(matches!(endpoint.client, ClientAuthentication::None { client_id: None }));
}

#[test]
fn lets_fields_override_a_preset() {
    let v8 = connection(
        "v8",
        &[
            ("CONNECTIONS/v8/base_url", json!("http://localhost:8080/v8/")),
            ("CONNECTIONS/v8/scope", json!("other")),
            ("CONNECTIONS/v8/scheme", json!("")),
            ("CONNECTIONS/v8/client_auth", json!("post")),
            ("CONNECTIONS/v8/body", json!("json")),
            ("CONNECTIONS/v8/default_accept", json!("application/json")),
            ("V8_CLIENT_SECRET", json!("v8 client secret")),
        ],
    );
    assert_eq!(token_header(&v8), ("authorization", Some("")));
    let endpoint = v8.grant.endpoint().unwrap();
    // V8's token endpoint is on a host of its own, wherever the API is.
    assert_eq!(endpoint.url.as_str(), "https://api.v8digital.com/oauth/token");
    assert_eq!(v8.default_accept.as_deref(), Some("application/json"));
    assert_eq!(endpoint.scope.as_deref(), Some("other"));
    assert_eq!(endpoint.encoding, BodyEncoding::Json);
    assert!(matches!(endpoint.client, ClientAuthentication::Post { .. }));

    let address = json!("https://login.example.com/token");
    let v8 = connection("v8", &[("CONNECTIONS/v8/token_url", address)]);
    assert_eq!(v8.grant.endpoint().unwrap().url.as_str(), "https://login.example.com/token");
    assert_eq!(v8.base_url.as_base(), "https://bff.v8sistema.com");

    let elsewhere = json!("https://api.other.hubsoft.com.br/x/");
    let hubsoft = connection("hubsoft", &[("CONNECTIONS/hubsoft/base_url", elsewhere)]);
    assert_eq!(
        hubsoft.grant.endpoint().unwrap().url.as_str(),
        "https://api.other.hubsoft.com.br/x/oauth/token"
    );
    let silent = connection("hubsoft", &[("CONNECTIONS/hubsoft/default_accept", json!(""))]);
    assert_eq!(silent.default_accept, None);

    let hubsoft = connection(
        "hubsoft",
        &[("CONNECTIONS/hubsoft/grant", json!("static")), ("HUBSOFT_TOKEN", json!("x"))],
    );
    assert_eq!((hubsoft.grant.name(), token_header(&hubsoft)), ("static", ("authorization", Some("Bearer"))));
}

#[test]
fn needs_a_client_id_only_where_a_secret_or_v8_needs_it() {
    for (place, value, expected) in [
        ("V8_CLIENT_ID", json!(""), "V8_CLIENT_ID"),
        ("V8_AUDIENCE", json!(""), "V8_AUDIENCE"),
        ("HUBSOFT_CLIENT_ID", json!(""), "HUBSOFT_CLIENT_ID"),
    ] {
        let message = "is missing: set this secret, or the connection's field of that name";
        let id = if place.starts_with("V8") { "v8" } else { "hubsoft" };
        check(&[(place, value)], &[&format!("{expected}: {message}")], &[id]);
    }
    let public = [("CONNECTIONS/hubsoft/client_auth", json!("none")), ("HUBSOFT_CLIENT_ID", json!(""))];
    let hubsoft = connection("hubsoft", &public);
    assert!(matches!(
        hubsoft.grant.endpoint().unwrap().client,
        ClientAuthentication::None { client_id: None }
    ));
    let by_field = [("HUBSOFT_CLIENT_ID", json!("")), ("CONNECTIONS/hubsoft/client_id", json!("field id"))];
    let hubsoft = connection("hubsoft", &by_field);
    let client = &hubsoft.grant.endpoint().unwrap().client;
    assert!(matches!(client, ClientAuthentication::Post { client_id, .. } if client_id == "field id"));
}

/// A configuration with one more connection, `x`, and its problems.
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

#[test]
fn puts_user_name_and_password_on_calls() {
    let basic = json!({
        "provider": "custom", "base_url": "https://x.example", "grant": "basic",
        "rules": [{"callers": ["backend"], "methods": ["GET"], "paths": ["/*"]}]
    });
    // RFC 7617 section 2.1.
    let (x, problems) = with_x(basic.clone(), &[("X_USERNAME", "test"), ("X_PASSWORD", "123\u{a3}")]);
    assert_eq!(problems, [""; 0]);
    let x = x.unwrap();
    assert_eq!(token_header(&x), ("authorization", Some("Basic")));
    assert!(
        matches!(&x.grant, Grant::Basic { token } if token.expose() == "dGVzdDoxMjPCow=="),
        "{:?}",
        x.grant
    );
    assert_eq!(x.grant.name(), "basic");
    let colon = "X_USERNAME: must have no colon, where the password would begin";
    assert_eq!(with_x(basic.clone(), &[("X_USERNAME", "a:b"), ("X_PASSWORD", "c")]).1, [colon]);
    let control = "X_PASSWORD: must have no control characters";
    assert_eq!(with_x(basic.clone(), &[("X_USERNAME", "a"), ("X_PASSWORD", "c\u{7f}d")]).1, [control]);
    let missing = ["X_USERNAME: is missing: set this secret", "X_PASSWORD: is missing: set this secret"];
    assert_eq!(with_x(basic, &[]).1, missing);
}

#[test]
fn asks_for_no_password_where_the_provider_has_none() {
    let rules = json!([{"callers": ["backend"], "methods": ["GET"], "paths": ["/*"]}]);
    let pagarme = json!({"provider": "pagarme", "rules": rules});
    // The maker's example: a key and a colon.
    for secrets in
        [[("X_USERNAME", "sk_test_*")].as_slice(), &[("X_USERNAME", "sk_test_*"), ("X_PASSWORD", "")]]
    {
        let (x, problems) = with_x(pagarme.clone(), secrets);
        assert_eq!(problems, [""; 0]);
        assert!(matches!(&x.unwrap().grant, Grant::Basic { token } if token.expose() == "c2tfdGVzdF8qOg=="));
    }
    let twilio = json!({"provider": "twilio", "rules": rules});
    assert_eq!(with_x(twilio, &[("X_USERNAME", "a")]).1, ["X_PASSWORD: is missing: set this secret"]);
}
