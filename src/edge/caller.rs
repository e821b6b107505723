//! Who calls, and which rule lets them.

pub(super) mod issuer_keys;
pub(super) mod jwt;
pub(super) mod person;

use std::rc::Rc;

use super::answer::Refused;
use super::cors::Cors;
use super::network::Network;
use super::proxy::rates::Standing;
use super::{Broker, Code};
use crate::config::{ANYONE, Caller, Config, Connection, RateLimit};
use crate::http::{PathPattern, RequestHead, RequestPath};
use crate::jose::Invalid;
use crate::ports::Ports;
use crate::secret::{Fingerprint, Place};
use person::Person;

/// What is proven about who calls.
#[derive(Debug)]
pub(super) struct Proof<'a> {
    config: &'a Config,
    /// The caller whose key was sent, and which of its keys that is.
    key: Option<(&'a str, Place)>,
    /// Whom the tokens prove that were sent.
    bearers: Vec<Rc<jwt::Bearer>>,
    /// Who is signed in.
    person: Option<Rc<Person>>,
    /// Whether the call comes from a page that may call.
    from_known_page: bool,
}

/// Nobody is proven.
#[derive(Debug)]
pub(super) struct Unproven {
    pub refused: Refused,
    /// Why a token that was sent proves nobody.
    pub reason: Option<Invalid>,
}

impl From<Refused> for Unproven {
    fn from(refused: Refused) -> Self {
        Self { refused, reason: None }
    }
}

/// What a rule allows a caller.
#[derive(Clone, Copy, Debug)]
pub(super) struct Permission<'a> {
    pub caller: &'a str,
    /// The number of the caller's key, where it has several.
    pub key: Option<usize>,
    pub pattern: &'a PathPattern,
    /// The number of the rule within its connection, and its limit.
    pub rate_limit: Option<(usize, RateLimit)>,
}

impl<'a> Proof<'a> {
    /// Proves who calls `connection`.
    ///
    /// # Errors
    /// `caller_unauthenticated` where nobody is proven, or where a credential
    /// was sent that is none; `operation_not_allowed` where all that is proven is
    /// a person whom the connection does not know.
    pub async fn read<P: Ports>(
        broker: &'a Rc<Broker>,
        ports: &Rc<P>,
        head: &RequestHead<'_>,
        cors: &Cors<'_>,
        connection: &Connection,
        path: RequestPath<'_>,
    ) -> Result<Self, Unproven> {
        let config = broker.config();
        let mut proof = Self {
            config,
            key: None,
            bearers: Vec::new(),
            person: None,
            from_known_page: cors.is_known_page(),
        };
        proof.read_credentials(broker, ports, head).await?;
        if proof.asks_for_person(connection) {
            let wants_token = connection.grant.is_for_people()
                && connection.rules.iter().any(|rule| {
                    rule.methods.iter().any(|allowed| allowed.allows(head.method))
                        && rule.paths.iter().any(|pattern| pattern.matches(path))
                });
            proof.person = Person::read(&**ports, head, connection, wants_token).await?;
        }
        let mut callers = connection.rules.iter().flat_map(|rule| &rule.callers);
        if proof.is_named() || proof.person.is_some() || callers.any(|caller| proof.covers(caller)) {
            return Ok(proof);
        }
        // Who is signed in is somebody, also where no rule lets them: a page that is
        // told otherwise signs them in again for ever.
        let is_unasked = config.session.is_some() && !proof.asks_for_person(connection);
        if is_unasked && Person::read(&**ports, head, connection, false).await?.is_some() {
            return Err(Refused::from(Code::OperationNotAllowed).into());
        }
        Err(Refused::from(Code::CallerUnauthenticated).into())
    }

    /// Reads the credentials that callers send deliberately: one that is wrong
    /// is not made good by anything else.
    async fn read_credentials<P: Ports>(
        &mut self,
        broker: &'a Rc<Broker>,
        ports: &Rc<P>,
        head: &RequestHead<'_>,
    ) -> Result<(), Unproven> {
        // A token is long: its digest is made once.
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
            match jwt::prove(broker, ports, (number, name), token, digest).await {
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

    /// The permission that a rule of `connection` gives.
    ///
    /// # Errors
    /// `operation_not_allowed` where none does.
    pub fn permission(
        &self,
        connection: &'a Connection,
        method: &str,
        path: RequestPath<'_>,
    ) -> Result<Permission<'a>, Refused> {
        connection
            .rules
            .iter()
            .enumerate()
            .filter(|(_, rule)| rule.methods.iter().any(|allowed| allowed.allows(method)))
            .find_map(|(number, rule)| {
                let caller = rule.callers.iter().find(|caller| self.covers(caller))?;
                let pattern = rule.paths.iter().find(|pattern| pattern.matches(path))?;
                let rate_limit = rule.rate_limit.map(|limit| (number, limit));
                let key =
                    self.key.filter(|(holder, _)| holder == caller).and_then(|(_, place)| place.number());
                Some(Permission { caller, key, pattern, rate_limit })
            })
            .ok_or_else(|| Code::OperationNotAllowed.into())
    }

    /// Who is signed in.
    pub const fn person(&self) -> Option<&Rc<Person>> {
        self.person.as_ref()
    }

    /// Who stands behind `caller`, told apart from everybody else who is the
    /// same caller.
    pub fn who(&self, caller: &str, head: &RequestHead<'_>) -> String {
        match self.kind(caller) {
            Some(Caller::Jwt(_)) => {
                let bearer =
                    self.bearers.iter().find(|bearer| bearer.callers.iter().any(|name| name == caller));
                bearer.map(|bearer| bearer.subject.to_hex()).unwrap_or_default()
            }
            Some(Caller::Session) => {
                self.person.as_ref().map(|person| person.session().to_owned()).unwrap_or_default()
            }
            Some(Caller::Anyone) => Network::of(head).own,
            Some(Caller::Key(_)) | None => String::new(),
        }
    }

    /// What is known of who stands behind `caller`: whose counts others' may push
    /// out.
    pub fn standing(&self, caller: &str, head: &RequestHead<'_>) -> Standing {
        match self.kind(caller) {
            Some(Caller::Anyone) => Standing::Stranger(Network::of(head)),
            Some(Caller::Jwt(_) | Caller::Session) => Standing::Person,
            Some(Caller::Key(_)) | None => Standing::Server,
        }
    }

    /// What is known of the caller called `name`, where it can be used: a registered
    /// connection may name anyone where the configuration does not.
    fn kind(&self, name: &str) -> Option<&'a Caller> {
        match self.config.callers.get(name) {
            Some(caller) => caller.as_ref(),
            None => (name == ANYONE).then_some(&Caller::Anyone),
        }
    }

    /// Whether the caller is a server of the operator's own, with its key.
    pub const fn has_key(&self) -> bool {
        self.key.is_some()
    }

    const fn is_named(&self) -> bool {
        self.key.is_some() || !self.bearers.is_empty()
    }

    fn asks_for_person(&self, connection: &Connection) -> bool {
        let is_session =
            |caller: &String| matches!(self.config.callers.get(caller), Some(Some(Caller::Session)));
        self.config.session.is_some()
            && connection.rules.iter().flat_map(|rule| &rule.callers).any(is_session)
    }

    fn covers(&self, caller: &str) -> bool {
        match self.kind(caller) {
            Some(Caller::Key(_)) => self.key.is_some_and(|(holder, _)| holder == caller),
            Some(Caller::Jwt(_)) => {
                self.bearers.iter().any(|bearer| bearer.callers.iter().any(|name| name == caller))
            }
            Some(Caller::Session) => self.person.is_some(),
            Some(Caller::Anyone) => self.from_known_page,
            None => false,
        }
    }
}

/// The Bearer credential of a request (RFC 6750 §2.1). Other schemes are not
/// the broker's: a browser sends Basic credentials of a whole site by itself.
pub(super) fn bearer<'a>(head: &RequestHead<'a>) -> Option<&'a str> {
    let (scheme, credential) = head.headers.value("authorization")?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| credential.trim())
}

/// The caller that has a key of the digest `sent`. Every key is compared,
/// whichever matches.
fn holder(config: &Config, sent: Fingerprint) -> Option<(&str, Place)> {
    let mut found = None;
    for (name, caller) in &config.callers {
        if let Some(Caller::Key(keys)) = caller
            && let Some(place) = keys.place(sent)
        {
            found = Some((name.as_str(), place));
        }
    }
    found
}
