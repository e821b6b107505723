//! The storage of an object, and the writes to it.

use std::collections::{BTreeMap, BTreeSet};

use porteiro::protocol::{EventRecord, List};
use porteiro::time::UnixTime;

/// The number of records deleted at once.
const SOON_DELETED: usize = 3;

/// The storage of an object except its alarm.
#[derive(Clone, Default)]
pub(super) struct Stored {
    /// The texts by key.
    pub texts: BTreeMap<String, String>,
    /// The table of events, by id.
    pub records: BTreeMap<String, EventRecord>,
    /// The table of ids.
    pub ids: BTreeSet<String>,
}

/// A queued write.
pub(super) enum Write {
    Put { key: String, text: String },
    PutBoth([(String, String); 2]),
    ClearTexts,
    ClearAlarm,
    Clear,
    SetAlarm { kind: String, at: UnixTime },
    PutRecord(EventRecord),
    UpdateRecord(EventRecord),
    Forget(Vec<String>),
    ClearRecords,
    AddId(String),
    RemoveId(String),
}

impl Write {
    /// Applies the write to `stored`; `true` if it changes a table of ids.
    pub fn apply(&self, stored: &mut Stored) -> bool {
        match self {
            Self::Put { key, text } => drop(stored.texts.insert(key.clone(), text.clone())),
            Self::PutBoth(texts) => stored.texts.extend(texts.clone()),
            Self::ClearTexts | Self::Clear => stored.texts.clear(),
            Self::ClearAlarm => {}
            Self::SetAlarm { kind, .. } => {
                drop(stored.texts.insert(porteiro::objects::KIND.to_owned(), kind.clone()));
            }
            Self::PutRecord(record) => drop(stored.records.insert(record.id.clone(), record.clone())),
            Self::UpdateRecord(record) => {
                if let Some(known) = stored.records.get_mut(&record.id) {
                    let event = record.event.as_ref().and(known.event.take());
                    *known = EventRecord { event, ..record.clone() };
                }
            }
            Self::Forget(ids) => stored.records.retain(|id, _| !ids.contains(id)),
            Self::ClearRecords => stored.records.clear(),
            Self::AddId(id) => return stored.ids.insert(id.clone()),
            Self::RemoveId(id) => return stored.ids.remove(id),
        }
        false
    }
}

impl Stored {
    /// The records of `list` in order of time and id, after `after`.
    pub fn records(&self, list: List, after: Option<(UnixTime, &str)>) -> Vec<&EventRecord> {
        let of_list = self.records.values().filter(|record| record.list == list);
        let mut found: Vec<&EventRecord> =
            of_list.filter(|record| after.is_none_or(|after| (record.due, &*record.id) > after)).collect();
        found.sort_by(|one, other| (one.due, &one.id).cmp(&(other.due, &other.id)));
        found
    }

    /// The ids of some records of `list` that are due by `until`.
    pub fn over(&self, list: List, until: UnixTime) -> Vec<String> {
        let over = self.records.values().filter(|record| record.list == list && record.due <= until);
        over.take(SOON_DELETED).map(|record| record.id.clone()).collect()
    }
}
