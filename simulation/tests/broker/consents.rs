//! Consents over simulated surroundings, where something happens while a code is exchanged.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use porteiro::edge::people::cookie::COOKIE;
use porteiro::protocol::{Envelope, PeopleAsk, PeopleReply};
use porteiro_simulation::{Answered, Call, Consenting, Fault, Grants, Site};

const HOUR: Grants = Grants { expires_in: 3600, refresh_tokens: true, rotation: true, reuse_detection: true };

pub const WHO: Consenting<'static> = Consenting { browser: 0, subject: "ana", sid: "sid" };

/// The return from the provider of a flow that began with this cookie of a session.
fn returning(site: &Site, connection: &str, cookie: Option<&str>) -> Call {
    let navigation = |target: &str| {
        let call = Call::get(target).field("authorization", "").field("sec-fetch-mode", "navigate");
        call.field("sec-fetch-dest", "document")
    };
    let begun = site.call(1, &navigation(&format!("/auth/{connection}/connect")).cookie(cookie));
    let (name, value) = begun.cookies().pop().expect("a cookie of the flow");
    let url = site.shared.provider.consent(begun.field("location").expect("an address"), WHO);
    let target = url.strip_prefix(Site::ADDRESS).expect("the broker's address");
    navigation(target).field("cookie", &format!("{name}={value}"))
}

/// Connects the service `depot` by a link.
pub fn connect_service(site: &Site) {
    let operator = Call::get("/admin/connections/depot/connect-link").method("POST");
    let operator = operator.field("authorization", &format!("Bearer {}", Site::OPERATOR_KEY));
    let made = site.call(1, &operator.field("content-type", "application/json").text("")).json();
    let link =
        made["url"].as_str().and_then(|url| url.strip_prefix(Site::ADDRESS)).expect("a link").to_owned();
    let call = Call::get(&link).method("POST").field("authorization", "");
    let begun = site.call(1, &call.field("sec-fetch-mode", "navigate").field("sec-fetch-dest", "document"));
    let (name, value) = begun.cookies().pop().expect("a cookie of the flow");
    let url = site.shared.provider.consent(begun.field("location").expect("an address"), WHO);
    let target = url.strip_prefix(Site::ADDRESS).expect("the broker's address");
    let call = Call::get(target).field("authorization", "").field("cookie", &format!("{name}={value}"));
    assert_eq!(site.call(1, &call).status, 200);
}

/// What is answered to `call` if `meanwhile` happens while the provider is slow to exchange its code.
fn answered_slowly(site: &Site, call: &Call, meanwhile: impl FnOnce()) -> Answered {
    site.shared.provider.faults.borrow_mut().push_back(Fault::Slow(Duration::from_secs(3)));
    let slot = Rc::new(RefCell::new(None));
    let (own, calling) = (Rc::clone(&slot), site.calling(1, call));
    site.shared.world.spawn(1, async move {
        let answered = calling.await;
        own.replace(Some(answered));
    });
    site.shared.world.run_for(Duration::from_secs(1));
    meanwhile();
    site.shared.world.run_for(Duration::from_secs(10));
    slot.take().expect("an answer")
}

fn log_out(site: &Site) {
    let token = site.shared.provider.logout_token("acme", None, Some("sid"));
    let call = Call::get("/auth/acme/backchannel-logout").method("POST").field("authorization", "");
    let call = call.field("content-type", "application/x-www-form-urlencoded");
    assert_eq!(site.call(1, &call.text(&format!("logout_token={token}"))).status, 200);
}

/// Fails unless the flow ended without a session, its code was sent once, and what came was revoked.
#[track_caller]
fn check_given_up(site: &Site, answered: &Answered) {
    let location = answered.field("location").expect("an address");
    assert!(location.ends_with("?porteiro=failed&porteiro_code=flow_expired"), "{location}");
    assert!(answered.cookies().iter().all(|(name, _)| name != COOKIE));
    let provider = &site.shared.provider;
    assert_eq!(*provider.consents.violation.borrow(), None);
    let last = provider.issued.borrow().last().cloned().expect("a token");
    assert!(provider.was_revoked(&last));
}

#[test]
fn refuses_a_consent_whose_person_is_logged_out_while_its_code_is_exchanged() {
    let site = Site::for_consents(1, HOUR);
    let answered = answered_slowly(&site, &returning(&site, "acme", None), || log_out(&site));
    check_given_up(&site, &answered);
    // Whoever signs in later is let in.
    site.shared.world.run_for(Duration::from_secs(1));
    let answered = site.call(1, &returning(&site, "acme", None));
    assert!(answered.cookie().is_some(), "{}", answered.body);
}

#[test]
fn sends_no_code_again_where_the_session_ends_while_it_is_exchanged() {
    let site = Site::for_consents(1, HOUR);
    let cookie = site.call(1, &returning(&site, "cargo", None)).cookie().map(str::to_owned);
    let call = returning(&site, "cargo", cookie.as_deref());
    let answered = answered_slowly(&site, &call, || {
        let sign_out = Call::from_page("POST", "/auth/logout").cookie(cookie.as_deref());
        assert_eq!(site.call(1, &sign_out).status, 204);
    });
    check_given_up(&site, &answered);
}

#[test]
fn keeps_no_refresh_token_of_a_consent_that_was_disconnected() {
    let site = Site::for_consents(1, HOUR);
    site.shared.provider.consents.first_only.set(true);
    let cookie = site.call(1, &returning(&site, "acme", None)).cookie().map(str::to_owned);
    let disconnect = Call::from_page("DELETE", "/auth/acme").cookie(cookie.as_deref());
    assert_eq!(site.call(1, &disconnect).status, 204);
    let answered = site.call(1, &returning(&site, "acme", cookie.as_deref()));
    assert!(answered.cookie().is_some(), "{}", answered.body);
    assert_eq!(site.shared.consents.broken(), None);
}

#[test]
fn finds_whom_a_logout_names_also_after_the_sealing_key_was_rotated() {
    let site = Site::for_consents(1, HOUR);
    let cookie = site.call(1, &returning(&site, "acme", None)).cookie().map(str::to_owned);
    let mut variables = Site::variables_for_consents();
    let old = variables["SEALING_KEYS"].as_str().expect("a key").to_owned();
    variables["SEALING_KEYS"] = format!("k2:{}A=,{old}", "B".repeat(42)).into();
    site.redeploy(&variables);
    let status = || site.call(1, &Call::from_page("GET", "/auth/session").cookie(cookie.as_deref())).status;
    assert_eq!(status(), 200);
    log_out(&site);
    assert_eq!(status(), 401);
}

#[test]
fn keeps_a_consent_alive_that_nobody_uses() {
    let site = Site::for_consents(1, HOUR);
    connect_service(&site);
    let (granted, world) = (&site.shared.provider.granted, &site.shared.world);
    let first = granted.get();
    world.run_for(Duration::from_hours(31 * 24));
    // Every five days, from the end of the first token on.
    assert_eq!(granted.get() - first, 7);
    assert_eq!(site.call(1, &Call::get("/api/depot/things")).status, 200);
    // One that fails is tried again, and one that the provider ended is not.
    site.shared.provider.withdraw(WHO.subject, "depot");
    world.run_for(Duration::from_hours(20 * 24));
    let rejected = site.shared.provider.requests.borrow().len();
    world.run_for(Duration::from_hours(20 * 24));
    assert_eq!(site.shared.provider.requests.borrow().len(), rejected);
    assert_eq!(site.call(1, &Call::get("/api/depot/things")).status, 503);
}

#[test]
fn remembers_for_a_while_that_sessions_were_to_end() {
    let site = Site::for_consents(1, HOUR);
    let (name, world) = (format!("people/{}", "0".repeat(64)), &site.shared.world);
    let ask = |ask| {
        let envelope = Envelope::People { name: name.clone(), ask };
        site.exchange::<PeopleReply>(&name, &envelope).expect("an answer")
    };
    let ends_at = world.now() + Duration::from_hours(1);
    let add = |since| PeopleAsk::Add { session: "session/one".to_owned(), ends_at, since };
    let before = world.now();
    assert_eq!(ask(add(before)), PeopleReply::Done);
    world.run_for(Duration::from_secs(1));
    assert_eq!(ask(PeopleAsk::List), PeopleReply::Sessions(vec!["session/one".to_owned()]));
    assert_eq!(ask(add(before)), PeopleReply::Ended);
    assert_eq!(ask(add(world.now() + Duration::from_secs(1))), PeopleReply::Done);
    world.run_for(Duration::from_mins(11));
    assert_eq!(ask(add(before)), PeopleReply::Done);
    world.run_for(Duration::from_hours(2));
    assert!(site.shared.objects.texts(&name).is_empty());
}
