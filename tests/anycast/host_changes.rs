//! What goes on around a node on its host and is no fault of its own: a family that is switched off, routes that come
//! and go, a network of link-local addresses.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, SocketAddrV6, TcpStream, UdpSocket};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::common::message::Query;
use crate::common::name;
use crate::common::site::clock;
use crate::scene::{PATIENCE, PROGRAM};
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

/// Asks the server of a host over both transports at a link-local address of a device; `None` while one gives nothing.
fn ask_on(host: &Host, device: &str) -> Option<[Vec<u8>; 2]> {
    let shown = host.shown(&format!("-o link show dev {device}"));
    let index = shown.split(':').next().and_then(|index| index.trim().parse().ok()).expect("the device has a number");
    let address = SocketAddr::from(SocketAddrV6::new("fe80::53".parse().expect("an address"), 5300, 0, index));
    let query = Query::new(&name::name("site.test."), 6).encode(7);
    host.space.run(|| {
        let socket = UdpSocket::bind("[::]:0").ok()?;
        socket.set_read_timeout(Some(Duration::from_millis(500))).ok()?;
        socket.send_to(&query, address).ok()?;
        let mut over_udp = vec![0; 512];
        let length = socket.recv(&mut over_udp).ok()?;
        over_udp.truncate(length);
        let mut stream = TcpStream::connect_timeout(&address, PATIENCE).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        stream.write_all(&[&(query.len() as u16).to_be_bytes()[..], &query].concat()).ok()?;
        let mut over_tcp = vec![0; 2 + length];
        stream.read_exact(&mut over_tcp).ok()?;
        Some([over_udp, over_tcp.split_off(2)])
    })
}

#[test]
fn a_link_local_address_is_answered_as_soon_as_its_device_comes_and_comes_back() {
    let test = "a_link_local_address_is_answered_as_soon_as_its_device_comes_and_comes_back";
    let Some(host) = Host::new(test) else { return };
    let text = "[server]\nworkers = 1\nlisten = [\"127.0.0.1:5300\", \"[fe80::53%late0]:5300\"]\n\
        zones-dir = \"zones\"\ncontrol = \"control.sock\"\n";
    fs::write(host.path("fated.toml"), text).expect("the folder can be written to");
    let _server = host.start(&mut host.command(&["env"]));
    assert!(clock::wait_until(PATIENCE, || host.log().contains("no device `late0` yet")), "{}", host.log());
    for round in 1..=2 {
        // So that it gets another number each time.
        host.space.ip(&format!("link add other{round} type veth peer name other{round}x"));
        host.space.ip("link add late0 type veth peer name late1");
        host.space.ip("link set late0 up");
        host.space.ip("link set late1 up");
        host.space.ip("addr add fe80::53/64 dev late0");
        assert!(clock::wait_until(PATIENCE, || ask_on(&host, "late0").is_some()), "{}", host.log());
        let [over_udp, over_tcp] = ask_on(&host, "late0").expect("it answers");
        assert_eq!((over_udp[3] & 15, over_udp[7]), (0, 1), "{over_udp:?}");
        assert_eq!(over_udp, over_tcp);
        let mut status = Command::new(PROGRAM);
        status.args(["status", "--json", "--control"]).arg(host.path("control.sock"));
        let status: Value = serde_json::from_str(&host.space.output(&mut status)).expect("it is JSON");
        assert_eq!(status["result"]["listen"][1], "[fe80::53%late0]:5300", "{status}");
        host.space.ip("link del late0");
        let gone = || host.log().matches("the device is gone").count() == round;
        assert!(clock::wait_until(PATIENCE, gone), "{}", host.log());
    }
}
