//! The traces that calls belong to.

use super::{from_page, last_upstream_call, lines, site, things};
use porteiro::http::Headers;
use porteiro_simulation::{Answered, Call, Site};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

fn sampled() -> String {
    format!("00-{TRACE}-b7ad6b7169203331-01")
}

/// What the upstream got of it, and the request's id.
fn traceparent(site: &Site, answered: &Answered) -> (String, String) {
    assert_eq!(answered.status, 200);
    let (_, fields) = last_upstream_call(site);
    let headers = Headers::new(&fields);
    let values: Vec<&str> =
        headers.iter().filter(|(name, _)| *name == "traceparent").map(|(_, value)| value).collect();
    assert_eq!(values.len(), 1, "{fields}");
    assert!(!fields.contains("tracestate") && !fields.contains("baggage"), "{fields}");
    (values[0].to_owned(), answered.field("x-request-id").unwrap().to_owned())
}

fn traced(call: Call, value: &str) -> Call {
    call.field("traceparent", value).field("tracestate", "vendor=secret").field("baggage", "user=ana")
}

#[test]
fn goes_on_with_the_trace_of_a_server_that_has_a_key() {
    let site = site();
    for (flags, expected) in [("01", "01"), ("00", "00"), ("ff", "01")] {
        let answered = site.call(1, &traced(things(), &format!("00-{TRACE}-b7ad6b7169203331-{flags}")));
        let (value, request_id) = traceparent(&site, &answered);
        assert_eq!(value, format!("00-{TRACE}-{}-{expected}", &request_id[..16]));
        assert_eq!(lines(&site, "call").last().unwrap()["trace_id"], TRACE);
    }
}

#[test]
fn lets_nobody_else_have_a_trace_recorded() {
    let site = site();
    let answered = site.call(1, &traced(from_page("/api/acme/things"), &sampled()));
    let (value, request_id) = traceparent(&site, &answered);
    assert_eq!(value, format!("00-{TRACE}-{}-00", &request_id[..16]));
    assert_eq!(lines(&site, "call").last().unwrap()["trace_id"], TRACE);
}

#[test]
fn begins_a_trace_whose_id_is_the_requests_where_there_is_no_sound_one() {
    let site = site();
    for wrong in
        ["", "x", &sampled().to_uppercase(), &format!("{0}, {0}", sampled()), &format!("{}-x", sampled())]
    {
        let answered = site.call(1, &traced(things(), wrong));
        let (value, request_id) = traceparent(&site, &answered);
        assert_eq!(value, format!("00-{request_id}-{}-00", &request_id[..16]), "{wrong:?}");
        assert!(lines(&site, "call").last().unwrap().get("trace_id").is_none(), "{wrong:?}");
    }
}

#[test]
fn gives_a_call_that_is_sent_again_an_id_of_its_own() {
    let site = site();
    assert_eq!(site.call(1, &things()).status, 200);
    site.shared.provider.revoke_access_tokens();
    let answered = site.call(1, &traced(things(), &sampled()));
    let (value, request_id) = traceparent(&site, &answered);
    assert_eq!((answered.sent, value), (2, format!("00-{TRACE}-{}-01", &request_id[16..])));
    let calls = site.shared.upstream_calls.borrow();
    let first = Headers::new(&calls[calls.len() - 2].1).value("traceparent");
    assert_eq!(first, Some(format!("00-{TRACE}-{}-01", &request_id[..16]).as_str()));
}

#[test]
fn tells_the_trace_of_a_call_that_is_refused() {
    let site = site();
    for (call, status) in [
        (things().field("authorization", ""), 401),
        (things().method("DELETE"), 403),
        (Call::get("/api/other/things"), 404),
    ] {
        assert_eq!(site.call(1, &traced(call, &sampled())).status, status);
        assert_eq!(lines(&site, "call").last().unwrap()["trace_id"], TRACE, "{status}");
    }
}

#[test]
fn lets_pages_send_a_trace() {
    let preflight = from_page("/api/acme/things")
        .method("OPTIONS")
        .field("access-control-request-method", "GET")
        .field("access-control-request-headers", "traceparent, tracestate, baggage");
    assert_eq!(
        site().call(1, &preflight).field("access-control-allow-headers"),
        Some("traceparent, tracestate, baggage")
    );
}
