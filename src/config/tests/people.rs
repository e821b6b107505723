//! Sessions, and connections of people.

use super::*;

const CALLERS: &str = "CONNECTIONS/hubsoft/rules/0/callers";

/// The changes that make `hubsoft` a connection of people.
fn for_people() -> Vec<(&'static str, Value)> {
    vec![("CONNECTIONS/hubsoft/subject", json!("user")), (CALLERS, json!(["session"]))]
}

#[test]
fn needs_no_account_where_people_have_their_own() {
    let mut all = changed(&for_people());
    put(&mut all, "HUBSOFT_USERNAME", None);
    put(&mut all, "HUBSOFT_PASSWORD", None);
    let (config, problems) = read(&all);
    assert_eq!(problems, []);
    let hubsoft = config.connection("hubsoft").unwrap().usable().unwrap();
    assert!(hubsoft.grant.is_for_people() && hubsoft.grant.name() == "password");
    assert!(matches!(config.callers.get("session").unwrap(), Configured::Usable(Caller::Session(_))));
}

#[test]
fn shares_no_copies_between_people() {
    let mut changes = for_people();
    let cache = "CONNECTIONS/hubsoft/rules/0/cache";
    changes.push((cache, json!({"seconds": 30})));
    check(&changes, &[], &[]);
    changes.push((cache, json!({"seconds": 30, "shared": true})));
    let message = "must be false: each person has a token of their own here";
    check(&changes, &[&format!("CONNECTIONS.hubsoft.rules[0].cache.shared: {message}")], &["hubsoft"]);
}

#[test]
fn lets_sessions_alone_use_what_belongs_to_people() {
    let mut changes = for_people();
    changes.push((CALLERS, json!(["session", "backend", "web"])));
    let message = "must be a caller of kind session: the token sets belong to people";
    check(
        &changes,
        &[
            &format!("CONNECTIONS.hubsoft.rules[0].callers[1]: {message}"),
            &format!("CONNECTIONS.hubsoft.rules[0].callers[2]: {message}"),
        ],
        &["hubsoft"],
    );
    let mut renamed = for_people();
    renamed.extend([(CALLERS, json!(["staff"])), ("CALLERS/staff", json!({"kind": "session"}))]);
    check(&renamed, &[], &[]);
}

#[test]
fn signs_people_in_with_grants_that_prove_a_person_only() {
    let session = json!([{"callers": ["session"], "methods": ["GET"], "paths": ["/**"]}]);
    for id in ["api", "fixed", "renewed"] {
        check(
            &[
                (&format!("CONNECTIONS/{id}/subject"), json!("user")),
                (&format!("CONNECTIONS/{id}/rules"), session.clone()),
            ],
            &[&format!(
                "CONNECTIONS.{id}.subject: must be service: people sign in with the grants password and authorization_code only"
            )],
            &[id],
        );
    }
}

#[test]
fn misses_no_account_where_it_is_not_known_whose_it_is() {
    let mut all = changed(&[("CONNECTIONS/hubsoft/subject", json!("everybody"))]);
    put(&mut all, "HUBSOFT_PASSWORD", None);
    let (_, problems) = read(&all);
    let found: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(found, ["CONNECTIONS.hubsoft.subject: must be service, user or caller"]);
}

#[test]
fn takes_sessions_from_a_rule_alone_also_for_services() {
    let (config, problems) = read(&changed(&[(CALLERS, json!(["backend", "session"]))]));
    assert_eq!(problems, []);
    let policy = config.session.unwrap();
    assert_eq!((policy.idle, policy.longest), (Duration::from_hours(12), Duration::from_hours(7 * 24)));
    assert!(!policy.cross_site);
    assert!(read(&sound()).0.session.is_none());
}

#[test]
fn reads_how_long_sessions_last() {
    let mut changes = for_people();
    changes.extend([
        ("SESSION_IDLE_SECONDS", json!(60)),
        ("SESSION_MAX_SECONDS", json!("3600")),
        ("SESSION_CROSS_SITE", json!("true")),
    ]);
    let (config, problems) = read(&changed(&changes));
    assert_eq!(problems, []);
    let policy = config.session.unwrap();
    assert_eq!((policy.idle, policy.longest), (Duration::from_mins(1), Duration::from_hours(1)));
    assert!(policy.cross_site);
    for name in ["SESSION_IDLE_SECONDS", "SESSION_MAX_SECONDS"] {
        for wrong in [json!(0), json!(-1), json!(1.5), json!("1h"), json!(31_536_001), json!(null)] {
            let message = "must be a whole number from 1 to 31536000 (seconds)";
            check(&[(name, wrong)], &[&format!("{name}: {message}")], &[]);
        }
    }
    for wrong in [json!(1), json!("yes"), json!(null)] {
        check(&[("SESSION_CROSS_SITE", wrong)], &["SESSION_CROSS_SITE: must be true or false"], &[]);
    }
}

#[test]
fn reads_the_limit_of_a_rule() {
    let limit = json!({"requests": 100, "seconds": 60});
    let (config, problems) = read(&changed(&[("CONNECTIONS/api/rules/0/rate_limit", limit)]));
    assert_eq!(problems, []);
    let rule = &config.connection("api").unwrap().usable().unwrap().rules[0];
    assert_eq!(rule.rate_limit, Some(RateLimit { requests: 100, seconds: 60 }));
}
