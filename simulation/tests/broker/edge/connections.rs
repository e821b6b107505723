//! What operators are told of connections, and can do about them.

use std::time::Duration;

use serde_json::{Value, json};

use super::{GRANTS, check, things};
use porteiro_simulation::{Call, Fault, Site};

/// A site with an operator.
fn site() -> Site {
    Site::with_variables(1, GRANTS, &variables())
}

fn variables() -> Value {
    let mut variables = Site::variables();
    variables["ADMIN_KEY"] = Site::OPERATOR_KEY.into();
    variables
}

fn operator(method: &'static str, below: &str) -> Call {
    let key = format!("Bearer {}", Site::OPERATOR_KEY);
    Call::get(&format!("/admin/connections{below}")).method(method).field("authorization", &key)
}

/// The entry of `acme` in the list.
fn entry(site: &Site) -> Value {
    let listed = site.call(2, &operator("GET", ""));
    assert_eq!(listed.status, 200, "{}", listed.body);
    let list = listed.json();
    assert_eq!((list["connections"].as_array().unwrap().len(), &list["next"]), (1, &Value::Null));
    let shown = site.call(2, &operator("GET", "/acme"));
    assert_eq!(shown.json(), list["connections"][0]);
    shown.json()
}

#[track_caller]
fn state(site: &Site, state: &str, error: Option<&str>) -> Value {
    let entry = entry(site);
    assert_eq!(
        (entry["state"].as_str(), entry["last_error"]["code"].as_str()),
        (Some(state), error),
        "{entry}"
    );
    assert_eq!(entry["last_error"]["at"].is_string(), error.is_some());
    entry
}

fn after(site: &Site, seconds: u64) -> String {
    (site.shared.world.now() + Duration::from_secs(seconds)).to_rfc3339()
}

fn requests(site: &Site) -> usize {
    site.shared.provider.requests.borrow().len()
}

#[test]
fn tells_how_a_connection_is_from_cold_to_ready() {
    let site = site();
    assert_eq!(
        state(&site, "cold", None),
        json!({
            "id": "acme", "labels": {}, "provider": "custom", "grant": "password", "subject": "service",
            "source": "configuration", "state": "cold", "obtained_at": null, "expires_at": null,
            "grants": 0, "last_error": null, "retry_at": null, "sealing_key": null, "webhooks": null,
        })
    );
    assert_eq!(site.call(1, &things()).status, 200);
    let entry = state(&site, "ready", None);
    assert_eq!((&entry["grants"], &entry["sealing_key"]), (&json!(1), &json!("k1")));
    let obtained_at = humantime::parse_rfc3339(entry["obtained_at"].as_str().unwrap()).unwrap();
    let expires_at = humantime::parse_rfc3339(entry["expires_at"].as_str().unwrap()).unwrap();
    assert_eq!(expires_at.duration_since(obtained_at).unwrap(), Duration::from_hours(1));
    site.shared.kill_keeper();
    assert_eq!(self::entry(&site), entry, "it is stored");
    assert_eq!(requests(&site), 1);
}

#[test]
fn tells_a_refusal_of_credentials_until_they_are_taken() {
    let site = site();
    site.shared.provider.knows_credentials.set(false);
    check(&site, &things(), 502, "credentials_rejected");
    let entry = state(&site, "rejected", Some("credentials_rejected"));
    assert!(entry["retry_at"].as_str().unwrap() > after(&site, 50).as_str());
    site.shared.world.run_for(Duration::from_mins(2));
    let entry = state(&site, "rejected", Some("credentials_rejected"));
    assert_eq!(entry["retry_at"], Value::Null, "nothing is waited for any more");
    let refused = check(&site, &operator("POST", "/acme/refresh"), 502, "credentials_rejected");
    assert!(refused.field("retry-after").is_some());
    assert_eq!(requests(&site), 2);
    site.shared.provider.knows_credentials.set(true);
    let refreshed = site.call(2, &operator("POST", "/acme/refresh"));
    assert_eq!((refreshed.status, refreshed.json()["state"].as_str()), (200, Some("ready")));
    // What went wrong is told still, with its time.
    let entry = state(&site, "ready", Some("credentials_rejected"));
    assert_eq!((&entry["grants"], &entry["retry_at"]), (&json!(1), &Value::Null));
    assert_eq!(site.call(1, &things()).token_source(), "kv");
}

#[test]
fn tells_an_outage_and_when_it_is_tried_again() {
    let site = site();
    let outage = Fault::Answer { status: 500, body: "", retry_after: None };
    site.shared.provider.faults.borrow_mut().push_back(outage);
    check(&site, &things(), 502, "token_endpoint_unreachable");
    let entry = state(&site, "waiting", Some("token_endpoint_unreachable"));
    assert!(entry["retry_at"].as_str().unwrap() <= after(&site, 2).as_str());
    // An operator need not wait.
    assert_eq!(site.call(2, &operator("POST", "/acme/refresh")).status, 200);
    state(&site, "ready", Some("token_endpoint_unreachable"));
}

#[test]
fn begins_anew_with_the_first_wait_where_an_operator_asks_in_vain() {
    let site = site();
    site.shared.provider.knows_credentials.set(false);
    for _ in 0..4 {
        let refused = check(&site, &operator("POST", "/acme/refresh"), 502, "credentials_rejected");
        let seconds: u64 = refused.field("retry-after").unwrap().parse().unwrap();
        assert!((60..=75).contains(&seconds), "{seconds}");
    }
}

#[test]
fn drops_a_token_set_everywhere_that_can_be_reached() {
    let site = site();
    assert_eq!(site.call(2, &things()).token_source(), "grant");
    site.shared.world.run_for(Duration::from_secs(1));
    assert_eq!(site.shared.cache.dump().len(), 1);
    let dropped = site.call(2, &operator("DELETE", "/acme/token"));
    assert_eq!((dropped.status, dropped.body.as_str()), (204, ""));
    assert_eq!(site.shared.cache.dump(), []);
    let entry = state(&site, "cold", None);
    assert_eq!((&entry["obtained_at"], &entry["grants"]), (&Value::Null, &json!(1)));
    assert_eq!(site.call(2, &things()).token_source(), "grant");
    let requests = site.shared.provider.requests.borrow();
    assert!(requests[1].starts_with("grant_type=password"), "the refresh token is gone, too");
}

#[test]
fn says_so_where_a_token_set_could_not_be_dropped() {
    let site = site();
    assert_eq!(site.call(2, &things()).status, 200);
    site.shared.cache.failures.set(1000);
    check(&site, &operator("DELETE", "/acme/token"), 503, "connection_unavailable");
    site.shared.cache.failures.set(0);
    assert_eq!(site.call(2, &operator("DELETE", "/acme/token")).status, 204);
}

#[test]
fn obtains_another_token_though_one_is_valid() {
    let site = site();
    let first = site.call(2, &things());
    assert_eq!(first.token_source(), "grant");
    assert_eq!(site.call(2, &operator("POST", "/acme/refresh")).status, 200);
    assert_eq!(requests(&site), 2);
    let sent = |site: &Site| site.shared.upstream_calls.borrow().last().unwrap().1.clone();
    let before = sent(&site);
    assert_eq!(site.call(2, &things()).status, 200);
    assert_ne!(sent(&site), before, "the isolate that was asked uses the new one");
    assert_eq!(state(&site, "ready", None)["grants"], 2);
}

#[test]
fn makes_one_grant_for_many_who_refresh_at_once() {
    let site = site();
    let answers = site.storm(5, 50, &operator("POST", "/acme/refresh"));
    assert!(answers.iter().all(|answer| answer.status == 200));
    assert_eq!((site.shared.most_in_flight.get(), requests(&site)), (1, 1));
}

#[test]
fn tells_of_connections_that_have_no_token_set_of_their_own() {
    let mut variables = Site::variables_for_people();
    variables["ADMIN_KEY"] = Site::OPERATOR_KEY.into();
    variables["CONNECTIONS"]["bolt"]["scope"] = json!(7);
    let site = Site::with_variables(1, GRANTS, &variables);
    let list = site.call(1, &operator("GET", "")).json();
    let told = |at: usize| {
        let entry = &list["connections"][at];
        ["id", "state", "subject", "provider"].map(|name| entry[name].as_str())
    };
    assert_eq!(told(0), [Some("acme"), Some("ready"), Some("user"), Some("custom")]);
    assert_eq!(told(1), [Some("bolt"), Some("misconfigured"), None, None]);
    check(&site, &operator("POST", "/acme/refresh"), 400, "bad_request");
    check(&site, &operator("DELETE", "/acme/token"), 400, "bad_request");
    check(&site, &operator("POST", "/bolt/refresh"), 503, "misconfigured");
    check(&site, &operator("DELETE", "/bolt/token"), 503, "misconfigured");
}

#[test]
fn tells_of_a_static_token_that_is_refused() {
    let mut variables = variables();
    variables["CONNECTIONS"]["acme"] = json!({
        "provider": "custom", "base_url": "https://api.acme.example/v2", "grant": "static",
        "rules": [{ "callers": ["backend"], "methods": ["GET"], "paths": ["/things"] }],
    });
    variables["ACME_TOKEN"] = "static-token".into();
    let site = Site::with_variables(1, GRANTS, &variables);
    state(&site, "ready", None);
    check(&site, &things(), 502, "upstream_unauthorized");
    site.shared.world.run_for(Duration::from_secs(1));
    state(&site, "rejected", Some("upstream_unauthorized"));
    assert_eq!(site.call(1, &operator("POST", "/acme/refresh")).status, 200);
    state(&site, "ready", Some("upstream_unauthorized"));
    // It is noted again where it is refused still.
    check(&site, &things(), 502, "upstream_unauthorized");
    site.shared.world.run_for(Duration::from_secs(1));
    state(&site, "rejected", Some("upstream_unauthorized"));
}

#[test]
fn tells_that_the_upstream_refuses_even_new_tokens() {
    let site = site();
    site.shared.upstream_script.replace(Some((401, String::new())));
    check(&site, &things(), 502, "upstream_unauthorized");
    site.shared.world.run_for(Duration::from_secs(1));
    let entry = state(&site, "rejected", Some("upstream_unauthorized"));
    assert!(entry["retry_at"].is_string());
}

#[test]
fn lists_in_pages_and_finds_by_a_part_of_the_name() {
    let mut variables = variables();
    for number in 0..7 {
        variables["CONNECTIONS"][format!("c-{number}")] = json!({ "provider": "wrong" });
    }
    let site = Site::with_variables(1, GRANTS, &variables);
    let ids = |query: &str| -> (Vec<String>, Value) {
        let page = site.call(1, &operator("GET", query)).json();
        let entries = page["connections"].as_array().unwrap().clone();
        (entries.iter().map(|entry| entry["id"].as_str().unwrap().to_owned()).collect(), page["next"].clone())
    };
    assert_eq!(ids("?limit=3"), (["acme", "c-0", "c-1"].map(str::to_owned).to_vec(), json!("c-1")));
    assert_eq!(ids("?limit=3&after=c-1"), (["c-2", "c-3", "c-4"].map(str::to_owned).to_vec(), json!("c-4")));
    assert_eq!(ids("?after=c-4&limit=3"), (["c-5", "c-6"].map(str::to_owned).to_vec(), Value::Null));
    assert_eq!(ids("?q=-6"), (vec!["c-6".to_owned()], Value::Null));
    assert_eq!(ids("?q=none"), (vec![], Value::Null));
    for wrong in ["?limit=0", "?limit=101", "?limit=x", "?limit="] {
        check(&site, &operator("GET", wrong), 400, "bad_request");
    }
}

#[test]
fn knows_what_is_not_there_and_what_cannot_be_done() {
    let site = site();
    for (method, below) in [("GET", "/other"), ("POST", "/other/refresh"), ("DELETE", "/other/token")] {
        check(&site, &operator(method, below), 404, "unknown_connection");
    }
    for (method, below, allow) in [
        ("POST", "", "GET, HEAD"),
        ("POST", "/acme", "GET, HEAD, PUT, PATCH, DELETE"),
        ("GET", "/acme/refresh", "POST"),
        ("GET", "/acme/token", "DELETE"),
        ("POST", "/other", "GET, HEAD, PUT, PATCH, DELETE"),
    ] {
        let refused = check(&site, &operator(method, below), 405, "method_not_allowed");
        assert_eq!(refused.field("allow"), Some(allow), "{method} {below}");
    }
    for below in ["/acme/", "/acme/other", "/acme/token/x"] {
        assert_eq!(site.call(1, &operator("GET", below)).status, 404, "{below}");
    }
}

#[test]
fn asks_a_browser_for_the_key() {
    let site = site();
    let asked = check(&site, &operator("GET", "").field("authorization", ""), 401, "caller_unauthenticated");
    let challenges = asked.field("www-authenticate").unwrap();
    assert_eq!(challenges, r#"Basic realm="porteiro", charset="UTF-8", Bearer realm="porteiro""#);
}

#[test]
fn writes_a_line_for_each_thing_that_is_done() {
    let site = site();
    site.call(1, &operator("POST", "/acme/refresh"));
    site.call(1, &operator("DELETE", "/acme/token"));
    site.call(1, &operator("POST", "/other/refresh"));
    let lines: Vec<Value> =
        site.shared.logs.borrow().iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let done: Vec<_> = lines
        .iter()
        .filter(|line| line["event"] == "admin")
        .map(|line| {
            [&line["action"], &line["connection"], &line["outcome"], &line["audit"]].map(Value::to_string)
        })
        .collect();
    let line = |action: &str, connection: &str, outcome: &str| {
        [action, connection, outcome].map(|text| json!(text).to_string())
    };
    let expected = [
        line("refresh", "acme", "done"),
        line("drop_token", "acme", "done"),
        line("refresh", "other", "unknown_connection"),
    ];
    assert_eq!(done.len(), expected.len());
    for (found, expected) in done.iter().zip(expected) {
        assert_eq!((&found[..3], found[3].as_str()), (&expected[..], "true"));
    }
}

#[test]
fn seals_anew_with_the_key_that_comes_first_when_it_is_asked() {
    let site = site();
    assert_eq!(site.call(1, &things()).status, 200);
    let mut variables = variables();
    let old = variables["SEALING_KEYS"].as_str().unwrap().to_owned();
    let new = "k2:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";
    variables["SEALING_KEYS"] = format!("{new},{old}").into();
    site.redeploy(&variables);
    assert_eq!(state(&site, "ready", None)["sealing_key"], "k2");
    let rotated = |line: &&String| line.contains(r#""event":"rotation""#) && line.contains("sealing_key");
    assert_eq!(site.shared.logs.borrow().iter().filter(rotated).count(), 1);
    // The old one can go, and nothing is lost with it.
    variables["SEALING_KEYS"] = new.into();
    site.redeploy(&variables);
    assert_eq!(state(&site, "ready", None)["grants"], 1);
    site.shared.cache.failures.set(1000);
    assert_eq!(site.call(1, &things()).token_source(), "keeper");
    assert_eq!(requests(&site), 1);
}

#[test]
fn notes_that_credentials_were_replaced() {
    let site = site();
    assert_eq!(site.call(1, &things()).status, 200);
    let mut variables = variables();
    variables["ACME_PASSWORD"] = "new".into();
    site.redeploy(&variables);
    assert_eq!(site.call(1, &operator("POST", "/acme/refresh")).status, 200);
    let rotated = |line: &&String| line.contains(r#""event":"rotation""#) && line.contains("credentials");
    assert_eq!(site.shared.logs.borrow().iter().filter(rotated).count(), 1);
}
