//! Messages about a consent, and their replies: what comes of an authorization request (RFC 6749
//! §4.1), for a person or for all callers.

use crate::json::{record, variants};
use crate::protocol::Cause;
use crate::secret::{Fingerprint, Secret};
use crate::time::UnixTime;
use crate::token::{Exposed, Nonce, SealError, SealingKeys, open, seal};

/// What a token set is obtained with, once.
#[derive(Debug)]
pub struct Consent {
    /// The authorization code.
    pub code: Secret,
    /// The code verifier (RFC 7636 §4.1).
    pub verifier: Secret,
    /// The redirect address of the authorization request.
    pub redirect_uri: String,
    /// The nonce of the authorization request, if an ID token must come.
    pub nonce: Option<String>,
}

struct ConsentRecord {
    code: Exposed,
    verifier: Exposed,
    redirect_uri: String,
    nonce: Option<String>,
}

record!(ConsentRecord { code, verifier, redirect_uri, nonce });

impl Consent {
    /// Seals the consent for the object called `object`.
    ///
    /// # Errors
    /// [`SealError`] where it cannot be sealed.
    pub fn seal(&self, object: &str, keys: &SealingKeys, nonce: &Nonce) -> Result<String, SealError> {
        let record = ConsentRecord {
            code: Exposed(self.code.clone()),
            verifier: Exposed(self.verifier.clone()),
            redirect_uri: self.redirect_uri.clone(),
            nonce: self.nonce.clone(),
        };
        seal(&record, &record_name(object), keys, nonce)
    }

    /// Opens a consent that was sealed for the object called `object`.
    ///
    /// # Errors
    /// [`SealError`] where it does not open.
    pub fn open(sealed: &str, object: &str, keys: &SealingKeys) -> Result<Self, SealError> {
        let record: ConsentRecord = open(sealed, &record_name(object), keys)?;
        let ConsentRecord { code, verifier, redirect_uri, nonce } = record;
        Ok(Self { code: code.0, verifier: verifier.0, redirect_uri, nonce })
    }
}

fn record_name(object: &str) -> String {
    format!("consent/{object}")
}

/// A person's consent, for their session.
#[derive(Clone, Debug)]
pub struct ConnectPerson {
    /// The connection.
    pub connection: String,
    /// The identity of the connection's account.
    pub identity: Fingerprint,
    /// The cookie's digest of the session that goes on; `None` for a new session.
    pub proof: Option<Fingerprint>,
    /// The digest of the cookie that the consent sets.
    pub next_proof: Fingerprint,
    /// The sealed [`Consent`].
    pub consent: String,
}

record!(ConnectPerson { connection, identity, proof, next_proof, consent });

/// A consent for all callers of a connection, for its keeper.
#[derive(Clone, Debug)]
pub struct ConnectService {
    /// The identity of the connection's account.
    pub identity: Fingerprint,
    /// The sealed [`Consent`].
    pub consent: String,
}

record!(ConnectService { identity, consent });

/// A keeper's answer to a consent.
#[derive(Debug, PartialEq, Eq)]
pub enum ConsentReply {
    /// The connection has a token set, of this generation.
    Connected {
        /// The generation.
        generation: u64,
    },
    /// There is no new token set; one from before goes on.
    Refused(ConsentRefusal),
    /// The keeper's storage failed.
    Unavailable,
}

variants!(ConsentReply { Connected { generation }, Refused(_), Unavailable });

/// Why a consent brought no token set, in wire form.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ConsentRefusal {
    /// The token endpoint gave no token.
    Failed(Cause),
    /// The ID token is missing or invalid, or names somebody else than it must.
    IdToken,
    /// The connection is not configured for this, or has another account now.
    Misconfigured,
    /// The person's session, or all of their sessions, ended while the code was exchanged.
    SessionEnded,
}

variants!(ConsentRefusal { Failed(_), IdToken, Misconfigured, SessionEnded });

/// Who signed in, as an ID token says (`OpenID` Connect Core 1.0 §2).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Person {
    /// The connection that they signed in by.
    pub connection: String,
    /// The issuer: `iss`.
    pub issuer: String,
    /// The subject: `sub`.
    pub subject: String,
    /// The provider's session: `sid`.
    pub sid: Option<String>,
    /// When they signed in here.
    pub since: UnixTime,
    /// All claims of the ID token, as JSON text.
    pub claims: String,
}

impl Person {
    /// Whether both name the same person.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.issuer == other.issuer && self.subject == other.subject
    }
}

record!(Person { connection, issuer, subject, sid, since, claims });
