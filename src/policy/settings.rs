//! What the operator may set, with defaults and what follows from them.

use core::time::Duration;

/// How long beyond `fall` rounds the prover may be silent before an announced address is withdrawn. A prover that
/// shares its CPUs with other work is late now and then, and that is no fault of the workers. With the defaults the
/// silence is 1 s in all, as long as the default lease, which by then has run out by itself.
pub const SILENCE_MARGIN: Duration = Duration::from_millis(800);

/// How one service address is judged. 0 counts as 1 in `fall`, `rise` and `min_workers`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PolicySettings {
    /// From one round of canaries to the next. Default: 50 ms.
    pub interval: Duration,
    /// How long a worker may take to answer. Default: 50 ms.
    pub timeout: Duration,
    /// Bad rounds in a row that withdraw or degrade. Default: 2, so that one lost packet does nothing and a fault is
    /// out of the way within 200 ms.
    pub fall: u32,
    /// Good rounds in a row that announce. Default: 20, one second of unbroken service.
    pub rise: u32,
    /// Workers that must answer right. Default: 1; the configuration makes its own from the number of workers.
    pub min_workers: u16,
    /// What overload does: queries dropped because a worker that answers can't keep up, or workers that wait for a CPU.
    /// Default: absorb (RFC 9199 §3.4).
    ///
    /// With [`Reaction::Withdraw`] a flood moves on to the sites that are left, and nothing here bounds how many of
    /// them go dark, nor for how long: where all have withdrawn, who returns first gets what all are needed for, and
    /// falls again. Only the churn is bounded, by the hold-down; an order to resume on all nodes at once brings them
    /// back. So withdraw only where others have room for all that this site carries.
    pub on_overload: Reaction,
    /// What a fault does that other sites are likely to have too: a dead primary, an expired zone. Default: absorb.
    pub on_shared: Reaction,
    /// What is done where probes do not come through the way of clients, though the workers answer, and nothing shows
    /// that clients do not come through either. Default: degrade. Where clients were due and stopped coming at the same
    /// time, the address is withdrawn, whatever is said here.
    pub on_path: Reaction,
    /// Whether routers see a degraded address as such. Then its clients may leave because of that, and that they are
    /// silent shows nothing. Default: no.
    pub is_degrade_seen: bool,
    /// What is done before a withdrawal for a fault that other sites are likely to have too. Default: nothing.
    pub guard: Option<Guard>,
    /// How long an address is degraded before it is withdrawn on order. Default: 0.
    pub degrade_first: Duration,
    /// How long a withdrawn address stays so after the first withdrawal, however well it is. Default: 5 s. It doubles
    /// with each further one; up to a quarter is added by chance, so that nodes that fell together return one by one.
    ///
    /// Why 5 s: a node that fails whenever it is announced then stays below the suppress threshold that RFC 7196
    /// recommends (6,000, at 1,000 a withdrawal and a half-life of 15 minutes). A router that damps by it never adds
    /// dark time of its own.
    pub hold_down: Duration,
    /// What the hold-down doubles up to, before the jitter. Default: 5 min, which keeps below the same threshold for
    /// ever and makes at most 12 announcements an hour.
    pub hold_down_max: Duration,
    /// How long an address must be announced without a break until earlier withdrawals are forgotten. Default: 10 min.
    pub hold_down_memory: Duration,
}

/// The last site stays: an address that is to be withdrawn for a fault that other sites are likely to have too is
/// degraded first, and withdrawn once a path of another site, one that is not degraded, has been seen for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Guard {
    /// How long one is looked for, and is to be seen.
    pub wait: Duration,
    /// Whether the address is withdrawn where none was seen by then; else it stays, degraded, until one is.
    pub withdraws_unseen: bool,
}

/// What is done about a condition that is not clearly this node's own fault.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Reaction {
    /// Nothing: what can be answered is answered.
    #[default]
    Absorb,
    /// The address is made less attractive where the publisher can, else nothing.
    Degrade,
    /// The address is withdrawn, as for a fault of our own.
    Withdraw,
}

impl PolicySettings {
    /// The defaults that stand with the fields.
    pub const DEFAULT: Self = Self {
        interval: Duration::from_millis(50),
        timeout: Duration::from_millis(50),
        fall: 2,
        rise: 20,
        min_workers: 1,
        on_overload: Reaction::Absorb,
        on_shared: Reaction::Absorb,
        on_path: Reaction::Degrade,
        is_degrade_seen: false,
        guard: None,
        degrade_first: Duration::ZERO,
        hold_down: Duration::from_secs(5),
        hold_down_max: Duration::from_secs(300),
        hold_down_memory: Duration::from_secs(600),
    };

    /// How long an announced address may go without a round that is judged or a proof: `fall` × (`interval` +
    /// `timeout`) and [`SILENCE_MARGIN`].
    #[must_use]
    pub fn silence(&self) -> Duration {
        let round = self.interval.saturating_add(self.timeout);
        round.saturating_mul(self.fall.max(1)).saturating_add(SILENCE_MARGIN)
    }

    /// The hold-down, without its jitter, of a withdrawal that so many remembered ones came before.
    #[must_use]
    pub fn hold_down_after(&self, withdrawals: u32) -> Duration {
        let factor = 1_u32.checked_shl(withdrawals).unwrap_or(u32::MAX);
        self.hold_down.saturating_mul(factor).min(self.hold_down_max)
    }
}

impl Default for PolicySettings {
    fn default() -> Self {
        Self::DEFAULT
    }
}
