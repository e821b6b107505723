//! What an isolate asks a session, and what that answers. Cookies stand in it as
//! digests.

use serde::{Deserialize, Serialize};

use super::{Cause, TokenAsk, TokenReply};
use crate::secret::{Fingerprint, Secret};
use crate::time::UnixTime;
use crate::token::{Nonce, SealError, SealingKeys, open, seal};

/// What a session is asked.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum SessionAsk {
    /// To sign a person in.
    SignIn(SignIn),
    /// To let a call go on, and for a connection's access token where one is
    /// wanted.
    Use {
        /// The cookie's proof.
        proof: Fingerprint,
        /// The connection, and the ask to the keeper of its token set.
        token: Option<(String, TokenAsk)>,
    },
    /// Which connections the person is signed in to.
    List {
        /// The cookie's proof.
        proof: Fingerprint,
    },
    /// To end.
    SignOut {
        /// The cookie's proof.
        proof: Fingerprint,
    },
}

/// A person's sign-in to a connection.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SignIn {
    /// The connection.
    pub connection: String,
    /// What its token sets belong to: a password goes to the provider only that it
    /// was typed for.
    pub identity: Fingerprint,
    /// The proof of the session that goes on; none where it is to begin.
    pub proof: Option<Fingerprint>,
    /// The proof from then on.
    pub next_proof: Fingerprint,
    /// The sealed [`Credentials`].
    pub credentials: String,
}

/// What a session answers.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SessionReply {
    /// The person is signed in until then at the latest.
    SignedIn {
        /// When the sign-in ends at the latest.
        expires_at: UnixTime,
    },
    /// The person is not signed in.
    Refused(SignInRefusal),
    /// The session lives.
    Living {
        /// What the keeper answered, where it was asked.
        token: Option<TokenReply>,
    },
    /// The connections that the person is signed in to, and until when at the
    /// latest.
    Connections(Vec<(String, UnixTime)>),
    /// There is no such session, or none any more.
    Nobody,
    /// The session has ended.
    SignedOut,
    /// The session's own storage failed.
    Unavailable,
}

/// Why a person was not signed in, as it is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum SignInRefusal {
    /// As [`SignInFailure::Rejected`].
    Rejected,
    /// As [`SignInFailure::ClientRejected`].
    ClientRejected,
    /// As [`SignInFailure::Failed`].
    Failed(Cause),
    /// As [`SignInFailure::Misconfigured`].
    Misconfigured,
}

/// A person's own credentials, on their way to one token request.
#[derive(Debug)]
pub struct Credentials {
    /// The user name.
    pub username: Secret,
    /// The password.
    pub password: Secret,
}

#[derive(Serialize, Deserialize)]
struct Written<'a> {
    username: std::borrow::Cow<'a, str>,
    password: std::borrow::Cow<'a, str>,
}

impl Credentials {
    /// Seals the credentials for the session called `session`.
    ///
    /// # Errors
    /// [`SealError`] where they cannot be sealed.
    pub fn seal(&self, session: &str, keys: &SealingKeys, nonce: &Nonce) -> Result<String, SealError> {
        let written =
            Written { username: self.username.expose().into(), password: self.password.expose().into() };
        seal(&written, &record_name(session), keys, nonce)
    }

    /// Opens what was sealed for the session called `session`.
    ///
    /// # Errors
    /// [`SealError`] where it does not open.
    pub fn open(sealed: &str, session: &str, keys: &SealingKeys) -> Result<Self, SealError> {
        let written: Written<'_> = open(sealed, &record_name(session), keys)?;
        Ok(Self {
            username: Secret::new(written.username.into_owned()),
            password: Secret::new(written.password.into_owned()),
        })
    }
}

fn record_name(session: &str) -> String {
    format!("sign-in/{session}")
}
