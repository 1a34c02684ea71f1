//! fated: an anycast-aware authoritative DNS server.

pub mod answer;
pub mod wire;
pub mod zone;
