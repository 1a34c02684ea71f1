//! Work in parts that may be done at once. Starts no threads: the caller brings them.

use std::sync::{Mutex, PoisonError};

/// Does work that comes in parts, perhaps on several threads.
pub trait Executor: Sync {
    /// How many parts are done at once, at most; 1 at least.
    fn parallelism(&self) -> usize;

    /// Calls `work` once with each number below `count`, in any order, perhaps several at once; returns when all calls
    /// have. A panic of one call is the caller's.
    fn run(&self, count: usize, work: &(dyn Fn(usize) + Sync));
}

/// The thread that asks does it all.
#[derive(Clone, Copy, Debug)]
pub struct Inline;

impl Executor for Inline {
    fn parallelism(&self) -> usize {
        1
    }

    fn run(&self, count: usize, work: &(dyn Fn(usize) + Sync)) {
        (0..count).for_each(work);
    }
}

/// Makes something of each item, in their order; an item is dropped as soon as it is done with.
pub(crate) fn map<I: Send, T: Send>(
    executor: &dyn Executor,
    items: Vec<I>,
    make: impl Fn(usize, I) -> T + Sync,
) -> Vec<T> {
    if items.len() == 1 || executor.parallelism() == 1 {
        return items.into_iter().enumerate().map(|(number, item)| make(number, item)).collect();
    }
    let slots: Vec<Mutex<(Option<I>, Option<T>)>> = items.into_iter().map(|i| Mutex::new((Some(i), None))).collect();
    executor.run(slots.len(), &|number| {
        // Nobody else has the number; a lock that a panic left behind ends the whole run.
        let mut slot = slots[number].lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(item) = slot.0.take() {
            slot.1 = Some(make(number, item));
        }
    });
    let made = |slot: Mutex<(Option<I>, Option<T>)>| slot.into_inner().unwrap_or_else(PoisonError::into_inner).1;
    slots.into_iter().map(|slot| made(slot).expect("a executor calls with each number")).collect()
}
