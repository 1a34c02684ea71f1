//! Files on disk as the zone reader takes them, each remembered as it was when it was read.

use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::zone::reader::Files;

/// The most octets of one zone file.
pub const FILE_BYTES_MAX: u64 = 64 << 30;
/// How long a file must have been at rest before it was read for its stamp to be trusted: two writes within one tick
/// of the file system's clock can't be told apart, and network file systems tick in seconds.
const REST_MIN: Duration = Duration::from_secs(2);
/// The most octets that are read in one call: a kernel that does not interrupt itself lets nobody else on the CPU meanwhile.
const PIECE_BYTES_MAX: u64 = 128 << 10;

/// What tells one state of a file from another without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Octets.
    size: u64,
    /// Time of the last write, in seconds and nanoseconds.
    modified: (i64, i64),
    /// Time of the last change of the inode.
    changed: (i64, i64),
    /// Device and inode.
    inode: (u64, u64),
}

impl Stamp {
    /// The stamp of a file.
    fn of(metadata: &Metadata) -> Self {
        Self {
            size: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
            inode: (metadata.dev(), metadata.ino()),
        }
    }
}

/// A file that was read, or was tried to be.
#[derive(Clone, Debug)]
struct Seen {
    path: PathBuf,
    /// `None`: there was none.
    stamp: Option<Stamp>,
    /// Whether the file had been at rest, so that an equal stamp means equal octets.
    is_settled: bool,
}

/// The files that one zone was read from. Copies share what they hold.
#[derive(Clone, Debug, Default)]
pub struct Witnesses(Arc<[Seen]>);

impl Witnesses {
    /// Whether every file is what it was when it was read. Reads no file, only what the file system says of it.
    pub fn are_unchanged(&self) -> bool {
        !self.0.is_empty()
            && self.0.iter().all(|seen| {
                let now = fs::metadata(&seen.path).ok().map(|metadata| Stamp::of(&metadata));
                seen.is_settled && now == seen.stamp
            })
    }
}

/// Reads from the file system and takes down what was read.
#[derive(Clone, Debug, Default)]
pub struct DiskFiles {
    seen: Vec<Seen>,
}

impl DiskFiles {
    /// The octets of a file that was read, if it is what it was then.
    pub(super) fn read_again(&self, path: &Path) -> Option<Vec<u8>> {
        let (stamp, octets) = read(path).ok()?;
        self.seen.iter().any(|seen| seen.path == path && seen.stamp == Some(stamp)).then_some(octets)
    }

    /// What was read.
    pub fn into_witnesses(self) -> Witnesses {
        Witnesses(self.seen.into())
    }
}

impl Files for DiskFiles {
    fn read(&mut self, path: &Path) -> io::Result<Vec<u8>> {
        let now = SystemTime::now();
        let result = read(path);
        let stamp = match &result {
            Ok((stamp, _)) => Some(*stamp),
            // Remembered as it is, so that the next reload sees when it is repaired.
            Err(_) => fs::metadata(path).ok().map(|metadata| Stamp::of(&metadata)),
        };
        let is_settled = stamp.is_none_or(|stamp| is_at_rest(&stamp, now));
        if !self.seen.iter().any(|seen| seen.path == path && seen.stamp == stamp) {
            self.seen.push(Seen { path: path.to_owned(), stamp, is_settled });
        }
        result.map(|(_, octets)| octets)
    }
}

/// Whether the last write was long enough before `now`.
fn is_at_rest(stamp: &Stamp, now: SystemTime) -> bool {
    let seconds = u64::try_from(stamp.modified.0).unwrap_or(0);
    let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    now.duration_since(modified).is_ok_and(|rest| rest > REST_MIN)
}

/// Reads a whole regular file; a pipe or a device would hang or never end.
fn read(path: &Path) -> io::Result<(Stamp, Vec<u8>)> {
    check_kind(&fs::metadata(path)?)?;
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    check_kind(&metadata)?;
    let mut octets = Vec::new();
    let capacity = usize::try_from(metadata.len()).map_err(|_| io::ErrorKind::FileTooLarge)?;
    octets.try_reserve_exact(capacity).map_err(|_| io::ErrorKind::OutOfMemory)?;
    // What is appended meanwhile is left for the next reload, so that the stamp is that of these octets; and the end need
    // not be looked for. Some file systems do not say how long a file is.
    let bytes_max = if metadata.len() > 0 { metadata.len() } else { FILE_BYTES_MAX };
    let mut rest = file.take(bytes_max);
    while rest.by_ref().take(PIECE_BYTES_MAX).read_to_end(&mut octets)? > 0 {}
    Ok((Stamp::of(&metadata), octets))
}

/// Refuses what is no regular file, and what is too long.
fn check_kind(metadata: &Metadata) -> io::Result<()> {
    match () {
        () if metadata.is_dir() => Err(io::Error::new(io::ErrorKind::IsADirectory, "it is a folder, not a file")),
        () if !metadata.is_file() => Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file")),
        () if metadata.len() > FILE_BYTES_MAX => Err(io::ErrorKind::FileTooLarge.into()),
        () => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rested(path: &Path) {
        let file = File::options().write(true).open(path).expect("opens");
        file.set_modified(SystemTime::now() - Duration::from_secs(3600)).expect("sets the time");
    }

    #[test]
    fn an_untouched_file_is_unchanged_and_a_touched_one_is_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.zone");
        fs::write(&path, "one").expect("writes");
        rested(&path);
        let mut files = DiskFiles::default();
        assert_eq!(files.read(&path).expect("reads"), b"one");
        assert_eq!(files.read_again(&path).as_deref(), Some(&b"one"[..]));
        let witnesses = files.clone().into_witnesses();
        assert!(witnesses.are_unchanged());
        fs::write(&path, "two").expect("writes");
        assert_eq!(files.read_again(&path), None);
        assert!(!witnesses.are_unchanged());
    }

    #[test]
    fn a_file_that_was_written_just_now_is_read_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.zone");
        fs::write(&path, "one").expect("writes");
        let mut files = DiskFiles::default();
        files.read(&path).expect("reads");
        assert!(!files.into_witnesses().are_unchanged());
    }

    #[test]
    fn a_missing_file_that_appears_is_a_change() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.zone");
        let mut files = DiskFiles::default();
        assert_eq!(files.read(&path).expect_err("no file").kind(), io::ErrorKind::NotFound);
        let witnesses = files.into_witnesses();
        assert!(witnesses.are_unchanged());
        fs::write(&path, "one").expect("writes");
        assert!(!witnesses.are_unchanged());
    }

    #[test]
    fn folders_and_devices_are_no_zone_files() {
        let mut files = DiskFiles::default();
        assert_eq!(files.read(Path::new("/")).expect_err("a folder").kind(), io::ErrorKind::IsADirectory);
        assert_eq!(files.read(Path::new("/dev/zero")).expect_err("a device").kind(), io::ErrorKind::InvalidInput);
    }
}
