//! Names compressed as far as they can be: against all that a message holds already (RFC 1035 §4.1.4, RFC 3597 §4).
//!
//! The slow way, for what would not fit otherwise, and to measure at load what can be sent at all: names are hashed and
//! looked for, and letter case is that of what stood there first (RFC 4343 §4.1), or exact in a transfer. What no
//! pointer reaches is written out.

use arrayvec::ArrayVec;

use crate::wire::name::{LABELS_MAX, is_at, is_at_by};
use crate::wire::{Name, NameRef, Type, rdata};
use crate::zone::hash::{LookupName, NameHash, Seed};
use crate::zone::node::{QNAME_OFFSET, QUESTION_TAIL_BYTES};

/// The furthest that a compression pointer reaches (RFC 1035 §4.1.4).
pub const POINTER_MAX: usize = 0x3FFF;
/// Slots for suffixes: twice as many as can be pointed at, each being two octets long at least.
const SLOTS: usize = POINTER_MAX + 1;
/// Slots that are looked at for one suffix. What finds none is not pointed at.
const PROBES_MAX: usize = 32;

/// Type, class and TTL of a record.
pub type RecordHead = [u8; 8];

/// Where each suffix of the names in a message stands, by hash: 32 KiB.
#[derive(Debug)]
pub struct Suffixes {
    seed: Seed,
    /// Whether names that differ in letter case count as different.
    is_exact: bool,
    /// Offsets in the message; 0 is none.
    slots: [u16; SLOTS],
}

impl Suffixes {
    /// Knows no name yet.
    pub fn new(seed: Seed) -> Self {
        Self { seed, is_exact: false, slots: [0; SLOTS] }
    }

    /// Knows no name yet, and will take no name for one that differs from it in letter case.
    pub fn exact(seed: Seed) -> Self {
        Self { is_exact: true, ..Self::new(seed) }
    }

    /// Forgets all names.
    pub fn clear(&mut self) {
        self.slots.fill(0);
    }

    /// Whether a suffix is what stands there.
    fn is_at(&self, message: &[u8], at: usize, suffix: &[u8]) -> bool {
        if self.is_exact { is_at_by(message, at, suffix, |a, b| a == b) } else { is_at(message, at, suffix) }
    }

    /// The slot of a suffix in `message`: where it stands, or else where that is to be noted.
    fn find(&mut self, message: &[u8], hash: NameHash, suffix: &[u8]) -> Result<usize, Option<&mut u16>> {
        for step in 0..PROBES_MAX {
            let at = (hash.0 as usize).wrapping_add(step) % SLOTS;
            match usize::from(self.slots[at]) {
                0 => return Err(Some(&mut self.slots[at])),
                // What was taken back may have left its slot behind.
                known if known < message.len() && self.is_at(message, known, suffix) => return Ok(known),
                _ => {}
            }
        }
        Err(None)
    }
}

/// A message that is written with its names compressed as far as they can be. Whoever gets `None` finds it full.
pub struct Packer<'m> {
    /// The message, as long as it may get.
    message: &'m mut [u8],
    length: usize,
    suffixes: &'m mut Suffixes,
    /// Where the owner of the last record stands, if a pointer reaches it; else 0.
    owner_at: usize,
}

impl<'m> Packer<'m> {
    /// Begins a message with its question, of which type and class stand there already; `suffixes` knows no name yet.
    pub fn begin(message: &'m mut [u8], question: NameRef<'_>, suffixes: &'m mut Suffixes) -> Self {
        let mut packer = Self { message, length: QNAME_OFFSET, suffixes, owner_at: 0 };
        packer.push_name(question).expect("there is room for the question");
        packer.length += QUESTION_TAIL_BYTES;
        packer
    }

    /// Goes on behind a message's header and what `start` octets hold besides, of whose names none is pointed at but
    /// the one of the question. Forgets all names that `suffixes` knows.
    pub fn behind(message: &'m mut [u8], start: usize, suffixes: &'m mut Suffixes) -> Self {
        suffixes.clear();
        let mut packer = Self { message, length: QNAME_OFFSET, suffixes, owner_at: 0 };
        if start > QNAME_OFFSET {
            let (name, _) = Name::read(&packer.message[..start], QNAME_OFFSET).expect("the question has a name");
            packer.push_name(name.as_ref()).expect("it stands there already");
        }
        Self { length: start, ..packer }
    }

    /// Goes on behind `length` octets of a message.
    pub fn new(message: &'m mut [u8], length: usize, suffixes: &'m mut Suffixes) -> Self {
        Self { message, length, suffixes, owner_at: 0 }
    }

    /// Takes all octets back behind the first `length`.
    pub fn take_back(&mut self, length: usize) {
        (self.length, self.owner_at) = (length, 0);
    }

    /// Octets so far.
    pub fn length(&self) -> usize {
        self.length
    }

    /// Appends a record with plain RDATA.
    pub fn push_record(&mut self, owner: NameRef<'_>, head: &RecordHead, rdata: &[u8]) -> Option<()> {
        self.push_owner(owner)?;
        self.push(head)?;
        let length_at = self.length;
        self.push(&[0; 2])?;
        let mut copied = 0;
        let names = rdata::names(Type(u16::from_be_bytes([head[0], head[1]])), rdata);
        for embedded in names.filter(|embedded| embedded.is_compressible) {
            self.push(&rdata[copied..embedded.offset])?;
            self.push_name(embedded.name)?;
            copied = embedded.offset + embedded.name.len();
        }
        self.push(&rdata[copied..])?;
        let length = (self.length - length_at - 2) as u16; // RDATA does not grow by compression.
        self.message[length_at..length_at + 2].copy_from_slice(&length.to_be_bytes());
        Some(())
    }

    /// Appends the owner of a record: often that of the record before, which needs no search.
    fn push_owner(&mut self, owner: NameRef<'_>) -> Option<()> {
        let (at, known) = (self.length, self.owner_at);
        if known > 0 && !owner.is_root() && self.suffixes.is_at(&self.message[..at], known, owner.as_bytes()) {
            return self.push(&(0xC000 | known as u16).to_be_bytes());
        }
        self.push_name(owner)?;
        let is_pointer = self.message[at] >= 0xC0;
        self.owner_at = if is_pointer || at > POINTER_MAX { 0 } else { at };
        Some(())
    }

    /// Appends a name, ending in a pointer to the longest suffix that stands in the message already.
    fn push_name(&mut self, name: NameRef<'_>) -> Option<()> {
        let (at, seed) = (self.length, self.suffixes.seed);
        let name = LookupName::new(name);
        let count = name.label_count();
        let mut hashes: ArrayVec<NameHash, { LABELS_MAX + 1 }> = ArrayVec::new();
        hashes.push(LookupName::root_hash(seed));
        for labels in 0..count {
            hashes.push(name.descend(seed, hashes[labels], labels, labels + 1));
        }
        let message = &self.message[..at];
        let mut known = (1..=count).rev().filter_map(|labels| {
            Some((labels, self.suffixes.find(message, hashes[labels], name.suffix_octets(labels)).ok()?))
        });
        let found = known.next();
        match found {
            Some((labels, pointer)) => {
                self.push(name.prefix_octets(labels))?;
                self.push(&(0xC000 | pointer as u16).to_be_bytes())?;
            }
            None => self.push(name.name().as_bytes())?,
        }
        let message = &self.message[..self.length];
        for labels in found.map_or(0, |(labels, _)| labels) + 1..=count {
            let suffix = name.suffix_octets(labels);
            let offset = at + name.name().len() - suffix.len();
            if offset <= POINTER_MAX
                && let Err(Some(free)) = self.suffixes.find(message, hashes[labels], suffix)
            {
                *free = offset as u16;
            }
        }
        Some(())
    }

    /// Appends octets.
    fn push(&mut self, octets: &[u8]) -> Option<()> {
        let end = self.length + octets.len();
        self.message.get_mut(self.length..end)?.copy_from_slice(octets);
        self.length = end;
        Some(())
    }
}

/// The octets that the records of an RRset take in the answer to the question for it, which is what is looked for
/// first.
pub(crate) fn measure(seed: Seed, owner: NameRef<'_>, rtype: Type, rdatas: &[&[u8]]) -> usize {
    let start = QNAME_OFFSET + owner.len() + QUESTION_TAIL_BYTES;
    let plain: usize = rdatas.iter().map(|rdata| owner.len() + size_of::<RecordHead>() + 2 + rdata.len()).sum();
    let (mut message, mut suffixes) = (vec![0; start + plain], Suffixes::new(seed));
    let mut packer = Packer::begin(&mut message, owner, &mut suffixes);
    let [high, low] = rtype.0.to_be_bytes();
    for rdata in rdatas {
        packer.push_record(owner, &[high, low, 0, 1, 0, 0, 0, 0], rdata).expect("there is room for all written out");
    }
    packer.length() - start
}
