//! Who presses on node1 from outside: idle connections, senders who are not there, a flood.
//!
//! Each is a thread in a namespace of the site until the value is ended, and reports whether what it did was what it
//! should be.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

use crate::common::message::Query;
use crate::common::name::name;
use crate::common::site::namespace::Namespace;
use crate::common::site::subject::WORKERS;
use crate::common::site::{Family, clock};

/// The TCP clients that the nodes of the soak take, all from one address if it comes to that.
pub(crate) const TCP_CLIENTS_MAX: usize = 100;
/// Idle connections that are held: more than are taken.
const IDLE_CONNECTIONS: usize = 2 * TCP_CLIENTS_MAX;
/// Connections that are opened before it is looked again which are still open.
const IDLE_CONNECTS_MAX: usize = 50;
/// Between two such looks.
const IDLE_PACE: Duration = Duration::from_millis(50);
/// How long one connect may take.
const CONNECT_PATIENCE: Duration = Duration::from_millis(100);
/// The octets of replies that the kernel keeps for one neighbour that is not there (`unres_qlen_bytes`, as it comes).
const UNRESOLVED_BYTES: usize = 212_992;
/// What the kernel counts for a small packet.
const PACKET_BYTES: usize = 768;
/// How long the kernel asks for a neighbour, in seconds: three times one.
const RESOLVE_SECONDS: usize = 3;
/// A send buffer of a worker without the privilege of a larger one.
const SEND_BUFFER_BYTES: usize = 4 << 20;
/// The most absent hosts that [`ABSENT_NETWORK4`] has room for.
const ABSENT_HOSTS_MAX: usize = 150;
/// Queries a second of the flood: many, and fewer than a node of the soak can answer on one CPU.
const FLOOD_RATE: usize = 8000;
/// How many queries are sent at once, so that queues build up.
const BURST: usize = 200;

/// A thread that presses until it is asked to end.
#[derive(Debug)]
pub(crate) struct Crowd {
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<bool>>,
}

impl Crowd {
    /// Starts a thread in a namespace; the work returns whether it could do what it should.
    fn start(space: &Namespace, work: impl FnOnce(&AtomicBool) -> bool + Send + 'static) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let over = Arc::clone(&is_over);
        let thread = space.run(|| std::thread::spawn(move || work(&over)));
        Self { is_over, thread: Some(thread) }
    }

    /// Connections that say nothing, from the client to both service addresses, opened anew when they are closed.
    pub(crate) fn idle(client: &Namespace) -> Self {
        Self::start(client, |is_over| {
            let mut open: Vec<TcpStream> = Vec::new();
            let mut most = 0;
            while !is_over.load(Ordering::Relaxed) {
                // Only what the server has closed is given up: nothing that it holds is let go.
                open.retain(is_open);
                let families = Family::ALL.into_iter().cycle().take(IDLE_CONNECTIONS.saturating_sub(open.len()));
                for family in families.take(IDLE_CONNECTS_MAX) {
                    let address = SocketAddr::new(family.service(), 53);
                    open.extend(TcpStream::connect_timeout(&address, CONNECT_PATIENCE));
                }
                open.retain(is_open);
                most = most.max(open.len());
                pause(IDLE_PACE);
            }
            most >= TCP_CLIENTS_MAX * 9 / 10
        })
    }

    /// Queries whose sources are absent hosts of [`ABSENT_NETWORK4`], sent by the router: so many hosts and queries
    /// that the replies that wait for them would fill send buffers of [`SEND_BUFFER_BYTES`], or of what the kernel
    /// allows without a privilege.
    pub(crate) fn absent(router: &Namespace) -> Self {
        let allowed = std::fs::read_to_string("/proc/sys/net/core/wmem_max").ok();
        let allowed = allowed.and_then(|text| text.trim().parse().ok()).unwrap_or(UNRESOLVED_BYTES);
        // The kernel doubles what a socket asks for.
        let buffers = WORKERS * 2 * SEND_BUFFER_BYTES.min(allowed);
        let hosts = (buffers / UNRESOLVED_BYTES * 2).min(ABSENT_HOSTS_MAX);
        let rate = buffers / PACKET_BYTES / RESOLVE_SECONDS * 3 / 2;
        Self::start(router, move |is_over| {
            let sockets: Vec<UdpSocket> = (0..hosts).map(absent_socket).collect();
            press(is_over, rate, |number| {
                // While the router itself has no route there is nobody to send to.
                sockets[number % sockets.len()].send_to(&query("absent"), (Family::V4.service(), 53)).is_ok()
            })
        })
    }

    /// More queries than usual from the client, in bursts; nobody reads the replies.
    pub(crate) fn flood(client: &Namespace) -> Self {
        Self::start(client, |is_over| {
            let sockets: Vec<(UdpSocket, Family)> = (0..16)
                .flat_map(|_| Family::ALL)
                .map(|family| (UdpSocket::bind((family.unspecified(), 0)).expect("ports are free"), family))
                .collect();
            press(is_over, FLOOD_RATE, |number| {
                let (socket, family) = &sockets[number % sockets.len()];
                socket.send_to(&query("flood"), (family.service(), 53)).is_ok()
            })
        })
    }

    /// Ends it; whether it could do what it should.
    pub(crate) fn end(mut self) -> bool {
        self.is_over.store(true, Ordering::Relaxed);
        self.thread.take().is_some_and(|thread| thread.join().unwrap_or(false))
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}

/// Whether the other side has not closed a connection, over which it says nothing.
fn is_open(stream: &TcpStream) -> bool {
    let peeked = stream.set_nonblocking(true).and_then(|()| stream.peek(&mut [0]));
    peeked.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
}

/// A network of node1 on its cable that has room for absent hosts; the cable's own has none.
pub(crate) const ABSENT_NETWORK4: &str = "203.0.113.1/24";

/// The socket of an absent host; `IP_TRANSPARENT` lets it have the address, though the router has not.
fn absent_socket(host: usize) -> UdpSocket {
    let address = SocketAddr::from((Ipv4Addr::new(203, 0, 113, 100 + host as u8), 0));
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP)).expect("a socket can be made");
    let bound = socket.set_ip_transparent_v4(true).and_then(|()| socket.bind(&address.into()));
    bound.unwrap_or_else(|error| panic!("{address} can't be an absent host: {error}"));
    socket.into()
}

/// Sends so many a second, [`BURST`] at once, until it is over; whether any could be sent.
fn press(is_over: &AtomicBool, rate: usize, mut send: impl FnMut(usize) -> bool) -> bool {
    let pace = Duration::from_secs(1) * BURST as u32 / rate as u32;
    let (mut tried, mut sent, mut due) = (0, 0, clock::now());
    while !is_over.load(Ordering::Relaxed) {
        for _ in 0..BURST {
            sent += usize::from(send(tried));
            tried += 1;
        }
        due += pace;
        pause(due.saturating_sub(clock::now()));
    }
    sent > 0
}

/// A question for a name of the zone of the site.
fn query(label: &str) -> Vec<u8> {
    Query::new(&name(&format!("{label}.site.test.")), 1).encode(0x50AC)
}

/// Keeps the pace.
fn pause(time: Duration) {
    std::thread::sleep(time);
}
