//! Query in, reply out: the one door of the hot path.

use crate::zone::ZoneSet;

/// What every answer is made from, finished and immutable: a worker takes one pointer to it per batch.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// The zones that are served.
    pub zones: ZoneSet,
    /// What the operator set.
    pub settings: Settings,
}

/// What the operator set and an answer needs to know.
#[derive(Clone, Debug)]
pub struct Settings {
    /// NSID, `id.server` and `hostname.bind` (RFC 5001, RFC 4892); `None` hides all three.
    pub identity: Option<Vec<u8>>,
    /// `version.bind` and `version.server`; `None` hides both.
    pub version: Option<Vec<u8>>,
    /// The largest UDP reply in octets, and what our OPT record says (RFC 6891 §6.2.3): 512 to 4096.
    pub udp_payload_bytes_max: u16,
    /// The idle timeout that TCP clients are told (RFC 7828), in units of 100 ms.
    pub tcp_idle_timeout_100ms: u16,
}

impl Default for Settings {
    fn default() -> Self {
        Self { identity: None, version: None, udp_payload_bytes_max: 1232, tcp_idle_timeout_100ms: 100 }
    }
}

/// How the query came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// One datagram.
    Udp,
    /// A stream with length prefixes (RFC 7766).
    Tcp,
}

/// What is to be done with a query. `Copy`, and all that the counters need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Send the first `length` octets of the reply buffer.
    Reply {
        /// Octets of the reply.
        length: usize,
        /// The RCODE, extended ones included (0 to 4095).
        rcode: u16,
        /// QTYPE of the question; 0 where there was none.
        qtype: u16,
        /// Whether TC is set.
        is_truncated: bool,
    },
    /// Send nothing: too short for a header, or itself a response.
    Drop,
}

/// Answers one query.
///
/// `query` is the whole message without a length prefix; `reply` has 65,535 octets. Never blocks, never allocates.
pub fn respond(_snapshot: &Snapshot, query: &[u8], _transport: Transport, reply: &mut [u8]) -> Verdict {
    // Replaced by the real thing.
    if query.len() < 12 || query[2] & 0x80 != 0 {
        return Verdict::Drop;
    }
    reply[..query.len()].copy_from_slice(query);
    reply[2] |= 0x80;
    reply[3] = (reply[3] & 0xF0) | 5;
    Verdict::Reply { length: query.len(), rcode: 5, qtype: 1, is_truncated: false }
}
