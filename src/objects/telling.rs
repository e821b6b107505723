//! What an object tells the operator: events of a connection, each change of state once.
//!
//! Invariants:
//! - a change is durable before it is told, and is told under an id that is the same ever after: the
//!   delivery queue takes it once, however often it is told;
//! - a change is told before the next one is looked for: events come in order;
//! - a connection recovers only from what the operator was told.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use super::lock::{Lock, Rank};
use crate::config::Config;
use crate::json::{self, Members, record};
use crate::ports::{ObjectPorts, StorageFailed};
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

/// How long after an event about a connection the next one that it broke may come.
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
#[derive(PartialEq, Eq, Default, Debug)]
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

    /// Becomes what is to be told because of `news` at `now`; false where nothing is. Where a connection
    /// breaks within [`PAUSE`] after the last event, that is told only if it still is broken then: one that
    /// comes and goes causes at most one event of each type in that time.
    fn change(&mut self, news: News, now: UnixTime) -> bool {
        if self.knows(&news) {
            return false;
        }
        match news {
            News::Broken { .. } if self.since().is_some_and(|since| now < since + PAUSE) => return false,
            News::Broken { state, code } => {
                *self =
                    Self { broken: state, code, broken_at: Some(now), recovered_at: None, is_pending: true };
            }
            News::Works | News::Usable => (self.recovered_at, self.is_pending) = (Some(now), true),
        }
        true
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

fn is_wanted(config: &Config) -> bool {
    config.events.is_some() && config.sealing_keys.is_some()
}

/// Tells the operator of one connection.
#[allow(missing_debug_implementations, reason = "the ports have no Debug")]
pub struct Telling<P> {
    ports: Rc<P>,
    config: Rc<Config>,
    connection: String,
    /// Held while something is told, and while the connection is removed.
    pub(super) lock: Lock,
    /// Whether a change may not be told yet, as far as this instance knows: somebody has to look again.
    pub(super) owes: Rc<Cell<bool>>,
    /// Whether this is a keeper's: it sets the object's alarm for what is to be told. A delivery
    /// queue tells of each hour once, and has an alarm of its own.
    is_keepers: bool,
}

impl<P: ObjectPorts> Telling<P> {
    /// What tells of `connection`, for its keeper or its delivery queue.
    pub fn new(ports: Rc<P>, config: Rc<Config>, connection: String, is_keepers: bool) -> Self {
        // What an instance before this one owed is not known, but that of the events tells nobody of itself.
        let owes = Rc::new(Cell::new(is_wanted(&config) && connection != OPERATOR));
        let lock = Lock::new(Rank::Telling);
        Self { ports, config, connection, lock, owes, is_keepers }
    }

    /// Whether anybody is to be told.
    pub fn is_wanted(&self) -> bool {
        is_wanted(&self.config)
    }

    /// Since when the state holds that was told last, for whoever is about to tell the next one.
    pub async fn last(&self) -> Result<Option<UnixTime>, StorageFailed> {
        self.owes.set(true);
        Ok(self.read().await?.broken_at)
    }

    /// Tells the changes of state that `look` finds, until there is none left; nothing where it finds
    /// nothing. `is_alone` where no call shows a recovery, as none does of a misconfigured connection.
    /// `other_alarm` is when the object needs its alarm for another purpose.
    ///
    /// # Errors
    /// [`StorageFailed`]: the next call goes on.
    pub async fn tell(
        &self,
        is_alone: bool,
        look: &dyn Fn() -> Option<News>,
        other_alarm: &dyn Fn() -> Option<UnixTime>,
    ) -> Result<(), StorageFailed> {
        let _guard = self.lock.lock().await;
        while let Some(news) = look() {
            let mut told = self.read().await?;
            let is_alone = is_alone || kind(&told.broken) == MISCONFIGURED;
            let owes = told.is_pending || !told.knows(&news) || (is_alone && told.is_broken());
            self.owes.set(owes);
            if self.is_keepers && owes {
                // Whoever is evicted now looks again, though nobody asks.
                let look_at = self.ports.now() + LOOK_AGAIN;
                self.ports.set_alarm(other_alarm().map_or(look_at, |at| at.min(look_at))).await?;
            }
            if told.is_pending {
                if !self.hand_over(&told).await {
                    break;
                }
                told.is_pending = false;
            } else if !told.change(news, self.ports.now()) {
                break;
            }
            self.ports.put(TOLD, &json::text(&told)).await?;
        }
        Ok(())
    }

    async fn read(&self) -> Result<Told, StorageFailed> {
        let stored = self.ports.get(TOLD).await?;
        Ok(stored.and_then(|text| json::read(text.as_bytes()).ok()).unwrap_or_default())
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
            if told.change(news.clone(), after(*seconds)) {
                let (_, text) = told.event("acme");
                let event = json::parse(text.as_bytes()).unwrap();
                let kind = event["type"].as_str().unwrap();
                types.push(kind.rsplit('.').next().unwrap().to_owned());
                assert_eq!(event["data"]["since"], after(*seconds).to_rfc3339());
                assert_eq!(event["timestamp"], event["data"]["since"]);
            } else {
                types.push("-".to_owned());
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

    fn told_of(state: &str, at: UnixTime) -> Told {
        let mut told = Told::default();
        assert!(told.change(broken(state), at));
        told
    }

    #[test]
    fn names_an_event_by_its_connection_type_and_time() {
        let told = told_of(REJECTED, START);
        let (id, text) = told.event("acme");
        let expected = r#"{"type":"connection.rejected","timestamp":"2027-01-15T08:00:00Z","data":{"id":"acme","code":"code","since":"2027-01-15T08:00:00Z"}}"#;
        assert_eq!(text, expected);
        assert!(id.len() == 36 && id.starts_with("evt_"));
        let restarted: Told = json::read(json::text(&told).as_bytes()).unwrap();
        assert_eq!((restarted.event("acme"), restarted == told), ((id.clone(), text), true));
        let later = told_of(REJECTED, after(1));
        let other = told_of(DISCONNECTED, START);
        for (told, connection) in [(told, "bolt"), (later, "acme"), (other, "acme")] {
            assert_ne!(told.event(connection).0, id);
        }
    }
}
