//! One name of a zone with its RRsets, laid out for copying: how it is written at load and read when asked.
//!
//! A node is a run of octets that refers to nothing outside itself, so versions of a zone can share it. Each RRset is
//! a *template*: complete records as they stand in a reply whose question is the node's own name. For such a reply
//! the template is copied as it is; elsewhere its pointers are moved (`answer::reply`).
//!
//! ```text
//!  0      1      2         4                                     integers are little endian
//! +------+------+---------+------+-------------------+----------+----------------------------------+
//! | flags| n    | count c | name | 2 NSEC3 hashes    | c × entry| c × (body, sigs, fixups, targets) |
//! +------+------+---------+------+-------------------+----------+----------------------------------+
//!                          n octets 40, if IS_HASHED   18 octets
//! entry:   type u16, records u16, signatures u16, fixups u16, targets u16, body octets u32, sigs octets u32
//! body:    records: owner C00C (the root: 00), type, class IN, TTL, RDLENGTH, RDATA; compressed as RFC 3597 §4 allows
//! sigs:    the RRSIG records that cover the body's type, laid out likewise
//! fixups:  u16 each: where in the body a compression pointer stands inside RDATA
//! targets: u16 + u64 each: a pointer to the name, or 0, its highest bit set if the name stands at or below the owner,
//!          the next one if the record is an alias to a service there, and the hash of a name whose addresses belong in
//!          the additional section
//! ```
//!
//! A pointer in a template counts as in that first reply: below [`QNAME_OFFSET`] + n + 4 it points into the question,
//! from there on into the body.

use arrayvec::ArrayVec;

use crate::wire::name::NAME_BYTES_MAX;
use crate::wire::rdata::{self, Piece};
use crate::wire::{Name, NameRef, Type};
use crate::zone::hash::NameHash;

/// Where the question's name starts in a message (RFC 1035 §4.1.1).
pub const QNAME_OFFSET: usize = 12;
/// Octets of QTYPE and QCLASS behind the question's name.
pub const QUESTION_TAIL_BYTES: usize = 4;
/// Octets of a record between its owner and its RDATA: type, class, TTL, RDLENGTH.
pub const RECORD_FIXED_BYTES: usize = 10;
/// Names further inside a template than this are not pointed at, so that a template may start at any offset up to
/// 0x3FFF less this and all its pointers still fit their 14 bits.
pub const POINTER_REACH_BYTES: usize = 0x1000;
/// The most octets of plain RDATA in which names may be compressed: SOA has two names and five numbers (RFC 1035
/// §3.3.13).
pub const NAMED_RDATA_BYTES_MAX: usize = 2 * NAME_BYTES_MAX + 20;
/// An NSEC3 hash in octets: SHA-1 is the only algorithm (RFC 5155 §11).
pub const NSEC3_HASH_BYTES: usize = 20;

pub(crate) const HEAD_BYTES: usize = 4;
pub(crate) const ENTRY_BYTES: usize = 18;
const FIXUP_BYTES: usize = 2;
const TARGET_BYTES: usize = 10;

/// Facts about a node that the lookup needs, one bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(pub u8);

impl Flags {
    /// The name is a zone cut: it has NS and is not the apex.
    pub const IS_CUT: Self = Self(1);
    /// The name has a DNAME.
    pub const HAS_DNAME: Self = Self(2);
    /// The name stands below a cut or a DNAME and is not authoritative data.
    pub const IS_OCCLUDED: Self = Self(4);
    /// The name has a child `*`.
    pub const HAS_WILDCARD: Self = Self(8);
    /// The NSEC3 hashes of the name and of `*` below it are stored.
    pub const IS_HASHED: Self = Self(16);
    /// Some RRset leads on to names whose addresses belong in the additional section.
    pub const LEADS_ON: Self = Self(32);

    /// Whether any bit of `other` is set.
    pub fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Sets the bits of `other` where `condition` holds.
    #[must_use]
    pub fn with(self, other: Self, condition: bool) -> Self {
        if condition { Self(self.0 | other.0) } else { self }
    }
}

/// A node, borrowed from its zone.
#[derive(Clone, Copy)]
pub struct Node<'z> {
    bytes: &'z [u8],
}

/// An RRset of a node: its template.
#[derive(Clone, Copy)]
pub struct Rrset<'z> {
    /// The type.
    pub rtype: Type,
    /// Records in `body`.
    pub record_count: u16,
    /// RRSIG records in `signatures`.
    pub signature_count: u16,
    /// The records.
    pub body: &'z [u8],
    /// The RRSIG records that cover them.
    pub signatures: &'z [u8],
    fixups: &'z [u8],
    targets: &'z [u8],
}

/// One record inside a template.
#[derive(Clone, Copy)]
pub struct TemplateRecord<'z> {
    /// Where the record starts in the template.
    pub start: usize,
    /// Octets of its owner: 2 for a pointer, 1 for the root.
    pub owner_bytes: usize,
    /// The TTL in seconds.
    pub ttl: u32,
    /// The RDATA, perhaps compressed.
    pub rdata: &'z [u8],
}

/// A name in an RRset whose addresses belong in the additional section.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// A pointer to the name as templates count them, 0 where no pointer can reach it; and [`IS_BELOW_OWNER`],
    /// [`IS_ALIAS`].
    pub(crate) pointer: u16,
    /// The hash of the name.
    pub hash: NameHash,
}

/// The bit of a target's pointer that says that the name stands at or below the owner of the RRset.
pub(crate) const IS_BELOW_OWNER: u16 = 0x8000;
/// The bit that says that the record is an alias to the service there (RFC 9460 §2.4.2). Pointers stay below both.
pub(crate) const IS_ALIAS: u16 = 0x4000;

impl Target {
    /// Where the name stands, as templates count; `None` where no pointer can reach it.
    pub fn place(self) -> Option<usize> {
        let pointer = usize::from(self.pointer & !(IS_BELOW_OWNER | IS_ALIAS));
        (pointer != 0).then_some(pointer)
    }

    /// Whether the name stands at or below the owner of the RRset: of a delegation, whether its addresses are required.
    pub fn is_below_owner(self) -> bool {
        self.pointer & IS_BELOW_OWNER != 0
    }

    /// Whether the record is an alias to the service at the name, so that its RRset of the same type belongs in the
    /// additional section too (RFC 9460 §4.1).
    pub fn is_alias(self) -> bool {
        self.pointer & IS_ALIAS != 0
    }
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(bytes[at..at + 2].try_into().expect("two octets"))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four octets"))
}

impl TemplateRecord<'_> {
    /// Where the RDATA starts in the template.
    pub fn rdata_start(&self) -> usize {
        self.start + self.owner_bytes + RECORD_FIXED_BYTES
    }
}

impl<'z> Node<'z> {
    /// Takes octets that [`encode`] wrote.
    pub(crate) fn new(bytes: &'z [u8]) -> Self {
        Self { bytes }
    }

    /// All octets of the node.
    pub fn octets(self) -> &'z [u8] {
        self.bytes
    }

    /// The flags.
    pub fn flags(self) -> Flags {
        Flags(self.bytes[0])
    }

    /// The owner name's octets, letter case as in the file.
    pub fn name_octets(self) -> &'z [u8] {
        &self.bytes[HEAD_BYTES..HEAD_BYTES + usize::from(self.bytes[1])]
    }

    /// The owner name.
    pub fn name(self) -> NameRef<'z> {
        NameRef::parse(self.name_octets()).expect("a node was made from a name")
    }

    /// The NSEC3 hash of the name itself (RFC 5155 §5), where it was prepared.
    pub fn nsec3_hash(self) -> Option<&'z [u8; NSEC3_HASH_BYTES]> {
        self.hashes()?.first_chunk()
    }

    /// The NSEC3 hash of `*` below the name, where it was prepared.
    pub fn nsec3_wildcard_hash(self) -> Option<&'z [u8; NSEC3_HASH_BYTES]> {
        self.hashes()?.last_chunk()
    }

    fn hashes(self) -> Option<&'z [u8]> {
        let start = HEAD_BYTES + usize::from(self.bytes[1]);
        self.flags().has(Flags::IS_HASHED).then(|| &self.bytes[start..start + 2 * NSEC3_HASH_BYTES])
    }

    /// Whether the node has no records at all, as an empty non-terminal has none (RFC 8020 §1).
    pub fn is_empty(self) -> bool {
        u16_at(self.bytes, 2) == 0
    }

    /// The RRsets in the order of their types. A type of which only signatures stand is among them.
    pub fn rrsets(self) -> Rrsets<'z> {
        let count = usize::from(u16_at(self.bytes, 2));
        let hashes = if self.flags().has(Flags::IS_HASHED) { 2 * NSEC3_HASH_BYTES } else { 0 };
        let entries = HEAD_BYTES + usize::from(self.bytes[1]) + hashes;
        let (entries, data) = self.bytes[entries..].split_at(count * ENTRY_BYTES);
        Rrsets { entries: entries.as_chunks().0, data }
    }

    /// The RRset of one type that has records.
    #[inline]
    pub fn rrset(self, rtype: Type) -> Option<Rrset<'z>> {
        let Rrsets { entries, data } = self.rrsets();
        let mut skipped = 0;
        for entry in entries {
            if u16_at(entry, 0) == rtype.0 {
                return Some(Rrset::new(entry, &data[skipped..])).filter(|rrset| rrset.record_count > 0);
            }
            skipped += data_bytes(entry).iter().sum::<usize>();
        }
        None
    }
}

/// The RRsets of a node; see [`Node::rrsets`].
#[derive(Clone)]
pub struct Rrsets<'z> {
    entries: &'z [Entry],
    data: &'z [u8],
}

/// The fixed head of an RRset: its type, counts and sizes.
type Entry = [u8; ENTRY_BYTES];

/// How many octets of data belong to an entry: body, signatures, fixups, targets.
#[inline]
fn data_bytes(entry: &Entry) -> [usize; 4] {
    let (fixups, targets) = (usize::from(u16_at(entry, 6)), usize::from(u16_at(entry, 8)));
    [u32_at(entry, 10) as usize, u32_at(entry, 14) as usize, fixups * FIXUP_BYTES, targets * TARGET_BYTES]
}

impl<'z> Iterator for Rrsets<'z> {
    type Item = Rrset<'z>;

    fn next(&mut self) -> Option<Rrset<'z>> {
        let (entry, entries) = self.entries.split_first()?;
        let rrset = Rrset::new(entry, self.data);
        (self.entries, self.data) = (entries, &self.data[data_bytes(entry).iter().sum()..]);
        Some(rrset)
    }
}

impl<'z> Rrset<'z> {
    /// The RRset that `entry` describes, whose data `data` begins with.
    #[inline]
    fn new(entry: &Entry, data: &'z [u8]) -> Self {
        let [body, signatures, fixups, targets] = data_bytes(entry);
        let (body, data) = data.split_at(body);
        let (signatures, data) = data.split_at(signatures);
        let (fixups, data) = data.split_at(fixups);
        Self {
            rtype: Type(u16_at(entry, 0)),
            record_count: u16_at(entry, 2),
            signature_count: u16_at(entry, 4),
            body,
            signatures,
            fixups,
            targets: &data[..targets],
        }
    }

    /// Whether compression pointers stand inside the RDATA of the body.
    pub fn has_fixups(self) -> bool {
        !self.fixups.is_empty()
    }

    /// Where they stand.
    pub fn fixups(self) -> impl Iterator<Item = usize> + 'z {
        self.fixups.chunks_exact(FIXUP_BYTES).map(|entry| usize::from(u16_at(entry, 0)))
    }

    /// Whether addresses belong in the additional section.
    pub fn has_targets(self) -> bool {
        !self.targets.is_empty()
    }

    /// The names whose addresses belong in the additional section, each once.
    pub fn targets(self) -> impl Iterator<Item = Target> + 'z {
        self.targets.chunks_exact(TARGET_BYTES).map(|entry| Target {
            pointer: u16_at(entry, 0),
            hash: NameHash(u64::from_le_bytes(entry[2..].try_into().expect("eight octets"))),
        })
    }

    /// The records of the body.
    pub fn records(self) -> Records<'z> {
        Records { template: self.body, at: 0 }
    }

    /// The RRSIG records.
    pub fn signature_records(self) -> Records<'z> {
        Records { template: self.signatures, at: 0 }
    }

    /// The signatures as an RRset of type RRSIG of their own.
    pub fn as_signatures(self) -> Self {
        Self {
            rtype: Type::RRSIG,
            record_count: self.signature_count,
            signature_count: 0,
            body: self.signatures,
            signatures: &[],
            fixups: &[],
            targets: &[],
        }
    }

    /// The RDATA of one record of the body with its names in full, which `scratch` holds where they are compressed.
    ///
    /// `question` is the name at [`QNAME_OFFSET`] in the reply that the template is laid out for, as far as it is
    /// pointed at.
    pub fn plain_rdata<'s>(
        self,
        question: &[u8],
        record: &TemplateRecord<'s>,
        scratch: &'s mut ArrayVec<u8, NAMED_RDATA_BYTES_MAX>,
    ) -> &'s [u8] {
        if !self.has_fixups() {
            return record.rdata;
        }
        scratch.clear();
        for piece in rdata::pieces(self.rtype, record.rdata) {
            let pushed = match piece {
                Piece::Octets(octets) => scratch.try_extend_from_slice(octets),
                Piece::Name(at) => {
                    let base = QNAME_OFFSET + question.len() + QUESTION_TAIL_BYTES;
                    let name = self.name_at(question, base + record.rdata_start() + at);
                    scratch.try_extend_from_slice(name.as_ref().as_bytes())
                }
            };
            pushed.expect("two names and their numbers have room");
        }
        scratch
    }

    /// The name at `place`, as templates count; `question` as in [`Self::plain_rdata`].
    pub fn name_at(self, question: &[u8], mut place: usize) -> Name {
        let base = QNAME_OFFSET + question.len() + QUESTION_TAIL_BYTES;
        let mut labels: ArrayVec<u8, NAME_BYTES_MAX> = ArrayVec::new();
        let rest = loop {
            let Some(at) = place.checked_sub(base) else { break &question[place - QNAME_OFFSET..] };
            match self.body[at] {
                0 => break &[0],
                length @ 1..=63 => {
                    let label = &self.body[at..=at + usize::from(length)];
                    labels.try_extend_from_slice(label).expect("a template holds names");
                    place += label.len();
                }
                high => place = usize::from(u16::from_be_bytes([high & 0x3F, self.body[at + 1]])),
            }
        };
        let rest = NameRef::parse(rest).expect("a template points at whole labels");
        Name::join(&labels, rest).expect("a template holds names")
    }

    /// Writes the RDATA of one record of the body with its names in full.
    ///
    /// `owner` is the name of the node that the RRset belongs to.
    pub fn write_plain_rdata(self, owner: NameRef<'_>, record: &TemplateRecord<'_>, out: &mut Vec<u8>) {
        if self.fixups.is_empty() {
            out.extend_from_slice(record.rdata);
            return;
        }
        // The message in which the template's pointers are true.
        let mut message = vec![0; QNAME_OFFSET];
        message.extend_from_slice(owner.as_bytes());
        message.extend_from_slice(&[0; QUESTION_TAIL_BYTES]);
        let start = message.len() + record.rdata_start();
        message.extend_from_slice(&self.body[..record.rdata_start() + record.rdata.len()]);
        rdata::decompress(self.rtype, &message, start, record.rdata.len(), out)
            .expect("a template was made from RDATA");
    }
}

/// Walks the records of a template; the default has none.
#[derive(Clone, Default)]
pub struct Records<'z> {
    template: &'z [u8],
    at: usize,
}

impl<'z> Iterator for Records<'z> {
    type Item = TemplateRecord<'z>;

    fn next(&mut self) -> Option<TemplateRecord<'z>> {
        let start = self.at;
        let owner_bytes = if *self.template.get(start)? == 0 { 1 } else { 2 };
        let (fixed, rest) = self.template[start + owner_bytes..].split_first_chunk::<RECORD_FIXED_BYTES>()?;
        let ttl = u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]);
        let rdata = &rest[..usize::from(u16::from_be_bytes([fixed[8], fixed[9]]))];
        self.at = start + owner_bytes + RECORD_FIXED_BYTES + rdata.len();
        Some(TemplateRecord { start, owner_bytes, ttl, rdata })
    }
}
