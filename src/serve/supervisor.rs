//! The handle on all serving threads: what each does, and a new thread where one is wedged.
//!
//! A thread that was replaced is never stopped by force: it is asked to end, finishes its batch when it wakes, and
//! until then gets only idle CPU time. One that waits for datagrams is woken by a signal that does nothing else.
//! Refuses to know why a thread is to be replaced, and how either pool makes its threads.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use super::tcp::{Plain, TcpPool, TcpQueue};
use super::udp::UdpPool;

/// A handle on the UDP workers and the TCP threads. Cheap to clone; keeps no socket open and no server running.
#[derive(Clone, Debug)]
pub struct ThreadSupervisor {
    /// The UDP workers.
    udp_pool: Arc<UdpPool>,
    /// The TCP threads.
    tcp_pool: Arc<TcpPool<Plain>>,
}

impl ThreadSupervisor {
    /// Makes the handle on both pools.
    pub(super) fn new(udp_pool: &Arc<UdpPool>, tcp_pool: &Arc<TcpPool<Plain>>) -> Self {
        Self { udp_pool: Arc::clone(udp_pool), tcp_pool: Arc::clone(tcp_pool) }
    }

    /// Returns how many UDP workers there are.
    #[must_use]
    pub fn worker_count(&self) -> usize {
        self.udp_pool.worker_count()
    }

    /// Returns how many batches the thread in charge of `worker` has finished; begins at 0 with each new thread.
    ///
    /// 0 where there is no such worker. Waits for nobody.
    #[must_use]
    pub fn progress(&self, worker: usize) -> u64 {
        self.udp_pool.progress(worker)
    }

    /// Returns the kernel's number of the thread in charge of `worker`; `None` before it runs, after its end, and
    /// where there is no such worker. Waits for nobody.
    #[must_use]
    pub fn tid(&self, worker: usize) -> Option<i32> {
        self.udp_pool.tid(worker)
    }

    /// Returns a number that changes whenever `worker` has answered clients over one address, once a batch. Probes, and
    /// what comes over loopback or from the address itself, are nobody that a network led here.
    ///
    /// `address_index` counts as in [`ThreadSupervisor::drops`]; 0 where there is no such worker or address.
    #[must_use]
    pub fn clients(&self, worker: usize, address_index: usize) -> u64 {
        self.udp_pool.clients(worker, address_index)
    }

    /// Returns how many replies the thread in charge of `worker` gave up because a socket was full.
    #[must_use]
    pub fn stalls(&self, worker: usize) -> u64 {
        self.udp_pool.stalls(worker)
    }

    /// Returns how many datagrams the kernel has dropped at the sockets of one address, all workers together.
    ///
    /// `address_index` counts as [`Bound::local_addresses`](super::Bound::local_addresses) does; 0 where there is no
    /// such address, or where the server has stopped. Each socket's count wraps at 32 bits. One system call per
    /// worker.
    #[must_use]
    pub fn drops(&self, address_index: usize) -> u64 {
        self.udp_pool.drops(address_index)
    }

    /// Returns whether datagrams wait in any socket of `worker`; `None` where that is not known.
    #[must_use]
    pub fn has_queued(&self, worker: usize) -> Option<bool> {
        self.udp_pool.has_queued(worker)
    }

    /// Puts a new thread in charge of `worker`, on the same sockets; what is queued there is its first work.
    ///
    /// It has the name and the CPU of the old one, which is asked to end, finishes its batch when it wakes, and is
    /// scheduled only when the CPU is idle from now on; one that only waits for datagrams is woken. Returns when the
    /// new thread is made, perhaps before it runs.
    ///
    /// # Errors
    /// A [`ReplaceError`](crate::serve::ReplaceError), or what the system says where it has no thread, descriptor or
    /// memory; the old thread then stays in charge.
    pub fn replace(&self, worker: usize) -> io::Result<()> {
        self.udp_pool.replace(worker)
    }

    /// Returns how many replaced threads have not ended. They are at most as many as there are workers.
    ///
    /// Wakes those again that may wait for datagrams, one system call each: they would take some of the new thread's.
    #[must_use]
    pub fn lost(&self) -> usize {
        self.udp_pool.lost()
    }

    /// Returns how many TCP threads there are; 0 where nothing is listened on.
    #[must_use]
    pub fn tcp_thread_count(&self) -> usize {
        self.tcp_pool.thread_count()
    }

    /// Returns a number that changes whenever TCP thread `thread` wakes or has served a connection.
    ///
    /// 0 where there is no such thread. Waits for nobody.
    #[must_use]
    pub fn tcp_progress(&self, thread: usize) -> u64 {
        self.tcp_pool.progress(thread)
    }

    /// Returns the kernel's number of a TCP thread, as [`ThreadSupervisor::tid`] does that of a UDP worker.
    #[must_use]
    pub fn tcp_tid(&self, thread: usize) -> Option<i32> {
        self.tcp_pool.tid(thread)
    }

    /// Returns who waits to be accepted at an address, counted as in [`ThreadSupervisor::drops`]; `None` where that
    /// is not known. Two system calls.
    #[must_use]
    pub fn tcp_queue(&self, address_index: usize) -> Option<TcpQueue> {
        self.tcp_pool.queue(address_index)
    }

    /// Gives the next connection over TCP that comes from `from`, which the caller must have bound, a permit that no
    /// client can take, and turns that no client can delay.
    pub fn expect_tcp(&self, from: SocketAddr) {
        self.tcp_pool.expect_prover(from);
    }

    /// Wakes TCP thread `thread`, so that its progress move if it is well; it then also looks whether anybody waits to
    /// be accepted. One system call; waits for nobody. Nothing where there is no such thread.
    pub fn wake_tcp(&self, thread: usize) {
        self.tcp_pool.wake(thread);
    }

    /// Puts a new thread in charge of the listeners in the place of TCP thread `thread`.
    ///
    /// The old one is asked to end and has idle CPU time only from now on. It ends when it wakes, and its connections,
    /// and the permits that they hold, end with it. Returns when the new thread is made, perhaps before it runs.
    ///
    /// # Errors
    /// A [`ReplaceError`](crate::serve::ReplaceError), or what the system says where it has no thread, descriptor or
    /// memory; the old thread then stays in charge.
    pub fn replace_tcp(&self, thread: usize) -> io::Result<()> {
        self.tcp_pool.replace(thread)
    }

    /// Returns how many replaced TCP threads have not ended. They are at most as many as there are TCP threads.
    #[must_use]
    pub fn tcp_lost(&self) -> usize {
        self.tcp_pool.lost()
    }
}

#[cfg(test)]
mod tests;
