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
        let allowed =
            ["is whoever calls", "has no rate_limit", "sends people's own passwords", "allow POST without"];
        !allowed.iter().any(|text| it.message.starts_with(text)) && !is_unbound_for_anyone(&it.message)
    };
    assert_eq!(report.warnings.iter().filter(others).count(), 0, "{:?}", told(&report.warnings));
}

fn is_unbound_for_anyone(message: &str) -> bool {
    message.starts_with("binds nothing") && message.ends_with("not anyone")
}

/// The connections that a block has tables of.
fn connections(block: &str) -> BTreeSet<&str> {
    block.split("vars.CONNECTIONS.").skip(1).filter_map(|rest| rest.split(['.', ']']).next()).collect()
}

/// The file of a documented block, with what stands elsewhere in it.
fn completed(block: &str) -> String {
    let mut text = sound(block);
    let people = "kind = 'jwt'\nissuer = 'https://issuer.example'\naudience = 'broker'";
    for (name, fields) in
        [("backend", "kind = 'key'"), ("staff", people), ("subscriber", people), ("buyer", people)]
    {
        if !block.contains(&format!("[vars.CALLERS.{name}]")) {
            text = format!("{text}\n[vars.CALLERS.{name}]\n{fields}\n");
        }
    }
    for name in connections(block) {
        let table = format!("[vars.CONNECTIONS.{name}]");
        if block.contains(&format!("vars.CONNECTIONS.{name}.")) && !block.contains(&table) {
            text = format!("{text}\n{table}\nprovider = 'guru'\n");
            if !block.contains(&format!("[[vars.CONNECTIONS.{name}.rules]]")) {
                text.push_str("rules = [{ callers = ['backend'], methods = ['GET'], paths = ['/a'] }]\n");
            }
        }
    }
    text
}

/// Every block of TOML, with what stands elsewhere in the file.
#[test]
fn finds_nothing_wrong_with_any_documented_configuration() {
    let mut count = 0;
    for document in documents() {
        for text in files(&document) {
            let told = told(&report(&text).problems);
            assert!(told.is_empty(), "{}: {told:#?}\n{text}", document.display());
            count += 1;
        }
    }
    assert!(count > 20, "{count} blocks");
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

/// The blocks of TOML in `document`, each as a file.
fn files(document: &Path) -> Vec<String> {
    let text = read(document);
    let blocks = text.split("```toml\n").skip(1);
    blocks.map(|block| completed(block.split("```").next().unwrap())).collect()
}

/// The warnings about rules that bind nothing, except for `anyone`, who has no claims.
fn unbound(text: &str) -> Vec<String> {
    let warnings = report(text).warnings.into_iter();
    let is_unbound = |message: &str| message.starts_with("binds nothing") && !is_unbound_for_anyone(message);
    told(&warnings.filter(|it| is_unbound(&it.message)).collect::<Vec<_>>())
}

#[test]
fn shows_no_rule_for_people_that_binds_nothing() {
    for document in documents() {
        for text in files(&document) {
            assert_eq!(unbound(&text), Vec::<String>::new(), "{}\n{text}", document.display());
        }
    }
}

#[test]
fn accepts_every_rule_of_the_guide_about_whose_data() {
    let page = in_root("docs/guides/whose-data.md");
    assert!(documents().contains(&page));
    let files = files(&page);
    assert!(files.len() > 5, "{} blocks", files.len());
    for text in files {
        let report = report(&text);
        assert_eq!(told(&report.problems), Vec::<String>::new(), "{text}");
        assert!(!told(&report.warnings).iter().any(|told| told.contains("binds nothing")), "{text}");
        // The page shows bound rules: without what binds them, each is warned of.
        let is_plain = |line: &&str| !["claims", "query", "body"].iter().any(|field| line.starts_with(field));
        let bare = text.lines().filter(is_plain).collect::<Vec<_>>().join("\n");
        let bare = bare.replace("/{claims.sub}", "/all");
        assert!(!unbound(&bare).is_empty(), "{bare}");
    }
}
