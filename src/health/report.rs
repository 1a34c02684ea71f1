//! What the prover publishes: for status, metrics and logs.
//!
//! Pure. Moments are [`Duration`]s since the origin that the caller gave.

use core::net::SocketAddr;
use core::time::Duration;

use crate::health::{PathState, WorkerState, Wrong, ZoneFault};
use crate::policy::Observation;

/// What the prover knew after a round. A new one is published after each.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// When it was made.
    pub made: Duration,
    /// By worker.
    pub workers: Vec<WorkerReport>,
    /// By TCP thread.
    pub tcp_threads: Vec<TcpThreadReport>,
    /// By service address, in the order of the settings.
    pub addresses: Vec<AddressReport>,
    /// Zones that are answered wrong, oldest first; at most [`crate::health::ZONE_FAULTS_MAX`].
    pub zones: Vec<ZoneFault>,
    /// Times from query to right answer.
    pub latency: Latency,
    /// What was counted since the start.
    pub counts: Counts,
    /// Replaced threads that have not ended.
    pub lost_count: usize,
    /// Whether the prover has a real-time class.
    pub is_realtime: bool,
}

impl Report {
    /// Whether the process is of use at `now`: the prover had a round within `period`, and at least `min_workers`
    /// threads of workers are not known to hang. What keeps probes away, or makes answers wrong, a new process would
    /// not cure.
    #[must_use]
    pub fn is_useful(&self, now: Duration, period: Duration, min_workers: usize) -> bool {
        let hangs = |worker: &&WorkerReport| matches!(worker.state, WorkerState::Wedged | WorkerState::Lost);
        let hanging_count = self.workers.iter().filter(hangs).count();
        now.saturating_sub(self.made) < period && self.workers.len() - hanging_count >= min_workers
    }
}

/// What is known of a worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WorkerReport {
    /// How it stands.
    pub state: WorkerState,
    /// Since when.
    pub since: Duration,
    /// How long its last right answer took.
    pub latency: Option<Duration>,
    /// When the last question that it answered right was sent.
    pub proven: Option<Duration>,
    /// What was wrong with its last wrong answer, and when that was.
    pub wrong: Option<(Wrong, Duration)>,
    /// How often it was replaced.
    pub repairs: u64,
}

/// What is known of a TCP thread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpThreadReport {
    /// How it stands: well where it moves, late where it did not when it was last looked at.
    pub state: WorkerState,
    /// Since when.
    pub since: Duration,
    /// How often it was replaced.
    pub repairs: u64,
}

/// What is known of a service address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressReport {
    /// The address.
    pub address: SocketAddr,
    /// What the last round showed.
    pub observation: Observation,
    /// How the path that probes take to it does.
    pub path: PathState,
    /// Whether the last query over TCP was answered; `None` before the first.
    pub is_tcp_well: Option<bool>,
    /// Queries that the kernel dropped because a socket was full.
    pub drops: u64,
}

/// Counts since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Rounds.
    pub rounds: u64,
    /// Rounds at whose end the prover woke too late to judge what was missing.
    pub gaps: u64,
    /// Queries that the path refused.
    pub unsent: u64,
    /// Replies that came after their round was judged, or read too late to know.
    pub stale: u64,
    /// Replies to a question that had been answered.
    pub duplicates: u64,
    /// Datagrams and packets that were no reply to anything that was asked.
    pub strays: u64,
    /// Wrong answers to canaries.
    pub wrong: u64,
    /// Questions that no answer came to in time.
    pub missing: u64,
    /// Canaries that were answered only around the path that clients take.
    pub detoured: u64,
    /// Those of the missing whose worker waited for a CPU.
    pub starved: u64,
    /// Replacements of workers and TCP threads that failed.
    pub repairs_failed: u64,
}

/// How often an answer took how long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Latency {
    /// One count for each bound of [`LATENCY_BOUNDS`], and one for what took longer. Not cumulated.
    pub buckets: [u64; LATENCY_BOUNDS.len() + 1],
    /// All times together.
    pub sum: Duration,
}

impl Latency {
    /// Counts one answer.
    pub fn count(&mut self, took: Duration) {
        let index = LATENCY_BOUNDS.iter().position(|bound| took <= *bound).unwrap_or(LATENCY_BOUNDS.len());
        self.buckets[index] += 1;
        self.sum = self.sum.saturating_add(took);
    }
}

/// The upper bounds of the buckets, each included.
pub const LATENCY_BOUNDS: [Duration; 10] = [
    Duration::from_micros(50),
    Duration::from_micros(100),
    Duration::from_micros(200),
    Duration::from_micros(500),
    Duration::from_millis(1),
    Duration::from_millis(2),
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(25),
    Duration::from_millis(50),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_of_use_while_rounds_go_on_and_enough_workers_do_not_hang() {
        let (now, period) = (Duration::from_secs(10), Duration::from_secs(5));
        let report = |states: [WorkerState; 3]| Report {
            made: Duration::from_secs(6),
            workers: states.into_iter().map(|state| WorkerReport { state, ..WorkerReport::default() }).collect(),
            ..Report::default()
        };
        use WorkerState::{Late, Lost, Starved, Wedged, Well, Wrong};
        for (states, is_useful) in [
            ([Well, Well, Well], true),
            // Cut off, waiting, or answering wrong: a new process would do no better.
            ([Late, Starved, Wrong], true),
            ([Wedged, Late, Late], true),
            ([Wedged, Lost, Late], false),
            ([Lost, Lost, Lost], false),
        ] {
            assert_eq!(report(states).is_useful(now, period, 2), is_useful, "{states:?}");
        }
        assert!(!report([Well; 3]).is_useful(Duration::from_secs(11), period, 2), "the prover tcp_watch");
    }

    #[test]
    fn a_time_is_counted_under_the_first_bound_that_holds_it() {
        let mut latency = Latency::default();
        for micros in [0, 50, 51, 50_000, 50_001] {
            latency.count(Duration::from_micros(micros));
        }
        assert_eq!(latency.buckets, [2, 1, 0, 0, 0, 0, 0, 0, 0, 1, 1]);
        assert_eq!(latency.sum, Duration::from_micros(100_102));
    }
}
