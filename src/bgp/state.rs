//! The states of a session, as others see them.

/// Where a session is (RFC 4271 §8.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Kept away by the driver.
    Idle,
    /// A connection is under way.
    Connect,
    /// None is: the session waits for its time to try, for the neighbour, or for proofs.
    Active,
    /// Connected; the neighbour's OPEN is awaited.
    OpenSent,
    /// Its OPEN is there; that it takes this side's is awaited.
    OpenConfirm,
    /// Routes may be announced.
    Established,
}
