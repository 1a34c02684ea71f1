//! Fleets in fake time: a thousand nodes, each with a policy of its own, under faults that all have and faults that
//! each has alone.

use std::collections::BTreeMap;
use std::time::Duration;

use fated::policy::{
    Guard, Observation, Order, Policy, PolicySettings, Reaction, Reason, SharedFault, Stance, Transition,
};

/// Nodes of a fleet.
const NODES: usize = 1000;
/// A round in which both workers answer.
const GOOD: Observation = Observation { proven: 2, is_judged: true, ..Observation::NOTHING };
/// A round in which neither does.
const BAD: Observation = Observation { proven: 0, late: 2, ..GOOD };

/// Numbers that look random, the same in each run (a linear congruential generator: Knuth, MMIX).
struct Dice(u64);

impl Dice {
    /// A number below `limit`.
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// A thousand policies on one clock.
struct Fleet {
    settings: PolicySettings,
    now: Duration,
    nodes: Vec<Policy>,
    /// What each node did.
    changes: Vec<Vec<Transition>>,
}

impl Fleet {
    /// Makes a fleet and lets it come up.
    fn announced(settings: PolicySettings) -> Self {
        let nodes = (0..NODES).map(|node| Policy::new(Duration::ZERO, settings, node as u64)).collect();
        let mut fleet = Self { settings, now: Duration::ZERO, nodes, changes: vec![Vec::new(); NODES] };
        fleet.run(settings.interval * settings.rise, |_, _| GOOD);
        assert_eq!(fleet.count(Stance::Announce), NODES);
        fleet.changes.iter_mut().for_each(Vec::clear);
        fleet
    }

    /// Shows each node one round.
    fn step(&mut self, mut round: impl FnMut(usize, Stance) -> Observation) {
        self.now += self.settings.interval;
        for (index, node) in self.nodes.iter_mut().enumerate() {
            let round = round(index, node.stance());
            self.changes[index].extend(node.observe(self.now, &round));
        }
    }

    /// Lets so much time go by.
    fn run(&mut self, time: Duration, mut round: impl FnMut(usize, Stance) -> Observation) {
        let end = self.now + time;
        while self.now < end {
            self.step(&mut round);
        }
    }

    /// Nodes of a stance.
    fn count(&self, stance: Stance) -> usize {
        self.nodes.iter().filter(|node| node.stance() == stance).count()
    }

    /// The most nodes that came back within any 100 ms.
    fn returned_together_max(&self) -> usize {
        let mut returns: BTreeMap<Duration, usize> = BTreeMap::new();
        for change in self.changes.iter().flatten().filter(|change| change.from == Stance::Withdraw) {
            *returns.entry(change.at).or_default() += 1;
        }
        let window =
            |from: Duration| returns.range(from..=from + Duration::from_millis(100)).map(|(_, count)| count).sum();
        returns.keys().map(|from| window(*from)).max().unwrap_or(0)
    }
}

/// What a healthy node sees now and then beside the shared fault: a round that was not judged, one worker of two late.
fn with_noise(dice: &mut Dice, round: Observation) -> Observation {
    match dice.below(20) {
        0 => Observation { proven: 0, is_judged: false, ..round },
        1 => Observation { proven: round.proven.min(1), late: 1, ..round },
        _ => round,
    }
}

/// A flood: sockets are full, and any number of canaries comes through; now and then workers wait for a CPU instead,
/// and TCP fails.
fn flood(dice: &mut Dice) -> Observation {
    let proven = u16::try_from(dice.below(3)).expect("small");
    let is_tcp_well = (dice.below(20) == 0).then_some(false);
    match dice.below(4) {
        0 => Observation { proven, starved: 2 - proven, is_tcp_well: is_tcp_well.filter(|_| proven < 2), ..GOOD },
        _ => Observation { proven, late: 2 - proven, is_overloaded: true, is_tcp_well, ..GOOD },
    }
}

#[test]
fn a_fault_that_all_share_darkens_no_node() {
    for fault in [SharedFault::Zone, SharedFault::Expired, SharedFault::Primary] {
        let (mut fleet, mut dice) = (Fleet::announced(PolicySettings::default()), Dice(1));
        fleet.run(Duration::from_secs(60), |_, _| with_noise(&mut dice, Observation { shared: Some(fault), ..GOOD }));
        assert_eq!(fleet.count(Stance::Announce), NODES, "{fault:?}");
        assert!(fleet.changes.iter().all(Vec::is_empty), "{fault:?}");
    }
}

#[test]
fn a_flood_darkens_no_node() {
    for (on_overload, expected) in [(Reaction::Absorb, Stance::Announce), (Reaction::Degrade, Stance::Degrade)] {
        let (mut fleet, mut dice) =
            (Fleet::announced(PolicySettings { on_overload, ..PolicySettings::default() }), Dice(2));
        fleet.run(Duration::from_secs(60), |_, _| flood(&mut dice));
        assert_eq!(fleet.count(expected), NODES, "{on_overload:?}");
        assert!(fleet.changes.iter().flatten().all(|change| change.to != Stance::Withdraw), "{on_overload:?}");
    }
}

/// A filter that is rolled out over the whole fleet drops all probes, and no client: nobody withdraws. One that drops
/// the clients too takes away who has it, and nobody else.
#[test]
fn a_filter_that_is_rolled_out_withdraws_only_whose_clients_it_drops() {
    let settings = PolicySettings::default();
    let lost = Observation { proven: 0, detoured: 2, ..GOOD };
    for (seed, is_dropping_clients) in [(11, false), (12, true)] {
        let (mut fleet, mut dice) = (Fleet::announced(settings), Dice(seed));
        let usual = |node: usize| Observation { clients: if node.is_multiple_of(10) { 0 } else { 50 }, ..GOOD };
        fleet.run(Duration::from_secs(60), |node, _| usual(node));
        // Node by node, within a minute; every tenth has no clients at all.
        let from: Vec<Duration> = (0..NODES).map(|_| fleet.now + Duration::from_millis(dice.below(60_000))).collect();
        let end = fleet.now + Duration::from_secs(300);
        while fleet.now < end {
            let now = fleet.now + settings.interval;
            fleet.step(|node, _| {
                let is_filtered = now >= from[node];
                let round = with_noise(&mut dice, if is_filtered { lost } else { GOOD });
                Observation {
                    clients: if is_filtered && is_dropping_clients { 0 } else { usual(node).clients },
                    ..round
                }
            });
        }
        let withdrawn =
            (0..NODES).filter(|node| fleet.changes[*node].iter().any(|change| change.to == Stance::Withdraw));
        let withdrawn: Vec<usize> = withdrawn.collect();
        if is_dropping_clients {
            assert_eq!(withdrawn.len(), NODES - NODES / 10);
            assert!(withdrawn.iter().all(|node| node % 10 != 0), "who has no clients learns nothing of their silence");
            for node in withdrawn {
                let fallen = fleet.changes[node].iter().find(|change| change.to == Stance::Withdraw).expect("it fell");
                assert_eq!(fallen.reason, Reason::PathBlocked);
                assert!(fallen.at - from[node] < Duration::from_secs(1), "{:?}", fallen.at - from[node]);
            }
        } else {
            assert_eq!(withdrawn, [0_usize; 0]);
            assert_eq!(fleet.count(Stance::Degrade), NODES);
        }
    }
}

#[test]
fn machines_that_are_busy_with_other_work_darken_no_node() {
    let (mut fleet, mut dice) = (Fleet::announced(PolicySettings::default()), Dice(3));
    fleet.run(Duration::from_secs(60), |_, _| {
        let proven = u16::try_from(dice.below(3)).expect("small");
        // The prover has to wait as well: three rounds of four are not judged.
        Observation { proven, starved: 2 - proven, is_judged: dice.below(4) == 0, ..GOOD }
    });
    assert_eq!(fleet.count(Stance::Announce), NODES);
}

/// With `on_overload = withdraw` the load moves on to who is left, and the fleet goes dark: that is why it is not the
/// default. It does not even come back by itself, since who returns first gets what all can carry. What holds is the
/// bound on the churn, and that a resume on all nodes brings them back.
#[test]
fn a_flood_that_withdraws_is_bounded_in_churn_but_not_in_darkness() {
    let settings = PolicySettings { on_overload: Reaction::Withdraw, ..PolicySettings::default() };
    let mut fleet = Fleet::announced(settings);
    // A node has room for one unit; what comes is shared by whoever is announced. Returns the most that were.
    let run = |fleet: &mut Fleet, time: Duration, load: usize| {
        let (end, mut announced_max) = (fleet.now + time, 0);
        while fleet.now < end {
            let announced = fleet.count(Stance::Announce);
            announced_max = announced_max.max(announced);
            let is_full = load > announced;
            fleet.step(|_, stance| Observation { is_overloaded: is_full && stance == Stance::Announce, ..GOOD });
        }
        announced_max
    };
    let (length, usual) = (Duration::from_secs(300), NODES / 2);
    run(&mut fleet, settings.interval * settings.fall, NODES * 13 / 10);
    assert_eq!(fleet.count(Stance::Withdraw), NODES, "all are dark at once");
    run(&mut fleet, length, NODES * 13 / 10);
    let held = |count: u32| (0..count).map(|nth| settings.hold_down_after(nth)).sum::<Duration>();
    let most = (1..20).find(|count| held(*count) > length).expect("the hold-down doubles");
    for changes in &fleet.changes {
        let returns = changes.iter().filter(|change| change.to == Stance::Announce).count();
        assert!(returns < most as usize, "{returns} announcements in {length:?}");
        assert!(changes.iter().all(|change| matches!(change.reason, Reason::Overload | Reason::Proven)));
    }
    let announced_max = run(&mut fleet, length, usual);
    assert!(announced_max < usual, "the usual load keeps them dark: {announced_max}");

    let now = fleet.now;
    fleet.nodes.iter_mut().for_each(|node| assert_eq!(node.order(now, Order::Resume), None));
    run(&mut fleet, settings.interval * settings.rise, usual);
    assert_eq!(fleet.count(Stance::Announce), NODES);
    run(&mut fleet, Duration::from_secs(10), usual);
    assert_eq!(fleet.count(Stance::Announce), NODES);
}

#[test]
fn only_nodes_with_a_fault_of_their_own_are_down_and_only_as_long_as_promised() {
    let settings = PolicySettings::default();
    let (mut fleet, mut dice) = (Fleet::announced(settings), Dice(5));
    // One node of ten has faults, up to 20 s long, at random moments.
    let mut faulty_until = vec![Duration::ZERO; NODES];
    let (mut down_most, end) = (0, fleet.now + Duration::from_secs(200));
    while fleet.now < end {
        let now = fleet.now + settings.interval;
        for until in faulty_until.iter_mut().step_by(10) {
            if *until < now && dice.below(400) == 0 {
                *until = now + Duration::from_millis(dice.below(20_000));
            }
        }
        fleet.step(|node, _| if now <= faulty_until[node] { BAD } else { with_noise(&mut dice, GOOD) });
        for (node, changes) in fleet.changes.iter().enumerate() {
            let Some(fallen) = changes.last().filter(|last| last.to == Stance::Withdraw) else { continue };
            assert!(matches!(fallen.reason, Reason::TooFewWorkers { .. }), "{fallen:?}");
            let held = settings.hold_down_after(changes.len() as u32 / 2);
            // With noise a rise takes longer: rounds that are not judged do not count.
            let risen = faulty_until[node] + settings.interval * settings.rise * 3;
            assert!(now <= risen.max(fallen.at + held + held / 4 + settings.interval), "node {node} at {now:?}");
        }
        down_most = down_most.max(fleet.count(Stance::Withdraw));
    }
    assert!((10..=NODES / 10).contains(&down_most), "{down_most}");
    let well = (0..NODES).filter(|node| node % 10 != 0);
    assert!(well.map(|node| &fleet.changes[node]).all(Vec::is_empty), "a node without a fault was down");
}

#[test]
fn nodes_that_fell_together_do_not_return_together() {
    // A fault that all have at once, though it looks like each one's own; shorter and longer than the hold-down.
    for length in [1, 60].map(Duration::from_secs) {
        let mut fleet = Fleet::announced(PolicySettings::default());
        fleet.run(length, |_, _| BAD);
        assert_eq!(fleet.count(Stance::Withdraw), NODES);
        fleet.run(Duration::from_secs(10), |_, _| GOOD);
        assert_eq!(fleet.count(Stance::Announce), NODES);
        let together = fleet.returned_together_max();
        assert!(together < NODES / 3, "{together} nodes returned within 100 ms of each other after {length:?}");
    }
}

/// The recommendation of RFC 7196 for routers that damp: suppress at a penalty of 6,000, 1,000 a withdrawal, halved
/// every 15 minutes.
#[test]
fn a_node_that_fails_whenever_it_is_announced_stays_below_route_flap_damping() {
    let settings = PolicySettings::default();
    for seed in 0..20 {
        let mut policy = Policy::new(Duration::ZERO, settings, seed);
        let (mut now, mut last, mut penalty, mut withdrawals) = (Duration::ZERO, Duration::ZERO, 0.0_f64, 0);
        while now < Duration::from_secs(4 * 3600) {
            now += settings.interval;
            let round = if policy.stance() == Stance::Announce { BAD } else { GOOD };
            let Some(change) = policy.observe(now, &round).filter(|change| change.to == Stance::Withdraw) else {
                continue;
            };
            penalty = penalty * 0.5_f64.powf((change.at - last).as_secs_f64() / 900.0) + 1000.0;
            (last, withdrawals) = (change.at, withdrawals + 1);
            assert!(penalty < 6000.0, "{penalty} at {last:?} with seed {seed}");
        }
        assert!((40..=55).contains(&withdrawals), "{withdrawals} withdrawals in four hours");
    }
}

#[test]
fn a_fleet_that_is_told_to_withdraw_for_a_shared_fault_never_goes_dark_together() {
    let guard = Guard { wait: Duration::from_secs(2), withdraws_unseen: false };
    let settings = PolicySettings { on_shared: Reaction::Withdraw, guard: Some(guard), ..PolicySettings::default() };
    let (mut fleet, mut dice) = (Fleet::announced(settings), Dice(7));
    let sick = Observation { shared: Some(SharedFault::Primary), ..GOOD };
    // They fall ill within a second of each other.
    let ill_at: Vec<Duration> = (0..NODES).map(|_| fleet.now + Duration::from_millis(dice.below(1000))).collect();
    let mut well_from: Vec<Option<Duration>> = vec![None; NODES];
    // What routers tell is as old as that many rounds: how many nodes were announced and not degraded.
    let mut told = [NODES; 6];
    let mut live = |fleet: &mut Fleet, time: Duration, well_from: &[Option<Duration>]| {
        let (end, mut dark) = (fleet.now + time, 0);
        while fleet.now < end {
            let now = fleet.now + fleet.settings.interval;
            let elsewhere = told[0];
            fleet.step(|node, stance| {
                let is_sick = now >= ill_at[node] && well_from[node].is_none_or(|from| now < from);
                let others = elsewhere - usize::from(stance == Stance::Announce).min(elsewhere);
                let round = Observation { is_elsewhere: others > 0, ..if is_sick { sick } else { GOOD } };
                with_noise(&mut dice, round)
            });
            told.rotate_left(1);
            *told.last_mut().expect("six") = fleet.count(Stance::Announce);
            dark += usize::from(fleet.count(Stance::Withdraw) == NODES);
        }
        dark
    };
    assert_eq!(live(&mut fleet, Duration::from_secs(60), &well_from), 0);
    assert_eq!(fleet.count(Stance::Degrade), NODES, "all are sick, and all stay");
    assert!(fleet.nodes.iter().all(|node| node.reason() == Reason::LastSite));
    // One is well again: the others leave for it.
    well_from[17] = Some(fleet.now);
    assert_eq!(live(&mut fleet, Duration::from_secs(30), &well_from), 0);
    assert_eq!((fleet.count(Stance::Announce), fleet.count(Stance::Withdraw)), (1, NODES - 1));
    // It falls ill once more, and stays: nobody else is there.
    well_from[17] = None;
    assert_eq!(live(&mut fleet, Duration::from_secs(30), &well_from), 0);
    assert_eq!((fleet.count(Stance::Degrade), fleet.nodes[17].reason()), (1, Reason::LastSite));
    // All are well.
    well_from.fill(Some(fleet.now));
    assert_eq!(live(&mut fleet, Duration::from_secs(120), &well_from), 0);
    assert_eq!(fleet.count(Stance::Announce), NODES);
}
