use super::*;

const HUBSOFT: &str = "[vars.CALLERS.backend]\nkind = 'key'\n[vars.CONNECTIONS.hubsoft]\nprovider = 'hubsoft'\n\
     base_url = 'https://api.acme.hubsoft.com.br'\nrules = [{ callers = ['backend'], methods = ['GET'], paths = ['/a'] }]\n";

/// The names of the secrets that are still to be given; `?` stands behind those
/// that can be done without.
fn names(report: &Report) -> Vec<String> {
    report.secrets.iter().map(|it| format!("{}{}", it.name, if it.needed { "" } else { "?" })).collect()
}

#[test]
fn asks_for_the_secrets_that_the_configuration_needs() {
    let report = report(&sound(HUBSOFT));
    expect(&report.problems, &[]);
    let hubsoft =
        ["CLIENT_ID", "CLIENT_SECRET", "USERNAME", "PASSWORD"].map(|field| format!("HUBSOFT_{field}"));
    assert_eq!(names(&report)[2..6], hubsoft);
    assert_eq!(names(&report)[..2], ["SEALING_KEYS", "BACKEND_KEY"]);
    assert_eq!(names(&report)[6..], ["ADMIN_KEY?"]);
    assert!(report.secrets.iter().all(|it| it.set.is_none()));
}

#[test]
fn finds_what_else_is_wrong_where_secrets_are_missing() {
    let webhook = "[vars.CONNECTIONS.hubsoft.webhook]\nforward_to = 'x'\n";
    let report = report(&sound(&format!("{HUBSOFT}{webhook}")));
    expect(
        &report.problems,
        &[
            (7, "CONNECTIONS.hubsoft.webhook.token_field: is missing"),
            (8, "CONNECTIONS.hubsoft.webhook.forward_to: must be an absolute address"),
        ],
    );
    assert!(names(&report).contains(&"HUBSOFT_WEBHOOK_SECRET".to_owned()));
}

#[test]
fn takes_a_clients_id_and_an_audience_that_stand_in_the_file() {
    let report =
        report(&sound(&format!("vars.HUBSOFT_CLIENT_ID = 'a'\nvars.HUBSOFT_AUDIENCE = 'b'\n{HUBSOFT}")));
    expect(&report.problems, &[]);
    assert!(!names(&report).contains(&"HUBSOFT_CLIENT_ID".to_owned()));
}

#[test]
fn refuses_secrets_in_the_file_but_for_one_that_is_never_deployed() {
    let text = sound(&format!(
        "vars.HUBSOFT_PASSWORD = 'a'\nvars.BACKEND_KEY = ''\nvars.ADMIN_KEY = 'short'\n{HUBSOFT}"
    ));
    let plain = "is a secret and stands here as plain text: remove it";
    expect(
        &report(&text).problems,
        &[
            (1, &format!("HUBSOFT_PASSWORD: {plain}")),
            (2, &format!("BACKEND_KEY: {plain}")),
            (3, &format!("ADMIN_KEY: {plain}")),
        ],
    );
    assert!(names(&report(&text)).contains(&"HUBSOFT_PASSWORD".to_owned()));
    let local = check(&text, &Options { local: true, ..Options::default() }).unwrap();
    expect(
        &local.problems,
        &[(2, &format!("BACKEND_KEY: {plain}")), (3, "ADMIN_KEY: must be 16 characters")],
    );
    assert!(local.secrets.is_empty());
}

#[test]
fn takes_an_empty_client_secret_that_stands_in_the_file() {
    let text = sound(&format!("vars.HUBSOFT_CLIENT_SECRET = ''\n{HUBSOFT}"));
    expect(&report(&text).problems, &[]);
    assert!(!names(&report(&text)).contains(&"HUBSOFT_CLIENT_SECRET".to_owned()));
}

#[test]
fn tells_what_was_pasted_with_a_secret_that_is_never_deployed() {
    let text = sound(&format!(
        "vars.HUBSOFT_PASSWORD = \"p\\n\"\nvars.HUBSOFT_CLIENT_SECRET = \"'s'\"\nvars.HUBSOFT_USERNAME = 'canary '\n{HUBSOFT}"
    ));
    let local = check(&text, &Options { local: true, ..Options::default() }).unwrap();
    let problems = [
        (1, "HUBSOFT_PASSWORD: looks pasted wrong: it begins or ends with a line break"),
        (2, "HUBSOFT_CLIENT_SECRET: looks pasted wrong: it stands in quotes"),
        (3, "HUBSOFT_USERNAME: looks pasted wrong: it begins or ends with a blank"),
    ];
    let found: Vec<String> =
        told(&local.problems).into_iter().filter(|told| told.contains("pasted")).collect();
    assert_eq!(found.len(), problems.len(), "{found:?}");
    for (line, problem) in problems {
        assert!(
            found.iter().any(|told| told.starts_with(&format!("{} {problem}", line + BEFORE))),
            "{problem}: {found:?}"
        );
    }
    assert!(!found.join("").contains("canary"));
}

#[test]
fn writes_the_command_for_each_environment_and_file() {
    let text = sound("[env.staging]\n[env.'my env']\n");
    let options = Options { config: Some("it's/w.toml".to_owned()), ..Options::default() };
    let commands = |options: &Options| -> Vec<String> {
        let report = check(&text, options).unwrap();
        report.secrets.into_iter().filter(|it| it.needed).map(|it| it.command).collect()
    };
    let put = "npx wrangler secret put SEALING_KEYS";
    assert_eq!(
        commands(&Options::default()),
        [put.to_owned(), format!("{put} --env 'my env'"), format!("{put} --env staging")]
    );
    assert_eq!(commands(&options)[0], format!(r"{put} --config 'it'\''s/w.toml'"));
    assert_eq!(commands(&options)[2], format!(r"{put} --env staging --config 'it'\''s/w.toml'"));
}

#[test]
fn writes_no_control_character() {
    let text = sound("[env.\"a\\u001B[31mb\"]\n[vars.\"c\\u001Bd\"]\n");
    assert!(!text.contains('\u{1b}'));
    let report = report(&text);
    let shown = told(&report.problems).join("");
    let commands: String = report.secrets.iter().map(|it| it.command.as_str()).collect();
    assert!(shown.contains("c\\u{1b}d") && commands.contains("'a\\u{1b}[31mb'"), "{shown} {commands}");
    assert!(!shown.contains('\u{1b}') && !commands.contains('\u{1b}'));
}

#[test]
fn keeps_cloudflares_limits() {
    let fields = |count: usize| (0..count).map(|at| format!("V{at} = 1")).collect::<Vec<_>>().join("\n");
    let limits = |text: String| {
        let report = report(&sound(&text));
        let of = |findings: &[Finding]| {
            findings
                .iter()
                .filter(|it| it.message.contains("Cloudflare takes"))
                .map(|it| it.field.clone())
                .collect::<Vec<_>>()
        };
        (of(&report.problems), of(&report.warnings))
    };
    let (none, vars) = (Vec::<String>::new(), vec!["vars".to_owned()]);
    // SEALING_KEYS counts.
    assert_eq!(limits(format!("[vars]\n{}", fields(63))), (none.clone(), none.clone()));
    assert_eq!(limits(format!("[vars]\n{}", fields(64))), (none.clone(), vars.clone()));
    assert_eq!(limits(format!("[vars]\n{}", fields(127))), (none.clone(), vars.clone()));
    assert_eq!(limits(format!("[vars]\n{}", fields(128))), (vars, none.clone()));

    let long = |bytes: usize| format!("[vars]\nBASE_PATH = '/{}'\n", "x".repeat(bytes - 1));
    assert_eq!(limits(long(5120)), (none.clone(), none.clone()));
    assert_eq!(limits(long(5121)), (vec!["BASE_PATH".to_owned()], none.clone()));
    // A table counts as JSON: {"a":"..."} is 8 bytes more than the text.
    let table = |bytes: usize| format!("[vars.CALLERS]\na = '{}'\n", "x".repeat(bytes - 8));
    assert_eq!(limits(table(5120)), (none.clone(), none.clone()));
    assert_eq!(limits(table(5121)), (vec!["CALLERS".to_owned()], none));
}

#[test]
fn asks_for_the_secrets_that_are_put_on_calls() {
    let shop = "[vars.CALLERS.backend]\nkind = 'key'\n[vars.CONNECTIONS.shop]\nprovider = 'custom'\n\
         base_url = 'https://shop.example'\ngrant = 'static'\nheader = ''\n\
         headers = { X-App-Key = '{app_key}', X-App-Token = '{app_token}' }\n\
         rules = [{ callers = ['backend'], methods = ['GET'], paths = ['/a'] }]\n";
    let report = report(&sound(shop));
    expect(&report.problems, &[]);
    assert_eq!(names(&report)[2..], ["SHOP_APP_KEY", "SHOP_APP_TOKEN", "ADMIN_KEY?"]);
    let plain = sound(&format!("vars.SHOP_APP_KEY = 'canary'\nvars.SHOP_APP_KEYS = 'canary'\n{shop}"));
    expect(
        &super::report(&plain).problems,
        &[
            (1, "SHOP_APP_KEY: is a secret and stands here as plain text: remove it"),
            (
                2,
                "SHOP_APP_KEYS: is not a variable that the Worker knows: remove it; SHOP_APP_KEY is a secret",
            ),
        ],
    );
    let local = check(&plain, &Options { local: true, ..Options::default() }).unwrap();
    expect(&local.problems, &[(2, "SHOP_APP_KEYS: is not a variable")]);
}

#[test]
fn knows_the_operators_events_and_their_secret() {
    let of_events = report(&sound(&format!("[vars.EVENTS]\nto = 'x'\nfrom = 'y'\n{HUBSOFT}")));
    expect(
        &of_events.problems,
        &[(2, "EVENTS.to: must be an absolute address"), (3, "EVENTS.from: is not a known field")],
    );
    assert!(names(&of_events).contains(&"EVENTS_SECRET".to_owned()));
    assert!(!names(&report(&sound(HUBSOFT))).contains(&"EVENTS_SECRET".to_owned()));
    let plain = report(&sound(&format!(
        "vars.EVENTS_SECRET = 'whsec_a'\n[vars.EVENTS]\nto = 'https://ops.example'\n{HUBSOFT}"
    )));
    expect(&plain.problems, &[(1, "EVENTS_SECRET: is a secret and stands here as plain text: remove it")]);
    let loopback = report(&sound(&format!("[vars.EVENTS]\nto = 'http://127.0.0.1:1'\n{HUBSOFT}")));
    expect(&loopback.warnings, &[(2, "EVENTS.to: is a loopback address")]);
}
