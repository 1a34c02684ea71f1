//! The thread that holds the announcing tun, and drops what the kernel sends out over it.
//!
//! The device lives as long as its descriptor, and that stands in this thread's own table of open files: when the
//! process is killed, the device goes with this thread, however long the kernel takes for the memory of the others. A
//! real-time class lets it go first.
//!
//! Packets that come are for addresses of a covering prefix that nobody has. They are read, counted and dropped; never
//! answered and never written back, so that nothing can loop. A flood of them finds a full queue: this thread reads
//! [`PACKETS_MAX`] and then rests.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{RecvError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use super::{PRIORITY, RouteError};
use crate::sys::tun::Tun;
use crate::sys::{fd_table, poll, sched};

/// The thread; it ends when this value is dropped, and the device with it.
#[derive(Debug)]
pub(super) struct Sink {
    /// The device's index.
    index: u32,
    /// Set to end the thread.
    is_stopped: Arc<AtomicBool>,
    /// The thread.
    thread: Option<JoinHandle<()>>,
}

impl Sink {
    /// Makes the device `name` in the calling thread's network namespace, and counts its packets in `dropped`.
    ///
    /// # Errors
    /// Those of making the device; threads ran out.
    pub(super) fn start(name: &str, dropped: Arc<AtomicU64>) -> Result<Self, RouteError> {
        let is_stopped = Arc::new(AtomicBool::new(false));
        let (ready, started) = sync_channel(1);
        let (name, flag) = (name.to_owned(), Arc::clone(&is_stopped));
        let body = move || hold(&name, &flag, &dropped, &ready);
        let thread = std::thread::Builder::new().name("route-hold".into()).spawn(body);
        let thread = thread
            .map_err(|source| RouteError::Kernel { what: "a thread cannot be started".into(), source })
            .map(Some)?;
        match started.recv() {
            Ok(Ok(index)) => Ok(Self { index, is_stopped, thread }),
            Ok(Err(error)) => Err(error),
            Err(RecvError) => Err(RouteError::ThreadEnded),
        }
    }

    /// Returns the device's index.
    pub(super) fn index(&self) -> u32 {
        self.index
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.is_stopped.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            // A panic there was logged by the panic hook; the device is gone with its stack.
            let _ = thread.join();
        }
    }
}

/// The body of the thread.
fn hold(name: &str, is_stopped: &AtomicBool, dropped: &AtomicU64, ready: &SyncSender<Result<u32, RouteError>>) {
    if let Err(error) = fd_table::unshare(None) {
        tracing::warn!(%error, "a crash gives the route back only with the memory: the kernel has no close_range");
    }
    // Refused where the route thread's is, which says so.
    let _ = sched::set_realtime(PRIORITY);
    let opened = Tun::open(name).map_err(RouteError::from);
    if let Err(error) = super::drop_elsewhere() {
        tracing::warn!(%error, "the thread that holds the device keeps CAP_NET_ADMIN");
    }
    // Who waits for it is still there: it waits without a limit.
    let tun = match opened {
        Ok(tun) => {
            let _ = ready.send(Ok(tun.index()));
            tun
        }
        Err(error) => return drop(ready.send(Err(error))),
    };
    while !is_stopped.load(Ordering::Acquire) {
        match poll::wait_readable(&[tun.as_fd()], LOOK_EVERY) {
            Ok(false) => continue,
            Ok(true) => {}
            Err(error) => tracing::debug!(%error, "waiting for packets failed"),
        }
        if drop_packets(&tun, dropped).is_err() {
            // The device is gone; the route thread deals with that. The descriptor stays till the end all the same.
            std::thread::sleep(LOOK_EVERY);
        }
        std::thread::sleep(REST);
    }
}

/// Reads up to [`PACKETS_MAX`] packets.
fn drop_packets(tun: &Tun, dropped: &AtomicU64) -> io::Result<()> {
    let mut packet = [0; PACKET_BYTES];
    for _ in 0..PACKETS_MAX {
        match tun.read(&mut packet) {
            Ok(_) => _ = dropped.fetch_add(1, Ordering::Relaxed),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// How long the thread waits for packets before it looks whether it is to end.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How long it rests after reading.
const REST: Duration = Duration::from_millis(5);
/// The most packets that are read without a rest.
const PACKETS_MAX: usize = 64;
/// Only whole packets are counted, so their octets are not kept: the kernel cuts off what does not fit.
const PACKET_BYTES: usize = 64;
