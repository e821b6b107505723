//! Callers with tokens of issuers elsewhere, and limits of each caller's calls.

use std::time::Duration;

use serde_json::{Value, json};

use super::GRANTS;
use porteiro::json::FromJson as _;
use porteiro::time::UnixTime;
use porteiro::token;
use porteiro_simulation::{Answered, Call, Key, Site};

const ISSUER: &str = "https://id.example";
const ONE: Key = Key("one");
const TWO: Key = Key("two");
const MILLISECOND: Duration = Duration::from_millis(1);

/// A site whose connection `staff` may call, with tokens of an issuer.
fn site() -> Site {
    with_variables(&variables())
}

fn variables() -> Value {
    let mut variables = Site::variables();
    variables["CALLERS"]["staff"] = json!({ "kind": "jwt", "issuer": ISSUER, "audience": "porteiro" });
    variables["CONNECTIONS"]["acme"]["rules"][0]["callers"] = json!(["backend", "page", "staff"]);
    variables
}

fn with_variables(variables: &Value) -> Site {
    let site = Site::with_variables(1, GRANTS, variables);
    site.shared.issuers.publish(ISSUER, &[ONE]);
    // The connection's own token is there.
    assert_eq!(site.call(1, &Call::get("/api/acme/things")).status, 200);
    site
}

/// Claims of a token that lives for `life`; none are the same twice.
fn claims(site: &Site, life: Duration) -> Value {
    let world = &site.shared.world;
    let expires_at = (world.now() + life).as_millis() / 1000;
    json!({ "iss": ISSUER, "aud": "porteiro", "sub": "ana", "exp": expires_at, "jti": world.unique().to_string() })
}

fn calling(token: &str) -> Call {
    Call::get("/api/acme/things").field("authorization", &format!("Bearer {token}"))
}

/// A call with a token that nobody saw before, signed by `key`.
fn call(site: &Site, isolate: u32, key: Key) -> Answered {
    site.call(isolate, &calling(&key.sign(&claims(site, Duration::from_hours(1)))))
}

/// How often the issuer's keys were asked for.
fn fetches(site: &Site) -> usize {
    site.shared.issuers.fetched.borrow().iter().filter(|url| url.ends_with("/keys")).count()
}

/// How often the issuer was asked for anything.
fn asked(site: &Site) -> usize {
    site.shared.issuers.fetched.borrow().iter().filter(|url| !url.ends_with("/keys")).count()
}

fn wait(site: &Site, span: Duration) {
    site.shared.world.run_for(span);
}

/// When the keys in the cache were fetched.
fn fetched_at(site: &Site) -> UnixTime {
    let records = site.shared.cache.dump();
    let (name, text) =
        records.iter().find(|(name, _)| name.starts_with("issuer-keys/")).expect("cached keys");
    let config = site.shared.config();
    let record: Value =
        token::open(text, name, config.sealing_keys.as_ref().unwrap()).expect("a sealed record");
    UnixTime::from_json(&mut record["fetched_at"].clone()).expect("a moment")
}

#[test]
fn fetches_keys_once_and_again_when_they_are_no_longer_fresh() {
    let site = site();
    assert_eq!((call(&site, 1, ONE).status, fetches(&site)), (200, 1));
    wait(&site, Duration::from_secs(1));
    let fresh_until = fetched_at(&site) + Duration::from_mins(10);
    site.shared.world.run_until(UnixTime::from_millis(fresh_until.as_millis() - 1));
    assert_eq!((call(&site, 1, ONE).status, fetches(&site)), (200, 1));
    site.shared.world.run_until(fresh_until);
    assert_eq!((call(&site, 1, ONE).status, fetches(&site)), (200, 2));
    assert_eq!((call(&site, 1, ONE).status, fetches(&site)), (200, 2));
}

#[test]
fn takes_a_withdrawn_key_no_more_once_the_keys_were_fetched_again() {
    let site = site();
    assert_eq!(call(&site, 1, ONE).status, 200);
    site.shared.issuers.publish(ISSUER, &[TWO]);
    wait(&site, Duration::from_mins(11));
    assert_eq!(call(&site, 1, TWO).status, 200);
    assert_eq!(call(&site, 1, ONE).status, 401);
}

#[test]
fn goes_on_with_old_keys_while_the_issuer_is_down_for_a_day_and_not_a_moment_longer() {
    let site = site();
    assert_eq!(call(&site, 1, ONE).status, 200);
    wait(&site, Duration::from_secs(1));
    let usable_until = fetched_at(&site) + Duration::from_hours(24);
    site.shared.issuers.down.set(true);
    wait(&site, Duration::from_mins(10));
    let before = asked(&site);
    for _ in 0..20 {
        assert_eq!(call(&site, 1, ONE).status, 200);
        wait(&site, Duration::from_secs(6));
    }
    assert!((2..=3).contains(&(asked(&site) - before)), "the issuer is left alone for a minute");
    site.shared.world.run_until(UnixTime::from_millis(usable_until.as_millis() - 30_000));
    assert_eq!(call(&site, 1, ONE).status, 200);
    // The issuer was just asked: it is left alone.
    site.shared.world.run_until(UnixTime::from_millis(usable_until.as_millis() - 1));
    assert_eq!(call(&site, 1, ONE).status, 200);
    site.shared.world.run_until(usable_until);
    let refused = call(&site, 1, ONE);
    assert_eq!((refused.status, refused.code().as_str()), (401, "caller_unauthenticated"));
    assert_eq!(refused.field("www-authenticate"), Some(r#"Bearer realm="porteiro", error="invalid_token""#));
    let unreachable = r#"{"caller":"staff","event":"issuer_unreachable","level":"error"}"#;
    assert!(site.shared.logs.borrow().iter().any(|line| line == unreachable));
    site.shared.issuers.down.set(false);
    wait(&site, Duration::from_secs(3));
    assert_eq!(call(&site, 1, ONE).status, 200);
}

#[test]
fn proves_nobody_while_an_issuer_was_never_reached_and_tries_again_soon() {
    let site = site();
    site.shared.issuers.down.set(true);
    assert_eq!(call(&site, 1, ONE).status, 401);
    assert_eq!(call(&site, 1, ONE).status, 401);
    assert_eq!(asked(&site), 1);
    site.shared.issuers.down.set(false);
    wait(&site, Duration::from_secs(2));
    assert_eq!(call(&site, 1, ONE).status, 200);
}

#[test]
fn asks_for_a_key_that_it_does_not_know_once_a_minute_however_many_call() {
    let site = site();
    assert_eq!((call(&site, 1, ONE).status, fetches(&site)), (200, 1));
    wait(&site, Duration::from_mins(1));
    let unknown = calling(&TWO.sign(&claims(&site, Duration::from_hours(1))));
    assert!(site.storm(1, 100, &unknown).iter().all(|answered| answered.status == 401));
    assert_eq!(fetches(&site), 2);
    site.shared.issuers.publish(ISSUER, &[ONE, TWO]);
    wait(&site, Duration::from_secs(58));
    assert_eq!((call(&site, 1, TWO).status, fetches(&site)), (401, 2));
    assert_eq!(call(&site, 1, ONE).status, 200, "the keys that are known serve");
    wait(&site, Duration::from_secs(2));
    assert_eq!((call(&site, 1, TWO).status, fetches(&site)), (200, 3));
}

#[test]
fn fetches_keys_once_for_a_cold_burst() {
    let site = site();
    let call = calling(&ONE.sign(&claims(&site, Duration::from_hours(1))));
    assert!(site.storm(1, 100, &call).iter().all(|answered| answered.status == 200));
    assert_eq!((asked(&site), fetches(&site)), (1, 1));
}

#[test]
fn waits_for_a_fetch_whose_request_was_killed_no_longer_than_its_limit() {
    const OTHER: u32 = 77;
    let site = site();
    site.shared.issuers.slow.set(Duration::from_hours(1));
    let killed = site.calling(1, &calling(&ONE.sign(&claims(&site, Duration::from_hours(2)))));
    site.shared.world.spawn(OTHER, async move { drop(killed.await) });
    wait(&site, Duration::from_secs(1));
    assert_eq!(asked(&site), 1);
    site.shared.world.kill(OTHER);
    site.shared.issuers.slow.set(Duration::ZERO);
    let begun = site.shared.world.now();
    assert_eq!(call(&site, 1, ONE).status, 200);
    let took = site.shared.world.now().since(begun);
    assert!((13..=15).contains(&took.as_secs()), "{took:?}");
}

#[test]
fn reads_keys_from_the_cache_in_a_new_isolate_unless_somebody_forged_them() {
    let site = site();
    assert_eq!((call(&site, 1, ONE).status, fetches(&site)), (200, 1));
    wait(&site, Duration::from_secs(1));
    assert_eq!((call(&site, 2, ONE).status, fetches(&site)), (200, 1));
    // Cached keys are no fresher than they are.
    wait(&site, Duration::from_mins(10));
    assert_eq!((call(&site, 3, ONE).status, fetches(&site)), (200, 2));
    wait(&site, Duration::from_secs(1));
    let keys = json!({ "fetched_at": site.shared.world.now().as_millis(), "keys": json!({ "keys": [TWO.jwk()] }).to_string() });
    for forged in [keys.to_string(), "1.k1.AAAA".to_owned()] {
        site.shared.cache.overwrite(&forged);
        let isolate = 4 + u32::try_from(forged.len()).unwrap();
        assert_eq!(call(&site, isolate, TWO).status, 401);
        assert_eq!(call(&site, isolate, ONE).status, 200);
    }
    assert!(site.shared.logs.borrow().iter().any(|line| line.contains(r#""record":"issuer-keys/"#)));
}

#[test]
fn remembers_a_token_until_it_expires_and_no_longer() {
    let site = site();
    let claims = claims(&site, Duration::from_mins(5));
    let expires_at = UnixTime::from_millis(claims["exp"].as_u64().unwrap() * 1000) + Duration::from_mins(1);
    let call = calling(&ONE.sign(&claims));
    for _ in 0..3 {
        assert_eq!(site.call(1, &call).status, 200);
    }
    site.shared.world.run_until(UnixTime::from_millis(expires_at.as_millis() - 1));
    assert_eq!((site.call(1, &call).status, site.shared.issuers.verified.get()), (200, 1));
    assert_eq!(
        (site.call(2, &call).status, site.shared.issuers.verified.get()),
        (401, 1),
        "the way took a while"
    );
    site.shared.world.run_until(expires_at + MILLISECOND);
    assert_eq!((site.call(1, &call).status, site.shared.issuers.verified.get()), (401, 1));
}

#[test]
fn remembers_no_token_whose_signature_is_wrong() {
    let site = site();
    let good = ONE.sign(&claims(&site, Duration::from_hours(1)));
    let other = ONE.sign(&claims(&site, Duration::from_hours(2)));
    let (input, signature) = (other.rsplit_once('.').unwrap().0, good.rsplit_once('.').unwrap().1);
    let forged = calling(&format!("{input}.{signature}"));
    for checks in 1..4 {
        assert_eq!((site.call(1, &forged).status, site.shared.issuers.verified.get()), (401, checks));
    }
    assert_eq!(site.call(1, &calling(&good)).status, 200);
}

#[test]
fn tells_two_callers_of_one_issuer_apart() {
    let mut variables = variables();
    variables["CALLERS"]["admins"] = json!({ "kind": "jwt", "issuer": ISSUER, "audience": ["porteiro", "desk"], "claims": { "role": "admin" } });
    let rule = |caller: &str, method: &str| json!({ "callers": [caller], "methods": [method], "paths": ["/things"] });
    variables["CONNECTIONS"]["acme"]["rules"] =
        json!([rule("backend", "GET"), rule("staff", "GET"), rule("admins", "POST")]);
    let site = with_variables(&variables);
    let statuses = |change: &dyn Fn(&mut Value)| {
        let mut claims = claims(&site, Duration::from_hours(1));
        change(&mut claims);
        let call = calling(&ONE.sign(&claims));
        ["GET", "POST"].map(|method| site.call(1, &call.clone().method(method)).status)
    };
    assert_eq!(statuses(&|_| {}), [200, 403]);
    assert_eq!(statuses(&|claims| claims["role"] = "admin".into()), [200, 200]);
    assert_eq!(site.shared.issuers.verified.get(), 2, "a token is verified once for both");
    let at_desk = |claims: &mut Value| (claims["aud"], claims["role"]) = ("desk".into(), "admin".into());
    assert_eq!(statuses(&at_desk), [403, 200]);
    assert_eq!(statuses(&|claims| claims["aud"] = "desk".into()), [401, 401]);
    assert_eq!(statuses(&|claims| claims["iss"] = "https://other.example".into()), [401, 401]);
    assert_eq!(fetches(&site), 1);
    let calls = site.shared.upstream_calls.borrow();
    assert!(calls.iter().all(|(_, fields)| !fields.contains("eyJ")), "the token never goes upstream");
}

#[test]
fn limits_each_caller_by_who_it_is() {
    let mut variables = variables();
    variables["CONNECTIONS"]["acme"]["rules"][0]["rate_limit"] = json!({ "requests": 2, "seconds": 60 });
    let site = with_variables(&variables);
    let key = Call::get("/api/acme/things");
    let token = |subject: &str| {
        let mut claims = claims(&site, Duration::from_hours(1));
        claims["sub"] = subject.into();
        calling(&ONE.sign(&claims))
    };
    let page = |address: &str| Call::from_page("GET", "/api/acme/things").field("cf-connecting-ip", address);
    assert_eq!(site.call(1, &key).status, 200);
    for caller in
        [key, token("bia"), token("caio"), page("192.0.2.1"), page("192.0.2.2"), page("2001:db8::1")]
    {
        let statuses: Vec<u16> = (0..3).map(|_| site.call(1, &caller).status).collect();
        let expected: &[u16] =
            if caller.fields[0].1.ends_with(Site::CALLER_KEY) { &[429; 3] } else { &[200, 200, 429] };
        assert_eq!(statuses, expected, "{caller:?}");
    }
    // Another token of the same subject, and another address of the same network.
    for caller in [token("bia"), page("2001:db8::ffff")] {
        let limited = site.call(1, &caller);
        assert_eq!((limited.status, limited.code().as_str()), (429, "rate_limited"));
        let seconds: u64 = limited.field("retry-after").unwrap().parse().unwrap();
        assert!((1..=60).contains(&seconds));
    }
    wait(&site, Duration::from_mins(1));
    assert_eq!(site.call(1, &token("bia")).status, 200);
}

#[test]
fn limits_each_session() {
    let mut variables = Site::variables_for_people();
    variables["CONNECTIONS"]["acme"]["rules"][0]["rate_limit"] = json!({ "requests": 2, "seconds": 60 });
    let site = Site::for_people(1, GRANTS);
    site.redeploy(&variables);
    let cookie = |person: &str| {
        let sign_in =
            Call::sign_in("acme", &format!("{person}@example.com"), &format!("{person}'s password"));
        site.call(1, &sign_in).cookie().expect("a cookie").to_owned()
    };
    for cookie in [cookie("ana"), cookie("ana"), cookie("bia")] {
        let call = Call::from_page("GET", "/api/acme/things").cookie(Some(&cookie));
        assert_eq!([(); 3].map(|()| site.call(1, &call).status), [200, 200, 429]);
    }
}
