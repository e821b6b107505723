//! What is found in a configuration, and where.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod development;
mod documented;
mod environments;
mod mistakes;
mod mounted;
mod secrets;
mod sharing;
mod signing;
mod syntax;
mod warnings;

use porteiro_check::report::{Finding, Report};
use porteiro_check::{Options, check};

/// What the Worker needs of wrangler, in one line.
const SOUND: &str = "name = 'porteiro'; main = 'build/index.js'; compatibility_date = '2026-11-01'; \
     compatibility_flags = ['global_fetch_strictly_public']; kv_namespaces = [{ binding = 'TOKENS' }]; \
     durable_objects = { bindings = [{ name = 'KEEPER', class_name = 'Keeper' }] }; \
     migrations = [{ tag = 'v1', new_sqlite_classes = ['Keeper'] }]";

/// How many lines [`sound`] puts before the text.
const BEFORE: usize = 7;

/// A sound file that goes on with `text`.
fn sound(text: &str) -> String {
    format!("{}\n{text}", SOUND.replace("; ", "\n"))
}

fn report(text: &str) -> Report {
    check(text, &Options::default()).unwrap()
}

/// What is told, as `line [environment] field: message`.
fn told(findings: &[Finding]) -> Vec<String> {
    let environment =
        |finding: &Finding| finding.environment.as_ref().map(|name| format!("{name} ")).unwrap_or_default();
    findings.iter().map(|it| format!("{} {}{}: {}", it.line, environment(it), it.field, it.message)).collect()
}

/// Checks that exactly the findings are told that `expected` begin, lines counted
/// behind what [`sound`] adds.
fn expect(findings: &[Finding], expected: &[(usize, &str)]) {
    let told = told(findings);
    let expected: Vec<String> =
        expected.iter().map(|(line, text)| format!("{} {text}", line + BEFORE)).collect();
    let fits = told.len() == expected.len()
        && told.iter().zip(&expected).all(|(told, start)| told.starts_with(start));
    assert!(fits, "told {told:#?}, expected {expected:#?}");
}
