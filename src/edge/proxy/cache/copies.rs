//! The copies that an isolate holds, and the calls that others wait for.

use std::cell::{Cell, OnceCell, RefCell};
use std::fmt;
use std::rc::Rc;

use crate::edge::answer::Refused;
use crate::http::{FieldLines, Headers};
use crate::ports::KeptBody;
use crate::secret::Fingerprint;
use crate::time::UnixTime;

/// How much memory copies take, in bytes. Of 16 MiB in all, the platform has the rest: for copies
/// that are being made, and for heads of answers.
const MAX_BYTES: usize = 11 * 1024 * 1024;

/// What a copy takes besides its body and its texts, roughly.
const OVERHEAD: usize = 1024;

/// How much memory the calls on their way and those that wait for them take, in bytes. Further calls
/// call by themselves: nobody tells of a call whose caller left.
const MAX_FLIGHT_BYTES: usize = 1024 * 1024;

/// What such a call takes, roughly.
const FLIGHT_OVERHEAD: usize = 512;

/// A copy of an answer. Times are in milliseconds since 1970.
pub(in crate::edge::proxy) struct AnswerCopy {
    pub status: u16,
    pub fields: FieldLines,
    pub vary: Option<String>,
    /// The body, as the platform holds it, and its size in bytes, once it is there.
    pub body: OnceCell<KeptBody>,
    /// When the answer was made, by its age.
    pub born_at: u64,
    pub fresh_until: u64,
    pub stale_until: u64,
    /// The number of its last use.
    pub used: Cell<u64>,
}

impl AnswerCopy {
    fn size(&self, key: &str) -> usize {
        let vary = self.vary.as_deref().unwrap_or_default();
        let body = self.body.get().map_or(0, |(_, bytes)| *bytes);
        OVERHEAD + key.len() + self.fields.as_str().len() + vary.len() + body
    }

    /// Whether a caller with these fields has what this is a copy of, by `If-None-Match` (RFC 9110
    /// §13.1.2).
    pub fn is_known(&self, asked: &Headers<'_>) -> bool {
        let Some(sent) = asked.value("if-none-match") else { return false };
        let headers = self.fields.headers();
        let own = headers.value("etag").and_then(|tag| tag.split('"').nth(1));
        let mut is_tag = true;
        // Whatever stands between quotation marks is a tag; the comparison is weak.
        let is_among = sent.split('"').any(|part| {
            is_tag = !is_tag;
            is_tag && Some(part) == own
        });
        self.status < 300 && (is_among || sent.trim() == "*")
    }
}

/// A call on its way to the upstream, whose answer equal calls wait for, or one that brought a copy.
pub(in crate::edge::proxy) struct Flight {
    key: String,
    /// The call's connection and path.
    place: Fingerprint,
    /// The call's number, which no other flight has.
    pub number: u32,
    /// When nobody waits for the call any more: the runtime may end it without a word.
    pub until: UnixTime,
    /// Whether something changed at its place since it began.
    is_old: Cell<bool>,
    /// How many calls wait for it, with those whose callers left.
    waiting: Cell<usize>,
    pub landing: RefCell<Landing>,
}

/// What a call that others wait for has for them.
pub(in crate::edge::proxy) enum Landing {
    /// Nothing: the others call by themselves.
    Alone,
    /// A failure.
    Failed(Refused),
    /// An answer, and the word for how it came.
    Shared(Rc<AnswerCopy>, &'static str),
}

/// The copies that an isolate holds.
#[derive(Default)]
pub(in crate::edge) struct AnswerCopies {
    /// By key.
    held: RefCell<Vec<(Rc<Flight>, Rc<AnswerCopy>)>>,
    flights: RefCell<Vec<Rc<Flight>>>,
    bytes: Cell<usize>,
    /// The number of the last use, or of the last flight.
    last: Cell<u64>,
}

impl fmt::Debug for AnswerCopies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AnswerCopies")
    }
}

impl AnswerCopies {
    fn next(&self) -> u64 {
        self.last.set(self.last.get() + 1);
        self.last.get()
    }

    /// The copy of `key`, however long ago it was made.
    pub(super) fn get(&self, key: &str) -> Option<Rc<AnswerCopy>> {
        let held = self.held.borrow();
        let (flight, copy) = held.get(find(&held, key).ok()?)?;
        copy.used.set(self.next());
        (!flight.is_old.get()).then(|| Rc::clone(copy))
    }

    /// The call of `key` that is on its way at `now`, for one more to wait for, or a new one, until
    /// `until` at the latest, and whether it is new. `None` where there are too many.
    pub(super) fn board(
        &self,
        key: &str,
        place: impl FnOnce() -> Fingerprint,
        (now, until): (UnixTime, UnixTime),
        overdue: &mut dyn FnMut(u32),
    ) -> Option<(Rc<Flight>, bool)> {
        let mut flights = self.flights.borrow_mut();
        flights.retain(|flight| {
            let is_on_its_way = now < flight.until;
            if !is_on_its_way {
                // What changes from now on does not find it.
                flight.is_old.set(true);
                overdue(flight.number);
            }
            is_on_its_way
        });
        let size = |flight: &Rc<Flight>| flight.key.len() + FLIGHT_OVERHEAD * (1 + flight.waiting.get());
        if flights.iter().map(size).sum::<usize>() >= MAX_FLIGHT_BYTES {
            return None;
        }
        if let Some(flight) = flights.iter().find(|flight| flight.key == key && !flight.is_old.get()) {
            flight.waiting.set(flight.waiting.get() + 1);
            return Some((Rc::clone(flight), false));
        }
        let flight = Rc::new(Flight {
            key: key.to_owned(),
            place: place(),
            number: u32::try_from(self.next()).unwrap_or_default(),
            until,
            is_old: Cell::new(false),
            waiting: Cell::new(0),
            landing: RefCell::new(Landing::Alone),
        });
        flights.push(Rc::clone(&flight));
        Some((flight, true))
    }

    /// Ends the wait for `landed`, with what there is for those who wait.
    pub(super) fn land(&self, landed: &Flight, landing: Landing) {
        landed.landing.replace(landing);
        self.flights.borrow_mut().retain(|flight| flight.number != landed.number);
    }

    /// Makes everything old at `place`: also what is on its way.
    pub(in crate::edge) fn outdate(&self, place: impl FnOnce() -> Fingerprint) {
        let (held, flights) = (self.held.borrow(), self.flights.borrow());
        if held.is_empty() && flights.is_empty() {
            return;
        }
        let place = place();
        for flight in held.iter().map(|(flight, _)| flight).chain(flights.iter()) {
            if flight.place == place {
                flight.is_old.set(true);
            }
        }
    }

    /// Holds the copy that `flight` brought, unless it became old on its way. The copies that were
    /// used least recently go where there are too many.
    pub(super) fn store(&self, flight: &Rc<Flight>, copy: &Rc<AnswerCopy>) {
        if flight.is_old.get() {
            return;
        }
        copy.used.set(self.next());
        let mut held = self.held.borrow_mut();
        let mut bytes = self.bytes.get() + copy.size(&flight.key);
        let at = find(&held, &flight.key);
        let (Ok(place) | Err(place)) = at;
        if at.is_ok() {
            let (flight, copy) = held.remove(place);
            bytes -= copy.size(&flight.key);
        }
        held.insert(place, (Rc::clone(flight), Rc::clone(copy)));
        while bytes > MAX_BYTES {
            let (mut oldest, mut least) = (0, u64::MAX);
            for (at, (_, copy)) in held.iter().enumerate() {
                if copy.used.get() < least {
                    (oldest, least) = (at, copy.used.get());
                }
            }
            let (flight, copy) = held.remove(oldest);
            bytes -= copy.size(&flight.key);
        }
        self.bytes.set(bytes);
    }
}

fn find(held: &[(Rc<Flight>, Rc<AnswerCopy>)], key: &str) -> Result<usize, usize> {
    held.binary_search_by(|(flight, _)| flight.key.as_str().cmp(key))
}

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod tests {
    use std::time::Duration;

    use super::*;

    const NOW: UnixTime = UnixTime::from_millis(1_000_000);

    fn place() -> Fingerprint {
        Fingerprint::of(&["/"])
    }

    /// Whether a call of `key` waits for another at `now`; `None` where it has to call by itself. What
    /// is overdue goes to `overdue`.
    fn board(copies: &AnswerCopies, key: &str, now: UnixTime, overdue: &mut Vec<u32>) -> Option<bool> {
        let until = now + Duration::from_secs(40);
        let boarded = copies.board(key, place, (now, until), &mut |number| overdue.push(number));
        boarded.map(|(_, is_new)| !is_new)
    }

    fn store(copies: &AnswerCopies, key: &str, (fields, body): (usize, usize)) {
        let (flight, _) = copies.board(key, place, (NOW, NOW + Duration::from_secs(1)), &mut |_| {}).unwrap();
        let mut lines = FieldLines::default();
        lines.push("x-a", &"a".repeat(fields));
        let body: KeptBody = (Rc::new(()), body);
        let copy = Rc::new(AnswerCopy {
            status: 200,
            fields: lines,
            vary: None,
            body: OnceCell::from(body),
            born_at: 0,
            fresh_until: 0,
            stale_until: 0,
            used: Cell::default(),
        });
        copies.store(&flight, &copy);
        copies.land(&flight, Landing::Alone);
    }

    #[test]
    fn holds_no_more_than_it_may_whatever_makes_a_copy_large() {
        for (key, fields, body) in [(8, 0, 0), (8192, 0, 0), (8, 16_384, 0), (8, 0, 256 * 1024)] {
            let copies = AnswerCopies::default();
            let each = key + fields + body + OVERHEAD;
            let most = MAX_BYTES / each;
            for number in 0..most + 50 {
                store(&copies, &format!("{number:0key$}"), (fields, body));
            }
            let held = copies.held.borrow().len();
            assert!(held <= most && held > most - most / 50 - 2, "{held} of {most}");
            assert!(copies.bytes.get() <= MAX_BYTES);
            // The last one is there, the first one is not.
            assert!(copies.get(&format!("{:0key$}", most + 49)).is_some());
            assert!(copies.get(&format!("{:0key$}", 0)).is_none());
        }
    }

    #[test]
    fn counts_a_copy_that_takes_the_place_of_another_once() {
        let copies = AnswerCopies::default();
        for _ in 0..1000 {
            store(&copies, "a", (100, 100_000));
        }
        assert_eq!((copies.held.borrow().len(), copies.bytes.get() < 110_000), (1, true));
    }

    #[test]
    fn has_calls_call_by_themselves_where_too_many_wait() {
        let (copies, mut overdue) = (AnswerCopies::default(), Vec::new());
        let boarded: Vec<_> = (0..3000).map(|_| board(&copies, "a", NOW, &mut overdue)).collect();
        let most = MAX_FLIGHT_BYTES / FLIGHT_OVERHEAD;
        assert_eq!((boarded[0], boarded[1], boarded[most - 2]), (Some(false), Some(true), Some(true)));
        assert_eq!((boarded[most], board(&copies, "b", NOW, &mut overdue)), (None, None));
        let copies = AnswerCopies::default();
        for number in 0..2000 {
            board(&copies, &format!("{number:01000}"), NOW, &mut overdue);
        }
        let flights = copies.flights.borrow().len();
        assert!(flights <= MAX_FLIGHT_BYTES / 1500 + 1, "{flights}");
    }

    #[test]
    fn forgets_calls_that_the_runtime_ended_without_a_word() {
        let (copies, mut overdue) = (AnswerCopies::default(), Vec::new());
        assert_eq!(board(&copies, "a", NOW, &mut overdue), Some(false));
        assert_eq!(board(&copies, "a", NOW, &mut overdue), Some(true));
        let later = NOW + Duration::from_secs(40);
        assert_eq!(board(&copies, "b", later, &mut overdue), Some(false));
        assert_eq!((&*overdue, copies.flights.borrow().len()), (&[1][..], 1));
        assert_eq!(board(&copies, "a", later, &mut overdue), Some(false));
    }
}
