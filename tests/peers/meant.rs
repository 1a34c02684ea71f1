//! Where fated differs on purpose: a closed list, each entry with the RFC that allows it.

use std::collections::BTreeSet;

use fated::wire::{NameRef, Type};

use super::common::ask;
use super::common::message::{AA, Message, Record, TC};
use super::compare::Case;

/// One allowed difference.
#[derive(Debug)]
pub(crate) struct Entry {
    /// A short name, for the count.
    pub(crate) id: &'static str,
    /// The RFC and section.
    pub(crate) rfc: &'static str,
    /// Whether it allows what the tested server said.
    pub(crate) allows: fn(&Case<'_>) -> bool,
}

/// All of them.
pub(crate) const ENTRIES: &[Entry] = &[
    Entry {
        id: "long chain",
        rfc: "RFC 1034 §3.6.2: 16 aliases are followed, Knot follows 5, NSD 20",
        allows: long_chain,
    },
    Entry {
        id: "denial type at an alias",
        rfc: "RFC 1034 §4.3.2 step 3a: NSEC, NSEC3 and NSEC3PARAM follow an alias like any other type",
        allows: denial_type_at_alias,
    },
    Entry {
        id: "additional records",
        rfc: "RFC 1034 §4.3.2 step 6, RFC 9460 §4.1: addresses of targets, and the services that aliases lead to, \
            in all steps",
        allows: additional_records,
    },
    Entry {
        id: "one RRset's signatures",
        rfc: "RFC 8482 §4.1: RRSIG as ANY, rather of data than of NSEC; Knot takes any, NSD gives all",
        allows: one_signature,
    },
    Entry {
        id: "denial behind an alias",
        rfc: "RFC 4035 §3.1.3: behind an alias NSD leaves out NSEC records that cover the last name, \
            Knot stays in one zone",
        allows: denial_behind_alias,
    },
];

/// The answer is that of NSD, through an alias; NSEC records stand beside or instead of NSD's, and one covers the name.
fn denial_behind_alias(case: &Case<'_>) -> bool {
    let (nsd, tested) = (case.nsd.sets(), case.tested.sets());
    let is_proof = |record: &Record| [Type::NSEC, Type::RRSIG].iter().any(|rtype| rtype.0 == record.rtype);
    let mut targets = tested[0].iter().filter(|record| record.rtype == Type::CNAME.0).map(|record| &record.rdata);
    let covers = |name: &[u8], record: &Record| {
        let (Ok(name), Ok(owner)) = (NameRef::parse(name), NameRef::parse(&record.owner)) else { return false };
        let Ok(next) = NameRef::parse(&record.rdata) else { return false };
        owner < name && (name < next || next <= owner)
    };
    let proofs: Vec<&Record> = tested[1].iter().filter(|record| record.rtype == Type::NSEC.0).collect();
    targets.any(|target| proofs.iter().any(|record| covers(target, record)))
        && nsd[0] == tested[0]
        && case.nsd.rcode() == case.tested.rcode()
        && nsd[1].symmetric_difference(&tested[1]).all(is_proof)
}

/// How many aliases Knot follows.
const KNOT_CHAIN: usize = 5;

/// The records of one type in a section.
fn count(records: &BTreeSet<Record>, rtype: Type) -> usize {
    records.iter().filter(|record| record.rtype == rtype.0).count()
}

/// Knot gave up first; what it put stands in the reply too, unless that is too large for the way it was asked.
fn long_chain(case: &Case<'_>) -> bool {
    let whole = case.tested.has(TC).then(|| ask::ask_tcp(case.addresses[2], case.query));
    if whole.as_ref().is_some_and(|whole| whole.bytes <= case.way.limit()) {
        return false;
    }
    let (knot, tested) = (case.knot.sets(), whole.as_ref().unwrap_or(case.tested).sets());
    count(&knot[0], Type::CNAME) >= KNOT_CHAIN && knot[0].is_subset(&tested[0]) && case.tested.rcode() == 0
}

/// Some of NSD's signatures are the answer, and one type is covered by them.
fn one_signature(case: &Case<'_>) -> bool {
    let (nsd, knot, tested) = (case.nsd.sets(), case.knot.sets(), case.tested.sets());
    let covered: BTreeSet<u16> = tested[0].iter().filter_map(Record::covered).collect();
    case.query.qtype == Type::RRSIG.0
        && covered.len() == 1
        && tested[0].is_subset(&nsd[0])
        && case.tested.rcode() == case.nsd.rcode()
        && (tested[1] == nsd[1] || tested[1] == knot[1])
}

/// The alias stands in the reply, and is what was asked about.
fn denial_type_at_alias(case: &Case<'_>) -> bool {
    let is_denial = [Type::NSEC, Type::NSEC3, Type::NSEC3PARAM].iter().any(|rtype| rtype.0 == case.query.qtype);
    let owner = case.query.qname.to_ascii_lowercase();
    let sets = case.tested.sets();
    is_denial && sets[0].iter().any(|record| record.rtype == Type::CNAME.0 && record.owner == owner)
}

/// All but the additional section is as one of the peers has it, and there stand addresses and services only.
fn additional_records(case: &Case<'_>) -> bool {
    let tested = case.tested.sets();
    let is_as = |peer: &Message| {
        let sets = peer.sets();
        peer.rcode() == case.tested.rcode() && peer.has(AA) && sets[0] == tested[0] && sets[1] == tested[1]
    };
    let types = [Type::A, Type::AAAA, Type::SVCB, Type::HTTPS, Type::RRSIG];
    let is_additional = |record: &Record| types.iter().any(|rtype| rtype.0 == record.rtype);
    let peers_part = case.nsd.sets() != case.knot.sets();
    peers_part && case.tested.has(AA) && tested[2].iter().all(is_additional) && (is_as(case.nsd) || is_as(case.knot))
}
