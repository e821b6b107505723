use super::*;

const CANARY: &str = "c4n4ry";

/// The places of all values below `value`, itself not counted.
fn places(value: &Value, at: &str, out: &mut Vec<String>) {
    let children: Vec<(String, &Value)> = match value {
        Value::Object(fields) => fields.iter().map(|(name, value)| (name.clone(), value)).collect(),
        Value::Array(items) => items.iter().enumerate().map(|(at, value)| (at.to_string(), value)).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    };
    for (name, value) in children {
        let place = if at.is_empty() { name } else { format!("{at}/{name}") };
        places(value, &place, out);
        out.push(place);
    }
}

fn all_places() -> Vec<String> {
    let mut out = Vec::new();
    places(&sound(), "", &mut out);
    assert!(out.len() > 80, "{}", out.len());
    out
}

/// The connection that `place` belongs to.
fn connection_of(place: &str) -> Option<&str> {
    place.strip_prefix("CONNECTIONS/")?.split('/').next()
}

#[test]
fn survives_and_reports_a_value_of_the_wrong_type_anywhere() {
    let wrong = [
        json!(null),
        json!(true),
        json!(-1),
        json!(1.5),
        json!(7),
        json!("\u{0}"),
        json!([]),
        json!([null]),
        json!([[]]),
        json!({}),
        json!({"x": null}),
    ];
    let mut reported = 0;
    for place in all_places() {
        let old = sound().pointer(&format!("/{place}")).unwrap().clone();
        for value in &wrong {
            let (config, problems) = read(&changed(&[(&place, value.clone())]));
            let same_type = std::mem::discriminant(&old) == std::mem::discriminant(value)
                && (!value.is_number() || value.is_u64());
            // An answer's value may be anything.
            if same_type || place.ends_with("/in/0") {
                continue;
            }
            reported += 1;
            assert!(!problems.is_empty(), "{place} = {value}");
            for (id, connection) in connections(&config) {
                if connection_of(&place).is_some() {
                    let is_broken = connection_of(&place) == Some(id);
                    assert_eq!(!connection.is_usable(), is_broken, "{id} where {place} = {value}");
                }
            }
        }
    }
    assert!(reported > 800, "{reported}");
}

#[test]
fn survives_and_reports_anything_required_that_is_taken_away() {
    const OPTIONAL: &[&str] = &[
        "ALLOWED_ORIGINS",
        "BASE_PATH",
        "CONNECTIONS",
        "web",
        "body",
        "client_auth",
        "audience",
        "scope",
        "resource",
        "params",
        "tenant",
        "account",
        "header",
        "scheme",
        "default_expires_in",
        "expiry_skew",
        "subject",
        "timeout_ms",
        "token_timeout_ms",
        "replay_bytes",
        "default_accept",
        "request_headers",
        "response_headers",
        "headers",
        "X-App",
        "query",
        "format",
        "dead_token",
        "in",
    ];
    for place in all_places() {
        let mut all = sound();
        put(&mut all, &place, None);
        let (config, problems) = read(&all);
        let parts: Vec<&str> = place.split('/').collect();
        let is_connection = parts.len() == 2 && parts[0] == "CONNECTIONS";
        let has_preset = matches!(place.as_str(), "CONNECTIONS/renewed/client_auth");
        let is_list = parts.iter().any(|part| part.ends_with("_headers") || *part == "ALLOWED_ORIGINS")
            || (parts.len() == 4 && parts[2] == "dead_token")
            || parts.ends_with(&["1", "header"]);
        let is_optional = OPTIONAL.contains(parts.last().unwrap()) || is_connection || is_list;
        assert_eq!(problems.is_empty(), is_optional && !has_preset, "{place} taken away: {problems:?}");
        let broken = connections(&config).any(|(_, connection)| !connection.is_usable());
        assert!(!broken || !problems.is_empty(), "{place}");
    }
}

#[test]
fn never_shows_a_value() {
    let values = [
        json!(CANARY),
        json!(format!(" {CANARY}\n")),
        json!(format!("http://{CANARY}.example/?{CANARY}#{CANARY}")),
        json!([CANARY]),
        json!({"x": CANARY}),
        json!([{"x": CANARY}]),
        json!(format!("[\"{CANARY}\"]")),
        json!(format!("{{\"x\":\"{CANARY}\"}}")),
        json!(format!("{CANARY}:{CANARY}")),
    ];
    for value in &values {
        let mut everywhere = sound();
        for place in all_places() {
            let (_, problems) = read(&changed(&[(&place, value.clone())]));
            for problem in problems {
                assert!(!format!("{problem} {problem:?}").contains(CANARY), "{place}: {problem}");
            }
            let is_leaf =
                !matches!(everywhere.pointer(&format!("/{place}")), Some(Value::Object(_) | Value::Array(_)));
            if is_leaf {
                put(&mut everywhere, &place, Some(value.clone()));
            }
        }
        let (config, problems) = read(&everywhere);
        assert!(problems.len() > 20, "{problems:?}");
        assert!(!format!("{config:?} {problems:?}").contains(CANARY), "{config:?}");
    }
}

#[test]
fn never_shows_a_secret_that_is_right() {
    let mut all = sound();
    let names: Vec<String> = all.as_object().unwrap().keys().cloned().collect();
    let secrets = ["_TOKEN", "_SECRET", "_USERNAME", "_PASSWORD", "_KEY"];
    let mut planted = 0;
    for name in names.iter().filter(|name| secrets.iter().any(|end| name.ends_with(end))) {
        put(&mut all, name, Some(format!("{CANARY}{KEY}").into()));
        planted += 1;
    }
    let (config, problems) = read(&all);
    assert_eq!((planted, problems.len()), (11, 0), "{problems:?}");
    let shown = format!("{config:?}");
    assert!(!shown.contains(CANARY) && !shown.contains("AAAAAAAA"), "{shown}");
}
