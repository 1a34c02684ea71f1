//! A table of open files for one thread alone.
//!
//! Refuses to know what it will hold.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Gives the calling thread a table of open files of its own, empty but for the three standard streams and `kept`.
///
/// What it opens from now on is closed when it ends, and when the process is killed: at once, not when the last thread
/// has given back the memory of the process. The thread must own no descriptor yet, and must use none of other threads
/// afterwards but `kept`, which stands in both tables under its number: other numbers mean nothing in its table, and
/// what it opens means nothing to them.
///
/// # Errors
/// What `close_range` says (Linux 5.9): the table is shared as before then.
pub fn unshare(kept: Option<BorrowedFd<'_>>) -> io::Result<()> {
    let first = libc::STDERR_FILENO as libc::c_uint + 1;
    let kept = kept.and_then(|kept| libc::c_uint::try_from(kept.as_raw_fd()).ok()).filter(|kept| *kept >= first);
    match kept {
        None => close_own(first, libc::c_uint::MAX),
        // The second call finds a table that is this thread's alone, and leaves it so. An empty range is refused.
        Some(kept) => {
            close_own(kept + 1, libc::c_uint::MAX)?;
            if kept > first { close_own(first, kept - 1) } else { Ok(()) }
        }
    }
}

/// Closes the numbers from `first` to `last` in a table of this thread's own, which it makes where there is none.
fn close_own(first: libc::c_uint, last: libc::c_uint) -> io::Result<()> {
    // SAFETY: the flag makes a copy of the table first, so that only this thread's numbers are closed, and by the
    // contract of `unshare` no value of this thread stands for one of them.
    let status = unsafe { libc::syscall(libc::SYS_close_range, first, last, libc::CLOSE_RANGE_UNSHARE) };
    if status != 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, File};
    use std::io::Read;
    use std::os::fd::AsFd;
    use std::thread;

    #[test]
    fn what_one_thread_closes_and_opens_is_not_seen_by_others() {
        let mut ours = File::open("/proc/self/stat").expect("proc is mounted");
        let theirs = thread::spawn(move || {
            unshare(None).expect("the kernel is new enough");
            let file = File::open("/proc/self/status").expect("proc is mounted");
            let link = |number: i32| fs::read_link(format!("/proc/thread-self/fd/{number}"));
            (file.as_raw_fd(), link(file.as_raw_fd()).expect("it is open here"))
        });
        let (number, path) = theirs.join().expect("the thread does not panic");
        assert_eq!(number, 3, "the table was empty: {}", path.display());
        let mut text = String::new();
        ours.read_to_string(&mut text).expect("it is still open here");
    }
    #[test]
    fn what_is_kept_stands_in_both_tables_and_nothing_else_does() {
        let sockets: Vec<_> = (0..3).map(|_| std::os::unix::net::UnixDatagram::pair().expect("descriptors")).collect();
        let (theirs, ours) = (sockets[1].0.as_raw_fd(), &sockets[1].1);
        thread::scope(|scope| {
            let body = || {
                unshare(Some(sockets[1].0.as_fd())).expect("the kernel is new enough");
                sockets[1].0.send(b"kept").expect("it is open here");
                // The last entry is the folder that is read.
                let count = fs::read_dir("/proc/thread-self/fd").expect("proc is mounted").count();
                (count, fs::read_link(format!("/proc/thread-self/fd/{theirs}")).is_ok())
            };
            assert_eq!(scope.spawn(body).join().expect("the thread does not panic"), (5, true));
        });
        let mut octets = [0; 8];
        assert_eq!(ours.recv(&mut octets).expect("it came"), 4);
        sockets[2].0.send(b"here").expect("the others are open here");
    }
}
