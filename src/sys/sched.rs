//! Which class of the scheduler a thread is in.
//!
//! Refuses to know what the threads are for. The calls are made by number: one of the C libraries that we are built with
//! has them as stubs only.

use std::io;

/// Returns the kernel's number of the calling thread.
#[must_use]
pub fn current_tid() -> i32 {
    // SAFETY: the call takes no argument and cannot fail.
    unsafe { libc::syscall(libc::SYS_gettid) as i32 }
}

/// Puts a thread of this process into SCHED_IDLE: from now on it gets only what CPU time nobody else wants.
///
/// `tid` is the kernel's number of the thread, which must not have ended: its number may belong to another one then.
/// Needs no privilege.
///
/// # Errors
/// What `sched_setscheduler` says: `ESRCH` where there is no such thread.
pub fn make_idle(tid: i32) -> io::Result<()> {
    set_class(tid, libc::SCHED_IDLE)
}

/// Puts the calling thread back into the default class if it is in a real-time class, as after being made by such a
/// thread; does nothing otherwise. Needs no privilege.
///
/// # Errors
/// What `sched_getscheduler` or `sched_setscheduler` says.
pub fn leave_real_time() -> io::Result<()> {
    match class(0)? {
        libc::SCHED_FIFO | libc::SCHED_RR => set_class(0, libc::SCHED_OTHER),
        _ => Ok(()),
    }
}

/// Reads the class of a thread, 0 being the calling one.
fn class(tid: i32) -> io::Result<i32> {
    // SAFETY: the call takes one integer and no pointer.
    let class = unsafe { libc::syscall(libc::SYS_sched_getscheduler, tid) };
    // This flag is told with the class.
    if class < 0 { Err(io::Error::last_os_error()) } else { Ok(class as i32 & !libc::SCHED_RESET_ON_FORK) }
}

/// Sets the class of a thread, 0 being the calling one, with priority 0: no real-time class has it.
fn set_class(tid: i32, class: i32) -> io::Result<()> {
    // The kernel's `sched_param` is one integer; some C libraries have more in theirs.
    let priority: libc::c_int = 0;
    // SAFETY: `priority` lives through the call and is what the kernel reads; it writes nothing.
    let status = unsafe { libc::syscall(libc::SYS_sched_setscheduler, tid, class, &raw const priority) };
    if status != 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;
    use std::thread;

    #[test]
    fn another_thread_can_be_made_idle_and_the_caller_stays() {
        let (tell, told) = mpsc::channel();
        let (release, released) = mpsc::channel::<()>();
        let other = thread::spawn(move || {
            tell.send(current_tid()).expect("the test listens");
            // An error: the test has let go.
            let _released = released.recv();
            class(0).expect("the class can be read")
        });
        let before = class(0).expect("the class can be read");
        make_idle(told.recv().expect("the thread lives")).expect("it is our thread");
        drop(release);
        assert_eq!(other.join().expect("the thread does not panic"), libc::SCHED_IDLE);
        assert_eq!(class(0).expect("the class can be read"), before);
    }

    #[test]
    fn a_thread_that_is_not_there_is_an_error() {
        let error = make_idle(i32::MAX).expect_err("numbers end far below");
        assert_eq!(error.raw_os_error(), Some(libc::ESRCH));
    }

    #[test]
    fn a_real_time_class_is_left_and_any_other_kept() {
        thread::spawn(|| {
            set_class(0, libc::SCHED_BATCH).expect("needs no privilege");
            leave_real_time().expect("nothing is changed");
            assert_eq!(class(0).expect("the class can be read"), libc::SCHED_BATCH);
            let priority: libc::c_int = 1;
            // SAFETY: as in `set_class`.
            let status =
                unsafe { libc::syscall(libc::SYS_sched_setscheduler, 0, libc::SCHED_FIFO, &raw const priority) };
            if status != 0 {
                return eprintln!("SKIPPED in part: no real-time class: {}", io::Error::last_os_error());
            }
            leave_real_time().expect("needs no privilege");
            assert_eq!(class(0).expect("the class can be read"), libc::SCHED_OTHER);
        })
        .join()
        .expect("the thread does not panic");
    }
}
