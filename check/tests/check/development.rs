use porteiro_check::development::DevVars;
use porteiro_check::report::DevFinding;
use serde_json::{Value, json};

use super::*;

const KEYS: &str = "k1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
const CALLER: &str = "[vars.CALLERS.backend]\nkind = 'key'\n";
const RULES: &str = "rules = [{ callers = ['backend'], methods = ['GET'], paths = ['/a'] }]\n";

/// The name of the file in the findings.
const FILE: &str = ".dev.vars";

/// A file with a caller by a key, and the connections `guru`, with webhooks, and `hubsoft`.
fn file() -> String {
    sound(&format!(
        "{CALLER}[vars.CONNECTIONS.guru]\nprovider = 'guru'\nwebhook.forward_to = 'https://app.example'\n{RULES}\
         [vars.CONNECTIONS.hubsoft]\nprovider = 'hubsoft'\nbase_url = 'https://api.example'\n{RULES}"
    ))
}

/// Sound variables for [`file`].
fn whole() -> Value {
    json!({
        "SEALING_KEYS": KEYS,
        "ADMIN_KEY": "0123456789abcdef",
        "BACKEND_KEY": "0123456789abcdef0123456789abcdef",
        "GURU_TOKEN": "gu_ut_1",
        "GURU_ACCOUNT_TOKEN": "gu_at_1",
        "GURU_WEBHOOK_SECRET": "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        "HUBSOFT_CLIENT_ID": "7",
        "HUBSOFT_CLIENT_SECRET": "s",
        "HUBSOFT_USERNAME": "u",
        "HUBSOFT_PASSWORD": "p",
    })
}

fn vars(environment: &str, variables: &Value) -> DevVars {
    let variables = variables.as_object().unwrap().clone();
    DevVars { environment: environment.to_owned(), file: FILE.to_owned(), variables }
}

fn found(text: &str, dev_vars: Vec<DevVars>) -> Vec<DevFinding> {
    let report = check(text, &Options { dev_vars, ..Options::default() }).unwrap();
    // The deployment is the same, whatever the variables for running locally are.
    let without = super::report(text);
    assert_eq!(
        (told(&report.problems), told(&report.warnings)),
        (told(&without.problems), told(&without.warnings))
    );
    assert_eq!(report.secrets, without.secrets);
    report.development
}

/// What is found with `changes` to [`whole`], null being an absence, as `field message`.
fn changed(changes: &[(&str, Value)]) -> Vec<String> {
    let mut variables = whole();
    for (name, value) in changes {
        let fields = variables.as_object_mut().unwrap();
        if value.is_null() {
            fields.remove(*name);
        } else {
            fields.insert((*name).to_owned(), value.clone());
        }
    }
    let findings = found(&file(), vec![vars("", &variables)]);
    assert!(findings.iter().all(|it| it.file == FILE && it.environment.is_none()));
    findings.into_iter().map(|it| format!("{} {}", it.field, it.message)).collect()
}

#[test]
fn finds_nothing_where_all_is_set() {
    assert_eq!(changed(&[]), Vec::<String>::new());
}

#[test]
fn names_what_is_missing_and_what_does_not_work_without_it() {
    for (name, lost) in [
        ("SEALING_KEYS", "every call is answered 503 misconfigured; `npm run setup` makes it in .dev.vars"),
        (
            "ADMIN_KEY",
            "nobody is an operator, and no connection can be registered; `npm run setup` makes it in .dev.vars",
        ),
        ("BACKEND_KEY", "nobody can call as backend"),
        ("GURU_TOKEN", "calls to guru are answered 503 misconfigured"),
        ("GURU_ACCOUNT_TOKEN", "events at /webhooks/guru are answered 503 misconfigured"),
        ("GURU_WEBHOOK_SECRET", "events at /webhooks/guru are answered 503 misconfigured"),
        ("HUBSOFT_PASSWORD", "calls to hubsoft are answered 503 misconfigured"),
    ] {
        let expected = [format!("{name} is not set: {lost}")];
        assert_eq!(changed(&[(name, Value::Null)]), expected);
        assert_eq!(changed(&[(name, json!(""))]), expected);
    }
    let other = DevVars { file: "elsewhere/.dev.vars".to_owned(), ..vars("", &json!({})) };
    let told = found(&file(), vec![other]);
    assert!(
        told.iter().any(|it| it.message.ends_with("copy it from .dev.vars, where `npm run setup` makes it"))
    );
    let all = found(&file(), vec![vars("", &json!({}))]);
    assert_eq!(all.len(), 10);
    assert_eq!((all[0].field.as_str(), all[9].field.as_str()), ("SEALING_KEYS", "ADMIN_KEY"));
}

#[test]
fn names_a_variable_that_was_meant() {
    assert_eq!(
        changed(&[("GURU_TOKEN", Value::Null), ("GURU_TOKN", json!("canary"))]),
        [
            "GURU_TOKEN is not set: calls to guru are answered 503 misconfigured; GURU_TOKN, which is there, is not read"
        ]
    );
}

#[test]
fn tells_what_was_pasted_wrong_by_name_alone() {
    let pasted = |what| format!("looks pasted wrong: it {what}");
    let cases = [
        ("GURU_TOKEN", "Bearer canary", pasted("begins with its scheme; set it again without that word")),
        ("GURU_TOKEN", "'canary'", pasted("stands in quotes; set it again without them")),
        ("HUBSOFT_USERNAME", "canary ", pasted("begins or ends with a blank; set it again without")),
        ("HUBSOFT_PASSWORD", "canary\n", pasted("begins or ends with a line break; set it again without")),
        ("BACKEND_KEY", "canary", "must be 32 characters or more, each key of several".to_owned()),
        ("GURU_TOKEN", "...", "looks like a placeholder: write the value itself".to_owned()),
        (
            "ADMIN_KEY",
            "<canary-canary-canary>",
            "looks like a placeholder: write the value itself".to_owned(),
        ),
    ];
    for (name, value, message) in cases {
        let told = changed(&[(name, json!(value))]);
        assert_eq!(told, [format!("{name} {message}")]);
        assert!(!told.join("").contains("canary"));
    }
    // A password may have what a token may not, and what nothing reads is nobody's concern.
    assert_eq!(
        changed(&[("HUBSOFT_PASSWORD", json!(" a b c ")), ("ELSE", json!("..."))]),
        Vec::<String>::new()
    );
}

#[test]
fn takes_variables_of_the_file_from_there_too() {
    let origins = |value: &str| changed(&[("ALLOWED_ORIGINS", json!(value))]);
    assert_eq!(origins("[\"http://localhost:5173\"]"), Vec::<String>::new());
    let hint = "as JSON: ALLOWED_ORIGINS='[\"http://localhost:5173\"]'";
    assert_eq!(
        origins("http://localhost:5173"),
        [format!("ALLOWED_ORIGINS must be an array of origins, {hint}")]
    );
    let [wrong] = origins("[\"http://canary.example\"]").try_into().unwrap();
    assert!(
        wrong.starts_with("ALLOWED_ORIGINS[0] must be an https origin") && !wrong.contains("canary"),
        "{wrong}"
    );
}

#[test]
fn looks_at_each_environment_with_its_own_variables() {
    let text = format!("{}[env.staging.vars.CALLERS.office]\nkind = 'key'\n", file());
    let environments = |dev_vars| {
        let told = |it: DevFinding| (it.environment.unwrap_or_default(), it.field);
        found(&text, dev_vars).into_iter().map(told).collect::<Vec<_>>()
    };
    let staging = json!({ "SEALING_KEYS": KEYS, "ADMIN_KEY": "0123456789abcdef" });
    let office = ("staging".to_owned(), "OFFICE_KEY".to_owned());
    assert_eq!(environments(vec![vars("staging", &staging)]), std::slice::from_ref(&office));
    assert_eq!(environments(vec![vars("", &whole()), vars("staging", &staging)]), [office]);
    assert_eq!(environments(vec![vars("example", &json!({}))]), []);
    assert_eq!(environments(Vec::new()), []);
}

#[test]
fn says_nothing_again_that_is_wrong_in_the_file_itself() {
    let text = sound("vars.BASE_PATH = 7\n");
    let sound = json!({ "SEALING_KEYS": KEYS, "ADMIN_KEY": "0123456789abcdef" });
    assert_eq!(found(&text, vec![vars("", &sound)]), []);
}

#[test]
fn says_what_does_not_work_without_a_secret_that_is_put_on_calls() {
    let text = file().replace("provider = 'guru'", "provider = 'guru'\nquery.key = '{app_key}'");
    let findings = found(&text, vec![vars("", &whole())]);
    let told: Vec<String> = findings.into_iter().map(|it| format!("{} {}", it.field, it.message)).collect();
    assert_eq!(told, ["GURU_APP_KEY is not set: calls to guru are answered 503 misconfigured"]);
}
