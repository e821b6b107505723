//! A consent: one exchange of an authorization code (RFC 6749 §4.1.3), and the validation of its ID
//! token.

use std::rc::Rc;
use std::time::Duration;

use super::exchange::ExchangeFailure;
use super::{Account, Failure, LiveTokenSet, State};
use crate::client::{KeyUnusable, assertions};
use crate::config::{Authorization, Grant, TokenEndpoint};
use crate::discovery::{self, Metadata};
use crate::jose::{Identity, IdentityExpectation};
use crate::oauth::{TokenRefusal, TokenRequest, TokenResponse};
use crate::objects::log;
use crate::objects::revocation::Revocable;
use crate::ports::{ObjectPorts, StorageFailed};
use crate::protocol::{Cause, Consent, ConsentRefusal};
use crate::secret::Secret;
use crate::time::UnixTime;

/// What a consent brought. It is not stored yet.
#[allow(missing_debug_implementations, reason = "it holds tokens")]
pub struct Consented {
    response: TokenResponse,
    /// When the code was sent.
    pub sent_at: UnixTime,
    /// Who consented, if an ID token says so.
    pub identity: Option<Identity>,
}

impl<P: ObjectPorts> LiveTokenSet<P> {
    /// Exchanges the code of a consent, once, whatever comes of it.
    ///
    /// # Errors
    /// [`ConsentRefusal`]: nothing is to be stored.
    pub async fn exchange_code(
        &self,
        account: &Account,
        consent: Consent,
    ) -> Result<Consented, ConsentRefusal> {
        let connection = &*account.connection;
        let Grant::AuthorizationCode { endpoint, authorization } = &connection.grant else {
            return Err(ConsentRefusal::Misconfigured);
        };
        let metadata = self.metadata(account, authorization).await;
        let url = token_url(endpoint, authorization, metadata.as_ref());
        let url = url.ok_or(ConsentRefusal::Failed(Cause::Unreachable))?;
        let sent_at = self.ports.now();
        let answered = match assertions(&*self.ports, &endpoint.client, None).await {
            Ok(own) => {
                let request = TokenRequest::code(
                    endpoint,
                    &url,
                    &consent.code,
                    &consent.redirect_uri,
                    &consent.verifier,
                    &own,
                );
                self.exchange(&request, endpoint, connection).await
            }
            Err(KeyUnusable) => Err(ExchangeFailure::KeyUnusable),
        };
        self.log_exchange(connection, &answered, |failure| cause_of(failure).as_str(), sent_at);
        let response = answered.map_err(|failure| ConsentRefusal::Failed(cause_of(&failure)))?;
        let identity = match &consent.nonce {
            Some(nonce) => {
                let read = self.identity(account, &response, nonce, metadata.as_ref()).await;
                Some(read.ok_or(ConsentRefusal::IdToken)?)
            }
            None => None,
        };
        Ok(Consented { response, sent_at, identity })
    }

    /// Holds what a consent brought, in memory alone; `kept` is the refresh token where none came.
    ///
    /// # Errors
    /// [`Failure`] where it cannot be held.
    pub fn hold_consent(
        &self,
        account: &Account,
        consented: &Consented,
        kept: Option<Secret>,
    ) -> Result<(), Failure> {
        self.hold_new(&account.connection, &consented.response, consented.sent_at, kept)
    }

    /// Stores what a consent brought in place of the held token set, and ends all waits; returns its
    /// generation. A renewal in flight ends first.
    ///
    /// # Errors
    /// [`Failure`]: the held token set goes on.
    pub async fn accept(self: &Rc<Self>, account: &Account, consented: &Consented) -> Result<u64, Failure> {
        let _guard = self.renewing.lock().await;
        self.load(account).await?;
        let connection = &*account.connection;
        let set = self.token_set(&consented.response, connection, false, (consented.sent_at, None))?;
        let credentials = connection.grant.credentials();
        let hold = |state: &mut State| {
            state.end_waits();
            state.note_credentials(credentials);
            state.hold(set.clone(), false)
        };
        let access = self.commit(account, hold).await?;
        self.publish(&access, account);
        self.schedule_renewal(&access);
        Ok(access.generation)
    }

    /// The held refresh token.
    ///
    /// # Errors
    /// [`StorageFailed`] where the state cannot be read.
    pub async fn refresh_token(&self, account: &Account) -> Result<Option<Secret>, StorageFailed> {
        self.load(account).await.map_err(|_| StorageFailed)?;
        self.change(|state| state.carried_over().0).map_err(|_| StorageFailed)
    }

    /// What the provider can revoke: the refresh token with all that came of it, or the access token
    /// (RFC 7009 §2.1).
    pub async fn revocable(&self, account: &Account) -> Vec<Revocable> {
        let connection = &account.connection;
        if !matches!(connection.grant, Grant::AuthorizationCode { .. }) || self.load(account).await.is_err() {
            return Vec::new();
        }
        let now = self.ports.now();
        let held = self.change(|state| {
            let (refresh_token, _) = state.carried_over();
            let access = || state.current(now).map(|access| (access.token.clone(), false));
            refresh_token.map(|token| (token, true)).or_else(access)
        });
        let of = |(token, is_refresh_token)| Revocable {
            connection: Rc::clone(connection),
            keys: Rc::clone(&account.keys),
            token,
            is_refresh_token,
        };
        held.ok().flatten().map(of).into_iter().collect()
    }

    /// The address of the token endpoint; `None` where the issuer's metadata must have it, and
    /// cannot be had.
    pub(super) async fn token_url(&self, account: &Account) -> Option<String> {
        let Grant::AuthorizationCode { endpoint, authorization } = &account.connection.grant else {
            return account.connection.grant.endpoint().map(|endpoint| endpoint.url.as_str().to_owned());
        };
        let metadata = if authorization.discovers_token_url {
            self.metadata(account, authorization).await
        } else {
            None
        };
        token_url(endpoint, authorization, metadata.as_ref())
    }

    async fn metadata(&self, account: &Account, authorization: &Authorization) -> Option<Metadata> {
        let issuer = authorization.issuer.as_ref()?;
        discovery::metadata(&*self.ports, &account.keys, issuer).await
    }

    /// Who the ID token names; `None` where it is missing or invalid.
    async fn identity(
        &self,
        account: &Account,
        response: &TokenResponse,
        nonce: &str,
        metadata: Option<&Metadata>,
    ) -> Option<Identity> {
        let Grant::AuthorizationCode { endpoint, authorization } = &account.connection.grant else {
            return None;
        };
        let metadata = metadata?;
        let max_age = authorization.params.iter().find(|(name, _)| name == "max_age");
        let expectation = IdentityExpectation {
            issuer: authorization.issuer.as_deref()?,
            client_id: endpoint.client.id()?,
            nonce,
            max_age: max_age.and_then(|(_, seconds)| seconds.parse().ok()).map(Duration::from_secs),
            access_token: Some(response.access_token.expose()),
        };
        let read = discovery::identity(
            &*self.ports,
            &account.keys,
            metadata.jwks_uri.as_deref()?,
            &metadata.id_token_algorithms,
            response.id_token.as_ref()?,
            &expectation,
        );
        let read = read.await;
        if let Err(invalid) = &read {
            log::write_invalid_id_token(&*self.ports, &self.connection, invalid.as_str());
        }
        read.ok()
    }
}

/// The address of the token endpoint.
fn token_url(
    endpoint: &TokenEndpoint,
    authorization: &Authorization,
    metadata: Option<&Metadata>,
) -> Option<String> {
    if authorization.discovers_token_url {
        return metadata.and_then(|metadata| metadata.token_endpoint.clone());
    }
    Some(endpoint.url.as_str().to_owned())
}

fn cause_of(failure: &ExchangeFailure) -> Cause {
    match failure {
        ExchangeFailure::Refused(TokenRefusal { refusal, .. }, _) => Cause::from(*refusal),
        ExchangeFailure::Unanswered(failure) => (*failure).into(),
        ExchangeFailure::KeyUnusable => Cause::KeyUnusable,
    }
}
