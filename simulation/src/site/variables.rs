//! The variables of sites, by what their connections are for.

use serde_json::{Value, json};

use super::Site;
use crate::issuer::Key;
use crate::provider::proofs::{CLIENT_SECRET, PRIVATE_KEY, Proof};

impl Site {
    /// The variables of a site, to be changed before use.
    pub fn variables() -> Value {
        json!({
            "ALLOWED_ORIGINS": ["https://app.example"],
            "CALLERS": { "backend": { "kind": "key" }, "page": { "kind": "anyone" } },
            "CONNECTIONS": {
                "acme": {
                    "provider": "custom",
                    "base_url": "https://api.acme.example/v2",
                    "token_url": "https://login.acme.example/token",
                    "grant": "password",
                    "client_auth": "none",
                    "client_id": "client",
                    "rules": [{
                        "callers": ["backend", "page"],
                        "methods": ["GET", "POST"],
                        "paths": ["/things", "/things/*"],
                    }],
                },
            },
            "BACKEND_KEY": Self::CALLER_KEY,
            "ACME_USERNAME": "ana@example.com",
            "ACME_PASSWORD": "pass word",
            "SEALING_KEYS": "k1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        })
    }

    /// The variables of a site whose token requests are proven by `proof`.
    pub fn variables_proving(proof: Proof) -> Value {
        let mut variables = Self::variables();
        let connection = &mut variables["CONNECTIONS"]["acme"];
        match proof {
            Proof::None => return variables,
            Proof::PrivateKeyJwt => connection["client_auth"] = "private_key_jwt".into(),
            Proof::ClientSecretJwt => {
                connection["client_auth"] = "client_secret_jwt".into();
                variables["ACME_CLIENT_SECRET"] = CLIENT_SECRET.into();
                return variables;
            }
            Proof::JwtBearer => {
                connection["grant"] = "jwt_bearer".into();
                let account = "service@acme.example";
                connection["assertion"] = json!({ "issuer": account, "subject": account, "jti": true });
            }
        }
        connection["key_id"] = "key-1".into();
        variables["ACME_PRIVATE_KEY"] = PRIVATE_KEY.into();
        variables
    }

    /// The variables of such a site, to be changed before use.
    pub fn variables_for_people() -> Value {
        let connection = |id: &str| {
            json!({
                "provider": "custom",
                "base_url": format!("https://api.{id}.example/v2"),
                "token_url": format!("https://login.{id}.example/token"),
                "grant": "password",
                "subject": "user",
                "client_auth": "none",
                "client_id": "client",
                "rules": [{ "callers": ["session"], "methods": ["GET", "POST"], "paths": ["/things/**"] }],
            })
        };
        json!({
            "ALLOWED_ORIGINS": ["https://app.example"],
            "CONNECTIONS": { "acme": connection("acme"), "bolt": connection("bolt") },
            "SEALING_KEYS": "k1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        })
    }

    /// The variables of a site where people consent at the provider: to `acme` and `bolt`, where they
    /// sign in by ID tokens, and to `cargo`, which has none; and somebody for all callers to `depot`.
    pub fn variables_for_consents() -> Value {
        let connection = |id: &str, callers: &[&str], own: Value| {
            let mut connection = json!({
                "provider": "custom",
                "base_url": format!("https://api.{id}.example/v2"),
                "grant": "authorization_code",
                "client_auth": "none",
                "client_id": "client",
                "rules": [{ "callers": callers, "methods": ["GET", "POST"], "paths": ["/things/**"] }],
            });
            connection
                .as_object_mut()
                .expect("an object")
                .extend(own.as_object().expect("an object").clone());
            connection
        };
        let at = |id: &str, path: &str| format!("https://login.{id}.example/{path}");
        let signing_in = |id: &str| {
            let own = json!({
                "subject": "user",
                "scope": "openid things",
                "issuer": format!("https://login.{id}.example"),
                "person_claims": ["sub"],
            });
            connection(id, &["session"], own)
        };
        let consenting = |id: &str, subject: &str, caller: &str| {
            let own = json!({
                "subject": subject,
                "scope": "things",
                "authorize_url": at(id, "authorize"),
                "token_url": at(id, "token"),
                "revocation_url": at(id, "revoke"),
            });
            connection(id, &[caller], own)
        };
        json!({
            "ALLOWED_ORIGINS": ["https://app.example"],
            "CALLERS": { "backend": { "kind": "key" } },
            "BACKEND_KEY": Self::CALLER_KEY,
            "ADMIN_KEY": Self::OPERATOR_KEY,
            "CONNECTIONS": {
                "acme": signing_in("acme"),
                "bolt": signing_in("bolt"),
                "cargo": consenting("cargo", "user", "session"),
                "depot": consenting("depot", "service", "backend"),
            },
            "SEALING_KEYS": "k1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        })
    }

    /// The issuers of the callers whose tokens are exchanged.
    pub const ISSUERS: [&str; 2] = ["https://one.issuer.example", "https://two.issuer.example"];

    /// The key of those issuers.
    pub const ISSUER_KEY: Key = Key("issuer");

    /// The variables of such a site, to be changed before use.
    pub fn variables_for_exchanges() -> Value {
        let caller = |issuer: &str| json!({ "kind": "jwt", "issuer": issuer, "audience": "porteiro" });
        let connection = |id: &str| {
            json!({
                "provider": "custom",
                "base_url": format!("https://api.{id}.example/v2"),
                "token_url": "https://login.acme.example/token",
                "grant": "token_exchange",
                "client_auth": "none",
                "client_id": "client",
                "rules": [{
                    "callers": ["one", "two"],
                    "methods": ["GET", "POST"],
                    "paths": ["/things", "/things/*"],
                }],
            })
        };
        json!({
            "ALLOWED_ORIGINS": ["https://app.example"],
            "CALLERS": { "one": caller(Self::ISSUERS[0]), "two": caller(Self::ISSUERS[1]) },
            "CONNECTIONS": { "acme": connection("acme"), "bolt": connection("bolt") },
            "SEALING_KEYS": "k1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        })
    }

    /// The variables of a site whose connection has the grant `login`.
    pub fn variables_with_login() -> Value {
        let mut variables = Self::variables();
        let connection = variables["CONNECTIONS"]["acme"].as_object_mut().expect("it is there");
        connection.retain(|field, _| !field.starts_with("client_"));
        connection.insert("grant".to_owned(), "login".into());
        let login = json!({
            "headers": { "X-Api-Version": "2" },
            "fields": { "user": { "name": "{username}", "password": "{password}" }, "remember": true },
            "token": "/session/token",
            "expires_in": "/session/seconds",
            "expires_at": "/session/until",
            "rejected": [{ "status": 200, "json": "/ok", "in": [false] }],
        });
        connection.insert("login".to_owned(), login);
        variables
    }
}
