//! The types of access tokens.

/// The type of an access token (RFC 6749 §7.1). Bearer (RFC 6750), compared case-insensitively, is
/// the only known type.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TokenType {
    /// A Bearer token (RFC 6750): possession suffices to use it.
    Bearer,
}

impl TokenType {
    /// The authentication scheme, in the spelling of RFC 6750.
    #[must_use]
    pub const fn scheme(self) -> &'static str {
        match self {
            Self::Bearer => "Bearer",
        }
    }
}

/// The token types that a connection accepts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TokenTypes {
    /// Bearer only: the type determines the scheme.
    Bearer,
    /// Any type: the connection determines the scheme.
    Any,
}
