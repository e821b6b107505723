//! What one filter of the log finds: refusals, sign-ins, grants, rotations and
//! what the operator does.

use serde_json::{Value, json};

use super::{GRANTS, from_page, lines, site, things};
use porteiro_simulation::{Call, Grants, Site};

/// The lines with `audit`, without what differs from run to run.
fn audit(site: &Site) -> Vec<Value> {
    let logs = site.shared.logs.borrow();
    let lines = logs.iter().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter(|line| line.get("audit").is_some_and(|audit| *audit == json!(true))).collect()
}

/// The members called so of each line of the audit.
fn told<const N: usize>(site: &Site, members: [&str; N]) -> Vec<[String; N]> {
    let text = |line: &Value, name: &str| line[name].as_str().unwrap_or_default().to_owned();
    audit(site).iter().map(|line| members.map(|name| text(line, name))).collect()
}

#[test]
fn has_each_refusal_in_the_calls_own_line() {
    let site = site();
    for (call, code) in [
        (things().field("authorization", ""), "caller_unauthenticated"),
        (things().field("authorization", "Bearer wrong"), "caller_unauthenticated"),
        (things().method("DELETE"), "operation_not_allowed"),
        (things().field("origin", "https://evil.example"), "origin_not_allowed"),
        (Call::get("/admin/connections/acme/webhooks"), "caller_unauthenticated"),
    ] {
        let count = site.shared.logs.borrow().len();
        let answered = site.call(1, &call);
        let logs = site.shared.logs.borrow();
        assert_eq!(logs.len(), count + 1, "{call:?}");
        let line: Value = serde_json::from_str(&logs[count]).unwrap();
        assert_eq!(
            (&line["event"], &line["audit"], &line["code"]),
            (&"call".into(), &true.into(), &code.into())
        );
        assert_eq!(line["request_id"].as_str(), answered.field("x-request-id"));
    }
}

#[test]
fn has_no_other_call() {
    let site = site();
    for status in [200, 401, 403, 429, 500] {
        // Whatever the API refuses, the broker did not.
        *site.shared.upstream_script.borrow_mut() = Some((status, String::new()));
        site.call(1, &things());
    }
    site.call(1, &Call::get("/api/acme/a%2fb"));
    site.call(1, &Call::get("/api/other/things"));
    site.call(1, &Call::get("/nowhere"));
    let calls = lines(&site, "call");
    assert_eq!(calls.len(), 8);
    assert!(calls.iter().all(|line| line.get("audit").is_none()), "{calls:?}");
}

#[test]
fn has_rate_limits_and_events_that_prove_nobody() {
    let mut variables = Site::variables();
    variables["CONNECTIONS"]["acme"]["rules"][0]["rate_limit"] = json!({ "requests": 1, "seconds": 60 });
    let limited = Site::with_variables(1, GRANTS, &variables);
    assert_eq!(limited.call(1, &from_page("/api/acme/things")).status, 200);
    assert_eq!(limited.call(1, &from_page("/api/acme/things")).status, 429);
    assert_eq!(told(&limited, ["event", "code"])[1..], [["call", "rate_limited"]]);

    let site = Site::for_webhooks(1);
    site.call(1, &Call::event("acme", "{}"));
    assert_eq!(told(&site, ["event", "code"]), [["call", "webhook_rejected"]]);
}

#[test]
fn has_sign_ins_sign_outs_and_grants_without_saying_whose() {
    let site = Site::for_people(1, GRANTS);
    site.call(1, &Call::sign_in("acme", "ana@example.com", "wrong"));
    let answered = site.call(1, &Call::sign_in("acme", "ana@example.com", "ana's password"));
    let cookie = answered.cookie().unwrap();
    site.call(1, &Call::from_page("POST", "/auth/logout").cookie(Some(cookie)));
    assert_eq!(
        told(&site, ["event", "outcome", "code"]),
        [
            ["grant", "login_rejected", ""],
            ["sign_in", "login_rejected", ""],
            ["call", "", "login_rejected"],
            ["grant", "granted", ""],
            ["sign_in", "granted", ""],
            ["sign_out", "ended", ""],
        ]
    );
    let text = site.shared.logs.borrow().join("\n");
    assert!(!text.contains("ana") && !text.contains(&cookie[..21]), "{text}");
}

#[test]
fn has_refresh_tokens_that_come_in_the_place_of_others() {
    for (rotation, rotations) in [(true, 1), (false, 0)] {
        let site = Site::new(1, Grants { rotation, ..GRANTS });
        site.call(1, &things());
        assert!(lines(&site, "rotation").is_empty(), "the first replaces none");
        site.shared.provider.revoke_access_tokens();
        assert_eq!(site.call(1, &things()).sent, 2);
        let expected =
            json!({ "event": "rotation", "audit": true, "connection": "acme", "what": "refresh_token" });
        let found = lines(&site, "rotation");
        assert_eq!((found.len(), found.iter().all(|line| *line == expected)), (rotations, true), "{found:?}");
    }
}

#[test]
fn has_what_the_operator_does() {
    let site = Site::for_webhooks(1);
    let act = |method, below: &str| site.call(1, &Call::operator(method, below)).status;
    assert_eq!((act("GET", ""), act("POST", "/send"), act("POST", "/msg_0/send")), (200, 202, 404));
    // These change nothing.
    assert_eq!((act("GET", "/send"), act("GET", "/msg_0")), (405, 404));
    assert_eq!(
        told(&site, ["event", "action", "connection", "outcome"]),
        [["admin", "send_again", "acme", "done"], ["admin", "send_again", "acme", "not_found"],]
    );
    let ids: Vec<Value> = lines(&site, "call").iter().map(|line| line["request_id"].clone()).collect();
    assert_eq!(
        lines(&site, "admin").iter().map(|line| line["request_id"].clone()).collect::<Vec<_>>(),
        ids[1..3]
    );
}
