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
    /// The token endpoint below the base address; required of the
    /// configuration where there is none.
    pub token_path: Option<&'static str>,
    pub body: BodyEncoding,
    pub client_auth: ClientMethod,
    /// Whether the client must name itself even where it has no secret.
    pub needs_client_id: bool,
    pub needs_audience: bool,
    pub scope: Option<&'static str>,
    /// `None` stands for the token's own type.
    pub scheme: Option<&'static str>,
    /// The member of a webhook that carries the account token; required of the
    /// configuration where there is none.
    pub token_member: Option<&'static str>,
    /// The members that make a webhook unique.
    pub id_members: &'static [&'static str],
}

const GURU: Preset = Preset {
    base_url: Some("https://digitalmanager.guru/api/v2"),
    grant: Some(GrantKind::Static),
    scheme: Some("Bearer"),
    token_member: Some("api_token"),
    // The id is that of a transaction or a subscription: each change of its
    // state comes under the same one.
    id_members: &["id", "webhook_type", "status", "last_status", "dates", "current_invoice", "transaction"],
    ..CUSTOM
};

const HUBSOFT: Preset = Preset {
    grant: Some(GrantKind::Password),
    token_path: Some("/oauth/token"),
    body: BodyEncoding::Json,
    ..CUSTOM
};

const V8: Preset = Preset {
    base_url: Some("https://api.v8digital.com"),
    grant: Some(GrantKind::Password),
    token_path: Some("/oauth/token"),
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
    token_path: None,
    body: BodyEncoding::Form,
    client_auth: ClientMethod::Post,
    needs_client_id: false,
    needs_audience: false,
    scope: None,
    scheme: None,
    token_member: None,
    id_members: &[],
};
