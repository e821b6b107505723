//! What an object keeps, and the writes to it.

use std::collections::{BTreeMap, BTreeSet};

use porteiro::protocol::{EventRecord, List};
use porteiro::time::UnixTime;

/// How many records are deleted at once.
const SOON_DELETED: usize = 3;

/// The storage of an object but for its alarm.
#[derive(Clone, Default)]
pub(super) struct Kept {
    /// The texts by key.
    pub texts: BTreeMap<String, String>,
    /// The table of events, by id.
    pub records: BTreeMap<String, EventRecord>,
    /// The table of ids.
    pub ids: BTreeSet<String>,
}

/// A write that becomes durable in its turn.
pub(super) enum Write {
    Put { key: String, text: String },
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
    /// Has its effect on what is kept; `true` where it changes a table of ids.
    pub fn apply(&self, kept: &mut Kept) -> bool {
        match self {
            Self::Put { key, text } => drop(kept.texts.insert(key.clone(), text.clone())),
            Self::ClearTexts | Self::Clear => kept.texts.clear(),
            Self::ClearAlarm => {}
            Self::SetAlarm { kind, .. } => {
                drop(kept.texts.insert(porteiro::objects::KIND.to_owned(), kind.clone()));
            }
            Self::PutRecord(record) => drop(kept.records.insert(record.id.clone(), record.clone())),
            Self::UpdateRecord(record) => {
                if let Some(known) = kept.records.get_mut(&record.id) {
                    let event = record.event.as_ref().and(known.event.take());
                    *known = EventRecord { event, ..record.clone() };
                }
            }
            Self::Forget(ids) => kept.records.retain(|id, _| !ids.contains(id)),
            Self::ClearRecords => kept.records.clear(),
            Self::AddId(id) => return kept.ids.insert(id.clone()),
            Self::RemoveId(id) => return kept.ids.remove(id),
        }
        false
    }
}

impl Kept {
    /// The records of `list` by their time and id, from after `after`.
    pub fn records(&self, list: List, after: Option<(UnixTime, &str)>) -> Vec<&EventRecord> {
        let of_list = self.records.values().filter(|record| record.list == list);
        let mut found: Vec<&EventRecord> =
            of_list.filter(|record| after.is_none_or(|after| (record.due, &*record.id) > after)).collect();
        found.sort_by(|one, other| (one.due, &one.id).cmp(&(other.due, &other.id)));
        found
    }

    /// The ids of some records of `list` whose time has come.
    pub fn over(&self, list: List, until: UnixTime) -> Vec<String> {
        let over = self.records.values().filter(|record| record.list == list && record.due <= until);
        over.take(SOON_DELETED).map(|record| record.id.clone()).collect()
    }
}
