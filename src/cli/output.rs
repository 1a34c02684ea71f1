//! What every command has in common: exit codes, and how text, tables, ages and errors are written.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::time::Duration;

/// Well.
pub(super) const EXIT_OK: u8 = 0;
/// Zone files have faults (`check`, `reload`).
pub(super) const EXIT_FAULTS: u8 = 1;
/// What was typed or configured can't be done; clap uses the same number.
pub(super) const EXIT_USAGE: u8 = 2;
/// The server could not start, is not there, or said no.
pub(super) const EXIT_FAILED: u8 = 3;

/// Writes an error to stderr.
pub(super) fn fail(error: &dyn std::fmt::Display, code: u8) -> u8 {
    let text = error.to_string();
    // What was rendered with its place says "error" itself.
    let prefix = if text.starts_with("error") { "" } else { "fated: " };
    // Who has closed stderr does not want to know.
    let _ = writeln!(io::stderr().lock(), "{prefix}{text}");
    code
}

/// Writes to stdout. A reader that has gone away has seen enough.
pub(super) fn print(text: &[u8], code: u8) -> u8 {
    let mut out = io::stdout().lock();
    match out.write_all(text).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => fail(&format!("stdout: {error}"), EXIT_FAILED),
        _ => code,
    }
}

/// Writes rows with their columns one below the other.
pub(super) fn table<const COLUMNS: usize>(out: &mut String, rows: &[[String; COLUMNS]]) {
    let mut widths = [0; COLUMNS];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    for row in rows {
        let line: Vec<String> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        out.push_str(line.join("  ").trim_end());
        out.push('\n');
    }
}

/// Seconds as people say them: the two largest units.
pub(super) fn age(seconds: u64) -> String {
    let duration = Duration::from_secs(seconds).as_secs();
    match (duration / 86_400, duration / 3600 % 24, duration / 60 % 60, duration % 60) {
        (0, 0, 0, seconds) => format!("{seconds}s"),
        (0, 0, minutes, seconds) => format!("{minutes}m {seconds}s"),
        (0, hours, minutes, _) => format!("{hours}h {minutes}m"),
        (days, hours, ..) => format!("{days}d {hours}h"),
    }
}

/// Appends to a text, which can't fail.
pub(super) fn put(out: &mut String, arguments: std::fmt::Arguments<'_>) {
    out.write_fmt(arguments).expect("a String takes everything");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_shown_in_their_two_largest_units() {
        for (seconds, text) in [(0, "0s"), (61, "1m 1s"), (3661, "1h 1m"), (90_061, "1d 1h")] {
            assert_eq!(age(seconds), text);
        }
    }

    #[test]
    fn columns_stand_one_below_the_other() {
        let mut out = String::new();
        table(&mut out, &[["zone".into(), "serial".into()], ["example.".into(), "1".into()]]);
        assert_eq!(out, "zone      serial\nexample.  1\n");
    }
}
