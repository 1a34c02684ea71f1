//! What to do about a service address: observations and the time in, a stance with its reason out.
//!
//! Knows no clock, socket or thread: `now` is an argument, a [`Duration`](core::time::Duration) since any fixed moment
//! that never goes back.
//! Owns what flows from the prover (`health`) to whoever acts (`route`).

mod proof;

pub use proof::Proof;

/// What is to be done about a service address, from best to worst.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stance {
    /// The address is announced.
    Announce,
    /// It is announced, less attractively where the publisher can say so.
    Degrade,
    /// It is not announced; what still comes is answered.
    #[default]
    Withdraw,
}

/// What the prover saw of one service address in one round. `Copy`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Observation {
    /// Workers that answered right and in time.
    pub proven: u16,
    /// Workers that did not answer in time, though they had a CPU: wedged, or cut off from the address.
    pub late: u16,
    /// Workers that did not answer in time because they waited for a CPU.
    pub starved: u16,
    /// Workers that answered, but not what is right.
    pub wrong: u16,
    /// Whether the last query over TCP was answered; `None` where none ended in this round.
    pub is_tcp_well: Option<bool>,
    /// The worst fault that other sites are likely to have too, if any.
    pub shared: Option<SharedFault>,
    /// Whether the kernel dropped queries because a socket was full.
    pub is_overloaded: bool,
    /// Whether the prover had the CPU when it needed it. If not, the round proves nothing and disproves nothing.
    pub is_judged: bool,
}

/// A fault that strikes every site at once; it withdraws none of them unless the operator says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SharedFault {
    /// A zone is answered with an error, or with data that is not ours.
    Zone,
    /// A zone could not be refreshed for longer than its SOA allows (RFC 1035 §3.3.13).
    Expired,
    /// No primary answers.
    Primary,
}
