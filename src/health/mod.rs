//! The proof: each worker is asked for each service address, many times a second, and the replies are read by others'
//! code.
//!
//! Owns the threads `prover` and `prover-tcp`, outside any async runtime. Hands one [`Observation`] for each address
//! and round to its caller, notes each [`Proof`] at once, and has wedged workers and TCP threads that hang replaced.
//! Refuses to know what follows for the route.
//!
//! ```text
//!          canaries, SOA              replies         over the path of clients, and around it what is missing there
//!  Prover ───────────────▶ workers ───────────────▶ reply (hickory-proto) ─▶ judge, repair, zones (pure)
//!                                                                               │        │
//!                                                     on_round, Proof, Report ◀─┘        └─▶ ServerThreads::replace
//! ```

mod cpu;
mod judge;
mod path;
mod prober;
mod question;
mod repair;
mod reply;
mod report;
mod tcp;
mod tcp_watch;
mod transport;
mod trust;
mod tun;
mod zones;

#[cfg(test)]
mod tests;

pub use judge::{CLOCK_GAP_MAX, WHOLE_CELLS_MAX};
pub use path::ProbePath;
pub use prober::BUSY_TRUST_MAX;
pub use repair::{REPAIR_WINDOW, RUN_TIME_MAX, WorkerState};
pub use reply::Wrong;
pub use report::{AddressReport, Counts, LATENCY_BOUNDS, Latency, Report, TcpThreadReport, WorkerReport};
pub use tcp_watch::{LOOKS, WAKES_PER_INTERVAL};
pub use transport::ProbeTransport;
pub use trust::PathState;
pub use tun::{SOURCE_PORT, SOURCE_V4, SOURCE_V6, Sources};
pub use zones::{ZONE_FAULTS_MAX, ZoneFault, Zones};

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;

use crate::health::prober::Prober;
use crate::health::tcp::{TcpOutcomes, TcpProber};
use crate::policy::{Observation, Proof};
use crate::sys::sched;

/// What is proven, and how often.
#[derive(Clone, Debug)]
pub struct ProverSettings {
    /// From the start of one round to the start of the next; see also [`ProverSettings::calm_interval`]. Where
    /// `timeout` is longer and an answer is missing, the next round waits for the end of the last: there is one at a
    /// time.
    pub interval: Duration,
    /// How long an answer may take.
    pub timeout: Duration,
    /// For how many rounds on end a worker has to be stuck before its thread is replaced; 0 counts as 1.
    pub fall: u32,
    /// How many right answers prove an address; 0 counts as 1.
    pub min_workers: usize,
    /// The secret number of this process that the workers know canaries by.
    pub nonce: u64,
    /// The NSID of this server; `None` where it is hidden, and then not looked at.
    pub identity: Option<Vec<u8>>,
    /// The service addresses; their indices are those of observations, proofs and reports.
    pub addresses: Vec<SocketAddr>,
    /// The pause between two queries over TCP to the same address; [`TCP_INTERVAL`] unless a test wants another.
    pub tcp_interval: Duration,
}

impl ProverSettings {
    /// From the start of one round to that of the next while all is well, where a mere sample asks more than
    /// [`WHOLE_CELLS_MAX`] questions: two and a half times as long, but not longer than [`CALM_INTERVAL_MAX`] for that.
    #[must_use]
    pub fn calm_interval(&self) -> Duration {
        self.interval.max((self.interval * 5 / 2).min(CALM_INTERVAL_MAX))
    }
}

/// The workers, as the prover sees them. Workers count from 0, service addresses as in [`ProverSettings::addresses`].
pub trait ServerThreads: Send + Sync {
    /// How many workers there are; this never changes.
    fn worker_count(&self) -> usize;
    /// A counter that changes whenever the worker has finished a batch.
    fn progress(&self, worker: usize) -> u64;
    /// The kernel's number of the worker's thread; `None` where it has none.
    fn tid(&self, worker: usize) -> Option<i32>;
    /// A number that changes whenever the worker has answered clients over the address; probes don't count.
    fn clients(&self, worker: usize, address: usize) -> u64 {
        let _ = (worker, address);
        0
    }
    /// A number that changes whenever the worker gave replies up because a socket took no more output.
    fn stalls(&self, worker: usize) -> u64 {
        let _ = worker;
        0
    }
    /// How many queries to the address the kernel has dropped so far because a socket was full.
    fn drops(&self, address: usize) -> u64;
    /// Has a new thread take the worker's sockets over.
    ///
    /// # Errors
    /// Whatever keeps that from happening; the prover tries again within its bounds.
    fn replace(&self, worker: usize) -> io::Result<()>;
    /// How many replaced threads have not ended yet.
    fn lost(&self) -> usize;
    /// Whether queries wait in the worker's sockets, where that is known.
    ///
    /// A worker whose sockets are empty is cut off, not wedged; without this, a blocked port looks like workers that
    /// are all wedged, and their threads are replaced for nothing, within the bound.
    fn has_queued(&self, worker: usize) -> Option<bool> {
        let _ = worker;
        None
    }
    /// How many threads serve TCP; this never changes. They count from 0. With none, those that hang are not looked
    /// for.
    fn tcp_thread_count(&self) -> usize {
        0
    }
    /// A number that changes whenever the TCP thread wakes or has served a connection.
    fn tcp_progress(&self, thread: usize) -> u64 {
        let _ = thread;
        0
    }
    /// The kernel's number of the TCP thread; `None` where it has none.
    fn tcp_tid(&self, thread: usize) -> Option<i32> {
        let _ = thread;
        None
    }
    /// How the queue of connections to an address is; `None` where that is unknown, and then no failure is excused.
    fn tcp_queue(&self, address: usize) -> Option<TcpQueue> {
        let _ = address;
        None
    }
    /// Announces that the next connection over TCP from `from`, which is bound already, is the prover's, and not to
    /// compete with those of clients.
    fn expect_tcp(&self, from: SocketAddr) {
        let _ = from;
    }
    /// Wakes the TCP thread.
    fn wake_tcp(&self, thread: usize) {
        let _ = thread;
    }
    /// Has a new thread take the listeners over from the TCP thread.
    ///
    /// # Errors
    /// Whatever keeps that from happening; the prover tries again within its bounds.
    fn replace_tcp(&self, thread: usize) -> io::Result<()> {
        let _ = thread;
        Err(io::ErrorKind::Unsupported.into())
    }
    /// How many replaced TCP threads have not ended yet.
    fn tcp_lost(&self) -> usize {
        0
    }
}

/// Who waits to be accepted at a TCP listener.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpQueue {
    /// Connections that wait now.
    pub waiting: u32,
    /// Connections that were accepted so far.
    pub accepted: u64,
    /// Connections that the kernel let not even wait, since the queue was full. Wraps.
    pub dropped: u32,
}

/// Called after each round with its end, since the origin, and what was seen of each address.
pub type OnRound = Box<dyn FnMut(Duration, &[Observation]) + Send>;

/// The running prover. Dropping it stops its threads, which takes at most about [`WAIT_MAX`] or one timeout.
#[derive(Debug)]
pub struct Prover {
    /// What was known after the last round.
    report: Arc<ArcSwap<Report>>,
    /// Set to end the thread.
    is_stopped: Arc<AtomicBool>,
    /// The thread `prover`.
    thread: Option<JoinHandle<()>>,
}

impl Prover {
    /// Starts the threads. All moments are since `origin`.
    ///
    /// # Errors
    /// That the path could not be opened, a thread not started, or that there are no workers, no addresses, an interval
    /// or timeout of zero, or more than [`CELLS_MAX`] questions in a round.
    pub fn start(
        settings: ProverSettings,
        path: ProbePath,
        threads: Arc<dyn ServerThreads>,
        zones: Arc<dyn Zones>,
        proof: Arc<Proof>,
        origin: Instant,
        on_round: OnRound,
    ) -> io::Result<Self> {
        check(&settings, threads.worker_count())?;
        let transport = path.open(&settings.addresses)?;
        let outcomes = Arc::new(TcpOutcomes::new(settings.addresses.len()));
        let tcp = TcpProber::start(&settings, Arc::clone(&threads), Arc::clone(&zones), Arc::clone(&outcomes))?;
        let mut prober = Prober::new(settings, transport, threads, zones, proof, outcomes).map_err(io::Error::other)?;
        let report = Arc::new(ArcSwap::from_pointee(prober.report(origin.elapsed())));
        let is_stopped = Arc::new(AtomicBool::new(false));
        let drive = ProverThread {
            prober,
            tcp,
            buffer: vec![0; REPLY_BYTES_MAX],
            origin,
            on_round,
            report: Arc::clone(&report),
            is_stopped: Arc::clone(&is_stopped),
        };
        let thread = thread::Builder::new().name("prover".to_owned()).spawn(move || drive.run())?;
        Ok(Self { report, is_stopped, thread: Some(thread) })
    }

    /// Returns what was known after the last round.
    #[must_use]
    pub fn report(&self) -> Arc<Report> {
        self.report.load_full()
    }

    /// Returns where the reports are found, for whoever outlives this.
    #[must_use]
    pub fn reports(&self) -> Arc<ArcSwap<Report>> {
        Arc::clone(&self.report)
    }
}

impl Drop for Prover {
    fn drop(&mut self) {
        self.is_stopped.store(true, Ordering::Release);
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the prover panicked");
        }
    }
}

/// Refuses what makes no sense.
fn check(settings: &ProverSettings, worker_count: usize) -> io::Result<()> {
    let cell_count = settings.addresses.len() * worker_count;
    let refused = if cell_count == 0 {
        "the prover needs at least one worker and one service address"
    } else if cell_count > CELLS_MAX {
        "the prover cannot ask so many workers for so many addresses: lower one of them"
    } else if settings.interval.is_zero() || settings.timeout.is_zero() {
        "interval and timeout of the prover must be longer than nothing"
    } else {
        return Ok(());
    };
    Err(io::Error::new(io::ErrorKind::InvalidInput, refused))
}

/// What the thread `prover` owns: the rounds and the clock.
struct ProverThread {
    prober: Prober,
    /// The thread `prover-tcp`.
    tcp: TcpProber,
    /// Where datagrams are read into.
    buffer: Vec<u8>,
    origin: Instant,
    on_round: OnRound,
    report: Arc<ArcSwap<Report>>,
    is_stopped: Arc<AtomicBool>,
}

impl ProverThread {
    /// Makes round after round until it is stopped.
    fn run(mut self) {
        self.prober.set_realtime(take_priority());
        let mut start = self.origin.elapsed();
        while !self.is_stopped.load(Ordering::Acquire) {
            self.prober.begin(self.origin.elapsed());
            self.prober.begun(self.origin.elapsed());
            self.serve_until(self.prober.half_time(), Prober::is_complete);
            if self.prober.widen(self.origin.elapsed()) {
                self.prober.begun(self.origin.elapsed());
                self.serve_until(self.prober.half_time(), Prober::is_complete);
            }
            let deadline = self.prober.deadline();
            // What the path owes is asked around it: whoever answers there is well, and the path is not.
            self.prober.ask_around();
            let is_drained = self.serve_until(deadline, Prober::is_complete) || self.prober.is_complete();
            if self.is_stopped.load(Ordering::Acquire) {
                // A round that was cut short would look as if the missing answers were late.
                return;
            }
            let end = self.origin.elapsed();
            self.prober.end(end, is_drained);
            (self.on_round)(end, self.prober.observations());
            self.prober.act(end);
            self.tcp.look(end);
            self.report.store(Arc::new(self.prober.report(end)));
            // Rounds that were missed are not made up for.
            start = (start + self.prober.interval()).max(self.origin.elapsed());
            self.serve_until(start, |_| false);
        }
    }

    /// Takes what arrives until `end`, or until `is_enough`; returns whether nothing is left that can be read.
    fn serve_until(&mut self, end: Duration, is_enough: impl Fn(&Prober) -> bool) -> bool {
        loop {
            let drained = self.drain();
            let now = self.origin.elapsed();
            if is_enough(&self.prober) || now >= end || self.is_stopped.load(Ordering::Acquire) {
                // Where reading fails, nothing is left that could be read: what is missing is late.
                return drained != ReadProgress::Partly;
            }
            if self.prober.is_sampling() {
                thread::sleep(GATHER.min(end - now));
            }
            let waited = self.prober.transport().wait((end - now).min(WAIT_MAX));
            if let Err(error) = &waited {
                tracing::debug!(%error, "waiting for replies failed");
            }
            if waited.is_err() || drained == ReadProgress::Failed {
                thread::sleep(PAUSE.min(end - now));
            }
        }
    }

    /// Takes up to [`READS_MAX`] datagrams that have arrived.
    fn drain(&mut self) -> ReadProgress {
        for _ in 0..READS_MAX {
            match self.prober.transport().receive(&mut self.buffer) {
                // The moment is read behind the read: an answer is never taken for earlier than it was.
                Ok((from, octets)) => {
                    let octets = octets.len();
                    let now = self.origin.elapsed();
                    self.prober.take(now, from, &self.buffer[..octets]);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return ReadProgress::All,
                Err(error) if error.kind() == io::ErrorKind::InvalidData => self.prober.stray(),
                Err(error) => {
                    tracing::debug!(%error, "reading replies failed");
                    return ReadProgress::Failed;
                }
            }
        }
        ReadProgress::Partly
    }
}

/// How far reading came.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ReadProgress {
    /// Nothing is left.
    All,
    /// There may be more.
    Partly,
    /// Reading failed, for instance because the device is gone; waiting for it would return at once.
    Failed,
}

/// Asks for a real-time class and exact timers for the calling thread; returns whether it got the class.
fn take_priority() -> bool {
    if let Err(error) = sched::set_timer_slack(TIMER_SLACK) {
        tracing::warn!(%error, "the prover's timers stay inexact");
    }
    let outcome = sched::set_realtime(PRIORITY);
    if let Err(error) = &outcome {
        tracing::warn!(%error, "the prover runs without a real-time class: grant CAP_SYS_NICE or RLIMIT_RTPRIO");
    }
    outcome.is_ok()
}

/// The longest time to the next round because all is well. A worker that is wedged, or an address that fails, right
/// behind such a round has failed in two rounds after that and two and a half timeouts, which with the defaults is 250
/// ms.
pub const CALM_INTERVAL_MAX: Duration = Duration::from_millis(125);

/// How often TCP is asked.
pub const TCP_INTERVAL: Duration = Duration::from_secs(1);

/// The longest wait before the prover looks whether it is to stop.
pub const WAIT_MAX: Duration = Duration::from_millis(100);

/// The most questions of one round, workers times addresses: far fewer than there are query IDs, so that an ID comes
/// again only many rounds later.
pub const CELLS_MAX: usize = 4096;

/// The most datagrams that are read at once before the clock is looked at.
const READS_MAX: usize = 2 * CELLS_MAX;

/// The largest reply that is read: more than was asked for.
const REPLY_BYTES_MAX: usize = 4096;

/// How long the replies to a sample gather before they are read: to be woken for each would cost more than the rest of
/// it.
const GATHER: Duration = Duration::from_micros(500);

/// The pause after a wait or read that failed, so that the thread does not spin.
const PAUSE: Duration = Duration::from_millis(1);

/// The priority in the class `SCHED_FIFO`: low, but above everything ordinary.
const PRIORITY: i32 = 10;

/// How late the prover's timers may end.
const TIMER_SLACK: Duration = Duration::from_micros(1);
