//! Request methods.

use std::fmt;

/// A request method; methods are case-sensitive (RFC 9110 §9.1).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Method(String);

impl Method {
    /// The method called `name`, if it is a token in capital letters.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let valid = !name.is_empty()
            && name.len() <= 32
            && name.bytes().all(|b| b.is_ascii_uppercase() || b == b'-' || b == b'_');
        valid.then(|| Self(name.to_owned()))
    }

    /// The method's name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether no rule can allow the method: `TRACE` echoes a call's headers, and `CONNECT` opens a
    /// tunnel.
    #[must_use]
    pub fn is_never_allowed(&self) -> bool {
        matches!(self.as_str(), "TRACE" | "CONNECT" | "TRACK")
    }

    /// Whether a rule for this method allows `method`; a rule for `GET` allows `HEAD`.
    #[must_use]
    pub fn allows(&self, method: &str) -> bool {
        self.0 == method || (method == "HEAD" && self.0 == "GET")
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod tests {
    use super::*;

    #[test]
    fn takes_only_tokens_in_capitals() {
        assert!(Method::parse("PATCH").is_some());
        for bad in ["", "get", "GET ", "GE\nT", "*"] {
            assert!(Method::parse(bad).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn lets_head_go_where_get_may() {
        let rule = Method::parse("GET").unwrap();
        assert!(rule.allows("GET") && rule.allows("HEAD"));
        assert!(!rule.allows("POST") && !rule.allows("get"));
        assert!(!Method::parse("HEAD").unwrap().allows("GET"));
    }
}
