//! What one life of an object has from outside. Its writes are read at once, and
//! become durable in their order, some time after they were asked for.

use std::future::{pending, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use futures_channel::oneshot;
use futures_util::future::{Either, LocalBoxFuture, select};

use super::{Busy, DeliveryObjects, Mishap, Object, RecordPorts, Table, Write};
use crate::ports::{
    Clock, Delivery, DeliveryAnswer, DeliveryPorts, Entropy, Log, PostFailure, StorageFailed,
};
use crate::protocol::{EventRecord, List, OperatorAsk, OperatorReply, event_record};
use crate::simulation::receiver::Post;
use crate::simulation::site::{PROVIDER, Shared};
use crate::time::UnixTime;

/// How many records are deleted at once.
const SOON_DELETED: usize = 3;

impl RecordPorts {
    /// What befalls the next operation.
    fn befalls(&self) -> Option<Mishap> {
        let objects = &self.site.deliveries;
        let number = objects.operations.replace(objects.operations.get() + 1);
        let planned = objects.mishap.get().filter(|(at, _)| *at == number);
        planned.map(|(_, mishap)| mishap)
    }

    /// The same, where it is an operation of the storage.
    fn befalls_storage(&self) -> Option<Mishap> {
        let world = &self.site.world;
        let drawn = world
            .happens(self.site.deliveries.failures.get())
            .then(|| if world.happens(500) { Mishap::FailsBefore } else { Mishap::FailsAfter });
        self.befalls().or(drawn)
    }

    /// Counts what is under way, until it is dropped.
    fn busy(&self) -> Busy {
        self.site.deliveries.change(&self.connection, |object| Rc::clone(&object.busy))
    }

    fn fails(&self) -> StorageFailed {
        self.site.deliveries.watch.trouble(self.site.world.now());
        StorageFailed
    }

    /// Ends this life.
    async fn end<T>(&self) -> T {
        let (site, connection) = (Rc::clone(&self.site), Rc::clone(&self.connection));
        self.site.world.spawn(PROVIDER, async move { DeliveryObjects::kill(&site, &connection) });
        pending().await
    }

    /// Lets others go on, for as long as half an operation takes.
    async fn hop(&self) {
        if !self.site.deliveries.instant.get() {
            return self.site.world.hop().await;
        }
        let mut has_waited = false;
        let others_first = |context: &mut Context<'_>| {
            context.waker().wake_by_ref();
            if std::mem::replace(&mut has_waited, true) { Poll::Ready(()) } else { Poll::Pending }
        };
        poll_fn(others_first).await;
    }

    async fn read<T>(&self, read: impl FnOnce(&Object) -> T) -> Result<T, StorageFailed> {
        let mishap = self.befalls_storage();
        let _busy = self.busy();
        self.hop().await;
        let found = self.site.deliveries.change(&self.connection, |object| read(object));
        self.hop().await;
        match mishap {
            None => Ok(found),
            Some(Mishap::FailsBefore | Mishap::FailsAfter) => Err(self.fails()),
            Some(Mishap::EndsBefore | Mishap::EndsAfter) => self.end().await,
        }
    }

    async fn write(&self, write: Write) -> Result<(), StorageFailed> {
        let mishap = self.befalls_storage();
        let _busy = self.busy();
        let number = self.site.world.unique();
        if mishap != Some(Mishap::FailsBefore) {
            self.site.deliveries.change(&self.connection, |object| {
                write.apply(&mut object.seen);
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
            None => Ok(()),
            Some(Mishap::FailsBefore | Mishap::FailsAfter) => Err(self.fails()),
            Some(Mishap::EndsBefore | Mishap::EndsAfter) => self.end().await,
        }
    }

    /// Makes durable what was asked for up to `number`.
    fn flush(&self, number: u64) {
        let objects = &self.site.deliveries;
        loop {
            let next = objects.change(&self.connection, |object| {
                object.queue.pop_front_if(|(next, _)| *next <= number).map(|(_, write)| write)
            });
            let Some(write) = next else { return };
            if let Write::Alarm(at) = write {
                DeliveryObjects::set(&self.site, &self.connection, at);
                continue;
            }
            self.note(&write);
            objects.change(&self.connection, |object| write.apply(&mut object.durable));
        }
    }

    /// Tells the watch what becomes durable.
    fn note(&self, write: &Write) {
        let (objects, now) = (&self.site.deliveries, self.site.world.now());
        match write {
            Write::Put(record) | Write::Update(record) => {
                let text = serde_json::to_string(record).expect("it can be written");
                objects.written.borrow_mut().extend([text, record.event.clone().unwrap_or_default()]);
                objects.watch.stored(record, self.body_of(record).as_deref(), now);
            }
            Write::Forget { list, until } => {
                let gone = objects.change(&self.connection, |object| over(&object.durable, *list, *until));
                for record in gone {
                    objects.watch.forgotten(&record, now);
                }
            }
            Write::Clear | Write::Alarm(_) => {}
        }
    }

    /// The event that a record holds, where it opens.
    fn body_of(&self, record: &EventRecord) -> Option<String> {
        let config = self.site.config();
        let name = event_record(&self.connection, &record.id);
        let opened = config.sealing_keys.as_ref()?.open(&name, record.event.as_ref()?).ok()?;
        Some(String::from_utf8(opened.to_vec()).expect("an event is a text"))
    }
}

impl Write {
    fn apply(&self, table: &mut Table) {
        match self {
            Self::Put(record) => drop(table.insert(record.id.clone(), record.clone())),
            Self::Update(record) => {
                if let Some(known) = table.get_mut(&record.id) {
                    let event = record.event.as_ref().and(known.event.take());
                    *known = EventRecord { event, ..record.clone() };
                }
            }
            Self::Forget { list, until } => {
                for record in over(table, *list, *until) {
                    table.remove(&record.id);
                }
            }
            Self::Clear => table.clear(),
            Self::Alarm(_) => {}
        }
    }
}

/// Some of the records of `list` whose time has come.
fn over(table: &Table, list: List, until: UnixTime) -> Vec<EventRecord> {
    let over = table.values().filter(|record| record.list == list && record.due <= until);
    over.take(SOON_DELETED).cloned().collect()
}

impl Clock for RecordPorts {
    fn now(&self) -> UnixTime {
        self.site.world.now()
    }
}

impl Entropy for RecordPorts {
    fn bytes<const N: usize>(&self) -> [u8; N] {
        self.site.bytes()
    }
}

impl Log for RecordPorts {
    fn line(&self, line: &str) {
        self.site.log(line);
    }
}

impl DeliveryPorts for RecordPorts {
    async fn record(&self, id: &str) -> Result<Option<EventRecord>, StorageFailed> {
        self.read(|object| object.seen.get(id).cloned()).await
    }

    async fn put_record(&self, record: &EventRecord) -> Result<(), StorageFailed> {
        self.write(Write::Put(record.clone())).await
    }

    async fn update_record(&self, record: &EventRecord) -> Result<(), StorageFailed> {
        self.write(Write::Update(record.clone())).await
    }

    async fn records(
        &self,
        list: List,
        after: Option<(UnixTime, &str)>,
        most: usize,
    ) -> Result<Vec<EventRecord>, StorageFailed> {
        let read = |object: &Object| {
            let of_list = object.seen.values().filter(|record| record.list == list);
            let mut found: Vec<&EventRecord> = of_list
                .filter(|record| after.is_none_or(|after| (record.due, &*record.id) > after))
                .collect();
            found.sort_by(|one, other| (one.due, &one.id).cmp(&(other.due, &other.id)));
            let first = found.into_iter().take(most);
            first.map(|record| EventRecord { event: None, ..record.clone() }).collect()
        };
        self.read(read).await
    }

    async fn forget(&self, list: List, until: UnixTime) -> Result<(), StorageFailed> {
        self.write(Write::Forget { list, until }).await
    }

    async fn count(&self, list: List) -> Result<u64, StorageFailed> {
        self.read(|object| object.seen.values().filter(|record| record.list == list).count() as u64).await
    }

    async fn clear(&self) -> Result<(), StorageFailed> {
        self.write(Write::Clear).await
    }

    async fn registration(&self) -> Result<Option<String>, StorageFailed> {
        match Shared::ask_operator(&self.site, &self.connection, &OperatorAsk::Registration).await {
            Ok(OperatorReply::Registration(record)) => Ok(record),
            _ => Err(StorageFailed),
        }
    }

    async fn earliest(&self) -> Result<Option<UnixTime>, StorageFailed> {
        self.read(|object| object.seen.values().map(|record| record.due).min()).await
    }

    async fn set_alarm(&self, at: UnixTime) -> Result<(), StorageFailed> {
        self.write(Write::Alarm(at)).await
    }

    fn spawn(&self, task: LocalBoxFuture<'static, ()>) {
        self.site.world.spawn(self.process, task);
    }

    /// The receiver goes on with it whatever becomes of the one who delivers.
    async fn deliver(&self, delivery: &Delivery<'_>) -> Result<DeliveryAnswer, PostFailure> {
        let (site, watch) = (&self.site, &self.site.deliveries.watch);
        let mishap = self.befalls();
        let _busy = self.busy();
        let post = Post::new(delivery);
        let id = post.id();
        let attempt = watch.attempt(&self.connection, &id, site.world.now());
        match mishap {
            Some(Mishap::EndsBefore) => return self.end().await,
            Some(Mishap::FailsBefore) => {
                site.world.hop().await;
                attempt.ends(None, site.world.now());
                return Err(PostFailure::Unreachable);
            }
            Some(Mishap::FailsAfter | Mishap::EndsAfter) | None => {}
        }
        let (sender, receiver) = oneshot::channel();
        let shared = Rc::clone(site);
        site.world.spawn(PROVIDER, async move {
            let _ = sender.send(shared.receiver.take(&shared.deliveries.watch, &post).await);
        });
        let deadline = pin!(site.world.sleep(delivery.timeout));
        let answer = match select(receiver, deadline).await {
            Either::Left((Ok(Some(answer)), _)) => Ok(answer),
            Either::Left(_) => Err(PostFailure::Unreachable),
            Either::Right(_) => Err(PostFailure::Timeout),
        };
        let answer = match mishap {
            Some(Mishap::EndsAfter) => return self.end().await,
            Some(Mishap::FailsAfter) => Err(PostFailure::Unreachable),
            Some(Mishap::EndsBefore | Mishap::FailsBefore) | None => answer,
        };
        attempt.ends(answer.as_ref().ok(), site.world.now());
        answer
    }
}
