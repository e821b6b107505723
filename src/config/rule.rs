//! Rules: who may call what, how often, and what a cache may do.

use super::binding::Binding;
use crate::http::{Method, PathPattern};

/// A rule: which callers may use which methods on which paths.
#[derive(Debug)]
pub struct Rule {
    /// Names of callers.
    pub callers: Vec<String>,
    /// Methods.
    pub methods: Vec<Method>,
    /// Paths below the connection.
    pub paths: Vec<PathPattern>,
    /// The rate limit of each caller under this rule.
    pub rate_limit: Option<RateLimit>,
    /// What a cache may do, where the rule has one.
    pub cache: Option<CacheTerms>,
    /// What else must fit, where anything must.
    pub binding: Option<Box<Binding>>,
}

/// A number of calls in a span of time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RateLimit {
    /// The number of calls, at least 1.
    pub requests: u32,
    /// The length of the window in seconds, at least 1.
    pub seconds: u32,
}

/// What the cache of a rule may do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CacheTerms {
    /// For how many seconds a copy is served without asking, at least 1.
    pub seconds: u32,
    /// For how many seconds after that it is served where the upstream fails.
    pub stale_seconds: u32,
    /// Whether all callers of the rule share the copies.
    pub shared: bool,
}
