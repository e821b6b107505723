//! The authorization code grant (RFC 6749 §4.1): where people consent, and what is asked for.

use crate::http::EndpointUrl;

/// What the authorization code grant needs besides its token endpoint.
#[derive(Debug)]
pub struct Authorization {
    /// The issuer, compared exactly; its metadata has what is not configured (RFC 8414, `OpenID`
    /// Connect Discovery 1.0).
    pub issuer: Option<String>,
    /// The authorization endpoint, if configured.
    pub authorize_url: Option<EndpointUrl>,
    /// Whether the token endpoint is the one in the metadata. The configured address is the issuer's
    /// then.
    pub discovers_token_url: bool,
    /// The revocation endpoint (RFC 7009), if configured.
    pub revocation_url: Option<EndpointUrl>,
    /// Further parameters of the authorization request, in the order of their names.
    pub params: Vec<(String, String)>,
    /// The last segment of the redirect address.
    pub callback: String,
    /// The claims of a person that their page may read.
    pub person_claims: Vec<String>,
    /// Whether each person consents for themselves.
    pub for_people: bool,
}
