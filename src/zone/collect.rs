//! Records as they come from the reader, kept by owner until the zone is built.

use crate::wire::{NameRef, Type};
use crate::zone::fault::Place;
use crate::zone::hash::{LookupName, NameHash, Seed};
use crate::zone::reader::Record;

/// Octets of a stored record in front of its RDATA.
const HEAD_BYTES: usize = 16;

/// Records in runs of one owner, in one run of octets.
///
/// ```text
/// run:    name octets u8, name, record …
/// record: type u16, TTL u32, file u16, line u32, column u16, RDATA octets u16, RDATA      (integers in host order)
/// ```
pub(super) struct Collector {
    seed: Seed,
    octets: Vec<u8>,
    pub(super) runs: Vec<Run>,
}

/// Neighbouring records of one owner.
#[derive(Clone, Copy)]
pub(super) struct Run {
    /// The hash of the owner.
    pub(super) hash: NameHash,
    start: usize,
    end: usize,
}

/// One record that was kept.
#[derive(Clone, Copy)]
pub(super) struct Stored<'a> {
    pub(super) rtype: Type,
    pub(super) ttl: u32,
    pub(super) place: Place,
    pub(super) rdata: &'a [u8],
}

impl Stored<'_> {
    /// The type that an RRSIG covers (RFC 4034 §3.1.1).
    pub(super) fn covered(&self) -> Option<Type> {
        match (self.rtype, self.rdata) {
            (Type::RRSIG, [high, low, ..]) => Some(Type(u16::from_be_bytes([*high, *low]))),
            _ => None,
        }
    }
}

impl Collector {
    /// Starts with nothing.
    pub(super) fn new(seed: Seed) -> Self {
        Self { seed, octets: Vec::new(), runs: Vec::new() }
    }

    /// Keeps a record; an owner that the last record had is not stored again.
    pub(super) fn add(&mut self, record: &Record<'_>) {
        let owner = record.owner.as_bytes();
        match self.runs.last() {
            // Exact to the octet, so that the first spelling of a name does not hide the next.
            Some(run) if self.octets[run.start + 1..].starts_with(owner) => {}
            _ => {
                let start = self.octets.len();
                self.octets.push(owner.len() as u8);
                self.octets.extend_from_slice(owner);
                let hash = LookupName::new(record.owner).hash(self.seed);
                self.runs.push(Run { hash, start, end: start });
            }
        }
        let mut head = [0; HEAD_BYTES];
        head[0..2].copy_from_slice(&record.rtype.0.to_ne_bytes());
        head[2..6].copy_from_slice(&record.ttl.to_ne_bytes());
        head[6..8].copy_from_slice(&record.place.file.to_ne_bytes());
        head[8..12].copy_from_slice(&record.place.line.to_ne_bytes());
        head[12..14].copy_from_slice(&record.place.column.to_ne_bytes());
        let length = u16::try_from(record.rdata.len()).expect("the reader gives at most 65,535 octets of RDATA");
        head[14..16].copy_from_slice(&length.to_ne_bytes());
        self.octets.extend_from_slice(&head);
        self.octets.extend_from_slice(record.rdata);
        let end = self.octets.len();
        if let Some(run) = self.runs.last_mut() {
            run.end = end;
        }
    }

    /// The owner of a run.
    pub(super) fn owner(&self, run: &Run) -> NameRef<'_> {
        NameRef::parse(&self.octets[run.start + 1..]).expect("a run starts with a name")
    }

    /// The records of a run, in the order of the file.
    pub(super) fn records(&self, run: &Run) -> impl Iterator<Item = Stored<'_>> {
        let mut rest = &self.octets[run.start + 1 + usize::from(self.octets[run.start])..run.end];
        core::iter::from_fn(move || {
            let (head, tail) = rest.split_first_chunk::<HEAD_BYTES>()?;
            let u16_at = |at: usize| u16::from_ne_bytes([head[at], head[at + 1]]);
            let u32_at = |at: usize| u32::from_ne_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
            let (rdata, tail) = tail.split_at(usize::from(u16_at(14)));
            rest = tail;
            let place = Place { file: u16_at(6), line: u32_at(8), column: u16_at(12) };
            Some(Stored { rtype: Type(u16_at(0)), ttl: u32_at(2), place, rdata })
        })
    }

    /// The runs, by owner; they were sorted.
    pub(super) fn owners(&self) -> impl Iterator<Item = &[Run]> {
        self.runs.chunk_by(|a, b| a.hash == b.hash && self.owner(a) == self.owner(b))
    }

    /// Brings the runs of one owner together.
    pub(super) fn sort(&mut self) {
        self.runs.sort_unstable_by_key(|run| (run.hash, run.start));
    }
}
