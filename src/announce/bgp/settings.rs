//! What the speaker is to do: its neighbours, and what each is told.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use crate::bgp::{AsNumber, Attributes, Families, Role};
use crate::policy::Proof;

/// The speaker and its neighbours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpeakerSettings {
    /// The BGP identifier; `None` for our address in the first session over IPv4.
    pub router_id: Option<Ipv4Addr>,
    /// The function of the large community that says why a route is degraded; `None` for none.
    pub reason_community: Option<u32>,
    /// The neighbours, 1 to [`NEIGHBORS_MAX`].
    pub neighbors: Vec<NeighborSettings>,
}

/// One neighbour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NeighborSettings {
    /// The router.
    pub address: IpAddr,
    /// The device that leads to it, for a link-local address.
    pub device: Option<String>,
    /// Our end of the session; `None` for what the kernel takes.
    pub local_address: Option<IpAddr>,
    /// The router's port.
    pub port: u16,
    /// Our port.
    pub local_port: u16,
    /// Whether the router connects.
    pub is_passive: bool,
    /// Its AS.
    pub peer_as: AsNumber,
    /// Ours.
    pub local_as: AsNumber,
    /// What is announced there.
    pub families: Families,
    /// The next hop of IPv4, where it is not our end of the session.
    pub next_hop_v4: Option<Ipv4Addr>,
    /// The next hop of IPv6.
    pub next_hop_v6: Option<Ipv6Addr>,
    /// The hold time that we offer.
    pub hold_time: Duration,
    /// The key of TCP MD5 signatures.
    pub md5_key: Option<Secret>,
    /// So near must come from what is taken (GTSM); `None` for no bound.
    pub hops_max: Option<u8>,
    /// Our role; `None` for none.
    pub role: Option<Role>,
    /// Whether a router without a role is refused.
    pub is_role_strict: bool,
    /// What a route carries while its address is announced. The next hop is chosen by family.
    pub announced: Attributes,
    /// The same while its address is degraded.
    pub degraded: Attributes,
    /// BFD beside the session.
    pub bfd: Option<BfdSettings>,
}

/// How BFD runs beside a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BfdSettings {
    /// From one packet to the next, both ways.
    pub interval: Duration,
    /// So many packets that did not come end the session.
    pub multiplier: u8,
    /// Whether the router may be further away than one link.
    pub is_multihop: bool,
    /// Whether nothing is announced before BFD is up.
    pub is_strict: bool,
}

/// A key that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub Vec<u8>);

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret")
    }
}

/// What is announced for one service: its addresses, the prefixes that cover them, and their proof.
#[derive(Clone, Debug)]
pub struct Service {
    /// The addresses, in the order of `proof`.
    pub addresses: Vec<IpAddr>,
    /// Covering prefixes that are announced instead of the addresses in them.
    pub announce: Vec<IpNet>,
    /// When each address was last proven.
    pub proof: Arc<Proof>,
}

/// The most neighbours.
pub const NEIGHBORS_MAX: usize = 64;
/// The first of the ports that are ours where none is configured: below the ephemeral ones of Linux.
pub const LOCAL_PORT_FIRST: u16 = 17_900;
/// The port of BGP (RFC 4271 §8.2.1.1).
pub const PORT: u16 = 179;
