//! How access tokens are used.

/// How an access token is used (RFC 6749 §7.1). Bearer (RFC 6750) is the only
/// type known; it is recognised whatever its case.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TokenType {
    /// Whoever bears the token may use it.
    Bearer,
}

impl TokenType {
    /// The authentication scheme, as RFC 6750 writes it.
    #[must_use]
    pub const fn scheme(self) -> &'static str {
        match self {
            Self::Bearer => "Bearer",
        }
    }
}

/// Which types of token count.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TokenTypes {
    /// Bearer alone: the type decides how the token is used.
    Bearer,
    /// Whatever the provider calls it: the connection says how it is used.
    Any,
}
