//! Waiting for one of several descriptors to become ready.
//!
//! Owns the epoll descriptor and the event array. Refuses to know what the descriptors are: each has a token.
//! Source: epoll_ctl(2).

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::Duration;

use arrayvec::ArrayVec;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};

/// A set of descriptors.
#[derive(Debug)]
pub struct Epoll {
    /// The epoll descriptor.
    descriptor: OwnedFd,
    /// The tokens of what the last wait found ready.
    ready: Box<ArrayVec<u64, EVENTS_MAX>>,
}

/// What a descriptor is watched for. An error or the other side's end is reported in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interest {
    /// Input; reported by every wait for as long as there is some.
    Input,
    /// The same of a descriptor that several sets watch: of those that wait, input wakes one (`EPOLLEXCLUSIVE`).
    /// Cannot be changed, only forgotten.
    SharedInput,
    /// Each time that input comes, whether or not what came before was read (`EPOLLET`).
    NewInput,
    /// Input or room for output; reported by every wait for as long as there is either.
    InputAndOutput,
    /// Room for output; reported by every wait for as long as there is some.
    Output,
}

impl Interest {
    /// The flags of the kernel.
    fn flags(self) -> EventFlags {
        match self {
            Self::Input => EventFlags::IN,
            Self::SharedInput => EventFlags::IN | EventFlags::EXCLUSIVE,
            Self::NewInput => EventFlags::IN | EventFlags::ET,
            Self::InputAndOutput => EventFlags::IN | EventFlags::OUT,
            Self::Output => EventFlags::OUT,
        }
    }
}

impl Epoll {
    /// Makes an empty set.
    ///
    /// # Errors
    /// What `epoll_create1` says, mostly that descriptors ran out.
    pub fn new() -> io::Result<Self> {
        Ok(Self { descriptor: epoll::create(CreateFlags::CLOEXEC)?, ready: Box::default() })
    }

    /// Watches `descriptor`; `token` is reported when it is ready.
    ///
    /// The kernel forgets the descriptor by itself when its last copy is closed.
    ///
    /// # Errors
    /// What `epoll_ctl` says, for instance that the descriptor is watched already.
    pub fn watch(&self, descriptor: BorrowedFd<'_>, token: u64, interest: Interest) -> io::Result<()> {
        Ok(epoll::add(&self.descriptor, descriptor, EventData::new_u64(token), interest.flags())?)
    }

    /// Watches `descriptor` for something else from now on.
    ///
    /// # Errors
    /// What `epoll_ctl` says, for instance that it is not watched.
    pub fn change(&self, descriptor: BorrowedFd<'_>, token: u64, interest: Interest) -> io::Result<()> {
        Ok(epoll::modify(&self.descriptor, descriptor, EventData::new_u64(token), interest.flags())?)
    }

    /// Watches `descriptor` no longer, though it stays open.
    ///
    /// # Errors
    /// What `epoll_ctl` says, for instance that it is not watched.
    pub fn forget(&self, descriptor: BorrowedFd<'_>) -> io::Result<()> {
        Ok(epoll::delete(&self.descriptor, descriptor)?)
    }

    /// Waits until something is ready, `timeout` at most, and returns how many tokens [`Epoll::token`] has.
    ///
    /// Waits for as long as it takes where `timeout` is `None`; a timeout is rounded up to whole milliseconds. At most
    /// [`EVENTS_MAX`] are reported at once; what is left over is reported by the next call. Allocates nothing.
    ///
    /// # Errors
    /// What `epoll_wait` says; [`io::ErrorKind::Interrupted`] after a signal.
    pub fn wait(&mut self, timeout: Option<Duration>) -> io::Result<usize> {
        self.ready.clear();
        let timeout = timeout.map(|timeout| Timespec::try_from(timeout).unwrap_or(LONGEST));
        let mut events = [const { MaybeUninit::uninit() }; EVENTS_MAX];
        let (events, _) = epoll::wait(&self.descriptor, &mut events[..], timeout.as_ref())?;
        self.ready.extend(events.iter().map(|event| event.data.u64()));
        Ok(self.ready.len())
    }

    /// Returns the token of the ready descriptor `index` of the last wait.
    #[must_use]
    pub fn token(&self, index: usize) -> Option<u64> {
        self.ready.get(index).copied()
    }
}

/// How many ready descriptors one wait can report.
pub const EVENTS_MAX: usize = 64;

/// The longest time that can be waited for.
const LONGEST: Timespec = Timespec { tv_sec: i64::MAX, tv_nsec: 0 };

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::waker::Waker;
    use std::net::UdpSocket;
    use std::os::fd::AsFd;

    #[test]
    fn only_the_socket_with_input_is_reported() {
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
    fn new_input_is_reported_once_for_each_time_it_comes() {
        let waker = Waker::new().expect("descriptors are left");
        waker.wake().expect("it can be woken");
        let mut epoll = Epoll::new().expect("epoll is there");
        epoll.watch(waker.as_fd(), 7, Interest::NewInput).expect("it can be watched");
        for _ in 0..3 {
            assert_eq!((epoll.wait(None).expect("the wait ends"), epoll.token(0)), (1, Some(7)));
            assert_eq!(epoll.wait(Some(Duration::ZERO)).expect("the wait ends"), 0, "it was reported");
            waker.wake().expect("it can be woken");
        }
    }

    #[test]
    fn of_two_sets_that_share_a_descriptor_one_is_woken() {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("loopback is there");
        let target = socket.local_addr().expect("the socket is bound");
        let (sender, receiver) = std::sync::mpsc::channel();
        for _ in 0..2 {
            let (own, sender) = (socket.try_clone().expect("descriptors are left"), sender.clone());
            std::thread::spawn(move || {
                let mut epoll = Epoll::new().expect("epoll is there");
                epoll.watch(own.as_fd(), 0, Interest::SharedInput).expect("it can be watched");
                let _sent = sender.send(epoll.wait(None).map_err(|error| error.kind()));
            });
        }
        // Which one wakes, and whether the other had begun to wait, is not ours to say: input wakes at least one.
        socket.send_to(b"x", target).expect("loopback takes it");
        assert_eq!(receiver.recv_timeout(Duration::from_secs(60)), Ok(Ok(1)));
    }
}
