//! Panics as one line each, and not more than a few a second: what a hostile client can cause must not fill a disk.

use std::io::Write;
use std::panic::{self, PanicHookInfo};
use std::time::Instant;

use crate::serve::Throttle;

/// The most lines in a second. A panic that is caught, counted and answered is logged a second time by `serve`.
const LINES_MAX: u32 = 10;

/// Counts the lines of all threads.
static LINES: Throttle = Throttle::new(LINES_MAX);

/// Replaces the standard report of a panic, which takes many lines, by one line.
pub(super) fn install() {
    panic::set_hook(Box::new(|info| {
        if let Some(unlogged) = LINES.admit(Instant::now()) {
            // Nobody is left to report to if stderr is gone.
            let _ = writeln!(std::io::stderr().lock(), "{}", line(info, unlogged));
        }
    }));
}

/// Thread, place and message in one line.
fn line(info: &PanicHookInfo<'_>, unlogged: u64) -> String {
    let thread = std::thread::current();
    let place = info.location().map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
    let message = message(info).replace(['\n', '\r'], " ");
    let mut line = format!("fated: panic in thread {} at {place}: {message}", thread.name().unwrap_or("unnamed"));
    if unlogged > 0 {
        line.push_str(&format!(" ({unlogged} more were not logged)"));
    }
    line
}

/// What the panic was given to say.
fn message<'a>(info: &'a PanicHookInfo<'_>) -> &'a str {
    let payload = info.payload();
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}
