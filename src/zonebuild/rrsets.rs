//! The records of one owner → its RRsets: by type, in canonical order, each record once, one TTL, signatures beside
//! what they cover (RFC 2181 §5, RFC 4034 §6.3). Reports what is wrong with them.

use std::borrow::Cow;

use crate::fault::{BIND_SETS_MAX, DnssecFault, FaultKind, Faults, PeerFault, Position};
use crate::wire::message::{MESSAGE_BYTES_MAX, OPT_BYTES};
use crate::wire::{NameRef, Type, rdata};
use crate::zone::compress::measure;
use crate::zone::hash::Seed;
use crate::zone::node::{QNAME_OFFSET, QUESTION_TAIL_BYTES, RECORD_FIXED_BYTES};
use crate::zonebuild::collect::Stored;
use crate::zonebuild::encode::RrsetSource;

/// The most types of one name: a query looks through all of them, and there are about a hundred (BIND: 100).
pub const TYPES_MAX: usize = 256;

/// The number that PowerDNS uses for its ALIAS.
const POWERDNS_ALIAS: Type = Type(65_401);

/// Which TTL an RRset has whose records differ in theirs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TtlRule {
    /// That of its first record, as BIND has it of zone files.
    First,
    /// The lowest, as Knot has it of transfers (RFC 2181 §5.2).
    Lowest,
}

/// Turns the records of one owner into RRsets; its buffers are used again for the next.
pub(super) struct RrsetMaker<'a> {
    seed: Seed,
    ttl_rule: TtlRule,
    parts: Vec<Part>,
    rdatas: Vec<&'a [u8]>,
    signatures: Vec<(u32, &'a [u8])>,
}

/// The extent of one RRset in the arrays of [`RrsetMaker`].
struct Part {
    rtype: Type,
    ttl: u32,
    rdatas: core::ops::Range<usize>,
    signatures: core::ops::Range<usize>,
}

/// The type that a record belongs to: an RRSIG goes with what it covers.
fn home(record: &Stored<'_>) -> Type {
    record.covered().unwrap_or(record.rtype)
}

impl<'a> RrsetMaker<'a> {
    /// Starts with nothing; `seed` is that of the zone's name hash.
    pub(super) fn new(seed: Seed, ttl_rule: TtlRule) -> Self {
        Self { seed, ttl_rule, parts: Vec::new(), rdatas: Vec::new(), signatures: Vec::new() }
    }

    /// Makes the RRsets of `owner` from its records, which stand in the order of the file.
    pub(super) fn make(&mut self, owner: NameRef<'_>, apex: NameRef<'_>, records: &[Stored<'a>], faults: &mut Faults) {
        let order = |record: &Stored<'_>| (home(record), record.rtype == Type::RRSIG);
        let mut sorted = Cow::Borrowed(records);
        if !records.is_sorted_by_key(order) {
            // Stable: what was first in the file stays first.
            sorted.to_mut().sort_by_key(order);
        }
        self.parts.clear();
        self.rdatas.clear();
        self.signatures.clear();
        for group in sorted.chunk_by(|a, b| home(a) == home(b)) {
            let (own, signing) = group.split_at(group.partition_point(|record| record.rtype != Type::RRSIG));
            let (rdatas_start, signatures_start) = (self.rdatas.len(), self.signatures.len());
            let ttl = one_ttl(owner, own, self.ttl_rule, faults);
            push_unique(owner, own, &mut self.rdatas, faults, |record| record.rdata);
            push_unique(owner, signing, &mut self.signatures, faults, |record| (record.ttl, record.rdata));
            let part = Part {
                rtype: home(&group[0]),
                ttl,
                rdatas: rdatas_start..self.rdatas.len(),
                signatures: signatures_start..self.signatures.len(),
            };
            report_rrset(owner, apex, &part, own, signing, faults);
            self.report_size(owner, &part, group[0].position, faults);
            self.parts.push(part);
        }
        report_owner(owner, &sorted, faults);
        self.report_for_peers(owner, records, faults);
        if let Some(first) = records.first().filter(|_| self.parts.len() > TYPES_MAX) {
            let kind = FaultKind::TooManyTypes { owner: owner.to_name(), count: self.parts.len(), max: TYPES_MAX };
            faults.add(kind, first.position, 0);
        }
    }

    /// Reports what is too much for other servers.
    fn report_for_peers(&self, owner: NameRef<'_>, records: &[Stored<'_>], faults: &mut Faults) {
        let Some(first) = records.first().filter(|_| records.len() > BIND_SETS_MAX) else { return };
        for part in self.parts.iter().filter(|part| part.rdatas.len() > BIND_SETS_MAX) {
            let is_one = |record: &&Stored<'_>| record.rtype == part.rtype;
            let place = records.iter().find(is_one).unwrap_or(first).position;
            let (owner, rtype, count) = (owner.to_name(), part.rtype, part.rdatas.len());
            faults.add(PeerFault::BindRecords { owner, rtype, count }, place, 0);
        }
        let sets = |part: &Part| usize::from(!part.rdatas.is_empty()) + usize::from(!part.signatures.is_empty());
        let count = self.parts.iter().map(sets).sum();
        if count > BIND_SETS_MAX {
            faults.add(PeerFault::BindTypes { owner: owner.to_name(), count }, first.position, 0);
        }
    }

    /// Reports an RRset that no reply can hold, or none with EDNS and its signatures: measured as it would be sent.
    fn report_size(&self, owner: NameRef<'_>, part: &Part, position: Position, faults: &mut Faults) {
        let (rtype, rdatas) = (part.rtype, &self.rdatas[part.rdatas.clone()]);
        let in_records = |owner_bytes: usize, bytes: usize| owner_bytes + RECORD_FIXED_BYTES + bytes;
        let owner_bytes = if owner.is_root() { 1 } else { 2 };
        let signatures = self.signatures[part.signatures.clone()].iter();
        let signatures: usize = signatures.map(|(_, rdata)| in_records(owner_bytes, rdata.len())).sum();
        let around = QNAME_OFFSET + owner.len() + QUESTION_TAIL_BYTES + OPT_BYTES;
        let plain: usize = rdatas.iter().map(|rdata| in_records(owner_bytes, rdata.len())).sum();
        if around + plain + signatures <= MESSAGE_BYTES_MAX {
            return;
        }
        let records = measure(self.seed, owner, rtype, rdatas);
        let (owner, bytes) = (owner.to_name(), around + records + signatures);
        if records > MESSAGE_BYTES_MAX - owner.as_ref().len() {
            faults.add(FaultKind::RrsetTooLarge { owner, rtype, bytes: records }, position, 0);
        } else if bytes > MESSAGE_BYTES_MAX {
            faults.add(FaultKind::RrsetWithoutRoom { owner, rtype, bytes }, position, 0);
        }
    }

    /// Records of the RRsets that were made last, signatures included.
    pub(super) fn record_count(&self) -> usize {
        self.rdatas.len() + self.signatures.len()
    }

    /// The RRsets that were made last, in the order of their types.
    pub(super) fn sources(&self) -> impl ExactSizeIterator<Item = RrsetSource<'_>> {
        self.parts.iter().map(|part| RrsetSource {
            rtype: part.rtype,
            ttl: part.ttl,
            rdatas: &self.rdatas[part.rdatas.clone()],
            signatures: &self.signatures[part.signatures.clone()],
        })
    }
}

/// The TTL of an RRset. Reports where others differ.
fn one_ttl(owner: NameRef<'_>, records: &[Stored<'_>], rule: TtlRule, faults: &mut Faults) -> u32 {
    let mut ttls = records.iter().map(|record| record.ttl);
    let used = match rule {
        TtlRule::First => ttls.next(),
        TtlRule::Lowest => ttls.min(),
    };
    let Some(used) = used else { return 0 };
    for record in records.iter().filter(|record| record.ttl != used) {
        let (owner, rtype) = (owner.to_name(), record.rtype);
        faults.add(FaultKind::TtlsDiffer { owner, rtype, ttl: record.ttl, used }, record.position, 0);
    }
    used
}

/// Appends what `pick` makes of each record, in canonical order and each once.
fn push_unique<'a, T>(
    owner: NameRef<'_>,
    records: &[Stored<'a>],
    out: &mut Vec<T>,
    faults: &mut Faults,
    pick: impl Fn(&Stored<'a>) -> T,
) {
    if let [] | [_] = records {
        return out.extend(records.iter().map(pick));
    }
    let mut keyed: Vec<(Cow<'a, [u8]>, &Stored<'a>)> =
        records.iter().map(|record| (canonical(record), record)).collect();
    keyed.sort_by(|a, b| a.0.cmp(&b.0)); // Stable: of equal ones the first in the file stays.
    for (index, (key, record)) in keyed.iter().enumerate() {
        if index > 0 && keyed[index - 1].0 == *key {
            let kind = FaultKind::Duplicate { owner: owner.to_name(), rtype: record.rtype };
            faults.add(kind, record.position, 0);
        } else {
            out.push(pick(record));
        }
    }
}

/// The RDATA in canonical form (RFC 4034 §6.2); borrowed where it holds no capital letter or no name.
pub(super) fn canonical<'a>(record: &Stored<'a>) -> Cow<'a, [u8]> {
    let has_capitals = record.rdata.iter().any(u8::is_ascii_uppercase);
    if !has_capitals || rdata::names(record.rtype, record.rdata).next().is_none() {
        return Cow::Borrowed(record.rdata);
    }
    let mut octets = Vec::with_capacity(record.rdata.len());
    rdata::write_canonical(record.rtype, record.rdata, &mut octets);
    Cow::Owned(octets)
}

/// Reports what is wrong with one RRset.
fn report_rrset(
    owner: NameRef<'_>,
    apex: NameRef<'_>,
    part: &Part,
    own: &[Stored<'_>],
    signing: &[Stored<'_>],
    faults: &mut Faults,
) {
    let rtype = part.rtype;
    let Some(first) = own.first() else {
        let kind = DnssecFault::RrsigCoversNothing { owner: owner.to_name(), covered: rtype };
        return signing.iter().take(1).for_each(|record| faults.add(kind.clone(), record.position, 0));
    };
    if part.rdatas.len() > 1 {
        let kind = match rtype {
            Type::SOA => Some(FaultKind::SeveralSoas { apex: apex.to_name() }),
            Type::CNAME => Some(FaultKind::SeveralCnames { owner: owner.to_name() }),
            Type::DNAME => Some(FaultKind::SeveralDnames { owner: owner.to_name() }),
            _ => None,
        };
        kind.into_iter().for_each(|kind| faults.add(kind, own[1].position, 0));
    }
    if rtype == POWERDNS_ALIAS {
        faults.add(PeerFault::PowerDnsAlias { owner: owner.to_name() }, first.position, 0);
    }
    if owner.is_wildcard() && matches!(rtype, Type::NS | Type::DNAME) {
        faults.add(FaultKind::AtWildcard { owner: owner.to_name(), rtype }, first.position, 0);
    }
}

/// Reports which types of one owner exclude each other.
fn report_owner(owner: NameRef<'_>, records: &[Stored<'_>], faults: &mut Faults) {
    let place_of = |rtype: Type| -> Option<Position> { Some(records.iter().find(|r| r.rtype == rtype)?.position) };
    if place_of(Type::CNAME).is_some() {
        // RFC 2181 §10.1, RFC 4034 §2.5: only what signing adds may stand beside a CNAME.
        let allowed = [Type::CNAME, Type::RRSIG, Type::NSEC, Type::KEY, Type::SIG, Type::NXT];
        if let Some(other) = records.iter().find(|record| !allowed.contains(&record.rtype)) {
            let kind = FaultKind::CnameAndOtherData { owner: owner.to_name(), rtype: other.rtype };
            faults.add(kind, other.position, 0);
        }
    }
    if let (Some(position), true, None) = (place_of(Type::NS), place_of(Type::DNAME).is_some(), place_of(Type::SOA)) {
        faults.add(FaultKind::NsBesideDname { owner: owner.to_name() }, position, 0);
    }
}
