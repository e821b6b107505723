//! Operators: how they are proven, and what they may ask for.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::check;
use porteiro_simulation::{Call, Site};

fn site() -> Site {
    Site::for_webhooks(1)
}

fn list() -> Call {
    Call::operator("GET", "")
}

/// The same request with a password, as a browser sends it.
fn basic(user: &str, password: &str) -> Call {
    let credentials = STANDARD.encode(format!("{user}:{password}"));
    list().field("authorization", &format!("Basic {credentials}"))
}

#[test]
fn knows_the_operator_by_the_key() {
    let site = site();
    let bearer = format!("bEARER   {} ", Site::OPERATOR_KEY);
    for call in [list(), list().field("authorization", &bearer)] {
        let answered = site.call(1, &call);
        assert_eq!((answered.status, answered.field("content-type")), (200, Some("application/json")));
        assert_eq!(answered.field("cache-control"), Some("no-store"));
    }
    for user in ["", "operator", "ünï", "a b"] {
        assert_eq!(site.call(1, &basic(user, Site::OPERATOR_KEY)).status, 200, "{user}");
    }
    let head = site.call(1, &list().method("HEAD"));
    assert_eq!((head.status, head.body.as_str()), (200, ""));
}

#[test]
fn takes_nobody_else_for_the_operator() {
    let site = site();
    let missing = check(&site, &list().field("authorization", ""), 401, "caller_unauthenticated");
    assert!(!missing.field("www-authenticate").unwrap().contains("invalid_token"));
    let not_a_pair = STANDARD.encode(Site::OPERATOR_KEY);
    for wrong in [
        "Bearer",
        "Bearer ",
        "Bearer wrong",
        "Basic",
        "Basic !",
        "Basic Og==",
        &format!("Basic {not_a_pair}"),
        &format!("Bearer {}x", Site::OPERATOR_KEY),
        &format!("Bearer {}", Site::OPERATOR_KEY.to_uppercase()),
        &format!("Bearer {}", Site::CALLER_KEY),
        &format!("Digest {}", Site::OPERATOR_KEY),
        Site::OPERATOR_KEY,
    ] {
        let call = list().field("authorization", wrong);
        let refused = check(&site, &call, 401, "caller_unauthenticated");
        assert!(refused.field("www-authenticate").unwrap().contains("invalid_token"), "{wrong}");
    }
    check(&site, &basic("operator", "wrong"), 401, "caller_unauthenticated");
    check(&site, &basic(Site::OPERATOR_KEY, ""), 401, "caller_unauthenticated");
    // Nor does the operator's key call an API.
    let things = Call::get("/api/acme/things");
    let call = things.field("authorization", &format!("Bearer {}", Site::OPERATOR_KEY));
    check(&site, &call, 401, "caller_unauthenticated");
}

#[test]
fn has_no_operator_without_a_key() {
    for key in ["", "too short"] {
        let site = site();
        let mut variables = Site::variables_for_webhooks();
        variables["ADMIN_KEY"] = key.into();
        site.redeploy(&variables);
        for call in [
            list(),
            basic("", ""),
            basic("", key),
            list().field("authorization", "Bearer "),
            list().field("authorization", &format!("Bearer {key}")),
        ] {
            check(&site, &call, 401, "caller_unauthenticated");
        }
    }
}

#[test]
fn takes_a_password_that_a_browser_sends_by_itself_from_its_own_pages_only() {
    let site = site();
    let call = || basic("", Site::OPERATOR_KEY);
    for fields in [
        &[("sec-fetch-site", "none")][..],
        &[("sec-fetch-site", "same-origin"), ("origin", Site::ADDRESS)],
        &[("origin", Site::ADDRESS)],
    ] {
        let call = fields.iter().fold(call(), |call, (name, value)| call.field(name, value));
        assert_eq!(site.call(1, &call).status, 200, "{fields:?}");
    }
    for fields in [
        &[("sec-fetch-site", "cross-site")][..],
        &[("sec-fetch-site", "same-site")],
        &[("sec-fetch-site", "same-origin"), ("origin", "https://app.example")],
        &[("sec-fetch-site", "none"), ("origin", "null")],
        &[("origin", "https://app.example")],
        &[("origin", "https://broker.example.evil")],
        &[("origin", "http://broker.example")],
    ] {
        let call = fields.iter().fold(call(), |call, (name, value)| call.field(name, value));
        check(&site, &call, 403, "cross_site_request");
        // One who knows the key and says so is no browser that was tricked.
        let bearer = format!("Bearer {}", Site::OPERATOR_KEY);
        assert_eq!(site.call(1, &call.field("authorization", &bearer)).status, 200, "{fields:?}");
    }
}

#[test]
fn lets_no_page_read_what_operators_are_told() {
    let site = site();
    let preflight = list()
        .method("OPTIONS")
        .field("origin", "https://app.example")
        .field("access-control-request-method", "GET");
    for call in [
        preflight.clone(),
        preflight.field("authorization", ""),
        list().field("origin", "https://app.example"),
        list().field("origin", "https://app.example").field("authorization", ""),
    ] {
        let answered = site.call(1, &call);
        let is_told = answered.fields.contains("access-control-");
        assert!(!is_told && answered.status != 204, "{call:?}: {}", answered.fields);
    }
}

#[test]
fn tells_operators_what_there_is_and_what_there_is_not() {
    let mut variables = Site::variables_for_webhooks();
    variables["CONNECTIONS"]["plain"] = variables["CONNECTIONS"]["acme"].clone();
    variables["CONNECTIONS"]["plain"].as_object_mut().unwrap().remove("webhook");
    variables["CONNECTIONS"]["wrong"] = variables["CONNECTIONS"]["acme"].clone();
    let site = site();
    site.redeploy(&variables);
    let operator = |method, target: &str| {
        Call::get(target).method(method).field("authorization", list().fields[0].1.as_str())
    };
    for (method, below) in [("GET", ""), ("POST", "/send"), ("POST", "/msg_0/send")] {
        let of = |connection: &str| format!("/admin/connections/{connection}/webhooks{below}");
        check(&site, &operator(method, &of("other")), 404, "unknown_connection");
        check(&site, &operator(method, &of("plain")), 404, "not_found");
        let other = if method == "GET" { "POST" } else { "GET" };
        let refused = check(&site, &operator(other, &of("acme")), 405, "method_not_allowed");
        let allowed = if method == "GET" { "GET, HEAD" } else { "POST" };
        assert_eq!(refused.field("allow"), Some(allowed));
        // One that is configured wrong has its webhooks still.
        let answered = site.call(1, &operator(method, &of("wrong")));
        let expected = match below {
            "" => 200,
            "/send" => 202,
            _ => 404,
        };
        assert_eq!(answered.status, expected, "{below}");
    }
    for target in [
        "/admin/other",
        "/admin/connections/acme/webhooks/",
        "/admin/connections/acme/webhooks/msg_0",
        "/admin/connections/acme/webhooks/msg_0/send/",
        "/admin/connections/acme/webhooks//send/x",
        "/admin/other/acme/webhooks",
    ] {
        check(&site, &operator("GET", target), 404, "not_found");
        check(&site, &operator("GET", target).field("authorization", ""), 401, "caller_unauthenticated");
    }
}
