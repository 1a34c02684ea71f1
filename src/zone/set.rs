//! All zones that are served, found by the deepest apex that matches.

use std::sync::Arc;

use arrayvec::ArrayVec;

use crate::wire::name::{LABELS_MAX, is_same};
use crate::zone::hash::{LookupName, NameHash, Seed};
use crate::zone::{Trail, Zone};

/// An immutable set of zones, no two of one name.
#[derive(Debug, Default)]
pub struct ZoneSet {
    zones: Vec<Arc<Zone>>,
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
        let mut set = Self { seed: zones.first().map(|zone| zone.seed()), ..Self::default() };
        set.by_apex = Table::with_room(zones.len());
        for zone in &zones {
            assert_eq!(set.seed, Some(zone.seed()), "zones of one set share the seed");
            set.depths |= 1 << zone.apex().label_count();
            set.by_apex.put(zone);
        }
        zones.iter().for_each(|zone| set.note_above(zone));
        set.zones = zones;
        let kept = |zone: &Arc<Zone>| set.by_apex.get(zone.apex_hash(), zone.apex().as_bytes());
        set.zones.retain(|zone| kept(zone).is_some_and(|kept| Arc::ptr_eq(&kept.zone, zone)));
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

    /// Notes of the zones above `zone` that they are.
    fn note_above(&mut self, zone: &Zone) {
        let name = LookupName::new(zone.apex());
        let Some(above) = name.label_count().checked_sub(1) else { return };
        let apexes: ArrayVec<_, { LABELS_MAX + 1 }> = self.apexes(&name, above, zone.seed()).collect();
        for (hash, depth) in apexes {
            self.by_apex.note_above(hash, name.suffix_octets(depth));
        }
    }

    /// What there is of the only zone: what to begin with in [`Self::locate`].
    #[inline]
    pub fn only(&self) -> Option<&Entry> {
        if let [zone] = &self.zones[..] { self.by_apex.first_place(zone.apex_hash()).as_ref() } else { None }
    }

    /// The zone with the deepest apex at or above `name`, and the first steps towards the name there.
    ///
    /// `last` is what was found for the name before, if anything was; of many names, most are of a few zones. Cost: one hash step
    /// a label, and one probe for each number of labels that some apex has; of the zone of `last`, one step for each label below
    /// its apex.
    #[inline]
    pub fn locate<'z>(&'z self, name: &LookupName<'_>, last: &mut Option<&'z Entry>) -> Option<(&'z Zone, Trail<'z>)> {
        if let Some(Entry { zone, is_above: false, .. }) = last
            && name.label_count() >= zone.apex_labels
            && is_same(name.suffix_octets(zone.apex_labels), zone.apex().as_bytes())
        {
            return Some((zone, zone.trail(name)));
        }
        *last = self.search(name, name.label_count());
        last.map(|Entry { zone, .. }| (&**zone, zone.trail(name)))
    }

    /// The zone with the deepest apex of at most `labels_max` labels at or above `name`.
    pub fn find(&self, name: &LookupName<'_>, labels_max: usize) -> Option<&Arc<Zone>> {
        self.search(name, labels_max).map(|entry| &entry.zone)
    }

    /// What there is of that zone.
    fn search(&self, name: &LookupName<'_>, labels_max: usize) -> Option<&Entry> {
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

/// A zone of a set.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The hash of its apex.
    hash: NameHash,
    /// The zone.
    pub zone: Arc<Zone>,
    /// Whether another zone of the set lies below it.
    is_above: bool,
}

impl Table {
    /// A table for so many zones.
    fn with_room(count: usize) -> Self {
        Self { places: vec![None; (2 * count).next_power_of_two()].into() }
    }

    /// Puts a zone into the table, in the place of one of the same name.
    fn put(&mut self, zone: &Arc<Zone>) {
        let at = self.place(zone.apex_hash(), zone.apex().as_bytes());
        self.places[at] = Some(Entry { hash: zone.apex_hash(), zone: Arc::clone(zone), is_above: false });
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
        while let Some(Entry { hash: stored, zone, .. }) = &self.places[at] {
            if *stored == hash && is_same(zone.apex().as_bytes(), octets) {
                break;
            }
            at = (at + 1) & last;
        }
        at
    }
}
