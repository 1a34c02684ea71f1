//! Immutable zones, and the lookup of names in them. Pure. Knows neither how zones are read nor how they are built.
//!
//! A [`Zone`] is one finished version. Its nodes, and the orders over them, lie in pieces that versions can share, so
//! that a later change costs what it touches and not what the zone holds.

pub(crate) mod children;
pub mod compress;
pub mod hash;
mod lookup;
pub(crate) mod names;
pub mod node;
pub mod nsec3;
pub(crate) mod order;
mod records;
mod set;
#[cfg(test)]
pub(crate) mod tests;
mod text;

use std::cmp::Ordering;

pub use lookup::{Found, LookupCursor, NextRead, NoMatch};
pub use names::{Bucket, Names, NodeRef};
pub use records::NodeCursor;
pub use set::{Apex, Slot, ZoneSet};

use crate::wire::{Name, NameRef, Type};
use children::Children;
use hash::{LookupName, NameHash, Seed};
use node::{Node, Rrset};
use order::Order;

/// One version of one zone, immutable.
///
/// What every search reads stands in front, and most often in the first three cache lines: where there are very many
/// zones, that is what is fetched of each.
#[derive(Debug)]
#[repr(C)]
pub struct Zone {
    seed: Seed,
    apex_hash: NameHash,
    apex_labels: usize,
    /// No name of the zone has more labels.
    labels_max: usize,
    names: Names,
    apex_ref: NodeRef,
    /// Names that have a wildcard below them.
    wildcard_count: usize,
    /// A node with the apex's SOA, its TTL as in negative answers (RFC 2308 §3).
    negative: Box<[u8]>,
    apex: Name,
    denial: Denial,
    /// The owners of NSEC3 records, of whatever chain.
    hashed: Names,
    serial: u32,
    record_count: usize,
    children: Children,
    denial_records: DenialRecords,
}

/// Which records there are that a choice between ways to deny hangs on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DenialRecords {
    /// NSEC records, whatever they are worth.
    pub(crate) has_nsec: bool,
    /// Sets of NSEC3 parameters that NSEC3PARAM records name.
    pub(crate) params_count: usize,
}

/// How the zone proves that something does not exist.
#[derive(Debug)]
pub enum Denial {
    /// Not at all: the zone is not signed.
    None,
    /// By NSEC: the nodes that have one, in canonical order.
    Nsec(Order),
    /// By NSEC3.
    Nsec3(Box<Nsec3Chain>),
}

/// A chain of NSEC3 records (RFC 5155 §7.1).
#[derive(Debug)]
pub struct Nsec3Chain {
    /// The parameters of the chain.
    pub params: nsec3::Params,
    /// The owners of NSEC3 records, which are no names of the zone in any other sense (RFC 5155 §7.2.8).
    pub(crate) names: Names,
    pub(crate) order: Order,
}

/// An NSEC3 record that was looked for by hash.
pub enum Nsec3Found<'z> {
    /// Its owner is the hash.
    Match(Node<'z>),
    /// Its owner is before the hash, and the next one behind it.
    Cover(Node<'z>),
}

/// What a zone is put together from.
pub(crate) struct Parts {
    pub(crate) seed: Seed,
    pub(crate) apex: Name,
    pub(crate) denial: Denial,
    pub(crate) names: Names,
    /// The owners of NSEC3 records.
    pub(crate) hashed: Names,
    pub(crate) record_count: usize,
    pub(crate) labels_max: usize,
    /// Names that have a wildcard below them.
    pub(crate) wildcard_count: usize,
    pub(crate) children: Children,
    pub(crate) denial_records: DenialRecords,
}

impl Zone {
    /// Puts a zone together. `negate` makes, of the apex and its SOA, the serial and the node of the SOA in negative
    /// answers.
    pub(crate) fn assemble(parts: Parts, negate: impl FnOnce(Seed, NameRef<'_>, Rrset<'_>) -> (u32, Vec<u8>)) -> Self {
        let Parts { seed, apex, denial, names, hashed, record_count, labels_max, wildcard_count, .. } = parts;
        let name = LookupName::new(apex.as_ref());
        let (apex_hash, apex_labels) = (name.hash(seed), name.label_count());
        let apex_ref = names.find_ref(apex_hash, apex.as_ref().as_bytes()).expect("the apex has an SOA");
        let soa = names.node(apex_ref).rrset(Type::SOA).expect("the apex has an SOA");
        let (serial, negative) = negate(seed, apex.as_ref(), soa);
        Self {
            seed,
            apex_hash,
            apex_labels,
            labels_max,
            names,
            apex_ref,
            wildcard_count,
            negative: negative.into(),
            apex,
            denial,
            hashed,
            serial,
            record_count,
            children: parts.children,
            denial_records: parts.denial_records,
        }
    }

    /// The zone's name, letter case as in the SOA's owner.
    pub fn apex(&self) -> NameRef<'_> {
        self.apex.as_ref()
    }

    /// The SOA's serial (RFC 1982).
    pub fn serial(&self) -> u32 {
        self.serial
    }

    /// Records that are held, signatures included, repetitions not.
    pub fn record_count(&self) -> usize {
        self.record_count
    }

    /// Names, empty non-terminals included.
    pub fn name_count(&self) -> usize {
        self.names.count()
    }

    /// Whether some name of the zone is a wildcard.
    pub fn has_wildcards(&self) -> bool {
        self.wildcard_count > 0
    }

    /// How the zone denies.
    pub fn denial(&self) -> &Denial {
        &self.denial
    }

    /// Whether the zone is signed: its SOA is, and it can deny (RFC 4035 §2).
    pub fn is_signed(&self) -> bool {
        !matches!(self.denial, Denial::None) && self.negative_soa().signature_count > 0
    }

    /// The SOA as negative answers carry it: its TTL is the smaller of its own and MINIMUM (RFC 2308 §3).
    pub fn negative_soa(&self) -> Rrset<'_> {
        Node::new(&self.negative).rrsets().next().expect("a zone has an SOA")
    }

    /// The nodes of the zone's names.
    pub fn names(&self) -> &Names {
        &self.names
    }

    /// The owners of NSEC3 records, which are no names of the zone in any other sense (RFC 5155 §7.2.8).
    pub fn hashed(&self) -> &Names {
        &self.hashed
    }

    /// The key under which the zone was loaded.
    pub fn seed(&self) -> Seed {
        self.seed
    }

    /// No name of the zone has more labels.
    pub(crate) fn labels_max(&self) -> usize {
        self.labels_max
    }

    /// Names that have a wildcard below them.
    pub(crate) fn wildcard_count(&self) -> usize {
        self.wildcard_count
    }

    /// Which names stand right below which.
    pub(crate) fn children(&self) -> &Children {
        &self.children
    }

    /// Which records there are that the choice between ways to deny hangs on.
    pub(crate) fn denial_records(&self) -> DenialRecords {
        self.denial_records
    }

    /// The hash of the zone's name under [`Self::seed`].
    pub fn apex_hash(&self) -> NameHash {
        self.apex_hash
    }
}

impl Nsec3Chain {
    /// Finds the NSEC3 record that matches or covers a hash. `None` only where the chain is empty.
    pub fn find(&self, hash: &nsec3::Hash) -> Option<Nsec3Found<'_>> {
        let at = self.order.at_or_before(order::hash_key(hash), |at| {
            nsec3::owner_hash(self.names.node(at).name()).map_or(Ordering::Less, |owner| owner.cmp(hash))
        })?;
        let node = self.names.node(at);
        let is_match = nsec3::owner_hash(node.name()).as_ref() == Some(hash);
        Some(if is_match { Nsec3Found::Match(node) } else { Nsec3Found::Cover(node) })
    }
}
