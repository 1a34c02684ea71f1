//! What the tests of this module ask: queries, and names that make a thread hang, or take long.
//!
//! What needs neither threads nor a clock is injected by [`answer::injected`](crate::answer::injected), which is pure.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

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

/// Returns the name of a wedge, in wire form.
pub(super) fn name(index: u8) -> Vec<u8> {
    [NAME, &[1, b'0' + index, 0]].concat()
}

/// A name that takes long to answer, in wire form, as one does that needs many hashes.
pub(super) const SLOW_NAME: &[u8] = b"\x04slow\x05fated\x04test\x00";

/// How long that takes.
const SLOW: Duration = Duration::from_micros(500);

/// Spins for [`SLOW`] where `query` asks for [`SLOW_NAME`].
pub(super) fn spin_if_asked(query: &[u8]) {
    let start = Instant::now();
    while query.windows(SLOW_NAME.len()).any(|part| part == SLOW_NAME) && start.elapsed() < SLOW {
        std::hint::spin_loop();
    }
}

/// Spins where `query` has the name of a wedge that is not released, for [`PATIENCE`] at most.
pub(super) fn wedge_if_asked(query: &[u8]) {
    let Some(at) = query.windows(NAME.len()).position(|part| part == NAME) else { return };
    let Some(digit) = query.get(at + NAME.len() + 1) else { return };
    let Some(wedge) = WEDGES.get(usize::from(digit.wrapping_sub(b'0'))) else { return };
    wedge.arrived.fetch_add(1, Ordering::SeqCst);
    let start = Instant::now();
    while !wedge.is_released.load(Ordering::SeqCst) && start.elapsed() < PATIENCE {
        std::hint::spin_loop();
    }
    wedge.left.fetch_add(1, Ordering::SeqCst);
}

/// What the names of wedges begin with.
const NAME: &[u8] = b"\x05wedge\x05fated\x04test";

/// How long a thread spins at most, so that a test that fails does not burn a CPU for ever.
const PATIENCE: Duration = Duration::from_secs(120);
