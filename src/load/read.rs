//! Many zone files at once: a bounded number of threads, each file's faults made ready to be shown.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use super::files::{DiskFiles, FileStamps};
use super::list::Listed;
use super::memory::{Budget, Reservation};
use super::registry::ZoneRecord;
use super::thread_pool::ThreadPool;
use crate::config::ZoneSources;
use crate::fault::report::{self, Style};
use crate::fault::{Faults, Sources};
use crate::zone::Zone;
use crate::zone::hash::Seed;
use crate::zonebuild::{Executor, check_digest};
use crate::zonefile::{self, ZoneFile};

/// What became of one file.
#[derive(Debug)]
pub(super) struct Outcome {
    /// The zone, unless the file has errors.
    pub(super) zone: Option<Arc<Zone>>,
    /// Errors.
    pub(super) error_count: usize,
    /// Warnings.
    pub(super) warning_count: usize,
    /// All faults as people read them; empty where there is none.
    pub(super) faults: String,
    /// The files that were read.
    pub(super) stamps: FileStamps,
}

/// A file to be read, and what is served of it until then.
pub(super) type Job = (Listed, Option<Arc<ZoneRecord>>);

/// How files are read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Means<'a> {
    /// The key of the name hash, which all zones share.
    pub(super) seed: Seed,
    /// How faults are shown.
    pub(super) style: Style,
    /// Whether warnings are taken for errors.
    pub(super) is_strict: bool,
    /// Where they come from, what they may include and how much they may take.
    pub(super) sources: &'a ZoneSources,
}

/// Reads the files, one outcome for each, in the same order.
pub(super) fn read_all(files: &[Job], means: Means<'_>) -> Vec<Outcome> {
    let (threads, budget) = (ThreadPool::new(), Budget::new(Path::new("/")));
    let outcomes: Vec<OnceLock<Outcome>> = files.iter().map(|_| OnceLock::new()).collect();
    threads.run(files.len(), &|index| {
        let (listed, before) = &files[index];
        let before = before.as_deref();
        let outcome = catch_unwind(AssertUnwindSafe(|| match reserve(&budget, path_of(listed), before) {
            Ok(memory) => {
                read(listed, before.and_then(|record| record.zone()).map(|zone| &**zone), memory, &threads, means)
            }
            Err(why) => refused(listed, &why),
        }));
        // Nobody else has the number.
        let _is_first = outcomes[index]
            .set(outcome.unwrap_or_else(|_| refused(listed, "reading it failed inside fated; please report it")));
    });
    outcomes.into_iter().map(|slot| slot.into_inner().expect("each number is worked on")).collect()
}

/// The file that is read.
fn path_of(listed: &Listed) -> &Path {
    listed.source.path().expect("what comes from primaries is not read")
}

/// Reads one file, within what was set apart for it.
fn read(
    file: &Listed,
    previous: Option<&Zone>,
    memory: Option<Reservation<'_>>,
    threads: &dyn Executor,
    means: Means<'_>,
) -> Outcome {
    let Means { seed, style, is_strict, sources: zones } = means;
    let path = path_of(file);
    let mut disk = DiskFiles::new(path, &zones.include_dirs, zones.limits.octets_max).within(memory);
    let transfers = zones.transfers_of(file.name.as_ref());
    let faults = Faults::new(is_strict).for_peers(!transfers.allow_transfer.is_empty());
    let (mut sources, mut faults) = (Sources::default(), faults);
    let zone_file = ZoneFile { path, name: file.name.as_ref(), seed, previous, limits: zones.limits, now: seconds() };
    let zone = zonefile::load(&zone_file, &mut disk, threads, &mut sources, &mut faults);
    if let Some(zone) = &zone {
        check_digest(zone, transfers.zonemd, &mut faults);
    }
    let zone = zone.filter(|_| faults.error_count() == 0);
    let mut shown = String::new();
    if faults.error_count() + faults.warning_count() > 0 {
        sources.recall(|path| disk.read_again(path));
        report::write(&faults, &sources, style, &mut shown);
    }
    Outcome {
        zone: zone.map(Arc::new),
        error_count: faults.error_count(),
        warning_count: faults.warning_count(),
        faults: shown,
        stamps: disk.into_stamps(),
    }
}

/// The time as signatures count it: seconds since 1970 modulo 2^32.
fn seconds() -> u32 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs() as u32)
}

/// Reserves memory for a file and for what was included at the last reading. For one that can't be looked at, none: to
/// read it says why. What it includes for the first time is known only then, and more is reserved for that
/// ([`DiskFiles::within`]).
///
/// # Errors
/// Why it is not to be read.
fn reserve<'a>(
    budget: &'a Budget,
    path: &Path,
    before: Option<&ZoneRecord>,
) -> Result<Option<Reservation<'a>>, String> {
    let Ok(metadata) = fs::metadata(path) else { return Ok(None) };
    let size = metadata.len();
    if metadata.is_file()
        && size > SPARSE_BYTES_MIN
        && metadata.blocks().saturating_mul(BLOCK_BYTES * SPARSE_MIN) < size
    {
        return Err(format!("it is no zone file, but nearly nothing on {size} octets: a sparse file"));
    }
    let known = before.map_or(0, |record| record.stamps.size());
    budget.reserve(size.max(known)).map(Some).map_err(|short| short.to_string())
}

/// From so many octets on a file is looked at for holes: those of a small one are read as the NULs that they are.
const SPARSE_BYTES_MIN: u64 = 64 << 20;
/// A file that is so many times as long as what the disk holds of it is sparse: no file system compresses text so well.
const SPARSE_MIN: u64 = 256;
/// The unit in which the system counts what the disk holds.
const BLOCK_BYTES: u64 = 512;

/// What is said of a file that was not read, or not to the end: no reason to take other zones down.
fn refused(file: &Listed, why: &str) -> Outcome {
    let faults = format!("error: {}: {why}\n", file.source);
    Outcome { zone: None, error_count: 1, warning_count: 0, faults, stamps: FileStamps::default() }
}
