//! The fault table against each router as it comes: what goes, how fast, and that it comes back without a back-off.

use std::time::Duration;

use crate::common::site::speaker::{Router, Speaking};
use crate::common::site::subject::Fated;
use crate::common::site::{Family, Fault, Routing};
use crate::scene::{PATIENCE, PROGRAM, Scene, WITHDRAWN, assert_stayed, assert_taken_over, measured};

/// The kernel ends the sessions of a killed process in milliseconds. What a busy machine may take.
const KILLED: Duration = Duration::from_secs(2);
/// A frozen process is noticed by the hold time of three seconds; OpenBGPD tells its other peers later.
const FROZEN: Duration = Duration::from_secs(8);
/// The same with BFD, 50 ms × 3.
const FROZEN_WITH_BFD: Duration = Duration::from_millis(2600);
/// A round is watched for so long.
const BOUND: Duration = Duration::from_secs(12);
/// A node that a router keeps out for a minute is not back within this; the hold-down of a node is over before.
const NOT_KEPT_OUT: Duration = Duration::from_secs(30);

/// A site whose nodes speak BGP to the router themselves.
fn build(test: &str, speaking: Speaking) -> Option<Scene> {
    Scene::build_with(test, Routing::Own(speaking), Fated::new(PROGRAM))
}

/// What must hold of a round after which the router took the node back at once.
fn assert_not_kept_out(scene: &Scene, round: &crate::common::site::Round) {
    let back = round.back_at.map(|at| at - round.lifted_at);
    assert!(back.is_some_and(|back| back < NOT_KEPT_OUT), "{}: {back:?}: {}", round.fault, scene.site.logs());
}

/// Puts each fault on a node whose router is as it comes.
fn withstand(test: &str, router: Router) {
    let Some(mut scene) = build(test, Speaking::with(router)) else { return };
    for neighbor in scene.neighbors() {
        assert_eq!((&neighbor["state"], &neighbor["announced"]), (&"established".into(), &1.into()), "{neighbor}");
        assert_eq!(neighbor["hold_time_s"], 3, "{neighbor}");
    }
    let killed = scene.site.round(Fault::Kill, BOUND);
    assert_taken_over(&scene, &killed, KILLED);
    assert_not_kept_out(&scene, &killed);
    // Withdrawn by its own word: the session stays.
    let muted = scene.site.round(Fault::Mute, BOUND);
    assert_taken_over(&scene, &muted, WITHDRAWN);
    assert!(scene.neighbors().iter().all(|neighbor| neighbor["established"] == 1), "{}", scene.status());
    let wedged = scene.site.round(Fault::WedgeOne, Duration::from_secs(3));
    assert_eq!(wedged.route_change, None, "{}", scene.site.logs());
    // On order traffic moves before the route goes, so that nothing is lost.
    let drained = scene.site.round(Fault::Drain, BOUND);
    assert_taken_over(&scene, &drained, WITHDRAWN);
    assert_eq!(drained.during.lost, 0, "{:?}: {}", drained.during, scene.site.logs());
    assert_not_kept_out(&scene, &drained);
    let back = scene.restart_router();
    measured("router restarted: back", back);
    // OpenBGPD, which keeps a peer away for half a minute that has lost three sessions in few minutes, has forgotten.
    let ended = scene.site.round(Fault::Terminate, BOUND);
    assert_taken_over(&scene, &ended, WITHDRAWN);
    assert_eq!(ended.during.lost, 0, "{:?}: {}", ended.during, scene.site.logs());
    assert_not_kept_out(&scene, &ended);
}

#[test]
fn bird_follows_each_fault_and_keeps_nobody_out() {
    withstand("bird_follows_each_fault_and_keeps_nobody_out", Router::Bird);
}

#[test]
fn frr_follows_each_fault_and_keeps_nobody_out() {
    withstand("frr_follows_each_fault_and_keeps_nobody_out", Router::Frr);
}

#[test]
fn gobgp_follows_each_fault_and_keeps_nobody_out() {
    withstand("gobgp_follows_each_fault_and_keeps_nobody_out", Router::GoBgp);
}

#[test]
fn openbgpd_follows_each_fault_and_keeps_nobody_out() {
    withstand("openbgpd_follows_each_fault_and_keeps_nobody_out", Router::OpenBgpd);
}

#[test]
fn a_frozen_process_loses_its_route_by_the_hold_time() {
    let test = "a_frozen_process_loses_its_route_by_the_hold_time";
    for router in [Router::Bird, Router::Frr, Router::GoBgp] {
        let speaking = Speaking { is_forgiving: true, ..Speaking::with(router) };
        let Some(mut scene) = build(test, speaking) else { return };
        let frozen = scene.site.round(Fault::Freeze, BOUND);
        assert_taken_over(&scene, &frozen, FROZEN);
    }
}

#[test]
fn a_frozen_process_loses_its_route_by_the_silence_of_bfd() {
    let test = "a_frozen_process_loses_its_route_by_the_silence_of_bfd";
    for router in [Router::Bird, Router::Frr] {
        let speaking = Speaking { has_bfd: true, hold_s: 9, is_forgiving: true, ..Speaking::with(router) };
        let Some(mut scene) = build(test, speaking) else { return };
        scene.until("BFD is up", PATIENCE, |scene| scene.neighbors().iter().all(|one| one["bfd"]["state"] == "up"));
        let frozen = scene.site.round(Fault::Freeze, BOUND);
        // Sooner than any hold time.
        assert_taken_over(&scene, &frozen, FROZEN_WITH_BFD);
        scene.until("BFD is up again", PATIENCE, |scene| {
            scene.neighbors().iter().all(|one| one["bfd"]["state"] == "up")
        });
        let killed = scene.site.round(Fault::Kill, BOUND);
        assert_taken_over(&scene, &killed, KILLED);
        assert_not_kept_out(&scene, &killed);
    }
}

#[test]
fn other_work_on_all_cpus_withdraws_nothing_and_no_session_ends() {
    let test = "other_work_on_all_cpus_withdraws_nothing_and_no_session_ends";
    let speaking = Speaking { has_bfd: true, ..Speaking::with(Router::Bird) };
    let plan = crate::common::site::Plan::new(
        crate::common::site::Subject::Fated(Fated::new(PROGRAM)),
        Routing::Own(speaking),
    );
    let Some(mut scene) = Scene::build_from(test, &plan, crate::scene::Share::All) else { return };
    scene.until("BFD is up", PATIENCE, |scene| scene.neighbors().iter().all(|one| one["bfd"]["state"] == "up"));
    let round = scene.site.round(Fault::Saturate, BOUND);
    assert_stayed(&scene, &round);
    assert!(scene.neighbors().iter().all(|one| one["established"] == 1), "{}", scene.status());
    for family in Family::ALL {
        assert_eq!(scene.address(family)["withdrawals"], 0);
    }
}
