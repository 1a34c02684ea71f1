//! What the handle of the speaker and its thread share, and why there can be none.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use arc_swap::ArcSwap;

use super::seen::Seen;
use crate::policy::Decision;
use crate::sys::waker::Waker;

/// What the handle and the thread share.
pub(super) struct Shared {
    /// What is wanted of each address of all services.
    pub(super) wanted: Mutex<Vec<Decision>>,
    /// Wakes the thread.
    pub(super) waker: Waker,
    /// Whether the thread is to end the sessions, and itself.
    pub(super) is_closing: AtomicBool,
    /// What the thread has published last.
    pub(super) seen: ArcSwap<Seen>,
    /// Wakes who waits for something to be seen.
    pub(super) published: (Mutex<()>, Condvar),
    /// What all moments count from.
    pub(super) origin: Instant,
}

/// Why there can be no speaker. Each says what to change.
#[derive(Debug, thiserror::Error)]
pub enum SpeakerError {
    /// Another BFD daemon runs here.
    #[error("UDP port {port} can't be had for BFD ({source}): end the BFD daemon that has it, or leave `bfd` out")]
    Bfd {
        /// The port.
        port: u16,
        /// What the kernel says.
        source: io::Error,
    },
    /// The port for passive neighbours is taken, or may not be had.
    #[error(
        "TCP {address} can't be listened on for passive neighbours ({source}): end the BGP daemon that has it, grant \
         CAP_NET_BIND_SERVICE, or set `local-port`"
    )]
    Listen {
        /// Where.
        address: SocketAddr,
        /// What the kernel says.
        source: io::Error,
    },
    /// There is no address to take the BGP identifier from.
    #[error("no local address leads to {neighbor} ({source}): give `bgp.router-id`")]
    RouterId {
        /// The first neighbour over IPv4.
        neighbor: SocketAddr,
        /// What the kernel says.
        source: io::Error,
    },
    /// The kernel refuses something for another reason.
    #[error("{what}: {source}")]
    Kernel {
        /// What was tried.
        what: &'static str,
        /// What the kernel says.
        source: io::Error,
    },
    /// The thread ended before it was ready.
    #[error("the BGP thread ended before it was ready; the log says why")]
    ThreadEnded,
}

impl Shared {
    /// Wakes the thread.
    pub(super) fn wake(&self) {
        if let Err(error) = self.waker.wake() {
            // It looks every now and then in any case.
            tracing::debug!(%error, "the BGP thread can't be woken");
        }
    }

    /// Publishes what was seen.
    pub(super) fn publish(&self, seen: Seen) {
        self.seen.store(Arc::new(seen));
        let _guard = lock(&self.published.0);
        self.published.1.notify_all();
    }
}

/// Locks; a holder that panicked has changed nothing by halves.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
