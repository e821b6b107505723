//! Events: which of them are taken in, and what their senders are told.

use std::time::Duration;

use serde_json::Value;

use super::{check, site as plain_site};
use porteiro_simulation::{Call, Event, Manner, Site};

/// A site whose receiver is down: what is stored stays there.
fn site() -> Site {
    let site = Site::for_webhooks(1);
    site.shared.receiver.manner.set(Manner::Unreachable);
    site
}

fn event(text: &str) -> Call {
    Call::event("acme", text)
}

/// A site whose sender proves itself by a header field.
fn site_with_field(name: &str) -> Site {
    let mut variables = Site::variables_for_webhooks();
    let webhook = variables["CONNECTIONS"]["acme"]["webhook"].as_object_mut().unwrap();
    webhook.remove("token_field");
    webhook.insert("token_header".to_owned(), name.into());
    let site = site();
    site.redeploy(&variables);
    site
}

/// How many events are stored.
fn stored(site: &Site) -> usize {
    let answered = site.call(1, &Call::operator("GET", "?state=pending"));
    answered.json()["webhooks"].as_array().unwrap().len()
}

#[test]
fn acknowledges_an_event_with_nothing_but_a_status() {
    let site = site();
    let answered = site.send(1, &Event::new(1));
    assert_eq!((answered.status, answered.body.as_str()), (202, ""));
    assert_eq!(answered.field("content-type"), None);
    let mut variables = Site::variables_for_webhooks();
    variables["CONNECTIONS"]["acme"]["webhook"]["accepted_status"] = 200.into();
    site.redeploy(&variables);
    let answered = site.call(1, &event(&Event::new(1).text));
    assert_eq!((answered.status, answered.body.as_str()), (200, ""));
}

#[test]
fn asks_for_no_content_type_and_ignores_origins() {
    let site = site();
    for fields in [
        &[("content-type", "text/plain")][..],
        &[("content-type", "application/x-www-form-urlencoded")],
        &[("origin", "https://evil.example"), ("sec-fetch-site", "cross-site")],
        &[("origin", "https://app.example")],
        &[("authorization", "Bearer whatever")],
    ] {
        let call =
            fields.iter().fold(event(&Event::new(1).text), |call, (name, value)| call.field(name, value));
        let answered = site.call(1, &call);
        assert_eq!(answered.status, 202, "{fields:?}");
        assert!(!answered.fields.contains("access-control-"), "{fields:?}");
    }
}

#[test]
fn takes_events_by_post_only_and_answers_no_preflight() {
    let site = site();
    for method in ["GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "post"] {
        let call = event(&Event::new(1).text)
            .method(method)
            .field("origin", "https://app.example")
            .field("access-control-request-method", "POST");
        let answered = site.call(1, &call);
        assert_eq!((answered.status, answered.field("allow")), (405, Some("POST")), "{method}");
        assert!(!answered.fields.contains("access-control-"), "{method}");
    }
}

#[test]
fn rejects_all_that_does_not_prove_its_sender_alike() {
    let site = site();
    let token = Event::TOKEN;
    let mut answers = Vec::new();
    for text in [
        "{}".to_owned(),
        "[]".to_owned(),
        "null".to_owned(),
        format!(r#""{token}""#),
        format!(r#"["{token}"]"#),
        r#"{"id":1}"#.to_owned(),
        r#"{"api_token":"","id":1}"#.to_owned(),
        r#"{"api_token":null,"id":1}"#.to_owned(),
        r#"{"api_token":"wrong","id":1}"#.to_owned(),
        format!(r#"{{"api_token":["{token}"],"id":1}}"#),
        format!(r#"{{"api_token":"{token}","api_token":"{token}","id":1}}"#),
        format!(r#"{{"api_token":"{token}","id":1,"a":{{"b":1,"b":2}}}}"#),
        format!(r#"{{"data":{{"api_token":"{token}"}},"id":1}}"#),
    ] {
        let refused = check(&site, &event(&text), 401, "webhook_rejected");
        let mut json = refused.json();
        json.as_object_mut().unwrap().remove("request_id");
        answers.push((json, refused.field("www-authenticate").map(str::to_owned)));
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");
    assert_eq!(stored(&site), 0);
}

#[test]
fn refuses_what_is_no_json_or_too_large() {
    let site = site();
    let deep = format!(r#"{{"api_token":"{}","a":{}{}}}"#, Event::TOKEN, "[".repeat(127), "]".repeat(127));
    for text in ["", " ", "{", "api_token=x", "{}x", &deep] {
        check(&site, &event(text), 400, "bad_request");
    }
    let mut variables = Site::variables_for_webhooks();
    let text = Event::new(1).text;
    for (most, status) in [(text.len(), 202), (text.len() - 1, 413)] {
        variables["CONNECTIONS"]["acme"]["webhook"]["max_bytes"] = most.into();
        site.redeploy(&variables);
        let answered = site.call(1, &event(&text));
        assert_eq!(answered.status, status);
        if status == 413 {
            assert_eq!(answered.code(), "body_too_large");
        }
    }
}

#[test]
fn checks_a_header_field_before_it_reads_anything() {
    let site = site_with_field("X-Token");
    let token = Event::TOKEN;
    // The body is not there: who reads it panics.
    let unread = Call { text: None, ..event("") };
    for value in ["", "wrong", "Bearer", &format!("Bearer {token}"), &format!("{token}, {token}")] {
        check(&site, &unread.clone().field("x-token", value), 401, "webhook_rejected");
    }
    assert_eq!(site.call(1, &event("[1]").field("x-token", token)).status, 202);
    assert_eq!(site.call(1, &event("").field("x-token", token)).status, 400);
    let site = site_with_field("Authorization");
    for value in [token.to_owned(), format!("Bearer {token}"), format!("bearer {token}")] {
        assert_eq!(site.call(1, &event("[1]").field("authorization", &value)).status, 202, "{value}");
    }
    for value in [format!("Basic {token}"), format!("Bearer Bearer {token}")] {
        check(&site, &unread.clone().field("authorization", &value), 401, "webhook_rejected");
    }
}

#[test]
fn takes_a_signed_event_for_as_long_as_its_time_is_near() {
    let site = site();
    site.redeploy(&Site::variables_for_signed_webhooks());
    let event = Event::new(1).without_token();
    assert_eq!(site.send(1, &event).status, 202);
    // The body is not there: who reads it panics.
    check(&site, &Call { text: None, ..self::event("") }, 401, "webhook_rejected");
    check(&site, &self::event(&event.text).field("x-signature", "v1=x"), 401, "webhook_rejected");
    let late = site.sending(1, &Event::new(2).without_token());
    site.shared.world.run_for(Duration::from_secs(6));
    assert_eq!(site.shared.world.block_on(1, late).code(), "webhook_rejected");
    assert_eq!(stored(&site), 1);
}

#[test]
fn takes_a_token_in_the_address_where_the_connection_has_one_there() {
    let mut variables = Site::variables_for_webhooks();
    let webhook = variables["CONNECTIONS"]["acme"]["webhook"].as_object_mut().unwrap();
    webhook.remove("token_field");
    webhook.insert("secret_path".to_owned(), true.into());
    webhook.insert("handshake".to_owned(), serde_json::json!({ "json": "/type", "in": ["webhook.test"] }));
    let site = site();
    site.redeploy(&variables);
    let token = Event::TOKEN;
    // The body is not there: who reads it panics.
    let unread = |address: &str| Call { text: None, ..Call::event(address, "") };
    for address in ["acme", "acme/wrong", &format!("acme/{token}x"), "acme/%FF"] {
        check(&site, &unread(address), 401, "webhook_rejected");
    }
    for address in [format!("acme/{token}/x"), format!("acme//{token}")] {
        check(&site, &unread(&address), 404, "not_found");
    }
    let address = format!("acme/{}", token.replace('-', "%2D"));
    let body = Event::new(2).body;
    assert_eq!(site.call(1, &Call::event(&address, &body)).status, 202);
    assert_eq!(stored(&site), 1);
    assert_eq!(site.call(1, &Call::event(&address, r#"{"type":"webhook.test"}"#)).status, 202);
    assert_eq!(stored(&site), 1, "a test is no event");
    assert_eq!(site.secret_written(), None);
}

#[test]
fn takes_each_token_of_a_rotation() {
    let mut variables = Site::variables_for_webhooks();
    variables["ACME_ACCOUNT_TOKEN"] = format!("another-token, {}", Event::TOKEN).into();
    let site = site();
    site.redeploy(&variables);
    let text = Event::new(1).text;
    assert_eq!(site.call(1, &event(&text)).status, 202);
    assert_eq!(site.call(1, &event(&text.replace(Event::TOKEN, "another-token"))).status, 202);
    assert_eq!(stored(&site), 1, "it is one event, whatever proves it");
    check(&site, &event(&text.replace(Event::TOKEN, "other")), 401, "webhook_rejected");
}

#[test]
fn tells_senders_where_nothing_is_to_be_sent() {
    let text = Event::new(1).text;
    check(&site(), &Call::event("other", &text), 404, "unknown_connection");
    check(&plain_site(), &event(&text), 404, "not_found");
    check(&site(), &Call::event("acme/x", &text), 404, "not_found");
    for (name, value) in [
        ("ACME_WEBHOOK_SECRET", Value::from("")),
        ("ACME_WEBHOOK_SECRET", "whsec_x".into()),
        ("ACME_ACCOUNT_TOKEN", "".into()),
        ("SEALING_KEYS", "".into()),
    ] {
        let mut variables = Site::variables_for_webhooks();
        variables[name] = value;
        let site = site();
        site.redeploy(&variables);
        check(&site, &event(&text), 503, "misconfigured");
    }
}

#[test]
fn tells_of_an_event_in_the_log_without_anything_of_it() {
    let site = site();
    site.send(1, &Event::new(1));
    let logs = site.shared.logs.borrow();
    let line: Value = logs
        .iter()
        .map(|line| serde_json::from_str(line).unwrap())
        .find(|line: &Value| line["event"] == "call")
        .unwrap();
    assert_eq!((&line["connection"], &line["status"]), (&"acme".into(), &202.into()));
    assert!(line["webhook_id"].as_str().unwrap().starts_with("msg_") && line["method"] == "POST");
    assert_eq!(site.secret_written(), None);
}
