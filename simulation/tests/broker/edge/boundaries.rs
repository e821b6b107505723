//! What stands around the broker: who can read what is sent to it, servers that read
//! what it passes on otherwise, pages whose monitoring adds to their calls.

use serde_json::json;

use super::{GRANTS, check, from_page, last_upstream_call, site, things};
use porteiro_simulation::{Answered, Call, Event, Site};

const PUBLIC: &str = "http://broker.example";

#[track_caller]
fn check_insecure(site: &Site, call: &Call) {
    let answered = site.call(1, call);
    assert_eq!((answered.status, answered.code().as_str()), (403, "insecure_transport"), "{call:?}");
}

#[test]
fn reads_no_credential_that_came_in_plain_http() {
    let site = Site::for_webhooks(1);
    check_insecure(&site, &things().at(PUBLIC));
    check_insecure(&site, &things().field("authorization", "Bearer wrong").at("http://192.168.0.7:8787"));
    check_insecure(&site, &Call::event("acme", &Event::new(1).text).at(PUBLIC));
    check_insecure(&site, &Call::operator("GET", "").at(PUBLIC));
    // What a browser sent before, or would be asked for.
    for authorization in ["", "Basic OjEyMw=="] {
        check_insecure(&site, &Call::get("/admin/").field("authorization", authorization).at(PUBLIC));
    }
    assert!(site.shared.upstream_calls.borrow().is_empty());
    for private in ["http://localhost:8787", "http://127.0.0.1:8787", "http://[::1]:8787", Site::ADDRESS] {
        assert_eq!(site.call(1, &things().at(private)).status, 200, "{private}");
    }
}

#[test]
fn reads_no_persons_credential_that_came_in_plain_http() {
    let site = Site::for_people(1, GRANTS);
    let sign_in = Call::sign_in("acme", "ana@example.com", "ana's password");
    check_insecure(&site, &sign_in.clone().at(PUBLIC));
    assert!(site.shared.provider.requests.borrow().is_empty());
    let signed_in = site.call(1, &sign_in);
    let cookie = signed_in.cookie();
    for (method, target) in [("GET", "/api/acme/things"), ("GET", "/auth/session"), ("POST", "/auth/logout")]
    {
        check_insecure(&site, &Call::from_page(method, target).cookie(cookie).at(PUBLIC));
    }
    assert_eq!(site.call(1, &Call::from_page("GET", "/auth/session").cookie(cookie)).status, 200);
    let mut variables = Site::variables();
    variables["CALLERS"]["staff"] =
        json!({ "kind": "jwt", "issuer": "https://id.example", "audience": "a", "header": "X-Staff" });
    site.redeploy(&variables);
    check_insecure(&site, &from_page("/api/acme/things").field("x-staff", "a.b.c").at(PUBLIC));
}

#[test]
fn answers_in_plain_http_where_no_credential_is_read() {
    let site = site();
    assert_eq!(site.call(1, &Call::get("/healthz").at(PUBLIC)).status, 200);
    assert_eq!(site.call(1, &Call::get("/problems/bad_path").at(PUBLIC)).status, 200);
    assert_eq!(site.call(1, &from_page("/api/acme/things").at(PUBLIC)).status, 200);
    // A browser's credentials for a whole site are nobody's here.
    let basic = from_page("/api/acme/things").field("authorization", "Basic YTpi");
    assert_eq!(site.call(1, &basic.at(PUBLIC)).status, 200);
    let preflight =
        from_page("/api/acme/things").method("OPTIONS").field("access-control-request-method", "GET");
    assert_eq!(site.call(1, &preflight.at(PUBLIC)).status, 204);
}

#[test]
fn refuses_queries_that_name_a_token_or_another_method() {
    let site = site();
    let data: serde_json::Value =
        serde_json::from_str(include_str!("../../../../tests/data/addresses.json")).unwrap();
    let all = |name: &str| data[name].as_array().unwrap().clone();
    for query in all("method_override").into_iter().chain(all("access_token")) {
        let target = format!("/api/acme/things{}", query.as_str().unwrap());
        for method in ["GET", "POST"] {
            check(&site, &Call::get(&target).method(method), 400, "bad_request");
        }
    }
    for query in ["?method=pix", "?_methods=1", "?a=_method", "?token=1"] {
        assert_eq!(site.call(1, &Call::get(&format!("/api/acme/things{query}"))).status, 200, "{query}");
    }
}

#[test]
fn refuses_control_characters_in_what_passes_on() {
    let site = site();
    for value in ["a\u{7f}b", "\u{1}", "a\u{b}", "\u{1b}[31m"] {
        check(&site, &things().field("accept", value), 400, "bad_request");
        assert_eq!(site.call(1, &things().field("x-dropped", value)).status, 200, "it stops here");
    }
    assert_eq!(site.call(1, &things().field("accept", "a\tb")).status, 200);
}

/// What comes back where the upstream answers with `status` and fields that have
/// the token where `{token}` is.
fn echoing(site: &Site, status: u16, fields: &str) -> Answered {
    *site.shared.upstream_script.borrow_mut() = None;
    assert_eq!(site.call(1, &things()).status, 200);
    let (_, sent) = last_upstream_call(site);
    let token = sent.lines().find_map(|line| line.strip_prefix("authorization:Bearer ")).unwrap().to_owned();
    assert!(token.len() >= 8, "{token}");
    *site.shared.upstream_script.borrow_mut() = Some((status, fields.replace("{token}", &token)));
    let answered = site.call(1, &things());
    assert!(!answered.fields.contains(&token), "{answered:?}");
    answered
}

#[test]
fn hands_no_field_back_that_tells_the_token() {
    let site = site();
    let answered = echoing(
        &site,
        200,
        "etag:\"{token}\"\nlink:<https://api.acme.example/v2/x?t={token}>; rel=next\nvary:{token}\ncontent-language:pt",
    );
    assert_eq!((answered.field("etag"), answered.field("link")), (None, None));
    assert_eq!((answered.field("vary"), answered.field("content-language")), (Some("Origin"), Some("pt")));
    let created = echoing(&site, 201, "location:/v2/things/{token}");
    assert_eq!((created.status, created.field("location")), (201, None));
    for status in [301, 302, 303, 307, 308] {
        let refused = echoing(&site, status, "location:/v2/things?token={token}");
        assert_eq!((refused.status, refused.code().as_str()), (502, "upstream_redirect"));
    }
}

#[test]
fn strikes_the_token_out_of_an_errors_body_only() {
    let site = site();
    assert_eq!(site.call(1, &things()).status, 200);
    for (status, fields, is_looked_at) in [
        (500, "content-type:text/html", true),
        (404, "content-type:application/json", true),
        (422, "", true),
        (500, "content-type:image/png", false),
        (200, "content-type:text/html", false),
    ] {
        *site.shared.upstream_script.borrow_mut() = Some((status, fields.to_owned()));
        assert_eq!(site.call(1, &things()).veiled, is_looked_at, "{status} {fields}");
    }
}

#[test]
fn rewrites_no_address_that_the_runtime_could_not_read() {
    let site = site();
    let answers = |status, fields: &str| {
        *site.shared.upstream_script.borrow_mut() = Some((status, fields.to_owned()));
    };
    answers(302, "location:/v2/relat\u{FFFD}rio");
    check(&site, &things(), 502, "upstream_redirect");
    answers(
        201,
        "location:/v2/relat\u{FFFD}rio\nlink:<a\u{FFFD}>\ncontent-location:/\u{FFFD}\netag:\"\u{FFFD}\"",
    );
    let created = site.call(1, &things());
    assert_eq!(["location", "link", "content-location"].map(|name| created.field(name)), [None; 3]);
    assert_eq!(created.field("etag"), Some("\"\u{FFFD}\""));
    // One that it could read is written as addresses are.
    answers(302, "location:/v2/relat\u{f3}rio");
    let moved = site.call(1, &things());
    assert_eq!(moved.field("location"), Some("https://broker.example/api/acme/relat%C3%B3rio"));
}

#[test]
fn hands_back_what_belongs_to_what_passes() {
    let site = site();
    let sent = "preference-applied:return=minimal\nallow:GET, POST\naccept-patch:application/json\naccept-post:text/csv";
    *site.shared.upstream_script.borrow_mut() = Some((405, sent.to_owned()));
    let answered = site.call(1, &things());
    for line in sent.lines() {
        let (name, value) = line.split_once(':').unwrap();
        assert_eq!(answered.field(name), Some(value));
    }
}

#[test]
fn lets_pages_send_what_stops_here() {
    let site = site();
    let asking = |headers: &str| {
        let preflight = from_page("/api/acme/things")
            .method("OPTIONS")
            .field("access-control-request-method", "POST")
            .field("access-control-request-headers", headers);
        site.call(1, &preflight).field("access-control-allow-headers").map(str::to_owned)
    };
    let monitoring = "authorization, b3, baggage, newrelic, sentry-trace, traceparent, tracestate, uber-trace-id, \
        x-b3-traceid, x-datadog-trace-id, x-request-id, x-requested-with";
    assert_eq!(asking(monitoring).as_deref(), Some(monitoring));
    assert_eq!(asking("Content-Type,X-Evil").as_deref(), Some("content-type, x-evil"));
    // Without it the call would be another one.
    assert_eq!(asking("x-http-method-override"), None);
    assert_eq!(
        asking("content-type,X-HTTP-Method-Override, x_method_override").as_deref(),
        Some("content-type")
    );
    assert_eq!(asking("a b, é, x:y, "), None);
    let many: Vec<String> = (0..1_000).map(|number| format!("x-{number}")).collect();
    assert_eq!(asking(&many.join(",")).unwrap().split(", ").count(), 64);
    // And it does stop here.
    let call =
        from_page("/api/acme/things").field("baggage", "a=b").field("x-requested-with", "XMLHttpRequest");
    assert_eq!(site.call(1, &call.field("sentry-trace", "1")).status, 200);
    let (_, fields) = last_upstream_call(&site);
    for name in ["baggage", "x-requested-with", "sentry-trace"] {
        assert!(!fields.contains(name), "{fields}");
    }
}

#[test]
fn tells_a_signed_in_person_whom_no_rule_names_that_it_is_not_about_signing_in() {
    let mut variables = Site::variables_for_people();
    variables["CALLERS"] = json!({ "backend": { "kind": "key" } });
    variables["BACKEND_KEY"] = Site::CALLER_KEY.into();
    variables["CONNECTIONS"]["desk"] = json!({
        "provider": "guru",
        "rules": [{ "callers": ["backend", "anyone"], "methods": ["GET"], "paths": ["/things"] }],
    });
    variables["DESK_TOKEN"] = "a-token-of-the-desk".into();
    let site = Site::for_people(1, GRANTS);
    site.redeploy(&variables);
    let signed_in = site.call(1, &Call::sign_in("acme", "ana@example.com", "ana's password"));
    let cookie = signed_in.cookie();
    // From no page that may call, where anyone may.
    let call = Call::get("/api/desk/things").field("authorization", "");
    check(&site, &call.clone().cookie(cookie), 403, "operation_not_allowed");
    check(&site, &call.clone(), 401, "caller_unauthenticated");
    check(&site, &call.clone().cookie(Some(&"A".repeat(86))), 401, "caller_unauthenticated");
    check(
        &site,
        &call.clone().cookie(cookie).field("authorization", "Bearer wrong"),
        401,
        "caller_unauthenticated",
    );
    assert_eq!(site.call(1, &Call::from_page("POST", "/auth/logout").cookie(cookie)).status, 204);
    check(&site, &call.cookie(cookie), 401, "caller_unauthenticated");
}

#[test]
fn sends_a_password_to_the_provider_only_that_its_isolate_knows() {
    let site = Site::for_people(1, GRANTS);
    let sign_in = Call::sign_in("acme", "ana@example.com", "ana's password");
    assert_eq!(site.call(1, &sign_in).status, 200);
    let requests = || site.shared.provider.requests.borrow().len();
    let before = requests();
    let mut variables = Site::variables_for_people();
    variables["CONNECTIONS"]["acme"]["token_url"] = "https://login.other.example/token".into();
    site.release(&variables);
    // The session is begun by the new version, and this isolate is of the old one.
    check(&site, &sign_in, 503, "misconfigured");
    assert_eq!(requests(), before);
    assert_eq!(site.call(2, &sign_in).status, 200);
}

#[test]
fn takes_no_event_that_only_an_isolate_of_the_version_before_would() {
    let site = Site::for_webhooks(1);
    assert_eq!(site.call(1, &things()).status, 200);
    let mut variables = Site::variables_for_webhooks();
    variables["ACME_ACCOUNT_TOKEN"] = "another-account-token".into();
    site.release(&variables);
    check(&site, &Call::event("acme", &Event::new(1).text), 503, "misconfigured");
    let refused = site.call(2, &Call::event("acme", &Event::new(1).text));
    assert_eq!((refused.status, refused.code().as_str()), (401, "webhook_rejected"));
    assert!(site.shared.receiver.arrivals.borrow().is_empty());
    // One that counts before and after is taken by either.
    variables["ACME_ACCOUNT_TOKEN"] = format!("another-account-token,{}", Event::TOKEN).into();
    let site = Site::for_webhooks(1);
    assert_eq!(site.call(1, &things()).status, 200);
    site.release(&variables);
    for isolate in [1, 2] {
        assert_eq!(site.send(isolate, &Event::new(u64::from(isolate))).status, 202);
    }
}
