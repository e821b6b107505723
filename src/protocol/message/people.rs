//! Messages to the index of one person's sessions.

use super::message;
use crate::protocol::envelope::Envelope;
use crate::protocol::people::{PeopleAsk, PeopleReply};
use crate::time::UnixTime;

/// Lists a session in the index called `name`; the reply is false where a consent whose code was sent at
/// `since` counts for nothing any more.
#[derive(Debug)]
pub struct AddSession<'a> {
    /// The name of the index's object.
    pub name: &'a str,
    /// The name of the session's object.
    pub session: &'a str,
    /// When the session ends at the latest.
    pub ends_at: UnixTime,
    /// When the consent's code was sent.
    pub since: UnixTime,
}

message! {
    AddSession<'_>: PeopleReply => bool,
    |self| self.name.to_owned(),
    Envelope::People {
        name: self.name.to_owned(),
        ask: PeopleAsk::Add { session: self.session.to_owned(), ends_at: self.ends_at, since: self.since },
    },
    { PeopleReply::Done => true, PeopleReply::Ended => false }
}

/// Removes a session from the index called `name`.
#[derive(Debug)]
pub struct RemoveSession<'a> {
    /// The name of the index's object.
    pub name: &'a str,
    /// The name of the session's object.
    pub session: &'a str,
}

message! {
    RemoveSession<'_>: PeopleReply => (),
    |self| self.name.to_owned(),
    Envelope::People {
        name: self.name.to_owned(),
        ask: PeopleAsk::Remove { session: self.session.to_owned() },
    },
    { PeopleReply::Done => () }
}

/// Lists the sessions in the index called `name`, which are to end: consents in flight are refused from
/// then on.
#[derive(Debug)]
pub struct ListSessions<'a> {
    /// The name of the index's object.
    pub name: &'a str,
}

message! {
    ListSessions<'_>: PeopleReply => Vec<String>,
    |self| self.name.to_owned(),
    Envelope::People { name: self.name.to_owned(), ask: PeopleAsk::List },
    { PeopleReply::Sessions(sessions) => sessions }
}
