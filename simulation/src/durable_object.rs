//! The Durable Objects of a site, whatever kind they are of. Each has one life
//! at a time, and storage, tables and an alarm that outlive it.

mod alarm;
mod life;
mod outgoing;
mod storage;
mod tables;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use futures_channel::oneshot;

use super::site::Shared;
use super::world::Process;
use alarm::Alarm;
use life::LifePorts;
use porteiro::config::Configured;
use porteiro::objects::Object as Core;
use porteiro::ports::ObjectUnreachable;
use porteiro::protocol::{DeliveriesAsk, DeliveriesReply, Envelope, EventRecord, List, ObjectKind};
use porteiro::time::UnixTime;
use storage::{Kept, Write};

/// The storage key of a keeper's state, and of its registered connection.
pub const STATE: &str = "state";
pub const CONNECTION: &str = "connection";

/// The storage key of a session's record; those of its token sets follow it.
pub const SESSION: &str = "session";

/// All objects of a site, by name.
#[derive(Default)]
pub struct Objects {
    by_name: RefCell<BTreeMap<String, Object>>,
    /// All that was ever written by them, sent to them or answered by them.
    pub written: RefCell<Vec<String>>,
    /// How many messages were sent to them.
    pub exchanges: Cell<u64>,
    /// How often a message or its answer is lost, per mille.
    pub losses: Cell<u64>,
    /// Whether operations of the storage take no time at all.
    pub instant: Cell<bool>,
    /// How often an operation of the storage fails, per mille.
    pub failures: Cell<u64>,
    /// How many operations there were: of the storage, and requests to servers.
    pub operations: Cell<u64>,
    /// What befalls the operation of that number.
    pub mishap: Cell<Option<(u64, Mishap)>>,
    /// Whether alarms are never called.
    pub no_alarms: Cell<bool>,
    /// How often an alarm's handler was called.
    pub rings: Cell<u64>,
    /// How often a session's own record became durable.
    pub session_writes: Cell<u64>,
}

/// What can befall an operation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mishap {
    /// It fails, and has no effect.
    FailsBefore,
    /// It fails, and has had its effect.
    FailsAfter,
    /// The object's life ends before the operation has an effect.
    EndsBefore,
    /// The object's life ends when the operation has had its effect.
    EndsAfter,
}

#[derive(Default)]
struct Object {
    /// What the life that is now reads: its own writes at once.
    seen: Kept,
    durable: Kept,
    /// The writes that are not durable yet, in their order.
    queue: VecDeque<(u64, Write)>,
    alarm: Alarm,
    /// As many as there are operations under way, and one.
    busy: Busy,
    life: Option<(Process, Core<LifePorts>)>,
}

type Busy = Rc<()>;

impl Objects {
    /// What the object called `name` answers to a message that has arrived.
    ///
    /// # Errors
    /// [`ObjectUnreachable`] where the life ends that answers, or the message or
    /// its answer is lost.
    pub async fn exchange(
        site: &Rc<Shared>,
        name: &str,
        envelope: &str,
    ) -> Result<String, ObjectUnreachable> {
        let objects = &site.objects;
        objects.exchanges.set(objects.exchanges.get() + 1);
        objects.written.borrow_mut().push(envelope.to_owned());
        let read: Envelope = serde_json::from_str(envelope).expect("an envelope");
        check_name(name, &read.kind());
        if let Envelope::Service { .. } = read {
            site.asks.set(site.asks.get() + 1);
        }
        let promises = Self::promises(site, name, &read);
        if objects.loses(site) {
            return Err(ObjectUnreachable);
        }
        let (process, object) = Self::life(site, name, &read.kind());
        let (sender, receiver) = oneshot::channel();
        site.world.spawn(process, async move {
            let _ = sender.send(object.answer(&read).await);
        });
        let answer = receiver.await.map_err(|_| ObjectUnreachable)?.expect("a message for this object");
        objects.written.borrow_mut().push(answer.clone());
        Self::keep(site, &promises, &answer);
        if objects.loses(site) { Err(ObjectUnreachable) } else { Ok(answer) }
    }

    fn loses(&self, site: &Shared) -> bool {
        site.world.happens(self.losses.get())
    }

    /// The life that the object called `name` has now; it begins one as `kind`
    /// where it has none.
    fn life(site: &Rc<Shared>, name: &str, kind: &ObjectKind) -> (Process, Core<LifePorts>) {
        site.objects.change(name, |object| {
            let (process, core) = object.life.get_or_insert_with(|| {
                let process = site.next_life();
                let ports = LifePorts::new(site, process, name, kind);
                (process, Core::open(kind, Rc::new(ports), site.config()))
            });
            (*process, core.clone())
        })
    }

    /// Ends the life of the object called `name`, wherever it is: what is not
    /// durable is lost.
    pub fn kill(site: &Rc<Shared>, name: &str) {
        let life = site.objects.by_name.borrow_mut().get_mut(name).and_then(|object| {
            object.queue.clear();
            object.seen = object.durable.clone();
            object.life.take()
        });
        let Some((process, core)) = life else { return };
        match &core {
            Core::Keeper(_) => site.watch.keeper_failed(),
            Core::Deliveries(_) => site.delivery_watch.trouble(site.world.now()),
            Core::Session(_) | Core::Refusals(_) | Core::Index(_) => {}
        }
        site.world.kill(process);
        drop(core);
    }

    /// Ends one life, drawn by chance.
    pub fn kill_any(site: &Rc<Shared>) {
        let living: Vec<String> = {
            let objects = site.objects.by_name.borrow();
            objects.iter().filter(|(_, object)| object.life.is_some()).map(|(name, _)| name.clone()).collect()
        };
        if let Some(name) = living.get(usize::try_from(site.world.below(living.len() as u64)).expect("few")) {
            Self::kill(site, name);
        }
    }

    /// Ends the lives of all objects whose names begin with `prefix`.
    pub fn kill_all(site: &Rc<Shared>, prefix: &str) {
        for name in site.objects.names(prefix) {
            Self::kill(site, &name);
        }
    }

    /// The names of all objects that there ever were and that begin with `prefix`.
    pub fn names(&self, prefix: &str) -> Vec<String> {
        self.by_name.borrow().keys().filter(|name| name.starts_with(prefix)).cloned().collect()
    }

    /// The durable texts of the object called `name`, by key.
    pub fn texts(&self, name: &str) -> BTreeMap<String, String> {
        self.by_name.borrow().get(name).map(|object| object.durable.texts.clone()).unwrap_or_default()
    }

    /// The durable text that the object called `name` has under `key`.
    pub fn text(&self, name: &str, key: &str) -> Option<String> {
        self.by_name.borrow().get(name)?.durable.texts.get(key).cloned()
    }

    /// Replaces a durable text behind the back of the object, whose life ends.
    pub fn forge(site: &Rc<Shared>, name: &str, key: &str, text: &str) {
        site.objects.change(name, |object| object.durable.texts.insert(key.to_owned(), text.to_owned()));
        Self::kill(site, name);
    }

    /// The ids in the index that are durable.
    pub fn ids(&self) -> Vec<String> {
        let objects = self.by_name.borrow();
        objects.get("index").map(|index| index.durable.ids.iter().cloned().collect()).unwrap_or_default()
    }

    /// The durable records of a connection's events, by their times.
    pub fn records(&self, connection: &str, list: List) -> Vec<EventRecord> {
        let objects = self.by_name.borrow();
        let Some(object) = objects.get(&deliveries(connection)) else { return Vec::new() };
        object.durable.records(list, None).into_iter().cloned().collect()
    }

    /// When the alarm of the object called `name` is called; nothing while its
    /// handler runs.
    pub fn alarm(&self, name: &str) -> Option<UnixTime> {
        self.by_name.borrow().get(name)?.alarm.due()
    }

    fn change<T>(&self, name: &str, change: impl FnOnce(&mut Object) -> T) -> T {
        let mut objects = self.by_name.borrow_mut();
        if let Some(object) = objects.get_mut(name) {
            return change(object);
        }
        change(objects.entry(name.to_owned()).or_default())
    }

    /// The events that will be delivered if the message is answered: also those
    /// that were stored before.
    fn promises(site: &Rc<Shared>, name: &str, envelope: &Envelope) -> Vec<String> {
        let Envelope::Deliveries { connection, ask } = envelope else { return Vec::new() };
        debug_assert_eq!(name, deliveries(connection));
        let (lists, id) = match ask {
            DeliveriesAsk::Accept { id, .. } => (&[List::Pending][..], Some(id)),
            DeliveriesAsk::SendAgain { id: None } => (&[List::Pending, List::Failed][..], None),
            DeliveriesAsk::SendAgain { id } => (&[List::Pending][..], id.as_ref()),
            DeliveriesAsk::List { .. } | DeliveriesAsk::Count | DeliveriesAsk::Clear => (&[][..], None),
        };
        let stored = lists.iter().flat_map(|list| site.objects.records(connection, *list));
        stored.map(|record| record.id).chain(id.cloned()).collect()
    }

    /// Notes the promises that an answer makes.
    fn keep(site: &Rc<Shared>, promises: &[String], answer: &str) {
        if promises.is_empty() {
            return;
        }
        let reply: DeliveriesReply = serde_json::from_str(answer).expect("a reply");
        if !matches!(reply, DeliveriesReply::Unavailable | DeliveriesReply::NotProven) {
            for id in promises {
                site.delivery_watch.promised(id, site.world.now());
            }
        }
    }

    /// Checks that the alarm of a connection's deliveries is set for all that is
    /// to be done, where nothing is under way.
    pub fn check_alarm(site: &Rc<Shared>, connection: &str) {
        let config = site.config();
        let has_webhooks = config.webhooks.get(connection).is_some_and(Configured::is_usable);
        let can_be = has_webhooks && config.sealing_keys.is_some();
        let watch = &site.delivery_watch;
        site.objects.change(&deliveries(connection), |object| {
            let is_idle = Rc::strong_count(&object.busy) == 1 && !object.alarm.is_ringing;
            let promised = object.durable.records.values().filter(|record| watch.is_promised(&record.id));
            if let Some(due) = promised.map(|record| record.due).min().filter(|_| is_idle) {
                watch.armed(object.alarm.due(), due, can_be, site.world.now());
            }
        });
    }
}

/// The name of the keeper of a connection's own token set.
pub fn keeper(connection: &str) -> String {
    format!("service/{connection}")
}

/// The name of the object that delivers a connection's webhooks.
pub fn deliveries(connection: &str) -> String {
    format!("deliveries/{connection}")
}

/// An object that is `kind` has one name only.
fn check_name(name: &str, kind: &ObjectKind) {
    let is_own = match kind {
        ObjectKind::Service(connection) => *name == keeper(connection),
        ObjectKind::Session(session) => name == session && name.starts_with("session/"),
        ObjectKind::Refusals => name.starts_with("refusals/"),
        ObjectKind::Deliveries(connection) => *name == deliveries(connection),
        ObjectKind::Index => name == "index",
    };
    assert!(is_own, "{name} is not the name of {kind:?}");
}
