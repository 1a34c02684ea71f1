//! What people do: to the addresses and devices behind the server's back, to its zones, and to itself.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::common::site::subject::Fated;
use crate::common::site::{Family, Fault, Routing, clock};
use crate::scene::{LAPSED, PATIENCE, PROGRAM, Scene, WITHDRAWN, assert_taken_over, measured};

/// What somebody else took away is put back within milliseconds; what a busy machine may take.
const BACK: Duration = Duration::from_secs(3);
/// How often an address is removed until that is logged.
const TRIES_MAX: usize = 5;
/// How long the nodes of these tests answer after their withdrawal.
const DRAIN: Duration = Duration::from_secs(4);
/// What the process ends with when it cannot hold its device any more, as `route` has it.
const EXIT_FATAL: i32 = 70;
/// What it ends with when it was hurried, as `fated --help` has it.
const EXIT_FAILED: i32 = 3;

/// fated that ends in [`DRAIN`].
fn quick() -> Fated {
    Fated { anycast: format!("drain = \"{}s\"", DRAIN.as_secs()), ..Fated::new(PROGRAM) }
}

/// Whether the addresses of both families stand on the announcing device, as `ip` sees it.
fn stand(scene: &Scene) -> bool {
    let shown = shown(scene, "addr show dev fated0");
    Family::ALL.into_iter().all(|family| shown.contains(&family.prefix()))
}

/// What `ip` shows on node1.
fn shown(scene: &Scene, words: &str) -> String {
    let node = &scene.site.nodes[0];
    let mut command = std::process::Command::new("ip");
    command.args(["-n", node.space.name()]).args(words.split_whitespace());
    String::from_utf8_lossy(&command.output().expect("ip starts").stdout).into_owned()
}

#[test]
fn what_somebody_else_takes_away_is_put_back_or_ends_the_process() {
    let test = "what_somebody_else_takes_away_is_put_back_or_ends_the_process";
    let Some(mut scene) = Scene::build(test, Routing::BirdBgp) else { return };
    for (logged, family) in Family::ALL.into_iter().enumerate() {
        let prefix = family.prefix();
        // A removal that happens to fall on a renewal is repaired before anybody sees it, and then nobody logs it.
        for _ in 0..TRIES_MAX {
            scene.node().space.ip(&format!("addr del {prefix} dev fated0"));
            measured(
                &format!("{prefix} deleted: back"),
                scene.until("the address is back", BACK, |scene| stand(scene)),
            );
            scene.until_well();
            if count(&scene, "somebody removed the address") > logged {
                break;
            }
        }
    }
    assert_eq!(count(&scene, "somebody removed the address"), 2, "{}", scene.log());
    assert_eq!(scene.route_count("addresses_removed"), 2, "{}", scene.status());
    scene.node().space.ip("link set fated0 down");
    let took = scene.until("the device is up again", BACK, |scene| {
        stand(scene) && shown(scene, "link show dev fated0").contains(",UP")
    });
    measured("device set down: back", took);
    scene.until_well();
    assert_eq!(count(&scene, "somebody set the announcing device down"), 1, "{}", scene.log());
    scene.node().space.ip("link set fated0rx down");
    scene.until("the receiving device is up again", BACK, |scene| {
        shown(scene, "link show dev fated0rx").contains(",UP")
    });
    scene.until_well();
    assert_eq!(scene.route_count("links_downed"), 2, "{}", scene.status());
    assert_eq!(scene.withdrawals(), [0, 0], "none of this is a cause to leave: {}", scene.status());
    for device in ["fated0", "fated0rx"] {
        scene.node().space.ip(&format!("link del {device}"));
        let took = scene.until("the process ends", BACK, |scene| scene.node().server().ended().is_some());
        measured(&format!("{device} deleted: end"), took);
        assert_eq!(scene.node().server().ended().and_then(|status| status.code()), Some(EXIT_FATAL));
        assert_eq!(count(&scene, &format!("the device `{device}` was removed")), 1, "{}", scene.log());
        scene.until_away(WITHDRAWN);
        scene.restart();
    }
}

/// How many lines of node1's log hold a text.
fn count(scene: &Scene, text: &str) -> usize {
    scene.log().lines().filter(|line| line.contains(text)).count()
}

#[test]
fn a_reload_leaves_the_route_alone_and_a_broken_zone_keeps_its_old_copy() {
    let test = "a_reload_leaves_the_route_alone_and_a_broken_zone_keeps_its_old_copy";
    let Some(mut scene) = Scene::build(test, Routing::BirdBgp) else { return };
    let file: PathBuf = scene.node().folder.join("site.test.zone");
    let text = fs::read_to_string(&file).expect("the zone is there");
    let from = clock::now();
    let zone = |scene: &Scene| -> Value { scene.status()["zones"][0].clone() };
    fs::write(&file, text.replace("hostmaster 1 ", "hostmaster 2 ")).expect("the zone can be changed");
    let (code, out, err) = scene.ask(&["reload"]);
    assert_eq!(code, Some(0), "{out}{err}");
    assert_eq!((&zone(&scene)["serial"], &zone(&scene)["state"]), (&2.into(), &"served".into()));
    fs::write(&file, "this is no zone\n").expect("the zone can be broken");
    let (code, out, err) = scene.ask(&["reload"]);
    assert_eq!(code, Some(1), "{out}{err}");
    assert_eq!((&zone(&scene)["serial"], &zone(&scene)["state"]), (&2.into(), &"kept".into()));
    // A signal does the same, and is done when the last reload is another one.
    fs::write(&file, text.replace("hostmaster 1 ", "hostmaster 3 ")).expect("the zone can be changed");
    scene.node().server().signal(Signal::SIGHUP);
    scene.until("the zone is served again", PATIENCE, |scene| zone(scene)["serial"] == 3);
    // Long enough for everything that might follow from it.
    let proven = clock::now();
    scene.until("rounds have passed", PATIENCE, |_| clock::now() > proven + Duration::from_secs(2));
    assert_eq!(scene.status()["anycast"]["zone_faults"], Value::Array(Vec::new()), "{}", scene.status());
    scene.assert_route_untouched(from);
    assert_eq!(scene.withdrawals(), [0, 0], "{}", scene.site.logs());
    let report = scene.report_since(from);
    assert_eq!((report.lost, report.wrong), (0, 0), "{report:?}");
}

#[test]
fn a_drain_loses_nothing_and_outlives_a_restart_until_it_is_ended() {
    let test = "a_drain_loses_nothing_and_outlives_a_restart_until_it_is_ended";
    let Some(mut scene) = Scene::build_with(test, Routing::BirdBgp, quick()) else { return };
    let round = scene.site.round(Fault::Drain, DRAIN);
    assert_taken_over(&scene, &round, WITHDRAWN);
    assert_eq!((round.during.lost, round.after.lost), (0, 0), "{round:?}");
    Fault::Drain.put(scene.node());
    scene.until_away(WITHDRAWN);
    Fault::Kill.put(scene.node());
    Fault::Kill.lift(scene.node());
    // So long that it would have been proven and announced by now.
    scene.until("it has been at work for a while", PATIENCE, |scene| {
        scene.try_status().is_some_and(|status| status["uptime_s"].as_u64() >= Some(3))
    });
    assert_eq!(scene.status()["drained"], true);
    for family in Family::ALL {
        let address = scene.address(family);
        assert_eq!((&address["stance"], &address["announced"]), (&"withdraw".into(), &false.into()), "{address}");
        assert_eq!(address["announcements"], 0, "{address}");
        assert!(address["reason"].as_str().is_some_and(|reason| reason.contains("drained")), "{address}");
        assert!(address["proof_age_ms"].as_u64().is_some_and(|age| age < 3000), "it is proven all the same: {address}");
        assert!(scene.is_away(family), "{}", scene.site.logs());
    }
    Fault::Drain.lift(scene.node());
    scene.until_well();
    assert_eq!(scene.status()["drained"], false);
}

#[test]
fn asked_to_end_it_withdraws_answers_what_comes_and_closes() {
    let test = "asked_to_end_it_withdraws_answers_what_comes_and_closes";
    let Some(mut scene) = Scene::build_with(test, Routing::BirdBgp, quick()) else { return };
    let from = clock::now();
    scene.node().server().signal(Signal::SIGTERM);
    measured("SIGTERM: route", scene.until_away(WITHDRAWN));
    assert!(scene.node().server().ended().is_none(), "it goes on answering: {}", scene.site.logs());
    scene.until("it ends", DRAIN + WITHDRAWN, |scene| scene.node().server().ended().is_some());
    let took = clock::now() - from;
    measured("SIGTERM: end", took);
    assert!(took >= DRAIN, "{took:?}");
    assert_eq!(scene.node().server().ended().and_then(|status| status.code()), Some(0), "{}", scene.log());
    assert!(!shown(&scene, "link").contains("fated0"), "no device is left");
    let report = scene.report_since(from);
    assert_eq!((report.lost, report.wrong, report.duplicates), (0, 0, 0), "{report:?}");
    Fault::Kill.lift(scene.node());
    scene.until_well();

    let from = clock::now();
    scene.node().server().signal(Signal::SIGTERM);
    scene.until_away(WITHDRAWN);
    scene.node().server().signal(Signal::SIGTERM);
    scene.until("a second signal hurries", PATIENCE, |scene| scene.node().server().ended().is_some());
    let took = clock::now() - from;
    measured("two SIGTERM: end", took);
    assert!(took < DRAIN, "{took:?}");
    assert_eq!(scene.node().server().ended().and_then(|status| status.code()), Some(EXIT_FAILED), "{}", scene.log());
    assert!(scene.log().contains("a second signal"), "{}", scene.log());
}

#[test]
fn addresses_on_lo_go_with_their_lease_and_leftovers_of_a_killed_run_are_purged() {
    let test = "addresses_on_lo_go_with_their_lease_and_leftovers_of_a_killed_run_are_purged";
    let lo = Fated { interface: "lo", ..Fated::new(PROGRAM) };
    let Some(mut scene) = Scene::build_with(test, Routing::BirdBgp, lo) else { return };
    let killed = scene.site.round(Fault::Kill, PATIENCE);
    assert_taken_over(&scene, &killed, LAPSED);
    assert_eq!(count(&scene, "of an earlier run removed"), 1, "the local routes were left: {}", scene.log());
    let muted = scene.site.round(Fault::Mute, PATIENCE);
    assert_taken_over(&scene, &muted, WITHDRAWN);
    let frozen = scene.site.round(Fault::Freeze, PATIENCE);
    assert_taken_over(&scene, &frozen, LAPSED);
}
