//! One thread in charge of a worker's sockets or of the listeners: whether it runs, was replaced, has ended.
//!
//! Refuses to know what the thread does.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

use crate::sys::{interrupt, sched};

/// What one thread shares with others while it is in charge of a worker, and after.
#[derive(Debug)]
pub(super) struct ThreadHandle<Block> {
    /// What it counts; it alone writes there.
    block: Arc<Block>,
    /// The kernel's number of it; 0 before it runs and after its end.
    tid: AtomicI32,
    /// Whether another thread has taken over.
    is_replaced: AtomicBool,
    /// Whether it has ended.
    has_ended: AtomicBool,
    /// Dropped when it ends or is replaced: whoever stops the server waits for this. The thread cannot end, and its
    /// number cannot become that of another one, while this is locked.
    ending: Mutex<Option<mpsc::Sender<()>>>,
}

impl<Block> ThreadHandle<Block> {
    /// Describes a thread that does not run yet.
    pub(super) fn new(block: Arc<Block>) -> Self {
        Self {
            block,
            tid: AtomicI32::new(0),
            is_replaced: AtomicBool::new(false),
            has_ended: AtomicBool::new(false),
            ending: Mutex::new(None),
        }
    }

    /// The thread's counters.
    pub(super) fn block(&self) -> &Block {
        &self.block
    }

    /// The same, to be summed and kept.
    pub(super) fn shared_block(&self) -> Arc<Block> {
        Arc::clone(&self.block)
    }

    /// Whether another thread has taken over. Asked once per batch.
    pub(super) fn is_replaced(&self) -> bool {
        self.is_replaced.load(Ordering::Acquire)
    }

    /// The kernel's number of the thread while it runs.
    pub(super) fn tid(&self) -> Option<i32> {
        Some(self.tid.load(Ordering::Acquire)).filter(|&tid| tid != 0)
    }

    /// Whether the thread has ended.
    pub(super) fn has_ended(&self) -> bool {
        self.has_ended.load(Ordering::Acquire)
    }

    /// Asks the thread to end when it wakes, lets it have idle CPU time only, and lets nobody wait for its end.
    ///
    /// # Errors
    /// Its class cannot be changed, or it cannot be woken; all else is done.
    pub(super) fn mark_replaced(&self) -> io::Result<()> {
        self.is_replaced.store(true, Ordering::Release);
        let interrupted = self.interrupt();
        // Where it is locked the thread is just ending, and nothing else is to be done.
        let Ok(mut ending) = self.ending.try_lock() else { return Ok(()) };
        ending.take();
        self.tid().map_or(Ok(()), sched::make_idle).and(interrupted)
    }

    /// Wakes the thread if it waits.
    ///
    /// # Errors
    /// It cannot be woken.
    fn interrupt(&self) -> io::Result<()> {
        // As in `mark_replaced`.
        let Ok(_ending) = self.ending.try_lock() else { return Ok(()) };
        self.tid().map_or(Ok(()), interrupt::interrupt)
    }
}

/// The guard of a thread, which ends with it, however that comes about.
#[derive(Debug)]
pub(super) struct ThreadGuard<Block>(Arc<ThreadHandle<Block>>);

impl<Block> ThreadGuard<Block> {
    /// Announces a thread whose end shows in the drop of `ending`.
    pub(super) fn new(handle: Arc<ThreadHandle<Block>>, ending: mpsc::Sender<()>) -> Self {
        *handle.ending.lock().unwrap_or_else(PoisonError::into_inner) = Some(ending);
        Self(handle)
    }

    /// Notes which thread it is, and lets it have the CPU soon when it wakes: it has little to do for many, and what
    /// takes long, loading above all, can wait for it. Called by itself.
    pub(super) fn begin(&self) {
        // Where the kernel does not know it, or a sandbox forbids it, the thread waits as others do.
        let _is_set = sched::set_slice(SLICE);
        self.0.tid.store(sched::current_tid(), Ordering::Release);
    }
}

/// The CPU time that a thread asks for at once: the least that the kernel gives.
const SLICE: Duration = Duration::from_micros(100);

impl<Block> Drop for ThreadGuard<Block> {
    fn drop(&mut self) {
        let mut ending = self.0.ending.lock().unwrap_or_else(PoisonError::into_inner);
        self.0.tid.store(0, Ordering::Release);
        self.0.has_ended.store(true, Ordering::Release);
        ending.take();
    }
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

/// What changes when threads are made and replaced.
#[derive(Debug)]
pub(super) struct ReplacedThreads<Block> {
    /// Given to each thread, to be dropped at its end; `None` once the server stops.
    ending: Option<mpsc::Sender<()>>,
    /// The replaced threads; those that have ended are taken out by the next count.
    lost: Vec<Arc<ThreadHandle<Block>>>,
}

impl<Block> ReplacedThreads<Block> {
    /// Opens it; `ending` is what threads drop at the end.
    pub(super) fn new(ending: mpsc::Sender<()>) -> Self {
        Self { ending: Some(ending), lost: Vec::new() }
    }

    /// What a new thread is to drop at its end.
    ///
    /// # Errors
    /// [`ReplaceError::Stopping`].
    pub(super) fn ending(&self) -> Result<mpsc::Sender<()>, ReplaceError> {
        self.ending.clone().ok_or(ReplaceError::Stopping)
    }

    /// The same for a thread that replaces one of `threads`, of whom no more may be lost than that; `too_many` says
    /// so.
    ///
    /// # Errors
    /// [`ReplaceError::Stopping`], or `too_many` of those that are lost.
    pub(super) fn reserve(
        &mut self,
        threads: usize,
        too_many: impl FnOnce(usize) -> ReplaceError,
    ) -> Result<mpsc::Sender<()>, ReplaceError> {
        let ending = self.ending()?;
        let lost = self.count_lost();
        if lost < threads { Ok(ending) } else { Err(too_many(lost)) }
    }

    /// Refuses new threads from now on, and no longer keeps the channel of ends open.
    pub(super) fn close(&mut self) {
        self.ending = None;
    }

    /// Notes a thread that was replaced.
    pub(super) fn add(&mut self, old: Arc<ThreadHandle<Block>>) {
        if !old.has_ended() {
            self.lost.push(old);
        }
    }

    /// How many replaced threads have not ended.
    fn count_lost(&mut self) -> usize {
        self.lost.retain(|handle| !handle.has_ended());
        self.lost.len()
    }

    /// The same; wakes those that may wait, so that they see that they were replaced.
    pub(super) fn interrupt_lost(&self) -> usize {
        let lost = self.lost.iter().filter(|handle| !handle.has_ended());
        lost.inspect(|handle| {
            // An error means that it ends by itself with the next input that it gets.
            let _interrupted = handle.interrupt();
        })
        .count()
    }
}
