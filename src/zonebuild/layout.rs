//! The names of a zone, sorted and looked through → its nodes, part by part, perhaps several at once.

use crate::fault::Faults;
use crate::wire::{NameRef, rdata};
use crate::zone::hash::{LookupName, NameHash, Seed};
use crate::zone::names::{Names, NamesPart, NamesPlan, NamesWriter, has_crowd};
use crate::zone::node::Flags;
use crate::zone::nsec3::Params;
use crate::zonebuild::check::{Owner, Unsigned, has_target};
use crate::zonebuild::collect::{Facts, Pieces, Run, Stored};
use crate::zonebuild::encode::encode;
use crate::zonebuild::executor::{self, Executor};
use crate::zonebuild::index::{AHEAD_RUNS, Empty, Index};
use crate::zonebuild::keys::Signing;
use crate::zonebuild::rrsets::{RrsetMaker, TtlRule};
use crate::zonebuild::shards::Hashes;

/// What is known about a zone when its nodes are written.
pub(super) struct Layout<'a> {
    pub(super) seed: Seed,
    pub(super) ttl_rule: TtlRule,
    pub(super) apex: NameRef<'a>,
    /// Parameters of the NSEC3 chain that is served.
    pub(super) params: Option<&'a Params>,
    /// The names of the zone.
    pub(super) index: &'a Index,
    pub(super) wildcard_parents: &'a Hashes,
    /// Whether there are signatures, so that missing and bad ones are to be counted.
    pub(super) may_be_signed: bool,
    /// The time, as signatures count it.
    pub(super) now: u32,
}

/// Nodes that were laid out.
pub(super) struct Laid {
    pub(super) names: Names,
    pub(super) record_count: usize,
    pub(super) unsigned: Unsigned,
    pub(super) signing: Signing,
}

/// One owner with its runs, or an empty non-terminal.
struct Group<'a> {
    hash: NameHash,
    empty: Option<&'a Empty>,
    runs: &'a [Run],
}

/// Owners and empty non-terminals in the order of their hashes.
struct Groups<'a, F> {
    runs: &'a [Run],
    empties: &'a [Empty],
    /// Whether two runs of one hash have one owner.
    is_same: F,
}

impl<'a, F: Fn(Run, Run) -> bool> Iterator for Groups<'a, F> {
    type Item = Group<'a>;

    fn next(&mut self) -> Option<Group<'a>> {
        if let Some((empty, rest)) = self.empties.split_first()
            && self.runs.first().is_none_or(|run| empty.hash < run.hash)
        {
            self.empties = rest;
            return Some(Group { hash: empty.hash, empty: Some(empty), runs: &[] });
        }
        let first = *self.runs.first()?;
        let is_other = |run: &Run| run.hash != first.hash || !(self.is_same)(first, *run);
        let count = 1 + self.runs[1..].iter().position(is_other).unwrap_or(self.runs.len() - 1);
        let (runs, rest) = self.runs.split_at(count);
        self.runs = rest;
        Some(Group { hash: first.hash, empty: None, runs })
    }
}

/// What writes the nodes of one part of the map.
struct ShardWriter<'a> {
    writer: NamesWriter<'a>,
    faults: Faults,
    unsigned: Unsigned,
    signing: Signing,
    record_count: usize,
}

/// What a output has made.
struct Written {
    part: NamesPart,
    faults: Faults,
    unsigned: Unsigned,
    signing: Signing,
    record_count: usize,
}

impl Laid {
    /// No nodes at all.
    pub(super) fn nothing() -> Self {
        let plan = NamesPlan::new(0, |_| false, None);
        Self {
            names: plan.finish(vec![plan.writer(0, 0).finish()]),
            record_count: 0,
            unsigned: Unsigned::default(),
            signing: Signing::default(),
        }
    }
}

impl Layout<'_> {
    /// Lays out the owners in `names`, whose records are in `pieces`, and its empty non-terminals. What is as in
    /// `previous` is shared with it. The records of a shard are freed as soon as its nodes are written.
    pub(super) fn write_names(
        &self,
        names: &Index,
        pieces: Vec<Pieces>,
        previous: Option<&Names>,
        executor: &dyn Executor,
        faults: &mut Faults,
    ) -> Laid {
        let shard_bits = names.shard_count().ilog2();
        let hashes = |shard: usize| {
            let groups = Groups { runs: names.runs(shard), empties: names.empties(shard), is_same: |_, _| true };
            groups.map(|group| group.hash)
        };
        let all_shards = || (0..names.shard_count()).collect::<Vec<_>>();
        let count = executor::map(executor, all_shards(), |_, shard| hashes(shard).count()).into_iter().sum();
        let is_crowded = |shift| has_crowd(all_shards().into_iter().flat_map(hashes), shift);
        let plan = NamesPlan::new(count, is_crowded, previous);
        let part_bits = shard_bits.min(plan.bucket_bits());
        let part_shards = 1 << (shard_bits - part_bits);
        let mut pieces = pieces.into_iter();
        let parts: Vec<Vec<Pieces>> =
            (0..1 << part_bits).map(|_| pieces.by_ref().take(part_shards).collect()).collect();
        let none = faults.fork();
        let written = executor::map(executor, parts, |number, parts| {
            let mut output = ShardWriter {
                writer: plan.writer(number, part_bits),
                faults: none.clone(),
                unsigned: Unsigned::default(),
                signing: Signing::default(),
                record_count: 0,
            };
            for (index, pieces) in parts.into_iter().enumerate() {
                self.write_shard(names, number * part_shards + index, &pieces, &mut output);
            }
            let ShardWriter { writer, faults, unsigned, signing, record_count } = output;
            Written { part: writer.finish(), faults, unsigned, signing, record_count }
        });
        let (mut made, mut found) = (Vec::with_capacity(written.len()), Vec::with_capacity(written.len()));
        let (mut unsigned, mut signing, mut record_count) = (Unsigned::default(), Signing::default(), 0);
        for written in written {
            made.push(written.part);
            found.push(written.faults);
            unsigned.add(written.unsigned);
            signing.join(&written.signing);
            record_count += written.record_count;
        }
        faults.join(found);
        Laid { names: plan.finish(made), record_count, unsigned, signing }
    }

    /// Lays out the nodes of one shard.
    fn write_shard(&self, names: &Index, shard: usize, pieces: &Pieces, output: &mut ShardWriter<'_>) {
        let is_same = |a: Run, b: Run| pieces.owner(a) == pieces.owner(b);
        let is_zone = core::ptr::eq(names, self.index);
        let (mut records, mut maker) = (Vec::new(), RrsetMaker::new(self.seed, self.ttl_rule));
        let mut hashes = Vec::new();
        let mut ahead = names.runs(shard);
        let mut groups = Groups { runs: ahead, empties: names.empties(shard), is_same };
        while let Some(group) = groups.next() {
            if groups.runs.len() <= ahead.len() {
                let (next, rest) = ahead.split_at(ahead.len().min(AHEAD_RUNS));
                pieces.touch(next);
                hashes.clear();
                next.iter().for_each(|run| self.note_looked_up(*run, pieces, &mut hashes));
                self.index.touch(&hashes);
                ahead = rest;
            }
            records.clear();
            records.extend(group.runs.iter().flat_map(|run| pieces.records(*run)));
            let owner = group.empty.map_or_else(|| pieces.owner(group.runs[0]), Empty::name);
            maker.make(owner, self.apex, &records, &mut output.faults);
            if self.may_be_signed {
                output.signing.look_at(owner, &records, self.now);
            }
            self.write_node(&group, owner, &records, &maker, is_zone, output);
        }
    }

    /// Takes down the hashes under which the index is asked when the owner of a run is laid out.
    fn note_looked_up(&self, run: Run, pieces: &Pieces, hashes: &mut Vec<NameHash>) {
        hashes.extend(self.index.hash_above(run, pieces.owner(run)));
        for record in pieces.records(run).filter(|record| has_target(record.rtype)) {
            let targets = rdata::names(record.rtype, record.rdata).map(|embedded| embedded.name);
            let targets = targets.filter(|target| target.is_below(self.apex));
            hashes.extend(targets.map(|target| LookupName::new(target).hash(self.seed)));
        }
    }

    /// Lays out one node. `is_zone`: it is a name of the zone, and not the owner of an NSEC3 record.
    fn write_node(
        &self,
        group: &Group<'_>,
        owner: NameRef<'_>,
        records: &[Stored<'_>],
        rrsets: &RrsetMaker<'_>,
        is_zone: bool,
        output: &mut ShardWriter<'_>,
    ) {
        let name = LookupName::new(owner);
        let facts = group.runs.iter().map(|run| run.facts()).fold(Facts::default(), Facts::and);
        let is_cut = facts.has(Facts::HAS_NS) && name.label_count() != self.apex.label_count();
        let occluder = self.index.occluder(&name);
        let flags = Flags::default()
            .with(Flags::IS_CUT, is_cut)
            .with(Flags::HAS_DNAME, facts.has(Facts::HAS_DNAME))
            .with(Flags::HAS_WILDCARD, self.wildcard_parents.contains(&group.hash))
            .with(Flags::IS_OCCLUDED, occluder.is_some());
        let flags = if is_zone { flags } else { Flags::default() };
        let (index, seed, apex) = (self.index, self.seed, self.apex);
        let judged = Owner { index, seed, apex, name: owner, records, is_cut, occluder };
        if is_zone {
            judged.check(&mut output.faults);
        }
        if self.may_be_signed {
            judged.count_unsigned(rrsets.sources(), &mut output.unsigned);
        }
        let params = self.params.filter(|_| is_zone && !flags.has(Flags::IS_OCCLUDED));
        let hashes = params.map(|params| params.hashes(&name));
        output.writer.push(group.hash, |out| encode(out, self.seed, owner, flags, hashes, rrsets.sources()));
        output.record_count += rrsets.record_count();
    }
}
