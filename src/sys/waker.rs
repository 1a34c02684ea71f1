//! A descriptor by which one thread wakes another out of its wait (eventfd(2)).
//!
//! Refuses to know what the threads are for. Nobody reads it: whoever waits watches it for new input.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};

/// Wakes whoever watches it. Used by any thread.
#[derive(Debug)]
pub struct Waker(File);

impl Waker {
    /// Makes one.
    ///
    /// # Errors
    /// What `eventfd` says, mostly that descriptors ran out.
    pub fn new() -> io::Result<Self> {
        // SAFETY: the call takes no pointer; its result is checked before it is used.
        let raw = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        if raw < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: `raw` was just returned by the kernel, is open and owned by nobody else.
        let descriptor = unsafe { OwnedFd::from_raw_fd(raw) };
        Ok(Self(descriptor.into()))
    }

    /// Wakes whoever watches it for new input, now or at its next wait. Never blocks.
    ///
    /// # Errors
    /// What `write` says; none is known.
    pub fn wake(&self) -> io::Result<()> {
        // The kernel counts to 2^64 - 2, and what nobody waited for adds up to one wake-up.
        (&self.0).write_all(&1u64.to_ne_bytes())
    }
}

impl AsFd for Waker {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
