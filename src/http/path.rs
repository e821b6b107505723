//! Paths of calls, and path patterns of rules.

use super::reading::{LEFT_OUT, readings};

/// The checked path of a call below its connection.
///
/// The text is the path as sent, byte for byte: it begins with `/`, and no server reads a segment
/// as empty or as a step upwards.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RequestPath<'a>(&'a str);

/// A path that a server behind the broker could read as another path.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BadPath;

impl<'a> RequestPath<'a> {
    /// Checks `path`, which is empty or begins with `/`; an empty one is `/`.
    ///
    /// # Errors
    /// [`BadPath`] for dot segments, empty segments, `\`, control characters, and encoded slashes,
    /// backslashes or control characters, in every notation and depth of encoding, and for every
    /// character that normalises to one of them; and for an encoded `?` or `#` followed by a
    /// segment, where a server that decodes first would end the path. A trailing slash is allowed.
    pub fn parse(path: &'a str) -> Result<Self, BadPath> {
        let path = if path.is_empty() { "/" } else { path };
        let inner = path.strip_prefix('/').ok_or(BadPath)?;
        let inner = inner.strip_suffix('/').unwrap_or(inner);
        let last = inner.rsplit('/').next().unwrap_or_default();
        let before = inner.strip_suffix(last).and_then(|before| before.strip_suffix('/'));
        let is_bad =
            before.is_some_and(|before| before.split('/').any(|segment| is_dangerous(segment, false)));
        if path.len() > 1 && (is_bad || is_dangerous(last, true)) {
            return Err(BadPath);
        }
        Ok(Self(path))
    }

    /// The path as sent.
    #[must_use]
    pub const fn as_str(self) -> &'a str {
        self.0
    }

    /// The segments, without the empty one after a trailing slash.
    pub fn segments(self) -> impl Iterator<Item = &'a str> {
        self.0.split('/').filter(|segment| !segment.is_empty())
    }
}

/// Whether a server could read `segment` as anything but one plain segment; `is_last` says that no
/// segment follows.
fn is_dangerous(segment: &str, is_last: bool) -> bool {
    let is_never_part = |b: u8| matches!(b, b'\\' | b'?' | b'#') || b.is_ascii_control();
    if segment.is_empty() || segment.bytes().any(is_never_part) {
        return true;
    }
    if segment.is_ascii() && !segment.contains(['%', '.', ';', ' ']) {
        return false;
    }
    let own_name = segment.split(';').next().unwrap_or_default();
    let is_dangerous_as = |reading: &Vec<u8>| {
        let name = reading.split(|b| matches!(b, b';' | b'?' | b'#')).next().unwrap_or_default();
        // Three or more dots are a name, if sent in plain form.
        let is_name = name.len() > 2 && name == own_name.as_bytes() && name.iter().all(|b| *b == b'.');
        (is_step(name) && !is_name)
            || reading.iter().any(|b| {
                matches!(b, b'/' | b'\\') || b.is_ascii_control() || (!is_last && matches!(b, b'?' | b'#'))
            })
    };
    readings(segment.as_bytes()).map_or(true, |readings| readings.iter().any(is_dangerous_as))
}

/// Whether a server could read `name` as an empty, a `.` or a `..` segment: some servers first trim
/// a segment, cut it at `;` (path parameters), read `+` as a blank, or drop undecodable bytes.
fn is_step(name: &[u8]) -> bool {
    let is_nothing = |b: &u8| matches!(*b, b'.' | b' ' | b'+' | LEFT_OUT);
    name.iter().all(|b| *b == b' ') || (name.contains(&b'.') && name.iter().all(is_nothing))
}

/// A path pattern of a rule: segments are compared exactly, `*` matches one segment, a trailing
/// `**` any number, including none.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PathPattern {
    text: String,
    segments: Vec<String>,
    open: bool,
}

impl PathPattern {
    /// Reads a pattern. It begins with `/` and has no empty segment except after a trailing slash;
    /// `*` must be a whole segment, `**` the last one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.contains(['?', '#']) {
            return None;
        }
        let path = RequestPath::parse(text).ok().filter(|_| !text.is_empty())?;
        let mut segments: Vec<String> = path.segments().map(str::to_owned).collect();
        let open = segments.last().is_some_and(|last| last == "**");
        if open {
            segments.pop();
        }
        let whole = segments.iter().all(|segment| segment == "*" || !segment.contains('*'));
        whole.then(|| Self { text: text.to_owned(), segments, open })
    }

    /// The pattern as configured.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the pattern matches `path`.
    #[must_use]
    pub fn matches(&self, path: RequestPath<'_>) -> bool {
        let mut segments = path.segments();
        for wanted in &self.segments {
            match segments.next() {
                Some(found) if wanted == "*" || wanted == found => {}
                _ => return false,
            }
        }
        self.open || segments.next().is_none()
    }
}

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod tests {
    use super::*;

    #[test]
    fn keeps_harmless_paths_as_they_are() {
        for good in [
            "/",
            "/a",
            "/a/",
            "/a%20b/c",
            "/a/...",
            "/.well-known/x",
            "/a;b=1",
            "/x.json",
            "/~a/@b:c/!$&'()*+,=",
            "/%C3%A9",
            "/a%2Eb",
            "/%zz",
            "/100%",
            "/a/%2525",
            "/a/100%25",
            "/a/x..y",
            "/a/..x",
            "/a/...",
            "/a/x%3fy",
            "/a/x%23/",
            "/a/+/b",
            "/a/%C1gua",
            "/%E9",
            "/a/x%c2%85y",
            "/a/S%E3o%20Paulo",
            "/a/%E6%97%A5%E6%9C%AC%E8%AA%9E",
            "/a/x%e2%80%8by",
        ] {
            assert_eq!(RequestPath::parse(good).map(RequestPath::as_str), Ok(good));
        }
        assert_eq!(RequestPath::parse("").map(RequestPath::as_str), Ok("/"));
    }

    #[test]
    fn refuses_every_way_to_leave_the_path() {
        for bad in [
            "a",
            "//",
            "//a",
            "/a//b",
            "/a//",
            "/.",
            "/..",
            "/a/../b",
            "/a/./b",
            "/a/..",
            "/%2e",
            "/%2E%2e/a",
            "/.%2e/a",
            "/%2e./a",
            "/a\\b",
            "/a%5cb",
            "/a%5Cb",
            "/a%2fb",
            "/a%2Fb",
            "/..;/a",
            "/..;x=1/a",
            "/%2e%2e;/a",
            "/.;/a",
            "/a%00",
            "/a%0d%0aX:1",
            "/a%7f",
            "/a\tb",
            "/a\u{1}b",
            "/%c0%ae%c0%ae/a",
            "/;",
            "/a/;x/b",
            "/%3bx",
            "/..%20",
            "/a/%20/b",
            "/a?b",
            "/a#b",
            "/a%c0%afb",
            "/%e0%80%ae/a",
            "/%f0%80%80%ae/a",
            "/a/%252f",
            "/a/x%255cy",
            "/a/x%25250ay",
            "/a/%2e%2e%2e",
            "/a/..%252f",
            "/a/.%252e/b",
            "/a/%%32%65%%32%65/b",
            "/a/%uff0e%uff0e/b",
            "/a/x%u002fy",
            "/a/..%ef%bc%8fb",
            "/a/x%ef%bc%8fy",
            "/a/x%e2%88%95y",
            "/a/%e2%80%a4%e2%80%a4/b",
            "/a/%e2%80%a6/b",
            "/a/%ef%b9%92./b",
            "/a/%ef%bc%852e%ef%bc%852e/b",
            "/a/..%e3%80%80/b",
            "/a/.%e2%80%8b./b",
            "/a/..%ff/b",
            "/a/..%a0/b",
            "/a/..%ef%bb%bf",
            "/a/%c2%85",
            "/a/..%3b/b",
            "/a/..%253bx/b",
            "/a/..%ef%bc%9bx/b",
            "/a/.%3b",
            "/a/%3fx",
            "/a/%23",
            "/a/x%3fy/b",
            "/a/x%253fy/b",
            "/a/x%23/b",
            "/a/x%ef%bc%9fy/b",
            "/a/..+/b",
            "/a/..%2b/b",
            "/a/%c2%a0/b",
        ] {
            assert_eq!(RequestPath::parse(bad), Err(BadPath), "{bad:?}");
        }
    }

    #[test]
    fn refuses_every_path_that_failed_before() {
        let data: serde_json::Value =
            serde_json::from_str(include_str!("../../tests/data/addresses.json")).unwrap();
        let all = |name: &str| data[name].as_array().unwrap().iter().map(|path| path.as_str().unwrap());
        assert!(all("refused").len() > 10 && all("passes").len() > 2);
        for path in all("refused") {
            assert_eq!(RequestPath::parse(path), Err(BadPath), "{path}");
        }
        for path in all("passes") {
            assert_eq!(RequestPath::parse(path).map(RequestPath::as_str), Ok(path));
        }
    }

    #[test]
    fn matches_segments_exactly() {
        let check = |pattern: &str, path: &str| {
            PathPattern::parse(pattern).unwrap().matches(RequestPath::parse(path).unwrap())
        };
        assert!(check("/transactions", "/transactions") && check("/transactions", "/transactions/"));
        assert!(!check("/transactions", "/Transactions") && !check("/transactions", "/%74ransactions"));
        assert!(!check("/transactions", "/transactions/1") && !check("/transactions", "/"));
        assert!(
            check("/transactions/*", "/transactions/1") && !check("/transactions/*", "/transactions/1/2")
        );
        assert!(!check("/transactions/*", "/transactions") && !check("/transactions/*", "/transactions/"));
        assert!(check("/*/x", "/a/x") && !check("/*/x", "/a/y"));
        assert!(
            check("/api/v1/**", "/api/v1")
                && check("/api/v1/**", "/api/v1/")
                && check("/api/v1/**", "/api/v1/a/b")
        );
        assert!(!check("/api/v1/**", "/api/v10") && !check("/api/v1/**", "/api"));
        assert!(check("/**", "/") && check("/**", "/a/b") && check("/", "/") && !check("/", "/a"));
    }

    #[test]
    fn refuses_patterns_that_say_nothing_clear() {
        for bad in ["", "a", "/a*", "/a/**/b", "/**/**", "/***", "/a//b", "/a/../b", "/a?x=1", "/a#b"] {
            assert!(PathPattern::parse(bad).is_none(), "{bad:?}");
        }
    }
}
