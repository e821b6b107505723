//! What a keeper has of the runtime. One of a person's token set can be cut
//! off, and has neither cache nor alarm.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use futures_util::future::LocalBoxFuture;

use crate::oauth::TokenRequest;
use crate::ports::{
    Cache, CacheFailed, Clock, Entropy, KeeperPorts, Log, PostFailure, StorageFailed, TokenAnswer,
};
use crate::time::UnixTime;

/// The ports of a keeper.
pub(super) struct Guarded<P> {
    ports: P,
    /// Whether a person's keeper is cut off: the session ended, or another
    /// sign-in took this one's place. A renewal still on its way must not bring
    /// the token set back. None where the token set is the connection's own.
    cut_off: Option<Rc<Cell<bool>>>,
}

impl<P> Guarded<P> {
    pub const fn new(ports: P, cut_off: Option<Rc<Cell<bool>>>) -> Self {
        Self { ports, cut_off }
    }

    fn is_cut_off(&self) -> bool {
        self.cut_off.as_ref().is_some_and(|cut_off| cut_off.get())
    }

    const fn is_persons(&self) -> bool {
        self.cut_off.is_some()
    }
}

impl<P: Clock> Clock for Guarded<P> {
    fn now(&self) -> UnixTime {
        self.ports.now()
    }
}

impl<P: Entropy> Entropy for Guarded<P> {
    fn bytes<const N: usize>(&self) -> [u8; N] {
        self.ports.bytes()
    }
}

impl<P: Log> Log for Guarded<P> {
    fn line(&self, line: &str) {
        self.ports.line(line);
    }
}

/// A person's tokens are cached nowhere: a sign-out would not reach them.
impl<P: Cache> Cache for Guarded<P> {
    async fn read(&self, name: &str) -> Result<Option<String>, CacheFailed> {
        if self.is_persons() { Ok(None) } else { self.ports.read(name).await }
    }

    async fn write(&self, name: &str, record: &str, expires_at: UnixTime) -> Result<(), CacheFailed> {
        if self.is_persons() { Ok(()) } else { self.ports.write(name, record, expires_at).await }
    }

    async fn delete(&self, name: &str) -> Result<(), CacheFailed> {
        if self.is_persons() { Ok(()) } else { self.ports.delete(name).await }
    }
}

impl<P: KeeperPorts> KeeperPorts for Guarded<P> {
    async fn load(&self) -> Result<Option<String>, StorageFailed> {
        if self.is_cut_off() { Ok(None) } else { self.ports.load().await }
    }

    async fn store(&self, state: &str) -> Result<(), StorageFailed> {
        if self.is_cut_off() { Err(StorageFailed) } else { self.ports.store(state).await }
    }

    async fn load_connection(&self) -> Result<Option<String>, StorageFailed> {
        if self.is_persons() { Ok(None) } else { self.ports.load_connection().await }
    }

    async fn store_connection(&self, registration: &str) -> Result<(), StorageFailed> {
        if self.is_persons() { Err(StorageFailed) } else { self.ports.store_connection(registration).await }
    }

    /// A person's is cleared with their session.
    async fn clear(&self) -> Result<(), StorageFailed> {
        if self.is_persons() { Err(StorageFailed) } else { self.ports.clear().await }
    }

    /// Nobody's tokens are renewed while they are away.
    async fn set_alarm(&self, at: UnixTime) -> Result<(), StorageFailed> {
        if self.is_persons() { Ok(()) } else { self.ports.set_alarm(at).await }
    }

    async fn request_token(
        &self,
        request: &TokenRequest,
        timeout: Duration,
    ) -> Result<TokenAnswer, PostFailure> {
        self.ports.request_token(request, timeout).await
    }

    fn spawn(&self, task: LocalBoxFuture<'static, ()>) {
        self.ports.spawn(task);
    }
}
