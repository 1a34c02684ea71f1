//! What differs between two versions of a zone: one step of an incremental transfer (RFC 1995 §4).

use crate::wire::{Class, NameRef, Type, rdata};
use crate::zone::Zone;
use crate::zone::hash::{LookupName, Seed};
use crate::zone::names::Names;
use crate::zone::node::Node;
use crate::zonebuild::Record;

/// Octets of type, class, TTL and RDLENGTH.
const HEAD_BYTES: usize = 10;
/// Octets of a SOA behind its names: SERIAL, REFRESH, RETRY, EXPIRE, MINIMUM.
const SOA_TAIL_BYTES: usize = 20;

/// The SOA record of a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Soa {
    /// Seconds.
    pub ttl: u32,
    /// RDATA in wire form, uncompressed.
    rdata: Box<[u8]>,
}

impl Soa {
    /// Takes RDATA; `None` where it is too short for a SOA's.
    pub fn new(ttl: u32, rdata: &[u8]) -> Option<Self> {
        (rdata.len() >= SOA_TAIL_BYTES + 2).then(|| Self { ttl, rdata: rdata.into() })
    }

    /// The SOA of a zone.
    ///
    /// # Panics
    /// If the zone has none, which no zone is without.
    pub fn of(zone: &Zone) -> Self {
        let mut found = None;
        zone.apex_node().visit_records(|rtype, ttl, rdata| {
            if rtype == Type::SOA {
                found = Self::new(ttl, rdata);
            }
        });
        found.expect("a zone has a SOA")
    }

    /// RDATA in wire form, uncompressed.
    pub fn rdata(&self) -> &[u8] {
        &self.rdata
    }

    /// The number at that index behind the names.
    fn number(&self, index: usize) -> u32 {
        let at = self.rdata.len() - SOA_TAIL_BYTES + 4 * index;
        self.rdata[at..].first_chunk().copied().map_or(0, u32::from_be_bytes)
    }

    /// SERIAL.
    pub fn serial(&self) -> u32 {
        self.number(0)
    }

    /// The same with another SERIAL.
    #[must_use]
    pub fn with_serial(&self, serial: u32) -> Self {
        let mut rdata = self.rdata.clone();
        let at = rdata.len() - SOA_TAIL_BYTES;
        rdata[at..at + 4].copy_from_slice(&serial.to_be_bytes());
        Self { ttl: self.ttl, rdata }
    }

    /// REFRESH, RETRY and EXPIRE in seconds.
    pub fn timers(&self) -> [u32; 3] {
        [1, 2, 3].map(|index| self.number(index))
    }

    /// Whether it says the same, letter case of its names ignored.
    pub fn is_same(&self, other: &Self) -> bool {
        self.ttl == other.ttl && self.is_same_data(other)
    }

    /// Whether its RDATA says the same, letter case of its names ignored.
    pub fn is_same_data(&self, other: &Self) -> bool {
        let [(names, numbers), (other_names, other_numbers)] =
            [self, other].map(|soa| soa.rdata.split_at(soa.rdata.len() - SOA_TAIL_BYTES));
        // Length octets are below `A`.
        names.eq_ignore_ascii_case(other_names) && numbers == other_numbers
    }

    /// The record.
    pub fn record<'a>(&'a self, apex: NameRef<'a>) -> Record<'a> {
        Record { owner: apex, rtype: Type::SOA, ttl: self.ttl, rdata: &self.rdata, position: None }
    }
}

/// Whether serial `a` comes before `b` (RFC 1982 §3.2). What is neither before nor behind counts as before.
pub fn is_serial_before(a: u32, b: u32) -> bool {
    a != b && b.wrapping_sub(a) <= 1 << 31
}

/// Records one behind another, as they stand in messages, uncompressed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Records {
    octets: Vec<u8>,
    count: usize,
}

impl Records {
    /// Puts a record behind the others.
    pub fn push(&mut self, record: &Record<'_>) {
        self.octets.extend_from_slice(record.owner.as_bytes());
        self.octets.extend_from_slice(&record.rtype.0.to_be_bytes());
        self.octets.extend_from_slice(&Class::IN.0.to_be_bytes());
        self.octets.extend_from_slice(&record.ttl.to_be_bytes());
        self.octets.extend_from_slice(&(record.rdata.len() as u16).to_be_bytes());
        self.octets.extend_from_slice(record.rdata);
        self.count += 1;
    }

    /// Takes octets that [`Self::octets`] gave. `None` where they are anything else, or where their RDATA is of no use
    /// to us: another version of us may have known less of a type.
    pub fn from_octets(octets: Vec<u8>) -> Option<Self> {
        let mut records = Self { octets, count: 0 };
        let mut at = 0;
        while at < records.octets.len() {
            let (record, behind) = records.read(at)?;
            rdata::check(record.rtype, record.rdata).ok().filter(|()| !record.rtype.is_meta())?;
            at = behind;
            records.count += 1;
        }
        Some(records)
    }

    /// All octets.
    pub fn octets(&self) -> &[u8] {
        &self.octets
    }

    /// How many records there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The records from an offset on, each with the offset behind it.
    pub fn iter_from(&self, mut at: usize) -> impl Iterator<Item = (Record<'_>, usize)> {
        core::iter::from_fn(move || {
            let (record, behind) = self.read(at)?;
            at = behind;
            Some((record, behind))
        })
    }

    /// All records.
    pub fn iter(&self) -> impl Iterator<Item = Record<'_>> {
        self.iter_from(0).map(|(record, _)| record)
    }

    /// The record at an offset, and the offset behind it.
    fn read(&self, at: usize) -> Option<(Record<'_>, usize)> {
        let owner = NameRef::parse(self.octets.get(at..)?).ok()?;
        let head_at = at + owner.len();
        let [t0, t1, _, _, l0, l1, l2, l3, r0, r1] = *self.octets.get(head_at..)?.first_chunk::<HEAD_BYTES>()?;
        let rdata_at = head_at + HEAD_BYTES;
        let end = rdata_at + usize::from(u16::from_be_bytes([r0, r1]));
        let (rtype, ttl) = (Type(u16::from_be_bytes([t0, t1])), u32::from_be_bytes([l0, l1, l2, l3]));
        Some((Record { owner, rtype, ttl, rdata: self.octets.get(rdata_at..end)?, position: None }, end))
    }
}

/// One step from a version of a zone to a later one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The SOA before.
    pub from: Soa,
    /// The SOA behind.
    pub to: Soa,
    /// Records that go, but the SOA.
    pub deleted: Records,
    /// Records that come, but the SOA.
    pub added: Records,
}

impl Change {
    /// What differs between two versions, octet by octet: letter case and TTLs too. Cost: what the versions do not
    /// share.
    pub fn between(old: &Zone, new: &Zone) -> Self {
        let mut change =
            Self { from: Soa::of(old), to: Soa::of(new), deleted: Records::default(), added: Records::default() };
        change.compare(old, new, Zone::names);
        change.compare(old, new, Zone::hashed);
        change
    }

    /// Compares the nodes of one kind.
    fn compare(&mut self, old: &Zone, new: &Zone, of: impl Fn(&Zone) -> &Names) {
        let (olds, news) = (of(old), of(new));
        for node in olds.unshared(news) {
            let (before, behind) = (Held::of(node), Held::like(node, news, new.seed()));
            let behind = behind.unwrap_or_default();
            before.push_missing(&behind, &mut self.deleted);
            behind.push_missing(&before, &mut self.added);
        }
        for node in news.unshared(olds) {
            if Held::like(node, olds, old.seed()).is_none() {
                Held::of(node).push_missing(&Held::default(), &mut self.added);
            }
        }
    }

    /// Octets that it takes in memory, about.
    pub fn bytes(&self) -> usize {
        size_of::<Self>()
            + self.from.rdata.len()
            + self.to.rdata.len()
            + self.deleted.octets.len()
            + self.added.octets.len()
    }

    /// Records that it has in a transfer.
    pub fn record_count(&self) -> usize {
        2 + self.deleted.count + self.added.count
    }
}

/// The records of a node but the SOA, in an order of their own.
#[derive(Default)]
struct Held<'z> {
    owner: Option<NameRef<'z>>,
    records: Vec<(Type, u32, Vec<u8>)>,
}

impl<'z> Held<'z> {
    /// Reads a node.
    fn of(node: Node<'z>) -> Self {
        let mut records = Vec::new();
        node.visit_records(|rtype, ttl, rdata| {
            if rtype != Type::SOA {
                records.push((rtype, ttl, rdata.to_vec()));
            }
        });
        records.sort();
        Self { owner: Some(node.name()), records }
    }

    /// Reads the node of the same name in another version.
    fn like(node: Node<'_>, names: &'z Names, seed: Seed) -> Option<Self> {
        names.find(LookupName::new(node.name()).hash(seed), node.name_octets()).map(Self::of)
    }

    /// Puts what `other` does not have behind the records of `to`. Where names differ in letter case, it has nothing.
    fn push_missing(&self, other: &Self, to: &mut Records) {
        let Some(owner) = self.owner else { return };
        let is_same_name = other.owner.is_some_and(|other| other.as_bytes() == owner.as_bytes());
        for record in &self.records {
            if !is_same_name || other.records.binary_search(record).is_err() {
                let (rtype, ttl, rdata) = record;
                to.push(&Record { owner, rtype: *rtype, ttl: *ttl, rdata, position: None });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serials_are_compared_around_their_end() {
        assert!(is_serial_before(1, 2) && !is_serial_before(2, 1) && !is_serial_before(7, 7));
        assert!(is_serial_before(u32::MAX, 0) && !is_serial_before(0, u32::MAX));
        assert!(is_serial_before(0, 1 << 31) && is_serial_before(1 << 31, 0), "neither is behind the other");
    }

    #[test]
    fn octets_that_are_no_records_are_refused() {
        let mut records = Records::default();
        let owner = NameRef::parse(b"\x01a\0").expect("a name");
        records.push(&Record { owner, rtype: Type::A, ttl: 5, rdata: &[1, 2, 3, 4], position: None });
        records.push(&Record { owner, rtype: Type::TXT, ttl: 6, rdata: b"\x01x", position: None });
        assert_eq!(Records::from_octets(records.octets().to_vec()), Some(records.clone()));
        let ends: Vec<usize> = records.iter_from(0).map(|(_, end)| end).collect();
        for end in (1..records.octets.len()).filter(|end| !ends.contains(end)) {
            assert_eq!(Records::from_octets(records.octets[..end].to_vec()), None, "{end}");
        }
    }
}
