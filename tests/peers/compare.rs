//! When an answer is the same, and what may stand in for sameness.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use fated::wire::Type;

use super::common::message::{AA, AD, CD, Edns, Message, QR, Query, RA, RD, Record, Sets, TC, Z};
use super::common::{ask, proof};
use super::meant::{self, Entry};
use super::questions::Ways;

/// One question with three replies.
#[derive(Debug)]
pub(crate) struct Case<'a> {
    /// What was asked.
    pub(crate) query: &'a Query,
    /// In which way.
    pub(crate) way: Ways,
    /// What NSD said.
    pub(crate) nsd: &'a Message,
    /// What Knot said.
    pub(crate) knot: &'a Message,
    /// What the tested server said.
    pub(crate) tested: &'a Message,
    /// Where NSD, Knot and the tested server answer further questions.
    pub(crate) addresses: [SocketAddr; 3],
}

/// How a case ended.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// All three say the same.
    Same,
    /// The peers part, and the tested server does as NSD.
    AsNsd,
    /// The peers part, and the tested server does as Knot.
    AsKnot,
    /// TC stands where the size of the tested server's own full reply demands it, and nowhere else.
    Sized,
    /// An entry allows it.
    Meant(&'static Entry),
    /// Nothing allows it.
    Fault {
        /// What differs, in few words: faults of one shape are counted together.
        shape: String,
        /// All replies.
        detail: String,
    },
}

/// Compares the peers alone.
pub(crate) fn peers(nsd: &Message, knot: &Message) -> Outcome {
    match difference(nsd, knot) {
        None => Outcome::Same,
        Some(shape) => Outcome::Fault { shape, detail: format!("nsd:  {}\nknot: {}", show(nsd), show(knot)) },
    }
}

/// Judges the reply of the tested server.
pub(crate) fn judge(case: &Case<'_>) -> Outcome {
    let fault = |shape: String| Outcome::Fault {
        shape,
        detail: format!("nsd:   {}\nknot:  {}\nfated: {}", show(case.nsd), show(case.knot), show(case.tested)),
    };
    if let Some(shape) = malformed(case) {
        return fault(shape);
    }
    let (nsd, knot) = (difference(case.nsd, case.tested), difference(case.knot, case.tested));
    match (&nsd, &knot) {
        (None, None) => return Outcome::Same,
        (None, Some(_)) => return Outcome::AsNsd,
        (Some(_), None) => return Outcome::AsKnot,
        (Some(_), Some(_)) => {}
    }
    if !case.way.is_tcp && is_sized_right(case) {
        return Outcome::Sized;
    }
    if let Some(entry) = meant::ENTRIES.iter().find(|entry| (entry.allows)(case)) {
        return Outcome::Meant(entry);
    }
    let agreement = if difference(case.nsd, case.knot).is_none() { "both peers" } else { "Knot; NSD is a third" };
    fault(format!("against {agreement}: {}", knot.unwrap_or_default()))
}

/// What no reply may be, whatever the peers say.
fn malformed(case: &Case<'_>) -> Option<String> {
    let reply = case.tested;
    let question = reply.questions.first();
    if reply.questions.len() != 1 || question.is_none_or(|question| question.qname != case.query.qname) {
        return Some("the question is not as it came".to_owned());
    }
    if reply.flags & (QR | Z | RA) != QR {
        return Some("QR is clear, or RA or Z is set".to_owned());
    }
    if reply.bytes > case.way.limit() {
        return Some("the reply is larger than it may be".to_owned());
    }
    if !reply.wrongly_compressed.is_empty() {
        return Some("RDATA is compressed where RFC 3597 §4 forbids it".to_owned());
    }
    let opts = reply.sections[2].iter().filter(|record| record.rtype == 41).count();
    if opts != usize::from(case.query.edns.is_some()) {
        return Some("the OPT record is missing or not asked for".to_owned());
    }
    let records: usize = reply.sections.iter().map(Vec::len).sum();
    let sets = reply.sets();
    if records != opts + sets.iter().map(BTreeSet::len).sum::<usize>() {
        return Some("a record stands twice in a section".to_owned());
    }
    if reply.has(TC) && records > opts {
        return Some("TC, and records all the same".to_owned());
    }
    // Who asks for RRSIG without DO gets signatures, but no proofs.
    let unproved = if case.query.edns.as_ref().is_some_and(Edns::is_do) { proof::unproved(reply) } else { Vec::new() };
    (!unproved.is_empty()).then(|| format!("nothing proves {unproved:?}"))
}

/// What differs between two replies, in few words.
pub(crate) fn difference(left: &Message, right: &Message) -> Option<String> {
    let mut shape = String::new();
    let mut add = |text: String| {
        shape.push_str(&text);
        shape.push_str("; ");
    };
    if left.rcode() != right.rcode() {
        add(format!("rcode {} not {}", right.rcode(), left.rcode()));
    }
    for (bit, name) in [(AA, "AA"), (TC, "TC"), (RD, "RD"), (RA, "RA"), (AD, "AD"), (CD, "CD")] {
        if left.has(bit) != right.has(bit) {
            add(format!("{name} {} not {}", u8::from(right.has(bit)), u8::from(left.has(bit))));
        }
    }
    let is_do = |message: &Message| message.opt().map(|opt| opt.ttl & 0x8000 != 0);
    if is_do(left) != is_do(right) {
        add("OPT or DO".to_owned());
    }
    // What a truncated reply still holds is of no use to anyone (RFC 2181 §9).
    if !(left.has(TC) && right.has(TC)) {
        for ((left, right), name) in left.sets().iter().zip(&right.sets()).zip(["answer", "authority", "additional"]) {
            if left != right {
                add(format!("{name} +[{}] -[{}]", kinds(right, left), kinds(left, right)));
            }
        }
    }
    (!shape.is_empty()).then_some(shape)
}

/// The types of the records that only the first set has.
fn kinds(these: &BTreeSet<Record>, those: &BTreeSet<Record>) -> String {
    let types: BTreeSet<String> = these.difference(those).map(|record| Type(record.rtype).to_string()).collect();
    types.into_iter().collect::<Vec<_>>().join(" ")
}

/// Whether the tested server sets TC exactly when its own full reply is too large for the way it was asked.
///
/// The full reply is the one over TCP, which is compared with the peers' there. Without TC, only additional records
/// may be missing (RFC 2181 §9), none of them glue that the referral needs (RFC 9471).
fn is_sized_right(case: &Case<'_>) -> bool {
    let full = ask::ask_tcp(case.addresses[2], case.query);
    if full.rcode() != case.tested.rcode() || full.has(AA) != case.tested.has(AA) {
        return false;
    }
    let peers_full = [0, 1].map(|peer| ask::ask_tcp(case.addresses[peer], case.query));
    if peers_full.iter().all(|peer| difference(peer, &full).is_some()) {
        return false;
    }
    let (all, some) = (full.sets(), case.tested.sets());
    let is_part = all.iter().zip(&some).all(|(all, some)| is_whole_part(all, some));
    if full.bytes <= case.way.limit() {
        return !case.tested.has(TC) && all == some;
    }
    if case.tested.has(TC) {
        return is_part && !fits_without_extras(&full, case.way.limit());
    }
    is_part && all[0] == some[0] && all[1] == some[1] && required_glue(&all).is_subset(&some[2])
}

/// Whether a reply would fit if its additional section held required glue alone, each record at its smallest.
///
/// Counts an owner as a pointer, so it is a lower bound: where even that is too large, TC is right.
fn fits_without_extras(full: &Message, limit: usize) -> bool {
    let sets = full.sets();
    let additional: usize = sets[2].iter().map(|record| 12 + record.rdata.len()).sum();
    let required: usize = required_glue(&sets).iter().map(|record| 12 + record.rdata.len()).sum();
    let owners: usize = sets[2].iter().map(|record| record.owner.len()).sum();
    full.bytes - additional + required + owners < limit && full.bytes > limit + owners
}

/// The addresses in a referral's additional section that stand at or below the cut (RFC 9471 §2.1).
fn required_glue(sets: &Sets) -> BTreeSet<Record> {
    let cut = sets[1].iter().find(|record| record.rtype == 2).map(|record| record.owner.clone());
    let is_referral = sets[0].is_empty();
    let is_required = |record: &&Record| {
        is_referral && cut.as_ref().is_some_and(|cut| super::common::name::is_at_or_below(&record.owner, cut))
    };
    sets[2].iter().filter(is_required).cloned().collect()
}

/// Whether `some` holds whole RRsets of `all` and nothing else.
pub(crate) fn is_whole_part(all: &BTreeSet<Record>, some: &BTreeSet<Record>) -> bool {
    let key = |record: &Record| (record.owner.clone(), record.rtype, record.covered());
    let keys: BTreeSet<_> = some.iter().map(key).collect();
    some.is_subset(all) && all.iter().all(|record| some.contains(record) || !keys.contains(&key(record)))
}

/// One reply for people.
pub(crate) fn show(reply: &Message) -> String {
    let flags: Vec<&str> = [(AA, "aa"), (TC, "tc"), (RD, "rd"), (RA, "ra"), (AD, "ad"), (CD, "cd")]
        .into_iter()
        .filter(|(bit, _)| reply.has(*bit))
        .map(|(_, name)| name)
        .collect();
    let mut out = format!("rcode {} {} {} octets", reply.rcode(), flags.join(" "), reply.bytes);
    for (section, name) in reply.sets().iter().zip(["answer", "authority", "additional"]) {
        for record in section.iter().take(6) {
            out.push_str(&format!("\n  {name}: {record:?}"));
        }
        if section.len() > 6 {
            out.push_str(&format!("\n  {name}: … {} in all", section.len()));
        }
    }
    out
}
