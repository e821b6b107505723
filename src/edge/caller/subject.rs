//! The subject whose access token a call uses.

use std::rc::Rc;

use super::CallerProof;
use super::own_token::OwnToken;
use super::person::SignedInPerson;
use crate::config::{Connection, Grant};
use crate::edge::Code;
use crate::edge::context::Context;
use crate::ports::Host;

/// Why a caller's token is not exchanged: it names nobody.
const NO_SUBJECT: &str = "no_subject";

/// The subject whose access token a call uses.
#[derive(Clone, Debug)]
pub(in crate::edge) enum Subject {
    /// The connection itself.
    Service,
    /// A signed-in person.
    Person(Rc<SignedInPerson>),
    /// A caller whose own token is exchanged.
    Caller(Rc<OwnToken>),
}

impl CallerProof<'_> {
    /// The subject of a call of `caller` to `connection`.
    ///
    /// # Errors
    /// `caller_unauthenticated` where a person is not signed in; `operation_not_allowed` where the
    /// token of a caller, which would be exchanged, names nobody.
    pub fn subject<P: Host>(
        &self,
        context: &Context<'_, P>,
        connection: &Connection,
        caller: &str,
    ) -> Result<Subject, Code> {
        Ok(match &connection.grant {
            Grant::Static { .. }
            | Grant::Basic { .. }
            | Grant::Password { .. }
            | Grant::ClientCredentials { .. }
            | Grant::RefreshToken { .. }
            | Grant::JwtBearer { .. }
            | Grant::Login { .. } => Subject::Service,
            Grant::AuthorizationCode { authorization, .. } if !authorization.for_people => Subject::Service,
            Grant::SignIn { .. } | Grant::AuthorizationCode { .. } => {
                Subject::Person(Rc::clone(self.person().ok_or(Code::CallerUnauthenticated)?))
            }
            Grant::TokenExchange { .. } => {
                let own = self.own_token(caller, connection, context.head).ok_or_else(|| {
                    context.note(|line| line.reason = Some(NO_SUBJECT));
                    Code::OperationNotAllowed
                })?;
                Subject::Caller(Rc::new(own))
            }
        })
    }
}
