//! A person's sign-in: one password grant with their own credentials.

use super::failure::Failure;
use super::renewal::Rejection;
use super::{Keeper, State};
use crate::oauth::{Refusal, TokenRequest};
use crate::objects::log::GrantLine;
use crate::ports::{Clock as _, KeeperPorts, StorageFailed};
use crate::protocol::{Cause, SessionReply, SignInRefusal};
use crate::secret::Secret;
use crate::time::UnixTime;

/// Why a person was not signed in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SignInFailure {
    /// The token endpoint refused the person's credentials.
    Rejected,
    /// It refused the client's.
    ClientRejected,
    /// It gave no token for another reason.
    Failed(Cause),
    /// The connection is not configured for people.
    Misconfigured,
    /// The keeper's own storage failed.
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

impl<P: KeeperPorts + 'static> Keeper<P> {
    /// Obtains a token set with a person's credentials, which are used for this
    /// one request and forgotten. `granted` runs before anything changes.
    /// What was held before is replaced.
    ///
    /// # Errors
    /// Why there is none; nothing changes then.
    pub async fn sign_in(
        &self,
        username: &Secret,
        password: &Secret,
        granted: impl Future<Output = Result<(), StorageFailed>>,
    ) -> Result<(), SignInFailure> {
        let configured = self.configured().await.map_err(|_| SignInFailure::Unavailable)?;
        let (connection, keys) = configured.ok_or(SignInFailure::Misconfigured)?;
        let connection = &*connection;
        let endpoint = connection.grant.endpoint().filter(|_| connection.grant.is_for_people());
        let endpoint = endpoint.ok_or(SignInFailure::Misconfigured)?;
        let request = TokenRequest::sign_in(endpoint, username, password);
        let sent_at = self.ports.now();
        let answered = self.exchange(&request, endpoint, connection.token_types()).await;
        let outcome = answered.as_ref().map_or_else(outcome_of, |_| "granted");
        let took = self.ports.now().since(sent_at);
        let grant = connection.grant.name();
        GrantLine { connection: &connection.id, grant, outcome, took, narrowed: false }.write(&self.ports);
        let response = answered.map_err(|rejection| failure_of(&rejection))?;
        granted.await.map_err(|_| SignInFailure::Unavailable)?;
        self.state.borrow_mut().get_or_insert_with(State::default);
        let stored = async {
            let set = self.token_set(&response, connection, false, sent_at)?;
            self.commit(connection, keys, |state| state.hold(set.clone(), false)).await
        };
        stored.await.map(drop).map_err(|_: Failure| SignInFailure::Unavailable)
    }

    /// When the sign-in ends if nothing happens: never of itself where there is
    /// a refresh token. Nothing where it has ended.
    ///
    /// # Errors
    /// [`StorageFailed`] where that cannot be known.
    pub async fn sign_in_ends_at(&self) -> Result<Option<UnixTime>, StorageFailed> {
        let Some((connection, keys)) = self.configured().await? else { return Ok(None) };
        self.load(&connection, keys).await?;
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

fn outcome_of(rejection: &Rejection) -> &'static str {
    match failure_of(rejection) {
        SignInFailure::Rejected => "login_rejected",
        SignInFailure::ClientRejected => Cause::CredentialsRejected.as_str(),
        SignInFailure::Failed(cause) => cause.as_str(),
        SignInFailure::Misconfigured | SignInFailure::Unavailable => "internal",
    }
}

fn failure_of(rejection: &Rejection) -> SignInFailure {
    match rejection {
        // Servers differ in how they word it that a name or a password is wrong.
        Rejection::Refused(Refusal::Grant | Refusal::Denied | Refusal::Request | Refusal::Address, _) => {
            SignInFailure::Rejected
        }
        Rejection::Refused(Refusal::Client | Refusal::Setup, _) => SignInFailure::ClientRejected,
        Rejection::Refused(refusal, _) => SignInFailure::Failed((*refusal).into()),
        Rejection::Unanswered(failure) => SignInFailure::Failed((*failure).into()),
    }
}
