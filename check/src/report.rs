//! What is told about a configuration.

use serde::Serialize;

/// Everything that was found, in the order of the file.
#[derive(Default, Serialize, Debug)]
pub struct Report {
    /// What must be put right.
    pub problems: Vec<Finding>,
    /// What is allowed and seldom meant.
    pub warnings: Vec<Finding>,
    /// The secrets that do not stand in the file.
    pub secrets: Vec<WantedSecret>,
}

/// One mistake or danger.
#[derive(Clone, PartialEq, Eq, Serialize, Debug)]
pub struct Finding {
    /// The environment; nothing for the top level.
    pub environment: Option<String>,
    /// The line, from 1.
    pub line: usize,
    /// The character in the line, from 1.
    pub column: usize,
    /// The field; empty where the file is no TOML.
    pub field: String,
    /// What is wrong, and what to write instead.
    pub message: String,
}

/// A secret that is set with wrangler.
#[derive(Clone, PartialEq, Eq, Serialize, Debug)]
pub struct WantedSecret {
    /// The environment; nothing for the top level.
    pub environment: Option<String>,
    /// Its name.
    pub name: String,
    /// Whether something does not work without it.
    pub needed: bool,
    /// Whether it is set already; nothing where that is not known.
    pub set: Option<bool>,
    /// What sets it.
    pub command: String,
}

impl Report {
    /// The same in the order of the file, each finding once.
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
