//! The kinds of grants and of client authentication, without credentials.

/// The kind of a grant.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum GrantKind {
    Static,
    Basic,
    Password,
    ClientCredentials,
    RefreshToken,
    JwtBearer,
    Login,
    TokenExchange,
    AuthorizationCode,
}

/// The method of client authentication.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum ClientMethod {
    None,
    Post,
    Basic,
    PrivateKeyJwt,
    ClientSecretJwt,
    Tls,
}

impl GrantKind {
    /// Whether the token is configured, and no token request is made.
    pub(super) const fn has_configured_token(self) -> bool {
        matches!(self, Self::Static | Self::Basic)
    }
}
