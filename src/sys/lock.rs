//! An exclusive lock on a file, so that two servers never share one state folder.
//!
//! The kernel lets go of the lock when the process ends, however it ends: a stale file never blocks a start. The file
//! stays behind on purpose; removing it would let a third process lock a new file of the same name.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

/// A lock that is held until this value is dropped or the process ends.
#[derive(Debug)]
pub struct FileLock {
    /// The open file that carries the lock; its text is our process id.
    _file: File,
}

/// Why the lock could not be had.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process holds it.
    #[error("another process{} holds the lock", holder_text(*.pid))]
    Taken {
        /// The holder's process id, as it wrote it into the file.
        pid: Option<u32>,
    },
    /// The file cannot be opened, locked or written.
    #[error("the lock file cannot be used: {0}")]
    Io(#[from] io::Error),
}

impl FileLock {
    /// Locks the file at `path`, which is made (mode 0600) where it is missing, and writes our process id into it.
    ///
    /// Never waits. The descriptor is close-on-exec; a symbolic link is refused.
    ///
    /// # Errors
    /// [`LockError::Taken`] when somebody else has it, [`LockError::Io`] otherwise.
    pub fn acquire(path: &Path) -> Result<Self, LockError> {
        let mut options = OpenOptions::new();
        // `std` opens every file with O_CLOEXEC. Mode 0600: whoever may open the file may also lock us out.
        options.read(true).custom_flags(libc::O_NOFOLLOW);
        let made = options.clone().write(true).create(true).truncate(false).mode(LOCK_FILE_MODE).open(path);
        let mut file = match made {
            // What can be read only can be locked all the same.
            Err(error) if error.kind() == io::ErrorKind::ReadOnlyFilesystem => options.open(path)?,
            made => made?,
        };
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Err(LockError::Taken { pid: read_holder(&mut file) }),
            Err(error) => return Err(LockError::Io(error.into())),
        }
        // The lock is ours. That others learn who has it is a service, which a full or read-only disk refuses.
        let _is_written = write_holder(&mut file);
        Ok(Self { _file: file })
    }
}

/// Writes our process id, and nothing else, into a file that we have locked.
fn write_holder(file: &mut File) -> io::Result<()> {
    file.set_permissions(Permissions::from_mode(LOCK_FILE_MODE))?;
    file.set_len(0)?;
    file.write_all(format!("{}\n", std::process::id()).as_bytes())
}

/// Reads the process id that the holder wrote, if that is what the file says.
fn read_holder(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    // Not being able to read only makes the message shorter.
    file.take(HOLDER_BYTES_MAX).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

/// Says who holds the lock, or nothing.
fn holder_text(pid: Option<u32>) -> String {
    pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default()
}

/// Only the owner may read or lock the file.
const LOCK_FILE_MODE: u32 = 0o600;

/// More octets than the longest process id has.
const HOLDER_BYTES_MAX: u64 = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_lock_is_refused_and_names_the_holder() {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let path = folder.path().join("lock");
        let held = FileLock::acquire(&path).expect("nobody holds it yet");
        let error = FileLock::acquire(&path).expect_err("it is held");
        assert!(matches!(error, LockError::Taken { pid } if pid == Some(std::process::id())), "{error}");
        assert!(error.to_string().contains(&format!("pid {}", std::process::id())), "{error}");
        drop(held);
        FileLock::acquire(&path).expect("it was let go of");
    }

    #[test]
    fn a_shorter_pid_leaves_nothing_of_a_longer_one() {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let path = folder.path().join("lock");
        std::fs::write(&path, "99999999999999999999\n").expect("the folder is ours");
        let _held = FileLock::acquire(&path).expect("a stale file does not block");
        let text = std::fs::read_to_string(&path).expect("the file is there");
        assert_eq!(text, format!("{}\n", std::process::id()));
    }

    #[test]
    fn a_missing_folder_and_a_symbolic_link_are_named() {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let missing = FileLock::acquire(&folder.path().join("no/lock")).expect_err("there is no such folder");
        assert!(matches!(missing, LockError::Io(error) if error.kind() == io::ErrorKind::NotFound));
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(folder.path().join("elsewhere"), &link).expect("the folder is ours");
        assert!(matches!(FileLock::acquire(&link), Err(LockError::Io(_))));
        assert!(!folder.path().join("elsewhere").exists());
    }
}
