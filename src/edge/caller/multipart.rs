//! Forms of several parts (RFC 7578).
//!
//! Servers differ in what they take for the head of a part and for a name in it, so only the forms
//! that browsers and common clients write are read.

use crate::http::{MediaType, names_foreign_charset};

/// The fields that the head of a part may have, each once.
const FIELDS: [&str; 4] =
    ["content-disposition", "content-type", "content-length", "content-transfer-encoding"];

/// Whether `body`, sent with this `Content-Type`, is a form of which all servers read the same names,
/// and `is_free` says so of each name.
pub(super) fn has_only(content_type: &str, body: &[u8], is_free: &dyn Fn(&str) -> bool) -> bool {
    check(content_type, body, is_free).is_some()
}

fn check(content_type: &str, body: &[u8], is_free: &dyn Fn(&str) -> bool) -> Option<()> {
    let delimiter = ["--", boundary(content_type)?].concat();
    let mut rest = body.strip_prefix(delimiter.as_bytes())?;
    while let Some((part, behind)) = split(rest, delimiter.as_bytes()) {
        let (head, _) = split(part.strip_prefix(b"\r\n")?.strip_suffix(b"\r\n")?, b"\r\n\r\n")?;
        if !is_free(name(std::str::from_utf8(head).ok()?)?) {
            return None;
        }
        rest = behind;
    }
    matches!(rest, b"--" | b"--\r\n").then_some(())
}

/// The boundary. Some servers look for it in the whole field, in any case.
fn boundary(content_type: &str) -> Option<&str> {
    let mut boundary = None;
    for (name, value) in MediaType::parse(content_type)?.parameters {
        let is_first = name == "boundary" && boundary.replace(value).is_none();
        if !is_first && name != "charset" {
            return None;
        }
    }
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'=' | b'+');
    boundary.filter(|text| (1..=70).contains(&text.len()) && text.bytes().all(is_plain))
}

/// What stands before and behind the first `mark`.
fn split<'b>(bytes: &'b [u8], mark: &[u8]) -> Option<(&'b [u8], &'b [u8])> {
    let at = bytes.windows(mark.len()).position(|window| window == mark)?;
    Some((bytes.get(..at)?, bytes.get(at + mark.len()..)?))
}

/// The name of the part that has this head.
fn name(head: &str) -> Option<&str> {
    let mut seen = [false; FIELDS.len()];
    let mut name = None;
    for line in head.split("\r\n") {
        let (field, value) = line.split_once(':')?;
        let value = value.trim_start_matches(' ');
        let at = FIELDS.iter().position(|known| known.eq_ignore_ascii_case(field))?;
        let is_plain = match at {
            0 => {
                name = disposition(value);
                name.is_some()
            }
            1 => is_plain_type(value),
            _ => value.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'),
        };
        let is_second = std::mem::replace(seen.get_mut(at)?, true);
        if !is_plain || is_second || line.contains(char::is_control) {
            return None;
        }
    }
    name
}

/// Whether a part with this `Content-Type` has neither parts of its own nor another name.
fn is_plain_type(field: &str) -> bool {
    let lower = field.to_ascii_lowercase();
    MediaType::parse(field).is_some()
        && !["multipart/", "message/", "name"].iter().any(|kind| lower.contains(kind))
        && !names_foreign_charset(&lower)
}

/// The name in a `Content-Disposition` (RFC 7578 §4.2). It comes first: some servers take a file's
/// name for one.
fn disposition(field: &str) -> Option<&str> {
    let is_bare = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    let of_name = field.strip_prefix("form-data;")?.trim_start_matches(' ').strip_prefix("name=")?;
    // Some servers decode the words of RFC 2047 §2.
    let (name, mut rest) = value(of_name, is_bare).filter(|(name, _)| !name.contains("=?"))?;
    for parameter in ["filename=", "filename*="] {
        let behind = rest.strip_prefix(';').map(|behind| behind.trim_start_matches(' '));
        if let Some(written) = behind.and_then(|behind| behind.strip_prefix(parameter)) {
            (_, rest) = value(written, |b| is_bare(b) || matches!(b, b'\'' | b'%'))?;
        }
    }
    rest.is_empty().then_some(name)
}

/// A value, and what stands behind it: quoted without escapes, or of bytes that are `is_bare`.
fn value(text: &str, is_bare: impl Fn(u8) -> bool) -> Option<(&str, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(';').unwrap_or(text.len());
        return text
            .split_at_checked(end)
            .filter(|(value, _)| !value.is_empty() && value.bytes().all(is_bare));
    };
    // Some servers split a field before they read its quotes.
    let is_plain = |value: &str| !(value.contains('\\') || (value.contains(';') && value.contains('=')));
    quoted.split_once('"').filter(|(value, _)| is_plain(value))
}

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod tests {
    use std::cell::RefCell;

    use super::*;

    fn read(content_type: &str, body: &str) -> Option<Vec<String>> {
        let names = RefCell::new(Vec::new());
        let is_read = has_only(content_type, body.as_bytes(), &|name| {
            names.borrow_mut().push(name.to_owned());
            true
        });
        assert!(!has_only(content_type, body.as_bytes(), &|_| false) || names.borrow().is_empty());
        is_read.then(|| names.take())
    }

    fn part(head: &str) -> String {
        format!("--x\r\n{head}\r\n\r\n5\r\n--x--\r\n")
    }

    #[test]
    fn reads_what_browsers_and_common_clients_write() {
        for (head, name) in [
            (r#"Content-Disposition: form-data; name="a""#, "a"),
            (r#"content-disposition:form-data;name="a b[]""#, "a b[]"),
            ("Content-Disposition: form-data; name=a-b.c_1", "a-b.c_1"),
            (
                "Content-Disposition: form-data; name=\"a\"; filename=\"x; y \u{e9}.pdf\"\r\nContent-Type: application/pdf",
                "a",
            ),
            (
                "Content-Type: text/plain; charset=utf-8\r\nContent-Disposition: form-data; name=a; filename=b.txt; filename*=utf-8''b%C3%A9.txt",
                "a",
            ),
            (
                "Content-Disposition: form-data; name=\"a\"\r\nContent-Transfer-Encoding: 8bit\r\nContent-Length: 1",
                "a",
            ),
            (r#"Content-Disposition: form-data; name="a"; filename*=UTF-8''b"#, "a"),
            (r#"Content-Disposition: form-data; name="%22n\u{fa}mero""#, "%22n\u{fa}mero"),
            (r#"Content-Disposition: form-data; name="""#, ""),
        ] {
            let head = head.replace("\\u{fa}", "\u{fa}");
            assert_eq!(
                read("multipart/form-data; boundary=x", &part(&head)),
                Some(vec![name.to_owned()]),
                "{head}"
            );
        }
        let two = "--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n\r\n--b\r\nContent-Disposition: form-data; name=\"b\"\r\n\r\n\n--x\r\n\r\n\r\n--b--";
        assert_eq!(
            read("multipart/form-data; boundary=\"b\"; charset=utf-8", two),
            Some(vec!["a".to_owned(), "b".to_owned()])
        );
        assert_eq!(read("multipart/form-data; boundary=b", "--b--\r\n"), Some(vec![]));
    }

    #[test]
    fn reads_no_head_that_servers_read_differently() {
        const START: &str = "Content-Disposition: form-data; ";
        for head in [
            r#"name="a""#,
            r#"name="a";"#,
            r#"name="a" "#,
            r#"name="a"x"#,
            "name=\"a\"\u{b}",
            r#"name=="a""#,
            r#"name= "a""#,
            r#"name ="a""#,
            "name=a b",
            "name='a'",
            "name=",
            r#"name="=?utf-8?Q?a?=""#,
            r#"NAME="a""#,
            "name*=utf-8''a",
            r#"x=y; name="a""#,
            r#"filename="b"; name="a""#,
            r#"filename="b""#,
            r#"name="a"; name="b""#,
            r#"name="a"; filename="b"; filename="c""#,
            r#"name="a"; filename="b"; name="c""#,
            r#"name="a"; x=y"#,
            r#"name="a\"""#,
            r#"name="a"; filename="b\"; name=\"c""#,
            r#"name="a;name=b""#,
            r#"name="a"; filename="b; name=c""#,
            "name=\"a\nb\"",
            "name=\"a\rb\"",
            "name=\"a\tb\"",
            "name=\"a\0\"",
            "name=\"a\u{85}\"",
            "name=\r\n \"a\"",
            "name=\"a\r\n b\"",
            "name=\"a\"\r\n ; name=\"b\"",
            "name=\"a\"\r\nContent-ID: b",
            "name=\"a\"\r\nX: y",
            "name=\"a\"\r\nContent-Type: b",
            "name=\"a\"\r\nContent-Type: text/plain; name=b",
            "name=\"a\"\r\nContent-Type: multipart/mixed; boundary=y",
            "name=\"a\"\r\nContent-Type: text/plain; charset=utf-16",
            "name=\"a\"\r\nContent-Length: 1,2",
            "name=\"a\"\r\nContent-Disposition: form-data; name=\"b\"",
            "name=\"a\"\r\nb",
            "name=\"a\"\n\r\n",
            "name=\"a\n\nb",
        ] {
            let whole = format!("{START}{head}");
            let is_plain = head == r#"name="a""#;
            assert_eq!(
                read("multipart/form-data; boundary=x", &part(&whole)).is_some(),
                is_plain,
                "{head:?}"
            );
        }
        for head in [
            "",
            r#"Content-Disposition: name="a""#,
            r#"Content-Disposition: form-data, name="a""#,
            r#"Content-Disposition: form-data name="a""#,
            r#"Content-Disposition: attachment; name="a""#,
            r#"Content-Disposition : form-data; name="a""#,
            "Content-Disposition: form-data",
            "Content-ID: a",
            "Content-Type: a",
            "Content-Type: text/plain",
            "\r\nContent-Disposition: form-data; name=\"a\"",
        ] {
            assert_eq!(read("multipart/form-data; boundary=x", &part(head)), None, "{head:?}");
        }
    }

    #[test]
    fn reads_no_body_that_servers_split_differently() {
        let body = part(r#"Content-Disposition: form-data; name="a""#);
        for content_type in [
            "multipart/form-data",
            "multipart/form-data; boundary=y",
            "multipart/form-data; boundary=\"\"",
            "multipart/form-data; boundary=\"x y\"",
            "multipart/form-data; boundary=x; boundary=x",
            "multipart/form-data; boundary=x; boundary=y",
            "multipart/form-data; xboundary=y; boundary=x",
            "multipart/form-data; boundary*=x",
            "multipart/form-data; Boundary=x",
            "multipart/form-data; boundary=x; y=z",
        ] {
            assert_eq!(read(content_type, &body), None, "{content_type}");
        }
        let long = "y".repeat(71);
        assert_eq!(
            read(
                &format!("multipart/form-data; boundary={long}"),
                &body.replace("--x", &format!("--{long}"))
            ),
            None
        );
        for other in [
            String::new(),
            "--x".to_owned(),
            "--x\r\n".to_owned(),
            format!("\r\n{body}"),
            format!("preamble\r\n{body}"),
            format!("{body}epilogue"),
            format!("{body}\r\n"),
            format!("{body}{body}"),
            body.replace("\r\n", "\n"),
            body.replace("\r\n--x--", "\n--x--"),
            body.replace('5', "\n--x\nContent-Disposition: form-data; name=\"b\"\n\n6"),
            body.replace('5', "--xy"),
            body.replace("--x\r\nC", "--x \r\nC"),
            body.replace("--x--\r\n", ""),
            body.replace("--x--", "--x-"),
            body.replace("--x--", "--x"),
        ] {
            assert_eq!(read("multipart/form-data; boundary=x", &other), None, "{other:?}");
        }
    }
}
