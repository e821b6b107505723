//! Consents at a provider: where a browser is led, and what its page is told.

use serde_json::{Value, json};

use super::{GRANTS, check};
use porteiro::http::Headers;
use porteiro_simulation::{Answered, Call, Site};

const ADMIN_KEY: &str = "an operator's key";

fn variables() -> Value {
    let connection = |id: &str, subject: &str| {
        json!({
            "provider": "custom",
            "base_url": format!("https://api.{id}.example/v2"),
            "authorize_url": format!("https://login.{id}.example/authorize"),
            "token_url": format!("https://login.{id}.example/token"),
            "grant": "authorization_code",
            "subject": subject,
            "scope": "read",
            "authorize_params": { "prompt": "consent" },
            "client_auth": "none",
            "client_id": "client",
            "labels": { "name": "<Acme> & \"Söhne\"" },
            "rules": [{ "callers": [if subject == "user" { "session" } else { "backend" }], "methods": ["GET"], "paths": ["/things/**"] }],
        })
    };
    json!({
        "ALLOWED_ORIGINS": ["https://app.example"],
        "CALLERS": { "backend": { "kind": "key" } },
        "CONNECTIONS": {
            "acme": connection("acme", "user"),
            "bolt": connection("bolt", "user"),
            "shop": connection("shop", "service"),
        },
        "BACKEND_KEY": Site::CALLER_KEY,
        "ADMIN_KEY": ADMIN_KEY,
        "SEALING_KEYS": "k1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
    })
}

fn site() -> Site {
    Site::with_variables(1, GRANTS, &variables())
}

/// A navigation of a browser.
fn navigation(target: &str) -> Call {
    Call::get(target)
        .field("authorization", "")
        .field("sec-fetch-mode", "navigate")
        .field("sec-fetch-dest", "document")
        .field("accept-language", "pt")
}

fn values<'a>(answered: &'a Answered, name: &str) -> Vec<&'a str> {
    Headers::new(&answered.fields).iter().filter(|(own, _)| *own == name).map(|(_, value)| value).collect()
}

/// The value of a parameter in an address, decoded no further than these need.
fn parameter(address: &str, name: &str) -> String {
    let (_, query) = address.split_once('?').unwrap();
    let found = query.split('&').find_map(|pair| pair.strip_prefix(&format!("{name}=")));
    found.unwrap_or_default().replace("%3A", ":").replace("%2F", "/")
}

/// A flow that has begun: its state, and the cookie.
struct Begun {
    location: String,
    state: String,
    cookie: String,
}

#[track_caller]
fn begin(site: &Site, call: &Call) -> Begun {
    let answered = site.call(1, call);
    assert_eq!(answered.status, 303, "{}", answered.body);
    let location = answered.field("location").unwrap().to_owned();
    let cookies = values(&answered, "set-cookie");
    let [cookie] = cookies.as_slice() else { panic!("{cookies:?}") };
    assert!(cookie.ends_with("; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=600"), "{cookie}");
    let cookie = cookie.split(';').next().unwrap().to_owned();
    assert!(cookie.starts_with("__Host-Http-porteiro-flow-"), "{cookie}");
    Begun { state: parameter(&location, "state"), location, cookie }
}

/// The return of a browser that has `cookie`.
fn back(name: &str, query: &str, cookie: &str) -> Call {
    navigation(&format!("/auth/callback/{name}?{query}"))
        .field("cookie", cookie)
        .field("sec-fetch-site", "cross-site")
}

#[track_caller]
fn check_outcome(site: &Site, call: &Call, location: &str) {
    let answered = site.call(1, call);
    assert_eq!((answered.status, answered.field("location")), (303, Some(location)), "{}", answered.body);
    let text = format!("{}{}", answered.fields, answered.body);
    assert!(!text.contains("c0de"), "{text}");
}

#[test]
fn leads_a_person_to_the_provider() {
    let site = site();
    let begun = begin(&site, &navigation("/auth/acme/connect"));
    assert!(begun.location.starts_with("https://login.acme.example/authorize?response_type=code&"));
    for (name, value) in [
        ("client_id", "client"),
        ("scope", "read"),
        ("code_challenge_method", "S256"),
        ("prompt", "consent"),
        ("redirect_uri", "https://broker.example/auth/callback/acme"),
        ("nonce", ""),
    ] {
        assert_eq!(parameter(&begun.location, name), value, "{name}");
    }
    assert_eq!((begun.state.len(), parameter(&begun.location, "code_challenge").len()), (43, 43));
    let other = begin(&site, &navigation("/auth/acme/connect"));
    assert!(other.state != begun.state && other.cookie != begun.cookie);
}

#[test]
fn begins_nothing_for_what_no_page_of_the_application_asks_for() {
    let site = site();
    let own = "/auth/acme/connect";
    for query in [
        "return_to=https://evil.example/",
        "return_to=//evil.example",
        "return_to=%2F%5Cevil.example",
        "return_to=https://user@app.example/",
        "return_to=/a&return_to=/b",
        "return_to=javascript:alert(1)",
        "display=iframe",
    ] {
        check(&site, &navigation(&format!("{own}?{query}")), 400, "bad_request");
    }
    for (name, value) in
        [("sec-fetch-mode", "cors"), ("sec-fetch-dest", "iframe"), ("sec-purpose", "prefetch")]
    {
        check(&site, &navigation(own).field(name, value), 400, "bad_request");
    }
    check(&site, &navigation("/auth/shop/connect"), 404, "not_found");
    check(&site, &navigation("/auth/nobody/connect"), 404, "unknown_connection");
    check(&site, &navigation(own).method("POST"), 405, "method_not_allowed");
    assert_eq!(site.call(1, &navigation(own).at("http://broker.example")).code(), "insecure_transport");
    let reasons =
        site.shared.logs.borrow().iter().filter(|line| line.contains(r#""event":"connect""#)).count();
    assert_eq!(reasons, 10);
}

#[test]
fn tells_the_page_why_nothing_is_connected() {
    let site = site();
    let page = "return_to=https%3A%2F%2Fapp.example%2Fa%3Fb%3D1%26porteiro%3Dconnected%23f";
    let begun = begin(&site, &navigation(&format!("/auth/acme/connect?{page}")));
    let Begun { state, cookie, .. } = &begun;
    let own = |code: &str| format!("https://broker.example/?porteiro=failed&porteiro_code={code}");
    let denied = format!("state={state}&error=access_denied&error_description=x&session_state=y");

    check_outcome(&site, &back("acme", &format!("state={state}&code=c0de"), ""), &own("flow_mismatch"));
    let another = begin(&site, &navigation("/auth/acme/connect"));
    let stranger = another.cookie.as_str();
    check_outcome(&site, &back("acme", &format!("state={state}&code=c0de"), stranger), &own("flow_mismatch"));
    let (name, _) = cookie.split_once('=').unwrap();
    let forged = format!("{name}={}", "A".repeat(43));
    check_outcome(&site, &back("acme", &format!("state={state}&code=c0de"), &forged), &own("flow_mismatch"));
    for query in [
        format!("state={state}&state={state}&code=c0de"),
        format!("state={state}&code=c0de&code=d"),
        format!("state={state}&code=c0de&error=access_denied"),
        format!("state={state}"),
        "code=c0de".to_owned(),
    ] {
        check(&site, &back("acme", &query, cookie), 400, "bad_request");
    }

    // None of these used the flow up.
    let told = "https://app.example/a?b=1&porteiro=failed&porteiro_code=access_denied#f";
    let cookies = format!("{stranger}; {cookie}");
    check_outcome(&site, &back("acme", &denied, &cookies), told);
    check_outcome(&site, &back("acme", &denied, &cookies), &own("flow_expired"));
    let late = format!("state={}&code=c0de", another.state);
    site.shared.world.run_for(std::time::Duration::from_secs(601));
    check_outcome(&site, &back("acme", &late, &cookies), &own("flow_expired"));
    assert!(site.shared.provider.requests.borrow().is_empty(), "no code was sent");
    assert!(!site.shared.logs.borrow().iter().any(|line| line.contains(state) || line.contains("c0de")));
}

#[test]
fn takes_no_answer_at_the_address_of_another_connection() {
    let site = site();
    let begun = begin(&site, &navigation("/auth/acme/connect?return_to=/a"));
    let code = format!("state={}&code=c0de", begun.state);
    let told = "https://broker.example/a?porteiro=failed&porteiro_code=issuer_mismatch";
    check_outcome(&site, &back("bolt", &code, &begun.cookie), told);
    assert!(site.shared.provider.requests.borrow().is_empty());
}

#[test]
fn tells_the_opener_of_a_window() {
    let site = site();
    let begun = begin(&site, &navigation("/auth/acme/connect?display=popup&return_to=https://app.example/a"));
    let denied = format!("state={}&error=login_required", begun.state);
    let answered = site.call(1, &back("acme", &denied, &begun.cookie));
    assert_eq!((answered.status, answered.field("content-language")), (200, Some("pt-BR")));
    let message = r#"window.opener.postMessage({"source":"porteiro","connection":"acme","outcome":"failed","code":"access_denied"},"https://app.example");"#;
    assert!(answered.body.contains(message), "{}", answered.body);
    let policy = answered.field("content-security-policy").unwrap();
    let nonce = policy.split("script-src 'nonce-").nth(1).unwrap().split('\'').next().unwrap();
    assert!(answered.body.contains(&format!(r#"<script nonce="{nonce}">"#)), "{policy}");
    assert!(!policy.contains("unsafe") && answered.field("cross-origin-opener-policy").is_none());
}

#[test]
fn needs_a_ticket_where_the_cookie_goes_to_other_sites() {
    let mut variables = variables();
    variables["SESSION_CROSS_SITE"] = true.into();
    let site = Site::with_variables(1, GRANTS, &variables);
    let own = "/auth/acme/connect?return_to=https://app.example/";
    check(&site, &navigation(own), 400, "bad_request");
    check(&site, &navigation(&format!("{own}&ticket_challenge=short")), 400, "bad_request");
    begin(&site, &navigation(&format!("{own}&ticket_challenge={}", "a".repeat(43))));
    begin(&site, &navigation("/auth/acme/connect"));
    let redeem = |body: &str| {
        Call::from_page("POST", "/auth/session").field("content-type", "application/json").text(body)
    };
    check(&site, &redeem(r#"{"ticket":"x","verifier":"y"}"#), 401, "caller_unauthenticated");
    check(&site, &redeem(r#"{"ticket":"x"}"#), 400, "bad_request");
    check(&site, &redeem("{}").field("origin", "https://evil.example"), 403, "origin_not_allowed");
    let from_another_site = redeem("{}").field("origin", "").field("sec-fetch-site", "cross-site");
    check(&site, &from_another_site, 403, "cross_site_request");
}

/// A link of the operator's for the connection `id`, as a target.
fn link(site: &Site, id: &str, body: &str) -> Answered {
    let call = Call::get(&format!("/admin/connections/{id}/connect-link")).method("POST");
    site.call(1, &call.field("authorization", &format!("Bearer {ADMIN_KEY}")).text(body))
}

#[test]
fn gives_a_customer_a_page_with_one_button() {
    let site = site();
    let made = link(&site, "shop", "");
    assert_eq!(made.status, 200, "{}", made.body);
    let url = made.json()["url"].as_str().unwrap().to_owned();
    let target = url.strip_prefix(Site::ADDRESS).unwrap();
    assert!(target.starts_with("/auth/shop/link/"), "{target}");

    let look = |method| site.call(1, &navigation(target).method(method));
    for _ in 0..3 {
        let page = look("GET");
        assert_eq!((page.status, page.field("content-language")), (200, Some("pt-BR")));
        assert!(page.body.contains(r#"<form method="post"><button>"#), "{}", page.body);
        assert!(page.body.contains("&lt;Acme&gt; &amp; &quot;Söhne&quot;") && !page.body.contains("<script"));
        assert_eq!(look("HEAD").body, "");
    }
    for code in ["access_denied", "server_error"] {
        // What brings no code uses nothing up.
        let begun = begin(&site, &navigation(target).method("POST"));
        let denied = format!("state={}&error={code}", begun.state);
        let page = site.call(1, &back("shop", &denied, &begun.cookie));
        assert_eq!(page.status, 200);
        assert!(page.body.contains("A conta não está conectada"), "{}", page.body);
        assert_eq!(look("GET").status, 200);
    }
    assert_eq!(site.call(1, &navigation(&target.replace("shop", "acme"))).status, 404);
    assert_eq!(site.call(1, &navigation("/auth/shop/link/another")).status, 404);
    site.shared.world.run_for(std::time::Duration::from_mins(15));
    let over = look("GET");
    assert_eq!(over.status, 404);
    assert!(over.body.contains("Este link não vale mais"), "{}", over.body);
    assert!(!site.shared.logs.borrow().iter().any(|line| line.contains(&target["/auth/shop/link/".len()..])));
}

#[test]
fn makes_links_for_connections_of_all_callers_alone() {
    let site = site();
    for (id, body, status) in [
        ("shop", r#"{"return_to":"https://app.example/done"}"#, 200),
        ("shop", r#"{"return_to":null}"#, 200),
        ("shop", r#"{"return_to":"https://evil.example/"}"#, 400),
        ("shop", r#"{"return":1}"#, 400),
        ("shop", "[]", 400),
        ("acme", "", 400),
        ("nobody", "", 404),
    ] {
        assert_eq!(link(&site, id, body).status, status, "{id} {body}");
    }
    let made = link(&site, "shop", r#"{"return_to":"https://app.example/done"}"#).json();
    let target = made["url"].as_str().unwrap().strip_prefix(Site::ADDRESS).unwrap().to_owned();
    let begun = begin(&site, &navigation(&target).method("POST"));
    let denied = format!("state={}&error=access_denied", begun.state);
    let told = "https://app.example/done?porteiro=failed&porteiro_code=access_denied";
    check_outcome(&site, &back("shop", &denied, &begun.cookie), told);
}

#[test]
fn says_who_has_to_connect() {
    let site = site();
    let answered = check(&site, &Call::get("/api/shop/things/1"), 503, "connection_unavailable");
    assert_eq!(answered.json()["cause"], "not_connected");
    assert!(answered.field("retry-after").is_some());
    check(&site, &Call::get("/api/acme/things/1").field("authorization", ""), 401, "caller_unauthenticated");
}

#[test]
fn lets_a_network_begin_so_many_flows_and_no_more() {
    let site = site();
    let call = navigation("/auth/acme/connect").field("cf-connecting-ip", "192.0.2.1");
    for _ in 0..120 {
        begin(&site, &call);
    }
    let refused = check(&site, &call, 429, "rate_limited");
    assert!(refused.field("retry-after").is_some());
    begin(&site, &call.field("cf-connecting-ip", "198.51.100.1"));
}

#[test]
fn ends_what_a_person_has_nothing_of() {
    let site = site();
    for target in ["/auth/acme", "/auth/acme?x"] {
        assert_eq!(site.call(1, &Call::from_page("DELETE", target)).status, 204);
    }
    check(&site, &Call::from_page("DELETE", "/auth/shop"), 404, "not_found");
    check(&site, &Call::from_page("GET", "/auth/acme"), 405, "method_not_allowed");
    let other = Call::from_page("DELETE", "/auth/acme").field("origin", "https://evil.example");
    check(&site, &other, 403, "origin_not_allowed");
    let logout = "/auth/logout?provider=true&return_to=";
    assert_eq!(site.call(1, &Call::from_page("POST", &format!("{logout}https://app.example/"))).status, 204);
    check(&site, &Call::from_page("POST", &format!("{logout}https://evil.example/")), 400, "bad_request");
}

#[test]
fn signs_a_person_out_by_an_operator() {
    let site = site();
    let sign_out = |body: &str| {
        let call = Call::get("/admin/people/sign-out").method("POST").text(body);
        site.call(1, &call.field("authorization", &format!("Bearer {ADMIN_KEY}")))
    };
    let ended = sign_out(r#"{"connection":"acme","subject":"ana"}"#);
    assert_eq!((ended.status, ended.json()), (200, json!({ "ended": 0 })));
    assert_eq!(sign_out(r#"{"connection":"nobody","subject":"ana"}"#).status, 404);
    assert_eq!(sign_out(r#"{"connection":"acme"}"#).status, 400);
}
