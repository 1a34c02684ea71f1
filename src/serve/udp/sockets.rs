//! The sockets of a UDP worker: one for each address, read and written in batches.
//!
//! Refuses to know what the octets mean.

use std::io;
use std::net::{IpAddr, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use super::io::{DatagramIo, Queries, Received, Replies};
use crate::sys::epoll::{Epoll, Interest};
use crate::sys::mmsg::{self, Batch, Datagram, Wait};

/// The sockets of one worker, and the arrays that are read and written through.
#[derive(Debug)]
pub(super) struct SocketIo {
    /// One socket per address.
    sockets: Vec<Arc<UdpSocket>>,
    /// By address, what replies to probes leave by where the own socket is full; shared by all workers.
    spares: Arc<[Option<UdpSocket>]>,
    /// Waits for the sockets where there are several; one alone is read directly, which saves two calls per batch.
    epoll: Option<ReadySockets>,
    /// The socket of the last batch.
    current: usize,
    /// The first socket that may have something queued, once nothing is waited for.
    undrained: usize,
    /// The arrays.
    batch: Batch,
}

/// Which of several sockets have input. Each is read once between two waits, so that none starves another.
#[derive(Debug)]
struct ReadySockets {
    /// What is waited with; tokens are the indices of sockets.
    epoll: Epoll,
    /// How many the last wait found.
    count: usize,
    /// How many of those were read since.
    read: usize,
}

impl SocketIo {
    /// Allocates all that will ever be needed. `spares` count as `sockets` do.
    ///
    /// # Errors
    /// Several sockets cannot be waited for: descriptors or memory ran out.
    pub(super) fn new(sockets: Vec<Arc<UdpSocket>>, spares: Arc<[Option<UdpSocket>]>) -> io::Result<Self> {
        let epoll = if sockets.len() > 1 { Some(ReadySockets::new(&sockets)?) } else { None };
        Ok(Self { sockets, spares, epoll, current: 0, undrained: 0, batch: Batch::new() })
    }

    /// Returns the address of each socket.
    ///
    /// # Errors
    /// What `getsockname` says.
    pub(super) fn addresses(&self) -> io::Result<Vec<IpAddr>> {
        self.sockets.iter().map(|socket| socket.local_addr().map(|address| address.ip())).collect()
    }

    /// Takes a batch from socket `index`.
    fn receive_from(&mut self, index: usize, wait: Wait) -> io::Result<Received> {
        let socket = self.sockets.get(index).ok_or(io::ErrorKind::WouldBlock)?;
        self.current = index;
        let count = self.batch.receive(socket.as_fd(), wait)?;
        Ok(Received { count, address_index: index })
    }
}

impl ReadySockets {
    /// Watches all sockets for input.
    fn new(sockets: &[Arc<UdpSocket>]) -> io::Result<Self> {
        let epoll = Epoll::new()?;
        for (token, socket) in (0..).zip(sockets) {
            epoll.watch(socket.as_fd(), token, Interest::Input)?;
        }
        Ok(Self { epoll, count: 0, read: 0 })
    }

    /// The next socket with input; waits where all were read.
    fn next(&mut self) -> io::Result<usize> {
        if self.read == self.count {
            (self.count, self.read) = (0, 0);
            self.count = self.epoll.wait(None)?;
        }
        let token = self.epoll.token(self.read).ok_or(io::ErrorKind::WouldBlock)?;
        self.read += 1;
        // A token that is no index finds no socket.
        Ok(usize::try_from(token).unwrap_or(usize::MAX))
    }
}

impl DatagramIo for SocketIo {
    type Queries<'b> = mmsg::Queries<'b>;
    type Replies<'b> = SocketReplies<'b>;

    fn receive(&mut self, wait: Wait) -> io::Result<Received> {
        match (wait, &mut self.epoll) {
            (Wait::ForOne, None) => self.receive_from(0, Wait::ForOne),
            (Wait::ForOne, Some(ready)) => {
                let index = ready.next()?;
                self.receive_from(index, Wait::Never)
            }
            (Wait::Never, _) => {
                while self.undrained < self.sockets.len() {
                    // Any error, an empty queue above all, means that there is nothing more to be had from this one.
                    if let Ok(received) = self.receive_from(self.undrained, Wait::Never) {
                        return Ok(received);
                    }
                    self.undrained += 1;
                }
                Err(io::ErrorKind::WouldBlock.into())
            }
        }
    }

    fn split(&mut self) -> (Self::Queries<'_>, Self::Replies<'_>) {
        let spare = self.spares.get(self.current).and_then(Option::as_ref);
        let ways = [self.sockets.get(self.current).map(|socket| socket.as_fd()), spare.map(AsFd::as_fd)];
        let (queries, replies) = self.batch.split();
        (queries, SocketReplies { replies, ways })
    }

    fn staged_count(&self) -> usize {
        self.batch.staged_count()
    }

    fn staged_bytes(&self, index: usize) -> usize {
        self.batch.staged_bytes(index)
    }

    fn send(&mut self, start: usize) -> io::Result<usize> {
        let Some(socket) = self.sockets.get(self.current) else { return Ok(0) };
        self.batch.send(socket.as_fd(), start)
    }
}

impl<'b> Queries<'b> for mmsg::Queries<'b> {
    fn get(self, index: usize) -> Option<Datagram<'b>> {
        mmsg::Queries::get(self, index)
    }
}

/// The replies to a batch, and what they may leave by apart from the others: the own socket and the spare one.
#[derive(Debug)]
pub(super) struct SocketReplies<'b> {
    /// The buffers.
    replies: mmsg::Replies<'b>,
    /// The sockets.
    ways: [Option<BorrowedFd<'b>>; 2],
}

impl Replies for SocketReplies<'_> {
    fn buffer(&mut self, index: usize) -> Option<&mut [u8]> {
        self.replies.buffer(index)
    }

    fn stage(&mut self, index: usize, length: usize) -> bool {
        self.replies.stage(index, length)
    }

    fn send_apart(&self, index: usize, length: usize, way: usize) -> Option<io::Result<()>> {
        let socket = *self.ways.get(way)?;
        Some(self.replies.send_apart(index, length, socket?))
    }
}
