//! The control socket's file: taken over from the dead, never from the living, removed at the end.
//!
//! A lock beside it decides who owns it. The kernel lets go of a lock when its holder ends, so that a socket left
//! behind by a crash is known from one that is in use. The lock file itself stays; see [`FileLock`].

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use crate::sys::lock::{FileLock, LockError};
use crate::wire::Shown;

/// Owner and group may ask, nobody else.
const MODE: u32 = 0o660;
/// A folder that is made for the socket is entered by the owner alone.
const FOLDER_MODE: u32 = 0o700;
/// The longest path of a Unix socket in octets (`sun_path` without its final NUL), less what [`with_suffix`] adds.
const PATH_BYTES_MAX: usize = 107 - 5;

/// A control socket that is ours until this is dropped.
#[derive(Debug)]
pub struct ControlSocket {
    path: PathBuf,
    /// Device and inode of our socket, so that nobody else's is removed.
    inode: (u64, u64),
    listener: UnixListener,
    _lock: FileLock,
}

/// Why the control socket can't be had.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// Another process serves it.
    #[error("another process{} holds the control socket {}; give this one its own with --control PATH, or \"\" for \
        none", pid_text(*.pid), Shown::path(.path))]
    Held {
        /// The socket.
        path: PathBuf,
        /// Who, where that is known.
        pid: Option<u32>,
    },
    /// Something else has the name.
    #[error("{} is there and no socket; it is left alone", Shown::path(.0))]
    NotASocket(PathBuf),
    /// The path is longer than the system takes.
    #[error("the control socket's path {} is too long: {PATH_BYTES_MAX} octets are allowed", Shown::path(.0))]
    TooLong(PathBuf),
    /// The folder stands where anybody may make one, and others may write in it.
    #[error("the folder {} belongs to another user, or others may write in it: whoever made it may answer in our \
        place, so it is not used", Shown::path(.0))]
    Foreign(PathBuf),
    /// The system refused.
    #[error("the control socket {} can't be made: {cause}", Shown::path(.path))]
    Io {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
}

impl ControlSocket {
    /// Takes the socket at `path`; its folder is made where only that is missing.
    ///
    /// # Errors
    /// [`ControlError`].
    pub fn claim(path: &Path) -> Result<Self, ControlError> {
        let failed = |cause| ControlError::Io { path: path.to_owned(), cause };
        if path.as_os_str().len() > PATH_BYTES_MAX {
            return Err(ControlError::TooLong(path.to_owned()));
        }
        make_folder(path)?;
        let lock = FileLock::acquire(&with_suffix(path, ".lock")).map_err(|error| match error {
            LockError::Taken { pid } => ControlError::Held { path: path.to_owned(), pid },
            LockError::Io(cause) => failed(cause),
        })?;
        match fs::symlink_metadata(path) {
            Ok(metadata) if !metadata.file_type().is_socket() => return Err(ControlError::NotASocket(path.to_owned())),
            // Somebody listens there who does not know our lock.
            Ok(_) if UnixStream::connect(path).is_ok() => {
                return Err(ControlError::Held { path: path.to_owned(), pid: None });
            }
            Ok(_) | Err(_) => {}
        }
        // The name appears only when the mode is right; a stale socket of that name is replaced.
        let fresh = with_suffix(path, ".new");
        let _ = fs::remove_file(&fresh);
        let listener = UnixListener::bind(&fresh).map_err(failed)?;
        fs::set_permissions(&fresh, Permissions::from_mode(MODE)).map_err(failed)?;
        let metadata = fs::symlink_metadata(&fresh).map_err(failed)?;
        fs::rename(&fresh, path).map_err(failed)?;
        Ok(Self { path: path.to_owned(), inode: (metadata.dev(), metadata.ino()), listener, _lock: lock })
    }

    /// The socket's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A listener that does not block, for the runtime.
    ///
    /// # Errors
    /// No descriptor is left.
    pub fn listener(&self) -> io::Result<UnixListener> {
        let listener = self.listener.try_clone()?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    }

    /// Removes the socket's file, if it still is ours.
    pub fn remove(&self) {
        if fs::symlink_metadata(&self.path).is_ok_and(|found| (found.dev(), found.ino()) == self.inode) {
            // Gone already is as good.
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        self.remove();
    }
}

/// Makes the folder of `path` if it is missing, and refuses one under a shared folder that is another user's.
fn make_folder(path: &Path) -> Result<(), ControlError> {
    let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) else { return Ok(()) };
    match DirBuilder::new().mode(FOLDER_MODE).create(folder) {
        Ok(()) => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(cause) => return Err(ControlError::Io { path: path.to_owned(), cause }),
    }
    if is_foreign(folder) { Err(ControlError::Foreign(folder.to_owned())) } else { Ok(()) }
}

/// Whether a folder stands in one where anybody may make one, such as `/tmp`, and is not the calling user's or root's;
/// or is one that we would have made, and open to others. Whoever asks there may be answered by anybody.
pub(super) fn is_foreign(folder: &Path) -> bool {
    const OTHERS_WRITE: u32 = 0o002;
    const GROUP_OR_OTHERS_WRITE: u32 = 0o022;
    let above = folder.parent().and_then(|above| fs::metadata(above).ok());
    if above.is_none_or(|above| above.mode() & OTHERS_WRITE == 0) {
        return false;
    }
    // The owner of this entry is the user that the process runs as.
    let user = fs::metadata("/proc/self").map_or(0, |metadata| metadata.uid());
    // Who may write in a folder of another name is for its owner to say.
    let is_default = folder.file_name().is_some_and(|name| name.as_bytes().starts_with(b"fated-"));
    let is_closed = |found: &fs::Metadata| !is_default || found.mode() & GROUP_OR_OTHERS_WRITE == 0;
    let is_ours = |found: fs::Metadata| found.is_dir() && [user, 0].contains(&found.uid()) && is_closed(&found);
    // A link is no folder: it may lead elsewhere the next time.
    fs::symlink_metadata(folder).is_ok_and(|found| !is_ours(found))
}

/// `path` with a few octets behind it.
fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut text = path.as_os_str().to_owned();
    text.push(suffix);
    text.into()
}

/// Who, where that is known.
fn pid_text(pid: Option<u32>) -> String {
    pid.map_or_else(String::new, |pid| format!(" ({pid})"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::client::{AskError, Client};

    #[test]
    fn a_claimed_socket_is_for_owner_and_group_and_gone_after_the_end() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("made/control.sock");
        let socket = ControlSocket::claim(&path).expect("free");
        assert_eq!(fs::metadata(&path).expect("it is there").permissions().mode() & 0o777, MODE);
        UnixStream::connect(&path).expect("somebody listens");
        drop(socket);
        assert!(!path.exists());
    }

    #[test]
    fn a_held_socket_is_refused_and_stays() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("control.sock");
        let _held = ControlSocket::claim(&path).expect("free");
        let error = ControlSocket::claim(&path).expect_err("held");
        assert!(matches!(&error, ControlError::Held { pid, .. } if *pid == Some(std::process::id())), "{error}");
        UnixStream::connect(&path).expect("it still listens");
    }

    #[test]
    fn a_foreign_listener_is_held_too() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("control.sock");
        let _other = UnixListener::bind(&path).expect("binds");
        assert!(matches!(ControlSocket::claim(&path), Err(ControlError::Held { pid: None, .. })));
    }

    #[test]
    fn a_stale_socket_is_taken_over() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("control.sock");
        drop(UnixListener::bind(&path).expect("binds"));
        assert!(path.exists());
        let _ours = ControlSocket::claim(&path).expect("nobody listens");
        UnixStream::connect(&path).expect("now somebody does");
    }

    #[test]
    fn a_folder_that_is_not_ours_alone_is_trusted_by_neither_side() {
        let top = tempfile::tempdir().expect("a folder");
        let shared = top.path().join("tmp");
        fs::create_dir(&shared).expect("a folder");
        fs::set_permissions(&shared, Permissions::from_mode(0o1777)).expect("sets the mode");
        let folder = shared.join("fated-1000");
        let path = folder.join("control.sock");
        drop(ControlSocket::claim(&path).expect("the folder is made"));
        let _ours = ControlSocket::claim(&path).expect("the folder is ours");
        assert!(Client::connect(&path).is_ok());
        let is_refused = |what: &str| {
            assert!(matches!(ControlSocket::claim(&path), Err(ControlError::Foreign(_))), "{what}");
            assert!(matches!(Client::connect(&path), Err(AskError::Foreign(_))), "{what}");
        };
        for mode in [0o777, 0o770, 0o702] {
            fs::set_permissions(&folder, Permissions::from_mode(mode)).expect("sets the mode");
            is_refused("others may write in it");
        }
        fs::set_permissions(&folder, Permissions::from_mode(0o700)).expect("sets the mode");
        match std::os::unix::fs::chown(&folder, Some(4711), None) {
            Ok(()) => is_refused("it is another user's"),
            Err(_) => eprintln!("SKIPPED in part: this user can't give a folder away"),
        }
        fs::rename(&folder, top.path().join("elsewhere")).expect("renames");
        std::os::unix::fs::symlink(top.path().join("elsewhere"), &folder).expect("a link");
        is_refused("it is a link");
    }

    #[test]
    fn what_is_no_socket_and_what_is_too_long_is_left_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("control.sock");
        fs::write(&path, "precious").expect("writes");
        assert!(matches!(ControlSocket::claim(&path), Err(ControlError::NotASocket(_))));
        assert_eq!(fs::read(&path).expect("reads"), b"precious");
        let long = folder.path().join("x".repeat(120));
        assert!(matches!(ControlSocket::claim(&long), Err(ControlError::TooLong(_))));
        assert!(matches!(ControlSocket::claim(Path::new("/nonexistent/a/b")), Err(ControlError::Io { .. })));
    }
}
