//! Whether the path that probes take can be trusted to be that of clients: learned from the start on, an address for
//! itself.
//!
//! Pure. A probe that fails over the path and is answered around it is the fault of the path, not of the worker.

use crate::policy::Observation;

/// How the path to an address does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PathState {
    /// No round has shown yet.
    #[default]
    Unknown,
    /// Probes come through.
    Trusted,
    /// Some come through, and some only around it: something drops a part of them.
    Lossy,
    /// None comes through, though workers answer.
    Silent,
}

/// What is known of the path to one address.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct PathTrust {
    /// How it does.
    state: PathState,
    /// What the last rounds showed, all the same.
    shown: PathState,
    /// In how many rounds in a row.
    rounds: u32,
}

impl PathTrust {
    /// Takes a round in; returns the new state where it is another one. A fault has to show in `fall` rounds in a row.
    pub(super) fn learn(&mut self, round: &Observation, fall: u32) -> Option<PathState> {
        let is_around = round.detoured > 0 || round.served > 0;
        let shown = match (round.proven > 0, is_around) {
            (true, false) => PathState::Trusted,
            (true, true) => PathState::Lossy,
            (false, true) => PathState::Silent,
            // Nothing came over any path: that says how the workers are.
            (false, false) => return None,
        };
        self.rounds = if shown == self.shown { self.rounds.saturating_add(1) } else { 1 };
        self.shown = shown;
        let needed = match (self.state, shown) {
            (PathState::Unknown, PathState::Trusted) => 1,
            // What drops a part of the probes lets whole rounds pass now and then.
            (_, PathState::Trusted) => GOOD_ROUNDS,
            _ => fall.max(1),
        };
        let is_new = shown != self.state && round.is_judged && self.rounds >= needed;
        is_new.then(|| {
            self.state = shown;
            shown
        })
    }

    /// Whether it is as well to ask around the path at once.
    pub(super) fn is_doubted(&self) -> bool {
        let is_fault = |state| matches!(state, PathState::Lossy | PathState::Silent);
        is_fault(self.state) || is_fault(self.shown)
    }

    /// How the path does.
    pub(super) fn state(&self) -> PathState {
        self.state
    }
}

/// So many rounds without a fault, one second with the defaults, and the path is trusted again.
const GOOD_ROUNDS: u32 = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_shows_after_fall_rounds_and_is_over_after_many_good_ones() {
        let round = |proven, detoured| Observation { proven, detoured, is_judged: true, ..Observation::NOTHING };
        let (good, part, none, dead) = (round(2, 0), round(1, 1), round(0, 2), round(0, 0));
        let mut trust = PathTrust::default();
        let mut learn = |round: &Observation, count: u32| (0..count).find_map(|_| trust.learn(round, 2));
        assert_eq!(learn(&dead, 9), None, "workers that are dead show nothing of the path");
        assert_eq!(learn(&good, 1), Some(PathState::Trusted));
        assert_eq!((learn(&none, 1), learn(&good, 5), learn(&none, 1)), (None, None, None), "one loss is none");
        assert_eq!(
            (learn(&none, 1), learn(&part, 1), learn(&part, 1)),
            (Some(PathState::Silent), None, Some(PathState::Lossy))
        );
        assert_eq!((learn(&good, 19), learn(&part, 1), learn(&good, 19)), (None, None, None));
        assert_eq!((learn(&good, 1), trust.is_doubted()), (Some(PathState::Trusted), false));
        assert_eq!(PathTrust::default().learn(&none, 1), Some(PathState::Silent), "from the start on");
    }
}
