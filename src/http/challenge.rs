//! The challenges of `WWW-Authenticate` (RFC 9110 §11.2, §11.3, §11.6.1).

/// Whether a `WWW-Authenticate` field has a challenge of the scheme Bearer with
/// `error="invalid_token"` (RFC 6750 §3.1).
#[must_use]
pub fn says_invalid_token(value: &str) -> bool {
    let mut rest = Rest(value);
    let mut is_bearer = false;
    // Commas separate challenges as well as their parameters.
    loop {
        rest.skip(|b| matches!(b, b' ' | b'\t' | b','));
        let name = rest.token();
        if name.is_empty() {
            // Skip what is not a challenge, up to the next comma.
            if rest.0.is_empty() {
                return false;
            }
            rest.skip(|b| b != b',');
            continue;
        }
        let after = rest.0;
        rest.skip(is_blank);
        if let Some(value) = rest.0.strip_prefix('=').filter(|_| !after.is_empty()) {
            rest.0 = value;
            rest.skip(is_blank);
            let value = rest.value();
            if is_bearer && name.eq_ignore_ascii_case("error") && value.eq_ignore_ascii_case("invalid_token")
            {
                return true;
            }
        } else {
            is_bearer = name.eq_ignore_ascii_case("bearer");
            rest.skip_token68();
        }
    }
}

/// The unread rest of the value.
struct Rest<'a>(&'a str);

impl<'a> Rest<'a> {
    fn take(&mut self, is_part: impl Fn(u8) -> bool) -> &'a str {
        let end = self.0.bytes().position(|b| !is_part(b)).unwrap_or(self.0.len());
        let (taken, rest) = self.0.split_at_checked(end).unwrap_or((self.0, ""));
        self.0 = rest;
        taken
    }

    fn skip(&mut self, is_part: impl Fn(u8) -> bool) {
        self.take(is_part);
    }

    fn token(&mut self) -> &'a str {
        self.take(super::header::is_token_byte)
    }

    /// Skips a `token68` after a scheme, which would otherwise read as a parameter's name.
    fn skip_token68(&mut self) {
        let before = self.0;
        self.skip(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~' | b'+' | b'/'));
        self.skip(|b| b == b'=');
        self.skip(is_blank);
        if !self.0.is_empty() && !self.0.starts_with(',') {
            self.0 = before;
        }
    }

    /// A parameter's value: a token or a quoted string.
    fn value(&mut self) -> std::borrow::Cow<'a, str> {
        let Some(quoted) = self.0.strip_prefix('"') else {
            return self.take(|b| b != b',' && !is_blank(b)).into();
        };
        let mut text = String::new();
        let mut characters = quoted.char_indices();
        while let Some((at, character)) = characters.next() {
            match character {
                '"' => {
                    self.0 = quoted.get(at + 1..).unwrap_or_default();
                    return text.into();
                }
                '\\' => text.extend(characters.next().map(|(_, escaped)| escaped)),
                _ => text.push(character),
            }
        }
        self.0 = "";
        text.into()
    }
}

const fn is_blank(b: u8) -> bool {
    matches!(b, b' ' | b'\t')
}

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod tests {
    use super::*;

    #[test]
    fn finds_the_word_in_any_challenge_however_it_is_written() {
        for value in [
            r#"Bearer error="invalid_token""#,
            "Bearer error=invalid_token",
            r#"bearer ERROR="invalid_token""#,
            r#"BEARER realm="a, b", error="invalid_token", error_description="it \"expired\"""#,
            r#"Bearer realm="x",error = "invalid_token""#,
            "Bearer realm=\"x\",\terror\t=\t\"invalid_token\"",
            r#"Bearer error="invalid\_token""#,
            r#"Basic realm="x", Bearer error="invalid_token""#,
            r#"Negotiate, Bearer error="invalid_token""#,
            r#"Negotiate YWJj==, Bearer realm="y", error="invalid_token""#,
            r#"Bearer realm="x", Bearer error="invalid_token""#,
            r#", ,Bearer   error="invalid_token","#,
            r#"@, Bearer error="invalid_token""#,
            r#"Bearer realm="Jos\é", error="invalid_token""#,
        ] {
            assert!(says_invalid_token(value), "{value}");
        }
    }

    #[test]
    fn finds_it_nowhere_else() {
        for value in [
            "",
            "Bearer",
            r#"Bearer realm="invalid_token""#,
            r#"Bearer error="insufficient_scope""#,
            r#"Bearer error="invalid_token_x""#,
            r#"Bearer error_description="error=invalid_token""#,
            r#"Bearer realm="Bearer error=\"invalid_token\"""#,
            r#"Bearer realm="x, Bearer error=invalid_token""#,
            r#"Basic realm="x", error="invalid_token""#,
            r#"Bearer realm="x", Basic error="invalid_token""#,
            r#"XBearer error="invalid_token""#,
            r#"Bearer xerror="invalid_token""#,
            "Bearer error",
            "error=invalid_token",
            r#"Bearer realm="never closed, error="#,
            "Bearer error=",
            "\u{fffd}\"",
        ] {
            assert!(!says_invalid_token(value), "{value}");
        }
    }
}
