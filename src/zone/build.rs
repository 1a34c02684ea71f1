//! Records → one finished zone: owners brought together, RRsets made, empty non-terminals added, nodes laid out.

use std::collections::HashSet;
use std::path::Path;

use crate::wire::{Name, NameRef, Type};
use crate::zone::collect::{Collector, Run, Stored};
use crate::zone::fault::{FaultKind, Faults, Place};
use crate::zone::hash::{LookupName, NameHash, Seed};
use crate::zone::names::{Names, NamesWriter};
use crate::zone::node::{self, Flags};
use crate::zone::nsec3::{self, Params};
use crate::zone::order::{self, Entry, Order};
use crate::zone::reader::{self, Files, Record, Sources};
use crate::zone::rrsets::RrsetMaker;
use crate::zone::{Denial, Nsec3Chain, Zone, check};

/// A zone file, and what the zone in it is to be.
pub struct ZoneFile<'a> {
    /// The file.
    pub path: &'a Path,
    /// The zone's name, and the initial origin.
    pub name: NameRef<'a>,
    /// Whether the SOA's owner decides, where it is written out and another.
    pub may_rename: bool,
    /// The key of the name hash, which all zones of a [`crate::zone::ZoneSet`] share.
    pub seed: Seed,
    /// The version before, loaded with the same seed: what is as it was is shared with it.
    pub previous: Option<&'a Zone>,
}

/// Reads a zone file and makes the zone, unless it has errors.
///
/// All faults, errors and warnings, go to `faults`; `sources` keeps the files' octets to show them.
pub fn load(file: &ZoneFile<'_>, files: &mut dyn Files, sources: &mut Sources, faults: &mut Faults) -> Option<Zone> {
    let mut builder = Builder::new(file.seed);
    reader::read_zone(files, file.path, file.name, sources, faults, &mut |record| builder.add(&record));
    // What an entry says that could not be read may be just what a warning about the zone would miss. Errors about the
    // zone hold whatever else is in it.
    faults.hold_back_warnings_behind_errors();
    builder.finish(file, faults)
}

/// Takes the records of one zone.
struct Builder {
    seed: Seed,
    /// All but what is in `hashed`.
    plain: Collector,
    /// NSEC3 records and their signatures: their owners are no names of the zone (RFC 5155 §7.2.8).
    hashed: Collector,
    soas: Vec<(Name, Place)>,
}

/// What is known about a zone while its nodes are written.
struct Draft {
    seed: Seed,
    apex: Name,
    apex_labels: usize,
    /// Parameters of the NSEC3 chain that is served.
    params: Option<Params>,
    /// Owners of NS below the apex, and of DNAME: what is below them is occluded.
    cuts: HashSet<NameHash>,
    /// Parents of `*`.
    wildcard_parents: HashSet<NameHash>,
    labels_max: usize,
}

impl Builder {
    /// Starts with nothing.
    fn new(seed: Seed) -> Self {
        Self { seed, plain: Collector::new(seed), hashed: Collector::new(seed), soas: Vec::new() }
    }

    /// Takes one record.
    fn add(&mut self, record: &Record<'_>) {
        let is_hashed = record.rtype == Type::NSEC3
            || (record.rtype == Type::RRSIG && record.rdata.starts_with(&Type::NSEC3.0.to_be_bytes()));
        if record.rtype == Type::SOA && self.soas.len() < crate::zone::fault::FAULTS_MAX {
            self.soas.push((record.owner.to_name(), record.place));
        }
        if is_hashed { self.hashed.add(record) } else { self.plain.add(record) }
    }

    /// Makes the zone; `None` if it, or what was read before, has errors.
    fn finish(mut self, file: &ZoneFile<'_>, faults: &mut Faults) -> Option<Zone> {
        let apex = self.choose_apex(file.name, file.may_rename, faults)?;
        for collector in [&mut self.plain, &mut self.hashed] {
            drop_out_of_zone(collector, apex.as_ref(), faults);
            collector.sort();
        }
        let mut draft = Draft::survey(self.seed, apex, &self.plain);
        draft.params = self.nsec3_params();
        let empty = draft.empty_non_terminals(&self.plain);
        empty.iter().for_each(|(_, name)| draft.note_wildcard(name.as_ref()));
        let (names, record_count) = draft.write_names(&self.plain, &empty, file.previous.map(Zone::names), faults);
        let (hashed, hashed_count) =
            draft.write_names(&self.hashed, &[], file.previous.map(|zone| &zone.hashed), faults);
        let denial = draft.denial(&names, &hashed);
        let zone = draft.zone(names, hashed, denial, record_count + hashed_count);
        check::check_zone(&zone, &self.plain, &self.hashed, faults);
        (faults.error_count() == 0).then_some(zone)
    }

    /// Decides which name the zone has. `None` where no SOA says so.
    fn choose_apex(&self, name: NameRef<'_>, may_rename: bool, faults: &mut Faults) -> Option<Name> {
        let given = name.to_name();
        let has_soa = |apex: &Name| self.soas.iter().any(|(owner, _)| owner == apex);
        let apex = match self.soas.first() {
            Some((owner, _)) if may_rename && !has_soa(&given) => *owner,
            _ => given,
        };
        for (owner, place) in self.soas.iter().filter(|(owner, _)| *owner != apex) {
            if owner.as_ref().is_below(apex.as_ref()) || !has_soa(&apex) {
                faults.add(FaultKind::SoaNotAtApex { owner: *owner, apex }, *place, 0);
            }
        }
        if let Some((owner, _)) = self.soas.iter().find(|(owner, _)| *owner == apex) {
            return Some(*owner);
        }
        // A record that could not be read may well have been the SOA.
        if faults.error_count() == 0 {
            faults.add(FaultKind::NoSoa { apex }, Place::of_file(0), 0);
        }
        None
    }

    /// The parameters of the chain to serve: the first NSEC3PARAM with a known algorithm and no flags
    /// (RFC 5155 §4.1.2) to which an NSEC3 record fits.
    fn nsec3_params(&self) -> Option<Params> {
        let records = self.plain.runs.iter().flat_map(|run| self.plain.records(run));
        let mut fitting = records
            .filter(|record| record.rtype == Type::NSEC3PARAM && record.rdata.get(1) == Some(&0))
            .filter_map(|record| Params::from_rdata(record.rdata))
            .filter(|params| params.iterations <= nsec3::ITERATIONS_MAX);
        fitting.find(|params| {
            let mut chain = self.hashed.runs.iter().flat_map(|run| self.hashed.records(run));
            chain.any(|record| record.rtype == Type::NSEC3 && params.fit(record.rdata))
        })
    }
}

/// Takes the records out that are not at or below the apex, and tells (RFC 1035 §5.2).
fn drop_out_of_zone(collector: &mut Collector, apex: NameRef<'_>, faults: &mut Faults) {
    let is_inside = |run: &Run| collector.owner(run).is_at_or_below(apex);
    for run in collector.runs.iter().filter(|run| !is_inside(run)) {
        let owner = collector.owner(run);
        for record in collector.records(run) {
            let kind = FaultKind::OutOfZone { owner: owner.to_name(), apex: apex.to_name() };
            faults.add(kind, record.place, 0);
        }
    }
    let kept = collector.runs.iter().filter(|run| is_inside(run)).copied().collect();
    collector.runs = kept;
}

impl Draft {
    /// Finds cuts, wildcards and the depth of the zone.
    fn survey(seed: Seed, apex: Name, plain: &Collector) -> Self {
        let apex_labels = apex.as_ref().label_count();
        let (cuts, wildcard_parents) = (HashSet::new(), HashSet::new());
        let mut draft = Self { seed, apex, apex_labels, params: None, cuts, wildcard_parents, labels_max: apex_labels };
        for run in &plain.runs {
            let owner = plain.owner(run);
            draft.labels_max = draft.labels_max.max(owner.label_count());
            draft.note_wildcard(owner);
            let is_apex = owner == draft.apex.as_ref();
            let is_cut_type = |rtype: Type| rtype == Type::NS && !is_apex && !owner.is_wildcard();
            if plain.records(run).any(|r| r.rtype == Type::DNAME || is_cut_type(r.rtype)) {
                draft.cuts.insert(run.hash);
            }
        }
        draft
    }

    /// Notes the parent of a wildcard. An empty non-terminal may be one too (RFC 4592 §2.2.2).
    fn note_wildcard(&mut self, name: NameRef<'_>) {
        if let (true, Some(parent)) = (name.is_wildcard(), name.parent()) {
            self.wildcard_parents.insert(LookupName::new(parent).hash(self.seed));
        }
    }

    /// The names between the apex and those that have records, without records of their own (RFC 4592 §2.2.2).
    fn empty_non_terminals(&self, plain: &Collector) -> Vec<(NameHash, Name)> {
        let shallow = self.apex_labels + 1;
        let mut found = Vec::new();
        if self.labels_max <= shallow {
            return found;
        }
        let mut seen: HashSet<NameHash> = plain.runs.iter().map(|run| run.hash).collect();
        for run in &plain.runs {
            let name = LookupName::new(plain.owner(run));
            for labels in (shallow..name.label_count()).rev() {
                let hash = name.hash_of_suffix(self.seed, labels);
                if !seen.insert(hash) {
                    break; // Its ancestors were seen with it.
                }
                found.push((hash, plain.owner(run).suffix(labels).to_name()));
            }
        }
        found.sort_unstable_by_key(|(hash, _)| *hash);
        found
    }

    /// Lays out all nodes: the owners of `collector`, which is sorted, and `empty`, sorted by hash too.
    /// Returns them with the number of their records. What is as in `previous` is shared with it.
    fn write_names(
        &self,
        collector: &Collector,
        empty: &[(NameHash, Name)],
        previous: Option<&Names>,
        faults: &mut Faults,
    ) -> (Names, usize) {
        let mut groups: Vec<Group<'_>> = Vec::with_capacity(collector.runs.len() + empty.len());
        let mut empty = empty.iter().peekable();
        for runs in collector.owners() {
            while let Some((hash, name)) = empty.next_if(|(hash, _)| *hash < runs[0].hash) {
                groups.push(Group { hash: *hash, owner: name.as_ref(), runs: &[] });
            }
            groups.push(Group { hash: runs[0].hash, owner: collector.owner(&runs[0]), runs });
        }
        groups.extend(empty.map(|(hash, name)| Group { hash: *hash, owner: name.as_ref(), runs: &[] }));
        let mut maker = RrsetMaker::default();
        let mut writer = NamesWriter::new(groups.iter().map(|group| group.hash), previous);
        let write = |group| self.write_node(collector, group, &mut maker, &mut writer, faults);
        let record_count = groups.iter().map(write).sum();
        (writer.finish(), record_count)
    }

    /// Lays out one node; returns the number of its records.
    fn write_node(
        &self,
        collector: &Collector,
        group: &Group<'_>,
        maker: &mut RrsetMaker,
        writer: &mut NamesWriter<'_>,
        faults: &mut Faults,
    ) -> usize {
        let records: Vec<Stored<'_>> = group.runs.iter().flat_map(|run| collector.records(run)).collect();
        let rrsets = maker.make(group.owner, self.apex.as_ref(), &records, faults);
        let sources = rrsets.sources();
        let has = |rtype: Type| sources.iter().any(|source| source.rtype == rtype && !source.rdatas.is_empty());
        let name = LookupName::new(group.owner);
        let is_apex = name.label_count() == self.apex_labels;
        let flags = Flags::default()
            .with(Flags::IS_CUT, has(Type::NS) && !is_apex && !group.owner.is_wildcard())
            .with(Flags::HAS_DNAME, has(Type::DNAME))
            .with(Flags::HAS_WILDCARD, self.wildcard_parents.contains(&group.hash))
            .with(Flags::IS_OCCLUDED, self.is_occluded(&name));
        let hashes =
            self.params.as_ref().filter(|_| !flags.has(Flags::IS_OCCLUDED) && !has(Type::NSEC3)).map(|params| {
                let wildcard = name.wildcard(name.label_count());
                let wildcard_hash = wildcard.map_or([0; 20], |name| params.hash(name.as_ref().as_bytes()));
                [params.hash(name.name().as_bytes()), wildcard_hash]
            });
        writer.push(group.hash, |out| node::encode(out, self.seed, group.owner, flags, hashes, &sources));
        sources.iter().map(|source| source.rdatas.len() + source.signatures.len()).sum()
    }

    /// Whether a name stands below a cut or a DNAME.
    fn is_occluded(&self, name: &LookupName<'_>) -> bool {
        !self.cuts.is_empty()
            && (self.apex_labels..name.label_count())
                .any(|labels| self.cuts.contains(&name.hash_of_suffix(self.seed, labels)))
    }

    /// Puts the chain that proves denials into order.
    fn denial(&self, names: &Names, hashed: &Names) -> Denial {
        if let Some(params) = &self.params {
            let mut chain: Vec<(nsec3::Hash, Entry)> = hashed
                .iter()
                .filter(|(_, node)| {
                    node.rrset(Type::NSEC3).is_some_and(|rrset| rrset.records().any(|r| params.fit(r.rdata)))
                })
                .filter_map(|(at, node)| {
                    let hash = nsec3::owner_hash(node.name())?;
                    Some((hash, Entry { key: order::hash_key(&hash), node: at }))
                })
                .collect();
            chain.sort_unstable_by_key(|(hash, _)| *hash);
            let entries: Vec<Entry> = chain.into_iter().map(|(_, entry)| entry).collect();
            let chain = Nsec3Chain { params: params.clone(), names: hashed.clone(), order: Order::new(&entries) };
            return Denial::Nsec3(Box::new(chain));
        }
        let mut entries: Vec<Entry> = names
            .iter()
            .filter(|(_, node)| !node.flags().has(Flags::IS_OCCLUDED) && node.rrset(Type::NSEC).is_some())
            .map(|(at, node)| Entry { key: order::name_key(node.name(), self.apex.as_ref()), node: at })
            .collect();
        if entries.is_empty() {
            return Denial::None;
        }
        entries.sort_unstable_by(|a, b| {
            a.key.cmp(&b.key).then_with(|| names.node(a.node).name().cmp(&names.node(b.node).name()))
        });
        Denial::Nsec(Order::new(&entries))
    }

    /// Puts the parts together.
    fn zone(&self, names: Names, hashed: Names, denial: Denial, record_count: usize) -> Zone {
        let apex_hash = LookupName::new(self.apex.as_ref()).hash(self.seed);
        let apex_ref = names.find_ref(apex_hash, self.apex.as_ref().as_bytes()).expect("the apex has an SOA");
        let soa = names.node(apex_ref).rrset(Type::SOA).expect("the apex has an SOA");
        let (serial, negative) = negative_node(self.seed, self.apex.as_ref(), soa);
        Zone {
            seed: self.seed,
            apex: self.apex,
            apex_hash,
            apex_ref,
            apex_labels: self.apex_labels,
            labels_max: self.labels_max,
            names,
            hashed,
            denial,
            negative: negative.into(),
            serial,
            record_count,
            has_wildcards: !self.wildcard_parents.is_empty(),
        }
    }
}

/// One owner with its records, or an empty non-terminal.
struct Group<'a> {
    hash: NameHash,
    owner: NameRef<'a>,
    runs: &'a [Run],
}

/// Reads the serial, and makes the node of the SOA as negative answers carry it: TTL = min(TTL, MINIMUM), for its
/// signatures as well (RFC 2308 §3, RFC 4034 §3).
fn negative_node(seed: Seed, apex: NameRef<'_>, soa: node::Rrset<'_>) -> (u32, Vec<u8>) {
    let record = soa.records().next().expect("an RRset has a record");
    let mut rdata = Vec::new();
    soa.write_plain_rdata(apex, &record, &mut rdata);
    // SERIAL and MINIMUM are the first and the last of the five numbers at the end (RFC 1035 §3.3.13).
    let numbers = rdata.last_chunk::<20>().expect("the RDATA of an SOA was checked");
    let number = |at: usize| u32::from_be_bytes([numbers[at], numbers[at + 1], numbers[at + 2], numbers[at + 3]]);
    let ttl = record.ttl.min(number(16));
    let signatures: Vec<(u32, &[u8])> = soa.signature_records().map(|r| (r.ttl.min(ttl), r.rdata)).collect();
    let source = node::RrsetSource { rtype: Type::SOA, ttl, rdatas: &[&rdata], signatures: &signatures };
    let mut negative = Vec::new();
    node::encode(&mut negative, seed, apex, Flags::default(), None, &[source]);
    (number(0), negative)
}
