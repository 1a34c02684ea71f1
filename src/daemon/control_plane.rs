//! Whether the control plane still runs: it sets a heartbeat once a second, and a thread outside the runtime checks
//! that.
//!
//! A control plane that hangs keeps the operator from status and commands, and nothing else: workers, proof and route
//! are threads of their own. So this only logs: a line when it begins and one when it is over, and counters.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::admin::reply;

/// How often the control plane sets its heartbeat.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(1);
/// How often the heartbeat is checked.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// A control plane whose last heartbeat is older than that hangs.
const HEARTBEAT_AGE_MAX: Duration = Duration::from_secs(5);
/// A check that is late by more says nothing: whatever kept this thread from its CPU kept others from theirs.
const LATENESS_MAX: Duration = Duration::from_secs(1);

/// What both sides share. Moments are milliseconds since the start.
#[derive(Debug, Default)]
struct Shared {
    /// The last heartbeat.
    heartbeat_ms: AtomicU64,
    /// How often the control plane hung.
    stalls: AtomicU64,
    /// How long in all, as far as it is over.
    stalled_ms: AtomicU64,
}

/// Watches until it is dropped.
#[derive(Debug)]
pub(super) struct ControlPlaneWatchdog {
    shared: Arc<Shared>,
    _stop: Sender<()>,
}

impl ControlPlaneWatchdog {
    /// Starts the heartbeat and the check of it. Called within the runtime.
    ///
    /// # Errors
    /// There is no thread for it.
    pub(super) fn start() -> io::Result<Self> {
        let (shared, origin) = (Arc::new(Shared::default()), Instant::now());
        let writer = Arc::clone(&shared);
        tokio::spawn(async move {
            loop {
                writer.heartbeat_ms.store(millis(origin.elapsed()), Ordering::Release);
                tokio::time::sleep(HEARTBEAT_INTERVAL).await;
            }
        });
        let (stop, stopped) = channel();
        let reader = Arc::clone(&shared);
        thread::Builder::new().name("stall-watch".into()).spawn(move || {
            let mut watch = Watch::default();
            while stopped.recv_timeout(CHECK_INTERVAL) == Err(RecvTimeoutError::Timeout) {
                let heartbeat = Duration::from_millis(reader.heartbeat_ms.load(Ordering::Acquire));
                if let Some(event) = watch.check(origin.elapsed(), heartbeat) {
                    reader.note(event);
                    log(event);
                }
            }
        })?;
        Ok(Self { shared, _stop: stop })
    }

    /// What was seen since the start.
    pub(super) fn status(&self) -> reply::ControlPlane {
        reply::ControlPlane {
            stalls: self.shared.stalls.load(Ordering::Acquire),
            stalled_ms: self.shared.stalled_ms.load(Ordering::Acquire),
        }
    }
}

impl Shared {
    /// Counts. Called by the checking thread alone.
    fn note(&self, event: Event) {
        match event {
            Event::Hangs(_) => self.stalls.fetch_add(1, Ordering::AcqRel),
            Event::IsBack(stalled) => self.stalled_ms.fetch_add(millis(stalled), Ordering::AcqRel),
        };
    }
}

/// What a check found for the first time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    /// The control plane hangs; how old its last heartbeat is.
    Hangs(Duration),
    /// It runs again; how long it hung.
    IsBack(Duration),
}

/// Logs it.
fn log(event: Event) {
    match event {
        Event::Hangs(age) => tracing::warn!(
            silent = ?age,
            "the control plane hangs: status, reload, drain and signals wait; answering, proof and route go on"
        ),
        Event::IsBack(silent) => tracing::info!(?silent, "the control plane goes on"),
    }
}

/// What the checks have found so far. Pure: time is an argument.
#[derive(Debug, Default)]
struct Watch {
    /// When the last check was.
    last: Duration,
    /// The last heartbeat before the control plane hung, while it does.
    hung_at: Option<Duration>,
}

impl Watch {
    /// Compares the last heartbeat with `now`; returns what is new.
    fn check(&mut self, now: Duration, heartbeat: Duration) -> Option<Event> {
        let is_on_time = now.saturating_sub(self.last) <= CHECK_INTERVAL + LATENESS_MAX;
        self.last = now;
        match self.hung_at {
            None if is_on_time && now.saturating_sub(heartbeat) > HEARTBEAT_AGE_MAX => {
                self.hung_at = Some(heartbeat);
                Some(Event::Hangs(now.saturating_sub(heartbeat)))
            }
            Some(hung_at) if heartbeat > hung_at => {
                self.hung_at = None;
                Some(Event::IsBack(heartbeat.saturating_sub(hung_at)))
            }
            None | Some(_) => None,
        }
    }
}

/// Whole milliseconds.
fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    #[test]
    fn a_hang_is_logged_once_when_it_begins_and_once_when_it_is_over() {
        let mut watch = Watch::default();
        let mut events = Vec::new();
        for now in 1..=40 {
            // A heartbeat each second, but not from 11 to 20.
            let heartbeat = if (11..=20).contains(&now) { 10 } else { now };
            events.extend(watch.check(s(now), s(heartbeat)).map(|event| (now, event)));
        }
        assert_eq!(events, [(16, Event::Hangs(s(6))), (21, Event::IsBack(s(11)))]);
    }

    #[test]
    fn a_process_that_was_stopped_has_no_hang() {
        let mut watch = Watch::default();
        assert_eq!(watch.check(s(1), s(1)), None);
        assert_eq!(watch.check(s(31), s(1)), None, "this thread stood still as well");
        assert_eq!(watch.check(s(32), s(32)), None);
    }

    #[test]
    fn a_beat_that_is_just_late_is_none() {
        let mut watch = Watch::default();
        for now in 1..=6 {
            assert_eq!(watch.check(s(now), s(1)), None);
        }
        assert_eq!(watch.check(s(7), s(1)), Some(Event::Hangs(s(6))));
    }

    #[test]
    fn what_is_logged_is_counted() {
        let shared = Shared::default();
        for event in [Event::Hangs(s(6)), Event::IsBack(s(9)), Event::Hangs(s(6))] {
            shared.note(event);
        }
        assert_eq!((shared.stalls.into_inner(), shared.stalled_ms.into_inner()), (2, 9000));
    }
}
