//! CAP_NET_ADMIN: who has it, and letting go of it.

use caps::errors::CapsError;
use caps::{CapSet, Capability};

/// Takes CAP_NET_ADMIN from the calling thread, so that only the route thread keeps it.
///
/// To be called on the main thread after [`super::Driver::start`] and before any other thread is started: a thread
/// inherits what the one that starts it has. Does nothing where it is not granted. Source: capabilities(7).
///
/// # Errors
/// What `capset` or `prctl` says.
pub fn drop_elsewhere() -> Result<(), CapsError> {
    // Ambient follows permitted and inheritable; it is dropped first so that each step only takes away.
    if caps::has_cap(None, CapSet::Ambient, Capability::CAP_NET_ADMIN).unwrap_or(false) {
        caps::drop(None, CapSet::Ambient, Capability::CAP_NET_ADMIN)?;
    }
    for set in [CapSet::Effective, CapSet::Inheritable, CapSet::Permitted] {
        if caps::has_cap(None, set, Capability::CAP_NET_ADMIN)? {
            caps::drop(None, set, Capability::CAP_NET_ADMIN)?;
        }
    }
    Ok(())
}

/// Whether the calling thread may change addresses and routes. Where that cannot be told, the kernel will.
pub(super) fn may_change() -> bool {
    caps::has_cap(None, CapSet::Effective, Capability::CAP_NET_ADMIN).unwrap_or(true)
}
