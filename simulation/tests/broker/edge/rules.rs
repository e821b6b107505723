//! Rules that bind calls to who calls.

use serde_json::{Value, json};

use super::{GRANTS, check, last_upstream_call};
use porteiro_simulation::{Call, Key, Site};

const HOME: &str = "https://home.example";
const SHOP: &str = "https://shop.example";
const OWN: &str = "11122233344";
const OTHER: &str = "55566677788";

/// A site with two issuers, whose tokens come in two header fields, and these rules.
fn site(rules: &Value) -> Site {
    let mut variables = Site::variables();
    let jwt = |issuer: &str, header: &str| json!({ "kind": "jwt", "issuer": issuer, "audience": "porteiro", "header": header });
    variables["CALLERS"]["subscriber"] = jwt(HOME, "authorization");
    variables["CALLERS"]["seller"] = jwt(SHOP, "x-seller");
    variables["ADMIN_KEY"] = Site::OPERATOR_KEY.into();
    variables["CONNECTIONS"]["acme"]["labels"] = json!({ "tenant": "t-1" });
    variables["CONNECTIONS"]["acme"]["rules"] = rules.clone();
    let site = Site::with_variables(1, GRANTS, &variables);
    site.shared.issuers.publish(HOME, &[Key("home")]);
    site.shared.issuers.publish(SHOP, &[Key("shop")]);
    site
}

fn token(site: &Site, issuer: &str, claims: &Value) -> String {
    let expires_at = site.shared.world.now().as_millis() / 1000 + 3600;
    let mut all = json!({ "iss": issuer, "aud": "porteiro", "sub": "somebody", "exp": expires_at });
    for (name, value) in claims.as_object().unwrap() {
        all[name] = value.clone();
    }
    Key(if issuer == HOME { "home" } else { "shop" }).sign(&all)
}

/// A call of a subscriber with these claims.
fn subscriber(site: &Site, claims: &Value, target: &str) -> Call {
    let token = token(site, HOME, claims);
    Call::get(&format!("/api/acme{target}")).field("authorization", &format!("Bearer {token}"))
}

fn rule(callers: &[&str], methods: &[&str], paths: &[&str], bound: &Value) -> Value {
    let mut rule = json!({ "callers": callers, "methods": methods, "paths": paths });
    for (field, value) in bound.as_object().unwrap() {
        rule[field] = value.clone();
    }
    rule
}

fn sent(site: &Site) -> String {
    last_upstream_call(site).0.strip_prefix("https://api.acme.example/v2").unwrap().to_owned()
}

#[test]
fn adds_what_is_bound_and_tells_nobody() {
    let query = json!({ "query": { "busca": "cpf_cnpj", "termo_busca": "{claims.cpf}" }, "query_allowed": ["limit"] });
    let site = site(&json!([rule(&["subscriber"], &["GET"], &["/invoices", "/invoices/*"], &query)]));
    let call = |target: &str| subscriber(&site, &json!({ "cpf": OWN }), target);
    for (target, upstream) in [
        ("/invoices", format!("/invoices?busca=cpf_cnpj&termo_busca={OWN}")),
        ("/invoices?", format!("/invoices?busca=cpf_cnpj&termo_busca={OWN}")),
        ("/invoices?limit=5", format!("/invoices?limit=5&busca=cpf_cnpj&termo_busca={OWN}")),
        ("/invoices?limit=5&", format!("/invoices?limit=5&busca=cpf_cnpj&termo_busca={OWN}")),
        (
            "/invoices?busca=cpf_cnpj&limit=%35",
            format!("/invoices?busca=cpf_cnpj&limit=%35&termo_busca={OWN}"),
        ),
    ] {
        assert_eq!(site.call(1, &call(target)).status, 200, "{target}");
        assert_eq!(sent(&site), upstream);
    }
    let calls = site.shared.upstream_calls.borrow().len();
    for target in [
        format!("/invoices?termo_busca={OTHER}"),
        format!("/invoices?limit=1;termo_busca={OTHER}"),
        "/invoices?x=1".to_owned(),
        format!("/invoices/a;Termo_Busca={OTHER}"),
        format!("/invoices/a%3Btermo_busca={OTHER}"),
    ] {
        check(&site, &call(&target), 403, "operation_not_allowed");
    }
    assert_eq!(site.shared.upstream_calls.borrow().len(), calls);
    *site.shared.upstream_script.borrow_mut() =
        Some((302, format!("location:/v2/invoices?page=2&termo%5Fbusca={OWN}&busca=cpf_cnpj#{}", "end")));
    let moved = site.call(1, &call("/invoices"));
    assert_eq!(moved.field("location"), Some("https://broker.example/api/acme/invoices?page=2#end"));
    *site.shared.upstream_script.borrow_mut() = Some((302, "location:#top".to_owned()));
    let moved = site.call(1, &call("/invoices?limit=1"));
    assert_eq!(moved.field("location"), Some("https://broker.example/api/acme/invoices?limit=1#top"));
    for line in &*site.shared.logs.borrow() {
        assert!(!line.contains(OWN) && !line.contains("termo_busca"), "{line}");
    }
}

#[test]
fn fills_all_templates_of_a_rule_from_one_caller() {
    let site = site(&json!([
        rule(
            &["subscriber", "seller"],
            &["GET"],
            &["/things/{claims.cpf}"],
            &json!({ "query": { "shop": "{claims.shop}" } })
        ),
        rule(
            &["subscriber", "seller"],
            &["GET"],
            &["/things/{claims.cpf}/x"],
            &json!({ "claims": { "role": "admin" } })
        ),
        rule(&["seller"], &["GET"], &["/things/{claims.shop}"], &json!({ "query_allowed": [] })),
        rule(
            &["subscriber", "seller"],
            &["GET"],
            &["/of/{claims.sub}"],
            &json!({ "query": { "who": "{claims.sub}" } })
        ),
    ]));
    let both = |home: &Value, shop: &Value, target: &str| {
        subscriber(&site, home, target).field("x-seller", &token(&site, SHOP, shop))
    };
    let (home, shop) =
        (json!({ "cpf": OWN, "sub": "h" }), json!({ "shop": "s-1", "role": "admin", "sub": "s" }));
    check(&site, &both(&home, &shop, &format!("/things/{OWN}")), 403, "operation_not_allowed");
    check(&site, &both(&home, &shop, &format!("/things/{OWN}/x")), 403, "operation_not_allowed");
    check(&site, &both(&home, &shop, "/of/h?who=s"), 403, "operation_not_allowed");
    check(&site, &both(&home, &shop, "/of/s?who=h"), 403, "operation_not_allowed");
    for (target, upstream) in [
        ("/things/s-1", "/things/s-1"),
        ("/of/h", "/of/h?who=h"),
        ("/of/s", "/of/s?who=s"),
        ("/of/s?who=s", "/of/s?who=s"),
    ] {
        assert_eq!(site.call(1, &both(&home, &shop, target)).status, 200, "{target}");
        assert_eq!(sent(&site), upstream);
    }
    let whole = json!({ "shop": "s-1", "cpf": OWN });
    assert_eq!(site.call(1, &both(&home, &whole, &format!("/things/{OWN}"))).status, 200);
    assert_eq!(sent(&site), format!("/things/{OWN}?shop=s-1"));
    // Nobody slips by a rule of their own into another caller's.
    check(&site, &subscriber(&site, &json!({ "shop": "s-1" }), "/things/s-1"), 403, "operation_not_allowed");
}

#[test]
fn passes_a_rule_over_that_does_not_fit_as_a_whole() {
    let site = site(&json!([
        rule(
            &["subscriber"],
            &["GET"],
            &["/things/**"],
            &json!({ "claims": { "role": ["admin", "owner"] } })
        ),
        rule(&["subscriber"], &["GET"], &["/things/**"], &json!({ "query": { "cpf": "{claims.cpf}" } })),
        rule(&["subscriber"], &["GET"], &["/things/public"], &json!({})),
    ]));
    let call = |claims: &Value, target: &str| site.call(1, &subscriber(&site, claims, target)).status;
    assert_eq!(call(&json!({ "role": "owner" }), "/things/1?cpf=1&x=2"), 200);
    assert_eq!(sent(&site), "/things/1?cpf=1&x=2");
    assert_eq!(call(&json!({ "role": ["staff", "admin"] }), "/things/1"), 200);
    assert_eq!(sent(&site), "/things/1");
    assert_eq!(call(&json!({ "role": "Admin", "cpf": OWN }), "/things/1"), 200);
    assert_eq!(sent(&site), format!("/things/1?cpf={OWN}"));
    for claims in [
        json!({}),
        json!({ "cpf": "" }),
        json!({ "cpf": null }),
        json!({ "cpf": [OWN] }),
        json!({ "cpf": { "a": 1 } }),
        json!({ "cpf": "a\u{0}b" }),
    ] {
        assert_eq!(call(&claims, "/things/1"), 403, "{claims}");
    }
    assert_eq!(call(&json!({}), "/things/public?anything=1"), 200);
    for (claim, text) in [
        (json!(12_345_678_901_u64), "12345678901"),
        (json!(true), "true"),
        (json!(1.5), "1.5"),
        (json!(u64::MAX), "18446744073709551615"),
        (json!("a&b=c"), "a%26b%3Dc"),
    ] {
        assert_eq!(call(&json!({ "cpf": claim }), "/things/1"), 200);
        assert_eq!(sent(&site), format!("/things/1?cpf={text}"));
    }
}

#[test]
fn looks_into_bodies_where_a_rule_binds_them() {
    let bound = json!({ "body": { "/customer/cpf": "{claims.cpf}" } });
    let site = site(&json!([
        rule(&["subscriber"], &["POST"], &["/orders"], &bound),
        rule(&["subscriber"], &["POST"], &["/search"], &json!({ "query": { "cpf": "{claims.cpf}" } })),
        rule(&["subscriber"], &["POST"], &["/search"], &json!({ "claims": { "role": "admin" } })),
    ]));
    let post = |target: &str, kind: &str, claims: &Value| {
        subscriber(&site, claims, target).method("POST").field("content-type", kind)
    };
    let own = json!({ "cpf": OWN });
    let body = |cpf: &str| json!({ "customer": { "cpf": cpf } }).to_string();
    assert_eq!(site.call(1, &post("/orders", "application/json", &own).text(&body(OWN))).status, 200);
    let calls = site.shared.upstream_calls.borrow().len();
    check(&site, &post("/orders", "application/json", &own).text(&body(OTHER)), 403, "operation_not_allowed");
    check(&site, &post("/orders", "text/plain", &own).text(&body(OWN)), 403, "operation_not_allowed");
    let form = "application/x-www-form-urlencoded";
    check(&site, &post("/search", form, &own).text(&format!("CPF={OTHER}")), 403, "operation_not_allowed");
    let large = |kind: &str, claims: &Value| post("/search", kind, claims).text(&"a".repeat(65_537));
    check(&site, &large(form, &own), 413, "body_too_large");
    check(&site, &large(form, &own).field("content-length", "65537"), 413, "body_too_large");
    let padded = json!({ "customer": { "cpf": OWN }, "pad": "x".repeat(65_536) }).to_string();
    check(
        &site,
        &post("/orders", "application/json", &own).text(&padded).field("content-length", "70000"),
        403,
        "operation_not_allowed",
    );
    assert_eq!(site.shared.upstream_calls.borrow().len(), calls);
    assert_eq!(site.call(1, &post("/search", form, &own).text("a=1")).status, 200);
    assert_eq!(sent(&site), format!("/search?cpf={OWN}"));
    assert_eq!(site.call(1, &large("text/plain", &own)).status, 200);
    // A rule that does not look at bodies lets a large one pass, if it was not read meanwhile.
    let admin = json!({ "cpf": OWN, "role": "admin" });
    assert_eq!(site.call(1, &large(form, &admin).field("content-length", "65537")).status, 200);
    assert_eq!(sent(&site), "/search");
    check(&site, &large(form, &admin), 413, "body_too_large");
}

#[test]
fn binds_a_session_that_has_no_claims_to_the_connection() {
    let mut variables = Site::variables_for_people();
    let bound = json!({ "query": { "by": "web" } });
    let rules = json!([rule(&["session"], &["GET"], &["/things/of/{connection}"], &bound)]);
    variables["CONNECTIONS"]["acme"]["rules"] = rules;
    let site = Site::with_variables(1, GRANTS, &variables);
    site.shared.provider.enrol("ana@example.com", "pass");
    let signed_in = site.call(1, &Call::sign_in("acme", "ana@example.com", "pass"));
    let cookie = signed_in.cookie();
    let call = |target: &str| Call::from_page("GET", &format!("/api/acme/things/{target}")).cookie(cookie);
    assert_eq!(site.call(1, &call("of/acme")).status, 200);
    assert_eq!(sent(&site), "/things/of/acme?by=web");
    for target in ["ana", "null", "of/bolt"] {
        check(&site, &call(target), 403, "operation_not_allowed");
    }
}

#[test]
fn binds_a_registered_connection_to_its_own_tenant() {
    let site = site(&json!([rule(&["backend"], &["GET"], &["/things"], &json!({}))]));
    let operator = |id: &str, registration: &Value| {
        Call::get(&format!("/admin/connections/{id}"))
            .method("PUT")
            .field("authorization", &format!("Bearer {}", Site::OPERATOR_KEY))
            .text(&registration.to_string())
    };
    let registration = |label: &str| {
        let mut registration = Site::variables()["CONNECTIONS"]["acme"].clone();
        registration["labels"] = json!({ "shop": label });
        registration["rules"] = json!([rule(
            &["subscriber"],
            &["GET"],
            &["/things/{labels.shop}", "/things"],
            &json!({ "claims": { "tenant": "{connection}" }, "query": { "shop": "{labels.shop}" } }),
        )]);
        registration["secrets"] = json!({ "username": "ana@example.com", "password": "pass word" });
        registration
    };
    for (id, label) in [("c-1", "one"), ("c-2", "two")] {
        assert_eq!(site.call(1, &operator(id, &registration(label))).status, 201);
    }
    let call = |tenant: &str, target: &str| {
        let token = token(&site, HOME, &json!({ "tenant": tenant }));
        Call::get(&format!("/api/{target}")).field("authorization", &format!("Bearer {token}"))
    };
    for (tenant, target, upstream) in
        [("c-1", "c-1/things", "/things?shop=one"), ("c-2", "c-2/things/two", "/things/two?shop=two")]
    {
        assert_eq!(site.call(1, &call(tenant, target)).status, 200);
        assert_eq!(sent(&site), upstream);
    }
    for (tenant, target) in [
        ("c-1", "c-2/things"),
        ("c-2", "c-1/things"),
        ("c-1", "c-1/things/two"),
        ("C-1", "c-1/things"),
        ("", "c-1/things"),
        ("c-1", "c-1/things?shop=two"),
    ] {
        check(&site, &call(tenant, target), 403, "operation_not_allowed");
    }
    let mut wrong = registration("one");
    wrong["rules"][0]["query"] = json!({ "shop": "{labels.other}" });
    wrong["rules"][0]["claims"] = json!({ "tenant": "{tenant}" });
    let refused = site.call(1, &operator("c-3", &wrong));
    assert_eq!(refused.status, 400);
    let fields: Vec<&str> = refused.json()["problems"]
        .as_array()
        .unwrap()
        .iter()
        .map(|problem| problem["field"].as_str().unwrap().to_owned().leak() as &str)
        .collect();
    assert_eq!(fields, ["rules[0].claims.tenant", "rules[0].query.shop"]);
}

#[test]
fn reads_the_claims_of_the_token_that_came_and_of_no_other() {
    let site = site(&json!([rule(&["subscriber"], &["GET"], &["/things/{claims.sub}"], &json!({}))]));
    for number in 0..20 {
        let (own, other) = (format!("s-{number}"), format!("s-{}", number + 1));
        let token = subscriber(&site, &json!({ "sub": own }), "");
        for _ in 0..2 {
            let call = |sub: &str| Call { target: format!("/api/acme/things/{sub}"), ..token.clone() };
            assert_eq!(site.call(1, &call(&own)).status, 200);
            check(&site, &call(&other), 403, "operation_not_allowed");
        }
    }
    assert_eq!(site.shared.issuers.verified.get(), 20, "each token is verified once");
}
