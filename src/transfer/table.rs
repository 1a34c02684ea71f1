//! What is known about the transfers of each zone. Persistent: a copy costs a few pointers, a change what one zone
//! costs.

use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use std::sync::Arc;

use super::journal::Journal;
use super::settings::{KeyRing, TransferSettings};
use crate::persistent::List;
use crate::wire::{NameRef, SharedName};

/// What is known about the transfers of one zone.
#[derive(Clone, Debug, Default)]
pub struct ZoneTransfers {
    /// What the operator set.
    pub settings: Arc<TransferSettings>,
    /// The last changes.
    pub journal: Journal,
    /// When the zone expires, if it comes from primaries.
    pub expiry: Option<Arc<Expiry>>,
}

/// When a zone expires, in seconds since the Unix epoch: it moves each time that a primary confirms the zone.
#[derive(Debug, Default)]
pub struct Expiry(AtomicU64);

impl Expiry {
    /// Moves it.
    pub fn set(&self, at: Duration) {
        self.0.store(at.as_secs(), Ordering::Relaxed);
    }

    /// In how many seconds it is, `now` since the epoch; 0 where it is past.
    pub fn left(&self, now: Duration) -> u32 {
        u32::try_from(self.0.load(Ordering::Relaxed).saturating_sub(now.as_secs())).unwrap_or(u32::MAX)
    }
}

/// What is known about the transfers of all zones, and the keys of transactions.
#[derive(Clone, Debug, Default)]
pub struct TransferTable {
    /// The keys.
    pub keys: Arc<KeyRing>,
    /// What holds for zones that are not in the list.
    pub default: Arc<TransferSettings>,
    /// Zones that differ from the default, or have a journal, in canonical order.
    zones: List<(SharedName, Arc<ZoneTransfers>)>,
}

impl TransferTable {
    /// Takes keys, and what holds for every zone so far.
    pub fn new(keys: Arc<KeyRing>, default: Arc<TransferSettings>) -> Self {
        Self { keys, default, ..Self::default() }
    }

    /// The zones that differ from the default, or have a journal, in canonical order.
    pub fn iter(&self) -> impl Iterator<Item = &(SharedName, Arc<ZoneTransfers>)> {
        self.zones.iter()
    }

    /// What is known about that zone; `None` where the default holds, and no change is kept.
    pub fn find(&self, name: NameRef<'_>) -> Option<&Arc<ZoneTransfers>> {
        let index = self.search(name).ok()?;
        self.zones.get(index).map(|(_, transfers)| transfers)
    }

    /// What the operator set about that zone.
    pub fn settings(&self, name: NameRef<'_>) -> &Arc<TransferSettings> {
        self.find(name).map_or(&self.default, |transfers| &transfers.settings)
    }

    /// Puts what is known about a zone in the place of what was.
    pub fn put(&mut self, name: SharedName, transfers: Arc<ZoneTransfers>) {
        match self.search(name.as_ref()) {
            Ok(index) => drop(self.zones.replace(index, (name, transfers))),
            Err(index) => self.zones.insert(index, (name, transfers)),
        }
    }

    /// Forgets a zone.
    pub fn remove(&mut self, name: NameRef<'_>) {
        if let Ok(index) = self.search(name) {
            self.zones.remove(index);
        }
    }

    fn search(&self, name: NameRef<'_>) -> Result<usize, usize> {
        self.zones.search(|(known, _)| known.as_ref().cmp(&name))
    }
}
