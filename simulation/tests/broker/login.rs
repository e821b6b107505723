//! Logins at a token endpoint that is not OAuth: the life of their tokens is that of all others.

use std::time::Duration;

use serde_json::Value;

use porteiro_simulation::{Call, Fault, Grants, Site};

const HOUR: Grants = Grants { expires_in: 3600, refresh_tokens: true, rotation: true, reuse_detection: true };

fn site() -> Site {
    site_of_seed(7)
}

fn site_of_seed(seed: u64) -> Site {
    Site::with_variables(seed, HOUR, &Site::variables_with_login())
}

fn get() -> Call {
    Call::get("/api/acme/things")
}

fn logins(site: &Site) -> usize {
    site.shared.provider.requests.borrow().len()
}

fn wait(site: &Site, seconds: u64) {
    site.shared.world.run_for(Duration::from_secs(seconds));
}

/// One call from isolate 1 that must end so.
#[track_caller]
fn check(site: &Site, status: u16, source: &str, expected: usize) {
    let answered = site.call(1, &get());
    assert_eq!((answered.status, answered.token_source()), (status, source), "{}", answered.body);
    assert_eq!(logins(site), expected, "logins");
}

/// One call that must fail so, after so many logins.
#[track_caller]
fn check_failure(site: &Site, status: u16, code: &str, expected: usize) {
    let answered = site.call(1, &get());
    assert_eq!((answered.status, answered.code().as_str()), (status, code), "{}", answered.body);
    assert_eq!(logins(site), expected, "logins");
}

/// The members of the last line about a token request.
fn told(site: &Site) -> [Value; 4] {
    let logs = site.shared.logs.borrow();
    let mut lines = logs.iter().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let line = lines.rfind(|line| line["event"] == "grant").unwrap();
    ["grant", "outcome", "reason", "status"].map(|member| line[member].clone())
}

#[test]
fn logs_in_once_for_a_storm_on_a_cold_token_set() {
    let site = site();
    let answers = site.storm(5, 200, &get());
    assert!(answers.iter().all(|answer| answer.status == 200));
    assert_eq!((logins(&site), site.shared.most_in_flight.get()), (1, 1));
    let expected: [Value; 4] = ["login".into(), "granted".into(), Value::Null, Value::Null];
    assert_eq!(told(&site), expected);
}

#[test]
fn logs_in_anew_behind_the_calls_whatever_notation_an_expiry_has() {
    for seed in 0..20 {
        let site = site_of_seed(seed);
        check(&site, 200, "grant", 1);
        for _ in 0..72 {
            wait(&site, 100);
            let answered = site.call(1, &get());
            assert_eq!((answered.status, answered.token_source()), (200, "memory"), "seed {seed}");
        }
        assert_eq!(logins(&site), 3, "seed {seed}");
    }
}

#[test]
fn logs_in_once_when_fifty_calls_fail_with_the_same_token() {
    let site = site();
    check(&site, 200, "grant", 1);
    wait(&site, 1);
    site.shared.provider.revoke_access_tokens();
    let answers = site.storm(5, 50, &get());
    assert!(answers.iter().all(|answer| answer.status == 200 && answer.sent <= 2));
    assert_eq!(logins(&site), 2);
}

#[test]
fn sends_refused_credentials_once_in_a_wait_however_they_are_refused() {
    let mut statuses = Vec::new();
    for seed in 0..10 {
        let site = site_of_seed(seed);
        site.shared.provider.knows_credentials.set(false);
        check_failure(&site, 502, "credentials_rejected", 1);
        let [_, outcome, reason, status] = told(&site);
        assert_eq!((outcome, reason), ("credentials_rejected".into(), "other".into()));
        statuses.push(status.as_u64().unwrap());
        for _ in 0..5 {
            check_failure(&site, 503, "connection_unavailable", 1);
            wait(&site, 9);
        }
        site.shared.kill_keeper();
        check_failure(&site, 503, "connection_unavailable", 1);
        wait(&site, 45);
        check_failure(&site, 502, "credentials_rejected", 2);
        site.shared.provider.knows_credentials.set(true);
        site.redeploy(&changed("ACME_PASSWORD", "another"));
        site.shared.provider.account_passwords.borrow_mut().push("another");
        check(&site, 200, "grant", 3);
    }
    assert!(statuses.contains(&200) && statuses.contains(&422), "{statuses:?}");
}

fn changed(secret: &str, value: &str) -> Value {
    let mut variables = Site::variables_with_login();
    variables[secret] = value.into();
    variables
}

#[test]
fn keeps_the_token_when_the_password_changes_and_not_when_the_account_does() {
    let site = site();
    check(&site, 200, "grant", 1);
    wait(&site, 1);
    site.redeploy(&changed("ACME_PASSWORD", "another"));
    assert_eq!((site.call(2, &get()).token_source(), logins(&site)), ("kv", 1));
    site.redeploy(&changed("ACME_USERNAME", "bia@example.com"));
    check(&site, 200, "grant", 2);
    assert!(site.shared.provider.requests.borrow()[1].contains("bia@example.com"));
}

#[test]
fn tells_what_an_answer_lacks_and_waits() {
    for (status, body, code, reason) in [
        (200, r#"{"ok":true}"#, "token_response_invalid", "no_access_token"),
        (200, r#"{"session":{"token":7}}"#, "token_response_invalid", "unusable_access_token"),
        (200, "<html>", "token_response_invalid", "not_json"),
        (302, "", "token_response_invalid", "redirect"),
        (404, "", "credentials_rejected", "other"),
        (429, "", "token_endpoint_unreachable", "other"),
        (500, "", "token_endpoint_unreachable", "other"),
    ] {
        let site = site();
        let fault = Fault::Answer { status, body, retry_after: Some("30") };
        site.shared.provider.faults.borrow_mut().push_back(fault);
        check_failure(&site, 502, code, 1);
        let expected: [Value; 4] = ["login".into(), code.into(), reason.into(), status.into()];
        assert_eq!(told(&site), expected);
        check_failure(&site, 503, "connection_unavailable", 1);
        wait(&site, 29);
        check_failure(&site, 503, "connection_unavailable", 1);
        wait(&site, 60);
        check(&site, 200, "grant", 2);
    }
}

#[test]
fn stores_and_logs_no_token_and_no_password() {
    let site = site();
    site.shared.objects.no_alarms.set(true);
    check(&site, 200, "grant", 1);
    wait(&site, 4000);
    check(&site, 200, "grant", 2);
    let issued = site.shared.provider.issued.borrow().clone();
    let secrets = issued.iter().map(String::as_str).chain(["pass word", "ana@example.com"]);
    let shared = &site.shared;
    let (logs, written, cached) =
        (shared.logs.borrow(), shared.objects.written.borrow(), shared.cache.dump());
    let cached = cached.iter().flat_map(|(name, text)| [name, text]);
    let texts: Vec<&String> = logs.iter().chain(written.iter()).chain(cached).collect();
    assert!(texts.len() > 5 && issued.len() > 1);
    for secret in secrets {
        assert!(!texts.iter().any(|text| text.contains(secret)), "{secret}");
    }
}
