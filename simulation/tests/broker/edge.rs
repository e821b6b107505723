//! Whole calls over simulated surroundings.

mod audit;
mod boundaries;
mod cache;
mod cache_keys;
mod callers;
mod connect;
mod connections;
mod guard;
mod operators;
mod reasons;
mod registry;
mod rotations;
mod rules;
mod shapes;
mod templates;
mod traces;
mod webhooks;
mod words;

use porteiro_simulation::{Answered, Call, Grants, Site};

const GRANTS: Grants =
    Grants { expires_in: 3600, refresh_tokens: true, rotation: true, reuse_detection: true };

fn site() -> Site {
    Site::new(1, GRANTS)
}

#[track_caller]
fn check(site: &Site, call: &Call, status: u16, code: &str) -> Answered {
    let answered = site.call(1, call);
    assert_eq!((answered.status, answered.code().as_str()), (status, code), "{call:?}");
    assert_eq!(answered.field("content-type"), Some("application/problem+json"));
    assert_eq!(answered.json()["request_id"].as_str(), answered.field("x-request-id"));
    assert_eq!(answered.json()["type"], format!("{}/problems/{code}", Site::ADDRESS));
    answered
}

fn things() -> Call {
    Call::get("/api/acme/things")
}

fn from_page(target: &str) -> Call {
    Call::get(target).field("authorization", "").field("origin", "https://app.example")
}

/// The log lines of this event.
fn lines(site: &Site, event: &str) -> Vec<serde_json::Value> {
    let logs = site.shared.logs.borrow();
    let lines = logs.iter().map(|line| serde_json::from_str(line).expect("a line is JSON"));
    lines.filter(|line: &serde_json::Value| line["event"] == event).collect()
}

/// The address and the fields of the last call that the upstream got.
fn last_upstream_call(site: &Site) -> (String, String) {
    site.shared.upstream_calls.borrow().last().cloned().expect("a call reached the upstream")
}

#[test]
fn keeps_path_and_query_byte_for_byte() {
    let site = site();
    for target in [
        "/things/a%20b?x=1&x=2",
        "/things/%C3%A9?q=+&e=%2B",
        "/things/",
        "/things?",
        "/things/~!$&'()*+,;=:@?a=?/&b='|",
    ] {
        assert_eq!(site.call(1, &Call::get(&format!("/api/acme{target}"))).status, 200, "{target}");
        assert_eq!(last_upstream_call(&site).0, format!("https://api.acme.example/v2{target}"));
    }
}

#[test]
fn refuses_paths_that_could_be_read_otherwise_before_it_looks_who_calls() {
    let site = site();
    for path in ["/%2e%2e/x", "/a%2fb", "//things", "/things/..;/x", "/a%5c", "/a%00"] {
        check(&site, &Call::get(&format!("/api/acme{path}")).field("authorization", ""), 400, "bad_path");
    }
    assert!(site.shared.upstream_calls.borrow().is_empty());
}

#[test]
fn lets_nobody_call_who_is_not_proven() {
    let site = site();
    let refused = check(&site, &things().field("authorization", ""), 401, "caller_unauthenticated");
    assert_eq!(refused.field("www-authenticate"), Some(r#"Bearer realm="porteiro""#));
    for wrong in
        ["Bearer wrong", "bearer ", "Bearer caller-key", "Bearer caller-key-0123456789-0123456789-012345678x"]
    {
        let refused = check(&site, &things().field("authorization", wrong), 401, "caller_unauthenticated");
        assert!(refused.field("www-authenticate").unwrap().contains("invalid_token"), "{wrong}");
    }
    let basic = things().field("authorization", "Basic YTpi");
    let refused = check(&site, &basic, 401, "caller_unauthenticated");
    assert!(!refused.field("www-authenticate").unwrap().contains("invalid_token"));
    // A wrong key is not made good by an allowed origin.
    let both = things().field("authorization", "Bearer wrong").field("origin", "https://app.example");
    check(&site, &both, 401, "caller_unauthenticated");
    assert!(site.shared.provider.requests.borrow().is_empty());
}

#[test]
fn takes_a_key_whatever_the_case_of_its_scheme() {
    let site = site();
    let key = format!("bEARER  {}", Site::CALLER_KEY);
    assert_eq!(site.call(1, &things().field("authorization", &key)).status, 200);
}

#[test]
fn takes_anyone_from_a_page_that_may_call_only() {
    let site = site();
    assert_eq!(site.call(1, &from_page("/api/acme/things")).status, 200);
    assert_eq!(site.call(1, &from_page("/api/acme/things").field("origin", Site::ADDRESS)).status, 200);
    let own = from_page("/api/acme/things").field("origin", "").field("sec-fetch-site", "same-origin");
    assert_eq!(site.call(1, &own).status, 200);
    let untold = from_page("/api/acme/things").field("origin", "").field("sec-fetch-site", "same-site");
    check(&site, &untold, 401, "caller_unauthenticated");
}

#[test]
fn refuses_every_other_origin_whoever_calls() {
    let site = site();
    for origin in [
        "null",
        "https://app.example.evil",
        "https://evil-app.example",
        "http://app.example",
        "https://app.example:444",
        "https://app.example/",
        "https://APP.example",
        "https://app.example, https://app.example",
        "https://app.exampl",
    ] {
        let refused = check(&site, &things().field("origin", origin), 403, "origin_not_allowed");
        assert_eq!(refused.field("access-control-allow-origin"), None, "{origin}");
        assert_eq!(refused.field("vary"), Some("Origin, Accept-Language"));
    }
}

#[test]
fn allows_what_a_rule_names_and_nothing_else() {
    let site = site();
    assert_eq!(site.call(1, &things().method("HEAD")).status, 200);
    assert_eq!(site.call(1, &things().method("POST")).status, 200);
    for (method, target) in [
        ("DELETE", "/api/acme/things"),
        ("TRACE", "/api/acme/things"),
        ("get", "/api/acme/things"),
        ("GET", "/api/acme/other"),
        ("GET", "/api/acme/things/1/2"),
        ("GET", "/api/acme"),
        ("GET", "/api/acme/Things"),
    ] {
        check(&site, &Call::get(target).method(method), 403, "operation_not_allowed");
    }
    check(&site, &Call::get("/api/other/things"), 404, "unknown_connection");
    check(&site, &Call::get("/api"), 404, "not_found");
}

#[test]
fn asks_for_the_connections_types_where_the_caller_prefers_none() {
    let site = site();
    let asked = |accept: &[&str]| {
        let call = accept.iter().fold(things(), |call, value| call.field("accept", value));
        assert_eq!(site.call(1, &call).status, 200);
        let (_, fields) = last_upstream_call(&site);
        let asked = fields.lines().filter_map(|line| line.strip_prefix("accept:"));
        asked.map(str::to_owned).collect::<Vec<_>>()
    };
    assert!(asked(&[]).is_empty());
    assert_eq!(asked(&["*/*"]), ["*/*"]);
    let mut variables = Site::variables();
    variables["CONNECTIONS"]["acme"]["default_accept"] = "text/csv, */*;q=0.1".into();
    site.redeploy(&variables);
    for open in [&[][..], &["*/*"], &["*/*;q=0.5"], &[""], &["text/*"]] {
        assert_eq!(asked(open), ["text/csv, */*;q=0.1"], "{open:?}");
    }
    for types in ["application/json, */*", "text/html", "image/*"] {
        assert_eq!(asked(&[types]), [types]);
    }
    // A field that Connection names ends here: it counts as absent.
    let named = things().field("accept", "text/html").field("connection", "accept");
    assert_eq!(site.call(1, &named).status, 200);
    assert!(last_upstream_call(&site).1.contains("accept:text/csv"));
}

#[test]
fn passes_on_what_may_pass_and_nothing_that_tells_of_the_caller() {
    let site = site();
    let mut call = things();
    for (name, value) in [
        ("accept", "application/json"),
        ("accept-language", "pt-BR"),
        ("content-type", "text/plain"),
        ("content-language", "pt"),
        ("content-encoding", "gzip"),
        ("if-none-match", "\"a\""),
        ("if-modified-since", "x"),
        ("range", "bytes=0-1"),
        ("prefer", "x"),
        ("idempotency-key", "k"),
    ] {
        call = call.field(name, value);
    }
    let kept = call.fields.len() - 1;
    for (name, value) in [
        ("cookie", "a=b"),
        ("origin", "https://app.example"),
        ("referer", "https://app.example/x"),
        ("forwarded", "for=1"),
        ("x-forwarded-for", "1"),
        ("cf-connecting-ip", "1"),
        ("sec-fetch-site", "cross-site"),
        ("connection", "close, Prefer"),
        ("te", "trailers"),
        ("proxy-authorization", "x"),
        ("x-custom", "1"),
        ("host", "broker.example"),
        ("traceparent", "x"),
        ("tracestate", "x"),
        ("baggage", "x"),
        ("user-agent", "Mozilla"),
        ("accept-encoding", "br"),
        ("upgrade", "websocket"),
        ("content-length", "0"),
    ] {
        call = call.field(name, value);
    }
    assert_eq!(site.call(1, &call).status, 200);
    let (_, fields) = last_upstream_call(&site);
    let names: Vec<&str> = fields.lines().map(|line| line.split(':').next().unwrap()).collect();
    // All that may pass but `prefer`, which Connection names; then the broker's own four.
    assert_eq!(names.len(), kept - 1 + 4, "{fields}");
    assert!(!fields.contains(Site::CALLER_KEY));
    assert!(fields.contains("\nvia:1.1 porteiro\n") && fields.contains("\nuser-agent:porteiro/"));
    assert_eq!(names.iter().filter(|name| **name == "authorization").count(), 1);
}

#[test]
fn hands_back_what_may_come_back_and_nothing_that_acts_on_its_own_origin() {
    let site = site();
    let sent = "content-type:a/b\netag:x\nlink:y\nratelimit:1\nratelimit-policy:1\nx-ratelimit-left:2\nretry-after:3\n\
        vary:Accept\ndate:d\ncontent-disposition:attachment\naccept-ranges:bytes\nlast-modified:m\nset-cookie:a=b\n\
        www-authenticate:Bearer\naccess-control-allow-origin:*\nstrict-transport-security:x\ncontent-security-policy:x\n\
        clear-site-data:*\nalt-svc:x\nnel:x\nserver:x\nx-powered-by:x\ncache-control:public\nrefresh:0\nvia:1.1 x";
    *site.shared.upstream_script.borrow_mut() = Some((200, sent.to_owned()));
    let answered = site.call(1, &things());
    for (name, value) in [
        ("content-type", "a/b"),
        ("etag", "x"),
        ("link", "y"),
        ("ratelimit", "1"),
        ("ratelimit-policy", "1"),
        ("x-ratelimit-left", "2"),
        ("retry-after", "3"),
        ("vary", "Origin, Accept"),
        ("date", "d"),
        ("content-disposition", "attachment"),
        ("accept-ranges", "bytes"),
        ("last-modified", "m"),
        ("cache-control", "no-store"),
        ("x-content-type-options", "nosniff"),
    ] {
        assert_eq!(answered.field(name), Some(value), "{name}");
    }
    for gone in [
        "set-cookie",
        "www-authenticate",
        "access-control-allow-origin",
        "clear-site-data",
        "alt-svc",
        "nel",
        "server",
        "x-powered-by",
        "refresh",
        "via",
    ] {
        assert_eq!(answered.field(gone), None, "{gone}");
    }
    assert_ne!(answered.field("content-security-policy"), Some("x"));
    assert_eq!(answered.field("strict-transport-security"), Some("max-age=31536000"));
}

#[test]
fn lets_an_allowed_page_read_answers_and_errors() {
    let site = site();
    for (target, status) in
        [("/api/acme/things", 200), ("/api/acme/other", 403), ("/api/acme/a%2fb", 400), ("/nowhere", 404)]
    {
        let answered = site.call(1, &from_page(target));
        assert_eq!(answered.status, status);
        assert_eq!(answered.field("access-control-allow-origin"), Some("https://app.example"));
        let exposed = answered.field("access-control-expose-headers").unwrap();
        assert!(exposed.split(", ").any(|name| name == "x-request-id"), "{exposed}");
        assert_eq!(
            answered.field("vary"),
            Some(if status == 200 { "Origin" } else { "Origin, Accept-Language" })
        );
    }
    let exposed = site.call(1, &from_page("/api/acme/things"));
    assert!(exposed.field("access-control-expose-headers").unwrap().contains("server-timing"));
}

#[test]
fn answers_preflights_itself() {
    let site = site();
    let preflight = from_page("/api/acme/things")
        .method("OPTIONS")
        .field("access-control-request-method", "POST")
        .field("access-control-request-headers", "authorization, Content-Type,x-evil");
    let answered = site.call(1, &preflight);
    assert_eq!((answered.status, answered.body.as_str()), (204, ""));
    assert_eq!(answered.field("access-control-max-age"), Some("7200"));
    assert_eq!(answered.field("access-control-allow-methods"), Some("POST"));
    assert_eq!(answered.field("access-control-allow-headers"), Some("authorization, content-type, x-evil"));
    assert_eq!(answered.field("access-control-allow-origin"), Some("https://app.example"));
    assert!(answered.field("vary").unwrap().starts_with("Origin, Access-Control-Request-Method"));
    let refused = check(&site, &preflight.field("origin", "https://evil.example"), 403, "origin_not_allowed");
    assert_eq!(refused.field("access-control-allow-origin"), None);
    assert!(
        site.shared.upstream_calls.borrow().is_empty() && site.shared.provider.requests.borrow().is_empty()
    );
}

#[test]
fn rewrites_redirects_within_and_refuses_those_that_lead_away() {
    let site = site();
    let redirect = |status: u16, location: &str| {
        *site.shared.upstream_script.borrow_mut() = Some((status, format!("location:{location}")));
    };
    redirect(302, "/v2/things/2?x=1");
    let answered = site.call(1, &things());
    assert_eq!(answered.status, 302);
    assert_eq!(answered.field("location"), Some("https://broker.example/api/acme/things/2?x=1"));
    for away in ["https://evil.example/", "/other", "//evil.example/v2/x", "http://api.acme.example/v2/x"] {
        redirect(307, away);
        let refused = check(&site, &things(), 502, "upstream_redirect");
        assert_eq!(refused.field("location"), None);
    }
    redirect(201, "/v2/things/9");
    assert_eq!(site.call(1, &things()).field("location"), Some("https://broker.example/api/acme/things/9"));
    redirect(201, "https://evil.example/");
    let answered = site.call(1, &things());
    assert_eq!((answered.status, answered.field("location")), (201, None));
}

#[test]
fn refuses_tokens_in_the_query_bodies_of_get_and_calls_through_itself() {
    let site = site();
    check(&site, &Call::get("/api/acme/things?a=1&access_token=x"), 400, "bad_request");
    check(&site, &Call::get("/api/acme/things?access%5Ftoken"), 400, "bad_request");
    check(&site, &things().field("via", "2 cache, 1.1 porteiro"), 400, "bad_request");
    check(&site, &things().field("content-length", "7"), 400, "bad_request");
    check(&site, &things().field("transfer-encoding", "chunked"), 400, "bad_request");
    assert_eq!(site.call(1, &things().field("via", "1.1 other")).status, 200);
}

#[test]
fn replays_a_call_once_with_the_new_token_where_its_body_can_be_sent_again() {
    let site = site();
    assert_eq!(site.call(1, &things()).status, 200);
    site.shared.provider.revoke_access_tokens();
    let small = site.call(1, &things().method("POST").body(1_048_576));
    assert_eq!((small.status, small.sent), (200, 2));
    site.shared.provider.revoke_access_tokens();
    let large = site.call(1, &things().method("POST").body(1_048_577));
    assert_eq!((large.status, large.code().as_str()), (502, "upstream_unauthorized"));
    let next = site.call(1, &things().method("POST").body(1_048_577));
    assert_eq!((next.status, next.sent, next.token_source()), (200, 1, "memory"));
}

#[test]
fn passes_every_other_status_of_the_upstream_through() {
    let site = site();
    for status in [200, 204, 304, 400, 403, 404, 409, 418, 429, 500, 503, 599] {
        *site.shared.upstream_script.borrow_mut() = Some((status, "etag:x".to_owned()));
        let answered = site.call(1, &things());
        assert_eq!((answered.status, answered.sent), (status, 1));
        assert_eq!(answered.body, format!("answer {status}"));
    }
    // No HTTP status that a response can have (RFC 9110 §15).
    *site.shared.upstream_script.borrow_mut() = Some((999, String::new()));
    check(&site, &things(), 502, "upstream_unreachable");
}

#[test]
fn serves_the_other_connections_beside_a_broken_one() {
    let mut variables = Site::variables();
    variables["CONNECTIONS"]["broken"] = serde_json::json!({ "provider": "hubsoft", "rules": [] });
    let site = Site::with_variables(1, GRANTS, &variables);
    check(&site, &Call::get("/api/broken/x"), 503, "misconfigured");
    assert_eq!(site.call(1, &things()).status, 200);
}

#[test]
fn serves_nothing_but_its_health_without_sealing_keys() {
    let mut variables = Site::variables();
    variables["SEALING_KEYS"] = "".into();
    let site = Site::with_variables(1, GRANTS, &variables);
    for target in ["/api/acme/things", "/api/unknown/x", "/", "/nowhere"] {
        check(&site, &Call::get(target), 503, "misconfigured");
    }
    assert_eq!(site.call(1, &Call::get("/healthz")).status, 200);
}

#[test]
fn answers_for_its_own_addresses() {
    let site = site();
    let health = site.call(1, &Call::get("/healthz").field("authorization", ""));
    assert_eq!((health.status, health.json()["status"].as_str()), (200, Some("ok")));
    assert_eq!(site.call(1, &Call::get("/healthz").method("HEAD")).body, "");
    let refused = check(&site, &Call::get("/healthz").method("POST"), 405, "method_not_allowed");
    assert_eq!(refused.field("allow"), Some("GET, HEAD"));
    let page = site.call(1, &Call::get("/problems/bad_path").field("authorization", ""));
    assert!(page.status == 200 && page.body.starts_with("bad_path (HTTP 400)"));
    check(&site, &Call::get("/problems/teapot"), 404, "not_found");
}

#[test]
fn is_mounted_where_the_operator_says() {
    let mut variables = Site::variables();
    variables["BASE_PATH"] = "/broker".into();
    let site = Site::with_variables(1, GRANTS, &variables);
    assert_eq!(site.call(1, &Call::get("/broker/api/acme/things")).status, 200);
    let refused = site.call(1, &Call::get("/broker/api/acme/a%2fb"));
    assert_eq!(refused.json()["type"], "https://broker.example/broker/problems/bad_path");
    assert_eq!(site.call(1, &Call::get("/api/acme/things")).status, 404);
    *site.shared.upstream_script.borrow_mut() = Some((302, "location:/v2/x".to_owned()));
    let moved = site.call(1, &Call::get("/broker/api/acme/things"));
    assert_eq!(moved.field("location"), Some("https://broker.example/broker/api/acme/x"));
}

#[test]
fn writes_one_line_for_each_call_without_its_path_or_query() {
    let site = site();
    assert_eq!(site.call(1, &Call::get("/api/acme/things/secret-path?secret=query")).status, 200);
    site.call(1, &Call::get("/api/secret-connection/x"));
    let calls = lines(&site, "call");
    assert_eq!(calls.len(), 2);
    let call = &calls[0];
    assert_eq!((&call["connection"], &call["caller"]), (&"acme".into(), &"backend".into()));
    assert_eq!((&call["method"], &call["path"]), (&"GET".into(), &"/things/*".into()));
    assert_eq!((&call["status"], &call["token"]), (&200.into(), &"grant".into()));
    assert!(call["upstream_ms"].is_u64() && call["request_id"].as_str().unwrap().len() == 32);
    assert_eq!(calls[1]["code"], "unknown_connection");
    assert!(!site.shared.logs.borrow().join("\n").contains("secret"));
}
