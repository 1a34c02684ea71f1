//! Queries as IP packets, written into a tun device and read from it.
//!
//! `etherparse` writes and reads IPv4, IPv6 and UDP. Refuses to know who made the device: the caller has brought it up,
//! routed the [`Sources`] into it, and the service addresses to the host. Its frames have no header of
//! their own (`IFF_NO_PI`).

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use etherparse::{NetSlice, PacketBuilder, SlicedPacket, TransportSlice};

use crate::health::transport::ProbeTransport;
use crate::sys::poll;

/// Where IPv4 queries come from unless the operator says otherwise: in the block for protocol assignments (RFC 6890
/// §2.2.2), which no router forwards.
pub const SOURCE_V4: Ipv4Addr = Ipv4Addr::new(192, 0, 0, 100);

/// Where IPv6 queries come from unless the operator says otherwise: in the discard-only block (RFC 6666 §4).
pub const SOURCE_V6: Ipv6Addr = Ipv6Addr::new(0x100, 0, 0, 0, 0, 0, 0, 0x64);

/// Where queries come from, of each family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sources {
    /// IPv4.
    pub v4: Ipv4Addr,
    /// IPv6.
    pub v6: Ipv6Addr,
}

impl Sources {
    /// Both.
    #[must_use]
    pub fn all(self) -> [IpAddr; 2] {
        [self.v4.into(), self.v6.into()]
    }
}

impl Default for Sources {
    fn default() -> Self {
        Self { v4: SOURCE_V4, v6: SOURCE_V6 }
    }
}

/// The UDP port that queries come from.
pub const SOURCE_PORT: u16 = 61053;

/// A tun device that is written and read.
pub(super) struct TunTransport {
    /// The device.
    device: File,
    /// The packet that is built or was read.
    packet: Vec<u8>,
    /// Where the packets come from.
    sources: Sources,
}

impl TunTransport {
    /// Takes the device over and makes it non-blocking.
    ///
    /// # Errors
    /// What `fcntl` says.
    pub(super) fn new(descriptor: OwnedFd, sources: Sources) -> io::Result<Self> {
        poll::set_nonblocking(descriptor.as_fd())?;
        Ok(Self { device: File::from(descriptor), packet: vec![0; PACKET_BYTES_MAX], sources })
    }

    /// Reads one packet and puts what it carries into `buffer`: where it came from, and its length.
    ///
    /// # Errors
    /// As [`ProbeTransport::receive`].
    pub(super) fn take(&mut self, buffer: &mut [u8]) -> io::Result<(SocketAddr, usize)> {
        let length = self.device.read(&mut self.packet)?;
        if length == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let packet = self.packet.get(..length).unwrap_or_default();
        let (from, payload) = read_packet(packet, self.sources).ok_or(io::ErrorKind::InvalidData)?;
        buffer.get_mut(..payload.len()).ok_or(io::ErrorKind::InvalidData)?.copy_from_slice(payload);
        Ok((from, payload.len()))
    }
}

impl AsFd for TunTransport {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.device.as_fd()
    }
}

impl ProbeTransport for TunTransport {
    fn send(&mut self, to: SocketAddr, query: &[u8]) -> io::Result<()> {
        let length = write_packet(&mut self.packet, self.sources, to, query)?;
        let written = self.device.write(&self.packet[..length])?;
        if written == length { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
    }

    fn receive<'b>(&mut self, buffer: &'b mut [u8]) -> io::Result<(SocketAddr, &'b [u8])> {
        let (from, length) = self.take(buffer)?;
        Ok((from, buffer.get(..length).unwrap_or_default()))
    }

    fn wait(&mut self, timeout: Duration) -> io::Result<()> {
        poll::wait_readable(&[self.device.as_fd()], timeout).map(drop)
    }
}

/// Writes the packet with `query` to `to` into `packet` and returns its length. Allocates nothing.
///
/// # Errors
/// [`io::ErrorKind::InvalidInput`] if it does not fit.
fn write_packet(packet: &mut [u8], sources: Sources, to: SocketAddr, query: &[u8]) -> io::Result<usize> {
    let too_long = |_| io::Error::new(io::ErrorKind::InvalidInput, "the query does not fit into a packet");
    let builder = match to.ip() {
        IpAddr::V4(address) => PacketBuilder::ipv4(sources.v4.octets(), address.octets(), HOPS_MAX),
        IpAddr::V6(address) => PacketBuilder::ipv6(sources.v6.octets(), address.octets(), HOPS_MAX),
    };
    builder.udp(SOURCE_PORT, to.port()).write_to_slice(packet, query).map_err(too_long)
}

/// Reads a whole UDP packet to our source address and port with right checksums: where it is from, and its payload.
fn read_packet(packet: &[u8], sources: Sources) -> Option<(SocketAddr, &[u8])> {
    let sliced = SlicedPacket::from_ip(packet).ok()?;
    let TransportSlice::Udp(udp) = sliced.transport? else { return None };
    let (header, payload) = (udp.to_header(), udp.payload());
    let (from, checksum) = match sliced.net? {
        NetSlice::Ipv4(ip) if ip.header().destination_addr() == sources.v4 => {
            let ip = ip.header().to_header();
            if ip.header_checksum != ip.calc_header_checksum() {
                return None;
            }
            (IpAddr::from(ip.source), header.calc_checksum_ipv4(&ip, payload).ok()?)
        }
        NetSlice::Ipv6(ip) if ip.header().destination_addr() == sources.v6 => {
            let ip = ip.header().to_header();
            (IpAddr::from(ip.source), header.calc_checksum_ipv6(&ip, payload).ok()?)
        }
        NetSlice::Ipv4(_) | NetSlice::Ipv6(_) | NetSlice::Arp(_) => return None,
    };
    let is_ours = header.destination_port == SOURCE_PORT && header.checksum == checksum;
    is_ours.then(|| (SocketAddr::new(from, header.source_port), payload))
}

/// The hop limit of a query: one would be enough.
const HOPS_MAX: u8 = 64;

/// The largest packet that is built or read; a longer one is cut by the read, and then refused.
const PACKET_BYTES_MAX: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    /// The reply to a packet: addresses and ports swapped. The sums of the checksums stay the same.
    fn swapped(packet: &[u8]) -> Vec<u8> {
        let mut reply = packet.to_vec();
        let (address, length, ports) = if packet[0] >> 4 == 4 { (12, 4, 20) } else { (8, 16, 40) };
        for index in 0..length {
            reply.swap(address + index, address + length + index);
        }
        reply.swap(ports, ports + 2);
        reply.swap(ports + 1, ports + 3);
        reply
    }

    #[test]
    fn a_packet_goes_out_and_its_reply_is_read() {
        let sources = Sources { v4: Ipv4Addr::new(198, 18, 0, 1), ..Sources::default() };
        for address in ["192.0.2.53:53", "[2001:db8::53]:5300"] {
            let to: SocketAddr = address.parse().expect("an address");
            let mut packet = [0; 256];
            let length = write_packet(&mut packet, sources, to, b"query").expect("it fits");
            assert_eq!(read_packet(&packet[..length], sources), None, "it is not for us");
            let reply = swapped(&packet[..length]);
            assert_eq!(read_packet(&reply, sources), Some((to, &b"query"[..])));
            for index in 0..reply.len() {
                let mut spoiled = reply.clone();
                spoiled[index] ^= 0x10;
                // The traffic class and flow label of IPv6, and its hop limit, are in no checksum.
                let is_unprotected = to.is_ipv6() && matches!(index, 0..=3 | 7);
                assert!(is_unprotected || read_packet(&spoiled, sources).is_none(), "octet {index} of {address}");
                assert_eq!(read_packet(&reply[..index], sources), None);
            }
        }
    }

    #[test]
    fn a_query_that_does_not_fit_is_refused() {
        let to: SocketAddr = "192.0.2.53:53".parse().expect("an address");
        assert!(write_packet(&mut [0; 32], Sources::default(), to, b"query").is_err());
    }
}
