//! A network namespace for the calling thread alone, so that tests change nothing of the host's.

use std::io;

/// Puts the calling thread, and the threads and processes that it starts from now on, into a new network namespace.
///
/// It holds only `lo`, which is down. The kernel removes it with the last thread in it.
///
/// # Errors
/// `EPERM` without CAP_SYS_ADMIN. Source: network_namespaces(7).
pub fn enter_new_network() -> io::Result<()> {
    // SAFETY: the call takes no pointer; sockets that are open keep the namespace that they were made in.
    if unsafe { libc::unshare(libc::CLONE_NEWNET) } != 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
