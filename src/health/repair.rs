//! Which worker is wedged and is to be replaced.
//!
//! Pure: time is an argument. Whoever calls replaces the thread and says how that went.

use core::time::Duration;
use std::collections::VecDeque;

use crate::health::judge::Seen;

/// How a worker stands, from what the last rounds showed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WorkerState {
    /// No round has shown yet, or its thread was just replaced.
    #[default]
    Unknown,
    /// It answered right over at least one address.
    Well,
    /// It answered, and not what is right.
    Wrong,
    /// It did not answer in time, but may yet: it moves, or nothing reached it, or it was silent for too short a time.
    Late,
    /// It did not answer in time because it waited for a CPU.
    Starved,
    /// It is silent, has work, and does not move; its thread is to be replaced as soon as the bounds allow.
    Wedged,
    /// It is wedged, and is not replaced: as many old threads as there are workers still stand around.
    Lost,
}

/// What is known of a worker that was silent over every address of a round.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Silence {
    /// Whether its progress counter moved in the round.
    pub(super) is_moving: bool,
    /// Whether it waited for a CPU for most of the round.
    pub(super) is_starved: bool,
    /// How long it ran on a CPU in the round.
    pub(super) ran: Duration,
    /// Whether queries wait in its sockets; `None` where that is not known. An empty queue means that nothing reached
    /// it.
    pub(super) has_queued: Option<bool>,
}

/// What is known of every worker, and the bounds of replacing.
#[derive(Debug)]
pub(super) struct Repair {
    /// For how many rounds on end a worker has to be stuck; at least 1.
    fall: u32,
    /// One for each worker.
    workers: Box<[WorkerRepair]>,
    /// When the last replacements were tried, oldest first; never more than there are workers.
    recent: VecDeque<Duration>,
}

/// What is known of one worker.
#[derive(Clone, Copy, Debug, Default)]
struct WorkerRepair {
    state: WorkerState,
    /// When it came into this state.
    since: Duration,
    /// Rounds on end in which it was stuck.
    stuck_rounds: u32,
    /// How long it ran on a CPU since it moved last.
    ran: Duration,
    /// How often it was replaced.
    repairs: u64,
}

impl Repair {
    /// Knows nothing of `worker_count` workers yet. `fall` is taken as at least 1.
    #[must_use]
    pub(super) fn new(worker_count: usize, fall: u32) -> Self {
        Self {
            fall: fall.max(1),
            workers: vec![WorkerRepair::default(); worker_count].into(),
            recent: VecDeque::with_capacity(worker_count),
        }
    }

    /// Takes what a round showed of `worker`; returns whether its thread is to be replaced now.
    ///
    /// `silence` is looked at only where the worker was late. `lost_count` is how many replaced threads have not ended.
    ///
    /// # Panics
    /// If there is no such worker.
    pub(super) fn judge(
        &mut self,
        worker: usize,
        now: Duration,
        seen: Seen,
        silence: Silence,
        lost_count: usize,
    ) -> bool {
        let known = &mut self.workers[worker];
        let state = match seen {
            Seen::Unknown => return false,
            Seen::Well => WorkerState::Well,
            Seen::Wrong(_) => WorkerState::Wrong,
            Seen::Late if silence.is_moving || silence.has_queued == Some(false) => WorkerState::Late,
            Seen::Late => {
                known.ran = known.ran.saturating_add(silence.ran);
                // A thread that spins on a busy machine waits for a CPU too; but once it has run for so long without
                // finishing anything, the CPU is not what it lacks.
                if silence.is_starved && known.ran < RUN_TIME_MAX {
                    known.change(WorkerState::Starved, now);
                    return false;
                }
                known.stuck_rounds = known.stuck_rounds.saturating_add(1);
                if known.stuck_rounds < self.fall { WorkerState::Late } else { WorkerState::Wedged }
            }
        };
        if seen != Seen::Late || silence.is_moving || silence.has_queued == Some(false) {
            (known.stuck_rounds, known.ran) = (0, Duration::ZERO);
        }
        let is_lost = state == WorkerState::Wedged && lost_count >= self.workers.len();
        self.workers[worker].change(if is_lost { WorkerState::Lost } else { state }, now);
        state == WorkerState::Wedged && !is_lost && self.is_allowed(now)
    }

    /// Notes that replacing was tried at `now`, and whether it went well. A failed try counts for the bound as well.
    ///
    /// # Panics
    /// If there is no such worker.
    pub(super) fn tried(&mut self, worker: usize, now: Duration, is_replaced: bool) {
        if self.recent.len() >= self.workers.len() {
            self.recent.pop_front();
        }
        self.recent.push_back(now);
        let known = &mut self.workers[worker];
        if is_replaced {
            known.repairs += 1;
            (known.stuck_rounds, known.ran) = (0, Duration::ZERO);
            known.change(WorkerState::Unknown, now);
        }
    }

    /// Returns the state of `worker`, since when, and how often it was replaced.
    ///
    /// # Panics
    /// If there is no such worker.
    #[must_use]
    pub(super) fn worker(&self, worker: usize) -> (WorkerState, Duration, u64) {
        let known = &self.workers[worker];
        (known.state, known.since, known.repairs)
    }

    /// Whether fewer replacements than workers were tried within the last [`REPAIR_WINDOW`].
    fn is_allowed(&mut self, now: Duration) -> bool {
        while self.recent.front().is_some_and(|tried| now.saturating_sub(*tried) >= REPAIR_WINDOW) {
            self.recent.pop_front();
        }
        self.recent.len() < self.workers.len()
    }
}

impl WorkerRepair {
    /// Goes into `state`, unless it is there already.
    fn change(&mut self, state: WorkerState, now: Duration) {
        if self.state != state {
            (self.state, self.since) = (state, now);
        }
    }
}

/// In this time at most as many replacements are tried as there are workers.
pub const REPAIR_WINDOW: Duration = Duration::from_secs(10);

/// A silent worker that ran for so long without finishing a batch is stuck, however long it also waited for a CPU.
///
/// A batch takes less than a millisecond.
pub const RUN_TIME_MAX: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::Wrong;

    const fn ms(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    const STUCK: Silence = Silence { is_moving: false, is_starved: false, ran: Duration::ZERO, has_queued: Some(true) };

    #[test]
    fn a_worker_that_is_stuck_for_fall_rounds_is_replaced_once() {
        let mut repair = Repair::new(2, 2);
        assert!(!repair.judge(0, ms(0), Seen::Well, Silence::default(), 0));
        assert!(!repair.judge(0, ms(50), Seen::Late, STUCK, 0));
        assert_eq!(repair.worker(0).0, WorkerState::Late);
        assert!(repair.judge(0, ms(100), Seen::Late, STUCK, 0));
        assert_eq!(repair.worker(0), (WorkerState::Wedged, ms(100), 0));
        repair.tried(0, ms(100), true);
        assert_eq!(repair.worker(0), (WorkerState::Unknown, ms(100), 1));
        assert!(!repair.judge(0, ms(150), Seen::Late, STUCK, 1), "the new thread has its own count");
        assert!(!repair.judge(0, ms(200), Seen::Well, STUCK, 1));
    }

    #[test]
    fn what_is_no_wedge_is_not_repaired() {
        let table = [
            (Seen::Late, Silence { is_moving: true, ..STUCK }, WorkerState::Late),
            (Seen::Late, Silence { has_queued: Some(false), ..STUCK }, WorkerState::Late),
            (Seen::Late, Silence { is_starved: true, ran: ms(1), ..STUCK }, WorkerState::Starved),
            (Seen::Wrong(Wrong::Malformed), STUCK, WorkerState::Wrong),
            (Seen::Well, STUCK, WorkerState::Well),
            (Seen::Unknown, STUCK, WorkerState::Unknown),
        ];
        for (seen, silence, state) in table {
            let mut repair = Repair::new(1, 1);
            for round in 0..20 {
                assert!(!repair.judge(0, ms(50 * round), seen, silence, 0), "{seen:?} {silence:?}");
            }
            assert_eq!(repair.worker(0), (state, ms(0), 0));
        }
    }

    #[test]
    fn rounds_in_between_count_anew_only_where_the_worker_moved() {
        let mut repair = Repair::new(1, 2);
        repair.judge(0, ms(0), Seen::Late, STUCK, 0);
        repair.judge(0, ms(50), Seen::Late, Silence { is_moving: true, ..STUCK }, 0);
        assert!(!repair.judge(0, ms(100), Seen::Late, STUCK, 0));
        repair.judge(0, ms(150), Seen::Unknown, STUCK, 0);
        assert!(repair.judge(0, ms(200), Seen::Late, STUCK, 0), "a round that was not judged changes nothing");
    }

    #[test]
    fn a_thread_that_spins_on_a_busy_machine_is_found_in_the_end() {
        let mut repair = Repair::new(1, 2);
        let busy = Silence { is_starved: true, ran: ms(25), ..STUCK };
        let replaced = (0..20_u64).find(|round| repair.judge(0, ms(50 * round), Seen::Late, busy, 0));
        assert_eq!(replaced, Some(4), "four rounds make 100 ms, the fifth is the second that counts");
    }

    #[test]
    fn no_more_replacements_than_workers_in_the_window() {
        let mut repair = Repair::new(2, 1);
        for at in [0, 50] {
            assert!(repair.judge(0, ms(at), Seen::Late, STUCK, 0));
            repair.tried(0, ms(at), at == 0);
        }
        assert!(!repair.judge(1, ms(100), Seen::Late, STUCK, 0));
        assert_eq!(repair.worker(1).0, WorkerState::Wedged);
        assert!(!repair.judge(1, ms(9_999), Seen::Late, STUCK, 0));
        assert!(repair.judge(1, ms(10_000), Seen::Late, STUCK, 0));
        repair.tried(1, ms(10_000), true);
        assert!(!repair.judge(1, ms(10_049), Seen::Late, STUCK, 0));
    }

    #[test]
    fn with_as_many_old_threads_as_workers_a_wedged_one_is_lost() {
        let mut repair = Repair::new(2, 1);
        assert!(repair.judge(0, ms(0), Seen::Late, STUCK, 1));
        assert!(!repair.judge(0, ms(50), Seen::Late, STUCK, 2));
        assert_eq!(repair.worker(0).0, WorkerState::Lost);
        assert!(repair.judge(0, ms(100), Seen::Late, STUCK, 1), "an old thread ended");
    }
}
