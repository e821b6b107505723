//! Keeps the house as `src/lib.rs` draws it: which part may name which, no circle of files, one name for one type.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Each part of the library: what it may name besides itself, and what to do where it needs more.
const PARTS: [(&str, &[&str], &str); 17] = [
    (
        "platform",
        &["edge", "objects", "ports", "protocol", "config", "http", "json", "time"],
        "platform translates between JavaScript and the ports, and decides nothing: what decides stands in edge or objects",
    ),
    (
        "edge",
        &[
            "client",
            "discovery",
            "ports",
            "protocol",
            "config",
            "jose",
            "oauth",
            "token",
            "webhook",
            "http",
            "json",
            "form",
            "secret",
            "time",
        ],
        "edge runs in an isolate. It reaches what runs in an object by a message only: add one to protocol",
    ),
    (
        "objects",
        &[
            "client",
            "discovery",
            "ports",
            "protocol",
            "config",
            "jose",
            "oauth",
            "token",
            "webhook",
            "http",
            "json",
            "secret",
            "time",
        ],
        "objects run in Durable Objects, and know no request and no public error: what both sides need stands in protocol or below",
    ),
    (
        "client",
        &["ports", "config", "oauth", "http", "secret"],
        "client sends what oauth writes, by the ports: what the answers mean is for edge and objects",
    ),
    (
        "discovery",
        &["ports", "config", "jose", "token", "http", "json", "secret", "time"],
        "discovery asks issuers, for edge and for objects: it knows neither of them, and no grant",
    ),
    (
        "ports",
        &["protocol", "config", "jose", "http", "json", "time"],
        "a port says what a resource does, in the words of protocol and below: it knows nobody who uses it",
    ),
    (
        "protocol",
        &["config", "oauth", "token", "webhook", "json", "secret", "time"],
        "protocol is what goes over the wire and into storage, without behaviour: move the behaviour to who acts on it",
    ),
    ("oauth", &["config", "token", "http", "json", "form", "secret", "time"], PURE),
    ("config", &["jose", "token", "webhook", "http", "json", "form", "secret", "time"], PURE),
    ("jose", &["json", "time"], PURE),
    ("token", &["json", "secret", "time"], PURE),
    ("webhook", &["http", "json", "form", "secret", "time"], PURE),
    ("http", &["form", "secret", "time"], VALUE),
    ("json", &[], VALUE),
    ("form", &[], VALUE),
    ("secret", &["json"], VALUE),
    ("time", &["json"], VALUE),
];

const PURE: &str = "it is pure: time and bytes come in as arguments, and what it depends on stands below it";
const VALUE: &str = "it is a value that is checked once: it depends on other values only";

/// Names of the host, which `platform` alone may use.
const HOST: [&str; 5] = ["worker", "js_sys", "wasm_bindgen", "web_sys", "getrandom"];

/// A source file of the library, without its tests and comments.
#[derive(Clone)]
struct Source {
    path: PathBuf,
    /// The module that it is: `["edge", "proxy"]`.
    module: Vec<String>,
    code: String,
}

impl Source {
    fn part(&self) -> &str {
        self.module.first().map_or("lib", String::as_str)
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The sources of the library.
fn sources() -> Vec<Source> {
    let found = sources_in("src");
    assert!(found.len() > 80, "the sources are where they were");
    found
}

/// The sources of the simulation, which may name whatever of the library is public.
fn simulation() -> Vec<Source> {
    let found = sources_in("simulation/src");
    assert!(found.len() > 20, "the simulation is where it was");
    found
}

fn sources_in(place: &str) -> Vec<Source> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(place)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let relative = path.strip_prefix(root().join(place)).unwrap().to_path_buf();
            let is_test = relative
                .components()
                .any(|part| matches!(part.as_os_str().to_str(), Some("tests" | "tests.rs")));
            if path.extension().is_none_or(|extension| extension != "rs") || is_test {
                continue;
            }
            let module = relative.with_extension("");
            let module =
                module.iter().map(|part| part.to_str().unwrap().to_owned()).filter(|part| part != "lib");
            let code = code(&fs::read_to_string(&path).unwrap());
            found.push(Source { module: module.collect(), path: Path::new(place).join(relative), code });
        }
    }
    found.sort_by(|one, other| one.path.cmp(&other.path));
    found
}

/// The code of a file without its tests and comments.
fn code(text: &str) -> String {
    let code = text.split("mod tests {").next().unwrap();
    let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    // Where a thing may be seen is no dependence.
    lines.map(without_visibility).collect::<Vec<_>>().join("\n")
}

fn without_visibility(line: &str) -> String {
    let Some((before, rest)) = line.split_once("pub(in ") else { return line.to_owned() };
    rest.split_once(')').map_or_else(|| line.to_owned(), |(_, after)| format!("{before}pub(){after}"))
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The paths that the file's code names within the crate, as segments from its root: imports, and paths in the code
/// that begin with `crate`, `super` or a module of its own.
fn paths(source: &Source, children: &BTreeSet<String>) -> BTreeSet<Vec<String>> {
    let mut named = Vec::new();
    let mut rest = source.code.as_str();
    while let Some(at) = rest.find("use ") {
        let is_statement = rest[..at].chars().next_back().is_none_or(char::is_whitespace);
        let end = rest[at..].find(';').map_or(rest.len(), |end| at + end);
        if is_statement {
            expand("", &rest[at + 4..end], &mut named);
        }
        rest = &rest[if is_statement { end } else { at + 4 }..];
    }
    let mut code = source.code.as_str();
    while let Some(at) = code.find("::") {
        let begin = code[..at].rfind(|c| !is_word(c)).map_or(0, |before| before + 1);
        let end = code[at..].find(|c| !is_word(c) && c != ':').map_or(code.len(), |end| at + end);
        named.push(code[begin..end].trim_end_matches(':').to_owned());
        code = &code[end.max(at + 2)..];
    }
    named.iter().filter_map(|path| absolute(path, source, children)).collect()
}

/// The leaves of an import.
fn expand(prefix: &str, tree: &str, leaves: &mut Vec<String>) {
    let mut depth = 0;
    let mut part = String::new();
    for c in tree.chars().chain([',']) {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if c != ',' || depth > 0 {
            part.push(c);
            continue;
        }
        let whole = std::mem::take(&mut part);
        let whole = whole.split_whitespace().collect::<Vec<_>>().join(" ");
        let whole = whole.split(" as ").next().unwrap_or_default();
        match whole.split_once('{') {
            Some((before, inner)) => {
                expand(&format!("{prefix}{before}"), inner.trim_end().trim_end_matches('}'), leaves);
            }
            None if whole.is_empty() => {}
            None => leaves.push(format!("{prefix}{whole}")),
        }
    }
}

/// A path from the crate's root; nothing where it leads out of the crate.
fn absolute(path: &str, source: &Source, children: &BTreeSet<String>) -> Option<Vec<String>> {
    let mut segments: Vec<String> =
        path.split("::").map(str::to_owned).filter(|s| !s.is_empty() && s != "*").collect();
    let mut base = source.module.clone();
    match segments.first()?.as_str() {
        "crate" => base.clear(),
        "self" => {}
        "super" => {
            while segments.first().is_some_and(|segment| segment == "super") {
                base.pop();
                segments.remove(0);
            }
            base.extend(segments);
            return Some(base);
        }
        first if children.contains(first) => {
            base.extend(segments);
            return Some(base);
        }
        _ => return None,
    }
    base.extend(segments.into_iter().skip(1));
    Some(base)
}

/// The library's files by their modules, and where each name that a path ends in is defined.
struct House {
    sources: Vec<Source>,
    by_module: BTreeMap<Vec<String>, usize>,
}

impl House {
    fn read() -> Self {
        let sources = sources();
        let by_module = sources.iter().enumerate().map(|(at, source)| (source.module.clone(), at)).collect();
        Self { sources, by_module }
    }

    fn children(&self, module: &[String]) -> BTreeSet<String> {
        let below = |known: &&Vec<String>| known.len() == module.len() + 1 && known.starts_with(module);
        self.by_module.keys().filter(below).map(|known| known[module.len()].clone()).collect()
    }

    /// The file that defines what `path` names, through the names that modules hand on.
    fn definition(&self, path: &[String], depth: u8) -> Option<usize> {
        let length = (0..=path.len()).rev().find(|length| self.by_module.contains_key(&path[..*length]))?;
        let at = self.by_module[&path[..length]];
        let Some(name) = path.get(length) else { return Some(at) };
        let source = &self.sources[at];
        if depth == 0 || defines(&source.code, name) {
            return Some(at);
        }
        let children = self.children(&source.module);
        let handed_on =
            paths(source, &children).into_iter().find(|known| known.last() == Some(name) && **known != *path);
        handed_on.map_or(Some(at), |known| self.definition(&known, depth - 1))
    }

    /// The files that each file names something of. What a module only hands on is not what it needs.
    fn arrows(&self) -> Vec<BTreeSet<usize>> {
        let named = |(at, source): (usize, &Source)| {
            let children = self.children(&source.module);
            let needed = Source { code: without_handed_on(&source.code), ..source.clone() };
            let found = paths(&needed, &children).into_iter().filter_map(|path| self.definition(&path, 4));
            found.filter(|other| *other != at).collect()
        };
        self.sources.iter().enumerate().map(named).collect()
    }
}

/// The code without `pub use`.
fn without_handed_on(code: &str) -> String {
    let mut needed = String::new();
    let mut is_handed_on = false;
    for line in code.lines() {
        is_handed_on |= line.starts_with("pub") && line.contains(" use ");
        if !is_handed_on {
            needed.extend([line, "\n"]);
        }
        is_handed_on &= !line.trim_end().ends_with(';');
    }
    needed
}

fn defines(code: &str, name: &str) -> bool {
    ["struct", "enum", "trait", "type", "fn", "const", "static"].iter().any(|kind| {
        code.match_indices(&format!("{kind} {name}")).any(|(at, found)| {
            let stands_alone = code[..at].chars().next_back().is_none_or(|c| !is_word(c));
            stands_alone && code[at + found.len()..].chars().next().is_none_or(|c| !is_word(c))
        })
    })
}

/// A way from a file back to itself, where there is one.
fn circle(arrows: &[BTreeSet<usize>]) -> Option<Vec<usize>> {
    fn search(
        at: usize,
        arrows: &[BTreeSet<usize>],
        way: &mut Vec<usize>,
        done: &mut BTreeSet<usize>,
    ) -> bool {
        if let Some(begin) = way.iter().position(|known| *known == at) {
            way.drain(..begin);
            way.push(at);
            return true;
        }
        if done.contains(&at) {
            return false;
        }
        way.push(at);
        for next in &arrows[at] {
            if search(*next, arrows, way, done) {
                return true;
            }
        }
        way.pop();
        done.insert(at);
        false
    }
    let mut done = BTreeSet::new();
    let mut way = Vec::new();
    (0..arrows.len()).any(|at| search(at, arrows, &mut way, &mut done)).then_some(way)
}

#[test]
fn lets_dependencies_point_down_only() {
    let house = House::read();
    for source in &house.sources {
        let part = source.part();
        if part == "lib" {
            continue;
        }
        let (_, below, advice) = PARTS.into_iter().find(|(name, ..)| *name == part).unwrap_or_else(|| {
            panic!("{part} is no part of the map: give it a row in PARTS and in src/lib.rs")
        });
        let children = house.children(&source.module);
        let named = paths(source, &children).into_iter().filter_map(|path| path.first().cloned());
        for named in named.filter(|named| PARTS.iter().any(|(known, ..)| known == named)) {
            let is_below = named == part || below.contains(&named.as_str());
            assert!(is_below, "{} names {named}, which is not below {part}: {advice}", source.path.display());
        }
    }
}

#[test]
fn lets_no_files_depend_on_each_other() {
    let house = House::read();
    let arrows = house.arrows();
    assert!(arrows.iter().map(BTreeSet::len).sum::<usize>() > 300, "the arrows are read");
    if let Some(way) = circle(&arrows) {
        let way: Vec<String> = way.iter().map(|at| house.sources[*at].path.display().to_string()).collect();
        panic!(
            "a circle of files: {}.\nMove what two of them share into a file of its own that names neither",
            way.join(" -> ")
        );
    }
}

#[test]
fn finds_a_circle_where_there_is_one() {
    let arrows = |ways: &[&[usize]]| ways.iter().map(|way| way.iter().copied().collect()).collect::<Vec<_>>();
    assert_eq!(circle(&arrows(&[&[1, 2], &[2], &[]])), None);
    assert_eq!(circle(&arrows(&[&[1], &[2], &[1]])), Some(vec![1, 2, 1]));
}

#[test]
fn reads_imports_and_paths_as_the_compiler_does() {
    let house = House::read();
    let at = |path: &str| house.sources.iter().position(|source| source.path == Path::new(path)).unwrap();
    let arrows = house.arrows();
    for (from, to) in [
        ("src/edge/proxy.rs", "src/edge/proxy/tokens.rs"),
        ("src/edge/proxy/tokens.rs", "src/protocol/token.rs"),
        ("src/objects/keeper.rs", "src/objects/token_set.rs"),
        ("src/objects/session.rs", "src/objects/token_set.rs"),
        ("src/config.rs", "src/token/token_type.rs"),
    ] {
        assert!(arrows[at(from)].contains(&at(to)), "{from} -> {to}");
    }
}

#[test]
fn gives_no_two_types_one_name() {
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for source in sources() {
        for line in source.code.lines().filter(|line| !line.starts_with(char::is_whitespace)) {
            let words: Vec<&str> = line.split(|c| !is_word(c)).filter(|word| !word.is_empty()).collect();
            let kind = words.iter().position(|word| matches!(*word, "struct" | "enum" | "trait" | "type"));
            let is_definition = !["impl", "use"].iter().any(|start| line.starts_with(start))
                && !line.contains("fn ")
                && !line.contains('"');
            if let Some(name) = kind.filter(|_| is_definition).and_then(|kind| words.get(kind + 1)) {
                places.entry((*name).to_owned()).or_default().push(source.path.display().to_string());
            }
        }
    }
    assert!(places.len() > 150, "the types are read");
    for (name, places) in places {
        assert!(places.len() == 1, "{name} is the name of several types, in {places:?}: say what each is of");
    }
}

#[test]
fn lets_the_platform_alone_know_the_host() {
    let library = sources().into_iter().filter(|source| source.part() != "platform");
    for source in library.chain(simulation()) {
        let names_host = HOST.iter().any(|host| {
            source
                .code
                .match_indices(&format!("{host}::"))
                .any(|(at, _)| source.code[..at].chars().next_back().is_none_or(|c| !is_word(c)))
        });
        assert!(!names_host, "{} names the host: what it wants from it is a port", source.path.display());
    }
}

#[test]
fn maps_every_part_on_the_architecture_page() {
    let page = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    for (part, ..) in PARTS {
        assert!(page.contains(&format!("`{part}`")), "src/lib.rs does not tell of {part}");
        assert!(page.contains(&format!("mod {part};")), "{part} is no module");
    }
    let words = page.lines().filter(|line| line.starts_with("//!")).flat_map(str::split_whitespace).count();
    assert!(words < 700, "src/lib.rs has {words} words: it is a map, say the rest where it is");
}

#[test]
fn keeps_files_short() {
    for source in sources().into_iter().chain(simulation()) {
        let lines = source.code.lines().count();
        assert!(
            lines <= 300,
            "{} has {lines} lines of code: what is a thing of its own in it?",
            source.path.display()
        );
    }
}
