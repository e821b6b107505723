//! Messages to the index of one person's sessions, and their replies.

use crate::json::{record, variants};
use crate::time::UnixTime;
use crate::token::SealingKeys;

/// What the index of one person's sessions is asked to do.
#[derive(Clone, Debug)]
pub enum PeopleAsk {
    /// List the session, until `ends_at` at the latest.
    Add {
        /// The name of the session's object.
        session: String,
        /// When the session ends at the latest.
        ends_at: UnixTime,
        /// When the consent's code was sent.
        since: UnixTime,
    },
    /// Remove the session.
    Remove {
        /// The name of the session's object.
        session: String,
    },
    /// List the sessions, which are to end. Consents in flight are refused from then on.
    List,
}

variants!(PeopleAsk { Add { session, ends_at, since }, Remove { session }, List });

/// The answer of the index.
#[derive(Debug, PartialEq, Eq)]
pub enum PeopleReply {
    /// It is done.
    Done,
    /// Nothing is listed: the person's sessions were ended after the code was sent.
    Ended,
    /// The names of the sessions' objects.
    Sessions(Vec<String>),
    /// The object's storage failed.
    Unavailable,
}

variants!(PeopleReply { Done, Ended, Sessions(_), Unavailable });

/// The stored form of the index.
#[derive(Clone, Debug, Default)]
pub struct PeopleRecord {
    /// The name of each session's object, and when it ends at the latest.
    pub sessions: Vec<(String, UnixTime)>,
    /// When they were last to end.
    pub ended_at: Option<UnixTime>,
}

record!(PeopleRecord { sessions, ended_at = default });

/// The names of the index of a person's sessions, by the connection that they signed in by and their
/// `sub`: the first is of now, the others were before the sealing key was rotated.
#[must_use]
pub fn person_indices(keys: &SealingKeys, connection: &str, subject: &str) -> Vec<String> {
    indices(keys, ["person", connection, subject])
}

/// The same for one session at the provider, by its `sid`.
#[must_use]
pub fn sid_indices(keys: &SealingKeys, connection: &str, sid: &str) -> Vec<String> {
    indices(keys, ["sid", connection, sid])
}

fn indices(keys: &SealingKeys, parts: [&str; 3]) -> Vec<String> {
    keys.blind_names(&parts).into_iter().map(|name| format!("people/{name}")).collect()
}
