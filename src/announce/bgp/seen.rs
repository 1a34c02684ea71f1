//! What the speaker sees of its neighbours and of what they were told. Plain values.

use std::net::IpAddr;
use std::time::Duration;

use crate::announce::Announcement;
use crate::policy::Stance;
use crate::{bfd, bgp};

/// All of it at one moment.
#[derive(Clone, Debug)]
pub struct Seen {
    /// By address, of all services.
    pub(super) addresses: Vec<Announcement>,
    /// By neighbour, in the order of the configuration.
    pub neighbors: Vec<NeighborSeen>,
}

/// One neighbour.
#[derive(Clone, Debug)]
pub struct NeighborSeen {
    /// The router, with the device of a link-local address.
    pub address: String,
    /// Our end, while there is a session.
    pub local_address: Option<IpAddr>,
    /// Its AS and ours.
    pub as_numbers: (bgp::AsNumber, bgp::AsNumber),
    /// The session.
    pub session: bgp::Facts,
    /// BFD beside it.
    pub bfd: Option<BeatSeen>,
}

/// BFD beside a session.
#[derive(Clone, Debug)]
pub struct BeatSeen {
    /// The state.
    pub state: bfd::State,
    /// The session.
    pub facts: bfd::Facts,
    /// Packets that could not be sent, and why the last one could not.
    pub send_failures: (u64, Option<String>),
}

impl Seen {
    /// Before the thread has looked.
    pub(super) fn nothing(addresses: usize) -> Self {
        let nothing = Announcement {
            stance: Stance::Withdraw,
            is_done: true,
            is_announced: false,
            since: Duration::ZERO,
            renewed: None,
            lapses: 0,
            is_elsewhere: false,
        };
        Self { addresses: vec![nothing; addresses], neighbors: Vec::new() }
    }
}
