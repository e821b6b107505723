//! Undelivered webhooks, and the operator's own events.

use serde_json::Value;

use super::{AdminRequest, READING};
use crate::edge::Code;
use crate::edge::answer::{Draft, Refused};
use crate::edge::connections;
use crate::http::WebAddress;
use crate::json::{self, Members, ToJson};
use crate::ports::EdgePorts;
use crate::protocol::{EventRecord, List, ListEvents, OPERATOR, SendAgain, field_problems};
use crate::time::UnixTime;

/// The number of entries on a page.
const PAGE: usize = 100;

impl<P: EdgePorts> AdminRequest<'_, '_, P> {
    /// A page of the failed or pending webhooks, or events.
    pub(in crate::edge) async fn webhooks(&self, connection: &str) -> Result<Draft<P::Response>, Refused> {
        self.takes_webhooks(connection, READING).await?;
        let list = match self.parameter("state").as_deref() {
            None | Some("failed") => List::Failed,
            Some("pending") => List::Pending,
            Some(_) => return Err(Code::BadRequest.into()),
        };
        let after = self.parameter("after").as_deref().map(read_cursor).transpose()?;
        let records = self.0.edge.ports.ask(ListEvents { connection, list, after, most: PAGE }).await?;
        let next = records.get(PAGE - 1).map(|last| format!("{}.{}", last.due.as_millis(), last.id));
        let webhooks: Vec<_> = records.into_iter().map(ShownEvent).collect();
        let page = json::text(&Members(&[("next", &next), ("webhooks", &webhooks)]));
        Ok(Draft::text(200, "application/json", page))
    }

    /// Where the operator's events go, and whether they arrive.
    pub(in crate::edge) async fn events(&self) -> Result<Draft<P::Response>, Refused> {
        self.check_method(READING)?;
        let config = self.0.config();
        let address = config.events.as_ref().and_then(|events| WebAddress::parse(&events.address).ok());
        // What follows may hold a secret.
        let to = address.as_ref().map(WebAddress::origin);
        let webhooks = if to.is_some() { self.undelivered(OPERATOR).await } else { Value::Null };
        let problems = field_problems(&config.problems_of_events());
        let shown = [("problems", problems), ("to", to.into()), ("webhooks", webhooks)];
        Ok(Draft::text(200, "application/json", json::text(&shown.into_iter().collect::<Value>())))
    }

    /// Has failed webhooks, or events, sent again: all of them, or one.
    pub(in crate::edge) async fn send_again(
        &self,
        connection: &str,
        webhook: Option<&str>,
    ) -> Result<Draft<P::Response>, Refused> {
        self.check_method("POST")?;
        let sent = async {
            self.takes_webhooks(connection, "POST").await?;
            let again = SendAgain { connection, id: webhook.map(str::to_owned) };
            let is_known = self.0.edge.ports.ask(again).await?;
            if is_known { Ok(Draft::empty(202)) } else { Err(Refused::from(Code::NotFound)) }
        };
        self.log_action("send_again", connection, sent.await)
    }

    /// Fails where `connection` takes no webhooks, or the method is not in `allow`.
    async fn takes_webhooks(&self, connection: &str, allow: &'static str) -> Result<(), Refused> {
        let config = self.0.config();
        let takes = if connection == OPERATOR {
            config.events.is_some()
        } else {
            connections::find(self.0.edge, connection).await?.webhook(config).is_some()
        };
        self.check_method(allow)?;
        if takes { Ok(()) } else { Err(Code::NotFound.into()) }
    }
}

/// An event as the list of undelivered webhooks shows it.
struct ShownEvent(EventRecord);

impl ToJson for ShownEvent {
    fn write_json(&self, out: &mut String) {
        let Self(record) = self;
        Members(&[
            ("accepted_at", &record.accepted_at.to_rfc3339()),
            ("attempts", &record.attempts),
            ("id", &record.id),
            ("next_at", &(record.list == List::Pending).then(|| record.due.to_rfc3339())),
            ("outcome", &record.outcome),
            ("state", &record.list),
            ("status", &record.status),
        ])
        .write_json(out);
    }
}

fn read_cursor(text: &str) -> Result<(UnixTime, String), Code> {
    let (at, id) = text.split_once('.').ok_or(Code::BadRequest)?;
    let at = at.parse().map_err(|_| Code::BadRequest)?;
    Ok((UnixTime::from_millis(at), id.to_owned()))
}
