//! Finds what is wrong in a configuration before it is deployed.
//!
//! [`check`] reads `wrangler.toml` as wrangler would, hands each environment's
//! variables to the Worker's own code, and tells where in the file each problem
//! stands.
//!
//! | part | what it knows |
//! |---|---|
//! | [`report`] | what is told |
//! | `tree` | a table of the file as JSON, and where everything in it stands |
//! | `scope` | the file's environments, and what they inherit |
//! | `bindings` | what the Worker needs of wrangler besides its variables |
//! | `variables` | the variables and secrets, read by the Worker's own code |
//! | `dangers` | what is allowed and seldom meant |
//!
//! Invariant: what is told holds names and fixed texts, never a configured value.

mod bindings;
mod dangers;
pub mod report;
mod scope;
mod tree;
mod variables;

use report::{Finding, Report};
use scope::{File, Scope};
use toml::de::DeTable;
use tree::position;

/// What to check, and for whom.
#[derive(Clone, Default, Debug)]
pub struct Options {
    /// The environment to check, an empty text for the top level; nothing for
    /// all of them.
    pub environment: Option<String>,
    /// Whether the file is never deployed: loopback addresses and secrets among
    /// the variables are all right then, and no secret is asked for.
    pub local: bool,
    /// What wrangler must be told with `--config`.
    pub config: Option<String>,
}

/// The file has no environment of the wanted name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NoSuchEnvironment;

/// Checks the text of a `wrangler.toml`.
///
/// # Errors
/// [`NoSuchEnvironment`]. What is wrong in the text is in the report.
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
