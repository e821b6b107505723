//! The operator's events.

use super::*;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// Checks the problems of `EVENTS` and its secret, by their fields.
#[track_caller]
fn check(events: Value, secret: &str, expected: &[&str]) {
    let mut variables = Variables::new();
    variables.insert("EVENTS".to_owned(), events);
    variables.insert("EVENTS_SECRET".to_owned(), secret.into());
    let config = Config::from_variables(variables);
    let problems = config.problems_of_events();
    let fields: Vec<&str> = problems.iter().map(|(field, _)| field.as_str()).collect();
    assert_eq!(fields, expected, "{problems:?}");
    assert_eq!(config.events.is_some(), expected.is_empty());
}

#[test]
fn takes_an_address_and_the_secrets_of_a_rotation() {
    let to = json!({ "to": "https://ops.example/hooks?team=1" });
    check(to.clone(), SECRET, &[]);
    check(to.clone(), &format!(" {SECRET}, {SECRET}\n"), &[]);
    check(json!(to.to_string()), SECRET, &[]);
    check(json!({ "to": "http://127.0.0.1:8788/" }), SECRET, &[]);
    assert!(Config::from_variables(Variables::new()).events.is_none());
}

#[test]
fn names_every_field_that_is_wrong() {
    let to = json!({ "to": "https://ops.example" });
    for address in ["http://ops.example", "ops.example", "https://a:b@ops.example", "", "ftp://ops.example"] {
        check(json!({ "to": address }), SECRET, &["EVENTS.to"]);
    }
    check(json!({}), "", &["EVENTS.to", "EVENTS_SECRET"]);
    check(json!({ "to": 1, "from": 2 }), SECRET, &["EVENTS.from", "EVENTS.to"]);
    for secret in [
        "",
        "x",
        "whsec_",
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw,x",
        "\"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\"",
    ] {
        check(to.clone(), secret, &["EVENTS_SECRET"]);
    }
    check(json!("x"), SECRET, &["EVENTS"]);
    check(json!([1]), SECRET, &["EVENTS"]);
}
