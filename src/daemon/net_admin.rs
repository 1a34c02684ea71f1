//! CAP_NET_ADMIN between the start of the process and that of the route thread: one thread keeps it, no other has it.
//!
//! A thread inherits what the one that starts it may do, and what a thread has lost does not come back. So the
//! capability moves to a thread of its own before any other is started. That one binds the sockets, whose send buffers
//! may then be larger than `net.core.wmem_max`, and starts the route thread.

use std::io;
use std::sync::mpsc;
use std::thread;

use crate::announce::kernel;

/// The thread that keeps the capability for what needs it. It ends when this is dropped.
pub(super) struct NetAdminThread {
    work: mpsc::Sender<Work>,
}

/// What the thread is to do.
type Work = Box<dyn FnOnce() + Send>;

impl NetAdminThread {
    /// Starts the thread and takes the capability from the calling one. To be called while there is no other.
    ///
    /// What comes back besides is why the capability stays with the calling thread, and with all that it starts.
    ///
    /// # Errors
    /// The system has no thread for it.
    pub(super) fn start() -> io::Result<(Self, Option<String>)> {
        let (work, waiting) = mpsc::channel::<Work>();
        thread::Builder::new().name("net-admin".to_owned()).spawn(move || {
            for work in waiting {
                work();
            }
        })?;
        let kept = kernel::drop_elsewhere().err().map(|error| error.to_string());
        Ok((Self { work }, kept))
    }

    /// Has the work done with the capability, and waits for what comes of it.
    ///
    /// # Errors
    /// The thread panicked.
    pub(super) fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
        let (done, result) = mpsc::sync_channel(1);
        let work = Box::new(move || {
            // Who waits for it is below, and waits without a limit.
            let _ = done.send(work());
        });
        let sent = self.work.send(work).ok();
        sent.and_then(|()| result.recv().ok()).ok_or_else(|| io::Error::other("the thread that does it has panicked"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_done_on_another_thread_as_often_as_there_is_some() {
        let here = thread::current().id();
        // On a thread of its own, since the capability is not given back.
        let tried = thread::spawn(move || {
            let (privileged, _) = NetAdminThread::start().expect("a thread");
            let there = privileged.run(|| thread::current().id()).expect("no panic");
            assert_ne!(there, thread::current().id());
            assert_eq!(privileged.run(|| thread::current().id()).expect("no panic"), there);
            there
        });
        assert_ne!(tried.join().expect("no panic"), here);
    }

    #[test]
    fn work_that_panics_is_an_error() {
        let tried = thread::spawn(|| {
            let (privileged, _) = NetAdminThread::start().expect("a thread");
            privileged.run(|| panic!("as the test wants it")).is_err()
        });
        assert!(tried.join().expect("no panic outside"));
    }
}
