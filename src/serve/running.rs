//! The server at work: its threads from start to stop.
//!
//! Owns the order of starting and stopping. Refuses to know how threads serve, and what with.

use std::io;
use std::net::UdpSocket;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use arc_swap::ArcSwap;

use super::admission::{self, Admission};
use super::bind::Bound;
use super::limits::TcpLimits;
use super::supervisor::ThreadSupervisor;
use super::tcp::{Listener, Plain, TcpPool, Tls};
use super::udp::UdpPool;
use crate::answer::Snapshot;
use crate::metrics::{BlockRange, Metrics};
use crate::sys::{limits, socket, steer};

/// The threads at work. Dropping it stops them like [`Running::stop`].
#[derive(Debug)]
pub struct Running {
    /// What the threads count.
    metrics: Arc<Metrics>,
    /// The UDP workers.
    udp_pool: Arc<UdpPool>,
    /// What asks the threads to end.
    signals: Signals,
    /// What replies to probes leave by where a worker's own socket is full.
    _spares: Arc<[Option<UdpSocket>]>,
    /// The TCP listeners; the threads share them.
    _listeners: Arc<[Listener]>,
    /// Those for TLS.
    _tls_listeners: Arc<[Listener]>,
    /// Closed when the last thread has ended; nothing is ever sent.
    ended: mpsc::Receiver<()>,
}

/// How threads are asked to end.
#[derive(Debug)]
struct Signals {
    /// Read by the threads after each batch.
    is_stopping: Arc<AtomicBool>,
    /// All UDP sockets, to wake the workers that wait on them.
    udp_sockets: Vec<Arc<UdpSocket>>,
    /// The TCP threads, to wake them.
    tcp_pool: Arc<TcpPool<Plain>>,
    /// The same of the threads for TLS, where there are some.
    tls_pool: Option<TcpPool<Tls>>,
}

impl Signals {
    /// Asks all threads to end.
    fn raise(&self) {
        self.is_stopping.store(true, Ordering::SeqCst);
        for socket in &self.udp_sockets {
            if let Err(error) = socket::wake_readers(socket.as_fd()) {
                tracing::warn!(%error, "a UDP worker cannot be woken; it stops after the next query");
            }
        }
        for thread in 0..self.tcp_pool.thread_count() {
            self.tcp_pool.wake(thread);
        }
        if let Some(pool) = &self.tls_pool {
            (0..pool.thread_count()).for_each(|thread| pool.wake(thread));
        }
    }
}

impl Bound {
    /// Starts the threads, which serve whatever snapshot `snapshot` holds when a batch comes.
    ///
    /// What came since the sockets were bound is still queued and is answered first. Where the snapshot has a canary
    /// now, datagrams that end in its nonce and a worker's number are steered to that worker from here on.
    ///
    /// # Errors
    /// The system has no thread, descriptor or memory for it, or does not take the filter; what was started until then
    /// is stopped again.
    pub fn start(self, snapshot: Arc<ArcSwap<Snapshot>>) -> io::Result<Running> {
        let metrics = Arc::new(Metrics::new(self.workers.len(), self.tcp_thread_count()));
        let blocks = BlockRange { udp: 0..self.workers.len(), tcp: 0..self.tcp_thread_count() };
        self.start_counting(snapshot, metrics, blocks)
    }

    /// Returns how many TCP threads there will be.
    #[must_use]
    pub fn tcp_thread_count(&self) -> usize {
        if self.listeners.is_empty() { 0 } else { self.workers.len().clamp(1, TCP_THREADS_MAX) }
    }

    /// Does what [`Bound::start`] does, where the threads count in `blocks` of `metrics`, beside others.
    ///
    /// # Errors
    /// As there.
    pub fn start_counting(
        self,
        snapshot: Arc<ArcSwap<Snapshot>>,
        metrics: Arc<Metrics>,
        blocks: BlockRange,
    ) -> io::Result<Running> {
        if let Some(canary) = &snapshot.load().settings.canary {
            self.steer(canary.nonce)?;
        }
        let workers: Vec<Vec<Arc<UdpSocket>>> =
            self.workers.into_iter().map(|sockets| sockets.into_iter().map(Arc::new).collect()).collect();
        let spares: Arc<[Option<UdpSocket>]> = self.spares.into();
        let (ending, ended) = mpsc::channel();
        let is_stopping = Arc::new(AtomicBool::new(false));
        let listeners: Arc<[Listener]> = self.listeners.into_iter().map(Listener::from).collect();
        let limits = TcpLimits { clients_max: clients_max(&self.limits, blocks.udp.len()), ..self.limits };
        let admission = Arc::new(Admission::new(&limits));
        let tcp_pool = Arc::new(TcpPool::new(
            &listeners,
            (),
            (limits, Arc::clone(&admission)),
            Arc::clone(&snapshot),
            (Arc::clone(&metrics), metrics.tcp(), blocks.tcp),
            Arc::clone(&is_stopping),
            ending.clone(),
        )?);
        let (bound, acceptor) = self.tls.map(|tls| (tls.listeners, tls.acceptor)).unzip();
        let tls_listeners: Arc<[Listener]> = bound.into_iter().flatten().map(Listener::from).collect();
        let tls_pool = acceptor.map(|acceptor| {
            let blocks = metrics.extend_tls(workers.len().clamp(1, TCP_THREADS_MAX));
            TcpPool::new(
                &tls_listeners,
                acceptor,
                (limits, admission),
                Arc::clone(&snapshot),
                (Arc::clone(&metrics), metrics.tls(), blocks),
                Arc::clone(&is_stopping),
                ending.clone(),
            )
        });
        let tls_pool = tls_pool.transpose()?;
        let signals =
            Signals { is_stopping, udp_sockets: workers.iter().flatten().cloned().collect(), tcp_pool, tls_pool };
        let udp_pool = Arc::new(UdpPool::new(
            &workers,
            &spares,
            snapshot,
            (Arc::clone(&metrics), blocks.udp),
            Arc::clone(&signals.is_stopping),
            ending,
        ));
        // From here on an early return drops `running`, which stops the threads that have started.
        let (_spares, _listeners, _tls_listeners) = (spares, listeners, tls_listeners);
        let running = Running { metrics, udp_pool, signals, _spares, _listeners, _tls_listeners, ended };
        running.udp_pool.open()?;
        running.signals.tcp_pool.open()?;
        running.signals.tls_pool.iter().try_for_each(TcpPool::open)?;
        Ok(running)
    }

    /// Lets datagrams that end in `nonce` and a worker's number reach that worker, over each address.
    fn steer(&self, nonce: u64) -> io::Result<()> {
        // One socket alone is no group, and gets everything anyway.
        let Some(sockets) = self.workers.first().filter(|_| self.workers.len() > 1) else { return Ok(()) };
        sockets.iter().try_for_each(|socket| steer::steer_by_trailer(socket.as_fd(), nonce))
    }
}

impl Running {
    /// Returns what the threads count.
    #[must_use]
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// Returns a handle on the threads, which does not keep the server running.
    #[must_use]
    pub fn supervisor(&self) -> ThreadSupervisor {
        ThreadSupervisor::new(&self.udp_pool, &self.signals.tcp_pool)
    }

    /// Answers what was received, closes the sockets and waits for the threads to end.
    ///
    /// Returns after [`STOP_TIME_MAX`] at the latest; a thread that still hangs then is left behind and logged.
    /// Threads that were replaced are not waited for; one that never wakes keeps its sockets open until the process
    /// ends.
    pub fn stop(self) {
        // All is done by `drop`.
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.udp_pool.close();
        self.signals.tcp_pool.close();
        self.signals.tls_pool.iter().for_each(TcpPool::close);
        self.signals.raise();
        if self.ended.recv_timeout(STOP_TIME_MAX) == Err(mpsc::RecvTimeoutError::Timeout) {
            tracing::warn!(after = ?STOP_TIME_MAX, "a serving thread does not end and is left behind");
        }
    }
}

/// Bounds the TCP clients by the descriptors that the system allows: without those that are open already, sockets
/// above all, those that `worker_count` workers have watched, and a reserve for everything else.
fn clients_max(limits: &TcpLimits, worker_count: usize) -> usize {
    let open_files_max = match limits::raise_open_files() {
        Ok(count) => usize::try_from(count).unwrap_or(usize::MAX),
        Err(error) => {
            tracing::warn!(%error, "the limit of open files cannot be raised");
            OPEN_FILES_ASSUMED
        }
    };
    let taken = limits::open_files().unwrap_or(0) + worker_count + OPEN_FILES_RESERVED;
    let left = open_files_max.saturating_sub(taken);
    let affordable = (left - left / (admission::EVICTED_PART + 1)).max(1);
    if affordable < limits.clients_max {
        tracing::warn!(
            open_files_max,
            clients_max = affordable,
            "the limit of open files (`ulimit -n`, LimitNOFILE=) lowers the number of TCP clients from {}",
            limits.clients_max
        );
    }
    limits.clients_max.min(affordable)
}

/// How long [`Running::stop`] waits for the threads.
pub const STOP_TIME_MAX: Duration = Duration::from_secs(5);

/// TCP threads at most, and as many for TLS: TCP is a small part of the traffic, and UDP workers have the CPUs.
const TCP_THREADS_MAX: usize = 4;

/// Descriptors kept back for the prover's connections and some that are being closed, for zone files, logs, the route
/// and the control plane.
const OPEN_FILES_RESERVED: usize = 128 + admission::PROVERS_MAX + admission::EVICTED_MIN;

/// What is assumed where the limit cannot be read: the usual default of Linux.
const OPEN_FILES_ASSUMED: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::injected::PANIC_NAME;
    use crate::serve::bind;
    use crate::serve::wedges::{framed, query};
    use std::io::{Read, Write};
    use std::net::{SocketAddr, TcpStream};

    #[test]
    fn a_panic_over_either_transport_is_answered_and_the_threads_go_on() {
        let bound = bind(&["127.0.0.1:0".parse::<SocketAddr>().expect("an address")], 1, &TcpLimits::default())
            .expect("loopback");
        let address = bound.local_addresses()[0];
        let running = bound.start(Arc::default()).expect("threads can be made");
        let client = UdpSocket::bind("127.0.0.1:0").expect("loopback is there");
        client.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout can be set");
        let mut stream = TcpStream::connect(address).expect("it listens");
        let (query, mut reply) = (query(7, PANIC_NAME), [0; 512]);
        for round in 1..=3 {
            client.send_to(&query, address).expect("loopback takes it");
            let length = client.recv(&mut reply).expect("SERVFAIL comes");
            assert_eq!((length, reply[3] & 0x0F), (query.len(), 2));
            let framed = framed(7, PANIC_NAME);
            stream.write_all(&framed).expect("the connection is open");
            stream.read_exact(&mut reply[..framed.len()]).expect("SERVFAIL comes");
            assert_eq!(reply[5] & 0x0F, 2);
            let metrics = running.metrics();
            assert_eq!(metrics.udp()[0].answers.panics.value(), round);
            assert_eq!(metrics.tcp()[0].answers.panics.value(), round);
        }
        running.stop();
    }
}
