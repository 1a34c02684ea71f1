//! How the kernel schedules the calling thread: its class, and how exactly its timers end.
//!
//! Refuses to know what the thread is for.

use std::io;
use std::time::Duration;

/// Puts the calling thread into the real-time class `SCHED_FIFO` with `priority` (1 to 99).
///
/// Threads that it starts from then on are ordinary again (`SCHED_RESET_ON_FORK`; sched(7)), so that a worker that is
/// started by a real-time thread does not take a CPU for itself.
///
/// # Errors
/// What `sched_setscheduler` says: `EPERM` without `CAP_SYS_NICE` and with a `RLIMIT_RTPRIO` below `priority`, or in a
/// control group without real-time bandwidth; `EINVAL` for a priority out of range.
pub fn set_realtime(priority: i32) -> io::Result<()> {
    let parameters = libc::sched_param { sched_priority: priority };
    let policy = libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK;
    // SAFETY: process number 0 is the calling thread; `parameters` lives through the call and is only read.
    let status = unsafe { libc::sched_setscheduler(0, policy, &raw const parameters) };
    if status != 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Lets timers of the calling thread end at most `slack` later than asked for (`PR_SET_TIMERSLACK`; 50 µs by default).
///
/// A slack of zero would mean the default and is taken as one nanosecond. Real-time threads have none in any case.
///
/// # Errors
/// What `prctl` says.
pub fn set_timer_slack(slack: Duration) -> io::Result<()> {
    let nanos = libc::c_ulong::try_from(slack.as_nanos()).unwrap_or(libc::c_ulong::MAX).max(1);
    // SAFETY: this request takes one integer and no pointer.
    let status = unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, nanos, 0, 0, 0) };
    if status != 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The scheduling policy of the calling thread, as `/proc` tells it (field 41 of proc_pid_stat(5)).
    fn policy() -> String {
        let stat = std::fs::read_to_string("/proc/thread-self/stat").expect("proc is mounted");
        let behind = stat.rsplit_once(')').expect("the name stands in parentheses").1;
        behind.split_whitespace().nth(38).expect("the field is there").to_owned()
    }

    #[test]
    fn a_realtime_thread_starts_ordinary_threads() {
        let outcome = std::thread::spawn(|| {
            set_realtime(1)?;
            let child = std::thread::spawn(policy).join().expect("the child does not panic");
            Ok::<_, io::Error>((policy(), child))
        });
        match outcome.join().expect("the thread does not panic") {
            Ok((own, child)) => assert_eq!((own.as_str(), child.as_str()), ("1", "0")),
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::PermissionDenied),
        }
    }

    #[test]
    fn a_priority_that_there_is_not_is_refused() {
        assert!(set_realtime(1000).is_err());
    }

    #[test]
    fn the_slack_is_set() {
        let told = std::thread::spawn(|| {
            set_timer_slack(Duration::from_nanos(1234)).expect("the slack can be set");
            std::fs::read_to_string("/proc/thread-self/timerslack_ns")
        });
        // Some sandboxes hide the file; where it is there, it tells what was set.
        if let Ok(text) = told.join().expect("the thread does not panic") {
            assert_eq!(text.trim(), "1234");
        }
    }
}
