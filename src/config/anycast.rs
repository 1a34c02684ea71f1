//! What the operator wants of the anycast addresses: plain values, checked, with nothing left open.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroUsize;
use std::time::Duration;

use ipnet::IpNet;

use super::PORT_DEFAULT;
use crate::announce::kernel::KernelRoute;
use crate::health::Sources;
use crate::policy::Reaction;

/// The device that is made where none is named.
pub const INTERFACE_DEFAULT: &str = "fated0";

/// `[anycast]`: addresses that are announced for as long as they are answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anycast {
    /// The service addresses: bound, answered and announced; 1 to [`ADDRESSES_MAX`](crate::announce::kernel::ADDRESSES_MAX), none of them twice.
    pub addresses: Vec<IpAddr>,
    /// Covering prefixes that are announced instead of the addresses in them; each address is in one at most.
    pub announce: Vec<IpNet>,
    /// The device that carries the addresses: one that exists, such as `lo`, or a tun device to be made.
    ///
    /// A name that begins with `fated` is that of a tun device of our own; any other device must exist.
    pub interface: String,
    /// How long the kernel keeps an address that nobody renews, in whole seconds; `None` for ever, which is only
    /// allowed on a tun device of our own.
    pub lease: Option<Duration>,
    /// How long what still comes is answered after the withdrawal, before the sockets are closed.
    pub drain: Duration,
    /// `[anycast.kernel-route]`: a kernel route for each prefix, over a tun device of our own. The table is neither 0 nor 255,
    /// which is the kernel's table of local addresses; the metric is at least 1.
    pub kernel_route: Option<KernelRoute>,
    /// How it is found out whether the node answers.
    pub health: Health,
    /// Whether everything is done but the announcing, which is only logged (`--dry-run`).
    pub is_dry_run: bool,
}

/// `[anycast.health]`: how it is found out whether the node answers, and what follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Health {
    /// From one round of canaries to the next.
    pub interval: Duration,
    /// How long a reply to a canary may take.
    pub timeout: Duration,
    /// So many bad rounds in a row withdraw.
    pub fall: u32,
    /// So many good rounds in a row announce.
    pub rise: u32,
    /// So many workers must answer; never more than there are.
    pub workers_min: NonZeroUsize,
    /// What is done when queries are dropped because there are too many.
    pub on_overload: Reaction,
    /// What is done about a fault that other sites are likely to have too.
    pub on_shared_fault: Reaction,
    /// What is done where probes don't come through and nothing shows that clients don't either.
    pub on_path_fault: Reaction,
    /// Where probes come from over a tun device of our own.
    pub sources: Sources,
}

impl Anycast {
    /// The addresses with the port on which they are answered.
    pub fn sockets(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        self.addresses.iter().map(|address| SocketAddr::new(*address, PORT_DEFAULT))
    }

    /// What is announced for an address: the covering prefix that holds it, or the address alone.
    #[must_use]
    pub fn prefix_of(&self, address: IpAddr) -> IpNet {
        self.announce.iter().copied().find(|prefix| prefix.contains(&address)).unwrap_or_else(|| address.into())
    }
}
