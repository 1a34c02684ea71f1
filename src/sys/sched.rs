//! How the kernel schedules a thread: its class, and how exactly its timers end.
//!
//! Refuses to know what the threads are for. The calls are made by number: one of the C libraries that we are built
//! with has them as stubs only.

use std::io;
use std::num::NonZeroU64;
use std::time::Duration;

/// Returns the kernel's number of the calling thread.
#[must_use]
pub fn current_tid() -> i32 {
    rustix::thread::gettid().as_raw_nonzero().get()
}

/// Puts a thread of this process into SCHED_IDLE: from now on it gets only what CPU time nobody else wants.
///
/// `tid` is the kernel's number of the thread, which must not have ended: its number may belong to another one then.
/// Needs no privilege.
///
/// # Errors
/// What `sched_setscheduler` says: `ESRCH` where there is no such thread.
pub fn make_idle(tid: i32) -> io::Result<()> {
    set_class(tid, libc::SCHED_IDLE, 0)
}

/// Puts the calling thread into the real-time class `SCHED_FIFO` with `priority` (1 to 99).
///
/// Threads that it starts from then on are ordinary again (`SCHED_RESET_ON_FORK`; sched(7)), so that a worker that is
/// started by a real-time thread does not take a CPU for itself.
///
/// # Errors
/// What `sched_setscheduler` says: `EPERM` without `CAP_SYS_NICE` and with a `RLIMIT_RTPRIO` below `priority`, or in a
/// control group without real-time bandwidth; `EINVAL` for a priority out of range.
pub fn set_realtime(priority: i32) -> io::Result<()> {
    set_class(0, libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK, priority)
}

/// Lets timers of the calling thread end at most `slack` later than asked for (`PR_SET_TIMERSLACK`; 50 µs by default).
///
/// A slack of zero would mean the default and is taken as one nanosecond. Real-time threads have none in any case.
///
/// # Errors
/// What `prctl` says.
pub fn set_timer_slack(slack: Duration) -> io::Result<()> {
    let nanos = u64::try_from(slack.as_nanos()).unwrap_or(u64::MAX);
    Ok(rustix::thread::set_current_timer_slack(Some(NonZeroU64::new(nanos).unwrap_or(NonZeroU64::MIN)))?)
}

/// How a thread is scheduled, as the kernel reads and writes it (`struct sched_attr`, sched_setattr(2)).
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Attributes {
    size: u32,
    policy: u32,
    flags: u64,
    nice: i32,
    priority: u32,
    /// Of an ordinary thread: its slice in nanoseconds.
    runtime: u64,
    deadline: u64,
    period: u64,
}

/// Asks for slices of so much CPU time for the calling thread, which is an ordinary one. Who has a shorter slice than
/// the thread that runs may take the CPU from it as soon as it wakes, and gets no more of it in the long run.
///
/// Linux knows it from 6.12 on, from 0.1 to 100 ms; an older one accepts and ignores it. Needs no privilege.
///
/// # Errors
/// What `sched_getattr` and `sched_setattr` say, for instance in a sandbox that forbids them.
pub fn set_slice(slice: Duration) -> io::Result<()> {
    set_attributes(&Attributes { runtime: u64::try_from(slice.as_nanos()).unwrap_or(u64::MAX), ..attributes()? })
}

/// Lets the calling thread, which is an ordinary one, and those that it starts from then on stand back behind others
/// by so many steps of niceness: each takes a fifth off their share of a CPU that others want as well. Needs no
/// privilege.
///
/// # Errors
/// What `sched_getattr` and `sched_setattr` say, for instance in a sandbox that forbids them.
pub fn lower_priority(steps: u8) -> io::Result<()> {
    let before = attributes()?;
    set_attributes(&Attributes { nice: NICE_MAX.min(before.nice + i32::from(steps)), ..before })
}

/// The nicest that a thread can be.
const NICE_MAX: i32 = 19;

/// How the calling thread is scheduled.
fn attributes() -> io::Result<Attributes> {
    let mut attributes = Attributes::default();
    let size = size_of::<Attributes>();
    // SAFETY: `attributes` lives through the call and is borrowed by nobody else; the kernel writes at most `size`
    // octets.
    let status = unsafe { libc::syscall(libc::SYS_sched_getattr, 0, &raw mut attributes, size, 0) };
    if status != 0 { Err(io::Error::last_os_error()) } else { Ok(attributes) }
}

/// Sets how the calling thread is scheduled.
fn set_attributes(attributes: &Attributes) -> io::Result<()> {
    // SAFETY: `attributes` lives through the call, and says its own size; the kernel only reads it.
    let status = unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const *attributes, 0) };
    if status != 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Sets class and priority of a thread, 0 being the calling one. Only real-time classes have a priority other than 0.
fn set_class(tid: i32, class: i32, priority: libc::c_int) -> io::Result<()> {
    // The kernel's `sched_param` is one integer; some C libraries have more in theirs.
    // SAFETY: `priority` lives through the call and is what the kernel reads; it writes nothing.
    let status = unsafe { libc::syscall(libc::SYS_sched_setscheduler, tid, class, &raw const priority) };
    if status != 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;
    use std::thread;

    /// The scheduling policy of the calling thread, as `/proc` shows it (field 41 of proc_pid_stat(5)).
    fn policy() -> String {
        let stat = std::fs::read_to_string("/proc/thread-self/stat").expect("proc is mounted");
        let behind = stat.rsplit_once(')').expect("the name stands in parentheses").1;
        behind.split_whitespace().nth(38).expect("the field is there").to_owned()
    }

    #[test]
    fn another_thread_can_be_made_idle_and_the_caller_stays() {
        let (sender, receiver) = mpsc::channel();
        let (release, released) = mpsc::channel::<()>();
        let other = thread::spawn(move || {
            sender.send(current_tid()).expect("the test listens");
            // An error: the test has let go.
            let _released = released.recv();
            policy()
        });
        let before = policy();
        make_idle(receiver.recv().expect("the thread lives")).expect("it is our thread");
        drop(release);
        assert_eq!(other.join().expect("the thread does not panic"), libc::SCHED_IDLE.to_string());
        assert_eq!(policy(), before);
    }

    #[test]
    fn a_thread_that_is_not_there_is_an_error() {
        let error = make_idle(i32::MAX).expect_err("numbers end far below");
        assert_eq!(error.raw_os_error(), Some(libc::ESRCH));
    }

    #[test]
    fn a_realtime_thread_starts_ordinary_threads() {
        let outcome = thread::spawn(|| {
            set_realtime(1)?;
            let child = thread::spawn(policy).join().expect("the child does not panic");
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
    fn the_slice_is_set_where_the_kernel_has_slices() {
        let outcome = thread::spawn(|| {
            let before = attributes()?;
            set_slice(Duration::from_micros(150))?;
            Ok::<_, io::Error>((before, attributes()?, policy()))
        });
        let (before, after, policy) = outcome.join().expect("the thread does not panic").expect("nothing forbids it");
        // A kernel without them shows none.
        let has_slices = before.runtime != 0;
        assert_eq!(after.runtime, if has_slices { 150_000 } else { 0 });
        assert_eq!((before.nice, before.policy), (after.nice, after.policy));
        assert_eq!(policy, "0");
    }

    #[test]
    fn a_thread_that_stands_back_starts_others_that_do_and_keeps_its_slice() {
        let outcome = thread::spawn(|| {
            let before = attributes()?;
            lower_priority(2)?;
            let (after, child) = (attributes()?, thread::spawn(attributes).join().expect("the child does not panic")?);
            lower_priority(u8::MAX)?;
            Ok::<_, io::Error>((before, after, child, attributes()?))
        });
        let outcome = outcome.join().expect("the thread does not panic").expect("nothing forbids it");
        let (before, after, child, last) = outcome;
        let expected = NICE_MAX.min(before.nice + 2);
        assert_eq!((after.nice, child.nice, last.nice), (expected, expected, NICE_MAX));
        assert_eq!((before.policy, before.runtime), (after.policy, after.runtime));
    }

    #[test]
    fn the_slack_is_set() {
        let reading = thread::spawn(|| {
            set_timer_slack(Duration::from_nanos(1234)).expect("the slack can be set");
            std::fs::read_to_string("/proc/thread-self/timerslack_ns")
        });
        // Some sandboxes hide the file; where it is there, it shows what was set.
        if let Ok(text) = reading.join().expect("the thread does not panic") {
            assert_eq!(text.trim(), "1234");
        }
    }
}
