//! Records → one finished zone: owners brought together, RRsets made, empty non-terminals added, nodes laid out.
//!
//! Records come in shards, each with the names of one range of hashes. Shards are sorted side by side; when all names
//! are known they are laid out side by side, each into its own range of buckets, and freed one by one.

use std::path::Path;

use crate::wire::{Name, NameRef, Type};
use crate::zone::check::Chains;
use crate::zone::collect::Collector;
use crate::zone::crew::Crew;
use crate::zone::fault::{FAULTS_MAX, FaultKind, Faults, Place};
use crate::zone::hash::{LookupName, Seed};
use crate::zone::index::Index;
use crate::zone::layout::{Laid, Layout};
use crate::zone::names::Names;
use crate::zone::node::{self, Flags};
use crate::zone::reader::{self, Files, Limits, MasterFile, Record, Sink, Sources};
use crate::zone::survey::Survey;
use crate::zone::{Denial, Zone, chain};

/// Room for the RDATA of an SOA; most need less.
const SOA_BYTES: usize = 256;

/// A zone file, and what the zone in it is to be.
pub struct ZoneFile<'a> {
    /// The file.
    pub path: &'a Path,
    /// The zone's name, and the initial origin.
    pub name: NameRef<'a>,
    /// The key of the name hash, which all zones of a [`crate::zone::ZoneSet`] share.
    pub seed: Seed,
    /// The version before, loaded with the same seed: what is as it was is shared with it.
    pub previous: Option<&'a Zone>,
    /// How much it may take.
    pub limits: Limits,
    /// The time in seconds since 1970, modulo 2^32, as signatures count it (RFC 4034 §3.1.5).
    pub now: u32,
}

/// Reads a zone file and makes the zone, unless it has errors; the zone is the same with any crew.
///
/// All faults, errors and warnings, go to `faults`; `sources` keeps the files' octets to show them, those of big files
/// until [`Sources::recall`] only by their paths.
pub fn load(
    file: &ZoneFile<'_>,
    files: &mut dyn Files,
    crew: &dyn Crew,
    sources: &mut Sources,
    faults: &mut Faults,
) -> Option<Zone> {
    let mut builder = Builder::new(file.seed);
    let master = MasterFile { path: file.path, origin: file.name, limits: file.limits };
    reader::read_zone(files, master, crew, sources, faults, &mut builder);
    sources.forget();
    // What an entry says that could not be read may be just what a warning about the zone would miss. Errors about the
    // zone hold whatever else is in it.
    faults.hold_back_warnings_behind_errors();
    builder.finish(file, crew, faults)
}

/// Takes the records of one zone.
struct Builder {
    seed: Seed,
    /// All but what is in `hashed`.
    plain: Collector,
    /// NSEC3 records and their signatures: their owners are no names of the zone (RFC 5155 §7.2.8).
    hashed: Collector,
    soas: Vec<(Name, Place)>,
    chains: Chains,
    has_nsec: bool,
    has_signatures: bool,
}

impl Sink for Builder {
    fn expect(&mut self, text_bytes: usize) {
        self.plain.expect(text_bytes);
        self.hashed.expect(text_bytes);
    }

    fn take(&mut self, record: &Record<'_>) {
        match record.rtype {
            Type::SOA if self.soas.len() < FAULTS_MAX => self.soas.push((record.owner.to_name(), record.place)),
            Type::NSEC3 | Type::NSEC3PARAM => self.chains.note(record),
            Type::NSEC => self.has_nsec = true,
            Type::RRSIG => self.has_signatures = true,
            _ => {}
        }
        let is_hashed = record.rtype == Type::NSEC3
            || (record.rtype == Type::RRSIG && record.rdata.starts_with(&Type::NSEC3.0.to_be_bytes()));
        if is_hashed { self.hashed.add(record) } else { self.plain.add(record) }
    }

    fn close(&mut self) {
        self.plain.shrink();
        self.hashed.shrink();
    }

    fn fork(&self, text_bytes: usize) -> Self {
        Self { plain: self.plain.fork(text_bytes), hashed: self.hashed.fork(text_bytes), ..Self::new(self.seed) }
    }

    fn join(&mut self, later: Self) {
        self.plain.join(later.plain);
        self.hashed.join(later.hashed);
        self.soas.extend(later.soas);
        self.soas.truncate(FAULTS_MAX);
        self.chains.join(later.chains);
        self.has_nsec |= later.has_nsec;
        self.has_signatures |= later.has_signatures;
    }
}

impl Builder {
    /// Starts with nothing.
    fn new(seed: Seed) -> Self {
        let (plain, hashed) = (Collector::new(seed), Collector::new(seed));
        let (soas, chains) = (Vec::with_capacity(1), Chains::default());
        Self { seed, plain, hashed, soas, chains, has_nsec: false, has_signatures: false }
    }

    /// Makes the zone; `None` if it, or what was read before, has errors.
    fn finish(mut self, file: &ZoneFile<'_>, crew: &dyn Crew, faults: &mut Faults) -> Option<Zone> {
        let apex = self.find_apex(file.name, faults)?;
        self.chains.keep_inside(apex.as_ref());
        let plain = Survey::of(self.plain, self.seed, apex.as_ref(), crew, faults);
        let has_hashed = !self.hashed.is_empty();
        let hashed = has_hashed.then(|| Survey::of(self.hashed, self.seed, apex.as_ref(), crew, faults));
        let mut index = Index::new(self.seed, apex.as_ref(), plain.shards);
        let (mut labels_max, mut wildcard_parents) = (plain.labels_max, plain.wildcard_parents);
        labels_max = labels_max.max(apex.as_ref().label_count());
        index.find_empties(&plain.pieces, labels_max, crew, &mut wildcard_parents);
        let params = chain::best_of(self.chains.candidates(), hashed.as_ref(), faults);
        let layout = Layout {
            seed: self.seed,
            apex: apex.as_ref(),
            params: params.as_ref(),
            index: &index,
            wildcard_parents: &wildcard_parents,
            may_be_signed: self.has_signatures,
            now: file.now,
        };
        let mut laid = layout.write_names(&index, plain.pieces, file.previous.map(Zone::names), crew, faults);
        let laid_hashed = hashed.map_or_else(Laid::nothing, |hashed| {
            let index = Index::new(self.seed, apex.as_ref(), hashed.shards);
            layout.write_names(&index, hashed.pieces, file.previous.map(|zone| &zone.hashed), crew, faults)
        });
        laid.unsigned.add(laid_hashed.unsigned);
        laid.signing.join(&laid_hashed.signing);
        let is_signed = self.has_signatures && is_meant_to_be_signed(self.seed, apex.as_ref(), &laid.names);
        let source = chain::Source { apex: apex.as_ref(), names: &laid.names, hashed: &laid_hashed.names, is_signed };
        let zone = Parts {
            seed: self.seed,
            apex,
            denial: source.denial(params, self.has_nsec, faults),
            names: laid.names,
            hashed: laid_hashed.names,
            record_count: laid.record_count + laid_hashed.record_count,
            labels_max,
            has_wildcards: !wildcard_parents.is_empty(),
        }
        .assemble();
        if zone.apex_node().rrset(Type::NS).is_none() {
            let soa = self.soas.iter().find(|(owner, _)| *owner == apex);
            faults.add(FaultKind::NoApexNs { apex }, soa.map_or(Place::of_file(0), |(_, place)| *place), 0);
        }
        self.chains.check(apex.as_ref(), faults);
        if is_signed {
            laid.unsigned.tell(apex.as_ref(), faults);
        }
        laid.signing.tell(&zone, is_signed, faults);
        (faults.error_count() == 0).then_some(zone)
    }

    /// Finds the zone's name as its SOA writes it. `None` where no SOA stands there: the file never decides which zone it
    /// is, for then whoever may write one could take over another's.
    fn find_apex(&self, name: NameRef<'_>, faults: &mut Faults) -> Option<Name> {
        let apex = name.to_name();
        let found = self.soas.iter().map(|(owner, _)| *owner).find(|owner| *owner == apex);
        for (owner, place) in self.soas.iter().filter(|(owner, _)| *owner != apex) {
            if owner.as_ref().is_below(apex.as_ref()) || found.is_none() {
                faults.add(FaultKind::SoaNotAtApex { owner: *owner, apex }, *place, 0);
            }
        }
        if found.is_some() {
            return found;
        }
        // A record that could not be read may well have been the SOA.
        if !faults.has_errors() {
            faults.add(FaultKind::NoSoa { apex }, Place::of_file(0), 0);
        }
        None
    }
}

/// Whether a zone is meant to be signed: its SOA is, or it has keys.
fn is_meant_to_be_signed(seed: Seed, apex: NameRef<'_>, names: &Names) -> bool {
    let node = names.find(LookupName::new(apex).hash(seed), apex.as_bytes());
    node.is_some_and(|node| {
        node.rrset(Type::DNSKEY).is_some() || node.rrset(Type::SOA).is_some_and(|soa| soa.signature_count > 0)
    })
}

/// What a zone is put together from.
struct Parts {
    seed: Seed,
    apex: Name,
    denial: Denial,
    names: Names,
    hashed: Names,
    record_count: usize,
    labels_max: usize,
    has_wildcards: bool,
}

impl Parts {
    /// Puts the parts together.
    fn assemble(self) -> Zone {
        let apex_hash = LookupName::new(self.apex.as_ref()).hash(self.seed);
        let apex_ref = self.names.find_ref(apex_hash, self.apex.as_ref().as_bytes()).expect("the apex has an SOA");
        let soa = self.names.node(apex_ref).rrset(Type::SOA).expect("the apex has an SOA");
        let (serial, negative) = negative_node(self.seed, self.apex.as_ref(), soa);
        Zone {
            seed: self.seed,
            apex: self.apex,
            apex_hash,
            apex_ref,
            apex_labels: self.apex.as_ref().label_count(),
            labels_max: self.labels_max,
            names: self.names,
            hashed: self.hashed,
            denial: self.denial,
            negative: negative.into(),
            serial,
            record_count: self.record_count,
            has_wildcards: self.has_wildcards,
        }
    }
}

/// Reads the serial, and makes the node of the SOA as negative answers carry it: TTL = min(TTL, MINIMUM), for its
/// signatures as well (RFC 2308 §3, RFC 4034 §3).
fn negative_node(seed: Seed, apex: NameRef<'_>, soa: node::Rrset<'_>) -> (u32, Vec<u8>) {
    let record = soa.records().next().expect("an RRset has a record");
    let mut rdata = Vec::with_capacity(SOA_BYTES);
    soa.write_plain_rdata(apex, &record, &mut rdata);
    // SERIAL and MINIMUM are the first and the last of the five numbers at the end (RFC 1035 §3.3.13).
    let numbers = rdata.last_chunk::<20>().expect("the RDATA of an SOA was checked");
    let number = |at: usize| u32::from_be_bytes([numbers[at], numbers[at + 1], numbers[at + 2], numbers[at + 3]]);
    let ttl = record.ttl.min(number(16));
    let signatures: Vec<(u32, &[u8])> = soa.signature_records().map(|r| (r.ttl.min(ttl), r.rdata)).collect();
    let source = node::RrsetSource { rtype: Type::SOA, ttl, rdatas: &[&rdata], signatures: &signatures };
    let mut negative = Vec::new();
    node::encode(&mut negative, seed, apex, Flags::default(), None, [source].into_iter());
    (number(0), negative)
}
