//! All zones that are served, found by the deepest apex that matches; and the names of those that should be and can't.

use std::sync::Arc;

use arrayvec::ArrayVec;

use crate::wire::name::{LABELS_MAX, is_same};
use crate::wire::{NameRef, SharedName};
use crate::zone::hash::{LookupName, NameHash, Seed};
use crate::zone::{Trail, Zone};

/// An immutable set of zones, no two of one name. A name may stand for a zone that can't be served: nothing at or below it is
/// answered from a zone above.
#[derive(Debug, Default)]
pub struct ZoneSet {
    zones: Vec<Arc<Zone>>,
    broken_count: usize,
    by_apex: Table,
    seed: Option<Seed>,
    name_count: usize,
    /// Bit `n` is set if some apex has `n` labels.
    depths: u128,
}

impl ZoneSet {
    /// Makes a set of zones that were all loaded with one seed. Of two zones with one name the later is kept.
    ///
    /// # Panics
    /// If the seeds differ.
    pub fn new(zones: Vec<Arc<Zone>>) -> Self {
        let seed = zones.first().map(|zone| zone.seed());
        seed.map_or_else(Self::default, |seed| Self::with_broken(zones, Vec::new(), seed))
    }

    /// The same, with the names of zones that should be served and can't. A name that a zone has stands for that zone.
    ///
    /// # Panics
    /// If a zone was loaded with another seed.
    pub fn with_broken(zones: Vec<Arc<Zone>>, broken: Vec<SharedName>, seed: Seed) -> Self {
        let mut set = Self { seed: Some(seed), ..Self::default() };
        set.by_apex = Table::with_room(zones.len() + broken.len());
        let missing = broken.into_iter().map(Apex::Broken);
        let apexes: Vec<Apex> = missing.chain(zones.iter().map(|zone| Apex::Zone(Arc::clone(zone)))).collect();
        for apex in &apexes {
            if let Apex::Zone(zone) = apex {
                assert_eq!(zone.seed(), seed, "zones of one set share the seed");
            }
            set.depths |= 1 << apex.name().label_count();
            set.by_apex.put(apex.hash(seed), apex);
        }
        apexes.iter().for_each(|apex| set.note_above(apex.name()));
        set.zones = zones;
        let is_kept = |zone: &Arc<Zone>| {
            let found = set.by_apex.get(zone.apex_hash(), zone.apex().as_bytes());
            found.and_then(Entry::zone).is_some_and(|kept| Arc::ptr_eq(kept, zone))
        };
        set.zones.retain(is_kept);
        set.broken_count = set.by_apex.places.iter().flatten().filter(|entry| entry.zone().is_none()).count();
        set.name_count = set.zones.iter().map(|zone| zone.name_count()).sum();
        set
    }

    /// The zones, in the order in which they were given.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Zone>> {
        self.zones.iter()
    }

    /// How many zones there are.
    pub fn len(&self) -> usize {
        self.zones.len()
    }

    /// Names of all zones together.
    pub fn name_count(&self) -> usize {
        self.name_count
    }

    /// Whether nothing is served.
    pub fn is_empty(&self) -> bool {
        self.zones.is_empty()
    }

    /// How many names stand for zones that can't be served.
    pub fn broken_count(&self) -> usize {
        self.broken_count
    }

    /// Notes of the zones above `apex` that they are.
    fn note_above(&mut self, apex: NameRef<'_>) {
        let name = LookupName::new(apex);
        let (Some(above), Some(seed)) = (name.label_count().checked_sub(1), self.seed) else { return };
        let apexes: ArrayVec<_, { LABELS_MAX + 1 }> = self.apexes(&name, above, seed).collect();
        for (hash, depth) in apexes {
            self.by_apex.note_above(hash, name.suffix_octets(depth));
        }
    }

    /// What there is of the only zone: what to begin with in [`Self::locate`].
    #[inline]
    pub fn only(&self) -> Option<&Entry> {
        let [zone] = &self.zones[..] else { return None };
        if self.broken_count == 0 { self.by_apex.first_place(zone.apex_hash()).as_ref() } else { None }
    }

    /// What there is at the deepest apex at or above `name`: the zone, and the first steps towards the name there.
    ///
    /// `last` is what was found for the name before, if anything was; of many names, most are of a few zones. Cost: one hash step
    /// a label, and one probe for each number of labels that some apex has; of the zone of `last`, one step for each label below
    /// its apex.
    #[inline]
    pub fn locate<'z>(&'z self, name: &LookupName<'_>, last: &mut Option<&'z Entry>) -> Option<Located<'z>> {
        if let Some(Entry { apex: Apex::Zone(zone), is_above: false, .. }) = last
            && name.label_count() >= zone.apex_labels
            && is_same(name.suffix_octets(zone.apex_labels), zone.apex().as_bytes())
        {
            return Some(Located::Within(zone, zone.trail(name)));
        }
        *last = self.search(name, name.label_count());
        last.map(|entry| entry.located(name))
    }

    /// The zone with the deepest apex of at most `labels_max` labels at or above `name`, if it can be served.
    pub fn find(&self, name: &LookupName<'_>, labels_max: usize) -> Option<&Arc<Zone>> {
        self.search(name, labels_max).and_then(Entry::zone)
    }

    /// What there is at that apex.
    pub fn search(&self, name: &LookupName<'_>, labels_max: usize) -> Option<&Entry> {
        let apexes = self.apexes(name, labels_max, self.seed?);
        apexes.filter_map(|(hash, depth)| self.by_apex.get(hash, name.suffix_octets(depth))).last()
    }

    /// Where the search for the zone of `name` begins.
    pub fn places(&self, name: &LookupName<'_>) -> impl Iterator<Item = &Place> {
        let apexes = self.seed.map(|seed| self.apexes(name, name.label_count(), seed));
        apexes.into_iter().flatten().map(|(hash, _)| self.by_apex.first_place(hash))
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

/// Zones by the hash of their apex: open addressing, a step further where a place is taken. Half of it at least is free, so
/// that a search ends.
///
/// What a search reads is one place most often, and the zone itself: where there are very many zones, neither is in the caches.
#[derive(Debug, Default)]
struct Table {
    /// As many as a power of two, or none.
    places: Box<[Place]>,
}

/// What there is of a zone, if there is one here.
pub type Place = Option<Entry>;

/// A zone of a set, or the name of one that can't be served.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The hash of its apex.
    hash: NameHash,
    apex: Apex,
    /// Whether another apex of the set lies below it.
    is_above: bool,
}

/// What stands at an apex.
#[derive(Clone, Debug)]
enum Apex {
    /// A zone.
    Zone(Arc<Zone>),
    /// The name of a zone that can't be served.
    Broken(SharedName),
}

/// Where a name belongs.
#[derive(Clone, Copy)]
pub enum Located<'z> {
    /// To this zone, with these first steps.
    Within(&'z Zone, Trail<'z>),
    /// To a zone that should be served and can't.
    Broken,
}

impl Apex {
    /// The name.
    #[inline]
    fn name(&self) -> NameRef<'_> {
        match self {
            Self::Zone(zone) => zone.apex(),
            Self::Broken(name) => name.as_ref(),
        }
    }

    /// Its hash.
    fn hash(&self, seed: Seed) -> NameHash {
        LookupName::new(self.name()).hash(seed)
    }
}

impl Entry {
    /// The name.
    #[inline]
    pub fn apex(&self) -> NameRef<'_> {
        self.apex.name()
    }

    /// The zone, if it can be served.
    #[inline]
    pub fn zone(&self) -> Option<&Arc<Zone>> {
        match &self.apex {
            Apex::Zone(zone) => Some(zone),
            Apex::Broken(_) => None,
        }
    }

    /// Where `name` belongs, which is at or below the apex.
    #[inline]
    pub fn located(&self, name: &LookupName<'_>) -> Located<'_> {
        self.zone().map_or(Located::Broken, |zone| Located::Within(zone, zone.trail(name)))
    }
}

impl Table {
    /// A table for so many zones.
    fn with_room(count: usize) -> Self {
        Self { places: vec![None; (2 * count).next_power_of_two()].into() }
    }

    /// Puts an apex into the table, in the place of one of the same name.
    fn put(&mut self, hash: NameHash, apex: &Apex) {
        let at = self.place(hash, apex.name().as_bytes());
        self.places[at] = Some(Entry { hash, apex: apex.clone(), is_above: false });
    }

    /// Notes of the zone of that name, if there is one, that another lies below it.
    fn note_above(&mut self, hash: NameHash, octets: &[u8]) {
        let at = self.place(hash, octets);
        if let Some(entry) = &mut self.places[at] {
            entry.is_above = true;
        }
    }

    /// The zone of that name, which is `octets` and hashes to `hash`.
    fn get(&self, hash: NameHash, octets: &[u8]) -> Option<&Entry> {
        self.places[self.place(hash, octets)].as_ref()
    }

    /// Where the search for a hash begins. There is a table: the set has a seed.
    fn first_place(&self, hash: NameHash) -> &Place {
        &self.places[hash.0 as usize & (self.places.len() - 1)]
    }

    /// Where the zone of that name stands, or would. There is a table: the set has a seed.
    fn place(&self, hash: NameHash, octets: &[u8]) -> usize {
        let last = self.places.len() - 1;
        let mut at = hash.0 as usize & last;
        while let Some(Entry { hash: stored, apex, .. }) = &self.places[at] {
            if *stored == hash && is_same(apex.name().as_bytes(), octets) {
                break;
            }
            at = (at + 1) & last;
        }
        at
    }
}
