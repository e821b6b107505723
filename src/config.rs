//! The operator's configuration, as types that cannot hold an invalid combination.
//!
//! [`Config::read`] turns the Worker's variables and secrets into these types once for each
//! isolate, and connections, webhooks and templates when each is first asked for. Every problem is
//! reported, each by the name of the variable or field, never by its value. A broken entry does not
//! affect the others.

mod additions;
mod answer_sign;
mod authorization;
mod binding;
mod budget;
mod caller;
mod configured;
mod connection;
mod connection_template;
mod endpoint;
mod exchange;
mod grant;
mod headers;
mod identity;
mod jwt;
mod jwt_bearer;
mod keys;
mod kinds;
mod lazy;
mod limits;
mod login;
mod pasted;
mod problem;
mod provider;
mod provider_address;
mod read;
mod reader;
mod registered;
mod rule;
mod rules;
mod secrets;
mod session;
mod session_caller;
mod signing_key;
mod subject;
mod syntax;
mod tables;
mod template;
mod token_endpoint;
mod token_template;
mod webhook;
mod webhook_proof;

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod tests;

use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use serde_json::{Map, Value};

pub use additions::{Additions, TokenHeader};
pub use answer_sign::AnswerSign;
pub use authorization::{Authorization, OTHER_CLIENT};
pub use binding::{Binding, ClaimValue};
pub use budget::{Budget, Guard};
pub use caller::ANYONE;
pub use configured::Configured;
pub use exchange::Exchange;
pub use headers::is_override;
pub use jwt::{JwtCaller, KeySource};
pub use jwt_bearer::Assertion;
pub use keys::Keys;
pub use limits::MAX_LIFETIME;
pub use login::{GET, Login, TokenPlace};
pub use problem::{Problem, Report, shown};
#[cfg(not(target_arch = "wasm32"))]
pub use provider::PROVIDER_FILES;
pub use provider::Provider;
pub use read::{BASE_PATH, EVENTS, base_path};
pub use registered::{Registered, SECRETS, WRONG_ID};
pub use rule::{CacheTerms, RateLimit, Rule};
pub use secrets::{VariableSource, is_id, secret_name};
pub use session::SessionPolicy;
pub use session_caller::SessionCaller;
pub use signing_key::{KeyFormat, SigningKey};
pub use tables::LazyTables;
pub use token_endpoint::{BasicEncoding, BodyEncoding, ClientAuthentication, TokenEndpoint};
pub use token_template::{TokenTemplate, names as placed_secrets};

use crate::http::{EndpointUrl, HeaderName, Origin, PathPattern, RequestPath};
use crate::secret::{Fingerprint, Secret};
use crate::token::{SealingKeys, TokenTypes};
use crate::webhook::{AccountTokens, Handshake, Proof, SigningKeys};

/// Things by their ids, in the order of the ids. A list needs a fraction of a map's code, and each
/// kind of thing has code of its own.
pub type Entries<T> = litemap::LiteMap<String, T>;

/// The callers by name.
pub type Callers = Entries<Configured<Caller>>;

/// The whole configuration.
pub struct Config {
    /// The origins of the front ends.
    pub allowed_origins: Vec<Origin>,
    /// The path that the broker is mounted at: empty, or beginning with `/` and not ending with it.
    pub base_path: String,
    /// The callers by name. A broken caller cannot be authenticated.
    pub callers: Callers,
    /// The header fields that carry callers' tokens; they are never forwarded.
    pub token_fields: Vec<HeaderName>,
    /// The session policy; `None` where no caller is a session, and nobody just signs in.
    pub session: Option<SessionPolicy>,
    /// The keys for encryption at rest; without them nothing is stored and no call is served.
    pub sealing_keys: Option<Rc<SealingKeys>>,
    /// The operators' keys; without one the admin interface refuses every request.
    pub admin_keys: Option<Keys>,
    /// Whether `ADMIN_KEY` is set, valid or not.
    pub has_admin_key: bool,
    /// The receiver of the operator's events, where there is one and it is usable.
    pub events: Option<Rc<Receiver>>,
    /// The connections and their webhooks.
    connections: LazyTables,
    /// The templates that registered connections name.
    templates: LazyTables,
    /// The problems that stand before those of connections and templates, but not those of their ids.
    problems_before: Vec<Problem>,
    /// The problems that stand behind them.
    problems_behind: Vec<Problem>,
    /// What gives the secrets of connections that are not read yet.
    variables: VariableSource,
    report: Report,
}

// Secrets are behind `variables`, which has no text.
impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("allowed_origins", &self.allowed_origins)
            .field("base_path", &self.base_path)
            .field("callers", &self.callers)
            .field("connections", &self.connections)
            .field("templates", &self.templates)
            .field("token_fields", &self.token_fields)
            .field("session", &self.session)
            .field("sealing_keys", &self.sealing_keys)
            .field("admin_keys", &self.admin_keys)
            .finish_non_exhaustive()
    }
}

impl Config {
    /// Whether `key` is an operator's.
    #[must_use]
    pub fn is_operator(&self, key: &Secret) -> bool {
        self.admin_keys.as_ref().is_some_and(|keys| keys.place(key.fingerprint()).is_some())
    }
}

/// A caller, by the way it is authenticated.
#[derive(Clone, Debug)]
pub enum Caller {
    /// A server that sends one of these keys.
    Key(Keys),
    /// The holder of a token of an external issuer.
    Jwt(Rc<JwtCaller>),
    /// A person who is signed in at the broker.
    Session(SessionCaller),
    /// Any page of an allowed origin.
    Anyone,
}

/// One account at one provider, with the rules for calling it.
#[derive(Debug)]
pub struct Connection {
    /// The connection's id in paths, and in the names of secrets.
    pub id: String,
    /// The kind of API.
    pub provider: Provider,
    /// The address that proxied paths are appended to.
    pub base_url: EndpointUrl,
    /// The grant that obtains a token.
    pub grant: Grant,
    /// The identity of the connection's account: [`Grant::identity`], for a registered connection
    /// together with its address.
    pub identity: Fingerprint,
    /// The header field that carries the token to the upstream; `None` where none does.
    pub token_header: Option<TokenHeader>,
    /// What is added to each call besides, where anything is.
    pub additions: Option<Box<Additions>>,
    /// The answers that mean the same as a 401.
    pub dead_token: Vec<AnswerSign>,
    /// The life of a token whose response omits `expires_in`.
    pub default_expires_in: Duration,
    /// How long before its expiry a token counts as expired for new calls, but at most a tenth of
    /// the token's life.
    pub expiry_skew: Duration,
    /// The time limit for the upstream's response headers.
    pub timeout: Duration,
    /// The largest request body, in bytes, that is buffered for a replay.
    pub replay_bytes: usize,
    /// The `Accept` field of a call whose caller prefers no type.
    pub default_accept: Option<String>,
    /// Request headers forwarded besides the standard ones.
    pub request_headers: Vec<HeaderName>,
    /// Response headers forwarded besides the standard ones.
    pub response_headers: Vec<HeaderName>,
    /// The paths whose `GET` changes something at the API, which browsers do not expect.
    pub acting_gets: Vec<PathPattern>,
    /// The name of the binding whose client certificate goes with every call (RFC 8705).
    pub certificate: Option<String>,
    /// What guards the upstream from too many requests, where anything does.
    pub guard: Option<Rc<Guard>>,
    /// The operator's own names and values for the connection, which its rules may use.
    pub labels: Vec<(String, String)>,
    /// The rules; empty only where people just sign in.
    pub rules: Vec<Rule>,
    /// Whether people just sign in: there is no API to call.
    pub is_for_signing_in_only: bool,
}

impl Connection {
    /// The accepted token types: any, where the connection says how a token is sent.
    #[must_use]
    pub const fn token_types(&self) -> TokenTypes {
        match &self.token_header {
            Some(TokenHeader { scheme: None, .. }) => TokenTypes::Bearer,
            Some(_) | None => TokenTypes::Any,
        }
    }

    /// Whether a `GET` of `path` changes something at the API. Servers differ in whether case and a
    /// slash at the end matter.
    #[must_use]
    pub fn acts(&self, path: RequestPath<'_>) -> bool {
        !self.acting_gets.is_empty() && {
            let plain = path.as_str().trim_end_matches('/').to_ascii_lowercase();
            RequestPath::parse(&plain)
                .is_ok_and(|path| self.acting_gets.iter().any(|pattern| pattern.matches(path)))
        }
    }
}

/// The webhook of a connection: how events are authenticated, and where they are delivered.
#[derive(Debug)]
pub struct Webhook {
    /// How an event proves its sender.
    pub proof: Proof,
    /// The accepted account tokens.
    pub account_tokens: AccountTokens,
    /// The members that identify an event, if it has the first of them. If empty, the whole event
    /// except the account token identifies it.
    pub id_members: Vec<String>,
    /// The largest event, in bytes.
    pub max_bytes: usize,
    /// The status that acknowledges an event: 2xx. Senders differ in which of them they accept.
    pub accepted_status: u16,
    /// The application's own receiver.
    pub receiver: Rc<Receiver>,
    /// The events that are the sender's tests, which are not delivered.
    pub handshake: Option<Handshake>,
}

/// Where events are delivered.
#[derive(Debug)]
pub struct Receiver {
    /// The address.
    pub address: String,
    /// The keys that sign deliveries.
    pub signing_keys: SigningKeys,
}

/// The grant that obtains a token.
#[derive(Debug)]
pub enum Grant {
    /// The token itself is configured; no token request is made.
    Static {
        /// The token; empty where no place of a call has it.
        token: Secret,
    },
    /// User name and password go on each call; no token request is made.
    Basic {
        /// Both as Basic credentials (RFC 7617 §2): the token of this grant.
        token: Secret,
    },
    /// Resource owner password credentials (RFC 6749 §4.3).
    Password {
        /// The token endpoint.
        endpoint: TokenEndpoint,
        /// The account's user name.
        username: Secret,
        /// The account's password.
        password: Secret,
    },
    /// The same with the credentials of each person who signs in, which are used once and never
    /// stored.
    SignIn {
        /// The token endpoint.
        endpoint: TokenEndpoint,
    },
    /// Client credentials (RFC 6749 §4.4).
    ClientCredentials {
        /// The token endpoint.
        endpoint: TokenEndpoint,
    },
    /// A refresh token obtained elsewhere (RFC 6749 §6).
    RefreshToken {
        /// The token endpoint.
        endpoint: TokenEndpoint,
        /// The first refresh token; later ones come from the provider.
        refresh_token: Secret,
    },
    /// An assertion that the broker signs (RFC 7523 §2.1).
    JwtBearer {
        /// The token endpoint.
        endpoint: TokenEndpoint,
        /// The assertion.
        assertion: Assertion,
    },
    /// A login at a token endpoint that is not OAuth.
    Login {
        /// The token endpoint.
        endpoint: TokenEndpoint,
        /// What is sent there, and where the token stands in the answer.
        login: Login,
    },
    /// The token of each caller is exchanged for one of theirs (RFC 8693).
    TokenExchange {
        /// The token endpoint.
        endpoint: TokenEndpoint,
        /// How it is asked.
        exchange: Exchange,
    },
    /// An authorization code (RFC 6749 §4.1), which somebody consented to at the provider.
    AuthorizationCode {
        /// The token endpoint.
        endpoint: TokenEndpoint,
        /// Where people consent.
        authorization: Box<Authorization>,
    },
}

impl Grant {
    /// The token endpoint of the grant; a static token has none.
    #[must_use]
    pub const fn endpoint(&self) -> Option<&TokenEndpoint> {
        match self {
            Self::Static { .. } | Self::Basic { .. } => None,
            Self::Password { endpoint, .. }
            | Self::SignIn { endpoint }
            | Self::ClientCredentials { endpoint }
            | Self::RefreshToken { endpoint, .. }
            | Self::JwtBearer { endpoint, .. }
            | Self::Login { endpoint, .. }
            | Self::TokenExchange { endpoint, .. }
            | Self::AuthorizationCode { endpoint, .. } => Some(endpoint),
        }
    }

    /// The grant's name in configuration and logs.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Static { .. } => "static",
            Self::Basic { .. } => "basic",
            Self::Password { .. } | Self::SignIn { .. } => "password",
            Self::ClientCredentials { .. } => "client_credentials",
            Self::RefreshToken { .. } => "refresh_token",
            Self::JwtBearer { .. } => "jwt_bearer",
            Self::Login { .. } => "login",
            Self::TokenExchange { .. } => "token_exchange",
            Self::AuthorizationCode { .. } => "authorization_code",
        }
    }
}

/// The names of all variables that are not secrets.
pub const VARIABLES: [&str; 9] = [
    "ALLOWED_ORIGINS",
    "BASE_PATH",
    "CALLERS",
    "CONNECTIONS",
    EVENTS,
    "SESSION_CROSS_SITE",
    "SESSION_IDLE_SECONDS",
    "SESSION_MAX_SECONDS",
    "TEMPLATES",
];

/// The variable in which the platform tells the names of the bindings that have `fetch`, an array. No
/// operator sets it.
pub const FETCHERS: &str = "(fetchers)";

/// The variables and secrets of the Worker, as text or JSON.
pub type Variables = Map<String, Value>;
