//! The UDP workers as others see them: what the thread of each does, and a new thread where one is wedged.
//!
//! A worker is a number and its sockets; the thread that serves them can change. Refuses to know why a worker is to be
//! replaced. The locks here are taken when a thread starts, ends or is replaced.

use std::io;
use std::net::UdpSocket;
use std::ops::Range;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak, mpsc};
use std::thread;

use arc_swap::ArcSwap;

use super::sockets::SocketIo;
use super::worker::UdpWorker;
use crate::answer::Snapshot;
use crate::metrics::{Metrics, UdpBlock};
use crate::serve::thread::{ReplaceError, ReplacedThreads, ThreadGuard, ThreadHandle};
use crate::sys::{cpu, socket};

/// All workers, and what their threads are made from.
#[derive(Debug)]
pub(in crate::serve) struct UdpPool {
    /// The workers, by their numbers.
    slots: Box<[WorkerSlot]>,
    /// By address, what replies to probes leave by where a worker's own socket is full.
    spares: Weak<[Option<UdpSocket>]>,
    /// What answers are made from.
    snapshot: Arc<ArcSwap<Snapshot>>,
    /// Where the threads' blocks are summed.
    metrics: Arc<Metrics>,
    /// The index of the first worker there.
    block_first: usize,
    /// Read by every thread after each batch.
    is_stopping: Arc<AtomicBool>,
    /// What changes when threads are made and replaced.
    replaced: Mutex<ReplacedThreads<UdpBlock>>,
}

/// One worker.
#[derive(Debug)]
struct WorkerSlot {
    /// Its sockets, by address. The threads and [`Running`](crate::serve::Running) keep them open.
    sockets: Box<[Weak<UdpSocket>]>,
    /// How often clients were answered, by address. The threads of this worker write.
    clients: Arc<[AtomicU64]>,
    /// Where its threads are pinned.
    cpu: Option<cpu::Cpu>,
    /// The thread in charge.
    handle: ArcSwap<ThreadHandle<UdpBlock>>,
}

impl UdpPool {
    /// Lists the workers, without threads yet. `workers` are their sockets, `blocks` are theirs in `metrics`, `ending`
    /// is what their threads drop at the end.
    pub(in crate::serve) fn new(
        workers: &[Vec<Arc<UdpSocket>>],
        spares: &Arc<[Option<UdpSocket>]>,
        snapshot: Arc<ArcSwap<Snapshot>>,
        (metrics, blocks): (Arc<Metrics>, Range<usize>),
        is_stopping: Arc<AtomicBool>,
        ending: mpsc::Sender<()>,
    ) -> Self {
        let cpus = cpu::allowed().unwrap_or_default();
        let slot = |(index, (sockets, block)): (usize, (&Vec<Arc<UdpSocket>>, Arc<UdpBlock>))| WorkerSlot {
            sockets: sockets.iter().map(Arc::downgrade).collect(),
            clients: sockets.iter().map(|_| AtomicU64::new(0)).collect(),
            cpu: (!cpus.is_empty()).then(|| cpus[index % cpus.len()]),
            handle: ArcSwap::from_pointee(ThreadHandle::new(block)),
        };
        let block_first = blocks.start;
        let slots = workers.iter().zip(metrics.udp().drain(blocks)).enumerate().map(slot).collect();
        let replaced = Mutex::new(ReplacedThreads::new(ending));
        Self { slots, spares: Arc::downgrade(spares), snapshot, metrics, block_first, is_stopping, replaced }
    }

    /// Makes the first thread of every worker.
    ///
    /// # Errors
    /// The system has no thread, descriptor or memory for it; those that were made run on.
    pub(in crate::serve) fn open(self: &Arc<Self>) -> io::Result<()> {
        let ending = self.replaced().ending()?;
        for (worker, slot) in self.slots.iter().enumerate() {
            self.spawn_thread(worker, slot, slot.handle.load_full(), ending.clone())?;
        }
        Ok(())
    }

    /// Refuses replacements from now on, and no longer keeps the channel of ends open.
    pub(in crate::serve) fn close(&self) {
        self.replaced().close();
    }

    /// How many workers there are.
    pub(in crate::serve) fn worker_count(&self) -> usize {
        self.slots.len()
    }

    /// How many batches the thread of `worker` has finished; 0 where there is no such worker.
    pub(in crate::serve) fn progress(&self, worker: usize) -> u64 {
        self.slots.get(worker).map_or(0, |slot| slot.handle.load().block().batches.value())
    }

    /// How many replies the thread of `worker` gave up because a socket was full.
    pub(in crate::serve) fn stalls(&self, worker: usize) -> u64 {
        self.slots.get(worker).map_or(0, |slot| slot.handle.load().block().send_stalled.value())
    }

    /// The kernel's number of the thread of `worker` while it runs.
    pub(in crate::serve) fn tid(&self, worker: usize) -> Option<i32> {
        self.slots.get(worker).and_then(|slot| slot.handle.load().tid())
    }

    /// How often `worker` answered clients over one address.
    pub(in crate::serve) fn clients(&self, worker: usize, address_index: usize) -> u64 {
        let counter = self.slots.get(worker).and_then(|slot| slot.clients.get(address_index));
        counter.map_or(0, |counter| counter.load(Ordering::Relaxed))
    }

    /// How many datagrams the kernel has dropped at the sockets of one address.
    pub(in crate::serve) fn drops(&self, address_index: usize) -> u64 {
        let sockets = self.slots.iter().filter_map(|slot| slot.sockets.get(address_index)?.upgrade());
        // Reading the option cannot fail on a UDP socket that is open; if it does, nothing is known to be dropped.
        sockets.map(|socket| socket::dropped_datagrams(socket.as_fd()).map_or(0, u64::from)).sum()
    }

    /// Whether datagrams wait in any socket of `worker`; `None` where that is not known.
    pub(in crate::serve) fn has_queued(&self, worker: usize) -> Option<bool> {
        let sockets: Vec<_> = self.slots.get(worker)?.sockets.iter().filter_map(Weak::upgrade).collect();
        sockets.iter().map(|socket| socket::has_queued(socket.as_fd()).ok()).reduce(|all, one| Some(all? || one?))?
    }

    /// How many replaced threads have not ended; wakes them.
    pub(in crate::serve) fn lost(&self) -> usize {
        self.replaced().interrupt_lost()
    }

    /// See [`ThreadSupervisor::replace`](crate::serve::ThreadSupervisor::replace).
    pub(in crate::serve) fn replace(&self, worker: usize) -> io::Result<()> {
        let count = self.slots.len();
        let slot = self.slots.get(worker).ok_or(ReplaceError::NoSuchWorker { worker, count })?;
        let mut replaced = self.replaced();
        let ending = replaced.reserve(count, |lost| ReplaceError::TooManyLost { lost })?;
        let handle = Arc::new(ThreadHandle::new(Arc::default()));
        self.spawn_thread(worker, slot, Arc::clone(&handle), ending)?;
        self.metrics.hand_over(self.block_first + worker, handle.shared_block());
        let old = slot.handle.swap(handle);
        if let Err(error) = old.mark_replaced() {
            tracing::warn!(worker, %error, "the replaced thread cannot be woken, or keeps its share of the CPU");
        }
        replaced.add(old);
        Ok(())
    }

    /// Makes a thread for a worker.
    fn spawn_thread(
        &self,
        worker: usize,
        slot: &WorkerSlot,
        handle: Arc<ThreadHandle<UdpBlock>>,
        ending: mpsc::Sender<()>,
    ) -> io::Result<()> {
        let sockets: Option<Vec<_>> = slot.sockets.iter().map(Weak::upgrade).collect();
        let (sockets, spares) = sockets.zip(self.spares.upgrade()).ok_or(ReplaceError::Stopping)?;
        let io = SocketIo::new(sockets, spares)?;
        let addresses = io.addresses()?;
        let udp_worker = UdpWorker::new(
            // There are at most 1024.
            u16::try_from(worker).unwrap_or(u16::MAX),
            (io, addresses),
            Arc::clone(&slot.clients),
            Arc::clone(&self.snapshot),
            Arc::clone(&handle),
            Arc::clone(&self.is_stopping),
        );
        let cpu = slot.cpu;
        // Also dropped where no thread can be made.
        let guard = ThreadGuard::new(handle, ending);
        thread::Builder::new().name(format!("udp-{}", self.block_first + worker)).spawn(move || {
            guard.begin();
            pin(worker, cpu);
            udp_worker.run();
            drop(guard);
        })?;
        Ok(())
    }

    /// Takes the lock; what it guards is whole after every step, so that a poisoned lock can be used.
    fn replaced(&self) -> MutexGuard<'_, ReplacedThreads<UdpBlock>> {
        self.replaced.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Pins the calling worker to its CPU; without that it serves as well, only less evenly.
fn pin(index: usize, cpu: Option<cpu::Cpu>) {
    let Some(cpu) = cpu else { return };
    if let Err(error) = cpu::pin(cpu) {
        tracing::warn!(worker = index, cpu = cpu.index(), %error, "the UDP worker cannot be pinned to its CPU");
    }
}
