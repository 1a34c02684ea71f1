//! Random zones that every peer loads: few labels, so that names meet; every kind of name beside, above and below
//! every other; every form of proof.
//!
//! The same seed makes the same zones, but for the keys and signatures of signed ones.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use fated::wire::Type;

use super::common::Dice;
use super::common::name::{below, is_at_or_below, name, parent, text};
use super::common::sign::Denial;
use super::common::zonetext::Owners;
use super::rdata;

/// The labels that names are made of, as they stand on the wire.
const LABELS: [&[u8]; 16] = [
    b"a",
    b"a",
    b"a",
    b"b",
    b"b",
    b"c",
    b"*",
    b"*",
    b"www",
    b"_tcp",
    b"ns",
    b"x-y",
    b"7",
    // Not with the backslash last: NSD 4.6.1 takes the dot behind it for a part of the label.
    b"a.b\\c",
    b"\0\xff @$",
    b"very-long-label-so-that-names-differ-late-and-packets-fill-up-zz",
];
/// The most labels of a name below the apex.
const DEPTH_MAX: usize = 5;
/// The fewest and the most names that a zone is drawn with; some of them fall on each other or can't stand there.
const NAMES: (usize, usize) = (6, 40);
/// The TTLs; more than one, so that a record with another's TTL is seen.
const TTLS: [u32; 5] = [0, 60, 300, 86_400, 1_209_600];
/// How a zone is signed, if it is; drawn with equal chances.
const DENIALS: [Option<Denial>; 4] = [None, Some(Denial::Nsec), Some(Denial::Nsec3), Some(Denial::OptOut)];
/// One zone of so many has nothing but an apex with a DNAME.
const APEX_DNAME_PART: usize = 12;

/// A zone.
#[derive(Debug)]
pub(crate) struct Zone {
    /// Its name.
    pub(crate) origin: String,
    /// The file, before it is signed.
    pub(crate) text: String,
    /// How it is to be signed.
    pub(crate) denial: Option<Denial>,
    /// The types at each of its names.
    pub(crate) owners: Owners,
}

/// What one name is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Data of any types.
    Plain,
    /// A CNAME.
    Alias,
    /// A DNAME, perhaps with data beside it.
    Redirection,
    /// NS, perhaps with DS, and glue.
    Cut,
}

/// Some zones that alias and delegate into each other; `serial` stands in each SOA, so that an answer shows its round.
pub(crate) fn zones(dice: &mut Dice, count: usize, serial: u32) -> Vec<Zone> {
    let tops: Vec<Vec<u8>> = (0..count).map(|number| name(&format!("z{number}.test."))).collect();
    let mut apexes = tops.clone();
    // Every other zone has a child that is served too; one of these a grandchild right below an empty name.
    for top in tops.iter().step_by(2) {
        apexes.extend(below(b"a", top));
    }
    apexes.extend(below(b"c", &tops[0]).and_then(|child| below(b"b", &child)).and_then(|child| below(b"a", &child)));
    apexes.iter().map(|apex| Draft::new(dice, apex, &apexes).zone(serial)).collect()
}

/// A zone that is being made.
struct Draft<'a> {
    dice: &'a mut Dice,
    apex: &'a [u8],
    /// All zones of the world, to lead into.
    apexes: &'a [Vec<u8>],
    kinds: BTreeMap<Vec<u8>, Kind>,
    /// The records: owner, type, and how they are written.
    records: BTreeMap<(Vec<u8>, u16), (u32, BTreeSet<String>)>,
}

impl<'a> Draft<'a> {
    fn new(dice: &'a mut Dice, apex: &'a [u8], apexes: &'a [Vec<u8>]) -> Self {
        Self { dice, apex, apexes, kinds: BTreeMap::new(), records: BTreeMap::new() }
    }

    /// Draws all names and writes them down.
    fn zone(mut self, serial: u32) -> Zone {
        self.apex_records(serial);
        let children: Vec<Vec<u8>> = self.apexes.iter().filter(|other| self.is_child(other)).cloned().collect();
        for child in children {
            self.kinds.insert(child.clone(), Kind::Cut);
            self.cut(&child);
        }
        if self.dice.below(APEX_DNAME_PART) == 0 && self.kinds.len() == 1 {
            let target = self.target();
            self.add(self.apex, Type::DNAME, [text(&target)]);
        } else {
            for _ in 0..NAMES.0 + self.dice.below(NAMES.1 - NAMES.0) {
                let owner = self.inside();
                let kind = [Kind::Plain, Kind::Plain, Kind::Plain, Kind::Alias, Kind::Redirection, Kind::Cut]
                    [self.dice.below(6)];
                if self.may_stand(&owner, kind) {
                    self.put(&owner, kind);
                }
            }
        }
        let denial = DENIALS[self.dice.below(DENIALS.len())];
        Zone { origin: text(self.apex), text: self.text(), denial, owners: self.owners() }
    }

    /// Whether a zone of this world hangs on this one, without another in between.
    fn is_child(&self, other: &[u8]) -> bool {
        let is_below = |name: &[u8], above: &[u8]| name != above && is_at_or_below(name, above);
        let has_between = self.apexes.iter().any(|middle| is_below(other, middle) && is_below(middle, self.apex));
        is_below(other, self.apex) && !has_between
    }

    /// SOA and NS; the names of the servers are outside, or have addresses, since BIND loads nothing else.
    fn apex_records(&mut self, serial: u32) {
        let apex = self.apex.to_vec();
        self.kinds.insert(apex.clone(), Kind::Plain);
        let minimum = TTLS[1 + self.dice.below(2)];
        self.add(&apex, Type::SOA, [format!("ns.elsewhere. admin.elsewhere. {serial} 3600 600 86400 {minimum}")]);
        let mut servers = vec!["ns.elsewhere.".to_owned()];
        if self.dice.below(2) == 0 {
            let server = below(b"in-zone-server", &apex).expect("an apex is short");
            servers.push(text(&server));
            self.kinds.insert(server.clone(), Kind::Plain);
            self.data(&server, Type::A);
            self.data(&server, Type::AAAA);
        }
        self.add(&apex, Type::NS, servers);
        for _ in 0..self.dice.below(4) {
            let rtype = self.plain_type();
            self.data(&apex, rtype);
        }
    }

    /// A name in the zone, seldom the apex.
    fn inside(&mut self) -> Vec<u8> {
        let mut at = self.apex.to_vec();
        for _ in 0..1 + self.dice.below(DEPTH_MAX) {
            let label = LABELS[self.dice.below(LABELS.len())];
            at = below(&label[..label.len().min(63)], &at).unwrap_or(at);
        }
        at
    }

    /// A name to lead to: here, in any zone of this world, where there is nothing, or outside.
    fn target(&mut self) -> Vec<u8> {
        match self.dice.below(8) {
            0..4 => self.inside(),
            4 | 5 => {
                let apex = &self.apexes[self.dice.below(self.apexes.len())];
                let label = LABELS[self.dice.below(LABELS.len())];
                if self.dice.below(3) == 0 {
                    apex.clone()
                } else {
                    below(&label[..label.len().min(63)], apex).unwrap_or_default()
                }
            }
            6 => name("some.elsewhere."),
            _ => {
                let known: Vec<&Vec<u8>> = self.kinds.keys().collect();
                known[self.dice.below(known.len())].clone()
            }
        }
    }

    /// Whether all peers take such a name there.
    fn may_stand(&self, owner: &[u8], kind: Kind) -> bool {
        let is_below_redirection = |above: &[u8]| {
            let mut at = parent(above);
            while let Some(here) = at {
                if self.kinds.get(here) == Some(&Kind::Redirection) || self.records.contains_key(&(here.to_vec(), 39)) {
                    return true;
                }
                at = parent(here);
            }
            false
        };
        let has_below = || self.kinds.keys().any(|other| other != owner && is_at_or_below(other, owner));
        // NSD 4.6.1 refuses a zone with a DNAME below which another zone has a name, here its parent below the cut.
        let is_in_child = self.apexes.iter().any(|apex| apex.len() > self.apex.len() && is_at_or_below(owner, apex));
        let is_special = matches!(kind, Kind::Redirection | Kind::Cut);
        let is_free = match self.kinds.get(owner) {
            None => true,
            Some(Kind::Plain) => kind == Kind::Plain,
            Some(_) => false,
        };
        let is_at_wildcard = owner.starts_with(b"\x01*");
        let is_in_the_way = (is_special && is_at_wildcard) || (kind == Kind::Redirection && has_below());
        is_free && !is_in_child && !is_in_the_way && !is_below_redirection(owner)
    }

    /// Puts records of a kind at a name.
    fn put(&mut self, owner: &[u8], kind: Kind) {
        self.kinds.insert(owner.to_vec(), kind);
        match kind {
            Kind::Plain => {
                for _ in 0..1 + self.dice.below(4) {
                    let rtype = self.plain_type();
                    self.data(owner, rtype);
                }
            }
            Kind::Alias => {
                let target = self.target();
                self.add(owner, Type::CNAME, [text(&target)]);
            }
            Kind::Redirection => {
                let target = self.target();
                self.add(owner, Type::DNAME, [text(&target)]);
                if self.dice.below(3) == 0 {
                    self.data(owner, Type::TXT);
                }
            }
            Kind::Cut => self.cut(owner),
        }
    }

    /// NS at a name, perhaps with DS, and glue for some of the servers.
    fn cut(&mut self, owner: &[u8]) {
        let mut servers = BTreeSet::new();
        for _ in 0..1 + self.dice.below(4) {
            let server = match self.dice.below(4) {
                0 => below(b"ns", owner),
                1 => Some(owner.to_vec()),
                2 => below(b"a", owner).and_then(|above| below(b"ns", &above)),
                _ => Some(self.target()),
            };
            servers.extend(server);
        }
        for server in &servers {
            let is_glue = server == owner || (is_at_or_below(server, owner) && self.may_stand(server, Kind::Plain));
            if is_glue && self.dice.below(5) > 0 {
                self.kinds.entry(server.clone()).or_insert(Kind::Plain);
                self.data(server, Type::A);
                self.data(server, Type::AAAA);
            }
        }
        self.add(owner, Type::NS, servers.iter().map(|server| text(server)));
        if self.dice.below(2) == 0 {
            self.data(owner, Type::DS);
        }
    }

    fn plain_type(&mut self) -> Type {
        rdata::PLAIN[self.dice.below(rdata::PLAIN.len())]
    }

    /// One to three records of a type, seldom very many.
    fn data(&mut self, owner: &[u8], rtype: Type) {
        let count = if self.dice.below(30) == 0 { 10 + self.dice.below(50) } else { 1 + self.dice.below(3) };
        for _ in 0..count {
            let target = self.target();
            let written = rdata::text(self.dice, rtype, &text(&target));
            self.add(owner, rtype, [written]);
        }
    }

    /// Adds records; the first of an RRset decides its TTL.
    fn add(&mut self, owner: &[u8], rtype: Type, rdata: impl IntoIterator<Item = String>) {
        let ttl = TTLS[self.dice.below(TTLS.len())];
        self.records.entry((owner.to_vec(), rtype.0)).or_insert_with(|| (ttl, BTreeSet::new())).1.extend(rdata);
    }

    /// The file, the SOA first; some owners in capitals.
    fn text(&mut self) -> String {
        let mut records: Vec<_> = std::mem::take(&mut self.records).into_iter().collect();
        records.sort_by_key(|((_, rtype), _)| *rtype != Type::SOA.0);
        let mut out = String::new();
        for ((owner, rtype), (ttl, rdata)) in &records {
            let mut owner = text(owner);
            if self.dice.below(4) == 0 {
                owner.make_ascii_uppercase();
            }
            for rdata in rdata {
                writeln!(out, "{owner} {ttl} IN {} {rdata}", Type(*rtype)).expect("a String takes everything");
            }
        }
        self.records = records.into_iter().collect();
        out
    }

    fn owners(&self) -> Owners {
        let mut owners = Owners::new();
        for (owner, rtype) in self.records.keys() {
            owners.entry(owner.clone()).or_default().insert(*rtype);
        }
        owners
    }
}
