//! Heads of requests and responses, each as one text.
//!
//! A head crosses the border to the platform as one text: one line per field, `name:value`, names
//! in lower case. Field values have no line breaks, so no escaping is needed.

/// The header fields of a request or response.
#[derive(Clone, Debug)]
pub struct Headers<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Headers<'a> {
    /// Reads fields from `lines`, each `name:value` with a lower-case name.
    #[must_use]
    pub fn new(lines: &'a str) -> Self {
        let mut fields = Vec::with_capacity(USUAL);
        let mut rest = lines;
        while !rest.is_empty() {
            let (line, behind) = split_at(rest, b'\n').unwrap_or((rest, ""));
            fields.extend(split_at(line, b':'));
            rest = behind;
        }
        Self(fields)
    }

    /// The fields in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.0.iter().copied()
    }

    /// The value of the field called `name` (in lower case).
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&'a str> {
        self.0.iter().find(|(field, _)| *field == name).map(|(_, value)| *value)
    }
}

/// The initial capacity of a head, in fields.
const USUAL: usize = 24;

/// Splits `text` at the first ASCII byte `at`. For short lines this is faster than the standard
/// library's search, which is optimised for long texts.
fn split_at(text: &str, at: u8) -> Option<(&str, &str)> {
    let (before, behind) = text.split_at_checked(text.bytes().position(|b| b == at)?)?;
    Some((before, behind.get(1..)?))
}

/// A request's head.
#[derive(Clone, Debug)]
pub struct RequestHead<'a> {
    /// The method as sent.
    pub method: &'a str,
    /// The absolute address as sent: `scheme://authority/path?query`.
    pub url: &'a str,
    /// The header fields.
    pub headers: Headers<'a>,
}

impl<'a> RequestHead<'a> {
    /// Reads a head: the method, the address and the fields, one per line.
    #[must_use]
    pub fn new(text: &'a str) -> Self {
        let (method, rest) = text.split_once('\n').unwrap_or((text, ""));
        let (url, fields) = rest.split_once('\n').unwrap_or((rest, ""));
        Self { method, url, headers: Headers::new(fields) }
    }

    /// The origin that the request was sent to: `scheme://authority`.
    #[must_use]
    pub fn own_origin(&self) -> &'a str {
        self.split_url().0
    }

    /// The path as sent, beginning with `/`.
    #[must_use]
    pub fn path(&self) -> &'a str {
        let (_, target) = self.split_url();
        target.split_once('?').map_or(target, |(path, _)| path)
    }

    /// The query as sent, without its `?`; `None` where there is no `?`.
    #[must_use]
    pub fn query(&self) -> Option<&'a str> {
        self.split_url().1.split_once('?').map(|(_, query)| query)
    }

    fn split_url(&self) -> (&'a str, &'a str) {
        let url = self.url.split_once('#').map_or(self.url, |(url, _)| url);
        let authority = url.find("://").map_or(0, |at| at + 3);
        let rest = url.get(authority..).unwrap_or_default();
        let end = rest.find(['/', '?']).map_or(url.len(), |at| authority + at);
        (url.get(..end).unwrap_or_default(), url.get(end..).unwrap_or_default())
    }
}

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod tests {
    use super::*;

    #[test]
    fn takes_a_request_apart_without_changing_a_byte() {
        let head = RequestHead::new("GET\nhttp://localhost:8787/api/x//%2e?a=1?&b\naccept:*/*\nhost:a:1");
        assert_eq!(head.method, "GET");
        assert_eq!(head.own_origin(), "http://localhost:8787");
        assert_eq!(head.path(), "/api/x//%2e");
        assert_eq!(head.query(), Some("a=1?&b"));
        assert_eq!(head.headers.value("host"), Some("a:1"));
        assert_eq!(head.headers.value("cookie"), None);
    }

    #[test]
    fn takes_a_request_without_query_or_headers_apart() {
        let head = RequestHead::new("GET\nhttps://broker.example");
        assert_eq!((head.own_origin(), head.path(), head.query()), ("https://broker.example", "", None));
        assert_eq!(head.headers.iter().count(), 0);
        let head = RequestHead::new("GET\nhttps://broker.example/?");
        assert_eq!((head.path(), head.query()), ("/", Some("")));
    }
}
