//! The check that no credential comes over plain `http`.

use super::Code;
use super::caller::bearer;
use super::people::cookie;
use super::route::Route;
use crate::config::Config;
use crate::http::{HeaderName, RequestHead, is_private};

/// Fails where the broker would read a credential that came over plain `http` from a network, where
/// an eavesdropper can copy it. The admin interface is not served at all over plain `http`: once
/// asked, a browser sends the operator's key by itself.
pub(super) fn check<'c>(
    head: &RequestHead<'_>,
    config: impl FnOnce() -> &'c Config,
    route: &Route<'_>,
) -> Result<(), Code> {
    if is_private(head.own_origin()) {
        return Ok(());
    }
    let carries_one = || {
        let fields = config().token_fields.iter().map(HeaderName::as_str);
        bearer(head).is_some()
            || cookie::has_cookie(&head.headers)
            || fields.filter(|name| *name != "authorization").any(|name| head.headers.value(name).is_some())
    };
    let is_read = match route {
        // The ticket in the body is a credential.
        Route::Session if head.method == "POST" => true,
        Route::Api { .. } | Route::Session | Route::SignOut | Route::Disconnect { .. } => carries_one(),
        // The body is or contains a credential.
        Route::SignIn { .. } | Route::Webhook { .. } | Route::BackChannel { .. } => head.method == "POST",
        // The address has a code or a secret, and the answer sets a cookie.
        Route::Connect { .. } | Route::Callback { .. } | Route::Link { .. } | Route::Admin(_) => true,
        Route::Health | Route::ClientScript | Route::Problem(_) | Route::Nowhere => false,
    };
    if is_read { Err(Code::InsecureTransport) } else { Ok(()) }
}
