//! What the prover asks: the threads that answer, and the zones that are served.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arc_swap::ArcSwap;

use crate::answer::Snapshot;
use crate::health;
use crate::serve::{TcpQueue, ThreadSupervisor};
use crate::wire::{Name, NameRef};
use crate::zone::hash::LookupName;

/// The server's threads, as the prover sees them.
pub(super) struct ProbedThreads {
    pub(super) supervisor: ThreadSupervisor,
    /// Where the service addresses begin among all addresses that are bound.
    pub(super) first: usize,
}

impl health::ServerThreads for ProbedThreads {
    fn worker_count(&self) -> usize {
        self.supervisor.worker_count()
    }

    fn progress(&self, worker: usize) -> u64 {
        self.supervisor.progress(worker)
    }

    fn tid(&self, worker: usize) -> Option<i32> {
        self.supervisor.tid(worker)
    }

    fn drops(&self, address: usize) -> u64 {
        self.supervisor.drops(self.first + address)
    }

    fn clients(&self, worker: usize, address: usize) -> u64 {
        self.supervisor.clients(worker, self.first + address)
    }

    fn stalls(&self, worker: usize) -> u64 {
        self.supervisor.stalls(worker)
    }

    fn replace(&self, worker: usize) -> std::io::Result<()> {
        self.supervisor.replace(worker)
    }

    fn lost(&self) -> usize {
        self.supervisor.lost()
    }

    fn has_queued(&self, worker: usize) -> Option<bool> {
        self.supervisor.has_queued(worker)
    }

    fn tcp_thread_count(&self) -> usize {
        self.supervisor.tcp_thread_count()
    }

    fn tcp_progress(&self, thread: usize) -> u64 {
        self.supervisor.tcp_progress(thread)
    }

    fn tcp_tid(&self, thread: usize) -> Option<i32> {
        self.supervisor.tcp_tid(thread)
    }

    fn tcp_queue(&self, address: usize) -> Option<health::TcpQueue> {
        let TcpQueue { waiting, accepted, dropped } = self.supervisor.tcp_queue(self.first + address)?;
        Some(health::TcpQueue { waiting, accepted, dropped })
    }

    fn expect_tcp(&self, from: SocketAddr) {
        self.supervisor.expect_tcp(from);
    }

    fn wake_tcp(&self, thread: usize) {
        self.supervisor.wake_tcp(thread);
    }

    fn replace_tcp(&self, thread: usize) -> std::io::Result<()> {
        self.supervisor.replace_tcp(thread)
    }

    fn tcp_lost(&self) -> usize {
        self.supervisor.tcp_lost()
    }
}

/// The zones that are served, one after the other.
pub(super) struct ProbedZones {
    current: Arc<ArcSwap<Snapshot>>,
    /// How many were asked for.
    turn: AtomicUsize,
}

impl ProbedZones {
    /// Begins with the first.
    pub(super) fn new(current: Arc<ArcSwap<Snapshot>>) -> Self {
        Self { current, turn: AtomicUsize::new(0) }
    }
}

impl health::Zones for ProbedZones {
    fn next(&self) -> Option<(Name, u32)> {
        let snapshot = self.current.load();
        // Those that are not answered to everybody are passed over.
        let tries = (0..=snapshot.private.len()).map(|_| self.turn.fetch_add(1, Ordering::Relaxed));
        let mut zones = tries.filter_map(|turn| snapshot.zones.at_or_behind(turn));
        let zone = zones.find(|zone| !snapshot.is_private(zone))?;
        Some((zone.apex().to_name(), zone.serial()))
    }

    fn serial(&self, zone: NameRef<'_>) -> Option<u32> {
        let snapshot = self.current.load();
        let found = snapshot.zones.find(&LookupName::new(zone), usize::MAX)?;
        (found.apex() == zone).then(|| found.serial())
    }
}
