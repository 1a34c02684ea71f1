//! Many zone files at once: a bounded number of threads, each file's faults made ready to be shown.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock};

use super::Entry;
use super::crew::House;
use super::files::{DiskFiles, Witnesses};
use super::list::Listed;
use crate::config::ZoneSources;
use crate::zone::fault::Faults;
use crate::zone::hash::Seed;
use crate::zone::reader::Sources;
use crate::zone::report::{self, Style};
use crate::zone::{self, Crew, Zone, ZoneFile};

/// What became of one file.
#[derive(Debug)]
pub struct Outcome {
    /// The zone, unless the file has errors.
    pub zone: Option<Arc<Zone>>,
    /// Errors.
    pub error_count: usize,
    /// Warnings.
    pub warning_count: usize,
    /// All faults as people read them; empty where there is none.
    pub faults: String,
    /// The files that were read.
    pub witnesses: Witnesses,
}

/// A file to be read, and what is served of it until then.
pub type Job = (Arc<Listed>, Option<Entry>);

/// How files are read.
#[derive(Clone, Copy, Debug)]
pub struct Means<'a> {
    /// The key of the name hash, which all zones share.
    pub seed: Seed,
    /// How faults are shown.
    pub style: Style,
    /// Where they come from, what they may include and how much they may take.
    pub sources: &'a ZoneSources,
}

/// Reads the files, one outcome for each, in the same order.
pub fn read_all(files: &[Job], means: Means<'_>) -> Vec<Outcome> {
    let house = House::new();
    let outcomes: Vec<OnceLock<Outcome>> = files.iter().map(|_| OnceLock::new()).collect();
    house.run(files.len(), &|index| {
        let (listed, before) = &files[index];
        let previous = before.as_ref().and_then(|entry| entry.zone.as_deref());
        let outcome = catch_unwind(AssertUnwindSafe(|| read(listed, previous, &house, means)));
        // Nobody else has the number.
        let _is_first = outcomes[index].set(outcome.unwrap_or_else(|_| panicked(listed)));
    });
    outcomes.into_iter().map(|slot| slot.into_inner().expect("a crew calls with each number")).collect()
}

/// Reads one file.
fn read(file: &Listed, previous: Option<&Zone>, crew: &dyn Crew, means: Means<'_>) -> Outcome {
    let Means { seed, style, sources: ZoneSources { include_dirs, limits, .. } } = means;
    let mut disk = DiskFiles::new(&file.path, include_dirs, limits.octets_max);
    let (mut sources, mut faults) = (Sources::default(), Faults::default());
    let zone_file = ZoneFile { path: &file.path, name: file.name.as_ref(), seed, previous, limits: *limits };
    let zone = zone::load(&zone_file, &mut disk, crew, &mut sources, &mut faults);
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
        witnesses: disk.into_witnesses(),
    }
}

/// What is said of a file that made the reader panic: our fault, but no reason to take other zones down.
fn panicked(file: &Listed) -> Outcome {
    let faults = format!("error: {}: reading this file failed inside fated; please report it\n", file.path.display());
    Outcome { zone: None, error_count: 1, warning_count: 0, faults, witnesses: Witnesses::default() }
}
