//! The state folder's lock, and the server's state in the words of the control socket.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use super::DaemonError;
use super::reloader::{self, Table};
use crate::admin::reply;
use crate::load::Entry;
use crate::metrics::Sample;
use crate::sys::lock::{FileLock, LockError};
use crate::wire::Shown;

/// The file in the state folder that is locked.
const LOCK_FILE: &str = "lock";
/// Who may enter a state folder that is made.
const FOLDER_MODE: u32 = 0o750;

/// Makes the state folder if only that is missing, and locks it for this process. A disk that is full, read-only or gone is no
/// reason not to serve: then there is no lock, and that is told.
///
/// # Errors
/// [`DaemonError::State`] where another server has it, and in all cases where `is_strict`.
pub(super) fn lock(folder: &Path, is_strict: bool) -> Result<Option<FileLock>, DaemonError> {
    let made = match DirBuilder::new().mode(FOLDER_MODE).create(folder) {
        Err(error) if !folder.is_dir() => Err(error.into()),
        Ok(()) | Err(_) => FileLock::acquire(&folder.join(LOCK_FILE)),
    };
    match made {
        Ok(lock) => Ok(Some(lock)),
        Err(cause @ LockError::Io(_)) if !is_strict => {
            let folder = Shown::path(folder);
            tracing::error!(
                "the state folder {folder} can't be used: {cause}; served without it: a second server here goes unnoticed, and \
                 nothing outlives a restart"
            );
            Ok(None)
        }
        Err(cause) => Err(DaemonError::State { path: folder.to_owned(), cause }),
    }
}

/// The status of a server that serves nothing yet.
pub(super) fn empty(workers: usize, drained: bool) -> reply::Status {
    reply::Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        uptime_s: 0,
        listen: Vec::new(),
        workers,
        zone_counts: reply::ZoneCounts::default(),
        zones: Vec::new(),
        ready: reply::Readiness::judge(reply::ZoneCounts::default(), drained, None),
        drained,
        anycast: None,
        last_reload: None,
        control_plane: reply::ControlPlane::default(),
        counters: Vec::new(),
    }
}

/// The zones that status tells one by one: all where they are few, else broken ones before others, in order.
pub(super) fn some_zones(table: &Table) -> Vec<reply::Zone> {
    let count = table.entries.len();
    let mut shown: Vec<usize> = match count <= reply::ZONES_MAX {
        true => (0..count).collect(),
        // So many at the front, broken or not, make up for those that are.
        false => table.broken.iter().copied().chain(0..2 * reply::ZONES_MAX).take(reply::ZONES_MAX).collect(),
    };
    shown.sort_unstable();
    shown.dedup();
    told(shown.into_iter().filter_map(|index| table.entries.get(index)))
}

/// Some zones, from the one on that `from` stand before.
pub(super) fn zone_page(table: &Table, from: usize, zones_max: usize) -> reply::ZonePage {
    let all = table.entries.len();
    let (from, end) = (from.min(all), from.saturating_add(zones_max).min(all));
    reply::ZonePage { all, from, zones: told(table.entries[from..end].iter()), next: (end < all).then_some(end) }
}

/// Zone files as they are told, the faults of all of them together bounded.
fn told<'a>(entries: impl Iterator<Item = &'a Entry>) -> Vec<reply::Zone> {
    let mut room = reloader::FAULTS_ALL_BYTES_MAX;
    entries.map(|entry| reply::Zone { faults: reloader::cut(&entry.faults, &mut room), ..zone(entry) }).collect()
}

/// What is served of a zone file.
pub(super) fn state_of(entry: &Entry) -> reply::State {
    match (entry.is_broken, &entry.zone) {
        (false, _) => reply::State::Served,
        (true, Some(_)) => reply::State::Kept,
        (true, None) => reply::State::Refused,
    }
}

/// One zone file as status tells it, without its faults.
fn zone(entry: &Entry) -> reply::Zone {
    let zone = entry.zone.as_ref();
    reply::Zone {
        name: entry.name().to_string(),
        file: Shown::path(&entry.listed.path).to_string(),
        state: state_of(entry),
        serial: zone.map(|zone| zone.serial()),
        records: zone.map_or(0, |zone| zone.record_count()),
        names: zone.map_or(0, |zone| zone.name_count()),
        signed: zone.is_some_and(|zone| zone.is_signed()),
        // A clock that was set back makes the age unknown, not wrong.
        age_s: zone.and_then(|_| entry.loaded_at.elapsed().ok()).map(|age| age.as_secs()),
        errors: entry.error_count,
        warnings: entry.warning_count,
        faults: String::new(),
    }
}

/// One counter as status tells it: labels in the style of Prometheus.
pub(super) fn counter(sample: &Sample) -> reply::Counter {
    let labels: Vec<String> = sample.labels.iter().map(|(key, value)| format!("{key}=\"{value}\"")).collect();
    let name =
        if labels.is_empty() { sample.name.to_owned() } else { format!("{}{{{}}}", sample.name, labels.join(",")) };
    reply::Counter { name, value: sample.value }
}
