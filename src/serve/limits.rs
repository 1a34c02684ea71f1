//! What TCP clients may take.
//!
//! Refuses to know who holds to the limits.

use std::time::Duration;

/// What TCP clients may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcpLimits {
    /// Connections of all clients together; lowered to what the limit of open files leaves. 1 to 1,000,000.
    pub clients_max: usize,
    /// Connections of one network: an IPv4 /24 or an IPv6 /48. 1 to `clients_max`.
    pub clients_per_network_max: usize,
    /// Connections of one client: an IPv4 address or an IPv6 /64. 1 to `clients_per_network_max`.
    pub clients_per_address_max: usize,
    /// How long a connection may stay open without a query (RFC 7766 §6.2.3).
    pub idle_timeout: Duration,
    /// How long a message that was begun may take to come, and the replies to a batch of queries to be taken.
    pub io_timeout: Duration,
    /// The most octets of data in a segment, either way (RFC 9293 §3.7.1). 536 to 32,767.
    pub mss: u16,
}

impl TcpLimits {
    /// What holds where nothing is configured.
    pub const DEFAULT: Self = Self {
        clients_max: 16_384,
        clients_per_network_max: 2048,
        clients_per_address_max: 512,
        idle_timeout: Duration::from_secs(10),
        io_timeout: Duration::from_secs(5),
        mss: MSS_DEFAULT,
    };
}

impl Default for TcpLimits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// What fits every path of IPv6, whose links carry 1,280 octets (RFC 8200 §5), with both headers; and nearly every one
/// of IPv4. Where a path is narrower than its ends and says so to nobody, larger segments are lost for ever.
const MSS_DEFAULT: u16 = 1220;
