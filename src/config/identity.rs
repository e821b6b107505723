//! The identity of a grant's account, and the digest of its credentials.

use std::borrow::Cow;
use std::fmt;

use super::{Assertion, BasicEncoding, BodyEncoding, ClientAuthentication, Grant, TokenEndpoint};
use crate::http::EndpointUrl;
use crate::json;
use crate::secret::{Fingerprint, Secret};

impl Grant {
    /// The fingerprint of the account that token sets belong to: user name, static token or first
    /// refresh token, the claims of an assertion, or the issuer where people consent; client, token
    /// endpoint, and the requested scope and targets; of a login, all that may name its account. It does not depend on passwords, client
    /// secrets and keys, nor on the order of the scope's tokens.
    #[must_use]
    pub fn identity(&self) -> Fingerprint {
        let claims;
        let account = match self {
            Self::Static { token } | Self::Basic { token } => token.expose(),
            Self::Password { username, .. } => username.expose(),
            Self::SignIn { .. } => "each person",
            Self::ClientCredentials { .. } => "",
            Self::RefreshToken { refresh_token, .. } => refresh_token.expose(),
            Self::JwtBearer { assertion, .. } => {
                claims = json::text(&assertion.claims);
                &claims
            }
            Self::Login { login, .. } => login.account.expose(),
            Self::TokenExchange { .. } => "each caller",
            Self::AuthorizationCode { .. } => "whoever consented",
        };
        let mut parts = vec!["identity", self.name(), account];
        self.add_exchange(&mut parts);
        if let Self::AuthorizationCode { authorization, .. } = self {
            let authorize_url = authorization.authorize_url.as_ref().map(EndpointUrl::as_str);
            parts.push(authorization.issuer.as_deref().or(authorize_url).unwrap_or_default());
        }
        let Some(endpoint) = self.endpoint() else { return Fingerprint::of(&parts) };
        let mut scopes: Vec<&str> = Vec::new();
        for scope in endpoint.scope.iter().flat_map(|scope| scope.split(' ')) {
            if let Err(place) = scopes.binary_search(&scope) {
                scopes.insert(place, scope);
            }
        }
        let scope = scopes.join(" ");
        let (_, client_id, _) = endpoint.client.parts();
        parts.extend([endpoint.url.as_str(), client_id, &scope]);
        parts.extend(endpoint.targets());
        Fingerprint::of(&parts)
    }

    /// The fingerprint of all contents of the token requests, including secrets: after a change, a
    /// refused request may succeed.
    #[must_use]
    pub fn credentials(&self) -> Fingerprint {
        let signed;
        let (account, password) = match self {
            Self::Static { token } | Self::Basic { token } => (token.expose(), ""),
            Self::Password { username, password, .. } => (username.expose(), password.expose()),
            Self::SignIn { .. }
            | Self::ClientCredentials { .. }
            | Self::TokenExchange { .. }
            | Self::AuthorizationCode { .. } => ("", ""),
            Self::RefreshToken { refresh_token, .. } => (refresh_token.expose(), ""),
            Self::JwtBearer { assertion, .. } => {
                signed = (json::text(&assertion.claims), assertion.manner());
                (signed.0.as_str(), signed.1.as_str())
            }
            Self::Login { login, .. } => {
                (login.headers.expose(), login.fields.as_ref().map_or("", Secret::expose))
            }
        };
        let mut parts = vec!["credentials", self.name(), account, password];
        self.add_exchange(&mut parts);
        let Some(endpoint) = self.endpoint() else { return Fingerprint::of(&parts) };
        let encoding = match endpoint.encoding {
            BodyEncoding::Form => "form",
            BodyEncoding::Json => "json",
        };
        let (method, client_id, client_secret) = endpoint.client.parts();
        let scope = endpoint.scope.as_deref().unwrap_or_default();
        parts.extend([endpoint.url.as_str(), encoding, method, client_id, &client_secret, scope]);
        parts.extend(endpoint.targets());
        parts.extend(endpoint.certificate.as_deref());
        if let Self::Login { login, .. } = self {
            parts.push(login.method);
            parts.extend(login.query.as_ref().map(Secret::expose));
        }
        Fingerprint::of(&parts)
    }
}

impl Assertion {
    /// What an assertion depends on besides its claims: key, algorithm, life and id.
    fn manner(&self) -> String {
        let Self { lifetime, has_id, key, .. } = self;
        format!("{} {} {has_id}", key.fingerprint().to_hex(), lifetime.as_secs())
    }
}

impl Grant {
    /// Adds to `parts` how callers' tokens are exchanged, where they are.
    fn add_exchange<'a>(&'a self, parts: &mut Vec<&'a str>) {
        if let Self::TokenExchange { exchange, .. } = self {
            parts.push(&exchange.grant_type);
            parts.push(exchange.token_type.as_deref().unwrap_or_default());
        }
    }
}

impl ClientAuthentication {
    /// The method and the client's id; an empty text where it has none.
    pub(super) fn name(&self) -> (&str, &str) {
        let (method, client_id, _) = self.parts();
        (method, client_id)
    }

    /// The method, the client's id, and its secret or what else its proof depends on; empty texts
    /// where absent.
    fn parts(&self) -> (&str, &str, Cow<'_, str>) {
        let (method, client_id, client_secret) = match self {
            Self::PrivateKeyJwt { client_id, key, audience } => {
                let proof = format!("{} {audience}", key.fingerprint().to_hex());
                return ("private_key_jwt", client_id, proof.into());
            }
            Self::ClientSecretJwt { client_id, client_secret, audience } => {
                let proof = format!("{} {audience}", client_secret.fingerprint().to_hex());
                return ("client_secret_jwt", client_id, proof.into());
            }
            Self::Tls { client_id } => ("tls", client_id.as_str(), ""),
            Self::None { client_id } => ("none", client_id.as_deref().unwrap_or_default(), ""),
            Self::Post { client_id, client_secret } => ("post", client_id.as_str(), client_secret.expose()),
            Self::Basic { client_id, client_secret, encoding } => {
                let method = match encoding {
                    BasicEncoding::Form => "basic",
                    BasicEncoding::None => "basic as it is",
                };
                (method, client_id.as_str(), client_secret.expose())
            }
        };
        (method, client_id, client_secret.into())
    }
}

impl TokenEndpoint {
    /// The requested targets besides the scope: audience, resource and further parameters, names
    /// and values alternating.
    fn targets(&self) -> impl Iterator<Item = &str> {
        let fixed = [&self.audience, &self.resource];
        let fixed = fixed.map(|target| target.as_deref().unwrap_or_default());
        fixed.into_iter().chain(self.params.iter().flat_map(|(name, value)| [name.as_str(), value]))
    }
}

// The client's id and the audience may come from secrets.

impl fmt::Debug for TokenEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenEndpoint").field("url", &self.url).finish_non_exhaustive()
    }
}

impl fmt::Debug for Assertion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Assertion").field("key", &self.key).finish_non_exhaustive()
    }
}

impl fmt::Debug for ClientAuthentication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ClientAuthentication").field(&self.parts().0).finish()
    }
}

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::secret::Secret;

    fn secret(text: &str) -> Secret {
        Secret::new(text.to_owned())
    }

    fn endpoint(change: impl FnOnce(&mut TokenEndpoint)) -> TokenEndpoint {
        let mut endpoint = TokenEndpoint {
            url: EndpointUrl::parse("https://a.example/token").unwrap(),
            encoding: BodyEncoding::Form,
            client: post("client", "client secret"),
            audience: Some("audience".into()),
            scope: Some("a b".into()),
            resource: Some("urn:a".into()),
            params: vec![("x".into(), "1".into())],
            timeout: Duration::from_secs(1),
            certificate: None,
        };
        change(&mut endpoint);
        endpoint
    }

    fn post(id: &str, client_secret: &str) -> ClientAuthentication {
        ClientAuthentication::Post { client_id: id.into(), client_secret: secret(client_secret) }
    }

    fn password(name: &str, word: &str, change: impl FnOnce(&mut TokenEndpoint)) -> Grant {
        Grant::Password { endpoint: endpoint(change), username: secret(name), password: secret(word) }
    }

    /// Whether identity and credentials stay as they are when a grant changes
    /// to `changed`.
    fn check(changed: &Grant, same_identity: bool, same_credentials: bool) {
        let grant = password("ann", "pw", |_| {});
        assert_eq!(grant.identity() == changed.identity(), same_identity, "identity of {changed:?}");
        assert_eq!(
            grant.credentials() == changed.credentials(),
            same_credentials,
            "credentials of {changed:?}"
        );
    }

    #[test]
    fn keeps_token_sets_when_only_secrets_or_manners_change() {
        check(&password("ann", "pw", |_| {}), true, true);
        check(&password("ann", "pw", |e| e.timeout = Duration::from_secs(2)), true, true);
        check(&password("ann", "new", |_| {}), true, false);
        check(&password("ann", "pw", |e| e.client = post("client", "new")), true, false);
        check(&password("ann", "pw", |e| e.encoding = BodyEncoding::Json), true, false);
        check(&password("ann", "pw", |e| e.scope = Some("b a".into())), true, false);
        let basic = |encoding| ClientAuthentication::Basic {
            client_id: "client".into(),
            client_secret: secret("client secret"),
            encoding,
        };
        check(&password("ann", "pw", |e| e.client = basic(BasicEncoding::Form)), true, false);
        check(&password("ann", "pw", |e| e.client = basic(BasicEncoding::None)), true, false);
        let [form, none] = [BasicEncoding::Form, BasicEncoding::None]
            .map(|encoding| password("ann", "pw", |e| e.client = basic(encoding)).credentials());
        assert_ne!(form, none, "what was refused may be taken when it is written otherwise");
    }

    #[test]
    fn gives_token_sets_up_when_they_belong_to_something_else() {
        check(&password("bob", "pw", |_| {}), false, false);
        check(
            &password("ann", "pw", |e| e.url = EndpointUrl::parse("https://b.example/token").unwrap()),
            false,
            false,
        );
        check(&password("ann", "pw", |e| e.client = post("other", "client secret")), false, false);
        check(&password("ann", "pw", |e| e.audience = None), false, false);
        check(&password("ann", "pw", |e| e.scope = Some("a".into())), false, false);
        check(&password("ann", "pw", |e| e.resource = Some("urn:b".into())), false, false);
        check(&password("ann", "pw", |e| e.params = vec![("x".into(), "2".into())]), false, false);
        check(&Grant::ClientCredentials { endpoint: endpoint(|_| {}) }, false, false);
        check(
            &Grant::RefreshToken { endpoint: endpoint(|_| {}), refresh_token: secret("ann") },
            false,
            false,
        );
        check(&Grant::Static { token: secret("ann") }, false, false);
    }

    #[test]
    fn tells_initial_tokens_apart() {
        let refresh =
            |token| Grant::RefreshToken { endpoint: endpoint(|_| {}), refresh_token: secret(token) };
        assert_ne!(refresh("a").identity(), refresh("b").identity());
        assert_ne!(
            Grant::Static { token: secret("a") }.identity(),
            Grant::Static { token: secret("b") }.identity()
        );
        assert_ne!(refresh("a").identity(), refresh("a").credentials());
    }
}
