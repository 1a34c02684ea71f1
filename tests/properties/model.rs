//! What RFC 1034 §4.3.2 says, step by step and slowly, for one unsigned zone in a map: the answer, the authority
//! section, RCODE and AA. Names are lists of labels from the left, in lower case.
//!
//! Knows nothing of messages, hashing or glue; nothing here is taken from the code under test.

use std::collections::{BTreeMap, BTreeSet};

/// A name: its labels from the left, in lower case.
pub(crate) type Labels = Vec<String>;

/// The aliases that are followed at most.
const ALIASES_MAX: usize = 16;
/// The most octets of a name (RFC 1035 §2.3.4).
const NAME_BYTES_MAX: usize = 255;

/// What a record holds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Content {
    /// An address, its last octet.
    A(u8),
    /// A name server.
    Ns(Labels),
    /// An alias.
    Cname(Labels),
    /// Name, e-mail and numbers of the zone's start.
    Soa,
    /// A mail server with preference 10.
    Mx(Labels),
    /// An IPv6 address, its last octet.
    Aaaa(u8),
    /// An alias of all names below.
    Dname(Labels),
}

/// The TYPE of what is asked and answered.
pub(crate) mod rtype {
    pub(crate) const A: u16 = 1;
    pub(crate) const NS: u16 = 2;
    pub(crate) const CNAME: u16 = 5;
    pub(crate) const SOA: u16 = 6;
    pub(crate) const MX: u16 = 15;
    pub(crate) const AAAA: u16 = 28;
    pub(crate) const DNAME: u16 = 39;
    pub(crate) const DS: u16 = 43;
}

impl Content {
    /// The record's type.
    pub(crate) fn rtype(&self) -> u16 {
        match self {
            Self::A(_) => rtype::A,
            Self::Ns(_) => rtype::NS,
            Self::Cname(_) => rtype::CNAME,
            Self::Soa => rtype::SOA,
            Self::Mx(_) => rtype::MX,
            Self::Aaaa(_) => rtype::AAAA,
            Self::Dname(_) => rtype::DNAME,
        }
    }
}

/// A record of a reply.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Line {
    /// The owner.
    pub(crate) owner: Labels,
    /// The TTL.
    pub(crate) ttl: u32,
    /// The RDATA, with its type.
    pub(crate) content: Content,
}

/// What a reply ought to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Expected {
    /// The RCODE.
    pub(crate) rcode: u16,
    /// AA.
    pub(crate) is_authoritative: bool,
    /// The answer section.
    pub(crate) answer: BTreeSet<Line>,
    /// The authority section.
    pub(crate) authority: BTreeSet<Line>,
}

/// A zone as a map from names to records.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    /// The zone's name.
    pub(crate) apex: Labels,
    /// The TTL of every record.
    pub(crate) ttl: u32,
    /// The TTL of negative answers: the smaller of the SOA's TTL and its MINIMUM (RFC 2308 §3).
    pub(crate) negative_ttl: u32,
    /// The records of each name.
    pub(crate) records: BTreeMap<Labels, BTreeSet<Content>>,
}

/// What a name is in the zone.
enum Place {
    /// At or below a zone cut.
    Cut(Labels),
    /// Below a DNAME.
    Redirected(Labels),
    /// There, perhaps without records; its records stand at the name given here (a wildcard's, or its own).
    There(Labels),
    /// Not there.
    Missing,
}

impl Model {
    /// What is to be answered.
    pub(crate) fn answer(&self, qname: &Labels, qtype: u16) -> Expected {
        let mut expected =
            Expected { rcode: 0, is_authoritative: true, answer: BTreeSet::new(), authority: BTreeSet::new() };
        if !is_at_or_below(qname, &self.apex) {
            return Expected { rcode: 5, is_authoritative: false, ..expected };
        }
        let mut name = qname.clone();
        let mut seen = BTreeSet::from([name.clone()]);
        for followed in 0..=ALIASES_MAX {
            let target = match self.place(&name, qtype) {
                Place::Cut(cut) => {
                    expected.is_authoritative = followed > 0;
                    expected.authority = self.lines(&cut, &cut, |content| matches!(content, Content::Ns(_)));
                    return expected;
                }
                Place::Redirected(owner) => match self.redirect(&name, &owner, &mut expected) {
                    // The CNAME that was made is what was asked for, as NSD and Knot have it.
                    Some(_) if qtype == rtype::CNAME => return expected,
                    Some(target) => target,
                    None => {
                        expected.rcode = 6;
                        return expected;
                    }
                },
                Place::There(owner) => {
                    let all = self.lines(&owner, &name, |_| true);
                    let alias = all.iter().find(|line| line.content.rtype() == rtype::CNAME);
                    match alias {
                        Some(Line { content: Content::Cname(target), .. }) if qtype != rtype::CNAME => {
                            expected.answer.extend(alias.cloned());
                            target.clone()
                        }
                        _ => {
                            let fitting: BTreeSet<Line> =
                                all.into_iter().filter(|l| l.content.rtype() == qtype).collect();
                            if fitting.is_empty() {
                                expected.authority = self.negative();
                            }
                            expected.answer.extend(fitting);
                            return expected;
                        }
                    }
                }
                Place::Missing => {
                    expected.rcode = 3;
                    expected.authority = self.negative();
                    return expected;
                }
            };
            if !is_at_or_below(&target, &self.apex) || !seen.insert(target.clone()) {
                return expected;
            }
            name = target;
        }
        expected
    }

    /// Steps 3a to 3c of the algorithm: down from the apex until something is found.
    fn place(&self, name: &Labels, qtype: u16) -> Place {
        for depth in self.apex.len()..=name.len() {
            let ancestor = name[name.len() - depth..].to_vec();
            let is_self = depth == name.len();
            let is_cut = depth > self.apex.len() && self.has(&ancestor, rtype::NS);
            // DS belongs to the parent's side (RFC 4035 §2.4), and so does the question for it.
            if is_cut && !(is_self && qtype == rtype::DS) {
                return Place::Cut(ancestor);
            }
            if !is_self && self.has(&ancestor, rtype::DNAME) {
                return Place::Redirected(ancestor);
            }
            if !self.exists(&ancestor) {
                // Its parent is the closest encloser: only the asterisk right below that one counts (RFC 4592 §3.3.1).
                let wildcard = [&["*".to_owned()], &ancestor[1..]].concat();
                return if self.exists(&wildcard) { Place::There(wildcard) } else { Place::Missing };
            }
        }
        Place::There(name.clone())
    }

    /// Puts a DNAME and the CNAME made of it into the answer; returns the new name unless it is too long.
    fn redirect(&self, name: &Labels, owner: &Labels, expected: &mut Expected) -> Option<Labels> {
        let dname = self.lines(owner, owner, |content| matches!(content, Content::Dname(_)));
        let target = match &dname.first().expect("a place below a DNAME has one").content {
            Content::Dname(target) => target.clone(),
            other => panic!("{other:?} is no DNAME"),
        };
        expected.answer.extend(dname);
        let new = [&name[..name.len() - owner.len()], &target].concat();
        if new.iter().map(|label| label.len() + 1).sum::<usize>() + 1 > NAME_BYTES_MAX {
            return None;
        }
        expected.answer.insert(Line { owner: name.clone(), ttl: self.ttl, content: Content::Cname(new.clone()) });
        Some(new)
    }

    /// Some records of `owner` as they stand in a reply, under the name `shown`.
    fn lines(&self, owner: &Labels, shown: &Labels, fits: impl Fn(&Content) -> bool) -> BTreeSet<Line> {
        let records = self.records.get(owner).into_iter().flatten().filter(|content| fits(content));
        records.map(|content| Line { owner: shown.clone(), ttl: self.ttl, content: content.clone() }).collect()
    }

    /// The authority section of a negative answer.
    fn negative(&self) -> BTreeSet<Line> {
        BTreeSet::from([Line { owner: self.apex.clone(), ttl: self.negative_ttl, content: Content::Soa }])
    }

    fn has(&self, name: &Labels, rtype: u16) -> bool {
        self.records.get(name).is_some_and(|contents| contents.iter().any(|content| content.rtype() == rtype))
    }

    /// Whether a name is there, if only because something is below it (RFC 4592 §2.2.2).
    fn exists(&self, name: &Labels) -> bool {
        self.records.keys().any(|owner| is_at_or_below(owner, name))
    }
}

/// Whether `name` is `ancestor` or stands below it.
pub(crate) fn is_at_or_below(name: &Labels, ancestor: &Labels) -> bool {
    name.ends_with(ancestor)
}
