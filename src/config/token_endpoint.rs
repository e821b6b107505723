//! The token endpoint of a connection, and how its client authenticates there.

use std::rc::Rc;
use std::time::Duration;

use super::SigningKey;
use crate::http::EndpointUrl;
use crate::secret::Secret;

/// A token endpoint, and the contents of every token request to it.
pub struct TokenEndpoint {
    /// The token endpoint.
    pub url: EndpointUrl,
    /// The encoding of the request body.
    pub encoding: BodyEncoding,
    /// The client's authentication.
    pub client: ClientAuthentication,
    /// The audience of the token, if the provider requires one.
    pub audience: Option<String>,
    /// The requested scope, tokens separated by spaces.
    pub scope: Option<String>,
    /// The resource indicator (RFC 8707).
    pub resource: Option<String>,
    /// Further parameters, in the order of their names.
    pub params: Vec<(String, String)>,
    /// The time limit for the token endpoint's response.
    pub timeout: Duration,
    /// The name of the binding whose client certificate goes with token requests.
    pub certificate: Option<String>,
}

/// The encoding of a token request's body.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BodyEncoding {
    /// `application/x-www-form-urlencoded`, as RFC 6749 requires.
    Form,
    /// A JSON object, as some providers require.
    Json,
}

/// Client authentication at the token endpoint (RFC 6749 §2.3, RFC 7523 §2.2, RFC 8705 §2): exactly
/// one method.
pub enum ClientAuthentication {
    /// No secret; the client sends its id if it has one.
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
        /// The encoding of both before they are joined.
        encoding: BasicEncoding,
    },
    /// An assertion signed with a private key.
    PrivateKeyJwt {
        /// The client's id.
        client_id: String,
        /// The key.
        key: Rc<SigningKey>,
        /// The audience of the assertion.
        audience: String,
    },
    /// An assertion authenticated with the client's secret.
    ClientSecretJwt {
        /// The client's id.
        client_id: String,
        /// The client's secret.
        client_secret: Secret,
        /// The audience of the assertion.
        audience: String,
    },
    /// The certificate of the connection.
    Tls {
        /// The client's id.
        client_id: String,
    },
}

impl ClientAuthentication {
    /// The client's id, if it has one.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        match self {
            Self::None { client_id } => client_id.as_deref(),
            Self::Post { client_id, .. }
            | Self::Basic { client_id, .. }
            | Self::PrivateKeyJwt { client_id, .. }
            | Self::ClientSecretJwt { client_id, .. }
            | Self::Tls { client_id } => Some(client_id),
        }
    }
}

/// The encoding of id and secret in HTTP Basic credentials.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BasicEncoding {
    /// Form-encoded, as RFC 6749 §2.3.1 requires.
    Form,
    /// Not encoded, as many token endpoints expect.
    None,
}
