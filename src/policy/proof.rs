//! When each service address was last proven: written by the prover, read by whoever renews the lease.

use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;

/// The moments of the last proofs, one per service address. A proof is a round in which at least `min-workers` workers
/// gave a right answer; its moment is when those queries were *sent*.
#[derive(Debug)]
pub struct Proof(Box<[AtomicU64]>);

impl Proof {
    /// Takes so many addresses, none of them proven.
    #[must_use]
    pub fn new(addresses: usize) -> Self {
        Self((0..addresses).map(|_| AtomicU64::new(NEVER)).collect())
    }

    /// Returns how many addresses there are.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "nobody asks for none")]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Notes a proof. Only the prover calls this.
    ///
    /// # Panics
    /// If there is no such address.
    pub fn note(&self, address: usize, moment: Duration) {
        let nanos = u64::try_from(moment.as_nanos()).unwrap_or(NEVER - 1);
        self.0[address].store(nanos, Ordering::Release);
    }

    /// Returns the moment of the last proof; `None` before the first.
    ///
    /// # Panics
    /// If there is no such address.
    #[must_use]
    pub fn last(&self, address: usize) -> Option<Duration> {
        let nanos = self.0[address].load(Ordering::Acquire);
        (nanos != NEVER).then(|| Duration::from_nanos(nanos))
    }
}

/// No proof yet. As a moment it would be 584 years after the start.
const NEVER: u64 = u64::MAX;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_proof_is_read_and_each_address_has_its_own() {
        let proof = Proof::new(2);
        assert_eq!((proof.last(0), proof.last(1)), (None, None));
        proof.note(1, Duration::from_millis(7));
        proof.note(1, Duration::from_millis(9));
        assert_eq!((proof.last(0), proof.last(1)), (None, Some(Duration::from_millis(9))));
    }
}
