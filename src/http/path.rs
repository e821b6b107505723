//! Paths of calls, and the patterns of rules.

use percent_encoding::percent_decode_str;

/// The path of a call below its connection, known to be harmless.
///
/// Its text is what was sent, byte for byte: it begins with `/`, and no
/// segment of it is empty or can be taken by a server for a step upwards.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RequestPath<'a>(&'a str);

/// A path that could be read as another path by a server behind the broker.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BadPath;

impl<'a> RequestPath<'a> {
    /// Checks `path`, which is empty or begins with `/`; an empty one is `/`.
    ///
    /// # Errors
    /// [`BadPath`] for dot segments, empty segments, `\`, control characters,
    /// and encoded slashes, backslashes or control characters, however they
    /// are written. A trailing slash is no empty segment.
    pub fn parse(path: &'a str) -> Result<Self, BadPath> {
        let path = if path.is_empty() { "/" } else { path };
        let inner = path.strip_prefix('/').ok_or(BadPath)?;
        if path.len() > 1 && inner.strip_suffix('/').unwrap_or(inner).split('/').any(is_dangerous) {
            return Err(BadPath);
        }
        Ok(Self(path))
    }

    /// The path as it was sent.
    #[must_use]
    pub const fn as_str(self) -> &'a str {
        self.0
    }

    /// The segments, a trailing slash not counted.
    pub fn segments(self) -> impl Iterator<Item = &'a str> {
        self.0.split('/').filter(|segment| !segment.is_empty())
    }
}

/// Whether a server could take `segment` for something else than one plain
/// segment.
fn is_dangerous(segment: &str) -> bool {
    let is_never_part = |b: u8| matches!(b, b'\\' | b'?' | b'#') || b.is_ascii_control();
    if segment.is_empty() || segment.bytes().any(is_never_part) {
        return true;
    }
    if !segment.contains(['%', '.', ';', ' ']) {
        return false;
    }
    let decoded: Vec<u8> = percent_decode_str(segment).collect();
    // Some servers cut a segment at `;` (path parameters) or trim it before they
    // look whether it is empty or dots.
    let name = decoded.split(|b| *b == b';').next().unwrap_or_default();
    matches!(name.trim_ascii(), b"" | b"." | b"..")
        || decoded.iter().any(|b| matches!(b, b'/' | b'\\') || b.is_ascii_control())
        || decoded.windows(2).any(is_overlong)
}

/// Whether two bytes begin an overlong UTF-8 form of an ASCII character, which
/// lenient decoders take for that character (RFC 3629 §10).
fn is_overlong(pair: &[u8]) -> bool {
    matches!(pair, [0xC0 | 0xC1, 0x80..=0xBF] | [0xE0, 0x80..=0x9F] | [0xF0, 0x80..=0x8F])
}

/// Which paths a rule allows: segments compared exactly, `*` for one segment,
/// a trailing `**` for any number of them, none included.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PathPattern {
    text: String,
    segments: Vec<String>,
    open: bool,
}

impl PathPattern {
    /// Reads a pattern. It begins with `/`, has no empty segment but for a
    /// trailing slash, and `*` stands for whole segments only, `**` at the end
    /// only.
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

    /// The pattern as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether `path` is one of those allowed.
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
        ] {
            assert_eq!(RequestPath::parse(bad), Err(BadPath), "{bad:?}");
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
