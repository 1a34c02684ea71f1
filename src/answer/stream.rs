//! Replies of more than one message, such as zone transfers (RFC 5936 §2.2).

use core::fmt::Debug;
use core::time::Duration;

use crate::wire::Name;

/// The messages of one reply, written one at a time, whenever the transport has room for one.
///
/// A stream owns what its messages are made from (an `Arc` of a zone, say), so that a reload changes nothing about it.
/// It may move between threads.
pub trait ReplyStream: Debug + Send {
    /// Writes the next message to the start of `message`, which has
    /// [`MESSAGE_BYTES_MAX`](crate::answer::MESSAGE_BYTES_MAX) octets, `now` since the Unix epoch. Returns its length,
    /// without that of a prefix; `None`, now and ever after, behind the last message.
    fn write_next(&mut self, now: Duration, message: &mut [u8]) -> Option<usize>;

    /// Which transfer this is; `None` where it is none.
    fn transfer(&self) -> Option<StreamedTransfer> {
        None
    }
}

/// What is transferred by a stream, for those who count and log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamedTransfer {
    /// The zone.
    pub zone: Name,
    /// The serial of the version that the client has at the end.
    pub serial: u32,
    /// Whether all of it is sent, and not changes.
    pub is_whole: bool,
}

impl PartialEq for dyn ReplyStream {
    /// Whether both are one stream.
    fn eq(&self, other: &Self) -> bool {
        core::ptr::addr_eq(self, other)
    }
}
