//! Connections registered at run time.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::{GRANTS, check};
use porteiro::http::Headers;
use porteiro::protocol::{Envelope, OperatorAsk, OperatorReply};
use porteiro_simulation::{Call, Manner, Mishap, Objects, PROVIDER, Receiver, Site, keeper};

const SECRET: &str = "pass word";

fn site() -> Site {
    let mut variables = Site::variables();
    variables["ADMIN_KEY"] = Site::OPERATOR_KEY.into();
    Site::with_variables(1, GRANTS, &variables)
}

fn operator(method: &'static str, id: &str) -> Call {
    let key = format!("Bearer {}", Site::OPERATOR_KEY);
    Call::get(&format!("/admin/connections/{id}")).method(method).field("authorization", &key)
}

/// A registration: the connection of the configuration, with its secrets.
fn registration() -> Value {
    let mut registration = Site::variables()["CONNECTIONS"]["acme"].clone();
    registration["secrets"] = json!({ "username": "ana@example.com", "password": SECRET });
    registration
}

fn put(id: &str, registration: &Value) -> Call {
    operator("PUT", id).text(&registration.to_string())
}

fn things(id: &str) -> Call {
    Call::get(&format!("/api/{id}/things"))
}

fn registered(site: &Site, id: &str) {
    let answered = site.call(1, &put(id, &registration()));
    assert_eq!(answered.status, 201, "{}", answered.body);
}

/// Fails where the secret is anywhere but under a seal.
fn check_secret(site: &Site) {
    let shared = &site.shared;
    let kept =
        shared.objects.names("").into_iter().flat_map(|name| shared.objects.texts(&name).into_values());
    let cached = shared.cache.dump().into_iter().flat_map(|(name, text)| [name, text]);
    let written = shared.objects.written.borrow().clone();
    let logs = shared.logs.borrow().clone();
    for text in kept.chain(cached).chain(written).chain(logs) {
        assert!(!text.contains(SECRET) && !text.contains("ana@example.com"), "{text}");
    }
}

#[test]
fn serves_a_connection_from_when_it_is_registered() {
    let site = site();
    check(&site, &things("shop"), 404, "unknown_connection");
    let answered = site.call(1, &put("shop", &registration()));
    assert_eq!(answered.status, 201, "{}", answered.body);
    let entry = answered.json();
    let told = ["id", "source", "state", "provider", "grant"].map(|name| entry[name].as_str().unwrap());
    assert_eq!(told, ["shop", "registry", "cold", "custom", "password"]);
    // Also where nobody was asked before, and where it was not there just now.
    assert_eq!(site.call(2, &things("shop")).token_source(), "grant");
    assert_eq!(site.call(1, &things("shop")).status, 200);
    assert_eq!(site.call(2, &things("shop")).token_source(), "memory");
    let listed = site
        .call(3, &Call::get("/admin/connections").field("authorization", &operator("GET", "").fields[0].1));
    let ids: Vec<Value> =
        listed.json()["connections"].as_array().unwrap().iter().map(|entry| entry["id"].clone()).collect();
    assert_eq!(ids, ["acme", "shop"]);
    check_secret(&site);
}

#[test]
fn shows_what_was_registered_without_its_secrets() {
    let site = site();
    registered(&site, "shop");
    let shown = site.call(2, &operator("GET", "shop"));
    let mut fields = registration();
    fields.as_object_mut().unwrap().remove("secrets");
    assert_eq!(shown.json()["connection"], fields);
    assert_eq!(shown.json()["secrets"], json!(["password", "username"]));
    assert!(!shown.body.contains(SECRET) && !shown.body.contains("ana@"));
}

#[test]
fn tells_every_problem_at_once_and_never_a_value() {
    let site = site();
    let wrong = json!({
        "provider": "custom", "base_url": "http://canary.example", "grant": "password", "subject": "user",
        "client_auth": "none", "colour": "canary",
        "rules": [{ "callers": ["nobody", "session"], "methods": ["GET"], "paths": ["canary"] }],
        "secrets": { "password": 7, "pin": "canary" },
    });
    let refused = site.call(1, &put("shop", &wrong));
    assert_eq!((refused.status, refused.code().as_str()), (400, "bad_request"));
    assert_eq!(refused.field("content-type"), Some("application/problem+json"));
    let problems = refused.json()["problems"].clone();
    let fields: Vec<&str> =
        problems.as_array().unwrap().iter().map(|problem| problem["field"].as_str().unwrap()).collect();
    for field in [
        "secrets.pin",
        "subject",
        "base_url",
        "token_url",
        "rules[0].callers[0]",
        "rules[0].paths[0]",
        "colour",
    ] {
        assert!(fields.contains(&field), "{field} is not among {fields:?}");
    }
    assert!(!refused.body.contains("canary"), "{}", refused.body);
    assert!(site.shared.objects.ids().is_empty() && site.shared.objects.texts(&keeper("shop")).is_empty());
    check(&site, &things("shop"), 404, "unknown_connection");
    for text in ["", "[]", "{", r#"{"provider":"v8","provider":"v8"}"#, r#"{"secrets":[]}"#] {
        check(&site, &operator("PUT", "shop").text(text), 400, "bad_request");
    }
    for id in ["-a", "a.b", "%61", &"x".repeat(65)] {
        let refused = site.call(1, &put(id, &registration()));
        assert_eq!(
            (refused.status, refused.json()["problems"][0]["field"].as_str()),
            (400, Some("id")),
            "{id}"
        );
    }
    check(&site, &operator("PUT", "shop").text(&"x".repeat(65_537)), 413, "body_too_large");
}

#[test]
fn leaves_configured_connections_alone() {
    let site = site();
    check(&site, &put("acme", &registration()), 409, "connection_configured");
    check(&site, &operator("DELETE", "acme"), 409, "connection_configured");
    assert!(site.shared.objects.ids().is_empty());
}

#[test]
fn replaces_a_registration_and_keeps_the_secrets_that_are_not_named() {
    let site = site();
    registered(&site, "shop");
    assert_eq!(site.call(2, &things("shop")).status, 200);
    let mut next = registration();
    next["rules"][0]["paths"] = json!(["/other"]);
    next.as_object_mut().unwrap().remove("secrets");
    assert_eq!(site.call(1, &put("shop", &next)).status, 200);
    check(&site, &things("shop"), 403, "operation_not_allowed");
    assert_eq!(site.call(1, &Call::get("/api/shop/other")).status, 200);
    // Elsewhere within two minutes.
    assert_eq!(site.call(2, &things("shop")).status, 200);
    site.shared.world.run_for(Duration::from_mins(2));
    check_isolate(&site, 2, &things("shop"), 403);
    assert_eq!(site.shared.provider.requests.borrow().len(), 1, "it is the same account");
}

#[track_caller]
fn check_isolate(site: &Site, isolate: u32, call: &Call, status: u16) {
    let answered = site.call(isolate, call);
    assert_eq!(answered.status, status, "{}", answered.body);
}

#[test]
fn sends_no_secret_to_another_address_that_was_given_for_one() {
    let site = site();
    registered(&site, "shop");
    let mut next = registration();
    next.as_object_mut().unwrap().remove("secrets");
    for field in ["base_url", "token_url"] {
        let mut next = next.clone();
        next[field] = "https://evil.example/token".into();
        let refused = site.call(1, &put("shop", &next));
        assert_eq!(refused.status, 400, "{field}");
        let problems = refused.json()["problems"].to_string();
        assert!(problems.contains("secrets.username") && problems.contains("secrets.password"), "{problems}");
    }
    assert_eq!(site.call(1, &things("shop")).status, 200, "what was registered is served still");
}

#[test]
fn takes_another_account_at_once() {
    let site = site();
    registered(&site, "shop");
    assert_eq!(site.call(2, &things("shop")).status, 200);
    let mut next = registration();
    next["secrets"] = json!({ "username": "bia@example.com", "password": SECRET });
    assert_eq!(site.call(1, &put("shop", &next)).status, 200);
    assert_eq!(site.call(1, &things("shop")).token_source(), "grant");
    assert_eq!(site.call(1, &things("shop")).status, 200);
}

#[test]
fn sends_a_token_to_no_other_address_than_it_was_obtained_for() {
    for username in ["bia@example.com", "ana@example.com"] {
        let site = site();
        registered(&site, "shop");
        check_isolate(&site, 2, &things("shop"), 200);
        let last = || {
            let (address, fields) = site.shared.upstream_calls.borrow().last().cloned().unwrap();
            (address, Headers::new(&fields).value("authorization").unwrap().to_owned())
        };
        let (address, before) = last();
        assert!(address.starts_with("https://api.acme.example/"), "{address}");
        let mut next = registration();
        next["base_url"] = "https://api.other.example".into();
        next["secrets"] = json!({ "username": username, "password": SECRET });
        assert_eq!(site.call(1, &put("shop", &next)).status, 200);
        site.shared.world.run_for(Duration::from_mins(2));
        // It holds a token still that is good for long, and so does the cache.
        for isolate in [2, 3] {
            check_isolate(&site, isolate, &things("shop"), 200);
            let (address, after) = last();
            assert!(address.starts_with("https://api.other.example/"), "{address}");
            assert_ne!(after, before, "{username} in isolate {isolate}");
        }
    }
}

#[test]
fn gives_way_to_a_connection_that_is_configured_later() {
    let site = site();
    registered(&site, "shop");
    check_isolate(&site, 1, &things("shop"), 200);
    let mut variables = Site::variables();
    variables["ADMIN_KEY"] = Site::OPERATOR_KEY.into();
    variables["CONNECTIONS"]["shop"] = variables["CONNECTIONS"]["acme"].clone();
    variables["SHOP_USERNAME"] = "carla@example.com".into();
    variables["SHOP_PASSWORD"] = SECRET.into();
    site.redeploy(&variables);
    // An isolate of the version before asks for the registration still, and would remove it.
    for ask in [OperatorAsk::Registration, OperatorAsk::Remove, OperatorAsk::Tell] {
        let envelope = Envelope::Operator { connection: "shop".to_owned(), ask: ask.clone() };
        let reply: OperatorReply = site.exchange(&keeper("shop"), &envelope).unwrap();
        assert_eq!(reply == OperatorReply::NothingToDo, ask == OperatorAsk::Remove, "{ask:?}");
    }
    assert_eq!(site.call(1, &things("shop")).token_source(), "grant");
    assert_eq!(site.call(1, &operator("GET", "shop")).json()["source"], "configuration");
    let mut variables = Site::variables();
    variables["ADMIN_KEY"] = Site::OPERATOR_KEY.into();
    site.redeploy(&variables);
    check_isolate(&site, 1, &things("shop"), 200);
    assert_eq!(site.call(1, &operator("GET", "shop")).json()["source"], "registry");
}

#[test]
fn asks_the_keeper_where_what_an_isolate_knows_is_old() {
    let site = site();
    registered(&site, "shop");
    // It knows the connection, and has no token.
    check_isolate(&site, 2, &Call::get("/api/shop/none"), 403);
    let mut next = registration();
    next["secrets"] = json!({ "username": "bia@example.com" });
    assert_eq!(site.call(1, &put("shop", &next)).status, 200);
    assert_eq!(site.call(2, &things("shop")).status, 200);
    let requests = site.shared.provider.requests.borrow();
    assert!(requests.len() == 1 && requests[0].contains("bia%40example.com"), "{}", requests.len());
}

#[test]
fn removes_a_connection_with_all_that_belongs_to_it() {
    let site = site();
    registered(&site, "shop");
    assert_eq!(site.call(1, &things("shop")).status, 200);
    site.shared.world.run_for(Duration::from_secs(1));
    assert_eq!(site.shared.cache.dump().len(), 2);
    assert_eq!(site.call(1, &operator("DELETE", "shop")).status, 204);
    check(&site, &things("shop"), 404, "unknown_connection");
    check(&site, &operator("DELETE", "shop"), 404, "unknown_connection");
    check(&site, &operator("GET", "shop"), 404, "unknown_connection");
    assert!(site.shared.objects.texts(&keeper("shop")).is_empty() && site.shared.objects.ids().is_empty());
    assert_eq!(site.shared.cache.dump(), []);
    // Another one of the name is another one.
    registered(&site, "shop");
    assert_eq!(site.call(1, &things("shop")).token_source(), "grant");
}

#[test]
fn forgets_a_removed_connection_elsewhere_within_two_minutes() {
    let site = site();
    registered(&site, "shop");
    check_isolate(&site, 2, &things("shop"), 200);
    assert_eq!(site.call(1, &operator("DELETE", "shop")).status, 204);
    site.shared.world.run_for(Duration::from_mins(2));
    check_isolate(&site, 2, &things("shop"), 404);
}

/// Makes a call until it is answered otherwise than that it cannot be now.
fn insist(site: &Site, isolate: u32, call: &Call) -> u16 {
    let mut tries = (0..4).map(|_| {
        site.shared.world.run_for(Duration::from_secs(2));
        site.call(isolate, call).status
    });
    tries.find(|status| *status < 500).expect("it can be at last")
}

/// Fails where a connection is registered and not listed, or listed and not
/// registered, as what is durable has it; whether it is both.
#[track_caller]
fn is_there(site: &Site, id: &str) -> bool {
    Objects::kill_all(&site.shared, "");
    let is_registered = site.shared.objects.text(&keeper(id), "connection").is_some();
    assert_eq!(site.shared.objects.ids().iter().any(|listed| listed == id), is_registered, "{id}");
    is_registered
}

/// Registers and removes a connection while something befalls one operation of
/// an object. Whether there was such an operation.
fn survives(operation: u64, mishap: Mishap) -> bool {
    let site = site();
    site.shared.objects.mishap.set(Some((operation, mishap)));
    let status = insist(&site, 1, &put("shop", &registration()));
    assert!([200, 201].contains(&status), "{mishap:?} at {operation}: {status}");
    assert!(is_there(&site, "shop"), "{mishap:?} at {operation}");
    assert_eq!(insist(&site, 2, &things("shop")), 200, "{mishap:?} at {operation}");
    let status = insist(&site, 1, &operator("DELETE", "shop"));
    assert!([204, 404].contains(&status), "{mishap:?} at {operation}: {status}");
    assert!(!is_there(&site, "shop"), "{mishap:?} at {operation}");
    assert_eq!(insist(&site, 3, &things("shop")), 404, "{mishap:?} at {operation}");
    operation < site.shared.objects.operations.get()
}

#[test]
fn registers_and_removes_wherever_an_object_ends_or_its_storage_fails() {
    for mishap in [Mishap::EndsBefore, Mishap::EndsAfter, Mishap::FailsBefore, Mishap::FailsAfter] {
        let count = (0..10_000).take_while(|operation| survives(*operation, mishap)).count();
        assert!(count > 10, "there were {count} operations");
    }
}

#[test]
fn lists_what_is_registered_and_nothing_else_whenever_who_registers_and_who_removes_ends() {
    for first in [true, false] {
        for steps in 0..150 {
            let site = site();
            if !first {
                registered(&site, "shop");
            }
            let calls = [(1, put("shop", &registration())), (2, operator("DELETE", "shop"))];
            for (isolate, call) in calls {
                let calling = site.calling(isolate, &call);
                site.shared.world.spawn(isolate, async move { drop(calling.await) });
            }
            let patience = site.shared.world.now() + Duration::from_secs(5);
            for _ in 0..steps {
                site.shared.world.step(patience);
            }
            site.kill_isolate(1);
            site.kill_isolate(2);
            site.shared.world.run_for(Duration::from_secs(5));
            is_there(&site, "shop");
        }
    }
}

#[test]
fn answers_a_registration_that_is_removed_meanwhile_as_documented() {
    for seed in 0..100 {
        let mut variables = Site::variables();
        variables["ADMIN_KEY"] = Site::OPERATOR_KEY.into();
        let site = Site::with_variables(seed, GRANTS, &variables);
        let calls = [put("shop", &registration()), operator("DELETE", "shop"), operator("DELETE", "shop")];
        let calling = [1, 2, 3].into_iter().zip(&calls).map(|(isolate, call)| site.calling(isolate, call));
        let answers = site.shared.world.block_on(0, futures_util::future::join_all(calling));
        let status = answers[0].status;
        assert!([200, 201, 503].contains(&status), "seed {seed}: {}", answers[0].body);
    }
}

#[test]
fn costs_a_warm_call_nothing() {
    let site = site();
    registered(&site, "shop");
    check_isolate(&site, 2, &things("shop"), 200);
    let (reads, exchanges) = (site.shared.cache.reads.get(), site.shared.objects.exchanges.get());
    for _ in 0..100 {
        assert_eq!(site.call(2, &things("shop")).token_source(), "memory");
    }
    assert_eq!((site.shared.cache.reads.get(), site.shared.objects.exchanges.get()), (reads, exchanges));
    // Later it is read again, while nobody waits.
    site.shared.world.run_for(Duration::from_secs(40));
    assert_eq!(site.call(2, &things("shop")).token_source(), "memory");
    site.shared.world.run_for(Duration::from_secs(1));
    assert_eq!(site.shared.cache.reads.get(), reads + 1);
}

#[test]
fn serves_without_the_cache() {
    let site = site();
    registered(&site, "shop");
    site.shared.cache.failures.set(1000);
    check_isolate(&site, 2, &things("shop"), 200);
    // A registration that others could not see is none.
    check(&site, &put("other", &registration()), 503, "connection_unavailable");
    site.shared.cache.failures.set(0);
    assert_eq!(site.call(1, &put("other", &registration())).status, 200);
}

#[test]
fn lets_no_stranger_make_it_ask_without_end() {
    let site = site();
    let before = site.shared.objects.exchanges.get();
    let answers = site.storm(1, 1_000, &things("guess"));
    let unknown = answers.iter().filter(|answer| answer.code() == "unknown_connection").count();
    let rest = answers.iter().filter(|answer| answer.code() == "connection_unavailable").count();
    assert!((1..=400).contains(&unknown) && unknown + rest == 1_000, "{unknown} and {rest}");
    let asks = site.shared.objects.exchanges.get() - before;
    assert!((1..=400).contains(&asks), "{asks}");
    for id in ["a.b", &"x".repeat(65), "%00"] {
        let reads = site.shared.cache.reads.get();
        check(&site, &things(id), 404, "unknown_connection");
        assert_eq!(site.shared.cache.reads.get(), reads, "{id}");
    }
}

#[test]
fn registers_nothing_without_an_operator() {
    let site = Site::new(1, GRANTS);
    check(&site, &things("shop"), 404, "unknown_connection");
    assert_eq!((site.shared.cache.reads.get(), site.shared.objects.exchanges.get()), (0, 0));
}

#[test]
fn goes_on_after_a_change_of_sealing_keys_and_of_callers() {
    let site = site();
    registered(&site, "shop");
    let mut variables = Site::variables();
    variables["ADMIN_KEY"] = Site::OPERATOR_KEY.into();
    let new = "k2:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";
    variables["SEALING_KEYS"] = format!("{new},{}", variables["SEALING_KEYS"].as_str().unwrap()).into();
    site.redeploy(&variables);
    assert_eq!(site.call(1, &operator("GET", "shop")).json()["state"], "cold");
    variables["SEALING_KEYS"] = new.into();
    site.redeploy(&variables);
    site.shared.cache.failures.set(1000);
    assert_eq!(site.call(1, &things("shop")).status, 200);
    site.shared.cache.failures.set(0);
    // Its rules name a caller that is no more.
    variables["CALLERS"].as_object_mut().unwrap().remove("page");
    variables["CONNECTIONS"]["acme"]["rules"][0]["callers"] = json!(["backend"]);
    site.redeploy(&variables);
    check(&site, &things("shop"), 503, "misconfigured");
    assert_eq!(site.call(1, &operator("GET", "shop")).json()["state"], "misconfigured");
    assert_eq!(site.call(1, &operator("DELETE", "shop")).status, 204);
}

/// A registration whose sender of webhooks proves itself by `token`.
fn with_webhook(token: &str) -> Value {
    let mut registration = registration();
    registration["webhook"] =
        json!({ "forward_to": Receiver::ADDRESS, "token_field": "api_token", "id_field": "id" });
    registration["secrets"]["account_token"] = token.into();
    registration["secrets"]["webhook_secret"] = Receiver::SECRET.into();
    registration
}

fn event(token: &str, number: u64) -> Call {
    Call::event("shop", &json!({ "api_token": token, "id": number, "of": token.len() }).to_string())
}

/// What came in at the receiver.
fn arrived(site: &Site) -> Vec<String> {
    site.shared.world.run_for(Duration::from_secs(4));
    site.shared.receiver.arrivals.borrow().iter().map(|arrival| arrival.body.clone()).collect()
}

const FIRST: &str = "the-first-ones-token";
const NEXT: &str = "the-token-of-the-next-one";

#[test]
fn delivers_no_event_of_one_to_the_next_of_its_name() {
    for removes in [true, false] {
        let site = site();
        assert_eq!(site.call(1, &put("shop", &with_webhook(FIRST))).status, 201);
        assert_eq!(site.call(2, &event(FIRST, 1)).status, 202);
        assert_eq!(arrived(&site).len(), 1);
        if removes {
            assert_eq!(site.call(1, &operator("DELETE", "shop")).status, 204);
        }
        assert!(site.call(1, &put("shop", &with_webhook(NEXT))).status < 300);
        // These know the first one still, by which the event is proven.
        check_isolate(&site, 2, &event(FIRST, 2), 401);
        check_isolate(&site, 2, &event(FIRST, 3), 401);
        assert_eq!(arrived(&site).len(), 1, "removed: {removes}");
        assert_eq!(site.call(2, &event(NEXT, 4)).status, 202);
        assert_eq!(arrived(&site).len(), 2);
    }
}

#[test]
fn takes_an_event_of_the_next_one_where_an_isolate_holds_the_first() {
    for replaced in [with_webhook(FIRST), registration()] {
        let site = site();
        assert_eq!(site.call(1, &put("shop", &replaced)).status, 201);
        check_isolate(&site, 2, &things("shop"), 200);
        site.shared.world.run_for(Duration::from_secs(2));
        assert_eq!(site.call(1, &put("shop", &with_webhook(NEXT))).status, 200);
        assert_eq!(site.call(2, &event(NEXT, 1)).status, 202);
        assert_eq!(arrived(&site).len(), 1);
    }
}

#[test]
fn refuses_an_event_after_a_removal_wherever_it_comes_in() {
    let site = site();
    assert_eq!(site.call(1, &put("shop", &with_webhook(FIRST))).status, 201);
    assert_eq!(site.call(2, &event(FIRST, 1)).status, 202);
    site.shared.world.run_for(Duration::from_secs(2));
    assert_eq!(site.call(1, &operator("DELETE", "shop")).status, 204);
    check_isolate(&site, 2, &event(FIRST, 2), 404);
    assert_eq!(arrived(&site).len(), 1);
    assert_eq!(site.call(1, &put("shop", &with_webhook(FIRST))).status, 201);
    assert_eq!(arrived(&site).len(), 1, "nothing was kept for the next one");
}

#[test]
fn lets_no_stranger_have_a_registration_read_with_every_event() {
    let site = site();
    assert_eq!(site.call(1, &put("shop", &with_webhook(FIRST))).status, 201);
    site.shared.world.run_for(Duration::from_secs(2));
    let before = site.shared.objects.exchanges.get();
    for number in 0..50 {
        check_isolate(&site, 2, &event("of no one at all", number), 401);
    }
    let asks = site.shared.objects.exchanges.get() - before;
    assert!(asks <= 6, "{asks}");
}

#[test]
fn keeps_an_event_whose_id_one_of_the_connection_before_had() {
    let site = site();
    let manners = [Manner::Slow(Duration::from_secs(10)), Manner::Answers(500), Manner::Answers(500)];
    site.shared.receiver.script.borrow_mut().extend(manners);
    assert_eq!(site.call(1, &put("shop", &with_webhook(FIRST))).status, 201);
    assert_eq!(site.call(1, &event(FIRST, 1)).status, 202);
    site.shared.world.run_for(Duration::from_millis(500));
    assert_eq!(site.call(1, &operator("DELETE", "shop")).status, 204);
    assert_eq!(site.call(1, &put("shop", &with_webhook(NEXT))).status, 201);
    assert_eq!(site.call(1, &event(NEXT, 1)).status, 202);
    // While it waits for its third attempt the first one's is answered: taken.
    site.shared.world.run_for(Duration::from_mins(2));
    let last = site.shared.receiver.arrivals.borrow().last().cloned().unwrap();
    assert_eq!(last.manner, Manner::Answers(204));
    assert!(last.body.contains(&NEXT.len().to_string()), "{}", last.body);
    assert_eq!(arrived(&site).len(), 4);
}

#[test]
fn sends_no_token_to_another_address_than_it_was_obtained_for_while_a_connection_moves() {
    let moved = |host: &str| {
        let mut registration = registration();
        registration["base_url"] = format!("https://{host}/v2").into();
        registration
    };
    let mut count = 0;
    for seed in 0..60 {
        let mut variables = Site::variables();
        variables["ADMIN_KEY"] = Site::OPERATOR_KEY.into();
        let site = Site::with_variables(seed, GRANTS, &variables);
        registered(&site, "shop");
        for round in 0..6 {
            // Each call meets a refusal, and waits for a renewal beside the move.
            site.shared.provider.revoke_access_tokens();
            let host = if round % 2 == 0 { "api.other.example" } else { "api.acme.example" };
            let calls = (0..9).map(|number| match number {
                4 => site.calling(1, &put("shop", &moved(host))),
                number => site.calling(2 + number % 3, &things("shop")),
            });
            let answers = site.shared.world.block_on(PROVIDER, join_all(calls.collect::<Vec<_>>()));
            count += u32::from(answers[4].status == 200);
        }
        let mut hosts: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (url, fields) in site.shared.upstream_calls.borrow().iter() {
            let token = Headers::new(fields).value("authorization").expect("a token").to_owned();
            hosts.entry(token).or_default().insert(url.split('/').nth(2).expect("a host").to_owned());
        }
        for (token, hosts) in hosts {
            assert_eq!(hosts.len(), 1, "{token} went to {hosts:?} in the schedule {seed}");
        }
    }
    assert!(count > 300, "{count} moves");
}
