//! Waiting for a few descriptors with a bound finer than a millisecond.
//!
//! Refuses to know what the descriptors are.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

/// Waits until one of `descriptors` can be read, or `timeout` is over; returns whether one can.
///
/// At most [`DESCRIPTORS_MAX`] are watched. `timeout` is as fine as the thread's timers are. A signal counts as
/// nothing to read, an error or the other side's end as something to read: the read will tell. Allocates nothing.
///
/// # Errors
/// What `ppoll` says; [`io::ErrorKind::InvalidInput`] for too many descriptors.
pub fn wait_readable(descriptors: &[BorrowedFd<'_>], timeout: Duration) -> io::Result<bool> {
    if descriptors.len() > DESCRIPTORS_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "too many descriptors to wait for"));
    }
    let mut entries = [libc::pollfd { fd: -1, events: libc::POLLIN, revents: 0 }; DESCRIPTORS_MAX];
    for (entry, descriptor) in entries.iter_mut().zip(descriptors) {
        entry.fd = descriptor.as_raw_fd();
    }
    let limit = libc::timespec {
        tv_sec: libc::time_t::try_from(timeout.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_nsec: libc::c_long::from(timeout.subsec_nanos()),
    };
    let count = descriptors.len() as libc::nfds_t;
    // SAFETY: `entries` is exclusively borrowed and holds at least `count` entries, whose descriptors are open for
    // their borrows; `limit` lives through the call; a null signal mask is allowed and means none.
    let ready = unsafe { libc::ppoll(entries.as_mut_ptr(), count, &raw const limit, std::ptr::null()) };
    if ready >= 0 {
        return Ok(ready > 0);
    }
    let error = io::Error::last_os_error();
    if error.kind() == io::ErrorKind::Interrupted { Ok(false) } else { Err(error) }
}

/// Makes reads and writes of the descriptor return at once (`O_NONBLOCK`).
///
/// # Errors
/// What `fcntl` says.
pub fn set_nonblocking(descriptor: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: the descriptor is open for its borrow; the request takes no pointer.
    let flags = unsafe { libc::fcntl(descriptor.as_raw_fd(), libc::F_GETFL) };
    if flags < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor is open for its borrow; the request takes one integer.
    let status = unsafe { libc::fcntl(descriptor.as_raw_fd(), libc::F_SETFL, flags | libc::O_NONBLOCK) };
    if status < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
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
