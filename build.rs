//! Makes the catalogue out of `providers/*.toml`: the defaults of each provider's connections, as
//! JSON texts in the order of the names; without what is for people only.
//!
//! A file that is no provider file ends the build, with the file and the key.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

use toml::{Table, Value};

/// The keys for people, and for tests: they are no part of the module.
const FOR_PEOPLE: &[&str] = &["checked", "country", "docs", "example", "name", "probe", "verified"];

/// The keys that every file has.
const REQUIRED: &[&str] = &["name", "docs", "checked", "verified", "country", "grant", "needs", "example"];

/// The fields of a connection that a provider may have defaults for.
const FIELDS: &[&str] = &[
    "acting_gets",
    "algorithm",
    "assertion",
    "assertion_audience",
    "audience",
    "authorize_params",
    "authorize_url",
    "base_url",
    "basic_encoding",
    "body",
    "budget",
    "client_auth",
    "cool_down",
    "dead_token",
    "default_accept",
    "default_expires_in",
    "grant",
    "header",
    "headers",
    "issuer",
    "login",
    "params",
    "query",
    "request_headers",
    "resource",
    "response_headers",
    "retry",
    "revocation_url",
    "scheme",
    "scope",
    "subject",
    "subject_token_type",
    "timeout_ms",
    "token_timeout_ms",
    "token_url",
    "webhook",
];

/// The fields that hold an address.
const ADDRESSES: &[&str] = &["authorize_url", "base_url", "docs", "issuer", "revocation_url", "token_url"];

fn main() {
    println!("cargo::rerun-if-changed=providers");
    let folder = Path::new(&env::var("CARGO_MANIFEST_DIR").unwrap_or_default()).join("providers");
    let mut files: Vec<PathBuf> = match fs::read_dir(&folder) {
        Ok(entries) => entries.flatten().map(|entry| entry.path()).collect(),
        Err(error) => return println!("cargo::error=providers: {error}"),
    };
    files.retain(|file| file.extension().is_some_and(|extension| extension == "toml"));
    // By name: with the extension, `a-b.toml` would stand before `a.toml`.
    files.sort_by_key(|file| file.file_stem().map(std::ffi::OsStr::to_owned));
    let (mut defaults, mut sources) = (String::new(), String::new());
    for file in files {
        let id = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let read =
            read(&file, &id).and_then(|table| serde_json::to_string(&table).map_err(|e| e.to_string()));
        match read {
            Ok(json) => {
                let _ = writeln!(defaults, "({id:?}, {json:?}),");
                let _ = writeln!(sources, "({id:?}, include_str!({:?})),", file.display().to_string());
            }
            Err(problem) => println!("cargo::error=providers/{id}.toml: {problem}"),
        }
    }
    let out = PathBuf::from(env::var("OUT_DIR").unwrap_or_default());
    for (name, entries) in [("defaults.rs", defaults), ("sources.rs", sources)] {
        if let Err(error) = fs::write(out.join(name), format!("&[\n{entries}]\n")) {
            println!("cargo::error={name}: {error}");
        }
    }
}

/// The defaults of the provider called `id`: the connection's fields in the file, and the names of
/// what a connection must give.
fn read(file: &Path, id: &str) -> Result<Table, String> {
    if id.is_empty() || !id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') {
        return Err("must have a name of a to z, 0 to 9 and -".into());
    }
    let text = fs::read_to_string(file).map_err(|error| error.to_string())?;
    let mut table: Table = text.parse().map_err(|error: toml::de::Error| error.to_string())?;
    for key in REQUIRED {
        if !table.contains_key(*key) {
            return Err(format!("{key}: is missing"));
        }
    }
    for key in table.keys() {
        let is_known =
            [["needs"].as_slice(), FIELDS, FOR_PEOPLE].iter().any(|list| list.contains(&key.as_str()));
        if !is_known {
            return Err(format!("{key}: is not a known key"));
        }
    }
    let needs = match table.get("needs") {
        Some(Value::Table(needs)) if needs.values().all(|what| what.as_str().is_some_and(is_sentence)) => {
            needs.keys().cloned().collect::<Vec<String>>()
        }
        _ => return Err("needs: must be a table of names, each with a sentence of where to find it".into()),
    };
    for key in ADDRESSES {
        let Some(address) = table.get(*key) else { continue };
        let address = address.as_str().ok_or_else(|| format!("{key}: must be a text"))?;
        check_address(key, address, &needs).map_err(|problem| format!("{key}: {problem}"))?;
    }
    for key in ["checked", "verified"] {
        let day = table.get(key).and_then(Value::as_str).unwrap_or_default();
        let is_known = is_day(day) || (key == "verified" && day == "documented");
        if !is_known {
            return Err(format!(
                "{key}: must be a day as 2026-11-29{}",
                if key == "verified" { ", or documented" } else { "" }
            ));
        }
    }
    let country = table.get("country").and_then(Value::as_str).unwrap_or_default();
    if country.len() != 2 || !country.bytes().all(|b| b.is_ascii_uppercase()) {
        return Err("country: must be two capital letters (ISO 3166)".into());
    }
    for key in FOR_PEOPLE {
        table.remove(*key);
    }
    table.insert("needs".into(), Value::Array(needs.into_iter().map(Value::String).collect()));
    Ok(table)
}

/// Whether `text` can stand in a list for people.
fn is_sentence(text: &str) -> bool {
    text.starts_with(|first: char| first.is_uppercase()) && text.ends_with('.')
}

fn is_day(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let lengths: Vec<usize> = parts.iter().map(|part| part.len()).collect();
    lengths == [4, 2, 2] && parts.iter().all(|part| part.bytes().all(|b| b.is_ascii_digit()))
}

/// Checks the address in `key`, whose parts `{in braces}` a connection gives.
fn check_address(key: &str, address: &str, needs: &[String]) -> Result<(), String> {
    let mut plain = String::new();
    let mut rest = address;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}').ok_or("has a brace that is not closed")?;
        if name != "base_url" && !needs.iter().any(|need| need == name) {
            return Err(format!("{{{name}}} must stand in needs, too"));
        }
        plain.push_str(before);
        plain.push_str(if name == "base_url" { "https://x" } else { "x" });
        rest = after;
    }
    plain.push_str(rest);
    let host = plain.strip_prefix("https://").ok_or("must be an https address")?;
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~:/#?=%@".contains(&b);
    if host.is_empty()
        || host.starts_with('/')
        || !host.bytes().all(is_plain)
        || (key != "docs" && host.contains(['?', '#']))
    {
        return Err("must be an https address, but for docs without query and fragment".into());
    }
    Ok(())
}
