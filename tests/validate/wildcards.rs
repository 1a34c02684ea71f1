//! Every way in which a walk can end, reached over wildcards in every way: what was synthesised is proved, and unbound
//! agrees.

use std::fmt::Write;

use super::common::ask;
use super::common::message::{Edns, Query, TC};
use super::common::name::name;
use super::common::proof;
use super::common::sign::Denial;
use super::{PROGRAMS, Site, common};

/// An end of a walk: a name for it, the target that leads there, the type that is asked for, and what unbound then
/// finds: RCODE, whether it is authentic, answers behind the wildcard. `None`: no resolver gets an answer out of it, or
/// none of this type.
type End = (&'static str, &'static str, u16, Option<(u16, bool, usize)>);

/// All ends.
const ENDS: [End; 18] = [
    ("answer", "mail", 1, Some((0, true, 1))),
    ("nodata", "leaf.empty", 1, Some((0, true, 0))),
    ("empty", "empty", 1, Some((0, true, 0))),
    ("none", "no.such.name", 1, Some((3, true, 0))),
    ("below", "www.child", 1, Some((0, true, 1))),
    ("open", "www.insecure", 1, Some((0, false, 1))),
    ("ds", "child", 43, Some((0, true, 1))),
    ("nods", "insecure", 43, Some((0, true, 0))),
    ("chain", "chain", 1, Some((0, true, 3))),
    ("out", "www.outside.test.", 1, Some((0, false, 1))),
    ("outnone", "none.outside.test.", 1, Some((3, false, 0))),
    ("dname", "www.dn", 1, Some((0, true, 3))),
    ("dnameset", "dn", 39, Some((0, true, 1))),
    ("wild", "x.wild", 16, Some((0, true, 1))),
    ("wildnone", "x.wild", 1, Some((0, true, 0))),
    ("loop", "x.w-loop", 1, None),
    ("bound", "b1", 1, None),
    ("long", "xxxxxxxxxxxxxxxxxxxx.long", 1, None),
];

/// The ways over wildcards, each as the name that is asked, and the answers in front of those behind the wildcard.
const WAYS: [(&str, usize); 4] = [("x.w-", 1), ("c-", 2), ("x.v-", 2), ("x.d-", 3)];

/// The records that lead to all ends in all ways.
pub(super) fn records() -> String {
    let mut text = String::new();
    for (end, target, ..) in ENDS {
        writeln!(
            text,
            "*.w-{end} IN CNAME {target}\nc-{end} IN CNAME x.w-{end}\n\
             *.v-{end} IN CNAME x.w-{end}\nd-{end} IN DNAME w-{end}"
        )
        .expect("a String takes everything");
    }
    for index in 1..30 {
        writeln!(text, "b{index} IN CNAME b{}", index + 1).expect("a String takes everything");
    }
    let label = "l".repeat(60);
    writeln!(text, "long IN DNAME {label}.{label}.{label}.{}", &label[..35]).expect("a String takes everything");
    text
}

#[test]
fn what_wildcards_give_is_proved_with_nsec() {
    proved(Denial::Nsec);
}

#[test]
fn what_wildcards_give_is_proved_with_nsec3() {
    proved(Denial::Nsec3);
}

#[test]
fn what_wildcards_give_is_proved_with_opt_out() {
    proved(Denial::OptOut);
}

/// Whether unbound 1.17 fails, with NSD and Knot in our place as well: a DNAME is asked for, and one leads to it.
fn is_beyond_unbound(way: &str, rtype: u16) -> bool {
    way == "x.d-" && rtype == 39
}

/// Asks for every end in every way.
fn proved(denial: Denial) {
    if common::must_skip("wildcards", &PROGRAMS) {
        return;
    }
    let site = Site::start(denial, str::to_owned);
    let (mut faults, mut count) = (Vec::new(), 0);
    for (end, _, rtype, found) in ENDS {
        for (way, before) in WAYS {
            let qname = format!("{way}{end}.valid.test.");
            // Of the types that are no data there are answers from each name on the way, too.
            for qtype in [rtype, 5, 46, 255] {
                let query = Query::new(&name(&qname), qtype).with_edns(Edns::new(1232, true));
                let reply = ask::ask_tcp(site.server.address, &query);
                let is_synthesised = reply.sections[0].iter().any(|record| record.rtype == 46);
                count += usize::from(is_synthesised);
                for owner in proof::unproved(&reply) {
                    faults.push(format!("{qname} TYPE{qtype}: nothing proves {owner}: {reply:?}"));
                }
                assert!(!reply.has(TC), "{qname} TYPE{qtype}");
            }
            let Some((rcode, is_authentic, behind)) = found.filter(|_| !is_beyond_unbound(way, rtype)) else {
                continue;
            };
            // What rests on an opt-out record that covers a name is not authentic (RFC 5155 §9.2): all that comes from
            // wildcards.
            let is_authentic = is_authentic && denial != Denial::OptOut;
            let reply = site.ask(&qname, rtype);
            let records = reply.sections[0].iter().filter(|record| record.rtype != 46).count();
            let got = (reply.rcode(), reply.has(common::message::AD), records);
            if got != (rcode, is_authentic, before + behind) {
                faults.push(format!("{qname} TYPE{rtype}: unbound says {got:?}: {reply:?}"));
            }
        }
    }
    assert!(count > 200, "answers had signatures");
    assert!(faults.is_empty(), "{denial:?}: {} faults\n{}", faults.len(), faults.join("\n"));
}
