//! A zone, and records that go and come → the next version, at a cost that follows the change and not the zone.
//!
//! The next version is what a [`Builder`] makes of all records: those of the zone that stay and those that came. Only
//! nodes that may differ are laid out; all else is shared with the version before. Nodes differ whose records do; empty
//! non-terminals that come and go with them; parents of a wildcard that does; and what is below a delegation or a DNAME
//! that does.
//!
//! On some records more hangs than what is near: NSEC3 parameters, a DNAME at the apex, a chain that is replaced by one
//! of another sort. Where such a one changes, or a map outgrows its buckets, the zone is built anew from its records.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use crate::fault::{FaultKind, Faults, Position};
use crate::wire::{Name, NameRef, Type};
use crate::zone::hash::LookupName;
use crate::zone::names::{Edit, Edited};
use crate::zone::node::{Flags, Node};
use crate::zone::nsec3::Hash;
use crate::zone::order::Order;
use crate::zone::{Denial, DenialRecords, NodeCursor, Nsec3Chain, Parts, Zone};
use crate::zonebuild::chain;
use crate::zonebuild::collect::Stored;
use crate::zonebuild::encode::{encode, negative_node};
use crate::zonebuild::executor::Executor;
use crate::zonebuild::record::{Record, Sink};
use crate::zonebuild::rrsets::{RrsetMaker, TtlRule, canonical};
use crate::zonebuild::tree::{State, Tree};
use crate::zonebuild::{Builder, Plan};

/// A change of a zone: records that go and come, one after another, as in an incremental transfer (RFC 1995 §4).
///
/// A record is known by owner, type and RDATA, letter case ignored where DNS ignores it; its TTL says nothing. Of an
/// RRset with several TTLs the lowest is used.
pub struct Delta<'z> {
    base: &'z Zone,
    /// The records of each owner that was touched, as they are now.
    plain: Touched,
    /// The same of the owners of NSEC3 records.
    hashed: Touched,
    /// Whether something was touched on which more hangs than what is near.
    is_wide: bool,
    has_nsec: bool,
}

/// Owners with their records.
type Touched = BTreeMap<Name, Records>;

/// The records of an owner that was touched, by type and canonical RDATA, so that many cost what few do.
type Records = BTreeMap<(Type, Box<[u8]>), Kept>;

/// One record of an owner that was touched.
struct Kept {
    rtype: Type,
    ttl: u32,
    rdata: Box<[u8]>,
}

/// Why a record can't go or come. The change is as it was before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeltaError {
    /// The owner is not at or below the zone's name.
    #[error("the record is outside of the zone")]
    OutOfZone,
    /// The record that is to go is not there.
    #[error("the zone does not have the record")]
    Missing,
    /// The record that is to come is there.
    #[error("the zone has the record already")]
    Present,
}

impl Kept {
    /// The record as those of a text are kept.
    fn stored(&self) -> Stored<'_> {
        Stored { rtype: self.rtype, ttl: self.ttl, position: Position::of_file(0), rdata: &self.rdata }
    }
}

/// What records are known by.
fn key(rtype: Type, rdata: &[u8]) -> (Type, Box<[u8]>) {
    let stored = Stored { rtype, ttl: 0, position: Position::of_file(0), rdata };
    (rtype, canonical(&stored).into())
}

/// The records of a node.
fn read_back(node: Node<'_>) -> Records {
    let mut records = Records::new();
    node.visit_records(|rtype, ttl, rdata| {
        records.insert(key(rtype, rdata), Kept { rtype, ttl, rdata: rdata.into() });
    });
    records
}

impl<'z> Delta<'z> {
    /// Starts with no change.
    pub fn new(base: &'z Zone) -> Self {
        let DenialRecords { has_nsec, params_count } = base.denial_records();
        // Of several chains the best is served, which nothing near a change says.
        let is_wide = params_count > 1 || (has_nsec && params_count > 0);
        Self { base, plain: Touched::new(), hashed: Touched::new(), is_wide, has_nsec }
    }

    /// Takes a record out.
    ///
    /// # Errors
    /// [`DeltaError::OutOfZone`], and [`DeltaError::Missing`] where there is no such record.
    pub fn delete(&mut self, record: &Record<'_>) -> Result<(), DeltaError> {
        self.records_of(record)?.remove(&key(record.rtype, record.rdata)).ok_or(DeltaError::Missing)?;
        self.is_wide |= record.rtype == Type::NSEC3PARAM;
        Ok(())
    }

    /// Puts a record in.
    ///
    /// # Errors
    /// [`DeltaError::OutOfZone`], and [`DeltaError::Present`] where there is such a record, whatever its TTL.
    pub fn add(&mut self, record: &Record<'_>) -> Result<(), DeltaError> {
        let Entry::Vacant(entry) = self.records_of(record)?.entry(key(record.rtype, record.rdata)) else {
            return Err(DeltaError::Present);
        };
        entry.insert(Kept { rtype: record.rtype, ttl: record.ttl, rdata: record.rdata.into() });
        let is_by_hash = matches!(self.base.denial(), Denial::Nsec3(_));
        self.has_nsec |= record.rtype == Type::NSEC;
        self.is_wide |= match record.rtype {
            Type::NSEC3PARAM => true,
            Type::NSEC => is_by_hash,
            Type::NSEC3 => !is_by_hash && self.base.denial_records().params_count > 0,
            _ => false,
        };
        Ok(())
    }

    /// The records of the owner that a record has, or will have.
    fn records_of(&mut self, record: &Record<'_>) -> Result<&mut Records, DeltaError> {
        if !record.owner.is_at_or_below(self.base.apex()) {
            return Err(DeltaError::OutOfZone);
        }
        let is_hashed = record.is_hashed();
        let touched = if is_hashed { &mut self.hashed } else { &mut self.plain };
        Ok(touched.entry(record.owner.to_name()).or_insert_with(|| {
            let names = if is_hashed { self.base.hashed() } else { self.base.names() };
            let hash = LookupName::new(record.owner).hash(self.base.seed());
            names.find(hash, record.owner.as_bytes()).map_or_else(Records::new, read_back)
        }))
    }

    /// Makes the next version; `None` if it has errors. `now` is as in [`Plan`].
    ///
    /// All errors go to `faults`, and warnings about the RRsets of the owners that were touched. Not looked at is what
    /// a warning would say of several names or of all: targets without addresses, missing glue, data that a delegation
    /// hides, holes in the chain of denial, signatures and their times. To look at all that, build the zone from its
    /// records.
    pub fn finish(self, now: u32, executor: &dyn Executor, faults: &mut Faults) -> Option<Zone> {
        let mut found = faults.fork();
        let zone = if self.is_wide { None } else { self.apply(&mut found) };
        let Some(zone) = zone else { return self.build_anew(now, executor, faults) };
        faults.join([found]);
        (faults.error_count() == 0).then_some(zone)
    }

    /// Makes the next version from all records.
    fn build_anew(&self, now: u32, executor: &dyn Executor, faults: &mut Faults) -> Option<Zone> {
        let mut builder = Builder::new(self.base.seed()).with_lowest_ttls();
        for (node, _) in self.base.nodes_from(NodeCursor::default()) {
            let owner = node.name();
            node.visit_records(|rtype, ttl, rdata| {
                let record = Record { owner, rtype, ttl, rdata, position: None };
                let touched = if record.is_hashed() { &self.hashed } else { &self.plain };
                if touched.is_empty() || !touched.contains_key(&owner.to_name()) {
                    builder.take(&record);
                }
            });
        }
        for (owner, records) in self.plain.iter().chain(&self.hashed) {
            for Kept { rtype, ttl, rdata } in records.values() {
                builder.take(&Record { owner: owner.as_ref(), rtype: *rtype, ttl: *ttl, rdata, position: None });
            }
        }
        builder.finish(Plan { name: self.base.apex(), previous: Some(self.base), now }, executor, faults)
    }

    /// Makes the next version from the one before; `None` where that can't be.
    fn apply(&self, faults: &mut Faults) -> Option<Zone> {
        let base = self.base;
        let mut tree = Tree::new(base);
        for (name, records) in &self.plain {
            let has = |rtype: Type| records.values().any(|record| record.rtype == rtype);
            // Without an SOA, or with one elsewhere, there is no zone; to build it says why.
            let is_apex = name.as_ref() == base.apex();
            if has(Type::SOA) != is_apex {
                return None;
            }
            if is_apex && !has(Type::NS) {
                faults.add(FaultKind::NoApexNs { apex: base.apex().to_name() }, Position::of_file(0), 0);
            }
            let is_cut = has(Type::NS) && !is_apex && !name.as_ref().is_wildcard();
            let hides = Flags::default().with(Flags::IS_CUT, is_cut).with(Flags::HAS_DNAME, has(Type::DNAME));
            tree.set(name.as_ref(), !records.is_empty(), hides);
        }
        if !tree.settle() {
            return None;
        }
        let mut record_count = base.record_count();
        let names = self.edit_names(&tree, &mut record_count, faults)?;
        let hashed = self.edit_hashed(&mut record_count, faults)?;
        let denial = self.denial(&names, &hashed)?;
        let parts = Parts {
            seed: base.seed(),
            apex: base.apex().to_name(),
            denial,
            names: names.names,
            hashed: hashed.names,
            record_count,
            labels_max: tree.labels_max,
            wildcard_count: tree.wildcard_count,
            children: tree.children,
            denial_records: DenialRecords { has_nsec: self.has_nsec, ..base.denial_records() },
        };
        Some(Zone::assemble(parts, negative_node))
    }

    /// Lays out the names that may differ.
    fn edit_names(&self, tree: &Tree<'_>, record_count: &mut usize, faults: &mut Faults) -> Option<Edited> {
        let base = self.base;
        let mut edits = Vec::new();
        for (name, State { hash, exists, .. }) in tree.dirty() {
            let before = base.names().find(*hash, name.as_ref().as_bytes());
            let touched = self.plain.get(name);
            let mut node = None;
            if *exists {
                let read = if touched.is_none() { before.map(read_back) } else { None };
                let records = touched.or(read.as_ref()).into_iter().flat_map(Records::values);
                let owner = before.map_or(name.as_ref(), Node::name);
                let mut reported = faults.fork();
                let hider = tree.hider(owner);
                if let Some((labels, Flags::HAS_DNAME)) = hider {
                    let (owner, dname) = (owner.to_name(), owner.suffix(labels).to_name());
                    for Kept { rtype, .. } in records.clone() {
                        reported.add(FaultKind::BelowDname { owner, rtype: *rtype, dname }, Position::of_file(0), 0);
                    }
                }
                let flags = tree.flags(name.as_ref(), hider.is_some());
                let (octets, count) = self.lay_out(owner, flags, self.hashes(owner, flags), records, &mut reported);
                node = Some(octets);
                *record_count += if touched.is_some() { count } else { 0 };
                if touched.is_some() || reported.error_count() > 0 {
                    faults.join([reported]);
                }
            }
            *record_count -= touched.and(before).map_or(0, count_records);
            edits.push(Edit { hash: *hash, name: name.as_ref(), node });
        }
        edits.sort_by_key(|edit| edit.hash);
        base.names().edited(base.seed(), &edits)
    }

    /// Lays out the owners of NSEC3 records that were touched.
    fn edit_hashed(&self, record_count: &mut usize, faults: &mut Faults) -> Option<Edited> {
        let (names, seed) = (self.base.hashed(), self.base.seed());
        let mut edits = Vec::new();
        for (name, records) in &self.hashed {
            let hash = LookupName::new(name.as_ref()).hash(seed);
            let before = names.find(hash, name.as_ref().as_bytes());
            let owner = before.map_or(name.as_ref(), Node::name);
            let (octets, count) = self.lay_out(owner, Flags::default(), None, records.values(), faults);
            *record_count = *record_count + count - before.map_or(0, count_records);
            edits.push(Edit { hash, name: name.as_ref(), node: (!records.is_empty()).then_some(octets) });
        }
        edits.sort_by_key(|edit| edit.hash);
        names.edited(seed, &edits)
    }

    /// The octets of a node, and how many records it has.
    fn lay_out<'k>(
        &self,
        owner: NameRef<'_>,
        flags: Flags,
        hashes: Option<[Hash; 2]>,
        records: impl Iterator<Item = &'k Kept>,
        faults: &mut Faults,
    ) -> (Vec<u8>, usize) {
        let stored: Vec<Stored<'_>> = records.map(Kept::stored).collect();
        let mut rrsets = RrsetMaker::new(self.base.seed(), TtlRule::Lowest);
        rrsets.make(owner, self.base.apex(), &stored, faults);
        let mut octets = Vec::new();
        encode(&mut octets, self.base.seed(), owner, flags, hashes, rrsets.sources());
        (octets, rrsets.record_count())
    }

    /// The NSEC3 hashes that are stored with a name.
    fn hashes(&self, owner: NameRef<'_>, flags: Flags) -> Option<[Hash; 2]> {
        let Denial::Nsec3(chain) = self.base.denial() else { return None };
        (!flags.has(Flags::IS_OCCLUDED)).then(|| chain.params.hashes(&LookupName::new(owner)))
    }

    /// The chain that proves denials; `None` where there is one no longer.
    fn denial(&self, names: &Edited, hashed: &Edited) -> Option<Denial> {
        let base = self.base;
        let order = match base.denial() {
            Denial::Nsec3(before) => {
                let order = chain::edited_by_hash(before, base.hashed(), hashed);
                let chain = Nsec3Chain { params: before.params.clone(), names: hashed.names.clone(), order };
                return (!chain.order.is_empty()).then(|| Denial::Nsec3(Box::new(chain)));
            }
            Denial::Nsec(order) => order.clone(),
            Denial::None => Order::default(),
        };
        let order = chain::edited_by_name(&order, base.apex(), base.names(), names);
        Some(if order.is_empty() { Denial::None } else { Denial::Nsec(order) })
    }
}

/// Records of a node, signatures included.
fn count_records(node: Node<'_>) -> usize {
    node.rrsets().map(|rrset| rrset.records().count() + rrset.signature_records().count()).sum()
}
