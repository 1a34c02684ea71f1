//! What the operator may set for one neighbour, and the bounds of what is waited for.

use core::net::Ipv4Addr;
use core::time::Duration;

use ipnet::IpNet;

use super::{AsNumber, Families, Role};

/// How the session with one neighbour is held. Every field is in range: whoever makes it has checked the operator's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionSettings {
    /// This side's autonomous system. Not 0.
    pub local_as: AsNumber,
    /// The neighbour's. The session is internal where it is the same. Not 0.
    pub peer_as: AsNumber,
    /// This side's BGP identifier. Not 0.0.0.0.
    pub router_id: Ipv4Addr,
    /// How long the neighbour may wait for a message until it drops the session; whole seconds, 3 to 65535. The lower
    /// offer of both sides holds. Default: 9 s.
    pub hold_time: Duration,
    /// Whether the neighbour connects. Default: no.
    pub is_passive: bool,
    /// The families that are offered. At least one.
    pub families: Families,
    /// What this side is to the neighbour; only said, and only kept to, where the session is external. Default: a
    /// customer.
    pub role: Option<Role>,
    /// Whether a neighbour that names no role is refused. Default: no.
    pub is_role_strict: bool,
    /// How old the last proof of a route may be for it to be announced.
    pub proof_age_max: Duration,
    /// What the neighbour sends is kept for these prefixes, those that they lie in and those that lie in them, and only
    /// counted for all others.
    pub kept: Vec<IpNet>,
    /// How many prefixes the neighbour may send, of all kinds; with one more the session ends, for
    /// [`OVERRUN_WAIT`](Self::OVERRUN_WAIT). Default: 2,000,000, more than all there are.
    pub received_max: usize,
    /// Whether nothing is announced unless BFD says that the neighbour is up. Default: no.
    pub is_bfd_strict: bool,
    /// How long the neighbour may take nothing of what waits for it until the session ends (RFC 9687). Default: 8 min,
    /// and never less than twice the hold time.
    pub send_hold: Duration,
    /// How long a connection may take to come up. Default: 5 s.
    pub connect_time: Duration,
    /// How long the neighbour's OPEN may take. Default: 15 s, where RFC 4271 §8.2.2 suggests 4 min: whoever is silent
    /// so long does not see what is sent.
    pub open_time: Duration,
    /// The first wait after a loss is from this on up to four times this; it doubles with each loss that follows.
    /// Default: 50 ms.
    pub retry_min: Duration,
    /// The longest wait after a loss. A session that lasted for so long makes the next wait a first one. Default: 5 s.
    pub retry_max: Duration,
}

impl SessionSettings {
    /// How long a neighbour that sent too many prefixes is left alone.
    pub const OVERRUN_WAIT: Duration = Duration::from_secs(60);

    /// Makes settings with the defaults that stand with the fields.
    #[must_use]
    pub fn new(local_as: AsNumber, peer_as: AsNumber, router_id: Ipv4Addr, proof_age_max: Duration) -> Self {
        Self {
            local_as,
            peer_as,
            router_id,
            hold_time: Duration::from_secs(9),
            is_passive: false,
            families: Families { ipv4: true, ipv6: true },
            role: Some(Role::Customer),
            is_role_strict: false,
            proof_age_max,
            kept: Vec::new(),
            received_max: 2_000_000,
            is_bfd_strict: false,
            send_hold: Duration::from_secs(480),
            connect_time: Duration::from_secs(5),
            open_time: Duration::from_secs(15),
            retry_min: Duration::from_millis(50),
            retry_max: Duration::from_secs(5),
        }
    }

    /// Whether both sides are in one autonomous system.
    #[must_use]
    pub fn is_internal(&self) -> bool {
        self.local_as == self.peer_as
    }
}
