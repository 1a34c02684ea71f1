//! Denial of existence as a whole: which names a chain must have, whether it is closed, whether its types are those of
//! the names (RFC 4034 §4, RFC 4035 §2.3, RFC 5155 §7.1).
//!
//! A chain with a hole denies nothing that falls into the hole, and a validator takes the answer for forged. So a chain
//! is looked at from end to end once the nodes are laid out, and each sort of flaw is reported once for all its
//! records.

use core::cmp::Ordering;

use crate::fault::{DnssecFault, Faults, Position};
use crate::wire::{Name, NameRef, Type, rdata};
use crate::zone::names::{Edited, Names, NodeRef};
use crate::zone::node::{Flags, Node, Rrset};
use crate::zone::nsec3::{self, Hash, Params};
use crate::zone::order::{self, Entry, Order};
use crate::zone::{Denial, Nsec3Chain};
use crate::zonebuild::collect::Pieces;
use crate::zonebuild::shards::SortedShards;

/// Opt-Out among the flags of an NSEC3 record (RFC 5155 §3.1.2.1).
const OPT_OUT: u8 = 1;

/// What is wrong with one chain, each sort of it counted, the first in canonical order named.
struct Flaws {
    /// NSEC or NSEC3.
    rtype: Type,
    missing: Flaw,
    open: Flaw,
    types: Flaw,
    surplus: Flaw,
}

/// One sort of what can be wrong.
#[derive(Default)]
struct Flaw {
    count: usize,
    first: Option<Name>,
}

impl Flaw {
    /// Counts a name.
    fn add(&mut self, owner: NameRef<'_>) {
        self.count += 1;
        if self.first.as_ref().is_none_or(|first| owner.cmp(&first.as_ref()) == Ordering::Less) {
            self.first = Some(owner.to_name());
        }
    }
}

impl Flaws {
    /// None yet.
    fn new(rtype: Type) -> Self {
        Self {
            rtype,
            missing: Flaw::default(),
            open: Flaw::default(),
            types: Flaw::default(),
            surplus: Flaw::default(),
        }
    }

    /// Whether everything can be denied that must be.
    fn is_whole(&self) -> bool {
        self.missing.count + self.open.count == 0
    }

    /// Reports each sort once.
    fn report(&self, faults: &mut Faults) {
        let chain = self.rtype;
        let mut report = |flaw: &Flaw, kind: fn(Type, Name, usize) -> DnssecFault| {
            if let Some(owner) = flaw.first {
                faults.add(kind(chain, owner, flaw.count), Position::of_file(0), 0);
            }
        };
        report(&self.missing, |chain, owner, count| DnssecFault::DenialMissing { chain, owner, count });
        report(&self.open, |chain, owner, count| DnssecFault::DenialOpen { chain, owner, count });
        report(&self.types, |chain, owner, count| DnssecFault::DenialTypes { chain, owner, count });
        report(&self.surplus, |chain, owner, count| DnssecFault::DenialSurplus { chain, owner, count });
    }
}

/// What the chains of a zone are made from.
pub(super) struct Source<'a> {
    pub(super) apex: NameRef<'a>,
    pub(super) names: &'a Names,
    /// The owners of NSEC3 records.
    pub(super) hashed: &'a Names,
    /// Whether the zone is meant to be signed, so that what is wrong with its chain is reported.
    pub(super) is_signed: bool,
}

impl Source<'_> {
    /// Puts the chain into order that proves denials, and reports what is wrong with it: NSEC3 if there are parameters,
    /// unless that chain is broken and one of NSEC is whole.
    pub(super) fn denial(&self, params: Option<Params>, has_nsec: bool, faults: &mut Faults) -> Denial {
        let hashed = params.map(|params| nsec3_chain(params, self.names, self.hashed, self.is_signed));
        let is_broken = hashed.as_ref().is_none_or(|(_, flaws)| !flaws.is_whole());
        let plain = (has_nsec && is_broken).then(|| nsec_chain(self.apex, self.names, self.is_signed)).flatten();
        let chains: Vec<(Denial, Flaws)> = match (hashed, plain) {
            (Some(hashed), Some(plain)) if plain.1.is_whole() => vec![plain, hashed],
            (hashed, plain) => hashed.or(plain).into_iter().collect(),
        };
        if self.is_signed {
            chains.iter().for_each(|(_, flaws)| flaws.report(faults));
            if chains.is_empty() {
                faults.add(DnssecFault::NoDenial { apex: self.apex.to_name() }, Position::of_file(0), 0);
            }
        }
        chains.into_iter().next().map_or(Denial::None, |(denial, _)| denial)
    }
}

/// The NSEC record of a node that is a link of the chain.
fn nsec_of(node: Node<'_>) -> Option<Rrset<'_>> {
    if node.flags().has(Flags::IS_OCCLUDED) { None } else { node.rrset(Type::NSEC) }
}

/// An order of other nodes. `key` is that of a node that is in it, `compare` how two such nodes stand to each other.
fn edited(
    order: &Order,
    before: &Names,
    after: &Edited,
    key: impl Fn(Node<'_>) -> Option<u64>,
    compare: impl Fn(Node<'_>, Node<'_>) -> Ordering,
) -> Order {
    let (mut order, names) = (order.clone(), &after.names);
    let entries = |names: &Names, bucket: usize| -> Vec<(NodeRef, u64)> {
        names.of_bucket(bucket).filter_map(|(at, node)| Some((at, key(node)?))).collect()
    };
    let is_other = |bucket: &usize| {
        let (old, new) = (entries(before, *bucket), entries(names, *bucket));
        let is_same = |((a, _), (b, _)): (&(NodeRef, u64), &(NodeRef, u64))| {
            a == b && before.node(*a).name() == names.node(*b).name()
        };
        old.len() != new.len() || !old.iter().zip(&new).all(is_same)
    };
    let others: Vec<usize> = after.buckets.iter().copied().filter(is_other).collect();
    // First all that is in these buckets goes, so that what is left is the same in both versions.
    for (at, key) in others.iter().flat_map(|bucket| entries(before, *bucket)) {
        order.remove(key, |other| compare(before.node(other), before.node(at)));
    }
    for (node, key) in others.iter().flat_map(|bucket| entries(names, *bucket)) {
        order.insert(Entry { key, node }, |other| compare(names.node(other), names.node(node)));
    }
    order
}

/// The order of NSEC owners, of names that were edited.
pub(super) fn edited_by_name(order: &Order, apex: NameRef<'_>, before: &Names, after: &Edited) -> Order {
    let key = |node: Node<'_>| nsec_of(node).map(|_| order::name_key(node.name(), apex));
    edited(order, before, after, key, |a, b| a.name().cmp(&b.name()))
}

/// The order of a chain of NSEC3 records, whose owners were edited.
pub(super) fn edited_by_hash(chain: &Nsec3Chain, before: &Names, after: &Edited) -> Order {
    let key =
        |node: Node<'_>| Link::of(&chain.params, NodeRef::default(), node).map(|link| order::hash_key(&link.hash));
    let hash = |node: Node<'_>| nsec3::owner_hash(node.name());
    edited(&chain.order, before, after, key, |a, b| hash(a).cmp(&hash(b)))
}

/// The NSEC records in order. `None` where there are none that are authoritative.
fn nsec_chain(apex: NameRef<'_>, names: &Names, is_signed: bool) -> Option<(Denial, Flaws)> {
    let mut flaws = Flaws::new(Type::NSEC);
    let (mut entries, mut types) = (Vec::with_capacity(names.count()), Vec::new());
    for (at, node) in names.iter().filter(|(_, node)| !node.flags().has(Flags::IS_OCCLUDED) && !node.is_empty()) {
        match nsec_of(node) {
            Some(nsec) => {
                entries.push(Entry { key: order::name_key(node.name(), apex), node: at });
                if is_signed && !has_types_of(nsec_types(nsec), node, &mut types) {
                    flaws.types.add(node.name());
                }
            }
            None if is_signed => flaws.missing.add(node.name()),
            None => {}
        }
    }
    entries.sort_unstable_by(|a, b| {
        a.key.cmp(&b.key).then_with(|| names.node(a.node).name().cmp(&names.node(b.node).name()))
    });
    let first = entries.first()?.node;
    if is_signed {
        let next = entries.iter().skip(1).map(|entry| entry.node).chain([first]);
        for (at, next) in entries.iter().map(|entry| entry.node).zip(next) {
            let leads_to =
                names.node(at).rrset(Type::NSEC).and_then(|nsec| NameRef::parse(nsec.records().next()?.rdata).ok());
            if leads_to != Some(names.node(next).name()) {
                flaws.open.add(names.node(at).name());
            }
        }
    }
    Some((Denial::Nsec(Order::new(&entries)), flaws))
}

/// The bitmap of an NSEC record.
fn nsec_types(nsec: Rrset<'_>) -> &[u8] {
    let rdata = nsec.records().next().map_or(&[][..], |record| record.rdata);
    NameRef::parse(rdata).map_or(&[], |next| &rdata[next.len()..])
}

/// Whether a bitmap holds just the types that the denial of a name must show. `types` is a buffer.
fn has_types_of(bitmap: &[u8], node: Node<'_>, types: &mut Vec<Type>) -> bool {
    types.clear();
    let is_cut = node.flags().has(Flags::IS_CUT);
    let is_parents = |rtype: Type| !is_cut || matches!(rtype, Type::NS | Type::DS | Type::NSEC);
    let mut is_signed = false;
    for rrset in node.rrsets().filter(|rrset| is_parents(rrset.rtype) && rrset.record_count > 0) {
        types.push(rrset.rtype);
        is_signed |= rrset.signature_count > 0;
    }
    if is_signed {
        let at = types.partition_point(|rtype| *rtype < Type::RRSIG);
        types.insert(at, Type::RRSIG);
    }
    rdata::types(bitmap).eq(types.iter().copied())
}

/// One NSEC3 record of a chain.
struct Link<'a> {
    hash: Hash,
    node: NodeRef,
    rdata: Nsec3<'a>,
}

impl<'a> Link<'a> {
    /// The link that a node is, if its record belongs to the chain with these parameters.
    fn of(params: &Params, at: NodeRef, node: Node<'a>) -> Option<Self> {
        let record = node.rrset(Type::NSEC3)?.records().find(|record| params.fit(record.rdata))?;
        Some(Self { hash: nsec3::owner_hash(node.name())?, node: at, rdata: Nsec3::read(record.rdata)? })
    }
}

/// What the RDATA of an NSEC3 record says behind its parameters.
#[derive(Clone, Copy)]
struct Nsec3<'a> {
    is_opt_out: bool,
    next: &'a [u8],
    types: &'a [u8],
}

impl<'a> Nsec3<'a> {
    /// Reads it (RFC 5155 §3.2).
    fn read(rdata: &'a [u8]) -> Option<Self> {
        let [_algorithm, flags, _, _, salt_length, rest @ ..] = rdata else { return None };
        let (length, rest) = rest.get(usize::from(*salt_length)..)?.split_first()?;
        let (next, types) = rest.split_at_checked(usize::from(*length))?;
        Some(Self { is_opt_out: flags & OPT_OUT != 0, next, types })
    }
}

/// The chain of NSEC3 records with these parameters, in order.
fn nsec3_chain(params: Params, names: &Names, hashed: &Names, is_signed: bool) -> (Denial, Flaws) {
    let mut flaws = Flaws::new(Type::NSEC3);
    let mut links: Vec<Link<'_>> = hashed.iter().filter_map(|(at, node)| Link::of(&params, at, node)).collect();
    links.sort_unstable_by_key(|link| link.hash);
    if is_signed {
        check_links(&links, hashed, &mut flaws);
        check_names(&links, names, hashed, &mut flaws);
    }
    let entries: Vec<Entry> =
        links.iter().map(|link| Entry { key: order::hash_key(&link.hash), node: link.node }).collect();
    let order = Order::new(&entries);
    (Denial::Nsec3(Box::new(Nsec3Chain { params, names: hashed.clone(), order })), flaws)
}

/// Whether each record leads to the next one.
fn check_links(links: &[Link<'_>], hashed: &Names, flaws: &mut Flaws) {
    let next = links.iter().skip(1).chain(links.first());
    for (link, _) in links.iter().zip(next).filter(|(link, next)| link.rdata.next != next.hash) {
        flaws.open.add(hashed.node(link.node).name());
    }
}

/// Whether each name has its record, and each record its name. Under opt-out, delegations without DS, and empty names
/// that may lead to such ones only, need none (RFC 5155 §7.1).
fn check_names(links: &[Link<'_>], names: &Names, hashed: &Names, flaws: &mut Flaws) {
    let (mut is_met, mut types) = (vec![false; links.len()], Vec::new());
    for (_, node) in names.iter() {
        let Some(hash) = node.nsec3_hash() else { continue };
        let at = links.partition_point(|link| link.hash < *hash);
        if let Some(link) = links.get(at).filter(|link| link.hash == *hash) {
            is_met[at] = true;
            if !has_types_of(link.rdata.types, node, &mut types) {
                flaws.types.add(node.name());
            }
            continue;
        }
        let cover = links.get(at.wrapping_sub(1)).or(links.last());
        let may_be_out = node.is_empty() || (node.flags().has(Flags::IS_CUT) && node.rrset(Type::DS).is_none());
        if !(may_be_out && cover.is_some_and(|cover| cover.rdata.is_opt_out)) {
            flaws.missing.add(node.name());
        }
    }
    for (link, _) in links.iter().zip(is_met).filter(|(_, is_met)| !is_met) {
        flaws.surplus.add(hashed.node(link.node).name());
    }
}

/// The best chain of several: one that is closed before one that is not, then one with more records, then the first.
///
/// Reports the others if they are not closed. Names are not looked at: of two closed chains the one that lacks a name
/// has fewer records.
pub(super) fn best_of(candidates: Vec<Params>, hashed: Option<&SortedShards>, faults: &mut Faults) -> Option<Params> {
    let Some(hashed) = hashed.filter(|_| candidates.len() > 1) else { return candidates.into_iter().next() };
    let judged: Vec<(Params, bool, usize)> = candidates
        .into_iter()
        .map(|params| {
            let links = links_of(&params, hashed);
            let next = links.iter().skip(1).chain(links.first());
            let open = links.iter().zip(next).filter(|(link, next)| link.1 != next.0).count();
            (params, open == 0, links.len())
        })
        .collect();
    // The first of the best: `max_by_key` would give the last.
    let best = judged.iter().map(|(_, is_closed, count)| (*is_closed, *count)).max()?;
    let chosen = judged.iter().position(|(_, is_closed, count)| (*is_closed, *count) == best)?;
    for (_, (params, ..)) in judged.iter().enumerate().filter(|(at, (_, is_closed, _))| *at != chosen && !is_closed) {
        let kind = DnssecFault::DenialNotServed { salt: params.salt.clone(), iterations: params.iterations };
        faults.add(kind, Position::of_file(0), 0);
    }
    judged.into_iter().nth(chosen).map(|(params, ..)| params)
}

/// The hash and the next hash of each record of a chain that is not laid out yet, in order.
fn links_of(params: &Params, hashed: &SortedShards) -> Vec<(Hash, Hash)> {
    let of_shard = |(runs, pieces): (&Vec<_>, &Pieces)| -> Vec<(Hash, Hash)> {
        let links = runs.iter().filter_map(|run| {
            let fits = |rdata: &[u8]| params.fit(rdata);
            let record = pieces.records(*run).find(|record| record.rtype == Type::NSEC3 && fits(record.rdata))?;
            Some((nsec3::owner_hash(pieces.owner(*run))?, Nsec3::read(record.rdata)?.next.try_into().ok()?))
        });
        links.collect()
    };
    let mut links: Vec<(Hash, Hash)> = hashed.shards.iter().zip(&hashed.pieces).flat_map(of_shard).collect();
    links.sort_unstable();
    links.dedup_by_key(|(hash, _)| *hash);
    links
}
