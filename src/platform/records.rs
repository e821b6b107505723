//! What delivering webhooks has of the runtime: a table in the object's storage.

use std::result::Result;

use futures_util::future::LocalBoxFuture;
use serde::Deserialize;
use wasm_bindgen::JsValue;

use super::glue;
use super::object::{ObjectPorts, post};
use crate::ports::{
    Clock, Delivery, DeliveryAnswer, DeliveryPorts, Entropy, KeeperPorts as _, Log, PostFailure,
    StorageFailed,
};
use crate::protocol::{EventRecord, List};
use crate::time::UnixTime;

/// The runtime as whoever delivers webhooks sees it.
pub struct ObjectRecords {
    ports: ObjectPorts,
    connection: String,
    records: glue::Records,
}

impl ObjectRecords {
    /// Opens the table in the storage of `state`.
    ///
    /// # Errors
    /// Where the storage has no tables.
    pub fn open(ports: ObjectPorts, connection: String, state: &JsValue) -> worker::Result<Self> {
        let records = glue::Records::open(state).map_err(|_| "the object's storage did not open")?;
        Ok(Self { ports, connection, records })
    }
}

impl Clock for ObjectRecords {
    fn now(&self) -> UnixTime {
        self.ports.now()
    }
}

impl Entropy for ObjectRecords {
    fn bytes<const N: usize>(&self) -> [u8; N] {
        self.ports.bytes()
    }
}

impl Log for ObjectRecords {
    fn line(&self, line: &str) {
        self.ports.line(line);
    }
}

impl DeliveryPorts for ObjectRecords {
    async fn record(&self, id: &str) -> Result<Option<EventRecord>, StorageFailed> {
        let Some(found) = self.records.find(id).map_err(failed)? else { return Ok(None) };
        let (row, event) = found.split_once('\n').ok_or(StorageFailed)?;
        let mut record: EventRecord = read(row)?;
        record.event = Some(event.to_owned()).filter(|event| !event.is_empty());
        Ok(Some(record))
    }

    async fn put_record(&self, record: &EventRecord) -> Result<(), StorageFailed> {
        let (list, due) = (record.list.as_str(), millis(record.due));
        self.records.put(&record.id, list, due, &row(record)?, record.event.as_deref()).map_err(failed)?;
        self.ports.sync().await
    }

    async fn update_record(&self, record: &EventRecord) -> Result<(), StorageFailed> {
        let (list, due) = (record.list.as_str(), millis(record.due));
        self.records.update(&record.id, list, due, &row(record)?, record.event.is_some()).map_err(failed)?;
        self.ports.sync().await
    }

    async fn records(
        &self,
        list: List,
        after: Option<(UnixTime, &str)>,
        most: usize,
    ) -> Result<Vec<EventRecord>, StorageFailed> {
        let (due, id) = after.map_or((-1.0, ""), |(at, id)| (millis(at), id));
        let most = u32::try_from(most).unwrap_or(u32::MAX);
        read(&self.records.list(list.as_str(), due, id, most).map_err(failed)?)
    }

    async fn forget(&self, list: List, until: UnixTime) -> Result<(), StorageFailed> {
        self.records.forget(list.as_str(), millis(until)).map_err(failed)
    }

    async fn count(&self, list: List) -> Result<u64, StorageFailed> {
        let count = self.records.count(list.as_str()).map_err(failed)?;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is a number of rows")]
        Ok(count as u64)
    }

    async fn clear(&self) -> Result<(), StorageFailed> {
        self.records.clear().map_err(failed)?;
        self.ports.sync().await
    }

    async fn registration(&self) -> Result<Option<String>, StorageFailed> {
        self.ports.registration(&self.connection).await
    }

    async fn earliest(&self) -> Result<Option<UnixTime>, StorageFailed> {
        let earliest = self.records.earliest().map_err(failed)?;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it was a time")]
        Ok(earliest.map(|millis| UnixTime::from_millis(millis as u64)))
    }

    async fn set_alarm(&self, at: UnixTime) -> Result<(), StorageFailed> {
        self.ports.set_alarm(at).await
    }

    fn spawn(&self, task: LocalBoxFuture<'static, ()>) {
        self.ports.spawn(task);
    }

    async fn deliver(&self, delivery: &Delivery<'_>) -> Result<DeliveryAnswer, PostFailure> {
        let Delivery { url, fields, body, timeout } = *delivery;
        let answer = post(url, fields, body, timeout, None).await?;
        Ok(DeliveryAnswer { status: answer.status(), retry_after: answer.retry_after() })
    }
}

/// A record as it is written, but for its event.
fn row(record: &EventRecord) -> Result<String, StorageFailed> {
    serde_json::to_string(record).map_err(|_| StorageFailed)
}

fn read<T: for<'a> Deserialize<'a>>(text: &str) -> Result<T, StorageFailed> {
    serde_json::from_slice(text.as_bytes()).map_err(|_| StorageFailed)
}

fn failed(_: JsValue) -> StorageFailed {
    StorageFailed
}

fn millis(at: UnixTime) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    let millis = at.as_millis() as f64;
    millis
}
