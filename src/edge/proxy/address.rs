//! Addresses of calls at the upstream, and of what it points to.

use crate::config::Connection;
use crate::http::{QueryBinding, RequestHead, RequestPath};

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
        let mark = match query {
            None => "?",
            Some(query) if query.is_empty() || query.ends_with('&') => "",
            Some(_) => "&",
        };
        url.push_str(mark);
        url.push_str(added);
    }
    url
}

/// The path below `connection` that `location` leads to from `url`, without the parameters that the
/// call's rule binds: whoever follows it has the broker add them again. `None` where it leads
/// elsewhere.
pub(in crate::edge) fn path_within(
    connection: &Connection,
    url: &str,
    location: &str,
    bound: Option<&QueryBinding>,
) -> Option<String> {
    let path = connection.base_url.path_within(url, location)?;
    Some(match bound {
        Some(bound) => bound.without_bound(&path),
        None => path,
    })
}
