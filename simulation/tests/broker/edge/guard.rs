//! Budgets, pauses and repeated calls, over simulated surroundings.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use serde_json::{Value, json};

use super::{GRANTS, check, things};
use porteiro_simulation::{Call, Site};

/// A site whose connection has these fields besides, and whose isolates 1 and 2 have a token.
fn site_with(fields: &[(&str, Value)]) -> Site {
    let mut variables = Site::variables();
    for (name, value) in fields {
        variables["CONNECTIONS"]["acme"][name] = value.clone();
    }
    let site = Site::with_variables(1, GRANTS, &variables);
    for isolate in [1, 2] {
        assert_eq!(site.call(isolate, &things()).status, 200);
    }
    site
}

fn cool() -> Site {
    site_with(&[("cool_down", true.into()), ("retry", json!({ "attempts": 2 }))])
}

fn script(site: &Site, status: u16, fields: &str) {
    site.shared.upstream_script.replace(Some((status, fields.to_owned())));
}

fn wait(site: &Site, millis: u64) {
    site.shared.world.run_for(Duration::from_millis(millis));
}

/// How long `call` takes until it is answered with this status, in milliseconds, and how often it was sent.
#[track_caller]
fn time(site: &Site, call: &Call, status: u16) -> (u64, u32) {
    let began = site.shared.world.now();
    let answered = site.call(1, call);
    assert_eq!(answered.status, status, "{}", answered.body);
    (site.shared.world.now().as_millis() - began.as_millis(), answered.sent)
}

#[test]
fn spares_an_upstream_from_every_isolate_though_a_message_is_lost() {
    let site = cool();
    site.shared.objects.losses.set(1_000);
    script(&site, 429, "retry-after:30");
    assert_eq!(site.call(1, &things()).status, 429);
    wait(&site, 100);
    site.shared.objects.losses.set(0);
    wait(&site, 1_000);
    site.shared.upstream_script.replace(None);
    let held = site.call(2, &things());
    assert_eq!((held.status, held.sent), (503, 0));
    let left: u64 = held.field("retry-after").expect("a wait").parse().expect("seconds");
    assert!((28..=30).contains(&left), "{left}");
}

#[test]
fn spares_an_upstream_that_says_no_time_at_all_for_a_second_each_time() {
    for over in ["retry-after:0", "retry-after:Thu, 01 Jan 1970 00:00:00 GMT"] {
        let site = cool();
        for _ in 0..4 {
            script(&site, 429, over);
            assert_eq!(site.call(1, &things()).status, 429);
            wait(&site, 300);
            let held = check(&site, &things(), 503, "connection_unavailable");
            assert_eq!(held.field("retry-after"), Some("1"));
            wait(&site, 900);
            site.shared.upstream_script.replace(None);
            assert_eq!(site.call(2, &things()).status, 200, "{over}");
        }
    }
}

#[test]
fn sends_nothing_again_while_the_upstream_is_spared_and_keeps_nobody_waiting() {
    let site = cool();
    script(&site, 503, "retry-after:2");
    let (took, sent) = time(&site, &things(), 503);
    assert!(took < 500 && sent == 1, "{took} ms, {sent}");
}

#[test]
fn tells_no_budget_where_it_does_not_know_it() {
    let site = site_with(&[("cool_down", true.into()), ("budget", json!({ "requests": 50, "seconds": 60 }))]);
    script(&site, 429, "retry-after:100");
    assert!(site.call(1, &things()).field("ratelimit").is_some());
    let held = check(&site, &things(), 503, "connection_unavailable");
    assert_eq!((held.field("ratelimit"), held.field("retry-after")), (None, Some("100")));
}

#[test]
fn sends_again_what_the_upstream_can_take_twice_and_nothing_else() {
    let site = site_with(&[("retry", json!({ "attempts": 2 })), ("acting_gets", json!(["/things/act"]))]);
    script(&site, 504, "");
    let post = || things().method("POST").body(10);
    let acting = || Call::get("/api/acme/things/act");
    for (call, sent) in [
        (things(), 2),
        (acting(), 1),
        (acting().field("idempotency-key", "k"), 2),
        (post(), 1),
        (post().field("idempotency-key", "k"), 2),
        (post().field("idempotency-key", ""), 1),
        (post().field("idempotency-key", "k").field("connection", "idempotency-key"), 1),
    ] {
        assert_eq!(time(&site, &call, 504).1, sent, "{call:?}");
    }
}

#[test]
fn waits_for_a_second_turn_no_longer_than_the_call_may_take() {
    let site = site_with(&[
        ("budget", json!({ "requests": 3, "seconds": 20, "queue_ms": 20_000 })),
        ("retry", json!({ "attempts": 2 })),
        ("timeout_ms", 5_000.into()),
    ]);
    script(&site, 502, "");
    let (took, sent) = time(&site, &things(), 502);
    assert!((4_000..5_500).contains(&took) && sent == 1, "{took} ms, {sent}");
}

#[test]
fn holds_up_no_call_for_a_keeper_that_hangs() {
    let site = site_with(&[("budget", json!({ "requests": 50, "seconds": 10 }))]);
    site.shared.objects.budget_takes.set(Duration::from_hours(1));
    wait(&site, 4_000);
    let (took, sent) = time(&site, &things(), 503);
    assert!(took < 6_000 && sent == 0, "{took} ms, {sent}");
}

#[test]
fn counts_a_call_that_is_sent_again_when_its_body_is_there() {
    let site = site_with(&[("budget", json!({ "requests": 2, "seconds": 1, "queue_ms": 2_000 }))]);
    let (shared, world) = (&site.shared, &site.shared.world);
    wait(&site, 5_000);
    shared.budget.budget.set(Some((2, 1_000)));
    shared.provider.revoke_access_tokens();
    shared.upload_takes.set(Duration::from_secs(20));
    let answers = Rc::new(RefCell::new(Vec::new()));
    let begin = |isolate, call: &Call| {
        let (calling, answers) = (site.calling(isolate, call), Rc::clone(&answers));
        world.spawn(isolate, async move {
            let answered = calling.await;
            answers.borrow_mut().push((answered.status, answered.sent));
        });
    };
    begin(1, &things().method("POST").body(100));
    begin(1, &things().method("POST").body(100));
    wait(&site, 10_000);
    begin(2, &things());
    wait(&site, 9_900);
    begin(2, &things());
    begin(2, &things());
    wait(&site, 10_000);
    assert_eq!(shared.budget.broken(), None);
    let answers = answers.take();
    // Isolate 2 finds its token revoked, too.
    assert_eq!(answers, [(200, 2), (200, 1), (200, 1), (200, 2), (200, 2)]);
}

#[test]
fn waits_for_a_body_that_is_sent_again_no_longer_than_the_call_may_take() {
    let site =
        site_with(&[("budget", json!({ "requests": 50, "seconds": 60 })), ("timeout_ms", 5_000.into())]);
    site.shared.provider.revoke_access_tokens();
    site.shared.upload_takes.set(Duration::from_mins(1));
    let (took, sent) = time(&site, &things().method("POST").body(100), 504);
    assert!((5_000..6_000).contains(&took) && sent == 1, "{took} ms, {sent}");
}
