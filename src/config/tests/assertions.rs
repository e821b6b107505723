//! What is signed at the token endpoint, and client certificates.

use super::*;
use crate::jose::Algorithm;

/// RFC 8410 §10.3.
const PEM: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n";

fn account() -> String {
    json!({
        "type": "service_account",
        "client_email": "robot@project.example",
        "private_key_id": "from the file",
        "private_key": PEM,
        "token_uri": "https://oauth2.example/token"
    })
    .to_string()
}

/// The connection `fixed` with these fields, whose token endpoint is `login.example`.
fn signing(fields: &Value) -> Value {
    let mut connection = json!({
        "provider": "custom",
        "base_url": "https://b.example",
        "token_url": "https://login.example/token",
        "rules": [{"callers": ["backend"], "methods": ["GET"], "paths": ["/a"]}]
    });
    for (name, value) in fields.as_object().unwrap() {
        connection[name] = value.clone();
    }
    connection
}

fn bearer(assertion: &Value) -> Value {
    signing(&json!({"grant": "jwt_bearer", "assertion": assertion}))
}

fn proving(fields: &Value) -> Value {
    let mut all = json!({"grant": "client_credentials", "client_auth": "private_key_jwt", "client_id": "c"});
    all.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    signing(&all)
}

fn whole() -> Value {
    json!({"issuer": "i", "subject": "s"})
}

/// Checks the problems of `connection` with these secrets.
#[track_caller]
fn check_signing(connection: Value, secrets: &[(&str, &str)], expected: &[&str]) {
    let mut changes = vec![("CONNECTIONS/fixed", connection)];
    changes.extend(secrets.iter().map(|(name, value)| (*name, Value::from(*value))));
    check(&changes, expected, if expected.is_empty() { &[] } else { &["fixed"] });
}

fn read_signing(connection: Value, secrets: &[(&str, &str)]) -> Rc<Connection> {
    let mut changes = vec![("CONNECTIONS/fixed", connection)];
    changes.extend(secrets.iter().map(|(name, value)| (*name, Value::from(*value))));
    let (config, problems) = read(&changed(&changes));
    assert_eq!(problems, []);
    Rc::clone(config.connection("fixed").unwrap().usable().unwrap())
}

fn assertion_of(connection: &Connection) -> (&TokenEndpoint, &Assertion) {
    let Grant::JwtBearer { endpoint, assertion } = &connection.grant else { panic!("another grant") };
    (endpoint, assertion)
}

#[test]
fn signs_with_a_key_what_the_table_says() {
    let mut table = whole();
    table["claims"] = json!({"scope": "a b", "level": 2});
    let connection = read_signing(bearer(&table), &[("FIXED_PRIVATE_KEY", PEM)]);
    let (endpoint, assertion) = assertion_of(&connection);
    let expected = json!({
        "iss": "i", "sub": "s", "aud": "https://login.example/token", "scope": "a b", "level": 2
    });
    assert_eq!(Value::from(assertion.claims.clone()), expected);
    assert_eq!((assertion.lifetime, assertion.has_id), (Duration::from_mins(5), false));
    assert_eq!((assertion.key.algorithm, assertion.key.id.as_deref()), (Algorithm::EdDSA, None));
    assert!(matches!(endpoint.client, ClientAuthentication::None { client_id: None }));

    let all = json!({"issuer": "i", "subject": "", "audience": "https://as.example", "lifetime": 3600, "jti": true});
    let mut fields = bearer(&all);
    fields["key_id"] = "k1".into();
    let connection = read_signing(fields, &[("FIXED_PRIVATE_KEY", PEM)]);
    let (_, assertion) = assertion_of(&connection);
    assert_eq!(Value::from(assertion.claims.clone()), json!({"iss": "i", "aud": "https://as.example"}));
    assert_eq!((assertion.lifetime, assertion.has_id), (Duration::from_hours(1), true));
    assert_eq!(assertion.key.id.as_deref(), Some("k1"));
}

#[test]
fn takes_all_of_it_from_a_service_account() {
    let secrets = [("FIXED_SERVICE_ACCOUNT", &*account())];
    let mut fields = bearer(&json!({"claims": {"scope": "s"}}));
    fields.as_object_mut().unwrap().remove("token_url");
    let connection = read_signing(fields.clone(), &secrets);
    let (endpoint, assertion) = assertion_of(&connection);
    assert_eq!(endpoint.url.as_str(), "https://oauth2.example/token");
    let expected =
        json!({"iss": "robot@project.example", "aud": "https://oauth2.example/token", "scope": "s"});
    assert_eq!(Value::from(assertion.claims.clone()), expected);
    assert_eq!(assertion.key.id.as_deref(), Some("from the file"));
    // Fields stand before what the file has.
    let mut other = bearer(&json!({"issuer": "i", "subject": "ann@project.example"}));
    other["key_id"] = "k".into();
    let connection = read_signing(other, &secrets);
    let (endpoint, assertion) = assertion_of(&connection);
    let expected = json!({"iss": "i", "sub": "ann@project.example", "aud": "https://login.example/token"});
    assert_eq!(Value::from(assertion.claims.clone()), expected);
    assert_eq!(
        (endpoint.url.as_str(), assertion.key.id.as_deref()),
        ("https://login.example/token", Some("k"))
    );
    // Without the table it is as good.
    fields.as_object_mut().unwrap().remove("assertion");
    read_signing(fields, &secrets);
}

#[test]
fn tells_what_a_signed_grant_lacks() {
    check_signing(
        bearer(&whole()),
        &[],
        &["FIXED_PRIVATE_KEY: is missing: set this secret to a private key, a PEM of PKCS#8 or a JWK"],
    );
    let lost = "FIXED_SERVICE_ACCOUNT: is missing: set this secret to the JSON file of the service account; \
        or write assertion.issuer, and set the secret that ends in _PRIVATE_KEY";
    let mut without_address = bearer(&json!({}));
    without_address.as_object_mut().unwrap().remove("token_url");
    check_signing(without_address, &[], &[lost]);
    check_signing(
        bearer(&json!({})),
        &[("FIXED_PRIVATE_KEY", PEM)],
        &[
            "CONNECTIONS.fixed.assertion.issuer: is missing: write who signs the assertion, or set the secret that ends in _SERVICE_ACCOUNT",
            "CONNECTIONS.fixed.assertion.subject: is missing: write whose token it is, or an empty text for no such claim",
        ],
    );
    check_signing(
        bearer(&whole()),
        &[("FIXED_PRIVATE_KEY", PEM), ("FIXED_SERVICE_ACCOUNT", &account())],
        &[
            "FIXED_SERVICE_ACCOUNT: must not be set beside the secret that ends in _PRIVATE_KEY: remove one of them",
        ],
    );
    let mut broken = bearer(&json!({"lifetime": 1}));
    broken.as_object_mut().unwrap().remove("token_url");
    check_signing(
        broken,
        &[("FIXED_SERVICE_ACCOUNT", "account.json")],
        &[
            "FIXED_SERVICE_ACCOUNT: must be the JSON file of a service account, as it was handed out",
            "CONNECTIONS.fixed.assertion.lifetime: must be a whole number from 30 to 3600 (seconds)",
        ],
    );
}

#[test]
fn tells_all_that_is_wrong_with_an_assertion() {
    let table = json!({
        "issuer": "",
        "subject": 7,
        "audience": " a",
        "lifetime": 3601,
        "jti": "yes",
        "claims": {"exp": 1, "nonce": "n", "jti": "x"},
        "scope": "a"
    });
    check_signing(
        bearer(&table),
        &[("FIXED_PRIVATE_KEY", PEM)],
        &[
            "CONNECTIONS.fixed.assertion.scope: is not a known field",
            "CONNECTIONS.fixed.assertion.claims.exp: is a claim that the broker sets itself",
            "CONNECTIONS.fixed.assertion.claims.jti: is a claim that the broker sets itself",
            "CONNECTIONS.fixed.assertion.issuer: must not be empty",
            "CONNECTIONS.fixed.assertion.subject: must be a text",
            "CONNECTIONS.fixed.assertion.audience: looks pasted wrong: it begins or ends with a blank; set it again without",
            "CONNECTIONS.fixed.assertion.lifetime: must be a whole number from 30 to 3600 (seconds)",
            "CONNECTIONS.fixed.assertion.jti: must be true or false",
        ],
    );
    check_signing(
        bearer(&"table".into()),
        &[("FIXED_PRIVATE_KEY", PEM)],
        &["CONNECTIONS.fixed.assertion: must be a table"],
    );
}

#[test]
fn proves_a_client_by_its_key_or_its_secret() {
    let connection = read_signing(
        proving(&json!({"assertion_audience": "https://login.example", "algorithm": "Ed25519"})),
        &[("FIXED_PRIVATE_KEY", PEM)],
    );
    let ClientAuthentication::PrivateKeyJwt { client_id, key, audience } =
        &connection.grant.endpoint().unwrap().client
    else {
        panic!("another proof")
    };
    assert_eq!((&**client_id, &**audience), ("c", "https://login.example"));
    assert_eq!(key.algorithm, Algorithm::EdDSA);
    let connection =
        read_signing(proving(&json!({"client_auth": "client_secret_jwt"})), &[("FIXED_CLIENT_SECRET", "s")]);
    let client = &connection.grant.endpoint().unwrap().client;
    let ClientAuthentication::ClientSecretJwt { audience, .. } = client else { panic!("another proof") };
    assert_eq!(audience, "https://login.example/token");
    // One key proves the client and signs the grant.
    let mut both = bearer(&whole());
    both["client_auth"] = "private_key_jwt".into();
    both["client_id"] = "c".into();
    read_signing(both.clone(), &[("FIXED_PRIVATE_KEY", PEM)]);
    read_signing(both.clone(), &[("FIXED_SERVICE_ACCOUNT", &account())]);
    check_signing(
        both,
        &[("FIXED_PRIVATE_KEY", "x")],
        &[
            "FIXED_PRIVATE_KEY: must be a private key: a PEM that begins with -----BEGIN PRIVATE KEY-----, or a JWK",
        ],
    );
}

#[test]
fn wants_a_key_that_fits_the_algorithm() {
    const OTHER: &str = "FIXED_PRIVATE_KEY: is a key of another kind than algorithm: RS and PS want RSA, \
        ES256 P-256, ES384 P-384, ES512 P-521, EdDSA Ed25519";
    for algorithm in ["RS256", "PS512", "ES256", "ES384", "ES512"] {
        check_signing(proving(&json!({"algorithm": algorithm})), &[("FIXED_PRIVATE_KEY", PEM)], &[OTHER]);
    }
    check_signing(
        proving(&json!({"algorithm": "HS256", "key_id": ""})),
        &[("FIXED_PRIVATE_KEY", PEM)],
        &[
            "CONNECTIONS.fixed.algorithm: must be RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512 or EdDSA",
            "CONNECTIONS.fixed.key_id: must not be empty",
        ],
    );
    check_signing(
        proving(&json!({"client_auth": "client_secret_jwt"})),
        &[],
        &["FIXED_CLIENT_SECRET: is missing: set this secret"],
    );
}

#[test]
fn refuses_fields_of_signatures_that_nobody_makes() {
    let fields = json!({
        "grant": "client_credentials",
        "client_id": "c",
        "assertion": {},
        "algorithm": "RS256",
        "key_id": "k",
        "assertion_audience": "a"
    });
    check_signing(
        signing(&fields),
        &[("FIXED_CLIENT_SECRET", "s")],
        &[
            "CONNECTIONS.fixed.assertion: has no meaning unless grant is jwt_bearer",
            "CONNECTIONS.fixed.algorithm: has no meaning unless grant is jwt_bearer or client_auth is private_key_jwt",
            "CONNECTIONS.fixed.key_id: has no meaning unless grant is jwt_bearer or client_auth is private_key_jwt",
            "CONNECTIONS.fixed.assertion_audience: has no meaning unless client_auth is private_key_jwt or client_secret_jwt",
        ],
    );
    check(
        &[("CONNECTIONS/fixed/key_id", json!("k"))],
        &["CONNECTIONS.fixed.key_id: has no meaning with a grant that makes no token request"],
        &["fixed"],
    );
    let params = json!({"assertion": "a", "client_assertion": "b", "client_assertion_type": "c"});
    let own = ["assertion", "client_assertion", "client_assertion_type"]
        .map(|name| format!("CONNECTIONS.api.params.{name}: is a parameter that the broker sets itself"));
    check(&[("CONNECTIONS/api/params", params)], &own.each_ref().map(String::as_str), &["api"]);
}

#[test]
fn names_a_certificate_by_a_binding_that_fetches() {
    const UNBOUND: &str =
        "CONNECTIONS.fixed.certificate: must be the name of an mtls_certificates binding of the Worker";
    let named = ("CONNECTIONS/fixed/certificate", json!("BANK_CERT"));
    let bound = |names: Value| (FETCHERS, names);
    let (config, problems) = read(&changed(&[named.clone(), bound(json!(["OTHER", "BANK_CERT"]))]));
    assert_eq!(problems, []);
    let connection = config.connection("fixed").unwrap().usable().unwrap();
    assert_eq!(connection.certificate.as_deref(), Some("BANK_CERT"));
    // What is bound is not always known.
    check(std::slice::from_ref(&named), &[], &[]);
    check(&[named.clone(), bound(json!(["OTHER"]))], &[UNBOUND], &["fixed"]);
    check(&[named, bound(json!([]))], &[UNBOUND], &["fixed"]);
    check(&[("CONNECTIONS/fixed/certificate", json!("BANK CERT"))], &[UNBOUND], &["fixed"]);
    check(&[("CONNECTIONS/fixed/certificate", json!(""))], &[UNBOUND], &["fixed"]);
    let tls = json!({"grant": "client_credentials", "client_auth": "tls", "client_id": "c"});
    check_signing(
        signing(&tls),
        &[],
        &["CONNECTIONS.fixed.certificate: is missing: client_auth tls proves the client by it"],
    );
    let mut whole = tls;
    whole["certificate"] = "BANK_CERT".into();
    let connection = read_signing(signing(&whole), &[]);
    let endpoint = connection.grant.endpoint().unwrap();
    assert!(matches!(&endpoint.client, ClientAuthentication::Tls { client_id } if client_id == "c"));
    assert_eq!(endpoint.certificate, connection.certificate);
}

#[test]
fn registers_connections_that_sign_and_that_name_certificates() {
    let (config, problems) = read(&changed(&[(FETCHERS, json!(["BANK_CERT"])), ("ADMIN_KEY", json!(KEY))]));
    assert_eq!(problems, []);
    let mut fields = bearer(&whole());
    fields["certificate"] = "BANK_CERT".into();
    let register = |fields: &Value, secrets: Value| {
        let read = config.read_registered("n", fields.as_object().unwrap(), secrets.as_object().unwrap());
        read.map(drop).map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>())
    };
    assert_eq!(register(&fields, json!({"private_key": PEM})), Ok(()));
    assert_eq!(register(&bearer(&json!({})), json!({"service_account": account()})), Ok(()));
    fields["certificate"] = "OTHER".into();
    let expected = [
        "secrets.private_key: is missing: set this secret to a private key, a PEM of PKCS#8 or a JWK",
        "certificate: must be the name of an mtls_certificates binding of the Worker",
    ];
    assert_eq!(register(&fields, json!({})), Err(expected.map(str::to_owned).to_vec()));
}

#[test]
fn keeps_token_sets_when_only_the_key_changes() {
    let with = |table: Value, change: &dyn Fn(&mut Value), key: &str| {
        let mut fields = bearer(&table);
        change(&mut fields);
        read_signing(fields, &[("FIXED_PRIVATE_KEY", key)])
    };
    let first = with(whole(), &|_| {}, PEM);
    let check = |other: &Connection, same_identity: bool| {
        assert_eq!(first.grant.identity() == other.grant.identity(), same_identity);
        assert_ne!(first.grant.credentials(), other.grant.credentials());
    };
    let other_key = PEM.replace("NTuctv", "NTuctw");
    check(&with(whole(), &|_| {}, &other_key), true);
    check(&with(whole(), &|fields| fields["key_id"] = "k".into(), PEM), true);
    check(&with(json!({"issuer": "i", "subject": "s", "lifetime": 60}), &|_| {}, PEM), true);
    check(&with(json!({"issuer": "i", "subject": "s", "jti": true}), &|_| {}, PEM), true);
    check(&with(json!({"issuer": "j", "subject": "s"}), &|_| {}, PEM), false);
    check(&with(json!({"issuer": "i", "subject": "t"}), &|_| {}, PEM), false);
    check(&with(json!({"issuer": "i", "subject": "s", "audience": "a"}), &|_| {}, PEM), false);
    check(&with(json!({"issuer": "i", "subject": "s", "claims": {"scope": "a"}}), &|_| {}, PEM), false);
    check(&with(whole(), &|fields| fields["token_url"] = "https://other.example/".into(), PEM), false);
    check(&with(whole(), &|fields| fields["certificate"] = "C".into(), PEM), true);
    let proof = |fields: Value, key: &str| read_signing(proving(&fields), &[("FIXED_PRIVATE_KEY", key)]);
    let one = proof(json!({}), PEM);
    for other in [
        proof(json!({}), &other_key),
        proof(json!({"key_id": "k"}), PEM),
        proof(json!({"assertion_audience": "a"}), PEM),
    ] {
        assert_eq!(one.grant.identity(), other.grant.identity());
        assert_ne!(one.grant.credentials(), other.grant.credentials());
    }
    let shown = format!("{first:?} {one:?}");
    assert!(!shown.contains("NTuctv"), "{shown}");
}
