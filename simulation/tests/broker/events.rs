//! What the operator is told, in cases by name.

use std::time::Duration;

use porteiro_simulation::{Answered, Call, Grants, Objects, Site, deliveries, keeper};
use serde_json::{Value, json};

use super::consents::{WHO, connect_service};

const MINUTE: Duration = Duration::from_mins(1);

fn grants(expires_in: u64) -> Grants {
    Grants { expires_in, refresh_tokens: false, rotation: false, reuse_detection: false }
}

/// A site whose operator is told, with these variables.
fn site(expires_in: u64, variables: &Value) -> Site {
    let site = Site::with_variables(1, grants(expires_in), variables);
    site.shared.events.status.set(204);
    site
}

fn call(site: &Site) -> Answered {
    site.call(1, &Call::get("/api/acme/things"))
}

/// Fails unless these are the events about `connection`, in this order.
#[track_caller]
fn check_told(site: &Site, connection: &str, expected: &[&str]) {
    site.shared.world.run_for(MINUTE);
    let types = site.shared.events.types(connection);
    let types: Vec<&str> = types.iter().filter_map(|kind| kind.strip_prefix("connection.")).collect();
    assert_eq!(types, expected);
    assert_eq!(site.shared.events.broken(), None);
}

#[test]
fn sets_no_alarm_for_a_queue_that_is_empty() {
    let site = site(3_600, &Site::variables_for_events());
    let operator =
        Call::get("/admin/events").field("authorization", &format!("Bearer {}", Site::OPERATOR_KEY));
    assert_eq!(site.call(1, &operator).status, 200);
    assert_eq!(site.shared.objects.alarm(&deliveries("(events)")), None);
}

/// A site whose webhook alone is wrong: its keeper looks again for ever.
fn looking_again(expires_in: u64) -> Site {
    let mut variables = Site::variables_for_events();
    variables["ACME_WEBHOOK_SECRET"] = "".into();
    let site = site(expires_in, &variables);
    assert_eq!(call(&site).status, 200);
    check_told(&site, "acme", &["misconfigured"]);
    site
}

#[test]
fn renews_a_token_that_ends_before_the_next_look() {
    let site = looking_again(300);
    assert_eq!(site.shared.provider.granted.get(), 1);
    site.shared.world.run_for(Duration::from_secs(215));
    assert_eq!(site.shared.provider.granted.get(), 2);
    site.kill_isolate(1);
    assert_eq!(call(&site).token_source(), "kv");
}

#[test]
fn renews_no_token_for_a_look_that_nobody_asked_for() {
    for is_evicted in [false, true] {
        let site = looking_again(3_600);
        for _ in 0..20 * 60 {
            if is_evicted {
                Objects::kill(&site.shared, &keeper("acme"));
            }
            site.shared.world.run_for(MINUTE);
        }
        // The token that a call asked for is renewed once.
        assert_eq!(site.shared.provider.granted.get(), 2);
        assert_eq!(call(&site).token_source(), "grant");
    }
}

/// A site whose connection has a static token, which the API takes.
fn with_static_token() -> Site {
    let mut variables = Site::variables_for_events();
    variables["CONNECTIONS"]["acme"] = json!({
        "provider": "custom", "base_url": "https://api.acme.example/v2", "grant": "static",
        "rules": [{ "callers": ["backend"], "methods": ["GET"], "paths": ["/**"] }],
    });
    variables["ACME_TOKEN"] = "static-1".into();
    let site = site(3_600, &variables);
    site.shared.provider.knows("static-1", Duration::from_hours(1_000));
    site
}

/// The state of the connection.
fn state(site: &Site) -> String {
    site.shared.world.run_for(Duration::from_secs(1));
    let operator = format!("Bearer {}", Site::OPERATOR_KEY);
    let call = Call::get("/admin/connections/acme").field("authorization", &operator);
    site.call(9, &call).json()["state"].as_str().expect("a state").to_owned()
}

#[test]
fn takes_no_static_token_for_dead_that_works_for_other_calls() {
    let site = with_static_token();
    let forbidden = Call::get("/api/acme/forbidden");
    assert_eq!(site.call(1, &forbidden).status, 502);
    assert_eq!(state(&site), "rejected");
    assert_eq!(call(&site).status, 200);
    assert_eq!(state(&site), "ready");
    for _ in 0..60 {
        assert_eq!((site.call(1, &forbidden).status, call(&site).status), (502, 200));
        site.shared.world.run_for(Duration::from_secs(20));
    }
    assert_eq!(state(&site), "ready");
    // One is followed by nothing.
    assert_eq!(site.call(1, &forbidden).status, 502);
    site.shared.world.run_for(Duration::from_hours(1));
    check_told(&site, "acme", &[]);
}

#[test]
fn tells_of_a_static_token_that_is_dead_and_that_it_works_again() {
    for again in [1, 2] {
        let site = with_static_token();
        let things = Call::get("/api/acme/things");
        site.shared.provider.refuses_all.set(true);
        assert_eq!(site.call(1, &things).status, 502);
        check_told(&site, "acme", &[]);
        // The keeper knows since when, also where nobody calls for hours and it is evicted.
        site.shared.world.run_for(Duration::from_hours(1));
        Objects::kill(&site.shared, &keeper("acme"));
        for _ in 0..3 {
            assert_eq!(site.call(1, &things).status, 502);
            check_told(&site, "acme", &["rejected"]);
        }
        Objects::kill(&site.shared, &keeper("acme"));
        site.shared.world.run_for(Duration::from_hours(1));
        check_told(&site, "acme", &["rejected"]);
        site.shared.provider.refuses_all.set(false);
        site.kill_isolate(again % 2 + 1);
        assert_eq!(site.call(again, &things).status, 200);
        check_told(&site, "acme", &["rejected", "recovered"]);
        assert_eq!(state(&site), "ready");
        let asks = site.shared.asks.get();
        assert_eq!(site.call(again, &things).status, 200);
        site.shared.world.run_for(MINUTE);
        assert_eq!(site.shared.asks.get(), asks, "a success is told once");
    }
}

fn variables_for_consents() -> Value {
    let (mut variables, events) = (Site::variables_for_consents(), Site::variables_for_events());
    for name in ["EVENTS", "EVENTS_SECRET"] {
        variables[name] = events[name].clone();
    }
    variables
}

/// A site whose service `depot` is connected.
fn connected() -> Site {
    let grants = Grants { expires_in: 3_600, refresh_tokens: true, rotation: true, reuse_detection: true };
    let site = Site::with_variables(1, grants, &variables_for_consents());
    site.shared.consents.is_on.set(true);
    site.shared.events.status.set(204);
    let missing = site.call(1, &Call::get("/api/depot/things"));
    assert_eq!((missing.status, missing.code().as_str()), (503, "connection_unavailable"));
    connect_service(&site);
    // Nobody is told that nobody had connected yet.
    check_told(&site, "depot", &[]);
    site
}

/// Fails unless the service has to be connected again, and the operator is told of that.
#[track_caller]
fn check_disconnected(site: &Site) {
    for _ in 0..3 {
        assert_eq!(site.call(1, &Call::get("/api/depot/things")).status, 503);
    }
    check_told(site, "depot", &["disconnected"]);
    let told = site.shared.events.told.borrow().last().cloned().expect("an event");
    assert_eq!(told.1["data"]["code"], "not_connected");
}

/// The same, and of the consent that follows.
#[track_caller]
fn check_connected_again(site: &Site) {
    check_disconnected(site);
    connect_service(site);
    assert_eq!(site.call(1, &Call::get("/api/depot/things")).status, 200);
    check_told(site, "depot", &["disconnected", "recovered"]);
}

#[test]
fn tells_that_the_provider_ended_a_consent() {
    let site = connected();
    site.shared.provider.withdraw(WHO.subject, "depot");
    site.shared.world.run_for(Duration::from_hours(2));
    check_connected_again(&site);
}

#[test]
fn tells_that_another_client_has_to_be_connected_again() {
    let site = connected();
    let mut variables = variables_for_consents();
    variables["CONNECTIONS"]["depot"]["client_id"] = "another".into();
    site.redeploy(&variables);
    check_disconnected(&site);
}

#[test]
fn tells_that_a_state_was_lost_with_its_sealing_key() {
    let site = connected();
    let mut variables = variables_for_consents();
    variables["SEALING_KEYS"] = format!("k2:{}A=", "B".repeat(42)).into();
    site.redeploy(&variables);
    check_connected_again(&site);
}
