//! What to do about a service address: observations and the time in, a stance with its reason out.
//!
//! Knows no clock, socket or thread: `now` is an argument, a [`Duration`](core::time::Duration) since any fixed moment
//! that never goes back. Owns what flows from the prover (`health`) to whoever acts (`route`).
//!
//! ```text
//!   Observation ──▶ judge: what does this round want? ──▶ streaks ──▶ Policy ──▶ Transition{from, to, reason}
//!   every interval  own fault: Withdraw                   fall, rise  ▲    ▲
//!                   overload, path, shared fault: as configured Order ┘    └ tick: the prover is silent
//! ```
//!
//! Own faults withdraw. Faults that other sites are likely to have too do not, unless the operator says so: a fleet
//! that withdraws together is the outage.

mod jitter;
mod machine;
mod memory;
mod proof;
mod reason;
mod settings;
mod streak;
#[cfg(test)]
mod tests;
mod traffic;

use serde::{Deserialize, Serialize};

pub use jitter::Jitter;
pub use machine::{Order, Policy, TCP_FAILURES_MAX, Transition};
pub use memory::{LastStance, PolicyMemory};
pub use proof::Proof;
pub use reason::Reason;
pub use settings::{Guard, PolicySettings, Reaction, SILENCE_MARGIN};

/// What is to be done about a service address, from best to worst.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stance {
    /// The address is announced.
    Announce,
    /// It is announced, less attractively where the publisher can say so.
    Degrade,
    /// It is not announced; what still comes is answered.
    #[default]
    Withdraw,
}

impl Stance {
    /// Every stance, from best to worst.
    pub const ALL: [Self; 3] = [Self::Announce, Self::Degrade, Self::Withdraw];

    /// Returns the stance in one word, as logs, metrics and JSON have it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Announce => "announce",
            Self::Degrade => "degrade",
            Self::Withdraw => "withdraw",
        }
    }
}

/// What is decided about a service address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// What is to be done.
    pub stance: Stance,
    /// What the stance began for.
    pub reason: Reason,
}

impl Decision {
    /// What holds before anything is known.
    pub const STARTING: Self = Self { stance: Stance::Withdraw, reason: Reason::Starting };
}

/// What the prover saw of one service address in one round. `Copy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Observation {
    /// Workers that answered right and in time, asked the way that clients' queries take.
    pub proven: u16,
    /// Workers that answered right and in time, but only where they were asked another way: a fault of the way.
    pub detoured: u16,
    /// Workers that no way led to, while they answered clients over the address: a fault of all ways that probes take.
    pub served: u16,
    /// Workers that did not answer in time because they had too much to do: they went on answering, and queries waited.
    pub busy: u16,
    /// Workers that did not answer in time, though they had a CPU: wedged, or cut off from the address.
    pub late: u16,
    /// Workers that did not answer in time because they waited for a CPU.
    pub starved: u16,
    /// Workers that answered, but not what is right.
    pub wrong: u16,
    /// How often clients came since the last round. Any number that grows with their queries will do.
    pub clients: u32,
    /// Whether the last query over TCP was answered; `None` where none ended in this round, or where it found all
    /// connections taken by others, which is overload and no dead listener.
    pub is_tcp_well: Option<bool>,
    /// The worst fault that other sites are likely to have too, if any.
    pub shared: Option<SharedFault>,
    /// Whether the kernel dropped queries because the socket of a worker that goes on answering was full. The socket of
    /// a wedged worker fills as well; that is no overload, and must not be reported as one: overload excuses who is
    /// late.
    pub is_overloaded: bool,
    /// Whether a router knows a path to the address that leads to another site, and is not degraded.
    pub is_elsewhere: bool,
    /// Zones that the first announcement still waits for.
    pub awaited: usize,
    /// Whether no zone can be served at all: every client gets an error, whoever answers.
    pub is_zoneless: bool,
    /// Whether the prover had the CPU when it needed it. If not, who did not answer is not to blame, and the round
    /// counts neither for a rise nor for a fall. What was answered right is still a proof of the moment when it was
    /// asked.
    pub is_judged: bool,
}

impl Observation {
    /// A round in which nothing was seen, and which is not judged.
    pub const NOTHING: Self = Self {
        proven: 0,
        detoured: 0,
        served: 0,
        busy: 0,
        late: 0,
        starved: 0,
        wrong: 0,
        clients: 0,
        is_tcp_well: None,
        shared: None,
        is_overloaded: false,
        is_elsewhere: false,
        awaited: 0,
        is_zoneless: false,
        is_judged: false,
    };

    /// Workers that answered right and in time, whichever way they were asked.
    #[must_use]
    pub fn answered(&self) -> u16 {
        self.proven.saturating_add(self.detoured)
    }

    /// Whether the way that clients take fails probes, or all ways do, while at least `min_workers` workers do their
    /// work.
    #[must_use]
    pub fn is_path_fault(&self, min_workers: u16) -> bool {
        let needed = min_workers.max(1);
        let excused = self.starved.saturating_add(self.busy);
        let by_path = self.proven.saturating_add(excused);
        let by_any = by_path.saturating_add(self.detoured).saturating_add(self.served);
        by_path < needed && needed <= by_any && !self.is_overloaded
    }

    /// Whether the round proves that the address was answered when it was asked: at least `min_workers` workers (0
    /// counts as 1) gave a right answer in time. Only such a round renews the lease. A round that is not judged may be
    /// a proof: a prover that has to wait for its CPU sees fewer answers than there are, never more.
    #[must_use]
    pub fn is_proof(&self, min_workers: u16) -> bool {
        self.answered() >= min_workers.max(1)
    }
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
