//! The Durable Objects of people: their sessions, and the counters of refused
//! sign-ins. Each has one life at a time, and storage that outlives it.

mod ports;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use futures_channel::oneshot;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::site::{PROVIDER, Shared};
use super::world::Process;
use crate::objects::refusals::Refusals;
use crate::objects::session::Session;
use crate::ports::{KeeperUnreachable, StorageFailed};
use crate::protocol::{RefusalsAsk, RefusalsReply, SessionAsk, SessionReply};
use crate::time::UnixTime;

/// All of them, by name.
#[derive(Default)]
pub struct Objects {
    by_name: RefCell<BTreeMap<String, Object>>,
    /// All that was ever written or sent to them.
    pub written: RefCell<Vec<String>>,
    /// How often a session's record was stored.
    pub session_writes: Cell<u64>,
}

#[derive(Default)]
struct Object {
    durable: BTreeMap<String, String>,
    /// What was asked of the storage and is not durable yet, in its order.
    queue: VecDeque<(u64, Write)>,
    alarm: Option<UnixTime>,
    /// Until when the alarm sleeps.
    sleeps_until: Option<UnixTime>,
    life: Option<(Process, Core)>,
}

enum Write {
    Store { key: String, text: String },
    Clear,
    ClearAlarm,
    Lost,
}

#[derive(Clone)]
enum Core {
    Session(Rc<Session<ObjectPorts>>),
    Refusals(Rc<Refusals<ObjectPorts>>),
}

impl Core {
    async fn alarm(&self) -> Result<(), StorageFailed> {
        match self {
            Self::Session(session) => session.alarm().await,
            Self::Refusals(refusals) => refusals.alarm().await,
        }
    }
}

/// What one life of an object has from outside.
pub struct ObjectPorts {
    site: Rc<Shared>,
    process: Process,
    object: Rc<str>,
    key: String,
}

impl Objects {
    /// Asks the session called `name`, in the words that go over the wire.
    pub async fn ask_session(
        site: &Rc<Shared>,
        name: &str,
        ask: &SessionAsk,
    ) -> Result<SessionReply, KeeperUnreachable> {
        assert!(name.starts_with("session/"), "a session's name: {name}");
        let ask: SessionAsk = site.objects.deliver(ask);
        let (process, core) = Self::life(site, name);
        let Core::Session(session) = core else { panic!("{name} is no session") };
        let (sender, receiver) = oneshot::channel();
        site.world.spawn(process, async move {
            let _ = sender.send(session.answer(&ask).await);
        });
        let reply = receiver.await.map_err(|_| KeeperUnreachable)?;
        Ok(site.objects.deliver(&reply))
    }

    /// Asks the counter called `name`.
    pub async fn ask_refusals(
        site: &Rc<Shared>,
        name: &str,
        ask: RefusalsAsk,
    ) -> Result<RefusalsReply, KeeperUnreachable> {
        assert!(name.starts_with("refusals/"), "a counter's name: {name}");
        let ask: RefusalsAsk = site.objects.deliver(&ask);
        let (process, core) = Self::life(site, name);
        let Core::Refusals(refusals) = core else { panic!("{name} is no counter") };
        let (sender, receiver) = oneshot::channel();
        site.world.spawn(process, async move {
            let _ = sender.send(refusals.answer(ask).await);
        });
        let reply = receiver.await.map_err(|_| KeeperUnreachable)?;
        Ok(site.objects.deliver(&reply))
    }

    /// What was sent, as it arrives.
    pub fn deliver<A: Serialize, B: DeserializeOwned>(&self, letter: &A) -> B {
        let text = serde_json::to_string(letter).expect("it can be written");
        let read = serde_json::from_str(&text).expect("it can be read");
        self.written.borrow_mut().push(text);
        read
    }

    fn life(site: &Rc<Shared>, name: &str) -> (Process, Core) {
        let mut objects = site.objects.by_name.borrow_mut();
        let object = objects.entry(name.to_owned()).or_default();
        let (process, core) = object.life.get_or_insert_with(|| {
            let process = site.next_life();
            let ports = |key: &str| ObjectPorts {
                site: Rc::clone(site),
                process,
                object: name.into(),
                key: key.to_owned(),
            };
            let core = if name.starts_with("session/") {
                Core::Session(Session::new(ports("session"), site.config(), name.to_owned()))
            } else {
                Core::Refusals(Refusals::new(ports("refusals")))
            };
            (process, core)
        });
        (*process, core.clone())
    }

    /// The names of all that there ever were.
    pub fn names(&self, prefix: &str) -> Vec<String> {
        self.by_name.borrow().keys().filter(|name| name.starts_with(prefix)).cloned().collect()
    }

    /// What the object called `name` has stored.
    pub fn stored(&self, name: &str) -> BTreeMap<String, String> {
        self.by_name.borrow().get(name).map(|object| object.durable.clone()).unwrap_or_default()
    }

    /// When the alarm of the object called `name` goes off.
    pub fn alarm(&self, name: &str) -> Option<UnixTime> {
        self.by_name.borrow().get(name)?.alarm
    }

    /// Ends the life of the object called `name`, wherever it is. Of what it
    /// has not seen durable, the newest is lost.
    pub fn kill(site: &Rc<Shared>, name: &str) {
        let life = {
            let mut objects = site.objects.by_name.borrow_mut();
            let Some(object) = objects.get_mut(name) else { return };
            object.queue.clear();
            object.life.take()
        };
        if let Some((process, core)) = life {
            site.world.kill(process);
            drop(core);
        }
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

    /// Ends every life.
    pub fn kill_all(site: &Rc<Shared>) {
        for name in site.objects.names("") {
            Self::kill(site, &name);
        }
    }

    fn change<T>(&self, name: &str, change: impl FnOnce(&mut Object) -> T) -> T {
        change(self.by_name.borrow_mut().entry(name.to_owned()).or_default())
    }

    /// Calls the alarm when it is due, and again where it was cut off.
    fn watch_alarm(site: &Rc<Shared>, name: Rc<str>, until: UnixTime) {
        let site = Rc::clone(site);
        let world = site.world.clone();
        world.clone().spawn(PROVIDER, async move {
            let mut until = until;
            loop {
                world.sleep(until.since(world.now())).await;
                let due = site.objects.change(&name, |object| {
                    object.sleeps_until = object.alarm;
                    object.alarm
                });
                match due {
                    None => return,
                    Some(at) if world.now() < at => until = at,
                    Some(_) => {
                        site.objects
                            .change(&name, |object| (object.alarm, object.sleeps_until) = (None, None));
                        if !site.alarms.get() {
                            return;
                        }
                        let (process, core) = Self::life(&site, &name);
                        let (sender, receiver) = oneshot::channel();
                        world.spawn(process, async move {
                            // One that fails comes again, as one that is cut off does.
                            if core.alarm().await.is_ok() {
                                let _ = sender.send(());
                            }
                        });
                        if receiver.await.is_ok() {
                            return;
                        }
                        until = world.now() + Duration::from_secs(2);
                        let again = site.objects.change(&name, |object| {
                            let is_set = object.sleeps_until.is_some();
                            (object.alarm, object.sleeps_until) =
                                (object.alarm.or(Some(until)), object.sleeps_until.or(Some(until)));
                            !is_set
                        });
                        if !again {
                            return;
                        }
                    }
                }
            }
        });
    }
}
