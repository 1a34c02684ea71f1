//! The TCP threads as others see them: whether each still makes progress, and a new thread where one hangs.
//!
//! All threads share the listeners, so that while one hangs the others accept, and a new one needs no socket of its
//! own. Refuses to know why a thread is to be replaced.

use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak, mpsc};
use std::thread;

use arc_swap::ArcSwap;

use super::channel::Channel;
use super::listener::{Listener, TcpQueue};
use super::state::TcpThreadState;
use super::thread::{TcpThread, TcpThreadContext};
use crate::answer::Snapshot;
use crate::metrics::{Metrics, TcpBlock};
use crate::serve::admission::Admission;
use crate::serve::limits::TcpLimits;
use crate::serve::thread::{ReplaceError, ReplacedThreads, ThreadGuard};
use crate::sys::sched;

/// All TCP threads, and what they are made from.
#[derive(Debug)]
pub(in crate::serve) struct TcpPool<C: Channel> {
    /// The threads in charge, by number.
    slots: Box<[ArcSwap<TcpThreadState>]>,
    /// The listeners. The threads and [`Running`](crate::serve::Running) keep them open.
    listeners: Weak<[Listener]>,
    /// What the channels of connections are made from.
    acceptor: C::Acceptor,
    /// What clients may take.
    limits: TcpLimits,
    /// Who may connect.
    admission: Arc<Admission>,
    /// What answers are made from.
    snapshot: Arc<ArcSwap<Snapshot>>,
    /// Where the threads' blocks are summed.
    metrics: Arc<Metrics>,
    /// The index of the first thread there.
    block_first: usize,
    /// Read by every thread whenever it wakes.
    is_stopping: Arc<AtomicBool>,
    /// What changes when threads are made and replaced.
    replaced: Mutex<ReplacedThreads<TcpBlock>>,
}

impl<C: Channel> TcpPool<C> {
    /// Lists the threads, one for each of those `blocks` of `metrics`, without making them yet. `ending` is what they
    /// drop at the end.
    ///
    /// # Errors
    /// Descriptors ran out.
    pub(in crate::serve) fn new(
        listeners: &Arc<[Listener]>,
        acceptor: C::Acceptor,
        (limits, admission): (TcpLimits, Arc<Admission>),
        snapshot: Arc<ArcSwap<Snapshot>>,
        (metrics, mut all, blocks): (Arc<Metrics>, Vec<Arc<TcpBlock>>, Range<usize>),
        is_stopping: Arc<AtomicBool>,
        ending: mpsc::Sender<()>,
    ) -> io::Result<Self> {
        let block_first = blocks.start;
        let slots = all.drain(blocks).map(|block| TcpThreadState::new(block).map(ArcSwap::from_pointee));
        Ok(Self {
            slots: slots.collect::<io::Result<_>>()?,
            block_first,
            listeners: Arc::downgrade(listeners),
            acceptor,
            limits,
            admission,
            snapshot,
            metrics,
            is_stopping,
            replaced: Mutex::new(ReplacedThreads::new(ending)),
        })
    }

    /// Makes the first threads.
    ///
    /// # Errors
    /// The system has no thread, descriptor or memory for it; those that were made run on.
    pub(in crate::serve) fn open(&self) -> io::Result<()> {
        let ending = self.replaced().ending()?;
        let mut slots = self.slots.iter().enumerate();
        slots.try_for_each(|(thread, slot)| self.spawn_thread(thread, slot.load_full(), ending.clone()))
    }

    /// Refuses replacements from now on, and no longer keeps the channel of ends open.
    pub(in crate::serve) fn close(&self) {
        self.replaced().close();
    }

    /// How many threads there are.
    pub(in crate::serve) fn thread_count(&self) -> usize {
        self.slots.len()
    }

    /// A number that changes while the thread makes progress.
    pub(in crate::serve) fn progress(&self, thread: usize) -> u64 {
        self.slots.get(thread).map_or(0, |slot| slot.load().progress())
    }

    /// The kernel's number of the thread while it runs.
    pub(in crate::serve) fn tid(&self, thread: usize) -> Option<i32> {
        self.slots.get(thread).and_then(|slot| slot.load().handle.tid())
    }

    /// Wakes a thread.
    pub(in crate::serve) fn wake(&self, thread: usize) {
        let Some(slot) = self.slots.get(thread) else { return };
        if let Err(error) = slot.load().waker.wake() {
            tracing::warn!(thread, %error, "the TCP thread cannot be woken");
        }
    }

    /// How the queue of a listener is; `None` where there is none.
    pub(in crate::serve) fn queue(&self, listener: usize) -> Option<TcpQueue> {
        self.listeners.upgrade()?.get(listener)?.queue().ok()
    }

    /// See [`Admission::expect_prover`].
    pub(in crate::serve) fn expect_prover(&self, from: SocketAddr) {
        self.admission.expect_prover(from);
    }

    /// How many replaced threads have not ended.
    pub(in crate::serve) fn lost(&self) -> usize {
        self.replaced().interrupt_lost()
    }

    /// See [`ThreadSupervisor::replace_tcp`](crate::serve::ThreadSupervisor::replace_tcp).
    pub(in crate::serve) fn replace(&self, thread: usize) -> io::Result<()> {
        let count = self.slots.len();
        let slot = self.slots.get(thread).ok_or(ReplaceError::NoSuchTcpThread { thread, count })?;
        let mut replaced = self.replaced();
        let ending = replaced.reserve(count, |lost| ReplaceError::TooManyTcpLost { lost })?;
        let state = Arc::new(TcpThreadState::new(Arc::default())?);
        self.spawn_thread(thread, Arc::clone(&state), ending)?;
        self.metrics.hand_over_tcp(self.block_first + thread, state.handle.shared_block());
        let old = slot.swap(state);
        // The waker besides the signal that `mark_replaced` sends: one that is just about to wait would miss that.
        if let Err(error) = old.handle.mark_replaced().and(old.waker.wake()) {
            tracing::warn!(thread, %error, "the replaced thread cannot be woken, or keeps its share of the CPU");
        }
        replaced.add(Arc::clone(&old.handle));
        Ok(())
    }

    /// Makes a thread.
    fn spawn_thread(&self, thread: usize, state: Arc<TcpThreadState>, ending: mpsc::Sender<()>) -> io::Result<()> {
        let tcp_thread = TcpThread::<C>::new(TcpThreadContext {
            index: thread,
            listeners: self.listeners.upgrade().ok_or(ReplaceError::Stopping)?,
            acceptor: self.acceptor.clone(),
            limits: self.limits,
            admission: Arc::clone(&self.admission),
            snapshot: Arc::clone(&self.snapshot),
            state: Arc::clone(&state),
            is_stopping: Arc::clone(&self.is_stopping),
        })?;
        // Also dropped where no thread can be made.
        let guard = ThreadGuard::new(Arc::clone(&state.handle), ending);
        thread::Builder::new().name(format!("{}-{}", C::NAME, self.block_first + thread)).spawn(move || {
            guard.begin();
            if C::STEPS_BACK > 0 {
                // Where a sandbox forbids it, it shares the CPU as others do.
                let _is_set = sched::lower_priority(C::STEPS_BACK);
            }
            tcp_thread.run();
            drop(guard);
        })?;
        Ok(())
    }

    /// Takes the lock; what it guards is whole after every step, so that a poisoned lock can be used.
    fn replaced(&self) -> MutexGuard<'_, ReplacedThreads<TcpBlock>> {
        self.replaced.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
