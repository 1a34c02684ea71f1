//! The thread that keeps secondary zones current: it asks primaries by time and by notification, and hands on what
//! came.
//!
//! ```text
//!   serve ──Notice──▶ ┌───────────────────────┐ one task an attempt  ┌─ fetch ──TCP──▶ primaries
//!   configuration ──▶ │ thread `transfers`    │ ───────────────────▶ │  build, apply (blocking threads)
//!   fated zone … ───▶ │ timers of each zone   │ ◀────── outcome ──── └─
//!                     └───────────────────────┘ ──Arrival──▶ thread `reload` ──publish──▶ workers
//! ```
//!
//! Between the timers of zones it does nothing, however many there are. At most [`ATTEMPTS_MAX`] zones are asked for at
//! once, and [`ATTEMPTS_PER_PRIMARY_MAX`] at one primary, so that no slow one holds up the zones of others.

mod event;
mod fetch;
mod health;
mod keep;
mod over_tls;
mod secondary;
mod verify;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc, oneshot};

use super::jobs::Arrivals;
use crate::admin::{ZoneVerb, reply};
use crate::answer::{Notice, NoticeSink};
use crate::config::ZoneSources;
use crate::load::{Arrival, ThreadPool};
use crate::serve::unix_now;
use crate::store::Store;
use crate::sys::sched;
use crate::transfer::Step;
use crate::wire::SharedName;
use crate::zone::hash::Seed;
use event::Event;
use fetch::{Fetched, Order, fetch};
pub(super) use health::SecondaryHealth;
use health::Tally;
pub(super) use keep::KeptZones;
use keep::{Kept, keep};
use secondary::SecondaryZone;
use verify::{COMMANDS_MAX, verify};

/// The most zones that are asked for at once.
const ATTEMPTS_MAX: usize = 512;
/// The most of them at one primary: BIND answers what is more with SERVFAIL (`transfers-out`, 10 by default).
const ATTEMPTS_PER_PRIMARY_MAX: usize = 10;
/// The most events that wait; a notification beyond that is dropped, for zones are asked for by time too.
const EVENTS_MAX: usize = 4096;
/// The longest that the thread sleeps: so a clock that was set is noticed.
const SLEEP_MAX: Duration = Duration::from_secs(60);
/// How many steps of niceness it stands back behind those that answer.
const STEPS_BACK: u8 = 10;

/// A handle on the thread. It ends with the process.
#[derive(Clone, Debug)]
pub(super) struct Transfers {
    events: mpsc::Sender<Event>,
}

impl Transfers {
    /// Starts the thread, which hands what comes to `arrivals`, and goes on with what was kept.
    ///
    /// # Errors
    /// The system has no thread.
    pub(super) fn start(
        sources: Arc<ZoneSources>,
        seed: Seed,
        arrivals: Arrivals,
        kept: KeptZones,
    ) -> io::Result<Self> {
        let (events, queue) = mpsc::channel(EVENTS_MAX);
        let work = Work {
            seed,
            pool: Arc::new(ThreadPool::new()),
            arrivals,
            events: events.clone(),
            store: kept.store,
            kept: kept.zones,
            entries: HashMap::new(),
            due: BTreeSet::new(),
            waiting: VecDeque::new(),
            attempts: 0,
            commands: Arc::new(Semaphore::new(COMMANDS_MAX)),
            attempts_by_primary: HashMap::new(),
            tally: Tally::new(kept.health),
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .thread_name("transfer")
            .max_blocking_threads(thread::available_parallelism().map_or(1, usize::from))
            .on_thread_start(stand_back)
            .build()?;
        let run = move || {
            stand_back();
            runtime.block_on(work.run(queue, sources));
        };
        thread::Builder::new().name("transfers".into()).spawn(run)?;
        Ok(Self { events })
    }

    /// Asks about a zone without waiting.
    pub(super) fn ask(
        &self,
        verb: ZoneVerb,
        name: SharedName,
        reply: oneshot::Sender<Result<reply::Secondary, String>>,
    ) {
        if let Err(error) = self.events.try_send(Event::Ask(verb, name, reply))
            && let Event::Ask(.., reply) = error.into_inner()
        {
            // Who asked may be gone; so below.
            let _ = reply.send(Err("the thread that asks primaries has too much to do; try again".to_owned()));
        }
    }

    /// Takes the configuration that holds from now on.
    pub(super) fn configure(&self, sources: Arc<ZoneSources>) {
        if self.events.blocking_send(Event::Configure(sources)).is_err() {
            tracing::error!("the thread that asks primaries has ended; zones are not kept current");
        }
    }
}

/// Lets those that answer go first; where a sandbox forbids it, threads share the CPU as others do.
fn stand_back() {
    let _is_set = sched::lower_priority(STEPS_BACK);
}

impl NoticeSink for Transfers {
    fn take(&self, notice: Notice) {
        // What finds no room is asked for by time.
        let _is_queued = self.events.try_send(Event::Notice(notice.zone.as_ref().into(), notice.source));
    }
}

/// What the thread works with.
struct Work {
    seed: Seed,
    pool: Arc<ThreadPool>,
    arrivals: Arrivals,
    /// For the tasks to say what came.
    events: mpsc::Sender<Event>,
    /// Where zones are kept over restarts.
    store: Option<Arc<Store>>,
    /// Zones that were read back, until they are configured.
    kept: HashMap<SharedName, Kept>,
    entries: HashMap<SharedName, SecondaryZone>,
    /// When each zone's timers are looked at next.
    due: BTreeSet<(Duration, SharedName)>,
    /// Zones that wait for an attempt of others to end.
    waiting: VecDeque<SharedName>,
    attempts: usize,
    /// Room for commands that judge what came.
    commands: Arc<Semaphore>,
    attempts_by_primary: HashMap<IpAddr, usize>,
    /// How the zones are, all together.
    tally: Tally,
}

impl Work {
    /// Works until nobody can tell it anything any more.
    async fn run(mut self, mut queue: mpsc::Receiver<Event>, sources: Arc<ZoneSources>) {
        self.configure(&sources);
        loop {
            self.attend_timers();
            self.begin_waiting();
            let next = self.due.first().map_or(SLEEP_MAX, |(due, _)| due.saturating_sub(unix_now()).min(SLEEP_MAX));
            tokio::select! {
                event = queue.recv() => match event {
                    Some(event) => self.handle(event).await,
                    None => return,
                },
                () = tokio::time::sleep(next) => {}
            }
        }
    }

    /// Takes an event.
    async fn handle(&mut self, event: Event) {
        match event {
            Event::Notice(name, source) => {
                tracing::debug!(%source, "zone {name}: notified of a change");
                if let Some(entry) = self.entries.get_mut(&name) {
                    entry.set_notifier(source);
                }
                self.step(&name, crate::transfer::Event::Notified);
            }
            Event::Left(primary) => self.leave(primary),
            Event::Done(name, beginning, outcome) => self.conclude(&name, beginning, outcome),
            Event::Ask(verb, name, reply) => {
                let _ = reply.send(self.answer(verb, &name));
            }
            Event::Kept(name, is_kept) => {
                if let Some(entry) = self.entries.get_mut(&name) {
                    entry.note_kept(is_kept);
                }
                self.keep(&name);
            }
            Event::Configure(sources) => self.configure(&sources),
        }
    }

    /// Answers an operator, and does what is asked.
    fn answer(&mut self, verb: ZoneVerb, name: &SharedName) -> Result<reply::Secondary, String> {
        let Some(entry) = self.entries.get_mut(name) else {
            return Err(format!("no zone {name} comes from primaries (`primaries` in its [[zone]])"));
        };
        match verb {
            ZoneVerb::Status | ZoneVerb::Export | ZoneVerb::Notify => {}
            ZoneVerb::Refresh => self.step(name, crate::transfer::Event::Asked),
            ZoneVerb::Retransfer => {
                entry.want_whole();
                self.step(name, crate::transfer::Event::Asked);
            }
            ZoneVerb::Purge => {
                tracing::warn!("zone {name}: it is purged; it is answered with SERVFAIL until a primary gives it");
                entry.purge(unix_now());
                self.waiting.retain(|waiting| waiting != name);
                self.arrivals.send(name.clone(), Arrival::Purge);
                self.forget(name.clone());
                self.step(name, crate::transfer::Event::Asked);
            }
        }
        let shown = self.entries.get(name).map(|entry| entry.show(name, unix_now()));
        shown.ok_or_else(|| format!("the zone {name} is gone"))
    }

    /// Begins to keep what is not kept of a zone, unless that is under way.
    fn keep(&mut self, name: &SharedName) {
        if let (Some(store), Some(entry)) = (&self.store, self.entries.get_mut(name))
            && let Some((zone, unkept, times)) = entry.begin_keeping()
        {
            tokio::spawn(keep(Arc::clone(store), name.clone(), zone, unkept, times, self.events.clone()));
        }
    }

    /// Takes the zones that are configured: those that are new or set otherwise are asked for, others go.
    fn configure(&mut self, sources: &ZoneSources) {
        let now = unix_now();
        let mut old = std::mem::take(&mut self.entries);
        let mut changed = Vec::new();
        for secondary in &sources.secondaries {
            let entry = match old.remove(&secondary.name) {
                Some(mut entry) => {
                    if entry.set_settings(&secondary.transfers) {
                        changed.push(secondary.name.clone());
                    }
                    entry
                }
                None => SecondaryZone::new(&secondary.transfers, now, self.kept.remove(&secondary.name)),
            };
            self.entries.insert(secondary.name.clone(), entry);
        }
        self.kept.clear();
        for (name, mut entry) in old {
            self.due.remove(&(entry.due(), name.clone()));
            self.tally.replace(&name, entry.take_facts(), None);
            self.forget(name);
        }
        let names: Vec<SharedName> = self.entries.keys().cloned().collect();
        names.iter().for_each(|name| self.schedule(name));
        // What did not work may work now.
        changed.iter().for_each(|name| self.step(name, crate::transfer::Event::Asked));
    }

    /// Has the store forget a zone.
    fn forget(&self, name: SharedName) {
        let Some(store) = self.store.clone() else { return };
        tokio::spawn(async move {
            let forgotten = store.remove(name.as_ref()).await;
            forgotten.unwrap_or_else(|error| tracing::error!("zone {name}: it can't be forgotten: {error}"));
        });
    }

    /// Looks at the timers that are due.
    fn attend_timers(&mut self) {
        let now = unix_now();
        while let Some((due, name)) = self.due.first().cloned()
            && due <= now
        {
            self.due.pop_first();
            if self.entries.contains_key(&name) {
                self.step(&name, crate::transfer::Event::Time);
            }
        }
    }

    /// Lets the timers of a zone take an event, and does what they say.
    fn step(&mut self, name: &SharedName, event: crate::transfer::Event) {
        let Some(entry) = self.entries.get_mut(name) else { return };
        match entry.handle(unix_now(), event) {
            Some(Step::Ask) => self.waiting.push_back(name.clone()),
            Some(Step::Expire) => {
                tracing::error!(
                    "zone {name}: no primary has confirmed it for longer than its EXPIRE; it is answered \
                    with SERVFAIL"
                );
                self.arrivals.send(name.clone(), Arrival::Expiry);
            }
            None => {}
        }
        self.schedule(name);
    }

    /// Notes when the timers of a zone are looked at next.
    fn schedule(&mut self, name: &SharedName) {
        let Some(entry) = self.entries.get_mut(name) else { return };
        self.due.remove(&(entry.due(), name.clone()));
        if let Some(due) = entry.reschedule() {
            self.due.insert((due, name.clone()));
        }
        let before = entry.take_facts();
        self.tally.replace(name, before, Some(entry.note_facts()));
    }

    /// Begins attempts for zones that wait, as far as bounds allow. Each is looked at once.
    fn begin_waiting(&mut self) {
        for _ in 0..self.waiting.len() {
            let Some(name) = self.waiting.pop_front().filter(|_| self.attempts < ATTEMPTS_MAX) else { return };
            let Some(entry) = self.entries.get_mut(&name) else { continue };
            let Some((first, primary)) = entry.primary().map(|(first, address)| (first, address.ip())) else {
                continue;
            };
            let at_primary = self.attempts_by_primary.entry(primary).or_default();
            if *at_primary >= ATTEMPTS_PER_PRIMARY_MAX {
                self.waiting.push_back(name);
                continue;
            }
            *at_primary += 1;
            self.attempts += 1;
            let order = entry.order(name, first, (self.seed, &self.pool));
            tokio::spawn(attempt(order, primary, self.events.clone(), Arc::clone(&self.commands)));
        }
    }

    /// Makes room for the next attempt.
    fn leave(&mut self, primary: IpAddr) {
        self.attempts = self.attempts.saturating_sub(1);
        if let Some(count) = self.attempts_by_primary.get_mut(&primary) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.attempts_by_primary.remove(&primary);
            }
        }
    }

    /// Takes what came of an attempt.
    fn conclude(&mut self, name: &SharedName, beginning: u64, outcome: Result<Box<Fetched>, String>) {
        let Some(entry) = self.entries.get_mut(name).filter(|entry| entry.is_of(beginning)) else { return };
        let event = match outcome {
            Ok(fetched) => {
                let (timers, expire, is_new) = (fetched.soa.timers(), fetched.expire, fetched.version.is_some());
                let event = crate::transfer::Event::Current { timers, expire, is_new };
                if let Some(arrival) = entry.take(name, *fetched) {
                    self.arrivals.send(name.clone(), arrival);
                }
                event
            }
            Err(error) => {
                entry.fail(name, error);
                crate::transfer::Event::Failed
            }
        };
        self.step(name, event);
        self.keep(name);
    }
}

/// Asks for a zone, has what came judged, and says what came of it.
async fn attempt(order: Order, primary: IpAddr, events: mpsc::Sender<Event>, commands: Arc<Semaphore>) {
    let (name, settings, progress) = (order.name.clone(), Arc::clone(&order.settings), Arc::clone(&order.progress));
    let beginning = order.beginning;
    let fetched = tokio::spawn(fetch(order)).await;
    let mut outcome = fetched.unwrap_or_else(|_| Err("asking for it failed inside fated; please report it".to_owned()));
    // The thread ends with the process alone. A command that takes long keeps no other zone from that primary.
    let _is_taken = events.send(Event::Left(primary)).await;
    if let Ok(Fetched { version: Some(version), .. }) = &outcome
        && !settings.verify.words.is_empty()
    {
        progress.set_verifying(true);
        match verify(&version.zone, &settings.verify, &commands).await {
            Ok(said) if said.is_empty() => {}
            Ok(said) => tracing::info!(serial = version.zone.serial(), said, "zone {name}: `verify` takes it"),
            Err(error) => outcome = Err(error.to_string()),
        }
        progress.set_verifying(false);
    }
    let _is_taken = events.send(Event::Done(name, beginning, outcome.map(Box::new))).await;
}
