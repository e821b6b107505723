//! The keeper over simulated surroundings.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use base64::Engine as _;

use porteiro::protocol::{Envelope, TokenAsk, TokenReply};
use porteiro::token;
use porteiro_simulation::{Call, Effect, Fault, Grants, Objects, STATE, Site, keeper};

const HOUR: Grants = Grants { expires_in: 3600, refresh_tokens: true, rotation: true, reuse_detection: true };

fn site(grants: Grants) -> Site {
    Site::new(7, grants)
}

/// A site whose tokens expire unless somebody calls.
fn site_without_alarms(grants: Grants) -> Site {
    let site = site(grants);
    site.shared.objects.no_alarms.set(true);
    site
}

fn get() -> Call {
    Call::get("/api/acme/things")
}

/// One call from isolate 1 that must end so.
#[track_caller]
fn check(site: &Site, status: u16, source: &str, requests: usize) {
    let answered = site.call(1, &get());
    assert_eq!((answered.status, answered.token_source()), (status, source), "{}", answered.body);
    assert_eq!(site.shared.provider.requests.borrow().len(), requests, "token requests");
}

fn wait(site: &Site, seconds: u64) {
    site.shared.world.run_for(Duration::from_secs(seconds));
}

#[test]
fn uses_memory_then_the_cache_then_the_keeper() {
    let site = site(HOUR);
    check(&site, 200, "grant", 1);
    check(&site, 200, "memory", 1);
    wait(&site, 1);
    assert_eq!(site.call(2, &get()).token_source(), "kv");
    site.shared.cache.failures.set(1000);
    assert_eq!(site.call(3, &get()).token_source(), "keeper");
    check(&site, 200, "memory", 1);
    assert_eq!((site.shared.asks.get(), site.shared.cache.writes.get()), (2, 1));
}

/// Asks the keeper for a token.
fn ask(site: &Site, ask: TokenAsk) -> TokenReply {
    let envelope = Envelope::Service { connection: "acme".to_owned(), ask };
    site.exchange(&keeper("acme"), &envelope).expect("an answer")
}

/// The generation of the token set that is stored.
fn stored_generation(site: &Site) -> u64 {
    let (config, stored) = (site.shared.config(), site.shared.stored_state().unwrap());
    let keys = config.sealing_keys.as_ref().unwrap();
    let state: serde_json::Value = token::open(&stored, "keeper/service/acme", keys).unwrap();
    state["held"]["set"]["access"]["generation"].as_u64().unwrap()
}

#[test]
fn keeps_what_a_renewal_brings_though_storage_failed_for_another_ask_meanwhile() {
    let site = site_without_alarms(HOUR);
    check(&site, 200, "grant", 1);
    let identity = site.shared.config().connection("acme").unwrap().usable().unwrap().identity;
    // The next token is obtained since this one was refused, and nobody tells that it works.
    site.shared.provider.revoke_access_tokens();
    let refused = TokenAsk::new(&identity).refusing(stored_generation(&site), false);
    assert!(matches!(ask(&site, refused), TokenReply::Token { granted: true, .. }));
    let generation = stored_generation(&site);
    wait(&site, 3400);
    site.shared.provider.faults.borrow_mut().push_back(Fault::Slow(Duration::from_secs(5)));
    assert!(matches!(ask(&site, TokenAsk::new(&identity)), TokenReply::Token { granted: false, .. }));
    wait(&site, 1);
    assert_eq!(site.shared.provider.requests.borrow().len(), 3, "the renewal is under way");
    site.shared.objects.failures.set(1000);
    let works = TokenAsk::new(&identity).confirming(generation);
    assert_eq!(ask(&site, works), TokenReply::Unavailable);
    site.shared.objects.failures.set(0);
    wait(&site, 10);
    assert!(stored_generation(&site) > generation, "the new token set is stored");
    wait(&site, 300);
    assert!(matches!(ask(&site, TokenAsk::new(&identity)), TokenReply::Token { granted: false, .. }));
    assert_eq!(site.shared.provider.requests.borrow().len(), 3);
}

#[test]
fn makes_one_token_request_for_a_storm_on_a_cold_token_set() {
    let site = site(HOUR);
    let answers = site.storm(5, 200, &get());
    assert!(answers.iter().all(|answer| answer.status == 200));
    assert_eq!(site.shared.provider.requests.borrow().len(), 1);
    assert_eq!(site.shared.most_in_flight.get(), 1);
}

#[test]
fn survives_a_restart_without_another_grant() {
    let site = site(HOUR);
    check(&site, 200, "grant", 1);
    site.shared.kill_keeper();
    site.kill_isolate(1);
    site.shared.cache.failures.set(1000);
    check(&site, 200, "keeper", 1);
}

#[test]
fn refreshes_behind_the_calls_before_the_token_expires() {
    let site = site(HOUR);
    check(&site, 200, "grant", 1);
    for _ in 0..36 {
        wait(&site, 100);
        let answered = site.call(1, &get());
        assert_eq!((answered.status, answered.token_source()), (200, "memory"));
    }
    let requests = site.shared.provider.requests.borrow();
    assert_eq!(requests.len(), 2);
    assert!(requests[1].starts_with("grant_type=refresh_token&refresh_token=refresh-"), "{}", requests[1]);
}

#[test]
fn refreshes_an_expired_token_with_each_new_refresh_token() {
    let site = site_without_alarms(HOUR);
    check(&site, 200, "grant", 1);
    for round in 2..6 {
        wait(&site, 4000);
        check(&site, 200, "grant", round);
    }
    assert_eq!(site.shared.provider.reused.get(), 0);
    let requests = site.shared.provider.requests.borrow();
    assert!(requests.iter().skip(1).all(|body| body.contains("grant_type=refresh_token")));
}

#[test]
fn keeps_the_old_refresh_token_where_no_new_one_comes() {
    let site = site_without_alarms(Grants { rotation: false, ..HOUR });
    check(&site, 200, "grant", 1);
    for round in 2..5 {
        wait(&site, 4000);
        check(&site, 200, "grant", round);
    }
    let requests = site.shared.provider.requests.borrow();
    assert!(requests[3].contains("grant_type=refresh_token") && requests[3] == requests[1]);
}

#[test]
fn keeps_no_refresh_token_of_client_credentials() {
    let mut variables = Site::variables();
    let connection = &mut variables["CONNECTIONS"]["acme"];
    connection["grant"] = "client_credentials".into();
    connection["client_auth"] = "post".into();
    variables["ACME_CLIENT_SECRET"] = "client secret".into();
    let site = Site::with_variables(7, HOUR, &variables);
    site.shared.provider.client_secrets.borrow_mut().push("client secret");
    site.shared.objects.no_alarms.set(true);
    for round in 1..4 {
        check(&site, 200, "grant", round);
        wait(&site, 4000);
    }
    let requests = site.shared.provider.requests.borrow();
    assert!(requests.iter().all(|body| body.starts_with("grant_type=client_credentials&")), "{requests:?}");
}

#[test]
fn acquires_anew_where_the_refresh_token_is_dead() {
    let site = site_without_alarms(HOUR);
    check(&site, 200, "grant", 1);
    site.shared.provider.revoke_everything();
    wait(&site, 4000);
    check(&site, 200, "grant", 3);
    let requests = site.shared.provider.requests.borrow();
    assert!(requests[1].contains("grant_type=refresh_token") && requests[2].contains("grant_type=password"));
}

#[test]
fn renews_once_when_fifty_calls_fail_with_the_same_token() {
    let site = site(HOUR);
    check(&site, 200, "grant", 1);
    wait(&site, 1);
    site.shared.provider.revoke_access_tokens();
    let answers = site.storm(5, 50, &get());
    assert!(answers.iter().all(|answer| answer.status == 200 && answer.sent <= 2));
    assert_eq!(site.shared.provider.requests.borrow().len(), 2);
}

#[test]
fn backs_off_from_a_token_endpoint_while_the_upstream_refuses_all() {
    let site = site(HOUR);
    site.shared.provider.refuses_all.set(true);
    let answered = site.call(1, &get());
    assert_eq!((answered.status, answered.code().as_str()), (502, "upstream_unauthorized"));
    for _ in 0..5 {
        assert_eq!(site.call(1, &get()).code(), "upstream_unauthorized");
    }
    assert_eq!(site.shared.provider.requests.borrow().len(), 2);
    wait(&site, 11);
    assert_eq!(site.call(2, &get()).code(), "upstream_unauthorized");
    assert_eq!(site.shared.provider.requests.borrow().len(), 3);
    wait(&site, 11);
    assert_eq!(site.call(2, &get()).code(), "upstream_unauthorized");
    assert_eq!(site.shared.provider.requests.borrow().len(), 3, "the second backoff is twice as long");
    site.shared.provider.refuses_all.set(false);
    assert_eq!(site.call(2, &get()).status, 200);
}

#[test]
fn renews_a_token_that_worked_elsewhere_and_was_revoked_however_soon() {
    let site = site(HOUR);
    check(&site, 200, "grant", 1);
    wait(&site, 1);
    site.shared.provider.revoke_access_tokens();
    assert_eq!(site.call(1, &get()).sent, 2);
    wait(&site, 1);
    site.shared.provider.revoke_access_tokens();
    // Isolate 2 never saw the second token work, and the keeper has just woken.
    site.shared.kill_keeper();
    let answered = site.call(2, &get());
    assert_eq!((answered.status, answered.sent), (200, 2), "{}", answered.body);
    assert_eq!(site.shared.provider.requests.borrow().len(), 3);
}

#[test]
fn tries_refused_credentials_once_for_each_wait() {
    let site = site(HOUR);
    site.shared.provider.knows_credentials.set(false);
    let answered = site.call(1, &get());
    assert_eq!((answered.status, answered.code().as_str()), (502, "credentials_rejected"));
    for answered in site.storm(3, 30, &get()) {
        assert_eq!((answered.status, answered.code().as_str()), (503, "connection_unavailable"));
        assert_eq!(answered.json()["cause"], "credentials_rejected");
        let seconds: u64 = answered.field("retry-after").unwrap().parse().unwrap();
        assert!((55..=75).contains(&seconds), "{seconds}");
    }
    site.shared.kill_keeper();
    assert_eq!(site.call(1, &get()).code(), "connection_unavailable", "the wait outlives the keeper");
    assert_eq!(site.shared.provider.rejected.get(), 1);
    wait(&site, 80);
    assert_eq!(site.call(1, &get()).code(), "credentials_rejected");
    assert_eq!(site.shared.provider.rejected.get(), 2);
}

#[test]
fn ends_the_wait_when_a_secret_changes() {
    let site = site(HOUR);
    let mut variables = Site::variables();
    variables["ACME_PASSWORD"] = "wrong".into();
    site.redeploy(&variables);
    assert_eq!(site.call(1, &get()).code(), "credentials_rejected");
    site.redeploy(&variables);
    assert_eq!(site.call(1, &get()).code(), "connection_unavailable");
    site.redeploy(&Site::variables());
    assert_eq!(site.call(1, &get()).status, 200);
}

#[test]
fn keeps_the_token_set_when_the_password_changes_and_not_when_the_account_does() {
    let site = site(HOUR);
    check(&site, 200, "grant", 1);
    wait(&site, 1);
    let mut variables = Site::variables();
    variables["ACME_PASSWORD"] = "another".into();
    site.redeploy(&variables);
    assert_eq!(site.call(2, &get()).token_source(), "kv");
    variables["ACME_PASSWORD"] = "pass word".into();
    variables["ACME_USERNAME"] = "bia@example.com".into();
    site.redeploy(&variables);
    check(&site, 200, "grant", 2);
    assert!(site.shared.provider.requests.borrow()[1].contains("bia%40example.com"));
}

#[test]
fn tells_failures_of_the_token_endpoint_apart_and_waits_longer_each_time() {
    let html = || Fault::Answer { status: 500, body: "<html>", retry_after: None };
    for (fault, status, code, least) in [
        (html(), 502, "token_endpoint_unreachable", 1),
        (
            Fault::Answer { status: 429, body: "", retry_after: Some("30") },
            502,
            "token_endpoint_unreachable",
            30,
        ),
        (Fault::Reset(Effect::None), 502, "token_endpoint_unreachable", 1),
        (Fault::Slow(Duration::from_mins(1)), 504, "token_endpoint_timeout", 1),
        (Fault::Answer { status: 200, body: "<html>", retry_after: None }, 502, "token_response_invalid", 1),
        (Fault::Answer { status: 302, body: "", retry_after: None }, 502, "token_response_invalid", 1),
    ] {
        let site = site(HOUR);
        site.shared.provider.faults.borrow_mut().push_back(fault.clone());
        let answered = site.call(1, &get());
        assert_eq!((answered.status, answered.code().as_str()), (status, code), "{fault:?}");
        assert!(answered.field("retry-after").unwrap().parse::<u64>().unwrap() >= least, "{fault:?}");
        let answered = site.call(1, &get());
        assert_eq!((answered.status, answered.code().as_str()), (503, "connection_unavailable"), "{fault:?}");
        assert_eq!(answered.json()["cause"], code);
        let seconds: u64 = answered.field("retry-after").unwrap().parse().unwrap();
        assert!((least..=least + 2).contains(&seconds), "{fault:?}: {seconds}");
        wait(&site, seconds);
        assert_eq!(site.call(1, &get()).status, 200, "{fault:?}");
        assert_eq!(site.shared.provider.requests.borrow().len(), 2, "{fault:?}");
    }
}

#[test]
fn goes_on_with_a_valid_token_while_the_token_endpoint_is_down() {
    let site = site(HOUR);
    check(&site, 200, "grant", 1);
    site.shared.provider.down.set(true);
    for _ in 0..35 {
        wait(&site, 100);
        assert_eq!(site.call(1, &get()).status, 200);
    }
    site.shared.provider.down.set(false);
    wait(&site, 400);
    assert_eq!(site.call(1, &get()).status, 200);
}

#[test]
fn sends_a_refresh_token_once_more_after_a_cut_off_then_acquires_anew() {
    let site = site_without_alarms(HOUR);
    check(&site, 200, "grant", 1);
    wait(&site, 4000);
    let cut = || Fault::Reset(Effect::None);
    site.shared.provider.faults.borrow_mut().extend([cut(), cut()]);
    assert_eq!(site.call(1, &get()).code(), "token_endpoint_unreachable");
    wait(&site, 5);
    assert_eq!(site.call(1, &get()).code(), "token_endpoint_unreachable");
    wait(&site, 5);
    assert_eq!(site.call(1, &get()).status, 200);
    let requests = site.shared.provider.requests.borrow();
    let kinds: Vec<bool> = requests.iter().map(|body| body.contains("grant_type=refresh_token")).collect();
    assert_eq!(kinds, [false, true, true, false]);
}

#[test]
fn recovers_from_a_kill_after_the_provider_took_the_refresh_token() {
    let site = site_without_alarms(HOUR);
    check(&site, 200, "grant", 1);
    wait(&site, 4000);
    let calling = site.calling(1, &get());
    site.shared.world.spawn(1, async move { drop(calling.await) });
    while site.shared.provider.granted.get() < 2 {
        assert!(site.shared.world.step(site.shared.world.now() + Duration::from_secs(10)));
    }
    site.shared.kill_keeper();
    wait(&site, 5);
    let answered = site.call(1, &get());
    assert_eq!(answered.status, 200, "{}", answered.body);
    let requests = site.shared.provider.requests.borrow();
    assert_eq!(requests.len(), 4, "the first, the one cut off, its one retry, and a new grant");
    assert_eq!(requests[1], requests[2]);
    assert!(requests[3].contains("grant_type=password"));
}

#[test]
fn counts_a_record_that_does_not_open_as_absent_and_reports_it() {
    let site = site(HOUR);
    check(&site, 200, "grant", 1);
    wait(&site, 1);
    site.shared.cache.overwrite("1.k1.AAAA");
    Objects::forge(&site.shared, &keeper("acme"), STATE, "nonsense");
    site.kill_isolate(1);
    site.shared.kill_keeper();
    wait(&site, 61);
    check(&site, 200, "grant", 2);
    let logs = site.shared.logs.borrow().join("\n");
    assert!(
        logs.contains(r#""record":"access-token/service/acme""#)
            && logs.contains(r#""record":"keeper/service/acme""#),
        "{logs}"
    );
}

#[test]
fn opens_under_an_old_sealing_key_and_seals_under_the_new() {
    let site = site_without_alarms(HOUR);
    check(&site, 200, "grant", 1);
    wait(&site, 1);
    let mut variables = Site::variables();
    variables["SEALING_KEYS"] =
        "k2:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=,k1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
            .into();
    site.redeploy(&variables);
    assert_eq!(site.call(2, &get()).token_source(), "kv");
    wait(&site, 4000);
    check(&site, 200, "grant", 2);
    wait(&site, 1);
    assert!(site.shared.stored_state().unwrap().starts_with("1.k2."));
    assert!(site.shared.cache.dump()[0].1.starts_with("1.k2."));
}

#[test]
fn copies_a_token_into_the_cache_again_where_it_was_lost() {
    let site = site(HOUR);
    site.shared.cache.failures.set(1000);
    check(&site, 200, "grant", 1);
    wait(&site, 130);
    site.shared.cache.failures.set(0);
    assert_eq!(site.call(2, &get()).token_source(), "keeper");
    wait(&site, 70);
    assert_eq!(site.call(3, &get()).token_source(), "kv");
}

#[test]
fn acquires_anew_where_a_refresh_is_refused_in_words_of_the_providers_own() {
    for status in [400, 401, 403, 404] {
        let site = site_without_alarms(HOUR);
        check(&site, 200, "grant", 1);
        wait(&site, 4000);
        let refused = Fault::Answer { status, body: r#"{"error":"token_revoked"}"#, retry_after: None };
        site.shared.provider.faults.borrow_mut().push_back(refused);
        check(&site, 200, "grant", 3);
        assert!(site.shared.provider.requests.borrow()[2].contains("grant_type=password"));
    }
}

#[test]
fn writes_no_short_lived_token_to_the_cache() {
    let site = site(Grants { expires_in: 90, ..HOUR });
    check(&site, 200, "grant", 1);
    wait(&site, 1);
    assert_eq!(site.shared.cache.writes.get(), 0);
    assert_eq!(site.call(2, &get()).token_source(), "keeper");
}

#[test]
fn keeps_a_connection_in_use_warm_and_lets_an_unused_one_go_cold() {
    let site = site(HOUR);
    check(&site, 200, "grant", 1);
    // Nobody calls while the token ages: the alarm renews it, once.
    wait(&site, 3 * 3600);
    assert_eq!(site.shared.provider.requests.borrow().len(), 2);
    let site = self::site(HOUR);
    site.shared.cache.failures.set(1000);
    check(&site, 200, "grant", 1);
    for round in 2..6 {
        wait(&site, 3500);
        assert_eq!(site.shared.provider.requests.borrow().len(), round, "renewed by the alarm");
        site.kill_isolate(1);
        check(&site, 200, "keeper", round);
    }
    assert_eq!(site.shared.most_in_flight.get(), 1);
}

#[test]
fn goes_on_trying_behind_a_connection_in_use_while_the_token_endpoint_is_down() {
    let site = site(HOUR);
    check(&site, 200, "grant", 1);
    site.shared.provider.down.set(true);
    wait(&site, 3300);
    assert!(site.shared.provider.requests.borrow().len() > 2);
    site.shared.provider.down.set(false);
    wait(&site, 290);
    let answered = site.call(1, &get());
    assert_eq!((answered.status, answered.token_source()), (200, "kv"));
}

#[test]
fn lets_nobody_wait_for_a_grant_where_calls_come_all_the_time() {
    for expires_in in [60, 300, 3600] {
        let site = site(Grants { expires_in, ..HOUR });
        check(&site, 200, "grant", 1);
        for _ in 0..200 {
            wait(&site, expires_in / 20);
            let answered = site.call(1, &get());
            assert_eq!(answered.status, 200);
            assert_ne!(answered.token_source(), "grant", "a token of {expires_in} s");
        }
        let requests = site.shared.provider.requests.borrow().len();
        assert!((11..=15).contains(&requests), "{requests} token requests in ten lives of {expires_in} s");
    }
}

#[test]
fn needs_no_cache_and_no_keeper_for_a_warm_isolate() {
    let site = site(HOUR);
    check(&site, 200, "grant", 1);
    wait(&site, 1);
    let (asks, reads, writes) =
        (site.shared.asks.get(), site.shared.cache.reads.get(), site.shared.cache.writes.get());
    for _ in 0..1000 {
        check(&site, 200, "memory", 1);
    }
    let after = (site.shared.asks.get(), site.shared.cache.reads.get(), site.shared.cache.writes.get());
    assert_eq!(after, (asks, reads, writes));
}

#[test]
fn shows_no_secret_in_storage_cache_or_log() {
    let site = site_without_alarms(HOUR);
    check(&site, 200, "grant", 1);
    wait(&site, 4000);
    check(&site, 200, "grant", 2);
    wait(&site, 1);
    let mut seen = site.shared.logs.borrow().join("\n");
    for (name, record) in site.shared.cache.dump() {
        seen.push_str(&name);
        seen.push_str(&record);
    }
    seen.push_str(&site.shared.stored_state().unwrap());
    let issued = site.shared.provider.issued.borrow();
    assert_eq!(issued.len(), 4);
    for secret in issued.iter().map(String::as_str).chain(["pass word", "ana@example.com", Site::CALLER_KEY])
    {
        assert!(!seen.contains(secret), "{secret} was seen");
    }
}

#[test]
fn uses_no_token_that_it_could_not_keep() {
    let site = site(HOUR);
    site.shared.objects.failures.set(1000);
    let answered = site.call(1, &get());
    assert_eq!((answered.status, answered.code().as_str()), (503, "connection_unavailable"));
    assert!(site.shared.upstream_calls.borrow().is_empty());
    site.shared.objects.failures.set(0);
    assert_eq!(site.call(1, &get()).status, 200);
}

fn forbidden() -> Call {
    Call::get("/api/acme/things/forbidden")
}

#[track_caller]
fn check_refused(site: &Site, isolate: u32, call: &Call) {
    let answered = site.call(isolate, call);
    assert_eq!((answered.status, answered.code().as_str()), (502, "upstream_unauthorized"));
}

/// Every way in which no other token can be had.
fn without_token_endpoint() -> Vec<(&'static str, Site)> {
    let endless = |fault: Fault| {
        let site = site(HOUR);
        check(&site, 200, "grant", 1);
        site.shared.provider.faults.borrow_mut().extend(std::iter::repeat_n(fault, 200));
        site
    };
    let answer = |status, body| Fault::Answer { status, body, retry_after: None };
    let rejecting = Site::new(7, Grants { refresh_tokens: false, ..HOUR });
    check(&rejecting, 200, "grant", 1);
    rejecting.shared.provider.knows_credentials.set(false);
    let silent = Site::new(7, Grants { rotation: false, reuse_detection: false, ..HOUR });
    check(&silent, 200, "grant", 1);
    silent.shared.provider.faults.borrow_mut().extend(vec![Fault::Slow(Duration::from_mins(1)); 200]);
    vec![
        ("503", endless(answer(503, ""))),
        ("429", endless(Fault::Answer { status: 429, body: "", retry_after: Some("3600") })),
        ("500", endless(answer(500, "<html>"))),
        ("no token response", endless(answer(200, "<html>"))),
        ("unreachable", endless(Fault::Reset(Effect::None))),
        ("silent", silent),
        ("a refused client", endless(answer(401, r#"{"error":"invalid_client"}"#))),
        ("a changed password", rejecting),
    ]
}

#[test]
fn fails_one_call_alone_for_a_401_about_it_while_no_other_token_can_be_had() {
    for (why, site) in without_token_endpoint() {
        println!("{why}");
        for round in 0..12 {
            check_refused(&site, 1, &forbidden());
            let answered = site.call(1, &get());
            assert_eq!((answered.status, answered.token_source()), (200, "memory"), "{why}, round {round}");
            wait(&site, 1);
        }
        // Isolates that never saw the token, and whose first call is the one that is refused.
        for isolate in 2..5 {
            let first = site.call(isolate, &forbidden());
            assert!([502, 503].contains(&first.status), "{why}");
            assert_eq!(site.call(isolate, &get()).status, 200, "{why}, isolate {isolate}");
            check_refused(&site, isolate, &forbidden());
        }
        site.shared.kill_keeper();
        site.shared.cache.failures.set(1000);
        site.kill_isolate(1);
        assert_eq!(site.call(1, &get()).status, 200, "{why}, after a restart");
        check_refused(&site, 1, &forbidden());
        assert_eq!(site.call(1, &get()).status, 200, "{why}");
    }
}

#[test]
fn fails_refused_calls_alone_where_no_isolate_tells_that_others_work() {
    for (why, site) in without_token_endpoint() {
        println!("{why}");
        // Isolate 1 tells once that the token works, and has no cause to later.
        check_refused(&site, 1, &forbidden());
        assert_eq!(site.call(1, &get()).status, 200, "{why}");
        for path in ["a", "b", "c", "d"] {
            check_refused(&site, 2, &Call::get(&format!("/api/acme/things/forbidden-{path}")));
        }
        assert_eq!(site.call(2, &get()).status, 200, "{why}");
        for round in 0..16 {
            check_refused(&site, 2, &forbidden());
            let answered = site.call(1, &get());
            assert_eq!((answered.status, answered.token_source()), (200, "memory"), "{why}, round {round}");
            wait(&site, 30);
        }
    }
}

#[test]
fn is_not_brought_down_by_a_401_that_meets_a_keeper_that_cannot_be_asked() {
    let site = site(HOUR);
    check(&site, 200, "grant", 1);
    site.shared.objects.failures.set(1000);
    check_refused(&site, 1, &forbidden());
    check(&site, 200, "memory", site.shared.provider.requests.borrow().len());
}

#[test]
fn tells_of_the_wait_once_nothing_works_and_renews_after_it() {
    let site = Site::new(7, Grants { refresh_tokens: false, ..HOUR });
    check(&site, 200, "grant", 1);
    site.shared.provider.revoke_everything();
    site.shared.provider.knows_credentials.set(false);
    for _ in 0..2 {
        for path in ["a", "b", "c"] {
            // It may have been about the call.
            check_refused(&site, 1, &Call::get(&format!("/api/acme/things/{path}")));
        }
        wait(&site, 15);
    }
    assert_eq!(site.call(1, &get()).code(), "connection_unavailable");
    assert_eq!(site.call(1, &get()).json()["cause"], "credentials_rejected");
    assert_eq!(site.shared.provider.rejected.get(), 1);
    site.shared.provider.knows_credentials.set(true);
    wait(&site, 76);
    check(&site, 200, "grant", 3);
}

/// Token requests in ten seconds in which eight callers call one after the
/// other, and how many of their calls there were and failed.
fn flaky(what: &str, set: impl Fn(&Site)) -> (usize, usize, usize) {
    let site = Rc::new(site(HOUR));
    check(&site, 200, "grant", 1);
    set(&site);
    site.shared.provider.api_takes.set(Duration::from_millis(20));
    let world = &site.shared.world;
    let end = world.now() + Duration::from_secs(10);
    let answers: Rc<RefCell<Vec<u16>>> = Rc::default();
    let calling: Vec<_> = (0..8)
        .map(|_| {
            let (site, answers) = (Rc::clone(&site), Rc::clone(&answers));
            async move {
                while site.shared.world.now() < end {
                    let answered = site.calling(1, &get()).await;
                    answers.borrow_mut().push(answered.status);
                }
            }
        })
        .collect();
    world.block_on(0, futures_util::future::join_all(calling));
    let (requests, answers) = (site.shared.provider.requests.borrow().len() - 1, answers.borrow());
    let failed = answers.iter().filter(|status| **status != 200).count();
    println!("{what}: {requests} token requests, {} calls, {failed} failed", answers.len());
    (requests, answers.len(), failed)
}

#[test]
fn makes_few_token_requests_for_an_upstream_that_refuses_now_and_then() {
    let by_chance = |per_mille| move |site: &Site| site.shared.provider.flaky.set(per_mille);
    let in_turn = |nodes| move |site: &Site| site.shared.provider.bad_node.set(nodes);
    for ((requests, calls, failed), most_failed) in [
        (flaky("one in fifty by chance", by_chance(20)), 10),
        (flaky("one in ten by chance", by_chance(100)), 30),
        (flaky("one in two by chance", by_chance(500)), 600),
        (flaky("one in ten in turn", in_turn(10)), 150),
        (flaky("one in two in turn", in_turn(2)), 900),
    ] {
        assert!(requests <= 4, "{requests} token requests");
        assert!(calls > 300, "{calls} calls");
        let most = calls * most_failed / 1_000;
        assert!(failed <= most, "{failed} of {calls} failed: one send more cures most");
    }
}

#[test]
fn goes_on_counting_renewals_when_the_keeper_begins_anew() {
    let site = site(HOUR);
    check(&site, 200, "grant", 1);
    for round in 2..5 {
        site.shared.provider.revoke_access_tokens();
        check(&site, 200, "grant", round);
        wait(&site, 1);
        site.shared.kill_keeper();
    }
    site.shared.provider.revoke_access_tokens();
    check_refused(&site, 1, &get());
    site.shared.kill_keeper();
    check_refused(&site, 1, &get());
    assert_eq!(site.shared.provider.requests.borrow().len(), 4);
    wait(&site, 10);
    check(&site, 200, "grant", 5);
}

#[test]
fn renews_once_more_where_the_token_that_replaced_a_refused_one_died_with_it() {
    let site = site(HOUR);
    check(&site, 200, "grant", 1);
    wait(&site, 1);
    for isolate in 1..5 {
        assert_eq!(site.call(isolate, &get()).status, 200);
    }
    site.shared.provider.revoke_access_tokens();
    check(&site, 200, "grant", 2);
    wait(&site, 1);
    // Isolates 2 to 4 have the first token still; now the second one dies, too.
    site.shared.provider.revoke_access_tokens();
    for isolate in [2, 3, 4, 1] {
        let answered = site.call(isolate, &get());
        assert_eq!(answered.status, 200, "isolate {isolate}: {}", answered.body);
    }
    assert_eq!(site.shared.provider.requests.borrow().len(), 3);
}

#[test]
fn renews_for_a_token_that_the_upstream_calls_invalid_by_another_status() {
    for status in [400, 403, 404, 422] {
        let site = site(HOUR);
        site.shared.provider.refuses_by.set(status);
        check(&site, 200, "grant", 1);
        wait(&site, 1);
        site.shared.provider.revoke_access_tokens();
        let answered = site.call(1, &get());
        assert_eq!((answered.status, answered.sent), (200, 2), "{status}");
        assert_eq!(site.shared.provider.requests.borrow().len(), 2);
    }
    for (status, fields) in [
        (403, "www-authenticate:Bearer error=\"insufficient_scope\""),
        (403, "content-type:text/plain"),
        (400, "x-error:invalid_token"),
        (302, "www-authenticate:Bearer error=\"invalid_token\""),
        (200, "www-authenticate:Bearer error=\"invalid_token\""),
        (500, "www-authenticate:Bearer error=\"invalid_token\""),
    ] {
        let site = site(HOUR);
        *site.shared.upstream_script.borrow_mut() = Some((status, fields.to_owned()));
        let answered = site.call(1, &get());
        assert_eq!((answered.status, answered.sent), (status, 1), "{status} {fields}");
    }
}

/// Refusals as servers word them: the status, the body, and whether they are
/// about the client.
fn refusals() -> Vec<(String, u16, Vec<u8>)> {
    let cases: Vec<serde_json::Value> =
        serde_json::from_str(include_str!("../../../tests/data/refusals.json")).unwrap();
    let read = |case: &serde_json::Value| {
        let body = base64::engine::general_purpose::STANDARD.decode(case["body_base64"].as_str().unwrap());
        let status = u16::try_from(case["status"].as_u64().unwrap()).unwrap();
        (case["case"].as_str().unwrap().to_owned(), status, body.unwrap())
    };
    let mut refusals: Vec<_> = cases.iter().map(read).collect();
    for (status, body) in [
        (409, "{}"),
        (404, r#"{"message":"no such user"}"#),
        (502, r#"{"error":"invalid_grant"}"#),
        (503, r#"{"error":"invalid_grant"}"#),
        (200, r#"{"error":"invalid_request"}"#),
        (400, r#"{"error":"unsupported_grant_type"}"#),
    ] {
        refusals.push((format!("{status} {body}"), status, body.into()));
    }
    refusals
}

#[test]
fn tries_credentials_once_for_each_wait_however_their_refusal_is_worded() {
    for (case, status, body) in refusals() {
        let site = site(HOUR);
        site.shared.provider.knows_credentials.set(false);
        *site.shared.provider.words.borrow_mut() = Some((status, body, 0));
        assert_eq!(site.call(1, &get()).code(), "credentials_rejected", "{case}");
        for _ in 0..25 {
            wait(&site, 1);
            let answered = site.call(1, &get());
            assert_eq!(answered.code(), "connection_unavailable", "{case}");
            assert_eq!(answered.json()["cause"], "credentials_rejected", "{case}");
        }
        assert_eq!(site.shared.provider.requests.borrow().len(), 1, "{case}");
    }
    for status in [408, 425, 429] {
        let site = site(HOUR);
        let busy = Fault::Answer { status, body: "", retry_after: Some("1, 7") };
        site.shared.provider.faults.borrow_mut().push_back(busy);
        let answered = site.call(1, &get());
        assert_eq!(answered.code(), "token_endpoint_unreachable", "{status}");
        assert_eq!(answered.field("retry-after"), Some("7"), "{status}");
        wait(&site, 8);
        check(&site, 200, "grant", 2);
    }
}

#[test]
fn makes_no_token_request_a_minute_where_a_life_of_zero_is_told() {
    let site = site(Grants { expires_in: 3600, ..HOUR });
    let zero = r#"{"access_token":"access-0","token_type":"Bearer","expires_in":0}"#;
    site.shared.provider.faults.borrow_mut().push_back(Fault::Answer {
        status: 200,
        body: zero,
        retry_after: None,
    });
    site.shared.provider.knows("access-0", Duration::from_hours(10));
    for _ in 0..30 {
        assert_eq!(site.call(1, &get()).status, 200);
        wait(&site, 60);
    }
    assert_eq!(site.shared.provider.requests.borrow().len(), 1);
}

#[test]
fn reads_a_state_of_before_renewals_were_counted() {
    let site = site(HOUR);
    check(&site, 200, "grant", 1);
    let config = site.shared.config();
    let (keys, name) = (config.sealing_keys.as_ref().unwrap(), "keeper/service/acme");
    let stored = site.shared.stored_state().unwrap();
    let mut state: serde_json::Value = token::open(&stored, name, keys).unwrap();
    let members = state.as_object_mut().unwrap();
    assert!(members.contains_key("peace"), "the name that other versions know");
    members.remove("refusal_renewals").expect("it is new");
    state["held"].as_object_mut().unwrap().remove("worked").expect("it is new");
    let sealed = token::seal(&state, name, keys, &token::Nonce([3; 24])).unwrap();
    Objects::forge(&site.shared, &keeper("acme"), STATE, &sealed);
    site.shared.kill_keeper();
    site.kill_isolate(1);
    site.shared.cache.failures.set(1000);
    check(&site, 200, "keeper", 1);
}
