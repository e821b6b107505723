//! The guard of an upstream: its budget, the pauses that it asks for, and calls that are sent again.
//!
//! A lease of the keeper lets so many requests leave until it ends. Within it, a call asks nobody.

mod account;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use crate::config::{Budget, Connection, Guard};
use crate::edge::Code;
use crate::edge::answer::Refused;
use crate::edge::bounded::Bounded;
use crate::edge::context::{Context, Edge};
use crate::http::RequestHead;
use crate::oauth::retry_after;
use crate::ports::{EdgePorts, ObjectUnreachable, UpstreamAnswer, UpstreamCall, UpstreamFailure, report};
use crate::protocol::{AskQuota, QuotaAsk, QuotaReply};
use crate::secret::Fingerprint;
use account::{Account, Step};

/// The largest number of budgets, and of parties that share one, that an isolate has a part of.
const MAX_ACCOUNTS: usize = 2_000;

/// How long an isolate remembers one that is not used.
const MEMORY: Duration = Duration::from_mins(15);

/// How many leases a call asks for: one may end on its way.
const ASKS: usize = 4;

/// What an isolate holds of budgets.
#[derive(Debug)]
pub(in crate::edge) struct Quotas(RefCell<Bounded<String, Account>>);

impl Default for Quotas {
    fn default() -> Self {
        Self(RefCell::new(Bounded::new(MAX_ACCOUNTS)))
    }
}

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
    /// The guard of `connection` for the party that is made of `parts`; `None` where it has none.
    pub fn of(
        edge: &Edge<P>,
        connection: &Rc<Connection>,
        party: impl FnOnce() -> Fingerprint,
    ) -> Option<Self> {
        let guard = *connection.guard.as_deref()?;
        let is_shared = guard.budget.is_some_and(|budget| budget.per_caller);
        // 48 bits, as many as any reader of JSON keeps; 0 is nobody.
        let who = || party().to_hex().get(..12).and_then(|hex| u64::from_str_radix(hex, 16).ok());
        let who = if is_shared { who().unwrap_or_default().max(1) } else { 0 };
        Some(Self { edge: edge.clone(), connection: Rc::clone(connection), guard, who })
    }

    /// Sends `call` when the guard lets it, and again where it failed and may be repeated, within the
    /// call's timeout in all.
    ///
    /// # Errors
    /// `quota_exhausted`, `connection_unavailable`, or why the upstream did not answer.
    pub async fn send(
        &self,
        context: &Context<'_, P>,
        call: UpstreamCall<'_>,
    ) -> Result<UpstreamAnswer<P::Response>, Refused> {
        let ports = &self.edge.ports;
        let mut before = None;
        let mut until = None;
        for attempt in 1.. {
            if let Err(refused) = self.admit(context).await {
                return before.unwrap_or(Err(refused));
            }
            let sent_at = ports.now();
            let until = *until.get_or_insert(sent_at + call.timeout);
            let answer = ports.pass_on(&UpstreamCall { timeout: until.since(sent_at), ..call }).await;
            let now = ports.now();
            context.note(|line| line.note_upstream(now.since(sent_at)));
            if matches!(answer, Err(UpstreamFailure::BodyGone)) && before.is_some() {
                break;
            }
            let wait = answer.as_ref().ok().and_then(|answer| self.note(answer));
            let has_failed = answer.as_ref().map_or(true, |answer| matches!(answer.status, 502..=504));
            let has_response = answer.is_ok();
            // A second response takes the place of the first one.
            match before.replace(answer.map_err(Refused::from)) {
                Some(Ok(first)) if !has_response => ports.discard(first.response),
                _ => {}
            }
            if !has_failed || attempt >= self.guard.attempts || !is_repeatable(context.head) {
                break;
            }
            let jitter = attempt * (100 + u64::from(ports.bytes::<1>()[0]));
            let pause = Duration::from_millis(jitter).max(wait.unwrap_or_default());
            if now + pause >= until {
                break;
            }
            ports.sleep(pause).await;
        }
        before.unwrap_or_else(|| Err(Code::Internal.into()))
    }

    /// Waits until a request may leave, and counts it.
    async fn admit(&self, context: &Context<'_, P>) -> Result<(), Refused> {
        let budget = self.guard.budget.filter(|budget| !budget.observe);
        let admitted = self.try_admit().await;
        if let Some(Budget { requests, seconds, .. }) = budget {
            let (left, frees_in) = self.with(|account, now| account.left(now));
            let policy = format!(r#""budget";q={requests};w={seconds}"#);
            let limit = format!(r#""budget";r={left};t={}"#, seconds_of(frees_in));
            context.note(|line| line.quota = Some((policy, limit)));
        }
        admitted
    }

    async fn try_admit(&self) -> Result<(), Refused> {
        let is_observed = self.guard.budget.is_some_and(|budget| budget.observe);
        for _ in 0..ASKS {
            let want = match self.with(|account, now| account.step(&self.guard, now)) {
                Step::Leave => return Ok(()),
                Step::LeaveAndAsk(want) => {
                    self.ask_in_background(self.about(want));
                    return Ok(());
                }
                Step::Held(millis) => return Err(held(millis)),
                Step::UsedUp(millis) => return Err(used_up(millis)),
                Step::Ask(want) => want,
            };
            match self.ask(self.about(want)).await {
                Ok((true, _)) => return Ok(()),
                Ok((false, reply)) if reply.held_for > 0 => return Err(held(reply.held_for)),
                Ok(_) | Err(ObjectUnreachable) if want > 0 && is_observed => return Ok(()),
                Ok((false, reply)) if want > 0 && reply.lease == 0 => return Err(used_up(reply.frees_in)),
                Ok(_) => {}
                // That nobody complained is assumed; that something is left is not.
                Err(ObjectUnreachable) if want == 0 => self.with(Account::assume),
                Err(failure) => return Err(failure.into()),
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
    async fn ask(&self, mut ask: QuotaAsk) -> Result<(bool, QuotaReply), ObjectUnreachable> {
        let (over, began) = self.with(Account::begin);
        ask.over = over;
        let about = ask.clone();
        let reply = self.edge.ports.ask(AskQuota { connection: &self.connection.id, ask }).await;
        let reply = reply.inspect_err(|_| {
            // It may have arrived all the same: the keeper knows what was given back by its id.
            self.with(|account, _| account.owe(&about.over));
        })?;
        let (has_taken, rest) = self.with(|account, now| account.note(&about, reply, began, now));
        if let Some(millis) = rest {
            let gate = self.clone();
            self.edge.ports.spawn(Box::pin(async move { gate.end(reply.lease, millis).await }));
        }
        if about.want > 0 && reply.lease == 0 && self.guard.budget.is_some_and(|budget| budget.observe) {
            report::budget_exceeded(&*self.edge.ports, &self.connection.id);
        }
        Ok((has_taken, reply))
    }

    fn ask_in_background(&self, ask: QuotaAsk) {
        let gate = self.clone();
        self.edge.ports.spawn(Box::pin(async move {
            // What it would have told, the next ask will.
            let _ = gate.ask(ask).await;
        }));
    }

    /// Ends a lease after `millis` by a timer, which no jump of the clock changes, and gives back what is
    /// left of it.
    async fn end(self, lease: u64, millis: u64) {
        self.edge.ports.sleep(Duration::from_millis(millis)).await;
        if self.with(|account, _| account.end(lease)) {
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
            self.with(|account, now| account.spare(said, now));
            self.ask_in_background(QuotaAsk { limited: Some(said), ..self.about(0) });
        }
        wait
    }

    /// Has `act` look at what the isolate holds, at the present time.
    fn with<T>(&self, act: impl FnOnce(&mut Account, u64) -> T) -> T {
        let now = self.edge.now();
        let key = [self.connection.id.as_str(), " ", &self.who.to_string()].concat();
        let mut accounts = self.edge.isolate.quotas.0.borrow_mut();
        act(accounts.entry(key, now + MEMORY, now, Account::default), now.as_millis())
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

const fn held(millis: u64) -> Refused {
    Refused::unavailable(Code::UpstreamLimited, seconds_of(millis))
}

fn used_up(millis: u64) -> Refused {
    Refused { retry_after: Some(seconds_of(millis)), ..Refused::from(Code::QuotaExhausted) }
}
