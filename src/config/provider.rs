//! The providers that the broker knows, with what their makers document.

use super::BodyEncoding;
use super::grant::{ClientMethod, GrantKind};

/// A kind of API and how it authenticates.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Provider {
    /// Digital Manager Guru.
    Guru,
    /// `HubSoft`; every customer has a server of their own.
    Hubsoft,
    /// V8 Digital.
    V8,
    /// Any other API, all spelled out in the configuration.
    Custom,
}

impl Provider {
    /// Every provider.
    pub(super) const ALL: [Self; 4] = [Self::Guru, Self::Hubsoft, Self::V8, Self::Custom];

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

    /// What counts where the configuration says nothing.
    pub(super) const fn preset(self) -> &'static Preset {
        match self {
            Self::Guru => &GURU,
            Self::Hubsoft => &HUBSOFT,
            Self::V8 => &V8,
            Self::Custom => &CUSTOM,
        }
    }
}

/// What a provider's connections are like unless their fields say otherwise.
pub(super) struct Preset {
    /// Required of the configuration where there is none.
    pub base_url: Option<&'static str>,
    /// Required of the configuration where there is none.
    pub grant: Option<GrantKind>,
    /// The token endpoint; required of the configuration where there is none.
    pub token_url: Option<TokenUrl>,
    pub body: BodyEncoding,
    pub client_auth: ClientMethod,
    /// Whether the client must name itself even where it has no secret.
    pub needs_client_id: bool,
    pub needs_audience: bool,
    pub scope: Option<&'static str>,
    /// `None` stands for the token's own type.
    pub scheme: Option<&'static str>,
    /// What is asked for where the caller asks for nothing in particular.
    pub accept: Option<&'static str>,
    /// The member of a webhook that carries the account token; required of the
    /// configuration where there is none.
    pub token_member: Option<&'static str>,
    /// The status by which a webhook is acknowledged; `None` stands for the one
    /// of all senders.
    pub accepted_status: Option<u64>,
}

/// Where a provider's token endpoint is.
#[derive(Clone, Copy)]
pub(super) enum TokenUrl {
    /// At this path below the base address.
    Below(&'static str),
    /// At this address, wherever the API is.
    At(&'static str),
}

/// Laravel answers 401 for a dead token only where JSON is asked for before all
/// else; otherwise it redirects to a login page, or fails with 500.
const LARAVEL: Option<&str> = Some("application/json");

const GURU: Preset = Preset {
    base_url: Some("https://digitalmanager.guru/api/v2"),
    grant: Some(GrantKind::Static),
    scheme: Some("Bearer"),
    accept: LARAVEL,
    token_member: Some("api_token"),
    // Its documentation names no other for success.
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
