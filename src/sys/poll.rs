//! Waiting for a few descriptors with a bound finer than a millisecond.
//!
//! Refuses to know what the descriptors are.

use std::io;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use arrayvec::ArrayVec;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;

/// Waits until one of `descriptors` can be read, or `timeout` is over; returns whether one can.
///
/// At most [`DESCRIPTORS_MAX`] are watched. `timeout` is as fine as the thread's timers are. A signal counts as
/// nothing to read, an error or the other side's end as something to read: the read will say which. Allocates nothing.
///
/// # Errors
/// What `ppoll` says; [`io::ErrorKind::InvalidInput`] for too many descriptors.
pub fn wait_readable(descriptors: &[BorrowedFd<'_>], timeout: Duration) -> io::Result<bool> {
    if descriptors.len() > DESCRIPTORS_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "too many descriptors to wait for"));
    }
    let entries = descriptors.iter().map(|descriptor| PollFd::from_borrowed_fd(*descriptor, PollFlags::IN));
    let mut entries: ArrayVec<_, DESCRIPTORS_MAX> = entries.collect();
    let limit = Timespec::try_from(timeout).ok();
    match poll(&mut entries, limit.as_ref()) {
        Err(Errno::INTR) => Ok(false),
        ready => Ok(ready? > 0),
    }
}

/// Makes reads and writes of the descriptor return at once (`O_NONBLOCK`).
///
/// # Errors
/// What `fcntl` says.
pub fn set_nonblocking(descriptor: BorrowedFd<'_>) -> io::Result<()> {
    let flags = fcntl_getfl(descriptor)?;
    Ok(fcntl_setfl(descriptor, flags | OFlags::NONBLOCK)?)
}

/// The most descriptors of one wait.
pub const DESCRIPTORS_MAX: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;
    use std::os::fd::AsFd;

    #[test]
    fn a_wait_ends_with_input_or_with_the_time() {
        let sockets = [0, 1].map(|_| UdpSocket::bind("127.0.0.1:0").expect("loopback is there"));
        let descriptors = [sockets[0].as_fd(), sockets[1].as_fd()];
        assert!(!wait_readable(&descriptors, Duration::from_micros(1)).expect("the wait ends"));
        let target = sockets[1].local_addr().expect("the socket is bound");
        sockets[0].send_to(b"x", target).expect("loopback takes it");
        assert!(wait_readable(&descriptors, Duration::from_secs(60)).expect("the wait ends"));
    }

    #[test]
    fn more_descriptors_than_the_bound_are_refused() {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("loopback is there");
        let descriptors = [socket.as_fd(); DESCRIPTORS_MAX + 1];
        assert!(wait_readable(&descriptors, Duration::ZERO).is_err());
    }

    #[test]
    fn a_read_of_nothing_returns_at_once() {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("loopback is there");
        set_nonblocking(socket.as_fd()).expect("the flag can be set");
        let error = socket.recv(&mut [0; 1]).expect_err("nothing was sent");
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    }
}
