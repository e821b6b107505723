//! What an object tells the operator: events of a connection, each change of state once.
//!
//! Invariants:
//! - a change is durable before it is told, and is told under an id that is the same ever after: the
//!   delivery queue takes it once, however often it is told;
//! - a change is told before the next one is looked for: events come in order;
//! - a connection recovers only from what the operator was told.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use super::lock::{Lock, Rank};
use crate::config::Config;
use crate::json::{self, Members, record};
use crate::ports::{ObjectPorts, StorageFailed, report};
use crate::protocol::{AcceptEvent, OPERATOR, event_record};
use crate::secret::Fingerprint;
use crate::time::UnixTime;
use crate::token::Nonce;

/// The type of event of refused credentials or tokens.
pub const REJECTED: &str = "connection.rejected";
/// The type of event of a connection that somebody has to connect again.
pub const DISCONNECTED: &str = "connection.disconnected";
/// The type of event of a connection that works again.
const RECOVERED: &str = "connection.recovered";
/// The type of event of a connection with problems.
pub const MISCONFIGURED: &str = "connection.misconfigured";
/// The type of event of a webhook that failed.
pub const WEBHOOK_FAILED: &str = "webhook.failed";

/// The storage key of what was told.
const TOLD: &str = "told";

/// The least time between two events of one type about one connection.
const PAUSE: Duration = Duration::from_mins(1);

/// When an object looks again that has an event to tell, or whose recovery nobody else would notice.
pub const LOOK_AGAIN: Duration = Duration::from_mins(5);

/// What is known of a connection now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum News {
    /// The connection works.
    Works,
    /// The connection can be used; whether it works is not known.
    Usable,
    /// The connection, or what it is to do, has failed.
    Broken {
        /// The type of event; behind a blank, what makes it another one of that type.
        state: String,
        /// The code in the event.
        code: String,
    },
}

/// What the operator was told last, or is to be told.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
struct Told {
    /// The state that the last event but those of a recovery was about; empty where there was none.
    broken: String,
    code: String,
    broken_at: Option<UnixTime>,
    recovered_at: Option<UnixTime>,
    /// Whether the delivery queue may not have the last event.
    is_pending: bool,
}

record!(Told { broken, code, broken_at, recovered_at, is_pending });

impl Told {
    /// Whether the operator takes the connection for broken.
    const fn is_broken(&self) -> bool {
        self.broken_at.is_some() && self.recovered_at.is_none()
    }

    /// Whether the operator takes the connection for what `news` says.
    fn knows(&self, news: &News) -> bool {
        match news {
            News::Broken { state, .. } => self.is_broken() && self.broken == *state,
            News::Works => !self.is_broken(),
            News::Usable => !self.is_broken() || kind(&self.broken) != MISCONFIGURED,
        }
    }

    /// When what was told last came to be.
    fn since(&self) -> Option<UnixTime> {
        self.recovered_at.or(self.broken_at)
    }

    /// What is to be told because of `news` at `now`, if anything is. Where a connection breaks within a
    /// minute after the last event, that is told only if it still is broken then: one that comes and goes
    /// causes at most one event of each type a minute.
    fn next(&self, news: &News, now: UnixTime) -> Option<Self> {
        if self.knows(news) {
            return None;
        }
        let News::Broken { state, code } = news else {
            return Some(Self { recovered_at: Some(now), is_pending: true, ..self.clone() });
        };
        self.since().is_none_or(|since| now >= since + PAUSE).then(|| Self {
            broken: state.clone(),
            code: code.clone(),
            broken_at: Some(now),
            recovered_at: None,
            is_pending: true,
        })
    }

    /// The last event of `connection`: its id and its text.
    fn event(&self, connection: &str) -> (String, String) {
        let kind = if self.recovered_at.is_some() { RECOVERED } else { kind(&self.broken) };
        let since = self.since().unwrap_or(UnixTime::from_millis(0));
        let millis = since.as_millis().to_string();
        let mut digits = Fingerprint::of(&[connection, kind, &millis]).to_hex();
        digits.truncate(32);
        let time = since.to_rfc3339();
        let data = Members(&[("id", &connection), ("code", &self.code), ("since", &time)]);
        let text = json::text(&Members(&[("type", &kind), ("timestamp", &time), ("data", &data)]));
        (["evt_", &digits].concat(), text)
    }
}

/// The type of event of a state.
fn kind(state: &str) -> &str {
    state.split(' ').next().unwrap_or_default()
}

/// Tells the operator of one connection.
#[allow(missing_debug_implementations, reason = "the ports have no Debug")]
pub struct Telling<P> {
    ports: Rc<P>,
    config: Rc<Config>,
    connection: String,
    /// Held while something is told, and while the connection is removed.
    pub(super) lock: Lock,
    told: RefCell<Option<Told>>,
    /// Whether the object's alarm is set for what is to be told.
    sets_alarm: bool,
}

impl<P: ObjectPorts> Telling<P> {
    /// What tells of `connection`; it `sets_alarm` of the object where that has no alarm to keep.
    pub const fn new(ports: Rc<P>, config: Rc<Config>, connection: String, sets_alarm: bool) -> Self {
        let lock = Lock::new(Rank::Telling);
        Self { ports, config, connection, lock, told: RefCell::new(None), sets_alarm }
    }

    /// Whether anybody is to be told.
    pub fn is_wanted(&self) -> bool {
        self.config.events.is_some() && self.config.sealing_keys.is_some()
    }

    /// The state that was told last; empty where none was.
    pub async fn last(&self) -> Result<String, StorageFailed> {
        Ok(self.read().await?.broken)
    }

    /// Forgets what was told, which is deleted. The caller holds the lock.
    pub fn forget(&self) {
        self.told.replace(None);
    }

    /// Whether something is not told yet, as far as this instance knows.
    pub fn is_pending(&self) -> bool {
        self.told.borrow().as_ref().is_some_and(|told| told.is_pending)
    }

    /// Whether the operator takes the connection for broken, as far as this instance knows.
    pub fn is_broken(&self) -> bool {
        self.told.borrow().as_ref().is_some_and(Told::is_broken)
    }

    /// Tells the changes of state that `look` finds, until there is none left; nothing where it finds
    /// nothing.
    ///
    /// # Errors
    /// [`StorageFailed`]: the next call goes on.
    pub async fn tell(&self, look: &dyn Fn() -> Option<News>) -> Result<(), StorageFailed> {
        let _guard = self.lock.lock().await;
        while let Some(news) = look() {
            let told = self.read().await?;
            if told.is_pending && !self.hand_over(&told).await {
                break;
            }
            if self.sets_alarm && !told.knows(&news) {
                // Whoever is evicted now looks again, though nobody asks.
                self.ports.set_alarm(self.ports.now() + LOOK_AGAIN).await?;
            }
            match told.next(&news, self.ports.now()) {
                Some(next) => self.store(next).await?,
                None if told.is_pending => self.store(Told { is_pending: false, ..told }).await?,
                None => break,
            }
        }
        Ok(())
    }

    async fn read(&self) -> Result<Told, StorageFailed> {
        if let Some(told) = &*self.told.borrow() {
            return Ok(told.clone());
        }
        let stored = self.ports.get(TOLD).await?;
        let told = stored.and_then(|text| json::read::<Told>(text.as_bytes()).ok()).unwrap_or_default();
        self.told.replace(Some(told.clone()));
        Ok(told)
    }

    async fn store(&self, told: Told) -> Result<(), StorageFailed> {
        // After a failure, only storage has what was told.
        self.told.replace(None);
        let stored = self.ports.put(TOLD, &json::text(&told)).await;
        match stored {
            Ok(()) => drop(self.told.replace(Some(told))),
            Err(StorageFailed) => report::storage_failed(&*self.ports, TOLD),
        }
        stored
    }

    /// Hands the last event to the delivery queue, which may have it already.
    async fn hand_over(&self, told: &Told) -> bool {
        let Some(keys) = &self.config.sealing_keys else { return false };
        let (id, text) = told.event(&self.connection);
        let name = event_record(OPERATOR, &id);
        let Ok(event) = keys.seal(&name, text.as_bytes(), &Nonce(self.ports.bytes())) else { return false };
        let accept = AcceptEvent { connection: OPERATOR, id, event, proof: Fingerprint::of(&[]) };
        self.ports.ask(accept).await == Ok(true)
    }
}

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod tests {
    use super::*;

    const START: UnixTime = UnixTime::from_millis(1_800_000_000_000);

    fn after(seconds: u64) -> UnixTime {
        START + Duration::from_secs(seconds)
    }

    fn broken(state: &str) -> News {
        News::Broken { state: state.to_owned(), code: "code".to_owned() }
    }

    /// Tells of each of `news` at its second; what was told of which, by its type, nothing for `-`.
    #[track_caller]
    fn check(news: &[(u64, News)], expected: &str) {
        let mut told = Told::default();
        let mut types = Vec::new();
        for (seconds, news) in news {
            match told.next(news, after(*seconds)) {
                Some(next) => {
                    told = next;
                    let (_, text) = told.event("acme");
                    let event = json::parse(text.as_bytes()).unwrap();
                    let kind = event["type"].as_str().unwrap();
                    types.push(kind.rsplit('.').next().unwrap().to_owned());
                    assert_eq!(event["data"]["since"], after(*seconds).to_rfc3339());
                    assert_eq!(event["timestamp"], event["data"]["since"]);
                }
                None => types.push("-".to_owned()),
            }
        }
        assert_eq!(types.join(" "), expected);
    }

    #[test]
    fn tells_each_change_of_state_once() {
        let (rejected, disconnected) = (broken(REJECTED), broken(DISCONNECTED));
        check(&[(0, News::Works), (1, News::Usable)], "- -");
        check(&[(0, rejected.clone()), (100, rejected.clone()), (9_000, rejected.clone())], "rejected - -");
        check(
            &[
                (0, rejected.clone()),
                (100, disconnected.clone()),
                (200, News::Usable),
                (300, News::Works),
                (400, News::Works),
                (500, disconnected),
            ],
            "rejected disconnected - recovered - disconnected",
        );
    }

    #[test]
    fn takes_another_set_of_problems_for_another_state_and_a_usable_connection_for_recovered() {
        let wrong = |fields: &str| broken(&[MISCONFIGURED, " ", fields].concat());
        check(
            &[(0, wrong("a")), (100, wrong("a")), (200, wrong("b")), (300, News::Usable), (301, News::Works)],
            "misconfigured - misconfigured recovered -",
        );
    }

    #[test]
    fn makes_no_storm_of_a_connection_that_comes_and_goes() {
        let rejected = || broken(REJECTED);
        check(
            &[
                (0, rejected()),
                (5, News::Works),
                (10, rejected()),
                (15, News::Works),
                (64, rejected()),
                (65, rejected()),
                (66, News::Works),
            ],
            "rejected recovered - - - rejected recovered",
        );
    }

    #[test]
    fn names_an_event_by_its_connection_type_and_time() {
        let told = Told::default().next(&broken(REJECTED), START).unwrap();
        let (id, text) = told.event("acme");
        let expected = r#"{"type":"connection.rejected","timestamp":"2027-01-15T08:00:00Z","data":{"id":"acme","code":"code","since":"2027-01-15T08:00:00Z"}}"#;
        assert_eq!(text, expected);
        assert!(id.len() == 36 && id.starts_with("evt_"));
        let restarted: Told = json::read(json::text(&told).as_bytes()).unwrap();
        assert_eq!((restarted.event("acme"), restarted == told), ((id.clone(), text), true));
        let later = Told::default().next(&broken(REJECTED), after(1)).unwrap();
        let other = Told::default().next(&broken(DISCONNECTED), START).unwrap();
        for (told, connection) in [(told, "bolt"), (later, "acme"), (other, "acme")] {
            assert_ne!(told.event(connection).0, id);
        }
    }
}
