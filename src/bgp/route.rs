//! What is to be announced, and with which attributes.

use core::net::IpAddr;
use core::time::Duration;

use ipnet::IpNet;

/// One prefix that may be announced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The prefix.
    pub prefix: IpNet,
    /// How it is to be announced; `None` where it is not to be.
    pub wanted: Option<Attributes>,
    /// When its service was last proven, on the clock of `now`.
    pub proven: Option<Duration>,
}

/// The attributes that the operator, or the stance, gives a route. ORIGIN is IGP; AS_PATH follows from the session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    /// Where the neighbour is to send what is for the prefix.
    pub next_hop: NextHop,
    /// MULTI_EXIT_DISC.
    pub med: Option<u32>,
    /// How often the own AS number stands in AS_PATH beyond the one time that it must. Nothing in an internal session,
    /// whose AS_PATH is empty.
    pub prepend: u8,
    /// LOCAL_PREF, which only an internal session has. 100 is what routers take as a default.
    pub local_pref: u32,
    /// COMMUNITIES (RFC 1997).
    pub communities: Vec<u32>,
    /// EXTENDED COMMUNITIES (RFC 4360).
    pub extended: Vec<[u8; 8]>,
    /// LARGE_COMMUNITY (RFC 8092).
    pub large: Vec<[u32; 3]>,
}

/// A next hop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NextHop {
    /// This side's address of the session, of the same family if there is one.
    #[default]
    Session,
    /// A configured address. Where it is the global address beside a link-local session, both are sent (RFC 2545 §3).
    Address(IpAddr),
}

impl Attributes {
    /// The community that asks others to prefer any other path, before this one goes away (RFC 8326).
    pub const GRACEFUL_SHUTDOWN: u32 = 0xFFFF_0000;
    /// The community that keeps a route inside the neighbour's autonomous system (RFC 1997).
    pub const NO_EXPORT: u32 = 0xFFFF_FF01;
}
