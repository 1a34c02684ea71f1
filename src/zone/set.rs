//! All zones that are served, found by the deepest apex that matches.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use crate::wire::name::{LABELS_MAX, is_same};
use crate::zone::Zone;
use crate::zone::hash::{LookupName, NameHash, Seed};

/// An immutable set of zones, no two of one name.
#[derive(Debug, Default)]
pub struct ZoneSet {
    zones: Vec<Arc<Zone>>,
    by_apex: HashMap<NameHash, u32, BuildHasherDefault<PassThrough>>,
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
        for zone in zones {
            assert_eq!(set.seed, Some(zone.seed()), "zones of one set share the seed");
            set.depths |= 1 << zone.apex().label_count();
            match set.by_apex.get(&zone.apex_hash()) {
                Some(index) if set.zones[*index as usize].apex() == zone.apex() => set.zones[*index as usize] = zone,
                _ => {
                    set.by_apex.insert(zone.apex_hash(), set.zones.len() as u32);
                    set.zones.push(zone);
                }
            }
        }
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

    /// The zone with the deepest apex of at most `labels_max` labels at or above `name`.
    ///
    /// Cost: one hash step a label, and one probe for each number of labels that some apex has.
    pub fn find(&self, name: &LookupName<'_>, labels_max: usize) -> Option<&Arc<Zone>> {
        let seed = self.seed?;
        let (mut hash, mut labels) = (LookupName::root_hash(seed), 0);
        let mut found = None;
        let mut depths = self.depths & u128::MAX >> (LABELS_MAX - name.label_count().min(labels_max));
        while depths != 0 {
            let depth = depths.trailing_zeros() as usize;
            hash = (labels..depth).fold(hash, |hash, depth| name.descend(seed, hash, depth));
            labels = depth;
            found = self.with_apex(hash, name.suffix_octets(depth)).or(found);
            depths &= depths - 1;
        }
        found
    }

    fn with_apex(&self, hash: NameHash, octets: &[u8]) -> Option<&Arc<Zone>> {
        let zone = &self.zones[*self.by_apex.get(&hash)? as usize];
        is_same(zone.apex().as_bytes(), octets).then_some(zone)
    }
}

/// A hasher for keys that are seeded hashes already.
#[derive(Default)]
struct PassThrough(u64);

impl Hasher for PassThrough {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
