//! Query in, reply out: the one way from `serve` to the zones.
//!
//! Knows no socket, clock or log. What a message says is `wire`'s, where names stand is `zone`'s; which RCODE, flag,
//! record and option goes into a reply is decided here and nowhere else (RFC 1034 §4.3.2, RFC 6891, RFC 8906).

mod canary;
mod chain;
mod chaos;
mod code;
mod context;
mod denial;
#[cfg(any(test, feature = "test-names"))]
pub mod injected;
mod notify;
mod opt;
mod query;
mod refusal;
mod reply;
mod request;
mod snapshot;
mod special;
mod status;
mod stream;
#[cfg(test)]
mod tests;
mod transfer;
mod walk;

use std::sync::Arc;

pub use crate::wire::message::{HEADER_BYTES, MESSAGE_BYTES_MAX};
pub use crate::wire::probe::TOKEN_BYTES as PROBE_TOKEN_BYTES;
pub use crate::zone::{LookupCursor, NextRead};
pub use canary::{Canary, Claim};
pub use context::{Notice, NoticeSink, RequestContext, Response, Transport};
pub use query::PendingQuery;
pub use refusal::{Refusal, refuse};
pub use snapshot::{Settings, Snapshot, UDP_PAYLOAD_BYTES_DEFAULT};
pub use stream::{ReplyStream, StreamedTransfer};

/// Answers one message.
///
/// `message` is whole and without a length prefix. `reply` has room for the largest reply of the transport:
/// [`Settings::udp_payload_bytes_max`] octets, or [`MESSAGE_BYTES_MAX`] over TCP. Never blocks; allocates nothing
/// unless the response is a [`Response::Stream`], which keeps `snapshot` as long as it lives.
///
/// # Panics
/// If `reply` is shorter than that.
pub fn respond(snapshot: &Arc<Snapshot>, message: &[u8], context: &RequestContext, reply: &mut [u8]) -> Response {
    // Answered where it was read: it is too big to be moved.
    match &mut PendingQuery::read(message) {
        Some(query) => query.respond(snapshot, context, reply),
        None => Response::Drop,
    }
}
