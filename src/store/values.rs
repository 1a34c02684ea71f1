//! What is read back, and why something is not stored or not there.

use std::sync::Arc;

use crate::transfer::{Journal, Times};
use crate::zone::Zone;
use crate::zone::hash::Seed;
use crate::zonebuild::Executor;

/// Why a request was not carried out. What was stored before still is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The changes do not lead from the version that is stored to the zone's: the whole zone is to be put.
    #[error("the changes do not follow the version that is stored")]
    DoesNotFollow,
    /// The disk, the system or the database refuses; later it may not.
    #[error("the store of transferred zones can't be written: {0}")]
    Refused(Arc<str>),
    /// The thread has ended.
    #[error("the store of transferred zones is closed")]
    Closed,
}

/// Why there is no zone: it is to be transferred.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotStored {
    /// It never was stored, or was removed.
    #[error("it is not stored")]
    Absent,
    /// What is stored can't have been written so.
    #[error("what is stored of it is damaged: {0}")]
    Damaged(String),
    /// The disk or the system refuses to read it.
    #[error("the store of transferred zones can't be read: {0}")]
    Refused(String),
}

/// A zone as it was stored last.
#[derive(Debug)]
pub struct StoredZone {
    /// The zone.
    pub zone: Zone,
    /// The last steps to this version.
    pub journal: Journal,
    /// When it was last asked for and expires, to the second.
    pub times: Times,
}

/// How zones are put together again.
#[derive(Clone, Copy)]
pub struct LoadPlan<'a> {
    /// The key of the name hash.
    pub seed: Seed,
    /// The time in seconds since 1970, modulo 2^32, as signatures count it.
    pub now: u32,
    /// Who does what can be done at once.
    pub executor: &'a dyn Executor,
}
