//! What is known of a session, for status, metrics, and whoever looks for other paths to a prefix.

use core::net::{IpAddr, Ipv4Addr};
use core::time::Duration;

use ipnet::IpNet;

use super::message::Kind;
use super::{AsNumber, Families, Role, State};

/// A session as it is at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Where it is.
    pub state: State,
    /// Since when.
    pub since: Duration,
    /// The neighbour's OPEN, from OpenConfirm on.
    pub peer: Option<PeerOpen>,
    /// What both sides agreed on, from OpenConfirm on.
    pub agreed: Option<Agreed>,
    /// Messages received, over all connections.
    pub received: MessageCounts,
    /// Messages sent, over all connections.
    pub sent: MessageCounts,
    /// The last error that the neighbour was told.
    pub last_sent: Option<Fault>,
    /// The last error that the neighbour told.
    pub last_received: Option<Fault>,
    /// The last failure that no message told of: a connection that did not come up, was lost, or fell silent.
    pub last_failure: Option<Fault>,
    /// Prefixes announced.
    pub announced: usize,
    /// Heartbeats that were due and did not leave for want of a proof, over all connections.
    pub withheld: u64,
    /// Sessions that came to Established.
    pub established: u64,
    /// What the neighbour announces for the prefixes that are kept.
    pub routes: Vec<ReceivedRoute>,
    /// How many other prefixes the neighbour announces.
    pub others: usize,
}

/// What the neighbour said of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerOpen {
    /// Its AS number.
    pub as_number: AsNumber,
    /// Its BGP identifier.
    pub router_id: Ipv4Addr,
    /// The hold time that it offers.
    pub hold_time: Duration,
    /// Its role.
    pub role: Option<Role>,
    /// The codes of its capabilities, in its order, each once.
    pub capabilities: Vec<u8>,
}

/// What both sides agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Agreed {
    /// The hold time.
    pub hold_time: Duration,
    /// From one KEEPALIVE to the next.
    pub keepalive: Duration,
    /// The families that both have.
    pub families: Families,
    /// Whether AS numbers in paths have four octets (RFC 6793).
    pub is_four_octet: bool,
    /// Whether the neighbour takes IPv4 with an IPv6 next hop, and was offered it (RFC 8950).
    pub is_extended_next_hop: bool,
    /// Whether a refresh is marked where it begins and ends (RFC 7313).
    pub is_enhanced_refresh: bool,
}

/// Messages by type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MessageCounts {
    /// OPEN.
    pub opens: u64,
    /// UPDATE.
    pub updates: u64,
    /// NOTIFICATION.
    pub notifications: u64,
    /// KEEPALIVE.
    pub keepalives: u64,
    /// ROUTE-REFRESH.
    pub refreshes: u64,
}

impl MessageCounts {
    /// Counts a message.
    pub(super) fn count(&mut self, kind: Kind) {
        let counter = match kind {
            Kind::Open => &mut self.opens,
            Kind::Update => &mut self.updates,
            Kind::Notification => &mut self.notifications,
            Kind::Keepalive => &mut self.keepalives,
            Kind::RouteRefresh => &mut self.refreshes,
        };
        *counter = counter.saturating_add(1);
    }
}

/// An error, and when it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// When.
    pub at: Duration,
    /// What, and the likely cause, in a sentence without a full stop.
    pub text: String,
}

/// A route that the neighbour announces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivedRoute {
    /// The prefix.
    pub prefix: IpNet,
    /// The next hop, the global one of two.
    pub next_hop: Option<IpAddr>,
    /// The AS numbers of AS_PATH, nearest first, sets among them in any order; at most
    /// [`AS_PATH_KEPT_MAX`](Self::AS_PATH_KEPT_MAX).
    pub as_path: Vec<AsNumber>,
    /// MULTI_EXIT_DISC.
    pub med: Option<u32>,
    /// LOCAL_PREF, from an internal neighbour.
    pub local_pref: Option<u32>,
    /// COMMUNITIES, at most [`COMMUNITIES_KEPT_MAX`](Self::COMMUNITIES_KEPT_MAX).
    pub communities: Vec<u32>,
    /// LARGE_COMMUNITY, at most as many.
    pub large: Vec<[u32; 3]>,
}

impl ReceivedRoute {
    /// The most AS numbers of a path that are kept, the nearest ones and, in the last place, the origin.
    pub const AS_PATH_KEPT_MAX: usize = 64;
    /// The most communities of a kind that are kept.
    pub const COMMUNITIES_KEPT_MAX: usize = 64;
}
