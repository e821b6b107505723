//! People: links by which they consent, and the end of their sessions.

use std::time::Duration;

use serde_json::{Map, Value};

use super::AdminRequest;
use crate::config::Grant;
use crate::edge::answer::{Draft, Refused};
use crate::edge::people::expel::expel;
use crate::edge::people::records::{LINK, LinkRecord, keep};
use crate::edge::people::return_to::ReturnTo;
use crate::edge::{Code, connections, log};
use crate::json::{self, Members};
use crate::oauth::unguessable;
use crate::ports::{EdgePorts, Sender};
use crate::protocol::{Expulsion, one_time_name};

/// How long a link is good.
const LINK_LIFE: Duration = Duration::from_mins(15);

/// The largest body, in bytes.
const MAX_BODY_BYTES: usize = 16 * 1024;

impl<P: EdgePorts> AdminRequest<'_, '_, P> {
    /// Makes a link by which somebody consents for the connection called `id`.
    pub(in crate::edge) async fn connect_link(&self, id: &str) -> Result<Draft<P::Response>, Refused> {
        self.check_method("POST")?;
        let made = self.make_link(id).await;
        self.log_action("connect_link", id, made)
    }

    async fn make_link(&self, id: &str) -> Result<Draft<P::Response>, Refused> {
        let edge = self.0.edge;
        let found = connections::find(edge, id).await?;
        let connection = found.connection.usable().ok_or(Code::Misconfigured)?;
        // People connect for themselves, and no other grant asks anybody.
        let has_links = matches!(
            &connection.grant,
            Grant::AuthorizationCode { authorization, .. } if !authorization.for_people
        );
        if !has_links {
            return Err(Code::BadRequest.into());
        }
        let members = self.members().await?;
        if members.keys().any(|name| name != "return_to") {
            return Err(Code::BadRequest.into());
        }
        let return_to = match members.get("return_to") {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) => {
                let known = &self.0.config().allowed_origins;
                let page = ReturnTo::parse(text, self.0.head.own_origin(), known).ok_or(Code::BadRequest)?;
                Some(page.as_str().to_owned())
            }
            Some(_) => return Err(Code::BadRequest.into()),
        };
        let secret = unguessable(edge.ports.bytes());
        let name = one_time_name(LINK, secret.expose());
        let expires_at = edge.now() + LINK_LIFE;
        let record = LinkRecord { connection: connection.id.clone(), return_to };
        keep(edge, &name, &record, LinkRecord::proof(), expires_at).await?;
        let url = [&self.0.address(), "/auth/", &connection.id, "/link/", secret.expose()].concat();
        let members = Members(&[("expires_at", &expires_at.to_rfc3339()), ("url", &url)]);
        Ok(Draft::text(200, "application/json", json::text(&members)))
    }

    /// Ends every session of a person.
    pub(in crate::edge) async fn sign_out_person(&self) -> Result<Draft<P::Response>, Refused> {
        self.check_method("POST")?;
        let mut members = self.members().await?;
        let mut text = |name| match members.remove(name) {
            Some(Value::String(text)) if !text.is_empty() => Ok(text),
            _ => Err(Code::BadRequest),
        };
        let (connection, subject) = (text("connection")?, text("subject")?);
        let done = self.expel_known(&connection, subject).await;
        self.log_action("sign_out_person", &connection, done)
    }

    async fn expel_known(&self, connection: &str, subject: String) -> Result<Draft<P::Response>, Refused> {
        let config = self.0.config();
        if !config.is_configured(connection) {
            return Err(Code::UnknownConnection.into());
        }
        let expulsion = Expulsion { connection: connection.to_owned(), subject: Some(subject), sid: None };
        let ended = expel(self.0.edge, &expulsion).await?;
        let done = (Some(ended), Some("operator"));
        log::write_expulsion(&*self.0.edge.ports, self.0.request_id, connection, "ended", done);
        Ok(Draft::text(200, "application/json", json::text(&Members(&[("ended", &ended)]))))
    }

    /// The members of the body, a JSON object; none where there is no body.
    async fn members(&self) -> Result<Map<String, Value>, Refused> {
        let body = self.0.edge.ports.body(MAX_BODY_BYTES, Sender::Proven).await?;
        if body.is_empty() {
            return Ok(Map::new());
        }
        match json::parse(json::without_mark(&body)) {
            Ok(Value::Object(members)) => Ok(members),
            Ok(_) | Err(_) => Err(Code::BadRequest.into()),
        }
    }
}
