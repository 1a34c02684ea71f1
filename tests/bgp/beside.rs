//! What stands beside the announcing: what is degraded and why, and the operator's words.

use std::process::Command;

use crate::common::site::speaker::{Router, Speaking};
use crate::common::site::subject::Fated;
use crate::common::site::{Family, Routing};
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
