//! What is wanted × what the kernel has → what is to be done. Pure; the same input gives the same actions, and what
//! they lead to gives none.
//!
//! Knows neither netlink nor time: whoever calls says how old the last proof is and whether a renewal is due.

use core::net::IpAddr;
use core::time::Duration;

use ipnet::IpNet;

use super::KernelRoute;
use crate::policy::Stance;

/// Which device something stands on or goes over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Device {
    /// The one that carries the service addresses while they are announced.
    Announcing,
    /// The one that the local routes name: the second tun, or `lo`.
    Receiving,
}

/// A device as the kernel has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Link {
    /// There is none of that index.
    Gone,
    /// It is there, but carries nothing.
    Down,
    /// It works.
    Up,
}

/// What kind of route it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// Packets for it are taken by this host.
    Local,
    /// Packets for it go out over the device.
    Unicast,
}

/// A route that carries our protocol number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Route {
    /// Where it leads to, host bits zero.
    pub(super) prefix: IpNet,
    /// The table's number.
    pub(super) table: u32,
    /// Less is preferred. For IPv6 never 0, which the kernel would replace by its default.
    pub(super) metric: u32,
    /// Taken or sent.
    pub(super) kind: Kind,
    /// The device that it names.
    pub(super) device: Device,
}

/// What the kernel has, as far as it is our business.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Kernel {
    /// The announcing device.
    pub(super) announcing: Link,
    /// The receiving device.
    pub(super) receiving: Link,
    /// The addresses on the announcing device, with their prefix lengths.
    pub(super) addresses: Vec<IpNet>,
    /// The routes over our devices that carry our protocol number.
    pub(super) routes: Vec<Route>,
}

impl Kernel {
    /// Returns whether the address stands as it is wanted.
    pub(super) fn has(&self, address: IpNet) -> bool {
        self.addresses.contains(&address)
    }
}

/// How old the last proof of an address is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Freshness {
    /// Young enough to pay for an announcement or a renewal.
    Fresh,
    /// Too old for that; what stands may stand until its lease runs out.
    Stale,
    /// So old that the address must not stand any more, lease or not. Also: there was none.
    Lapsed,
}

/// What is wanted of one service address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    /// What policy says.
    pub(super) stance: Stance,
    /// How old its last proof is.
    pub(super) freshness: Freshness,
    /// Whether its lease was last renewed long enough ago.
    pub(super) is_renewal_due: bool,
}

/// What stays the same for as long as the driver runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    /// The service addresses as they stand while announced: with /32 or /128, or the length of a covering prefix.
    pub(super) stands: Vec<IpNet>,
    /// The routes that are there from start to close: one `local` per address, and the probe sources'.
    pub(super) standing_routes: Vec<Route>,
    /// The kernel route for each announced prefix, if asked for.
    pub(super) kernel_route: Option<KernelRoute>,
    /// Whether the devices are ours, so that we may set them up.
    pub(super) is_tun: bool,
}

/// One change of the kernel's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Sets one of our devices up.
    Up(Device),
    /// Adds a route beside what others have there.
    PutRoute(Route),
    /// Removes a route.
    RemoveRoute(Route),
    /// Adds a service address, or renews its lease.
    PutAddress {
        /// Its place in the configuration.
        index: usize,
        /// The address with the prefix length that it stands with.
        net: IpNet,
        /// Whether it stands already.
        is_renewal: bool,
    },
    /// Removes a service address.
    RemoveAddress {
        /// Its place in the configuration.
        index: usize,
        /// The address with the prefix length that it stands with.
        net: IpNet,
    },
}

impl Layout {
    /// Lays out the routes for `addresses`, which all have full prefix lengths. `probe_sources` are there with a tun.
    pub(super) fn new(
        addresses: &[IpNet],
        announce: &[IpNet],
        kernel_route: Option<KernelRoute>,
        probe_sources: Option<&[IpAddr]>,
    ) -> Self {
        let mut standing_routes: Vec<Route> = addresses
            .iter()
            .map(|address| Route {
                prefix: address.trunc(),
                table: TABLE_LOCAL,
                metric: standing_metric(*address),
                kind: Kind::Local,
                device: Device::Receiving,
            })
            .collect();
        let probes = probe_sources.into_iter().flatten().map(|source| IpNet::from(*source));
        let is_needed = |probe: &IpNet| addresses.iter().any(|address| is_same_family(*address, *probe));
        standing_routes.extend(probes.filter(is_needed).map(|prefix| Route {
            prefix,
            // It is looked at before any rule of the operator's: a rule for what comes from a service address must not
            // lead the replies to probes elsewhere.
            table: TABLE_LOCAL,
            metric: standing_metric(prefix),
            kind: Kind::Unicast,
            device: Device::Receiving,
        }));
        let stands = addresses.iter().map(|address| stands_as(*address, announce)).collect();
        Self { stands, standing_routes, kernel_route, is_tun: probe_sources.is_some() }
    }

    /// Says what is to be done, in this order. Nothing is to be done once the kernel has what is wanted.
    ///
    /// `wanted` has one entry for each service address. What goes is removed before anything is added, so that a slow
    /// addition holds up no withdrawal; only a kernel route is put in its new shape before the old one goes.
    pub(super) fn plan(&self, wanted: &[Wanted], kernel: &Kernel) -> Vec<Action> {
        let ups = [(Device::Announcing, kernel.announcing), (Device::Receiving, kernel.receiving)];
        let mut actions: Vec<Action> = ups
            .into_iter()
            .filter(|(_, link)| self.is_tun && *link == Link::Down)
            .map(|(device, _)| Action::Up(device))
            .collect();
        let keeps: Vec<bool> =
            self.stands.iter().zip(wanted).map(|(net, want)| kernel.has(*net) && keeps(want)).collect();
        let routes = self.kernel_routes(wanted, &keeps);
        let missing = routes.iter().filter(|route| !kernel.routes.contains(route));
        actions.extend(missing.map(|route| Action::PutRoute(*route)));
        // On a device that is not ours alone, another process of ours may have routes. Ours from an earlier run were
        // purged at the start.
        let goes = |route: &&Route| self.is_tun && !self.standing_routes.contains(route) && !routes.contains(route);
        actions.extend(kernel.routes.iter().filter(goes).map(|route| Action::RemoveRoute(*route)));
        self.plan_addresses(wanted, kernel, &mut actions);
        actions
    }

    /// Adds what is to be done about the addresses and the routes that are always there.
    fn plan_addresses(&self, wanted: &[Wanted], kernel: &Kernel, actions: &mut Vec<Action>) {
        for (index, (net, want)) in self.stands.iter().zip(wanted).enumerate() {
            // The same address with another prefix length is not what is wanted, whoever put it there.
            let is_other = |other: &&IpNet| other.addr() == net.addr() && *other != net;
            let others = kernel.addresses.iter().filter(is_other);
            actions.extend(others.map(|other| Action::RemoveAddress { index, net: *other }));
            if kernel.has(*net) && !keeps(want) {
                actions.push(Action::RemoveAddress { index, net: *net });
            }
        }
        let missing = self.standing_routes.iter().filter(|route| !kernel.routes.contains(route));
        actions.extend(missing.map(|route| Action::PutRoute(*route)));
        for (index, (net, want)) in self.stands.iter().zip(wanted).enumerate() {
            let stands = kernel.has(*net);
            let is_payable = keeps(want) && want.freshness == Freshness::Fresh;
            if is_payable && (!stands || want.is_renewal_due) {
                actions.push(Action::PutAddress { index, net: *net, is_renewal: stands });
            }
        }
    }

    /// The kernel routes that are wanted now: one for each prefix with an address that stands and is to stay.
    fn kernel_routes(&self, wanted: &[Wanted], keeps: &[bool]) -> Vec<Route> {
        let Some(asked) = self.kernel_route else { return Vec::new() };
        let mut routes: Vec<Route> = Vec::new();
        for net in &self.stands {
            let all = self.stands.iter().zip(wanted).zip(keeps);
            let of_prefix = all.filter(|((other, _), keeps)| **keeps && other.trunc() == net.trunc());
            let Some(best) = of_prefix.map(|((_, want), _)| want.stance).min() else { continue };
            let raised = if best == Stance::Announce { 0 } else { DEGRADED_METRIC };
            let route = Route {
                prefix: net.trunc(),
                table: asked.table,
                // For IPv6 the kernel takes 0 as its default.
                metric: asked.metric.saturating_add(raised).max(u32::from(net.addr().is_ipv6())),
                kind: Kind::Unicast,
                device: Device::Announcing,
            };
            if !routes.contains(&route) {
                routes.push(route);
            }
        }
        routes
    }
}

/// Whether an address that stands may go on standing.
fn keeps(want: &Wanted) -> bool {
    match want.stance {
        Stance::Announce | Stance::Degrade => want.freshness != Freshness::Lapsed,
        Stance::Withdraw => false,
    }
}

/// How a service address stands while it is announced: with the longest covering prefix's length, or its own.
pub(super) fn stands_as(address: IpNet, announce: &[IpNet]) -> IpNet {
    let covering = announce.iter().filter(|prefix| prefix.contains(&address)).map(IpNet::prefix_len).max();
    let length = covering.unwrap_or(address.prefix_len());
    // The length comes from a prefix of the same family, so it is in range.
    IpNet::new(address.addr(), length).unwrap_or(address)
}

/// How old the last proof is in terms of what it can pay for: up to `age_max` a renewal, up to `lapses` nothing new.
pub(super) fn freshness(age: Option<Duration>, age_max: Duration, lapses: Duration) -> Freshness {
    match age {
        Some(age) if age <= age_max => Freshness::Fresh,
        Some(age) if age <= lapses => Freshness::Stale,
        Some(_) | None => Freshness::Lapsed,
    }
}

/// Whether both are IPv4, or both IPv6.
pub(super) fn is_same_family(one: IpNet, other: IpNet) -> bool {
    one.addr().is_ipv4() == other.addr().is_ipv4()
}

/// The metric of the routes that are always there: none for IPv4, the kernel's usual one for IPv6, which takes no 0.
fn standing_metric(net: IpNet) -> u32 {
    if net.addr().is_ipv4() { 0 } else { STANDING_METRIC_V6 }
}

/// How much a degraded kernel route's metric is raised.
pub const DEGRADED_METRIC: u32 = 1000;
/// Where the lease is off, an address whose last proof is older must not stand. With a lease it is the lease.
pub const PROOF_LAPSES: Duration = Duration::from_secs(1);
/// Where probes come from in tests.
#[cfg(test)]
pub(super) const SOURCES: [IpAddr; 2] = [
    IpAddr::V4(core::net::Ipv4Addr::new(192, 0, 0, 100)),
    IpAddr::V6(core::net::Ipv6Addr::new(0x100, 0, 0, 0, 0, 0, 0, 0x64)),
];
/// The table of what this host takes (`RT_TABLE_LOCAL`).
pub(super) const TABLE_LOCAL: u32 = 255;
/// What the kernel gives IPv6 routes that name no metric (`IP6_RT_PRIO_USER`).
const STANDING_METRIC_V6: u32 = 1024;

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
