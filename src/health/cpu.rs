//! Whether a silent worker had a CPU, from the scheduler's statistics of its thread.
//!
//! Source: `schedstat` in the kernel's `Documentation/scheduler/sched-stats.rst` (time on a CPU and time in a run
//! queue, in nanoseconds, then the number of time slices); proc_pid_stat(5) (state).

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::time::Duration;

/// What the scheduler has counted for a thread since it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct CpuTimes {
    /// On a CPU.
    pub(super) ran: Duration,
    /// Runnable, without a CPU. The kernel adds a wait only when it ends.
    pub(super) waited: Duration,
}

/// Reads the counters of one thread; its file stays open while the thread is the same.
#[derive(Debug, Default)]
pub(super) struct CpuWatch {
    /// The thread and its open `schedstat`.
    watched: Option<(i32, File)>,
}

impl CpuWatch {
    /// Returns the counters of thread `tid` of this process; `None` where it is gone or the kernel does not count.
    pub(super) fn read(&mut self, tid: Option<i32>) -> Option<CpuTimes> {
        let tid = tid?;
        if self.watched.as_ref().is_none_or(|(watched, _)| *watched != tid) {
            self.watched = File::open(format!("/proc/self/task/{tid}/schedstat")).ok().map(|file| (tid, file));
        }
        let (_, file) = self.watched.as_ref()?;
        let mut text = [0; SCHEDSTAT_BYTES_MAX];
        let Ok(length) = file.read_at(&mut text, 0) else {
            self.watched = None;
            return None;
        };
        parse_schedstat(std::str::from_utf8(text.get(..length)?).ok()?)
    }
}

/// Whether the thread `tid` of this process is running or waits for a CPU.
#[must_use]
pub(super) fn is_runnable(tid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/self/task/{tid}/stat")).unwrap_or_default();
    // The name of the thread may hold anything, parentheses included.
    stat.rsplit_once(") ").is_some_and(|(_, behind)| behind.starts_with('R'))
}

/// Whether a thread was kept waiting for a CPU for at least half of `elapsed`, in which its counters grew by `grown`.
///
/// While a thread waits, the wait is not in the counters yet: of a runnable thread, what it did not run it waited.
#[must_use]
pub(super) fn is_starved(elapsed: Duration, grown: CpuTimes, is_runnable: bool) -> bool {
    let waited = if is_runnable { elapsed.saturating_sub(grown.ran) } else { grown.waited };
    waited >= elapsed / 2
}

/// Reads the first two numbers.
fn parse_schedstat(text: &str) -> Option<CpuTimes> {
    let mut numbers = text.split_ascii_whitespace().map(|number| number.parse().ok().map(Duration::from_nanos));
    Some(CpuTimes { ran: numbers.next()??, waited: numbers.next()?? })
}

impl CpuTimes {
    /// What was added since `before`.
    #[must_use]
    pub(super) fn since(self, before: Self) -> Self {
        Self { ran: self.ran.saturating_sub(before.ran), waited: self.waited.saturating_sub(before.waited) }
    }
}

/// Three numbers of at most 20 digits, with some to spare.
const SCHEDSTAT_BYTES_MAX: usize = 96;

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    #[test]
    fn waiting_and_sleeping_and_spinning_are_told_apart() {
        let grown = |ran, waited| CpuTimes { ran: ms(ran), waited: ms(waited) };
        for (grown, is_runnable, starved) in [
            (grown(0, 0), false, false),
            (grown(0, 0), true, true),
            (grown(50, 0), true, false),
            (grown(30, 20), true, false),
            (grown(20, 30), true, true),
            (grown(1, 25), false, true),
            (grown(1, 24), false, false),
        ] {
            assert_eq!(is_starved(ms(50), grown, is_runnable), starved, "{grown:?} {is_runnable}");
        }
    }

    #[test]
    fn the_counters_of_a_thread_are_read_while_it_lives() {
        assert_eq!(
            parse_schedstat("12 34 5\n"),
            Some(CpuTimes { ran: Duration::from_nanos(12), waited: Duration::from_nanos(34) })
        );
        assert_eq!((parse_schedstat(""), parse_schedstat("1 x 2")), (None, None));
        let link = fs::read_link("/proc/thread-self").expect("proc is mounted");
        let tid = link.file_name().and_then(|name| name.to_str()?.parse().ok()).expect("the last part is the thread");
        assert!(is_runnable(tid), "it runs this");
        let mut watch = CpuWatch::default();
        if let Some(first) = watch.read(Some(tid)) {
            while watch.read(Some(tid)).expect("the thread lives").ran == first.ran {
                std::hint::spin_loop();
            }
        }
        assert_eq!((watch.read(None), watch.read(Some(-1))), (None, None));
    }
}
