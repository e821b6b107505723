use super::*;

const STAGING: &str = "[env.staging]\nkv_namespaces = [{ binding = 'TOKENS' }]\n\
     durable_objects.bindings = [{ name = 'KEEPER', class_name = 'Keeper' }]\n";

fn check_one(text: &str, environment: &str) -> Option<Report> {
    check(text, &Options { environment: Some(environment.to_owned()), ..Options::default() }).ok()
}

#[test]
fn asks_an_environment_for_what_it_does_not_inherit() {
    let report = report(&sound("[env.staging]\n"));
    expect(
        &report.problems,
        &[
            (
                1,
                "staging durable_objects.bindings: must have the binding KEEPER: write [[env.staging.durable_objects.bindings]]",
            ),
            (1, "staging kv_namespaces: must have the binding TOKENS: write [[env.staging.kv_namespaces]]"),
        ],
    );
    assert!(report.problems.iter().all(|it| it.message.ends_with("; environments do not inherit it")));
}

#[test]
fn takes_what_an_environment_inherits() {
    expect(&report(&sound(STAGING)).problems, &[]);
}

#[test]
fn tells_of_a_wrong_setting_once_and_where_it_stands() {
    let text = format!("{STAGING}[env.other]\n{}", STAGING.split_once('\n').unwrap().1);
    let without = sound(&text)
        .replace("compatibility_flags = ['global_fetch_strictly_public']", "compatibility_flags = []");
    let told = told(&report(&without).problems);
    assert!(told.len() == 1 && told[0].starts_with("4 compatibility_flags: must name"), "{told:?}");
    // An environment's own takes the place of the top level's.
    let report = report(&sound(&format!("{STAGING}compatibility_flags = []\nmigrations = []\nmain = 1\n")));
    expect(
        &report.problems,
        &[
            (4, "staging compatibility_flags: must name"),
            (5, "staging migrations: must make the class Keeper: write [[env.staging.migrations]]"),
            (6, "staging main: must be"),
        ],
    );
}

#[test]
fn keeps_invocation_logs_off_wherever_logs_are_kept() {
    let problem = "observability.logs.invocation_logs: must be false";
    for (text, expected) in [
        ("observability.enabled = true", Some(problem)),
        ("observability.logs.enabled = true", Some(problem)),
        ("observability = { enabled = true, logs = { invocation_logs = true } }", Some(problem)),
        ("observability = { enabled = true, logs = { invocation_logs = 'false' } }", Some(problem)),
        ("observability = { enabled = true, logs = { invocation_logs = false } }", None),
        ("observability.enabled = false", None),
        ("", None),
    ] {
        let expected: Vec<(usize, &str)> = expected.iter().map(|text| (1, *text)).collect();
        expect(&report(&sound(text)).problems, &expected);
    }
    // An environment's table takes the place of the whole table above.
    let text = format!(
        "observability = {{ enabled = true, logs.invocation_logs = false }}\n{STAGING}observability.enabled = true\n"
    );
    expect(
        &report(&sound(&text)).problems,
        &[(5, "staging observability.logs.invocation_logs: must be false")],
    );
}

#[test]
fn tells_what_one_environment_inherits() {
    let text = sound(&format!("observability.enabled = true\n{STAGING}"))
        .replace("compatibility_flags = ['global_fetch_strictly_public']", "compatibility_flags = []")
        .replace("new_sqlite_classes", "new_classes");
    let told = told(&check_one(&text, "staging").unwrap().problems);
    let fields: Vec<&str> = told.iter().filter_map(|text| text.split(':').next()).collect();
    let logs = "8 observability.logs.invocation_logs";
    assert_eq!(fields, ["4 compatibility_flags", "7 migrations[0].new_classes", logs], "{told:?}");
}

#[test]
fn takes_the_class_from_the_newer_table_of_exports() {
    let text = sound("exports.Keeper = { type = 'durable-object', storage = 'sqlite' }\n");
    let text = text.replace("migrations = [{ tag = 'v1', new_sqlite_classes = ['Keeper'] }]", "");
    expect(&report(&text).problems, &[]);
}

#[test]
fn reads_each_environments_own_variables() {
    let text = format!("[vars]\nBASE_PATH = 'x'\n{STAGING}[env.staging.vars]\nBASE_PATH = 7\n");
    expect(
        &report(&sound(&text)).problems,
        &[(2, "BASE_PATH: must be empty or a path"), (7, "staging BASE_PATH: must be a text")],
    );
}

#[test]
fn warns_of_variables_that_are_not_inherited() {
    let text = sound(&format!("[vars]\nBASE_PATH = '/x'\n{STAGING}"));
    expect(
        &report(&text).warnings,
        &[(3, "staging vars: are not there, and environments do not inherit them")],
    );
    expect(&report(&format!("{text}vars.BASE_PATH = '/y'\n")).warnings, &[]);
}

#[test]
fn checks_one_environment_where_one_is_named() {
    let text =
        sound(&format!("[vars]\nBASE_PATH = 7\n{STAGING}[env.staging.vars]\nCALLERS = 1\n[env.'a.b']\n"));
    expect(&check_one(&text, "").unwrap().problems, &[(2, "BASE_PATH: must be a text")]);
    let staging = check_one(&text, "staging").unwrap();
    expect(&staging.problems, &[(7, "staging CALLERS: must be a table")]);
    assert!(staging.secrets.iter().all(|secret| secret.environment.as_deref() == Some("staging")));
    assert!(
        check_one(&text, "a.b").unwrap().problems[0]
            .message
            .contains("[[env.\"a.b\".durable_objects.bindings]]")
    );
    assert!(check_one(&text, "production").is_none());
}
