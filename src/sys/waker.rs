//! A descriptor by which one thread wakes another out of its wait (eventfd(2)).
//!
//! Refuses to know what the threads are for. Nobody reads it: whoever waits watches it for new input.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{EventfdFlags, eventfd};

/// Wakes whoever watches it. Used by any thread.
#[derive(Debug)]
pub struct Waker(OwnedFd);

impl Waker {
    /// Makes one.
    ///
    /// # Errors
    /// What `eventfd` says, mostly that descriptors ran out.
    pub fn new() -> io::Result<Self> {
        Ok(Self(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?))
    }

    /// Wakes whoever watches it for new input, now or at its next wait. Never blocks.
    ///
    /// # Errors
    /// What `write` says; none is known.
    pub fn wake(&self) -> io::Result<()> {
        // The kernel counts to 2^64 - 2, and what nobody waited for adds up to one wake-up.
        rustix::io::write(&self.0, &1u64.to_ne_bytes())?;
        Ok(())
    }
}

impl AsFd for Waker {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
