//! Reading and authenticating an event.

use std::borrow::Cow;

use super::account_tokens::AccountTokens;
use super::proof::{EventRejection, Proof};
use super::text::Text;
use crate::json;
use crate::json::{decoded, exact};
use crate::secret::{Fingerprint, Place, Secret};

/// An authenticated event, without its account token.
#[derive(Debug)]
pub struct Event {
    /// The event's webhook id: stable across repeated events, and unique to the event.
    pub id: String,
    /// The text as received, except for the account token. A signed event does not carry its key.
    pub body: String,
    /// The place and the digest of the account token, if a member carried it.
    pub token: Option<(Place, Fingerprint)>,
}

impl Event {
    /// Reads the event `body` of `connection`. If a member carries the account token, it is checked
    /// before any other part of the event.
    ///
    /// # Errors
    /// [`EventRejection`]: why the event is rejected.
    pub fn read(
        body: &[u8],
        proof: &Proof,
        tokens: &AccountTokens,
        id_members: &[String],
        connection: &str,
    ) -> Result<Self, EventRejection> {
        let text = Text::read(json::without_mark(body))?;
        let none = AccountTokens::none();
        let (member, tokens) = match proof {
            Proof::Member(name) => (Some(name.as_str()), tokens),
            Proof::Header(_) | Proof::Path => (None, tokens),
            Proof::Hmac(_) => (None, &none),
        };
        let mut token = None;
        if let Some(name) = member {
            let presented = text.member(name).filter(|value| value.starts_with('"'));
            let presented = presented.ok_or(EventRejection::NotProven)?;
            let presented = Secret::new(decoded(presented).into_owned()).fingerprint();
            let place = tokens.place(presented).ok_or(EventRejection::NotProven)?;
            token = Some((place, presented));
        }
        let body = text.without(member, tokens);
        let id = webhook_id(connection, &text, id_members, || text.identity(member, tokens));
        Ok(Self { id, body, token })
    }
}

/// The webhook id of an event: a digest of the connection and of the members that identify the
/// event, if it has the first of them; else of the `whole` event without its account token. The
/// connection is included because one receiver may serve several.
fn webhook_id(
    connection: &str,
    text: &Text<'_>,
    id_members: &[String],
    whole: impl FnOnce() -> String,
) -> String {
    let names_it = |value: &str| {
        value.starts_with(|c: char| c == '"' || c == '-' || c.is_ascii_digit()) && value != "\"\""
    };
    let mut parts = vec![connection];
    let members: Vec<Cow<'_, str>>;
    let all: String;
    let first = id_members.first().and_then(|name| text.member(name));
    if first.is_some_and(names_it) {
        members = id_members.iter().map(|name| written_once(text.member(name))).collect();
        parts.push("members");
        parts.extend(members.iter().map(AsRef::as_ref));
    } else {
        all = whole();
        parts.extend(["whole", &all]);
    }
    let mut id = Fingerprint::of(&parts).to_hex();
    id.truncate(32);
    format!("msg_{id}")
}

/// A string in its canonical notation. Other values keep their notation: a number may exceed every
/// numeric type.
fn written_once(value: Option<&str>) -> Cow<'_, str> {
    match value {
        Some(string) if string.contains('\\') && string.starts_with('"') => {
            Cow::Owned(format!("\"{}\"", exact(string)))
        }
        value => Cow::Borrowed(value.unwrap_or_default()),
    }
}

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::http::HeaderName;

    /// The webhook id of an event of Guru.
    fn guru(body: &str) -> String {
        let tokens = Secret::new("ACCOUNT-TOKEN,NEXT-TOKEN-OF-ALL".to_owned());
        let tokens = AccountTokens::parse(&tokens).unwrap();
        let proof = Proof::Member("api_token".to_owned());
        Event::read(body.as_bytes(), &proof, &tokens, &[], "guru").unwrap().id
    }

    fn read(body: &str) -> Result<Event, EventRejection> {
        read_by(body, &["id"], "guru")
    }

    fn read_by(body: &str, id_members: &[&str], connection: &str) -> Result<Event, EventRejection> {
        let tokens = AccountTokens::parse(&Secret::new("right,next".to_owned())).unwrap();
        let id_members: Vec<String> = id_members.iter().map(|name| (*name).to_owned()).collect();
        Event::read(body.as_bytes(), &Proof::Member("t".to_owned()), &tokens, &id_members, connection)
    }

    #[test]
    fn takes_an_event_with_one_of_the_tokens() {
        for token in ["right", "next", r"\u0072ight"] {
            let event = read(&format!(r#"{{"id":7,"t":"{token}","a":1.0}}"#)).unwrap();
            assert_eq!(event.body, r#"{"id":7,"a":1.0}"#);
        }
    }

    #[test]
    fn takes_an_event_behind_a_byte_order_mark_for_the_same() {
        let (marked, bare) = (read("\u{feff}{\"id\":7,\"t\":\"right\"}"), read("{\"id\":7,\"t\":\"right\"}"));
        let (marked, bare) = (marked.unwrap(), bare.unwrap());
        assert_eq!((marked.body, marked.id), (bare.body, bare.id));
        assert!(read("\u{feff}\u{feff}{\"t\":\"right\"}").is_err());
    }

    #[test]
    fn rejects_what_proves_nothing() {
        for body in [
            "{}",
            "[]",
            "null",
            "1",
            r#""right""#,
            r#"["right"]"#,
            r#"{"t":null}"#,
            r#"{"t":true}"#,
            r#"{"t":1}"#,
            r#"{"t":["right"]}"#,
            r#"{"t":{"t":"right"}}"#,
            r#"{"t":""}"#,
            r#"{"t":"wrong"}"#,
            r#"{"t":"right "}"#,
            r#"{"t":"Right"}"#,
            r#"{"t":"right,next"}"#,
            r#"{"T":"right"}"#,
            r#"{"a":{"t":"right"}}"#,
            r#"{"t":"right","t":"right"}"#,
            r#"{"t":"right","\u0074":"wrong"}"#,
            r#"{"t":"right","a":{"b":1,"b":1}}"#,
        ] {
            assert_eq!(read(body).unwrap_err(), EventRejection::NotProven, "{body}");
        }
    }

    #[test]
    fn tells_what_is_no_json() {
        for body in ["", " ", "{", r#"{"t":"right""#, r#"{"t":"right"}x"#, "t=right", "\u{feff}"] {
            assert_eq!(read(body).unwrap_err(), EventRejection::NotJson, "{body}");
        }
    }

    #[test]
    fn knows_an_event_again_by_the_members_that_make_it_unique() {
        let id =
            |body: &str, members: &[&str], connection: &str| read_by(body, members, connection).unwrap().id;
        let first = id(r#"{"t":"right","id":"a","status":"approved","n":1}"#, &["id"], "guru");
        assert_eq!(first.len(), 36);
        assert_eq!(first, id(r#"{"n":2,"status":"refunded","id":"\u0061","t":"next"}"#, &["id"], "guru"));
        assert_ne!(first, id(r#"{"t":"right","id":"b","status":"approved","n":1}"#, &["id"], "guru"));
        assert_ne!(first, id(r#"{"t":"right","id":"a","status":"approved","n":1}"#, &["id"], "other"));
        let approved = id(r#"{"t":"right","id":"a","status":"approved"}"#, &["id", "status"], "guru");
        let refunded = id(r#"{"t":"right","id":"a","status":"refunded"}"#, &["id", "status"], "guru");
        assert_ne!(approved, refunded);
        let big = |id_text: &str| id(&format!(r#"{{"t":"right","id":{id_text}}}"#), &["id"], "guru");
        assert_ne!(big("123456789012345678901234567890"), big("123456789012345678901234567891"));
        assert_ne!(
            id(r#"{"t":"right","id":"1"}"#, &["id"], "guru"),
            id(r#"{"t":"right","id":1}"#, &["id"], "guru")
        );
    }

    #[test]
    fn knows_an_event_without_such_members_by_all_of_it() {
        for members in [&[][..], &["id"], &["id", "status"]] {
            let id = |body: &str| read_by(body, members, "guru").unwrap().id;
            for nameless in [r#""id":null,"#, r#""id":"","#, r#""id":{},"#, ""] {
                let first = id(&format!(r#"{{"t":"right",{nameless}"n":1}}"#));
                assert_eq!(first, id(&format!(r#"{{"t":"next",{nameless}"n":1}}"#)));
                assert_ne!(first, id(&format!(r#"{{"t":"right",{nameless}"n":2}}"#)));
            }
        }
    }

    #[test]
    fn takes_no_two_events_of_guru_for_one() {
        let cases: serde_json::Value =
            serde_json::from_str(include_str!("../../tests/data/guru-events.json")).unwrap();
        let mut ids = BTreeSet::new();
        let mut expected = 0;
        for case in cases.as_array().unwrap() {
            let events = case["events"].as_array().unwrap();
            expected += case["deliveries"].as_u64().unwrap_or(events.len() as u64);
            ids.extend(events.iter().map(|event| guru(&event.to_string())));
            let told = format!("{}: {} ids", case["case"], ids.len());
            assert_eq!(ids.len() as u64, expected, "{told}");
        }
        assert!(expected > 6);
    }

    #[test]
    fn takes_an_event_that_differs_anywhere_for_another() {
        let first = r#"{"api_token":"ACCOUNT-TOKEN","id":"a","n":[1,{"b":2,"c":"x"}],"t":null}"#;
        let mut ids: Vec<String> = [
            first,
            r#"{"api_token":"ACCOUNT-TOKEN","id":"a","n":[1,{"b":2,"c":"y"}],"t":null}"#,
            r#"{"api_token":"ACCOUNT-TOKEN","id":"a","n":[1,{"b":2,"c":"x","d":null}],"t":null}"#,
            r#"{"api_token":"ACCOUNT-TOKEN","id":"a","n":[1,{"c":2,"b":"x"}],"t":null}"#,
            r#"{"api_token":"ACCOUNT-TOKEN","id":"a","n":[{"b":2,"c":"x"},1],"t":null}"#,
            r#"{"api_token":"ACCOUNT-TOKEN","id":"a","n":[1,{"b":"2","c":"x"}],"t":null}"#,
            r#"{"api_token":"ACCOUNT-TOKEN","id":"a","n":[1,{"b":2,"c":"x"}]}"#,
            r#"{"api_token":"ACCOUNT-TOKEN","id":"a","n":[1,{"b":2,"c":"x\",\"d"}],"t":null}"#,
            r#"{"api_token":"ACCOUNT-TOKEN","id":"a","n":[1,{"b":2,"c":"x","d":""}],"t":null}"#,
            r#"{"api_token":"ACCOUNT-TOKEN","id":"a","n":[],"t":null}"#,
            r#"{"api_token":"ACCOUNT-TOKEN","id":"a","n":{},"t":null}"#,
            r#"{"api_token":"ACCOUNT-TOKEN","id":"A","n":[1,{"b":2,"c":"x"}],"t":null}"#,
        ]
        .map(guru)
        .to_vec();
        let count = ids.len();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), count);
    }

    #[test]
    fn tells_texts_apart_in_which_the_account_token_stands() {
        let event = |token: &str, more: &str| {
            guru(&format!(r#"{{"api_token":"{token}","id":"a","url":"https://a.example/?t={token}{more}"}}"#))
        };
        assert_ne!(event("ACCOUNT-TOKEN", "&n=1"), event("ACCOUNT-TOKEN", "&n=2"));
        assert_eq!(event("ACCOUNT-TOKEN", "&n=1"), event("NEXT-TOKEN-OF-ALL", "&n=1"));
        let nested = |token: &str, more: &str| {
            guru(&format!(r#"{{"api_token":"{token}","id":"a","raw":"{{\"t\":\"{token}\",\"n\":{more}}}"}}"#))
        };
        assert_ne!(nested("ACCOUNT-TOKEN", "1"), nested("ACCOUNT-TOKEN", "2"));
        assert_eq!(nested("ACCOUNT-TOKEN", "1"), nested("NEXT-TOKEN-OF-ALL", "1"));
        // As a name, too.
        let named = |token: &str| guru(&format!(r#"{{"api_token":"{token}","id":"a","{token}":1}}"#));
        assert_eq!(named("ACCOUNT-TOKEN"), named("NEXT-TOKEN-OF-ALL"));
    }

    #[test]
    fn knows_a_repeat_whichever_account_token_it_carries() {
        for (before, after) in
            [("{", "}"), (r#"{"id":"a",  "#, "\n}"), (r#"{ "z":1.0 ,"#, r#", "a":{ "b":[] } }"#)]
        {
            let event = |token: &str| guru(&format!(r#"{before}"api_token":"{token}"{after}"#));
            assert_eq!(event("ACCOUNT-TOKEN"), event("NEXT-TOKEN-OF-ALL"), "{before}");
        }
    }

    #[test]
    fn needs_no_member_where_a_header_field_proves_the_sender() {
        let tokens = AccountTokens::parse(&Secret::new("right-token".to_owned())).unwrap();
        let proof = Proof::Header(HeaderName::parse("x-token").unwrap());
        let event = Event::read(br#"[{"a": "right-token"}]"#, &proof, &tokens, &[], "c").unwrap();
        assert_eq!(event.body, r#"[{"a": "[account token]"}]"#);
    }
}
