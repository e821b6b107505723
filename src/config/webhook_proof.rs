//! Reading how the events of a connection prove their sender.

use std::time::Duration;

use serde_json::Value;

use super::limits::TOLERANCE_SECONDS;
use super::reader::Reader;
use super::{Variables, headers, syntax};
use crate::http::HeaderName;
use crate::webhook::{
    EventHmac, Handshake, HmacAlgorithm, HmacEncoding, Proof, Signed, SigningTime, TimePlace,
};

/// The fields of which exactly one says how an event is proven.
pub(super) const PROOFS: [&str; 4] = ["token_field", "token_header", "hmac", "secret_path"];

const HMAC: &[&str] = &[
    "header",
    "part",
    "prefix",
    "algorithm",
    "encoding",
    "signed",
    "timestamp_header",
    "timestamp_part",
    "tolerance_seconds",
];

const SECOND: &str = "is a second proof: keep one of token_field, token_header, hmac and secret_path";

const MISSING: &str = "is missing: name the member that carries the account token, or write \
     token_header, hmac or secret_path instead";

const HEADER: &str = "must be a header field's name";

/// Reads the one proof. A proof of the connection's own stands for its provider's default, all of
/// it.
pub(super) fn read(table: &mut Reader<'_, '_>, is_known: bool) -> Option<Proof> {
    // `secret_path = false` is none.
    let is_one = |value: Option<&Value>| value.is_some_and(|value| *value != Value::Bool(false));
    let own: Vec<&str> =
        PROOFS.into_iter().filter(|name| table.has_own(name) && is_one(table.value(name))).collect();
    if own.is_empty() {
        let defaults: Vec<&str> = PROOFS.into_iter().filter(|name| is_one(table.default(name))).collect();
        return read_one(table, &defaults, is_known);
    }
    let none = Variables::new();
    read_one(&mut table.with_defaults(&none), &own, is_known)
}

fn read_one(table: &mut Reader<'_, '_>, names: &[&str], is_known: bool) -> Option<Proof> {
    let Some((name, more)) = names.split_first() else {
        // For an unknown provider a missing proof is not a problem of its own.
        if is_known {
            table.report("token_field", MISSING);
        }
        return None;
    };
    for second in more {
        table.report(second, SECOND);
    }
    match *name {
        "token_field" => table.parse("token_field", &syntax::filled).map(Proof::Member),
        "token_header" => table.parse("token_header", &headers::credential_field).map(Proof::Header),
        "hmac" => read_hmac(&mut table.table("hmac")?).map(Box::new).map(Proof::Hmac),
        _ => {
            let is_true = table.value("secret_path") == Some(&Value::Bool(true));
            if !is_true {
                table.report("secret_path", "must be true or false");
            }
            is_true.then_some(Proof::Path)
        }
    }
}

fn read_hmac(table: &mut Reader<'_, '_>) -> Option<EventHmac> {
    const ALGORITHMS: [(&str, HmacAlgorithm); 3] =
        [("sha1", HmacAlgorithm::Sha1), ("sha256", HmacAlgorithm::Sha256), ("sha512", HmacAlgorithm::Sha512)];
    const ENCODINGS: [(&str, HmacEncoding); 3] = [
        ("hex", HmacEncoding::Hex),
        ("base64", HmacEncoding::Base64),
        ("base64url", HmacEncoding::Base64Url),
    ];
    if !table.has("header") {
        table.report("header", "is missing: name the header field that carries the signature");
    }
    let header = table.parse("header", &headers::credential_field);
    let part = table.parse("part", &part_name);
    let prefix = table.parse("prefix", &prefix);
    let algorithm = table.choice("algorithm", &ALGORITHMS, "must be sha1, sha256 or sha512");
    let encoding = table.choice("encoding", &ENCODINGS, "must be hex, base64 or base64url");
    let time = read_time(table);
    let signed = if table.has("signed") { table.parse("signed", &signed) } else { Some(vec![Signed::Body]) };
    let has_time = table.has("timestamp_header") || table.has("timestamp_part");
    match signed.as_ref().map(|signed| signed.contains(&Signed::Time)) {
        Some(true) if !has_time => table.report(
            "signed",
            "has {timestamp}: name its place as timestamp_header, or as timestamp_part of the header",
        ),
        Some(false) if has_time => {
            table.report("signed", "must have {timestamp}: a time that is not signed proves nothing");
        }
        Some(_) | None => {}
    }
    table.only(HMAC);
    Some(EventHmac {
        header: header?,
        part,
        prefix: prefix.unwrap_or_default(),
        algorithm: algorithm.unwrap_or(HmacAlgorithm::Sha256),
        encoding: encoding.unwrap_or(HmacEncoding::Hex),
        signed: signed?,
        time,
    })
}

fn read_time(table: &mut Reader<'_, '_>) -> Option<SigningTime> {
    let tolerance = Duration::from_secs(table.number("tolerance_seconds", &TOLERANCE_SECONDS));
    let place = match (table.has("timestamp_header"), table.has("timestamp_part")) {
        (true, true) => {
            table.report("timestamp_part", "must not stand beside timestamp_header: the time has one place");
            None
        }
        (true, false) => table
            .parse("timestamp_header", &|name| HeaderName::parse(name).ok_or(HEADER))
            .map(TimePlace::Header),
        (false, true) => {
            if !table.has("part") {
                table.report("part", "is missing: name the part that is the signature");
            }
            table.parse("timestamp_part", &part_name).map(TimePlace::Part)
        }
        (false, false) => {
            if table.has("tolerance_seconds") {
                let message = "has no meaning without timestamp_header or timestamp_part";
                table.report("tolerance_seconds", message);
            }
            None
        }
    };
    place.map(|place| SigningTime { place, tolerance })
}

fn part_name(text: &str) -> Result<String, &'static str> {
    if HeaderName::parse(text).is_some() {
        Ok(text.to_owned())
    } else {
        Err("must be the name of a part, such as v1 in t=1,v1=a")
    }
}

fn prefix(text: &str) -> Result<String, &'static str> {
    if text.bytes().all(|b| b.is_ascii_graphic() || b == b' ') {
        Ok(text.to_owned())
    } else {
        Err("must be visible ASCII")
    }
}

/// Reads what is signed: a text in which names in braces stand for parts of the request.
fn signed(text: &str) -> Result<Vec<Signed>, &'static str> {
    const BRACES: &str = "must have no braces but {body}, {timestamp}, {query:name}, {query_lower:name} and \
         {header:name}";
    let mut pieces = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (before, name) = rest.split_once('{').map_or((rest, None), |(before, name)| (before, Some(name)));
        if before.contains('}') {
            return Err(BRACES);
        }
        if !before.is_empty() {
            pieces.push(Signed::Text(before.to_owned()));
        }
        let Some(name) = name else { break };
        let (name, behind) = name.split_once('}').ok_or(BRACES)?;
        pieces.push(placeholder(name).ok_or(BRACES)?);
        rest = behind;
    }
    if pieces.iter().all(|piece| matches!(piece, Signed::Time | Signed::Text(_))) {
        return Err(
            "must have {body}, or {query:name} or {header:name}: else nothing of the event is signed",
        );
    }
    Ok(pieces)
}

fn placeholder(name: &str) -> Option<Signed> {
    let (kind, name) = name.split_once(':').unwrap_or((name, ""));
    match (kind, name) {
        ("body", "") => Some(Signed::Body),
        ("timestamp", "") => Some(Signed::Time),
        ("header", name) => HeaderName::parse(name).map(Signed::Header),
        ("query", name) if !name.is_empty() => Some(Signed::Query(name.to_owned())),
        ("query_lower", name) if !name.is_empty() => Some(Signed::QueryLower(name.to_owned())),
        _ => None,
    }
}

/// Reads which events are the sender's tests.
pub(super) fn read_handshake(table: &mut Reader<'_, '_>) -> Option<Handshake> {
    // What the connection names stands for all of the provider's default.
    if table.has_own("handshake") {
        let none = Variables::new();
        return read_test(&mut table.with_defaults(&none));
    }
    read_test(table)
}

fn read_test(table: &mut Reader<'_, '_>) -> Option<Handshake> {
    let mut test = table.table("handshake")?;
    if !test.has("json") {
        test.report("json", "is missing: name the place in the event as a JSON Pointer, such as /type");
    }
    let pointer = test.parse("json", &|text| {
        let message = "must be a JSON Pointer, such as /type";
        syntax::is_json_pointer(text).then(|| text.to_owned()).ok_or(message)
    });
    let values = test.has("in").then(|| test.array("in", true, "must be an array of at least one value"));
    test.only(&["json", "in"]);
    Some(Handshake { pointer: pointer?, values: values.map(<[Value]>::to_vec) })
}

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod tests {
    use serde_json::json;

    use super::*;

    /// The proof of a table with the fields `own`, whose provider signs in its own way.
    fn proof(own: &Value) -> (Option<Proof>, Vec<String>) {
        let stripe = json!({"hmac": {
            "header": "Stripe-Signature",
            "part": "v1",
            "timestamp_part": "t",
            "signed": "{timestamp}.{body}"
        }});
        let mut problems = Vec::new();
        let mut reader = Reader::new("x".to_owned(), own.as_object().unwrap(), &mut problems);
        let read = read(&mut reader.with_defaults(stripe.as_object().unwrap()), true);
        (read, problems.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn takes_nothing_of_the_providers_proof_beside_one_of_its_own() {
        let (Some(Proof::Hmac(default)), problems) = proof(&json!({})) else { panic!() };
        assert_eq!((default.part.as_deref(), problems.len()), (Some("v1"), 0));
        let (Some(Proof::Hmac(own)), problems) = proof(&json!({"hmac": {"header": "X-S"}})) else { panic!() };
        assert!(own.part.is_none() && own.time.is_none() && own.signed == [Signed::Body]);
        assert_eq!(problems.len(), 0);
        let (_, problems) = proof(&json!({"hmac": {"tolerance_seconds": 60}}));
        let missing = "x.hmac.header: is missing: name the header field that carries the signature";
        assert!(problems.iter().any(|problem| problem == missing), "{problems:?}");
    }
}
