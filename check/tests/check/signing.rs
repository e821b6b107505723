use super::*;

/// A file with the connection `bank`, which has these `fields` besides.
fn bank(fields: &str) -> String {
    sound(&format!(
        "[vars.CALLERS.backend]\nkind = 'key'\n[vars.CONNECTIONS.bank]\nprovider = 'custom'\n\
         base_url = 'https://api.bank.example'\ntoken_url = 'https://as.bank.example/token'\n\
         rules = [{{ callers = ['backend'], methods = ['GET'], paths = ['/a'] }}]\n{fields}\n"
    ))
}

/// The secrets of the connection that `text` still needs, without any problem.
fn wanted(text: &str) -> Vec<String> {
    let report = report(text);
    expect(&report.problems, &[]);
    report.secrets.into_iter().map(|it| it.name).filter(|name| name.starts_with("BANK_")).collect()
}

#[test]
fn asks_for_the_key_that_signs_whatever_its_algorithm() {
    let proving = "grant = 'client_credentials'\nclient_auth = 'private_key_jwt'\nclient_id = 'c'";
    assert_eq!(wanted(&bank(proving)), ["BANK_PRIVATE_KEY"]);
    for algorithm in ["RS256", "PS384", "ES256", "ES384", "ES512", "EdDSA"] {
        let text = bank(&format!("{proving}\nalgorithm = '{algorithm}'"));
        assert_eq!(wanted(&text), ["BANK_PRIVATE_KEY"], "{algorithm}");
    }
    let told = report(&bank(proving)).secrets.into_iter().map(|it| it.command);
    assert!(told.into_iter().any(|it| it == "npx wrangler secret put BANK_PRIVATE_KEY < key.pem"));
    let signing = "grant = 'jwt_bearer'\nassertion = { issuer = 'a', subject = 'b' }";
    assert_eq!(wanted(&bank(signing)), ["BANK_PRIVATE_KEY"]);
}

#[test]
fn asks_for_the_file_of_a_service_account_where_nobody_is_named() {
    let text = bank("grant = 'jwt_bearer'\nassertion.claims.scope = 's'");
    assert_eq!(wanted(&text), ["BANK_SERVICE_ACCOUNT"]);
    let without_address = text.replace("token_url = 'https://as.bank.example/token'\n", "");
    assert_eq!(wanted(&without_address), ["BANK_SERVICE_ACCOUNT"]);
}

#[test]
fn reads_keys_that_stand_in_dev_vars() {
    use porteiro_check::development::DevVars;
    let text = bank("grant = 'client_credentials'\nclient_auth = 'private_key_jwt'\nclient_id = 'c'");
    let told = |key: &str| {
        let variables = serde_json::json!({
            "SEALING_KEYS": "k1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
            "ADMIN_KEY": "0123456789abcdef",
            "BACKEND_KEY": "0123456789abcdef0123456789abcdef",
            "BANK_PRIVATE_KEY": key,
        });
        let variables = variables.as_object().unwrap().clone();
        let dev_vars = vec![DevVars { environment: String::new(), file: ".dev.vars".to_owned(), variables }];
        let report = check(&text, &Options { dev_vars, ..Options::default() }).unwrap();
        report.development.into_iter().map(|it| format!("{} {}", it.field, it.message)).collect::<Vec<_>>()
    };
    let key = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
        -----END PRIVATE KEY-----\n";
    assert!(told(key).is_empty(), "{:?}", told(key));
    let [wrong] = &*told(&key.replace("PRIVATE KEY", "RSA PRIVATE KEY")) else { panic!("one finding") };
    assert!(wrong.starts_with("BANK_PRIVATE_KEY must be a private key in PKCS#8"), "{wrong}");
}

#[test]
fn knows_certificates_by_their_bindings() {
    let fields = "grant = 'client_credentials'\nclient_auth = 'tls'\nclient_id = 'c'\ncertificate = 'CERT'";
    let binding = "[[mtls_certificates]]\nbinding = 'CERT'\ncertificate_id = 'x'";
    assert!(wanted(&bank(&format!("{fields}\n{binding}"))).is_empty());
    assert!(wanted(&bank(&format!("{fields}\n[[services]]\nbinding = 'CERT'\nservice = 'x'"))).is_empty());
    let missing = "CONNECTIONS.bank.certificate: must be the name of an mtls_certificates binding";
    expect(&report(&bank(fields)).problems, &[(11, missing)]);
    // Environments do not inherit bindings.
    let staged = bank(&format!("{fields}\n{binding}")).replace("[vars.", "[env.staging.vars.");
    let staged = format!(
        "{staged}\n[[env.staging.kv_namespaces]]\nbinding = 'TOKENS'\n[env.staging.durable_objects]\n\
         bindings = [{{ name = 'KEEPER', class_name = 'Keeper' }}]\n"
    );
    expect(&report(&staged).problems, &[(11, &format!("staging {missing}"))]);
}
