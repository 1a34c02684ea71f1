//! The threads that read zones: as many as there are CPUs, shared by all files that are read at once, or by all zones
//! that come from primaries.
//!
//! Whoever works is one of them; work in parts takes those that are idle for as long as it lasts. So many small zones
//! are read side by side, and a big one that is left over gets all threads.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::zonebuild::Executor;

/// The most threads that read zones at once: more would only ask for memory.
const THREADS_MAX: usize = 16;

/// How many threads there may be at once, and how many of them are idle.
#[derive(Debug)]
pub struct ThreadPool {
    all: usize,
    idle: AtomicUsize,
}

impl ThreadPool {
    /// One thread for each CPU, of which one is the caller.
    #[must_use]
    pub fn new() -> Self {
        let all = thread::available_parallelism().map_or(1, usize::from).min(THREADS_MAX);
        Self { all, idle: AtomicUsize::new(all - 1) }
    }

    /// Takes up to `wanted` idle threads.
    fn take(&self, wanted: usize) -> usize {
        let left = |idle: usize| Some(idle.saturating_sub(wanted));
        // The closure always has an answer.
        self.idle.fetch_update(Ordering::Relaxed, Ordering::Relaxed, left).map_or(0, |idle| idle.min(wanted))
    }
}

impl Default for ThreadPool {
    fn default() -> Self {
        Self::new()
    }
}

impl Executor for ThreadPool {
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
            for number in 1..=self.take(count.saturating_sub(1)) {
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

/// Gives one thread back when it is dropped.
struct GiveBack<'a>(&'a ThreadPool);

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
    fn each_number_is_worked_on_once_and_all_threads_are_idle_again() {
        let threads = ThreadPool { all: 4, idle: AtomicUsize::new(3) };
        let seen = Mutex::new(HashSet::new());
        threads.run(100, &|number| {
            threads.run(3, &|_| ());
            assert!(seen.lock().expect("no panic").insert(number));
        });
        assert_eq!(seen.into_inner().expect("no panic"), (0..100).collect());
        assert_eq!(threads.idle.into_inner(), 3);
    }

    #[test]
    fn a_panic_reaches_the_caller_and_costs_no_thread() {
        let threads = ThreadPool { all: 4, idle: AtomicUsize::new(3) };
        let outcome = catch_unwind(AssertUnwindSafe(|| threads.run(8, &|number| assert_ne!(number, 5, "planned"))));
        assert!(outcome.is_err());
        assert_eq!(threads.idle.into_inner(), 3);
    }
}
