//! The tables in an object's storage, of events and of ids.

use js_sys::Reflect;
use wasm_bindgen::JsValue;

use super::storage::DurablePorts;
use crate::json::{self, NotJson};
use crate::ports::{EventTable, IdTable, StorageFailed};
use crate::protocol::{EventRecord, List};
use crate::time::UnixTime;

impl EventTable for DurablePorts {
    async fn record(&self, id: &str) -> Result<Option<EventRecord>, StorageFailed> {
        let found = self.events("SELECT row, event FROM records WHERE id = ?", &[id.into()])?;
        let Some(found) = found.first() else { return Ok(None) };
        let mut record = read(found)?;
        record.event = column(found, "event").as_string();
        Ok(Some(record))
    }

    async fn put_record(&self, record: &EventRecord) -> Result<(), StorageFailed> {
        let query = "INSERT OR REPLACE INTO records (id, list, due, row, event) VALUES (?, ?, ?, ?, ?)";
        let (id, list) = (record.id.as_str().into(), record.list.as_str().into());
        let event = record.event.as_deref().map_or(JsValue::NULL, JsValue::from);
        self.events(query, &[id, list, due(record.due), row(record), event])?;
        self.sync().await
    }

    async fn update_record(&self, record: &EventRecord) -> Result<(), StorageFailed> {
        // The event may be long.
        let query = match record.event {
            Some(_) => "UPDATE records SET list = ?, due = ?, row = ? WHERE id = ?",
            None => "UPDATE records SET list = ?, due = ?, row = ?, event = NULL WHERE id = ?",
        };
        let (id, list) = (record.id.as_str().into(), record.list.as_str().into());
        self.events(query, &[list, due(record.due), row(record), id])?;
        self.sync().await
    }

    async fn records(
        &self,
        list: List,
        after: Option<(UnixTime, &str)>,
        most: usize,
    ) -> Result<Vec<EventRecord>, StorageFailed> {
        let query = "SELECT row FROM records WHERE list = ? AND (due, id) > (?, ?) ORDER BY due, id LIMIT ?";
        let (at, id) = after.map_or(((-1).into(), ""), |(at, id)| (due(at), id));
        let found = self.events(query, &[list.as_str().into(), at, id.into(), number(most)])?;
        found.iter().map(read).collect()
    }

    async fn forget(&self, list: List, until: UnixTime) -> Result<(), StorageFailed> {
        let query = "DELETE FROM records WHERE id IN (
            SELECT id FROM records WHERE list = ? AND due <= ? LIMIT 1000
        )";
        self.events(query, &[list.as_str().into(), due(until)]).map(drop)
    }

    async fn count(&self, list: List) -> Result<u64, StorageFailed> {
        let found =
            self.events("SELECT count(*) AS number FROM records WHERE list = ?", &[list.as_str().into()])?;
        only_number(&found).ok_or(StorageFailed)
    }

    async fn clear_records(&self) -> Result<(), StorageFailed> {
        self.events("DELETE FROM records", &[])?;
        self.sync().await
    }

    async fn earliest(&self) -> Result<Option<UnixTime>, StorageFailed> {
        let query = "SELECT min(due) AS number FROM (
            SELECT min(due) AS due FROM records WHERE list = 'pending'
            UNION ALL SELECT min(due) AS due FROM records WHERE list = 'failed'
            UNION ALL SELECT min(due) AS due FROM records WHERE list = 'delivered'
        )";
        Ok(only_number(&self.events(query, &[])?).map(UnixTime::from_millis))
    }
}

impl IdTable for DurablePorts {
    async fn add(&self, id: &str) -> Result<bool, StorageFailed> {
        let query = "INSERT OR IGNORE INTO ids (id) VALUES (?) RETURNING id";
        let is_news = !self.known_ids(query, &[id.into()])?.is_empty();
        self.sync().await.map(|()| is_news)
    }

    async fn remove(&self, id: &str) -> Result<bool, StorageFailed> {
        let query = "DELETE FROM ids WHERE id = ? RETURNING id";
        let was_there = !self.known_ids(query, &[id.into()])?.is_empty();
        self.sync().await.map(|()| was_there)
    }

    async fn ids(&self, after: &str, most: usize) -> Result<Vec<String>, StorageFailed> {
        let query = "SELECT id FROM ids WHERE id > ? ORDER BY id LIMIT ?";
        let found = self.known_ids(query, &[after.into(), number(most)])?;
        found.iter().map(|row| column(row, "id").as_string().ok_or(StorageFailed)).collect()
    }
}

/// A record as it is written, but for its event.
fn row(record: &EventRecord) -> JsValue {
    json::text(record).into()
}

fn read(found: &JsValue) -> Result<EventRecord, StorageFailed> {
    let row = column(found, "row").as_string().ok_or(StorageFailed)?;
    json::read(row.as_bytes()).map_err(|NotJson| StorageFailed)
}

fn column(found: &JsValue, name: &str) -> JsValue {
    Reflect::get(found, &name.into()).unwrap_or_default()
}

/// The column `number` of the only row; none where it is null.
fn only_number(found: &[JsValue]) -> Option<u64> {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a positive whole number")]
    found.first().and_then(|row| column(row, "number").as_f64()).map(|number| number as u64)
}

fn number(most: usize) -> JsValue {
    u32::try_from(most).unwrap_or(u32::MAX).into()
}

fn due(at: UnixTime) -> JsValue {
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    let due = at.as_millis() as f64;
    due.into()
}
