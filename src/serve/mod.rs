//! Stand-in for the serving room, dropped when the real one is there: one UDP thread an address, TCP only bound.

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;

use crate::answer::{self, Snapshot, Transport, Verdict};
use crate::metrics::Metrics;

/// Limits for TCP clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcpLimits {
    /// All clients.
    pub clients_max: usize,
    /// Clients of one address.
    pub clients_per_address_max: usize,
    /// How long a client may be silent.
    pub idle_timeout: Duration,
    /// How long one message may take.
    pub io_timeout: Duration,
}

impl Default for TcpLimits {
    fn default() -> Self {
        Self {
            clients_max: 16_384,
            clients_per_address_max: 512,
            idle_timeout: Duration::from_secs(10),
            io_timeout: Duration::from_secs(5),
        }
    }
}

/// Why an address could not be bound.
#[derive(Debug, thiserror::Error)]
#[error("{address}: {cause}")]
pub struct BindError {
    /// The address.
    pub address: SocketAddr,
    /// UDP or TCP.
    pub transport: Transport,
    /// Why.
    pub cause: BindCause,
}

/// Why an address could not be bound.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct BindCause(io::Error);

impl BindCause {
    /// Whether this host lacks the address or its family.
    pub fn is_absence(&self) -> bool {
        self.0.kind() == io::ErrorKind::AddrNotAvailable || self.0.raw_os_error() == Some(97)
    }
}

/// Bound sockets.
pub struct Bound {
    udp: Vec<UdpSocket>,
    tcp: Vec<TcpListener>,
}

/// Binds.
///
/// # Errors
/// [`BindError`].
pub fn bind(addresses: &[SocketAddr], _workers: usize, _limits: &TcpLimits) -> Result<Bound, BindError> {
    let mut bound = Bound { udp: Vec::new(), tcp: Vec::new() };
    for address in addresses {
        let fail = |transport| move |error| BindError { address: *address, transport, cause: BindCause(error) };
        let udp = UdpSocket::bind(address).map_err(fail(Transport::Udp))?;
        let local = udp.local_addr().map_err(fail(Transport::Udp))?;
        bound.tcp.push(TcpListener::bind(local).map_err(fail(Transport::Tcp))?);
        bound.udp.push(udp);
    }
    Ok(bound)
}

impl Bound {
    /// The addresses with their ports.
    pub fn local_addresses(&self) -> Vec<SocketAddr> {
        self.udp.iter().filter_map(|socket| socket.local_addr().ok()).collect()
    }

    /// Starts.
    ///
    /// # Errors
    /// Threads.
    pub fn start(self, snapshot: Arc<ArcSwap<Snapshot>>) -> io::Result<Running> {
        let stop = Arc::new(AtomicBool::new(false));
        let mut threads = Vec::new();
        for socket in self.udp {
            socket.set_read_timeout(Some(Duration::from_millis(20)))?;
            let (stop, snapshot) = (Arc::clone(&stop), Arc::clone(&snapshot));
            threads.push(std::thread::spawn(move || {
                let (mut query, mut reply) = (vec![0; 65_535], vec![0; 65_535]);
                while !stop.load(Ordering::Relaxed) {
                    let Ok((length, from)) = socket.recv_from(&mut query) else { continue };
                    let verdict = answer::respond(&snapshot.load(), &query[..length], Transport::Udp, &mut reply);
                    if let Verdict::Reply { length, .. } = verdict {
                        let _ = socket.send_to(&reply[..length], from);
                    }
                }
            }));
        }
        Ok(Running { stop, threads, _tcp: self.tcp, metrics: Arc::new(Metrics::new(1, 1)) })
    }
}

/// Running workers.
pub struct Running {
    stop: Arc<AtomicBool>,
    threads: Vec<std::thread::JoinHandle<()>>,
    _tcp: Vec<TcpListener>,
    metrics: Arc<Metrics>,
}

impl Running {
    /// Counters.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// Stops.
    pub fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            let _ = thread.join();
        }
    }
}

/// Puts a new snapshot in place.
pub fn publish(current: &ArcSwap<Snapshot>, next: Arc<Snapshot>) {
    current.store(next);
}
