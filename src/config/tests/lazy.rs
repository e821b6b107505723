//! Parts that are read when they are first asked for.

use std::cell::RefCell;

use super::*;

/// The problems that were reported so far.
pub(super) type Told = Rc<RefCell<Vec<Problem>>>;

/// A configuration of which no connection was asked for yet.
pub(super) fn unread(variables: &Value) -> (Config, Told) {
    let told = Told::default();
    let sink = Rc::clone(&told);
    let report = Box::new(move |problem: &Problem| sink.borrow_mut().push(problem.clone()));
    let variables = variables.clone();
    let variables = move |name: &str| variables.get(name).map(Value::to_string);
    (Config::read(Box::new(variables), report), told)
}

/// Checks that the `problems` of the configuration in `variables` were `told` once each, and that they
/// do not depend on what is asked for first.
pub(super) fn check_any_order(variables: &Value, problems: &[Problem], told: &Told) {
    let sorted = |problems: &[Problem]| {
        let mut sorted: Vec<String> = problems.iter().map(|problem| format!("{problem:?}")).collect();
        sorted.sort();
        sorted
    };
    assert_eq!(sorted(&told.borrow()), sorted(problems), "{variables}");
    let (config, told) = unread(variables);
    let ids: Vec<&String> = config.ids().collect();
    for id in ids.iter().rev() {
        let webhook = config.webhook(id).map(Configured::is_usable);
        let has_webhook =
            problems.iter().any(|problem| problem.field().starts_with(&format!("CONNECTIONS.{id}.webhook")));
        assert!(webhook != Some(true) || !has_webhook, "{id}");
        let of_id = problems.iter().filter(|problem| problem.connection() == Some(id));
        assert_eq!(config.problems_of(id), of_id.map(Problem::to_pair).collect::<Vec<_>>(), "{id}");
    }
    let templates = &variables["TEMPLATES"];
    let parsed = templates.as_str().and_then(|text| serde_json::from_str(text).ok());
    let templates: Value = parsed.unwrap_or_else(|| templates.clone());
    for name in templates.as_object().iter().flat_map(|templates| templates.keys()).rev() {
        let _ = config.with_template(json!({ "template": name }).as_object().unwrap());
    }
    assert_eq!(sorted(&told.borrow()), sorted(problems), "{variables}");
    assert_eq!(config.problems(), problems, "{variables}");
    assert_eq!(sorted(&told.borrow()), sorted(problems), "each is told once: {variables}");
}

/// A configuration with a problem of every part.
fn broken() -> Value {
    let guru = sound()["CONNECTIONS"]["guru"].clone();
    changed(&[
        ("ALLOWED_ORIGINS", json!(["x"])),
        ("ADMIN_KEY", json!("short")),
        ("CONNECTIONS/-", json!({})),
        ("CONNECTIONS/api/scope", json!(1)),
        ("CONNECTIONS/api/webhook", json!({"forward_to": "x", "token_field": "t"})),
        ("CONNECTIONS/Guru", guru),
        ("CONNECTIONS/guru-account", json!(7)),
        ("CONNECTIONS/guru/webhook", json!({"forward_to": "https://app.example.com"})),
        ("TEMPLATES", json!({"isp": {"provider": "isp"}, "shop": {"timeout_ms": 0}, "-": {}})),
    ])
}

fn fields(told: &Told) -> Vec<String> {
    told.take().iter().map(|problem| problem.field().to_owned()).collect()
}

#[test]
fn reports_at_first_what_is_no_connections_problem_and_no_templates() {
    let (_config, told) = unread(&broken());
    assert_eq!(fields(&told), ["ALLOWED_ORIGINS[0]", "CONNECTIONS.-", "TEMPLATES.-", "ADMIN_KEY"]);
}

#[test]
fn reports_the_problems_of_a_part_once_when_it_is_first_asked_for() {
    let (config, told) = unread(&broken());
    told.take();
    assert!(config.connection("hubsoft").unwrap().is_usable());
    assert!(config.is_configured("api") && !config.is_configured("-"));
    assert!(config.webhook("hubsoft").is_none() && config.connection("none").is_none());
    assert_eq!(fields(&told), [""; 0]);
    for expected in [&["CONNECTIONS.api.scope"][..], &[]] {
        assert!(!config.connection("api").unwrap().is_usable());
        assert_eq!(fields(&told), expected);
    }
    let of_webhook = ["CONNECTIONS.api.webhook.forward_to", "API_ACCOUNT_TOKEN", "API_WEBHOOK_SECRET"];
    for expected in [&of_webhook[..], &[]] {
        assert!(!config.webhook("api").unwrap().is_usable());
        assert_eq!(fields(&told), expected);
    }
    let isp = json!({"template": "isp"});
    for expected in [&["TEMPLATES.isp.provider"][..], &[]] {
        assert!(config.with_template(isp.as_object().unwrap()).is_none());
        assert_eq!(fields(&told), expected);
    }
}

#[test]
fn knows_of_ids_that_share_secrets_whichever_is_asked_for() {
    let another = "must have another name: its secrets have the same names as another one's";
    let account = "must be a connection of another name: its account token is another one's token";
    let (config, told) = unread(&broken());
    told.take();
    assert!(!config.connection("guru").unwrap().is_usable());
    let shown = |told: &Told| told.take().iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(shown(&told), [format!("CONNECTIONS.guru: {another}")]);
    assert!(!config.webhook("guru").unwrap().is_usable());
    let of_webhook = [
        "GURU_ACCOUNT_TOKEN: is missing: set this secret".to_owned(),
        "GURU_WEBHOOK_SECRET: is missing: set this secret".to_owned(),
        format!("CONNECTIONS.guru.webhook: {account}"),
    ];
    assert_eq!(shown(&told), of_webhook);
    assert!(!config.connection("Guru").unwrap().is_usable());
    assert_eq!(shown(&told), [format!("CONNECTIONS.Guru: {another}")]);
}

#[test]
fn gives_an_operator_every_problem_of_a_connection_that_nobody_used() {
    let (config, told) = unread(&broken());
    told.take();
    let fields_of = |id: &str| config.problems_of(id).into_iter().map(|(field, _)| field).collect::<Vec<_>>();
    let of_api = [
        "CONNECTIONS.api.scope",
        "CONNECTIONS.api.webhook.forward_to",
        "API_ACCOUNT_TOKEN",
        "API_WEBHOOK_SECRET",
    ];
    assert_eq!(fields_of("api"), of_api);
    assert_eq!(fields_of("guru-account"), ["CONNECTIONS.guru-account"]);
    assert_eq!(fields_of("hubsoft"), [""; 0]);
    assert_eq!(fields(&told), [&of_api[..], &["CONNECTIONS.guru-account"]].concat());
    read(&broken());
}

#[test]
fn knows_who_may_call_before_a_rule_is_read() {
    let names = |changes: &[(&str, Value)]| {
        let (config, _) = unread(&changed(changes));
        (
            config.callers.contains_key("anyone"),
            config.callers.contains_key("session"),
            config.session.is_some(),
        )
    };
    let rules = "CONNECTIONS/api/rules";
    assert_eq!(names(&[]), (false, false, false));
    assert_eq!(names(&[(rules, json!([{"callers": ["session", "anyone"]}]))]), (true, true, true));
    assert_eq!(names(&[(rules, json!([7, {"callers": ["anyone"]}]))]), (true, false, false));
    let as_text = json!(r#"{"a": {"rules": [{"callers": ["session"]}]}}"#);
    assert_eq!(names(&[("CONNECTIONS", as_text)]), (false, true, true));
    for nobody in [
        (rules, json!({"callers": ["session"]})),
        (rules, json!([{"callers": "session"}, [{"callers": ["session"]}], {"paths": ["session"]}])),
        ("CONNECTIONS/-", json!({"rules": [{"callers": ["session"]}]})),
        ("TEMPLATES", json!({"isp": {"rules": [{"callers": ["session"]}]}})),
    ] {
        assert_eq!(names(std::slice::from_ref(&nobody)), (false, false, false), "{nobody:?}");
    }
    // What is configured counts, whatever it is.
    for kind in ["key", "wrong"] {
        let caller = ("CALLERS/session", json!({"kind": kind}));
        let (_, is_known, has_policy) = names(&[(rules, json!([{"callers": ["session"]}])), caller]);
        assert!(is_known && !has_policy, "{kind}");
    }
}

#[test]
fn shows_none_of_the_variables_that_it_keeps() {
    let mut all = broken();
    for name in ["API_CLIENT_SECRET", "GURU_TOKEN", "BACKEND_KEY", "ADMIN_KEY", "OTHER"] {
        put(&mut all, name, Some(json!(format!("canary-{KEY}"))));
    }
    put(&mut all, "CONNECTIONS/api/client_id", Some(json!("canary")));
    put(&mut all, "TEMPLATES/isp/client_id", Some(json!("canary")));
    let (config, _) = unread(&all);
    let shows = |config: &Config| format!("{config:?}").contains("canary");
    assert!(!shows(&config), "{config:?}");
    assert!(format!("{config:?}").contains("\"hubsoft\""));
    assert!(!config.problems().is_empty() && !shows(&config), "{config:?}");
}

#[test]
fn asks_for_the_secrets_of_a_connection_when_that_is_asked_for() {
    let asked = Rc::new(RefCell::new(Vec::new()));
    let (sink, variables) = (Rc::clone(&asked), sound());
    let source = move |name: &str| {
        sink.borrow_mut().push(name.to_owned());
        variables.get(name).map(Value::to_string)
    };
    let config = Config::read(Box::new(source), Box::new(|_| {}));
    let general: Vec<String> = asked.take();
    assert!(
        ["BACKEND_KEY", "SEALING_KEYS", "ADMIN_KEY"]
            .iter()
            .all(|name| general.iter().any(|asked| asked == name))
    );
    assert!(
        !general.iter().any(|name| name.starts_with("GURU_") || name.starts_with("HUBSOFT_")),
        "{general:?}"
    );
    for expected in [&["GURU_TOKEN"][..], &[]] {
        assert!(config.connection("guru").unwrap().is_usable());
        assert_eq!(asked.take(), expected);
    }
}

#[test]
fn takes_the_last_of_two_tables_of_one_id_in_a_text() {
    let text = r#" {"a": {"provider": "x"}, "-": 1, "\u0061": {"provider": "guru"}, "-": 2} "#;
    let (_, problems) = read(&changed(&[("CONNECTIONS", json!(text))]));
    let fields: Vec<&str> = problems.iter().map(Problem::field).collect();
    assert_eq!(fields, ["CONNECTIONS.-", "A_TOKEN", "CONNECTIONS.a.rules"]);
}

#[test]
fn counts_as_wrong_what_cannot_be_parsed() {
    let texts = |name: &str| match name {
        "ALLOWED_ORIGINS" => Some("[".to_owned()),
        "CONNECTIONS" => Some(r#"{"a": {"provider" "guru"}}"#.to_owned()),
        "SEALING_KEYS" => Some(r#""\ud800""#.to_owned()),
        _ => None,
    };
    let problems = Config::read(Box::new(texts), Box::new(|_| {})).problems();
    let shown: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(
        shown,
        [
            "ALLOWED_ORIGINS: must be an array of origins",
            "CONNECTIONS: must be a table",
            "SEALING_KEYS: must be a text",
        ]
    );
}
