//! A zone file → the zone in it.

use std::path::Path;

use super::{Files, Limits, MasterFile, read_zone};
use crate::fault::{Faults, Sources};
use crate::wire::NameRef;
use crate::zone::Zone;
use crate::zone::hash::Seed;
use crate::zonebuild::{Builder, Executor, Plan};

/// A zone file, and what the zone in it is to be.
pub struct ZoneFile<'a> {
    /// The file.
    pub path: &'a Path,
    /// The zone's name, and the initial origin.
    pub name: NameRef<'a>,
    /// The key of the name hash, which all zones of a [`crate::zone::ZoneSet`] share.
    pub seed: Seed,
    /// The version before, loaded with the same seed: what is as it was is shared with it.
    pub previous: Option<&'a Zone>,
    /// How much it may take.
    pub limits: Limits,
    /// The time in seconds since 1970, modulo 2^32, as signatures count it (RFC 4034 §3.1.5).
    pub now: u32,
}

/// Reads a zone file and makes the zone, unless it has errors; the zone is the same with any executor.
///
/// All faults, errors and warnings, go to `faults`; `sources` keeps the files' octets to show them, those of big files
/// until [`Sources::recall`] only by their paths.
pub fn load(
    file: &ZoneFile<'_>,
    files: &mut dyn Files,
    executor: &dyn Executor,
    sources: &mut Sources,
    faults: &mut Faults,
) -> Option<Zone> {
    let mut builder = Builder::new(file.seed);
    let master = MasterFile { path: file.path, origin: file.name, limits: file.limits };
    read_zone(files, master, executor, sources, faults, &mut builder);
    sources.forget();
    // What an entry says that could not be read may be just what a warning about the zone would miss. Errors about the
    // zone hold whatever else is in it.
    faults.hold_back_warnings_behind_errors();
    builder.finish(Plan { name: file.name, previous: file.previous, now: file.now }, executor, faults)
}
