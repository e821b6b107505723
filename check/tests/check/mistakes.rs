use super::*;

const FILE: &str = include_str!("mistakes.toml");

/// What the file says must be told, as [`told`] writes it.
fn expected() -> Vec<String> {
    let lines = FILE.lines().enumerate();
    lines
        .flat_map(|(at, line)| {
            line.split("#! ").skip(1).map(move |text| format!("{} {}", at + 1, text.trim()))
        })
        .collect()
}

#[test]
fn finds_every_mistake_in_its_line() {
    let mut told = told(&report(FILE).problems);
    let expected = expected();
    assert!(expected.len() > 60, "{}", expected.len());
    for start in &expected {
        let found = told
            .iter()
            .position(|told| told.starts_with(start))
            .unwrap_or_else(|| panic!("{start}: {told:#?}"));
        told.remove(found);
    }
    assert!(told.is_empty(), "{told:#?}");
}

#[test]
fn tells_no_value() {
    assert!(FILE.matches("CANARY").count() > 30);
    for options in [Options::default(), Options { local: true, ..Options::default() }] {
        let report = check(FILE, &options).unwrap();
        let text = format!("{} {report:?}", serde_json::to_string(&report).unwrap());
        assert!(!text.to_lowercase().contains("canary"), "{text}");
    }
}

#[test]
fn points_at_the_character() {
    let text =
        sound("[vars]\nBASE_PATH = 7\nALLOWED_ORIGINS = ['https://é.example', 'x']\n[vars.CONNECTIONS.a]\n");
    let report = report(&text);
    let places: Vec<(usize, &str)> =
        report.problems.iter().map(|it| (it.column, it.field.as_str())).collect();
    // An item is pointed at itself, a field by its name, what a table lacks by the table's.
    let expected = [
        (1, "BASE_PATH"),
        (20, "ALLOWED_ORIGINS[0]"),
        (41, "ALLOWED_ORIGINS[1]"),
        (19, "CONNECTIONS.a.provider"),
    ];
    assert_eq!(places[..4], expected);
}

/// One connection whose second rule names a path that is none, in every form that
/// TOML has for it, with the line of the path.
#[test]
fn knows_every_form_of_a_table() {
    let forms = [
        (
            "[vars.CALLERS.a]\nkind = 'session'\n[vars.CONNECTIONS.x]\nprovider = 'guru'\n[[vars.CONNECTIONS.x.rules]]\n\
             callers = ['a']\nmethods = ['GET']\npaths = ['/']\n[[vars.CONNECTIONS.x.rules]]\ncallers = ['a']\n\
             methods = ['GET']\npaths = [\n'/',\n'x']",
            14,
        ),
        (
            "[vars]\nCONNECTIONS.x.provider = 'guru'\nCONNECTIONS.x.rules = [\n\
             { callers = ['session'], methods = ['GET'], paths = ['/'] },\n\
             { callers = ['session'], methods = ['GET'], paths = ['/', 'x'] }]",
            5,
        ),
        (
            "[vars]\nCONNECTIONS = { x = { provider = 'guru', rules = [\n\
             { callers = ['session'], methods = ['GET'], paths = ['/'] }, { callers = ['session'],\n\
             methods = ['GET'], paths = ['/',\n'x'] }] } }",
            5,
        ),
        (
            "vars.CONNECTIONS.x.provider = 'guru'\nvars.CONNECTIONS.x.rules = [\
             { callers = ['session'], methods = ['GET'], paths = ['/'] },\n{ paths.a = 1 }, ]",
            0,
        ),
        (
            "[vars]\nCONNECTIONS = '''{\"x\": {\"provider\": \"guru\", \"rules\": [{\"callers\": [\"session\"],\n\
             \"methods\": [\"GET\"], \"paths\": [\"/\"]}, {\"callers\": [\"session\"],\n\
             \"methods\": [\"GET\"], \"paths\": [\"/\", \"x\"]}]}}'''",
            2,
        ),
    ];
    for (text, line) in forms {
        let report = report(&sound(text));
        if line == 0 {
            expect(
                &report.problems,
                &[
                    (3, "CONNECTIONS.x.rules[1].callers: must be an array"),
                    (3, "CONNECTIONS.x.rules[1].methods: must be an array"),
                    (3, "CONNECTIONS.x.rules[1].paths: must be an array"),
                ],
            );
        } else {
            expect(
                &report.problems,
                &[(line, "CONNECTIONS.x.rules[1].paths[1]: must be a path that begins with /")],
            );
        }
    }
}
