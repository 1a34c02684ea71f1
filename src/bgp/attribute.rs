//! The numbers and flags of path attributes (RFC 4271 §4.3 and the registry).

/// ORIGIN: who brought the route into BGP.
pub(super) const ORIGIN: u8 = 1;
/// AS_PATH: the systems that it came through.
pub(super) const AS_PATH: u8 = 2;
/// NEXT_HOP: where it leads, for IPv4.
pub(super) const NEXT_HOP: u8 = 3;
/// MULTI_EXIT_DISC: which of several ways into a system is the better one.
pub(super) const MULTI_EXIT_DISC: u8 = 4;
/// LOCAL_PREF: how much a system likes the route.
pub(super) const LOCAL_PREF: u8 = 5;
/// ATOMIC_AGGREGATE: some of it is left out.
pub(super) const ATOMIC_AGGREGATE: u8 = 6;
/// AGGREGATOR: who left it out.
pub(super) const AGGREGATOR: u8 = 7;
/// COMMUNITIES (RFC 1997).
pub(super) const COMMUNITIES: u8 = 8;
/// ORIGINATOR_ID: where it came from within a system (RFC 4456).
pub(super) const ORIGINATOR_ID: u8 = 9;
/// CLUSTER_LIST: the reflectors that it came through (RFC 4456).
pub(super) const CLUSTER_LIST: u8 = 10;
/// MP_REACH_NLRI: announced prefixes of any family with their next hop (RFC 4760).
pub(super) const MP_REACH_NLRI: u8 = 14;
/// MP_UNREACH_NLRI: withdrawn prefixes of any family (RFC 4760).
pub(super) const MP_UNREACH_NLRI: u8 = 15;
/// EXTENDED COMMUNITIES (RFC 4360).
pub(super) const EXTENDED_COMMUNITIES: u8 = 16;
/// AS4_PATH: AS_PATH for those beyond a neighbour with numbers of two octets (RFC 6793).
pub(super) const AS4_PATH: u8 = 17;
/// AS4_AGGREGATOR: the same for AGGREGATOR.
pub(super) const AS4_AGGREGATOR: u8 = 18;
/// LARGE_COMMUNITY (RFC 8092).
pub(super) const LARGE_COMMUNITY: u8 = 32;
/// Only to Customer: whose customers a route is for (RFC 9234).
pub(super) const ONLY_TO_CUSTOMER: u8 = 35;

/// The attribute may be unknown to others.
pub(super) const OPTIONAL: u8 = 0x80;
/// It is passed on.
pub(super) const TRANSITIVE: u8 = 0x40;
/// Its length has two octets.
pub(super) const EXTENDED_LENGTH: u8 = 0x10;

/// A segment of a path whose systems are in no order.
pub(super) const AS_SET: u8 = 1;
/// A segment of a path, nearest system first.
pub(super) const AS_SEQUENCE: u8 = 2;

/// Returns the two upper flags that an attribute must have; `None` for one that is not known.
pub(super) fn class_of(kind: u8) -> Option<u8> {
    Some(match kind {
        ORIGIN | AS_PATH | NEXT_HOP | LOCAL_PREF | ATOMIC_AGGREGATE => TRANSITIVE,
        MULTI_EXIT_DISC | ORIGINATOR_ID | CLUSTER_LIST | MP_REACH_NLRI | MP_UNREACH_NLRI => OPTIONAL,
        AGGREGATOR | COMMUNITIES | EXTENDED_COMMUNITIES | AS4_PATH | AS4_AGGREGATOR | LARGE_COMMUNITY
        | ONLY_TO_CUSTOMER => OPTIONAL | TRANSITIVE,
        _ => return None,
    })
}
