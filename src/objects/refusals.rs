//! Counting refused sign-ins, so that nobody can guess passwords through the
//! broker, nor lock somebody's account by trying.
//!
//! There is one counter for each user name of a connection, one for each
//! network, which counts apart what is within it, and one for each browser that
//! a person signed in with before: an object of its own everywhere. An attempt
//! takes its turn before the provider is asked; one whose end is not told counts
//! as refused.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use futures_util::lock::Mutex;
use serde::{Deserialize, Serialize};

use crate::ports::{KeeperPorts, SessionPorts, StorageFailed};
use crate::protocol::{RefusalsAsk, RefusalsReply};
use crate::time::UnixTime;

/// How many refusals are let happen within [`WINDOW`].
const MOST: usize = 5;

/// How many are let happen in all parts of a counter together.
const MOST_IN_ALL: usize = 20;

const WINDOW: Duration = Duration::from_mins(1);

/// After how long an attempt whose end is not told has ended: longer than any
/// two token requests may take.
const LONGEST_ATTEMPT: Duration = Duration::from_mins(5);

/// One counter.
#[allow(missing_debug_implementations, reason = "its ports have none")]
pub struct Refusals<P> {
    ports: P,
    attempts: RefCell<Option<Attempts>>,
    writing: Mutex<()>,
}

#[derive(Clone, Default, Debug, Serialize, Deserialize)]
struct Attempts {
    last: u64,
    list: Vec<Attempt>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Attempt {
    number: u64,
    /// When it began, or was refused.
    at: UnixTime,
    is_under_way: bool,
    #[serde(default)]
    part: u64,
}

impl<P: SessionPorts> Refusals<P> {
    /// The counter whose storage `ports` have.
    #[must_use]
    pub fn new(ports: P) -> Rc<Self> {
        Rc::new(Self { ports, attempts: RefCell::new(None), writing: Mutex::new(()) })
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

    /// Forgets all, where nothing has happened for long.
    ///
    /// # Errors
    /// [`StorageFailed`]: the alarm is to come again.
    pub async fn alarm(&self) -> Result<(), StorageFailed> {
        let _turn = self.writing.lock().await;
        let now = self.ports.now();
        let attempts = self.counting(now).await?;
        if !attempts.list.is_empty() {
            return self.ports.set_alarm(now + LONGEST_ATTEMPT).await;
        }
        self.attempts.replace(None);
        self.ports.clear().await
    }

    /// Changes the attempts, durably before anybody learns of it. They hold
    /// nothing but times, and digests of networks.
    async fn change(
        &self,
        change: impl FnOnce(&mut Attempts, UnixTime) -> RefusalsReply,
    ) -> Result<RefusalsReply, StorageFailed> {
        let _turn = self.writing.lock().await;
        let now = self.ports.now();
        let mut attempts = self.counting(now).await?;
        let reply = change(&mut attempts, now);
        if matches!(reply, RefusalsReply::Begun(_) | RefusalsReply::Noted) {
            let text = serde_json::to_string(&attempts).map_err(|_| StorageFailed)?;
            self.ports.store(&text).await?;
            self.ports.set_alarm(now + LONGEST_ATTEMPT + WINDOW).await?;
        }
        self.attempts.replace(Some(attempts));
        Ok(reply)
    }

    /// The attempts that count at `now`.
    async fn counting(&self, now: UnixTime) -> Result<Attempts, StorageFailed> {
        let known = self.attempts.borrow().clone();
        let mut attempts = if let Some(attempts) = known {
            attempts
        } else {
            let stored = KeeperPorts::load(&self.ports).await?;
            stored.and_then(|text| serde_json::from_slice(text.as_bytes()).ok()).unwrap_or_default()
        };
        attempts.forget_old(now);
        Ok(attempts)
    }
}

impl Attempt {
    fn counts_until(&self) -> UnixTime {
        self.at + if self.is_under_way { LONGEST_ATTEMPT } else { WINDOW }
    }
}

impl Attempts {
    fn forget_old(&mut self, now: UnixTime) {
        self.list.retain(|attempt| now < attempt.counts_until());
    }

    fn begin(&mut self, part: u64, now: UnixTime) -> RefusalsReply {
        let own = self.list.iter().filter(|attempt| attempt.part == part);
        let held_up = hold_up(own, MOST, now).or_else(|| hold_up(self.list.iter(), MOST_IN_ALL, now));
        if let Some(reply) = held_up {
            return reply;
        }
        self.last += 1;
        self.list.push(Attempt { number: self.last, at: now, is_under_way: true, part });
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

/// What holds up another attempt, of `attempts` there being `most` at a time.
fn hold_up<'a>(
    attempts: impl Iterator<Item = &'a Attempt> + Clone,
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
        let next = attempts.map(Attempt::counts_until).min().unwrap_or(now);
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
        attempts.forget_old(now);
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
        assert_eq!(refused, MOST_IN_ALL);
        let of = |part| attempts.list.iter().filter(|attempt| attempt.part == part).count();
        assert_eq!([of(1), of(3), of(4), of(8), of(9)], [5, 5, 1, 1, 0]);
        assert_eq!(begin_in(&mut attempts, 41, 59), RefusalsReply::Full(1));
        assert!(matches!(begin_in(&mut attempts, 41, 60), RefusalsReply::Begun(_)));
    }

    #[test]
    fn reads_what_was_stored_before_there_were_parts() {
        let stored = r#"{"last":1,"list":[{"number":1,"at":1000000,"is_under_way":false}]}"#;
        let attempts: Attempts = serde_json::from_str(stored).unwrap();
        assert_eq!(attempts.list.iter().map(|attempt| attempt.part).collect::<Vec<_>>(), [0]);
    }
}
