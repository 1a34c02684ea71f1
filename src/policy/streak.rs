//! What one round wants, and how many rounds in a row have wanted it.

use super::{Observation, PolicySettings, Reaction, Reason, Stance};

/// What one judged round wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    /// The stance that the round asks for.
    pub(super) wants: Stance,
    /// Whether it proves that the address is answered.
    pub(super) is_proof: bool,
    /// Whether probes don't come through, though the workers do their work.
    pub(super) is_path_fault: bool,
    /// Why, with the worst cause first.
    pub(super) reason: Reason,
}

impl Verdict {
    /// Judges a round. `is_tcp_dead`: queries over TCP have failed often enough; `has_stopped`: clients are due and
    /// don't come.
    pub(super) fn of(round: &Observation, is_tcp_dead: bool, has_stopped: bool, settings: &PolicySettings) -> Self {
        let needed = settings.min_workers.max(1);
        let (is_proof, is_path_fault) = (round.is_proof(needed), round.is_path_fault(needed));
        let verdict = |wants, reason| Self { wants, is_proof, is_path_fault, reason };
        // Own faults. Whoever comes here gets an error about every name.
        if round.awaited > 0 {
            return verdict(Stance::Withdraw, Reason::ZonesAwaited { zones: round.awaited });
        }
        if round.is_zoneless {
            return verdict(Stance::Withdraw, Reason::NoZone);
        }
        // A worker that answers wrong is not replaced as a wedged one is, and its share of the clients would
        // go on hearing what is not right; so one is enough.
        if round.wrong > 0 {
            return verdict(Stance::Withdraw, Reason::WrongAnswer { workers: round.wrong });
        }
        // Where no way leads to the workers, the one that TCP is asked over does not either.
        if is_tcp_dead && (!is_path_fault || is_proof) {
            return verdict(Stance::Withdraw, Reason::TcpDead);
        }
        let answering = round.answered().saturating_add(round.served);
        let excused = round.starved.saturating_add(round.busy);
        if answering.saturating_add(excused) < needed && !round.is_overloaded {
            return verdict(Stance::Withdraw, Reason::TooFewWorkers { proven: round.answered(), needed });
        }
        if is_path_fault && has_stopped {
            return verdict(Stance::Withdraw, Reason::PathBlocked);
        }
        // What other sites may have too.
        let is_overload = round.is_overloaded || answering < needed;
        let causes = [
            is_overload.then_some((settings.on_overload, Reason::Overload)),
            is_path_fault.then_some((settings.on_path, Reason::PathFault)),
            round.shared.map(|fault| (settings.on_shared, Reason::Shared(fault))),
        ];
        let worst = causes.into_iter().flatten().rev().max_by_key(|(reaction, _)| reaction.stance());
        worst.map_or(verdict(Stance::Announce, Reason::Proven), |(reaction, reason)| verdict(reaction.stance(), reason))
    }
}

impl Reaction {
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
    /// Have a fault of the path.
    pub(super) path: u32,
}

impl Streaks {
    /// Counts a round. One that is absorbed without being a proof is of no kind: it ends a rise and does not withdraw.
    pub(super) fn count(&mut self, verdict: &Verdict) {
        let next = |count: u32, is_of_kind: bool| if is_of_kind { count.saturating_add(1) } else { 0 };
        self.good = next(self.good, verdict.is_proof && verdict.wants == Stance::Announce);
        self.fair = next(self.fair, verdict.is_proof && verdict.wants <= Stance::Degrade);
        self.poor = next(self.poor, verdict.wants >= Stance::Degrade);
        self.bad = next(self.bad, verdict.wants == Stance::Withdraw);
        self.path = next(self.path, verdict.is_path_fault);
    }
}
