//! Parents and children that are both served: whether what the parent says of the child is true of it.
//!
//! That hangs on two files, so it is looked at anew at each reload, whichever of them was read, and told in the parent's entry.

use std::collections::HashMap;

use super::Entry;
use crate::build::check_child;
use crate::fault::report::{self, Style};
use crate::fault::{Faults, Sources};
use crate::wire::Name;
use crate::zone::ZoneSet;
use crate::zone::hash::LookupName;

/// How much of what is told of an entry is told by this room.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Told {
    /// Octets at the end of the faults.
    bytes: usize,
    error_count: usize,
    warning_count: usize,
}

/// Takes back what was told of an entry.
pub(super) fn take_back(entry: &mut Entry) {
    let Told { bytes, error_count, warning_count } = std::mem::take(&mut entry.kin);
    entry.faults.truncate(entry.faults.len() - bytes);
    entry.error_count -= error_count;
    entry.warning_count -= warning_count;
}

/// Tells what is wrong between parents and children. `entries` have nothing of this told.
pub(super) fn tell<'a>(entries: impl Iterator<Item = &'a mut Entry>, zones: &ZoneSet, style: Style, is_strict: bool) {
    let mut by_parent: HashMap<Name, Faults> = HashMap::new();
    for child in zones.iter() {
        let Some(above) = child.apex().parent() else { continue };
        let name = LookupName::new(above);
        if let Some(parent) = zones.find(&name, name.label_count()) {
            let mut faults = Faults::new(is_strict);
            check_child(parent, child, &mut faults);
            if !faults.is_empty() {
                by_parent.entry(parent.apex().to_name()).or_insert_with(|| Faults::new(is_strict)).join([faults]);
            }
        }
    }
    for entry in entries.filter(|entry| !by_parent.is_empty() && entry.zone.is_some()) {
        let Some(faults) = by_parent.get(&entry.name().to_name()) else { continue };
        let before = entry.faults.len();
        report::write(faults, &Sources::of_path(&entry.listed.path), style, &mut entry.faults);
        let (error_count, warning_count) = (faults.error_count(), faults.warning_count());
        entry.kin = Told { bytes: entry.faults.len() - before, error_count, warning_count };
        entry.error_count += error_count;
        entry.warning_count += warning_count;
    }
}
