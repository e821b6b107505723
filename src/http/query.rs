//! The names of query parameters, as upstream servers read them.

use super::spelling::{is_flat, is_plain, is_read_as, is_same};

/// Parameters that override the method in common frameworks.
const METHODS: &[&str] = &[
    "_method",
    "_httpmethod",
    "_http_method",
    "x_http_method",
    "x_http_method_override",
    "x_method_override",
];

/// Whether a parameter of the query carries a Bearer token (RFC 6750 §2.3), in any notation of its
/// name.
#[must_use]
pub fn carries_token(query: &str) -> bool {
    names_one(query, &["access_token"])
}

/// Whether a parameter of the query overrides the method: Symfony, Laravel, Rails and others read
/// `POST /a?_method=DELETE` as a `DELETE`.
#[must_use]
pub fn overrides_method(query: &str) -> bool {
    names_one(query, METHODS)
}

/// Whether a server could read a parameter of the query as one of `names`.
fn names_one(query: &str, names: &[&str]) -> bool {
    has_parameter(query, |name| {
        if is_plain(name) {
            return names.iter().any(|known| known.eq_ignore_ascii_case(name));
        }
        is_read_as(name, |form| names.iter().any(|known| is_same(form, known.as_bytes(), is_flat)))
    })
}

/// Whether the query has a parameter whose name, as sent, `is_meant`. Some servers also separate
/// parameters at `;`.
pub(crate) fn has_parameter(query: &str, is_meant: impl Fn(&str) -> bool) -> bool {
    query.split(['&', ';']).any(|field| is_meant(name_of(field)))
}

/// `address` without the parameters of its query whose names, as sent, `is_meant`.
pub(crate) fn without_parameters(address: &str, is_meant: impl Fn(&str) -> bool) -> String {
    let (before, fragment) = address.split_at(address.find('#').unwrap_or(address.len()));
    let (path, query) = before.split_once('?').unwrap_or((before, ""));
    let mut out = path.to_owned();
    let mut mark = '?';
    for field in query.split('&').filter(|field| !field.is_empty()) {
        let mut parts = field.split(';').filter(|part| !is_meant(name_of(part)));
        let Some(first) = parts.next() else { continue };
        out.push(mark);
        out.push_str(first);
        for part in parts {
            out.push(';');
            out.push_str(part);
        }
        mark = '&';
    }
    out.push_str(fragment);
    out
}

fn name_of(field: &str) -> &str {
    field.split('=').next().unwrap_or_default()
}

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod tests {
    use super::*;

    /// Spellings of `access_token` and of `_method` that some server reads.
    const TOKEN: &[&str] = &[
        "access_token",
        "ACCESS_token",
        "access%5Ftoken",
        "%61ccess_token",
        "access.token",
        "access%2Etoken",
        "access+token",
        "access%20token",
        "access-token",
        "access[token",
        "access%5Btoken",
        "access_token[]",
        "access_token%5B%5D",
        "access_token[a][b]",
        "[access_token]",
        "]access_token",
        "+access_token",
        "%20access_token",
        "%09access_token",
        "access_token%20",
        "access_token%00x",
        "access%255Ftoken",
        "access%u005Ftoken",
        "access%ef%bc%bftoken",
        "access_token%3Dx",
        "%c1%a1ccess_token",
    ];
    const METHOD: &[&str] = &[
        "_method",
        "%5Fmethod",
        "%5fMethod",
        ".method",
        "%2Emethod",
        "+_method",
        "%20_method",
        "_method[]",
        "_METHOD",
        "[method",
        "[_method]",
        "_method%00",
        "%255Fmethod",
        "_HttpMethod",
        "X-HTTP-Method-Override",
        "x_http_method_override",
        "X-HTTP-Method",
        "X-Method-Override",
    ];

    #[test]
    fn finds_a_name_however_it_is_written() {
        for (names, finds) in [(TOKEN, carries_token as fn(&str) -> bool), (METHOD, overrides_method)] {
            for name in names {
                for query in [
                    format!("{name}=x"),
                    (*name).to_owned(),
                    format!("a=1&{name}=x&b"),
                    format!("a=1;{name}=x"),
                    format!("&{name}"),
                ] {
                    assert!(finds(&query), "{query}");
                }
            }
        }
    }

    #[test]
    fn lets_every_other_name_pass() {
        for query in [
            "",
            "a",
            "a=access_token",
            "a=_method",
            "access_tokens=x",
            "my_access_token=x",
            "access=token",
            "token=x",
            "method=pix",
            "payment_method=1",
            "payment[method]=pix",
            "filter[access_token_id]=1",
            "http_method=1",
            "__method=1",
            "a=%26_method=DELETE",
            "a=%3Faccess_token%3Dx",
            "busca=%C3%A9&%E9=1",
            "data.access_token=1",
        ] {
            assert!(!carries_token(query) && !overrides_method(query), "{query}");
        }
    }

    #[test]
    fn finds_every_spelling_that_failed_before() {
        let data: serde_json::Value =
            serde_json::from_str(include_str!("../../tests/data/addresses.json")).unwrap();
        let all = |name: &str| -> Vec<String> {
            let spelled = data[name].as_array().unwrap();
            spelled.iter().map(|query| query.as_str().unwrap()[1..].to_owned()).collect()
        };
        assert!(
            all("method_override").len() > 2
                && all("method_override").iter().all(|query| overrides_method(query))
        );
        assert!(
            all("access_token").len() > 3 && all("access_token").iter().all(|query| carries_token(query))
        );
    }
}
