//! The state folder's lock, and the server's state in the words of the control socket.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use super::{DaemonError, reloader};
use crate::admin::reply;
use crate::load::Entry;
use crate::metrics::Sample;
use crate::sys::lock::FileLock;

/// The file in the state folder that is locked.
const LOCK_FILE: &str = "lock";
/// Who may enter a state folder that is made.
const FOLDER_MODE: u32 = 0o750;

/// Makes the state folder if only that is missing, and locks it for this process.
pub(super) fn lock(folder: &Path) -> Result<FileLock, DaemonError> {
    let failed = |cause| DaemonError::State { path: folder.to_owned(), cause };
    match DirBuilder::new().mode(FOLDER_MODE).create(folder) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(failed(error.into())),
    }
    FileLock::acquire(&folder.join(LOCK_FILE)).map_err(failed)
}

/// The status of a server that serves nothing yet.
pub(super) fn empty(workers: usize, drained: bool) -> reply::Status {
    reply::Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        uptime_s: 0,
        listen: Vec::new(),
        workers,
        zones: Vec::new(),
        ready: reply::Readiness::judge(0, drained, None),
        drained,
        anycast: None,
        last_reload: None,
        control_plane: reply::ControlPlane::default(),
        counters: Vec::new(),
    }
}

/// One zone file as status tells it.
pub(super) fn zone(entry: &Entry) -> reply::Zone {
    let state = match (entry.is_broken, &entry.zone) {
        (false, _) => reply::State::Served,
        (true, Some(_)) => reply::State::Kept,
        (true, None) => reply::State::Refused,
    };
    let zone = entry.zone.as_ref();
    reply::Zone {
        name: entry.name().to_string(),
        file: entry.listed.path.display().to_string(),
        state,
        serial: zone.map(|zone| zone.serial()),
        records: zone.map_or(0, |zone| zone.record_count()),
        names: zone.map_or(0, |zone| zone.name_count()),
        signed: zone.is_some_and(|zone| zone.is_signed()),
        // A clock that was set back makes the age unknown, not wrong.
        age_s: zone.and_then(|_| entry.loaded_at.elapsed().ok()).map(|age| age.as_secs()),
        errors: entry.error_count,
        warnings: entry.warning_count,
        faults: reloader::cut(&entry.faults),
    }
}

/// One counter as status tells it: labels in the style of Prometheus.
pub(super) fn counter(sample: &Sample) -> reply::Counter {
    let labels: Vec<String> = sample.labels.iter().map(|(key, value)| format!("{key}=\"{value}\"")).collect();
    let name =
        if labels.is_empty() { sample.name.to_owned() } else { format!("{}{{{}}}", sample.name, labels.join(",")) };
    reply::Counter { name, value: sample.value }
}
