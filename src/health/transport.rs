//! How probes reach the workers and replies come back, behind one trait.
//!
//! Refuses to know what the probes say.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

/// Takes queries to a service address and brings replies back.
pub trait ProbeTransport: Send {
    /// Sends one query. Does not block.
    ///
    /// # Errors
    /// Whatever keeps the query from being sent.
    fn send(&mut self, to: SocketAddr, query: &[u8]) -> io::Result<()>;

    /// Sends one query around the path that clients take, where there is such a way. Does not block.
    ///
    /// # Errors
    /// [`io::ErrorKind::Unsupported`] where there is none, otherwise whatever keeps the query from being sent.
    fn send_around(&mut self, to: SocketAddr, query: &[u8]) -> io::Result<()> {
        let _ = (to, query);
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Takes one datagram that has arrived, without waiting: where it came from and what is in it, in `buffer`.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] if none is there, [`io::ErrorKind::InvalidData`] for something that is no datagram
    /// for us (there may be more behind it), otherwise what the system says.
    fn receive<'b>(&mut self, buffer: &'b mut [u8]) -> io::Result<(SocketAddr, &'b [u8])>;

    /// Waits until something may have arrived, but not longer than `timeout`.
    ///
    /// # Errors
    /// What the system says.
    fn wait(&mut self, timeout: Duration) -> io::Result<()>;
}
