//! The TCP threads as others see them: whether each still moves, and a new thread where one hangs.
//!
//! All threads share the listeners, so that while one hangs the others accept, and a new one needs no socket of its own.
//! Refuses to know why a thread is to be replaced.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak, mpsc};
use std::thread;

use arc_swap::ArcSwap;

use super::{Desk, Listener, Office};
use crate::answer::Snapshot;
use crate::metrics::{Metrics, TcpBlock};
use crate::serve::admission::Admission;
use crate::serve::staff::{Book, Duty, Presence};
use crate::serve::{ReplaceError, TcpLimits, TcpQueue};
use crate::sys::bell::Bell;
use crate::sys::socket;

/// All TCP threads, and what they are made from.
#[derive(Debug)]
pub(in crate::serve) struct Crew {
    /// The threads in charge, by number.
    posts: Box<[ArcSwap<Shift>]>,
    /// The listeners. The threads and [`Running`](crate::serve::Running) keep them open.
    listeners: Weak<[Listener]>,
    /// What clients may take.
    limits: TcpLimits,
    /// Who may connect.
    admission: Arc<Admission>,
    /// What answers are made from.
    snapshot: Arc<ArcSwap<Snapshot>>,
    /// Where the threads' blocks are summed.
    metrics: Arc<Metrics>,
    /// Read by every thread whenever it wakes.
    is_stopping: Arc<AtomicBool>,
    /// What changes when threads are made and replaced.
    book: Mutex<Book<TcpBlock>>,
}

/// What one thread shares with others.
#[derive(Debug)]
pub(super) struct Shift {
    /// Its counters, and whether another thread has taken over.
    pub(super) duty: Arc<Duty<TcpBlock>>,
    /// Rung to wake it.
    pub(super) bell: Bell,
    /// How often it woke or served a connection. It alone writes here.
    pub(super) beats: AtomicU64,
}

impl Shift {
    /// Describes a thread that does not run yet.
    pub(super) fn new(block: Arc<TcpBlock>) -> io::Result<Self> {
        Ok(Self { duty: Arc::new(Duty::new(block)), bell: Bell::new()?, beats: AtomicU64::new(0) })
    }

    /// Shows that the thread moves. Called by itself.
    pub(super) fn beat(&self) {
        self.beats.store(self.beats.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    }
}

impl Crew {
    /// Lists the threads, one for each TCP block of `metrics`, without making them yet. `ending` is what they drop at
    /// the end.
    ///
    /// # Errors
    /// Descriptors ran out.
    pub(in crate::serve) fn new(
        listeners: &Arc<[Listener]>,
        limits: TcpLimits,
        snapshot: Arc<ArcSwap<Snapshot>>,
        metrics: Arc<Metrics>,
        is_stopping: Arc<AtomicBool>,
        ending: mpsc::Sender<()>,
    ) -> io::Result<Self> {
        let posts = metrics.tcp().into_iter().map(|block| Shift::new(block).map(ArcSwap::from_pointee));
        Ok(Self {
            posts: posts.collect::<io::Result<_>>()?,
            listeners: Arc::downgrade(listeners),
            limits,
            admission: Arc::new(Admission::new(&limits)),
            snapshot,
            metrics,
            is_stopping,
            book: Mutex::new(Book::new(ending)),
        })
    }

    /// Makes the first threads.
    ///
    /// # Errors
    /// The system has no thread, descriptor or memory for it; those that were made run on.
    pub(in crate::serve) fn open(&self) -> io::Result<()> {
        let ending = self.book().ending()?;
        let mut posts = self.posts.iter().enumerate();
        posts.try_for_each(|(thread, post)| self.employ(thread, post.load_full(), ending.clone()))
    }

    /// Refuses replacements from now on, and no longer keeps the channel of ends open.
    pub(in crate::serve) fn close(&self) {
        self.book().close();
    }

    /// How many threads there are.
    pub(in crate::serve) fn thread_count(&self) -> usize {
        self.posts.len()
    }

    /// A number that moves while the thread does.
    pub(in crate::serve) fn beats(&self, thread: usize) -> u64 {
        self.posts.get(thread).map_or(0, |post| post.load().beats.load(Ordering::Relaxed))
    }

    /// The kernel's number of the thread while it runs.
    pub(in crate::serve) fn tid(&self, thread: usize) -> Option<i32> {
        self.posts.get(thread).and_then(|post| post.load().duty.tid())
    }

    /// Wakes a thread.
    pub(in crate::serve) fn ring(&self, thread: usize) {
        let Some(post) = self.posts.get(thread) else { return };
        if let Err(error) = post.load().bell.ring() {
            tracing::warn!(thread, %error, "the TCP thread cannot be woken");
        }
    }

    /// How the queue of a listener is; `None` where there is none.
    pub(in crate::serve) fn queue(&self, listener: usize) -> Option<TcpQueue> {
        let listeners = self.listeners.upgrade()?;
        let listener = listeners.get(listener)?;
        let waiting = socket::waiting_connections(listener.socket.as_fd()).ok()?;
        let dropped = socket::dropped_datagrams(listener.socket.as_fd()).ok()?;
        Some(TcpQueue { waiting, accepted: listener.accepted.load(Ordering::Relaxed), dropped })
    }

    /// See [`Admission::expect_prover`].
    pub(in crate::serve) fn expect_prover(&self, from: SocketAddr) {
        self.admission.expect_prover(from);
    }

    /// How many replaced threads have not ended.
    pub(in crate::serve) fn lost(&self) -> usize {
        self.book().nudge_lost()
    }

    /// See [`Staff::replace_tcp`](crate::serve::Staff::replace_tcp).
    pub(in crate::serve) fn replace(&self, thread: usize) -> io::Result<()> {
        let count = self.posts.len();
        let post = self.posts.get(thread).ok_or(ReplaceError::NoSuchTcpThread { thread, count })?;
        let mut book = self.book();
        let ending = book.vacancy(count, |lost| ReplaceError::TooManyTcpLost { lost })?;
        let shift = Arc::new(Shift::new(Arc::default())?);
        self.employ(thread, Arc::clone(&shift), ending)?;
        self.metrics.hand_over_tcp(thread, shift.duty.shared_block());
        let old = post.swap(shift);
        // The bell besides the signal that `relieve` sends: one that is just about to wait would miss that.
        if let Err(error) = old.duty.relieve().and(old.bell.ring()) {
            tracing::warn!(thread, %error, "the replaced thread cannot be woken, or keeps its share of the CPU");
        }
        book.lose(Arc::clone(&old.duty));
        Ok(())
    }

    /// Makes a thread.
    fn employ(&self, thread: usize, shift: Arc<Shift>, ending: mpsc::Sender<()>) -> io::Result<()> {
        let desk = Desk::new(Office {
            index: thread,
            listeners: self.listeners.upgrade().ok_or(ReplaceError::Stopping)?,
            limits: self.limits,
            admission: Arc::clone(&self.admission),
            snapshot: Arc::clone(&self.snapshot),
            shift: Arc::clone(&shift),
            is_stopping: Arc::clone(&self.is_stopping),
        })?;
        // Also dropped where no thread can be made.
        let presence = Presence::new(Arc::clone(&shift.duty), ending);
        thread::Builder::new().name(format!("tcp-{thread}")).spawn(move || {
            presence.begin();
            desk.run();
            drop(presence);
        })?;
        Ok(())
    }

    /// Takes the lock; the book is whole after every step, so that a poisoned lock can be used.
    fn book(&self) -> MutexGuard<'_, Book<TcpBlock>> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
