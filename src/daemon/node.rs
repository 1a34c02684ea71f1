//! The anycast node: what the prover sees goes to the policies, what they say goes to the route.
//!
//! ```text
//!   prover ──Observation──▶ Desk: one Policy an address ──Stance──▶ route::Driver ──▶ the kernel
//!      │                      ▲ drained, stopping (flags)      │
//!      └──Proof──────────────────────────────────────────────▶ lease
//! ```
//!
//! The policies are run by the prover's thread and by nobody else: the control plane only sets flags and reads what is
//! told, so that it may hang without keeping the route up or taking it down.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;

use super::DaemonError;
use super::drain::{Heard, Word};
use super::host::Device;
use super::keeper::Keeper;
use super::past::{self, Writer};
use crate::admin::history::History;
use crate::admin::reply;
use crate::answer::{Canary, Snapshot};
use crate::config::{Anycast, Config};
use crate::health::{self, Path, PathState, Prover, WorkerState};
use crate::policy::{self, Last, Observation, Order, Past, Policy, Proof, Reason, Stance, Transition};
use crate::route::{self, AddressSeen, Driver, Interface, LeaseState, RouteError, Seen};
use crate::serve::{Running, TcpQueue, ThreadSupervisor};
use crate::wire::{Name, NameRef};
use crate::zone::hash::LookupName;

/// How long going away may take before it is left to the end of the process.
const LEAVE_MAX: Duration = Duration::from_secs(2);

/// A node at work.
pub(super) struct Node {
    /// Asks the workers. Taken to end it.
    prover: Prover,
    /// Makes the kernel follow.
    driver: Arc<Driver>,
    /// What the control plane asks of the desk.
    orders: Arc<Orders>,
    /// What the desk tells.
    told: Arc<ArcSwap<Vec<Told>>>,
    /// The last changes.
    history: Arc<ArcSwap<History>>,
    /// When each address was proven.
    proof: Arc<Proof>,
    /// What all moments count from.
    origin: Instant,
    /// What the operator wants.
    anycast: Anycast,
    /// What is remembered over a restart, where there is a state folder.
    past: Option<Arc<Writer>>,
}

/// What is asked of the desk; read each round.
struct Orders {
    word: Arc<Word>,
    is_stopping: AtomicBool,
}

/// How an address stands.
#[derive(Clone, Debug)]
struct Told {
    stance: Stance,
    reason: Reason,
    since: Duration,
    announcements: u64,
    withdrawals: u64,
}

/// Makes the secret by which the workers know canaries.
///
/// # Errors
/// The system has no random numbers.
pub(super) fn canary(anycast: &Anycast, device: Device) -> std::io::Result<Canary> {
    let is_over_tun = device == Device::Tun && !anycast.is_dry_run;
    let loopback = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    // Probes come over a tun of our own and, around it or without one, over loopback, where others ask too.
    let reserved = if is_over_tun { anycast.health.sources.all().to_vec() } else { Vec::new() };
    let sources = [&reserved[..], &loopback].concat();
    Ok(Canary { nonce: getrandom::u64().map_err(std::io::Error::other)?, sources, reserved })
}

/// The devices of a node, of which nothing is announced yet.
pub(super) struct Held {
    driver: Driver,
    proof: Arc<Proof>,
    origin: Instant,
}

/// Takes the devices, with what the keeper may do. Blocks for as long as somebody else has the device's name, or the named device
/// is down, unless `is_strict`: a process that ends slowly lets go of it, and what is served besides is served meanwhile.
///
/// # Errors
/// [`DaemonError::Route`], or that the system has no thread for it.
pub(super) fn hold(
    anycast: &Anycast,
    (device, keeper): (Device, Keeper),
    is_strict: bool,
) -> Result<Held, DaemonError> {
    let (origin, proof) = (Instant::now(), Arc::new(Proof::new(anycast.addresses.len())));
    let (wanted, proven) = (route_settings(anycast, device), Arc::clone(&proof));
    let take = move || {
        let mut is_told = false;
        loop {
            let error = match Driver::start(wanted.clone(), origin, Arc::clone(&proven)) {
                Err(error) if !is_strict && may_pass(&error) => error,
                done => return done,
            };
            if !std::mem::replace(&mut is_told, true) {
                tracing::error!("[anycast]: {error}; tried again until it can be had, and nothing is announced before");
            }
            thread::sleep(DEVICE_PAUSE);
        }
    };
    let driver = keeper.run(take).map_err(DaemonError::system("the route thread can't be started"))??;
    Ok(Held { driver, proof, origin })
}

/// Whether waiting may help.
fn may_pass(error: &RouteError) -> bool {
    matches!(error, RouteError::DeviceTaken { .. } | RouteError::DeviceDown { .. })
}

/// How long to wait before the device is tried again.
const DEVICE_PAUSE: Duration = Duration::from_millis(250);

impl Node {
    /// Proves, and announces what is proven.
    ///
    /// # Errors
    /// What the system has no thread or random numbers for.
    ///
    /// `addresses` are those that are bound; the service addresses stand last.
    pub(super) fn start(
        config: &Config,
        Held { driver, proof, origin }: Held,
        addresses: &[SocketAddr],
        running: &Running,
        current: &Arc<ArcSwap<Snapshot>>,
        word: Arc<Word>,
    ) -> Result<Self, DaemonError> {
        let (Some(anycast), Some(canary)) = (&config.anycast, &config.settings.canary) else {
            unreachable!("a device is looked for where there are service addresses, and then there is a canary");
        };
        let (driver, first) = (Arc::new(driver), addresses.len() - anycast.addresses.len());
        let path = match driver.probe_tun() {
            Some(tun) => {
                let own = tun.as_fd().try_clone_to_owned();
                let own = own.map_err(DaemonError::system("the tun device can't be shared with the prover"))?;
                Path::Tun(own, anycast.health.sources)
            }
            None => Path::Socket,
        };
        let orders = Arc::new(Orders { word, is_stopping: AtomicBool::new(false) });
        let seed = getrandom::u64().map_err(|error| DaemonError::system("no random numbers")(error.into()))?;
        // What is not really announced is nothing to be remembered.
        let folder = config.state_dir.as_deref().filter(|_| !anycast.is_dry_run);
        let past = folder.map(|folder| past::read(folder, &anycast.addresses)).unwrap_or_default();
        let writer = folder.map(|folder| Writer::start(folder.to_owned(), anycast.addresses.clone())).transpose();
        let writer =
            writer.map_err(DaemonError::system("the thread that keeps hold-downs can't be started"))?.map(Arc::new);
        let desk = Desk::new(anycast, (seed, &past), origin, (&driver, current), &orders, writer.clone());
        let (told, history) = (Arc::clone(&desk.told), Arc::clone(&desk.history_told));
        let settings = health::Settings {
            interval: anycast.health.interval,
            timeout: anycast.health.timeout,
            fall: anycast.health.fall,
            min_workers: anycast.health.workers_min.get(),
            nonce: canary.nonce,
            identity: current.load().settings.identity.clone(),
            addresses: addresses[first..].to_vec(),
            tcp_interval: health::TCP_INTERVAL,
        };
        let workers = Arc::new(Workers { supervisor: running.supervisor(), first });
        let zones = Arc::new(Served { current: Arc::clone(current), turn: AtomicUsize::new(0) });
        let prover = Prover::start(settings, path, workers, zones, Arc::clone(&proof), origin, desk.into_on_round())
            .map_err(DaemonError::system("the prover can't be started"))?;
        Ok(Self { prover, driver, orders, told, history, proof, origin, anycast: anycast.clone(), past: writer })
    }

    /// Withdraws every address, and answers what still comes for as long as the operator wants. Blocks.
    pub(super) fn leave(&self) {
        self.orders.is_stopping.store(true, Ordering::Release);
        // At once, not at the prover's next round, and even where the prover hangs.
        self.driver.want(&vec![Stance::Withdraw; self.anycast.addresses.len()]);
        let is_gone = |seen: &Seen| seen.addresses.iter().all(|address| !address.is_announced);
        if !self.driver.wait(LEAVE_MAX, is_gone) {
            tracing::error!("an address is still announced; it goes with the process");
        }
        if self.past.as_ref().is_some_and(|past| !past.is_finished_within(LEAVE_MAX)) {
            tracing::warn!("the next start will take this end for a crash: the prover or the state folder hangs");
        }
        thread::sleep(self.anycast.drain);
    }

    /// Returns what tells at any time whether the process was of use in the last `period`.
    pub(super) fn is_useful(&self, period: Duration) -> impl Fn() -> bool + Send + use<> {
        let (reports, origin, least) = (self.prover.reports(), self.origin, self.anycast.health.workers_min.get());
        move || reports.load().is_useful(origin.elapsed(), period, least)
    }

    /// How the node is.
    pub(super) fn status(&self) -> reply::Anycast {
        let (now, seen, told, report) =
            (self.origin.elapsed(), self.driver.seen(), self.told.load(), self.prover.report());
        let addresses = self.anycast.addresses.iter().zip(&seen.addresses).zip(told.iter()).enumerate();
        reply::Anycast {
            interface: self.anycast.interface.clone(),
            dry_run: self.anycast.is_dry_run,
            workers_min: self.anycast.health.workers_min.get(),
            lease_s: self.anycast.lease.map(|lease| lease.as_secs()),
            addresses: addresses
                .map(|(index, ((address, seen), told))| {
                    let proof = self.proof.last(index);
                    let known = report.addresses.get(index);
                    let dropped = known.map_or(0, |address| address.drops);
                    let path = known.map_or(reply::PathState::Unknown, |address| tell_path(address.path));
                    let prefix = self.anycast.prefix_of(*address).to_string();
                    reply::Address { dropped, path, ..tell_address(now, *address, prefix, seen, told, proof) }
                })
                .collect(),
            workers: report.workers.iter().enumerate().map(|(index, worker)| tell_worker(now, index, worker)).collect(),
            tcp_threads: report.tcp_threads.iter().enumerate().map(tell_tcp_thread).collect(),
            zone_faults: report.zones.iter().map(|fault| tell_zone(now, fault)).collect(),
            prover: tell_prover(&report),
            route: tell_route(&seen.counters),
            transitions: self.history.load().told(Instant::now()),
        }
    }
}

/// What the route driver is to hold.
fn route_settings(anycast: &Anycast, device: Device) -> route::Settings {
    let name = anycast.interface.clone();
    let health = &anycast.health;
    route::Settings {
        addresses: anycast.addresses.iter().map(|address| (*address).into()).collect(),
        announce: anycast.announce.clone(),
        interface: if device == Device::Tun { Interface::Tun(name) } else { Interface::Device(name) },
        lease: anycast.lease,
        // A proof is as old as its round when it is noted, and the next may be as late as its timeout.
        proof_slack: health.interval + health.timeout + PROOF_LATENESS,
        probe_sources: health.sources.all(),
        kernel_route: anycast.kernel_route,
        is_dry_run: anycast.is_dry_run,
    }
}

/// What a machine may be late by before a proof is too old for a lease.
const PROOF_LATENESS: Duration = Duration::from_millis(50);

/// The policies and what is told of them; owned by the prover's thread.
struct Desk {
    policies: Vec<Policy>,
    names: Vec<String>,
    heard: Heard,
    driver: Arc<Driver>,
    /// What is served.
    current: Arc<ArcSwap<Snapshot>>,
    /// How often each lease had run out when the last round was judged.
    lapses: Vec<u64>,
    orders: Arc<Orders>,
    told: Arc<ArcSwap<Vec<Told>>>,
    /// The last changes, and the same for the control plane. No lock: whoever reads must not hold up a round.
    history: History,
    history_told: Arc<ArcSwap<History>>,
    /// Changes that the kernel has not followed yet: the address, its number in the history, and when it was.
    pending: Vec<Option<(u64, Duration)>>,
    origin: Instant,
    /// Who writes what is remembered over a restart, and whether it has been told anything yet.
    past: Option<Arc<Writer>>,
    is_past_noted: bool,
}

impl Desk {
    /// `past` is what earlier runs left, by address; nothing without a state folder.
    fn new(
        anycast: &Anycast,
        (seed, past): (u64, &[Option<Past>]),
        origin: Instant,
        (driver, current): (&Arc<Driver>, &Arc<ArcSwap<Snapshot>>),
        orders: &Arc<Orders>,
        writer: Option<Arc<Writer>>,
    ) -> Self {
        let now = origin.elapsed();
        let settings = policy_settings(anycast);
        let make = |(index, address): (usize, &IpAddr)| {
            let seed = seed.wrapping_add(index as u64);
            let Some(past) = past.get(index).copied().flatten() else { return Policy::new(now, settings, seed) };
            let policy = Policy::resume(now, settings, seed, past);
            tell_past(address, past, policy.past(now));
            policy
        };
        let policies: Vec<Policy> = anycast.addresses.iter().enumerate().map(make).collect();
        let fresh = |policy: &Policy| Told {
            stance: policy.stance(),
            reason: policy.reason(),
            since: policy.since(),
            announcements: 0,
            withdrawals: 0,
        };
        Self {
            told: Arc::new(ArcSwap::from_pointee(policies.iter().map(fresh).collect())),
            names: anycast.addresses.iter().map(ToString::to_string).collect(),
            heard: Heard::default(),
            driver: Arc::clone(driver),
            current: Arc::clone(current),
            lapses: vec![0; policies.len()],
            orders: Arc::clone(orders),
            history: History::default(),
            history_told: Arc::default(),
            pending: vec![None; policies.len()],
            policies,
            origin,
            past: writer,
            is_past_noted: false,
        }
    }

    /// What the prover calls after each round.
    fn into_on_round(mut self) -> health::OnRound {
        Box::new(move |now, rounds| self.round(now, rounds))
    }

    /// Carries out what was asked, judges the round, and says what is wanted.
    fn round(&mut self, now: Duration, rounds: &[Observation]) {
        let (order, seen) = (self.order(), self.driver.seen());
        let is_zoneless = self.current.load().zones.is_empty();
        let mut is_changed = order.is_some();
        let mut told = Vec::clone(&self.told.load());
        for (index, (policy, round)) in self.policies.iter_mut().zip(rounds).enumerate() {
            let ordered = order.and_then(|order| policy.order(now, order));
            let lapses = seen.addresses[index].lapses;
            let is_lapsed = std::mem::replace(&mut self.lapses[index], lapses) != lapses;
            let lapsed = if is_lapsed { policy.lapse(now) } else { None };
            let changes = [ordered, lapsed, policy.observe(now, &Observation { is_zoneless, ..*round })];
            for change in changes.into_iter().flatten() {
                is_changed = true;
                match change.to {
                    Stance::Announce if change.from == Stance::Withdraw => told[index].announcements += 1,
                    Stance::Withdraw => told[index].withdrawals += 1,
                    Stance::Announce | Stance::Degrade => {}
                }
                log(&self.names[index], &change);
                let number = self.history.begin(
                    self.origin + change.at,
                    &self.names[index],
                    tell_stance(change.from),
                    tell_stance(change.to),
                    &change.reason.to_string(),
                );
                self.pending[index] = Some((number, change.at));
            }
            told[index] =
                Told { stance: policy.stance(), reason: policy.reason(), since: policy.since(), ..told[index].clone() };
        }
        let wanted: Vec<Stance> = told.iter().map(|told| told.stance).collect();
        self.driver.want(&wanted);
        if let Some(past) = self.past.as_ref().filter(|_| is_changed || !self.is_past_noted) {
            past.note(self.policies.iter().map(|policy| policy.past(now)).collect(), order == Some(Order::Stop));
            self.is_past_noted = true;
        }
        self.follow(&wanted);
        self.told.store(Arc::new(told));
    }

    /// What was asked since the last round.
    fn order(&mut self) -> Option<Order> {
        if self.orders.is_stopping.load(Ordering::Acquire) {
            return Some(Order::Stop);
        }
        self.heard.order(&self.orders.word)
    }

    /// Notes how long the kernel took for changes that it has followed since.
    fn follow(&mut self, wanted: &[Stance]) {
        if self.pending.iter().all(Option::is_none) {
            return;
        }
        let seen = self.driver.seen();
        for ((pending, wanted), seen) in self.pending.iter_mut().zip(wanted).zip(&seen.addresses) {
            let is_done = seen.stance == *wanted && seen.is_announced == (*wanted != Stance::Withdraw);
            let Some((number, at)) = pending.take_if(|_| is_done) else { continue };
            let what = if seen.is_announced { "the kernel has the address" } else { "the kernel has it no longer" };
            self.history.step(number, what, seen.since.saturating_sub(at));
        }
        self.history_told.store(Arc::new(self.history.clone()));
    }
}

/// Says that an address is held down since before the start, and why.
fn tell_past(address: &IpAddr, before: Past, now: Past) {
    let Last::Held { left } = now.last else { return };
    if left.is_zero() {
        return;
    }
    let why = match before.last {
        Last::Announced { .. } => "the run before ended without withdrawing it",
        Last::Held { .. } => "it was held down when the run before ended",
    };
    tracing::warn!(%address, ?left, withdrawals = now.withdrawals, "the address is held down: {why}");
}

/// One line for each change, with its cause.
fn log(address: &str, change: &Transition) {
    let (from, to) = (tell_stance(change.from).word(), tell_stance(change.to).word());
    let (cause, why) = (change.reason.code(), change.reason);
    if change.to == Stance::Announce {
        tracing::info!(address, from, to, cause, "the stance has changed: {why}");
    } else {
        tracing::warn!(address, from, to, cause, "the stance has changed: {why}");
    }
}

/// The policy that the operator wants.
fn policy_settings(anycast: &Anycast) -> policy::Settings {
    let health = &anycast.health;
    policy::Settings {
        interval: health.interval,
        timeout: health.timeout,
        fall: health.fall,
        rise: health.rise,
        min_workers: u16::try_from(health.workers_min.get()).unwrap_or(u16::MAX),
        on_overload: health.on_overload,
        on_shared: health.on_shared_fault,
        on_path: health.on_path_fault,
        is_degrade_seen: anycast.kernel_route.is_some(),
        ..policy::Settings::default()
    }
}

/// The workers, as the prover sees them.
struct Workers {
    supervisor: ThreadSupervisor,
    /// Where the service addresses begin among all addresses that are bound.
    first: usize,
}

impl health::Staff for Workers {
    fn worker_count(&self) -> usize {
        self.supervisor.worker_count()
    }

    fn progress(&self, worker: usize) -> u64 {
        self.supervisor.progress(worker)
    }

    fn tid(&self, worker: usize) -> Option<i32> {
        self.supervisor.tid(worker)
    }

    fn drops(&self, address: usize) -> u64 {
        self.supervisor.drops(self.first + address)
    }

    fn clients(&self, worker: usize, address: usize) -> u64 {
        self.supervisor.clients(worker, self.first + address)
    }

    fn stalls(&self, worker: usize) -> u64 {
        self.supervisor.stalls(worker)
    }

    fn replace(&self, worker: usize) -> std::io::Result<()> {
        self.supervisor.replace(worker)
    }

    fn lost(&self) -> usize {
        self.supervisor.lost()
    }

    fn has_queued(&self, worker: usize) -> Option<bool> {
        self.supervisor.has_queued(worker)
    }

    fn tcp_thread_count(&self) -> usize {
        self.supervisor.tcp_thread_count()
    }

    fn tcp_beats(&self, thread: usize) -> u64 {
        self.supervisor.tcp_progress(thread)
    }

    fn tcp_tid(&self, thread: usize) -> Option<i32> {
        self.supervisor.tcp_tid(thread)
    }

    fn tcp_queue(&self, address: usize) -> Option<health::TcpQueue> {
        let TcpQueue { waiting, accepted, dropped } = self.supervisor.tcp_queue(self.first + address)?;
        Some(health::TcpQueue { waiting, accepted, dropped })
    }

    fn expect_tcp(&self, from: SocketAddr) {
        self.supervisor.expect_tcp(from);
    }

    fn ring_tcp(&self, thread: usize) {
        self.supervisor.wake_tcp(thread);
    }

    fn replace_tcp(&self, thread: usize) -> std::io::Result<()> {
        self.supervisor.replace_tcp(thread)
    }

    fn tcp_lost(&self) -> usize {
        self.supervisor.tcp_lost()
    }
}

/// The zones that are served, one after the other.
struct Served {
    current: Arc<ArcSwap<Snapshot>>,
    /// How many were asked for.
    turn: AtomicUsize,
}

impl health::Zones for Served {
    fn next(&self) -> Option<(Name, u32)> {
        let snapshot = self.current.load();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let zone = snapshot.zones.at_or_behind(turn)?;
        Some((zone.apex().to_name(), zone.serial()))
    }

    fn serial(&self, zone: NameRef<'_>) -> Option<u32> {
        let snapshot = self.current.load();
        let found = snapshot.zones.find(&LookupName::new(zone), usize::MAX)?;
        (found.apex() == zone).then(|| found.serial())
    }
}

/// A stance in the words of the control socket.
fn tell_stance(stance: Stance) -> reply::Stance {
    match stance {
        Stance::Announce => reply::Stance::Announce,
        Stance::Degrade => reply::Stance::Degrade,
        Stance::Withdraw => reply::Stance::Withdraw,
    }
}

/// An address in the words of the control socket.
fn tell_address(
    now: Duration,
    address: IpAddr,
    prefix: String,
    seen: &AddressSeen,
    told: &Told,
    proof: Option<Duration>,
) -> reply::Address {
    let lease = match seen.lease {
        LeaseState::Held(moment) | LeaseState::Unproven(moment) => Some(moment),
        LeaseState::Absent | LeaseState::Off => None,
    };
    reply::Address {
        address: address.to_string(),
        prefix,
        stance: tell_stance(told.stance),
        reason: told.reason.to_string(),
        since_s: now.saturating_sub(told.since).as_secs(),
        announced: seen.is_announced,
        lease_age_ms: lease.map(|moment| millis(now.saturating_sub(moment))),
        proof_age_ms: proof.map(|moment| millis(now.saturating_sub(moment))),
        announcements: told.announcements,
        withdrawals: told.withdrawals,
        dropped: 0,
        path: reply::PathState::Unknown,
    }
}

/// How a path does, in the words of the control socket.
fn tell_path(path: PathState) -> reply::PathState {
    match path {
        PathState::Unknown => reply::PathState::Unknown,
        PathState::Trusted => reply::PathState::Trusted,
        PathState::Lossy => reply::PathState::Lossy,
        PathState::Silent => reply::PathState::Silent,
    }
}

/// What the prover counted, in the words of the control socket.
fn tell_prover(report: &health::Report) -> reply::Prover {
    let counts = report.counts;
    reply::Prover {
        realtime: report.is_realtime,
        rounds: counts.rounds,
        gaps: counts.gaps,
        missing: counts.missing,
        detoured: counts.detoured,
        starved: counts.starved,
        wrong: counts.wrong,
        repairs_failed: counts.repairs_failed,
    }
}

/// What the route driver counted, in the words of the control socket.
fn tell_route(counters: &route::Counters) -> reply::Route {
    reply::Route {
        addresses_removed: counters.addresses_removed,
        routes_removed: counters.routes_removed,
        links_downed: counters.links_downed,
        leases_lapsed: counters.leases_lapsed,
        renewals_refused: counters.renewals_refused,
        requests_failed: counters.requests_failed,
        packets_dropped: counters.packets_dropped,
    }
}

/// A worker in the words of the control socket.
fn tell_worker(now: Duration, index: usize, worker: &health::WorkerReport) -> reply::Worker {
    reply::Worker {
        worker: index,
        state: match worker.state {
            WorkerState::Unknown => reply::WorkerState::Unknown,
            WorkerState::Well => reply::WorkerState::Proven,
            WorkerState::Wrong => reply::WorkerState::Wrong,
            WorkerState::Late | WorkerState::Wedged => reply::WorkerState::Late,
            WorkerState::Starved => reply::WorkerState::Starved,
            WorkerState::Lost => reply::WorkerState::Lost,
        },
        proof_age_ms: worker.proven.map(|moment| millis(now.saturating_sub(moment))),
        latency_us: worker.latency.map(|latency| u64::try_from(latency.as_micros()).unwrap_or(u64::MAX)),
        repairs: worker.repairs,
    }
}

/// A TCP thread in the words of the control socket.
fn tell_tcp_thread((index, thread): (usize, &health::TcpThreadReport)) -> reply::TcpThread {
    reply::TcpThread {
        thread: index,
        state: match thread.state {
            WorkerState::Unknown | WorkerState::Wrong => reply::ThreadState::Unknown,
            WorkerState::Well => reply::ThreadState::Moving,
            WorkerState::Starved => reply::ThreadState::Starved,
            WorkerState::Late | WorkerState::Wedged => reply::ThreadState::Late,
            WorkerState::Lost => reply::ThreadState::Lost,
        },
        repairs: thread.repairs,
    }
}

/// A zone's fault in the words of the control socket.
fn tell_zone(now: Duration, fault: &health::ZoneFault) -> reply::ZoneFault {
    reply::ZoneFault {
        zone: fault.zone.to_string(),
        fault: fault.what.to_string(),
        since_s: now.saturating_sub(fault.since).as_secs(),
    }
}

/// Whole milliseconds.
fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
