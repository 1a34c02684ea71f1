//! Stance → addresses and routes: wanted state against what the kernel says, until they agree.
//!
//! Owns the tun devices, the local routes that make the kernel take packets for the service addresses, the addresses
//! that announce them, and the thread that does it. Refuses to know why an address is to be announced.
//!
//! ```text
//!   prover ──want()──▶ [wanted] ─┐                         ┌─▶ [seen] ──seen()──▶ status, metrics
//!   prover ──Proof (moments)─────┼─▶ thread `route` ───────┤
//!   kernel ──netlink groups──────┘   read → plan → apply   └─▶ netlink
//!   fated0 ──packets──▶ thread `route-hold`: counted, dropped
//! ```
//!
//! **Receiving is not announcing.** From [`Driver::start`] to [`Driver::close`] a `local` route for each address leads
//! to a device without addresses (`NAMErx`, or `lo`): packets are taken and answered. The address stands on the
//! announcing device only while it is announced. The kernel then has a local route of its own for it; neither touches
//! the other.
//!
//! **Everything that announces ends by itself.** The tun ends with its descriptor, the address with its lease. A kernel
//! route ends with the tun alone: IPv6 routes have an expiry too, but the kernel looks at it every 30 s, and nothing
//! else that a lease takes away makes it remove a route in both families. So a kernel route and a lease exclude each
//! other.

mod driver;
mod events;
mod netlink;
mod plan;
mod privilege;
mod record;
mod setup;
mod sink;

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;

use crate::sys::tun::TunError;

pub use driver::{Driver, EXIT_FATAL, Fatal, RENEW_EVERY, WITHDRAWN_WITHIN, exit};
pub use plan::{DEGRADED_METRIC, PROOF_LAPSES};
pub use privilege::drop_elsewhere;
pub use record::{AddressSeen, LeaseState, Seen};

/// What the driver is to hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelSettings {
    /// The service addresses, /32 or /128, at most [`ADDRESSES_MAX`]. Their order is that of [`Driver::want`] and of
    /// the proofs.
    pub addresses: Vec<IpNet>,
    /// Covering prefixes: an address in one stands with that prefix's length.
    pub announce: Vec<IpNet>,
    /// Where the addresses stand while they are announced.
    pub interface: Interface,
    /// How long the kernel keeps an address that is not renewed: whole seconds, at least one. `None` only with a tun:
    /// then an address whose proof is older than [`PROOF_LAPSES`] is removed by us.
    pub lease: Option<Duration>,
    /// How much older than [`RENEW_EVERY`] the proof may be that pays for a renewal: the prover's interval and timeout,
    /// and what the machine may be late by.
    pub proof_slack: Duration,
    /// Where probes come from that are written into the receiving tun: what goes there is led into it.
    pub probe_sources: Vec<IpAddr>,
    /// A route for each announced prefix, only over a tun and without a lease.
    pub kernel_route: Option<KernelRoute>,
    /// Whether nothing is to be done but to log what would be.
    pub is_dry_run: bool,
}

/// Where the addresses stand while they are announced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Interface {
    /// A tun device of our own of that name, usually `fated0`, and a second with [`RECEIVING_SUFFIX`] behind it.
    Tun(String),
    /// A device that exists, for instance `lo`.
    Device(String),
}

impl Interface {
    /// Returns the device's name.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Tun(name) | Self::Device(name) => name,
        }
    }
}

/// A kernel route for each announced prefix, for routing daemons that take routes over from the kernel.
///
/// It carries the protocol number [`PROTOCOL`] and goes over our tun. While degraded its metric is raised by
/// [`DEGRADED_METRIC`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KernelRoute {
    /// The table's number; 254 is `main`.
    pub table: u32,
    /// Less is preferred.
    pub metric: u32,
}

/// Why the driver cannot hold the addresses. Each says what to grant or to change.
#[derive(Debug, thiserror::Error)]
pub enum RouteError {
    /// The process may not change addresses and routes.
    #[error(
        "addresses and routes cannot be changed: grant CAP_NET_ADMIN (in a systemd unit \
         `AmbientCapabilities=CAP_NET_ADMIN`, in a container `--cap-add NET_ADMIN`), or try `--dry-run`"
    )]
    NoPermission,
    /// There is no tun driver, or it is closed to us.
    #[error(
        "/dev/net/tun cannot be used ({0}): load it with `modprobe tun`, or give the container `--device \
         /dev/net/tun`, or set `interface = \"lo\"`"
    )]
    NoTun(#[source] io::Error),
    /// The name is not one that the kernel takes.
    #[error(
        "`{name}` cannot name a tun device of ours: it takes 1 to {TUN_NAME_BYTES_MAX} octets without `/`, `:`, `%` or \
         spaces; change `interface`"
    )]
    DeviceName {
        /// The name as configured.
        name: String,
    },
    /// A device of that name is there, and a tun of ours is always a new one.
    #[error(
        "a device `{name}` exists already: end what made it, remove it with `ip link del {name}`, or change `interface`"
    )]
    DeviceTaken {
        /// The device that is in the way.
        name: String,
    },
    /// The named device does not exist.
    #[error("there is no device `{name}`: create it first, or change `interface`")]
    NoDevice {
        /// The name as configured.
        name: String,
    },
    /// The named device is down, so that no address on it can be announced.
    #[error("the device `{name}` is down: set it up first with `ip link set {name} up`")]
    DeviceDown {
        /// The name as configured.
        name: String,
    },
    /// The host has the address already, or an address within the prefix that is to be announced.
    #[error("{announced} overlaps {address} on `{device}`: remove that address, or take it out of `[anycast]`")]
    Overlap {
        /// What is to be announced.
        announced: IpNet,
        /// The address that is in the way.
        address: IpAddr,
        /// Where it stands.
        device: String,
    },
    /// A setting is out of its range.
    #[error("{0}")]
    Setting(SettingFault),
    /// The kernel refuses something for another reason.
    #[error("{what}: {source}")]
    Kernel {
        /// What was tried.
        what: String,
        /// What the kernel says.
        source: io::Error,
    },
    /// The thread ended before it was ready.
    #[error("the route thread ended before it was ready; the log says why")]
    ThreadEnded,
}

impl From<TunError> for RouteError {
    fn from(error: TunError) -> Self {
        match error {
            TunError::Name { name } => Self::DeviceName { name },
            TunError::Path(source) => Self::NoTun(source),
            TunError::Taken { name } => Self::DeviceTaken { name },
            TunError::Refused { source, .. } if source.raw_os_error() == Some(libc::EPERM) => Self::NoPermission,
            TunError::Refused { name, source } => {
                Self::Kernel { what: format!("the device `{name}` cannot be made"), source }
            }
        }
    }
}

/// A setting out of its range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingFault {
    /// None, or too many.
    #[error("between 1 and {ADDRESSES_MAX} service addresses can be held: change `addresses`")]
    AddressCount,
    /// Not a single address.
    #[error("{0} is not a single address: service addresses have /32 or /128")]
    NotOneAddress(IpNet),
    /// The same twice.
    #[error("{0} is listed twice: remove one from `addresses`")]
    Twice(IpNet),
    /// A covering prefix that covers nothing.
    #[error("no service address is in {0}: change `announce`")]
    CoversNothing(IpNet),
    /// Not a whole number of seconds, or none.
    #[error("a lease is a whole number of seconds and at least 1s: change `lease`")]
    Lease,
    /// No lease where nothing else would remove the address.
    #[error("on a device that outlives the process an address needs a lease: `lease = \"off\"` works only with a tun")]
    LeaseOff,
    /// A kernel route over a device that outlives the process.
    #[error("a kernel route goes over a tun of ours only: remove it, or change `interface`")]
    KernelRouteNeedsTun,
    /// A kernel route beside a lease.
    #[error(
        "a kernel route would outlive the lease, for IPv6 by up to 30 s, and routing daemons would announce it \
         meanwhile: remove it, or set `lease = \"off\"`"
    )]
    KernelRouteOutlivesLease,
    /// One proof for each address is needed.
    #[error("the number of proofs is not that of the service addresses")]
    Proofs,
}

/// The real-time priority of the threads here; above ordinary threads is all that is needed.
const PRIORITY: i32 = 10;
/// The routing protocol number that marks our routes (`RTA_PROTOCOL`; also `IFA_PROTO` of our addresses). A name for it
/// can be given in `/etc/iproute2/rt_protos`. Only what carries it is ever purged.
pub const PROTOCOL: u8 = 84;
/// The most service addresses.
pub const ADDRESSES_MAX: usize = 64;
/// What the receiving device's name ends with.
pub const RECEIVING_SUFFIX: &str = "rx";
/// The longest name of an announcing tun, so that the receiving one's still fits.
pub const TUN_NAME_BYTES_MAX: usize = crate::sys::tun::NAME_BYTES_MAX - RECEIVING_SUFFIX.len();
/// A slack for a prover with its default interval and timeout of 50 ms each, and 50 ms of lateness.
pub const PROOF_SLACK: Duration = Duration::from_millis(150);
