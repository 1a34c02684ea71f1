//! What a UDP worker needs of whatever brings its datagrams and takes its replies: batches in, batches out.
//!
//! The sockets of a worker are one implementation ([`SocketIo`](super::sockets::SocketIo)). Refuses to know what the
//! octets mean.

use std::io;

use crate::sys::mmsg::{Datagram, Wait};

/// Receives datagrams in batches and sends the replies to them. The buffers are the implementation's.
pub(super) trait DatagramIo {
    /// The datagrams of the last batch.
    type Queries<'b>: Queries<'b>
    where
        Self: 'b;
    /// Where the replies to them go.
    type Replies<'b>: Replies
    where
        Self: 'b;

    /// Takes up to [`BATCH_MAX`](crate::sys::mmsg::BATCH_MAX) datagrams that came to one address; gives up what the
    /// last batch held. With [`Wait::Never`], no address is asked again once it had nothing.
    ///
    /// # Errors
    /// What the system says; [`io::ErrorKind::WouldBlock`] where nothing is queued, [`io::ErrorKind::Interrupted`]
    /// where the wait was ended from outside.
    fn receive(&mut self, wait: Wait) -> io::Result<Received>;

    /// Shows what the last receive brought, and apart from it where the replies go.
    fn split(&mut self) -> (Self::Queries<'_>, Self::Replies<'_>);

    /// How many replies are staged.
    fn staged_count(&self) -> usize;

    /// The length of staged reply `index`.
    fn staged_bytes(&self, index: usize) -> usize;

    /// Sends the staged replies from number `start` on and returns how many were taken, from the first. Never waits.
    ///
    /// # Errors
    /// Why the reply `start` was not taken; the others were not tried.
    fn send(&mut self, start: usize) -> io::Result<usize>;
}

/// A batch that came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Received {
    /// How many datagrams.
    pub(super) count: usize,
    /// Which of the server's addresses they came to.
    pub(super) address_index: usize,
}

/// The datagrams of a batch.
pub(super) trait Queries<'b>: Copy {
    /// Datagram `index`; `None` behind the last.
    fn get(self, index: usize) -> Option<Datagram<'b>>;
}

/// The replies to the datagrams of a batch.
pub(super) trait Replies {
    /// The buffer for the reply to datagram `index`, as long as the longest reply; `None` behind the last datagram.
    fn buffer(&mut self, index: usize) -> Option<&mut [u8]>;

    /// Queues the first `length` octets of the buffer of datagram `index` for [`DatagramIo::send`]. Each at most once,
    /// in rising order; returns whether it was queued.
    fn stage(&mut self, index: usize, length: usize) -> bool;

    /// Sends the first `length` octets of the buffer of datagram `index` at once, by one of several ways, which are
    /// counted from 0. Never waits. `None` where there is no such way.
    fn send_apart(&self, index: usize, length: usize, way: usize) -> Option<io::Result<()>>;
}
