//! The rounds: asks, takes replies, judges, repairs. Time is an argument; the thread that owns it brings the clock.
//!
//! ```text
//!  begin ─▶ send a canary to each worker over each address, or a sample of these, and one zone's SOA
//!  widen ─▶ send what was not in the sample, unless that was answered right
//!  half  ─▶ ask what is missing once more, around the path that clients take
//!  take  ─▶ by ID and token: canary of this round │ the zone's SOA │ late, stale or stray, counted and dropped
//!  end   ─▶ Round + Repair + ZoneTurn ─▶ Observation for each address
//!  act   ─▶ ServerThreads::replace for each wedged worker, ServerThreads::replace_tcp for each TCP thread that hangs
//! ```

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::health::cpu::{self, CpuTimes, CpuWatch};
use crate::health::judge::{AnswerEffect, CLOCK_GAP_MAX, MissingCause, ProbeState, Round};
use crate::health::question::{Question, Steer, unseal};
use crate::health::repair::{Repair, Silence};
use crate::health::report::{AddressReport, Report, WorkerReport};
use crate::health::tcp::{TcpOutcome, TcpOutcomes};
use crate::health::tcp_watch::TcpWatch;
use crate::health::transport::ProbeTransport;
use crate::health::trust::{PathState, PathTrust};
use crate::health::zones::{PendingProbe, ZoneStep, ZoneTurn};
use crate::health::{ProverSettings, ServerThreads, WorkerState, Wrong, Zones, reply};
use crate::policy::{Observation, Proof, SharedFault};
use crate::wire::Name;

/// Everything that lasts from round to round.
pub(super) struct Prober {
    settings: ProverSettings,
    transport: Box<dyn ProbeTransport>,
    threads: Arc<dyn ServerThreads>,
    zones: Arc<dyn Zones>,
    proof: Arc<Proof>,
    tcp: Arc<TcpOutcomes>,
    round: Round,
    repair: Repair,
    tcp_watch: TcpWatch,
    zone_turn: ZoneTurn,
    /// The canary of each worker, without its ID.
    canaries: Vec<Question>,
    /// What was known of each worker when the round began.
    watched: Vec<WorkerSample>,
    /// What is known of each address.
    address_states: Vec<AddressState>,
    /// Makes the tokens of questions out of their numbers.
    secret: RandomState,
    /// The number of the next question. Its low half is the ID.
    next: u64,
    /// The number of the first canary of this round; the others follow, cell by cell.
    first: u64,
    /// The same of those that were asked around the path; `None` while none was.
    around: Option<u64>,
    /// The first number of each of the last rounds, and when it was sent, the newest last; at most [`LATE_ROUNDS_MAX`].
    past: VecDeque<(u64, Duration)>,
    /// Whether replies to this round's canaries are still taken.
    is_open: bool,
    /// Whether there is a way around the path.
    has_way_around: bool,
    /// What the last round showed, by address.
    observations: Vec<Observation>,
    /// Workers to replace.
    wedged: Vec<usize>,
    /// What is published.
    report: Report,
}

/// What is known of one address from round to round.
#[derive(Clone, Copy, Default)]
struct AddressState {
    /// How the path to it does.
    trust: PathTrust,
    /// The drop counter after the last round.
    drops: u64,
    /// Whether queries were dropped when the counter was last looked at.
    is_dropping: bool,
    /// When queries were last found to be dropped.
    dropped_at: Option<Duration>,
    /// The sum of all workers' clients after the last round.
    clients: u64,
    /// Whether a query over TCP failed, and it is still to be seen whether the way that it takes leads anywhere.
    is_tcp_doubted: bool,
    /// Whether that way did in this round: the one around the path, or the path itself where there is no other.
    is_loopback_open: bool,
}

/// One worker's counters when the round began.
#[derive(Default)]
struct WorkerSample {
    cpu: CpuWatch,
    times: Option<CpuTimes>,
    progress: u64,
    /// See [`ServerThreads::stalls`].
    stalls: u64,
    /// See [`ServerThreads::clients`], by address.
    clients: Vec<u64>,
    /// Whether it went on in the round that is judged, and had more to do than it got done.
    is_busy: bool,
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
        settings: ProverSettings,
        transport: Box<dyn ProbeTransport>,
        threads: Arc<dyn ServerThreads>,
        zones: Arc<dyn Zones>,
        proof: Arc<Proof>,
        tcp: Arc<TcpOutcomes>,
    ) -> Result<Self, hickory_proto::ProtoError> {
        let (addresses, workers) = (settings.addresses.len(), threads.worker_count());
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
            tcp_watch: TcpWatch::new(&*threads, settings.tcp_interval, settings.calm_interval() + settings.timeout),
            zone_turn: ZoneTurn::default(),
            canaries,
            watched: (0..workers).map(|_| WorkerSample::default()).collect(),
            address_states: (0..addresses)
                .map(|address| AddressState { drops: threads.drops(address), ..AddressState::default() })
                .collect(),
            secret: RandomState::new(),
            // So that there are IDs before the first.
            next: u64::from(settings.nonce as u16) + IDS,
            first: 0,
            around: None,
            past: VecDeque::with_capacity(LATE_ROUNDS_MAX),
            is_open: false,
            has_way_around: true,
            observations: vec![Observation::NOTHING; addresses],
            wedged: Vec::new(),
            report,
            settings,
            transport,
            threads,
            zones,
            proof,
            tcp,
        })
    }

    /// Starts a round at `now` and sends its queries.
    pub(super) fn begin(&mut self, now: Duration) {
        for (worker, watched) in self.watched.iter_mut().enumerate() {
            watched.times = watched.cpu.read(self.threads.tid(worker));
            watched.progress = self.threads.progress(worker);
            watched.stalls = self.threads.stalls(worker);
            watched.clients.clear();
            watched.clients.extend((0..self.address_states.len()).map(|address| self.threads.clients(worker, address)));
        }
        // Where the path is known to fail, its loss is not waited for; and TCP is asked over loopback.
        let is_doubted = self.address_states.iter().any(|line| line.trust.is_doubted() || line.is_tcp_doubted);
        let is_dropping = self.address_states.iter().any(|line| line.is_dropping);
        self.round.begin(now, !is_doubted && !is_dropping);
        (self.first, self.around) = (self.next, None);
        self.next += self.cell_count() as u64;
        if self.past.len() == LATE_ROUNDS_MAX {
            self.past.pop_front();
        }
        self.past.push_back((self.first, now));
        self.is_open = true;
        self.address_states.iter_mut().for_each(|line| line.is_loopback_open = false);
        self.ask();
        if is_doubted {
            self.ask_around();
        }
        if let Some((zone, serial)) = self.zone_turn.choose(&*self.zones) {
            let cell = self.zone_turn.choose_cell(self.cell_count());
            self.ask_zone(now, zone, serial, cell, false);
        }
    }

    /// Sends the canaries that are due, worker by worker: who is woken by the first finds the others behind it.
    fn ask(&mut self) {
        let (cell_count, worker_count) = (self.cell_count(), self.watched.len());
        for index in (0..worker_count).flat_map(|worker| (worker..cell_count).step_by(worker_count)) {
            if !self.round.is_due(index) {
                continue;
            }
            match self.send(index, self.first + index as u64, false) {
                Ok(()) => self.round.ask(index),
                Err(error) => {
                    self.report.counts.unsent += 1;
                    tracing::debug!(%error, cell = index, "a canary could not be sent");
                }
            }
        }
    }

    /// Sends the canaries that were not in the sample, if it was one and has not shown by `now` that all is well;
    /// returns whether it did.
    pub(super) fn widen(&mut self, now: Duration) -> bool {
        let is_widened = self.round.widen(now);
        if is_widened {
            self.ask();
        }
        is_widened
    }

    /// Notes that everything was sent before `now`: the time for answers runs from here.
    pub(super) fn begun(&mut self, now: Duration) {
        self.round.asked(now, self.settings.timeout);
    }

    /// Asks for each answer that is missing once more, around the path that clients take. Once a round.
    pub(super) fn ask_around(&mut self) {
        if self.around.is_some() || self.round.is_complete() {
            return;
        }
        let first = self.next;
        self.next += self.cell_count() as u64;
        self.around = Some(first);
        for (index, number) in (0..self.cell_count()).zip(first..) {
            if self.round.is_missing(index)
                && let Err(error) = self.send(index, number, true)
            {
                self.has_way_around &= error.kind() != io::ErrorKind::Unsupported;
                tracing::debug!(%error, cell = index, "a canary could not be sent around the path");
            }
        }
    }

    /// When an answer is late enough to ask for it another way.
    pub(super) fn half_time(&self) -> Duration {
        self.round.deadline() - self.settings.timeout / 2
    }

    /// Sends the canary of a cell as question `number`.
    fn send(&mut self, cell: usize, number: u64, is_around: bool) -> io::Result<()> {
        let (address, worker) = (cell / self.watched.len(), cell % self.watched.len());
        let query = self.canaries[worker].with_token(number as u16, self.secret.hash_one(number));
        let to = self.settings.addresses[address];
        if is_around { self.transport.send_around(to, query) } else { self.transport.send(to, query) }
    }

    /// The number of the question with that ID that was asked last.
    fn number_of(&self, id: u16) -> u64 {
        let age = (self.next as u16).wrapping_sub(id);
        self.next - if age == 0 { IDS } else { u64::from(age) }
    }

    /// Takes a datagram that was read at `now`.
    pub(super) fn take(&mut self, now: Duration, from: SocketAddr, octets: &[u8]) {
        let Some(id) = octets.first_chunk().map(|id| u16::from_be_bytes(*id)) else {
            self.report.counts.strays += 1;
            return;
        };
        let number = self.number_of(id);
        if self.zone_turn.asked().is_some_and(|asked| asked.number == number) {
            self.take_zone(now, from, octets);
            return;
        }
        let cell_of = |first: u64| number.checked_sub(first).filter(|cell| *cell < self.cell_count() as u64);
        let own = cell_of(self.first).map(|cell| (cell, false));
        let Some((cell, is_around)) =
            own.or_else(|| self.around.and_then(cell_of).map(|cell| (cell, true))).filter(|_| self.is_open)
        else {
            self.take_late(number, from, octets);
            return;
        };
        let cell = cell as usize;
        let Some(verdict) = self.read(cell, number, from, octets) else {
            self.report.counts.strays += 1;
            return;
        };
        let worker = cell % self.watched.len();
        let address = cell / self.watched.len();
        self.address_states[address].is_loopback_open |= is_around || !self.has_way_around;
        let taken = self.round.take(cell, now, verdict, is_around);
        match taken {
            AnswerEffect::Proof => self.proof.note(address, self.round.sent()),
            AnswerEffect::ProofOfAll => {
                (0..self.address_states.len()).for_each(|address| self.proof.note(address, self.round.sent()))
            }
            AnswerEffect::Right | AnswerEffect::Wrong | AnswerEffect::Late | AnswerEffect::Duplicate => {}
        }
        match (taken, verdict) {
            (AnswerEffect::Proof | AnswerEffect::ProofOfAll | AnswerEffect::Right, _) => {
                let known = &mut self.report.workers[worker];
                known.proven = Some(self.round.sent());
                // Around the path it was asked later.
                if !is_around {
                    let latency = now.saturating_sub(self.round.asked_at(cell));
                    self.report.latency.count(latency);
                    known.latency = Some(latency);
                }
            }
            (AnswerEffect::Wrong, verdict) => {
                self.report.counts.wrong += 1;
                self.report.workers[worker].wrong = verdict.err().map(|wrong| (wrong, now));
            }
            (AnswerEffect::Late, _) => self.report.counts.stale += 1,
            (AnswerEffect::Duplicate, _) => self.report.counts.duplicates += 1,
        }
    }

    /// Reads the reply to question `number`, a canary of that cell; `None` where it is none.
    ///
    /// Whoever answers in a worker's place repeats the token in its question; what bears it nowhere is nobody's answer
    /// to us, and must not be taken for a worker's fault.
    fn read(&self, cell: usize, number: u64, from: SocketAddr, octets: &[u8]) -> Option<Result<(), Wrong>> {
        let (address, worker) = (cell / self.watched.len(), cell % self.watched.len());
        let token = self.secret.hash_one(number);
        let (octets, is_sealed) = unseal(octets, token);
        let asked = self.canaries[worker].asked_with(token)?;
        let verdict = reply::read_canary(octets, &asked, self.settings.identity.as_deref(), worker as u16);
        // From another port where the worker's own socket was full.
        let is_from_there = from.ip() == self.settings.addresses[address].ip();
        let is_known = is_sealed || !matches!(verdict, Err(Wrong::Question | Wrong::Malformed));
        (is_from_there && is_known).then_some(verdict)
    }

    /// Takes a reply that is too late for its round. A right one proves all the same that its worker answers: it has
    /// much to do, and is not dead.
    fn take_late(&mut self, number: u64, from: SocketAddr, octets: &[u8]) {
        self.report.counts.stale += 1;
        let cells = self.cell_count() as u64;
        let asked = self.past.iter().find(|(first, _)| number.checked_sub(*first).is_some_and(|cell| cell < cells));
        let Some((first, sent)) = asked.copied() else { return };
        let cell = (number - first) as usize;
        if self.read(cell, number, from, octets) == Some(Ok(())) {
            let known = &mut self.report.workers[cell % self.watched.len()];
            known.proven = known.proven.max(Some(sent));
        }
    }

    /// Notes a packet or datagram that was no reply.
    pub(super) fn stray(&mut self) {
        self.report.counts.strays += 1;
    }

    /// Whether a sample is waited for.
    pub(super) fn is_sampling(&self) -> bool {
        self.round.is_sample()
    }

    /// Whether the round can end: every question is answered.
    pub(super) fn is_complete(&self) -> bool {
        self.round.is_complete()
    }

    /// Until when the round waits for answers.
    pub(super) fn deadline(&self) -> Duration {
        self.round.deadline()
    }

    /// From the start of the last round to the start of the next.
    pub(super) fn interval(&self) -> Duration {
        if self.round.is_calm() { self.settings.calm_interval() } else { self.settings.interval }
    }

    /// Judges the round at `now`, after everything that had arrived was taken. `is_drained` says whether it really was.
    pub(super) fn end(&mut self, now: Duration, is_drained: bool) {
        self.is_open = false;
        let is_on_time = is_drained && self.round.is_on_time(now);
        let missing_count = (0..self.cell_count()).filter(|cell| self.round.cell(*cell) == ProbeState::Waiting).count();
        let detoured_count =
            (0..self.cell_count()).filter(|cell| self.round.cell(*cell) == ProbeState::Detoured).count();
        let counts = &mut self.report.counts;
        counts.rounds += 1;
        counts.gaps += u64::from(!is_on_time);
        counts.missing += missing_count as u64;
        counts.detoured += detoured_count as u64;
        self.end_workers(now, is_on_time);
        self.end_zone(now, is_on_time);
        self.tcp_watch.look(now, &*self.threads);
        for address in 0..self.observations.len() {
            self.observations[address] = self.observe(now, address, is_on_time);
            let line = &mut self.address_states[address];
            if let Some(state) = line.trust.learn(&self.observations[address], self.settings.fall) {
                log_path(self.settings.addresses[address], state);
            }
            self.report.addresses[address].path = line.trust.state();
        }
    }

    /// Replaces the workers that the round showed to be wedged, and TCP threads that hang.
    pub(super) fn act(&mut self, now: Duration) {
        self.report.counts.repairs_failed += self.tcp_watch.act(now, &*self.threads);
        for worker in self.wedged.drain(..) {
            let outcome = self.threads.replace(worker);
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
    pub(super) fn transport(&mut self) -> &mut dyn ProbeTransport {
        &mut *self.transport
    }

    /// Says whether the prover's thread is in a real-time class.
    pub(super) fn set_realtime(&mut self, is_realtime: bool) {
        self.report.is_realtime = is_realtime;
    }

    /// Returns what is known at `now`.
    pub(super) fn report(&mut self, now: Duration) -> Report {
        self.report.made = now;
        self.report.lost_count = self.threads.lost();
        for (worker, known) in self.report.workers.iter_mut().enumerate() {
            (known.state, known.since, known.repairs) = self.repair.worker(worker);
        }
        self.report.tcp_threads = self.tcp_watch.report();
        self.report.zones.clear();
        self.report.zones.extend_from_slice(self.zone_turn.faults());
        self.report.clone()
    }

    /// Looks at each worker: was it late, why, and is it to be replaced?
    fn end_workers(&mut self, now: Duration, is_on_time: bool) {
        let lost_count = self.threads.lost();
        let elapsed = now.saturating_sub(self.round.sent());
        for worker in 0..self.watched.len() {
            let seen = self.round.seen(worker, is_on_time);
            let has_missing = (0..self.observations.len())
                .any(|address| self.round.cell(address * self.watched.len() + worker) == ProbeState::Waiting);
            let mut silence = Silence::default();
            if is_on_time && has_missing {
                silence = self.watched[worker].silence(&*self.threads, worker, elapsed);
            }
            let stalls = self.threads.stalls(worker);
            let watched = &mut self.watched[worker];
            watched.is_busy = silence.is_moving && (silence.has_queued == Some(true) || stalls != watched.stalls);
            watched.is_starved = silence.is_starved;
            watched.is_stuck = has_missing && !silence.is_moving;
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
        let is_crowded = self.zone_turn.asked().is_some_and(|asked| self.is_crowded(now, asked.cell));
        let is_right = |cell| matches!(self.round.cell(cell), ProbeState::Right | ProbeState::Detoured);
        let is_well = |cell| is_on_time && !is_crowded && is_right(cell);
        let next = self.zone_turn.expire(now, self.settings.timeout, |zone| self.zones.serial(zone), is_well);
        self.follow(now, next);
    }

    /// Whether queries to the cell's worker or address wait, or were lost since a question to it may have been sent.
    fn is_crowded(&self, now: Duration, cell: usize) -> bool {
        let (address, worker) = (cell / self.watched.len(), cell % self.watched.len());
        let line = &self.address_states[address];
        let is_recent = |moment| now.saturating_sub(moment) <= 2 * (self.settings.timeout + self.settings.interval);
        self.watched[worker].is_busy
            || self.threads.drops(address) > line.drops
            || line.dropped_at.is_some_and(is_recent)
            || self.threads.has_queued(worker) == Some(true)
    }

    /// Sums an address up.
    fn observe(&mut self, now: Duration, address: usize, is_on_time: bool) -> Observation {
        let count = self.watched.len();
        let mut observation = self.round.observe(address, is_on_time, |worker| self.missing_cause(worker, address));
        self.report.counts.starved += u64::from(observation.starved);
        let known = self.address_states[address].drops;
        let drops = if self.round.is_turn_of(address) { self.threads.drops(address) } else { known };
        let missing = (0..count).filter(|worker| self.round.is_missing(address * count + worker));
        // A worker that is stuck fills its socket too, and that is no overload.
        let is_flooded = drops > known && missing.clone().all(|worker| !self.watched[worker].is_stuck);
        observation.is_overloaded = is_flooded;
        let vouched = missing.filter(|worker| match self.missing_cause(*worker, address) {
            MissingCause::Served => true,
            MissingCause::Busy => self.is_trusted(*worker),
            MissingCause::Late | MissingCause::Starved => is_flooded && self.is_trusted(*worker),
        });
        let answering = usize::from(observation.answered()) + vouched.count();
        // A round that the prover slept through says nothing of who is missing.
        let is_vouched = is_on_time && observation.wrong == 0 && answering >= self.settings.min_workers.max(1);
        if is_vouched {
            self.proof.note(address, self.round.sent());
        }
        let clients = (0..count).map(|worker| self.threads.clients(worker, address)).fold(0, u64::wrapping_add);
        let line = &mut self.address_states[address];
        line.is_dropping = drops > known;
        if line.is_dropping {
            line.dropped_at = Some(now);
        }
        observation.clients = u32::try_from(clients.wrapping_sub(line.clients)).unwrap_or(u32::MAX);
        (line.drops, line.clients) = (drops, clients);
        observation.is_tcp_well = self.judge_tcp(address);
        observation.shared = (!self.zone_turn.faults().is_empty()).then_some(SharedFault::Zone);
        let known = &mut self.report.addresses[address];
        known.is_tcp_well = observation.is_tcp_well.or(known.is_tcp_well);
        (known.observation, known.drops) = (observation, drops);
        observation
    }

    /// What the last query over TCP showed. That one failed counts only where the way that it took, over loopback,
    /// leads to the workers: a filter that drops what is on loopback says nothing of the listener.
    fn judge_tcp(&mut self, address: usize) -> Option<bool> {
        // What others take up shows nothing about the listener.
        let outcome = self.tcp.take(address).filter(|outcome| *outcome != TcpOutcome::Overloaded);
        let (outcome, line) = (outcome.map(|outcome| outcome == TcpOutcome::Well), &mut self.address_states[address]);
        let was_doubted = std::mem::replace(&mut line.is_tcp_doubted, outcome == Some(false));
        match outcome {
            Some(true) => Some(true),
            Some(false) | None => (was_doubted && line.is_loopback_open).then_some(false),
        }
    }

    /// Why a worker did not answer over an address.
    fn missing_cause(&self, worker: usize, address: usize) -> MissingCause {
        let watched = &self.watched[worker];
        let served =
            watched.clients.get(address).is_some_and(|before| self.threads.clients(worker, address) != *before);
        match (watched.is_starved, watched.is_busy) {
            (true, _) => MissingCause::Starved,
            (false, true) => MissingCause::Busy,
            (false, false) if served && !watched.is_stuck => MissingCause::Served,
            (false, false) => MissingCause::Late,
        }
    }

    /// Whether a worker that answers others, and no canary in time, was proven lately.
    fn is_trusted(&self, worker: usize) -> bool {
        let proven = self.report.workers[worker].proven;
        proven.is_some_and(|proven| self.round.sent().saturating_sub(proven) < BUSY_TRUST_MAX)
    }

    /// Takes the reply to the zone's question that is out.
    fn take_zone(&mut self, now: Duration, from: SocketAddr, octets: &[u8]) {
        let Some(asked) = self.zone_turn.asked() else { return };
        let is_from_there = from.ip() == self.settings.addresses[asked.cell / self.watched.len()].ip();
        let (octets, is_sealed) = unseal(octets, self.secret.hash_one(asked.number));
        let answer = reply::read_soa(octets, &asked.question, self.settings.identity.as_deref());
        // Only a worker of ours puts the seal behind it; that somebody else answers in its place is seen by canaries.
        if !is_from_there || !is_sealed || answer == Err(Wrong::Question) {
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

    /// Does what an answer about a zone asks for, and logs it.
    fn follow(&mut self, now: Duration, next: ZoneStep) {
        match next {
            ZoneStep::Nothing => {}
            ZoneStep::Again { zone, cell } => {
                if let Some(serial) = self.zones.serial(zone.as_ref()) {
                    self.ask_zone(now, zone, serial, cell, true);
                }
            }
            ZoneStep::Fault(fault) => {
                tracing::warn!(zone = %fault.zone, error = %fault.what, "the zone is answered wrong")
            }
            ZoneStep::Cured(zone) => tracing::info!(%zone, "the zone is answered right again, or is no longer served"),
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
        let (number, to) = (self.next, self.settings.addresses[address]);
        self.next += 1;
        let query = question.with_token(number as u16, self.secret.hash_one(number));
        // What the path lost is no fault of the zone's.
        let is_around = is_again || self.address_states[address].trust.is_doubted();
        let around =
            if is_around { self.transport.send_around(to, query) } else { Err(io::ErrorKind::Unsupported.into()) };
        if let Err(error) = around.or_else(|_| self.transport.send(to, query)) {
            self.report.counts.unsent += 1;
            tracing::debug!(%zone, %error, "the question for a zone could not be sent");
            return;
        }
        let question = question.asked().clone();
        self.zone_turn.ask(PendingProbe { number, zone, serial, cell, sent: now, is_again, question });
    }

    /// Workers times addresses.
    fn cell_count(&self) -> usize {
        self.watched.len() * self.settings.addresses.len()
    }
}

impl WorkerSample {
    /// What the worker did since the round began, `elapsed` ago.
    fn silence(&mut self, threads: &dyn ServerThreads, worker: usize, elapsed: Duration) -> Silence {
        let tid = threads.tid(worker);
        let grown = match (self.times, self.cpu.read(tid)) {
            (Some(before), Some(after)) => after.since(before),
            _ => CpuTimes::default(),
        };
        Silence {
            is_moving: threads.progress(worker) != self.progress,
            is_starved: tid.is_some_and(|tid| cpu::is_starved(elapsed, grown, cpu::is_runnable(tid))),
            ran: grown.ran,
            has_queued: threads.has_queued(worker),
        }
    }
}

/// How long a worker that answers others is trusted while a flood fills its socket and its canaries are lost.
///
/// Without that, a flood that swallows every canary for a lease's time would take down one site after the other.
pub const BUSY_TRUST_MAX: Duration = Duration::from_secs(30);

/// Says how the path to an address does, where that changed.
fn log_path(address: SocketAddr, state: PathState) {
    let advice = "does a packet filter, a rate limit or a routing rule of this host treat probes otherwise than \
        clients? `fated check` says more";
    match state {
        PathState::Silent => {
            tracing::error!(%address, "PATH FAULT: workers answer, \
                but no probe comes through the way of clients; {advice}");
        }
        PathState::Lossy => {
            tracing::error!(%address, "PATH FAULT: workers answer, \
                but not all probes come through the way of clients; {advice}");
        }
        PathState::Trusted => tracing::info!(%address, "probes come through the way of clients"),
        PathState::Unknown => {}
    }
}

/// The last rounds, up to so many, whose late answers still prove that a worker is alive.
const LATE_ROUNDS_MAX: usize = 20;

/// How many IDs there are.
const IDS: u64 = 1 << u16::BITS;

impl AddressReport {
    /// Nothing is known of `address` yet.
    fn new(address: SocketAddr) -> Self {
        Self { address, observation: Observation::NOTHING, path: PathState::Unknown, is_tcp_well: None, drops: 0 }
    }
}
