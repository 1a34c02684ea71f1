//! Whether a zone is what its ZONEMD records say (RFC 8976): scheme SIMPLE, with SHA-384 and SHA-512.
//!
//! The digest covers every record in canonical form and order, so that it costs what the zone holds. Nothing is done
//! for a zone without ZONEMD. Whether the ZONEMD itself is signed is for validators (§4 steps 1 to 3).

use sha2::{Digest, Sha384, Sha512};

use crate::fault::{Faults, Position, ZonemdFault};
use crate::wire::{Class, Type, rdata};
use crate::zone::node::{NAMED_RDATA_BYTES_MAX, Node, Rrset};
use crate::zone::order::name_key;
use crate::zone::{NodeCursor, Zone};

/// The scheme SIMPLE (RFC 8976 §5.2).
const SIMPLE: u8 = 1;
/// Octets that are put together before they are digested.
const CHUNK_BYTES: usize = 64 << 10;

/// What is asked of the ZONEMD records of a zone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ZonemdRule {
    /// Where there are some that can be verified, one must verify.
    #[default]
    Verify,
    /// One must be there and verify.
    Require,
    /// Nothing.
    Ignore,
}

/// A ZONEMD record (RFC 8976 §2.2).
struct Zonemd<'z> {
    serial: u32,
    scheme: u8,
    hash: u8,
    digest: &'z [u8],
}

impl<'z> Zonemd<'z> {
    /// Reads the RDATA, which was checked.
    fn read(rdata: &'z [u8]) -> Option<Self> {
        let (&[s0, s1, s2, s3, scheme, hash], digest) = rdata.split_first_chunk()?;
        Some(Self { serial: u32::from_be_bytes([s0, s1, s2, s3]), scheme, hash, digest })
    }
}

/// A hash algorithm that is carried out (RFC 8976 §5.3), with what it was fed so far.
enum Hasher {
    Sha384(Sha384),
    Sha512(Sha512),
}

impl Hasher {
    /// The one of that number.
    fn new(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Sha384(Sha384::new())),
            2 => Some(Self::Sha512(Sha512::new())),
            _ => None,
        }
    }

    /// Digests more octets.
    fn update(&mut self, octets: &[u8]) {
        match self {
            Self::Sha384(hasher) => hasher.update(octets),
            Self::Sha512(hasher) => hasher.update(octets),
        }
    }

    /// Whether what was digested has that digest.
    fn is(self, digest: &[u8]) -> bool {
        match self {
            Self::Sha384(hasher) => hasher.finalize()[..] == *digest,
            Self::Sha512(hasher) => hasher.finalize()[..] == *digest,
        }
    }
}

/// Verifies the ZONEMD records of a zone as `rule` asks (RFC 8976 §4 steps 4 to 8): one that verifies is enough. What
/// is wrong goes to `faults`, as an error where the zone must not be served.
pub fn check_digest(zone: &Zone, rule: ZonemdRule, faults: &mut Faults) {
    let mut add = |fault: ZonemdFault| faults.add(fault, Position::of_file(0), 0);
    let rrset = if rule == ZonemdRule::Ignore { return } else { zone.apex_node().rrset(Type::ZONEMD) };
    let Some(rrset) = rrset else {
        if rule == ZonemdRule::Require {
            add(ZonemdFault::Missing { apex: zone.apex().to_name() });
        }
        return;
    };
    let records: Vec<Zonemd<'_>> = rrset.records().filter_map(|record| Zonemd::read(record.rdata)).collect();
    let (mut wrong, mut unknown, mut usable) = (Vec::new(), Vec::new(), Vec::new());
    for record in &records {
        let Zonemd { serial, scheme, hash, digest } = *record;
        let is_rival = |other: &&Zonemd<'_>| (other.scheme, other.hash) == (scheme, hash);
        match Hasher::new(hash).filter(|_| scheme == SIMPLE) {
            _ if serial != zone.serial() => wrong.push(ZonemdFault::Serial { found: serial, serial: zone.serial() }),
            None => unknown.push(ZonemdFault::Unknown { scheme, hash }),
            Some(_) if records.iter().filter(is_rival).count() > 1 => {
                wrong.push(ZonemdFault::Repeated { scheme, hash });
            }
            Some(hasher) => usable.push((hash, hasher, digest)),
        }
    }
    if !usable.is_empty() {
        write_canonical(zone, |octets| usable.iter_mut().for_each(|(_, hasher, _)| hasher.update(octets)));
    }
    for (hash, hasher, digest) in usable {
        if hasher.is(digest) {
            return;
        }
        wrong.push(ZonemdFault::Digest { hash });
    }
    match wrong.is_empty() {
        false => wrong.into_iter().for_each(&mut add),
        true => {
            unknown.into_iter().for_each(&mut add);
            if rule == ZonemdRule::Require {
                add(ZonemdFault::Unverified { apex: zone.apex().to_name() });
            }
        }
    }
}

/// Hands `take` all records that a digest covers, in canonical form and order (RFC 8976 §3.3): those that a delegation
/// hides among them; not the ZONEMD records of the apex and their signatures.
fn write_canonical(zone: &Zone, mut take: impl FnMut(&[u8])) {
    let apex = zone.apex();
    let nodes = zone.nodes_from(NodeCursor::default()).map(|(node, _)| node).filter(|node| !node.is_empty());
    let mut nodes: Vec<(u64, Node<'_>)> = nodes.map(|node| (name_key(node.name(), apex), node)).collect();
    nodes.sort_unstable_by(|(a_key, a), (b_key, b)| a_key.cmp(b_key).then_with(|| a.name().cmp(&b.name())));
    let (mut out, mut rrsets) = (Vec::with_capacity(2 * CHUNK_BYTES), Vec::new());
    // What is the owner of an NSEC3 record may be a name of the zone too.
    for same in nodes.chunk_by(|(_, a), (_, b)| a.name() == b.name()) {
        let owner = same[0].1.name();
        let is_covered = |rrset: &Rrset<'_>| rrset.rtype != Type::ZONEMD || owner != apex;
        rrsets.clear();
        rrsets.extend(same.iter().flat_map(|(_, node)| node.rrsets()).filter(is_covered));
        rrsets.sort_by_key(|rrset: &Rrset<'_>| rrset.rtype);
        let (before, behind) = rrsets.split_at(rrsets.partition_point(|rrset| rrset.rtype < Type::RRSIG));
        let mut writer = Writer { node: same[0].1, out: &mut out, take: &mut take };
        before.iter().for_each(|rrset| writer.write(*rrset));
        // RDATA of RRSIG begins with the type that it covers, and so these are in order too.
        rrsets.iter().for_each(|rrset| writer.write(rrset.as_signatures()));
        behind.iter().for_each(|rrset| writer.write(*rrset));
    }
    take(&out);
}

/// Writes the records of one owner.
struct Writer<'a, 'z, T> {
    node: Node<'z>,
    out: &'a mut Vec<u8>,
    take: &'a mut T,
}

impl<T: FnMut(&[u8])> Writer<'_, '_, T> {
    /// Writes an RRset, whose records stand in canonical order, in canonical form (RFC 4034 §6.2).
    fn write(&mut self, rrset: Rrset<'_>) {
        let mut scratch = arrayvec::ArrayVec::<u8, NAMED_RDATA_BYTES_MAX>::new();
        for record in rrset.records() {
            let start = self.out.len();
            self.out.extend_from_slice(self.node.name_octets());
            self.out[start..].make_ascii_lowercase(); // Length octets are below `A`.
            self.out.extend_from_slice(&rrset.rtype.0.to_be_bytes());
            self.out.extend_from_slice(&Class::IN.0.to_be_bytes());
            self.out.extend_from_slice(&record.ttl.to_be_bytes());
            let plain = rrset.plain_rdata(self.node.name_octets(), &record, &mut scratch);
            self.out.extend_from_slice(&(plain.len() as u16).to_be_bytes());
            rdata::write_canonical(rrset.rtype, plain, self.out);
            if self.out.len() >= CHUNK_BYTES {
                (self.take)(self.out);
                self.out.clear();
            }
        }
    }
}

#[cfg(test)]
mod tests;
