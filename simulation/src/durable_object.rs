//! The Durable Objects of a site, of every kind. Each has one life at a time; its storage, its
//! tables and its alarm outlive it.

mod alarm;
mod life;
mod outgoing;
mod storage;
mod tables;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use futures_channel::oneshot;

use super::site::Shared;
use super::world::Process;
use alarm::Alarm;
use life::LifePorts;
use porteiro::config::Configured;
use porteiro::json;
use porteiro::objects::Object;
use porteiro::ports::ObjectUnreachable;
use porteiro::protocol::{DeliveriesAsk, DeliveriesReply, Envelope, EventRecord, List, ObjectKind};
use porteiro::time::UnixTime;
use storage::{Stored, Write};

/// The storage key of a keeper's state.
pub const STATE: &str = "state";

/// The storage key of a keeper's registration.
pub const CONNECTION: &str = "connection";

/// The storage key of what a keeper or a delivery queue told the operator.
pub const TOLD: &str = "told";

/// The storage key of a session's record; the keys of its token sets begin with it.
pub const SESSION: &str = "session";

/// All objects of a site, by name.
#[derive(Default)]
pub struct Objects {
    by_name: RefCell<BTreeMap<String, ObjectState>>,
    /// Every text that the objects stored, received or answered.
    pub written: RefCell<Vec<String>>,
    /// The number of messages sent to objects.
    pub exchanges: Cell<u64>,
    /// How often a message or its answer is lost, per mille.
    pub losses: Cell<u64>,
    /// How often a message about a budget arrives twice, per mille.
    pub repeats: Cell<u64>,
    /// How long an object takes to begin with a message about a budget.
    pub budget_takes: Cell<Duration>,
    /// Whether storage operations take no time.
    pub instant: Cell<bool>,
    /// How often a storage operation fails, per mille.
    pub failures: Cell<u64>,
    /// The number of operations so far: storage operations, and requests to servers.
    pub operations: Cell<u64>,
    /// The planned mishap, and the number of the operation that it affects.
    pub mishap: Cell<Option<(u64, Mishap)>>,
    /// Whether alarms never fire.
    pub no_alarms: Cell<bool>,
    /// How many times an alarm's handler was called.
    pub rings: Cell<u64>,
    /// How many times a session's own record became durable.
    pub session_writes: Cell<u64>,
}

/// A mishap of one operation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mishap {
    /// The operation fails without effect.
    FailsBefore,
    /// The operation fails, but takes effect.
    FailsAfter,
    /// The object's life ends before the operation takes effect.
    EndsBefore,
    /// The object's life ends after the operation took effect.
    EndsAfter,
}

/// An object across its lives.
#[derive(Default)]
struct ObjectState {
    /// The storage as the current life reads it: its own writes are visible at once.
    seen: Stored,
    durable: Stored,
    /// The writes that are not durable yet, in order.
    queue: VecDeque<(u64, Write)>,
    alarm: Alarm,
    /// Its reference count is the number of operations in flight, plus this one.
    busy: Busy,
    life: Option<(Process, Object<LifePorts>)>,
}

type Busy = Rc<()>;

impl Objects {
    /// The answer of the object called `name` to a message that has arrived.
    ///
    /// # Errors
    /// [`ObjectUnreachable`] if the answering life ends, or the message or its answer is lost.
    pub async fn exchange(
        site: &Rc<Shared>,
        name: &str,
        envelope: &str,
    ) -> Result<String, ObjectUnreachable> {
        let objects = &site.objects;
        objects.exchanges.set(objects.exchanges.get() + 1);
        objects.written.borrow_mut().push(envelope.to_owned());
        let read: Envelope = json::read(envelope.as_bytes()).expect("an envelope");
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
        let at_stake = site.consents_at_stake(&read);
        let asked = read.clone();
        let is_repeated = matches!(read, Envelope::Quota { .. }) && site.world.happens(objects.repeats.get());
        let takes = objects.budget_takes.get();
        let is_late = takes > Duration::ZERO && matches!(read, Envelope::Quota { .. });
        let pause = is_late.then(|| site.world.sleep(takes));
        site.world.spawn(process, async move {
            if let Some(pause) = pause {
                pause.await;
            }
            if is_repeated {
                object.answer(&read).await;
            }
            let _ = sender.send(object.answer(&read).await);
        });
        let answer = receiver.await.map_err(|_| ObjectUnreachable)?.expect("a message for this object");
        objects.written.borrow_mut().push(answer.clone());
        Self::keep(site, &promises, &answer);
        site.note_consent_reply(&asked, at_stake, &answer);
        if objects.loses(site) { Err(ObjectUnreachable) } else { Ok(answer) }
    }

    fn loses(&self, site: &Shared) -> bool {
        site.world.happens(self.losses.get())
    }

    /// The current life of the object called `name`; starts one of `kind` if there is none.
    fn life(site: &Rc<Shared>, name: &str, kind: &ObjectKind) -> (Process, Object<LifePorts>) {
        site.objects.change(name, |object| {
            let (process, instance) = object.life.get_or_insert_with(|| {
                let process = site.next_life();
                let ports = LifePorts::new(site, process, name, kind);
                (process, Object::open(kind, Rc::new(ports), site.config()))
            });
            (*process, instance.clone())
        })
    }

    /// Ends the life of the object called `name` at any point: writes that are not durable are
    /// lost.
    pub fn kill(site: &Rc<Shared>, name: &str) {
        let life = site.objects.by_name.borrow_mut().get_mut(name).and_then(|object| {
            object.queue.clear();
            object.seen = object.durable.clone();
            object.life.take()
        });
        let Some((process, instance)) = life else { return };
        match &instance {
            Object::Keeper(_) => {
                site.watch.keeper_failed();
                site.watch.grant_unsettled();
            }
            Object::Deliveries(_) => site.delivery_watch.trouble(site.world.now()),
            Object::Exchanged(_) => site.exchanges.troubled(name),
            Object::Session(_)
            | Object::Refusals(_)
            | Object::Index(_)
            | Object::OneTime(_)
            | Object::People(_) => {}
        }
        site.world.kill(process);
        drop(instance);
    }

    /// Ends the life of one object, drawn at random.
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

    /// The names of all objects so far that begin with `prefix`.
    pub fn names(&self, prefix: &str) -> Vec<String> {
        self.by_name.borrow().keys().filter(|name| name.starts_with(prefix)).cloned().collect()
    }

    /// The durable texts of the object called `name`, by key.
    pub fn texts(&self, name: &str) -> BTreeMap<String, String> {
        self.by_name.borrow().get(name).map(|object| object.durable.texts.clone()).unwrap_or_default()
    }

    /// The durable text under `key` of the object called `name`.
    pub fn text(&self, name: &str, key: &str) -> Option<String> {
        self.by_name.borrow().get(name)?.durable.texts.get(key).cloned()
    }

    /// Replaces a durable text without the object's knowledge, and ends its life.
    pub fn forge(site: &Rc<Shared>, name: &str, key: &str, text: &str) {
        site.objects.change(name, |object| object.durable.texts.insert(key.to_owned(), text.to_owned()));
        Self::kill(site, name);
    }

    /// The durable ids in the index.
    pub fn ids(&self) -> Vec<String> {
        let objects = self.by_name.borrow();
        objects.get("index").map(|index| index.durable.ids.iter().cloned().collect()).unwrap_or_default()
    }

    /// The durable records of a connection's events, in order of time.
    pub fn records(&self, connection: &str, list: List) -> Vec<EventRecord> {
        let objects = self.by_name.borrow();
        let Some(object) = objects.get(&deliveries(connection)) else { return Vec::new() };
        object.durable.records(list, None).into_iter().cloned().collect()
    }

    /// When the alarm of the object called `name` fires; `None` while its handler runs.
    pub fn alarm(&self, name: &str) -> Option<UnixTime> {
        self.by_name.borrow().get(name)?.alarm.due()
    }

    fn change<T>(&self, name: &str, change: impl FnOnce(&mut ObjectState) -> T) -> T {
        let mut objects = self.by_name.borrow_mut();
        if let Some(object) = objects.get_mut(name) {
            return change(object);
        }
        change(objects.entry(name.to_owned()).or_default())
    }

    /// The events whose delivery an answer to the message promises, including events stored
    /// earlier.
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

    /// Records the promises that an answer makes.
    fn keep(site: &Rc<Shared>, promises: &[String], answer: &str) {
        if promises.is_empty() {
            return;
        }
        let reply: DeliveriesReply = json::read(answer.as_bytes()).expect("a reply");
        if !matches!(reply, DeliveriesReply::Unavailable | DeliveriesReply::NotProven) {
            for id in promises {
                site.delivery_watch.promised(id, site.world.now());
            }
        }
    }

    /// Checks that the alarm of a connection's delivery queue covers all due work, unless
    /// operations are in flight.
    pub fn check_alarm(site: &Rc<Shared>, connection: &str) {
        let config = site.config();
        let has_webhooks = config.webhook(connection).is_some_and(Configured::is_usable);
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

/// The name of the delivery queue of a connection's webhooks.
pub fn deliveries(connection: &str) -> String {
    format!("deliveries/{connection}")
}

/// Fails unless `name` is the only name of an object of `kind`.
fn check_name(name: &str, kind: &ObjectKind) {
    let is_own = match kind {
        ObjectKind::Service(connection) => *name == keeper(connection),
        ObjectKind::Session(session) => name == session && name.starts_with("session/"),
        ObjectKind::Refusals => name.starts_with("refusals/"),
        ObjectKind::Deliveries(connection) => *name == deliveries(connection),
        ObjectKind::Index => name == "index",
        ObjectKind::Exchanged { name: own, .. } => name == own && name.starts_with("exchanged/"),
        ObjectKind::OneTime(own) => name == own && name.starts_with("one-time/"),
        ObjectKind::People(own) => name == own && name.starts_with("people/"),
    };
    assert!(is_own, "{name} is not the name of {kind:?}");
}
