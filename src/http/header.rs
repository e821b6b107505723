//! Header field names and values.

/// A field name in lower case (RFC 9110 §5.1).
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct HeaderName(String);

impl HeaderName {
    /// Reads a field name and converts it to lower case.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        (!name.is_empty() && name.len() <= 128 && name.bytes().all(is_token_byte))
            .then(|| Self(name.to_ascii_lowercase()))
    }

    /// The name in lower case.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether `value` is a valid field value: visible ASCII, with spaces and tabs only inside (RFC
/// 9110 §5.5).
#[must_use]
pub fn is_field_value(value: &str) -> bool {
    !value.is_empty()
        && value.trim() == value
        && value.bytes().all(|b| b == b'\t' || (b' '..=b'~').contains(&b))
}

pub(super) const fn is_token_byte(b: u8) -> bool {
    b.is_ascii_alphanumeric()
        || matches!(
            b,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod tests {
    use super::*;

    #[test]
    fn takes_tokens_as_names() {
        assert_eq!(HeaderName::parse("X-Api-Key").unwrap().as_str(), "x-api-key");
        for bad in ["", "a b", "a:b", "é", "a\n"] {
            assert!(HeaderName::parse(bad).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn refuses_values_that_could_end_the_field() {
        assert!(is_field_value("Bearer abc"));
        for bad in ["", " x", "x ", "a\r\nb", "a\0", "é"] {
            assert!(!is_field_value(bad), "{bad:?}");
        }
    }
}
