use super::*;

const RULE_CALLERS: &str = "CONNECTIONS/guru/rules/0/callers";

/// Checks the problems of the caller `web`, configured as `caller`.
fn check_caller(caller: Value, expected: &[&str]) {
    let changes = [("CALLERS/web", caller)];
    check(&changes, expected, &[]);
    let (config, _) = read(&changed(&changes));
    assert_eq!(!config.callers.get("web").unwrap().is_usable(), !expected.is_empty(), "{changes:?}");
}

#[test]
fn knows_a_caller_by_its_keys_fingerprint() {
    let (config, _) = read(&sound());
    let places = places(&config, &[KEY, "", &KEY[1..]]);
    assert_eq!(places.iter().map(Option::is_some).collect::<Vec<_>>(), [true, false, false]);
    assert_eq!(places[0].and_then(Place::number), None);
    assert!(matches!(config.callers.get("web").unwrap(), Configured::Usable(Caller::Anyone)));
}

/// Where each of `keys` stands among those of `backend`.
fn places(config: &Config, keys: &[&str]) -> Vec<Option<Place>> {
    let Configured::Usable(Caller::Key(known)) = &config.callers.get("backend").unwrap() else {
        panic!("not a key")
    };
    keys.iter().map(|key| known.place(Fingerprint::of(&[key]))).collect()
}

#[test]
fn knows_a_caller_by_each_of_its_keys() {
    let other = KEY.replace('0', "x");
    for keys in [format!("{KEY},{other}"), format!(" {KEY} ,, {other},")] {
        let (config, problems) = read(&changed(&[("BACKEND_KEY", json!(keys))]));
        assert_eq!(problems, []);
        let places = places(&config, &[KEY, &other, &keys, ""]);
        let numbers: Vec<_> = places.iter().map(|place| place.and_then(Place::number)).collect();
        assert_eq!(numbers, [Some(1), Some(2), None, None]);
    }
}

#[test]
fn reports_kinds_and_their_fields() {
    let kinds = "CALLERS.web.kind: must be key, jwt, cloudflare-access, session or anyone";
    check_caller(json!({}), &[kinds]);
    check_caller(json!({"kind": "other"}), &[kinds]);
    check_caller(json!({"kind": 1}), &[kinds]);
    check_caller(json!("anyone"), &["CALLERS.web: must be a table"]);
    check_caller(json!({"kind": "anyone", "issuer": "x"}), &["CALLERS.web.issuer: is not a known field"]);
    check_caller(json!({"kind": "key"}), &["WEB_KEY: is missing: set this secret"]);
    check_caller(
        json!({"kind": "key", "a\nb": 1}),
        &["WEB_KEY: is missing: set this secret", "CALLERS.web.a\\nb: is not a known field"],
    );
}

#[test]
fn refuses_weak_and_unsendable_keys() {
    let nobody = "name no caller that can be used";
    let rules: Vec<String> = ["api", "fixed", "guru", "hubsoft", "renewed", "v8"]
        .map(|id| format!("CONNECTIONS.{id}.rules: {nobody}"))
        .into();
    for (key, message) in [
        (json!(""), "is missing: set this secret"),
        (json!(7), "must be a text"),
        (json!(","), "must hold at least one key"),
        (json!(&KEY[1..]), "must be 32 characters or more, each key of several"),
        (json!(format!("{KEY},{}", &KEY[1..])), "must be 32 characters or more, each key of several"),
        (json!(format!("{KEY}, {KEY}")), "must hold each key once"),
        (json!(format!("{KEY}\n")), "must be visible ASCII, several keys separated by commas"),
        (json!(format!("{KEY},é{KEY}")), "must be visible ASCII, several keys separated by commas"),
    ] {
        let expected = format!("BACKEND_KEY: {message}");
        let mut all = vec![expected.as_str()];
        all.extend(rules.iter().map(String::as_str));
        check(&[("BACKEND_KEY", key)], &all, &["api", "fixed", "guru", "hubsoft", "renewed", "v8"]);
    }
}

#[test]
fn refuses_two_callers_of_one_key() {
    let changes = [
        ("CALLERS/web", json!({"kind": "key"})),
        ("WEB_KEY", json!(KEY)),
        ("CALLERS/other", json!({"kind": "key"})),
        ("OTHER_KEY", json!(KEY.replace('0', "x"))),
    ];
    let (config, problems) = read(&changed(&changes));
    let fields: Vec<&str> = problems.iter().map(Problem::field).take(2).collect();
    assert_eq!(fields, ["BACKEND_KEY", "WEB_KEY"]);
    assert!(
        !config.callers.get("backend").unwrap().is_usable()
            && !config.callers.get("web").unwrap().is_usable()
    );
    assert!(config.callers.get("other").unwrap().is_usable());
}

#[test]
fn refuses_callers_that_share_one_of_several_keys() {
    let [one, two] = ['x', 'y'].map(|mark| KEY.replace('0', &mark.to_string()));
    let (config, problems) = read(&changed(&[
        ("CALLERS/web", json!({"kind": "key"})),
        ("BACKEND_KEY", json!(format!("{KEY},{one}"))),
        ("WEB_KEY", json!(format!("{two},{one}"))),
    ]));
    assert!(
        !config.callers.get("backend").unwrap().is_usable()
            && !config.callers.get("web").unwrap().is_usable()
    );
    assert_eq!(problems[0].to_string(), "BACKEND_KEY: must differ from every other caller's key");
}

#[test]
fn refuses_names_that_share_secrets() {
    let message = "must have another name: its secrets have the same names as another one's";
    check(
        &[("CALLERS/my-app", json!({"kind": "anyone"})), ("CALLERS/My_App", json!({"kind": "anyone"}))],
        &[&format!("CALLERS.My_App: {message}"), &format!("CALLERS.my-app: {message}")],
        &[],
    );
    let reserved = "must have another name: ADMIN_KEY is the operators' key";
    check(
        &[("CALLERS/Admin", json!({"kind": "key"})), ("ADMIN_KEY", json!(KEY))],
        &[&format!("CALLERS.Admin: {reserved}")],
        &[],
    );
}

#[test]
fn leaves_out_callers_whose_names_cannot_be_used() {
    let message = "must have a name of 1 to 64 letters, digits, - and _ that begins with a letter or digit";
    check(&[("CALLERS/-x", json!({"kind": "anyone"}))], &[&format!("CALLERS.-x: {message}")], &[]);
    let (config, _) = read(&changed(&[("CALLERS/-x", json!({"kind": "anyone"}))]));
    assert!(!config.callers.contains_key("-x"));
}

#[test]
fn takes_anyone_from_a_rule_alone() {
    let (config, problems) = read(&changed(&[(RULE_CALLERS, json!(["anyone"]))]));
    assert_eq!(problems, []);
    assert!(matches!(config.callers.get("anyone").unwrap(), Configured::Usable(Caller::Anyone)));
    assert!(!read(&sound()).0.callers.contains_key("anyone"));
}

#[test]
fn prefers_the_configured_caller_called_anyone() {
    check(
        &[(RULE_CALLERS, json!(["anyone"])), ("CALLERS/anyone", json!({"kind": "key"}))],
        &[
            "ANYONE_KEY: is missing: set this secret",
            "CONNECTIONS.guru.rules: name no caller that can be used",
        ],
        &["guru"],
    );
}
