//! What happens, on stderr: for people or as JSON.
//!
//! Lines are queued and written by a thread of their own: whoever logs never waits for who reads. A reader that hangs
//! costs lines, not answers, proofs or leases. What is repeated is counted (see [`fold`]): every line passes here, so
//! that none can flood the log, whoever writes it.

mod fold;

use std::fmt::{self, Write as _};
use std::io::{self, IsTerminal, Write as _};
use std::sync::{Arc, Condvar, Mutex, PoisonError, TryLockError};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use tracing::callsite::Identifier;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{Log, LogFormat, LogLevel};
use fold::{Fold, Summary, TEXT_BYTES_MAX, WINDOW};

/// The most lines that wait to be written; more are dropped.
const LINES_MAX: usize = 8192;

/// The target of lines that say how often others came.
const COUNTED: &str = "counted";

/// Where lines go. Dropping it logs what was counted, then writes what waits, unless the reader hangs.
pub(super) struct Output {
    writer: NonBlocking,
    _counts: Counts,
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
    let repeats = Arc::<Repeats>::default();
    let lines = tracing_subscriber::fmt::layer().with_writer(writer.clone()).with_target(false);
    let root = tracing_subscriber::registry().with(level).with(Folding(Arc::clone(&repeats)));
    // The one failure is that something logs already.
    let _ = match log.format {
        LogFormat::Text => root.with(lines.with_ansi(io::stderr().is_terminal())).try_init(),
        LogFormat::Json => root.with(lines.json().flatten_event(true)).try_init(),
    };
    Output { writer, _counts: Counts::start(repeats), _guard: guard }
}

/// What was written lately, shared between those who log and the thread that logs the counts.
struct Repeats {
    state: Mutex<State>,
    /// Wakes the thread when there is something to remember, and at the end.
    changed: Condvar,
    origin: Instant,
}

/// What the lock guards.
#[derive(Default)]
struct State {
    fold: Fold<Identifier>,
    is_ending: bool,
}

impl Default for Repeats {
    fn default() -> Self {
        Self { state: Mutex::default(), changed: Condvar::new(), origin: Instant::now() }
    }
}

/// Lets a line pass, or has it counted.
struct Folding(Arc<Repeats>);

impl<S: Subscriber> Layer<S> for Folding {
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        let metadata = event.metadata();
        if metadata.target() == COUNTED {
            return true;
        }
        let mut text = Text::default();
        event.record(&mut text);
        // Nobody waits here: where another thread has just logged, the line is written, repeated or not.
        let mut state = match self.0.state.try_lock() {
            Ok(state) => state,
            Err(TryLockError::Poisoned(error)) => error.into_inner(),
            Err(TryLockError::WouldBlock) => return true,
        };
        let was_empty = state.fold.deadline().is_none();
        let is_new = state.fold.is_new(self.0.origin.elapsed(), metadata.callsite(), *metadata.level(), text.0);
        if was_empty {
            self.0.changed.notify_one();
        }
        is_new
    }
}

/// A line as it is compared and counted: its message, then its fields.
#[derive(Default)]
struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // What other crates say through `log` names its place in fields of that kind.
        if self.0.len() >= TEXT_BYTES_MAX || field.name().starts_with("log.") {
            return;
        }
        // A `String` takes everything.
        let _ = match field.name() {
            "message" => write!(self.0, "{value:?}"),
            name => write!(self.0, " {name}={value:?}"),
        };
        let end = (0..=TEXT_BYTES_MAX.min(self.0.len())).rev().find(|end| self.0.is_char_boundary(*end));
        self.0.truncate(end.unwrap_or(0));
    }
}

/// The thread that logs what was counted.
struct Counts {
    repeats: Arc<Repeats>,
    /// None where the system has no thread for it: then counts are logged at the end only.
    thread: Option<JoinHandle<()>>,
}

impl Counts {
    fn start(repeats: Arc<Repeats>) -> Self {
        let shared = Arc::clone(&repeats);
        let thread = thread::Builder::new().name("log-counts".into()).spawn(move || log_counts(&shared)).ok();
        Self { repeats, thread }
    }
}

impl Drop for Counts {
    fn drop(&mut self) {
        self.repeats.state.lock().unwrap_or_else(PoisonError::into_inner).is_ending = true;
        self.repeats.changed.notify_one();
        match self.thread.take() {
            // A panic there was logged by the panic hook.
            Some(thread) => drop(thread.join()),
            None => log_counts(&self.repeats),
        }
    }
}

/// Logs each window's counts when it ends, until the end.
fn log_counts(repeats: &Repeats) {
    let mut state = repeats.state.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        let now = (!state.is_ending).then(|| repeats.origin.elapsed());
        let summaries = state.fold.settle(now);
        if !summaries.is_empty() {
            drop(state);
            summaries.iter().for_each(log_summary);
            state = repeats.state.lock().unwrap_or_else(PoisonError::into_inner);
            continue;
        }
        if state.is_ending {
            return;
        }
        state = match state.fold.deadline() {
            None => repeats.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            Some(deadline) => {
                let left = deadline.saturating_sub(repeats.origin.elapsed());
                repeats.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0
            }
        };
    }
}

/// Logs how often a line came again.
fn log_summary(summary: &Summary) {
    let Summary { level, count, text, others } = summary;
    let within_s = WINDOW.as_secs();
    let what = match others {
        0 => format!("repeated {count} times: {text}"),
        _ => format!("{count} more lines of this kind, {others} of them other ones than: {text}"),
    };
    // A level is part of the place that a line is written from.
    macro_rules! say {
        ($level:expr) => {
            tracing::event!(target: COUNTED, $level, within_s, "{what}")
        };
    }
    match *level {
        Level::ERROR => say!(Level::ERROR),
        Level::WARN => say!(Level::WARN),
        Level::INFO => say!(Level::INFO),
        Level::DEBUG => say!(Level::DEBUG),
        Level::TRACE => say!(Level::TRACE),
    }
}
