//! The log line of a call that no rule allows.

use super::CallerProof;
use crate::config::{ANYONE, Connection};
use crate::edge::context::Context;
use crate::http::RequestPath;
use crate::ports::Host;

impl<'a> CallerProof<'a> {
    /// Notes what an operator needs to find the missing rule: the callers that the call proves, and
    /// the path pattern that its path fits, whatever callers and methods it is for. Of several, it is
    /// that of the rule that comes nearest: one of a proven caller, then one of the method, then the
    /// first.
    pub(in crate::edge) fn note_refused<P: Host>(
        &self,
        context: &Context<'a, P>,
        connection: &'a Connection,
        path: RequestPath<'_>,
    ) {
        let rules = connection.rules.iter();
        let fitting = rules.filter_map(|rule| {
            let pattern = rule.paths.iter().find(|pattern| pattern.matches(path))?;
            let is_others = !rule.callers.iter().any(|caller| self.covers(caller));
            let is_other_method = !rule.methods.iter().any(|method| method.allows(context.head.method));
            Some(((is_others, is_other_method), pattern.as_str()))
        });
        let nearest = fitting.min_by_key(|(distance, _)| *distance).map(|(_, pattern)| pattern);
        let mut callers: Vec<&str> =
            self.config.callers.keys().map(String::as_str).filter(|caller| self.covers(caller)).collect();
        if callers.is_empty() && self.covers(ANYONE) {
            callers.push(ANYONE);
        }
        context.note(|line| {
            line.caller = Some(callers.join(",")).filter(|names| !names.is_empty()).map(Into::into);
            line.path = nearest;
        });
    }
}
