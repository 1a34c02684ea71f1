//! The UDP workers as others see them: what each does, and a new thread where one is wedged.
//!
//! A worker is a number and its sockets; the thread in charge of it can change. A thread that was replaced is never
//! stopped by force: it is told to end, finishes its batch when it wakes, and until then gets only idle CPU time. One
//! that waits for datagrams is woken by a signal that does nothing else.
//! Refuses to know why a worker is to be replaced. The locks here are taken when a thread starts, ends or is replaced.

use std::io;
use std::net::UdpSocket;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak, mpsc};
use std::thread;

use arc_swap::ArcSwap;

use super::udp;
use crate::answer::Snapshot;
use crate::metrics::{Metrics, UdpBlock};
use crate::sys::{cpu, nudge, sched, socket};

/// A handle on the UDP workers. Cheap to clone; keeps no socket open and no server running.
#[derive(Clone, Debug)]
pub struct Staff(Arc<Roster>);

/// Why a worker is not replaced.
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
    /// The server stops.
    #[error("the server stops; no UDP worker is replaced any more")]
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
        self.0.posts.len()
    }

    /// Returns how many batches the thread in charge of `worker` has finished; begins at 0 with each new thread.
    ///
    /// 0 where there is no such worker. Waits for nobody.
    #[must_use]
    pub fn progress(&self, worker: usize) -> u64 {
        self.0.posts.get(worker).map_or(0, |post| post.duty.load().block.batches.value())
    }

    /// Returns the kernel's number of the thread in charge of `worker`; `None` before it runs, after its end, and where
    /// there is no such worker. Waits for nobody.
    #[must_use]
    pub fn tid(&self, worker: usize) -> Option<i32> {
        self.0.posts.get(worker).and_then(|post| post.duty.load().tid())
    }

    /// Returns how many datagrams the kernel has dropped at the sockets of one address, all workers together.
    ///
    /// `address_index` counts as [`Bound::local_addresses`](super::Bound::local_addresses) does; 0 where there is no
    /// such address, or where the server has stopped. Each socket's count wraps at 32 bits. One system call per worker.
    #[must_use]
    pub fn drops(&self, address_index: usize) -> u64 {
        let sockets = self.0.posts.iter().filter_map(|post| post.sockets.get(address_index)?.upgrade());
        // Reading the option cannot fail on a UDP socket that is open; if it does, nothing is known to be dropped.
        sockets.map(|socket| socket::dropped_datagrams(socket.as_fd()).map_or(0, u64::from)).sum()
    }

    /// Tells whether datagrams wait in any socket of `worker`; `None` where that can't be told.
    #[must_use]
    pub fn has_queued(&self, worker: usize) -> Option<bool> {
        let sockets: Vec<_> = self.0.posts.get(worker)?.sockets.iter().filter_map(Weak::upgrade).collect();
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
        self.0.replace(worker)
    }

    /// Returns how many replaced threads have not ended. They are at most as many as there are workers.
    ///
    /// Wakes those again that may wait for datagrams, one system call each: they would take some of the new thread's.
    #[must_use]
    pub fn lost(&self) -> usize {
        let book = self.0.book();
        let lost = book.lost.iter().filter(|duty| !duty.has_ended());
        lost.inspect(|duty| {
            // An error means that it ends by itself with the next datagram that it gets.
            let _nudged = duty.nudge();
        })
        .count()
    }
}

/// All workers, and what their threads are made from.
#[derive(Debug)]
pub(super) struct Roster {
    /// The workers, by their numbers.
    posts: Box<[Post]>,
    /// What answers are made from.
    snapshot: Arc<ArcSwap<Snapshot>>,
    /// Where the threads' blocks are summed.
    metrics: Arc<Metrics>,
    /// Read by every thread after each batch.
    is_stopping: Arc<AtomicBool>,
    /// What changes when threads are made and replaced.
    book: Mutex<Book>,
}

/// One worker.
#[derive(Debug)]
struct Post {
    /// Its sockets, by address. The threads and [`Running`](super::Running) keep them open.
    sockets: Box<[Weak<UdpSocket>]>,
    /// Where its threads are pinned.
    cpu: Option<cpu::Cpu>,
    /// The thread in charge.
    duty: ArcSwap<Duty>,
}

/// What changes when threads are made and replaced.
#[derive(Debug)]
struct Book {
    /// Given to each thread, to be dropped at its end; `None` once the server stops.
    ending: Option<mpsc::Sender<()>>,
    /// The replaced threads; those that have ended are taken out by the next replacement.
    lost: Vec<Arc<Duty>>,
}

impl Roster {
    /// Lists the workers, without threads yet. `workers` are their sockets, `ending` is what their threads drop at the
    /// end.
    pub(super) fn new(
        workers: &[Vec<Arc<UdpSocket>>],
        snapshot: Arc<ArcSwap<Snapshot>>,
        metrics: Arc<Metrics>,
        is_stopping: Arc<AtomicBool>,
        ending: mpsc::Sender<()>,
    ) -> Self {
        let cpus = cpu::allowed().unwrap_or_default();
        let post = |(index, (sockets, block)): (usize, (&Vec<Arc<UdpSocket>>, Arc<UdpBlock>))| Post {
            sockets: sockets.iter().map(Arc::downgrade).collect(),
            cpu: (!cpus.is_empty()).then(|| cpus[index % cpus.len()]),
            duty: ArcSwap::from_pointee(Duty::new(block)),
        };
        let posts = workers.iter().zip(metrics.udp()).enumerate().map(post).collect();
        let book = Mutex::new(Book { ending: Some(ending), lost: Vec::new() });
        Self { posts, snapshot, metrics, is_stopping, book }
    }

    /// Makes the first thread of every worker.
    ///
    /// # Errors
    /// The system has no thread, descriptor or memory for it; those that were made run on.
    pub(super) fn open(self: &Arc<Self>) -> io::Result<()> {
        let ending = self.book().ending.clone().ok_or(ReplaceError::Stopping)?;
        for (worker, post) in self.posts.iter().enumerate() {
            self.employ(worker, post, post.duty.load_full(), ending.clone())?;
        }
        Ok(())
    }

    /// Refuses replacements from now on, and no longer keeps the channel of ends open.
    pub(super) fn close(&self) {
        self.book().ending = None;
    }

    /// Returns the handle for others.
    pub(super) fn staff(self: &Arc<Self>) -> Staff {
        Staff(Arc::clone(self))
    }

    /// See [`Staff::replace`].
    fn replace(&self, worker: usize) -> io::Result<()> {
        let count = self.posts.len();
        let post = self.posts.get(worker).ok_or(ReplaceError::NoSuchWorker { worker, count })?;
        let mut book = self.book();
        book.lost.retain(|duty| !duty.has_ended());
        let ending = book.ending.clone().ok_or(ReplaceError::Stopping)?;
        let lost = book.lost.len();
        if lost >= count {
            return Err(ReplaceError::TooManyLost { lost }.into());
        }
        let duty = Arc::new(Duty::new(Arc::default()));
        self.employ(worker, post, Arc::clone(&duty), ending)?;
        self.metrics.hand_over(worker, Arc::clone(&duty.block));
        let old = post.duty.swap(duty);
        if let Err(error) = old.relieve() {
            tracing::warn!(worker, %error, "the replaced thread cannot be woken, or keeps its share of the CPU");
        }
        if !old.has_ended() {
            book.lost.push(old);
        }
        Ok(())
    }

    /// Makes a thread for a worker.
    fn employ(&self, worker: usize, post: &Post, duty: Arc<Duty>, ending: mpsc::Sender<()>) -> io::Result<()> {
        let sockets: Option<Vec<_>> = post.sockets.iter().map(Weak::upgrade).collect();
        let job = udp::Worker::new(
            // There are at most 1024.
            u16::try_from(worker).unwrap_or(u16::MAX),
            sockets.ok_or(ReplaceError::Stopping)?,
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
    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What one thread shares with others while it is in charge of a worker, and after.
#[derive(Debug)]
pub(super) struct Duty {
    /// What it counts; it alone writes there.
    block: Arc<UdpBlock>,
    /// The kernel's number of it; 0 before it runs and after its end.
    tid: AtomicI32,
    /// Whether another thread has taken over.
    is_relieved: AtomicBool,
    /// Whether it has ended.
    has_ended: AtomicBool,
    /// Dropped when it ends or is replaced: whoever stops the server waits for this. The thread cannot end, and its
    /// number cannot become that of another one, while this is locked.
    ending: Mutex<Option<mpsc::Sender<()>>>,
}

impl Duty {
    /// Describes a thread that does not run yet.
    fn new(block: Arc<UdpBlock>) -> Self {
        Self {
            block,
            tid: AtomicI32::new(0),
            is_relieved: AtomicBool::new(false),
            has_ended: AtomicBool::new(false),
            ending: Mutex::new(None),
        }
    }

    /// The thread's counters.
    pub(super) fn block(&self) -> &UdpBlock {
        &self.block
    }

    /// Whether another thread has taken over. Asked once per batch.
    pub(super) fn is_relieved(&self) -> bool {
        self.is_relieved.load(Ordering::Acquire)
    }

    /// The kernel's number of the thread while it runs.
    fn tid(&self) -> Option<i32> {
        Some(self.tid.load(Ordering::Acquire)).filter(|&tid| tid != 0)
    }

    /// Whether the thread has ended.
    fn has_ended(&self) -> bool {
        self.has_ended.load(Ordering::Acquire)
    }

    /// Tells the thread to end when it wakes, lets it have idle CPU time only, and lets nobody wait for its end.
    ///
    /// # Errors
    /// Its class cannot be changed, or it cannot be woken; all else is done.
    fn relieve(&self) -> io::Result<()> {
        self.is_relieved.store(true, Ordering::Release);
        let nudged = self.nudge();
        // Where it is locked the thread is just ending, and nothing else is to be done.
        let Ok(mut ending) = self.ending.try_lock() else { return Ok(()) };
        ending.take();
        self.tid().map_or(Ok(()), sched::make_idle).and(nudged)
    }

    /// Wakes the thread if it waits for datagrams.
    ///
    /// # Errors
    /// It cannot be woken.
    fn nudge(&self) -> io::Result<()> {
        // As in `relieve`.
        let Ok(_ending) = self.ending.try_lock() else { return Ok(()) };
        self.tid().map_or(Ok(()), nudge::nudge)
    }
}

/// The presence of a thread, which ends with it, however that comes about.
#[derive(Debug)]
struct Presence(Arc<Duty>);

impl Presence {
    /// Announces a thread whose end is told by dropping `ending`.
    fn new(duty: Arc<Duty>, ending: mpsc::Sender<()>) -> Self {
        *duty.ending.lock().unwrap_or_else(PoisonError::into_inner) = Some(ending);
        Self(duty)
    }

    /// Notes which thread it is. Called by itself.
    fn begin(&self) {
        self.0.tid.store(sched::current_tid(), Ordering::Release);
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        let mut ending = self.0.ending.lock().unwrap_or_else(PoisonError::into_inner);
        self.0.tid.store(0, Ordering::Release);
        self.0.has_ended.store(true, Ordering::Release);
        ending.take();
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
