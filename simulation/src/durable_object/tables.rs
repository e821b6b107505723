//! The tables of an object, as its life reads and writes them.

use super::LifePorts;
use super::storage::{Stored, Write};
use porteiro::ports::{EventTable, IdTable, StorageFailed};
use porteiro::protocol::{EventRecord, List, ObjectKind};
use porteiro::time::UnixTime;

impl LifePorts {
    fn check_table(&self, is_own: bool) {
        assert!(is_own, "{:?} has no such table", self.kind);
    }

    fn check_records(&self) {
        self.check_table(matches!(self.kind, ObjectKind::Deliveries(_)));
    }

    fn check_ids(&self) {
        self.check_table(self.kind == ObjectKind::Index);
    }
}

impl EventTable for LifePorts {
    async fn record(&self, id: &str) -> Result<Option<EventRecord>, StorageFailed> {
        self.check_records();
        self.read(|stored| stored.records.get(id).cloned()).await
    }

    async fn put_record(&self, record: &EventRecord) -> Result<(), StorageFailed> {
        self.check_records();
        self.write(Write::PutRecord(record.clone())).await.map(drop)
    }

    async fn update_record(&self, record: &EventRecord) -> Result<(), StorageFailed> {
        self.check_records();
        self.write(Write::UpdateRecord(record.clone())).await.map(drop)
    }

    async fn records(
        &self,
        list: List,
        after: Option<(UnixTime, &str)>,
        most: usize,
    ) -> Result<Vec<EventRecord>, StorageFailed> {
        self.check_records();
        let without_event = |record: &EventRecord| EventRecord { event: None, ..record.clone() };
        self.read(|stored| stored.records(list, after).into_iter().take(most).map(without_event).collect())
            .await
    }

    async fn forget(&self, list: List, until: UnixTime) -> Result<(), StorageFailed> {
        self.check_records();
        let over = self.site.objects.change(&self.name, |object| object.seen.over(list, until));
        self.write(Write::Forget(over)).await.map(drop)
    }

    async fn count(&self, list: List) -> Result<u64, StorageFailed> {
        self.check_records();
        self.read(|stored| stored.records(list, None).len() as u64).await
    }

    async fn clear_records(&self) -> Result<(), StorageFailed> {
        self.check_records();
        self.write(Write::ClearRecords).await.map(drop)
    }

    async fn earliest(&self) -> Result<Option<UnixTime>, StorageFailed> {
        self.check_records();
        self.read(|stored| stored.records.values().map(|record| record.due).min()).await
    }
}

impl IdTable for LifePorts {
    async fn add(&self, id: &str) -> Result<bool, StorageFailed> {
        self.check_ids();
        self.write(Write::AddId(id.to_owned())).await
    }

    async fn remove(&self, id: &str) -> Result<bool, StorageFailed> {
        self.check_ids();
        self.write(Write::RemoveId(id.to_owned())).await
    }

    async fn ids(&self, after: &str, most: usize) -> Result<Vec<String>, StorageFailed> {
        self.check_ids();
        let read = |stored: &Stored| {
            let following = stored.ids.iter().filter(|id| id.as_str() > after);
            following.take(most).cloned().collect()
        };
        self.read(read).await
    }
}
