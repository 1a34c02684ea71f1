//! Where names stand in a zone that is not laid out yet: what `lookup` finds in the finished zone, told by hashes alone.
//!
//! Names are compared by their seeded hashes of 64 bits only. What two names of one hash would spoil is a warning, or
//! the flag "below a cut" of one of them.

use std::collections::HashSet;

use crate::wire::NameRef;
use crate::zone::collect::{Facts, Pieces, Run, shard_of};
use crate::zone::crew::{self, Crew};
use crate::zone::hash::{LookupName, NameHash, Seed, wildcard_hash};
use crate::zone::survey::wildcard_parent;

/// Runs on both sides of the place where a hash is supposed to be that are looked at first.
const REACH: usize = 16;

/// A name between the apex and those that have records, without records of its own (RFC 4592 §2.2.2).
pub(super) struct Empty {
    pub(super) hash: NameHash,
    octets: Box<[u8]>,
}

impl Empty {
    pub(super) fn new(hash: NameHash, name: NameRef<'_>) -> Self {
        Self { hash, octets: name.as_bytes().into() }
    }

    pub(super) fn name(&self) -> NameRef<'_> {
        NameRef::parse(&self.octets).expect("it was made from a name")
    }
}

/// All names of a zone by their hashes.
pub(super) struct Index {
    seed: Seed,
    apex_labels: usize,
    apex_hash: NameHash,
    apex_facts: Facts,
    /// What the owners say together.
    all_facts: Facts,
    shard_bits: u32,
    /// The runs of each shard, sorted.
    shards: Vec<Vec<Run>>,
    /// Sorted by hash.
    empties: Vec<Empty>,
}

/// Where a name stands; see [`crate::zone::Found`].
pub(super) enum Stand {
    /// It exists and is authoritative.
    Exact(Facts),
    /// It is or stands below the cut of so many labels.
    Cut(usize),
    /// It stands below the owner of a DNAME, which has so many labels.
    Redirected(usize),
    /// It does not exist; what there is at the wildcard beside it.
    Missing(Option<Facts>),
}

impl Index {
    /// Takes the sorted runs of each shard; their number is a power of two.
    pub(super) fn new(seed: Seed, apex: NameRef<'_>, shards: Vec<Vec<Run>>) -> Self {
        let name = LookupName::new(apex);
        let mut index = Self {
            seed,
            apex_labels: name.label_count(),
            apex_hash: name.hash(seed),
            apex_facts: Facts::default(),
            all_facts: shards.iter().flatten().fold(Facts::default(), |facts, run| facts.and(run.facts())),
            shard_bits: shards.len().ilog2(),
            shards,
            empties: Vec::new(),
        };
        index.apex_facts = index.facts(index.apex_hash).unwrap_or_default();
        index
    }

    /// Finds the empty non-terminals, and those of their parents that they make parents of a wildcard.
    pub(super) fn find_empties(
        &mut self,
        pieces: &[Pieces],
        labels_max: usize,
        crew: &dyn Crew,
        wildcard_parents: &mut HashSet<NameHash>,
    ) {
        if labels_max <= self.apex_labels + 1 {
            return;
        }
        let shards: Vec<&Pieces> = pieces.iter().collect();
        let found = crew::map(crew, shards, |shard, pieces| self.empties_above(shard, pieces));
        let mut empties: Vec<Empty> = found.into_iter().flatten().collect();
        wildcard_parents.extend(empties.iter().filter_map(|empty| wildcard_parent(empty.name(), self.seed)));
        empties.sort_unstable_by_key(|empty| empty.hash);
        empties.dedup_by_key(|empty| empty.hash);
        empties.shrink_to_fit();
        self.empties = empties;
    }

    /// The empty non-terminals above the owners of one shard, each once.
    fn empties_above(&self, shard: usize, pieces: &Pieces) -> Vec<Empty> {
        let shallow = self.apex_labels + 1;
        let (mut seen, mut found) = (HashSet::new(), Vec::new());
        for run in self.shards[shard].iter().filter(|run| run.label_count() > shallow) {
            let name = LookupName::new(pieces.owner(*run));
            for labels in (shallow..name.label_count()).rev() {
                let hash = name.hash_of_suffix(self.seed, labels);
                if self.facts(hash).is_some() || !seen.insert(hash) {
                    break; // Its ancestors are found from there.
                }
                found.push(Empty::new(hash, pieces.owner(*run).suffix(labels)));
            }
        }
        found
    }

    /// How many shards there are.
    pub(super) fn shard_count(&self) -> usize {
        self.shards.len()
    }

    /// The runs of one shard, sorted.
    pub(super) fn runs(&self, shard: usize) -> &[Run] {
        &self.shards[shard]
    }

    /// The empty non-terminals that belong to one shard, sorted by hash.
    pub(super) fn empties(&self, shard: usize) -> &[Empty] {
        let start = self.empties.partition_point(|empty| shard_of(empty.hash, self.shard_bits) < shard);
        let end = self.empties.partition_point(|empty| shard_of(empty.hash, self.shard_bits) <= shard);
        &self.empties[start..end]
    }

    /// What is known of the owner with that hash; `None` if there is none.
    pub(super) fn facts(&self, hash: NameHash) -> Option<Facts> {
        let runs = &self.shards[shard_of(hash, self.shard_bits)];
        let first = first_not_below(runs, hash, self.shard_bits);
        let own = runs[first..].iter().take_while(|run| run.hash == hash);
        own.map(|run| run.facts()).reduce(Facts::and)
    }

    /// The same, empty non-terminals included.
    fn facts_of_any(&self, hash: NameHash) -> Option<Facts> {
        let is_empty = || self.empties.binary_search_by_key(&hash, |empty| empty.hash).is_ok();
        self.facts(hash).or_else(|| is_empty().then(Facts::default))
    }

    /// The topmost cut or owner of a DNAME strictly above a name of the zone.
    pub(super) fn occluder(&self, name: &LookupName) -> Option<Stand> {
        if !self.all_facts.has(Facts::HAS_NS.and(Facts::HAS_DNAME)) {
            return None;
        }
        if self.apex_facts.has(Facts::HAS_DNAME) && name.label_count() > self.apex_labels {
            return Some(Stand::Redirected(self.apex_labels));
        }
        let mut hash = self.apex_hash;
        for labels in self.apex_labels + 1..name.label_count() {
            hash = name.descend(self.seed, hash, labels - 1);
            match self.facts(hash) {
                Some(facts) if facts.has(Facts::HAS_NS) => return Some(Stand::Cut(labels)),
                Some(facts) if facts.has(Facts::HAS_DNAME) => return Some(Stand::Redirected(labels)),
                _ => {}
            }
        }
        None
    }

    /// Finds where a name at or below the apex stands (RFC 1034 §4.3.2).
    pub(super) fn stand(&self, name: &LookupName) -> Stand {
        let (mut hash, mut labels, mut facts) = (self.apex_hash, self.apex_labels, self.apex_facts);
        loop {
            if labels > self.apex_labels && facts.has(Facts::HAS_NS) {
                return Stand::Cut(labels);
            }
            if labels == name.label_count() {
                return Stand::Exact(facts);
            }
            if facts.has(Facts::HAS_DNAME) {
                return Stand::Redirected(labels);
            }
            let below = name.descend(self.seed, hash, labels);
            let Some(next) = self.facts_of_any(below) else {
                return Stand::Missing(self.facts_of_any(wildcard_hash(self.seed, hash)));
            };
            (hash, labels, facts) = (below, labels + 1, next);
        }
    }
}

/// The first of sorted runs whose hash is not below `hash`, of which all share the top `shard_bits`.
///
/// Hashes are spread evenly, so the place can be told from the hash, and is looked for around there.
fn first_not_below(runs: &[Run], hash: NameHash, shard_bits: u32) -> usize {
    let place = (u128::from(hash.0 << shard_bits) * runs.len() as u128) >> 64;
    let mut reach = REACH;
    loop {
        let low = (place as usize).saturating_sub(reach);
        let high = (place as usize + reach).min(runs.len());
        let is_behind_low = low == 0 || runs[low - 1].hash < hash;
        let is_before_high = high == runs.len() || runs[high].hash >= hash;
        if is_behind_low && is_before_high {
            return low + runs[low..high].partition_point(|run| run.hash < hash);
        }
        reach *= 4;
    }
}
