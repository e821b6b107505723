//! Connections that people consent to at the provider.

use super::*;
use crate::config::authorization::conflict;

const PLACE: &str = "CONNECTIONS/crm";
const MEMBERS: &str = "CONNECTIONS/login";

/// The sound configuration with connections that people consent to: `crm` once for all callers, `mail`
/// each for themselves, and `login`, where people just sign in; with `changes`.
fn consenting(changes: &[(&str, Value)]) -> Value {
    let rules = json!([{"callers": ["backend"], "methods": ["GET"], "paths": ["/a/*"]}]);
    let mut all = changed(&[
        (
            PLACE,
            json!({
                "provider": "custom",
                "base_url": "https://api.crm.example",
                "grant": "authorization_code",
                "authorize_url": "https://crm.example/authorize",
                "token_url": "https://crm.example/token",
                "revocation_url": "https://crm.example/revoke",
                "authorize_params": {"prompt": "consent", "access_type": "offline", "response_mode": "query"},
                "client_id": "crm-client",
                "scope": "contacts",
                "callback": "crm-callback",
                "rules": rules
            }),
        ),
        (
            "CONNECTIONS/mail",
            json!({
                "provider": "custom",
                "base_url": "https://mail.example",
                "grant": "authorization_code",
                "subject": "user",
                "issuer": "https://issuer.example/tenant",
                "client_auth": "none",
                "client_id": "mail-client",
                "scope": "openid mail",
                "person_claims": ["email", "name"],
                "rules": [{"callers": ["member"], "methods": ["GET"], "paths": ["/{claims.sub}/*"]}]
            }),
        ),
        (
            MEMBERS,
            json!({
                "provider": "custom",
                "grant": "authorization_code",
                "subject": "user",
                "issuer": "https://issuer.example/",
                "client_id": "login-client",
                "scope": "email openid",
                "rules": null
            }),
        ),
        ("CRM_CLIENT_SECRET", json!("crm secret")),
        ("LOGIN_CLIENT_SECRET", json!("login secret")),
        (
            "CALLERS/member",
            json!({"kind": "session", "connection": "login", "claims": {"role": ["admin", 1], "email_verified": true}}),
        ),
    ]);
    put(&mut all, &format!("{MEMBERS}/rules"), None);
    for (place, value) in changes {
        put(&mut all, place, Some(value.clone()));
    }
    all
}

#[track_caller]
fn check_all(all: &Value, expected: &[&str], broken: &[&str]) {
    let (config, problems) = read(all);
    let found: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(found, expected, "{all}");
    let unusable: Vec<&String> =
        connections(&config).filter(|(_, read)| !read.is_usable()).map(|(id, _)| id).collect();
    assert_eq!(unusable, broken);
}

/// Checks the problems of one of the connections with `changes` of its fields.
#[track_caller]
fn check_connection(id: &str, changes: &[(&str, Value)], expected: &[&str]) {
    let place = format!("CONNECTIONS/{id}");
    let places: Vec<String> = changes.iter().map(|(field, _)| format!("{place}/{field}")).collect();
    let changes: Vec<(&str, Value)> =
        places.iter().zip(changes).map(|(place, (_, value))| (place.as_str(), value.clone())).collect();
    let expected: Vec<String> =
        expected.iter().map(|problem| format!("CONNECTIONS.{id}.{problem}")).collect();
    let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
    check_all(
        &consenting(&changes),
        &expected,
        if expected.is_empty() { &[] } else { std::slice::from_ref(&id) },
    );
}

/// Checks the problems without some fields.
#[track_caller]
fn check_without(id: &str, gone: &[&str], expected: &[&str]) {
    let mut all = consenting(&[]);
    for field in gone {
        put(&mut all, &format!("CONNECTIONS/{id}/{field}"), None);
    }
    let expected: Vec<String> =
        expected.iter().map(|problem| format!("CONNECTIONS.{id}.{problem}")).collect();
    let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
    check_all(&all, &expected, if expected.is_empty() { &[] } else { std::slice::from_ref(&id) });
}

fn usable(config: &Config, id: &str) -> Rc<Connection> {
    Rc::clone(config.connection(id).unwrap().usable().unwrap())
}

fn sound_one(id: &str, changes: &[(&str, Value)]) -> Rc<Connection> {
    let (config, problems) = read(&consenting(changes));
    assert_eq!(problems, []);
    usable(&config, id)
}

fn parts(connection: &Connection) -> (&TokenEndpoint, &Authorization) {
    let Grant::AuthorizationCode { endpoint, authorization } = &connection.grant else {
        panic!("{:?}", connection.grant)
    };
    (endpoint, authorization)
}

#[test]
fn reads_every_field_of_a_service() {
    let crm = sound_one("crm", &[]);
    let (endpoint, authorization) = parts(&crm);
    assert_eq!((crm.grant.name(), crm.grant.subject()), ("authorization_code", "service"));
    assert!(crm.grant.is_shared() && !crm.grant.is_for_people() && !crm.is_for_signing_in_only);
    assert_eq!(endpoint.url.as_str(), "https://crm.example/token");
    assert_eq!(authorization.issuer, None);
    assert_eq!(authorization.authorize_url.as_ref().unwrap().as_str(), "https://crm.example/authorize");
    assert_eq!(authorization.revocation_url.as_ref().unwrap().as_str(), "https://crm.example/revoke");
    assert!(!authorization.discovers_token_url && !authorization.for_people);
    let params = [("access_type", "offline"), ("prompt", "consent"), ("response_mode", "query")];
    assert_eq!(authorization.params, params.map(|(name, value)| (name.to_owned(), value.to_owned())));
    assert_eq!(authorization.callback, "crm-callback");
    assert!(
        matches!(&endpoint.client, ClientAuthentication::Post { client_id, .. } if client_id == "crm-client")
    );
    assert!(crm.token_header.as_ref().unwrap().scheme.is_none(), "the token's own type");
    assert!(!crm.grant.has_id_tokens());
}

#[test]
fn reads_what_people_connect_for_themselves() {
    let mail = sound_one("mail", &[]);
    let (endpoint, authorization) = parts(&mail);
    assert_eq!(mail.grant.subject(), "user");
    assert!(mail.grant.is_for_people() && !mail.grant.is_shared() && mail.grant.has_id_tokens());
    assert!(authorization.discovers_token_url && authorization.authorize_url.is_none());
    assert_eq!(authorization.issuer.as_deref(), Some("https://issuer.example/tenant"));
    assert_eq!(endpoint.url.as_str(), "https://issuer.example/tenant");
    assert_eq!(authorization.callback, "mail");
    assert_eq!(authorization.person_claims, ["email", "name"]);
}

#[test]
fn keeps_an_issuer_as_it_is_written() {
    for issuer in ["https://issuer.example", "https://issuer.example/", "https://ISSUER.example/a/"] {
        let mail = sound_one("mail", &[("CONNECTIONS/mail/issuer", json!(issuer))]);
        assert_eq!(parts(&mail).1.issuer.as_deref(), Some(issuer));
    }
}

#[test]
fn names_the_issuer_to_who_checks_assertions_where_the_token_endpoint_is_not_known() {
    let issuer = "https://issuer.example";
    let audience = |changes: &[(&str, Value)]| {
        let mut all = vec![
            ("CONNECTIONS/mail/issuer", json!(issuer)),
            ("CONNECTIONS/mail/client_auth", json!("client_secret_jwt")),
            ("MAIL_CLIENT_SECRET", json!("mail secret")),
        ];
        all.extend_from_slice(changes);
        let mail = sound_one("mail", &all);
        let client = &parts(&mail).0.client;
        let ClientAuthentication::ClientSecretJwt { audience, .. } = client else { panic!("{client:?}") };
        audience.clone()
    };
    assert_eq!(audience(&[]), issuer);
    let token_url = ("CONNECTIONS/mail/token_url", json!("https://issuer.example/token"));
    assert_eq!(audience(std::slice::from_ref(&token_url)), "https://issuer.example/token");
    let own = ("CONNECTIONS/mail/assertion_audience", json!("urn:as"));
    assert_eq!(audience(std::slice::from_ref(&own)), "urn:as");
    assert_eq!(audience(&[own, token_url]), "urn:as");
}

#[test]
fn takes_a_connection_without_api_and_rules_for_signing_in_alone() {
    let (config, problems) = read(&consenting(&[]));
    assert_eq!(problems, []);
    let login = usable(&config, "login");
    assert!(login.is_for_signing_in_only && login.rules.is_empty());
    assert_eq!(login.base_url.as_str(), "https://issuer.example/");
    assert!(!usable(&config, "mail").is_for_signing_in_only);
    let rules = "rules: must be an array of at least one rule";
    let base_url = "base_url: is missing: write the API's https address";
    check_connection("login", &[("base_url", json!("https://a.example"))], &[rules]);
    check_connection("login", &[("rules", json!([]))], &[base_url, rules]);
    check_without("mail", &["rules"], &[rules]);
    check_without("mail", &["base_url"], &[base_url]);
    check_without("crm", &["base_url", "rules"], &[base_url, rules]);
    // Nobody signs in without an ID token.
    let mut nameless = consenting(&[(&format!("{MEMBERS}/scope"), json!("email"))]);
    put(&mut nameless, "CALLERS/member/connection", Some(json!("mail")));
    let told = [base_url, rules].map(|problem| format!("CONNECTIONS.login.{problem}"));
    check_all(&nameless, &told.each_ref().map(String::as_str), &["login"]);
    let mut unproven = consenting(&[
        ("CALLERS/member/connection", json!("mail")),
        ("CONNECTIONS/login/authorize_url", json!("https://a.example/authorize")),
        ("CONNECTIONS/login/token_url", json!("https://a.example/token")),
    ]);
    put(&mut unproven, "CONNECTIONS/login/issuer", None);
    let told = "CONNECTIONS.login.issuer: is missing: people just sign in here, by ID tokens of the issuer; \
                or write base_url and rules";
    check_all(&unproven, &[told], &["login"]);
}

#[test]
fn has_sessions_where_people_just_sign_in() {
    let alone = |connection: Value| {
        let all = json!({
            "SEALING_KEYS": SEALING_KEYS, "CONNECTIONS": {"login": connection}, "LOGIN_CLIENT_SECRET": "s"
        });
        lazy::unread(&all).0.session.is_some()
    };
    let login = consenting(&[]).pointer("/CONNECTIONS/login").unwrap().clone();
    assert!(alone(login.clone()));
    let mut service = login;
    service["subject"] = json!("service");
    assert!(!alone(service));
    let crm = consenting(&[]).pointer("/CONNECTIONS/crm").unwrap().clone();
    assert!(!alone(crm));
}

#[test]
fn says_which_address_is_missing() {
    let where_people_consent = "authorize_url: is missing: write the address where people consent, or the issuer, \
                                whose metadata has it";
    let token_url = "token_url: is missing: write the token endpoint's https address";
    check_without("crm", &["authorize_url", "token_url"], &[where_people_consent, token_url]);
    check_without("crm", &["authorize_url"], &[where_people_consent]);
    check_without("crm", &["token_url"], &[token_url]);
    let issuer = ("issuer", json!("https://crm.example"));
    check_connection("crm", &[issuer], &[]);
    // One is reported where it is wrong, not missed as well.
    for (field, wrong) in [
        ("issuer", "http://issuer.example"),
        ("authorize_url", "http://issuer.example"),
        ("revocation_url", "http://issuer.example"),
    ] {
        let message = format!("{field}: must be an https address, or http on a loopback host");
        check_connection("mail", &[(field, json!(wrong))], &[&message]);
    }
    check_connection(
        "mail",
        &[("issuer", json!("https://issuer.example?tenant=1"))],
        &["issuer: must be an address without query and fragment"],
    );
}

#[test]
fn needs_the_clients_id_whatever_proves_it() {
    let mut all = consenting(&[]);
    put(&mut all, "CONNECTIONS/mail/client_id", None);
    let told = "MAIL_CLIENT_ID: is missing: set this secret, or the connection's field of that name";
    check_all(&all, &[told], &["mail"]);
    put(&mut all, "MAIL_CLIENT_ID", Some(json!("mail-client")));
    check_all(&all, &[], &[]);
}

#[test]
fn keeps_its_own_parameters_to_itself() {
    let own = [
        "client_assertion",
        "client_assertion_type",
        "client_id",
        "client_secret",
        "code_challenge",
        "code_challenge_method",
        "dpop_jkt",
        "nonce",
        "redirect_uri",
        "request",
        "request_uri",
        "response_type",
        "scope",
        "State",
    ];
    for name in own {
        let told = format!("authorize_params.{name}: is a parameter that the broker sets itself");
        check_connection("crm", &[("authorize_params", json!({name: "x", "prompt": "login"}))], &[&told]);
    }
    let told = "authorize_params.response_mode: must be query: the broker reads no other answer";
    for mode in [json!("fragment"), json!("form_post"), json!(""), json!(null)] {
        check_connection("crm", &[("authorize_params", json!({ "response_mode": mode }))], &[told]);
    }
    check_connection(
        "crm",
        &[("authorize_params", json!({"": "x", "prompt": 1}))],
        &["authorize_params.: must have a name", "authorize_params.prompt: must be a text"],
    );
    check_connection("crm", &[("authorize_params", json!([]))], &["authorize_params: must be a table"]);
    for name in ["code", "code_verifier", "redirect_uri"] {
        let told = format!("params.{name}: is a parameter that the broker sets itself");
        check_connection("crm", &[("params", json!({name: "x", "tenant": "1"}))], &[&told]);
    }
    for (name, value) in [("audience", "https://api.example"), ("resource", "urn:a:b")] {
        check_connection("crm", &[("authorize_params", json!({ name: value }))], &[]);
        let told = format!(
            "authorize_params.{name}: is a parameter that the broker sets itself, as the field of that name says"
        );
        check_connection(
            "crm",
            &[("authorize_params", json!({ name: value })), (name, json!(value))],
            &[&told],
        );
    }
}

#[test]
fn reads_names_and_claims_of_a_form_alone() {
    let told = "callback: must be 1 to 64 letters, digits, - and _, beginning with a letter or digit, \
                and not callback, logout or session";
    for wrong in ["", "-a", "a/b", "a b", "..", "%2e", "é", "callback", "logout", "session", &"x".repeat(65)]
    {
        check_connection("crm", &[("callback", json!(wrong))], &[told]);
    }
    check_connection("crm", &[("callback", json!(7))], &["callback: must be a text"]);
    check_connection(
        "mail",
        &[("person_claims", json!(["sub", "", 7]))],
        &["person_claims[1]: must not be empty", "person_claims[2]: must be a text"],
    );
    check_connection(
        "mail",
        &[("person_claims", json!("sub"))],
        &["person_claims: must be an array of names of claims"],
    );
    let useless =
        "person_claims: has no meaning unless subject is user, scope has openid, and there is an issuer";
    check_connection("crm", &[("person_claims", json!(["sub"]))], &[useless]);
    check_connection("mail", &[("scope", json!("mail"))], &[useless]);
    check_connection("mail", &[("scope", json!("openid2 myopenid"))], &[useless]);
}

#[test]
fn has_these_fields_with_this_grant_only() {
    let fields = [
        ("issuer", json!("https://issuer.example")),
        ("authorize_url", json!("https://issuer.example")),
        ("authorize_params", json!({})),
        ("revocation_url", json!("https://issuer.example")),
        ("callback", json!("x")),
        ("person_claims", json!(["sub"])),
    ];
    for (field, value) in fields {
        for id in ["api", "fixed", "hubsoft", "renewed"] {
            check(
                &[(&format!("CONNECTIONS/{id}/{field}"), value.clone())],
                &[&format!("CONNECTIONS.{id}.{field}: has no meaning unless grant is authorization_code")],
                &[id],
            );
        }
    }
}

#[test]
fn keeps_names_of_its_own_addresses() {
    let crm = || consenting(&[]).pointer("/CONNECTIONS/crm").unwrap().clone();
    for id in ["callback", "logout", "session"] {
        let told = "must have another name: callback, logout and session are addresses of the broker's own";
        let secret = format!("{}_CLIENT_SECRET", id.to_uppercase());
        let mut other = crm();
        other["callback"] = json!("mine");
        let all = consenting(&[(&format!("CONNECTIONS/{id}"), other), (&secret, json!("s"))]);
        check_all(&all, &[&format!("CONNECTIONS.{id}: {told}")], &[id]);
        let fixed = json!({"provider": "guru", "rules": sound()["CONNECTIONS"]["guru"]["rules"]});
        let token = format!("{}_TOKEN", id.to_uppercase());
        let all = consenting(&[(&format!("CONNECTIONS/{id}"), fixed.clone()), (&token, json!("t"))]);
        check_all(&all, &[&format!("CONNECTIONS.{id}: {told}")], &[id]);
        let (config, _) = read(&consenting(&[]));
        let secrets = json!({"token": "t"});
        let problems =
            config.read_registered(id, fixed.as_object().unwrap(), secrets.as_object().unwrap()).unwrap_err();
        assert_eq!(
            problems.iter().map(Problem::to_pair).collect::<Vec<_>>(),
            [("id".to_owned(), told.to_owned())]
        );
    }
    // Another case is another name.
    let mut other = crm();
    other["callback"] = json!("Callback");
    let all = consenting(&[("CONNECTIONS/Session", other), ("SESSION_CLIENT_SECRET", json!("s"))]);
    check_all(&all, &[], &[]);
}

const ENDPOINTS: &str = "must be another one, or all connections that have it must have the same issuer, \
                         authorize_url and token_url: an answer of one provider would be taken for another's";
const CLIENT: &str =
    "must be another one, or all connections that have it must have the same client_id and client_auth";

/// Two connections with one callback, the second one with `changes`.
fn sharing(changes: &[(&str, Value)]) -> Value {
    let mut other = consenting(&[]).pointer("/CONNECTIONS/crm").unwrap().clone();
    for (field, value) in changes {
        other[*field] = value.clone();
    }
    consenting(&[("CONNECTIONS/shop", other), ("SHOP_CLIENT_SECRET", json!("another secret"))])
}

#[track_caller]
fn check_sharing(changes: &[(&str, Value)], expected: &str) {
    let told = ["crm", "shop"].map(|id| format!("CONNECTIONS.{id}.callback: {expected}"));
    check_all(&sharing(changes), &told.each_ref().map(String::as_str), &["crm", "shop"]);
}

#[test]
fn lets_connections_share_a_callback_that_have_the_same_provider_and_client() {
    for same in [
        vec![],
        vec![("scope", json!("deals"))],
        vec![("base_url", json!("https://other.example")), ("authorize_params", json!({}))],
        vec![("revocation_url", json!("https://crm.example/other"))],
    ] {
        check_all(&sharing(&same), &[], &[]);
    }
    for (field, value) in [
        ("authorize_url", "https://evil.example/authorize"),
        ("token_url", "https://evil.example/token"),
        ("issuer", "https://crm.example"),
    ] {
        check_sharing(&[(field, json!(value))], ENDPOINTS);
    }
    for (field, value) in [("client_id", "other"), ("client_auth", "basic"), ("client_auth", "none")] {
        check_sharing(&[(field, json!(value))], CLIENT);
    }
    // The one that is broken anyway takes no answer.
    let all = sharing(&[("token_url", json!("https://evil.example/token")), ("timeout_ms", json!(0))]);
    check_all(
        &all,
        &["CONNECTIONS.shop.timeout_ms: must be a whole number from 1 to 600000 (milliseconds)"],
        &["shop"],
    );
}

#[test]
fn counts_an_id_as_a_callback() {
    let named = |callback: &str, id: &str| {
        let mut other = consenting(&[]).pointer("/CONNECTIONS/crm").unwrap().clone();
        other["token_url"] = json!("https://evil.example/token");
        other["callback"] = json!(callback);
        let all = consenting(&[(&format!("CONNECTIONS/{id}"), other)]);
        let mut all = all;
        put(&mut all, &format!("{}_CLIENT_SECRET", id.to_uppercase()), Some(json!("s")));
        all
    };
    // `mail` has no callback of its own.
    let told = ["mail", "other"].map(|id| format!("CONNECTIONS.{id}.callback: {ENDPOINTS}"));
    check_all(&named("mail", "other"), &told.each_ref().map(String::as_str), &["mail", "other"]);
    // `crm` has one, so its id is free, and `api` has none at all.
    check_all(&named("crm", "other"), &[], &[]);
    check_all(&named("api", "other"), &[], &[]);
}

#[test]
fn reads_no_other_connection_for_one_that_shares_nothing() {
    let (config, told) = lazy::unread(&consenting(&[("CONNECTIONS/login/scope", json!("openid  two"))]));
    assert!(config.connection("crm").unwrap().is_usable());
    assert_eq!(told.take(), []);
    assert!(!config.connection("login").unwrap().is_usable());
    assert_eq!(told.take().len(), 1);
}

#[test]
fn compares_connections_of_this_grant_alone() {
    let (config, _) = read(&consenting(&[]));
    let [crm, mail, api] = ["crm", "mail", "api"].map(|id| usable(&config, id));
    assert_eq!(conflict(&crm, &mail), None);
    assert_eq!(conflict(&crm, &api), None);
    assert_eq!(conflict(&crm, &crm), None);
}

#[test]
fn tells_apart_what_was_consented_to() {
    let crm = sound_one("crm", &[]);
    for (field, value) in [
        ("authorize_url", json!("https://other.example")),
        ("token_url", json!("https://other.example")),
        ("issuer", json!("https://crm.example")),
        ("client_id", json!("other")),
        ("scope", json!("deals")),
        ("params", json!({"tenant": "1"})),
    ] {
        let other = sound_one("crm", &[(&format!("{PLACE}/{field}"), value)]);
        assert_ne!(crm.identity, other.identity, "{field}");
    }
    for (field, value) in [
        ("authorize_params", json!({"prompt": "login"})),
        ("revocation_url", json!("https://other.example")),
        ("callback", json!("other")),
        ("timeout_ms", json!(1)),
    ] {
        let other = sound_one("crm", &[(&format!("{PLACE}/{field}"), value)]);
        assert_eq!(crm.identity, other.identity, "{field}");
    }
    let rotated = sound_one("crm", &[("CRM_CLIENT_SECRET", json!("new"))]);
    assert_eq!(crm.identity, rotated.identity);
    assert_ne!(crm.grant.credentials(), rotated.grant.credentials());
}

#[test]
fn knows_who_signed_in() {
    let (config, problems) = read(&consenting(&[]));
    assert_eq!(problems, []);
    let Configured::Usable(Caller::Session(member)) = config.callers.get("member").unwrap() else {
        panic!("no session")
    };
    assert_eq!(member.connection.as_deref(), Some("login"));
    let expected = [("email_verified", vec![json!(true)]), ("role", vec![json!("admin"), json!(1)])];
    assert_eq!(member.claims, expected.map(|(name, values)| (name.to_owned(), values)));
}

#[test]
fn says_what_a_session_must_name() {
    let connection = "CALLERS.extra.connection: must be the id of a connection in CONNECTIONS with grant \
                      authorization_code, subject user, an issuer, and openid in its scope";
    for wrong in ["none", "crm", "api", "hubsoft", "Login", "CONNECTIONS"] {
        let all = consenting(&[("CALLERS/extra", json!({"kind": "session", "connection": wrong}))]);
        check_all(&all, &[connection], &[]);
        assert!(!read(&all).0.callers.get("extra").unwrap().is_usable());
    }
    for (caller, expected) in [
        (json!({"connection": 7}), "connection: must be a text"),
        (json!({"connection": ""}), "connection: must not be empty"),
        (
            json!({"claims": {"a": 1}}),
            "claims: needs connection: who signs in there has claims, any other session has none",
        ),
        (json!({"connection": "mail", "claims": 7}), "claims: must be a table"),
        (
            json!({"connection": "mail", "claims": {"a": {}}}),
            "claims.a: must be a text, a number, true or false, or an array of several",
        ),
        (json!({"connection": "mail", "issuer": "x"}), "issuer: is not a known field"),
    ] {
        let mut caller = caller;
        caller["kind"] = json!("session");
        check_all(&consenting(&[("CALLERS/extra", caller)]), &[&format!("CALLERS.extra.{expected}")], &[]);
    }
}

#[test]
fn binds_rules_to_who_signed_in() {
    let none =
        "needs claims: name no caller of kind key or anyone in this rule, and no session without connection";
    for callers in [json!(["session"]), json!(["member", "session"])] {
        check_connection(
            "mail",
            &[("rules/0/callers", callers), ("rules/0/claims", json!({"a": 1}))],
            &[&format!("rules[0].paths[0]: {none}"), &format!("rules[0].claims: {none}")],
        );
    }
    check_connection("mail", &[("rules/0/claims", json!({"email": "{claims.login}"}))], &[]);
}

/// A registration of a service like `crm`, with `changes`.
fn register(config: &Config, id: &str, changes: &[(&str, Value)]) -> Result<Rc<Connection>, Vec<String>> {
    let mut fields = consenting(&[]).pointer("/CONNECTIONS/crm").unwrap().as_object().unwrap().clone();
    fields.remove("callback");
    for (field, value) in changes {
        fields.insert((*field).to_owned(), value.clone());
    }
    let secrets = json!({"client_secret": "s"});
    let read = config.read_registered(id, &fields, secrets.as_object().unwrap());
    read.map(|registered| registered.connection)
        .map_err(|problems| problems.iter().map(ToString::to_string).collect())
}

#[test]
fn registers_services_that_somebody_consents_to() {
    let (config, _) = read(&consenting(&[]));
    let mine = register(&config, "mine", &[]).unwrap();
    assert_eq!(parts(&mine).1.callback, "mine");
    let shared = register(&config, "mine", &[("callback", json!("crm-callback"))]).unwrap();
    assert_eq!(parts(&shared).1.callback, "crm-callback");
    let evil = ("token_url", json!("https://evil.example/token"));
    let told = Err(vec![format!("callback: {ENDPOINTS}")]);
    for callback in ["crm-callback", "mail", "login"] {
        assert_eq!(register(&config, "mine", &[evil.clone(), ("callback", json!(callback))]).map(drop), told);
    }
    let told = Err(vec![format!("callback: {CLIENT}")]);
    let other = [("client_id", json!("other")), ("callback", json!("crm-callback"))];
    assert_eq!(register(&config, "mine", &other).map(drop), told);
    // An id counts as well.
    let told = Err(vec![format!("callback: {ENDPOINTS}")]);
    assert_eq!(register(&config, "crm-callback", &[evil]).map(drop), told);
    let people = register(&config, "mine", &[("subject", json!("user"))]).unwrap_err();
    assert_eq!(people[0], "subject: must be service: people sign in to configured connections only");
}

#[test]
fn takes_providers_of_the_catalogue_and_a_refresh_token_that_somebody_has() {
    let bling = json!({"provider": "bling", "rules": sound()["CONNECTIONS"]["guru"]["rules"]});
    let mut all = changed(&[
        ("CONNECTIONS/bling", bling),
        ("BLING_CLIENT_ID", json!("id")),
        ("BLING_CLIENT_SECRET", json!("secret")),
    ]);
    let (config, problems) = read(&all);
    assert_eq!(problems, []);
    let connection = usable(&config, "bling");
    let (endpoint, authorization) = parts(&connection);
    assert_eq!(endpoint.url.as_str(), "https://api.bling.com.br/Api/v3/oauth/token");
    assert!(matches!(&endpoint.client, ClientAuthentication::Basic { .. }));
    let authorize_url = authorization.authorize_url.as_ref().unwrap();
    assert_eq!(authorize_url.as_str(), "https://www.bling.com.br/Api/v3/oauth/authorize");
    assert!(authorization.revocation_url.is_some() && !authorization.discovers_token_url);
    put(&mut all, "CONNECTIONS/bling/grant", Some(json!("refresh_token")));
    put(&mut all, "BLING_REFRESH_TOKEN", Some(json!("first")));
    let (config, problems) = read(&all);
    assert_eq!(problems, []);
    assert_eq!(usable(&config, "bling").grant.name(), "refresh_token");
}

#[test]
fn fills_in_what_each_customer_has_for_their_own() {
    let fields = json!({"account": "acme", "params": {"tenant": "1"}});
    let defaults = json!({
        "issuer": "https://{account}.example.com/", "authorize_url": "https://{account}.example.com/a",
    });
    let (fields, defaults) = (fields.as_object().unwrap(), defaults.as_object().unwrap());
    let mut problems = Vec::new();
    let mut reader = reader::Reader::new("x".into(), fields, &mut problems);
    let reader = &mut reader.with_defaults(defaults);
    assert_eq!(provider_address::read_own_parts(reader), []);
    let defaults = json!({"grant": "authorization_code", "issuer": "https://{account}.example.com/"});
    let defaults = defaults.as_object().unwrap();
    let reader = &mut reader.with_defaults(defaults);
    let parts = provider_address::read_own_parts(reader);
    assert_eq!(parts, [("account", "acme".to_owned())]);
    let issuer = provider_address::filled_address(reader, "issuer", &parts);
    assert_eq!(issuer.as_deref(), Some("https://acme.example.com/"));
    assert_eq!(problems, []);
}

#[test]
fn survives_any_value_in_any_field() {
    const CANARY: &str = "c4n4ry";
    let values = [
        json!(null),
        json!(true),
        json!(-1),
        json!(1e300),
        json!(""),
        json!("\u{0}"),
        json!(CANARY),
        json!(format!("https://{CANARY}@a.example")),
        json!(format!("https://a.example/{{{CANARY}}}")),
        json!(CANARY.repeat(1000)),
        json!([]),
        json!([null, [], {}, CANARY]),
        json!({}),
        json!({CANARY: null, "": [], "state": {}, "b": CANARY}),
    ];
    let fields = [
        "issuer",
        "authorize_url",
        "token_url",
        "authorize_params",
        "revocation_url",
        "callback",
        "person_claims",
        "subject",
        "scope",
        "rules",
        "base_url",
        "client_auth",
        "params",
    ];
    for id in ["crm", "mail", "login"] {
        for field in fields {
            for value in &values {
                let all = consenting(&[(&format!("CONNECTIONS/{id}/{field}"), value.clone())]);
                let (config, problems) = read(&all);
                for problem in &problems {
                    let named_by_operator = ["authorize_params", "params"].contains(&field);
                    assert!(named_by_operator || !problem.to_string().contains(CANARY), "{problem}");
                }
                assert!(usable(&config, "guru").grant.endpoint().is_none(), "others go on working");
            }
        }
    }
    for field in ["connection", "claims", "kind"] {
        for value in &values {
            let (_, problems) = read(&consenting(&[(&format!("CALLERS/member/{field}"), value.clone())]));
            let tells = |problem: &Problem| field != "claims" && problem.to_string().contains(CANARY);
            assert!(!problems.iter().any(tells), "{problems:?}");
        }
    }
}
