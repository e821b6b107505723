//! The presets of known providers, as their makers document them.

use super::BodyEncoding;
use super::kinds::{ClientMethod, GrantKind};
use super::reader::Reader;

/// A kind of API and how it authenticates.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Provider {
    /// Digital Manager Guru.
    Guru,
    /// `HubSoft`; each customer has a server of its own.
    Hubsoft,
    /// V8 Digital.
    V8,
    /// Any other API, configured without presets.
    Custom,
}

impl Provider {
    /// Every provider.
    const ALL: [Self; 4] = [Self::Guru, Self::Hubsoft, Self::V8, Self::Custom];

    /// The provider's name in configuration and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Guru => "guru",
            Self::Hubsoft => "hubsoft",
            Self::V8 => "v8",
            Self::Custom => "custom",
        }
    }

    /// The defaults of the provider's connections.
    pub(super) const fn preset(self) -> &'static Preset {
        match self {
            Self::Guru => &GURU,
            Self::Hubsoft => &HUBSOFT,
            Self::V8 => &V8,
            Self::Custom => &CUSTOM,
        }
    }
}

/// The provider that a connection names, if it is one.
pub(super) fn named(reader: &Reader<'_, '_>) -> Option<Provider> {
    let name = reader.value("provider")?.as_str()?;
    Provider::ALL.into_iter().find(|provider| provider.as_str() == name)
}

/// The defaults of a provider's connections.
pub(super) struct Preset {
    /// A required field where `None`.
    pub base_url: Option<&'static str>,
    /// A required field where `None`.
    pub grant: Option<GrantKind>,
    /// The token endpoint; a required field where `None`.
    pub token_url: Option<TokenUrl>,
    pub body: BodyEncoding,
    pub client_auth: ClientMethod,
    /// Whether a client without a secret still sends its id.
    pub needs_client_id: bool,
    pub needs_audience: bool,
    pub scope: Option<&'static str>,
    /// `None` stands for the token's own type.
    pub scheme: Option<&'static str>,
    /// The `Accept` field of calls whose caller prefers no type.
    pub accept: Option<&'static str>,
    /// The member of an event that carries the account token; a required field where `None`.
    pub token_member: Option<&'static str>,
    /// The status that acknowledges a webhook; `None` stands for the general default.
    pub accepted_status: Option<u64>,
}

/// The address of a provider's token endpoint.
#[derive(Clone, Copy)]
pub(super) enum TokenUrl {
    /// This path below the base address.
    Below(&'static str),
    /// This address, independent of the base address.
    At(&'static str),
}

/// Laravel answers 401 to a dead token only if `Accept` prefers JSON; otherwise it redirects to a
/// login page, or fails with 500.
const LARAVEL: Option<&str> = Some("application/json");

const GURU: Preset = Preset {
    base_url: Some("https://digitalmanager.guru/api/v2"),
    grant: Some(GrantKind::Static),
    scheme: Some("Bearer"),
    accept: LARAVEL,
    token_member: Some("api_token"),
    // Guru's documentation names no other status for success.
    accepted_status: Some(200),
    ..CUSTOM
};

const HUBSOFT: Preset = Preset {
    grant: Some(GrantKind::Password),
    token_url: Some(TokenUrl::Below("/oauth/token")),
    body: BodyEncoding::Json,
    accept: LARAVEL,
    ..CUSTOM
};

const V8: Preset = Preset {
    base_url: Some("https://bff.v8sistema.com"),
    grant: Some(GrantKind::Password),
    token_url: Some(TokenUrl::At("https://api.v8digital.com/oauth/token")),
    client_auth: ClientMethod::None,
    needs_client_id: true,
    needs_audience: true,
    scope: Some("offline_access"),
    scheme: Some("Bearer"),
    ..CUSTOM
};

const CUSTOM: Preset = Preset {
    base_url: None,
    grant: None,
    token_url: None,
    body: BodyEncoding::Form,
    client_auth: ClientMethod::Post,
    needs_client_id: false,
    needs_audience: false,
    scope: None,
    scheme: None,
    accept: None,
    token_member: None,
    accepted_status: None,
};
