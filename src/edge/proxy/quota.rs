//! The guard of an upstream: its budget, the pauses that it asks for, and calls that are sent again.
//!
//! A lease of the keeper lets so many requests leave until it ends. Within it, a call asks nobody.

pub mod held;

use std::cell::RefMut;
use std::rc::Rc;
use std::time::Duration;

use futures_util::FutureExt as _;

use crate::config::{Budget, Connection, Guard};
use crate::edge::Code;
use crate::edge::answer::Refused;
use crate::edge::context::{Context, Edge};
use crate::http::RequestHead;
use crate::oauth::retry_after;
use crate::ports::{EdgePorts, ObjectUnreachable, UpstreamAnswer, report};
use crate::protocol::{AskQuota, QuotaAsk, QuotaReply};
use held::{HeldQuota, Step};

/// How many leases a call asks for: one may end on its way.
const ASKS: usize = 4;

/// What came of the attempts to send a call.
pub(super) type Outcome<R> = Result<UpstreamAnswer<R>, Refused>;

/// The guard of one connection, for the calls of one party.
pub(super) struct Gate<P> {
    edge: Edge<P>,
    connection: Rc<Connection>,
    guard: Guard,
    /// The party, where parties share the budget; else 0.
    who: u64,
}

impl<P> Clone for Gate<P> {
    fn clone(&self) -> Self {
        let Self { edge, connection, guard, who } = self;
        Self { edge: edge.clone(), connection: Rc::clone(connection), guard: *guard, who: *who }
    }
}

impl<P: EdgePorts> Gate<P> {
    /// The guard of `connection` for the `party` of that keyed digest in hex; `None` where it has none.
    pub fn of(
        edge: &Edge<P>,
        connection: &Rc<Connection>,
        party: impl FnOnce() -> Option<String>,
    ) -> Option<Self> {
        let guard = *connection.guard.as_deref()?;
        let is_shared = guard.budget.is_some_and(|budget| budget.per_caller);
        // 48 bits, as many as any reader of JSON keeps; 0 is nobody.
        let who = || u64::from_str_radix(party()?.get(..12)?, 16).ok();
        let who = if is_shared { who().unwrap_or_default().max(1) } else { 0 };
        Some(Self { edge: edge.clone(), connection: Rc::clone(connection), guard, who })
    }

    /// How long to wait before the call is sent again, after `answer` to the attempt of that number;
    /// `None` where it is not.
    pub fn pause(
        &self,
        head: &RequestHead<'_>,
        answer: &Outcome<P::Response>,
        attempt: u64,
    ) -> Option<Duration> {
        let wait = answer.as_ref().ok().and_then(|answer| self.note(answer));
        let has_failed = answer.as_ref().map_or(true, |answer| matches!(answer.status, 502..=504));
        if !has_failed || attempt >= self.guard.attempts || !is_repeatable(head) {
            return None;
        }
        let jitter = attempt * (100 + u64::from(self.edge.ports.bytes::<1>()[0]));
        Some(Duration::from_millis(jitter).max(wait.unwrap_or_default()))
    }

    /// Waits until a request may leave, and counts it.
    ///
    /// # Errors
    /// `quota_exhausted`, or `connection_unavailable`.
    pub async fn admit(&self, context: &Context<'_, P>) -> Result<(), Refused> {
        let admitted = self.try_admit().await;
        if let Some(Budget { requests, seconds, observe: false, .. }) = self.guard.budget {
            let (held, now) = self.held();
            let (left, frees_in) = held.left(now);
            let left = if admitted.is_ok() { left } else { 0 };
            context.note(|line| line.quota = Some([requests, seconds, left, seconds_of(frees_in)]));
        }
        admitted
    }

    async fn try_admit(&self) -> Result<(), Refused> {
        let is_observed = self.guard.budget.is_some_and(|budget| budget.observe);
        for _ in 0..ASKS {
            let step = {
                let (mut held, now) = self.held();
                held.step(&self.guard, now)
            };
            let want = match step {
                Step::Leave => return Ok(()),
                Step::LeaveAndAsk(want) => {
                    self.ask_in_background(self.about(want));
                    return Ok(());
                }
                Step::Held(millis) => return Err(spared(millis)),
                Step::UsedUp(millis) => return Err(used_up(millis)),
                Step::Ask(want) => want,
            };
            match self.clone().ask(self.about(want)).await {
                Ok((true, _)) => return Ok(()),
                Ok((_, reply)) if reply.held_for > 0 => return Err(spared(reply.held_for)),
                _ if want > 0 && is_observed => return Ok(()),
                Ok((_, reply)) if want > 0 && reply.lease == 0 => return Err(used_up(reply.frees_in)),
                // That something is left cannot be assumed.
                Err(failure) if want > 0 => return Err(failure.into()),
                _ => {}
            }
        }
        Err(ObjectUnreachable.into())
    }

    fn about(&self, want: u64) -> QuotaAsk {
        let mut ask = QuotaAsk { want, who: self.who, ..QuotaAsk::default() };
        if let Some(budget) = self.guard.budget {
            (ask.requests, ask.seconds) = (budget.requests, budget.seconds);
            ask.queue_ms = if budget.observe { 0 } else { budget.queue_ms };
        }
        ask
    }

    /// Sends an ask to the keeper; true if it brought a permit for one call.
    async fn ask(self, mut ask: QuotaAsk) -> Result<(bool, QuotaReply), ObjectUnreachable> {
        let began = {
            let (mut held, now) = self.held();
            held.begin(&mut ask, now)
        };
        let message = AskQuota { connection: &self.connection.id, ask: ask.clone() };
        let reply = self.edge.ports.ask(message).await;
        let (mut held, now) = self.held();
        let Ok(reply) = reply else {
            // It may have arrived all the same: the keeper knows what was given back by its id.
            held.forgive(&ask, now);
            return Err(ObjectUnreachable);
        };
        let (has_taken, rest) = held.note(&ask, reply, began, now);
        drop(held);
        if ask.want > 0 && reply.lease == 0 && self.guard.budget.is_some_and(|budget| budget.observe) {
            report::budget_exceeded(&*self.edge.ports, &self.connection.id);
        }
        if let Some(millis) = rest {
            let ports = Rc::clone(&self.edge.ports);
            ports.spawn(Box::pin(self.end(reply.lease, millis)));
        }
        Ok((has_taken, reply))
    }

    fn ask_in_background(&self, ask: QuotaAsk) {
        // What it would have told, the next ask will.
        self.edge.ports.spawn(Box::pin(self.clone().ask(ask).map(|_| ())));
    }

    /// Ends a lease after `millis` by a timer, which no jump of the clock changes, and gives back what is
    /// left of it.
    async fn end(self, lease: u64, millis: u64) {
        self.edge.ports.sleep(Duration::from_millis(millis)).await;
        let owes = self.held().0.end(lease);
        if owes {
            self.ask_in_background(self.about(0));
        }
    }

    /// Notes what the upstream's `answer` says of too many requests; how long it wants to be left alone.
    fn note(&self, answer: &UpstreamAnswer<P::Response>) -> Option<Duration> {
        let headers = answer.headers();
        let field = headers.value("retry-after").filter(|_| matches!(answer.status, 429 | 503));
        let wait = field.and_then(|value| retry_after(value, self.edge.now()));
        if self.guard.cool_down && (answer.status == 429 || field.is_some()) {
            let said = wait.map_or(0, |wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
            let (mut held, now) = self.held();
            held.spare(said, now);
            drop(held);
            self.ask_in_background(QuotaAsk { limited: Some(said), ..self.about(0) });
        }
        wait
    }

    /// What the isolate holds, and the present time in milliseconds.
    #[inline(never)]
    fn held(&self) -> (RefMut<'_, HeldQuota>, u64) {
        let held = self.edge.isolate.quotas.of(&self.connection.id, self.who);
        (held, self.edge.now().as_millis())
    }
}

/// Whether a call may be sent twice: its method is safe (RFC 9110 §9.2.1), or the upstream knows it again
/// by its key.
fn is_repeatable(head: &RequestHead<'_>) -> bool {
    matches!(head.method, "GET" | "HEAD" | "OPTIONS") || head.headers.value("idempotency-key").is_some()
}

const fn seconds_of(millis: u64) -> u64 {
    let seconds = millis.div_ceil(1_000);
    if seconds == 0 { 1 } else { seconds }
}

const fn spared(millis: u64) -> Refused {
    Refused::unavailable(Code::UpstreamLimited, seconds_of(millis))
}

fn used_up(millis: u64) -> Refused {
    Refused { retry_after: Some(seconds_of(millis)), ..Refused::from(Code::QuotaExhausted) }
}
