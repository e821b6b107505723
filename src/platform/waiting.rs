//! Calls that wait for their upstreams.

use crate::time::UnixTime;

/// How many calls wait before abandoned ones are looked for.
const FEW: usize = 64;

/// How many calls wait at most, with some 5 KiB each.
const MOST: usize = 4096;

/// Calls that wait, by number, each until its end.
///
/// When the caller of a call that only reads leaves, the runtime drops the
/// shim's half of the call, and this half is abandoned. Abandoned calls are
/// found by their ends, so that at most twice as many calls are kept as have not
/// reached theirs. Where more than [`MOST`] would wait, because callers leave
/// again and again, the older half goes, and a caller of these who is still
/// there gets an internal error.
#[derive(Debug)]
pub struct Waiting<T> {
    /// In the order of their numbers. Most come with the highest number yet, and
    /// few wait.
    calls: Vec<Entry<T>>,
    /// How many there may be before abandoned ones are looked for.
    most: usize,
}

#[derive(Debug)]
struct Entry<T> {
    number: u64,
    call: T,
    end: UnixTime,
}

impl<T> Waiting<T> {
    /// No call waits.
    pub const fn new() -> Self {
        Self { calls: Vec::new(), most: FEW }
    }

    /// Keeps `call` until `end`, and drops calls whose end is before `now`.
    pub fn keep(&mut self, number: u64, call: T, end: UnixTime, now: UnixTime) {
        if self.calls.len() >= self.most {
            self.calls.retain(|entry| now <= entry.end);
            if self.calls.len() >= MOST {
                self.calls.drain(..MOST / 2);
            }
            self.most = (2 * self.calls.len()).clamp(FEW, MOST);
        }
        if let Err(at) = self.place(number) {
            self.calls.insert(at, Entry { number, call, end });
        }
    }

    /// Takes the call `number` out, where it waits.
    pub fn take(&mut self, number: u64) -> Option<T> {
        let at = self.place(number).ok()?;
        Some(self.calls.remove(at).call)
    }

    fn place(&self, number: u64) -> Result<usize, usize> {
        self.calls.binary_search_by_key(&number, |entry| entry.number)
    }
}

#[cfg(test)]
mod tests {
    use wasm_bindgen_test::wasm_bindgen_test;

    use super::*;

    const fn at(millis: u64) -> UnixTime {
        UnixTime::from_millis(millis)
    }

    #[wasm_bindgen_test]
    fn gives_each_call_back_once() {
        let mut waiting = Waiting::new();
        waiting.keep(2, 'b', at(10), at(0));
        waiting.keep(1, 'a', at(10), at(0));
        assert_eq!((waiting.take(2), waiting.take(2), waiting.take(3)), (Some('b'), None, None));
        assert_eq!(waiting.take(1), Some('a'));
    }

    #[wasm_bindgen_test]
    fn keeps_every_call_until_its_end_however_many_wait() {
        let mut waiting = Waiting::new();
        for number in 0..1_000 {
            waiting.keep(number, number, at(1_000), at(number));
        }
        assert!((0..1_000).all(|number| waiting.take(number) == Some(number)));
    }

    #[wasm_bindgen_test]
    fn keeps_the_newer_ones_where_too_many_wait() {
        let mut waiting = Waiting::new();
        for number in 0..100_000 {
            waiting.keep(number, (), at(1_000_000), at(number));
            assert!(waiting.calls.len() <= MOST, "{} at {number}", waiting.calls.len());
        }
        assert!((98_000..100_000).all(|number| waiting.take(number).is_some()));
        assert!(waiting.take(90_000).is_none());
    }

    #[wasm_bindgen_test]
    fn lets_abandoned_calls_go() {
        let mut waiting = Waiting::new();
        for number in 0..100_000 {
            // Each has 100 ms, and one comes every millisecond: 101 have not come to their end.
            waiting.keep(number, (), at(number + 100), at(number));
            assert!(waiting.calls.len() <= 2 * 101, "{} at {number}", waiting.calls.len());
        }
        assert!(waiting.take(99_950).is_some(), "it has its time still");
    }
}
