//! What this process may take, and what it must not leave: descriptors, a core.
//!
//! Refuses to know what they are for.

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the soft limit of open descriptors to the hard one and returns what holds afterwards.
///
/// # Errors
/// What `setrlimit` says.
pub fn raise_open_files() -> io::Result<u64> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })?;
    }
    // There is none where the kernel says that there is no limit.
    Ok(limit.maximum.unwrap_or(u64::MAX))
}

/// Counts the descriptors that are open, that of the look itself among them.
///
/// # Errors
/// What reading `/proc/self/fd` says.
pub fn open_files() -> io::Result<usize> {
    Ok(std::fs::read_dir("/proc/self/fd")?.count())
}

/// Keeps the kernel from writing a core when the process crashes, which would hold its descriptors open meanwhile.
///
/// The hard limit stays, so that an operator can still ask for one with `prlimit`.
///
/// # Errors
/// What `setrlimit` says.
pub fn forbid_core() -> io::Result<()> {
    Ok(setrlimit(Resource::Core, Rlimit { current: Some(0), ..getrlimit(Resource::Core) })?)
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
        assert_eq!(super::getrlimit(super::Resource::Core).current, Some(0));
    }
}
