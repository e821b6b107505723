//! Authentication of callers, and the rule that authorizes a call ([`permission`]).

pub(super) mod bearers;
mod body;
mod issuer_keys;
mod jwt;
pub(super) mod key_sets;
mod multipart;
pub(super) mod own_token;
pub(super) mod permission;
pub(super) mod person;
mod refused;
pub(super) mod subject;

use std::rc::Rc;

use super::Code;
use super::answer::Refused;
use super::context::Context;
use super::network::Network;
use super::proxy::rates::Standing;
use crate::config::{ANYONE, Caller, Config, Configured, Connection, SessionCaller};
use crate::http::{RequestHead, RequestPath};
use crate::jose::{Invalid, OwnClaimSet};
use crate::ports::{EdgePorts, ObjectUnreachable};
use crate::secret::{Fingerprint, Place};
use bearers::Bearer;
use person::SignedInPerson;

/// The authenticated callers of a request.
#[derive(Debug)]
pub(super) struct CallerProof<'a> {
    config: &'a Config,
    /// The caller whose key was sent, and the place of that key in its list.
    key: Option<(&'a str, Place)>,
    /// The verified tokens of the request.
    bearers: Vec<Rc<Bearer>>,
    /// The signed-in person.
    person: Option<Rc<SignedInPerson>>,
    /// Whether the request comes from a page of an allowed origin.
    from_known_page: bool,
}

/// The request authenticates no caller.
#[derive(Debug)]
pub(super) struct Unproven {
    pub refused: Refused,
    /// Why a token in the request is invalid.
    pub reason: Option<Invalid>,
}

impl From<Refused> for Unproven {
    fn from(refused: Refused) -> Self {
        Self { refused, reason: None }
    }
}

impl From<ObjectUnreachable> for Unproven {
    fn from(failure: ObjectUnreachable) -> Self {
        Refused::from(failure).into()
    }
}

impl<'a> CallerProof<'a> {
    /// Authenticates the callers of a call to `connection`.
    ///
    /// # Errors
    /// `caller_unauthenticated` where the request authenticates no caller or carries an invalid
    /// credential; `operation_not_allowed` where it authenticates only a person, and no rule of the
    /// connection names `session`.
    pub async fn read<P: EdgePorts>(
        context: &Context<'a, P>,
        connection: &'a Connection,
        path: RequestPath<'_>,
    ) -> Result<Self, Unproven> {
        let (config, head) = (context.config(), context.head);
        let wants_people = connection.rules.iter().flat_map(|rule| &rule.callers).any(|caller| {
            let session = session_caller(config, caller);
            session.is_some_and(|session| session.connection.is_some())
        });
        let person = |wants_token| {
            SignedInPerson::read(&*context.edge.ports, head, connection, (wants_token, wants_people))
        };
        let mut proof = Self {
            config,
            key: None,
            bearers: Vec::new(),
            person: None,
            from_known_page: context.cors.is_known_page(),
        };
        proof.read_credentials(context).await?;
        if proof.asks_for_person(connection) {
            let wants_token = connection.grant.is_for_people()
                && connection.rules.iter().any(|rule| {
                    rule.methods.iter().any(|allowed| allowed.allows(head.method))
                        && rule.paths.iter().any(|pattern| pattern.matches(path))
                });
            proof.person = person(wants_token).await?;
        }
        let mut callers = connection.rules.iter().flat_map(|rule| &rule.callers);
        if proof.is_named() || proof.person.is_some() || callers.any(|caller| proof.covers(caller)) {
            return Ok(proof);
        }
        // A signed-in person without permission gets 403, not 401: on 401 a page would send the
        // person through the sign-in again and again.
        let is_unasked = config.session.is_some() && !proof.asks_for_person(connection);
        if is_unasked {
            proof.person = person(false).await?;
        }
        if proof.person.is_some() {
            proof.note_refused(context, connection, path);
            return Err(Refused::from(Code::OperationNotAllowed).into());
        }
        Err(Refused::from(Code::CallerUnauthenticated).into())
    }

    /// Reads the credentials that callers send deliberately: an invalid one fails the request,
    /// unless another one is valid. A session does not make up for it.
    async fn read_credentials<P: EdgePorts>(&mut self, context: &Context<'a, P>) -> Result<(), Unproven> {
        let head = context.head;
        // Tokens are long: hash each once.
        let bearer = bearer(head).map(|sent| (sent, Fingerprint::of(&[sent])));
        self.key = bearer.and_then(|(_, digest)| holder(self.config, digest));
        let mut wrong = bearer.is_some() && self.key.is_none();
        let mut reason = None;
        for (number, header) in self.config.token_fields.iter().enumerate() {
            let name = header.as_str();
            let token = match name {
                "authorization" => bearer.filter(|_| self.key.is_none()),
                _ => head.headers.value(name).map(|sent| (sent, Fingerprint::of(&[sent]))),
            };
            let Some((token, digest)) = token else { continue };
            match jwt::prove(context.edge, (number, name), token, digest).await {
                Ok(bearer) => self.bearers.push(bearer),
                Err(invalid) => (wrong, reason) = (true, Some(invalid)),
            }
        }
        if wrong && !self.is_named() {
            let refused = Refused { wrong_credential: true, ..Refused::from(Code::CallerUnauthenticated) };
            return Err(Unproven { refused, reason });
        }
        Ok(())
    }

    /// The signed-in person.
    pub const fn person(&self) -> Option<&Rc<SignedInPerson>> {
        self.person.as_ref()
    }

    /// The key by which calls of `caller` are counted: it tells apart the persons, sessions and
    /// networks that share the caller's name.
    pub fn rate_key(&self, caller: &str, head: &RequestHead<'_>) -> String {
        match self.kind(caller) {
            Some(Caller::Jwt(_)) => {
                self.bearer(caller).map(|bearer| bearer.subject.clone()).unwrap_or_default()
            }
            Some(Caller::Session(_)) => {
                self.person.as_ref().map(|person| person.session().to_owned()).unwrap_or_default()
            }
            Some(Caller::Anyone) => Network::of(head).own,
            Some(Caller::Key(_)) | None => String::new(),
        }
    }

    /// Who calls as `caller`, beside its name, in a text without secrets, and whether that may be several people; `None` where
    /// people of that name cannot be told apart, and where the person has to sign in again.
    pub fn identity(&self, caller: &str) -> Option<(String, bool)> {
        let who = match self.kind(caller)? {
            Caller::Jwt(_) => self.bearer(caller).filter(|bearer| bearer.has_subject)?.subject.clone(),
            Caller::Session(_) => Fingerprint::of(&[self.person.as_ref()?.identity()?]).to_hex(),
            Caller::Anyone => return Some((String::new(), true)),
            Caller::Key(_) => String::new(),
        };
        Some((who, false))
    }

    /// The standing of the party behind `caller`: counts of one standing never evict those of
    /// another.
    pub fn standing(&self, caller: &str, head: &RequestHead<'_>) -> Standing {
        match self.kind(caller) {
            Some(Caller::Anyone) => Standing::Anonymous(Network::of(head)),
            Some(Caller::Jwt(_) | Caller::Session(_)) => Standing::Person,
            Some(Caller::Key(_)) | None => Standing::Server,
        }
    }

    /// The caller called `name`, if usable. A registered connection may name `anyone` even if the
    /// configuration does not.
    fn kind(&self, name: &str) -> Option<&'a Caller> {
        match self.config.callers.get(name) {
            Some(caller) => caller.usable(),
            None => (name == ANYONE).then_some(&Caller::Anyone),
        }
    }

    /// Whether the request carries the key of a server caller.
    pub const fn has_key(&self) -> bool {
        self.key.is_some()
    }

    /// Whether the request proves who calls, rather than from where.
    pub const fn is_proven(&self) -> bool {
        self.is_named() || self.person.is_some()
    }

    /// The claims of `caller`, if it has any. Those of a session are of the person who signed in by the
    /// caller's own connection.
    fn claims(&self, caller: &str) -> Option<&OwnClaimSet> {
        match self.kind(caller)? {
            Caller::Jwt(_) => self.bearer(caller).map(|bearer| &bearer.claims),
            Caller::Session(session) => self.person.as_ref()?.claims(session.connection.as_deref()?),
            Caller::Key(_) | Caller::Anyone => None,
        }
    }

    /// The token that authenticates `caller`: one at most, since a caller's token comes in one field.
    fn bearer(&self, caller: &str) -> Option<&Bearer> {
        self.bearers
            .iter()
            .find(|bearer| bearer.callers.iter().any(|name| name == caller))
            .map(|bearer| &**bearer)
    }

    const fn is_named(&self) -> bool {
        self.key.is_some() || !self.bearers.is_empty()
    }

    fn asks_for_person(&self, connection: &Connection) -> bool {
        let is_session = |caller: &String| session_caller(self.config, caller).is_some();
        self.config.session.is_some()
            && connection.rules.iter().flat_map(|rule| &rule.callers).any(is_session)
    }

    fn covers(&self, caller: &str) -> bool {
        match self.kind(caller) {
            Some(Caller::Key(_)) => self.key.is_some_and(|(holder, _)| holder == caller),
            Some(Caller::Jwt(_)) => self.bearer(caller).is_some(),
            Some(Caller::Session(session)) => self.person.as_ref().is_some_and(|person| person.is(session)),
            Some(Caller::Anyone) => self.from_known_page,
            None => false,
        }
    }
}

/// The caller called `name`, where it is a session.
fn session_caller<'c>(config: &'c Config, name: &str) -> Option<&'c SessionCaller> {
    match config.callers.get(name)?.usable()? {
        Caller::Session(session) => Some(session),
        Caller::Key(_) | Caller::Jwt(_) | Caller::Anyone => None,
    }
}

/// The Bearer credential of a request (RFC 6750 §2.1). Other schemes are ignored: a browser adds
/// the Basic credentials of a site by itself.
pub(super) fn bearer<'a>(head: &RequestHead<'a>) -> Option<&'a str> {
    let (scheme, credential) = head.headers.value("authorization")?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| credential.trim())
}

/// The caller that has a key of the digest `sent`. All keys are compared, so the time does not
/// depend on the match.
fn holder(config: &Config, sent: Fingerprint) -> Option<(&str, Place)> {
    let mut found = None;
    for (name, caller) in config.callers.iter() {
        if let Configured::Usable(Caller::Key(keys)) = caller
            && let Some(place) = keys.place(sent)
        {
            found = Some((name.as_str(), place));
        }
    }
    found
}
