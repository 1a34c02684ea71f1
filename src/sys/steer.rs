//! The filter that lets a datagram name the socket of a SO_REUSEPORT group that gets it.
//!
//! Owns the classic BPF program. Refuses to know what stands in front of the trailer.
//!
//! ```text
//!   datagram: 12 octets or more | nonce (64) | socket (16)       both with the most significant octet first
//! ```

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Steers datagrams that end in `nonce` and a number to the socket of that number; the others stay with the kernel.
///
/// `socket` is any socket of the group, which counts its sockets from 0 in the order in which they were bound, and
/// needs at least two of them. A number that no socket has leaves the choice to the kernel's hash, as does a datagram
/// that is shorter than a DNS header and the trailer. Holds for all sockets of the group, replaces an
/// earlier filter, and needs no privilege. Costs a compared word per datagram.
///
/// # Errors
/// What `setsockopt` says: `EINVAL` where the socket is in no group.
pub fn steer_by_trailer(socket: BorrowedFd<'_>, nonce: u64) -> io::Result<()> {
    let mut program = program(nonce);
    let description = libc::sock_fprog { len: program.len() as libc::c_ushort, filter: program.as_mut_ptr() };
    let length = size_of::<libc::sock_fprog>() as libc::socklen_t;
    // SAFETY: the descriptor is open for its borrow; `description` lives through the call, `length` is its size, and
    // it names `len` live instructions, which the kernel checks and copies. No crate of ours offers this option.
    let status = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_REUSEPORT_CBPF,
            (&raw const description).cast(),
            length,
        )
    };
    if status != 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Writes the program. The kernel shows it the UDP payload from octet 0 (`reuseport_select_sock`, Linux
/// net/core/sock_reuseport.c) and takes what it returns as the number of the socket.
///
/// A load past the end would end the program with 0, which is a socket: the length is compared before anything is
/// read.
fn program(nonce: u64) -> [libc::sock_filter; INSTRUCTIONS] {
    let step = |code: u32, operand: u32| libc::sock_filter { code: code as u16, jt: 0, jf: 0, k: operand };
    // Jumps are counted from the next instruction; a comparison that fails goes to the last one.
    let check = |index: usize, code: u32, operand: u32| libc::sock_filter {
        code: (libc::BPF_JMP | code | libc::BPF_K) as u16,
        jt: 0,
        jf: (INSTRUCTIONS - 2 - index) as u8,
        k: operand,
    };
    let load = |size: u32, offset: u32| step(libc::BPF_LD | size | libc::BPF_IND, offset);
    [
        step(libc::BPF_LD | libc::BPF_W | libc::BPF_LEN, 0),
        check(1, libc::BPF_JGE, HEADER_BYTES + TRAILER_BYTES),
        step(libc::BPF_ALU | libc::BPF_SUB | libc::BPF_K, TRAILER_BYTES),
        step(libc::BPF_MISC | libc::BPF_TAX, 0),
        load(libc::BPF_W, 0),
        check(5, libc::BPF_JEQ, (nonce >> u32::BITS) as u32),
        load(libc::BPF_W, 4),
        check(7, libc::BPF_JEQ, nonce as u32),
        load(libc::BPF_H, 8),
        step(libc::BPF_RET | libc::BPF_A, 0),
        step(libc::BPF_RET | libc::BPF_K, KERNEL_CHOOSES),
    ]
}

/// How long the program is.
const INSTRUCTIONS: usize = 11;

/// Octets of a DNS header (RFC 1035 §4.1.1).
const HEADER_BYTES: u32 = 12;

/// Octets of nonce and number.
const TRAILER_BYTES: u32 = 10;

/// A number that no socket has.
const KERNEL_CHOOSES: u32 = u32::MAX;

#[cfg(test)]
mod tests {
    use super::*;
    use socket2::{Domain, Protocol, SockAddr, Socket, Type};
    use std::net::{SocketAddr, UdpSocket};
    use std::os::fd::AsFd;

    const NONCE: u64 = 0xFEDC_BA98_7654_3210;

    /// Binds a group of sockets on one port of loopback.
    fn group(count: usize) -> (Vec<UdpSocket>, SocketAddr) {
        let mut address = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut sockets: Vec<UdpSocket> = Vec::new();
        for _ in 0..count {
            let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP)).expect("descriptors are left");
            socket.set_reuse_port(true).expect("the option is there");
            socket.bind(&SockAddr::from(address)).expect("loopback is there");
            sockets.push(socket.into());
            address = sockets[0].local_addr().expect("bound");
        }
        (sockets, address)
    }

    /// Sends a datagram from a port of its own and returns which socket got it, once one has.
    fn arrival(sockets: &[UdpSocket], address: SocketAddr, octets: &[u8]) -> usize {
        let client = UdpSocket::bind("127.0.0.1:0").expect("loopback is there");
        client.send_to(octets, address).expect("loopback takes it");
        // Loopback delivers before the call returns.
        let mut room = [0; 2048];
        let mut got = sockets.iter().enumerate().filter_map(|(index, socket)| {
            socket.set_nonblocking(true).expect("the option is there");
            socket.recv(&mut room).ok().map(|length| (index, room[..length] == *octets))
        });
        let (index, is_whole) = got.next().expect("one socket gets it");
        assert!(is_whole && got.next().is_none(), "one socket gets it whole");
        index
    }

    /// Ends `front` octets of zero in a trailer.
    fn trailed(front: usize, nonce: u64, number: u16) -> Vec<u8> {
        [vec![0; front], nonce.to_be_bytes().to_vec(), number.to_be_bytes().to_vec()].concat()
    }

    #[test]
    fn every_socket_of_the_group_can_be_named() {
        let (sockets, address) = group(5);
        steer_by_trailer(sockets[3].as_fd(), NONCE).expect("the filter is taken");
        for front in [12, 13, 14, 15, 512, 1400] {
            for number in 0..5 {
                let arrived = arrival(&sockets, address, &trailed(front, NONCE, number));
                assert_eq!(arrived, usize::from(number), "behind {front} octets");
            }
        }
    }

    #[test]
    fn what_names_no_socket_is_spread() {
        let (sockets, address) = group(2);
        steer_by_trailer(sockets[0].as_fd(), NONCE).expect("the filter is taken");
        let mut long_ago = trailed(12, NONCE, 0);
        long_ago.push(0);
        let kinds = [
            vec![],
            vec![0; 9],
            vec![0; 30],
            trailed(0, NONCE, 0),
            trailed(11, NONCE, 0),
            trailed(12, NONCE ^ 1, 0),
            trailed(12, NONCE ^ (1 << 63), 0),
            trailed(12, NONCE, 2),
            trailed(12, NONCE, u16::MAX),
            long_ago,
        ];
        for octets in kinds {
            let mut counts = [0; 2];
            for _ in 0..100 {
                counts[arrival(&sockets, address, &octets)] += 1;
            }
            assert!(counts.iter().all(|&count| count > 10), "{octets:?}: {counts:?} of 100 ports");
        }
    }

    #[test]
    fn a_new_nonce_takes_the_place_of_the_old_one() {
        let (sockets, address) = group(2);
        for nonce in [NONCE, NONCE + 1] {
            steer_by_trailer(sockets[0].as_fd(), nonce).expect("the filter is taken");
            for _ in 0..20 {
                assert_eq!(arrival(&sockets, address, &trailed(12, nonce, 1)), 1);
            }
        }
    }

    #[test]
    fn a_socket_without_a_group_is_an_error() {
        let alone = UdpSocket::bind("127.0.0.1:0").expect("loopback is there");
        let error = steer_by_trailer(alone.as_fd(), NONCE).expect_err("it is in no group");
        assert_eq!(error.raw_os_error(), Some(libc::EINVAL));
    }
}
