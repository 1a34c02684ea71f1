//! Signatures and the keys that made them: times, algorithms without signatures, signatures without keys, and which key
//! a DS is of (RFC 4034 §2, §3, §5). Verifies nothing: that needs no more than a validator, and takes longer than all
//! the rest.

use sha1::Sha1;
use sha2::{Digest, Sha256, Sha384};

use crate::fault::{DnssecFault, Faults, Position};
use crate::wire::{Name, NameRef, Type};
use crate::zone::Zone;
use crate::zone::hash::LookupName;
use crate::zone::node::Flags;
use crate::zonebuild::collect::Stored;

/// The most pairs of algorithm and key tag that are counted.
const SIGNERS_MAX: usize = 64;

/// A DNSKEY by what signatures name it with: algorithm and key tag (RFC 4034 §3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Signer {
    algorithm: u8,
    tag: u16,
}

/// Signatures of one sort.
#[derive(Clone, Copy, Debug, Default)]
struct Signatures {
    count: usize,
    /// Owner and covered type of the first in the text.
    first: Option<(Position, Name, Type)>,
}

impl Signatures {
    /// Counts one.
    fn add(&mut self, owner: NameRef<'_>, record: &Stored<'_>) {
        self.count += 1;
        if self.first.as_ref().is_none_or(|(position, ..)| record.position < *position) {
            self.first = Some((record.position, owner.to_name(), record.covered().unwrap_or(Type::RRSIG)));
        }
    }

    /// Counts others too.
    fn join(&mut self, other: &Self) {
        self.count += other.count;
        if other.first.is_some_and(|(new, ..)| self.first.is_none_or(|(known, ..)| new < known)) {
            self.first = other.first;
        }
    }
}

/// What the signatures of a zone say.
#[derive(Default)]
pub(super) struct Signing {
    expired: Signatures,
    early: Signatures,
    signers: Vec<(Signer, Signatures)>,
    /// The signer of the record before: nearly always that of the next one.
    last: usize,
}

impl Signing {
    /// Looks at the signatures among the records of one owner. `now` counts seconds as RRSIG does (RFC 4034 §3.1.5).
    pub(super) fn look_at(&mut self, owner: NameRef<'_>, records: &[Stored<'_>], now: u32) {
        for record in records.iter().filter(|record| record.rtype == Type::RRSIG) {
            let Some(fixed) = record.rdata.first_chunk::<18>() else { continue };
            let number = |at: usize| u32::from_be_bytes([fixed[at], fixed[at + 1], fixed[at + 2], fixed[at + 3]]);
            if is_before(number(8), now) {
                self.expired.add(owner, record);
            }
            if is_before(now, number(12)) {
                self.early.add(owner, record);
            }
            let signer = Signer { algorithm: fixed[2], tag: u16::from_be_bytes([fixed[16], fixed[17]]) };
            if let Some(signatures) = self.of(signer) {
                signatures.add(owner, record);
            }
        }
    }

    /// What a signer has signed.
    fn of(&mut self, signer: Signer) -> Option<&mut Signatures> {
        if self.signers.get(self.last).is_none_or(|(known, _)| *known != signer) {
            self.last = self.signers.iter().position(|(known, _)| *known == signer).unwrap_or(self.signers.len());
            if self.last == self.signers.len() && self.last < SIGNERS_MAX {
                self.signers.push((signer, Signatures::default()));
            }
        }
        self.signers.get_mut(self.last).map(|(_, signatures)| signatures)
    }

    /// Counts what was seen elsewhere in the zone.
    pub(super) fn join(&mut self, other: &Self) {
        self.expired.join(&other.expired);
        self.early.join(&other.early);
        for (signer, signatures) in &other.signers {
            if let Some(known) = self.of(*signer) {
                known.join(signatures);
            }
        }
    }

    /// Reports what is wrong, `zone` being laid out: of signatures only where it is meant to be signed.
    pub(super) fn report(&self, zone: &Zone, is_signed: bool, faults: &mut Faults) {
        if is_signed {
            self.report_signatures(zone, faults);
        }
        // Each algorithm among the keys has to sign (RFC 4035 §2.2, RFC 6840 §5.11); not each key: some stand by.
        let signs = |key: &Signer| self.signers.iter().any(|(signer, _)| signer.algorithm == key.algorithm);
        let mut idle: Vec<Signer> = Vec::new();
        for key in zone_keys(zone).filter(|key| is_zone_key(key)).map(Signer::of).filter(|key| !signs(key)) {
            if self.signers.len() < SIGNERS_MAX && idle.iter().all(|known| known.algorithm != key.algorithm) {
                idle.push(key);
            }
        }
        for Signer { algorithm, tag } in idle {
            faults.add(DnssecFault::DnskeySignsNothing { algorithm, tag }, Position::of_file(0), 0);
        }
    }

    /// Reports signatures whose time is not now, and of those that no key of the zone made.
    fn report_signatures(&self, zone: &Zone, faults: &mut Faults) {
        if let Signatures { count, first: Some((position, owner, covered)) } = self.expired {
            faults.add(DnssecFault::RrsigExpired { owner, covered, count }, position, 0);
        }
        if let Signatures { count, first: Some((position, owner, covered)) } = self.early {
            faults.add(DnssecFault::RrsigNotYetValid { owner, covered, count }, position, 0);
        }
        let keys: Vec<Signer> = zone_keys(zone).map(Signer::of).collect();
        for (signer, Signatures { count, first }) in self.signers.iter().filter(|(signer, _)| !keys.contains(signer)) {
            if let Some((position, owner, covered)) = *first {
                let Signer { algorithm, tag } = *signer;
                faults.add(DnssecFault::RrsigWithoutKey { owner, covered, algorithm, tag, count: *count }, position, 0);
            }
        }
    }
}

impl Signer {
    /// That of a DNSKEY record, whose RDATA was checked.
    fn of(rdata: &[u8]) -> Self {
        Self { algorithm: rdata.get(3).copied().unwrap_or(0), tag: key_tag(rdata) }
    }
}

/// Whether one time is before another in serial arithmetic (RFC 1982, RFC 4034 §3.1.5).
fn is_before(time: u32, other: u32) -> bool {
    other.wrapping_sub(time) as i32 > 0
}

/// The RDATA of the DNSKEY records at the apex.
fn zone_keys(zone: &Zone) -> impl Iterator<Item = &[u8]> {
    let keys = zone.apex_node().rrset(Type::DNSKEY);
    keys.into_iter().flat_map(|keys| keys.records()).map(|record| record.rdata)
}

/// Whether the RDATA of a DNSKEY is of a key that may sign zones (RFC 4034 §2.1.1).
fn is_zone_key(rdata: &[u8]) -> bool {
    rdata.first().is_some_and(|flags| flags & 1 == 1)
}

/// The key tag of the RDATA of a DNSKEY (RFC 4034, appendix B; RSA/MD5 is long gone).
fn key_tag(rdata: &[u8]) -> u16 {
    let add = |sum: u32, (index, octet): (usize, &u8)| sum + (u32::from(*octet) << if index % 2 == 0 { 8 } else { 0 });
    let sum = rdata.iter().enumerate().fold(0, add);
    (sum + (sum >> 16)) as u16
}

/// Reports the DS records in `parent` that are of no key of `child`, a zone right below one of its names, and of a
/// child that the parent does not delegate. A zone knows no lines: `position_of` says where the parent has the DS with
/// that RDATA for the child, or else its first record at that name.
pub fn check_child(
    parent: &Zone,
    child: &Zone,
    position_of: &dyn Fn(NameRef<'_>, Option<&[u8]>) -> Position,
    faults: &mut Faults,
) {
    let apex = child.apex();
    let name = LookupName::new(apex);
    let node_of =
        |labels: usize| parent.names().find(name.hash_of_suffix(parent.seed(), labels), apex.suffix(labels).as_bytes());
    let is_cut = |labels| node_of(labels).is_some_and(|node| node.flags().has(Flags::IS_CUT));
    if (parent.apex().label_count() + 1..name.label_count()).any(is_cut) {
        return; // Somebody else's zone lies between.
    }
    let node = node_of(name.label_count());
    let Some(node) = node.filter(|node| node.rrset(Type::NS).is_some()) else {
        let kind = DnssecFault::ChildNotDelegated { parent: parent.apex().to_name(), child: apex.to_name() };
        return faults.add(kind, position_of(apex, None), 0);
    };
    let keys: Vec<&[u8]> = zone_keys(child).collect();
    for record in node.rrset(Type::DS).into_iter().flat_map(|set| set.records()) {
        let [high, low, algorithm, digest_type, digest @ ..] = record.rdata else { continue };
        let tag = u16::from_be_bytes([*high, *low]);
        let signer = Signer { algorithm: *algorithm, tag };
        let is_of = |key: &&[u8]| Signer::of(key) == signer && is_digest(*digest_type, digest, apex, key);
        if !keys.iter().any(is_of) {
            let kind = DnssecFault::DsWithoutKey { child: apex.to_name(), algorithm: *algorithm, tag };
            faults.add(kind, position_of(apex, Some(record.rdata)), 0);
        }
    }
}

/// Whether a digest is that of a key (RFC 4034 §5.1.4); that of an unknown type may be.
fn is_digest(digest_type: u8, digest: &[u8], owner: NameRef<'_>, key: &[u8]) -> bool {
    let mut octets = owner.as_bytes().to_ascii_lowercase(); // Length octets are below `A`.
    octets.extend_from_slice(key);
    match digest_type {
        1 => Sha1::digest(&octets)[..] == *digest,
        2 => Sha256::digest(&octets)[..] == *digest,
        4 => Sha384::digest(&octets)[..] == *digest,
        _ => true,
    }
}
