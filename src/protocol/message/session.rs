//! Messages to a session.

use super::message;
use crate::protocol::consent::{ConnectPerson, ConsentRefusal, Person};
use crate::protocol::envelope::Envelope;
use crate::protocol::session::{Expulsion, SessionAsk, SessionReply, SignIn, SignInRefusal};
use crate::protocol::token::{TokenAsk, TokenReply};
use crate::secret::Fingerprint;
use crate::time::UnixTime;

/// Signs a person in; the reply is the latest end of the sign-in, or `None` where the session that
/// was to continue has ended.
#[derive(Debug)]
pub struct SignInPerson<'a> {
    /// The name of the session's object.
    pub session: &'a str,
    /// The sign-in.
    pub sign_in: SignIn,
}

message! {
    SignInPerson<'_>: SessionReply => Result<Option<UnixTime>, SignInRefusal>,
    |self| self.session.to_owned(),
    Envelope::Session { name: self.session.to_owned(), ask: SessionAsk::SignIn(self.sign_in) },
    {
        SessionReply::SignedIn { expires_at } => Ok(Some(expires_at)),
        SessionReply::Nobody => Ok(None),
        SessionReply::Refused(refusal) => Err(refusal),
    }
}

/// The reply of a session that lives.
#[derive(Debug)]
pub struct LivingSession {
    /// The reply to the token ask, if there was one.
    pub token: Option<TokenReply>,
    /// Who signed in, in order, where that was asked for.
    pub people: Vec<Person>,
}

/// Asks whether a session lives, and for a connection's access token if the call needs one.
#[derive(Debug)]
pub struct UseSession<'a> {
    /// The name of the session's object.
    pub session: &'a str,
    /// The digest of the cookie.
    pub proof: Fingerprint,
    /// The connection, and the ask for its access token.
    pub token: Option<(String, TokenAsk)>,
    /// Whether the reply has who signed in.
    pub with_people: bool,
}

message! {
    UseSession<'_>: SessionReply => Option<LivingSession>,
    |self| self.session.to_owned(),
    Envelope::Session {
            name: self.session.to_owned(),
            ask: SessionAsk::Use { proof: self.proof, token: self.token, with_people: self.with_people },
        },
    {
        SessionReply::Living { token, people } => Some(LivingSession { token, people }),
        SessionReply::Nobody => None,
    }
}

/// What a person is signed in to.
#[derive(Debug, Default)]
pub struct SignIns {
    /// The connections, each with the latest end of the sign-in.
    pub connections: Vec<(String, UnixTime)>,
    /// Who signed in by an ID token, in order.
    pub people: Vec<Person>,
}

/// Lists what the person is signed in to; the reply is `None` where the session has ended.
#[derive(Debug)]
pub struct ListSignIns<'a> {
    /// The name of the session's object.
    pub session: &'a str,
    /// The digest of the cookie.
    pub proof: Fingerprint,
}

message! {
    ListSignIns<'_>: SessionReply => Option<SignIns>,
    |self| self.session.to_owned(),
    Envelope::Session { name: self.session.to_owned(), ask: SessionAsk::List { proof: self.proof } },
    {
        SessionReply::Connections(connections) => Some(SignIns { connections, people: Vec::new() }),
        SessionReply::Listed { connections, people } => Some(SignIns { connections, people }),
        SessionReply::Nobody => None,
    }
}

/// Ends a session; the reply is true where it lived.
#[derive(Debug)]
pub struct EndSession<'a> {
    /// The name of the session's object.
    pub session: &'a str,
    /// The digest of the cookie.
    pub proof: Fingerprint,
}

message! {
    EndSession<'_>: SessionReply => bool,
    |self| self.session.to_owned(),
    Envelope::Session { name: self.session.to_owned(), ask: SessionAsk::SignOut { proof: self.proof } },
    {
        SessionReply::SignedOut => true,
        SessionReply::Nobody => false,
    }
}

/// Hands a person's consent to their session; the reply is the latest end of the sign-in, or `None`
/// where the session that was to continue has ended.
#[derive(Debug)]
pub struct ConnectSession<'a> {
    /// The name of the session's object.
    pub session: &'a str,
    /// The consent.
    pub ask: ConnectPerson,
}

message! {
    ConnectSession<'_>: SessionReply => Result<Option<UnixTime>, ConsentRefusal>,
    |self| self.session.to_owned(),
    Envelope::Session { name: self.session.to_owned(), ask: SessionAsk::Connect(self.ask) },
    {
        SessionReply::Connected { expires_at } => Ok(Some(expires_at)),
        SessionReply::Nobody => Ok(None),
        SessionReply::ConsentRefused(refusal) => Err(refusal),
    }
}

/// Ends the sign-in to one connection; the reply is true where there was one.
#[derive(Debug)]
pub struct DisconnectSession<'a> {
    /// The name of the session's object.
    pub session: &'a str,
    /// The digest of the cookie.
    pub proof: Fingerprint,
    /// The connection.
    pub connection: &'a str,
}

message! {
    DisconnectSession<'_>: SessionReply => bool,
    |self| self.session.to_owned(),
    Envelope::Session {
        name: self.session.to_owned(),
        ask: SessionAsk::Disconnect { proof: self.proof, connection: self.connection.to_owned() },
    },
    {
        SessionReply::SignedOut => true,
        SessionReply::Nobody => false,
    }
}

/// Ends a session, if it is that of the person; the reply is true where it was.
#[derive(Debug)]
pub struct ExpelSession<'a> {
    /// The name of the session's object.
    pub session: &'a str,
    /// The person.
    pub expulsion: Expulsion,
}

message! {
    ExpelSession<'_>: SessionReply => bool,
    |self| self.session.to_owned(),
    Envelope::Session { name: self.session.to_owned(), ask: SessionAsk::Expel(self.expulsion) },
    {
        SessionReply::SignedOut => true,
        SessionReply::Nobody => false,
    }
}
