//! Addresses of calls at the upstream, and of what it points to.

use std::borrow::Cow;

use crate::config::{Additions, Connection};
use crate::http::{QueryBinding, RequestHead, RequestPath, has_parameter, without_parameters};
use crate::secret::Secret;

/// The upstream's address of a call; `added` is what its rule adds to the query.
pub(in crate::edge) fn upstream_url(
    connection: &Connection,
    path: RequestPath<'_>,
    head: &RequestHead<'_>,
    added: &str,
) -> String {
    let query = head.query();
    let room = connection.base_url.as_base().len() + head.url.len() + added.len();
    let mut url = String::with_capacity(room);
    url.push_str(connection.base_url.as_base());
    url.push_str(path.as_str());
    if let Some(query) = query {
        url.push('?');
        url.push_str(query);
    }
    if !added.is_empty() {
        append(&mut url, added);
    }
    url
}

/// Appends `added` to the query of `url`.
fn append(url: &mut String, added: &str) {
    let mark = match url.split_once('?') {
        None => "?",
        Some((_, query)) if query.is_empty() || query.ends_with('&') => "",
        Some(_) => "&",
    };
    url.push_str(mark);
    url.push_str(added);
}

/// `url` with what `connection` adds to the query of each call, with `token` filled in.
pub(in crate::edge) fn with_added<'u>(connection: &Connection, url: &'u str, token: &Secret) -> Cow<'u, str> {
    let added = connection.additions.as_deref().and_then(|added| added.query(token.expose()));
    let Some(added) = added else { return Cow::Borrowed(url) };
    let mut whole = url.to_owned();
    append(&mut whole, added.expose());
    Cow::Owned(whole)
}

/// Whether a call names a parameter that is `added` to each call, in its query or in its path.
pub(in crate::edge) fn has_added(head: &RequestHead<'_>, path: RequestPath<'_>, added: &Additions) -> bool {
    added.has_query()
        && (head.query().is_some_and(|query| has_parameter(query, |name| added.has_parameter(name)))
            || added.is_in_path(path.as_str()))
}

/// The path below `connection` that `location` leads to from `url`, without the parameters that the
/// call's rule binds or the connection adds: whoever follows it has the broker add them again. `None`
/// where it leads elsewhere.
pub(in crate::edge) fn path_within(
    connection: &Connection,
    url: &str,
    location: &str,
    bound: Option<&QueryBinding>,
) -> Option<String> {
    let mut path = connection.base_url.path_within(url, location)?;
    if let Some(bound) = bound {
        path = bound.without_bound(&path);
    }
    if let Some(added) = connection.additions.as_deref().filter(|added| added.has_query()) {
        path = without_parameters(&path, |name| added.has_parameter(name));
    }
    Some(path)
}
