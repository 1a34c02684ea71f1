//! How many descriptors this process may open.
//!
//! Refuses to know what they are for.

use std::io;

/// Raises the soft limit of open descriptors to the hard one and returns what holds afterwards.
///
/// # Errors
/// What `getrlimit` or `setrlimit` says.
pub fn raise_open_files() -> io::Result<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is live and exclusively borrowed; the kernel writes one `rlimit` into it.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } != 0 {
        return Err(io::Error::last_os_error());
    }
    if limit.rlim_cur < limit.rlim_max {
        limit.rlim_cur = limit.rlim_max;
        // SAFETY: `limit` is initialised and lives through the call; the kernel only reads it.
        if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) } != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(limit.rlim_cur)
}

#[cfg(test)]
mod tests {
    #[test]
    fn raising_twice_gives_the_same_limit() {
        let first = super::raise_open_files().expect("the limit can be read");
        assert!(first > 0);
        assert_eq!(super::raise_open_files().expect("the limit can be read"), first);
    }
}
