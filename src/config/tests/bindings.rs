use super::*;
use crate::http::{RequestPath, Template};

/// A caller with claims, whom the rule of `api` is for.
fn bound(changes: &[(&str, Value)]) -> Vec<(String, Value)> {
    let jwt = json!({"kind": "jwt", "issuer": "https://id.example", "audience": "a"});
    let mut all = vec![
        ("CALLERS/staff".to_owned(), jwt),
        ("CONNECTIONS/api/labels".to_owned(), json!({"tenant": "acme", "odd": "a/b"})),
        ("CONNECTIONS/api/rules/0/callers".to_owned(), json!(["staff"])),
    ];
    all.extend(changes.iter().map(|(field, value)| (format!("CONNECTIONS/api/{field}"), value.clone())));
    all
}

fn check_bound(changes: &[(&str, Value)], expected: &[&str]) {
    let all = bound(changes);
    let all: Vec<(&str, Value)> = all.iter().map(|(place, value)| (place.as_str(), value.clone())).collect();
    let expected: Vec<String> = expected.iter().map(|problem| format!("CONNECTIONS.api.{problem}")).collect();
    let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
    check(&all, &expected, if expected.is_empty() { &[] } else { &["api"] });
}

const TEMPLATE: &str =
    "must be a text without braces, or the whole of it {claims.<name>}, {labels.<name>} and {connection}";

fn template_message() -> String {
    TEMPLATE.replace(" and ", " or ")
}

#[test]
fn reads_what_a_rule_binds() {
    let changes = bound(&[
        ("rules/0/methods", json!(["POST"])),
        ("rules/0/paths", json!(["/{labels.tenant}/{claims.sub}/**", "/of/{connection}"])),
        (
            "rules/0/claims",
            json!({"tenant": "{connection}", "level": [3, true], "azp": "{claims.client_id}"}),
        ),
        (
            "rules/0/query",
            json!({"busca": "cpf", "filter[id]": "{claims.https://a.example/id}", "na me": "{labels.odd}"}),
        ),
        ("rules/0/query_allowed", json!(["limit", "filter[name]"])),
        ("rules/0/body", json!({"/a/~0b~1/0": "{claims.sub}", "": "x"})),
    ]);
    let changes: Vec<(&str, Value)> =
        changes.iter().map(|(place, value)| (place.as_str(), value.clone())).collect();
    let (config, problems) = read(&changed(&changes));
    assert_eq!(problems, []);
    let connection = config.connection("api").unwrap().usable().unwrap();
    assert_eq!(
        connection.labels,
        [("odd", "a/b"), ("tenant", "acme")].map(|(n, v)| (n.to_owned(), v.to_owned()))
    );
    let rule = &connection.rules[0];
    let claims = |name: &str| (name == "sub").then(|| "s".to_owned());
    let fits =
        |path| rule.paths.iter().any(|pattern| pattern.fits(RequestPath::parse(path).unwrap(), &claims));
    assert!(fits("/acme/s/x") && fits("/of/api") && !fits("/acme/t/x") && !fits("/of/acme"));
    let binding = rule.binding.as_ref().unwrap();
    assert_eq!(binding.claims[0], ("azp".to_owned(), vec![ClaimValue::Own("client_id".to_owned())]));
    assert_eq!(binding.claims[2], ("tenant".to_owned(), vec![ClaimValue::Fixed(json!("api"))]));
    let query = binding.query.as_ref().unwrap();
    assert_eq!(query.bound[2].1, Template::Text("a/b".to_owned()));
    assert_eq!(query.allowed.as_ref().map(Vec::len), Some(2));
    assert_eq!(binding.body.len(), 2);
}

#[test]
fn looks_at_queries_only_where_a_rule_says_so() {
    let query = |changes: &[(&str, Value)]| {
        let all = bound(changes);
        let all: Vec<(&str, Value)> =
            all.iter().map(|(place, value)| (place.as_str(), value.clone())).collect();
        let (config, problems) = read(&changed(&all));
        assert_eq!(problems, []);
        let connection = config.connection("api").unwrap().usable().unwrap();
        let binding = connection.rules[0].binding.as_ref();
        binding.map(|binding| binding.query.as_ref().map(|query| query.allowed.as_ref().map(Vec::len)))
    };
    assert_eq!(query(&[]), None);
    assert_eq!(query(&[("rules/0/claims", json!({"a": 1}))]), Some(None));
    assert_eq!(query(&[("rules/0/query", json!({"a": "b"}))]), Some(Some(Some(0))));
    assert_eq!(
        query(&[("rules/0/query", json!({"a": "b"})), ("rules/0/query_allowed", json!(["*"]))]),
        Some(Some(None))
    );
    assert_eq!(query(&[("rules/0/query_allowed", json!(["x"]))]), Some(Some(Some(1))));
}

#[test]
fn says_what_to_write_in_templates() {
    let message = template_message();
    for wrong in [
        "{",
        "}",
        "{}",
        "{claims}",
        "{claims.}",
        "{labels.}",
        "{labels}",
        "{claim.sub}",
        "{connection.}",
        "{connection.id}",
        "x{claims.sub}",
        "{claims.sub}x",
        "{claims.a}{claims.b}",
        "a{b}c",
        "{ claims.sub}",
        "{Connection}",
        "{{claims.sub}}",
    ] {
        check_bound(&[("rules/0/query", json!({"a": wrong}))], &[&format!("rules[0].query.a: {message}")]);
        check_bound(
            &[("rules/0/claims", json!({"a": [1, wrong]}))],
            &[&format!("rules[0].claims.a: {message}")],
        );
        check_bound(
            &[("rules/0/methods", json!(["POST"])), ("rules/0/body", json!({"/a": wrong}))],
            &[&format!("rules[0].body./a: {message}")],
        );
    }
    let label = "must name one of the connection's labels";
    check_bound(
        &[("rules/0/query", json!({"a": "{labels.other}"}))],
        &[&format!("rules[0].query.a: {label}")],
    );
    check_bound(
        &[("rules/0/paths", json!(["/a", "/{labels.other}"]))],
        &[&format!("rules[0].paths[1]: {label}")],
    );
    check_bound(&[("rules/0/paths", json!(["/{claim.sub}"]))], &[&format!("rules[0].paths[0]: {message}")]);
    check_bound(
        &[("rules/0/paths", json!(["/{claims.sub}x"]))],
        &[&format!("rules[0].paths[0]: {}", syntax::PATH_PATTERN)],
    );
    check_bound(
        &[("rules/0/paths", json!(["/{labels.odd}"]))],
        &["rules[0].paths[0]: has a label whose value cannot be a segment of a path"],
    );
    check_bound(
        &[("rules/0/query", json!({"a": 1, "b": null}))],
        &["rules[0].query.a: must be a text", "rules[0].query.b: must be a text"],
    );
}

#[test]
fn needs_callers_that_have_claims() {
    let none =
        "needs claims: name no caller of kind key or anyone in this rule, and no session without connection";
    for nobody in ["backend", "web", "anyone", "session"] {
        let callers = ("rules/0/callers", json!(["staff", nobody]));
        check_bound(
            &[callers.clone(), ("rules/0/paths", json!(["/{claims.sub}"]))],
            &[&format!("rules[0].paths[0]: {none}")],
        );
        check_bound(
            &[callers.clone(), ("rules/0/query", json!({"a": "{claims.sub}"}))],
            &[&format!("rules[0].query.a: {none}")],
        );
        check_bound(
            &[callers.clone(), ("rules/0/claims", json!({"a": 1}))],
            &[&format!("rules[0].claims: {none}")],
        );
        check_bound(&[callers, ("rules/0/query", json!({"a": "{labels.tenant}", "b": "{connection}"}))], &[]);
    }
}

#[test]
fn keeps_bound_names_apart_from_all_others() {
    let bound = "must not be a bound name, nor what a server can read as one";
    for spelling in [
        "termo_busca",
        "Termo_Busca",
        "termo.busca",
        "termo_busca[]",
        "[termo_busca]",
        "termo busca",
        "termo_busca.x",
    ] {
        check_bound(
            &[
                ("rules/0/query", json!({"termo_busca": "x"})),
                ("rules/0/query_allowed", json!(["a", spelling])),
            ],
            &[&format!("rules[0].query_allowed[1]: {bound}")],
        );
        if spelling != "termo_busca" {
            let all =
                super::bindings::bound(&[("rules/0/query", json!({"termo_busca": "x", spelling: "y"}))]);
            let all: Vec<(&str, Value)> =
                all.iter().map(|(place, value)| (place.as_str(), value.clone())).collect();
            let (_, problems) = read(&changed(&all));
            assert_eq!(problems.len(), 1, "{spelling}");
            assert_eq!(
                problems[0].message(),
                "must be one name: a server can read another bound one as the same"
            );
        }
    }
    let name = "must be a parameter's name of at most 256 bytes, without & = ; + % # and control characters";
    for wrong in ["", "a&b", "a=b", "a;b", "a+b", "a%20b", "a#b", "[]"] {
        check_bound(&[("rules/0/query", json!({wrong: "x"}))], &[&format!("rules[0].query.{wrong}: {name}")]);
        check_bound(
            &[("rules/0/query_allowed", json!([wrong]))],
            &[&format!("rules[0].query_allowed[0]: {name}")],
        );
    }
    check_bound(
        &[("rules/0/query_allowed", json!(["*", "a"]))],
        &["rules[0].query_allowed[0]: must stand alone where it means any name"],
    );
    let allowed = "must be an array of at most 64 names, or [\"*\"]";
    check_bound(&[("rules/0/query_allowed", json!("a"))], &[&format!("rules[0].query_allowed: {allowed}")]);
    let many: Vec<String> = (0..65).map(|number| format!("n{number}")).collect();
    check_bound(&[("rules/0/query_allowed", json!(many))], &[&format!("rules[0].query_allowed: {allowed}")]);
    check_bound(&[("rules/0/query_allowed", json!([1]))], &["rules[0].query_allowed[0]: must be a text"]);
}

#[test]
fn binds_bodies_only_where_there_can_be_one() {
    let pointer = "must have a JSON Pointer as its name, such as /customer/id";
    for wrong in ["a", "customer/cpf", "/a~", "/a~2", "/~/a", "#/a"] {
        check_bound(
            &[("rules/0/methods", json!(["POST"])), ("rules/0/body", json!({wrong: "x"}))],
            &[&format!("rules[0].body.{wrong}: {pointer}")],
        );
    }
    for methods in [json!(["GET"]), json!(["POST", "HEAD"])] {
        check_bound(
            &[("rules/0/methods", methods), ("rules/0/body", json!({"/a": "x"}))],
            &["rules[0].body: needs methods that have a body: name neither GET nor HEAD in this rule"],
        );
    }
}

#[test]
fn keeps_tables_and_texts_within_bounds() {
    let entries = "must be a table of 1 to 32 entries";
    let many: Variables = (0..33).map(|number| (format!("n{number}"), json!("x"))).collect();
    check_bound(&[("rules/0/query", json!({}))], &[&format!("rules[0].query: {entries}")]);
    check_bound(&[("rules/0/query", json!(many))], &[&format!("rules[0].query: {entries}")]);
    check_bound(&[("rules/0/query", json!("a=b"))], &["rules[0].query: must be a table"]);
    check_bound(
        &[("rules/0/query", json!({"a": "x".repeat(257)}))],
        &["rules[0].query.a: must have at most 256 bytes"],
    );
    check_bound(&[("rules/0/query", json!({"a": "x".repeat(256)}))], &[]);
    check_bound(&[("labels", json!(many))], &["labels: must have at most 32 labels"]);
    check_bound(
        &[("labels", json!({"a b": "x"}))],
        &["labels.a b: must have a name of 1 to 64 letters, digits, - and _"],
    );
    let label = "must be a text of 1 to 256 bytes without control characters";
    for wrong in [json!(""), json!("a\n"), json!("x".repeat(257))] {
        check_bound(&[("labels", json!({"a": wrong}))], &[&format!("labels.a: {label}")]);
    }
    check_bound(&[("labels", json!({"a": 1}))], &["labels.a: must be a text"]);
}

#[test]
fn reports_all_problems_of_a_rule_at_once() {
    check_bound(
        &[
            ("rules/0/paths", json!(["/{claims.}"])),
            ("rules/0/claims", json!({"a": {}})),
            ("rules/0/query", json!({"a": "{x}", "b": "y"})),
            ("rules/0/query_allowed", json!(["b"])),
            ("rules/0/body", json!({"c": "z"})),
        ],
        &[
            &format!("rules[0].paths[0]: {}", template_message()),
            "rules[0].claims.a: must be a text, a number, true or false, or an array of several",
            &format!("rules[0].query.a: {}", template_message()),
            "rules[0].query_allowed[0]: must not be a bound name, nor what a server can read as one",
            "rules[0].body.c: must have a JSON Pointer as its name, such as /customer/id",
            "rules[0].body: needs methods that have a body: name neither GET nor HEAD in this rule",
        ],
    );
}

#[test]
fn shares_no_copies_by_a_rule_that_is_bound_to_claims() {
    let message =
        "rules[0].cache.shared: must be false: this rule binds what each caller may see to their claims";
    let cache = |shared: bool| ("rules/0/cache", json!({"seconds": 30, "shared": shared}));
    for bound in [
        ("rules/0/paths", json!(["/of/{claims.sub}"])),
        ("rules/0/query", json!({"of": "{claims.sub}"})),
        ("rules/0/claims", json!({"role": ["admin"]})),
    ] {
        check_bound(&[bound.clone(), cache(true)], &[message]);
        check_bound(&[bound, cache(false)], &[]);
    }
    for shared in [
        ("rules/0/paths", json!(["/of/{labels.tenant}"])),
        ("rules/0/query", json!({"of": "{connection}"})),
        ("rules/0/methods", json!(["GET", "POST"])),
    ] {
        check_bound(&[shared, cache(true)], &[]);
    }
    let methods = ("rules/0/methods", json!(["HEAD", "POST"]));
    check_bound(
        &[methods, cache(true)],
        &["rules[0].cache: needs the method GET in this rule: no other answer is kept"],
    );
}
