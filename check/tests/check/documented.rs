use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use porteiro::config::VARIABLES;

use super::*;

fn in_root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join(path)
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}

/// The documents of the repository.
fn documents() -> Vec<PathBuf> {
    let within = |folder: PathBuf| fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let documents = within(in_root("docs")).filter(|path| path.is_dir()).flat_map(within);
    let documents = documents.filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    documents.chain([in_root("README.md"), in_root("SECURITY.md")]).collect()
}

#[test]
fn finds_nothing_wrong_with_the_repositorys_own_file() {
    let report = report(&read(&in_root("wrangler.toml")));
    assert_eq!((told(&report.problems), told(&report.warnings)), (Vec::new(), Vec::new()));
}

#[test]
fn finds_nothing_wrong_with_the_examples_in_the_repositorys_own_file() {
    let file = read(&in_root("wrangler.toml"));
    // What may be written there is commented out: `# [vars.…` and `# name = …`.
    let is_example = |line: &str| {
        let line = line.trim_start_matches("# ");
        line.starts_with('[')
            || line
                .split_once(" = ")
                .is_some_and(|(name, _)| name.chars().all(|c| c.is_alphanumeric() || c == '_'))
    };
    let examples = |line: &str| {
        if is_example(line) { line.trim_start_matches("# ").to_owned() } else { line.to_owned() }
    };
    let text = file.lines().map(examples).collect::<Vec<_>>().join("\n");
    let report = report(&text);
    assert_eq!(told(&report.problems), Vec::<String>::new(), "{text}");
    assert!(report.secrets.len() > 15, "{:?}", report.secrets);
}

#[test]
fn finds_nothing_wrong_with_the_sandboxs_file() {
    let report =
        check(&read(&in_root("sandbox/wrangler.toml")), &Options { local: true, ..Options::default() })
            .unwrap();
    assert_eq!(told(&report.problems), Vec::<String>::new());
    // Whoever opens its page may call.
    let others = |it: &&Finding| {
        !["is whoever calls", "has no rate_limit", "sends people's own passwords", "allow POST without"]
            .iter()
            .any(|text| it.message.starts_with(text))
    };
    assert_eq!(report.warnings.iter().filter(others).count(), 0, "{:?}", told(&report.warnings));
}

/// The connections that a block has tables of.
fn connections(block: &str) -> BTreeSet<&str> {
    block.split("vars.CONNECTIONS.").skip(1).filter_map(|rest| rest.split(['.', ']']).next()).collect()
}

/// Every block of TOML, with what stands elsewhere in the file.
#[test]
fn finds_nothing_wrong_with_any_documented_configuration() {
    let mut count = 0;
    for document in documents() {
        for block in read(&document).split("```toml\n").skip(1) {
            let block = block.split("```").next().unwrap();
            let mut text = sound(block);
            for name in ["backend", "staff"] {
                if !block.contains(&format!("[vars.CALLERS.{name}]")) {
                    text = format!("{text}\n[vars.CALLERS.{name}]\nkind = 'key'\n");
                }
            }
            for name in connections(block) {
                let table = format!("[vars.CONNECTIONS.{name}]");
                if block.contains(&format!("vars.CONNECTIONS.{name}.")) && !block.contains(&table) {
                    text = format!("{text}\n{table}\nprovider = 'guru'\n");
                    if !block.contains(&format!("[[vars.CONNECTIONS.{name}.rules]]")) {
                        text.push_str(
                            "rules = [{ callers = ['backend'], methods = ['GET'], paths = ['/a'] }]\n",
                        );
                    }
                }
            }
            let told = told(&report(&text).problems);
            assert!(told.is_empty(), "{}: {told:#?}\n{text}", document.display());
            count += 1;
        }
    }
    assert!(count > 25, "{count} blocks");
}

#[test]
fn knows_every_documented_variable() {
    let page = read(&in_root("docs/reference/configuration.md"));
    let table = page.split("\n## Variables\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let mut names: Vec<&str> = table
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`'))
        .map(|(name, _)| name)
        .collect();
    names.sort_unstable();
    assert_eq!(names, VARIABLES);
}
