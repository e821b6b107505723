//! Access tokens, as an isolate obtains them: from memory, else the cache, else the keeper. A
//! person's token comes from their session on every call; that of a caller whose own token is
//! exchanged, from memory, else from an object of their own.
//!
//! Memory and cache hold copies of what the keeper wrote; each copy has its expiry, so an isolate
//! recognises a stale one. When the upstream refuses a copy, the isolate reports its generation to
//! the keeper, which alone knows whether there is a newer token.

use std::rc::Rc;

use super::memory::{AccessTokens, Source, TokenCopy};
use crate::config::{Connection, Grant};
use crate::edge::Code;
use crate::edge::answer::Refused;
use crate::edge::caller::subject::Subject;
use crate::edge::context::Edge;
use crate::ports::{EdgePorts, ObjectUnreachable, report};
use crate::protocol::{ObtainToken, SERVICE, TokenAsk, TokenReply, access_token_record};
use crate::secret::Fingerprint;
use crate::time::UnixTime;
use crate::token::{AccessToken, AccessTokenRecord, Freshness, Nonce};

/// The longest token of a caller that an isolate holds, in bytes: 2,000 of them fit into its memory.
const MAX_CALLERS_TOKEN_BYTES: usize = 8 * 1024;

/// `Retry-After` where nobody has consented yet: whoever has to may take longer.
const CONSENT_SECONDS: u64 = 60;

/// The access tokens of one subject for one connection.
pub(in crate::edge) struct Tokens<P> {
    edge: Edge<P>,
    connection: Rc<Connection>,
    subject: Subject,
}

/// A copy of an access token, and its source.
pub(in crate::edge) type Obtained = (Rc<TokenCopy>, Source);

/// A call whose token the upstream refused.
#[derive(Clone, Copy)]
pub(in crate::edge) struct RefusedCall {
    /// The digest of the call's method and address.
    pub call: Fingerprint,
    /// Whether this is the call's first refusal. Only then is it reported that the token worked
    /// before: an address that the account may not use answers 401 to every token, and must not
    /// cause a grant on each replay.
    pub is_first: bool,
}

impl<P> Clone for Tokens<P> {
    fn clone(&self) -> Self {
        Self {
            edge: self.edge.clone(),
            connection: Rc::clone(&self.connection),
            subject: self.subject.clone(),
        }
    }
}

impl<P: EdgePorts> Tokens<P> {
    /// The access tokens of `subject` for `connection`.
    pub fn of(edge: &Edge<P>, connection: &Rc<Connection>, subject: Subject) -> Self {
        Self { edge: edge.clone(), connection: Rc::clone(connection), subject }
    }

    /// An access token for a new call.
    ///
    /// # Errors
    /// [`Refused`]: why no token can be obtained.
    pub async fn current(&self) -> Result<Obtained, Refused> {
        if self.is_for_person() {
            return self.ask_for_valid(self.about()).await;
        }
        let now = self.edge.now();
        let (copy, source) = match self.held(now) {
            Some(copy) => (copy, Source::Memory),
            None => match self.cached().await {
                Some(copy) => (copy, Source::Cache),
                None => return self.ask_for_valid(self.about()).await,
            },
        };
        let (held, key) = self.memory();
        if self.can_renew(&copy.access) && held.claim_renewal(key, &copy.access, now) {
            // Renew the ageing token in the background, so that no call waits for it.
            self.ask_in_background(self.about().waiting_for_renewal());
        }
        Ok((copy, source))
    }

    /// An access token after the upstream refused `refused`: another one, or the same if no other
    /// can be obtained and it is known to have worked. The isolate drops the refused token only if
    /// there is a newer one: the refusal may be about the call.
    ///
    /// # Errors
    /// [`Refused`]: why no token can be obtained.
    pub async fn after_refusal(
        &self,
        refused: &TokenCopy,
        RefusedCall { call, is_first }: RefusedCall,
    ) -> Result<Obtained, Refused> {
        let generation = refused.access.generation;
        let worked = refused.note_refused() && is_first;
        let about = self.about().refusing(generation, worked).calling(call);
        if self.is_for_person() {
            return map_unreachable_keeper(self.ask_for_valid(about).await, refused);
        }
        let now = self.edge.now();
        if let Some(copy) = self.held(now).filter(|copy| copy.access.generation > generation) {
            self.forget(generation, now);
            return Ok((copy, Source::Memory));
        }
        let answered = self.ask_for_valid(about).await;
        if answered.as_ref().is_ok_and(|(copy, _)| copy.access.generation > generation) {
            self.forget(generation, now);
        }
        map_unreachable_keeper(answered, refused)
    }

    /// The tokens that the isolate holds, and the key of this subject's among them.
    fn memory(&self) -> (&AccessTokens, &str) {
        let isolate = &self.edge.isolate;
        match &self.subject {
            Subject::Caller(own) => (&isolate.callers_tokens, &own.key),
            Subject::Service | Subject::Person(_) => (&isolate.access_tokens, &self.connection.id),
        }
    }

    /// The end of the caller's own token, where that is exchanged: no other token lives beyond it.
    fn longest(&self) -> Option<UnixTime> {
        match &self.subject {
            Subject::Caller(own) => Some(own.token.expires_at),
            Subject::Service | Subject::Person(_) => None,
        }
    }

    /// The token that the isolate holds, if usable for a new call at `now`.
    fn held(&self, now: UnixTime) -> Option<Rc<TokenCopy>> {
        let (held, key) = self.memory();
        held.held(key, &self.connection, self.longest(), now)
    }

    /// Whether a renewal of an ageing token would bring a better one.
    fn can_renew(&self, access: &AccessToken) -> bool {
        self.longest().is_none_or(|longest| access.lifetime.is_outlived_by(longest))
    }

    /// Drops the isolate's token of `generation` and all older ones.
    fn forget(&self, generation: u64, now: UnixTime) {
        let (held, key) = self.memory();
        held.forget(key, &self.connection, generation, now);
    }

    /// Reports to the keeper, in the background, that the upstream refused even `refused`, which
    /// was just obtained.
    pub fn report_refusal(&self, refused: &TokenCopy, call: Fingerprint) {
        refused.note_refused();
        self.ask_in_background(self.about().refusing(refused.access.generation, false).calling(call));
    }

    /// Reports to the keeper, in the background, that the upstream refuses a static token; once for
    /// each isolate, since only another token changes that.
    pub fn report_static_refusal(&self) {
        if self.edge.isolate.access_tokens.note_refusal(&self.connection, self.edge.now()) {
            self.ask_in_background(self.about().refusing(0, false));
        }
    }

    /// Reports to the keeper, in the background, that the upstream accepts `copy`, which replaced a
    /// refused token or was refused itself.
    pub fn confirm(&self, copy: &TokenCopy) {
        self.ask_in_background(self.about().confirming(copy.access.generation));
    }

    const fn is_for_person(&self) -> bool {
        matches!(self.subject, Subject::Person(_))
    }

    /// Whether somebody has to consent at the provider before there is a token.
    fn needs_consent(&self) -> bool {
        matches!(self.connection.grant, Grant::AuthorizationCode { .. })
    }

    fn about(&self) -> TokenAsk {
        TokenAsk::new(&self.connection.identity)
    }

    /// The connection's own token, from the cache, which holds no other one.
    async fn cached(&self) -> Option<Rc<TokenCopy>> {
        if !matches!(self.subject, Subject::Service) {
            return None;
        }
        let Edge { isolate, ports } = &self.edge;
        let keys = isolate.config().sealing_keys.as_ref()?;
        let name = access_token_record(SERVICE, &self.connection.id);
        let Ok(sealed) = ports.read(&name).await else {
            report::cache_failed(&**ports, "read");
            return None;
        };
        let opened = AccessTokenRecord::open(&sealed?, &self.connection.identity, &name, keys);
        let Ok(access) = opened else {
            report::unopened_record(&**ports, &name);
            return None;
        };
        let (access, now) = (access?, ports.now());
        let good = access.lifetime.freshness(now) > Freshness::Stale;
        if !good || !isolate.access_tokens.accepts(&self.connection, &access) {
            return None;
        }
        Some(isolate.access_tokens.remember(&self.connection.id, &self.connection, access, now))
    }

    /// Asks the keeper, and once more, as for a new call, if the token expired in transit.
    async fn ask_for_valid(&self, about: TokenAsk) -> Result<Obtained, Refused> {
        let (copy, source) = self.ask(about).await?;
        if copy.access.lifetime.freshness(self.edge.now()) > Freshness::Expired {
            return Ok((copy, source));
        }
        self.ask(self.about()).await
    }

    async fn ask(&self, ask: TokenAsk) -> Result<Obtained, Refused> {
        let Edge { isolate, ports } = &self.edge;
        let id = self.connection.id.as_str();
        let keys = isolate.config().sealing_keys.as_ref().ok_or(Code::Misconfigured)?;
        let object = match &self.subject {
            Subject::Service => SERVICE.to_owned(),
            Subject::Person(person) => person.session().to_owned(),
            Subject::Caller(own) => own.object(&self.connection, keys),
        };
        let name = access_token_record(&object, id);
        let caller = match &self.subject {
            Subject::Caller(own) => {
                let sealed = own.token.seal(&object, keys, &Nonce(ports.bytes()));
                Some((object.as_str(), sealed.map_err(|_| Code::Internal)?))
            }
            Subject::Service | Subject::Person(_) => None,
        };
        let answered = match &self.subject {
            Subject::Person(person) => match person.ask(&**ports, id, ask).await {
                Ok(None) => return Err(Code::CallerUnauthenticated.into()),
                Ok(Some(reply)) => Ok(reply),
                Err(failure) => Err(failure),
            },
            Subject::Service | Subject::Caller(_) => {
                ports.ask(ObtainToken { connection: id, ask, caller }).await
            }
        };
        match answered {
            Ok(TokenReply::Token { record, granted, in_doubt }) => {
                let opened = AccessTokenRecord::open(&record, &self.connection.identity, &name, keys);
                let access = opened.ok().flatten().ok_or(Code::Internal)?;
                let (held, key) = self.memory();
                let copy = match self.subject {
                    Subject::Person(_) => TokenCopy::new(access),
                    // Many callers have tokens here, and memory is small.
                    Subject::Caller(_) if access.token.expose().len() > MAX_CALLERS_TOKEN_BYTES => {
                        TokenCopy::new(access)
                    }
                    Subject::Service | Subject::Caller(_) => {
                        held.remember(key, &self.connection, access, ports.now())
                    }
                };
                if in_doubt {
                    copy.note_refused();
                }
                Ok((copy, if granted { Source::Grant } else { Source::Keeper }))
            }
            Ok(TokenReply::Failed { cause, retry_after }) => {
                Err(Refused { retry_after: Some(retry_after), ..Refused::from(Code::from(cause)) })
            }
            Ok(TokenReply::Waiting { cause, retry_after }) => {
                Err(Refused::unavailable(cause.into(), retry_after))
            }
            Ok(TokenReply::UpstreamRefuses) => Err(Code::UpstreamUnauthorized.into()),
            Ok(TokenReply::SignedOut) if self.needs_consent() => Err(match self.subject {
                Subject::Person(_) => Code::NotConnected.into(),
                Subject::Service | Subject::Caller(_) => {
                    Refused::unavailable(Code::NotConnected, CONSENT_SECONDS)
                }
            }),
            Ok(TokenReply::SignedOut) => {
                // A caller's own token has expired: within the tolerance for clocks it still
                // authenticates them, but nothing can be used that it is exchanged for.
                let wrong_credential = matches!(self.subject, Subject::Caller(_));
                Err(Refused { wrong_credential, ..Refused::from(Code::CallerUnauthenticated) })
            }
            Ok(TokenReply::Misconfigured) => Err(Code::Misconfigured.into()),
            Ok(TokenReply::Unavailable) | Err(ObjectUnreachable) => Err(ObjectUnreachable.into()),
        }
    }

    /// Sends the ask in the background. A failure shows up when a call next needs a token.
    fn ask_in_background(&self, about: TokenAsk) {
        let tokens = self.clone();
        self.edge.ports.spawn(Box::pin(async move { drop(tokens.ask(about).await) }));
    }
}

/// The result for a call whose token `refused` the upstream refused. If the keeper is unreachable
/// and the token is known to work, the refusal is taken to be about the call:
/// `upstream_unauthorized`, not `connection_unavailable`.
fn map_unreachable_keeper<T>(answered: Result<T, Refused>, refused: &TokenCopy) -> Result<T, Refused> {
    answered.map_err(|failure| match failure.cause {
        Some(Code::Internal) if refused.worked() => Code::UpstreamUnauthorized.into(),
        _ => failure,
    })
}
