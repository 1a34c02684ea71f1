//! What comes into the registry besides files: versions from primaries, and what is known about transfers.

use std::sync::Arc;
use std::time::SystemTime;

use super::catalogs::CatalogRefusal;
use super::registry::{Registry, Source, ZoneRecord, ZoneState};
use super::{Loader, Plan};
use crate::catalog::Edits;
use crate::config::ZoneSources;
use crate::transfer::{self, Expiry, Journal, TransferTable, ZoneTransfers, is_serial_before};
use crate::wire::{NameRef, SharedName};
use crate::zone::Zone;

/// What came of asking a zone's primaries.
#[derive(Clone, Debug)]
pub enum Arrival {
    /// A version.
    Version {
        /// It.
        zone: Arc<Zone>,
        /// The steps from the version before, if they are known; from a store, those that led here.
        changes: Vec<Arc<transfer::Change>>,
        /// What is odd about it, as people read it.
        faults: String,
        /// Warnings among that.
        warning_count: usize,
        /// When it expires.
        expiry: Arc<Expiry>,
    },
    /// Nothing for longer than EXPIRE.
    Expiry,
    /// The version that expired is current again.
    Confirmed,
    /// Nothing of it is wanted any more; another comes.
    Purge,
}

impl Loader {
    /// Takes what came of asking the primaries of a zone; whether what is answered may differ from before. Nothing is
    /// changed where the zone does not come from primaries any more. Where it is a catalog, its members follow.
    ///
    /// # Errors
    /// The zone is a catalog and this is no version of it that may be taken; nothing has changed.
    pub fn arrive(&mut self, name: NameRef<'_>, arrival: Arrival) -> Result<bool, CatalogRefusal> {
        let Some(before) = self.registry.transferred(name).cloned() else { return Ok(false) };
        let edits = match &arrival {
            Arrival::Version { zone, changes, .. } => self.judge(zone, changes)?,
            Arrival::Expiry | Arrival::Confirmed | Arrival::Purge => None,
        };
        let record = match (arrival, before.last_version()) {
            (Arrival::Version { zone, changes, faults, warning_count, expiry }, _) => {
                let table = self.registry.transfers_mut();
                if changes.last().is_none_or(|last| last.to.serial() != zone.serial()) {
                    forget(table, name);
                }
                let mut transfers = known(table, name);
                changes.into_iter().for_each(|change| push(&mut transfers, change));
                transfers.expiry = Some(expiry);
                table.put(name.into(), Arc::new(transfers));
                let loaded_at = SystemTime::now();
                ZoneRecord { state: ZoneState::Served(zone), faults, warning_count, loaded_at, ..before.unread() }
            }
            (Arrival::Expiry, Some(zone)) => {
                let faults = "error: no primary has confirmed the zone for longer than its EXPIRE\n".to_owned();
                ZoneRecord { state: ZoneState::Expired(Arc::clone(zone)), faults, error_count: 1, ..before.unread() }
            }
            (Arrival::Confirmed, Some(zone)) => {
                ZoneRecord { state: ZoneState::Served(Arc::clone(zone)), ..before.unread() }
            }
            (Arrival::Purge, _) => {
                let table = self.registry.transfers_mut();
                let settings = Arc::clone(table.settings(name));
                table.put(name.into(), Arc::new(ZoneTransfers { settings, ..ZoneTransfers::default() }));
                before.unread()
            }
            (Arrival::Expiry | Arrival::Confirmed, None) => return Ok(false),
        };
        self.registry.put(Arc::new(record));
        if let Some(edits) = edits {
            self.catalogs.take(&mut self.registry, name, edits);
            let touched = self.catalogs.take_touched();
            self.produce_some(&touched, false);
        }
        Ok(true)
    }

    /// Judges a version where the zone is a catalog.
    fn judge(&mut self, zone: &Zone, changes: &[Arc<transfer::Change>]) -> Result<Option<Edits>, CatalogRefusal> {
        let judged = self.catalogs.judge(self.catalogs.sources(), zone, changes, false);
        if let Err(refusal) = &judged {
            self.catalogs.refuse(zone.apex(), refusal);
        }
        judged
    }

    /// Notes what changed in zones that were read again, for those who have an older version.
    pub(super) fn note_changes(&self, next: &mut Registry, plan: &Plan) {
        for (listed, before) in &plan.read {
            let name = listed.name.as_ref();
            let settings = next.transfers().settings(name);
            if settings.allow_transfer.is_empty() && settings.notify.is_empty() {
                continue;
            }
            let (Some(old), Some(record)) = (before.as_deref(), next.served(name).cloned()) else { continue };
            let (Some(old), Some(new)) = (old.zone(), record.zone()) else { continue };
            if record.source != listed.source || Arc::ptr_eq(old, new) {
                continue;
            }
            let change = transfer::Change::between(old, new);
            let [from, to] = [old, new].map(|zone| zone.serial());
            if is_serial_before(from, to) {
                next.push_change(name, Arc::new(change));
            } else if from != to || !(change.deleted.is_empty() && change.added.is_empty()) {
                forget(next.transfers_mut(), name);
                let what = if from == to { "changed and its serial did not" } else { "has a serial before the last" };
                let faults = format!(
                    "{}warning: {}: the zone {what} ({to}): secondaries keep what they have until it is higher \
                     (RFC 1982)\n",
                    record.faults, record.source
                );
                let warning_count = record.warning_count + 1;
                next.put(Arc::new(ZoneRecord { faults, warning_count, ..ZoneRecord::clone(&record) }));
            }
        }
        for record in &plan.removed {
            if next.served(record.listed_name.as_ref()).is_none() {
                forget(next.transfers_mut(), record.listed_name.as_ref());
            }
        }
    }
}

/// What is known about a zone's transfers.
fn known(table: &TransferTable, name: NameRef<'_>) -> ZoneTransfers {
    let default = || ZoneTransfers { settings: Arc::clone(&table.default), ..ZoneTransfers::default() };
    table.find(name).map_or_else(default, |known| ZoneTransfers::clone(known))
}

/// Appends a change to the journal of a zone.
fn push(transfers: &mut ZoneTransfers, change: Arc<transfer::Change>) {
    let bytes_max = usize::try_from(transfers.settings.limits.journal_octets_max).unwrap_or(usize::MAX);
    transfers.journal.push(change, bytes_max);
}

/// Forgets the changes of a zone.
fn forget(table: &mut TransferTable, name: NameRef<'_>) {
    let Some(known) = table.find(name).cloned() else { return };
    if Arc::ptr_eq(&known.settings, &table.default) {
        table.remove(name);
    } else {
        table.put(name.into(), Arc::new(ZoneTransfers { journal: Journal::default(), ..ZoneTransfers::clone(&known) }));
    }
}

impl Registry {
    /// Notes the last change of a zone, for those who have the version before.
    pub(super) fn push_change(&mut self, name: NameRef<'_>, change: Arc<transfer::Change>) {
        let mut transfers = known(self.transfers(), name);
        push(&mut transfers, change);
        self.transfers_mut().put(name.into(), Arc::new(transfers));
    }

    /// Takes what is configured about transfers; journals stay.
    pub(super) fn set_transfers(&mut self, sources: &ZoneSources) {
        let old = self.transfers().clone();
        let mut table = TransferTable::new(Arc::clone(&old.keys), Arc::clone(&sources.default_transfers));
        for (name, known) in old.iter() {
            if self.member(name.as_ref()).is_some() {
                // What holds for it is set by its catalog.
                table.put(name.clone(), Arc::clone(known));
            }
            if known.journal.is_empty() && known.expiry.is_none() || table.find(name.as_ref()).is_some() {
                continue;
            }
            let settings = Arc::clone(sources.transfers_of(name.as_ref()));
            // Its own file says when a zone expires that has one now.
            let expiry = known.expiry.clone().filter(|_| !settings.primaries.is_empty());
            table.put(name.clone(), Arc::new(ZoneTransfers { settings, journal: known.journal.clone(), expiry }));
        }
        for (name, settings) in &sources.transfers {
            if table.find(name.as_ref()).is_none() {
                let transfers = ZoneTransfers { settings: Arc::clone(settings), ..ZoneTransfers::default() };
                table.put(name.clone(), Arc::new(transfers));
            }
        }
        *self.transfers_mut() = table;
    }
}

impl ZoneRecord {
    /// The record of a zone of which no version has come yet.
    pub(super) fn awaited(name: &SharedName) -> Self {
        Self {
            listed_name: name.clone(),
            source: Source::Transfer,
            state: ZoneState::Awaited,
            loaded_at: SystemTime::now(),
            faults: String::new(),
            error_count: 0,
            warning_count: 0,
            stamps: Default::default(),
            child_faults: Default::default(),
        }
    }

    /// A copy without what the last reading found.
    fn unread(&self) -> Self {
        Self { loaded_at: self.loaded_at, source: self.source.clone(), ..Self::awaited(&self.listed_name) }
    }
}
