//! Waking a thread out of a system call that waits, so that it looks again at what it is to do.
//!
//! Owns the handler of SIGURG, which does nothing: the call then ends with `EINTR`. The signal is ignored by default,
//! so that it does no harm should the handler be missing. Refuses to know what the threads are for.

use std::io;
use std::mem;
use std::ptr;
use std::sync::OnceLock;

/// Ends the system call that the thread waits in, if it does, with [`io::ErrorKind::Interrupted`].
///
/// A thread that is just about to wait misses it: interrupt again until it has done what it is to do. `tid` is the
/// kernel's number of a thread of this process that has not ended.
///
/// # Errors
/// What `sigaction` or `tgkill` says: `ESRCH` where this process has no such thread.
pub fn interrupt(tid: i32) -> io::Result<()> {
    static IS_INSTALLED: OnceLock<bool> = OnceLock::new();
    if !IS_INSTALLED.get_or_init(|| install().is_ok()) {
        return Err(io::Error::other("SIGURG cannot be handled"));
    }
    // SAFETY: the call takes three integers and no pointer. A thread of another process is not found, since the number
    // of this process is given.
    let status = unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), tid, libc::SIGURG) };
    if status != 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Installs the handler. Without `SA_RESTART`, or the calls would begin again by themselves.
fn install() -> io::Result<()> {
    extern "C" fn nothing(_signal: libc::c_int) {}
    // SAFETY: `sigaction` is plain data, for which all zero bits are a valid value: no flags, an empty mask.
    let mut action: libc::sigaction = unsafe { mem::zeroed() };
    action.sa_sigaction = nothing as *const () as usize;
    // SAFETY: `action` is initialised and lives through the call; its handler has the type that belongs to flags
    // without SA_SIGINFO, and calls nothing, so that it may run at any point of any thread.
    let status = unsafe { libc::sigaction(libc::SIGURG, &raw const action, ptr::null_mut()) };
    if status != 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::mmsg::{Batch, Wait};
    use crate::sys::sched::current_tid;
    use std::net::UdpSocket;
    use std::os::fd::AsFd;
    use std::sync::mpsc;
    use std::thread;
    use std::time::{Duration, Instant};

    #[test]
    fn a_thread_that_waits_for_datagrams_is_woken() {
        let (sender, receiver) = mpsc::channel();
        let (end_sender, ended) = mpsc::channel();
        let waiting = thread::spawn(move || {
            let socket = UdpSocket::bind("127.0.0.1:0").expect("loopback is there");
            sender.send(current_tid()).expect("the test listens");
            let kind = Batch::new().receive(socket.as_fd(), Wait::ForOne).map_err(|error| error.kind());
            end_sender.send(kind).expect("the test listens");
        });
        let (tid, start) = (receiver.recv().expect("the thread lives"), Instant::now());
        let kind = loop {
            assert!(start.elapsed() < Duration::from_secs(60), "it never woke");
            // An error: the thread has ended, and has said how.
            let _interrupted = interrupt(tid);
            if let Ok(kind) = ended.recv_timeout(Duration::from_millis(1)) {
                break kind;
            }
        };
        assert_eq!(kind, Err(io::ErrorKind::Interrupted));
        waiting.join().expect("the thread does not panic");
    }

    #[test]
    fn a_thread_that_is_not_there_is_an_error() {
        let error = interrupt(i32::MAX).expect_err("numbers end far below");
        assert_eq!(error.raw_os_error(), Some(libc::ESRCH));
    }
}
