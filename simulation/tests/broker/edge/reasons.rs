//! What operators, and nobody else, are told of a token endpoint that grants nothing, and of a
//! connection that is misconfigured.

use std::time::Duration;

use serde_json::{Value, json};

use super::{GRANTS, check, lines, things};
use porteiro::token::{self, Nonce};
use porteiro_simulation::{Call, Effect, Fault, Objects, Site, keeper};

/// What a token endpoint says, which nobody is told.
const CANARY: &str = "c4n4ry";

fn variables() -> Value {
    let mut variables = Site::variables();
    variables["ADMIN_KEY"] = Site::OPERATOR_KEY.into();
    variables
}

fn site() -> Site {
    Site::with_variables(1, GRANTS, &variables())
}

fn operator(method: &'static str, id: &str) -> Call {
    let key = format!("Bearer {}", Site::OPERATOR_KEY);
    Call::get(&format!("/admin/connections/{id}")).method(method).field("authorization", &key)
}

fn entry(site: &Site, id: &str) -> Value {
    site.call(2, &operator("GET", id)).json()
}

fn last_error(site: &Site) -> [Value; 3] {
    let entry = entry(site, "acme");
    ["code", "reason", "status"].map(|member| entry["last_error"][member].clone())
}

fn answer(status: u16, body: &'static str) -> Fault {
    Fault::Answer { status, body, retry_after: None }
}

/// Has the next token request end so.
fn fail(site: &Site, fault: Fault) {
    site.shared.provider.faults.borrow_mut().push_back(fault);
}

/// The members of each line about a token request.
fn grants(site: &Site) -> Vec<[Value; 3]> {
    let lines = lines(site, "grant");
    lines.iter().map(|line| ["outcome", "reason", "status"].map(|member| line[member].clone())).collect()
}

fn told(outcome: &str, reason: impl Into<Value>, status: impl Into<Value>) -> [Value; 3] {
    [outcome.into(), reason.into(), status.into()]
}

#[test]
fn has_the_code_of_a_refusal_and_what_an_answer_lacks() {
    for (status, body, code, reason) in [
        (
            401,
            r#"{"error":"invalid_client","error_description":"c4n4ry"}"#,
            "credentials_rejected",
            "invalid_client",
        ),
        (400, r#"{"error":"invalid_request"}"#, "credentials_rejected", "invalid_request"),
        (400, r#"{"error":"unauthorized_client"}"#, "credentials_rejected", "unauthorized_client"),
        (400, r#"{"error":"unsupported_grant_type"}"#, "credentials_rejected", "unsupported_grant_type"),
        (400, r#"{"error":"invalid_scope"}"#, "credentials_rejected", "invalid_scope"),
        (400, r#"{"error":"invalid_grant"}"#, "credentials_rejected", "invalid_grant"),
        (403, r#"{"error":"c4n4ry"}"#, "credentials_rejected", "other"),
        (404, "<html>c4n4ry", "credentials_rejected", "other"),
        (503, "c4n4ry", "token_endpoint_unreachable", "other"),
        (302, "c4n4ry", "token_response_invalid", "redirect"),
        (200, "<html>c4n4ry", "token_response_invalid", "not_json"),
        (200, r#"["c4n4ry"]"#, "token_response_invalid", "not_an_object"),
        (200, r#"{"c4n4ry":1}"#, "token_response_invalid", "no_access_token"),
        (200, r#"{"access_token":"c4n4ry\n"}"#, "token_response_invalid", "unusable_access_token"),
        (
            200,
            r#"{"access_token":"c4n4ry","token_type":"c4n4ry"}"#,
            "token_response_invalid",
            "unknown_token_type",
        ),
    ] {
        let site = site();
        fail(&site, answer(status, body));
        let answered = check(&site, &things(), 502, code);
        assert!(!answered.body.contains(reason), "the caller is not told: {}", answered.body);
        assert_eq!(grants(&site), [told(code, reason, status)], "{status} {body}");
        assert_eq!(last_error(&site), told(code, reason, status), "{status} {body}");
        site.shared.kill_keeper();
        assert_eq!(last_error(&site), told(code, reason, status), "it is stored");
        assert!(
            !site.shared.logs.borrow().join("").contains(CANARY)
                && !entry(&site, "acme").to_string().contains(CANARY)
        );
    }
}

#[test]
fn has_neither_where_there_was_no_answer() {
    let site = site();
    fail(&site, Fault::Reset(Effect::None));
    check(&site, &things(), 502, "token_endpoint_unreachable");
    assert_eq!(last_error(&site), told("token_endpoint_unreachable", (), ()));
    let line = lines(&site, "grant").pop().unwrap();
    assert!(line.get("reason").is_none() && line.get("status").is_none(), "{line}");
}

#[test]
fn has_the_last_answer_alone() {
    let site = site();
    fail(&site, answer(302, ""));
    check(&site, &things(), 502, "token_response_invalid");
    site.shared.world.run_for(Duration::from_mins(1));
    fail(&site, Fault::Reset(Effect::None));
    check(&site, &things(), 502, "token_endpoint_unreachable");
    assert_eq!(last_error(&site), told("token_endpoint_unreachable", (), ()));
    site.shared.world.run_for(Duration::from_mins(1));
    fail(&site, answer(500, ""));
    check(&site, &things(), 502, "token_endpoint_unreachable");
    site.shared.world.run_for(Duration::from_mins(1));
    assert_eq!(site.call(1, &things()).status, 200);
    assert_eq!(last_error(&site), told("token_endpoint_unreachable", "other", 500), "an error that is over");
    site.shared.provider.refuses_all.set(true);
    for _ in 0..4 {
        site.call(1, &things());
    }
    assert_eq!(last_error(&site), told("upstream_unauthorized", (), ()), "no token endpoint refused that");
}

#[test]
fn has_why_a_refresh_was_refused_and_a_sign_in() {
    let site = site();
    site.call(1, &things());
    site.shared.provider.revoke_access_tokens();
    fail(&site, answer(400, r#"{"error":"invalid_grant","error_description":"c4n4ry"}"#));
    assert_eq!(site.call(1, &things()).status, 200);
    assert_eq!(
        grants(&site)[1..],
        [told("refresh_refused", "invalid_grant", 400), told("granted", (), ())],
        "a new grant followed"
    );
    assert_eq!(entry(&site, "acme")["last_error"], Value::Null);

    let people = Site::for_people(1, GRANTS);
    people.call(1, &Call::sign_in("acme", "ana@example.com", "wrong"));
    fail(&people, answer(401, r#"{"error":"invalid_client","error_description":"c4n4ry"}"#));
    people.call(1, &Call::sign_in("acme", "ana@example.com", "ana's password"));
    assert_eq!(
        grants(&people),
        [told("login_rejected", "invalid_grant", 400), told("credentials_rejected", "invalid_client", 401)]
    );
    assert!(!people.shared.logs.borrow().join("").contains(CANARY));
}

/// The stored state of the token set, changed by `change` as another version of the broker writes it.
fn rewrite(site: &Site, change: impl Fn(&mut serde_json::Map<String, Value>)) {
    let (name, config) = (keeper("acme"), site.shared.config());
    let keys = config.sealing_keys.as_ref().unwrap();
    let sealed = site.shared.objects.text(&name, "state").expect("a stored state");
    let mut record: Value = token::open(&sealed, "keeper/service/acme", keys).unwrap();
    change(record.as_object_mut().unwrap());
    let sealed = token::seal(&record, "keeper/service/acme", keys, &Nonce([7; 24])).unwrap();
    Objects::forge(&site.shared, &name, "state", &sealed);
}

#[test]
fn reads_what_other_versions_store() {
    let failed = || {
        let site = site();
        fail(&site, answer(401, r#"{"error":"invalid_client"}"#));
        check(&site, &things(), 502, "credentials_rejected");
        site
    };
    // An older version stores no answer, and knows the error by its old form.
    let site = failed();
    rewrite(&site, |record| {
        assert_eq!(record["last_answer"], "401 invalid_client");
        assert_eq!(record["last_error"][0], json!({ "TokenEndpoint": "CredentialsRejected" }));
        record.remove("last_answer");
    });
    assert_eq!(last_error(&site), told("credentials_rejected", (), ()));
    assert_eq!(entry(&site, "acme")["state"], "rejected");
    // A later one may know other reasons, and other members.
    let site = failed();
    rewrite(&site, |record| {
        record["last_answer"] = "401 of_a_later_version".into();
        record.insert("more".to_owned(), json!({}));
    });
    assert_eq!(last_error(&site), told("credentials_rejected", (), ()));
    assert_eq!(entry(&site, "acme")["state"], "rejected");
}

#[test]
fn has_every_problem_of_a_configured_connection_and_no_value() {
    let mut variables = variables();
    let plain = variables["CONNECTIONS"]["acme"].clone();
    let connections = variables["CONNECTIONS"].as_object_mut().unwrap();
    for id in ["broken", "hooked", "text"] {
        connections.insert(id.to_owned(), plain.clone());
    }
    connections["broken"]["base_url"] = "ftp://c4n4ry.example".into();
    connections["broken"]["rules"][0]["paths"][1] = "c4n4ry".into();
    connections["hooked"]["webhook"] = json!({ "forward_to": "c4n4ry", "token_field": "api_token" });
    connections["text"] = "c4n4ry".into();
    for (name, value) in
        [("BROKEN_PASSWORD", "\"c4n4ry\""), ("HOOKED_USERNAME", "a"), ("HOOKED_PASSWORD", "b")]
    {
        variables[name] = value.into();
    }
    let site = Site::with_variables(1, GRANTS, &variables);
    let told = |id: &str| {
        let entry = entry(&site, id);
        let problems = entry.get("problems").map(|problems| problems.as_array().unwrap().clone());
        let fields = problems.unwrap_or_default().into_iter().map(|problem| {
            assert!(!problem["message"].as_str().unwrap().is_empty());
            problem["field"].as_str().unwrap().to_owned()
        });
        (entry["state"].as_str().unwrap().to_owned(), fields.collect::<Vec<_>>())
    };
    let all = |state: &str, fields: &[&str]| {
        (state.to_owned(), fields.iter().map(|field| (*field).to_owned()).collect::<Vec<_>>())
    };
    assert_eq!(told("acme"), all("cold", &[]));
    assert!(entry(&site, "acme").get("problems").is_none());
    assert_eq!(
        told("broken"),
        all(
            "misconfigured",
            &[
                "CONNECTIONS.broken.base_url",
                "BROKEN_USERNAME",
                "BROKEN_PASSWORD",
                "CONNECTIONS.broken.rules[0].paths[1]",
            ]
        )
    );
    assert_eq!(
        told("hooked"),
        all(
            "cold",
            &["CONNECTIONS.hooked.webhook.forward_to", "HOOKED_ACCOUNT_TOKEN", "HOOKED_WEBHOOK_SECRET"]
        )
    );
    assert_eq!(told("text"), all("misconfigured", &["CONNECTIONS.text"]));
    for id in ["acme", "broken", "hooked", "text"] {
        assert!(!entry(&site, id).to_string().contains(CANARY), "{id}");
    }
}

#[test]
fn has_the_problems_of_a_registration_that_is_no_longer_usable() {
    let site = site();
    let mut registration = Site::variables()["CONNECTIONS"]["acme"].clone();
    registration["secrets"] = json!({ "username": "ana@example.com", "password": "c4n4ry" });
    assert_eq!(site.call(1, &operator("PUT", "shop").text(&registration.to_string())).status, 201);
    assert!(entry(&site, "shop").get("problems").is_none());
    let mut changed = variables();
    changed["CALLERS"].as_object_mut().unwrap().remove("page");
    changed["CONNECTIONS"]["acme"]["rules"][0]["callers"] = json!(["backend"]);
    site.redeploy(&changed);
    let message = "must be the name of a caller in CALLERS, or anyone or session";
    let problems = json!([{ "field": "rules[0].callers[1]", "message": message }]);
    let shown = entry(&site, "shop");
    assert_eq!((&shown["state"], &shown["problems"]), (&json!("misconfigured"), &problems));
    check(&site, &Call::get("/api/shop/things"), 503, "misconfigured");
    let logged = lines(&site, "configuration_problem");
    assert!(!logged.is_empty());
    for line in logged {
        assert_eq!(line["connection"], "shop");
        assert_eq!((&line["field"], &line["problem"]), (&json!("rules[0].callers[1]"), &json!(message)));
    }
    let mut sealed_anew = variables();
    sealed_anew["SEALING_KEYS"] = "k2:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=".into();
    site.redeploy(&sealed_anew);
    let shown = entry(&site, "shop");
    assert_eq!(
        (&shown["state"], &shown["problems"][0]["field"]),
        (&json!("misconfigured"), &json!("SEALING_KEYS"))
    );
    site.redeploy(&variables());
    let shown = entry(&site, "shop");
    assert_eq!((shown["state"].as_str(), shown.get("problems")), (Some("cold"), None));
    assert!(!site.shared.logs.borrow().join("").contains(CANARY));
}
