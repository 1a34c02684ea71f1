//! The thread that reads zones while the workers serve: it alone loads, and it alone publishes.
//!
//! ```text
//!   SIGHUP ──┐  jobs (at most JOBS_MAX wait)       ┌─ serve::publish ──▶ workers
//!   admin ───┼──────────────▶ thread `reload` ─────┤
//!   transfers┘                                     │
//!                  ◀── oneshot, for who asked ─────┴─ ZoneTable ──▶ status
//! ```

use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio::sync::oneshot;

use super::jobs::{Arrivals, Job, Outcome, Reload};
use super::notifier::{Notifications, served};
use super::parents::Parents;
use super::source::ConfigSource;
use super::tls::SpokenTls;
use super::transfers::{KeptZones, SecondaryHealth, Transfers};
use super::watchdog;
use super::zones::{self, FAULTS_ALL_BYTES_MAX, ZoneTable, cut};
use crate::admin::{ZoneVerb, reply};
use crate::answer::{NoticeSink, Snapshot};
use crate::config::Config;
use crate::load::{Arrival, CatalogNews, Change, Loader, Report, Scope, ZoneReport};
use crate::metrics::Metrics;
use crate::serve;
use crate::sys::{memory, sched};
use crate::transfer::Occasion;
use crate::wire::{NameRef, SharedName};
use crate::zone::hash::LookupName;

/// How many steps of niceness the thread, and who reads zones for it, stand back behind those that answer: in a flood
/// of queries that would take a whole CPU, workers have nine tenths of it, and a reload takes ten times as long, but
/// ends.
const STEPS_BACK: u8 = 10;
/// How long it rests after each huge page, which keeps the CPU from workers for half a millisecond: so one answer in
/// two hundred may have to wait.
const PAGE_REST: Duration = Duration::from_millis(100);
/// From so many records on that were read or freed, memory is given back and put into huge pages: that costs what the
/// process holds, and not what a reload has changed.
const SETTLE_RECORDS_MIN: usize = 10_000;
/// The most jobs that wait. One more reload is refused; the thread that asks primaries waits.
const JOBS_MAX: usize = 512;
/// The most versions from primaries that are published together.
const ARRIVALS_AT_ONCE_MAX: usize = 1000;
/// The most zones that one reply lists.
const CHANGES_MAX: usize = 1000;
/// The most broken zones whose faults are logged at one reload.
const LOGGED_MAX: usize = 20;

/// A handle on the thread.
pub(super) struct Reloader {
    jobs: SyncSender<Job>,
    table: Arc<ArcSwap<ZoneTable>>,
    /// Who asks primaries; nobody where no zone ever had any.
    transfers: Arc<OnceLock<Transfers>>,
    /// What is served now, and who is told of it.
    current: Arc<ArcSwap<Snapshot>>,
    notifications: Notifications,
    parents: Parents,
    tls: SpokenTls,
    /// How the zones are that come from primaries.
    health: Arc<SecondaryHealth>,
}

impl Reloader {
    /// Starts the thread with what is loaded already, on the runtime whose task tells others of changes.
    pub(super) fn start(
        loader: Loader,
        source: ConfigSource,
        (config, tls): (Config, SpokenTls),
        current: Arc<ArcSwap<Snapshot>>,
        kept: KeptZones,
        metrics: &Arc<Metrics>,
    ) -> std::io::Result<Self> {
        let notifications = Notifications::start(Arc::clone(metrics));
        let parents = Parents::new(notifications.clone(), Arc::clone(&config.resolvers));
        let all = || loader.registry().iter().map(|record| record.name());
        notifications.tell(&current.load(), all(), Occasion::Start);
        parents.tell(&current.load(), None, all());
        let table = Arc::new(ArcSwap::from_pointee(ZoneTable::of(&loader, None)));
        let (jobs, queue) = sync_channel(JOBS_MAX);
        let arrivals = Arrivals::new(jobs.clone());
        let table_shown = Arc::clone(&table);
        let (served_now, told) = (Arc::clone(&current), notifications.clone());
        let (health, spoken) = (Arc::clone(&kept.health), tls.clone());
        spoken.watch_end();
        let mut work = Work {
            loader,
            source,
            config,
            tls,
            current,
            table: table_shown,
            arrivals,
            transfers: Arc::default(),
            notifications,
            parents: parents.clone(),
            health: Arc::clone(&health),
            unsettled: 0,
        };
        let transfers = Arc::clone(&work.transfers);
        if work.configure_transfers(Some(kept)) {
            work.publish([].into_iter());
        }
        thread::Builder::new().name("reload".into()).spawn(move || work.run(&queue))?;
        Ok(Self { jobs, table, transfers, current: served_now, notifications: told, parents, tls: spoken, health })
    }

    /// Asks who asks primaries about a zone. How a zone is that has none is known here.
    pub(super) fn ask_transfers(
        &self,
        verb: ZoneVerb,
        name: SharedName,
        reply: oneshot::Sender<Result<reply::Secondary, String>>,
    ) {
        let table = self.table();
        let record = table.registry.find(name.as_ref());
        let known = record.map(|record| zones::describe(record, self.parents.show(name.as_ref())));
        let known = match known {
            // Who asked may be gone; so below.
            Some(known) if known.file.is_some() && verb == ZoneVerb::Status => return drop(reply.send(Ok(known))),
            known => known.unwrap_or_default(),
        };
        let Some(transfers) = self.transfers.get() else {
            return drop(reply.send(Err("no zone comes from primaries".to_owned())));
        };
        let (shown, asked) = oneshot::channel();
        transfers.ask(verb, name, shown);
        tokio::spawn(async move {
            let shown = asked.await.unwrap_or_else(|_| Err("nobody asks primaries any more".to_owned()));
            let (catalog, parent) = (known.catalog, known.parent);
            let _is_heard = reply.send(shown.map(|shown| reply::Secondary { catalog, parent, ..shown }));
        });
    }

    /// Tells those who want to know which version of a zone is served.
    ///
    /// # Errors
    /// Why nobody is told, for people.
    pub(super) fn notify(&self, name: NameRef<'_>) -> Result<reply::Told, String> {
        let (snapshot, shown) = (self.current.load(), name.to_name());
        let zone = served(&snapshot, name).ok_or_else(|| format!("no zone {shown} is served"))?;
        let settings = snapshot.transfers.settings(name);
        let parents = if settings.notify_dsync { self.parents.tell_now(zone) } else { Vec::new() };
        if settings.notify.is_empty() && parents.is_empty() {
            return Err(format!(
                "nobody is to be told of {shown}: `notify` in its [[zone]] or [[template]] names nobody"
            ));
        }
        let dropped = self.notifications.tell(&snapshot, [name].into_iter(), Occasion::Change);
        if dropped > 0 && dropped == settings.notify.len() {
            return Err("too many notifications wait for an answer; try again".to_owned());
        }
        let servers = settings.notify.iter().map(|server| server.address.to_string());
        let servers = servers.chain(parents.iter().map(|rtype| format!("the parent, of {rtype}"))).collect();
        Ok(reply::Told { name: zone.apex().to_string(), serial: zone.serial(), servers })
    }

    /// For how many seconds our certificate holds, if TLS is spoken.
    pub(super) fn certificate_s(&self) -> Option<i64> {
        self.tls.seconds_left()
    }

    /// How the zones are that come from primaries; `None` where there are none.
    pub(super) fn secondaries(&self) -> Option<reply::Secondaries> {
        self.health.show()
    }

    /// What is loaded now.
    pub(super) fn table(&self) -> Arc<ZoneTable> {
        self.table.load_full()
    }

    /// Asks for a reload without waiting for it.
    pub(super) fn ask(&self, scope: Scope, is_forced: bool, reply: Option<oneshot::Sender<Outcome>>) {
        let refused = match self.jobs.try_send(Job::Reload(Box::new(Reload { scope, is_forced, reply }))) {
            Ok(()) => return,
            // A job of the same kind that waits does what this one wants.
            Err(TrySendError::Full(job)) => (job, "too many reloads are waiting already"),
            Err(TrySendError::Disconnected(job)) => (job, "the reloading thread has ended"),
        };
        let (job, cause) = refused;
        tracing::warn!(cause, "a reload was not begun");
        if let Job::Reload(job) = job
            && let Some(reply) = job.reply
        {
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
    /// What is spoken over TLS.
    tls: SpokenTls,
    current: Arc<ArcSwap<Snapshot>>,
    table: Arc<ArcSwap<ZoneTable>>,
    arrivals: Arrivals,
    /// The same as in the handle.
    transfers: Arc<OnceLock<Transfers>>,
    /// Who is told of changes.
    notifications: Notifications,
    parents: Parents,
    /// How the zones are that come from primaries.
    health: Arc<SecondaryHealth>,
    /// Records that were read or freed since memory was given back and put into huge pages.
    unsettled: usize,
}

impl Work {
    /// Carries out jobs until nobody can ask any more.
    fn run(mut self, queue: &Receiver<Job>) {
        // Where a sandbox forbids it, it shares the CPU as others do.
        let _is_set = sched::lower_priority(STEPS_BACK);
        let mut next = queue.recv().ok();
        while let Some(job) = next {
            let (asked, is_much) = match job {
                Job::Reload(reload) => (None, self.carry_out(*reload)),
                Job::Arrive(..) => self.take_arrivals(queue, job),
            };
            next = match asked {
                Some(job) => Some(job),
                None if is_much => next_job(queue),
                None => queue.recv().ok(),
            };
        }
    }

    /// Gives memory back where much was read or freed; whether it was.
    fn settle(&mut self) -> bool {
        let is_much = self.unsettled >= SETTLE_RECORDS_MIN;
        if is_much {
            // Now nobody has the zones of before.
            memory::trim_heap();
            self.unsettled = 0;
        }
        is_much
    }

    /// Carries out a reload, and says what came of it; whether it was about much.
    fn carry_out(&mut self, job: Reload) -> bool {
        let (start, time) = (Instant::now(), watchdog::ask_for_time());
        let outcome = catch_unwind(AssertUnwindSafe(|| self.reload(job.scope, job.is_forced)))
            .unwrap_or_else(|_| Err("the reload failed inside fated; please report it".to_owned()));
        drop(time);
        log(&outcome);
        let last = Some((Instant::now(), start.elapsed(), outcome.clone()));
        self.show(last);
        let is_much = self.settle();
        if let Some(reply) = job.reply {
            // Who asked may be gone.
            let _ = reply.send(outcome);
        }
        is_much
    }

    /// Takes what came from primaries, all of it that waits, and publishes it together. Returns the job behind it, and
    /// whether it was much.
    fn take_arrivals(&mut self, queue: &Receiver<Job>, first: Job) -> (Option<Job>, bool) {
        let (mut next, mut is_change) = (Some(first), false);
        let (mut names, mut acceptances) = (Vec::new(), Vec::new());
        for _ in 0..ARRIVALS_AT_ONCE_MAX {
            let Some(Job::Arrive(name, arrival, acceptance)) = next else { break };
            self.unsettled += match &*arrival {
                Arrival::Version { zone, changes, .. } if changes.is_empty() => zone.record_count(),
                Arrival::Version { changes, .. } => changes.iter().map(|change| change.record_count()).sum(),
                Arrival::Purge => served(&self.current.load(), name.as_ref()).map_or(0, |zone| zone.record_count()),
                Arrival::Expiry | Arrival::Confirmed => 0,
            };
            let taken = self.loader.arrive(name.as_ref(), *arrival);
            is_change |= *taken.as_ref().unwrap_or(&false);
            acceptances.extend(
                acceptance.map(|acceptance| (acceptance, taken.map(drop).map_err(|refusal| refusal.to_string()))),
            );
            names.push(name);
            next = queue.try_recv().ok();
        }
        // Members are asked for when they are known here, so that what comes is taken.
        names.extend(self.spread_news());
        if is_change {
            self.publish(names.iter().map(SharedName::as_ref));
        }
        if is_change || !acceptances.is_empty() {
            let last = self.table.load().last.clone();
            self.show(last);
        }
        for (acceptance, taken) in acceptances {
            // Who asked may be gone.
            let _is_heard = acceptance.send(taken);
        }
        (next, self.settle())
    }

    /// Lets whoever asks primaries know what followed from catalogs, and logs what people should know. Returns the
    /// catalogs that are made here and have another version.
    fn spread_news(&mut self) -> Vec<SharedName> {
        let CatalogNews { changes, told, produced } = self.loader.take_catalog_news();
        for (is_wrong, what) in told {
            if is_wrong { tracing::error!("{what}") } else { tracing::warn!("{what}") }
        }
        let names = produced.iter().map(|version| version.zone.apex().into()).collect();
        if let Some(transfers) = self.transfers.get() {
            transfers.keep_produced(produced);
            if !changes.is_empty() {
                transfers.set_members(changes);
            }
        }
        names
    }

    /// Lets whoever asks see what is loaded now.
    fn show(&self, last: Option<(Instant, Duration, Outcome)>) {
        self.table.store(Arc::new(ZoneTable::of(&self.loader, last)));
    }

    /// Makes what is loaded what is served, and has those told who want to know which of `zones` have another serial
    /// then.
    fn publish<'a>(&self, zones: impl Iterator<Item = NameRef<'a>>) {
        let notices = self.transfers.get().cloned().map(|transfers| Arc::new(transfers) as Arc<dyn NoticeSink>);
        let published = snapshot(&self.loader, &self.config, notices);
        let before = self.current.load();
        let serial = |snapshot, name| served(snapshot, name).map(|zone| zone.serial());
        let zones: Vec<_> = zones.collect();
        self.parents.tell(&published, Some(&before), zones.iter().copied());
        let changed = zones.into_iter().filter(|name| serial(&published, *name) != serial(&before, *name));
        let changed: Vec<_> = changed.collect();
        drop(before); // Publishing waits for those who hold it.
        serve::publish(&self.current, Arc::clone(&published));
        self.notifications.tell(&published, changed.into_iter(), Occasion::Change);
    }

    /// Lets whoever asks primaries know which zones have some; whether that is somebody new.
    fn configure_transfers(&mut self, kept: Option<KeptZones>) -> bool {
        let sources = Arc::clone(&self.config.zones);
        let folder = self.config.state_dir.as_deref();
        match self.transfers.get() {
            Some(transfers) => transfers.configure(sources),
            None if !sources.has_transfers() => {}
            None => {
                let mut kept = kept.unwrap_or_else(|| KeptZones::restore(folder, &sources, &mut self.loader));
                kept.health = Arc::clone(&self.health);
                match Transfers::start(sources, self.loader.seed(), self.arrivals.clone(), kept) {
                    Ok(transfers) => {
                        self.transfers.get_or_init(|| transfers);
                        drop(self.spread_news());
                        return true;
                    }
                    Err(error) => tracing::error!(%error, "no primary can be asked: there is no thread for it"),
                }
            }
        }
        false
    }

    /// Reads the zones again, and the configuration where that is about all of them, and publishes what is new.
    fn reload(&mut self, scope: Scope, is_forced: bool) -> Outcome {
        let (read, notes) = match scope {
            Scope::All => self.read_config().map(|(config, notes)| (Some(config), notes))?,
            Scope::Zone(_) => (None, Vec::new()),
        };
        let allowed = if is_forced { self.allow_loss(&scope) } else { Vec::new() };
        if let ([catalog], Scope::Zone(_)) = (&allowed[..], &scope) {
            let note = format!("{catalog} is asked for again; whatever its next version takes away may go");
            return Ok(summary(&Report::default(), vec![note]));
        }
        let next_tls = read.as_ref().map(|read| SpokenTls::successor(&self.config, read)).transpose();
        let next_tls = next_tls.map_err(|error| format!("nothing was reloaded: TLS can't be spoken: {error}"))?;
        let zones = &read.as_ref().unwrap_or(&self.config).zones;
        let report =
            self.loader.reload(zones, scope, is_forced).map_err(|error| format!("nothing was reloaded: {error}"))?;
        if let Some(read) = read {
            let tls = next_tls.flatten().map(|next| self.tls.put(next)).or(self.config.tls.take());
            self.parents.set_resolvers(Arc::clone(&read.resolvers));
            self.config = Config { tls, ..read };
        }
        if report.is_change() || scope == Scope::All {
            if scope == Scope::All {
                self.configure_transfers(None);
            }
            let produced = self.spread_news();
            let names = report.zones.iter().map(|zone| zone.name.as_ref());
            self.publish(names.chain(produced.iter().map(SharedName::as_ref)));
        }
        let read = report.zones.iter().filter(|zone| zone.change != Change::Unchanged);
        self.unsettled += read.map(|zone| zone.record_count).sum::<usize>();
        Ok(summary(&report, notes))
    }

    /// Lets catalogs from primaries take away what they do, where that was refused, and has them asked for again.
    /// Returns which they are.
    fn allow_loss(&mut self, scope: &Scope) -> Vec<SharedName> {
        let catalog = match scope {
            Scope::All => None,
            Scope::Zone(name) => Some(name.as_ref()),
        };
        let allowed = self.loader.allow_loss(catalog);
        for (name, transfers) in allowed.iter().filter_map(|name| Some((name, self.transfers.get()?))) {
            let (reply, _nobody_waits) = oneshot::channel();
            transfers.ask(ZoneVerb::Refresh, name.clone(), reply);
        }
        allowed
    }

    /// Reads the configuration again: what of it can change while the server runs, and what the operator should know.
    fn read_config(&self) -> Result<(Config, Vec<String>), String> {
        let read = self.source.load().map_err(|error| format!("nothing was reloaded:\n{error}"))?;
        let (mut config, mut notes) = (self.config.clone(), needs_restart(&self.config, &read));
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
        config.keys = read.keys;
        config.resolvers = read.resolvers;
        config.tls = read.tls;
        notes.extend(read.warnings);
        Ok((config, notes))
    }
}

/// What is served of a registry.
pub(super) fn snapshot(loader: &Loader, config: &Config, notices: Option<Arc<dyn NoticeSink>>) -> Arc<Snapshot> {
    let (registry, seed) = (loader.registry(), loader.seed());
    let (zones, mut transfers) = (registry.zones().clone(), registry.transfers().clone());
    transfers.keys = Arc::clone(&config.keys);
    let hash = |name: &SharedName| LookupName::new(name.as_ref()).hash(seed);
    let catalogs = config.zones.catalogs.iter().map(|catalog| &catalog.name);
    let private = catalogs.chain(config.zones.produced.iter().map(|catalog| &catalog.name)).map(hash).collect();
    let awaited_zones = registry.counts().awaited;
    Arc::new(Snapshot { zones, awaited_zones, settings: config.settings.clone(), transfers, notices, private })
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
        ("server.tls.listen", tls_listen(running) != tls_listen(read)),
        ("admin", running.admin != read.admin),
        ("anycast", running.anycast != read.anycast),
        ("server.identity", running.anycast.is_some() && running.settings.identity != read.settings.identity),
        ("log", running.log != read.log),
    ];
    let note = |key: &str| format!("`{key}` has changed; that takes a restart");
    changed.iter().filter(|(_, is_changed)| *is_changed).map(|(key, _)| note(key)).collect()
}

/// Where a configuration has TLS spoken.
fn tls_listen(config: &Config) -> &[SocketAddr] {
    config.tls.as_ref().map_or(&[], |tls| &tls.listen)
}

/// What a reload did, for the control socket.
fn summary(report: &Report, notes: Vec<String>) -> reply::Reload {
    let mut shown: Vec<&ZoneReport> = report.zones.iter().filter(|zone| zone.change != Change::Unchanged).collect();
    // Broken ones first: they are what the operator must see when the list is cut.
    shown.sort_by_key(|zone| !matches!(zone.change, Change::Kept | Change::Refused));
    let mut octets_left = FAULTS_ALL_BYTES_MAX;
    reply::Reload {
        added: report.count(Change::Added),
        changed: report.count(Change::Changed),
        unchanged: report.count(Change::Unchanged),
        removed: report.count(Change::Removed),
        kept: report.count(Change::Kept),
        refused: report.count(Change::Refused),
        zones: shown.into_iter().take(CHANGES_MAX).map(|zone| change_of(zone, &mut octets_left)).collect(),
        notes,
    }
}

/// One zone of a reload, for the control socket.
fn change_of(zone: &ZoneReport, octets_left: &mut usize) -> reply::Change {
    reply::Change {
        name: zone.name.to_string(),
        file: zone.source.to_string(),
        change: change_word(zone.change).to_owned(),
        serial: zone.serial,
        faults: cut(&zone.faults, octets_left),
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
        let outcome = if zone.change == "kept" {
            "has errors; the old zone is served on"
        } else {
            "has errors and is answered with SERVFAIL"
        };
        tracing::error!("zone {}: {} {outcome}\n{}", zone.name, zone.file, zone.faults.trim_end());
    }
    for note in &reload.notes {
        tracing::warn!("{note}");
    }
    let reply::Reload { added, changed, unchanged, removed, kept, refused, .. } = reload;
    tracing::info!(added, changed, unchanged, removed, kept, refused, "reloaded");
}
