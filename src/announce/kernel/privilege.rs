//! CAP_NET_ADMIN: who has it, and letting go of it.

use caps::errors::CapsError;
use caps::{CapSet, Capability};

/// Takes CAP_NET_ADMIN from the calling thread, so that only the route thread keeps it.
///
/// A thread inherits what the one that starts it has. So this is to be called before other threads are started, and
/// [`super::Driver::start`] on a thread that did not call it. Does nothing where it is not granted. Source:
/// capabilities(7).
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

/// Whether the calling thread may change addresses and routes. Where that is unknown, the kernel will refuse what is
/// not allowed.
pub(super) fn may_change() -> bool {
    caps::has_cap(None, CapSet::Effective, Capability::CAP_NET_ADMIN).unwrap_or(true)
}
