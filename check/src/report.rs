//! The report of a check.

use serde::Serialize;

/// All findings, in the order of the file.
#[derive(Default, Serialize, Debug)]
pub struct Report {
    /// The findings that must be corrected.
    pub problems: Vec<Finding>,
    /// The findings about settings that are allowed but seldom intended.
    pub warnings: Vec<Finding>,
    /// The secrets that are not in the file.
    pub secrets: Vec<WantedSecret>,
    /// The findings about the variables for running locally.
    pub development: Vec<DevFinding>,
}

/// A problem or a danger.
#[derive(Clone, PartialEq, Eq, Serialize, Debug)]
pub struct Finding {
    /// The environment; `None` for the top level.
    pub environment: Option<String>,
    /// The line, from 1.
    pub line: usize,
    /// The character in the line, from 1.
    pub column: usize,
    /// The field; empty if the file is not TOML.
    pub field: String,
    /// The problem, and what to write instead.
    pub message: String,
}

/// A secret to be set with wrangler.
#[derive(Clone, PartialEq, Eq, Serialize, Debug)]
pub struct WantedSecret {
    /// The environment; `None` for the top level.
    pub environment: Option<String>,
    /// The secret's name.
    pub name: String,
    /// Whether the Worker needs the secret for some function.
    pub needed: bool,
    /// Whether the secret is already set; `None` if unknown.
    pub set: Option<bool>,
    /// The command that sets the secret.
    pub command: String,
}

/// A variable for running locally that is missing or looks wrong.
#[derive(Clone, PartialEq, Eq, Serialize, Debug)]
pub struct DevFinding {
    /// The environment; `None` for the top level.
    pub environment: Option<String>,
    /// The file that holds such variables, or should.
    pub file: String,
    /// The variable, or a field of one.
    pub field: String,
    /// The problem, and what does not work or what to write instead.
    pub message: String,
}

impl Report {
    /// The report in the order of the file, without duplicates.
    pub(crate) fn sorted(mut self) -> Self {
        for findings in [&mut self.problems, &mut self.warnings] {
            findings.sort_by(|one, other| {
                let key = |finding: &Finding| (finding.line, finding.column);
                key(one).cmp(&key(other)).then_with(|| one.field.cmp(&other.field))
            });
            findings.dedup();
        }
        self
    }
}
