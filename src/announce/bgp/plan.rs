//! What is decided about addresses → what each neighbour is to be told of prefixes. Pure.

use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;

use super::settings::{NeighborSettings, Service};
use crate::bgp::{AsNumber, Attributes, NextHop, Route};
use crate::policy::{Decision, Reason, Stance};

/// A prefix that is announced, and the addresses that it stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Prefix {
    /// The prefix.
    pub(super) net: IpNet,
    /// Its addresses, by their place among all.
    pub(super) addresses: Vec<usize>,
}

/// The prefixes of all services, whose addresses count through.
pub(super) fn prefixes(services: &[Service]) -> Vec<Prefix> {
    let mut prefixes: Vec<Prefix> = Vec::new();
    let mut index = 0;
    for service in services {
        for address in &service.addresses {
            let covering = service.announce.iter().find(|net| net.contains(address));
            let net = covering.copied().unwrap_or_else(|| IpNet::from(*address));
            match prefixes.iter_mut().find(|prefix| prefix.net == net) {
                Some(prefix) => prefix.addresses.push(index),
                None => prefixes.push(Prefix { net, addresses: vec![index] }),
            }
            index += 1;
        }
    }
    prefixes
}

impl Prefix {
    /// What is to be done about the prefix: the best that is decided about one of its addresses.
    pub(super) fn decision(&self, decisions: &[Decision]) -> Decision {
        let each = self.addresses.iter().filter_map(|index| decisions.get(*index)).copied();
        each.min_by_key(|decision| decision.stance).unwrap_or(Decision::STARTING)
    }

    /// When it was last proven that one of its addresses, which is to be announced, is answered.
    pub(super) fn proven(&self, decisions: &[Decision], proofs: &[Option<Duration>]) -> Option<Duration> {
        let is_wanted = |index: &&usize| decisions.get(**index).is_some_and(|one| one.stance != Stance::Withdraw);
        self.addresses.iter().filter(is_wanted).filter_map(|index| proofs.get(*index).copied().flatten()).max()
    }
}

/// What a neighbour is to be told: a route for each prefix, in their order.
pub(super) fn routes(
    neighbor: &NeighborSettings,
    reason_community: Option<u32>,
    prefixes: &[Prefix],
    decisions: &[Decision],
) -> Vec<Route> {
    let route = |prefix: &Prefix| {
        let decision = prefix.decision(decisions);
        let is_told = if prefix.net.addr().is_ipv4() { neighbor.families.ipv4 } else { neighbor.families.ipv6 };
        let wanted = is_told.then(|| attributes(neighbor, reason_community, prefix.net, decision)).flatten();
        Route { prefix: prefix.net, wanted, proven: None }
    };
    prefixes.iter().map(route).collect()
}

/// What the route of a prefix carries; nothing where it is not to be announced.
fn attributes(
    neighbor: &NeighborSettings,
    reason_community: Option<u32>,
    net: IpNet,
    decision: Decision,
) -> Option<Attributes> {
    let mut attributes = match decision.stance {
        Stance::Announce => neighbor.announced.clone(),
        Stance::Degrade => neighbor.degraded.clone(),
        Stance::Withdraw => return None,
    };
    if let Some(function) = reason_community.filter(|_| decision.stance == Stance::Degrade) {
        let AsNumber(local_as) = neighbor.local_as;
        attributes.large.push([local_as, function, reason_number(decision.reason)]);
    }
    let configured: Option<IpAddr> =
        if net.addr().is_ipv4() { neighbor.next_hop_v4.map(Into::into) } else { neighbor.next_hop_v6.map(Into::into) };
    attributes.next_hop = configured.map_or(NextHop::Session, NextHop::Address);
    Some(attributes)
}

/// The number that stands for a reason in a large community. It stays the same from version to version.
fn reason_number(reason: Reason) -> u32 {
    match reason {
        Reason::Starting => 1,
        Reason::Resumed => 2,
        Reason::Proven => 3,
        Reason::Rising { .. } => 4,
        Reason::LastSite => 7,
        Reason::HoldDown { .. } => 5,
        Reason::ZonesAwaited { .. } => 6,
        Reason::Drained => 10,
        Reason::Stopping => 11,
        Reason::TooFewWorkers { .. } => 20,
        Reason::WrongAnswer { .. } => 21,
        Reason::NoZone => 22,
        Reason::TcpDead => 23,
        Reason::Unproven => 24,
        Reason::PathFault => 30,
        Reason::PathBlocked => 31,
        Reason::Overload => 32,
        Reason::Shared(crate::policy::SharedFault::Zone) => 40,
        Reason::Shared(crate::policy::SharedFault::Expired) => 41,
        Reason::Shared(crate::policy::SharedFault::Primary) => 42,
    }
}
