//! The shards of a collector, sorted, and what a look at every owner says.

use core::hash::{BuildHasherDefault, Hasher};
use std::collections::HashSet;

use crate::fault::{FaultKind, Faults};
use crate::wire::NameRef;
use crate::zone::hash::{LookupName, NameHash, Seed};
use crate::zonebuild::collect::{Collector, Pieces, Run, Shard};
use crate::zonebuild::executor::{self, Executor};

/// What was collected, sorted by owner within each shard, without what is not of the zone.
pub(super) struct SortedShards {
    /// The runs of each shard, sorted.
    pub(super) shards: Vec<Vec<Run>>,
    /// The octets of each shard.
    pub(super) pieces: Vec<Pieces>,
    /// The most labels of an owner.
    pub(super) labels_max: usize,
    /// Parents of `*`.
    pub(super) wildcard_parents: Hashes,
}

/// A set of hashes of names.
pub(super) type Hashes = HashSet<NameHash, BuildHasherDefault<Itself>>;

/// Takes a number for its own hash: that of a name is keyed already.
#[derive(Default)]
pub(super) struct Itself(u64);

impl Hasher for Itself {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, octets: &[u8]) {
        octets.iter().for_each(|octet| self.0 = self.0 << 8 ^ u64::from(*octet));
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }
}

/// The same of one shard.
struct Part {
    runs: Vec<Run>,
    pieces: Pieces,
    labels_max: usize,
    wildcard_parents: Vec<NameHash>,
    faults: Faults,
}

impl SortedShards {
    /// Sorts each shard, and reports records that are not at or below the apex (RFC 1035 §5.2).
    pub(super) fn of(
        collector: Collector,
        seed: Seed,
        apex: NameRef<'_>,
        executor: &dyn Executor,
        faults: &mut Faults,
    ) -> Self {
        let none = faults.fork();
        let parts =
            executor::map(executor, collector.into_shards(), |_, shard| Part::of(shard, seed, apex, none.clone()));
        let count = parts.len();
        let (mut shards, mut pieces, mut found) =
            (Vec::with_capacity(count), Vec::with_capacity(count), Vec::with_capacity(count));
        let (mut labels_max, mut wildcard_parents) = (0, Hashes::default());
        for part in parts {
            shards.push(part.runs);
            pieces.push(part.pieces);
            found.push(part.faults);
            labels_max = labels_max.max(part.labels_max);
            wildcard_parents.extend(part.wildcard_parents);
        }
        faults.join(found);
        Self { shards, pieces, labels_max, wildcard_parents }
    }
}

impl Part {
    /// Looks at one shard, `faults` being empty.
    fn of(shard: Shard, seed: Seed, apex: NameRef<'_>, mut faults: Faults) -> Self {
        let (mut runs, pieces) = shard.unite();
        let (mut labels_max, mut wildcard_parents) = (0, Vec::new());
        runs.retain(|run| {
            let owner = pieces.owner(*run);
            if !owner.is_at_or_below(apex) {
                for record in pieces.records(*run) {
                    let kind = FaultKind::OutOfZone { owner: owner.to_name(), apex: apex.to_name() };
                    faults.add(kind, record.position, 0);
                }
                return false;
            }
            labels_max = labels_max.max(run.label_count());
            wildcard_parents.extend(wildcard_parent(owner, seed));
            true
        });
        runs.sort_unstable();
        Self { runs, pieces, labels_max, wildcard_parents, faults }
    }
}

/// The parent of a wildcard. An empty non-terminal may be one too (RFC 4592 §2.2.2).
pub(super) fn wildcard_parent(name: NameRef<'_>, seed: Seed) -> Option<NameHash> {
    let parent = name.parent().filter(|_| name.is_wildcard())?;
    Some(LookupName::new(parent).hash(seed))
}
