//! Files beside the configuration: what holds a secret is read only where nobody else may.

use std::fs::{self, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

/// Whether others than its owner may read and write a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Secrecy {
    /// They may.
    Public,
    /// They must not.
    Secret,
}

/// What nobody but the owner of a secret should be allowed: to read and to write it.
const MODE_OF_OTHERS: u32 = 0o066;

/// Why a file can't be had.
#[derive(Debug, thiserror::Error)]
pub(super) enum FileError {
    #[error("it can't be read: {0}")]
    Io(#[from] io::Error),
    #[error("it is no regular file")]
    Kind,
    #[error("its mode is {0:04o}, so others than its owner may read or write it; `chmod 600` makes it right")]
    Mode(u32),
    #[error("it is longer than {0} octets")]
    TooLong(u64),
}

/// Reads a regular file of at most `octets_max` octets.
///
/// # Errors
/// [`FileError`].
pub(super) fn read_file(path: &Path, secrecy: Secrecy, octets_max: u64) -> Result<Vec<u8>, FileError> {
    // What is no file may do something when it is opened, and may be exchanged for one meanwhile.
    if !fs::metadata(path)?.is_file() {
        return Err(FileError::Kind);
    }
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(FileError::Kind);
    }
    if secrecy == Secrecy::Secret && metadata.mode() & MODE_OF_OTHERS != 0 {
        return Err(FileError::Mode(metadata.mode() & 0o7777));
    }
    let mut text = Vec::new();
    file.take(octets_max + 1).read_to_end(&mut text)?;
    if text.len() as u64 > octets_max {
        return Err(FileError::TooLong(octets_max));
    }
    Ok(text)
}
