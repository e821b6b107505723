//! How a token is put on a call, and which answers say that it is dead.

use std::time::Duration;

use serde_json::{Value, json};

use super::{GRANTS, check, last_upstream_call, lines, things};
use porteiro::http::Headers;
use porteiro_simulation::{Call, Site};

const ERRCODE: &str = r#"{"errcode":40001}"#;

/// A site whose connection has these fields besides, and these secrets.
fn site(fields: &Value, secrets: &[(&str, &str)]) -> Site {
    let mut variables = Site::variables();
    let connection = variables["CONNECTIONS"]["acme"].as_object_mut().unwrap();
    connection.extend(fields.as_object().unwrap().clone());
    for (name, secret) in secrets {
        variables[format!("ACME_{name}")] = (*secret).into();
    }
    Site::with_variables(1, GRANTS, &variables)
}

/// A site whose API takes the token in the query, and says in a body that one is dead.
fn site_with_errcodes() -> Site {
    let site = site(
        &json!({
            "header": "",
            "query": { "access": "{token}" },
            "dead_token": [{ "status": 200, "json": "/errcode", "in": [40001] }],
        }),
        &[],
    );
    site.shared.provider.refuses_by.set(200);
    site.shared.provider.refusal_body.set(ERRCODE);
    site
}

/// The tokens that arrived in queries, in order.
fn tokens(site: &Site) -> Vec<String> {
    let calls = site.shared.upstream_calls.borrow();
    calls.iter().map(|(url, _)| url.split_once("access=").unwrap().1.to_owned()).collect()
}

#[test]
fn puts_fields_and_parameters_on_each_call() {
    let site = site(
        &json!({
            "header": "",
            "headers": { "X-Access": "{token}", "X-App": "app {app_key}", "X-Fixed": "1" },
            "query": { "access": "{token}", "na me": "{app_key}", "format": "json" },
        }),
        &[("APP_KEY", "a key+&")],
    );
    assert_eq!(site.call(1, &Call::get("/api/acme/things/1?a=%20&b")).status, 200);
    let (url, fields) = last_upstream_call(&site);
    let token = site.shared.provider.issued.borrow()[0].clone();
    let expected =
        format!("https://api.acme.example/v2/things/1?a=%20&b&access={token}&format=json&na+me=a+key%2B%26");
    assert_eq!(url, expected);
    let fields = Headers::new(&fields);
    assert_eq!(fields.value("x-access"), Some(&*token));
    assert_eq!((fields.value("x-app"), fields.value("x-fixed")), (Some("app a key+&"), Some("1")));
    assert_eq!(fields.value("authorization"), None);
}

#[test]
fn refuses_a_callers_own_field_or_parameter_of_such_a_name() {
    let site = site(
        &json!({
            "header": "",
            "headers": { "X-App-Key": "1", "Authorization": "Own {token}" },
            "query": { "api_key": "1", "access": "{token}" },
        }),
        &[],
    );
    for name in ["x-app-key", "x_app_key"] {
        check(&site, &things().field(name, "mine"), 400, "bad_request");
    }
    for target in ["?api_key=x", "?a&API.key[]=x", "?a;api%5Fkey", "?api%255fkey=x", "/1;api_key=x"] {
        let target = format!("/api/acme/things{target}");
        check(&site, &Call::get(&target), 400, "bad_request");
        check(&site, &Call::get(&target).method("POST"), 400, "bad_request");
    }
    assert!(site.shared.upstream_calls.borrow().is_empty());
    assert!(site.shared.provider.requests.borrow().is_empty(), "no token was needed");
}

#[test]
fn hands_no_address_back_with_what_it_added() {
    let site =
        site(&json!({ "query": { "api_key": "{app_key}", "format": "json" } }), &[("APP_KEY", "key 1234+")]);
    let answered = |status: u16, fields: &str| {
        *site.shared.upstream_script.borrow_mut() = Some((status, fields.to_owned()));
        site.call(1, &things())
    };
    let added = "api_key=key+1234%2B&format=json";
    for (location, path) in [
        (format!("/v2/things/1?{added}&page=2"), "/things/1?page=2"),
        (format!("?page=2&{added}#a"), "/things?page=2#a"),
        ("?API_KEY=other;format=x".to_owned(), "/things"),
    ] {
        let location = answered(307, &format!("location:{location}")).field("location").unwrap().to_owned();
        assert_eq!(location, format!("{}/api/acme{path}", Site::ADDRESS));
    }
    let fields = format!(
        "link:<https://x.example/?{added}&page=2>; rel=next; title=\"a\", </v2/a?format=x>\n\
         content-location:/v2/things?{added}\nx-a:1"
    );
    let passed = answered(200, &fields);
    assert_eq!(passed.field("link"), Some("<https://x.example/?page=2>; rel=next; title=\"a\", </v2/a>"));
    assert_eq!(passed.field("content-location"), Some("/v2/things"));
    for elsewhere in ["/v2/key%201234%2B", "/v2/things?q=key+1234%2B", "/v2/things#key%25201234%252B"] {
        let refused = answered(302, &format!("location:{elsewhere}"));
        assert_eq!((refused.status, refused.code().as_str()), (502, "upstream_redirect"), "{elsewhere}");
        let fields = format!("link:<{elsewhere}>\ncontent-location:{elsewhere}\netag:\"key 1234+\"");
        let left = answered(200, &fields);
        assert_eq!(
            (left.field("link"), left.field("content-location"), left.field("etag")),
            (None, None, None),
            "{elsewhere}"
        );
    }
    assert!(answered(500, "content-type:text/html").veiled);
    let all = site.shared.logs.borrow().join("\n");
    assert!(!all.contains("1234") && !all.contains("format"), "{all}");
}

#[test]
fn renews_once_for_any_number_of_calls_that_a_body_tells_of_a_dead_token() {
    let site = site_with_errcodes();
    assert_eq!(site.call(1, &things()).status, 200);
    for isolate in 2..5 {
        assert_eq!(site.call(isolate, &things()).status, 200);
    }
    site.shared.provider.revoke_access_tokens();
    for answered in site.storm(4, 50, &things()) {
        assert_eq!((answered.status, answered.sent, answered.body.as_str()), (200, 2, "answer 200"));
    }
    let requests = site.shared.provider.requests.borrow().len();
    assert_eq!(requests, 2, "one for the first token, one for the second");
    let tokens = tokens(&site);
    assert_eq!(tokens.iter().filter(|token| **token == tokens[0]).count(), 4 + 50);
    assert_eq!(tokens.iter().filter(|token| **token == tokens[tokens.len() - 1]).count(), 50);
    assert!(site.shared.watch.broken().is_none(), "{:?}", site.shared.watch.broken());
}

#[test]
fn begins_no_storm_where_every_answer_says_that_the_token_is_dead() {
    let site = site_with_errcodes();
    assert_eq!(site.call(1, &things()).status, 200);
    site.shared.provider.refuses_all.set(true);
    for _ in 0..20 {
        check(&site, &things(), 502, "upstream_unauthorized");
    }
    assert!(site.shared.provider.requests.borrow().len() <= 4);
    let replayed = lines(&site, "call").iter().filter(|line| line["replayed"] == true).count();
    assert!(replayed > 0);
}

#[test]
fn looks_into_no_body_that_is_long_slow_or_something_else() {
    let long = format!("{ERRCODE}{}", " ".repeat(16 * 1024 + 1 - ERRCODE.len()));
    let json = "content-type:application/json";
    let cases: [(&str, u16, &str, u64); 7] = [
        (&long, 200, json, 0),
        (ERRCODE, 200, json, 6),
        (ERRCODE, 200, "content-type:text/plain", 0),
        (ERRCODE, 200, "content-type:application/json\ncontent-length:16385", 0),
        (ERRCODE, 202, json, 0),
        (r#"{"errcode":"40001"}"#, 200, json, 0),
        ("{}", 200, json, 0),
    ];
    for (body, status, fields, seconds) in cases {
        let site = site_with_errcodes();
        *site.shared.upstream_script.borrow_mut() = Some((status, fields.to_owned()));
        *site.shared.upstream_body.borrow_mut() = Some(body.to_owned());
        site.shared.provider.body_takes.set(Duration::from_secs(seconds));
        let begun = site.shared.world.now();
        let answered = site.call(1, &things());
        assert_eq!((answered.status, answered.sent), (status, 1), "{fields}");
        assert_eq!(answered.body, body);
        assert!(site.shared.world.now().since(begun) < Duration::from_secs(6));
    }
    let just = format!("{ERRCODE}{}", " ".repeat(16 * 1024 - ERRCODE.len()));
    for (body, seconds) in [(just.as_str(), 0), (ERRCODE, 4)] {
        let site = site_with_errcodes();
        *site.shared.upstream_body.borrow_mut() = Some(body.to_owned());
        site.shared.provider.body_takes.set(Duration::from_secs(seconds));
        let answered = site.call(1, &things());
        assert_eq!((answered.status, answered.code().as_str()), (502, "upstream_unauthorized"));
    }
}

#[test]
fn waits_for_a_body_no_longer_than_for_a_head() {
    let mut fields = json!({ "timeout_ms": 300, "dead_token": [{ "status": 200, "json": "/errcode" }] });
    for (timeout, is_waited_for) in [(300, false), (2_000, true)] {
        fields["timeout_ms"] = timeout.into();
        let site = site(&fields, &[]);
        *site.shared.upstream_body.borrow_mut() = Some(ERRCODE.to_owned());
        site.shared.provider.body_takes.set(Duration::from_secs(1));
        assert_eq!(site.call(1, &things()).status, if is_waited_for { 502 } else { 200 });
    }
}

#[test]
fn looks_into_no_body_unless_the_connection_asks_for_it() {
    for signs in [json!([]), json!([{ "status": 403 }, { "status": 200, "header": "x-error" }])] {
        let site = site(&json!({ "dead_token": signs }), &[]);
        site.shared.provider.body_takes.set(Duration::from_secs(3));
        let begun = site.shared.world.now();
        assert_eq!(site.call(1, &things()).status, 200);
        assert!(site.shared.world.now().since(begun) < Duration::from_secs(3));
    }
}

#[test]
fn tells_of_a_dead_token_by_status_and_field() {
    let signs = json!([{ "status": 403 }, { "status": 302, "header": "location", "in": ["/login"] }]);
    for (status, fields, is_dead) in [
        (403, "content-type:text/html", true),
        (302, "location:/login", true),
        (302, "location:/v2/things/1", false),
        (404, "content-type:text/html", false),
    ] {
        let site = site(&json!({ "dead_token": signs }), &[]);
        *site.shared.upstream_script.borrow_mut() = Some((status, fields.to_owned()));
        let answered = site.call(1, &things());
        assert_eq!(answered.status, if is_dead { 502 } else { status }, "{fields}");
        assert_eq!(answered.sent > 1, is_dead);
    }
}

#[test]
fn reports_a_static_credential_that_is_refused_and_its_change() {
    let mut variables = Site::variables();
    variables["CONNECTIONS"]["shop"] = json!({
        "provider": "custom",
        "base_url": "https://api.shop.example",
        "grant": "static",
        "header": "",
        "headers": { "X-Access": "{app_token}" },
        "dead_token": [{ "status": 403 }],
        "rules": [{ "callers": ["backend"], "methods": ["GET"], "paths": ["/**"] }],
    });
    variables["SHOP_APP_TOKEN"] = "shop-token".into();
    variables["ADMIN_KEY"] = Site::CALLER_KEY.into();
    let site = Site::with_variables(1, GRANTS, &variables);
    site.shared.provider.refuses_by.set(403);
    let shop = Call::get("/api/shop/a");
    check(&site, &shop, 502, "upstream_unauthorized");
    assert_eq!(last_upstream_call(&site).0, "https://api.shop.example/a");
    assert_eq!(lines(&site, "static_token_refused").len(), 1);
    // The keeper is told behind the answer.
    site.shared.world.run_for(Duration::from_secs(1));
    let state = |site: &Site| {
        let list = site.call(1, &Call::get("/admin/connections"));
        let shop =
            list.json()["connections"].as_array().unwrap().iter().find(|it| it["id"] == "shop").cloned();
        shop.unwrap()["state"].clone()
    };
    assert_eq!(state(&site), "rejected");
    variables["SHOP_APP_TOKEN"] = "another-token".into();
    site.redeploy(&variables);
    assert_ne!(state(&site), "rejected", "another secret is another account");
}
