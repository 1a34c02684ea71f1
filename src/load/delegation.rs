//! Parents and children that are both served: whether what the parent says of the child is true of it.
//!
//! That hangs on two sources, so it is looked at anew whenever either of them was read, and said in the parent's
//! record. Only the zones that changed, their parents and their children are looked at. Zones know no lines: where
//! something is wrong, the parent's text is read once more to find them.

use std::collections::HashSet;
use std::sync::Arc;

use super::files::DiskFiles;
use super::read::Means;
use super::registry::{ChildFaults, Registry, ZoneRecord};
use crate::fault::{Faults, Position, Sources, report};
use crate::wire::{Name, NameRef, SharedName, Type};
use crate::zone::Zone;
use crate::zone::hash::LookupName;
use crate::zonebuild::{Inline, Record, Sink, check_child};
use crate::zonefile::{self, MasterFile};

/// A parent's text of more octets is not read once more: faults in it are told without their lines.
const TEXT_BYTES_MAX: u64 = 64 << 20;

/// Compares again what may differ now that the zones of `names` are not what they were: read anew, added or taken away.
pub(super) fn compare_again<'a>(next: &mut Registry, names: impl Iterator<Item = NameRef<'a>>, means: Means<'_>) {
    let mut parents: HashSet<SharedName> = HashSet::new();
    for name in names {
        let lookup = LookupName::new(name);
        let apex = next.zones().search(&lookup, usize::MAX).filter(|apex| apex.name() == name);
        let has_below = apex.map_or_else(|| next.below(name).next().is_some(), |apex| apex.is_above());
        let zone = apex.and_then(|apex| apex.zone());
        if zone.is_some() && has_below {
            parents.insert(name.into());
        }
        let Some(parent) = parent_of(next, &lookup).and_then(|parent| next.served(parent.apex())) else { continue };
        // Of a zone that came or went, those below have another parent than before.
        let is_said = parent.child_faults != ChildFaults::default() || has_below;
        let is_wrong = |child: &Arc<Zone>| !compare(parent, child, &Places::default(), means).is_empty();
        if is_said || zone.is_some_and(is_wrong) {
            parents.insert(parent.listed_name.clone());
        }
    }
    for parent in parents {
        compare_children(next, parent.as_ref(), means);
    }
}

/// The nearest zone above a name that is served.
fn parent_of<'a>(registry: &'a Registry, name: &LookupName<'_>) -> Option<&'a Arc<Zone>> {
    let mut labels_max = name.label_count().checked_sub(1)?;
    loop {
        let apex = registry.zones().search(name, labels_max)?;
        match apex.zone() {
            Some(zone) => return Some(zone),
            // What can't be served says nothing.
            None => labels_max = apex.name().label_count().checked_sub(1)?,
        }
    }
}

/// What is wrong between a parent and one child.
fn compare(parent: &ZoneRecord, child: &Zone, places: &Places, means: Means<'_>) -> Faults {
    let mut faults = Faults::new(means.is_strict);
    if let Some(parent) = parent.zone() {
        check_child(parent, child, &|owner, ds| places.of(owner, ds), &mut faults);
    }
    faults
}

/// Where a parent's text has records of its children.
#[derive(Default)]
struct Places {
    children: Arc<HashSet<Name>>,
    /// Each DS, and what comes first at each name, in the order of the text.
    found: Vec<Place>,
}

/// Where one of them is.
struct Place {
    owner: Name,
    /// The RDATA of a DS.
    ds: Option<Box<[u8]>>,
    position: Position,
}

impl Places {
    /// Reads the text of a parent again. What cannot be read has no places.
    fn read(parent: &ZoneRecord, children: HashSet<Name>, means: Means<'_>, sources: &mut Sources) -> Self {
        let mut places = Self { children: children.into(), found: Vec::new() };
        let Some(path) = parent.source.path() else { return places };
        let limits = means.sources.limits;
        if parent.stamps.size() <= TEXT_BYTES_MAX {
            let mut disk = DiskFiles::new(path, &means.sources.include_dirs, limits.octets_max.min(TEXT_BYTES_MAX));
            let master = MasterFile { path, origin: parent.listed_name.as_ref(), limits };
            // Its faults were told when it was loaded.
            zonefile::read_zone(&mut disk, master, &Inline, sources, &mut Faults::default(), &mut places);
        } else {
            *sources = Sources::of_path(path);
        }
        places
    }

    /// The place of the DS with that RDATA, or of the first record at the name; without a line where it is not known.
    fn of(&self, owner: NameRef<'_>, ds: Option<&[u8]>) -> Position {
        let is_it =
            |place: &&Place| place.owner.as_ref() == owner && ds.is_none_or(|ds| place.ds.as_deref() == Some(ds));
        self.found.iter().find(is_it).map_or(Position::of_file(0), |place| place.position)
    }
}

impl Sink for Places {
    fn take(&mut self, record: &Record<'_>) {
        let Some(position) = record.position else { return };
        let is_ds = record.rtype == Type::DS;
        let owner = record.owner.to_name();
        if self.children.contains(&owner) && (is_ds || self.found.iter().all(|place| place.owner != owner)) {
            self.found.push(Place { owner, ds: is_ds.then(|| record.rdata.into()), position });
        }
    }

    fn fork(&self, _text_bytes: usize) -> Self {
        Self { children: Arc::clone(&self.children), found: Vec::new() }
    }

    fn join(&mut self, later: Self) {
        self.found.extend(later.found);
    }
}

/// Compares a parent with all zones right below it, and puts what is wrong at the end of its record's faults.
fn compare_children(next: &mut Registry, name: NameRef<'_>, means: Means<'_>) {
    let Some(parent) = next.served(name) else { return };
    let mut children: Vec<&ZoneRecord> = Vec::new();
    for child in next.below(name).filter(|child| child.zone().is_some()) {
        // What is below a child comes right behind it, and is not the parent's.
        if children.last().is_none_or(|last| !child.listed_name.as_ref().is_below(last.listed_name.as_ref())) {
            children.push(child);
        }
    }
    children.sort_by(|a, b| a.source.cmp(&b.source));
    let zones = || children.iter().filter_map(|child| child.zone());
    let wrong_with = |places: &Places| {
        let mut faults = Faults::new(means.is_strict);
        zones().for_each(|child| faults.join([compare(parent, child, places, means)]));
        faults
    };
    let (mut faults, mut sources) = (wrong_with(&Places::default()), Sources::default());
    if !faults.is_empty() {
        let names = zones().map(|zone| zone.apex().to_name()).collect();
        faults = wrong_with(&Places::read(parent, names, means, &mut sources));
    }
    if faults.is_empty() && parent.child_faults == ChildFaults::default() {
        return;
    }
    let mut record = ZoneRecord::clone(parent);
    let before = std::mem::take(&mut record.child_faults);
    record.faults.truncate(record.faults.len() - before.bytes);
    record.error_count -= before.error_count;
    record.warning_count -= before.warning_count;
    let own_bytes = record.faults.len();
    if !faults.is_empty() {
        report::write(&faults, &sources, means.style, &mut record.faults);
    }
    let (error_count, warning_count) = (faults.error_count(), faults.warning_count());
    record.child_faults = ChildFaults { bytes: record.faults.len() - own_bytes, error_count, warning_count };
    record.error_count += error_count;
    record.warning_count += warning_count;
    next.put(Arc::new(record));
}
