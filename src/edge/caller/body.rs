//! What rules bind in the bodies of calls.

use serde_json::{Map, Value};

use super::multipart;
use crate::config::Binding;
use crate::http::{Headers, MediaType, QueryBinding, RequestHead, caseless, names_foreign_charset};
use crate::jose::OwnClaimSet;
use crate::json;

/// The largest body that rules look into.
pub(super) const MAX_BYTES: usize = 64 * 1024;

/// A call's body, as far as it was read.
#[derive(Clone, Copy)]
pub(super) enum SeenBody<'b> {
    Unread,
    TooLarge,
    Whole(&'b [u8]),
}

/// Why a call does not fit a rule.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Unfit {
    Other,
    /// It depends on the body, which was not read.
    BodyUnread,
    BodyTooLarge,
}

/// How servers read a body, by its media type.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Form {
    Json,
    Fields,
    Multipart,
    /// As JSON or as a form, for it has no media type.
    Untyped,
    /// As no parameters.
    Other,
    /// Servers differ.
    Unclear,
}

/// Checks that a call's body has the values that `binding` demands, and no parameter that its query
/// binds: many frameworks read both as one.
///
/// # Errors
/// [`Unfit`]: why the call does not fit, or what is missing to know it.
pub(super) fn check(
    binding: &Binding,
    own: Option<&OwnClaimSet>,
    head: &RequestHead<'_>,
    body: SeenBody<'_>,
) -> Result<(), Unfit> {
    let field = head.headers.value("content-type").unwrap_or_default();
    let content_type = field.to_ascii_lowercase();
    let form = form(&content_type);
    let is_looked_for = !matches!(head.method, "GET" | "HEAD") && form != Form::Other;
    let query = binding.query.as_ref().filter(|query| is_looked_for && !query.bound.is_empty());
    let binds_body = !binding.body.is_empty();
    if query.is_none() && !binds_body {
        return Ok(());
    }
    let essence = content_type.split([';', ' ', '\t']).next().unwrap_or_default();
    let is_json = form == Form::Json
        && (essence == "application/json"
            || (essence.starts_with("application/") && essence.ends_with("+json")));
    let is_unreadable = form == Form::Unclear
        || (binds_body && !is_json)
        || names_foreign_charset(&content_type)
        || head.headers.value("content-encoding").is_some_and(|coding| coding != "identity");
    if is_unreadable {
        return Err(Unfit::Other);
    }
    let too_large = if query.is_some() { Unfit::BodyTooLarge } else { Unfit::Other };
    let bytes = match body {
        SeenBody::Whole(bytes) => bytes,
        SeenBody::Unread if !is_announced_too_large(&head.headers) => return Err(Unfit::BodyUnread),
        SeenBody::Unread | SeenBody::TooLarge => return Err(too_large),
    };
    if fits(form, field, bytes, query, binding, own) { Ok(()) } else { Err(Unfit::Other) }
}

fn is_announced_too_large(headers: &Headers<'_>) -> bool {
    let length = headers.value("content-length").and_then(|length| length.parse::<u64>().ok());
    length.is_some_and(|length| length > MAX_BYTES as u64)
}

fn fits(
    form: Form,
    content_type: &str,
    bytes: &[u8],
    query: Option<&QueryBinding>,
    binding: &Binding,
    own: Option<&OwnClaimSet>,
) -> bool {
    if bytes.is_empty() {
        return binding.body.is_empty();
    }
    let is_bound = |name: &str| query.is_some_and(|query| query.is_bound(name));
    let fits_as_json = |bytes: &[u8]| {
        let Ok(body) = json::parse(bytes) else { return false };
        let names_bound = body.as_object().is_some_and(|members| members.keys().any(|name| is_bound(name)));
        let is_doubled = !binding.body.is_empty() && has_doubled(&body);
        !names_bound && !is_doubled && binding.body_fits(&body, own)
    };
    let fits_as_fields = || {
        // Lenient decoders differ in what else they read.
        let Ok(text) = std::str::from_utf8(bytes) else { return false };
        !text.split(['&', ';']).any(|field| is_bound(field.split('=').next().unwrap_or_default()))
    };
    match form {
        Form::Json => fits_as_json(bytes),
        Form::Fields => fits_as_fields(),
        Form::Untyped => {
            let text = json::without_mark(bytes).trim_ascii();
            fits_as_fields() && (!text.starts_with(b"{") || fits_as_json(text))
        }
        Form::Multipart => multipart::has_only(content_type, bytes, &|name| !is_bound(name)),
        Form::Other | Form::Unclear => false,
    }
}

/// Whether the media type names a character encoding by which a server could read other names and
/// values than the broker does; some read the query by it, too.
pub(super) fn has_foreign_charset(headers: &Headers<'_>) -> bool {
    names_foreign_charset(&headers.value("content-type").unwrap_or_default().to_ascii_lowercase())
}

/// The form of a body with this `Content-Type`, in lower case. Some servers look for a media type
/// anywhere in the field.
fn form(content_type: &str) -> Form {
    if content_type.is_empty() {
        return Form::Untyped;
    }
    let Some(MediaType { essence, .. }) = MediaType::parse(content_type) else { return Form::Unclear };
    let has = |part: &str| content_type.contains(part);
    let is_json = essence.contains("json") || has("/json") || has("+json");
    match (is_json, has("urlencoded"), has("multipart/")) {
        (true, false, false) => Form::Json,
        (false, true, false) => Form::Fields,
        (false, false, true) => Form::Multipart,
        (false, false, false) => Form::Other,
        _ => Form::Unclear,
    }
}

/// Whether an object in `value` has two members whose names may differ in case alone: Go, ASP.NET and
/// others take one for the other.
fn has_doubled(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.iter().any(has_doubled),
        Value::Object(members) => {
            let mut seen = Map::new();
            members
                .iter()
                .any(|(name, value)| seen.insert(caseless(name), Value::Null).is_some() || has_doubled(value))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod tests {
    use super::*;
    use crate::http::{ParameterName, Template};
    use crate::jose::Claims;

    fn data() -> Value {
        serde_json::from_str(include_str!("../../../tests/data/bindings.json")).unwrap()
    }

    fn query() -> QueryBinding {
        let name = |text| ParameterName::parse(text).unwrap();
        let text = Template::Text("x".to_owned());
        QueryBinding {
            bound: vec![(name("busca"), text.clone()), (name("termo_busca"), text)],
            allowed: None,
        }
    }

    fn own(claims: &str) -> OwnClaimSet {
        let text = format!(r#"{{"iss":"i","aud":"a","exp":1,{claims}}}"#);
        Claims::parse(text.as_bytes()).unwrap().into_own()
    }

    fn bound(pointers: &[(&str, &str)]) -> Binding {
        let template = |text: &str| match text.strip_prefix("{claims.") {
            Some(name) => Template::Claim(name.trim_end_matches('}').to_owned()),
            None => Template::Text(text.to_owned()),
        };
        let body = pointers.iter().map(|(pointer, text)| ((*pointer).to_owned(), template(text))).collect();
        Binding { claims: Vec::new(), query: None, body }
    }

    fn checked(
        binding: &Binding,
        own: Option<&OwnClaimSet>,
        fields: &str,
        body: SeenBody<'_>,
    ) -> Result<(), Unfit> {
        let text = format!("POST\nhttps://broker.example/\n{fields}");
        check(binding, own, &RequestHead::new(&text), body)
    }

    fn check_sent(binding: &Binding, own: Option<&OwnClaimSet>, sent: &Value) -> Result<(), Unfit> {
        let fields = sent["type"].as_str().map(|of| format!("content-type:{of}")).unwrap_or_default();
        checked(binding, own, &fields, SeenBody::Whole(sent["body"].as_str().unwrap().as_bytes()))
    }

    #[test]
    fn finds_bound_names_in_every_form_of_body() {
        let (data, binding) = (data(), Binding { query: Some(query()), ..bound(&[]) });
        let mut tried = 0;
        for attack in data["bodies"].as_array().unwrap() {
            for sent in attack["bodies"].as_array().unwrap() {
                assert_eq!(check_sent(&binding, None, sent), Err(Unfit::Other), "{}: {sent}", attack["kind"]);
                tried += 1;
            }
        }
        assert!(tried > 35, "{tried}");
        let fields = "content-type:application/x-www-form-urlencoded";
        for bytes in [&b"\xC1\xB4ermo_busca=5"[..], b"a=\xE9", b"a=1&\xFFb=2"] {
            assert_eq!(checked(&binding, None, fields, SeenBody::Whole(bytes)), Err(Unfit::Other));
        }
        for sent in data["bodies_pass"].as_array().unwrap() {
            assert_eq!(check_sent(&binding, None, sent), Ok(()), "{sent}");
        }
    }

    #[test]
    fn compares_the_values_that_are_bound() {
        let data = data();
        let pointers: Vec<(&str, &str)> = data["bound_bodies"]["bound"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(pointer, text)| (pointer.as_str(), text.as_str().unwrap()))
            .collect();
        let (binding, own) = (bound(&pointers), own(&format!(r#""cpf":{}"#, data["own"])));
        for sent in data["bound_bodies"]["passes"].as_array().unwrap() {
            assert_eq!(check_sent(&binding, Some(&own), sent), Ok(()), "{sent}");
            assert_eq!(check_sent(&binding, None, sent), Err(Unfit::Other), "{sent}");
        }
        for attack in data["bound_bodies"]["attacks"].as_array().unwrap() {
            for sent in attack["bodies"].as_array().unwrap() {
                assert_eq!(
                    check_sent(&binding, Some(&own), sent),
                    Err(Unfit::Other),
                    "{}: {sent}",
                    attack["kind"]
                );
            }
        }
    }

    #[test]
    fn compares_numbers_and_booleans_by_their_kind() {
        let own = own(
            r#""n":7,"big":18446744073709551615,"b":true,"f":1.5,"r":2.50,"t":"7","e":"","c":"a\u0085","o":{},"l":["7"]"#,
        );
        let fits = |claim: &str, found: &str| {
            let binding = bound(&[("/a", &format!("{{claims.{claim}}}"))]);
            let body = format!(r#"{{"a":{found}}}"#);
            checked(&binding, Some(&own), "content-type:application/json", SeenBody::Whole(body.as_bytes()))
                .is_ok()
        };
        for (claim, found) in [
            ("n", "7"),
            ("n", r#""7""#),
            ("b", "true"),
            ("b", r#""true""#),
            ("t", r#""7""#),
            ("f", r#""1.5""#),
            ("big", "18446744073709551615"),
        ] {
            assert!(fits(claim, found), "{claim} {found}");
        }
        for (claim, found) in [
            ("n", "7.0"),
            ("n", "8"),
            ("n", "7e0"),
            ("b", "1"),
            ("b", "false"),
            ("t", "7"),
            ("f", "1.5"),
            ("r", r#""2.5""#),
            ("r", r#""2.50""#),
            ("big", "18446744073709551616"),
            ("e", r#""""#),
            ("c", r#""a\u0085""#),
            ("o", "{}"),
            ("l", r#""7""#),
            ("l", r#"["7"]"#),
            ("x", "null"),
            ("n", "[7]"),
        ] {
            assert!(!fits(claim, found), "{claim} {found}");
        }
    }

    #[test]
    fn follows_pointers_through_objects_and_arrays() {
        let body = r#"{"a":[{"b":"x"},"x"],"~/":{"c~1":"x"},"":"x","1":"x"}"#;
        let fits = |pointer: &str| {
            checked(
                &bound(&[(pointer, "x")]),
                None,
                "content-type:application/json",
                SeenBody::Whole(body.as_bytes()),
            )
            .is_ok()
        };
        for pointer in ["/a/0/b", "/a/1", "/~0~1/c~01", "/", "/1"] {
            assert!(fits(pointer), "{pointer}");
        }
        for pointer in ["", "/a", "/a/2", "/a/01", "/a/+1", "/a/-", "/a/0/b/0", "/b", "/~1~0"] {
            assert!(!fits(pointer), "{pointer}");
        }
    }

    #[test]
    fn looks_only_where_it_must_and_only_into_small_bodies() {
        let both = Binding { query: Some(query()), ..bound(&[("/a", "x")]) };
        let (of_query, of_body) = (Binding { query: Some(query()), ..bound(&[]) }, bound(&[("/a", "x")]));
        let unread = |binding: &Binding, fields: &str| checked(binding, None, fields, SeenBody::Unread);
        let (form, json) =
            ("content-type:application/x-www-form-urlencoded", "content-type:application/json");
        for (binding, fields, found) in [
            (&bound(&[]), form, Ok(())),
            (&of_query, "content-type:text/plain\ncontent-length:9999999", Ok(())),
            (&of_query, form, Err(Unfit::BodyUnread)),
            (&of_query, "", Err(Unfit::BodyUnread)),
            (&of_query, &format!("{form}\ncontent-length:65536"), Err(Unfit::BodyUnread)),
            (&of_query, &format!("{form}\ncontent-length:65537"), Err(Unfit::BodyTooLarge)),
            (&of_query, &format!("{json}\ncontent-encoding:gzip"), Err(Unfit::Other)),
            (&of_body, json, Err(Unfit::BodyUnread)),
            (&of_body, &format!("{json}\ncontent-length:65537"), Err(Unfit::Other)),
            (&of_body, form, Err(Unfit::Other)),
            (&both, &format!("{json}\ncontent-length:65537"), Err(Unfit::BodyTooLarge)),
        ] {
            assert_eq!(unread(binding, fields), found, "{fields}");
        }
        assert_eq!(checked(&of_query, None, form, SeenBody::TooLarge), Err(Unfit::BodyTooLarge));
        assert_eq!(checked(&of_body, None, json, SeenBody::TooLarge), Err(Unfit::Other));
        let get = RequestHead::new("GET\nhttps://broker.example/\ncontent-type:application/json");
        assert_eq!(check(&of_query, None, &get, SeenBody::Unread), Ok(()));
    }
}
