//! Queries to the tables in an object's storage.
//!
//! They run by two bindings in `glue.rs`. Of the `worker` crate's ways to read
//! rows, the small one lets an exception pass, so that the object never answers;
//! the one that takes an exception for an error weighs a KiB more.

use std::cell::Cell;

use wasm_bindgen::{JsCast as _, JsValue};
use worker::State;

use super::glue;

/// A table, which is made when it is first used: most objects have none.
pub struct Table {
    schema: &'static str,
    is_made: Cell<bool>,
}

impl Table {
    /// The table of events, each of which is in a list and has its time there.
    pub const fn of_events() -> Self {
        Self::new(
            "CREATE TABLE IF NOT EXISTS records (
                id TEXT PRIMARY KEY, list TEXT NOT NULL, due INTEGER NOT NULL, row TEXT NOT NULL, event TEXT
            );
            CREATE INDEX IF NOT EXISTS by_time ON records (list, due, id);",
        )
    }

    /// The table of ids.
    pub const fn of_ids() -> Self {
        Self::new("CREATE TABLE IF NOT EXISTS ids (id TEXT PRIMARY KEY) WITHOUT ROWID")
    }

    const fn new(schema: &'static str) -> Self {
        Self { schema, is_made: Cell::new(false) }
    }

    /// Notes that the table was deleted: its next use makes it again.
    pub fn note_deleted(&self) {
        self.is_made.set(false);
    }

    /// The rows of `query`, whose question marks stand for what is `given`, in the
    /// storage of `state`.
    pub fn query(&self, state: &State, query: &str, given: &[JsValue]) -> Result<Vec<JsValue>, JsValue> {
        let sql = state.storage().sql();
        let sql: &glue::Sql = sql.as_ref().unchecked_ref();
        if !self.is_made.get() {
            sql.exec(self.schema, &[])?;
            self.is_made.set(true);
        }
        sql.exec(query, given)?.to_array()
    }
}
