//! Waiting for one of several descriptors to become readable.
//!
//! Owns the epoll descriptor and the event array. Refuses to know what the descriptors are: each has a token.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// A level-triggered set of descriptors.
#[derive(Debug)]
pub struct Epoll {
    /// The epoll descriptor.
    descriptor: OwnedFd,
    /// Where the kernel writes what is ready; allocated once.
    events: Box<[libc::epoll_event]>,
    /// How many of `events` the last wait filled.
    ready_count: usize,
}

impl Epoll {
    /// Makes an empty set.
    ///
    /// # Errors
    /// What `epoll_create1` says, mostly that descriptors ran out.
    pub fn new() -> io::Result<Self> {
        // SAFETY: the call takes no pointer; its result is checked before it is used.
        let raw = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        if raw < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: `raw` was just returned by the kernel, is open and owned by nobody else.
        let descriptor = unsafe { OwnedFd::from_raw_fd(raw) };
        Ok(Self {
            descriptor,
            events: vec![libc::epoll_event { events: 0, u64: 0 }; EVENTS_MAX].into(),
            ready_count: 0,
        })
    }

    /// Watches `descriptor` for input; `token` is told when it is ready.
    ///
    /// The kernel forgets the descriptor by itself when its last copy is closed.
    ///
    /// # Errors
    /// What `epoll_ctl` says, for instance that the descriptor is watched already.
    pub fn watch(&self, descriptor: BorrowedFd<'_>, token: usize) -> io::Result<()> {
        let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: token as u64 };
        // SAFETY: both descriptors are open for the duration of their borrows, and `event` lives through the call.
        let status = unsafe {
            libc::epoll_ctl(self.descriptor.as_raw_fd(), libc::EPOLL_CTL_ADD, descriptor.as_raw_fd(), &raw mut event)
        };
        if status != 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// Waits until something is ready and returns how many tokens [`Epoll::token`] has.
    ///
    /// At most [`EVENTS_MAX`] are told at once; what is left over is told by the next call. Allocates nothing.
    ///
    /// # Errors
    /// What `epoll_wait` says; [`io::ErrorKind::Interrupted`] after a signal.
    pub fn wait(&mut self) -> io::Result<usize> {
        self.ready_count = 0;
        // SAFETY: the descriptor is ours and open; `events` is exclusively borrowed and holds EVENTS_MAX entries.
        let count = unsafe {
            libc::epoll_wait(self.descriptor.as_raw_fd(), self.events.as_mut_ptr(), EVENTS_MAX as libc::c_int, -1)
        };
        let Ok(count) = usize::try_from(count) else { return Err(io::Error::last_os_error()) };
        self.ready_count = count.min(EVENTS_MAX);
        Ok(self.ready_count)
    }

    /// Returns the token of the ready descriptor `index` of the last wait.
    #[must_use]
    pub fn token(&self, index: usize) -> Option<usize> {
        let event = self.events[..self.ready_count].get(index)?;
        usize::try_from(event.u64).ok()
    }
}

/// How many ready descriptors one wait can tell.
pub const EVENTS_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;
    use std::os::fd::AsFd;

    #[test]
    fn only_the_socket_with_input_is_told() {
        let sockets: Vec<_> = (0..3).map(|_| UdpSocket::bind("127.0.0.1:0").expect("loopback is there")).collect();
        let mut epoll = Epoll::new().expect("epoll is there");
        for (token, socket) in sockets.iter().enumerate() {
            epoll.watch(socket.as_fd(), token).expect("a new socket can be watched");
        }
        let target = sockets[1].local_addr().expect("the socket is bound");
        sockets[0].send_to(b"x", target).expect("loopback takes it");
        assert_eq!(epoll.wait().expect("the wait ends"), 1);
        assert_eq!((epoll.token(0), epoll.token(1)), (Some(1), None));
    }

    #[test]
    fn watching_a_socket_twice_is_an_error() {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("loopback is there");
        let epoll = Epoll::new().expect("epoll is there");
        epoll.watch(socket.as_fd(), 0).expect("a new socket can be watched");
        assert_eq!(epoll.watch(socket.as_fd(), 1).map_err(|error| error.kind()), Err(io::ErrorKind::AlreadyExists));
    }
}
