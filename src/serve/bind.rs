//! Binding: every address for UDP and TCP, all or nothing, and an error that says what to do.
//!
//! A second server that binds the same address with SO_REUSEPORT would silently join the group and take a part of the
//! queries. So each address is bound without the option first; only then does that socket open the group to its twins,
//! and when all of them are in it, it is closed behind them: see [`close_group`].

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::os::fd::AsFd;
use std::os::unix::fs::fchown;
use std::sync::Arc;

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use super::limits::TcpLimits;
use crate::answer::Transport;
use crate::sys::cpu;
use crate::sys::socket::{Family, omit_path_mtu, receive_packet_info, set_send_buffer};
use crate::tls::TlsAcceptor;

/// All sockets, bound but not yet read: what comes from now on waits in them.
#[derive(Debug)]
pub struct Bound {
    /// The UDP sockets by worker, then by address.
    pub(super) workers: Vec<Vec<UdpSocket>>,
    /// By address, what replies to probes leave by where a worker's own socket is full; `None` where nobody probes,
    /// and where none could be had.
    pub(super) spares: Vec<Option<UdpSocket>>,
    /// The TCP listeners by address.
    pub(super) listeners: Vec<TcpListener>,
    /// What TCP clients may take.
    pub(super) limits: TcpLimits,
    /// The addresses with the ports that the kernel chose.
    addresses: Vec<SocketAddr>,
    /// Where TLS is spoken.
    pub(super) tls: Option<BoundTls>,
}

/// Listeners for TLS, and what is spoken there.
#[derive(Debug)]
pub(super) struct BoundTls {
    /// The listeners by address.
    pub(super) listeners: Vec<TcpListener>,
    /// What is spoken.
    pub(super) acceptor: TlsAcceptor,
    /// The addresses with the ports that the kernel chose.
    addresses: Vec<SocketAddr>,
}

impl Bound {
    /// Returns the addresses that are listened on, with the port that was chosen where 0 was asked for.
    #[must_use]
    pub fn local_addresses(&self) -> Vec<SocketAddr> {
        self.addresses.clone()
    }

    /// Returns the addresses on which TLS is spoken, as [`Self::local_addresses`] does those of UDP and TCP.
    #[must_use]
    pub fn tls_addresses(&self) -> Vec<SocketAddr> {
        self.tls.as_ref().map(|tls| tls.addresses.clone()).unwrap_or_default()
    }

    /// Binds one more address, on which what `acceptor` holds is spoken.
    ///
    /// # Errors
    /// What is wrong with the address.
    pub fn listen_tls(&mut self, wanted: ListenAddress, acceptor: &TlsAcceptor) -> Result<(), BindError> {
        let address = wanted.address;
        let failed = |error: io::Error| BindError { address, transport: Transport::Tcp, cause: BindCause::of(&error) };
        let listener = listen(wanted, &self.limits).map_err(failed)?;
        let port = listener.local_addr().map_err(failed)?.port();
        let acceptor = Arc::clone(acceptor);
        let tls = self.tls.get_or_insert(BoundTls { listeners: Vec::new(), acceptor, addresses: Vec::new() });
        tls.listeners.push(listener);
        tls.addresses.push(SocketAddr::new(address.ip(), port));
        Ok(())
    }
}

/// An address that cannot be listened on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot listen on {address} over {}: {}", transport_name(*.transport), Advice { error: self })]
pub struct BindError {
    /// The address as it was asked for.
    pub address: SocketAddr,
    /// The transport that failed; where one fails, nothing of the address stays bound.
    pub transport: Transport,
    /// Why.
    pub cause: BindCause,
}

/// Why an address cannot be listened on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BindCause {
    /// Another socket has it, or a wildcard address of the same port.
    Taken,
    /// No interface of this host has the address.
    NotOurs,
    /// The port is privileged, or a policy forbids it.
    NoPermission,
    /// The host does not have IPv4, or not IPv6.
    FamilyAbsent,
    /// Anything else that the system says.
    Other {
        /// The system's error number; 0 where there is none.
        errno: i32,
    },
}

impl BindCause {
    /// Returns whether the host lacks the address or its whole family, so that a default may be skipped.
    #[must_use]
    pub fn is_absence(self) -> bool {
        match self {
            Self::NotOurs | Self::FamilyAbsent => true,
            Self::Taken | Self::NoPermission | Self::Other { .. } => false,
        }
    }

    /// Sorts an error of the system.
    fn of(error: &io::Error) -> Self {
        match error.raw_os_error() {
            Some(libc::EADDRINUSE) => Self::Taken,
            Some(libc::EADDRNOTAVAIL) => Self::NotOurs,
            Some(libc::EACCES | libc::EPERM) => Self::NoPermission,
            Some(libc::EAFNOSUPPORT | libc::EPFNOSUPPORT) => Self::FamilyAbsent,
            other => Self::Other { errno: other.unwrap_or(0) },
        }
    }
}

/// An address that is to be listened on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenAddress {
    /// The address; port 0 lets the kernel choose.
    pub address: SocketAddr,
    /// Whether no interface needs to have the address yet: it is bound now and answers as soon as one has it
    /// (`IP_FREEBIND`, `IPV6_FREEBIND`). It must still be free, and its family must be there.
    pub may_be_absent: bool,
}

impl From<SocketAddr> for ListenAddress {
    /// An address that must be there.
    fn from(address: SocketAddr) -> Self {
        Self { address, may_be_absent: false }
    }
}

/// Binds every address for UDP, once per worker, and for TCP. Nothing is read before [`Bound::start`].
///
/// `workers` is the number of UDP workers; 0 means one per CPU that the process may use, and more than 1024
/// are not made. Port 0 lets the kernel choose one port that is free for both transports. An address that is listed
/// twice is bound once, as it is listed first.
///
/// # Errors
/// The first address that fails; all sockets are closed again then.
pub fn bind<A: Copy + Into<ListenAddress>>(
    listen: &[A],
    workers: usize,
    limits: &TcpLimits,
) -> Result<Bound, BindError> {
    let all: Vec<ListenAddress> = listen.iter().map(|&wanted| wanted.into()).collect();
    let worker_count = match workers {
        0 => cpu::allowed().map_or(1, |cpus| cpus.len()),
        asked => asked,
    };
    let worker_count = worker_count.clamp(1, WORKERS_MAX);
    let (workers, spares, listeners, addresses) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut bound = Bound { workers, spares, listeners, limits: *limits, addresses, tls: None };
    if all.is_empty() {
        return Ok(bound);
    }
    bound.workers.resize_with(worker_count, Vec::new);
    for (index, &wanted) in all.iter().enumerate() {
        // Port 0 twice asks for two ports; anything else twice is the same socket.
        if wanted.address.port() != 0 && all[..index].iter().any(|earlier| earlier.address == wanted.address) {
            continue;
        }
        let (group, listener, chosen) = bind_pair(wanted, worker_count, limits)?;
        for (sockets, socket) in bound.workers.iter_mut().zip(group) {
            sockets.push(socket);
        }
        // Without one, a worker whose socket is full is late; that is no reason not to serve.
        bound.spares.push(wanted.may_be_absent.then(|| spare_socket(chosen).ok()).flatten());
        bound.listeners.push(listener);
        bound.addresses.push(chosen);
    }
    Ok(bound)
}

/// Binds both transports of one address, on the same port.
fn bind_pair(
    wanted: ListenAddress,
    worker_count: usize,
    limits: &TcpLimits,
) -> Result<(Vec<UdpSocket>, TcpListener, SocketAddr), BindError> {
    let address = wanted.address;
    let attempts_max = if address.port() == 0 { PORT_ATTEMPTS_MAX } else { 1 };
    let mut attempt = 1;
    loop {
        let udp_error =
            |error: io::Error| BindError { address, transport: Transport::Udp, cause: BindCause::of(&error) };
        let first = bind_alone(wanted).map_err(udp_error)?;
        let chosen = local_address(&first, address).map_err(udp_error)?;
        let chosen_address = ListenAddress { address: chosen, ..wanted };
        match listen(chosen_address, limits) {
            Ok(listener) => {
                let group = open_group(first, chosen_address, worker_count).map_err(udp_error)?;
                return Ok((group, listener, chosen));
            }
            // The port was free for UDP only: let the kernel choose another one.
            Err(error) if BindCause::of(&error) == BindCause::Taken && attempt < attempts_max => attempt += 1,
            Err(error) => {
                return Err(BindError { address, transport: Transport::Tcp, cause: BindCause::of(&error) });
            }
        }
    }
}

/// Binds a UDP socket that shares its address with nobody.
fn bind_alone(wanted: ListenAddress) -> io::Result<Socket> {
    let socket = udp_socket(wanted)?;
    socket.bind(&SockAddr::from(wanted.address))?;
    Ok(socket)
}

/// Lets the other workers' sockets join the first one, and returns all of them in the order of the workers.
///
/// The order is that of the reuseport group, which a filter on the group counts by.
fn open_group(first: Socket, wanted: ListenAddress, worker_count: usize) -> io::Result<Vec<UdpSocket>> {
    first.set_reuse_port(true)?;
    let mut group = vec![first.into()];
    for _ in 1..worker_count {
        let socket = udp_socket(wanted)?;
        socket.set_reuse_port(true)?;
        socket.bind(&SockAddr::from(wanted.address))?;
        group.push(socket.into());
    }
    close_group(&group);
    Ok(group)
}

/// Keeps everybody else from joining the group: the sockets get an owner that no process is.
///
/// Linux lets a socket join where all have SO_REUSEPORT and one owner (`inet_rcv_saddr_equal`, `sk_uid`). BIND asks
/// for it always: started by the same user on the same address, it would take a part of the queries without a word.
/// Where the owner can't be changed, which takes CAP_CHOWN, other users can't join all the same.
fn close_group(group: &[UdpSocket]) {
    for socket in group {
        // Without the capability the group is as open as before, which is no reason not to serve.
        let _ = fchown(socket, Some(NOBODY), None);
    }
}

/// Makes a socket that sends from the address of a group, by a port of its own: clients that do not take their replies
/// fill the sockets of the group, and not this one. What comes there is not read.
fn spare_socket(address: SocketAddr) -> io::Result<UdpSocket> {
    let wanted = ListenAddress { address: SocketAddr::new(address.ip(), 0), may_be_absent: true };
    let socket = bind_alone(wanted)?;
    socket.set_recv_buffer_size(0)?;
    Ok(socket.into())
}

/// Makes a UDP socket with all options but those that share addresses.
fn udp_socket(wanted: ListenAddress) -> io::Result<Socket> {
    let address = wanted.address;
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    let family = family(address);
    if family == Family::V6 {
        socket.set_only_v6(true)?;
    }
    allow_absence(&socket, wanted)?;
    omit_path_mtu(socket.as_fd(), family)?;
    if address.ip().is_unspecified() {
        receive_packet_info(socket.as_fd(), family)?;
    }
    // The kernel cuts the wish to what the host allows, which is not an error.
    socket.set_recv_buffer_size(UDP_RECEIVE_BYTES)?;
    set_send_buffer(socket.as_fd(), UDP_SEND_BYTES)?;
    Ok(socket)
}

/// Makes a TCP listener that does not block, for one who serves by itself.
///
/// # Errors
/// What is wrong with the address.
pub fn listen_at(wanted: ListenAddress) -> Result<TcpListener, BindError> {
    let failed = |error| BindError { address: wanted.address, transport: Transport::Tcp, cause: BindCause::of(&error) };
    listen(wanted, &TcpLimits::default()).map_err(failed)
}

/// Makes a TCP listener. SO_REUSEADDR lets it start while old connections fade; a listener on the port is an error all
/// the same, since SO_REUSEPORT is not set.
fn listen(wanted: ListenAddress, limits: &TcpLimits) -> io::Result<TcpListener> {
    let address = wanted.address;
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if family(address) == Family::V6 {
        socket.set_only_v6(true)?;
    }
    allow_absence(&socket, wanted)?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    // Inherited by each connection, as all that follows: replies are written whole, and are not to wait for the
    // client's acknowledgement.
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_mss(limits.mss.into())?;
    socket.set_recv_buffer_size(TCP_RECEIVE_BYTES)?;
    socket.set_send_buffer_size(TCP_SEND_BYTES)?;
    socket.set_tcp_notsent_lowat(TCP_UNSENT_BYTES)?;
    socket.bind(&SockAddr::from(address))?;
    socket.listen(TCP_BACKLOG)?;
    Ok(socket.into())
}

/// Lets the socket be bound to an address that no interface has yet, where that is wished.
fn allow_absence(socket: &Socket, wanted: ListenAddress) -> io::Result<()> {
    match family(wanted.address) {
        _ if !wanted.may_be_absent => Ok(()),
        Family::V4 => socket.set_freebind_v4(true),
        Family::V6 => socket.set_freebind_v6(true),
    }
}

/// Returns the address of a bound socket; `asked` keeps its scope and flow label.
fn local_address(socket: &Socket, asked: SocketAddr) -> io::Result<SocketAddr> {
    let port = socket.local_addr()?.as_socket().map_or(0, |address| address.port());
    let mut address = asked;
    address.set_port(port);
    Ok(address)
}

/// Returns the family of `address`.
fn family(address: SocketAddr) -> Family {
    match address {
        SocketAddr::V4(_) => Family::V4,
        SocketAddr::V6(_) => Family::V6,
    }
}

/// Names the transport as operators know it.
fn transport_name(transport: Transport) -> &'static str {
    match transport {
        Transport::Udp => "UDP",
        Transport::Tcp => "TCP",
    }
}

/// Shows why an address failed and what to do about it.
struct Advice<'a> {
    /// The failure.
    error: &'a BindError,
}

impl fmt::Display for Advice<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = self.error.address;
        let port = address.port();
        match self.error.cause {
            BindCause::Taken => {
                let option = match self.error.transport {
                    Transport::Udp => "-lunp",
                    Transport::Tcp => "-ltnp",
                };
                write!(
                    out,
                    "the address is taken; `ss {option} 'sport = {port}'` shows by whom: stop it or listen elsewhere"
                )
            }
            BindCause::NotOurs => {
                let kind = if matches!(address.ip(), IpAddr::V4(_)) { "-4" } else { "-6" };
                write!(out, "no interface of this host has the address; `ip {kind} address` lists those that are there")
            }
            BindCause::NoPermission if port != 0 && port < PRIVILEGED_PORTS_END => {
                write!(out, "no permission; ports below 1024 need root or CAP_NET_BIND_SERVICE, or choose a port above")
            }
            BindCause::NoPermission => {
                write!(out, "no permission; a security policy of this host (SELinux, AppArmor, seccomp) forbids it")
            }
            BindCause::FamilyAbsent => {
                let name = if matches!(address.ip(), IpAddr::V4(_)) { "IPv4" } else { "IPv6" };
                write!(out, "this host does not have {name}; switch it on or leave the address out")
            }
            BindCause::Other { errno: libc::EINVAL } if needs_scope(address) => {
                write!(out, "a link-local address needs its interface: write it as fe80::…%eth0")
            }
            BindCause::Other { errno } => write!(out, "{}", io::Error::from_raw_os_error(errno)),
        }
    }
}

/// Returns whether `address` is link-local and does not say on which link.
fn needs_scope(address: SocketAddr) -> bool {
    matches!(address, SocketAddr::V6(v6) if v6.ip().is_unicast_link_local() && v6.scope_id() == 0)
}

/// The most UDP workers that are made.
pub(super) const WORKERS_MAX: usize = 1024;

/// A user that no process is: neither the last number, which means "no change", nor one that a system gives out.
const NOBODY: u32 = u32::MAX - 2;

/// How often a port that is free for UDP is tried for TCP, where the kernel may choose.
const PORT_ATTEMPTS_MAX: usize = 32;

/// What is asked for queries that a UDP socket keeps; Linux doubles it for its own bookkeeping, as all below.
const UDP_RECEIVE_BYTES: usize = 4 << 20;

/// What is asked for replies that a UDP socket keeps. Those to neighbours that do not answer ARP or neighbour discovery
/// stay until the kernel gives up: 208 KiB each, 52 MiB for all of an IPv4 /24. Where they fill the sockets, the
/// replies of all others are lost, so that two workers are to have room for as many.
const UDP_SEND_BYTES: usize = 16 << 20;

/// What is asked for queries of a TCP connection that are not read yet; Linux doubles it for its own bookkeeping.
/// Thousands fit in.
const TCP_RECEIVE_BYTES: usize = 64 << 10;

/// The same for what was sent and is not acknowledged: enough for 1.2 MB/s to a client that is 100 ms away.
const TCP_SEND_BYTES: usize = 128 << 10;

/// How much is taken for a client beyond what its window has room for: one that reads nothing is given no more to
/// keep.
const TCP_UNSENT_BYTES: u32 = 16 << 10;

/// Connections that wait to be accepted; the kernel cuts it to `net.core.somaxconn`.
const TCP_BACKLOG: i32 = 4096;

/// The first port that needs no privilege, unless the host says otherwise.
const PRIVILEGED_PORTS_END: u16 = 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::socket::is_path_mtu_omitted;

    /// Parses an address.
    fn address(text: &str) -> SocketAddr {
        text.parse().expect("a socket address")
    }

    #[test]
    fn each_worker_gets_a_socket_per_address_and_both_transports_one_port() {
        let asked = [address("127.0.0.1:0"), address("127.0.0.2:0")];
        let bound = bind(&asked, 3, &TcpLimits::default()).expect("loopback is there");
        let addresses = bound.local_addresses();
        assert_eq!(addresses.iter().map(SocketAddr::ip).collect::<Vec<_>>(), asked.map(|one| one.ip()));
        assert_eq!(bound.workers.len(), 3);
        for sockets in &bound.workers {
            let seen: Vec<_> = sockets.iter().map(|socket| socket.local_addr().expect("bound")).collect();
            assert_eq!(seen, addresses);
            assert!(is_path_mtu_omitted(sockets[0].as_fd(), Family::V4).expect("the option can be read"));
        }
        let listening: Vec<_> = bound.listeners.iter().map(|one| one.local_addr().expect("bound")).collect();
        assert_eq!(listening, addresses);
    }

    #[test]
    fn no_workers_means_one_per_cpu_and_no_address_means_no_socket() {
        let bound = bind(&[address("127.0.0.1:0")], 0, &TcpLimits::default()).expect("loopback is there");
        assert_eq!(bound.workers.len(), cpu::allowed().expect("affinity can be read").len());
        let nothing = bind::<SocketAddr>(&[], 4, &TcpLimits::default()).expect("nothing can fail");
        assert!(nothing.workers.is_empty() && nothing.local_addresses().is_empty());
    }

    #[test]
    fn an_address_listed_twice_is_bound_once() {
        let free = bind(&[address("127.0.0.1:0")], 1, &TcpLimits::default()).expect("loopback is there");
        let chosen = free.local_addresses()[0];
        drop(free);
        let bound = bind(&[chosen, chosen], 2, &TcpLimits::default()).expect("the port was let go of");
        assert_eq!(bound.local_addresses(), [chosen]);
    }

    #[test]
    fn an_address_of_somebody_else_is_not_ours() {
        // RFC 5737 §3: nobody has it.
        let asked = address("192.0.2.1:5353");
        let error = bind(&[asked], 1, &TcpLimits::default()).expect_err("the address is for documentation");
        assert_eq!(error, BindError { address: asked, transport: Transport::Udp, cause: BindCause::NotOurs });
        assert!(error.cause.is_absence());
        assert!(error.to_string().starts_with("cannot listen on 192.0.2.1:5353 over UDP: no interface"), "{error}");
    }

    #[test]
    fn an_address_that_may_be_absent_is_bound_before_it_is_there_and_only_once() {
        // RFC 5737 §3, RFC 3849: nobody has them.
        for text in ["192.0.2.1:0", "[2001:db8::1]:0"] {
            let wanted = ListenAddress { address: address(text), may_be_absent: true };
            let bound = match bind(&[wanted], 2, &TcpLimits::default()) {
                Err(BindError { cause: BindCause::FamilyAbsent, .. }) if wanted.address.is_ipv6() => {
                    eprintln!("SKIPPED in part: this host does not have IPv6");
                    continue;
                }
                bound => bound.expect("absence is allowed"),
            };
            let taken = ListenAddress { address: bound.local_addresses()[0], ..wanted };
            assert_eq!((bound.workers.len(), bound.listeners.len()), (2, 1));
            let cause = |error: BindError| (error.transport, error.cause);
            let second = bind(&[taken], 1, &TcpLimits::default()).map_err(cause);
            assert_eq!(second.err(), Some((Transport::Udp, BindCause::Taken)));
            let Bound { workers, listeners, .. } = bound;
            drop(workers);
            let second = bind(&[taken], 1, &TcpLimits::default()).map_err(cause);
            assert_eq!(second.err(), Some((Transport::Tcp, BindCause::Taken)));
            drop(listeners);
            bind(&[taken], 1, &TcpLimits::default()).expect("it was let go of");
            let strict = bind(&[taken.address], 1, &TcpLimits::default()).map_err(cause);
            assert_eq!(strict.err(), Some((Transport::Udp, BindCause::NotOurs)));
        }
    }

    #[test]
    fn each_cause_says_what_to_do() {
        let show = |text: &str, transport, cause| BindError { address: address(text), transport, cause }.to_string();
        let taken = show("127.0.0.1:53", Transport::Tcp, BindCause::Taken);
        assert!(taken.contains("over TCP") && taken.contains("ss -ltnp 'sport = 53'"), "{taken}");
        let forbidden = show("127.0.0.1:53", Transport::Udp, BindCause::NoPermission);
        assert!(forbidden.contains("CAP_NET_BIND_SERVICE"), "{forbidden}");
        let policy = show("127.0.0.1:5300", Transport::Udp, BindCause::NoPermission);
        assert!(policy.contains("security policy"), "{policy}");
        let absent = show("[::1]:53", Transport::Udp, BindCause::FamilyAbsent);
        assert!(absent.contains("does not have IPv6"), "{absent}");
        let unscoped = show("[fe80::1]:53", Transport::Udp, BindCause::Other { errno: libc::EINVAL });
        assert!(unscoped.contains("needs its interface"), "{unscoped}");
        let full = show("127.0.0.1:53", Transport::Udp, BindCause::Other { errno: libc::EMFILE });
        assert!(full.contains("open files"), "{full}");
    }

    #[test]
    fn only_absence_may_be_skipped() {
        let of = |errno| BindCause::of(&io::Error::from_raw_os_error(errno)).is_absence();
        assert!(of(libc::EADDRNOTAVAIL) && of(libc::EAFNOSUPPORT));
        assert!(!of(libc::EADDRINUSE) && !of(libc::EACCES) && !of(libc::EINVAL));
    }
}
