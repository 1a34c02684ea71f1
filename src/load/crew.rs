//! The threads that read zones: as many as there are CPUs, shared by all files that are read at once.
//!
//! Who works has one hand of the house; work in parts takes those that are idle for as long as it lasts. So many
//! small zones are read side by side, and a big one that is left over gets all hands.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::build::Executor;

/// The most threads that read zones at once: more would only ask for memory.
const THREADS_MAX: usize = 16;

/// All hands, and how many are idle.
pub(super) struct House {
    all: usize,
    idle: AtomicUsize,
}

impl House {
    /// One hand for each CPU, of which one is the caller's.
    pub(super) fn new() -> Self {
        let all = thread::available_parallelism().map_or(1, usize::from).min(THREADS_MAX);
        Self { all, idle: AtomicUsize::new(all - 1) }
    }

    /// Takes up to `wanted` idle hands.
    fn hire(&self, wanted: usize) -> usize {
        let left = |idle: usize| Some(idle.saturating_sub(wanted));
        // The closure always has an answer.
        self.idle.fetch_update(Ordering::Relaxed, Ordering::Relaxed, left).map_or(0, |idle| idle.min(wanted))
    }
}

impl Executor for House {
    fn parallelism(&self) -> usize {
        self.all
    }

    fn run(&self, count: usize, work: &(dyn Fn(usize) + Sync)) {
        let next = AtomicUsize::new(0);
        let take_turns = || {
            // Each thread takes the next number that nobody has taken.
            while let Some(number) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|number| *number < count) {
                work(number);
            }
        };
        thread::scope(|scope| {
            for number in 1..=self.hire(count.saturating_sub(1)) {
                let helper = move || {
                    // Idle again even if the work panics, which the scope hands on.
                    let _back = GiveBack(self);
                    take_turns();
                };
                // Where no thread can be had, fewer do the same work.
                if thread::Builder::new().name(format!("load-{number}")).spawn_scoped(scope, helper).is_err() {
                    drop(GiveBack(self));
                }
            }
            take_turns();
        });
    }
}

/// Gives one hand back when it is dropped.
struct GiveBack<'a>(&'a House);

impl Drop for GiveBack<'_> {
    fn drop(&mut self) {
        self.0.idle.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn each_number_is_worked_on_once_and_all_hands_come_back() {
        let house = House { all: 4, idle: AtomicUsize::new(3) };
        let seen = Mutex::new(HashSet::new());
        house.run(100, &|number| {
            house.run(3, &|_| ());
            assert!(seen.lock().expect("no panic").insert(number));
        });
        assert_eq!(seen.into_inner().expect("no panic"), (0..100).collect());
        assert_eq!(house.idle.into_inner(), 3);
    }

    #[test]
    fn a_panic_reaches_the_caller_and_costs_no_hand() {
        let house = House { all: 4, idle: AtomicUsize::new(3) };
        let outcome = catch_unwind(AssertUnwindSafe(|| house.run(8, &|number| assert_ne!(number, 5, "planned"))));
        assert!(outcome.is_err());
        assert_eq!(house.idle.into_inner(), 3);
    }
}
