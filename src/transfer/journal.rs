//! The last changes of a zone, from which secondaries are sent what they lack. Copies share their steps.

use std::sync::Arc;

use super::change::{Change, is_serial_before};
use crate::persistent::List;

/// Steps that follow each other, the oldest first.
#[derive(Clone, Debug, Default)]
pub struct Journal {
    steps: List<Arc<Change>>,
    /// Octets of all steps.
    bytes: usize,
}

/// What is left of a journal from some step on.
#[derive(Clone, Debug)]
pub struct StepsFrom {
    steps: List<Arc<Change>>,
    next: usize,
}

impl Journal {
    /// Takes the next step. Old steps go where all together have more octets than `bytes_max`; all do where this one
    /// does not follow them.
    pub fn push(&mut self, change: Arc<Change>, bytes_max: usize) {
        let last = self.last_serial();
        if !is_serial_before(change.from.serial(), change.to.serial()) {
            *self = Self::default();
            return;
        }
        if last.is_some_and(|last| last != change.from.serial()) {
            *self = Self::default();
        }
        self.bytes += change.bytes();
        let to = change.to.serial();
        self.steps.insert(self.steps.len(), change);
        // Serials further apart than that cannot be compared.
        let is_too_old = |step: &Change| !is_serial_before(step.from.serial(), to);
        while self.steps.get(0).is_some_and(|oldest| self.bytes > bytes_max || is_too_old(oldest)) {
            self.bytes -= self.steps.remove(0).bytes();
        }
    }

    /// The serial to which the last step leads.
    pub fn last_serial(&self) -> Option<u32> {
        self.steps.iter_from(self.steps.len().checked_sub(1)?).next().map(|step| step.to.serial())
    }

    /// The steps, the oldest first.
    pub fn steps(&self) -> impl Iterator<Item = &Arc<Change>> {
        self.steps.iter()
    }

    /// How many steps there are.
    pub fn len(&self) -> usize {
        self.steps.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Octets of all steps in memory.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The steps from `serial` to `current`, if all are there and have no more than `records_max` records together.
    pub fn since(&self, serial: u32, current: u32, records_max: usize) -> Option<StepsFrom> {
        if self.last_serial()? != current {
            return None;
        }
        let distance = |step: &Arc<Change>| current.wrapping_sub(step.from.serial());
        let index = self.steps.search(|step| current.wrapping_sub(serial).cmp(&distance(step))).ok()?;
        let mut left = records_max;
        for step in self.steps.iter_from(index) {
            left = left.checked_sub(step.record_count())?;
        }
        Some(StepsFrom { steps: self.steps.clone(), next: index })
    }
}

impl Iterator for StepsFrom {
    type Item = Arc<Change>;

    fn next(&mut self) -> Option<Arc<Change>> {
        let step = self.steps.get(self.next).cloned()?;
        self.next += 1;
        Some(step)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transfer::change::{Records, Soa};

    fn step(from: u32, to: u32) -> Arc<Change> {
        let soa = |serial: u32| {
            let rdata = [&[0, 0][..], &serial.to_be_bytes(), &[0; 16]].concat();
            Soa::new(0, &rdata).expect("a SOA")
        };
        Arc::new(Change { from: soa(from), to: soa(to), deleted: Records::default(), added: Records::default() })
    }

    fn serials(journal: &Journal, since: u32, current: u32) -> Option<Vec<u32>> {
        let steps = journal.since(since, current, 100)?;
        Some(steps.map(|step| step.to.serial()).collect())
    }

    #[test]
    fn steps_are_found_by_serial_around_its_end() {
        let mut journal = Journal::default();
        let all = [u32::MAX - 5, u32::MAX, 3, 4, 100];
        for pair in all.windows(2) {
            journal.push(step(pair[0], pair[1]), usize::MAX);
        }
        assert_eq!(serials(&journal, u32::MAX - 5, 100), Some(vec![u32::MAX, 3, 4, 100]));
        assert_eq!(serials(&journal, 3, 100), Some(vec![4, 100]));
        assert_eq!(serials(&journal, 5, 100), None, "no version had that serial");
        assert_eq!(serials(&journal, 3, 101), None, "the last step is missing");
        assert!(journal.since(3, 100, 3).is_none(), "too dear");
    }

    #[test]
    fn a_gap_or_a_step_back_leaves_nothing_older() {
        let mut journal = Journal::default();
        journal.push(step(1, 2), usize::MAX);
        journal.push(step(5, 6), usize::MAX);
        assert_eq!((journal.len(), serials(&journal, 5, 6)), (1, Some(vec![6])));
        journal.push(step(6, 4), usize::MAX);
        assert_eq!((journal.len(), journal.bytes()), (0, 0));
    }

    #[test]
    fn what_is_too_old_or_too_much_goes() {
        let bytes = step(1, 2).bytes();
        let mut journal = Journal::default();
        for serial in 1..10 {
            journal.push(step(serial, serial + 1), 3 * bytes);
        }
        assert_eq!((journal.len(), journal.bytes()), (3, 3 * bytes));
        assert_eq!(serials(&journal, 7, 10), Some(vec![8, 9, 10]));
        journal.push(step(10, 9 + (1 << 31)), usize::MAX);
        assert_eq!(journal.len(), 2, "serials that cannot be compared: from 9 and 10 on they can");
    }
}
