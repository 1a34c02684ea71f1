//! What a reload did, zone by zone.

use super::list::Misnamed;
use super::registry::{Source, ZoneRecord, ZoneState};
use crate::wire::{NameRef, SharedName};

/// What a reload did to one zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Change {
    /// It is served for the first time.
    Added,
    /// It was read again.
    Changed,
    /// Its files are what they were.
    Unchanged,
    /// Its file is gone, and so is the zone.
    Removed,
    /// Its file has errors; the old zone is served on.
    Kept,
    /// Its file has errors, and there is no old zone.
    Refused,
}

/// One zone in a [`Report`].
#[derive(Clone, Debug)]
pub struct ZoneReport {
    /// The zone's name.
    pub name: SharedName,
    /// Where it comes from.
    pub source: Source,
    /// What happened.
    pub change: Change,
    /// The serial that is served now, or was last where the zone was removed.
    pub serial: Option<u32>,
    /// Records of what is served now, or was last.
    pub record_count: usize,
    /// Faults as people read them.
    pub faults: String,
}

/// What a reload did.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Every zone that was looked at.
    pub zones: Vec<ZoneReport>,
}

impl Report {
    /// How many zones that happened to.
    pub fn count(&self, change: Change) -> usize {
        self.zones.iter().filter(|zone| zone.change == change).count()
    }

    /// The zones whose files have errors.
    pub fn broken(&self) -> impl Iterator<Item = &ZoneReport> {
        self.zones.iter().filter(|zone| matches!(zone.change, Change::Kept | Change::Refused))
    }

    /// Whether what is answered may differ from before. Of a zone that can't be served, that is known as well.
    pub fn is_change(&self) -> bool {
        let is_other = |zone: &ZoneReport| !matches!(zone.change, Change::Unchanged | Change::Kept);
        self.zones.iter().any(is_other)
    }
}

impl Change {
    /// What a record that was not read again says.
    pub(super) fn of_unread(record: &ZoneRecord) -> Self {
        match record.state {
            ZoneState::Served(_) => Self::Unchanged,
            ZoneState::Kept(_) => Self::Kept,
            ZoneState::Refused => Self::Refused,
            ZoneState::Awaited | ZoneState::Expired(_) => Self::Unchanged,
        }
    }

    /// What a record that was read now says beside what was served before.
    pub(super) fn of_read(record: &ZoneRecord, before: Option<&ZoneRecord>) -> Self {
        match (&record.state, before.and_then(ZoneRecord::zone)) {
            (ZoneState::Served(_), None) => Self::Added,
            (ZoneState::Served(_), Some(_)) => Self::Changed,
            (ZoneState::Kept(_), _) => Self::Kept,
            (ZoneState::Refused, _) => Self::Refused,
            (ZoneState::Awaited | ZoneState::Expired(_), _) => Self::Unchanged,
        }
    }
}

impl ZoneReport {
    /// The report of one record.
    pub(super) fn of(record: &ZoneRecord, change: Change) -> Self {
        Self {
            name: record.shared_name(),
            source: record.source.clone(),
            change,
            serial: record.zone().map(|zone| zone.serial()),
            record_count: record.zone().map_or(0, |zone| zone.record_count()),
            faults: record.faults.clone(),
        }
    }
}

impl From<Misnamed> for ZoneReport {
    fn from(Misnamed { source, cause }: Misnamed) -> Self {
        let faults = format!(
            "error: {source}: the file's name is no zone name: {cause}; \
             rename it to NAME.zone, or take the \".zone\" off\n"
        );
        Self { name: NameRef::ROOT.into(), source, change: Change::Refused, serial: None, record_count: 0, faults }
    }
}
