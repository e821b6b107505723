//! Secrets that were pasted together with surrounding text.

const BREAKS: &str = "looks pasted wrong: it begins or ends with a line break; set it again without";
const BLANKS: &str = "looks pasted wrong: it begins or ends with a blank; set it again without";
const QUOTES: &str = "looks pasted wrong: it stands in quotes; set it again without them";
const SCHEME: &str = "looks pasted wrong: it begins with its scheme; set it again without that word";

/// Schemes that precede a credential in its header field, and in documentation that operators copy
/// from.
const SCHEMES: [&str; 4] = ["Bearer", "Basic", "Token", "ApiKey"];

/// Fails where blanks, line breaks or quotes surround `text`, a secret issued by a provider.
///
/// # Errors
/// The problem, and what to do.
pub(super) fn check(text: &str) -> Result<(), &'static str> {
    check_password(text)?;
    let is_blank = |c: char| c.is_whitespace() || matches!(c, '\u{FEFF}' | '\u{200B}');
    if ends(text).into_iter().flatten().any(is_blank) { Err(BLANKS) } else { Ok(()) }
}

/// The first and the last character.
fn ends(text: &str) -> [Option<char>; 2] {
    [text.chars().next(), text.chars().next_back()]
}

/// The same for a password that a person chose: it may begin or end with a blank.
pub(super) fn check_password(text: &str) -> Result<(), &'static str> {
    let ends = ends(text);
    if ends.into_iter().flatten().any(char::is_control) {
        return Err(BREAKS);
    }
    let is_quoted = text.chars().nth(1).is_some()
        && matches!(
            ends,
            [Some('"'), Some('"')]
                | [Some('\''), Some('\'')]
                | [Some('`'), Some('`')]
                | [Some('\u{201C}'), Some('\u{201D}')]
                | [Some('\u{2018}'), Some('\u{2019}')]
        );
    if is_quoted { Err(QUOTES) } else { Ok(()) }
}

/// Fails where `text` begins with a scheme: a common one, or the connection's `own`.
pub(super) fn check_scheme(text: &str, own: Option<&str>) -> Result<(), &'static str> {
    let Some((word, _)) = text.split_once(' ') else { return Ok(()) };
    let word = word.trim_end_matches(':');
    let is_scheme = SCHEMES.into_iter().chain(own).any(|scheme| scheme.eq_ignore_ascii_case(word));
    if is_scheme { Err(SCHEME) } else { Ok(()) }
}

/// The same for each entry of a comma-separated list; blanks around entries are ignored.
pub(super) fn check_each(list: &str, begins_with_scheme: bool) -> Result<(), &'static str> {
    for one in list.split(',').map(str::trim) {
        check(one)?;
        if begins_with_scheme {
            check_scheme(one, None)?;
        }
    }
    // Quotes may surround the whole list.
    check(list.trim())
}

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod tests {
    use super::*;

    #[test]
    fn sees_what_was_copied_along() {
        for (text, problem) in [
            ("abc\n", BREAKS),
            ("abc\r\n", BREAKS),
            ("\nabc", BREAKS),
            ("abc\t", BREAKS),
            ("abc\u{85}", BREAKS),
            (" abc", BLANKS),
            ("abc ", BLANKS),
            ("abc\u{A0}", BLANKS),
            ("\u{FEFF}abc", BLANKS),
            ("abc\u{200B}", BLANKS),
            (" ", BLANKS),
            ("\"abc\"", QUOTES),
            ("'abc'", QUOTES),
            ("`abc`", QUOTES),
            ("\u{201C}abc\u{201D}", QUOTES),
            ("\"\"", QUOTES),
        ] {
            assert_eq!(check(text), Err(problem), "{text:?}");
            let of_password = if problem == BLANKS { Ok(()) } else { Err(problem) };
            assert_eq!(check_password(text), of_password, "{text:?}");
        }
        for good in ["", "a", "a b", "a\"b", "\"ab", "it's", "'", "\"", "a\nb", "\"a\" or \"b", "Bearer abc"]
        {
            assert_eq!(check(good), Ok(()), "{good:?}");
        }
    }

    #[test]
    fn sees_a_scheme_before_a_token() {
        for text in
            ["Bearer abc", "bearer abc", "Bearer  abc", "Bearer: abc", "Basic abc", "Token abc", "Own abc"]
        {
            assert_eq!(check_scheme(text, Some("Own")), Err(SCHEME), "{text}");
        }
        for good in ["", "abc", "Bearerabc", "Bearer", "Own abc", "a Bearer b"] {
            assert_eq!(check_scheme(good, None), Ok(()), "{good}");
        }
    }

    #[test]
    fn looks_at_each_of_several() {
        for (list, problem) in [("\"a,b\"", QUOTES), ("a,\"b\"", QUOTES), ("a, Bearer b", SCHEME)] {
            assert_eq!(check_each(list, true), Err(problem), "{list}");
        }
        assert_eq!(check_each(" a ,, b\n", true), Ok(()));
        assert_eq!(check_each("Bearer b", false), Ok(()));
    }
}
