//! Why connections end, and how that is counted.

use crate::metrics::{HandshakeFault, TcpBlock};

/// Why a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::serve) enum CloseReason {
    /// The client closed it.
    Closed,
    /// The server stops, or the thread was replaced.
    Stopped,
    /// No query came for the idle timeout.
    Idle,
    /// A message was begun and not finished in time.
    SlowWriter,
    /// Replies were not taken in time.
    SlowReader,
    /// A message had no room for a header.
    Malformed,
    /// The connection was reset or failed.
    Broken,
    /// A stream of replies panicked, which was counted then.
    Panicked,
    /// TLS was not set up.
    Handshake(HandshakeFault),
}

impl CloseReason {
    /// Counts an end.
    pub(super) fn count(self, block: &TcpBlock) {
        match self {
            Self::Closed | Self::Stopped | Self::Panicked => {}
            Self::Idle => block.idle_timeouts.add(1),
            Self::SlowWriter => block.read_timeouts.add(1),
            Self::SlowReader => block.write_timeouts.add(1),
            Self::Malformed => block.malformed.add(1),
            Self::Broken => block.broken.add(1),
            Self::Handshake(fault) => block.handshakes.count_fault(fault),
        }
        block.closed.add(1);
    }
}
