//! What the server says of the routers that it tells its addresses, and of BFD beside the sessions.

use serde::{Deserialize, Serialize};

/// One router.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Neighbor {
    /// Its address, with the device of a link-local one.
    pub address: String,
    /// Our end, while there is a connection.
    pub local_address: Option<String>,
    /// Its AS.
    pub remote_as: u32,
    /// Ours.
    pub local_as: u32,
    /// Where the session is: `idle`, `connect`, `active`, `open-sent`, `open-confirm` or `established`.
    pub state: String,
    /// How long it has been that.
    pub since_s: u64,
    /// How often it was established since the start.
    pub established: u64,
    /// The router's BGP identifier, from its OPEN on.
    pub router_id: Option<String>,
    /// The hold time that it offered.
    pub peer_hold_time_s: Option<u64>,
    /// The hold time that holds.
    pub hold_time_s: Option<u64>,
    /// From one KEEPALIVE of ours to the next.
    pub keepalive_ms: Option<u64>,
    /// The families that both have.
    pub families: Option<String>,
    /// The router's role, where it told one.
    pub role: Option<String>,
    /// The codes of its capabilities.
    pub capabilities: Vec<u8>,
    /// Prefixes that it was told.
    pub announced: usize,
    /// Messages that were due and not sent because no proof was young enough.
    pub withheld: u64,
    /// Messages that came.
    pub received: Messages,
    /// Messages that were sent.
    pub sent: Messages,
    /// The last error that it was told.
    pub last_sent: Option<Fault>,
    /// The last error that it told.
    pub last_received: Option<Fault>,
    /// The last failure that no message told of.
    pub last_failure: Option<Fault>,
    /// What it announces for our prefixes.
    pub routes: Vec<OtherRoute>,
    /// How many other prefixes it announces.
    pub other_routes: usize,
    /// BFD beside the session.
    pub bfd: Option<Beat>,
}

/// Messages by type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Messages {
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

impl Messages {
    /// The counts with the names of the types.
    #[must_use]
    pub fn by_type(&self) -> [(&'static str, u64); 5] {
        [
            ("OPEN", self.opens),
            ("UPDATE", self.updates),
            ("NOTIFICATION", self.notifications),
            ("KEEPALIVE", self.keepalives),
            ("ROUTE-REFRESH", self.refreshes),
        ]
    }
}

/// An error, and how long ago it was.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// How long ago.
    pub age_s: u64,
    /// What, and the likely cause.
    pub text: String,
}

/// A path to a prefix of ours that a router announces to us.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OtherRoute {
    /// The prefix.
    pub prefix: String,
    /// Where it sends what is for it.
    pub next_hop: Option<String>,
    /// The AS numbers of the path, nearest first.
    pub as_path: Vec<u32>,
}

/// BFD beside a session.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beat {
    /// The state: `admin-down`, `down`, `init` or `up`.
    pub state: String,
    /// How long it has been that.
    pub since_s: u64,
    /// From one packet of ours to the next.
    pub transmit_interval_ms: Option<u64>,
    /// After so long without a packet the router is given up.
    pub detection_time_ms: Option<u64>,
    /// After so long without a packet of ours the router gives us up.
    pub remote_detection_time_ms: Option<u64>,
    /// Packets that were sent.
    pub sent: u64,
    /// Packets that were due and not sent because no proof was young enough.
    pub withheld: u64,
    /// Packets that counted.
    pub received: u64,
    /// Packets that did not, and why the last one did not.
    pub refused: u64,
    /// Why.
    pub last_refusal: Option<String>,
    /// Packets that could not be sent.
    pub send_failures: u64,
    /// Why the last one could not.
    pub last_send_error: Option<String>,
}
