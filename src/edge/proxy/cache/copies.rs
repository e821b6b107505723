//! The copies that an isolate holds, and the calls that others wait for.

use std::cell::{Cell, OnceCell, RefCell};
use std::fmt;
use std::rc::Rc;

use crate::edge::answer::Refused;
use crate::http::FieldLines;
use crate::ports::KeptBody;
use crate::secret::Fingerprint;
use crate::time::UnixTime;

/// How much memory all copies take, in bytes.
const MAX_BYTES: usize = 16 * 1024 * 1024;

/// What a copy takes besides its body and its fields, roughly.
const OVERHEAD: usize = 1024;

/// A copy of an answer. Times are in milliseconds since 1970.
pub(super) struct AnswerCopy {
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
    fn size(&self) -> usize {
        OVERHEAD + self.fields.as_str().len() + self.body.get().map_or(0, |(_, bytes)| *bytes)
    }
}

/// A call on its way to the upstream, whose answer equal calls wait for, or one that brought a copy.
pub(super) struct Flight {
    key: Fingerprint,
    /// The call's connection and path.
    place: Fingerprint,
    /// The call's number, which no other flight has.
    pub number: u32,
    /// When nobody waits for the call any more: the runtime may end it without a word.
    pub until: UnixTime,
    /// Whether something changed at its place since it began.
    is_old: Cell<bool>,
    pub outcome: RefCell<Outcome>,
}

/// What a call that others wait for has for them.
pub(super) enum Outcome {
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
    pub(super) fn get(&self, key: &Fingerprint) -> Option<Rc<AnswerCopy>> {
        let held = self.held.borrow();
        let (flight, copy) = held.get(find(&held, key).ok()?)?;
        copy.used.set(self.next());
        (!flight.is_old.get()).then(|| Rc::clone(copy))
    }

    /// The call of `key` that is on its way at `now`.
    pub(super) fn flight(&self, key: &Fingerprint, now: UnixTime) -> Option<Rc<Flight>> {
        let flights = self.flights.borrow();
        let is_one = |flight: &&Rc<Flight>| flight.key == *key && now < flight.until && !flight.is_old.get();
        flights.iter().find(is_one).cloned()
    }

    /// Has equal calls wait for one of `key`, until `until` at the latest.
    pub(super) fn take_off(&self, key: Fingerprint, place: Fingerprint, until: UnixTime) -> Rc<Flight> {
        let (outcome, is_old) = (RefCell::new(Outcome::Alone), Cell::new(false));
        let number = u32::try_from(self.next()).unwrap_or_default();
        let flight = Rc::new(Flight { key, place, number, until, is_old, outcome });
        self.flights.borrow_mut().push(Rc::clone(&flight));
        flight
    }

    /// Ends the wait for `landed` at `now`, with what there is for those who wait.
    pub(super) fn land(&self, landed: &Rc<Flight>, outcome: Outcome, now: UnixTime) {
        landed.outcome.replace(outcome);
        self.flights.borrow_mut().retain(|flight| flight.number != landed.number && now < flight.until);
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
        let mut bytes = self.bytes.get() + copy.size();
        let at = find(&held, &flight.key);
        let (Ok(place) | Err(place)) = at;
        if at.is_ok() {
            bytes -= held.remove(place).1.size();
        }
        held.insert(place, (Rc::clone(flight), Rc::clone(copy)));
        while bytes > MAX_BYTES {
            let (mut oldest, mut least) = (0, u64::MAX);
            for (at, (_, copy)) in held.iter().enumerate() {
                if copy.used.get() < least {
                    (oldest, least) = (at, copy.used.get());
                }
            }
            bytes -= held.remove(oldest).1.size();
        }
        self.bytes.set(bytes);
    }
}

fn find(held: &[(Rc<Flight>, Rc<AnswerCopy>)], key: &Fingerprint) -> Result<usize, usize> {
    held.binary_search_by(|(flight, _)| flight.key.as_bytes().cmp(key.as_bytes()))
}
