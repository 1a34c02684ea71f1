//! The machine: rounds, orders and time in, transitions out. One for each service address.

use core::time::Duration;

use super::jitter::Jitter;
use super::streak::{Streaks, Verdict};
use super::traffic::Traffic;
use super::{LastStance, Observation, PolicyMemory, PolicySettings, Reason, Stance};

/// Queries over TCP that fail in a row, with nothing overloaded, until TCP counts as dead on an announced address: time
/// for the listener to be repaired. One is enough to keep an address from being announced.
pub const TCP_FAILURES_MAX: u32 = 3;
/// The jitter of a hold-down is below one part in so many of it.
const HOLD_DOWN_JITTER_PART: u32 = 4;
/// After a withdrawal up to one round in so many is asked for beyond `rise`, so that nodes whose common fault outlasted
/// their hold-down, and ends at once for all, do not return at once.
const RISE_JITTER_PART: u32 = 2;

/// What is to be done about one service address. Says so and does nothing itself.
///
/// Its owner calls [`observe`](Self::observe) for each round, [`tick`](Self::tick) at [`deadline`](Self::deadline), and
/// gives each address the orders that are for the whole site. `now` never goes back.
#[derive(Clone, Debug)]
pub struct Policy {
    settings: PolicySettings,
    jitter: Jitter,
    state: State,
    reason: Reason,
    /// When the stance began.
    since: Duration,
    /// The last rounds.
    streaks: Streaks,
    /// Queries over TCP that failed since the last one that did not.
    tcp_failures: u32,
    /// What is known of the clients.
    traffic: Traffic,
    /// When the last round came that was judged or a proof; `None` before the first and after a silence.
    last_round_at: Option<Duration>,
    /// Withdrawals that are not forgotten; the next hold-down doubles so often.
    withdrawals: u32,
    /// Before a withdrawal that all sites may be about to make.
    guarding: Option<Guarding>,
}

/// The look for another site.
#[derive(Clone, Copy, Debug)]
struct Guarding {
    /// Since when.
    since: Duration,
    /// Since when one has been seen without a break.
    seen_since: Option<Duration>,
}

/// Where an address is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Not announced. It will be after so many good rounds in a row, and not before a moment.
    Down { until: Duration, rise: u32 },
    /// Announced without a break since a moment, perhaps less attractively.
    Up { is_degraded: bool, since: Duration },
    /// On order degraded for a while, so that traffic moves before the address goes.
    Leaving { until: Duration, order: Leave },
    /// Kept away by the operator.
    Drained,
    /// Away for good, and after a restart not back before a moment.
    Stopped { until: Duration },
}

/// What an address leaves for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leave {
    /// A drain.
    Drain,
    /// The end of the process.
    Stop,
}

/// What the operator, or the end of the process, asks of every address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Order {
    /// Withdraw, whatever is proven; degraded before for [`PolicySettings::degrade_first`].
    Drain,
    /// Announce again as soon as `rise` good rounds prove it. Ends a drain, and a hold-down too: who asks has looked.
    /// Does nothing to an address that is announced.
    Resume,
    /// Withdraw for good, in the same way.
    Stop,
}

/// A change of stance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transition {
    /// When.
    pub at: Duration,
    /// What it was.
    pub from: Stance,
    /// What it is.
    pub to: Stance,
    /// Why.
    pub reason: Reason,
}

impl Leave {
    /// Why the address leaves.
    fn reason(self) -> Reason {
        match self {
            Self::Drain => Reason::Drained,
            Self::Stop => Reason::Stopping,
        }
    }
}

impl Policy {
    /// Makes a policy for an address that is not announced and of which nothing is proven. `seed` spreads in time what
    /// many nodes would otherwise do together: it should differ from node to node.
    #[must_use]
    pub fn new(now: Duration, settings: PolicySettings, seed: u64) -> Self {
        Self {
            settings,
            jitter: Jitter::new(seed),
            state: State::Down { until: now, rise: settings.rise.max(1) },
            reason: Reason::Starting,
            since: now,
            streaks: Streaks::default(),
            tcp_failures: 0,
            traffic: Traffic::default(),
            last_round_at: None,
            withdrawals: 0,
            guarding: None,
        }
    }

    /// Makes a policy for an address that an earlier run had. What was held down stays so for what is left of it, at
    /// most the longest hold-down there is. What was announced was withdrawn by a crash, and is held down as for any
    /// other fault.
    #[must_use]
    pub fn resume(now: Duration, settings: PolicySettings, seed: u64, memory: PolicyMemory) -> Self {
        let mut policy = Self::new(now, settings, seed);
        policy.withdrawals = memory.withdrawals;
        match memory.last {
            LastStance::Announced { ago } => {
                policy.forget(ago);
                policy.state = policy.held_down(now);
            }
            LastStance::Held { left } => {
                let most = settings.hold_down_max.saturating_add(settings.hold_down_max / HOLD_DOWN_JITTER_PART);
                let until = now.saturating_add(left.min(most));
                policy.state = State::Down { until, rise: settings.rise.max(1) };
            }
        }
        policy
    }

    /// Returns what is to be remembered over a restart. It changes with the stance, with an order, and with time.
    #[must_use]
    pub fn memory(&self, now: Duration) -> PolicyMemory {
        let last = match self.state {
            State::Up { since, .. } => LastStance::Announced { ago: now.saturating_sub(since) },
            State::Down { until, .. } | State::Stopped { until } => {
                LastStance::Held { left: until.saturating_sub(now) }
            }
            State::Leaving { .. } | State::Drained => LastStance::Held { left: Duration::ZERO },
        };
        PolicyMemory { withdrawals: self.withdrawals, last }
    }

    /// Takes what the prover saw in one round. A round that is not judged counts neither for a rise nor for a fall; if
    /// it is a proof, it ends a silence.
    pub fn observe(&mut self, now: Duration, round: &Observation) -> Option<Transition> {
        let silenced = self.tick(now);
        if round.is_judged || round.is_proof(self.settings.min_workers) {
            self.last_round_at = Some(now);
        }
        let is_path_fault = round.is_judged.then(|| round.is_path_fault(self.settings.min_workers));
        self.traffic.note(now, round.clients, is_path_fault);
        if !round.is_judged {
            return silenced;
        }
        self.count_tcp(round);
        let verdict = Verdict::of(round, self.is_tcp_dead(), self.have_clients_stopped(now), &self.settings);
        self.streaks.count(&verdict);
        // What follows a silence is the first round of the next rise, and no cause for a second transition.
        silenced.or_else(|| self.judge(now, &verdict, round.is_elsewhere))
    }

    /// Lets time go on: withdraws an address of which there was no round for [`PolicySettings::silence`], and one that
    /// was degraded for long enough before it leaves.
    pub fn tick(&mut self, now: Duration) -> Option<Transition> {
        if let State::Leaving { until, order } = self.state
            && now >= until
        {
            return self.left(now, order);
        }
        if now.saturating_sub(self.last_round_at?) < self.settings.silence() {
            return None;
        }
        // Good rounds from before the silence are no part of a rise after it.
        self.last_round_at = None;
        self.streaks = Streaks::default();
        match self.state {
            State::Down { .. } => {
                self.reason = Reason::Unproven;
                None
            }
            State::Up { since, .. } => self.hold_down(now, since, Reason::Unproven),
            State::Leaving { order, .. } => self.left(now, order),
            State::Drained | State::Stopped { .. } => None,
        }
    }

    /// Takes note that the lease has run out for want of a proof, though no round said that an address is not answered,
    /// as when its workers get no CPU. It has left the network already; this keeps it from coming and going undamped.
    pub fn lapse(&mut self, now: Duration) -> Option<Transition> {
        match self.state {
            State::Up { since, .. } => {
                self.streaks = Streaks::default();
                self.hold_down(now, since, Reason::Unproven)
            }
            State::Leaving { order, .. } => self.left(now, order),
            State::Down { .. } | State::Drained | State::Stopped { .. } => None,
        }
    }

    /// Carries out an order.
    pub fn order(&mut self, now: Duration, order: Order) -> Option<Transition> {
        match (self.state, order) {
            (State::Stopped { .. }, Order::Drain | Order::Resume | Order::Stop)
            | (State::Drained | State::Leaving { .. }, Order::Drain)
            | (State::Up { .. } | State::Leaving { order: Leave::Stop, .. }, Order::Resume) => None,
            (State::Leaving { order: Leave::Drain, .. }, Order::Resume) => {
                self.streaks = Streaks::default();
                self.enter(now, State::Up { is_degraded: true, since: now }, Reason::Resumed)
            }
            (State::Leaving { until, .. }, Order::Stop) => {
                self.enter(now, State::Leaving { until, order: Leave::Stop }, Reason::Stopping)
            }
            (State::Down { .. } | State::Drained, Order::Resume) => {
                self.streaks = Streaks::default();
                self.traffic = Traffic::default();
                self.enter(now, State::Down { until: now, rise: self.settings.rise.max(1) }, Reason::Resumed)
            }
            (State::Down { .. }, Order::Drain) => self.enter(now, State::Drained, Reason::Drained),
            (State::Up { since, .. }, Order::Drain) => {
                self.forget(now.saturating_sub(since));
                self.leave(now, Leave::Drain)
            }
            (State::Up { since, .. }, Order::Stop) => {
                self.forget(now.saturating_sub(since));
                self.leave(now, Leave::Stop)
            }
            (State::Down { until, .. }, Order::Stop) => self.enter(now, State::Stopped { until }, Reason::Stopping),
            (State::Drained, Order::Stop) => self.enter(now, State::Stopped { until: now }, Reason::Stopping),
        }
    }

    /// Returns when [`tick`](Self::tick) has something to do if no round comes before; `None` while nothing is
    /// announced.
    #[must_use]
    pub fn deadline(&self) -> Option<Duration> {
        match self.state {
            State::Up { .. } => Some(self.last_round_at?.saturating_add(self.settings.silence())),
            State::Leaving { until, .. } => Some(until),
            State::Down { .. } | State::Drained | State::Stopped { .. } => None,
        }
    }

    /// Returns what is to be done about the address.
    #[must_use]
    pub fn stance(&self) -> Stance {
        match self.state {
            State::Up { is_degraded: false, .. } => Stance::Announce,
            State::Up { is_degraded: true, .. } | State::Leaving { .. } => Stance::Degrade,
            State::Down { .. } | State::Drained | State::Stopped { .. } => Stance::Withdraw,
        }
    }

    /// Returns why. While the address is withdrawn this is what keeps it so now, not what it was withdrawn for.
    #[must_use]
    pub fn reason(&self) -> Reason {
        self.reason
    }

    /// Returns when the stance began.
    #[must_use]
    pub fn since(&self) -> Duration {
        self.since
    }

    /// Counts the query over TCP, if one ended. Where there is overload, its failure shows nothing about the listener.
    fn count_tcp(&mut self, round: &Observation) {
        match round.is_tcp_well {
            Some(true) => self.tcp_failures = 0,
            Some(false) if !round.is_overloaded && round.starved == 0 && round.busy == 0 => {
                self.tcp_failures = self.tcp_failures.saturating_add(1);
            }
            Some(false) | None => {}
        }
    }

    /// Whether TCP has failed often enough to matter where the address is.
    fn is_tcp_dead(&self) -> bool {
        match self.state {
            State::Up { .. } | State::Leaving { .. } => self.tcp_failures >= TCP_FAILURES_MAX,
            State::Down { .. } | State::Drained | State::Stopped { .. } => self.tcp_failures > 0,
        }
    }

    /// Whether clients don't come any more, for no other reason than that they can't.
    fn have_clients_stopped(&self, now: Duration) -> bool {
        let may_have_left = self.settings.is_degrade_seen && self.stance() == Stance::Degrade;
        !may_have_left && self.traffic.has_stopped(now)
    }

    /// Decides after a judged round, which is in the streaks already.
    fn judge(&mut self, now: Duration, verdict: &Verdict, is_elsewhere: bool) -> Option<Transition> {
        let (fall, streaks) = (self.settings.fall.max(1), self.streaks);
        // That clients have stopped was watched for long enough already.
        let is_to_go = streaks.bad >= fall || (streaks.path >= fall && verdict.wants == Stance::Withdraw);
        if !is_to_go {
            self.guarding = None;
        }
        match self.state {
            State::Up { since, .. } if is_to_go => match self.guarded(now, verdict, is_elsewhere) {
                Some(reason) => self.enter(now, State::Up { is_degraded: true, since }, reason),
                None => self.hold_down(now, since, verdict.reason),
            },
            State::Up { is_degraded: false, since } if streaks.poor >= fall => {
                self.enter(now, State::Up { is_degraded: true, since }, verdict.reason)
            }
            State::Up { is_degraded: true, since } if streaks.good >= self.settings.rise.max(1) => {
                self.enter(now, State::Up { is_degraded: false, since }, Reason::Proven)
            }
            State::Up { is_degraded, .. } => {
                if verdict.wants == self.stance() {
                    self.reason = verdict.reason;
                } else if is_degraded && verdict.wants == Stance::Announce {
                    self.reason = Reason::Rising { rounds: streaks.good, needed: self.settings.rise.max(1) };
                }
                None
            }
            State::Down { until, rise } if streaks.fair >= rise && now < until => {
                self.reason = Reason::HoldDown { until };
                None
            }
            State::Down { rise, .. } if streaks.good >= rise => {
                self.enter(now, State::Up { is_degraded: false, since: now }, Reason::Proven)
            }
            State::Down { rise, .. } if streaks.fair >= rise && verdict.wants == Stance::Degrade => {
                self.enter(now, State::Up { is_degraded: true, since: now }, verdict.reason)
            }
            State::Down { rise, .. } => {
                // The reason fits what is seen now, not what was seen when it was withdrawn.
                let rising = Reason::Rising { rounds: streaks.fair, needed: rise };
                self.reason = if streaks.fair == 0 { verdict.reason } else { rising };
                None
            }
            State::Leaving { order, .. } if streaks.bad >= fall => self.left(now, order),
            State::Leaving { .. } | State::Drained | State::Stopped { .. } => None,
        }
    }

    /// Whether an address that is to be withdrawn stays all the same, degraded, and why. Another site counts once it
    /// has been seen for a while: where all fall ill at once, the last one is seen well for a moment by all others.
    fn guarded(&mut self, now: Duration, verdict: &Verdict, is_elsewhere: bool) -> Option<Reason> {
        let guard = self.settings.guard.filter(|_| verdict.reason.may_be_shared())?;
        let guarding = self.guarding.get_or_insert(Guarding { since: now, seen_since: None });
        guarding.seen_since = is_elsewhere.then(|| guarding.seen_since.unwrap_or(now));
        let has_waited = |since: Duration| now.saturating_sub(since) >= guard.wait;
        match (has_waited(guarding.since), guarding.seen_since) {
            (true, Some(seen_since)) if has_waited(seen_since) => None,
            (true, None) if guard.withdraws_unseen => None,
            (true, _) => Some(Reason::LastSite),
            (false, _) => Some(verdict.reason),
        }
    }

    /// Has an announced address leave on order, degraded first where that is wanted.
    fn leave(&mut self, now: Duration, order: Leave) -> Option<Transition> {
        if self.settings.degrade_first.is_zero() {
            return self.left(now, order);
        }
        let until = now.saturating_add(self.settings.degrade_first);
        self.enter(now, State::Leaving { until, order }, order.reason())
    }

    /// Withdraws what has left.
    fn left(&mut self, now: Duration, order: Leave) -> Option<Transition> {
        let state = match order {
            Leave::Drain => State::Drained,
            Leave::Stop => State::Stopped { until: now },
        };
        self.enter(now, state, order.reason())
    }

    /// Withdraws an address that was announced since `since`, for longer than the last time.
    fn hold_down(&mut self, now: Duration, since: Duration, reason: Reason) -> Option<Transition> {
        self.forget(now.saturating_sub(since));
        let state = self.held_down(now);
        self.guarding = None;
        self.enter(now, state, reason)
    }

    /// Counts a withdrawal and says where it leads to.
    fn held_down(&mut self, now: Duration) -> State {
        let held = self.settings.hold_down_after(self.withdrawals);
        let held = held.saturating_add(self.jitter.below(held / HOLD_DOWN_JITTER_PART));
        let rise = self.settings.rise.max(1);
        let rise = rise.saturating_add(self.jitter.up_to(rise / RISE_JITTER_PART));
        self.withdrawals = self.withdrawals.saturating_add(1);
        State::Down { until: now.saturating_add(held), rise }
    }

    /// Forgets earlier withdrawals if the address was announced for long enough.
    fn forget(&mut self, announced: Duration) {
        if announced >= self.settings.hold_down_memory {
            self.withdrawals = 0;
        }
    }

    /// Goes to a state, and returns the change if the stance is another one there.
    fn enter(&mut self, now: Duration, state: State, reason: Reason) -> Option<Transition> {
        let from = self.stance();
        (self.state, self.reason) = (state, reason);
        let to = self.stance();
        (from != to).then(|| {
            self.since = now;
            Transition { at: now, from, to, reason }
        })
    }
}
