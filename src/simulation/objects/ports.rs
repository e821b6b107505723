//! What one life of an object has from outside, and how its writes become
//! durable: in their order, some time after they were asked for.

use std::rc::Rc;
use std::time::Duration;

use futures_util::future::LocalBoxFuture;

use super::{ObjectPorts, Objects, Write};
use crate::oauth::TokenRequest;
use crate::ports::{
    Cache, CacheFailed, Clock, Entropy, KeeperPorts, Log, PostFailure, SessionPorts, StorageFailed,
    TokenAnswer,
};
use crate::simulation::object::send_token_request;
use crate::time::UnixTime;

impl ObjectPorts {
    /// Whether the next operation fails, and whether it has its effect.
    fn draw(&self) -> (bool, bool) {
        let fails = self.site.world.happens(self.site.storage_failures.get());
        (fails, !fails || self.site.world.happens(500))
    }

    /// Does `write` in its turn; durable when done.
    async fn write(&self, write: Write, fails: bool) -> Result<(), StorageFailed> {
        let number = self.site.world.unique();
        self.site.objects.change(&self.object, |object| object.queue.push_back((number, write)));
        self.site.world.hop().await;
        self.flush(number);
        self.site.world.hop().await;
        if fails { Err(StorageFailed) } else { Ok(()) }
    }

    /// Makes durable what was asked for up to `number`.
    fn flush(&self, number: u64) {
        let site = &self.site;
        loop {
            let next = site.objects.change(&self.object, |object| {
                object.queue.pop_front_if(|(next, _)| *next <= number).map(|(_, write)| write)
            });
            let Some(write) = next else { return };
            match write {
                Write::Store { key, text } => {
                    if key == "session" {
                        site.objects.session_writes.set(site.objects.session_writes.get() + 1);
                    }
                    site.objects.written.borrow_mut().push(text.clone());
                    site.note_persons_state(&self.object, &key, &text);
                    site.objects.change(&self.object, |object| object.durable.insert(key, text));
                }
                Write::Clear => {
                    site.crowd.cleared(&self.object);
                    site.objects.change(&self.object, |object| {
                        object.durable.clear();
                        object.alarm = None;
                    });
                }
                Write::ClearAlarm => site.objects.change(&self.object, |object| object.alarm = None),
                Write::Lost => {}
            }
        }
    }
}

impl Clock for ObjectPorts {
    fn now(&self) -> UnixTime {
        self.site.world.now()
    }
}

impl Entropy for ObjectPorts {
    fn bytes<const N: usize>(&self) -> [u8; N] {
        self.site.bytes()
    }
}

impl Log for ObjectPorts {
    fn line(&self, line: &str) {
        self.site.log(line);
    }
}

impl Cache for ObjectPorts {
    async fn read(&self, name: &str) -> Result<Option<String>, CacheFailed> {
        panic!("nothing of a person is in the cache: {name}");
    }

    async fn write(&self, name: &str, _: &str, _: UnixTime) -> Result<(), CacheFailed> {
        panic!("nothing of a person goes into the cache: {name}");
    }

    async fn delete(&self, name: &str) -> Result<(), CacheFailed> {
        panic!("nothing of a person is in the cache: {name}");
    }
}

impl KeeperPorts for ObjectPorts {
    async fn load(&self) -> Result<Option<String>, StorageFailed> {
        let fails = self.site.world.happens(self.site.storage_failures.get());
        // Storage is read as it is when asked, what is not durable yet included.
        let text = self.site.objects.change(&self.object, |object| {
            let mut text = object.durable.get(&self.key).cloned();
            for (_, write) in &object.queue {
                match write {
                    Write::Store { key, text: newer } if *key == self.key => text = Some(newer.clone()),
                    Write::Clear => text = None,
                    Write::Store { .. } | Write::ClearAlarm | Write::Lost => {}
                }
            }
            text
        });
        self.site.world.hop().await;
        if fails { Err(StorageFailed) } else { Ok(text) }
    }

    async fn store(&self, state: &str) -> Result<(), StorageFailed> {
        let (fails, takes_effect) = self.draw();
        let write = Write::Store { key: self.key.clone(), text: state.to_owned() };
        self.write(if takes_effect { write } else { Write::Lost }, fails).await
    }

    async fn clear(&self) -> Result<(), StorageFailed> {
        let (fails, takes_effect) = self.draw();
        if fails {
            self.site.crowd.not_cleared(&self.object);
        }
        let write = match (takes_effect, fails) {
            (true, _) => Write::Clear,
            (false, _) if self.site.world.happens(500) => Write::ClearAlarm,
            (false, _) => Write::Lost,
        };
        self.write(write, fails).await
    }

    async fn load_connection(&self) -> Result<Option<String>, StorageFailed> {
        panic!("nobody registers a connection with a person");
    }

    async fn store_connection(&self, _: &str) -> Result<(), StorageFailed> {
        panic!("nobody registers a connection with a person");
    }

    async fn set_alarm(&self, at: UnixTime) -> Result<(), StorageFailed> {
        self.site.world.hop().await;
        let (fails, takes_effect) = self.draw();
        if takes_effect {
            let sleeps = self.site.objects.change(&self.object, |object| {
                object.alarm = Some(at);
                let sleeps = object.sleeps_until.is_some_and(|until| until <= at);
                if !sleeps {
                    object.sleeps_until = Some(at);
                }
                sleeps
            });
            if !sleeps {
                Objects::watch_alarm(&self.site, Rc::clone(&self.object), at);
            }
        }
        if fails { Err(StorageFailed) } else { Ok(()) }
    }

    async fn request_token(
        &self,
        request: &TokenRequest,
        timeout: Duration,
    ) -> Result<TokenAnswer, PostFailure> {
        let flight = self.site.crowd.token_request(&self.object, request, &self.site.provider);
        let answer = send_token_request(&self.site, request, timeout).await;
        drop(flight);
        answer
    }

    fn spawn(&self, task: LocalBoxFuture<'static, ()>) {
        self.site.world.spawn(self.process, task);
    }
}

impl SessionPorts for ObjectPorts {
    fn below(&self, key: &str) -> Self {
        Self {
            site: Rc::clone(&self.site),
            process: self.process,
            object: Rc::clone(&self.object),
            key: format!("{}/{key}", self.key),
        }
    }
}
