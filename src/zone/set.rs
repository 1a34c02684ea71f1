//! All zones that are served, found by the deepest apex that matches; and the names of those that should be and can't.
//!
//! Persistent: to add, replace or remove one zone of a copy costs what that zone costs, however many there are.

mod apex;
mod table;

use std::sync::Arc;

use arrayvec::ArrayVec;

use crate::persistent::List;
use crate::wire::name::{LABELS_MAX, is_same};
use crate::wire::{NameRef, SharedName};
use crate::zone::Zone;
use crate::zone::hash::{LookupName, NameHash, Seed};
pub use apex::Apex;
use apex::State;
pub use table::Slot;
use table::Table;

/// Zones, no two of one name, all loaded with one seed. A name may stand for a zone that can't be served: nothing at or
/// below it is answered from a zone above.
///
/// A copy shares everything with what it was made from; a change of it copies the path to what changes.
#[derive(Clone, Debug, Default)]
pub struct ZoneSet {
    by_hash: Table,
    seed: Option<Seed>,
    zone_count: usize,
    name_count: usize,
    /// Bit `n` is set if some apex has `n` labels.
    depths: u128,
    /// The apexes in canonical order: what is below one comes right behind it.
    in_order: List<State>,
    /// How many apexes have `n` labels.
    depth_counts: DepthCounts,
}

/// Counts by number of labels.
#[derive(Clone, Debug)]
struct DepthCounts([u32; LABELS_MAX + 1]);

impl Default for DepthCounts {
    fn default() -> Self {
        Self([0; LABELS_MAX + 1])
    }
}

impl ZoneSet {
    /// Makes a set of zones that were all loaded with one seed. Of two zones with one name the later is kept.
    ///
    /// # Panics
    /// If the seeds differ.
    pub fn new(zones: Vec<Arc<Zone>>) -> Self {
        let mut set = Self { seed: zones.first().map(|zone| zone.seed()), ..Self::default() };
        zones.into_iter().for_each(|zone| set.put(zone));
        set
    }

    /// Makes an empty set for zones that are loaded with that seed.
    pub fn with_seed(seed: Seed) -> Self {
        Self { seed: Some(seed), ..Self::default() }
    }

    /// Puts a zone in, in the place of what has its name.
    ///
    /// # Panics
    /// If it was loaded with another seed.
    pub fn put(&mut self, zone: Arc<Zone>) {
        assert_eq!(Some(zone.seed()), self.seed, "zones of one set share the seed");
        self.put_state(State::Served(zone));
    }

    /// Puts the name of a zone in that should be served and can't, in the place of what has that name.
    ///
    /// # Panics
    /// If the set has no seed.
    pub fn put_broken(&mut self, name: SharedName) {
        self.put_state(State::Broken(name));
    }

    /// Takes out what has that name.
    pub fn remove(&mut self, name: NameRef<'_>) {
        let (Some(seed), Ok(index)) = (self.seed, self.in_order.search(|state| state.name().cmp(&name))) else {
            return;
        };
        let lookup = LookupName::new(name);
        let gone = self.in_order.remove(index);
        self.count(&gone, |count| count - 1, |sum, names| sum - names);
        self.by_hash.remove(lookup.hash(seed), name.as_bytes());
        for (hash, octets) in self.apexes_above(&lookup, seed) {
            let Some(above) = self.by_hash.get(hash, octets) else { continue };
            let Ok(index) = self.in_order.search(|state| state.name().cmp(&above.name())) else { continue };
            if !self.is_above_next(above.name(), index) {
                self.mark(hash, octets, false);
            }
        }
    }

    /// Puts in what is at an apex.
    fn put_state(&mut self, state: State) {
        let seed = self.seed.expect("a set that something is put into has a seed");
        let stored = state.clone();
        let name = stored.name();
        let lookup = LookupName::new(name);
        let hash = lookup.hash(seed);
        let index = match self.in_order.search(|other| other.name().cmp(&name)) {
            Ok(index) => {
                let before = self.in_order.replace(index, state);
                self.count(&before, |count| count - 1, |sum, names| sum - names);
                index
            }
            Err(index) => {
                self.in_order.insert(index, state);
                for (hash, octets) in self.apexes_above(&lookup, seed) {
                    self.mark(hash, octets, true);
                }
                index
            }
        };
        self.count(&stored, |count| count + 1, |sum, names| sum + names);
        let is_above = self.is_above_next(name, index);
        self.by_hash.put(Apex { hash, state: stored.clone(), is_above });
    }

    /// Counts what is at an apex, or counts it no more.
    fn count(&mut self, state: &State, one: impl Fn(u32) -> u32, names: impl Fn(usize, usize) -> usize) {
        let depth = state.name().label_count();
        let count = &mut self.depth_counts.0[depth];
        *count = one(*count);
        self.depths = if *count == 0 { self.depths & !(1 << depth) } else { self.depths | 1 << depth };
        if let State::Served(zone) = state {
            self.name_count = names(self.name_count, zone.name_count());
            self.zone_count = names(self.zone_count, 1);
        }
    }

    /// The suffixes of `name` that may be apexes above it: hash and octets of each.
    fn apexes_above<'n>(
        &self,
        name: &LookupName<'n>,
        seed: Seed,
    ) -> ArrayVec<(NameHash, &'n [u8]), { LABELS_MAX + 1 }> {
        let Some(above) = name.label_count().checked_sub(1) else { return ArrayVec::new() };
        self.apexes(name, above, seed).map(|(hash, depth)| (hash, name.suffix_octets(depth))).collect()
    }

    /// Notes at the apex of that name, if there is one, whether another is below it.
    fn mark(&mut self, hash: NameHash, octets: &[u8], is_above: bool) {
        // Looked at first, since to change it copies a path.
        if self.by_hash.get(hash, octets).is_some_and(|apex| apex.is_above != is_above)
            && let Some(apex) = self.by_hash.get_mut(hash, octets)
        {
            apex.is_above = is_above;
        }
    }

    /// Whether some apex is below `name`, the one at `index`: then the next one is.
    fn is_above_next(&self, name: NameRef<'_>, index: usize) -> bool {
        self.in_order.get(index + 1).is_some_and(|next| next.name().is_below(name))
    }

    /// The zones, in canonical order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Zone>> {
        self.in_order.iter().filter_map(State::zone)
    }

    /// The zone at or behind a position among the apexes, of which there are as many as zones and broken ones; else the
    /// first.
    pub fn at_or_behind(&self, position: usize) -> Option<&Arc<Zone>> {
        let position = position % self.in_order.len().max(1);
        let mut behind = self.in_order.iter_from(position).filter_map(State::zone);
        behind.next().or_else(|| self.iter().next())
    }

    /// How many zones there are.
    pub fn len(&self) -> usize {
        self.zone_count
    }

    /// Names of all zones together.
    pub fn name_count(&self) -> usize {
        self.name_count
    }

    /// Whether nothing is served.
    pub fn is_empty(&self) -> bool {
        self.zone_count == 0
    }

    /// How many names stand for zones that can't be served.
    pub fn broken_count(&self) -> usize {
        self.in_order.len() - self.zone_count
    }

    /// The apex of the only zone: what to begin with in [`Self::locate`].
    #[inline]
    pub fn only(&self) -> Option<&Apex> {
        if self.zone_count == 1 && self.in_order.len() == 1 { self.by_hash.only() } else { None }
    }

    /// The deepest apex at or above `name`.
    ///
    /// `last` is what was found for the name before, if anything was; of many names, most are of a few zones. Cost: one
    /// hash step a label, and one probe for each number of labels that some apex has; of the zone of `last`, a
    /// comparison.
    #[inline]
    pub fn locate<'z>(&'z self, name: &LookupName<'_>, last: Option<&'z Apex>) -> Option<&'z Apex> {
        if let Some(Apex { state: State::Served(zone), is_above: false, .. }) = last
            && name.label_count() >= zone.apex_labels
            && is_same(name.suffix_octets(zone.apex_labels), zone.apex().as_bytes())
        {
            return last;
        }
        self.search(name, name.label_count())
    }

    /// The zone with the deepest apex of at most `labels_max` labels at or above `name`, if it can be served.
    pub fn find(&self, name: &LookupName<'_>, labels_max: usize) -> Option<&Arc<Zone>> {
        self.search(name, labels_max).and_then(Apex::zone)
    }

    /// That apex.
    pub fn search(&self, name: &LookupName<'_>, labels_max: usize) -> Option<&Apex> {
        let apexes = self.apexes(name, labels_max, self.seed?);
        apexes.filter_map(|(hash, depth)| self.by_hash.get(hash, name.suffix_octets(depth))).last()
    }

    /// The slots that the search for the zone of `name` reads first.
    pub fn slots(&self, name: &LookupName<'_>) -> impl Iterator<Item = &Slot> {
        let apexes = self.seed.map(|seed| self.apexes(name, name.label_count(), seed));
        apexes.into_iter().flatten().map(|(hash, _)| self.by_hash.first_slot(hash))
    }

    /// The suffixes of `name` that may be an apex, of at most `labels_max` labels: hash and labels of each.
    #[inline]
    fn apexes(&self, name: &LookupName<'_>, labels_max: usize, seed: Seed) -> impl Iterator<Item = (NameHash, usize)> {
        let (mut hash, mut labels) = (LookupName::root_hash(seed), 0);
        let mut depths = self.depths & u128::MAX >> (LABELS_MAX - name.label_count().min(labels_max));
        core::iter::from_fn(move || {
            let depth = (depths != 0).then(|| depths.trailing_zeros() as usize)?;
            hash = name.descend(seed, hash, labels, depth);
            labels = depth;
            depths &= depths - 1;
            Some((hash, depth))
        })
    }
}

#[cfg(test)]
mod tests;
