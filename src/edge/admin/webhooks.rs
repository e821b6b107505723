//! Webhooks that were not delivered.

use serde_json::json;

use super::{Asked, READING};
use crate::edge::Code;
use crate::edge::answer::{Draft, Refused};
use crate::edge::connections::{self, Inlet};
use crate::ports::Ports;
use crate::protocol::{DeliveriesAsk, DeliveriesReply, EventRecord, List};
use crate::time::UnixTime;

/// How many entries a page of a list has.
const PAGE: usize = 100;

impl<P: Ports> Asked<'_, '_, P> {
    /// A page of the webhooks that failed, or are still to be delivered.
    pub(in crate::edge) async fn webhooks(&self, connection: &str) -> Result<Draft<P::Response>, Refused> {
        self.takes_webhooks(connection, READING).await?;
        let list = match self.parameter("state").as_deref() {
            None | Some("failed") => List::Failed,
            Some("pending") => List::Pending,
            Some(_) => return Err(Code::BadRequest.into()),
        };
        let after = self.parameter("after").as_deref().map(read_cursor).transpose()?;
        match self.ports.ask_deliveries(connection, &DeliveriesAsk::List { list, after, most: PAGE }).await {
            Ok(DeliveriesReply::Listed(records)) => {
                let next = records.get(PAGE - 1).map(|last| format!("{}.{}", last.due.as_millis(), last.id));
                let webhooks: Vec<_> = records.iter().map(entry).collect();
                let page = json!({ "webhooks": webhooks, "next": next });
                Ok(Draft::text(200, "application/json", page.to_string()))
            }
            _ => Err(Refused::unavailable(Code::Internal, 1)),
        }
    }

    /// Has what failed sent again: all of it, or one.
    pub(in crate::edge) async fn send_again(
        &self,
        connection: &str,
        webhook: Option<&str>,
    ) -> Result<Draft<P::Response>, Refused> {
        self.allow("POST")?;
        let sent = async {
            self.takes_webhooks(connection, "POST").await?;
            let ask = DeliveriesAsk::SendAgain { id: webhook.map(str::to_owned) };
            match self.ports.ask_deliveries(connection, &ask).await {
                Ok(DeliveriesReply::SentAgain) => Ok(Draft::empty(202)),
                Ok(DeliveriesReply::Unknown) => Err(Code::NotFound.into()),
                _ => Err(Refused::unavailable(Code::Internal, 1)),
            }
        };
        self.note("send_again", connection, sent.await)
    }

    /// Fails where `connection` takes no webhooks, or the method is none of
    /// `allow`.
    async fn takes_webhooks(&self, connection: &str, allow: &'static str) -> Result<(), Refused> {
        let found = connections::find(self.broker, self.ports, connection).await?;
        self.allow(allow)?;
        if matches!(found.webhook, Inlet::None) { Err(Code::NotFound.into()) } else { Ok(()) }
    }
}

fn entry(record: &EventRecord) -> serde_json::Value {
    json!({
        "id": record.id,
        "state": record.list,
        "accepted_at": record.accepted_at.to_rfc3339(),
        "attempts": record.attempts,
        "outcome": record.outcome,
        "status": record.status,
        "next_at": (record.list == List::Pending).then(|| record.due.to_rfc3339()),
    })
}

fn read_cursor(text: &str) -> Result<(UnixTime, String), Code> {
    let (at, id) = text.split_once('.').ok_or(Code::BadRequest)?;
    let at = at.parse().map_err(|_| Code::BadRequest)?;
    Ok((UnixTime::from_millis(at), id.to_owned()))
}
