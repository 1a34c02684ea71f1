//! The file between those who read it and the thread that writes: open, or not for a while.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use super::database::{self, Opened, Trouble, contained};

/// After the file could not be used it is opened again so much later at the earliest, for all of it is read then.
const REOPEN_AFTER: Duration = Duration::from_secs(10);

/// The file, between those who read and the thread.
pub(super) struct StoreFile {
    pub(super) folder: PathBuf,
    pub(super) journal_bytes_max: usize,
    state: RwLock<State>,
}

/// Whether the file can be used.
pub(super) enum State {
    /// It can.
    Open(Box<Opened>),
    /// It can't, and why.
    Closed { why: Arc<str>, retry_at: Instant },
}

impl StoreFile {
    /// Opens the file.
    pub(super) fn open(folder: PathBuf, journal_bytes_max: usize) -> Self {
        let state = RwLock::new(State::open(&folder));
        Self { folder, journal_bytes_max, state }
    }

    /// The file, for as long as it may not be opened anew. A panic elsewhere leaves a state that holds.
    pub(super) fn state(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The file, to be opened anew.
    fn state_mut(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens the file anew if it is time to.
    pub(super) fn retry(&self, now: Instant) {
        let is_due = |state: &State| match state {
            State::Open(_) => false,
            State::Closed { retry_at, .. } => *retry_at <= now,
        };
        if is_due(&self.state()) {
            *self.state_mut() = State::open(&self.folder);
        }
    }

    /// Lets go of a file that can't be used any more, and says why. Damage is looked at at once, for another file is
    /// begun then.
    pub(super) fn give_up(&self, trouble: Trouble) -> Arc<str> {
        let mut state = self.state_mut();
        let (why, is_damaged) = (Arc::from(trouble.reason()), matches!(trouble, Trouble::Damaged(_)));
        let closed = State::closed(Arc::clone(&why));
        let before = std::mem::replace(&mut *state, closed);
        // A file that a panic left half done may make closing it panic again.
        let _closed = contained(|| {
            drop(before);
            Ok(())
        });
        if is_damaged {
            *state = State::open(&self.folder);
        }
        why
    }
}

impl State {
    /// Opens the file of a folder.
    fn open(folder: &Path) -> Self {
        match database::open(folder) {
            Ok(opened) => {
                if let Some(why) = &opened.read_only {
                    tracing::error!("{} is read, but can't be written: {why}", folder.join(database::FILE).display());
                }
                Self::Open(Box::new(opened))
            }
            Err(trouble) => {
                tracing::error!("{} can't be used: {}", folder.join(database::FILE).display(), trouble.reason());
                Self::closed(trouble.reason().into())
            }
        }
    }

    /// A file that is not used for a while.
    fn closed(why: Arc<str>) -> Self {
        Self::Closed { why, retry_at: Instant::now() + REOPEN_AFTER }
    }
}
