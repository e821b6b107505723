//! The ports of one call in an isolate.

use std::any::Any;
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{Either, LocalBoxFuture, select};
use zeroize::Zeroizing;

use super::crowd_watch::Visit;
use super::issuer::Subject;
use super::network::{Sent, deliver};
use super::site::{Shared, bearer};
use super::world::Process;
use crate::provider::proofs::signature;
use porteiro::config::{RateLimit, SigningKey};
use porteiro::ports::{
    BodyFailure, Cache, CacheFailed, CallRole, Host, Http, HttpAnswer, HttpFailure, HttpRequest, Inbound,
    KeptBody, OWN_BODY, ObjectUnreachable, Objects, RateLimits, Sender, SignatureCheck, Signer, Upstream,
    UpstreamAnswer, UpstreamCall, UpstreamFailure, Verifier,
};
use porteiro::time::UnixTime;

/// The ports of one call.
pub struct CallPorts {
    /// The site.
    pub site: Rc<Shared>,
    /// The isolate.
    pub process: Process,
    /// The size of the request's body.
    pub body: usize,
    /// The body, if the broker itself reads it.
    pub text: Option<String>,
    /// What the crowd watch knows of the request.
    pub visit: Visit,
    /// Whom the request's token names, if it has one of an issuer.
    pub subject: Option<Subject>,
    /// The request's credentials.
    pub credentials: String,
    /// How many times the call was sent to the upstream.
    pub sent: Cell<u32>,
}

impl CallPorts {
    /// Waits until the whole body is there.
    fn upload(&self) -> LocalBoxFuture<'static, ()> {
        let end = self.visit.begun_at + self.site.upload_takes.get();
        let rest = if self.body > 0 { end.since(self.site.world.now()) } else { Duration::ZERO };
        self.site.world.sleep(rest).boxed_local()
    }
}

impl Host for CallPorts {
    fn now(&self) -> UnixTime {
        let ahead = self.site.skews.borrow().get(&self.process).copied().unwrap_or_default();
        UnixTime::from_millis(self.site.world.now().as_millis().saturating_add_signed(ahead))
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

impl Cache for CallPorts {
    async fn read(&self, name: &str) -> Result<Option<String>, CacheFailed> {
        self.site.cache.read(self.process, name).await
    }

    async fn write(&self, name: &str, record: &str, expires_at: UnixTime) -> Result<(), CacheFailed> {
        let is_of_issuer = name.starts_with("issuer-keys/") || name.starts_with("issuer-metadata/");
        assert!(is_of_issuer, "no call writes this to the cache: {name}");
        self.site.cache.write(name, record, expires_at).await
    }

    async fn delete(&self, name: &str) -> Result<(), CacheFailed> {
        panic!("no call deletes from the cache: {name}");
    }
}

impl Objects for CallPorts {
    async fn exchange(&self, name: &str, envelope: &str) -> Result<String, ObjectUnreachable> {
        self.site.send_message(name, envelope).await
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

    async fn peek(&self, max_bytes: usize, sender: Sender) -> Result<Zeroizing<Vec<u8>>, BodyFailure> {
        if self.text.is_some() {
            return self.body(max_bytes, sender).await;
        }
        self.site.world.hop().await;
        if self.body > max_bytes {
            Err(BodyFailure::TooLarge)
        } else {
            Ok(Zeroizing::new(vec![b'x'; self.body]))
        }
    }

    fn folded(&self, name: &str) -> String {
        name.trim().to_lowercase()
    }
}

impl Http for CallPorts {
    async fn send(&self, request: &HttpRequest<'_>) -> Result<HttpAnswer, HttpFailure> {
        deliver(&self.site, Sent::new(request), async |site, sent| site.issuers.fetch(&sent).await).await
    }
}

impl Verifier for CallPorts {
    async fn verify(&self, check: &SignatureCheck<'_>) -> bool {
        self.site.world.hop().await;
        self.site.issuers.verify(check)
    }
}

impl Signer for CallPorts {
    async fn sign(&self, key: &SigningKey, input: &str) -> Option<Vec<u8>> {
        self.site.world.hop().await;
        self.site.signs.get().then(|| signature(key, input))
    }
}

impl RateLimits for CallPorts {
    async fn take(&self, _: RateLimit, _: &str) -> bool {
        true
    }
}

impl Upstream for CallPorts {
    type Response = String;

    async fn pass_on(&self, call: &UpstreamCall<'_>) -> Result<UpstreamAnswer<String>, UpstreamFailure> {
        let is_kept = call.replay_bytes.is_some_and(|limit| self.body <= limit);
        if call.role == CallRole::Waits(OWN_BODY) {
            let limit = self.site.world.sleep(call.timeout).boxed_local();
            let body = self.upload();
            return Err(match select(limit, body).await {
                Either::Left(_) => UpstreamFailure::Timeout,
                Either::Right(_) if self.body > 0 && !is_kept => UpstreamFailure::BodyGone,
                Either::Right(_) => UpstreamFailure::Unreachable,
            });
        }
        if let CallRole::Waits(flight) = call.role {
            let end = self.now() + call.timeout;
            while self.now() < end && !self.site.landed.borrow().contains(&(self.process, flight)) {
                self.site.world.sleep(Duration::from_millis(1)).await;
            }
            return Err(UpstreamFailure::Unreachable);
        }
        let again = self.sent.replace(self.sent.get() + 1) > 0;
        if again && !is_kept {
            return Err(UpstreamFailure::BodyGone);
        }
        if again {
            self.upload().await;
        }
        self.site.budget.sends(self.site.world.now());
        let person = self.site.provider.person(&bearer(call));
        let consented = self.site.provider.consented(&bearer(call));
        let exchanged = self.site.provider.exchanged_for(&bearer(call));
        match &person {
            None if consented.is_some() => self.site.note_consented_call(&self.visit, call),
            None if exchanged.is_some() => self.site.note_exchanged_call(self.subject.as_ref(), call),
            None => self.site.note_upstream_call(self.process, self.visit.begun_at, call),
            Some(person) => self.site.note_persons_call(&self.visit, person, call),
        }
        self.site.world.hop().await;
        let (status, fields, refusal) = self.site.upstream_answer(call);
        if status == 0 {
            return Err(UpstreamFailure::Unreachable);
        }
        let takes = u64::try_from(self.site.provider.api_takes.get().as_millis()).expect("a short time");
        if takes > 0 {
            self.site.world.sleep(Duration::from_millis(self.site.world.below(takes))).await;
        }
        self.site.world.hop().await;
        let response = match &person {
            None if consented.is_some() => {
                format!("answer {status} for {}", consented.map(|of| of.subject).unwrap_or_default())
            }
            None if exchanged.is_some() => {
                format!("answer {status} for {}", exchanged.map(|subject| subject.name).unwrap_or_default())
            }
            None => {
                let is_refused = status == 401 || refusal.is_some();
                let is_about_call = Shared::is_forbidden(call.url);
                self.site.watch.answered(self.process, &bearer(call), is_refused, is_about_call);
                match refusal {
                    Some(body) if !body.is_empty() => body.to_owned(),
                    _ => {
                        let scripted = self.site.upstream_body.borrow().clone();
                        scripted.unwrap_or_else(|| format!("answer {status}"))
                    }
                }
            }
            Some(person) => format!("answer {status} for {person}"),
        };
        if self.site.echoes.get() {
            let number = self.site.provider.calls.get();
            let response = format!("{number}\n{}\n{}\n{}", self.credentials, call.url, call.fields);
            return Ok(UpstreamAnswer { status, fields, response });
        }
        Ok(UpstreamAnswer { status, fields, response })
    }

    async fn read_ahead(
        &self,
        response: &String,
        max_bytes: usize,
        limit: Duration,
    ) -> Option<Zeroizing<Vec<u8>>> {
        let takes = self.site.provider.body_takes.get();
        self.site.world.sleep(takes.min(limit)).await;
        (response.len() <= max_bytes && takes <= limit).then(|| Zeroizing::new(response.as_bytes().to_vec()))
    }

    fn keep(
        &self,
        response: String,
        max_bytes: usize,
        limit: Duration,
        secrets: &str,
        done: Box<dyn FnOnce(Option<KeptBody>)>,
    ) -> String {
        let body = secrets.lines().fold(response, |body, secret| body.replace(secret, "***"));
        let (world, takes) = (self.site.world.clone(), self.site.provider.body_takes.get());
        let passed = body.clone();
        self.spawn(Box::pin(async move {
            world.sleep(takes.min(limit)).await;
            let size = body.len();
            done((size <= max_bytes && takes <= limit).then(|| (Rc::new(body) as Rc<dyn Any>, size)));
        }));
        passed
    }

    fn serve(&self, copy: &Rc<dyn Any>) -> String {
        copy.downcast_ref::<String>().expect("a text").clone()
    }

    fn release(&self, flight: u32) {
        self.site.landed.borrow_mut().insert((self.process, flight));
    }

    fn discard(&self, _: String) {}
}
