//! The rule that authorizes a call.

use std::fmt;

use super::CallerProof;
use super::body::{self, MAX_BYTES, SeenBody, Unfit};
use crate::config::{CacheTerms, Connection, RateLimit, Rule};
use crate::edge::Code;
use crate::edge::answer::Refused;
use crate::edge::context::Context;
use crate::http::{PathPattern, QueryBinding, RequestHead, RequestPath};
use crate::ports::{BodyFailure, EdgePorts, Sender};

/// The permission that a rule gives a caller.
pub(in crate::edge) struct Permission<'a> {
    pub caller: &'a str,
    /// The number of the caller's key, where it has several.
    pub key: Option<usize>,
    pub pattern: &'a PathPattern,
    /// The number of the rule within its connection, and its limit.
    pub rate_limit: Option<(usize, RateLimit)>,
    /// The number of the rule, and what its cache may do.
    pub cache: Option<(usize, CacheTerms)>,
    /// What the rule binds in the query.
    pub query: Option<&'a QueryBinding>,
    /// What is added to the query: the bound parameters that it lacks, encoded.
    pub added: String,
}

// What is added has values of the caller's claims.
impl fmt::Debug for Permission<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permission").field("caller", &self.caller).finish_non_exhaustive()
    }
}

/// The parts of a call that rules look at.
struct Asked<'c> {
    head: &'c RequestHead<'c>,
    path: RequestPath<'c>,
    body: SeenBody<'c>,
}

/// The permission that the first fitting rule of `connection` gives to the callers in `proof`. The
/// body is read only where a rule that fits otherwise binds it.
///
/// # Errors
/// `operation_not_allowed` where no rule fits; `body_too_large` where one might, and the body is too
/// large to be looked into.
pub(in crate::edge) async fn obtain<'a, P: EdgePorts>(
    context: &Context<'_, P>,
    proof: &CallerProof<'a>,
    connection: &'a Connection,
    path: RequestPath<'_>,
) -> Result<Permission<'a>, Refused> {
    let head = context.head;
    if let Some(permission) = proof.permission(connection, &Asked { head, path, body: SeenBody::Unread })? {
        return Ok(permission);
    }
    let sender = if proof.is_proven() { Sender::Proven } else { Sender::Unproven };
    let read = context.edge.ports.peek(MAX_BYTES, sender).await;
    let body = match &read {
        Ok(bytes) => SeenBody::Whole(bytes),
        Err(BodyFailure::TooLarge) => SeenBody::TooLarge,
        Err(failure) => return Err((*failure).into()),
    };
    let permission = proof.permission(connection, &Asked { head, path, body })?;
    // A body that was too large cannot be sent any more.
    permission.filter(|_| read.is_ok()).ok_or_else(|| Code::BodyTooLarge.into())
}

impl<'a> CallerProof<'a> {
    /// The permission that the first fitting rule gives; `None` where that depends on the body.
    fn permission(
        &self,
        connection: &'a Connection,
        asked: &Asked<'_>,
    ) -> Result<Option<Permission<'a>>, Refused> {
        let mut refusal = Code::OperationNotAllowed;
        for (number, rule) in connection.rules.iter().enumerate() {
            if !rule.methods.iter().any(|allowed| allowed.allows(asked.head.method)) {
                continue;
            }
            for caller in rule.callers.iter().filter(|caller| self.covers(caller)) {
                match self.fit(rule, caller, asked) {
                    Ok((pattern, added)) => {
                        let rate_limit = rule.rate_limit.map(|limit| (number, limit));
                        let key = self.key.filter(|(holder, _)| holder == caller);
                        let key = key.and_then(|(_, place)| place.number());
                        let query = rule.binding.as_deref().and_then(|binding| binding.query.as_ref());
                        let cache = rule.cache.map(|terms| (number, terms));
                        return Ok(Some(Permission {
                            caller,
                            key,
                            pattern,
                            rate_limit,
                            cache,
                            query,
                            added,
                        }));
                    }
                    Err(Unfit::BodyUnread) => return Ok(None),
                    Err(Unfit::BodyTooLarge) => refusal = Code::BodyTooLarge,
                    Err(Unfit::Other) => {}
                }
            }
        }
        Err(refusal.into())
    }

    /// Whether a call fits `rule` as one of `caller`: the pattern that it fits, and what is to be
    /// added to its query. All templates are filled from this caller alone.
    fn fit(
        &self,
        rule: &'a Rule,
        caller: &str,
        asked: &Asked<'_>,
    ) -> Result<(&'a PathPattern, String), Unfit> {
        let text = |name: &str| self.claims(caller)?.text(name);
        let pattern =
            rule.paths.iter().find(|pattern| pattern.fits(asked.path, &text)).ok_or(Unfit::Other)?;
        let Some(binding) = rule.binding.as_deref() else { return Ok((pattern, String::new())) };
        let own = self.claims(caller);
        if !binding.claims_fit(own) {
            return Err(Unfit::Other);
        }
        let mut added = String::new();
        if let Some(query) = &binding.query {
            if query.is_in_path(asked.path.as_str()) || body::has_foreign_charset(&asked.head.headers) {
                return Err(Unfit::Other);
            }
            added = query.fit(asked.head.query().unwrap_or_default(), &text).ok_or(Unfit::Other)?;
        }
        body::check(binding, own, asked.head, asked.body)?;
        Ok((pattern, added))
    }
}

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod tests {
    use super::*;

    #[test]
    fn shows_no_claim_in_debug_output() {
        let pattern = PathPattern::parse("/a").unwrap();
        let added = "termo_busca=canary".to_owned();
        let permission = Permission {
            caller: "staff",
            key: None,
            pattern: &pattern,
            rate_limit: None,
            cache: None,
            query: None,
            added,
        };
        let shown = format!("{permission:?}");
        assert!(shown.contains("staff") && !shown.contains("canary"), "{shown}");
    }
}
