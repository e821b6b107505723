//! The keeper's Durable Object: one life at a time, and storage that outlives it.

use std::rc::Rc;
use std::time::Duration;

use futures_channel::oneshot;
use futures_util::future::{Either, LocalBoxFuture, select};
use std::pin::pin;

use super::site::Shared;
use super::world::Process;
use crate::oauth::TokenRequest;
use crate::ports::{
    Cache, CacheFailed, Clock, Entropy, KeeperPorts, Log, PostFailure, StorageFailed, TokenAnswer,
};
use crate::time::UnixTime;

/// The keys of a keeper's storage.
pub const STATE: &str = "state";
pub const CONNECTION: &str = "connection";

/// What one life of the keeper has from outside.
pub struct ObjectPorts {
    pub site: Rc<Shared>,
    pub process: Process,
    pub connection: Rc<str>,
}

impl ObjectPorts {
    /// Replaces what is stored under `key`, or fails, or both.
    async fn put(&self, key: &str, text: Option<&str>) -> Result<(), StorageFailed> {
        self.site.world.hop().await;
        let fails = self.site.world.happens(self.site.storage_failures.get());
        if fails {
            self.site.watch.keeper_failed();
        }
        if !fails || self.site.world.happens(500) {
            self.site.note_stored(&self.connection, key, text);
        }
        self.site.world.hop().await;
        if fails { Err(StorageFailed) } else { Ok(()) }
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
        self.site.cache.read(self.process, name).await
    }

    async fn write(&self, name: &str, record: &str, expires_at: UnixTime) -> Result<(), CacheFailed> {
        self.site.note_cached(name, record);
        self.site.cache.write(name, record, expires_at).await
    }

    async fn delete(&self, name: &str) -> Result<(), CacheFailed> {
        self.site.cache.delete(name).await
    }
}

impl KeeperPorts for ObjectPorts {
    async fn load(&self) -> Result<Option<String>, StorageFailed> {
        self.site.world.hop().await;
        Ok(self.site.stored(&self.connection, STATE))
    }

    async fn store(&self, state: &str) -> Result<(), StorageFailed> {
        self.put(STATE, Some(state)).await
    }

    async fn load_connection(&self) -> Result<Option<String>, StorageFailed> {
        self.site.world.hop().await;
        Ok(self.site.stored(&self.connection, CONNECTION))
    }

    async fn store_connection(&self, registration: &str) -> Result<(), StorageFailed> {
        self.put(CONNECTION, Some(registration)).await
    }

    async fn clear(&self) -> Result<(), StorageFailed> {
        self.put(STATE, None).await?;
        self.put(CONNECTION, None).await
    }

    async fn set_alarm(&self, at: UnixTime) -> Result<(), StorageFailed> {
        self.site.world.hop().await;
        // The others stay as cold as they get.
        if &*self.connection == "acme" {
            Shared::set_alarm(&self.site, at);
        }
        Ok(())
    }

    async fn request_token(
        &self,
        request: &TokenRequest,
        timeout: Duration,
    ) -> Result<TokenAnswer, PostFailure> {
        let refresh_token = refresh_token(request);
        let flight = self.site.enter_token_endpoint(refresh_token.as_deref());
        let answer = send_token_request(&self.site, request, timeout).await;
        drop(flight);
        if let (None, Ok(answer)) = (&refresh_token, &answer)
            && answer.status == 400
        {
            self.site.watch.rejected(self.site.world.now());
        }
        if let (Some(refresh_token), Ok(answer)) = (refresh_token, &answer) {
            // Whether another 5xx had an effect is not known, nor what nonsense means.
            if matches!(answer.status, 400 | 429 | 503) || answer.body.starts_with(b"{") {
                self.site.watch.refresh_settled(&refresh_token);
            }
        }
        answer
    }

    fn spawn(&self, task: LocalBoxFuture<'static, ()>) {
        self.site.world.spawn(self.process, task);
    }
}

/// Sends a token request over the network. The provider goes on with it whatever
/// becomes of the one who asks.
pub async fn send_token_request(
    site: &Rc<Shared>,
    request: &TokenRequest,
    timeout: Duration,
) -> Result<TokenAnswer, PostFailure> {
    let (sender, receiver) = oneshot::channel();
    let (provider, copy) = (Rc::clone(site), copy(request));
    site.world.spawn(super::site::PROVIDER, async move {
        let _ = sender.send(provider.provider.token(&copy).await);
    });
    let deadline = pin!(site.world.sleep(timeout));
    match select(receiver, deadline).await {
        Either::Left((Ok(Ok(answer)), _)) => Ok(answer),
        Either::Left(_) => Err(PostFailure::Unreachable),
        Either::Right(_) => Err(PostFailure::Timeout),
    }
}

/// The refresh token that a request carries.
pub fn refresh_token(request: &TokenRequest) -> Option<String> {
    let body = request.body.expose().as_bytes();
    let mut fields = url::form_urlencoded::parse(body);
    fields.find(|(name, _)| name == "refresh_token").map(|(_, value)| value.into_owned())
}

fn copy(request: &TokenRequest) -> TokenRequest {
    TokenRequest {
        url: request.url.clone(),
        content_type: request.content_type,
        authorization: request.authorization.clone(),
        body: request.body.clone(),
    }
}
