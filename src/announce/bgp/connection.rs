//! The TCP connection of one session: made with the options that routers ask for, read and written without waiting.
//!
//! Knows nothing of what is said over it.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use super::settings::NeighborSettings;
use crate::sys::peering::{family_of, set_hop_limit_min, set_md5_key};
use crate::sys::socket::Family;
use crate::sys::tun::index_of;

/// A connection under way or made, with what it has not taken yet.
#[derive(Debug)]
pub(super) struct Connection {
    socket: Socket,
    /// Whether it is made.
    pub(super) is_open: bool,
    /// What is to be written.
    outgoing: Vec<u8>,
    /// Whether to end it once all is written.
    is_ending: bool,
}

/// What came of reading.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Input {
    /// So many octets.
    Octets(usize),
    /// Nothing for now.
    Nothing,
    /// The router has ended it.
    End,
}

impl Connection {
    /// Begins to connect, from `local_port`.
    ///
    /// # Errors
    /// What the kernel says at once.
    pub(super) fn connect(neighbor: &NeighborSettings, local_port: u16) -> io::Result<Self> {
        let peer = peer(neighbor)?;
        let socket = socket(neighbor.address)?;
        if let Some(secret) = &neighbor.md5_key {
            set_md5_key(socket.as_fd(), peer, &secret.0)?;
        }
        harden(&socket, neighbor)?;
        socket.bind(&SockAddr::from(own(neighbor, local_port)?))?;
        match socket.connect(&SockAddr::from(peer)) {
            Ok(()) => {}
            Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => {}
            Err(error) => return Err(error),
        }
        Ok(Self::new(socket))
    }

    /// Takes a connection that the router made.
    ///
    /// # Errors
    /// That an option is refused.
    pub(super) fn accepted(socket: Socket, neighbor: &NeighborSettings) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        harden(&socket, neighbor)?;
        Ok(Self { is_open: true, ..Self::new(socket) })
    }

    /// Nothing is said yet.
    fn new(socket: Socket) -> Self {
        Self { socket, is_open: false, outgoing: Vec::new(), is_ending: false }
    }

    /// Looks whether the attempt to connect has ended; where it has, it is open.
    ///
    /// # Errors
    /// Why it failed.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        if let Some(error) = self.socket.take_error()? {
            return Err(error);
        }
        match self.socket.peer_addr() {
            Ok(_) => self.is_open = true,
            // What woke us was for the socket before this one.
            Err(error) if error.kind() == ErrorKind::NotConnected => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Our end.
    ///
    /// # Errors
    /// What the kernel says.
    pub(super) fn local_address(&self) -> io::Result<IpAddr> {
        let address = self.socket.local_addr()?.as_socket();
        address.map(|address| address.ip()).ok_or_else(|| ErrorKind::InvalidData.into())
    }

    /// Adds what is to be written, and writes what can be. Returns how much is left.
    ///
    /// # Errors
    /// That the connection is gone.
    pub(super) fn send(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.outgoing.extend_from_slice(octets);
        self.flush()
    }

    /// Writes what can be written, and returns how much is left.
    ///
    /// # Errors
    /// That the connection is gone.
    pub(super) fn flush(&mut self) -> io::Result<usize> {
        let mut written = 0;
        while self.is_open && written < self.outgoing.len() {
            match self.socket.write(&self.outgoing[written..]) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => written += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.outgoing.drain(..written);
        if self.is_ending && self.outgoing.is_empty() {
            self.socket.shutdown(std::net::Shutdown::Write)?;
        }
        Ok(self.outgoing.len())
    }

    /// How much is to be written yet.
    pub(super) fn unsent(&self) -> usize {
        self.outgoing.len()
    }

    /// Reads once.
    ///
    /// # Errors
    /// That the connection is gone.
    pub(super) fn receive(&mut self, buffer: &mut [u8]) -> io::Result<Input> {
        match self.socket.read(buffer) {
            Ok(0) => Ok(Input::End),
            Ok(count) => Ok(Input::Octets(count)),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Ok(Input::Nothing),
            Err(error) => Err(error),
        }
    }

    /// Ends it after what is to be written yet. It stays open for what the router still says: a connection that is
    /// closed with input unread is reset, and the router may then never read our last words.
    ///
    /// # Errors
    /// That the connection is gone.
    pub(super) fn end(&mut self) -> io::Result<()> {
        self.is_ending = true;
        self.flush().map(drop)
    }

    /// Ends it at once, with a RST.
    pub(super) fn abort(self) {
        // A connection that is closed without it ends with a FIN behind what is unsent, which is slower.
        let _ = self.socket.set_linger(Some(Duration::ZERO));
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Makes a socket that listens for `neighbors`, who have all the same [`own`] address and port.
///
/// # Errors
/// What the kernel says, for instance that the port is taken.
pub(super) fn listen(neighbors: &[&NeighborSettings]) -> io::Result<Socket> {
    let first = neighbors.first().ok_or(ErrorKind::InvalidInput)?;
    let socket = socket(first.address)?;
    for neighbor in neighbors {
        if let Some(secret) = &neighbor.md5_key {
            set_md5_key(socket.as_fd(), peer(neighbor)?, &secret.0)?;
        }
    }
    set_hop_limit(&socket, family_of(first.address))?;
    socket.bind(&SockAddr::from(own(first, first.local_port)?))?;
    socket.listen(BACKLOG)?;
    Ok(socket)
}

/// The router's end.
pub(super) fn peer(neighbor: &NeighborSettings) -> io::Result<SocketAddr> {
    scoped(neighbor.address, neighbor.port, neighbor)
}

/// Our end: as configured, or any address.
pub(super) fn own(neighbor: &NeighborSettings, port: u16) -> io::Result<SocketAddr> {
    let any: IpAddr =
        if neighbor.address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    scoped(neighbor.local_address.unwrap_or(any), port, neighbor)
}

/// An address with the neighbour's device, where it is link-local.
fn scoped(address: IpAddr, port: u16, neighbor: &NeighborSettings) -> io::Result<SocketAddr> {
    match (address, &neighbor.device) {
        (IpAddr::V6(v6), Some(device)) if v6.is_unicast_link_local() => {
            let index = index_of(device)
                .ok_or_else(|| io::Error::new(ErrorKind::NotFound, format!("there is no device `{device}`")))?;
            Ok(SocketAddrV6::new(v6, port, 0, index).into())
        }
        _ => Ok(SocketAddr::new(address, port)),
    }
}

/// A TCP socket of the router's family that does not wait.
fn socket(address: IpAddr) -> io::Result<Socket> {
    let domain = if address.is_ipv4() { Domain::IPV4 } else { Domain::IPV6 };
    let socket = Socket::new(domain, Type::STREAM.nonblocking().cloexec(), Some(Protocol::TCP))?;
    // The port of a session that has just ended can be taken again.
    socket.set_reuse_address(true)?;
    if domain == Domain::IPV6 {
        socket.set_only_v6(true)?;
    }
    Ok(socket)
}

/// Sets what sessions with routers have.
fn harden(socket: &Socket, neighbor: &NeighborSettings) -> io::Result<()> {
    let family = family_of(neighbor.address);
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_user_timeout(Some(neighbor.hold_time))?;
    set_hop_limit(socket, family)?;
    if let Some(hops) = neighbor.hops_max {
        set_hop_limit_min(socket.as_fd(), family, HOP_LIMIT - (hops - 1))?;
    }
    Ok(())
}

/// Sets what each packet has: the greatest hop limit, as GTSM asks for, and the class of routing protocols.
pub(super) fn set_hop_limit(socket: &Socket, family: Family) -> io::Result<()> {
    match family {
        Family::V4 => {
            socket.set_ttl_v4(HOP_LIMIT.into())?;
            socket.set_tos_v4(CLASS_CS6)
        }
        Family::V6 => {
            socket.set_unicast_hops_v6(HOP_LIMIT.into())?;
            socket.set_tclass_v6(CLASS_CS6)
        }
    }
}

/// The greatest hop limit (RFC 5082 §3).
pub(super) const HOP_LIMIT: u8 = 255;
/// DSCP CS6, for what routers say to each other (RFC 4594 §3.1), with no ECN.
const CLASS_CS6: u32 = 0xc0;
/// Connections that wait to be accepted.
const BACKLOG: i32 = 16;
