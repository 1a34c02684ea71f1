//! Faults of the process and its threads: killed, stopped, wedged, and kept from the CPU.

use std::process::Command;
use std::time::Duration;

use crate::common::site::fault::Wedge;
use crate::common::site::subject::Fated;
use crate::common::site::{Family, Fault, Plan, Routing, Subject, clock};
use crate::scene::{LAPSED, PATIENCE, PROGRAM, Scene, Share, WITHDRAWN, assert_stayed, assert_taken_over, measured};

/// A killed process: the kernel closes the tun in milliseconds. What a busy machine may take.
const KILLED: Duration = Duration::from_secs(2);
/// A worker is starved once its canaries are late, and then the lease has to run out.
const STARVED: Duration = Duration::from_secs(20);
/// A frozen round is watched for so long.
const BOUND: Duration = Duration::from_secs(10);

#[test]
fn a_killed_or_stopped_process_loses_its_route_and_comes_back_by_proof() {
    let test = "a_killed_or_stopped_process_loses_its_route_and_comes_back_by_proof";
    let Some(mut scene) = Scene::build(test, Routing::BirdBgp) else { return };
    let killed = scene.site.round(Fault::Kill, BOUND);
    assert_taken_over(&scene, &killed, KILLED);
    let frozen = scene.site.round(Fault::Freeze, BOUND);
    assert_taken_over(&scene, &frozen, LAPSED);
    // What stood still has proven nothing: it is announced again like any other address that was away.
    for family in Family::ALL {
        let address = scene.address(family);
        assert_eq!(address["announcements"], 2, "{address}");
        assert_eq!(address["withdrawals"], 1, "{address}");
    }
    let log = scene.log();
    assert!(log.contains("the lease ran out"), "{log}");
    assert!(!log.contains("somebody removed"), "{log}");
}

#[test]
fn one_wedged_worker_of_two_is_repaired_without_a_withdrawal() {
    let test = "one_wedged_worker_of_two_is_repaired_without_a_withdrawal";
    let plan = Plan { rate: 2000, ..Plan::new(Subject::Fated(Fated::new(PROGRAM)), Routing::BirdBgp) };
    let Some(mut scene) = Scene::build_from(test, &plan, Share::Half) else { return };
    let round = scene.site.round(Fault::WedgeOne, BOUND);
    assert_stayed(&scene, &round);
    assert!(round.during.sent >= 20_000, "{:?}", round.during);
    // The promise is 100 of 20,000; a busy machine finds it later.
    assert!(round.during.lost < 1000, "{:?}", round.during);
    assert_eq!(scene.repairs(), 1, "{}", scene.status());
    scene.until("the replaced thread ends", PATIENCE, |scene| scene.workers().len() == 2);
}

#[test]
fn with_too_few_workers_left_the_node_withdraws_until_they_wake() {
    let test = "with_too_few_workers_left_the_node_withdraws_until_they_wake";
    let Some(mut scene) = Scene::build(test, Routing::BirdBgp) else { return };
    let from = clock::now();
    let mut wedged = scene.workers();
    let mut wedges: Vec<Wedge> = wedged.iter().map(|worker| Wedge::put(*worker)).collect();
    measured("all workers wedged: route", scene.until_away(WITHDRAWN));
    let took = scene.until("both workers are replaced", WITHDRAWN, |scene| scene.repairs() == 2);
    measured("all workers wedged: replaced", took);
    // The new threads hang as well: now there are as many hung threads as workers, and no more are made.
    let fresh: Vec<_> = scene.workers().into_iter().filter(|worker| !wedged.contains(worker)).collect();
    assert_eq!(fresh.len(), 2, "{fresh:?}");
    wedges.extend(fresh.iter().map(|worker| Wedge::put(*worker)));
    wedged.extend(fresh);
    scene.until("both workers are lost", PATIENCE, |scene| {
        let status = scene.status();
        let workers = status["anycast"]["workers"].as_array().expect("workers").clone();
        workers.iter().all(|worker| worker["state"] == "lost")
    });
    assert_eq!(scene.workers().len(), 4, "no thread is made beyond the bound");
    for family in Family::ALL {
        let address = scene.address(family);
        assert_eq!((&address["stance"], &address["announced"]), (&"withdraw".into(), &false.into()), "{address}");
        assert!(address["reason"].as_str().is_some_and(|reason| reason.contains("workers")), "{address}");
    }
    drop(wedges);
    scene.until_well();
    scene.until("the replaced threads end", PATIENCE, |scene| scene.workers().len() == 2);
    assert_eq!(scene.withdrawals(), [1, 1]);
    let report = scene.report_since(from);
    assert!(report.dark < WITHDRAWN, "{report:?}");
}

#[test]
fn other_work_on_all_cpus_withdraws_nothing_while_answers_come() {
    let test = "other_work_on_all_cpus_withdraws_nothing_while_answers_come";
    let more = "[admin]\nlisten = \"127.0.0.1:9153\"".to_owned();
    let Some(mut scene) = Scene::build_alone(test, Fated { more, ..Fated::new(PROGRAM) }) else { return };
    let before = scene.metric("fated_prover_rounds_total");
    let round = scene.site.round(Fault::Saturate, BOUND);
    assert_stayed(&scene, &round);
    assert_eq!(scene.repairs(), 0, "a thread that waits for a CPU is not wedged: {}", scene.status());
    // What it saw is published: rounds, of which some may have been late, or without an answer because of the CPU.
    assert!(scene.metric("fated_prover_rounds_total") > before);
    let [missing, starved] = ["missing", "starved"].map(|what| scene.metric(&format!("fated_prover_{what}_total")));
    let gaps = scene.metric("fated_prover_gaps_total");
    eprintln!("measured: saturate: {missing} canaries missing, {starved} of them starved, {gaps} gaps");
    assert!(starved <= missing, "{starved} of {missing}");
    for family in Family::ALL {
        let label = format!("{{address=\"{}\"}}", family.service());
        assert_eq!(scene.metric(&format!("fated_anycast_withdrawals_total{label}")), 0);
        assert_eq!(scene.metric(&format!("fated_anycast_announced{label}")), 1);
    }
}

#[test]
fn workers_that_get_no_cpu_lose_the_lease_and_are_not_taken_for_wedged() {
    let test = "workers_that_get_no_cpu_lose_the_lease_and_are_not_taken_for_wedged";
    let Some(mut scene) = Scene::build_alone(test, Fated::new(PROGRAM)) else { return };
    let workers = scene.workers();
    let schedule = |class: &str| {
        for worker in &workers {
            let mut command = Command::new("chrt");
            let done = command.args([class, "-p", "0", &worker.to_string()]).status().expect("chrt starts");
            assert!(done.success(), "{worker}: {done}");
        }
    };
    // Only what others leave of the CPUs is theirs, and others leave nothing.
    schedule("--idle");
    Fault::Saturate.put(scene.node());
    measured("starved: route", scene.until_away(STARVED));
    let prover = scene.status()["anycast"]["prover"].clone();
    Fault::Saturate.lift(scene.node());
    schedule("--other");
    let back = clock::now();
    scene.until_well();
    measured("starved: back", clock::now() - back);
    assert!(scene.route_count("leases_lapsed") >= 2, "{}", scene.status());
    assert!(scene.log().contains("the lease ran out"), "{}", scene.log());
    // It is held down like any other withdrawal, so that it does not come and go.
    for family in Family::ALL {
        assert_eq!(scene.address(family)["withdrawals"], 1, "{}", scene.address(family));
    }
    assert!(prover["starved"].as_u64() > Some(0), "{prover}");
    assert_eq!(scene.repairs(), 0, "{}", scene.status());
}
