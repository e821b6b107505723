//! What a call in one isolate has from outside.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use futures_util::future::LocalBoxFuture;
use zeroize::Zeroizing;

use super::site::{Shared, bearer};
use super::world::Process;
use crate::broker::keeper::{Ask, Reply};
use crate::broker::ports::{
    BodyFailure, Cache, CacheFailed, Clock, Document, DocumentUnreachable, Entropy, Inbound, Issuers,
    KeeperLink, KeeperUnreachable, Log, Ports, RateLimits, SignatureCheck, Upstream, UpstreamAnswer,
    UpstreamCall, UpstreamFailure,
};
use crate::broker::refusals::{RefusalsAsk, RefusalsReply};
use crate::broker::session::{SessionAsk, SessionReply};
use crate::config::RateLimit;
use crate::time::UnixTime;

/// The ports of one call.
pub struct CallPorts {
    pub site: Rc<Shared>,
    pub process: Process,
    /// The size of the request's body.
    pub body: usize,
    /// How often the call was sent to the upstream.
    pub sent: Cell<u32>,
}

impl Clock for CallPorts {
    fn now(&self) -> UnixTime {
        self.site.world.now()
    }
}

impl Entropy for CallPorts {
    fn bytes<const N: usize>(&self) -> [u8; N] {
        self.site.bytes()
    }
}

impl Log for CallPorts {
    fn line(&self, line: &str) {
        self.site.log(line);
    }
}

impl Cache for CallPorts {
    async fn read(&self, name: &str) -> Result<Option<String>, CacheFailed> {
        self.site.cache.read(self.process, name).await
    }

    async fn write(&self, name: &str, _: &str, _: UnixTime) -> Result<(), CacheFailed> {
        panic!("only the keeper writes to the cache, not a call: {name}");
    }
}

impl KeeperLink for CallPorts {
    async fn ask(&self, connection: &str, ask: &Ask) -> Result<Reply, KeeperUnreachable> {
        self.site.asks.set(self.site.asks.get() + 1);
        self.site.world.hop().await;
        let reply = Shared::ask(&self.site, connection, ask.clone()).await?;
        self.site.world.hop().await;
        Ok(reply)
    }

    async fn ask_session(&self, name: &str, _: &SessionAsk) -> Result<SessionReply, KeeperUnreachable> {
        panic!("nobody is signed in: {name}");
    }

    async fn ask_refusals(&self, name: &str, _: &RefusalsAsk) -> Result<RefusalsReply, KeeperUnreachable> {
        panic!("nobody signs in: {name}");
    }
}

impl Inbound for CallPorts {
    async fn body(&self, _: usize) -> Result<Zeroizing<Vec<u8>>, BodyFailure> {
        panic!("a proxied call's body is not read");
    }
}

impl Issuers for CallPorts {
    async fn fetch_document(&self, url: &str) -> Result<Document, DocumentUnreachable> {
        panic!("no caller has an issuer: {url}");
    }

    async fn verify(&self, _: &SignatureCheck<'_>) -> bool {
        panic!("no caller has an issuer");
    }

    async fn pause(&self, span: Duration) {
        self.site.world.sleep(span).await;
    }
}

impl RateLimits for CallPorts {
    async fn take(&self, _: RateLimit, _: &str) -> bool {
        true
    }
}

impl Upstream for CallPorts {
    type Response = String;

    async fn send(&self, call: &UpstreamCall<'_>) -> Result<UpstreamAnswer<String>, UpstreamFailure> {
        let again = self.sent.replace(self.sent.get() + 1) > 0;
        if again && call.replay_bytes.is_none_or(|limit| self.body > limit) {
            return Err(UpstreamFailure::BodyGone);
        }
        self.site.note_upstream_call(self.process, call);
        self.site.world.hop().await;
        let (status, fields) = self.site.upstream_answer(call);
        self.site.world.hop().await;
        self.site.watch.answered(self.process, &bearer(call), status == 401);
        Ok(UpstreamAnswer { status, fields, response: format!("answer {status}") })
    }

    fn discard(&self, _: String) {}
}

impl Ports for CallPorts {
    fn spawn(&self, task: LocalBoxFuture<'static, ()>) {
        self.site.world.spawn(self.process, task);
    }
}
