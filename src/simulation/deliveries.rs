//! The objects that deliver webhooks. Each has one life at a time, and a table
//! and an alarm that outlive it.

mod ports;
mod runtime;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use futures_channel::oneshot;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::delivery_watch::DeliveryWatch;
use super::site::Shared;
use super::world::Process;
use crate::objects::deliveries::Deliveries;
use crate::ports::KeeperUnreachable;
use crate::protocol::{DeliveriesAsk, DeliveriesReply, EventRecord, List};
use crate::time::UnixTime;

/// All of them, by connection.
#[derive(Default)]
pub struct DeliveryObjects {
    by_connection: RefCell<BTreeMap<String, Object>>,
    /// All that was ever written or sent to them.
    pub written: RefCell<Vec<String>>,
    /// Whether operations of the storage take no time at all.
    pub instant: Cell<bool>,
    /// How often an operation of the storage fails, per mille.
    pub failures: Cell<u64>,
    /// How many operations there were.
    pub operations: Cell<u64>,
    /// How often an alarm's handler was called.
    pub rings: Cell<u64>,
    /// What befalls the operation of that number.
    pub mishap: Cell<Option<(u64, Mishap)>>,
    pub watch: DeliveryWatch,
}

/// What can befall an operation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mishap {
    /// It fails, and has no effect.
    FailsBefore,
    /// It fails, and has had its effect.
    FailsAfter,
    /// The object ends before it has an effect.
    EndsBefore,
    /// The object ends when it has had its effect.
    EndsAfter,
}

#[derive(Default)]
struct Object {
    /// The table as the one that lives reads it.
    seen: Table,
    durable: Table,
    /// What was asked of the storage and is not durable yet, in its order.
    queue: VecDeque<(u64, Write)>,
    alarm: Option<UnixTime>,
    /// Dropped where whoever waits for the alarm has to wait no more.
    sleeper: Option<oneshot::Sender<()>>,
    /// Whether the alarm's handler runs.
    is_ringing: bool,
    /// How often in a row it failed.
    failures: u32,
    /// As many as there are operations and deliveries under way, and one.
    busy: Busy,
    life: Option<(Process, Rc<Deliveries<RecordPorts>>)>,
}

type Busy = Rc<()>;

type Table = BTreeMap<String, EventRecord>;

enum Write {
    Put(EventRecord),
    Update(EventRecord),
    Forget { list: List, until: UnixTime },
    Clear,
    Alarm(UnixTime),
}

/// What one life of an object has from outside.
pub struct RecordPorts {
    site: Rc<Shared>,
    process: Process,
    connection: Rc<str>,
}

impl DeliveryObjects {
    /// Asks whoever delivers `connection`'s webhooks, in the words that go over
    /// the wire.
    pub async fn ask(
        site: &Rc<Shared>,
        connection: &str,
        ask: &DeliveriesAsk,
    ) -> Result<DeliveriesReply, KeeperUnreachable> {
        let ask: DeliveriesAsk = site.deliveries.letter(ask);
        let promises = Self::promises(site, connection, &ask);
        let (process, deliveries) = Self::life(site, connection);
        let (sender, receiver) = oneshot::channel();
        site.world.spawn(process, async move {
            let _ = sender.send(deliveries.answer(&ask).await);
        });
        let reply = receiver.await.map_err(|_| KeeperUnreachable)?;
        if !matches!(reply, DeliveriesReply::Unavailable | DeliveriesReply::NotProven) {
            for id in &promises {
                site.deliveries.watch.promised(id, site.world.now());
            }
        }
        Ok(site.deliveries.letter(&reply))
    }

    fn letter<A: Serialize, B: DeserializeOwned>(&self, letter: &A) -> B {
        let text = serde_json::to_string(letter).expect("it can be written");
        let read = serde_json::from_str(&text).expect("it can be read");
        self.written.borrow_mut().push(text);
        read
    }

    fn life(site: &Rc<Shared>, connection: &str) -> (Process, Rc<Deliveries<RecordPorts>>) {
        site.deliveries.change(connection, |object| {
            let (process, deliveries) = object.life.get_or_insert_with(|| {
                let process = site.next_life();
                let ports = RecordPorts { site: Rc::clone(site), process, connection: connection.into() };
                (process, Deliveries::new(ports, site.config(), connection.to_owned()))
            });
            (*process, Rc::clone(deliveries))
        })
    }

    /// The records that are durable, by their times.
    pub fn stored(&self, connection: &str, list: List) -> Vec<EventRecord> {
        self.change(connection, |object| {
            let mut records: Vec<EventRecord> =
                object.durable.values().filter(|record| record.list == list).cloned().collect();
            records.sort_by(|one, other| (one.due, &one.id).cmp(&(other.due, &other.id)));
            records
        })
    }

    /// When the alarm goes off; nothing while its handler runs.
    pub fn alarm(&self, connection: &str) -> Option<UnixTime> {
        self.change(connection, |object| object.alarm.filter(|_| !object.is_ringing))
    }

    /// Ends the life of an object, wherever it is. What is not durable is lost.
    pub fn kill(site: &Rc<Shared>, connection: &str) {
        let life = site.deliveries.change(connection, |object| {
            object.queue.clear();
            object.seen = object.durable.clone();
            object.life.take()
        });
        if let Some((process, deliveries)) = life {
            site.deliveries.watch.trouble(site.world.now());
            site.world.kill(process);
            drop(deliveries);
        }
    }

    /// Ends every life.
    pub fn kill_all(site: &Rc<Shared>) {
        let connections: Vec<String> = site.deliveries.by_connection.borrow().keys().cloned().collect();
        for connection in connections {
            Self::kill(site, &connection);
        }
    }

    fn change<T>(&self, connection: &str, change: impl FnOnce(&mut Object) -> T) -> T {
        change(self.by_connection.borrow_mut().entry(connection.to_owned()).or_default())
    }

    /// The events that will be delivered if `ask` is answered: also those that
    /// were stored before.
    fn promises(site: &Rc<Shared>, connection: &str, ask: &DeliveriesAsk) -> Vec<String> {
        let (lists, id) = match ask {
            DeliveriesAsk::Accept { id, .. } => (&[List::Pending][..], Some(id)),
            DeliveriesAsk::SendAgain { id: None } => (&[List::Pending, List::Failed][..], None),
            DeliveriesAsk::SendAgain { id } => (&[List::Pending][..], id.as_ref()),
            DeliveriesAsk::List { .. } | DeliveriesAsk::Count | DeliveriesAsk::Clear => (&[][..], None),
        };
        let stored = lists.iter().flat_map(|list| site.deliveries.stored(connection, *list));
        stored.map(|record| record.id).chain(id.cloned()).collect()
    }

    /// Looks whether the alarm is set for all that is to be done, where nothing is
    /// under way.
    pub fn check_alarm(site: &Rc<Shared>, connection: &str) {
        let config = site.config();
        let has_webhooks = config.webhooks.get(connection).is_some_and(Option::is_some);
        let can_be = has_webhooks && config.sealing_keys.is_some();
        let watch = &site.deliveries.watch;
        site.deliveries.change(connection, |object| {
            let is_idle = Rc::strong_count(&object.busy) == 1 && !object.is_ringing;
            let promised = object.durable.values().filter(|record| watch.is_promised(&record.id));
            if let Some(due) = promised.map(|record| record.due).min().filter(|_| is_idle) {
                watch.armed(object.alarm, due, can_be, site.world.now());
            }
        });
    }
}
