//! Token requests (RFC 6749 §4.1.3, §4.3.2, §4.4.2, §6, RFC 7523 §2), and what else the client
//! authenticates for: pushed authorization requests and revocations.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::assertion::{Assertions, CLIENT_ASSERTION_TYPE, GRANT_TYPE};
use crate::config::{
    BasicEncoding, BodyEncoding, ClientAuthentication, Exchange, Grant, Login, TokenEndpoint,
};
use crate::form;
use crate::json::{self, Members, ToJson};
use crate::secret::Secret;

/// A request to a token endpoint, ready to be sent.
#[derive(Debug)]
pub struct TokenRequest {
    /// The method.
    pub method: &'static str,
    /// The token endpoint; a login may have credentials in its query.
    pub url: Secret,
    /// The value of `Content-Type`, where there is a body.
    pub content_type: &'static str,
    /// The value of `Authorization`, if the client authenticates by Basic.
    pub authorization: Option<Secret>,
    /// Further header fields, as [`Headers`](crate::http::Headers) reads them; they take the place of
    /// those above.
    pub headers: Secret,
    /// The body, if any.
    pub body: Option<Secret>,
}

impl TokenRequest {
    /// The request that obtains a new token set by `grant`; `None` for a static token, and for the
    /// grants of persons, which need [`TokenRequest::sign_in`] or [`TokenRequest::exchange`].
    /// `assertions` are those that client and grant need.
    #[must_use]
    pub fn acquire(grant: &Grant, assertions: &Assertions) -> Option<Self> {
        match grant {
            Grant::Static { .. }
            | Grant::Basic { .. }
            | Grant::SignIn { .. }
            | Grant::TokenExchange { .. }
            | Grant::AuthorizationCode { .. } => None,
            Grant::Password { endpoint, username, password } => {
                Some(Self::sign_in(endpoint, username, password, assertions))
            }
            Grant::ClientCredentials { endpoint } => {
                Some(Self::build(endpoint, "client_credentials", &[], &Ask::Anew, assertions))
            }
            Grant::RefreshToken { endpoint, refresh_token } => {
                Some(Self::refresh(endpoint, refresh_token, assertions))
            }
            Grant::JwtBearer { endpoint, .. } => {
                let own = [("assertion", assertions.grant.as_ref()?.expose())];
                Some(Self::build(endpoint, GRANT_TYPE, &own, &Ask::Anew, assertions))
            }
            Grant::Login { endpoint, login } => Some(login_request(endpoint, login)),
        }
    }

    /// The request that obtains a token set with the credentials of an account
    /// (RFC 6749 §4.3.2).
    #[must_use]
    pub fn sign_in(
        endpoint: &TokenEndpoint,
        username: &Secret,
        password: &Secret,
        assertions: &Assertions,
    ) -> Self {
        let own = [("username", username.expose()), ("password", password.expose())];
        Self::build(endpoint, "password", &own, &Ask::Anew, assertions)
    }

    /// The request that renews a token set with its refresh token. It repeats neither scope nor
    /// audience, and so asks for the granted ones.
    #[must_use]
    pub fn refresh(endpoint: &TokenEndpoint, refresh_token: &Secret, assertions: &Assertions) -> Self {
        let own = [("refresh_token", refresh_token.expose())];
        Self::build(endpoint, "refresh_token", &own, &Ask::Again, assertions)
    }

    /// The request that exchanges a caller's `token` for one of theirs (RFC 8693 §2.1); `None` for
    /// another grant. Where further parameters place the token, it stands there alone.
    #[must_use]
    pub fn exchange(grant: &Grant, token: &Secret, assertions: &Assertions) -> Option<Self> {
        let Grant::TokenExchange { endpoint, exchange } = grant else { return None };
        let mut own = Vec::new();
        if let Some(token_type) = &exchange.token_type {
            own.extend([("subject_token", token.expose()), ("subject_token_type", token_type)]);
        }
        Some(Self::build_with(endpoint, &exchange.grant_type, &own, &Ask::Anew, assertions, Some(token)))
    }

    /// The request that exchanges an authorization code at `token_url` (RFC 6749 §4.1.3, RFC 7636 §4.5).
    /// It names the resource again, and so asks for a token for it (RFC 8707 §2.2).
    #[must_use]
    pub fn code(
        endpoint: &TokenEndpoint,
        token_url: &str,
        code: &Secret,
        redirect_uri: &str,
        verifier: &Secret,
        assertions: &Assertions,
    ) -> Self {
        let mut own = vec![
            ("code", code.expose()),
            ("redirect_uri", redirect_uri),
            ("code_verifier", verifier.expose()),
        ];
        own.extend(endpoint.resource.as_deref().map(|resource| ("resource", resource)));
        Self::build(endpoint, "authorization_code", &own, &Ask::Again, assertions).at(token_url)
    }

    /// The request that pushes an authorization request of these parameters to the endpoint `url` (RFC
    /// 9126 §2.1): always a form.
    #[must_use]
    pub fn pushed(
        endpoint: &TokenEndpoint,
        url: &str,
        params: &[(String, String)],
        assertions: &Assertions,
    ) -> Self {
        let (client, authorization) = client_fields(&endpoint.client, assertions);
        let mut fields: Vec<_> = params.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        // The client's id is a parameter of the request already.
        fields.extend(client.into_iter().filter(|(name, _)| *name != "client_id"));
        Self::of_fields(url, BodyEncoding::Form, fields, authorization)
    }

    /// The request that revokes `token`, which is a `hint`: `refresh_token` or `access_token`, at the
    /// endpoint `url` (RFC 7009 §2.1). It is always a form.
    #[must_use]
    pub fn revocation(
        endpoint: &TokenEndpoint,
        url: &str,
        token: &Secret,
        hint: &str,
        assertions: &Assertions,
    ) -> Self {
        let (client, authorization) = client_fields(&endpoint.client, assertions);
        let mut fields = vec![("token", token.expose()), ("token_type_hint", hint)];
        fields.extend(client);
        Self::of_fields(url, BodyEncoding::Form, fields, authorization)
    }

    fn build(
        endpoint: &TokenEndpoint,
        grant_type: &str,
        own: &[(&str, &str)],
        ask: &Ask,
        assertions: &Assertions,
    ) -> Self {
        Self::build_with(endpoint, grant_type, own, ask, assertions, None)
    }

    /// The same with `placed`, the caller's token, wherever a further parameter has a place for it.
    fn build_with(
        endpoint: &TokenEndpoint,
        grant_type: &str,
        own: &[(&str, &str)],
        ask: &Ask,
        assertions: &Assertions,
        placed: Option<&Secret>,
    ) -> Self {
        let mut fields = vec![("grant_type", grant_type)];
        // In JSON token requests the client comes first, as the makers document them.
        let client_first = endpoint.encoding == BodyEncoding::Json;
        let (mut client, authorization) = client_fields(&endpoint.client, assertions);
        if client_first {
            fields.append(&mut client);
        }
        fields.extend_from_slice(own);
        if matches!(ask, Ask::Anew) {
            let asked = [
                ("audience", &endpoint.audience),
                ("scope", &endpoint.scope),
                ("resource", &endpoint.resource),
            ];
            fields.extend(asked.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?))));
        }
        fields.append(&mut client);
        let filled: Vec<Option<Secret>> = match placed {
            Some(token) => endpoint.params.iter().map(|(_, value)| Exchange::fill(value, token)).collect(),
            None => Vec::new(),
        };
        let mut filled = filled.iter().map(Option::as_ref);
        fields.extend(endpoint.params.iter().map(|(name, value)| {
            (name.as_str(), filled.next().flatten().map_or(value.as_str(), Secret::expose))
        }));
        Self::of_fields(endpoint.url.as_str(), endpoint.encoding, fields, authorization)
    }

    /// The request that sends `fields` to `url`.
    fn of_fields(
        url: &str,
        encoding: BodyEncoding,
        fields: Vec<(&str, &str)>,
        authorization: Option<Secret>,
    ) -> Self {
        let body = match encoding {
            BodyEncoding::Form => form::encode(fields),
            BodyEncoding::Json => {
                let members: Vec<(&str, &dyn ToJson)> =
                    fields.iter().map(|(name, value)| (*name, value as &dyn ToJson)).collect();
                json::text(&Members(&members))
            }
        };
        Self {
            method: "POST",
            url: Secret::new(url.to_owned()),
            content_type: content_type(encoding),
            authorization,
            headers: Secret::new(String::new()),
            body: Some(Secret::new(body)),
        }
    }

    /// The same request at another address: that of the issuer's metadata.
    #[must_use]
    pub fn at(self, url: &str) -> Self {
        Self { url: Secret::new(url.to_owned()), ..self }
    }
}

const fn content_type(encoding: BodyEncoding) -> &'static str {
    match encoding {
        BodyEncoding::Form => "application/x-www-form-urlencoded",
        BodyEncoding::Json => "application/json",
    }
}

/// What authenticates `client` (RFC 6749 §2.3): the parameters in the body, and the value of
/// `Authorization`.
fn client_fields<'a>(
    client: &'a ClientAuthentication,
    assertions: &'a Assertions,
) -> (Vec<(&'static str, &'a str)>, Option<Secret>) {
    let mut fields = Vec::new();
    let mut authorization = None;
    match client {
        ClientAuthentication::None { client_id } => {
            fields.extend(client_id.as_deref().map(|id| ("client_id", id)));
        }
        ClientAuthentication::Post { client_id, client_secret } => {
            fields.push(("client_id", client_id.as_str()));
            fields.push(("client_secret", client_secret.expose()));
        }
        ClientAuthentication::Basic { client_id, client_secret, encoding } => {
            authorization = Some(basic(client_id, client_secret, *encoding));
        }
        ClientAuthentication::Tls { client_id } => fields.push(("client_id", client_id.as_str())),
        // The id need not be sent (RFC 7521 §4.2), but some servers look for it there alone.
        ClientAuthentication::PrivateKeyJwt { client_id, .. }
        | ClientAuthentication::ClientSecretJwt { client_id, .. } => {
            fields.push(("client_id", client_id.as_str()));
            if let Some(proof) = &assertions.client {
                fields.push(("client_assertion_type", CLIENT_ASSERTION_TYPE));
                fields.push(("client_assertion", proof.expose()));
            }
        }
    }
    (fields, authorization)
}

/// The request of `login`.
fn login_request(endpoint: &TokenEndpoint, login: &Login) -> TokenRequest {
    let url = endpoint.url.as_str();
    let url = match &login.query {
        Some(query) => [url, "?", query.expose()].concat(),
        None => url.to_owned(),
    };
    TokenRequest {
        method: login.method,
        url: Secret::new(url),
        content_type: content_type(endpoint.encoding),
        authorization: None,
        headers: login.headers.clone(),
        body: login.fields.clone(),
    }
}

/// Whether a token request names scope and targets: a new grant does, a refresh does not.
enum Ask {
    Anew,
    Again,
}

/// Basic credentials: both parts form-encoded before they are joined (RFC 6749 §2.3.1), or not
/// encoded (RFC 7617 §2).
fn basic(client_id: &str, client_secret: &Secret, encoding: BasicEncoding) -> Secret {
    let mut pair = Zeroizing::new(String::new());
    match encoding {
        BasicEncoding::Form => {
            form::encode_into(&mut pair, client_id);
            pair.push(':');
            form::encode_into(&mut pair, client_secret.expose());
        }
        BasicEncoding::None => pair.extend([client_id, ":", client_secret.expose()]),
    }
    Secret::new(format!("Basic {}", STANDARD.encode(pair.as_bytes())))
}

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
pub(super) mod tests {
    use std::time::Duration;

    use super::*;
    use crate::http::EndpointUrl;

    /// A token endpoint that takes forms from `client`.
    pub(in crate::oauth) fn endpoint_of(client: ClientAuthentication) -> TokenEndpoint {
        endpoint(BodyEncoding::Form, client)
    }

    fn endpoint(encoding: BodyEncoding, client: ClientAuthentication) -> TokenEndpoint {
        TokenEndpoint {
            url: EndpointUrl::parse("https://as.example/oauth/token").unwrap(),
            encoding,
            client,
            audience: None,
            scope: None,
            resource: None,
            params: Vec::new(),
            timeout: Duration::from_secs(10),
            certificate: None,
        }
    }

    fn secret(text: &str) -> Secret {
        Secret::new(text.to_owned())
    }

    fn post() -> ClientAuthentication {
        ClientAuthentication::Post { client_id: "id".into(), client_secret: secret("s&c") }
    }

    fn password(endpoint: TokenEndpoint) -> Grant {
        Grant::Password { endpoint, username: secret("ana@example.com"), password: secret("+&%é€\"") }
    }

    #[track_caller]
    fn check(request: &TokenRequest, content_type: &str, authorization: Option<&str>, body: &str) {
        assert_eq!((request.method, request.url.expose()), ("POST", "https://as.example/oauth/token"));
        assert_eq!(request.content_type, content_type);
        assert_eq!(request.authorization.as_ref().map(Secret::expose), authorization);
        assert_eq!(request.body.as_ref().map(Secret::expose), Some(body));
        assert_eq!(request.headers.expose(), "");
    }

    #[test]
    fn asks_hubsoft_as_its_maker_documents() {
        let grant = password(endpoint(BodyEncoding::Json, post()));
        check(
            &TokenRequest::acquire(&grant, &Assertions::default()).unwrap(),
            "application/json",
            None,
            r#"{"grant_type":"password","client_id":"id","client_secret":"s&c","username":"ana@example.com","password":"+&%é€\""}"#,
        );
    }

    #[test]
    fn asks_v8_as_its_maker_documents() {
        let mut v8 =
            endpoint(BodyEncoding::Form, ClientAuthentication::None { client_id: Some("id".into()) });
        v8.audience = Some("https://api.v8".into());
        v8.scope = Some("offline_access".into());
        check(
            &TokenRequest::acquire(&password(v8), &Assertions::default()).unwrap(),
            "application/x-www-form-urlencoded",
            None,
            "grant_type=password&username=ana%40example.com&password=%2B%26%25%C3%A9%E2%82%AC%22&audience=https%3A%2F%2Fapi.v8&scope=offline_access&client_id=id",
        );
    }

    #[test]
    fn proves_the_client_by_one_method_only() {
        let post = Grant::ClientCredentials { endpoint: endpoint(BodyEncoding::Form, post()) };
        check(
            &TokenRequest::acquire(&post, &Assertions::default()).unwrap(),
            "application/x-www-form-urlencoded",
            None,
            "grant_type=client_credentials&client_id=id&client_secret=s%26c",
        );
        let basic = |encoding| {
            let (client_id, client_secret) = ("i d".into(), secret("a:b%+ü"));
            let client = ClientAuthentication::Basic { client_id, client_secret, encoding };
            Grant::ClientCredentials { endpoint: endpoint(BodyEncoding::Form, client) }
        };
        // i+d:a%3Ab%25%2B%C3%BC
        check(
            &TokenRequest::acquire(&basic(BasicEncoding::Form), &Assertions::default()).unwrap(),
            "application/x-www-form-urlencoded",
            Some("Basic aStkOmElM0FiJTI1JTJCJUMzJUJD"),
            "grant_type=client_credentials",
        );
        // i d:a:b%+ü
        check(
            &TokenRequest::acquire(&basic(BasicEncoding::None), &Assertions::default()).unwrap(),
            "application/x-www-form-urlencoded",
            Some("Basic aSBkOmE6YiUrw7w="),
            "grant_type=client_credentials",
        );
        let none = ClientAuthentication::None { client_id: None };
        let none = Grant::ClientCredentials { endpoint: endpoint(BodyEncoding::Form, none) };
        check(
            &TokenRequest::acquire(&none, &Assertions::default()).unwrap(),
            "application/x-www-form-urlencoded",
            None,
            "grant_type=client_credentials",
        );
    }

    #[test]
    fn sends_what_was_configured_besides() {
        let mut custom = endpoint(BodyEncoding::Form, post());
        custom.scope = Some("read write".into());
        custom.resource = Some("https://api.example/".into());
        custom.params = vec![("tenant".into(), "a b".into())];
        let grant = Grant::ClientCredentials { endpoint: custom };
        check(
            &TokenRequest::acquire(&grant, &Assertions::default()).unwrap(),
            "application/x-www-form-urlencoded",
            None,
            "grant_type=client_credentials&scope=read+write&resource=https%3A%2F%2Fapi.example%2F&client_id=id&client_secret=s%26c&tenant=a+b",
        );
    }

    #[test]
    fn refreshes_with_the_token_and_asks_for_nothing_wider() {
        let mut custom = endpoint(BodyEncoding::Form, post());
        custom.scope = Some("read".into());
        custom.audience = Some("a".into());
        let refresh = "grant_type=refresh_token&refresh_token=r%2F1&client_id=id&client_secret=s%26c";
        let form = "application/x-www-form-urlencoded";
        check(&TokenRequest::refresh(&custom, &secret("r/1"), &Assertions::default()), form, None, refresh);
        let grant = Grant::RefreshToken { endpoint: custom, refresh_token: secret("r/1") };
        check(&TokenRequest::acquire(&grant, &Assertions::default()).unwrap(), form, None, refresh);
        check(
            &TokenRequest::refresh(
                &endpoint(BodyEncoding::Json, post()),
                &secret("r/1"),
                &Assertions::default(),
            ),
            "application/json",
            None,
            r#"{"grant_type":"refresh_token","client_id":"id","client_secret":"s&c","refresh_token":"r/1"}"#,
        );
    }

    #[test]
    fn requests_nothing_for_a_static_token() {
        assert!(
            TokenRequest::acquire(&Grant::Static { token: secret("t") }, &Assertions::default()).is_none()
        );
    }

    #[test]
    fn shows_no_secret_when_debugged() {
        let hubsoft = password(endpoint(BodyEncoding::Json, post()));
        let shown = format!("{:?}", TokenRequest::acquire(&hubsoft, &Assertions::default()));
        assert!(!shown.contains("s&c") && !shown.contains("ana") && !shown.contains("é€"), "{shown}");
    }
}
