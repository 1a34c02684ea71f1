//! Zones that travel: zone transfers, whole and incremental, both ways (RFC 5936, RFC 1995), notifications of changes
//! (RFC 1996), and who may have and send them.
//!
//! Pure: what comes and goes are messages and records, and time is an argument.

mod access;
mod settings;

pub use access::{AccessList, AccessRule};
pub use settings::{KeyRing, Peer, TransferLimits, TransferSettings};
