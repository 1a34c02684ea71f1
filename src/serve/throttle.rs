//! At most so many lines in a window of time: what a hostile client can cause must not fill a disk.
//!
//! Time is an argument. Refuses to know what the lines say and where they go. Asked only where something has gone
//! wrong already, never on the way of a good query.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, TryLockError};
use std::time::{Duration, Instant};

/// Counts lines of one kind; the lines that were too many are counted until one may be written again.
#[derive(Debug)]
pub struct Throttle {
    /// The most lines in each [`WINDOW`].
    lines_max: u32,
    /// When the window began, and the lines written in it.
    window: Mutex<Option<(Instant, u32)>>,
    /// Lines that were not written since the last one that was.
    unlogged: AtomicU64,
}

impl Throttle {
    /// Lets `lines_max` lines through in each second.
    #[must_use]
    pub const fn new(lines_max: u32) -> Self {
        Self { lines_max, window: Mutex::new(None), unlogged: AtomicU64::new(0) }
    }

    /// Returns whether one more line may be written at `now`; if so, how many were not since the one before.
    ///
    /// Never waits: where another thread asks at the same moment, its line is enough.
    pub fn admit(&self, now: Instant) -> Option<u64> {
        if self.has_room(now) {
            return Some(self.unlogged.swap(0, Ordering::Relaxed));
        }
        self.unlogged.fetch_add(1, Ordering::Relaxed);
        None
    }

    /// Takes a place in the window, or begins a new window.
    fn has_room(&self, now: Instant) -> bool {
        let mut window = match self.window.try_lock() {
            Ok(window) => window,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return false,
        };
        let (start, lines) = match *window {
            Some((start, lines)) if now.saturating_duration_since(start) < WINDOW => (start, lines),
            _ => (now, 0),
        };
        if lines >= self.lines_max {
            return false;
        }
        *window = Some((start, lines + 1));
        true
    }
}

/// The time in which lines are counted.
const WINDOW: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_bounded_and_come_again_in_the_next_window_with_the_count_of_the_others() {
        let (throttle, start) = (Throttle::new(10), Instant::now());
        let last_moment = start + WINDOW - Duration::from_nanos(1);
        let logged = (0..100).map(|_| throttle.admit(start)).filter(|logged| *logged == Some(0)).count();
        assert_eq!((logged, throttle.admit(last_moment)), (10, None));
        assert_eq!(throttle.admit(start + WINDOW), Some(91));
        assert_eq!(throttle.admit(start + WINDOW), Some(0));
    }

    #[test]
    fn a_clock_that_seems_to_go_back_opens_no_window() {
        // Two threads read the clock, and the later one may ask first.
        let (throttle, start) = (Throttle::new(1), Instant::now());
        assert_eq!(throttle.admit(start + WINDOW), Some(0));
        assert_eq!(throttle.admit(start), None);
    }
}
