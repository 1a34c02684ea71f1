//! Proofs that something does not exist: which NSEC or NSEC3 records go into a reply.
//!
//! RFC 4035 §3.1.3 for NSEC, RFC 5155 §7.2 for NSEC3. Puts nothing where DO is not set or the zone is not signed.

use crate::answer::reply::{Full, Reply, Section, Spot};
use crate::wire::Type;
use crate::zone::hash::LookupName;
use crate::zone::node::Node;
use crate::zone::nsec3::Hash;
use crate::zone::{Denial, Missing, Nsec3Chain, Nsec3Found, Zone};

/// Proofs of one reply that are remembered so as not to be put twice. A chain may need more; those may repeat.
const PROOFS_MAX: usize = 16;

/// The proofs that were put so far.
#[derive(Default)]
pub(super) struct Proofs<'z> {
    owners: [&'z [u8]; PROOFS_MAX],
    count: usize,
}

impl<'z> Proofs<'z> {
    /// Whether the node was noted before; notes it if not.
    fn has(&mut self, node: Node<'z>) -> bool {
        let owner = node.name_octets();
        if self.owners[..self.count].iter().any(|known| core::ptr::eq(*known, owner)) {
            return true;
        }
        if let Some(free) = self.owners.get_mut(self.count) {
            *free = owner;
            self.count += 1;
        }
        false
    }
}
