//! One monotonic clock for everything that a run notes, and waiting with a bound.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Between two looks while waiting.
const POLL: Duration = Duration::from_millis(10);

/// The time since the first call in this process. Network namespaces share the kernel's clock.
pub(crate) fn now() -> Duration {
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed()
}

/// Looks until `holds` or the bound has passed; returns whether it held.
pub(crate) fn wait_until(bound: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let end = now() + bound;
    loop {
        if holds() {
            return true;
        }
        if now() > end {
            return false;
        }
        std::thread::sleep(POLL);
    }
}
