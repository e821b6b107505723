//! What the operator configured, as types that cannot hold a wrong mix.
//!
//! [`Config::read`] turns the Worker's variables and secrets into these types
//! once for each isolate. It reports every problem at once, each by the name
//! of the variable or field, never by its value; what is broken is left out
//! and the rest works.

mod caller;
mod connection;
mod grant;
mod headers;
mod identity;
mod jwt;
mod keys;
mod limits;
mod pasted;
mod problem;
mod provider;
mod read;
mod reader;
mod registered;
mod rules;
mod secrets;
mod session;
mod syntax;
mod webhook;

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod tests;

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

pub use caller::ANYONE;
pub use headers::is_override;
pub use keys::Keys;
pub use limits::MAX_LIFETIME;
pub use problem::{Problem, shown};
pub use provider::Provider;
pub use registered::{Registered, WRONG_ID};
pub use secrets::{is_id, secret_name};

use crate::http::{EndpointUrl, HeaderName, Method, Origin, PathPattern};
use crate::jose::{Algorithm, Expectation};
use crate::secret::{Fingerprint, Secret};
use crate::token::{SealingKeys, TokenTypes};
use crate::webhook::{AccountTokens, Proof, SigningKeys};

/// The whole configuration.
#[derive(Debug)]
pub struct Config {
    /// The origins of the front ends.
    pub allowed_origins: Vec<Origin>,
    /// Where the broker is mounted: empty, or a path that begins with `/` and
    /// does not end with it.
    pub base_path: String,
    /// The callers by name. `None` stands for one that is configured but not
    /// usable: nobody can prove to be it.
    pub callers: BTreeMap<String, Option<Caller>>,
    /// The connections by id. `None` stands for one that is configured but
    /// broken: its calls are answered 503 `misconfigured`.
    pub connections: BTreeMap<String, Option<Rc<Connection>>>,
    /// How webhooks come in, by connection. `None` stands for those that are
    /// configured but not usable: their sender is asked to come again.
    pub webhooks: BTreeMap<String, Option<Rc<Webhook>>>,
    /// The header fields that callers' tokens come in; they never go upstream.
    pub token_fields: Vec<HeaderName>,
    /// How sessions are kept; nothing where no caller is one.
    pub session: Option<SessionPolicy>,
    /// What encrypts at rest; without it nothing is stored and no call served.
    pub sealing_keys: Option<SealingKeys>,
    /// The operators' keys; without one nobody is an operator.
    pub admin_keys: Option<Keys>,
    /// Whether there is an operator's key, right or wrong.
    pub has_admin_key: bool,
}

impl Config {
    /// Whether `key` is an operator's.
    #[must_use]
    pub fn is_operator(&self, key: &Secret) -> bool {
        self.admin_keys.as_ref().is_some_and(|keys| keys.place(key.fingerprint()).is_some())
    }
}

/// Who may call, and how it is proven.
#[derive(Clone, Debug)]
pub enum Caller {
    /// A server that knows one of these keys.
    Key(Keys),
    /// Whoever has a token of an issuer elsewhere.
    Jwt(Rc<JwtCaller>),
    /// Whoever is signed in here.
    Session,
    /// Whoever calls from an allowed origin.
    Anyone,
}

/// A caller that is proven by a JSON Web Token (RFC 7519).
#[derive(Debug)]
pub struct JwtCaller {
    /// Where the issuer's keys are.
    pub keys: KeySource,
    /// The signature algorithms that count.
    pub algorithms: Vec<Algorithm>,
    /// The header field that carries the token: a Bearer credential in
    /// `Authorization`, the bare token in any other.
    pub header: HeaderName,
    /// What the token must say.
    pub expectation: Expectation,
}

/// Where an issuer's keys are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum KeySource {
    /// Where the issuer's own metadata says (RFC 8414).
    Issuer(String),
    /// In the JWK set at this address (RFC 7517 §5).
    Document(String),
}

/// How sessions are kept.
#[derive(Clone, Copy, Debug)]
pub struct SessionPolicy {
    /// How long a session lasts that nobody uses.
    pub idle: Duration,
    /// How long a session lasts at most.
    pub longest: Duration,
    /// Whether front ends on other sites use the cookie.
    pub cross_site: bool,
}

/// One configured relation to one provider.
#[derive(Debug)]
pub struct Connection {
    /// Its name in paths, rules and secrets.
    pub id: String,
    /// The kind of API.
    pub provider: Provider,
    /// Where proxied paths are appended.
    pub base_url: EndpointUrl,
    /// How a token is obtained.
    pub grant: Grant,
    /// What its token sets belong to: [`Grant::identity`], and of a registered
    /// connection also its address.
    pub identity: Fingerprint,
    /// The header that carries the token to the upstream.
    pub token_header: TokenHeader,
    /// The life of a token whose response does not tell it.
    pub default_expires_in: Duration,
    /// How long before its expiry a token counts as expired for new calls, at
    /// most; a tenth of the token's life where that is less.
    pub expiry_skew: Duration,
    /// How long the upstream may take to send response headers.
    pub timeout: Duration,
    /// The largest request body, in bytes, that can be replayed after a 401.
    pub replay_bytes: usize,
    /// The `Accept` of a call whose caller prefers no type.
    pub default_accept: Option<String>,
    /// Request headers let through besides the standard ones.
    pub request_headers: Vec<HeaderName>,
    /// Response headers let through besides the standard ones.
    pub response_headers: Vec<HeaderName>,
    /// What is allowed; never empty.
    pub rules: Vec<Rule>,
}

impl Connection {
    /// Which types of token count: whatever the provider calls it, where the
    /// connection says how a token is put on a call.
    #[must_use]
    pub const fn token_types(&self) -> TokenTypes {
        if self.token_header.scheme.is_some() { TokenTypes::Any } else { TokenTypes::Bearer }
    }
}

/// How a connection's webhooks come in and where they go.
#[derive(Debug)]
pub struct Webhook {
    /// Where an event carries its account token.
    pub proof: Proof,
    /// The account tokens that count.
    pub account_tokens: AccountTokens,
    /// The members that make an event unique, where the first is there; none
    /// stands for all of it but the account token.
    pub id_members: Vec<String>,
    /// The address of the application's own receiver.
    pub forward_to: String,
    /// The largest event, in bytes.
    pub max_bytes: usize,
    /// The status by which an event is acknowledged: 2xx. Not every sender takes
    /// each for success.
    pub accepted_status: u16,
    /// What signs deliveries.
    pub signing_keys: SigningKeys,
}

/// How a token is obtained.
#[derive(Debug)]
pub enum Grant {
    /// The token itself is configured; nothing is ever requested.
    Static {
        /// The token.
        token: Secret,
    },
    /// Resource owner password credentials (RFC 6749 §4.3).
    Password {
        /// Where and how to ask.
        endpoint: TokenEndpoint,
        /// The account.
        username: Secret,
        /// Its password.
        password: Secret,
    },
    /// The same with the credentials of each person who signs in, which are
    /// used once and never kept.
    SignIn {
        /// Where and how to ask.
        endpoint: TokenEndpoint,
    },
    /// Client credentials (RFC 6749 §4.4).
    ClientCredentials {
        /// Where and how to ask.
        endpoint: TokenEndpoint,
    },
    /// A refresh token obtained elsewhere (RFC 6749 §6).
    RefreshToken {
        /// Where and how to ask.
        endpoint: TokenEndpoint,
        /// The first refresh token; later ones come from the provider.
        refresh_token: Secret,
    },
}

impl Grant {
    /// The endpoint that grants are sent to; a static token has none.
    #[must_use]
    pub const fn endpoint(&self) -> Option<&TokenEndpoint> {
        match self {
            Self::Static { .. } => None,
            Self::Password { endpoint, .. }
            | Self::SignIn { endpoint }
            | Self::ClientCredentials { endpoint }
            | Self::RefreshToken { endpoint, .. } => Some(endpoint),
        }
    }

    /// Whether each person has a token set of their own.
    #[must_use]
    pub const fn is_for_people(&self) -> bool {
        matches!(self, Self::SignIn { .. })
    }

    /// The grant's name in configuration and logs.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Static { .. } => "static",
            Self::Password { .. } | Self::SignIn { .. } => "password",
            Self::ClientCredentials { .. } => "client_credentials",
            Self::RefreshToken { .. } => "refresh_token",
        }
    }
}

/// Where grants are sent and what every token request carries.
pub struct TokenEndpoint {
    /// The token endpoint.
    pub url: EndpointUrl,
    /// How the request body is written.
    pub encoding: BodyEncoding,
    /// How the client proves itself.
    pub client: ClientAuthentication,
    /// The API that the token is for, where the provider asks for it.
    pub audience: Option<String>,
    /// The scope asked for, tokens separated by spaces.
    pub scope: Option<String>,
    /// The resource indicator (RFC 8707).
    pub resource: Option<String>,
    /// Further parameters, in the order of their names.
    pub params: Vec<(String, String)>,
    /// How long the token endpoint may take to answer.
    pub timeout: Duration,
}

/// The encoding of a token request's body.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BodyEncoding {
    /// `application/x-www-form-urlencoded`, as RFC 6749 demands.
    Form,
    /// A JSON object, as some providers demand.
    Json,
}

/// Client authentication at the token endpoint (RFC 6749 §2.3): exactly one
/// method.
pub enum ClientAuthentication {
    /// No secret; the client names itself where it has a name.
    None {
        /// The client's id.
        client_id: Option<String>,
    },
    /// Id and secret in the request body.
    Post {
        /// The client's id.
        client_id: String,
        /// The client's secret.
        client_secret: Secret,
    },
    /// Id and secret as HTTP Basic credentials.
    Basic {
        /// The client's id.
        client_id: String,
        /// The client's secret.
        client_secret: Secret,
        /// What is done to both before they are joined.
        encoding: BasicEncoding,
    },
}

/// How id and secret are written in HTTP Basic credentials.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BasicEncoding {
    /// Form-encoded, as RFC 6749 §2.3.1 demands.
    Form,
    /// As they are, as many token endpoints read them.
    None,
}

/// Where and how the token is put on an upstream call.
#[derive(Debug)]
pub struct TokenHeader {
    /// The field's name.
    pub name: HeaderName,
    /// What stands before the token. `None` stands for the token's own type;
    /// an empty text for nothing.
    pub scheme: Option<String>,
}

/// Which callers may use which methods and paths.
#[derive(Debug)]
pub struct Rule {
    /// Names of callers.
    pub callers: Vec<String>,
    /// Methods.
    pub methods: Vec<Method>,
    /// Paths below the connection.
    pub paths: Vec<PathPattern>,
    /// How many calls each caller may make by it.
    pub rate_limit: Option<RateLimit>,
}

/// A number of calls in a span of time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RateLimit {
    /// How many calls, at least 1.
    pub requests: u32,
    /// In how many seconds, at least 1.
    pub seconds: u32,
}

/// The names of all variables that are no secrets.
pub const VARIABLES: [&str; 7] = [
    "ALLOWED_ORIGINS",
    "BASE_PATH",
    "CALLERS",
    "CONNECTIONS",
    "SESSION_CROSS_SITE",
    "SESSION_IDLE_SECONDS",
    "SESSION_MAX_SECONDS",
];

/// The variables and secrets of the Worker, as text or JSON.
pub type Variables = serde_json::Map<String, serde_json::Value>;
