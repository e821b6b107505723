//! Authorization requests (RFC 6749 §4.1.1, RFC 7636, RFC 9126), and the other addresses that a
//! browser is sent to.

mod pushed;
mod response;

pub use pushed::{PushedRequest, read_pushed};
pub use response::{AuthorizationResponse, BadResponse};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use crate::config::{Authorization, TokenEndpoint};
use crate::form;
use crate::secret::Secret;

/// 256 bits as a text: a state, a nonce or a code verifier (RFC 7636 §4.1).
#[must_use]
pub fn unguessable(bytes: [u8; 32]) -> Secret {
    Secret::new(URL_SAFE_NO_PAD.encode(bytes))
}

/// The code challenge of a code verifier by S256 (RFC 7636 §4.2).
#[must_use]
pub fn challenge(verifier: &Secret) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.expose()))
}

/// The parameters of an authorization request (RFC 6749 §4.1.1, RFC 7636 §4.3, RFC 8707 §2.1, `OpenID`
/// Connect Core 1.0 §3.1.2.1) with the challenge of `verifier`, and with a nonce where an ID token must
/// come.
#[must_use]
pub fn authorization_request(
    endpoint: &TokenEndpoint,
    authorization: &Authorization,
    redirect_uri: &str,
    state: &str,
    verifier: &Secret,
    nonce: Option<&str>,
) -> Vec<(String, String)> {
    let challenge = challenge(verifier);
    let own = [
        ("response_type", Some("code")),
        ("client_id", endpoint.client.id()),
        ("redirect_uri", Some(redirect_uri)),
        ("scope", endpoint.scope.as_deref()),
        ("state", Some(state)),
        ("code_challenge", Some(challenge.as_str())),
        ("code_challenge_method", Some("S256")),
        ("nonce", nonce),
        ("audience", endpoint.audience.as_deref()),
        ("resource", endpoint.resource.as_deref()),
    ];
    let own = own.into_iter().filter_map(|(name, value)| Some((name, value?)));
    let further = authorization.params.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    own.chain(further).map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// The address of an authorization request at the endpoint `url`, which may have a query (RFC 6749
/// §3.1).
#[must_use]
pub fn authorization_url(url: &str, params: &[(String, String)]) -> String {
    with_query(url, params.iter().map(|(name, value)| (name.as_str(), value.as_str())))
}

/// The address of a pushed authorization request at the endpoint `url` (RFC 9126 §4).
#[must_use]
pub fn pushed_url(url: &str, client_id: &str, request_uri: &str) -> String {
    with_query(url, [("client_id", client_id), ("request_uri", request_uri)])
}

/// The address at which a person signs out at the provider (`OpenID` Connect RP-Initiated Logout 1.0
/// §2).
#[must_use]
pub fn end_session_url(
    url: &str,
    client_id: &str,
    post_logout_redirect_uri: &str,
    state: Option<&str>,
) -> String {
    let own = [("client_id", client_id), ("post_logout_redirect_uri", post_logout_redirect_uri)];
    with_query(url, own.into_iter().chain(state.map(|state| ("state", state))))
}

/// `url` with these parameters behind those that it has. A blank becomes `%20`, which every server
/// reads: the `+` of forms is one in some of them.
fn with_query<'a>(url: &str, params: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mark = match url.split_once('?') {
        None => "?",
        Some((_, query)) if query.is_empty() || query.ends_with('&') => "",
        Some(_) => "&",
    };
    [url, mark, &form::encode(params).replace('+', "%20")].concat()
}

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod tests {
    use super::*;
    use crate::config::{BasicEncoding, BodyEncoding, ClientAuthentication};
    use crate::oauth::request::tests::endpoint_of;
    use crate::oauth::{Assertions, TokenRequest};

    const CALLBACK: &str = "https://client.example.org/cb";
    const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

    fn secret(text: &str) -> Secret {
        Secret::new(text.to_owned())
    }

    fn basic(client_secret: &str) -> ClientAuthentication {
        let (client_id, client_secret) = ("s6BhdRkqt3".to_owned(), secret(client_secret));
        ClientAuthentication::Basic { client_id, client_secret, encoding: BasicEncoding::Form }
    }

    fn authorization(params: &[(&str, &str)]) -> Authorization {
        Authorization {
            issuer: None,
            authorize_url: None,
            discovers_token_url: false,
            revocation_url: None,
            params: params.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            callback: "a".to_owned(),
            person_claims: Vec::new(),
            for_people: true,
        }
    }

    fn body(request: &TokenRequest) -> &str {
        request.body.as_ref().unwrap().expose()
    }

    #[test]
    fn makes_the_challenge_of_the_standard() {
        // RFC 7636 appendix B.
        let verifier = unguessable([
            116, 24, 223, 180, 151, 153, 224, 37, 79, 250, 96, 125, 216, 173, 187, 186, 22, 212, 37, 77, 105,
            214, 191, 240, 91, 88, 5, 88, 83, 132, 141, 121,
        ]);
        assert_eq!(verifier.expose(), VERIFIER);
        assert_eq!(challenge(&verifier), CHALLENGE);
    }

    #[test]
    fn asks_for_what_is_configured() {
        let mut endpoint = endpoint_of(basic("7Fjfp0ZBr1KtDRbnfVdmIw"));
        let ask = |endpoint: &TokenEndpoint, authorization: &Authorization, nonce| {
            let params = authorization_request(
                endpoint,
                authorization,
                CALLBACK,
                "af0ifjsldkj",
                &secret(VERIFIER),
                nonce,
            );
            authorization_url("https://as.example/authorize", &params)
        };
        let plain = "https://as.example/authorize?response_type=code&client_id=s6BhdRkqt3\
            &redirect_uri=https%3A%2F%2Fclient.example.org%2Fcb&state=af0ifjsldkj\
            &code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256";
        assert_eq!(ask(&endpoint, &authorization(&[]), None), plain);
        endpoint.scope = Some("openid a+b".to_owned());
        endpoint.audience = Some("https://api.example".to_owned());
        endpoint.resource = Some("https://api.example/r".to_owned());
        endpoint.params = vec![("of".to_owned(), "token requests alone".to_owned())];
        assert_eq!(
            ask(&endpoint, &authorization(&[("prompt", "consent"), ("x y", "é")]), Some("n-0S6")),
            plain.replace("&state", "&scope=openid%20a%2Bb&state")
                + "&nonce=n-0S6&audience=https%3A%2F%2Fapi.example&resource=https%3A%2F%2Fapi.example%2Fr\
                   &prompt=consent&x%20y=%C3%A9"
        );
    }

    #[test]
    fn keeps_the_query_of_an_endpoint() {
        let params = [("a".to_owned(), "1".to_owned())];
        for (url, expected) in [
            ("https://as.example/a", "https://as.example/a?a=1"),
            ("https://as.example/a?", "https://as.example/a?a=1"),
            ("https://as.example/a?p=x+y", "https://as.example/a?p=x+y&a=1"),
            ("https://as.example/a?p=x&", "https://as.example/a?p=x&a=1"),
        ] {
            assert_eq!(authorization_url(url, &params), expected);
        }
        // RFC 9126 §4.
        assert_eq!(
            pushed_url(
                "https://as.example.com/authorize",
                "s6BhdRkqt3",
                "urn:ietf:params:oauth:request_uri:6esc_11ACC5bwc014ltc14eY22c"
            ),
            "https://as.example.com/authorize?client_id=s6BhdRkqt3&\
             request_uri=urn%3Aietf%3Aparams%3Aoauth%3Arequest_uri%3A6esc_11ACC5bwc014ltc14eY22c"
        );
        let url = "https://op.example/end";
        assert_eq!(
            end_session_url(url, "id", "https://broker.example/", Some("s 1")),
            "https://op.example/end?client_id=id&post_logout_redirect_uri=https%3A%2F%2Fbroker.example%2F&state=s%201"
        );
        assert!(end_session_url(url, "id", "https://broker.example/", None).ends_with("example%2F"));
    }

    #[test]
    fn pushes_a_request_as_the_standard_does() {
        // RFC 9126 §2.1.
        let endpoint = TokenEndpoint {
            scope: Some("account-information".to_owned()),
            encoding: BodyEncoding::Json,
            ..endpoint_of(basic("7Fjfp0ZBr1KtDRbnfVdmIw"))
        };
        let params = authorization_request(
            &endpoint,
            &authorization(&[]),
            CALLBACK,
            "af0ifjsldkj",
            &secret(VERIFIER),
            None,
        );
        let pushed =
            TokenRequest::pushed(&endpoint, "https://as.example/par", &params, &Assertions::default());
        assert_eq!((pushed.method, pushed.url.expose()), ("POST", "https://as.example/par"));
        assert_eq!(pushed.content_type, "application/x-www-form-urlencoded");
        assert_eq!(
            pushed.authorization.as_ref().map(Secret::expose),
            Some("Basic czZCaGRSa3F0Mzo3RmpmcDBaQnIxS3REUmJuZlZkbUl3")
        );
        let form = format!(
            "response_type=code&client_id=s6BhdRkqt3&redirect_uri=https%3A%2F%2Fclient.example.org%2Fcb\
             &scope=account-information&state=af0ifjsldkj&code_challenge={CHALLENGE}&code_challenge_method=S256"
        );
        assert_eq!(body(&pushed), form);

        let post =
            ClientAuthentication::Post { client_id: "s6BhdRkqt3".to_owned(), client_secret: secret("s&c") };
        let pushed = TokenRequest::pushed(
            &endpoint_of(post),
            "https://as.example/par",
            &params,
            &Assertions::default(),
        );
        assert_eq!(body(&pushed), form + "&client_secret=s%26c");
    }

    #[test]
    fn exchanges_a_code_as_the_standard_does() {
        // RFC 6749 §4.1.3.
        let mut endpoint = endpoint_of(basic("gX1fBat3bV"));
        let (code, callback) = (secret("SplxlOBeZQQYbYS6WxSbIA"), "https://client.example.com/cb");
        let url = "https://as.example/found";
        let request = |endpoint: &TokenEndpoint| {
            TokenRequest::code(endpoint, url, &code, callback, &secret(VERIFIER), &Assertions::default())
        };
        let basic = request(&endpoint);
        assert_eq!((basic.method, basic.url.expose()), ("POST", url));
        assert_eq!(
            basic.authorization.as_ref().map(Secret::expose),
            Some("Basic czZCaGRSa3F0MzpnWDFmQmF0M2JW")
        );
        let form = format!(
            "grant_type=authorization_code&code=SplxlOBeZQQYbYS6WxSbIA\
             &redirect_uri=https%3A%2F%2Fclient.example.com%2Fcb&code_verifier={VERIFIER}"
        );
        assert_eq!(body(&basic), form);

        // Scope and audience were of the authorization request; the resource is of both (RFC 8707 §2).
        endpoint.client = ClientAuthentication::None { client_id: Some("id".to_owned()) };
        endpoint.scope = Some("openid".to_owned());
        endpoint.audience = Some("https://api.example".to_owned());
        endpoint.resource = Some("https://api.example/r".to_owned());
        endpoint.params = vec![("tenant".to_owned(), "a b".to_owned())];
        let public = request(&endpoint);
        assert_eq!(body(&public), form + "&resource=https%3A%2F%2Fapi.example%2Fr&client_id=id&tenant=a+b");
        endpoint.encoding = BodyEncoding::Json;
        let json = request(&endpoint);
        assert_eq!(json.content_type, "application/json");
        assert_eq!(
            body(&json),
            format!(
                r#"{{"grant_type":"authorization_code","client_id":"id","code":"SplxlOBeZQQYbYS6WxSbIA","redirect_uri":"{callback}","code_verifier":"{VERIFIER}","resource":"https://api.example/r","tenant":"a b"}}"#
            )
        );
    }

    #[test]
    fn revokes_and_refreshes_where_it_is_told() {
        // RFC 7009 §2.1.
        let endpoint = TokenEndpoint { encoding: BodyEncoding::Json, ..endpoint_of(basic("gX1fBat3bV")) };
        let url = "https://as.example/revoke";
        let token = secret("45ghiukldjahdnhzdauz");
        let revocation =
            TokenRequest::revocation(&endpoint, url, &token, "refresh_token", &Assertions::default());
        assert_eq!((revocation.method, revocation.url.expose()), ("POST", url));
        assert_eq!(revocation.content_type, "application/x-www-form-urlencoded");
        assert_eq!(body(&revocation), "token=45ghiukldjahdnhzdauz&token_type_hint=refresh_token");
        assert_eq!(
            revocation.authorization.as_ref().map(Secret::expose),
            Some("Basic czZCaGRSa3F0MzpnWDFmQmF0M2JW")
        );
        let refresh = TokenRequest::refresh(&endpoint, &token, &Assertions::default());
        let known = body(&refresh).to_owned();
        let moved = refresh.at("https://as.example/found");
        assert_eq!((moved.url.expose(), body(&moved)), ("https://as.example/found", known.as_str()));
        assert!(!format!("{moved:?}").contains("45ghiukldjahdnhzdauz"));
    }
}
