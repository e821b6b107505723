//! The resources that the broker uses: one trait for each.
//!
//! Isolates and objects depend on these traits alone, so all of the broker runs natively:
//! `platform` implements them over the Workers runtime, the simulation over virtual time and seeded
//! randomness.
#![expect(async_fn_in_trait, reason = "a Worker has one thread: nothing needs to be Send")]

pub mod report;

use std::any::Any;
use std::rc::Rc;
use std::time::Duration;

use futures_util::future::LocalBoxFuture;
use zeroize::Zeroizing;

use crate::config::{RateLimit, SigningKey};
use crate::http::Headers;
use crate::jose::Algorithm;
use crate::json::{self, NotJson};
use crate::protocol::{Cause, EventRecord, List, Message};
use crate::time::UnixTime;

/// The runtime itself: its clock, its entropy, its log, its tasks.
pub trait Host {
    /// The current time.
    fn now(&self) -> UnixTime;
    /// Bytes from a cryptographically secure generator, fresh on every call.
    fn bytes<const N: usize>(&self) -> [u8; N];
    /// Writes one line to the log, which is a JSON object.
    fn log(&self, line: &str);
    /// Runs `task` to completion in the background, also after the response is sent or the caller
    /// disconnects.
    fn spawn(&self, task: LocalBoxFuture<'static, ()>);
    /// Sleeps for `span`.
    async fn sleep(&self, span: Duration);
}

/// The replicated cache of sealed records: eventually consistent, and fallible.
pub trait Cache {
    /// The record called `name`; `None` where this location has none.
    async fn read(&self, name: &str) -> Result<Option<String>, CacheFailed>;
    /// Stores a record until `expires_at`.
    async fn write(&self, name: &str, record: &str, expires_at: UnixTime) -> Result<(), CacheFailed>;
    /// Deletes a record; deleting an absent one succeeds.
    async fn delete(&self, name: &str) -> Result<(), CacheFailed>;
}

/// The cache did not answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CacheFailed;

/// An object's own storage: texts by key, and one alarm.
pub trait Storage {
    /// The text stored under `key`.
    async fn get(&self, key: &str) -> Result<Option<String>, StorageFailed>;
    /// Stores `text` under `key`; durable on return.
    async fn put(&self, key: &str, text: &str) -> Result<(), StorageFailed>;
    /// Stores two texts, each under its key: both or none, durable on return.
    async fn put_both(&self, texts: [(&str, &str); 2]) -> Result<(), StorageFailed>;
    /// Deletes all texts and the alarm; durable on return.
    async fn clear(&self) -> Result<(), StorageFailed>;
    /// Schedules the object's alarm for `at`; it survives the object's eviction. An object has one
    /// alarm: a later call replaces it.
    async fn set_alarm(&self, at: UnixTime) -> Result<(), StorageFailed>;
}

/// An object's storage failed. The operation may have taken effect all the same.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StorageFailed;

/// The event table of a delivery queue.
pub trait EventTable {
    /// The record called `id`.
    async fn record(&self, id: &str) -> Result<Option<EventRecord>, StorageFailed>;
    /// Inserts or replaces a record; durable on return.
    async fn put_record(&self, record: &EventRecord) -> Result<(), StorageFailed>;
    /// Updates a record whose event is unchanged or deleted; durable on return.
    async fn update_record(&self, record: &EventRecord) -> Result<(), StorageFailed>;
    /// Up to `most` records of `list` whose time and id follow `after`, ordered by time and id;
    /// without their events.
    async fn records(
        &self,
        list: List,
        after: Option<(UnixTime, &str)>,
        most: usize,
    ) -> Result<Vec<EventRecord>, StorageFailed>;
    /// Deletes records of `list` that are due by `until`, a bounded number per call.
    async fn forget(&self, list: List, until: UnixTime) -> Result<(), StorageFailed>;
    /// The number of records of `list`.
    async fn count(&self, list: List) -> Result<u64, StorageFailed>;
    /// Deletes every record, durably.
    async fn clear_records(&self) -> Result<(), StorageFailed>;
    /// The earliest time of all records.
    async fn earliest(&self) -> Result<Option<UnixTime>, StorageFailed>;
}

/// The id table of the index.
pub trait IdTable {
    /// Adds `id`, durably; true where the table did not hold it before.
    async fn add(&self, id: &str) -> Result<bool, StorageFailed>;
    /// Removes `id`, durably; true where the table held it.
    async fn remove(&self, id: &str) -> Result<bool, StorageFailed>;
    /// Up to `most` ids that follow `after`, in byte order.
    async fn ids(&self, after: &str, most: usize) -> Result<Vec<String>, StorageFailed>;
}

/// HTTP requests of the broker's own: to token endpoints, issuers, and receivers of webhooks.
pub trait Http {
    /// Sends a request, without following redirects.
    async fn send(&self, request: &HttpRequest<'_>) -> Result<HttpAnswer, HttpFailure>;
}

/// A request of the broker's own.
#[derive(Debug)]
pub struct HttpRequest<'a> {
    /// The method.
    pub method: &'static str,
    /// The absolute address. It may hold a secret.
    pub url: &'a str,
    /// The header fields, as [`Headers`] writes them. They may hold a secret.
    pub fields: &'a str,
    /// The body, if any. It may hold a secret.
    pub body: Option<&'a str>,
    /// The time limit for the response, including its body where that is read.
    pub timeout: Duration,
    /// How many bytes of the response body are read, rounded up to a whole chunk; `None` reads no
    /// body.
    pub max_bytes: Option<usize>,
    /// The name of the binding whose client certificate goes with the request, if one does.
    pub certificate: Option<&'a str>,
}

/// The response to a request of the broker's own. It has no `Debug`: fields and body may hold tokens.
#[allow(missing_debug_implementations, reason = "fields and body may hold tokens")]
pub struct HttpAnswer {
    /// The status.
    pub status: u16,
    /// The header fields, as [`Headers`] writes them.
    pub fields: Zeroizing<String>,
    /// The part of the body that was read.
    pub body: Zeroizing<Vec<u8>>,
}

impl HttpAnswer {
    /// The header fields.
    #[must_use]
    pub fn headers(&self) -> Headers<'_> {
        Headers::new(&self.fields)
    }

    /// The value of `Retry-After`, if the server sent one.
    #[must_use]
    pub fn retry_after(&self) -> Option<&str> {
        self.headers().value("retry-after")
    }
}

/// Why a server sent no response.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HttpFailure {
    /// The server could not be reached, or it closed the connection early.
    Unreachable,
    /// The server did not respond in time.
    Timeout,
}

impl From<HttpFailure> for Cause {
    fn from(failure: HttpFailure) -> Self {
        match failure {
            HttpFailure::Unreachable => Self::Unreachable,
            HttpFailure::Timeout => Self::Timeout,
        }
    }
}

/// Messages to objects, each of which exists once worldwide.
pub trait Objects {
    /// Sends `envelope` to the object called `name` and returns its answer, both in wire form.
    async fn exchange(&self, name: &str, envelope: &str) -> Result<String, ObjectUnreachable>;

    /// Sends `message` to its object and returns the reply.
    async fn ask<M: Message>(&self, message: M) -> Result<M::Reply, ObjectUnreachable> {
        let name = message.object();
        let envelope = json::text(&message.into_envelope());
        let answer = self.exchange(&name, &envelope).await?;
        let answer = json::read(answer.as_bytes()).map_err(|NotJson| ObjectUnreachable)?;
        M::reply(answer).ok_or(ObjectUnreachable)
    }
}

/// The object could not be reached, failed to serve the message, or sent the answer of another
/// message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ObjectUnreachable;

/// Requests to the upstream, for one call of a caller.
pub trait Upstream {
    /// The upstream's response, with its body unread.
    type Response;

    /// Forwards the caller's request. The first send streams the caller's body, a second one
    /// replays the same bytes.
    async fn pass_on(
        &self,
        call: &UpstreamCall<'_>,
    ) -> Result<UpstreamAnswer<Self::Response>, UpstreamFailure>;

    /// The body of `response`, decoded, if it is whole within `limit` and no longer than `max_bytes`.
    /// It is passed on all the same, byte for byte.
    async fn read_ahead(
        &self,
        response: &Self::Response,
        max_bytes: usize,
        limit: Duration,
    ) -> Option<Zeroizing<Vec<u8>>>;

    /// Begins to copy the body of `response`, with each line of `secrets` struck out of its first
    /// part, and calls `done` in the end: with the copy, decoded if it came in `gzip` or `br`, and its
    /// size in bytes; with `None` where the body is not whole within `limit`, or longer than
    /// `max_bytes`. Returns the response for the caller, which streams all the same, without the
    /// secrets.
    fn keep(
        &self,
        response: Self::Response,
        max_bytes: usize,
        limit: Duration,
        secrets: &str,
        done: Box<dyn FnOnce(Option<KeptBody>)>,
    ) -> Self::Response;

    /// The response of a `copy`.
    fn serve(&self, copy: &Rc<dyn Any>) -> Self::Response;

    /// Wakes the calls that wait for the one whose number is `flight`.
    fn release(&self, flight: u32);

    /// Cancels a response whose body will not be read.
    fn discard(&self, response: Self::Response);
}

/// A request to the upstream.
#[derive(Clone, Copy, Debug)]
pub struct UpstreamCall<'a> {
    /// The method.
    pub method: &'a str,
    /// The absolute address.
    pub url: &'a str,
    /// The header fields, as [`Headers`] writes them. They hold the token.
    pub fields: &'a str,
    /// The time limit for the response headers.
    pub timeout: Duration,
    /// The largest body, in bytes, that is buffered for a replay; `None` where the call is not
    /// replayed.
    pub replay_bytes: Option<usize>,
    /// The name of the binding whose client certificate goes with the call, if one does.
    pub certificate: Option<&'a str>,
    /// Whether the request leaves at once, before its body is there: its permit has an end.
    pub at_once: bool,
    /// The call's role among equal ones.
    pub role: CallRole,
}

/// The role of a call among equal ones in the isolate.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CallRole {
    /// It knows of no other.
    Alone,
    /// Others may wait for its answer: it goes on when its caller leaves.
    Leads,
    /// It waits until the one of this number is over, for the time limit at most, and sends nothing:
    /// no answer comes of it. [`OWN_BODY`]: until its own body can be sent again, else it fails.
    Waits(u32),
}

/// The number of no call: what stands for it is the body of the one that waits.
pub const OWN_BODY: u32 = 0;

/// A copy of a body, as the platform holds it, and its size in bytes.
pub type KeptBody = (Rc<dyn Any>, usize);

/// The head of an upstream's response, and a handle to its body.
#[derive(Debug)]
pub struct UpstreamAnswer<R> {
    /// The status.
    pub status: u16,
    /// The header fields, as [`Headers`] writes them.
    pub fields: String,
    /// The response.
    pub response: R,
}

impl<R> UpstreamAnswer<R> {
    /// The header fields.
    #[must_use]
    pub fn headers(&self) -> Headers<'_> {
        Headers::new(&self.fields)
    }
}

/// Why a call got no response from the upstream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UpstreamFailure {
    /// The server could not be reached, or it closed the connection early.
    Unreachable,
    /// The upstream sent no response headers in time.
    Timeout,
    /// The call was to be replayed, and its body was too large to be buffered.
    BodyGone,
}

/// The body of a request, for the broker itself.
pub trait Inbound {
    /// Reads the request body, up to `max_bytes`.
    ///
    /// # Errors
    /// [`BodyFailure`] where the body cannot be read.
    async fn body(&self, max_bytes: usize, sender: Sender) -> Result<Zeroizing<Vec<u8>>, BodyFailure>;
    /// Reads the body of a call as [`Inbound::body`] does. It is sent to the upstream all the same,
    /// byte for byte, unless it was too large.
    ///
    /// # Errors
    /// [`BodyFailure`] where the body cannot be read.
    async fn peek(&self, max_bytes: usize, sender: Sender) -> Result<Zeroizing<Vec<u8>>, BodyFailure>;
    /// `name` without the differences that some servers ignore: case, accents, width, spaces,
    /// invisible characters, and letters that collations treat as equal. It is for counting only.
    fn folded(&self, name: &str) -> String;
}

/// Whether the sender of a body is authenticated before the body is read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sender {
    /// The sender is authenticated.
    Proven,
    /// The sender is unknown: all such bodies share a small buffer budget.
    Unproven,
}

/// Why a body could not be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BodyFailure {
    /// The body exceeds the limit.
    TooLarge,
    /// The sender closed the connection early.
    Gone,
    /// The body was not complete in time.
    Late,
    /// Other bodies use up the buffer budget.
    Crowded,
}

/// The verification of signatures.
pub trait Verifier {
    /// Whether the signature is valid.
    async fn verify(&self, check: &SignatureCheck<'_>) -> bool;
}

/// A signature to verify (RFC 7515 §5.2).
#[derive(Debug)]
pub struct SignatureCheck<'a> {
    /// The algorithm.
    pub algorithm: Algorithm,
    /// The public key as a JWK (RFC 7517 §4).
    pub jwk: &'a str,
    /// The signing input.
    pub input: &'a str,
    /// The signature.
    pub signature: &'a [u8],
}

/// The signing of assertions.
pub trait Signer {
    /// The signature of `input` in the form of RFC 7518 §3; `None` where the key cannot be used.
    async fn sign(&self, key: &SigningKey, input: &str) -> Option<Vec<u8>>;
}

/// The platform's rate limits, where they are bound.
pub trait RateLimits {
    /// Counts one call of `key` against `limit`; true where the call is allowed.
    async fn take(&self, limit: RateLimit, key: &str) -> bool;
}

/// All the ports that a request in an isolate uses.
pub trait EdgePorts:
    Host + Cache + Http + Objects + Upstream + Inbound + Verifier + Signer + RateLimits + 'static
{
}

impl<P: Host + Cache + Http + Objects + Upstream + Inbound + Verifier + Signer + RateLimits + 'static>
    EdgePorts for P
{
}

/// All the ports that an object uses.
pub trait ObjectPorts:
    Host + Cache + Storage + EventTable + IdTable + Http + Objects + Signer + Verifier + 'static
{
}

impl<P: Host + Cache + Storage + EventTable + IdTable + Http + Objects + Signer + Verifier + 'static>
    ObjectPorts for P
{
}
