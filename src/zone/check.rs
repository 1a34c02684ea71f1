//! What is wrong with a zone across its names: cuts, glue, targets, chains. The closed list of faults is
//! [`FaultKind`]; what concerns one owner alone is told by `rrsets`.

use crate::wire::{Name, NameRef, Type, rdata};
use crate::zone::collect::{Collector, Run, Stored};
use crate::zone::fault::{FaultKind, Faults, Place};
use crate::zone::hash::LookupName;
use crate::zone::node::Node;
use crate::zone::nsec3::{ITERATIONS_MAX, Params};
use crate::zone::{Found, Zone};

/// Tells the faults of `zone`; `plain` and `hashed` are the records that it was made from.
pub(super) fn check_zone(zone: &Zone, plain: &Collector, hashed: &Collector, faults: &mut Faults) {
    let apex = zone.apex().to_name();
    if zone.apex_node().rrset(Type::NS).is_none() {
        faults.add(FaultKind::NoApexNs { apex }, soa_place(zone, plain), 0);
    }
    for run in &plain.runs {
        let name = LookupName::new(plain.owner(run));
        match zone.lookup(&name) {
            Found::Exact(node) => check_targets(zone, plain, run, node, None, faults),
            Found::Delegation { cut, .. } => check_delegation(zone, plain, run, cut, faults),
            Found::Redirected { owner, .. } => {
                let owners = (plain.owner(run).to_name(), owner.name().to_name());
                for record in plain.records(run) {
                    let kind = FaultKind::BelowDname { owner: owners.0, rtype: record.rtype, dname: owners.1 };
                    faults.add(kind, record.place, 0);
                }
            }
            Found::Missing(_) => unreachable!("the zone was made from these records"),
        }
    }
    check_nsec3(zone, plain, hashed, faults);
    if zone.is_signed() {
        check_signatures(zone, plain, faults);
    }
}

fn soa_place(zone: &Zone, plain: &Collector) -> Place {
    let apex_runs = plain.runs.iter().filter(|run| plain.owner(run) == zone.apex());
    let mut records = apex_runs.flat_map(|run| plain.records(run));
    records.find(|record| record.rtype == Type::SOA).map_or(Place::of_file(0), |record| record.place)
}

/// Tells of NS, MX and SRV records of `run` whose target is an alias, has no address, or, at a cut, lacks glue.
fn check_targets(
    zone: &Zone,
    plain: &Collector,
    run: &Run,
    node: Node<'_>,
    cut: Option<Node<'_>>,
    faults: &mut Faults,
) {
    let owner = node.name().to_name();
    for record in plain.records(run).filter(|r| matches!(r.rtype, Type::NS | Type::MX | Type::SRV)) {
        let Some(target) = rdata::names(record.rtype, record.rdata).next().map(|embedded| embedded.name) else {
            continue;
        };
        if target.is_root() || !target.is_at_or_below(zone.apex()) {
            continue;
        }
        let rtype = record.rtype;
        let name = target.to_name();
        let kind = match address_of(zone, target) {
            Address::Present => continue,
            Address::Alias if rtype == Type::SRV => continue, // RFC 2782 forbids it too, but nobody checks.
            Address::Alias => FaultKind::TargetIsAlias { owner, rtype, target: name },
            Address::Absent => match cut {
                Some(cut) if target.is_at_or_below(cut.name()) => FaultKind::MissingGlue { cut: owner, target: name },
                _ => FaultKind::TargetWithoutAddress { owner, rtype, target: name },
            },
            // Another zone's business: sibling glue is optional (RFC 9471 §2.2).
            Address::Elsewhere => continue,
        };
        faults.add(kind, record.place, 0);
    }
}

/// Whether a name of the zone has an address.
enum Address {
    Present,
    Alias,
    Absent,
    /// Below a cut that is not the one in question, or redirected by a DNAME.
    Elsewhere,
}

fn address_of(zone: &Zone, target: NameRef<'_>) -> Address {
    let has_address = |node: Node<'_>| node.rrset(Type::A).is_some() || node.rrset(Type::AAAA).is_some();
    let name = LookupName::new(target);
    if zone.node(&name).is_some_and(has_address) {
        return Address::Present;
    }
    let node = match zone.lookup(&name) {
        Found::Exact(node) => Some(node),
        Found::Missing(missing) => zone.wildcard(&missing),
        Found::Delegation { .. } => return Address::Absent,
        Found::Redirected { .. } => return Address::Elsewhere,
    };
    match node {
        Some(node) if has_address(node) => Address::Present,
        Some(node) if node.rrset(Type::CNAME).is_some() => Address::Alias,
        _ => Address::Absent,
    }
}

/// Tells of data at or below a cut that is never answered, and of glue that is missing.
fn check_delegation(zone: &Zone, plain: &Collector, run: &Run, cut: Node<'_>, faults: &mut Faults) {
    let owner = plain.owner(run);
    let is_cut = owner == cut.name();
    // At the cut the parent holds NS, DS and what denial needs (RFC 4035 §2.6); anywhere below, addresses are glue.
    let belongs = |rtype: Type| match rtype {
        Type::A | Type::AAAA => true,
        Type::NS | Type::DS | Type::NSEC | Type::RRSIG => is_cut,
        _ => false,
    };
    for record in plain.records(run).filter(|record| !belongs(record.rtype)) {
        let kind = FaultKind::BelowCut { owner: owner.to_name(), rtype: record.rtype, cut: cut.name().to_name() };
        faults.add(kind, record.place, 0);
    }
    if is_cut {
        check_targets(zone, plain, run, cut, Some(cut), faults);
    }
}

/// Tells of NSEC3 parameters that are bad, and of chains and parameters without each other (RFC 5155 §4, RFC 9276).
fn check_nsec3(zone: &Zone, plain: &Collector, hashed: &Collector, faults: &mut Faults) {
    let all = |collector: &'_ Collector, rtype: Type, faults: &mut Faults| -> Vec<(Option<Params>, Place)> {
        let records = collector.runs.iter().flat_map(|run| collector.records(run));
        let mut found: Vec<(Option<Params>, Place)> = Vec::new();
        for record in records.filter(|record| record.rtype == rtype) {
            let params = Params::from_rdata(record.rdata);
            // Every record of a chain says the same: tell once.
            if found.iter().all(|(known, _)| *known != params) {
                tell_of_params(&record, params.as_ref(), faults);
                found.push((params, record.place));
            }
        }
        found
    };
    let params = all(plain, Type::NSEC3PARAM, faults);
    let chains = all(hashed, Type::NSEC3, &mut Faults::default());
    let apex = zone.apex().to_name();
    for (chain, place) in &chains {
        if chain.is_some() && params.iter().all(|(known, _)| known != chain) {
            faults.add(FaultKind::Nsec3WithoutParam { apex }, *place, 0);
        }
    }
    for (known, place) in &params {
        if known.is_some() && chains.iter().all(|(chain, _)| chain != known) {
            faults.add(FaultKind::Nsec3ParamWithoutChain { apex }, *place, 0);
        }
    }
}

/// Tells of one set of NSEC3 parameters.
fn tell_of_params(record: &Stored<'_>, params: Option<&Params>, faults: &mut Faults) {
    let kind = match params {
        None => FaultKind::Nsec3Algorithm { algorithm: record.rdata.first().copied().unwrap_or(0) },
        Some(Params { iterations: 0, .. }) => return,
        Some(Params { iterations, .. }) if *iterations > ITERATIONS_MAX => {
            FaultKind::Nsec3TooManyIterations { iterations: *iterations, max: ITERATIONS_MAX }
        }
        Some(Params { iterations, .. }) => FaultKind::Nsec3Iterations { iterations: *iterations },
    };
    faults.add(kind, record.place, 0);
}

/// Tells, once, of authoritative RRsets without a signature in a signed zone (RFC 4035 §2.2).
fn check_signatures(zone: &Zone, plain: &Collector, faults: &mut Faults) {
    let (mut first, mut count): (Option<(Name, Type, Place)>, _) = (None, 0);
    for runs in plain.owners() {
        let name = LookupName::new(plain.owner(&runs[0]));
        let (node, is_cut) = match zone.lookup(&name) {
            Found::Exact(node) => (node, false),
            Found::Delegation { cut, labels } if labels == name.label_count() => (cut, true),
            _ => continue,
        };
        // At a cut only what belongs to the parent is signed.
        let needs_signature = |rtype: Type| !is_cut || matches!(rtype, Type::DS | Type::NSEC);
        let unsigned = node.rrsets().filter(|rrset| rrset.signature_count == 0 && needs_signature(rrset.rtype));
        for rtype in unsigned.map(|rrset| rrset.rtype) {
            count += 1;
            let mut records = runs.iter().flat_map(|run| plain.records(run));
            let place = records.find(|record| record.rtype == rtype).map(|record| record.place);
            if let Some(place) = place.filter(|place| first.is_none_or(|(_, _, known)| *place < known)) {
                first = Some((node.name().to_name(), rtype, place));
            }
        }
    }
    if let Some((owner, rtype, place)) = first {
        faults.add(FaultKind::Unsigned { apex: zone.apex().to_name(), owner, rtype, count }, place, 0);
    }
}
