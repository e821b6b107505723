//! Callers whose own tokens are exchanged, over simulated surroundings.

use std::time::Duration;

use serde_json::{Value, json};

use porteiro_simulation::{Answered, Call, Fault, Grants, Objects, Site};

const HOUR: Grants = Grants { expires_in: 3600, refresh_tokens: true, rotation: true, reuse_detection: true };

fn site() -> Site {
    Site::for_exchanges(7, HOUR)
}

/// A site with an operator.
fn operated() -> Site {
    let site = site();
    site.redeploy(&operated_variables());
    site
}

fn operated_variables() -> Value {
    let mut variables = Site::variables_for_exchanges();
    variables["ADMIN_KEY"] = Site::OPERATOR_KEY.into();
    variables
}

fn admin(method: &'static str, path: &str) -> Call {
    let key = format!("Bearer {}", Site::OPERATOR_KEY);
    Call::get(&format!("/admin/{path}")).method(method).field("authorization", &key)
}

/// A token of the first issuer that lives for so many seconds.
fn token(site: &Site, name: &str, life: u64) -> String {
    sign(site, &json!({ "iss": Site::ISSUERS[0], "sub": name }), life)
}

fn sign(site: &Site, claims: &Value, life: u64) -> String {
    let (world, mut claims) = (&site.shared.world, claims.clone());
    claims["aud"] = "porteiro".into();
    claims["exp"] = (world.now().as_millis() / 1000 + life).into();
    claims["jti"] = world.unique().to_string().into();
    Site::ISSUER_KEY.sign(&claims)
}

fn call(site: &Site, isolate: u32, token: &str) -> Answered {
    site.call(isolate, &Call::with_token("/api/acme/things", token))
}

/// Whom a call is served as, and where the token came from; or the error code and its cause.
fn served(site: &Site, isolate: u32, token: &str) -> (String, String) {
    outcome(&call(site, isolate, token))
}

fn outcome(answered: &Answered) -> (String, String) {
    match answered.body.strip_prefix("answer 200 for ") {
        Some(name) => (name.to_owned(), answered.token_source().to_owned()),
        None => (answered.code(), answered.json()["cause"].as_str().unwrap_or_default().to_owned()),
    }
}

fn is(first: &str, second: &str) -> (String, String) {
    (first.to_owned(), second.to_owned())
}

fn exchanges(site: &Site) -> usize {
    site.shared.provider.requests.borrow().len()
}

fn wait(site: &Site, seconds: u64) {
    site.shared.world.run_for(Duration::from_secs(seconds));
}

/// The storage keys of all callers' objects.
fn kept(site: &Site) -> Vec<String> {
    let objects = &site.shared.objects;
    objects.names("exchanged/").iter().flat_map(|name| objects.texts(name).into_keys()).collect()
}

#[test]
fn serves_each_caller_with_a_token_of_their_own_and_warm_calls_from_memory() {
    let site = site();
    let (ana, bia) = (token(&site, "ana", 3600), token(&site, "bia", 3600));
    let other = sign(&site, &json!({ "iss": Site::ISSUERS[1], "sub": "ana" }), 3600);
    for token in [&ana, &bia, &other] {
        assert_eq!(served(&site, 1, token).1, "grant");
    }
    assert_eq!(exchanges(&site), 3, "the same name at another issuer is somebody else");
    let messages = site.shared.objects.exchanges.get();
    for _ in 0..5 {
        assert_eq!(served(&site, 1, &ana), is("ana", "memory"));
        assert_eq!(served(&site, 1, &bia), is("bia", "memory"));
    }
    assert_eq!(site.shared.objects.exchanges.get(), messages, "a warm call asks nobody");
    assert_eq!(served(&site, 2, &ana), is("ana", "keeper"));
    // Another token of the same person has the same token set.
    assert_eq!(served(&site, 1, &token(&site, "ana", 60)), is("ana", "memory"));
    assert_eq!(exchanges(&site), 3);
    let names = site.shared.objects.names("exchanged/");
    assert_eq!(names.len(), 3);
    assert!(names.iter().all(|name| name.len() == "exchanged/".len() + 64));
    assert_eq!(site.shared.exchanges.broken(), None);
}

#[test]
fn makes_one_exchange_of_a_storm() {
    let site = site();
    let ana = Call::with_token("/api/acme/things", &token(&site, "ana", 3600));
    let answers = site.storm(4, 100, &ana);
    assert!(answers.iter().all(|answered| answered.status == 200));
    assert_eq!(exchanges(&site), 1);
}

#[test]
fn uses_nothing_beyond_the_end_of_the_callers_own_token() {
    let site = site();
    let short = token(&site, "ana", 600);
    assert_eq!(served(&site, 1, &short), is("ana", "grant"));
    wait(&site, 590);
    // Near its end no exchange of the same token would gain anything.
    assert_eq!(served(&site, 1, &short), is("ana", "memory"));
    assert_eq!(served(&site, 2, &short), is("ana", "keeper"));
    assert_eq!(exchanges(&site), 1);
    wait(&site, 11);
    // For a minute more the token still authenticates, as clocks differ.
    let late = call(&site, 1, &short);
    assert_eq!((late.status, late.code().as_str()), (401, "caller_unauthenticated"));
    assert!(late.field("www-authenticate").unwrap().contains(r#"error="invalid_token""#));
    assert_eq!(exchanges(&site), 1, "an expired token is not exchanged");
    let next = token(&site, "ana", 600);
    assert_eq!(served(&site, 1, &next), is("ana", "grant"));
    // What the next token was exchanged for serves the same person.
    assert_eq!(served(&site, 1, &short), is("ana", "memory"));
    assert_eq!(site.shared.exchanges.broken(), None);
}

#[test]
fn renews_ahead_with_a_later_token_behind_a_call() {
    let site = site();
    let first = token(&site, "ana", 600);
    assert_eq!(served(&site, 1, &first).1, "grant");
    wait(&site, 550);
    for _ in 0..3 {
        assert_eq!(served(&site, 1, &first), is("ana", "memory"));
        wait(&site, 1);
    }
    assert_eq!(exchanges(&site), 1);
    let later = token(&site, "ana", 600);
    assert_eq!(served(&site, 1, &later), is("ana", "grant"), "it is stale, and a better one can be had");
    assert_eq!(exchanges(&site), 2);
    wait(&site, 500);
    let third = token(&site, "ana", 600);
    assert_eq!(served(&site, 1, &third), is("ana", "memory"));
    wait(&site, 1);
    assert_eq!(exchanges(&site), 3, "an ageing token is renewed behind the call");
    assert_eq!(served(&site, 1, &third), is("ana", "memory"));
    assert_eq!(exchanges(&site), 3);
}

#[test]
fn renews_what_lives_shorter_than_the_callers_token() {
    let site = Site::for_exchanges(7, Grants { expires_in: 300, ..HOUR });
    let ana = token(&site, "ana", 3600);
    assert_eq!(served(&site, 1, &ana).1, "grant");
    wait(&site, 260);
    assert_eq!(served(&site, 1, &ana).1, "memory");
    wait(&site, 2);
    assert_eq!((served(&site, 1, &ana).1, exchanges(&site)), ("memory".to_owned(), 2));
    let fields = site.shared.provider.requests.borrow().last().cloned().unwrap();
    assert!(!fields.contains("refresh"), "a refresh token is never used: {fields}");
}

#[test]
fn a_refused_exchange_holds_up_nobody_else_and_a_new_token_is_tried_at_once() {
    let site = site();
    site.shared.provider.denied.borrow_mut().insert(format!("{} ana", Site::ISSUERS[0]));
    let (ana, bia) = (token(&site, "ana", 3600), token(&site, "bia", 3600));
    let refused = call(&site, 1, &ana);
    assert_eq!((refused.status, refused.code().as_str()), (502, "credentials_rejected"));
    for isolate in 1..4 {
        let waiting = call(&site, isolate, &ana);
        assert_eq!(outcome(&waiting), is("connection_unavailable", "credentials_rejected"));
        assert!(waiting.field("retry-after").is_some());
        assert_eq!(served(&site, isolate, &bia).0, "bia");
    }
    assert_eq!(exchanges(&site), 2);
    // The same or an older token is not tried again within the wait, but a later one is.
    assert_eq!(served(&site, 1, &token(&site, "ana", 1800)).0, "connection_unavailable");
    wait(&site, 1);
    assert_eq!(call(&site, 1, &token(&site, "ana", 3600)).status, 502);
    wait(&site, 1);
    site.shared.provider.denied.borrow_mut().clear();
    assert_eq!(served(&site, 1, &token(&site, "ana", 3600)), is("ana", "grant"));
    assert_eq!(served(&site, 1, &ana), is("ana", "memory"));
    assert_eq!(site.shared.exchanges.broken(), None);
}

#[test]
fn waits_longer_after_each_refusal_and_remembers_it_across_lives() {
    let site = site();
    site.shared.provider.denied.borrow_mut().insert(format!("{} ana", Site::ISSUERS[0]));
    let ana = token(&site, "ana", 40_000);
    let mut waits = Vec::new();
    for _ in 0..3 {
        let refused = call(&site, 1, &ana);
        assert_eq!(refused.status, 502);
        let seconds: u64 = refused.field("retry-after").unwrap().parse().unwrap();
        waits.push(seconds);
        Objects::kill_all(&site.shared, "exchanged/");
        assert_eq!(served(&site, 1, &ana).0, "connection_unavailable");
        wait(&site, seconds);
    }
    assert!(waits[0] >= 60 && waits[1] >= 120 && waits[2] >= 240, "{waits:?}");
}

#[test]
fn refuses_a_caller_that_names_nobody() {
    let site = site();
    for claims in [json!({ "iss": Site::ISSUERS[0] }), json!({ "iss": Site::ISSUERS[0], "sub": "" })] {
        let answered = call(&site, 1, &sign(&site, &claims, 600));
        assert_eq!((answered.status, answered.code().as_str()), (403, "operation_not_allowed"));
    }
    assert_eq!(exchanges(&site), 0);
    let logs = site.shared.logs.borrow();
    let line: Value = serde_json::from_str(logs.last().unwrap()).unwrap();
    assert_eq!(
        ["caller", "reason", "audit"].map(|member| line[member].clone()),
        [json!("one"), json!("no_subject"), json!(true)]
    );
}

#[test]
fn renews_once_for_a_401_with_the_callers_present_token() {
    let site = site();
    let (ana, bia) = (token(&site, "ana", 3600), token(&site, "bia", 3600));
    assert_eq!(served(&site, 1, &ana).1, "grant");
    assert_eq!(served(&site, 1, &bia).1, "grant");
    site.shared.provider.revoke_access_tokens();
    let later = token(&site, "ana", 7200);
    let replayed = call(&site, 1, &later);
    assert_eq!((replayed.status, replayed.sent, exchanges(&site)), (200, 2, 3));
    assert!(site.shared.provider.requests.borrow()[2].contains(&later));
    assert_eq!(served(&site, 1, &ana), is("ana", "memory"));
    assert_eq!(exchanges(&site), 3);
    assert_eq!(call(&site, 1, &bia).sent, 2, "the token of another caller is another matter");
}

#[test]
fn waits_out_an_outage_and_goes_on_with_what_is_valid() {
    let site = site();
    let ana = token(&site, "ana", 3600);
    site.shared.provider.faults.borrow_mut().push_back(Fault::Answer {
        status: 503,
        body: "",
        retry_after: Some("2"),
    });
    assert_eq!(served(&site, 1, &ana).0, "token_endpoint_unreachable");
    let later = token(&site, "ana", 7200);
    assert_eq!(
        served(&site, 1, &later),
        is("connection_unavailable", "token_endpoint_unreachable"),
        "no token of a caller ends the wait of an outage"
    );
    wait(&site, 3);
    assert_eq!(served(&site, 1, &ana), is("ana", "grant"));
}

#[test]
fn keeps_nothing_of_whoever_does_not_come_back() {
    let site = site();
    assert_eq!(served(&site, 1, &token(&site, "ana", 600)).1, "grant");
    site.shared.provider.denied.borrow_mut().insert(format!("{} bia", Site::ISSUERS[0]));
    assert_eq!(call(&site, 1, &token(&site, "bia", 600)).status, 502);
    assert_eq!(kept(&site), ["role", "state", "role", "state"]);
    Objects::kill_all(&site.shared, "exchanged/");
    wait(&site, 590);
    assert_eq!(kept(&site).len(), 4);
    wait(&site, 20);
    assert_eq!(kept(&site).len(), 2, "a token set goes with its end");
    wait(&site, 3700);
    assert_eq!(kept(&site), Vec::<String>::new(), "and so does a wait, an hour after its own");
    // Whoever comes back begins anew.
    assert_eq!(served(&site, 1, &token(&site, "ana", 600)), is("ana", "grant"));
    wait(&site, 700);
    assert_eq!(kept(&site), Vec::<String>::new());
}

#[test]
fn keeps_a_token_set_for_as_long_as_it_is_renewed() {
    let site = Site::for_exchanges(7, Grants { expires_in: 300, ..HOUR });
    for _ in 0..40 {
        assert_eq!(served(&site, 1, &token(&site, "ana", 3600)).0, "ana");
        wait(&site, 100);
    }
    assert_eq!(kept(&site), ["role", "state"]);
    wait(&site, 301);
    assert_eq!(kept(&site), Vec::<String>::new());
}

#[test]
fn survives_another_sealing_key_and_another_configuration() {
    let site = site();
    let ana = token(&site, "ana", 3600);
    assert_eq!(served(&site, 1, &ana).1, "grant");
    let mut variables = Site::variables_for_exchanges();
    variables["SEALING_KEYS"] =
        "k2:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=,k1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
            .into();
    site.redeploy(&variables);
    assert_eq!(served(&site, 1, &ana), is("ana", "grant"), "the name of the object is of the first key");
    assert_eq!(served(&site, 2, &ana), is("ana", "keeper"));
    variables["CONNECTIONS"]["acme"]["client_id"] = "client".into();
    variables["CONNECTIONS"]["acme"]["token_url"] = "https://login.acme.example/other".into();
    site.redeploy(&variables);
    assert_eq!(served(&site, 1, &ana), is("ana", "grant"), "another account has other tokens");
    variables.as_object_mut().unwrap().remove("SEALING_KEYS");
    site.redeploy(&variables);
    assert_eq!(served(&site, 1, &ana).0, "misconfigured");
}

#[test]
fn tells_the_operator_as_much_as_of_peoples_connections() {
    let site = operated();
    assert_eq!(served(&site, 1, &token(&site, "ana", 600)).1, "grant");
    let list = site.call(1, &admin("GET", "connections")).json();
    let entry = &list["connections"][0];
    assert_eq!(
        ["id", "grant", "subject", "state", "grants", "obtained_at"].map(|member| entry[member].clone()),
        [json!("acme"), json!("token_exchange"), json!("caller"), json!("ready"), json!(0), json!(null)]
    );
    for (method, path) in [("POST", "connections/acme/refresh"), ("DELETE", "connections/acme/token")] {
        assert_eq!(site.call(1, &admin(method, path)).code(), "bad_request");
    }
}

#[test]
fn serves_registered_connections_as_well() {
    let site = operated();
    let mut registration = Site::variables_for_exchanges()["CONNECTIONS"]["bolt"].clone();
    let put = |registration: &Value| {
        let call = admin("PUT", "connections/mine").text(&registration.to_string());
        let answered = site.call(1, &call.field("content-type", "application/json"));
        assert!([200, 201].contains(&answered.status), "{}", answered.body);
        answered.json()
    };
    let entry = put(&registration);
    assert_eq!((entry["state"].as_str(), entry["subject"].as_str()), (Some("ready"), Some("caller")));
    let ana = token(&site, "ana", 3600);
    let mine = Call::with_token("/api/mine/things", &ana);
    registration["base_url"] = "https://api.mine.example/v2".into();
    put(&registration);
    assert_eq!(outcome(&site.call(1, &mine)), is("ana", "grant"));
    assert_eq!(outcome(&site.call(1, &mine)), is("ana", "memory"));
    assert_eq!(outcome(&site.call(2, &mine)), is("ana", "keeper"));
    // Another account: nobody's token for the one before is used.
    registration["token_url"] = "https://login.acme.example/other".into();
    put(&registration);
    assert_eq!(outcome(&site.call(1, &mine)), is("ana", "grant"));
    // Another isolate may have its copy of the registration for a minute.
    wait(&site, 61);
    assert_eq!(outcome(&site.call(2, &mine)), is("ana", "keeper"));
    assert_eq!(exchanges(&site), 2);
    assert_eq!(site.call(1, &admin("DELETE", "connections/mine")).status, 204);
    assert_eq!(outcome(&site.call(1, &mine)).0, "unknown_connection");
    wait(&site, 3700);
    assert_eq!(kept(&site), Vec::<String>::new());
}
