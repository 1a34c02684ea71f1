//! Scripted rounds, in fake time: what each kind of round does, and when.

use core::time::Duration;

use super::*;

/// A round that is well: both workers answer.
const GOOD: Observation = Observation { proven: 2, is_judged: true, ..Observation::NOTHING };

/// The default settings without a hold-down, so that scripts are short.
fn plain() -> PolicySettings {
    PolicySettings { hold_down: Duration::ZERO, ..PolicySettings::default() }
}

/// The round that a letter of a script means.
fn round(letter: char) -> Observation {
    match letter {
        'g' => GOOD,
        'T' => Observation { is_tcp_well: Some(true), ..GOOD },
        't' => Observation { is_tcp_well: Some(false), ..GOOD },
        // One worker of two is wedged, both are, one or both answer wrong.
        '1' => Observation { proven: 1, late: 1, ..GOOD },
        '0' => Observation { proven: 0, late: 2, ..GOOD },
        'w' => Observation { proven: 1, wrong: 1, ..GOOD },
        'W' => Observation { proven: 0, wrong: 2, ..GOOD },
        // A flood, and no primary either.
        'q' => Observation { is_overloaded: true, shared: Some(SharedFault::Primary), ..GOOD },
        // Waiting for a CPU: one, both, both with a failing TCP; and one that waits beside one that is wedged.
        's' => Observation { proven: 1, starved: 1, ..GOOD },
        'S' => Observation { proven: 0, starved: 2, ..GOOD },
        'x' => Observation { proven: 0, starved: 2, is_tcp_well: Some(false), ..GOOD },
        'm' => Observation { proven: 0, starved: 1, late: 1, ..GOOD },
        // A flood: answered still, or with no canary that came through.
        'o' => Observation { is_overloaded: true, ..GOOD },
        'O' => Observation { proven: 0, late: 2, is_overloaded: true, ..GOOD },
        'z' => Observation { shared: Some(SharedFault::Zone), ..GOOD },
        'e' => Observation { shared: Some(SharedFault::Expired), ..GOOD },
        'p' => Observation { shared: Some(SharedFault::Primary), ..GOOD },
        'P' => Observation { shared: Some(SharedFault::Primary), is_elsewhere: true, ..GOOD },
        // No zone; and zones that are waited for.
        'n' => Observation { is_zoneless: true, ..GOOD },
        'h' => Observation { awaited: 3, is_zoneless: true, ..GOOD },
        // Clients come: in a good round, and where the path fails one worker or both, or all ways fail both.
        'C' => Observation { clients: 50, ..GOOD },
        'l' => Observation { proven: 1, detoured: 1, clients: 50, ..GOOD },
        'c' => Observation { proven: 0, detoured: 2, clients: 50, ..GOOD },
        'k' => Observation { proven: 0, served: 2, clients: 50, is_tcp_well: Some(false), ..GOOD },
        // The same with no client: the path fails one worker or both, or one that waits for a CPU stands beside it.
        'a' => Observation { proven: 1, detoured: 1, ..GOOD },
        'd' => Observation { proven: 0, detoured: 2, ..GOOD },
        'i' => Observation { proven: 0, detoured: 1, starved: 1, ..GOOD },
        // A worker with too much to do, and both.
        'b' => Observation { proven: 1, busy: 1, ..GOOD },
        'B' => Observation { proven: 0, busy: 2, ..GOOD },
        // Not judged: with what would be bad, and with what would be good.
        'u' => Observation { proven: 0, late: 2, wrong: 2, is_tcp_well: Some(false), is_judged: false, ..GOOD },
        'v' => Observation { is_judged: false, ..GOOD },
        other => panic!("{other:?} means no round"),
    }
}

/// The letters of a script such as `20g 2f`: a count, 1 if left out, and a letter.
fn letters(script: &str) -> Vec<char> {
    let group = |group: &str| {
        let letter = group.chars().next_back().expect("a letter");
        // A letter that is a digit stands behind a point: `3.1` is three rounds of `1`.
        let count = group[..group.len() - 1].trim_end_matches('.');
        vec![letter; if count.is_empty() { 1 } else { count.parse().expect("a count") }]
    };
    script.split_whitespace().flat_map(group).collect()
}

/// Plays a script from 0 on, a round each interval. Returns each transition as round (from 1), stance and reason.
fn play(policy: &mut Policy, settings: &PolicySettings, script: &str) -> Vec<String> {
    let mut changes = Vec::new();
    for (index, letter) in letters(script).into_iter().enumerate() {
        let now = settings.interval * u32::try_from(index).expect("a short script");
        if let Some(change) = policy.observe(now, &round(letter)) {
            assert_eq!((change.at, change.to, change.reason), (now, policy.stance(), policy.reason()));
            assert_eq!((policy.since(), change.from != change.to), (now, true));
            changes.push(format!("{} {:?} {}", index + 1, change.to, change.reason.code()));
        }
    }
    changes
}

/// Asserts for each row that the script makes exactly these transitions.
fn assert_table(settings: &PolicySettings, table: &[(&str, &[&str])]) {
    for (script, expected) in table {
        let changes = play(&mut Policy::new(Duration::ZERO, *settings, 1), settings, script);
        assert_eq!(changes, *expected, "{script}");
    }
}

#[test]
fn announces_after_rise_good_rounds_in_a_row() {
    assert_table(
        &plain(),
        &[
            ("19g", &[]),
            ("20g", &["20 Announce proven"]),
            ("19g 0 20g", &["40 Announce proven"]),
            ("19g S 20g", &["40 Announce proven"]),
            ("19g O 20g", &["40 Announce proven"]),
            ("19g w 20g", &["40 Announce proven"]),
            ("10g 10u 10g", &["30 Announce proven"]),
            ("10g 10v 9g", &[]),
            ("20.1", &["20 Announce proven"]),
            ("20o", &["20 Announce proven"]),
            ("20p", &["20 Announce proven"]),
            ("19g t 19g", &[]),
            ("t 40g", &[]),
            ("t 40g 20T", &["61 Announce proven"]),
            ("100S", &[]),
            ("100O", &[]),
            ("100v", &[]),
        ],
    );
}

#[test]
fn own_faults_withdraw_after_fall_bad_rounds_in_a_row() {
    let up = "20 Announce proven";
    assert_table(
        &plain(),
        &[
            ("20g 0", &[up]),
            ("20g 2.0", &[up, "22 Withdraw too-few-workers"]),
            ("20g 2w", &[up, "22 Withdraw wrong-answer"]),
            ("20g 2W", &[up, "22 Withdraw wrong-answer"]),
            ("20g 0 w", &[up, "22 Withdraw wrong-answer"]),
            ("20g 2m", &[up]),
            ("20g 0 g 0 g 0 g", &[up]),
            ("20g 0 5u 0", &[up, "27 Withdraw too-few-workers"]),
            ("20g 0 5v 0", &[up, "27 Withdraw too-few-workers"]),
            ("20g 0 S 0 S 0 S", &[up]),
            ("20g t 19g t 19g 9g", &[up]),
            ("20g t 19g t 19g T 19g t 19g t 19g", &[up]),
            ("20g t 19g t 19g t", &[up]),
            ("20g t 19g t 19g t g", &[up, "62 Withdraw tcp-dead"]),
        ],
    );
}

#[test]
fn a_worker_that_is_needed_is_missed_and_one_that_is_not_is_not() {
    let up = "20 Announce proven";
    assert_table(&plain(), &[("20g 1000.1", &[up])]);
    let both = PolicySettings { min_workers: 2, ..plain() };
    assert_table(&both, &[("20g 2.1", &[up, "22 Withdraw too-few-workers"]), ("20g 9s", &[up]), ("99.1", &[])]);
    // 0 counts as 1: nobody at all is never enough.
    let none = PolicySettings { min_workers: 0, fall: 0, rise: 0, ..plain() };
    assert_table(&none, &[("g 0", &["1 Announce proven", "2 Withdraw too-few-workers"]), ("9.0", &[])]);
}

#[test]
fn what_other_sites_have_too_is_absorbed_unless_configured() {
    let script = "20g 50z 50e 50p 50s 50S 50x 50o 50O 50m 5g";
    let up = "20 Announce proven";
    assert_table(&plain(), &[(script, &[up])]);

    let degrade = PolicySettings { on_overload: Reaction::Degrade, on_shared: Reaction::Degrade, ..plain() };
    assert_table(
        &degrade,
        &[
            ("20g o g o g", &[up]),
            ("20g 9o", &[up, "22 Degrade overload"]),
            ("20g 9S", &[up, "22 Degrade overload"]),
            ("20g 9p 19g p 19g", &[up, "22 Degrade shared-primary"]),
            ("20g 2z 20g", &[up, "22 Degrade shared-zone", "42 Announce proven"]),
            ("20g 2e 2.0", &[up, "22 Degrade shared-expired", "24 Withdraw too-few-workers"]),
            ("20g p 0 0", &[up, "22 Degrade too-few-workers", "23 Withdraw too-few-workers"]),
            ("20p", &["20 Degrade shared-primary"]),
            ("19p 19g", &[]),
            ("19p 20g", &["39 Announce proven"]),
            ("19p 5g p", &["25 Degrade shared-primary"]),
            ("40S", &[]),
        ],
    );

    let withdraw = PolicySettings { on_overload: Reaction::Withdraw, on_shared: Reaction::Degrade, ..plain() };
    assert_table(
        &withdraw,
        &[
            ("20g 2o", &[up, "22 Withdraw overload"]),
            ("20g 2S", &[up, "22 Withdraw overload"]),
            ("20g 9p", &[up, "22 Degrade shared-primary"]),
            ("20g 2q", &[up, "22 Withdraw overload"]),
            ("99o", &[]),
        ],
    );
    let shared = PolicySettings { on_shared: Reaction::Withdraw, ..plain() };
    assert_table(
        &shared,
        &[
            ("20g 2e", &[up, "22 Withdraw shared-expired"]),
            ("20g 99o", &[up]),
            ("99p", &[]),
            ("20g 2q", &[up, "22 Withdraw shared-primary"]),
        ],
    );
}

#[test]
fn a_fault_of_tcp_under_overload_shows_nothing() {
    let settings = plain();
    let mut policy = Policy::new(Duration::ZERO, settings, 1);
    assert_eq!(play(&mut policy, &settings, "20g 20x 20g"), ["20 Announce proven"]);
    assert_eq!(policy.reason(), Reason::Proven);
}

#[test]
fn a_lease_that_ran_out_is_held_down_like_any_withdrawal() {
    let settings = PolicySettings::default();
    let mut policy = Policy::new(Duration::ZERO, settings, 1);
    assert_eq!(policy.lapse(Duration::ZERO), None, "nothing is announced yet");
    let mut now = Duration::ZERO;
    let mut announced = |policy: &mut Policy, from: Duration| {
        now = now.max(from);
        while policy.stance() != Stance::Announce {
            policy.observe(now, &GOOD);
            now += settings.interval;
        }
        now
    };
    let mut last = announced(&mut policy, Duration::ZERO);
    for held in [5, 10, 20].map(Duration::from_secs) {
        // No CPU for the workers: overload, which is absorbed, until the lease is gone.
        assert_eq!(policy.observe(last, &round('S')), None);
        let (from, to, reason) = (Stance::Announce, Stance::Withdraw, Reason::Unproven);
        assert_eq!(policy.lapse(last), Some(Transition { at: last, from, to, reason }));
        assert_eq!(policy.lapse(last), None);
        let back = announced(&mut policy, last);
        assert!(back - last >= held && back - last < held * 2, "{:?}", back - last);
        last = back;
    }
}

#[test]
fn silence_withdraws_and_what_was_good_before_it_does_not_count() {
    let settings = plain();
    let mut policy = Policy::new(Duration::ZERO, settings, 1);
    assert_eq!(policy.deadline(), None);
    play(&mut policy, &settings, "20g");
    let last = settings.interval * 19;
    assert_eq!(settings.silence(), Duration::from_secs(1));
    assert_eq!(policy.deadline(), Some(last + settings.silence()));
    let just_before = last + settings.silence() - Duration::from_nanos(1);
    assert_eq!(policy.observe(just_before, &round('u')), None, "which does not end the silence");
    assert_eq!(policy.tick(just_before), None);
    let at = last + settings.silence();
    let (from, to, reason) = (Stance::Announce, Stance::Withdraw, Reason::Unproven);
    assert_eq!(policy.tick(at), Some(Transition { at, from, to, reason }));
    assert_eq!((policy.tick(at), policy.deadline()), (None, None));

    // A proof ends a silence, also where it is not judged.
    let mut policy = Policy::new(Duration::ZERO, settings, 1);
    play(&mut policy, &settings, "20g");
    assert_eq!(policy.observe(just_before, &round('v')), None);
    assert_eq!((policy.tick(at), policy.deadline()), (None, Some(just_before + settings.silence())));

    // While withdrawn, a silence ends a rise that has begun.
    let mut policy = Policy::new(Duration::ZERO, settings, 1);
    play(&mut policy, &settings, "19g");
    let later = Duration::from_secs(10);
    assert_eq!(policy.observe(later, &GOOD), None);
    assert_eq!((policy.stance(), policy.reason()), (Stance::Withdraw, Reason::Rising { rounds: 1, needed: 20 }));
}

#[test]
fn a_process_that_was_frozen_withdraws_at_its_first_round_and_rises_again() {
    let settings = PolicySettings { rise: 1, ..plain() };
    let mut policy = Policy::new(Duration::ZERO, settings, 1);
    assert!(policy.observe(Duration::ZERO, &GOOD).is_some());
    let woken = Duration::from_secs(60);
    let change = policy.observe(woken, &GOOD).expect("the silence is noticed before the round");
    assert_eq!((change.to, change.reason), (Stance::Withdraw, Reason::Unproven));
    let change = policy.observe(woken + settings.interval, &GOOD).expect("a rise of one");
    assert_eq!(change.to, Stance::Announce);
}

/// Withdraws an announced policy and returns how long it stayed so, rounds being good otherwise.
fn fall_and_return(policy: &mut Policy, now: &mut Duration, settings: &PolicySettings) -> Duration {
    let mut step = |letter| {
        *now += settings.interval;
        (*now, policy.observe(*now, &round(letter)))
    };
    let down = (0..settings.fall).find_map(|_| step('0').1).expect("it withdraws").at;
    let up = (0..100_000).find_map(|_| step('g').1).expect("it returns").at;
    up - down
}

#[test]
fn the_hold_down_doubles_up_to_its_cap_and_is_forgotten_after_long_service() {
    let settings = PolicySettings { hold_down_max: Duration::from_secs(60), ..PolicySettings::default() };
    let mut policy = Policy::new(Duration::ZERO, settings, 1);
    play(&mut policy, &settings, "20g");
    let mut now = settings.interval * 20;
    for expected in [5, 10, 20, 40, 60, 60] {
        let (least, held) = (Duration::from_secs(expected), fall_and_return(&mut policy, &mut now, &settings));
        assert!(least <= held && held <= least + least / 4 + settings.interval, "{held:?} after {least:?}");
    }
    let served = now + settings.hold_down_memory;
    while now < served {
        now += settings.interval;
        assert_eq!(policy.observe(now, &GOOD), None);
    }
    // A drain at the end of it takes nothing away.
    let mut drained = policy.clone();
    drained.order(now, Order::Drain);
    drained.order(now, Order::Resume);
    for rise in 1..=settings.rise {
        drained.observe(now + settings.interval * rise, &GOOD);
    }
    let mut later = now + settings.interval * settings.rise;
    for held in
        [fall_and_return(&mut policy, &mut now, &settings), fall_and_return(&mut drained, &mut later, &settings)]
    {
        assert!(held < Duration::from_secs(7), "{held:?}");
    }
}

#[test]
fn while_withdrawn_the_reason_is_what_keeps_it_so() {
    let settings = PolicySettings::default();
    let mut policy = Policy::new(Duration::ZERO, settings, 1);
    assert_eq!(policy.reason(), Reason::Starting);
    play(&mut policy, &settings, "3.0");
    assert_eq!(policy.reason(), Reason::TooFewWorkers { proven: 0, needed: 1 });
    play(&mut policy, &settings, "20g 2w");
    assert_eq!(policy.reason(), Reason::WrongAnswer { workers: 1 });
    play(&mut policy, &settings, "5g");
    assert!(matches!(policy.reason(), Reason::Rising { rounds: 5, needed: 20..=30 }), "nobody answers wrong any more");
    play(&mut policy, &settings, "40g");
    assert!(matches!(policy.reason(), Reason::HoldDown { .. }));
    play(&mut policy, &settings, "S");
    assert_eq!(policy.reason(), Reason::Overload);
}

#[test]
fn a_fault_of_the_path_degrades_and_withdraws_only_where_clients_stopped_with_it() {
    let (up, degraded) = ("20 Announce proven", "22 Degrade path-fault");
    assert_table(
        &plain(),
        &[
            // Nobody knows of clients: an idle node stays.
            ("20g d", &[up]),
            ("20g 1000d", &[up, degraded]),
            ("20g 1000a", &[up]),
            ("20g 9d 20g", &[up, degraded, "49 Announce proven"]),
            // They come through.
            ("60C 1000c", &[up, "62 Degrade path-fault"]),
            ("60C 1000k", &[up, "62 Degrade path-fault"]),
            ("60C 1000l", &[up]),
            // They are due and don't: within 300 ms of 50 ms rounds.
            ("60C 9d", &[up, "62 Withdraw path-blocked"]),
            ("60C 5d 40C", &[up, "62 Withdraw path-blocked", "93 Announce proven"]),
            // They did after it began, and may have left the degraded address since.
            ("60C 5c 1000d", &[up, "62 Degrade path-fault"]),
            // They were silent before it.
            ("60C 100g 1000d", &[up, "162 Degrade path-fault"]),
            // From the start on: announced on what is proven another way, loudly.
            ("1000d", &["20 Degrade path-fault"]),
            ("100k", &[]),
            // What waits for a CPU is no fault of the path.
            ("20g 100i", &[up]),
        ],
    );
    let withdraws = PolicySettings { on_path: Reaction::Withdraw, ..plain() };
    assert_table(&withdraws, &[("60C 9c", &[up, "62 Withdraw path-fault"]), ("99d", &[])]);
    let absorbs = PolicySettings { on_path: Reaction::Absorb, ..plain() };
    assert_table(&absorbs, &[("60C 99c", &[up]), ("60C 9d", &[up, "62 Withdraw path-blocked"]), ("99d", &[up])]);
    // Clients of an address that routers see degraded may leave because of that. Twenty a second, of which ten are due.
    let seen = PolicySettings { is_degrade_seen: true, ..plain() };
    let rare = "60C 20c 20C 2d 1000d";
    assert_table(&seen, &[(rare, &[up, "62 Degrade path-fault", "100 Announce proven", "102 Withdraw path-blocked"])]);
}

#[test]
fn a_worker_with_too_much_to_do_is_overload_at_both_edges() {
    let up = "20 Announce proven";
    assert_table(&plain(), &[("20g 2B 20O 20B 9g", &[up]), ("20g 99b", &[up])]);
    let degrades = PolicySettings { on_overload: Reaction::Degrade, ..plain() };
    assert_table(&degrades, &[("20g 9B", &[up, "22 Degrade overload"])]);
}

#[test]
fn orders_withdraw_at_once_and_a_resume_has_no_penalty() {
    let settings = PolicySettings::default();
    let mut policy = Policy::new(Duration::ZERO, settings, 1);
    assert_eq!(policy.order(Duration::ZERO, Order::Drain), None, "it was withdrawn already");
    assert_eq!(policy.reason(), Reason::Drained);
    assert!(play(&mut policy, &settings, "50g").is_empty());

    let mut now = Duration::from_secs(100);
    assert_eq!(policy.order(now, Order::Resume), None);
    assert_eq!(policy.reason(), Reason::Resumed);
    let mut good = |policy: &mut Policy, rounds: u32| {
        (0..rounds).find_map(|_| {
            now += settings.interval;
            policy.observe(now, &GOOD)
        })
    };
    assert_eq!(good(&mut policy, 19), None, "rounds of before the resume do not count");
    let up = good(&mut policy, 1).expect("risen");
    assert_eq!(policy.order(up.at, Order::Resume), None, "nothing to resume");

    let down = policy.order(up.at, Order::Drain).expect("at once");
    assert_eq!((down.to, down.reason), (Stance::Withdraw, Reason::Drained));
    assert_eq!(policy.order(up.at, Order::Drain), None);
    assert_eq!(policy.since(), up.at);
    policy.order(up.at, Order::Resume);
    assert!(good(&mut policy, 20).is_some(), "no hold-down after a drain");

    let down = policy.order(policy.since(), Order::Drain).expect("at once");
    assert_eq!(policy.order(down.at, Order::Stop), None);
    assert_eq!(policy.reason(), Reason::Stopping);
    for order in [Order::Drain, Order::Resume, Order::Stop] {
        assert_eq!((policy.order(down.at, order), policy.reason()), (None, Reason::Stopping));
    }
    assert_eq!(good(&mut policy, 50), None, "stopped is for good");
}

#[test]
fn a_resume_ends_a_hold_down_but_what_is_remembered_of_it_stays() {
    let settings = PolicySettings::default();
    let mut policy = Policy::new(Duration::ZERO, settings, 1);
    assert_eq!(play(&mut policy, &settings, "20g 2.0").len(), 2);
    let mut now = settings.interval * 22;
    assert_eq!(policy.order(now, Order::Resume), None);
    let up = (0..20).find_map(|_| {
        now += settings.interval;
        policy.observe(now, &GOOD)
    });
    assert_eq!(up.map(|up| (up.to, up.at)), Some((Stance::Announce, settings.interval * 42)));
    let held = fall_and_return(&mut policy, &mut now, &settings);
    assert!(held >= Duration::from_secs(10), "{held:?}");
}

#[test]
fn a_stop_withdraws_what_is_announced() {
    let settings = PolicySettings::default();
    let mut policy = Policy::new(Duration::ZERO, settings, 1);
    play(&mut policy, &settings, "20g");
    let change = policy.order(Duration::from_secs(1), Order::Stop).expect("at once");
    assert_eq!((change.from, change.to, change.reason), (Stance::Announce, Stance::Withdraw, Reason::Stopping));
}

/// Runs an address that crashes a second after it was announced, and starts again a second after that, with what is
/// remembered; returns how often it was announced within a time.
fn announcements_of_a_crash_loop(within: Duration, remembers: bool) -> u32 {
    let settings = PolicySettings::default();
    let (mut count, mut now, mut memory) = (0, Duration::ZERO, None);
    while now < within {
        let mut policy = match memory.filter(|_| remembers) {
            None => Policy::new(now, settings, u64::from(count)),
            Some(memory) => Policy::resume(now, settings, u64::from(count), memory),
        };
        while policy.stance() == Stance::Withdraw {
            now += settings.interval;
            policy.observe(now, &GOOD);
        }
        count += 1;
        now += Duration::from_secs(1);
        memory = Some(policy.memory(now).later(Duration::from_secs(1)));
        now += Duration::from_secs(1);
    }
    count
}

#[test]
fn a_crash_loop_is_damped_as_a_fault_is() {
    let minutes = |count: u64| Duration::from_secs(60 * count);
    assert!(announcements_of_a_crash_loop(Duration::from_secs(45), false) > 12, "as it was without a memory");
    assert!(announcements_of_a_crash_loop(Duration::from_secs(45), true) <= 4);
    assert!(announcements_of_a_crash_loop(minutes(60), true) <= 7 + 12);
}

#[test]
fn a_hold_down_outlives_a_restart_by_what_is_left_of_it_and_never_beyond_the_cap() {
    let settings = PolicySettings::default();
    let seconds = Duration::from_secs;
    let held = |memory: PolicyMemory| match Policy::resume(seconds(100), settings, 1, memory).memory(seconds(100)) {
        PolicyMemory { withdrawals, last: LastStance::Held { left } } => (withdrawals, left),
        memory => panic!("{memory:?}"),
    };
    let memory = |withdrawals, last| PolicyMemory { withdrawals, last };
    assert_eq!(held(memory(3, LastStance::Held { left: seconds(17) })), (3, seconds(17)));
    assert_eq!(held(memory(3, LastStance::Held { left: Duration::ZERO })), (3, Duration::ZERO));
    assert_eq!(held(memory(9, LastStance::Held { left: Duration::MAX })), (9, seconds(375)), "the cap and its jitter");
    let (count, left) = held(memory(3, LastStance::Announced { ago: seconds(1) }));
    assert!(count == 4 && left >= seconds(40) && left <= seconds(50), "{count} {left:?}");
    let (count, left) = held(memory(3, LastStance::Announced { ago: seconds(601) }));
    assert!(
        count == 1 && left >= seconds(5) && left < seconds(7),
        "{count} {left:?}: announced for long enough before"
    );
    let (count, left) = held(memory(u32::MAX, LastStance::Announced { ago: Duration::ZERO }));
    assert!(count == u32::MAX && left <= seconds(375), "{count} {left:?}");
}

#[test]
fn an_end_on_purpose_is_no_withdrawal_and_does_not_end_a_hold_down() {
    let settings = PolicySettings::default();
    let mut policy = Policy::new(Duration::ZERO, settings, 1);
    play(&mut policy, &settings, "20g");
    let now = Duration::from_secs(2);
    assert_eq!(
        policy.memory(now),
        PolicyMemory { withdrawals: 0, last: LastStance::Announced { ago: now - settings.interval * 19 } }
    );
    policy.order(now, Order::Stop);
    assert_eq!(policy.memory(now), PolicyMemory { withdrawals: 0, last: LastStance::Held { left: Duration::ZERO } });
    let mut policy = Policy::new(Duration::ZERO, settings, 1);
    play(&mut policy, &settings, "20g 2.0");
    let before = policy.memory(now);
    let is_long = |left| left > Duration::from_secs(3);
    assert!(matches!(before, PolicyMemory { withdrawals: 1, last: LastStance::Held { left } } if is_long(left)));
    policy.order(now, Order::Stop);
    assert_eq!(policy.memory(now), before);
}

#[test]
fn a_proof_has_enough_workers_that_are_right() {
    for (letter, min_workers, expected) in [
        ('g', 2, true),
        ('g', 3, false),
        ('1', 1, true),
        ('0', 0, false),
        ('v', 2, true),
        ('u', 1, false),
        ('w', 1, true),
    ] {
        assert_eq!(round(letter).is_proof(min_workers), expected, "{letter} {min_workers}");
    }
}

#[test]
fn each_reason_has_a_code_and_a_sentence_of_its_own() {
    let until = Duration::from_secs(1);
    let reasons = [
        Reason::Starting,
        Reason::Resumed,
        Reason::Proven,
        Reason::TooFewWorkers { proven: 1, needed: 2 },
        Reason::WrongAnswer { workers: 3 },
        Reason::Rising { rounds: 4, needed: 5 },
        Reason::PathFault,
        Reason::PathBlocked,
        Reason::TcpDead,
        Reason::Overload,
        Reason::Shared(SharedFault::Zone),
        Reason::Shared(SharedFault::Expired),
        Reason::Shared(SharedFault::Primary),
        Reason::HoldDown { until },
        Reason::Unproven,
        Reason::LastSite,
        Reason::Drained,
        Reason::Stopping,
    ];
    let codes: std::collections::BTreeSet<&str> = reasons.iter().map(|reason| reason.code()).collect();
    let sentences: std::collections::BTreeSet<String> = reasons.iter().map(ToString::to_string).collect();
    assert_eq!((codes.len(), sentences.len()), (reasons.len(), reasons.len()));
    assert!(codes.iter().all(|code| code.bytes().all(|octet| octet.is_ascii_lowercase() || octet == b'-')));
    assert!(sentences.contains("1 workers answer right over this address, 2 must"));
}

#[test]
fn who_leaves_on_order_is_degraded_first_and_withdrawn_then_or_at_once_for_a_fault() {
    let settings = PolicySettings { degrade_first: Duration::from_millis(500), ..PolicySettings::default() };
    let risen = || {
        let mut policy = Policy::new(Duration::ZERO, settings, 1);
        assert!(!play(&mut policy, &settings, "20g").is_empty());
        policy
    };
    let start = Duration::from_secs(1);
    for (order, reason) in [(Order::Drain, Reason::Drained), (Order::Stop, Reason::Stopping)] {
        // In time, though no round comes.
        let mut policy = risen();
        let degraded = policy.order(start, order).expect("a change");
        assert_eq!((degraded.to, degraded.reason), (Stance::Degrade, reason));
        assert_eq!((policy.order(start, order), policy.deadline()), (None, Some(start + settings.degrade_first)));
        assert_eq!(policy.tick(start + settings.degrade_first / 2), None);
        let gone = policy.tick(start + settings.degrade_first).expect("a change");
        assert_eq!((gone.to, gone.reason), (Stance::Withdraw, reason));
        assert_eq!(policy.memory(gone.at).last, LastStance::Held { left: Duration::ZERO });
        // A fault does not wait.
        let mut policy = risen();
        policy.order(start, order);
        assert_eq!(policy.observe(start, &round('0')), None);
        let gone = policy.observe(start, &round('0')).expect("a change");
        assert_eq!((gone.to, gone.reason), (Stance::Withdraw, reason));
    }
    // A resume takes it back, and it has to prove itself before it is announced as before.
    let mut policy = risen();
    policy.order(start, Order::Drain);
    assert_eq!(policy.order(start, Order::Resume), None);
    let rounds = (1..=20).map(|count| policy.observe(start + settings.interval * count, &GOOD));
    let changes: Vec<_> = rounds.collect();
    assert!(changes[..19].iter().all(Option::is_none));
    assert_eq!(changes[19].map(|change| change.to), Some(Stance::Announce));
    // The end of the process overtakes a drain, and nothing overtakes that.
    let start = policy.since();
    policy.order(start, Order::Drain);
    assert_eq!((policy.order(start, Order::Stop), policy.reason()), (None, Reason::Stopping));
    assert_eq!((policy.order(start, Order::Resume), policy.reason()), (None, Reason::Stopping));
}

#[test]
fn the_last_site_stays_degraded_until_another_one_is_seen() {
    let guard = Guard { wait: Duration::from_millis(500), withdraws_unseen: false };
    let settings = PolicySettings { on_shared: Reaction::Withdraw, guard: Some(guard), ..plain() };
    let (up, degraded) = ("20 Announce proven", "22 Degrade shared-primary");
    // P: the same fault while another site is seen.
    assert_table(
        &settings,
        &[
            ("20g 1000p", &[up, degraded]),
            ("20g 9p 11P", &[up, degraded, "40 Withdraw shared-primary"]),
            ("20g 12P", &[up, degraded, "32 Withdraw shared-primary"]),
            // All others fell ill a moment later.
            ("20g 9P 1000p", &[up, degraded]),
            ("20g 99p 9P 9p 10P", &[up, degraded]),
            ("20g 99p 11P 9g", &[up, degraded, "130 Withdraw shared-primary"]),
            ("20g 99p 20g", &[up, degraded, "139 Announce proven"]),
            // A fault of its own does not ask.
            ("20g 5p 9w", &[up, degraded, "26 Withdraw wrong-answer"]),
            ("20g 2w", &[up, "22 Withdraw wrong-answer"]),
        ],
    );
    let mut policy = Policy::new(Duration::ZERO, settings, 1);
    play(&mut policy, &settings, "20g 12p");
    assert_eq!(policy.reason().code(), "last-site");
    // Where nobody says what routers prefer, the operator does.
    let leans = Guard { withdraws_unseen: true, ..guard };
    let settings = PolicySettings { guard: Some(leans), ..settings };
    assert_table(&settings, &[("20g 100p", &[up, degraded, "32 Withdraw shared-primary"])]);
}
