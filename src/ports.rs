//! What the broker wants from outside, all of it.
#![expect(async_fn_in_trait, reason = "a Worker has one thread: nothing needs to be Send")]

pub mod report;

use std::time::Duration;

use futures_util::future::LocalBoxFuture;

use crate::config::RateLimit;
use crate::http::Headers;
use crate::jose::Algorithm;
use crate::oauth::TokenRequest;
use crate::protocol::Cause;
use crate::protocol::{
    DeliveriesAsk, DeliveriesReply, EventRecord, IndexAsk, IndexReply, List, OperatorAsk, OperatorReply,
    RefusalsAsk, RefusalsReply, SessionAsk, SessionReply, TokenAsk, TokenReply,
};
use crate::time::UnixTime;

/// The clock.
pub trait Clock {
    /// The present moment.
    fn now(&self) -> UnixTime;
}

/// Entropy.
pub trait Entropy {
    /// Random bytes from a cryptographic generator, never the same twice.
    fn bytes<const N: usize>(&self) -> [u8; N];
}

/// The log.
pub trait Log {
    /// Writes one line, which is a JSON object.
    fn line(&self, line: &str);
}

/// The replicated cache of sealed records: eventually consistent, and allowed
/// to fail.
pub trait Cache {
    /// The record called `name`, where one is known here.
    async fn read(&self, name: &str) -> Result<Option<String>, CacheFailed>;
    /// Stores a record until `expires_at`.
    async fn write(&self, name: &str, record: &str, expires_at: UnixTime) -> Result<(), CacheFailed>;
    /// Deletes a record, where there is one.
    async fn delete(&self, name: &str) -> Result<(), CacheFailed>;
}

/// The cache did not answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CacheFailed;

/// The way to the objects of which there is one each everywhere.
pub trait KeeperLink {
    /// Asks the keeper of `connection`'s own token set.
    async fn ask(&self, connection: &str, ask: &TokenAsk) -> Result<TokenReply, KeeperUnreachable>;
    /// Asks the same for an operator.
    async fn ask_operator(
        &self,
        connection: &str,
        ask: &OperatorAsk,
    ) -> Result<OperatorReply, KeeperUnreachable>;
    /// Asks the index of registered connections.
    async fn ask_index(&self, ask: &IndexAsk) -> Result<IndexReply, KeeperUnreachable>;
    /// Asks the session called `name`.
    async fn ask_session(&self, name: &str, ask: &SessionAsk) -> Result<SessionReply, KeeperUnreachable>;
    /// Asks whoever counts the refused sign-ins called `name`.
    async fn ask_refusals(&self, name: &str, ask: &RefusalsAsk) -> Result<RefusalsReply, KeeperUnreachable>;
    /// Asks whoever delivers `connection`'s webhooks.
    async fn ask_deliveries(
        &self,
        connection: &str,
        ask: &DeliveriesAsk,
    ) -> Result<DeliveriesReply, KeeperUnreachable>;
}

/// The object did not answer, or not in its own words.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KeeperUnreachable;

/// The way to the upstream, for one call of a caller.
pub trait Upstream {
    /// The upstream's response, its body not yet read.
    type Response;

    /// Sends the caller's request on. The body is the caller's; the first send
    /// streams it, a second one sends the same bytes again.
    async fn send(&self, call: &UpstreamCall<'_>) -> Result<UpstreamAnswer<Self::Response>, UpstreamFailure>;

    /// Lets a response go whose body nobody reads.
    fn discard(&self, response: Self::Response);
}

/// A request to the upstream.
#[derive(Debug)]
pub struct UpstreamCall<'a> {
    /// The method.
    pub method: &'a str,
    /// The absolute address.
    pub url: &'a str,
    /// The header fields, as [`Headers`] writes them. They hold the token.
    pub fields: &'a str,
    /// How long the response headers may take.
    pub timeout: Duration,
    /// The largest body, in bytes, that is kept for a second send; none where
    /// there will be no second.
    pub replay_bytes: Option<usize>,
}

/// The head of an upstream's response, and a handle to the rest.
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

/// Why an upstream did not answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UpstreamFailure {
    /// It could not be reached, or it broke off.
    Unreachable,
    /// It sent no response headers in time.
    Timeout,
    /// A second send was asked for, and the body is too large to be sent again.
    BodyGone,
}

/// The caller's request, where the broker itself is whom it is for.
pub trait Inbound {
    /// Its body.
    ///
    /// # Errors
    /// Why there is none.
    async fn body(
        &self,
        max_bytes: usize,
        sender: Sender,
    ) -> Result<zeroize::Zeroizing<Vec<u8>>, BodyFailure>;
    /// A name without what servers differ in minding: case, accents, width,
    /// spaces, and characters that cannot be seen; letters that collations take
    /// for one are one. It is for counting only.
    fn folded(&self, name: &str) -> String;
}

/// What is known of who sends a body before it is read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sender {
    /// They may send it.
    Proven,
    /// They may be anybody: all of them have little room together.
    Unproven,
}

/// Why a body could not be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BodyFailure {
    /// It is larger than it may be.
    TooLarge,
    /// It broke off.
    Gone,
    /// It had not ended after a while.
    Late,
    /// There was no room for it among others.
    Crowded,
}

/// The way to issuers of callers' tokens, and what checks their signatures.
pub trait Issuers {
    /// Fetches a JSON document by `GET`, without following redirects.
    async fn fetch_document(&self, url: &str) -> Result<Document, DocumentUnreachable>;
    /// Whether a signature is right.
    async fn verify(&self, check: &SignatureCheck<'_>) -> bool;
    /// Waits for `span`.
    async fn pause(&self, span: Duration);
}

/// A document that an issuer publishes.
#[derive(Debug)]
pub struct Document {
    /// The status.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
}

/// A document did not come, not in time, or was too large.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DocumentUnreachable;

/// A signature to be checked (RFC 7515 §5.2).
#[derive(Debug)]
pub struct SignatureCheck<'a> {
    /// The algorithm.
    pub algorithm: Algorithm,
    /// The public key as a JWK (RFC 7517 §4).
    pub jwk: &'a str,
    /// What was signed.
    pub input: &'a str,
    /// The signature.
    pub signature: &'a [u8],
}

/// The platform's own rate limits, where they are bound.
pub trait RateLimits {
    /// Takes one of `limit`'s calls for `who`; whether there was one left.
    async fn take(&self, limit: RateLimit, who: &str) -> bool;
}

/// All that serving a call needs from outside.
pub trait Ports:
    Clock + Entropy + Log + Cache + KeeperLink + Upstream + Inbound + Issuers + RateLimits + 'static
{
    /// Runs `task` behind the answer.
    fn spawn(&self, task: LocalBoxFuture<'static, ()>);
}

/// What a keeper has besides clock, entropy, log and cache: its own storage and
/// the way to the token endpoint.
pub trait KeeperPorts: Clock + Entropy + Log + Cache {
    /// The keeper's sealed state, where there is one.
    async fn load(&self) -> Result<Option<String>, StorageFailed>;
    /// Replaces the sealed state; durable when done.
    async fn store(&self, state: &str) -> Result<(), StorageFailed>;
    /// The sealed registration of the keeper's connection, where there is one.
    async fn load_connection(&self) -> Result<Option<String>, StorageFailed>;
    /// Replaces the sealed registration; durable when done.
    async fn store_connection(&self, registration: &str) -> Result<(), StorageFailed>;
    /// Deletes all that is stored, everywhere below too, and the alarm.
    async fn clear(&self) -> Result<(), StorageFailed>;
    /// Has the keeper's [`alarm`](super::keeper::Keeper::alarm) called at `at`,
    /// whatever ends meanwhile. There is one alarm; the last one set counts.
    async fn set_alarm(&self, at: UnixTime) -> Result<(), StorageFailed>;
    /// Sends a token request.
    async fn request_token(
        &self,
        request: &TokenRequest,
        timeout: Duration,
    ) -> Result<TokenAnswer, PostFailure>;
    /// Runs `task` to its end, whoever waits for it or leaves.
    fn spawn(&self, task: LocalBoxFuture<'static, ()>);
}

/// What a session has: the same for itself and for each of its token sets.
pub trait SessionPorts: KeeperPorts + Sized {
    /// The same with a storage of its own, called `key`, below this one's.
    #[must_use]
    fn below(&self, key: &str) -> Self;
}

/// What the index of registered connections needs: a table of ids.
pub trait IndexPorts {
    /// Adds `id`, durably; whether it was not there.
    async fn add(&self, id: &str) -> Result<bool, StorageFailed>;
    /// Removes `id`, durably; whether it was there.
    async fn remove(&self, id: &str) -> Result<bool, StorageFailed>;
    /// The first ids that follow `after`, in the order of their bytes.
    async fn ids(&self, after: &str, most: usize) -> Result<Vec<String>, StorageFailed>;
}

/// What delivering webhooks needs: a table of records, an alarm, and the way to
/// the receiver.
pub trait DeliveryPorts: Clock + Entropy + Log {
    /// The record called `id`.
    async fn record(&self, id: &str) -> Result<Option<EventRecord>, StorageFailed>;
    /// Adds or replaces a record; durable when done.
    async fn put_record(&self, record: &EventRecord) -> Result<(), StorageFailed>;
    /// Replaces a record whose event is as it was, or gone; durable when done.
    async fn update_record(&self, record: &EventRecord) -> Result<(), StorageFailed> {
        self.put_record(record).await
    }
    /// The first records of `list` by their time, up to `most`, whose time and id
    /// come after `after`; without their events.
    async fn records(
        &self,
        list: List,
        after: Option<(UnixTime, &str)>,
        most: usize,
    ) -> Result<Vec<EventRecord>, StorageFailed>;
    /// Deletes records of `list` whose time has come, as many as are soon deleted.
    async fn forget(&self, list: List, until: UnixTime) -> Result<(), StorageFailed>;
    /// How many records of `list` there are.
    async fn count(&self, list: List) -> Result<u64, StorageFailed>;
    /// Deletes every record, durably.
    async fn clear(&self) -> Result<(), StorageFailed>;
    /// The registration of the connection, sealed, as its keeper has it.
    async fn registration(&self) -> Result<Option<String>, StorageFailed>;
    /// The earliest time of any record.
    async fn earliest(&self) -> Result<Option<UnixTime>, StorageFailed>;
    /// As [`KeeperPorts::set_alarm`].
    async fn set_alarm(&self, at: UnixTime) -> Result<(), StorageFailed>;
    /// As [`KeeperPorts::spawn`].
    fn spawn(&self, task: LocalBoxFuture<'static, ()>);
    /// Sends a delivery.
    async fn deliver(&self, delivery: &Delivery<'_>) -> Result<DeliveryAnswer, PostFailure>;
}

/// A delivery: a `POST` to the receiver.
#[derive(Debug)]
pub struct Delivery<'a> {
    /// The receiver.
    pub url: &'a str,
    /// The header fields, as [`Headers`] writes them.
    pub fields: &'a str,
    /// The body.
    pub body: &'a str,
    /// How long the response headers may take.
    pub timeout: Duration,
}

/// A receiver's answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeliveryAnswer {
    /// The status.
    pub status: u16,
    /// The value of `Retry-After`, where it came.
    pub retry_after: Option<String>,
}

/// The keeper's storage failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StorageFailed;

/// A token endpoint's answer. It has no `Debug`: the body holds tokens.
#[allow(missing_debug_implementations, reason = "the body holds tokens")]
pub struct TokenAnswer {
    /// The status.
    pub status: u16,
    /// The value of `Retry-After`, where it came.
    pub retry_after: Option<String>,
    /// The body, cut a little after [`MAX_RESPONSE_BYTES`](crate::oauth::MAX_RESPONSE_BYTES).
    pub body: zeroize::Zeroizing<Vec<u8>>,
}

/// Why a token endpoint or a receiver did not answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PostFailure {
    /// It could not be reached, or it broke off.
    Unreachable,
    /// It did not answer in time.
    Timeout,
}

impl From<PostFailure> for Cause {
    fn from(failure: PostFailure) -> Self {
        match failure {
            PostFailure::Unreachable => Self::Unreachable,
            PostFailure::Timeout => Self::Timeout,
        }
    }
}
