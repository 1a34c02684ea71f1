//! Records put with every name compressed against all before it, and written out where no pointer reaches.
//!
//! Slow, and so done only where a reply would be truncated otherwise, and might fit this way. Allocates nothing, but
//! searches and hashes. Apart from `reply.rs`, whose type it extends, by size and speed.

use arrayvec::ArrayVec;

use super::{Full, NamePosition, Owner, Reply, Section, first_record};
use crate::wire::message::HEADER_BYTES;
use crate::wire::name::encoded_bytes;
use crate::wire::{Name, NameRef, Type, rdata};
use crate::zone::compress::{Packer, RecordHead, Suffixes};
use crate::zone::hash::Seed;
use crate::zone::node::{RECORD_FIXED_BYTES, Rrset};

/// Octets that no record can do without: an owner that is the root, and what stands between it and the RDATA.
const RECORD_BYTES_MIN: usize = 1 + RECORD_FIXED_BYTES;
/// Octets of an owner that is a pointer.
const POINTER_BYTES: usize = 2;

/// Lets `put` fill a reply from the question on, with names compressed as far as they can be.
pub(in crate::answer) fn put_compressed<T>(
    reply: &mut Reply<'_>,
    seed: Seed,
    put: impl FnOnce(&mut Reply<'_>) -> T,
) -> T {
    reply.clear();
    let mut suffixes = Suffixes::new(seed);
    let question = reply.name_at(HEADER_BYTES);
    Packer::begin(&mut reply.octets[..reply.length], question.as_ref(), &mut suffixes);
    let mut packed = Reply { octets: &mut *reply.octets, suffixes: Some(&mut suffixes), ..*reply };
    let result = put(&mut packed);
    (reply.length, reply.counts) = (packed.length, packed.counts);
    result
}

impl Reply<'_> {
    /// Takes all records back.
    pub(in crate::answer) fn clear(&mut self) {
        let name = encoded_bytes(&self.octets[HEADER_BYTES..]).expect("the question was read");
        (self.length, self.counts) = (first_record(name), [0; 3]);
    }

    /// There is no room for an RRset.
    #[cold]
    pub(super) fn full_of(&mut self, rrset: &Rrset<'_>) -> Full {
        self.full(self.bytes_min(rrset))
    }

    /// There is no room for what takes so many octets at least.
    #[cold]
    pub(super) fn full(&mut self, needed_bytes: usize) -> Full {
        self.needed_bytes = needed_bytes;
        Full
    }

    /// Octets that an RRset takes at least. Where no name stands in RDATA that might be compressed, it is laid out
    /// that way.
    fn bytes_min(&self, rrset: &Rrset<'_>) -> usize {
        let signatures = if self.wants_signatures { rrset.signatures.len() } else { 0 };
        let is_compressible = rdata::is_compressible(rrset.rtype);
        let records =
            if is_compressible { RECORD_BYTES_MIN * usize::from(rrset.record_count) } else { rrset.body.len() };
        records + signatures
    }

    /// Whether what was put, and what then had no room, might fit if each name took as little as names can.
    pub(in crate::answer) fn might_fit(&self) -> bool {
        let name = encoded_bytes(&self.octets[HEADER_BYTES..]).expect("the question was read");
        let (mut at, mut bytes) = (first_record(name), first_record(name) + self.needed_bytes);
        while at < self.length {
            let owner = encoded_bytes(&self.octets[at..]).expect("a record was written by us");
            let [rtype, length] = [0, RECORD_FIXED_BYTES - 2]
                .map(|skip| u16::from_be_bytes([self.octets[at + owner + skip], self.octets[at + owner + skip + 1]]));
            let rdata_bytes = if rdata::is_compressible(Type(rtype)) { 0 } else { usize::from(length) };
            bytes += owner.min(POINTER_BYTES) + RECORD_FIXED_BYTES + rdata_bytes;
            at += owner + RECORD_FIXED_BYTES + usize::from(length);
        }
        bytes <= self.limit
    }

    /// Puts an RRset, with signatures where wanted. Returns where its first record starts.
    ///
    /// # Errors
    /// [`Full`].
    #[cold]
    pub(super) fn put_packed(&mut self, section: Section, owner: Owner, rrset: &Rrset<'_>) -> Result<usize, Full> {
        let name = self.name_at(owner.position.at);
        let shown = NameRef::parse(&name.as_ref().as_bytes()[owner.prefix..]).expect("whole labels are taken from it");
        let start = self.length;
        self.put_packed_at(section, shown, template_question(&name, owner), rrset).map(|()| start)
    }

    /// Puts an RRset whose `owner` is given as a name; `question` is as in [`Rrset::plain_rdata`].
    ///
    /// # Errors
    /// [`Full`].
    #[cold]
    pub(super) fn put_packed_at(
        &mut self,
        section: Section,
        owner: NameRef<'_>,
        question: &[u8],
        rrset: &Rrset<'_>,
    ) -> Result<(), Full> {
        if self.length + self.bytes_min(rrset) > self.limit {
            return Err(Full);
        }
        let signatures = rrset.as_signatures();
        let with_signatures = self.wants_signatures;
        let Some(mut packer) = self.packer() else { return Err(Full) };
        let mut scratch = ArrayVec::new();
        for set in [Some(*rrset), with_signatures.then_some(signatures)].into_iter().flatten() {
            for record in set.records() {
                let head = set.body[record.start + record.owner_bytes..].first_chunk::<{ size_of::<RecordHead>() }>();
                let rdata = set.plain_rdata(question, &record, &mut scratch);
                packer.push_record(owner, head.expect("a record is whole"), rdata).ok_or(Full)?;
            }
        }
        self.length = packer.length();
        self.count(section, rrset, with_signatures);
        Ok(())
    }

    /// Puts the CNAME that a DNAME makes, as [`Reply::put_cname`] does.
    ///
    /// # Errors
    /// [`Full`].
    #[cold]
    pub(super) fn put_packed_cname(
        &mut self,
        position: NamePosition,
        ttl: u32,
        prefix: &[u8],
        target: usize,
    ) -> Result<usize, Full> {
        let (owner, start) = (self.name_at(position.at), self.length);
        let target = Name::join(prefix, self.name_at(target).as_ref()).expect("one that is too long is none");
        let mut head: RecordHead = [0, Type::CNAME.0 as u8, 0, 1, 0, 0, 0, 0];
        head[4..].copy_from_slice(&ttl.to_be_bytes());
        let mut packer = self.packer().ok_or(Full)?;
        packer.push_record(owner.as_ref(), &head, target.as_ref().as_bytes()).ok_or(Full)?;
        self.length = packer.length();
        self.counts[Section::Answer as usize] += 1;
        Ok(self.rdata_at(start))
    }

    /// What goes on writing behind the last record; what does not fit is not part of the reply.
    fn packer(&mut self) -> Option<Packer<'_>> {
        let Self { octets, limit, length, suffixes, .. } = self;
        suffixes.as_deref_mut().map(|suffixes| Packer::new(&mut octets[..*limit], *length, suffixes))
    }

    /// The name that stands at `place` in the template of an RRset.
    pub(super) fn name_in_template(&self, rrset: &Rrset<'_>, place: usize, owner: Owner) -> Name {
        let question = self.name_at(owner.position.at);
        rrset.name_at(template_question(&question, owner), place)
    }
}

/// What a template of the owner's node takes for the question's name.
fn template_question(name: &Name, owner: Owner) -> &[u8] {
    &name.as_padded()[owner.skip..owner.position.bytes.max(owner.skip)]
}
