//! Virtual time, and the tasks that run in it.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::LocalBoxFuture;

use porteiro::time::UnixTime;

/// When the simulation begins: 2026-01-01T00:00:00Z.
const START: u64 = 1_767_225_600_000;

/// A group of tasks that end together: an isolate, a life of an object, the provider.
pub type Process = u32;

/// Time, randomness and tasks.
#[derive(Clone)]
pub struct World(Rc<Inner>);

struct Inner {
    now: Cell<u64>,
    chance: Cell<u64>,
    counter: Cell<u64>,
    tasks: RefCell<BTreeMap<u64, Task>>,
    timers: RefCell<BTreeMap<(u64, u64), Waker>>,
}

struct Task {
    process: Process,
    future: LocalBoxFuture<'static, ()>,
    woken: Arc<Woken>,
}

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl World {
    /// A world whose course `seed` determines.
    pub fn new(seed: u64) -> Self {
        Self(Rc::new(Inner {
            now: Cell::new(START),
            chance: Cell::new(seed),
            counter: Cell::new(0),
            tasks: RefCell::default(),
            timers: RefCell::default(),
        }))
    }

    /// The current time.
    pub fn now(&self) -> UnixTime {
        UnixTime::from_millis(self.0.now.get())
    }

    /// The next number of the seed's sequence (`SplitMix64`).
    pub fn random(&self) -> u64 {
        let state = self.0.chance.get().wrapping_add(0x9E37_79B9_7F4A_7C15);
        self.0.chance.set(state);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A random number below `bound`.
    pub fn below(&self, bound: u64) -> u64 {
        self.random() % bound.max(1)
    }

    /// Draws an event of the probability `per_mille`/1000.
    pub fn happens(&self, per_mille: u64) -> bool {
        per_mille > 0 && self.below(1000) < per_mille
    }

    /// A number that was not returned before.
    pub fn unique(&self) -> u64 {
        let next = self.0.counter.get() + 1;
        self.0.counter.set(next);
        next
    }

    /// Spawns `future` as a task of `process`.
    pub fn spawn(&self, process: Process, future: impl Future<Output = ()> + 'static) {
        let woken = Arc::new(Woken(AtomicBool::new(true)));
        let task = Task { process, future: future.boxed_local(), woken };
        self.0.tasks.borrow_mut().insert(self.unique(), task);
    }

    /// Ends `process`: its tasks stop at their current await.
    pub fn kill(&self, process: Process) {
        let mut tasks = self.0.tasks.borrow_mut();
        let (dead, alive) =
            std::mem::take(&mut *tasks).into_iter().partition(|(_, task)| task.process == process);
        *tasks = alive;
        drop(tasks);
        // Destructors may use the world.
        drop::<BTreeMap<_, _>>(dead);
    }

    /// Ends all tasks.
    pub fn end(&self) {
        let all = std::mem::take(&mut *self.0.tasks.borrow_mut());
        drop::<BTreeMap<_, _>>(all);
    }

    /// Waits for `span`.
    pub fn sleep(&self, span: Duration) -> impl Future<Output = ()> + use<> {
        let due = (self.now() + span).as_millis();
        Sleep { world: self.clone(), due, key: None }
    }

    /// Waits for the duration of one network hop.
    pub fn hop(&self) -> impl Future<Output = ()> + use<> {
        self.sleep(Duration::from_millis(self.below(40)))
    }

    /// Makes one step: polls one ready task, or advances time to the next timer, at most to
    /// `until`. `false` if nothing is left to do.
    pub fn step(&self, until: UnixTime) -> bool {
        let ready: Vec<u64> = {
            let tasks = self.0.tasks.borrow();
            tasks.iter().filter(|(_, task)| task.woken.0.load(Ordering::Relaxed)).map(|(id, _)| *id).collect()
        };
        if ready.is_empty() {
            return self.advance(until);
        }
        let chosen = ready[usize::try_from(self.below(ready.len() as u64)).unwrap()];
        let Some(mut task) = self.0.tasks.borrow_mut().remove(&chosen) else { return true };
        task.woken.0.store(false, Ordering::Relaxed);
        let waker = Waker::from(Arc::clone(&task.woken));
        if task.future.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
            self.0.tasks.borrow_mut().insert(chosen, task);
        }
        true
    }

    /// Runs until nothing is left to do before `until`, and sets the time to `until`.
    pub fn run_until(&self, until: UnixTime) {
        while self.step(until) {}
        self.0.now.set(self.0.now.get().max(until.as_millis()));
    }

    /// Runs for `span`.
    pub fn run_for(&self, span: Duration) {
        self.run_until(self.now() + span);
    }

    /// Runs until `future` completes and returns its result; panics if it never completes.
    pub fn block_on<T: 'static>(&self, process: Process, future: impl Future<Output = T> + 'static) -> T {
        let slot = Rc::new(RefCell::new(None));
        let result = Rc::clone(&slot);
        self.spawn(process, async move {
            let value = future.await;
            *slot.borrow_mut() = Some(value);
        });
        let patience = self.now() + Duration::from_hours(24);
        loop {
            if let Some(value) = result.borrow_mut().take() {
                return value;
            }
            assert!(self.step(patience), "something waits for ever");
        }
    }

    fn advance(&self, until: UnixTime) -> bool {
        let mut timers = self.0.timers.borrow_mut();
        let Some(entry) = timers.first_entry() else { return false };
        let due = entry.key().0;
        if due > until.as_millis() {
            return false;
        }
        let waker = entry.remove();
        drop(timers);
        self.0.now.set(self.0.now.get().max(due));
        waker.wake();
        true
    }
}

struct Sleep {
    world: World,
    due: u64,
    key: Option<(u64, u64)>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.world.0.now.get() >= self.due {
            return Poll::Ready(());
        }
        let key = self.key.unwrap_or((self.due, self.world.unique()));
        self.key = Some(key);
        self.world.0.timers.borrow_mut().insert(key, context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.world.0.timers.borrow_mut().remove(&key);
        }
    }
}
