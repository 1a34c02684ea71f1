//! What the kernel sends out over the announcing tun: read, counted, dropped, in an ordinary thread of its own.
//!
//! Such packets are for addresses of a covering prefix that nobody has. They are never answered and never written back,
//! so that nothing can loop. The thread has no real-time class: a flood of them takes no time from the route thread.

use std::io::{self, PipeReader, PipeWriter};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use crate::sys::epoll::Epoll;
use crate::sys::tun::Tun;

/// The thread; it ends when this value is dropped, and lets go of the device.
#[derive(Debug)]
pub(super) struct Sink {
    /// Its end is what the thread waits for.
    stop: Option<PipeWriter>,
    /// The thread.
    thread: Option<JoinHandle<()>>,
}

impl Sink {
    /// Starts reading from `tun` and counting in `dropped`.
    ///
    /// # Errors
    /// Descriptors or threads ran out.
    pub(super) fn start(tun: Arc<Tun>, dropped: Arc<AtomicU64>) -> io::Result<Self> {
        let (stopped, stop) = io::pipe()?;
        let epoll = Epoll::new()?;
        epoll.watch(stopped.as_fd(), STOP)?;
        epoll.watch(tun.as_fd(), PACKETS)?;
        let thread = std::thread::Builder::new().name("route-drop".into()).spawn(move || {
            if let Err(error) = super::drop_elsewhere() {
                tracing::warn!(%error, "the thread that drops packets keeps CAP_NET_ADMIN");
            }
            run(epoll, &stopped, &tun, &dropped);
        })?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic there has been told by the panic hook, and nothing depends on that thread.
            let _ = thread.join();
        }
    }
}

/// Reads until the pipe is closed or the device is gone.
fn run(mut epoll: Epoll, _stopped: &PipeReader, tun: &Tun, dropped: &AtomicU64) {
    let mut packet = [0; PACKET_BYTES];
    loop {
        let ready = match epoll.wait() {
            Ok(ready) => ready,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => return,
        };
        for index in 0..ready {
            match epoll.token(index) {
                Some(PACKETS) => {}
                Some(_) | None => return,
            }
            match tun.read(&mut packet) {
                Ok(_) => _ = dropped.fetch_add(1, Ordering::Relaxed),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // The device is gone; the route thread deals with that.
                Err(_) => return,
            }
        }
    }
}

/// The token of the pipe.
const STOP: usize = 0;
/// The token of the device.
const PACKETS: usize = 1;
/// Only whole packets are counted, so their octets need no room: the kernel cuts off what does not fit.
const PACKET_BYTES: usize = 64;
