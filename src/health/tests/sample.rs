//! Many workers and addresses: a sample stands for all while all is well, and a fault is found as soon as with few.

use super::*;
use crate::health::judge::CALM_ROUNDS;

/// Workers and addresses of these tests.
const WORKERS: usize = 8;
const MANY: u8 = 16;

fn many() -> Vec<SocketAddr> {
    addresses(MANY)
}

fn addresses(count: u8) -> Vec<SocketAddr> {
    (1..=count).map(|last| SocketAddr::from(([192, 0, 2, last], 53))).collect()
}

/// Makes a round as the thread does, in which each query is answered after 1 ms unless `is_silent`; returns its end.
fn round(world: &mut World, is_silent: &dyn Fn(SocketAddr, u16) -> bool) -> Duration {
    let start = world.now;
    world.begin();
    for _ in 0..2 {
        world.now += ms(1);
        for (to, query) in world.queries() {
            if !is_silent(to, worker_of(&query)) {
                world.answer(to, &query, &as_it_is);
            }
        }
        if !world.prober.is_complete() {
            world.now = world.prober.half_time();
        }
        if !world.prober.widen(world.now) {
            break;
        }
        world.prober.begun(world.now);
    }
    world.prober.ask_around();
    world.around();
    if !world.prober.is_complete() {
        world.now = world.prober.deadline();
    }
    world.prober.end(world.now, true);
    world.prober.act(world.now);
    let end = world.now;
    world.now = end.max(start + world.prober.interval());
    end
}

/// How many of the queries are canaries.
fn canaries(queries: &[(SocketAddr, Message)]) -> usize {
    queries.iter().filter(|(_, query)| query.queries[0].query_type() == RecordType::TXT).count()
}

/// Whether what was seen of each address is that so many workers are proven.
fn is_seen(world: &World, proven: impl Fn(usize) -> u16) -> bool {
    world.prober.observations().iter().enumerate().all(|(address, seen)| seen.proven == proven(address))
}

#[test]
fn a_node_that_is_well_is_asked_a_sample_and_every_lease_is_paid_for() {
    let mut world = World::of(WORKERS, many());
    for turn in 0..20 {
        let sent = world.now;
        world.begin();
        let queries = world.queries();
        assert_eq!(canaries(&queries), if turn == 0 { WORKERS * many().len() } else { many().len() });
        world.now += ms(1);
        for (to, query) in &queries {
            world.answer(*to, query, &as_it_is);
        }
        assert!(world.prober.is_complete() && !world.prober.widen(world.now));
        assert!((0..many().len()).all(|address| world.proof.last(address) == Some(sent)));
        world.prober.end(world.now, true);
        assert_eq!(world.prober.observations(), vec![Observation { proven: WORKERS as u16, ..WELL }; many().len()]);
        world.now = sent + ms(50);
    }
    assert_eq!(world.counts(), Counts { rounds: 20, ..Counts::default() });
}

#[test]
fn a_wedged_worker_among_many_is_found_in_the_first_round_and_replaced_within_300_ms() {
    for wedged in 0..WORKERS as u16 {
        let mut world = World::of(WORKERS, many());
        (0..5).for_each(|_| _ = round(&mut world, &|_, _| false));
        let fault = world.now;
        while world.threads.replaced.lock().expect("nobody panicked").is_empty() {
            let end = round(&mut world, &|_, worker| worker == wedged);
            assert!(is_seen(&world, |_| WORKERS as u16 - 1), "one worker less over each address, and no more");
            // The fault may come as soon as a round has been asked.
            assert!(end - fault <= ms(250), "worker {wedged} was not found in time");
        }
        assert_eq!(*world.threads.replaced.lock().expect("nobody panicked"), [usize::from(wedged)]);
        round(&mut world, &|_, _| false);
        world.begin();
        assert_eq!(canaries(&world.queries()), many().len(), "a sample is enough again");
    }
}

#[test]
fn a_muted_address_among_many_is_seen_in_every_round_from_the_first_on() {
    for muted in many() {
        let mut world = World::of(WORKERS, many());
        (0..5).for_each(|_| _ = round(&mut world, &|_, _| false));
        let fault = world.now;
        for rounds in 1..=2 {
            let end = round(&mut world, &|to, _| to == muted);
            assert!(is_seen(&world, |address| if many()[address] == muted { 0 } else { WORKERS as u16 }));
            assert!(end - fault <= ms(75 + 50 * (rounds - 1)), "after {:?}", end - fault);
        }
        assert_eq!(*world.threads.replaced.lock().expect("nobody panicked"), [0_usize; 0]);
    }
}

#[test]
fn a_fault_of_one_worker_over_one_address_is_found_within_one_turn_of_all_pairings() {
    for bad in [(0, 0), (3, 7), (15, 1)] {
        let mut world = World::of(WORKERS, many());
        (0..5).for_each(|_| _ = round(&mut world, &|_, _| false));
        let is_bad = |to, worker| to == many()[bad.0] && worker == bad.1;
        let well = |address| if address == bad.0 { WORKERS as u16 - 1 } else { WORKERS as u16 };
        let late = (1..).find(|_| {
            round(&mut world, &is_bad);
            is_seen(&world, well)
        });
        assert!(late.is_some_and(|rounds| rounds <= WORKERS), "{late:?}");
        for _ in 0..20 {
            round(&mut world, &is_bad);
            assert!(is_seen(&world, well), "and then it is seen in every round");
        }
        round(&mut world, &|_, _| false);
        assert!(is_seen(&world, |_| WORKERS as u16));
    }
}

#[test]
fn queries_that_are_dropped_are_found_in_turn_and_then_looked_for_in_every_round() {
    let mut world = World::of(WORKERS, many());
    (0..5).for_each(|_| _ = round(&mut world, &|_, _| false));
    // Only the first address drops any.
    let flood = |world: &mut World| {
        world.threads.drops.fetch_add(9, Ordering::Relaxed);
        round(world, &|_, _| false);
        world.prober.observations()[0].is_overloaded
    };
    let found = (1..).find(|_| flood(&mut world)).expect("it is looked for");
    assert!(found <= WORKERS, "{found}");
    assert!((0..20).all(|_| flood(&mut world)));
    (0..2).for_each(|_| _ = round(&mut world, &|_, _| false));
    world.begin();
    assert_eq!(canaries(&world.queries()), many().len(), "a sample is enough again");
}

/// More addresses than a round asks every interval while all is well.
const VERY_MANY: u8 = 64;

/// A world of these that has been well for long: rounds are further apart. The last one has just been asked.
fn calm() -> World {
    let mut world = World::of(WORKERS, addresses(VERY_MANY));
    (0..=CALM_ROUNDS).for_each(|_| {
        assert_eq!(world.prober.interval(), ms(50), "what is new is proven as often as anywhere");
        round(&mut world, &|_, _| false);
    });
    assert_eq!(world.prober.interval(), ms(125));
    world
}

#[test]
fn very_many_questions_are_asked_less_often_while_all_has_been_well_for_long() {
    let mut world = calm();
    for _ in 0..20 {
        let sent = world.now;
        round(&mut world, &|_, _| false);
        let proven = (0..VERY_MANY.into()).map(|address| world.proof.last(address)).collect::<Vec<_>>();
        assert_eq!(proven, vec![Some(sent); VERY_MANY.into()], "a proof is as old as its questions");
        assert_eq!(world.now - sent, ms(125));
    }
    let is_bad = |to: SocketAddr, worker| to == addresses(VERY_MANY)[9] && worker == 3;
    let late = (1..).find(|_| {
        round(&mut world, &is_bad);
        world.prober.interval() == ms(50)
    });
    assert!(late.is_some_and(|rounds| rounds <= WORKERS), "the first fault ends it: {late:?}");
    for _ in 0..CALM_ROUNDS {
        round(&mut world, &|_, _| false);
        assert_eq!(world.prober.interval(), ms(50), "and it begins anew");
    }
    round(&mut world, &|_, _| false);
    assert_eq!(world.prober.interval(), ms(125));
    let mut world = World::of(WORKERS, many());
    for _ in 0..3 * CALM_ROUNDS {
        round(&mut world, &|_, _| false);
        assert_eq!(world.prober.interval(), ms(50), "{MANY} addresses are not that many");
    }
}

#[test]
fn rounds_that_are_further_apart_find_a_wedged_worker_and_a_muted_address_within_300_ms_all_the_same() {
    // At the worst moment: when it had just answered.
    for wedged in 0..WORKERS as u16 {
        let mut world = calm();
        let fault = world.now - ms(125);
        let mut end = fault;
        while world.threads.replaced.lock().expect("nobody panicked").is_empty() {
            end = round(&mut world, &|_, worker| worker == wedged);
            assert!(is_seen(&world, |_| WORKERS as u16 - 1), "it is found in the first round");
        }
        assert!(end - fault <= ms(250), "worker {wedged} is replaced after {:?}", end - fault);
    }
    for muted in addresses(VERY_MANY) {
        let mut world = calm();
        let fault = world.now - ms(125);
        let ends = [0; 2].map(|_| round(&mut world, &|to, _| to == muted));
        assert!(is_seen(&world, |address| if addresses(VERY_MANY)[address] == muted { 0 } else { WORKERS as u16 }));
        assert!(ends[1] - fault <= ms(250), "{muted} has failed twice after {:?}", ends[1] - fault);
    }
}

#[test]
fn no_interval_grows_beyond_an_eighth_of_a_second_for_being_well() {
    for (interval, calm) in [(10, 25), (50, 125), (80, 125), (125, 125), (200, 200)] {
        let settings = ProverSettings { interval: ms(interval), ..settings(addresses(1)) };
        assert_eq!(settings.calm_interval(), ms(calm), "{interval} ms");
    }
}
