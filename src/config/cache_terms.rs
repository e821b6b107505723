//! What the cache of a rule may do.

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
