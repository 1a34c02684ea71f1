//! BFD beside the sessions: the sockets, and the session of each neighbour.
//!
//! What comes is received on one socket for each family and kind, and belongs to the neighbour whose address it comes
//! from. What goes has a socket for each neighbour, with a source port of its own (RFC 5881 §4).

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::num::{NonZeroU8, NonZeroU32};
use std::os::fd::AsFd;
use std::time::Duration;

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use super::connection::{own, peer, set_hop_limit};
use super::settings::{BfdSettings, NeighborSettings};
use crate::bfd::{Action, Event, PACKET_BYTES, Session, SessionSettings, State};
use crate::sys::peering::{Received, family_of, receive, receive_hop_limit};

/// A socket on which packets of one family and kind come.
#[derive(Debug)]
pub(super) struct Receiver {
    pub(super) socket: UdpSocket,
    is_ipv4: bool,
    is_multihop: bool,
    /// The least hop limit of a packet from a neighbour: over a single hop nobody from afar can send with the full one.
    hop_limit_min: u8,
}

/// The BFD session of a neighbour.
#[derive(Debug)]
pub(super) struct Beat {
    session: Session,
    settings: SessionSettings,
    socket: Option<UdpSocket>,
    /// Why the last packet could not be sent.
    pub(super) send_error: Option<io::Error>,
    /// Times that a packet could not be sent.
    pub(super) send_failures: u64,
}

/// Opens a receiver for each family and kind that the neighbours need.
///
/// # Errors
/// What the kernel says of the socket that it can't be had for, mostly that another BFD daemon has the port.
pub(super) fn receivers(neighbors: &[NeighborSettings]) -> Result<Vec<Receiver>, (u16, io::Error)> {
    let mut receivers: Vec<Receiver> = Vec::new();
    for neighbor in neighbors {
        let Some(settings) = neighbor.bfd.map(session_settings) else { continue };
        let (is_ipv4, is_multihop) = (neighbor.address.is_ipv4(), settings.is_multihop);
        if receivers.iter().any(|known| (known.is_ipv4, known.is_multihop) == (is_ipv4, is_multihop)) {
            continue;
        }
        let any: IpAddr = if is_ipv4 { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let opened = open(SocketAddr::new(any, settings.port())).and_then(|socket| {
            receive_hop_limit(socket.as_fd(), family_of(any))?;
            Ok(socket.into())
        });
        let socket = opened.map_err(|error| (settings.port(), error))?;
        receivers.push(Receiver { socket, is_ipv4, is_multihop, hop_limit_min: settings.ttl_min() });
    }
    Ok(receivers)
}

impl Receiver {
    /// Takes one packet, if one waits, and says whether it came from near enough.
    ///
    /// # Errors
    /// What the kernel says but that nothing waits.
    pub(super) fn take(&self, octets: &mut [u8]) -> io::Result<Option<(Received, bool)>> {
        match receive(self.socket.as_fd(), octets) {
            Ok(received) => Ok(Some((received, received.hop_limit.is_some_and(|limit| limit >= self.hop_limit_min)))),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether packets of that neighbour come here.
    pub(super) fn is_for(&self, neighbor: &NeighborSettings) -> bool {
        let is_kind = |bfd: BfdSettings| bfd.is_multihop == self.is_multihop;
        neighbor.address.is_ipv4() == self.is_ipv4 && neighbor.bfd.is_some_and(is_kind)
    }
}

impl Beat {
    /// Not begun yet.
    pub(super) fn new(now: Duration, settings: BfdSettings, discriminator: NonZeroU32, seed: u64) -> Self {
        let settings = session_settings(settings);
        let session = Session::new(now, settings, discriminator, seed);
        Self { session, settings, socket: None, send_error: None, send_failures: 0 }
    }

    /// Hands an event to the session, sends what it says, and returns the state that it is in now, if that is another.
    pub(super) fn handle(
        &mut self,
        now: Duration,
        event: Event<'_>,
        is_proven: bool,
        neighbor: &NeighborSettings,
    ) -> Option<State> {
        let (mut actions, before) = (Vec::new(), self.session.state());
        self.session.handle(now, Event::Proven(is_proven), &mut actions);
        self.session.handle(now, event, &mut actions);
        if event == Event::Begin {
            self.socket = None;
        }
        for action in actions {
            match action {
                Action::Send(packet) => self.send(&packet, neighbor),
                Action::Changed { from, to, diagnostic } => {
                    tracing::info!(neighbor = %neighbor.address, "BFD: {from:?} → {to:?}, {diagnostic}");
                }
            }
        }
        Some(self.session.state()).filter(|state| *state != before)
    }

    /// Sends a packet. One that can't be sent is one that is lost: the next one is tried anew.
    fn send(&mut self, packet: &[u8; PACKET_BYTES], neighbor: &NeighborSettings) {
        let sent = match &self.socket {
            Some(socket) => socket.send(packet),
            None => self.open(neighbor).and_then(|socket| socket.send(packet)),
        };
        if let Err(error) = sent {
            // What an ICMP message said of an earlier packet is no fault of this one.
            if error.kind() != ErrorKind::ConnectionRefused {
                (self.socket, self.send_failures) = (None, self.send_failures + 1);
                self.send_error = Some(error);
            }
        }
    }

    /// Makes the socket that sends.
    fn open(&mut self, neighbor: &NeighborSettings) -> io::Result<&UdpSocket> {
        let mut router = peer(neighbor)?;
        router.set_port(self.settings.port());
        let first = SOURCE_PORTS.0 + (self.session.facts().local_discriminator.get() % SOURCE_PORTS_TRIED) as u16;
        let mut outcome = Err(ErrorKind::AddrInUse.into());
        for port in (first..=SOURCE_PORTS.1).take(SOURCE_PORTS_TRIED as usize) {
            outcome = own(neighbor, port).and_then(open);
            if !matches!(&outcome, Err(error) if error.kind() == ErrorKind::AddrInUse) {
                break;
            }
        }
        let socket: UdpSocket = outcome?.into();
        socket.connect(router)?;
        Ok(self.socket.insert(socket))
    }

    /// When a tick is due.
    pub(super) fn deadline(&self) -> Option<Duration> {
        self.session.deadline()
    }

    /// The session.
    pub(super) fn session(&self) -> &Session {
        &self.session
    }
}

/// The machine's settings.
fn session_settings(settings: BfdSettings) -> SessionSettings {
    SessionSettings {
        interval: settings.interval,
        multiplier: NonZeroU8::new(settings.multiplier).unwrap_or(NonZeroU8::MIN),
        min_rx: settings.interval,
        is_multihop: settings.is_multihop,
    }
}

/// A bound UDP socket that does not wait.
fn open(address: SocketAddr) -> io::Result<Socket> {
    let domain = Domain::for_address(address);
    let socket = Socket::new(domain, Type::DGRAM.nonblocking().cloexec(), Some(Protocol::UDP))?;
    if domain == Domain::IPV6 {
        socket.set_only_v6(true)?;
    }
    set_hop_limit(&socket, family_of(address.ip()))?;
    socket.bind(&SockAddr::from(address))?;
    Ok(socket)
}

/// The octets of a packet that are read: one that is longer than it may be is seen to be.
pub(super) const RECEIVED_BYTES_MAX: usize = 256;
/// The source ports (RFC 5881 §4).
const SOURCE_PORTS: (u16, u16) = (49_152, 65_535);
/// How many of them are tried.
const SOURCE_PORTS_TRIED: u32 = 8_000;
