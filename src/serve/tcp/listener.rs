//! A TCP listener that several threads accept from.
//!
//! Refuses to know who accepts and what becomes of the connections.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::sys::socket;

/// A listener, shared by all TCP threads. Its socket does not block.
#[derive(Debug)]
pub(in crate::serve) struct Listener {
    /// The socket.
    socket: TcpListener,
    /// How many connections were taken off its queue.
    accepted: AtomicU64,
}

/// Who waits to be accepted at a listener.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpQueue {
    /// Connections that wait now.
    pub waiting: u32,
    /// Connections that were accepted since the start.
    pub accepted: u64,
    /// Connections that the kernel did not even let wait, since this queue or that of unfinished handshakes was full.
    /// Wraps.
    pub dropped: u32,
}

impl Listener {
    /// Takes a connection off the queue and counts it.
    ///
    /// # Errors
    /// See [`socket::accept`]; [`io::ErrorKind::WouldBlock`] where nobody waits.
    pub(super) fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let accepted = socket::accept(self.as_fd())?;
        self.accepted.fetch_add(1, Ordering::Relaxed);
        Ok(accepted)
    }

    /// Returns who waits to be accepted. Two system calls.
    ///
    /// # Errors
    /// What `getsockopt` says.
    pub(super) fn queue(&self) -> io::Result<TcpQueue> {
        Ok(TcpQueue {
            waiting: socket::waiting_connections(self.as_fd())?,
            accepted: self.accepted.load(Ordering::Relaxed),
            dropped: socket::dropped_datagrams(self.as_fd())?,
        })
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl From<TcpListener> for Listener {
    fn from(socket: TcpListener) -> Self {
        Self { socket, accepted: AtomicU64::new(0) }
    }
}
