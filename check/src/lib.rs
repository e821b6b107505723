//! Finds the problems of a configuration before it is deployed.
//!
//! [`check`] reads `wrangler.toml` as wrangler would, passes each environment's variables to the
//! Worker's own code, and locates each problem in the file.
//!
//! | part | contents |
//! |---|---|
//! | [`report`] | the findings |
//! | `tree` | a table of the file as JSON, with the position of each field |
//! | `scope` | the file's environments, and the settings that they inherit |
//! | `bindings` | the settings that the Worker needs from wrangler besides its variables |
//! | `variables` | the variables and secrets, read by the Worker's own code |
//! | `dangers` | settings that are allowed but seldom intended |
//! | `sharing` | rules by which people reach a shared account without being bound to their own data |
//! | [`development`] | the variables of a `.dev.vars`: what is missing, and what looks pasted wrong |
//! | `package` | the check for Node.js, compiled for wasm only |
//!
//! Invariant: a report contains names and fixed texts, never a configured value.

mod bindings;
mod dangers;
pub mod development;
#[cfg(target_arch = "wasm32")]
mod package;
pub mod report;
mod scope;
mod sharing;
mod tree;
mod variables;

use development::DevVars;
use report::{Finding, Report};
use scope::{File, Scope};
use toml::de::DeTable;
use tree::position;

/// The options of a check.
#[derive(Clone, Default, Debug)]
pub struct Options {
    /// The environment to check: empty for the top level, `None` for all.
    pub environment: Option<String>,
    /// Whether the file is never deployed: the check then allows loopback addresses, and secrets
    /// among the variables, and requires no secret.
    pub local: bool,
    /// The value of wrangler's `--config`, if needed.
    pub config: Option<String>,
    /// The variables for running locally, if any, of each environment that has such.
    pub dev_vars: Vec<DevVars>,
}

/// The file has no environment of the requested name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NoSuchEnvironment;

/// Checks the text of a `wrangler.toml`.
///
/// # Errors
/// [`NoSuchEnvironment`]. Problems of the text are in the report.
pub fn check(text: &str, options: &Options) -> Result<Report, NoSuchEnvironment> {
    let mut report = Report::default();
    let (root, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        let (line, column) = position(text, error.span().map_or(text.len(), |span| span.start));
        let message = format!("is not TOML: {}", error.message());
        report.problems.push(Finding { environment: None, line, column, field: String::new(), message });
    }
    if !report.problems.is_empty() {
        return Ok(report.sorted());
    }
    let file = File::read(text, root.get_ref(), &mut report);
    let is_wanted =
        |scope: &&Scope<'_>| options.environment.as_deref().is_none_or(|wanted| scope.is_called(wanted));
    let mut scopes = file.scopes().filter(is_wanted).peekable();
    if scopes.peek().is_none() {
        return Err(NoSuchEnvironment);
    }
    for scope in scopes {
        bindings::check(scope, &file.top, &mut report);
        variables::check(scope, &file.top, options, &mut report);
    }
    Ok(report.sorted())
}

/// The report of [`check`] as JSON.
///
/// # Errors
/// A sentence for people, which names `file`, where the file has no environment of the requested name.
pub fn printed(file: &str, text: &str, options: &Options) -> Result<String, String> {
    let report = check(text, options).map_err(|_| {
        format!("{file} has no [env.{}].", options.environment.as_deref().unwrap_or_default())
    })?;
    serde_json::to_string_pretty(&report).map_err(|error| error.to_string())
}
