//! A person's sign-in: one password grant with their own credentials.

use super::exchange::ExchangeFailure;
use super::{Account, Failure, LiveTokenSet, State};
use crate::client::{KeyUnusable, assertions};
use crate::config::{Connection, Grant};
use crate::oauth::{Refusal, TokenRefusal, TokenRequest, TokenResponse};
use crate::ports::{ObjectPorts, StorageFailed};
use crate::protocol::{Cause, Credentials, SessionReply, SignInRefusal};
use crate::secret::Secret;
use crate::time::UnixTime;
use crate::token::Nonce;

/// Why a person was not signed in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SignInFailure {
    /// The token endpoint refused the person's credentials.
    Rejected,
    /// The token endpoint refused the client's credentials.
    ClientRejected,
    /// The token endpoint gave no token for another cause.
    Failed(Cause),
    /// The connection is not configured for people.
    Misconfigured,
    /// The session's storage failed.
    Unavailable,
}

impl From<SignInFailure> for SessionReply {
    fn from(failure: SignInFailure) -> Self {
        match failure {
            SignInFailure::Rejected => Self::Refused(SignInRefusal::Rejected),
            SignInFailure::ClientRejected => Self::Refused(SignInRefusal::ClientRejected),
            SignInFailure::Failed(cause) => Self::Refused(SignInRefusal::Failed(cause)),
            SignInFailure::Misconfigured => Self::Refused(SignInRefusal::Misconfigured),
            SignInFailure::Unavailable => Self::Unavailable,
        }
    }
}

impl<P: ObjectPorts> LiveTokenSet<P> {
    /// Obtains a token set with a person's credentials, which are dropped after this one request.
    /// It is held in memory alone: see [`LiveTokenSet::sealed`].
    ///
    /// # Errors
    /// Why the person was not signed in.
    pub async fn sign_in(&self, account: &Account, credentials: Credentials) -> Result<(), SignInFailure> {
        let connection = &*account.connection;
        let Grant::SignIn { endpoint } = &connection.grant else { return Err(SignInFailure::Misconfigured) };
        let sent_at = self.ports.now();
        let answered = match assertions(&*self.ports, &endpoint.client, None).await {
            Ok(assertions) => {
                let Credentials { username, password, .. } = &credentials;
                let request = TokenRequest::sign_in(endpoint, username, password, &assertions);
                drop(credentials);
                self.exchange(&request, endpoint, connection).await
            }
            Err(KeyUnusable) => Err(ExchangeFailure::KeyUnusable),
        };
        self.log_exchange(connection, &answered, outcome_of, sent_at);
        let response = answered.map_err(|rejection| failure_of(&rejection))?;
        self.hold_new(connection, &response, sent_at, None).map_err(|_| SignInFailure::Unavailable)
    }

    /// Holds what a token request of `sent_at` brought, in memory alone, in place of all that was
    /// held; `kept` is the refresh token where the response has none.
    pub(super) fn hold_new(
        &self,
        connection: &Connection,
        response: &TokenResponse,
        sent_at: UnixTime,
        kept: Option<Secret>,
    ) -> Result<(), Failure> {
        self.state.replace(Some(State::default()));
        let mut set = self.token_set(response, connection, false, (sent_at, None))?;
        set.refresh_token = set.refresh_token.or(kept);
        self.change(|state| state.hold(set, false)).map(drop)
    }

    /// The key and the sealed text of a new token set, for the session to store with its own record.
    ///
    /// # Errors
    /// [`StorageFailed`] where it cannot be sealed.
    pub fn sealed(&self, account: &Account) -> Result<(&str, String), StorageFailed> {
        let (identity, nonce) = (&account.connection.identity, Nonce(self.ports.bytes()));
        let sealed = self
            .change(|state| state.seal(identity, &self.record_name(), &account.keys, &nonce))
            .ok()
            .and_then(Result::ok)
            .ok_or(StorageFailed)?;
        self.sealed_with.replace(Some(account.keys.sealing_id().to_owned()));
        Ok((&self.key, sealed))
    }

    /// When the sign-in to `account` ends by expiry: never while a refresh token is held. `None`
    /// where it has ended.
    ///
    /// # Errors
    /// [`StorageFailed`] where the state cannot be read.
    pub async fn sign_in_ends_at(&self, account: &Account) -> Result<Option<UnixTime>, StorageFailed> {
        self.load(account).await.map_err(|_| StorageFailed)?;
        let now = self.ports.now();
        let ends_at = self.change(|state| {
            if state.has_refresh_token() {
                return Some(UnixTime::from_millis(u64::MAX));
            }
            let held = state.current(now).filter(|_| !state.is_dead());
            held.map(|access| access.lifetime.expires_at)
        });
        ends_at.map_err(|_| StorageFailed)
    }
}

fn outcome_of(rejection: &ExchangeFailure) -> &'static str {
    match failure_of(rejection) {
        SignInFailure::Rejected => "login_rejected",
        SignInFailure::ClientRejected => Cause::CredentialsRejected.as_str(),
        SignInFailure::Failed(cause) => cause.as_str(),
        SignInFailure::Misconfigured | SignInFailure::Unavailable => "internal",
    }
}

fn failure_of(rejection: &ExchangeFailure) -> SignInFailure {
    let refusal = match rejection {
        ExchangeFailure::Refused(TokenRefusal { refusal, .. }, _) => *refusal,
        ExchangeFailure::Unanswered(failure) => return SignInFailure::Failed((*failure).into()),
        ExchangeFailure::KeyUnusable => return SignInFailure::Failed(Cause::KeyUnusable),
    };
    match refusal {
        // Servers report a wrong user name or password by various errors.
        Refusal::Grant | Refusal::Denied | Refusal::Request | Refusal::Address => SignInFailure::Rejected,
        Refusal::Client | Refusal::Setup => SignInFailure::ClientRejected,
        Refusal::Busy | Refusal::Failed | Refusal::Invalid => SignInFailure::Failed(refusal.into()),
    }
}
