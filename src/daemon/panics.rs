//! Panics as one line each, and not more than a few a second: what a hostile client can cause must not fill a disk.

use std::io::Write;
use std::panic::{self, PanicHookInfo};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, TryLockError};
use std::time::{Duration, Instant};

/// The most lines in each [`WINDOW`].
const LINES_MAX: u32 = 10;
/// The time in which lines are counted.
const WINDOW: Duration = Duration::from_secs(1);

/// Lines that were not written because of [`LINES_MAX`].
static SUPPRESSED: AtomicU64 = AtomicU64::new(0);
/// When the window began, and the lines written in it.
static WINDOW_STATE: Mutex<Option<(Instant, u32)>> = Mutex::new(None);

/// Replaces the standard report of a panic, which takes many lines, by one line.
pub(super) fn install() {
    panic::set_hook(Box::new(|info| {
        if !may_write(Instant::now()) {
            SUPPRESSED.fetch_add(1, Ordering::Relaxed);
            return;
        }
        // Nobody is left to tell if stderr is gone.
        let _ = writeln!(std::io::stderr().lock(), "{}", line(info));
    }));
}

/// Whether one more line fits the window.
fn may_write(now: Instant) -> bool {
    let mut state = match WINDOW_STATE.try_lock() {
        Ok(state) => state,
        Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
        // Another thread panics right now, and one line is enough.
        Err(TryLockError::WouldBlock) => return false,
    };
    let (start, lines) = match *state {
        Some((start, lines)) if now.duration_since(start) < WINDOW => (start, lines),
        _ => (now, 0),
    };
    *state = Some((start, lines + u32::from(lines < LINES_MAX)));
    lines < LINES_MAX
}

/// Thread, place and message in one line.
fn line(info: &PanicHookInfo<'_>) -> String {
    let thread = std::thread::current();
    let place = info.location().map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
    let message = message(info).replace(['\n', '\r'], " ");
    let mut line = format!("fated: panic in thread {} at {place}: {message}", thread.name().unwrap_or("unnamed"));
    match SUPPRESSED.swap(0, Ordering::Relaxed) {
        0 => {}
        count => line.push_str(&format!(" ({count} more were not told)")),
    }
    line
}

/// What the panic was given to say.
fn message<'a>(info: &'a PanicHookInfo<'_>) -> &'a str {
    let payload = info.payload();
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_bounded_and_come_again_in_the_next_window() {
        let start = Instant::now();
        let written = (0..100).filter(|_| may_write(start)).count();
        assert_eq!(written, LINES_MAX as usize);
        assert!(may_write(start + WINDOW));
    }
}
