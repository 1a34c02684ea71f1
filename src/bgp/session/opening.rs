//! The OPENs of both sides: what this one offers, and what follows from the other's (RFC 4271 §6.2).

use core::time::Duration;

use super::super::capability::Capability;
use super::super::open::Open;
use super::super::terms::Terms;
use super::super::{Agreed, Families, Family, Link, Notification, PeerOpen, Role, SessionSettings};

/// The shortest hold time that is taken, in seconds. None at all, which RFC 4271 allows, would keep the routes of a
/// frozen node.
const HOLD_SECONDS_MIN: u16 = 3;
/// KEEPALIVEs for each hold time (RFC 4271 §4.4).
const KEEPALIVES: u32 = 3;

/// Why the neighbour's OPEN is refused: for it, and in words.
pub(super) type Refusal = (Notification, String);

/// Returns this side's OPEN.
pub(super) fn offer(settings: &SessionSettings, link: &Link) -> Open {
    let families = Family::ALL.into_iter().filter(|family| settings.families.has(*family));
    let mut capabilities: Vec<Capability> = families.map(Capability::family).collect();
    capabilities.push(Capability::RouteRefresh);
    if is_extended_next_hop_offered(settings, link) {
        capabilities.push(Capability::ipv4_over_ipv6());
    }
    capabilities.extend(role(settings).map(|role| Capability::Role(role.number())));
    capabilities.push(Capability::FourOctetAs(settings.local_as));
    capabilities.push(Capability::EnhancedRefresh);
    let hold_time = u16::try_from(settings.hold_time.as_secs()).unwrap_or(u16::MAX);
    Open { as_field: settings.local_as.two_octets(), hold_time, router_id: settings.router_id, capabilities }
}

/// Returns what both sides agree on.
///
/// # Errors
/// The neighbour is another one than is configured, or wants what this side can't give.
pub(super) fn agree(settings: &SessionSettings, link: &Link, open: &Open) -> Result<(PeerOpen, Agreed), Refusal> {
    let refuse = |subcode, data: &[u8], why| Err((Notification::new(Notification::OPEN, subcode, data), why));
    let speaker = open.speaker();
    if speaker != settings.peer_as {
        let configured = settings.peer_as;
        return refuse(
            2,
            &[],
            format!("the neighbour says that it is AS {speaker}, and AS {configured} is configured"),
        );
    }
    let router_id = open.router_id;
    if router_id.is_unspecified() || (settings.is_internal() && router_id == settings.router_id) {
        return refuse(3, &[], format!("the neighbour's BGP identifier is {router_id}, this side's or nobody's"));
    }
    if open.hold_time < HOLD_SECONDS_MIN {
        let offered = open.hold_time;
        return refuse(
            6,
            &[],
            format!("the neighbour offers a hold time of {offered} s, and {HOLD_SECONDS_MIN} is least"),
        );
    }
    let their_role = agree_on_role(settings, open)?;
    let families = settings.families.both(families_of(open));
    if families == Families::NONE {
        let (ours, theirs) = (settings.families, families_of(open));
        let mut wanted = Vec::new();
        Family::ALL.into_iter().filter(|f| ours.has(*f)).for_each(|f| Capability::family(f).write(&mut wanted));
        return refuse(7, &wanted, format!("the neighbour has {theirs} in this session, and this side {ours}"));
    }
    let offered = Duration::from_secs(open.hold_time.into());
    let hold_time = offered.min(settings.hold_time);
    let mut codes: Vec<u8> = Vec::new();
    for code in open.capabilities.iter().map(Capability::code) {
        if !codes.contains(&code) {
            codes.push(code);
        }
    }
    let peer = PeerOpen { as_number: speaker, router_id, hold_time: offered, role: their_role, capabilities: codes };
    let is_four_octet = open.capabilities.iter().any(|capability| matches!(capability, Capability::FourOctetAs(_)));
    let takes_extended = open.capabilities.iter().any(Capability::has_ipv4_over_ipv6);
    let agreed = Agreed {
        hold_time,
        keepalive: hold_time / KEEPALIVES,
        families,
        is_four_octet,
        is_extended_next_hop: takes_extended && is_extended_next_hop_offered(settings, link),
        is_enhanced_refresh: open.has(&Capability::EnhancedRefresh),
    };
    Ok((peer, agreed))
}

/// Returns what the octets of UPDATEs depend on.
pub(super) fn terms(settings: &SessionSettings, agreed: &Agreed) -> Terms {
    Terms {
        local_as: settings.local_as,
        is_internal: settings.is_internal(),
        is_four_octet: agreed.is_four_octet,
        families: agreed.families,
        marks_routes: role(settings).is_some_and(Role::marks_routes),
    }
}

/// This side's role, which it has where the session is external (RFC 9234 §4).
fn role(settings: &SessionSettings) -> Option<Role> {
    settings.role.filter(|_| !settings.is_internal())
}

/// Whether IPv4 with an IPv6 next hop is offered: where the session is over IPv6.
fn is_extended_next_hop_offered(settings: &SessionSettings, link: &Link) -> bool {
    settings.families.ipv4 && link.peer.is_ipv6()
}

/// The families that an OPEN offers; IPv4 where it says nothing of families (RFC 4760 §8).
fn families_of(open: &Open) -> Families {
    let mut families = Families::NONE;
    let mut is_silent = true;
    for capability in &open.capabilities {
        if let Capability::Multiprotocol(afi, safi) = capability {
            is_silent = false;
            Family::from_numbers(*afi, *safi).into_iter().for_each(|family| families.insert(family));
        }
    }
    if is_silent { Families { ipv4: true, ipv6: false } } else { families }
}

/// Returns the neighbour's role, if it names one and the two fit (RFC 9234 §4.2).
fn agree_on_role(settings: &SessionSettings, open: &Open) -> Result<Option<Role>, Refusal> {
    let numbers = open.capabilities.iter().filter_map(|capability| match capability {
        Capability::Role(number) => Some(*number),
        _ => None,
    });
    let numbers: Vec<u8> = numbers.collect();
    let theirs = numbers.first().copied().and_then(Role::from_number);
    let Some(ours) = role(settings) else { return Ok(theirs) };
    let refuse = |why| Err((Notification::new(Notification::OPEN, 11, &[]), why));
    match (numbers.first(), theirs) {
        (None, _) if settings.is_role_strict => {
            refuse(format!("the neighbour names no role, and this side is its {ours} and strict"))
        }
        (None, _) => Ok(None),
        (Some(first), _) if numbers.iter().any(|number| number != first) => {
            refuse("the neighbour names several roles".to_owned())
        }
        (Some(_), Some(theirs)) if theirs == ours.opposite() => Ok(Some(theirs)),
        (Some(_), Some(theirs)) => refuse(format!("the neighbour says {theirs}, and this side is its {ours}")),
        (Some(number), None) => refuse(format!("the neighbour names a role that nobody knows, number {number}")),
    }
}
