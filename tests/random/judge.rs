//! Four replies, one verdict: real is what no peer says.

use fated::wire::Type;

use super::common::ask;
use super::common::message::{CD, Message, Query, Record};
use super::compare::{self, Case, Outcome};

/// What came of one question.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// Well, for the reason given here; answers of one reason are counted together.
    Well(String),
    /// As one peer alone, while the others agree on something else: listed, and no fault.
    Alone {
        /// Who, and what the others have.
        shape: String,
        /// All replies.
        detail: String,
    },
    /// As no peer has it, and nothing allows it.
    Fault {
        /// What differs, in few words.
        shape: String,
        /// All replies.
        detail: String,
    },
}

/// Whether an answer is allowed, of which what BIND said is shown too.
type Allows = fn(&Case<'_>, &Message) -> bool;

/// Where an answer is as none of the peers' and right all the same, besides [`super::meant`].
const MEANT: [(&str, Allows); 2] = [
    ("ANY: another RRset of the name (RFC 8482 §4.1)", is_other_rrset_of_any),
    ("all that a peer says, and more denial beside it (RFC 4035 §3.1.3, RFC 5155 §7.2)", proves_more),
];

/// Judges the reply of the tested server against three peers.
///
/// [`compare::judge`] has NSD and Knot, and the closed list of deliberate differences; BIND is the third voice. Of
/// BIND's additional section nothing is held against anybody: asked to be brief, it leaves out what is not glue. Nor
/// is CD, which it copies though RFC 4035 §3.1.6 would have it cleared.
pub(crate) fn judge(case: &Case<'_>, named: &Message) -> Verdict {
    let detail = || {
        let [nsd, knot, bind, tested] = [case.nsd, case.knot, named, case.tested].map(compare::show);
        format!("nsd:   {nsd}\nknot:  {knot}\nnamed: {bind}\nfated: {tested}")
    };
    let is_as_named = core_difference(named, case.tested).is_none();
    let alone = |who: &str, other: &Message| match core_difference(other, case.tested) {
        Some(shape) if !is_as_named && core_difference(other, named).is_none() => {
            Verdict::Alone { shape: format!("as {who} alone: {shape}"), detail: detail() }
        }
        _ => Verdict::Well(format!("as {who}, where the others part")),
    };
    let is_split = core_difference(case.nsd, case.knot).is_some();
    match compare::judge(case) {
        Outcome::Same if is_as_named => Verdict::Well("as all peers".to_owned()),
        Outcome::Same => Verdict::Well("as NSD and Knot, where BIND differs".to_owned()),
        Outcome::AsNsd => alone("NSD", case.knot),
        Outcome::AsKnot => alone("Knot", case.nsd),
        Outcome::Sized => Verdict::Well("TC by the size of the full reply, where the peers part".to_owned()),
        Outcome::Meant(entry) => Verdict::Well(format!("meant: {} ({})", entry.id, entry.rfc)),
        Outcome::Fault { shape, .. } => {
            if let Some((reason, _)) = MEANT.iter().find(|(_, allows)| allows(case, named)) {
                Verdict::Well(format!("meant: {reason}"))
            } else if is_as_named && is_split {
                Verdict::Well("as BIND, where the others part".to_owned())
            } else if is_as_named {
                Verdict::Alone { shape: format!("as BIND alone: {shape}"), detail: detail() }
            } else {
                Verdict::Fault { shape, detail: detail() }
            }
        }
    }
}

/// What differs between two replies apart from additional records and CD.
fn core_difference(left: &Message, right: &Message) -> Option<String> {
    let core = |reply: &Message| {
        let mut reply = reply.clone();
        reply.sections[2] = reply.opt().cloned().into_iter().collect();
        reply.flags &= !CD;
        reply
    };
    compare::difference(&core(left), &core(right))
}

/// Whether a record is an alias, or one made of a DNAME.
fn is_alias(record: &Record) -> bool {
    [Type::CNAME, Type::DNAME].iter().any(|rtype| rtype.0 == record.rtype)
}

/// Whether a record denies something, or may sign one that does.
fn is_denial(record: &Record) -> bool {
    [Type::NSEC, Type::NSEC3, Type::RRSIG].iter().any(|rtype| rtype.0 == record.rtype)
}

/// ANY: asked for the type that the tested server chose, NSD gives the same answer.
fn is_other_rrset_of_any(case: &Case<'_>, _: &Message) -> bool {
    let sets = case.tested.sets();
    let chosen = sets[0].iter().find(|record| !is_alias(record) && record.covered().is_none());
    let Some(rtype) = chosen.map(|record| record.rtype).filter(|_| case.query.qtype == Type::ANY.0) else {
        return false;
    };
    let nsd = ask::ask_tcp(case.addresses[0], &Query { qtype: rtype, ..case.query.clone() });
    nsd.sets()[0] == sets[0] && nsd.rcode() == case.tested.rcode()
}

/// The tested server says all that a peer says, and besides that nothing but denial, in the authority section.
fn proves_more(case: &Case<'_>, named: &Message) -> bool {
    let tested = case.tested.sets();
    [case.nsd, case.knot, named].into_iter().any(|peer| {
        let sets = peer.sets();
        peer.rcode() == case.tested.rcode()
            && sets[0] == tested[0]
            && sets[1].is_subset(&tested[1])
            && tested[1].difference(&sets[1]).all(is_denial)
    })
}
