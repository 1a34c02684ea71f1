//! Zones that are to be asked for, by primary, and how many of each are under way. Pure.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;

use crate::wire::SharedName;

/// The most zones that are asked for at once.
pub(super) const ATTEMPTS_MAX: usize = 512;
/// The most of them at one primary: BIND answers what is more with SERVFAIL (`transfers-out`, 10 by default).
pub(super) const ATTEMPTS_PER_PRIMARY_MAX: usize = 10;

/// Which of the zones that had a name one after another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Generation(pub(super) u64);

impl Generation {
    /// Counts one more, and returns it.
    pub(super) fn next(&mut self) -> Self {
        self.0 += 1;
        *self
    }
}

/// Zones that wait for their turn. Primaries take turns; a step costs the same however many zones wait.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    primaries: HashMap<IpAddr, Primary>,
    /// Those of which a zone waits that may be asked for, each once.
    ready: VecDeque<IpAddr>,
    /// Attempts under way.
    attempts: usize,
}

/// What waits for one primary.
#[derive(Debug, Default)]
struct Primary {
    zones: VecDeque<(SharedName, Generation)>,
    attempts: usize,
}

impl Primary {
    /// Whether a zone waits that may be asked for.
    fn is_ready(&self) -> bool {
        !self.zones.is_empty() && self.attempts < ATTEMPTS_PER_PRIMARY_MAX
    }
}

impl Waiting {
    /// Puts a zone behind those that wait for that primary.
    pub(super) fn push(&mut self, primary: IpAddr, name: SharedName, generation: Generation) {
        self.change(primary, |known| known.zones.push_back((name, generation)));
    }

    /// Takes the next zone that may be asked for; it counts as under way until [`Self::end`].
    pub(super) fn next(&mut self) -> Option<(IpAddr, SharedName, Generation)> {
        if self.attempts >= ATTEMPTS_MAX {
            return None;
        }
        let primary = self.ready.pop_front()?;
        let known = self.primaries.get_mut(&primary)?;
        let (name, generation) = known.zones.pop_front()?;
        known.attempts += 1;
        self.attempts += 1;
        if known.is_ready() {
            self.ready.push_back(primary);
        }
        Some((primary, name, generation))
    }

    /// Notes that an attempt ended.
    pub(super) fn end(&mut self, primary: IpAddr) {
        self.attempts = self.attempts.saturating_sub(1);
        self.change(primary, |known| known.attempts = known.attempts.saturating_sub(1));
    }

    /// Changes what is known of a primary, and notes whether it is ready now.
    fn change(&mut self, primary: IpAddr, change: impl FnOnce(&mut Primary)) {
        let known = self.primaries.entry(primary).or_default();
        let was_ready = known.is_ready();
        change(known);
        if known.is_ready() && !was_ready {
            self.ready.push_back(primary);
        }
        if known.zones.is_empty() && known.attempts == 0 {
            self.primaries.remove(&primary);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Name;

    fn name(index: usize) -> SharedName {
        format!("z{index}.").parse::<Name>().expect("a name").as_ref().into()
    }

    fn address(index: u8) -> IpAddr {
        [192, 0, 2, index].into()
    }

    #[test]
    fn primaries_take_turns_and_none_has_more_than_its_share() {
        let mut waiting = Waiting::default();
        (0..30).for_each(|index| waiting.push(address(1), name(index), Generation(0)));
        (30..33).for_each(|index| waiting.push(address(2), name(index), Generation(0)));
        let begun: Vec<IpAddr> = std::iter::from_fn(|| waiting.next()).map(|(primary, ..)| primary).collect();
        assert_eq!(begun[..6], [1, 2, 1, 2, 1, 2].map(address));
        assert_eq!(begun.len(), ATTEMPTS_PER_PRIMARY_MAX + 3);
        waiting.end(address(2));
        assert!(waiting.next().is_none(), "nothing waits for it");
        waiting.end(address(1));
        assert_eq!(waiting.next().map(|(primary, name, _)| (primary, name)), Some((address(1), name(10))));
        assert!(waiting.next().is_none());
    }

    #[test]
    fn all_together_are_bounded_and_nothing_is_left_behind() {
        let mut waiting = Waiting::default();
        for index in 0..1000 {
            waiting.push(address((index % 250) as u8), name(index), Generation(0));
        }
        let mut under_way: VecDeque<IpAddr> = VecDeque::new();
        let mut count = 0;
        loop {
            while let Some((primary, ..)) = waiting.next() {
                under_way.push_back(primary);
                count += 1;
            }
            assert!(under_way.len() <= ATTEMPTS_MAX);
            let Some(primary) = under_way.pop_front() else { break };
            waiting.end(primary);
        }
        assert_eq!((count, waiting.primaries.len(), waiting.ready.len()), (1000, 0, 0));
    }
}
