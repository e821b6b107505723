use super::*;

/// Checks the warnings about a file that has no problem.
fn check_warnings(text: &str, expected: &[(usize, &str)]) {
    let report = report(&sound(text));
    expect(&report.problems, &[]);
    expect(&report.warnings, expected);
}

fn rules(rule: &str) -> String {
    format!(
        "[vars]\nALLOWED_ORIGINS = ['https://app.example.com']\nCALLERS.backend.kind = 'key'\nCALLERS.visitor.kind = 'anyone'\n\
         CONNECTIONS.guru.provider = 'guru'\nCONNECTIONS.guru.rules = [\n{rule}\n]\n"
    )
}

/// Told of each rule that lets people or anyone in here: sharing.rs has the cases.
const SHARED: &str = "CONNECTIONS.guru.rules[0]: binds nothing to who calls";
const LIMIT: &str = "rate_limit = { requests = 30, seconds = 60 }";

#[test]
fn warns_of_nothing_in_a_careful_configuration() {
    check_warnings(
        &rules(
            "{ callers = ['backend'], methods = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'], paths = ['/a/**', '/b'] }",
        ),
        &[],
    );
    check_warnings(
        &rules("{ callers = ['backend'], methods = ['GET', 'HEAD', 'OPTIONS'], paths = ['/**'] }"),
        &[],
    );
}

#[test]
fn warns_of_anyone_under_any_name_and_of_a_missing_rate_limit() {
    for name in ["anyone", "visitor"] {
        let rule = |more: &str| {
            rules(&format!("{{ callers = ['backend', '{name}'], methods = ['GET'], paths = ['/a'] {more} }}"))
        };
        check_warnings(
            &rule(&format!(", {LIMIT}")),
            &[(7, SHARED), (7, "CONNECTIONS.guru.rules[0].callers[1]: is whoever calls")],
        );
        check_warnings(
            &rule(""),
            &[
                (7, "CONNECTIONS.guru.rules[0]: has no rate_limit"),
                (7, SHARED),
                (7, "CONNECTIONS.guru.rules[0].callers[1]: is whoever calls"),
            ],
        );
    }
}

#[test]
fn warns_of_every_path_by_methods_that_write() {
    for method in ["PUT", "PATCH", "DELETE", "PROPFIND"] {
        check_warnings(
            &rules(&format!(
                "{{ callers = ['backend'], methods = ['GET', '{method}'], paths = ['/a', '/**'] }}"
            )),
            &[(7, "CONNECTIONS.guru.rules[0].paths[1]: is every path, by methods that write")],
        );
    }
}

#[test]
fn warns_once_of_a_post_whose_body_may_name_another_method() {
    let rule = |methods: &str| format!("{{ callers = ['backend'], methods = [{methods}], paths = ['/a'] }}");
    let warning =
        |line, at: u8| (line, format!("CONNECTIONS.guru.rules[{at}].methods: allow POST without PUT"));
    for (methods, warned) in [
        (&["'GET', 'POST'"][..], Some(warning(7, 0))),
        (&["'GET', 'PUT'", "'POST', 'DELETE'", "'POST'"], Some(warning(8, 1))),
        (&["'POST', 'PUT', 'PATCH', 'DELETE'"], None),
        (&["'GET', 'PUT', 'DELETE'"], None),
    ] {
        let all: Vec<String> = methods.iter().map(|methods| rule(methods)).collect();
        let expected: Vec<(usize, &str)> = warned.iter().map(|(line, text)| (*line, text.as_str())).collect();
        check_warnings(&rules(&all.join(",\n")), &expected);
    }
}

#[test]
fn warns_of_the_address_that_a_new_connection_has() {
    let text = |address: &str| {
        format!(
            "[vars.CONNECTIONS.a]\nprovider = 'hubsoft'\nbase_url = '{address}'\n\
             rules = [{{ callers = ['staff'], methods = ['GET'], paths = ['/a'] }}]\n[vars.CALLERS.staff]\nkind = 'key'\n"
        )
    };
    check_warnings(&text("https://your-server.example"), &[(3, "CONNECTIONS.a.base_url: is no address yet")]);
    check_warnings(&text("https://server.example"), &[]);
}

#[test]
fn warns_of_loopback_addresses_that_are_deployed() {
    let text = "[vars.CALLERS.staff]\nkind = 'jwt'\nissuer = 'http://127.0.0.1:1'\naudience = 'a'\njwks_url = 'http://127.0.0.1:1/k'\n\
         [vars.CALLERS.office]\nkind = 'cloudflare-access'\naudience = 'a'\nteam_domain = 'http://127.0.0.1:1'\n\
         [vars.CONNECTIONS.a]\nprovider = 'custom'\ngrant = 'client_credentials'\nbase_url = 'http://localhost:1'\n\
         token_url = 'http://[::1]:1/t'\nwebhook = { token_field = 'a', forward_to = 'http://localhost:1/' }\n\
         rules = [{ callers = ['staff'], methods = ['GET'], paths = ['/a'], claims = { tenant = '{connection}' } }]\n\
         [vars.CONNECTIONS.b]\nprovider = 'hubsoft'\nbase_url = 'http://localhost:1'\n\
         rules = [{ callers = ['staff'], methods = ['GET'], paths = ['/a'], claims = { tenant = '{connection}' } }]\n\
         [vars]\nALLOWED_ORIGINS = ['https://a.example', 'http://localhost:5173', 'https://localhost:5173', 'https://localhost.example']\n";
    let loopback = |field: &str| format!("{field}: is a loopback address");
    let expected = [
        (3, loopback("CALLERS.staff.issuer")),
        (5, loopback("CALLERS.staff.jwks_url")),
        (9, loopback("CALLERS.office.team_domain")),
        (13, loopback("CONNECTIONS.a.base_url")),
        (14, loopback("CONNECTIONS.a.token_url")),
        (15, loopback("CONNECTIONS.a.webhook.forward_to")),
        // Its token endpoint is a preset below it, and told of once.
        (19, loopback("CONNECTIONS.b.base_url")),
        (22, "ALLOWED_ORIGINS[1]: is a loopback origin, and any program".to_owned()),
        (22, "ALLOWED_ORIGINS[2]: is a loopback origin, and any program".to_owned()),
    ];
    let expected: Vec<(usize, &str)> = expected.iter().map(|(line, text)| (*line, text.as_str())).collect();
    check_warnings(text, &expected);
    // A variable that is a JSON text is looked into, too.
    let json = "[vars]\nCONNECTIONS = '{\"b\": {\"provider\": \"hubsoft\", \"base_url\": \"http://localhost:1\", \
         \"rules\": [{\"callers\": [\"a\"], \"methods\": [\"GET\"], \"paths\": [\"/a\"]}]}}'\nCALLERS.a.kind = 'key'\n";
    check_warnings(json, &[(2, &loopback("CONNECTIONS.b.base_url"))]);
    let local = check(&sound(text), &Options { local: true, ..Options::default() }).unwrap();
    expect(&local.warnings, &[]);
}

#[test]
fn warns_of_a_rate_limit_that_counts_otherwise_than_its_name_says() {
    let text = "[[ratelimits]]\nname = 'RATE_30_60'\nsimple = { limit = 30, period = 60 }\n\
         [[ratelimits]]\nname = 'RATE_30_10'\nsimple = { limit = 30, period = 60 }\n\
         [[ratelimits]]\nname = 'ELSE'\nsimple = { limit = 1, period = 60 }\n[[ratelimits]]\nname = 'RATE_1_60'\n";
    let message = "must count what the binding's name says";
    check_warnings(
        text,
        &[
            (6, &format!("ratelimits[1].simple: {message}")),
            (10, &format!("ratelimits[3].simple: {message}")),
        ],
    );
}

#[test]
fn tells_of_the_other_token_endpoint_of_v8() {
    let text = |more: &str| {
        rules("{ callers = ['backend'], methods = ['GET'], paths = ['/a'] }")
            .replace("provider = 'guru'", &format!("provider = 'v8'\n{more}"))
    };
    let hint =
        "CONNECTIONS.guru.token_url: is the address that V8 documents, https://api.v8digital.com/oauth/token";
    check_warnings(&text(""), &[(5, hint)]);
    for address in ["https://auth.v8sistema.com/oauth/token", "https://api.v8digital.com/oauth/token"] {
        check_warnings(&text(&format!("CONNECTIONS.guru.token_url = '{address}'")), &[]);
    }
    check_warnings(&text("CONNECTIONS.guru.grant = 'static'"), &[]);
}

#[test]
fn warns_of_gets_that_act_where_browsers_call() {
    let text = |callers: &str, methods: &str, paths: &str| {
        let rule = format!("{{ callers = [{callers}], methods = [{methods}], paths = [{paths}], {LIMIT} }}");
        rules(&rule).replace(
            "provider = 'guru'",
            "provider = 'hubsoft'\nCONNECTIONS.guru.base_url = 'https://a.example'",
        )
    };
    let acts = "CONNECTIONS.guru.rules[0].paths[1]: has a GET that changes something";
    for path in ["'/api/v1/**'", "'/api/v1/integracao/cliente/solicitar_desconexao/*'", "'/**'"] {
        check_warnings(
            &text("'session', 'backend'", "'GET'", &format!("'/a', {path}")),
            &[(8, SHARED), (8, acts)],
        );
        check_warnings(&text("'backend'", "'GET'", &format!("'/a', {path}")), &[]);
    }
    let anyone = "CONNECTIONS.guru.rules[0].callers[0]: is whoever calls";
    check_warnings(&text("'visitor'", "'GET'", "'/a', '/api/v1/**'"), &[(8, SHARED), (8, anyone), (8, acts)]);
    check_warnings(&text("'session'", "'PUT'", "'/a', '/api/v1/**'"), &[(8, SHARED)]);
    check_warnings(&text("'session'", "'GET'", "'/api/v1/integracao/cliente', '/api/v1/*'"), &[(8, SHARED)]);
}

#[test]
fn warns_of_many_origins() {
    let origins = |count: usize| {
        let origins: Vec<String> = (0..count).map(|at| format!("'https://a{at}.example'")).collect();
        format!("[vars]\nALLOWED_ORIGINS = [{}]\n", origins.join(", "))
    };
    check_warnings(&origins(10), &[]);
    check_warnings(&origins(11), &[(2, "ALLOWED_ORIGINS: are more than 10")]);
    check_warnings(
        &format!("[vars]\nALLOWED_ORIGINS = '{}'", "[\"http://localhost\"]"),
        &[(2, "ALLOWED_ORIGINS[0]: is a loopback origin")],
    );
}

#[test]
fn warns_where_pages_call_and_no_origin_is_allowed() {
    let text = |caller: &str, more: &str| {
        let rule = format!("{{ callers = ['{caller}'], methods = ['GET'], paths = ['/a'], {LIMIT} }}");
        rules(&rule).replace("ALLOWED_ORIGINS = ['https://app.example.com']", more)
    };
    let empty = "ALLOWED_ORIGINS: is empty: name the origins";
    let anyone = (7, "CONNECTIONS.guru.rules[0].callers[0]: is whoever calls");
    check_warnings(&text("anyone", "ALLOWED_ORIGINS = []"), &[(2, empty), (7, SHARED), anyone]);
    check_warnings(&text("session", ""), &[(1, empty), (7, SHARED)]);
    // On the application's own host no origin is needed, and servers have none.
    check_warnings(&text("session", "BASE_PATH = '/broker'"), &[(7, SHARED)]);
    check_warnings(&text("backend", ""), &[]);
}

#[test]
fn warns_of_sessions_across_sites_and_of_peoples_passwords() {
    for value in ["true", "'true'"] {
        check_warnings(
            &format!("vars.SESSION_CROSS_SITE = {value}\n"),
            &[(1, "SESSION_CROSS_SITE: lets pages of other sites")],
        );
    }
    check_warnings("vars.SESSION_CROSS_SITE = false\n", &[]);
    let text = rules("{ callers = ['session'], methods = ['GET'], paths = ['/a'] }")
        .replace("provider = 'guru'", "provider = 'hubsoft'\nCONNECTIONS.guru.base_url = 'https://a.example'\nCONNECTIONS.guru.subject = 'user'");
    check_warnings(&text, &[(7, "CONNECTIONS.guru.subject: sends people's own passwords")]);
}

/// Connections that people consent to, whose fields begin in line 2.
fn consents(fields: &str) -> String {
    format!(
        "[vars.CONNECTIONS.a]\nprovider = 'custom'\ngrant = 'authorization_code'\n{fields}\n\
         [vars.CONNECTIONS.b]\nprovider = 'custom'\ngrant = 'authorization_code'\ncallback = 'a'\n{fields}\n\
         [vars.CALLERS.backend]\nkind = 'key'\n"
    )
}

const SERVICE: &str = "issuer = 'https://a.example'\nbase_url = 'https://a.example'\n\
                       rules = [{ callers = ['backend'], methods = ['GET'], paths = ['/a'] }]";

#[test]
fn guesses_nothing_of_clients_whose_ids_are_secret() {
    check_warnings(&consents(SERVICE), &[]);
    // One of the ids stands in the file: whether the other is the same is not known here.
    let half = consents(SERVICE).replacen("callback", "client_id = 'x'\ncallback", 1);
    assert_eq!(told(&report(&sound(&half)).problems), Vec::<String>::new());
    let other = consents(SERVICE).replacen("https://a.example", "https://b.example", 1);
    let problems = report(&sound(&other)).problems;
    assert_eq!(
        problems.iter().map(|it| it.field.as_str()).collect::<Vec<_>>(),
        ["CONNECTIONS.a.callback", "CONNECTIONS.b.callback"]
    );
}

#[test]
fn warns_of_loopback_addresses_of_a_provider_and_of_no_password() {
    let text = "[vars]\nALLOWED_ORIGINS = ['https://app.example.com']\n[vars.CONNECTIONS.a]\nprovider = 'custom'\n\
                grant = 'authorization_code'\nsubject = 'user'\nscope = 'openid'\nissuer = 'http://localhost:1'\n\
                authorize_url = 'http://localhost:1/a'\nrevocation_url = 'http://localhost:1/r'\n";
    check_warnings(
        text,
        &[
            (8, "CONNECTIONS.a.issuer: is a loopback address"),
            (9, "CONNECTIONS.a.authorize_url: is a loopback address"),
            (10, "CONNECTIONS.a.revocation_url: is a loopback address"),
        ],
    );
    check_warnings(
        &text.replace("http://localhost:1", "https://a.example").replace("['https://app.example.com']", "[]"),
        &[(2, "ALLOWED_ORIGINS: is empty")],
    );
}
