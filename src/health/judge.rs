//! One round, judged: what each worker answered over each service address, and what the policy learns from it.
//!
//! Pure: time is an argument, a [`Duration`] since the origin of the process. Refuses to know how queries are sent.

use core::time::Duration;

use crate::health::Wrong;
use crate::policy::Observation;

/// The questions of one round, one for each service address and worker, and what became of them.
///
/// Where there are more than [`WHOLE_CELLS_MAX`] and all were answered right the last time, a round asks a sample: each
/// address through one worker and each worker over one address at least, another pairing each time. Answered right, it
/// stands for all; otherwise the rest is asked at once ([`Round::widen`]), and whole rounds follow until everything is
/// right again.
#[derive(Debug)]
pub(super) struct Round {
    /// Service addresses.
    address_count: usize,
    /// Workers.
    worker_count: usize,
    /// Rounds so far: which pairing a sample has.
    turn: usize,
    /// Whether only a sample is asked.
    is_sample: bool,
    /// Whether a sample was taken for the whole.
    is_settled: bool,
    /// Rounds on end, up to the last, in which one was.
    settled_count: u32,
    /// When the questions that were not in the sample went out; `None` where none did, or there was no sample.
    widened: Option<Duration>,
    /// How many right answers prove an address; at least 1.
    min_workers: usize,
    /// Address by address, worker by worker.
    cells: Box<[ProbeState]>,
    /// Right answers of each address.
    proven: Box<[usize]>,
    /// Cells that still wait.
    waiting_count: usize,
    /// Just before the first query went out.
    sent: Duration,
    /// Until when an answer is in time.
    deadline: Duration,
}

/// What became of one question.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum ProbeState {
    /// It was not asked in this round: the path refused it, or it is not in the sample.
    #[default]
    Unsent,
    /// No answer yet.
    Waiting,
    /// The right answer came in time, over the path of clients; or to a sample that stands for it.
    Right,
    /// The right answer came in time, but only around that path.
    Detoured,
    /// An answer came in time, but not the right one.
    Wrong(Wrong),
}

/// What an answer did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AnswerEffect {
    /// It was the one that proves its address: so many right ones came in time.
    Proof,
    /// It was the last of a sample, all of which is right: that proves every address.
    ProofOfAll,
    /// It was right, and the address was proven already, or is not yet.
    Right,
    /// It was wrong.
    Wrong,
    /// It came after the deadline, or was read so late that nobody knows.
    Late,
    /// The question had been answered before.
    Duplicate,
}

/// Why a worker did not answer, as far as that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MissingCause {
    /// It was wedged, or cut off.
    Late,
    /// It waited for a CPU.
    Starved,
    /// It answered others, and queries waited behind.
    Busy,
    /// It answered clients over the address, and no probe reached it.
    Served,
}

/// What one worker did over all addresses of a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// It answered right over at least one address.
    Well,
    /// It answered, and never right.
    Wrong(Wrong),
    /// It was silent over every address.
    Late,
    /// The round says nothing about it.
    Unknown,
}

impl Round {
    /// Takes so many addresses and workers. `min_workers` is taken as at least 1.
    #[must_use]
    pub(super) fn new(address_count: usize, worker_count: usize, min_workers: usize) -> Self {
        Self {
            address_count,
            worker_count,
            turn: 0,
            is_sample: false,
            is_settled: false,
            settled_count: 0,
            widened: None,
            min_workers: min_workers.max(1),
            cells: vec![ProbeState::Unsent; address_count * worker_count].into(),
            proven: vec![0; address_count].into(),
            waiting_count: 0,
            sent: Duration::ZERO,
            deadline: Duration::ZERO,
        }
    }

    /// Starts a round at `now`; no question has been sent yet. It asks a sample only where `may_sample`.
    pub(super) fn begin(&mut self, now: Duration, may_sample: bool) {
        let is_well = self.cells.iter().all(|cell| *cell == ProbeState::Right);
        self.is_sample = may_sample && is_well && self.cells.len() > WHOLE_CELLS_MAX;
        self.turn = self.turn.wrapping_add(1);
        self.settled_count = if self.is_settled { self.settled_count } else { 0 };
        (self.is_settled, self.widened) = (false, None);
        self.cells.fill(ProbeState::Unsent);
        self.proven.fill(0);
        (self.waiting_count, self.sent, self.deadline) = (0, now, now);
    }

    /// Makes a whole round of a sample that has not shown at `now` that all is well; returns whether there is more to
    /// ask.
    ///
    /// What the prover slept through shows nothing, and stays a sample that is not judged.
    pub(super) fn widen(&mut self, now: Duration) -> bool {
        let is_widened = self.is_sample && self.is_on_time(now);
        if is_widened {
            (self.is_sample, self.widened) = (false, Some(now));
        }
        is_widened
    }

    /// Whether the question of cell `index` is to be asked, and has not gone out.
    #[must_use]
    pub(super) fn is_due(&self, index: usize) -> bool {
        self.cell(index) == ProbeState::Unsent && (!self.is_sample || self.is_in_sample(index))
    }

    /// Whether cell `index` is in the sample of this turn. In as many turns as there are workers or addresses,
    /// whichever are fewer, each cell is in one.
    fn is_in_sample(&self, index: usize) -> bool {
        let (address, worker) = (index / self.worker_count, index % self.worker_count);
        if self.address_count >= self.worker_count {
            address.wrapping_add(self.turn) % self.worker_count == worker
        } else {
            worker.wrapping_add(self.turn) % self.address_count == address
        }
    }

    /// Whether only a sample is asked, and is waited for.
    #[must_use]
    pub(super) fn is_sample(&self) -> bool {
        self.is_sample
    }

    /// Whether the next round may come later, because this one asked very much and all has been well for long.
    #[must_use]
    pub(super) fn is_calm(&self) -> bool {
        let sample_size = self.address_count.max(self.worker_count);
        self.is_settled && self.settled_count >= CALM_ROUNDS && sample_size > WHOLE_CELLS_MAX
    }

    /// Whether what costs a system call for each worker is to be looked at for `address`: in turn where a sample was
    /// enough.
    #[must_use]
    pub(super) fn is_turn_of(&self, address: usize) -> bool {
        let turns = self.address_count.min(self.worker_count);
        !self.is_settled || address.wrapping_add(self.turn).is_multiple_of(turns)
    }

    /// Takes a sample in which everything is right for the whole; returns whether it was one.
    fn settle(&mut self) -> bool {
        let is_right = |index| !self.is_in_sample(index) || self.cell(index) == ProbeState::Right;
        let is_settled = self.is_sample && self.is_complete() && (0..self.cells.len()).all(is_right);
        if is_settled {
            (self.is_sample, self.is_settled) = (false, true);
            self.settled_count = self.settled_count.saturating_add(1);
            self.cells.fill(ProbeState::Right);
            self.proven.fill(self.worker_count);
        }
        is_settled
    }

    /// Notes that the question of cell `index` went out.
    pub(super) fn ask(&mut self, index: usize) {
        if let Some(cell @ ProbeState::Unsent) = self.cells.get_mut(index) {
            *cell = ProbeState::Waiting;
            self.waiting_count += 1;
        }
    }

    /// Notes that the last question went out before `now`: each answer within `timeout` from here is in time.
    pub(super) fn asked(&mut self, now: Duration, timeout: Duration) {
        self.deadline = now + timeout;
    }

    /// Takes the verdict on the answer to cell `index`, read at `now`, which came over the path of clients or around
    /// it.
    ///
    /// One that came around the path says how the worker is, and the path's own is still waited for.
    pub(super) fn take(
        &mut self,
        index: usize,
        now: Duration,
        verdict: Result<(), Wrong>,
        is_around: bool,
    ) -> AnswerEffect {
        let is_open = |cell: &&mut ProbeState| match cell {
            ProbeState::Waiting => true,
            ProbeState::Unsent => is_around,
            ProbeState::Detoured => !is_around,
            ProbeState::Right | ProbeState::Wrong(_) => false,
        };
        let Some(cell) = self.cells.get_mut(index).filter(is_open) else { return AnswerEffect::Duplicate };
        if now > self.deadline + CLOCK_GAP_MAX {
            return AnswerEffect::Late;
        }
        let (before, is_right) = (*cell, verdict.is_ok());
        *cell = match verdict {
            Err(wrong) => ProbeState::Wrong(wrong),
            Ok(()) if is_around => ProbeState::Detoured,
            Ok(()) => ProbeState::Right,
        };
        if before != ProbeState::Unsent && *cell != ProbeState::Detoured {
            self.waiting_count -= 1;
        }
        let proven = &mut self.proven[index / self.worker_count];
        match (is_right, before) {
            (false, ProbeState::Detoured) => *proven -= 1,
            (true, ProbeState::Waiting | ProbeState::Unsent) => *proven += 1,
            _ => return if is_right { AnswerEffect::Right } else { AnswerEffect::Wrong },
        }
        let is_enough = *proven == self.min_workers;
        match is_right {
            false => AnswerEffect::Wrong,
            true if self.settle() => AnswerEffect::ProofOfAll,
            true if is_enough => AnswerEffect::Proof,
            true => AnswerEffect::Right,
        }
    }

    /// Whether the cell waits for an answer, or could not be asked.
    #[must_use]
    pub(super) fn is_missing(&self, index: usize) -> bool {
        matches!(self.cell(index), ProbeState::Waiting | ProbeState::Unsent)
    }

    /// Whether nothing is left to wait for.
    #[must_use]
    pub(super) fn is_complete(&self) -> bool {
        self.waiting_count == 0
    }

    /// When the first query went out: the moment that the round proves.
    #[must_use]
    pub(super) fn sent(&self) -> Duration {
        self.sent
    }

    /// When the question of cell `index` went out, if it did.
    #[must_use]
    pub(super) fn asked_at(&self, index: usize) -> Duration {
        self.widened.filter(|_| !self.is_in_sample(index)).unwrap_or(self.sent)
    }

    /// Until when an answer is in time.
    #[must_use]
    pub(super) fn deadline(&self) -> Duration {
        self.deadline
    }

    /// Returns what became of the question `index`.
    #[must_use]
    pub(super) fn cell(&self, index: usize) -> ProbeState {
        self.cells.get(index).copied().unwrap_or_default()
    }

    /// Whether the prover looked soon enough after the deadline to call silence late, having read everything by `now`.
    #[must_use]
    pub(super) fn is_on_time(&self, now: Duration) -> bool {
        now <= self.deadline + CLOCK_GAP_MAX
    }

    /// Returns what `worker` did over all addresses.
    #[must_use]
    pub(super) fn seen(&self, worker: usize, is_on_time: bool) -> Seen {
        let mut seen = if is_on_time { Seen::Late } else { Seen::Unknown };
        for cell in self.cells.iter().skip(worker).step_by(self.worker_count) {
            match (cell, seen) {
                (ProbeState::Right | ProbeState::Detoured, _) => return Seen::Well,
                (ProbeState::Wrong(wrong), _) => seen = Seen::Wrong(*wrong),
                (ProbeState::Unsent, Seen::Late) => seen = Seen::Unknown,
                (ProbeState::Unsent | ProbeState::Waiting, _) => {}
            }
        }
        seen
    }

    /// Sums an address up. `missing_cause` says why a worker did not answer.
    ///
    /// A round whose end the prover slept through is judged only where the answers that did come prove the address, or
    /// none is missing; what is missing then is nobody's fault.
    #[must_use]
    pub(super) fn observe(
        &self,
        address: usize,
        is_on_time: bool,
        missing_cause: impl Fn(usize) -> MissingCause,
    ) -> Observation {
        let mut observation = Observation::NOTHING;
        let mut missing_count = 0_usize;
        let cells = self.cells.iter().skip(address * self.worker_count).take(self.worker_count);
        for (worker, cell) in cells.enumerate() {
            let count = match cell {
                ProbeState::Right => &mut observation.proven,
                ProbeState::Detoured => &mut observation.detoured,
                ProbeState::Wrong(_) => &mut observation.wrong,
                ProbeState::Waiting | ProbeState::Unsent if !is_on_time => {
                    missing_count += 1;
                    continue;
                }
                ProbeState::Waiting | ProbeState::Unsent => match missing_cause(worker) {
                    MissingCause::Late => &mut observation.late,
                    MissingCause::Starved => &mut observation.starved,
                    MissingCause::Busy => &mut observation.busy,
                    MissingCause::Served => &mut observation.served,
                },
            };
            *count = count.saturating_add(1);
        }
        let is_proven = usize::from(observation.answered()) >= self.min_workers;
        observation.is_judged = is_on_time || is_proven || missing_count == 0;
        observation
    }
}

/// Up to so many questions every round asks all; with more, those that are well are sampled.
pub const WHOLE_CELLS_MAX: usize = 32;

/// After so many rounds on end in which a sample was enough, one second with the defaults, rounds may come less often.
/// What is announced again after a fault is thus proven as often as where there is little to ask.
pub(super) const CALM_ROUNDS: u32 = 20;

/// How much later than planned the prover may look and still trust its clock: beyond this it was starved or stopped
/// itself.
pub const CLOCK_GAP_MAX: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    const fn ms(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    /// Worker 2 waited for a CPU.
    fn starved_two(worker: usize) -> MissingCause {
        if worker == 2 { MissingCause::Starved } else { MissingCause::Late }
    }

    /// A round of two addresses and three workers, sent at 100 ms, due at 150 ms; two workers are enough.
    fn round() -> Round {
        let mut round = Round::new(2, 3, 2);
        round.begin(ms(100), true);
        (0..6).for_each(|index| round.ask(index));
        round.asked(ms(101), ms(49));
        round
    }

    #[test]
    fn the_answer_that_makes_enough_is_the_proof() {
        let mut round = round();
        assert_eq!(round.take(0, ms(110), Ok(()), false), AnswerEffect::Right);
        assert_eq!(round.take(3, ms(111), Ok(()), false), AnswerEffect::Right);
        assert_eq!(round.take(1, ms(112), Ok(()), false), AnswerEffect::Proof);
        assert_eq!(round.take(1, ms(113), Ok(()), false), AnswerEffect::Duplicate);
        assert_eq!(round.take(1, ms(113), Err(Wrong::Malformed), false), AnswerEffect::Duplicate);
        assert_eq!(round.take(2, ms(114), Ok(()), false), AnswerEffect::Right);
        assert_eq!(round.take(6, ms(114), Ok(()), false), AnswerEffect::Duplicate, "there is no such question");
        assert!(!round.is_complete());
        assert_eq!((round.sent(), round.deadline()), (ms(100), ms(150)));
    }

    #[test]
    fn each_address_is_summed_up_for_itself() {
        let mut round = round();
        round.take(0, ms(110), Ok(()), false);
        round.take(1, ms(110), Err(Wrong::Rcode(2)), false);
        round.take(4, ms(110), Ok(()), false);
        let seen = round.observe(0, true, starved_two);
        assert_eq!(seen, Observation { proven: 1, wrong: 1, starved: 1, is_judged: true, ..Observation::NOTHING });
        let seen = round.observe(1, true, starved_two);
        assert_eq!(seen, Observation { proven: 1, late: 1, starved: 1, is_judged: true, ..Observation::NOTHING });
    }

    #[test]
    fn an_answer_is_in_time_up_to_the_bound_of_the_clock() {
        let mut round = round();
        let bound = ms(150) + CLOCK_GAP_MAX;
        assert_eq!(round.take(0, bound, Ok(()), false), AnswerEffect::Right);
        assert_eq!(round.take(1, bound + Duration::from_nanos(1), Ok(()), false), AnswerEffect::Late);
        assert!(round.is_on_time(bound) && !round.is_on_time(bound + Duration::from_nanos(1)));
        assert_eq!(round.cell(1), ProbeState::Waiting);
    }

    #[test]
    fn what_the_prover_slept_through_is_judged_only_where_answers_prove_it() {
        let mut round = round();
        round.take(0, ms(110), Ok(()), false);
        round.take(1, ms(110), Ok(()), false);
        round.take(3, ms(110), Ok(()), false);
        let seen = round.observe(0, false, |_| MissingCause::Starved);
        assert_eq!(seen, Observation { proven: 2, is_judged: true, ..Observation::NOTHING });
        let seen = round.observe(1, false, |_| MissingCause::Starved);
        assert_eq!(seen, Observation { proven: 1, is_judged: false, ..Observation::NOTHING });
        (3..6).for_each(|index| _ = round.take(index, ms(120), Err(Wrong::NotAuthoritative), false));
        assert_eq!(
            (
                round.observe(1, false, |_| MissingCause::Starved).wrong,
                round.observe(1, false, |_| MissingCause::Starved).is_judged
            ),
            (2, true)
        );
    }

    #[test]
    fn a_worker_is_late_only_where_it_is_silent_everywhere() {
        let mut round = round();
        round.take(0, ms(110), Ok(()), false);
        round.take(4, ms(110), Err(Wrong::Identity), false);
        assert_eq!(
            [0, 1, 2].map(|worker| round.seen(worker, true)),
            [Seen::Well, Seen::Wrong(Wrong::Identity), Seen::Late]
        );
        assert_eq!(round.seen(2, false), Seen::Unknown);
    }

    #[test]
    fn what_could_not_be_sent_is_late_for_the_address_but_no_evidence_against_the_worker() {
        let mut round = Round::new(2, 1, 0);
        round.begin(ms(0), true);
        round.ask(0);
        round.asked(ms(0), ms(50));
        assert_eq!(round.observe(1, true, |_| MissingCause::Late).late, 1);
        assert_eq!(round.seen(0, true), Seen::Unknown);
        assert_eq!(round.take(1, ms(1), Ok(()), false), AnswerEffect::Duplicate, "it was never asked");
        assert_eq!(round.take(0, ms(1), Ok(()), false), AnswerEffect::Proof, "at least one answer is asked for");
        assert!(round.is_complete());
    }

    #[test]
    fn an_answer_around_the_path_proves_the_worker_and_leaves_the_path_to_be_judged() {
        let mut round = round();
        let seen = |round: &Round| round.observe(0, true, |_| MissingCause::Served);
        assert_eq!(round.take(0, ms(130), Ok(()), true), AnswerEffect::Right);
        assert_eq!(round.take(1, ms(130), Ok(()), true), AnswerEffect::Proof);
        assert_eq!(round.take(1, ms(130), Ok(()), true), AnswerEffect::Duplicate);
        let lost = Observation { detoured: 2, served: 1, is_judged: true, ..Observation::NOTHING };
        assert_eq!((seen(&round), round.seen(0, true), round.is_complete()), (lost, Seen::Well, false));
        assert_eq!(round.take(0, ms(140), Ok(()), false), AnswerEffect::Right, "the path was slow");
        assert_eq!(seen(&round), Observation { proven: 1, detoured: 1, ..lost });
        assert_eq!(
            round.take(1, ms(140), Err(Wrong::Malformed), false),
            AnswerEffect::Wrong,
            "somebody else answers there"
        );
        assert_eq!(seen(&round), Observation { proven: 1, detoured: 0, wrong: 1, ..lost });
        assert_eq!(round.take(2, ms(140), Err(Wrong::Malformed), true), AnswerEffect::Wrong);
        (3..6).for_each(|index| _ = round.take(index, ms(140), Ok(()), false));
        assert!(round.is_complete());
    }

    /// The cells that a round asks first.
    fn due(round: &Round) -> Vec<usize> {
        (0..round.cells.len()).filter(|index| round.is_due(*index)).collect()
    }

    /// Makes a round that asks what is due and has it all answered right; returns what the last answer did.
    fn make_well(round: &mut Round) -> Option<AnswerEffect> {
        round.begin(ms(0), true);
        let due = due(round);
        due.iter().for_each(|index| round.ask(*index));
        round.asked(ms(0), ms(50));
        due.iter().map(|index| round.take(*index, ms(1), Ok(()), false)).last()
    }

    #[test]
    fn few_questions_are_all_asked_and_many_only_until_all_are_well() {
        for (addresses, workers, is_sampled) in [(4, 8, false), (3, 11, true), (33, 1, true)] {
            let mut round = Round::new(addresses, workers, 1);
            for turn in 0..3 {
                round.begin(ms(0), true);
                let is_whole = due(&round).len() == addresses * workers;
                assert_eq!(is_whole, !is_sampled || turn == 0 || workers == 1, "{addresses} {workers} {turn}");
                make_well(&mut round);
            }
            round.begin(ms(0), false);
            assert_eq!(due(&round).len(), addresses * workers, "nothing may be sampled");
        }
    }

    #[test]
    fn every_sample_asks_each_address_and_each_worker_and_all_cells_have_their_turn() {
        for (addresses, workers) in [(64, 8), (8, 64), (64, 64), (7, 11), (11, 7), (1, 40), (40, 1)] {
            let mut round = Round::new(addresses, workers, 1);
            make_well(&mut round);
            let mut seen = vec![false; addresses * workers];
            for _ in 0..addresses.min(workers) {
                round.begin(ms(0), true);
                let due = due(&round);
                assert_eq!(due.len(), addresses.max(workers));
                let count = |of: &dyn Fn(usize) -> usize| due.iter().map(|i| of(*i)).collect::<BTreeSet<_>>().len();
                assert_eq!((count(&|cell| cell / workers), count(&|cell| cell % workers)), (addresses, workers));
                due.iter().for_each(|index| seen[*index] = true);
                round.cells.fill(ProbeState::Right);
            }
            assert_eq!(seen, vec![true; addresses * workers], "{addresses} {workers}");
        }
    }

    #[test]
    fn a_sample_that_is_right_proves_every_address_and_worker() {
        let mut round = Round::new(9, 4, 3);
        assert_eq!(make_well(&mut round), Some(AnswerEffect::Right), "the whole round proves each address for itself");
        assert_eq!(make_well(&mut round), Some(AnswerEffect::ProofOfAll));
        assert!((0..36).all(|index| round.cell(index) == ProbeState::Right) && !round.widen(ms(2)));
        assert_eq!(round.observe(8, true, |_| MissingCause::Late).proven, 4);
        assert_eq!(round.take(0, ms(3), Ok(()), false), AnswerEffect::Duplicate);
    }

    #[test]
    fn a_sample_that_is_not_right_becomes_a_whole_round() {
        for answer in [None, Some(Err(Wrong::Malformed))] {
            let mut round = Round::new(9, 4, 3);
            make_well(&mut round);
            round.begin(ms(100), true);
            let sample = due(&round);
            sample.iter().for_each(|index| round.ask(*index));
            round.asked(ms(100), ms(50));
            for index in &sample[1..] {
                assert_eq!(round.take(*index, ms(101), Ok(()), false), AnswerEffect::Right, "that proves nobody alone");
            }
            answer.into_iter().for_each(|wrong| _ = round.take(sample[0], ms(101), wrong, false));
            assert_eq!(
                (round.is_complete(), round.widen(ms(125)), round.widen(ms(125))),
                (answer.is_some(), true, false)
            );
            let rest = due(&round);
            assert_eq!(rest.len(), 36 - 9);
            rest.iter().for_each(|index| round.ask(*index));
            round.asked(ms(125), ms(50));
            assert_eq!((round.asked_at(sample[0]), round.asked_at(rest[0])), (ms(100), ms(125)));
            assert_eq!((round.sent(), round.deadline()), (ms(100), ms(175)));
            rest.iter().for_each(|index| _ = round.take(*index, ms(130), Ok(()), false));
            let seen = round.observe(0, true, |_| MissingCause::Late);
            assert_eq!((seen.proven, seen.late + seen.wrong), (3, 1));
            assert_eq!(round.observe(1, true, |_| MissingCause::Late).proven, 4);
            round.begin(ms(200), true);
            assert_eq!(due(&round).len(), 36, "until it is right again");
        }
    }

    #[test]
    fn a_sample_that_the_prover_slept_through_shows_nothing() {
        let mut round = Round::new(9, 4, 3);
        make_well(&mut round);
        round.begin(ms(100), true);
        let sample = due(&round);
        sample.iter().for_each(|index| round.ask(*index));
        round.asked(ms(100), ms(50));
        let now = ms(5000);
        sample.iter().for_each(|index| assert_eq!(round.take(*index, now, Ok(()), false), AnswerEffect::Late));
        assert!(!round.widen(now) && !round.is_on_time(now));
        assert_eq!(round.observe(0, false, |_| MissingCause::Late), Observation::NOTHING);
        assert_eq!(round.seen(0, false), Seen::Unknown);
    }
}
