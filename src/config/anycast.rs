//! What the operator wants of the anycast addresses: plain values, checked, with nothing left open.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroUsize;
use std::time::Duration;

use ipnet::IpNet;

use super::PORT_DEFAULT;
use crate::health::Sources;

/// The device that is made where none is named.
pub const INTERFACE_DEFAULT: &str = "fated0";
/// The longest name of a device in octets (Linux: `IFNAMSIZ` less the final NUL).
pub const INTERFACE_BYTES_MAX: usize = 15;
/// What stands behind the tun device's name in the name of its sister, which takes packets and has no address.
pub const RECEIVER_SUFFIX: &str = "rx";
/// The most anycast addresses.
pub const ADDRESSES_MAX: usize = 64;

/// `[anycast]`: addresses that are announced for as long as they are answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anycast {
    /// The service addresses: bound, answered and announced; 1 to [`ADDRESSES_MAX`], none of them twice.
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
    /// A kernel route for each prefix, over a tun device of our own.
    pub kernel_route: Option<KernelRoute>,
    /// How it is found out whether the node answers.
    pub health: Health,
    /// Whether everything is done but the announcing, which is only logged (`--dry-run`).
    pub is_dry_run: bool,
}

/// `[anycast.kernel-route]`: where the kernel routes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KernelRoute {
    /// The routing table; not 0, and not 255, which is the kernel's table of local addresses.
    pub table: u32,
    /// The metric, at least 1.
    pub metric: u32,
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

/// What is done about a state that withdrawing may make worse elsewhere, from little to much.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reaction {
    /// Nothing: the site stays.
    Absorb,
    /// The site is made less attractive where the publisher can say so.
    Degrade,
    /// The site leaves.
    Withdraw,
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

impl std::str::FromStr for Reaction {
    type Err = ();

    /// Reads the reaction's name.
    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "absorb" => Ok(Self::Absorb),
            "degrade" => Ok(Self::Degrade),
            "withdraw" => Ok(Self::Withdraw),
            _ => Err(()),
        }
    }
}
