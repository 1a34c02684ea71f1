//! Zones that came by transfer, kept over restarts in one file of the state folder.
//!
//! Owns the database: one thread, `store`, writes it. Of each zone there is an image, all records of one version, and
//! the steps that lead from there to the current version; older steps are kept for secondaries, as many as the journal
//! may hold. What is read back is the last version that was stored whole, or nothing: then the zone is transferred.
//! Knows neither where zones come from nor who serves them.
//!
//! ```text
//!  put_zone, put_changes ─▶ queue ─▶ thread `store`: many requests, one transaction, one fsync ─▶ each is told
//!  put_times ────────────────┘        └ times: with the next transaction, or half a minute later
//!  load ─▶ a snapshot of the database, as many zones at once as there are threads
//! ```
//!
//! **Damage** of whatever kind costs transfers, never a wrong answer: the database's own checksums are compared when
//! the file is opened, each value carries one more over itself, its zone and its place, and a zone that was put
//! together must have the serial and the number of records that were noted. **A disk** that is full or can't be
//! written makes requests fail with the reason; the file is opened again later, with the last version that it has.

mod database;
mod file;
mod format;
mod overlay;
mod read;
mod values;
mod write;

use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::{fmt, io};

use tokio::sync::{mpsc, oneshot};

use crate::transfer::{Change, Times};
use crate::wire::{Name, NameRef};
use crate::zone::Zone;
use file::StoreFile;
pub use values::{LoadPlan, NotStored, StoreError, StoredZone};
use write::{Request, Task, Writer};

/// Requests that may wait. Who brings one more waits for a place: the disk is what everyone waits for.
const QUEUE_MAX: usize = 1024;
/// The store of a state folder. Dropped, it carries out what was asked for, and waits for that.
pub struct Store {
    /// `None` only while it is dropped.
    requests: Option<mpsc::Sender<Request>>,
    thread: Option<JoinHandle<()>>,
    file: Arc<StoreFile>,
}

impl Store {
    /// Opens the store of a folder and starts its thread. Whatever state the file is in, there is a store: what can't
    /// be read is not there, and what can't be written is told to those who ask for it.
    ///
    /// Of each zone's steps as many are kept as have up to `journal_bytes_max` octets.
    ///
    /// # Errors
    /// Those of starting a thread.
    pub fn open(folder: &Path, journal_bytes_max: usize) -> io::Result<Self> {
        let file = Arc::new(StoreFile::open(folder.to_owned(), journal_bytes_max));
        let (requests, queue) = mpsc::channel(QUEUE_MAX);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
        let writer = Writer::new(Arc::clone(&file));
        let thread = thread::Builder::new().name("store".into()).spawn(move || runtime.block_on(writer.run(queue)))?;
        Ok(Self { requests: Some(requests), thread: Some(thread), file })
    }

    /// Stores a zone whole, instead of what is stored of it. Waits until it is on the disk.
    ///
    /// # Errors
    /// [`StoreError::Refused`] and [`StoreError::Closed`].
    pub async fn put_zone(&self, zone: Arc<Zone>, times: Times) -> Result<(), StoreError> {
        self.ask(Task::Zone(zone, times)).await
    }

    /// Stores the steps that lead to a zone from the version that is stored, so that [`crate::transfer::apply`] of them
    /// all at once makes the zone. Waits until they are on the disk.
    ///
    /// # Errors
    /// All of [`StoreError`].
    pub async fn put_changes(
        &self,
        zone: Arc<Zone>,
        changes: Vec<Arc<Change>>,
        times: Times,
    ) -> Result<(), StoreError> {
        self.ask(Task::Changes(zone, changes, times)).await
    }

    /// Stores a zone as [`Self::put_changes`] does where `change` leads to it from the version that is stored, else as
    /// [`Self::put_zone`] does. Blocks until it is on the disk: not for a task.
    ///
    /// # Errors
    /// [`StoreError::Refused`] and [`StoreError::Closed`].
    pub fn put_blocking(&self, zone: Arc<Zone>, change: Option<Arc<Change>>) -> Result<(), StoreError> {
        let times = Times::default();
        let steps = change.map(|change| Task::Changes(Arc::clone(&zone), vec![change], times));
        match steps.map(|task| self.ask_blocking(task)) {
            Some(Ok(())) => Ok(()),
            Some(Err(error)) if error != StoreError::DoesNotFollow => Err(error),
            _ => self.ask_blocking(Task::Zone(zone, times)),
        }
    }

    /// Notes the times of a zone that is stored. They are on the disk half a minute later, if it can be written.
    ///
    /// # Errors
    /// [`StoreError::Closed`].
    pub async fn put_times(&self, name: NameRef<'_>, times: Times) -> Result<(), StoreError> {
        self.ask(Task::Times(name.to_name(), times)).await
    }

    /// Forgets a zone. Waits until the disk has forgotten it.
    ///
    /// # Errors
    /// [`StoreError::Refused`] and [`StoreError::Closed`].
    pub async fn remove(&self, name: NameRef<'_>) -> Result<(), StoreError> {
        self.ask(Task::Remove(name.to_name())).await
    }

    /// Reads zones back, one outcome for each name, in their order. Blocks.
    pub fn load(&self, names: &[Name], plan: LoadPlan<'_>) -> Vec<Result<StoredZone, NotStored>> {
        read::load(&self.file, names, plan)
    }

    /// Hands a task to the thread and blocks until its outcome is known.
    fn ask_blocking(&self, task: Task) -> Result<(), StoreError> {
        let (done, outcome) = oneshot::channel();
        let requests = self.requests.as_ref().ok_or(StoreError::Closed)?;
        requests.blocking_send(Request { task, done }).map_err(|_| StoreError::Closed)?;
        outcome.blocking_recv().map_err(|_| StoreError::Closed)?
    }

    /// Hands a task to the thread and waits for its outcome.
    async fn ask(&self, task: Task) -> Result<(), StoreError> {
        let (done, outcome) = oneshot::channel();
        let requests = self.requests.as_ref().ok_or(StoreError::Closed)?;
        requests.send(Request { task, done }).await.map_err(|_| StoreError::Closed)?;
        outcome.await.map_err(|_| StoreError::Closed)?
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.requests = None;
        // A thread that panicked has said so.
        let _ended = self.thread.take().map(JoinHandle::join);
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("folder", &self.file.folder).finish_non_exhaustive()
    }
}
