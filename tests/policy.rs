//! Properties of the policy: what holds for any settings, any rounds, any orders and any course of time.

use std::time::Duration;

use fated::policy::{
    LastStance, Observation, Order, Policy, PolicyMemory, PolicySettings, Reaction, Reason, SharedFault, Stance,
    Transition,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

/// One thing that happens, and how long after the one before.
#[derive(Clone, Debug)]
struct Step {
    gap: Duration,
    event: Event,
}

#[derive(Clone, Debug)]
enum Event {
    Round(Observation),
    Order(Order),
    Tick,
}

fn millis(range: std::ops::Range<u64>) -> impl Strategy<Value = Duration> {
    range.prop_map(Duration::from_millis)
}

fn reaction() -> impl Strategy<Value = Reaction> {
    select(vec![Reaction::Absorb, Reaction::Absorb, Reaction::Degrade, Reaction::Withdraw])
}

/// PolicySettings on the scale of the scripts, so that each limit is reached.
fn settings() -> impl Strategy<Value = PolicySettings> {
    let counts = (0_u32..4, 0_u32..7, 0_u16..3);
    let times = (millis(10..100), millis(1..100), millis(0..1500), millis(0..6000), millis(0..20_000));
    (counts, times, (reaction(), reaction(), reaction(), any::<bool>())).prop_map(|(counts, times, responses)| {
        let (on_overload, on_shared, on_path, is_degrade_seen) = responses;
        let ((fall, rise, min_workers), (interval, timeout, hold_down, hold_down_max, hold_down_memory)) =
            (counts, times);
        PolicySettings {
            interval,
            timeout,
            fall,
            rise,
            min_workers,
            on_overload,
            on_shared,
            on_path,
            guard: None,
            degrade_first: hold_down / 4,
            is_degrade_seen,
            hold_down,
            hold_down_max,
            hold_down_memory,
        }
    })
}

/// Any round of two workers; most are well.
fn round() -> impl Strategy<Value = Observation> {
    let good = Observation { proven: 2, is_judged: true, ..Observation::NOTHING };
    let shared = select(vec![SharedFault::Zone, SharedFault::Expired, SharedFault::Primary]);
    prop_oneof![
        8 => Just(good),
        2 => (0_u16..2).prop_map(move |proven| Observation { proven, late: 2 - proven, ..good }),
        1 => (0_u16..2).prop_map(move |proven| Observation { proven, starved: 2 - proven, ..good }),
        1 => (0_u16..2).prop_map(move |proven| Observation { proven, wrong: 2 - proven, ..good }),
        1 => (0_u16..3).prop_map(move |proven| Observation { proven, late: 2 - proven, is_overloaded: true, ..good }),
        2 => (0_u16..2, 0_u32..3)
            .prop_map(move |(proven, clients)| Observation { proven, detoured: 2 - proven, clients, ..good }),
        1 => (0_u16..2).prop_map(move |proven| Observation { proven, served: 2 - proven, clients: 1, ..good }),
        1 => (0_u16..2).prop_map(move |proven| Observation { proven, busy: 2 - proven, ..good }),
        1 => Just(Observation { clients: 50, ..good }),
        1 => any::<bool>().prop_map(move |is_well| Observation { is_tcp_well: Some(is_well), ..good }),
        1 => shared.prop_map(move |fault| Observation { shared: Some(fault), ..good }),
        1 => Just(Observation { is_zoneless: true, ..good }),
        2 => (0_u16..3).prop_map(move |proven| Observation { proven, late: 2 - proven, is_judged: false, ..good }),
    ]
}

/// A stretch of time in which the same round comes again and again; sometimes an order, a tick, or a long gap instead.
fn stretch() -> impl Strategy<Value = Vec<Step>> {
    let gap = prop_oneof![6 => millis(10..100), 1 => millis(0..2000)];
    let rounds = (gap, round(), 1_usize..25)
        .prop_map(|(gap, round, count)| vec![Step { gap, event: Event::Round(round) }; count]);
    let gap = prop_oneof![4 => millis(0..3000), 1 => millis(0..60_000)];
    let tick = gap.prop_map(|gap| vec![Step { gap, event: Event::Tick }]);
    let orders = select(vec![Order::Drain, Order::Resume, Order::Resume]);
    let order = (millis(0..200), orders).prop_map(|(gap, order)| vec![Step { gap, event: Event::Order(order) }]);
    prop_oneof![16 => rounds, 1 => tick, 1 => order]
}

/// A few minutes of a node's life.
fn life() -> impl Strategy<Value = Vec<Step>> {
    vec(stretch(), 1..40).prop_map(|stretches| stretches.concat())
}

/// Does what a step says. Holds the policy to what is true of each transition.
fn apply(policy: &mut Policy, now: Duration, event: &Event) -> Option<Transition> {
    let before = (policy.stance(), policy.since());
    let change = match event {
        Event::Round(round) => policy.observe(now, round),
        Event::Order(order) => policy.order(now, *order),
        Event::Tick => policy.tick(now),
    };
    let after = (policy.stance(), policy.since());
    match change {
        Some(Transition { at, from, to, reason }) => {
            assert_eq!((at, from, (to, at), reason), (now, before.0, after, policy.reason()));
            assert_ne!(from, to);
        }
        None => assert_eq!(before, after, "a stance changed without a transition"),
    }
    change
}

/// Plays a life; `seen` is shown each step with its moment and what came of it.
fn play(policy: &mut Policy, life: &[Step], mut seen: impl FnMut(Duration, &Event, Option<Transition>)) -> Duration {
    let mut now = Duration::ZERO;
    for step in life {
        now += step.gap;
        let change = apply(policy, now, &step.event);
        seen(now, &step.event, change);
    }
    now
}

/// What a round must be, at least, to count for a rise.
fn is_fit(round: &Observation, settings: &PolicySettings, to: Stance) -> bool {
    let allows = |response| match response {
        Reaction::Absorb => true,
        Reaction::Degrade => to == Stance::Degrade,
        Reaction::Withdraw => false,
    };
    round.is_judged
        && round.answered() >= settings.min_workers.max(1)
        && (!round.is_path_fault(settings.min_workers) || allows(settings.on_path))
        && round.wrong == 0
        && !round.is_zoneless
        && (!round.is_overloaded || allows(settings.on_overload))
        && (round.shared.is_none() || allows(settings.on_shared))
}

/// The longest time in which as many announcements can't happen: that of the hold-downs between them.
fn check_hold_downs(settings: &PolicySettings, changes: &[(Duration, Transition)], resumes: &[Duration]) {
    let (mut remembered, mut up_at, mut down_at) = (0, Duration::ZERO, None);
    for (at, change) in changes {
        if change.from == Stance::Withdraw {
            if let Some(down) = down_at.take() {
                // What the operator resumed is not held down.
                let is_resumed = resumes.iter().any(|resumed| down <= *resumed && resumed <= at);
                let least = (settings.hold_down * 2_u32.pow(remembered - 1)).min(settings.hold_down_max);
                assert!(is_resumed || *at - down >= least, "down at {down:?}, up at {at:?}, not held for {least:?}");
            }
            up_at = *at;
        } else if change.to == Stance::Withdraw {
            if *at - up_at >= settings.hold_down_memory {
                remembered = 0;
            }
            if change.reason != Reason::Drained {
                (remembered, down_at) = ((remembered + 1).min(31), Some(*at));
            }
        }
    }
}

proptest! {
    #[test]
    fn nothing_is_announced_without_rise_good_rounds_right_before(
        settings in settings(), seed: u64, life in life(),
    ) {
        // The judged rounds since the last silence or resume, and when anything was last heard.
        let (mut rounds, mut heard_at, mut stance) = (Vec::new(), Duration::ZERO, Stance::Withdraw);
        let mut policy = Policy::new(Duration::ZERO, settings, seed);
        play(&mut policy, &life, |now, event, change| {
            if now - heard_at >= settings.silence() {
                rounds.clear();
            }
            match event {
                Event::Round(round) => {
                    rounds.extend(round.is_judged.then_some(*round));
                    if round.is_judged || round.is_proof(settings.min_workers) {
                        heard_at = now;
                    }
                }
                Event::Order(Order::Resume) if stance == Stance::Withdraw => rounds.clear(),
                Event::Order(_) | Event::Tick => {}
            }
            stance = change.map_or(stance, |change| change.to);
            let Some(change) = change.filter(|change| change.to < change.from) else { return };
            assert!(matches!(event, Event::Round(round) if round.is_judged), "announced by {event:?}");
            let rise = settings.rise.max(1) as usize;
            assert!(rounds.len() >= rise, "announced after {} rounds", rounds.len());
            for round in &rounds[rounds.len() - rise..] {
                assert!(is_fit(round, &settings, change.to), "announced after {round:?}");
            }
        });
    }

    #[test]
    fn announcements_are_no_denser_than_the_hold_down_allows(settings in settings(), seed: u64, life in life()) {
        let (mut changes, mut resumes) = (Vec::new(), Vec::new());
        play(&mut Policy::new(Duration::ZERO, settings, seed), &life, |now, event, change| {
            changes.extend(change.map(|change| (now, change)));
            resumes.extend(matches!(event, Event::Order(Order::Resume)).then_some(now));
        });
        check_hold_downs(&settings, &changes, &resumes);
        if resumes.is_empty() {
            let ups: Vec<Duration> =
                changes.iter().filter(|(_, change)| change.from == Stance::Withdraw).map(|(at, _)| *at).collect();
            let least = settings.hold_down.min(settings.hold_down_max);
            for (index, first) in ups.iter().enumerate() {
                for (more, last) in ups[index..].iter().enumerate() {
                    let span = *last - *first;
                    assert!(span >= least * more as u32, "{more} more announcements from {first:?} to {last:?}");
                }
            }
        }
    }

    #[test]
    fn an_own_fault_withdraws_within_fall_times_interval_and_timeout(
        settings in settings(), seed: u64, life in life(), delays in vec(0_u64..=1000, 4), is_wrong: bool,
    ) {
        let mut policy = Policy::new(Duration::ZERO, settings, seed);
        let mut now = play(&mut policy, &life, |_, _, _| {});
        // Whatever was before: no hold-down, and no silence that has nearly lasted long enough.
        policy.order(now, Order::Drain);
        now += settings.degrade_first;
        policy.tick(now);
        policy.order(now, Order::Resume);
        let good = Observation { proven: 2, is_tcp_well: Some(true), is_judged: true, ..Observation::NOTHING };
        for _ in 0..=settings.rise.max(1) {
            now += settings.interval;
            policy.observe(now, &good);
        }
        prop_assert_eq!(policy.stance(), Stance::Announce, "it has risen");
        let (wrong, late) = if is_wrong { (2, 0) } else { (0, 2) };
        let bad = Observation { proven: 0, wrong, late, ..good };
        // A round is sent each interval, and ends at any moment from then on until its timeout, in order.
        let (first, mut seen) = (now + settings.interval, now);
        for (sent, delay) in (0..settings.fall.max(1)).map(|nth| first + settings.interval * nth).zip(delays) {
            prop_assert_eq!(policy.stance(), Stance::Announce, "not before `fall` rounds");
            seen = seen.max(sent + settings.timeout * u32::try_from(delay).expect("small") / 1000);
            policy.observe(seen, &bad);
        }
        prop_assert_eq!(policy.stance(), Stance::Withdraw);
        prop_assert!(policy.since() - first <= (settings.interval + settings.timeout) * settings.fall.max(1));
    }

    #[test]
    fn rounds_that_are_not_judged_are_as_good_as_none(settings in settings(), seed: u64, life in life()) {
        // Without a proof, so that they do not even end a silence.
        let is_empty = |event: &Event| matches!(event, Event::Round(round) if !round.is_judged);
        let mut with = life;
        for step in &mut with {
            if let Event::Round(round) = &mut step.event && !round.is_judged {
                *round = Observation { proven: 0, wrong: 2, is_tcp_well: Some(false), ..*round };
            }
        }
        let mut without = with.clone();
        without.iter_mut().filter(|step| is_empty(&step.event)).for_each(|step| step.event = Event::Tick);
        let changes = |life: &[Step]| {
            let mut changes = Vec::new();
            play(&mut Policy::new(Duration::ZERO, settings, seed), life, |_, event, change| {
                let is_time = change.is_some_and(|change| matches!(change.reason, Reason::Unproven | Reason::Drained));
                assert!(change.is_none() || is_time || !is_empty(event), "{event:?} made {change:?}");
                changes.extend(change);
            });
            changes
        };
        prop_assert_eq!(changes(&with), changes(&without));
    }

    #[test]
    fn a_drain_wins_until_it_is_resumed_and_a_stop_for_good(
        settings in settings(), seed: u64, life in life(), stop_at in 0_usize..400,
    ) {
        let mut policy = Policy::new(Duration::ZERO, settings, seed);
        let (mut now, mut is_drained, mut is_stopped, mut ordered_at) = (Duration::ZERO, false, false, None);
        for (index, step) in life.iter().enumerate() {
            now += step.gap;
            if index == stop_at {
                policy.order(now, Order::Stop);
                is_stopped = true;
            }
            apply(&mut policy, now, &step.event);
            match step.event {
                Event::Order(Order::Drain) => is_drained = true,
                Event::Order(Order::Resume) => is_drained = false,
                Event::Order(Order::Stop) | Event::Round(_) | Event::Tick => {}
            }
            if is_drained || is_stopped {
                // Degraded first, for so long at most, and never better again.
                let ordered_at = *ordered_at.get_or_insert(now);
                policy.tick(now);
                let is_leaving = policy.stance() == Stance::Degrade && now < ordered_at + settings.degrade_first;
                prop_assert!(policy.stance() == Stance::Withdraw || is_leaving, "{:?}", policy.stance());
                prop_assert_eq!(policy.reason(), if is_stopped { Reason::Stopping } else { Reason::Drained });
            } else {
                ordered_at = None;
            }
        }
    }

    #[test]
    fn a_tick_at_the_deadline_has_something_to_do_and_none_before(settings in settings(), seed: u64, life in life()) {
        let mut policy = Policy::new(Duration::ZERO, settings, seed);
        play(&mut policy, &life, |_, _, _| {});
        let announced = policy.stance() < Stance::Withdraw;
        prop_assert_eq!(policy.deadline().is_some(), announced);
        if let Some(deadline) = policy.deadline() {
            prop_assert_eq!(policy.tick(deadline - Duration::from_nanos(1)), None);
            let reason = if policy.reason() == Reason::Drained { Reason::Drained } else { Reason::Unproven };
            prop_assert_eq!(policy.tick(deadline).map(|change| change.reason), Some(reason));
        }
    }

    #[test]
    fn whatever_is_remembered_a_well_address_comes_back_after_the_longest_hold_down_at_most(
        settings in settings(), seed: u64, withdrawals: u32, is_announced: bool, time: Duration,
    ) {
        let last = if is_announced { LastStance::Announced { ago: time } } else { LastStance::Held { left: time } };
        let mut policy = Policy::resume(Duration::ZERO, settings, seed, PolicyMemory { withdrawals, last });
        prop_assert_eq!(policy.stance(), Stance::Withdraw);
        let held = settings.hold_down_max + settings.hold_down_max / 4;
        let most = held + settings.interval * (settings.rise.max(1) * 3 / 2 + 2);
        let good = Observation { proven: 2, is_judged: true, ..Observation::NOTHING };
        let mut now = Duration::ZERO;
        while policy.stance() == Stance::Withdraw {
            now += settings.interval;
            prop_assert!(now <= most, "{:?}", policy.reason());
            policy.observe(now, &good);
        }
        prop_assert!(policy.memory(now).withdrawals >= u32::from(is_announced));
    }

    #[test]
    fn no_settings_and_no_course_of_time_panic(
        times in vec(any::<Duration>(), 5), counts: (u32, u32, u16), seed: u64, life in life(),
        jumps in vec(any::<Duration>(), 8),
    ) {
        let settings = PolicySettings {
            interval: times[0],
            timeout: times[1],
            fall: counts.0,
            rise: counts.1 % 30,
            min_workers: counts.2,
            hold_down: times[2],
            hold_down_max: times[3],
            hold_down_memory: times[4],
            ..PolicySettings::default()
        };
        let longest =
            PolicySettings { interval: Duration::MAX, hold_down: Duration::MAX, ..PolicySettings::default() };
        for settings in [settings, longest] {
            let mut policy = Policy::new(Duration::ZERO, settings, seed);
            let mut now = Duration::ZERO;
            for (index, step) in life.iter().enumerate() {
                let jump = if index % 20 == 0 { jumps[index / 20 % jumps.len()] } else { step.gap };
                now = now.saturating_add(jump);
                apply(&mut policy, now, &step.event);
                // Though it must not, a clock may go back.
                apply(&mut policy, now / 2, &step.event);
                let _ = policy.deadline();
            }
        }
    }
}
