//! Zones that travel: zone transfers, whole and incremental, both ways (RFC 5936, RFC 1995), notifications of changes
//! (RFC 1996), and who may have and send them.
//!
//! Pure: what comes and goes are messages and records, and time is an argument.

mod access;
mod apply;
mod change;
mod discovery;
mod incoming;
mod journal;
mod lookup;
mod notifier;
mod outgoing;
mod refresh;
mod request;
mod settings;
mod table;

pub use access::{AccessList, AccessRule, TlsRule};
pub use apply::{ApplyError, apply};
pub use change::{Change, Records, Soa, is_serial_before};
pub use discovery::{Discovery, DiscoveryFault, DiscoveryStep, Endpoint};
pub use incoming::{Foreign, Incoming, Received, TransferError};
pub use journal::{Journal, StepsFrom};
pub use lookup::{Found, Lookup, LookupFault};
pub use notifier::{Notified, Notifier, NotifyFault, NotifyOutcome, NotifyStep, Occasion, Subject};
pub use outgoing::{Envelope, Outgoing};
pub use refresh::{Event, Refresh, Standing, Step, Times};
pub use request::{Request, write_request};
pub use settings::{KeyRing, Membership, Peer, TransferLimits, TransferSettings, VerifyCommand};
pub use table::{Expiry, TransferTable, ZoneTransfers};
