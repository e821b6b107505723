//! What a delivery queue tells the operator of its webhooks.

use super::Deliveries;
use super::record::deleted_at;
use crate::json;
use crate::objects::telling::{News, WEBHOOK_FAILED};
use crate::ports::{ObjectPorts, StorageFailed};
use crate::protocol::List;
use crate::time::UnixTime;

impl<P: ObjectPorts> Deliveries<P> {
    /// Tells the operator that webhooks failed: once an hour, while some do.
    pub(super) async fn tell_failed(&self) -> Result<(), StorageFailed> {
        if self.is_operators() || !self.telling.is_wanted() {
            return Ok(());
        }
        // What fails now is deleted at that time, and what was told of before it.
        let hour = deleted_at(self.ports.now()).as_millis();
        let told = self.telling.last().await?.map_or(UnixTime::from_millis(0), deleted_at);
        let failed = self.ports.records(List::Failed, Some((told, "\u{7f}")), 1).await?.pop();
        let code = failed.map(|record| json::text(&record.outcome).replace('"', ""));
        let look = || {
            let state = [WEBHOOK_FAILED, " ", &hour.to_string()].concat();
            Some(code.clone().map_or(News::Usable, |code| News::Broken { state, code }))
        };
        self.telling.tell(false, &look, &|| None).await
    }
}
