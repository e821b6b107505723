//! Secrets that follow one another, while isolates and objects of the version
//! before and of the one after serve at the same time.

use std::time::Duration;

use serde_json::{Value, json};

use super::GRANTS;
use porteiro::protocol::List;
use porteiro_simulation::{Answered, Call, Event, Grants, Objects, Receiver, Site, deliveries};

const OLD_KEY: &str = "k1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
const NEW_KEY: &str = "k2:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";
const NEXT_WEBHOOK_SECRET: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const NEXT_CALLER_KEY: &str = "next-caller-key-0123456789-0123456789-0123456789";

/// The isolates of the version before, and of the one after.
const BEFORE: u32 = 1;
const AFTER: u32 = 2;

/// What has become of the token when a version changes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Moment {
    /// It is good, and copied.
    Fresh,
    /// It is worth another one behind the call.
    Ageing,
    /// It has expired.
    Expired,
    /// The upstream refuses it.
    Revoked,
}

const MOMENTS: [Moment; 4] = [Moment::Fresh, Moment::Ageing, Moment::Expired, Moment::Revoked];

/// The variables with changes.
fn with(changes: &[(&str, &str)]) -> Value {
    let mut variables = Site::variables();
    variables["CONNECTIONS"]["acme"]["client_auth"] = "post".into();
    variables["ACME_CLIENT_SECRET"] = "client secret".into();
    for (name, value) in changes {
        variables[*name] = (*value).into();
    }
    variables
}

fn site(variables: &Value) -> Site {
    let site = Site::with_variables(3, GRANTS, variables);
    site.shared.objects.no_alarms.set(true);
    *site.shared.provider.client_secrets.borrow_mut() = vec!["client secret", "next secret"];
    *site.shared.provider.account_passwords.borrow_mut() = vec!["pass word", "next password"];
    site
}

fn things() -> Call {
    Call::get("/api/acme/things")
}

fn with_key(key: &str) -> Call {
    things().field("authorization", &format!("Bearer {key}"))
}

/// Changes the version but for one isolate, and for the keeper or not.
fn change_most(site: &Site, variables: &Value, keeper_too: bool) {
    site.release(variables);
    site.kill_isolate(AFTER);
    if keeper_too {
        site.shared.kill_keeper();
    }
}

/// Changes what is left of the version before.
fn change_the_rest(site: &Site) {
    site.kill_isolate(BEFORE);
    site.shared.kill_keeper();
}

fn come(site: &Site, moment: Moment) {
    let seconds = match moment {
        Moment::Fresh | Moment::Revoked => 2,
        Moment::Ageing => 3000,
        Moment::Expired => 3601,
    };
    site.shared.world.run_for(Duration::from_secs(seconds));
    if moment == Moment::Revoked {
        site.shared.provider.revoke_access_tokens();
    }
}

/// What the first calls get that isolates of both versions serve, each asked
/// several times at once.
fn served_by_both(site: &Site, call: &Call) -> Vec<Answered> {
    let mut answers = site.storm(2, 20, call);
    for isolate in [BEFORE, AFTER, AFTER, BEFORE] {
        answers.push(site.call(isolate, call));
    }
    answers
}

fn failures(answers: &[Answered]) -> Vec<String> {
    answers.iter().filter(|answered| answered.status != 200).map(Answered::code).collect()
}

/// Goes through `versions` one after the other, each time with isolates of both
/// and a keeper of either, at each moment of a token's life; gives the calls
/// that failed.
fn failed_on_the_way(versions: &[Value], call: &Call) -> Vec<(Moment, bool, String)> {
    let mut failed = Vec::new();
    for moment in MOMENTS {
        for keeper_first in [true, false] {
            let site = site(&versions[0]);
            for next in &versions[1..] {
                assert_eq!(failures(&served_by_both(&site, call)), [] as [&str; 0]);
                come(&site, moment);
                change_most(&site, next, keeper_first);
                let codes = failures(&served_by_both(&site, call));
                failed.extend(codes.into_iter().map(|code| (moment, keeper_first, code)));
                change_the_rest(&site);
                // Something is written by the version after, before the next one comes. No more
                // tokens are revoked in a minute than are replaced at once.
                site.shared.world.run_for(Duration::from_secs(61));
                site.shared.provider.revoke_access_tokens();
            }
            assert_eq!(failures(&served_by_both(&site, call)), [] as [&str; 0]);
            assert_eq!(site.shared.watch.broken(), None);
        }
    }
    failed
}

#[track_caller]
fn check_no_call_fails(versions: &[Value], call: &Call) {
    assert_eq!(failed_on_the_way(versions, call), []);
}

fn sealed_with(keys: &[&str]) -> Value {
    with(&[("SEALING_KEYS", &keys.join(","))])
}

#[test]
fn changes_the_sealing_key_in_the_documented_order() {
    let versions = [&[OLD_KEY][..], &[OLD_KEY, NEW_KEY], &[NEW_KEY, OLD_KEY], &[NEW_KEY]].map(sealed_with);
    check_no_call_fails(&versions, &things());
}

#[test]
fn fails_calls_where_a_sealing_key_is_first_before_all_can_open_it() {
    let versions = [&[OLD_KEY][..], &[NEW_KEY, OLD_KEY]].map(sealed_with);
    let failed = failed_on_the_way(&versions, &things());
    assert!(!failed.is_empty());
    for (moment, keeper_first, code) in failed {
        // An old isolate cannot open what a new keeper sealed.
        assert!(keeper_first && code == "internal", "{moment:?} {code}");
    }
}

#[test]
fn fails_calls_where_a_sealing_key_is_replaced_at_once() {
    let site = site(&sealed_with(&[OLD_KEY]));
    assert_eq!(failures(&served_by_both(&site, &things())), [] as [&str; 0]);
    come(&site, Moment::Revoked);
    change_most(&site, &sealed_with(&[NEW_KEY]), true);
    assert!(failures(&served_by_both(&site, &things())).contains(&"internal".to_owned()));
    change_the_rest(&site);
    assert_eq!(failures(&served_by_both(&site, &things())), [] as [&str; 0]);
}

#[test]
fn obtains_a_token_anew_where_a_sealing_key_goes_before_all_is_sealed_again() {
    let site = site(&sealed_with(&[OLD_KEY]));
    assert_eq!(site.call(BEFORE, &things()).token_source(), "grant");
    site.redeploy(&sealed_with(&[NEW_KEY]));
    assert_eq!(site.call(BEFORE, &things()).token_source(), "grant");
    assert!(site.shared.logs.borrow().iter().any(|line| line.contains("record_unopened")));
}

/// A site with one connection that has nothing but a refresh token, which was
/// rotated once.
fn site_with_refresh_token_only() -> (Site, impl Fn(&[&str]) -> Value) {
    let sealed = |keys: &[&str]| {
        let mut variables = sealed_with(keys);
        variables["CONNECTIONS"]["acme"]["grant"] = "refresh_token".into();
        variables["ACME_REFRESH_TOKEN"] = "refresh-0".into();
        variables
    };
    let site = site(&sealed(&[OLD_KEY]));
    site.shared.provider.sign_in("refresh-0");
    site.shared.refresh_token_only.set(true);
    assert_eq!(site.call(BEFORE, &things()).status, 200);
    (site, sealed)
}

#[test]
fn keeps_the_only_refresh_token_while_the_sealing_key_changes() {
    let (site, sealed) = site_with_refresh_token_only();
    for keys in [&[OLD_KEY, NEW_KEY][..], &[NEW_KEY, OLD_KEY], &[NEW_KEY]] {
        site.redeploy(&sealed(keys));
        come(&site, Moment::Expired);
        assert_eq!(site.call(BEFORE, &things()).token_source(), "grant", "{keys:?}");
    }
    assert!(site.shared.stored_state().unwrap().starts_with("1.k2."));
}

#[test]
fn loses_the_only_refresh_token_where_its_sealing_key_goes_too_early() {
    let (site, sealed) = site_with_refresh_token_only();
    site.redeploy(&sealed(&[NEW_KEY]));
    assert_eq!(site.call(BEFORE, &things()).code(), "credentials_rejected");
}

#[test]
fn changes_a_client_secret_of_which_two_count() {
    let versions = [with(&[]), with(&[("ACME_CLIENT_SECRET", "next secret")])];
    check_no_call_fails(&versions, &things());
}

#[test]
fn changes_a_password_where_the_account_has_two_for_a_moment() {
    let versions = [with(&[]), with(&[("ACME_PASSWORD", "next password")])];
    check_no_call_fails(&versions, &things());
}

/// A change of the account at the provider, which ends all tokens of it.
fn change_at_the_provider(site: &Site) {
    *site.shared.provider.account_passwords.borrow_mut() = vec!["next password"];
    site.shared.provider.revoke_everything();
}

#[test]
fn changes_a_password_of_which_one_counts_where_the_broker_has_it_first() {
    for keeper_first in [true, false] {
        let site = site(&with(&[]));
        *site.shared.provider.account_passwords.borrow_mut() = vec!["pass word"];
        assert_eq!(failures(&served_by_both(&site, &things())), [] as [&str; 0]);
        change_most(&site, &with(&[("ACME_PASSWORD", "next password")]), keeper_first);
        // The token is fresh: nobody needs the password.
        assert_eq!(failures(&served_by_both(&site, &things())), [] as [&str; 0]);
        change_the_rest(&site);
        assert_eq!(failures(&served_by_both(&site, &things())), [] as [&str; 0]);
        change_at_the_provider(&site);
        assert_eq!(failures(&served_by_both(&site, &things())), [] as [&str; 0]);
        assert_eq!(site.shared.provider.rejected.get(), 0);
    }
}

#[test]
fn waits_out_a_refusal_of_a_password_that_the_broker_has_too_early() {
    let site = site(&with(&[]));
    *site.shared.provider.account_passwords.borrow_mut() = vec!["pass word"];
    assert_eq!(site.call(BEFORE, &things()).status, 200);
    site.redeploy(&with(&[("ACME_PASSWORD", "next password")]));
    site.shared.provider.revoke_everything();
    assert_eq!(site.call(BEFORE, &things()).code(), "credentials_rejected");
    change_at_the_provider(&site);
    // It is the same password as the one refused: the wait goes on.
    assert_eq!(site.call(BEFORE, &things()).code(), "connection_unavailable");
    site.shared.world.run_for(Duration::from_secs(80));
    assert_eq!(site.call(BEFORE, &things()).status, 200);
}

#[test]
fn serves_with_the_token_held_where_the_provider_forgets_a_secret_first() {
    for (variable, value) in [("ACME_PASSWORD", "next password"), ("ACME_CLIENT_SECRET", "next secret")] {
        let site = site(&with(&[]));
        assert_eq!(site.call(BEFORE, &things()).status, 200);
        *site.shared.provider.account_passwords.borrow_mut() = vec!["next password"];
        *site.shared.provider.client_secrets.borrow_mut() =
            if variable == "ACME_PASSWORD" { vec![] } else { vec!["next secret"] };
        assert_eq!(site.call(BEFORE, &things()).status, 200, "{variable}");
        site.shared.provider.revoke_everything();
        // A token that worked may have been refused for the call, until it works for none.
        let calls = ["/api/acme/things/1", "/api/acme/things/2", "/api/acme/things"].map(Call::get);
        let codes = calls.map(|call| {
            site.shared.world.run_for(Duration::from_secs(15));
            site.call(BEFORE, &call).code()
        });
        let refused = "upstream_unauthorized";
        assert_eq!(codes, [refused, refused, "connection_unavailable"], "{variable}");
        assert_eq!(site.call(BEFORE, &things()).json()["cause"], "credentials_rejected", "{variable}");
        // The new one ends the wait at once.
        site.redeploy(&with(&[("ACME_PASSWORD", "next password"), (variable, value)]));
        assert_eq!(site.call(BEFORE, &things()).status, 200, "{variable}");
    }
}

#[test]
fn fails_calls_where_the_account_itself_changes_until_all_are_of_one_version() {
    for keeper_first in [true, false] {
        let site = site(&with(&[]));
        assert_eq!(failures(&served_by_both(&site, &things())), [] as [&str; 0]);
        come(&site, Moment::Expired);
        change_most(&site, &with(&[("ACME_USERNAME", "bia@example.com")]), keeper_first);
        let (agreeing, other) = if keeper_first { (AFTER, BEFORE) } else { (BEFORE, AFTER) };
        assert_eq!(site.call(agreeing, &things()).status, 200);
        assert_eq!(site.call(other, &things()).code(), "misconfigured");
        change_the_rest(&site);
        assert_eq!(failures(&served_by_both(&site, &things())), [] as [&str; 0]);
    }
}

#[test]
fn changes_a_callers_key_while_two_count() {
    let [old, both, new] = [
        Site::CALLER_KEY.to_owned(),
        format!("{}, {NEXT_CALLER_KEY}", Site::CALLER_KEY),
        NEXT_CALLER_KEY.to_owned(),
    ]
    .map(|keys| with(&[("BACKEND_KEY", &keys)]));
    check_no_call_fails(&[old, both.clone()], &things());
    check_no_call_fails(&[both, new], &with_key(NEXT_CALLER_KEY));
}

#[test]
fn refuses_a_callers_key_that_is_used_before_all_know_it() {
    let site = site(&with(&[]));
    assert_eq!(failures(&served_by_both(&site, &things())), [] as [&str; 0]);
    let both = format!("{},{NEXT_CALLER_KEY}", Site::CALLER_KEY);
    change_most(&site, &with(&[("BACKEND_KEY", &both)]), true);
    assert_eq!(site.call(AFTER, &with_key(NEXT_CALLER_KEY)).status, 200);
    assert_eq!(site.call(BEFORE, &with_key(NEXT_CALLER_KEY)).code(), "caller_unauthenticated");
}

/// The members of the last log line of a call.
fn last_line(site: &Site) -> Value {
    let logs = site.shared.logs.borrow();
    let mut calls = logs.iter().rev().filter_map(|line| serde_json::from_str(line).ok());
    calls.find(|line: &Value| line["event"] == "call").expect("a call")
}

#[test]
fn tells_which_key_of_several_a_caller_uses() {
    let both = format!("{},{NEXT_CALLER_KEY}", Site::CALLER_KEY);
    let site = site(&with(&[("BACKEND_KEY", &both)]));
    for (key, number) in [(Site::CALLER_KEY, 1), (NEXT_CALLER_KEY, 2)] {
        assert_eq!(site.call(1, &with_key(key)).status, 200);
        assert_eq!(last_line(&site)["key"], number);
    }
    // A call that is allowed as another caller's is told as that.
    let mut variables = with(&[("BACKEND_KEY", &both)]);
    variables["CONNECTIONS"]["acme"]["rules"][0]["callers"] = json!(["page", "backend"]);
    site.redeploy(&variables);
    assert_eq!(site.call(1, &things().field("origin", "https://app.example")).status, 200);
    let line = last_line(&site);
    assert_eq!((&line["caller"], line.get("key")), (&json!("page"), None));
    site.redeploy(&with(&[]));
    assert_eq!(site.call(1, &things()).status, 200);
    assert_eq!(last_line(&site).get("key"), None);
}

#[test]
fn counts_the_calls_of_both_keys_together() {
    let both = format!("{},{NEXT_CALLER_KEY}", Site::CALLER_KEY);
    let mut variables = with(&[("BACKEND_KEY", &both)]);
    variables["CONNECTIONS"]["acme"]["rules"][0]["rate_limit"] = json!({ "requests": 2, "seconds": 60 });
    let site = site(&variables);
    assert_eq!(site.call(1, &with_key(Site::CALLER_KEY)).status, 200);
    assert_eq!(site.call(1, &with_key(NEXT_CALLER_KEY)).status, 200);
    assert_eq!(site.call(1, &with_key(NEXT_CALLER_KEY)).code(), "rate_limited");
}

/// The variables of a site for webhooks with changes.
fn webhooks_with(changes: &[(&str, &str)]) -> Value {
    let mut variables = Site::variables_for_webhooks();
    for (name, value) in changes {
        variables[*name] = (*value).into();
    }
    variables
}

fn event(number: u64, token: &str) -> Call {
    Call::event("acme", &Event::new(number).text.replace(Event::TOKEN, token))
}

#[test]
fn tells_which_account_token_of_several_proved_an_event() {
    const NEXT: &str = "next-account-token-0123456789";
    for place in ["token_field", "token_header"] {
        let mut variables = webhooks_with(&[("ACME_ACCOUNT_TOKEN", &format!("{},{NEXT}", Event::TOKEN))]);
        let name = if place == "token_field" { "api_token" } else { "x-token" };
        let table = variables["CONNECTIONS"]["acme"]["webhook"].as_object_mut().unwrap();
        table.remove("token_field");
        table.insert(place.to_owned(), name.into());
        let site = Site::with_variables(1, GRANTS, &variables);
        for (at, token) in [Event::TOKEN, NEXT].into_iter().enumerate() {
            assert_eq!(site.call(1, &event(at as u64, token).field("x-token", token)).status, 202);
            assert_eq!(last_line(&site)["account_token"], at + 1, "{place}");
        }
        variables["ACME_ACCOUNT_TOKEN"] = NEXT.into();
        site.redeploy(&variables);
        assert_eq!(site.call(1, &event(7, NEXT).field("x-token", NEXT)).status, 202);
        assert_eq!(last_line(&site).get("account_token"), None);
        assert_eq!(site.call(1, &event(8, Event::TOKEN)).code(), "webhook_rejected");
    }
}

/// Goes through `versions` with events to isolates of both and an object of
/// either, which deliver to a receiver that knows one secret at a time: from the
/// version `receiver_changes` on the next one.
fn deliver_on_the_way(versions: &[Value], object_first: bool, receiver_changes: usize) -> Site {
    let site = Site::for_webhooks(5);
    site.shared.receiver.takes_others.set(true);
    let mut number = 0;
    for (at, next) in versions.iter().enumerate() {
        if at == receiver_changes {
            *site.shared.receiver.secrets.borrow_mut() = vec![NEXT_WEBHOOK_SECRET.to_owned()];
        }
        site.release(next);
        site.kill_isolate(AFTER);
        if object_first {
            Objects::kill(&site.shared, &deliveries("acme"));
        }
        for isolate in [BEFORE, AFTER, AFTER, BEFORE] {
            number += 1;
            assert_eq!(site.send(isolate, &Event::new(number)).status, 202);
        }
        site.shared.world.run_for(Duration::from_secs(1));
        site.kill_isolate(BEFORE);
        Objects::kill(&site.shared, &deliveries("acme"));
        site.shared.world.run_for(Duration::from_mins(2));
        // An isolate and the object begin, and are of the version before from now on.
        assert_eq!(site.call(BEFORE, &Call::operator("GET", "")).status, 200);
    }
    assert_eq!(site.shared.objects.records("acme", List::Delivered).len() as u64, number);
    site
}

#[test]
fn takes_and_delivers_events_while_their_secrets_change() {
    let (old, both) = (Receiver::SECRET, format!("{},{NEXT_WEBHOOK_SECRET}", Receiver::SECRET));
    let sealed = |keys: &[&str]| webhooks_with(&[("SEALING_KEYS", &keys.join(","))]);
    let signed = |secret: &str| webhooks_with(&[("ACME_WEBHOOK_SECRET", secret)]);
    let sealing = [&[OLD_KEY][..], &[OLD_KEY, NEW_KEY], &[NEW_KEY, OLD_KEY], &[NEW_KEY]].map(sealed);
    let signing = [old, &both, NEXT_WEBHOOK_SECRET].map(signed);
    for (versions, receiver_changes) in [(&sealing[..], sealing.len()), (&signing, 2)] {
        for object_first in [true, false] {
            let site = deliver_on_the_way(versions, object_first, receiver_changes);
            assert_eq!(site.shared.delivery_watch.broken(), None);
            assert!(!site.shared.logs.borrow().iter().any(|line| line.contains("unopened")));
        }
    }
}

#[test]
fn keeps_events_for_later_where_a_sealing_key_is_first_too_early() {
    let versions =
        [&[OLD_KEY][..], &[NEW_KEY, OLD_KEY]].map(|keys| webhooks_with(&[("SEALING_KEYS", &keys.join(","))]));
    let site = deliver_on_the_way(&versions, false, versions.len());
    let logs = site.shared.logs.borrow();
    assert!(logs.iter().any(|line| line.contains(r#""outcome":"unopened""#)), "it was tried in vain before");
}

/// The variables of a site for people that seals with `keys`.
fn people_sealed_with(keys: &[&str]) -> Value {
    let mut variables = Site::variables_for_people();
    variables["SEALING_KEYS"] = keys.join(",").into();
    variables
}

fn persons_things(cookie: &str) -> Call {
    Call::from_page("GET", "/api/acme/things").cookie(Some(cookie))
}

/// Has people sign in, sign in again and call in isolates of both versions; the
/// calls that failed.
fn use_sessions(site: &Site, cookies: &mut Vec<String>) -> Vec<String> {
    let sign_in = Call::sign_in("acme", "ana@example.com", "ana's password");
    let mut answers = Vec::new();
    for isolate in [BEFORE, AFTER] {
        let first = cookies.first().cloned();
        for cookie in [None, first.as_deref()] {
            let answered = site.call(isolate, &sign_in.clone().cookie(cookie));
            if let Some(new) = answered.cookie() {
                cookies.retain(|known| Some(known.as_str()) != cookie);
                cookies.insert(0, new.to_owned());
            }
            answers.push(answered);
        }
    }
    for cookie in cookies {
        answers.extend([BEFORE, AFTER].map(|isolate| site.call(isolate, &persons_things(cookie))));
    }
    failures(&answers)
}

/// Goes through `versions` with people in isolates of both and sessions of
/// either; the site, their cookies, the oldest last, and the calls that failed.
fn people_on_the_way(versions: &[&[&str]], objects_first: bool) -> (Site, Vec<String>, Vec<String>) {
    let site = Site::for_people(9, Grants { expires_in: 600, ..GRANTS });
    let (mut cookies, mut failed) = (Vec::new(), Vec::new());
    for keys in versions {
        site.release(&people_sealed_with(keys));
        site.kill_isolate(AFTER);
        if objects_first {
            Objects::kill_all(&site.shared, "");
        }
        failed.extend(use_sessions(&site, &mut cookies));
        site.kill_isolate(BEFORE);
        Objects::kill_all(&site.shared, "");
        site.shared.world.run_for(Duration::from_mins(20));
        // An isolate and the sessions begin, and are of the version before from now on.
        let answers: Vec<_> =
            cookies.iter().map(|cookie| site.call(BEFORE, &persons_things(cookie))).collect();
        failed.extend(failures(&answers));
    }
    (site, cookies, failed)
}

#[test]
fn keeps_people_signed_in_while_the_sealing_key_changes() {
    for objects_first in [true, false] {
        let versions = [&[OLD_KEY][..], &[OLD_KEY, NEW_KEY], &[NEW_KEY, OLD_KEY]];
        let (site, cookies, failed) = people_on_the_way(&versions, objects_first);
        assert_eq!(failed, [] as [&str; 0]);
        let sign_in = Call::sign_in("acme", "bia@example.com", "bia's password");
        let newest = site.call(1, &sign_in).cookie().expect("a cookie").to_owned();
        // A session that began under the old key is over where that goes too early.
        site.redeploy(&people_sealed_with(&[NEW_KEY]));
        assert_eq!(site.call(1, &persons_things(cookies.last().unwrap())).code(), "caller_unauthenticated");
        assert_eq!(site.call(1, &persons_things(&newest)).status, 200);
    }
}

#[test]
fn fails_people_where_a_sealing_key_is_first_too_early() {
    for objects_first in [true, false] {
        let (_, _, failed) = people_on_the_way(&[&[OLD_KEY], &[NEW_KEY, OLD_KEY]], objects_first);
        // Old isolates do not open what new sessions sealed, nor old sessions what new isolates did.
        let code = if objects_first { "internal" } else { "connection_unavailable" };
        assert!(failed.iter().any(|failure| failure == code), "{failed:?}");
    }
}
