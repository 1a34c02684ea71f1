//! What has to end with this process: process groups and folders, also when it is interrupted.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, Once, PoisonError};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use super::common::interrupt::on_interrupt;
use super::common::server::Process;

/// How long a server may take to stop before it is killed.
const STOP_PATIENCE: Duration = Duration::from_secs(10);
/// What has to be ended should this process be interrupted.
static HELD: Mutex<Held> = Mutex::new(Held { groups: Vec::new(), folders: Vec::new() });

/// The groups and folders that stand.
struct Held {
    /// Leaders of process groups.
    groups: Vec<u32>,
    /// Temporary folders.
    folders: Vec<PathBuf>,
}

/// A child process, with its group, that ends with this value or with the process.
#[derive(Debug)]
pub(crate) struct Child {
    /// The process.
    pub(crate) process: Process,
}

/// A temporary folder that ends with this value or with the process.
#[derive(Debug)]
pub(crate) struct Folder(tempfile::TempDir);

impl Child {
    /// Starts a command as the leader of a new process group.
    pub(crate) fn start(command: &mut Command) -> Self {
        guard();
        // Held while the process is made, so that an interruption comes before or after, not in between.
        let mut held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
        let process = Process::start(command);
        held.groups.push(process.id());
        Self { process }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let id = self.process.id();
        self.process.signal("TERM");
        if self.process.wait(STOP_PATIENCE).is_none() {
            self.process.signal("KILL");
        }
        HELD.lock().unwrap_or_else(PoisonError::into_inner).groups.retain(|group| *group != id);
    }
}

impl Folder {
    /// Makes an empty folder.
    pub(crate) fn new() -> std::io::Result<Self> {
        guard();
        let mut held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
        let folder = tempfile::Builder::new().prefix("fatedspeed-").tempdir()?;
        held.folders.push(folder.path().to_owned());
        Ok(Self(folder))
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // The folder itself goes with the field.
        HELD.lock().unwrap_or_else(PoisonError::into_inner).folders.retain(|path| path != self.0.path());
    }
}

/// Sees to it that an interruption of this process ends what it started. Once.
fn guard() {
    static GUARD: Once = Once::new();
    GUARD.call_once(|| on_interrupt(end_all));
}

/// Ends what this process started.
fn end_all() {
    // Never given back: whoever would start another process waits for the exit.
    let held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
    for group in &held.groups {
        // The group may be gone already.
        let _ = killpg(Pid::from_raw(group.cast_signed()), Signal::SIGKILL);
    }
    for folder in &held.folders {
        let _ = fs::remove_dir_all(folder);
    }
    std::mem::forget(held);
}
