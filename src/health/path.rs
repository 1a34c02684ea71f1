//! How queries reach the workers and replies come back: through a tun device, and around it over loopback sockets; or
//! over loopback sockets only.
//!
//! Refuses to know what the queries say.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use arrayvec::ArrayVec;

use crate::health::transport::ProbeTransport;
use crate::health::tun::{Sources, TunTransport};
use crate::sys::poll;

/// Which way the queries take.
pub enum ProbePath {
    /// IP packets are written into the tun device of this descriptor and read from it: they pass the kernel's input
    /// path, filters included, as a client's packets do. Around that path lead sockets as with [`ProbePath::Socket`].
    Tun(OwnedFd, Sources),
    /// Sockets bound to 127.0.0.1 and ::1. A filter that spares loopback, or a fault of the network card, is not seen.
    Socket,
    /// Any other way; for tests.
    Other(Box<dyn ProbeTransport>),
}

impl ProbePath {
    /// Opens the path for the given service addresses.
    ///
    /// # Errors
    /// What opening the sockets, or making the descriptor non-blocking, says.
    pub(super) fn open(self, addresses: &[SocketAddr]) -> io::Result<Box<dyn ProbeTransport>> {
        match self {
            Self::Tun(descriptor, sources) => {
                let tun = TunTransport::new(descriptor, sources)?;
                Ok(Box::new(TunAndSockets { tun, sockets: SocketTransport::open_what_can(addresses), packets_read: 0 }))
            }
            Self::Socket => Ok(Box::new(SocketTransport::open(addresses)?)),
            Self::Other(transport) => Ok(transport),
        }
    }
}

/// A tun device, and sockets around it.
struct TunAndSockets {
    /// The path of clients.
    tun: TunTransport,
    /// The way around it.
    sockets: SocketTransport,
    /// Packets that were read from the device.
    packets_read: usize,
}

impl ProbeTransport for TunAndSockets {
    fn send(&mut self, to: SocketAddr, query: &[u8]) -> io::Result<()> {
        self.tun.send(to, query)
    }

    fn send_around(&mut self, to: SocketAddr, query: &[u8]) -> io::Result<()> {
        self.sockets.send(to, query)
    }

    fn receive<'b>(&mut self, buffer: &'b mut [u8]) -> io::Result<(SocketAddr, &'b [u8])> {
        self.packets_read = self.packets_read.wrapping_add(1);
        // Sockets hold little, and not often; but a device that somebody floods must not keep that waiting.
        if self.packets_read.is_multiple_of(PACKETS_PER_LOOK)
            && let Some((from, length)) = self.sockets.take(buffer)
        {
            return Ok((from, buffer.get(..length).unwrap_or_default()));
        }
        let (from, length) = match self.tun.take(buffer) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.sockets.take(buffer).ok_or(error)?,
            outcome => outcome?,
        };
        Ok((from, buffer.get(..length).unwrap_or_default()))
    }

    fn wait(&mut self, timeout: Duration) -> io::Result<()> {
        let mut waited: ArrayVec<BorrowedFd<'_>, 3> = self.sockets.sockets.iter().take(2).map(AsFd::as_fd).collect();
        waited.push(self.tun.as_fd());
        poll::wait_readable(&waited, timeout).map(drop)
    }
}

/// After so many packets from the device the sockets are looked at, though there may be more.
const PACKETS_PER_LOOK: usize = 32;

/// One UDP socket for each family that is asked.
struct SocketTransport {
    /// IPv4 in front of IPv6, each only where there are such addresses.
    sockets: Vec<UdpSocket>,
}

impl SocketTransport {
    /// Binds a socket for each family of `addresses`.
    fn open(addresses: &[SocketAddr]) -> io::Result<Self> {
        Ok(Self { sockets: Self::each(addresses).collect::<io::Result<_>>()? })
    }

    /// Does the same, and leaves a family out whose loopback is not there.
    fn open_what_can(addresses: &[SocketAddr]) -> Self {
        let log = |error: &io::Error| tracing::warn!(%error, "no way around the probes' path: loopback can't be used");
        Self { sockets: Self::each(addresses).filter_map(|socket| socket.inspect_err(log).ok()).collect() }
    }

    /// Binds the sockets, one after the other.
    fn each(addresses: &[SocketAddr]) -> impl Iterator<Item = io::Result<UdpSocket>> {
        let sources = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
        let is_needed = |source: &IpAddr| addresses.iter().any(|address| address.is_ipv4() == source.is_ipv4());
        sources.into_iter().filter(is_needed).map(|source| {
            let socket = UdpSocket::bind((source, 0))?;
            socket.set_nonblocking(true)?;
            Ok(socket)
        })
    }

    /// The socket of a family.
    fn of(&self, to: SocketAddr) -> io::Result<&UdpSocket> {
        let is_same = |socket: &&UdpSocket| socket.local_addr().is_ok_and(|local| local.is_ipv4() == to.is_ipv4());
        self.sockets.iter().find(is_same).ok_or_else(|| io::ErrorKind::AddrNotAvailable.into())
    }
}

impl SocketTransport {
    /// Takes one datagram, if one is there, and puts it into `buffer`: where it came from, and its length.
    fn take(&self, buffer: &mut [u8]) -> Option<(SocketAddr, usize)> {
        self.sockets.iter().find_map(|socket| socket.recv_from(buffer).ok()).map(|(length, from)| (from, length))
    }
}

impl ProbeTransport for SocketTransport {
    fn send(&mut self, to: SocketAddr, query: &[u8]) -> io::Result<()> {
        self.of(to)?.send_to(query, to).map(drop)
    }

    fn receive<'b>(&mut self, buffer: &'b mut [u8]) -> io::Result<(SocketAddr, &'b [u8])> {
        for socket in &self.sockets {
            match socket.recv_from(buffer) {
                Ok((length, from)) => return Ok((from, &buffer[..length.min(buffer.len())])),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::ErrorKind::WouldBlock.into())
    }

    fn wait(&mut self, timeout: Duration) -> io::Result<()> {
        match &self.sockets[..] {
            [one] => poll::wait_readable(&[one.as_fd()], timeout),
            [one, other] => poll::wait_readable(&[one.as_fd(), other.as_fd()], timeout),
            _ => poll::wait_readable(&[], timeout),
        }
        .map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_family_has_its_own_socket() {
        let servers: Vec<UdpSocket> =
            ["127.0.0.1:0", "[::1]:0"].iter().filter_map(|address| UdpSocket::bind(address).ok()).collect();
        let addresses: Vec<SocketAddr> = servers.iter().filter_map(|server| server.local_addr().ok()).collect();
        let mut transport = ProbePath::Socket.open(&addresses).expect("loopback is there");
        let mut buffer = [0; 64];
        let error = transport.receive(&mut buffer).expect_err("nothing was sent");
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        for (server, address) in servers.iter().zip(&addresses) {
            transport.send(*address, b"asked").expect("loopback takes it");
            let (length, from) = server.recv_from(&mut buffer).expect("it was sent");
            assert_eq!(&buffer[..length], b"asked");
            server.send_to(b"answered", from).expect("loopback takes it");
            transport.wait(Duration::from_secs(60)).expect("the wait ends");
            assert_eq!(transport.receive(&mut buffer).expect("it arrived"), (*address, &b"answered"[..]));
        }
    }

    #[test]
    fn a_family_that_was_not_asked_for_cannot_be_sent_to() {
        let mut transport = ProbePath::Socket.open(&[]).expect("nothing has to be opened");
        assert!(transport.send("127.0.0.1:9".parse().expect("an address"), b"x").is_err());
        transport.wait(Duration::from_nanos(1)).expect("the wait ends");
    }
}
