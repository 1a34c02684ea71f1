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
//! Between the timers of zones it does nothing, however many there are. How many zones are asked for at once is
//! bounded, in all and at one primary ([`waiting`]), so that no slow one holds up the zones of others.

mod event;
mod fetch;
mod health;
mod keep;
mod over_tls;
mod secondary;
mod verify;
mod waiting;

use std::collections::{BTreeSet, HashMap};
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
use crate::load::{Arrival, MemberChange, ProducedVersion, ThreadPool};
use crate::serve::unix_now;
use crate::store::Store;
use crate::sys::sched;
use crate::transfer::{Step, TransferSettings};
use crate::wire::SharedName;
use crate::zone::hash::Seed;
use event::{Event, Order, Orders};
use fetch::{Fetched, fetch};
pub(super) use health::SecondaryHealth;
use health::Tally;
pub(super) use keep::KeptZones;
use keep::{Kept, keep, keep_produced};
use secondary::{Kind, SecondaryZone};
use verify::{COMMANDS_MAX, verify};
use waiting::{Generation, Waiting};

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
    orders: Arc<Orders>,
    store: Option<Arc<Store>>,
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
            waiting: Waiting::default(),
            generation: Generation::default(),
            commands: Arc::new(Semaphore::new(COMMANDS_MAX)),
            tally: Tally::new(kept.health),
        };
        let (members, store) = (kept.members, work.store.clone());
        let orders = Arc::<Orders>::default();
        let taken = Arc::clone(&orders);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .thread_name("transfer")
            .max_blocking_threads(thread::available_parallelism().map_or(1, usize::from))
            .on_thread_start(stand_back)
            .build()?;
        let run = move || {
            stand_back();
            runtime.block_on(work.run(queue, taken, sources, members));
        };
        thread::Builder::new().name("transfers".into()).spawn(run)?;
        Ok(Self { events, orders, store })
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
        self.orders.give(Order::Configure(sources));
    }

    /// Takes what catalogs say about zones from now on.
    pub(super) fn set_members(&self, changes: Vec<MemberChange>) {
        self.orders.give(Order::Members(changes));
    }

    /// Keeps versions of catalogs that are made here. Blocks until they are on the disk.
    pub(super) fn keep_produced(&self, produced: Vec<ProducedVersion>) {
        keep_produced(self.store.as_deref(), produced);
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
    /// Zones that wait for their turn.
    waiting: Waiting,
    /// That of the last zone that came.
    generation: Generation,
    /// Room for commands that judge what came.
    commands: Arc<Semaphore>,
    /// How the zones are, all together.
    tally: Tally,
}

impl Work {
    /// Works until nobody can tell it anything any more.
    async fn run(
        mut self,
        mut queue: mpsc::Receiver<Event>,
        orders: Arc<Orders>,
        sources: Arc<ZoneSources>,
        members: Vec<MemberChange>,
    ) {
        self.configure(&sources);
        self.set_members(members);
        self.kept = HashMap::new();
        loop {
            for order in orders.take() {
                match order {
                    Order::Configure(sources) => self.configure(&sources),
                    Order::Members(changes) => self.set_members(changes),
                }
            }
            self.attend_timers();
            self.begin_waiting();
            let next = self.due.first().map_or(SLEEP_MAX, |(due, _)| due.saturating_sub(unix_now()).min(SLEEP_MAX));
            tokio::select! {
                event = queue.recv() => match event {
                    Some(event) => self.handle(event).await,
                    None => return,
                },
                () = orders.wait() => {}
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
            Event::Left(primary) => self.waiting.end(primary),
            Event::Done(name, generation, outcome) => {
                // What a zone was that had the name before says nothing about this one.
                if self.entries.get(&name).is_some_and(|entry| entry.generation() == generation) {
                    self.conclude(&name, outcome);
                }
            }
            Event::Ask(verb, name, reply) => {
                let _ = reply.send(self.answer(verb, &name));
            }
            Event::Kept(name, is_kept) => {
                if let Some(entry) = self.entries.get_mut(&name) {
                    entry.note_kept(is_kept);
                }
                self.keep(&name);
            }
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
                entry.purge(self.generation.next(), unix_now());
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

    /// Takes the zones that are configured: those that are new or set otherwise are asked for, others go, but those
    /// that catalogs name.
    fn configure(&mut self, sources: &ZoneSources) {
        let mut old = std::mem::take(&mut self.entries);
        let mut changed = Vec::new();
        for secondary in &sources.secondaries {
            let is_catalog = sources.catalog(secondary.name.as_ref()).is_some();
            let kind = if is_catalog { Kind::Catalog } else { Kind::Own };
            match old.remove(&secondary.name) {
                Some(mut entry) => {
                    if entry.set_settings(&secondary.transfers, kind) {
                        changed.push(secondary.name.clone());
                    }
                    self.entries.insert(secondary.name.clone(), entry);
                }
                None => self.add(&secondary.name, &secondary.transfers, kind),
            }
        }
        for (name, entry) in old {
            if entry.kind() == Kind::Member {
                self.entries.insert(name, entry);
            } else {
                self.leave(&name, entry);
            }
        }
        let names: Vec<SharedName> = self.entries.keys().cloned().collect();
        names.iter().for_each(|name| self.schedule(name));
        // What did not work may work now.
        changed.iter().for_each(|name| self.step(name, crate::transfer::Event::Asked));
    }

    /// Takes what catalogs say about zones.
    fn set_members(&mut self, changes: Vec<MemberChange>) {
        for change in changes {
            let (MemberChange::Set(name, _) | MemberChange::Reset(name, _) | MemberChange::Gone(name)) = &change;
            let known = self.entries.get_mut(name);
            // What is configured by itself now is no member any more.
            if known.as_ref().is_some_and(|entry| entry.kind() != Kind::Member) {
                continue;
            }
            match (change, known) {
                (MemberChange::Set(name, settings), Some(entry)) => {
                    if entry.set_settings(&settings, Kind::Member) {
                        self.step(&name, crate::transfer::Event::Asked);
                    }
                }
                (MemberChange::Set(name, settings) | MemberChange::Reset(name, settings), known) => {
                    if known.is_some() {
                        self.remove(&name);
                    }
                    self.add(&name, &settings, Kind::Member);
                    self.schedule(&name);
                }
                (MemberChange::Gone(name), _) => self.remove(&name),
            }
        }
    }

    /// Begins with a zone, and what was kept of it.
    fn add(&mut self, name: &SharedName, settings: &Arc<TransferSettings>, kind: Kind) {
        let generation = self.generation.next();
        let kept = self.kept.remove(name);
        let entry = SecondaryZone::new(settings, kind, generation, unix_now(), kept);
        self.entries.insert(name.clone(), entry);
    }

    /// Ends with a zone.
    fn remove(&mut self, name: &SharedName) {
        if let Some(entry) = self.entries.remove(name) {
            self.leave(name, entry);
        }
    }

    /// Forgets what is known of a zone that is no more.
    fn leave(&mut self, name: &SharedName, mut entry: SecondaryZone) {
        self.due.remove(&(entry.due(), name.clone()));
        self.tally.replace(name, entry.take_facts(), None);
        self.forget(name.clone());
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
            Some(Step::Ask) => {
                if let Some((_, primary)) = entry.primary() {
                    self.waiting.push(primary.ip(), name.clone(), entry.generation());
                }
            }
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

    /// Begins attempts for zones that wait, as far as bounds allow.
    fn begin_waiting(&mut self) {
        while let Some((primary, name, generation)) = self.waiting.next() {
            let entry = self.entries.get_mut(&name).filter(|entry| entry.generation() == generation);
            let Some(entry) = entry else {
                self.waiting.end(primary);
                continue;
            };
            let Some((first, _)) = entry.primary().filter(|(_, address)| address.ip() == primary) else {
                // Another is asked first meanwhile.
                self.waiting.end(primary);
                if let Some((_, address)) = entry.primary() {
                    self.waiting.push(address.ip(), name, generation);
                }
                continue;
            };
            let catalog = (entry.kind() == Kind::Catalog).then(|| self.arrivals.clone());
            let order = entry.order(name, first, (self.seed, &self.pool));
            let commands = Arc::clone(&self.commands);
            tokio::spawn(attempt(order, catalog, primary, self.events.clone(), commands));
        }
    }

    /// Takes what came of an attempt.
    fn conclude(&mut self, name: &SharedName, outcome: Result<Box<Fetched>, String>) {
        let Some(entry) = self.entries.get_mut(name) else { return };
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

/// Asks for a zone, has what came judged, and says what came of it. A version of a catalog is handed on first, to where
/// that is judged.
async fn attempt(
    order: fetch::Order,
    catalog: Option<Arrivals>,
    primary: IpAddr,
    events: mpsc::Sender<Event>,
    commands: Arc<Semaphore>,
) {
    let (name, settings, progress) = (order.name.clone(), Arc::clone(&order.settings), Arc::clone(&order.progress));
    let (generation, expiry) = (order.generation, Arc::clone(&order.expiry));
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
    if let (Some(arrivals), Ok(Fetched { version: Some(version), .. })) = (catalog, &outcome)
        && let Err(refusal) = arrivals.judge(name.clone(), version.arrival(&expiry)).await
    {
        outcome = Err(format!("serial {}: {refusal}", version.zone.serial()));
    }
    let _is_taken = events.send(Event::Done(name, generation, outcome.map(Box::new))).await;
}
