//! Connections at which each caller's own token is exchanged.

use super::*;
use crate::oauth::{Assertions, TokenRequest};

const PLACE: &str = "CONNECTIONS/api";

/// The sound configuration, whose connection `api` exchanges the tokens of `staff`, with `changes` of
/// that connection.
fn exchanging(changes: &[(&str, Value)]) -> Value {
    let mut all = changed(&[
        ("CALLERS/staff", json!({"kind": "jwt", "issuer": "https://issuer.example", "audience": "broker"})),
        ("CALLERS/access", json!({"kind": "cloudflare-access", "team_domain": "acme", "audience": "broker"})),
        ("CONNECTIONS/api/grant", json!("token_exchange")),
        ("CONNECTIONS/api/rules/0/callers", json!(["staff", "access"])),
    ]);
    for gone in ["params", "subject", "body"] {
        put(&mut all, &format!("{PLACE}/{gone}"), None);
    }
    for (field, value) in changes {
        put(&mut all, &format!("{PLACE}/{field}"), Some(value.clone()));
    }
    all
}

#[track_caller]
fn check_exchange(changes: &[(&str, Value)], expected: &[&str]) {
    let (config, problems) = read(&exchanging(changes));
    let found: Vec<String> = problems.iter().map(ToString::to_string).collect();
    let expected: Vec<String> = expected.iter().map(|problem| format!("CONNECTIONS.api.{problem}")).collect();
    assert_eq!(found, expected, "{changes:?}");
    assert_eq!(config.connection("api").unwrap().is_usable(), expected.is_empty());
}

#[test]
fn shares_no_copies_between_callers() {
    let cache = |shared: bool| json!({"seconds": 30, "stale_seconds": 300, "shared": shared});
    check_exchange(&[("rules/0/cache", cache(false))], &[]);
    let message = "must be false: each person has a token of their own here";
    check_exchange(&[("rules/0/cache", cache(true))], &[&format!("rules[0].cache.shared: {message}")]);
}

fn grant(changes: &[(&str, Value)]) -> Rc<Connection> {
    let (config, problems) = read(&exchanging(changes));
    assert_eq!(problems, []);
    Rc::clone(config.connection("api").unwrap().usable().unwrap())
}

/// Checks the body of the request that exchanges a token.
#[track_caller]
fn check_request(changes: &[(&str, Value)], expected: &str) {
    let connection = grant(changes);
    let token = Secret::new("a.b.c{subject_token}&".to_owned());
    let request = TokenRequest::exchange(&connection.grant, &token, &Assertions::default()).unwrap();
    assert_eq!(request.body.as_ref().unwrap().expose(), expected, "{changes:?}");
    assert!(
        TokenRequest::acquire(&connection.grant, &Assertions::default()).is_none(),
        "it needs a caller's token"
    );
    assert!(!format!("{request:?}").contains("a.b.c"));
}

#[test]
fn gives_each_caller_a_token_of_their_own() {
    for changes in [vec![], vec![("subject", json!("caller"))]] {
        let connection = grant(&changes);
        assert_eq!((connection.grant.name(), connection.grant.subject()), ("token_exchange", "caller"));
        assert!(!connection.grant.is_shared() && !connection.grant.is_for_people());
    }
}

#[test]
fn asks_as_the_standard_says() {
    let token = "a.b.c%7Bsubject_token%7D%26";
    check_request(
        &[],
        &format!(
            "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange&subject_token={token}\
             &subject_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Ajwt\
             &audience=https%3A%2F%2Fapi.example.com&scope=read+write&resource=urn%3Aexample%3Aapi"
        ),
    );
    let access = json!("urn:ietf:params:oauth:token-type:access_token");
    let requested = json!({"requested_token_type": "urn:ietf:params:oauth:token-type:jwt"});
    check_request(
        &[("subject_token_type", access), ("params", requested), ("client_auth", json!("post"))],
        &format!(
            "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange&subject_token={token}\
             &subject_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Aaccess_token\
             &audience=https%3A%2F%2Fapi.example.com&scope=read+write&resource=urn%3Aexample%3Aapi\
             &client_id=api-client&client_secret=api+client+secret\
             &requested_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Ajwt"
        ),
    );
}

#[test]
fn asks_entra_on_behalf_of_the_caller() {
    let mut all = exchanging(&[
        ("client_auth", json!("post")),
        ("scope", json!("https://graph.microsoft.com/.default")),
        (
            "params",
            json!({
                "grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer",
                "assertion": "{subject_token}",
                "requested_token_use": "on_behalf_of",
            }),
        ),
    ]);
    put(&mut all, "CONNECTIONS/api/audience", None);
    put(&mut all, "CONNECTIONS/api/resource", None);
    let (config, problems) = read(&all);
    assert_eq!(problems, []);
    let connection = config.connection("api").unwrap().usable().unwrap();
    let request =
        TokenRequest::exchange(&connection.grant, &Secret::new("a.b.c".to_owned()), &Assertions::default())
            .unwrap();
    assert_eq!(
        request.body.unwrap().expose(),
        "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer\
         &scope=https%3A%2F%2Fgraph.microsoft.com%2F.default&client_id=api-client\
         &client_secret=api+client+secret&assertion=a.b.c&requested_token_use=on_behalf_of"
    );
}

#[test]
fn fills_a_place_once_and_never_in_what_was_filled_in() {
    let params = json!({"subject_token": "x {subject_token}", "two": "{subject_token}{subject_token}"});
    check_request(
        &[("params", params), ("body", json!("json")), ("client_auth", json!("none"))],
        r#"{"grant_type":"urn:ietf:params:oauth:grant-type:token-exchange","client_id":"api-client","audience":"https://api.example.com","scope":"read write","resource":"urn:example:api","subject_token":"x a.b.c{subject_token}&","two":"a.b.c{subject_token}&a.b.c{subject_token}&"}"#,
    );
}

#[test]
fn says_what_to_write_instead() {
    let subject = "subject: must be caller: token_exchange gives each caller a token of their own";
    for wrong in ["service", "user"] {
        check_exchange(&[("subject", json!(wrong))], &[subject]);
    }
    let kind = "must be a caller of kind jwt or cloudflare-access: the caller's own token is exchanged";
    check_exchange(
        &[("rules/0/callers", json!(["backend", "staff", "anyone", "session"]))],
        &[0, 2, 3].map(|at| format!("rules[0].callers[{at}]: {kind}")).each_ref().map(String::as_str),
    );
    check_exchange(
        &[("subject_token_type", json!("jwt"))],
        &["subject_token_type: must be an absolute URI without a fragment"],
    );
    check_exchange(
        &[("params", json!({"subject_token": "x", "subject_token_type": "y", "client_id": "z"}))],
        &[
            "params.client_id: is a parameter that the broker sets itself",
            "params.subject_token: is a parameter that the broker sets itself, unless params place {subject_token}",
            "params.subject_token_type: is a parameter that the broker sets itself, unless params place {subject_token}",
        ],
    );
    check_exchange(
        &[
            ("params", json!({"assertion": "{subject_token}"})),
            ("subject_token_type", json!("urn:ietf:params:oauth:token-type:jwt")),
        ],
        &["subject_token_type: has no meaning where params place {subject_token}"],
    );
}

#[test]
fn exchanges_tokens_with_this_grant_only() {
    for id in ["api", "renewed"] {
        check(
            &[(&format!("CONNECTIONS/{id}/subject"), json!("caller"))],
            &[&format!(
                "CONNECTIONS.{id}.subject: must be service or user: only token_exchange exchanges callers' tokens"
            )],
            &[id],
        );
        check(
            &[(&format!("CONNECTIONS/{id}/subject_token_type"), json!("urn:a:b"))],
            &[&format!("CONNECTIONS.{id}.subject_token_type: has no meaning unless grant is token_exchange")],
            &[id],
        );
    }
    check(
        &[("CONNECTIONS/api/params", json!({"grant_type": "x"}))],
        &["CONNECTIONS.api.params.grant_type: is a parameter that the broker sets itself"],
        &["api"],
    );
}

#[test]
fn tells_apart_what_tokens_are_exchanged_for() {
    let plain = grant(&[]);
    let others = [
        ("audience", json!("https://other.example")),
        ("scope", json!("read")),
        ("subject_token_type", json!("urn:ietf:params:oauth:token-type:access_token")),
        ("params", json!({"grant_type": "urn:x"})),
        ("params", json!({"assertion": "{subject_token}"})),
    ];
    for other in others {
        let changed = grant(std::slice::from_ref(&other));
        assert_ne!(plain.identity, changed.identity, "{other:?}");
        assert_ne!(plain.grant.credentials(), changed.grant.credentials(), "{other:?}");
    }
    assert_eq!(plain.identity, grant(&[("token_timeout_ms", json!(1))]).identity);
}

#[test]
fn can_be_registered() {
    let (config, problems) = read(&exchanging(&[]));
    assert_eq!(problems, []);
    let fields = |callers: Value| {
        let connection = json!({
            "provider": "custom", "base_url": "https://api.example", "grant": "token_exchange",
            "token_url": "https://login.example/token", "client_auth": "none",
            "rules": [{"callers": callers, "methods": ["GET"], "paths": ["/**"]}],
        });
        connection.as_object().unwrap().clone()
    };
    let registered = config.read_registered("mine", &fields(json!(["staff"])), &Variables::new()).unwrap();
    assert_eq!(registered.connection.grant.subject(), "caller");
    let problems =
        config.read_registered("mine", &fields(json!(["backend"])), &Variables::new()).unwrap_err();
    let kind = "must be a caller of kind jwt or cloudflare-access: the caller's own token is exchanged";
    assert_eq!(problems[0].to_pair(), ("rules[0].callers[0]".to_owned(), kind.to_owned()));
}
