use super::*;

/// Checks the problem that `value` in a field of the connection `api` makes.
fn check_field(field: &str, value: Value, expected: &str) {
    check(
        &[(&format!("CONNECTIONS/api/{field}"), value)],
        &[&format!("CONNECTIONS.api.{expected}")],
        &["api"],
    );
}

#[test]
fn says_what_to_write_in_each_field() {
    check_field(
        "provider",
        json!("gru"),
        "provider: must be a provider of the catalogue, as guru, or custom",
    );
    for (address, message) in [
        (json!("http://api.example.com"), "must be an https address, or http on a loopback host"),
        (json!("api.example.com"), "must be an absolute address with an ASCII host"),
        (json!("https://a:b@api.example.com"), "must be an address without user name and password"),
        (json!("https://api.example.com?x"), "must be an address without query and fragment"),
        (json!(1), "must be a text"),
    ] {
        check_field("base_url", address.clone(), &format!("base_url: {message}"));
        check_field("token_url", address, &format!("token_url: {message}"));
    }
    let grants = "grant: must be static, basic, password, client_credentials, refresh_token, jwt_bearer, login, token_exchange or authorization_code";
    check(&[("CONNECTIONS/api/grant", json!("code"))], &[&format!("CONNECTIONS.api.{grants}")], &["api"]);
    check_field("body", json!("xml"), "body: must be form or json");
    check_field(
        "client_auth",
        json!("mtls"),
        "client_auth: must be post, basic, private_key_jwt, client_secret_jwt, tls or none",
    );
    check_field("basic_encoding", json!("raw"), "basic_encoding: must be form or none");
    check_field("client_id", json!(7), "client_id: must be a text");
    check_field("client_id", json!(""), "client_id: must not be empty");
    check_field("audience", json!([]), "audience: must be a text");
    check_field("audience", json!(""), "audience: must not be empty");
    check_field("resource", json!("api"), "resource: must be an absolute URI without a fragment");
    check_field(
        "scope",
        json!("a  b"),
        "scope: must be scope names of visible ASCII, without quotes and backslashes, separated by single spaces",
    );
    check_field("scheme", json!("a b"), "scheme: must be one word, or empty for no scheme at all");
    check_field("subject", json!("x"), "subject: must be service, user or caller");
    check_field("base_ur", json!(1), "base_ur: is not a known field");
    check_field("client_secret", json!("x"), "client_secret: is not a known field");
}

#[test]
fn keeps_numbers_within_bounds() {
    for (field, range) in [
        ("default_expires_in", "1 to 31622400 (seconds)"),
        ("expiry_skew", "0 to 86400 (seconds)"),
        ("timeout_ms", "1 to 600000 (milliseconds)"),
        ("token_timeout_ms", "1 to 120000 (milliseconds)"),
        ("replay_bytes", "0 to 10485760 (bytes)"),
    ] {
        let (least, most) = range.split(" (").next().unwrap().split_once(" to ").unwrap();
        let (least, most): (i64, i64) = (least.parse().unwrap(), most.parse().unwrap());
        let place = format!("CONNECTIONS/api/{field}");
        check(&[(&place, json!(least))], &[], &[]);
        check(&[(&place, json!(most))], &[], &[]);
        for wrong in [json!(least - 1), json!(most + 1), json!(1.5), json!("1"), json!(true), json!(u64::MAX)]
        {
            check_field(field, wrong, &format!("{field}: must be a whole number from {range}"));
        }
    }
}

#[test]
fn reads_what_guards_an_upstream() {
    for (field, sound) in [
        (
            "budget",
            json!({"requests": 1, "seconds": 86400, "queue_ms": 60000, "share": "caller", "observe": true}),
        ),
        ("budget", json!({"requests": 1_000_000, "seconds": 1, "queue_ms": 2000, "share": "none"})),
        ("cool_down", json!(true)),
        ("retry", json!({"attempts": 5})),
    ] {
        check(&[(&format!("CONNECTIONS/api/{field}"), sound)], &[], &[]);
    }
    let (requests, seconds) = (
        "budget.requests: must be a whole number from 1 to 1000000 (requests)",
        "budget.seconds: must be a whole number from 1 to 86400 (seconds)",
    );
    let check_all = |field: &str, value, expected: &[&str]| {
        let expected: Vec<String> = expected.iter().map(|text| format!("CONNECTIONS.api.{text}")).collect();
        let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
        check(&[(&format!("CONNECTIONS/api/{field}"), value)], &expected, &["api"]);
    };
    check_field("budget", json!(360), "budget: must be a table");
    check_all("budget", json!({}), &[requests, seconds]);
    check_all(
        "budget",
        json!({"requests": 0, "seconds": 0, "queue_ms": -1, "share": "fair", "observe": 1, "burst": 2}),
        &[
            requests,
            seconds,
            "budget.queue_ms: must be a whole number from 0 to 60000 (milliseconds)",
            "budget.share: must be none or caller",
            "budget.observe: must be true or false",
            "budget.burst: is not a known field",
        ],
    );
    check_all(
        "budget",
        json!({"requests": 1, "seconds": 1, "queue_ms": 2001}),
        &[
            "budget.queue_ms: must not be longer than twice the budget's seconds: all of it is free again before",
        ],
    );
    check_field("cool_down", json!("yes"), "cool_down: must be true or false");
    check_field("retry", json!(2), "retry: must be a table");
    let attempts = "retry.attempts: must be a whole number from 1 to 5 (attempts)";
    for wrong in [json!({}), json!({"attempts": 0}), json!({"attempts": 6}), json!({"attempts": "2"})] {
        check_all("retry", wrong, &[attempts]);
    }
}

#[test]
fn takes_only_texts_that_are_free_as_parameters() {
    check_field("params", json!("a=b"), "params: must be a table");
    check_field("params", json!({"a": 1}), "params.a: must be a text");
    check_field("params", json!({"a": true}), "params.a: must be a text");
    check_field("params", json!({"": "x"}), "params.: must have a name");
    for own in [
        "grant_type",
        "client_id",
        "client_secret",
        "username",
        "password",
        "refresh_token",
        "scope",
        "audience",
        "resource",
    ] {
        let expected = format!("params.{own}: is a parameter that the broker sets itself");
        check_field("params", json!({ own: "x" }), &expected);
    }
}

#[test]
fn takes_only_header_fields_that_are_free() {
    let kept = "is a header field that the broker keeps to itself: name another one";
    check_field("header", json!("a b"), "header: must be a header field's name");
    check_field("header", json!("Cookie"), &format!("header: {kept}"));
    for (field, own) in [("request_headers", "X-API-Key"), ("response_headers", "Set-Cookie")] {
        check_field(field, json!("X-A"), &format!("{field}: must be an array of header field names"));
        check_field(field, json!(["X-A", 1]), &format!("{field}[1]: must be a text"));
        check_field(field, json!(["X-A", "é"]), &format!("{field}[1]: must be a header field's name"));
        check_field(field, json!(["X-A", own]), &format!("{field}[1]: {kept}"));
    }
}

#[test]
fn takes_media_types_to_ask_for() {
    check_field("default_accept", json!(["text/csv"]), "default_accept: must be a text");
    for bad in
        ["json", "application/", "/json", "a/b,", " a/b", "a b/c", "a/b\r\nc: d", "a/é", "application/json/x"]
    {
        let message = "must be media types as in Accept, such as application/json, or empty";
        check_field("default_accept", json!(bad), &format!("default_accept: {message}"));
    }
}

#[test]
fn needs_rules_that_say_everything() {
    check_field("rules", json!([]), "rules: must be an array of at least one rule");
    check_field("rules", json!({}), "rules: must be an array of at least one rule");
    check_field("rules/0", json!("x"), "rules[0]: must be a table of callers, methods and paths");
    for (field, message) in [
        ("callers", "must be an array of at least one caller's name"),
        ("methods", "must be an array of at least one method"),
        ("paths", "must be an array of at least one path"),
    ] {
        check_field(&format!("rules/0/{field}"), json!([]), &format!("rules[0].{field}: {message}"));
        check_field(&format!("rules/0/{field}"), json!("x"), &format!("rules[0].{field}: {message}"));
        check_field(&format!("rules/0/{field}"), json!([1]), &format!("rules[0].{field}[0]: must be a text"));
    }
    let unknown = "must be the name of a caller in CALLERS, or anyone or session";
    check_field("rules/0/callers", json!(["backend", "nobody"]), &format!("rules[0].callers[1]: {unknown}"));
    check_field(
        "rules/0/methods",
        json!(["get"]),
        "rules[0].methods[0]: must be a method in capital letters",
    );
    check_field(
        "rules/0/methods",
        json!(["GET", "TRACE"]),
        "rules[0].methods[1]: is a method that is never allowed",
    );
    check_field(
        "rules/0/methods",
        json!(["CONNECT"]),
        "rules[0].methods[0]: is a method that is never allowed",
    );
    let pattern = "must be a path that begins with /, * standing for one whole segment and ** for any number at its end";
    check_field("rules/0/paths", json!(["/a", "b"]), &format!("rules[0].paths[1]: {pattern}"));
    check_field("rules/0/rate_limit", json!(1), "rules[0].rate_limit: must be a table");
    let requests = "rules[0].rate_limit.requests: must be a whole number from 1 to 1000000 (requests)";
    check_field("rules/0/rate_limit", json!({"requests": 0, "seconds": 10}), requests);
    let seconds = "rules[0].rate_limit.seconds: must be a whole number from 1 to 86400 (seconds)";
    check_field("rules/0/rate_limit", json!({"requests": 1}), seconds);
    let unknown = "rules[0].rate_limit.per: is not a known field";
    check_field("rules/0/rate_limit", json!({"requests": 1, "seconds": 1, "per": 1}), unknown);
    check_field("rules/0/cache", json!(30), "rules[0].cache: must be a table");
    let seconds = "rules[0].cache.seconds: must be a whole number from 1 to 86400 (seconds)";
    for wrong in [json!({}), json!({"seconds": 0}), json!({"seconds": -1}), json!({"seconds": 86_401})] {
        check_field("rules/0/cache", wrong, seconds);
    }
    let stale = "rules[0].cache.stale_seconds: must be a whole number from 0 to 86400 (seconds)";
    check_field("rules/0/cache", json!({"seconds": 1, "stale_seconds": "9"}), stale);
    let shared = "rules[0].cache.shared: must be true or false";
    check_field("rules/0/cache", json!({"seconds": 1, "shared": 1}), shared);
    let unknown = "rules[0].cache.ttl: is not a known field";
    check_field("rules/0/cache", json!({"seconds": 1, "ttl": 1}), unknown);
    check_field("rules/0/path", json!(1), "rules[0].path: is not a known field");
}

#[test]
fn needs_what_the_grant_needs() {
    for (secret, id) in [
        ("API_CLIENT_SECRET", "api"),
        ("FIXED_TOKEN", "fixed"),
        ("GURU_TOKEN", "guru"),
        ("HUBSOFT_CLIENT_SECRET", "hubsoft"),
        ("HUBSOFT_USERNAME", "hubsoft"),
        ("HUBSOFT_PASSWORD", "hubsoft"),
        ("RENEWED_REFRESH_TOKEN", "renewed"),
        ("V8_USERNAME", "v8"),
        ("V8_PASSWORD", "v8"),
    ] {
        if !secret.ends_with("_CLIENT_SECRET") {
            check(&[(secret, json!(""))], &[&format!("{secret}: is missing: set this secret")], &[id]);
        }
        check(&[(secret, json!(12))], &[&format!("{secret}: must be a text")], &[id]);
    }
    check(
        &[("GURU_TOKEN", json!("x\ny"))],
        &["GURU_TOKEN: must be visible ASCII without spaces around it"],
        &["guru"],
    );
    check(&[("HUBSOFT_CLIENT_ID", json!(7))], &["HUBSOFT_CLIENT_ID: must be a text"], &["hubsoft"]);
}

#[test]
fn needs_what_no_preset_tells() {
    for (id, field, message) in [
        ("api", "provider", "must be a provider of the catalogue, as guru, or custom"),
        ("api", "base_url", "is missing: write the API's https address"),
        ("hubsoft", "base_url", "is missing: write the API's https address"),
        (
            "api",
            "grant",
            "must be static, basic, password, client_credentials, refresh_token, jwt_bearer, login, token_exchange or authorization_code",
        ),
        ("api", "token_url", "is missing: write the token endpoint's https address"),
        ("v8", "rules", "must be an array of at least one rule"),
    ] {
        let mut all = sound();
        put(&mut all, &format!("CONNECTIONS/{id}/{field}"), None);
        let (config, problems) = read(&all);
        let found: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(found, [format!("CONNECTIONS.{id}.{field}: {message}")]);
        assert!(!config.connection(id).unwrap().is_usable());
    }
}

#[test]
fn refuses_token_requests_for_a_static_token() {
    for field in [
        "token_url",
        "body",
        "client_auth",
        "basic_encoding",
        "client_id",
        "audience",
        "scope",
        "resource",
        "params",
        "default_expires_in",
        "expiry_skew",
        "token_timeout_ms",
    ] {
        for id in ["guru", "fixed"] {
            check(
                &[(&format!("CONNECTIONS/{id}/{field}"), json!(1))],
                &[&format!(
                    "CONNECTIONS.{id}.{field}: has no meaning with a grant that makes no token request"
                )],
                &[id],
            );
        }
    }
}

#[test]
fn refuses_connections_whose_names_share_secrets_or_fit_nowhere() {
    let message = "must have another name: its secrets have the same names as another one's";
    let guru = sound()["CONNECTIONS"]["guru"].clone();
    check(
        &[("CONNECTIONS/Guru", guru.clone())],
        &[&format!("CONNECTIONS.Guru: {message}"), &format!("CONNECTIONS.guru: {message}")],
        &["Guru", "guru"],
    );
    let name = "must have a name of 1 to 64 letters, digits, - and _ that begins with a letter or digit";
    check(&[("CONNECTIONS/a.b", guru)], &[&format!("CONNECTIONS.a.b: {name}")], &[]);
    check(&[("CONNECTIONS/guru", json!("guru"))], &["CONNECTIONS.guru: must be a table"], &["guru"]);
}

#[test]
fn reports_variables_of_the_wrong_form() {
    let origin = "must be an https origin as browsers send it, or http on a loopback host: \
                  lower case, no default port, no path, no slash at the end";
    let origins = json!(["https://a.example", "https://b.example/", "null", "https://c.example"]);
    let changes = [("ALLOWED_ORIGINS", origins)];
    check(
        &changes,
        &[&format!("ALLOWED_ORIGINS[1]: {origin}"), &format!("ALLOWED_ORIGINS[2]: {origin}")],
        &[],
    );
    assert_eq!(read(&changed(&changes)).0.allowed_origins.len(), 2);
    for wrong in [json!("https://a.example"), json!({}), json!(""), json!("[")] {
        check(&[("ALLOWED_ORIGINS", wrong)], &["ALLOWED_ORIGINS: must be an array of origins"], &[]);
    }
    check(&[("BASE_PATH", json!("broker"))], &["BASE_PATH: must be empty or a path like /broker"], &[]);
    check(&[("BASE_PATH", json!(1))], &["BASE_PATH: must be a text"], &[]);
    assert_eq!(read(&changed(&[("BASE_PATH", json!("/a/../b"))])).0.base_path, "");
    for wrong in [json!([]), json!("x"), json!("{"), json!(1)] {
        check(&[("CONNECTIONS", wrong)], &["CONNECTIONS: must be a table"], &[]);
    }
    let (_, problems) = read(&changed(&[("CALLERS", json!("x")), ("CONNECTIONS", json!({}))]));
    assert_eq!(problems.iter().map(Problem::field).collect::<Vec<_>>(), ["CALLERS"]);
}

#[test]
fn says_what_is_wrong_with_sealing_keys() {
    let missing = "is missing: set this secret to id:key, the key being 32 bytes in base64";
    for (value, message) in [
        (json!(""), missing),
        (json!(" , "), missing),
        (json!(1), "must be a text"),
        (
            json!("AAAA"),
            "must be id:key, several separated by commas; an id has 1 to 32 letters, digits, - and _",
        ),
        (json!("a:AAAA"), "must have keys of 32 bytes in base64"),
        (json!(format!("{SEALING_KEYS},{SEALING_KEYS}")), "must have another id for each key"),
    ] {
        let changes = [("SEALING_KEYS", value)];
        check(&changes, &[&format!("SEALING_KEYS: {message}")], &[]);
        assert!(read(&changed(&changes)).0.sealing_keys.is_none());
    }
}

#[test]
fn reports_all_problems_at_once_in_a_fixed_order() {
    let mut all = changed(&[
        ("ALLOWED_ORIGINS", json!(["x"])),
        ("BASE_PATH", json!("x")),
        ("CALLERS/web", json!({"kind": "x"})),
        ("CONNECTIONS/api/base_url", json!("x")),
        ("CONNECTIONS/api/grant", json!("x")),
        ("CONNECTIONS/api/scope", json!(1)),
        ("CONNECTIONS/api/timeout_ms", json!(0)),
        ("CONNECTIONS/api/rules/0/paths", json!(["x", "/", "y"])),
        ("CONNECTIONS/api/unknown", json!(1)),
        ("CONNECTIONS/v8", json!({"scope": "", "rules": []})),
        ("GURU_TOKEN", json!("")),
        ("HUBSOFT_USERNAME", json!("")),
        ("HUBSOFT_PASSWORD", json!("")),
    ]);
    put(&mut all, "SEALING_KEYS", None);
    let (config, problems) = read(&all);
    assert_eq!(
        problems.iter().map(Problem::field).collect::<Vec<_>>(),
        [
            "ALLOWED_ORIGINS[0]",
            "BASE_PATH",
            "CALLERS.web.kind",
            "CONNECTIONS.api.base_url",
            "CONNECTIONS.api.grant",
            "CONNECTIONS.api.scope",
            "CONNECTIONS.api.timeout_ms",
            "CONNECTIONS.api.rules[0].paths[0]",
            "CONNECTIONS.api.rules[0].paths[2]",
            "CONNECTIONS.api.unknown",
            "GURU_TOKEN",
            "HUBSOFT_USERNAME",
            "HUBSOFT_PASSWORD",
            "CONNECTIONS.v8.provider",
            "CONNECTIONS.v8.scope",
            "CONNECTIONS.v8.rules",
            "SEALING_KEYS",
        ]
    );
    assert!(
        config.connection("fixed").unwrap().is_usable() && config.connection("renewed").unwrap().is_usable()
    );
    assert!(config.callers.get("backend").unwrap().is_usable());
}

#[test]
fn tells_secrets_that_were_not_given_from_mistakes() {
    let secrets = ["SEALING_KEYS", "BACKEND_KEY", "API_CLIENT_SECRET", "HUBSOFT_CLIENT_ID", "V8_AUDIENCE"];
    let mut all = sound();
    for name in secrets {
        put(&mut all, name, None);
    }
    put(&mut all, "HUBSOFT_PASSWORD", Some(json!("")));
    put(&mut all, "HUBSOFT_USERNAME", Some(json!(7)));
    put(&mut all, "BASE_PATH", Some(json!("broker")));
    let (_, problems) = read(&all);
    let is_missing = |problem: &&Problem| problem.is_missing_secret();
    let mut missing: Vec<&str> = problems.iter().filter(is_missing).map(Problem::field).collect();
    missing.sort_unstable();
    let mut expected = [secrets.as_slice(), &["HUBSOFT_PASSWORD"]].concat();
    expected.sort_unstable();
    assert_eq!(missing, expected);
    assert!(problems.iter().any(|problem| problem.field() == "HUBSOFT_USERNAME"));
    assert!(problems.iter().any(|problem| problem.field() == "BASE_PATH"));
}

#[test]
fn tells_secrets_that_were_pasted_with_something_else_by_name() {
    let wrong = |name: &str, value: &str, what: &str, broken: &str| {
        check(&[(name, json!(value))], &[&format!("{name}: looks pasted wrong: it {what}")], &[broken]);
    };
    let (breaks, blanks) = (
        "begins or ends with a line break; set it again without",
        "begins or ends with a blank; set it again without",
    );
    let quotes = "stands in quotes; set it again without them";
    let scheme = "begins with its scheme; set it again without that word";
    for (name, connection) in [
        ("API_CLIENT_SECRET", "api"),
        ("GURU_TOKEN", "guru"),
        ("HUBSOFT_CLIENT_ID", "hubsoft"),
        ("HUBSOFT_USERNAME", "hubsoft"),
        ("HUBSOFT_PASSWORD", "hubsoft"),
        ("RENEWED_REFRESH_TOKEN", "renewed"),
        ("V8_AUDIENCE", "v8"),
    ] {
        wrong(name, "abc\n", breaks, connection);
        wrong(name, "\r\nabc", breaks, connection);
        wrong(name, "\"abc\"", quotes, connection);
        wrong(name, "'abc'", quotes, connection);
        if name != "HUBSOFT_PASSWORD" {
            wrong(name, " abc", blanks, connection);
        }
    }
    for (name, connection) in
        [("API_CLIENT_SECRET", "api"), ("GURU_TOKEN", "guru"), ("RENEWED_REFRESH_TOKEN", "renewed")]
    {
        wrong(name, "Bearer abc", scheme, connection);
    }
    for (name, value) in
        [("HUBSOFT_PASSWORD", "Bearer abc"), ("HUBSOFT_PASSWORD", "a\"b\" c"), ("HUBSOFT_USERNAME", "a b")]
    {
        check(&[(name, json!(value))], &[], &[]);
    }
    // Where no scheme is set before it, the token brings its own.
    let own = ("CONNECTIONS/fixed/scheme", json!(""));
    check(&[own, ("FIXED_TOKEN", json!("Token token=abc"))], &[], &[]);
    let doubled = ("CONNECTIONS/fixed/scheme", json!("Key"));
    let problem = format!("FIXED_TOKEN: looks pasted wrong: it {scheme}");
    check(&[doubled, ("FIXED_TOKEN", json!("Key abc"))], &[&problem], &["fixed"]);
    for field in ["client_id", "audience"] {
        check_field(field, json!("\"abc\""), &format!("{field}: looks pasted wrong: it {quotes}"));
        check_field(field, json!("abc\n"), &format!("{field}: looks pasted wrong: it {breaks}"));
    }
}

#[test]
fn tells_keys_that_were_pasted_with_something_else() {
    for (name, own) in
        [("BACKEND_KEY", "0123456789abcdef0123456789abcdef"), ("ADMIN_KEY", "0123456789abcdef")]
    {
        for (value, what) in [
            (format!("\"{own}\""), "stands in quotes; set it again without them"),
            (format!("Bearer {own}"), "begins with its scheme; set it again without that word"),
            (format!("{own}x, '{own}'"), "stands in quotes; set it again without them"),
        ] {
            let (_, problems) = read(&changed(&[(name, json!(value))]));
            let told = problems.iter().any(|problem| {
                problem.field() == name && problem.message() == format!("looks pasted wrong: it {what}")
            });
            assert!(told, "{value}: {problems:?}");
        }
    }
}

#[test]
fn takes_an_empty_client_secret_that_is_there() {
    for name in ["API_CLIENT_SECRET", "HUBSOFT_CLIENT_SECRET"] {
        check(&[(name, json!(""))], &[], &[]);
    }
    let (config, _) = read(&changed(&[("HUBSOFT_CLIENT_SECRET", json!(""))]));
    let connection = config.connection("hubsoft").unwrap().usable().unwrap();
    let ClientAuthentication::Post { client_secret, .. } = &connection.grant.endpoint().unwrap().client
    else {
        panic!("another method")
    };
    assert_eq!(client_secret.expose(), "");
    let mut all = sound();
    put(&mut all, "HUBSOFT_CLIENT_SECRET", None);
    let (_, problems) = read(&all);
    assert!(problems[0].is_missing_secret() && problems[0].field() == "HUBSOFT_CLIENT_SECRET");
    // Nothing else can be empty.
    check(
        &[("HUBSOFT_PASSWORD", json!(""))],
        &["HUBSOFT_PASSWORD: is missing: set this secret"],
        &["hubsoft"],
    );
}
