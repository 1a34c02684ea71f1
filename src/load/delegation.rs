//! Parents and children that are both served: whether what the parent says of the child is true of it.
//!
//! That hangs on two sources, so it is looked at anew whenever either of them was read, and said in the parent's
//! record. Only the zones that changed, their parents and their children are looked at.

use std::collections::HashSet;
use std::sync::Arc;

use super::registry::{ChildFaults, Registry, ZoneRecord};
use crate::fault::report::{self, Style};
use crate::fault::{Faults, Sources};
use crate::wire::{NameRef, SharedName};
use crate::zone::Zone;
use crate::zone::hash::LookupName;
use crate::zonebuild::check_child;

/// How faults are judged and shown.
#[derive(Clone, Copy)]
pub(super) struct Manner {
    /// How they are shown.
    pub(super) style: Style,
    /// Whether warnings are taken for errors.
    pub(super) is_strict: bool,
}

/// Compares again what may differ now that the zones of `names` are not what they were: read anew, added or taken away.
pub(super) fn compare_again<'a>(next: &mut Registry, names: impl Iterator<Item = NameRef<'a>>, manner: Manner) {
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
        let is_wrong = |child: &Arc<Zone>| !compare(parent, child, manner).is_empty();
        if is_said || zone.is_some_and(is_wrong) {
            parents.insert(parent.listed_name.clone());
        }
    }
    for parent in parents {
        compare_children(next, parent.as_ref(), manner);
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
fn compare(parent: &ZoneRecord, child: &Zone, manner: Manner) -> Faults {
    let mut faults = Faults::new(manner.is_strict);
    if let Some(parent) = parent.zone() {
        check_child(parent, child, &mut faults);
    }
    faults
}

/// Compares a parent with all zones right below it, and puts what is wrong at the end of its record's faults.
fn compare_children(next: &mut Registry, name: NameRef<'_>, manner: Manner) {
    let Some(parent) = next.served(name) else { return };
    let mut children: Vec<&ZoneRecord> = Vec::new();
    for child in next.below(name).filter(|child| child.zone().is_some()) {
        // What is below a child comes right behind it, and is not the parent's.
        if children.last().is_none_or(|last| !child.listed_name.as_ref().is_below(last.listed_name.as_ref())) {
            children.push(child);
        }
    }
    children.sort_by(|a, b| a.source.cmp(&b.source));
    let mut faults = Faults::new(manner.is_strict);
    for child in children.iter().filter_map(|child| child.zone()) {
        faults.join([compare(parent, child, manner)]);
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
        report::write(&faults, &Sources::of_path(record.source.path()), manner.style, &mut record.faults);
    }
    let (error_count, warning_count) = (faults.error_count(), faults.warning_count());
    record.child_faults = ChildFaults { bytes: record.faults.len() - own_bytes, error_count, warning_count };
    record.error_count += error_count;
    record.warning_count += warning_count;
    next.put(Arc::new(record));
}
