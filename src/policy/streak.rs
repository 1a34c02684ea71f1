//! What one round wants, and how many rounds in a row have wanted it.

use super::{Observation, Reason, Response, Settings, Stance};

/// What one judged round wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    /// The stance that the round asks for.
    pub(super) wants: Stance,
    /// Whether it proves that the address is answered.
    pub(super) is_proof: bool,
    /// Why, with the worst cause first.
    pub(super) reason: Reason,
}

impl Verdict {
    /// Judges a round. `is_tcp_dead`: queries over TCP have failed often enough.
    pub(super) fn of(round: &Observation, is_tcp_dead: bool, settings: &Settings) -> Self {
        let needed = settings.min_workers.max(1);
        let is_proof = round.is_proof(needed);
        let verdict = |wants, reason| Self { wants, is_proof, reason };
        // Own faults. Whoever comes here hears an error about every name.
        if round.is_zoneless {
            return verdict(Stance::Withdraw, Reason::NoZone);
        }
        // A worker that answers wrong is not replaced as a wedged one is, and its share of the clients would
        // go on hearing what is not right; so one is enough.
        if round.wrong > 0 {
            return verdict(Stance::Withdraw, Reason::WrongAnswer { workers: round.wrong });
        }
        if is_tcp_dead {
            return verdict(Stance::Withdraw, Reason::TcpDead);
        }
        let is_excused = round.is_overloaded || round.proven.saturating_add(round.starved) >= needed;
        if !is_proof && !is_excused {
            return verdict(Stance::Withdraw, Reason::TooFewWorkers { proven: round.proven, needed });
        }
        // What other sites may have too.
        let is_overload = round.is_overloaded || !is_proof;
        let overload = is_overload.then(|| verdict(settings.on_overload.stance(), Reason::Overload));
        let shared = round.shared.map(|fault| verdict(settings.on_shared.stance(), Reason::Shared(fault)));
        match (overload, shared) {
            (Some(overload), Some(shared)) if shared.wants > overload.wants => shared,
            (Some(overload), _) => overload,
            (None, Some(shared)) => shared,
            (None, None) => verdict(Stance::Announce, Reason::Proven),
        }
    }
}

impl Response {
    /// The stance that it asks for.
    fn stance(self) -> Stance {
        match self {
            Self::Absorb => Stance::Announce,
            Self::Degrade => Stance::Degrade,
            Self::Withdraw => Stance::Withdraw,
        }
    }
}

/// How many judged rounds in a row, up to the last one, were of a kind. A round can be of several kinds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Streaks {
    /// Proof, and want [`Stance::Announce`].
    pub(super) good: u32,
    /// Proof, and want [`Stance::Announce`] or [`Stance::Degrade`].
    pub(super) fair: u32,
    /// Want [`Stance::Degrade`] or [`Stance::Withdraw`].
    pub(super) poor: u32,
    /// Want [`Stance::Withdraw`].
    pub(super) bad: u32,
}

impl Streaks {
    /// Counts a round. One that is absorbed without being a proof is of no kind: it ends a rise and does not withdraw.
    pub(super) fn count(&mut self, verdict: &Verdict) {
        let next = |count: u32, is_of_kind: bool| if is_of_kind { count.saturating_add(1) } else { 0 };
        self.good = next(self.good, verdict.is_proof && verdict.wants == Stance::Announce);
        self.fair = next(self.fair, verdict.is_proof && verdict.wants <= Stance::Degrade);
        self.poor = next(self.poor, verdict.wants >= Stance::Degrade);
        self.bad = next(self.bad, verdict.wants == Stance::Withdraw);
    }
}
