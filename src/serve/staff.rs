//! The threads as others see them: what each does, and a new thread where one is wedged.
//!
//! A worker is a number and its sockets; the thread in charge of it can change. A thread that was replaced is never
//! stopped by force: it is told to end, finishes its batch when it wakes, and until then gets only idle CPU time. One
//! that waits for datagrams is woken by a signal that does nothing else. The TCP threads are replaced in the same way
//! ([`tcp::Crew`](super::tcp)).
//! Refuses to know why a worker is to be replaced. The locks here are taken when a thread starts, ends or is replaced.

mod duty;

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak, mpsc};
use std::thread;

use arc_swap::ArcSwap;

use super::TcpQueue;
use super::tcp::Crew;
use super::udp;
use crate::answer::Snapshot;
use crate::metrics::{Metrics, UdpBlock};
use crate::sys::{cpu, socket};
pub(super) use duty::{Book, Duty, Presence};

/// A handle on the UDP workers and the TCP threads. Cheap to clone; keeps no socket open and no server running.
#[derive(Clone, Debug)]
pub struct Staff {
    /// The UDP workers.
    roster: Arc<Roster>,
    /// The TCP threads.
    crew: Arc<Crew>,
}

/// Why a thread is not replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplaceError {
    /// There is no such worker.
    #[error("there is no UDP worker {worker}: they are numbered from 0 and there are {count}")]
    NoSuchWorker {
        /// The number that was asked for.
        worker: usize,
        /// How many there are.
        count: usize,
    },
    /// There are as many replaced threads that have not ended as there are workers.
    #[error(
        "{lost} replaced threads of UDP workers have not ended, and there are no more than that many workers; \
         something wedges every thread anew: withdraw, and restart the server"
    )]
    TooManyLost {
        /// How many have not ended.
        lost: usize,
    },
    /// There is no such TCP thread.
    #[error("there is no TCP thread {thread}: they are numbered from 0 and there are {count}")]
    NoSuchTcpThread {
        /// The number that was asked for.
        thread: usize,
        /// How many there are.
        count: usize,
    },
    /// There are as many replaced TCP threads that have not ended as there are TCP threads.
    #[error(
        "{lost} replaced TCP threads have not ended, and there are no more than that many in charge; something hangs \
         every thread anew: withdraw, and restart the server"
    )]
    TooManyTcpLost {
        /// How many have not ended.
        lost: usize,
    },
    /// The server stops.
    #[error("the server stops; no thread is replaced any more")]
    Stopping,
}

impl From<ReplaceError> for io::Error {
    fn from(error: ReplaceError) -> Self {
        Self::other(error)
    }
}

impl Staff {
    /// Returns how many UDP workers there are.
    #[must_use]
    pub fn worker_count(&self) -> usize {
        self.roster.posts.len()
    }

    /// Returns how many batches the thread in charge of `worker` has finished; begins at 0 with each new thread.
    ///
    /// 0 where there is no such worker. Waits for nobody.
    #[must_use]
    pub fn progress(&self, worker: usize) -> u64 {
        self.roster.posts.get(worker).map_or(0, |post| post.duty.load().block().batches.value())
    }

    /// Returns the kernel's number of the thread in charge of `worker`; `None` before it runs, after its end, and where
    /// there is no such worker. Waits for nobody.
    #[must_use]
    pub fn tid(&self, worker: usize) -> Option<i32> {
        self.roster.posts.get(worker).and_then(|post| post.duty.load().tid())
    }

    /// Returns a number that moves whenever `worker` has answered clients over one address, once a batch. Probes, and what
    /// comes over loopback or from the address itself, are nobody that a network led here.
    ///
    /// `address_index` counts as in [`Staff::drops`]; 0 where there is no such worker or address.
    #[must_use]
    pub fn clients(&self, worker: usize, address_index: usize) -> u64 {
        let counter = self.roster.posts.get(worker).and_then(|post| post.clients.get(address_index));
        counter.map_or(0, |counter| counter.load(Ordering::Relaxed))
    }

    /// Returns how many replies the thread in charge of `worker` gave up because a socket was full.
    #[must_use]
    pub fn stalls(&self, worker: usize) -> u64 {
        self.roster.posts.get(worker).map_or(0, |post| post.duty.load().block().send_stalled.value())
    }

    /// Returns how many datagrams the kernel has dropped at the sockets of one address, all workers together.
    ///
    /// `address_index` counts as [`Bound::local_addresses`](super::Bound::local_addresses) does; 0 where there is no
    /// such address, or where the server has stopped. Each socket's count wraps at 32 bits. One system call per worker.
    #[must_use]
    pub fn drops(&self, address_index: usize) -> u64 {
        let sockets = self.roster.posts.iter().filter_map(|post| post.sockets.get(address_index)?.upgrade());
        // Reading the option cannot fail on a UDP socket that is open; if it does, nothing is known to be dropped.
        sockets.map(|socket| socket::dropped_datagrams(socket.as_fd()).map_or(0, u64::from)).sum()
    }

    /// Tells whether datagrams wait in any socket of `worker`; `None` where that can't be told.
    #[must_use]
    pub fn has_queued(&self, worker: usize) -> Option<bool> {
        let sockets: Vec<_> = self.roster.posts.get(worker)?.sockets.iter().filter_map(Weak::upgrade).collect();
        sockets.iter().map(|socket| socket::has_queued(socket.as_fd()).ok()).reduce(|all, one| Some(all? || one?))?
    }

    /// Puts a new thread in charge of `worker`, on the same sockets; what is queued there is its first work.
    ///
    /// It has the name and the CPU of the old one, which is told to end, finishes its batch when it wakes, and is
    /// scheduled only when the CPU is idle from now on; one that only waits for datagrams is woken. Returns when the new thread is made, perhaps before it runs.
    ///
    /// # Errors
    /// A [`ReplaceError`], or what the system says where it has no thread, descriptor or memory; the old thread then
    /// stays in charge.
    pub fn replace(&self, worker: usize) -> io::Result<()> {
        self.roster.replace(worker)
    }

    /// Returns how many replaced threads have not ended. They are at most as many as there are workers.
    ///
    /// Wakes those again that may wait for datagrams, one system call each: they would take some of the new thread's.
    #[must_use]
    pub fn lost(&self) -> usize {
        self.roster.book().nudge_lost()
    }

    /// Returns how many TCP threads there are; 0 where nothing is listened on.
    #[must_use]
    pub fn tcp_thread_count(&self) -> usize {
        self.crew.thread_count()
    }

    /// Returns a number that moves whenever TCP thread `thread` wakes or has served a connection.
    ///
    /// 0 where there is no such thread. Waits for nobody.
    #[must_use]
    pub fn tcp_beats(&self, thread: usize) -> u64 {
        self.crew.beats(thread)
    }

    /// Returns the kernel's number of a TCP thread, as [`Staff::tid`] does that of a UDP worker.
    #[must_use]
    pub fn tcp_tid(&self, thread: usize) -> Option<i32> {
        self.crew.tid(thread)
    }

    /// Returns who waits to be accepted at an address, counted as in [`Staff::drops`]; `None` where that can't be told. Two
    /// system calls.
    #[must_use]
    pub fn tcp_queue(&self, address_index: usize) -> Option<TcpQueue> {
        self.crew.queue(address_index)
    }

    /// Gives the next connection over TCP that comes from `from`, which the caller must have bound, a seat that no client
    /// can take, and turns that no client can delay.
    pub fn expect_tcp(&self, from: SocketAddr) {
        self.crew.expect_prover(from);
    }

    /// Wakes TCP thread `thread`, so that its beats move if it is well; it then also looks whether anybody waits to be
    /// accepted. One system call; waits for nobody. Nothing where there is no such thread.
    pub fn ring_tcp(&self, thread: usize) {
        self.crew.ring(thread);
    }

    /// Puts a new thread in charge of the listeners in the place of TCP thread `thread`.
    ///
    /// The old one is told to end and has idle CPU time only from now on. It ends when it wakes, and its connections,
    /// and the seats that they take, end with it. Returns when the new thread is made, perhaps before it runs.
    ///
    /// # Errors
    /// A [`ReplaceError`], or what the system says where it has no thread, descriptor or memory; the old thread then
    /// stays in charge.
    pub fn replace_tcp(&self, thread: usize) -> io::Result<()> {
        self.crew.replace(thread)
    }

    /// Returns how many replaced TCP threads have not ended. They are at most as many as there are TCP threads.
    #[must_use]
    pub fn tcp_lost(&self) -> usize {
        self.crew.lost()
    }
}

/// All workers, and what their threads are made from.
#[derive(Debug)]
pub(super) struct Roster {
    /// The workers, by their numbers.
    posts: Box<[Post]>,
    /// See [`udp::Sockets::spares`].
    spares: Weak<[Option<UdpSocket>]>,
    /// What answers are made from.
    snapshot: Arc<ArcSwap<Snapshot>>,
    /// Where the threads' blocks are summed.
    metrics: Arc<Metrics>,
    /// Read by every thread after each batch.
    is_stopping: Arc<AtomicBool>,
    /// What changes when threads are made and replaced.
    book: Mutex<Book<UdpBlock>>,
}

/// One worker.
#[derive(Debug)]
struct Post {
    /// Its sockets, by address. The threads and [`Running`](super::Running) keep them open.
    sockets: Box<[Weak<UdpSocket>]>,
    /// How often clients were answered, by address. The threads of this worker write.
    clients: Arc<[AtomicU64]>,
    /// Where its threads are pinned.
    cpu: Option<cpu::Cpu>,
    /// The thread in charge.
    duty: ArcSwap<Duty<UdpBlock>>,
}

impl Roster {
    /// Lists the workers, without threads yet. `workers` are their sockets, `ending` is what their threads drop at the
    /// end.
    pub(super) fn new(
        workers: &[Vec<Arc<UdpSocket>>],
        spares: &Arc<[Option<UdpSocket>]>,
        snapshot: Arc<ArcSwap<Snapshot>>,
        metrics: Arc<Metrics>,
        is_stopping: Arc<AtomicBool>,
        ending: mpsc::Sender<()>,
    ) -> Self {
        let cpus = cpu::allowed().unwrap_or_default();
        let post = |(index, (sockets, block)): (usize, (&Vec<Arc<UdpSocket>>, Arc<UdpBlock>))| Post {
            sockets: sockets.iter().map(Arc::downgrade).collect(),
            clients: sockets.iter().map(|_| AtomicU64::new(0)).collect(),
            cpu: (!cpus.is_empty()).then(|| cpus[index % cpus.len()]),
            duty: ArcSwap::from_pointee(Duty::new(block)),
        };
        let posts = workers.iter().zip(metrics.udp()).enumerate().map(post).collect();
        let book = Mutex::new(Book::new(ending));
        Self { posts, spares: Arc::downgrade(spares), snapshot, metrics, is_stopping, book }
    }

    /// Makes the first thread of every worker.
    ///
    /// # Errors
    /// The system has no thread, descriptor or memory for it; those that were made run on.
    pub(super) fn open(self: &Arc<Self>) -> io::Result<()> {
        let ending = self.book().ending()?;
        for (worker, post) in self.posts.iter().enumerate() {
            self.employ(worker, post, post.duty.load_full(), ending.clone())?;
        }
        Ok(())
    }

    /// Refuses replacements from now on, and no longer keeps the channel of ends open.
    pub(super) fn close(&self) {
        self.book().close();
    }

    /// Returns the handle for others.
    pub(super) fn staff(self: &Arc<Self>, crew: &Arc<Crew>) -> Staff {
        Staff { roster: Arc::clone(self), crew: Arc::clone(crew) }
    }

    /// See [`Staff::replace`].
    fn replace(&self, worker: usize) -> io::Result<()> {
        let count = self.posts.len();
        let post = self.posts.get(worker).ok_or(ReplaceError::NoSuchWorker { worker, count })?;
        let mut book = self.book();
        let ending = book.vacancy(count, |lost| ReplaceError::TooManyLost { lost })?;
        let duty = Arc::new(Duty::new(Arc::default()));
        self.employ(worker, post, Arc::clone(&duty), ending)?;
        self.metrics.hand_over(worker, duty.shared_block());
        let old = post.duty.swap(duty);
        if let Err(error) = old.relieve() {
            tracing::warn!(worker, %error, "the replaced thread cannot be woken, or keeps its share of the CPU");
        }
        book.lose(old);
        Ok(())
    }

    /// Makes a thread for a worker.
    fn employ(
        &self,
        worker: usize,
        post: &Post,
        duty: Arc<Duty<UdpBlock>>,
        ending: mpsc::Sender<()>,
    ) -> io::Result<()> {
        let sockets: Option<Vec<_>> = post.sockets.iter().map(Weak::upgrade).collect();
        let (sockets, spares) = sockets.zip(self.spares.upgrade()).ok_or(ReplaceError::Stopping)?;
        let job = udp::Worker::new(
            // There are at most 1024.
            u16::try_from(worker).unwrap_or(u16::MAX),
            udp::Sockets { sockets, spares, clients: Arc::clone(&post.clients) },
            Arc::clone(&self.snapshot),
            Arc::clone(&duty),
            Arc::clone(&self.is_stopping),
        )?;
        let cpu = post.cpu;
        // Also dropped where no thread can be made.
        let presence = Presence::new(duty, ending);
        thread::Builder::new().name(format!("udp-{worker}")).spawn(move || {
            presence.begin();
            pin(worker, cpu);
            job.run();
            drop(presence);
        })?;
        Ok(())
    }

    /// Takes the lock; the book is whole after every step, so that a poisoned lock can be used.
    fn book(&self) -> MutexGuard<'_, Book<UdpBlock>> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Pins the calling worker to its CPU; without that it serves as well, only less evenly.
fn pin(index: usize, cpu: Option<cpu::Cpu>) {
    let Some(cpu) = cpu else { return };
    if let Err(error) = cpu::pin(cpu) {
        tracing::warn!(worker = index, cpu = cpu.index(), %error, "the UDP worker cannot be pinned to its CPU");
    }
}

#[cfg(test)]
mod tests;
