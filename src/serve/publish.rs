//! The exchange of snapshots: readers never wait, and no reader ever frees a zone.
//!
//! Refuses to know what is in a snapshot.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;

use crate::answer::Snapshot;

/// Makes `next` the snapshot that every batch from now on is answered from.
///
/// Returns when no thread reads the old snapshot any more, normally within a millisecond, and frees it here unless the
/// caller or somebody else kept a pointer to it. Freeing a big zone takes time: call this from a thread that may
/// block. Where somebody holds on to the old snapshot for longer than `GRACE_TIME_MAX` (a stream of replies, a wedged
/// worker), a thread of its own waits for that instead, so that the last pointer is never dropped by whoever answers.
pub fn publish(current: &ArcSwap<Snapshot>, next: Arc<Snapshot>) {
    retire(current.swap(next), GRACE_TIME_MAX);
}

/// Drops `old` here within `grace_time_max` once nobody else holds it, and on a thread of its own otherwise.
///
/// After the swap no new reader can come, so that the count of holders only falls.
fn retire(old: Arc<Snapshot>, grace_time_max: Duration) {
    let start = Instant::now();
    let mut pause = PAUSE_FIRST;
    while Arc::strong_count(&old) > 1 {
        if start.elapsed() >= grace_time_max {
            // Each such thread waits for at least one holder of its own, a connection or a worker, which bounds their
            // number.
            let spare = Arc::clone(&old);
            let waiter = thread::Builder::new().name("retire".to_owned()).spawn(move || wait_and_drop(old));
            if let Err(error) = waiter {
                tracing::warn!(%error, "an old snapshot cannot be freed and stays in memory");
                std::mem::forget(spare);
            }
            return;
        }
        thread::sleep(pause);
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// Waits until nobody else holds `old`, however long that takes, and drops it.
fn wait_and_drop(old: Arc<Snapshot>) {
    while Arc::strong_count(&old) > 1 {
        thread::sleep(PAUSE_MAX);
    }
}

/// How long [`publish`] itself waits for the readers of the old snapshot: longer than a worker does without a CPU, and
/// not for streams, which may take minutes.
const GRACE_TIME_MAX: Duration = Duration::from_millis(100);

/// The first pause between two looks; a batch takes less than this.
const PAUSE_FIRST: Duration = Duration::from_micros(100);

/// The longest pause between two looks.
const PAUSE_MAX: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_old_snapshot_is_gone_when_nobody_reads_it() {
        let first = Arc::new(Snapshot::default());
        let watched = Arc::downgrade(&first);
        let current = ArcSwap::new(first);
        publish(&current, Arc::new(Snapshot::default()));
        assert_eq!(watched.strong_count(), 0);
    }

    #[test]
    fn a_reader_that_lets_go_does_not_free_it() {
        let current = Arc::new(ArcSwap::new(Arc::new(Snapshot::default())));
        let watched = Arc::downgrade(&current.load_full());
        let guard = current.load();
        let publisher = {
            let current = Arc::clone(&current);
            thread::spawn(move || publish(&current, Arc::new(Snapshot::default())))
        };
        // One is counted for the publisher and one for the reader, whose guard is counted a moment after the swap.
        let start = Instant::now();
        while watched.strong_count() < 2 {
            assert!(start.elapsed() < Duration::from_secs(20), "the publisher still holds what the reader reads");
            thread::yield_now();
        }
        drop(guard);
        publisher.join().expect("publishing does not panic");
        assert_eq!(watched.strong_count(), 0);
    }

    #[test]
    fn a_holder_that_stays_does_not_block_and_loses_nothing() {
        let old = Arc::new(Snapshot::default());
        let kept = Arc::clone(&old);
        retire(old, Duration::ZERO);
        let watched = Arc::downgrade(&kept);
        drop(kept);
        let start = Instant::now();
        while watched.strong_count() > 0 {
            assert!(start.elapsed() < Duration::from_secs(20), "the waiting thread never freed it");
            thread::yield_now();
        }
    }
}
