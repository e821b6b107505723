//! Token requests that are proven by a key, over simulated surroundings.

use std::collections::BTreeSet;
use std::time::Duration;

use porteiro_simulation::{Call, Effect, Fault, Grants, Proof, Site};

const HOUR: Grants = Grants { expires_in: 3600, refresh_tokens: true, rotation: true, reuse_detection: true };

fn site(proof: Proof) -> Site {
    let site = Site::proving(7, HOUR, proof);
    site.shared.objects.no_alarms.set(true);
    site
}

/// One call that must end so, after so many token requests in all.
#[track_caller]
fn check(site: &Site, status: u16, requests: usize) {
    let answered = site.call(1, &Call::get("/api/acme/things"));
    assert_eq!(answered.status, status, "{}", answered.body);
    assert_eq!(site.shared.provider.requests.borrow().len(), requests, "token requests");
    assert_eq!(site.shared.watch.broken(), None);
}

fn wait(site: &Site, seconds: u64) {
    site.shared.world.run_for(Duration::from_secs(seconds));
}

/// The value of a field in each token request so far.
fn sent(site: &Site, name: &str) -> Vec<String> {
    let requests = site.shared.provider.requests.borrow();
    let start = format!("{name}=");
    requests
        .iter()
        .filter_map(|body| Some(body.split('&').find_map(|pair| pair.strip_prefix(&start))?.to_owned()))
        .collect()
}

fn lines(site: &Site, part: &str) -> Vec<String> {
    site.shared.logs.borrow().iter().filter(|line| line.contains(part)).cloned().collect()
}

#[test]
fn proves_the_client_anew_in_every_request() {
    for proof in [Proof::PrivateKeyJwt, Proof::ClientSecretJwt] {
        let site = site(proof);
        check(&site, 200, 1);
        wait(&site, 4000);
        check(&site, 200, 2);
        // The refresh takes effect, and nobody hears of it: it is sent once more.
        wait(&site, 4000);
        site.shared.provider.faults.borrow_mut().push_back(Fault::Reset(Effect::Taken));
        check(&site, 502, 3);
        wait(&site, 10);
        // The refresh token is used up: a refused refresh, and a new grant.
        check(&site, 200, 5);
        let grants = sent(&site, "grant_type");
        assert_eq!(grants, ["password", "refresh_token", "refresh_token", "refresh_token", "password"]);
        let proofs: BTreeSet<String> = sent(&site, "client_assertion").into_iter().collect();
        assert_eq!(proofs.len(), 5, "{proof:?}");
    }
}

#[test]
fn signs_a_grant_anew_and_keeps_no_refresh_token_of_it() {
    let site = site(Proof::JwtBearer);
    for round in 1..4 {
        check(&site, 200, round);
        wait(&site, 4000);
    }
    let assertions: BTreeSet<String> = sent(&site, "assertion").into_iter().collect();
    assert_eq!(assertions.len(), 3);
    assert!(lines(&site, r#""event":"grant""#).iter().all(|line| line.contains(r#""grant":"jwt_bearer""#)));
}

#[test]
fn asks_nobody_for_a_token_with_a_key_that_signs_nothing() {
    for proof in [Proof::PrivateKeyJwt, Proof::JwtBearer] {
        let site = site(proof);
        site.shared.signs.set(false);
        let call = || site.call(1, &Call::get("/api/acme/things"));
        let answered = call();
        assert_eq!((answered.status, answered.code().as_str()), (503, "misconfigured"));
        let waiting = call();
        assert_eq!((waiting.status, waiting.code().as_str()), (503, "connection_unavailable"));
        assert_eq!(waiting.json()["cause"], "misconfigured");
        check(&site, 503, 0);
        let [line] = &*lines(&site, r#""event":"grant""#) else { panic!("one attempt") };
        assert!(line.contains(r#""outcome":"misconfigured","reason":"key_unusable"}"#), "{line}");
        site.shared.signs.set(true);
        wait(&site, 2);
        check(&site, 200, 1);
    }
}

#[test]
fn goes_on_with_what_it_has_while_a_key_signs_nothing() {
    let site = site(Proof::PrivateKeyJwt);
    check(&site, 200, 1);
    site.shared.signs.set(false);
    wait(&site, 3500);
    check(&site, 200, 1);
    wait(&site, 200);
    check(&site, 503, 1);
    site.shared.signs.set(true);
    wait(&site, 400);
    // The refresh token was not sent meanwhile.
    check(&site, 200, 2);
    assert_eq!(sent(&site, "grant_type"), ["password", "refresh_token"]);
}

#[test]
fn sends_requests_and_calls_by_the_certificate_that_is_named() {
    let mut variables = Site::variables();
    let connection = &mut variables["CONNECTIONS"]["acme"];
    connection["client_auth"] = "tls".into();
    connection["certificate"] = "BANK_CERT".into();
    let site = Site::with_variables(7, HOUR, &variables);
    check(&site, 200, 1);
    assert_eq!(*site.shared.certificates.borrow(), vec![Some("BANK_CERT".to_owned()); 2]);
    let expected = "grant_type=password&username=ana%40example.com&password=pass+word&client_id=client";
    assert_eq!(*site.shared.provider.requests.borrow(), [expected]);
}

#[test]
fn names_no_certificate_where_none_is_configured() {
    let site = Site::new(7, HOUR);
    check(&site, 200, 1);
    assert_eq!(*site.shared.certificates.borrow(), [None, None]);
}
