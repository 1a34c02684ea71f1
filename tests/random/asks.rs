//! Random questions about a world: names in it, near it and nowhere, all types, letters in any case, flags, NSID.

use super::common::Dice;
use super::common::message::{CD, Edns, Query, RD};
use super::common::name::{below, name};
use super::questions::{self, Ways};
use super::world::Zone;

/// The ways of asking; each gets the same share of the questions.
pub(crate) const WAYS: [Ways; 9] = [
    Ways { is_tcp: false, edns: None },
    Ways { is_tcp: false, edns: Some((512, true)) },
    Ways { is_tcp: false, edns: Some((1232, true)) },
    Ways { is_tcp: false, edns: Some((1232, false)) },
    Ways { is_tcp: false, edns: Some((700, true)) },
    Ways { is_tcp: false, edns: Some((4096, true)) },
    Ways { is_tcp: true, edns: None },
    Ways { is_tcp: true, edns: Some((1232, true)) },
    Ways { is_tcp: true, edns: Some((1232, false)) },
];
/// The types that are asked for most of the time.
const TYPES: [u16; 28] =
    [1, 1, 28, 2, 5, 6, 12, 15, 16, 33, 39, 43, 43, 46, 47, 48, 50, 51, 64, 65, 255, 255, 257, 65_400, 59, 60, 99, 256];
/// One question in so many is for any type at all.
const ANY_TYPE_PART: usize = 12;
/// One name in so many is made longer.
const LONG_PART: usize = 20;
/// EDNS option NSID (RFC 5001).
pub(crate) const NSID: u16 = 3;

/// The names that may be asked.
pub(crate) fn names(zones: &[Zone]) -> Vec<Vec<u8>> {
    let mut names: Vec<Vec<u8>> =
        zones.iter().flat_map(|zone| questions::names(&zone.owners, &name(&zone.origin))).collect();
    names.extend([".", "test.", "some.elsewhere.", "z.test."].map(name));
    names.sort();
    names.dedup();
    names
}

/// So many questions of one way. Those with EDNS ask for NSID, so that each reply shows who gave it.
pub(crate) fn draw(dice: &mut Dice, names: &[Vec<u8>], way: Ways, count: usize) -> Vec<Query> {
    (0..count).map(|_| question(dice, names, way)).collect()
}

/// One question.
fn question(dice: &mut Dice, names: &[Vec<u8>], way: Ways) -> Query {
    let mut qname = names[dice.below(names.len())].clone();
    if dice.below(LONG_PART) == 0 {
        while let Some(longer) = below(&[b'x'; 63], &qname).filter(|_| dice.below(3) > 0) {
            qname = longer;
        }
    }
    if dice.below(3) == 0 {
        for octet in &mut qname {
            // Length octets are below 64 and no letters.
            if dice.below(2) == 0 && octet.is_ascii_alphabetic() {
                *octet ^= 0x20;
            }
        }
    }
    let qtype = if dice.below(ANY_TYPE_PART) == 0 { any_type(dice) } else { TYPES[dice.below(TYPES.len())] };
    let mut query = way.query(&qname, qtype);
    query.edns = query.edns.map(|edns: Edns| edns.with_option(NSID, b""));
    query.flags = [0, 0, RD, CD, RD | CD][dice.below(5)];
    query
}

/// Any type but OPT, those of transfers and transactions, and those of questions alone, whose answers are no data.
fn any_type(dice: &mut Dice) -> u16 {
    loop {
        let rtype = if dice.below(2) == 0 { dice.below(270) } else { dice.below(0x1_0000) } as u16;
        if !matches!(rtype, 0 | 41 | 128..=254) {
            return rtype;
        }
    }
}
