//! The ports of one life of an object. The life reads its own writes at once; they become durable
//! in order, some time after they were requested.

use std::future::{pending, poll_fn};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::LocalBoxFuture;

use super::storage::{Stored, Write};
use super::{Busy, CONNECTION, Mishap, Objects, SESSION, STATE, TOLD};
use crate::provider::proofs::signature;
use crate::site::{PROVIDER, Shared};
use crate::world::Process;
use porteiro::config::SigningKey;
use porteiro::json;
use porteiro::ports::{
    Cache, CacheFailed, Host, ObjectUnreachable, Objects as Messages, SignatureCheck, Signer, Storage,
    StorageFailed, Verifier,
};
use porteiro::protocol::{OPERATOR, ObjectKind};
use porteiro::time::UnixTime;

/// The ports of one life of an object.
pub struct LifePorts {
    pub(super) site: Rc<Shared>,
    process: Process,
    pub(super) name: Rc<str>,
    pub(super) kind: ObjectKind,
}

impl LifePorts {
    pub(super) fn new(site: &Rc<Shared>, process: Process, name: &str, kind: &ObjectKind) -> Self {
        Self { site: Rc::clone(site), process, name: name.into(), kind: kind.clone() }
    }

    /// The planned mishap of the next operation.
    pub(super) fn planned_mishap(&self) -> Option<Mishap> {
        let objects = &self.site.objects;
        let number = objects.operations.replace(objects.operations.get() + 1);
        objects.mishap.get().filter(|(at, _)| *at == number).map(|(_, mishap)| mishap)
    }

    /// The mishap of the next storage operation, planned or random.
    fn next_mishap(&self) -> Option<Mishap> {
        let world = &self.site.world;
        let drawn = world
            .happens(self.site.objects.failures.get())
            .then(|| if world.happens(500) { Mishap::FailsBefore } else { Mishap::FailsAfter });
        self.planned_mishap().or(drawn)
    }

    /// Counts an operation as in flight until the guard is dropped.
    pub(super) fn busy(&self) -> Busy {
        self.site.objects.change(&self.name, |object| Rc::clone(&object.busy))
    }

    /// Ends the current life.
    pub(super) async fn end<T>(&self) -> T {
        let (site, name) = (Rc::clone(&self.site), Rc::clone(&self.name));
        self.site.world.spawn(PROVIDER, async move { Objects::kill(&site, &name) });
        pending().await
    }

    /// Yields to other tasks for half the duration of an operation.
    async fn hop(&self) {
        if !self.site.objects.instant.get() {
            return self.site.world.hop().await;
        }
        let mut has_waited = false;
        let others_first = |context: &mut Context<'_>| {
            context.waker().wake_by_ref();
            if std::mem::replace(&mut has_waited, true) { Poll::Ready(()) } else { Poll::Pending }
        };
        poll_fn(others_first).await;
    }

    /// Reads the storage as of the time of the request.
    pub(super) async fn read<T>(&self, read: impl FnOnce(&Stored) -> T) -> Result<T, StorageFailed> {
        let mishap = self.next_mishap();
        let _busy = self.busy();
        let found = self.site.objects.change(&self.name, |object| read(&object.seen));
        self.hop().await;
        match mishap {
            None => Ok(found),
            Some(Mishap::FailsBefore | Mishap::FailsAfter) => {
                self.note_failed();
                Err(StorageFailed)
            }
            Some(Mishap::EndsBefore | Mishap::EndsAfter) => self.end().await,
        }
    }

    pub(super) async fn write(&self, write: Write) -> Result<bool, StorageFailed> {
        let mishap = self.next_mishap();
        self.write_with(write, mishap).await
    }

    /// Applies `write` under `mishap`; the write is durable on return. `true` if it changed a table
    /// of ids.
    async fn write_with(&self, write: Write, mishap: Option<Mishap>) -> Result<bool, StorageFailed> {
        let fails = matches!(mishap, Some(Mishap::FailsBefore | Mishap::FailsAfter));
        if fails {
            self.note_failing_write(&write);
        }
        let _busy = self.busy();
        let number = self.site.world.unique();
        let mut is_news = false;
        if mishap != Some(Mishap::FailsBefore) {
            self.site.objects.change(&self.name, |object| {
                is_news = write.apply(&mut object.seen);
                if let Write::AddId(id) = &write {
                    self.site.registry_watch.added(id, self.site.world.now());
                }
                object.queue.push_back((number, write));
            });
        }
        self.hop().await;
        if mishap == Some(Mishap::EndsBefore) {
            return self.end().await;
        }
        self.flush(number);
        self.hop().await;
        match mishap {
            Some(Mishap::EndsBefore | Mishap::EndsAfter) => self.end().await,
            _ if fails => {
                self.note_failed();
                Err(StorageFailed)
            }
            _ => Ok(is_news),
        }
    }

    /// Makes all writes up to `number` durable.
    fn flush(&self, number: u64) {
        let objects = &self.site.objects;
        loop {
            let next = objects.change(&self.name, |object| {
                object.queue.front().filter(|(next, _)| *next <= number)?;
                object.queue.pop_front().map(|(_, write)| write)
            });
            let Some(write) = next else { return };
            self.note_durable(&write);
            objects.change(&self.name, |object| {
                write.apply(&mut object.durable);
                if matches!(write, Write::Clear | Write::ClearAlarm) {
                    object.alarm.clear();
                }
            });
            if let Write::SetAlarm { at, .. } = write {
                Objects::set_alarm(&self.site, &self.name, at);
            }
        }
    }

    /// Fails if objects of this kind store nothing under `key`.
    fn check_key(&self, key: &str) {
        let is_own = match &self.kind {
            ObjectKind::Service(_) => [STATE, CONNECTION, TOLD, "quota"].contains(&key),
            ObjectKind::Exchanged { .. } => key == STATE,
            ObjectKind::Session(_) => {
                key.strip_prefix(SESSION).is_some_and(|below| below.is_empty() || below.starts_with('/'))
            }
            ObjectKind::Refusals => key == "refusals",
            ObjectKind::OneTime(_) => key == "record",
            ObjectKind::People(_) => key == "sessions",
            ObjectKind::Deliveries(connection) => key == if connection == OPERATOR { "last" } else { TOLD },
            ObjectKind::Index => false,
        };
        assert!(is_own, "{:?} keeps nothing under {key}", self.kind);
    }

    /// Fails if the object may not use the cache because its data belongs to people or to their
    /// events.
    fn check_cache(&self, name: &str) {
        let is_of_issuer = name.starts_with("issuer-keys/") || name.starts_with("issuer-metadata/");
        let is_allowed = (matches!(self.kind, ObjectKind::Service(_)) && !name.contains("session/"))
            || (matches!(self.kind, ObjectKind::Session(_)) && is_of_issuer);
        assert!(is_allowed, "{:?} has nothing in the cache: {name}", self.kind);
    }
}

impl Signer for LifePorts {
    async fn sign(&self, key: &SigningKey, input: &str) -> Option<Vec<u8>> {
        self.hop().await;
        self.site.signs.get().then(|| signature(key, input))
    }
}

impl Verifier for LifePorts {
    async fn verify(&self, check: &SignatureCheck<'_>) -> bool {
        self.hop().await;
        self.site.issuers.verify(check)
    }
}

impl Host for LifePorts {
    fn now(&self) -> UnixTime {
        self.site.world.now() - Duration::from_millis(self.site.lag.get())
    }

    fn bytes<const N: usize>(&self) -> [u8; N] {
        self.site.bytes()
    }

    fn log(&self, line: &str) {
        self.site.log(line);
    }

    fn spawn(&self, task: LocalBoxFuture<'static, ()>) {
        self.site.world.spawn(self.process, task);
    }

    async fn sleep(&self, span: Duration) {
        self.site.world.sleep(span).await;
    }
}

impl Cache for LifePorts {
    async fn read(&self, name: &str) -> Result<Option<String>, CacheFailed> {
        self.check_cache(name);
        self.site.cache.read(self.process, name).await
    }

    async fn write(&self, name: &str, record: &str, expires_at: UnixTime) -> Result<(), CacheFailed> {
        self.check_cache(name);
        self.site.note_cached(name, record);
        self.site.cache.write(name, record, expires_at).await
    }

    async fn delete(&self, name: &str) -> Result<(), CacheFailed> {
        self.check_cache(name);
        self.site.cache.delete(name).await
    }
}

impl Storage for LifePorts {
    async fn get(&self, key: &str) -> Result<Option<String>, StorageFailed> {
        self.check_key(key);
        self.read(|stored| stored.texts.get(key).cloned()).await
    }

    async fn put(&self, key: &str, text: &str) -> Result<(), StorageFailed> {
        self.check_key(key);
        self.write(Write::Put { key: key.to_owned(), text: text.to_owned() }).await.map(drop)
    }

    async fn put_both(&self, texts: [(&str, &str); 2]) -> Result<(), StorageFailed> {
        for (key, _) in &texts {
            self.check_key(key);
        }
        let texts = texts.map(|(key, text)| (key.to_owned(), text.to_owned()));
        self.write(Write::PutBoth(texts)).await.map(drop)
    }

    async fn clear(&self) -> Result<(), StorageFailed> {
        let mishap = self.next_mishap();
        let is_drawn = self.site.objects.mishap.get().is_none();
        // A deletion that fails may have deleted one part of the data.
        let (write, mishap) = match mishap {
            Some(Mishap::FailsBefore) if is_drawn => match self.site.world.below(3) {
                0 => (Write::ClearTexts, Some(Mishap::FailsAfter)),
                1 => (Write::ClearAlarm, Some(Mishap::FailsAfter)),
                _ => (Write::Clear, mishap),
            },
            _ => (Write::Clear, mishap),
        };
        self.write_with(write, mishap).await.map(drop)
    }

    async fn set_alarm(&self, at: UnixTime) -> Result<(), StorageFailed> {
        let kind = json::text(&self.kind);
        self.write(Write::SetAlarm { kind, at }).await.map(drop)
    }
}

impl Messages for LifePorts {
    /// A message that has not arrived when the sender's life ends is lost with it: a later arrival
    /// could conflict with changes of the next life.
    async fn exchange(&self, name: &str, envelope: &str) -> Result<String, ObjectUnreachable> {
        let _busy = self.busy();
        self.site.world.hop().await;
        let answer = Objects::exchange(&self.site, name, envelope).await;
        self.site.world.hop().await;
        answer
    }
}
