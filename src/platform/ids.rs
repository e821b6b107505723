//! What the index of registered connections has of the runtime: a table in the
//! object's storage.

use std::result::Result;

use wasm_bindgen::JsValue;

use super::glue;
use super::object::ObjectPorts;
use crate::ports::{IndexPorts, StorageFailed};

/// The table of ids.
pub struct ObjectIds {
    ports: ObjectPorts,
    ids: glue::Ids,
}

impl ObjectIds {
    /// Opens the table in the storage of `state`.
    ///
    /// # Errors
    /// Where the storage has no tables.
    pub fn open(ports: ObjectPorts, state: &JsValue) -> worker::Result<Self> {
        let ids = glue::Ids::open(state).map_err(|_| "the object's storage did not open")?;
        Ok(Self { ports, ids })
    }
}

impl IndexPorts for ObjectIds {
    async fn add(&self, id: &str) -> Result<bool, StorageFailed> {
        let is_news = self.ids.add(id).map_err(|_| StorageFailed)?;
        self.ports.sync().await.map(|()| is_news)
    }

    async fn remove(&self, id: &str) -> Result<bool, StorageFailed> {
        let was_there = self.ids.remove(id).map_err(|_| StorageFailed)?;
        self.ports.sync().await.map(|()| was_there)
    }

    async fn ids(&self, after: &str, most: usize) -> Result<Vec<String>, StorageFailed> {
        let most = u32::try_from(most).unwrap_or(u32::MAX);
        let listed = self.ids.list(after, most).map_err(|_| StorageFailed)?;
        Ok(listed.lines().map(str::to_owned).collect())
    }
}
