//! Bidirectional Forwarding Detection (RFC 5880): the packets of the asynchronous mode and the machine of one session,
//! over a single hop (RFC 5881) or several (RFC 5883). Demand mode, echoes and authentication are refused.
//!
//! Pure: it knows no clock, socket or thread. Octets, time and proofs go in, octets and changes of state come out.
//!
//! ```text
//!   octets ──▶ Packet::read ──▶ Session ──▶ Send(octets), Changed{from, to, diagnostic}
//!   proof of the service, time ──▶ ┘  ▲ no proof, no packet: silence is what the peer is to notice
//! ```

mod packet;
#[cfg(test)]
mod packet_tests;
mod session;
#[cfg(test)]
mod tests;

pub use packet::{Diagnostic, Malformed, PACKET_BYTES, Packet, State};
pub use session::{Action, Event, Facts, INTERVAL_MAX, INTERVAL_MIN, Refusal, SLOW_INTERVAL, Session, SessionSettings};
