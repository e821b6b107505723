//! Reading an event.

use serde_json::Value;

use super::text;
use super::{AccountTokens, Proof};
use crate::json::{self, NotJson};
use crate::secret::{Fingerprint, Secret};

/// An event whose sender is proven, without the proof.
#[derive(Debug)]
pub struct Event {
    /// Its webhook id: the same whenever it comes, and another one than any other
    /// event's.
    pub id: String,
    /// The text as it came, but for the account token.
    pub body: String,
}

/// Why an event is not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rejection {
    /// It is not JSON.
    NotJson,
    /// It does not prove its sender.
    NotProven,
}

impl Event {
    /// Reads the event that came to `connection` as `body`. Where its sender is
    /// proven by a member, that is looked at before anything else of it. An
    /// event that has two members of one name proves nothing: readers differ in
    /// which of the two they take.
    ///
    /// # Errors
    /// Why it is not taken.
    pub fn read(
        body: &[u8],
        proof: &Proof,
        tokens: &AccountTokens,
        id_members: &[String],
        connection: &str,
    ) -> Result<Self, Rejection> {
        let mut value = json::parse(body).map_err(|error| match error {
            NotJson::Syntax => Rejection::NotJson,
            NotJson::DoubledMember => Rejection::NotProven,
        })?;
        let member = match proof {
            Proof::Member(name) => {
                let Some(Value::String(presented)) = value.get_mut(name).map(Value::take) else {
                    return Err(Rejection::NotProven);
                };
                if !tokens.accept(&Secret::new(presented)) {
                    return Err(Rejection::NotProven);
                }
                Some(name.as_str())
            }
            Proof::Header(_) => None,
        };
        // What `parse` takes is UTF-8.
        let text = std::str::from_utf8(body).map_err(|_| Rejection::NotJson)?;
        let body = text::without(text, member, tokens);
        let id = webhook_id(connection, &value, id_members, &body);
        Ok(Self { id, body })
    }
}

/// The webhook id of an event: a digest of the members that make it unique
/// where the first of them is there, else of the whole. The connection goes
/// into it, because one receiver may get the events of several.
fn webhook_id(connection: &str, value: &Value, id_members: &[String], body: &str) -> String {
    let names_it = |member: &String| match value.get(member) {
        Some(Value::String(text)) => !text.is_empty(),
        Some(Value::Number(_)) => true,
        _ => false,
    };
    let mut parts = vec![connection];
    let members: Vec<String>;
    if id_members.first().is_some_and(names_it) {
        members =
            id_members.iter().map(|name| value.get(name).map(Value::to_string).unwrap_or_default()).collect();
        parts.push("members");
        parts.extend(members.iter().map(String::as_str));
    } else {
        parts.extend(["whole", body]);
    }
    let mut id = Fingerprint::of(&parts).to_hex();
    id.truncate(32);
    format!("msg_{id}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::HeaderName;

    fn read(body: &str) -> Result<Event, Rejection> {
        read_by(body, &["id"], "guru")
    }

    fn read_by(body: &str, id_members: &[&str], connection: &str) -> Result<Event, Rejection> {
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
            assert_eq!(read(body).unwrap_err(), Rejection::NotProven, "{body}");
        }
    }

    #[test]
    fn tells_what_is_no_json() {
        for body in ["", " ", "{", r#"{"t":"right""#, r#"{"t":"right"}x"#, "t=right", "\u{feff}{}"] {
            assert_eq!(read(body).unwrap_err(), Rejection::NotJson, "{body}");
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
    fn needs_no_member_where_a_header_field_proves_the_sender() {
        let tokens = AccountTokens::parse(&Secret::new("right".to_owned())).unwrap();
        let proof = Proof::Header(HeaderName::parse("x-token").unwrap());
        let event = Event::read(br#"[{"a": "right"}]"#, &proof, &tokens, &[], "c").unwrap();
        assert_eq!(event.body, r#"[{"a": "[account token]"}]"#);
    }
}
