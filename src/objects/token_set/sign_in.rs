//! A person's sign-in: one password grant with their own credentials.

use super::exchange::ExchangeFailure;
use super::signing::KeyUnusable;
use super::{Account, Failure, LiveTokenSet, State};
use crate::oauth::{Refusal, TokenRefusal, TokenRequest};
use crate::objects::log::GrantLine;
use crate::ports::{ObjectPorts, StorageFailed};
use crate::protocol::{Cause, Credentials, SessionReply, SignInRefusal};
use crate::time::UnixTime;

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
    /// `granted` runs after the grant and before any change. The new token set replaces the held
    /// one.
    ///
    /// # Errors
    /// Why the person was not signed in; the held token set is unchanged then.
    pub async fn sign_in(
        &self,
        account: &Account,
        credentials: Credentials,
        granted: impl Future<Output = Result<(), StorageFailed>>,
    ) -> Result<(), SignInFailure> {
        let connection = &*account.connection;
        let endpoint = connection.grant.endpoint().filter(|_| connection.grant.is_for_people());
        let endpoint = endpoint.ok_or(SignInFailure::Misconfigured)?;
        let sent_at = self.ports.now();
        let answered = match self.assertions(&endpoint.client, None).await {
            Ok(assertions) => {
                let Credentials { username, password, .. } = &credentials;
                let request = TokenRequest::sign_in(endpoint, username, password, &assertions);
                drop(credentials);
                self.exchange(&request, endpoint, connection).await
            }
            Err(KeyUnusable) => Err(ExchangeFailure::KeyUnusable),
        };
        let outcome = answered.as_ref().map_or_else(outcome_of, |_| "granted");
        let refused = answered.as_ref().err().and_then(ExchangeFailure::answer);
        let took = self.ports.now().since(sent_at);
        let (id, grant) = (&connection.id, connection.grant.name());
        let reason = answered.as_ref().err().and_then(ExchangeFailure::reason);
        GrantLine { connection: id, grant, outcome, refused, reason, took, narrowed: false }
            .write(&*self.ports);
        let response = answered.map_err(|rejection| failure_of(&rejection))?;
        granted.await.map_err(|_| SignInFailure::Unavailable)?;
        self.state.borrow_mut().get_or_insert_with(State::default);
        let stored = async {
            let set = self.token_set(&response, connection, false, (sent_at, None))?;
            self.commit(account, |state| state.hold(set.clone(), false)).await
        };
        stored.await.map(drop).map_err(|_: Failure| SignInFailure::Unavailable)
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
