//! Templates of registered connections.

use super::*;

fn read(templates: &Value) -> (Config, Vec<String>) {
    let mut variables = sound();
    variables["TEMPLATES"] = templates.clone();
    let (config, problems) = super::read(&variables);
    (config, problems.iter().map(|problem| problem.field().to_owned()).collect())
}

fn rules() -> Value {
    json!([{ "callers": ["backend"], "methods": ["GET"], "paths": ["/a/{labels.place}", "/{connection}"] }])
}

#[test]
fn takes_templates_that_leave_fields_secrets_and_labels_to_their_connections() {
    for template in [
        json!({}),
        json!({ "provider": "hubsoft" }),
        json!({ "provider": "v8", "rules": rules() }),
        json!({ "provider": "guru", "rules": rules(), "webhook": { "forward_to": "https://a.example/w" } }),
        json!({ "base_url": "https://a.example", "params": { "a": "b" }, "client_id": "c" }),
        json!({ "provider": "custom", "grant": "client_credentials", "rules": rules() }),
    ] {
        let (config, problems) = read(&json!({ "a-b": template, "a_b": template }));
        assert_eq!(problems, [""; 0], "{template}");
        for name in ["a-b", "a_b"] {
            let named = json!({ "template": name });
            assert!(config.with_template(named.as_object().unwrap()).is_some(), "{name}");
        }
    }
    // A table may be given as a text.
    assert_eq!(read(&json!(r#"{"a":{"provider":"v8"}}"#)).1, [""; 0]);
}

#[test]
fn reports_every_problem_of_a_template_alone() {
    let rules =
        json!([{ "callers": ["nobody", "session"], "methods": ["GET"], "paths": ["a", "/{label.x}"] }]);
    let wrong = json!({
        "isp": {
            "provider": "custom", "base_url": "http://a.example", "labels": { "a": "b" }, "template": "isp",
            "secrets": {}, "colour.x": "vermilion", "timeout_ms": "1", "subject": "user", "rules": rules,
            "webhook": { "max_bytes": 0 },
        },
        "flat": 7,
        "-": {},
        "good": { "provider": "guru" },
    });
    let (config, mut problems) = read(&wrong);
    problems.sort();
    let expected = [
        "TEMPLATES.-",
        "TEMPLATES.flat",
        "TEMPLATES.isp.base_url",
        "TEMPLATES.isp.colour.x",
        "TEMPLATES.isp.labels",
        "TEMPLATES.isp.rules",
        "TEMPLATES.isp.rules[0].callers[0]",
        "TEMPLATES.isp.rules[0].paths[0]",
        "TEMPLATES.isp.rules[0].paths[1]",
        "TEMPLATES.isp.secrets",
        "TEMPLATES.isp.subject",
        "TEMPLATES.isp.template",
        "TEMPLATES.isp.timeout_ms",
        "TEMPLATES.isp.webhook.forward_to",
        "TEMPLATES.isp.webhook.max_bytes",
        "TEMPLATES.isp.webhook.token_field",
    ];
    for field in expected {
        assert!(problems.iter().any(|problem| problem == field), "{field} is not among {problems:?}");
    }
    assert!(problems.iter().all(|problem| expected.contains(&problem.as_str())), "{problems:?}");
    for (name, is_usable) in [("isp", false), ("flat", false), ("-", false), ("none", false), ("good", true)]
    {
        let named = json!({ "template": name });
        assert_eq!(config.with_template(named.as_object().unwrap()).is_some(), is_usable, "{name}");
    }
    assert!(
        config.connection("api").unwrap().is_usable()
            && !format!("{:?}{:?}", config.connections, config.templates).contains("vermilion")
    );
    assert_eq!(read(&json!([])).1, ["TEMPLATES"]);
    let mut configured = sound();
    configured["CONNECTIONS"]["api"]["template"] = "good".into();
    let (_, problems) = super::read(&configured);
    assert_eq!(problems[0].field(), "CONNECTIONS.api.template", "only registered ones have templates");
}
