//! UPDATEs that are read, with the care of RFC 7606: what is malformed costs the routes that are in it, or the one
//! attribute, and the session only where what follows could not be read any more.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use super::attribute::*;
use super::octets::Octets;
use super::prefix::read_prefixes;
use super::terms::Terms;
use super::{AsNumber, Family, Notification};

/// What an UPDATE says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Update {
    /// Prefixes that are withdrawn, or count as such since the message is malformed.
    pub(super) withdrawn: Vec<IpNet>,
    /// Prefixes that are announced, by next hop.
    pub(super) announced: Vec<Reach>,
    /// What holds for all that are announced.
    pub(super) path: Path,
    /// What is malformed, if anything is.
    pub(super) malformed: Option<Malformed>,
}

/// Prefixes with one next hop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reach {
    /// The next hop, the global one of two; `None` where there is none.
    pub(super) next_hop: Option<IpAddr>,
    /// The prefixes.
    pub(super) prefixes: Vec<IpNet>,
}

/// The attributes of a path that are of use here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Path {
    /// The AS numbers, nearest first; those of a set in any order.
    pub(super) as_path: Vec<AsNumber>,
    /// MULTI_EXIT_DISC.
    pub(super) med: Option<u32>,
    /// LOCAL_PREF of an internal neighbour.
    pub(super) local_pref: Option<u32>,
    /// COMMUNITIES.
    pub(super) communities: Vec<u32>,
    /// LARGE_COMMUNITY.
    pub(super) large: Vec<[u32; 3]>,
}

/// What is malformed in an UPDATE that does not end the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed {
    /// What, in words.
    pub(super) fault: &'static str,
    /// Whether its routes count as withdrawn; otherwise an attribute was disregarded.
    pub(super) is_withdrawn: bool,
}

/// Why an attribute is not taken.
enum Refusal {
    /// It is disregarded.
    Discard(&'static str),
    /// All routes of the message count as withdrawn.
    Withdraw(&'static str),
    /// The session ends.
    Reset(Notification),
}

/// What is collected while attributes are read.
struct Reader<'a> {
    terms: &'a Terms,
    update: Update,
    /// Types that were there.
    seen: [bool; 256],
    /// NEXT_HOP.
    next_hop: Option<Ipv4Addr>,
    /// AS4_PATH.
    as4_path: Option<Vec<AsNumber>>,
    /// Whether MP_REACH_NLRI announces anything, be it of a family that is not kept.
    has_reach: bool,
}

/// Reads the body of a message.
///
/// # Errors
/// The session must end: lengths or prefixes that cannot be read, an attribute with prefixes that is there twice, an
/// attribute that all should know and this side does not, or errors that leave in doubt whether there are prefixes.
/// Source: RFC 7606 §3, §5.
pub(super) fn read_update(body: &[u8], terms: &Terms) -> Result<Update, Notification> {
    let (withdrawn, attributes, prefixes) = parts(body).ok_or_else(|| error(1, &[]))?;
    let withdrawn = read_prefixes(Family::Ipv4, withdrawn).ok_or_else(|| error(10, &[]))?;
    let prefixes = read_prefixes(Family::Ipv4, prefixes).ok_or_else(|| error(10, &[]))?;
    let update = Update { withdrawn, ..Update::default() };
    let mut reader = Reader { terms, update, seen: [false; 256], next_hop: None, as4_path: None, has_reach: false };
    reader.attributes(Octets(attributes))?;
    reader.finish(prefixes)
}

/// Takes a body apart: withdrawn prefixes, attributes, prefixes.
fn parts(body: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let mut octets = Octets(body);
    let length = octets.u16()?;
    let withdrawn = octets.take(usize::from(length))?;
    let length = octets.u16()?;
    let attributes = octets.take(usize::from(length))?;
    Some((withdrawn, attributes, octets.0))
}

/// An error that ends the session.
fn error(subcode: u8, data: &[u8]) -> Notification {
    Notification::new(Notification::UPDATE, subcode, data)
}

impl Reader<'_> {
    /// Reads all attributes.
    fn attributes(&mut self, mut octets: Octets<'_>) -> Result<(), Notification> {
        while !octets.is_empty() {
            let start = octets.0;
            let Some((flags, kind, value)) = attribute(&mut octets) else {
                self.note(Refusal::Withdraw("an attribute is longer than all together"))?;
                break;
            };
            let whole = &start[..start.len() - octets.0.len()];
            let refused = match class_of(kind) {
                None if flags & OPTIONAL == 0 => Err(Refusal::Reset(error(2, whole))),
                None => Ok(()),
                Some(class) => self.known(flags & (OPTIONAL | TRANSITIVE) == class, kind, value),
            };
            refused.or_else(|refusal| self.note(refusal))?;
        }
        Ok(())
    }

    /// Reads an attribute that is known.
    fn known(&mut self, has_right_flags: bool, kind: u8, value: &[u8]) -> Result<(), Refusal> {
        if core::mem::replace(&mut self.seen[usize::from(kind)], true) {
            return Err(match kind {
                MP_REACH_NLRI | MP_UNREACH_NLRI => Refusal::Reset(error(1, &[])),
                _ => Refusal::Discard("an attribute is there twice"),
            });
        }
        self.value(kind, value)?;
        if has_right_flags { Ok(()) } else { Err(Refusal::Withdraw("an attribute has the wrong flags")) }
    }

    /// Reads the octets of an attribute that is there for the first time.
    fn value(&mut self, kind: u8, value: &[u8]) -> Result<(), Refusal> {
        let (is_internal, path) = (self.terms.is_internal, &mut self.update.path);
        match kind {
            ORIGIN if !matches!(value, [0..=2]) => return Err(Refusal::Withdraw("ORIGIN is no origin")),
            AS_PATH => {
                path.as_path =
                    read_path(value, self.terms.is_four_octet).ok_or(Refusal::Withdraw("AS_PATH is no path"))?;
            }
            NEXT_HOP => {
                let octets: [u8; 4] = value.try_into().map_err(|_| Refusal::Withdraw("NEXT_HOP is no address"))?;
                self.next_hop = Some(octets.into());
            }
            MULTI_EXIT_DISC => path.med = Some(number(value, "MULTI_EXIT_DISC is no number")?),
            LOCAL_PREF if is_internal => path.local_pref = Some(number(value, "LOCAL_PREF is no number")?),
            ATOMIC_AGGREGATE if !value.is_empty() => return Err(Refusal::Discard("ATOMIC_AGGREGATE has octets")),
            AGGREGATOR if value.len() != if self.terms.is_four_octet { 8 } else { 6 } => {
                return Err(Refusal::Discard("AGGREGATOR has another length"));
            }
            COMMUNITIES => {
                let octets = lists::<4>(value, "COMMUNITIES are none")?;
                path.communities = octets.iter().map(|octets| u32::from_be_bytes(*octets)).collect();
            }
            ORIGINATOR_ID if is_internal && value.len() != 4 => {
                return Err(Refusal::Withdraw("ORIGINATOR_ID is no identifier"));
            }
            CLUSTER_LIST if is_internal => drop(lists::<4>(value, "CLUSTER_LIST is no list")?),
            MP_REACH_NLRI => self.reach(value)?,
            MP_UNREACH_NLRI => self.unreach(value)?,
            EXTENDED_COMMUNITIES => drop(lists::<8>(value, "EXTENDED COMMUNITIES are none")?),
            AS4_PATH if !self.terms.is_four_octet => {
                self.as4_path = Some(read_path(value, true).ok_or(Refusal::Discard("AS4_PATH is no path"))?);
            }
            AS4_AGGREGATOR if value.len() != 8 => return Err(Refusal::Discard("AS4_AGGREGATOR has another length")),
            LARGE_COMMUNITY => path.large = lists::<12>(value, "LARGE_COMMUNITY is none")?.iter().map(large).collect(),
            ONLY_TO_CUSTOMER => drop(number(value, "the attribute OTC is no AS number")?),
            _ => {}
        }
        Ok(())
    }

    /// Reads MP_REACH_NLRI.
    fn reach(&mut self, value: &[u8]) -> Result<(), Refusal> {
        let malformed = || Refusal::Reset(error(9, &[]));
        let mut octets = Octets(value);
        let (afi, safi) = (octets.u16().ok_or_else(malformed)?, octets.u8().ok_or_else(malformed)?);
        let next_hop = octets.counted().ok_or_else(malformed)?;
        let _reserved = octets.u8().ok_or_else(malformed)?;
        self.has_reach = !octets.is_empty();
        let Some(family) = Family::from_numbers(afi, safi) else { return Ok(()) };
        let next_hop = read_next_hop(family, next_hop).ok_or_else(malformed)?;
        let prefixes = read_prefixes(family, octets.0).ok_or_else(|| Refusal::Reset(error(10, &[])))?;
        self.update.announced.push(Reach { next_hop: Some(next_hop), prefixes });
        Ok(())
    }

    /// Reads MP_UNREACH_NLRI.
    fn unreach(&mut self, value: &[u8]) -> Result<(), Refusal> {
        let malformed = || Refusal::Reset(error(9, &[]));
        let mut octets = Octets(value);
        let (afi, safi) = (octets.u16().ok_or_else(malformed)?, octets.u8().ok_or_else(malformed)?);
        let Some(family) = Family::from_numbers(afi, safi) else { return Ok(()) };
        self.update.withdrawn.extend(read_prefixes(family, octets.0).ok_or_else(malformed)?);
        Ok(())
    }

    /// Keeps the worst that was refused.
    fn note(&mut self, refusal: Refusal) -> Result<(), Notification> {
        let (fault, is_withdrawn) = match refusal {
            Refusal::Discard(fault) => (fault, false),
            Refusal::Withdraw(fault) => (fault, true),
            Refusal::Reset(notification) => return Err(notification),
        };
        if self.update.malformed.is_none_or(|worst| is_withdrawn && !worst.is_withdrawn) {
            self.update.malformed = Some(Malformed { fault, is_withdrawn });
        }
        Ok(())
    }

    /// Looks at what is missing, and puts the parts together.
    fn finish(mut self, prefixes: Vec<IpNet>) -> Result<Update, Notification> {
        let has_reach = self.has_reach || !prefixes.is_empty();
        let missing = [
            (ORIGIN, "ORIGIN is missing", true),
            (AS_PATH, "AS_PATH is missing", true),
            (NEXT_HOP, "NEXT_HOP is missing", !prefixes.is_empty()),
            (LOCAL_PREF, "LOCAL_PREF is missing", self.terms.is_internal),
        ];
        for (kind, fault, is_mandatory) in missing {
            if has_reach && is_mandatory && !self.seen[usize::from(kind)] {
                self.note(Refusal::Withdraw(fault))?;
            }
        }
        if !prefixes.is_empty() {
            self.update.announced.push(Reach { next_hop: self.next_hop.map(IpAddr::from), prefixes });
        }
        if let Some(as4_path) = self.as4_path.filter(|as4_path| as4_path.len() <= self.update.path.as_path.len()) {
            let nearest = self.update.path.as_path.len() - as4_path.len();
            self.update.path.as_path.splice(nearest.., as4_path); // RFC 6793 §4.2.3
        }
        let mut update = self.update;
        if update.malformed.is_some_and(|malformed| malformed.is_withdrawn) {
            // Where no prefix is announced, one may be what could not be read (RFC 7606 §5.2).
            if !has_reach {
                return Err(error(1, &[]));
            }
            let announced = core::mem::take(&mut update.announced);
            update.withdrawn.extend(announced.into_iter().flat_map(|reach| reach.prefixes));
        }
        update.withdrawn.retain(|prefix| self.terms.families.has(Family::of(prefix)));
        update.announced.retain(|reach| reach.prefixes.first().is_some_and(|p| self.terms.families.has(Family::of(p))));
        Ok(update)
    }
}

/// Takes one attribute off the octets: its flags, its type and its value.
fn attribute<'a>(octets: &mut Octets<'a>) -> Option<(u8, u8, &'a [u8])> {
    let (flags, kind) = (octets.u8()?, octets.u8()?);
    let length = if flags & EXTENDED_LENGTH == 0 { u16::from(octets.u8()?) } else { octets.u16()? };
    Some((flags, kind, octets.take(usize::from(length))?))
}

/// Reads a path. Segments of confederations do not belong into what comes from outside one (RFC 5065 §5).
fn read_path(value: &[u8], is_four_octet: bool) -> Option<Vec<AsNumber>> {
    let mut octets = Octets(value);
    let mut path = Vec::new();
    while !octets.is_empty() {
        let (kind, count) = (octets.u8()?, octets.u8()?);
        if !matches!(kind, AS_SET | AS_SEQUENCE) || count == 0 {
            return None;
        }
        for _ in 0..count {
            path.push(AsNumber(if is_four_octet { octets.u32()? } else { u32::from(octets.u16()?) }));
        }
    }
    Some(path)
}

/// Reads the next hop of MP_REACH_NLRI: an address of the family, or one or two of IPv6 (RFC 2545 §3, RFC 8950 §3).
fn read_next_hop(family: Family, octets: &[u8]) -> Option<IpAddr> {
    match (family, octets.len()) {
        (Family::Ipv4, 4) => Some(<[u8; 4]>::try_from(octets).ok()?.into()),
        (Family::Ipv4 | Family::Ipv6, 16 | 32) => Some(Ipv6Addr::from(*octets.first_chunk::<16>()?).into()),
        _ => None,
    }
}

/// Reads a number of four octets.
fn number(value: &[u8], fault: &'static str) -> Result<u32, Refusal> {
    value.try_into().map(u32::from_be_bytes).map_err(|_| Refusal::Withdraw(fault))
}

/// Reads a list, not an empty one, of entries of so many octets.
fn lists<const N: usize>(value: &[u8], fault: &'static str) -> Result<Vec<[u8; N]>, Refusal> {
    let (entries, rest) = value.as_chunks::<N>();
    if entries.is_empty() || !rest.is_empty() { Err(Refusal::Withdraw(fault)) } else { Ok(entries.to_vec()) }
}

/// Reads a large community.
fn large(octets: &[u8; 12]) -> [u32; 3] {
    let (numbers, _) = octets.as_chunks::<4>();
    [0, 1, 2].map(|index| numbers.get(index).map_or(0, |octets| u32::from_be_bytes(*octets)))
}
