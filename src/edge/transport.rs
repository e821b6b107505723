//! What a request may carry over a connection that others can read.

use super::Code;
use super::caller::bearer;
use super::people::cookie;
use super::route::Route;
use crate::config::Config;
use crate::http::{HeaderName, RequestHead, is_private};

/// Fails where a credential is read that came in plain `http` over a network:
/// whoever sees it there is from then on whom it proves. A browser sends what is
/// here under the operators' address by itself once it was asked, so that nothing
/// there is answered.
pub(super) fn check(head: &RequestHead<'_>, config: &Config, route: &Route<'_>) -> Result<(), Code> {
    if is_private(head.own_origin()) {
        return Ok(());
    }
    let carries_one = || {
        let fields = config.token_fields.iter().map(HeaderName::as_str);
        bearer(head).is_some()
            || cookie::has_cookie(&head.headers)
            || fields.filter(|name| *name != "authorization").any(|name| head.headers.value(name).is_some())
    };
    let is_read = match route {
        Route::Api { .. } | Route::Session | Route::SignOut => carries_one(),
        // The body is one, or holds one.
        Route::SignIn { .. } | Route::Webhook { .. } => head.method == "POST",
        Route::Admin(_) => true,
        Route::Health | Route::Problem(_) | Route::Nowhere => false,
    };
    if is_read { Err(Code::InsecureTransport) } else { Ok(()) }
}
