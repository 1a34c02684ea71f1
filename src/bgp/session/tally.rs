//! What is counted and remembered over all connections of a session.

use core::time::Duration;

use super::super::{Cause, Fault, MessageCounts};

/// Counters, and the last error of each kind.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Messages received.
    pub(super) received: MessageCounts,
    /// Messages sent.
    pub(super) sent: MessageCounts,
    /// Heartbeats that were due and did not leave for want of a proof.
    pub(super) withheld: u64,
    /// Sessions that came to Established.
    pub(super) established: u64,
    /// The last error that the neighbour was told.
    pub(super) last_sent: Option<Fault>,
    /// The last error that the neighbour told.
    pub(super) last_received: Option<Fault>,
    /// The last failure that no message told of.
    pub(super) last_failure: Option<Fault>,
}

impl Tally {
    /// Remembers why a state changed, if it is an error.
    pub(super) fn note(&mut self, now: Duration, cause: &Cause) {
        let place = match cause {
            Cause::Ended(..) => &mut self.last_sent,
            Cause::EndedByPeer(..) => &mut self.last_received,
            Cause::ConnectFailed(_)
            | Cause::ConnectTimedOut
            | Cause::Closed { .. }
            | Cause::OpenTimedOut
            | Cause::Reset => &mut self.last_failure,
            Cause::Begun
            | Cause::Due
            | Cause::Connected
            | Cause::OpenReceived
            | Cause::KeepaliveReceived
            | Cause::Proven
            | Cause::Stopped => return,
        };
        *place = Some(Fault { at: now, text: cause.to_string() });
    }
}
