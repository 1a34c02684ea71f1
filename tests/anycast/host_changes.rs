//! What goes on around a node on its host and is no fault of its own: a family that is switched off, routes that come
//! and go, a network of link-local addresses.

use std::fs;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::common::site::clock;
use crate::scene::PATIENCE;
use crate::start::Host;

/// How long it goes on.
const UNREST: Duration = Duration::from_secs(8);
/// The most lines that a node may write of it meanwhile: the first of each kind, and how often they came.
const LINES_MAX: usize = 30;
/// Routes that come and go.
const ROUTES: u32 = 20_000;

/// Waits.
fn pass(time: Duration) {
    let start = clock::now();
    clock::wait_until(time, || clock::now() - start > time);
}

/// A number of the first service address, which is the IPv4 one.
fn of_ipv4(host: &Host, key: &str) -> Value {
    host.addresses().expect("it replies")[0][key].clone()
}

#[test]
fn ipv6_that_is_switched_off_costs_ipv6_and_a_few_lines() {
    let Some(host) = Host::new("ipv6_that_is_switched_off_costs_ipv6_and_a_few_lines") else { return };
    let _server = host.start(&mut host.command(&["env"]));
    host.until("announce", true);
    let before = host.log().lines().count();
    host.space.set(&[("net/ipv6/conf/all/disable_ipv6", "1")]);
    pass(UNREST);
    let log = host.log();
    let lines = log.lines().count() - before;
    assert!(lines > 2, "{log}");
    assert!(lines <= LINES_MAX, "{lines}: {log}");
    assert!(log.contains("within_s=5"), "what is not written is counted: {log}");
    assert_eq!((of_ipv4(&host, "announced"), of_ipv4(&host, "withdrawals")), (true.into(), 0.into()), "{log}");
    host.space.set(&[("net/ipv6/conf/all/disable_ipv6", "0")]);
    host.until("announce", true);
}

#[test]
fn routes_that_come_and_go_are_not_heard() {
    let Some(host) = Host::new("routes_that_come_and_go_are_not_heard") else { return };
    let _server = host.start(&mut host.command(&["env"]));
    host.until("announce", true);
    let before = host.log().lines().count();
    host.space.ip("link add eth0 type veth peer name eth1");
    host.space.ip("link set eth0 up");
    host.space.ip("link set eth1 up");
    let prefix = |number: u32| format!("10.{}.{}.0/24", number >> 8, number & 255);
    for word in ["add", "del", "add", "del"] {
        let lines: String = (0..ROUTES).map(|number| format!("route {word} {} dev eth0\n", prefix(number))).collect();
        fs::write(host.path("batch"), lines).expect("the folder can be written to");
        host.space.output(Command::new("ip").arg("-batch").arg(host.path("batch")));
    }
    let log = host.log();
    assert_eq!(log.lines().count(), before, "{log}");
    assert_eq!(of_ipv4(&host, "withdrawals"), 0, "{log}");
}

#[test]
fn a_host_of_link_local_addresses_announces_and_comes_back() {
    let Some(host) = Host::new("a_host_of_link_local_addresses_announces_and_comes_back") else { return };
    for words in [
        "link add eth0 type veth peer name eth1",
        "link set eth0 up",
        "link set eth1 up",
        "-4 route add 0.0.0.0/0 via inet6 fe80::99 dev eth0",
        "-6 route add default via fe80::99 dev eth0",
    ] {
        host.space.ip(words);
    }
    let _server = host.start(&mut host.command(&["env"]));
    host.until("announce", true);
    let mute = "table inet host_changes { chain input { type filter hook input priority 0; tcp dport 53 drop; }; }";
    host.space.output(Command::new("nft").arg(mute));
    host.until("withdraw", false);
    host.space.output(Command::new("nft").args(["delete", "table", "inet", "host_changes"]));
    host.until("announce", true);
    assert!(clock::wait_until(PATIENCE, || host.stand("fated0")), "{}", host.log());
}
