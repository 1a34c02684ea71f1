//! The names of a zone near a change: which exist, which hide what is below them, and which nodes may differ.

use std::collections::BTreeMap;

use crate::wire::{Name, NameRef};
use crate::zone::Zone;
use crate::zone::children::{Children, Link};
use crate::zone::hash::{LookupName, NameHash};
use crate::zone::node::Flags;

/// What hides the names below it.
const HIDING: Flags = Flags(Flags::IS_CUT.0 | Flags::HAS_DNAME.0);

/// A version of the tree of names that is being made from another.
///
/// At each step a name exists just if it has records or another below it.
pub(super) struct Tree<'z> {
    base: &'z Zone,
    /// The names that were looked at.
    states: BTreeMap<Name, State>,
    pub(super) children: Children,
    pub(super) labels_max: usize,
    /// Names that have a wildcard below them.
    pub(super) wildcard_count: usize,
    /// Names that hide what is below them otherwise than before.
    flipped: Vec<Name>,
}

/// What is known of one name.
#[derive(Clone, Copy)]
pub(super) struct State {
    pub(super) hash: NameHash,
    pub(super) exists: bool,
    has_records: bool,
    /// Those of [`HIDING`] that it has.
    hides: Flags,
    /// Whether its node may differ.
    is_dirty: bool,
}

impl<'z> Tree<'z> {
    /// Starts with the tree of a zone.
    pub(super) fn new(base: &'z Zone) -> Self {
        Self {
            base,
            states: BTreeMap::new(),
            children: base.children().clone(),
            labels_max: base.labels_max(),
            wildcard_count: base.wildcard_count(),
            flipped: Vec::new(),
        }
    }

    /// What is known of a name now.
    fn look(&self, name: NameRef<'_>) -> State {
        self.states.get(&name.to_name()).copied().unwrap_or_else(|| {
            let hash = LookupName::new(name).hash(self.base.seed());
            let node = self.base.names().find(hash, name.as_bytes());
            State {
                hash,
                exists: node.is_some(),
                has_records: node.is_some_and(|node| !node.is_empty()),
                hides: Flags(node.map_or(0, |node| node.flags().0 & HIDING.0)),
                is_dirty: false,
            }
        })
    }

    /// Notes what a name is, its node being one that may differ.
    fn note(&mut self, name: NameRef<'_>, state: State) {
        self.states.insert(name.to_name(), State { is_dirty: true, ..state });
    }

    /// Says whether a name has records, and whether those hide what is below it.
    pub(super) fn set(&mut self, name: NameRef<'_>, has_records: bool, hides: Flags) {
        let before = self.look(name);
        if before.hides != hides {
            self.flipped.push(name.to_name());
        }
        self.note(name, State { has_records, hides, ..before });
        let exists = has_records || self.children.of(before.hash).next().is_some();
        if exists != before.exists {
            self.set_existence(name, exists);
        }
    }

    /// Lets a name exist, or no longer, and with it the empty ones above it.
    fn set_existence(&mut self, name: NameRef<'_>, exists: bool) {
        let apex_labels = self.base.apex().label_count();
        let mut name = name;
        loop {
            let state = self.look(name);
            self.note(name, State { exists, ..state });
            let labels = name.label_count();
            self.labels_max = self.labels_max.max(if exists { labels } else { 0 });
            let Some(parent) = name.parent().filter(|_| labels > apex_labels) else { return };
            let above = self.look(parent);
            if name.is_wildcard() {
                self.note(parent, above);
                self.wildcard_count = if exists { self.wildcard_count + 1 } else { self.wildcard_count - 1 };
            }
            if labels == apex_labels + 1 {
                return; // The apex always exists.
            }
            let link = Link { parent: above.hash, child: state.hash };
            if exists {
                self.children.insert(link)
            } else {
                self.children.remove(link)
            }
            let parent_exists = above.has_records || self.children.of(above.hash).next().is_some();
            if parent_exists == above.exists {
                return;
            }
            name = parent;
        }
    }

    /// Finds what is hidden otherwise than before. False if that hangs on the apex, below which not all is listed.
    pub(super) fn settle(&mut self) -> bool {
        let mut above = std::mem::take(&mut self.flipped);
        if above.iter().any(|name| name.as_ref() == self.base.apex()) {
            return false;
        }
        while let Some(name) = above.pop() {
            let below: Vec<NameHash> = self.children.of(self.look(name.as_ref()).hash).collect();
            for hash in below {
                // What is new may differ anyway, and so may all below it, which is new as well.
                let is_child = |node: crate::zone::node::Node<'_>| node.name().parent() == Some(name.as_ref());
                if let Some(node) = self.base.names().find_by(hash, is_child) {
                    self.note(node.name(), self.look(node.name()));
                    above.push(node.name().to_name());
                }
            }
        }
        true
    }

    /// The names whose nodes may differ.
    pub(super) fn dirty(&self) -> impl Iterator<Item = (&Name, &State)> {
        self.states.iter().filter(|(_, state)| state.is_dirty)
    }

    /// The topmost name above `name` that hides it: its labels, and whether by a cut or by a DNAME.
    pub(super) fn hider(&self, name: NameRef<'_>) -> Option<(usize, Flags)> {
        (self.base.apex().label_count()..name.label_count()).find_map(|labels| {
            let hides = self.look(name.suffix(labels)).hides;
            let kind = if hides.has(Flags::IS_CUT) { Flags::IS_CUT } else { Flags::HAS_DNAME };
            hides.has(HIDING).then_some((labels, kind))
        })
    }

    /// The flags of the node of a name.
    pub(super) fn flags(&self, name: NameRef<'_>, is_occluded: bool) -> Flags {
        let ready = LookupName::new(name);
        let wildcard = ready.wildcard(ready.label_count());
        let has_wildcard = wildcard.is_some_and(|wildcard| self.look(wildcard.as_ref()).exists);
        let hides = self.look(name).hides;
        hides.with(Flags::HAS_WILDCARD, has_wildcard).with(Flags::IS_OCCLUDED, is_occluded)
    }
}
