//! Faults of the path to the workers: a packet filter, another server in the way, more queries than can be answered.

use std::net::UdpSocket;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::common::message::Query;
use crate::common::name;
use crate::common::site::subject::Fated;
use crate::common::site::{Family, Fault, NodeNumber, Routing, clock};
use crate::scene::{LAPSED, PATIENCE, PROGRAM, Scene, WITHDRAWN, assert_taken_over, measured};

/// Drops queries over UDP.
const UDP: &str = "udp dport 53 drop";
/// Drops queries over UDP that come over IPv6.
const UDP_V6: &str = "meta nfproto ipv6 udp dport 53 drop";
/// The least time that an address is held down for after the first withdrawal, as `policy` has it.
const HOLD_DOWN: Duration = Duration::from_secs(5);
/// Three queries over TCP have to fail, a second apart, each within its timeout. What a busy machine may take.
const TCP_WITHDRAWN: Duration = Duration::from_secs(20);
/// How long a flood lasts.
const FLOOD: Duration = Duration::from_secs(5);
/// Sockets that flood, each with a thread: so many that workers cannot keep up, with what share of two CPUs is left for
/// them.
const FLOODERS: usize = 8;
/// Where the server stands that answers in the place of node1.
const IMPOSTOR_PORT: u16 = 5301;

#[test]
fn a_muted_port_withdraws_its_family_and_returns_after_the_hold_down() {
    let test = "a_muted_port_withdraws_its_family_and_returns_after_the_hold_down";
    let Some(mut scene) = Scene::build(test, Routing::BirdBgp) else { return };
    scene.filter(UDP_V6);
    let took = scene.until("IPv6 goes", WITHDRAWN, |scene| scene.is_away(Family::V6));
    measured("IPv6 muted: route", took);
    let withdrawn = clock::now();
    assert!(!scene.is_away(Family::V4), "IPv4 is well: {}", scene.site.logs());
    scene.unfilter();
    scene.until_well();
    let held = clock::now() - withdrawn;
    measured("IPv6 muted: away", held);
    // The router hears of the withdrawal after it was decided.
    assert!(held > HOLD_DOWN - WITHDRAWN / 10, "{held:?}: {}", scene.site.logs());
    assert_eq!(scene.withdrawals(), [0, 1], "{}", scene.site.logs());
    scene.restart();
    let from = clock::now();
    scene.filter(UDP);
    measured("muted: route", scene.until_away(WITHDRAWN));
    for family in Family::ALL {
        let address = scene.address(family);
        assert!(address["reason"].as_str().is_some_and(|reason| reason.contains("workers")), "{address}");
    }
    scene.unfilter();
    scene.until_well();
    assert!(clock::now() - from > HOLD_DOWN, "{}", scene.site.logs());
    assert_eq!(scene.withdrawals(), [1, 1], "{}", scene.site.logs());
    assert_eq!(scene.repairs(), 0, "workers that are cut off are not wedged: {}", scene.status());
    let report = scene.report_since(from);
    assert!(report.dark < WITHDRAWN && report.by_node.contains_key(&NodeNumber::SECOND), "{report:?}");
}

#[test]
fn tcp_that_stays_dead_withdraws_by_the_rule_for_tcp() {
    let test = "tcp_that_stays_dead_withdraws_by_the_rule_for_tcp";
    let Some(mut scene) = Scene::build(test, Routing::BirdBgp) else { return };
    let from = clock::now();
    Fault::MuteTcp.put(scene.node());
    let took = scene.until_away(TCP_WITHDRAWN);
    measured("TCP muted: route", took);
    // One failure is none: the listener is given time to be repaired.
    assert!(took > Duration::from_secs(1), "{took:?}");
    for family in Family::ALL {
        let address = scene.address(family);
        assert!(address["reason"].as_str().is_some_and(|reason| reason.contains("TCP")), "{address}");
    }
    Fault::MuteTcp.lift(scene.node());
    scene.until_well();
    assert_eq!(scene.withdrawals(), [1, 1], "{}", scene.site.logs());
    let report = scene.report_since(from);
    assert_eq!(report.lost, 0, "UDP was well all the time: {report:?}");
}

#[test]
fn another_server_that_answers_in_its_place_withdraws() {
    let test = "another_server_that_answers_in_its_place_withdraws";
    let Some(mut scene) = Scene::build(test, Routing::BirdBgp) else { return };
    let folder = scene.node().folder.clone();
    let node = NodeNumber::FIRST;
    let listens = [(node.own4().into(), Family::V4), (node.own6().into(), Family::V6)]
        .map(|(address, _): (std::net::IpAddr, Family)| std::net::SocketAddr::new(address, IMPOSTOR_PORT).to_string());
    let mut command = Command::new(PROGRAM);
    command.args(["serve", "--workers", "1", "--control", "", "--zone"]);
    command.arg(format!("site.test={}/site.test.zone", folder.display()));
    command.args(["--listen", &listens[0], "--listen", &listens[1]]);
    let log = folder.join("impostor.log");
    let _impostor = scene.node().space.start(&mut command, &log);
    let is_serving = || std::fs::read_to_string(&log).is_ok_and(|text| text.contains("serving "));
    assert!(clock::wait_until(PATIENCE, is_serving), "{}", scene.site.logs());
    // What comes for port 53 goes to the other server, which answers as well as node1, but is not node1.
    scene.table(&format!(
        "chain prerouting {{ type nat hook prerouting priority -100; udp dport 53 dnat ip to {}; \
         meta nfproto ipv6 udp dport 53 dnat ip6 to {}; }};",
        listens[0], listens[1]
    ));
    measured("another server: route", scene.until_away(WITHDRAWN));
    for family in Family::ALL {
        let address = scene.address(family);
        assert!(address["reason"].as_str().is_some_and(|reason| reason.contains("not right")), "{address}");
    }
    scene.unfilter();
    scene.until_well();
    assert_eq!(scene.withdrawals(), [1, 1], "{}", scene.site.logs());
}

#[test]
fn a_flood_over_the_capacity_of_the_sockets_is_absorbed() {
    let test = "a_flood_over_the_capacity_of_the_sockets_is_absorbed";
    let Some(mut scene) = Scene::build_alone(test, Fated::new(PROGRAM)) else { return };
    let process = scene.process();
    let dropped = || {
        // The kernel counts for each socket of the namespace what found it full, in the last column.
        let files = ["udp", "udp6"].map(|file| std::fs::read_to_string(format!("/proc/{process}/net/{file}")));
        let lines = files.map(|file| file.expect("the kernel lists its sockets")).concat();
        let counts = lines.lines().filter_map(|line| line.split_whitespace().last()?.parse::<u64>().ok());
        counts.sum::<u64>()
    };
    let (from, before) = (clock::now(), dropped());
    let sent = flood(&scene);
    let lost = dropped() - before;
    eprintln!("measured: flood: {sent} queries in {FLOOD:?}, {lost} dropped by full sockets");
    assert!(lost > 0, "the flood of {sent} queries is no overload");
    scene.assert_route_untouched(from);
    scene.until_well();
    scene.assert_route_untouched(from);
    assert_eq!(scene.withdrawals(), [0, 0], "{}", scene.site.logs());
    let reported: u64 = Family::ALL.iter().map(|family| scene.address(*family)["dropped"].as_u64().unwrap_or(0)).sum();
    assert!(reported >= lost, "{reported} of {lost} drops are reported: {}", scene.status());
    assert_eq!(scene.repairs(), 0, "who works through a flood is not wedged: {}", scene.status());
}

/// Asks over both families as fast as it goes for [`FLOOD`]; returns how many queries left.
fn flood(scene: &Scene) -> u64 {
    let (is_over, sent) = (AtomicBool::new(false), AtomicU64::new(0));
    let query = Query::new(&name::name("flood.site.test."), 1).encode(1);
    scene.site.client.run(|| {
        std::thread::scope(|scope| {
            for family in Family::ALL.into_iter().cycle().take(FLOODERS) {
                let socket = UdpSocket::bind((family.unspecified(), 0)).expect("a port");
                socket.connect((family.service(), 53)).expect("a route");
                let (is_over, sent, query) = (&is_over, &sent, &query);
                scope.spawn(move || {
                    while !is_over.load(Ordering::Relaxed) {
                        let is_sent = socket.send(query).is_ok();
                        sent.fetch_add(u64::from(is_sent), Ordering::Relaxed);
                    }
                });
            }
            let end = clock::now() + FLOOD;
            clock::wait_until(FLOOD * 2, || clock::now() > end);
            is_over.store(true, Ordering::Relaxed);
        });
    });
    sent.into_inner()
}

#[test]
fn with_frr_a_node_that_is_killed_stopped_muted_or_drained_is_replaced() {
    let test = "with_frr_a_node_that_is_killed_stopped_muted_or_drained_is_replaced";
    let Some(mut scene) = Scene::build(test, Routing::Frr) else { return };
    let faults =
        [(Fault::Drain, WITHDRAWN), (Fault::Mute, WITHDRAWN), (Fault::Freeze, LAPSED), (Fault::Kill, WITHDRAWN)];
    for (fault, bound) in faults {
        let round = scene.site.round(fault, PATIENCE);
        assert_taken_over(&scene, &round, bound);
        if fault == Fault::Drain {
            assert_eq!((round.during.lost, round.after.lost), (0, 0), "{round:?}");
        }
    }
}
