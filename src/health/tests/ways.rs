//! Two ways to the workers: what is lost on one is asked over the other, and what each shows of the path, the worker
//! and the zone.

use super::*;

/// Swallows what was sent over the path of clients, and answers what was sent around it as it should be.
fn round_around(world: &mut World) -> [Observation; 2] {
    world.begin();
    world.prober.ask_around();
    world.queries();
    world.now += ms(1);
    for (to, query) in world.around() {
        world.answer(to, &query, &as_it_is);
    }
    world.now = world.prober.deadline();
    world.end()
}

#[test]
fn what_the_path_loses_is_proven_around_it_and_is_no_fault_of_a_worker() {
    let mut world = World::new();
    assert_eq!(world.round(&as_it_is), [WELL; 2]);
    let lost = Observation { proven: 0, detoured: 2, ..WELL };
    for rounds in 1..=9 {
        let sent = world.now;
        assert_eq!(round_around(&mut world), [lost; 2]);
        assert_eq!([0, 1].map(|address| world.proof.last(address)), [Some(sent); 2], "the lease is paid for");
        let expected = if rounds < 2 { PathState::Trusted } else { PathState::Silent };
        assert_eq!(world.prober.report(world.now).addresses[0].path, expected, "after {rounds} rounds");
    }
    assert_eq!(*world.threads.replaced.lock().expect("nobody panicked"), [0_usize; 0]);
    assert!(world.prober.report(world.now).workers.iter().all(|worker| worker.state == WorkerState::Well));
    assert_eq!((world.counts().detoured, world.counts().missing), (9 * 4, 0));
    // From here on nothing is waited for: both ways are asked at once.
    world.begin();
    assert_eq!((world.queries().len(), world.around().len()), (4, 5), "the zone is asked around the path alone");
    for _ in 0..20 {
        world.now += ms(50);
        world.round(&as_it_is);
    }
    assert_eq!(world.prober.report(world.now).addresses[0].path, PathState::Trusted);
}

#[test]
fn only_what_is_missing_is_asked_around_the_path_and_once() {
    let mut world = World::new();
    world.begin();
    for (to, query) in world.queries() {
        if to == address(0) || is_soa(&query) {
            world.answer(to, &query, &as_it_is);
        }
    }
    world.prober.ask_around();
    world.prober.ask_around();
    let asked = world.around();
    assert!(asked.len() == 2 && asked.iter().all(|(to, _)| *to == address(1)), "{asked:?}");
    world.answer(asked[0].0, &asked[0].1, &|reply, _| reply.metadata.authoritative = false);
    world.now += TIMEOUT;
    assert_eq!(
        world.end(),
        [WELL, Observation { proven: 0, wrong: 1, late: 1, ..WELL }],
        "what is wrong is wrong anywhere"
    );
}

#[test]
fn a_worker_that_answers_clients_is_served_though_no_probe_reaches_it() {
    let mut world = World::new();
    world.round(&as_it_is);
    for rounds in 0..BUSY_TRUST_MAX.as_millis() as u64 / 50 + 9 {
        world.begin();
        let sent = world.now;
        for worker in [0, 1] {
            world.threads.progress[worker].fetch_add(1, Ordering::Relaxed);
            world.threads.clients[worker].fetch_add(1, Ordering::Relaxed);
        }
        world.queries();
        world.now = world.prober.deadline();
        let seen = world.end();
        // The second address has no clients.
        assert_eq!(seen[0], Observation { proven: 0, served: 2, clients: 2, ..WELL }, "{rounds}");
        assert_eq!(seen[1], Observation { proven: 0, late: 2, ..WELL });
        assert_eq!(world.proof.last(0), Some(sent), "{rounds}");
    }
}

#[test]
fn who_moves_with_a_queue_behind_it_is_busy_and_not_late() {
    let mut world = World::new();
    world.round(&as_it_is);
    world.threads.has_queued.store(true, Ordering::Relaxed);
    for moving in [[true, true], [true, false]] {
        world.begin();
        let sent = world.now;
        for (progress, moves) in world.threads.progress.iter().zip(moving) {
            progress.fetch_add(u64::from(moves), Ordering::Relaxed);
        }
        world.queries();
        world.now = world.prober.deadline();
        let busy = u16::from(moving[0]) + u16::from(moving[1]);
        assert_eq!(world.end()[0], Observation { proven: 0, busy, late: 2 - busy, ..WELL });
        assert_eq!(world.proof.last(0) == Some(sent), busy == 2, "two must answer, and vouch for the lease");
    }
}

#[test]
fn late_answers_show_that_a_worker_is_alive_and_keep_it_trusted() {
    let mut world = World::new();
    world.round(&|_, _| {});
    let proven = world.now;
    let mut late: Vec<(SocketAddr, Message)> = Vec::new();
    while world.now - proven < 2 * BUSY_TRUST_MAX {
        world.threads.drops.fetch_add(100, Ordering::Relaxed);
        world.begin();
        world.threads.progress.iter().for_each(|progress| _ = progress.fetch_add(1, Ordering::Relaxed));
        for (to, query) in std::mem::replace(&mut late, world.queries()) {
            world.answer(to, &query, &as_it_is);
        }
        world.now = world.prober.deadline();
        let seen = world.end();
        assert!(seen[0].is_overloaded && seen[0].proven == 0, "{seen:?}");
        assert!(world.now - world.proof.last(0).expect("noted") < ms(100), "a flood may last");
        world.now += ms(1);
    }
}

#[test]
fn what_a_stranger_has_the_workers_send_us_is_a_stray() {
    let mut world = World::new();
    world.begin();
    let queries = world.queries();
    for (to, query) in &queries {
        // The right ID and question, the right server, and all wrong with it; but nobody outside knows the token.
        let mut forged = right(query, 0);
        forged.metadata.response_code = ResponseCode::ServFail;
        if !is_soa(query) {
            forged.queries[0].set_name(HickoryName::from_ascii("00000000000000000000.fated.").expect("a name"));
        }
        world.give(*to, &forged.to_vec().expect("it can be written"));
    }
    assert_eq!((world.counts().strays, world.counts().wrong), (5, 0));
    for (to, query) in &queries {
        world.answer(*to, query, &as_it_is);
    }
    assert_eq!(world.end(), [WELL; 2]);
    assert!(world.prober.report(world.now).zones.is_empty());
}

#[test]
fn a_zone_whose_questions_a_flood_drops_has_no_fault() {
    let mut world = World::new();
    for _ in 0..50 {
        world.threads.drops.fetch_add(100, Ordering::Relaxed);
        world.round(&|reply, to| {
            if is_soa(reply) && to == address(0) {
                reply.queries.clear();
            }
        });
    }
    assert!(world.prober.report(world.now).zones.is_empty());
}

#[test]
fn tcp_that_fails_where_nothing_gets_through_over_loopback_is_not_reported() {
    let mut world = World::new();
    for _ in 0..5 {
        world.tcp.put(0, TcpOutcome::Ill);
        world.begin();
        world.around();
        for (to, query) in world.queries() {
            world.answer(to, &query, &as_it_is);
        }
        world.now += ms(50);
        assert_eq!(world.end(), [WELL; 2]);
    }
    world.tcp.put(0, TcpOutcome::Ill);
    world.round(&as_it_is);
    assert_eq!(world.round(&as_it_is)[0].is_tcp_well, Some(false), "loopback is open again");
    assert_eq!(world.round(&as_it_is), [WELL; 2]);
}
