//! What answers are made from: the zones and what the operator set.

use std::sync::Arc;

use crate::answer::canary::Canary;
use crate::answer::context::NoticeSink;
use crate::transfer::TransferTable;
use crate::zone::hash::NameHash;
use crate::zone::{Zone, ZoneSet};

/// What every answer is made from, finished and immutable: a worker takes one pointer to it per batch.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// The zones that are served.
    pub zones: ZoneSet,
    /// How many more have never come from their primaries.
    pub awaited_zones: usize,
    /// What the operator set.
    pub settings: Settings,
    /// Who may have which zone, and what changed in them.
    pub transfers: TransferTable,
    /// Who is told that a zone has changed elsewhere; nobody where no zone comes from elsewhere.
    pub notices: Option<Arc<dyn NoticeSink>>,
    /// The zones that are answered only to those who may have them: catalogs, by the hashes of their names under the
    /// key of this process.
    pub private: Vec<NameHash>,
}

impl Snapshot {
    /// Whether a zone is answered only to those who may have it.
    #[inline]
    pub fn is_private(&self, zone: &Zone) -> bool {
        self.private.contains(&zone.apex_hash())
    }
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
    /// The idle timeout that TCP clients learn from edns-tcp-keepalive (RFC 7828), in units of 100 ms.
    pub tcp_idle_timeout_100ms: u16,
    /// Whether an alias of one zone is followed into another that is served too: for those who own them all.
    pub follow_across_zones: bool,
    /// What proves that a worker answers; `None` where nobody asks for it.
    pub canary: Option<Canary>,
}

/// The largest reply over UDP where nothing is configured: it passes every path without fragments (RFC 9715 §3.1).
pub const UDP_PAYLOAD_BYTES_DEFAULT: u16 = 1232;

impl Default for Settings {
    fn default() -> Self {
        Self {
            identity: None,
            version: None,
            udp_payload_bytes_max: UDP_PAYLOAD_BYTES_DEFAULT,
            tcp_idle_timeout_100ms: 100,
            follow_across_zones: false,
            canary: None,
        }
    }
}
