//! What one TCP thread shows to others while it serves, and what wakes it.
//!
//! Refuses to know what the thread does.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::metrics::TcpBlock;
use crate::serve::thread::ThreadHandle;
use crate::sys::waker::Waker;

/// What one thread shares with others.
#[derive(Debug)]
pub(super) struct TcpThreadState {
    /// Its counters, and whether another thread has taken over.
    pub(super) handle: Arc<ThreadHandle<TcpBlock>>,
    /// Wakes it.
    pub(super) waker: Waker,
    /// How often it woke or served a connection. It alone writes here.
    progress: AtomicU64,
}

impl TcpThreadState {
    /// Describes a thread that does not run yet.
    pub(super) fn new(block: Arc<TcpBlock>) -> io::Result<Self> {
        Ok(Self { handle: Arc::new(ThreadHandle::new(block)), waker: Waker::new()?, progress: AtomicU64::new(0) })
    }

    /// A number that changes while the thread makes progress.
    pub(super) fn progress(&self) -> u64 {
        self.progress.load(Ordering::Relaxed)
    }

    /// Shows that the thread makes progress. Called by itself.
    pub(super) fn advance(&self) {
        self.progress.store(self.progress.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    }
}
