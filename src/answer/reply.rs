//! The reply as it grows: records copied from templates, pointers fixed, counts kept, a bound that is never crossed.
//!
//! Knows nothing of why a record is put. RFC 1035 §4.1, RFC 2181 §5.1 (whole RRsets or none), RFC 6891 §6.1.2.

mod packed;

use crate::answer::opt::Opt;
use crate::wire::message::{HEADER_BYTES, Question};
use crate::wire::name::{NAME_BYTES_MAX, encoded_bytes, is_at};
use crate::wire::{Class, Name, NameRef, Type};
use crate::zone::compress::{POINTER_MAX, Suffixes};
use crate::zone::node::{
    Node, POINTER_REACH_BYTES, QNAME_OFFSET, QUESTION_TAIL_BYTES, RECORD_FIXED_BYTES, Records, Rrset, Target,
};

pub(super) use packed::put_compressed;

/// What marks two octets as a pointer.
const POINTER_MARK: u16 = 0xC000;

/// A section of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Section {
    Answer,
    Authority,
    Additional,
}

/// What was to be put does not fit. Nothing of it was put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full;

/// Where a name stands in the reply.
#[derive(Clone, Copy, Debug)]
pub(super) struct NamePosition {
    /// Offset of its first octet, which may be compressed.
    pub(super) at: usize,
    /// Octets that it has uncompressed.
    pub(super) bytes: usize,
}

/// How the records of an RRset name their owner.
#[derive(Clone, Copy, Debug)]
pub(super) struct Owner {
    /// The offset that they point at.
    pointer: usize,
    /// A name in the reply that ends in the name of the node.
    position: NamePosition,
    /// Octets of it in front of the name of the node.
    skip: usize,
    /// Octets of it in front of the owner.
    prefix: usize,
}

/// A target of an RRset: a name for which additional records are looked for. Never kept, so that its size does not
/// matter.
#[allow(clippy::large_enum_variant)]
pub(super) enum TargetName {
    /// In the reply.
    At(usize),
    /// It was read from the zone.
    Read(Name),
    /// Out of reach.
    Unknown,
}

/// A reply that is being written.
pub(super) struct Reply<'b> {
    octets: &'b mut [u8],
    length: usize,
    /// Octets that records may fill: what the client takes, less what OPT needs.
    limit: usize,
    /// Records of each section.
    counts: [u16; 3],
    /// Whether signatures are put beside what they cover: DO was set.
    pub(super) wants_signatures: bool,
    /// Octets that the RRset which did not fit takes at least.
    needed_bytes: usize,
    /// Where suffixes stand, if every name is compressed; see [`packed`].
    suffixes: Option<&'b mut Suffixes>,
}

impl<'b> Reply<'b> {
    /// Starts behind the header and the question, which is copied as it came: letter case too.
    #[inline]
    pub(super) fn new(octets: &'b mut [u8], query: &[u8], question: &Question<'_>, limit: usize) -> Self {
        let length = question.end();
        octets[HEADER_BYTES..length].copy_from_slice(&query[HEADER_BYTES..length]);
        let limit = limit.min(octets.len());
        Self { octets, length, limit, counts: [0; 3], wants_signatures: false, needed_bytes: 0, suffixes: None }
    }

    /// Octets so far.
    pub(super) fn len(&self) -> usize {
        self.length
    }

    /// Reads a name that stands in the reply.
    pub(super) fn name_at(&self, at: usize) -> Name {
        Name::read(&self.octets[..self.length], at).expect("names in a reply were written by us").0
    }

    /// The owner of a node whose name of `bytes` octets is a suffix of the name at `position`.
    #[inline]
    pub(super) fn owner(&self, position: NamePosition, bytes: usize) -> Owner {
        let skip = position.bytes - bytes;
        Owner { pointer: self.offset_behind(position.at, skip), position, skip, prefix: skip }
    }

    /// The owner of what is synthesised for the name at `position` from a wildcard whose name has `bytes` octets.
    pub(super) fn synthesised_owner(&self, position: NamePosition, bytes: usize) -> Owner {
        Owner { pointer: self.offset_behind(position.at, 0), position, skip: position.bytes - bytes, prefix: 0 }
    }

    /// Where the name stands that is left of the name at `at` when `skip` octets, whole labels, are taken from it.
    #[inline]
    fn offset_behind(&self, mut at: usize, mut skip: usize) -> usize {
        loop {
            let length = usize::from(self.octets[at]);
            if length >= 0xC0 {
                at = (length & 0x3F) << 8 | usize::from(self.octets[at + 1]);
            } else if skip == 0 {
                return at;
            } else {
                at += 1 + length;
                skip -= 1 + length;
            }
        }
    }

    /// Puts an RRset, and its signatures where they are wanted. Returns where its first record starts.
    ///
    /// # Errors
    /// [`Full`]. Cost: one copy where the RRset is the first record of the reply and its owner is the question's name.
    #[inline]
    pub(super) fn put(&mut self, section: Section, owner: Owner, rrset: &Rrset<'_>) -> Result<usize, Full> {
        if self.suffixes.is_some() {
            return self.put_packed(section, owner, rrset);
        }
        let start = self.length;
        if rrset.has_fixups() && start > POINTER_MAX - POINTER_REACH_BYTES {
            return Err(self.full(0));
        }
        self.copy(section, rrset)?;
        if owner.pointer != QNAME_OFFSET {
            self.fix_owners(start, self.length, owner.pointer);
        }
        if rrset.has_fixups() {
            self.fix_pointers(start, owner, rrset);
        }
        Ok(start)
    }

    /// Puts an RRset of the question's name as the first one of the answer: as it was laid out.
    ///
    /// # Errors
    /// [`Full`].
    #[inline]
    pub(super) fn put_laid_out(&mut self, rrset: &Rrset<'_>) -> Result<(), Full> {
        self.copy(Section::Answer, rrset)
    }

    /// Copies an RRset, and its signatures where they are wanted, and counts its records.
    #[inline]
    fn copy(&mut self, section: Section, rrset: &Rrset<'_>) -> Result<(), Full> {
        let signatures = if self.wants_signatures { rrset.signatures } else { &[] };
        let end = self.length + rrset.body.len() + signatures.len();
        if end > self.limit {
            return Err(self.full_of(rrset));
        }
        let (body, behind) = self.octets[self.length..end].split_at_mut(rrset.body.len());
        body.copy_from_slice(rrset.body);
        if !signatures.is_empty() {
            behind.copy_from_slice(signatures);
        }
        self.length = end;
        self.count(section, rrset, !signatures.is_empty());
        Ok(())
    }

    /// Rewrites the pointers in the RDATA of an RRset that was copied to `start`, unless it stands where it was laid
    /// out for.
    fn fix_pointers(&mut self, start: usize, owner: Owner, rrset: &Rrset<'_>) {
        if owner.skip == 0 && owner.position.at == QNAME_OFFSET && start == first_record(owner.position.bytes) {
            return;
        }
        for at in rrset.fixups().map(|at| start + at) {
            let laid_out = u16::from_be_bytes([self.octets[at], self.octets[at + 1]]) & !POINTER_MARK;
            self.write_pointer(at, self.relocated(usize::from(laid_out), start, owner));
        }
    }

    /// The offset in the reply of what stands at `laid_out` in a template that was copied to `start`.
    fn relocated(&self, laid_out: usize, start: usize, owner: Owner) -> usize {
        let node_bytes = owner.position.bytes - owner.skip;
        match laid_out.checked_sub(first_record(node_bytes)) {
            Some(inside) => start + inside,
            None => self.offset_behind(owner.position.at, owner.skip + laid_out - QNAME_OFFSET),
        }
    }

    /// Lets the owners of the records from `start` to `end` point to `pointer`. A root owner stays as it is.
    fn fix_owners(&mut self, start: usize, end: usize, pointer: usize) {
        let mut at = start;
        while at < end {
            let owner_bytes = if self.octets[at] == 0 { 1 } else { 2 };
            if owner_bytes == 2 {
                self.write_pointer(at, pointer);
            }
            let length_at = at + owner_bytes + 8;
            let length = u16::from_be_bytes([self.octets[length_at], self.octets[length_at + 1]]);
            at = length_at + 2 + usize::from(length);
        }
    }

    /// Writes a compression pointer.
    fn write_pointer(&mut self, at: usize, to: usize) {
        self.octets[at..at + 2].copy_from_slice(&(POINTER_MARK | to as u16).to_be_bytes());
    }

    /// Counts the records of an RRset that was put.
    fn count(&mut self, section: Section, rrset: &Rrset<'_>, with_signatures: bool) {
        let signatures = if with_signatures { rrset.signature_count } else { 0 };
        self.counts[section as usize] += rrset.record_count + signatures;
    }

    /// Puts an RRset, with signatures where wanted, whose `owner` is written out, but for what stands at `suffix`
    /// already.
    ///
    /// # Errors
    /// [`Full`].
    pub(super) fn put_written(
        &mut self,
        section: Section,
        owner: NameRef<'_>,
        suffix: Option<Owner>,
        rrset: &Rrset<'_>,
    ) -> Result<(), Full> {
        if self.suffixes.is_some() {
            return self.put_packed_at(section, owner, owner.as_bytes(), rrset);
        }
        let shared = suffix.map_or(1, |suffix| suffix.position.bytes - suffix.skip);
        let prefix = &owner.as_bytes()[..owner.len() - shared];
        let owner_at = self.length;
        let signatures = if self.wants_signatures { rrset.signature_records() } else { Records::default() };
        let bodies = [(rrset.body, rrset.records()), (rrset.signatures, signatures)];
        for (template, records) in bodies {
            for record in records {
                let written = if self.length == owner_at || owner_at > POINTER_MAX {
                    self.push(prefix).and_then(|()| self.push_end(suffix.map(|suffix| suffix.pointer)))
                } else {
                    self.push_end(Some(owner_at))
                };
                let fixed_and_rdata =
                    &template[record.start + record.owner_bytes..record.rdata_start() + record.rdata.len()];
                if written.and_then(|()| self.push(fixed_and_rdata)).is_err() {
                    self.length = owner_at;
                    return Err(self.full_of(rrset));
                }
            }
        }
        self.count(section, rrset, self.wants_signatures);
        Ok(())
    }

    /// Ends a name: a pointer, or the root.
    fn push_end(&mut self, pointer: Option<usize>) -> Result<(), Full> {
        match pointer {
            Some(pointer) => self.push(&(POINTER_MARK | pointer as u16).to_be_bytes()),
            None => self.push(&[0]),
        }
    }

    /// Appends octets.
    fn push(&mut self, octets: &[u8]) -> Result<(), Full> {
        let end = self.length + octets.len();
        if end > self.limit {
            return Err(Full);
        }
        self.octets[self.length..end].copy_from_slice(octets);
        self.length = end;
        Ok(())
    }

    /// Puts the CNAME that a DNAME makes: `prefix` in front of the name at `target`. Returns where its RDATA starts.
    ///
    /// # Errors
    /// [`Full`]. Source: RFC 6672 §2.2, §3.1.
    pub(super) fn put_cname(
        &mut self,
        position: NamePosition,
        ttl: u32,
        prefix: &[u8],
        target: usize,
    ) -> Result<usize, Full> {
        if self.suffixes.is_some() {
            return self.put_packed_cname(position, ttl, prefix, target);
        }
        let pointer = self.offset_behind(position.at, 0);
        let start = self.length;
        let mut head = [0, 0, 0, Type::CNAME.0 as u8, 0, 1, 0, 0, 0, 0, 0, 0];
        head[0..2].copy_from_slice(&(POINTER_MARK | pointer as u16).to_be_bytes());
        head[6..10].copy_from_slice(&ttl.to_be_bytes());
        head[10..12].copy_from_slice(&(prefix.len() as u16 + 2).to_be_bytes());
        let rdata_at = start + head.len();
        let put = self.push(&head).and_then(|()| self.push(prefix)).and_then(|()| self.push_end(Some(target)));
        if put.is_err() || target > POINTER_MAX {
            self.length = start;
            return Err(self.full(0));
        }
        self.counts[Section::Answer as usize] += 1;
        Ok(rdata_at)
    }

    /// Puts one record at the question's name as its answer, with TTL 0.
    ///
    /// # Errors
    /// [`Full`].
    pub(super) fn put_record(&mut self, rtype: Type, class: Class, rdata: &[u8]) -> Result<(), Full> {
        let mut head = [0xC0, QNAME_OFFSET as u8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        head[2..4].copy_from_slice(&rtype.0.to_be_bytes());
        head[4..6].copy_from_slice(&class.0.to_be_bytes());
        head[10..12].copy_from_slice(&(rdata.len() as u16).to_be_bytes());
        let start = self.length;
        if self.push(&head).and_then(|()| self.push(rdata)).is_err() {
            self.length = start;
            return Err(Full);
        }
        self.counts[Section::Answer as usize] += 1;
        Ok(())
    }

    /// Where the RDATA of the record at `start` stands.
    pub(super) fn rdata_at(&self, start: usize) -> usize {
        let owner = encoded_bytes(&self.octets[start..self.length]).expect("a record was written by us");
        start + owner + RECORD_FIXED_BYTES
    }

    /// Where `target` is found, of an RRset that was put at `start`.
    #[inline]
    pub(super) fn target(&self, rrset: &Rrset<'_>, target: Target, start: usize, owner: Owner) -> TargetName {
        let Some(place) = target.place() else { return TargetName::Unknown };
        if self.suffixes.is_some() {
            return TargetName::Read(self.name_in_template(rrset, place, owner));
        }
        let at = self.relocated(place, start, owner);
        if at <= POINTER_MAX { TargetName::At(at) } else { TargetName::Unknown }
    }

    /// Whether the name is the one whose octets are `name`; one that is out of reach may be.
    #[inline]
    pub(super) fn is_target(&self, target: &TargetName, name: &[u8]) -> bool {
        match target {
            TargetName::At(at) => is_at(&self.octets[..self.length], *at, name),
            // Length octets are below `A`.
            TargetName::Read(read) => read.as_ref().as_bytes().eq_ignore_ascii_case(name),
            TargetName::Unknown => true,
        }
    }

    /// The name, unless it is out of reach.
    pub(super) fn name_of(&self, target: &TargetName) -> Option<Name> {
        match target {
            TargetName::At(at) => Some(self.name_at(*at)),
            TargetName::Read(read) => Some(*read),
            TargetName::Unknown => None,
        }
    }

    /// Puts an RRset of `node`, which has the name or stands for it, into the additional section.
    ///
    /// # Errors
    /// [`Full`].
    #[inline]
    pub(super) fn put_target(&mut self, target: &TargetName, node: Node<'_>, rrset: &Rrset<'_>) -> Result<(), Full> {
        match target {
            TargetName::At(at) => {
                let owner = Owner { pointer: *at, position: NamePosition { at: *at, bytes: 0 }, skip: 0, prefix: 0 };
                self.put(Section::Additional, owner, rrset).map(|_| ())
            }
            TargetName::Read(name) => {
                self.put_packed_at(Section::Additional, name.as_ref(), node.name_octets(), rrset).map(|_| ())
            }
            TargetName::Unknown => self.put_written(Section::Additional, node.name(), None, rrset),
        }
    }

    /// The owner of what was put for a name there, in which no pointer leads to it; `None` if the owner was written
    /// out.
    pub(super) fn target_owner(&self, target: &TargetName, node: Node<'_>) -> Option<Owner> {
        let at = match target {
            TargetName::At(at) => *at,
            TargetName::Read(_) => QNAME_OFFSET,
            TargetName::Unknown => return None,
        };
        let position = NamePosition { at, bytes: node.name_octets().len() };
        Some(Owner { pointer: at, position, skip: 0, prefix: 0 })
    }

    /// Makes sure that the name at `at`, and each of its suffixes, can be pointed at, if pointers are needed.
    ///
    /// # Errors
    /// [`Full`].
    #[inline]
    pub(super) fn ensure_reachable(&mut self, at: usize) -> Result<(), Full> {
        if at <= POINTER_MAX - NAME_BYTES_MAX || self.suffixes.is_some() { Ok(()) } else { Err(self.full(0)) }
    }

    /// Writes the header, and OPT where there is one, and returns the length of the message.
    ///
    /// `id` and `flags` are the header's first words. The room for `opt` was reserved.
    #[inline]
    pub(super) fn finish(self, id: u16, flags: u16, opt: &Opt<'_>) -> usize {
        let [answers, authorities, additionals] = self.counts;
        let additionals = additionals + u16::from(opt.len() > 0);
        let words = [[id, flags], [1, answers], [authorities, additionals]];
        let halves = words.map(|[high, low]| (u32::from(high) << 16 | u32::from(low)).to_be_bytes());
        self.octets[..HEADER_BYTES].copy_from_slice(halves.as_flattened());
        let end = self.length + opt.len();
        opt.write(&mut self.octets[self.length..end]);
        end
    }
}

/// Where the first record of a reply starts whose question's name has `bytes` octets.
fn first_record(bytes: usize) -> usize {
    QNAME_OFFSET + bytes + QUESTION_TAIL_BYTES
}
