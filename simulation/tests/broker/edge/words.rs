//! The language of problems, and what the log tells of a refusal that its caller is not told.

use serde_json::{Value, json};

use super::{GRANTS, check, from_page, lines, site, things};
use porteiro_simulation::{Call, Key, Site};

const ISSUER: &str = "https://id.example";
/// What must never stand in a line or an answer.
const CANARY: &str = "c4n4ry";

/// The members of the last call's line.
fn told(site: &Site, members: &[&str]) -> Value {
    let line = lines(site, "call").pop().expect("a call has a line");
    members.iter().map(|member| line[*member].clone()).collect()
}

/// A site with many callers and rules.
fn busy_site() -> Site {
    let mut variables = Site::variables();
    variables["CALLERS"]["staff"] =
        json!({ "kind": "jwt", "issuer": ISSUER, "audience": "porteiro", "header": "x-staff" });
    variables["CALLERS"]["boss"] = variables["CALLERS"]["staff"].clone();
    let rule = |callers: &[&str], methods: &[&str], paths: &[&str]| json!({ "callers": callers, "methods": methods, "paths": paths });
    variables["CONNECTIONS"]["acme"]["rules"] = json!([
        rule(&["staff"], &["PUT"], &["/**"]),
        rule(&["staff"], &["GET"], &["/things/*"]),
        rule(&["backend"], &["PUT"], &["/never", "/things/{connection}"]),
        rule(&["page"], &["GET"], &["/things/*/parts"]),
    ]);
    let site = Site::with_variables(1, GRANTS, &variables);
    site.shared.issuers.publish(ISSUER, &[Key("one")]);
    site
}

fn staff(site: &Site, target: &str) -> Call {
    let expires_at = site.shared.world.now().as_millis() / 1000 + 3600;
    let claims = json!({ "iss": ISSUER, "aud": "porteiro", "sub": CANARY, "exp": expires_at });
    Call::get(target).field("authorization", "").field("x-staff", &Key("one").sign(&claims))
}

#[test]
fn speaks_the_language_that_the_caller_prefers() {
    let site = site();
    for (accept_language, language, title) in [
        ("", "en", "Operation not allowed"),
        ("fr, de", "en", "Operation not allowed"),
        ("pt-BR,pt;q=0.9,en;q=0.8", "pt-BR", "Operação não permitida"),
        ("en;q=0.5, pt", "pt-BR", "Operação não permitida"),
    ] {
        let call = things().method("DELETE").field("accept-language", accept_language);
        let answered = check(&site, &call, 403, "operation_not_allowed");
        assert_eq!(answered.json()["title"], title);
        assert_eq!(answered.field("content-language"), Some(language));
        assert_eq!(answered.field("vary"), Some("Origin, Accept-Language"));
        let page = Call::get("/problems/operation_not_allowed").field("accept-language", accept_language);
        let page = site.call(1, &page);
        assert!(page.body.starts_with(&format!("operation_not_allowed (HTTP 403): {title}.")), "{page:?}");
        assert_eq!(page.field("content-language"), Some(language));
        assert_eq!(page.field("vary"), Some("Origin, Accept-Language"));
    }
}

#[test]
fn has_a_language_for_its_own_words_only() {
    let site = site();
    let call = things().field("accept-language", "pt");
    for call in [call.clone(), call.method("POST"), Call::get("/healthz").field("accept-language", "pt")] {
        let answered = site.call(1, &call);
        assert_eq!(answered.status, 200);
        assert_eq!((answered.field("content-language"), answered.field("vary")), (None, Some("Origin")));
    }
    let page = from_page("/api/acme/a%2fb").field("accept-language", "pt");
    let answered = check(&site, &page, 400, "bad_path");
    // Every page may read Content-Language: no field has to say so.
    let exposed = answered.field("access-control-expose-headers").unwrap();
    assert!(!exposed.contains("language") && exposed.contains("x-request-id"), "{exposed}");
}

#[test]
fn logs_the_origin_that_it_refuses_beside_those_that_may_call() {
    let mut variables = Site::variables();
    variables["ALLOWED_ORIGINS"] = json!(["https://app.example", "http://localhost:5173"]);
    let site = Site::with_variables(1, GRANTS, &variables);
    let allowed = &variables["ALLOWED_ORIGINS"];
    for (sent, logged) in [
        ("https://evil.example", "https://evil.example"),
        ("http://app.example", "http://app.example"),
        ("https://app.example:8443", "https://app.example:8443"),
        ("null", "null"),
        ("https://c4n4ry@app.example", "none"),
        ("https://app.example/c4n4ry", "none"),
        ("https://app.example, https://c4n4ry.example", "none"),
        ("C4N4RY", "none"),
        ("{\"c4n4ry\":1}", "none"),
    ] {
        let call = things().field("origin", sent);
        let preflight = call.clone().method("OPTIONS").field("access-control-request-method", "GET");
        for call in [call, preflight] {
            let answered = check(&site, &call, 403, "origin_not_allowed");
            assert_eq!(told(&site, &["origin", "allowed_origins"]), json!([logged, allowed]), "{sent}");
            assert!(!format!("{answered:?}").contains("localhost:5173"), "the caller learns nothing");
        }
    }
    site.call(1, &things().field("origin", "https://app.example"));
    site.call(1, &things().method("DELETE").field("origin", "https://app.example"));
    for line in &lines(&site, "call")[18..] {
        assert!(line.get("origin").is_none() && line.get("allowed_origins").is_none(), "{line}");
    }
    assert!(!site.shared.logs.borrow().join("").to_lowercase().contains(CANARY));
}

#[test]
fn logs_no_more_allowed_origins_than_a_line_can_hold() {
    let mut variables = Site::variables();
    variables["ALLOWED_ORIGINS"] = (0..100).map(|n| json!(format!("https://app-{n}.example"))).collect();
    let site = Site::with_variables(1, GRANTS, &variables);
    check(&site, &things().field("origin", "https://evil.example"), 403, "origin_not_allowed");
    let line = told(&site, &["allowed_origins"]);
    assert_eq!(line[0].as_array().unwrap()[..], variables["ALLOWED_ORIGINS"].as_array().unwrap()[..32]);
}

#[test]
fn logs_who_was_refused_and_the_pattern_that_came_nearest() {
    let site = busy_site();
    let backend = |path: &str| Call::get(&format!("/api/acme{path}"));
    let page = |path: &str| from_page(&format!("/api/acme{path}"));
    for (call, caller, path) in [
        // The rule of the same caller, though another is before it.
        (backend("/things/c4n4ry"), "backend", Some("/things/{connection}")),
        // The rule of the same method, where none is of the caller.
        (backend("/things/c4n4ry/parts"), "backend", Some("/things/*/parts")),
        // The first that fits, where none is of either.
        (backend("/c4n4ry").method("DELETE"), "backend", Some("/**")),
        (page("/things/c4n4ry"), "page", Some("/things/*")),
        (staff(&site, "/api/acme/things/c4n4ry").method("POST"), "boss,staff", Some("/**")),
        (
            staff(&site, "/api/acme/c4n4ry").field("origin", "https://app.example"),
            "boss,page,staff",
            Some("/**"),
        ),
        (backend("/c4n4ry?c4n4ry=c4n4ry"), "backend", Some("/**")),
    ] {
        check(&site, &call, 403, "operation_not_allowed");
        let method = call.method;
        assert_eq!(told(&site, &["caller", "method", "path"]), json!([caller, method, path]), "{call:?}");
    }
    assert!(!site.shared.logs.borrow().join("").contains(CANARY));
}

#[test]
fn logs_no_path_that_fits_no_pattern() {
    let site = site();
    check(&site, &Call::get("/api/acme/c4n4ry/things"), 403, "operation_not_allowed");
    assert_eq!(told(&site, &["caller", "method", "path"]), json!(["backend", "GET", null]));
    check(&site, &things().method("c4n4ry"), 403, "operation_not_allowed");
    assert_eq!(told(&site, &["caller", "method", "path"]), json!(["backend", "other", "/things"]));
    assert!(!site.shared.logs.borrow().join("").contains(CANARY));
}

#[test]
fn logs_a_person_who_has_no_rule_as_the_caller_that_people_are() {
    let mut variables = Site::variables_for_people();
    let mut plain = Site::variables()["CONNECTIONS"]["acme"].take();
    plain["rules"][0]["callers"] = json!(["backend"]);
    variables["CALLERS"] = json!({ "backend": { "kind": "key" } });
    variables["CONNECTIONS"]["plain"] = plain;
    variables["CONNECTIONS"]["bolt"]["rules"][0]["paths"] = json!(["/others"]);
    for (name, value) in [("BACKEND_KEY", Site::CALLER_KEY), ("PLAIN_USERNAME", "a"), ("PLAIN_PASSWORD", "b")]
    {
        variables[name] = value.into();
    }
    let site = Site::with_variables(1, GRANTS, &variables);
    site.shared.provider.enrol("ana@example.com", "ana's password");
    let signed_in = site.call(1, &Call::sign_in("acme", "ana@example.com", "ana's password"));
    for (target, path) in [
        ("/api/plain/things/c4n4ry", Some("/things/*")),
        ("/api/plain/c4n4ry", None),
        ("/api/bolt/c4n4ry", None),
    ] {
        let call = Call::from_page("GET", target).cookie(signed_in.cookie());
        check(&site, &call, 403, "operation_not_allowed");
        assert_eq!(told(&site, &["caller", "path"]), json!(["session", path]), "{target}");
    }
    assert!(!site.shared.logs.borrow().join("").contains(CANARY));
}
