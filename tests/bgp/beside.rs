//! What stands beside the announcing: what is degraded and why, and the operator's words.

use std::process::Command;

use crate::common::site::speaker::{Router, Speaking};
use crate::common::site::subject::Fated;
use crate::common::site::{Family, NodeNumber, Routing};
use crate::scene::{PATIENCE, PROGRAM, Scene};

#[test]
fn a_degraded_route_says_why_and_a_drain_says_so_at_the_end() {
    let test = "a_degraded_route_says_why_and_a_drain_says_so_at_the_end";
    let fated = Fated { anycast: "degrade-first = \"4s\"\n".to_owned(), ..Fated::new(PROGRAM) };
    let Some(mut scene) = Scene::build_with(test, Routing::Own(Speaking::with(Router::Bird)), fated) else { return };
    let control = scene.site.folder.path().join("router/bird.ctl");
    let birdc = |words: &[&str]| {
        let output = Command::new("birdc").arg("-s").arg(&control).args(words).output().expect("birdc starts");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let path = |protocol: &str| birdc(&["show", "route", "protocol", protocol, "all"]);
    let plain = path("node1_4");
    assert!(plain.contains("BGP.med: 0") && !plain.contains("65535"), "{plain}");
    std::thread::scope(|scope| {
        let drain = scope.spawn(|| scene.ask(&["drain"]));
        let is_degraded = crate::common::site::clock::wait_until(PATIENCE, || path("node1_4").contains("(65535,0)"));
        let degraded = path("node1_4");
        assert!(is_degraded, "{degraded}");
        // GSHUT, MED, a longer path, and the reason: drained.
        for part in ["BGP.med: 1000", "65001 65001 65001 65001 65001 65001", "(65001, 84, 10)"] {
            assert!(degraded.contains(part), "{part}: {degraded}");
        }
        let (code, _, error) = drain.join().expect("it does not panic");
        assert_eq!(code, Some(0), "{error}");
    });
    assert!(path("node1_4").trim().lines().count() <= 2, "{}", path("node1_4"));
    scene.until("the session is ended with the reason", PATIENCE, |_| {
        birdc(&["show", "protocols", "all", "node1_4"]).contains("drained by the operator")
            || std::fs::read_to_string(control.with_file_name("bird.log")).is_ok_and(|log| log.contains("drained"))
    });
    let (code, _, error) = scene.ask(&["resume"]);
    assert_eq!(code, Some(0), "{error}");
    scene.until_well();
    for family in Family::ALL {
        assert_eq!(scene.address(family)["stance"], "announce");
    }
}

#[test]
fn the_last_site_stays_and_the_others_leave_for_one_that_is_well() {
    let test = "the_last_site_stays_and_the_others_leave_for_one_that_is_well";
    for router in [Router::Bird, Router::Frr] {
        let speaking = Speaking { tells_back: true, ..Speaking::with(router) };
        let fated =
            Fated { anycast: "[anycast.health]\non-path-fault = \"withdraw\"\n".to_owned(), ..Fated::new(PROGRAM) };
        let Some(mut scene) = Scene::build_with(test, Routing::Own(speaking), fated) else { return };
        // A filter that is rolled out to all nodes spares the clients.
        let filter = "table inet rolled_out { chain input { type filter hook input priority 0; \
            ip saddr 192.0.0.0/24 drop; ip6 saddr 100::/64 drop; }; }";
        let roll_out = |scene: &mut Scene, node: usize| {
            scene.site.nodes[node].space.output(Command::new("nft").arg(filter));
        };
        let take_back = |scene: &mut Scene, node: usize| {
            scene.site.nodes[node].space.output(Command::new("nft").args(["delete", "table", "inet", "rolled_out"]));
        };
        let since = crate::common::site::clock::now();
        for node in 0..2 {
            roll_out(&mut scene, node);
        }
        scene.until("it stays, and says so", PATIENCE, |scene| {
            Family::ALL.into_iter().all(|family| {
                let address = scene.address(family);
                address["stance"] == "degrade"
                    && address["reason"].as_str().is_some_and(|why| why.contains("no other site"))
            })
        });
        // node2 is well again: the router prefers it, and tells node1 so.
        take_back(&mut scene, 1);
        scene.until("it leaves for the one that is well", PATIENCE, |scene| {
            Family::ALL.into_iter().all(|family| scene.address(family)["stance"] == "withdraw")
        });
        assert!(scene.site.is_routed_to(NodeNumber::SECOND), "{}", scene.site.logs());
        take_back(&mut scene, 0);
        scene.until_well();
        let report = scene.report_since(since);
        assert_eq!(report.lost, 0, "{report:?}: {}", scene.site.logs());
    }
}
