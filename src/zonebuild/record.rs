//! Records as they come from wherever they come from, and who takes them.

use crate::fault::Position;
use crate::wire::{NameRef, Type};

/// One record; the class is always IN.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// The name that the record belongs to, letter case kept.
    pub owner: NameRef<'a>,
    /// The type.
    pub rtype: Type,
    /// Seconds, at most 2^31-1 (RFC 2181 §8).
    pub ttl: u32,
    /// RDATA in wire form, uncompressed, at most 65,535 octets.
    pub rdata: &'a [u8],
    /// Where it is written, if it comes from a text.
    pub position: Option<Position>,
}

impl Record<'_> {
    /// Where it is written; without a line where it comes from no text.
    pub(super) fn position(&self) -> Position {
        self.position.unwrap_or(Position::of_file(0))
    }

    /// Whether it is an NSEC3 record or a signature of one.
    pub(super) fn is_hashed(&self) -> bool {
        self.rtype == Type::NSEC3 || (self.rtype == Type::RRSIG && self.rdata.starts_with(&Type::NSEC3.0.to_be_bytes()))
    }
}

/// Takes the records of one zone. Parts of a text may be read at once, each into a sink of its own.
pub trait Sink: Send + Sync + Sized {
    /// Makes ready for a text of so many octets, before there is any record.
    fn expect(&mut self, text_bytes: usize) {
        let _ = text_bytes;
    }

    /// Takes the next record.
    fn take(&mut self, record: &Record<'_>);

    /// A sink for a part of the text that has so many octets, with nothing in it.
    fn fork(&self, text_bytes: usize) -> Self;

    /// Gives back what a fork does not need behind its last record.
    fn close(&mut self) {}

    /// Takes what a fork took. It comes behind all that was taken here so far.
    fn join(&mut self, later: Self);
}
