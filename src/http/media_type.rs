//! Media types as requests write them.

use super::header::is_token_byte;

const BLANKS: [char; 2] = [' ', '\t'];

/// A media type with its parameters (RFC 9110 §8.3.1).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MediaType<'t> {
    /// Type and subtype.
    pub essence: &'t str,
    /// The parameters, in order.
    pub parameters: Vec<(&'t str, &'t str)>,
}

impl<'t> MediaType<'t> {
    /// Reads a media type that all servers read alike; `None` for any other text, and where a quoted
    /// value has an escape.
    #[must_use]
    pub fn parse(text: &'t str) -> Option<Self> {
        let (essence, mut rest) = text.split_at(text.find(';').unwrap_or(text.len()));
        let essence = essence.trim_end_matches(BLANKS);
        let (kind, subtype) = essence.split_once('/')?;
        let mut are_tokens = is_token(kind) && is_token(subtype);
        let mut parameters = Vec::new();
        while let Some(behind) = rest.strip_prefix(';') {
            rest = behind.trim_start_matches(BLANKS);
            if rest.is_empty() || rest.starts_with(';') {
                continue;
            }
            let (name, written) = rest.split_once('=')?;
            let (value, behind) = if let Some(quoted) = written.strip_prefix('"') {
                quoted.split_once('"').filter(|(value, _)| !value.contains('\\'))?
            } else {
                let (value, behind) =
                    written.split_at(written.find([';', ' ', '\t']).unwrap_or(written.len()));
                are_tokens &= is_token(value);
                (value, behind)
            };
            are_tokens &= is_token(name);
            parameters.push((name, value));
            rest = behind.trim_start_matches(BLANKS);
        }
        (are_tokens && rest.is_empty()).then_some(Self { essence, parameters })
    }
}

/// Whether a `Content-Type`, in lower case, names a character encoding by which names of ASCII
/// letters could be other ones.
#[must_use]
pub fn names_foreign_charset(content_type: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let mut words = content_type.split(|c| !is_part(c)).filter(|word| !word.is_empty());
    while let Some(word) = words.next() {
        if word.ends_with("charset") && !matches!(words.next(), Some("utf-8" | "utf8" | "us-ascii")) {
            return true;
        }
    }
    false
}

fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(is_token_byte)
}

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod tests {
    use super::*;

    #[test]
    fn reads_what_all_servers_read_alike() {
        for (text, essence, parameters) in [
            ("text/plain", "text/plain", &[][..]),
            ("Text/Plain;", "Text/Plain", &[]),
            ("application/json ; charset=utf-8", "application/json", &[("charset", "utf-8")]),
            (r#"a/b;;x="y z;/" ;w=1 "#, "a/b", &[("x", "y z;/"), ("w", "1")]),
            ("multipart/form-data; boundary=--x", "multipart/form-data", &[("boundary", "--x")]),
            ("*/*", "*/*", &[]),
        ] {
            let read = MediaType { essence, parameters: parameters.to_vec() };
            assert_eq!(MediaType::parse(text), Some(read), "{text}");
        }
        for text in [
            "",
            "json",
            "/",
            "a/",
            "/b",
            "a/b/c",
            ";application/json",
            "a/b c",
            "a/b, c/d",
            "a/b;x",
            "a/b;=y",
            "a/b;x=",
            "a/b;x=/json",
            "a/b;x =y",
            "a/b;x= y",
            "a/b;x=y z",
            r#"a/b;x="y"#,
            r#"a/b;x="y"z"#,
            r#"a/b;x="y\"z""#,
            " a/b",
            "a/b;x=é",
        ] {
            assert_eq!(MediaType::parse(text), None, "{text}");
        }
    }
}
