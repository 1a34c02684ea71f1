//! What a policy remembers over a restart: that an address was withdrawn before, and how long it is still to stay away.
//!
//! Durations here are ages and what is left, not moments: those who write and read them may live on different clocks.

use core::time::Duration;

/// What is to be remembered of one service address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PolicyMemory {
    /// Withdrawals that are not forgotten; the next hold-down doubles so often.
    pub withdrawals: u32,
    /// How the address stood.
    pub last: LastStance,
}

/// How an address stood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LastStance {
    /// It was announced, for so long. Whoever finds this at a start knows that nobody has withdrawn it: the process
    /// crashed.
    Announced {
        /// For how long.
        ago: Duration,
    },
    /// It was withdrawn, and is held down.
    Held {
        /// For how much longer; zero where nothing holds it.
        left: Duration,
    },
}

impl PolicyMemory {
    /// The same, some time later.
    #[must_use]
    pub fn later(self, passed: Duration) -> Self {
        let last = match self.last {
            LastStance::Announced { ago } => LastStance::Announced { ago: ago.saturating_add(passed) },
            LastStance::Held { left } => LastStance::Held { left: left.saturating_sub(passed) },
        };
        Self { last, ..self }
    }
}
