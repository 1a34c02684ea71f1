//! The registry of zones: each name with where its zone comes from, what is served of it and what is wrong with it.
//!
//! Persistent: a copy costs a few pointers, and to change one zone of a copy costs what that zone costs. So a reload
//! works on a copy that becomes the registry when all is well, and whoever shows zones reads a copy of their own.

use std::cmp::Ordering;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use super::files::FileStamps;
use crate::persistent::List;
use crate::transfer::TransferTable;
use crate::wire::{NameRef, SharedName, Shown};
use crate::zone::hash::{LookupName, Seed};
use crate::zone::{Zone, ZoneSet};

/// Where the records of a zone come from. Copies share the path.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Source {
    /// A zone file.
    File(Arc<PathBuf>),
    /// Primaries.
    Transfer,
    /// Primaries, as the catalog of that name says.
    Catalog(SharedName),
    /// Other zones that are here: it is a catalog of them.
    Produced,
}

impl Source {
    /// Whether the configuration or the folder says that the zone is there, and not a catalog, and it is none.
    pub(super) fn is_configured(&self) -> bool {
        matches!(self, Self::File(_) | Self::Transfer)
    }
}

impl Source {
    /// Whether the zone comes from primaries.
    pub fn has_primaries(&self) -> bool {
        matches!(self, Self::Transfer | Self::Catalog(_))
    }

    /// The file, if it is one.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            Self::Transfer | Self::Catalog(_) | Self::Produced => None,
        }
    }
}

impl From<PathBuf> for Source {
    fn from(path: PathBuf) -> Self {
        Self::File(path.into())
    }
}

impl fmt::Display for Source {
    /// Writes the path for terminals and logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => Shown::path(path).fmt(f),
            Self::Transfer => f.write_str("transfer"),
            Self::Catalog(catalog) => write!(f, "catalog {catalog}"),
            Self::Produced => f.write_str("produced"),
        }
    }
}

/// What is served of a source.
#[derive(Clone, Debug)]
pub enum ZoneState {
    /// What it holds.
    Served(Arc<Zone>),
    /// What it held before: it has errors now.
    Kept(Arc<Zone>),
    /// Nothing: it never was good.
    Refused,
    /// Nothing: no version has come from a primary yet.
    Awaited,
    /// Nothing: no primary has confirmed this version for longer than its EXPIRE (RFC 1035 §3.3.13).
    Expired(Arc<Zone>),
}

/// One source of a zone, and what became of it. A name has one source; where it has more, they are refused but for the
/// one that was served before.
#[derive(Clone, Debug)]
pub struct ZoneRecord {
    /// The zone's name: what the configuration says, or the file's own.
    pub listed_name: SharedName,
    /// Where it comes from.
    pub source: Source,
    /// What is served.
    pub state: ZoneState,
    /// When what is served was read.
    pub loaded_at: SystemTime,
    /// Faults of the last reading as people read them, warnings too.
    pub faults: String,
    /// Errors of the last reading.
    pub error_count: usize,
    /// Warnings of the last reading.
    pub warning_count: usize,
    /// The files that were read.
    pub(super) stamps: FileStamps,
    /// What of the faults is about zones right below this one.
    pub(super) child_faults: ChildFaults,
}

/// How much of a record's faults is about its delegations to zones that are served too: it hangs on them as well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ChildFaults {
    /// Octets at the end of the text.
    pub(super) bytes: usize,
    pub(super) error_count: usize,
    pub(super) warning_count: usize,
}

impl ZoneRecord {
    /// What is served, if anything is.
    pub fn zone(&self) -> Option<&Arc<Zone>> {
        match &self.state {
            ZoneState::Served(zone) | ZoneState::Kept(zone) => Some(zone),
            ZoneState::Refused | ZoneState::Awaited | ZoneState::Expired(_) => None,
        }
    }

    /// The last version, served or not.
    pub fn last_version(&self) -> Option<&Arc<Zone>> {
        if let ZoneState::Expired(zone) = &self.state { Some(zone) } else { self.zone() }
    }

    /// The zone's name as it is served, or else as it was listed: they differ in letter case at most.
    pub fn name(&self) -> NameRef<'_> {
        self.zone().map_or(self.listed_name.as_ref(), |zone| zone.apex())
    }

    /// The same to keep: most often that which was listed.
    pub(super) fn shared_name(&self) -> SharedName {
        let listed = &self.listed_name;
        if self.name().as_bytes() == listed.as_ref().as_bytes() { listed.clone() } else { self.name().into() }
    }

    /// Whether it is not as it should be: the last reading failed, or no version came, or came in time.
    pub fn is_broken(&self) -> bool {
        !matches!(self.state, ZoneState::Served(_))
    }

    /// Whether no version has ever come from its primaries.
    fn is_awaited(&self) -> bool {
        matches!(self.state, ZoneState::Awaited)
    }

    /// Its position in the order of names, sources of one name behind each other.
    fn cmp_by_name(&self, name: NameRef<'_>, source: &Source) -> Ordering {
        self.listed_name.as_ref().cmp(&name).then_with(|| self.source.cmp(source))
    }

    /// Its position in the order of sources, which is that of [`Registry::iter`], beside another's name and source.
    pub fn cmp_by_source(&self, name: NameRef<'_>, source: &Source) -> Ordering {
        self.source.cmp(source).then_with(|| self.listed_name.as_ref().cmp(&name))
    }
}

/// How many sources there are, by what is served of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Those of which something is served.
    pub served: usize,
    /// Those among them that are broken, so that an older state is served.
    pub kept: usize,
    /// Those of which nothing is served.
    pub refused: usize,
    /// Those among them that have never come from a primary.
    pub awaited: usize,
}

/// All zones, by name and in the order of their sources.
#[derive(Clone, Debug)]
pub struct Registry {
    by_name: List<Arc<ZoneRecord>>,
    by_source: List<Arc<ZoneRecord>>,
    /// The broken ones, in the order of their sources.
    broken: List<Arc<ZoneRecord>>,
    /// How many have never come from a primary.
    awaited: usize,
    zones: ZoneSet,
    transfers: TransferTable,
}

impl Registry {
    /// An empty one, for zones that are loaded with that seed.
    pub(super) fn new(seed: Seed) -> Self {
        let zones = ZoneSet::with_seed(seed);
        Self {
            by_name: List::default(),
            by_source: List::default(),
            broken: List::default(),
            awaited: 0,
            zones,
            transfers: TransferTable::default(),
        }
    }

    /// The zones that are served, and the names of those that should be and can't.
    pub fn zones(&self) -> &ZoneSet {
        &self.zones
    }

    /// The same to be changed.
    pub(super) fn transfers_mut(&mut self) -> &mut TransferTable {
        &mut self.transfers
    }

    /// Who may have which zone, and what changed in them.
    pub fn transfers(&self) -> &TransferTable {
        &self.transfers
    }

    /// How many records there are.
    pub fn len(&self) -> usize {
        self.by_source.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by_source.is_empty()
    }

    /// All records in the order of their sources.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<ZoneRecord>> {
        self.by_source.iter()
    }

    /// The records from a position on.
    pub fn iter_from(&self, index: usize) -> impl Iterator<Item = &Arc<ZoneRecord>> {
        self.by_source.iter_from(index)
    }

    /// The broken ones, in the same order.
    pub fn broken(&self) -> impl Iterator<Item = &Arc<ZoneRecord>> {
        self.broken.iter()
    }

    /// How many there are, by what is served.
    pub fn counts(&self) -> Counts {
        let (served, broken) = (self.zones.len(), self.broken.len());
        let refused = self.len() - served;
        Counts { served, kept: broken - refused, refused, awaited: self.awaited }
    }

    /// The record of a name: the one of which something is served, where there are more.
    pub fn find<'a>(&'a self, name: NameRef<'a>) -> Option<&'a Arc<ZoneRecord>> {
        self.served(name).or_else(|| self.named(name).next())
    }

    /// The records of a name, one most often.
    pub(super) fn named<'a>(&'a self, name: NameRef<'a>) -> impl Iterator<Item = &'a Arc<ZoneRecord>> {
        self.starting_at(name, Ordering::Greater).take_while(move |record| record.listed_name.as_ref() == name)
    }

    /// The record of which a zone is served under that name.
    pub(super) fn served<'a>(&'a self, name: NameRef<'a>) -> Option<&'a Arc<ZoneRecord>> {
        self.named(name).find(|record| record.zone().is_some())
    }

    /// The records of all names below that one, in canonical order.
    pub(super) fn below<'a>(&'a self, name: NameRef<'a>) -> impl Iterator<Item = &'a Arc<ZoneRecord>> {
        self.starting_at(name, Ordering::Less).take_while(move |record| record.listed_name.as_ref().is_below(name))
    }

    /// The records from the first that is not before a name; `of_name` says where those of the name itself count as
    /// being.
    fn starting_at(&self, name: NameRef<'_>, of_name: Ordering) -> impl Iterator<Item = &Arc<ZoneRecord>> {
        let found = self.by_name.search(|record| record.listed_name.as_ref().cmp(&name).then(of_name));
        self.by_name.iter_from(found.unwrap_or_else(|index| index))
    }

    /// The record of a name and a source.
    pub(super) fn get(&self, name: NameRef<'_>, source: &Source) -> Option<&Arc<ZoneRecord>> {
        let index = self.by_name.search(|record| record.cmp_by_name(name, source)).ok()?;
        self.by_name.get(index)
    }

    /// The record of a zone that a catalog names.
    pub(super) fn member<'a>(&'a self, name: NameRef<'a>) -> Option<&'a Arc<ZoneRecord>> {
        self.named(name).find(|record| matches!(record.source, Source::Catalog(_)))
    }

    /// The record of a zone that comes from primaries.
    pub(super) fn transferred<'a>(&'a self, name: NameRef<'a>) -> Option<&'a Arc<ZoneRecord>> {
        self.named(name).find(|record| matches!(record.source, Source::Transfer | Source::Catalog(_)))
    }

    /// Puts a record in, instead of one of the same name and source. Whether other sources have the name too.
    pub(super) fn put(&mut self, record: Arc<ZoneRecord>) -> bool {
        let (name, source) = (record.listed_name.clone(), record.source.clone());
        let (name, is_broken) = (name.as_ref(), record.is_broken());
        self.awaited -= self.get(name, &source).map_or(0, |before| usize::from(before.is_awaited()));
        self.awaited += usize::from(record.is_awaited());
        let index = set(&mut self.by_name, Some(&record), |other| other.cmp_by_name(name, &source));
        set(&mut self.by_source, Some(&record), |other| other.cmp_by_source(name, &source));
        set(&mut self.broken, is_broken.then_some(&record), |other| other.cmp_by_source(name, &source));
        let mut beside = [index.checked_sub(1), Some(index + 1)].into_iter().flatten();
        let is_rival = |other: &Arc<ZoneRecord>| other.listed_name.as_ref() == name;
        let has_rivals = beside.any(|at| self.by_name.get(at).is_some_and(is_rival));
        let serving = if has_rivals { self.served(name).cloned().unwrap_or(record) } else { record };
        self.serve(&serving);
        has_rivals
    }

    /// Takes a record out.
    pub(super) fn remove(&mut self, record: &ZoneRecord) {
        let (name, source) = (record.listed_name.as_ref(), &record.source);
        self.awaited -= self.get(name, source).map_or(0, |removed| usize::from(removed.is_awaited()));
        set(&mut self.by_name, None, |other| other.cmp_by_name(name, source));
        set(&mut self.by_source, None, |other| other.cmp_by_source(name, source));
        set(&mut self.broken, None, |other| other.cmp_by_source(name, source));
        let other = self.served(name).or_else(|| self.named(name).next()).cloned();
        match other {
            Some(other) => self.serve(&other),
            None => self.zones.remove(name),
        }
    }

    /// Makes the set of zones say of a name what that record of it does.
    fn serve(&mut self, record: &ZoneRecord) {
        let lookup = LookupName::new(record.listed_name.as_ref());
        match record.zone() {
            // As it is where no more than what is known of it has changed.
            Some(zone) if self.zones.find(&lookup, usize::MAX).is_some_and(|served| Arc::ptr_eq(served, zone)) => {}
            Some(zone) => self.zones.put(Arc::clone(zone)),
            None => self.zones.put_broken(record.listed_name.clone()),
        }
    }
}

/// Puts a record where `order` finds it or one like it, or takes that out. Returns where that is.
fn set(
    list: &mut List<Arc<ZoneRecord>>,
    record: Option<&Arc<ZoneRecord>>,
    order: impl Fn(&ZoneRecord) -> Ordering,
) -> usize {
    let found = list.search(|other| order(other));
    match (found, record) {
        (Ok(index), Some(record)) => drop(list.replace(index, Arc::clone(record))),
        (Ok(index), None) => drop(list.remove(index)),
        (Err(index), Some(record)) => list.insert(index, Arc::clone(record)),
        (Err(_), None) => {}
    }
    found.unwrap_or_else(|index| index)
}
