//! Whatever calls come in whatever order, nobody is given an answer that was made for somebody else.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use serde_json::json;

use super::GRANTS;
use porteiro::http::Headers;
use porteiro_simulation::{Answered, Call, Site};

const SEEDS: u64 = 150;
const OTHER_KEY: &str = "other-key-0123456789-0123456789-0123456789";

/// A site with callers of every kind, whose rules share copies or do not.
fn site(seed: u64) -> Site {
    let mut variables = Site::variables_for_exchanges();
    variables["CALLERS"]["backend"] = json!({ "kind": "key" });
    variables["CALLERS"]["other"] = json!({ "kind": "key" });
    variables["CALLERS"]["page"] = json!({ "kind": "anyone" });
    variables["BACKEND_KEY"] = Site::CALLER_KEY.into();
    variables["OTHER_KEY"] = OTHER_KEY.into();
    for id in ["acme", "bolt"] {
        variables["CONNECTIONS"][id]["rules"][0]["cache"] = json!({ "seconds": 20, "stale_seconds": 60 });
    }
    let mut open = Site::variables()["CONNECTIONS"]["acme"].clone();
    let rule = |callers: &[&str], path: &str, shared: bool| {
        let cache = json!({ "seconds": 20, "stale_seconds": 60, "shared": shared });
        json!({ "callers": callers, "methods": ["GET", "POST"], "paths": [path], "cache": cache })
    };
    open["request_headers"] = json!(["x-tenant"]);
    open["rules"] = json!([
        rule(&["backend", "one"], "/shared", true),
        rule(&["other", "two", "page"], "/shared", true),
        rule(&["backend", "other", "one", "two", "page"], "/own", false),
    ]);
    let mut bound = rule(&["one", "two"], "/bound", false);
    bound["query"] = json!({ "owner": "{claims.sub}" });
    bound["query_allowed"] = json!(["*"]);
    open["rules"].as_array_mut().unwrap().push(bound);
    variables["CONNECTIONS"]["open"] = open;
    variables["OPEN_USERNAME"] = "ana@example.com".into();
    variables["OPEN_PASSWORD"] = "pass word".into();
    let site = Site::with_variables(seed, GRANTS, &variables);
    for issuer in Site::ISSUERS {
        site.shared.issuers.publish(issuer, &[Site::ISSUER_KEY]);
    }
    site.shared.echoes.set(true);
    site
}

/// A caller: who they are, and their credential.
struct Somebody {
    who: String,
    /// The number of the rule of `/shared` that is theirs.
    group: usize,
    credential: String,
}

fn everybody(site: &Site) -> Vec<Somebody> {
    let mut all = vec![
        Somebody { who: "backend".into(), group: 0, credential: format!("Bearer {}", Site::CALLER_KEY) },
        Somebody { who: "other".into(), group: 1, credential: format!("Bearer {OTHER_KEY}") },
        Somebody { who: "page".into(), group: 1, credential: String::new() },
    ];
    let until = (site.shared.world.now() + Duration::from_hours(10)).as_millis() / 1000;
    for (group, issuer) in Site::ISSUERS.into_iter().enumerate() {
        for sub in ["ana", "bia", ""] {
            // Two tokens of each, as one that was renewed.
            for number in 0..2 {
                let claims = json!({ "iss": issuer, "aud": "porteiro", "sub": sub, "exp": until, "jti": number.to_string() });
                let who = match sub {
                    // Somebody without a name is nobody else.
                    "" => format!("{issuer} {sub} {number}"),
                    _ => format!("{issuer} {sub}"),
                };
                let credential = format!("Bearer {}", Site::ISSUER_KEY.sign(&claims));
                all.push(Somebody { who, group, credential });
            }
        }
    }
    all
}

struct Made {
    who: String,
    group: usize,
    target: &'static str,
    tenant: &'static str,
    language: &'static str,
    answer: Answered,
}

const TARGETS: [&str; 8] = [
    "/api/acme/things",
    "/api/bolt/things",
    "/api/acme/things?a=1",
    "/api/open/shared",
    "/api/open/own",
    "/api/open/own?a=1",
    "/api/open/bound",
    "/api/open/bound?b=1",
];

const FIELDS: [&str; 8] = [
    "",
    "vary:accept-language",
    "vary:x-tenant, accept-language",
    "cache-control:private",
    "cache-control:max-age=5",
    "set-cookie:a=1",
    "cache-control:no-store",
    "vary:*",
];

fn run(seed: u64) -> (u32, u32) {
    let site = site(seed);
    let world = site.shared.world.clone();
    let pick = |most: usize| usize::try_from(world.below(most as u64)).unwrap();
    let mut people = everybody(&site);
    while people.len() > 6 {
        people.swap_remove(pick(people.len()));
    }
    let targets: Vec<&str> = (0..3).map(|_| TARGETS[pick(TARGETS.len())]).collect();
    let made = Rc::new(RefCell::new(Vec::new()));
    site.shared.provider.api_takes.set(Duration::from_millis(800));
    for _ in 0..120 {
        let Somebody { who, group, credential } = &people[pick(people.len())];
        let target = targets[pick(targets.len())];
        let (tenant, language) = (["", "", "", "t1"][pick(4)], ["", "", "", "pt"][pick(4)]);
        let call = match credential.as_str() {
            "" => Call::from_page("GET", target),
            _ => Call::get(target).field("authorization", credential),
        };
        let call = call.field("x-tenant", tenant).field("accept-language", language);
        let call = if world.happens(20) { call.method("POST") } else { call };
        let fields = FIELDS[pick(FIELDS.len())].to_owned();
        let status = if world.happens(100) { [500, 503, 404, 0][pick(4)] } else { 200 };
        site.shared.upstream_script.replace(Some((status, fields)));
        let (made, calling) = (Rc::clone(&made), site.calling(1 + u32::from(world.happens(100)), &call));
        let (who, group) = (who.clone(), *group);
        world.spawn(1, async move {
            let answer = calling.await;
            made.borrow_mut().push(Made { who, group, target, tenant, language, answer });
        });
        world.run_for(Duration::from_millis(world.below(1500)));
    }
    world.run_for(Duration::from_mins(2));
    let whose = |credential: &str| people.iter().find(|somebody| somebody.credential == credential).unwrap();
    let (mut hits, mut shared) = (0, 0);
    for Made { who, group, target, tenant, language, answer } in made.borrow().iter() {
        let told = answer.field("cache-status").unwrap_or_default();
        let is_copy = told.contains("hit") || told.contains("collapsed") || told.contains("ttl=");
        if !is_copy {
            continue;
        }
        hits += 1;
        let mut lines = answer.body.lines().skip(1);
        let own = whose(lines.next().unwrap());
        let context = format!("seed {seed}: {who} got {} at {target}: {told}", own.who);
        if *target == "/api/open/shared" {
            shared += u32::from(own.who != *who);
            assert_eq!(own.group, *group, "{context}");
        } else {
            assert_eq!(own.who, *who, "{context}");
            assert!(!who.contains("  "), "{context}");
        }
        let url = lines.next().unwrap();
        let (_, id, below) = {
            let mut parts = target.splitn(4, '/').skip(1);
            (parts.next(), parts.next().unwrap(), parts.next().unwrap())
        };
        assert!(url.contains(&format!("/v2/{below}")), "{context}: {url}");
        assert_eq!(url.contains("api.bolt"), id == "bolt", "{context}: {url}");
        if below.starts_with("bound") {
            let sub = if who.ends_with("ana") { "ana" } else { "bia" };
            assert!(url.ends_with(&format!("owner={sub}")), "{context}: {url}");
        }
        let fields = lines.collect::<Vec<_>>().join("\n");
        let fields = Headers::new(&fields);
        assert_eq!(fields.value("accept-language").unwrap_or_default(), *language, "{context}");
        if id == "open" {
            assert_eq!(fields.value("x-tenant").unwrap_or_default(), *tenant, "{context}");
        }
    }
    (hits, shared)
}

#[test]
fn gives_nobody_an_answer_that_was_made_for_somebody_else() {
    let (mut hits, mut shared) = (0, 0);
    for seed in 0..SEEDS {
        let (more, of_others) = run(seed);
        hits += more;
        shared += of_others;
    }
    assert!(hits > 300 && shared > 30, "{hits} copies served, {shared} of others");
}
