//! Reading the values of rules that may be templates.

use crate::http::{ParameterName, PathPattern, Template};

use super::additions::Additions;
use super::syntax;

/// The longest value in a binding, in bytes.
const MAX_BYTES: usize = 256;

/// Why a rule cannot ask for claims.
pub(super) const NO_CLAIMS: &str =
    "needs claims: name no caller of kind key or anyone in this rule, and no session without connection";

/// Why a rule cannot name a label.
pub(super) const UNKNOWN_LABEL: &str = "must name one of the connection's labels";

/// What the templates of a rule may name.
pub(super) struct Names<'c> {
    pub connection: &'c str,
    pub labels: &'c [(String, String)],
    /// Whether every caller of the rule may have claims.
    pub have_claims: bool,
    /// What the connection adds to each call.
    pub added: Option<&'c Additions>,
}

impl Names<'_> {
    /// Whether a server could read `name` as that of a parameter which the connection adds.
    pub fn adds(&self, name: &ParameterName) -> bool {
        let mut added = self.added.into_iter().flat_map(Additions::parameters);
        added.any(|known| known.conflicts_with(name))
    }

    /// Reads a value: one template or a text.
    ///
    /// # Errors
    /// What to write instead.
    pub fn template(&self, text: &str) -> Result<Template, &'static str> {
        const MESSAGE: &str = "must be a text without braces, or the whole of it \
             {claims.<name>}, {labels.<name>} or {connection}";
        if text.len() > MAX_BYTES {
            return Err("must have at most 256 bytes");
        }
        let inner = text.strip_prefix('{').and_then(|text| text.strip_suffix('}'));
        if inner.unwrap_or(text).contains(['{', '}']) {
            return Err(MESSAGE);
        }
        match inner.map(|inner| inner.split_once('.').unwrap_or((inner, ""))) {
            None => Ok(Template::Text(text.to_owned())),
            Some(("connection", "")) if !text.contains('.') => Ok(Template::Text(self.connection.to_owned())),
            Some(("claims", name)) if !name.is_empty() => {
                if self.have_claims {
                    Ok(Template::Claim(name.to_owned()))
                } else {
                    Err(NO_CLAIMS)
                }
            }
            Some(("labels", name)) if !name.is_empty() => {
                let label = self.labels.iter().find(|(known, _)| known == name);
                label.map(|(_, value)| Template::Text(value.clone())).ok_or(UNKNOWN_LABEL)
            }
            Some(_) => Err(MESSAGE),
        }
    }

    /// Reads a path pattern, of which whole segments may be templates.
    ///
    /// # Errors
    /// What to write instead.
    pub fn path_pattern(&self, text: &str) -> Result<PathPattern, &'static str> {
        let mut problem = None;
        let mut template =
            |segment: &str| self.template(segment).map_err(|message| problem = Some(message)).ok();
        let pattern = PathPattern::parse_with(text, &mut template);
        pattern.ok_or_else(|| {
            let is_pattern = || PathPattern::parse_with(text, &mut |_| Some(Template::Claim(String::new())));
            let wrong_label =
                || is_pattern().map(|_| "has a label whose value cannot be a segment of a path");
            problem.or_else(wrong_label).unwrap_or(syntax::PATH_PATTERN)
        })
    }
}
