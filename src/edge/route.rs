//! The routes below the broker's address.

use std::fmt;

use percent_encoding::percent_decode_str;

use crate::secret::Secret;

/// The route of a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Route<'a> {
    /// A proxied call: the connection, and the path below it, unparsed.
    Api { connection: &'a str, path: &'a str },
    /// A person's sign-in to a connection.
    SignIn { connection: &'a str },
    /// The begin of a person's consent.
    Connect { connection: &'a str },
    /// The return from the provider, by the last segment of the redirect address.
    Callback { name: &'a str },
    /// The end of a person's sign-in to a connection.
    Disconnect { connection: &'a str },
    /// A provider's word that a person signed out there.
    BackChannel { connection: &'a str },
    /// The page of whoever was sent a link to consent for a connection.
    Link { connection: &'a str, secret: SecretSegment<'a> },
    /// A person's session.
    Session,
    /// A person's sign-out.
    SignOut,
    /// An event of a connection's provider, and the segment below the connection's address.
    Webhook { connection: &'a str, segment: Option<SecretSegment<'a>> },
    /// The admin interface: the path below `/admin/`.
    Admin(&'a str),
    /// The health check.
    Health,
    /// The client for pages.
    ClientScript,
    /// The explanation of an error code.
    Problem(&'a str),
    /// No route.
    Nowhere,
}

impl<'a> Route<'a> {
    /// Reads the route of `path` where the broker is mounted at `base_path`.
    pub fn read(path: &'a str, base_path: &str) -> Self {
        let Some(path) = path.strip_prefix(base_path).and_then(|path| path.strip_prefix('/')) else {
            return Self::Nowhere;
        };
        let (first, rest) = path.split_once('/').unwrap_or((path, ""));
        match first {
            "healthz" if path == first => Self::Health,
            "client.js" if path == first => Self::ClientScript,
            "problems" => Self::Problem(rest),
            "api" if !rest.is_empty() => {
                let end = rest.find('/').unwrap_or(rest.len());
                let (connection, path) = rest.split_at_checked(end).unwrap_or((rest, ""));
                Self::Api { connection, path }
            }
            "webhooks" => {
                // A trailing slash is accepted: some senders drop an event for good on a 404.
                let mut segments = rest.strip_suffix('/').unwrap_or(rest).split('/');
                let connection = segments.next().unwrap_or_default();
                let segment = segments.next();
                if connection.is_empty() || segment == Some("") || segments.next().is_some() {
                    return Self::Nowhere;
                }
                Self::Webhook { connection, segment: segment.map(SecretSegment) }
            }
            "admin" => Self::Admin(rest),
            "auth" => Self::read_auth(rest),
            _ => Self::Nowhere,
        }
    }

    /// Reads the route of the path below `/auth/`. No connection has one of the names that come
    /// first here.
    fn read_auth(path: &'a str) -> Self {
        match path.split_once('/') {
            None => match path {
                "" => Self::Nowhere,
                "session" => Self::Session,
                "logout" => Self::SignOut,
                connection => Self::Disconnect { connection },
            },
            Some(("", _)) => Self::Nowhere,
            Some(("callback", name)) if !name.is_empty() && !name.contains('/') => Self::Callback { name },
            Some((connection, "login")) => Self::SignIn { connection },
            Some((connection, "connect")) => Self::Connect { connection },
            Some((connection, "backchannel-logout")) => Self::BackChannel { connection },
            Some((connection, rest)) => match rest.strip_prefix("link/") {
                Some(secret) if !secret.is_empty() && !secret.contains('/') => {
                    Self::Link { connection, secret: SecretSegment(secret) }
                }
                Some(_) | None => Self::Nowhere,
            },
        }
    }
}

/// A segment of an address that may be a secret, percent-encoded.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct SecretSegment<'a>(&'a str);

impl SecretSegment<'_> {
    /// The decoded text; `None` where it is not UTF-8.
    pub fn decoded(self) -> Option<Secret> {
        percent_decode_str(self.0).decode_utf8().ok().map(|text| Secret::new(text.into_owned()))
    }
}

impl fmt::Debug for SecretSegment<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretSegment(redacted)")
    }
}

impl Route<'_> {
    /// Whether pages of front ends may call the route, rather than lead to it.
    pub const fn is_for_pages(&self) -> bool {
        !matches!(
            self,
            Self::Webhook { .. }
                | Self::Admin(_)
                | Self::Connect { .. }
                | Self::Callback { .. }
                | Self::BackChannel { .. }
                | Self::Link { .. }
        )
    }
}

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod tests {
    use super::*;

    #[test]
    fn knows_its_addresses() {
        assert_eq!(Route::read("/api/guru/a/b/", ""), Route::Api { connection: "guru", path: "/a/b/" });
        assert_eq!(Route::read("/api/guru", ""), Route::Api { connection: "guru", path: "" });
        assert_eq!(Route::read("/api/guru/", ""), Route::Api { connection: "guru", path: "/" });
        assert_eq!(Route::read("/api/guru//a", ""), Route::Api { connection: "guru", path: "//a" });
        assert_eq!(Route::read("/auth/guru/login", ""), Route::SignIn { connection: "guru" });
        assert_eq!(Route::read("/auth/session", ""), Route::Session);
        assert_eq!(Route::read("/auth/session/login", ""), Route::SignIn { connection: "session" });
        assert_eq!(Route::read("/auth/logout", ""), Route::SignOut);
        assert_eq!(Route::read("/auth/acme", ""), Route::Disconnect { connection: "acme" });
        assert_eq!(Route::read("/auth/acme/connect", ""), Route::Connect { connection: "acme" });
        for name in ["acme", "connect", "login"] {
            assert_eq!(Route::read(&format!("/auth/callback/{name}"), ""), Route::Callback { name });
        }
        let back_channel = Route::BackChannel { connection: "acme" };
        assert_eq!(Route::read("/auth/acme/backchannel-logout", ""), back_channel);
        let link = Route::Link { connection: "acme", secret: SecretSegment("x-y_z") };
        assert_eq!(Route::read("/auth/acme/link/x-y_z", ""), link);
        assert!(!format!("{link:?}").contains("x-y_z"));
        for path in ["/webhooks/guru", "/webhooks/guru/"] {
            assert_eq!(Route::read(path, ""), Route::Webhook { connection: "guru", segment: None });
        }
        for path in ["/webhooks/v8/s%2Fx", "/webhooks/v8/s%2Fx/"] {
            let segment = Some(SecretSegment("s%2Fx"));
            assert_eq!(Route::read(path, ""), Route::Webhook { connection: "v8", segment });
        }
        assert_eq!(Route::read("/admin/connections", ""), Route::Admin("connections"));
        assert_eq!(Route::read("/healthz", ""), Route::Health);
        assert_eq!(Route::read("/problems/bad_path", ""), Route::Problem("bad_path"));
        assert_eq!(Route::read("/broker/healthz", "/broker"), Route::Health);
        for nowhere in [
            "",
            "/",
            "/api",
            "/api/",
            "//api/guru/a",
            "/healthz/",
            "/Healthz",
            "/broker/healthz",
            "/auth",
            "/auth/",
            "/auth//login",
            "/auth//connect",
            "/auth/guru/",
            "/auth/callback/",
            "/auth/callback/a/",
            "/auth/callback/a/b",
            "/auth/guru/connect/",
            "/auth/guru/link",
            "/auth/guru/link/",
            "/auth/guru/link/a/",
            "/auth/guru/links/a",
            "/auth/guru/login/",
            "/auth/session/",
            "/webhooks",
            "/webhooks/",
            "/webhooks//",
            "/webhooks/guru//",
            "/webhooks/guru//x",
            "/webhooks/guru/x//",
            "/webhooks/guru/x/y",
            "/webhooks//guru",
        ] {
            assert_eq!(Route::read(nowhere, ""), Route::Nowhere, "{nowhere:?}");
        }
        for nowhere in ["/healthz", "/brokers/healthz", "/broker"] {
            assert_eq!(Route::read(nowhere, "/broker"), Route::Nowhere, "{nowhere:?}");
        }
    }

    #[test]
    fn decodes_a_secret_segment_and_never_shows_it() {
        let decoded = |text: &str| SecretSegment(text).decoded().map(|secret| secret.expose().to_owned());
        for (text, expected) in
            [("abc", "abc"), ("a%2Fb", "a/b"), ("a%252Fb", "a%2Fb"), ("%C3%A9+", "é+"), ("%zz", "%zz")]
        {
            assert_eq!(decoded(text).as_deref(), Some(expected), "{text}");
        }
        assert_eq!(decoded("%FF"), None);
        assert!(!format!("{:?}", Route::read("/webhooks/v8/s3cret", "")).contains("s3cret"));
    }
}
