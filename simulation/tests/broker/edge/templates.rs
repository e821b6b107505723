//! Connections registered from a template, and changes to a part of one.

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::{GRANTS, check, last_upstream_call};
use porteiro::protocol::{Envelope, IndexAsk, IndexReply};
use porteiro_simulation::{Call, Key, Site, keeper};

const HOME: &str = "https://home.example";
const PATCH: &str = "application/merge-patch+json";

/// The variables of a site with one template, for one issuer's tokens.
fn variables() -> Value {
    let mut variables = Site::variables();
    variables["ADMIN_KEY"] = Site::OPERATOR_KEY.into();
    variables["CALLERS"]["tenants"] = json!({ "kind": "jwt", "issuer": HOME, "audience": "porteiro" });
    let mut fields = variables["CONNECTIONS"]["acme"].clone();
    fields["rules"] = json!([{
        "callers": ["tenants"], "methods": ["GET"], "paths": ["/things", "/of/{labels.place}"],
        "claims": { "tenant": "{connection}" },
    }]);
    variables["TEMPLATES"] = json!({ "isp": fields });
    variables
}

fn site_of(variables: &Value) -> Site {
    let site = Site::with_variables(1, GRANTS, variables);
    site.shared.issuers.publish(HOME, &[Key("home")]);
    site
}

fn site() -> Site {
    site_of(&variables())
}

fn operator(method: &'static str, path: &str) -> Call {
    let key = format!("Bearer {}", Site::OPERATOR_KEY);
    Call::get(&format!("/admin/connections{path}")).method(method).field("authorization", &key)
}

fn registration(id: &str) -> Value {
    json!({
        "template": "isp",
        "labels": { "place": id.rsplit('-').next().unwrap(), "plan": "basic" },
        "secrets": { "username": format!("{id}@example.com"), "password": "pass word" },
    })
}

fn put(id: &str, registration: &Value) -> Call {
    operator("PUT", &format!("/{id}")).text(&registration.to_string())
}

fn patch(id: &str, patch: &Value) -> Call {
    operator("PATCH", &format!("/{id}")).field("content-type", PATCH).text(&patch.to_string())
}

fn shown(site: &Site, id: &str) -> Value {
    let shown = site.call(3, &operator("GET", &format!("/{id}")));
    assert_eq!(shown.status, 200, "{}", shown.body);
    shown.json()
}

#[track_caller]
fn registered(site: &Site, id: &str) {
    let answered = site.call(1, &put(id, &registration(id)));
    assert_eq!(answered.status, 201, "{}", answered.body);
}

/// A call by the token of `tenant` for the connection called `id`.
fn call(site: &Site, tenant: &str, id: &str, path: &str) -> Call {
    let expires_at = site.shared.world.now().as_millis() / 1000 + 3600;
    let claims =
        json!({ "iss": HOME, "aud": "porteiro", "sub": "somebody", "exp": expires_at, "tenant": tenant });
    let token = format!("Bearer {}", Key("home").sign(&claims));
    Call::get(&format!("/api/{id}{path}")).field("authorization", &token)
}

#[track_caller]
fn check_fields(site: &Site, call: &Call, fields: &[&str]) {
    let refused = check(site, call, 400, "bad_request");
    let problems = refused.json()["problems"].clone();
    let mut found: Vec<&str> =
        problems.as_array().unwrap().iter().map(|problem| problem["field"].as_str().unwrap()).collect();
    found.sort_unstable();
    assert_eq!(found, fields, "{problems}");
    assert!(!refused.body.contains("canary"), "{}", refused.body);
}

#[test]
fn lets_each_of_a_thousand_tenants_open_its_own_connection_and_no_other() {
    const TENANTS: usize = 1_000;
    let site = site();
    let ids: Vec<String> = (0..TENANTS).map(|number| format!("tenant-{number:04}")).collect();
    for id in &ids {
        registered(&site, id);
    }
    for (number, id) in ids.iter().enumerate() {
        let isolate = u32::try_from(number % 3).unwrap() + 1;
        let opened = site.call(isolate, &call(&site, id, id, "/things"));
        assert_eq!(opened.status, 200, "{id}: {}", opened.body);
        let calls = site.shared.upstream_calls.borrow().len();
        let others = [number + 1, number + 10, number + 500].map(|other| &ids[other % TENANTS]);
        for other in others.into_iter().map(String::as_str).chain(["acme"]) {
            let refused = site.call(isolate, &call(&site, id, other, "/things"));
            assert_eq!((refused.status, refused.code().as_str()), (403, "operation_not_allowed"), "{other}");
        }
        for wrong in ["", "tenant", "TENANT-0001", "tenant-0001 "] {
            let refused = site.call(isolate, &call(&site, wrong, id, "/things"));
            assert_eq!(refused.code(), "operation_not_allowed", "{wrong:?} for {id}");
        }
        assert_eq!(site.shared.upstream_calls.borrow().len(), calls, "{id}");
    }
    // Each grant was made with the credentials of its own tenant.
    let requests = site.shared.provider.requests.borrow();
    assert_eq!(requests.len(), TENANTS);
    assert!(ids.iter().all(|id| requests.iter().any(|request| request.contains(&format!("{id}%40")))));
}

#[test]
fn gives_what_a_connection_lacks_by_its_template_which_is_read_anew_with_each_deployment() {
    let site = site();
    registered(&site, "shop");
    let entry = shown(&site, "shop");
    assert_eq!((&entry["template"], &entry["labels"]["place"]), (&json!("isp"), &json!("shop")));
    assert_eq!(entry["connection"], json!({ "template": "isp", "labels": registration("shop")["labels"] }));
    assert_eq!(entry["secrets"], json!(["password", "username"]));
    assert_eq!(site.call(1, &call(&site, "shop", "shop", "/of/shop")).status, 200);
    check(&site, &call(&site, "shop", "shop", "/of/others"), 403, "operation_not_allowed");
    let mut variables = variables();
    variables["TEMPLATES"]["isp"]["rules"][0]["paths"] = json!(["/new"]);
    variables["TEMPLATES"]["isp"]["base_url"] = "https://other.example/v3".into();
    site.redeploy(&variables);
    assert_eq!(site.call(1, &call(&site, "shop", "shop", "/new")).token_source(), "grant");
    assert_eq!(last_upstream_call(&site).0, "https://other.example/v3/new");
    check(&site, &call(&site, "shop", "shop", "/things"), 403, "operation_not_allowed");
    // Its own fields win, and its rules are not mixed with the template's.
    let rules = json!([{ "callers": ["tenants"], "methods": ["GET"], "paths": ["/own"] }]);
    assert_eq!(site.call(1, &patch("shop", &json!({ "rules": rules }))).status, 200);
    assert_eq!(site.call(1, &call(&site, "x", "shop", "/own")).status, 200);
    check(&site, &call(&site, "shop", "shop", "/new"), 403, "operation_not_allowed");
    assert_eq!(site.call(1, &patch("shop", &json!({ "rules": null }))).status, 200);
    assert_eq!(site.call(1, &call(&site, "shop", "shop", "/new")).status, 200);
    // Without its template it is misconfigured, and says so.
    variables["TEMPLATES"] = json!({});
    site.redeploy(&variables);
    check(&site, &call(&site, "shop", "shop", "/new"), 503, "misconfigured");
    assert_eq!(shown(&site, "shop")["state"], "misconfigured");
    assert_eq!(shown(&site, "shop")["template"], "isp");
    assert_eq!(shown(&site, "shop")["labels"], registration("shop")["labels"]);
    let is_told = |line: &String| {
        [r#""connection":"shop""#, r#""field":"template""#].iter().all(|part| line.contains(part))
    };
    assert!(site.shared.logs.borrow().iter().any(is_told));
}

#[test]
fn refuses_what_is_wrong_with_a_template_and_a_registration_by_field() {
    let mut wrong = variables();
    wrong["TEMPLATES"]["broken"] = json!({ "provider": "custom", "colour": "red" });
    let site = site_of(&wrong);
    for template in [json!("none"), json!("broken"), json!(7), json!(null), json!("acme"), json!({})] {
        let mut unknown = registration("shop");
        unknown["template"] = template.clone();
        check_fields(&site, &put("shop", &unknown), &["template"]);
        unknown["base_url"] = "canary".into();
        unknown["colour.of.it"] = "canary".into();
        unknown["secrets"]["pin"] = "canary".into();
        check_fields(&site, &put("shop", &unknown), &["base_url", "colour.of.it", "secrets.pin", "template"]);
    }
    let mut lacking = registration("shop");
    lacking["labels"] = json!({});
    lacking["secrets"] = json!({ "username": "a" });
    check_fields(&site, &put("shop", &lacking), &["rules[0].paths[1]", "secrets.password"]);
    assert!(site.shared.objects.ids().is_empty());
    check(&site, &call(&site, "shop", "shop", "/things"), 404, "unknown_connection");
}

#[test]
fn changes_what_a_patch_names_and_nothing_else() {
    let site = site();
    registered(&site, "shop");
    assert_eq!(site.call(1, &call(&site, "shop", "shop", "/things")).status, 200);
    let changed =
        json!({ "labels": { "plan": null, "place": "north" }, "timeout_ms": 5000, "params": { "a": "b" } });
    let answered = site.call(2, &patch("shop", &changed));
    assert_eq!((answered.status, &answered.json()["labels"]), (200, &json!({ "place": "north" })));
    let connection = json!({
        "template": "isp", "labels": { "place": "north" }, "timeout_ms": 5000, "params": { "a": "b" },
    });
    assert_eq!(shown(&site, "shop")["connection"], connection);
    assert_eq!(site.call(2, &call(&site, "shop", "shop", "/of/north")).status, 200);
    // A password alone: the token set stays.
    let grants = site.shared.provider.requests.borrow().len();
    assert_eq!(site.call(1, &patch("shop", &json!({ "secrets": { "password": "new pass" } }))).status, 200);
    assert_eq!(shown(&site, "shop")["connection"], connection);
    assert_eq!(site.call(1, &call(&site, "shop", "shop", "/of/north")).status, 200);
    assert_eq!(site.shared.provider.requests.borrow().len(), grants);
    assert_eq!(site.call(1, &operator("POST", "/shop/refresh")).status, 200);
    // Wrong ones change nothing.
    for (wrong, fields) in [
        (
            json!({ "timeout_ms": "canary", "labels": { "x": 7 }, "colour": 1 }),
            &["colour", "labels.x", "timeout_ms"][..],
        ),
        (json!({ "template": null }), &["base_url", "client_auth", "grant", "provider", "rules"][..]),
        (json!({ "template": "none", "labels": { "place": "south" } }), &["template"]),
        (json!({ "secrets": { "password": null } }), &["secrets.password"]),
        (json!({ "secrets": 7, "timeout_ms": "canary" }), &["secrets"]),
        (json!({ "secrets": null }), &["secrets.password", "secrets.username"]),
        (
            json!({ "secrets": { "pin": "canary", "username": ["canary"] } }),
            &["secrets.pin", "secrets.username"],
        ),
        (
            json!({ "webhook": { "max_bytes": 5 } }),
            &["secrets.account_token", "secrets.webhook_secret", "webhook.forward_to", "webhook.token_field"],
        ),
    ] {
        if wrong["template"].is_null() && wrong.get("template").is_some() {
            let refused = check(&site, &patch("shop", &wrong), 400, "bad_request");
            assert!(refused.json()["problems"].to_string().contains("provider"), "{}", refused.body);
        } else {
            check_fields(&site, &patch("shop", &wrong), fields);
        }
    }
    for text in ["", "[]", "7", "null", "{", r#"{"a":1,"a":2}"#, r#"{"secrets":7}"#] {
        let call = operator("PATCH", "/shop").field("content-type", PATCH).text(text);
        let field = if text.contains("secrets") { "secrets" } else { "body" };
        check_fields(&site, &call, &[field]);
    }
    for media_type in ["application/json", "", "application/json-patch+json", "text/merge-patch+json"] {
        let call = operator("PATCH", "/shop").field("content-type", media_type).text(r#"{"timeout_ms":1}"#);
        check_fields(&site, &call, &["content-type"]);
    }
    check(&site, &patch("shop", &json!({ "x": "y".repeat(65_536) })), 413, "body_too_large");
    assert_eq!(shown(&site, "shop")["connection"], connection);
    assert_eq!(shown(&site, "shop")["secrets"], json!(["password", "username"]));
    let spelled =
        operator("PATCH", "/shop").field("content-type", "Application/Merge-Patch+JSON; charset=utf-8");
    assert_eq!(site.call(1, &spelled.text("{}")).status, 200);
    check(&site, &patch("acme", &json!({ "timeout_ms": 1 })), 409, "connection_configured");
    check(&site, &patch("nobody", &json!({ "timeout_ms": 1 })), 404, "unknown_connection");
    check(&site, &patch("a.b", &json!({ "timeout_ms": 1 })), 404, "unknown_connection");
    assert_eq!(site.shared.objects.texts(&keeper("nobody")).len(), 0);
    for line in site.shared.logs.borrow().iter() {
        assert!(!line.contains("new pass") && !line.contains("canary"), "{line}");
    }
    let done = |line: &&String| line.contains("patch_connection") && line.contains("\"done\"");
    assert_eq!(site.shared.logs.borrow().iter().filter(done).count(), 3);
}

#[test]
fn loses_none_of_two_patches_at_once() {
    for seed in 0..40 {
        let site = Site::with_variables(seed, GRANTS, &variables());
        registered(&site, "shop");
        let patches: Vec<Call> =
            (0..6).map(|number| patch("shop", &json!({ "labels": { format!("l{number}"): "x" } }))).collect();
        let calling = (1..).zip(&patches).map(|(isolate, call)| site.calling(isolate, call));
        let answers = site.shared.world.block_on(0, join_all(calling.collect::<Vec<_>>()));
        assert!(answers.iter().all(|answered| answered.status == 200), "{answers:?}");
        assert_eq!(shown(&site, "shop")["labels"].as_object().unwrap().len(), 8, "seed {seed}");
    }
}

#[test]
fn makes_of_small_patches_no_large_registration() {
    let site = site();
    registered(&site, "shop");
    let large = |name: &str| json!({ "params": { name: "x".repeat(40_000) } });
    assert_eq!(site.call(1, &patch("shop", &large("a"))).status, 200);
    check_fields(&site, &patch("shop", &large("b")), &["connection"]);
    assert_eq!(site.call(1, &patch("shop", &json!({ "params": null }))).status, 200);
    assert_eq!(site.call(1, &patch("shop", &large("b"))).status, 200);
}

#[test]
fn sends_no_secret_elsewhere_by_a_patch_or_another_template() {
    let mut variables = variables();
    for (name, field) in [("moved", "base_url"), ("lured", "token_url")] {
        variables["TEMPLATES"][name] = variables["TEMPLATES"]["isp"].clone();
        variables["TEMPLATES"][name][field] = "https://evil.example/token".into();
    }
    variables["TEMPLATES"]["same"] = variables["TEMPLATES"]["isp"].clone();
    let site = site_of(&variables);
    registered(&site, "shop");
    let evil = "https://evil.example/token";
    for wrong in [
        json!({ "template": "moved" }),
        json!({ "template": "lured" }),
        json!({ "base_url": evil }),
        json!({ "token_url": evil, "template": "same" }),
    ] {
        check_fields(&site, &patch("shop", &wrong), &["secrets.password", "secrets.username"]);
        let mut partly = wrong.clone();
        partly["secrets"] = json!({ "username": "a" });
        check_fields(&site, &patch("shop", &partly), &["secrets.password"]);
        let mut replaced = registration("shop");
        replaced.as_object_mut().unwrap().remove("secrets");
        for (name, value) in wrong.as_object().unwrap() {
            replaced[name] = value.clone();
        }
        check_fields(&site, &put("shop", &replaced), &["secrets.password", "secrets.username"]);
    }
    assert_eq!(site.call(1, &patch("shop", &json!({ "template": "same" }))).status, 200);
    // What the template that is gone said is not known.
    variables["TEMPLATES"].as_object_mut().unwrap().remove("same");
    site.redeploy(&variables);
    check_fields(
        &site,
        &patch("shop", &json!({ "template": "isp" })),
        &["secrets.password", "secrets.username"],
    );
}

fn listed(site: &Site, query: &str) -> (Vec<String>, Value) {
    let page = site.call(2, &operator("GET", query));
    assert_eq!(page.status, 200, "{}", page.body);
    let page = page.json();
    let ids =
        page["connections"].as_array().unwrap().iter().map(|entry| entry["id"].as_str().unwrap().to_owned());
    (ids.collect(), page["next"].clone())
}

#[test]
fn lists_by_label_what_has_it_now() {
    let mut variables = variables();
    variables["CONNECTIONS"]["acme"]["labels"] = json!({ "plan": "basic" });
    let site = site_of(&variables);
    for id in ["a-1", "a-2", "b-1", "z-1"] {
        registered(&site, id);
    }
    let exchanges = site.shared.objects.exchanges.get();
    assert_eq!(listed(&site, "?label=place:1").0, ["a-1", "b-1", "z-1"]);
    // The index and each of the three are asked.
    assert_eq!(site.shared.objects.exchanges.get(), exchanges + 4);
    assert_eq!(listed(&site, "?label=plan:basic").0, ["a-1", "a-2", "acme", "b-1", "z-1"]);
    assert_eq!(listed(&site, "?label=plan:basic&limit=2"), (vec!["a-1".into(), "a-2".into()], json!("a-2")));
    assert_eq!(
        listed(&site, "?label=plan:basic&limit=2&after=a-2"),
        (vec!["acme".into(), "b-1".into()], json!("b-1"))
    );
    assert_eq!(listed(&site, "?label=plan:basic&after=b-1").0, ["z-1"]);
    assert_eq!(listed(&site, "?label=place:1&q=b").0, ["b-1"]);
    assert!(
        ["?label=place:3", "?label=place:", "?label=pla:1", "?label=plan:basi"].iter().all(|query| listed(
            &site, query
        )
        .0
        .is_empty())
    );
    assert_eq!(listed(&site, "").0, ["a-1", "a-2", "acme", "b-1", "z-1"], "labels are no ids");
    assert_eq!(listed(&site, "?limit=5").1, Value::Null);
    // A row that outlived its label, and one that outlived its connection.
    for row in ["~place:1\na-2", "~place:1\nc-1"] {
        let add = Envelope::Index { ask: IndexAsk::Add(row.to_owned()) };
        let changed: Option<IndexReply> = site.exchange("index", &add);
        assert_eq!(changed, Some(IndexReply::Changed(true)));
    }
    check(&site, &operator("GET", "?label=place"), 400, "bad_request");
    check(&site, &operator("GET", "?label=place:a&label=place:b"), 400, "bad_request");
    assert_eq!(site.call(1, &patch("a-1", &json!({ "labels": { "place": "1:x y" } }))).status, 200);
    assert_eq!(listed(&site, "?label=place:1").0, ["b-1", "z-1"]);
    assert_eq!(listed(&site, "?label=place:1%3Ax+y").0, ["a-1"]);
    assert_eq!(site.call(1, &operator("DELETE", "/b-1")).status, 204);
    assert_eq!(listed(&site, "?label=place:1").0, ["z-1"]);
    for id in ["a-1", "a-2", "z-1"] {
        assert_eq!(site.call(1, &operator("DELETE", &format!("/{id}"))).status, 204);
    }
    assert_eq!(site.shared.objects.ids(), ["~place:1\na-2", "~place:1\nc-1"]);
}
