//! The socket options of sessions with routers, and datagrams that come with their hop limit.
//!
//! Refuses to know what is spoken. Sources: RFC 2385 (TCP MD5 signatures), RFC 5082 (GTSM), RFC 5881 §5, tcp(7), ip(7),
//! ipv6(7).

use std::io;
use std::mem::MaybeUninit;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd, BorrowedFd};

use socket2::{SockAddr, SockAddrStorage};

use super::socket::{Family, set_option};

/// The longest key of TCP MD5 signatures, in octets (`TCP_MD5SIG_MAXKEYLEN`).
pub const MD5_KEY_BYTES_MAX: usize = 80;

/// A key for segments from and to a peer, as the kernel takes it (`struct tcp_md5sig` of Linux `tcp.h`).
#[repr(C)]
struct Md5Key {
    /// The peer's address; the port counts for nothing.
    address: SockAddrStorage,
    flags: u8,
    prefix_length: u8,
    key_bytes: u16,
    interface: libc::c_int,
    key: [u8; MD5_KEY_BYTES_MAX],
}

/// Signs what goes to `peer` over the socket and drops what comes from it without that signature (RFC 2385).
///
/// On a listener it holds for connections from `peer`. To be set before the connection is made.
///
/// # Errors
/// [`io::ErrorKind::InvalidInput`] for a key that is empty or longer than [`MD5_KEY_BYTES_MAX`]; else what `setsockopt`
/// says, for instance that the kernel was built without it.
pub fn set_md5_key(socket: BorrowedFd<'_>, peer: SocketAddr, key: &[u8]) -> io::Result<()> {
    if key.is_empty() || key.len() > MD5_KEY_BYTES_MAX {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut octets = [0; MD5_KEY_BYTES_MAX];
    octets[..key.len()].copy_from_slice(key);
    let option = Md5Key {
        address: SockAddr::from(peer).as_storage(),
        flags: 0,
        prefix_length: 0,
        key_bytes: key.len() as u16,
        interface: 0,
        key: octets,
    };
    let bytes = size_of::<Md5Key>() as libc::socklen_t;
    // SAFETY: the descriptor is open for its borrow; `option` is live, initialised, and of the size that is told.
    let status = unsafe {
        libc::setsockopt(socket.as_raw_fd(), libc::IPPROTO_TCP, libc::TCP_MD5SIG, (&raw const option).cast(), bytes)
    };
    if status != 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Drops what comes over the TCP socket with a hop limit (IPv4: TTL) below `least` (`IP_MINTTL`, `IPV6_MINHOPCOUNT`;
/// RFC 5082).
///
/// # Errors
/// What `setsockopt` says.
pub fn set_hop_limit_min(socket: BorrowedFd<'_>, family: Family, least: u8) -> io::Result<()> {
    match family {
        Family::V4 => set_option(socket, libc::IPPROTO_IP, libc::IP_MINTTL, least.into()),
        Family::V6 => set_option(socket, libc::IPPROTO_IPV6, libc::IPV6_MINHOPCOUNT, least.into()),
    }
}

/// Asks for the hop limit of each datagram (`IP_RECVTTL`, `IPV6_RECVHOPLIMIT`), for [`receive`].
///
/// # Errors
/// What `setsockopt` says.
pub fn receive_hop_limit(socket: BorrowedFd<'_>, family: Family) -> io::Result<()> {
    match family {
        Family::V4 => set_option(socket, libc::IPPROTO_IP, libc::IP_RECVTTL, 1),
        Family::V6 => set_option(socket, libc::IPPROTO_IPV6, libc::IPV6_RECVHOPLIMIT, 1),
    }
}

/// A datagram's length, where it came from, and its hop limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// Octets in the buffer; what did not fit is cut off.
    pub bytes: usize,
    /// The sender.
    pub source: SocketAddr,
    /// The hop limit; `None` where the kernel did not say.
    pub hop_limit: Option<u8>,
}

/// Room for one control message of one `int`.
#[repr(C, align(8))]
struct Control([u8; CONTROL_BYTES]);

/// Space for it, rounded up generously.
const CONTROL_BYTES: usize = 64;

/// Takes one datagram without waiting.
///
/// # Errors
/// What `recvmsg` says: [`io::ErrorKind::WouldBlock`] where nothing is queued, [`io::ErrorKind::InvalidData`] for a
/// sender that is no IP address.
pub fn receive(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<Received> {
    let mut vector = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    let mut control = Control([0; CONTROL_BYTES]);
    // SAFETY: a header of zeros is a valid one that points nowhere.
    let mut header: libc::msghdr = unsafe { MaybeUninit::zeroed().assume_init() };
    (header.msg_iov, header.msg_iovlen) = (&raw mut vector, 1);
    (header.msg_control, header.msg_controllen) = ((&raw mut control).cast(), CONTROL_BYTES as _);
    // SAFETY: `try_init` hands out a zeroed storage and its length. The header's pointers describe `buffer`, `control`
    // and that storage, all live and borrowed by nobody else until the call returns.
    let ((count, hop_limit), source) = unsafe {
        SockAddr::try_init(|storage, length| {
            (header.msg_name, header.msg_namelen) = (storage.cast(), *length);
            let count = libc::recvmsg(socket.as_raw_fd(), &raw mut header, libc::MSG_DONTWAIT);
            let Ok(count) = usize::try_from(count) else { return Err(io::Error::last_os_error()) };
            *length = header.msg_namelen;
            Ok((count, hop_limit(&header)))
        })?
    };
    let source = source.as_socket().ok_or(io::ErrorKind::InvalidData)?;
    Ok(Received { bytes: count.min(buffer.len()), source, hop_limit })
}

/// The hop limit among the control messages.
fn hop_limit(header: &libc::msghdr) -> Option<u8> {
    // SAFETY: the kernel has filled the control buffer that the header names and set its length.
    let mut next = unsafe { libc::CMSG_FIRSTHDR(header) };
    for _ in 0..CONTROL_BYTES / size_of::<libc::cmsghdr>() {
        // SAFETY: a pointer that is not null is one to a whole header within that buffer.
        let Some(message) = (unsafe { next.as_ref() }) else { break };
        let is_hop_limit = matches!(
            (message.cmsg_level, message.cmsg_type),
            (libc::IPPROTO_IP, libc::IP_TTL) | (libc::IPPROTO_IPV6, libc::IPV6_HOPLIMIT)
        );
        if is_hop_limit {
            // SAFETY: both are of the size of an `int`, and may be unaligned.
            let value = unsafe { libc::CMSG_DATA(message).cast::<libc::c_int>().read_unaligned() };
            return u8::try_from(value).ok();
        }
        // SAFETY: as for the first one.
        next = unsafe { libc::CMSG_NXTHDR(header, message) };
    }
    None
}

/// Returns what octets of one family a packet's address is of.
#[must_use]
pub fn family_of(address: IpAddr) -> Family {
    if address.is_ipv4() { Family::V4 } else { Family::V6 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use socket2::{Domain, SockRef, Socket, Type};
    use std::net::{TcpListener, UdpSocket};
    use std::os::fd::AsFd;
    use std::time::Duration;

    #[test]
    fn a_datagram_comes_with_its_hop_limit() {
        for (address, limit) in [("127.0.0.1:0", 255), ("[::1]:0", 7)] {
            let receiver = UdpSocket::bind(address).expect("loopback is there");
            let family = family_of(receiver.local_addr().expect("it is bound").ip());
            receive_hop_limit(receiver.as_fd(), family).expect("it can be asked for");
            let empty = receive(receiver.as_fd(), &mut [0; 8]).map_err(|error| error.kind());
            assert_eq!(empty, Err(io::ErrorKind::WouldBlock));
            let sender = UdpSocket::bind(address).expect("loopback is there");
            match family {
                Family::V4 => SockRef::from(&sender).set_ttl_v4(limit).expect("it takes a limit"),
                Family::V6 => SockRef::from(&sender).set_unicast_hops_v6(limit).expect("it takes a limit"),
            }
            sender.send_to(b"0123456789", receiver.local_addr().expect("it is bound")).expect("loopback takes it");
            let mut buffer = [0; 8];
            let source = sender.local_addr().expect("it is bound");
            let expected = Received { bytes: 8, source, hop_limit: u8::try_from(limit).ok() };
            assert_eq!(receive(receiver.as_fd(), &mut buffer).expect("it came"), expected);
            assert_eq!(&buffer, b"01234567");
        }
    }

    #[test]
    fn a_connection_is_made_with_the_same_key_only() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback is there");
        let address = listener.local_addr().expect("it is bound");
        match set_md5_key(listener.as_fd(), address, b"one") {
            Err(error) if error.raw_os_error() == Some(libc::ENOPROTOOPT) => {
                eprintln!("SKIPPED: the kernel was built without TCP MD5 signatures");
                return;
            }
            outcome => outcome.expect("it takes a key"),
        }
        let connect = |key: &[u8]| {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("descriptors are left");
            set_md5_key(socket.as_fd(), address, key).expect("it takes a key");
            set_hop_limit_min(socket.as_fd(), Family::V4, 1).expect("it takes a limit");
            socket.connect_timeout(&address.into(), Duration::from_millis(300)).map_err(|error| error.kind())
        };
        assert_eq!(connect(b"two"), Err(io::ErrorKind::TimedOut), "as a wrong key looks to whoever connects");
        assert_eq!(connect(b"one"), Ok(()));
        let refused = [&[][..], &[1; MD5_KEY_BYTES_MAX + 1]];
        for key in refused {
            let outcome = set_md5_key(listener.as_fd(), address, key).map_err(|error| error.kind());
            assert_eq!(outcome, Err(io::ErrorKind::InvalidInput));
        }
    }
}
