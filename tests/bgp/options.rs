//! What can be set about a session, each seen at real routers: passwords, GTSM, passive and internal sessions, one
//! session for both families, and a node that comes back after it went without a word.

use std::process::Command;
use std::time::Duration;

use crate::common::site::speaker::{Router, Speaking};
use crate::common::site::subject::Fated;
use crate::common::site::{Fault, Routing, clock};
use crate::scene::{PATIENCE, PROGRAM, Scene, measured};

/// A new session that the router takes in the place of a dead one comes within a second; what a busy machine may take.
/// The hold time is longer.
const REPLACED: Duration = Duration::from_secs(20);
/// The hold time of a node that goes without a word, in seconds.
const LONG_HOLD_S: u32 = 90;

/// A site whose nodes speak BGP to the router themselves, as `speaking` says.
fn build(test: &str, speaking: Speaking) -> Option<Scene> {
    Scene::build_with(test, Routing::Own(speaking), Fated::new(PROGRAM))
}

#[test]
fn passwords_and_gtsm_hold_on_both_sides() {
    let test = "passwords_and_gtsm_hold_on_both_sides";
    for router in Router::ALL {
        let speaking = Speaking { password: Some("secret of the link"), has_gtsm: true, ..Speaking::with(router) };
        let speaking = match router {
            // A blank ends a password there.
            Router::OpenBgpd | Router::Frr => Speaking { password: Some("secret-of-the-link"), ..speaking },
            _ => speaking,
        };
        let Some(scene) = build(test, speaking) else { return };
        assert!(scene.neighbors().iter().all(|neighbor| neighbor["announced"] == 1), "{}", scene.status());
        assert!(!scene.log().contains("secret"), "{}", scene.log());
        let (_, out, _) = scene.ask(&["bgp"]);
        assert!(!out.contains("secret") && out.contains("established"), "{out}");
    }
}

#[test]
fn routers_may_connect_and_one_session_may_carry_both_families() {
    let test = "routers_may_connect_and_one_session_may_carry_both_families";
    for router in Router::ALL {
        // OpenBGPD tries again after two minutes, where nobody listened yet.
        let is_passive = router != Router::OpenBgpd;
        let speaking = Speaking { is_passive, is_one_session: true, ..Speaking::with(router) };
        let Some(scene) = build(test, speaking) else { return };
        let neighbors = scene.neighbors();
        assert_eq!(neighbors.len(), 1, "{}", scene.status());
        assert_eq!((&neighbors[0]["announced"], &neighbors[0]["families"]), (&2.into(), &"IPv4 and IPv6".into()));
    }
}

#[test]
fn internal_sessions_carry_what_routers_need_to_take_a_route() {
    let test = "internal_sessions_carry_what_routers_need_to_take_a_route";
    for router in [Router::Bird, Router::Frr, Router::OpenBgpd] {
        let Some(scene) = build(test, Speaking { is_internal: true, ..Speaking::with(router) }) else { return };
        assert!(scene.neighbors().iter().all(|neighbor| neighbor["announced"] == 1), "{}", scene.status());
    }
}

#[test]
fn a_node_that_went_without_a_word_replaces_its_dead_session() {
    let test = "a_node_that_went_without_a_word_replaces_its_dead_session";
    for (router, password) in Router::ALL.into_iter().flat_map(|router| [(router, None), (router, Some("of-the-link"))])
    {
        // GoBGP takes five seconds to its next session in any case; with a password it is no different.
        if router == Router::GoBgp && password.is_some() {
            continue;
        }
        let speaking = Speaking { hold_s: LONG_HOLD_S, password, ..Speaking::with(router) };
        let Some(mut scene) = build(test, speaking) else { return };
        // Nothing leaves the node any more: its end is not heard.
        let drop = "tcp dport 179 drop; tcp sport 179 drop";
        scene.table(&format!("chain output {{ type filter hook output priority 0; {drop}; }};"));
        Fault::Kill.put(scene.node());
        clock::wait_until(PATIENCE, || scene.site.nodes[0].server_has_ended());
        scene.unfilter();
        let start = clock::now();
        Fault::Kill.lift(scene.node());
        scene.until("established again", REPLACED, |scene| {
            let neighbors = scene.try_neighbors();
            !neighbors.is_empty() && neighbors.iter().all(|neighbor| neighbor["state"] == "established")
        });
        measured(&format!("{router:?}, password {}: established again", password.is_some()), clock::now() - start);
    }
}

#[test]
fn a_wrong_password_is_told_as_what_it_looks_like() {
    let test = "a_wrong_password_is_told_as_what_it_looks_like";
    let Some(mut scene) = build(test, Speaking { password: Some("right"), ..Speaking::with(Router::Bird) }) else {
        return;
    };
    let config = scene.site.nodes[0].folder.join("fated.toml");
    let text = std::fs::read_to_string(&config).expect("it is there");
    std::fs::write(&config, text.replace("\"right\"", "\"wrong\"")).expect("it can be written");
    Fault::Kill.put(scene.node());
    Fault::Kill.lift(scene.node());
    scene.until("the likely cause is told", PATIENCE, |scene| {
        let neighbors = scene.try_neighbors();
        !neighbors.is_empty()
            && neighbors
                .iter()
                .all(|neighbor| neighbor["last_failure"]["text"].as_str().is_some_and(|text| text.contains("MD5")))
    });
    let mut check = Command::new(PROGRAM);
    let output = check.arg("check").arg("--config").arg(&config).output().expect("fated starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
