//! The members of one catalog as they were taken last, and what another version makes of them.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::read::{CatalogError, Label, Member, check_version, labels, labels_of_change, member};
use crate::transfer::Change;
use crate::wire::{NameRef, SharedName};
use crate::zone::Zone;

/// The members of one catalog, by label and by name.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    members: HashMap<Label, Member>,
    labels: HashMap<SharedName, Label>,
    /// The serial of the version from which they are; `None` before the first.
    serial: Option<u32>,
}

/// What a version of a catalog changes in its members.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edits {
    /// Member nodes that differ, with what is there now.
    pub(super) nodes: Vec<(Label, Option<Member>)>,
    /// Names that are no longer members.
    pub lost: Vec<SharedName>,
    /// The serial of the version.
    serial: u32,
}

impl Catalog {
    /// How many members there are.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// The member of that name, with its label.
    pub fn find(&self, name: &SharedName) -> Option<(&Label, &Member)> {
        let label = self.labels.get(name)?;
        Some((label, self.members.get(label)?))
    }

    /// All members.
    pub fn iter(&self) -> impl Iterator<Item = &Member> {
        self.members.values()
    }

    /// The member at a label.
    pub(super) fn at(&self, label: &Label) -> Option<&Member> {
        self.members.get(label)
    }

    /// Compares the members with those of a version. Where `changes` lead to it from the version that was taken last,
    /// only what they touch is looked at.
    ///
    /// # Errors
    /// [`CatalogError`]; nothing must follow from such a version.
    pub fn compare(&self, zone: &Zone, changes: &[Arc<Change>]) -> Result<Edits, CatalogError> {
        check_version(zone)?;
        let mut nodes = Vec::new();
        for label in self.touched(zone, changes) {
            let member = member(zone, &label)?;
            if self.members.get(&label) != member.as_ref() {
                nodes.push((label, member));
            }
        }
        // In an order that does not hang on hashes.
        nodes.sort_by(|(a, _), (b, _)| a.cmp(b));
        let lost = self.lost(&nodes)?;
        Ok(Edits { nodes, lost, serial: zone.serial() })
    }

    /// The labels of the nodes that may differ.
    fn touched(&self, zone: &Zone, changes: &[Arc<Change>]) -> HashSet<Label> {
        let mut serial = self.serial;
        let follows = !changes.is_empty()
            && changes.iter().all(|change| serial.replace(change.to.serial()) == Some(change.from.serial()))
            && serial == Some(zone.serial());
        if follows {
            changes.iter().flat_map(|change| labels_of_change(change, zone.apex())).collect()
        } else {
            labels(zone).chain(self.members.keys().cloned()).collect()
        }
    }

    /// The names that no node has any more. No two nodes may have one.
    fn lost(&self, nodes: &[(Label, Option<Member>)]) -> Result<Vec<SharedName>, CatalogError> {
        let mut named: HashMap<&SharedName, Option<&Label>> = HashMap::with_capacity(nodes.len());
        for (label, _) in nodes {
            if let Some(before) = self.members.get(label) {
                named.insert(&before.name, None);
            }
        }
        for (label, member) in nodes {
            let Some(Member { name, .. }) = member else { continue };
            let twice = |other: &Label| CatalogError::NamedTwice(name.clone(), other.clone(), label.clone());
            match named.entry(name) {
                Entry::Occupied(mut entry) => match entry.get() {
                    Some(other) => return Err(twice(other)),
                    None => drop(entry.insert(Some(label))),
                },
                Entry::Vacant(entry) => match self.labels.get(name) {
                    Some(other) => return Err(twice(other)),
                    None => drop(entry.insert(Some(label))),
                },
            }
        }
        let mut lost: Vec<_> = named.into_iter().filter(|(_, label)| label.is_none()).map(|(name, _)| name).collect();
        lost.sort();
        Ok(lost.into_iter().cloned().collect())
    }

    /// Takes what a version changes. Returns the names that are concerned, each once.
    pub(super) fn take(&mut self, edits: Edits) -> Vec<SharedName> {
        let mut names = Vec::with_capacity(edits.nodes.len());
        for (label, _) in &edits.nodes {
            if let Some(before) = self.members.remove(label) {
                self.labels.remove(&before.name);
                names.push(before.name);
            }
        }
        for (label, member) in edits.nodes {
            if let Some(member) = member {
                names.push(member.name.clone());
                self.labels.insert(member.name.clone(), label.clone());
                self.members.insert(label, member);
            }
        }
        self.serial = Some(edits.serial);
        names.sort();
        names.dedup();
        names
    }

    /// Whether a name is that of a member.
    pub fn has(&self, name: NameRef<'_>) -> bool {
        self.labels.contains_key(&SharedName::from(name))
    }
}
