//! The state folder: its lock, and how files in it are written.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use crate::sys::lock::{FileLock, LockError};
use crate::wire::Shown;

/// The file in the state folder that is locked.
const LOCK_FILE: &str = "lock";
/// Who may enter a state folder that is made.
const FOLDER_MODE: u32 = 0o750;
/// Who may read and write a file that is made in it.
const FILE_MODE: u32 = 0o640;

/// Makes the state folder if only that is missing, and locks it for this process. A disk that is full, read-only or
/// gone is no reason not to serve: then there is no lock, and that is logged.
///
/// # Errors
/// Where another server has it, and in all cases where `is_strict`.
pub(super) fn lock(folder: &Path, is_strict: bool) -> Result<Option<FileLock>, LockError> {
    let made = match DirBuilder::new().mode(FOLDER_MODE).create(folder) {
        Err(error) if !folder.is_dir() => Err(error.into()),
        Ok(()) | Err(_) => FileLock::acquire(&folder.join(LOCK_FILE)),
    };
    match made {
        Ok(lock) => Ok(Some(lock)),
        Err(cause @ LockError::Io(_)) if !is_strict => {
            let folder = Shown::path(folder);
            tracing::error!(
                "the state folder {folder} can't be used: {cause}; served without it: a second server here goes \
                 unnoticed, and nothing outlives a restart"
            );
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Writes a file of the state folder anew, whole or not at all, and hands it to `finish` before it takes its name.
///
/// Nobody's link is written through, whoever may write in the folder.
///
/// # Errors
/// What the system, or `finish`, says.
pub(super) fn write_whole(
    folder: &Path,
    file: &str,
    octets: &[u8],
    finish: impl FnOnce(&File) -> io::Result<()>,
) -> io::Result<()> {
    let fresh = folder.join(format!("{file}.new"));
    // One that a crash left behind.
    match fs::remove_file(&fresh) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut written = OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(&fresh)?;
    written.write_all(octets)?;
    finish(&written)?;
    fs::rename(&fresh, folder.join(file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_the_state_folder_takes_the_place_of_links_and_leaves_what_they_lead_to() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        fs::write(path("precious"), "precious").expect("writes");
        let links: [fn(&Path, &Path) -> io::Result<()>; 2] =
            [|from, to| fs::hard_link(from, to), |from, to| std::os::unix::fs::symlink(from, to)];
        for link in links {
            for name in ["file.new", "file"] {
                let _none_before = fs::remove_file(path(name));
                link(&path("precious"), &path(name)).expect("a link");
            }
            write_whole(folder.path(), "file", b"new", |_| Ok(())).expect("writes");
            assert_eq!(fs::read_to_string(path("file")).expect("there"), "new");
            assert_eq!(fs::read_to_string(path("precious")).expect("there"), "precious");
            assert!(!path("file.new").exists());
        }
    }
}
