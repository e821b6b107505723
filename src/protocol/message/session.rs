//! Messages to a session.

use super::message;
use crate::protocol::envelope::Envelope;
use crate::protocol::session::{SessionAsk, SessionReply, SignIn, SignInRefusal};
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
}

message! {
    UseSession<'_>: SessionReply => Option<LivingSession>,
    |self| self.session.to_owned(),
    Envelope::Session {
            name: self.session.to_owned(),
            ask: SessionAsk::Use { proof: self.proof, token: self.token },
        },
    {
        SessionReply::Living { token } => Some(LivingSession { token }),
        SessionReply::Nobody => None,
    }
}

/// Lists the connections that the person is signed in to, each with the latest end of the sign-in;
/// the reply is `None` where the session has ended.
#[derive(Debug)]
pub struct ListSignIns<'a> {
    /// The name of the session's object.
    pub session: &'a str,
    /// The digest of the cookie.
    pub proof: Fingerprint,
}

message! {
    ListSignIns<'_>: SessionReply => Option<Vec<(String, UnixTime)>>,
    |self| self.session.to_owned(),
    Envelope::Session { name: self.session.to_owned(), ask: SessionAsk::List { proof: self.proof } },
    {
        SessionReply::Connections(connections) => Some(connections),
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
