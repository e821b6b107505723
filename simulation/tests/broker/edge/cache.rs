//! The caches of rules.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use serde_json::{Value, json};

use super::{GRANTS, lines};
use porteiro_simulation::{Answered, Call, Site};

const OTHER_KEY: &str = "other-key-0123456789-0123456789-0123456789";

fn site_with(cache: &Value) -> Site {
    let mut variables = Site::variables();
    variables["CALLERS"]["other"] = json!({ "kind": "key" });
    variables["OTHER_KEY"] = OTHER_KEY.into();
    let connection = &mut variables["CONNECTIONS"]["acme"];
    connection["rules"][0]["callers"] = json!(["backend", "other", "page"]);
    connection["rules"][0]["methods"] = json!(["GET", "POST", "DELETE"]);
    connection["rules"][0]["paths"] = json!(["/**"]);
    connection["rules"][0]["cache"] = cache.clone();
    connection["acting_gets"] = json!(["/things/act"]);
    connection["response_headers"] = json!(["age", "x-seen"]);
    let site = Site::with_variables(1, GRANTS, &variables);
    site.shared.echoes.set(true);
    site
}

fn site() -> Site {
    site_with(&json!({ "seconds": 30, "stale_seconds": 300 }))
}

fn shared() -> Site {
    site_with(&json!({ "seconds": 30, "stale_seconds": 300, "shared": true }))
}

fn things() -> Call {
    Call::get("/api/acme/things?page=1")
}

fn by_other(call: Call) -> Call {
    call.field("authorization", &format!("Bearer {OTHER_KEY}"))
}

fn script(site: &Site, status: u16, fields: &str) {
    site.shared.upstream_script.replace(Some((status, fields.to_owned())));
}

fn wait(site: &Site, seconds: u64) {
    site.shared.world.run_for(Duration::from_secs(seconds));
}

/// How many calls the upstream got.
fn calls(site: &Site) -> usize {
    site.shared.upstream_calls.borrow().len()
}

/// Makes a call, and gives the answer and the word in its log line.
fn call(site: &Site, call: &Call) -> (Answered, String) {
    let answered = site.call(1, call);
    // What the call left to do.
    site.shared.world.run_for(Duration::from_millis(200));
    let word = lines(site, "call").last().expect("a line")["cache"].as_str().unwrap_or_default().to_owned();
    (answered, word)
}

/// What came of calls that are made at once.
fn together(site: &Site, made: &[Call]) -> Vec<Answered> {
    let answers = Rc::new(RefCell::new(Vec::new()));
    for (number, made) in made.iter().enumerate() {
        let (answers, calling) = (Rc::clone(&answers), site.calling(1, made));
        site.shared.world.spawn(1, async move {
            let answer = calling.await;
            answers.borrow_mut().push((number, answer));
        });
    }
    wait(site, 60);
    let mut answers = answers.take();
    answers.sort_by_key(|(number, _)| *number);
    answers.into_iter().map(|(_, answer)| answer).collect()
}

/// Whether a second call is answered from the copy of an answer with these fields.
#[track_caller]
fn check_kept(site: &Site, status: u16, fields: &str, expected: bool) {
    script(site, status, fields);
    let target = format!("/api/acme/things/{}", site.shared.world.unique());
    let words = [(); 2].map(|()| call(site, &Call::get(&target)).1);
    assert_eq!(words, ["miss", if expected { "hit" } else { "miss" }], "{status} {fields}");
}

#[test]
fn answers_from_a_copy_while_it_is_fresh() {
    let site = site();
    let (first, word) = call(&site, &things());
    assert_eq!((first.status, word.as_str(), calls(&site)), (200, "miss", 1));
    assert_eq!(first.field("cache-status"), Some("porteiro; fwd=uri-miss; stored"));
    assert!(first.field("server-timing").unwrap().ends_with(r#", cache;desc="miss""#));
    wait(&site, 17);
    let (second, word) = call(&site, &things());
    assert_eq!((second.body == first.body, word.as_str(), calls(&site)), (true, "hit", 1));
    assert_eq!(second.field("cache-status"), Some("porteiro; hit; ttl=12"));
    assert_eq!(second.field("age"), Some("17"));
    assert_eq!(second.field("server-timing"), Some(r#"cache;desc="hit""#));
    assert_eq!(second.field("cache-control"), Some("no-store"));
    assert_eq!(second.field("content-type"), first.field("content-type"));
    assert_ne!(second.field("x-request-id"), first.field("x-request-id"));
    wait(&site, 13);
    let (third, word) = call(&site, &things());
    assert_eq!((third.field("cache-status"), word.as_str()), (Some("porteiro; fwd=stale; stored"), "miss"));
    assert_ne!(third.body, first.body);
}

#[test]
fn lets_pages_read_what_it_tells_of_copies() {
    let site = site();
    let page = Call::from_page("GET", "/api/acme/things");
    call(&site, &page);
    let (answer, word) = call(&site, &page);
    let exposed = answer.field("access-control-expose-headers").unwrap();
    assert!(word == "hit" && exposed.contains("age") && exposed.contains("cache-status"), "{exposed}");
}

#[test]
fn needs_no_token_for_a_copy() {
    let site = site();
    call(&site, &things());
    let token = site.shared.cache.reads.get() + site.shared.asks.get();
    wait(&site, 1);
    site.shared.provider.revoke_access_tokens();
    assert_eq!(call(&site, &things()).1, "hit");
    assert_eq!(site.shared.cache.reads.get() + site.shared.asks.get(), token);
}

#[test]
fn authenticates_and_authorizes_before_a_copy_serves() {
    let site = shared();
    call(&site, &things());
    assert_eq!(site.call(1, &things().field("authorization", "")).status, 401);
    assert_eq!(site.call(1, &things().field("authorization", "Bearer wrong")).status, 401);
    let foreign = things().field("origin", "https://evil.example");
    assert_eq!(site.call(1, &foreign).code(), "origin_not_allowed");
}

#[test]
fn gives_each_caller_copies_of_their_own_unless_they_are_shared() {
    let site = site();
    call(&site, &things());
    assert_eq!(call(&site, &by_other(things())).1, "miss");
    let site = shared();
    call(&site, &things());
    assert_eq!(call(&site, &by_other(things())).1, "hit");
}

#[test]
fn keeps_what_it_is_told_it_may() {
    let site = site();
    for (status, expected) in
        [(200, true), (203, true), (301, true), (404, true), (410, true), (201, false), (302, false)]
            .into_iter()
            .chain([(400, false), (403, false), (429, false), (500, false)])
    {
        check_kept(&site, status, "", expected);
    }
    for (fields, expected) in [
        ("cache-control:max-age=60", true),
        ("cache-control:private, max-age=60", true),
        ("cache-control:public,s-maxage=0", true),
        ("cache-control:max-age=0", false),
        ("cache-control:max-age=nonsense", false),
        ("cache-control:No-Store", false),
        ("cache-control:public, no-cache", false),
        ("cache-control:no-cache=\"set-cookie\"", false),
        ("set-cookie:a=1", false),
        ("vary:*", false),
        ("vary:accept, *", false),
        ("vary:accept", true),
        ("expires:0", false),
        ("expires:Thu, 01 Jan 1970 00:00:00 GMT", false),
        ("expires:0\ncache-control:max-age=60", true),
        ("cache-control:max-age=60\nage:60", false),
        ("cache-control:max-age=60\nage:59", true),
    ] {
        check_kept(&site, 200, fields, expected);
    }
    let site = shared();
    for (fields, expected) in [
        ("cache-control:private", false),
        ("cache-control:private=\"x\", max-age=60", false),
        ("cache-control:max-age=0, s-maxage=60", true),
        ("cache-control:max-age=60, s-maxage=0", false),
    ] {
        check_kept(&site, 200, fields, expected);
    }
}

#[test]
fn counts_the_age_that_an_answer_came_with() {
    let site = site();
    script(&site, 200, "cache-control:max-age=100\nage:80\nx-ratelimit-remaining:3\nx-seen:yes");
    let (first, _) = call(&site, &things());
    assert_eq!(first.field("x-ratelimit-remaining"), Some("3"));
    wait(&site, 5);
    let (answer, _) = call(&site, &things());
    assert_eq!(answer.field("cache-status"), Some("porteiro; hit; ttl=14"));
    assert_eq!((answer.field("age"), answer.field("x-seen")), (Some("85"), Some("yes")));
    assert_eq!(answer.field("x-ratelimit-remaining"), None);
    wait(&site, 15);
    assert_eq!(call(&site, &things()).1, "miss");
}

#[test]
fn keeps_no_body_that_is_too_large() {
    for (bytes, expected) in [(256 * 1024, "hit"), (256 * 1024 + 1, "miss")] {
        let site = site();
        site.shared.echoes.set(false);
        site.shared.upstream_body.replace(Some("x".repeat(bytes)));
        call(&site, &things());
        assert_eq!(call(&site, &things()).1, expected, "{bytes}");
        script(&site, 200, &format!("content-length:{bytes}"));
        let other = Call::get("/api/acme/things/7");
        let told = call(&site, &other).0.field("cache-status").unwrap().ends_with("; stored");
        assert_eq!((told, call(&site, &other).1.as_str()), (expected == "hit", expected), "{bytes}");
    }
}

#[test]
fn makes_one_call_of_equal_ones() {
    let site = site();
    site.shared.provider.api_takes.set(Duration::from_secs(5));
    let answers = together(&site, &vec![things(); 100]);
    assert_eq!((answers.len(), calls(&site)), (100, 1));
    assert!(answers.iter().all(|answer| answer.status == 200 && answer.body == answers[0].body));
    let collapsed = answers
        .iter()
        .filter(|answer| answer.field("cache-status") == Some("porteiro; fwd=uri-miss; collapsed"));
    assert_eq!(collapsed.count(), 99);
    let words = lines(&site, "call");
    assert_eq!(words.iter().filter(|line| line["cache"] == "coalesced").count(), 99);
}

#[test]
fn shares_failures_with_all_who_wait() {
    for (status, expected) in [(503, 503), (429, 429), (0, 502)] {
        let site = site();
        site.call(1, &Call::get("/api/acme/things/1"));
        let before = calls(&site);
        script(&site, status, "content-type:application/json");
        let answers = together(&site, &vec![things(); 20]);
        assert!(answers.iter().all(|answer| answer.status == expected), "{status}");
        assert_eq!(calls(&site) - before, 1, "{status}");
        // None is kept.
        site.call(1, &things());
        assert_eq!(calls(&site) - before, 2, "{status}");
    }
}

#[test]
fn shares_no_answer_that_is_for_one_alone() {
    for fields in ["cache-control:private", "set-cookie:a=1", "cache-control:no-store", "vary:*"] {
        for status in [200, 500] {
            let site = shared();
            script(&site, status, fields);
            let answers = together(&site, &[vec![things(); 5], vec![by_other(things()); 5]].concat());
            let bodies: std::collections::BTreeSet<_> = answers.iter().map(|answer| &answer.body).collect();
            assert_eq!((bodies.len(), calls(&site)), (10, 10), "{status} {fields}");
        }
    }
}

#[test]
fn has_those_who_wait_call_where_the_body_is_too_slow_or_too_large() {
    let site = site();
    site.shared.provider.body_takes.set(Duration::from_secs(11));
    assert_eq!(together(&site, &vec![things(); 3]).len(), 3);
    assert_eq!(calls(&site), 3);
}

#[test]
fn serves_stale_copies_while_the_upstream_fails() {
    for (status, serves) in
        [(500, true), (502, true), (503, true), (504, true), (0, true), (501, false), (429, false)]
    {
        let site = site();
        let (first, _) = call(&site, &things());
        script(&site, status, "");
        wait(&site, 40);
        let answers = together(&site, &vec![things(); 10]);
        assert!(answers.iter().all(|answer| (answer.body == first.body) == serves), "{status}");
        if serves {
            let told = answers[3].field("cache-status").unwrap();
            assert!(told.starts_with("porteiro; fwd=stale; ttl=-1"), "{told}");
            assert_eq!(lines(&site, "call").last().unwrap()["cache"], "stale");
            wait(&site, 200);
            assert_eq!(call(&site, &things()).0.body, first.body);
            wait(&site, 40);
            assert_ne!(call(&site, &things()).0.body, first.body);
        }
        script(&site, 200, "");
        assert_ne!(call(&site, &things()).0.body, first.body);
    }
}

#[test]
fn serves_no_stale_copy_that_must_be_asked_for() {
    for (fields, serves) in [
        ("cache-control:must-revalidate", false),
        ("cache-control:max-age=5, Proxy-Revalidate", false),
        ("cache-control:max-age=0", true),
    ] {
        let site = site();
        script(&site, 200, fields);
        let (first, _) = call(&site, &things());
        script(&site, 503, "");
        wait(&site, 31);
        assert_eq!(call(&site, &things()).0.body == first.body, serves, "{fields}");
    }
}

#[test]
fn knows_what_the_caller_has() {
    let site = site();
    script(&site, 200, "etag:W/\"a,b\"\ncontent-type:text/plain\ncontent-length:3\nlast-modified:x");
    call(&site, &things());
    for (sent, expected) in [
        ("\"a,b\"", 304),
        ("W/\"a,b\"", 304),
        ("\"x\", W/\"a,b\"", 304),
        ("*", 304),
        ("\"x\"", 200),
        ("a,b", 200),
        ("\"a\"", 200),
    ] {
        let (answer, word) = call(&site, &things().field("if-none-match", sent));
        assert_eq!((answer.status, word.as_str()), (expected, "hit"), "{sent}");
        if expected == 304 {
            assert_eq!((answer.body.as_str(), answer.field("content-length")), ("", None));
            assert_eq!(answer.field("etag"), Some("W/\"a,b\""));
            assert!(answer.field("age").is_some());
        }
    }
    assert_eq!(calls(&site), 1);
    script(&site, 404, "etag:\"a\"");
    let gone = Call::get("/api/acme/things/8");
    call(&site, &gone);
    assert_eq!(call(&site, &gone.field("if-none-match", "\"a\"")).0.status, 404);
}

#[test]
fn passes_by_what_a_copy_cannot_answer() {
    let site = site();
    call(&site, &things());
    for (name, value) in [
        ("range", "bytes=0-1"),
        ("if-modified-since", "Thu, 01 Jan 1970 00:00:00 GMT"),
        ("if-match", "\"a\""),
        ("if-range", "\"a\""),
        ("if-unmodified-since", "x"),
    ] {
        let before = calls(&site);
        let (answer, word) = call(&site, &things().field(name, value));
        assert_eq!((word.as_str(), calls(&site)), ("bypass", before + 1), "{name}");
        assert_eq!(answer.field("cache-status"), Some("porteiro; fwd=bypass"));
    }
    assert_eq!(call(&site, &things()).1, "hit");
    // A field that does not go upstream makes no key.
    let named = things().field("connection", "close, Accept").field("accept", "text/plain");
    assert_eq!(call(&site, &named).1, "bypass");
    // What is not there is neither waited for nor kept.
    let other = Call::get("/api/acme/things/9");
    assert_eq!(call(&site, &other.clone().field("if-none-match", "\"a\"")).1, "miss");
    assert_eq!(call(&site, &other.clone().method("HEAD")).1, "miss");
    assert_eq!(call(&site, &other).1, "miss");
    let (answer, word) = call(&site, &other.method("HEAD"));
    assert_eq!((word.as_str(), answer.body.as_str(), answer.status), ("hit", "", 200));
}

#[test]
fn makes_copies_old_by_a_call_that_changes_something() {
    for change in ["/api/acme/things?x=1", "/api/acme/Things/", "/api/acme/t%68ings"] {
        let site = shared();
        call(&site, &things());
        call(&site, &Call::get("/api/acme/things/1"));
        let (answer, _) = call(&site, &by_other(Call::get(change)).method("DELETE"));
        assert_eq!(answer.status, 200, "{change}");
        assert_eq!(call(&site, &things()).1, "miss", "{change}");
        assert_eq!(call(&site, &Call::get("/api/acme/things/1")).1, "hit", "{change}");
    }
    let site = site();
    let act = Call::get("/api/acme/things/act");
    assert_eq!((call(&site, &act).1, call(&site, &act).1), (String::new(), String::new()));
}

#[test]
fn is_not_made_old_by_a_call_that_is_refused() {
    let site = site();
    call(&site, &things());
    for refused in [things().method("PUT"), things().method("DELETE").field("authorization", "Bearer no")] {
        assert!(site.call(1, &refused).status >= 400);
    }
    assert_eq!(call(&site, &things().method("OPTIONS")).0.status, 403);
    assert_eq!(call(&site, &things()).1, "hit");
}

#[test]
fn keeps_no_answer_that_became_old_on_its_way() {
    let site = site();
    site.call(1, &Call::get("/api/acme/things/1"));
    site.shared.provider.body_takes.set(Duration::from_secs(3));
    // Its body comes while the other call is on its way.
    let get = site.calling(1, &things());
    site.shared.world.spawn(1, async move { drop(get.await) });
    wait(&site, 1);
    site.shared.provider.body_takes.set(Duration::ZERO);
    site.call(1, &things().method("POST"));
    wait(&site, 5);
    assert_eq!(call(&site, &things()).1, "miss");
}

#[test]
fn serves_no_stale_copy_that_became_old_while_the_upstream_failed() {
    let site = site();
    call(&site, &things());
    wait(&site, 31);
    script(&site, 503, "");
    assert_eq!(call(&site, &things()).1, "stale");
    site.shared.provider.body_takes.set(Duration::from_secs(3));
    let answered = Rc::new(RefCell::new(None));
    let (slot, get) = (Rc::clone(&answered), site.calling(1, &things()));
    site.shared.world.spawn(1, async move {
        let answer = get.await;
        slot.replace(Some(answer));
    });
    site.call(1, &things().method("POST"));
    wait(&site, 5);
    assert_eq!(answered.take().expect("an answer").status, 503);
}

#[test]
fn keeps_no_answer_that_came_while_something_changed() {
    let site = site();
    site.call(1, &Call::get("/api/acme/things/1"));
    site.shared.provider.api_takes.set(Duration::from_secs(25));
    let change = site.calling(1, &things().method("POST"));
    let has_ended = Rc::new(Cell::new(false));
    let ended = Rc::clone(&has_ended);
    site.shared.world.spawn(1, async move {
        drop(change.await);
        ended.set(true);
    });
    wait(&site, 1);
    site.shared.provider.api_takes.set(Duration::ZERO);
    let words = [(); 2].map(|()| call(&site, &things()).1);
    assert_eq!((words, has_ended.get()), (["miss".to_owned(), "hit".to_owned()], false));
    wait(&site, 26);
    assert_eq!((call(&site, &things()).1.as_str(), has_ended.get()), ("miss", true));
}

#[test]
fn holds_no_more_than_it_may_and_keeps_what_is_used() {
    let site = site();
    site.shared.echoes.set(false);
    site.shared.upstream_body.replace(Some("x".repeat(255 * 1024)));
    script(&site, 200, "cache-control:max-age=86400");
    let target = |number: u32| Call::get(&format!("/api/acme/things/{number}"));
    let before = calls(&site);
    for number in 0..100 {
        site.call(1, &target(number));
        site.call(1, &target(0));
        site.shared.world.run_for(Duration::from_millis(1));
    }
    assert_eq!(calls(&site) - before, 100, "what is used stays");
    // What is asked for first came last: each one that is not held takes another's place.
    let held = (1..100).rev().take_while(|number| call(&site, &target(*number)).1 == "hit").count();
    assert!((38..44).contains(&held), "{held}");
}

#[test]
fn strikes_the_token_out_of_copies() {
    let site = site();
    script(&site, 404, "content-type:text/plain");
    for expected in ["miss", "hit"] {
        let (answer, word) = call(&site, &things());
        assert_eq!(word, expected);
        assert!(answer.body.contains("authorization:Bearer ***"), "{}", answer.body);
        assert!(!answer.body.contains("Bearer access-"), "{}", answer.body);
    }
}
