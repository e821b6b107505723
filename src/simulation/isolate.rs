//! What a call in one isolate has from outside.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use futures_util::future::LocalBoxFuture;
use zeroize::Zeroizing;

use super::crowd_watch::Visit;
use super::deliveries::DeliveryObjects;
use super::objects::Objects;
use super::site::{Shared, bearer};
use super::world::Process;
use crate::config::RateLimit;
use crate::objects::index::Index;
use crate::ports::{
    BodyFailure, Cache, CacheFailed, Clock, Document, DocumentUnreachable, Entropy, Inbound, IndexPorts,
    Issuers, KeeperLink, KeeperUnreachable, Log, Ports, RateLimits, Sender, SignatureCheck, StorageFailed,
    Upstream, UpstreamAnswer, UpstreamCall, UpstreamFailure,
};
use crate::protocol::{
    DeliveriesAsk, DeliveriesReply, IndexAsk, IndexReply, OperatorAsk, OperatorReply, RefusalsAsk,
    RefusalsReply, SessionAsk, SessionReply, TokenAsk, TokenReply,
};
use crate::time::UnixTime;

/// The ports of one call.
pub struct CallPorts {
    pub site: Rc<Shared>,
    pub process: Process,
    /// The size of the request's body.
    pub body: usize,
    /// The body, where the broker itself reads it.
    pub text: Option<String>,
    /// What the crowd's watch knows of the request.
    pub visit: Visit,
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

    async fn write(&self, name: &str, record: &str, expires_at: UnixTime) -> Result<(), CacheFailed> {
        assert!(name.starts_with("issuer-keys/"), "no call writes this to the cache: {name}");
        self.site.cache.write(name, record, expires_at).await
    }

    async fn delete(&self, name: &str) -> Result<(), CacheFailed> {
        panic!("no call deletes from the cache: {name}");
    }
}

impl KeeperLink for CallPorts {
    async fn ask(&self, connection: &str, ask: &TokenAsk) -> Result<TokenReply, KeeperUnreachable> {
        self.site.asks.set(self.site.asks.get() + 1);
        self.site.world.hop().await;
        let reply = Shared::ask(&self.site, connection, ask.clone()).await?;
        self.site.world.hop().await;
        Ok(reply)
    }

    async fn ask_operator(
        &self,
        connection: &str,
        ask: &OperatorAsk,
    ) -> Result<OperatorReply, KeeperUnreachable> {
        self.site.world.hop().await;
        let reply = Shared::ask_operator(&self.site, connection, ask).await?;
        self.site.world.hop().await;
        Ok(reply)
    }

    async fn ask_index(&self, ask: &IndexAsk) -> Result<IndexReply, KeeperUnreachable> {
        self.site.world.hop().await;
        let index = Index::new(IndexTable { site: Rc::clone(&self.site) });
        let reply = index.answer(&self.site.objects.deliver(ask)).await;
        Ok(self.site.objects.deliver(&reply))
    }

    async fn ask_session(&self, name: &str, ask: &SessionAsk) -> Result<SessionReply, KeeperUnreachable> {
        self.site.world.hop().await;
        let reply = Objects::ask_session(&self.site, name, ask).await?;
        self.site.world.hop().await;
        Ok(reply)
    }

    async fn ask_refusals(&self, name: &str, ask: &RefusalsAsk) -> Result<RefusalsReply, KeeperUnreachable> {
        self.site.world.hop().await;
        let reply = Objects::ask_refusals(&self.site, name, *ask).await?;
        self.site.world.hop().await;
        Ok(reply)
    }

    async fn ask_deliveries(
        &self,
        connection: &str,
        ask: &DeliveriesAsk,
    ) -> Result<DeliveriesReply, KeeperUnreachable> {
        self.site.world.hop().await;
        let reply = DeliveryObjects::ask(&self.site, connection, ask).await?;
        self.site.world.hop().await;
        Ok(reply)
    }
}

impl Inbound for CallPorts {
    async fn body(&self, max_bytes: usize, _: Sender) -> Result<Zeroizing<Vec<u8>>, BodyFailure> {
        let text = self.text.as_ref().expect("a proxied call's body is not read");
        self.site.world.hop().await;
        if text.len() > max_bytes {
            return Err(BodyFailure::TooLarge);
        }
        Ok(Zeroizing::new(text.as_bytes().to_vec()))
    }

    fn folded(&self, name: &str) -> String {
        name.trim().to_lowercase()
    }
}

impl Issuers for CallPorts {
    async fn fetch_document(&self, url: &str) -> Result<Document, DocumentUnreachable> {
        self.site.issuers.fetch(url).await
    }

    async fn verify(&self, check: &SignatureCheck<'_>) -> bool {
        self.site.world.hop().await;
        self.site.issuers.verify(check)
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
        let person = self.site.provider.person(&bearer(call));
        match &person {
            None => self.site.note_upstream_call(self.process, call),
            Some(person) => self.site.note_persons_call(&self.visit, person, call),
        }
        self.site.world.hop().await;
        let (status, fields) = self.site.upstream_answer(call);
        let takes = u64::try_from(self.site.provider.api_takes.get().as_millis()).expect("a short time");
        if takes > 0 {
            self.site.world.sleep(Duration::from_millis(self.site.world.below(takes))).await;
        }
        self.site.world.hop().await;
        let response = match &person {
            None => {
                let is_refused = status == self.site.provider.refuses_by.get() || status == 401;
                let is_about_call = Shared::is_forbidden(call.url);
                self.site.watch.answered(self.process, &bearer(call), is_refused, is_about_call);
                format!("answer {status}")
            }
            Some(person) => format!("answer {status} for {person}"),
        };
        Ok(UpstreamAnswer { status, fields, response })
    }

    fn discard(&self, _: String) {}
}

impl Ports for CallPorts {
    fn spawn(&self, task: LocalBoxFuture<'static, ()>) {
        self.site.world.spawn(self.process, task);
    }
}

/// The storage of the index of registered connections.
struct IndexTable {
    site: Rc<Shared>,
}

impl IndexPorts for IndexTable {
    async fn add(&self, id: &str) -> Result<bool, StorageFailed> {
        self.write(|index| index.insert(id.to_owned())).await
    }

    async fn remove(&self, id: &str) -> Result<bool, StorageFailed> {
        self.write(|index| index.remove(id)).await
    }

    async fn ids(&self, after: &str, most: usize) -> Result<Vec<String>, StorageFailed> {
        self.site.world.hop().await;
        let index = self.site.index.borrow();
        Ok(index.iter().filter(|id| id.as_str() > after).take(most).cloned().collect())
    }
}

impl IndexTable {
    async fn write(&self, write: impl FnOnce(&mut BTreeSet<String>) -> bool) -> Result<bool, StorageFailed> {
        self.site.world.hop().await;
        let fails = self.site.world.happens(self.site.storage_failures.get());
        let mut changed = false;
        if !fails || self.site.world.happens(500) {
            changed = write(&mut self.site.index.borrow_mut());
        }
        if fails { Err(StorageFailed) } else { Ok(changed) }
    }
}
