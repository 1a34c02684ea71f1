//! The rounds: asks, takes replies, judges, repairs. Time is an argument; the thread that owns it brings the clock.
//!
//! ```text
//!  begin ─▶ send a canary to each worker over each address, and one zone's SOA
//!  take  ─▶ by ID: canary of this round │ the zone's SOA │ stale or stray, counted and dropped
//!  end   ─▶ Round + Repair + ZoneTurn ─▶ Observation for each address
//!  act   ─▶ Staff::replace for each wedged worker, Staff::replace_tcp for each TCP thread that hangs
//! ```

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::health::cpu::{self, CpuTimes, CpuWatch};
use crate::health::hang::Hangs;
use crate::health::judge::{CLOCK_GAP_MAX, Cell, Round, Taken};
use crate::health::path::Carrier;
use crate::health::question::{Question, Steer};
use crate::health::repair::{Repair, Silence};
use crate::health::report::{AddressReport, Report, WorkerReport};
use crate::health::tcp::{TcpOutcome, TcpOutcomes};
use crate::health::zones::{Asked, Next, ZoneTurn};
use crate::health::{Settings, Staff, WorkerState, Wrong, Zones, reply};
use crate::policy::{Observation, Proof, SharedFault};
use crate::wire::Name;

/// Everything that lasts from round to round.
pub(super) struct Prober {
    settings: Settings,
    carrier: Box<dyn Carrier>,
    staff: Arc<dyn Staff>,
    zones: Arc<dyn Zones>,
    proof: Arc<Proof>,
    tcp: Arc<TcpOutcomes>,
    round: Round,
    repair: Repair,
    hangs: Hangs,
    zone_turn: ZoneTurn,
    /// The canary of each worker, without its ID.
    canaries: Vec<Question>,
    /// What was known of each worker when the round began.
    watched: Vec<Watched>,
    /// The drop counter of each address after the last round.
    drops: Vec<u64>,
    /// The ID of the next query.
    next_id: u16,
    /// The ID of the first canary of this round; the others follow, cell by cell.
    first_id: u16,
    /// Whether replies to this round's canaries are still taken.
    is_open: bool,
    /// What the last round showed, by address.
    observations: Vec<Observation>,
    /// Workers to replace.
    wedged: Vec<usize>,
    /// What is told.
    report: Report,
}

/// One worker's counters when the round began.
#[derive(Default)]
struct Watched {
    cpu: CpuWatch,
    times: Option<CpuTimes>,
    progress: u64,
    /// Whether it waited for a CPU in the round that is judged.
    is_starved: bool,
    /// Whether it left a canary of that round unanswered and finished nothing else either.
    is_stuck: bool,
}

impl Prober {
    /// Prepares the canaries; nothing is sent yet.
    ///
    /// # Errors
    /// What `hickory-proto` says of the canaries; none is known.
    pub(super) fn new(
        settings: Settings,
        carrier: Box<dyn Carrier>,
        staff: Arc<dyn Staff>,
        zones: Arc<dyn Zones>,
        proof: Arc<Proof>,
        tcp: Arc<TcpOutcomes>,
    ) -> Result<Self, hickory_proto::ProtoError> {
        let (addresses, workers) = (settings.addresses.len(), staff.worker_count());
        let steer = |worker| Steer { nonce: settings.nonce, worker };
        let canaries = (0..workers).map(|worker| Question::canary(steer(worker as u16))).collect::<Result<_, _>>()?;
        let report = Report {
            workers: vec![WorkerReport::default(); workers],
            addresses: settings.addresses.iter().map(|address| AddressReport::new(*address)).collect(),
            ..Report::default()
        };
        Ok(Self {
            round: Round::new(addresses, workers, settings.min_workers),
            repair: Repair::new(workers, settings.fall),
            hangs: Hangs::new(&*staff, settings.tcp_interval, settings.interval + settings.timeout),
            zone_turn: ZoneTurn::default(),
            canaries,
            watched: (0..workers).map(|_| Watched::default()).collect(),
            drops: (0..addresses).map(|address| staff.drops(address)).collect(),
            next_id: settings.nonce as u16,
            first_id: 0,
            is_open: false,
            observations: vec![Observation::default(); addresses],
            wedged: Vec::new(),
            report,
            settings,
            carrier,
            staff,
            zones,
            proof,
            tcp,
        })
    }

    /// Starts a round at `now` and sends its queries.
    pub(super) fn begin(&mut self, now: Duration) {
        for (worker, watched) in self.watched.iter_mut().enumerate() {
            watched.times = watched.cpu.read(self.staff.tid(worker));
            watched.progress = self.staff.progress(worker);
        }
        self.round.begin(now);
        self.first_id = self.next_id;
        self.is_open = true;
        for (address, to) in self.settings.addresses.iter().enumerate() {
            for (worker, canary) in self.canaries.iter_mut().enumerate() {
                let query = canary.with_id(self.next_id);
                self.next_id = self.next_id.wrapping_add(1);
                match self.carrier.send(*to, query) {
                    Ok(()) => self.round.ask(address * self.watched.len() + worker),
                    Err(error) => {
                        self.report.counts.unsent += 1;
                        tracing::debug!(%error, %to, worker, "a canary could not be sent");
                    }
                }
            }
        }
        if let Some((zone, serial)) = self.zone_turn.choose(&*self.zones) {
            let cell = self.zone_turn.choose_cell(self.cell_count());
            self.ask_zone(now, zone, serial, cell, false);
        }
    }

    /// Notes that everything was sent before `now`: the time for answers runs from here.
    pub(super) fn begun(&mut self, now: Duration) {
        self.round.asked(now, self.settings.timeout);
    }

    /// Takes a datagram that was read at `now`.
    pub(super) fn take(&mut self, now: Duration, from: SocketAddr, octets: &[u8]) {
        let Some(id) = octets.first_chunk().map(|id| u16::from_be_bytes(*id)) else {
            self.report.counts.strays += 1;
            return;
        };
        if self.zone_turn.asked().is_some_and(|asked| asked.id == id) {
            self.take_zone(now, from, octets);
            return;
        }
        let cell = usize::from(id.wrapping_sub(self.first_id));
        if !self.is_open || cell >= self.cell_count() {
            self.report.counts.stale += 1;
            return;
        }
        let (address, worker) = (cell / self.watched.len(), cell % self.watched.len());
        let asked = self.canaries[worker].asked();
        let verdict = reply::read_canary(octets, asked, self.settings.identity.as_deref(), worker as u16);
        if !is_same(from, self.settings.addresses[address]) || verdict == Err(Wrong::Question) {
            self.report.counts.strays += 1;
            return;
        }
        let taken = self.round.take(cell, now, verdict);
        if taken == Taken::Proof {
            self.proof.note(address, self.round.sent());
        }
        match (taken, verdict) {
            (Taken::Proof | Taken::Right, _) => {
                let latency = now.saturating_sub(self.round.sent());
                self.report.latency.count(latency);
                let known = &mut self.report.workers[worker];
                (known.latency, known.proven) = (Some(latency), Some(self.round.sent()));
            }
            (Taken::Wrong, verdict) => {
                self.report.counts.wrong += 1;
                self.report.workers[worker].wrong = verdict.err().map(|wrong| (wrong, now));
            }
            (Taken::Late, _) => self.report.counts.stale += 1,
            (Taken::Duplicate, _) => self.report.counts.duplicates += 1,
        }
    }

    /// Notes a packet or datagram that was no reply.
    pub(super) fn stray(&mut self) {
        self.report.counts.strays += 1;
    }

    /// Whether the round can end: every question is answered.
    pub(super) fn is_complete(&self) -> bool {
        self.round.is_complete()
    }

    /// Until when the round waits for answers.
    pub(super) fn deadline(&self) -> Duration {
        self.round.deadline()
    }

    /// Judges the round at `now`, after everything that had arrived was taken. `is_drained` tells whether it really was.
    pub(super) fn end(&mut self, now: Duration, is_drained: bool) {
        self.is_open = false;
        let is_on_time = is_drained && self.round.is_on_time(now);
        let missing_count = (0..self.cell_count()).filter(|cell| self.round.cell(*cell) == Cell::Waiting).count();
        let counts = &mut self.report.counts;
        counts.rounds += 1;
        counts.gaps += u64::from(!is_on_time);
        counts.missing += missing_count as u64;
        self.end_workers(now, is_on_time);
        self.end_zone(now, is_on_time);
        self.hangs.look(now, &*self.staff);
        for address in 0..self.observations.len() {
            self.observations[address] = self.observe(address, is_on_time);
        }
    }

    /// Replaces the workers that the round showed to be wedged, and TCP threads that hang.
    pub(super) fn act(&mut self, now: Duration) {
        self.report.counts.repairs_failed += self.hangs.act(now, &*self.staff);
        for worker in self.wedged.drain(..) {
            let outcome = self.staff.replace(worker);
            self.repair.tried(worker, now, outcome.is_ok());
            match outcome {
                Ok(()) => tracing::warn!(worker, "the worker was wedged: a new thread has taken over its sockets"),
                Err(error) => {
                    self.report.counts.repairs_failed += 1;
                    tracing::error!(worker, %error, "the worker is wedged, and no new thread could take over");
                }
            }
        }
    }

    /// What the last round showed of each address.
    pub(super) fn observations(&self) -> &[Observation] {
        &self.observations
    }

    /// The way to the workers, to wait and to read.
    pub(super) fn carrier(&mut self) -> &mut dyn Carrier {
        &mut *self.carrier
    }

    /// Says whether the prover's thread is in a real-time class.
    pub(super) fn set_realtime(&mut self, is_realtime: bool) {
        self.report.is_realtime = is_realtime;
    }

    /// Returns what is known at `now`.
    pub(super) fn report(&mut self, now: Duration) -> Report {
        self.report.made = now;
        self.report.lost_count = self.staff.lost();
        for (worker, known) in self.report.workers.iter_mut().enumerate() {
            (known.state, known.since, known.repairs) = self.repair.worker(worker);
        }
        self.report.tcp_threads = self.hangs.report();
        self.report.zones.clear();
        self.report.zones.extend_from_slice(self.zone_turn.faults());
        self.report.clone()
    }

    /// Looks at each worker: was it late, why, and is it to be replaced?
    fn end_workers(&mut self, now: Duration, is_on_time: bool) {
        let lost_count = self.staff.lost();
        let elapsed = now.saturating_sub(self.round.sent());
        for worker in 0..self.watched.len() {
            let seen = self.round.seen(worker, is_on_time);
            let has_missing = (0..self.observations.len())
                .any(|address| self.round.cell(address * self.watched.len() + worker) == Cell::Waiting);
            let mut silence = Silence::default();
            if is_on_time && has_missing {
                silence = self.watched[worker].silence(&*self.staff, worker, elapsed);
            }
            self.watched[worker].is_starved = silence.is_starved;
            self.watched[worker].is_stuck = has_missing && !silence.is_moving;
            if self.repair.judge(worker, now, seen, silence, lost_count) {
                self.wedged.push(worker);
            }
            let (state, since, _) = self.repair.worker(worker);
            if state == WorkerState::Lost && since == now {
                tracing::error!(
                    worker,
                    lost_count,
                    "the worker is wedged, and too many threads are lost to replace it"
                );
            }
        }
    }

    /// Gives up waiting for a zone's SOA, if its time is over.
    fn end_zone(&mut self, now: Duration, is_on_time: bool) {
        let is_well = |cell| is_on_time && self.round.cell(cell) == Cell::Right;
        let next = self.zone_turn.expire(now, self.settings.timeout, |zone| self.zones.serial(zone), is_well);
        self.follow(now, next);
    }

    /// Sums an address up.
    fn observe(&mut self, address: usize, is_on_time: bool) -> Observation {
        let mut observation = self.round.observe(address, is_on_time, |worker| self.watched[worker].is_starved);
        self.report.counts.starved += u64::from(observation.starved);
        let drops = self.staff.drops(address);
        let busy = self.busy(address);
        observation.is_overloaded = drops > self.drops[address] && busy.is_some();
        self.drops[address] = drops;
        let answering = usize::from(observation.proven) + busy.unwrap_or(0);
        if observation.is_overloaded && observation.wrong == 0 && answering >= self.settings.min_workers.max(1) {
            self.proof.note(address, self.round.sent());
        }
        // What others take up shows nothing about the listener.
        let tcp = self.tcp.take(address).filter(|outcome| *outcome != TcpOutcome::Overloaded);
        observation.is_tcp_well = tcp.map(|outcome| outcome == TcpOutcome::Well);
        observation.shared = (!self.zone_turn.faults().is_empty()).then_some(SharedFault::Zone);
        let known = &mut self.report.addresses[address];
        known.is_tcp_well = observation.is_tcp_well.or(known.is_tcp_well);
        (known.observation, known.drops) = (observation, drops);
        observation
    }

    /// How many workers answered others while their canary over the address was lost, and were proven lately; `None` where
    /// a worker that owes an answer is stuck: its socket fills too, and that is no overload.
    fn busy(&self, address: usize) -> Option<usize> {
        let count = self.watched.len();
        let is_missing = |worker: &usize| self.round.cell(address * count + worker) == Cell::Waiting;
        let mut busy = 0;
        for worker in (0..count).filter(is_missing) {
            if self.watched[worker].is_stuck {
                return None;
            }
            let proven = self.report.workers[worker].proven;
            busy += usize::from(proven.is_some_and(|proven| self.round.sent().saturating_sub(proven) < BUSY_TRUST_MAX));
        }
        Some(busy)
    }

    /// Takes the reply to the zone's question that is out.
    fn take_zone(&mut self, now: Duration, from: SocketAddr, octets: &[u8]) {
        let Some(asked) = self.zone_turn.asked() else { return };
        let is_from_there = is_same(from, self.settings.addresses[asked.cell / self.watched.len()]);
        let answer = reply::read_soa(octets, &asked.question, self.settings.identity.as_deref());
        if !is_from_there || answer == Err(Wrong::Question) {
            self.report.counts.strays += 1;
            return;
        }
        if now > asked.sent + self.settings.timeout + CLOCK_GAP_MAX {
            self.report.counts.stale += 1;
            return;
        }
        let serial = self.zones.serial(asked.zone.as_ref());
        let next = self.zone_turn.answered(now, answer, serial);
        self.follow(now, next);
    }

    /// Does what an answer about a zone asks for, and tells of it.
    fn follow(&mut self, now: Duration, next: Next) {
        match next {
            Next::Nothing => {}
            Next::Again { zone, cell } => {
                if let Some(serial) = self.zones.serial(zone.as_ref()) {
                    self.ask_zone(now, zone, serial, cell, true);
                }
            }
            Next::Fault(fault) => tracing::warn!(zone = %fault.zone, error = %fault.what, "the zone is answered wrong"),
            Next::Cured(zone) => tracing::info!(%zone, "the zone is answered right again, or is no longer served"),
        }
    }

    /// Asks a zone for its SOA. What cannot be sent is left for the zone's next turn.
    fn ask_zone(&mut self, now: Duration, zone: Name, serial: u32, cell: usize, is_again: bool) {
        let (address, worker) = (cell / self.watched.len(), cell % self.watched.len());
        let steer = Steer { nonce: self.settings.nonce, worker: worker as u16 };
        let mut question = match Question::soa(zone.as_ref(), Some(steer)) {
            Ok(question) => question,
            Err(error) => {
                tracing::debug!(%zone, %error, "the question for a zone could not be written");
                return;
            }
        };
        let id = self.next_id;
        self.next_id = self.next_id.wrapping_add(1);
        if let Err(error) = self.carrier.send(self.settings.addresses[address], question.with_id(id)) {
            self.report.counts.unsent += 1;
            tracing::debug!(%zone, %error, "the question for a zone could not be sent");
            return;
        }
        let question = question.asked().clone();
        self.zone_turn.ask(Asked { id, zone, serial, cell, sent: now, is_again, question });
    }

    /// Workers times addresses.
    fn cell_count(&self) -> usize {
        self.watched.len() * self.settings.addresses.len()
    }
}

impl Watched {
    /// What the worker did since the round began, `elapsed` ago.
    fn silence(&mut self, staff: &dyn Staff, worker: usize, elapsed: Duration) -> Silence {
        let tid = staff.tid(worker);
        let grown = match (self.times, self.cpu.read(tid)) {
            (Some(before), Some(after)) => after.since(before),
            _ => CpuTimes::default(),
        };
        Silence {
            is_moving: staff.progress(worker) != self.progress,
            is_starved: tid.is_some_and(|tid| cpu::is_starved(elapsed, grown, cpu::is_runnable(tid))),
            ran: grown.ran,
            has_queued: staff.has_queued(worker),
        }
    }
}

/// How long a worker that answers others is trusted while a flood fills its socket and its canaries are lost.
///
/// Without that, a flood that swallows every canary for a lease's time would take down one site after the other.
pub const BUSY_TRUST_MAX: Duration = Duration::from_secs(30);

/// Whether both are the same address and port; what else an IPv6 socket address holds does not count.
fn is_same(from: SocketAddr, to: SocketAddr) -> bool {
    from.ip() == to.ip() && from.port() == to.port()
}

impl AddressReport {
    /// Nothing is known of `address` yet.
    fn new(address: SocketAddr) -> Self {
        Self { address, observation: Observation::default(), is_tcp_well: None, drops: 0 }
    }
}
