use super::*;

/// Checks that a file that is no TOML is told so in these lines, and without any
/// value.
fn check_syntax(text: &str, expected: &[(usize, &str)]) {
    let report = report(text);
    let told = told(&report.problems);
    let fits = |(told, (line, text)): (&String, &(usize, &str))| {
        told.starts_with(&format!("{line} : is not TOML: ")) && told.contains(text)
    };
    assert!(told.len() == expected.len() && told.iter().zip(expected).all(fits), "{text}: {told:#?}");
    assert!(report.warnings.is_empty() && report.secrets.is_empty());
    assert!(!format!("{report:?}").contains("CANARY"), "{report:?}");
}

#[test]
fn says_where_a_file_is_no_toml_and_what_was_expected() {
    check_syntax("a = 1\nb = \"CANARY\nc = 2\n", &[(2, "expected `\"`")]);
    check_syntax("a = CANARY\n", &[(1, "string values must be quoted")]);
    check_syntax("[vars]\nA = 'CANARY'\nA = 'CANARY'\n", &[(3, "duplicate key")]);
    check_syntax("[vars]\nA = ['CANARY'\n", &[(2, "expected `]`")]);
    check_syntax("[vars\nA = 'CANARY'\n", &[(1, "expected `]`")]);
    check_syntax("CANARY\n", &[(1, "expected `=`")]);
    check_syntax("a = \"CANARY\\q\"\n", &[(1, "escape")]);
    check_syntax("a = 2026-99-99T\nb = 1_\n", &[(1, ""), (2, "")]);
    check_syntax("a = 1\n\n[a]\nb = 'CANARY'\n", &[(3, "duplicate key")]);
    check_syntax("a = { b = 'CANARY' c = 2 }\n", &[(1, "expected `,`")]);
    check_syntax("a = 'CANARY' 'CANARY'\n", &[(1, "")]);
}

#[test]
fn tells_of_every_error_at_once() {
    check_syntax("a = CANARY\n[vars]\nb = \"CANARY\nc = 'CANARY\n", &[(1, ""), (3, ""), (4, "")]);
}

#[test]
fn survives_hostile_files() {
    for text in [
        "",
        "\u{feff}",
        "\0",
        "=",
        "[",
        "[[",
        "]",
        "'''",
        "\"\"\"",
        "a.b.c",
        "a = [[[[",
        "[env]\n[env.a.vars]\n",
    ] {
        let _ = report(text);
    }
    for depth in [10, 100, 10_000] {
        let _ = report(&format!("[vars]\nCONNECTIONS = {}{}", "[".repeat(depth), "]".repeat(depth)));
        let _ = report(&format!("[vars]\nCONNECTIONS = {}1{}", "{a=".repeat(depth), "}".repeat(depth)));
        let _ = report(&format!("[vars.{}a]\n", "a.".repeat(depth)));
    }
}
