//! Apexes by the hash of their name: a tree of small tables with open addressing, of which versions share what is
//! equal.
//!
//! ```text
//!   ≤ 256 apexes:  leaf: │ slot │ slot │ …           where the low bits of the hash say, or behind
//!   more:          branch of 64, by the next six high bits ──▶ leaf, or branch …
//! ```
//!
//! Half of a leaf's slots at least are free, so that a search ends. What a search reads is one slot most often, and the
//! zone itself: where there are very many zones, neither is in the caches, but the branches are.

use std::sync::Arc;

use super::apex::Apex;
use crate::wire::name::is_same;
use crate::zone::hash::NameHash;

/// The most apexes of a leaf before it becomes a branch of leaves.
const LEAF_APEXES_MAX: usize = 256;
/// Bits of a hash by which a branch chooses.
const BRANCH_BITS: u32 = 6;
/// Children of a branch.
const CHILDREN: usize = 1 << BRANCH_BITS;
/// The most branches above each other; below them leaves grow. More zones than there can be would be needed.
const DEPTH_MAX: u32 = 6;

/// Where an apex is, if there is one.
pub type Slot = Option<Apex>;

/// A version of the table, or a part of it.
#[derive(Clone, Debug)]
pub(super) enum Table {
    /// As many slots as a power of two.
    Leaf(Arc<[Slot]>),
    /// The children by [`child_index`].
    Branch(Arc<[Self; CHILDREN]>),
}

impl Default for Table {
    fn default() -> Self {
        Self::leaf(&[])
    }
}

impl Table {
    /// A leaf of those apexes.
    fn leaf(apexes: &[Apex]) -> Self {
        let mut slots = vec![None; (2 * apexes.len()).next_power_of_two()];
        for apex in apexes {
            let at = slot_of(&slots, apex.hash, apex.name().as_bytes());
            slots[at] = Some(apex.clone());
        }
        Self::Leaf(slots.into())
    }

    /// The leaf in which a hash is, if it is in the table.
    #[inline]
    fn slots(&self, hash: NameHash) -> &[Slot] {
        let (mut table, mut bits) = (self, hash.0);
        loop {
            match table {
                Self::Leaf(slots) => return slots,
                Self::Branch(children) => table = &children[(bits >> (u64::BITS - BRANCH_BITS)) as usize],
            }
            bits <<= BRANCH_BITS;
        }
    }

    /// Where the search for a hash begins.
    #[inline]
    pub(super) fn first_slot(&self, hash: NameHash) -> &Slot {
        let slots = self.slots(hash);
        &slots[hash.0 as usize & (slots.len() - 1)]
    }

    /// The apex of that name, which is `octets` and hashes to `hash`.
    #[inline]
    pub(super) fn get(&self, hash: NameHash, octets: &[u8]) -> Option<&Apex> {
        let slots = self.slots(hash);
        slots[slot_of(slots, hash, octets)].as_ref()
    }

    /// The only apex of a table that has one.
    #[inline]
    pub(super) fn only(&self) -> Option<&Apex> {
        match self {
            Self::Leaf(slots) => slots.iter().flatten().next(),
            Self::Branch(_) => None,
        }
    }

    /// The same to be changed, in a path of its own.
    pub(super) fn get_mut(&mut self, hash: NameHash, octets: &[u8]) -> Option<&mut Apex> {
        let slots = self.slots_mut(hash);
        let at = slot_of(slots, hash, octets);
        Arc::make_mut(slots)[at].as_mut()
    }

    /// Puts an apex in, instead of one of the same name.
    pub(super) fn put(&mut self, apex: Apex) {
        let (mut table, mut depth) = (self, 0);
        while let Self::Branch(children) = table {
            table = &mut Arc::make_mut(children)[child_index(apex.hash, depth)];
            depth += 1;
        }
        let Self::Leaf(slots) = table else { return };
        let at = slot_of(slots, apex.hash, apex.name().as_bytes());
        let count = slots.iter().flatten().count();
        if slots[at].is_some() || 2 * (count + 1) <= slots.len() {
            Arc::make_mut(slots)[at] = Some(apex);
            return;
        }
        let mut apexes: Vec<Apex> = slots.iter().flatten().cloned().chain([apex]).collect();
        if apexes.len() <= LEAF_APEXES_MAX || depth == DEPTH_MAX {
            *table = Self::leaf(&apexes);
            return;
        }
        apexes.sort_unstable_by_key(|apex| child_index(apex.hash, depth));
        let mut children = apexes.chunk_by(|a, b| child_index(a.hash, depth) == child_index(b.hash, depth)).peekable();
        *table = Self::Branch(Arc::new(std::array::from_fn(|index| {
            Self::leaf(children.next_if(|chunk| child_index(chunk[0].hash, depth) == index).unwrap_or_default())
        })));
    }

    /// Takes the apex of that name out. A branch stays one, however few apexes are left below it.
    pub(super) fn remove(&mut self, hash: NameHash, octets: &[u8]) {
        let slots = self.slots_mut(hash);
        let gone = slot_of(slots, hash, octets);
        if slots[gone].is_some() {
            let is_left = |(at, slot): (usize, &Slot)| slot.clone().filter(|_| at != gone);
            let left: Vec<Apex> = slots.iter().enumerate().filter_map(is_left).collect();
            if let Self::Leaf(fresh) = Self::leaf(&left) {
                *slots = fresh;
            }
        }
    }

    /// The leaf in which a hash is, to be changed.
    fn slots_mut(&mut self, hash: NameHash) -> &mut Arc<[Slot]> {
        let (mut table, mut depth) = (self, 0);
        loop {
            match table {
                Self::Leaf(slots) => return slots,
                Self::Branch(children) => table = &mut Arc::make_mut(children)[child_index(hash, depth)],
            }
            depth += 1;
        }
    }
}

/// The child for a hash of a branch below `depth` others.
fn child_index(hash: NameHash, depth: u32) -> usize {
    (hash.0 << (depth * BRANCH_BITS) >> (u64::BITS - BRANCH_BITS)) as usize
}

/// The slot in a leaf where the apex of that name is, or would be.
#[inline]
fn slot_of(slots: &[Slot], hash: NameHash, octets: &[u8]) -> usize {
    let last = slots.len() - 1;
    let mut at = hash.0 as usize & last;
    while let Some(apex) = &slots[at] {
        if apex.hash == hash && is_same(apex.name().as_bytes(), octets) {
            break;
        }
        at = (at + 1) & last;
    }
    at
}
