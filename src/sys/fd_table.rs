//! A table of open files for one thread alone.
//!
//! Refuses to know what it will hold.

use std::io;

/// Gives the calling thread a table of open files of its own, empty but for the three standard streams.
///
/// What it opens from now on is closed when it ends, and when the process is killed: at once, not when the last thread
/// has given back the memory of the process. The thread must own no descriptor yet, and must use none of other threads
/// afterwards: their numbers mean nothing in its table, and what it opens means nothing to them.
///
/// # Errors
/// What `close_range` says (Linux 5.9): the table is shared as before then.
pub fn unshare() -> io::Result<()> {
    let (first, last) = (libc::STDERR_FILENO as libc::c_uint + 1, libc::c_uint::MAX);
    // SAFETY: the flag makes a copy of the table first, so that only this thread's numbers are closed, and by the
    // contract above no value of this thread stands for one of them.
    let status = unsafe { libc::syscall(libc::SYS_close_range, first, last, libc::CLOSE_RANGE_UNSHARE) };
    if status != 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, File};
    use std::io::Read;
    use std::os::fd::AsRawFd;
    use std::thread;

    #[test]
    fn what_one_thread_closes_and_opens_is_not_seen_by_others() {
        let mut ours = File::open("/proc/self/stat").expect("proc is mounted");
        let theirs = thread::spawn(move || {
            unshare().expect("the kernel is new enough");
            let file = File::open("/proc/self/status").expect("proc is mounted");
            let link = |number: i32| fs::read_link(format!("/proc/thread-self/fd/{number}"));
            (file.as_raw_fd(), link(file.as_raw_fd()).expect("it is open here"))
        });
        let (number, path) = theirs.join().expect("the thread does not panic");
        assert_eq!(number, 3, "the table was empty: {}", path.display());
        let mut text = String::new();
        ours.read_to_string(&mut text).expect("it is still open here");
    }
}
