//! What the tests of this module share: queries, and threads that hang or take long where a query asks for it by one of
//! the names of [`answer::injected`](crate::answer::injected).

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::answer::injected::ThreadFault;

/// A query for the address of a name in wire form.
pub(super) fn query(id: u16, name: &[u8]) -> Vec<u8> {
    let [high, low] = id.to_be_bytes();
    [&[high, low, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0], name, &[0, 1, 0, 1]].concat()
}

/// The same with its length in front, as TCP has it.
pub(super) fn framed(id: u16, name: &[u8]) -> Vec<u8> {
    let query = query(id, name);
    [&(query.len() as u16).to_be_bytes()[..], &query].concat()
}

/// What threads hang at until a test lets them go on.
#[derive(Debug)]
pub(super) struct Wedge {
    /// How many threads got there.
    arrived: AtomicUsize,
    /// How many threads have gone on.
    left: AtomicUsize,
    /// Whether they may go on.
    is_released: AtomicBool,
}

impl Wedge {
    /// How many threads are stuck.
    pub(super) fn stuck(&self) -> usize {
        // Read in this order it is never too large by one that has gone on since.
        let left = self.left.load(Ordering::SeqCst);
        self.arrived.load(Ordering::SeqCst) - left
    }

    /// Lets all of them go on.
    pub(super) fn release(&self) {
        self.is_released.store(true, Ordering::SeqCst);
    }
}

/// The wedges, one for each test that needs one.
pub(super) static WEDGES: [Wedge; 6] =
    [const { Wedge { arrived: AtomicUsize::new(0), left: AtomicUsize::new(0), is_released: AtomicBool::new(false) } };
        6];

/// How long a test waits for what must happen.
pub(super) const WAIT_MAX: Duration = Duration::from_secs(60);

/// Waits until `claim` holds.
pub(super) fn wait_until(what: &str, mut claim: impl FnMut() -> bool) {
    let start = Instant::now();
    while !claim() {
        assert!(start.elapsed() < WAIT_MAX, "not within {WAIT_MAX:?}: {what}");
        thread::sleep(Duration::from_millis(1));
    }
}

/// How long a query takes that is to be slow.
const SLOW: Duration = Duration::from_micros(500);

/// Suffers what a query asks for: spins for [`SLOW`], or until its wedge is released, for [`PATIENCE`] at most.
pub(super) fn suffer(fault: ThreadFault) {
    let start = Instant::now();
    let spin_while = |claim: &dyn Fn() -> bool| {
        while claim() {
            std::hint::spin_loop();
        }
    };
    match fault {
        ThreadFault::Slow => spin_while(&|| start.elapsed() < SLOW),
        ThreadFault::Wedge(index) => {
            let Some(wedge) = WEDGES.get(usize::from(index)) else { return };
            wedge.arrived.fetch_add(1, Ordering::SeqCst);
            spin_while(&|| !wedge.is_released.load(Ordering::SeqCst) && start.elapsed() < PATIENCE);
            wedge.left.fetch_add(1, Ordering::SeqCst);
        }
    }
}

/// How long a thread spins at most, so that a test that fails does not burn a CPU for ever.
const PATIENCE: Duration = Duration::from_secs(120);
