//! fated: an anycast-aware authoritative DNS server.

pub mod answer;
pub mod metrics;
pub mod serve;
pub mod sys;
pub mod wire;
pub mod zone;
