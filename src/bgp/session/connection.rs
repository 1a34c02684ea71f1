//! One connection: its addresses, the message that is arriving, and what the neighbour has not taken.

use core::time::Duration;

use super::super::Link;
use super::super::frames::Frames;

/// A connection that is up.
#[derive(Debug)]
pub(super) struct Connection {
    /// Its addresses.
    pub(super) link: Link,
    /// The message that is arriving.
    pub(super) frames: Frames,
    /// Octets that the socket had not taken when that was last told.
    unsent: usize,
    /// Octets sent since.
    sent_since: usize,
    /// Since when the socket has taken nothing of what waits.
    stuck_since: Option<Duration>,
}

impl Connection {
    /// Makes a connection of which nothing is sent or received.
    pub(super) fn new(link: Link) -> Self {
        Self { link, frames: Frames::default(), unsent: 0, sent_since: 0, stuck_since: None }
    }

    /// Takes note that octets are sent.
    pub(super) fn note_sent(&mut self, bytes: usize) {
        self.sent_since = self.sent_since.saturating_add(bytes);
    }

    /// Takes note of what the socket has not taken.
    pub(super) fn note_unsent(&mut self, now: Duration, unsent: usize) {
        let is_progress = unsent < self.unsent.saturating_add(self.sent_since);
        self.stuck_since = if unsent == 0 { None } else { self.stuck_since.filter(|_| !is_progress).or(Some(now)) };
        (self.unsent, self.sent_since) = (unsent, 0);
    }

    /// Returns how much the socket had not taken when that was last told.
    pub(super) fn unsent(&self) -> usize {
        self.unsent
    }

    /// Returns since when the socket has taken nothing, if anything waits.
    pub(super) fn stuck_since(&self) -> Option<Duration> {
        self.stuck_since
    }
}
