//! What the operator set about the transfers of a zone.

use core::net::SocketAddr;
use core::time::Duration;
use std::sync::Arc;

use super::access::AccessList;
use crate::tls::TlsPeer;
use crate::wire::tsig::Key;
use crate::wire::{NameRef, SharedName};
use crate::zonebuild::ZonemdRule;

/// A server that is asked or told something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Where it listens.
    pub address: SocketAddr,
    /// The key with which requests to it are signed.
    pub key: Option<Arc<Key>>,
    /// How it is recognized over TLS; plain TCP and UDP without.
    pub tls: Option<Arc<TlsPeer>>,
}

/// A command that says by its exit code whether a version of a zone may be served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifyCommand {
    /// The program and its arguments; empty where there is none.
    pub words: Vec<String>,
    /// How long it may take.
    pub timeout: Duration,
}

impl VerifyCommand {
    /// How long a command may take where nothing else is configured.
    pub const TIMEOUT_DEFAULT: Duration = Duration::from_secs(60);
}

impl Default for VerifyCommand {
    fn default() -> Self {
        Self { words: Vec::new(), timeout: Self::TIMEOUT_DEFAULT }
    }
}

/// What the operator set about the transfers of a zone, or of all zones of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransferSettings {
    /// Where the zone comes from, in the order in which they are asked; empty for a zone that is read from a file.
    pub primaries: Vec<Peer>,
    /// Who may say that the zone has changed, besides nobody.
    pub allow_notify: AccessList,
    /// Who may have the zone.
    pub allow_transfer: AccessList,
    /// Who is told that the zone has changed.
    pub notify: Vec<Peer>,
    /// Whether the parent is told that CDS, CDNSKEY or CSYNC records are others, where it has DSYNC records.
    pub notify_dsync: bool,
    /// How long after the change: all servers of the zone should have it then (RFC 9859 §4.2).
    pub notify_dsync_delay: Duration,
    /// What is asked of its ZONEMD records, wherever it comes from.
    pub zonemd: ZonemdRule,
    /// What judges a version from a primary before it is served.
    pub verify: VerifyCommand,
    /// What is taken from primaries, and how often they are asked.
    pub limits: TransferLimits,
    /// The catalog that is made here and lists the zone, if one does.
    pub listed_in: Option<Membership>,
}

/// Which catalog lists a zone, and how (RFC 9432 §4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    /// The catalog.
    pub catalog: SharedName,
    /// The value of the zone's `group` property; at most 255 octets.
    pub group: Option<Box<[u8]>>,
}

/// Bounds on what primaries say and send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransferLimits {
    /// Octets of the messages of one transfer.
    pub octets_max: u64,
    /// Records of a zone, and of one transfer.
    pub records_max: u64,
    /// How long one transfer may take.
    pub time_max: Duration,
    /// Octets of the differences between versions that are kept.
    pub journal_octets_max: u64,
    /// Bounds on the REFRESH of the SOA.
    pub refresh: (Duration, Duration),
    /// Bounds on its RETRY.
    pub retry: (Duration, Duration),
    /// Bounds on its EXPIRE.
    pub expire: (Duration, Duration),
}

impl TransferLimits {
    /// What holds where nothing is configured.
    pub const DEFAULT: Self = Self {
        octets_max: 16 << 30,
        records_max: 200_000_000,
        time_max: Duration::from_secs(3600),
        journal_octets_max: 64 << 20,
        refresh: (Duration::from_secs(2), Duration::from_secs(28 * 86_400)),
        retry: (Duration::from_secs(2), Duration::from_secs(14 * 86_400)),
        expire: (Duration::from_secs(60), Duration::from_secs(400 * 86_400)),
    };
}

impl TransferSettings {
    /// How long the parent is told after a change where nothing else is configured.
    pub const NOTIFY_DSYNC_DELAY_DEFAULT: Duration = Duration::from_secs(10);
}

impl Default for TransferSettings {
    fn default() -> Self {
        Self {
            primaries: Vec::new(),
            allow_notify: AccessList::default(),
            allow_transfer: AccessList::default(),
            notify: Vec::new(),
            notify_dsync: false,
            notify_dsync_delay: Self::NOTIFY_DSYNC_DELAY_DEFAULT,
            zonemd: ZonemdRule::default(),
            verify: VerifyCommand::default(),
            limits: TransferLimits::DEFAULT,
            listed_in: None,
        }
    }
}

/// The keys of transactions, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyRing(Vec<Arc<Key>>);

impl KeyRing {
    /// Takes keys, of which no two have one name.
    pub fn new(mut keys: Vec<Arc<Key>>) -> Self {
        keys.sort_by(|a, b| a.name().cmp(&b.name()));
        Self(keys)
    }

    /// The key of that name, whatever its letter case.
    pub fn find(&self, name: NameRef<'_>) -> Option<&Arc<Key>> {
        self.0.binary_search_by(|key| key.name().cmp(&name)).ok().and_then(|index| self.0.get(index))
    }
}
