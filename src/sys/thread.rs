//! What a thread may ask of the scheduler, and what a process may ask of memory: real time, idling, locked pages, no core.
//!
//! Refuses to know what the threads are for. Everything here may be refused by the kernel; callers warn and go on.

use std::io;

use caps::{CapSet, Capability};

/// A thread as the kernel numbers it (`gettid`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ThreadId(libc::pid_t);

impl ThreadId {
    /// Returns the calling thread.
    #[must_use]
    pub fn current() -> Self {
        // SAFETY: the call takes no argument and cannot fail.
        Self(unsafe { libc::gettid() })
    }

    /// Returns the number, as `/proc/self/task` has it.
    #[must_use]
    pub fn number(self) -> i32 {
        self.0
    }
}

/// A scheduling class that runs before all ordinary threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RealTime {
    /// Threads of one priority take turns (`SCHED_RR`).
    RoundRobin,
    /// A thread runs until it waits (`SCHED_FIFO`).
    Fifo,
}

/// Puts the calling thread into a real-time class; threads that it starts are ordinary again (`SCHED_RESET_ON_FORK`).
///
/// `priority` runs from 1, the least, to 99. Source: sched(7).
///
/// # Errors
/// `EPERM` without CAP_SYS_NICE and with RLIMIT_RTPRIO below `priority`, or in a cgroup without real-time budget;
/// `EINVAL` for a priority out of range.
pub fn become_real_time(class: RealTime, priority: u8) -> io::Result<()> {
    let policy = match class {
        RealTime::RoundRobin => libc::SCHED_RR,
        RealTime::Fifo => libc::SCHED_FIFO,
    };
    set_scheduler(ThreadId(0), policy | libc::SCHED_RESET_ON_FORK, i32::from(priority))
}

/// Lets `thread` run only when nothing else wants its CPU (`SCHED_IDLE`).
///
/// # Errors
/// `ESRCH` when there is no such thread any more, `EPERM` when it is somebody else's.
pub fn idle(thread: ThreadId) -> io::Result<()> {
    set_scheduler(thread, libc::SCHED_IDLE, 0)
}

/// Keeps every page of the process in memory once it was touched, now and from now on.
///
/// # Errors
/// [`io::ErrorKind::PermissionDenied`] where the process may lock only a part of its memory: then a later mapping over
/// the limit would fail, so nothing is locked. Otherwise what `mlockall` says.
pub fn lock_memory() -> io::Result<()> {
    if !may_lock_all()? {
        return Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            "RLIMIT_MEMLOCK is limited and CAP_IPC_LOCK is not granted",
        ));
    }
    // SAFETY: the call takes no pointer; it changes no page's content.
    let status = unsafe { libc::mlockall(libc::MCL_CURRENT | libc::MCL_FUTURE | libc::MCL_ONFAULT) };
    if status != 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Keeps the kernel from writing a core when the process crashes, which would hold its descriptors open meanwhile.
///
/// The hard limit stays, so that an operator can still ask for one with `prlimit`.
///
/// # Errors
/// What `getrlimit` or `setrlimit` says.
pub fn forbid_core() -> io::Result<()> {
    let mut limit = limit_of(libc::RLIMIT_CORE)?;
    limit.rlim_cur = 0;
    // SAFETY: `limit` is initialised and lives through the call; the kernel only reads it.
    let status = unsafe { libc::setrlimit(libc::RLIMIT_CORE, &raw const limit) };
    if status != 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Whether all memory may be locked, however much it becomes. Source: mlock(2).
fn may_lock_all() -> io::Result<bool> {
    let is_capable = caps::has_cap(None, CapSet::Effective, Capability::CAP_IPC_LOCK).map_err(io::Error::other)?;
    Ok(is_capable || limit_of(libc::RLIMIT_MEMLOCK)?.rlim_cur == libc::RLIM_INFINITY)
}

/// Reads one limit.
fn limit_of(resource: libc::__rlimit_resource_t) -> io::Result<libc::rlimit> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is live and exclusively borrowed; the kernel writes one `rlimit` into it.
    let status = unsafe { libc::getrlimit(resource, &raw mut limit) };
    if status != 0 { Err(io::Error::last_os_error()) } else { Ok(limit) }
}

/// Sets class and priority of a thread; number 0 is the calling one.
fn set_scheduler(thread: ThreadId, policy: libc::c_int, priority: libc::c_int) -> io::Result<()> {
    // SAFETY: `sched_param` is made of integers (and, in some libraries, arrays of them), valid as all zero bits.
    let mut parameter: libc::sched_param = unsafe { std::mem::zeroed() };
    parameter.sched_priority = priority;
    // SAFETY: the kernel reads one `sched_param`, which lives through the call. The system call is made directly
    // since not every C library passes a thread's number on.
    let status = unsafe { libc::syscall(libc::SYS_sched_setscheduler, thread.0, policy, &raw const parameter) };
    if status != 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The scheduling policy of a thread as the kernel tells it: field 41 of `/proc/self/task/TID/stat`.
    fn policy_of(thread: ThreadId) -> String {
        let text = std::fs::read_to_string(format!("/proc/self/task/{}/stat", thread.number())).expect("it runs");
        let (_, fields) = text.rsplit_once(") ").expect("the name ends");
        fields.split(' ').nth(38).expect("the kernel is new enough").to_owned()
    }

    #[test]
    fn an_idle_thread_is_told_by_the_kernel() {
        std::thread::spawn(|| {
            let thread = ThreadId::current();
            assert_eq!(policy_of(thread), "0");
            idle(thread).expect("less is always granted");
            assert_eq!(policy_of(thread), libc::SCHED_IDLE.to_string());
        })
        .join()
        .expect("no panic");
    }

    #[test]
    fn real_time_is_granted_or_refused_and_never_passed_on() {
        std::thread::spawn(|| match become_real_time(RealTime::RoundRobin, 1) {
            Ok(()) => {
                assert_eq!(policy_of(ThreadId::current()), libc::SCHED_RR.to_string());
                let child = std::thread::spawn(|| policy_of(ThreadId::current()));
                assert_eq!(child.join().expect("no panic"), "0");
            }
            Err(error) => assert_eq!(error.raw_os_error(), Some(libc::EPERM)),
        })
        .join()
        .expect("no panic");
    }

    #[test]
    fn a_priority_out_of_range_and_a_missing_thread_are_refused() {
        let out_of_range = become_real_time(RealTime::Fifo, 0).expect_err("1 is the least");
        assert_eq!(out_of_range.raw_os_error(), Some(libc::EINVAL));
        let ended = std::thread::spawn(ThreadId::current);
        let thread = ended.join().expect("no panic");
        let missing = loop {
            // The kernel may need a moment to forget a thread that was joined.
            if let Err(error) = idle(thread) {
                break error;
            }
            std::thread::yield_now();
        };
        assert_eq!(missing.raw_os_error(), Some(libc::ESRCH));
    }

    #[test]
    fn no_core_is_written_once_forbidden() {
        forbid_core().expect("less is always granted");
        assert_eq!(limit_of(libc::RLIMIT_CORE).expect("the limit can be read").rlim_cur, 0);
    }
}
