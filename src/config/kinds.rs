//! The kinds of grants and of client authentication, without credentials.

/// The kind of a grant.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum GrantKind {
    Static,
    Password,
    ClientCredentials,
    RefreshToken,
}

/// The method of client authentication.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum ClientMethod {
    None,
    Post,
    Basic,
}
