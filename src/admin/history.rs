//! The last changes of stance, each with its cause and how long each step took: what status shows of why.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::reply::{Stance, StanceChange, Step};

/// The most changes that are kept; one more drops the oldest.
pub const TRANSITIONS_MAX: usize = 32;
/// The most steps that are kept of one change; more are not noted.
pub const STEPS_MAX: usize = 16;

/// The last changes of stance.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// From old to new, each with its number and its moment.
    kept: VecDeque<(u64, Instant, StanceChange)>,
    /// The number of the next one.
    next: u64,
}

impl History {
    /// Notes a change, and returns its number for [`History::step`].
    pub fn begin(&mut self, now: Instant, address: &str, from: Stance, to: Stance, cause: &str) -> u64 {
        if self.kept.len() == TRANSITIONS_MAX {
            self.kept.pop_front();
        }
        let number = self.next;
        self.next += 1;
        let (address, cause) = (address.to_owned(), cause.to_owned());
        self.kept.push_back((number, now, StanceChange { age_ms: 0, address, from, to, cause, steps: Vec::new() }));
        number
    }

    /// Notes that something was done about a change. One that is no longer kept is passed over.
    pub fn step(&mut self, number: u64, what: &str, took: Duration) {
        let found = self.kept.iter_mut().rev().find(|(known, ..)| *known == number);
        let Some((_, _, transition)) = found.filter(|(_, _, transition)| transition.steps.len() < STEPS_MAX) else {
            return;
        };
        let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        transition.steps.push(Step { what: what.to_owned(), took_us });
    }

    /// The changes as status shows them, the newest first.
    #[must_use]
    pub fn transitions(&self, now: Instant) -> Vec<StanceChange> {
        let shown = |(_, at, transition): &(u64, Instant, StanceChange)| {
            let age = now.saturating_duration_since(*at);
            StanceChange { age_ms: u64::try_from(age.as_millis()).unwrap_or(u64::MAX), ..transition.clone() }
        };
        self.kept.iter().rev().map(shown).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_stands_first_with_its_steps_and_age() {
        let (mut history, start) = (History::default(), Instant::now());
        let first = history.begin(start, "192.0.2.53", Stance::Withdraw, Stance::Announce, "20 good rounds");
        let later = start + Duration::from_millis(5);
        history.begin(later, "192.0.2.53", Stance::Announce, Stance::Withdraw, "drained");
        history.step(first, "address added", Duration::from_micros(70));
        let shown = history.transitions(later);
        assert_eq!((shown[0].cause.as_str(), shown[0].age_ms, shown[0].steps.len()), ("drained", 0, 0));
        assert_eq!((shown[1].age_ms, shown[1].from, shown[1].to), (5, Stance::Withdraw, Stance::Announce));
        assert_eq!(shown[1].steps, [Step { what: "address added".to_owned(), took_us: 70 }]);
    }

    #[test]
    fn old_changes_and_too_many_steps_are_dropped() {
        let (mut history, now) = (History::default(), Instant::now());
        let numbers: Vec<u64> = (0..=TRANSITIONS_MAX)
            .map(|at| history.begin(now, "a", Stance::Announce, Stance::Withdraw, &at.to_string()))
            .collect();
        for _ in 0..=STEPS_MAX {
            history.step(numbers[1], "x", Duration::ZERO);
        }
        history.step(numbers[0], "too late", Duration::ZERO);
        let shown = history.transitions(now);
        assert_eq!(shown.len(), TRANSITIONS_MAX);
        assert_eq!(
            (shown[TRANSITIONS_MAX - 1].cause.as_str(), shown[TRANSITIONS_MAX - 1].steps.len()),
            ("1", STEPS_MAX)
        );
    }
}
