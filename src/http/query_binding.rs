//! Queries of rules that bind parameters to who calls.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::query::without_parameters;
use super::spelling::{folded, is_flat, is_in_segment, is_like, is_plain, is_read_as, is_same};
use super::template::{OwnClaims, Template, decoded};

/// The most parameters of a call. Servers drop or refuse those behind a number of their own: PHP and
/// qs the 1,001st, ASP.NET the 1,025th.
const MOST_PARAMETERS: usize = 256;

/// What `encodeURIComponent` escapes (ECMA-262 §19.2.6.4).
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'!')
    .remove(b'~')
    .remove(b'*')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')');

/// The name of a query parameter in a rule.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ParameterName {
    text: String,
    folded: Vec<u8>,
    /// Whether the name has no character that servers read differently.
    is_plain: bool,
}

impl ParameterName {
    /// Reads a name: not empty, and without control characters and those that are syntax of a query.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let is_syntax = |c: char| c.is_control() || matches!(c, '&' | '=' | ';' | '+' | '%' | '#');
        let folded = folded(text);
        // A name of marks alone is read as anything.
        let is_name = !text.contains(is_syntax) && folded.iter().any(|b| !matches!(b, b'.' | b'[' | b']'));
        is_name.then(|| Self { text: text.to_owned(), folded, is_plain: is_plain(text) })
    }

    /// Whether a server could read `raw`, a name as sent, as this one.
    #[must_use]
    pub fn is_spelled(&self, raw: &str) -> bool {
        if self.is_plain && is_plain(raw) {
            return self.text.eq_ignore_ascii_case(raw);
        }
        is_read_as(raw, |form| self.is_form(form))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether a segment of `path` could have a parameter of this name.
    #[must_use]
    pub fn is_in_path(&self, path: &str) -> bool {
        path.split('/').any(|segment| is_in_segment(segment, |form| self.is_form(form)))
    }

    /// Whether a server could read one name as the other.
    #[must_use]
    pub fn conflicts_with(&self, other: &Self) -> bool {
        is_same(&self.folded, &other.folded, is_flat)
    }

    fn is_form(&self, form: &[u8]) -> bool {
        is_same(form, &self.folded, is_like)
    }

    fn is_exactly(&self, raw: &str) -> bool {
        raw == self.text || raw == encoded(&self.text)
    }
}

/// The query of a rule.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct QueryBinding {
    /// The parameters that are bound. No two names conflict.
    pub bound: Vec<(ParameterName, Template)>,
    /// All other names that may come, none of which conflicts with a bound one; `None` for any.
    pub allowed: Option<Vec<ParameterName>>,
}

impl QueryBinding {
    /// What is to be added to the query of a call, encoded: the bound parameters that it lacks, empty
    /// where it has all. `None` where the call does not fit.
    #[must_use]
    pub fn fit(&self, query: &str, claims: OwnClaims<'_>) -> Option<String> {
        // The value that each bound parameter has to have, and whether it is still to come.
        let mut own = Vec::with_capacity(self.bound.len());
        for (name, template) in &self.bound {
            own.push((name, template.fill(claims)?, true));
        }
        let mut left = MOST_PARAMETERS;
        for part in query.split('&') {
            // Some servers also separate parameters at `;`, others drop such a part.
            let is_one = !part.contains(';');
            for field in part.split(';') {
                left = left.checked_sub(1)?;
                let (name, value) = match field.split_once('=') {
                    Some((name, value)) => (name, Some(value)),
                    None => (field, None),
                };
                if self.lists(name) {
                    continue;
                }
                let Some((bound, own, lacks)) = own.iter_mut().find(|(bound, ..)| bound.is_spelled(name))
                else {
                    if field.is_empty() || self.allowed.is_none() {
                        continue;
                    }
                    return None;
                };
                let is_exact = bound.is_exactly(name) && value.is_some_and(|value| is_value(value, own));
                if !(is_one && is_exact && std::mem::take(lacks)) {
                    return None;
                }
            }
        }
        let mut added = String::new();
        for (name, value, _) in own.iter().filter(|(.., lacks)| *lacks) {
            if !added.is_empty() {
                added.push('&');
            }
            added.push_str(&encoded(&name.text));
            added.push('=');
            added.push_str(&encoded(value));
        }
        Some(added)
    }

    /// `address` without the bound parameters in its query.
    #[must_use]
    pub fn without_bound(&self, address: &str) -> String {
        without_parameters(address, |name| self.is_bound(name))
    }

    /// Whether a server could read `raw` as the name of a bound parameter.
    #[must_use]
    pub fn is_bound(&self, raw: &str) -> bool {
        !self.lists(raw) && self.bound.iter().any(|(name, _)| name.is_spelled(raw))
    }

    /// Whether a segment of `path` could have a parameter that is bound.
    #[must_use]
    pub fn is_in_path(&self, path: &str) -> bool {
        let is_known = |form: &[u8]| self.bound.iter().any(|(name, _)| name.is_form(form));
        !self.bound.is_empty() && path.split('/').any(|segment| is_in_segment(segment, is_known))
    }

    /// Whether `raw` is one of the allowed names, none of which conflicts with a bound one.
    fn lists(&self, raw: &str) -> bool {
        let is = |name: &str| self.allowed.iter().flatten().any(|known| known.text == name);
        if is_plain(raw) { is(raw) } else { decoded(&raw.replace('+', " ")).as_deref().is_some_and(is) }
    }
}

/// Whether every server reads `raw` as `own`. A raw `+` is a blank to some; qs ends a name at `]=`.
fn is_value(raw: &str, own: &str) -> bool {
    let is_unclear = raw.contains('+') || (raw.contains('=') && own.contains(']'));
    !is_unclear && decoded(raw).as_deref() == Some(own)
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, ESCAPED).collect()
}

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod tests {
    use serde_json::Value;

    use super::*;

    fn name(text: &str) -> ParameterName {
        ParameterName::parse(text).unwrap()
    }

    fn binding(bound: &[(&str, Template)], allowed: Option<&[&str]>) -> QueryBinding {
        let bound = bound.iter().map(|(text, template)| (name(text), template.clone())).collect();
        QueryBinding { bound, allowed: allowed.map(|names| names.iter().map(|text| name(text)).collect()) }
    }

    fn data() -> Value {
        serde_json::from_str(include_str!("../../tests/data/bindings.json")).unwrap()
    }

    fn texts(value: &Value) -> Vec<&str> {
        value.as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect()
    }

    /// The rule of the table: with the names that it allows, and with any.
    fn table(data: &Value) -> [QueryBinding; 2] {
        let template = |text: &str| match text.strip_prefix("{claims.") {
            Some(claim) => Template::Claim(claim.trim_end_matches('}').to_owned()),
            None => Template::Text(text.to_owned()),
        };
        let query = data["query"].as_object().unwrap();
        let bound: Vec<_> =
            query.iter().map(|(name, value)| (name.as_str(), template(value.as_str().unwrap()))).collect();
        [Some(&*texts(&data["query_allowed"])), None].map(|allowed| binding(&bound, allowed))
    }

    #[test]
    fn refuses_every_attack_of_the_table() {
        let data = data();
        let own = data["own"].as_str().unwrap();
        let claims = |claim: &str| (claim == "cpf").then(|| own.to_owned());
        let [listed, any] = table(&data);
        let mut tried = 0;
        for attack in data["attacks"].as_array().unwrap() {
            for query in texts(&attack["queries"]) {
                assert_eq!(listed.fit(query, &claims), None, "{}: {query}", attack["kind"]);
                assert_eq!(any.fit(query, &claims), None, "{}: {query}", attack["kind"]);
                tried += 1;
            }
        }
        assert!(tried > 200, "{tried}");
        for query in texts(&data["not_allowed"]["queries"]) {
            assert_eq!(listed.fit(query, &claims), None, "{query}");
        }
        for path in texts(&data["matrix"]["paths"]) {
            assert!(listed.is_in_path(path), "{path}");
        }
        for path in ["/invoices", "/a;x=termo_busca/b", "/termo_busca/busca;a", "/a%3Bx", "/a;"] {
            assert!(!listed.is_in_path(path), "{path}");
        }
    }

    #[test]
    fn lets_the_callers_own_pass_and_adds_what_lacks() {
        let data = data();
        let own = data["own"].as_str().unwrap();
        let claims = |claim: &str| (claim == "cpf").then(|| own.to_owned());
        for rule in table(&data) {
            for query in texts(&data["passes"]) {
                let added = rule.fit(query, &claims);
                let is_there = |name: &str| query.split('&').any(|part| part.starts_with(name));
                let mut expected = Vec::new();
                if !is_there("busca=") {
                    expected.push("busca=cpf_cnpj".to_owned());
                }
                if !is_there("termo_busca=") {
                    expected.push(format!("termo_busca={own}"));
                }
                assert_eq!(added, Some(expected.join("&")), "{query}");
            }
            assert_eq!(rule.fit("", &|_| None), None, "a claim that is absent");
            assert_eq!(rule.fit(&format!("busca=cpf_cnpj&termo_busca={own}"), &|_| None), None);
        }
    }

    #[test]
    fn encodes_what_it_adds() {
        let rule = binding(&[("filter[id]", Template::Claim("id".to_owned()))], None);
        let fit = |query: &str, own: &str| rule.fit(query, &|_| Some(own.to_owned()));
        for (own, encoded) in [
            ("a&b=c", "a%26b%3Dc"),
            ("a+b c", "a%2Bb%20c"),
            ("é;/?#%", "%C3%A9%3B%2F%3F%23%25"),
            ("]=x", "%5D%3Dx"),
            ("a-b_c.d!~*'()", "a-b_c.d!~*'()"),
        ] {
            assert_eq!(fit("", own), Some(format!("filter%5Bid%5D={encoded}")));
            for name in ["filter[id]", "filter%5Bid%5D"] {
                assert_eq!(fit(&format!("{name}={encoded}"), own).as_deref(), Some(""), "{own}");
            }
        }
        assert_eq!(fit("filter[id]=a+b", "a+b"), None, "a form's blank");
        assert_eq!(fit("filter[id]=a+b", "a b"), None);
        assert_eq!(fit("filter[id]=100%", "100%"), None, "Go drops it");
        assert_eq!(fit("filter[id]=100%25", "100%").as_deref(), Some(""));
        assert_eq!(fit("filter[id]=x%5D=1", "x]=1"), None, "qs reads another name");
        assert_eq!(fit("filter[id]=a=1", "a=1").as_deref(), Some(""));
        for other in
            ["filter=1", "filter.id=1", "filter_id=1", "Filter[id]=1", "filter%5bid%5d=1", "filter[id][]=1"]
        {
            assert_eq!(fit(other, "1"), None, "{other}");
        }
        assert!(fit("filter[name]=1&filters=2", "1").is_some());
    }

    #[test]
    fn restricts_names_alone_where_nothing_is_bound() {
        let rule = binding(&[], Some(&["a b", "c"]));
        for (query, fits) in
            [("", true), ("a%20b=1&a+b=2&c", true), ("d=1", false), ("C=1", false), ("c[]=1", false)]
        {
            assert_eq!(rule.fit(query, &|_| None).is_some(), fits, "{query}");
        }
        assert_eq!(binding(&[], None).fit("d=1;e", &|_| None).as_deref(), Some(""));
    }

    #[test]
    fn takes_names_that_are_no_syntax() {
        for good in ["busca", "filter[id]", "na me", "código", "a.b", "*"] {
            assert!(ParameterName::parse(good).is_some(), "{good}");
        }
        for bad in ["", "a&b", "a=b", "a;b", "a+b", "a%20", "a#", "a\n", "[]", ".", " ", "\u{301}"] {
            assert!(ParameterName::parse(bad).is_none(), "{bad}");
        }
        assert!(name("a.b").conflicts_with(&name("A_b")) && name("a[x]").conflicts_with(&name("a")));
        assert!(!name("a[x]").conflicts_with(&name("a[y]")) && !name("a").conflicts_with(&name("b")));
    }

    #[test]
    fn leaves_the_bound_parameters_out_of_an_address() {
        let rule = binding(&[("termo_busca", Template::Claim("cpf".to_owned()))], None);
        for (address, without) in [
            ("/a?termo_busca=1&b=2#c", "/a?b=2#c"),
            ("/a?b=2&termo_busca=1", "/a?b=2"),
            ("/a?termo%5Fbusca=1", "/a"),
            ("/a?termo_busca[]=1&termo_busca", "/a"),
            ("/a?x;termo_busca=1;y=2&;termo_busca", "/a?x;y=2&"),
            ("/a", "/a"),
            ("/a#x?termo_busca=1", "/a#x?termo_busca=1"),
            ("/a?b=termo_busca", "/a?b=termo_busca"),
        ] {
            assert_eq!(rule.without_bound(address), without);
        }
    }
}
