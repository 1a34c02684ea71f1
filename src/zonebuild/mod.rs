//! Records → one finished zone: owners brought together, RRsets made, empty non-terminals added, nodes laid out.
//!
//! Records come in shards, each with the names of one range of hashes. Shards are sorted side by side; when all names
//! are known they are laid out side by side, each into its own range of buckets, and freed one by one. Pure, and starts
//! no threads: work that can be done at once is put to an [`Executor`]. Knows no text: records may come from anywhere.

mod chain;
mod check;
mod collect;
mod delta;
mod digest;
mod encode;
pub mod executor;
mod index;
mod keys;
mod layout;
mod record;
mod rrsets;
mod shards;
mod tree;

pub use delta::{Delta, DeltaError};
pub use digest::{ZonemdRule, check_digest};
pub use executor::{Executor, Inline};
pub use keys::check_child;
pub use record::{Record, Sink};
pub use rrsets::TYPES_MAX;

use crate::fault::{FAULTS_MAX, FaultKind, Faults, Position};
use crate::wire::{Name, NameRef, Type};
use crate::zone::hash::{LookupName, Seed};
use crate::zone::names::Names;
use crate::zone::{DenialRecords, Parts, Zone};
use check::Chains;
use collect::Collector;
use index::Index;
use layout::{Laid, Layout};
use rrsets::TtlRule;
use shards::SortedShards;

/// What the zone is to be that a [`Builder`] makes.
#[derive(Clone, Copy)]
pub struct Plan<'a> {
    /// The zone's name.
    pub name: NameRef<'a>,
    /// The version before, built with the same seed: what is as it was is shared with it.
    pub previous: Option<&'a Zone>,
    /// The time in seconds since 1970, modulo 2^32, as signatures count it (RFC 4034 §3.1.5).
    pub now: u32,
}

/// Takes the records of one zone, in any order, and makes the zone.
pub struct Builder {
    seed: Seed,
    ttl_rule: TtlRule,
    /// All but what is in `hashed`.
    plain: Collector,
    /// NSEC3 records and their signatures: their owners are no names of the zone (RFC 5155 §7.2.8).
    hashed: Collector,
    soas: Vec<(Name, Position)>,
    chains: Chains,
    has_nsec: bool,
    has_signatures: bool,
}

impl Sink for Builder {
    fn expect(&mut self, text_bytes: usize) {
        self.plain.expect(text_bytes);
        self.hashed.expect(text_bytes);
    }

    fn take(&mut self, record: &Record<'_>) {
        match record.rtype {
            Type::SOA if self.soas.len() < FAULTS_MAX => self.soas.push((record.owner.to_name(), record.position())),
            Type::NSEC3 | Type::NSEC3PARAM => self.chains.note(record),
            Type::NSEC => self.has_nsec = true,
            Type::RRSIG => self.has_signatures = true,
            _ => {}
        }
        if record.is_hashed() { self.hashed.add(record) } else { self.plain.add(record) }
    }

    fn fork(&self, text_bytes: usize) -> Self {
        let (plain, hashed) = (self.plain.fork(text_bytes), self.hashed.fork(text_bytes));
        Self { ttl_rule: self.ttl_rule, plain, hashed, ..Self::new(self.seed) }
    }

    fn close(&mut self) {
        self.plain.shrink();
        self.hashed.shrink();
    }

    fn join(&mut self, later: Self) {
        self.plain.join(later.plain);
        self.hashed.join(later.hashed);
        self.soas.extend(later.soas);
        self.soas.truncate(FAULTS_MAX);
        self.chains.join(later.chains);
        self.has_nsec |= later.has_nsec;
        self.has_signatures |= later.has_signatures;
    }
}

impl Builder {
    /// Starts with nothing. `seed` is the key of the name hash, which all zones of a [`crate::zone::ZoneSet`] share.
    pub fn new(seed: Seed) -> Self {
        let (plain, hashed) = (Collector::new(seed), Collector::new(seed));
        let (soas, chains) = (Vec::with_capacity(1), Chains::default());
        let ttl_rule = TtlRule::First;
        Self { seed, ttl_rule, plain, hashed, soas, chains, has_nsec: false, has_signatures: false }
    }

    /// Makes ready for very many more records, where nobody said before how many there are: so that several threads can
    /// make the zone of them. Costs as much as taking what came so far.
    pub fn expect_many(&mut self) {
        self.plain.split(usize::MAX);
        self.hashed.split(usize::MAX);
    }

    /// Gives each RRset the lowest TTL of its records, as is right for what was transferred; else it gets that of its
    /// first, as in a zone file.
    pub fn with_lowest_ttls(self) -> Self {
        Self { ttl_rule: TtlRule::Lowest, ..self }
    }

    /// Makes the zone; `None` if it, or what was read before, has errors. It is the same with any executor.
    ///
    /// All faults, errors and warnings, go to `faults`.
    pub fn finish(mut self, plan: Plan<'_>, executor: &dyn Executor, faults: &mut Faults) -> Option<Zone> {
        let apex = self.find_apex(plan.name, faults)?;
        self.chains.keep_inside(apex.as_ref());
        let plain = SortedShards::of(self.plain, self.seed, apex.as_ref(), executor, faults);
        let has_hashed = !self.hashed.is_empty();
        let hashed = has_hashed.then(|| SortedShards::of(self.hashed, self.seed, apex.as_ref(), executor, faults));
        let mut index = Index::new(self.seed, apex.as_ref(), plain.shards);
        let (mut labels_max, mut wildcard_parents) = (plain.labels_max, plain.wildcard_parents);
        labels_max = labels_max.max(apex.as_ref().label_count());
        let children = index.find_empties(&plain.pieces, labels_max, executor, &mut wildcard_parents);
        let params = chain::best_of(self.chains.candidates(), hashed.as_ref(), faults);
        let layout = Layout {
            seed: self.seed,
            ttl_rule: self.ttl_rule,
            apex: apex.as_ref(),
            params: params.as_ref(),
            index: &index,
            wildcard_parents: &wildcard_parents,
            may_be_signed: self.has_signatures,
            now: plan.now,
        };
        let mut laid = layout.write_names(&index, plain.pieces, plan.previous.map(Zone::names), executor, faults);
        let laid_hashed = hashed.map_or_else(Laid::nothing, |hashed| {
            let index = Index::new(self.seed, apex.as_ref(), hashed.shards);
            layout.write_names(&index, hashed.pieces, plan.previous.map(Zone::hashed), executor, faults)
        });
        laid.unsigned.add(laid_hashed.unsigned);
        laid.signing.join(&laid_hashed.signing);
        let is_signed = self.has_signatures && is_meant_to_be_signed(self.seed, apex.as_ref(), &laid.names);
        let source = chain::Source { apex: apex.as_ref(), names: &laid.names, hashed: &laid_hashed.names, is_signed };
        let zone = Zone::assemble(
            Parts {
                seed: self.seed,
                apex,
                denial: source.denial(params, self.has_nsec, faults),
                names: laid.names,
                hashed: laid_hashed.names,
                record_count: laid.record_count + laid_hashed.record_count,
                labels_max,
                wildcard_count: wildcard_parents.len(),
                children,
                denial_records: DenialRecords { has_nsec: self.has_nsec, params_count: self.chains.params_count() },
            },
            encode::negative_node,
        );
        if zone.apex_node().rrset(Type::NS).is_none() {
            let soa = self.soas.iter().find(|(owner, _)| *owner == apex);
            faults.add(FaultKind::NoApexNs { apex }, soa.map_or(Position::of_file(0), |(_, position)| *position), 0);
        }
        self.chains.check(apex.as_ref(), faults);
        if is_signed {
            laid.unsigned.report(apex.as_ref(), faults);
        }
        laid.signing.report(&zone, is_signed, faults);
        (faults.error_count() == 0).then_some(zone)
    }

    /// Finds the zone's name as its SOA writes it. `None` where no SOA stands there: the file never decides which zone
    /// it is, for then whoever may write one could take over another's.
    fn find_apex(&self, name: NameRef<'_>, faults: &mut Faults) -> Option<Name> {
        let apex = name.to_name();
        let found = self.soas.iter().map(|(owner, _)| *owner).find(|owner| *owner == apex);
        for (owner, position) in self.soas.iter().filter(|(owner, _)| *owner != apex) {
            if owner.as_ref().is_below(apex.as_ref()) || found.is_none() {
                faults.add(FaultKind::SoaNotAtApex { owner: *owner, apex }, *position, 0);
            }
        }
        if found.is_some() {
            return found;
        }
        // A record that could not be read may well have been the SOA.
        if !faults.has_errors() {
            faults.add(FaultKind::NoSoa { apex }, Position::of_file(0), 0);
        }
        None
    }
}

/// Whether a zone is meant to be signed: its SOA is, or it has keys.
fn is_meant_to_be_signed(seed: Seed, apex: NameRef<'_>, names: &Names) -> bool {
    let node = names.find(LookupName::new(apex).hash(seed), apex.as_bytes());
    node.is_some_and(|node| {
        node.rrset(Type::DNSKEY).is_some() || node.rrset(Type::SOA).is_some_and(|soa| soa.signature_count > 0)
    })
}
