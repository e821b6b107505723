//! Sessions over simulated surroundings.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use base64::Engine as _;
use serde_json::Value;

use porteiro::edge::people::cookie::{COOKIE, SessionId};
use porteiro::http::Headers;
use porteiro::protocol::{Envelope, SessionAsk, SessionReply};
use porteiro::time::UnixTime;
use porteiro_simulation::{Answered, Call, Fault, Grants, Objects, Site};

const HOUR: Grants = Grants { expires_in: 3600, refresh_tokens: true, rotation: true, reuse_detection: true };

fn site() -> Site {
    Site::for_people(11, HOUR)
}

/// A site whose sessions last so many seconds.
fn lasting(idle: u64, longest: u64) -> Site {
    let site = site();
    let mut variables = Site::variables_for_people();
    variables["SESSION_IDLE_SECONDS"] = idle.into();
    variables["SESSION_MAX_SECONDS"] = longest.into();
    site.redeploy(&variables);
    site
}

fn signing_in(connection: &str, person: &str, cookie: Option<&str>) -> Call {
    Call::sign_in(connection, &format!("{person}@example.com"), &format!("{person}'s password"))
        .cookie(cookie)
}

/// Signs a person in; the cookie that they have then.
#[track_caller]
fn sign_in(site: &Site, connection: &str, person: &str, cookie: Option<&str>) -> String {
    let answered = site.call(1, &signing_in(connection, person, cookie));
    assert_eq!(answered.status, 200, "{}", answered.body);
    answered.cookie().expect("a cookie").to_owned()
}

fn guess(site: &Site, number: u32) -> Answered {
    site.call(number, &Call::sign_in("acme", "ana@example.com", &format!("a guess {number}")))
}

fn things(connection: &str, cookie: &str) -> Call {
    Call::from_page("GET", &format!("/api/{connection}/things")).cookie(Some(cookie))
}

/// Whom a call is served as, or its error code.
fn served_as(site: &Site, isolate: u32, connection: &str, cookie: &str) -> String {
    outcome(&site.call(isolate, &things(connection, cookie)))
}

fn outcome(answered: &Answered) -> String {
    match answered.body.strip_prefix("answer 200 for ") {
        Some(person) => person.to_owned(),
        None => answered.code(),
    }
}

fn sign_out(site: &Site, cookie: &str) -> Answered {
    site.call(3, &Call::from_page("POST", "/auth/logout").cookie(Some(cookie)))
}

/// The connections that the person is signed in to.
fn connections(site: &Site, cookie: &str) -> Vec<String> {
    let answered = site.call(2, &Call::from_page("GET", "/auth/session").cookie(Some(cookie)));
    if answered.status == 401 {
        return Vec::new();
    }
    let json = answered.json();
    let list = json["connections"].as_array().expect("connections");
    list.iter().map(|connection| connection["id"].as_str().unwrap_or_default().to_owned()).collect()
}

fn id(cookie: &str) -> SessionId {
    SessionId::read(&Headers::new(&format!("cookie:{COOKIE}={cookie}"))).expect("a session's cookie")
}

/// Uses a session at this very moment; whether it lives. It must be in memory.
fn lives(site: &Site, cookie: &str) -> bool {
    let (name, proof) = (id(cookie).name().to_owned(), id(cookie).proof());
    let ask = SessionAsk::Use { proof, token: None, with_people: false };
    let envelope = Envelope::Session { name: name.clone(), ask };
    let reply: SessionReply = site.exchange(&name, &envelope).expect("an answer");
    assert!(matches!(reply, SessionReply::Living { token: None, .. } | SessionReply::Nobody), "{reply:?}");
    reply != SessionReply::Nobody
}

fn wait(site: &Site, span: Duration) {
    site.shared.world.run_for(span);
}

/// Begins a call; its answer is there when it is done.
fn begin(site: &Site, call: &Call) -> Rc<RefCell<Option<Answered>>> {
    let slot: Rc<RefCell<Option<Answered>>> = Rc::default();
    let (calling, answered) = (site.calling(1, call), Rc::clone(&slot));
    site.shared.world.spawn(1, async move { *answered.borrow_mut() = Some(calling.await) });
    slot
}

fn next_fault(site: &Site, fault: Fault) {
    site.shared.provider.faults.borrow_mut().push_back(fault);
}

#[test]
fn serves_each_person_as_who_they_are_on_every_connection() {
    let site = site();
    let ana = sign_in(&site, "acme", "ana", None);
    let bia = sign_in(&site, "acme", "bia", None);
    let both = sign_in(&site, "bolt", "caio", Some(&ana));
    for isolate in 1..4 {
        assert_eq!(served_as(&site, isolate, "acme", &both), "ana@example.com");
        assert_eq!(served_as(&site, isolate, "bolt", &both), "caio@example.com");
        assert_eq!(served_as(&site, isolate, "acme", &bia), "bia@example.com");
        assert_eq!(served_as(&site, isolate, "bolt", &bia), "caller_unauthenticated");
    }
    assert_eq!(connections(&site, &both), ["acme", "bolt"]);
    assert_eq!(site.shared.cache.writes.get(), 0, "nothing of a person is cached");
}

#[test]
fn ends_the_cookie_from_before_at_every_sign_in() {
    let site = site();
    let first = sign_in(&site, "acme", "ana", None);
    let second = sign_in(&site, "bolt", "ana", Some(&first));
    let third = sign_in(&site, "acme", "bia", Some(&second));
    assert_eq!(
        [&first, &second, &third].map(|cookie| id(cookie).name().to_owned())[1..],
        [id(&first).name(), id(&first).name()]
    );
    for isolate in 1..4 {
        for dead in [&first, &second] {
            assert_eq!(served_as(&site, isolate, "acme", dead), "caller_unauthenticated");
            assert!(connections(&site, dead).is_empty());
        }
        assert_eq!(served_as(&site, isolate, "acme", &third), "bia@example.com");
    }
    // Nor does a sign-out with one of them sign anybody out.
    assert_eq!(sign_out(&site, &second).status, 204);
    assert_eq!(served_as(&site, 1, "acme", &third), "bia@example.com");
}

#[test]
fn keeps_who_is_signed_in_where_another_sign_in_is_refused() {
    let site = site();
    let ana = sign_in(&site, "acme", "ana", None);
    let wrong = Call::sign_in("acme", "bia@example.com", "wrong").cookie(Some(&ana));
    let answered = site.call(1, &wrong);
    assert_eq!((answered.status, answered.code().as_str()), (401, "login_rejected"));
    assert_eq!(answered.cookie(), None);
    assert_eq!(served_as(&site, 1, "acme", &ana), "ana@example.com");
}

#[test]
fn never_adopts_a_cookie_that_it_did_not_give() {
    let site = site();
    let forged = "A".repeat(43);
    let ana = sign_in(&site, "acme", "ana", Some(&forged));
    assert_ne!(id(&ana).name(), id(&forged).name());
    assert!(site.shared.objects.texts(id(&forged).name()).is_empty());
    assert_eq!(served_as(&site, 1, "acme", &forged), "caller_unauthenticated");
    // A known handle with another proof is nobody's cookie, too.
    let guessed = format!("{}{}", &ana[..22], "A".repeat(21));
    assert_eq!(id(&guessed).name(), id(&ana).name());
    assert_eq!(served_as(&site, 1, "acme", &guessed), "caller_unauthenticated");
    assert_eq!(sign_out(&site, &guessed).status, 204);
    let bia = sign_in(&site, "acme", "bia", Some(&guessed));
    assert_ne!(id(&bia).name(), id(&ana).name());
    assert_eq!(served_as(&site, 1, "acme", &ana), "ana@example.com");
    assert_eq!(served_as(&site, 1, "acme", &bia), "bia@example.com");
}

#[test]
fn writes_nothing_after_a_sign_out_during_a_renewal() {
    let site = site();
    let ana = sign_in(&site, "acme", "ana", None);
    wait(&site, Duration::from_secs(3_700));
    next_fault(&site, Fault::Slow(Duration::from_secs(3)));
    let renewing = begin(&site, &things("acme", &ana));
    wait(&site, Duration::from_secs(1));
    assert_eq!(site.shared.provider.requests.borrow().len(), 2, "the renewal is on its way");
    assert_eq!(sign_out(&site, &ana).status, 204);
    assert!(renewing.borrow().is_none());
    wait(&site, Duration::from_mins(1));
    assert_eq!(outcome(renewing.borrow().as_ref().unwrap()), "caller_unauthenticated");
    assert_eq!(site.shared.provider.granted.get(), 2);
    let name = id(&ana);
    assert!(site.shared.objects.texts(name.name()).is_empty());
    assert_eq!(site.shared.objects.alarm(name.name()), None);
    for isolate in 1..4 {
        assert_eq!(served_as(&site, isolate, "acme", &ana), "caller_unauthenticated");
    }
}

#[test]
fn signs_another_person_in_during_a_renewal_of_the_first() {
    let site = site();
    let ana = sign_in(&site, "acme", "ana", None);
    wait(&site, Duration::from_secs(3_700));
    next_fault(&site, Fault::Slow(Duration::from_secs(5)));
    let renewing = begin(&site, &things("acme", &ana));
    wait(&site, Duration::from_secs(1));
    let bia = sign_in(&site, "acme", "bia", Some(&ana));
    assert!(renewing.borrow().is_none(), "the first one's renewal is on its way still");
    assert_eq!(served_as(&site, 2, "acme", &bia), "bia@example.com");
    wait(&site, Duration::from_mins(1));
    assert_eq!(outcome(renewing.borrow().as_ref().unwrap()), "caller_unauthenticated");
    assert_eq!(served_as(&site, 2, "acme", &bia), "bia@example.com");
    Objects::kill(&site.shared, id(&bia).name());
    assert_eq!(served_as(&site, 2, "acme", &bia), "bia@example.com");
    wait(&site, Duration::from_secs(3_700));
    assert_eq!(served_as(&site, 2, "acme", &bia), "bia@example.com");
}

#[test]
fn lets_a_connection_leave_whose_refresh_token_is_dead_and_the_session_end_with_the_last() {
    let site = site();
    let acme = sign_in(&site, "acme", "ana", None);
    let both = sign_in(&site, "bolt", "ana", Some(&acme));
    site.shared.provider.sign_out("ana@example.com", "acme");
    assert_eq!(served_as(&site, 1, "acme", &both), "caller_unauthenticated");
    assert_eq!(connections(&site, &both), ["bolt"]);
    assert_eq!(served_as(&site, 1, "bolt", &both), "ana@example.com");
    site.shared.provider.sign_out("ana@example.com", "bolt");
    wait(&site, Duration::from_secs(3_700));
    assert_eq!(served_as(&site, 1, "bolt", &both), "caller_unauthenticated");
    assert!(site.shared.objects.texts(id(&both).name()).is_empty());
    assert!(connections(&site, &both).is_empty());
    let again = sign_in(&site, "acme", "ana", Some(&both));
    assert_ne!(id(&again).name(), id(&both).name());
}

#[test]
fn ends_with_the_access_token_where_no_refresh_token_came() {
    let site = Site::for_people(11, Grants { refresh_tokens: false, ..HOUR });
    let ana = sign_in(&site, "acme", "ana", None);
    wait(&site, Duration::from_secs(3_590));
    assert_eq!(served_as(&site, 1, "acme", &ana), "ana@example.com");
    wait(&site, Duration::from_secs(10));
    assert_eq!(served_as(&site, 1, "acme", &ana), "caller_unauthenticated");
    assert!(connections(&site, &ana).is_empty());
}

#[test]
fn ends_when_it_was_idle_for_its_limit_to_the_millisecond() {
    let site = lasting(100, 10_000);
    let ana = sign_in(&site, "acme", "ana", None);
    for _ in 0..5 {
        assert!(lives(&site, &ana));
        wait(&site, Duration::from_millis(99_999));
    }
    assert!(lives(&site, &ana));
    site.shared.objects.no_alarms.set(true);
    wait(&site, Duration::from_secs(100));
    assert!(!lives(&site, &ana));
    assert!(site.shared.objects.texts(id(&ana).name()).is_empty());
}

#[test]
fn ends_at_its_absolute_limit_to_the_millisecond_however_it_is_used() {
    let site = lasting(1_000, 5_000);
    let acme = sign_in(&site, "acme", "ana", None);
    wait(&site, Duration::from_mins(15));
    // Another connection makes it last no longer.
    let created = signed_in_until(&site, &acme);
    let ana = sign_in(&site, "bolt", "ana", Some(&acme));
    assert_eq!(signed_in_until(&site, &ana), created);
    while site.shared.world.now() + Duration::from_mins(15) < created {
        wait(&site, Duration::from_mins(15));
        assert!(lives(&site, &ana));
    }
    site.shared.world.run_until(UnixTime::from_millis(created.as_millis() - 1));
    assert!(lives(&site, &ana));
    site.shared.world.run_until(created);
    assert!(!lives(&site, &ana));
    assert_eq!(served_as(&site, 1, "acme", &ana), "caller_unauthenticated");
}

/// When the first of a person's sign-ins ends at the latest.
fn signed_in_until(site: &Site, cookie: &str) -> UnixTime {
    let (name, proof) = (id(cookie).name().to_owned(), id(cookie).proof());
    let envelope = Envelope::Session { name: name.clone(), ask: SessionAsk::List { proof } };
    let reply: SessionReply = site.exchange(&name, &envelope).expect("an answer");
    let SessionReply::Connections(connections) = reply else { panic!("{reply:?}") };
    connections[0].1
}

#[test]
fn knows_when_it_was_used_within_a_tenth_after_its_object_was_killed() {
    let idle = Duration::from_secs(1_000);
    for kills in [1, 4] {
        let site = lasting(idle.as_secs(), 100_000);
        site.shared.objects.no_alarms.set(true);
        let ana = sign_in(&site, "acme", "ana", None);
        for _ in 0..40 {
            wait(&site, Duration::from_secs(70));
            assert!(lives(&site, &ana));
        }
        let used_at = site.shared.world.now();
        let writes = site.shared.objects.session_writes.get();
        assert!(writes <= 30, "{writes} writes in 2,800 seconds");
        wait(&site, Duration::from_secs(1));
        for _ in 0..kills {
            Objects::kill(&site.shared, id(&ana).name());
        }
        site.shared.world.run_until(used_at + idle * 9 / 10 - Duration::from_secs(1));
        assert!(lives(&site, &ana), "what is stored lags by a tenth at most");
        let site = lasting(idle.as_secs(), 100_000);
        site.shared.objects.no_alarms.set(true);
        let bia = sign_in(&site, "acme", "bia", None);
        wait(&site, Duration::from_secs(150));
        assert!(lives(&site, &bia));
        let used_at = site.shared.world.now();
        wait(&site, Duration::from_secs(1));
        Objects::kill(&site.shared, id(&bia).name());
        site.shared.world.run_until(used_at + idle);
        assert!(!lives(&site, &bia));
    }
}

#[test]
fn clears_up_by_itself_when_its_time_has_come() {
    let site = lasting(1_000, 5_000);
    let ana = sign_in(&site, "acme", "ana", None);
    let name = id(&ana).name().to_owned();
    assert!(!site.shared.objects.texts(&name).is_empty());
    Objects::kill_all(&site.shared, "");
    wait(&site, Duration::from_mins(25));
    assert!(site.shared.objects.texts(&name).is_empty());
    for counter in site.shared.objects.names("refusals/") {
        assert!(site.shared.objects.texts(&counter).is_empty());
    }
}

#[test]
fn counts_refused_sign_ins_though_the_counter_is_killed() {
    let site = site();
    for number in 1..=5 {
        assert_eq!(guess(&site, number).code(), "login_rejected");
        wait(&site, Duration::from_millis(100));
        Objects::kill_all(&site.shared, "");
    }
    let right = signing_in("acme", "ana", None).field("cf-connecting-ip", "192.0.2.9");
    let refused = site.call(1, &right);
    assert_eq!(refused.code(), "rate_limited");
    let seconds: u64 = refused.field("retry-after").unwrap().parse().unwrap();
    assert!((50..=60).contains(&seconds), "{seconds}");
    assert_eq!(site.shared.provider.requests.borrow().len(), 5);
    assert_eq!(
        site.call(1, &signing_in("bolt", "ana", None).field("cf-connecting-ip", "192.0.2.9")).status,
        200
    );
    wait(&site, Duration::from_mins(1));
    assert_eq!(site.call(1, &right).status, 200);
}

#[test]
fn lets_five_guesses_reach_the_provider_of_any_number_at_once() {
    let site = site();
    let answers = site.storm(4, 40, &Call::sign_in("acme", "ana@example.com", "a guess"));
    let refused = answers.iter().filter(|answered| answered.code() == "login_rejected").count();
    assert!((1..=5).contains(&refused), "{refused}");
    assert!(
        answers.iter().all(|answered| ["login_rejected", "rate_limited"].contains(&answered.code().as_str()))
    );
    assert_eq!(site.shared.provider.refusals.borrow().len(), refused);
}

#[test]
fn counts_guesses_whose_session_was_killed() {
    let site = site();
    for number in 1..=12 {
        let guess = Call::sign_in("acme", "ana@example.com", &format!("a guess {number}"));
        let refusals = site.shared.provider.refusals.borrow().len();
        let guessing = begin(&site, &guess);
        let patience = site.shared.world.now() + Duration::from_secs(1);
        while site.shared.provider.refusals.borrow().len() == refusals && site.shared.world.step(patience) {}
        for session in site.shared.objects.names("session/") {
            Objects::kill(&site.shared, &session);
        }
        wait(&site, Duration::from_secs(1));
        drop(guessing);
    }
    assert_eq!(site.shared.provider.refusals.borrow().len(), 5);
}

#[test]
fn rotates_a_cookie_once_where_two_sign_ins_bring_it_at_once() {
    for seed in 0..20 {
        let site = Site::for_people(seed, HOUR);
        let first = sign_in(&site, "acme", "ana", None);
        let slow = begin(&site, &signing_in("bolt", "bia", Some(&first)));
        let fast = begin(&site, &signing_in("acme", "caio", Some(&first)));
        wait(&site, Duration::from_mins(1));
        let answers = [slow, fast].map(|slot| slot.borrow_mut().take().unwrap());
        assert!(answers.iter().all(|answered| answered.status == 200));
        let [bia, caio] = answers.map(|answered| answered.cookie().unwrap().to_owned());
        assert_ne!(id(&bia).name(), id(&caio).name());
        assert_eq!(served_as(&site, 1, "bolt", &bia), "bia@example.com");
        assert_eq!(served_as(&site, 1, "acme", &caio), "caio@example.com");
        assert_eq!(served_as(&site, 1, "bolt", &caio), "caller_unauthenticated");
        assert_ne!(served_as(&site, 1, "acme", &bia), "caio@example.com");
    }
}

#[test]
fn never_leads_the_cookie_from_before_to_the_next_ones_token_set() {
    // Whenever the object is killed while another person signs in, or called.
    for steps in 0..400 {
        for kills in [false, true] {
            let site = site();
            let ana = sign_in(&site, "acme", "ana", None);
            let begun = begin(&site, &signing_in("acme", "bia", Some(&ana)));
            let patience = site.shared.world.now() + Duration::from_secs(5);
            for _ in 0..steps {
                site.shared.world.step(patience);
                if begun.borrow().is_some() {
                    return;
                }
            }
            if kills {
                Objects::kill(&site.shared, id(&ana).name());
            }
            let served = served_as(&site, 2, "acme", &ana);
            assert_ne!(served, "bia@example.com", "after {steps} steps");
        }
    }
    panic!("the sign-in never ended");
}

#[test]
fn says_when_its_storage_fails_and_signs_nobody_out_then() {
    let site = site();
    let ana = sign_in(&site, "acme", "ana", None);
    site.shared.objects.failures.set(1_000);
    let answered = sign_out(&site, &ana);
    assert_eq!((answered.status, answered.code().as_str()), (503, "connection_unavailable"));
    site.shared.objects.failures.set(0);
    assert_eq!(sign_out(&site, &ana).status, 204);
    assert_eq!(served_as(&site, 1, "acme", &ana), "caller_unauthenticated");
}

#[test]
fn answers_no_sign_out_well_while_another_may_fail() {
    for seed in 0..200 {
        let site = Site::for_people(seed, HOUR);
        let ana = sign_in(&site, "acme", "ana", None);
        site.shared.objects.failures.set(500);
        let signing_out = Call::from_page("POST", "/auth/logout").cookie(Some(&ana));
        let answers = site.storm(3, 3, &signing_out);
        site.shared.objects.failures.set(0);
        if answers.iter().any(|answered| answered.status == 204) {
            assert_eq!(served_as(&site, 1, "acme", &ana), "caller_unauthenticated", "seed {seed}");
        }
    }
}

#[test]
fn leaves_nothing_behind_of_a_sign_in_that_was_cut_off() {
    for steps in 0..400 {
        let site = lasting(1_000, 5_000);
        let begun = begin(&site, &signing_in("acme", "ana", None));
        let patience = site.shared.world.now() + Duration::from_secs(5);
        for _ in 0..steps {
            site.shared.world.step(patience);
        }
        if begun.borrow().is_some() {
            return;
        }
        Objects::kill_all(&site.shared, "");
        wait(&site, Duration::from_mins(100));
        for name in site.shared.objects.names("session/") {
            assert!(site.shared.objects.texts(&name).is_empty(), "after {steps} steps");
        }
    }
    panic!("the sign-in never ended");
}

#[test]
fn logs_sign_ins_and_sign_outs_without_saying_whose() {
    let site = site();
    let ana = sign_in(&site, "acme", "ana", None);
    guess(&site, 1);
    sign_out(&site, &ana);
    let logs = site.shared.logs.borrow();
    let lines: Vec<Value> = logs.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let told: Vec<[&str; 2]> = lines
        .iter()
        .filter(|line| line["event"] != "call" && line["event"] != "grant")
        .map(|line| ["event", "outcome"].map(|name| line[name].as_str().unwrap()))
        .collect();
    assert_eq!(told, [["sign_in", "granted"], ["sign_in", "login_rejected"], ["sign_out", "ended"]]);
    let logs = logs.join("\n");
    assert!(!logs.contains("example.com") && !logs.contains("'s password") && !logs.contains(&ana[..21]));
}

const WITHOUT_REFRESH: Grants = Grants { refresh_tokens: false, ..HOUR };

fn forbidden(connection: &str, cookie: &str) -> Call {
    Call::from_page("GET", &format!("/api/{connection}/things/forbidden")).cookie(Some(cookie))
}

#[test]
fn signs_nobody_out_for_a_401_about_one_call() {
    for grants in [HOUR, WITHOUT_REFRESH] {
        let site = Site::for_people(11, grants);
        let ana = sign_in(&site, "acme", "ana", None);
        let other = sign_in(&site, "bolt", "ana", Some(&ana));
        for round in 0..30 {
            let refused = site.call(1, &forbidden("acme", &other));
            assert_eq!(outcome(&refused), "upstream_unauthorized", "round {round}");
            assert_eq!(connections(&site, &other), ["acme", "bolt"]);
        }
        assert_eq!(served_as(&site, 2, "acme", &other), "ana@example.com");
        for _ in 0..20 {
            assert_eq!(outcome(&site.call(1, &forbidden("acme", &other))), "upstream_unauthorized");
            assert_eq!(served_as(&site, 1, "acme", &other), "ana@example.com");
            wait(&site, Duration::from_secs(1));
        }
        Objects::kill_all(&site.shared, "");
        assert_eq!(outcome(&site.call(1, &forbidden("acme", &other))), "upstream_unauthorized");
        assert_eq!(served_as(&site, 1, "acme", &other), "ana@example.com");
        let requests = site.shared.provider.requests.borrow().len();
        assert!(requests <= 2 + 5, "{requests} token requests");
    }
}

#[test]
fn signs_nobody_out_for_a_page_full_of_calls_that_they_may_not_make() {
    let site = Site::for_people(11, WITHOUT_REFRESH);
    let ana = sign_in(&site, "acme", "ana", None);
    let both = sign_in(&site, "bolt", "ana", Some(&ana));
    let load = || {
        let forbidden = (0..12).map(|number| format!("forbidden/{number}"));
        let paths: Vec<String> = forbidden.chain(["one".to_owned(), "two".to_owned()]).collect();
        let call = |path: &String| {
            let call = Call::from_page("GET", &format!("/api/acme/things/{path}"));
            begin(&site, &call.cookie(Some(&both)))
        };
        let begun: Vec<_> = paths.iter().map(call).collect();
        wait(&site, Duration::from_secs(5));
        begun.iter().map(|slot| outcome(slot.borrow().as_ref().expect("an answer"))).collect::<Vec<_>>()
    };
    // A page that is loaded again, at once or much later.
    for seconds in [0, 0, 15, 30, 15, 400, 15, 60, 400] {
        wait(&site, Duration::from_secs(seconds));
        let outcomes = load();
        assert!(outcomes[..12].iter().all(|outcome| outcome == "upstream_unauthorized"), "{outcomes:?}");
        assert_eq!(outcomes[12..], ["ana@example.com", "ana@example.com"]);
        assert_eq!(connections(&site, &both), ["acme", "bolt"], "after {seconds} s");
    }
    site.shared.provider.sign_out("ana@example.com", "acme");
    let loads: Vec<_> = (0..3)
        .map(|_| {
            wait(&site, Duration::from_secs(15));
            load()
        })
        .collect();
    assert_eq!(loads[0][12..], ["upstream_unauthorized", "upstream_unauthorized"]);
    assert_eq!(loads[2].last().map(String::as_str), Some("caller_unauthenticated"), "{loads:?}");
    assert_eq!(connections(&site, &both), ["bolt"]);
}

#[test]
fn signs_a_person_out_whose_token_is_dead_and_cannot_be_renewed() {
    let site = Site::for_people(11, WITHOUT_REFRESH);
    let both = sign_in(&site, "acme", "ana", None);
    let both = sign_in(&site, "bolt", "ana", Some(&both));
    assert_eq!(served_as(&site, 1, "acme", &both), "ana@example.com");
    site.shared.provider.sign_out("ana@example.com", "acme");
    let once = || {
        wait(&site, Duration::from_secs(30));
        served_as(&site, 1, "acme", &both)
    };
    let codes: Vec<String> = (0..12).map(|_| once()).collect();
    assert!(codes[..10].iter().all(|code| code == "upstream_unauthorized"), "{codes:?}");
    assert_eq!(codes[11], "caller_unauthenticated");
    assert_eq!(connections(&site, &both), ["bolt"]);
    // Three addresses tell as much, and sooner.
    let ana = sign_in(&site, "acme", "ana", Some(&both));
    site.shared.provider.sign_out("ana@example.com", "acme");
    let call = |path: &str| Call::from_page("GET", &format!("/api/acme/things/{path}")).cookie(Some(&ana));
    let codes = ["a", "b", "c"].map(|path| {
        wait(&site, Duration::from_secs(15));
        outcome(&site.call(1, &call(path)))
    });
    assert_eq!(codes, ["upstream_unauthorized", "upstream_unauthorized", "caller_unauthenticated"]);
    assert_eq!(connections(&site, &ana), ["bolt"]);
}

/// Refusals as servers word them.
fn refusals() -> Vec<(String, u16, Vec<u8>)> {
    let cases: Vec<Value> = serde_json::from_str(include_str!("../../../tests/data/refusals.json")).unwrap();
    let read = |case: &Value| {
        let body = base64::engine::general_purpose::STANDARD.decode(case["body_base64"].as_str().unwrap());
        let status = u16::try_from(case["status"].as_u64().unwrap()).unwrap();
        (case["case"].as_str().unwrap().to_owned(), status, body.unwrap())
    };
    cases.iter().map(read).collect()
}

#[test]
fn tells_a_person_that_the_sign_in_was_refused_however_that_is_worded() {
    for (case, status, body) in refusals() {
        let site = site();
        *site.shared.provider.words.borrow_mut() = Some((status, body, 0));
        let about_client = case.contains("client");
        let code = if about_client { "credentials_rejected" } else { "login_rejected" };
        assert_eq!(guess(&site, 1).code(), code, "{case}");
    }
    for (status, code) in [
        (404, "login_rejected"),
        (409, "login_rejected"),
        (408, "token_endpoint_unreachable"),
        (425, "token_endpoint_unreachable"),
        (429, "token_endpoint_unreachable"),
        (500, "token_endpoint_unreachable"),
    ] {
        let site = site();
        *site.shared.provider.words.borrow_mut() = Some((status, b"{}".to_vec(), 0));
        assert_eq!(guess(&site, 1).code(), code, "{status}");
    }
}

#[test]
fn ends_the_sign_in_whose_refresh_token_is_dead_however_that_is_worded() {
    for (case, status, body) in refusals() {
        let site = site();
        let ana = sign_in(&site, "acme", "ana", None);
        *site.shared.provider.words.borrow_mut() = Some((status, body, 0));
        site.shared.provider.sign_out("ana@example.com", "acme");
        let outcomes = [0, 1].map(|_| served_as(&site, 1, "acme", &ana));
        if case.contains("client") {
            assert_eq!(outcomes, ["credentials_rejected", "connection_unavailable"], "{case}");
            assert_eq!(connections(&site, &ana), ["acme"], "{case}");
        } else {
            assert_eq!(outcomes, ["caller_unauthenticated", "caller_unauthenticated"], "{case}");
            assert!(connections(&site, &ana).is_empty(), "{case}");
        }
    }
    for status in [404, 408, 415, 425, 429, 500, 503] {
        let site = site();
        let ana = sign_in(&site, "acme", "ana", None);
        *site.shared.provider.words.borrow_mut() = Some((status, Vec::new(), 0));
        site.shared.provider.sign_out("ana@example.com", "acme");
        assert_ne!(served_as(&site, 1, "acme", &ana), "caller_unauthenticated", "{status}");
        assert_eq!(connections(&site, &ana), ["acme"], "{status} is no word about the token");
    }
}
