//! What happens, on stderr: for people or as JSON.
//!
//! Lines are queued and written by a thread of their own: whoever logs never waits for who reads. A reader that hangs
//! costs lines, not answers, proofs or leases.

use std::io::{self, IsTerminal, Write};

use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::filter::LevelFilter;

use crate::config::{Log, LogFormat, LogLevel};

/// The most lines that wait to be written; more are dropped.
const LINES_MAX: usize = 8192;

/// Where lines go. Dropping the guard writes what waits, unless the reader hangs.
pub(super) struct Output {
    writer: NonBlocking,
    _guard: WorkerGuard,
}

impl Output {
    /// Writes a text for people, in order with the lines that are logged.
    pub(super) fn say(&self, text: &str) {
        say(&self.writer, text);
    }

    /// The same for another thread.
    pub(super) fn writer(&self) -> NonBlocking {
        self.writer.clone()
    }
}

/// Writes a text for people.
pub(super) fn say(writer: &NonBlocking, text: &str) {
    // Nothing can be done about an stderr that is gone.
    let _ = writer.clone().write_all(text.as_bytes());
}

/// Starts logging.
pub(super) fn start(log: Log) -> Output {
    let level = match log.level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
    };
    let (writer, guard) = NonBlockingBuilder::default()
        .lossy(true)
        .buffered_lines_limit(LINES_MAX)
        .thread_name("log")
        .finish(io::stderr());
    let lines = tracing_subscriber::fmt().with_writer(writer.clone()).with_max_level(level).with_target(false);
    // The one failure is that something logs already.
    let _ = match log.format {
        LogFormat::Text => lines.with_ansi(io::stderr().is_terminal()).try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
    Output { writer, _guard: guard }
}
