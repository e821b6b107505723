//! What a person is signed in to.

use serde_json::{Map, Value};

use super::cookie::SessionId;
use crate::config::{Config, Configured, Grant};
use crate::edge::Code;
use crate::edge::answer::{Draft, Refused};
use crate::edge::context::Context;
use crate::json::{self, Members};
use crate::ports::EdgePorts;
use crate::protocol::{ListSignIns, Person, SignIns};

/// Lists the connections that the person is signed in to, and says who they are.
pub(in crate::edge) async fn session<P: EdgePorts>(
    context: &Context<'_, P>,
) -> Result<Draft<P::Response>, Refused> {
    let head = context.head;
    Refused::check_method(head, "GET, HEAD, POST")?;
    context.config().session.ok_or(Code::NotFound)?;
    context.cors.check_cookie(head, context.config())?;
    let id = SessionId::read(&head.headers).ok_or(Code::CallerUnauthenticated)?;
    list(context, &id).await
}

/// The same for the session of `id`.
pub(super) async fn list<P: EdgePorts>(
    context: &Context<'_, P>,
    id: &SessionId,
) -> Result<Draft<P::Response>, Refused> {
    let listed = context.edge.ports.ask(ListSignIns { session: id.name(), proof: id.proof() }).await?;
    let SignIns { connections, people } = listed.ok_or(Code::CallerUnauthenticated)?;
    let list: Vec<Value> = connections
        .into_iter()
        .map(|(id, expires_at)| [("expires_at", expires_at.to_rfc3339()), ("id", id)].into_iter().collect())
        .collect();
    let person = people.first().map(|person| shown(person, context.config()));
    let mut members: Vec<(&str, &dyn json::ToJson)> = vec![("connections", &list)];
    if person.is_some() {
        members.push(("person", &person));
    }
    Ok(Draft::text(200, "application/json", json::text(&Members(&members))))
}

/// A person as their page sees them: of the claims those that the connection names.
fn shown(person: &Person, config: &Config) -> Value {
    let connection = config.connection(&person.connection).and_then(Configured::usable);
    let names = match connection.map(|connection| &connection.grant) {
        Some(Grant::AuthorizationCode { authorization, .. }) => authorization.person_claims.as_slice(),
        _ => &[],
    };
    let all = json::parse(person.claims.as_bytes()).unwrap_or_default();
    let claims: Map<String, Value> =
        names.iter().filter_map(|name| Some((name.clone(), all.get(name)?.clone()))).collect();
    let members = [
        ("claims", Value::Object(claims)),
        ("issuer", person.issuer.as_str().into()),
        ("subject", person.subject.as_str().into()),
    ];
    members.into_iter().collect()
}
