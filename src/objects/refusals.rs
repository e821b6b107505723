//! The counters of refused sign-ins. They keep attackers from guessing passwords through the
//! broker, and from having the provider lock a person's account.
//!
//! There is one counter, an object of its own, for each user name of a connection, for each
//! network, divided into parts by address, and for each browser that a person signed in with
//! before. An attempt is counted before the provider is asked; an attempt whose outcome is never
//! reported counts as refused.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use super::lock::{Lock, Rank};
use crate::json::{self, record};
use crate::ports::{ObjectPorts, StorageFailed};
use crate::protocol::{RefusalsAsk, RefusalsReply};
use crate::time::UnixTime;

/// How many refusals a part of a counter allows within [`WINDOW`].
const MAX_REFUSALS: usize = 5;

/// How many refusals all parts of a counter allow together.
const MAX_REFUSALS_IN_ALL: usize = 20;

const WINDOW: Duration = Duration::from_mins(1);

/// An attempt whose outcome is never reported counts as over after this long, which exceeds the
/// time limits of two token requests.
const LONGEST_ATTEMPT: Duration = Duration::from_mins(5);

/// The storage key of the attempts.
const REFUSALS: &str = "refusals";

/// A counter of refused sign-ins.
#[allow(missing_debug_implementations, reason = "the ports have no Debug")]
pub struct Refusals<P> {
    ports: Rc<P>,
    attempts: RefCell<Option<Attempts>>,
    /// Held while the attempts change.
    counting: Lock,
}

#[derive(Clone, Default, Debug)]
struct Attempts {
    last: u64,
    list: Vec<SignInAttempt>,
}

record!(Attempts { last, list });

#[derive(Clone, Copy, Debug)]
struct SignInAttempt {
    number: u64,
    /// When the attempt began, or was refused.
    at: UnixTime,
    is_under_way: bool,
    part: u64,
}

record!(SignInAttempt { number, at, is_under_way, part = default });

impl<P: ObjectPorts> Refusals<P> {
    /// The counter over the storage in `ports`.
    #[must_use]
    pub fn new(ports: Rc<P>) -> Rc<Self> {
        Rc::new(Self { ports, attempts: RefCell::new(None), counting: Lock::new(Rank::Counting) })
    }

    /// Answers one ask.
    pub async fn answer(&self, ask: RefusalsAsk) -> RefusalsReply {
        let answered = match ask {
            RefusalsAsk::Begin { part } => self.change(|attempts, now| attempts.begin(part, now)).await,
            RefusalsAsk::End { attempt, refused } => {
                self.change(|attempts, now| attempts.end(attempt, refused, now)).await
            }
        };
        answered.unwrap_or(RefusalsReply::Unavailable)
    }

    /// Deletes the counter where no attempt counts any more.
    ///
    /// # Errors
    /// [`StorageFailed`]: the platform retries the alarm.
    pub async fn alarm(&self) -> Result<(), StorageFailed> {
        let _guard = self.counting.lock().await;
        let now = self.ports.now();
        let attempts = self.current_attempts(now).await?;
        if !attempts.list.is_empty() {
            return self.ports.set_alarm(now + LONGEST_ATTEMPT).await;
        }
        self.attempts.replace(None);
        self.ports.clear().await
    }

    /// Changes the attempts, durably before the reply. A record holds only times, and digests of
    /// networks.
    async fn change(
        &self,
        change: impl FnOnce(&mut Attempts, UnixTime) -> RefusalsReply,
    ) -> Result<RefusalsReply, StorageFailed> {
        let _guard = self.counting.lock().await;
        let now = self.ports.now();
        let mut attempts = self.current_attempts(now).await?;
        let reply = change(&mut attempts, now);
        if matches!(reply, RefusalsReply::Begun(_) | RefusalsReply::Noted) {
            let text = json::text(&attempts);
            self.ports.put(REFUSALS, &text).await?;
            self.ports.set_alarm(now + LONGEST_ATTEMPT + WINDOW).await?;
        }
        self.attempts.replace(Some(attempts));
        Ok(reply)
    }

    /// The attempts that count at `now`.
    async fn current_attempts(&self, now: UnixTime) -> Result<Attempts, StorageFailed> {
        let known = self.attempts.borrow().clone();
        let mut attempts = if let Some(attempts) = known {
            attempts
        } else {
            let stored = self.ports.get(REFUSALS).await?;
            stored.and_then(|text| json::read(text.as_bytes()).ok()).unwrap_or_default()
        };
        attempts.drop_expired(now);
        Ok(attempts)
    }
}

impl SignInAttempt {
    fn counts_until(&self) -> UnixTime {
        self.at + if self.is_under_way { LONGEST_ATTEMPT } else { WINDOW }
    }
}

impl Attempts {
    fn drop_expired(&mut self, now: UnixTime) {
        self.list.retain(|attempt| now < attempt.counts_until());
    }

    fn begin(&mut self, part: u64, now: UnixTime) -> RefusalsReply {
        let own = self.list.iter().filter(|attempt| attempt.part == part);
        let exceeded = exceeded_limit(own, MAX_REFUSALS, now)
            .or_else(|| exceeded_limit(self.list.iter(), MAX_REFUSALS_IN_ALL, now));
        if let Some(reply) = exceeded {
            return reply;
        }
        self.last += 1;
        self.list.push(SignInAttempt { number: self.last, at: now, is_under_way: true, part });
        RefusalsReply::Begun(self.last)
    }

    fn end(&mut self, number: u64, refused: bool, now: UnixTime) -> RefusalsReply {
        if refused {
            for attempt in self.list.iter_mut().filter(|attempt| attempt.number == number) {
                (attempt.at, attempt.is_under_way) = (now, false);
            }
        } else {
            self.list.retain(|attempt| attempt.number != number);
        }
        RefusalsReply::Noted
    }
}

/// The reply that refuses another attempt, if `attempts` already use up the limit `most`.
fn exceeded_limit<'a>(
    attempts: impl Iterator<Item = &'a SignInAttempt> + Clone,
    most: usize,
    now: UnixTime,
) -> Option<RefusalsReply> {
    let seconds_until = |at: UnixTime| (at.since(now) + Duration::from_millis(999)).as_secs().max(1);
    let refused = attempts.clone().filter(|attempt| !attempt.is_under_way);
    if refused.clone().count() >= most {
        let oldest = refused.map(|attempt| attempt.at).min().unwrap_or(now);
        return Some(RefusalsReply::Full(seconds_until(oldest + WINDOW)));
    }
    if attempts.clone().count() >= most {
        let next = attempts.map(SignInAttempt::counts_until).min().unwrap_or(now);
        return Some(RefusalsReply::Busy(seconds_until(next)));
    }
    None
}

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod tests {
    use super::*;

    const START: UnixTime = UnixTime::from_millis(1_000_000);

    fn begin(attempts: &mut Attempts, at: u64) -> RefusalsReply {
        begin_in(attempts, 0, at)
    }

    fn begin_in(attempts: &mut Attempts, part: u64, at: u64) -> RefusalsReply {
        let now = START + Duration::from_secs(at);
        attempts.drop_expired(now);
        attempts.begin(part, now)
    }

    fn refuse(attempts: &mut Attempts, at: u64) {
        let RefusalsReply::Begun(number) = begin(attempts, at) else { panic!("no turn at {at}") };
        attempts.end(number, true, START + Duration::from_secs(at));
    }

    #[test]
    fn lets_five_refusals_happen_in_any_minute() {
        let mut attempts = Attempts::default();
        for at in [0, 10, 20, 30, 40] {
            refuse(&mut attempts, at);
        }
        assert_eq!(begin(&mut attempts, 41), RefusalsReply::Full(19));
        assert_eq!(begin(&mut attempts, 59), RefusalsReply::Full(1));
        refuse(&mut attempts, 60);
        assert_eq!(begin(&mut attempts, 60), RefusalsReply::Full(10));
    }

    #[test]
    fn holds_up_nobody_who_succeeds() {
        let mut attempts = Attempts::default();
        for _ in 0..100 {
            let RefusalsReply::Begun(number) = begin(&mut attempts, 0) else { panic!("no turn") };
            attempts.end(number, false, START);
        }
        assert!(attempts.list.is_empty());
    }

    #[test]
    fn lets_no_more_attempts_begin_than_may_be_refused() {
        let mut attempts = Attempts::default();
        for _ in 0..3 {
            refuse(&mut attempts, 0);
        }
        assert!(matches!(begin(&mut attempts, 0), RefusalsReply::Begun(_)));
        assert_eq!(begin(&mut attempts, 0), RefusalsReply::Begun(5));
        assert_eq!(begin(&mut attempts, 0), RefusalsReply::Busy(60));
        attempts.end(5, false, START);
        assert!(matches!(begin(&mut attempts, 0), RefusalsReply::Begun(_)));
    }

    #[test]
    fn counts_an_attempt_whose_end_is_not_told() {
        let mut attempts = Attempts::default();
        for _ in 0..5 {
            begin(&mut attempts, 0);
        }
        assert_eq!(begin(&mut attempts, 299), RefusalsReply::Busy(1));
        assert!(matches!(begin(&mut attempts, 300), RefusalsReply::Begun(_)));
    }

    #[test]
    fn counts_parts_apart_and_lets_twenty_refusals_happen_in_all_of_them() {
        let mut attempts = Attempts::default();
        let mut refused = 0;
        for part in 1..=40 {
            while let RefusalsReply::Begun(number) = begin_in(&mut attempts, part, 0) {
                attempts.end(number, true, START);
                refused += 1;
                if part > 3 {
                    break;
                }
            }
        }
        assert_eq!(refused, MAX_REFUSALS_IN_ALL);
        let of = |part| attempts.list.iter().filter(|attempt| attempt.part == part).count();
        assert_eq!([of(1), of(3), of(4), of(8), of(9)], [5, 5, 1, 1, 0]);
        assert_eq!(begin_in(&mut attempts, 41, 59), RefusalsReply::Full(1));
        assert!(matches!(begin_in(&mut attempts, 41, 60), RefusalsReply::Begun(_)));
    }

    #[test]
    fn reads_what_was_stored_before_there_were_parts() {
        let stored = r#"{"last":1,"list":[{"number":1,"at":1000000,"is_under_way":false}]}"#;
        let attempts: Attempts = json::read(stored.as_bytes()).unwrap();
        assert_eq!(attempts.list.iter().map(|attempt| attempt.part).collect::<Vec<_>>(), [0]);
    }
}
