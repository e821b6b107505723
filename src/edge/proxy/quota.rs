//! The guard of an upstream: its budget, the pauses that it asks for, and calls that are sent again.
//!
//! A lease of the keeper lets so many requests leave until it ends. Within it, a call asks nobody.

pub mod held;

use std::cell::{RefCell, RefMut};
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use futures_util::future::{Either, select};

use crate::config::{Budget, Connection, Guard};
use crate::edge::Code;
use crate::edge::answer::Refused;
use crate::edge::caller::CallerProof;
use crate::edge::context::{Context, Edge};
use crate::http::Headers;
use crate::oauth::retry_after;
use crate::ports::{EdgePorts, ObjectUnreachable, UpstreamAnswer, UpstreamCall, report};
use crate::protocol::{AskQuota, QuotaAsk};
use held::{HeldQuota, NextStep};

/// How many leases a call asks for: one may end on its way.
const ASKS: usize = 4;

/// How long a reply may take besides the wait for a turn, in milliseconds. A lease that comes later is lost,
/// and counts.
const LONGEST_ASK: u64 = 5_000;

/// How often the keeper is told of a complaint until it replies, and how long after each time.
const TELLS: usize = 5;
const TELL_AGAIN: Duration = Duration::from_millis(150);

/// What came of the attempts to send a call.
pub(super) type Outcome<R> = Result<UpstreamAnswer<R>, Refused>;

/// The guard of one connection, for the calls of one party.
pub(super) struct Gate<P> {
    edge: Edge<P>,
    connection: Rc<Connection>,
    guard: Rc<Guard>,
    held: Rc<RefCell<HeldQuota>>,
    /// The party, where parties share the budget; else 0.
    who: u64,
}

impl<P: EdgePorts> Gate<P> {
    /// The guard of `connection` for the party behind `caller`; `None` where it has none.
    pub fn of(
        context: &Context<'_, P>,
        connection: &Rc<Connection>,
        proof: &CallerProof<'_>,
        caller: &str,
    ) -> Option<Rc<Self>> {
        let guard = Rc::clone(connection.guard.as_ref()?);
        Some(Self::new(context, connection, guard, proof, caller))
    }

    // Most connections have none: an isolate compiles only what it runs.
    #[inline(never)]
    fn new(
        context: &Context<'_, P>,
        connection: &Rc<Connection>,
        guard: Rc<Guard>,
        proof: &CallerProof<'_>,
        caller: &str,
    ) -> Rc<Self> {
        let edge = context.edge.clone();
        let keys = context.config().sealing_keys.as_ref();
        let keys = keys.filter(|_| guard.budget.is_some_and(|budget| budget.per_caller));
        // As many bits as any reader of JSON keeps.
        let who = keys.map_or(0, |keys| {
            let name = keys.blind_name(&["party", caller, &proof.rate_key(caller, context.head)]);
            name.bytes().fold(1, |number, byte| (number * 31 + u64::from(byte)) & 0xFFFF_FFFF_FFFF)
        });
        let held = edge.isolate.quotas.of(&connection.id, who);
        Rc::new(Self { edge, connection: Rc::clone(connection), guard, held, who })
    }

    /// How long to wait before the call is sent again after the attempt of that number,
    /// which had this `answer`; `None` where it is not. While the upstream is spared nothing is.
    pub fn pause(
        &self,
        (call, acts): (&UpstreamCall<'_>, bool),
        answer: &Outcome<P::Response>,
        wait: u64,
        attempt: u64,
    ) -> Option<Duration> {
        let (held, now) = self.held();
        let has_failed =
            !held.spares(now) && answer.as_ref().map_or(true, |answer| matches!(answer.status, 502..=504));
        let is_repeated = has_failed && attempt < self.guard.attempts && is_repeatable(call, acts);
        is_repeated.then(|| {
            let own = attempt * (100 + u64::from(self.edge.ports.bytes::<1>()[0]));
            Duration::from_millis(wait.max(own))
        })
    }

    /// Waits until a request may leave, for `longest` milliseconds at most besides what the budget's keeper
    /// takes to reply, and counts it.
    ///
    /// # Errors
    /// `quota_exhausted`, or `connection_unavailable`.
    pub async fn admit(self: &Rc<Self>, context: &Context<'_, P>, longest: u64) -> Result<(), Refused> {
        let admitted = self.try_admit(longest).await;
        let is_known = admitted.as_ref().err().is_none_or(|refused| refused.code == Code::QuotaExhausted);
        if let Some(Budget { requests, seconds, observe: false, .. }) = self.guard.budget
            && is_known
        {
            let (held, now) = self.held();
            let (left, frees_in) = held.left(now);
            let left = if admitted.is_ok() { left } else { 0 };
            context.note(|line| line.quota = Some([[requests, seconds], [left, seconds_of(frees_in)]]));
        }
        admitted
    }

    async fn try_admit(self: &Rc<Self>, longest: u64) -> Result<(), Refused> {
        for number in 0..ASKS {
            let step = {
                let (mut held, now) = self.held();
                held.step(&self.guard, now, number > 0)
            };
            let want = match step {
                NextStep::Leave => return Ok(()),
                NextStep::Look => {
                    self.ask_later(0, 0);
                    return Ok(());
                }
                NextStep::Held(millis) => {
                    return Err(Refused::unavailable(Code::UpstreamLimited, seconds_of(millis)));
                }
                NextStep::UsedUp(millis) => {
                    let retry_after = Some(seconds_of(millis));
                    return Err(Refused { retry_after, ..Refused::from(Code::QuotaExhausted) });
                }
                NextStep::Ask(want) => want,
            };
            let mut ask = self.about(want);
            ask.queue_ms = ask.queue_ms.min(longest);
            if !self.ask(ask).await && want > 0 {
                break;
            }
        }
        // That something is left cannot be assumed, nor can it be told what a budget would refuse.
        let is_observed = self.guard.budget.is_some_and(|budget| budget.observe);
        if is_observed { Ok(()) } else { Err(ObjectUnreachable.into()) }
    }

    fn about(&self, want: u64) -> QuotaAsk {
        let mut ask =
            QuotaAsk { want, who: self.who, cool_down: self.guard.cool_down, ..QuotaAsk::default() };
        if let Some(budget) = self.guard.budget {
            (ask.requests, ask.seconds) = (budget.requests, budget.seconds);
            ask.queue_ms = if budget.observe { 0 } else { budget.queue_ms };
        }
        ask
    }

    /// Sends an ask to the keeper, and notes its reply; true if there was one.
    async fn ask(self: &Rc<Self>, mut ask: QuotaAsk) -> bool {
        let want = ask.want;
        let began = {
            let (mut held, now) = self.held();
            held.begin(&mut ask, now)
        };
        let longest = Duration::from_millis(ask.queue_ms + LONGEST_ASK);
        let asked = pin!(self.edge.ports.ask(AskQuota { connection: &self.connection.id, ask }));
        let reply = match select(asked, pin!(self.edge.ports.sleep(longest))).await {
            Either::Left((reply, _)) => reply.ok(),
            Either::Right(_) => None,
        };
        let (mut held, now) = self.held();
        let rest = held.note(want, reply, &began, now);
        drop(held);
        let lease = reply.map_or(1, |reply| reply.lease);
        if want > 0 && lease == 0 && self.guard.budget.is_some_and(|budget| budget.observe) {
            report::budget_exceeded(&*self.edge.ports, &self.connection.id);
        }
        if let Some(millis) = rest {
            self.ask_later(lease, millis);
        }
        reply.is_some()
    }

    /// Sends an ask in the background: at once, or when `lease`, if it is one, ends after `millis`, with
    /// something to give back. No jump of the clock changes a timer.
    fn ask_later(self: &Rc<Self>, lease: u64, millis: u64) {
        let gate = Rc::clone(self);
        self.edge.ports.spawn(Box::pin(async move {
            if lease > 0 {
                gate.edge.ports.sleep(Duration::from_millis(millis)).await;
                if !gate.held().0.end(lease) {
                    return;
                }
            }
            // What it would have told, the next ask will; but while the upstream is spared there is none, and
            // the other isolates do not know.
            for _ in 0..TELLS {
                if gate.ask(gate.about(0)).await || !gate.held().0.owes() {
                    break;
                }
                gate.edge.ports.sleep(TELL_AGAIN).await;
            }
        }));
    }

    /// Notes what the upstream's `answer` says of too many requests; for how many milliseconds it wants
    /// to be left alone, 0 where it does not say.
    pub fn note(self: &Rc<Self>, answer: &UpstreamAnswer<P::Response>) -> u64 {
        let (headers, now) = (answer.headers(), self.edge.now());
        let field = headers.value("retry-after").filter(|_| matches!(answer.status, 429 | 503));
        let wait = field.and_then(|value| retry_after(value, now));
        // A time that is over already was said all the same.
        let said = wait.map_or(0, |wait| ((now + wait).as_millis() - now.as_millis()).max(1));
        if self.guard.cool_down && (answer.status == 429 || field.is_some()) {
            let (mut held, now) = self.held();
            held.spare(said, now);
            drop(held);
            self.ask_later(0, 0);
        }
        said
    }

    /// What the isolate holds, and the present time in milliseconds.
    fn held(&self) -> (RefMut<'_, HeldQuota>, u64) {
        (self.held.borrow_mut(), self.edge.now().as_millis())
    }
}

/// Whether a call, which `acts` or not, may be sent twice: it changes nothing, as its method says (RFC 9110
/// §9.2.1), or the upstream knows it again by the key that it gets.
fn is_repeatable(call: &UpstreamCall<'_>, acts: bool) -> bool {
    let key = Headers::new(call.fields).value("idempotency-key");
    (!acts && matches!(call.method, "GET" | "HEAD" | "OPTIONS")) || key.is_some_and(|key| !key.is_empty())
}

const fn seconds_of(millis: u64) -> u64 {
    let seconds = millis.div_ceil(1_000);
    if seconds == 0 { 1 } else { seconds }
}
