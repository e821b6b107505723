//! Who calls, and which rule lets them.

use super::Code;
use super::answer::Refused;
use super::cors::Cors;
use crate::config::{Caller, Config, Connection};
use crate::http::{PathPattern, RequestHead, RequestPath};
use crate::secret::Fingerprint;

/// What is proven about who calls.
#[derive(Clone, Copy, Debug)]
pub(super) struct Proof<'a> {
    config: &'a Config,
    /// The caller whose key was sent.
    named: Option<&'a str>,
    /// Whether the call comes from a page that may call.
    from_known_page: bool,
}

/// The caller and the path pattern of the rule that allows a call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Permission<'a> {
    pub caller: &'a str,
    pub pattern: &'a PathPattern,
}

impl<'a> Proof<'a> {
    /// Proves who calls `connection`.
    ///
    /// # Errors
    /// `caller_unauthenticated` where nobody is proven, or where the Bearer
    /// credential that was sent is none.
    pub fn read(
        head: &RequestHead<'_>,
        cors: &Cors<'_>,
        config: &'a Config,
        connection: &Connection,
    ) -> Result<Self, Refused> {
        let unproven =
            |wrong_credential| Refused { wrong_credential, ..Refused::from(Code::CallerUnauthenticated) };
        let named = match bearer(head) {
            None => None,
            Some(key) => Some(holder(config, key).ok_or(unproven(true))?),
        };
        let proof = Self { config, named, from_known_page: cors.is_known_page() };
        let mut callers = connection.rules.iter().flat_map(|rule| &rule.callers);
        if named.is_some() || callers.any(|caller| proof.covers(caller)) {
            Ok(proof)
        } else {
            Err(unproven(false))
        }
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
            .filter(|rule| rule.methods.iter().any(|allowed| allowed.allows(method)))
            .find_map(|rule| {
                let caller = rule.callers.iter().find(|caller| self.covers(caller))?;
                let pattern = rule.paths.iter().find(|pattern| pattern.matches(path))?;
                Some(Permission { caller, pattern })
            })
            .ok_or_else(|| Code::OperationNotAllowed.into())
    }

    fn covers(&self, caller: &str) -> bool {
        match self.config.callers.get(caller) {
            Some(Some(Caller::Key(_))) => self.named == Some(caller),
            Some(Some(Caller::Anyone)) => self.from_known_page,
            Some(None) | None => false,
        }
    }
}

/// The Bearer credential of a request (RFC 6750 §2.1). Other schemes are not
/// the broker's: a browser sends Basic credentials of a whole site by itself.
fn bearer<'a>(head: &RequestHead<'a>) -> Option<&'a str> {
    let (scheme, credential) = head.headers.value("authorization")?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| credential.trim())
}

/// The caller that `key` belongs to. Every key is compared, whichever matches.
fn holder<'a>(config: &'a Config, key: &str) -> Option<&'a str> {
    let sent = Fingerprint::of(&[key]);
    let mut found = None;
    for (name, caller) in &config.callers {
        if let Some(Caller::Key(known)) = caller
            && *known == sent
        {
            found = Some(name.as_str());
        }
    }
    found
}
