//! Keeps the direction of dependencies as the architecture page tells it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Each part of the crate, and what it may name besides itself.
const PARTS: [(&str, &[&str]); 16] = [
    ("platform", &["edge", "objects", "ports", "protocol", "config", "oauth", "token", "http", "time"]),
    (
        "simulation",
        &[
            "edge", "objects", "ports", "protocol", "config", "oauth", "token", "webhook", "jose", "http",
            "secret", "time",
        ],
    ),
    (
        "edge",
        &[
            "ports", "protocol", "config", "jose", "oauth", "token", "webhook", "http", "json", "form",
            "secret", "time",
        ],
    ),
    (
        "objects",
        &[
            "ports", "protocol", "config", "oauth", "token", "webhook", "http", "json", "form", "secret",
            "time",
        ],
    ),
    ("ports", &["protocol", "config", "jose", "oauth", "http", "time"]),
    ("protocol", &["config", "oauth", "token", "webhook", "secret", "time"]),
    ("oauth", &["config", "token", "http", "form", "secret", "time"]),
    ("config", &["jose", "token", "webhook", "http", "form", "secret", "time"]),
    ("jose", &["json", "time"]),
    ("token", &["secret", "time"]),
    ("webhook", &["http", "json", "secret", "time"]),
    ("http", &["form", "secret", "time"]),
    ("json", &[]),
    ("form", &[]),
    ("secret", &[]),
    ("time", &[]),
];

/// Names of the host, which `platform` alone may use.
const HOST: [&str; 5] = ["worker", "js_sys", "wasm_bindgen", "web_sys", "getrandom"];

fn sources() -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                let relative = path.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap().to_path_buf();
                found.push((relative, text));
            }
        }
    }
    assert!(found.len() > 40, "the sources are where they were");
    found
}

/// The part that a file belongs to.
fn part(path: &Path) -> String {
    let below = path.components().nth(1).unwrap().as_os_str().to_str().unwrap();
    below.trim_end_matches(".rs").to_owned()
}

/// The code of a file without its tests and comments.
fn code(text: &str) -> String {
    let code = text.split("\nmod tests {").next().unwrap();
    code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

fn is_test_file(path: &Path) -> bool {
    path.components().any(|part| part.as_os_str() == "tests" || part.as_os_str() == "tests.rs")
}

/// The words that directly follow `crate::` or stand in a list behind it.
fn parts_named(code: &str) -> Vec<String> {
    let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    code.split("crate::").skip(1).map(word).filter(|name| !name.is_empty()).collect()
}

#[test]
fn lets_dependencies_point_down_only() {
    let parts: BTreeMap<&str, &[&str]> = PARTS.into_iter().collect();
    for (path, text) in sources() {
        let part = part(&path);
        if part == "lib" || is_test_file(&path) {
            continue;
        }
        let allowed = parts.get(part.as_str()).unwrap_or_else(|| panic!("{part} is no part of the map"));
        assert!(!text.contains("crate::{"), "{}: imports of the crate are a line each", path.display());
        for named in parts_named(&code(&text)) {
            let known = named == part || allowed.contains(&named.as_str());
            assert!(known, "{} names {named}, which is not below {part}", path.display());
        }
    }
}

#[test]
fn lets_the_platform_alone_know_the_host() {
    for (path, text) in sources() {
        let code = code(&text);
        let names_host = HOST.iter().any(|host| {
            code.split(host).zip(code.split(host).skip(1)).any(|(before, after)| {
                let stands_alone = !before.ends_with(|c: char| c.is_alphanumeric() || c == '_');
                stands_alone && after.starts_with("::")
            })
        });
        let in_platform = part(&path) == "platform";
        assert!(!names_host || in_platform, "{} names the host", path.display());
    }
}

#[test]
fn maps_every_part_on_the_architecture_page() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).unwrap();
    for (part, _) in PARTS {
        assert!(page.contains(&format!("`{part}`")), "the page does not tell of {part}");
        assert!(page.contains(&format!("mod {part};")), "{part} is no module");
    }
    let words = page.lines().filter(|line| line.starts_with("//!")).flat_map(str::split_whitespace).count();
    assert!(words < 600, "the page has {words} words");
}

#[test]
fn keeps_files_short() {
    for (path, text) in sources().into_iter().filter(|(path, _)| !is_test_file(path)) {
        let lines = code(&text).lines().count();
        assert!(lines <= 300, "{} has {lines} lines of code: why?", path.display());
    }
}
