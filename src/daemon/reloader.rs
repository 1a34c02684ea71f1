//! The thread that reads zones while the workers serve: it alone loads, and it alone publishes.
//!
//! ```text
//!   SIGHUP ──┐  jobs (at most JOBS_MAX wait)       ┌─ serve::publish ──▶ workers
//!   admin ───┴──────────────▶ thread `reload` ─────┤
//!                  ◀── oneshot, for who asked ─────┴─ Table ──▶ status
//! ```

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio::sync::oneshot;

use super::{ConfigSource, state, watchdog};
use crate::admin::reply;
use crate::answer::Snapshot;
use crate::config::{Config, LossMax, ZoneSources};
use crate::load::{Change, Entry, Loader, Report, Scope, ZoneReport};
use crate::serve;
use crate::sys::{memory, sched};
use crate::wire::Shown;

/// How many steps of niceness the thread, and who reads zones for it, stand back behind those that answer: in a flood of queries
/// that would take a whole CPU, workers have nine tenths of it, and a reload takes ten times as long, but ends.
const STEPS_BACK: u8 = 10;
/// How long it rests after each huge page, which keeps the CPU from workers for half a millisecond: so one answer in two
/// hundred may have to wait.
const PAGE_REST: Duration = Duration::from_millis(100);
/// The most reloads that wait; one more is told so.
const JOBS_MAX: usize = 64;
/// The most zones that one reply lists.
const CHANGES_MAX: usize = 1000;
/// The most octets of one zone's faults that a reply holds.
const FAULTS_BYTES_MAX: usize = 16 << 10;
/// The most octets of all zones' faults together that a reply holds.
pub(super) const FAULTS_ALL_BYTES_MAX: usize = 256 << 10;
/// The most broken zones whose faults are logged at one reload.
const LOGGED_MAX: usize = 20;

/// What came of a reload.
pub(super) type Outcome = Result<reply::Reload, String>;

/// One reload that is asked for.
struct Job {
    scope: Scope,
    /// Whether zones may go, however many.
    is_forced: bool,
    /// Where the outcome goes; `None` for a signal.
    reply: Option<oneshot::Sender<Outcome>>,
}

/// What is loaded, for whoever asks. What is asked often is counted once.
#[derive(Debug, Default)]
pub(super) struct Table {
    /// The zone files with what is served of them.
    pub(super) entries: Vec<Entry>,
    /// How many there are of each kind.
    pub(super) counts: reply::ZoneCounts,
    /// Where the first broken ones stand.
    pub(super) broken: Vec<usize>,
    /// The last reload, when it ended and how long it took.
    pub(super) last: Option<(Instant, Duration, Outcome)>,
}

impl Table {
    /// What a loader has, and the last reload.
    fn new(entries: &[Entry], last: Option<(Instant, Duration, Outcome)>) -> Self {
        let count = |state| entries.iter().filter(|entry| state::state_of(entry) == state).count();
        let kept = count(reply::State::Kept);
        let counts = reply::ZoneCounts {
            served: count(reply::State::Served) + kept,
            kept,
            refused: count(reply::State::Refused),
        };
        let broken = entries.iter().enumerate().filter(|(_, entry)| entry.is_broken).map(|(at, _)| at);
        Self { entries: entries.to_vec(), counts, broken: broken.take(reply::ZONES_MAX).collect(), last }
    }
}

/// A handle on the thread.
pub(super) struct Reloader {
    jobs: SyncSender<Job>,
    table: Arc<ArcSwap<Table>>,
}

impl Reloader {
    /// Starts the thread with what is loaded already.
    pub(super) fn start(
        loader: Loader,
        source: ConfigSource,
        config: Config,
        current: Arc<ArcSwap<Snapshot>>,
    ) -> std::io::Result<Self> {
        let table = Arc::new(ArcSwap::from_pointee(Table::new(loader.entries(), None)));
        let (jobs, queue) = sync_channel(JOBS_MAX);
        let work = Work { loader, source, config, current, table: Arc::clone(&table) };
        thread::Builder::new().name("reload".into()).spawn(move || work.run(&queue))?;
        Ok(Self { jobs, table })
    }

    /// What is loaded now.
    pub(super) fn table(&self) -> Arc<Table> {
        self.table.load_full()
    }

    /// Asks for a reload without waiting for it.
    pub(super) fn ask(&self, scope: Scope, is_forced: bool, reply: Option<oneshot::Sender<Outcome>>) {
        let refused = match self.jobs.try_send(Job { scope, is_forced, reply }) {
            Ok(()) => return,
            // A job of the same kind that waits does what this one wants.
            Err(TrySendError::Full(job)) => (job, "too many reloads are waiting already"),
            Err(TrySendError::Disconnected(job)) => (job, "the reloading thread has ended"),
        };
        let (job, cause) = refused;
        tracing::warn!(cause, "a reload was not begun");
        if let Some(reply) = job.reply {
            // Who asked may be gone.
            let _ = reply.send(Err(cause.to_owned()));
        }
    }
}

/// What the thread works with.
struct Work {
    loader: Loader,
    source: ConfigSource,
    config: Config,
    current: Arc<ArcSwap<Snapshot>>,
    table: Arc<ArcSwap<Table>>,
}

impl Work {
    /// Carries out jobs until nobody can ask any more.
    fn run(mut self, queue: &Receiver<Job>) {
        // Where a sandbox forbids it, it shares the CPU as others do.
        let _is_set = sched::stand_back(STEPS_BACK);
        let mut next = queue.recv().ok();
        while let Some(job) = next {
            let (start, time) = (Instant::now(), watchdog::ask_for_time());
            let outcome = catch_unwind(AssertUnwindSafe(|| self.reload(job.scope, job.is_forced)))
                .unwrap_or_else(|_| Err("the reload failed inside fated; please report it".to_owned()));
            drop(time);
            log(&outcome);
            let last = Some((Instant::now(), start.elapsed(), outcome.clone()));
            self.table.store(Arc::new(Table::new(self.loader.entries(), last)));
            // Now nobody has the zones of before.
            memory::give_back();
            if let Some(reply) = job.reply {
                // Who asked may be gone.
                let _ = reply.send(outcome);
            }
            next = next_job(queue);
        }
    }

    /// Reads the configuration and the zones again and publishes what is new.
    fn reload(&mut self, scope: Scope, is_forced: bool) -> Outcome {
        let (mut config, mut notes) = (self.config.clone(), Vec::new());
        if scope == Scope::All {
            let read = self.source.load().map_err(|error| format!("nothing was reloaded:\n{error}"))?;
            notes = needs_restart(&self.config, &read);
            config.settings = crate::answer::Settings {
                // Belongs to the limits that the running listeners have.
                tcp_idle_timeout_100ms: self.config.settings.tcp_idle_timeout_100ms,
                // Belongs to the process, not to the file.
                canary: self.config.settings.canary.clone(),
                ..read.settings
            };
            if self.config.anycast.is_some() {
                // The prover knows this server by it.
                config.settings.identity.clone_from(&self.config.settings.identity);
            }
            config.zones = read.zones;
        }
        let loss_max = if is_forced { LossMax::ALL } else { config.zones.loss_max };
        let sources = ZoneSources { loss_max, ..config.zones.clone() };
        let report = self.loader.reload(&sources, scope).map_err(|error| format!("nothing was reloaded: {error}"))?;
        self.config = config;
        if report.is_change() || scope == Scope::All {
            let snapshot = Snapshot { zones: self.loader.zone_set(), settings: self.config.settings.clone() };
            serve::publish(&self.current, Arc::new(snapshot));
        }
        Ok(summary(&report, notes))
    }
}

/// Waits for the next job; until then puts what is loaded into huge pages, with a rest after each. `None` at the end.
fn next_job(queue: &Receiver<Job>) -> Option<Job> {
    match memory::huge_pages() {
        Ok(pages) => {
            for _is_huge in pages {
                match queue.recv_timeout(PAGE_REST) {
                    Err(RecvTimeoutError::Timeout) => {}
                    asked => return asked.ok(),
                }
            }
        }
        Err(error) => tracing::warn!(%error, "memory can't be put into huge pages"),
    }
    queue.recv().ok()
}

/// The settings that differ and that only a new start can change.
fn needs_restart(running: &Config, read: &Config) -> Vec<String> {
    let changed = [
        ("server.listen", running.listen != read.listen),
        ("server.workers", running.workers != read.workers),
        ("server.control", running.control != read.control),
        ("server.state-dir", running.state_dir != read.state_dir),
        ("server.tcp", running.tcp != read.tcp),
        ("admin", running.admin != read.admin),
        ("anycast", running.anycast != read.anycast),
        ("server.identity", running.anycast.is_some() && running.settings.identity != read.settings.identity),
        ("log", running.log != read.log),
    ];
    let note = |key: &str| format!("`{key}` has changed; that takes a restart");
    changed.iter().filter(|(_, is_changed)| *is_changed).map(|(key, _)| note(key)).collect()
}

/// What a reload did, as it is told.
fn summary(report: &Report, notes: Vec<String>) -> reply::Reload {
    let mut told: Vec<&ZoneReport> = report.zones.iter().filter(|zone| zone.change != Change::Unchanged).collect();
    // Broken ones first: they are what the operator must see when the list is cut.
    told.sort_by_key(|zone| !matches!(zone.change, Change::Kept | Change::Refused));
    let mut room = FAULTS_ALL_BYTES_MAX;
    reply::Reload {
        added: report.count(Change::Added),
        changed: report.count(Change::Changed),
        unchanged: report.count(Change::Unchanged),
        removed: report.count(Change::Removed),
        kept: report.count(Change::Kept),
        refused: report.count(Change::Refused),
        zones: told.into_iter().take(CHANGES_MAX).map(|zone| told_change(zone, &mut room)).collect(),
        notes,
    }
}

/// One zone of a reload, as it is told.
fn told_change(zone: &ZoneReport, room: &mut usize) -> reply::Change {
    reply::Change {
        name: zone.name.to_string(),
        file: Shown::path(&zone.path).to_string(),
        change: change_word(zone.change).to_owned(),
        serial: zone.serial,
        faults: cut(&zone.faults, room),
    }
}

/// The word for what happened to a zone.
fn change_word(change: Change) -> &'static str {
    match change {
        Change::Added => "added",
        Change::Changed => "changed",
        Change::Unchanged => "unchanged",
        Change::Removed => "removed",
        Change::Kept => "kept",
        Change::Refused => "refused",
    }
}

/// The beginning of a text that may be very long, whole lines only, and no more than there is `room` for, which it takes.
pub(super) fn cut(text: &str, room: &mut usize) -> String {
    let bytes_max = FAULTS_BYTES_MAX.min(*room);
    *room = room.saturating_sub(text.len());
    if text.len() <= bytes_max {
        return text.to_owned();
    }
    let end = (0..=bytes_max).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    let end = text[..end].rfind('\n').map_or(end, |at| at + 1);
    format!("{}… and more; `fated check` tells all\n", &text[..end])
}

/// Logs what a reload did.
fn log(outcome: &Outcome) {
    let reload = match outcome {
        Ok(reload) => reload,
        Err(error) => return tracing::error!("{error}\nthe old state is served on"),
    };
    for zone in reload.zones.iter().filter(|zone| zone.change == "removed").take(LOGGED_MAX) {
        tracing::warn!("zone {}: {} is gone, and the zone is no longer served", zone.name, zone.file);
    }
    for zone in reload.zones.iter().filter(|zone| matches!(zone.change.as_str(), "kept" | "refused")).take(LOGGED_MAX) {
        let fate = if zone.change == "kept" {
            "has errors; the old zone is served on"
        } else {
            "has errors and is answered with SERVFAIL"
        };
        tracing::error!("zone {}: {} {fate}\n{}", zone.name, zone.file, zone.faults.trim_end());
    }
    for note in &reload.notes {
        tracing::warn!("{note}");
    }
    let reply::Reload { added, changed, unchanged, removed, kept, refused, .. } = reload;
    tracing::info!(added, changed, unchanged, removed, kept, refused, "reloaded");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_faults_are_cut_at_a_line() {
        let whole = |text: &str| cut(text, &mut FAULTS_ALL_BYTES_MAX.clone());
        assert_eq!(whole("short\n"), "short\n");
        let long = "é".repeat(60) + "\n";
        let shown = whole(&long.repeat(1000));
        assert!(shown.len() < FAULTS_BYTES_MAX + 100);
        assert!(shown.ends_with("é\n… and more; `fated check` tells all\n"));
        assert!(whole(&"é".repeat(FAULTS_BYTES_MAX)).len() < FAULTS_BYTES_MAX + 100);
        let mut room = FAULTS_ALL_BYTES_MAX;
        let all: usize = (0..10_000).map(|_| cut(&long.repeat(50), &mut room).len()).sum();
        assert!(all < FAULTS_ALL_BYTES_MAX + 10_000 * 50, "{all} octets");
        assert_eq!(cut("", &mut room), "");
    }
}
