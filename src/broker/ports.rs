//! What the broker wants from outside, all of it.
#![expect(async_fn_in_trait, reason = "a Worker has one thread: nothing needs to be Send")]

use std::time::Duration;

use futures_util::future::LocalBoxFuture;

use super::keeper::{Ask, Reply};
use crate::http::Headers;
use crate::oauth::TokenRequest;
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
}

/// The cache did not answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CacheFailed;

/// The way to the keeper of a connection's token set.
pub trait KeeperLink {
    /// Asks the keeper of `connection`.
    async fn ask(&self, connection: &str, ask: &Ask) -> Result<Reply, KeeperUnreachable>;
}

/// The keeper did not answer, or not in its own words.
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

/// All that serving a call needs from outside.
pub trait Ports: Clock + Entropy + Log + Cache + KeeperLink + Upstream + 'static {
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
    /// Has the keeper's [`alarm`](super::keeper::Keeper::alarm) called at `at`,
    /// whatever ends meanwhile. There is one alarm; the last one set counts.
    async fn set_alarm(&self, at: UnixTime) -> Result<(), StorageFailed>;
    /// Sends a token request.
    async fn request_token(
        &self,
        request: &TokenRequest,
        timeout: Duration,
    ) -> Result<TokenAnswer, TokenEndpointFailure>;
    /// Runs `task` to its end, whoever waits for it or leaves.
    fn spawn(&self, task: LocalBoxFuture<'static, ()>);
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

/// Why a token endpoint did not answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TokenEndpointFailure {
    /// It could not be reached, or it broke off.
    Unreachable,
    /// It did not answer in time.
    Timeout,
}
