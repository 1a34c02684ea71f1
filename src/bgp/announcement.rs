//! UPDATEs that are written: announcements and withdrawals, as many messages as they need (RFC 4271 §4.3, RFC 4760).
//!
//! IPv4 with an IPv4 next hop has the fields of RFC 4271, everything else MP_REACH_NLRI, which stands first (RFC 7606
//! §5.1). Withdrawn IPv4 prefixes have the field of RFC 4271 whatever their next hop was.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use super::attribute::*;
use super::message::{HEADER_BYTES, Kind, MESSAGE_BYTES_MAX, write_message};
use super::prefix::{PREFIX_BYTES_MAX, write_prefix};
use super::terms::Terms;
use super::{AsNumber, Attributes, Family, family};

/// A next hop as it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SentNextHop {
    /// The address. IPv6 for IPv6 prefixes.
    pub(super) address: IpAddr,
    /// The link-local address that follows a global one (RFC 2545 §3).
    pub(super) link_local: Option<Ipv6Addr>,
}

/// Octets of a body that are there without attributes and prefixes: two lengths.
const LENGTHS_BYTES: usize = 4;
/// The most octets of an attribute's flags, type and length.
const ATTRIBUTE_HEADER_BYTES_MAX: usize = 4;
/// The most octets of MP_REACH_NLRI in front of its prefixes: AFI, SAFI, the next hop's length, two of them, reserved.
const REACH_BYTES_MAX: usize = 2 + 1 + 1 + 32 + 1;
/// The most AS numbers of a segment.
const SEGMENT_NUMBERS_MAX: usize = 255;
/// What prefixes have for themselves in the body of any message.
const ROOM_BYTES: usize = MESSAGE_BYTES_MAX - HEADER_BYTES - LENGTHS_BYTES - ATTRIBUTE_HEADER_BYTES_MAX;

/// Whether attributes leave room for prefixes in a message.
pub(super) fn fits(attributes: &Attributes, terms: &Terms) -> bool {
    room(&write_attributes(attributes, Ipv4Addr::UNSPECIFIED.into(), true, terms)) >= PREFIX_BYTES_MAX
}

/// What is left for prefixes beside attributes.
fn room(attributes: &[u8]) -> usize {
    ROOM_BYTES.saturating_sub(attributes.len() + REACH_BYTES_MAX)
}

/// Returns messages that announce prefixes of one family, with attributes that [`fits`] has said yes to.
pub(super) fn write_announcements(
    prefixes: &[IpNet],
    next_hop: SentNextHop,
    attributes: &Attributes,
    terms: &Terms,
) -> Vec<Vec<u8>> {
    let family = prefixes.first().map_or(Family::Ipv4, Family::of);
    let is_plain = family == Family::Ipv4 && next_hop.address.is_ipv4();
    let shared = write_attributes(attributes, next_hop.address, is_plain, terms);
    let message = |octets: Vec<u8>| {
        if is_plain {
            return write_update(&[], &shared, &octets);
        }
        let mut reach = [&family.afi().to_be_bytes()[..], &[family::SAFI_UNICAST]].concat();
        let addresses = [octets_of(next_hop.address), next_hop.link_local.map_or(vec![], |hop| hop.octets().to_vec())];
        let addresses = addresses.concat();
        reach.push(addresses.len() as u8); // At most 32.
        reach.extend(addresses);
        reach.push(0);
        reach.extend(octets);
        let mut all = Vec::new();
        write_attribute(OPTIONAL, MP_REACH_NLRI, &reach, &mut all);
        all.extend_from_slice(&shared);
        write_update(&[], &all, &[])
    };
    chunks(prefixes, room(&shared)).into_iter().map(message).collect()
}

/// Returns messages that withdraw prefixes of one family.
pub(super) fn write_withdrawals(prefixes: &[IpNet]) -> Vec<Vec<u8>> {
    let message = |octets: Vec<u8>| match prefixes.first().map(Family::of) {
        Some(Family::Ipv4) | None => write_update(&octets, &[], &[]),
        Some(family @ Family::Ipv6) => {
            let unreach = [&family.afi().to_be_bytes()[..], &[family::SAFI_UNICAST], &octets].concat();
            let mut attributes = Vec::new();
            write_attribute(OPTIONAL, MP_UNREACH_NLRI, &unreach, &mut attributes);
            write_update(&[], &attributes, &[])
        }
    };
    chunks(prefixes, ROOM_BYTES - 3).into_iter().map(message).collect()
}

/// Returns the octets of prefixes in parts that are not longer than `room`, which has place for one at least.
fn chunks(prefixes: &[IpNet], room: usize) -> Vec<Vec<u8>> {
    let mut chunks = Vec::new();
    let mut chunk = Vec::new();
    for prefix in prefixes {
        if chunk.len() + PREFIX_BYTES_MAX > room {
            chunks.push(core::mem::take(&mut chunk));
        }
        write_prefix(prefix, &mut chunk);
    }
    chunks.push(chunk);
    chunks.retain(|chunk| !chunk.is_empty());
    chunks
}

/// Returns an UPDATE of its three parts, which fit into a message.
fn write_update(withdrawn: &[u8], attributes: &[u8], prefixes: &[u8]) -> Vec<u8> {
    let length = |part: &[u8]| (part.len() as u16).to_be_bytes();
    let body = [&length(withdrawn)[..], withdrawn, &length(attributes), attributes, prefixes].concat();
    write_message(Kind::Update, &body)
}

/// Returns the attributes in the order of their types, NEXT_HOP among them where `is_plain`.
fn write_attributes(attributes: &Attributes, next_hop: IpAddr, is_plain: bool, terms: &Terms) -> Vec<u8> {
    let mut out = Vec::new();
    let path_length = if terms.is_internal { 0 } else { usize::from(attributes.prepend) + 1 };
    let path = vec![terms.local_as; path_length];
    write_attribute(TRANSITIVE, ORIGIN, &[0], &mut out); // IGP.
    write_attribute(TRANSITIVE, AS_PATH, &write_path(&path, terms.is_four_octet), &mut out);
    if is_plain {
        write_attribute(TRANSITIVE, NEXT_HOP, &octets_of(next_hop), &mut out);
    }
    if let Some(med) = attributes.med {
        write_attribute(OPTIONAL, MULTI_EXIT_DISC, &med.to_be_bytes(), &mut out);
    }
    if terms.is_internal {
        write_attribute(TRANSITIVE, LOCAL_PREF, &attributes.local_pref.to_be_bytes(), &mut out);
    }
    let mut list = |kind, value: Vec<u8>| {
        if !value.is_empty() {
            write_attribute(OPTIONAL | TRANSITIVE, kind, &value, &mut out);
        }
    };
    list(COMMUNITIES, attributes.communities.iter().flat_map(|community| community.to_be_bytes()).collect());
    list(EXTENDED_COMMUNITIES, attributes.extended.concat());
    if !terms.is_four_octet && u32::from(terms.local_as.two_octets()) != terms.local_as.0 {
        list(AS4_PATH, write_path(&path, true));
    }
    list(LARGE_COMMUNITY, attributes.large.iter().flatten().flat_map(|part| part.to_be_bytes()).collect());
    if terms.marks_routes && !terms.is_internal {
        list(ONLY_TO_CUSTOMER, terms.local_as.0.to_be_bytes().to_vec());
    }
    out
}

/// Returns a path of one sequence, in as many segments as it needs.
fn write_path(path: &[AsNumber], is_four_octet: bool) -> Vec<u8> {
    let mut out = Vec::new();
    for segment in path.chunks(SEGMENT_NUMBERS_MAX) {
        out.extend([AS_SEQUENCE, segment.len() as u8]);
        for number in segment {
            if is_four_octet {
                out.extend(number.0.to_be_bytes());
            } else {
                out.extend(number.two_octets().to_be_bytes());
            }
        }
    }
    out
}

/// Writes an attribute; its length takes two octets only where it must (RFC 4271 §4.3).
fn write_attribute(flags: u8, kind: u8, value: &[u8], out: &mut Vec<u8>) {
    match u8::try_from(value.len()) {
        Ok(length) => out.extend([flags, kind, length]),
        Err(_) => {
            let [high, low] = (value.len() as u16).to_be_bytes(); // What does not fit into a message is not sent.
            out.extend([flags | EXTENDED_LENGTH, kind, high, low]);
        }
    }
    out.extend_from_slice(value);
}

/// Returns the octets of an address.
fn octets_of(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}
