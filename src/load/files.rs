//! Files on disk as the zone reader takes them, each remembered as it was when it was read.
//!
//! Regular files only, and those that another file includes only from the folder of the zone's own file and below, or
//! from below the folders that the configuration names: who writes a zone file need not be somebody who may read the
//! host.

use std::fs::{self, File, FileType, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::memory::Reservation;
use crate::fault::FileError;
use crate::zonefile::Files;

/// The most octets of a file whose length the file system does not say. Such files may have no end at all.
pub const UNSIZED_BYTES_MAX: u64 = 64 << 20;
/// How long a file must have been at rest before it was read for its stamp to be trusted: two writes within one tick
/// of the file system's clock can't be distinguished, and network file systems tick in seconds.
const REST_MIN: Duration = Duration::from_secs(2);
/// The most octets that are read in one call: a kernel that does not interrupt itself lets nobody else on the CPU
/// meanwhile.
const PIECE_BYTES_MAX: u64 = 128 << 10;

/// What distinguishes one state of a file from another without reading it.
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
pub struct FileStamps(Arc<[Seen]>);

impl FileStamps {
    /// The octets of all of them together.
    pub(super) fn size(&self) -> u64 {
        self.0.iter().filter_map(|seen| seen.stamp).fold(0, |sum, stamp| stamp.size.saturating_add(sum))
    }

    /// Whether every file is what it was when it was read. Reads no file, only what the file system says of it.
    pub fn are_unchanged(&self) -> bool {
        !self.0.is_empty()
            && self.0.iter().all(|seen| {
                let now = fs::metadata(&seen.path).ok().map(|metadata| Stamp::of(&metadata));
                seen.is_settled && now == seen.stamp
            })
    }
}

/// Reads from the file system and notes what was read.
#[derive(Debug)]
pub struct DiskFiles<'a> {
    seen: Vec<Seen>,
    inclusion: Inclusion<'a>,
    /// The most octets of one file.
    bytes_max: u64,
    /// What is set apart for the zone; `None` where nobody asked for memory.
    memory: Option<Reservation<'a>>,
    /// Octets of the files that were read.
    text_bytes: u64,
}

/// Where files may be included from.
#[derive(Clone, Copy, Debug)]
struct Inclusion<'a> {
    /// The zone's own file, in whose folder and below.
    zone_file: &'a Path,
    /// Other folders.
    include_dirs: &'a [PathBuf],
}

impl<'a> DiskFiles<'a> {
    /// For a zone in `zone_file` that may include from `include_dirs` too, with files of at most `bytes_max` octets.
    pub fn new(zone_file: &'a Path, include_dirs: &'a [PathBuf], bytes_max: u64) -> Self {
        let inclusion = Inclusion { zone_file, include_dirs };
        Self { seen: Vec::new(), inclusion, bytes_max, memory: None, text_bytes: 0 }
    }

    /// Holds what was set apart for the zone, and asks for more before anything is read for which that is too little.
    pub(super) fn within(self, memory: Option<Reservation<'a>>) -> Self {
        Self { memory, ..self }
    }

    /// The octets of a file that was read, if it is what it was then.
    pub(super) fn read_again(&self, path: &Path) -> Option<Vec<u8>> {
        let (stamp, octets) = read(path, self.bytes_max, |_| Ok(())).ok()?;
        self.seen.iter().any(|seen| seen.path == path && seen.stamp == Some(stamp)).then_some(octets)
    }

    /// What was read.
    pub fn into_stamps(self) -> FileStamps {
        FileStamps(self.seen.into())
    }

    /// Reads a file that `judge` has nothing against.
    fn read_judged(
        &mut self,
        path: &Path,
        judge: impl FnOnce(&Metadata) -> Result<(), FileError>,
    ) -> Result<Vec<u8>, FileError> {
        let now = SystemTime::now();
        let (memory, text_bytes) = (&mut self.memory, &mut self.text_bytes);
        let result = read(path, self.bytes_max, |opened| {
            judge(opened)?;
            *text_bytes = text_bytes.saturating_add(opened.len());
            Ok(memory.as_mut().map_or(Ok(()), |memory| memory.extend(*text_bytes))?)
        });
        let stamp = match &result {
            Ok((stamp, _)) => Some(*stamp),
            // Remembered as it is, so that the next reload sees when it is repaired.
            Err(_) => fs::metadata(path).ok().map(|metadata| Stamp::of(&metadata)),
        };
        // Where there was no memory for it there may be some at the next reload.
        let is_short = matches!(result, Err(FileError::NoMemory { .. }));
        let is_settled = !is_short && stamp.is_none_or(|stamp| is_at_rest(&stamp, now));
        if !self.seen.iter().any(|seen| seen.path == path && seen.stamp == stamp) {
            self.seen.push(Seen { path: path.to_owned(), stamp, is_settled });
        }
        result.map(|(_, octets)| octets)
    }
}

impl Inclusion<'_> {
    /// Whether a file that is open and has that metadata may be included as `path`. Links are followed before it is
    /// judged; what was opened must be what the path leads to now, so that nobody can exchange one for the other.
    fn judge(self, path: &Path, opened: Option<&Metadata>) -> Result<(), FileError> {
        let folder = self.zone_file.parent().filter(|folder| !folder.as_os_str().is_empty());
        let roots =
            [folder.unwrap_or(Path::new("."))].into_iter().chain(self.include_dirs.iter().map(PathBuf::as_path));
        let real = path.ancestors().find_map(|above| fs::canonicalize(above).ok()).unwrap_or_default();
        let is_inside = roots.filter_map(|root| fs::canonicalize(root).ok()).any(|root| real.starts_with(root));
        let is_there = |opened: &Metadata| {
            fs::metadata(&real).is_ok_and(|now| (now.dev(), now.ino()) == (opened.dev(), opened.ino()))
        };
        if is_inside && opened.is_none_or(is_there) { Ok(()) } else { Err(FileError::Outside) }
    }
}

impl Files for DiskFiles<'_> {
    fn read(&mut self, path: &Path) -> Result<Vec<u8>, FileError> {
        self.read_judged(path, |_| Ok(()))
    }

    fn include(&mut self, path: &Path) -> Result<Vec<u8>, FileError> {
        // Nothing is said of what is not to be included, not even whether it is there.
        let inclusion = self.inclusion;
        inclusion.judge(path, None)?;
        self.read_judged(path, |opened| inclusion.judge(path, Some(opened)))
    }
}

/// Whether the last write was long enough before `now`.
fn is_at_rest(stamp: &Stamp, now: SystemTime) -> bool {
    let seconds = u64::try_from(stamp.modified.0).unwrap_or(0);
    let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    now.duration_since(modified).is_ok_and(|rest| rest > REST_MIN)
}

/// Reads a whole regular file; a pipe or a device would hang or never end. `judge` sees what was opened.
fn read(
    path: &Path,
    bytes_max: u64,
    judge: impl FnOnce(&Metadata) -> Result<(), FileError>,
) -> Result<(Stamp, Vec<u8>), FileError> {
    // Some devices do something when they are opened: so what is none is found before, and again where it was
    // exchanged.
    check_kind(fs::metadata(path).map_err(file_error)?.file_type())?;
    let file =
        OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path).map_err(file_error)?;
    let metadata = file.metadata()?;
    check_kind(metadata.file_type())?;
    judge(&metadata)?;
    // What is appended meanwhile is left for the next reload, so that the stamp is that of these octets; and the end
    // need not be looked for. Some file systems do not say how long a file is.
    let (length, is_sized) = (metadata.len(), metadata.len() > 0);
    let max = if is_sized { bytes_max } else { bytes_max.min(UNSIZED_BYTES_MAX) };
    if length > max {
        return Err(FileError::TooLong { max });
    }
    let octets = read_octets(file, if is_sized { length } else { max + 1 }, length)?;
    if octets.len() as u64 > max { Err(FileError::TooLong { max }) } else { Ok((Stamp::of(&metadata), octets)) }
}

/// Reads at most `bytes` octets, of which `expected` are thought to be there.
fn read_octets(file: File, bytes: u64, expected: u64) -> Result<Vec<u8>, FileError> {
    let mut octets = Vec::new();
    let capacity = usize::try_from(expected).map_err(|_| FileError::TooLong { max: usize::MAX as u64 })?;
    octets.try_reserve_exact(capacity).map_err(|_| io::ErrorKind::OutOfMemory)?;
    let mut rest = file.take(bytes);
    while rest.by_ref().take(PIECE_BYTES_MAX).read_to_end(&mut octets)? > 0 {}
    Ok(octets)
}

/// Refuses what is no regular file.
fn check_kind(kind: FileType) -> Result<(), FileError> {
    match () {
        () if kind.is_file() => Ok(()),
        () if kind.is_dir() => Err(FileError::Directory),
        () if kind.is_fifo() => Err(FileError::Pipe),
        () if kind.is_socket() => Err(FileError::Socket),
        () => Err(FileError::Device),
    }
}

/// What the system says, a circle of links by its name.
fn file_error(error: io::Error) -> FileError {
    if error.raw_os_error() == Some(libc::ELOOP) { FileError::LinkLoop } else { error.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::memory::Budget;

    /// Files of a zone in that file.
    fn files_of(path: &Path) -> DiskFiles<'_> {
        DiskFiles::new(path, &[], u64::MAX)
    }

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
        let mut files = files_of(&path);
        assert_eq!(files.read(&path).expect("reads"), b"one");
        assert_eq!(files.read_again(&path).as_deref(), Some(&b"one"[..]));
        fs::write(&path, "two").expect("writes");
        assert_eq!(files.read_again(&path), None);
        let mut files = files_of(&path);
        rested(&path);
        assert_eq!(files.read(&path).expect("reads"), b"two");
        let stamps = files.into_stamps();
        assert!(stamps.are_unchanged());
        fs::write(&path, "one").expect("writes");
        assert!(!stamps.are_unchanged());
    }

    #[test]
    fn a_file_that_was_written_just_now_is_read_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.zone");
        fs::write(&path, "one").expect("writes");
        let mut files = files_of(&path);
        files.read(&path).expect("reads");
        assert!(!files.into_stamps().are_unchanged());
    }

    #[test]
    fn what_is_included_for_the_first_time_is_read_only_where_there_is_memory_for_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        fs::create_dir(path("proc")).expect("a folder");
        fs::write(path("proc/meminfo"), format!("MemAvailable: {} kB\n", 64 << 10)).expect("writes");
        for (name, bytes) in [("a.zone", 1), ("good", 1 << 20), ("big", 100 << 20)] {
            File::create(path(name)).and_then(|file| file.set_len(bytes)).expect("writes");
            rested(&path(name));
        }
        let (budget, zone_file) = (Budget::new(folder.path()), path("a.zone"));
        let mut files = files_of(&zone_file).within(Some(budget.reserve(1).expect("there is some")));
        files.read(&zone_file).expect("it was asked for");
        assert_eq!(files.include(&path("good")).expect("there is memory for it").len(), 1 << 20);
        let short = files.include(&path("big")).expect_err("there is none for that");
        assert!(matches!(short, FileError::NoMemory { needed: 300.., left: 20..33, .. }), "{short}");
        assert!(!files.into_stamps().are_unchanged(), "it is tried again at the next reload");
        budget.reserve(8 << 20).expect("what was set apart came back");
    }

    #[test]
    fn a_missing_file_that_appears_is_a_change() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.zone");
        let mut files = files_of(&path);
        assert_eq!(files.read(&path).expect_err("no file"), FileError::Missing);
        let stamps = files.into_stamps();
        assert!(stamps.are_unchanged());
        fs::write(&path, "one").expect("writes");
        assert!(!stamps.are_unchanged());
    }

    #[test]
    fn folders_and_devices_are_no_zone_files() {
        let mut files = files_of(Path::new(""));
        assert_eq!(files.read(Path::new("/")).expect_err("a folder"), FileError::Directory);
        assert_eq!(files.read(Path::new("/dev/zero")).expect_err("a device"), FileError::Device);
    }
}
