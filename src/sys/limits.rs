//! What this process may take, and what it must not leave: descriptors, locked memory, a core.
//!
//! Refuses to know what they are for.

use std::io;

use caps::{CapSet, Capability};

/// Raises the soft limit of open descriptors to the hard one and returns what holds afterwards.
///
/// # Errors
/// What `getrlimit` or `setrlimit` says.
pub fn raise_open_files() -> io::Result<u64> {
    let mut limit = read(libc::RLIMIT_NOFILE)?;
    if limit.rlim_cur < limit.rlim_max {
        limit.rlim_cur = limit.rlim_max;
        write(libc::RLIMIT_NOFILE, &limit)?;
    }
    Ok(limit.rlim_cur)
}

/// Counts the descriptors that are open, that of the look itself among them.
///
/// # Errors
/// What reading `/proc/self/fd` says.
pub fn open_files() -> io::Result<usize> {
    Ok(std::fs::read_dir("/proc/self/fd")?.count())
}

/// Keeps every page of the process in memory once it was touched, now and from now on.
///
/// # Errors
/// [`io::ErrorKind::PermissionDenied`] where the process may lock only a part of its memory: then a later mapping over
/// the limit would fail, so nothing is locked. Otherwise what `mlockall` says.
pub fn lock_memory() -> io::Result<()> {
    if !may_lock_all()? {
        return Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            "RLIMIT_MEMLOCK is limited and CAP_IPC_LOCK is not granted",
        ));
    }
    // SAFETY: the call takes no pointer; it changes no page's content.
    let status = unsafe { libc::mlockall(libc::MCL_CURRENT | libc::MCL_FUTURE | libc::MCL_ONFAULT) };
    if status != 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Keeps the kernel from writing a core when the process crashes, which would hold its descriptors open meanwhile.
///
/// The hard limit stays, so that an operator can still ask for one with `prlimit`.
///
/// # Errors
/// What `getrlimit` or `setrlimit` says.
pub fn forbid_core() -> io::Result<()> {
    let mut limit = read(libc::RLIMIT_CORE)?;
    limit.rlim_cur = 0;
    write(libc::RLIMIT_CORE, &limit)
}

/// Whether all memory may be locked, however much it becomes. Source: mlock(2).
fn may_lock_all() -> io::Result<bool> {
    let is_capable = caps::has_cap(None, CapSet::Effective, Capability::CAP_IPC_LOCK).map_err(io::Error::other)?;
    Ok(is_capable || read(libc::RLIMIT_MEMLOCK)?.rlim_cur == libc::RLIM_INFINITY)
}

/// Reads one limit.
fn read(resource: libc::__rlimit_resource_t) -> io::Result<libc::rlimit> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is live and exclusively borrowed; the kernel writes one `rlimit` into it.
    let status = unsafe { libc::getrlimit(resource, &raw mut limit) };
    if status != 0 { Err(io::Error::last_os_error()) } else { Ok(limit) }
}

/// Sets one limit.
fn write(resource: libc::__rlimit_resource_t, limit: &libc::rlimit) -> io::Result<()> {
    // SAFETY: `limit` is initialised and lives through the call; the kernel only reads it.
    let status = unsafe { libc::setrlimit(resource, limit) };
    if status != 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    #[test]
    fn raising_twice_gives_the_same_limit() {
        let first = super::raise_open_files().expect("the limit can be read");
        assert!(first > 0);
        assert_eq!(super::raise_open_files().expect("the limit can be read"), first);
    }

    #[test]
    fn open_descriptors_are_counted() {
        let held: Vec<_> = (0..100).map(|_| std::fs::File::open("/dev/null").expect("it is there")).collect();
        assert!(super::open_files().expect("proc is mounted") > held.len());
    }

    #[test]
    fn no_core_is_written_once_forbidden() {
        super::forbid_core().expect("less is always granted");
        assert_eq!(super::read(libc::RLIMIT_CORE).expect("the limit can be read").rlim_cur, 0);
    }
}
