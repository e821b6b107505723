//! Callers with tokens of issuers elsewhere.

use super::*;
use crate::jose::Algorithm;

const ISSUER: &str = "https://acme.us.auth0.com/";

fn jwt() -> Value {
    json!({"kind": "jwt", "issuer": ISSUER, "audience": "https://broker.acme.com"})
}

fn with(field: &str, value: Value) -> Value {
    let mut caller = jwt();
    caller[field] = value;
    caller
}

/// Checks the one problem of the caller `web`, configured as `caller`.
fn check_caller(caller: Value, problem: &str) {
    let changes = [("CALLERS/web", caller)];
    check(&changes, &[&format!("CALLERS.web.{problem}")], &[]);
    assert!(!read(&changed(&changes)).0.callers.get("web").unwrap().is_usable());
}

fn read_caller(caller: Value) -> Rc<JwtCaller> {
    let (mut config, problems) = read(&changed(&[("CALLERS/web", caller)]));
    assert_eq!(problems, []);
    let Some(Configured::Usable(Caller::Jwt(caller))) = config.callers.remove("web") else {
        panic!("not a token's caller")
    };
    caller
}

#[test]
fn takes_an_issuer_and_an_audience_alone() {
    let caller = read_caller(jwt());
    assert_eq!(caller.keys, KeySource::Issuer(ISSUER.to_owned()));
    assert_eq!(caller.algorithms, [Algorithm::RS256, Algorithm::ES256]);
    assert_eq!(caller.header.as_str(), "authorization");
    assert_eq!(caller.expectation.issuer, ISSUER);
    assert_eq!(caller.expectation.audience, ["https://broker.acme.com"]);
    assert_eq!(caller.expectation.claims, []);
}

#[test]
fn takes_every_field() {
    let caller = read_caller(json!({
        "kind": "jwt",
        "issuer": "http://127.0.0.1:9000",
        "audience": ["a", "b"],
        "jwks_url": "https://keys.example/?p=policy",
        "algorithms": ["EdDSA", "PS512"],
        "claims": {"roles": "admin", "level": [1, 2], "verified": true},
        "header": "X-User-Token"
    }));
    assert_eq!(caller.keys, KeySource::Document("https://keys.example/?p=policy".to_owned()));
    assert_eq!(caller.algorithms, [Algorithm::EdDSA, Algorithm::PS512]);
    assert_eq!(caller.header.as_str(), "x-user-token");
    assert_eq!(caller.expectation.audience, ["a", "b"]);
    let claims = [
        ("level", vec![json!(1), json!(2)]),
        ("roles", vec![json!("admin")]),
        ("verified", vec![json!(true)]),
    ];
    assert_eq!(caller.expectation.claims, claims.map(|(name, values)| (name.to_owned(), values)));
}

#[test]
fn says_what_to_write_in_each_field() {
    let mut missing = jwt();
    missing.as_object_mut().unwrap().remove("issuer");
    check_caller(missing, "issuer: is missing: write the issuer's address");
    for (issuer, message) in [
        ("acme", "must be an absolute address with an ASCII host"),
        ("http://acme.example", "must be an https address, or http on a loopback host"),
        ("https://acme.example?x", "must be an address without query and fragment"),
    ] {
        check_caller(with("issuer", json!(issuer)), &format!("issuer: {message}"));
    }
    let audience = "audience: must be the audience of the caller's tokens, or an array of several";
    for wrong in [json!(null), json!(""), json!([]), json!(1)] {
        check_caller(with("audience", wrong), audience);
    }
    check_caller(with("audience", json!(["a", ""])), "audience[1]: must not be empty");
    check_caller(
        with("jwks_url", json!("http://keys.example")),
        "jwks_url: must be an https address, or http on a loopback host",
    );
    let algorithm = "must be RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512 or EdDSA";
    for wrong in ["none", "HS256", "rs256", ""] {
        check_caller(with("algorithms", json!([wrong])), &format!("algorithms[0]: {algorithm}"));
    }
    check_caller(
        with("algorithms", json!([])),
        "algorithms: must be an array of at least one signature algorithm",
    );
    for wrong in [json!([]), json!({}), json!(null), json!([[]])] {
        let message = "must be a text, a number, true or false, or an array of several";
        check_caller(with("claims", json!({ "roles": wrong })), &format!("claims.roles: {message}"));
    }
    for wrong in ["Cookie", "Origin", "Content-Type", "Host"] {
        let message = "is a header field that the broker keeps to itself: name another one";
        check_caller(with("header", json!(wrong)), &format!("header: {message}"));
    }
    check_caller(with("jwks", json!("x")), "jwks: is not a known field");
}

#[test]
fn knows_cloudflare_access_by_its_teams_domain() {
    for domain in ["acme", "acme.cloudflareaccess.com", "https://acme.cloudflareaccess.com/"] {
        let caller = json!({"kind": "cloudflare-access", "team_domain": domain, "audience": "aud"});
        let caller = read_caller(caller);
        let certificates = "https://acme.cloudflareaccess.com/cdn-cgi/access/certs";
        assert_eq!(caller.keys, KeySource::Document(certificates.to_owned()));
        assert_eq!(caller.expectation.issuer, "https://acme.cloudflareaccess.com");
        assert_eq!(caller.header.as_str(), "cf-access-jwt-assertion");
        assert_eq!(caller.algorithms, [Algorithm::RS256]);
    }
    for wrong in ["Acme", "acme/x", "https://acme.example/x", "http://acme.example", "a b", ""] {
        check_caller(
            json!({"kind": "cloudflare-access", "team_domain": wrong, "audience": "aud"}),
            "team_domain: must be the team's domain, as acme.cloudflareaccess.com, in lower case",
        );
    }
}

#[test]
fn knows_each_field_that_tokens_come_in_once() {
    let changes = [
        ("CALLERS/web", with("header", json!("X-B"))),
        ("CALLERS/a", jwt()),
        ("CALLERS/b", with("header", json!("X-b"))),
    ];
    let (config, _) = read(&changed(&changes));
    let fields: Vec<&str> = config.token_fields.iter().map(HeaderName::as_str).collect();
    assert_eq!(fields, ["authorization", "x-b"]);
    assert_eq!(read(&sound()).0.token_fields, []);
}
