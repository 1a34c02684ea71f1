//! Faults of the path that probes take: a routing rule, filters, a rate limit, sources that somebody forges. None of
//! them keeps clients away, and none takes the route away; what does keep clients away, does.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use serde_json::Value;

use crate::common::message::{Edns, Query};
use crate::common::name;
use crate::common::site::strangers::send_in_name_of;
use crate::common::site::subject::Fated;
use crate::common::site::{Family, NodeNumber, Plan, Routing, Subject, clock};
use crate::scene::{PATIENCE, PROGRAM, Scene, Share, WITHDRAWN, measured};

/// For how long a fault that must not withdraw is watched.
const WATCHED: Duration = Duration::from_secs(4);
/// Where probes come from, as it is shipped.
const SOURCES: [&str; 2] = ["192.0.0.100", "100::64"];
/// The port that they come from.
const PORT: u16 = 61_053;
/// Another port, from which the prover never asks.
const OTHER_PORT: u16 = 40_000;
/// How many forged queries are sent of each family.
const FORGED: u32 = 150_000;
/// How many rounds of all that a host would answer are sent of each family.
const FORGED_ROUNDS: usize = 500;

/// Fated whose zones' faults withdraw, and whose every fault of the path is logged.
fn strict() -> Plan {
    let mut fated = Fated::new(PROGRAM);
    fated.more = "[anycast.health]\non-shared-fault = \"withdraw\"\n[admin]\nlisten = \"127.0.0.1:9153\"\n".to_owned();
    Plan::new(Subject::Fated(fated), Routing::BirdBgp)
}

impl Scene {
    /// The states of the path to both addresses.
    fn paths(&self) -> [Value; 2] {
        Family::ALL.map(|family| self.address(family)["path"].clone())
    }

    /// The stances of both addresses.
    fn stances(&self) -> [Value; 2] {
        Family::ALL.map(|family| self.address(family)["stance"].clone())
    }

    /// Watches for a while, in which every client is answered, by node1, and no route is touched.
    fn assert_harmless(&mut self, fault: &str, since: Duration) {
        let end = clock::now() + WATCHED;
        clock::wait_until(WATCHED * 2, || clock::now() > end);
        self.assert_route_untouched(since);
        let report = self.report_since(since);
        assert_eq!(report.lost, 0, "{fault}: {report:?} {}", self.site.logs());
        assert_eq!(self.withdrawals(), [0, 0], "{fault}: {}", self.site.logs());
        assert_eq!(self.repairs(), 0, "{fault}: no worker is wedged: {}", self.status());
    }

    /// Gives the replies of node1's service addresses a way out of their own, as on a host with two uplinks.
    fn route_replies_out(&mut self) {
        let node = NodeNumber::FIRST;
        let routers = [("-4", IpAddr::from(node.router4())), ("-6", IpAddr::from(node.router6()))];
        for (family, (option, router)) in Family::ALL.into_iter().zip(routers) {
            self.node().space.ip(&format!("{option} route add default via {router} table 100"));
            self.node().space.ip(&format!("{option} rule add from {} lookup 100", family.service()));
        }
    }

    /// What `fated check` says on node1.
    fn check(&self) -> String {
        let node = &self.site.nodes[0];
        let mut command = std::process::Command::new(PROGRAM);
        command.args(["check", "--config"]).arg(node.folder.join("fated.toml"));
        let output = node.space.run(|| command.output()).expect("fated starts");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    /// Takes the filter away and waits until the path is trusted again.
    fn until_trusted(&mut self) {
        self.unfilter();
        self.until("the path is trusted again", PATIENCE, |scene| {
            scene.paths() == ["trusted", "trusted"] && scene.stances() == ["announce", "announce"]
        });
    }
}

#[test]
fn a_routing_rule_for_replies_leaves_probes_their_way() {
    let test = "a_routing_rule_for_replies_leaves_probes_their_way";
    let Some(mut scene) = Scene::build(test, Routing::BirdBgp) else { return };
    let since = clock::now();
    scene.route_replies_out();
    scene.assert_harmless("policy routing", since);
    assert_eq!(scene.paths(), ["trusted", "trusted"]);
    // Nor at a start.
    scene.restart();
    assert_eq!(scene.paths(), ["trusted", "trusted"]);
}

#[test]
fn what_drops_probes_alone_degrades_and_shouts_and_withdraws_nothing() {
    let test = "what_drops_probes_alone_degrades_and_shouts_and_withdraws_nothing";
    let Some(mut scene) = Scene::build(test, Routing::BirdBgp) else { return };
    let bogons = "ip saddr 192.0.0.0/24 drop; ip6 saddr 100::/64 drop";
    let by_card = "policy drop; iifname lo accept; iifname eth0 accept";
    // A filter that forgot loopback too: nothing of ours comes through, and clients do.
    let by_card_alone = "policy drop; iifname eth0 accept";
    for (fault, rules, named) in [
        ("bogons", bogons, "drops probes, which come from 192.0.0.100"),
        ("by card", by_card, "drops by default"),
        ("by card alone", by_card_alone, "drops by default"),
    ] {
        let since = clock::now();
        scene.filter(rules);
        scene.assert_harmless(fault, since);
        assert_eq!(
            (scene.paths(), scene.stances()),
            (["silent".into(), "silent".into()], ["degrade".into(), "degrade".into()])
        );
        scene.until("it says why", PATIENCE, |scene| {
            let address = scene.address(Family::V4);
            address["reason"].as_str().is_some_and(|reason| reason.contains("probes do not come through"))
        });
        // `check` names the rule, and has it from the server that runs what that costs.
        let advice = scene.check();
        for part in [named, "insert rule inet anycast_test input iifname \"fated0rx\" accept", "192.0.2.53 silent"] {
            assert!(advice.contains(part), "{fault}: {part:?} is missing in {advice}");
        }
        scene.until_trusted();
        scene.assert_route_untouched(since);
    }
    assert!(!scene.check().contains("probes"), "{}", scene.check());
    let log = scene.log();
    assert!(log.contains("PATH FAULT") && log.contains("path-fault"), "{log}");
    // A part of the probes is dropped, as by a limit for each source.
    let since = clock::now();
    scene.filter(
        "ip saddr 192.0.0.100 limit rate over 10/second drop; ip6 saddr 100::64 limit rate over 10/second drop",
    );
    scene.until("the loss is reported", PATIENCE, |scene| {
        scene.paths().iter().all(|path| path == "lossy" || path == "silent")
    });
    scene.assert_harmless("rate limit", since);
    scene.until_trusted();
    // From the start on: announced on what is proven around the path.
    scene.filter(bogons);
    scene.restart();
    assert_eq!(
        (scene.paths(), scene.stances()),
        (["silent".into(), "silent".into()], ["degrade".into(), "degrade".into()])
    );
}

#[test]
fn over_loopback_too_what_drops_probes_alone_withdraws_nothing_while_clients_are_answered() {
    let test = "over_loopback_too_what_drops_probes_alone_withdraws_nothing_while_clients_are_answered";
    let lo = Fated { interface: "lo", ..Fated::new(PROGRAM) };
    let Some(mut scene) = Scene::build_with(test, Routing::BirdBgp, lo) else { return };
    for (fault, rules) in [
        ("port", "iifname lo meta l4proto { udp, tcp } th dport 53 drop"),
        ("by card alone", "policy drop; iifname eth0 accept"),
    ] {
        let since = clock::now();
        scene.filter(rules);
        // Long enough for as many queries over TCP as withdraw.
        scene.assert_harmless(fault, since);
        scene.assert_harmless(fault, since);
        assert_eq!(
            (scene.paths(), scene.stances()),
            (["silent".into(), "silent".into()], ["degrade".into(), "degrade".into()])
        );
        let advice = scene.check();
        for part in ["insert rule inet anycast_test input iifname \"lo\" accept", "192.0.2.53 silent"] {
            assert!(advice.contains(part), "{fault}: {part:?} is missing in {advice}");
        }
        scene.until_trusted();
        scene.assert_route_untouched(since);
    }
    assert!(scene.log().contains("PATH FAULT"), "{}", scene.log());
}

#[test]
fn a_filter_that_names_the_card_withdraws_a_node_whose_clients_stop_with_it() {
    let test = "a_filter_that_names_the_card_withdraws_a_node_whose_clients_stop_with_it";
    let Some(mut scene) = Scene::build(test, Routing::BirdBgp) else { return };
    let from = clock::now();
    // Probes over fated0rx are dropped too, loopback is spared.
    scene.filter("iifname != lo udp dport 53 drop");
    measured("muted but for loopback: route", scene.until_away(WITHDRAWN));
    for family in Family::ALL {
        let address = scene.address(family);
        assert!(address["reason"].as_str().is_some_and(|reason| reason.contains("nor clients")), "{address}");
    }
    assert_eq!(scene.repairs(), 0, "workers that are cut off are not wedged: {}", scene.status());
    scene.unfilter();
    scene.until_well();
    assert_eq!(scene.withdrawals(), [1, 1], "{}", scene.site.logs());
    let report = scene.report_since(from);
    assert!(report.dark < WITHDRAWN, "{report:?}");
}

#[test]
fn forged_probes_move_nothing() {
    let Some(mut scene) = Scene::build_from("forged_probes_move_nothing", &strict(), Share::Half) else { return };
    let since = clock::now();
    for (family, source) in Family::ALL.into_iter().zip(SOURCES) {
        scene.site.client.ip(&format!("addr add {source} dev lo"));
        // Without NSID, which would be a fault, under every ID; the prover's own come again and again meanwhile.
        let query = |id: u32| {
            let query = Query::new(&name::name("site.test."), 6);
            let query = if id.is_multiple_of(2) { query } else { query.with_edns(Edns::new(512, false)) };
            query.encode(id as u16)
        };
        scene.site.client.run(|| {
            let source: IpAddr = source.parse().expect("an address");
            let socket = UdpSocket::bind(SocketAddr::new(source, PORT)).expect("it is ours there");
            for id in 0..FORGED {
                // What a full device refuses is one less.
                let _ = socket.send_to(&query(id), (family.service(), 53));
            }
        });
    }
    scene.assert_route_untouched(since);
    let status = scene.status();
    assert_eq!(
        (scene.withdrawals(), &status["anycast"]["zone_faults"]),
        ([0, 0], &Value::Array(Vec::new())),
        "{status}"
    );
    assert_eq!(status["anycast"]["prover"]["wrong"], 0, "{status}");
    let log = scene.log();
    assert!(!log.contains("answered wrong"), "{log}");
    assert!(scene.metric("fated_udp_forged_total") > u64::from(FORGED) / 10, "they did arrive");
    scene.until_well();
    scene.assert_route_untouched(since);
}

#[test]
fn what_is_forged_in_the_probes_name_is_answered_on_their_own_device_alone() {
    let test = "what_is_forged_in_the_probes_name_is_answered_on_their_own_device_alone";
    let Some(mut scene) = Scene::build_from(test, &strict(), Share::Half) else { return };
    scene.route_replies_out();
    let mut rules = String::new();
    let icmp = [("ip", "icmp type echo-reply"), ("ip6", "icmpv6 type echo-reply")];
    for ((family, echo), source) in icmp.into_iter().zip(SOURCES) {
        let to = format!("{family} daddr {source}");
        for (matched, counter) in [
            (format!("{to} oifname != fated0rx"), "elsewhere"),
            (format!("{to} udp sport 53 udp dport {OTHER_PORT}"), "answered"),
            (format!("{to} tcp sport 53 tcp dport {OTHER_PORT} tcp flags & (syn | ack) == syn | ack"), "syn_ack"),
            (format!("{to} {echo}"), "echo_reply"),
        ] {
            rules.push_str(&format!("{matched} counter name {counter}; "));
        }
    }
    let counters = ["elsewhere", "answered", "syn_ack", "echo_reply"].map(|name| format!("counter {name} {{ }}; "));
    scene.table(&format!("{} chain output {{ type filter hook output priority 0; {rules} }};", counters.concat()));
    let since = clock::now();
    for (family, source) in Family::ALL.into_iter().zip(SOURCES) {
        let source: IpAddr = source.parse().expect("an address");
        scene.site.client.run(|| {
            for round in 0..FORGED_ROUNDS {
                // A millisecond between, so that no queue on the way is full.
                let due = since + Duration::from_millis(round as u64);
                clock::wait_until(PATIENCE, || clock::now() >= due);
                send_in_name_of(source, [PORT, OTHER_PORT], family.service());
            }
        });
    }
    scene.assert_harmless("forged packets", since);
    let counted = |name: &str| {
        let text = scene.site.nodes[0].space.output(std::process::Command::new("nft").args([
            "-j",
            "list",
            "counter",
            "inet",
            "anycast_test",
            name,
        ]));
        let value: Value = serde_json::from_str(&text).expect("it is JSON");
        value["nftables"][1]["counter"]["packets"].as_u64().unwrap_or_else(|| panic!("no count in {text}"))
    };
    // The kernel did answer what is the kernel's, and to the prover.
    assert!(counted("syn_ack") > 0 && counted("echo_reply") > 0, "they did arrive");
    assert_eq!((counted("elsewhere"), counted("answered")), (0, 0));
    assert!(scene.metric("fated_udp_forged_total") > FORGED_ROUNDS as u64, "queries did arrive");
    let status = scene.status();
    assert_eq!(status["anycast"]["prover"]["wrong"], 0, "{status}");
    assert_eq!(
        (scene.paths(), scene.stances()),
        (["trusted".into(), "trusted".into()], ["announce".into(), "announce".into()])
    );
}

#[test]
fn neighbours_that_are_absent_take_no_probe_along() {
    let test = "neighbours_that_are_absent_take_no_probe_along";
    let Some(mut scene) = Scene::build(test, Routing::BirdBgp) else { return };
    // A network of the node's own in which nobody is: the client asks in the name of eight hosts there, through the
    // router.
    scene.node().space.ip("link add idle0 type veth peer name idle1");
    for words in ["link set idle0 up", "link set idle1 up", "addr add 203.0.113.1/24 dev idle0"] {
        scene.node().space.ip(words);
    }
    // The kernel's default fills a socket of the default size; this host may allow larger ones.
    scene.node().space.set(&[("net/ipv4/neigh/idle0/unres_qlen_bytes", "16777216")]);
    let since = clock::now();
    let absent: Vec<SocketAddr> = (10..18).map(|host| SocketAddr::from(([203, 0, 113, host], 0))).collect();
    for address in &absent {
        scene.site.client.ip(&format!("addr add {} dev lo", address.ip()));
    }
    let query = Query::new(&name::name("site.test."), 6).encode(7);
    scene.site.client.run(|| {
        let sockets: Vec<UdpSocket> = absent.iter().map(|at| UdpSocket::bind(at).expect("it is ours there")).collect();
        let pace = Duration::from_micros(100);
        for (turn, socket) in (0..80_000_u32).zip(sockets.iter().cycle()) {
            let due = since + pace * turn;
            clock::wait_until(pace * 10, || clock::now() >= due);
            let _ = socket.send_to(&query, (Family::V4.service(), 53));
        }
    });
    measured("absent neighbours asked for", clock::now() - since);
    scene.assert_route_untouched(since);
    assert_eq!(scene.withdrawals(), [0, 0], "{}", scene.site.logs());
    scene.until_well();
    scene.assert_route_untouched(since);
}

#[test]
fn a_link_out_that_is_too_slow_is_overload_at_both_edges() {
    let test = "a_link_out_that_is_too_slow_is_overload_at_both_edges";
    let Some(scene) = Scene::build(test, Routing::BirdBgp) else { return };
    let node = scene.site.nodes[0].space.name().to_owned();
    let limit = format!("-n {node} qdisc add dev eth0 root tbf rate 4mbit burst 16k limit 32mb");
    let tc = std::process::Command::new("tc").args(limit.split(' ')).status();
    if !tc.is_ok_and(|status| status.success()) {
        crate::common::skip_loudly(test, "no tc, or no tbf in this kernel");
        return;
    }
    let query = Query::new(&name::name("site.test."), 255).with_edns(Edns::new(1232, true)).encode(7);
    for _ in 0..3 {
        let start = clock::now();
        scene.site.client.run(|| {
            let sockets: Vec<(Family, UdpSocket)> = Family::ALL
                .into_iter()
                .cycle()
                .take(16)
                .map(|family| (family, UdpSocket::bind((family.unspecified(), 0)).expect("a port")))
                .collect();
            let pace = Duration::from_micros(100);
            for (turn, (family, socket)) in (0..30_000_u32).zip(sockets.iter().cycle()) {
                let due = start + pace * turn;
                clock::wait_until(pace * 10, || clock::now() >= due);
                let _ = socket.send_to(&query, (family.service(), 53));
            }
        });
    }
    let end = clock::now() + Duration::from_secs(2);
    clock::wait_until(Duration::from_secs(4), || clock::now() > end);
    assert_eq!(scene.withdrawals(), [0, 0], "{}", scene.site.logs());
}
