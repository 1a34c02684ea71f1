//! The socket calls that `socket2` does not offer.
//!
//! Refuses to know what is sent over the sockets.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{Shutdown, SocketFlags, acceptfrom_with, shutdown};

/// The family of a socket, where an option differs by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// Makes the socket ignore what path MTU discovery says, and send as large as the interface allows.
///
/// A forged "fragmentation needed" then cannot make our replies fragment (`IP_PMTUDISC_OMIT` and its IPv6 twin).
///
/// # Errors
/// What `setsockopt` says.
pub fn omit_path_mtu(socket: BorrowedFd<'_>, family: Family) -> io::Result<()> {
    match family {
        Family::V4 => set_option(socket, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_OMIT),
        Family::V6 => set_option(socket, libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, libc::IPV6_PMTUDISC_OMIT),
    }
}

/// Asks for the address that each datagram was sent to (`IP_PKTINFO`, `IPV6_RECVPKTINFO`; RFC 3542 §6).
///
/// # Errors
/// What `setsockopt` says.
pub fn receive_packet_info(socket: BorrowedFd<'_>, family: Family) -> io::Result<()> {
    match family {
        Family::V4 => set_option(socket, libc::IPPROTO_IP, libc::IP_PKTINFO, 1),
        Family::V6 => set_option(socket, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, 1),
    }
}

/// Whether the option that [`omit_path_mtu`] sets is set.
///
/// # Errors
/// What `getsockopt` says.
#[cfg(test)]
pub(crate) fn is_path_mtu_omitted(socket: BorrowedFd<'_>, family: Family) -> io::Result<bool> {
    let (level, name, omitted) = match family {
        Family::V4 => (libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_OMIT),
        Family::V6 => (libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, libc::IPV6_PMTUDISC_OMIT),
    };
    let mut value: libc::c_int = 0;
    let mut length = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the descriptor is open for its borrow; `value` and `length` are live, and `length` is the size of
    // `value`.
    let status = unsafe { libc::getsockopt(socket.as_raw_fd(), level, name, (&raw mut value).cast(), &raw mut length) };
    if status != 0 { Err(io::Error::last_os_error()) } else { Ok(value == omitted) }
}

/// Sets how many octets of output the kernel keeps for the socket; beyond what `net.core.wmem_max` allows where this
/// process has CAP_NET_ADMIN (`SO_SNDBUFFORCE`), and cut to that elsewhere.
///
/// # Errors
/// What `setsockopt` says.
pub fn set_send_buffer(socket: BorrowedFd<'_>, bytes: usize) -> io::Result<()> {
    let bytes = libc::c_int::try_from(bytes).unwrap_or(libc::c_int::MAX);
    match set_option(socket, libc::SOL_SOCKET, libc::SO_SNDBUFFORCE, bytes) {
        Err(error) if error.raw_os_error() == Some(libc::EPERM) => {
            set_option(socket, libc::SOL_SOCKET, libc::SO_SNDBUF, bytes)
        }
        outcome => outcome,
    }
}

/// Wakes whoever waits for input on the UDP socket, now and from now on; queued datagrams can still be read.
///
/// Linux reports `ENOTCONN` for a socket without a peer and marks it and wakes its readers all the same, so that a
/// reader blocked in a receive call returns. Unlike a signal it cannot be lost between a check and the call.
///
/// # Errors
/// Any other failure of `shutdown`.
pub fn wake_readers(socket: BorrowedFd<'_>) -> io::Result<()> {
    match shutdown(socket, Shutdown::Read) {
        Ok(()) | Err(Errno::NOTCONN) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Reads how many datagrams the kernel has dropped at this socket since it was made, mostly since its queue was full;
/// at a listener, how many connections, since its queue or that of unfinished handshakes was full.
///
/// The kernel counts in 32 bits and wraps (`SO_MEMINFO`, `SK_MEMINFO_DROPS`).
///
/// # Errors
/// What `getsockopt` says.
pub fn dropped_datagrams(socket: BorrowedFd<'_>) -> io::Result<u32> {
    let mut values = [0u32; MEMINFO_WORDS];
    let mut length = size_of_val(&values) as libc::socklen_t;
    // SAFETY: the descriptor is open for its borrow; `values` and `length` are live, and `length` is the size of
    // `values`.
    let status = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_MEMINFO,
            values.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    if status != 0 { Err(io::Error::last_os_error()) } else { Ok(values[libc::SK_MEMINFO_DROPS as usize]) }
}

/// Reads how many connections wait to be accepted at a listener.
///
/// Of a listener, `TCP_INFO` gives that in the field for segments that were not acknowledged.
///
/// # Errors
/// What `getsockopt` says.
pub fn waiting_connections(listener: BorrowedFd<'_>) -> io::Result<u32> {
    let mut words = [0u32; TCP_INFO_WORDS];
    let mut length = size_of_val(&words) as libc::socklen_t;
    // SAFETY: the descriptor is open for its borrow; `words` and `length` are live, and `length` is the size of
    // `words`.
    let status = unsafe {
        libc::getsockopt(
            listener.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            words.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    let [.., unacknowledged] = words;
    if status != 0 { Err(io::Error::last_os_error()) } else { Ok(unacknowledged) }
}

/// Takes a connection off the queue of a listener, as a stream whose calls return at once; one system call.
///
/// # Errors
/// What `accept4` says: [`io::ErrorKind::WouldBlock`] where the listener does not block and nobody waits;
/// [`io::ErrorKind::Unsupported`] for a client without an IP address.
pub fn accept(listener: BorrowedFd<'_>) -> io::Result<(TcpStream, SocketAddr)> {
    let (stream, client) = acceptfrom_with(listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)?;
    let client = client.and_then(|client| SocketAddr::try_from(client).ok()).ok_or(io::ErrorKind::Unsupported)?;
    Ok((stream.into(), client))
}

/// Returns whether a datagram waits in this socket.
///
/// # Errors
/// What `poll` says.
pub fn has_queued(socket: BorrowedFd<'_>) -> io::Result<bool> {
    let mut entry = [PollFd::from_borrowed_fd(socket, PollFlags::IN)];
    Ok(poll(&mut entry, Some(&Timespec::default()))? > 0)
}

/// Sets one integer option.
pub(super) fn set_option(
    socket: BorrowedFd<'_>,
    level: libc::c_int,
    name: libc::c_int,
    value: libc::c_int,
) -> io::Result<()> {
    let length = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the descriptor is open for its borrow; `value` lives through the call and `length` is its size.
    let status = unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, (&raw const value).cast(), length) };
    if status != 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Words of `tcp_info` up to `tcpi_unacked`: eight octets, then `rto`, `ato`, `snd_mss`, `rcv_mss`, `unacked`.
const TCP_INFO_WORDS: usize = 2 + 5;

/// Words of `SO_MEMINFO` up to the drops; newer kernels have more and cut them to this.
const MEMINFO_WORDS: usize = libc::SK_MEMINFO_DROPS as usize + 1;

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;
    use std::os::fd::AsFd;
    use std::time::Duration;

    #[test]
    fn a_send_buffer_is_as_large_as_asked_where_the_privilege_is_there() {
        let bounds = std::fs::read_to_string("/proc/sys/net/core/wmem_max").expect("proc is mounted");
        let bound: usize = bounds.trim().parse().expect("a number");
        let socket = socket2::Socket::from(UdpSocket::bind("127.0.0.1:0").expect("loopback is there"));
        set_send_buffer(socket.as_fd(), bound + 4096).expect("less is no error");
        // The kernel doubles it.
        let got = socket.send_buffer_size().expect("the option can be read") / 2;
        let is_capable = caps::has_cap(None, caps::CapSet::Effective, caps::Capability::CAP_NET_ADMIN);
        assert_eq!(got, if is_capable.expect("it can be read") { bound + 4096 } else { bound });
    }

    #[test]
    fn a_blocked_reader_is_woken_and_queued_datagrams_survive() {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("loopback is there");
        let reader = socket.try_clone().expect("descriptors are left");
        let waiting = std::thread::spawn(move || reader.recv(&mut [0; 16]));
        wake_readers(socket.as_fd()).expect("a bound socket can be woken");
        let woken = waiting.join().expect("the reader does not panic");
        assert_eq!(woken.expect("the call returns without an error"), 0);

        let address = socket.local_addr().expect("the socket is bound");
        socket.send_to(b"late", address).expect("loopback takes it");
        let mut octets = [0; 16];
        let length = socket.recv(&mut octets).expect("the datagram was queued");
        assert_eq!(&octets[..length], b"late");
    }

    #[test]
    fn path_mtu_is_omitted_once_asked_for() {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("loopback is there");
        assert!(!is_path_mtu_omitted(socket.as_fd(), Family::V4).expect("the option can be read"));
        omit_path_mtu(socket.as_fd(), Family::V4).expect("the option can be set");
        assert!(is_path_mtu_omitted(socket.as_fd(), Family::V4).expect("the option can be read"));
    }

    #[test]
    fn what_a_full_queue_drops_is_counted() {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("loopback is there");
        let address = socket.local_addr().expect("the socket is bound");
        assert_eq!(dropped_datagrams(socket.as_fd()).expect("the option can be read"), 0);
        socket2::SockRef::from(&socket).set_recv_buffer_size(1).expect("the kernel takes its least");
        let client = UdpSocket::bind("127.0.0.1:0").expect("loopback is there");
        for _ in 0..100 {
            client.send_to(&[0; 1000], address).expect("loopback takes it");
        }
        socket.set_nonblocking(true).expect("the option is there");
        let kept = std::iter::from_fn(|| socket.recv(&mut [0; 2000]).ok()).count();
        let dropped = dropped_datagrams(socket.as_fd()).expect("the option can be read");
        assert!(kept < 100, "the queue was full");
        assert_eq!(kept + dropped as usize, 100);
    }

    #[test]
    fn connections_that_wait_to_be_accepted_are_counted_and_so_are_those_that_may_not() {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("it can be made");
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("loopback is there");
        // Linux lets one more wait than it is asked to.
        socket.listen(2).expect("it is bound");
        let address = socket.local_addr().expect("bound").as_socket().expect("an IP address");
        let clients: Vec<_> = (1..=3)
            .map(|count| {
                let client = TcpStream::connect(address).expect("it listens");
                assert_eq!(waiting_connections(socket.as_fd()).expect("the option can be read"), count);
                client
            })
            .collect();
        assert_eq!(dropped_datagrams(socket.as_fd()).expect("the option can be read"), 0);
        TcpStream::connect_timeout(&address, Duration::from_millis(50)).expect_err("the queue is full");
        assert_eq!(waiting_connections(socket.as_fd()).expect("the option can be read"), 3);
        assert!(dropped_datagrams(socket.as_fd()).expect("the option can be read") > 0, "they are counted");
        drop(clients);
    }

    #[test]
    fn an_accepted_stream_does_not_block_and_has_the_options_of_its_listener() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback is there");
        listener.set_nonblocking(true).expect("the option is there");
        assert_eq!(accept(listener.as_fd()).map_err(|error| error.kind()).err(), Some(io::ErrorKind::WouldBlock));
        for is_prompt in [false, true] {
            socket2::SockRef::from(&listener).set_tcp_nodelay(is_prompt).expect("the option is there");
            let client = TcpStream::connect(listener.local_addr().expect("bound")).expect("it listens");
            let (stream, address) = accept(listener.as_fd()).expect("somebody waits");
            assert_eq!(Some(address), client.local_addr().ok());
            assert_eq!(stream.nodelay().expect("the option can be read"), is_prompt);
            let read = io::Read::read(&mut &stream, &mut [0; 1]);
            assert_eq!(read.map_err(|error| error.kind()), Err(io::ErrorKind::WouldBlock));
        }
    }
}
