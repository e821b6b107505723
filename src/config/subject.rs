//! Whose token sets a grant obtains.

use super::Grant;

impl Grant {
    /// Whether each person who signs in at the broker has a token set of their own.
    #[must_use]
    pub const fn is_for_people(&self) -> bool {
        if let Self::AuthorizationCode { authorization, .. } = self {
            return authorization.for_people;
        }
        matches!(self, Self::SignIn { .. })
    }

    /// Whose token sets the grant obtains, in configuration and in the admin interface.
    #[must_use]
    pub const fn subject(&self) -> &'static str {
        match self {
            Self::SignIn { .. } => "user",
            Self::AuthorizationCode { authorization, .. } if authorization.for_people => "user",
            Self::TokenExchange { .. } => "caller",
            Self::Static { .. }
            | Self::Basic { .. }
            | Self::Password { .. }
            | Self::ClientCredentials { .. }
            | Self::RefreshToken { .. }
            | Self::JwtBearer { .. }
            | Self::Login { .. }
            | Self::AuthorizationCode { .. } => "service",
        }
    }

    /// Whether one account serves all callers, with one token set.
    #[must_use]
    pub const fn is_shared(&self) -> bool {
        !self.is_for_people() && !matches!(self, Self::TokenExchange { .. })
    }
}
