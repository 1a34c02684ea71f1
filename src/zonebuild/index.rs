//! Where names stand in a zone that is not laid out yet: what `lookup` finds in the finished zone, known by hashes
//! alone.
//!
//! Names are compared by their seeded hashes of 64 bits only. What two names of one hash would spoil is a warning, or
//! the flag "below a cut" of one of them.

use crate::wire::NameRef;
use crate::zone::children::{Children, Link};
use crate::zone::hash::{LookupName, NameHash, Seed, wildcard_hash};
use crate::zonebuild::collect::{Facts, Pieces, Run, shard_of};
use crate::zonebuild::executor::{self, Executor};
use crate::zonebuild::shards::{Hashes, wildcard_parent};

/// Runs of one slot, roughly: two lines of the CPU's cache.
const SLOT_RUNS: usize = 8;

/// Runs that are looked at before the first of them is worked on.
pub(super) const AHEAD_RUNS: usize = 32;

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
    /// The runs of each shard.
    shards: Vec<Directory>,
    /// Sorted by hash.
    empties: Vec<Empty>,
}

/// Where a name stands; see [`crate::zone::Found`].
pub(super) enum Placement {
    /// It exists and is authoritative.
    Exact(Facts),
    /// It is or stands below the cut of so many labels.
    Cut(usize),
    /// It stands below the owner of a DNAME, which has so many labels.
    Dname(usize),
    /// It does not exist; what there is at the wildcard beside it.
    NoMatch(Option<Facts>),
}

impl Index {
    /// Takes the sorted runs of each shard; their number is a power of two.
    pub(super) fn new(seed: Seed, apex: NameRef<'_>, shards: Vec<Vec<Run>>) -> Self {
        let (name, shard_bits) = (LookupName::new(apex), shards.len().ilog2());
        let mut index = Self {
            seed,
            apex_labels: name.label_count(),
            apex_hash: name.hash(seed),
            apex_facts: Facts::default(),
            all_facts: shards.iter().flatten().fold(Facts::default(), |facts, run| facts.and(run.facts())),
            shard_bits,
            shards: shards.into_iter().map(|runs| Directory::new(runs, shard_bits)).collect(),
            empties: Vec::new(),
        };
        index.apex_facts = index.facts(index.apex_hash).unwrap_or_default();
        index
    }

    /// Finds the empty non-terminals, and those of their parents that they make parents of a wildcard; and which names
    /// stand right below which.
    pub(super) fn find_empties(
        &mut self,
        pieces: &[Pieces],
        labels_max: usize,
        executor: &dyn Executor,
        wildcard_parents: &mut Hashes,
    ) -> Children {
        if labels_max <= self.apex_labels + 1 {
            return Children::default();
        }
        let shards: Vec<&Pieces> = pieces.iter().collect();
        let found = executor::map(executor, shards, |shard, pieces| self.empties_above(shard, pieces));
        let (mut empties, mut links) = (Vec::new(), Vec::new());
        for (of_shard, below) in found {
            empties.extend(of_shard);
            links.extend(below);
        }
        wildcard_parents.extend(empties.iter().filter_map(|empty| wildcard_parent(empty.name(), self.seed)));
        empties.sort_unstable_by_key(|empty| empty.hash);
        empties.dedup_by_key(|empty| empty.hash);
        empties.shrink_to_fit();
        self.empties = empties;
        Children::new(links)
    }

    /// The empty non-terminals above the owners of one shard, each once, and the links from both to their parents.
    fn empties_above(&self, shard: usize, pieces: &Pieces) -> (Vec<Empty>, Vec<Link>) {
        let shallow = self.apex_labels + 1;
        let (mut seen, mut found, mut links) = (Hashes::default(), Vec::new(), Vec::new());
        let deep = self.shards[shard].runs.iter().filter(|run| run.label_count() > shallow);
        let deep: Vec<Run> = deep.copied().collect();
        let mut parents = Vec::with_capacity(AHEAD_RUNS);
        for runs in deep.chunks(AHEAD_RUNS) {
            pieces.touch(runs);
            let names = runs.iter().map(|run| LookupName::new(pieces.owner(*run)));
            parents.clear();
            parents.extend(names.map(|name| name.hash_of_suffix(self.seed, name.label_count() - 1)));
            self.touch(&parents);
            for run in runs {
                let name = LookupName::new(pieces.owner(*run));
                let mut child = run.hash;
                for labels in (shallow..name.label_count()).rev() {
                    let hash = name.hash_of_suffix(self.seed, labels);
                    links.push(Link { parent: hash, child });
                    child = hash;
                    if self.facts(hash).is_some() || !seen.insert(hash) {
                        break; // Its ancestors are found from there.
                    }
                    found.push(Empty::new(hash, pieces.owner(*run).suffix(labels)));
                }
            }
        }
        links.sort_unstable(); // Here, where shards are at once: what is sorted in parts is soon sorted as a whole.
        (found, links)
    }

    /// Looks at what is known under hashes that are to be asked for next, so that many waits for memory become one.
    pub(super) fn touch(&self, hashes: &[NameHash]) {
        for hashes in hashes.chunks(AHEAD_RUNS) {
            let mut starts = [0; AHEAD_RUNS];
            let shard = |hash: NameHash| &self.shards[shard_of(hash, self.shard_bits)];
            for (start, hash) in starts.iter_mut().zip(hashes) {
                *start = shard(*hash).start(*hash, self.shard_bits);
            }
            let look = |(start, hash): (&usize, &NameHash)| shard(*hash).runs.get(*start).map_or(0, |run| run.hash.0);
            core::hint::black_box(starts.iter().zip(hashes).map(look).fold(0, |seen, hash| seen ^ hash));
        }
    }

    /// The hash under which it is looked first what stands above the owner of a run, if anything may.
    pub(super) fn hash_above(&self, run: Run, owner: NameRef<'_>) -> Option<NameHash> {
        let labels = self.apex_labels + 1;
        (run.label_count() > labels).then(|| LookupName::new(owner).hash_of_suffix(self.seed, labels))
    }

    /// How many shards there are.
    pub(super) fn shard_count(&self) -> usize {
        self.shards.len()
    }

    /// The runs of one shard, sorted.
    pub(super) fn runs(&self, shard: usize) -> &[Run] {
        &self.shards[shard].runs
    }

    /// The empty non-terminals that belong to one shard, sorted by hash.
    pub(super) fn empties(&self, shard: usize) -> &[Empty] {
        let start = self.empties.partition_point(|empty| shard_of(empty.hash, self.shard_bits) < shard);
        let end = self.empties.partition_point(|empty| shard_of(empty.hash, self.shard_bits) <= shard);
        &self.empties[start..end]
    }

    /// What is known of the owner with that hash; `None` if there is none.
    pub(super) fn facts(&self, hash: NameHash) -> Option<Facts> {
        let shard = &self.shards[shard_of(hash, self.shard_bits)];
        shard.with_hash(hash, self.shard_bits).map(|run| run.facts()).reduce(Facts::and)
    }

    /// The same, empty non-terminals included.
    fn facts_of_any(&self, hash: NameHash) -> Option<Facts> {
        let is_empty = || self.empties.binary_search_by_key(&hash, |empty| empty.hash).is_ok();
        self.facts(hash).or_else(|| is_empty().then(Facts::default))
    }

    /// The topmost cut or owner of a DNAME strictly above a name of the zone.
    pub(super) fn occluder(&self, name: &LookupName) -> Option<Placement> {
        if !self.all_facts.has(Facts::HAS_NS.and(Facts::HAS_DNAME)) {
            return None;
        }
        if self.apex_facts.has(Facts::HAS_DNAME) && name.label_count() > self.apex_labels {
            return Some(Placement::Dname(self.apex_labels));
        }
        let mut hash = self.apex_hash;
        for labels in self.apex_labels + 1..name.label_count() {
            hash = name.descend(self.seed, hash, labels - 1, labels);
            match self.facts(hash) {
                Some(facts) if facts.has(Facts::HAS_NS) => return Some(Placement::Cut(labels)),
                Some(facts) if facts.has(Facts::HAS_DNAME) => return Some(Placement::Dname(labels)),
                _ => {}
            }
        }
        None
    }

    /// Finds where a name at or below the apex stands (RFC 1034 §4.3.2).
    pub(super) fn placement(&self, name: &LookupName) -> Placement {
        let (mut hash, mut labels, mut facts) = (self.apex_hash, self.apex_labels, self.apex_facts);
        loop {
            if labels > self.apex_labels && facts.has(Facts::HAS_NS) {
                return Placement::Cut(labels);
            }
            if labels == name.label_count() {
                return Placement::Exact(facts);
            }
            if facts.has(Facts::HAS_DNAME) {
                return Placement::Dname(labels);
            }
            let below = name.descend(self.seed, hash, labels, labels + 1);
            let Some(next) = self.facts_of_any(below) else {
                return Placement::NoMatch(self.facts_of_any(wildcard_hash(self.seed, hash)));
            };
            (hash, labels, facts) = (below, labels + 1, next);
        }
    }
}

/// The sorted runs of one shard, and where among them the hashes with the same top bits start.
struct Directory {
    runs: Vec<Run>,
    /// How many bits of a hash, behind those of the shard, choose the slot.
    slot_bits: u32,
    /// Where each slot starts, and where the last one ends.
    starts: Vec<u32>,
}

impl Directory {
    /// Looks through sorted runs, of whose hashes the top `shard_bits` are equal.
    fn new(runs: Vec<Run>, shard_bits: u32) -> Self {
        let slot_bits = (runs.len() / SLOT_RUNS).max(1).ilog2();
        let mut starts = Vec::with_capacity((1 << slot_bits) + 1);
        for (at, run) in runs.iter().enumerate() {
            let slot = slot_of(run.hash, shard_bits, slot_bits);
            starts.resize(starts.len().max(slot + 1), at as u32); // A process can't hold four thousand million owners.
        }
        starts.resize((1 << slot_bits) + 1, runs.len() as u32);
        Self { runs, slot_bits, starts }
    }

    /// Where the runs start among which those of a hash are.
    fn start(&self, hash: NameHash, shard_bits: u32) -> usize {
        self.starts[slot_of(hash, shard_bits, self.slot_bits)] as usize
    }

    /// The runs of one hash.
    fn with_hash(&self, hash: NameHash, shard_bits: u32) -> impl Iterator<Item = &Run> {
        let slot = slot_of(hash, shard_bits, self.slot_bits);
        let runs = &self.runs[self.starts[slot] as usize..self.starts[slot + 1] as usize];
        runs.iter().filter(move |run| run.hash == hash)
    }
}

/// The slot of a hash.
fn slot_of(hash: NameHash, shard_bits: u32, slot_bits: u32) -> usize {
    (hash.0 << shard_bits).checked_shr(64 - slot_bits).unwrap_or(0) as usize
}
