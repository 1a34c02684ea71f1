//! One policy for each service address: what the prover sees goes in, and what the policies want goes to the
//! announcers.
//!
//! Run by the prover's thread and by nobody else. The control plane sets flags and reads what is published here.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;

use crate::admin::history::History;
use crate::announce::{Announcer, Announcers};
use crate::daemon::drain::{DrainFlag, DrainSeen};
use crate::daemon::hold_down::HoldDownWriter;
use crate::health;
use crate::policy::{
    Decision, LastStance, Observation, Order, Policy, PolicyMemory, PolicySettings, Reason, SharedFault, Stance,
    Transition,
};

/// What is asked of the policies; read each round.
pub(super) struct Orders {
    pub(super) drain: Arc<DrainFlag>,
    pub(super) is_stopping: AtomicBool,
}

/// How an address stands.
#[derive(Clone, Debug)]
pub(super) struct AddressStatus {
    pub(super) stance: Stance,
    /// The stance, with what it began for.
    decision: Decision,
    pub(super) reason: Reason,
    pub(super) since: Duration,
    pub(super) announcements: u64,
    pub(super) withdrawals: u64,
}

/// What is published after each round. No lock: whoever reads must not hold up a round.
#[derive(Clone, Debug, Default)]
pub(super) struct Published {
    /// By address.
    pub(super) statuses: Arc<ArcSwap<Vec<AddressStatus>>>,
    /// The last changes.
    pub(super) history: Arc<ArcSwap<History>>,
}

/// The zones that are served and awaited.
pub(super) struct ZonesSeen {
    /// Whether no zone is served at all, and how many have never come from their primaries.
    pub(super) read: Box<dyn Fn() -> (bool, usize) + Send>,
    /// What is wrong with zones from primaries that other sites are likely to have too.
    pub(super) shared: Box<dyn Fn() -> Option<SharedFault> + Send>,
    /// Until when the first announcement waits for zones that have never come.
    pub(super) wait_until: Duration,
}

impl ZonesSeen {
    /// Whether no zone is served at all, and how many the first announcement waits for.
    fn look(&mut self, now: Duration, mut stances: impl Iterator<Item = Stance>) -> (bool, usize) {
        let (is_zoneless, awaited) = (self.read)();
        if stances.any(|stance| stance != Stance::Withdraw) {
            self.wait_until = Duration::ZERO;
        } else if now >= self.wait_until && !self.wait_until.is_zero() && awaited > 0 {
            self.wait_until = Duration::ZERO;
            tracing::error!(
                zones = awaited,
                "`anycast.zones-wait` is over, and zones have not come from their primaries; what is proven is \
                announced without them"
            );
        }
        (is_zoneless, if now < self.wait_until { awaited } else { 0 })
    }
}

/// The policies, and what they have led to so far.
pub(super) struct PolicyRunner {
    policies: Vec<Policy>,
    names: Vec<String>,
    drain: DrainSeen,
    announcers: Announcers,
    zones: ZonesSeen,
    /// How often each lease had run out when the last round was judged.
    lapses: Vec<u64>,
    orders: Arc<Orders>,
    history: History,
    published: Published,
    /// Changes that are not carried out yet: the address's number in the history, and when it was.
    pending: Vec<Option<(u64, Duration)>>,
    origin: Instant,
    /// Who writes what is remembered over a restart, and whether anything was noted yet.
    memory: Option<Arc<HoldDownWriter>>,
    is_memory_noted: bool,
}

impl PolicyRunner {
    /// `memory` is what earlier runs left, by address; nothing without a state folder.
    pub(super) fn new(
        addresses: &[IpAddr],
        settings: PolicySettings,
        (seed, memory): (u64, &[Option<PolicyMemory>]),
        (origin, announcers): (Instant, Announcers),
        zones: ZonesSeen,
        orders: Arc<Orders>,
        writer: Option<Arc<HoldDownWriter>>,
    ) -> Self {
        let now = origin.elapsed();
        let make = |(index, address): (usize, &IpAddr)| {
            let seed = seed.wrapping_add(index as u64);
            let Some(memory) = memory.get(index).copied().flatten() else { return Policy::new(now, settings, seed) };
            let policy = Policy::resume(now, settings, seed, memory);
            log_held_down(address, memory, policy.memory(now));
            policy
        };
        let policies: Vec<Policy> = addresses.iter().enumerate().map(make).collect();
        let statuses = policies.iter().map(AddressStatus::new).collect();
        Self {
            published: Published { statuses: Arc::new(ArcSwap::from_pointee(statuses)), history: Arc::default() },
            names: addresses.iter().map(ToString::to_string).collect(),
            drain: DrainSeen::default(),
            announcers,
            zones,
            lapses: vec![0; policies.len()],
            orders,
            history: History::default(),
            pending: vec![None; policies.len()],
            policies,
            origin,
            memory: writer,
            is_memory_noted: false,
        }
    }

    /// Returns where what is published is found.
    pub(super) fn published(&self) -> Published {
        self.published.clone()
    }

    /// What the prover calls after each round.
    pub(super) fn into_on_round(mut self) -> health::OnRound {
        Box::new(move |now, rounds| self.round(now, rounds))
    }

    /// Carries out what was ordered, judges the round, and says what is wanted.
    fn round(&mut self, now: Duration, rounds: &[Observation]) {
        let (order, seen) = (self.order(), self.announcers.seen());
        let (is_zoneless, awaited) = self.zones.look(now, self.policies.iter().map(Policy::stance));
        let (shared, mut is_changed) = ((self.zones.shared)(), order.is_some());
        let mut statuses = Vec::clone(&self.published.statuses.load());
        for (index, (policy, round)) in self.policies.iter_mut().zip(rounds).enumerate() {
            let ordered = order.and_then(|order| policy.order(now, order));
            let lapses = seen[index].lapses;
            let is_lapsed = std::mem::replace(&mut self.lapses[index], lapses) != lapses;
            let lapsed = if is_lapsed { policy.lapse(now) } else { None };
            let is_elsewhere = seen[index].is_elsewhere;
            let shared = round.shared.or(shared);
            let round = Observation { is_zoneless, awaited, is_elsewhere, shared, ..*round };
            let changes = [ordered, lapsed, policy.observe(now, &round)];
            for change in changes.into_iter().flatten() {
                is_changed = true;
                statuses[index].decision = Decision { stance: change.to, reason: change.reason };
                match change.to {
                    Stance::Announce if change.from == Stance::Withdraw => statuses[index].announcements += 1,
                    Stance::Withdraw => statuses[index].withdrawals += 1,
                    Stance::Announce | Stance::Degrade => {}
                }
                let name = &self.names[index];
                log_change(name, &change);
                let (at, reason) = (self.origin + change.at, change.reason.to_string());
                let number = self.history.begin(at, name, change.from, change.to, &reason);
                self.pending[index] = Some((number, change.at));
            }
            statuses[index].update(policy);
        }
        let wanted: Vec<Decision> = statuses.iter().map(|status| status.decision).collect();
        self.announcers.want(&wanted);
        if let Some(memory) = self.memory.as_ref().filter(|_| is_changed || !self.is_memory_noted) {
            memory.note(self.policies.iter().map(|policy| policy.memory(now)).collect(), order == Some(Order::Stop));
            self.is_memory_noted = true;
        }
        self.follow(&statuses);
        self.published.statuses.store(Arc::new(statuses));
    }

    /// What was ordered since the last round.
    fn order(&mut self) -> Option<Order> {
        if self.orders.is_stopping.load(Ordering::Acquire) {
            return Some(Order::Stop);
        }
        self.drain.order(&self.orders.drain)
    }

    /// Notes how long it took until changes were carried out.
    fn follow(&mut self, statuses: &[AddressStatus]) {
        if self.pending.iter().all(Option::is_none) {
            return;
        }
        let seen = self.announcers.seen();
        for ((pending, wanted), seen) in self.pending.iter_mut().zip(statuses).zip(&seen) {
            let is_followed = seen.is_done && seen.stance == wanted.stance;
            let Some((number, at)) = pending.take_if(|_| is_followed) else { continue };
            let what = if seen.is_announced { "the address is announced" } else { "it is announced no longer" };
            self.history.step(number, what, seen.since.saturating_sub(at));
        }
        self.published.history.store(Arc::new(self.history.clone()));
    }
}

impl AddressStatus {
    /// How an address stands at the start.
    fn new(policy: &Policy) -> Self {
        Self {
            stance: policy.stance(),
            decision: Decision { stance: policy.stance(), reason: policy.reason() },
            reason: policy.reason(),
            since: policy.since(),
            announcements: 0,
            withdrawals: 0,
        }
    }

    /// Takes over how it stands now.
    fn update(&mut self, policy: &Policy) {
        (self.stance, self.reason, self.since) = (policy.stance(), policy.reason(), policy.since());
        // Of an address that was withdrawn already.
        if matches!(self.reason, Reason::Drained | Reason::Stopping) {
            self.decision.reason = self.reason;
        }
    }
}

/// Says that an address is held down since before the start, and why.
fn log_held_down(address: &IpAddr, before: PolicyMemory, now: PolicyMemory) {
    let LastStance::Held { left } = now.last else { return };
    if left.is_zero() {
        return;
    }
    let why = match before.last {
        LastStance::Announced { .. } => "the run before ended without withdrawing it",
        LastStance::Held { .. } => "it was held down when the run before ended",
    };
    tracing::warn!(%address, ?left, withdrawals = now.withdrawals, "the address is held down: {why}");
}

/// One line for each change, with its cause.
fn log_change(address: &str, change: &Transition) {
    let (from, to) = (change.from.word(), change.to.word());
    let (cause, why) = (change.reason.code(), change.reason);
    if change.to == Stance::Announce {
        tracing::info!(address, from, to, cause, "the stance has changed: {why}");
    } else {
        tracing::warn!(address, from, to, cause, "the stance has changed: {why}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::announce::tests::Recorder;
    use std::sync::atomic::AtomicUsize;

    /// Two announcers and a runner of one address for them, with its orders.
    fn open() -> ([Arc<Recorder>; 2], Arc<Orders>, PolicyRunner) {
        open_awaiting(Arc::default())
    }

    /// The same where so many zones have not come, which is waited for until ten seconds have passed.
    fn open_awaiting(awaited: Arc<AtomicUsize>) -> ([Arc<Recorder>; 2], Arc<Orders>, PolicyRunner) {
        let recorders = [Recorder::new(1), Recorder::new(1)];
        let announcers = recorders.iter().map(|recorder| Arc::clone(recorder) as Arc<dyn Announcer>).collect();
        let orders = Arc::new(Orders { drain: Arc::default(), is_stopping: AtomicBool::new(false) });
        let runner = PolicyRunner::new(
            &["192.0.2.53".parse().expect("an address")],
            PolicySettings { rise: 1, ..PolicySettings::default() },
            (0, &[]),
            (Instant::now(), Announcers::new(announcers)),
            ZonesSeen {
                read: Box::new(move || (false, awaited.load(Ordering::Relaxed))),
                shared: Box::new(|| None),
                wait_until: Duration::from_secs(10),
            },
            Arc::clone(&orders),
            None,
        );
        (recorders, orders, runner)
    }

    #[test]
    fn a_change_is_carried_out_when_every_announcer_has_done_it() {
        let (recorders, orders, mut runner) = open();
        let published = runner.published();
        let mut now = Duration::from_secs(1);
        let mut round = |work: &[usize]| {
            work.iter().for_each(|index| recorders[*index].work());
            now += Duration::from_millis(50);
            runner.round(now, &[Observation { proven: 1, is_judged: true, ..Observation::NOTHING }]);
            let stance = published.statuses.load()[0].stance;
            let changes = published.history.load().transitions(Instant::now());
            (stance, changes.first().map(|change| change.steps.len()))
        };
        assert_eq!(round(&[]), (Stance::Announce, Some(0)), "each knows");
        assert_eq!(round(&[0]), (Stance::Announce, Some(0)), "one has done it");
        assert_eq!(round(&[1]), (Stance::Announce, Some(1)), "both have");
        orders.is_stopping.store(true, Ordering::Release);
        assert_eq!(round(&[]), (Stance::Withdraw, Some(0)));
        assert_eq!(round(&[1]), (Stance::Withdraw, Some(0)));
        assert_eq!(round(&[0]), (Stance::Withdraw, Some(1)));
    }

    #[test]
    fn the_first_announcement_waits_for_zones_and_no_other_does() {
        const TICK: Duration = Duration::from_millis(500);
        let well = [Observation { proven: 1, is_judged: true, ..Observation::NOTHING }];
        for comes_at in [Some(7), None] {
            let awaited = Arc::new(AtomicUsize::new(2));
            let (_recorders, _orders, mut runner) = open_awaiting(Arc::clone(&awaited));
            let published = runner.published();
            let mut first = None;
            for tick in 1..=30 {
                if comes_at == Some(tick) {
                    awaited.store(0, Ordering::Relaxed);
                }
                runner.round(TICK * tick, &well);
                let status = published.statuses.load()[0].clone();
                match status.stance {
                    Stance::Announce => drop(first.get_or_insert(tick)),
                    _ => assert_eq!(status.reason, Reason::ZonesAwaited { zones: 2 }, "{tick}"),
                }
                if first.is_some() {
                    // One that is configured later.
                    awaited.store(1, Ordering::Relaxed);
                }
            }
            assert_eq!(first, Some(comes_at.unwrap_or(20)));
            assert_eq!(published.statuses.load()[0].withdrawals, 0);
        }
    }

    #[test]
    fn an_announcer_whose_lease_ran_out_holds_the_address_down_for_all() {
        let (recorders, _orders, mut runner) = open();
        let well = [Observation { proven: 1, is_judged: true, ..Observation::NOTHING }];
        runner.round(Duration::from_secs(1), &well);
        recorders.iter().for_each(|recorder| recorder.work());
        recorders[1].lapse();
        runner.round(Duration::from_secs(2), &well);
        recorders.iter().for_each(|recorder| recorder.work());
        assert_eq!(runner.published().statuses.load()[0].stance, Stance::Withdraw);
        assert!(recorders.iter().all(|recorder| !recorder.seen()[0].is_announced));
    }
}
