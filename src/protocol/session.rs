//! Messages to a session, and their replies. They carry the digest of a cookie, never the cookie.

use super::consent::{ConnectPerson, ConsentRefusal, Person};
use super::{Cause, TokenAsk, TokenReply};
use crate::json::{record, variants};
use crate::secret::{Fingerprint, Secret};
use crate::time::UnixTime;
use crate::token::{Exposed, Nonce, SealError, SealingKeys, open, seal};

/// What a session is asked to do.
#[derive(Clone, Debug)]
pub enum SessionAsk {
    /// Sign the person in to a connection.
    SignIn(SignIn),
    /// Check that the session lives, and obtain a connection's access token if the call needs one.
    Use {
        /// The digest of the cookie.
        proof: Fingerprint,
        /// The connection, and the ask for its access token.
        token: Option<(String, TokenAsk)>,
        /// Whether the reply has who signed in.
        with_people: bool,
    },
    /// List the connections that the person is signed in to.
    List {
        /// The digest of the cookie.
        proof: Fingerprint,
    },
    /// End the session.
    SignOut {
        /// The digest of the cookie.
        proof: Fingerprint,
    },
    /// Take a consent of the person.
    Connect(ConnectPerson),
    /// End the sign-in to one connection.
    Disconnect {
        /// The digest of the cookie.
        proof: Fingerprint,
        /// The connection.
        connection: String,
    },
    /// End the session, if it is that of a person whom the provider or an operator signs out.
    Expel(Expulsion),
}

variants!(SessionAsk {
    SignIn(_),
    Use { proof, token, with_people = default },
    List { proof },
    SignOut { proof },
    Connect(_),
    Disconnect { proof, connection },
    Expel(_),
});

/// Whose sessions end: those of a subject, of a session at the provider, or of both.
#[derive(Clone, Debug)]
pub struct Expulsion {
    /// The connection that the person signed in by.
    pub connection: String,
    /// The subject: `sub`.
    pub subject: Option<String>,
    /// The provider's session: `sid`.
    pub sid: Option<String>,
}

record!(Expulsion { connection, subject, sid });

/// A person's sign-in to a connection.
#[derive(Clone, Debug)]
pub struct SignIn {
    /// The connection.
    pub connection: String,
    /// The identity of the connection's account: the session sends a password only to the provider
    /// that the person typed it for.
    pub identity: Fingerprint,
    /// The cookie's digest of a session that continues; `None` for a new session.
    pub proof: Option<Fingerprint>,
    /// The digest of the cookie that the sign-in sets.
    pub next_proof: Fingerprint,
    /// The sealed [`Credentials`].
    pub credentials: String,
}

record!(SignIn { connection, identity, proof, next_proof, credentials });

/// A session's answer.
#[derive(Debug, PartialEq, Eq)]
pub enum SessionReply {
    /// The person is signed in.
    SignedIn {
        /// When the sign-in ends at the latest.
        expires_at: UnixTime,
    },
    /// The person is not signed in.
    Refused(SignInRefusal),
    /// The session lives.
    Living {
        /// The reply to the token ask, if there was one.
        token: Option<TokenReply>,
        /// Who signed in, in order, where that was asked for.
        people: Vec<Person>,
    },
    /// The connections that the person is signed in to, each with the latest end of the sign-in.
    Connections(Vec<(String, UnixTime)>),
    /// The same, of a session in which somebody signed in by an ID token.
    Listed {
        /// The connections.
        connections: Vec<(String, UnixTime)>,
        /// Who signed in, in order.
        people: Vec<Person>,
    },
    /// The consent is taken.
    Connected {
        /// When the sign-in ends at the latest.
        expires_at: UnixTime,
    },
    /// The consent brought no token set.
    ConsentRefused(ConsentRefusal),
    /// The session does not exist, or it has ended.
    Nobody,
    /// The session has ended.
    SignedOut,
    /// The session's own storage failed.
    Unavailable,
}

variants!(SessionReply {
    SignedIn { expires_at },
    Refused(_),
    Living { token, people = default },
    Connections(_),
    Listed { connections, people },
    Connected { expires_at },
    ConsentRefused(_),
    Nobody,
    SignedOut,
    Unavailable,
});

/// Why a person was not signed in, in wire form.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SignInRefusal {
    /// The token endpoint refused the person's credentials.
    Rejected,
    /// The token endpoint refused the client's credentials.
    ClientRejected,
    /// The token endpoint gave no token for another cause.
    Failed(Cause),
    /// The connection is not configured for people.
    Misconfigured,
}

variants!(SignInRefusal { Rejected, ClientRejected, Failed(_), Misconfigured });

/// A person's credentials, for one token request.
#[derive(Debug)]
pub struct Credentials {
    /// The user name.
    pub username: Secret,
    /// The password.
    pub password: Secret,
}

struct CredentialsRecord {
    username: Exposed,
    password: Exposed,
}

record!(CredentialsRecord { username, password });

impl Credentials {
    /// Seals the credentials for the session called `session`.
    ///
    /// # Errors
    /// [`SealError`] where they cannot be sealed.
    pub fn seal(&self, session: &str, keys: &SealingKeys, nonce: &Nonce) -> Result<String, SealError> {
        let record = CredentialsRecord {
            username: Exposed(self.username.clone()),
            password: Exposed(self.password.clone()),
        };
        seal(&record, &record_name(session), keys, nonce)
    }

    /// Opens credentials that were sealed for the session called `session`.
    ///
    /// # Errors
    /// [`SealError`] where it does not open.
    pub fn open(sealed: &str, session: &str, keys: &SealingKeys) -> Result<Self, SealError> {
        let record: CredentialsRecord = open(sealed, &record_name(session), keys)?;
        Ok(Self { username: record.username.0, password: record.password.0 })
    }
}

fn record_name(session: &str) -> String {
    format!("sign-in/{session}")
}
