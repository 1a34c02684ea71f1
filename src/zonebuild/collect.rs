//! Records as they come from the reader, kept by owner until the zone is built, in shards by the hash of the owner.
//!
//! Each shard holds the names of one range of hashes, so that shards are sorted, laid out and freed one by one, and
//! several at once.

use crate::fault::Position;
use crate::wire::{NameRef, Type};
use crate::zone::hash::{LookupName, NameHash, Seed};
use crate::zonebuild::record::Record;

/// Octets of a stored record in front of its RDATA, and in front of its file and column, if those are there.
const HEAD_BYTES: usize = 12;
/// Octets of the file and the column.
const COLUMN_BYTES: usize = 4;
/// Set in the line of a record that is not in the first column of the zone's own file. Lines behind it count as it.
const HAS_COLUMN: u32 = 1 << 31;
/// A piece that has so many octets takes no further owner.
const PIECE_BYTES: usize = 1 << 18;
/// Room of a piece that is to be filled: what stands behind the end of one is its last owner.
const PIECE_ROOM_BYTES: usize = PIECE_BYTES + 4096;
/// Octets of a piece for one run, roughly.
const PIECE_RUN_BYTES: usize = 64;
/// Octets that come from memory at once, on most machines.
const CACHE_LINE_BYTES: usize = 64;
/// Octets of zone text for one shard, roughly.
const SHARD_TEXT_BYTES: usize = 1 << 20;
/// The most shards, as a power of two: few enough for a piece of a big text to be so big that freeing it gives its
/// memory back to the kernel.
const SHARD_BITS_MAX: u32 = 5;

/// Records of many owners.
pub(super) struct Collector {
    seed: Seed,
    shard_bits: u32,
    shards: Vec<Shard>,
    /// The shard of the run that was opened last, and where it starts in the last piece.
    last: Option<(usize, usize)>,
    /// Room that the first piece of a shard starts with.
    piece_bytes: usize,
}

/// The records of the owners in one range of hashes, as they were read: parts of the text one after another.
#[derive(Default)]
pub(super) struct Shard(Vec<Part>);

/// Records of one shard from one part of the text.
#[derive(Default)]
struct Part {
    pieces: Vec<Vec<u8>>,
    runs: Vec<Run>,
}

/// The octets of one shard's records.
///
/// ```text
/// run:    name octets u8, name, record …, 0 u16 unless the piece ends
/// record: type u16, RDATA octets u16, TTL u32, line u32, file u16 and column u16 if the line has `HAS_COLUMN`, RDATA
/// (integers in host order)
/// ```
pub(super) struct Pieces(Vec<Vec<u8>>);

/// Neighbouring records of one owner. Orders by hash, then as in the text.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Run {
    /// The hash of the owner.
    pub(super) hash: NameHash,
    /// From the top: piece (24 bits), where it starts in the piece (24), labels of the owner (8), facts (8).
    word: u64,
}

/// What is known of an owner without a look at its records, one bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Facts(u8);

impl Facts {
    /// Has A or AAAA.
    pub(super) const HAS_ADDRESS: Self = Self(1);
    /// Has NS and is no wildcard: below the apex a zone cut.
    pub(super) const HAS_NS: Self = Self(2);
    pub(super) const HAS_DNAME: Self = Self(4);
    pub(super) const HAS_CNAME: Self = Self(8);

    /// Whether any bit of `other` is set.
    pub(super) fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// The bits of both.
    pub(super) fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What a record of that type says of its owner.
    fn of(rtype: Type, is_wildcard: bool) -> Self {
        match rtype {
            Type::A | Type::AAAA => Self::HAS_ADDRESS,
            Type::NS if !is_wildcard => Self::HAS_NS,
            Type::DNAME => Self::HAS_DNAME,
            Type::CNAME => Self::HAS_CNAME,
            _ => Self(0),
        }
    }
}

impl Run {
    /// Opens a run of an owner with that many labels.
    fn new(hash: NameHash, piece: usize, start: usize, labels: usize) -> Self {
        Self { hash, word: (piece as u64) << 40 | (start as u64) << 16 | (labels as u64) << 8 }
    }

    fn piece(self) -> usize {
        (self.word >> 40) as usize
    }

    fn start(self) -> usize {
        (self.word >> 16) as usize & 0xFF_FFFF
    }

    /// Labels of the owner.
    pub(super) fn label_count(self) -> usize {
        usize::from((self.word >> 8) as u8)
    }

    /// What its records say of the owner.
    pub(super) fn facts(self) -> Facts {
        Facts(self.word as u8)
    }
}

/// One record that was kept.
#[derive(Clone, Copy)]
pub(super) struct Stored<'a> {
    pub(super) rtype: Type,
    pub(super) ttl: u32,
    pub(super) position: Position,
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
    /// Starts with nothing, and with one shard.
    pub(super) fn new(seed: Seed) -> Self {
        Self { seed, shard_bits: 0, shards: vec![Shard::default()], last: None, piece_bytes: 0 }
    }

    /// Chooses the number of shards for a text of so many octets; does nothing once there are records.
    pub(super) fn expect(&mut self, text_bytes: usize) {
        if self.last.is_none() {
            self.shard_bits = (text_bytes / SHARD_TEXT_BYTES + 1).ilog2().min(SHARD_BITS_MAX);
            self.shards = (0..1 << self.shard_bits).map(|_| Shard::default()).collect();
            // Names are longer than in the text, and a record has a head.
            self.piece_bytes = (2 * (text_bytes >> self.shard_bits)).min(PIECE_ROOM_BYTES);
        }
    }

    /// Goes on with as many shards as a text of so many octets has, if it has one until now; what is there is taken
    /// again.
    pub(super) fn split(&mut self, text_bytes: usize) {
        if self.shard_bits > 0 {
            return;
        }
        let mut wide = Self::new(self.seed);
        wide.expect(text_bytes);
        for shard in core::mem::take(&mut self.shards) {
            let (runs, pieces) = shard.unite();
            for run in runs {
                let owner = pieces.owner(run);
                for Stored { rtype, ttl, position, rdata } in pieces.records(run) {
                    wide.add(&Record { owner, rtype, ttl, rdata, position: Some(position) });
                }
            }
        }
        *self = wide;
    }

    /// A collector with the same shards and nothing in them, for a part of the text.
    pub(super) fn fork(&self, text_bytes: usize) -> Self {
        let shards = self.shards.iter().map(|_| Shard::default()).collect();
        // Room that is not needed is never touched, and so costs nothing; room that grows is copied and leaves gaps.
        let piece_bytes = (text_bytes / self.shards.len() * 3 / 2).min(PIECE_ROOM_BYTES);
        Self { seed: self.seed, shard_bits: self.shard_bits, shards, last: None, piece_bytes }
    }

    /// Appends what a fork has collected, which comes later in the text.
    pub(super) fn join(&mut self, later: Self) {
        for (shard, later) in self.shards.iter_mut().zip(later.shards) {
            shard.0.extend(later.0);
        }
        self.last = None;
    }

    /// Gives up the room that records to come would need.
    pub(super) fn shrink(&mut self) {
        for part in self.shards.iter_mut().flat_map(|shard| &mut shard.0) {
            part.pieces.iter_mut().for_each(Vec::shrink_to_fit);
            part.runs.shrink_to_fit();
        }
    }

    /// Keeps a record; an owner that the last record had is not stored again.
    pub(super) fn add(&mut self, record: &Record<'_>) {
        let owner = record.owner.as_bytes();
        let known = self.last.filter(|(shard, start)| {
            let piece = self.shards[*shard].0.last().and_then(|part| part.pieces.last());
            // Exact to the octet, so that the first spelling of a name does not hide the next.
            piece.is_some_and(|piece| piece[start + 1..].starts_with(owner))
        });
        let (shard, _) = known.unwrap_or_else(|| self.open_run(record.owner));
        let part = self.shards[shard].0.last_mut().expect("a run was opened in it");
        let (piece, run) = part.pieces.last_mut().zip(part.runs.last_mut()).expect("a run was opened in it");
        run.word |= u64::from(Facts::of(record.rtype, record.owner.is_wildcard()).0);
        let length = u16::try_from(record.rdata.len()).expect("the reader gives at most 65,535 octets of RDATA");
        let Position { file, line, column } = record.position();
        let has_column = (file, column) != (0, 1);
        let line = line.min(HAS_COLUMN - 1) | if has_column { HAS_COLUMN } else { 0 };
        let mut head = [0; HEAD_BYTES];
        head[0..2].copy_from_slice(&record.rtype.0.to_ne_bytes());
        head[2..4].copy_from_slice(&length.to_ne_bytes());
        head[4..8].copy_from_slice(&record.ttl.to_ne_bytes());
        head[8..12].copy_from_slice(&line.to_ne_bytes());
        piece.extend_from_slice(&head);
        if has_column {
            let ([f0, f1], [c0, c1]) = (file.to_ne_bytes(), column.to_ne_bytes());
            piece.extend_from_slice(&[f0, f1, c0, c1]);
        }
        piece.extend_from_slice(record.rdata);
    }

    /// Opens a run in the shard where the owner belongs; gives the shard and where the run starts in its last piece.
    fn open_run(&mut self, owner: NameRef<'_>) -> (usize, usize) {
        let name = LookupName::new(owner);
        let hash = name.hash(self.seed);
        let shard = shard_of(hash, self.shard_bits);
        let parts = &mut self.shards[shard].0;
        if parts.is_empty() {
            let runs = Vec::with_capacity(self.piece_bytes / PIECE_RUN_BYTES);
            parts.push(Part { pieces: vec![Vec::with_capacity(self.piece_bytes)], runs });
        }
        let part = parts.last_mut().expect("there is one");
        match part.pieces.last_mut() {
            Some(piece) if piece.is_empty() => {}
            Some(piece) if piece.len() < PIECE_BYTES => piece.extend_from_slice(&[0, 0]),
            _ => part.pieces.push(Vec::with_capacity(PIECE_ROOM_BYTES)),
        }
        let index = part.pieces.len() - 1;
        let piece = &mut part.pieces[index];
        let start = piece.len();
        part.runs.push(Run::new(hash, index, start, name.label_count()));
        piece.push(owner.len() as u8);
        piece.extend_from_slice(owner.as_bytes());
        self.last = Some((shard, start));
        (shard, start)
    }

    /// Whether there are no records.
    pub(super) fn is_empty(&self) -> bool {
        self.shards.iter().all(|shard| shard.0.is_empty())
    }

    /// The shards in the order of the hashes; their number is a power of two.
    pub(super) fn into_shards(self) -> Vec<Shard> {
        self.shards
    }
}

/// Which of `1 << shard_bits` shards a hash belongs to.
pub(super) fn shard_of(hash: NameHash, shard_bits: u32) -> usize {
    hash.0.checked_shr(64 - shard_bits).unwrap_or(0) as usize
}

impl Shard {
    /// All of it as one, the runs in the order of the text.
    pub(super) fn unite(mut self) -> (Vec<Run>, Pieces) {
        if let [part] = &mut *self.0 {
            return (core::mem::take(&mut part.runs), Pieces(core::mem::take(&mut part.pieces)));
        }
        let mut runs = Vec::with_capacity(self.0.iter().map(|part| part.runs.len()).sum());
        let mut pieces = Vec::with_capacity(self.0.iter().map(|part| part.pieces.len()).sum());
        for part in self.0 {
            let before = (pieces.len() as u64) << 40;
            runs.extend(part.runs.into_iter().map(|run| Run { word: run.word + before, ..run }));
            pieces.extend(part.pieces);
        }
        (runs, Pieces(pieces))
    }
}

impl Pieces {
    /// Looks at the octets of runs that are to be read next, so that many waits for memory become one: runs in the
    /// order of their hashes lie far from each other.
    pub(super) fn touch(&self, runs: &[Run]) {
        let look = |run: &Run| {
            let octets = &self.0[run.piece()][run.start()..];
            octets[0] ^ octets.get(CACHE_LINE_BYTES).unwrap_or(&0)
        };
        core::hint::black_box(runs.iter().map(look).fold(0, |seen, octet| seen ^ octet));
    }

    /// The owner of a run.
    pub(super) fn owner(&self, run: Run) -> NameRef<'_> {
        NameRef::parse(&self.0[run.piece()][run.start() + 1..]).expect("a run starts with a name")
    }

    /// The records of a run, in the order of the text.
    pub(super) fn records(&self, run: Run) -> impl Iterator<Item = Stored<'_>> {
        let octets = &self.0[run.piece()][run.start()..];
        let mut rest = &octets[1 + usize::from(octets[0])..];
        core::iter::from_fn(move || {
            let (head, mut tail) = rest.split_first_chunk::<HEAD_BYTES>()?;
            let u16_in = |octets: &[u8], at: usize| u16::from_ne_bytes([octets[at], octets[at + 1]]);
            let u32_at = |at: usize| u32::from_ne_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
            let rtype = Type(u16_in(head, 0));
            if rtype.0 == 0 {
                return None; // No record has type 0: here the next run starts.
            }
            let mut position = Position { file: 0, line: u32_at(8), column: 1 };
            if position.line & HAS_COLUMN != 0 {
                position =
                    Position { file: u16_in(tail, 0), line: position.line & !HAS_COLUMN, column: u16_in(tail, 2) };
                tail = &tail[COLUMN_BYTES..];
            }
            let (rdata, tail) = tail.split_at(usize::from(u16_in(head, 2)));
            rest = tail;
            Some(Stored { rtype, ttl: u32_at(4), position, rdata })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Name;

    #[test]
    fn what_was_taken_before_a_split_is_kept_in_its_order() {
        let seed = Seed([1, 2]);
        let records: Vec<(Name, u32)> = (0..500_u32)
            .map(|number| (format!("n{}.example.", number % 70 / 2).parse().expect("a good name"), number))
            .collect();
        let collect = |split_at: Option<usize>| {
            let mut collector = Collector::new(seed);
            for (index, (owner, ttl)) in records.iter().enumerate() {
                if split_at == Some(index) {
                    collector.split(usize::MAX);
                }
                let position = Some(Position { file: 0, line: *ttl, column: 1 + (*ttl % 2) as u16 });
                let rdata = &[192, 0, 2, *ttl as u8];
                collector.add(&Record { owner: owner.as_ref(), rtype: Type::A, ttl: *ttl, rdata, position });
            }
            let shard_count = collector.shards.len();
            let mut seen = Vec::new();
            for shard in collector.into_shards() {
                let (mut runs, pieces) = shard.unite();
                runs.sort_unstable();
                for run in runs {
                    let owner = pieces.owner(run).to_name();
                    seen.extend(pieces.records(run).map(|at| (owner, at.ttl, at.position, at.rdata.to_vec())));
                }
            }
            (shard_count, seen)
        };
        let (one, plain) = collect(None);
        assert_eq!((one, plain.len()), (1, records.len()));
        for split_at in [0, 1, 250, 499] {
            assert_eq!(collect(Some(split_at)), (1 << SHARD_BITS_MAX, plain.clone()), "{split_at}");
        }
    }
}
