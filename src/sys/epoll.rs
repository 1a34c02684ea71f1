//! Waiting for one of several descriptors to become ready.
//!
//! Owns the epoll descriptor and the event array. Refuses to know what the descriptors are: each has a token.
//! Source: epoll_ctl(2).

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;
use std::time::Duration;

/// A set of descriptors.
#[derive(Debug)]
pub struct Epoll {
    /// The epoll descriptor.
    descriptor: OwnedFd,
    /// Where the kernel writes what is ready; allocated once.
    events: Box<[libc::epoll_event]>,
    /// How many of `events` the last wait filled.
    ready_count: usize,
}

/// What a descriptor is watched for. An error or the other side's end is told in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interest {
    /// Input; told by every wait for as long as there is some.
    Input,
    /// The same of a descriptor that several sets watch: of those that wait, input wakes one (`EPOLLEXCLUSIVE`).
    /// Cannot be changed, only forgotten.
    SharedInput,
    /// Each time that input comes, whether or not what came before was read (`EPOLLET`).
    NewInput,
    /// Room for output; told by every wait for as long as there is some.
    Output,
}

impl Interest {
    /// The flags of the kernel.
    fn flags(self) -> u32 {
        let flags = match self {
            Self::Input => libc::EPOLLIN,
            Self::SharedInput => libc::EPOLLIN | libc::EPOLLEXCLUSIVE,
            Self::NewInput => libc::EPOLLIN | libc::EPOLLET,
            Self::Output => libc::EPOLLOUT,
        };
        // EPOLLET is the sign bit.
        flags as u32
    }
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

    /// Watches `descriptor`; `token` is told when it is ready.
    ///
    /// The kernel forgets the descriptor by itself when its last copy is closed.
    ///
    /// # Errors
    /// What `epoll_ctl` says, for instance that the descriptor is watched already.
    pub fn watch(&self, descriptor: BorrowedFd<'_>, token: u64, interest: Interest) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_ADD, descriptor, token, interest)
    }

    /// Watches `descriptor` for something else from now on.
    ///
    /// # Errors
    /// What `epoll_ctl` says, for instance that it is not watched.
    pub fn change(&self, descriptor: BorrowedFd<'_>, token: u64, interest: Interest) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_MOD, descriptor, token, interest)
    }

    /// Watches `descriptor` no longer, though it stays open.
    ///
    /// # Errors
    /// What `epoll_ctl` says, for instance that it is not watched.
    pub fn forget(&self, descriptor: BorrowedFd<'_>) -> io::Result<()> {
        // The kernel does not look at the event.
        self.control(libc::EPOLL_CTL_DEL, descriptor, 0, Interest::Input)
    }

    /// Changes the set.
    fn control(
        &self,
        operation: libc::c_int,
        descriptor: BorrowedFd<'_>,
        token: u64,
        interest: Interest,
    ) -> io::Result<()> {
        let mut event = libc::epoll_event { events: interest.flags(), u64: token };
        // SAFETY: both descriptors are open for the duration of their borrows, and `event` lives through the call.
        let status = unsafe {
            libc::epoll_ctl(self.descriptor.as_raw_fd(), operation, descriptor.as_raw_fd(), ptr::from_mut(&mut event))
        };
        if status != 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// Waits until something is ready, `timeout` at most, and returns how many tokens [`Epoll::token`] has.
    ///
    /// Waits for as long as it takes where `timeout` is `None`; a timeout is rounded up to whole milliseconds. At most
    /// [`EVENTS_MAX`] are told at once; what is left over is told by the next call. Allocates nothing.
    ///
    /// # Errors
    /// What `epoll_wait` says; [`io::ErrorKind::Interrupted`] after a signal.
    pub fn wait(&mut self, timeout: Option<Duration>) -> io::Result<usize> {
        self.ready_count = 0;
        let timeout_ms = timeout.map_or(-1, |timeout| {
            libc::c_int::try_from(timeout.as_nanos().div_ceil(NANOS_OF_MILLISECOND)).unwrap_or(libc::c_int::MAX)
        });
        let (events, events_max) = (self.events.as_mut_ptr(), EVENTS_MAX as libc::c_int);
        // SAFETY: the descriptor is ours and open; `events` is exclusively borrowed and holds EVENTS_MAX entries.
        let count = unsafe { libc::epoll_wait(self.descriptor.as_raw_fd(), events, events_max, timeout_ms) };
        let Ok(count) = usize::try_from(count) else { return Err(io::Error::last_os_error()) };
        self.ready_count = count.min(EVENTS_MAX);
        Ok(self.ready_count)
    }

    /// Returns the token of the ready descriptor `index` of the last wait.
    #[must_use]
    pub fn token(&self, index: usize) -> Option<u64> {
        let event = self.events[..self.ready_count].get(index)?;
        Some(event.u64)
    }
}

/// How many ready descriptors one wait can tell.
pub const EVENTS_MAX: usize = 64;

/// Nanoseconds of a millisecond, the unit of `epoll_wait`.
const NANOS_OF_MILLISECOND: u128 = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::waker::Waker;
    use std::net::UdpSocket;
    use std::os::fd::AsFd;

    #[test]
    fn only_the_socket_with_input_is_told() {
        let sockets: Vec<_> = (0..3).map(|_| UdpSocket::bind("127.0.0.1:0").expect("loopback is there")).collect();
        let mut epoll = Epoll::new().expect("epoll is there");
        for (token, socket) in (0..).zip(&sockets) {
            epoll.watch(socket.as_fd(), token, Interest::Input).expect("a new socket can be watched");
        }
        let target = sockets[1].local_addr().expect("the socket is bound");
        sockets[0].send_to(b"x", target).expect("loopback takes it");
        assert_eq!(epoll.wait(None).expect("the wait ends"), 1);
        assert_eq!((epoll.token(0), epoll.token(1)), (Some(1), None));
        epoll.forget(sockets[1].as_fd()).expect("it is watched");
        assert_eq!(epoll.wait(Some(Duration::ZERO)).expect("the wait ends"), 0);
        epoll.change(sockets[2].as_fd(), 9, Interest::Output).expect("it is watched");
        assert_eq!(epoll.wait(None).expect("the wait ends"), 1);
        assert_eq!(epoll.token(0), Some(9), "there is room for output");
    }

    #[test]
    fn watching_a_socket_twice_is_an_error() {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("loopback is there");
        let epoll = Epoll::new().expect("epoll is there");
        epoll.watch(socket.as_fd(), 0, Interest::Input).expect("a new socket can be watched");
        let again = epoll.watch(socket.as_fd(), 1, Interest::Input);
        assert_eq!(again.map_err(|error| error.kind()), Err(io::ErrorKind::AlreadyExists));
    }

    #[test]
    fn new_input_is_told_once_for_each_time_it_comes() {
        let waker = Waker::new().expect("descriptors are left");
        waker.wake().expect("it can be woken");
        let mut epoll = Epoll::new().expect("epoll is there");
        epoll.watch(waker.as_fd(), 7, Interest::NewInput).expect("it can be watched");
        for _ in 0..3 {
            assert_eq!((epoll.wait(None).expect("the wait ends"), epoll.token(0)), (1, Some(7)));
            assert_eq!(epoll.wait(Some(Duration::ZERO)).expect("the wait ends"), 0, "it was told");
            waker.wake().expect("it can be woken");
        }
    }

    #[test]
    fn of_two_sets_that_share_a_descriptor_one_is_woken() {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("loopback is there");
        let target = socket.local_addr().expect("the socket is bound");
        let (tell, told) = std::sync::mpsc::channel();
        for _ in 0..2 {
            let (own, tell) = (socket.try_clone().expect("descriptors are left"), tell.clone());
            std::thread::spawn(move || {
                let mut epoll = Epoll::new().expect("epoll is there");
                epoll.watch(own.as_fd(), 0, Interest::SharedInput).expect("it can be watched");
                let _told = tell.send(epoll.wait(None).map_err(|error| error.kind()));
            });
        }
        // Which one wakes, and whether the other had begun to wait, is not ours to say: input wakes at least one.
        socket.send_to(b"x", target).expect("loopback takes it");
        assert_eq!(told.recv_timeout(Duration::from_secs(60)), Ok(Ok(1)));
    }
}
