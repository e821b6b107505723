//! Paths of calls, and path patterns of rules.

use super::reading::{LEFT_OUT, readings};
use super::template::{OwnClaims, Template, decoded};

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

/// Whether every server reads `text`, percent-encoded, as one plain segment of exactly this text.
fn is_plain_segment(text: &str) -> bool {
    let is_as_it_is = |readings: &[Vec<u8>]| matches!(readings, [only] if only == text.as_bytes());
    !text.contains(['/', ';', '?', '#', '%'])
        && !is_dangerous(text, false)
        && readings(text.as_bytes()).is_ok_and(|readings| is_as_it_is(&readings))
}

fn can_be_segment(template: &Template) -> bool {
    match template {
        Template::Text(text) => is_plain_segment(text),
        Template::Claim(_) => true,
    }
}

/// A path pattern of a rule: segments are compared exactly, `*` matches one segment, a trailing
/// `**` any number, including none. A template matches the segment that encodes its value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PathPattern {
    text: String,
    segments: Vec<PatternSegment>,
    open: bool,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum PatternSegment {
    Any,
    Exact(String),
    Own(Template),
}

impl PathPattern {
    /// Reads a pattern without templates. It begins with `/` and has no empty segment except after a
    /// trailing slash; `*` must be a whole segment, `**` the last one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::parse_with(text, &mut |_| None)
    }

    /// Reads a pattern in which whole segments with braces are templates, read by `template`.
    #[must_use]
    pub fn parse_with(text: &str, template: &mut dyn FnMut(&str) -> Option<Template>) -> Option<Self> {
        if text.contains(['?', '#']) {
            return None;
        }
        // A claim's name may be an address.
        let mut rest = text;
        let mut segments = Vec::new();
        let mut plain = String::new();
        let mut open = false;
        while let Some(behind) = rest.strip_prefix('/') {
            let end = match behind.strip_prefix('{').and_then(|inner| inner.find('}')) {
                Some(at) => at + 2,
                None => behind.find('/').unwrap_or(behind.len()),
            };
            let (segment, after) = behind.split_at_checked(end)?;
            rest = after;
            plain.push('/');
            match segment {
                "" if rest.is_empty() => break,
                _ if open || !(rest.is_empty() || rest.starts_with('/')) => return None,
                "**" => open = true,
                "*" => segments.push(PatternSegment::Any),
                _ if segment.contains('*') && !segment.starts_with('{') => return None,
                _ if segment.contains(['{', '}']) => {
                    plain.push('-');
                    segments.push(PatternSegment::Own(template(segment).filter(can_be_segment)?));
                    continue;
                }
                _ => segments.push(PatternSegment::Exact(segment.to_owned())),
            }
            plain.push_str(segment);
        }
        let is_path = rest.is_empty() && !plain.is_empty() && RequestPath::parse(&plain).is_ok();
        is_path.then(|| Self { text: text.to_owned(), segments, open })
    }

    /// The pattern as configured.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the pattern matches `path` for some caller.
    #[must_use]
    pub fn matches(&self, path: RequestPath<'_>) -> bool {
        self.walk(path, &|_, _| true)
    }

    /// Whether the pattern matches `path` for the caller with these `claims`.
    #[must_use]
    pub fn fits(&self, path: RequestPath<'_>, claims: OwnClaims<'_>) -> bool {
        self.walk(path, &|template, found| {
            let own = template.fill(claims).filter(|own| is_plain_segment(own));
            own.is_some() && own == decoded(found)
        })
    }

    fn walk(&self, path: RequestPath<'_>, is_own: &dyn Fn(&Template, &str) -> bool) -> bool {
        let mut segments = path.segments();
        for wanted in &self.segments {
            let Some(found) = segments.next() else { return false };
            let fits = match wanted {
                PatternSegment::Any => true,
                PatternSegment::Exact(wanted) => wanted == found,
                PatternSegment::Own(template) => is_own(template, found),
            };
            if !fits {
                return false;
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

    fn own(pattern: &str, path: &str, sub: Option<&str>) -> bool {
        let template = &mut |segment: &str| {
            let name = segment.strip_prefix("{claims.")?.strip_suffix('}')?;
            Some(Template::Claim(name.to_owned()))
        };
        let pattern = PathPattern::parse_with(pattern, template).unwrap();
        let claims = |name: &str| sub.filter(|_| name == "https://a.example/sub" || name == "sub");
        RequestPath::parse(path).is_ok_and(|path| {
            let fits = pattern.fits(path, &|name| claims(name).map(str::to_owned));
            assert!(!fits || pattern.matches(path));
            fits
        })
    }

    #[test]
    fn fits_the_callers_own_segment_alone() {
        let data: serde_json::Value =
            serde_json::from_str(include_str!("../../tests/data/bindings.json")).unwrap();
        let sub = data["paths"]["sub"].as_str();
        let texts = |value: &serde_json::Value| -> Vec<String> {
            value.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
        };
        let fits = |path: &str, sub| {
            ["/customers/{claims.sub}/**", "/own/{claims.sub}"].iter().any(|pattern| own(pattern, path, sub))
        };
        for path in texts(&data["paths"]["passes"]) {
            assert!(fits(&path, sub), "{path}");
            assert!(!fits(&path, None) && !fits(&path, Some("")), "{path}");
        }
        for attack in data["paths"]["attacks"].as_array().unwrap() {
            for path in texts(&attack["paths"]) {
                assert!(!fits(&path, sub), "{path}");
            }
        }
        assert!(own("/a/{claims.https://a.example/sub}/b", "/a/x/b", Some("x")));
    }

    #[test]
    fn fits_no_claim_that_is_syntax() {
        for syntax in [
            "",
            ".",
            "..",
            "a/b",
            "a\\b",
            "a;b",
            "a?b",
            "a#b",
            "a%b",
            "%2e%2e",
            "a\nb",
            "a\0b",
            "\u{85}",
            "..;",
            " ",
            "\u{FF0E}\u{FF0E}",
            "a\u{FF0F}b",
            "a\u{200B}b",
            "a\u{A0}b",
        ] {
            let encoded: String =
                percent_encoding::utf8_percent_encode(syntax, percent_encoding::NON_ALPHANUMERIC).collect();
            for path in
                [format!("/a/{syntax}"), format!("/a/{encoded}"), format!("/a/{syntax}/"), "/a".to_owned()]
            {
                assert!(!own("/a/{claims.sub}", &path, Some(syntax)), "{path}");
                assert!(!own("/a/{claims.sub}/**", &path, Some(syntax)), "{path}");
            }
        }
        for plain in ["a", "a b", "é", "a+b", "a@b.c", "auth0|1", "...", "a:b", "{x}", "*", "**"] {
            let encoded: String =
                percent_encoding::utf8_percent_encode(plain, percent_encoding::NON_ALPHANUMERIC).collect();
            let path = if plain == "..." { "/a/...".to_owned() } else { format!("/a/{encoded}") };
            assert!(own("/a/{claims.sub}", &path, Some(plain)), "{plain}");
        }
    }

    #[test]
    fn reads_templates_as_whole_segments_only() {
        for bad in [
            "/{claims.sub}x",
            "/x{claims.sub}",
            "/{claims.sub",
            "/claims.sub}",
            "/{claims.sub}{claims.sub}",
            "/{}",
            "{claims.sub}",
            "/{claims.sub}//",
        ] {
            let template =
                &mut |segment: &str| (segment == "{claims.sub}").then(|| Template::Claim("sub".into()));
            assert!(PathPattern::parse_with(bad, template).is_none(), "{bad}");
        }
        for text in ["..", "a/b", "", "%2e"] {
            assert!(
                PathPattern::parse_with("/{connection}", &mut |_| Some(Template::Text(text.into())))
                    .is_none()
            );
        }
        assert!(PathPattern::parse("/{connection}").is_none());
    }
}
